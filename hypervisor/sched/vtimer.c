// SPDX-License-Identifier: MIT
/*
 * The timers of a vcpu: periodic, single-shot, and the timeout of SCHEDOP_poll.  They live on
 * whatever CPU the vcpu set them from; wherever one of the first two expires, VIRQ_TIMER finds the
 * vcpu.  That of a poll wakes it, and tells it nothing.
 */
#include "arch/api/arch_time.h"
#include "event/event.h"
#include "sched/private.h"

static void periodic_expired(void *data)
{
    struct vcpu *v = data;
    s_time_t now = NOW(), period = READ_ONCE(v->periodic_period);

    if (!period)
        return;
    /* In step with the first; what was missed (it did not run, it was paused) stays missed. */
    v->periodic_last += period * (1 + (now - v->periodic_last - period) / period);
    send_guest_vcpu_virq(v, VIRQ_TIMER);
    timer_set_here(&v->periodic_timer, v->periodic_last + period);
}

static void singleshot_expired(void *data)
{
    send_guest_vcpu_virq(data, VIRQ_TIMER);
}

static void poll_expired(void *data)
{
    struct vcpu *v = data;

    evtchn_poll_end(v);
    if (test_and_clear_bit(VPF_blocked_poll, &v->pause_flags))
        vcpu_wake(v);
}

void vtimer_vcpu_create(struct vcpu *v)
{
    unsigned cpu = smp_processor_id();

    timer_init(&v->periodic_timer, periodic_expired, v, cpu);
    timer_init(&v->singleshot_timer, singleshot_expired, v, cpu);
    timer_init(&v->poll_timer, poll_expired, v, cpu);
}

void vtimer_vcpu_reset(struct vcpu *v)
{
    WRITE_ONCE(v->periodic_period, 0);
    timer_stop(&v->periodic_timer);
    timer_stop(&v->singleshot_timer);
    timer_stop(&v->poll_timer);
}

void vtimer_vcpu_free(struct vcpu *v)
{
    WRITE_ONCE(v->periodic_period, 0);
    timer_kill(&v->periodic_timer);
    timer_kill(&v->singleshot_timer);
    timer_kill(&v->poll_timer);
}
