// SPDX-License-Identifier: MIT
/*
 * Attempts on the ways in and out: addresses that are not canonical, stacks and handlers in the
 * hypervisor, single steps into system calls, MOV SS, breakpoints, descriptors with power.
 */
#include "guest.h"

#define TF  0x100UL
#define HYP 0xffff830000000000UL

TEST(attack_iret_addresses)
{
    static const u64 rips[] = {0x800000000000,
                               0x8000000000000000,
                               0xffff7fffffffffff,
                               0xffff800000000000,
                               HYP,
                               0xffff82d040200000,
                               ~0UL};
    struct frame f;

    USER_ASM(&f, "int $0x80");
    for (unsigned i = 0; i < ARRAY_SIZE(rips); i++) {
        f.rip = rips[i];
        int vec = user_run(&f);

        if (vec != VEC_GP && vec != VEC_PF && vec != VEC_SS)
            fail(__FILE__, __LINE__, "iret to %#lx gives %d", rips[i], vec);
        f.flags = 0;
    }
    f.rip = USER_CODE;
    f.rsp = 0x8000000000000000; /* no stack at all: only a push would mind */
    CHECK_EQ(user_run(&f), 0x80);
    CHECK_EQ(this_cpu()->trap.rsp, 0x8000000000000000);
    f.rsp = HYP;
    CHECK_EQ(user_run(&f), 0x80);
}

static volatile u64 wrong_rip;

static bool catch_wrong(struct frame *f)
{
    wrong_rip = f->rip;
    return false;
}

/* The same from kernel to kernel. */
TEST(attack_iret_kernel_addresses)
{
    static const u64 rips[] = {0x800000000000, 0x8000000000000000, HYP, 0xffff800000000000};

    for (unsigned i = 0; i < ARRAY_SIZE(rips); i++) {
        struct frame f = {.rip = rips[i],
                          .cs = FLAT_KERNEL_CS & ~3,
                          .ss = FLAT_KERNEL_SS,
                          .rflags = 0x202,
                          .rsp = (u64)stacks + STACK_SIZE - 4096};

        hooks[VEC_GP] = hooks[VEC_PF] = catch_wrong;
        int vec = CAUGHT(resume_frame(&f));

        if (vec != VEC_GP && vec != VEC_PF)
            fail(__FILE__, __LINE__, "iret to %#lx gives %d", rips[i], vec);
        CHECK_EQ(wrong_rip, rips[i]);
    }
}

/* Every selector that a frame could name for code and for a stack. */
TEST(attack_iret_selectors)
{
    struct frame f;
    unsigned ran = 0;

    USER_ASM(&f, "int $0x80");
    for (unsigned sel = 0; sel < 0x10000; sel += sel < 0x100 || sel >= 0xdf00 ? 1 : 0x3d) {
        f.cs = sel;
        if ((sel & 3) != 3)
            continue;
        int vec = user_run(&f);

        if (vec == 0x80) {
            ran++;
            if ((this_cpu()->trap.cs & 3) != 3)
                fail(__FILE__, __LINE__, "selector %#x runs on %#lx", sel, this_cpu()->trap.cs);
        }
    }
    CHECK(ran >= 1);
    f.cs = FLAT_USER_CS;
    for (unsigned sel = 0; sel < 0x10000; sel += sel < 0x100 || sel >= 0xdf00 ? 1 : 0x3d) {
        f.ss = sel;
        user_run(&f);
        CHECK(sel == 0 || (this_cpu()->trap.ss & 3) == 3);
    }
    for (u64 high = 1UL << 16; high; high <<= 8) {
        f.ss = FLAT_USER_SS | high;
        f.cs = FLAT_USER_CS | high;
        user_run(&f);
    }
}

/* Flags that a guest must not get: none of them changes what the machine does. */
TEST(attack_iret_flags)
{
    struct frame f;

    USER_ASM(&f, "int $0x80");
    for (unsigned bit = 0; bit < 64; bit++) {
        f.rflags = 0x202 | 1UL << bit;
        int vec = user_run(&f);

        if (vec != 0x80 && !(bit == 8 && vec == VEC_DB))
            fail(__FILE__, __LINE__, "flag %u gives %d", bit, vec);
        CHECK_EQ(this_cpu()->trap.rflags & 0x23000, 0); /* VM, IOPL */
    }
    f.rflags = 0;
    CHECK_EQ(user_run(&f), 0x80);
    f.rflags = ~0UL & ~TF;
    CHECK_EQ(user_run(&f), 0x80);
    HC2(set_debugreg, 6, 0xffff0ff0);
    events_on();
}

