// SPDX-License-Identifier: MIT
/*
 * Ports that are bound, closed, sent to, moved and unmasked by four vcpus at once, in both ABIs;
 * then the books must balance: every port that is left open can be raised and is taken once, and
 * as many ports as before are free.
 */
#include "stress.h"

#define STEPS 6000
#define PORTS 160 /* those that are played with: from FIRST on */
#define FIRST 8   /* console, store, what the library has bound */

static bool fifo;
static unsigned held[FIRST]; /* ports below FIRST, bound beforehand */
static volatile unsigned done[16];

static bool unbound(unsigned *port)
{
    struct evtchn_alloc_unbound a = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};

    if (evtchn(EVTCHNOP_alloc_unbound, &a))
        return false;
    *port = a.port;
    return true;
}

static void step(unsigned n)
{
    unsigned port = FIRST + rnd(PORTS), what = rnd(12), made;
    struct evtchn_bind_interdomain b = {.remote_dom = DOMID_SELF, .remote_port = port};
    struct evtchn_bind_ipi ipi = {.vcpu = rnd(STRESS_CPUS)};
    struct evtchn_bind_virq virq = {.virq = VIRQ_DEBUG, .vcpu = rnd(STRESS_CPUS)};
    struct evtchn_bind_vcpu move = {.port = port, .vcpu = rnd(STRESS_CPUS)};
    struct evtchn_set_priority prio = {.port = port, .priority = rnd(16)};
    struct evtchn_status st = {.dom = DOMID_SELF, .port = port};
    struct evtchn_close c = {.port = port};
    struct evtchn_send s = {.port = port};
    struct evtchn_unmask u = {.port = port};
    long ret = -1;

    (void)n;
    switch (what) {
    case 0:
        ret = unbound(&made) ? 0 : -1;
        break;
    case 1:
        ret = evtchn(EVTCHNOP_bind_interdomain, &b);
        break;
    case 2:
        ret = evtchn(EVTCHNOP_bind_ipi, &ipi);
        break;
    case 3:
        ret = evtchn(EVTCHNOP_bind_virq, &virq);
        break;
    case 4:
    case 5:
        ret = evtchn(EVTCHNOP_close, &c);
        break;
    case 6:
        ret = evtchn(EVTCHNOP_bind_vcpu, &move);
        break;
    case 7:
        ret = evtchn(EVTCHNOP_set_priority, &prio);
        break;
    case 8:
        ret = evtchn(EVTCHNOP_status, &st);
        break;
    case 9:
        ret = evtchn(EVTCHNOP_unmask, &u);
        break;
    default:
        ret = evtchn(EVTCHNOP_send, &s);
    }
    if (!ret)
        __atomic_add_fetch(&done[what], 1, __ATOMIC_SEQ_CST);
}

/* Upcalls that are due, on every vcpu. */
static void settle(unsigned n)
{
    (void)n;
    for (unsigned i = 0; i < 20; i++)
        HC2(sched_op, SCHEDOP_yield, 0);
}

static u32 still_there(unsigned port)
{
    struct evtchn_status s = {.dom = DOMID_SELF, .port = port};

    CHECK_EQ(evtchn(EVTCHNOP_status, &s), 0);
    return s.status;
}

/* Every open port, raised once more, is taken once more. */
static void raise_all(void)
{
    static u64 before[FIRST + PORTS];
    static bool raised[FIRST + PORTS + 1]; /* the last: all beyond */

    for (unsigned p = FIRST; p < FIRST + PORTS; p++) {
        struct evtchn_unmask u = {.port = p};

        evtchn(EVTCHNOP_unmask, &u);
    }
    on_all(settle);
    for (unsigned p = FIRST; p < FIRST + PORTS; p++)
        before[p] = event_count[p];
    memset(raised, 0, sizeof(raised));
    for (unsigned p = FIRST; p < FIRST + PORTS; p++) {
        struct evtchn_status s = {.dom = DOMID_SELF, .port = p};
        struct evtchn_send send = {.port = p};

        REQUIRE_EQ(evtchn(EVTCHNOP_status, &s), 0);
        if (s.status == EVTCHNSTAT_interdomain || s.status == EVTCHNSTAT_ipi) {
            unsigned to = s.status == EVTCHNSTAT_ipi ? p : s.u.interdomain.port;

            CHECK_EQ(evtchn(EVTCHNOP_send, &send), 0);
            raised[to < FIRST + PORTS ? to : FIRST + PORTS] = true;
        }
    }
    on_all(settle);
    for (unsigned p = FIRST; p < FIRST + PORTS; p++) {
        CHECK_EQ(event_count[p] - before[p], raised[p]);
        if (fifo)
            CHECK(!fifo_has(p, EVTCHN_FIFO_LINKED));
    }
}

static void storm_of_events(void)
{
    unsigned nr_held = 0, port;

    if (nr_vcpus() < STRESS_CPUS)
        skip("needs four vcpus");
    memset((void *)done, 0, sizeof(done));
    do /* so that what is closed at random is ours to close */
        REQUIRE(unbound(&port));
    while (port < FIRST && (held[nr_held++] = port));
    close_port(port);
    storm(step, STEPS);
    raise_all();
    for (unsigned i = 0; i <= 10; i++)
        CHECK(done[i] || (i == 7 && !fifo)); /* priorities are FIFO's */
    say("  bound %u, %u, %u, %u; closed %u, moved %u, unmasked %u, sent %u\n", done[0], done[1],
        done[2], done[3], done[4] + done[5], done[6], done[9], done[10] + done[11]);
    for (port = FIRST; port < 4096; port++) {
        struct evtchn_close c = {.port = port};

        evtchn(EVTCHNOP_close, &c);
    }
    while (nr_held)
        close_port(held[--nr_held]);
    /* All of them can be had again. */
    for (unsigned i = 0; i < PORTS; i++) {
        REQUIRE(unbound(&port));
        CHECK(port < FIRST + PORTS);
        CHECK_EQ(still_there(port), EVTCHNSTAT_unbound);
    }
}

TEST(stress_events)
{
    fifo = false;
    storm_of_events();
    reset_events();
}

TEST(stress_events_fifo)
{
    fifo = true;
    fifo_begin();
    storm_of_events();
    fifo_end();
}

/* Vcpu 0 resets its domain's events while the others go on as before. */
static void step_or_reset(unsigned n)
{
    struct evtchn_reset r = {.dom = DOMID_SELF};

    if (this_cpu()->id)
        step(n);
    else if (n % 100 == 0)
        CHECK_EQ(evtchn(EVTCHNOP_reset, &r), 0);
    else
        HC2(sched_op, SCHEDOP_yield, 0);
}

TEST(stress_reset)
{
    if (!is_dom0())
        skip("xenconsoled may look while the console's port is closed, and gives the console up");
    if (nr_vcpus() < STRESS_CPUS)
        skip("needs four vcpus");
    fifo = false;
    storm(step_or_reset, STEPS / 4);
    reset_events();
    storm_of_events();
    reset_events();
}
