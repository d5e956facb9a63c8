// SPDX-License-Identifier: MIT
/* What tests/fuzz/hvm.c knows of its vendor: see hvm_vendor.c. */
#pragma once
#include "world.h"
#include "arch/x86/hvm/hvm.h"

struct seen {
    struct emul_segment seg[NR_HVM_SEGS];
    uint64_t cr[5], dr[8], efer, pat, msr[8];
    uint8_t vector[24][32]; /* from EMUL_MMX on: MMX */
    bool shadow, nmi_blocked, window;
    struct hvm_event injected;
};
struct seen *seen_of(const struct vcpu *v);
void give_policy(struct domain *d);
