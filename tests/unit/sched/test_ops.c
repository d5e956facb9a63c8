// SPDX-License-Identifier: MIT
/* sched_op, vcpu_op, set_timer_op and the tools' questions, asked by guests that may be hostile. */
#include "ground.h"
#include "control/control.h"
#include "hypercall/handlers.h"

static struct domain *d;
static struct vcpu *v0, *v1;
static struct call c;
static struct noarg none;
static bool ports[64];
static void (*while_polled)(void);

int evtchn_port_poll(struct domain *dom, evtchn_port_t port)
{
    assert_ptr_equal(dom, d);
    if (while_polled)
        while_polled();
    return port < 64 ? ports[port] : -EINVAL;
}

static const struct vcpu *polls;

void evtchn_poll_begin(struct vcpu *v)
{
    polls = v;
}

void evtchn_poll_end(struct vcpu *v)
{
    if (polls == v)
        polls = NULL;
}

/* Domain 1 with two vcpus on two CPUs; v0 calls. */
static int setup(void **state)
{
    (void)state;
    ground_init(2);
    d = ground_domain(1, 2);
    v0 = d->vcpu[0];
    v1 = d->vcpu[1];
    domain_unpause_by_tools(d);
    fake_softirqs_all();
    ground_be(v0);
    c = (struct call){.v = v0, .d = d, .tv = v0};
    memset(ports, 0, sizeof(ports));
    while_polled = NULL;
    return 0;
}

static void test_block(void **state)
{
    (void)state;
    v0->info->evtchn_upcall_mask = 1;
    v0->info->evtchn_upcall_pending = 1;
    assert_int_equal(schedop_block(&c, &none), 0);
    assert_int_equal(v0->info->evtchn_upcall_mask, 0);
    assert_false(softirq_pending_here());
    v0->info->evtchn_upcall_pending = 0;
    assert_int_equal(schedop_block(&c, &none), 0);
    ground_pass(1000);
    assert_int_equal(v0->runstate.state, RUNSTATE_blocked);
    assert_int_equal(v1->runstate.state, RUNSTATE_running);
}

static void event_comes(void)
{
    vcpu_unblock(v0);
}

static void test_poll(void **state)
{
    evtchn_port_t list[129] = {5, 6, 7};
    struct sched_poll poll = {.nr_ports = 3};

    (void)state;
    set_xen_guest_handle_raw(poll.ports, list);
    ports[6] = true;
    assert_int_equal(schedop_poll(&c, &poll), 0); /* pending already */
    assert_int_equal(v0->pause_flags, 0);
    ports[6] = false;
    v0->info->evtchn_upcall_pending = 1; /* an upcall is due */
    assert_int_equal(schedop_poll(&c, &poll), 0);
    assert_int_equal(v0->pause_flags, 0);
    v0->info->evtchn_upcall_pending = 0;

    poll.nr_ports = 129;
    assert_int_equal(schedop_poll(&c, &poll), -EINVAL);
    poll.nr_ports = 3;
    list[2] = 1000;
    assert_int_equal(schedop_poll(&c, &poll), -EINVAL);
    assert_int_equal(v0->pause_flags, 0);
    fake_guest_fault((uintptr_t)&list[1], 4);
    assert_int_equal(schedop_poll(&c, &poll), -EFAULT);
    assert_int_equal(v0->pause_flags, 0);
    fake_guest_fault(0, 0);
    assert_false(softirq_pending_here());

    /* It sleeps until an event, or the timeout. */
    poll.nr_ports = 1;
    assert_int_equal(schedop_poll(&c, &poll), 0);
    assert_int_equal(v0->poll_port, 5);
    ground_pass(MILLISECS(5));
    assert_int_equal(v0->runstate.state, RUNSTATE_blocked);
    assert_ptr_equal(polls, v0);
    vcpu_unblock(v0);
    assert_null(polls);
    fake_softirqs_all();
    assert_int_equal(v0->runstate.state, RUNSTATE_running);
    ground_be(v0);
    poll.nr_ports = 2;
    poll.timeout = fake_now + MILLISECS(2);
    assert_int_equal(schedop_poll(&c, &poll), 0);
    assert_int_equal(v0->poll_port, 0);
    ground_pass(MILLISECS(2) - 1);
    assert_int_equal(v0->runstate.state, RUNSTATE_blocked);
    ground_pass(1);
    assert_int_equal(v0->runstate.state, RUNSTATE_running);
    assert_int_equal(ground_timer_virqs, 0);
    assert_null(polls);

    /* The event comes after the port was looked at, before the switch. */
    ground_be(v0);
    poll.timeout = 0;
    while_polled = event_comes;
    assert_int_equal(schedop_poll(&c, &poll), 0);
    ground_pass(1000);
    assert_int_equal(v0->runstate.state, RUNSTATE_running);
    /* No ports at all: a plain sleep, to a time gone by. */
    ground_be(v0);
    poll.nr_ports = 0;
    poll.timeout = 1;
    assert_int_equal(schedop_poll(&c, &poll), 0);
    ground_pass(1000);
    assert_int_equal(v0->runstate.state, RUNSTATE_running);
    /* The end of time. */
    ground_be(v0);
    poll.timeout = ~0ULL;
    assert_int_equal(schedop_poll(&c, &poll), 0);
    ground_pass(SECONDS(100));
    assert_int_equal(v0->runstate.state, RUNSTATE_blocked);
}

