// SPDX-License-Identifier: MIT
/*
 * The CPU, as common code sees it.  <asm/cpu.h> defines inline, for the arch being built:
 *
 *   smp_processor_id()          number of this CPU
 *   arch_this_percpu_offset()   see kernel/percpu.h
 *   current                     struct vcpu * running on this CPU
 *   cpu_relax()                 in spin loops
 *   local_irq_disable/enable()  interrupts of this CPU
 *   local_irq_save_()           returns flags and disables;   local_irq_restore(flags)
 *   local_irq_is_enabled()
 *   smp_mb(), smp_rmb(), smp_wmb()
 */
#pragma once
#include "kernel/cpumask.h"
#include <asm/cpu.h>

#define local_irq_save(flags) ((flags) = local_irq_save_())

/* Makes cpu run its pending softirqs soon; no-op if it polls for them. */
void arch_send_event_check(unsigned cpu);
/* Makes the CPUs of mask (never this one) run smp_call_interrupt(). */
void arch_send_call_function(const cpumask_t *mask);
/* Halts until an interrupt; called with interrupts off, returns with them on. */
void arch_safe_halt(void);
/* Stops all other CPUs for good (panic, reboot). */
void arch_stop_other_cpus(void);
/* The hypervisor's registers at regs (NULL: here) on the console. */
struct cpu_user_regs;
void arch_dump_registers(const struct cpu_user_regs *regs);
/* Return addresses up this CPU's stack, from regs (NULL: from the caller); how many. */
unsigned arch_backtrace(const struct cpu_user_regs *regs, unsigned long *pc, unsigned max);
enum machine_end { MACHINE_POWEROFF, MACHINE_REBOOT, MACHINE_HALT };
/* Powers off, reboots or halts, by a chain of fall-backs. */
void arch_machine_end(enum machine_end how) __noreturn;
