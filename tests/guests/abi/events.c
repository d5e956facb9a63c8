// SPDX-License-Identifier: MIT
/* Event channels: kinds of ports, sending, masks, polling; two-level and FIFO. */
#include "guest.h"

static unsigned unbound_to_self(void)
{
    struct evtchn_alloc_unbound a = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};

    REQUIRE_EQ(evtchn(EVTCHNOP_alloc_unbound, &a), 0);
    return a.port;
}

static long send_port(unsigned port)
{
    struct evtchn_send s = {.port = port};

    return evtchn(EVTCHNOP_send, &s);
}

TEST(event_ipi)
{
    unsigned port = bind_ipi();
    u64 n = event_count[port];

    unmask_port(port);
    CHECK_EQ(send_port(port), 0);
    CHECK_EQ(event_count[port], n + 1);
    mask_port(port);
    CHECK_EQ(send_port(port), 0);
    CHECK_EQ(event_count[port], n + 1);
    CHECK(port_pending(port));
    unmask_port(port); /* delivers what waited */
    CHECK_EQ(event_count[port], n + 2);
    close_port(port);
    CHECK_EQ(send_port(port), -EINVAL);
}

/* With the upcall masked an event waits, and the vcpu's pending flag says so. */
TEST(event_upcall_mask)
{
    unsigned port = bind_ipi();
    u64 n = event_count[port];

    unmask_port(port);
    events_off();
    CHECK_EQ(send_port(port), 0);
    CHECK_EQ(event_count[port], n);
    CHECK_EQ(vcpu_info()->evtchn_upcall_pending, 1);
    CHECK(vcpu_info()->evtchn_pending_sel >> port / 64 & 1);
    events_on();
    CHECK_EQ(event_count[port], n + 1);
    CHECK_EQ(vcpu_info()->evtchn_upcall_pending, 0);
    close_port(port);
}

TEST(event_interdomain_self)
{
    unsigned a = unbound_to_self();
    struct evtchn_bind_interdomain b = {.remote_dom = DOMID_SELF, .remote_port = a};
    struct evtchn_status s = {.dom = DOMID_SELF, .port = a};
    u64 na, nb;

    CHECK_EQ(evtchn(EVTCHNOP_status, &s), 0);
    CHECK_EQ(s.status, EVTCHNSTAT_unbound);
    REQUIRE_EQ(evtchn(EVTCHNOP_bind_interdomain, &b), 0);
    CHECK(b.local_port != a);
    CHECK_EQ(evtchn(EVTCHNOP_status, &s), 0);
    CHECK_EQ(s.status, EVTCHNSTAT_interdomain);
    CHECK_EQ(s.u.interdomain.port, b.local_port);
    clear_port(a);
    clear_port(b.local_port);
    unmask_port(a);
    unmask_port(b.local_port);
    na = event_count[a];
    nb = event_count[b.local_port];
    CHECK_EQ(send_port(a), 0);
    CHECK_EQ(event_count[b.local_port], nb + 1);
    CHECK_EQ(event_count[a], na);
    CHECK_EQ(send_port(b.local_port), 0);
    CHECK_EQ(event_count[a], na + 1);
    /* Bound twice, it is not unbound any more. */
    CHECK_EQ(evtchn(EVTCHNOP_bind_interdomain, &b), -EINVAL);
    close_port(b.local_port);
    CHECK_EQ(evtchn(EVTCHNOP_status, &s), 0);
    CHECK_EQ(s.status, EVTCHNSTAT_unbound);
    close_port(a);
    CHECK_EQ(evtchn(EVTCHNOP_status, &s), 0);
    CHECK_EQ(s.status, EVTCHNSTAT_closed);
}

TEST(event_port_reuse)
{
    unsigned a = unbound_to_self(), b;

    close_port(a);
    b = unbound_to_self();
    CHECK_EQ(a, b); /* the lowest free one */
    close_port(b);
}

