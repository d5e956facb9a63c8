// SPDX-License-Identifier: MIT
/*
 * Grant mappings in a PV guest's page tables.
 *
 * An entry made for a grant is like any other that maps a foreign frame, and holds references of
 * its own: if the guest overwrites it, or drops the whole table, they go as always, and the
 * grant's own references still keep the frame until the grant is unmapped.
 */
#include "arch/x86/mm/mm_private.h"
#include <xen/grant_table.h>

#define NOT_EXPECTED (~0ULL) /* has bits that no entry has */

/* The L1 entry that host_addr means, in a table that is locked now, or NULL. */
static uint64_t *lock_entry(uint64_t host_addr, bool is_pte, struct page_info **pt, uint64_t *word)
{
    struct vcpu *v = current;
    uint64_t ptr = host_addr;

    if (is_pte ? (ptr & 7) != 0 : !walk_to_l1e(v, host_addr, &ptr))
        return NULL;
    *pt = guest_frame(ptr >> PAGE_SHIFT);
    if (!*pt || page_owner(*pt) != v->domain)
        return NULL;
    *word = type_lock(*pt, PGT_l1);
    if (!*word)
        return NULL;
    if (page_owner(*pt) != v->domain) {
        type_unlock(*pt, 0);
        return NULL;
    }
    return (uint64_t *)((char *)page_to_virt(*pt) + (ptr & (PAGE_SIZE - 1)));
}

/* With the table locked: stores, unlocks, drops what was there. */
static void replace_entry(struct page_info *pt, uint64_t word, uint64_t *e, uint64_t new)
{
    uint64_t old = __atomic_exchange_n(e, new, __ATOMIC_ACQ_REL), change = 0;

    if (!(old & PTE_PRESENT) && (new &PTE_PRESENT))
        change = entry_added(word, e);
    else if ((old & PTE_PRESENT) && !(new &PTE_PRESENT))
        change = entry_removed();
    type_unlock(pt, change);
    l1e_put(old, current->domain);
}

static uint64_t grant_entry(mfn_t mfn, unsigned flags)
{
    uint64_t avail = (flags >> _GNTMAP_guest_avail0) & 7;
    uint64_t user = flags & GNTMAP_application_map ? PTE_USER : current->domain->arch.forced_pte;

    return make_pte(mfn, PTE_PRESENT | user | PTE_ACCESSED | PTE_NX | avail << 9 |
                             (flags & GNTMAP_readonly ? 0 : PTE_RW | PTE_DIRTY));
}

int mm_grant_map(uint64_t host_addr, mfn_t mfn, unsigned gnt_flags)
{
    struct page_info *pg = mfn_to_page(mfn), *pt;
    bool writable = !(gnt_flags & GNTMAP_readonly);
    uint64_t *e, word;

    if (!get_page_more(pg))
        return GNTST_general_error;
    if (writable && get_page_type(pg, PGT_writable)) {
        put_page(pg);
        return GNTST_general_error;
    }
    e = lock_entry(host_addr, gnt_flags & GNTMAP_contains_pte, &pt, &word);
    if (!e) {
        if (writable)
            put_page_type(pg);
        put_page(pg);
        return gnt_flags & GNTMAP_contains_pte ? GNTST_general_error : GNTST_bad_virt_addr;
    }
    replace_entry(pt, word, e, grant_entry(mfn, gnt_flags));
    return GNTST_okay;
}

/* Takes the entry for new_addr out of its table, with its references. */
static int take_entry(uint64_t va, uint64_t *taken)
{
    struct page_info *pt;
    uint64_t word, *e = lock_entry(va, false, &pt, &word);

    if (!e)
        return GNTST_bad_virt_addr;
    *taken = __atomic_exchange_n(e, 0, __ATOMIC_ACQ_REL);
    type_unlock(pt, *taken & PTE_PRESENT ? entry_removed() : 0);
    return GNTST_okay;
}

int mm_grant_unmap(uint64_t host_addr, mfn_t mfn, uint64_t new_addr, unsigned gnt_flags)
{
    bool is_pte = gnt_flags & GNTMAP_contains_pte;
    struct page_info *pt;
    uint64_t *e, new = 0, old, word;

    if (new_addr) {
        int rc = is_pte ? GNTST_general_error : take_entry(new_addr, &new);

        if (rc != GNTST_okay)
            return rc;
    }
    e = lock_entry(host_addr, is_pte, &pt, &word);
    old = e ? READ_ONCE(*e) : NOT_EXPECTED;
    /* Read-only and writable mappings hold different references: it must be the one we made. */
    if (e && (old & PTE_PRESENT) && mfn_eq(pte_mfn(old), mfn) &&
        !(old & PTE_RW) == !!(gnt_flags & GNTMAP_readonly)) {
        replace_entry(pt, word, e, new);
        return GNTST_okay;
    }
    if (e)
        type_unlock(pt, 0);
    l1e_put(new, current->domain);
    return GNTST_general_error;
}
