// SPDX-License-Identifier: MIT
/*
 * Event channels under real concurrency: threads of two domains bind, close, send, move and take
 * events at the same time, and one domain is destroyed under the others' hands.  Afterwards the
 * books must balance: pairs name each other, no event that was raised last is lost.
 */
#include "event/domains.h"
#include "event/private.h"
#include "threads/threads.h"

#define CPUS  4u /* two of each domain */
#define STEPS 60000u
#define PORTS 400u

static struct domain *dom[2];
static event_word_t *words[2];
static struct evtchn_fifo_control_block *block[2][2];

static struct call call_for(struct domain *d, struct domain *target)
{
    return (struct call){.v = d->vcpu[0], .d = target};
}

static void go_fifo(unsigned i)
{
    struct domain *d = dom[i];
    struct call c = call_for(d, d);
    struct evtchn_expand_array e;

    for (unsigned v = 0; v < 2; v++) {
        struct evtchn_init_control a = {.vcpu = v};

        block[i][v] = guest_page(d);
        a.control_gfn = frame_of(block[i][v]);
        assert_int_equal(evtchnop_init_control(&c, &a), 0);
    }
    words[i] = guest_page(d);
    e.array_gfn = frame_of(words[i]);
    assert_int_equal(evtchnop_expand_array(&c, &e), 0);
}

/* A guest's upcall on vcpu v of domain i; it may run on one thread at a time only. */
static void upcall(unsigned i, unsigned v, uint32_t local[EVTCHN_FIFO_MAX_QUEUES])
{
    struct evtchn_fifo_control_block *b = block[i][v];
    uint32_t ready;

    if (!__atomic_exchange_n(&dom[i]->vcpu[v]->info->evtchn_upcall_pending, 0, __ATOMIC_SEQ_CST))
        return;
    ready = __atomic_exchange_n(&b->ready, 0, __ATOMIC_SEQ_CST);
    while (ready) {
        unsigned q = ffs_index(ready);
        uint32_t port = local[q] ? local[q] : __atomic_load_n(&b->head[q], __ATOMIC_SEQ_CST);
        uint32_t w;

        assert_in_range(port, 1, PORTS);
        w = __atomic_fetch_and(&words[i][port],
                               ~((1u << EVTCHN_FIFO_LINKED) | EVTCHN_FIFO_LINK_MASK),
                               __ATOMIC_SEQ_CST);
        assert_true(w & (1u << EVTCHN_FIFO_LINKED));
        local[q] = w & EVTCHN_FIFO_LINK_MASK;
        if (!local[q])
            ready &= ~(1u << q);
        __atomic_fetch_and(&words[i][port], ~(1u << EVTCHN_FIFO_PENDING), __ATOMIC_SEQ_CST);
        ready |= __atomic_exchange_n(&b->ready, 0, __ATOMIC_SEQ_CST);
    }
}

static uint32_t locals[2][2][EVTCHN_FIFO_MAX_QUEUES];

static void storm(unsigned cpu)
{
    unsigned i = cpu / 2;
    struct domain *d = dom[i], *rd = dom[!i];
    struct call self = call_for(d, d), other = call_for(d, rd);

    for (unsigned step = 0; step < STEPS; step++) {
        uint32_t port = 1 + threads_random(PORTS - 1);
        struct evtchn_alloc_unbound alloc = {.remote_dom = rd->id};
        struct evtchn_bind_interdomain bind = {.remote_dom = rd->id, .remote_port = port};
        struct evtchn_bind_interdomain loop = {.remote_dom = d->id, .remote_port = port};
        struct evtchn_bind_vcpu move = {.port = port, .vcpu = threads_random(2)};
        struct evtchn_bind_ipi ipi = {.vcpu = threads_random(2)};
        struct evtchn_bind_virq virq = {.virq = VIRQ_DEBUG, .vcpu = threads_random(2)};
        struct evtchn_set_priority prio = {.port = port, .priority = threads_random(16)};
        struct evtchn_status st = {.port = port};

        switch (threads_random(16)) {
        case 0:
            if (threads_random(2))
                alloc.remote_dom = DOMID_SELF;
            evtchnop_alloc_unbound(&self, &alloc);
            break;
        case 1:
            evtchnop_bind_interdomain(&other, &bind);
            break;
        case 2:
            evtchnop_bind_interdomain(&self, &loop);
            break;
        case 3:
            evtchn_close(d, port);
            break;
        case 4:
            evtchnop_bind_vcpu(&self, &move);
            break;
        case 5:
            evtchnop_bind_ipi(&self, &ipi);
            break;
        case 6:
            evtchnop_bind_virq(&self, &virq);
            break;
        case 7:
            evtchnop_set_priority(&self, &prio);
            break;
        case 8:
            send_guest_vcpu_virq(d->vcpu[threads_random(2)], VIRQ_DEBUG);
            break;
        case 9:
            evtchnop_status(&self, &st);
            break;
        case 10:
            __atomic_fetch_or(&words[i][port], 1u << EVTCHN_FIFO_MASKED, __ATOMIC_SEQ_CST);
            break;
        case 11:
            evtchn_unmask(d, port);
            break;
        case 12:
            upcall(i, cpu % 2, locals[i][cpu % 2]);
            break;
        default:
            evtchn_send(d, port);
        }
    }
}

