// SPDX-License-Identifier: MIT
/*
 * Event channels.
 *
 * A domain has ports; a port is one end of a channel (struct evtchn).  States, as the tools see
 * them (EVTCHNSTAT_*):
 *   closed       free, or taken by evtchn_reserve() and about to be bound
 *   unbound      open for one other domain (arg) to bind to
 *   interdomain  the other end is port arg of domain remote, which names us in turn
 *   pirq, virq   raised by the hypervisor; ipi: raised by the domain itself
 * Closing one end of an interdomain channel leaves the other unbound, open for the same domain.
 *
 * Raising an event sets a bit that the guest reads, by one of two ABIs: twolevel.c and fifo.c.
 *
 * Locks.  A channel's lock guards its fields and every change that the hypervisor makes to its
 * event bits, so an event is raised under the lock of the port that receives it.  Two ends of a
 * pair are locked by address.  The table's lock guards which ports are taken, growth, and the
 * ABI; it is never held together with a channel's.  struct evtchn lives in pages that only go, by
 * RCU, with the domain, so that evtchn_lookup() needs no lock.
 *
 * Sending takes one lock, the receiver's.  The sender's own end is read unlocked: remote is NULL
 * or a domain that cannot be freed before this CPU is quiescent, and the pair is real if, under
 * the receiver's lock, the receiver names the sender.
 *
 * Binding: reserve a port, then commit under its lock unless `closed` is set.  Closing all ports
 * (reset, destruction) first sets `closed`, then visits every port taken: a commit that came
 * before the visit is closed by it, one that comes after it sees `closed`.
 */
#include "event/private.h"
#include "arch/api/arch_domain.h"
#include "arch/api/arch_irq.h"
#include "domain/unit.h"
#include "hypercall/handlers.h"
#include "kernel/console.h"
#include "kernel/keyhandler.h"

/* Free ports that the guest still has linked are passed over, but not for ever. */
#define MAX_LINKED_SKIPPED 4096u
/* Ports closed between two looks at whether something else should run. */
#define CLOSE_BATCH 64u

void vcpu_mark_events_pending(struct vcpu *v)
{
    struct vcpu_info *info = READ_ONCE(v->info);

    if (!info || __atomic_exchange_n(&info->evtchn_upcall_pending, 1, __ATOMIC_SEQ_CST))
        return;
    vcpu_unblock(v);
    arch_vcpu_kick(v);
}

bool vcpu_event_pending(const struct vcpu *v)
{
    const struct vcpu_info *info = READ_ONCE(v->info);

    /* A guest with an interrupt controller has others, too, and masks its upcall there. */
    if (unlikely(v->domain->is_hvm))
        return arch_vcpu_interrupt_due(v);
    return info && READ_ONCE(info->evtchn_upcall_pending) && !READ_ONCE(info->evtchn_upcall_mask);
}

/* Wakes those of the vcpus in SCHEDOP_poll that wait for port. */
static noinline void wake_pollers(struct domain *d, struct event_table *t, uint32_t port)
{
    for (unsigned w = 0; w < t->nr_pollers_words; w++)
        for (unsigned long bits = READ_ONCE(t->pollers[w]); bits; bits &= bits - 1) {
            unsigned id = w * BITS_PER_LONG + ffs_index(bits);
            struct vcpu *v = d->vcpu[id];
            int wanted = READ_ONCE(v->poll_port);

            if ((wanted <= 0 || (uint32_t)wanted == port) && test_and_clear_bit(id, t->pollers))
                vcpu_unblock(v);
        }
}

static bool any_polls(const struct event_table *t)
{
    for (unsigned w = 0; w < t->nr_pollers_words; w++)
        if (READ_ONCE(t->pollers[w]))
            return true;
    return false;
}

void evtchn_poll_begin(struct vcpu *v)
{
    struct event_table *t = v->domain->event;

    if (t)
        set_bit(v->vcpu_id, t->pollers);
}

void evtchn_poll_end(struct vcpu *v)
{
    struct event_table *t = v->domain->event;

    if (t)
        clear_bit(v->vcpu_id, t->pollers);
}

void evtchn_raise(struct domain *d, struct evtchn *chn)
{
    struct event_table *t = d->event;
    struct fifo *f = READ_ONCE(t->fifo);
    bool fresh = f ? fifo_set_pending(d, f, chn) : twolevel_set_pending(d, chn);

    if (fresh && unlikely(any_polls(t)))
        wake_pollers(d, t, chn->port);
}

