// SPDX-License-Identifier: MIT
/* Vector registers to and from what is no RAM: reads find all ones, writes go nowhere. */
#include "guest.h"

TEST(vectors_mmx)
{
    u64 val = 5, other = 7;
    u32 half = 0;

    __asm__ volatile("movq (%2), %%mm1\n movq %%mm1, %0\n movd 4(%2), %%mm2\n movq %%mm2, %1\n"
                     "movq %%mm2, (%2)\n movntq %%mm2, 8(%2)\n movd %%mm1, 16(%2)\n"
                     "maskmovq %%mm1, %%mm2\n emms"
                     : "=m"(val), "=m"(other)
                     : "r"(HOLE), "D"(HOLE)
                     : "memory");
    CHECK_EQ(val, ~0UL);
    CHECK_EQ(other, 0xffffffff);
    __asm__ volatile("movq (%1), %%mm7\n movd %%mm7, %0\n emms"
                     : "=m"(half)
                     : "r"(HOLE)
                     : "memory");
    CHECK_EQ(half, ~0u);
}

/* A division by zero waits; what was moved is another matter. */
TEST(vectors_mmx_and_fpu_exception)
{
    u16 control = 0x37b;

    CHECK_EQ(
        CAUGHT(__asm__ volatile(
            "fninit\n fldcw %0\n fld1\n fldz\n fdivrp\n movq %%mm0, (%1)" ::"m"(control), "r"(HOLE)
            : "memory")),
        VEC_MF);
    __asm__ volatile("fnclex\n fninit");
}

TEST(vectors_by_mask)
{
    u8 to[16] = {0}, mask[16] = {0x80, 0, 0xff, [15] = 0x80};

    __asm__ volatile("movdqu (%0), %%xmm4\n lddqu (%0), %%xmm5\n movdqu (%1), %%xmm6\n"
                     "maskmovdqu %%xmm6, %%xmm4" ::"r"(HOLE),
                     "r"(mask), "D"(HOLE)
                     : "memory");
    __asm__ volatile("maskmovdqu %%xmm6, %%xmm5" ::"D"(to) : "memory");
    CHECK_EQ(to[0] & to[2] & to[15], 0xff);
    CHECK_EQ(to[1] | to[3] | to[14], 0);
}
