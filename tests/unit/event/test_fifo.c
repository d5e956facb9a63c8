// SPDX-License-Identifier: MIT
/*
 * The FIFO ABI, against a model of a guest that takes events off its queues as the ABI says, and
 * against one that writes at random into everything it shares.
 */
#include "event/domains.h"
#include "event/private.h"

#define VCPUS 2
#define PORTS 1500u /* more than one page of event words */

static struct domain *d;
static struct xen_domctl_createdomain cfg;
static struct evtchn_fifo_control_block *block[VCPUS];
static void *control_page[VCPUS], *array[3];
static unsigned arrays;
static uint64_t random_state;

static uint32_t rnd(uint32_t n)
{
    random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(random_state >> 33) % n;
}

static int setup(void **state)
{
    (void)state;
    fake_init(VCPUS);
    if (!max_page)
        fake_ram_init(8192);
    cfg = (struct xen_domctl_createdomain){.max_evtchn_port = ~0u, .max_vcpus = VCPUS};
    d = make_domain(1, VCPUS, &cfg);
    fake_run_on(0, d->vcpu[0]);
    random_state = 42;
    arrays = 0;
    for (unsigned i = 0; i < VCPUS; i++)
        control_page[i] = guest_page(d);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    d->dying = DOMDYING_dying;
    assert_int_equal(relinquish(d), 0);
    for (unsigned i = 0; i < VCPUS; i++) {
        assert_int_equal(page_refs(control_page[i]), 1);
        assert_int_equal(page_types(control_page[i]), 0);
        free_page_virt(control_page[i]);
    }
    for (unsigned i = 0; i < arrays; i++) {
        assert_int_equal(page_refs(array[i]), 1);
        assert_int_equal(page_types(array[i]), 0);
        free_page_virt(array[i]);
    }
    free_domain(d);
    assert_int_equal(fake_allocations, 0);
    return 0;
}

static struct call call_self(void)
{
    return (struct call){.v = d->vcpu[0], .d = d};
}

static long init_control(uint32_t vcpu, uint64_t gfn, uint32_t offset)
{
    struct call c = call_self();
    struct evtchn_init_control a = {.control_gfn = gfn, .offset = offset, .vcpu = vcpu};
    long rc = evtchnop_init_control(&c, &a);

    if (!rc)
        assert_int_equal(a.link_bits, 17);
    return rc;
}

static void go_fifo(void)
{
    for (unsigned i = 0; i < VCPUS; i++) {
        assert_int_equal(init_control(i, frame_of(control_page[i]), 64 * i), 0);
        block[i] = (void *)((char *)control_page[i] + 64 * i);
    }
}

static event_word_t *word(uint32_t port)
{
    return (event_word_t *)array[port / EVENT_WORDS_PER_PAGE] + port % EVENT_WORDS_PER_PAGE;
}

static long expand(void *page)
{
    struct call c = call_self();
    struct evtchn_expand_array a = {.array_gfn = frame_of(page)};

    return evtchnop_expand_array(&c, &a);
}

static void add_words(uint32_t contents)
{
    event_word_t *w = array[arrays] = guest_page(d);

    for (unsigned i = 0; i < EVENT_WORDS_PER_PAGE; i++)
        w[i] = contents;
    assert_int_equal(expand(w), 0);
    arrays++;
}

static uint32_t bind_ipi(uint32_t vcpu)
{
    struct call c = call_self();
    struct evtchn_bind_ipi a = {.vcpu = vcpu};

    assert_int_equal(evtchnop_bind_ipi(&c, &a), 0);
    return a.port;
}

static long set_priority(uint32_t port, uint32_t priority)
{
    struct call c = call_self();
    struct evtchn_set_priority a = {.port = port, .priority = priority};

    return evtchnop_set_priority(&c, &a);
}

/* --- a guest that behaves --- */

static uint32_t local_head[VCPUS][EVTCHN_FIFO_MAX_QUEUES];
static uint32_t taken[4 * PORTS];
static unsigned nr_taken, nr_handled[PORTS + 1];

#define F(bit) (1u << EVTCHN_FIFO_##bit)

static void take_one(unsigned vcpu, unsigned q, uint32_t *ready)
{
    uint32_t head = local_head[vcpu][q], w, port;

    if (!head)
        head = block[vcpu]->head[q];
    port = head;
    assert_in_range(port, 1, PORTS);
    w = *word(port);
    assert_true(w & F(LINKED));
    *word(port) = w & ~(F(LINKED) | EVTCHN_FIFO_LINK_MASK);
    local_head[vcpu][q] = w & EVTCHN_FIFO_LINK_MASK;
    if (!(w & EVTCHN_FIFO_LINK_MASK))
        *ready &= ~(1u << q);
    if ((w & F(PENDING)) && !(w & F(MASKED))) {
        *word(port) &= ~F(PENDING);
        nr_handled[port]++;
        assert_true(nr_taken < ARRAY_SIZE(taken));
        taken[nr_taken++] = port;
    }
}

