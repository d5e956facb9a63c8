// SPDX-License-Identifier: MIT
/* The processor as a PV kernel sees it: segments, FPU, debug registers, CPUID, MSRs, ports. */
#include "guest.h"

static u64 rdmsr_(u32 msr)
{
    u32 lo, hi;

    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
    return (u64)hi << 32 | lo;
}

static void wrmsr_(u32 msr, u64 v)
{
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((u32)v), "d"((u32)(v >> 32)));
}

static void cpuid_(u32 leaf, u32 sub, u32 r[4], bool forced)
{
    if (forced)
        __asm__ volatile(XEN_CPUID
                         : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
                         : "0"(leaf), "2"(sub));
    else
        __asm__ volatile("cpuid"
                         : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
                         : "0"(leaf), "2"(sub));
}

TEST(cpu_segment_bases)
{
    struct frame f;
    static u64 word[2] = {0x1111, 0x2222};
    u64 v;

    REQUIRE_EQ(HC2(set_segment_base, SEGBASE_FS, &word[0]), 0);
    __asm__ volatile("movq %%fs:0, %0" : "=r"(v));
    CHECK_EQ(v, 0x1111);
    REQUIRE_EQ(HC2(set_segment_base, SEGBASE_GS_KERNEL, &word[1]), 0);
    USER_ASM(&f, "movq %gs:0, %rax; movq %fs:8, %rbx; int $0x80");
    *(u64 *)USER_DATA = 0x3333;
    *(u64 *)(USER_DATA + 0x18) = 0x4444;
    REQUIRE_EQ(HC2(set_segment_base, SEGBASE_GS_USER, USER_DATA), 0);
    REQUIRE_EQ(HC2(set_segment_base, SEGBASE_FS, USER_DATA + 0x10), 0);
    __asm__ volatile("movq %%gs:0, %0" : "=r"(v));
    CHECK_EQ(v, 0x2222);
    REQUIRE_EQ(user_run(&f), 0x80);
    CHECK_EQ(this_cpu()->trap.rax, 0x3333);
    CHECK_EQ(this_cpu()->trap.rbx, 0x4444);
    __asm__ volatile("movq %%gs:0, %0" : "=r"(v));
    CHECK_EQ(v, 0x2222);
    /* A user that loads GS itself does not touch the kernel's. */
    USER_ASM(&f, "xorl %eax, %eax; mov %eax, %gs; int $0x80");
    REQUIRE_EQ(user_run(&f), 0x80);
    __asm__ volatile("movq %%gs:0, %0" : "=r"(v));
    CHECK_EQ(v, 0x2222);
    CHECK_EQ(HC2(set_segment_base, SEGBASE_GS_USER_SEL, 0), 0);
    CHECK_EQ(HC2(set_segment_base, SEGBASE_FS, 0x8000000000000000), -EINVAL);
    CHECK_EQ(HC2(set_segment_base, SEGBASE_GS_USER, 0x800000000000), -EINVAL);
    CHECK_EQ(HC2(set_segment_base, 4, 0), -EINVAL);
    HC2(set_segment_base, SEGBASE_FS, 0);
    HC2(set_segment_base, SEGBASE_GS_USER, 0);
    HC2(set_segment_base, SEGBASE_GS_KERNEL, 0);
}

TEST(cpu_base_msrs)
{
    wrmsr_(0xc0000100, 0x1234500);
    CHECK_EQ(rdmsr_(0xc0000100), 0x1234500);
    wrmsr_(0xc0000101, 0x1234600);
    CHECK_EQ(rdmsr_(0xc0000101), 0x1234600);
    wrmsr_(0xc0000102, 0x1234700);
    CHECK_EQ(rdmsr_(0xc0000102), 0x1234700);
    CHECK_EQ(CAUGHT(wrmsr_(0xc0000100, 0x8000000000000000)), VEC_GP);
    wrmsr_(0xc0000100, 0);
    wrmsr_(0xc0000101, 0);
    wrmsr_(0xc0000102, 0);
}