static void test_shutdown(void **state)
{
    struct sched_shutdown sd = {.reason = SHUTDOWN_reboot};
    struct sched_remote_shutdown rsd = {.reason = SHUTDOWN_MAX + 1};

    (void)state;
    assert_int_equal(schedop_shutdown_code(&c, &(struct sched_shutdown){SHUTDOWN_crash}), 0);
    assert_int_equal(schedop_shutdown_code(&c, &sd), 0);
    assert_int_equal(d->shutdown_code, SHUTDOWN_crash); /* the first counts */
    assert_null(ground_shut);
    assert_int_equal(schedop_remote_shutdown(&c, &rsd), -EINVAL);
    assert_int_equal(schedop_shutdown(&c, &sd), 0);
    assert_ptr_equal(ground_shut, d);
    assert_int_equal(ground_reason, SHUTDOWN_reboot);
}

static void test_watchdog(void **state)
{
    struct sched_watchdog w = {0, 0};

    (void)state;
    assert_int_equal(schedop_watchdog(&c, &w), -EINVAL);
    w.timeout = 10;
    assert_int_equal(schedop_watchdog(&c, &w), 1);
    assert_int_equal(schedop_watchdog(&c, &w), 2);
    assert_int_equal(schedop_watchdog(&c, &w), -ENOSPC);
    w.id = 3;
    assert_int_equal(schedop_watchdog(&c, &w), -EINVAL);
    w.id = 2;
    w.timeout = 0;
    assert_int_equal(schedop_watchdog(&c, &w), 0);
    assert_int_equal(schedop_watchdog(&c, &w), -EINVAL);
    w.id = 1;
    w.timeout = 20;
    for (unsigned i = 0; i < 3; i++) { /* poked in time */
        assert_int_equal(schedop_watchdog(&c, &w), 0);
        ground_pass(SECONDS(15));
        assert_null(ground_shut);
        ground_be(v0);
    }
    ground_pass(SECONDS(20));
    assert_ptr_equal(ground_shut, d);
    assert_int_equal(ground_reason, SHUTDOWN_watchdog);
}

static void test_pin_override(void **state)
{
    struct sched_pin_override pin = {.pcpu = -1};
    cpumask_t before = v0->hard_affinity;

    (void)state;
    assert_int_equal(schedop_pin_override(&c, &pin), -ENOENT);
    pin.pcpu = 2;
    assert_int_equal(schedop_pin_override(&c, &pin), -EINVAL);
    pin.pcpu = 1 - v0->processor;
    assert_int_equal(schedop_pin_override(&c, &pin), 0);
    ground_pass(MILLISECS(1));
    assert_int_equal(v0->processor, pin.pcpu);
    assert_int_equal(schedop_pin_override(&c, &pin), -EBUSY);
    pin.pcpu = -7;
    assert_int_equal(schedop_pin_override(&c, &pin), 0);
    assert_true(cpumask_equal(&v0->hard_affinity, &before));
    ground_pass(MILLISECS(1));
}

