// SPDX-License-Identifier: MIT
/* Locks, softirqs, tasklets, RCU and calls on other CPUs. */
#include "test.h"
#include "arch/fake/fake.h"
#include "kernel/cpu.h"
#include "kernel/lock.h"
#include "kernel/rcu.h"
#include "kernel/softirq.h"

#define CPUS 4

static int setup(void **state)
{
    (void)state;
    fake_init(CPUS);
    return 0;
}

#define assert_panics(text, ...)                                                                   \
    do {                                                                                           \
        if (fake_expect_panic()) {                                                                 \
            __VA_ARGS__;                                                                           \
            fail_msg("no panic");                                                                  \
        }                                                                                          \
        assert_non_null(strstr(fake_panic_text, text));                                            \
    } while (0)

/* ---- locks ---- */

static void test_lock_order(void **state)
{
    spinlock_t low = SPINLOCK_INIT(LOCK_DOMAIN), high = SPINLOCK_INIT(LOCK_HEAP);

    (void)state;
    spin_lock(&low);
    assert_true(spin_is_mine(&low));
    spin_lock(&high);
    spin_unlock(&low); /* in any order */
    assert_panics("lock order", spin_lock(&low));
    assert_true(spin_trylock(&low)); /* does not wait, so may */
    assert_false(spin_trylock(&low));
    spin_unlock(&low);
    spin_unlock(&high);
    assert_false(spin_is_locked(&high));
    spin_lock(&low);
    assert_panics("taken twice", spin_lock(&low));
    fake_run_on(1, NULL);
    assert_false(spin_is_mine(&low));
    assert_panics("does not hold", spin_unlock(&low));
    assert_panics("wait for ever", spin_lock(&low));
    low.tail--; /* the ticket that panicked */
    fake_run_on(0, NULL);
    spin_unlock(&low);
}

/* A handler comes on top of whatever was held with interrupts on; its own locks keep their order.
 */
static void test_lock_order_in_handlers(void **state)
{
    spinlock_t held = SPINLOCK_INIT(LOCK_PAGELIST), low = SPINLOCK_INIT(LOCK_EVENT),
               high = SPINLOCK_INIT(LOCK_HEAP);

    (void)state;
    spin_lock(&held);
    local_irq_disable();
    irq_enter();
    spin_lock(&low);
    spin_unlock(&low);
    spin_lock(&high);
    assert_panics("lock order", spin_lock(&low));
    spin_unlock(&high);
    irq_exit();
    local_irq_enable();
    spin_unlock(&held);
}

static void test_lock_wraps(void **state)
{
    spinlock_t l = SPINLOCK_INIT(LOCK_LEAF);

    (void)state;
    for (unsigned i = 0; i < 200000; i++) {
        if (i % 3)
            spin_lock(&l);
        else
            assert_true(spin_trylock(&l));
        assert_true(spin_is_locked(&l));
        assert_int_equal(l.level, LOCK_LEAF);
        spin_unlock(&l);
        assert_false(spin_is_locked(&l));
    }
}

static void test_lock_irq_use(void **state)
{
    spinlock_t l = SPINLOCK_INIT(LOCK_EVENT), m = SPINLOCK_INIT(LOCK_EVENT);
    unsigned long flags;

    (void)state;
    spin_lock_irqsave(&l, flags);
    assert_false(local_irq_is_enabled());
    spin_unlock_irqrestore(&l, flags);
    assert_true(local_irq_is_enabled());
    spin_lock(&m);
    spin_unlock(&m);

    local_irq_disable();
    irq_enter();
    spin_lock(&l);
    spin_unlock(&l);
    assert_panics("interrupt handlers", spin_lock(&m));
    irq_exit();
    local_irq_enable();
    assert_panics("interrupt handlers", spin_lock(&l));
}

static percpu_rwlock_t rw;

