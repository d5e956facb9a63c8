// SPDX-License-Identifier: MIT
/*
 * Frames may get their pages on demand (XENMEMF_populate_on_demand: a guest that is to have less
 * memory than its memory map says, until its balloon driver runs).  Such an entry is not present,
 * but has that type, at any level; who looks for the page, or touches it, makes p2m_fill() give it
 * one.  Memory for them is set aside as the domain's claim.
 */
#include "p2m_private.h"
#include "lib/errno.h"

/* 2 MB at once while half of what was set aside is left. */
bool p2m_fill(struct domain *d, uint64_t gfn, unsigned level)
{
    struct p2m *p = p2m_of(d);
    struct page_info *pg = NULL;
    unsigned order = 9;
    int rc = -ENOMEM;

    if (d->dying)
        return false;
    if (level > 1 && READ_ONCE(d->mem.tot_pages) + (1u << order) <= READ_ONCE(p->pod_target) / 2)
        pg = alloc_domain_pages(d, order, 0);
    if (!pg) {
        order = 0;
        pg = alloc_domain_pages(d, order, 0);
    }
    if (pg)
        rc = p2m_map(d, _gfn(gfn >> order << order), pg, order);
    /* Its own again, unless it has lost them by its end. */
    for (uint64_t i = 0; pg && rc && i < 1ULL << order; i++)
        if (get_page(pg + i, d)) {
            put_page_alloc(pg + i);
            put_page(pg + i);
        }
    if (rc)
        p2m_renew_claim(d);
    if (rc == -ENOMEM)
        domain_crash(d, "no page for frame %#lx, which is populated on demand", (unsigned long)gfn);
    return rc != -ENOMEM; /* or somebody was faster */
}

int p2m_populate_later(struct domain *d, gfn_t gfn, unsigned order)
{
    struct p2m *p = p2m_of(d);
    unsigned leaf = leaf_order(order);
    uint64_t nr = 1ULL << order;
    int rc = 0;

    if (!gfn_ok(gfn_x(gfn), order))
        return -EINVAL;
    spin_lock(&p->lock);
    if (d->dying)
        rc = -EINVAL;
    for (uint64_t i = 0; !rc && i < nr; i += 1ULL << leaf) {
        uint64_t *e = p2m_entry_for(p, gfn_x(gfn) + i, leaf / 9 + 1);

        /* There is a table already; of more than 2 MB the caller may ask in pieces. */
        if (e && leaf == 9 && order == 9 && (*e & PTE_PRESENT) && !is_leaf(*e, 2)) {
            leaf = 0;
            e = p2m_entry_for(p, gfn_x(gfn) + i, 1);
        }
        rc = !e ? -ENOMEM : *e ? -EEXIST : 0;
        if (!rc) {
            WRITE_ONCE(*e, (uint64_t)P2M_ON_DEMAND << P2M_TYPE_SHIFT);
            p->on_demand += 1ULL << leaf;
            p->max_gfn = max(p->max_gfn, gfn_x(gfn) + i + (1ULL << leaf) - 1);
        }
    }
    spin_unlock(&p->lock);
    return rc;
}

/* As large as there are frames to be filled, but no larger than the target leaves. */
void p2m_renew_claim(struct domain *d)
{
    struct p2m *p = p2m_of(d);
    uint64_t target = READ_ONCE(p->pod_target);

    if (target)
        domain_adjust_claim(d, target, READ_ONCE(p->on_demand));
}

/*
 * A target below what the domain has, and has been promised, changes nothing: its balloon driver
 * will.  Nor is there anything to do where all frames have their pages, unless there are none yet.
 */
int p2m_set_pod_target(struct domain *d, uint64_t pages)
{
    struct p2m *p = p2m_of(d);
    uint64_t on_demand = READ_ONCE(p->on_demand);

    if (!on_demand && READ_ONCE(d->mem.tot_pages))
        return 0;
    if (pages < READ_ONCE(d->mem.tot_pages) + READ_ONCE(d->mem.outstanding))
        return 0;
    WRITE_ONCE(p->pod_target, pages);
    return domain_adjust_claim(d, pages, on_demand ?: pages) ? 0 : -ENOMEM;
}

uint64_t p2m_pod_entries(const struct domain *d)
{
    return READ_ONCE(p2m_of(d)->on_demand);
}