TEST(cpu_fpu_taskswitch)
{
    u64 cr0;

    CHECK_EQ(HC1(fpu_taskswitch, 1), 0);
    __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
    CHECK(cr0 & 8);
    CHECK(cr0 & 0x80000001);
    REQUIRE_EQ(CAUGHT(AT("movaps %%xmm0, %%xmm1", "r"(0))), VEC_NM);
    CHECK_EQ(this_cpu()->trap.rip, trap_at);
    CHECK_EQ(CAUGHT(__asm__ volatile("movaps %xmm0, %xmm1")), NO_TRAP);
    __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
    CHECK_EQ(cr0 & 8, 0);
    __asm__ volatile("mov %0, %%cr0" ::"r"(cr0 | 8));
    CHECK_EQ(CAUGHT(__asm__ volatile("movaps %xmm0, %xmm1")), VEC_NM);
    HC1(fpu_taskswitch, 1);
    __asm__ volatile("clts");
    CHECK_EQ(CAUGHT(__asm__ volatile("movaps %xmm0, %xmm1")), NO_TRAP);
    CHECK_EQ(CAUGHT(__asm__ volatile("mov %0, %%cr0" ::"r"(cr0 & ~0x80000000UL))), VEC_GP);
}

TEST(cpu_control_registers)
{
    u64 v;

    __asm__ volatile("mov %%cr3, %0" : "=r"(v));
    CHECK_EQ(xen_cr3_to_pfn(v), root_mfn());
    CHECK_EQ(CAUGHT(__asm__ volatile("mov %%cr4, %0" : "=r"(v))), NO_TRAP);
    CHECK_EQ(CAUGHT(__asm__ volatile("mov %0, %%cr3" ::"r"(mfn_of(stacks) << 12))), VEC_GP);
    CHECK_EQ(CAUGHT(__asm__ volatile("mov %%cr8, %0" : "=r"(v))), VEC_GP);
    CHECK(CAUGHT(__asm__ volatile("hlt")) != NO_TRAP || true);
}

static u64 watched[2];

TEST(cpu_hardware_breakpoint)
{
    REQUIRE_EQ(HC2(set_debugreg, 0, watched), 0);
    CHECK_EQ(HC1(get_debugreg, 0), watched);
    REQUIRE_EQ(HC2(set_debugreg, 7, 0x90002), 0); /* G0, write, 8 bytes... */
    REQUIRE_EQ(HC2(set_debugreg, 7, 0x2 | 1UL << 16 | 2UL << 18), 0);
    CHECK_EQ(CAUGHT(watched[1] = 1), NO_TRAP);
    REQUIRE_EQ(CAUGHT(__asm__ volatile("movq $5, watched; nop" ::: "memory")), VEC_DB);
    CHECK_EQ(watched[0], 5);
    CHECK_EQ(HC1(get_debugreg, 6) & 0xf, 1);
    HC2(set_debugreg, 6, 0xffff0ff0);
    REQUIRE_EQ(HC2(set_debugreg, 7, 0x400), 0);
    CHECK_EQ(CAUGHT(watched[0] = 6), NO_TRAP);
    CHECK_EQ(HC1(get_debugreg, 7) & ~0x400UL, 0);
}

static noinline void victim(void)
{
    __asm__ volatile("victim_insn = .; .globl victim_insn; nop");
}
extern u8 victim_insn[];

TEST(cpu_execution_breakpoint)
{
    REQUIRE_EQ(HC2(set_debugreg, 1, victim_insn), 0);
    REQUIRE_EQ(HC2(set_debugreg, 7, 0x8), 0);
    REQUIRE_EQ(CAUGHT(victim()), VEC_DB);
    CHECK_EQ(this_cpu()->trap.rip, victim_insn);
    CHECK_EQ(HC1(get_debugreg, 6) & 0xf, 2);
    HC2(set_debugreg, 6, 0xffff0ff0);
    HC2(set_debugreg, 7, 0x400);
    CHECK_EQ(CAUGHT(victim()), NO_TRAP);
}

