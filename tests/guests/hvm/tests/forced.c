// SPDX-License-Identifier: MIT
/*
 * The emulator from inside: instructions behind the prefix that the hypervisor's option hvm_fep
 * makes one, in 64-, 32- and 16-bit code.  The word fep=1 says that the option is there; without it
 * the prefix is an undefined instruction.
 */
#include "guest.h"

#define FEP "ud2\n .ascii \"xen\"\n "

static bool expected(void)
{
    return strstr((char *)boot_info.cmd_line, "fep=1");
}

static void need_prefix(void)
{
    if (!expected())
        skip("no hvm_fep");
}

#define FORCED(vec, text, ...)                                                                     \
    CHECK_EQ(CAUGHT(__asm__ volatile(FEP text::__VA_ARGS__ : "memory", "cc")), vec)

TEST(forced_prefix)
{
    FORCED(expected() ? NO_TRAP : VEC_UD, "nop");
    CHECK_EQ(CAUGHT(__asm__ volatile("ud2")), VEC_UD);
    CHECK_EQ(CAUGHT(__asm__ volatile("ud2\n .ascii \"xem\"")), VEC_UD);
}

static u64 word;

TEST(forced_moves_and_sums)
{
    u64 a = 5, b = 7, count = 16;
    u8 from[16] = "0123456789abcde", to[16], *source = from, *dest = to, carry;

    need_prefix();
    __asm__ volatile(FEP "xaddq %0, %1\n" FEP "sbbq $100, %0\n" FEP "setc %2"
                     : "+r"(a), "+m"(b), "=q"(carry)::"cc", "memory");
    CHECK_EQ(a, 7 - 100);
    CHECK_EQ(b, 12);
    CHECK_EQ(carry, 1);
    __asm__ volatile(FEP "lock xaddq %0, %1\n" FEP "pushq %1\n" FEP "popq %0\n" FEP
                         "lock btsq $40, %1"
                     : "+r"(a), "+m"(b)::"cc", "memory");
    CHECK_EQ(a, 12 + 7 - 100);
    CHECK_EQ(b, (u64)(12 + 7 - 100) | 1UL << 40);
    word = 3;
    a = 3;
    __asm__ volatile(FEP "lock cmpxchgq %2, %1\n" FEP "setz %3"
                     : "+a"(a), "+m"(word), "+r"(b), "=q"(carry)::"cc", "memory");
    CHECK_EQ(carry, 1);
    CHECK_EQ(word, b);
    __asm__ volatile(FEP "rep movsb" : "+c"(count), "+S"(source), "+D"(dest)::"memory");
    CHECK(!memcmp(from, to, 16));
    CHECK_EQ(count, 0);
    __asm__ volatile(FEP "movdqu (%0), %%xmm3\n" FEP "movdqu %%xmm3, (%1)" ::"r"(from), "r"(to + 0)
                     : "memory");
    CHECK(!memcmp(from, to, 16));
}

/* What the emulator lacks is the CPU's. */
TEST(forced_arithmetic)
{
    u64 cr0 = read_cr0(), val = 0;

    need_prefix();
    __asm__ volatile("movq %1, %%xmm2\n" FEP "paddq %%xmm2, %%xmm2\n movq %%xmm2, %0"
                     : "=r"(val)
                     : "r"(21UL));
    CHECK_EQ(val, 42);
    write_cr0(cr0 | 8);
    FORCED(VEC_NM, "fnop");
    FORCED(VEC_NM, "movdqu (%0), %%xmm1", "r"(&word));
    write_cr0(cr0 | 4);
    FORCED(VEC_NM, "fld1");
    FORCED(VEC_UD, "movdqu (%0), %%xmm1", "r"(&word));
    FORCED(VEC_UD, "movq (%0), %%mm1", "r"(&word));
    write_cr0(cr0);
}

