// SPDX-License-Identifier: MIT
/* Measuring one counter by another.  Pure arithmetic over functions that read; tested on the host.
 */
#include "private.h"

#define SAMPLES 24
#define TRIES   5

struct clock_sample sample_best(uint64_t (*counter)(void), const struct ref_clock *ref)
{
    struct clock_sample best = {.width = ~0ULL};

    for (unsigned i = 0; i < SAMPLES; i++) {
        uint64_t before = counter();
        uint64_t r = ref->read();
        uint64_t width = counter() - before;

        if (width < best.width)
            best = (struct clock_sample){.counter = before + width / 2, .ref = r, .width = width};
    }
    return best;
}

/* Lets `ticks` of the reference pass; false if it does not move. */
static bool wait_ref(const struct ref_clock *ref, uint64_t ticks)
{
    uint64_t last = ref->read(), passed = 0;

    for (unsigned long still = 0; passed < ticks;) {
        uint64_t now = ref->read();

        passed += (now - last) & ref->mask;
        still = now == last ? still + 1 : 0;
        if (still > 1000000)
            return false;
        last = now;
    }
    return true;
}

uint64_t measure_hz(uint64_t (*counter)(void), const struct ref_clock *ref, unsigned *ppm_x10)
{
    static const uint16_t window_ms[TRIES] = {10, 20, 40, 40, 40};
    uint64_t best_hz = 0;

    *ppm_x10 = ~0u;
    for (unsigned i = 0; i<TRIES && * ppm_x10> 100; i++) {
        struct clock_sample a = sample_best(counter, ref), b;
        uint64_t dc, dr, err;

        if (!wait_ref(ref, ref->hz * window_ms[i] / 1000))
            return best_hz;
        b = sample_best(counter, ref);
        dc = b.counter - a.counter;
        dr = (b.ref - a.ref) & ref->mask;
        /* A CPU that was away for too long (or a reference that wrapped) makes no measure. */
        if (!dr || dc >> 40 || dr >> 32)
            continue;
        /* Half a width at either end, and one tick of the reference. */
        err = ((a.width + b.width) / 2 * 10000000) / (dc + 1) + 10000000 / dr;
        if (err < *ppm_x10) {
            *ppm_x10 = err;
            /* In two steps, so that dc * hz cannot overflow: dc < 2^40, remainder < 2^32. */
            best_hz = dc / dr * ref->hz + dc % dr * ref->hz / dr;
        }
    }
    return best_hz;
}

uint64_t ref_elapsed(const struct ref_clock *ref, uint64_t last, uint64_t now, uint64_t about)
{
    uint64_t ticks = (now - last) & ref->mask, range = ref->mask + 1;

    if (range && about > ticks)
        ticks += (about - ticks + range / 2) / range * range;
    return ticks;
}

uint64_t round_hz(uint64_t hz, unsigned ppm_x10)
{
    uint64_t round = (hz + 500000) / 1000000 * 1000000;
    uint64_t off = round > hz ? round - hz : hz - round;

    return off * 10000000 <= hz * ppm_x10 ? round : hz;
}

struct time_scale scale_for_hz(uint64_t hz)
{
    struct time_scale s = {0, 0};

    if (!hz)
        return s;
    /* The smallest shift, and so the most exact multiplier, that still fits in 32 bits. */
    for (int shift = -2; shift <= 30; shift++) {
        uint64_t mul = ((1000000000ULL << (32 - shift)) + hz / 2) / hz;

        if (mul <= UINT32_MAX) {
            s.mul = mul;
            s.shift = shift;
            break;
        }
    }
    return s;
}
