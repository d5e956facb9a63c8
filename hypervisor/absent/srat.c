// SPDX-License-Identifier: MIT
/* CONFIG_NUMA is off: one node. */
#include "arch/x86/acpi/acpi.h"
#include "arch/x86/acpi/private.h"

void acpi_read_srat(const struct acpi_table *t)
{
    (void)t;
}

void acpi_read_slit(const struct acpi_table *t)
{
    (void)t;
}

uint32_t acpi_cpu_pxm(uint32_t apic_id)
{
    (void)apic_id;
    return 0;
}

uint32_t acpi_mem_pxm(maddr_t addr)
{
    (void)addr;
    return 0;
}
