// SPDX-License-Identifier: MIT
/* Page tables by hypercall: mmu_update, update_va_mapping, mmuext_op. */
#include "guest.h"

TEST(mmu_update_va)
{
    u64 *a = page_alloc(), *b = page_alloc();

    a[0] = 1;
    b[0] = 2;
    CHECK_EQ(update_va((u64)a, mfn_of(b) << 12 | PTE_RW_), 0);
    CHECK_EQ(READ_ONCE(a[0]), 2);
    CHECK_EQ(update_va((u64)a, 0), 0);
    CHECK_EQ(CAUGHT((void)READ_ONCE(a[0])), VEC_PF);
    CHECK_EQ(update_va((u64)a, mfn_of(a) << 12 | PTE_RO_), 0);
    CHECK_EQ(READ_ONCE(a[0]), 1);
    CHECK_EQ(CAUGHT(WRITE_ONCE(a[0], 5)), VEC_PF);
    CHECK_EQ(HC3(update_va_mapping, a, mfn_of(a) << 12 | PTE_RW_, 0), 0);
    CHECK_EQ(mmuext(MMUEXT_INVLPG_LOCAL, (u64)a), 0);
    CHECK_EQ(CAUGHT(WRITE_ONCE(a[0], 5)), NO_TRAP);
    /* No table there. */
    CHECK_REFUSED(update_va(SPARE_VA, mfn_of(a) << 12 | PTE_RW_));
    page_free(a);
    page_free(b);
}

/* The entry reads as written; user and accessed may be added. */
TEST(mmu_update_reads_back)
{
    u64 *a = page_alloc(), *e = entry_of((u64)a, 1);

    CHECK_EQ(mmu_update_one(maddr_of(e), mfn_of(a) << 12 | PTE_P | PTE_W), 0);
    CHECK_EQ(*e & (PTE_MFN | PTE_P | PTE_W | PTE_NX), mfn_of(a) << 12 | PTE_P | PTE_W);
    CHECK_EQ(mmu_update_one(maddr_of(e), mfn_of(a) << 12 | PTE_P | PTE_NX | 0xe00), 0);
    CHECK_EQ(*e & (PTE_P | PTE_W | PTE_NX | 0xe00), PTE_P | PTE_NX | 0xe00);
    /* An entry that is not present is the kernel's to use as it likes. */
    CHECK_EQ(mmu_update_one(maddr_of(e), 0x123456789abcdef0 & ~PTE_P), 0);
    CHECK_EQ(*e, 0x123456789abcdef0 & ~PTE_P);
    CHECK_EQ(mmu_update_one(maddr_of(e), mfn_of(a) << 12 | PTE_RW_), 0);
    CHECK_EQ(mmuext(MMUEXT_INVLPG_LOCAL, (u64)a), 0);
    CHECK_EQ(CAUGHT(WRITE_ONCE(*a, 5)), NO_TRAP);
    page_free(a);
}

TEST(mmu_update_batch)
{
    static struct mmu_update u[64];
    void *page[64];
    u32 done = 99;

    for (unsigned i = 0; i < 64; i++) {
        page[i] = page_alloc();
        *(u64 *)page[i] = i;
    }
    for (unsigned i = 0; i < 64; i++)
        u[i] = (struct mmu_update){maddr_of(entry_of((u64)page[i], 1)),
                                   mfn_of(page[63 - i]) << 12 | PTE_RW_};
    CHECK_EQ(HC4(mmu_update, u, 64, &done, DOMID_SELF), 0);
    CHECK_EQ(done, 64);
    CHECK_EQ(mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0), 0);
    for (unsigned i = 0; i < 64; i++)
        CHECK_EQ(*(volatile u64 *)page[i], 63 - i);
    for (unsigned i = 0; i < 64; i++)
        u[i].val = mfn_of(page[i]) << 12 | PTE_RW_;
    u[40].ptr |= 4; /* the 41st is no good */
    CHECK_EQ(HC4(mmu_update, u, 64, &done, DOMID_SELF), -ENOSYS);
    CHECK_EQ(done, 40);
    u[40].ptr &= ~7UL;
    CHECK_EQ(HC4(mmu_update, u + 40, 24, &done, DOMID_SELF), 0);
    CHECK_EQ(done, 24);
    CHECK_EQ(mmuext(MMUEXT_TLB_FLUSH_ALL, 0), 0);
    for (unsigned i = 0; i < 64; i++) {
        CHECK_EQ(*(volatile u64 *)page[i], i);
        page_free(page[i]);
    }
    CHECK_EQ(HC4(mmu_update, u, 0, &done, DOMID_SELF), 0);
    CHECK_EQ(done, 0);
}

