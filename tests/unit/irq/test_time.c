// SPDX-License-Identifier: MIT
/* Time: measuring a frequency under disturbance, scales, the calendar, what guests are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>
#include "arch/fake/fake.h"
#include "arch/api/arch_time.h"
#include "arch/x86/acpi/acpi.h"
#include "arch/x86/time/private.h"
#include "domain/domain.h"
#include "domain/unit.h"
#include "lib/errno.h"
#include <asm/io.h>
#include <asm/msr.h>

/* ---- a machine whose only clock is `ps`, picoseconds ---- */

static unsigned __int128 ps;
static uint64_t tsc_hz, ref_hz;
static uint64_t read_cost_ns;
static unsigned stall_one_in; /* the CPU loses its processor for 3 ms in one of so many reads */

static void pass_ns(uint64_t ns)
{
    ps += (unsigned __int128)ns * 1000;
}

static uint64_t counter_at(uint64_t hz)
{
    return (uint64_t)(ps * hz / 1000000000000ULL);
}

static void maybe_stall(void)
{
    if (stall_one_in && !(random() % stall_one_in))
        pass_ns(3000000);
}

static uint64_t read_counter(void)
{
    maybe_stall();
    pass_ns(20);
    return counter_at(tsc_hz);
}

static uint64_t ref_mask;
static uint64_t read_ref(void)
{
    uint64_t val;

    maybe_stall();
    pass_ns(read_cost_ns / 2);
    val = counter_at(ref_hz) & ref_mask;
    pass_ns(read_cost_ns - read_cost_ns / 2);
    return val;
}

static uint64_t read_stuck(void)
{
    return 42;
}

uint64_t rdtsc(void)
{
    return counter_at(tsc_hz);
}

static void check_measure(uint64_t hz, uint64_t ref, uint64_t mask, uint64_t cost, unsigned stalls,
                          double ppm)
{
    struct ref_clock clock = {.name = "test", .read = read_ref, .mask = mask, .hz = ref};
    unsigned bound;
    double got;

    tsc_hz = hz;
    ref_hz = ref;
    ref_mask = mask;
    read_cost_ns = cost;
    stall_one_in = stalls;
    got = measure_hz(read_counter, &clock, &bound);
    assert_true(got > hz * (1 - ppm / 1e6) && got < hz * (1 + ppm / 1e6));
    assert_true(bound <= 10 * ppm * 4 + 10);
}

static void test_measure(void **state)
{
    (void)state;
    srandom(1);
    check_measure(1000000000, 100000000, ~0ULL, 4, 0, 1); /* icount and HPET */
    check_measure(2793437000, 100000000, ~0ULL, 1500, 0, 20);
    check_measure(2793437000, 14318180, UINT32_MAX, 800, 0, 20);
    check_measure(3600000000, 3579545, 0xffffff, 1000, 0, 60);
    check_measure(2100000000, 1193182, 0xffff, 3000, 0, 120);  /* PIT */
    check_measure(2793437000, 100000000, ~0ULL, 1500, 50, 60); /* and often put aside */
    check_measure(2793437000, 3579545, 0xffffff, 1500, 50, 120);
}

static void test_stuck_reference(void **state)
{
    struct ref_clock clock = {.name = "stuck", .read = read_stuck, .mask = ~0ULL, .hz = 1000000};
    unsigned bound;

    (void)state;
    tsc_hz = 1000000000;
    assert_int_equal(measure_hz(read_counter, &clock, &bound), 0);
}

static void test_wrapping_reference(void **state)
{
    struct ref_clock clock = {.mask = 0xffffff, .hz = 3579545};

    (void)state;
    for (uint64_t real = 0; real < 1000000000; real += 777777) {
        uint64_t last = 0xabcdef, now = (last + real) & clock.mask;

        assert_int_equal(ref_elapsed(&clock, last, now, real), real);
        assert_int_equal(ref_elapsed(&clock, last, now, real + 5000000), real);
        assert_int_equal(ref_elapsed(&clock, last, now, real > 5000000 ? real - 5000000 : 0), real);
    }
    clock.mask = ~0ULL;
    assert_int_equal(ref_elapsed(&clock, 10, 15, 1ULL << 60), 5);
}