static void test_singleshot(void **state)
{
    struct vcpu_set_singleshot_timer t = {.timeout_abs_ns = MILLISECS(3)};

    (void)state;
    assert_int_equal(vcpuop_set_singleshot_timer(&c, &t), 0);
    ground_pass(MILLISECS(3) - 1);
    assert_int_equal(ground_timer_virqs, 0);
    ground_pass(1);
    assert_int_equal(ground_timer_virqs, 1);
    ground_be(v0);
    assert_int_equal(vcpuop_set_singleshot_timer(&c, &t), 0); /* in the past: at once */
    ground_pass(1);
    assert_int_equal(ground_timer_virqs, 2);
    ground_be(v0);
    fake_now += 1000;
    t.flags = VCPU_SSHOTTMR_future;
    assert_int_equal(vcpuop_set_singleshot_timer(&c, &t), -ETIME);
    t.timeout_abs_ns = 1ULL << 63;
    assert_int_equal(vcpuop_set_singleshot_timer(&c, &t), -EINVAL);
    t.timeout_abs_ns = SECONDS(1);
    c.tv = v1; /* each sets its own */
    assert_int_equal(vcpuop_set_singleshot_timer(&c, &t), -EINVAL);
    assert_int_equal(vcpuop_stop_singleshot_timer(&c, &none), -EINVAL);
    c.tv = v0;
    assert_int_equal(vcpuop_set_singleshot_timer(&c, &t), 0);
    assert_int_equal(vcpuop_stop_singleshot_timer(&c, &none), 0);
    assert_int_equal(do_set_timer_op(SECONDS(1)), 0);
    assert_int_equal(do_set_timer_op(0), 0);
    ground_pass(SECONDS(2));
    assert_int_equal(ground_timer_virqs, 2);
    ground_be(v0);
    assert_int_equal(do_set_timer_op(SECONDS(3)), 0);
    ground_pass(SECONDS(2));
    assert_int_equal(ground_timer_virqs, 3);
    ground_be(v0);
    /* Wrapped, or weeks ahead. */
    assert_int_equal(do_set_timer_op(~0UL), 0);
    ground_pass(MILLISECS(99));
    assert_int_equal(ground_timer_virqs, 3);
    ground_pass(MILLISECS(1));
    assert_int_equal(ground_timer_virqs, 4);
    ground_be(v0);
    assert_int_equal(do_set_timer_op(fake_now + (1L << 50) + 1), 0);
    ground_pass(MILLISECS(100));
    assert_int_equal(ground_timer_virqs, 5);
    ground_be(v0);
    assert_int_equal(do_set_timer_op(fake_now + SECONDS(3600)), 0);
    ground_pass(SECONDS(3599));
    assert_int_equal(ground_timer_virqs, 5);
}

static void test_periodic(void **state)
{
    struct vcpu_set_periodic_timer t = {.period_ns = MILLISECS(1) - 1};

    (void)state;
    assert_int_equal(vcpuop_set_periodic_timer(&c, &t), -EINVAL);
    t.period_ns = ~0ULL;
    assert_int_equal(vcpuop_set_periodic_timer(&c, &t), -EINVAL);
    t.period_ns = MILLISECS(2);
    c.tv = v1; /* of another, too */
    assert_int_equal(vcpuop_set_periodic_timer(&c, &t), 0);
    ground_pass(MILLISECS(100) + 1);
    assert_int_equal(ground_timer_virqs, 50);
    fake_now += SECONDS(1); /* the CPU was elsewhere: what was missed stays missed */
    ground_pass(0);
    assert_int_equal(ground_timer_virqs, 51);
    ground_pass(MILLISECS(10));
    assert_int_equal(ground_timer_virqs, 56);
    ground_be(v0);
    assert_int_equal(vcpuop_stop_periodic_timer(&c, &none), 0);
    ground_pass(SECONDS(1));
    assert_int_equal(ground_timer_virqs, 56);
}

