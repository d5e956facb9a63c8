// SPDX-License-Identifier: MIT
/* A 32-bit guest's own descriptor tables, and segments that are not flat. */
#include "guest.h"

#define CODE32(dpl) (0x00cf9b000000ffffULL | (u64)(dpl) << 45)
#define DATA32(dpl) (0x00cf93000000ffffULL | (u64)(dpl) << 45)
#define BASE(b)     (((u64)(b)&0xffffff) << 16 | ((u64)(b) >> 24 & 0xff) << 56)
#define SEL(i, rpl) ((i)*8 + (rpl))

static u64 *gdt;

static void use_gdt(void)
{
    ulong frame;

    if (!gdt)
        gdt = page_alloc();
    frame = mfn_of(gdt);
    set_ro(gdt);
    REQUIRE_EQ(HC2(set_gdt, &frame, 512), 0);
}

static long set_desc(unsigned i, u64 desc)
{
    u64 at = maddr_of(gdt + i);

    return HC4(update_descriptor, at, at >> 32, desc, desc >> 32);
}

static void no_gdt(void)
{
    __asm__ volatile("mov %0, %%fs; mov %0, %%gs" ::"r"(0));
    REQUIRE_EQ(HC2(set_gdt, 0, 0), 0);
    set_rw(gdt);
}

static u32 fs_word(void)
{
    u32 val;

    __asm__ volatile("movl %%fs:0, %0" : "=r"(val));
    return val;
}

TEST(pae_gdt)
{
    static u32 word = 0x600d;

    use_gdt();
    REQUIRE_EQ(set_desc(5, DATA32(1) | BASE(&word)), 0);
    __asm__ volatile("mov %0, %%fs" ::"r"(SEL(5, 1)));
    CHECK_EQ(fs_word(), 0x600d);
    for (unsigned i = 0; i < 5; i++)
        sleep_ms(2); /* others run: the segment is loaded again */
    CHECK_EQ(fs_word(), 0x600d);
    no_gdt();
}

TEST(pae_gdt_refused)
{
    use_gdt();
    CHECK_REFUSED(set_desc(1, 0x0000ec0000080000ULL)); /* call gate, ring 3 */
    CHECK_REFUSED(set_desc(1, 0x0000ac0000080000ULL)); /* ring 1 */
    CHECK_REFUSED(set_desc(1, 0x0000ee0000080000ULL)); /* interrupt gate */
    CHECK_REFUSED(set_desc(1, 0x0000e90000000067ULL)); /* TSS */
    CHECK_REFUSED(set_desc(1, 0x0000e20000000fffULL)); /* LDT */
    CHECK_REFUSED(set_desc(1, 0x0000e50000000000ULL)); /* task gate */
    CHECK_REFUSED(set_desc(1, 0x00af9b000000ffffULL)); /* 64-bit code */
    CHECK_REFUSED(set_desc(1, 0x00affb000000ffffULL));
    CHECK_EQ(set_desc(1, CODE32(0)), 0);
    CHECK_EQ(gdt[1] >> 45 & 3, 1); /* ring 0 becomes ring 1 */
    CHECK_EQ(set_desc(2, DATA32(3)), 0);
    CHECK_EQ(gdt[2] >> 45 & 3, 3);
    CHECK_EQ(set_desc(1, 0), 0);
    no_gdt();
    gdt[1] = 0x0000ec0000080000ULL;
    ulong frame = mfn_of(gdt);

    set_ro(gdt);
    CHECK_REFUSED(HC2(set_gdt, &frame, 512));
    set_rw(gdt);
    gdt[1] = 0;
    CHECK_REFUSED(HC2(set_gdt, &frame, 512)); /* still writable */
}

