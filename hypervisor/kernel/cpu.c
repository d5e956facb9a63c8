// SPDX-License-Identifier: MIT
/*
 * Calls on other CPUs.  One call at a time: the caller that holds `busy` describes it in `call`,
 * sets `waiting` and interrupts the CPUs in it; each runs the function and takes itself out.
 * Waiting for `busy`, as waiting for the others, happens with interrupts on, so two callers serve
 * each other.
 */
#include "kernel/cpu.h"
#include "arch/api/arch_cpu.h"
#include "kernel/panic.h"

unsigned nr_cpu_ids = 1;
cpumask_t cpu_possible_map;
cpumask_t cpu_online_map;

static bool busy;
static struct {
    void (*fn)(void *);
    void *data;
    cpumask_t waiting; /* CPUs that have not run it yet */
} call;

static void run_here(void (*fn)(void *), void *data)
{
    unsigned long flags;

    local_irq_save(flags);
    fn(data);
    local_irq_restore(flags);
}

void on_selected_cpus(const cpumask_t *mask, void (*fn)(void *), void *data)
{
    unsigned me = smp_processor_id();
    cpumask_t others;
    bool here;

    cpumask_and(&others, mask, &cpu_online_map);
    here = cpumask_test_cpu(me, &others);
    cpumask_clear_cpu(me, &others);
    if (!cpumask_empty(&others)) {
        ASSERT(local_irq_is_enabled());
        while (__atomic_exchange_n(&busy, true, __ATOMIC_ACQUIRE))
            cpu_relax();
        call.fn = fn;
        call.data = data;
        call.waiting = others;
        smp_mb();
        arch_send_call_function(&others);
        if (here)
            run_here(fn, data);
        while (!cpumask_empty((const cpumask_t *)&call.waiting)) {
            cpu_relax();
            barrier();
        }
        __atomic_store_n(&busy, false, __ATOMIC_RELEASE);
    } else if (here) {
        run_here(fn, data);
    }
}

void smp_call_interrupt(void)
{
    unsigned me = smp_processor_id();

    if (!cpumask_test_cpu(me, &call.waiting))
        return; /* spurious */
    smp_rmb();
    call.fn(call.data);
    cpumask_clear_cpu(me, &call.waiting); /* a full barrier: what fn did is visible first */
}
