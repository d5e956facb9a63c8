// SPDX-License-Identifier: MIT
/* Attackers with instructions: those that are the hypervisor's, ports, task switches. */
#include "guest.h"

#define TRAPS(vec, text, ...) CHECK_EQ(CAUGHT(__asm__ volatile(text::__VA_ARGS__ : "memory")), vec)

/* AMD-V, as if the guest had it. */
TEST(attack_svm_instructions)
{
    TRAPS(VEC_UD, ".byte 0x0f, 0x01, 0xd8", "a"(0x1000));    /* vmrun */
    TRAPS(VEC_UD, ".byte 0x0f, 0x01, 0xda", "a"(0x1000));    /* vmload */
    TRAPS(VEC_UD, ".byte 0x0f, 0x01, 0xdb", "a"(0x1000));    /* vmsave */
    TRAPS(VEC_UD, ".byte 0x0f, 0x01, 0xdc");                 /* stgi */
    TRAPS(VEC_UD, ".byte 0x0f, 0x01, 0xdd");                 /* clgi */
    TRAPS(VEC_UD, ".byte 0x0f, 0x01, 0xde", "a"(0x1000));    /* skinit */
    TRAPS(VEC_UD, ".byte 0x0f, 0x01, 0xdf", "a"(0), "c"(1)); /* invlpga */
}

TEST(attack_other_instructions)
{
    TRAPS(VEC_UD, ".byte 0x0f, 0x01, 0xc1");                              /* vmcall */
    TRAPS(VEC_UD, ".byte 0x0f, 0xaa");                                    /* rsm */
    TRAPS(VEC_UD, ".byte 0x0f, 0x01, 0xc8", "a"(0x1000), "c"(0), "d"(0)); /* monitor */
    TRAPS(VEC_UD, ".byte 0x0f, 0x01, 0xc9", "a"(0), "c"(0));              /* mwait */
    TRAPS(VEC_GP, "rdpmc", "c"(0));
    TRAPS(VEC_GP, "rdpmc", "c"(~0u));
    TRAPS(NO_TRAP, "invd");
    TRAPS(NO_TRAP, "wbinvd");
}

TEST(attack_xsetbv)
{
    static const u64 evil[] = {0, 2, 4, 6, 1UL << 62, 1UL << 63, ~0UL, 0x18, 0x20};
    u32 out[4];

    cpuid(1, 0, out);
    if (!(out[2] >> 26 & 1))
        skip("no XSAVE");
    write_cr4(read_cr4() | 1 << 18);
    for (unsigned i = 0; i < ARRAY_SIZE(evil); i++)
        TRAPS(VEC_GP, "xsetbv", "a"((u32)evil[i]), "d"((u32)(evil[i] >> 32)), "c"(0));
    TRAPS(VEC_GP, "xsetbv", "a"(3), "d"(0), "c"(1));
    TRAPS(VEC_GP, "xsetbv", "a"(3), "d"(0), "c"(~0u));
    sleep_ms(1);
    TRAPS(NO_TRAP, "xsetbv", "a"(3), "d"(0), "c"(0));
    write_cr4(read_cr4() & ~(1UL << 18));
}

static void user_call_(void)
{
    u64 nr = __HYPERVISOR_sched_op;

    __asm__ volatile("vmmcall" : "+a"(nr) : "D"(SCHEDOP_yield), "S"(0) : "memory");
    cpus[0].work_arg = nr;
}

static void user_in(void)
{
    __asm__ volatile("in $0x80, %%al" ::: "eax");
}

static void user_ins(void)
{
    __asm__ volatile("rep insb" ::"c"(16), "D"(HOLE), "d"(0x80) : "memory");
}

static void user_wrmsr(void)
{
    wrmsr(0x277, 0);
}

static void user_vmrun(void)
{
    __asm__ volatile(".byte 0x0f, 0x01, 0xd8" ::"a"(0x1000));
}

static void user_wbinvd(void)
{
    __asm__ volatile("wbinvd");
}

