// SPDX-License-Identifier: MIT
/* Domains and vcpus, as common code asks the arch about them. */
#pragma once
#include "lib/types.h"

struct domain;
struct vcpu;
struct xen_domctl;
struct call;

/*
 * Switches this CPU from prev to next (different vcpus; either may be idle) and, where next is to
 * run, does not return to its caller but to next's guest or idle loop.  Called by the scheduler's
 * softirq with interrupts off and no lock held; calls sched_context_saved(prev) once prev's
 * state is in memory.
 */
void __attribute__((noreturn)) arch_context_switch(struct vcpu *prev, struct vcpu *next);
/* The scheduler's softirq has looked, and v, which is current, runs on. */
void arch_continue_running(struct vcpu *v);
/* In sched/: prev is off this CPU for good. */
void sched_context_saved(struct vcpu *prev);

/* v has an event: makes it notice, if it runs on another CPU.  Any context. */
void arch_vcpu_kick(struct vcpu *v);
/* d->is_hvm: would v, which is current, take an interrupt now?  It may be an event's or another
 * vcpu's.  (Others: evtchn_upcall_mask.) */
bool arch_vcpu_interrupt_due(const struct vcpu *v);
/* VCPUOP_send_nmi: v takes an NMI as soon as it can (its handler is registered by nmi_op). */
void arch_vcpu_send_nmi(struct vcpu *v);
/* d->is_hvm: may its kernels make hypercall nr, with this second argument?  (multicall aside.) */
bool arch_hvm_may_call(unsigned long nr, unsigned long arg1);
/* d->is_hvm: VCPUOP_initialise with the vcpu_hvm_context at addr: -errno. */
int arch_hvm_initialise(struct vcpu *v, uint64_t addr);
/* Registers (and stack) of v on the console. */
void arch_dump_vcpu(struct vcpu *v);
/* VCPUOP_initialise, XEN_DOMCTL_setvcpucontext: ctx is a vcpu_guest_context in hypervisor memory
 * (copied in by the caller).  -errno; -ERESTART when preempted. */
struct vcpu_guest_context;
int arch_set_context(struct vcpu *v, const struct vcpu_guest_context *ctx);
void arch_get_context(struct vcpu *v, struct vcpu_guest_context *ctx);
/* Copies such a context from and to guest memory, where it has the layout of v's width: 0, -EFAULT,
 * -ENOMEM. */
int arch_context_from_guest(const struct vcpu *v, struct vcpu_guest_context *ctx, uint64_t addr);
int arch_context_to_guest(const struct vcpu *v, uint64_t addr,
                          const struct vcpu_guest_context *ctx);
/* sub-operations of domctl that only the arch knows are in its own rows of abi/ops/domctl.def */
