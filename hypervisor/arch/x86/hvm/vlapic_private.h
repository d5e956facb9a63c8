// SPDX-License-Identifier: MIT
/* Between vlapic.c and vlapic_timer.c: registers by their offset (asm/apic.h), and the timer. */
#pragma once
#include "arch/x86/hvm/hvm.h"
#include "asm/apic.h"

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
    return READ_ONCE(l->reg[APIC_REG(APIC_IRR) + vector / 32]) & (1u << (vector % 32));
}

/* --- vlapic_timer.c --- */
void vlapic_timer_create(struct vcpu *v);
void vlapic_timer_free(struct vcpu *v);
/* Under the lock: as after a reset. */
void vlapic_timer_stop(struct vlapic *l);
/* Under the lock: LVTT, which is as it was, is to be val. */
void vlapic_timer_mode_changes(struct vlapic *l, uint32_t val);
/* Without it, as those below: what APIC_TIMER_CUR reads; a write of APIC_TIMER_INIT or
 * APIC_TIMER_DIV. */
uint32_t vlapic_timer_now(struct vlapic *l);
void vlapic_timer_write(struct vlapic *l, unsigned off, uint32_t val);
void vlapic_timer_set_deadline(struct vcpu *v, uint64_t tsc);
/* The registers have been taken over from elsewhere. */
void vlapic_timer_restart(struct vcpu *v);
