// SPDX-License-Identifier: MIT
/*
 * XENMEM: a domain's memory grows, shrinks, and is counted.
 *
 * increase_reservation, decrease_reservation and populate_physmap work on a list of extents.
 * The result is the number of extents done; whatever goes wrong with one ends the call there, and
 * that extent is left as it was.  c->start (in the command's upper bits) is the number of steps
 * done already: extents, or the pieces of those above order 9 that are given back, or frames, where
 * domains with a physical address space of their own give them back: by batches, since CPUs are
 * flushed for each.  (If such a piece cannot be given back those before it are gone.)
 */
#include "mem/mem_private.h"
#include "arch/api/arch_mm.h"
#include "arch/api/arch_p2m.h"
#include "domain/domain.h"
#include "hypercall/compat.h"
#include "hypercall/handlers.h"

/* The list position must fit above the command (abi/ops/hypercalls.def: 6 bits). */
#define MAX_EXTENTS ((uint64_t)INT64_MAX >> 6)
/* Frames of a leaf of 2 MB. */
#define RUN (1u << MAX_EXTENT_ORDER)

bool memflags_of_guest(unsigned mem_flags, unsigned *memflags)
{
    unsigned bits = XENMEMF_get_address_bits(mem_flags);

    *memflags = 0;
    if (mem_flags & XENMEMF_vnode) /* no domain has virtual nodes */
        return false;
    if (bits) {
        if (bits <= PAGE_SHIFT)
            return false;
        *memflags |= MEMF_BITS(bits);
    }
    if (mem_flags & XENMEMF_node(0xfe)) {
        unsigned node = XENMEMF_get_node(mem_flags);

        if (node >= heap_nr_nodes())
            return !(mem_flags & XENMEMF_exact_node_request);
        *memflags |= MEMF_NODE(node);
        if (mem_flags & XENMEMF_exact_node_request)
            *memflags |= MEMF_EXACT_NODE;
    }
    return true;
}

/* Frames for an extent of more than is zeroed in one go: 0, -ERESTART, -ENOMEM. */
static int prepare_extent(struct domain *d, unsigned order, unsigned memflags)
{
    int rc;

    if (d->dying || READ_ONCE(d->mem.tot_pages) + (1ULL << order) > READ_ONCE(d->mem.max_pages))
        return -ENOMEM;
    do
        rc = heap_prepare(d, order, domain_memflags(d, memflags));
    while (rc == -ERESTART && !hypercall_preempt_check());
    return rc;
}

/* As log2: how many pieces an extent is given back in. */
static unsigned pieces(const struct xen_memory_reservation *r)
{
    unsigned order =
        min(r->extent_order, (unsigned)MAX_LARGE_ORDER); /* what is larger is refused */

    return order > MAX_EXTENT_ORDER ? order - MAX_EXTENT_ORDER : 0;
}

/* Does steps from i on: one, or several if it likes; how many, 0 if the first went wrong. */
typedef unsigned (*extent_fn)(struct domain *d, const struct xen_memory_reservation *r, uint64_t i,
                              unsigned memflags);

/* 2^log_steps of fn's steps are an extent. */
static long for_each_extent(struct call *c, const struct xen_memory_reservation *r, extent_fn fn,
                            unsigned log_steps)
{
    bool prepare = r->extent_order > MAX_EXTENT_ORDER && !log_steps;
    unsigned memflags, done;
    uint64_t i = c->start;
    int rc;

    if (r->extent_order > MAX_LARGE_ORDER || r->nr_extents > MAX_EXTENTS >> log_steps ||
        !memflags_of_guest(r->mem_flags, &memflags))
        return i >> log_steps;
    for (; i < r->nr_extents << log_steps; i += done) {
        if (i != c->start && hypercall_preempt_check()) {
            c->resume = i;
            return -ERESTART;
        }
        rc = prepare ? prepare_extent(c->d, r->extent_order, memflags) : 0;
        if (rc == -ERESTART) {
            c->resume = i;
            return rc;
        }
        done = rc ? 0 : fn(c->d, r, i, memflags);
        if (!done)
            break;
    }
    return i >> log_steps;
}

/* Gives back pages that d was given a moment ago.  It may have lost them by itself since. */
static void take_back(struct domain *d, struct page_info *pg, unsigned order)
{
    for (uint64_t i = 0; i < 1ULL << order; i++) {
        if (get_page(pg + i, d)) {
            put_page_alloc(pg + i);
            put_page(pg + i);
        }
    }
}

