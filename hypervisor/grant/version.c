// SPDX-License-Identifier: MIT
/*
 * Versions: the two forms of a table's entries.  A change keeps the reserved entries, which the
 * tools have made and may have mapped, and clears all others; so none of them may be in use.
 *
 * To see that none is takes longer than one may keep a CPU, and must not keep others from using the
 * table: a guest may begin a change and never go on with it.  So a change has these states
 * (grant_table.change):
 *   SCANNING  entries are looked at, in as many calls as it takes; they can be used all the while,
 *             but who begins to use one first makes the change SPOILED, and it fails.
 *   MAKING    nothing was used: in the rest of the call, under the table's lock, the table is
 *             cleared, and nothing can be used.
 * Who begins to use an entry holds its lock and looks at the state (grant_entry_version()).  If he
 * found no change, one that began later waits for his lock when it comes to his entry, and sees his
 * pin.  If he found one SCANNING, he has spoilt it, or it is MAKING and he does not go on.
 */
#include "grant/private.h"
#include "hypercall/handlers.h"

/* Reserved entries, in neither version. */
struct reserved {
    uint16_t flags, marks;
    domid_t domid;
    uint64_t frame;
};

bool grant_spoil_change(struct grant_table *t, uint32_t ref)
{
    uint32_t seen = CHANGE_SCANNING;

    if (ref < GNTTAB_NR_RESERVED_ENTRIES)
        return READ_ONCE(t->change) < CHANGE_MAKING;
    return __atomic_compare_exchange_n(&t->change, &seen, CHANGE_SPOILED, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST) ||
           seen < CHANGE_MAKING;
}

/* Reads them, marks aside; -errno if the new version cannot tell them. */
static int read_reserved(const struct grant_table *t, struct reserved r[GNTTAB_NR_RESERVED_ENTRIES])
{
    for (unsigned i = 0; i < GNTTAB_NR_RESERVED_ENTRIES; i++) {
        if (t->version == 1) {
            struct grant_entry_v1 e = *(volatile struct grant_entry_v1 *)entry_v1(t, i);

            r[i].flags = e.flags & ~(GTF_reading | GTF_writing);
            r[i].domid = e.domid;
            r[i].frame = e.frame;
        } else {
            union grant_entry_v2 e = *(volatile union grant_entry_v2 *)entry_v2(t, i);

            r[i].flags = e.hdr.flags & ~(GTF_reading | GTF_writing);
            r[i].domid = e.hdr.domid;
            r[i].frame = e.full_page.frame;
        }
        switch (r[i].flags & GTF_type_mask) {
        case GTF_permit_access:
            if ((r[i].flags & GTF_sub_page) || (t->version == 2 && r[i].frame > UINT32_MAX))
                return -ERANGE;
            break;
        case GTF_invalid:
            r[i] = (struct reserved){.marks = r[i].marks};
            break;
        default:
            return -EINVAL;
        }
    }
    return 0;
}

static void write_reserved(const struct grant_table *t, unsigned to,
                           const struct reserved r[GNTTAB_NR_RESERVED_ENTRIES])
{
    for (unsigned i = 0; i < GNTTAB_NR_RESERVED_ENTRIES; i++) {
        if (to == 1) {
            *entry_v1(t, i) = (struct grant_entry_v1){.flags = r[i].flags | r[i].marks,
                                                      .domid = r[i].domid,
                                                      .frame = (uint32_t)r[i].frame};
        } else {
            union grant_entry_v2 e = {.full_page = {.frame = r[i].frame}};

            e.hdr.flags = r[i].flags;
            e.hdr.domid = r[i].domid;
            *entry_v2(t, i) = e;
            WRITE_ONCE(*entry_status(t, i), r[i].marks);
        }
    }
}

