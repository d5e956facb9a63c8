// SPDX-License-Identifier: MIT
/* FPU state of vcpus: saved and loaded whole at each switch (arch/x86/cpu/fpu.c). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vcpu;

#define XSAVE_HEADER_OFF 512
#define XSAVE_MIN_SIZE   576 /* with the header, and no component behind it */

/* XSETBV of XCR0 by v, which is current; false: #GP, for what this host's CPU would refuse, or v's
 * CPU policy does not show. */
bool fpu_set_xcr0(struct vcpu *v, uint64_t val);
/* v's area, as after reset; -ENOMEM.  The room's own unit calls it. */
int fpu_create(struct vcpu *v);
void fpu_reset(struct vcpu *v);
/*
 * Takes over XCR0 and an XSAVE area (standard format, len bytes) that came from elsewhere; v does
 * not run.  What XRSTOR would fault by, and an XCR0 that v could not have set, is refused: -EINVAL,
 * and nothing is changed.
 */
int fpu_import(struct vcpu *v, uint64_t xcr0, const void *area, size_t len);
/* An FXSAVE image (512 bytes) becomes the first part of v's area. */
void fpu_import_legacy(struct vcpu *v, const void *image);
/* Between the registers and v's area, XCR0 included.  Leaves CR0.TS clear. */
void fpu_save(struct vcpu *v);
void fpu_load(struct vcpu *v);
