// SPDX-License-Identifier: MIT
/* The scheduler: switching, pausing, affinity, fairness, accounts, and all of it at random. */
#include "ground.h"
#include "domain/unit.h"

static uint64_t ran(const struct vcpu *v)
{
    return vcpu_cpu_time(v);
}

static void test_runs_and_pauses(void **state)
{
    struct domain *d;
    struct vcpu *v;

    (void)state;
    ground_init(2);
    d = ground_domain(1, 1);
    v = d->vcpu[0];
    fake_softirqs_all();
    assert_null(ground_runs(v->processor));
    assert_int_equal(domain_unpause_by_tools(d), 0);
    fake_softirqs_all();
    assert_ptr_equal(ground_runs(v->processor), v);
    ground_check();

    /* Pauses nest; those of the tools and of the hypervisor are counted apart. */
    vcpu_pause_nosync(v);
    fake_softirqs_all();
    assert_null(ground_runs(v->processor));
    assert_int_equal(domain_pause_by_tools(d), 0);
    assert_int_equal(domain_pause_by_tools(d), 0);
    domain_pause_nosync(d);
    vcpu_unpause(v);
    assert_int_equal(domain_unpause_by_tools(d), 0);
    assert_int_equal(domain_unpause_by_tools(d), 0);
    assert_int_equal(domain_unpause_by_tools(d), -EINVAL);
    fake_softirqs_all();
    assert_null(ground_runs(v->processor));
    domain_unpause(d);
    fake_softirqs_all();
    assert_ptr_equal(ground_runs(v->processor), v);
    for (unsigned i = 0; i < 255; i++)
        assert_int_equal(domain_pause_by_tools(d), 0);
    assert_int_equal(domain_pause_by_tools(d), -E2BIG);
    assert_int_equal(d->pause_count, 255);
    ground_check();
}

/* vcpu_pause() waits until the other CPU has let go of the vcpu. */
static void test_pause_waits(void **state)
{
    struct domain *d;
    struct vcpu *v;
    cpumask_t on1;

    (void)state;
    ground_init(2);
    d = ground_domain(1, 1);
    v = d->vcpu[0];
    cpumask_clear(&on1);
    cpumask_set_cpu(1, &on1);
    assert_int_equal(vcpu_set_hard_affinity(v, &on1), 0);
    domain_unpause_by_tools(d);
    fake_softirqs_all();
    assert_ptr_equal(ground_runs(1), v);
    fake_run_on(0, idle_domain->vcpu[0]);
    fake_relax_hook = ground_others_go_on;
    vcpu_pause(v);
    fake_relax_hook = NULL;
    assert_false(v->is_running);
    assert_int_equal(v->runstate.state, RUNSTATE_offline);
    vcpu_unpause(v);
    fake_softirqs_all();
    assert_ptr_equal(ground_runs(1), v);
}

static void test_block_and_wake(void **state)
{
    struct domain *d;
    struct vcpu *v;

    (void)state;
    ground_init(1);
    d = ground_domain(1, 1);
    v = d->vcpu[0];
    domain_unpause_by_tools(d);
    fake_softirqs_all();
    ground_be(v);
    v->info->evtchn_upcall_pending = 1; /* too late to block */
    vcpu_block();
    assert_int_equal(v->pause_flags, 0);
    v->info->evtchn_upcall_pending = 0;
    vcpu_block();
    fake_softirqs_all();
    assert_int_equal(v->runstate.state, RUNSTATE_blocked);
    assert_null(ground_runs(0));
    ground_pass(MILLISECS(7));
    vcpu_unblock(v);
    vcpu_unblock(v);
    assert_int_equal(v->runstate.state, RUNSTATE_runnable);
    fake_softirqs_all();
    assert_ptr_equal(ground_runs(0), v);
    assert_int_equal(v->runstate.time[RUNSTATE_blocked], MILLISECS(7));
    assert_int_equal(cpu_idle_time(0), MILLISECS(7));
    /* A wake-up between blocking and the switch: no switch. */
    ground_be(v);
    vcpu_block();
    vcpu_unblock(v);
    fake_softirqs_all();
    assert_ptr_equal(ground_runs(0), v);
    ground_check();
}

