// SPDX-License-Identifier: MIT
/*
 * Page types: the rule that keeps PV guests apart.
 *
 * A guest owns its page tables and reads them, but may never write one.  So each frame has at
 * any time one type (writable, L1..L4 table, descriptor table) with a count of the references to
 * it as such: a writable mapping holds a reference of the writable type, a page-table entry one
 * of the next level's type, a CR3 one of L4.  The type can change only while the count is zero.
 * Same-level entries (linear tables) hold no references: but for an L4 entry that names its own
 * table (is_self_map()) there are none.  So references make no cycles.
 *
 * States of the word (struct page_info.type), changed by compare-and-exchange only:
 *
 *   idle        count 0, neither locked nor partial.  The type is what it last was.
 *   in use      validated, count > 0.  While set for tables, entries counts the present ones.
 *   in work     locked and not validated: one CPU checks the contents for a new type, or drops
 *               what the entries hold after the last reference.  Only that CPU changes the word.
 *   partial     that work was interrupted: entries [0, progress) hold their references, the
 *               others none.  Whoever comes next goes on, in either direction.  The state holds a
 *               reference of the page, so that it cannot be freed in between.
 *   locked      and validated: an entry of an L1 table, or of a writable page that is to become
 *               a table, is being changed (type_lock()).  References come and go, but not the
 *               last one.
 *
 * Pinning is a reference of type and page that a bit stands for.
 *
 * A page that was writable may still be written through stale TLB entries, and one that was a
 * table may still be walked.  So the word is locked first, then CPUs that may have such entries
 * are flushed (page_info.tlb_stamp says when the last reference went, tlb_filter() who has
 * flushed since), and only then the contents are looked at.
 *
 * Who waits for whom: a CPU with a writable page locked waits for nobody.  One with an L1 table
 * locked asks for the writable type alone, and waits for nobody but such a flush, another CPU's
 * included, and the check of a page of descriptors; both end by themselves.  One that works on a
 * table waits for tables of lower levels.  Where a table is in work and the type asked for is
 * another nobody waits: the guest gets an error.
 */
#include "arch/x86/mm/mm_private.h"
#include "hypercall/hypercall.h"
#include "kernel/panic.h"

static bool cas(struct page_info *pg, uint64_t *old, uint64_t new)
{
    return __atomic_compare_exchange_n(&pg->type, old, new, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_RELAXED);
}

/* Ends being in work; other CPUs see all that was done before. */
static void set_word(struct page_info *pg, uint64_t t)
{
    __atomic_store_n(&pg->type, t, __ATOMIC_RELEASE);
}

static void flush_stale(const struct page_info *pg, uint64_t old)
{
    const struct domain *d = page_owner(pg);
    cpumask_t mask = (old & PGT_foreign) || !d ? cpu_online_map : d->dirty_cpus;

    tlb_filter(&mask, pg->tlb_stamp);
    if (!cpumask_empty(&mask))
        flush_tlb_mask(&mask);
}

/* In work -> partial.  `had`: it was partial before, and holds the reference already. */
static void leave_partial(struct page_info *pg, uint64_t word, unsigned progress, bool had)
{
    /* 2^48 references are not to be had: the caller holds one of at most 2^44 that fit in RAM. */
    if (!had && !get_page_more(pg))
        panic("page reference count");
    set_word(pg, word | PGT_partial | (uint64_t)progress << PGT_entries_shift);
}

/* In work, what *s says holds references -> idle, or partial and -ERESTART. */
static int undo_table(struct page_info *pg, uint64_t word, struct table_scan *s, bool was_partial,
                      bool preempt)
{
    int rc = devalidate_table(pg, pgt_type(word), s, preempt);

    if (rc) {
        leave_partial(pg, word, s->next, was_partial);
        return rc;
    }
    pg->tlb_stamp = tlb_clock();
    set_word(pg, word);
    if (was_partial)
        put_page(pg);
    return 0;
}

