// SPDX-License-Identifier: MIT
/* Writable page tables: stores to a table in use are trapped, checked and carried out. */
#include "guest.h"

static u64 *l1; /* of SPARE_VA */
static u64 *page;

static void set_up(void)
{
    if (!l1) {
        REQUIRE_EQ(HC2(vm_assist, VMASST_CMD_enable, VMASST_TYPE_writable_pagetables), 0);
        page = page_alloc();
        page[0] = 4711;
        map_at(SPARE_VA, mfn_of(page) << 12 | PTE_RW_);
        l1 = entry_of(SPARE_VA, 1);
    }
    REQUIRE_EQ(mmu_update_one(maddr_of(l1), 0), 0);
    REQUIRE_EQ(mmuext(MMUEXT_INVLPG_LOCAL, SPARE_VA), 0);
}

static u64 pte(void)
{
    return mfn_of(page) << 12 | PTE_RW_;
}

#define SPARE (*(volatile u64 *)SPARE_VA)

TEST(ptwr_mov)
{
    set_up();
    CHECK_EQ(CAUGHT((void)SPARE), VEC_PF);
    REQUIRE_EQ(CAUGHT(WRITE_ONCE(*l1, pte())), NO_TRAP);
    CHECK_EQ(*l1 & PTE_MFN, mfn_of(page) << 12);
    CHECK_EQ(SPARE, 4711);
    REQUIRE_EQ(CAUGHT(WRITE_ONCE(*l1, 0)), NO_TRAP);
    CHECK_EQ(mmuext(MMUEXT_INVLPG_LOCAL, SPARE_VA), 0);
    CHECK_EQ(CAUGHT((void)SPARE), VEC_PF);
}

TEST(ptwr_imm_and_not_present)
{
    set_up();
    REQUIRE_EQ(CAUGHT(__asm__ volatile("movq $0x1230, (%0)" ::"r"(l1) : "memory")), NO_TRAP);
    CHECK_EQ(*l1, 0x1230);
    REQUIRE_EQ(CAUGHT(__asm__ volatile("movq $-2, (%0)" ::"r"(l1) : "memory")), NO_TRAP);
    CHECK_EQ(*l1, ~1UL);
    REQUIRE_EQ(CAUGHT(__asm__ volatile("andq $0, (%0)" ::"r"(l1) : "memory")), NO_TRAP);
    CHECK_EQ(*l1, 0);
}

TEST(ptwr_xchg)
{
    u64 v;

    set_up();
    v = pte();
    REQUIRE_EQ(CAUGHT(v = __atomic_exchange_n(l1, pte(), __ATOMIC_SEQ_CST)), NO_TRAP);
    CHECK_EQ(v, 0);
    CHECK_EQ(SPARE, 4711);
    REQUIRE_EQ(CAUGHT(v = __atomic_exchange_n(l1, 0, __ATOMIC_SEQ_CST)), NO_TRAP);
    CHECK_EQ(v & PTE_MFN, mfn_of(page) << 12);
    CHECK_EQ(*l1, 0);
}

TEST(ptwr_cmpxchg)
{
    u64 old = 0x123;
    bool done = true;

    set_up();
    REQUIRE_EQ(CAUGHT(done = __atomic_compare_exchange_n(l1, &old, pte(), false, __ATOMIC_SEQ_CST,
                                                         __ATOMIC_SEQ_CST)),
               NO_TRAP);
    CHECK(!done);
    CHECK_EQ(old, 0);
    REQUIRE_EQ(CAUGHT(done = __atomic_compare_exchange_n(l1, &old, pte(), false, __ATOMIC_SEQ_CST,
                                                         __ATOMIC_SEQ_CST)),
               NO_TRAP);
    CHECK(done);
    CHECK_EQ(SPARE, 4711);
    set_up();
}

TEST(ptwr_locked_bits)
{
    set_up();
    REQUIRE_EQ(CAUGHT(WRITE_ONCE(*l1, pte() & ~PTE_W)), NO_TRAP);
    CHECK_EQ(CAUGHT(SPARE = 1), VEC_PF);
    REQUIRE_EQ(CAUGHT(__asm__ volatile("lock; orq $2, (%0)" ::"r"(l1) : "memory")), NO_TRAP);
    CHECK_EQ(CAUGHT(SPARE = 4711), NO_TRAP);
    REQUIRE_EQ(CAUGHT(__asm__ volatile("lock; btrq $1, (%0)" ::"r"(l1) : "memory", "cc")), NO_TRAP);
    CHECK_EQ(*l1 & PTE_W, 0);
    REQUIRE_EQ(CAUGHT(__asm__ volatile("lock; btsq $1, (%0)" ::"r"(l1) : "memory", "cc")), NO_TRAP);
    CHECK(*l1 & PTE_W);
    REQUIRE_EQ(CAUGHT(__asm__ volatile("lock; andb $0xfd, (%0)" ::"r"(l1) : "memory")), NO_TRAP);
    CHECK_EQ(*l1 & PTE_W, 0);
    u32 high = *l1 >> 32 & 0xfffff; /* of the address, and no more */
    REQUIRE_EQ(CAUGHT(__asm__ volatile("movl %1, 4(%0)" ::"r"(l1), "r"(high) : "memory")), NO_TRAP);
    CHECK_EQ(*l1 >> 32, high);
    set_up();
}

