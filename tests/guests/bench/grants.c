// SPDX-License-Identifier: MIT
/* This domain's grants, for kernels that measure. */
#include "bench.h"

grant_entry_v1_t *grant_table;

void grant_table_map(void)
{
    struct gnttab_setup_table s = {.dom = DOMID_SELF, .nr_frames = 1};
    xen_pfn_t frame = 0;
    void *page;

    if (grant_table)
        return;
    set_xen_guest_handle(s.frame_list, &frame);
    REQUIRE_EQ(HC3(grant_table_op, GNTTABOP_setup_table, &s, 1), 0);
    REQUIRE_EQ(s.status, GNTST_okay);
    page = page_alloc();
    REQUIRE_EQ(update_va((u64)page, frame << 12 | PTE_RW_), 0);
    grant_table = page;
}

void grant_page(unsigned ref, domid_t to, const void *page)
{
    grant_table[ref].domid = to;
    grant_table[ref].frame = mfn_of(page);
    barrier();
    WRITE_ONCE(grant_table[ref].flags, GTF_permit_access);
}

u8 *hole_page(void)
{
    u8 *page = page_alloc();

    REQUIRE_EQ(update_va((u64)page, 0), 0);
    return page;
}
