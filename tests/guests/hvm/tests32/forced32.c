// SPDX-License-Identifier: MIT
/* The emulator from inside, in 32-bit code of each mode: see hvm/tests/forced.c. */
#include "guest.h"

#define FEP "ud2\n .ascii \"xen\"\n "

static volatile u32 word;

static void user_code(void)
{
    __asm__ volatile(FEP "incl %0\n" FEP "pushl %%ds\n" FEP "popl %%es\n" FEP "int $0x80"
                     : "+m"(word));
}

static void user_system(void)
{
    __asm__ volatile(FEP "clts");
}

static void forced(void)
{
    u32 a = 5, sel, count = 4;
    u32 from[4] = {1, 2, 3, 4}, to[4], *source = from, *dest = to;

    word = 7;
    __asm__ volatile(FEP "xaddl %0, %1\n" FEP "lock incl %1\n" FEP "pushl %1\n" FEP "popl %0"
                     : "+r"(a), "+m"(word)::"cc", "memory");
    CHECK_EQ(a, 13);
    __asm__ volatile(FEP "rep movsl" : "+c"(count), "+S"(source), "+D"(dest)::"memory");
    CHECK(!memcmp(from, to, sizeof(to)));
    gdt[SEL_SPARE / 8] = descriptor((ulong)from, 15, 0x4092);
    __asm__ volatile(FEP "movl %1, %%fs\n" FEP "movl %%fs:8, %0"
                     : "=r"(a)
                     : "r"(SEL_SPARE)
                     : "memory");
    CHECK_EQ(a, 3);
    CHECK_EQ(gdt[SEL_SPARE / 8] >> 40 & 0xff, 0x93); /* accessed */
    CHECK_EQ(CAUGHT(__asm__ volatile(FEP "movl %%fs:13, %0" : "=r"(a))), VEC_GP);
    CHECK_EQ(CAUGHT(__asm__ volatile(FEP "movl %0, %%fs" ::"r"(0xff8))), VEC_GP);
    CHECK_EQ(this_cpu()->trap.error, 0xff8);
    __asm__ volatile(FEP "movl %0, %%fs" ::"r"(SEL_DATA));
    __asm__ volatile("pushl %1\n pushl $1f\n" FEP "lret\n ud2\n1: movl %%cs, %0"
                     : "=r"(sel)
                     : "i"(SEL_CODE)
                     : "memory");
    CHECK_EQ(sel, SEL_CODE);
    __asm__ volatile("pushfl\n pushl %0\n pushl $1f\n" FEP "iretl\n ud2\n1:" ::"i"(SEL_CODE)
                     : "memory", "cc");
    __asm__ volatile(FEP "ljmp %0, $1f\n ud2\n1:" ::"i"(SEL_CODE));
    __asm__ volatile(FEP "lcall %0, $1f\n jmp 2f\n1:" FEP "lret\n2:" ::"i"(SEL_CODE) : "memory");
    word = 0;
    CHECK_EQ(user_call(user_code), VEC_GATE);
    CHECK_EQ(word, 1);
    CHECK_EQ(user_call(user_system), VEC_GP);
    CHECK_EQ(CAUGHT(__asm__ volatile(FEP "mov %0, %%cr0" ::"r"(0x80000000))), VEC_GP);
    __asm__ volatile(FEP "mov %0, %%cr3" ::"r"(read_cr3()));
    if (mode == UNPAGED)
        return;
    CHECK_EQ(CAUGHT(__asm__ volatile(FEP "movl $1, (%0)" ::"r"(SPARE_VA))), VEC_PF);
    CHECK_EQ(this_cpu()->cr2, SPARE_VA);
}

TEST(narrow_forced)
{
    if (!strstr((char *)boot_info.cmd_line, "fep=1"))
        skip("no hvm_fep");
    in_each_mode(forced);
}
