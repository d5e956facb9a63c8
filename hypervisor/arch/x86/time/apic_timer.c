// SPDX-License-Identifier: MIT
/*
 * The timer interrupt of each CPU: its local APIC's timer, one shot, or the TSC deadline where the
 * CPU has it.  A deadline further off than the counter reaches fires early; the timer code then
 * finds nothing due and programs it again.
 */
#include "private.h"
#include "arch/api/arch_time.h"
#include "kernel/console.h"
#include "kernel/panic.h"
#include "kernel/timer.h"
#include <asm/apic.h>
#include <asm/cpufeature.h>
#include <asm/irq_vectors.h>
#include <asm/msr.h>

#define DIVIDE_BY_1 0xb
#define MAX_DELTA   SECONDS(4)

static bool tsc_deadline;
static uint64_t per_ns; /* timer ticks a ns, times 2^32; 0: not ready yet */

/* As measure_hz() wants it: counting up. */
static uint64_t apic_counter(void)
{
    return UINT32_MAX - apic_read(APIC_TIMER_CUR);
}

static uint64_t read_tsc(void)
{
    return rdtsc_ordered();
}

void apic_timer_init(void)
{
    /* Not as wide as the TSC is, but no window is longer than half a second. */
    struct ref_clock tsc = {
        .name = "TSC", .read = read_tsc, .mask = ~0ULL, .hz = cpu_khz * 1000ULL};
    uint64_t hz = tsc.hz;
    unsigned err;

    tsc_deadline = cpu_has(TSC_DEADLINE);
    if (!tsc_deadline) {
        apic_write(APIC_TIMER_DIV, DIVIDE_BY_1);
        apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED | VECTOR_TIMER);
        apic_write(APIC_TIMER_INIT, UINT32_MAX);
        hz = measure_hz(apic_counter, &tsc, &err);
        hz = round_hz(hz, err);
        apic_write(APIC_TIMER_INIT, 0);
        if (hz < 1000000 || hz >> 32)
            panic("the local APIC's timer does not tick (%lu Hz)", (unsigned long)hz);
    }
    set_fixed_vector(VECTOR_TIMER, timer_interrupt);
    per_ns = (hz << 20) / 1000000000 << 12;
    per_ns += ((hz << 20) % 1000000000 << 12) / 1000000000;
    printk(KERN_INFO "Timer: %s at %lu kHz; APIC in %s mode\n",
           tsc_deadline ? "TSC deadline" : "local APIC", (unsigned long)hz / 1000,
           x2apic_enabled ? "x2APIC" : "xAPIC");
}

void apic_timer_cpu_init(void)
{
    apic_write(APIC_TIMER_DIV, DIVIDE_BY_1);
    apic_write(APIC_LVT_TIMER, (tsc_deadline ? APIC_LVT_TSC_DEADLINE : 0) | VECTOR_TIMER);
    if (!tsc_deadline)
        apic_write(APIC_TIMER_INIT, 0);
    else /* the mode must have taken effect before the first deadline is written */
        __asm__ volatile("mfence" ::: "memory");
}

void arch_timer_program(s_time_t deadline)
{
    s_time_t delta;
    uint64_t ticks;

    if (!per_ns)
        return;
    delta = deadline - NOW();
    delta = delta < 0 ? 0 : min(delta, MAX_DELTA);
    ticks = mul_frac(delta, per_ns) + 1; /* 0 would stop it; and never too early by rounding */
    if (tsc_deadline)
        wrmsr(MSR_TSC_DEADLINE, rdtsc() + ticks);
    else
        apic_write(APIC_TIMER_INIT, min(ticks, (uint64_t)UINT32_MAX));
}
