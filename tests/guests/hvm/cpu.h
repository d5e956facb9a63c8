// SPDX-License-Identifier: MIT
/* Instructions of ring 0 that are the same in PVH guests of both widths: for hvm.h and hvm32.h. */
#pragma once

static inline void wrmsr(u32 msr, u64 val)
{
    __asm__ volatile("wrmsr" ::"a"((u32)val), "d"((u32)(val >> 32)), "c"(msr) : "memory");
}

static inline void cpuid(u32 leaf, u32 sub, u32 out[4])
{
    __asm__ volatile("cpuid"
                     : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
                     : "0"(leaf), "2"(sub));
}

#define DEFINE_REG(r)                                                                              \
    static inline ulong read_##r(void)                                                             \
    {                                                                                              \
        ulong v;                                                                                   \
        __asm__ volatile("mov %%" #r ", %0" : "=r"(v)::"memory");                                  \
        return v;                                                                                  \
    }                                                                                              \
    static inline void write_##r(ulong v)                                                          \
    {                                                                                              \
        __asm__ volatile("mov %0, %%" #r ::"r"(v) : "memory");                                     \
    }
DEFINE_REG(cr0)
DEFINE_REG(cr2)
DEFINE_REG(cr3)
DEFINE_REG(cr4)

static inline void invlpg(const volatile void *p)
{
    __asm__ volatile("invlpg (%0)" ::"r"(p) : "memory");
}
