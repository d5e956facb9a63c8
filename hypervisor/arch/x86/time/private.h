// SPDX-License-Identifier: MIT
/* Inside time/. */
#pragma once
#include "time.h"
#include "kernel/percpu.h"

/* ticks to ns: ((ticks << shift) * mul) >> 32, a negative shift going right (as in xen.h). */
struct time_scale {
    uint32_t mul;
    int8_t shift;
};

/* System time on a CPU: ns at tsc, and how it goes on from there. */
struct time_base {
    uint32_t seq; /* changes with the rest; only this CPU writes it */
    uint64_t tsc;
    s_time_t ns;
    struct time_scale scale;
};
DECLARE_PER_CPU(struct time_base, time_base);

struct time_scale scale_for_hz(uint64_t hz);

static inline uint64_t scale_ticks(struct time_scale s, uint64_t ticks)
{
    ticks = s.shift < 0 ? ticks >> -s.shift : ticks << s.shift;
    return (unsigned __int128)ticks * s.mul >> 32;
}

/* XEN_DOMCTL_settscinfo: emulate if need be, always, never. */
enum { TSC_MODE_DEFAULT, TSC_MODE_ALWAYS, TSC_MODE_NEVER };

/* a * num / 2^32 */
static inline uint64_t mul_frac(uint64_t a, uint64_t num)
{
    return (unsigned __int128)a * num >> 32;
}

/* A counter of known frequency, and how it is read. */
struct ref_clock {
    const char *name;
    uint64_t (*read)(void);
    uint64_t mask; /* its width */
    uint64_t hz;
    bool calibration_only; /* wraps too soon to keep time by */
};

/* A counter, and the reference at the same time, within width ticks of the counter. */
struct clock_sample {
    uint64_t counter, ref, width;
};
/* The best of many readings: an emulated CPU may lose its processor between any two. */
struct clock_sample sample_best(uint64_t (*counter)(void), const struct ref_clock *ref);

/*
 * Measures hz of a counter (the TSC, the APIC timer) against another, whose frequency is known.
 * Any of the reads may take long at any time (an emulated CPU may lose its processor), so each
 * point in time is the best of many readings, and the result the best of several tries; *ppm_x10
 * is a bound of its error in tenths of a part per million.  0 if the reference stands still.
 */
uint64_t measure_hz(uint64_t (*counter)(void), const struct ref_clock *ref, unsigned *ppm_x10);

/* Ticks from last to now, given that about `about` have passed: it may have wrapped in between. */
uint64_t ref_elapsed(const struct ref_clock *ref, uint64_t last, uint64_t now, uint64_t about);

/* Most clocks are meant to be a round number of MHz; believe that if the measure allows it. */
uint64_t round_hz(uint64_t hz, unsigned ppm_x10);

/* platform.c: the best clock of this machine, started; NULL if there is none at all. */
const struct ref_clock *platform_clock_init(void);

/* sync.c: TSCs that are not in step are brought back to the platform clock every second. */
void time_sync_cpu(void *jump); /* on each CPU, interrupts off; jump: at once, not gradually */

/* apic_timer.c */
void apic_timer_init(void); /* boot CPU, once cpu_khz is known */
void apic_timer_cpu_init(void);

/* rtc.c: seconds since 1970 by the CMOS clock; 0 if there is none or it makes no sense. */
uint64_t rtc_read(void);
