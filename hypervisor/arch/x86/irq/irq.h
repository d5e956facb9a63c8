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

/*
 * The hypervisor's own use of an interrupt line: fn(data) runs on each one, interrupts off, the
 * interrupt acknowledged.  A number below 16 is an ISA interrupt (the MADT's overrides apply),
 * others are global system interrupts.  No domain can have it then.  0, -EINVAL, -EBUSY, -ENOSPC.
 */
int request_irq(unsigned gsi_or_irq, void (*fn)(void *), void *data, const char *name);

/* One more than the highest global system interrupt of any IO-APIC. */
extern unsigned nr_gsis;

/* Stops all delivery (power-off, reboot): every line masked. */
void irq_shutdown(void);
