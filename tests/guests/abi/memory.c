// SPDX-License-Identifier: MIT
/* memory_op: giving frames back, getting others, exchanging. */
#include "guest.h"

static long memop(unsigned cmd, void *arg)
{
    return HC2(memory_op, cmd, arg);
}

TEST(memory_numbers)
{
    struct xen_memory_domain d = {.domid = DOMID_SELF};
    struct xen_machphys_mapping m;

    CHECK_EQ(memop(XENMEM_current_reservation, &d), boot_info.nr_pages);
    CHECK(memop(XENMEM_maximum_reservation, &d) >= (long)boot_info.nr_pages);
    CHECK(memop(XENMEM_maximum_ram_page, 0) > 0);
    CHECK_EQ(memop(XENMEM_machphys_mapping, &m), 0);
    CHECK_EQ(m.v_start, 0xffff800000000000);
    CHECK(m.max_mfn > 0);
    d.domid = 31000;
    CHECK_EQ(memop(XENMEM_current_reservation, &d), -ESRCH);
    CHECK_EQ(memop(63, &d), -ENOSYS);
}

static void set_page(void *va, u64 mfn)
{
    p2m()[pfn_of(va)] = mfn;
    CHECK_EQ(update_va((u64)va, mfn << 12 | PTE_RW_), 0);
}

TEST(memory_decrease_and_populate)
{
    void *page[4];
    xen_pfn_t mfns[4], pfns[4];
    struct xen_memory_reservation r = {.nr_extents = 4, .domid = DOMID_SELF};
    struct xen_memory_domain d = {.domid = DOMID_SELF};
    long before = memop(XENMEM_current_reservation, &d);

    for (unsigned i = 0; i < 4; i++) {
        page[i] = page_alloc();
        pfns[i] = pfn_of(page[i]);
        mfns[i] = mfn_of(page[i]);
        CHECK_EQ(update_va((u64)page[i], 0), 0);
    }
    set_xen_guest_handle(r.extent_start, mfns);
    CHECK_EQ(memop(XENMEM_decrease_reservation, &r), 4);
    CHECK_EQ(memop(XENMEM_current_reservation, &d), before - 4);
    /* They are not ours any more. */
    CHECK_REFUSED(update_va((u64)page[0], mfns[0] << 12 | PTE_RW_));
    CHECK_EQ(memop(XENMEM_decrease_reservation, &r), 0);
    set_xen_guest_handle(r.extent_start, pfns);
    CHECK_EQ(memop(XENMEM_populate_physmap, &r), 4);
    CHECK_EQ(memop(XENMEM_current_reservation, &d), before);
    for (unsigned i = 0; i < 4; i++) {
        u64 pfn = pfn_of(page[i]);

        CHECK_EQ(machine_to_phys_mapping[pfns[i]], pfn);
        set_page(page[i], pfns[i]);
        WRITE_ONCE(*(u64 *)page[i], i);
        page_free(page[i]);
    }
}

/* A frame that is still mapped goes when the mapping does. */
TEST(memory_decrease_mapped)
{
    u64 *page = page_alloc();
    xen_pfn_t mfn = mfn_of(page), pfn = pfn_of(page);
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};

    page[0] = 0x77;
    set_xen_guest_handle(r.extent_start, &mfn);
    CHECK_EQ(memop(XENMEM_decrease_reservation, &r), 1);
    CHECK_EQ(READ_ONCE(page[0]), 0x77);
    CHECK_EQ(update_va((u64)page, 0), 0);
    CHECK_REFUSED(update_va((u64)page, mfn << 12 | PTE_RW_));
    set_xen_guest_handle(r.extent_start, &pfn);
    REQUIRE_EQ(memop(XENMEM_populate_physmap, &r), 1);
    set_page(page, pfn);
    page_free(page);
}

TEST(memory_exchange)
{
    void *page[2] = {page_alloc(), page_alloc()};
    xen_pfn_t in[2], out[2];
    struct xen_memory_exchange e = {
        .in = {.nr_extents = 2, .domid = DOMID_SELF},
        .out = {.nr_extents = 2, .domid = DOMID_SELF},
    };

    for (unsigned i = 0; i < 2; i++) {
        in[i] = mfn_of(page[i]);
        out[i] = pfn_of(page[i]);
        CHECK_EQ(update_va((u64)page[i], 0), 0);
    }
    set_xen_guest_handle(e.in.extent_start, in);
    set_xen_guest_handle(e.out.extent_start, out);
    REQUIRE_EQ(memop(XENMEM_exchange, &e), 0);
    CHECK_EQ(e.nr_exchanged, 2);
    for (unsigned i = 0; i < 2; i++) {
        CHECK_EQ(machine_to_phys_mapping[out[i]], pfn_of(page[i]));
        set_page(page[i], out[i]);
        page_free(page[i]);
    }
}

TEST(memory_exchange_refused)
{
    xen_pfn_t in[2] = {mfn_of(stacks), ~0UL >> 12}, out[2] = {1, 2};
    struct xen_memory_exchange e = {
        .in = {.nr_extents = 2, .domid = DOMID_SELF},
        .out = {.nr_extents = 1, .domid = DOMID_SELF},
    };

    set_xen_guest_handle(e.in.extent_start, in);
    set_xen_guest_handle(e.out.extent_start, out);
    CHECK_REFUSED(memop(XENMEM_exchange, &e)); /* sizes differ */
    e.out.nr_extents = 2;
    CHECK_REFUSED(memop(XENMEM_exchange, &e)); /* not all ours */
    CHECK_EQ(e.nr_exchanged, 0);
    CHECK_EQ(machine_to_phys_mapping[mfn_of(stacks)], pfn_of(stacks));
    e.in.extent_order = 40;
    e.out.extent_order = 40;
    CHECK_REFUSED(memop(XENMEM_exchange, &e));
}

TEST(memory_map)
{
    struct xen_memory_map m = {.nr_entries = 128};
    static u8 entries[128 * 20];
    long r;

    set_xen_guest_handle(m.buffer, entries);
    r = memop(XENMEM_memory_map, &m);
    CHECK(r == 0 || r == -ENOSYS);
    if (!is_dom0())
        CHECK_EQ(memop(XENMEM_machine_memory_map, &m), -EPERM);
    else {
        m.nr_entries = 128;
        CHECK_EQ(memop(XENMEM_machine_memory_map, &m), 0);
        CHECK(m.nr_entries > 0);
        m.nr_entries = 1;
        r = memop(XENMEM_machine_memory_map, &m);
        CHECK(r == -EINVAL || (r == 0 && m.nr_entries == 1));
    }
}