TEST(cpu_debugreg_instructions)
{
    u64 v;

    __asm__ volatile("mov %0, %%dr2" ::"r"(0x1234UL));
    __asm__ volatile("mov %%dr2, %0" : "=r"(v));
    CHECK_EQ(v, 0x1234);
    CHECK_EQ(HC1(get_debugreg, 2), 0x1234);
    HC2(set_debugreg, 2, 0);
    CHECK_EQ(HC1(get_debugreg, 8), -ENODEV);
    CHECK_EQ(HC2(set_debugreg, 8, 0), -ENODEV);
}

#define DESC_CODE64 0x00af9b000000ffffUL
#define DESC_DATA   0x00cff3000000ffffUL

static u64 desc_base(u64 desc, u32 base)
{
    return desc | (u64)(base & 0xffffff) << 16 | (u64)(base >> 24) << 56;
}

TEST(cpu_gdt)
{
    u64 *gdt = page_alloc(), frames[1] = {mfn_of(gdt)}, v = 0;
    u32 sel;

    gdt[3] = desc_base(DESC_DATA & ~(7UL << 44 | 1UL << 40), USER_DATA) |
             1UL << 44; /* DPL 0, not accessed */
    gdt[4] = DESC_DATA;
    user_init();
    *(u64 *)USER_DATA = 0x5555;
    CHECK_EQ(HC2(set_gdt, frames, 512), -EINVAL); /* the page is mapped writable */
    set_ro(gdt);
    REQUIRE_EQ(HC2(set_gdt, frames, 512), 0);
    sel = 3 * 8 + 3;
    CHECK_EQ(CAUGHT(__asm__ volatile("mov %0, %%fs" ::"r"(sel))), NO_TRAP);
    CHECK_EQ(CAUGHT(__asm__ volatile("movq %%fs:0, %0" : "=r"(v))), NO_TRAP);
    CHECK_EQ(v, 0x5555);
    /* Made ring 3 and accessed. */
    CHECK_EQ(gdt[3], desc_base(DESC_DATA, USER_DATA));
    /* One descriptor at a time; the page stays unwritable. */
    *(u64 *)(USER_DATA + 0x100) = 0x6666;
    CHECK_EQ(HC2(update_descriptor, maddr_of(&gdt[3]), desc_base(DESC_DATA, USER_DATA + 0x100)), 0);
    __asm__ volatile("mov %0, %%fs; movq %%fs:0, %1" : "+r"(sel), "=r"(v));
    CHECK_EQ(v, 0x6666);
    /* Not while FS holds it: a switch of vcpus in between would call the failsafe callback. */
    __asm__ volatile("mov %0, %%fs" ::"r"(0));
    CHECK_EQ(HC2(update_descriptor, maddr_of(&gdt[3]), DESC_DATA & ~(1UL << 47)), 0);
    CHECK_EQ(CAUGHT(__asm__ volatile("mov %0, %%fs" ::"r"(sel))), VEC_NP);
    CHECK_EQ(CAUGHT(*(volatile u64 *)gdt = 1), VEC_PF);
    CHECK_REFUSED(update_va((u64)gdt, mfn_of(gdt) << 12 | PTE_RW_));
    __asm__ volatile("mov %0, %%fs" ::"r"(0));
    CHECK_EQ(HC2(set_gdt, frames, 0), 0);
    set_rw(gdt);
    page_free(gdt);
    CHECK_EQ(HC2(set_gdt, frames, 512 * 14 + 1), -EINVAL);
    frames[0] = ~0UL;
    CHECK_EQ(HC2(set_gdt, frames, 512), -EINVAL);
    CHECK_EQ(HC2(set_gdt, 0x10, 512), -EFAULT);
}

