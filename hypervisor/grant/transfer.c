// SPDX-License-Identifier: MIT
/*
 * Giving a page away.  The receiver has said in an entry (GTF_accept_transfer) whom it takes a page
 * from.  Once the entry is marked committed the receiver waits, so what follows ends with
 * "completed", if only to say that no page came (frame 0).
 *
 * As the public header has it, the giver loses the page even if the receiver does not get it,
 * unless the page itself was at fault.
 */
#include "grant/private.h"
#include "arch/api/arch_mm.h"
#include "hypercall/handlers.h"

#define COMMIT_TRIES 5

/* Marks rd's entry committed to a page from user.  GNTST_*. */
static int commit(struct domain *rd, uint32_t ref, domid_t user)
{
    struct grant_table *t = rd->grant;
    struct active *act = grant_lock_entry(t, ref);
    uint32_t *head, h;
    int rc = GNTST_general_error, version;

    if (!act)
        return GNTST_bad_gntref;
    version = grant_entry_version(t, ref);
    if (version < 0 || (act->readers | act->writers)) {
        spin_unlock(&act->lock);
        return version < 0 ? version : GNTST_eagain;
    }
    head = version == 1 ? (uint32_t *)entry_v1(t, ref) : (uint32_t *)entry_v2(t, ref);
    h = READ_ONCE(*head);
    for (unsigned i = 0; i < COMMIT_TRIES; i++) {
        if ((uint16_t)h != GTF_accept_transfer || h >> 16 != user)
            break;
        if (__atomic_compare_exchange_n(head, &h, h | GTF_transfer_committed, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
            rc = GNTST_okay;
            break;
        }
    }
    /* As a pin, it keeps the version from changing until complete(). */
    if (rc == GNTST_okay) {
        act->readers = 1;
        act->view = (struct grant_view){.user = DOMID_INVALID, .kind = KIND_full};
    }
    spin_unlock(&act->lock);
    return rc;
}

static void complete(struct domain *rd, uint32_t ref, uint64_t frame)
{
    struct grant_table *t = rd->grant;
    struct active *act = grant_lock_entry(t, ref);
    uint16_t *flags = NULL;

    if (READ_ONCE(t->change) == CHANGE_GONE) {
        ; /* nobody waits for it any more */
    } else if (t->version == 1) {
        WRITE_ONCE(entry_v1(t, ref)->frame, (uint32_t)frame);
        flags = &entry_v1(t, ref)->flags;
    } else {
        WRITE_ONCE(entry_v2(t, ref)->full_page.frame, frame);
        flags = &entry_v2(t, ref)->hdr.flags;
    }
    smp_wmb();
    if (flags)
        __atomic_fetch_or(flags, (uint16_t)GTF_transfer_completed, __ATOMIC_SEQ_CST);
    act->readers = 0;
    spin_unlock(&act->lock);
}

static int transfer(struct domain *d, struct domain *rd, const struct gnttab_transfer *arg)
{
    struct page_info *pg = guest_frame(arg->mfn);
    int rc;

    if (is_translated(d) || !pg)
        return GNTST_bad_page;
    if (steal_page(d, pg, 0))
        return GNTST_bad_page;
    flush_stolen(pg); /* the giver may still have it cached as its own */

    rc = GNTST_bad_domain;
    if (rd && rd->grant && !is_translated(rd) && READ_ONCE(rd->dying) == DOMDYING_alive)
        rc = commit(rd, arg->ref, d->id);
    if (rc != GNTST_okay) {
        heap_free(pg, 0);
        return rc;
    }
    if (assign_pages(rd, pg, 0, 0)) {
        heap_free(pg, 0);
        complete(rd, arg->ref, 0);
        return GNTST_general_error;
    }
    complete(rd, arg->ref, arg->mfn);
    return GNTST_okay;
}

long gnttabop_transfer(struct call *c, struct gnttab_transfer *arg)
{
    arg->status = (int16_t)transfer(c->v->domain, c->d, arg);
    return 0;
}