/* A wake-up while the vcpu's registers are still being saved: it stays on that CPU. */
static void test_wake_during_save(void **state)
{
    struct domain *d;
    struct vcpu *v;
    unsigned cpu;

    (void)state;
    ground_init(3);
    d = ground_domain(1, 1);
    v = d->vcpu[0];
    domain_unpause_by_tools(d);
    fake_softirqs_all();
    cpu = v->processor;
    ground_be(v);
    fake_lazy_save = true;
    vcpu_block();
    fake_softirqs();
    assert_true(v->is_running);
    assert_int_equal(v->runstate.state, RUNSTATE_blocked);
    fake_run_on((cpu + 1) % 3, per_cpu(sched_cpu, (cpu + 1) % 3).curr);
    vcpu_unblock(v);
    assert_int_equal(v->processor, cpu);
    assert_int_equal(v->runstate.state, RUNSTATE_runnable);
    /* Others find nothing to take while it is there. */
    raise_softirq(SOFTIRQ_SCHEDULE);
    fake_softirqs();
    assert_null(ground_runs((cpu + 1) % 3));
    sched_context_saved(v);
    fake_lazy_save = false;
    fake_softirqs_all();
    assert_ptr_equal(ground_runs(v->processor), v);
    ground_check();
}

static void test_spreads_and_steals(void **state)
{
    struct domain *d;
    unsigned busy = 0;
    cpumask_t none;

    (void)state;
    ground_init(4);
    d = ground_domain(1, 8);
    domain_unpause_by_tools(d);
    fake_softirqs_all();
    for (unsigned cpu = 0; cpu < 4; cpu++)
        busy += ground_runs(cpu) != NULL;
    assert_int_equal(busy, 4);
    /* All but four block: whoever is left runs, wherever it was queued. */
    for (unsigned i = 0, blocked = 0; i < 8 && blocked < 4; i++)
        if (d->vcpu[i]->runstate.state == RUNSTATE_running) {
            ground_be(d->vcpu[i]);
            vcpu_block();
            blocked++;
        }
    fake_softirqs_all();
    for (unsigned cpu = 0; cpu < 4; cpu++)
        assert_non_null(ground_runs(cpu));
    cpumask_clear(&none);
    assert_int_equal(vcpu_set_hard_affinity(d->vcpu[0], &none), -EINVAL);
    ground_check();
}

static void test_affinity_moves(void **state)
{
    struct domain *d;
    struct vcpu *v;

    (void)state;
    ground_init(4);
    d = ground_domain(1, 1);
    v = d->vcpu[0];
    domain_unpause_by_tools(d);
    for (unsigned i = 0; i < 200; i++) {
        unsigned to = test_random(4);
        cpumask_t mask;

        cpumask_clear(&mask);
        cpumask_set_cpu(to, &mask);
        if (test_random(2))
            fake_softirqs_all(); /* it runs, or is queued, or is blocked */
        if (v->runstate.state == RUNSTATE_running && test_random(2)) {
            ground_be(v);
            vcpu_block();
        }
        fake_run_on(test_random(4), NULL);
        fake_run_on(fake_cpu, per_cpu(sched_cpu, fake_cpu).curr);
        assert_int_equal(vcpu_set_hard_affinity(v, &mask), 0);
        if (test_random(2))
            fake_softirqs_all();
        vcpu_unblock(v);
        fake_softirqs_all();
        assert_int_equal(v->processor, to);
        assert_ptr_equal(ground_runs(to), v);
        ground_check();
    }
}

static void test_fair(void **state)
{
    struct domain *d[3];
    uint64_t total = 0;

    (void)state;
    ground_init(1);
    for (unsigned i = 0; i < 3; i++) {
        d[i] = ground_domain(i + 1, 1);
        domain_unpause_by_tools(d[i]);
    }
    ground_pass(SECONDS(3));
    for (unsigned i = 0; i < 3; i++) {
        assert_in_range(ran(d[i]->vcpu[0]), MILLISECS(980), MILLISECS(1020));
        total += ran(d[i]->vcpu[0]);
    }
    assert_int_equal(total, SECONDS(3));
    assert_int_equal(cpu_idle_time(0), 0);
    /* Nobody interrupts who is alone. */
    vcpu_pause_nosync(d[0]->vcpu[0]);
    vcpu_pause_nosync(d[1]->vcpu[0]);
    fake_softirqs_all();
    ground_pass(MILLISECS(100));
    assert_int_equal(fake_deadline[0], S_TIME_NEVER);
}