/* The APIC's page is open to ring 3 here: that is what page tables are for, and not an attack. */
TEST(attack_from_ring3)
{
    CHECK_EQ(user_call(user_call_), VEC_GATE);
    CHECK_EQ(cpus[0].work_arg, -EPERM);
    CHECK_EQ(user_call(user_in), VEC_GP);
    CHECK_EQ(user_call(user_ins), VEC_GP);
    CHECK_EQ(user_call(user_wrmsr), VEC_GP);
    CHECK_EQ(user_call(user_wbinvd), VEC_GP);
    CHECK(user_call(user_vmrun) != VEC_GATE);
}

TEST(attack_port_sweep)
{
    for (u32 port = 0; port < 0x10000; port += port < 0x1000 || port >= 0xfff0 ? 1 : 61) {
        u32 val = 0;

        __asm__ volatile("inb %%dx, %%al" : "+a"(val) : "d"(port));
        __asm__ volatile("inw %%dx, %%ax" : "+a"(val) : "d"(port));
        __asm__ volatile("inl %%dx, %%eax" : "+a"(val) : "d"(port));
        __asm__ volatile("outb %%al, %%dx\n outw %%ax, %%dx\n outl %%eax, %%dx" ::"a"(0),
                         "d"(port));
    }
}

/* Strings of which a part has no memory behind it, at both ends of it; and in the wrong direction.
 */
TEST(attack_port_strings)
{
    u8 *page = page_alloc();

    map_at(SPARE_VA, (u64)page | PTE_RW_);
    TRAPS(VEC_PF, "rep insb", "c"(1UL << 40), "D"(SPARE_VA + 4090), "d"(0x80));
    CHECK_EQ(this_cpu()->cr2, SPARE_VA + 4096);
    CHECK_EQ(this_cpu()->trap.rdi, SPARE_VA + 4096);
    TRAPS(VEC_PF, "rep insl", "c"(~0UL), "D"(SPARE_VA + 4094), "d"(0xffff));
    TRAPS(VEC_PF, "rep outsw", "c"(~0UL), "S"(SPARE_VA + 4095), "d"(0x80));
    TRAPS(VEC_PF, "std\n rep outsb\n cld", "c"(5000), "S"(SPARE_VA + 16), "d"(0x80));
    TRAPS(VEC_GP, "rep insl", "c"(2), "D"(0x00007ffffffffffe), "d"(0x80));
    TRAPS(VEC_GP, "rep outsb", "c"(2), "S"(1UL << 63), "d"(0x80));
    TRAPS(NO_TRAP, "rep insb", "c"(0), "D"(1UL << 63), "d"(0x80));
    TRAPS(NO_TRAP, "rep insl", "c"(64), "D"(HOLE + 4090), "d"(0x80));
    TRAPS(NO_TRAP, "rep outsl", "c"(64), "S"(HOLE + 4090), "d"(0x80));
    map_at(SPARE_VA, 0);
    page_free(page);
}

/* Comes in the midst of the instruction, or tries again. */
static bool stop_string(struct frame *f)
{
    if (*(u8 *)f->rip == 0xf3)
        f->rcx = 1;
    else
        apic_timer(100000);
    apic_write(APIC_EOI, 0);
    return true;
}

/* A string without end leaves the guest its interrupts, and dom0 the CPU. */
TEST(attack_endless_strings)
{
    u64 left;

    hooks[VEC_TIMER] = stop_string;
    apic_timer(100000);
    __asm__ volatile("rep outsb" : "=c"(left) : "0"(~0UL), "S"(0x100000), "d"(0x80) : "memory");
    CHECK_EQ(left, 0);
    apic_timer(100000);
    __asm__ volatile("rep stosb" : "=c"(left) : "0"(~0UL), "D"(HOLE), "a"(0) : "memory");
    CHECK_EQ(left, 0);
}

/* --- task switches: emulated, refused or the end; there are none in 64-bit mode --- */

#define GDT_SPARE 24