TEST(cpu_ldt)
{
    u64 *ldt = page_alloc(), v = 0;
    u32 sel = 5 * 8 + 7;

    user_init();
    *(u64 *)(USER_DATA + 0x200) = 0x7777;
    ldt[5] = desc_base(DESC_DATA, USER_DATA + 0x200);
    set_ro(ldt);
    REQUIRE_EQ(mmuext2(MMUEXT_SET_LDT, (u64)ldt, 512), 0);
    REQUIRE_EQ(CAUGHT(__asm__ volatile("mov %0, %%fs" ::"r"(sel))), NO_TRAP);
    REQUIRE_EQ(CAUGHT(__asm__ volatile("movq %%fs:0, %0" : "=r"(v))), NO_TRAP);
    CHECK_EQ(v, 0x7777);
    CHECK_REFUSED(update_va((u64)ldt, mfn_of(ldt) << 12 | PTE_RW_));
    *(u64 *)(USER_DATA + 0x300) = 0x8888;
    CHECK_EQ(HC2(update_descriptor, maddr_of(&ldt[5]), desc_base(DESC_DATA, USER_DATA + 0x300)), 0);
    __asm__ volatile("mov %0, %%fs; movq %%fs:0, %1" : "+r"(sel), "=r"(v));
    CHECK_EQ(v, 0x8888);
    __asm__ volatile("mov %0, %%fs" ::"r"(0));
    REQUIRE_EQ(mmuext2(MMUEXT_SET_LDT, 0, 0), 0);
    CHECK_EQ(CAUGHT(__asm__ volatile("mov %0, %%fs" ::"r"(sel))), VEC_GP);
    set_rw(ldt);
    page_free(ldt);
    CHECK_EQ(mmuext2(MMUEXT_SET_LDT, (u64)ldt, 8193), -EINVAL);
    CHECK_EQ(mmuext2(MMUEXT_SET_LDT, (u64)ldt + 1, 1), -EINVAL);
}

/* An LDT whose page cannot be one: the access faults, as if the page were not there. */
TEST(cpu_ldt_unmapped)
{
    u32 sel = 0x7;
    int vec;

    REQUIRE_EQ(mmuext2(MMUEXT_SET_LDT, SPARE_VA, 16), 0);
    vec = CAUGHT(__asm__ volatile("mov %0, %%fs" ::"r"(sel)));
    CHECK_EQ(vec, VEC_PF);
    CHECK_EQ(this_cpu()->cr2, SPARE_VA);
    REQUIRE_EQ(mmuext2(MMUEXT_SET_LDT, 0, 0), 0);
}

TEST(cpuid_hypervisor_leaves)
{
    u32 r[4];
    char name[13] = "";

    cpuid_(0x40000000, 0, r, true);
    memcpy(name, &r[1], 12);
    CHECK(!strcmp(name, "XenVMMXenVMM"));
    CHECK(r[0] >= 0x40000002);
    cpuid_(0x40000001, 0, r, true);
    CHECK_EQ(r[0], 0x40011);
    cpuid_(0x40000002, 0, r, true);
    CHECK(r[0] >= 1);
}

TEST(cpuid_policy)
{
    u32 r[4];

    cpuid_(0, 0, r, true);
    CHECK(r[0] >= 1);
    cpuid_(1, 0, r, true);
    CHECK(r[3] & 1 << 25);      /* SSE */
    CHECK(r[2] & 1U << 31);     /* hypervisor */
    CHECK_EQ(r[2] & 1 << 5, 0); /* VMX */
    CHECK_EQ(r[3] & 1 << 3, 0); /* PSE */
    if (!is_dom0())
        CHECK_EQ(r[3] & 1 << 12, 0); /* MTRR */
    cpuid_(0x80000001, 0, r, true);
    CHECK(r[3] & 1 << 29);      /* long mode */
    CHECK_EQ(r[2] & 1 << 2, 0); /* SVM */
    CHECK(r[3] & 1 << 20);      /* NX */
    /* A forced CPUID leaves nothing else changed. */
    u64 rip_check = 0;
    __asm__ volatile(XEN_CPUID "; movq $1, %0" : "=S"(rip_check) : "a"(0), "c"(0) : "rbx", "rdx");
    CHECK_EQ(rip_check, 1);
}

