// SPDX-License-Identifier: MIT
/*
 * Pausing, blocking and yielding.  Pauses nest and are counted, per vcpu and per domain; those of
 * the tools are counted apart (d->pause_count), so that the tools cannot undo the hypervisor's.
 */
#include "arch/api/arch_domain.h"
#include "kernel/panic.h"
#include "kernel/softirq.h"
#include "lib/errno.h"
#include "sched/private.h"

#define MAX_TOOLS_PAUSES 255

void vcpu_pause_nosync(struct vcpu *v)
{
    __atomic_fetch_add(&v->pause_count, 1, __ATOMIC_SEQ_CST);
    vcpu_sleep_nosync(v);
}

void vcpu_pause(struct vcpu *v)
{
    ASSERT(v != current);
    __atomic_fetch_add(&v->pause_count, 1, __ATOMIC_SEQ_CST);
    vcpu_sleep_sync(v);
}

void vcpu_unpause(struct vcpu *v)
{
    if (!__atomic_sub_fetch(&v->pause_count, 1, __ATOMIC_SEQ_CST))
        vcpu_wake(v);
}

static void sleep_all(struct domain *d, bool sync)
{
    struct vcpu *v;

    for_each_vcpu (d, v)
        vcpu_sleep_nosync(v);
    if (sync)
        for_each_vcpu (d, v)
            vcpu_sleep_sync(v);
}

static void wake_all(struct domain *d)
{
    struct vcpu *v;

    for_each_vcpu (d, v)
        vcpu_wake(v);
}

void domain_pause_nosync(struct domain *d)
{
    __atomic_fetch_add(&d->sched->pause_count, 1, __ATOMIC_SEQ_CST);
    sleep_all(d, false);
}

void domain_pause(struct domain *d)
{
    ASSERT(d != current->domain);
    __atomic_fetch_add(&d->sched->pause_count, 1, __ATOMIC_SEQ_CST);
    sleep_all(d, true);
}

void domain_unpause(struct domain *d)
{
    if (!__atomic_sub_fetch(&d->sched->pause_count, 1, __ATOMIC_SEQ_CST))
        wake_all(d);
}

int domain_pause_by_tools(struct domain *d)
{
    int old = READ_ONCE(d->pause_count);

    do {
        if (old >= MAX_TOOLS_PAUSES)
            return -E2BIG;
    } while (!__atomic_compare_exchange_n(&d->pause_count, &old, old + 1, false, __ATOMIC_SEQ_CST,
                                          __ATOMIC_RELAXED));
    sleep_all(d, d != current->domain);
    return 0;
}

int domain_unpause_by_tools(struct domain *d)
{
    int old = READ_ONCE(d->pause_count);

    do {
        if (old <= 0)
            return -EINVAL;
    } while (!__atomic_compare_exchange_n(&d->pause_count, &old, old - 1, false, __ATOMIC_SEQ_CST,
                                          __ATOMIC_RELAXED));
    if (old == 1)
        wake_all(d);
    return 0;
}

void vcpu_block(void)
{
    struct vcpu *v = current;

    set_bit(VPF_blocked, &v->pause_flags);
    /* Whoever sends an event makes it pending first and then looks at the flag; we the other way
     * round, so one of the two notices.  set_bit() is a full barrier. */
    if (vcpu_event_pending(v))
        clear_bit(VPF_blocked, &v->pause_flags);
    else
        raise_softirq(SOFTIRQ_SCHEDULE);
}

void vcpu_unblock(struct vcpu *v)
{
    bool was_blocked;

    smp_mb(); /* what is pending is visible before the flags are read */
    if (likely(!(READ_ONCE(v->pause_flags) & (BIT(VPF_blocked) | BIT(VPF_blocked_poll)))))
        return;
    was_blocked = test_and_clear_bit(VPF_blocked, &v->pause_flags);
    evtchn_poll_end(v);
    if (test_and_clear_bit(VPF_blocked_poll, &v->pause_flags) || was_blocked)
        vcpu_wake(v);
}

void vcpu_yield(void)
{
    struct vcpu *v = current;
    unsigned long flags;
    struct sched_cpu *p = sched_lock_vcpu(v, &flags);

    scheduler->yield(v);
    sched_unlock(p, flags);
    raise_softirq(SOFTIRQ_SCHEDULE);
}
