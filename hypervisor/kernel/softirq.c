// SPDX-License-Identifier: MIT
/*
 * Softirqs and tasklets.
 *
 * Each CPU has a word of pending bits.  Anybody may set one, atomically; only the CPU itself clears
 * it, just before the handler runs, so work that comes while the handler runs makes it run again.
 * The lowest number goes first, and one that is set again has its next turn after the others;
 * SOFTIRQ_SCHEDULE is the highest: that handler may switch to another vcpu and then does not come
 * back.
 *
 * A CPU looks at its word on every way back to a guest, and before it halts.  Setting a bit of
 * another CPU therefore needs an inter-processor interrupt, but only when the word had no such bit:
 * then somebody has sent that interrupt already.
 */
#include "kernel/softirq.h"
#include "arch/api/arch_cpu.h"
#include "kernel/panic.h"
#include "kernel/percpu.h"
#include "kernel/rcu.h"

DEFINE_PER_CPU(unsigned long, softirq_bits);
DEFINE_PER_CPU(unsigned, irq_depth);

static void run_tasklets(void);

static void nothing(void)
{
}

static void (*softirq_handler[NR_SOFTIRQS])(void) = {
    [SOFTIRQ_TIMER] = nothing, [SOFTIRQ_RCU] = rcu_run_callbacks, [SOFTIRQ_TASKLET] = run_tasklets,
    [SOFTIRQ_ARCH] = nothing,  [SOFTIRQ_SCHEDULE] = nothing,
};

/* Tasklets of a CPU, oldest first; touched by that CPU alone, with interrupts off. */
struct tasklet_queue {
    struct tasklet *first, **last;
};
static DEFINE_PER_CPU(struct tasklet_queue, tasklet_queue);

void open_softirq(enum softirq nr, void (*fn)(void))
{
    softirq_handler[nr] = fn;
}

void raise_softirq(enum softirq nr)
{
    set_bit(nr, &this_cpu(softirq_bits));
}

void cpu_raise_softirq(unsigned cpu, enum softirq nr)
{
    if (!test_and_set_bit(nr, &per_cpu(softirq_bits, cpu)) && cpu != smp_processor_id())
        arch_send_event_check(cpu);
}

void cpumask_raise_softirq(const cpumask_t *mask, enum softirq nr)
{
    unsigned cpu;

    for_each_cpu (cpu, mask)
        cpu_raise_softirq(cpu, nr);
}

void do_softirq(void)
{
    unsigned long bits;

    /* Between handlers nothing is held, so this is a quiescent point of RCU. */
    for (rcu_quiescent(); (bits = READ_ONCE(this_cpu(softirq_bits))); rcu_quiescent())
        for (; bits; bits &= bits - 1) {
            unsigned nr = ffs_index(bits);

            clear_bit(nr, &this_cpu(softirq_bits));
            softirq_handler[nr]();
        }
}

void tasklet_init(struct tasklet *t, void (*fn)(void *), void *data)
{
    *t = (struct tasklet)TASKLET_INIT(fn, data);
}

void tasklet_schedule(struct tasklet *t)
{
    struct tasklet_queue *q;
    unsigned long flags;

    if (__atomic_exchange_n(&t->scheduled, true, __ATOMIC_ACQ_REL))
        return;
    local_irq_save(flags);
    q = &this_cpu(tasklet_queue);
    t->next = NULL;
    if (q->first)
        *q->last = t;
    else
        q->first = t;
    q->last = &t->next;
    raise_softirq(SOFTIRQ_TASKLET);
    local_irq_restore(flags);
}

static void run_tasklets(void)
{
    struct tasklet_queue *q = &this_cpu(tasklet_queue);
    struct tasklet *t, *next;

    local_irq_disable();
    t = q->first;
    q->first = NULL;
    local_irq_enable();
    for (; t; t = next) {
        void (*fn)(void *) = t->fn;
        void *data = t->data;

        next = t->next;
        /* From here on it may be scheduled again, also by itself. */
        __atomic_store_n(&t->scheduled, false, __ATOMIC_RELEASE);
        fn(data);
    }
}
