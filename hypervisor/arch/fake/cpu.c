// SPDX-License-Identifier: MIT
/* CPUs and time of the fake arch; fake.h explains them. */
#include "arch/fake/fake.h"
#include <stdio.h>
#include <stdlib.h>
#include "arch/api/arch_domain.h"
#include "arch/api/arch_time.h"
#include "domain/domain.h"
#include "kernel/cpu.h"
#include "kernel/softirq.h"
#include "kernel/timer.h"

unsigned fake_cpu;
struct vcpu *fake_current;
bool fake_irqs_on = true;

struct fake_ipi fake_ipi[NR_CPUS];
bool fake_deliver_ipis = true;
bool fake_machine_ended;
unsigned fake_switches;
bool fake_lazy_save;
s_time_t fake_now;
s_time_t fake_deadline[NR_CPUS];

/* The vcpu each CPU runs while another CPU is played. */
static struct vcpu *running_on[NR_CPUS];

static jmp_buf softirq_env;
static bool in_softirqs;
void (*fake_relax_hook)(void);

void fake_run_on(unsigned cpu, struct vcpu *v)
{
    running_on[fake_cpu] = fake_current;
    fake_cpu = cpu;
    fake_current = running_on[cpu] = v;
}

static void play_cpu(unsigned cpu)
{
    fake_run_on(cpu, running_on[cpu]);
}

void fake_init(unsigned cpus)
{
    nr_cpu_ids = cpus;
    cpumask_clear(&cpu_possible_map);
    for (unsigned i = 0; i < cpus; i++) {
        cpumask_set_cpu(i, &cpu_possible_map);
        fake_deadline[i] = S_TIME_NEVER;
        running_on[i] = NULL;
    }
    cpu_online_map = cpu_possible_map;
    memset(fake_ipi, 0, sizeof(fake_ipi));
    fake_cpu = 0;
    fake_current = NULL;
    fake_irqs_on = true;
    fake_deliver_ipis = true;
    fake_lazy_save = false;
    fake_machine_ended = false;
    fake_switches = 0;
    fake_now = 0;
    fake_relax_hook = NULL;
    fake_guest_fault(0, 0);
    fake_guest_hook = NULL;
    fake_tlb_hook = NULL;
    fake_guest_copies = fake_tlb_flushes = 0;
    fake_alloc_fail_after = -1;
    fake_preempt = false;
    fake_kicks = fake_crashes = 0;
    fake_kicked = NULL;
    fake_crashed = NULL;
}

/* ---- arch_cpu.h ---- */

void arch_send_event_check(unsigned cpu)
{
    fake_ipi[cpu].event_check++;
}

void arch_send_call_function(const cpumask_t *mask)
{
    unsigned cpu, back = fake_cpu;

    for_each_cpu (cpu, mask) {
        fake_ipi[cpu].call_function++;
        if (!fake_deliver_ipis)
            continue;
        play_cpu(cpu);
        fake_irqs_on = false;
        smp_call_interrupt();
        play_cpu(back);
        fake_irqs_on = true;
    }
}

void arch_safe_halt(void)
{
    fake_irqs_on = true;
}

void arch_stop_other_cpus(void)
{
}

void arch_machine_end(enum machine_end how)
{
    fprintf(stderr, "the machine ends: %d\n", how);
    fake_machine_ended = true;
    abort();
}

/* ---- softirqs and context switches ---- */

void fake_softirqs(void)
{
    jmp_buf outer;
    bool was_in = in_softirqs; /* the other CPU waits in a loop of its own softirqs */

    memcpy(&outer, &softirq_env, sizeof(outer));
    if (setjmp(softirq_env) == 0) {
        in_softirqs = true;
        do_softirq();
    }
    memcpy(&softirq_env, &outer, sizeof(outer));
    in_softirqs = was_in;
    fake_irqs_on = true;
}

void fake_softirqs_all(void)
{
    unsigned cpu, back = fake_cpu;
    bool again;

    do {
        again = false;
        for_each_online_cpu (cpu)
            if (softirq_pending(cpu)) {
                play_cpu(cpu);
                fake_softirqs();
                again = true;
            }
    } while (again);
    play_cpu(back);
}

void cpu_relax(void)
{
    static unsigned turns;

    if (fake_relax_hook) {
        turns = 0;
        fake_relax_hook();
    } else if (++turns > 1000000) {
        fprintf(stderr, "the code under test waits for ever\n");
        abort();
    }
}

void arch_context_switch(struct vcpu *prev, struct vcpu *next)
{
    fake_switches++;
    fake_current = running_on[fake_cpu] = next;
    if (!fake_lazy_save)
        sched_context_saved(prev);
    if (!in_softirqs) {
        fprintf(stderr, "context switch outside fake_softirqs()\n");
        abort();
    }
    longjmp(softirq_env, 1);
}

void arch_continue_running(struct vcpu *v)
{
    (void)v;
}

/* ---- arch_time.h ---- */

__attribute__((weak)) s_time_t NOW(void) /* tests of time bring their own */
{
    return fake_now;
}

void arch_timer_program(s_time_t deadline)
{
    fake_deadline[fake_cpu] = deadline;
}

void fake_advance_to(s_time_t t)
{
    unsigned back = fake_cpu;

    for (;;) {
        unsigned cpu, first = NR_CPUS;

        for_each_online_cpu (cpu)
            if (first == NR_CPUS || fake_deadline[cpu] < fake_deadline[first])
                first = cpu;
        if (fake_deadline[first] > t)
            break;
        if (fake_now < fake_deadline[first])
            fake_now = fake_deadline[first];
        fake_deadline[first] = S_TIME_NEVER;
        play_cpu(first);
        fake_irqs_on = false;
        timer_interrupt();
        fake_irqs_on = true;
        fake_softirqs_all(); /* also of the CPUs it interrupts */
    }
    play_cpu(back);
    fake_now = t;
}
