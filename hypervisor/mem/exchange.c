// SPDX-License-Identifier: MIT
/*
 * XENMEM_exchange: a PV domain gives pages and gets as many others, which lie contiguously or
 * below a limit (its drivers' DMA buffers), or gives such back.
 *
 * The unit of work is a chunk: one extent of the larger order on one side, the extents that make
 * up as many pages on the other.  A chunk is done whole or not at all: its pages are taken from
 * the domain first (steal_page: nobody else may use them), new ones allocated and the list of
 * frame numbers read, and what fails up to there is undone; then the swap cannot fail, unless the
 * domain has begun to die.  nr_exchanged, in the guest's structure, is the position to resume at.
 */
#include "mem/mem_private.h"
#include "arch/api/arch_mm.h"
#include "domain/domain.h"
#include "hypercall/compat.h"
#include "hypercall/handlers.h"

#define CHUNK_PAGES (1u << MAX_EXTENT_ORDER)

struct exchange {
    struct domain *d;
    const struct xen_memory_exchange *x;
    unsigned memflags;
    unsigned in_extents, out_extents; /* of a chunk */
    unsigned nr_stolen;               /* pages taken from the domain */
    unsigned nr_out;                  /* new extents allocated */
    struct page_info *stolen[CHUNK_PAGES];
    uint64_t stolen_pfn[CHUNK_PAGES]; /* what the guest called them */
    xen_pfn_t pfn[CHUNK_PAGES];       /* what the guest will call the first page of each */
    xen_pfn_t out[CHUNK_PAGES];
};

/* Takes the pages of chunk i from the domain. */
static int steal_chunk(struct exchange *e, uint64_t i)
{
    const struct xen_memory_reservation *in = &e->x->in;

    for (unsigned k = 0; k < e->in_extents; k++) {
        xen_pfn_t gfn;

        if (copy_elem_from_guest(&gfn, in->extent_start, i * e->in_extents + k))
            return -EFAULT;
        for (uint64_t j = 0; j < 1ULL << in->extent_order; j++) {
            struct page_info *pg = guest_frame(gfn + j);
            uint64_t pfn;
            int ret;

            if (!pg)
                return -EINVAL;
            pfn = m2p_get(page_to_mfn(pg));
            ret = steal_page(e->d, pg, MEMF_NO_REFCOUNT);
            if (ret)
                return ret;
            e->stolen[e->nr_stolen] = pg;
            e->stolen_pfn[e->nr_stolen++] = pfn;
        }
    }
    return 0;
}

static int alloc_chunk(struct exchange *e, uint64_t i)
{
    const struct xen_memory_reservation *out = &e->x->out;

    if (copy_array_from_guest(e->pfn, out->extent_start, i * e->out_extents, e->out_extents))
        return -EFAULT;
    for (e->nr_out = 0; e->nr_out < e->out_extents; e->nr_out++) {
        struct page_info *pg = heap_alloc(out->extent_order, domain_memflags(e->d, e->memflags));

        if (!pg)
            return -ENOMEM;
        e->out[e->nr_out] = mfn_x(page_to_mfn(pg));
    }
    return 0;
}

/*
 * Nothing has happened: the new pages go, the old ones come back.  They come as pages without a
 * type, which may get any without a flush (arch_page_assigned()): so CPUs that could still write
 * them by old translations are flushed here.  The last stolen was stamped last.
 */
static void undo_chunk(struct exchange *e)
{
    while (e->nr_out)
        heap_free(mfn_to_page(_mfn(e->out[--e->nr_out])), e->x->out.extent_order);
    if (e->nr_stolen)
        flush_stolen(e->stolen[e->nr_stolen - 1]);
    while (e->nr_stolen) {
        struct page_info *pg = e->stolen[--e->nr_stolen];

        m2p_set(page_to_mfn(pg), e->stolen_pfn[e->nr_stolen]);
        if (assign_pages(e->d, pg, 0, MEMF_NO_REFCOUNT)) {
            m2p_set(page_to_mfn(pg), M2P_INVALID);
            heap_free(pg, 0);
            domain_uncount_pages(e->d, 1);
        }
    }
}

static int commit_chunk(struct exchange *e, uint64_t i)
{
    const struct xen_memory_reservation *out = &e->x->out;
    uint64_t nr = 1ULL << out->extent_order;
    struct page_info *pg;
    int ret = 0;

    while (e->nr_stolen)
        heap_free(e->stolen[--e->nr_stolen], 0);
    for (unsigned k = 0; k < e->nr_out; k++) {
        pg = mfn_to_page(_mfn(e->out[k]));
        for (uint64_t j = 0; j < nr; j++)
            m2p_set(page_to_mfn(pg + j), e->pfn[k] + j);
        if (assign_pages(e->d, pg, out->extent_order, MEMF_NO_REFCOUNT)) {
            for (uint64_t j = 0; j < nr; j++)
                m2p_set(page_to_mfn(pg + j), M2P_INVALID);
            heap_free(pg, out->extent_order);
            domain_uncount_pages(e->d, nr);
            ret = -EINVAL; /* dying */
        }
    }
    e->nr_out = 0;
    if (!ret)
        ret = copy_array_to_guest(out->extent_start, i * e->out_extents, e->out, e->out_extents);
    return ret;
}

static int check_exchange(const struct domain *d, const struct xen_memory_exchange *x)
{
    const struct xen_memory_reservation *in = &x->in, *out = &x->out;

    if (is_translated(d))
        return -EOPNOTSUPP;
    if (in->extent_order > MAX_EXTENT_ORDER || out->extent_order > MAX_EXTENT_ORDER)
        return -EPERM;
    if (in->domid != out->domid || x->nr_exchanged > in->nr_extents ||
        in->nr_extents > ~0UL >> in->extent_order || out->nr_extents > ~0UL >> out->extent_order ||
        in->nr_extents << in->extent_order != out->nr_extents << out->extent_order)
        return -EINVAL;
    return 0;
}

long memory_exchange(struct call *c, struct xen_memory_exchange *x)
{
    unsigned in_order = x->in.extent_order, out_order = x->out.extent_order, order;
    uint64_t i, chunks;
    struct exchange *e;
    long ret = check_exchange(c->d, x);

    if (ret)
        return ret;
    e = xzalloc(struct exchange);
    if (!e)
        return -ENOMEM;
    order = max(in_order, out_order);
    e->d = c->d;
    e->x = x;
    e->in_extents = 1u << (order - in_order);
    e->out_extents = 1u << (order - out_order);
    if (!memflags_of_guest(x->out.mem_flags, &e->memflags))
        ret = -EINVAL;

    chunks = x->in.nr_extents / e->in_extents;
    for (i = x->nr_exchanged / e->in_extents; !ret && i < chunks; i++) {
        if (i * e->in_extents > x->nr_exchanged && hypercall_preempt_check()) {
            ret = -ERESTART;
            break;
        }
        ret = steal_chunk(e, i);
        if (!ret)
            ret = alloc_chunk(e, i);
        if (ret) {
            undo_chunk(e);
            break;
        }
        ret = commit_chunk(e, i);
    }
    xfree(e);
    x->nr_exchanged = i * (1u << (order - in_order));
    if (copy_struct_to_guest(c->arg, x))
        ret = -EFAULT;
    return ret;
}
