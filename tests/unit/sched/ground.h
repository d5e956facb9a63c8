// SPDX-License-Identifier: MIT
/* A machine with idle vcpus and domains made by the scheduler's unit, for its tests. */
#pragma once
#include "test.h"
#include "arch/fake/fake.h"
#include "arch/api/arch_domain.h"
#include "arch/api/arch_time.h"
#include "domain/domain.h"
#include "kernel/softirq.h"
#include "kernel/timer.h"
#include "lib/errno.h"
#include "sched/private.h"

/* A machine of n CPUs, all idle.  Everything of the last test is forgotten. */
void ground_init(unsigned cpus);
/* A domain with n vcpus, up but paused once by the tools, as domain_create() leaves it. */
struct domain *ground_domain(unsigned id, unsigned vcpus);
void ground_destroy(struct domain *d);
/* The vcpu that cpu runs, NULL: idle. */
struct vcpu *ground_runs(unsigned cpu);
/* Plays the CPU that v runs on, as v. */
void ground_be(struct vcpu *v);
/* The invariants of sched/core.c. */
void ground_check(void);
/* For fake_relax_hook: the other CPUs run their softirqs while this one waits. */
void ground_others_go_on(void);
/* Lets time pass; ends with all softirqs done. */
void ground_pass(s_time_t ns);

extern unsigned ground_timer_virqs; /* VIRQ_TIMER sent */
extern struct domain *ground_shut;  /* by domain_shutdown() */
extern uint32_t ground_reason;
