// SPDX-License-Identifier: MIT
/*
 * Cleaning caches of a page that is the caller's or that it has mapped, for devices that do not see
 * what a CPU's caches hold (GNTTABOP_cache_flush, grant_table.h).  Those of a PC do; who asks gets
 * it all the same.
 *
 * That a page is mapped is found by looking through the caller's handles, which may be many: the
 * search goes on in a later call of the same vcpu.  The position is ours, not the guest's.
 */
#include "grant/private.h"
#include "arch/api/arch_mm.h"
#include "hypercall/handlers.h"

#define SEARCH_BATCH 256u

/* Has the domain of v mapped mfn?  -EPERM, -ERESTART. */
static int find_mapping(struct vcpu *v, uint32_t mfn)
{
    struct grant_table *t = v->domain->grant;
    struct maptrack_list *l = maptrack_list_of(t, v);
    uint32_t nr = READ_ONCE(t->nr_maptrack) * MAPTRACK_PER_PAGE, h;
    int rc = -EPERM;

    h = l->sought == mfn ? l->searched : 0;
    while (rc == -EPERM && h < nr) {
        const struct maptrack *map = maptrack_at(t, h);
        uint32_t flags = __atomic_load_n(&map->flags, __ATOMIC_ACQUIRE);

        if (flags && flags != MAP_BUSY && READ_ONCE(map->mfn) == mfn)
            rc = 0;
        else if (++h % SEARCH_BATCH == 0 && hypercall_preempt_check())
            rc = -ERESTART;
    }
    l->sought = mfn;
    l->searched = rc == -ERESTART ? h : 0;
    return rc;
}

/*
 * Unlike other operations of grant tables this one has no status, but an errno.  Caches cannot be
 * dropped without being written back.
 */
long gnttabop_cache_flush(struct call *c, struct gnttab_cache_flush *arg)
{
    struct page_info *pg = guest_frame(arg->a.dev_bus_addr >> PAGE_SHIFT);
    int rc;

    c->copy_back = false;
    if (arg->op & GNTTAB_CACHE_SOURCE_GREF) /* by reference: of whom, it does not say */
        return -EOPNOTSUPP;
    if ((arg->op & ~(GNTTAB_CACHE_CLEAN | GNTTAB_CACHE_INVAL)) || !pg ||
        (arg->a.dev_bus_addr & (PAGE_SIZE - 1)) || arg->offset >= PAGE_SIZE ||
        arg->length > PAGE_SIZE - arg->offset)
        return -EINVAL;
    if (!arg->op || !arg->length)
        return 0;
    if (arg->op == GNTTAB_CACHE_INVAL)
        return -EOPNOTSUPP;
    if (get_page(pg, c->d)) {
        arch_clean_cache((char *)page_to_virt(pg) + arg->offset, arg->length);
        put_page(pg);
        return 0;
    }
    rc = find_mapping(c->v, (uint32_t)mfn_x(page_to_mfn(pg)));
    /* The page may go meanwhile: its address stays, and nobody sees from the contents. */
    if (!rc)
        arch_clean_cache((char *)page_to_virt(pg) + arg->offset, arg->length);
    return rc;
}
