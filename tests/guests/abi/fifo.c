// SPDX-License-Identifier: MIT
/* FIFO events: order, priorities, masks, moves, and the way there and back. */
#include "guest.h"

#define QUEUES EVTCHN_FIFO_MAX_QUEUES

static long send_port(unsigned port)
{
    struct evtchn_send s = {.port = port};

    return evtchn(EVTCHNOP_send, &s);
}

static long set_priority(unsigned port, unsigned priority)
{
    struct evtchn_set_priority p = {.port = port, .priority = priority};

    return evtchn(EVTCHNOP_set_priority, &p);
}

static unsigned bind_ipi_on(unsigned vcpu)
{
    struct evtchn_bind_ipi b = {.vcpu = vcpu};

    REQUIRE_EQ(evtchn(EVTCHNOP_bind_ipi, &b), 0);
    return b.port;
}

/* What was taken since fifo_nr_taken was `from` is list, in this order. */
static void check_taken(unsigned from, const unsigned *list, unsigned n)
{
    CHECK_EQ(fifo_nr_taken - from, n);
    for (unsigned i = 0; i < n; i++)
        CHECK_EQ(fifo_taken[(from + i) % FIFO_LOG], list[i]);
}

/* Sixteen events, the least urgent first: all wait in queues of their own and come by priority. */
TEST(fifo_priorities)
{
    unsigned port[QUEUES], from;

    fifo_begin();
    for (unsigned q = 0; q < QUEUES; q++) {
        port[q] = bind_ipi();
        CHECK_EQ(set_priority(port[q], q), 0);
        unmask_port(port[q]);
    }
    events_off();
    for (unsigned q = QUEUES; q--;)
        CHECK_EQ(send_port(port[q]), 0);
    CHECK_EQ(vcpu_info()->evtchn_upcall_pending, 1);
    CHECK_EQ(fifo_control[0]->ready, (1u << QUEUES) - 1);
    for (unsigned q = 0; q < QUEUES; q++)
        CHECK_EQ(fifo_control[0]->head[q], port[q]);
    from = fifo_nr_taken;
    events_on();
    check_taken(from, port, QUEUES);
    fifo_end();
}

/* Within a priority the order is that of raising; who comes again stands behind the others. */
TEST(fifo_order)
{
    unsigned p[5], from;

    fifo_begin();
    for (unsigned i = 0; i < 5; i++) {
        p[i] = bind_ipi();
        unmask_port(p[i]);
    }
    events_off();
    from = fifo_nr_taken;
    for (unsigned i = 0; i < 5; i++)
        CHECK_EQ(send_port(p[i * 2 % 5]), 0);
    CHECK_EQ(send_port(p[0]), 0); /* already waiting */
    events_on();
    check_taken(from, (unsigned[]){p[0], p[2], p[4], p[1], p[3]}, 5);
    /* A port that raises itself for ever shares with another. */
    from = fifo_nr_taken;
    for (unsigned i = 0; i < 3; i++) {
        events_off();
        CHECK_EQ(send_port(p[0]), 0);
        CHECK_EQ(send_port(p[1]), 0);
        CHECK_EQ(send_port(p[0]), 0);
        events_on();
    }
    check_taken(from, (unsigned[]){p[0], p[1], p[0], p[1], p[0], p[1]}, 6);
    fifo_end();
}

TEST(fifo_masks)
{
    unsigned p, from;

    fifo_begin();
    p = bind_ipi();
    unmask_port(p);
    fifo_mask(p);
    from = fifo_nr_taken;
    CHECK_EQ(send_port(p), 0);
    CHECK(fifo_has(p, EVTCHN_FIFO_PENDING) && !fifo_has(p, EVTCHN_FIFO_LINKED));
    CHECK_EQ(fifo_nr_taken, from);
    unmask_port(p);
    check_taken(from, &p, 1);
    CHECK(!fifo_has(p, EVTCHN_FIFO_PENDING) && !fifo_has(p, EVTCHN_FIFO_LINKED));
    /* Masked while it waits: taken off the queue, and pending for when it is unmasked. */
    events_off();
    CHECK_EQ(send_port(p), 0);
    fifo_mask(p);
    events_on();
    CHECK_EQ(fifo_nr_taken, from + 1);
    CHECK(fifo_has(p, EVTCHN_FIFO_PENDING) && !fifo_has(p, EVTCHN_FIFO_LINKED));
    unmask_port(p);
    CHECK_EQ(fifo_nr_taken, from + 2);
    fifo_end();
}

/* What was raised before there was a word for it waits for the word. */
TEST(fifo_before_words)
{
    struct evtchn_alloc_unbound a = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
    struct evtchn_status s = {.dom = DOMID_SELF};
    unsigned from, p = 0;

    fifo_begin();
    while (p < FIFO_PER_PAGE) {
        if (evtchn(EVTCHNOP_alloc_unbound, &a)) {
            fifo_end();
            skip("too few ports");
        }
        p = a.port;
    }
    p = bind_ipi();
    CHECK_EQ(send_port(p), 0);
    REQUIRE(fifo_grow());
    CHECK(fifo_has(p, EVTCHN_FIFO_PENDING));
    from = fifo_nr_taken;
    unmask_port(p);
    check_taken(from, &p, 1);
    s.port = p;
    CHECK_EQ(evtchn(EVTCHNOP_status, &s), 0);
    CHECK_EQ(s.status, EVTCHNSTAT_ipi);
    fifo_end();
}