/* In work -> in use, or what it was. */
static int do_table(struct page_info *pg, uint64_t word, uint64_t old, bool preempt)
{
    uint64_t type = pgt_type(word);
    bool was_partial = old & PGT_partial;
    struct table_scan s = {.next = was_partial ? pgt_entries(old) : 0};
    int rc;

    if (was_partial)
        scan_present(pg, type, &s);
    rc = validate_table(pg, type, &s, preempt);
    if (!rc) {
        set_word(pg, word | PGT_validated | (uint64_t)s.present << PGT_entries_shift |
                         (uint64_t)s.eighths << PGT_eighths_shift | 1);
        if (was_partial)
            put_page(pg);
    } else if (rc == -ERESTART)
        leave_partial(pg, word, s.next, was_partial);
    else if (undo_table(pg, word, &s, was_partial, preempt))
        current->arch.reap_table = pg; /* includes what a table below may have left there */
    return rc;
}

int get_type(struct page_info *pg, uint64_t type, bool preempt)
{
    uint64_t t = READ_ONCE(pg->type), word;
    int rc;

    for (;;) {
        if (likely(pgt_type(t) == type)) {
            if (likely(t & PGT_validated)) {
                if (unlikely(pgt_count(t) == PGT_count_mask))
                    return -EBUSY;
                if (likely(cas(pg, &t, t + 1)))
                    return 0;
                continue;
            }
            if (t & PGT_locked) {
                if (preempt && hypercall_preempt_check())
                    return -ERESTART;
                goto wait;
            }
        } else {
            if (pgt_count(t))
                return -EINVAL;
            if (t & PGT_locked) {
                if (pgt_is_table(pgt_type(t)))
                    return -EBUSY;
                goto wait; /* writable, or descriptors: being dropped or checked, at this moment */
            }
            if (t & PGT_partial) {
                if (type == PGT_writable)
                    return -EBUSY; /* the caller may hold an L1 table, which this may wait for */
                rc = finish_partial(pg, preempt);
                if (rc)
                    return rc;
                t = READ_ONCE(pg->type);
                continue;
            }
        }
        word = type;
        if (pgt_type(t) == type)
            word |= t & PGT_foreign;
        if (type == PGT_writable && (pgt_type(t) == type || pgt_type(t) == PGT_none)) {
            if (cas(pg, &t, word | PGT_validated | 1))
                return 0; /* nothing to flush, nothing to look at */
            continue;
        }
        if (cas(pg, &t, word | PGT_locked))
            break;
        continue;
    wait:
        cpu_relax();
        t = READ_ONCE(pg->type);
    }

    if (pgt_type(t) != type && pgt_type(t) != PGT_none)
        flush_stale(pg, t);
    if (pgt_is_table(type))
        return do_table(pg, word, t, preempt);
    rc = type == PGT_seg_desc ? validate_descriptors(pg) : 0;
    set_word(pg, rc ? word : word | PGT_validated | 1);
    return rc;
}

int put_type(struct page_info *pg, bool preempt)
{
    uint64_t t = READ_ONCE(pg->type), word;

    for (;;) {
        ASSERT(pgt_count(t));
        if (pgt_count(t) > 1) {
            if (likely(cas(pg, &t, t - 1)))
                return 0;
        } else if (unlikely(t & PGT_locked)) {
            cpu_relax();
            t = READ_ONCE(pg->type);
        } else {
            word = t & (PGT_type_mask | PGT_foreign);
            if (likely(cas(pg, &t, word | PGT_locked)))
                break;
        }
    }
    if (pgt_is_table(pgt_type(word))) {
        struct table_scan s = {PTES_PER_TABLE, pgt_entries(t), t >> PGT_eighths_shift & 0xff};

        return undo_table(pg, word, &s, false, preempt);
    }
    /* Stamped only now: another CPU may have dropped its reference after we would have. */
    pg->tlb_stamp = tlb_clock();
    set_word(pg, word);
    return 0;
}

bool get_type_existing(struct page_info *pg, uint64_t type)
{
    uint64_t t = READ_ONCE(pg->type);

    do {
        if ((t & (PGT_type_mask | PGT_validated)) != (type | PGT_validated) ||
            pgt_count(t) == PGT_count_mask)
            return false;
    } while (!cas(pg, &t, t + 1));
    return true;
}

int finish_partial(struct page_info *pg, bool preempt)
{
    uint64_t t = READ_ONCE(pg->type);

    while (t & PGT_partial) {
        uint64_t word = t & (PGT_type_mask | PGT_foreign);
        struct table_scan s = {.next = pgt_entries(t)};

        if (cas(pg, &t, word | PGT_locked)) {
            scan_present(pg, pgt_type(word), &s);
            return undo_table(pg, word, &s, true, preempt);
        }
    }
    return 0;
}

