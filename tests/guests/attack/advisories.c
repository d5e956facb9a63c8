// SPDX-License-Identifier: MIT
/*
 * Attacks of the kinds that published advisories were about and no other file here makes; which
 * kinds there are, and what stops each, is told in docs/advisories.md.
 */
#include "guest.h"

/* --- a translation that outlives what it was good for --- */

#define WINDOW (SPARE_VA + (7UL << 21))

static long exchange_undone(u64 mfn)
{
    static xen_pfn_t in[2], out[1];
    struct xen_memory_exchange e = {
        .in = {.nr_extents = 2, .domid = DOMID_SELF},
        .out = {.nr_extents = 1, .extent_order = 1, .domid = DOMID_SELF},
    };

    in[0] = mfn;
    in[1] = ~0UL >> 12; /* no such frame: what was taken is given back */
    out[0] = boot_info.nr_pages;
    set_xen_guest_handle(e.in.extent_start, in);
    set_xen_guest_handle(e.out.extent_start, out);
    return HC2(memory_op, XENMEM_exchange, &e);
}

/* Away and back: the same frame, if the hypervisor gives it. */
static u64 given_back(u64 mfn, u64 pfn)
{
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};
    xen_pfn_t frame = mfn;

    set_xen_guest_handle(r.extent_start, &frame);
    REQUIRE_EQ(HC2(memory_op, XENMEM_decrease_reservation, &r), 1);
    frame = pfn;
    REQUIRE_EQ(HC2(memory_op, XENMEM_populate_physmap, &r), 1);
    p2m()[pfn] = frame;
    return frame;
}

enum detour { STRAIGHT, EXCHANGE_UNDONE, AWAY_AND_BACK };

/*
 * Writes by a mapping, takes the mapping away without a flush, makes the page a table, writes
 * again: by then no CPU may still know the way.
 */
static void write_by_old_translation(enum detour how)
{
    u64 *page = page_alloc(), mfn = mfn_of(page), pfn = pfn_of(page), *w = (u64 *)WINDOW, frame;
    u64 *pte, *own = entry_of((u64)page, 1);

    map_at(WINDOW, mfn << 12 | PTE_RW_);
    pte = entry_of(WINDOW, 1);
    REQUIRE_EQ(mmu_update_one(maddr_of(own), 0), 0);
    w[0] = 0;
    REQUIRE_EQ(mmu_update_one(maddr_of(pte), 0), 0);
    if (how == EXCHANGE_UNDONE)
        CHECK_REFUSED(exchange_undone(mfn));
    frame = how == AWAY_AND_BACK ? given_back(mfn, pfn) : mfn;
    CHECK_EQ(mmuext(MMUEXT_PIN_L1_TABLE, frame), 0);
    if (frame == mfn) /* else what is written is nobody's, and will be zeroed before it is */
        CHECK_EQ(CAUGHT(WRITE_ONCE(w[0], root_mfn() << 12 | PTE_RW_)), VEC_PF);
    CHECK_EQ(mmuext(MMUEXT_UNPIN_TABLE, frame), 0);
    REQUIRE_EQ(mmu_update_one(maddr_of(own), frame << 12 | PTE_RW_), 0);
    mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0);
    CHECK_EQ(page[0], 0);
    page[0] = 0;
    page_free(page);
}

/* XSA-241, XSA-292 and their kind. */
TEST(attack_old_translation)
{
    for (unsigned i = 0; i < 20 && !failed_often(); i++)
        write_by_old_translation(STRAIGHT);
}

TEST(attack_old_translation_exchange)
{
    for (unsigned i = 0; i < 20 && !failed_often(); i++)
        write_by_old_translation(EXCHANGE_UNDONE);
}

TEST(attack_old_translation_ballooned)
{
    for (unsigned i = 0; i < 20 && !failed_often(); i++)
        write_by_old_translation(AWAY_AND_BACK);
}
