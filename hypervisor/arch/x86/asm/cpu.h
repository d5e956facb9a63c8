// SPDX-License-Identifier: MIT
/*
 * x86: see arch/api/arch_cpu.h.
 *
 * Each CPU has one stack of STACK_SIZE bytes, aligned to its size.  At its top lies struct
 * cpu_info, so that any code finds its CPU from the stack pointer alone (GS belongs to the guest).
 * The lowest pages of the stack are the stacks of NMI, #MC, #DF and #DB (IST), so the rule holds
 * there too.
 */
#pragma once
#define STACK_ORDER 3
#define STACK_SIZE  (4096UL << STACK_ORDER)

/* Not mapped: what overruns a stack gets a double fault rather than another stack. */
#define STACK_GUARD_PAGE 4

#define IST_NONE 0
#define IST_DF   1
#define IST_NMI  2
#define IST_MCE  3
#define IST_DB   4

/* In struct cpu_info, flags. */
#define CPU_SMAP_PAUSES    0x1 /* arch/x86/pv/smap.c */
#define CPU_SMAP_JUST_LEFT 0x2 /* ... and the guest has not yet been resumed */
#define CPU_RUNS_RING1     0x4 /* a 32-bit guest's vcpu is loaded: no SMEP and no SMAP */
#define CPU_NO_GUEST_SPACE 0x8 /* the loaded vcpu's memory is reached by other means: guest.h */

#ifndef __ASSEMBLY__
#include <stdbool.h>
#include <stdint.h>
#include <xen/arch-x86/xen.h>
#include "lib/compiler.h"

struct vcpu;

struct cpu_info {
    struct cpu_user_regs guest_regs; /* pushed by the entry code; ends at the members below */
    uint32_t cpu;
    uint32_t flags;
    struct vcpu *current_vcpu;
    unsigned long percpu_offset;
    unsigned long cr4;        /* what CR4 holds */
    unsigned long scratch[3]; /* entry code */
    unsigned long pad;        /* keeps sizeof a multiple of 16 */
};

static __always_inline struct cpu_info *cpu_info(void)
{
    unsigned long sp;

    __asm__("mov %%rsp, %0" : "=r"(sp));
    return (struct cpu_info *)((sp | (STACK_SIZE - 1)) + 1) - 1;
}

#define smp_processor_id()        (cpu_info()->cpu)
#define arch_this_percpu_offset() (cpu_info()->percpu_offset)
#define current                   (cpu_info()->current_vcpu)
#define guest_regs()              (&cpu_info()->guest_regs)

static __always_inline void cpu_relax(void)
{
    __asm__ volatile("pause" ::: "memory");
}

static __always_inline void local_irq_disable(void)
{
    __asm__ volatile("cli" ::: "memory");
}

static __always_inline void local_irq_enable(void)
{
    __asm__ volatile("sti" ::: "memory");
}

static __always_inline unsigned long local_flags(void)
{
    unsigned long f;

    __asm__ volatile("pushfq; popq %0" : "=r"(f));
    return f;
}

static __always_inline unsigned long local_irq_save_(void)
{
    unsigned long f = local_flags();

    local_irq_disable();
    return f;
}

static __always_inline void local_irq_restore(unsigned long f)
{
    if (f & 0x200)
        local_irq_enable();
    else
        local_irq_disable();
}

static __always_inline bool local_irq_is_enabled(void)
{
    return local_flags() & 0x200;
}

#define smp_mb()  __asm__ volatile("lock; addl $0, -4(%%rsp)" ::: "memory", "cc")
#define smp_rmb() barrier()
#define smp_wmb() barrier()
#endif /* __ASSEMBLY__ */
