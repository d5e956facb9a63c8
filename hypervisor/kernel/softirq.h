// SPDX-License-Identifier: MIT
/* Work raised from interrupt context and done before the CPU returns to a guest or idles. */
#pragma once
#include "kernel/cpumask.h"

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
bool softirq_pending(unsigned cpu);
/* Runs all that is pending on this CPU.  Interrupts on, no lock held. */
void do_softirq(void);

/* A function run once later, with interrupts on, on the CPU that scheduled it. */
struct tasklet {
    struct tasklet *next;
    void (*fn)(void *);
    void *data;
    bool scheduled;
};
void tasklet_init(struct tasklet *t, void (*fn)(void *), void *data);
void tasklet_schedule(struct tasklet *t);