/* SYSCALL in the last bytes of the lower half: the address behind it is not canonical. */
TEST(attack_syscall_at_the_edge)
{
    struct frame f;
    u64 va = 0x7ffffffff000;
    u64 *l1 = page_alloc(), *l2 = page_alloc(), *l3 = page_alloc();
    u8 *code = page_alloc();
    int vec;

    USER_ASM(&f, "int $0x80");
    memset(code, 0x90, 4096);
    code[4094] = 0x0f;
    code[4095] = 0x05;
    l1[511] = mfn_of(code) << 12 | PTE_RW_;
    l2[511] = mfn_of(l1) << 12 | PTE_TAB;
    l3[511] = mfn_of(l2) << 12 | PTE_TAB;
    set_ro(l1);
    set_ro(l2);
    set_ro(l3);
    REQUIRE_EQ(mmu_update_one(maddr_of(user_l4 + 255), mfn_of(l3) << 12 | PTE_TAB), 0);
    f.rip = va + 4090;
    vec = user_run(&f);
    if (vec == VEC_SYSCALL) { /* and back to where it came from, by both kinds of return */
        f = this_cpu()->trap;
        CHECK_EQ(f.rip, 0x800000000000);
        vec = user_run(&f);
        CHECK(vec == VEC_GP || vec == VEC_PF);
        f.rip = va + 4090;
        hooks[VEC_SYSCALL] = NULL;
    } else
        CHECK(vec == VEC_GP || vec == VEC_PF);
    /* A kernel that makes a hypercall there: the same edge in kernel mode. */
    u64 *l4e = (u64 *)boot_info.pt_base + 255;
    REQUIRE_EQ(mmu_update_one(maddr_of(l4e), mfn_of(l3) << 12 | PTE_TAB), 0);
    vec = CAUGHT(__asm__ volatile("call *%0" ::"r"(va + 4094), "a"(__HYPERVISOR_xen_version), "D"(0)
                                  : "rcx", "r11", "memory"));
    CHECK(vec == VEC_GP || vec == VEC_PF);
    CHECK_EQ(mmu_update_one(maddr_of(l4e), 0), 0);
    CHECK_EQ(mmu_update_one(maddr_of(user_l4 + 255), 0), 0);
    mmuext(MMUEXT_TLB_FLUSH_ALL, 0);
    table_free(l1);
    table_free(l2);
    table_free(l3);
    page_free(code);
}

TEST(attack_callbacks)
{
    static const u64 bad[] = {0x8000000000000000, 0x800000000000, 0xffff7fffffffffff};
    static const unsigned types[] = {CALLBACKTYPE_event, CALLBACKTYPE_failsafe,
                                     CALLBACKTYPE_syscall, CALLBACKTYPE_nmi,
                                     CALLBACKTYPE_syscall32};
    static struct trap_info t[2];

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        for (unsigned j = 0; j < ARRAY_SIZE(types); j++) {
            struct callback_register r = {.type = types[j], .address = bad[i]};

            CHECK_EQ(HC2(callback_op, CALLBACKOP_register, &r), -EINVAL);
        }
        /* This one has no way to say which of the three was wrong, and need not say anything. */
        HC3(set_callbacks, bad[i], bad[i], bad[i]);
        t[0] = (struct trap_info){.vector = 6, .cs = FLAT_KERNEL_CS, .address = bad[i]};
        CHECK_EQ(HC1(set_trap_table, t), -EINVAL);
    }
    traps_init();
}

/* A handler in the hypervisor: refused, or it faults on the guest's account. */
TEST(attack_handler_in_hypervisor)
{
    static struct trap_info t[2];

    t[0] = (struct trap_info){
        .vector = VEC_BP, .flags = 3, .cs = FLAT_KERNEL_CS, .address = 0xffff82d040200000};
    if (!HC1(set_trap_table, t))
        CHECK_EQ(CAUGHT(__asm__ volatile("int3")), VEC_PF);
    load_default_traps();
}

