// SPDX-License-Identifier: MIT
/* Event channels: what only this room sees.  The essay is at the top of core.c. */
#pragma once
#include "lib/bitops.h"
#include "lib/errno.h"
#include "domain/domain.h"
#include "event/event.h"
#include "kernel/lock.h"
#include "kernel/rcu.h"

/* Inside LOCK_EVENT's range: the table's lock, then a channel's, then a queue's. */
#define LOCK_CHANNEL ((enum lock_level)(LOCK_EVENT + 2))
#define LOCK_QUEUE   ((enum lock_level)(LOCK_EVENT + 4))

/* One end of an event channel: one port of one domain.  Guarded by lock except where noted. */
struct evtchn {
    spinlock_t lock;       /* LOCK_CHANNEL, interrupts off; two: by address */
    uint8_t state;         /* EVTCHNSTAT_* */
    uint8_t priority;      /* FIFO: the queue it joins next */
    uint8_t last_priority; /* FIFO: the queue it joined last, of vcpu last_vcpu */
    bool pending;          /* FIFO: raised before the guest gave an event word for it */
    uint16_t vcpu;         /* the vcpu that is notified */
    uint16_t last_vcpu;
    struct domain
        *remote;   /* interdomain: the peer; otherwise NULL.  The sender reads it unlocked */
    uint32_t arg;  /* interdomain: peer's port; unbound: domid allowed; virq; pirq */
    uint32_t port; /* constant */
};
BUILD_BUG_ON(sizeof(struct evtchn) != 32);

#define PORTS_PER_BUCKET  ((uint32_t)(PAGE_SIZE / sizeof(struct evtchn)))
#define BUCKETS_PER_GROUP ((uint32_t)(PAGE_SIZE / sizeof(struct evtchn *)))
#define PORTS_PER_GROUP   (PORTS_PER_BUCKET * BUCKETS_PER_GROUP)
#define NR_GROUPS         (EVTCHN_FIFO_NR_CHANNELS / PORTS_PER_GROUP)
#define PORTS_PER_MAP     ((uint32_t)(PAGE_SIZE * 8))
#define NR_MAPS           (EVTCHN_FIFO_NR_CHANNELS / PORTS_PER_MAP)
#define PIRQS_PER_PAGE    ((uint32_t)(PAGE_SIZE / sizeof(uint32_t)))
#define NR_PIRQ_PAGES     32u

#define EVENT_WORDS_PER_PAGE ((uint32_t)(PAGE_SIZE / sizeof(event_word_t)))
#define FIFO_MAX_PAGES       (EVTCHN_FIFO_NR_CHANNELS / EVENT_WORDS_PER_PAGE)

/* The FIFO ABI of a domain: its event words, which the guest owns and shares. */
struct fifo {
    uint32_t pages;
    event_word_t *array[FIFO_MAX_PAGES];
};

struct event_table {
    spinlock_t lock;   /* LOCK_EVENT: all of this struct that is not said to be otherwise */
    bool closed;       /* being reset or destroyed: no port may be bound */
    uint32_t nr_ports; /* ports that have a struct evtchn; only grows; read unlocked */
    uint32_t max_port; /* the highest port the tools allow */
    uint32_t hint;     /* no port below it is free */
    uint32_t active;   /* ports taken */
    struct fifo *fifo; /* NULL: two-level ABI; read under a channel's lock */
    struct evtchn **group[NR_GROUPS];
    unsigned long *used[NR_MAPS];  /* a bit for every port that is taken */
    uint32_t *pirq[NR_PIRQ_PAGES]; /* pirq -> port; entries by compare-and-exchange */
    unsigned long *pollers;        /* a bit for every vcpu in SCHEDOP_poll; atomic */
    unsigned nr_pollers_words;
    struct rcu_head rcu;
};

/* The channel of d's port, or NULL if there never was one.  Valid until the CPU is quiescent. */
static inline struct evtchn *evtchn_lookup(const struct domain *d, uint32_t port)
{
    const struct event_table *t = READ_ONCE(d->event);
    uint32_t nr;

    if (unlikely(!t))
        return NULL;
    nr = READ_ONCE(t->nr_ports);
    if (unlikely(port >= nr))
        return NULL;
    port = (uint32_t)index_nospec(port, nr);
    return &t->group[port / PORTS_PER_GROUP][(port / PORTS_PER_BUCKET) % BUCKETS_PER_GROUP]
                    [port % PORTS_PER_BUCKET];
}

static inline struct vcpu *evtchn_vcpu(const struct domain *d, const struct evtchn *chn)
{
    return d->vcpu[chn->vcpu];
}

/*
 * The two ABIs.  All are called with chn->lock held and interrupts off.  set_pending and unmask
 * notify the vcpu where that is due; set_pending tells whether the event was not yet pending.
 */
uint32_t twolevel_nr_ports(const struct domain *d);
bool twolevel_set_pending(struct domain *d, struct evtchn *chn);
void twolevel_unmask(struct domain *d, struct evtchn *chn);
void twolevel_clear_pending(struct domain *d, struct evtchn *chn);
bool twolevel_is_pending(const struct domain *d, const struct evtchn *chn);
bool twolevel_is_masked(const struct domain *d, const struct evtchn *chn);

bool fifo_set_pending(struct domain *d, struct fifo *f, struct evtchn *chn);
void fifo_unmask(struct domain *d, struct fifo *f, struct evtchn *chn);
void fifo_clear_pending(struct fifo *f, struct evtchn *chn);
bool fifo_is_pending(const struct fifo *f, const struct evtchn *chn);
bool fifo_is_masked(const struct fifo *f, const struct evtchn *chn);
/* The guest has not taken the port's last event off its queue yet.  Under the table's lock. */
bool fifo_is_linked(const struct fifo *f, uint32_t port);
/* Back to the two-level ABI, if ports are `closed` and all are; -ERESTART: one is not yet. */
int fifo_destroy(struct domain *d);

/* Raises the event of chn: d's, locked, not closed. */
void evtchn_raise(struct domain *d, struct evtchn *chn);
/* Sets v's upcall_pending and wakes it. */
void vcpu_mark_events_pending(struct vcpu *v);

/* Takes a free port: it stays in state closed until the caller binds it. -errno. */
int evtchn_reserve(struct domain *d, struct evtchn **chn);
void evtchn_unreserve(struct domain *d, struct evtchn *chn);
/* Locks a reserved channel for binding; -EINVAL (and not locked) if d is being torn down. */
int evtchn_lock_new(struct domain *d, struct evtchn *chn, unsigned long *flags);
int evtchn_close(struct domain *d, uint32_t port);

/* Parts of closing a port, in virq.c.  virq: chn locked; pirq: after chn was closed, unlocked. */
void virq_unbind(struct domain *d, struct evtchn *chn);
void pirq_unbind(struct domain *d, uint32_t pirq);
void pirq_notify_vcpu(struct domain *d, uint32_t pirq, struct vcpu *v);
bool virq_is_global(uint32_t virq);
void virq_domain_gone(struct domain *d);
