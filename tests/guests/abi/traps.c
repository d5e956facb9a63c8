// SPDX-License-Identifier: MIT
/* Exceptions: each vector, with the frame the kernel is promised, from kernel and from user. */
#include "guest.h"

static void check_kernel_frame(int vector)
{
    const struct frame *f = &this_cpu()->trap;

    (void)vector;
    CHECK_EQ(f->cs, FLAT_KERNEL_CS & ~3);
    CHECK_EQ(f->ss | 3, FLAT_KERNEL_SS | 3);
    CHECK_EQ(this_cpu()->saved_mask, 0);
    CHECK(f->rflags & 0x200);
    CHECK(!(f->rflags & 0x3000));
    CHECK(f->rsp > (u64)stacks && f->rsp < (u64)stacks + STACK_SIZE);
}

TEST(trap_divide)
{
    REQUIRE_EQ(CAUGHT(AT("divl %0", "r"(0), "a"(1), "d"(0))), VEC_DE);
    CHECK_EQ(this_cpu()->trap.rip, trap_at);
    check_kernel_frame(VEC_DE);
}

TEST(trap_undefined)
{
    REQUIRE_EQ(CAUGHT(AT("ud2", "r"(0))), VEC_UD);
    CHECK_EQ(this_cpu()->trap.rip, trap_at);
    check_kernel_frame(VEC_UD);
}

TEST(trap_breakpoint)
{
    REQUIRE_EQ(CAUGHT(AT("int3", "r"(0))), VEC_BP);
    CHECK_EQ(this_cpu()->trap.rip, trap_at + 1);
    check_kernel_frame(VEC_BP);
    REQUIRE_EQ(CAUGHT(AT(".byte 0xcd, 3", "r"(0))), VEC_BP);
    CHECK_EQ(this_cpu()->trap.rip, trap_at + 2);
}

TEST(trap_general_protection)
{
    REQUIRE_EQ(CAUGHT(AT("movb (%0), %%al", "r"(0x8000000000000000))), VEC_GP);
    CHECK_EQ(this_cpu()->trap.rip, trap_at);
    CHECK_EQ(this_cpu()->trap.error, 0);
    check_kernel_frame(VEC_GP);
    REQUIRE_EQ(CAUGHT(AT("mov %0, %%ds", "r"(0xe008))), VEC_GP);
    CHECK_EQ(this_cpu()->trap.error, 0xe008);
}

TEST(trap_page_fault_kernel)
{
    REQUIRE_EQ(CAUGHT(AT("movb (%0), %%al", "r"(SPARE_VA + 0x123))), VEC_PF);
    CHECK_EQ(this_cpu()->trap.rip, trap_at);
    CHECK_EQ(this_cpu()->cr2, SPARE_VA + 0x123);
    CHECK_EQ(this_cpu()->trap.error, 0);
    check_kernel_frame(VEC_PF);
    REQUIRE_EQ(CAUGHT(AT("movb %%al, (%0)", "r"(SPARE_VA + 0x123))), VEC_PF);
    CHECK_EQ(this_cpu()->trap.error, 2);
    /* Read-only, not a table: present and write. */
    void *page = page_alloc();
    set_ro(page);
    REQUIRE_EQ(CAUGHT(AT("movb %%al, (%0)", "r"(page))), VEC_PF);
    CHECK_EQ(this_cpu()->trap.error, 3);
    CHECK_EQ(this_cpu()->cr2, page);
    set_rw(page);
    page_free(page);
}

TEST(trap_page_fault_fetch)
{
    u8 *page = page_alloc();

    page[0] = 0xc3;
    CHECK_EQ(CAUGHT(((void (*)(void))page)()), NO_TRAP);
    REQUIRE_EQ(update_va((u64)page, mfn_of(page) << 12 | PTE_RW_ | PTE_NX), 0);
    REQUIRE_EQ(CAUGHT(((void (*)(void))page)()), VEC_PF);
    CHECK_EQ(this_cpu()->trap.error, 0x11);
    CHECK_EQ(this_cpu()->trap.rip, page);
    set_rw(page);
    page_free(page);
}

static bool skip_two(struct frame *f)
{
    f->rip += 2;
    f->rax = 0x1234;
    return true;
}

/* A handler returns by the iret hypercall to where it wants, with all registers. */
TEST(trap_resume)
{
    u64 rax = 1, rcx = 2, r11 = 3, r15 = 4;

    hooks[VEC_UD] = skip_two;
    __asm__ volatile("movq %3, %%r15; movq %2, %%r11; ud2; movq %%r15, %3; movq %%r11, %2"
                     : "+a"(rax), "+c"(rcx), "+r"(r11), "+r"(r15)
                     :
                     : "r15", "r11", "cc");
    CHECK_EQ(rax, 0x1234);
    CHECK_EQ(rcx, 2);
    CHECK_EQ(r11, 3);
    CHECK_EQ(r15, 4);
}

TEST(trap_int_n)
{
    not_on_stock("takes the vector from the error code, which QEMU gets wrong");
    /* DPL 3 and 1 in the table: allowed for the kernel; DPL 0 is not. */
    REQUIRE_EQ(CAUGHT(AT("int $0x90", "r"(0))), 0x90);
    CHECK_EQ(this_cpu()->trap.rip, trap_at + 2);
    REQUIRE_EQ(CAUGHT(AT("int $0x91", "r"(0))), 0x91);
    REQUIRE_EQ(CAUGHT(AT("int $0x92", "r"(0))), VEC_GP);
    CHECK_EQ(this_cpu()->trap.rip, trap_at);
    CHECK_EQ(this_cpu()->trap.error, 0x92 * 8 + 2);
    REQUIRE_EQ(CAUGHT(AT("int $0x80", "r"(0))), 0x80);
    CHECK_EQ(this_cpu()->trap.rip, trap_at + 2);
}

