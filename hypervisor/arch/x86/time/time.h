// SPDX-License-Identifier: MIT
/* Time on x86: what the rest of arch/x86 calls.  Common code uses arch/api/arch_time.h. */
#pragma once
#include "lib/types.h"

struct domain;
struct vcpu;

extern uint32_t cpu_khz; /* TSC frequency */

/* Finds a reference clock, measures the TSC and the APIC timer, reads the RTC.  Boot CPU, after
 * irq_init(), interrupts off or on.  NOW() counts from here. */
void time_init(void);
/* On each CPU as it comes up, after its APIC: its timer.  time_init() does the boot CPU. */
void time_cpu_init(void);
/* Once all CPUs run, from the boot CPU, interrupts on: measures whether their TSCs are in step.
 * Before dom0 is built. */
void time_check_sync(void);

/* The TSC is the same everywhere and ticks evenly: guests may read it without a trap. */
bool tsc_trusted(void);
/* TSC ticks since their start to ns, with the published scale. */
uint64_t tsc_to_ns(uint64_t ticks);

/* Name of the reference clock, and what it says in ns since time_init() (slow). */
const char *platform_timer_name(void);
s_time_t platform_time(void);

/* For XEN_DOMCTL_settscinfo and gettscinfo.  Set: d has not run yet. -EINVAL. */
int arch_set_tsc_mode(struct domain *d, uint32_t mode, uint64_t elapsed_nsec, uint32_t gtsc_khz,
                      uint32_t incarnation);
void arch_get_tsc_mode(const struct domain *d, uint32_t *mode, uint64_t *elapsed_nsec,
                       uint32_t *gtsc_khz, uint32_t *incarnation);
/* d's TSC goes on from that value: a d that does not run.  PV domains' does so where it is
 * emulated. */
void arch_set_guest_tsc(struct domain *d, uint64_t tsc);
/* What RDTSC gives v: the emulated one if d->arch.vtsc (it traps while v runs then). */
uint64_t arch_guest_tsc(const struct vcpu *v);
