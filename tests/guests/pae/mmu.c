// SPDX-License-Identifier: MIT
/* Three-level page tables: what a 32-bit guest may do to its own, and what is refused. */
#include "guest.h"

#define L3_LAST_GB 3
#define TOP_FIRST  428 /* of the L2 table of the last GB: the machine-to-physical table */

static u64 *l3_page(void)
{
    return (u64 *)boot_info.pt_base;
}

TEST(pae_map)
{
    u32 *page = page_alloc();

    *page = 0x12345678;
    map_at(SPARE_VA, mfn_of(page) << 12 | PTE_KRW);
    CHECK_EQ(*(u32 *)SPARE_VA, 0x12345678);
    *(u32 *)SPARE_VA = 1;
    CHECK_EQ(*page, 1);
    REQUIRE_EQ(update_va(SPARE_VA, mfn_of(page) << 12 | PTE_P), 0);
    CHECK_EQ(CAUGHT(AT("movl $2, (%0)", "r"(SPARE_VA))), VEC_PF);
    CHECK_EQ(this_cpu()->trap.error & 7, 3);
    REQUIRE_EQ(update_va(SPARE_VA, 0), 0);
    CHECK_EQ(CAUGHT(AT("cmpl $2, (%0)", "r"(SPARE_VA))), VEC_PF);
    CHECK_EQ(this_cpu()->trap.error & 7, 0);
    page_free(page);
}

/* The user bit is what the guest makes it. */
TEST(pae_user_bit)
{
    struct frame f;

    user_init();
    REQUIRE_EQ(update_va(USER_DATA, mfn_of(user_data_page) << 12 | PTE_KRW), 0);
    *(u32 *)USER_DATA = 7;
    USER_ASM(&f, "movl 0x410000, %eax; int $0x80");
    CHECK_EQ(user_run(&f), VEC_PF);
    CHECK_EQ(this_cpu()->trap.error, 5);
    REQUIRE_EQ(update_va(USER_DATA, mfn_of(user_data_page) << 12 | PTE_RW_), 0);
    USER_ASM(&f, "movl 0x410000, %eax; int $0x80");
    CHECK_EQ(user_run(&f), 0x80);
    CHECK_EQ(this_cpu()->trap.eax, 7);
}

/* Writable page tables: whole entries, and halves in either order. */
TEST(pae_ptwr)
{
    u32 *page = page_alloc();
    u64 new = mfn_of(page) << 12 | PTE_KRW;
    volatile u32 *e;

    REQUIRE_EQ(HC2(vm_assist, VMASST_CMD_enable, VMASST_TYPE_writable_pagetables), 0);
    map_at(SPARE_VA, 0);
    e = (volatile u32 *)entry_of(SPARE_VA, 1);
    e[1] = new >> 32;
    e[0] = new;
    *(volatile u32 *)SPARE_VA = 99;
    CHECK_EQ(*page, 99);
    e[0] = 0;
    CHECK_EQ(*(volatile u64 *)e & PTE_P, 0);
    __asm__ volatile("lock cmpxchg8b %0"
                     : "+m"(*(volatile u64 *)e)
                     : "a"(0), "d"((u32)(*(volatile u64 *)e >> 32)), "b"((u32) new),
                       "c"((u32)(new >> 32))
                     : "memory", "cc");
    REQUIRE_EQ(mmuext(MMUEXT_INVLPG_LOCAL, SPARE_VA), 0);
    CHECK_EQ(*(volatile u32 *)SPARE_VA, 99);
    /* The upper half first, while present. */
    e[1] = 0x80000000 | (u32)(new >> 32);
    e[0] = new;
    CHECK_EQ(*(volatile u64 *)e & ~(PTE_A | PTE_D), (new | PTE_NX) & ~(PTE_A | PTE_D));
    e[1] = 0;
    e[0] = 0;
    CHECK_EQ(*(volatile u64 *)e, 0);
    page_free(page);
}

TEST(pae_ptwr_refused)
{
    volatile u64 *e;

    REQUIRE_EQ(HC2(vm_assist, VMASST_CMD_enable, VMASST_TYPE_writable_pagetables), 0);
    map_at(SPARE_VA, 0);
    e = entry_of(SPARE_VA, 1);
    /* A writable mapping of a table, of the hypervisor's memory, of nothing. */
    CHECK_EQ(CAUGHT(AT("movl %0, (%1)", "r"((u32)(mfn_of((void *)e) << 12 | PTE_KRW)), "r"(e))),
             VEC_PF);
    CHECK_EQ(CAUGHT(AT("movl %0, (%1)", "r"(0x200000 | (u32)PTE_KRW), "r"(e))), VEC_PF);
    CHECK_EQ(*e, 0);
    /* Tables above the first level are written by hypercall only. */
    CHECK_EQ(CAUGHT(AT("movl $0, (%0)", "r"(l3_page()))), VEC_PF);
    CHECK_EQ(CAUGHT(AT("movl $0, (%0)", "r"(entry_of(SPARE_VA, 2)))), VEC_PF);
    /* ... unless nothing changes. */
    AT("movl %0, (%1)", "r"((u32)*entry_of(SPARE_VA, 2)), "r"(entry_of(SPARE_VA, 2)));
}