int get_page_type(struct page_info *pg, uint64_t type)
{
    return get_type(pg, type, false);
}

void put_page_type(struct page_info *pg)
{
    put_type(pg, false);
}

int get_page_and_type_preempt(struct page_info *pg, struct domain *d, uint64_t type)
{
    int rc;

    if (!get_page(pg, d))
        return -EINVAL;
    rc = get_type(pg, type, true);
    if (rc)
        put_page(pg);
    return rc;
}

bool get_page_and_type(struct page_info *pg, struct domain *d, uint64_t type)
{
    if (!get_page(pg, d))
        return false;
    if (!get_type(pg, type, false))
        return true;
    put_page(pg);
    return false;
}

void put_page_and_type(struct page_info *pg)
{
    put_type(pg, false);
    put_page(pg);
}

/*
 * What a put leaves undone.  A vcpu remembers one table, and goes on with it before its next
 * page-table hypercall does anything else.  Our safety does not depend on it: a partial table is
 * finished by its next use as a table or descriptors, or by relinquish, also if it is a second one
 * in the same operation (which takes two vcpus that work against each other) and forgotten here.
 * Until then such a one cannot be written (-EBUSY).
 */
void put_table(struct vcpu *v, struct page_info *pg)
{
    if (put_type(pg, true))
        v->arch.reap_table = pg;
    put_page(pg);
}

int mm_reap_table(struct vcpu *v)
{
    struct page_info *pg = v->arch.reap_table;
    struct domain *d;
    int rc = 0;

    /* A hint: by now the page may be whole, or somebody else's. */
    d = page_owner(pg);
    if (d && get_page(pg, d)) {
        rc = finish_partial(pg, true);
        put_page(pg);
    }
    if (!rc)
        v->arch.reap_table = NULL;
    return rc;
}

int mm_pin(struct domain *d, mfn_t mfn, uint64_t type)
{
    struct page_info *pg = guest_frame(mfn_x(mfn));
    uint64_t t;
    int rc;

    if (!pg)
        return -EINVAL;
    rc = get_page_and_type_preempt(pg, d, type);
    if (rc)
        return rc;
    t = READ_ONCE(pg->type);
    do {
        if (t & PGT_pinned) {
            put_table(current, pg);
            return -EINVAL;
        }
    } while (!cas(pg, &t, t | PGT_pinned));

    /* Whoever destroys d has passed by this page already, or will see the bit. */
    smp_mb();
    if (likely(!READ_ONCE(d->dying)))
        return 0;
    mm_unpin(current, d, mfn);
    return -EINVAL;
}

static bool clear_pinned(struct page_info *pg)
{
    return __atomic_fetch_and(&pg->type, ~PGT_pinned, __ATOMIC_SEQ_CST) & PGT_pinned;
}

int mm_unpin(struct vcpu *v, struct domain *d, mfn_t mfn)
{
    struct page_info *pg = guest_frame(mfn_x(mfn));
    int rc = -EINVAL;

    if (!pg || !get_page(pg, d))
        return -EINVAL;
    if ((READ_ONCE(pg->type) & PGT_pinned) && clear_pinned(pg)) {
        put_table(v, pg);
        rc = 0;
    }
    put_page(pg);
    return rc;
}

/* --- what mem/ asks: arch/api/arch_mm.h --- */

void arch_page_assigned(struct page_info *pg, struct domain *d)
{
    (void)d;
    pg->type = PGT_none;
}

void arch_page_freed(struct page_info *pg)
{
    ASSERT(!(pg->type & (PGT_count_mask | PGT_partial | PGT_locked | PGT_pinned)));
    pg->type = PGT_none;
    pg->tlb_stamp = tlb_clock();
    m2p_set(page_to_mfn(pg), M2P_INVALID);
}

/* The count that a shared page starts with is the hypervisor's own: no other type can be had. */
void arch_page_shared(struct page_info *pg, bool writable)
{
    pg->type = (writable ? PGT_writable : PGT_none) | PGT_validated | 1;
}

void arch_page_unshared(struct page_info *pg)
{
    put_type(pg, false);
}

int arch_page_relinquish(struct domain *d, struct page_info *pg)
{
    (void)d;
    if ((READ_ONCE(pg->type) & PGT_pinned) && clear_pinned(pg)) {
        int rc = put_type(pg, true);

        put_page(pg);
        if (rc)
            return rc;
    }
    return finish_partial(pg, true);
}
