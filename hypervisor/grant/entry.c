// SPDX-License-Identifier: MIT
/*
 * Pinning entries: what a granter says is read once, and it is told that the entry is in use.
 *
 * Version 1 keeps flags, domain and the marks in one 32-bit word, so one compare-and-exchange
 * both believes and marks.  Version 2 has the marks in a status word: mark first, then look again
 * whether the entry still says what it said.  Either way a granter that follows the header's rules
 * cannot take the grant back in between, and one that does not has still granted what was read.
 */
#include "grant/private.h"
#include "arch/api/arch_p2m.h"

/* Attempts against a guest that changes its entry all the time. */
#define PIN_TRIES 5

#define HEAD_FLAGS(h) ((uint16_t)(h))
#define HEAD_DOMID(h) ((domid_t)((h) >> 16))
BUILD_BUG_ON(offsetof(struct grant_entry_v1, domid) != 2);

/* Does an entry with this head let user in? */
static bool permits(uint32_t head, domid_t user, bool readonly)
{
    uint16_t flags = HEAD_FLAGS(head);

    return (flags & GTF_type_mask) == GTF_permit_access && HEAD_DOMID(head) == user &&
           (readonly || !(flags & GTF_readonly));
}

static int mark_v1(struct grant_table *t, uint32_t ref, domid_t user, bool readonly)
{
    uint32_t *head = (uint32_t *)entry_v1(t, ref), h = READ_ONCE(*head);
    uint32_t marks = GTF_reading | (readonly ? 0 : GTF_writing);

    for (unsigned i = 0; i < PIN_TRIES; i++) {
        if (!permits(h, user, readonly))
            return GNTST_general_error;
        if (__atomic_compare_exchange_n(head, &h, h | marks, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
            return GNTST_okay;
    }
    return GNTST_general_error;
}

static int pin_v1(struct grant_table *t, uint32_t ref, struct active *act, domid_t user,
                  bool readonly)
{
    int rc = mark_v1(t, ref, user, readonly);

    if (rc == GNTST_okay && !(act->readers | act->writers))
        act->view = (struct grant_view){.user = user,
                                        .kind = KIND_full,
                                        .length = PAGE_SIZE,
                                        .frame = READ_ONCE(entry_v1(t, ref)->frame)};
    return rc;
}

static void unmark_v2(struct grant_table *t, uint32_t ref, uint16_t marks)
{
    __atomic_fetch_and(entry_status(t, ref), (grant_status_t)~marks, __ATOMIC_SEQ_CST);
}

/* Is it an entry of a kind we may use, for user? */
static bool usable_v2(uint32_t head, domid_t user, bool readonly, bool copy)
{
    uint16_t flags = HEAD_FLAGS(head);

    if ((flags & GTF_type_mask) == GTF_transitive)
        return copy && HEAD_DOMID(head) == user && (readonly || !(flags & GTF_readonly));
    return permits(head, user, readonly) && (copy || !(flags & GTF_sub_page));
}

static void read_view_v2(const union grant_entry_v2 *e, uint32_t head, struct grant_view *view)
{
    *view = (struct grant_view){.user = HEAD_DOMID(head), .kind = KIND_full, .length = PAGE_SIZE};
    if ((HEAD_FLAGS(head) & GTF_type_mask) == GTF_transitive) {
        view->kind = KIND_transitive;
        view->frame =
            (uint64_t)READ_ONCE(e->transitive.trans_domid) << 32 | READ_ONCE(e->transitive.gref);
    } else if (HEAD_FLAGS(head) & GTF_sub_page) {
        view->kind = KIND_sub_page;
        view->start = READ_ONCE(e->sub_page.page_off);
        view->length = READ_ONCE(e->sub_page.length);
        view->frame = READ_ONCE(e->sub_page.frame);
    } else {
        view->frame = READ_ONCE(e->full_page.frame);
    }
}

static int pin_v2(struct grant_table *t, uint32_t ref, struct active *act, domid_t user,
                  bool readonly, bool copy)
{
    const union grant_entry_v2 *e = entry_v2(t, ref);
    const uint32_t *head = (const uint32_t *)e;
    uint16_t marks = (uint16_t)(GTF_reading | (readonly ? 0 : GTF_writing));
    uint32_t h = READ_ONCE(*head), seen;

    if (!usable_v2(h, user, readonly, copy))
        return GNTST_general_error;
    __atomic_fetch_or(entry_status(t, ref), marks, __ATOMIC_SEQ_CST);
    seen = READ_ONCE(*head);
    /* What may not differ: type, sub-page, domain, and the right to write. */
    if (((h ^ seen) & ~(uint32_t)(GTF_readonly | GTF_PWT | GTF_PCD | GTF_PAT)) ||
        !usable_v2(seen, user, readonly, copy)) {
        if (!act->writers)
            unmark_v2(t, ref, GTF_writing);
        if (!(act->readers | act->writers))
            unmark_v2(t, ref, GTF_reading);
        return GNTST_general_error;
    }
    if (!(act->readers | act->writers))
        read_view_v2(e, h, &act->view);
    return GNTST_okay;
}

int grant_pin(struct domain *rd, uint32_t ref, domid_t user, bool readonly, bool copy,
              struct grant_view *view)
{
    struct grant_table *t = rd->grant;
    struct active *act = grant_lock_entry(t, ref);
    int rc = GNTST_okay, version;

    if (!act)
        return GNTST_bad_gntref;
    if (act->readers | act->writers) {
        if (act->view.user != user || (!copy && act->view.kind != KIND_full))
            rc = GNTST_general_error;
        else if (act->readers == UINT32_MAX || act->writers == UINT32_MAX)
            rc = GNTST_no_space;
    }
    if (rc != GNTST_okay)
        goto unlock;
    if (!(act->readers | act->writers) || (!readonly && !act->writers)) {
        version = grant_entry_version(t, ref);
        if (unlikely(version < 0))
            rc = version;
        else if (version == 1)
            rc = pin_v1(t, ref, act, user, readonly);
        else
            rc = pin_v2(t, ref, act, user, readonly, copy);
    }
    if (rc == GNTST_okay) {
        if (readonly)
            act->readers++;
        else
            act->writers++;
        *view = act->view;
    }
unlock:
    spin_unlock(&act->lock);
    return rc;
}

void grant_unpin(struct domain *rd, uint32_t ref, bool readonly)
{
    struct grant_table *t = rd->grant;
    bool reserved = ref < GNTTAB_NR_RESERVED_ENTRIES;
    struct active *act;
    uint16_t marks = 0;

    /* The tools' entries may be pinned while the version changes: then their marks move. */
    if (unlikely(reserved))
        spin_lock(&t->lock);
    act = grant_lock_entry(t, ref);
    if (unlikely(is_translated(rd)) && !readonly && act->view.kind != KIND_transitive)
        p2m_mark_dirty(rd, _gfn(act->view.frame));
    if (readonly)
        act->readers--;
    else
        act->writers--;
    if (!readonly && !act->writers)
        marks |= GTF_writing;
    if (!(act->readers | act->writers))
        marks |= GTF_reading;
    if (READ_ONCE(t->change) == CHANGE_GONE)
        marks = 0;
    if (marks && t->version == 1)
        __atomic_fetch_and(&entry_v1(t, ref)->flags, (uint16_t)~marks, __ATOMIC_SEQ_CST);
    else if (marks)
        unmark_v2(t, ref, marks);
    spin_unlock(&act->lock);
    if (unlikely(reserved))
        spin_unlock(&t->lock);
}