static bool is_pending(const struct domain *d, const struct evtchn *chn)
{
    const struct fifo *f = READ_ONCE(d->event->fifo);

    return f ? fifo_is_pending(f, chn) : twolevel_is_pending(d, chn);
}

/* --- the table: which ports are taken --- */

static void chn_init(struct evtchn *chn, uint32_t port)
{
    spin_lock_init(&chn->lock, LOCK_CHANNEL);
    chn->port = port;
    chn->priority = EVTCHN_FIFO_PRIORITY_DEFAULT;
}

/* Another bucket of channels.  Under the table's lock. */
static int grow(struct event_table *t)
{
    uint32_t first = t->nr_ports, g = first / PORTS_PER_GROUP, m = first / PORTS_PER_MAP;
    struct evtchn *bucket;

    if (!t->group[g] && !(t->group[g] = alloc_page_virt()))
        return -ENOMEM;
    if (!t->used[m] && !(t->used[m] = alloc_page_virt()))
        return -ENOMEM;
    bucket = alloc_page_virt();
    if (!bucket)
        return -ENOMEM;
    for (uint32_t i = 0; i < PORTS_PER_BUCKET; i++)
        chn_init(&bucket[i], first + i);
    t->group[g][(first / PORTS_PER_BUCKET) % BUCKETS_PER_GROUP] = bucket;
    smp_wmb();
    WRITE_ONCE(t->nr_ports, first + PORTS_PER_BUCKET);
    return 0;
}

static uint32_t next_free(const struct event_table *t, uint32_t port, uint32_t end)
{
    while (port < end) {
        uint32_t base = ROUND_DOWN(port, PORTS_PER_MAP);
        uint32_t size = min(end - base, PORTS_PER_MAP);
        uint32_t i = find_next_zero_bit(t->used[base / PORTS_PER_MAP], size, port - base);

        if (i < size)
            return base + i;
        port = base + PORTS_PER_MAP;
    }
    return end;
}

static uint32_t next_used(const struct event_table *t, uint32_t port, uint32_t end)
{
    while (port < end) {
        uint32_t base = ROUND_DOWN(port, PORTS_PER_MAP);
        uint32_t size = min(end - base, PORTS_PER_MAP);
        uint32_t i = find_next_bit(t->used[base / PORTS_PER_MAP], size, port - base);

        if (i < size)
            return base + i;
        port = base + PORTS_PER_MAP;
    }
    return end;
}

/* How many ports the guest's ABI has. */
static uint32_t port_limit(const struct domain *d)
{
    return d->event->fifo ? EVTCHN_FIFO_NR_CHANNELS : twolevel_nr_ports(d);
}

/* The lowest free port, growing if need be.  Under the table's lock. */
static int find_free(const struct domain *d, uint32_t *found)
{
    struct event_table *t = d->event;
    uint32_t limit = port_limit(d);
    uint32_t port, skipped = 0, nr;

    if (t->max_port < limit)
        limit = t->max_port + 1;
    nr = min(t->nr_ports, limit);
    port = t->hint = next_free(t, t->hint, nr);
    for (; port < nr; port = next_free(t, port + 1, nr)) {
        /* The guest would see its old use: the event of the new one on the old queue. */
        if (!t->fifo || !fifo_is_linked(t->fifo, port)) {
            *found = port;
            return 0;
        }
        if (++skipped > MAX_LINKED_SKIPPED)
            return -ENOSPC;
    }
    if (t->nr_ports >= limit)
        return -ENOSPC;
    *found = t->nr_ports;
    return grow(t);
}

int evtchn_reserve(struct domain *d, struct evtchn **chn)
{
    struct event_table *t = d->event;
    uint32_t port;
    int rc = -EINVAL;

    if (!t || !READ_ONCE(d->vcpu[0])) /* the tools may be too early: nobody could be notified */
        return rc;
    spin_lock(&t->lock);
    if (!t->closed)
        rc = find_free(d, &port);
    if (!rc) {
        __set_bit(port % PORTS_PER_MAP, t->used[port / PORTS_PER_MAP]);
        t->active++;
        *chn = evtchn_lookup(d, port);
    }
    spin_unlock(&t->lock);
    return rc;
}

void evtchn_unreserve(struct domain *d, struct evtchn *chn)
{
    struct event_table *t = d->event;

    spin_lock(&t->lock);
    __clear_bit(chn->port % PORTS_PER_MAP, t->used[chn->port / PORTS_PER_MAP]);
    t->active--;
    if (chn->port < t->hint)
        t->hint = chn->port;
    spin_unlock(&t->lock);
}