TEST(pae_ldt)
{
    static u32 word = 0x1d7;
    u64 *ldt = page_alloc();

    ldt[3] = DATA32(1) | BASE(&word);
    set_ro(ldt);
    REQUIRE_EQ(mmuext2(MMUEXT_SET_LDT, (ulong)ldt, 512), 0);
    __asm__ volatile("mov %0, %%fs" ::"r"(SEL(3, 1) | 4));
    CHECK_EQ(fs_word(), 0x1d7);
    sleep_ms(5);
    CHECK_EQ(fs_word(), 0x1d7);
    __asm__ volatile("mov %0, %%fs" ::"r"(0));
    REQUIRE_EQ(mmuext2(MMUEXT_SET_LDT, 0, 0), 0);
    CHECK_EQ(CAUGHT(AT("mov %0, %%fs", "r"(SEL(3, 1) | 4))), VEC_GP);
    set_rw(ldt);
    page_free(ldt);
}

/*
 * A handler for code whose stack is not flat: leaves its frame in based_frame and returns by the
 * iret hypercall, on the same stack.
 */
void based_entry(void);
extern u32 based_frame[3];
__asm__(".pushsection .bss; .balign 4; .globl based_frame; based_frame: .skip 12; .popsection\n"
        "based_entry:\n"
        "movl (%esp), %eax; movl %eax, based_frame\n"
        "movl 4(%esp), %eax; movl %eax, based_frame + 4\n"
        "movl 8(%esp), %eax; movl %eax, based_frame + 8\n"
        "pushl $0x600d; movl $23, %eax; int $0x82; ud2");

/* The base of the stack's segment counts, for traps and for iret. */
TEST(pae_stack_base)
{
    static u8 stack[4096] __aligned(16);
    struct trap_info t[2] = {
        {.vector = 0x91, .flags = 1 | 4, .cs = FLAT_KERNEL_CS, .address = (ulong)based_entry}};
    u32 at, result;

    use_gdt();
    REQUIRE_EQ(set_desc(6, DATA32(1) | BASE(stack)), 0);
    REQUIRE_EQ(HC1(set_trap_table, t), 0);
    events_off(); /* nothing else knows this stack */
    __asm__ volatile("movl %%esp, %%esi; movl %2, %%ss; movl $4096, %%esp; int $0x91\n"
                     "1: movl %3, %%ss; movl %%esi, %%esp; movl $1b, %0"
                     : "=&b"(at), "=&a"(result)
                     : "c"(SEL(6, 1)), "d"(FLAT_KERNEL_SS)
                     : "esi", "memory", "cc");
    CHECK_EQ(result, 0x600d);
    CHECK_EQ(based_frame[0], at);
    CHECK_EQ(based_frame[1] & 0xffff, FLAT_KERNEL_CS);
    CHECK_EQ(based_frame[1] >> 16, 1); /* events were off */
    CHECK_EQ(*(u32 *)(stack + 4096 - 12), at);
    events_on();
    load_default_traps();
    no_gdt();
}

/* An event finds user code on a segment of its own; iret goes back to it. */
TEST(pae_user_segments)
{
    struct frame f;

    use_gdt();
    user_init();
    REQUIRE_EQ(set_desc(7, DATA32(3) | BASE(USER_DATA)), 0);
    REQUIRE_EQ(set_desc(8, CODE32(3) | BASE(USER_CODE)), 0);
    *(u32 *)USER_DATA = 0xabcd;
    USER_ASM(&f, "movl 0, %eax; int $0x92; nop");
    f.eip = 0;
    f.cs = SEL(8, 3);
    f.ds = SEL(7, 3);
    CHECK_EQ(user_run(&f), VEC_GP); /* found at its linear address */
    CHECK_EQ(this_cpu()->trap.error, 0x92 * 8 + 2);
    CHECK_EQ(this_cpu()->trap.eax, 0xabcd);
    CHECK_EQ(this_cpu()->trap.cs, SEL(8, 3));
    CHECK_EQ(this_cpu()->trap.ds, SEL(7, 3));
    USER_ASM(&f, "movl 0, %eax; int $0x80; nop");
    f.eip = 0;
    f.cs = SEL(8, 3);
    f.ds = SEL(7, 3);
    CHECK_EQ(user_run(&f), 0x80);
    CHECK_EQ(this_cpu()->trap.eip, 7);
    no_gdt();
}