TEST(event_virq)
{
    struct evtchn_bind_virq b = {.virq = VIRQ_DEBUG, .vcpu = 0};
    struct evtchn_status s = {.dom = DOMID_SELF};
    unsigned port = bind_virq(VIRQ_DEBUG);

    s.port = port;
    CHECK_EQ(evtchn(EVTCHNOP_status, &s), 0);
    CHECK_EQ(s.status, EVTCHNSTAT_virq);
    CHECK_EQ(s.u.virq, VIRQ_DEBUG);
    CHECK_EQ(evtchn(EVTCHNOP_bind_virq, &b), -EEXIST);
    CHECK_EQ(send_port(port), -EINVAL); /* not for guests to send */
    close_port(port);
    b.virq = NR_VIRQS;
    CHECK_EQ(evtchn(EVTCHNOP_bind_virq, &b), -EINVAL);
    b.virq = VIRQ_TIMER;
    b.vcpu = 8000;
    CHECK_EQ(evtchn(EVTCHNOP_bind_virq, &b), -ENOENT);
    b.virq = VIRQ_CONSOLE; /* global: on vcpu 0 */
    b.vcpu = 1;
    CHECK_REFUSED(evtchn(EVTCHNOP_bind_virq, &b));
}

TEST(event_timer)
{
    unsigned port = bind_virq(VIRQ_TIMER);
    u64 n = event_count[port], start = now();
    struct vcpu_set_singleshot_timer t = {.timeout_abs_ns = start + 5000000};

    unmask_port(port);
    CHECK_EQ(HC3(vcpu_op, VCPUOP_set_singleshot_timer, 0, &t), 0);
    CHECK(wait_count(&event_count[port], n, 1000));
    CHECK(now() >= start + 5000000);
    CHECK(now() < start + 500000000);
    /* In the past: at once; or refused if it may only be in the future. */
    n = event_count[port];
    t.timeout_abs_ns = now() - 1000;
    CHECK_EQ(HC3(vcpu_op, VCPUOP_set_singleshot_timer, 0, &t), 0);
    CHECK(wait_count(&event_count[port], n, 1000));
    /* Late enough to be stopped in time on a host that has other things to do. */
    n = event_count[port];
    t.timeout_abs_ns = now() + 300000000;
    CHECK_EQ(HC3(vcpu_op, VCPUOP_set_singleshot_timer, 0, &t), 0);
    CHECK_EQ(HC3(vcpu_op, VCPUOP_stop_singleshot_timer, 0, 0), 0);
    CHECK(!wait_count(&event_count[port], n, 400));
    n = event_count[port];
    CHECK_EQ(HC1(set_timer_op, now() + 2000000), 0);
    CHECK(wait_count(&event_count[port], n, 1000));
    close_port(port);
}

TEST(event_timer_future)
{
    struct vcpu_set_singleshot_timer t = {.timeout_abs_ns = now() - 1000,
                                          .flags = VCPU_SSHOTTMR_future};

    not_on_stock("ignores the flag");
    CHECK_EQ(HC3(vcpu_op, VCPUOP_set_singleshot_timer, 0, &t), -ETIME);
}

TEST(event_periodic_timer)
{
    unsigned port = bind_virq(VIRQ_TIMER);
    struct vcpu_set_periodic_timer p = {.period_ns = 5000000};
    u64 n = event_count[port], start = now();

    unmask_port(port);
    CHECK_EQ(HC3(vcpu_op, VCPUOP_set_periodic_timer, 0, &p), 0);
    /* Not by blocking: stock Xen ticks only while one runs. A busy machine makes ticks fewer. */
    while (event_count[port] - n < 10 && now() < start + 10000000000)
        cpu_pause();
    CHECK(event_count[port] - n >= 10);
    CHECK(now() - start >= 45000000);
    if (now() - start > 500000000)
        say("  ten ticks of 5 ms took %lu ms\n", (ulong)((now() - start) / 1000000));
    CHECK_EQ(HC3(vcpu_op, VCPUOP_stop_periodic_timer, 0, 0), 0);
    n = event_count[port];
    CHECK(!wait_count(&event_count[port], n, 30));
    p.period_ns = 1000;
    CHECK_EQ(HC3(vcpu_op, VCPUOP_set_periodic_timer, 0, &p), -EINVAL);
    close_port(port);
}