int evtchn_lock_new(struct domain *d, struct evtchn *chn, unsigned long *flags)
{
    spin_lock_irqsave(&chn->lock, *flags);
    if (!READ_ONCE(d->event->closed))
        return 0;
    spin_unlock_irqrestore(&chn->lock, *flags);
    evtchn_unreserve(d, chn);
    return -EINVAL;
}

/* --- binding --- */

int evtchn_alloc_unbound(struct domain *d, domid_t remote, evtchn_port_t *port)
{
    struct evtchn *chn;
    unsigned long flags;
    int rc = evtchn_reserve(d, &chn);

    if (rc || (rc = evtchn_lock_new(d, chn, &flags)))
        return rc;
    chn->state = EVTCHNSTAT_unbound;
    chn->arg = remote;
    *port = chn->port;
    spin_unlock_irqrestore(&chn->lock, flags);
    return 0;
}

long evtchnop_alloc_unbound(struct call *c, struct evtchn_alloc_unbound *arg)
{
    domid_t remote = arg->remote_dom == DOMID_SELF ? c->v->domain->id : arg->remote_dom;

    return evtchn_alloc_unbound(c->d, remote, &arg->port);
}

static void lock_pair(struct evtchn *a, struct evtchn *b, unsigned long *flags)
{
    spin_lock_irqsave(a < b ? &a->lock : &b->lock, *flags);
    spin_lock(a < b ? &b->lock : &a->lock);
}

static void unlock_pair(struct evtchn *a, struct evtchn *b, unsigned long flags)
{
    spin_unlock(a < b ? &b->lock : &a->lock);
    spin_unlock_irqrestore(a < b ? &a->lock : &b->lock, flags);
}

long evtchnop_bind_interdomain(struct call *c, struct evtchn_bind_interdomain *arg)
{
    struct domain *d = c->v->domain, *rd = c->d;
    struct evtchn *chn, *peer;
    unsigned long flags;
    int rc = evtchn_reserve(d, &chn);

    if (rc)
        return rc;
    peer = evtchn_lookup(rd, arg->remote_port);
    if (!peer || peer == chn) {
        evtchn_unreserve(d, chn);
        return -EINVAL;
    }
    lock_pair(chn, peer, &flags);
    if (peer->state != EVTCHNSTAT_unbound || peer->arg != d->id || READ_ONCE(d->event->closed)) {
        unlock_pair(chn, peer, flags);
        evtchn_unreserve(d, chn);
        return -EINVAL;
    }
    chn->state = peer->state = EVTCHNSTAT_interdomain;
    chn->arg = peer->port;
    peer->arg = chn->port;
    WRITE_ONCE(chn->remote, rd);
    WRITE_ONCE(peer->remote, d);
    /* The peer may have sent before there was a channel: that event is not to be lost. */
    evtchn_raise(d, chn);
    arg->local_port = chn->port;
    unlock_pair(chn, peer, flags);
    return 0;
}

long evtchnop_bind_ipi(struct call *c, struct evtchn_bind_ipi *arg)
{
    struct domain *d = c->d;
    struct vcpu *v = domain_vcpu(d, arg->vcpu);
    struct evtchn *chn;
    unsigned long flags;
    int rc;

    if (!v)
        return -ENOENT;
    rc = evtchn_reserve(d, &chn);
    if (rc || (rc = evtchn_lock_new(d, chn, &flags)))
        return rc;
    chn->state = EVTCHNSTAT_ipi;
    chn->vcpu = (uint16_t)v->vcpu_id;
    arg->port = chn->port;
    spin_unlock_irqrestore(&chn->lock, flags);
    return 0;
}

long evtchnop_bind_vcpu(struct call *c, struct evtchn_bind_vcpu *arg)
{
    struct domain *d = c->d;
    struct vcpu *v = domain_vcpu(d, arg->vcpu);
    struct evtchn *chn = evtchn_lookup(d, arg->port);
    unsigned long flags;
    uint32_t pirq = 0;
    bool is_pirq;
    long rc = 0;

    if (!v)
        return -ENOENT;
    if (!chn)
        return -EINVAL;
    spin_lock_irqsave(&chn->lock, flags);
    is_pirq = chn->state == EVTCHNSTAT_pirq;
    if (is_pirq || chn->state == EVTCHNSTAT_unbound || chn->state == EVTCHNSTAT_interdomain ||
        (chn->state == EVTCHNSTAT_virq && virq_is_global(chn->arg))) {
        chn->vcpu = (uint16_t)v->vcpu_id;
        pirq = chn->arg;
    } else {
        rc = -EINVAL;
    }
    spin_unlock_irqrestore(&chn->lock, flags);
    if (!rc && is_pirq)
        pirq_notify_vcpu(d, pirq, v);
    return rc;
}

