// SPDX-License-Identifier: MIT
/* Timers: against a model that keeps a plain array. */
#include "test.h"
#include "arch/fake/fake.h"
#include "arch/api/arch_time.h"
#include "kernel/softirq.h"
#include "kernel/timer.h"

#define CPUS   3
#define TIMERS 60

struct tracked {
    struct timer t;
    s_time_t due; /* S_TIME_NEVER: not set */
    unsigned cpu, fired;
};
static struct tracked timers[TIMERS];

static void fired(void *data)
{
    struct tracked *x = data;

    assert_true(local_irq_is_enabled());
    assert_int_equal(smp_processor_id(), x->t.cpu);
    assert_true(NOW() >= x->due);
    assert_false(x->t.set);
    x->due = S_TIME_NEVER;
    x->fired++;
}

static int setup(void **state)
{
    (void)state;
    fake_init(CPUS);
    for (unsigned cpu = 0; cpu < CPUS; cpu++) {
        fake_run_on(cpu, NULL);
        timer_cpu_init(cpu);
        timer_interrupt(); /* the last test's deadline is over */
    }
    fake_run_on(0, NULL);
    timer_subsys_init();
    fake_softirqs_all();
    for (unsigned i = 0; i < TIMERS; i++) {
        timers[i] = (struct tracked){.due = S_TIME_NEVER};
        timer_init(&timers[i].t, fired, &timers[i], i % CPUS);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < TIMERS; i++)
        timer_kill(&timers[i].t);
    fake_softirqs_all();
    return 0;
}

static void set(struct tracked *x, s_time_t due)
{
    x->due = due;
    timer_set(&x->t, due);
}

static void test_order(void **state)
{
    (void)state;
    set(&timers[0], 300);
    assert_int_equal(fake_deadline[0], 300);
    set(&timers[3], 100);
    assert_int_equal(fake_deadline[0], 100);
    set(&timers[6], 200);
    assert_int_equal(fake_deadline[0], 100);
    fake_advance_to(99);
    assert_int_equal(timers[3].fired, 0);
    fake_advance_to(250);
    assert_int_equal(timers[3].fired, 1);
    assert_int_equal(timers[6].fired, 1);
    assert_int_equal(fake_deadline[0], 300);
    timer_stop(&timers[0].t);
    timers[0].due = S_TIME_NEVER;
    fake_advance_to(1000);
    assert_int_equal(timers[0].fired, 0);
    assert_int_equal(fake_deadline[0], S_TIME_NEVER);
}

/* A time in the past: at the next softirqs. */
static void test_past(void **state)
{
    (void)state;
    fake_now = 5000;
    set(&timers[0], 10);
    assert_int_equal(fake_deadline[0], 10);
    fake_advance_to(5000);
    assert_int_equal(timers[0].fired, 1);
}

static void test_remote(void **state)
{
    (void)state;
    set(&timers[1], 500); /* CPU 1's, from CPU 0 */
    assert_int_equal(fake_ipi[1].event_check, 1);
    assert_int_equal(fake_deadline[1], S_TIME_NEVER);
    fake_softirqs_all();
    assert_int_equal(fake_deadline[1], 500);
    timer_migrate(&timers[1].t, 2);
    fake_softirqs_all();
    assert_int_equal(fake_deadline[2], 500);
    timers[1].due = 400;
    timer_set_here(&timers[1].t, 400);
    assert_int_equal(timers[1].t.cpu, 0);
    assert_int_equal(fake_deadline[0], 400);
    fake_advance_to(600);
    assert_int_equal(timers[1].fired, 1);
}

static void test_killed(void **state)
{
    struct timer never = {0};

    (void)state;
    set(&timers[0], 100);
    timer_kill(&timers[0].t);
    timer_set(&timers[0].t, 200);
    assert_false(timers[0].t.set);
    fake_advance_to(1000);
    assert_int_equal(timers[0].fired, 0);
    timer_kill(&never); /* not even initialised */
}

static void again(void *data)
{
    struct timer *t = data;

    timers[0].fired++;
    timer_set(t, NOW() + 10);
}

static void test_rearms_itself(void **state)
{
    struct timer t;

    (void)state;
    timer_init(&t, again, &t, 0);
    timer_set(&t, 10);
    fake_advance_to(1005);
    assert_int_equal(timers[0].fired, 100);
    timer_kill(&t);
}

static unsigned turns, others_turn;

static void at_once_again(void *data)
{
    if (++turns < 1000)
        timer_set(data, NOW());
}

static void other(void)
{
    others_turn = turns;
}

/* However much timers have to do, what else waits has its turn. */
static void test_takes_turns(void **state)
{
    static struct timer t;

    (void)state;
    open_softirq(SOFTIRQ_SCHEDULE, other);
    timer_init(&t, at_once_again, &t, 0);
    timer_set(&t, NOW());
    raise_softirq(SOFTIRQ_TIMER);
    raise_softirq(SOFTIRQ_SCHEDULE);
    fake_softirqs_all();
    assert_int_equal(turns, 1000);
    assert_in_range(others_turn, 1, 100);
    timer_kill(&t);
}

static void check_deadlines(void)
{
    for (unsigned cpu = 0; cpu < CPUS; cpu++) {
        s_time_t first = S_TIME_NEVER;

        for (unsigned i = 0; i < TIMERS; i++)
            if (timers[i].t.cpu == cpu && timers[i].due < first)
                first = timers[i].due;
        /* The hardware never comes late; it may come early, for one that was stopped. */
        assert_true(fake_deadline[cpu] <= first || softirq_pending(cpu));
    }
}

static void test_random_against_model(void **state)
{
    unsigned long expected = 0, total;
    s_time_t to;

    (void)state;
    for (unsigned step = 0; step < 30000; step++) {
        struct tracked *x = &timers[test_random(TIMERS)];

        fake_run_on(test_random(CPUS), NULL);
        switch (test_random(6)) {
        case 0:
        case 1:
            set(x, fake_now + test_random(2000));
            break;
        case 2:
            x->due = fake_now + test_random(2000);
            timer_set_here(&x->t, x->due);
            break;
        case 3:
            timer_stop(&x->t);
            x->due = S_TIME_NEVER;
            break;
        case 4:
            timer_migrate(&x->t, test_random(CPUS));
            break;
        default:
            to = fake_now + test_random(300);
            for (unsigned i = 0; i < TIMERS; i++)
                expected += timers[i].due <= to;
            fake_softirqs_all();
            fake_advance_to(to);
            total = 0;
            for (unsigned i = 0; i < TIMERS; i++) {
                total += timers[i].fired;
                assert_true(timers[i].due > to);
            }
            assert_int_equal(total, expected);
        }
        for (unsigned i = 0; i < TIMERS; i++)
            assert_int_equal(timers[i].t.set, timers[i].due != S_TIME_NEVER);
        check_deadlines();
    }
    assert_true(expected > 1000);
}

static void test_cpu_dies(void **state)
{
    (void)state;
    for (unsigned i = 0; i < TIMERS; i++)
        set(&timers[i], 100 + i);
    fake_softirqs_all();
    cpumask_clear_cpu(2, &cpu_online_map);
    fake_deadline[2] = S_TIME_NEVER;
    timer_cpu_dead(2);
    fake_advance_to(1000);
    for (unsigned i = 0; i < TIMERS; i++)
        assert_int_equal(timers[i].fired, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_past, setup, teardown),
        cmocka_unit_test_setup_teardown(test_remote, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rearms_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(test_takes_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_against_model, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cpu_dies, setup, teardown),
    };

    return cmocka_run_group_tests_name("kernel-timer", tests, NULL, NULL);
}