static void test_up_and_down(void **state)
{
    struct vcpu_guest_context *ctx = calloc(1, sizeof(*ctx));

    (void)state;
    c.tv = v1;
    assert_int_equal(vcpuop_is_up(&c, &none), 1);
    assert_int_equal(vcpuop_down(&c, &none), 0);
    assert_int_equal(vcpuop_is_up(&c, &none), 0);
    ground_pass(1000);
    assert_int_equal(v1->runstate.state, RUNSTATE_offline);
    assert_null(ground_shut);
    v1->is_initialised = false;
    assert_int_equal(vcpuop_up(&c, &none), -EINVAL);
    c.arg = (uintptr_t)ctx;
    fake_guest_fault(c.arg, sizeof(*ctx));
    assert_int_equal(vcpuop_initialise(&c, &none), -EFAULT);
    fake_guest_fault(0, 0);
    fake_alloc_fail_after = 0;
    assert_int_equal(vcpuop_initialise(&c, &none), -ENOMEM);
    fake_alloc_fail_after = -1;
    assert_int_equal(vcpuop_initialise(&c, &none), 0);
    assert_int_equal(vcpuop_initialise(&c, &none), -EEXIST);
    assert_int_equal(vcpuop_up(&c, &none), 0);
    assert_int_equal(vcpuop_up(&c, &none), 0);
    ground_pass(1000);
    assert_int_equal(v1->runstate.state, RUNSTATE_running);
    /* The last one down takes the domain with it. */
    ground_be(v0);
    assert_int_equal(vcpuop_down(&c, &none), 0);
    c.tv = v0;
    assert_int_equal(vcpuop_down(&c, &none), 0);
    assert_ptr_equal(ground_shut, d);
    free(ctx);
}

static void test_no_such_vcpu(void **state)
{
    struct vcpu_runstate_info rs;

    (void)state;
    c.tv = NULL;
    assert_int_equal(vcpuop_initialise(&c, &none), -ENOENT);
    assert_int_equal(vcpuop_up(&c, &none), -ENOENT);
    assert_int_equal(vcpuop_down(&c, &none), -ENOENT);
    assert_int_equal(vcpuop_is_up(&c, &none), -ENOENT);
    assert_int_equal(vcpuop_get_runstate_info(&c, &rs), -ENOENT);
    assert_int_equal(vcpuop_send_nmi(&c, &none), -ENOENT);
    assert_int_equal(vcpuop_stop_periodic_timer(&c, &none), -ENOENT);
    assert_int_equal(vcpuop_register_vcpu_info(&c, &(struct vcpu_register_vcpu_info){0}), -ENOENT);
}

static void test_runstate_info(void **state)
{
    struct vcpu_runstate_info rs;
    struct vcpu_register_runstate_memory_area area = {.addr.p = 0};

    (void)state;
    ground_pass(MILLISECS(4));
    ground_be(v0);
    assert_int_equal(vcpuop_get_runstate_info(&c, &rs), 0);
    assert_int_equal(rs.state, RUNSTATE_running);
    assert_int_equal(rs.time[RUNSTATE_running], MILLISECS(4));
    c.tv = v1;
    assert_int_equal(vcpuop_get_runstate_info(&c, &rs), 0);
    assert_int_equal(rs.time[0] + rs.time[1] + rs.time[2] + rs.time[3], fake_now);
    memset(&rs, 0, sizeof(rs));
    area.addr.p = (uintptr_t)&rs;
    assert_int_equal(vcpuop_register_runstate_area(&c, &area), 0);
    assert_int_equal(rs.time[RUNSTATE_running], MILLISECS(4));
    area.addr.p = 8;
    assert_int_equal(vcpuop_register_runstate_area(&c, &area), -EFAULT);
    assert_int_equal(v1->runstate_guest, (uintptr_t)&rs);
    area.addr.p = 0;
    assert_int_equal(vcpuop_register_runstate_area(&c, &area), 0);
    assert_int_equal(v1->runstate_guest, 0);
}

