// SPDX-License-Identifier: MIT
/*
 * Scheduling: what other rooms call, and the interface every scheduler implements.
 *
 * A vcpu is runnable when pause_flags and pause_count of it and its domain are all zero.  Whoever
 * changes one of them calls vcpu_wake() or vcpu_sleep_*().  The scheduler switches vcpus only in
 * its softirq; `current` is stable elsewhere.
 */
#pragma once
#include "lib/types.h"
#include "kernel/cpumask.h"

struct domain;
struct vcpu;
struct vcpu_runstate_info;
struct xen_domctl_scheduler_op;
struct xen_sysctl_scheduler_op;

void sched_init(void);               /* boot CPU: idle vcpu becomes current */
void sched_cpu_start(unsigned cpu);  /* on a CPU that comes up */
void __attribute__((noreturn)) idle_loop(void);

bool vcpu_runnable(const struct vcpu *v);
void vcpu_wake(struct vcpu *v);
void vcpu_sleep_nosync(struct vcpu *v);
void vcpu_sleep_sync(struct vcpu *v); /* until it is off its CPU and its state is in memory */
/* Nested pauses by the hypervisor itself. */
void vcpu_pause(struct vcpu *v); /* not current; waits */
void vcpu_pause_nosync(struct vcpu *v);
void vcpu_unpause(struct vcpu *v);
void domain_pause(struct domain *d); /* all vcpus; not from one of them */
void domain_pause_nosync(struct domain *d);
void domain_unpause(struct domain *d);
/* Counted by the tools: pausing twice needs two unpauses. -errno. */
int domain_pause_by_tools(struct domain *d);
int domain_unpause_by_tools(struct domain *d);
/* Current blocks unless an event is pending. */
void vcpu_block(void);
/* v was woken by an event: leaves SCHEDOP_block or SCHEDOP_poll. */
void vcpu_unblock(struct vcpu *v);
void vcpu_yield(void);
/* Affinity; moves v if it has to. -EINVAL: no online CPU in it. */
int vcpu_set_hard_affinity(struct vcpu *v, const cpumask_t *mask);
void vcpu_set_soft_affinity(struct vcpu *v, const cpumask_t *mask);
/* Asks the CPU of v to schedule again. */
void vcpu_force_reschedule(struct vcpu *v);

/* Accounting. */
void vcpu_runstate_get(const struct vcpu *v, struct vcpu_runstate_info *rs);
uint64_t vcpu_cpu_time(const struct vcpu *v);   /* ns it has run */
uint64_t cpu_idle_time(unsigned cpu);           /* ns */
/* Copies current's runstate to the area the guest registered. */
void vcpu_update_runstate_area(struct vcpu *v);

/* For the tools: answers as credit2 (XEN_SCHEDULER_CREDIT2). -errno. */
int sched_domctl(struct domain *d, struct xen_domctl_scheduler_op *op);
int sched_sysctl(struct xen_sysctl_scheduler_op *op);
int sched_id(void);

/* What a scheduler implements.  All hooks run under the run-queue lock of the CPU named. */
struct scheduler {
    const char *name, *opt_name; /* opt_name: as in sched= */
    unsigned id;                 /* XEN_SCHEDULER_* the tools are told */
    int (*init)(void);
    void *(*alloc_vcpu)(struct vcpu *v);
    void (*free_vcpu)(struct vcpu *v);
    void *(*alloc_domain)(struct domain *d);
    void (*free_domain)(struct domain *d);
    unsigned (*pick_cpu)(const struct vcpu *v);
    void (*insert)(struct vcpu *v);
    void (*remove)(struct vcpu *v);
    void (*wake)(struct vcpu *v);
    void (*sleep)(struct vcpu *v);
    void (*yield)(struct vcpu *v);
    /* Next to run on cpu and for how long at most (slice, ns; <0: no limit). */
    struct vcpu *(*pick_next)(unsigned cpu, s_time_t now, struct vcpu *prev, s_time_t *slice);
    int (*adjust)(struct domain *d, struct xen_domctl_scheduler_op *op);
    void (*dump)(unsigned cpu);
};