/* The code selector of a trap table entry is the guest's wish, no more. */
TEST(attack_handler_selector)
{
    static struct trap_info t[2];

    t[0] =
        (struct trap_info){.vector = VEC_UD, .cs = 0xe008, .address = (u64)trap_entries + 6 * 32};
    if (!HC1(set_trap_table, t))
        CHECK_EQ(CAUGHT(__asm__ volatile("ud2")), VEC_UD);
    t[0].cs = 0xe010;
    if (!HC1(set_trap_table, t))
        CHECK_EQ(CAUGHT(__asm__ volatile("ud2")), VEC_UD);
    load_default_traps();
}

/* Stacks that are refused, or end the guest only when they are used: here just the call. */
TEST(attack_kernel_stack_values)
{
    static const u64 sps[] = {0xffff800000000008,
                              HYP,
                              0xffff880000000000,
                              0xffff880000000040,
                              0x800000000000,
                              0x8000000000000000,
                              0,
                              8,
                              ~0UL};

    for (unsigned i = 0; i < ARRAY_SIZE(sps); i++)
        HC2(stack_switch, 0xe010, sps[i]);
    HC2(stack_switch, 0, kernel_stack_of(0));
    traps_init();
    struct frame f;
    USER_ASM(&f, "syscall");
    CHECK_EQ(user_run(&f), VEC_SYSCALL);
}

/* Single step into each kind of system call and over it. */
TEST(attack_step_into_calls)
{
    struct frame f;
    int vec;

    USER_ASM(&f, "syscall; nop; ud2");
    f.rflags |= TF;
    vec = user_run(&f);
    CHECK(vec == VEC_SYSCALL || vec == VEC_DB);
    USER_ASM(&f, "int $0x80; nop; ud2");
    f.rflags |= TF;
    vec = user_run(&f);
    CHECK(vec == 0x80 || vec == VEC_DB);
    USER_ASM(&f, "int3; nop; ud2");
    f.rflags |= TF;
    vec = user_run(&f);
    CHECK(vec == VEC_BP || vec == VEC_DB);
    USER_ASM(&f, "sysenter; nop; ud2");
    f.rflags |= TF;
    vec = user_run(&f);
    CHECK(vec != 0x80);
    USER_ASM(&f, "rdtsc; cpuid; nop; ud2");
    f.rflags |= TF;
    CHECK_EQ(user_run(&f), VEC_DB);
    HC2(set_debugreg, 6, 0xffff0ff0);
}

static volatile u64 steps;

static bool count_step(struct frame *f)
{
    if (++steps > 200)
        f->rflags &= ~TF;
    return true;
}

/* The kernel steps through a hypercall, and through an emulated instruction. */
TEST(attack_step_through_hypercall)
{
    long ret;
    u64 cr0;

    steps = 0;
    hooks[VEC_DB] = count_step;
    __asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq\n"
                     "xorl %%edi, %%edi\n"
                     "movl $17, %%eax\n" /* xen_version */
                     "syscall\n"
                     "movq %%rax, %0\n"
                     "movq %%cr0, %1\n"
                     "pushfq; andl $~0x100, (%%rsp); popfq\n"
                     : "=&r"(ret), "=&r"(cr0)
                     :
                     : "rax", "rdi", "rcx", "r11", "memory", "cc");
    CHECK_EQ(ret, 0x40011);
    CHECK(cr0 & 1);
    CHECK(steps >= 3 && steps < 20);
    HC2(set_debugreg, 6, 0xffff0ff0);
}