/* Takes at most n events off the queues of a vcpu whose upcall is pending. */
static void upcall(unsigned vcpu, unsigned n)
{
    struct vcpu_info *info = d->vcpu[vcpu]->info;
    uint32_t ready;

    if (!info->evtchn_upcall_pending)
        return;
    info->evtchn_upcall_pending = 0;
    ready = __atomic_exchange_n(&block[vcpu]->ready, 0, __ATOMIC_SEQ_CST);
    while (ready) {
        if (!n--) { /* interrupted: the rest is for the next upcall */
            __atomic_fetch_or(&block[vcpu]->ready, ready, __ATOMIC_SEQ_CST);
            info->evtchn_upcall_pending = 1;
            return;
        }
        take_one(vcpu, ffs_index(ready), &ready);
        ready |= __atomic_exchange_n(&block[vcpu]->ready, 0, __ATOMIC_SEQ_CST);
    }
}

static void reset_guest(void)
{
    memset(local_head, 0, sizeof(local_head));
    memset(nr_handled, 0, sizeof(nr_handled));
    nr_taken = 0;
}

/* --- tests --- */

static void test_errors(void **state)
{
    struct domain *other = fake_domain(2, 1);
    void *theirs = guest_page(other), *table = guest_page(d);
    uint64_t mine = frame_of(control_page[0]);

    (void)state;
    assert_int_equal(expand(control_page[0]), -ENOSYS);
    assert_int_equal(set_priority(bind_ipi(0), 3), -ENOSYS);
    assert_int_equal(init_control(VCPUS, mine, 0), -ENOENT);
    assert_int_equal(init_control(0, mine, 4), -EINVAL);
    assert_int_equal(init_control(0, mine, PAGE_SIZE - 64), -EINVAL);
    assert_int_equal(init_control(0, mine, ~0u & ~7u), -EINVAL);
    assert_int_equal(init_control(0, frame_of(theirs), 0), -EINVAL);
    assert_int_equal(init_control(0, ~0ULL, 0), -EINVAL);
    page_of(table)->type = PGT_l1 | 1;
    assert_int_equal(init_control(0, frame_of(table), 0), -EINVAL);
    assert_int_equal(page_refs(table), 1);
    page_of(table)->type = 0;
    for (long n = 0; n < 2; n++) {
        fake_alloc_fail_after = n;
        assert_int_equal(init_control(0, mine, 0), -ENOMEM);
        fake_alloc_fail_after = -1;
    }
    assert_int_equal(page_refs(control_page[0]), 1);

    assert_int_equal(init_control(0, mine, PAGE_SIZE - sizeof(**block)), 0);
    assert_int_equal(init_control(0, mine, 0), -EINVAL);
    assert_int_equal(page_refs(control_page[0]), 2);
    assert_int_equal(expand(theirs), -EINVAL);
    assert_int_equal(set_priority(bind_ipi(0), 16), -EINVAL);
    assert_int_equal(set_priority(99, 3), -EINVAL);
    assert_int_equal(set_priority(1u << 20, 3), -EINVAL);
    for (unsigned i = 0; i < FIFO_MAX_PAGES; i++)
        assert_int_equal(expand(table), 0); /* the same page again and again: its own affair */
    assert_int_equal(expand(table), -ENOSPC);
    assert_int_equal(page_refs(table), FIFO_MAX_PAGES + 1);
    assert_int_equal(evtchn_reset(d), 0);
    assert_int_equal(page_refs(table), 1);
    assert_int_equal(init_control(0, mine, 0), 0);
    free_page_virt(theirs);
    free_page_virt(table);
    xfree(other->vcpu[0]);
    xfree(other->vcpu);
}

/* A vcpu whose reset is overtaken by another's comes to the end of it late. */
static void test_late_reset(void **state)
{
    struct call c = call_self();
    struct evtchn_close a;

    (void)state;
    go_fifo();
    add_words(0);
    a.port = bind_ipi(1);
    assert_int_equal(fifo_destroy(d), 0); /* the other has ended, and a port is open since */
    assert_non_null(d->event->fifo);
    assert_non_null(d->vcpu[1]->fifo);
    d->event->closed = true; /* ... and a third has begun */
    assert_int_equal(fifo_destroy(d), -ERESTART);
    assert_non_null(d->event->fifo);
    assert_non_null(d->vcpu[1]->fifo);
    assert_int_equal(evtchn_send(d, a.port), 0);
    assert_int_equal(evtchnop_close(&c, &a), 0);
    assert_int_equal(fifo_destroy(d), 0);
    assert_null(d->event->fifo);
    assert_null(d->vcpu[1]->fifo);
}