static void test_cpupool(void **state)
{
    uint8_t map[6];
    struct xen_sysctl_cpupool_op op = {.op = XEN_SYSCTL_CPUPOOL_OP_INFO,
                                       .cpupool_id = XEN_SYSCTL_CPUPOOL_PAR_ANY};

    (void)state;
    set_xen_guest_handle_raw(op.cpumap.bitmap, map);
    op.cpumap.nr_bits = 40;
    memset(map, 0xee, sizeof(map));
    assert_int_equal(cpupool_sysctl(&op), 0);
    assert_int_equal(op.cpupool_id, 0);
    assert_int_equal(op.sched_id, XEN_SCHEDULER_CREDIT2);
    assert_memory_equal(map, "\x03\0\0\0\0\xee", 6);
    op.cpumap.nr_bits = 1; /* as far as it reaches */
    map[0] = 0xee;
    assert_int_equal(cpupool_sysctl(&op), 0);
    assert_int_equal(map[0], 1);
    op.cpumap.nr_bits = 0;
    assert_int_equal(cpupool_sysctl(&op), 0);
    op.cpupool_id = 1;
    assert_int_equal(cpupool_sysctl(&op), -ENOENT);
    op.op = XEN_SYSCTL_CPUPOOL_OP_FREEINFO;
    op.cpumap.nr_bits = 8;
    assert_int_equal(cpupool_sysctl(&op), 0);
    assert_int_equal(map[0], 0);
    set_xen_guest_handle_raw(op.cpumap.bitmap, (uint8_t *)8);
    assert_int_equal(cpupool_sysctl(&op), -EFAULT);
    op.op = XEN_SYSCTL_CPUPOOL_OP_RMCPU;
    op.cpupool_id = 0;
    assert_int_equal(cpupool_sysctl(&op), -EBUSY);
    op.op = 99;
    assert_int_equal(cpupool_sysctl(&op), -ENOSYS);
}

static void test_bitmap_from_tools(void **state)
{
    uint8_t map[64];
    struct xenctl_bitmap b = {.nr_bits = 1};
    cpumask_t mask;

    (void)state;
    cpumask_clear(&mask);
    memset(map, 0xff, sizeof(map));
    set_xen_guest_handle_raw(b.bitmap, map);
    assert_int_equal(bitmap_from_tools(mask.bits, nr_cpu_ids, &b), 0);
    assert_int_equal(bitmap_weight(mask.bits, NR_CPUS), 1);
    b.nr_bits = ~0u;
    assert_int_equal(bitmap_from_tools(mask.bits, nr_cpu_ids, &b), 0);
    assert_int_equal(bitmap_weight(mask.bits, NR_CPUS), 2); /* CPUs there are */
    b.nr_bits = 0;
    assert_int_equal(bitmap_from_tools(mask.bits, nr_cpu_ids, &b), 0);
    assert_true(cpumask_empty(&mask));
}

static void test_global_parameters(void **state)
{
    struct xen_sysctl_scheduler_op op = {.sched_id = XEN_SCHEDULER_CREDIT2,
                                         .cmd = XEN_SYSCTL_SCHEDOP_getinfo};

    (void)state;
    assert_int_equal(sched_sysctl(&op), 0);
    assert_int_equal(op.u.sched_credit2.ratelimit_us, 1000);
    op.cmd = XEN_SYSCTL_SCHEDOP_putinfo;
    op.u.sched_credit2.ratelimit_us = 1000000000;
    assert_int_equal(sched_sysctl(&op), -EINVAL);
    op.u.sched_credit2.ratelimit_us = 1000;
    assert_int_equal(sched_sysctl(&op), 0);
    op.cpupool_id = 1;
    assert_int_equal(sched_sysctl(&op), -ESRCH);
    assert_true(sched_choose("rr"));
    assert_true(sched_choose("credit2"));
    assert_false(sched_choose("lottery"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_block, setup),
        cmocka_unit_test_setup(test_poll, setup),
        cmocka_unit_test_setup(test_shutdown, setup),
        cmocka_unit_test_setup(test_watchdog, setup),
        cmocka_unit_test_setup(test_pin_override, setup),
        cmocka_unit_test_setup(test_singleshot, setup),
        cmocka_unit_test_setup(test_periodic, setup),
        cmocka_unit_test_setup(test_up_and_down, setup),
        cmocka_unit_test_setup(test_no_such_vcpu, setup),
        cmocka_unit_test_setup(test_runstate_info, setup),
        cmocka_unit_test_setup(test_cpupool, setup),
        cmocka_unit_test_setup(test_bitmap_from_tools, setup),
        cmocka_unit_test_setup(test_global_parameters, setup),
    };

    return cmocka_run_group_tests_name("sched-ops", tests, NULL, NULL);
}
