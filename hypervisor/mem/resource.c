// SPDX-License-Identifier: MIT
/*
 * XENMEM: pages that are not a domain's RAM.
 *
 * acquire_resource tells the tools in which frames a domain's resource lies (its grant table);
 * they map them with mmu_update, in the name of that domain.  The physmap operations move pages
 * about in the physical address space of guests that have one, which PV guests do not.
 */
#include "mem/mem_private.h"
#include "arch/api/arch_p2m.h"
#include "domain/domain.h"
#include "grant/grant.h"
#include "hypercall/compat.h"
#include "hypercall/handlers.h"

#define RESOURCE_BATCH 32 /* frames between looks at whether somebody else needs this CPU */

static int grant_table_frame(struct domain *d, uint32_t id, uint64_t frame, mfn_t *mfn)
{
    if (frame > UINT32_MAX)
        return -EINVAL;
    return id == XENMEM_resource_grant_table_id_status ? grant_get_status_frame(d, frame, mfn)
                                                       : grant_get_frame(d, frame, mfn);
}

static long grant_table_size(struct domain *d, uint32_t id)
{
    return id == XENMEM_resource_grant_table_id_status ? grant_max_status_frames(d)
                                                       : grant_max_frames(d);
}

long memory_acquire_resource(struct call *c, struct xen_mem_acquire_resource *r)
{
    uint64_t i = c->start, frame;
    long ret;

    c->copy_back = false;
    if (is_translated(c->v->domain))
        return -EOPNOTSUPP;
    if (r->pad || c->start > r->nr_frames)
        return -EINVAL;
    if (r->type != XENMEM_resource_grant_table)
        return -EOPNOTSUPP;
    if (r->id > XENMEM_resource_grant_table_id_status)
        return -EINVAL;
    if (!handle_addr(r->frame_list)) {
        if (r->nr_frames)
            return -EINVAL;
        r->nr_frames = grant_table_size(c->d, r->id);
        c->copy_back = true;
        return 0;
    }
    if (__builtin_add_overflow(r->frame, r->nr_frames, &frame))
        return -EINVAL;
    for (; i < r->nr_frames; i++) {
        xen_pfn_t pfn;
        mfn_t mfn;

        if (i % RESOURCE_BATCH == 0 && i != c->start && hypercall_preempt_check()) {
            c->resume = i;
            return -ERESTART;
        }
        ret = grant_table_frame(c->d, r->id, r->frame + i, &mfn);
        if (ret == -ERESTART)
            c->resume = i;
        if (ret)
            return ret;
        pfn = mfn_x(mfn);
        if (copy_elem_to_guest(r->frame_list, i, &pfn))
            return -EFAULT;
    }
    return 0;
}

/* What a guest may have put into its address space, with a reference; NULL: there is no such. */
static struct page_info *space_page(struct domain *d, unsigned space, uint64_t idx, int *err)
{
    struct page_info *pg;
    mfn_t mfn;

    *err = -EINVAL;
    switch (space) {
    case XENMAPSPACE_shared_info:
        if (idx)
            return NULL;
        pg = d->shared_info_page;
        break;
    case XENMAPSPACE_grant_table:
        *err = grant_table_frame(d,
                                 idx & XENMAPIDX_grant_table_status
                                     ? XENMEM_resource_grant_table_id_status
                                     : XENMEM_resource_grant_table_id_shared,
                                 idx & ~(uint64_t)XENMAPIDX_grant_table_status, &mfn);
        if (*err)
            return NULL;
        pg = mfn_to_page(mfn);
        break;
    case XENMAPSPACE_gmfn:
        pg = p2m_unmap(d, _gfn(idx));
        return pg;
    default:
        *err = -ENOSYS;
        return NULL;
    }
    *err = -EINVAL;
    return get_page(pg, d) ? pg : NULL;
}

/* gpfn becomes the page idx of that space; RAM that was there is the domain's no longer. */
static int add_page(struct domain *d, unsigned space, uint64_t idx, uint64_t gpfn)
{
    struct page_info *pg;
    int err;

    pg = space_page(d, space, idx, &err);
    if (!pg)
        return err;
    err = p2m_place(d, _gfn(gpfn), pg, P2M_RAM);
    if (err && space == XENMAPSPACE_gmfn && p2m_map(d, _gfn(idx), pg, 0))
        put_page_alloc(pg); /* nor where it was: then it is not the guest's any more */
    put_page(pg);
    return err;
}

long memory_add_to_physmap(struct call *c, struct xen_add_to_physmap *arg)
{
    int err = 0;

    if (!is_translated(c->d))
        return -EACCES;
    if (arg->space != XENMAPSPACE_gmfn_range)
        return add_page(c->d, arg->space, arg->idx, arg->gpfn);
    for (unsigned i = c->start; !err && i < arg->size; i++) {
        if (i != c->start && hypercall_preempt_check()) {
            c->resume = i;
            return -ERESTART;
        }
        err = add_page(c->d, XENMAPSPACE_gmfn, arg->idx + i, arg->gpfn + i);
    }
    return err;
}

/* Other domains' pages are for those who are privileged over them: none that is like that. */
static int batch_element(struct domain *d, const struct xen_add_to_physmap_batch *arg, uint64_t i)
{
    xen_pfn_t idx, gpfn;

    if (!is_translated(d))
        return -EACCES;
    if (copy_elem_from_guest(&idx, arg->idxs, i) || copy_elem_from_guest(&gpfn, arg->gpfns, i))
        return -EFAULT;
    return arg->space == XENMAPSPACE_gmfn_foreign ? -EPERM : add_page(d, arg->space, idx, gpfn);
}

long memory_add_to_physmap_batch(struct call *c, struct xen_add_to_physmap_batch *arg)
{
    if (arg->space != XENMAPSPACE_gmfn_foreign && arg->u.res0)
        return -EINVAL;
    for (unsigned i = c->start; i < arg->size; i++) {
        int err;

        if (i != c->start && hypercall_preempt_check()) {
            c->resume = i;
            return -ERESTART;
        }
        err = batch_element(c->d, arg, i);
        if (copy_elem_to_guest(arg->errs, i, &err))
            return -EFAULT;
    }
    return 0;
}

long memory_remove_from_physmap(struct call *c, struct xen_remove_from_physmap *arg)
{
    struct page_info *pg = is_translated(c->d) ? p2m_unmap(c->d, _gfn(arg->gpfn))
                                               : get_page_gfn(c->d, _gfn(arg->gpfn));

    if (!pg)
        return -ENOENT;
    put_page(pg);
    return 0;
}

/* Regions that firmware wants mapped one to one for a device: known once there is an IOMMU. */
long memory_reserved_device_memory_map(struct call *c, struct xen_reserved_device_memory_map *arg)
{
    (void)c;
    if (arg->flags & ~XENMEM_RDM_ALL)
        return -EINVAL;
    arg->nr_entries = 0;
    return 0;
}