/* Who is whose peer, and which ports are taken. */
static void check_books(void)
{
    for (unsigned i = 0; i < 2; i++) {
        struct event_table *t = dom[i]->event;
        unsigned active = 0;

        for (uint32_t p = 1; p < t->nr_ports; p++) {
            struct evtchn *chn = evtchn_lookup(dom[i], p), *peer;
            bool used = test_bit(p, t->used[0]);

            assert_int_equal(used, chn->state != EVTCHNSTAT_closed);
            assert_int_equal(!!chn->remote, chn->state == EVTCHNSTAT_interdomain);
            active += used;
            if (!chn->remote)
                continue;
            peer = evtchn_lookup(chn->remote, chn->arg);
            assert_ptr_equal(peer->remote, dom[i]);
            assert_int_equal(peer->arg, p);
        }
        assert_int_equal(t->active, active);
    }
}

static int setup(void **state)
{
    struct xen_domctl_createdomain cfg = {.max_evtchn_port = PORTS - 1, .max_vcpus = 2};

    (void)state;
    nr_cpu_ids = CPUS;
    if (!max_page)
        fake_ram_init(4096);
    memset(locals, 0, sizeof(locals));
    for (unsigned i = 0; i < 2; i++) {
        dom[i] = make_domain(i + 1, 2, &cfg);
        go_fifo(i);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        dom[i]->dying = DOMDYING_dying;
        assert_int_equal(relinquish(dom[i]), 0);
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(page_refs(words[i]), 1);
        for (unsigned v = 0; v < 2; v++)
            assert_int_equal(page_refs(block[i][v]), 1);
        free_domain(dom[i]);
    }
    threads_free();
    return 0;
}

static void test_storm(void **state)
{
    struct vcpu *on[CPUS] = {dom[0]->vcpu[0], dom[0]->vcpu[1], dom[1]->vcpu[0], dom[1]->vcpu[1]};

    (void)state;
    threads_run(CPUS, storm, on);
    check_books();
    /* Unmask all, take all: what is left pending belongs to no queue, because it was lost. */
    for (unsigned i = 0; i < 2; i++)
        for (uint32_t p = 1; p < PORTS; p++)
            evtchn_unmask(dom[i], p);
    for (unsigned i = 0; i < 2; i++)
        for (unsigned v = 0; v < 2; v++)
            upcall(i, v, locals[i][v]);
    for (unsigned i = 0; i < 2; i++)
        for (uint32_t p = 1; p < PORTS; p++) {
            assert_false(words[i][p] & (1u << EVTCHN_FIFO_LINKED));
            if (evtchn_lookup(dom[i], p)->state != EVTCHNSTAT_closed)
                assert_false(words[i][p] & (1u << EVTCHN_FIFO_PENDING));
        }
}

static void storm_and_kill(unsigned cpu)
{
    if (cpu != CPUS) {
        storm(cpu);
        return;
    }
    for (unsigned n = 0; n < 20; n++) {
        sched_yield();
        while (evtchn_reset(dom[1])) /* somebody is about to bind a port */
            ;
    }
    dom[1]->dying = DOMDYING_dying;
    while (relinquish(dom[1]))
        ;
}

/* Resets and destroys domain 1 while everybody goes on; nothing of it stays bound. */
static void test_kill(void **state)
{
    struct vcpu *on[CPUS + 1] = {dom[0]->vcpu[0], dom[0]->vcpu[1], dom[1]->vcpu[0], dom[1]->vcpu[1],
                                 dom[0]->vcpu[0]};

    (void)state;
    threads_run(CPUS + 1, storm_and_kill, on);
    check_books();
    assert_int_equal(dom[1]->event->active, 0);
    assert_null(dom[1]->event->fifo);
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {T(test_storm), T(test_kill)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