/* A large extent whose number cannot be told stays: giving it back would take long. */
static bool add_extent(struct domain *d, const struct xen_memory_reservation *r, uint64_t i,
                       unsigned memflags, xen_pfn_t pfn)
{
    struct page_info *pg = alloc_domain_pages_at(d, r->extent_order, memflags, pfn, 0);
    xen_pfn_t mfn;

    if (!pg)
        return false;
    mfn = mfn_x(page_to_mfn(pg));
    if (handle_addr(r->extent_start) && copy_elem_to_guest(r->extent_start, i, &mfn)) {
        if (r->extent_order <= MAX_EXTENT_ORDER)
            take_back(d, pg, r->extent_order);
        return false;
    }
    return true;
}

static unsigned increase_extent(struct domain *d, const struct xen_memory_reservation *r,
                                uint64_t i, unsigned memflags)
{
    return add_extent(d, r, i, memflags, M2P_INVALID);
}

static unsigned populate_extent(struct domain *d, const struct xen_memory_reservation *r,
                                uint64_t i, unsigned memflags)
{
    xen_pfn_t pfn;

    if (r->mem_flags & XENMEMF_populate_on_demand)
        return 0;
    if (copy_elem_from_guest(&pfn, r->extent_start, i))
        return 0;
    return add_extent(d, r, i, memflags, pfn);
}

/* Which frame the page for gfn should be, so that in the end a leaf of 1 GB is made of those of 2
 * MB: as heap_alloc_for() has it.  Only for a domain that is to have all of that GB. */
static uint32_t frame_for(struct domain *d, xen_pfn_t gfn, unsigned order)
{
    uint64_t gb = 1ULL << HEAP_MAX_ORDER;

    if (order != MAX_EXTENT_ORDER || !p2m_makes_gb(d) ||
        READ_ONCE(d->mem.max_pages) <= (gfn | (gb - 1)))
        return 0;
    return gfn & (gb - 1) ? p2m_frame_behind(d, _gfn(gfn - 1)) : HEAP_RUN;
}

/* Pages for frames from gfn on. */
static bool populate_gfn(struct domain *d, xen_pfn_t gfn, unsigned order, unsigned memflags)
{
    struct page_info *pg =
        alloc_domain_pages_at(d, order, memflags, M2P_INVALID, frame_for(d, gfn, order));

    if (!pg)
        return false;
    if (p2m_map(d, _gfn(gfn), pg, order)) {
        take_back(d, pg, order);
        return false;
    }
    return true;
}

/* The list goes on from its ith, gfn, as long as a large leaf is: so do the tools when they restore
 * a guest, and so would it be left with small ones. */
static bool is_run(const struct xen_memory_reservation *r, uint64_t i, xen_pfn_t gfn)
{
    xen_pfn_t next;

    if (r->extent_order || gfn % RUN || r->nr_extents - i < RUN)
        return false;
    for (unsigned n = RUN - 1; n; n--) /* from the last: what is no run mostly shows there */
        if (copy_elem_from_guest(&next, r->extent_start, i + n) || next != gfn + n)
            return false;
    return true;
}

/* In a physical address space of the guest's: where it says, and nowhere else is it told. */
static unsigned populate_gfns(struct domain *d, const struct xen_memory_reservation *r, uint64_t i,
                              unsigned memflags)
{
    xen_pfn_t gfn;

    if (copy_elem_from_guest(&gfn, r->extent_start, i))
        return 0;
    if ((r->mem_flags & XENMEMF_populate_on_demand) && d != current->domain)
        return !p2m_populate_later(d, _gfn(gfn), r->extent_order);
    if (is_run(r, i, gfn) && populate_gfn(d, gfn, MAX_EXTENT_ORDER, memflags))
        return RUN;
    return r->extent_order <= MAX_EXTENT_ORDER && populate_gfn(d, gfn, r->extent_order, memflags);
}

