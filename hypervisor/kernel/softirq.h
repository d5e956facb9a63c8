// SPDX-License-Identifier: MIT
/* Work raised from interrupt context and done before the CPU returns to a guest or idles. */
#pragma once
#include "kernel/cpumask.h"
#include "kernel/percpu.h"

enum softirq {
    SOFTIRQ_TIMER,
    SOFTIRQ_RCU,
    SOFTIRQ_TASKLET,
    SOFTIRQ_ARCH,     /* the architecture's own deferred work */
    SOFTIRQ_SCHEDULE, /* last: it may switch vcpus */
    NR_SOFTIRQS
};

/* Registers the handler; boot only. */
void open_softirq(enum softirq nr, void (*fn)(void));
void raise_softirq(enum softirq nr);
/* Raises nr on another CPU and makes that CPU notice (inter-processor interrupt if needed). */
void cpu_raise_softirq(unsigned cpu, enum softirq nr);
void cpumask_raise_softirq(const cpumask_t *mask, enum softirq nr);
/* Bit n: softirq n waits on that CPU.  Atomic. */
DECLARE_PER_CPU(unsigned long, softirq_bits);
static inline bool softirq_pending(unsigned cpu)
{
    return READ_ONCE(per_cpu(softirq_bits, cpu));
}
/* The same for this CPU, cheaper. */
static inline bool softirq_pending_here(void)
{
    return READ_ONCE(this_cpu(softirq_bits));
}
/* Runs all that is pending on this CPU.  Interrupts on, no lock held, no RCU-protected pointer. */
void do_softirq(void);

/*
 * Around every interrupt handler (the arch's do_irq): how deep this CPU is in them.  Only the
 * checks of debug builds ask, so only those count.
 */
DECLARE_PER_CPU(unsigned, irq_depth);
static inline void irq_enter(void)
{
#ifdef CONFIG_DEBUG
    this_cpu(irq_depth)++;
#endif
}

static inline void irq_exit(void)
{
#ifdef CONFIG_DEBUG
    this_cpu(irq_depth)--;
#endif
}

static inline bool in_irq(void)
{
    return this_cpu(irq_depth);
}

/* A function run once later, with interrupts on, on the CPU that scheduled it. */
struct tasklet {
    struct tasklet *next;
    void (*fn)(void *);
    void *data;
    bool scheduled;
};
#define TASKLET_INIT(f, d)                                                                         \
    {                                                                                              \
        .fn = (f), .data = (d)                                                                     \
    }
void tasklet_init(struct tasklet *t, void (*fn)(void *), void *data);
/* Any context.  Once scheduled, nothing happens until fn has been called. */
void tasklet_schedule(struct tasklet *t);
