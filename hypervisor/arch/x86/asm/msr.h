// SPDX-License-Identifier: MIT
/* Model-specific registers: numbers, bits, access. */
#pragma once

#define MSR_TSC               0x00000010
#define MSR_APIC_BASE         0x0000001b
#define APIC_BASE_BSP         0x00000100
#define APIC_BASE_X2APIC      0x00000400
#define APIC_BASE_ENABLE      0x00000800
#define MSR_PRED_CMD          0x00000049
#define PRED_CMD_IBPB         0x00000001
#define MSR_UCODE_REV         0x0000008b
#define MSR_PLATFORM_INFO     0x000000ce
#define PLATFORM_CPUID_FAULT  (1ULL << 31)
#define MSR_MTRR_CAP          0x000000fe
#define MSR_ARCH_CAPABILITIES 0x0000010a
#define ARCH_CAPS_RDCL_NO     0x00000001
#define ARCH_CAPS_MDS_NO      0x00000020
#define MSR_SYSENTER_CS       0x00000174
#define MSR_SYSENTER_ESP      0x00000175
#define MSR_SYSENTER_EIP      0x00000176
#define MSR_MCG_CAP           0x00000179
#define MSR_MCG_STATUS        0x0000017a
#define MSR_MISC_FEATURES     0x00000140 /* MISC_FEATURES_ENABLES */
#define FEATURES_CPUID_FAULT  0x00000001
#define MSR_MISC_ENABLE       0x000001a0
#define MSR_DEBUGCTL          0x000001d9
#define MSR_LAST_BRANCH       0x000001db /* from, to; the same before the last exception */
#define MSR_LAST_BRANCH_END   0x000001df
#define MSR_PAT               0x00000277
#define XEN_PAT               0x0000050100070406ULL /* the ABI's: WB WT UC- UC WC WP UC UC */
#define MSR_TSC_DEADLINE      0x000006e0
#define MSR_X2APIC_FIRST      0x00000800
#define MSR_X2APIC_ICR        0x00000830
#define MSR_EFER              0xc0000080
#define EFER_SCE              0x00000001
#define EFER_LME              0x00000100
#define EFER_LMA              0x00000400
#define EFER_NXE              0x00000800
#define EFER_SVME             0x00001000
#define EFER_FFXSR            0x00004000
#define MSR_STAR              0xc0000081
#define MSR_LSTAR             0xc0000082
#define MSR_CSTAR             0xc0000083
#define MSR_SFMASK            0xc0000084
#define MSR_FS_BASE           0xc0000100
#define MSR_GS_BASE           0xc0000101
#define MSR_KERNEL_GS_BASE    0xc0000102
#define MSR_TSC_AUX           0xc0000103
#define MSR_SYSCFG            0xc0010010
#define MSR_HWCR              0xc0010015
#define HWCR_CPUID_USER_DIS   (1ULL << 35)
#define MSR_VM_CR             0xc0010114
#define MSR_DE_CFG            0xc0011029
#define DE_CFG_LFENCE_SERIAL  0x00000002

#ifndef __ASSEMBLY__
#include <stdint.h>
#include "lib/compiler.h"
#include "lib/errno.h"
#include "asm/extable.h"

static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t lo, hi;

    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
    return lo | (uint64_t)hi << 32;
}

static inline void wrmsr(uint32_t msr, uint64_t val)
{
    __asm__ volatile("wrmsr" ::"c"(msr), "a"((uint32_t)val), "d"((uint32_t)(val >> 32)) : "memory");
}

/* 0, or -EFAULT (and *val 0) if the CPU refused. */
static inline int __must_check rdmsr_safe(uint32_t msr, uint64_t *val)
{
    uint32_t lo = 0, hi = 0;
    int err = -EFAULT;

    __asm__ volatile("1: rdmsr; xor %0, %0; 2:\n\t" _ASM_EXTABLE(1b, 2b)
                     : "+r"(err), "+a"(lo), "+d"(hi)
                     : "c"(msr)
                     : "cc");
    *val = lo | (uint64_t)hi << 32;
    return err;
}

static inline int __must_check wrmsr_safe(uint32_t msr, uint64_t val)
{
    int err = -EFAULT;

    __asm__ volatile("1: wrmsr; xor %0, %0; 2:\n\t" _ASM_EXTABLE(1b, 2b)
                     : "+r"(err)
                     : "c"(msr), "a"((uint32_t)val), "d"((uint32_t)(val >> 32))
                     : "cc", "memory");
    return err;
}

static inline uint64_t rdtsc(void)
{
    uint32_t lo, hi;

    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return lo | (uint64_t)hi << 32;
}

/* Not before earlier instructions have completed. */
static inline uint64_t rdtsc_ordered(void)
{
    __asm__ volatile("lfence" ::: "memory");
    return rdtsc();
}
#endif