/* As many ports as the domain may have, each of which works. */
TEST(fifo_all_ports)
{
    unsigned last = 0, p, n = 0, words = FIFO_PER_PAGE;
    struct evtchn_bind_ipi b = {.vcpu = 0};

    fifo_begin();
    for (; !evtchn(EVTCHNOP_bind_ipi, &b); last = b.port, n++)
        for (; b.port >= words; words += FIFO_PER_PAGE)
            REQUIRE(fifo_grow());
    CHECK(last >= 1000 && last < EVTCHN_FIFO_NR_CHANNELS);
    say("  %u ports bound, the last is %u\n", n, last);
    for (p = last; p > 3 && p + 50 > last; p--) {
        unsigned from = fifo_nr_taken;

        unmask_port(p);
        CHECK_EQ(send_port(p), 0);
        check_taken(from, &p, 1);
    }
    if (last == EVTCHN_FIFO_NR_CHANNELS - 1)
        CHECK(!fifo_grow());
    fifo_end();
}

TEST(fifo_moves)
{
    struct evtchn_alloc_unbound a = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
    struct evtchn_bind_interdomain b = {.remote_dom = DOMID_SELF};
    struct evtchn_bind_vcpu v = {.vcpu = 1};
    unsigned from;

    if (nr_vcpus() < 2)
        skip("one vcpu only");
    fifo_begin();
    REQUIRE_EQ(evtchn(EVTCHNOP_alloc_unbound, &a), 0);
    b.remote_port = a.port;
    REQUIRE_EQ(evtchn(EVTCHNOP_bind_interdomain, &b), 0);
    fifo_mask(b.local_port);
    unmask_port(a.port);
    events_off();
    CHECK_EQ(send_port(b.local_port), 0);
    CHECK_EQ(fifo_control[0]->head[EVTCHN_FIFO_PRIORITY_DEFAULT], a.port);
    v.port = a.port;
    CHECK_EQ(evtchn(EVTCHNOP_bind_vcpu, &v), 0);
    CHECK_EQ(send_port(b.local_port), 0); /* it stays where it waits */
    CHECK_EQ(fifo_control[1]->ready, 0);
    from = fifo_nr_taken;
    events_on();
    CHECK_EQ(fifo_nr_taken, from + 1);
    CHECK_EQ(set_priority(a.port, 2), 0);
    CHECK_EQ(send_port(b.local_port), 0); /* vcpu 1 does not run */
    CHECK_EQ(fifo_control[1]->ready, 1u << 2);
    CHECK_EQ(fifo_control[1]->head[2], a.port);
    CHECK(fifo_has(a.port, EVTCHN_FIFO_LINKED));
    fifo_end();
}

static long init_control(unsigned vcpu, u64 gfn, unsigned offset)
{
    struct evtchn_init_control a = {.vcpu = vcpu, .control_gfn = gfn, .offset = offset};

    return evtchn(EVTCHNOP_init_control, &a);
}

static long expand_array(u64 gfn)
{
    struct evtchn_expand_array a = {.array_gfn = gfn};

    return evtchn(EVTCHNOP_expand_array, &a);
}

/* Pages that may not be written to are no place for words; nor is what is not the guest's. */
TEST(fifo_refused)
{
    void *page = page_alloc();
    u64 mfn = mfn_of(page), bad[] = {root_mfn(), ~0ULL >> 12, 1ULL << 40, 0xfee00};

    CHECK_REFUSED(set_priority(1, 3));
    CHECK_REFUSED(expand_array(mfn));
    CHECK_EQ(init_control(8000, mfn, 0), -ENOENT);
    CHECK_EQ(init_control(0, mfn, 4), -EINVAL);
    CHECK_EQ(init_control(0, mfn, 4096), -EINVAL);
    CHECK_EQ(init_control(0, mfn, 4096 - sizeof(struct evtchn_fifo_control_block) + 8), -EINVAL);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
        CHECK_REFUSED(init_control(0, bad[i], 0));
    fifo_begin();
    CHECK_EQ(init_control(0, mfn, 0), -EINVAL);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
        CHECK_REFUSED(expand_array(bad[i]));
    CHECK_EQ(set_priority(1, QUEUES), -EINVAL);
    CHECK_EQ(set_priority(EVTCHN_FIFO_NR_CHANNELS, 1), -EINVAL);
    fifo_end();
    /* The page is only the guest's again: it may become a table. */
    set_ro(page);
    CHECK_EQ(mmuext(MMUEXT_PIN_L1_TABLE, mfn), 0);
    CHECK_EQ(mmuext(MMUEXT_UNPIN_TABLE, mfn), 0);
    set_rw(page);
    page_free(page);
}

/* Reset: from either ABI, all ports closed, and two-level events work. */
TEST(event_reset)
{
    struct evtchn_status s = {.dom = DOMID_SELF};
    unsigned p;

    for (unsigned round = 0; round < 4; round++) {
        if (round & 1)
            fifo_begin();
        p = bind_ipi_on(0);
        unmask_port(p);
        CHECK_EQ(bind_virq(VIRQ_TIMER) > 0, 1);
        s.port = p;
        if (round & 1)
            fifo_end();
        else
            reset_events();
        CHECK_EQ(evtchn(EVTCHNOP_status, &s), 0);
        CHECK(s.status == EVTCHNSTAT_closed || p == boot_info.console.domU.evtchn);
    }
    p = bind_ipi_on(0);
    u64 n = event_count[p];
    unmask_port(p);
    CHECK_EQ(send_port(p), 0);
    CHECK_EQ(event_count[p], n + 1);
    close_port(p);
}