TEST(forced_faults)
{
    need_prefix();
    FORCED(VEC_UD, "ud2");
    FORCED(VEC_PF, "movl $1, (%0)", "r"(SPARE_VA + 5));
    CHECK_EQ(this_cpu()->cr2, SPARE_VA + 5);
    CHECK_EQ(this_cpu()->trap.error, 2);
    CHECK_EQ(*(u8 *)this_cpu()->trap.rip, 0xc7); /* the instruction itself, not the prefix */
    FORCED(VEC_GP, "movl $1, (%0)", "r"(1UL << 63));
    FORCED(VEC_SS, "movl $1, (%%rsp, %0)", "r"(1UL << 62));
    FORCED(VEC_DE, "divl %0", "r"(0), "a"(1), "d"(0));
    FORCED(VEC_UD, ".byte 0xf0\n movl %0, (%1)", "r"(0), "r"(&word));
    FORCED(VEC_GP, "rdmsr", "c"(0x12345));
    FORCED(VEC_GP, "mov %0, %%cr4", "r"(1UL << 40));
    FORCED(VEC_GP, "mov %0, %%cr0", "r"(1UL << 31));
    FORCED(VEC_UD, "mov %0, %%cr5", "r"(0UL));
    FORCED(VEC_GP, "ltr %w0", "r"(SEL_DATA));
    FORCED(VEC_GP, "lldt %w0", "r"(8 * GDT_WORDS));
    CHECK_EQ(this_cpu()->trap.error, 8 * GDT_WORDS);
    FORCED(VEC_BP, "int3");
    FORCED(VEC_GATE, "int $0x80");
    CHECK_EQ(*(u16 *)(this_cpu()->trap.rip - 2), 0x80cd); /* behind it */
}

TEST(forced_system)
{
    u64 cr0 = read_cr0(), val;
    struct table_ptr p = {0};
    u32 lo, hi, out[4], native[4];

    need_prefix();
    __asm__ volatile(FEP "mov %%cr3, %0" : "=r"(val));
    CHECK_EQ(val, read_cr3());
    write_cr0(cr0 | 8);
    FORCED(NO_TRAP, "clts");
    CHECK_EQ(read_cr0(), cr0);
    FORCED(NO_TRAP, "mov %0, %%cr0", "r"(cr0 & ~0x10000UL));
    CHECK_EQ(read_cr0(), cr0 & ~0x10000UL);
    write_cr0(cr0);
    FORCED(NO_TRAP, "mov %0, %%cr3", "r"(read_cr3()));
    __asm__ volatile(FEP "sgdt %0" : "=m"(p));
    CHECK_EQ(p.base, gdt_ptr.base);
    CHECK_EQ(p.limit, gdt_ptr.limit);
    FORCED(NO_TRAP, "lgdt %0", "m"(gdt_ptr));
    FORCED(NO_TRAP, "lidt %0", "m"(idt_ptr));
    FORCED(NO_TRAP, "lldt %w0", "r"(0));
    FORCED(NO_TRAP, "invlpg (%0)", "r"(&word));
    FORCED(NO_TRAP, "wbinvd");
    __asm__ volatile(FEP "cpuid"
                     : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
                     : "0"(0), "2"(0));
    cpuid(0, 0, native);
    CHECK(!memcmp(out, native, sizeof(out)));
    __asm__ volatile(FEP "rdmsr" : "=a"(lo), "=d"(hi) : "c"(MSR_EFER));
    CHECK_EQ(lo, rdmsr(MSR_EFER));
    FORCED(NO_TRAP, "wrmsr", "a"(0x1000), "d"(0), "c"(0xc0000100));
    CHECK_EQ(rdmsr(0xc0000100), 0x1000);
    wrmsr(0xc0000100, 0);
    __asm__ volatile(FEP "rdtsc" : "=a"(lo), "=d"(hi));
    CHECK(rdtsc_() > ((u64)hi << 32 | lo));
}

#define GDT_SPARE 28

/* Segment registers; the descriptor is marked accessed, as by the CPU. */
TEST(forced_segments)
{
    u32 sel;

    need_prefix();
    gdt[GDT_SPARE] = 0x00cf92000000ffff;
    FORCED(NO_TRAP, "movl %0, %%es", "r"(GDT_SPARE * 8));
    CHECK_EQ(gdt[GDT_SPARE], 0x00cf93000000ffff);
    __asm__ volatile("movl %%es, %0" : "=r"(sel));
    CHECK_EQ(sel, GDT_SPARE * 8);
    gdt[GDT_SPARE] = 0x00cf12000000ffff; /* not present */
    FORCED(VEC_NP, "movl %0, %%es", "r"(GDT_SPARE * 8));
    CHECK_EQ(this_cpu()->trap.error, GDT_SPARE * 8);
    FORCED(VEC_GP, "movl %0, %%es", "r"(8 * GDT_WORDS));
    FORCED(VEC_SS, "movl %0, %%ss", "r"(GDT_SPARE * 8));
    FORCED(VEC_GP, "movl %0, %%ss", "r"(3));
    FORCED(NO_TRAP, "movl %0, %%es", "r"(0));
    FORCED(NO_TRAP, "movl %0, %%ss", "r"(SEL_DATA));
    FORCED(NO_TRAP, "movl %0, %%es", "r"(SEL_DATA));
    gdt[GDT_SPARE] = 0;
}