static void test_scale(void **state)
{
    static const uint64_t freqs[] = {1000,       32768,      3579545,    999999999,  1000000000,
                                     1000000001, 2793437000, 4000000000, 5700000000, 9000000000};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(freqs); i++) {
        struct time_scale s = scale_for_hz(freqs[i]);

        for (uint64_t sec = 1; sec < 4000000; sec *= 7) {
            uint64_t want = sec * 1000000000, got = scale_ticks(s, sec * freqs[i]);
            uint64_t off = got > want ? got - want : want - got;

            assert_true(off <= want / 1000000000 + 2); /* within 1 ppb */
        }
    }
    assert_int_equal(scale_for_hz(1000000000).mul, 0x80000000);
    assert_int_equal(scale_for_hz(1000000000).shift, 1);
}

/* ---- CMOS ---- */

static uint8_t cmos[128], cmos_index;

uint32_t sim_in(uint16_t port, unsigned size)
{
    (void)size;
    return port == 0x71 ? cmos[cmos_index & 0x7f] : 0xff;
}

void sim_out(uint32_t val, uint16_t port, unsigned size)
{
    (void)size;
    if (port == 0x70)
        cmos_index = val;
}

struct acpi_info acpi;
uint32_t cpu_khz = 2000000;
static bool trusted = true;
DEFINE_PER_CPU(struct time_base, time_base);

bool tsc_trusted(void)
{
    return trusted;
}

static uint8_t bcd(unsigned v)
{
    return v / 10 << 4 | v % 10;
}

static void test_rtc(void **state)
{
    (void)state;
    acpi.century = 0x32;
    for (int64_t t = 0; t < 5000000000LL; t += 12345677) {
        time_t tt = t;
        struct tm tm;
        bool binary = t & 1, h24 = t & 2;
        unsigned hour;

        gmtime_r(&tt, &tm);
        hour = h24 ? tm.tm_hour : (tm.tm_hour + 11) % 12 + 1;
        cmos[0] = binary ? tm.tm_sec : bcd(tm.tm_sec);
        cmos[2] = binary ? tm.tm_min : bcd(tm.tm_min);
        cmos[4] = (binary ? hour : bcd(hour)) | (!h24 && tm.tm_hour >= 12 ? 0x80 : 0);
        cmos[7] = binary ? tm.tm_mday : bcd(tm.tm_mday);
        cmos[8] = binary ? tm.tm_mon + 1 : bcd(tm.tm_mon + 1);
        cmos[9] = binary ? tm.tm_year % 100 : bcd(tm.tm_year % 100);
        cmos[0x32] = binary ? 19 + tm.tm_year / 100 : bcd(19 + tm.tm_year / 100);
        cmos[11] = (binary ? 4 : 0) | (h24 ? 2 : 0);
        assert_int_equal(rtc_read(), t);
    }
    cmos[8] = 0;
    assert_int_equal(rtc_read(), 0);
    cmos[8] = 13;
    cmos[11] = 6;
    assert_int_equal(rtc_read(), 0);
}

/* ---- what guests are told ---- */

static struct domain *d;
static struct vcpu_info info[2];
static struct shared_info shared;

static int setup(void **state)
{
    (void)state;
    fake_init(2);
    fake_ram_init(64);
    d = fake_domain(1, 2);
    memset(info, 0, sizeof(info));
    memset(&shared, 0, sizeof(shared));
    d->vcpu[0]->info = &info[0];
    d->vcpu[1]->info = &info[1];
    d->shared_info = &shared;
    trusted = true;
    tsc_hz = 2000000000;
    for (unsigned cpu = 0; cpu < 2; cpu++)
        per_cpu(time_base, cpu) =
            (struct time_base){.tsc = 1000, .ns = 500, .scale = scale_for_hz(tsc_hz)};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < d->max_vcpus; i++)
        xfree(d->vcpu[i]);
    xfree(d->vcpu);
    fake_ram_free();
    return 0;
}

