// SPDX-License-Identifier: MIT
/* A vendor for tests on the host: what a vcpu would be entered with is remembered here. */
#pragma once
#include "arch/x86/hvm/hvm.h"

struct vendor_vcpu {
    struct emul_segment seg[NR_HVM_SEGS];
    uint64_t cr[5], dr[8];
    uint64_t efer, star, lstar, cstar, sfmask, sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t kernel_gs_base, pat;
};

/* A domain with so many vcpus of that kind, all down. */
struct domain *vendor_domain(unsigned vcpus);
struct vendor_vcpu *vendor_of(const struct vcpu *v);
