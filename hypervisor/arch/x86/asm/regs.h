// SPDX-License-Identifier: MIT
/* Control registers, flags, CPUID and the instructions that go with them. */
#pragma once

#define CR0_PE (1UL << 0)
#define CR0_MP (1UL << 1)
#define CR0_EM (1UL << 2)
#define CR0_TS (1UL << 3)
#define CR0_ET (1UL << 4)
#define CR0_NE (1UL << 5)
#define CR0_WP (1UL << 16)
#define CR0_AM (1UL << 18)
#define CR0_NW (1UL << 29)
#define CR0_CD (1UL << 30)
#define CR0_PG (1UL << 31)

#define CR4_VME        (1UL << 0)
#define CR4_PVI        (1UL << 1)
#define CR4_TSD        (1UL << 2)
#define CR4_DE         (1UL << 3)
#define CR4_PSE        (1UL << 4)
#define CR4_PAE        (1UL << 5)
#define CR4_MCE        (1UL << 6)
#define CR4_PGE        (1UL << 7)
#define CR4_PCE        (1UL << 8)
#define CR4_OSFXSR     (1UL << 9)
#define CR4_OSXMMEXCPT (1UL << 10)
#define CR4_UMIP       (1UL << 11)
#define CR4_LA57       (1UL << 12)
#define CR4_VMXE       (1UL << 13)
#define CR4_FSGSBASE   (1UL << 16)
#define CR4_PCIDE      (1UL << 17)
#define CR4_OSXSAVE    (1UL << 18)
#define CR4_SMEP       (1UL << 20)
#define CR4_SMAP       (1UL << 21)
#define CR4_PKE        (1UL << 22)

#define EFLAGS_CF   (1UL << 0)
#define EFLAGS_MBS  (1UL << 1) /* always set */
#define EFLAGS_PF   (1UL << 2)
#define EFLAGS_AF   (1UL << 4)
#define EFLAGS_ZF   (1UL << 6)
#define EFLAGS_SF   (1UL << 7)
#define EFLAGS_TF   (1UL << 8)
#define EFLAGS_IF   (1UL << 9)
#define EFLAGS_DF   (1UL << 10)
#define EFLAGS_OF   (1UL << 11)
#define EFLAGS_IOPL (3UL << 12)
#define EFLAGS_NT   (1UL << 14)
#define EFLAGS_RF   (1UL << 16)
#define EFLAGS_VM   (1UL << 17)
#define EFLAGS_AC   (1UL << 18)
#define EFLAGS_VIF  (1UL << 19)
#define EFLAGS_VIP  (1UL << 20)
#define EFLAGS_ID   (1UL << 21)

#define XCR0_X87 (1ULL << 0)
#define XCR0_SSE (1ULL << 1)
#define XCR0_YMM (1ULL << 2)

#ifndef __ASSEMBLY__
#include <stdint.h>
#include "lib/compiler.h"

#define DEFINE_CR_(n)                                                                              \
    static inline unsigned long read_cr##n(void)                                                   \
    {                                                                                              \
        unsigned long val;                                                                         \
                                                                                                   \
        __asm__ volatile("mov %%cr" #n ", %0" : "=r"(val)::"memory");                              \
        return val;                                                                                \
    }                                                                                              \
    static inline void write_cr##n(unsigned long val)                                              \
    {                                                                                              \
        __asm__ volatile("mov %0, %%cr" #n ::"r"(val) : "memory");                                 \
    }
DEFINE_CR_(0)
DEFINE_CR_(2)
DEFINE_CR_(3)
/* CR4 is also kept in cpu_info()->cr4; use cpu_write_cr4() (asm/processor.h) after boot. */
DEFINE_CR_(4)
DEFINE_CR_(8)
#undef DEFINE_CR_

#define DEFINE_DR_(n)                                                                              \
    static inline unsigned long read_dr##n(void)                                                   \
    {                                                                                              \
        unsigned long val;                                                                         \
                                                                                                   \
        __asm__ volatile("mov %%db" #n ", %0" : "=r"(val));                                        \
        return val;                                                                                \
    }                                                                                              \
    static inline void write_dr##n(unsigned long val)                                              \
    {                                                                                              \
        __asm__ volatile("mov %0, %%db" #n ::"r"(val));                                            \
    }
DEFINE_DR_(0)
DEFINE_DR_(1)
DEFINE_DR_(2)
DEFINE_DR_(3)
DEFINE_DR_(6)
DEFINE_DR_(7)
#undef DEFINE_DR_

static inline void invlpg(unsigned long va)
{
    __asm__ volatile("invlpg (%0)" ::"r"(va) : "memory");
}

static inline uint64_t xgetbv(uint32_t index)
{
    uint32_t lo, hi;

    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(index));
    return lo | (uint64_t)hi << 32;
}

static inline void xsetbv(uint32_t index, uint64_t val)
{
    __asm__ volatile("xsetbv" ::"c"(index), "a"((uint32_t)val), "d"((uint32_t)(val >> 32))
                     : "memory");
}

static inline void clts(void)
{
    __asm__ volatile("clts" ::: "memory");
}

static inline void wbinvd(void)
{
    __asm__ volatile("wbinvd" ::: "memory");
}

struct cpuid_regs {
    uint32_t a, b, c, d;
};

static inline struct cpuid_regs cpuid_count(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid_regs r;

    __asm__ volatile("cpuid"
                     : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d)
                     : "a"(leaf), "c"(subleaf));
    return r;
}

static inline struct cpuid_regs cpuid(uint32_t leaf)
{
    return cpuid_count(leaf, 0);
}
#endif
