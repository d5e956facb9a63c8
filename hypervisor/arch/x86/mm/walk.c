// SPDX-License-Identifier: MIT
/*
 * Walks of a guest's own tables, by the direct map.  Nothing holds the tables below the root:
 * other vcpus may be changing them.  So what is found is a hint, and whoever acts on it checks
 * what it names (l1_lock(), owner).
 */
#include "arch/x86/mm/mm_private.h"

bool walk_to_l1e(const struct vcpu *v, unsigned long va, uint64_t *ptr)
{
    const struct page_info *pg = v->arch.root_kernel;
    uint64_t type = PGT_l4;

    if (!pg || !guest_l4_slot(pt_index(va, 4)) || (long)(va << 16) >> 16 != (long)va)
        return false;
    for (unsigned level = 4; level > 1; level--) {
        const uint64_t *table = page_to_virt(pg);
        uint64_t e = READ_ONCE(table[pt_index(va, level)]);

        if (!(e & PTE_PRESENT) || (e & PTE_PSE))
            return false;
        pg = guest_frame(mfn_x(pte_mfn(e)));
        type -= PGT_l1;
        /* Not only a hint: a frame that is no RAM could not be read. */
        if (!pg || pgt_type(READ_ONCE(pg->type)) != type)
            return false;
    }
    *ptr = mfn_to_maddr(page_to_mfn(pg)) + pt_index(va, 1) * sizeof(uint64_t);
    return true;
}

bool mm_guest_walk_l1(struct vcpu *v, unsigned long va, uint64_t *l1e, mfn_t *l1mfn)
{
    uint64_t ptr;

    if (!walk_to_l1e(v, va, &ptr))
        return false;
    *l1mfn = maddr_to_mfn(ptr);
    *l1e = READ_ONCE(((const uint64_t *)mfn_to_virt(*l1mfn))[pt_index(va, 1)]);
    return true;
}