/* --- closing --- */

/*
 * Locks chn and, if it is half of a pair, the other half (*peer, else NULL).  The pair may change
 * while chn is unlocked to keep the order of addresses; then again.
 */
static void lock_with_peer(struct evtchn *chn, struct evtchn **peer, unsigned long *flags)
{
    for (;;) {
        struct domain *rd;
        uint32_t rport;

        spin_lock_irqsave(&chn->lock, *flags);
        *peer = NULL;
        if (chn->state != EVTCHNSTAT_interdomain)
            return;
        rd = chn->remote;
        rport = chn->arg;
        *peer = evtchn_lookup(rd, rport);
        if (chn < *peer) {
            spin_lock(&(*peer)->lock);
            return;
        }
        spin_unlock_irqrestore(&chn->lock, *flags);
        lock_pair(chn, *peer, flags);
        if (chn->state == EVTCHNSTAT_interdomain && chn->remote == rd && chn->arg == rport)
            return;
        unlock_pair(chn, *peer, *flags);
    }
}

int evtchn_close(struct domain *d, uint32_t port)
{
    struct evtchn *chn = evtchn_lookup(d, port), *peer;
    unsigned long flags;
    struct fifo *f;
    uint8_t state;
    uint32_t arg;

    if (!chn)
        return -EINVAL;
    lock_with_peer(chn, &peer, &flags);
    state = chn->state;
    arg = chn->arg;
    if (state == EVTCHNSTAT_closed) {
        spin_unlock_irqrestore(&chn->lock, flags);
        return -EINVAL;
    }
    if (state == EVTCHNSTAT_virq)
        virq_unbind(d, chn);
    if (peer) {
        peer->state = EVTCHNSTAT_unbound;
        peer->arg = d->id;
        WRITE_ONCE(peer->remote, NULL);
    }
    /* last_vcpu and last_priority stay: they tell on which queue the port may be the tail. */
    chn->state = EVTCHNSTAT_closed;
    chn->arg = 0;
    chn->vcpu = 0;
    chn->priority = EVTCHN_FIFO_PRIORITY_DEFAULT;
    WRITE_ONCE(chn->remote, NULL);
    f = READ_ONCE(d->event->fifo);
    if (f)
        fifo_clear_pending(f, chn);
    else
        twolevel_clear_pending(d, chn);
    if (peer)
        unlock_pair(chn, peer, flags);
    else
        spin_unlock_irqrestore(&chn->lock, flags);

    if (state == EVTCHNSTAT_pirq)
        pirq_unbind(d, arg);
    evtchn_unreserve(d, chn);
    return 0;
}

long evtchnop_close(struct call *c, struct evtchn_close *arg)
{
    return evtchn_close(c->d, arg->port);
}

/* Closes every port, and the FIFO ABI.  `closed` is set, and stays so unless another vcpu's reset
 * ends meanwhile.  -ERESTART: call again. */
static int close_all(struct domain *d)
{
    struct event_table *t = d->event;
    unsigned n = 0;

    spin_lock(&t->lock);
    t->closed = true;
    spin_unlock(&t->lock);
    for (uint32_t port = next_used(t, 1, t->nr_ports); port < t->nr_ports;
         port = next_used(t, port + 1, t->nr_ports)) {
        evtchn_close(d, port);
        if (++n % CLOSE_BATCH == 0 && hypercall_preempt_check())
            return -ERESTART;
    }
    return fifo_destroy(d);
}

int evtchn_reset(struct domain *d)
{
    struct event_table *t = d->event;
    int rc = close_all(d);

    if (rc)
        return rc;
    spin_lock(&t->lock);
    if (READ_ONCE(d->dying) == DOMDYING_alive)
        t->closed = false;
    spin_unlock(&t->lock);
    return 0;
}

long evtchnop_reset(struct call *c, struct evtchn_reset *arg)
{
    (void)arg;
    /* Another domain's channels: it must not run meanwhile. */
    if (c->d != c->v->domain && !READ_ONCE(c->d->pause_count))
        return -EINVAL;
    return evtchn_reset(c->d);
}