/* MOV SS holds a data breakpoint back until after the next instruction, which enters here. */
TEST(attack_mov_ss)
{
    struct frame f;
    int vec;
    static const char *const what[] = {"syscall", "int $0x80", "int3", "ud2", "hypercall"};

    user_init();
    *(u16 *)USER_DATA = FLAT_USER_SS;
    REQUIRE_EQ(HC2(set_debugreg, 0, USER_DATA), 0);
    for (unsigned i = 0; i < 4; i++) {
        REQUIRE_EQ(HC2(set_debugreg, 7, 0x2 | 3UL << 16 | 1UL << 18),
                   0); /* read or write, 2 bytes */
        if (i == 0)
            USER_ASM(&f, "mov 0x410000, %ss; syscall; ud2");
        else if (i == 1)
            USER_ASM(&f, "mov 0x410000, %ss; int $0x80; ud2");
        else if (i == 2)
            USER_ASM(&f, "mov 0x410000, %ss; int3; ud2");
        else
            USER_ASM(&f, "mov 0x410000, %ss; ud2");
        vec = user_run(&f);
        if (vec == NO_TRAP)
            fail(__FILE__, __LINE__, "%s gives nothing", what[i]);
        HC2(set_debugreg, 7, 0x400);
    }
    /* The same by the kernel, whose SYSCALL is a hypercall. */
    REQUIRE_EQ(HC2(set_debugreg, 7, 0x2 | 3UL << 16 | 1UL << 18), 0);
    vec = CAUGHT(__asm__ volatile("mov 0x410000, %%ss; syscall" ::"a"(17), "D"(0)
                                  : "rcx", "r11", "memory"));
    CHECK(vec == NO_TRAP || vec == VEC_DB);
    HC2(set_debugreg, 7, 0x400);
    HC2(set_debugreg, 0, 0);
    HC2(set_debugreg, 6, 0xffff0ff0);
}

TEST(attack_debug_registers)
{
    static const u64 hyp[] = {0xffff800000000000, HYP,
                              0xffff82d040200000, 0xffff87ffffffffff,
                              0x8000000000000000, 0x800000000000};
    u64 v;

    for (unsigned r = 0; r < 4; r++)
        for (unsigned i = 0; i < ARRAY_SIZE(hyp); i++)
            CHECK_REFUSED(HC2(set_debugreg, r, hyp[i]));
    /* A breakpoint of 8 bytes just below, reaching up to the boundary, is the guest's own. */
    HC2(set_debugreg, 0, 0xffff880000000000);
    HC2(set_debugreg, 0, 0);
    CHECK_REFUSED(HC2(set_debugreg, 7, 0x2 | 2UL << 16)); /* I/O */
    HC2(set_debugreg, 7, 0x2 | 1UL << 18);                /* execution of two bytes: undefined */
    /* General detect would make the hypervisor's own accesses trap. */
    HC2(set_debugreg, 7, 0x2400);
    v = HC1(get_debugreg, 7);
    CHECK_EQ(v & 0x2000, 0);
    HC2(set_debugreg, 7, ~0UL & ~0xffUL);
    HC2(set_debugreg, 7, 0x400);
    HC2(set_debugreg, 6, ~0UL);
    CHECK_EQ((u64)HC1(get_debugreg, 6) >> 32, 0);
    HC2(set_debugreg, 6, 0xffff0ff0);
    CHECK_EQ(CAUGHT(__asm__ volatile("mov %0, %%dr0" ::"r"(HYP))), VEC_GP);
    CHECK_EQ(CAUGHT(__asm__ volatile("mov %0, %%dr7" ::"r"(0x20402UL))), VEC_GP);
    CHECK_EQ(HC1(get_debugreg, 0), 0);
}

static bool ignore_debug(struct frame *f)
{
    (void)f;
    HC2(set_debugreg, 7, 0x400);
    return true;
}

/* Breakpoints on what the hypervisor touches for the guest: argument blocks, stacks, entries. */
TEST(attack_breakpoints_on_arguments)
{
    static struct mmu_update u[4] __aligned(64);
    struct frame f;
    u64 *page = page_alloc();
    u32 done = 0;

    hooks[VEC_DB] = ignore_debug;
    u[0] = u[1] =
        (struct mmu_update){maddr_of(entry_of((u64)page, 1)), mfn_of(page) << 12 | PTE_RW_};
    REQUIRE_EQ(HC2(set_debugreg, 0, u), 0);
    REQUIRE_EQ(HC2(set_debugreg, 1, kernel_stack_of(0) - 8), 0);
    /* read or write, 8 bytes each */
    REQUIRE_EQ(HC2(set_debugreg, 7, 0xa | 0xbbUL << 16), 0);
    int vec = CAUGHT(HC4(mmu_update, u, 2, &done, DOMID_SELF));
    CHECK(vec == NO_TRAP || vec == VEC_DB);
    HC2(set_debugreg, 7, 0x400);
    USER_ASM(&f, "syscall");
    HC2(set_debugreg, 7, 0x8 | 0xb0UL << 16);
    vec = user_run(&f);
    HC2(set_debugreg, 7, 0x400);
    CHECK(vec == VEC_SYSCALL || vec == VEC_DB);
    for (unsigned i = 0; i < 3; i++)
        HC2(set_debugreg, i, 0);
    HC2(set_debugreg, 6, 0xffff0ff0);
    page_free(page);
}

