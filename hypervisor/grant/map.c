// SPDX-License-Identifier: MIT
/*
 * Mapping and unmapping grants; the handles (struct maptrack).
 *
 * A handle's flags say what it is: 0 free; MAP_BUSY owned by whoever is making or unmaking it;
 * otherwise GNTMAP_device_map, GNTMAP_host_map and how.  Unmapping claims a handle by exchanging
 * its flags for MAP_BUSY, so that two vcpus with the same handle cannot both undo it; the other
 * fields are the claimer's.
 *
 * Free handles are on lists, one for each vcpu of the mapping domain, that grow a page at a time.
 */
#include "grant/private.h"
#include "arch/api/arch_mm.h"
#include "arch/api/arch_p2m.h"
#include "hypercall/handlers.h"
#include "kernel/percpu.h"

#define RELINQUISH_BATCH 32u

/*
 * Unmapped, but TLBs may still have it.  Flushing is dear (other CPUs are interrupted), so a batch
 * flushes once, at its end or when this is full, and only then lets go of the pages: until then the
 * granter's entries say that they are in use.  All is flushed, not one address: the guest may
 * have the page table in its address space at several places.
 */
#define UNMAP_BATCH 32u
struct unmapped {
    bool flush;
    unsigned nr; /* handles to release, claimed */
    struct {
        uint32_t handle, flags;
    } done[UNMAP_BATCH];
};
static DEFINE_PER_CPU(struct unmapped, unmapped);

/* --- handles --- */

struct maptrack *maptrack_at(const struct grant_table *t, uint32_t handle)
{
    uint32_t nr = READ_ONCE(t->nr_maptrack) * MAPTRACK_PER_PAGE;

    if (unlikely(handle >= nr))
        return NULL;
    handle = (uint32_t)index_nospec(handle, nr);
    return &t->maptrack[handle / MAPTRACK_PER_PAGE][handle % MAPTRACK_PER_PAGE];
}

int maptrack_init(struct grant_table *t, unsigned lists)
{
    t->maptrack = xzalloc_array(struct maptrack *, t->max_maptrack);
    t->free_maps = xzalloc_array(struct maptrack_list, lists);
    if ((!t->maptrack && t->max_maptrack) || !t->free_maps)
        return -ENOMEM;
    t->nr_lists = lists;
    for (unsigned i = 0; i < lists; i++)
        spin_lock_init(&t->free_maps[i].lock, LOCK_MAPTRACK);
    return 0;
}

void maptrack_free(struct grant_table *t)
{
    for (unsigned i = 0; i < t->nr_maptrack; i++)
        free_page_virt(t->maptrack[i]);
    xfree(t->maptrack);
    xfree(t->free_maps);
}

static bool pop(struct grant_table *t, struct maptrack_list *l, uint32_t *handle)
{
    bool got;

    if (!READ_ONCE(l->first))
        return false;
    spin_lock(&l->lock);
    got = l->first;
    if (got) {
        *handle = l->first - 1;
        l->first = maptrack_at(t, *handle)->ref;
    }
    spin_unlock(&l->lock);
    return got;
}

/* Puts the handles from first to last, linked already, on l. */
static void push(struct grant_table *t, struct maptrack_list *l, uint32_t first, uint32_t last)
{
    spin_lock(&l->lock);
    maptrack_at(t, last)->ref = l->first;
    l->first = first + 1;
    spin_unlock(&l->lock);
}

/* A page of new handles on l; one of them is for the caller. */
static bool grow_handles(struct grant_table *t, struct maptrack_list *l, uint32_t *handle)
{
    struct maptrack *page = NULL;
    uint32_t first = 0;

    spin_lock(&t->lock);
    if (t->nr_maptrack < t->max_maptrack)
        page = alloc_page_virt();
    if (page) {
        first = t->nr_maptrack * MAPTRACK_PER_PAGE;
        for (uint32_t i = 0; i < MAPTRACK_PER_PAGE; i++)
            page[i].ref = first + i + 2; /* the handle after this one, + 1 */
        t->maptrack[t->nr_maptrack] = page;
        smp_wmb();
        WRITE_ONCE(t->nr_maptrack, t->nr_maptrack + 1);
    }
    spin_unlock(&t->lock);
    if (!page)
        return false;
    *handle = first;
    push(t, l, first + 1, first + MAPTRACK_PER_PAGE - 1);
    return true;
}

/* A handle, MAP_BUSY, for the domain of v. */
static struct maptrack *maptrack_get(struct vcpu *v, uint32_t *handle)
{
    struct grant_table *t = v->domain->grant;
    struct maptrack_list *own = maptrack_list_of(t, v);
    bool got = pop(t, own, handle) || grow_handles(t, own, handle);
    struct maptrack *map;

