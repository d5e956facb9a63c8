// SPDX-License-Identifier: MIT
/* The local APIC; a second vcpu (or more), which does one piece of work at a time. */
#include "guest.h"

u64 ap_stack;
extern u8 ap_begin[], ap_end[], stacks[];
static bool up[MAX_CPUS] = {true};

u32 apic_read(unsigned off)
{
    if (rdmsr(MSR_APIC_BASE) & APIC_X2APIC)
        return rdmsr(0x800 + off / 16);
    return READ_ONCE(*(u32 *)(APIC + off));
}

void apic_write(unsigned off, u32 val)
{
    if (rdmsr(MSR_APIC_BASE) & APIC_X2APIC)
        wrmsr(0x800 + off / 16, val);
    else
        WRITE_ONCE(*(u32 *)(APIC + off), val);
}

/* The tools number APICs so. */
static u32 apic_id(unsigned cpu)
{
    return 2 * cpu;
}

void apic_send(unsigned cpu, u32 icr)
{
    if (rdmsr(MSR_APIC_BASE) & APIC_X2APIC) {
        wrmsr(0x800 + APIC_ICR / 16, (u64)apic_id(cpu) << 32 | icr);
        return;
    }
    WRITE_ONCE(*(u32 *)(APIC + APIC_ICR2), apic_id(cpu) << 24);
    WRITE_ONCE(*(u32 *)(APIC + APIC_ICR), icr);
}

void apic_timer(u32 ticks)
{
    apic_write(APIC_LVTT, VEC_TIMER);
    apic_write(APIC_TDIV, 0xb); /* by one */
    apic_write(APIC_TINIT, ticks);
}

void apic_init(void)
{
    apic_write(APIC_SVR, 0x100 | VEC_SPURIOUS);
    apic_write(APIC_TPR, 0);
}

unsigned nr_vcpus(void)
{
    unsigned n = 0;

    while (n < MAX_CPUS && HC3(vcpu_op, VCPUOP_is_up, n, 0) >= 0)
        n++;
    return n;
}

void ap_main(void);

void ap_main(void)
{
    struct cpu *cpu = this_cpu();

    traps_init();
    apic_init();
    up[cpu->id] = true;
    irq_on();
    for (;;) {
        while (!cpu->work) /* first: there may be some as soon as it is up */
            sleep_ms(1);
        if (!save_point(&cpu->catch))
            cpu->work(cpu->work_arg);
        irq_on();
        cpu->work = NULL;
        cpu->busy = false;
    }
}

static void kick(unsigned cpu, u64 page)
{
    if (cpu >= nr_vcpus())
        skip("too few vcpus");
    apic_send(cpu, 0x4500);
    for (unsigned i = 0; i < 200; i++) { /* lost while the vcpu still leaves its CPU */
        apic_send(cpu, 0x4600 | page >> 12);
        sleep_ms(1);
        if (HC3(vcpu_op, VCPUOP_is_up, cpu, 0) == 1)
            return;
    }
    die("vcpu %u does not start", cpu);
}

void restart_cpu(unsigned cpu)
{
    u64 end = now() + 10000000000ULL;

    memcpy((void *)AP_PAGE, ap_begin, ap_end - ap_begin);
    ap_stack = (u64)stacks + (cpu + 1) * STACK_SIZE;
    up[cpu] = false;
    cpus[cpu].work = NULL;
    cpus[cpu].busy = cpus[cpu].armed = false;
    kick(cpu, AP_PAGE);
    while (!READ_ONCE(up[cpu]))
        if (now() > end)
            die("vcpu %u does not come up", cpu);
}

void start_real(const void *begin, const void *end)
{
    memcpy((void *)REAL_PAGE, begin, (const u8 *)end - (const u8 *)begin);
    kick(1, REAL_PAGE);
    up[1] = false;
}

void start_on_cpu(unsigned cpu, void (*fn)(unsigned long), unsigned long arg)
{
    if (!up[cpu])
        restart_cpu(cpu);
    cpus[cpu].work_arg = arg;
    cpus[cpu].busy = true;
    barrier();
    cpus[cpu].work = fn;
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

    while (cpus[1].busy) {
        if (now() > end)
            die("the second vcpu does not end");
        HC2(sched_op, SCHEDOP_yield, 0);
    }
}