TEST(attack_task_gates)
{
    u64 old0 = idt[2 * 0x50], old1 = idt[2 * 0x50 + 1];

    idt[2 * 0x50] = (u64)SEL_TSS << 16 | 0x850000000000;
    idt[2 * 0x50 + 1] = 0;
    TRAPS(VEC_GP, "int $0x50");
    idt[2 * 0x50] = old0;
    idt[2 * 0x50 + 1] = old1;
    gdt[GDT_SPARE] = 0x00008b0000000067; /* a busy 32-bit TSS */
    gdt[GDT_SPARE + 1] = 0;
    TRAPS(VEC_GP, "push %0\n push $0\n lretq", "r"((u64)GDT_SPARE * 8));
}

TEST(attack_nested_task_flag)
{
    /* IRET with NT is a task switch, and in 64-bit mode #GP. */
    TRAPS(VEC_GP, "pushfq\n orl $0x4000, (%%rsp)\n popfq\n iretq");
    __asm__ volatile("pushfq\n andl $~0x4000, (%%rsp)\n popfq" ::: "memory", "cc");
}

static u64 stepped[16];
static unsigned steps;

static bool note_step(struct frame *f)
{
    if (steps < ARRAY_SIZE(stepped))
        stepped[steps++] = f->rip;
    return true;
}

/* Behind each instruction comes its #DB, whether or not the guest was left for it. */
TEST(insns_one_by_one)
{
    u64 at[6], a, b = 0, c, d;

    steps = 0;
    hooks[VEC_DB] = note_step;
    __asm__ volatile("lea 1f(%%rip), %%rax\n mov %%rax, 0(%[at])\n"
                     "lea 2f(%%rip), %%rax\n mov %%rax, 8(%[at])\n"
                     "lea 3f(%%rip), %%rax\n mov %%rax, 16(%[at])\n"
                     "lea 4f(%%rip), %%rax\n mov %%rax, 24(%[at])\n"
                     "lea 5f(%%rip), %%rax\n mov %%rax, 32(%[at])\n"
                     "lea 6f(%%rip), %%rax\n mov %%rax, 40(%[at])\n"
                     "xor %%edi, %%edi\n"
                     "pushfq\n orl $0x100, (%%rsp)\n popfq\n"
                     "xor %%eax, %%eax\n"
                     "1: cpuid\n"
                     "2: mov %[call], %%eax\n"
                     "3: vmmcall\n"
                     "4: in $0x80, %%al\n"
                     "5: mov $0x10, %%ecx\n"
                     "6: pushfq\n andl $~0x100, (%%rsp)\n popfq"
                     : "=a"(a), "+b"(b), "=c"(c), "=d"(d)
                     : [at] "r"(at), [call] "i"(__HYPERVISOR_xen_version)
                     : "rdi", "rsi", "r10", "r8", "r9", "r11", "memory", "cc");
    hooks[VEC_DB] = NULL;
    REQUIRE(steps >= ARRAY_SIZE(at));
    for (unsigned i = 0; i < ARRAY_SIZE(at); i++)
        CHECK_EQ(stepped[i], at[i]);
}

static u64 hit;

static bool note_hit(struct frame *f)
{
    hit = f->rip;
    write_dr7(0x400);
    return true;
}

/* The resume flag is good for one instruction, also for one that the guest was left for. */
TEST(insns_resume_flag)
{
    u64 behind, a = 0, b, c = 0, d;

    hooks[VEC_DB] = note_hit;
    hit = 0;
    __asm__ volatile("lea 2f(%%rip), %[behind]\n"
                     "mov %[behind], %%dr0\n"
                     "mov $0x401, %%ecx\n mov %%rcx, %%dr7\n xor %%ecx, %%ecx\n"
                     "mov %%rsp, %%rdx\n"
                     "mov %%ss, %%ebx\n push %%rbx\n push %%rdx\n"
                     "pushfq\n orl $0x10000, (%%rsp)\n"
                     "mov %%cs, %%ebx\n push %%rbx\n"
                     "lea 1f(%%rip), %%rbx\n push %%rbx\n"
                     "iretq\n"
                     "1: cpuid\n"
                     "2: nop"
                     : [behind] "=&r"(behind), "+a"(a), "=&b"(b), "+c"(c), "=&d"(d)
                     :
                     : "memory", "cc");
    write_dr7(0x400);
    hooks[VEC_DB] = NULL;
    CHECK_EQ(hit, behind);
}
