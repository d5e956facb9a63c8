// SPDX-License-Identifier: MIT
/* Between vlapic.c and vlapic_timer.c: registers by their offset, and the timer. */
#pragma once
#include "arch/x86/hvm/hvm.h"

enum {
    R_ID = 0x20,
    R_VERSION = 0x30,
    R_TPR = 0x80,
    R_APR = 0x90,
    R_PPR = 0xa0,
    R_EOI = 0xb0,
    R_LDR = 0xd0,
    R_DFR = 0xe0,
    R_SVR = 0xf0,
    R_ISR = 0x100,
    R_TMR = 0x180,
    R_IRR = 0x200,
    R_ESR = 0x280,
    R_ICR = 0x300,
    R_ICR2 = 0x310,
    R_LVTT = 0x320,
    R_LVT_THERMAL = 0x330,
    R_LVT_PERF = 0x340,
    R_LVT0 = 0x350,
    R_LVT1 = 0x360,
    R_LVT_ERROR = 0x370,
    R_TIMER_INIT = 0x380,
    R_TIMER_NOW = 0x390,
    R_TIMER_DIVIDE = 0x3e0,
    R_SELF_IPI = 0x3f0,
};

#define LVT_MASKED     0x10000
#define TIMER_MODE     0x60000
#define TIMER_PERIODIC 0x20000
#define TIMER_DEADLINE 0x40000

static inline struct vlapic *lapic_of(const struct vcpu *v)
{
    return &v->arch.hvm->lapic;
}

static inline uint32_t *reg(struct vlapic *l, unsigned off)
{
    return &l->reg[APIC_REG(off)];
}

static inline bool is_requested(const struct vlapic *l, uint8_t vector)
{
    return READ_ONCE(l->reg[APIC_REG(R_IRR) + vector / 32]) & (1u << (vector % 32));
}

/* --- vlapic_timer.c --- */
void vlapic_timer_create(struct vcpu *v);
void vlapic_timer_free(struct vcpu *v);
/* Under the lock: as after a reset. */
void vlapic_timer_stop(struct vlapic *l);
/* Under the lock: LVTT, which is as it was, is to be val. */
void vlapic_timer_mode_changes(struct vlapic *l, uint32_t val);
/* Without it, as those below: what R_TIMER_NOW reads; a write of R_TIMER_INIT or R_TIMER_DIVIDE. */
uint32_t vlapic_timer_now(struct vlapic *l);
void vlapic_timer_write(struct vlapic *l, unsigned off, uint32_t val);
void vlapic_timer_set_deadline(struct vcpu *v, uint64_t tsc);
/* The registers have been taken over from elsewhere. */
void vlapic_timer_restart(struct vcpu *v);