TEST(trap_from_user)
{
    struct frame f;
    const struct frame *t = &this_cpu()->trap;

    USER_ASM(&f, "movl $0x1111, %ebx; ud2");
    f.r12 = 0x2222;
    REQUIRE_EQ(user_run(&f), VEC_UD);
    CHECK_EQ(t->rip, USER_CODE + 5);
    CHECK_EQ(t->cs, FLAT_USER_CS);
    CHECK_EQ(t->ss, FLAT_USER_SS);
    CHECK_EQ(t->rsp, USER_STACK + 4096);
    CHECK_EQ(t->rbx, 0x1111);
    CHECK_EQ(t->r12, 0x2222);
    CHECK_EQ(t->rflags & 0x3200, 0x200);
}

TEST(trap_user_page_fault)
{
    struct frame f;
    const struct frame *t = &this_cpu()->trap;

    USER_ASM(&f, "movb (%rdi), %al; movb %al, (%rsi); ud2");
    f.rdi = 0x500000;
    REQUIRE_EQ(user_run(&f), VEC_PF);
    CHECK_EQ(t->error, 4);
    CHECK_EQ(this_cpu()->cr2, 0x500000);
    f.rdi = USER_DATA;
    f.rsi = USER_DATA + 0x3000;
    REQUIRE_EQ(user_run(&f), VEC_PF);
    CHECK_EQ(t->error, 6);
    CHECK_EQ(t->rip, USER_CODE + 2);
    CHECK_EQ(this_cpu()->cr2, USER_DATA + 0x3000);
    /* The kernel's memory is not in the user's root. */
    f.rdi = VIRT_BASE + 0x100000;
    REQUIRE_EQ(user_run(&f), VEC_PF);
    CHECK_EQ(t->error, 4);
    /* Nor may it write the machine-to-physical list, or read the hypervisor. */
    f.rdi = 0xffff830000000000;
    REQUIRE_EQ(user_run(&f), VEC_PF);
    CHECK_EQ(this_cpu()->cr2, 0xffff830000000000);
}

TEST(trap_user_int)
{
    struct frame f;

    not_on_stock("takes the vector from the error code, which QEMU gets wrong");
    USER_ASM(&f, "int $0x80");
    REQUIRE_EQ(user_run(&f), 0x80);
    CHECK_EQ(this_cpu()->trap.rip, USER_CODE + 2);
    USER_ASM(&f, "int $0x82");
    REQUIRE_EQ(user_run(&f), 0x82);
    USER_ASM(&f, "int $0x90");
    REQUIRE_EQ(user_run(&f), 0x90);
    USER_ASM(&f, "int $0x91"); /* DPL 1: not for user */
    REQUIRE_EQ(user_run(&f), VEC_GP);
    CHECK_EQ(this_cpu()->trap.error, 0x91 * 8 + 2);
    CHECK_EQ(this_cpu()->trap.rip, USER_CODE);
    USER_ASM(&f, "int3");
    REQUIRE_EQ(user_run(&f), VEC_BP);
    CHECK_EQ(this_cpu()->trap.rip, USER_CODE + 1);
}

TEST(trap_user_syscall)
{
    struct frame f;
    const struct frame *t = &this_cpu()->trap;

    USER_ASM(&f, "syscall; ud2");
    f.rax = 39;
    f.rdi = 1;
    f.r10 = 2;
    REQUIRE_EQ(user_run(&f), VEC_SYSCALL);
    CHECK_EQ(t->rax, 39);
    CHECK_EQ(t->rdi, 1);
    CHECK_EQ(t->r10, 2);
    CHECK_EQ(t->rip, USER_CODE + 2);
    CHECK_EQ(t->rcx, USER_CODE + 2);
    CHECK_EQ(t->r11 & 0x202, 0x202);
    CHECK_EQ(t->cs, FLAT_USER_CS);
    CHECK_EQ(t->ss, FLAT_USER_SS);
    CHECK_EQ(t->rsp, USER_STACK + 4096);
    CHECK_EQ(t->rflags & 0x200, 0x200);
}

/* A null address ends the table; a null table clears all of it; a bad address is refused. */
TEST(trap_table_edges)
{
    static struct trap_info t[3];

    t[0] = (struct trap_info){
        .vector = 0x95, .flags = 3, .cs = FLAT_KERNEL_CS, .address = (u64)trap_entries + 0x95 * 32};
    CHECK_EQ(HC1(set_trap_table, t), 0);
    t[1] = (struct trap_info){.vector = 0x96, .cs = FLAT_KERNEL_CS, .address = 0x8000000000000000};
    CHECK_EQ(HC1(set_trap_table, t), -EINVAL);
    CHECK_EQ(HC1(set_trap_table, 8), -EFAULT);
    load_default_traps();
    not_on_stock("takes the vector from the error code, which QEMU gets wrong");
    CHECK_EQ(HC1(set_trap_table, t), -EINVAL); /* all in front of the bad one is set */
    CHECK_EQ(CAUGHT(__asm__ volatile("int $0x95")), 0x95);
    load_default_traps();
}
