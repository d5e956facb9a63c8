// SPDX-License-Identifier: MIT
/*
 * vcpu_op: a domain brings its vcpus up and down, sets their timers, and says where it wants to see
 * their state.  The vcpu named in the call is c->tv.
 */
#include "arch/api/arch_domain.h"
#include "arch/api/arch_time.h"
#include "domain/domain.h"
#include "event/event.h"
#include "hypercall/compat.h"
#include "hypercall/handlers.h"
#include "mem/mem.h"

#define MIN_PERIOD MILLISECS(1)
#define MAX_PERIOD SECONDS(365LL * 24 * 3600)

long vcpuop_initialise(struct call *c, struct noarg *arg)
{
    struct vcpu *v = c->tv;
    struct vcpu_guest_context *ctx;
    long ret;

    (void)arg;
    if (!v)
        return -ENOENT;
    if (v->domain->is_hvm)
        return arch_hvm_initialise(v, c->arg);
    /* Also looked at under the lock; this spares most mistakes the copy. */
    if (READ_ONCE(v->is_initialised))
        return -EEXIST;
    ctx = xzalloc(struct vcpu_guest_context);
    if (!ctx)
        return -ENOMEM;
    ret = arch_context_from_guest(v, ctx, c->arg);
    if (!ret) {
        ctx->flags &= ~(unsigned long)VGCF_online; /* VCPUOP_up comes later */
        spin_lock(&v->domain->lock);
        ret = v->is_initialised ? -EEXIST : arch_set_context(v, ctx);
        spin_unlock(&v->domain->lock);
    }
    xfree(ctx);
    return ret;
}

long vcpuop_up(struct call *c, struct noarg *arg)
{
    struct vcpu *v = c->tv;
    bool was_down = false;

    (void)arg;
    if (!v)
        return -ENOENT;
    spin_lock(&v->domain->lock);
    if (v->is_initialised)
        was_down = test_and_clear_bit(VPF_down, &v->pause_flags);
    spin_unlock(&v->domain->lock);
    if (!v->is_initialised)
        return -EINVAL;
    if (was_down)
        vcpu_wake(v);
    return 0;
}

long vcpuop_down(struct call *c, struct noarg *arg)
{
    struct vcpu *v = c->tv, *other;
    bool any_up = false;

    (void)arg;
    if (!v)
        return -ENOENT;
    spin_lock(&v->domain->lock);
    set_bit(VPF_down, &v->pause_flags);
    for_each_vcpu (v->domain, other)
        any_up |= !test_bit(VPF_down, &other->pause_flags);
    spin_unlock(&v->domain->lock);
    vcpu_sleep_nosync(v);
    if (!any_up) /* nobody is left to bring one up again */
        domain_shutdown(v->domain, SHUTDOWN_poweroff);
    return 0;
}

long vcpuop_is_up(struct call *c, struct noarg *arg)
{
    (void)arg;
    return c->tv ? !test_bit(VPF_down, &c->tv->pause_flags) : -ENOENT;
}

long vcpuop_get_runstate_info(struct call *c, struct vcpu_runstate_info *arg)
{
    if (!c->tv)
        return -ENOENT;
    vcpu_runstate_get(c->tv, arg);
    return 0;
}

/* The area is filled at each switch to the vcpu; the first time here, to answer for the address. */
long vcpuop_register_runstate_area(struct call *c, struct vcpu_register_runstate_memory_area *arg)
{
    struct vcpu *v = c->tv;
    struct vcpu_runstate_info rs;

    if (!v)
        return -ENOENT;
    if (arg->addr.p) {
        vcpu_runstate_get(v, &rs);
        if (copy_struct_to_guest(arg->addr.p, &rs))
            return -EFAULT;
    }
    WRITE_ONCE(v->runstate_guest, arg->addr.p);
    return 0;
}

long vcpuop_register_time_area(struct call *c, struct vcpu_register_time_memory_area *arg)
{
    struct vcpu *v = c->tv;
    struct vcpu_time_info now;

    if (!v)
        return -ENOENT;
    if (arg->addr.p) {
        if (!v->info)
            return -EINVAL;
        now = v->info->time;
        now.version &= ~1u;
        if (copy_to_guest(arg->addr.p, &now, sizeof(now)))
            return -EFAULT;
    }
    WRITE_ONCE(v->time_guest, arg->addr.p);
    if (v == current)
        arch_update_vcpu_time(v);
    return 0;
}

long vcpuop_register_vcpu_info(struct call *c, struct vcpu_register_vcpu_info *arg)
{
    return c->tv ? map_vcpu_info(c->tv, arg->mfn, arg->offset) : -ENOENT;
}

long vcpuop_set_periodic_timer(struct call *c, struct vcpu_set_periodic_timer *arg)
{
    struct vcpu *v = c->tv;

    if (!v)
        return -ENOENT;
    if (arg->period_ns < MIN_PERIOD || arg->period_ns > (uint64_t)MAX_PERIOD)
        return -EINVAL;
    timer_stop(&v->periodic_timer);
    v->periodic_last = NOW();
    WRITE_ONCE(v->periodic_period, (s_time_t)arg->period_ns);
    timer_set_here(&v->periodic_timer, v->periodic_last + (s_time_t)arg->period_ns);
    return 0;
}

long vcpuop_stop_periodic_timer(struct call *c, struct noarg *arg)
{
    struct vcpu *v = c->tv;

    (void)arg;
    if (!v)
        return -ENOENT;
    WRITE_ONCE(v->periodic_period, 0);
    timer_stop(&v->periodic_timer);
    return 0;
}

long vcpuop_set_singleshot_timer(struct call *c, struct vcpu_set_singleshot_timer *arg)
{
    struct vcpu *v = c->tv;

    if (!v)
        return -ENOENT;
    if (v != c->v || (s_time_t)arg->timeout_abs_ns < 0)
        return -EINVAL;
    if ((arg->flags & VCPU_SSHOTTMR_future) && (s_time_t)arg->timeout_abs_ns < NOW())
        return -ETIME;
    timer_set_here(&v->singleshot_timer, arg->timeout_abs_ns);
    return 0;
}

long vcpuop_stop_singleshot_timer(struct call *c, struct noarg *arg)
{
    (void)arg;
    if (!c->tv)
        return -ENOENT;
    if (c->tv != c->v)
        return -EINVAL;
    timer_stop(&c->tv->singleshot_timer);
    return 0;
}

long vcpuop_send_nmi(struct call *c, struct noarg *arg)
{
    (void)arg;
    if (!c->tv)
        return -ENOENT;
    if (c->arg) /* extra argument: there is none */
        return -EINVAL;
    arch_vcpu_send_nmi(c->tv);
    return 0;
}

/* Only a vcpu that stays on one CPU has a physical identity, and no domain's vcpus do so here. */
long vcpuop_get_physid(struct call *c, struct vcpu_get_physid *arg)
{
    (void)arg;
    return c->tv ? -EINVAL : -ENOENT;
}
