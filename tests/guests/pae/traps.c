// SPDX-License-Identifier: MIT
/* Exceptions and software interrupts of a 32-bit guest: frames, error codes, whose may do what. */
#include "guest.h"

static void check_kernel_frame(u32 at)
{
    const struct frame *t = &this_cpu()->trap;

    CHECK_EQ(t->eip, at);
    CHECK_EQ(t->cs, FLAT_KERNEL_CS);
    CHECK(t->eflags & 0x200); /* events were on */
    CHECK_EQ(t->eflags & 0x3000, 0);
    CHECK_EQ(this_cpu()->saved_mask, 0);
}

TEST(pae_trap_ud)
{
    CHECK_EQ(CAUGHT(AT("ud2")), VEC_UD);
    check_kernel_frame(trap_at);
}

TEST(pae_trap_de)
{
    CHECK_EQ(CAUGHT(AT("divl %0", "r"(0))), VEC_DE);
    check_kernel_frame(trap_at);
}

TEST(pae_trap_bp)
{
    CHECK_EQ(CAUGHT(AT("int3")), VEC_BP);
    check_kernel_frame(trap_at + 1);
    CHECK_EQ(CAUGHT(AT("movb $127, %%al; addb $1, %%al; into", "a"(0))), VEC_OF);
}

TEST(pae_trap_pf)
{
    const struct frame *t = &this_cpu()->trap;
    void *page = page_alloc();

    CHECK_EQ(CAUGHT(AT("cmpl $0, 0x100")), VEC_PF);
    check_kernel_frame(trap_at);
    CHECK_EQ(this_cpu()->cr2, 0x100);
    CHECK_EQ(t->error, 0);
    CHECK_EQ(CAUGHT(AT("movl $0, 0x100")), VEC_PF);
    CHECK_EQ(t->error, 2);
    set_ro(page);
    CHECK_EQ(CAUGHT(AT("movl $0, 8(%0)", "r"(page))), VEC_PF);
    CHECK_EQ(t->error, 3);
    CHECK_EQ(this_cpu()->cr2, (ulong)page + 8);
    set_rw(page);
    page_free(page);
}

/* The frame lies right below where the kernel's stack was: nothing is switched. */
TEST(pae_trap_stack)
{
    static u8 stack[4096] __aligned(16);
    ulong old;

    this_cpu()->armed = true;
    if (!save_point(&this_cpu()->catch)) {
        this_cpu()->armed = true;
        __asm__ volatile("mov %%esp, %0; mov %1, %%esp; ud2" : "=&r"(old) : "r"(stack + 4096));
    }
    CHECK_EQ(this_cpu()->trap.vector, VEC_UD);
    CHECK_EQ(this_cpu()->trap.esp, (ulong)stack + 4096);
}

TEST(pae_trap_gp_selector)
{
    CHECK_EQ(CAUGHT(AT("mov %0, %%fs", "r"(0xe008))), VEC_GP); /* the hypervisor's own */
    CHECK_EQ(this_cpu()->trap.error, 0xe008);
    CHECK_EQ(CAUGHT(AT("mov %0, %%fs", "r"(0x103))), VEC_GP);
    CHECK_EQ(this_cpu()->trap.error, 0x100);
    CHECK_EQ(CAUGHT(AT("ljmp $0xe00b, $0")), VEC_GP);
    CHECK_EQ(CAUGHT(AT("lcall $0xe043, $0")), VEC_GP); /* the TSS */
}

TEST(pae_trap_user)
{
    struct frame f;
    const struct frame *t = &this_cpu()->trap;

    USER_ASM(&f, "movl $1, %eax; movl 0x100, %eax");
    f.esp = USER_STACK + 0x124;
    REQUIRE_EQ(user_run(&f), VEC_PF);
    CHECK_EQ(t->eip, USER_CODE + 5);
    CHECK_EQ(t->cs, FLAT_USER_CS);
    CHECK_EQ(t->ss, FLAT_USER_SS);
    CHECK_EQ(t->ds, FLAT_USER_DS);
    CHECK_EQ(t->esp, USER_STACK + 0x124);
    CHECK_EQ(t->error, 4);
    CHECK_EQ(this_cpu()->cr2, 0x100);
    CHECK_EQ(this_cpu()->frame_at + sizeof(f), kernel_stack_of(0));
    USER_ASM(&f, "movl %eax, 0xc0100000"); /* the kernel's */
    CHECK_EQ(user_run(&f), VEC_PF);
    USER_ASM(&f, "hlt");
    CHECK_EQ(user_run(&f), VEC_GP);
    CHECK_EQ(t->error, 0);
    CHECK_EQ(t->eip, USER_CODE);
    USER_ASM(&f, "ud2");
    CHECK_EQ(user_run(&f), VEC_UD);
}

TEST(pae_user_registers)
{
    struct frame f;
    const struct frame *t = &this_cpu()->trap;

    USER_ASM(&f, "int $0x80");
    f.eax = 1, f.ebx = 2, f.ecx = 3, f.edx = 4, f.esi = 5, f.edi = 6, f.ebp = 7;
    f.eflags = 0x202 | 0x200000;
    REQUIRE_EQ(user_run(&f), 0x80);
    CHECK(t->eax == 1 && t->ebx == 2 && t->ecx == 3 && t->edx == 4);
    CHECK(t->esi == 5 && t->edi == 6 && t->ebp == 7);
    CHECK_EQ(t->eip, USER_CODE + 2);
    CHECK_EQ(t->eflags, 0x202 | 0x200000);
}

