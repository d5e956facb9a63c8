// SPDX-License-Identifier: MIT
/* Time, as common code sees it. */
#pragma once
#include "lib/types.h"

struct vcpu;
struct domain;

/* System time in ns since boot: monotonic per CPU, in step across CPUs. */
s_time_t NOW(void);
/* Programs this CPU's one-shot timer interrupt.  Interrupts may be off. */
void arch_timer_program(s_time_t deadline);
/* Refreshes v's vcpu_time_info (version protocol of xen.h) if stale; v is current or not running.
 */
void arch_update_vcpu_time(struct vcpu *v);
/* Refreshes wc_* in d's shared info (all domains when d is NULL). */
void arch_update_wallclock(struct domain *d);
/* Wall clock: seconds and ns since 1970 at system time 0. */
void wallclock_get(uint64_t *sec, uint32_t *nsec);
void wallclock_set(uint64_t sec, uint32_t nsec, s_time_t at);