/* block returns with an event, which has been delivered. */
TEST(event_block)
{
    unsigned port = bind_virq(VIRQ_TIMER);
    u64 n = event_count[port];

    unmask_port(port);
    events_off();
    CHECK_EQ(HC1(set_timer_op, now() + 3000000), 0);
    CHECK_EQ(HC2(sched_op, SCHEDOP_block, 0), 0);
    CHECK_EQ(vcpu_info()->evtchn_upcall_mask, 0);
    CHECK_EQ(event_count[port], n + 1);
    close_port(port);
}

TEST(event_poll)
{
    unsigned port = bind_ipi();
    evtchn_port_t ports[1] = {port};
    struct sched_poll p = {.nr_ports = 1};
    u64 start = now();

    set_xen_guest_handle(p.ports, ports);
    mask_port(port);
    CHECK_EQ(send_port(port), 0);
    CHECK_EQ(HC2(sched_op, SCHEDOP_poll, &p), 0); /* pending: at once */
    clear_port(port);
    p.timeout = start + 10000000;
    events_off();
    CHECK_EQ(HC2(sched_op, SCHEDOP_poll, &p), 0);
    CHECK(now() >= start + 10000000);
    CHECK(now() < start + 2000000000);
    events_on();
    ports[0] = 0x7fffffff;
    CHECK_EQ(HC2(sched_op, SCHEDOP_poll, &p), -EINVAL);
    p.nr_ports = 129;
    CHECK_EQ(HC2(sched_op, SCHEDOP_poll, &p), -EINVAL);
    p.nr_ports = 1;
    set_xen_guest_handle(p.ports, (evtchn_port_t *)16);
    CHECK_EQ(HC2(sched_op, SCHEDOP_poll, &p), -EFAULT);
    close_port(port);
}

TEST(event_bind_vcpu)
{
    unsigned port = unbound_to_self();
    struct evtchn_bind_vcpu b = {.port = port, .vcpu = 0};
    struct evtchn_status s = {.dom = DOMID_SELF, .port = port};

    CHECK_EQ(evtchn(EVTCHNOP_bind_vcpu, &b), 0);
    if (nr_vcpus() > 1) {
        b.vcpu = 1;
        CHECK_EQ(evtchn(EVTCHNOP_bind_vcpu, &b), 0);
        CHECK_EQ(evtchn(EVTCHNOP_status, &s), 0);
        CHECK_EQ(s.vcpu, 1);
    }
    b.vcpu = 77;
    CHECK_EQ(evtchn(EVTCHNOP_bind_vcpu, &b), -ENOENT);
    close_port(port);
    port = b.port = bind_ipi();
    b.vcpu = 0;
    CHECK_EQ(evtchn(EVTCHNOP_bind_vcpu, &b), -EINVAL);
    close_port(port);
}

TEST(event_cross_vcpu)
{
    struct evtchn_bind_ipi b = {.vcpu = 1};

    if (nr_vcpus() < 2)
        skip("one vcpu only");
    REQUIRE_EQ(evtchn(EVTCHNOP_bind_ipi, &b), 0);
    mask_port(b.port);
    CHECK_EQ(send_port(b.port), 0);
    CHECK(port_pending(b.port));
    close_port(b.port);
}

static struct evtchn_fifo_control_block *control;
static volatile u32 *words;