/* --- descriptors --- */

#define DESC_DATA      0x00cff3000000ffffUL
#define DESC_CODE64    0x00affb000000ffffUL
#define SYS(type, dpl) (0x0000800000000000UL | (u64)(type) << 40 | (u64)(dpl) << 45)

/* Gates and system segments, with the hypervisor's code as their target. */
static const u64 evil[] = {
    SYS(0xc, 3) | 0xe0100000 | 0x1234, /* call gate to the hypervisor's code segment */
    SYS(0xe, 3) | 0xe0100000,          /* interrupt gate */
    SYS(0xf, 3) | 0xe0100000,          /* trap gate */
    SYS(0x9, 3) | 0x67,                /* TSS */
    SYS(0xb, 3) | 0x67,                /* busy TSS */
    SYS(0x2, 3) | 0xffff,              /* LDT */
    SYS(0x5, 3),                       /* task gate */
    SYS(0x4, 3) | 0xe0080000,          /* 16-bit call gate */
};

TEST(attack_descriptors)
{
    u64 *gdt = page_alloc(), frames[1] = {mfn_of(gdt)};

    for (unsigned i = 0; i < ARRAY_SIZE(evil); i++) {
        memset(gdt, 0, 4096);
        gdt[4] = evil[i];
        set_ro(gdt);
        CHECK_REFUSED(HC2(set_gdt, frames, 512));
        set_rw(gdt);
    }
    memset(gdt, 0, 4096);
    set_ro(gdt);
    REQUIRE_EQ(HC2(set_gdt, frames, 512), 0);
    for (unsigned i = 0; i < ARRAY_SIZE(evil); i++) {
        CHECK_REFUSED(HC2(update_descriptor, maddr_of(&gdt[4]), evil[i]));
        CHECK_EQ(gdt[4], 0);
    }
    /* Privilege that is asked for is not given. */
    if (!HC2(update_descriptor, maddr_of(&gdt[4]), DESC_CODE64 & ~(3UL << 45))) {
        u32 rights = 0;

        __asm__ volatile("lar %1, %0" : "+r"(rights) : "r"(0x23) : "cc");
        CHECK(!rights || (rights >> 13 & 3) == 3);
        CHECK(gdt[4] == 0 || (gdt[4] >> 45 & 3) == 3);
    }
    if (!HC2(update_descriptor, maddr_of(&gdt[4]), (DESC_CODE64 | 1UL << 42) & ~(3UL << 45)))
        CHECK(gdt[4] == 0 || (gdt[4] >> 45 & 3) == 3 || !(gdt[4] >> 42 & 1));
    CHECK_REFUSED(HC2(update_descriptor, maddr_of(&gdt[4]) + 4, DESC_DATA));
    CHECK_REFUSED(HC2(update_descriptor, root_mfn() << 12, DESC_DATA));
    CHECK_REFUSED(HC2(update_descriptor, ~7UL, DESC_DATA));
    CHECK_REFUSED(HC2(update_descriptor, 0xffffffffff000, DESC_DATA));
    CHECK_EQ(HC2(set_gdt, frames, 0), 0);
    set_rw(gdt);
    page_free(gdt);
}

/* GDTs out of frames that are no memory of this guest's, or are tables. */
TEST(attack_gdt_frames)
{
    u64 frames[14];

    for (unsigned i = 0; i < 14; i++)
        frames[i] = root_mfn();
    CHECK_REFUSED(HC2(set_gdt, frames, 512));
    CHECK_REFUSED(HC2(set_gdt, frames, 512 * 14));
    frames[0] = 1UL << 52;
    CHECK_REFUSED(HC2(set_gdt, frames, 1));
    frames[0] = boot_info.shared_info >> 12;
    CHECK_REFUSED(HC2(set_gdt, frames, 1));
    CHECK_REFUSED(HC2(set_gdt, frames, 7169));
    CHECK_REFUSED(HC2(set_gdt, frames, ~0UL));
    CHECK_REFUSED(HC2(set_gdt, HYP, 512));
}

