// SPDX-License-Identifier: MIT
/*
 * Domains: the table of them, creation, references, the end.
 *
 * A domain is found by number without a lock: the table's entry is read, then a reference is
 * taken, which fails once the count has fallen to zero; the structure itself stays until an RCU
 * grace period later.  `domlist_lock` guards the table and the list against other writers.
 *
 * The structure is a page of its own: a frame's owner is stored as that page's frame number.
 */
#include "domain/domain.h"
#include "arch/api/arch_mm.h"
#include "arch/api/arch_time.h"
#include "domain/unit.h"
#include "kernel/console.h"
#include "kernel/panic.h"
#include "lib/errno.h"
#include "lib/rangeset.h"
#include <xen/domctl.h>

BUILD_BUG_ON(sizeof(struct domain) > PAGE_SIZE);

#define MAX_VIRT_CPUS 8192 /* xen.h's callers count vcpus so far */

struct domain *dom0, *domid_io_d, *domid_xen_d, *idle_domain;
struct list_head domain_list = LIST_HEAD_INIT(domain_list);

static struct domain *domain_table[DOMID_FIRST_RESERVED];
static spinlock_t domlist_lock = SPINLOCK_INIT(LOCK_DOMLIST);

static struct domain *alloc_domain(domid_t id)
{
    struct page_info *pg = heap_alloc(0, MEMF_DOMAIN);
    struct domain *d = pg ? page_to_virt(pg) : NULL;

    if (!d)
        return NULL;
    d->id = id;
    d->refs = 1;
    d->shutdown_code = ~0u;
    spin_lock_init(&d->lock, LOCK_DOMAIN);
    domain_mem_init(d);
    list_init(&d->list);
    return d;
}

/* Domains that only own frames. */
static struct domain *__init special_domain(domid_t id)
{
    struct domain *d = alloc_domain(id);

    if (!d)
        panic("no memory for domain %#x", id);
    return d;
}

void __init domain_subsys_init(void)
{
    domid_io_d = special_domain(DOMID_IO);
    domid_xen_d = special_domain(DOMID_XEN);
    idle_domain = special_domain(DOMID_IDLE);
    idle_domain->is_idle = true;
    idle_domain->max_vcpus = nr_cpu_ids;
    idle_domain->vcpu = xzalloc_array(struct vcpu *, nr_cpu_ids);
    if (!idle_domain->vcpu || units_domain_create(idle_domain, NULL))
        panic("no memory for the idle domain");
}

static void free_domain(struct domain *d)
{
    struct vcpu *v;

    for_each_vcpu (d, v) {
        units_vcpu_free(v);
        xfree(v);
    }
    units_domain_free(d);
    rangeset_destroy(d->iomem);
    rangeset_destroy(d->ioports);
    rangeset_destroy(d->irqs);
    if (d->shared_info_page)
        unshare_hyp_page(d->shared_info_page); /* late: events to the dying still write to it */
    xfree(d->vcpu);
    free_page_virt(d);
}

static int create_shared_info(struct domain *d)
{
    /* A 32-bit guest is told where it is in 32 bits (start_info). */
    d->shared_info_page = heap_alloc(0, MEMF_ZERO | MEMF_BITS(32));
    if (!d->shared_info_page)
        return -ENOMEM;
    d->shared_info = page_to_virt(d->shared_info_page);
    for (unsigned i = 0; i < ARRAY_SIZE(d->shared_info->vcpu_info); i++)
        d->shared_info->vcpu_info[i].evtchn_upcall_mask = 1;
    share_hyp_page(d->shared_info_page, d, true);
    return 0;
}

/* The list is in order of number. */
static int publish(struct domain *d)
{
    struct domain *pos;
    int ret = 0;

    spin_lock(&domlist_lock);
    if (domain_table[d->id])
        ret = -EEXIST;
    else {
        list_for_each_entry (pos, &domain_list, list)
            if (pos->id > d->id)
                break;
        list_add_tail(&d->list, &pos->list);
        __atomic_store_n(&domain_table[d->id], d, __ATOMIC_RELEASE);
    }
    spin_unlock(&domlist_lock);
    return ret;
}