static void test_rwlock(void **state)
{
    (void)state;
    percpu_rwlock_init(&rw, LOCK_GRANT);
    percpu_read_lock(&rw);
    percpu_read_lock(&rw);
    fake_run_on(1, NULL);
    percpu_read_lock(&rw);
    percpu_read_unlock(&rw);
    assert_panics("waits for a reader", percpu_write_lock(&rw));
    /* The writer that panicked still announces itself; readers that nest go on, others do not. */
    fake_run_on(0, NULL);
    percpu_read_lock(&rw);
    percpu_read_unlock(&rw);
    percpu_read_unlock(&rw);
    percpu_read_unlock(&rw);
    fake_run_on(1, NULL);
    percpu_write_unlock(&rw);
    percpu_write_lock(&rw);
    percpu_write_unlock(&rw);
}

static void test_rwlocks_out_of_order(void **state)
{
    percpu_rwlock_t l[5];

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        percpu_rwlock_init(&l[i], LOCK_GRANT);
        percpu_read_lock(&l[i]);
    }
    for (unsigned i = 0; i < 5; i++)
        percpu_read_unlock(&l[(i * 2 + 1) % 5]);
    for (unsigned i = 0; i < 5; i++) {
        percpu_write_lock(&l[i]);
        percpu_write_unlock(&l[i]);
    }
}

/* ---- softirqs ---- */

static char order[64];

static void note(char c)
{
    strncat(order, &c, 1);
}

static void on_timer(void)
{
    note('t');
    if (strlen(order) < 3)
        raise_softirq(SOFTIRQ_TIMER);
}

static void on_arch(void)
{
    note('a');
}

static void on_schedule(void)
{
    note('s');
}

static void test_softirq_order(void **state)
{
    (void)state;
    order[0] = 0;
    open_softirq(SOFTIRQ_TIMER, on_timer);
    open_softirq(SOFTIRQ_ARCH, on_arch);
    open_softirq(SOFTIRQ_SCHEDULE, on_schedule);
    raise_softirq(SOFTIRQ_SCHEDULE);
    raise_softirq(SOFTIRQ_ARCH);
    raise_softirq(SOFTIRQ_TIMER);
    assert_true(softirq_pending(0));
    assert_false(softirq_pending(1));
    do_softirq();
    assert_string_equal(order, "tast"); /* what raises itself waits for the others */
    assert_false(softirq_pending_here());

    /* One interrupt, however often it is raised before the CPU has looked. */
    cpu_raise_softirq(2, SOFTIRQ_ARCH);
    cpu_raise_softirq(2, SOFTIRQ_ARCH);
    cpu_raise_softirq(0, SOFTIRQ_ARCH);
    assert_int_equal(fake_ipi[2].event_check, 1);
    assert_int_equal(fake_ipi[0].event_check, 0);
    fake_softirqs_all();
    cpu_raise_softirq(2, SOFTIRQ_ARCH);
    assert_int_equal(fake_ipi[2].event_check, 2);
    fake_softirqs_all();
}

static struct tasklet again_tasklet;
static unsigned runs;

static void again(void *data)
{
    assert_ptr_equal(data, &runs);
    assert_true(local_irq_is_enabled());
    if (++runs < 3)
        tasklet_schedule(&again_tasklet);
}

static void append(void *data)
{
    note((char)(uintptr_t)data);
}

static void test_tasklets(void **state)
{
    struct tasklet t[3];

    (void)state;
    order[0] = 0;
    tasklet_init(&again_tasklet, again, &runs);
    for (unsigned i = 0; i < 3; i++) {
        tasklet_init(&t[i], append, (void *)(uintptr_t)('1' + i));
        tasklet_schedule(&t[i]);
        tasklet_schedule(&t[i]);
    }
    tasklet_schedule(&again_tasklet);
    do_softirq();
    assert_string_equal(order, "123");
    assert_int_equal(runs, 3);
}

/* ---- RCU ---- */

struct object {
    struct rcu_head rcu;
    unsigned seen; /* CPUs that passed a quiescent point since call_rcu() */
    bool freed;
};

static void free_object(struct rcu_head *head)
{
    container_of(head, struct object, rcu)->freed = true;
}

/* A CPU passes a quiescent point without running softirqs. */
static void pass(unsigned cpu)
{
    fake_run_on(cpu, NULL);
    rcu_quiescent();
}