TEST(attack_ldt)
{
    u64 *ldt = page_alloc();
    static const struct {
        u32 offset;
        u16 selector;
    } through = {0, 0x0f};

    user_init();
    for (unsigned i = 0; i < ARRAY_SIZE(evil); i++) {
        memset(ldt, 0, 4096);
        ldt[1] = evil[i];
        ldt[2] = DESC_DATA;
        set_ro(ldt);
        CHECK_EQ(mmuext2(MMUEXT_SET_LDT, (u64)ldt, 512), 0);
        int vec = CAUGHT(__asm__ volatile("mov %0, %%es" ::"r"(2 * 8 + 7)));

        CHECK(vec == VEC_GP || vec == VEC_PF);
        if (vec == VEC_PF) /* the guest's address of it, none of the hypervisor's */
            CHECK_EQ(this_cpu()->cr2, (u64)ldt + 16);
        vec = CAUGHT(__asm__ volatile("lcall *%0" ::"m"(through)));
        CHECK(vec != NO_TRAP);
        CHECK_EQ(mmuext2(MMUEXT_SET_LDT, 0, 0), 0);
        set_rw(ldt);
    }
    /* At addresses that are the hypervisor's, or nobody's. */
    static const u64 bases[] = {HYP,
                                0xffff800000000000,
                                0xffff820000000000,
                                0x8000000000000000,
                                0x7ffffffff000,
                                0xfffffffffffff000,
                                0xffff7ffffffff000};
    for (unsigned i = 0; i < ARRAY_SIZE(bases); i++)
        if (!mmuext2(MMUEXT_SET_LDT, bases[i], 8192)) {
            for (u32 sel = 7; sel < 0x10000; sel += 0x1000)
                CHECK(CAUGHT(__asm__ volatile("mov %0, %%es" ::"r"(sel))) != NO_TRAP);
            u32 rights = 0;
            CAUGHT(__asm__ volatile("lar %1, %0" : "+r"(rights) : "r"(7) : "cc"));
            CAUGHT(__asm__ volatile("verw %w0" ::"r"(0x1007) : "cc"));
        }
    CHECK_EQ(mmuext2(MMUEXT_SET_LDT, 0, 0), 0);
    CHECK_REFUSED(mmuext2(MMUEXT_SET_LDT, (u64)ldt, 8193));
    CHECK_REFUSED(mmuext2(MMUEXT_SET_LDT, (u64)ldt, ~0UL));
    __asm__ volatile("mov %0, %%es" ::"r"(0));
    page_free(ldt);
}

/* The user's far calls and jumps through the hypervisor's own selectors. */
TEST(attack_far_transfers)
{
    struct frame f;
    static const u16 sels[] = {0xe008, 0xe010, 0xe018, 0xe040, 0xe050, 0xe00b, 0xe013};

    for (unsigned i = 0; i < ARRAY_SIZE(sels); i++) {
        int vec;

        USER_ASM(&f, "pushq %rdx; pushq %rcx; lretq");
        f.rcx = USER_CODE;
        f.rdx = sels[i];
        vec = user_run(&f);
        /* QEMU reads the user's stack as the supervisor would: with SMAP that is a page fault. */
        if (vec != VEC_GP && vec != VEC_NP && !(vec == VEC_PF && this_cpu()->trap.error == 1))
            fail(__FILE__, __LINE__, "lret to %#x gives %d, error %#x, cr2 %#lx", sels[i], vec,
                 this_cpu()->trap.error, this_cpu()->cr2);
        USER_ASM(&f, "mov %edx, %ds; int $0x80");
        f.rdx = sels[i];
        vec = user_run(&f);
        CHECK(vec == VEC_GP || vec == VEC_NP);
        USER_ASM(&f, "mov %edx, %ss; int $0x80");
        f.rdx = sels[i];
        vec = user_run(&f);
        CHECK(vec == VEC_GP || vec == VEC_NP || vec == VEC_SS);
        USER_ASM(&f, "ltr %dx");
        CHECK_EQ(user_run(&f), VEC_GP);
        USER_ASM(&f, "lldt %dx");
        CHECK_EQ(user_run(&f), VEC_GP);
        USER_ASM(&f, "lgdt (%rsp)");
        CHECK_EQ(user_run(&f), VEC_GP);
        USER_ASM(&f, "lidt (%rsp)");
        CHECK_EQ(user_run(&f), VEC_GP);
    }
    USER_ASM(&f, "swapgs");
    CHECK_EQ(user_run(&f), VEC_GP);
    USER_ASM(&f, "sysretq");
    CHECK_EQ(user_run(&f), VEC_GP);
    USER_ASM(&f, "iretq"); /* whatever is on the stack: zeros */
    CHECK(user_run(&f) != NO_TRAP);
}

