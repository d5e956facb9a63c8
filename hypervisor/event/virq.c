// SPDX-License-Identifier: MIT
/*
 * Ports raised by the hypervisor itself: virtual interrupts (VIRQ_*, xen.h) and the physical ones
 * that a domain was given (pirqs).
 *
 * v->virq_port[virq] and the pirq table name the port; they are claimed by compare-and-exchange
 * and read unlocked.  A sender locks the port's channel and checks that it is still bound to what
 * is being raised, so a stale number does no harm.
 */
#include "event/private.h"
#include "arch/api/arch_irq.h"
#include "hypercall/handlers.h"

/* Who hears of a host-wide virq: NULL means dom0.  Each entry holds a reference. */
static struct domain *virq_handler[NR_VIRQS];
static spinlock_t handler_lock = SPINLOCK_INIT(LOCK_EVENT);

bool virq_is_global(uint32_t virq)
{
    switch (virq) {
    case VIRQ_TIMER:
    case VIRQ_DEBUG:
    case VIRQ_XENOPROF:
    case VIRQ_XENPMU:
        return false;
    default:
        return true;
    }
}

static bool claim(uint32_t *slot, uint32_t port)
{
    uint32_t none = 0;

    return __atomic_compare_exchange_n(slot, &none, port, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

/*
 * Any domain may bind any virq: those about the host are only ever raised for dom0 or the domain
 * that the tools name, which may bind first.
 */
long evtchnop_bind_virq(struct call *c, struct evtchn_bind_virq *arg)
{
    struct domain *d = c->d;
    struct vcpu *v = domain_vcpu(d, arg->vcpu);
    struct evtchn *chn;
    unsigned long flags;
    uint32_t virq;
    int rc;

    if (arg->virq >= NR_VIRQS || (virq_is_global(arg->virq) && arg->vcpu != 0))
        return -EINVAL;
    if (!v)
        return -ENOENT;
    virq = (uint32_t)index_nospec(arg->virq, NR_VIRQS);
    if (READ_ONCE(v->virq_port[virq]))
        return -EEXIST;
    rc = evtchn_reserve(d, &chn);
    if (rc || (rc = evtchn_lock_new(d, chn, &flags)))
        return rc;
    if (!claim(&v->virq_port[virq], chn->port)) {
        spin_unlock_irqrestore(&chn->lock, flags);
        evtchn_unreserve(d, chn);
        return -EEXIST;
    }
    chn->state = EVTCHNSTAT_virq;
    chn->arg = virq;
    chn->vcpu = (uint16_t)v->vcpu_id;
    arg->port = chn->port;
    spin_unlock_irqrestore(&chn->lock, flags);
    return 0;
}

void virq_unbind(struct domain *d, struct evtchn *chn)
{
    struct vcpu *v = d->vcpu[virq_is_global(chn->arg) ? 0 : chn->vcpu];

    WRITE_ONCE(v->virq_port[chn->arg], 0);
}

/* Raises virq if owner's port for it is what we think; vcpu: whom it must notify, -1: anybody. */
static void raise_virq(struct vcpu *owner, uint32_t virq, int vcpu)
{
    uint32_t port = READ_ONCE(owner->virq_port[virq]);
    struct evtchn *chn;
    unsigned long flags;

    if (!port)
        return;
    chn = evtchn_lookup(owner->domain, port);
    if (!chn)
        return;
    spin_lock_irqsave(&chn->lock, flags);
    if (chn->state == EVTCHNSTAT_virq && chn->arg == virq && (vcpu < 0 || chn->vcpu == vcpu))
        evtchn_raise(owner->domain, chn);
    spin_unlock_irqrestore(&chn->lock, flags);
}

void send_guest_vcpu_virq(struct vcpu *v, uint32_t virq)
{
    raise_virq(v, virq, (int)v->vcpu_id);
}

void send_guest_global_virq(struct domain *d, uint32_t virq)
{
    if (d && d->max_vcpus && d->vcpu && d->vcpu[0])
        raise_virq(d->vcpu[0], virq, -1);
}

void send_global_virq(uint32_t virq)
{
    struct domain *d = __atomic_load_n(&virq_handler[virq], __ATOMIC_ACQUIRE);

    send_guest_global_virq(d ? d : dom0, virq);
}

int set_global_virq_handler(struct domain *d, uint32_t virq)
{
    struct domain *old;

    if (virq >= NR_VIRQS || !virq_is_global(virq))
        return -EINVAL;
    virq = (uint32_t)index_nospec(virq, NR_VIRQS);
    if (!get_domain(d))
        return -EINVAL;
    spin_lock(&handler_lock);
    if (READ_ONCE(d->dying) != DOMDYING_alive) {
        spin_unlock(&handler_lock);
        put_domain(d);
        return -EINVAL;
    }
    old = virq_handler[virq];
    __atomic_store_n(&virq_handler[virq], d, __ATOMIC_RELEASE);
    spin_unlock(&handler_lock);
    if (old)
        put_domain(old);
    return 0;
}

void virq_domain_gone(struct domain *d)
{
    for (uint32_t virq = 0; virq < NR_VIRQS; virq++) {
        bool had;

        spin_lock(&handler_lock);
        had = virq_handler[virq] == d;
        if (had)
            WRITE_ONCE(virq_handler[virq], NULL);
        spin_unlock(&handler_lock);
        if (had)
            put_domain(d);
    }
}

/* --- pirqs --- */

/* Where d's port for pirq is kept; alloc: makes room for it.  NULL: nowhere. */
static uint32_t *pirq_slot(struct domain *d, uint32_t pirq, bool alloc)
{
    struct event_table *t = d->event;
    uint32_t n = pirq / PIRQS_PER_PAGE, *page;

    if (!t || n >= NR_PIRQ_PAGES)
        return NULL;
    n = (uint32_t)index_nospec(n, NR_PIRQ_PAGES);
    page = __atomic_load_n(&t->pirq[n], __ATOMIC_ACQUIRE);
    if (!page && alloc) {
        uint32_t *fresh = alloc_page_virt();

        if (!fresh)
            return NULL;
        if (__atomic_compare_exchange_n(&t->pirq[n], &page, fresh, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
            page = fresh;
        else
            free_page_virt(fresh);
    }
    return page ? &page[pirq % PIRQS_PER_PAGE] : NULL;
}

long evtchnop_bind_pirq(struct call *c, struct evtchn_bind_pirq *arg)
{
    struct domain *d = c->d;
    struct vcpu *v = domain_vcpu(d, 0);
    uint32_t pirq = arg->pirq, *slot;
    struct evtchn *chn;
    unsigned long flags;
    int rc;

    if (!v || pirq >= arch_nr_pirqs(d))
        return -EINVAL;
    slot = pirq_slot(d, pirq, true);
    if (!slot)
        return pirq / PIRQS_PER_PAGE < NR_PIRQ_PAGES ? -ENOMEM : -EINVAL;
    if (READ_ONCE(*slot))
        return -EEXIST;
    rc = evtchn_reserve(d, &chn);
    if (rc || (rc = evtchn_lock_new(d, chn, &flags)))
        return rc;
    if (!claim(slot, chn->port)) {
        spin_unlock_irqrestore(&chn->lock, flags);
        evtchn_unreserve(d, chn);
        return -EEXIST;
    }
    /* Ready before the first interrupt: a level interrupt that finds no port would stay masked. */
    chn->state = EVTCHNSTAT_pirq;
    chn->arg = pirq;
    arg->port = chn->port;
    spin_unlock_irqrestore(&chn->lock, flags);

    rc = arch_pirq_bind(v, pirq, arg->flags & BIND_PIRQ__WILL_SHARE);
    if (rc) {
        evtchn_close(d, chn->port);
        return rc;
    }
    /* Another vcpu of the guest may have closed the port before there was anything to unbind. */
    if (READ_ONCE(*slot) != chn->port)
        arch_pirq_unbind(d, pirq);
    return 0;
}

void pirq_unbind(struct domain *d, uint32_t pirq)
{
    uint32_t *slot = pirq_slot(d, pirq, false);

    arch_pirq_unbind(d, pirq);
    if (slot)
        WRITE_ONCE(*slot, 0);
}

void pirq_notify_vcpu(struct domain *d, uint32_t pirq, struct vcpu *v)
{
    arch_pirq_set_affinity(d, pirq, v->processor);
}

evtchn_port_t evtchn_pirq_port(struct domain *d, unsigned pirq)
{
    uint32_t *slot = pirq_slot(d, pirq, false);

    return slot ? READ_ONCE(*slot) : 0;
}

bool send_guest_pirq(struct domain *d, unsigned pirq)
{
    struct evtchn *chn = evtchn_lookup(d, evtchn_pirq_port(d, pirq));
    unsigned long flags;
    bool sent = false;

    if (!chn)
        return false;
    spin_lock_irqsave(&chn->lock, flags);
    if (chn->state == EVTCHNSTAT_pirq && chn->arg == pirq) {
        evtchn_raise(d, chn);
        sent = true;
    }
    spin_unlock_irqrestore(&chn->lock, flags);
    return sent;
}