static void test_order(void **state)
{
    uint32_t p[5];

    (void)state;
    reset_guest();
    go_fifo();
    add_words(0);
    for (unsigned i = 0; i < 5; i++)
        p[i] = bind_ipi(0);
    assert_int_equal(set_priority(p[4], EVTCHN_FIFO_PRIORITY_MAX), 0);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(evtchn_send(d, p[i]), 0);
    assert_int_equal(evtchn_send(d, p[0]), 0); /* once is enough */
    assert_int_equal(fake_kicks, 1);
    upcall(0, 100);
    assert_int_equal(nr_taken, 5);
    assert_int_equal(taken[0], p[4]);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(taken[i + 1], p[i]);

    /* One that is taken off but was the tail begins the queue anew, also on another queue. */
    assert_int_equal(evtchn_send(d, p[3]), 0);
    upcall(0, 100);
    assert_int_equal(set_priority(p[3], 1), 0);
    assert_int_equal(evtchn_send(d, p[3]), 0);
    assert_int_equal(evtchn_send(d, p[2]), 0);
    assert_int_equal(evtchn_send(d, p[1]), 0);
    nr_taken = 0;
    upcall(0, 100);
    assert_int_equal(nr_taken, 3);
    assert_int_equal(taken[0], p[3]);
    assert_int_equal(taken[1], p[2]);
}

static void test_masked(void **state)
{
    uint32_t p = bind_ipi(1);

    (void)state;
    reset_guest();
    go_fifo();
    add_words(F(MASKED));
    assert_int_equal(evtchn_send(d, p), 0);
    assert_true(*word(p) & F(PENDING));
    assert_false(*word(p) & F(LINKED));
    assert_int_equal(fake_kicks, 0);
    assert_int_equal(evtchn_port_poll(d, p), 1);
    assert_int_equal(evtchn_unmask(d, p), 0);
    assert_int_equal(fake_kicks, 1);
    upcall(1, 100);
    assert_int_equal(nr_handled[p], 1);
    assert_int_equal(evtchn_unmask(d, p), 0);
    assert_int_equal(fake_kicks, 1);
}

/* Raised before the switch to FIFO, and before there is a word: neither is lost. */
static void test_carried_over(void **state)
{
    uint32_t p, q;

    (void)state;
    reset_guest();
    p = bind_ipi(0);
    assert_int_equal(evtchn_send(d, p), 0);
    d->vcpu[0]->info->evtchn_upcall_pending = 0;
    go_fifo();
    q = bind_ipi(0);
    assert_int_equal(evtchn_send(d, q), 0);
    assert_int_equal(evtchn_port_poll(d, q), 1);
    add_words(0);
    upcall(0, 100);
    assert_int_equal(nr_handled[p], 1);
    assert_int_equal(nr_handled[q], 1);

    /* ... but not into the next use of the port. */
    assert_int_equal(evtchn_reset(d), 0);
    arrays = 0;
    free_page_virt(array[0]);
    go_fifo();
    p = bind_ipi(0);
    assert_int_equal(evtchn_send(d, p), 0);
    assert_int_equal(evtchn_close(d, p), 0);
    assert_int_equal(bind_ipi(0), p);
    add_words(0);
    upcall(0, 100);
    assert_int_equal(nr_handled[p], 1); /* of before */
}

static void test_linked_port_not_reused(void **state)
{
    uint32_t p = bind_ipi(0), q;

    (void)state;
    reset_guest();
    go_fifo();
    add_words(0);
    assert_int_equal(evtchn_send(d, p), 0);
    assert_int_equal(evtchn_close(d, p), 0);
    assert_false(*word(p) & F(PENDING));
    q = bind_ipi(1);
    assert_int_not_equal(p, q);
    upcall(0, 100);
    assert_int_equal(nr_handled[p], 0);
    assert_int_equal(bind_ipi(1), p);
}

/* Every event raised is seen, whatever the order of raising, masking, moving and taking. */
static void test_random(void **state)
{
    static uint32_t port[PORTS];
    static bool owed[PORTS + 1], masked[PORTS + 1];

    (void)state;
    reset_guest();
    go_fifo();
    add_words(0);
    add_words(0);
    memset(owed, 0, sizeof(owed));
    memset(masked, 0, sizeof(masked));
    for (unsigned i = 0; i < PORTS; i++)
        port[i] = bind_ipi(rnd(VCPUS));
    for (unsigned step = 0; step < 200000; step++) {
        uint32_t p = port[rnd(PORTS)];

        switch (rnd(8)) {
        case 0 ... 3:
            assert_int_equal(evtchn_send(d, p), 0);
            owed[p] = true;
            break;
        case 4:
            __atomic_fetch_or(word(p), F(MASKED), __ATOMIC_SEQ_CST);
            masked[p] = true;
            break;
        case 5:
            assert_int_equal(evtchn_unmask(d, p), 0);
            masked[p] = false;
            break;
        case 6:
            assert_int_equal(set_priority(p, rnd(16)), 0);
            break;
        default:
            nr_taken = 0;
            upcall(rnd(VCPUS), rnd(20));
            for (unsigned k = 0; k < nr_taken; k++) {
                assert_true(owed[taken[k]]);
                owed[taken[k]] = false;
            }
        }
    }
    for (unsigned i = 0; i < PORTS; i++)
        assert_int_equal(evtchn_unmask(d, port[i]), 0);
    nr_taken = 0;
    for (unsigned i = 0; i < VCPUS; i++)
        upcall(i, ~0u);
    for (unsigned k = 0; k < nr_taken; k++) {
        assert_true(owed[taken[k]]);
        owed[taken[k]] = false;
    }
    for (unsigned i = 0; i <= PORTS; i++)
        assert_false(owed[i]);
}