/* Instructions that only the hypervisor may execute, by the kernel in ring 3. */
TEST(attack_privileged_instructions)
{
    static u64 desc[2];

    CHECK_EQ(CAUGHT(__asm__ volatile("lgdt %0" ::"m"(desc))), VEC_GP);
    CHECK_EQ(CAUGHT(__asm__ volatile("lidt %0" ::"m"(desc))), VEC_GP);
    CHECK_EQ(CAUGHT(__asm__ volatile("ltr %w0" ::"r"(0xe040))), VEC_GP);
    CHECK_EQ(CAUGHT(__asm__ volatile("lldt %w0" ::"r"(0))), VEC_GP);
    CHECK_EQ(CAUGHT(__asm__ volatile("swapgs")), VEC_GP);
    CHECK_EQ(CAUGHT(__asm__ volatile("sysretq" ::"c"(stacks), "r"(0))), VEC_GP);
    CHECK_EQ(CAUGHT(__asm__ volatile("mov %0, %%cr8" ::"r"(15UL))), VEC_GP);
    CHECK(CAUGHT(__asm__ volatile("clgi")) != NO_TRAP);
    CHECK(CAUGHT(__asm__ volatile("vmrun" ::"a"(0))) != NO_TRAP);
    CHECK(CAUGHT(__asm__ volatile("vmsave" ::"a"(0))) != NO_TRAP);
    CHECK(CAUGHT(__asm__ volatile("invlpga" ::"a"(0), "c"(0))) != NO_TRAP);
    CHECK(CAUGHT(__asm__ volatile("monitor" ::"a"(desc), "c"(0), "d"(0))) != NO_TRAP);
    CHECK(CAUGHT(__asm__ volatile("xsetbv" ::"a"(~0U), "d"(~0U), "c"(0))) != NO_TRAP);
    CHECK(CAUGHT(__asm__ volatile("xsetbv" ::"a"(0), "d"(0), "c"(0))) != NO_TRAP);
    CHECK(CAUGHT(__asm__ volatile("xsetbv" ::"a"(4), "d"(0), "c"(0))) != NO_TRAP);
    CHECK(CAUGHT(__asm__ volatile("xsetbv" ::"a"(1), "d"(0), "c"(5))) != NO_TRAP);
    /* Of those that are emulated, addresses of the hypervisor's. */
    CAUGHT(__asm__ volatile("invlpg (%0)" ::"r"(HYP)));
    CAUGHT(__asm__ volatile("invlpg (%0)" ::"r"(0x8000000000000000)));
    CHECK(CAUGHT(__asm__ volatile("rep insb" ::"D"(HYP), "d"(0x80), "c"(4))) != NO_TRAP);
    CHECK(CAUGHT(__asm__ volatile("rep outsb" ::"S"(HYP), "d"(0x80), "c"(4))) != NO_TRAP);
}

static u64 *race_gdt;
static volatile bool stop;

static void flip_descriptor(unsigned long unused)
{
    (void)unused;
    while (!stop) {
        HC2(update_descriptor, maddr_of(&race_gdt[4]), DESC_DATA);
        HC2(update_descriptor, maddr_of(&race_gdt[4]), evil[0]);
        HC2(update_descriptor, maddr_of(&race_gdt[4]), 0);
        update_va((u64)race_gdt, mfn_of(race_gdt) << 12 | PTE_RW_);
        CAUGHT(WRITE_ONCE(race_gdt[4], evil[0]));
        CAUGHT(WRITE_ONCE(race_gdt[4], 0));
        update_va((u64)race_gdt, mfn_of(race_gdt) << 12 | PTE_RO_);
    }
}