/* While MAKING and under the table's lock the pins of reserved entries cannot change. */
static void read_marks(const struct grant_table *t, struct reserved r[GNTTAB_NR_RESERVED_ENTRIES])
{
    for (unsigned i = 0; i < GNTTAB_NR_RESERVED_ENTRIES; i++) {
        struct active *act = active_entry(t, i);

        spin_lock(&act->lock);
        r[i].marks =
            (act->readers | act->writers ? GTF_reading : 0) | (act->writers ? GTF_writing : 0);
        spin_unlock(&act->lock);
    }
}

static bool is_pinned(struct active *act)
{
    bool pinned;

    /* Its lock is taken only where it could tell something else. */
    if (!spin_is_locked(&act->lock) && !(READ_ONCE(act->readers) | READ_ONCE(act->writers)))
        return false;
    spin_lock(&act->lock);
    pinned = act->readers | act->writers;
    spin_unlock(&act->lock);
    return pinned;
}

/* Goes on with the look at all entries: 0 at the end, -ERESTART, -EBUSY. */
static int scan(struct grant_table *t)
{
    while (t->scanned < entries_of(t, t->version)) {
        if (is_pinned(active_entry(t, t->scanned)))
            return -EBUSY;
        if (++t->scanned % ACTIVES_PER_PAGE == 0 && hypercall_preempt_check())
            return -ERESTART;
    }
    return 0;
}

/* Status pages that are mapped would outlive the table they belong to. */
static bool status_in_use(const struct grant_table *t)
{
    for (unsigned i = 0; i < t->nr_status; i++)
        if (hyp_page_in_use(virt_to_page(t->status[i])))
            return true;
    return false;
}

void grant_drop_status(struct grant_table *t)
{
    while (t->nr_status)
        unshare_hyp_page(virt_to_page(t->status[--t->nr_status]));
}

/* All is looked at: makes the change, unless it was spoilt. */
static int make_change(struct domain *d, unsigned to)
{
    struct grant_table *t = d->grant;
    struct reserved r[GNTTAB_NR_RESERVED_ENTRIES];
    uint32_t seen = CHANGE_SCANNING;
    int rc = to == 2 ? grant_grow_status(d, t->nr_frames) : 0;

    if (rc)
        return rc;
    if (!__atomic_compare_exchange_n(&t->change, &seen, CHANGE_MAKING, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST))
        return -EBUSY;
    read_marks(t, r);
    rc = to == 1 && status_in_use(t) ? -EBUSY : read_reserved(t, r);
    if (rc)
        return rc;
    for (unsigned i = 0; i < t->nr_frames; i++)
        memset(t->shared[i], 0, PAGE_SIZE);
    write_reserved(t, to, r);
    if (to == 1)
        grant_drop_status(t);
    WRITE_ONCE(t->version, to);
    return 0;
}

/* Under the table's lock. */
static int change_version(struct domain *d, unsigned to)
{
    struct grant_table *t = d->grant;
    int rc;

    /* One that was begun is gone on with, whoever began it. */
    if (t->change == CHANGE_NONE) {
        t->scanned = GNTTAB_NR_RESERVED_ENTRIES;
        __atomic_exchange_n(&t->change, CHANGE_SCANNING, __ATOMIC_SEQ_CST);
    }
    rc = scan(t);
    if (!rc)
        rc = make_change(d, to);
    if (rc != -ERESTART)
        __atomic_store_n(&t->change, CHANGE_NONE, __ATOMIC_RELEASE);
    return rc;
}

long gnttabop_set_version(struct call *c, struct gnttab_set_version *arg)
{
    struct grant_table *t = c->d->grant;
    long rc = 0;

    if (arg->version != 1 && arg->version != 2)
        return -EINVAL;
    spin_lock(&t->lock);
    if (arg->version > t->max_version)
        rc = -ENOSYS;
    else if (arg->version != t->version)
        rc = change_version(c->d, arg->version);
    arg->version = t->version;
    spin_unlock(&t->lock);
    return rc;
}
