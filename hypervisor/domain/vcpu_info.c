// SPDX-License-Identifier: MIT
/*
 * Where a vcpu's vcpu_info is (xen.h): in the shared info page for the first ones, or in a page
 * of the guest's that it registers with VCPUOP_register_vcpu_info, once and for all.
 *
 * That page stays the guest's; the hypervisor holds a reference and the writable type, and uses
 * it by its own mapping.  v->info and v->info_page change under the domain's lock, v not running
 * elsewhere.
 */
#include "arch/api/arch_mm.h"
#include "domain/domain.h"
#include "event/event.h"
#include "kernel/rcu.h"
#include "lib/errno.h"
#include "lib/string.h"

struct vcpu_info *vcpu_default_info(struct vcpu *v)
{
    struct shared_info *s = v->domain->shared_info;

    if (s && v->vcpu_id < XEN_LEGACY_MAX_VCPUS)
        return (struct vcpu_info *)&s->vcpu_info[v->vcpu_id];
    /* Each has its own: what one guest's iret does to its mask is nothing to another's vcpus. */
    v->unseen_info = (struct vcpu_info){.evtchn_upcall_mask = 1};
    return &v->unseen_info;
}

int map_vcpu_info(struct vcpu *v, uint64_t gfn, unsigned offset)
{
    struct domain *d = v->domain;
    struct vcpu_info *info;
    struct page_info *pg;
    int ret = -EINVAL;

    if (offset > PAGE_SIZE - sizeof(*info) || offset % _Alignof(struct vcpu_info))
        return -ENXIO;
    /* What runs now could be looking at the old one. */
    if (v != current && !test_bit(VPF_down, &v->pause_flags))
        return -EINVAL;
    pg = get_page_gfn(d, _gfn(gfn));
    if (!pg)
        return -EINVAL;
    if (get_page_type(pg, PGT_writable))
        goto drop_page;

    spin_lock(&d->lock);
    if (v->info_page || d->dying) {
        spin_unlock(&d->lock);
        goto drop_type;
    }
    info = (struct vcpu_info *)((char *)page_to_virt(pg) + offset);
    if (v->info == &v->unseen_info) {
        memset(info, 0, sizeof(*info));
        info->evtchn_upcall_mask = 1;
    } else
        memmove(info, v->info,
                sizeof(*info)); /* it may lie in the shared info, beside the old one */
    v->info_page = pg;
    /* Events that are sent meanwhile mark one or the other; below, all is signalled anew. */
    __atomic_store_n(&v->info, info, __ATOMIC_SEQ_CST);
    spin_unlock(&d->lock);
    evtchn_vcpu_info_moved(v);
    return 0;

drop_type:
    put_page_type(pg);
drop_page:
    put_page(pg);
    return ret;
}

/* v has its default place again; the page that it leaves, with the references, or NULL. */
static struct page_info *leave_page(struct vcpu *v)
{
    struct page_info *pg;

    spin_lock(&v->domain->lock);
    pg = v->info_page;
    if (pg) {
        __atomic_store_n(&v->info, vcpu_default_info(v), __ATOMIC_SEQ_CST);
        v->info_page = NULL;
    }
    spin_unlock(&v->domain->lock);
    return pg;
}

void unmap_vcpu_info(struct vcpu *v)
{
    struct page_info *pg = leave_page(v);

    if (pg)
        put_page_and_type(pg);
}

struct left_page {
    struct rcu_head rcu;
    struct page_info *pg;
};

static void put_left_page(struct rcu_head *head)
{
    struct left_page *left = container_of(head, struct left_page, rcu);

    put_page_and_type(left->pg);
    xfree(left);
}

int unmap_vcpu_info_rcu(struct vcpu *v)
{
    struct left_page *left = xzalloc(struct left_page);

    if (!left)
        return -ENOMEM;
    left->pg = leave_page(v);
    if (left->pg)
        call_rcu(&left->rcu, put_left_page);
    else
        xfree(left);
    return 0;
}