/* A GDT that is set and dropped while its page is written to. */
TEST(attack_race_descriptors)
{
    u64 end, frames[1];
    unsigned set = 0;

    race_gdt = page_alloc();
    frames[0] = mfn_of(race_gdt);
    set_ro(race_gdt);
    stop = false;
    start_on_cpu1(flip_descriptor, 0);
    end = now() + 400000000;
    while (now() < end) {
        if (HC2(set_gdt, frames, 512))
            continue;
        set++;
        u32 rights = 0;
        __asm__ volatile("lar %1, %0" : "+r"(rights) : "r"(0x23) : "cc");
        CHECK(!rights || (rights & 0x1000)); /* code or data, if anything */
        CHECK(race_gdt[4] != evil[0]);
        HC2(set_gdt, frames, 0);
    }
    stop = true;
    wait_cpu1();
    set_rw(race_gdt);
    page_free(race_gdt);
}

/* --- deaths --- */

/* Runs an instruction on a stack pointer of one's choice. */
#define ON_STACK(sp, text)                                                                         \
    __asm__ volatile("movq %0, %%rsp\n" text ::"r"((u64)(sp)), "a"(__HYPERVISOR_iret) : "memory")

DEATH(death_iret_stack_in_hypervisor)
{
    ON_STACK(HYP, "syscall");
}

DEATH(death_iret_stack_not_canonical)
{
    ON_STACK(0x8000000000000000, "syscall");
}

DEATH(death_iret_stack_at_the_edge)
{
    ON_STACK(0xffff87ffffffffe8, "syscall");
}

DEATH(death_iret_stack_wraps)
{
    ON_STACK(-16UL, "syscall");
}

DEATH(death_trap_stack_in_hypervisor)
{
    ON_STACK(HYP + 0x1000, "ud2");
}

DEATH(death_trap_stack_reaches_into_hypervisor)
{
    ON_STACK(0xffff880000000008, "ud2");
}

DEATH(death_trap_stack_not_mapped)
{
    ON_STACK(SPARE_VA + 0x40000000, "ud2");
}

DEATH(death_trap_stack_read_only)
{
    u8 *page = page_alloc();

    set_ro(page);
    ON_STACK(page + 2048, "ud2");
}

/* The frame would go over the guest's own page tables. */
DEATH(death_trap_stack_in_page_table)
{
    ON_STACK(boot_info.pt_base + 4096, "ud2");
}

DEATH(death_no_handler)
{
    HC1(set_trap_table, 0);
    __asm__ volatile("ud2");
}

DEATH(death_no_handlers_page_fault)
{
    HC1(set_trap_table, 0);
    *(volatile u64 *)SPARE_VA = 1;
}

DEATH(death_handler_not_mapped)
{
    static struct trap_info t[2];

    t[0] = (struct trap_info){.vector = VEC_PF, .cs = FLAT_KERNEL_CS, .address = SPARE_VA};
    HC1(set_trap_table, t);
    *(volatile u64 *)SPARE_VA = 1;
}

static void user_syscall_on(u64 sp, const char *what)
{
    struct frame f;

    USER_ASM(&f, "syscall");
    REQUIRE_EQ(HC2(stack_switch, FLAT_KERNEL_SS, sp), 0);
    say("%s: %d\n", what, user_run(&f));
}

DEATH(death_kernel_stack_in_hypervisor)
{
    user_syscall_on(HYP, "syscall");
}

DEATH(death_kernel_stack_in_m2p)
{
    user_syscall_on(0xffff800000010000, "syscall");
}

DEATH(death_kernel_stack_at_the_edge)
{
    user_syscall_on(0xffff880000000010, "syscall");
}

DEATH(death_kernel_stack_not_canonical)
{
    user_syscall_on(0x8000000000000000, "syscall");
}

DEATH(death_kernel_stack_not_mapped)
{
    user_syscall_on(SPARE_VA + 0x40000000, "syscall");
}

DEATH(death_kernel_stack_in_page_table)
{
    user_syscall_on(boot_info.pt_base + 4096, "syscall");
}

/* Not by a system call but by an exception: the other way in. */
DEATH(death_kernel_stack_in_hypervisor_trap)
{
    struct frame f;

    USER_ASM(&f, "ud2");
    REQUIRE_EQ(HC2(stack_switch, FLAT_KERNEL_SS, HYP), 0);
    say("%d\n", user_run(&f));
}

DEATH(death_iret_without_registers)
{
    struct frame f;

    memset(&f, 0, sizeof(f)); /* to 0:0, kernel mode */
    HC1(set_trap_table, 0);
    resume_frame(&f);
}

DEATH(death_crash_on_request)
{
    shutdown(SHUTDOWN_crash);
}
