// SPDX-License-Identifier: MIT
/*
 * Walks of a guest's own tables, by the direct map.  Nothing holds the tables below the root:
 * other vcpus may be changing them.  So what is found is a hint, and whoever acts on it checks
 * what it names (type_lock(), owner).
 */
#include "arch/x86/mm/mm_private.h"

/* The table of `type` that entry va of *table leads to, or NULL. */
static __always_inline const uint64_t *step(const uint64_t *table, unsigned long va, unsigned level,
                                            uint64_t type)
{
    uint64_t e = READ_ONCE(table[pt_index(va, level)]);
    const struct page_info *pg = guest_frame(mfn_x(pte_mfn(e)));

    /* The type is more than a hint: a frame that is no RAM could not be read. */
    if (unlikely((e & (PTE_PRESENT | PTE_PSE)) != PTE_PRESENT) || unlikely(!pg) ||
        unlikely(pgt_type(READ_ONCE(pg->type)) != type))
        return NULL;
    return page_to_virt(pg);
}

bool walk_to_l1e(const struct vcpu *v, unsigned long va, uint64_t *ptr)
{
    const uint64_t *table;

    if (!v->arch.root_kernel)
        return false;
    table = page_to_virt(v->arch.root_kernel);
    if (unlikely(is_32bit(v->domain))) {
        if (va > UINT32_MAX)
            return false;
        table = step(table, va, 3, pt_index(va, 3) == 3 ? PGT_l2_top : PGT_l2);
    } else {
        if (!guest_l4_slot(pt_index(va, 4)) || (long)(va << 16) >> 16 != (long)va)
            return false;
        table = step(table, va, 4, PGT_l3);
        if (table)
            table = step(table, va, 3, PGT_l2);
    }
    if (table)
        table = step(table, va, 2, PGT_l1);
    if (!table)
        return false;
    *ptr = mfn_to_maddr(virt_to_mfn(table)) + pt_index(va, 1) * sizeof(*table);
    return true;
}

bool mm_guest_walk_l1(struct vcpu *v, unsigned long va, uint64_t *l1e)
{
    uint64_t ptr;

    if (!walk_to_l1e(v, va, &ptr))
        return false;
    *l1e = READ_ONCE(((const uint64_t *)mfn_to_virt(maddr_to_mfn(ptr)))[pt_index(va, 1)]);
    return true;
}
