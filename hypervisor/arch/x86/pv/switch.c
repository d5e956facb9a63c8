// SPDX-License-Identifier: MIT
/*
 * A PV guest's vcpu comes to a CPU and leaves it: registers, segments, its root and its tables.
 */
#include "arch/api/arch_time.h"
#include "arch/x86/cpu/modes.h"
#include "arch/x86/guest.h"
#include "arch/x86/mm/mm.h"
#include "asm/cpufeature.h"
#include "asm/desc.h"
#include "asm/extable.h"
#include "asm/fpu.h"
#include "asm/msr.h"
#include "asm/processor.h"
#include "kernel/percpu.h"
#include "pv.h"
#include "sched/sched.h"

/* --- segments --- */

#define READ_SEG(name, var) __asm__ volatile("mov %%" #name ", %0" : "=r"(var))
/* A selector that cannot be loaded becomes null; true if so. */
#define LOAD_SEG(name, sel)                                                                        \
    ({                                                                                             \
        uint32_t sel_ = (sel);                                                                     \
        __asm__ volatile("1: mov %k0, %%" #name "\n\t"                                             \
                         "2:\n\t"                                                                  \
                         ".pushsection .fixup, \"ax\"\n\t"                                         \
                         "3: xor %k0, %k0\n\t"                                                     \
                         "   jmp 1b\n\t"                                                           \
                         ".popsection\n\t" _ASM_EXTABLE(1b, 3b)                                    \
                         : "+r"(sel_)                                                              \
                         :                                                                         \
                         : "cc");                                                                  \
        sel_ != (sel);                                                                             \
    })

/*
 * What a save found in the CPU stays there until the next load: the hypervisor uses none of it.
 * Mostly the two are of the same vcpu, and nothing has to be written.
 */
struct segment_registers {
    uint64_t fs, gs, shadow; /* bases, good while null_segments */
};
static DEFINE_PER_CPU(struct segment_registers, segments_found);

static void segments_save(struct vcpu *v)
{
    struct cpu_user_regs *regs = &v->arch.regs;
    struct pv_vcpu *pv = &v->arch.pv;
    struct segment_registers *found = &this_cpu(segments_found);

    READ_SEG(ds, regs->ds);
    READ_SEG(es, regs->es);
    READ_SEG(fs, regs->fs);
    READ_SEG(gs, regs->gs);
    this_cpu(null_segments) = false;
    if (is_32bit(v->domain)) /* the selectors say it all */
        return;
    this_cpu(null_segments) = !(regs->ds | regs->es | regs->fs | regs->gs);
    pv->fs_base = found->fs = rdmsr(MSR_FS_BASE);
    found->gs = rdmsr(MSR_GS_BASE);
    found->shadow = rdmsr(MSR_KERNEL_GS_BASE);
    pv->gs_base_kernel = in_kernel_mode(v) ? found->gs : found->shadow;
    pv->gs_base_user = in_kernel_mode(v) ? found->shadow : found->gs;
}

/* A guest whose tables have changed meanwhile is told by its failsafe callback. */
static void segments_lost(struct vcpu *v)
{
    const struct cpu_user_regs *regs = &v->arch.regs;
    struct pv_vcpu *pv = &v->arch.pv;

    if (!pv->failsafe_callback)
        return;
    pv->failed_selectors[0] = regs->ds;
    pv->failed_selectors[1] = regs->es;
    pv->failed_selectors[2] = regs->fs;
    pv->failed_selectors[3] = regs->gs;
    __atomic_fetch_or(&pv->async, PVA_FAILSAFE, __ATOMIC_SEQ_CST);
}

static void load_selectors(struct vcpu *v)
{
    const struct cpu_user_regs *regs = &v->arch.regs;
    uint32_t ds = regs->ds, es = regs->es, fs = regs->fs, gs = regs->gs;
    bool lost = LOAD_SEG(ds, ds);

    lost |= LOAD_SEG(es, es);
    lost |= LOAD_SEG(fs, fs);
    lost |= LOAD_SEG(gs, gs);
    if (unlikely(lost))
        segments_lost(v);
}

static void segments_load(struct vcpu *v)
{
    const struct cpu_user_regs *regs = &v->arch.regs;
    const struct pv_vcpu *pv = &v->arch.pv;
    const struct segment_registers *found = &this_cpu(segments_found);
    uint64_t gs = in_kernel_mode(v) ? pv->gs_base_kernel : pv->gs_base_user;
    uint64_t shadow = in_kernel_mode(v) ? pv->gs_base_user : pv->gs_base_kernel;
    bool there = this_cpu(null_segments) && !(regs->ds | regs->es | regs->fs | regs->gs);

    if (!there)
        load_selectors(v);
    if (is_32bit(v->domain))
        return;
    /* Bases last: loading a selector replaces them. */
    if (!there || found->fs != pv->fs_base)
        wrmsr(MSR_FS_BASE, pv->fs_base);
    if (!there || found->gs != gs)
        wrmsr(MSR_GS_BASE, gs);
    if (!there || found->shadow != shadow)
        wrmsr(MSR_KERNEL_GS_BASE, shadow);
}

/* --- CR4 --- */

unsigned long pv_valid_cr4(const struct domain *d, unsigned long cr4)
{
    const uint64_t by_policy = CR4_OSXSAVE | CR4_FSGSBASE;

    return cr4 & (CR4_TSD | CR4_DE | (by_policy & cpu_policy_cr4(d->arch.cpu_policy)));
}

void pv_load_cr4(const struct vcpu *v)
{
    unsigned long cr4 = v->arch.pv.ctrlreg[4] & CR4_OF_GUEST;

    load_guest_cr4(cr4 | (v->domain->arch.vtsc ? CR4_TSD : 0), is_32bit(v->domain));
}

/* --- the switch --- */

void pv_save(struct vcpu *v)
{
    segments_save(v);
    if (v->arch.pv.dr7_loaded)
        write_dr7(0);
}

void pv_load(struct vcpu *v)
{
    load_idle_gdt(); /* always mapped, whichever root is loaded */
    mm_load_root(v);
    pv_load_descriptor_tables(v);
    segments_load(v);
    if (v->arch.pv.flags & PVF_FPU_TS)
        write_cr0(read_cr0() | CR0_TS);
    if (v->arch.pv.dr7_loaded)
        pv_load_debugregs(v);
    pv_load_cr4(v);
}

/* In its kernel's address space. */
void pv_publish(struct vcpu *v)
{
    bool user = !in_kernel_mode(v) && (v->runstate_guest || v->time_guest);

    if (user)
        write_cr3(v->arch.pv.kernel_cr3);
    publish_time(v);
    if (user)
        mm_load_root(v);
}
