// SPDX-License-Identifier: MIT
/*
 * What CR0, CR3, CR4 and EFER may hold: by the manuals (AMD volume 2, 3.1 and 15.5.1; SDM volume 3,
 * 2.5), and by a domain's CPU policy.  Whatever way they come by, a running guest's MOV, a start or
 * a saved domain's records, it is these rules that they have to obey.
 */
#pragma once
#include "lib/types.h"

struct cpu_policy;

/* The bits of CR4 that go with features that p shows; that go with those of the CPU that asks. */
uint64_t cpu_policy_cr4(const struct cpu_policy *p);
uint64_t cpu_own_cr4(void);
/* Can a vcpu with that policy have these at the same time? */
bool cpu_modes_valid(const struct cpu_policy *p, uint64_t cr0, uint64_t cr4, uint64_t efer);
bool cpu_cr3_valid(uint64_t cr3);
