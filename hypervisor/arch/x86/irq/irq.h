// SPDX-License-Identifier: MIT
/* Interrupts: what the rest of arch/x86 calls.  Common code uses arch/api/arch_irq.h. */
#pragma once
#include "lib/types.h"

struct cpu_user_regs;
struct domain;

/* Masks the 8259s, sets up the IO-APICs as the MADT describes them.  Boot CPU, after ACPI. */
void irq_init(void);
/* From the entry code, interrupts off: the vector is regs->entry_vector. */
void do_irq(struct cpu_user_regs *regs);

/* One more than the highest global system interrupt of any IO-APIC. */
extern unsigned nr_gsis;

/* Stops all delivery (power-off, reboot): every line masked. */
void irq_shutdown(void);