/* Three always busy on two CPUs, five on three: all get about the same. */
static void test_fair_between_cpus(void **state)
{
    (void)state;
    for (unsigned cpus = 2; cpus <= 3; cpus++) {
        unsigned n = cpus * 2 - 1;
        struct domain *d;
        uint64_t share = SECONDS(6) * cpus / n;

        ground_init(cpus);
        d = ground_domain(1, n);
        domain_unpause_by_tools(d);
        ground_pass(SECONDS(6));
        for (unsigned i = 0; i < n; i++)
            assert_in_range(ran(d->vcpu[i]), share * 8 / 10, share * 12 / 10);
    }
}

/* 512 vcpus of one guest on 64 CPUs, and one of another's, which has its share all the same. */
static void test_512_vcpus(void **state)
{
    struct domain *large, *small;
    uint64_t least = UINT64_MAX, most = 0;

    (void)state;
    ground_init(64);
    large = ground_domain(1, 512);
    small = ground_domain(2, 1);
    assert_int_equal(domain_unpause_by_tools(large), 0);
    assert_int_equal(domain_unpause_by_tools(small), 0);
    ground_pass(SECONDS(4));
    for (unsigned i = 0; i < 512; i++) {
        least = min(least, ran(large->vcpu[i]));
        most = max(most, ran(large->vcpu[i]));
    }
    /* 64 * 4 s / 512 is 500 ms; who shares a CPU with the other guest has half of that. */
    assert_true(least > MILLISECS(200));
    assert_true(most < MILLISECS(700));
    assert_true(ran(small->vcpu[0]) > MILLISECS(1500));
    ground_check();
    vcpu_pause_nosync(large->vcpu[511]);
    fake_softirqs_all();
    least = ran(large->vcpu[511]);
    ground_pass(MILLISECS(500));
    assert_int_equal(ran(large->vcpu[511]), least);
    ground_destroy(large);
    ground_destroy(small);
    ground_check();
}

static void test_cpu_down_and_up(void **state)
{
    struct domain *d;
    cpumask_t on2;

    (void)state;
    ground_init(3);
    d = ground_domain(1, 5);
    list_add_tail(&d->list, &domain_list);
    cpumask_clear(&on2);
    cpumask_set_cpu(2, &on2);
    assert_int_equal(vcpu_set_hard_affinity(d->vcpu[4], &on2), 0);
    domain_unpause_by_tools(d);
    ground_pass(MILLISECS(50));
    /* The CPU leaves: what ran there is off it, and it plays no more. */
    cpumask_clear_cpu(2, &cpu_online_map);
    if (ground_runs(2)) {
        struct vcpu *v = ground_runs(2);

        vcpu_pause_nosync(v);
        fake_run_on(2, v);
        raise_softirq(SOFTIRQ_SCHEDULE);
        fake_softirqs();
        assert_null(ground_runs(2));
        fake_run_on(0, per_cpu(sched_cpu, 0).curr);
        units_cpu_down(2);
        vcpu_unpause(v);
    } else {
        units_cpu_down(2);
    }
    fake_deadline[2] = S_TIME_NEVER;
    ground_pass(SECONDS(1));
    for (unsigned i = 0; i < 5; i++) {
        assert_true(d->vcpu[i]->processor < 2);
        assert_true(ran(d->vcpu[i]) > MILLISECS(200));
    }
    cpumask_setall(&on2);
    assert_int_equal(vcpu_set_hard_affinity(d->vcpu[4], &on2), 0);
    assert_int_equal(units_cpu_up(2), 0);
    cpumask_set_cpu(2, &cpu_online_map);
    fake_run_on(2, per_cpu(sched_cpu, 2).idle);
    sched_cpu_start(2);
    raise_softirq(SOFTIRQ_SCHEDULE);
    ground_pass(SECONDS(1));
    assert_non_null(ground_runs(2));
    list_del(&d->list);
}

