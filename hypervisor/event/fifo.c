// SPDX-License-Identifier: MIT
/*
 * The FIFO ABI: 131,072 ports, 16 priorities, events in the order they were raised.
 *
 * The guest gives pages of event words (one 32-bit word a port: PENDING, MASKED, LINKED, BUSY and
 * the number of the next port) and, for every vcpu, a control block with 16 queue heads and a
 * word of `ready` bits.  The hypervisor appends at the tail of a queue, the guest takes from the
 * head; only the hypervisor knows the tails, and it never follows a link that it reads.  So a
 * guest that scribbles over its words can lose its own events and nothing else: every loop over
 * guest memory is bounded, every index is ours.
 *
 * A port is on at most one queue.  An event word says LINKED from when the hypervisor put the
 * port on a queue until the guest takes it off (it clears LINKED and the link in one exchange).
 *
 * Locks: a queue's lock guards its tail and the appending of links; it is taken under the lock of
 * the channel that is linked; two queues (when a port moves to another) are locked by address.
 * The table's lock guards the coming of words and control blocks.  They go only when all ports
 * are closed and none can be bound; whoever touches a word holds the lock of a channel that is
 * not closed (or the table's lock).
 *
 * tests/model/fifo.pml is this protocol as a model: what is changed here is to be changed there.
 */
#include "event/private.h"
#include "arch/api/arch_mm.h"
#include "hypercall/handlers.h"

#define PENDING   (1u << EVTCHN_FIFO_PENDING)
#define MASKED    (1u << EVTCHN_FIFO_MASKED)
#define LINKED    (1u << EVTCHN_FIFO_LINKED)
#define BUSY      (1u << EVTCHN_FIFO_BUSY)
#define LINK_MASK ((uint32_t)EVTCHN_FIFO_LINK_MASK)

/* How often an append is tried against a guest that changes the word at the same time. */
#define APPEND_TRIES 5

struct fifo_queue {
    spinlock_t lock; /* LOCK_QUEUE */
    uint32_t tail;   /* the port appended last; 0: none since the queue was last seen empty */
};

struct fifo_vcpu {
    struct fifo_vcpu *next;                  /* of those that have been taken out of use */
    struct evtchn_fifo_control_block *block; /* in the guest's page */
    struct page_info *page;                  /* referenced, writable */
    struct fifo_queue queue[EVTCHN_FIFO_MAX_QUEUES];
};

static event_word_t *event_word(const struct fifo *f, uint32_t port)
{
    uint32_t n = port / EVENT_WORDS_PER_PAGE;

    if (unlikely(n >= READ_ONCE(f->pages)))
        return NULL;
    smp_rmb();
    return &f->array[n][port % EVENT_WORDS_PER_PAGE];
}

static uint32_t fetch_or(uint32_t *p, uint32_t bits)
{
    return __atomic_fetch_or(p, bits, __ATOMIC_SEQ_CST);
}

static uint32_t fetch_clear(uint32_t *p, uint32_t bits)
{
    return __atomic_fetch_and(p, ~bits, __ATOMIC_SEQ_CST);
}

/*
 * Links port behind the event whose word is tail; false if that event is on no queue any more, so
 * that port begins the queue anew.  BUSY asks the guest to leave the word alone for a moment; one
 * that does not may see its queue begun anew too early.
 */
