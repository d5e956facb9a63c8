// SPDX-License-Identifier: MIT
/* FPU state of vcpus: saved and loaded whole at each switch (arch/x86/cpu/fpu.c). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct vcpu;

#define XSAVE_HEADER_OFF 512

/* Would XSETBV take that for XCR0 on this host? (What it refuses is a fault of ours.) */
bool xcr0_valid(uint64_t val);
/* v's area, in its state after reset; -ENOMEM. */
int fpu_create(struct vcpu *v);
void fpu_free(struct vcpu *v);
void fpu_reset(struct vcpu *v);
/* Between the registers and v's area, XCR0 included.  Leaves CR0.TS clear. */
void fpu_save(struct vcpu *v);
void fpu_load(struct vcpu *v);