TEST(mmu_preserve_ad)
{
    u64 *a = page_alloc(), *e = entry_of((u64)a, 1);

    WRITE_ONCE(*a, 1); /* sets both */
    CHECK_EQ(mmu_update_one(maddr_of(e) | MMU_PT_UPDATE_PRESERVE_AD,
                            mfn_of(a) << 12 | PTE_P | PTE_U | PTE_W),
             0);
    CHECK_EQ(READ_ONCE(*e) & (PTE_A | PTE_D), PTE_A | PTE_D);
    CHECK_EQ(mmu_update_one(maddr_of(e), mfn_of(a) << 12 | PTE_P | PTE_U | PTE_W), 0);
    CHECK_EQ(READ_ONCE(*e) & (PTE_A | PTE_D), 0);
    CHECK_EQ(mmuext(MMUEXT_INVLPG_LOCAL, (u64)a), 0);
    (void)READ_ONCE(*a);
    CHECK_EQ(READ_ONCE(*e) & (PTE_A | PTE_D), PTE_A);
    WRITE_ONCE(*a, 2);
    CHECK_EQ(READ_ONCE(*e) & (PTE_A | PTE_D), PTE_A | PTE_D);
    page_free(a);
}

TEST(mmu_machphys)
{
    void *a = page_alloc();
    u64 mfn = mfn_of(a), pfn = pfn_of(a);

    CHECK_EQ(mmu_update_one(mfn << 12 | MMU_MACHPHYS_UPDATE, 0x12345), 0);
    CHECK_EQ(machine_to_phys_mapping[mfn], 0x12345);
    CHECK_EQ(mmu_update_one(mfn << 12 | MMU_MACHPHYS_UPDATE, pfn), 0);
    CHECK_EQ(machine_to_phys_mapping[mfn], pfn);
    CHECK_REFUSED(mmu_update_one(0x123456789000 | MMU_MACHPHYS_UPDATE, pfn));
    CHECK_EQ(mmu_update_one(maddr_of(entry_of((u64)a, 1)) | 4, 0), -ENOSYS);
    page_free(a);
}

/* New tables of every level are hung in by mmu_update, used, and taken out again. */
TEST(mmu_levels)
{
    u64 *l3 = table_alloc(), *l2 = table_alloc(), *l1 = table_alloc(), *data = page_alloc();
    u64 *l4e = (u64 *)boot_info.pt_base + 193, va = 193UL << 39;

    data[1] = 77;
    REQUIRE_EQ(mmu_update_one(maddr_of(l4e), mfn_of(l3) << 12 | PTE_TAB), 0);
    REQUIRE_EQ(mmu_update_one(maddr_of(l3), mfn_of(l2) << 12 | PTE_TAB), 0);
    REQUIRE_EQ(mmu_update_one(maddr_of(l2), mfn_of(l1) << 12 | PTE_TAB), 0);
    REQUIRE_EQ(mmu_update_one(maddr_of(l1), mfn_of(data) << 12 | PTE_RW_), 0);
    CHECK_EQ(((volatile u64 *)va)[1], 77);
    /* They are tables now: not writable, not other levels'. */
    CHECK_REFUSED(update_va((u64)l1, mfn_of(l1) << 12 | PTE_RW_));
    CHECK_REFUSED(mmu_update_one(maddr_of(l3 + 1), mfn_of(l1) << 12 | PTE_TAB));
    CHECK_REFUSED(mmu_update_one(maddr_of(l1 + 1), mfn_of(l2) << 12 | PTE_RW_));
    CHECK_EQ(mmu_update_one(maddr_of(l1 + 1), mfn_of(l2) << 12 | PTE_RO_), 0);
    /* The same L1 at two places. */
    CHECK_EQ(mmu_update_one(maddr_of(l2 + 1), mfn_of(l1) << 12 | PTE_TAB), 0);
    CHECK_EQ(((volatile u64 *)(va + (2 << 20)))[1], 77);
    REQUIRE_EQ(mmu_update_one(maddr_of(l4e), 0), 0);
    REQUIRE_EQ(mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0), 0);
    CHECK_EQ(CAUGHT((void)((volatile u64 *)va)[1]), VEC_PF);
    table_free(l3);
    table_free(l2);
    table_free(l1);
    page_free(data);
}

TEST(mmu_pin_levels)
{
    u64 *l3 = page_alloc(), *l2 = page_alloc(), *l1 = page_alloc(), *l4 = page_alloc();
    u64 *all[] = {l1, l2, l3, l4};

    l2[5] = mfn_of(l1) << 12 | PTE_TAB;
    l3[5] = mfn_of(l2) << 12 | PTE_TAB;
    l4[5] = mfn_of(l3) << 12 | PTE_TAB;
    CHECK_REFUSED(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(l1))); /* still writable */
    for (unsigned i = 0; i < 4; i++)
        set_ro(all[i]);
    for (unsigned i = 0; i < 4; i++)
        CHECK_EQ(mmuext(MMUEXT_PIN_L1_TABLE + i, mfn_of(all[i])), 0);
    CHECK_REFUSED(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(l1)));
    CHECK_REFUSED(mmuext(MMUEXT_PIN_L2_TABLE, mfn_of(l1)));
    CHECK_REFUSED(update_va((u64)l1, mfn_of(l1) << 12 | PTE_RW_));
    for (unsigned i = 0; i < 4; i++)
        CHECK_EQ(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(all[i])), 0);
    CHECK_REFUSED(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(l1)));
    for (unsigned i = 0; i < 4; i++)
        table_free(all[i]);
}