/* The same with an end that moves between vcpus. */
static void test_moving(void **state)
{
    struct call c = call_self();
    static struct {
        uint32_t from, to;
        bool owed;
    } pair[50];

    (void)state;
    reset_guest();
    go_fifo();
    add_words(0);
    for (unsigned i = 0; i < ARRAY_SIZE(pair); i++) {
        struct evtchn_alloc_unbound a = {.remote_dom = DOMID_SELF};
        struct evtchn_bind_interdomain b = {.remote_dom = DOMID_SELF};

        assert_int_equal(evtchnop_alloc_unbound(&c, &a), 0);
        b.remote_port = a.port;
        a.remote_dom = d->id;
        assert_int_equal(evtchnop_bind_interdomain(&c, &b), 0);
        pair[i].to = a.port;
        pair[i].from = b.local_port;
    }
    for (unsigned i = 0; i < VCPUS; i++)
        upcall(i, ~0u);
    for (unsigned step = 0; step < 100000; step++) {
        unsigned i = rnd(ARRAY_SIZE(pair));
        struct evtchn_bind_vcpu to = {.port = pair[i].to, .vcpu = rnd(VCPUS)};

        switch (rnd(4)) {
        case 0:
            assert_int_equal(evtchnop_bind_vcpu(&c, &to), 0);
            /* fall through */
        case 1:
        case 2:
            assert_int_equal(evtchn_send(d, pair[i].from), 0);
            pair[i].owed = true;
            break;
        default:
            nr_taken = 0;
            if (rnd(10) == 0)
                for (unsigned v = 0; v < VCPUS; v++)
                    upcall(v, ~0u);
            else
                upcall(rnd(VCPUS), rnd(5));
            for (unsigned k = 0; k < nr_taken; k++)
                for (unsigned j = 0; j < ARRAY_SIZE(pair); j++)
                    if (pair[j].to == taken[k])
                        pair[j].owed = false;
        }
    }
    for (unsigned v = 0; v < VCPUS; v++)
        upcall(v, ~0u);
    for (unsigned i = 0; i < ARRAY_SIZE(pair); i++)
        assert_false(*word(pair[i].to) & (F(PENDING) | F(LINKED)));
}

/* A guest that writes anything anywhere: nothing of ours breaks, and all is given back. */
static void test_hostile(void **state)
{
    struct call c = call_self();

    (void)state;
    go_fifo();
    add_words(0);
    add_words(0xffffffff);
    for (unsigned step = 0; step < 300000; step++) {
        uint32_t p = rnd(2 * EVENT_WORDS_PER_PAGE);
        struct evtchn_bind_vcpu to = {.port = p, .vcpu = rnd(VCPUS)};
        struct evtchn_bind_ipi ipi = {.vcpu = rnd(VCPUS)};

        *word(rnd(2 * EVENT_WORDS_PER_PAGE)) = (rnd(16) << 28) | rnd(1u << 28);
        *word(p) = (rnd(16) << 28) | rnd(1u << 17);
        block[rnd(VCPUS)]->head[rnd(16)] = rnd(1u << 31);
        block[rnd(VCPUS)]->ready = rnd(1u << 31);
        if (rnd(2))
            d->vcpu[rnd(VCPUS)]->info->evtchn_upcall_pending = 0;
        switch (rnd(6)) {
        case 0:
            evtchnop_bind_ipi(&c, &ipi);
            break;
        case 1:
            evtchn_close(d, p);
            break;
        case 2:
            evtchn_unmask(d, p);
            break;
        case 3:
            set_priority(p, rnd(17));
            break;
        case 4:
            evtchnop_bind_vcpu(&c, &to);
            break;
        default:
            evtchn_send(d, p);
        }
    }
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_errors), T(test_late_reset),   T(test_order),
        T(test_masked), T(test_carried_over), T(test_linked_port_not_reused),
        T(test_random), T(test_moving),       T(test_hostile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