TEST(pae_l3_limits)
{
    void *l2 = table_alloc();
    u64 entry = mfn_of(l2) << 12 | PTE_L3;

    /* Four entries, and no more. */
    CHECK_REFUSED(mmu_update_one(maddr_of(l3_page() + 4), entry));
    CHECK_REFUSED(mmu_update_one(maddr_of(l3_page() + 511), entry));
    for (unsigned i = 4; i < 512; i++)
        if (!CHECK_EQ(l3_page()[i], 0))
            break;
    /* The last GB's table is of a type of its own. */
    CHECK_REFUSED(mmu_update_one(maddr_of(l3_page() + 2), l3_page()[L3_LAST_GB]));
    /* No table of its own level, no page that is written. */
    CHECK_REFUSED(mmu_update_one(maddr_of(l3_page() + 2), root_mfn() << 12 | PTE_L3));
    CHECK_EQ(mmu_update_one(maddr_of(l3_page() + 2), entry), 0);
    CHECK_EQ(mmu_update_one(maddr_of(l3_page() + 2), 0), 0);
    table_free(l2);
    l2 = page_alloc();
    CHECK_REFUSED(mmu_update_one(maddr_of(l3_page() + 2), mfn_of(l2) << 12 | PTE_L3));
    page_free(l2);
}

/* What the hypervisor has in the last GB is not to be changed. */
TEST(pae_top_entries)
{
    u64 *top = entry_of(MACH2PHYS_VIRT_START, 2);
    void *l1 = table_alloc();

    REQUIRE(top);
    CHECK_EQ(((ulong)top & 4095) / 8, TOP_FIRST);
    CHECK(*top & PTE_P);
    CHECK(!(*top & PTE_W));
    for (unsigned i = 0; i < 512 - TOP_FIRST; i++) {
        if (!CHECK_REFUSED(mmu_update_one(maddr_of(top + i), mfn_of(l1) << 12 | PTE_TAB)))
            break;
        if (!CHECK_REFUSED(mmu_update_one(maddr_of(top + i), 0)))
            break;
    }
    CHECK_REFUSED(update_va(MACH2PHYS_VIRT_START, 0));
    CHECK_EQ(HC2(xen_version, XENVER_extraversion, MACH2PHYS_VIRT_START), -EFAULT);
    CHECK_EQ(mmu_update_one(maddr_of(top - 1), mfn_of(l1) << 12 | PTE_TAB), 0);
    CHECK_EQ(mmu_update_one(maddr_of(top - 1), 0), 0);
    table_free(l1);
}

/* A second address space: pinned, loaded, left and dropped. */
TEST(pae_second_root)
{
    u64 *l3 = page_alloc(), *l2 = page_alloc();

    /* The last GB is to be copied: the kernel is there. */
    memcpy(l2, va_of_mfn((l3_page()[L3_LAST_GB] & PTE_MFN) >> 12), 4096);
    l3[L3_LAST_GB] = mfn_of(l2) << 12 | PTE_L3;
    for (unsigned i = 4; i < 512; i++)
        l3[i] = 0xdeadbeef003ULL; /* to be forgotten */
    set_ro(l2);
    set_ro(l3);
    REQUIRE_EQ(mmuext(MMUEXT_PIN_L3_TABLE, mfn_of(l3)), 0);
    CHECK_EQ(l3[4], 0);
    CHECK_EQ(l3[511], 0);
    CHECK_REFUSED(mmuext(MMUEXT_PIN_L4_TABLE, mfn_of(l3)));
    REQUIRE_EQ(mmuext(MMUEXT_NEW_BASEPTR, mfn_of(l3)), 0);
    CHECK_EQ(machine_to_phys_mapping[mfn_of(l3)], pfn_of(l3));
    CHECK_EQ(CAUGHT(AT("ud2")), VEC_UD);
    CHECK_REFUSED(update_va((ulong)l3, mfn_of(l3) << 12 | PTE_RW_));
    REQUIRE_EQ(mmuext(MMUEXT_NEW_BASEPTR, root_mfn()), 0);
    CHECK_REFUSED(mmuext(MMUEXT_NEW_USER_BASEPTR, mfn_of(l3)));
    REQUIRE_EQ(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(l3)), 0);
    set_rw(l3);
    set_rw(l2);
    CHECK_EQ(l2[TOP_FIRST], 0); /* not the guest's to keep */
    page_free(l2);
    page_free(l3);
}

TEST(pae_batch)
{
    struct mmu_update u[3];
    u8 *page = page_alloc();
    u32 done = 77;

    map_at(SPARE_VA, 0);
    for (unsigned i = 0; i < 3; i++) {
        u[i].ptr = maddr_of(entry_of(SPARE_VA, 1) + i);
        u[i].val = mfn_of(page) << 12 | PTE_KRW;
    }
    REQUIRE_EQ(HC4(mmu_update, u, 3, &done, DOMID_SELF), 0);
    CHECK_EQ(done, 3);
    page[5] = 6;
    CHECK_EQ(*(u8 *)(SPARE_VA + 0x2005), 6);
    for (unsigned i = 0; i < 3; i++)
        u[i].val = 0;
    u[1].ptr = ~0ULL << 3;
    CHECK_REFUSED(HC4(mmu_update, u, 3, &done, DOMID_SELF));
    CHECK_EQ(done, 1);
    u[1].ptr = maddr_of(entry_of(SPARE_VA, 1) + 1);
    REQUIRE_EQ(HC4(mmu_update, u, 3, 0, DOMID_SELF), 0);
    page_free(page);
}

TEST(pae_reservation)
{
    xen_pfn_t frame;
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};
    void *page = page_alloc();

    set_xen_guest_handle(r.extent_start, &frame);
    frame = mfn_of(page);
    REQUIRE_EQ(update_va((ulong)page, 0), 0);
    REQUIRE_EQ(HC2(memory_op, XENMEM_decrease_reservation, &r), 1);
    frame = pfn_of(page);
    REQUIRE_EQ(HC2(memory_op, XENMEM_populate_physmap, &r), 1);
    ((ulong *)boot_info.mfn_list)[pfn_of(page)] = frame;
    CHECK_EQ(machine_to_phys_mapping[frame], pfn_of(page));
    set_rw(page);
    memset(page, 0, 4096);
    page_free(page);
}
