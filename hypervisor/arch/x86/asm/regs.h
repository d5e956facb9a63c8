// SPDX-License-Identifier: MIT
/* Control registers, flags, CPUID and the instructions that go with them. */
#pragma once
#include "asm/const.h"

#define CR0_PE (UL_(1) << 0)
#define CR0_MP (UL_(1) << 1)
#define CR0_EM (UL_(1) << 2)
#define CR0_TS (UL_(1) << 3)
#define CR0_ET (UL_(1) << 4)
#define CR0_NE (UL_(1) << 5)
#define CR0_WP (UL_(1) << 16)
#define CR0_AM (UL_(1) << 18)
#define CR0_NW (UL_(1) << 29)
#define CR0_CD (UL_(1) << 30)
#define CR0_PG (UL_(1) << 31)
/* All that there are. */
#define CR0_VALID                                                                                  \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD |     \
     CR0_PG)

#define CR3_PCID     UL_(0xfff)
#define CR3_NO_FLUSH (UL_(1) << 63) /* in what is written, with PCIDs */

#define CR4_VME        (UL_(1) << 0)
#define CR4_PVI        (UL_(1) << 1)
#define CR4_TSD        (UL_(1) << 2)
#define CR4_DE         (UL_(1) << 3)
#define CR4_PSE        (UL_(1) << 4)
#define CR4_PAE        (UL_(1) << 5)
#define CR4_MCE        (UL_(1) << 6)
#define CR4_PGE        (UL_(1) << 7)
#define CR4_PCE        (UL_(1) << 8)
#define CR4_OSFXSR     (UL_(1) << 9)
#define CR4_OSXMMEXCPT (UL_(1) << 10)
#define CR4_UMIP       (UL_(1) << 11)
#define CR4_LA57       (UL_(1) << 12)
#define CR4_VMXE       (UL_(1) << 13)
#define CR4_FSGSBASE   (UL_(1) << 16)
#define CR4_PCIDE      (UL_(1) << 17)
#define CR4_OSXSAVE    (UL_(1) << 18)
#define CR4_SMEP       (UL_(1) << 20)
#define CR4_SMAP       (UL_(1) << 21)
#define CR4_PKE        (UL_(1) << 22)
#define CR4_CET        (UL_(1) << 23)

#define EFLAGS_CF   (UL_(1) << 0)
#define EFLAGS_MBS  (UL_(1) << 1) /* always set */
#define EFLAGS_PF   (UL_(1) << 2)
#define EFLAGS_AF   (UL_(1) << 4)
#define EFLAGS_ZF   (UL_(1) << 6)
#define EFLAGS_SF   (UL_(1) << 7)
#define EFLAGS_TF   (UL_(1) << 8)
#define EFLAGS_IF   (UL_(1) << 9)
#define EFLAGS_DF   (UL_(1) << 10)
#define EFLAGS_OF   (UL_(1) << 11)
#define EFLAGS_IOPL (UL_(3) << 12)
#define EFLAGS_NT   (UL_(1) << 14)
#define EFLAGS_RF   (UL_(1) << 16)
#define EFLAGS_VM   (UL_(1) << 17)
#define EFLAGS_AC   (UL_(1) << 18)
#define EFLAGS_VIF  (UL_(1) << 19)
#define EFLAGS_VIP  (UL_(1) << 20)
#define EFLAGS_ID   (UL_(1) << 21)

#define XCR0_X87    (UL_(1) << 0)
#define XCR0_SSE    (UL_(1) << 1)
#define XCR0_YMM    (UL_(1) << 2)
#define XCR0_AVX512 (UL_(7) << 5) /* three components, which only come together */
#define XCR0_PKRU   (UL_(1) << 9)

#ifndef __ASSEMBLY__
#include <stdbool.h>
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

/* How many bits of a linear address page tables translate: of five levels, or of four. */
static inline unsigned linear_bits(bool la57)
{
    return la57 ? 57 : 48;
}

static inline bool canonical(uint64_t addr, unsigned bits)
{
    /* The upper bits are alike: none is set, which wraps round, or all are. */
    return (addr >> (bits - 1)) - 1 >= (1ULL << (65 - bits)) - 2;
}
#endif