/* As a guest computes it. */
static uint64_t guest_time(const struct vcpu_time_info *t, uint64_t tsc)
{
    uint64_t delta = tsc - t->tsc_timestamp;

    assert_false(t->version & 1);
    delta = t->tsc_shift < 0 ? delta >> -t->tsc_shift : delta << t->tsc_shift;
    return t->system_time + (uint64_t)((unsigned __int128)delta * t->tsc_to_system_mul >> 32);
}

static void test_vcpu_time(void **state)
{
    struct vcpu *v = d->vcpu[0];
    uint32_t version;

    (void)state;
    assert_int_equal(arch_set_tsc_mode(d, TSC_MODE_DEFAULT, 0, 0, 0), 0);
    assert_false(d->arch.vtsc);
    arch_update_vcpu_time(v);
    assert_int_equal(info[0].time.flags, XEN_PVCLOCK_TSC_STABLE_BIT);
    assert_int_equal(guest_time(&info[0].time, 1000 + 2 * 7777), 500 + 7777);
    version = info[0].time.version;
    arch_update_vcpu_time(v);
    assert_int_equal(info[0].time.version, version); /* nothing new, nothing written */
    trusted = false;
    arch_update_vcpu_time(v);
    assert_int_equal(info[0].time.version, version + 2);
    assert_int_equal(info[0].time.flags, 0);
}

static void test_secondary_area(void **state)
{
    struct vcpu *v = d->vcpu[0];
    struct vcpu_time_info area = {0};

    (void)state;
    arch_set_tsc_mode(d, TSC_MODE_DEFAULT, 0, 0, 0);
    v->time_guest = (uintptr_t)&area;
    fake_run_on(0, d->vcpu[1]);
    arch_update_vcpu_time(v); /* its memory is out of reach */
    assert_int_equal(area.version, 0);
    assert_int_equal(guest_time(&info[0].time, 3000), 1500);
    fake_run_on(0, v);
    arch_update_vcpu_time(v);
    assert_int_equal(guest_time(&area, 3000), 1500);
    assert_int_equal(area.version, info[0].time.version);
    /* It takes its page away: no harm. */
    trusted = false;
    fake_guest_fault((uintptr_t)&area, sizeof(area));
    arch_update_vcpu_time(v);
    fake_guest_fault(0, 0);
    assert_int_equal(info[0].time.flags, 0);
}

static void test_emulated_tsc(void **state)
{
    uint32_t mode, khz, inc;
    uint64_t elapsed;

    (void)state;
    fake_now = SECONDS(100);
    assert_int_equal(arch_set_tsc_mode(d, 3, 0, 0, 0), -EINVAL);
    assert_int_equal(arch_set_tsc_mode(d, TSC_MODE_DEFAULT, 0, 10, 0), -EINVAL);
    /* Came from a machine of 3 GHz, where it ran for 1000 s: longer than this one. */
    assert_int_equal(arch_set_tsc_mode(d, TSC_MODE_DEFAULT, SECONDS(1000), 3000000, 4), 0);
    assert_true(d->arch.vtsc);
    arch_get_tsc_mode(d, &mode, &elapsed, &khz, &inc);
    assert_int_equal(mode, TSC_MODE_DEFAULT);
    assert_int_equal(elapsed, SECONDS(1000));
    assert_int_equal(khz, 3000000);
    assert_int_equal(inc, 4);
    assert_int_equal(arch_guest_tsc(d->vcpu[0]), 3000000000ULL * 1000);
    fake_now += SECONDS(1);
    assert_int_equal(arch_guest_tsc(d->vcpu[0]), 3000000000ULL * 1001);
    /* What it computes from the TSC and from the time info agree. */
    arch_update_vcpu_time(d->vcpu[0]);
    assert_in_range(guest_time(&info[0].time, arch_guest_tsc(d->vcpu[0])), fake_now - 500,
                    fake_now + 500);
    assert_int_equal(info[0].time.flags, XEN_PVCLOCK_TSC_STABLE_BIT);
    /* One that ticks as fast as ours needs no emulation, unless asked for, or the TSC is bad. */
    arch_set_tsc_mode(d, TSC_MODE_DEFAULT, 0, cpu_khz, 1);
    assert_false(d->arch.vtsc);
    arch_set_tsc_mode(d, TSC_MODE_ALWAYS, 0, 0, 1);
    assert_true(d->arch.vtsc);
    trusted = false;
    arch_set_tsc_mode(d, TSC_MODE_DEFAULT, 0, 0, 1);
    assert_true(d->arch.vtsc);
    arch_set_tsc_mode(d, TSC_MODE_NEVER, 0, 0, 1);
    assert_false(d->arch.vtsc);
}