static void test_weight(void **state)
{
    struct xen_domctl_scheduler_op op = {.sched_id = XEN_SCHEDULER_CREDIT2,
                                         .cmd = XEN_DOMCTL_SCHEDOP_putinfo};
    struct domain *a, *b;
    uint64_t ra, rb;

    (void)state;
    ground_init(1);
    a = ground_domain(1, 1);
    b = ground_domain(2, 1);
    op.u.credit2.weight = 512;
    op.u.credit2.cap = 50;
    assert_int_equal(sched_domctl(a, &op), 0);
    op.cmd = XEN_DOMCTL_SCHEDOP_getinfo;
    op.u.credit2.weight = 0;
    assert_int_equal(sched_domctl(a, &op), 0);
    assert_int_equal(op.u.credit2.weight, 512);
    assert_int_equal(op.u.credit2.cap, 50);
    assert_int_equal(sched_domctl(b, &op), 0);
    assert_int_equal(op.u.credit2.weight, 256);
    op.sched_id = XEN_SCHEDULER_CREDIT;
    assert_int_equal(sched_domctl(b, &op), -EINVAL);
    domain_unpause_by_tools(a);
    domain_unpause_by_tools(b);
    ground_pass(SECONDS(3));
    ra = ran(a->vcpu[0]);
    rb = ran(b->vcpu[0]);
    assert_in_range(ra * 100 / rb, 190, 210);
}

/* A vcpu that does little is served at once among busy ones; many of them do not starve the busy.
 */
static void test_sleepers(void **state)
{
    struct domain *busy, *quick;
    struct vcpu *v;
    s_time_t worst = 0;
    uint64_t before;

    (void)state;
    ground_init(1);
    busy = ground_domain(1, 4);
    quick = ground_domain(2, 1);
    v = quick->vcpu[0];
    domain_unpause_by_tools(busy);
    domain_unpause_by_tools(quick);
    for (unsigned i = 0; i < 50; i++) {
        s_time_t woken;

        while (v->runstate.state != RUNSTATE_running)
            ground_pass(MICROSECS(50));
        ground_pass(MICROSECS(200));
        if (v->runstate.state == RUNSTATE_running) {
            ground_be(v);
            vcpu_block();
            fake_softirqs_all();
        }
        ground_pass(MILLISECS(20) + MICROSECS(test_random(9000)));
        woken = fake_now;
        vcpu_unblock(v);
        fake_softirqs_all();
        while (v->runstate.state != RUNSTATE_running)
            ground_pass(MICROSECS(50));
        if (i > 3)
            worst = worst > fake_now - woken ? worst : fake_now - woken;
    }
    assert_true(worst <= MILLISECS(1) + MICROSECS(100));

    /* The vcpu now wakes without end, using up its turns: the others still get theirs. */
    before = ran(busy->vcpu[0]);
    for (unsigned i = 0; i < 4000; i++) {
        if (v->runstate.state == RUNSTATE_running) {
            ground_be(v);
            vcpu_block();
            fake_softirqs_all();
            vcpu_unblock(v);
        }
        ground_pass(MICROSECS(250));
    }
    assert_true(ran(busy->vcpu[0]) - before > MILLISECS(150)); /* of a second: a fifth is its due */
}

static void test_yield(void **state)
{
    struct domain *a, *b;

    (void)state;
    ground_init(1);
    a = ground_domain(1, 1);
    b = ground_domain(2, 1);
    domain_unpause_by_tools(a);
    domain_unpause_by_tools(b);
    fake_softirqs_all();
    for (unsigned i = 0; i < 10; i++) {
        struct vcpu *v = ground_runs(0);

        ground_be(v);
        vcpu_yield();
        fake_softirqs_all();
        assert_ptr_not_equal(ground_runs(0), v);
        fake_now += 100;
    }
    vcpu_pause_nosync(b->vcpu[0]);
    fake_softirqs_all();
    ground_be(a->vcpu[0]);
    vcpu_yield();
    fake_softirqs_all();
    assert_ptr_equal(ground_runs(0), a->vcpu[0]);
    ground_check();
}

