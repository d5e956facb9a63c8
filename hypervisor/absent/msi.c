// SPDX-License-Identifier: MIT
/* CONFIG_MSI is off: dom0's drivers go on with the IO-APIC's lines.  Devices need no record. */
#include "lib/types.h"
#include "arch/x86/irq/private.h"
#include "lib/errno.h"

int msi_create(const struct msi_request *req)
{
    (void)req;
    return -ENOSYS;
}

void msi_destroy(unsigned irq)
{
    (void)irq;
}

unsigned msi_block_size(unsigned irq)
{
    (void)irq;
    return 1;
}

int pci_dev_add(pci_sbdf_t dev, uint32_t pxm)
{
    (void)dev;
    (void)pxm;
    return 0;
}

int pci_dev_remove(pci_sbdf_t dev)
{
    (void)dev;
    return 0;
}

int pci_dev_restore_msi(pci_sbdf_t dev)
{
    (void)dev;
    return 0;
}

bool pci_dev_has_msix(pci_sbdf_t dev)
{
    (void)dev;
    return false;
}