TEST(forced_far_transfers)
{
    u64 kept = 0;

    need_prefix();
    __asm__ volatile("pushq %1\n leaq 1f(%%rip), %0\n pushq %0\n" FEP "lretq\n ud2\n1:"
                     : "=&r"(kept)
                     : "r"((u64)SEL_CODE)
                     : "memory");
    __asm__ volatile("movl %%ss, %k0\n movq %%rsp, %%rcx\n pushq %0\n pushq %%rcx\n pushfq\n"
                     "pushq %1\n leaq 1f(%%rip), %0\n pushq %0\n" FEP "iretq\n ud2\n1:"
                     : "=&r"(kept)
                     : "r"((u64)SEL_CODE)
                     : "rcx", "memory", "cc");
}

/* --- narrower code --- */

#define FEP_ "    ud2\n    .ascii \"xen\"\n    "
extern u8 forced32_code[], forced16_begin[], forced16_end[], forced_real_begin[], forced_real_end[];
__asm__(".text\n"
        "    .code32\n"
        "forced32_code:\n" /* called from 64-bit code */
        FEP_ "movl $0x10, %ecx\n" FEP_ "movl %ecx, %es\n" FEP_ "pushl $0x1234\n" FEP_
        "popl %eax\n" FEP_ "ljmp $0x18, $1f\n"
        "    ud2\n"
        "1:\n" FEP_ "call 2f\n" FEP_ "addl $1, %eax\n" FEP_ "lret\n"
        "2:\n" FEP_ "incl %eax\n" FEP_ "pushal\n" FEP_ "popal\n" FEP_ "ret\n"
        "    .code16\n"
        "forced16_begin:\n" /* likewise, at 0x9000 */
        "    xorl %eax, %eax\n" FEP_ "movw $0x28, %cx\n" FEP_ "movw %cx, %es\n" FEP_
        "pushw $0x55aa\n" FEP_ "popw %ax\n" FEP_ "ljmp $0x20, $(0x9000 + 1f - forced16_begin)\n"
        "    ud2\n"
        "1:\n" FEP_ "call 2f\n" FEP_ "lretl\n"
        "2:\n" FEP_ "incw %ax\n" FEP_ "ret\n"
        "forced16_end:\n"
        "forced_real_begin:\n" /* real mode, at 0x9000; what it finds out goes to 0x7000 */
        "    xorw %ax, %ax\n"
        "    movw %ax, %ss\n"
        "    movw $0x6f00, %sp\n" FEP_ "movw %ax, %ds\n" FEP_ "movw %ax, %es\n" FEP_
        "movw $(0x9000 + 3f - forced_real_begin), 0x84\n" FEP_ "movw %ax, 0x86\n" FEP_
        "pushw $0x1111\n" FEP_ "popw 0x7004\n" FEP_ "int $0x21\n" FEP_
        "ljmp $0, $(0x9000 + 1f - forced_real_begin)\n"
        "    ud2\n"
        "1:\n" FEP_ "movw %cs, 0x7006\n" FEP_ "movl $0x600d600d, 0x7000\n"
        "2:  pause\n"
        "    jmp 2b\n"
        "3:\n" FEP_ "incw 0x7004\n" FEP_ "iret\n"
        "forced_real_end:\n"
        "    .code64\n");

/* What the code there leaves in EAX.  SS may be null, after interrupts of ring 3. */
static u32 call_narrow(u16 sel, u64 at)
{
    struct {
        u32 at;
        u16 sel;
    } __attribute__((packed)) to = {at, sel};
    u64 res = 0;

    __asm__ volatile("movl %2, %%ss\n pushq %%rbp\n lcall *(%1)\n popq %%rbp\n movl %2, %%es"
                     : "+a"(res)
                     : "r"(&to), "d"(SEL_DATA)
                     : "rbx", "rcx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
    return res;
}

TEST(forced_in_32_bits)
{
    need_prefix();
    CHECK_EQ(call_narrow(SEL_CODE32, (u64)forced32_code), 0x1234 + 2);
}

TEST(forced_in_16_bits)
{
    need_prefix();
    memcpy((void *)REAL_PAGE, forced16_begin, forced16_end - forced16_begin);
    CHECK_EQ(call_narrow(SEL_CODE16, REAL_PAGE), 0x55ab);
}

TEST(forced_in_real_mode)
{
    volatile u32 *data = (u32 *)REAL_DATA;

    need_prefix();
    data[0] = data[1] = 0;
    data[1] = 0xffff0000;
    start_real(forced_real_begin, forced_real_end);
    for (unsigned ms = 0; data[0] != 0x600d600d && ms < 5000; ms++)
        sleep_ms(1);
    CHECK_EQ(data[0], 0x600d600d);
    CHECK_EQ(data[1], 0x1112);
    restart_cpu(1);
}
