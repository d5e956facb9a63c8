// SPDX-License-Identifier: MIT
/* FIFO events, as a guest that follows the rules of event_channel.h takes them; and the way back.
 */
#include "guest.h"

volatile event_word_t *fifo_words[FIFO_PAGES];
struct evtchn_fifo_control_block *fifo_control[MAX_CPUS];
volatile u32 fifo_taken[FIFO_LOG];
volatile unsigned fifo_nr_taken;

static u32 heads[MAX_CPUS][EVTCHN_FIFO_MAX_QUEUES];
static unsigned pages, nr_controls;

#define UNLINK  (1u << EVTCHN_FIFO_LINKED | EVTCHN_FIFO_LINK_MASK)
#define BIT_(n) (1u << (n))

volatile event_word_t *fifo_word(unsigned port)
{
    return &fifo_words[port / FIFO_PER_PAGE][port % FIFO_PER_PAGE];
}

bool fifo_has(unsigned port, unsigned bit)
{
    return *fifo_word(port) >> bit & 1;
}

void fifo_mask(unsigned port)
{
    __atomic_fetch_or(fifo_word(port), BIT_(EVTCHN_FIFO_MASKED), __ATOMIC_SEQ_CST);
}

/* One event of queue q; false if that was the queue's last. */
static bool take(struct evtchn_fifo_control_block *c, u32 *head, unsigned q)
{
    u32 port = *head ?: READ_ONCE(c->head[q]), w;

    if (!port || port / FIFO_PER_PAGE >= pages) {
        fail(__FILE__, __LINE__, "queue %u begins with port %u", q, port);
        return false;
    }
    w = __atomic_fetch_and(fifo_word(port), ~UNLINK, __ATOMIC_SEQ_CST);
    if (!(w & BIT_(EVTCHN_FIFO_LINKED)))
        fail(__FILE__, __LINE__, "port %u of queue %u is not linked: %#x", port, q, w);
    *head = w & EVTCHN_FIFO_LINK_MASK;
    if (w & BIT_(EVTCHN_FIFO_MASKED))
        return *head;
    w = __atomic_fetch_and(fifo_word(port), ~BIT_(EVTCHN_FIFO_PENDING), __ATOMIC_SEQ_CST);
    if (w & BIT_(EVTCHN_FIFO_PENDING)) {
        unsigned n = __atomic_fetch_add(&fifo_nr_taken, 1, __ATOMIC_SEQ_CST);

        fifo_taken[n % FIFO_LOG] = port;
        if (port < ARRAY_SIZE(event_count))
            event_count[port]++;
    }
    return *head;
}

static bool upcall(struct frame *f)
{
    unsigned id = this_cpu()->id;
    struct evtchn_fifo_control_block *c = fifo_control[id];
    u32 ready;

    (void)f;
    vcpu_info()->evtchn_upcall_pending = 0;
    ready = __atomic_exchange_n(&c->ready, 0, __ATOMIC_SEQ_CST);
    while (ready) {
        unsigned q = __builtin_ctz(ready);

        if (!take(c, &heads[id][q], q))
            ready &= ~BIT_(q);
        ready |= __atomic_exchange_n(&c->ready, 0, __ATOMIC_SEQ_CST);
    }
    return true;
}

bool fifo_grow(void)
{
    struct evtchn_expand_array a;
    event_word_t *page = page_alloc();

    /* Events may have been raised already: they wait until somebody wants them. */
    for (unsigned i = 0; i < FIFO_PER_PAGE; i++)
        page[i] = BIT_(EVTCHN_FIFO_MASKED);
    a.array_gfn = mfn_of(page);
    if (pages < FIFO_PAGES)
        fifo_words[pages] = page;
    pages++;
    if (!evtchn(EVTCHNOP_expand_array, &a))
        return true;
    pages--;
    page_free(page);
    return false;
}

/* A control block of a whole page: nr_pages is what it was meant for. */
static void add_control(unsigned vcpu)
{
    struct evtchn_init_control a = {.vcpu = vcpu};
    void *page = page_alloc();

    a.control_gfn = mfn_of(page);
    REQUIRE_EQ(evtchn(EVTCHNOP_init_control, &a), 0);
    CHECK_EQ(a.link_bits, EVTCHN_FIFO_LINK_BITS);
    fifo_control[vcpu] = page;
    nr_controls++;
}

void fifo_begin(void)
{
    unsigned vcpus = nr_vcpus();

    memset(heads, 0, sizeof(heads));
    fifo_nr_taken = 0;
    for (unsigned i = 0; i < vcpus; i++)
        add_control(i);
    hooks[VEC_EVENT] = upcall;
    REQUIRE(fifo_grow());
}

static struct evtchn_bind_interdomain peer_of(unsigned port)
{
    struct evtchn_status s = {.dom = DOMID_SELF, .port = port};
    struct evtchn_bind_interdomain b = {0};

    /* The daemons of dom0 may take their time to bind. */
    for (unsigned i = 0; i < 2000 && s.status != EVTCHNSTAT_interdomain; i++) {
        if (i)
            sleep_ms(5);
        REQUIRE_EQ(evtchn(EVTCHNOP_status, &s), 0);
    }
    REQUIRE_EQ(s.status, EVTCHNSTAT_interdomain);
    b.remote_dom = s.u.interdomain.dom;
    b.remote_port = s.u.interdomain.port;
    return b;
}

void reset_events(void)
{
    struct evtchn_reset r = {.dom = DOMID_SELF};
    struct evtchn_bind_interdomain store, console;

    if (!is_dom0()) {
        store = peer_of(boot_info.store_evtchn);
        console = peer_of(boot_info.console.domU.evtchn);
    }
    events_off();
    REQUIRE_EQ(evtchn(EVTCHNOP_reset, &r), 0);
    memset((void *)shared_info->evtchn_mask, 0xff, sizeof(shared_info->evtchn_mask));
    memset((void *)shared_info->evtchn_pending, 0, sizeof(shared_info->evtchn_pending));
    if (!is_dom0()) {
        REQUIRE_EQ(evtchn(EVTCHNOP_bind_interdomain, &store), 0);
        REQUIRE_EQ(evtchn(EVTCHNOP_bind_interdomain, &console), 0);
        boot_info.store_evtchn = store.local_port;
        boot_info.console.domU.evtchn = console.local_port;
    }
    events_on();
}

void fifo_end(void)
{
    reset_events();
    hooks[VEC_EVENT] = NULL;
    while (pages)
        page_free((void *)fifo_words[--pages]);
    while (nr_controls)
        page_free(fifo_control[--nr_controls]);
}
