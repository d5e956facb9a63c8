// SPDX-License-Identifier: MIT
/*
 * Kinds of guest: what a vcpu of PV guests, of hardware-virtualised ones, and the idle ones do
 * each in a way of their own.  arch/x86/vcpu.c has the rest, and is the only one that calls most
 * of it.  No kind knows of another.
 */
#pragma once
#include "domain/domain.h"
#include "kernel/percpu.h"

struct vcpu_guest_context;

/* There is, or has been, a guest whose memory its own page tables lead to, which no CPU of ours
 * uses: until then nobody looks further. */
extern bool hvm_guests_exist;

struct guest_kind {
    /* Context switch, interrupts off: what there is beside the general registers and the FPU of v,
     * which is current and leaves this CPU, or comes to it. */
    void (*save)(struct vcpu *v);
    void (*load)(struct vcpu *v);
    /* Leaves the stack for a fresh one, and runs current; never comes back. */
    void (*run)(void) __attribute__((noreturn));
    /* Publishes current's time and runstate, where its guest wants to see them. */
    void (*publish)(struct vcpu *v);
    /* v's vcpu_info has just been marked: its upcall is due.  Any context.  NULL: who looks at that
     * word needs nothing more. */
    void (*event)(struct vcpu *v);
    /* Would v, if it ran now, take an interrupt?  NULL: vcpu_info says so. */
    bool (*interrupt_due)(const struct vcpu *v);
    void (*send_nmi)(struct vcpu *v);
    /* Memory of current's kernel: how many bytes were not copied.  NULL: load() puts page tables
     * into use that lead to it; else it finds the hypervisor's own in use, its GDT and its CR4. */
    size_t (*copy_from)(void *dst, uint64_t addr, size_t len);
    size_t (*copy_to)(uint64_t addr, const void *src, size_t len);
    /* The hypercall page, for XEN_DOMCTL_hypercall_init. */
    void (*hypercall_page)(const struct domain *d, void *page);
    /* vcpu_guest_context (xen.h) of v, which does not run, in the 64-bit layout: get fills what the
     * guest has of it, set takes over what the kind lets anybody set. */
    void (*get_context)(struct vcpu *v, struct vcpu_guest_context *ctx);
    int (*set_context)(struct vcpu *v, const struct vcpu_guest_context *ctx);
    /* Registers of v on the console, beside the general ones. */
    void (*dump)(struct vcpu *v);
};

/* v's general registers; v is current or does not run. */
struct cpu_user_regs *vcpu_regs(struct vcpu *v);

/* SMAP: fills the places where guest memory is reached (guest_access.c).  Boot CPU. */
void patch_smap_sites(void);
/* DS, ES, FS and GS hold null selectors, and their bases are what was last found there when a vcpu
 * was saved (pv/switch.c).  Kinds with copy_from bring selectors and bases of their own. */
DECLARE_PER_CPU(bool, null_segments);
/* publish(), where the memory of v's kernel can be reached. */
void publish_time(struct vcpu *v);
/* CR4 with these bits (of CR4_OF_GUEST) of a guest's; ring1: and without SMEP and SMAP, which its
 * kernel, a supervisor to the page tables, does not know. */
#define CR4_OF_GUEST (CR4_TSD | CR4_FSGSBASE)
void load_guest_cr4(unsigned long bits, bool ring1);
