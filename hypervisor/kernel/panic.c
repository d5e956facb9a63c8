// SPDX-License-Identifier: MIT
/*
 * Our own faults.  The first CPU to panic breaks the console lock, prints, has the others stopped
 * (each shows where it was), and ends the machine.  A CPU that panics while another does just
 * stops; one that panics again while it prints ends the machine at once.
 */
#include "kernel/panic.h"
#include "arch/api/arch_cpu.h"
#include "domain/domain.h"
#include "kernel/console.h"
#include "kernel/lock.h"
#include "kernel/symbols.h"
#include "lib/string.h"

#define MAX_FRAMES 32
#define PATIENCE   20000000 /* turns of a spin loop, some seconds at most */

bool opt_noreboot;

static unsigned panic_cpu;     /* CPU + 1 that panicked first */
static unsigned cpus_reported; /* CPUs that showed what they did */
static bool report_busy;       /* one reports at a time */

void dump_backtrace(const struct cpu_user_regs *regs)
{
    unsigned long pc[MAX_FRAMES];
    char what[160];
    unsigned n = arch_backtrace(regs, pc, MAX_FRAMES);

    printk(KERN_ERR "Backtrace:\n");
    for (unsigned i = 0; i < n; i++)
        printk(KERN_ERR "  %#018lx %s\n", pc[i],
               symbol_describe(pc[i], i || !regs, what, sizeof(what)));
}

static void report(const struct cpu_user_regs *regs)
{
    const struct vcpu *v = current;

    if (!v)
        printk(KERN_ERR "CPU %u\n", smp_processor_id());
    else if (v->domain->is_idle)
        printk(KERN_ERR "CPU %u, idle vcpu\n", smp_processor_id());
    else
        printk(KERN_ERR "CPU %u, running d%uv%u\n", smp_processor_id(), v->domain->id, v->vcpu_id);
    arch_dump_registers(regs);
    dump_backtrace(regs);
    spin_dump_held();
}

bool panic_active(void)
{
    return READ_ONCE(panic_cpu);
}

void panic_stopped_cpu(const struct cpu_user_regs *regs)
{
    unsigned patience = PATIENCE;

    if (!READ_ONCE(panic_cpu))
        return;
    while (__atomic_exchange_n(&report_busy, true, __ATOMIC_ACQUIRE) && patience--)
        cpu_relax();
    report(regs);
    __atomic_store_n(&report_busy, false, __ATOMIC_RELEASE);
    __atomic_fetch_add(&cpus_reported, 1, __ATOMIC_RELEASE);
}

static void __noreturn end(void)
{
    arch_machine_end(opt_noreboot ? MACHINE_HALT : MACHINE_REBOOT);
}

static void __noreturn do_panic(const struct cpu_user_regs *regs, const char *fmt, va_list ap)
{
    static char reason[512];
    unsigned nobody = 0, me = smp_processor_id() + 1, patience = PATIENCE;

    local_irq_disable();
    if (!__atomic_compare_exchange_n(&panic_cpu, &nobody, me, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE)) {
        if (nobody == me)
            end(); /* while printing */
        for (;;)
            cpu_relax();
    }
    console_force_unlock();
    vsnprintf(reason, sizeof(reason), fmt, ap);
    printk(KERN_ERR "****************************************\n");
    printk(KERN_ERR "Hospes panic on CPU %u: %s\n", me - 1, reason);
    report_busy = true;
    report(regs);
    report_busy = false;
    arch_stop_other_cpus();
    while (READ_ONCE(cpus_reported) + 1 < cpumask_weight(&cpu_online_map) && patience--)
        cpu_relax();
    printk(KERN_ERR "Panic on CPU %u: %s\n", me - 1, reason);
    printk(KERN_ERR "****************************************\n");
    printk(KERN_ERR "%s\n", opt_noreboot ? "Halted (noreboot)" : "Rebooting");
    end();
}

void panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    do_panic(NULL, fmt, ap);
}

void panic_regs(const struct cpu_user_regs *regs, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    do_panic(regs, fmt, ap);
}
