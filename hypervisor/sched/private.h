// SPDX-License-Identifier: MIT
/* What the files of this room share.  sched/core.c explains it. */
#pragma once
#include "abi/xen_abi.h"
#include "domain/domain.h"
#include "kernel/lock.h"
#include "kernel/percpu.h"
#include "kernel/timer.h"
#include "sched/sched.h"

#define NR_WATCHDOGS 2

/* A physical CPU's run queue. */
struct sched_cpu {
    spinlock_t lock; /* LOCK_SCHED; two: the lower CPU number first */
    unsigned cpu;
    struct vcpu *curr; /* whose runstate is running */
    struct vcpu *idle;
    s_time_t since;     /* curr runs since */
    struct timer slice; /* calls for schedule() */
    s_time_t slice_end; /* what it is set for; S_TIME_NEVER: not set */
    unsigned switches;
};
DECLARE_PER_CPU(struct sched_cpu, sched_cpu);

struct sched_vcpu {
    void *data;           /* the scheduler's */
    cpumask_t saved_hard; /* affinity while SCHEDOP_pin_override holds */
    bool pinned;
};

struct sched_watchdog_timer {
    struct timer timer;
    struct domain *domain;
    bool in_use;
};

struct sched_domain {
    void *data;      /* the scheduler's */
    int pause_count; /* atomic: pauses by the hypervisor itself */
    spinlock_t lock; /* watchdogs */
    struct sched_watchdog_timer watchdog[NR_WATCHDOGS];
};

extern const struct scheduler sched_rr;
extern const struct scheduler *scheduler;
/* CPUs that run their idle vcpu and that no wake-up has chosen since. */
extern cpumask_t sched_idle_cpus;

/* The run queue that v belongs to, locked; interrupts off meanwhile. */
struct sched_cpu *sched_lock_vcpu(const struct vcpu *v, unsigned long *flags);
static inline void sched_unlock(struct sched_cpu *p, unsigned long flags)
{
    spin_unlock_irqrestore(&p->lock, flags);
}

/* Sets the time at which p's CPU schedules again; p's lock is held. */
void sched_set_slice(struct sched_cpu *p, s_time_t end);
/* For steal(): v, queued on another CPU whose lock is held as is this CPU's, belongs to cpu now.
 * False: it may not. */
bool sched_pull(struct vcpu *v, unsigned cpu);

static inline bool is_idle_vcpu(const struct vcpu *v)
{
    return v->domain->is_idle;
}

/* ops.c */
void sched_watchdogs_kill(struct domain *d);
/* vtimer.c */
void vtimer_vcpu_create(struct vcpu *v);
void vtimer_vcpu_reset(struct vcpu *v);
void vtimer_vcpu_free(struct vcpu *v);