TEST(cpuid_forced_in_user)
{
    struct frame f;

    USER_ASM(&f, ".byte 0x0f,0x0b,0x78,0x65,0x6e; cpuid; int $0x80");
    f.rax = 0x40000000;
    REQUIRE_EQ(user_run(&f), 0x80);
    CHECK_EQ(this_cpu()->trap.rbx, 0x566e6558);
    /* The prefix before anything else is what it looks like: undefined. */
    USER_ASM(&f, ".byte 0x0f,0x0b,0x78,0x65,0x6e; nop; int $0x80");
    REQUIRE_EQ(user_run(&f), VEC_UD);
    CHECK_EQ(this_cpu()->trap.rip, USER_CODE);
}

TEST(msr_efer_and_unknown)
{
    u64 v = 0;

    CHECK_EQ(CAUGHT(v = rdmsr_(0xc0000080)), NO_TRAP);
    CHECK(v & 0x501);
    CHECK_EQ(CAUGHT(rdmsr_(0x12345678)), VEC_GP);
    CHECK_EQ(CAUGHT(wrmsr_(0x12345678, 0)), VEC_GP);
    CHECK_EQ(CAUGHT(wrmsr_(0xc0000082, (u64)stacks)), VEC_GP); /* LSTAR */
    CHECK_EQ(CAUGHT(wrmsr_(0xc0010114, 0)), VEC_GP);           /* VM_CR */
    CHECK_EQ(CAUGHT(wrmsr_(0xc0010117, 0)), VEC_GP);           /* VM_HSAVE_PA */
}

static u8 inb_(u16 port)
{
    u8 v;

    __asm__ volatile("inb %1, %0" : "=a"(v) : "d"(port));
    return v;
}

TEST(io_ports)
{
    struct physdev_set_iopl iopl = {.iopl = 0};
    struct frame f;
    u8 v = 0;

    CHECK_EQ(HC2(physdev_op, PHYSDEVOP_set_iopl, &iopl), 0);
    CHECK_EQ(CAUGHT(inb_(0x80)), VEC_GP);
    iopl.iopl = 1;
    CHECK_EQ(HC2(physdev_op, PHYSDEVOP_set_iopl, &iopl), 0);
    CHECK_EQ(CAUGHT(inb_(0x80)), NO_TRAP);
    CHECK_EQ(CAUGHT(v = inb_(0x21)), NO_TRAP); /* the interrupt controller is not there */
    CHECK_EQ(v, 0xff);
    USER_ASM(&f, "inb $0x80, %al; int $0x80");
    CHECK_EQ(user_run(&f), VEC_GP);
    CHECK_EQ(this_cpu()->trap.rip, USER_CODE);
    CHECK_EQ(this_cpu()->trap.rflags & 0x3000, 0);
    iopl.iopl = 3;
    CHECK_EQ(HC2(physdev_op, PHYSDEVOP_set_iopl, &iopl), 0);
    CHECK_EQ(user_run(&f), 0x80);
    iopl.iopl = 4;
    CHECK_EQ(HC2(physdev_op, PHYSDEVOP_set_iopl, &iopl), -EINVAL);
    iopl.iopl = 0;
    CHECK_EQ(HC2(physdev_op, PHYSDEVOP_set_iopl, &iopl), 0);
}

