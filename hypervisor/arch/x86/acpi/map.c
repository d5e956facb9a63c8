// SPDX-License-Identifier: MIT
/* How the table reader sees physical memory. */
#include "private.h"
#include "mm/mm.h"

const void *acpi_os_map(maddr_t addr, size_t len)
{
    return ioremap(addr, len);
}

void acpi_os_unmap(const void *p, size_t len)
{
    iounmap((void *)p, len);
}
