// SPDX-License-Identifier: MIT
/* A second vcpu (or more), which does one piece of work at a time and takes itself down after each.
 */
#include "guest.h"

void vcpu_main(struct cpu *cpu);

void vcpu_main(struct cpu *cpu)
{
    for (;;) {
        if (!save_point(&cpu->catch) && cpu->work)
            cpu->work(cpu->work_arg);
        cpu->work = NULL;
        cpu->busy = false;
        HC3(vcpu_op, VCPUOP_down, cpu->id, 0);
    }
}

unsigned nr_vcpus(void)
{
    unsigned n = 0;

    while (n < MAX_CPUS && HC3(vcpu_op, VCPUOP_is_up, n, 0) >= 0)
        n++;
    return n;
}

void start_on_cpu(unsigned cpu, void (*fn)(unsigned long), unsigned long arg)
{
    static bool initialised[MAX_CPUS];
    static struct vcpu_guest_context context;

    cpus[cpu].work = fn;
    cpus[cpu].work_arg = arg;
    cpus[cpu].busy = true;
    if (!initialised[cpu]) {
        fill_context(&context, cpu);
        REQUIRE_EQ(HC3(vcpu_op, VCPUOP_initialise, cpu, &context), 0);
        initialised[cpu] = true;
    }
    REQUIRE_EQ(HC3(vcpu_op, VCPUOP_up, cpu, 0), 0);
}

void start_on_cpu1(void (*fn)(unsigned long), unsigned long arg)
{
    if (nr_vcpus() < 2)
        skip("one vcpu only");
    wait_cpu1();
    start_on_cpu(1, fn, arg);
}

void wait_cpu1(void)
{
    u64 end = now() + 20000000000ULL;

    while (cpus[1].busy || HC3(vcpu_op, VCPUOP_is_up, 1, 0) == 1) {
        if (now() > end)
            die("the second vcpu does not end");
        HC2(sched_op, SCHEDOP_yield, 0);
    }
}