static void test_runstate_area(void **state)
{
    struct vcpu_runstate_info area = {.state = 77};
    struct domain *d;
    struct vcpu *v;

    (void)state;
    ground_init(1);
    d = ground_domain(1, 1);
    v = d->vcpu[0];
    domain_unpause_by_tools(d);
    ground_pass(MILLISECS(3));
    ground_be(v);
    vcpu_update_runstate_area(v);
    assert_int_equal(area.state, 77);
    v->runstate_guest = (uintptr_t)&area;
    fake_guest_copies = 0;
    vcpu_update_runstate_area(v);
    assert_int_equal(fake_guest_copies, 1);
    assert_int_equal(area.state, RUNSTATE_running);
    d->vm_assist = BIT(VMASST_TYPE_runstate_update_flag);
    memset(&area, 0, sizeof(area));
    vcpu_update_runstate_area(v);
    assert_int_equal(fake_guest_copies, 4);
    assert_memory_equal(&area, &v->runstate, sizeof(area));
    fake_guest_fault((uintptr_t)&area, 1 << 12); /* not mapped now: nothing happens */
    vcpu_update_runstate_area(v);
    fake_guest_fault(0, 0);
}

/* Everything at once; ground_check() holds after each step. */
static void test_at_random(void **state)
{
    struct domain *d[4];
    int tools[4], paused[4];

    (void)state;
    for (unsigned cpus = 1; cpus <= 4; cpus++) {
        ground_init(cpus);
        fake_relax_hook = ground_others_go_on;
        for (unsigned i = 0; i < 4; i++) {
            d[i] = ground_domain(i + 1, 3);
            tools[i] = 1;
            paused[i] = 0;
        }
        for (unsigned step = 0; step < 8000; step++) {
            unsigned n = test_random(4), cpu = test_random(cpus);
            struct vcpu *v = d[n]->vcpu[test_random(3)];
            cpumask_t mask;

            fake_run_on(cpu, per_cpu(sched_cpu, cpu).curr);
            switch (test_random(12)) {
            case 0:
                if (tools[n] < 2 && !domain_pause_by_tools(d[n]))
                    tools[n]++;
                break;
            case 1:
            case 2:
                if (!domain_unpause_by_tools(d[n]))
                    tools[n]--;
                break;
            case 3:
                if (paused[n] < 2) {
                    domain_pause_nosync(d[n]);
                    paused[n]++;
                }
                break;
            case 4:
                if (paused[n]) {
                    domain_unpause(d[n]);
                    paused[n]--;
                }
                break;
            case 5:
                cpumask_clear(&mask);
                for (unsigned i = 0; i < 4; i++)
                    if (test_random(2))
                        cpumask_set_cpu(i, &mask);
                vcpu_set_hard_affinity(v, &mask);
                break;
            case 6:
                if (ground_runs(cpu))
                    vcpu_block();
                break;
            case 7:
            case 8:
                vcpu_unblock(v);
                break;
            case 9:
                if (ground_runs(cpu))
                    vcpu_yield();
                break;
            case 10:
                fake_softirqs();
                break;
            default:
                fake_advance_to(fake_now + test_random(MILLISECS(3)));
            }
            ground_check();
        }
        for (unsigned i = 0; i < 4; i++) {
            struct vcpu *v;

            while (tools[i]-- > 0)
                domain_unpause_by_tools(d[i]);
            while (paused[i]-- > 0)
                domain_unpause(d[i]);
            for_each_vcpu (d[i], v) {
                cpumask_t all;

                vcpu_unblock(v);
                cpumask_setall(&all);
                vcpu_set_hard_affinity(v, &all);
            }
        }
        ground_pass(SECONDS(1));
        for (unsigned cpu = 0; cpu < cpus; cpu++)
            assert_non_null(ground_runs(cpu));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs_and_pauses),
        cmocka_unit_test(test_pause_waits),
        cmocka_unit_test(test_block_and_wake),
        cmocka_unit_test(test_wake_during_save),
        cmocka_unit_test(test_spreads_and_steals),
        cmocka_unit_test(test_affinity_moves),
        cmocka_unit_test(test_fair),
        cmocka_unit_test(test_weight),
        cmocka_unit_test(test_fair_between_cpus),
        cmocka_unit_test(test_512_vcpus),
        cmocka_unit_test(test_cpu_down_and_up),
        cmocka_unit_test(test_sleepers),
        cmocka_unit_test(test_yield),
        cmocka_unit_test(test_runstate_area),
        cmocka_unit_test(test_at_random),
    };

    return cmocka_run_group_tests_name("sched-core", tests, NULL, NULL);
}
