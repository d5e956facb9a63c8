// SPDX-License-Identifier: MIT
/*
 * The order of bring-up.  Everything up to arch_boot_cpus() runs on the boot CPU alone with
 * interrupts off until the scheduler exists.  What each step needs is done by an earlier one:
 *
 *   per-CPU data, traps      nothing
 *   command line, console    what the loader said
 *   memory                   the loader's map; from here on there is a heap
 *   platform                 ioremap() for tables and devices
 *   domains, scheduler       per-CPU data, heap; from here on there is a current vcpu
 *   other CPUs               time, interrupts, idle vcpus
 *   dom0                     everything
 */
#include "arch/api/arch_boot.h"
#include "arch/api/arch_cpu.h"
#include "boot/cmdline.h"
#include "boot/main.h"
#include "domain/domain.h"
#include "domain/unit.h"
#include "kernel/console.h"
#include "kernel/keyhandler.h"
#include "kernel/panic.h"
#include "kernel/timer.h"
#include "lib/string.h"

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

static void __init banner(void)
{
    printk("Hospes, a hypervisor with the Xen 4.17 interface (%s)\n", COMPILER);
    printk("Started by %s; command line: %s\n", arch_boot_loader(), cmdline_text);
}

void boot_fail(const char *fmt, ...)
{
    static char why[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    local_irq_disable();
    printk(KERN_ERR "Hospes cannot start: %s\n", why);
    printk(KERN_ERR "%s\n", opt_noreboot ? "Halted (noreboot)" : "Rebooting");
    arch_machine_end(opt_noreboot ? MACHINE_HALT : MACHINE_REBOOT);
}

void __init start_hypervisor(unsigned long arg0, unsigned long arg1)
{
    const char *err = arch_boot_early(arg0, arg1);

    cmdline_parse(arch_boot_cmdline());
    arch_boot_console();
    banner();
    cmdline_report();
    if (err)
        boot_fail("%s", err);

    arch_boot_memory();
    console_init();
    keyhandler_init();
    arch_boot_platform();

    timer_subsys_init();
    units_init();
    domain_subsys_init();
    sched_init();
    local_irq_enable();

    arch_boot_cpus();
    arch_boot_dom0();
    printk("Hospes is up: %lu MB free, %u CPUs; dom0 starts\n",
           (unsigned long)(heap_free_pages() >> (20 - PAGE_SHIFT)),
           cpumask_weight(&cpu_online_map));
    console_endboot();
    arch_boot_done();
    if (dom0)
        domain_unpause_by_tools(dom0);
    idle_loop();
}