TEST(mmu_new_baseptr)
{
    u64 *old = (u64 *)boot_info.pt_base, *l4 = page_alloc(), cr3;

    memcpy(l4, old, 256 * 8);
    memcpy(l4 + 272, old + 272, (512 - 272) * 8);
    set_ro(l4);
    REQUIRE_EQ(mmuext(MMUEXT_PIN_L4_TABLE, mfn_of(l4)), 0);
    REQUIRE_EQ(mmuext(MMUEXT_NEW_BASEPTR, mfn_of(l4)), 0);
    __asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
    CHECK_EQ(xen_cr3_to_pfn(cr3), mfn_of(l4));
    CHECK(machine_to_phys_mapping[mfn_of(l4)] == pfn_of(l4));
    CHECK_REFUSED(mmuext(MMUEXT_NEW_BASEPTR, mfn_of(stacks)));
    CHECK_EQ(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(l4)), 0); /* in use, all the same */
    REQUIRE_EQ(mmuext(MMUEXT_NEW_BASEPTR, root_mfn()), 0);
    table_free(l4);
}

TEST(mmu_user_baseptr)
{
    struct frame f;

    USER_ASM(&f, "int $0x80");
    CHECK_EQ(mmuext(MMUEXT_NEW_USER_BASEPTR, mfn_of(user_l4)), 0);
    CHECK_REFUSED(mmuext(MMUEXT_NEW_USER_BASEPTR, mfn_of(stacks)));
    CHECK_EQ(user_run(&f), 0x80);
    CHECK_EQ(mmuext(MMUEXT_NEW_USER_BASEPTR, 0), 0);
    CHECK_EQ(mmuext(MMUEXT_NEW_USER_BASEPTR, mfn_of(user_l4)), 0);
    CHECK_EQ(user_run(&f), 0x80);
}

TEST(mmu_flushes)
{
    u64 mask = 3;
    struct mmuext_op op = {.cmd = MMUEXT_TLB_FLUSH_MULTI};

    CHECK_EQ(mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0), 0);
    CHECK_EQ(mmuext(MMUEXT_TLB_FLUSH_ALL, 0), 0);
    CHECK_EQ(mmuext(MMUEXT_INVLPG_LOCAL, SPARE_VA), 0);
    CHECK_EQ(mmuext(MMUEXT_INVLPG_ALL, SPARE_VA), 0);
    CHECK_EQ(mmuext(MMUEXT_INVLPG_LOCAL, 0x8000000000000000), 0);
    CHECK_EQ(mmuext(MMUEXT_INVLPG_ALL, 0xffff830000000000), 0);
    set_xen_guest_handle(op.arg2.vcpumask, &mask);
    CHECK_EQ(HC4(mmuext_op, &op, 1, 0, DOMID_SELF), 0);
    op.cmd = MMUEXT_INVLPG_MULTI;
    op.arg1.linear_addr = SPARE_VA;
    CHECK_EQ(HC4(mmuext_op, &op, 1, 0, DOMID_SELF), 0);
    CHECK(mmuext(77, 0) == -ENOSYS);
}

TEST(mmu_clear_and_copy_page)
{
    u64 *a = page_alloc(), *b = page_alloc();

    for (unsigned i = 0; i < 512; i++)
        a[i] = i + 1;
    CHECK_EQ(mmuext2(MMUEXT_COPY_PAGE, mfn_of(b), mfn_of(a)), 0);
    CHECK(!memcmp(a, b, 4096));
    CHECK_EQ(mmuext(MMUEXT_CLEAR_PAGE, mfn_of(a)), 0);
    CHECK(a[0] == 0 && a[511] == 0 && b[511] == 512);
    CHECK_REFUSED(mmuext(MMUEXT_CLEAR_PAGE, root_mfn()));
    CHECK_REFUSED(mmuext2(MMUEXT_COPY_PAGE, root_mfn(), mfn_of(a)));
    page_free(a);
    page_free(b);
}

TEST(mmu_ext_batch)
{
    static struct mmuext_op ops[3];
    u32 done = 9;

    ops[0].cmd = MMUEXT_TLB_FLUSH_LOCAL;
    ops[1].cmd = MMUEXT_NEW_BASEPTR;
    ops[1].arg1.mfn = 0xffffffffff;
    ops[2].cmd = MMUEXT_TLB_FLUSH_LOCAL;
    CHECK_REFUSED(HC4(mmuext_op, ops, 3, &done, DOMID_SELF));
    CHECK_EQ(done, 1);
}