/* A hardware-virtualised guest's TSC begins with it, and goes on where it was. */
static void test_own_tsc(void **state)
{
    struct vcpu *v = d->vcpu[0];
    uint64_t saved;

    (void)state;
    d->is_hvm = true;
    fake_now = SECONDS(100);
    assert_int_equal(arch_set_tsc_mode(d, TSC_MODE_DEFAULT, 0, 0, 0), 0);
    assert_false(d->arch.vtsc);
    assert_in_range(arch_guest_tsc(v), 0, 1000);
    arch_update_vcpu_time(v);
    assert_int_equal(guest_time(&info[0].time, 1000 + 2 * 7777 + d->arch.tsc_offset), 500 + 7777);
    assert_int_equal(info[0].time.flags, XEN_PVCLOCK_TSC_STABLE_BIT);
    saved = 3000000000000001; /* where it was for two weeks */
    arch_set_guest_tsc(d, saved);
    assert_in_range(arch_guest_tsc(v) - saved, 0, 1000);
    arch_update_vcpu_time(v);
    assert_int_equal(guest_time(&info[0].time, 1000 + 2 * 7777 + d->arch.tsc_offset), 500 + 7777);
    /* On a host that ticks otherwise it is emulated from there on, and never goes back. */
    assert_int_equal(arch_set_tsc_mode(d, TSC_MODE_DEFAULT, SECONDS(1), 2793437, 0), 0);
    assert_true(d->arch.vtsc);
    arch_set_guest_tsc(d, saved);
    assert_in_range(arch_guest_tsc(v) - saved, 0, 10);
    arch_update_vcpu_time(v);
    assert_in_range(guest_time(&info[0].time, arch_guest_tsc(v)), fake_now - 1000000,
                    fake_now + 1000000);
    arch_set_guest_tsc(d, UINT64_MAX);
    /* The real one of a PV guest cannot be shifted. */
    d->is_hvm = false;
    assert_int_equal(arch_set_tsc_mode(d, TSC_MODE_NEVER, SECONDS(5), 0, 0), 0);
    assert_false(d->arch.own_tsc);
    assert_int_equal(d->arch.tsc_offset, 0);
}

static void test_wallclock(void **state)
{
    uint64_t sec;
    uint32_t nsec;

    (void)state;
    wallclock_set(1700000000, 100, SECONDS(5) + 200);
    wallclock_get(&sec, &nsec);
    assert_int_equal(sec, 1700000000 - 6);
    assert_int_equal(nsec, 999999900);
    d->time_offset = -3600;
    arch_update_wallclock(d);
    assert_int_equal(shared.wc_sec, 1700000000 - 6 - 3600);
    assert_int_equal(shared.wc_sec_hi, 0);
    assert_int_equal(shared.wc_nsec, 999999900);
    assert_int_equal(shared.wc_version, 2);
    shared.wc_version = 7; /* the guest scribbles: it stays well-formed */
    wallclock_set(1ULL << 33, 0, 0);
    d->time_offset = 0;
    arch_update_wallclock(d);
    assert_int_equal(shared.wc_version & 1, 0);
    assert_int_equal(shared.wc_sec_hi, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_measure),
        cmocka_unit_test(test_stuck_reference),
        cmocka_unit_test(test_wrapping_reference),
        cmocka_unit_test(test_scale),
        cmocka_unit_test(test_rtc),
        cmocka_unit_test_setup_teardown(test_vcpu_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_secondary_area, setup, teardown),
        cmocka_unit_test_setup_teardown(test_emulated_tsc, setup, teardown),
        cmocka_unit_test_setup_teardown(test_own_tsc, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wallclock, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