    for (unsigned i = 0; !got && i < t->nr_lists; i++)
        got = pop(t, &t->free_maps[i], handle);
    if (!got)
        return NULL;
    map = maptrack_at(t, *handle);
    WRITE_ONCE(map->flags, MAP_BUSY);
    __atomic_add_fetch(&t->mapped, 1, __ATOMIC_RELAXED);
    return map;
}

/* v: current of t's domain, or NULL. */
static void maptrack_put(struct grant_table *t, const struct vcpu *v, uint32_t handle)
{
    __atomic_sub_fetch(&t->mapped, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&maptrack_at(t, handle)->flags, 0, __ATOMIC_RELEASE);
    push(t, v ? maptrack_list_of(t, v) : t->free_maps, handle, handle);
}

static bool claim(struct maptrack *map, uint32_t *flags)
{
    uint32_t f = READ_ONCE(map->flags);

    *flags = f;
    return f && f != MAP_BUSY &&
           __atomic_compare_exchange_n(&map->flags, &f, MAP_BUSY, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_RELAXED);
}

static struct domain *granter_of(const struct maptrack *map)
{
    return mfn_to_virt(_mfn(map->granter));
}

/* --- mapping --- */

/* The page that view names, as rd's; with its writable type unless readonly. */
static int get_granted_page(struct domain *rd, const struct grant_view *view, bool readonly,
                            struct page_info **pg)
{
    *pg = get_page_gfn(rd, _gfn(view->frame));
    if (!*pg)
        return GNTST_bad_page;
    if (readonly || !get_page_type(*pg, PGT_writable))
        return GNTST_okay;
    put_page(*pg);
    return GNTST_general_error;
}

static void put_granted_page(struct page_info *pg, bool readonly)
{
    if (readonly)
        put_page(pg);
    else
        put_page_and_type(pg);
}

/* Where the mapper wants it: in page tables or, where those are its own, in physical memory. */
static int map_page(struct domain *d, uint64_t host_addr, struct page_info *pg, uint32_t flags)
{
    bool readonly = flags & GNTMAP_readonly;

    if (!is_translated(d))
        return mm_grant_map(host_addr, page_to_mfn(pg), flags);
    if ((flags & (GNTMAP_contains_pte | GNTMAP_application_map)) ||
        p2m_place(d, _gfn(host_addr >> PAGE_SHIFT), pg, readonly ? P2M_GRANT_RO : P2M_GRANT_RW))
        return GNTST_general_error;
    return GNTST_okay;
}

/* mfn: as its handle says. */
static int unmap_page(struct domain *d, uint64_t host_addr, mfn_t mfn, uint64_t new_addr,
                      uint32_t flags)
{
    if (!is_translated(d))
        return mm_grant_unmap(host_addr, mfn, new_addr, flags);
    return new_addr || p2m_unmap_grant(d, _gfn(host_addr >> PAGE_SHIFT), mfn_to_page(mfn))
               ? GNTST_general_error
               : GNTST_okay;
}

static int map_grant(struct vcpu *v, struct domain *rd, struct gnttab_map_grant_ref *arg)
{
    struct grant_table *t = v->domain->grant;
    bool readonly = arg->flags & GNTMAP_readonly;
    struct grant_view view;
    struct page_info *pg;
    struct maptrack *map;
    uint32_t handle;
    mfn_t mfn;
    int rc;

    map = maptrack_get(v, &handle);
    if (!map)
        return GNTST_no_device_space;
    rc = grant_pin(rd, arg->ref, v->domain->id, readonly, false, &view);
    if (rc != GNTST_okay)
        goto put_handle;
    rc = get_granted_page(rd, &view, readonly, &pg);
    if (rc != GNTST_okay)
        goto unpin;
    rc = GNTST_bad_domain;
    if (!get_domain(rd))
        goto put_granted;
    mfn = page_to_mfn(pg);
    rc = GNTST_okay;
    if (arg->flags & GNTMAP_host_map)
        rc = map_page(v->domain, arg->host_addr, pg, arg->flags);
    if (rc != GNTST_okay)
        goto put_granter;

    map->granter = domain_frame(rd);
    map->mfn = (uint32_t)mfn_x(mfn);
    map->ref = arg->ref;
    __atomic_store_n(&map->flags,
                     arg->flags & (GNTMAP_device_map | GNTMAP_host_map | GNTMAP_readonly |
                                   GNTMAP_contains_pte | GNTMAP_application_map),
                     __ATOMIC_RELEASE);
    arg->handle = handle;
    /* Who has a physical address space of his own learns nothing of the host's. */
    arg->dev_bus_addr = is_translated(v->domain) ? arg->host_addr : mfn_to_maddr(mfn);
    return GNTST_okay;

put_granter:
    put_domain(rd);
put_granted:
    put_granted_page(pg, readonly);
unpin:
    grant_unpin(rd, arg->ref, readonly);
put_handle:
    maptrack_put(t, v, handle);
    return rc;
}