/* --- sending --- */

int evtchn_send(struct domain *d, evtchn_port_t port)
{
    struct evtchn *chn = evtchn_lookup(d, port), *peer;
    struct domain *rd;
    unsigned long flags;
    int rc = 0;

    if (unlikely(!chn))
        return -EINVAL;
    rd = READ_ONCE(chn->remote);
    if (likely(rd)) {
        peer = evtchn_lookup(rd, READ_ONCE(chn->arg));
        if (unlikely(!peer)) /* closed meanwhile, and the port reused */
            return 0;
        spin_lock_irqsave(&peer->lock, flags);
        if (likely(peer->remote == d && peer->arg == port))
            evtchn_raise(rd, peer);
        spin_unlock_irqrestore(&peer->lock, flags);
        return 0;
    }
    spin_lock_irqsave(&chn->lock, flags);
    if (chn->state == EVTCHNSTAT_ipi)
        evtchn_raise(d, chn);
    else if (chn->state != EVTCHNSTAT_unbound && chn->state != EVTCHNSTAT_interdomain)
        rc = -EINVAL;
    spin_unlock_irqrestore(&chn->lock, flags);
    return rc;
}

long evtchnop_send(struct call *c, struct evtchn_send *arg)
{
    return evtchn_send(c->d, arg->port);
}

int evtchn_unmask(struct domain *d, evtchn_port_t port)
{
    struct evtchn *chn = evtchn_lookup(d, port);
    unsigned long flags;
    struct fifo *f;
    int rc = 0;

    if (!chn)
        return -EINVAL;
    spin_lock_irqsave(&chn->lock, flags);
    f = READ_ONCE(d->event->fifo);
    if (chn->state == EVTCHNSTAT_closed)
        rc = -EINVAL;
    else if (f)
        fifo_unmask(d, f, chn);
    else
        twolevel_unmask(d, chn);
    spin_unlock_irqrestore(&chn->lock, flags);
    return rc;
}

long evtchnop_unmask(struct call *c, struct evtchn_unmask *arg)
{
    return evtchn_unmask(c->d, arg->port);
}

/* --- questions --- */

int evtchn_port_poll(struct domain *d, evtchn_port_t port)
{
    struct evtchn *chn = evtchn_lookup(d, port);
    unsigned long flags;
    int rc;

    /* Any that the ABI has may be asked about, as sched.h has it; nobody has opened this one. */
    if (!chn)
        return port < port_limit(d) ? 0 : -EINVAL;
    spin_lock_irqsave(&chn->lock, flags);
    rc = chn->state != EVTCHNSTAT_closed && is_pending(d, chn);
    spin_unlock_irqrestore(&chn->lock, flags);
    return rc;
}

long evtchnop_status(struct call *c, struct evtchn_status *arg)
{
    struct evtchn *chn = evtchn_lookup(c->d, arg->port);
    unsigned long flags;

    if (!chn)
        return -EINVAL;
    spin_lock_irqsave(&chn->lock, flags);
    arg->status = chn->state;
    arg->vcpu = chn->vcpu;
    switch (chn->state) {
    case EVTCHNSTAT_unbound:
        arg->u.unbound.dom = (domid_t)chn->arg;
        break;
    case EVTCHNSTAT_interdomain:
        arg->u.interdomain.dom = chn->remote->id;
        arg->u.interdomain.port = chn->arg;
        break;
    case EVTCHNSTAT_pirq:
        arg->u.pirq = chn->arg;
        break;
    case EVTCHNSTAT_virq:
        arg->u.virq = chn->arg;
        break;
    }
    spin_unlock_irqrestore(&chn->lock, flags);
    return 0;
}

void evtchn_vcpu_info_moved(struct vcpu *v)
{
    struct vcpu_info *info = READ_ONCE(v->info);

    if (!info)
        return;
    /* The guest will look at every word and find what was raised through the old place. */
    __atomic_store_n(&info->evtchn_pending_sel, ~(xen_ulong_t)0, __ATOMIC_SEQ_CST);
    WRITE_ONCE(info->evtchn_upcall_pending, 0);
    vcpu_mark_events_pending(v);
}

unsigned evtchn_in_use(const struct domain *d)
{
    return d->event ? READ_ONCE(d->event->active) : 0;
}