static volatile bool stop;
static volatile u64 lost;

/* Flips a bit of its own in byte 6, and finds it flipped. */
static void flip_high(unsigned long unused)
{
    (void)unused;
    while (!stop) {
        u64 before = *l1 >> 52 & 1;

        __asm__ volatile("lock; xorb $0x10, 6(%0)" ::"r"(l1) : "memory", "cc");
        lost += (*(volatile u64 *)l1 >> 52 & 1) == before;
    }
}

/* ... as this one does in byte 1, and with a plain store in byte 1, too: neither undoes the
 * other's. */
TEST(ptwr_parts_by_two)
{
    u64 end = now() + 300000000;
    unsigned rounds = 0;

    set_up();
    REQUIRE_EQ(mmu_update_one(maddr_of(l1), pte()), 0);
    stop = false;
    lost = 0;
    start_on_cpu1(flip_high, 0);
    for (; now() < end; rounds++) {
        u64 before = *l1 >> 9 & 1;

        if (rounds & 1)
            __asm__ volatile("lock; xorb $2, 1(%0)" ::"r"(l1) : "memory", "cc");
        else
            WRITE_ONCE(((u8 *)l1)[1], ((u8 *)l1)[1] ^ 2);
        lost += (*(volatile u64 *)l1 >> 9 & 1) == before;
    }
    stop = true;
    wait_cpu1();
    say("  %u rounds\n", rounds);
    CHECK_EQ(lost, 0);
    CHECK_EQ(*l1 & PTE_MFN, mfn_of(page) << 12);
    set_up();
}

#define BY_R12(insns)                                                                              \
    CAUGHT(__asm__ volatile("mov %0, %%r12; " insns ::"r"(l1) : "rcx", "r12", "memory", "cc"))

/* What addresses look like: of r12 there is a byte more; kernels with one CPU have DS for LOCK. */
TEST(ptwr_address_forms)
{
    set_up();
    REQUIRE_EQ(BY_R12("movq $0x1230, (%%r12)"), NO_TRAP);
    CHECK_EQ(*l1, 0x1230);
    REQUIRE_EQ(BY_R12("lock; andb $0x1f, (%%r12)"), NO_TRAP);
    CHECK_EQ(*l1, 0x1210);
    REQUIRE_EQ(BY_R12("ds; andb $0xf, 1(%%r12)"), NO_TRAP);
    CHECK_EQ(*l1, 0x0210);
    REQUIRE_EQ(BY_R12("ds; andb $0xef, (%%r12)"), NO_TRAP);
    CHECK_EQ(*l1, 0x0200);
    /* With an index: to be told from the one without. */
    REQUIRE_EQ(BY_R12("sub %%rsp, %%r12; movq $0x4560, (%%rsp, %%r12)"), NO_TRAP);
    CHECK_EQ(*l1, 0x4560);
    REQUIRE_EQ(BY_R12("xor %%ecx, %%ecx; movq $0x7890, (%%r12, %%rcx)"), NO_TRAP);
    CHECK_EQ(*l1, 0x7890);
    CHECK(BY_R12("lock; movq $0, (%%r12)") != NO_TRAP); /* #UD, but for QEMU */
    CHECK_EQ(*l1, 0x7890);
    set_up();
}

/* A store of what is not allowed is the page fault that the read-only mapping says it is. */
TEST(ptwr_refused)
{
    set_up();
    REQUIRE_EQ(CAUGHT(WRITE_ONCE(*l1, root_mfn() << 12 | PTE_RW_)), VEC_PF);
    CHECK_EQ(this_cpu()->trap.error & 3, 3);
    CHECK_EQ(this_cpu()->cr2, l1);
    CHECK_EQ(*l1, 0);
    CHECK_EQ(CAUGHT(WRITE_ONCE(*l1, 0xfffffffff000 | PTE_RW_)), VEC_PF);
    CHECK_EQ(*l1, 0);
}

/* Stores to tables above the first level are not emulated. */
TEST(ptwr_upper_levels)
{
    set_up();
    CHECK_EQ(CAUGHT(WRITE_ONCE(*(entry_of(SPARE_VA, 2) + 1), 0)), VEC_PF);
    CHECK_EQ(CAUGHT(WRITE_ONCE(*(entry_of(SPARE_VA, 4) + 1), 0)), VEC_PF);
}