struct domain *domain_create(domid_t id, const struct xen_domctl_createdomain *cfg,
                             bool is_privileged, int *err)
{
    struct domain *d;

    *err = -EINVAL;
    if (id >= DOMID_FIRST_RESERVED || !cfg->max_vcpus || cfg->max_vcpus > MAX_VIRT_CPUS)
        return NULL;
    *err = -ENOMEM;
    d = alloc_domain(id);
    if (!d)
        return NULL;
    d->is_privileged = is_privileged;
    d->is_hvm = cfg->flags & XEN_DOMCTL_CDF_hvm;
    d->options = cfg->flags;
    d->ssidref = cfg->ssidref;
    d->max_vcpus = cfg->max_vcpus;
    d->pause_count = 1;
    memcpy(d->handle, cfg->handle, sizeof(d->handle));
    d->vcpu = xzalloc_array(struct vcpu *, d->max_vcpus);
    d->iomem = rangeset_new("I/O memory");
    d->ioports = rangeset_new("I/O ports");
    d->irqs = rangeset_new("interrupts");
    if (!d->vcpu || !d->iomem || !d->ioports || !d->irqs || create_shared_info(d))
        goto fail;
    *err = units_domain_create(d, cfg);
    if (*err)
        goto relinquish;
    arch_update_wallclock(d);
    *err = publish(d);
    if (*err)
        goto relinquish;
    return d;

relinquish:
    d->dying = DOMDYING_dying;
    while (units_relinquish(d) == -ERESTART)
        ;
fail:
    free_domain(d);
    return NULL;
}

struct vcpu *vcpu_create(struct domain *d, unsigned id)
{
    struct vcpu *v;

    if (id >= d->max_vcpus || d->vcpu[id])
        return NULL;
    v = xzalloc(struct vcpu);
    if (!v)
        return NULL;
    v->domain = d;
    v->vcpu_id = id;
    v->calls_32bit = is_32bit(d);
    v->info = vcpu_default_info(v);
    if (!d->is_idle)
        v->pause_flags = BIT(VPF_down);
    cpumask_setall(&v->hard_affinity);
    cpumask_setall(&v->soft_affinity);
    if (units_vcpu_create(v)) {
        units_vcpu_free(v);
        xfree(v);
        return NULL;
    }
    __atomic_store_n(&d->vcpu[id], v, __ATOMIC_RELEASE);
    return v;
}

struct vcpu *domain_vcpu(const struct domain *d, unsigned id)
{
    return id < d->max_vcpus ? READ_ONCE(d->vcpu[index_nospec(id, d->max_vcpus)]) : NULL;
}

/* --- references --- */

bool get_domain(struct domain *d)
{
    uint32_t old = READ_ONCE(d->refs);

    do {
        if (!old || old == UINT32_MAX)
            return false;
    } while (!__atomic_compare_exchange_n(&d->refs, &old, old + 1, true, __ATOMIC_ACQUIRE,
                                          __ATOMIC_RELAXED));
    return true;
}

struct domain *rcu_lookup_domain(domid_t id)
{
    if (id >= DOMID_FIRST_RESERVED)
        return NULL;
    return READ_ONCE(domain_table[index_nospec(id, DOMID_FIRST_RESERVED)]);
}

struct domain *get_domain_by_id(domid_t id)
{
    struct domain *d = rcu_lookup_domain(id);

    return d && get_domain(d) ? d : NULL;
}

static void free_domain_rcu(struct rcu_head *head)
{
    free_domain(container_of(head, struct domain, rcu));
}

void put_domain(struct domain *d)
{
    if (__atomic_sub_fetch(&d->refs, 1, __ATOMIC_ACQ_REL))
        return;
    spin_lock(&domlist_lock);
    domain_table[d->id] = NULL;
    /* Readers may stand on this entry: it keeps its own links (RCU). */
    d->list.prev->next = d->list.next;
    d->list.next->prev = d->list.prev;
    spin_unlock(&domlist_lock);
    call_rcu(&d->rcu, free_domain_rcu);
}
