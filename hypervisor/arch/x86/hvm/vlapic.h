// SPDX-License-Identifier: MIT
/* The local APIC that a vcpu sees: see vlapic.c. */
#pragma once
#include "kernel/lock.h"
#include "kernel/timer.h"
#include "lib/types.h"

struct vcpu;

#define VLAPIC_DEFAULT_BASE 0xfee00000ULL

/* Registers by their offset in the page, in steps of 16 bytes. */
#define APIC_REG(off) ((off) >> 4)
#define NR_APIC_REGS  64

#define LOCK_VLAPIC ((enum lock_level)(LOCK_TIMER - 1))

struct vlapic {
    uint32_t reg[NR_APIC_REGS]; /* IRR is changed by anybody, atomically; the rest by its vcpu */
    uint32_t errors;            /* since ESR was written last; atomic */
    uint32_t irr_words;         /* bit n: in the nth word of IRR something may be set */
    uint64_t base;              /* APIC_BASE */
    spinlock_t lock;            /* LOCK_VLAPIC: the registers of the timer, and all that follows */
    uint64_t deadline;          /* TSC_DEADLINE */
    bool counting;
    s_time_t due; /* counting: when it comes to zero */
    struct timer timer;
};

void vlapic_create(struct vcpu *v);
void vlapic_free(struct vcpu *v);
/* Registers have been taken over from a saved domain: its timer goes on. */
void vlapic_restart(struct vcpu *v);
/* Can that be MSR APIC_BASE of v?  Where the page is cannot be changed. */
bool vlapic_base_ok(const struct vcpu *v, uint64_t base);

/* Raises a vector.  Any context. */
void vlapic_raise(struct vcpu *v, uint8_t vector);
/* The vector that would be delivered now, by priority; -1: none. */
int vlapic_pending(const struct vcpu *v);
/* One waits that the task priority holds back. */
bool vlapic_held_back(const struct vcpu *v);
/* The CPU takes it. */
void vlapic_accept(struct vcpu *v, uint8_t vector);
uint8_t vlapic_get_tpr(const struct vcpu *v);
void vlapic_set_tpr(struct vcpu *v, uint8_t tpr);

/* x2APIC registers, APIC_BASE, TSC_DEADLINE; false: #GP. */
bool vlapic_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *val);
bool vlapic_wrmsr(struct vcpu *v, uint32_t msr, uint64_t val);
/* The page of registers, while it is there; gpa is within it. */
bool vlapic_has_page(const struct vcpu *v, uint64_t gpa);
uint32_t vlapic_read(struct vcpu *v, unsigned off);
void vlapic_write(struct vcpu *v, unsigned off, uint32_t val);
/* Debug key q: what waits, and what is being served; without a lock. */
void vlapic_dump(const struct vcpu *v);
