// SPDX-License-Identifier: MIT
/*
 * Read-copy-update.
 *
 * Grace periods are numbered.  One at a time runs: `current_gp` has begun, `done_gp` is complete,
 * and they differ while one runs.  It begins with every online CPU in `waiting_for`; a CPU takes
 * itself out when it passes a quiescent point, and whoever empties the mask completes the period.
 * All of that is under rcu.lock.
 *
 * A callback registered during (or before) period n waits for period n + 1: that one begins later,
 * so every reader that could have seen the object before it was unlinked is counted in it.  Each
 * CPU keeps its callbacks in the order of their periods and touches them with interrupts off.
 *
 * A CPU that sits in a guest or sleeps would not pass here by itself, so all CPUs that are waited
 * for get SOFTIRQ_RCU.  Idle CPUs are no exception: an interrupt may make them read at any time.
 */
#include "kernel/rcu.h"
#include "kernel/cpumask.h"
#include "kernel/lock.h"
#include "kernel/percpu.h"
#include "kernel/softirq.h"

#define BATCH 32 /* callbacks run in one go */

static struct {
    spinlock_t lock;
    unsigned long current_gp, done_gp;
    unsigned long wanted_gp; /* highest a callback waits for */
    cpumask_t waiting_for;
    cpumask_t has_callbacks;
} rcu = {.lock = SPINLOCK_INIT(LOCK_LEAF)};

struct rcu_queue {
    struct rcu_head *first, **last;
};
static DEFINE_PER_CPU(struct rcu_queue, rcu_queue);

/* Begins the next period if it is wanted and none runs.  Fills kick with the CPUs to be told. */
static void start_gp(cpumask_t *kick)
{
    if (rcu.current_gp != rcu.done_gp || rcu.wanted_gp <= rcu.done_gp)
        return;
    rcu.current_gp++;
    rcu.waiting_for = cpu_online_map;
    if (cpumask_empty(&rcu.waiting_for)) /* early boot: nobody reads */
        rcu.done_gp = rcu.current_gp;
    cpumask_or(kick, kick, rcu.done_gp == rcu.current_gp ? &rcu.has_callbacks : &rcu.waiting_for);
}

/* cpu passed a quiescent point (or is gone).  Lock held. */
static void cpu_quiet(unsigned cpu, cpumask_t *kick)
{
    cpumask_clear_cpu(cpu, &rcu.waiting_for);
    if (rcu.current_gp == rcu.done_gp || !cpumask_empty(&rcu.waiting_for))
        return;
    WRITE_ONCE(rcu.done_gp, rcu.current_gp);
    cpumask_or(kick, kick, &rcu.has_callbacks);
    start_gp(kick);
}

/* Appends a chain of callbacks, all waiting for the next period; interrupts off, lock held. */
static void enqueue(struct rcu_head *first, struct rcu_head **last)
{
    struct rcu_queue *q = &this_cpu(rcu_queue);

    *last = NULL;
    if (q->first)
        *q->last = first;
    else
        q->first = first;
    q->last = last;
    cpumask_set_cpu(smp_processor_id(), &rcu.has_callbacks);
    rcu.wanted_gp = rcu.current_gp + 1;
}

void call_rcu(struct rcu_head *head, void (*fn)(struct rcu_head *))
{
    cpumask_t kick;
    unsigned long flags;

    cpumask_clear(&kick);
    head->fn = fn;
    spin_lock_irqsave(&rcu.lock, flags);
    head->seq = rcu.current_gp + 1;
    enqueue(head, &head->next);
    start_gp(&kick);
    spin_unlock_irqrestore(&rcu.lock, flags);
    cpumask_raise_softirq(&kick, SOFTIRQ_RCU);
}

void rcu_quiescent(void)
{
    cpumask_t kick;
    unsigned cpu = smp_processor_id();

    if (likely(!cpumask_test_cpu(cpu, &rcu.waiting_for)))
        return;
    cpumask_clear(&kick);
    spin_lock_irq(&rcu.lock);
    if (cpumask_test_cpu(cpu, &rcu.waiting_for))
        cpu_quiet(cpu, &kick);
    spin_unlock_irq(&rcu.lock);
    cpumask_raise_softirq(&kick, SOFTIRQ_RCU);
}

/* The first callback of this CPU whose period is over, or NULL. */
static struct rcu_head *next_ready(void)
{
    struct rcu_queue *q = &this_cpu(rcu_queue);
    struct rcu_head *head;

    local_irq_disable();
    head = q->first;
    if (head && head->seq > READ_ONCE(rcu.done_gp))
        head = NULL;
    if (head) {
        q->first = head->next;
        if (!q->first)
            cpumask_clear_cpu(smp_processor_id(), &rcu.has_callbacks);
    }
    local_irq_enable();
    return head;
}

void rcu_run_callbacks(void)
{
    for (unsigned i = 0; i < BATCH; i++) {
        struct rcu_head *head = next_ready();

        if (!head)
            return;
        head->fn(head);
    }
    raise_softirq(SOFTIRQ_RCU);
}

void rcu_cpu_dead(unsigned cpu)
{
    struct rcu_queue *dead = &per_cpu(rcu_queue, cpu);
    cpumask_t kick;
    unsigned long flags;

    cpumask_clear(&kick);
    spin_lock_irqsave(&rcu.lock, flags);
    if (cpumask_test_cpu(cpu, &rcu.waiting_for))
        cpu_quiet(cpu, &kick);
    if (dead->first) {
        for (struct rcu_head *h = dead->first; h; h = h->next)
            h->seq = rcu.current_gp + 1;
        enqueue(dead->first, dead->last);
        dead->first = NULL;
    }
    cpumask_clear_cpu(cpu, &rcu.has_callbacks);
    start_gp(&kick);
    spin_unlock_irqrestore(&rcu.lock, flags);
    cpumask_raise_softirq(&kick, SOFTIRQ_RCU);
}
