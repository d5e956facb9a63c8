// SPDX-License-Identifier: MIT
/* CPUID as a PV guest sees it when it asks through the hypervisor. */
#pragma once
#include <stdint.h>

struct vcpu;

struct cpuid_result {
    uint32_t a, b, c, d;
};

void pv_cpuid(const struct vcpu *v, uint32_t leaf, uint32_t subleaf, struct cpuid_result *res);