/* A step is a frame. */
static unsigned decrease_gfns(struct domain *d, const struct xen_memory_reservation *r, uint64_t i,
                              unsigned memflags)
{
    unsigned order = r->extent_order, n;
    uint64_t end = r->nr_extents << order;
    gfn_t gfn[P2M_DROP_BATCH];
    xen_pfn_t first;

    (void)memflags;
    for (n = 0; n < P2M_DROP_BATCH && i < end; n++, i++) {
        uint64_t at = i & ((1ULL << order) - 1);

        if ((!n || !at) && copy_elem_from_guest(&first, r->extent_start, i >> order))
            break;
        gfn[n] = _gfn(first + at);
    }
    return p2m_drop(d, gfn, n);
}

static unsigned decrease_extent(struct domain *d, const struct xen_memory_reservation *r,
                                uint64_t i, unsigned memflags)
{
    uint64_t nr = 1ULL << (r->extent_order - pieces(r)), n;
    struct page_info *pg;
    xen_pfn_t gfn;

    (void)memflags;
    if (copy_elem_from_guest(&gfn, r->extent_start, i >> pieces(r)))
        return 0;
    gfn += (i & ((1ULL << pieces(r)) - 1)) * nr;
    for (n = 0; n < nr; n++) {
        pg = get_page_gfn(d, _gfn(gfn + n));
        if (!pg)
            break;
        if (READ_ONCE(pg->refs) & PAGE_HYP_SHARED) {
            put_page(pg);
            break;
        }
    }
    for (uint64_t j = 0; j < n; j++) {
        pg = mfn_to_page(_mfn(gfn + j)); /* a PV domain's: the one found above */
        if (n == nr)
            put_page_alloc(pg);
        put_page(pg);
    }
    return n == nr;
}

long memory_increase_reservation(struct call *c, struct xen_memory_reservation *r)
{
    return is_translated(c->d) ? (long)c->start : for_each_extent(c, r, increase_extent, 0);
}

long memory_decrease_reservation(struct call *c, struct xen_memory_reservation *r)
{
    unsigned order = min(r->extent_order, (unsigned)MAX_LARGE_ORDER);

    return is_translated(c->d) ? for_each_extent(c, r, decrease_gfns, order)
                               : for_each_extent(c, r, decrease_extent, pieces(r));
}

long memory_populate_physmap(struct call *c, struct xen_memory_reservation *r)
{
    return for_each_extent(c, r, is_translated(c->d) ? populate_gfns : populate_extent, 0);
}

long memory_current_reservation(struct call *c, struct xen_memory_domain *arg)
{
    (void)arg;
    return READ_ONCE(c->d->mem.tot_pages);
}

long memory_maximum_reservation(struct call *c, struct xen_memory_domain *arg)
{
    uint64_t max = READ_ONCE(c->d->mem.max_pages);

    (void)arg;
    return min(max, (uint64_t)INT64_MAX);
}

long memory_maximum_ram_page(struct call *c, struct noarg *arg)
{
    (void)c, (void)arg;
    return max_page - 1;
}

long memory_claim_pages(struct call *c, struct xen_memory_reservation *r)
{
    long ret;

    if (handle_addr(r->extent_start) || r->extent_order || r->mem_flags)
        return -EINVAL;
    ret = domain_set_claim(c->d, r->nr_extents);
    if (!ret && is_translated(c->d))
        p2m_renew_claim(c->d);
    return ret;
}

/* What waits for pages that are set aside counts as if it had them. */
static long pod_figures(struct domain *d, struct xen_pod_target *t)
{
    t->pod_entries = is_translated(d) ? p2m_pod_entries(d) : 0;
    t->pod_cache_pages = t->pod_entries ? READ_ONCE(d->mem.outstanding) : 0;
    t->tot_pages = READ_ONCE(d->mem.tot_pages) + t->pod_cache_pages;
    return 0;
}

long memory_set_pod_target(struct call *c, struct xen_pod_target *t)
{
    long ret = 0;

    if (t->target_pages > READ_ONCE(c->d->mem.max_pages))
        return -EINVAL;
    if (is_translated(c->d))
        ret = p2m_set_pod_target(c->d, t->target_pages);
    return ret ?: pod_figures(c->d, t);
}

long memory_get_pod_target(struct call *c, struct xen_pod_target *t)
{
    return pod_figures(c->d, t);
}

/* No frames are shared between domains. */
long memory_sharing_pages(struct call *c, struct noarg *arg)
{
    (void)c, (void)arg;
    return 0;
}

long memory_get_vnumainfo(struct call *c, struct xen_vnuma_topology_info *arg)
{
    (void)c, (void)arg;
    return -EOPNOTSUPP;
}