/* By the levels in the table: 0x80 and 0x90 are everybody's, 0x91 the kernel's, 0x92 nobody's. */
TEST(pae_int_levels)
{
    struct frame f;

    CHECK_EQ(CAUGHT(AT("int $0x80")), 0x80);
    check_kernel_frame(trap_at + 2);
    CHECK_EQ(CAUGHT(AT("int $0x90")), 0x90);
    check_kernel_frame(trap_at + 2);
    CHECK_EQ(CAUGHT(AT("int $0x91")), 0x91);
    CHECK_EQ(CAUGHT(AT("int $0x92")), VEC_GP);
    check_kernel_frame(trap_at);
    CHECK_EQ(this_cpu()->trap.error, 0x92 * 8 + 2);
    USER_ASM(&f, "int $0x90");
    CHECK_EQ(user_run(&f), 0x90);
    CHECK_EQ(this_cpu()->trap.eip, USER_CODE + 2);
    USER_ASM(&f, "int $0x91");
    CHECK_EQ(user_run(&f), VEC_GP);
    CHECK_EQ(this_cpu()->trap.eip, USER_CODE);
    CHECK_EQ(this_cpu()->trap.error, 0x91 * 8 + 2);
    USER_ASM(&f, "movl $17, %eax; xorl %ebx, %ebx; int $0x82"); /* hypercalls are the kernel's */
    CHECK_EQ(user_run(&f), VEC_GP);
    CHECK_EQ(this_cpu()->trap.error, 0x82 * 8 + 2);
    CHECK_EQ(this_cpu()->trap.eax, 17);
}

TEST(pae_mask_in_frame)
{
    struct trap_info t[2] = {
        {.vector = VEC_UD,
         .flags = 4,
         .cs = FLAT_KERNEL_CS,
         .address = (ulong)trap_entries + VEC_UD * 32},
    };

    events_off();
    CHECK_EQ(CAUGHT(AT("ud2")), VEC_UD);
    CHECK_EQ(this_cpu()->saved_mask, 1);
    CHECK_EQ(this_cpu()->trap.eflags & 0x200, 0);
    CHECK_EQ(vcpu_info()->evtchn_upcall_mask, 1);
    events_on();
    REQUIRE_EQ(HC1(set_trap_table, t), 0);
    CHECK_EQ(CAUGHT(AT("ud2")), VEC_UD);
    CHECK_EQ(this_cpu()->saved_mask, 0);
    load_default_traps();
}

TEST(pae_fpu_taskswitch)
{
    REQUIRE_EQ(HC1(fpu_taskswitch, 1), 0);
    CHECK_EQ(CAUGHT(AT("fnop")), VEC_NM);
    CHECK_EQ(CAUGHT(AT("fnop")), NO_TRAP);
}

TEST(pae_single_step)
{
    CHECK_EQ(CAUGHT(AT("pushf; orl $0x100, (%%esp); popf; nop; nop")), VEC_DB);
    CHECK(this_cpu()->trap.eip > trap_at);
    CHECK(HC1(get_debugreg, 6) & 0x4000);
    HC2(set_debugreg, 6, 0);
}

TEST(pae_breakpoint)
{
    static volatile u32 word;

    REQUIRE_EQ(HC2(set_debugreg, 0, &word), 0);
    REQUIRE_EQ(HC2(set_debugreg, 7, 1 | 0xd << 16), 0); /* four bytes, writes */
    CHECK_EQ(CAUGHT(AT("movl $1, (%0)", "r"(&word))), VEC_DB);
    CHECK(HC1(get_debugreg, 6) & 1);
    HC2(set_debugreg, 7, 0x400);
    HC2(set_debugreg, 6, 0);
}

TEST(pae_syscall)
{
    struct frame f;
    int vec;

    USER_ASM(&f, "syscall");
    f.ebx = 99;
    vec = user_run(&f);
    if (vec == VEC_UD)
        skip("this CPU has SYSCALL in 64-bit code only");
    CHECK_EQ(vec, VEC_SYSCALL32);
    CHECK_EQ(this_cpu()->trap.cs, FLAT_USER_CS);
    CHECK_EQ(this_cpu()->trap.ss, FLAT_USER_SS);
    CHECK_EQ(this_cpu()->trap.eip, USER_CODE + 2);
    CHECK_EQ(this_cpu()->trap.esp, USER_STACK + 4096);
    CHECK_EQ(this_cpu()->trap.ebx, 99);
}

/* Where from is lost: that is the instruction's nature. */
TEST(pae_sysenter)
{
    struct frame f;
    int vec;

    USER_ASM(&f, "sysenter; nop");
    f.ebx = 99;
    f.eflags |= 0x4000; /* NT */
    vec = user_run(&f);
    if (vec == VEC_UD || vec == VEC_GP)
        skip("this CPU has no SYSENTER in long mode"); /* QEMU calls that #GP */
    CHECK_EQ(vec, VEC_SYSENTER);
    CHECK_EQ(this_cpu()->trap.cs, FLAT_USER_CS);
    CHECK_EQ(this_cpu()->trap.ss, FLAT_USER_SS);
    CHECK_EQ(this_cpu()->trap.ebx, 99);
}

DEATH(pae_no_handler)
{
    HC1(set_trap_table, 0);
    __asm__ volatile("ud2");
}

DEATH(pae_no_stack)
{
    __asm__ volatile("movl $0x100, %esp; ud2");
}

DEATH(pae_bad_handler_selector)
{
    struct trap_info t[2] = {
        {.vector = VEC_UD,
         .cs = 0xe00b,
         .address = (ulong)trap_entries}, /* the hypervisor's code */
    };

    HC1(set_trap_table, 0);
    HC1(set_trap_table, t);
    __asm__ volatile("ud2");
}
