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

void sched_init(void);              /* boot CPU: idle vcpu becomes current */
void sched_cpu_start(unsigned cpu); /* on a CPU that comes up */
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
uint64_t vcpu_cpu_time(const struct vcpu *v); /* ns it has run */
uint64_t cpu_idle_time(unsigned cpu);         /* ns */
/* Copies current's runstate to the area the guest registered. */
void vcpu_update_runstate_area(struct vcpu *v);

/* For the tools: answers as credit2 (XEN_SCHEDULER_CREDIT2). -errno. */
int sched_domctl(struct domain *d, struct xen_domctl_scheduler_op *op);
int sched_sysctl(struct xen_sysctl_scheduler_op *op);
int sched_id(void);

/* Pool-0, the one CPU pool.  op is in hypervisor memory, its bitmap in the caller's.  -errno. */
struct xen_sysctl_cpupool_op;
int cpupool_sysctl(struct xen_sysctl_cpupool_op *op);

/* sched= : names one of the schedulers built in; false: none of that name.  Before sched_init(). */
bool sched_choose(const char *opt_name);
extern unsigned opt_sched_turn_ms, opt_sched_ratelimit_us; /* rr's, before sched_init() */

/*
 * What a scheduler implements.  A vcpu that is runnable and not running is queued with the
 * scheduler, on the CPU v->processor; the core says when.  Unless noted, hooks run under that CPU's
 * run-queue lock, with interrupts off.
 */
struct scheduler {
    const char *name, *opt_name;             /* opt_name: as in sched= */
    unsigned id;                             /* XEN_SCHEDULER_* the tools are told */
    void (*init)(void);                      /* boot; reads its options */
    void (*cpu_init)(unsigned cpu);          /* no lock; before the CPU schedules */
    void *(*alloc_vcpu)(struct vcpu *v);     /* no lock; what it returns is sched_vcpu.data */
    void (*free_vcpu)(struct vcpu *v);       /* no lock */
    void *(*alloc_domain)(struct domain *d); /* no lock; sched_domain.data */
    void (*free_domain)(struct domain *d);   /* no lock */
    /* The best of its CPUs (hard affinity, online) for v, which wakes.  Other CPUs' queues are not
     * locked: it may guess.  An idle CPU it chooses is made to schedule. */
    unsigned (*pick_cpu)(const struct vcpu *v);
    /* v is runnable now: queues it; the CPU shall schedule if v should run before what runs. */
    void (*wake)(struct vcpu *v, s_time_t now);
    /* v, which is queued, is not runnable any more, or is about to move. */
    void (*dequeue)(struct vcpu *v);
    /* v, which runs, would let others run: at the next pick_next(). */
    void (*yield)(struct vcpu *v);
    /*
     * Next to run on this CPU, taken off the queue, or NULL: idle; and for how long at most (ns; 0:
     * no limit).  prev (NULL: idle) ran since `since`; if it is to be queued it is a candidate,
     * too. Whether it is still runnable is not the scheduler's to ask: that changes at any time.
     */
    struct vcpu *(*pick_next)(unsigned cpu, s_time_t now, struct vcpu *prev, bool queue_prev,
                              s_time_t since, s_time_t *slice);
    /* Nothing is queued here: a vcpu queued elsewhere that may run on cpu, by sched_pull(), which
     * is queued on cpu then; false: none. */
    bool (*steal)(unsigned cpu, s_time_t now);
    int (*adjust)(struct domain *d, struct xen_domctl_scheduler_op *op); /* no lock */
    int (*adjust_global)(struct xen_sysctl_scheduler_op *op);            /* no lock */
    void (*dump)(unsigned cpu);
};