static bool append(event_word_t *tail, uint32_t port)
{
    event_word_t w = READ_ONCE(*tail);

    for (unsigned i = 0; i < APPEND_TRIES; i++) {
        event_word_t linked = (w & ~(BUSY | LINK_MASK)) | port;

        if (!(w & LINKED))
            break;
        if (__atomic_compare_exchange_n(tail, &w, linked, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
            return true;
        w = fetch_or(tail, BUSY) | BUSY;
    }
    if (w & BUSY)
        fetch_clear(tail, BUSY);
    return false;
}

static void lock_queues(struct fifo_queue *a, struct fifo_queue *b)
{
    if (a == b) {
        spin_lock(&a->lock);
    } else if (a < b) {
        spin_lock(&a->lock);
        spin_lock(&b->lock);
    } else {
        spin_lock(&b->lock);
        spin_lock(&a->lock);
    }
}

static void unlock_queues(struct fifo_queue *a, struct fifo_queue *b)
{
    spin_unlock(&a->lock);
    if (a != b)
        spin_unlock(&b->lock);
}

/* Puts chn on the queue of its vcpu and priority, unless it is on one. */
static void link_event(struct domain *d, struct fifo *f, struct evtchn *chn, event_word_t *word)
{
    struct vcpu *v = evtchn_vcpu(d, chn);
    struct fifo_vcpu *fv = READ_ONCE(v->fifo), *last_fv = d->vcpu[chn->last_vcpu]->fifo;
    struct fifo_queue *q, *last_q;
    bool linked = false;

    if (unlikely(!fv)) /* no control block: it stays pending, and off every queue */
        return;
    q = &fv->queue[chn->priority];
    last_q = last_fv ? &last_fv->queue[chn->last_priority] : q;

    lock_queues(q, last_q);
    if (unlikely(fetch_or(word, LINKED) & LINKED)) {
        unlock_queues(q, last_q);
        return;
    }
    /* It was on no queue: where it still is the tail, the queue is empty. */
    if (last_q->tail == chn->port)
        last_q->tail = 0;
    chn->last_vcpu = chn->vcpu;
    chn->last_priority = chn->priority;

    if (q->tail)
        linked = append(event_word(f, q->tail), chn->port);
    if (!linked)
        WRITE_ONCE(fv->block->head[chn->priority], chn->port);
    q->tail = chn->port;
    unlock_queues(q, last_q);

    if (!linked && !(fetch_or(&fv->block->ready, 1u << chn->priority) & (1u << chn->priority)))
        vcpu_mark_events_pending(v);
}

bool fifo_set_pending(struct domain *d, struct fifo *f, struct evtchn *chn)
{
    event_word_t *word = event_word(f, chn->port), old;

    if (unlikely(!word)) {
        chn->pending = true;
        return true;
    }
    old = fetch_or(word, PENDING);
    if (!(old & (MASKED | LINKED)))
        link_event(d, f, chn, word);
    return !(old & PENDING);
}

void fifo_unmask(struct domain *d, struct fifo *f, struct evtchn *chn)
{
    event_word_t *word = event_word(f, chn->port), old;

    if (!word)
        return;
    old = fetch_clear(word, MASKED);
    if ((old & PENDING) && !(old & LINKED))
        link_event(d, f, chn, word);
}

void fifo_clear_pending(struct fifo *f, struct evtchn *chn)
{
    event_word_t *word = event_word(f, chn->port);

    chn->pending = false;
    if (word)
        fetch_clear(word, PENDING);
}

bool fifo_is_pending(const struct fifo *f, const struct evtchn *chn)
{
    const event_word_t *word = event_word(f, chn->port);

    return word ? READ_ONCE(*word) & PENDING : chn->pending;
}

bool fifo_is_masked(const struct fifo *f, const struct evtchn *chn)
{
    const event_word_t *word = event_word(f, chn->port);

    return !word || (READ_ONCE(*word) & MASKED);
}

bool fifo_is_linked(const struct fifo *f, uint32_t port)
{
    const event_word_t *word = event_word(f, port);

    return word && (READ_ONCE(*word) & LINKED);
}

/* d's page behind gfn, referenced and writable for good; NULL: not such a page. */
static struct page_info *get_writable(struct domain *d, uint64_t gfn)
{
    struct page_info *pg = get_page_gfn(d, _gfn(gfn));
    bool ok;

    if (!pg)
        return NULL;
    ok = get_page_and_type(pg, d, PGT_writable);
    put_page(pg);
    return ok ? pg : NULL;
}

/* What was pending in the two-level bitmaps becomes pending once its event word exists. */
static void carry_pending(struct domain *d, uint32_t nr_ports)
{
    for (uint32_t port = 1; port < nr_ports; port++) {
        struct evtchn *chn = evtchn_lookup(d, port);
        unsigned long flags;

        spin_lock_irqsave(&chn->lock, flags);
        if (chn->state != EVTCHNSTAT_closed && twolevel_is_pending(d, chn))
            chn->pending = true;
        spin_unlock_irqrestore(&chn->lock, flags);
    }
}

long evtchnop_init_control(struct call *c, struct evtchn_init_control *arg)
{
    struct domain *d = c->d;
    struct event_table *t = d->event;
    struct vcpu *v = domain_vcpu(d, arg->vcpu);
    struct page_info *pg;
    struct fifo_vcpu *fv;
    struct fifo *f;
    bool first;

    if (!v)
        return -ENOENT;
    if (arg->offset > PAGE_SIZE - sizeof(*fv->block) || (arg->offset & 7))
        return -EINVAL;
    pg = get_writable(d, arg->control_gfn);
    if (!pg)
        return -EINVAL;
    fv = xzalloc(struct fifo_vcpu);
    f = xzalloc(struct fifo);
    if (!fv || !f) {
        put_page_and_type(pg);
        xfree(fv);
        xfree(f);
        return -ENOMEM;
    }
    fv->page = pg;
    fv->block = (void *)((char *)page_to_virt(pg) + arg->offset);
    for (unsigned i = 0; i < EVTCHN_FIFO_MAX_QUEUES; i++)
        spin_lock_init(&fv->queue[i].lock, LOCK_QUEUE);

    spin_lock(&t->lock);
    if (t->closed || v->fifo) {
        spin_unlock(&t->lock);
        put_page_and_type(pg);
        xfree(fv);
        xfree(f);
        return -EINVAL;
    }
    __atomic_store_n(&v->fifo, fv, __ATOMIC_RELEASE);
    first = !t->fifo;
    if (first)
        __atomic_store_n(&t->fifo, f, __ATOMIC_RELEASE);
    spin_unlock(&t->lock);

    if (first)
        carry_pending(d, min(READ_ONCE(t->nr_ports), twolevel_nr_ports(d)));
    else
        xfree(f);
    arg->link_bits = EVTCHN_FIFO_LINK_BITS;
    return 0;
}

long evtchnop_expand_array(struct call *c, struct evtchn_expand_array *arg)
{
    struct domain *d = c->d;
    struct event_table *t = d->event;
    struct page_info *pg = get_writable(d, arg->array_gfn);
    uint32_t first = 0;
    int rc = 0;

    if (!pg)
        return READ_ONCE(t->fifo) ? -EINVAL : -ENOSYS;
    spin_lock(&t->lock);
    if (!t->fifo || t->closed) {
        rc = -ENOSYS;
    } else if (t->fifo->pages == FIFO_MAX_PAGES) {
        rc = -ENOSPC;
    } else {
        first = t->fifo->pages * EVENT_WORDS_PER_PAGE;
        t->fifo->array[t->fifo->pages] = page_to_virt(pg);
        smp_wmb();
        WRITE_ONCE(t->fifo->pages, t->fifo->pages + 1);
    }
    spin_unlock(&t->lock);
    if (rc) {
        put_page_and_type(pg);
        return rc;
    }

    for (uint32_t i = 0; i < EVENT_WORDS_PER_PAGE; i++) {
        struct evtchn *chn = evtchn_lookup(d, first + i);
        unsigned long flags;

        if (!chn)
            break;
        spin_lock_irqsave(&chn->lock, flags);
        if (chn->pending) {
            chn->pending = false;
            if (chn->state != EVTCHNSTAT_closed)
                evtchn_raise(d, chn);
        }
        spin_unlock_irqrestore(&chn->lock, flags);
    }
    return 0;
}

long evtchnop_set_priority(struct call *c, struct evtchn_set_priority *arg)
{
    struct domain *d = c->d;
    struct evtchn *chn;
    unsigned long flags;
    long rc = 0;

    if (!READ_ONCE(d->event->fifo))
        return -ENOSYS;
    chn = evtchn_lookup(d, arg->port);
    if (!chn || arg->priority > EVTCHN_FIFO_PRIORITY_MIN)
        return -EINVAL;
    spin_lock_irqsave(&chn->lock, flags);
    if (chn->state == EVTCHNSTAT_closed)
        rc = -EINVAL;
    else
        chn->priority = (uint8_t)arg->priority; /* an event on a queue stays where it is */
    spin_unlock_irqrestore(&chn->lock, flags);
    return rc;
}

/* Takes everything out of use; the control blocks as a list.  Under the table's lock. */
static struct fifo *detach(struct domain *d, struct fifo_vcpu **blocks)
{
    struct fifo *f = d->event->fifo;
    struct vcpu *v;

    d->event->fifo = NULL;
    for_each_vcpu (d, v) {
        struct fifo_vcpu *fv = v->fifo;

        if (!fv)
            continue;
        v->fifo = NULL;
        fv->next = *blocks;
        *blocks = fv;
    }
    return f;
}

int fifo_destroy(struct domain *d)
{
    struct event_table *t = d->event;
    struct fifo_vcpu *fv = NULL, *next;
    struct fifo *f = NULL;
    bool busy;

    /*
     * Another vcpu's reset may have ended since, and the guest gone on to open ports, or a third
     * may have begun: what has been closed is asked, not whether the caller has closed it.
     */
    spin_lock(&t->lock);
    busy = t->closed && t->active;
    if (t->closed && !t->active)
        f = detach(d, &fv);
    spin_unlock(&t->lock);
    for (; fv; fv = next) {
        next = fv->next;
        put_page_and_type(fv->page);
        xfree(fv);
    }
    for (uint32_t i = 0; f && i < f->pages; i++)
        put_page_and_type(mfn_to_page(virt_to_mfn(f->array[i])));
    xfree(f);
    return busy ? -ERESTART : 0;
}
