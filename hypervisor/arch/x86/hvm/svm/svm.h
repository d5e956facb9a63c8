// SPDX-License-Identifier: MIT
/* Between the files of svm/. */
#pragma once
#include "arch/x86/hvm/hvm.h"
#include "arch/x86/hvm/svm/vmcb.h"

struct svm_vcpu {
    struct vmcb *vmcb;
    /* For debug keys: how often it has left its guest, by exit code. */
    uint64_t exits[NR_LOW_EXITS], exits_npf, exits_other;
};

static inline struct svm_vcpu *svm_of(const struct vcpu *v)
{
    return v->arch.hvm->vendor;
}

static inline struct vmcb *vmcb_of(const struct vcpu *v)
{
    return svm_of(v)->vmcb;
}

/* What entry.S is given: machine addresses of the guest's VMCB and of this CPU's own. */
struct svm_entry {
    unsigned long guest, host;
};

/* --- entry.S --- */
/* Enters current's guest, and again after each exit; on a fresh stack. */
void svm_run(void) __noreturn;
/* --- exit.c, from entry.S --- */
struct svm_entry svm_enter(struct cpu_user_regs *regs); /* returns with interrupts off */
void svm_exit(struct cpu_user_regs *regs);
/* --- svm.c --- */
/* v's VMCB has an ASID under which this CPU has no translations that are not good any more. */
void svm_refresh_asid(struct vcpu *v);
maddr_t svm_host_vmcb(void); /* of this CPU */
