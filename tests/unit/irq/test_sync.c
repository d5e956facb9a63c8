// SPDX-License-Identifier: MIT
/* Trust in the TSC: kept while it deserves it, lost when it drifts, and time steered from then on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include "arch/fake/fake.h"
#include "arch/api/arch_time.h"
#include "arch/x86/time/private.h"
#include "kernel/softirq.h"
#include "kernel/timer.h"
#include <asm/msr.h>

/* The true time, in ns, and each CPU's TSC: offset + rate (parts per million off 2 GHz). */
static int64_t true_ns;
static int64_t tsc_offset[2], tsc_ppm[2];
static unsigned stall_one_in; /* a read of the platform's clock takes 5 ms now and then */

uint32_t cpu_khz = 2000000;
char opt_tsc[32];
DEFINE_PER_CPU(struct time_base, time_base);
static void (*timer_fn)(void *);
static unsigned softirqs;

uint64_t rdtsc(void)
{
    unsigned cpu = smp_processor_id();

    return true_ns * 2 + true_ns * 2 / 1000000 * tsc_ppm[cpu] + tsc_offset[cpu] + (1ULL << 50);
}

s_time_t NOW(void)
{
    const struct time_base *b = &this_cpu(time_base);

    true_ns += 20;
    return b->ns + scale_ticks(b->scale, rdtsc() - b->tsc);
}

s_time_t platform_time(void)
{
    s_time_t t;

    true_ns += 400;
    t = true_ns;
    true_ns += 400;
    if (stall_one_in && !(random() % stall_one_in))
        true_ns += 5000000;
    return t;
}

const char *platform_timer_name(void)
{
    return "test";
}

void timer_init(struct timer *t, void (*fn)(void *), void *data, unsigned cpu)
{
    (void)t;
    (void)data;
    (void)cpu;
    timer_fn = fn;
}

void timer_set(struct timer *t, s_time_t expires)
{
    (void)t;
    (void)expires;
}

void raise_softirq(enum softirq nr)
{
    if (nr == SOFTIRQ_SCHEDULE)
        softirqs++;
}

/* Begins again with both CPUs in step; trust cannot be regained, so order matters in main(). */
static void begin(void)
{
    fake_init(2);
    true_ns = 1000000;
    stall_one_in = 0;
    for (unsigned cpu = 0; cpu < 2; cpu++) {
        tsc_offset[cpu] = tsc_ppm[cpu] = 0;
        fake_run_on(cpu, NULL);
        per_cpu(time_base, cpu) =
            (struct time_base){.tsc = rdtsc(), .ns = true_ns, .scale = scale_for_hz(2000000000)};
    }
    fake_run_on(0, NULL);
}

static void second(void)
{
    true_ns += 1000000000;
    fake_run_on(0, NULL);
    timer_fn(NULL);
}

static int64_t error_on(unsigned cpu)
{
    s_time_t now;

    fake_run_on(cpu, NULL);
    now = NOW();
    fake_run_on(0, NULL);
    return now - true_ns;
}

static void test_good(void **state)
{
    (void)state;
    begin();
    cpumask_clear_cpu(1, &cpu_online_map); /* one thread cannot play two CPUs at once */
    time_check_sync();
    cpumask_set_cpu(1, &cpu_online_map);
    assert_true(tsc_trusted());
    tsc_ppm[0] = tsc_ppm[1] = 20; /* what calibration may err by */
    stall_one_in = 10;
    srandom(3);
    for (unsigned i = 0; i < 1000; i++)
        second();
    assert_true(tsc_trusted());
    assert_int_equal(softirqs, 0);
    /* Stopped for a minute: the TSC went on, the platform's clock did not. */
    tsc_offset[0] += 120000000000;
    tsc_offset[1] += 120000000000;
    for (unsigned i = 0; i < 10; i++)
        second();
    assert_true(tsc_trusted());
}

static void test_drift(void **state)
{
    int64_t last[2] = {0, 0};

    (void)state;
    begin();
    tsc_ppm[0] = 2000;
    tsc_ppm[1] = -3000;
    tsc_offset[1] = 5000; /* 2.5 us */
    for (unsigned i = 0; i < 60; i++) {
        for (unsigned part = 0; part < 10; part++) {
            true_ns += 100000000;
            for (unsigned cpu = 0; cpu < 2; cpu++) {
                s_time_t now;

                fake_run_on(cpu, NULL);
                now = NOW();
                assert_true(now >= last[cpu]); /* never back */
                last[cpu] = now;
            }
        }
        fake_run_on(0, NULL);
        timer_fn(NULL);
        if (i == 1)
            assert_true(tsc_trusted());
        if (i > 5)
            assert_false(tsc_trusted());
    }
    assert_true(softirqs > 0);
    for (unsigned cpu = 0; cpu < 2; cpu++)
        assert_in_range(error_on(cpu) + 20000, 0, 40000); /* within 20 us */
}

static void test_far_off(void **state)
{
    (void)state;
    begin();
    assert_false(tsc_trusted());
    tsc_offset[1] = 400000000; /* 0.2 s ahead */
    for (unsigned i = 0; i < 8; i++)
        second();
    for (unsigned cpu = 0; cpu < 2; cpu++)
        assert_in_range(error_on(cpu) + 20000, 0, 40000);
    /* At once, before anybody saw the time. */
    tsc_offset[1] += 4000000000;
    fake_run_on(1, NULL);
    time_sync_cpu((void *)1);
    assert_in_range(error_on(1) + 20000, 0, 40000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_drift),
        cmocka_unit_test(test_far_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