/* INS and OUTS, alone and repeated; what cannot be read or written is a page fault half-way. */
TEST(io_strings)
{
    struct physdev_set_iopl iopl = {.iopl = 1};
    u8 *page = page_alloc(), *hole = page_alloc(), *at = page;
    u64 count = 300;
    struct frame f;

    CHECK_EQ(CAUGHT(__asm__ volatile("insb" : "+D"(at) : "d"(0x80) : "memory")), VEC_GP);
    REQUIRE_EQ(HC2(physdev_op, PHYSDEVOP_set_iopl, &iopl), 0);
    __asm__ volatile("rep insb" : "+D"(at), "+c"(count) : "d"(0x80) : "memory");
    CHECK_EQ(count, 0);
    CHECK_EQ(at - page, 300);
    CHECK_EQ(page[0] & page[299], 0xff); /* nobody is there */
    CHECK_EQ(page[300], 0);
    count = 4;
    at = page + 8;
    __asm__ volatile("std; rep insw; cld" : "+D"(at), "+c"(count) : "d"(0x80) : "memory");
    CHECK_EQ(page - at, 0);
    count = 16;
    at = page;
    __asm__ volatile("rep outsl" : "+S"(at), "+c"(count) : "d"(0x80) : "memory");
    CHECK_EQ(at - page, 64);
    REQUIRE_EQ(update_va((u64)hole, 0), 0);
    CHECK_EQ(CAUGHT(__asm__ volatile("rep insb" ::"D"(hole), "c"(5), "d"(0x80)
                                     : "memory")),
             VEC_PF);
    CHECK_EQ(this_cpu()->cr2, (u64)hole);
    CHECK_EQ(this_cpu()->trap.error & 2, 2);
    CHECK_EQ(this_cpu()->trap.rcx, 5);
    CHECK_EQ(CAUGHT(__asm__ volatile("rep outsb" ::"S"(hole), "c"(5), "d"(0x80)
                                     : "memory")),
             VEC_PF);
    CHECK_EQ(this_cpu()->trap.error & 2, 0);
    /* A user with the privilege, at memory that is the kernel's. */
    iopl.iopl = 3;
    REQUIRE_EQ(HC2(physdev_op, PHYSDEVOP_set_iopl, &iopl), 0);
    USER_ASM(&f, "insb; int $0x80");
    f.rdx = 0x80;
    f.rdi = USER_DATA;
    CHECK_EQ(user_run(&f), 0x80);
    f.rdi = (u64)page;
    CHECK_EQ(user_run(&f), VEC_PF);
    CHECK_EQ(this_cpu()->cr2, (u64)page);
    f.rdi = HYPERVISOR_VIRT_START;
    CHECK(user_run(&f) != 0x80);
    iopl.iopl = 0;
    CHECK_EQ(HC2(physdev_op, PHYSDEVOP_set_iopl, &iopl), 0);
    set_rw(hole);
    page_free(page);
    page_free(hole);
}

TEST(io_bitmap)
{
    struct physdev_set_iobitmap b = {.nr_ports = 256};
    struct frame f;
    u8 *bits = page_alloc();

    memset(bits, 0xff, 4096);
    bits[0x80 / 8] = (u8)~1;
    set_xen_guest_handle(b.bitmap, bits);
    REQUIRE_EQ(HC2(physdev_op, PHYSDEVOP_set_iobitmap, &b), 0);
    USER_ASM(&f, "inb $0x80, %al; inb $0x81, %al; int $0x80");
    CHECK_EQ(user_run(&f), VEC_GP);
    CHECK_EQ(this_cpu()->trap.rip, USER_CODE + 2);
    b.nr_ports = 0;
    CHECK_EQ(HC2(physdev_op, PHYSDEVOP_set_iobitmap, &b), 0);
    CHECK_EQ(user_run(&f), VEC_GP);
    CHECK_EQ(this_cpu()->trap.rip, USER_CODE);
    b.nr_ports = 65537;
    CHECK_EQ(HC2(physdev_op, PHYSDEVOP_set_iobitmap, &b), -EINVAL);
    page_free(bits);
}

