// SPDX-License-Identifier: MIT
/*
 * What this host's CPUs can do: the feature words in the order of <xen/arch-x86/cpufeatureset.h>,
 * as read from CPUID on the boot CPU less what other CPUs lack and what the command line took
 * away.  cpu_has(SMAP) asks by the header's names.
 */
#pragma once
#include "lib/types.h"
#include "lib/compiler.h"
#include <xen/arch-x86/cpufeatureset.h>

#define CPU_FEATURE_WORDS 20

enum cpu_vendor { VENDOR_UNKNOWN, VENDOR_INTEL, VENDOR_AMD, VENDOR_HYGON, VENDOR_CENTAUR };

struct cpu_identity {
    enum cpu_vendor vendor;
    char vendor_id[13];
    char brand[49];
    unsigned family, model, stepping;
    uint32_t max_leaf, max_ext_leaf; /* CPUID */
    unsigned phys_bits, virt_bits;
    uint32_t features[CPU_FEATURE_WORDS];
    uint64_t xcr0_max;   /* what XCR0 holds on every CPU; 0: no XSAVE */
    unsigned xsave_size; /* bytes for xcr0_max, standard format */
    bool tsc_invariant;
    bool cpuid_faulting; /* CPUID below ring 0 faults, and so is emulated */
};
extern struct cpu_identity host_cpu;

#define cpu_has(F) cpu_has_(XEN_X86_FEATURE_##F)
static inline bool cpu_has_(unsigned feature)
{
    return host_cpu.features[feature / 32] & (1u << (feature % 32));
}

/* By AMD, or built to its design. */
static inline bool cpu_is_amd(void)
{
    return host_cpu.vendor == VENDOR_AMD || host_cpu.vendor == VENDOR_HYGON;
}

/* Mitigations in force (decided once at boot, before APs); the gate into C reads them. */
struct mitigations {
    bool l1tf; /* unsafe non-present entries are refused */
    bool ibpb, lfence, rsb_stuff;
};
extern struct mitigations mitigations;

void cpu_identify_early(void); /* boot CPU: fills host_cpu */
void cpu_identify_late(void);  /* prints CPU and mitigations */
/* Control registers and MSRs of the CPU that calls, from host_cpu. */
void cpu_init_registers(void);