/* Takes everything off a queue; counts ports. */
static unsigned drain(unsigned q, unsigned *last)
{
    unsigned n = 0;
    u32 head = READ_ONCE(control->head[q]), w, new;

    while (head) {
        do {
            w = words[head];
            new = w & ~((1U << EVTCHN_FIFO_LINKED) | EVTCHN_FIFO_LINK_MASK);
        } while (!__sync_bool_compare_and_swap(&words[head], w, new));
        __atomic_fetch_and(&words[head], ~(1U << EVTCHN_FIFO_PENDING), __ATOMIC_SEQ_CST);
        *last = head;
        n++;
        head = w & EVTCHN_FIFO_LINK_MASK;
    }
    return n;
}

static bool swallow(struct frame *f)
{
    (void)f;
    vcpu_info()->evtchn_upcall_pending = 0;
    return true;
}

TEST(event_fifo)
{
    struct evtchn_init_control ic = {.vcpu = 0};
    struct evtchn_expand_array ea;
    struct evtchn_set_priority pr;
    struct evtchn_reset reset = {.dom = DOMID_SELF};
    void *array;
    unsigned a, b, last = 0;

    if (!is_dom0())
        skip("the reset at the end would close the console");
    control = page_alloc();
    array = page_alloc();
    words = array;
    ic.control_gfn = mfn_of(control);
    ea.array_gfn = mfn_of(array);
    hooks[VEC_EVENT] = swallow;
    REQUIRE_EQ(evtchn(EVTCHNOP_init_control, &ic), 0);
    CHECK_EQ(ic.link_bits, 17);
    CHECK_EQ(evtchn(EVTCHNOP_init_control, &ic), -EINVAL);
    REQUIRE_EQ(evtchn(EVTCHNOP_expand_array, &ea), 0);
    a = bind_ipi();
    b = bind_ipi();
    __atomic_fetch_and(&words[a], ~(1U << EVTCHN_FIFO_MASKED), __ATOMIC_SEQ_CST);
    __atomic_fetch_and(&words[b], ~(1U << EVTCHN_FIFO_MASKED), __ATOMIC_SEQ_CST);
    CHECK_EQ(send_port(a), 0);
    CHECK_EQ(send_port(b), 0);
    CHECK_EQ(send_port(a), 0);
    CHECK(words[a] >> EVTCHN_FIFO_PENDING & 1);
    CHECK(control->ready & 1U << EVTCHN_FIFO_PRIORITY_DEFAULT);
    CHECK_EQ(control->head[EVTCHN_FIFO_PRIORITY_DEFAULT], a);
    CHECK_EQ(drain(EVTCHN_FIFO_PRIORITY_DEFAULT, &last), 2);
    CHECK_EQ(last, b);
    pr.port = b;
    pr.priority = 3;
    CHECK_EQ(evtchn(EVTCHNOP_set_priority, &pr), 0);
    CHECK_EQ(send_port(b), 0);
    CHECK_EQ(drain(3, &last), 1);
    pr.priority = 16;
    CHECK_EQ(evtchn(EVTCHNOP_set_priority, &pr), -EINVAL);
    /* A link that the guest has scribbled over does no harm. */
    words[a] |= EVTCHN_FIFO_LINK_MASK;
    control->head[7] = 0x7fffffff;
    CHECK_EQ(send_port(a), 0);
    CHECK_EQ(send_port(b), 0);
    CHECK_EQ(evtchn(EVTCHNOP_reset, &reset), 0);
    memset((void *)shared_info->evtchn_mask, 0xff, sizeof(shared_info->evtchn_mask));
    memset((void *)shared_info->evtchn_pending, 0, sizeof(shared_info->evtchn_pending));
    hooks[VEC_EVENT] = NULL;
    a = bind_ipi();
    unmask_port(a);
    u64 n = event_count[a];
    CHECK_EQ(send_port(a), 0);
    CHECK_EQ(event_count[a], n + 1);
    close_port(a);
    page_free(control);
    page_free(array);
}