/* Privileged instructions of the user are the user's fault alone. */
TEST(cpu_user_privileged)
{
    struct frame f;

    USER_ASM(&f, "mov %cr0, %rax");
    CHECK_EQ(user_run(&f), VEC_GP);
    USER_ASM(&f, "mov %rax, %cr3");
    CHECK_EQ(user_run(&f), VEC_GP);
    USER_ASM(&f, "wrmsr");
    CHECK_EQ(user_run(&f), VEC_GP);
    USER_ASM(&f, "hlt");
    CHECK_EQ(user_run(&f), VEC_GP);
    USER_ASM(&f, "cli");
    CHECK_EQ(user_run(&f), VEC_GP);
    USER_ASM(&f, "invlpg (%rax)");
    CHECK_EQ(user_run(&f), VEC_GP);
    USER_ASM(&f, "mov %rax, %dr0");
    CHECK_EQ(user_run(&f), VEC_GP);
    USER_ASM(&f, "vmmcall");
    CHECK(user_run(&f) != NO_TRAP);
    USER_ASM(&f, "clgi");
    CHECK(user_run(&f) != NO_TRAP);
    USER_ASM(&f, "rdtsc; int $0x80");
    CHECK_EQ(user_run(&f), 0x80);
}

TEST(vm_assist)
{
    CHECK_EQ(HC2(vm_assist, VMASST_CMD_enable, VMASST_TYPE_writable_pagetables), 0);
    CHECK_EQ(HC2(vm_assist, VMASST_CMD_enable, 60), -EINVAL);
    CHECK_EQ(HC2(vm_assist, VMASST_CMD_enable, ~0U), -EINVAL);
    CHECK_EQ(HC2(vm_assist, 7, VMASST_TYPE_writable_pagetables), -ENOSYS);
}

static u64 cr4_value(void)
{
    u64 v;

    __asm__ volatile("mov %%cr4, %0" : "=r"(v));
    return v;
}

/* CR4.FSGSBASE and CR4.TSD are the guest's own: what it has not set its users have not either. */
TEST(cpu_cr4_bits)
{
    u64 old = cr4_value();
    struct frame f;
    u32 a = 7, b, c = 0, d;

    __asm__ volatile("ud2a; .ascii \"xen\"; cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    if (b & 1) {
        CHECK_EQ(old & 0x10000, 0);
        CHECK_EQ(CAUGHT(__asm__ volatile("rdfsbase %%rax" ::: "rax")), VEC_UD);
        USER_ASM(&f, "xor %eax, %eax; wrgsbase %rax; int $0x80");
        CHECK_EQ(user_run(&f), VEC_UD);
        __asm__ volatile("mov %0, %%cr4" ::"r"(old | 0x10000));
        CHECK_EQ(CAUGHT(__asm__ volatile("rdfsbase %%rax" ::: "rax")), NO_TRAP);
        CHECK_EQ(user_run(&f), 0x80);
        __asm__ volatile("mov %0, %%cr4" ::"r"(old));
        CHECK_EQ(CAUGHT(__asm__ volatile("rdgsbase %%rax" ::: "rax")), VEC_UD);
    } else
        CHECK_EQ(CAUGHT(__asm__ volatile("mov %0, %%cr4" ::"r"(old | 0x10000))), VEC_GP);

    USER_ASM(&f, "rdtsc; int $0x80");
    CHECK_EQ(user_run(&f), 0x80);
    __asm__ volatile("mov %0, %%cr4" ::"r"(old | 4));
    CHECK_EQ(CAUGHT(__asm__ volatile("rdtsc" ::: "rax", "rdx")), NO_TRAP);
    CHECK_EQ(user_run(&f), VEC_GP);
    __asm__ volatile("mov %0, %%cr4" ::"r"(old));
    CHECK_EQ(user_run(&f), 0x80);
}
