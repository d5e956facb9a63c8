// SPDX-License-Identifier: MIT
/* Between the files of svm/. */
#pragma once
#include "arch/x86/hvm/hvm.h"
#include "arch/x86/hvm/svm/vmcb.h"

struct svm_vcpu {
    struct vmcb *vmcb;
    maddr_t maddr; /* the VMCB's */
    /* The VMCB has what VMSAVE puts there; else, while the vcpu is loaded, only the CPU has. */
    bool fetched;
    struct vmcb *noted; /* debug builds: as it was at the last exit (clean.c) */
    bool lme;           /* the guest's EFER.LME, which the VMCB has only while there is paging */
    bool as_software;   /* QEMU: the interrupt was injected as if by INT n (inject()) */
    /* For debug keys: how often it has left its guest, by exit code. */
    uint64_t exits[NR_LOW_EXITS], exits_npf, exits_other;
};

#define VMMCALL_LENGTH 3
/* In cr_reads, and in cr_writes: CR0, of a guest that has its NE clear (svm.c). */
#define CR0_NO_NE 1

static inline struct svm_vcpu *svm_of(const struct vcpu *v)
{
    return v->arch.hvm->vendor;
}

static inline struct vmcb *vmcb_of(const struct vcpu *v)
{
    return svm_of(v)->vmcb;
}

/* What the CPU may have kept of the VMCB's parts (VMCB_*) is good no more. */
static inline void vmcb_changed(struct vmcb *vmcb, uint32_t parts)
{
    vmcb->clean &= ~parts;
}

/* --- entry.S --- */
/* Enters current's guest, and again after each exit; on a fresh stack. */
void svm_run(void) __noreturn;
/* --- exit.c, from entry.S --- */
maddr_t svm_enter(struct cpu_user_regs *regs); /* its VMCB; returns with interrupts off */
void svm_exit(struct cpu_user_regs *regs);
/* --- svm.c --- */
/* v's VMCB has an ASID under which this CPU has no translations that are not good any more. */
void svm_refresh_asid(struct vcpu *v);
/* --- clean.c: has all that changed between exit and entry been named (vmcb_changed())? --- */
#ifdef CONFIG_DEBUG
void vmcb_note(struct svm_vcpu *s);        /* exit: with all parts clean, before any change */
void vmcb_check(const struct svm_vcpu *s); /* entry: panics */
/* Parts (VMCB_*) of now that are marked clean but differ from noted. */
uint32_t vmcb_unnamed(const struct vmcb *now, const struct vmcb *noted);
#else
static inline void vmcb_note(struct svm_vcpu *s)
{
    (void)s;
}

static inline void vmcb_check(const struct svm_vcpu *s)
{
    (void)s;
}
#endif
