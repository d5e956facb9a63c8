// SPDX-License-Identifier: MIT
/* A second vcpu, which does one piece of work at a time and takes itself down after each. */
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

void start_on_cpu1(void (*fn)(unsigned long), unsigned long arg)
{
    static bool initialised;
    static struct vcpu_guest_context context;

    if (nr_vcpus() < 2)
        skip("one vcpu only");
    wait_cpu1();
    cpus[1].work = fn;
    cpus[1].work_arg = arg;
    cpus[1].busy = true;
    if (!initialised) {
        fill_context(&context, 1);
        REQUIRE_EQ(HC3(vcpu_op, VCPUOP_initialise, 1, &context), 0);
        initialised = true;
    }
    REQUIRE_EQ(HC3(vcpu_op, VCPUOP_up, 1, 0), 0);
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
