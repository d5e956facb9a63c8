// SPDX-License-Identifier: MIT
/* Power states.  arch_machine_end() is in arch/api/arch_cpu.h. */
#pragma once
#include "lib/types.h"

/* Maps what the end will need.  Boot, after ACPI. */
void power_init(void);
/*
 * XENPF_enter_acpi_sleep: dom0 has interpreted the firmware's methods and asks for the registers
 * to be written.  S5 does not return.  -EINVAL; -EOPNOTSUPP for other states.
 */
int acpi_enter_sleep(unsigned state, uint16_t val_a, uint16_t val_b, bool extended);
