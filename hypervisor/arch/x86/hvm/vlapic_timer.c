// SPDX-License-Identifier: MIT
/*
 * The timer of a vcpu's local APIC, in all three modes: once, periodic, and by a deadline of the
 * TSC.
 *
 * Its registers and its state are under the APIC's lock, since it may fire on another CPU.  A
 * period shorter than MIN_PERIOD is made to keep that, and ticks that nobody takes keep
 * UNHEARD_PERIOD.
 */
#include "vlapic_private.h"
#include "arch/api/arch_time.h"
#include "arch/x86/time/time.h"

#define BUS_NS      10 /* its clock has 100 MHz */
#define DIVIDE_BITS 0xb

static unsigned divider(struct vlapic *l)
{
    uint32_t d = *reg(l, APIC_TIMER_DIV);
    unsigned log = ((d & 3) | (d >> 1 & 4)) + 1;

    return log == 8 ? 1 : 1u << log;
}

static s_time_t period(struct vlapic *l)
{
    return (s_time_t)*reg(l, APIC_TIMER_INIT) * BUS_NS * divider(l);
}

/* At least this, so that a guest cannot keep the timer's CPU busy with its own; and this where
 * nobody hears of it: it is masked, the last has not been taken yet, or the vcpu is down. */
#define MIN_PERIOD     MICROSECS(50)
#define UNHEARD_PERIOD MILLISECS(1)

/* From one end of a periodic count to the next that is worth a timer. */
static s_time_t step_of(struct vlapic *l, bool heard)
{
    s_time_t step = max(period(l), MIN_PERIOD);

    return heard ? step : step * DIV_ROUND_UP(UNHEARD_PERIOD, step);
}

static uint32_t timer_mode(struct vlapic *l)
{
    return *reg(l, APIC_LVT_TIMER) & APIC_LVT_TIMER_MODE;
}

static void timer_fired(void *data)
{
    struct vcpu *v = data;
    struct vlapic *l = lapic_of(v);
    s_time_t now = NOW();
    uint32_t lvt;
    bool due, heard;

    spin_lock(&l->lock);
    lvt = *reg(l, APIC_LVT_TIMER);
    due = l->counting && now >= l->due; /* or it has been set anew meanwhile */
    heard =
        !(lvt & APIC_LVT_MASKED) && !is_requested(l, lvt) && !test_bit(VPF_down, &v->pause_flags);
    if (due && timer_mode(l) == APIC_LVT_PERIODIC) {
        l->due = max(l->due + step_of(l, heard), now);
        timer_set(&l->timer, l->due);
    } else if (due) {
        l->counting = false;
        l->deadline = 0;
    }
    spin_unlock(&l->lock);
    if (due && !(lvt & APIC_LVT_MASKED))
        vlapic_raise(v, lvt);
}

/* --- under the lock --- */

void vlapic_timer_stop(struct vlapic *l)
{
    timer_stop(&l->timer);
    l->counting = false;
    l->deadline = 0;
    *reg(l, APIC_TIMER_INIT) = 0;
}

static void count_until(struct vlapic *l, s_time_t due)
{
    l->counting = true;
    l->due = due;
    timer_set_here(&l->timer, due);
}

static void start_count(struct vlapic *l)
{
    timer_stop(&l->timer);
    l->counting = false;
    if (period(l) && timer_mode(l) != APIC_LVT_TSC_DEADLINE)
        count_until(l, NOW() + period(l));
}

/* Bus clocks that are left, divided as the register says. */
static uint32_t count_now(struct vlapic *l)
{
    s_time_t left = l->due - NOW();

    if (!l->counting || timer_mode(l) == APIC_LVT_TSC_DEADLINE)
        return 0;
    if (timer_mode(l) == APIC_LVT_PERIODIC)
        left %= step_of(l, true); /* it may be several times that */
    return left <= 0 ? 1 : min((uint64_t)left / (BUS_NS * divider(l)), (uint64_t)UINT32_MAX);
}

#define FAR_OFF (INT64_MAX / 4) /* some years, which no sum overflows */

/* How long the guest's TSC takes for so many ticks. */
static s_time_t guest_ticks_to_ns(const struct vcpu *v, uint64_t ticks)
{
    const struct domain *d = v->domain;
    uint64_t khz = d->arch.vtsc ? d->arch.tsc_khz : cpu_khz, ms = ticks / khz;

    if (ms > FAR_OFF / 1000000)
        return FAR_OFF;
    return (s_time_t)(ms * 1000000 + ticks % khz * 1000000 / khz);
}

static void set_deadline(struct vcpu *v, uint64_t tsc)
{
    struct vlapic *l = lapic_of(v);
    uint64_t now = arch_guest_tsc(v);

    if (timer_mode(l) != APIC_LVT_TSC_DEADLINE)
        return;
    timer_stop(&l->timer);
    l->counting = false;
    l->deadline = tsc;
    if (tsc)
        count_until(l, NOW() + (tsc > now ? guest_ticks_to_ns(v, tsc - now) : 0));
}

static void set_divider(struct vlapic *l, uint32_t val)
{
    uint32_t left = count_now(l);

    *reg(l, APIC_TIMER_DIV) = val & DIVIDE_BITS;
    if (l->counting && timer_mode(l) != APIC_LVT_TSC_DEADLINE)
        count_until(l, NOW() + (s_time_t)left * BUS_NS * divider(l));
}

void vlapic_timer_mode_changes(struct vlapic *l, uint32_t val)
{
    uint32_t old = *reg(l, APIC_LVT_TIMER);

    if ((val ^ old) & APIC_LVT_TSC_DEADLINE)
        vlapic_timer_stop(l);
    else if (l->counting && timer_mode(l) == APIC_LVT_PERIODIC && (old & APIC_LVT_MASKED))
        count_until(l, NOW() + (l->due - NOW()) % step_of(l, true));
}

/* --- what takes the lock --- */

uint32_t vlapic_timer_now(struct vlapic *l)
{
    uint32_t val;

    spin_lock(&l->lock);
    val = count_now(l);
    spin_unlock(&l->lock);
    return val;
}

void vlapic_timer_write(struct vlapic *l, unsigned off, uint32_t val)
{
    spin_lock(&l->lock);
    if (off == APIC_TIMER_DIV)
        set_divider(l, val);
    else if (timer_mode(l) != APIC_LVT_TSC_DEADLINE) {
        *reg(l, APIC_TIMER_INIT) = val;
        start_count(l);
    }
    spin_unlock(&l->lock);
}

void vlapic_timer_set_deadline(struct vcpu *v, uint64_t tsc)
{
    spin_lock(&lapic_of(v)->lock);
    set_deadline(v, tsc);
    spin_unlock(&lapic_of(v)->lock);
}

void vlapic_timer_restart(struct vcpu *v)
{
    struct vlapic *l = lapic_of(v);

    spin_lock(&l->lock);
    *reg(l, APIC_TIMER_DIV) &= DIVIDE_BITS;
    if (timer_mode(l) == APIC_LVT_TSC_DEADLINE)
        set_deadline(v, l->deadline);
    else
        start_count(l);
    spin_unlock(&l->lock);
}

void vlapic_timer_create(struct vcpu *v)
{
    timer_init(&lapic_of(v)->timer, timer_fired, v, 0);
}

void vlapic_timer_free(struct vcpu *v)
{
    if (lapic_of(v)->timer.fn)
        timer_kill(&lapic_of(v)->timer);
}
