// SPDX-License-Identifier: MIT
/*
 * System time.
 *
 * System time is nanoseconds since time_init().  Each CPU computes it from its own TSC and its
 * struct time_base: ns at some TSC value, and a scale.  As long as the TSCs are in step (trusted),
 * all CPUs have one and the same base, which never changes: NOW() is a TSC read, a shift, a
 * multiplication and an addition, it agrees across CPUs, and guests are handed the very same
 * numbers, once, with the flag that says so.  Trust is not taken from CPUID (an emulator does not
 * claim an invariant TSC though it has one, and firmware can break what CPUID claims): it is
 * measured across CPUs when they are up (sync.c), and watched every second against the platform's
 * clock from then on.  Once lost it does not come back; each CPU is then steered towards the
 * platform's clock, its base changing every second, and guests lose the flag.
 *
 * A base is written by its own CPU only, with interrupts off; NOW() notices by `seq` if that
 * happened while it was reading.  The rest is written at boot.
 *
 *   calibrate.c  frequency of a counter by a reference      platform.c   HPET, PM timer, PIT
 *   sync.c       trust, watchdog, steering                  apic_timer.c the timer interrupt
 *   publish.c    what guests are told                       rtc.c        CMOS clock at boot
 */
#include "private.h"
#include "arch/api/arch_time.h"
#include "kernel/console.h"
#include "kernel/lock.h"
#include "kernel/panic.h"
#include <asm/msr.h>

DEFINE_PER_CPU(struct time_base, time_base);
uint32_t cpu_khz;

/* The boot CPU's base, which others start with. */
static struct time_base boot_base;

static const struct ref_clock *platform;
static struct time_scale platform_scale;
static spinlock_t platform_lock = SPINLOCK_INIT(LOCK_LEAF);
static uint64_t platform_last, platform_ticks; /* platform_lock */
static uint64_t platform_tsc;                  /* at platform_last */

s_time_t NOW(void)
{
    const struct time_base *b = &this_cpu(time_base);
    uint32_t seq;
    s_time_t now;

    do {
        seq = READ_ONCE(b->seq);
        barrier();
        now = b->ns + scale_ticks(b->scale, rdtsc_ordered() - b->tsc);
        barrier();
    } while (unlikely(seq != READ_ONCE(b->seq)));
    return now;
}

const char *platform_timer_name(void)
{
    return platform ? platform->name : "none";
}

s_time_t platform_time(void)
{
    uint64_t now, tsc, about = 0, ticks;
    unsigned long flags;

    if (!platform || platform->calibration_only)
        return NOW();
    spin_lock_irqsave(&platform_lock, flags);
    now = platform->read();
    tsc = rdtsc_ordered();
    /* While a large dom0 is unpacked nobody asks for longer than the PM timer takes to wrap. */
    if (tsc > platform_tsc)
        about = tsc_to_ns(tsc - platform_tsc) / 1000 * platform->hz / 1000000;
    platform_ticks += ref_elapsed(platform, platform_last, now, about);
    platform_last = now;
    platform_tsc = tsc;
    ticks = platform_ticks;
    spin_unlock_irqrestore(&platform_lock, flags);
    return scale_ticks(platform_scale, ticks);
}

uint64_t tsc_to_ns(uint64_t ticks)
{
    return scale_ticks(boot_base.scale, ticks);
}

static uint64_t read_tsc(void)
{
    return rdtsc_ordered();
}

void time_init(void)
{
    struct clock_sample start;
    unsigned ppm_x10;
    uint64_t hz;

    platform = platform_clock_init();
    if (!platform)
        panic("no clock (HPET, ACPI PM timer, PIT) to measure the TSC by");
    hz = measure_hz(read_tsc, platform, &ppm_x10);
    if (hz < 1000000)
        panic("the TSC could not be measured by the %s", platform->name);
    hz = round_hz(hz, ppm_x10);
    cpu_khz = (hz + 500) / 1000;
    platform_scale = scale_for_hz(platform->hz);
    boot_base.scale = scale_for_hz(hz);
    start = sample_best(read_tsc, platform);
    platform_last = start.ref;
    boot_base.tsc = platform_tsc = start.counter;
    printk(KERN_INFO "TSC: %u.%03u MHz by the %s, within %u.%u ppm\n", cpu_khz / 1000,
           cpu_khz % 1000, platform->name, ppm_x10 / 10, ppm_x10 % 10);
    apic_timer_init();
    time_cpu_init();
    wallclock_set(rtc_read(), 0, NOW());
}

void time_cpu_init(void)
{
    this_cpu(time_base) = boot_base;
    apic_timer_cpu_init();
}