int domain_max_evtchn_port(struct domain *d, unsigned max_port)
{
    if (!d->event)
        return -EINVAL;
    spin_lock(&d->event->lock);
    d->event->max_port = min(max_port, (unsigned)INT32_MAX);
    spin_unlock(&d->event->lock);
    return 0;
}

/* --- life of a domain --- */

static int event_domain_create(struct domain *d, const struct xen_domctl_createdomain *cfg)
{
    struct event_table *t;
    unsigned words;
    int rc;

    if (!cfg) /* idle and the owners of special frames */
        return 0;
    words = BITS_TO_LONGS(max(max(d->max_vcpus, cfg->max_vcpus), 1u));
    t = d->event = xzalloc(struct event_table);
    if (!t)
        return -ENOMEM;
    spin_lock_init(&t->lock, LOCK_EVENT);
    t->max_port = min(cfg->max_evtchn_port, (uint32_t)INT32_MAX);
    t->pollers = xzalloc_array(unsigned long, words);
    if (!t->pollers)
        return -ENOMEM;
    t->nr_pollers_words = words;
    rc = grow(t);
    if (!rc) {
        __set_bit(0, t->used[0]); /* port 0 is never valid */
        t->hint = 1;
    }
    return rc;
}

static int event_relinquish(struct domain *d)
{
    int rc;

    if (!d->event)
        return 0;
    rc = close_all(d);
    if (!rc)
        virq_domain_gone(d);
    return rc;
}

static void free_table(struct rcu_head *head)
{
    struct event_table *t = container_of(head, struct event_table, rcu);

    for (uint32_t p = 0; p < t->nr_ports; p += PORTS_PER_BUCKET)
        free_page_virt(t->group[p / PORTS_PER_GROUP][(p / PORTS_PER_BUCKET) % BUCKETS_PER_GROUP]);
    for (unsigned i = 0; i < NR_GROUPS; i++)
        if (t->group[i])
            free_page_virt(t->group[i]);
    for (unsigned i = 0; i < NR_MAPS; i++)
        if (t->used[i])
            free_page_virt(t->used[i]);
    for (unsigned i = 0; i < NR_PIRQ_PAGES; i++)
        if (t->pirq[i])
            free_page_virt(t->pirq[i]);
    xfree(t->pollers);
    xfree(t);
}

static void event_domain_free(struct domain *d)
{
    struct event_table *t = d->event;

    if (!t)
        return;
    WRITE_ONCE(d->event, NULL);
    call_rcu(&t->rcu, free_table);
}

/* --- debug key --- */

static void dump_port(struct domain *d, uint32_t port)
{
    static const char *const names[] = {"closed", "unbound", "interdomain", "pirq", "virq", "ipi"};
    struct evtchn *chn = evtchn_lookup(d, port), copy;
    bool pending = false, masked = false;
    unsigned long flags;

    spin_lock_irqsave(&chn->lock, flags);
    copy = *chn;
    if (chn->state != EVTCHNSTAT_closed) {
        const struct fifo *f = READ_ONCE(d->event->fifo);

        pending = is_pending(d, chn);
        masked = f ? fifo_is_masked(f, chn) : twolevel_is_masked(d, chn);
    }
    spin_unlock_irqrestore(&chn->lock, flags);
    if (copy.state != EVTCHNSTAT_closed)
        printk("  %5u %c%c vcpu %u prio %u %s d%d %u\n", port, pending ? 'p' : '-',
               masked ? 'm' : '-', copy.vcpu, copy.priority, names[copy.state],
               copy.remote ? copy.remote->id : -1, copy.arg);
}

static void event_dump(struct domain *d)
{
    struct event_table *t = d->event;

    if (!t)
        return;
    printk("Event channels of d%d: %u in use, at most port %u, %s ABI\n", d->id, t->active,
           t->max_port, t->fifo ? "FIFO" : "two-level");
    for (uint32_t port = next_used(t, 1, t->nr_ports); port < t->nr_ports;
         port = next_used(t, port + 1, t->nr_ports))
        dump_port(d, port);
}

static void dump_all(unsigned char key)
{
    struct domain *d;

    (void)key;
    for_each_domain (d)
        event_dump(d);
}

static void event_boot(void)
{
    keyhandler_register('e', dump_all, "event channels");
}

DEFINE_UNIT(event, .name = "event", .level = UNIT_EVENT, .boot = event_boot,
            .domain_create = event_domain_create, .relinquish = event_relinquish,
            .domain_free = event_domain_free, .dump = event_dump);
