// SPDX-License-Identifier: MIT
/* sched_op and set_timer_op. */
#include "arch/api/arch_time.h"
#include "hypercall/compat.h"
#include "hypercall/handlers.h"
#include "kernel/console.h"
#include "kernel/softirq.h"
#include "sched/private.h"

#define MAX_POLL_PORTS 128

long schedop_yield(struct call *c, struct noarg *arg)
{
    (void)c, (void)arg;
    vcpu_yield();
    return 0;
}

long schedop_block(struct call *c, struct noarg *arg)
{
    (void)arg;
    WRITE_ONCE(c->v->info->evtchn_upcall_mask, 0);
    vcpu_block();
    return 0;
}

/* sched_op as kernels of before 2006 call it: the argument is the reason of a shutdown itself. */
long do_sched_op_compat(unsigned long cmd, unsigned long arg)
{
    struct call c = {.v = current, .d = current->domain};
    struct noarg none;

    switch (cmd) {
    case SCHEDOP_yield:
        return schedop_yield(&c, &none);
    case SCHEDOP_block:
        return schedop_block(&c, &none);
    case SCHEDOP_shutdown: /* a reason that nobody knows: the tools say so */
        domain_shutdown(c.d, (uint8_t)arg);
        return 0;
    default:
        return -ENOSYS;
    }
}

long schedop_shutdown(struct call *c, struct sched_shutdown *arg)
{
    if (arg->reason > SHUTDOWN_MAX)
        return -EINVAL;
    domain_shutdown(c->d, arg->reason);
    return 0;
}

long schedop_remote_shutdown(struct call *c, struct sched_remote_shutdown *arg)
{
    if (arg->reason > SHUTDOWN_MAX)
        return -EINVAL;
    domain_shutdown(c->d, arg->reason);
    return 0;
}

long schedop_shutdown_code(struct call *c, struct sched_shutdown *arg)
{
    uint32_t none = ~0u;

    if (arg->reason > SHUTDOWN_MAX)
        return -EINVAL;
    /* Only the first counts; the shutdown itself is to come. */
    __atomic_compare_exchange_n(&c->d->shutdown_code, &none, arg->reason, false, __ATOMIC_SEQ_CST,
                                __ATOMIC_RELAXED);
    return 0;
}

/* ---- poll ---- */

/* 1 if one of the ports is pending, 0 if none is, -errno. */
static int any_port_pending(struct vcpu *v, const struct sched_poll *poll)
{
    for (unsigned i = 0; i < poll->nr_ports; i++) {
        evtchn_port_t port;
        int rc;

        if (copy_elem_from_guest(&port, poll->ports, i))
            return -EFAULT;
        if (poll->nr_ports == 1) {
            v->poll_port = port;
            smp_mb(); /* senders see the port before we look whether it is pending */
        }
        rc = evtchn_port_poll(v->domain, port);
        if (rc)
            return rc;
    }
    return 0;
}

/*
 * The flag is set before the ports are looked at, and senders look at the flag after they made a
 * port pending: one of the two notices the other.
 */
long schedop_poll(struct call *c, struct sched_poll *poll)
{
    struct vcpu *v = c->v;
    int rc = 0;

    if (poll->nr_ports > MAX_POLL_PORTS)
        return -EINVAL;
    v->poll_port = 0;
    smp_wmb();
    set_bit(VPF_blocked_poll, &v->pause_flags);
    evtchn_poll_begin(v);
    if (!vcpu_event_pending(v))
        rc = any_port_pending(v, poll);
    else
        rc = 1;
    if (rc) {
        /* A sender may have cleared it already, and then has called vcpu_wake() for nothing. */
        clear_bit(VPF_blocked_poll, &v->pause_flags);
        evtchn_poll_end(v);
        return rc < 0 ? rc : 0;
    }
    if (poll->timeout)
        timer_set_here(&v->poll_timer, min(poll->timeout, (uint64_t)INT64_MAX));
    else
        timer_stop(&v->poll_timer);
    raise_softirq(SOFTIRQ_SCHEDULE);
    return 0;
}

/* ---- watchdogs ---- */

static void watchdog_expired(void *data)
{
    struct sched_watchdog_timer *w = data;

    gprintk(w->domain, "watchdog expired\n");
    domain_shutdown(w->domain, SHUTDOWN_watchdog);
}

void sched_watchdogs_kill(struct domain *d)
{
    for (unsigned i = 0; d->sched && i < NR_WATCHDOGS; i++)
        timer_kill(&d->sched->watchdog[i].timer);
}

long schedop_watchdog(struct call *c, struct sched_watchdog *arg)
{
    struct sched_domain *sd = c->d->sched;
    s_time_t end = NOW() + SECONDS(arg->timeout);
    struct sched_watchdog_timer *w;
    long ret = 0;
    unsigned i;

    if (arg->id > NR_WATCHDOGS || (!arg->id && !arg->timeout))
        return -EINVAL;
    spin_lock(&sd->lock);
    if (!arg->id) {
        for (i = 0; i < NR_WATCHDOGS && sd->watchdog[i].in_use; i++)
            ;
        if (i == NR_WATCHDOGS) {
            ret = -ENOSPC;
            goto out;
        }
        w = &sd->watchdog[i];
        w->in_use = true;
        w->domain = c->d;
        if (!w->timer.fn)
            timer_init(&w->timer, watchdog_expired, w, smp_processor_id());
        ret = i + 1;
    } else {
        w = &sd->watchdog[index_nospec(arg->id - 1, NR_WATCHDOGS)];
        if (!w->in_use) {
            ret = -EINVAL;
            goto out;
        }
    }
    if (arg->timeout) {
        timer_set_here(&w->timer, end);
    } else {
        timer_stop(&w->timer);
        w->in_use = false;
    }
out:
    spin_unlock(&sd->lock);
    return ret;
}

/* ---- affinity ---- */

long schedop_pin_override(struct call *c, struct sched_pin_override *arg)
{
    struct vcpu *v = c->v;
    struct sched_vcpu *sv = v->sched;
    cpumask_t one;

    if (arg->pcpu < 0) {
        if (!sv->pinned)
            return -ENOENT;
        sv->pinned = false;
        return vcpu_set_hard_affinity(v, &sv->saved_hard);
    }
    if ((unsigned)arg->pcpu >= nr_cpu_ids || !cpu_online(arg->pcpu))
        return -EINVAL;
    if (sv->pinned)
        return -EBUSY;
    cpumask_clear(&one);
    cpumask_set_cpu(arg->pcpu, &one);
    sv->saved_hard = v->hard_affinity;
    sv->pinned = true;
    return vcpu_set_hard_affinity(v, &one);
}

/* ---- set_timer_op ---- */

/*
 * Linux of old asks for a time that has wrapped, or is weeks ahead, both when it has work due and
 * when it has none: it is asked again soon.
 */
#define TOO_FAR   (1L << 50) /* ns: 13 days */
#define ASK_AGAIN MILLISECS(100)

long do_set_timer_op(unsigned long timeout)
{
    struct timer *t = &current->singleshot_timer;
    s_time_t now, at = timeout;

    if (!timeout) {
        timer_stop(t);
        return 0;
    }
    now = NOW();
    timer_set_here(t, at < 0 || at - now > TOO_FAR ? now + ASK_AGAIN : at);
    return 0;
}
