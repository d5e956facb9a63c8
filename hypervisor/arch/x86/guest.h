// SPDX-License-Identifier: MIT
/*
 * Kinds of guest.  PV guests are what all of this was made for: they are called directly, and their
 * domain's arch.kind is NULL.  A guest of another kind brings these functions; nobody else asks
 * what it is.  While a vcpu of such a kind is loaded, cpu_info()->flags has CPU_GUEST_OF_KIND.
 */
#pragma once
#include "lib/types.h"

struct domain;
struct vcpu;
struct vcpu_guest_context;

/* There is, or has been, such a guest: until then nobody looks further. */
extern bool guest_kinds_exist;

struct guest_kind {
    /* Context switch, interrupts off: v, which was current, leaves this CPU; v comes to it. */
    void (*save)(struct vcpu *v);
    void (*load)(struct vcpu *v);
    /* On a fresh stack: runs current's guest; never comes back. */
    void (*run)(void) __attribute__((noreturn));
    /* v's vcpu_info has just been marked: its upcall is due.  Any context. */
    void (*event)(struct vcpu *v);
    /* Would v, if it ran now, take an interrupt? */
    bool (*interrupt_due)(const struct vcpu *v);
    void (*send_nmi)(struct vcpu *v);
    /* Memory of current's kernel: how many bytes were not copied. */
    size_t (*copy_from)(void *dst, uint64_t addr, size_t len);
    size_t (*copy_to)(uint64_t addr, const void *src, size_t len);
    /* The hypercall page, for XEN_DOMCTL_hypercall_init. */
    void (*hypercall_page)(void *page);
    /* vcpu_guest_context (xen.h) of v, which does not run, in the 64-bit layout: get fills what the
     * guest has of it, set takes over the general registers alone. */
    void (*get_context)(const struct vcpu *v, struct vcpu_guest_context *ctx);
    int (*set_context)(struct vcpu *v, const struct vcpu_guest_context *ctx);
    /* Registers of v on the console. */
    void (*dump)(struct vcpu *v);
};
