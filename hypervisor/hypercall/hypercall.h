// SPDX-License-Identifier: MIT
/*
 * Hypercalls: rows, dispatch, continuations.
 *
 * The files of abi/ops hold a row for every hypercall and sub-operation (abi/ops/README.md says how
 * to read them).  hypercall_dispatch() finds the row, checks who may call, copies the argument in
 * once, finds and references the target domain, calls the handler, and copies the argument back.
 *
 * A handler of a sub-operation has the type
 *     long handler(struct call *c, struct xyz *arg);
 * with arg in hypervisor memory.  It returns 0 or a positive result, -errno, or -ERESTART to be
 * called again later with c->start == the c->resume it left (which the guest may forge!).
 * A handler of a direct hypercall takes its arguments as unsigned long, in order.
 */
#pragma once
#include "lib/types.h"
#include "lib/errno.h"

struct domain;
struct vcpu;
struct cpu_user_regs;

struct call {
    struct vcpu *v;       /* the caller */
    struct domain *d;     /* the target, authorised and referenced; caller's own for SELF */
    struct vcpu *tv;      /* vcpu_op: the vcpu named, of the caller's domain; NULL: none such */
    uint64_t arg;         /* guest address of the argument */
    unsigned long start;  /* where to resume; 0 at first.  Hostile input. */
    unsigned long resume; /* set before returning -ERESTART */
    bool copy_back;       /* handler may clear it: argument is not copied back */
    /* Of a batch: what an element's handler leaves to be done, once, before the caller goes on. */
    void (*at_end)(struct vcpu *v);
};

/* Something waits (softirq, event for current): long work should return -ERESTART. */
bool hypercall_preempt_check(void);

/*
 * Direct handlers: arranges that hypercall nr is issued again with these arguments when the guest
 * next runs (also inside a multicall), and returns -ERESTART to be returned.
 */
long hypercall_continue(unsigned nr, unsigned nargs, const unsigned long *args);

/* From the entry code: number in rax, arguments in rdi rsi rdx r10 r8 r9. */
void hypercall_dispatch(struct cpu_user_regs *regs);
/* The same for int $0x82 of a 32-bit guest. */
void hypercall_dispatch32(struct cpu_user_regs *regs);
/* One or the other, where rip is still at the instruction, whatever that is; true: it is to be
 * issued again, from there. */
bool hypercall_issue(struct cpu_user_regs *regs, bool is_32bit);

/* Is the caller privileged over d?  Today dom0 is, over all: the XSM hook's place. */
bool privileged_over(const struct domain *caller, const struct domain *d);