static void test_rcu_waits_for_all(void **state)
{
    struct object a = {0}, b = {0};

    (void)state;
    fake_run_on(1, NULL);
    call_rcu(&a.rcu, free_object);
    for (unsigned cpu = 0; cpu < CPUS; cpu++)
        if (cpu != 1) {
            assert_int_equal(fake_ipi[cpu].event_check, 1);
            pass(cpu);
        }
    /* All but CPU 1 have passed; what comes now waits for them again. */
    call_rcu(&b.rcu, free_object); /* on CPU 3 */
    fake_run_on(3, NULL);
    fake_softirqs();
    assert_false(a.freed || b.freed);
    fake_run_on(1, NULL);
    fake_softirqs();
    assert_true(a.freed);
    assert_false(b.freed);
    fake_softirqs_all();
    assert_true(b.freed);
}

static void test_rcu_random(void **state)
{
    static struct object pool[200];
    unsigned freed = 0;

    (void)state;
    memset(pool, 0, sizeof(pool));
    for (unsigned step = 0, used = 0; freed < 200; step++) {
        unsigned cpu = test_random(CPUS), before = 0;

        assert_true(step < 100000);
        fake_run_on(cpu, NULL);
        if (used < 200 && !test_random(3)) {
            pool[used].seen = 0;
            call_rcu(&pool[used++].rcu, free_object);
            continue;
        }
        for (unsigned i = 0; i < used; i++)
            before += pool[i].freed;
        /* The CPU's readers are done as soon as it comes to its softirqs. */
        for (unsigned i = 0; i < used; i++)
            if (!pool[i].freed)
                pool[i].seen |= 1u << cpu;
        fake_softirqs();
        freed = 0;
        for (unsigned i = 0; i < used; i++) {
            freed += pool[i].freed;
            if (pool[i].freed)
                assert_int_equal(pool[i].seen, (1u << CPUS) - 1);
        }
        assert_true(freed >= before);
    }
}

static void test_rcu_cpu_dies(void **state)
{
    struct object a = {0};

    (void)state;
    fake_run_on(3, NULL);
    call_rcu(&a.rcu, free_object);
    fake_run_on(0, NULL);
    cpumask_clear_cpu(3, &cpu_online_map);
    fake_softirqs_all();
    assert_false(a.freed);
    rcu_cpu_dead(3);
    fake_softirqs_all();
    assert_true(a.freed);
}

/* ---- calls ---- */

static cpumask_t called_on;

static void called(void *data)
{
    assert_ptr_equal(data, &called_on);
    assert_false(local_irq_is_enabled());
    assert_false(cpumask_test_and_set_cpu(smp_processor_id(), &called_on));
}

static void test_on_selected_cpus(void **state)
{
    cpumask_t mask;

    (void)state;
    cpumask_clear(&called_on);
    cpumask_clear(&mask);
    on_selected_cpus(&mask, called, &called_on);
    assert_true(cpumask_empty(&called_on));
    cpumask_set_cpu(0, &mask);
    on_selected_cpus(&mask, called, &called_on);
    assert_true(cpumask_equal(&called_on, &mask));
    cpumask_clear(&called_on);
    cpumask_setall(&mask); /* CPUs that are not online, too */
    on_selected_cpus(&mask, called, &called_on);
    assert_true(cpumask_equal(&called_on, &cpu_online_map));
    assert_int_equal(fake_ipi[0].call_function, 0);
    assert_int_equal(fake_ipi[3].call_function, 1);
    smp_call_interrupt(); /* spurious */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_lock_order, setup),
        cmocka_unit_test_setup(test_lock_order_in_handlers, setup),
        cmocka_unit_test_setup(test_lock_wraps, setup),
        cmocka_unit_test_setup(test_lock_irq_use, setup),
        cmocka_unit_test_setup(test_rwlock, setup),
        cmocka_unit_test_setup(test_rwlocks_out_of_order, setup),
        cmocka_unit_test_setup(test_softirq_order, setup),
        cmocka_unit_test_setup(test_tasklets, setup),
        cmocka_unit_test_setup(test_rcu_waits_for_all, setup),
        cmocka_unit_test_setup(test_rcu_random, setup),
        cmocka_unit_test_setup(test_rcu_cpu_dies, setup),
        cmocka_unit_test_setup(test_on_selected_cpus, setup),
    };

    return cmocka_run_group_tests_name("kernel-sync", tests, NULL, NULL);
}
