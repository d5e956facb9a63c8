// SPDX-License-Identifier: MIT
/*
 * The shadow: every reference that tables, pins and roots hold, counted anew from their contents,
 * and compared with what each frame says of itself. Others may hold more (grants, registered
 * areas, descriptor tables), so a frame may have more references than are found here, but never
 * fewer, and never of another type than it has: then a guest could write to a page table.
 */
#include "world.h"
#include <stdlib.h>

struct counts {
    uint32_t refs, types[8], entries;
};
static struct counts *seen;

static bool is_ram(uint64_t mfn)
{
    return mfn >= FAKE_FIRST_MFN && mfn < max_page;
}

/* The type that entry i of a table of this type asks of the frame below. */
static unsigned type_below(const struct domain *d, unsigned type, unsigned i)
{
    if (type == PGT_l2_top >> 60)
        return PGT_l1 >> 60;
    return type == 3 && i == 3 && is_32bit(d) ? PGT_l2_top >> 60 : type - 1;
}

static void count_table(uint64_t mfn, unsigned type, unsigned limit)
{
    const struct domain *d = page_owner(mfn_to_page(_mfn(mfn)));
    const uint64_t *table = mfn_to_virt(_mfn(mfn));

    if (!d)
        complain("frame %#lx is a table of nobody's", (long)mfn);
    limit = min(limit, guest_entries((uint64_t)type << 60, d));
    for (unsigned i = 0; i < limit; i++) {
        uint64_t child = mfn_x(pte_mfn(table[i]));

        if ((type == 4 && !guest_l4_slot(i)) || !(table[i] & PTE_PRESENT))
            continue;
        seen[mfn].entries++;
        if (type == 4 && child == mfn) { /* of itself, for reading: holds nothing */
            if (table[i] & PTE_RW)
                complain("table %#lx maps itself writable", (long)mfn);
            continue;
        }
        if (!is_ram(child) || page_owner(mfn_to_page(_mfn(child))) == domid_io_d)
            continue;
        seen[child].refs++;
        if (type > 1)
            seen[child].types[type_below(d, type, i)]++;
        else if (table[i] & PTE_RW)
            seen[child].types[PGT_writable >> 60]++;
    }
}

static void count_roots(const struct domain *d)
{
    const struct vcpu *v;

    for_each_vcpu (d, v) {
        const struct page_info *roots[] = {v->arch.root_kernel, v->arch.root_user};

        for (unsigned i = 0; i < ARRAY_SIZE(roots); i++)
            if (roots[i]) {
                seen[mfn_x(page_to_mfn(roots[i]))].refs++;
                seen[mfn_x(page_to_mfn(roots[i]))].types[is_32bit(d) ? 3 : 4]++;
            }
    }
}

static void check_frame(uint64_t mfn)
{
    const struct page_info *pg = mfn_to_page(_mfn(mfn));
    const struct counts *c = &seen[mfn];
    unsigned type = pg->type >> 60;
    uint64_t refs = pg->refs & PAGE_COUNT_MASK;

    if (pg->type & PGT_locked)
        complain("frame %#lx is locked still", (long)mfn);
    for (unsigned i = 1; i < 8; i++)
        if (c->types[i] > (i == type ? pgt_count(pg->type) : 0))
            complain("frame %#lx is used as type %u by %u, and is of type %u (%lu)", (long)mfn, i,
                     c->types[i], type, (long)pgt_count(pg->type));
    if (pgt_count(pg->type) && !(pg->type & PGT_validated))
        complain("frame %#lx has a type nobody has checked: %#lx", (long)mfn, (long)pg->type);
    if (refs < c->refs + !!(pg->refs & PAGE_ALLOCATED) + !!(pg->type & PGT_partial))
        complain("frame %#lx has %lu references, and %u are in use", (long)mfn, (long)refs,
                 c->refs);
    if ((pg->type & PGT_validated) && pgt_is_table(pgt_type(pg->type)) &&
        pgt_entries(pg->type) != c->entries)
        complain("table %#lx has %u entries, and says %u", (long)mfn, c->entries,
                 (unsigned)pgt_entries(pg->type));
}

void shadow_check(void)
{
    struct domain *d;

    seen = calloc(max_page, sizeof(*seen));
    for (uint64_t mfn = FAKE_FIRST_MFN; mfn < max_page; mfn++) {
        const struct page_info *pg = mfn_to_page(_mfn(mfn));
        unsigned type = pgt_type(pg->type) >> 60;

        if ((pg->refs & PAGE_FREE) || !page_owner(pg))
            continue;
        if (pg->type & PGT_pinned) {
            seen[mfn].refs++;
            seen[mfn].types[type]++;
        }
        if (pgt_is_table(pgt_type(pg->type)) && (pg->type & PGT_validated))
            count_table(mfn, type, PTES_PER_TABLE);
        else if (pg->type & PGT_partial)
            count_table(mfn, type, pgt_entries(pg->type));
    }
    for_each_domain (d)
        count_roots(d);
    for (uint64_t mfn = FAKE_FIRST_MFN; mfn < max_page; mfn++) {
        const struct page_info *pg = mfn_to_page(_mfn(mfn));

        if (!(pg->refs & PAGE_FREE) && page_owner(pg))
            check_frame(mfn);
        else if (seen[mfn].refs)
            complain("frame %#lx is in use, and free", (long)mfn);
    }
    free(seen);
}