long gnttabop_map_grant_ref(struct call *c, struct gnttab_map_grant_ref *arg)
{
    if (!(arg->flags & (GNTMAP_device_map | GNTMAP_host_map)))
        arg->status = GNTST_bad_gntref;
    else if (!c->d || !c->d->grant || READ_ONCE(c->d->dying) != DOMDYING_alive)
        arg->status = GNTST_bad_domain;
    else
        arg->status = (int16_t)map_grant(c->v, c->d, arg);
    return 0;
}

/* --- unmapping --- */

/* Nothing of the mapping is left: gives back what the handle held.  The handle is claimed. */
static void release(struct grant_table *t, const struct vcpu *v, uint32_t handle, uint32_t flags)
{
    const struct maptrack *map = maptrack_at(t, handle);
    struct domain *rd = granter_of(map);
    bool readonly = flags & GNTMAP_readonly;

    /* The page first: once it is told, the granter may want another type of it. */
    put_granted_page(mfn_to_page(_mfn(map->mfn)), readonly);
    grant_unpin(rd, map->ref, readonly);
    maptrack_put(t, v, handle);
    put_domain(rd);
}

/* No CPU goes on using what was unmapped; then the pages are let go. */
static void finish_unmaps(struct vcpu *v)
{
    struct unmapped *u = &this_cpu(unmapped);
    cpumask_t mask = v->domain->dirty_cpus;

    if (u->flush && is_translated(v->domain))
        p2m_flush(v->domain);
    else if (u->flush)
        flush_tlb_mask(&mask);
    for (unsigned i = 0; i < u->nr; i++)
        release(v->domain->grant, v, u->done[i].handle, u->done[i].flags);
    u->flush = false;
    u->nr = 0;
}

static void add_release(struct vcpu *v, uint32_t handle, uint32_t flags)
{
    struct unmapped *u = &this_cpu(unmapped);

    u->done[u->nr].handle = handle;
    u->done[u->nr++].flags = flags;
    if (u->nr == UNMAP_BATCH)
        finish_unmaps(v);
}

static int unmap_grant(struct vcpu *v, uint32_t handle, uint64_t host_addr, uint64_t dev_bus_addr,
                       uint64_t new_addr)
{
    struct grant_table *t = v->domain->grant;
    struct maptrack *map = maptrack_at(t, handle);
    uint32_t flags, left;
    int rc = GNTST_okay;

    if (!map || !claim(map, &flags))
        return GNTST_bad_handle;
    left = flags;
    if (dev_bus_addr && (flags & GNTMAP_device_map)) {
        if (is_translated(v->domain) || dev_bus_addr >> PAGE_SHIFT == map->mfn)
            left &= ~(uint32_t)GNTMAP_device_map;
        else
            rc = GNTST_bad_dev_addr;
    }
    if (rc == GNTST_okay && host_addr && (flags & GNTMAP_host_map)) {
        rc = unmap_page(v->domain, host_addr, _mfn(map->mfn), new_addr, flags);
        if (rc == GNTST_okay) {
            left &= ~(uint32_t)GNTMAP_host_map;
            this_cpu(unmapped).flush = true;
        }
    }
    if (rc != GNTST_okay)
        left = flags;
    if (left & (GNTMAP_device_map | GNTMAP_host_map))
        __atomic_store_n(&map->flags, left, __ATOMIC_RELEASE);
    else
        add_release(v, handle, flags);
    return rc;
}

long gnttabop_unmap_grant_ref(struct call *c, struct gnttab_unmap_grant_ref *arg)
{
    c->at_end = finish_unmaps;
    arg->status = (int16_t)unmap_grant(c->v, arg->handle, arg->host_addr, arg->dev_bus_addr, 0);
    return 0;
}

long gnttabop_unmap_and_replace(struct call *c, struct gnttab_unmap_and_replace *arg)
{
    c->at_end = finish_unmaps;
    arg->status = (int16_t)unmap_grant(c->v, arg->handle, arg->host_addr, 0, arg->new_addr);
    return 0;
}

int maptrack_relinquish(struct domain *d)
{
    struct grant_table *t = d->grant;
    uint32_t nr = t->nr_maptrack * MAPTRACK_PER_PAGE;

    while (t->relinquished < nr) {
        uint32_t handle = t->relinquished++, flags;

        /* Its vcpus are paused for good: nobody claims, and no TLB matters any more. */
        if (claim(maptrack_at(t, handle), &flags))
            release(t, NULL, handle, flags);
        if (t->relinquished % RELINQUISH_BATCH == 0 && hypercall_preempt_check())
            return -ERESTART;
    }
    /* Here rather than with the domain, since they may be many. */
    while (t->nr_maptrack) {
        free_page_virt(t->maptrack[--t->nr_maptrack]);
        if (t->nr_maptrack % RELINQUISH_BATCH == 0 && hypercall_preempt_check())
            return -ERESTART;
    }
    return 0;
}
