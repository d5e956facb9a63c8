// SPDX-License-Identifier: MIT
/*
 * Copying between pages: each end is a page of the caller's own or a grant to it.  Grants may be of
 * part of a page, or (version 2) passed on: an entry may name a grant that its domain was given.
 */
#include "grant/private.h"
#include "arch/api/arch_mm.h"
#include "arch/api/arch_p2m.h"
#include "hypercall/handlers.h"

/* One end of a copy, held. */
struct end {
    struct page_info *pg;
    uint16_t start, length; /* what of the page may be touched */
    bool readonly;
    unsigned nr_pins; /* the entry named and, if it is passed on, the one behind it */
    struct {
        struct domain *d; /* referenced */
        uint32_t ref;
    } pin[2];
};

static void put_end(struct end *e)
{
    if (e->pg && e->readonly)
        put_page(e->pg);
    else if (e->pg)
        put_page_and_type(e->pg);
    while (e->nr_pins--) {
        grant_unpin(e->pin[e->nr_pins].d, e->pin[e->nr_pins].ref, e->readonly);
        put_domain(e->pin[e->nr_pins].d);
    }
}

static int get_end_page(struct end *e, struct domain *d, uint64_t gfn)
{
    struct page_info *pg = get_page_gfn(d, _gfn(gfn));

    if (!pg)
        return GNTST_bad_page;
    if (!e->readonly && get_page_type(pg, PGT_writable)) {
        put_page(pg);
        return GNTST_general_error;
    }
    e->pg = pg;
    return GNTST_okay;
}

/* Pins ref of domain id for user, as the next of e's pins. */
static int pin_next(struct end *e, domid_t id, uint32_t ref, domid_t user, struct grant_view *view)
{
    struct domain *d = get_domain_by_id(id);
    int rc;

    if (!d)
        return GNTST_bad_domain;
    rc = GNTST_bad_domain;
    if (d->grant && READ_ONCE(d->dying) == DOMDYING_alive)
        rc = grant_pin(d, ref, user, e->readonly, true, view);
    if (rc != GNTST_okay) {
        put_domain(d);
        return rc;
    }
    e->pin[e->nr_pins].d = d;
    e->pin[e->nr_pins++].ref = ref;
    return GNTST_okay;
}

static int get_end(struct vcpu *v, const struct gnttab_copy_ptr *p, bool is_ref, bool readonly,
                   struct end *e)
{
    domid_t self = v->domain->id;
    struct grant_view view;
    int rc;

    *e = (struct end){.readonly = readonly, .length = PAGE_SIZE};
    if (!is_ref)
        return p->domid == DOMID_SELF || p->domid == self ? get_end_page(e, v->domain, p->u.gmfn)
                                                          : GNTST_permission_denied;
    rc = pin_next(e, p->domid == DOMID_SELF ? self : p->domid, p->u.ref, self, &view);
    if (rc == GNTST_okay && view.kind == KIND_transitive) {
        rc = pin_next(e, (domid_t)(view.frame >> 32), (uint32_t)view.frame, e->pin[0].d->id, &view);
        if (rc == GNTST_okay && view.kind == KIND_transitive)
            rc = GNTST_general_error; /* once is enough */
    }
    if (rc != GNTST_okay)
        return rc;
    e->start = view.start;
    e->length = view.length;
    return get_end_page(e, e->pin[e->nr_pins - 1].d, view.frame);
}

static bool within(const struct end *e, uint16_t offset, uint16_t len)
{
    return offset >= e->start && (uint32_t)offset + len <= (uint32_t)e->start + e->length;
}

static int copy_grant(struct vcpu *v, const struct gnttab_copy *arg)
{
    struct end src, dst = {0};
    int rc;

    if ((uint32_t)arg->source.offset + arg->len > PAGE_SIZE ||
        (uint32_t)arg->dest.offset + arg->len > PAGE_SIZE)
        return GNTST_bad_copy_arg;
    rc = get_end(v, &arg->source, arg->flags & GNTCOPY_source_gref, true, &src);
    if (rc == GNTST_okay)
        rc = get_end(v, &arg->dest, arg->flags & GNTCOPY_dest_gref, false, &dst);
    if (rc == GNTST_okay) {
        if (within(&src, arg->source.offset, arg->len) && within(&dst, arg->dest.offset, arg->len))
            /* The two may be the same page. */
            memmove((char *)page_to_virt(dst.pg) + arg->dest.offset,
                    (char *)page_to_virt(src.pg) + arg->source.offset, arg->len);
        else
            rc = GNTST_general_error;
    }
    put_end(&dst);
    put_end(&src);
    /* Of a grant's page its entry tells. */
    if (unlikely(is_translated(v->domain)) && rc == GNTST_okay && !(arg->flags & GNTCOPY_dest_gref))
        p2m_mark_dirty(v->domain, _gfn(arg->dest.u.gmfn));
    return rc;
}

long gnttabop_copy(struct call *c, struct gnttab_copy *arg)
{
    arg->status = (int16_t)copy_grant(c->v, arg);
    return 0;
}
