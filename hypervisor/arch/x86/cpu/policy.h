// SPDX-License-Identifier: MIT
/*
 * CPU policies: what CPUID says, to whom.  A policy is a list of leaves in the form in which the
 * tools read and write it (arch-x86/xen.h, xen_cpuid_leaf_t).
 *
 *   raw         what the boot CPU answers
 *   host        less what the command line or another CPU took away
 *   pv_max      what a PV guest can be given at most
 *   pv_default  what it is given if nobody says otherwise
 *   hvm_max, hvm_default  the same for hardware-virtualised guests
 *
 * Each domain has one of its own, set by the tools before it runs and never beyond the most of its
 * kind.
 */
#pragma once
#include "lib/types.h"
#include <xen/xen.h>

struct emul_cpuid;
struct vcpu;

/* At least as many as the tools may write: all subleaves of XSAVE, caches, and the extended ones.
 */
#define POLICY_MAX_LEAVES 160

struct cpu_policy {
    unsigned nr;
    bool cpuid_faulting; /* MSR PLATFORM_INFO: CPUID can be made to fault in user mode */
    xen_cpuid_leaf_t leaf[POLICY_MAX_LEAVES];
};

enum policy_kind {
    POLICY_RAW,
    POLICY_HOST,
    POLICY_PV_MAX,
    POLICY_PV_DEFAULT,
    POLICY_HVM_MAX,
    POLICY_HVM_DEFAULT,
    NR_POLICIES
};

/* Boot CPU, once features are known. */
void cpu_policy_init(void);
/* Hides what builds on something that is hidden, and state components that go with it. */
void cpu_policy_fit(struct cpu_policy *p);
/* What XCR0 may hold; 0: p shows no XSAVE. */
uint64_t cpu_policy_xcr0(const struct cpu_policy *p);
#define CPUID_HYPERVISOR 0x40000000u
/* CPUID as v is told, but for what is its kind's to know: what control registers and local APIC
 * add, and leaves about the kind.  v is current, with its XCR0. */
void cpu_policy_cpuid(const struct vcpu *v, uint32_t leaf, uint32_t subleaf,
                      struct emul_cpuid *res);
/* What v reads from an MSR that is the same for all kinds; false: it is not one of these. */
bool cpu_policy_rdmsr(const struct vcpu *v, uint32_t msr, uint64_t *val);
/* Would WRMSR take that for the PAT? */
bool cpu_pat_valid(uint64_t val);
/* MISC_FEATURES_ENABLES becomes that; false: v cannot have it. */
bool cpu_set_misc_features(struct vcpu *v, uint64_t val);
/* The leaf, or NULL; leaves without subleaves match any subleaf. */
const xen_cpuid_leaf_t *cpu_policy_find(const struct cpu_policy *p, uint32_t leaf,
                                        uint32_t subleaf);
