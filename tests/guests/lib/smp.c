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

void fill_context(struct vcpu_guest_context *c, unsigned cpu)
{
    struct trap_info table[257];

    memset(c, 0, sizeof(*c));
    fill_trap_table(table);
    memcpy(c->trap_ctxt, table, sizeof(c->trap_ctxt));
    c->flags = VGCF_in_kernel;
    c->user_regs.rip = (u64)vcpu_entry;
    c->user_regs.rsp = (u64)stacks + (cpu + 1) * STACK_SIZE;
    c->user_regs.rdi = (u64)&cpus[cpu];
    c->user_regs.cs = FLAT_KERNEL_CS;
    c->user_regs.ss = FLAT_KERNEL_SS;
    c->user_regs.rflags = 0x200;
    c->kernel_ss = FLAT_KERNEL_SS;
    c->kernel_sp = kernel_stack_of(cpu);
    c->ctrlreg[3] = xen_pfn_to_cr3(root_mfn());
    c->event_callback_eip = (u64)event_entry;
    c->failsafe_callback_eip = (u64)failsafe_entry;
    c->syscall_callback_eip = (u64)syscall_entry;
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
    u64 end = now() + 20000000000UL;

    while (cpus[1].busy || HC3(vcpu_op, VCPUOP_is_up, 1, 0) == 1) {
        if (now() > end)
            die("the second vcpu does not end");
        HC2(sched_op, SCHEDOP_yield, 0);
    }
}
