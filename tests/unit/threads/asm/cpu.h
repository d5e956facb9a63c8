// SPDX-License-Identifier: MIT
/* The fake arch where each thread of the test is a CPU; threads.c. */
#pragma once
#include <sched.h>
#include <stdbool.h>
#include "lib/compiler.h"

struct vcpu;
extern __thread unsigned fake_cpu;
extern __thread struct vcpu *fake_current;
extern __thread bool fake_irqs_on;

#define smp_processor_id() (fake_cpu)
#define current            (fake_current)

/* Fewer processors than threads: who waits lets others go on. */
static inline void cpu_relax(void)
{
    sched_yield();
}

static inline void local_irq_disable(void)
{
    fake_irqs_on = false;
}

static inline void local_irq_enable(void)
{
    fake_irqs_on = true;
}

static inline unsigned long local_irq_save_(void)
{
    unsigned long f = fake_irqs_on;

    fake_irqs_on = false;
    return f;
}

static inline void local_irq_restore(unsigned long f)
{
    fake_irqs_on = f;
}

static inline bool local_irq_is_enabled(void)
{
    return fake_irqs_on;
}

#define smp_mb()  __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define smp_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define smp_wmb() __atomic_thread_fence(__ATOMIC_RELEASE)
