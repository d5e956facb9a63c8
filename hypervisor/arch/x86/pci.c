// SPDX-License-Identifier: MIT
/*
 * PCI configuration space: by the ports 0xcf8 and 0xcfc (the first 256 bytes, segment 0), or
 * through the windows of the MCFG where a register or segment is beyond their reach.  A window is
 * used only if the memory map or dom0 says that firmware has reserved it.
 *
 * conf_lock makes address and data port one access.  dom0 does not get at the real ports: its
 * accesses come here too (pci_guest_port_*).
 */
#include "arch/x86/acpi/acpi.h"
#include "kernel/console.h"
#include "kernel/lock.h"
#include "lib/errno.h"
#include "mm/mm.h"
#include <asm/e820.h>
#include <asm/io.h>
#include <asm/pci.h>

#define PORT_ADDRESS   0xcf8
#define PORT_DATA      0xcfc
#define ADDRESS_ENABLE 0x80000000u

#define PCI_STATUS     0x06
#define STATUS_CAPS    0x10
#define PCI_HEADER     0x0e
#define PCI_CAP_PTR    0x34
#define PCI_CAP_PTR_CB 0x14 /* of a CardBus bridge */

static spinlock_t conf_lock = SPINLOCK_INIT(LOCK_LEAF);
static volatile uint8_t *window[ACPI_MAX_MCFG]; /* set once */

static void map_window(unsigned i)
{
    const struct acpi_mcfg *m = &acpi.mcfg[i];
    size_t len = (size_t)(m->end_bus - m->start_bus + 1) << 20;

    /* The address in the table is that of bus 0, whether or not bus 0 is in the window. */
    if (!window[i])
        WRITE_ONCE(window[i],
                   (volatile uint8_t *)ioremap(m->addr + ((maddr_t)m->start_bus << 20), len));
}

void pci_init(void)
{
    for (unsigned i = 0; i < acpi.nr_mcfg; i++) {
        const struct acpi_mcfg *m = &acpi.mcfg[i];

        if (e820_all(&e820_host, m->addr + ((maddr_t)m->start_bus << 20),
                     m->addr + ((maddr_t)(m->end_bus + 1) << 20), E820_RESERVED))
            map_window(i);
    }
}

int pci_mmcfg_reserved(uint64_t addr, uint16_t seg, uint8_t start_bus, uint8_t end_bus,
                       bool reserved)
{
    for (unsigned i = 0; i < acpi.nr_mcfg; i++) {
        const struct acpi_mcfg *m = &acpi.mcfg[i];

        if (m->addr != addr || m->segment != seg || m->start_bus != start_bus ||
            m->end_bus != end_bus)
            continue;
        if (reserved)
            map_window(i);
        return 0;
    }
    return -ENODEV;
}

static volatile uint8_t *window_reg(pci_sbdf_t dev, unsigned reg)
{
    for (unsigned i = 0; i < acpi.nr_mcfg; i++) {
        const struct acpi_mcfg *m = &acpi.mcfg[i];
        volatile uint8_t *base = READ_ONCE(window[i]);

        if (base && m->segment == pci_seg(dev) && pci_bus(dev) >= m->start_bus &&
            pci_bus(dev) <= m->end_bus)
            return base + ((size_t)(pci_bus(dev) - m->start_bus) << 20) +
                   ((size_t)pci_devfn(dev) << 12) + reg;
    }
    return NULL;
}

static bool by_ports(pci_sbdf_t dev, unsigned reg)
{
    return !pci_seg(dev) && reg < 256;
}

static uint32_t all_ones(unsigned size)
{
    return size == 4 ? UINT32_MAX : (1u << 8 * size) - 1;
}

static bool well_formed(unsigned reg, unsigned size)
{
    return (size == 1 || size == 2 || size == 4) && reg < 4096 && !(reg & (size - 1));
}

static void select_reg(pci_sbdf_t dev, unsigned reg)
{
    outl(ADDRESS_ENABLE | (dev.sbdf & 0xffff) << 8 | (reg & 0xfc), PORT_ADDRESS);
}

uint32_t pci_conf_read(pci_sbdf_t dev, unsigned reg, unsigned size)
{
    volatile uint8_t *p;
    unsigned long flags;
    uint32_t val;

    if (!well_formed(reg, size))
        return UINT32_MAX;
    if (by_ports(dev, reg)) {
        uint16_t port = PORT_DATA + (reg & 3);

        spin_lock_irqsave(&conf_lock, flags);
        select_reg(dev, reg);
        val = size == 1 ? inb(port) : size == 2 ? inw(port) : inl(port);
        spin_unlock_irqrestore(&conf_lock, flags);
        return val;
    }
    p = window_reg(dev, reg);
    if (!p)
        return all_ones(size);
    return size == 1 ? readb(p) : size == 2 ? readw(p) : readl(p);
}

void pci_conf_write(pci_sbdf_t dev, unsigned reg, unsigned size, uint32_t val)
{
    volatile uint8_t *p;
    unsigned long flags;

    if (!well_formed(reg, size))
        return;
    if (by_ports(dev, reg)) {
        uint16_t port = PORT_DATA + (reg & 3);

        spin_lock_irqsave(&conf_lock, flags);
        select_reg(dev, reg);
        if (size == 1)
            outb(val, port);
        else if (size == 2)
            outw(val, port);
        else
            outl(val, port);
        spin_unlock_irqrestore(&conf_lock, flags);
        return;
    }
    p = window_reg(dev, reg);
    if (p && size == 1)
        writeb(val, p);
    else if (p && size == 2)
        writew(val, p);
    else if (p)
        writel(val, p);
}

unsigned pci_find_cap(pci_sbdf_t dev, uint8_t cap)
{
    unsigned pos;

    if (!(pci_conf_read(dev, PCI_STATUS, 2) & STATUS_CAPS))
        return 0;
    pos = pci_conf_read(
        dev, (pci_conf_read(dev, PCI_HEADER, 1) & 0x7f) == 2 ? PCI_CAP_PTR_CB : PCI_CAP_PTR, 1);
    /* 48 capabilities fill the space; a broken list may be a loop. */
    for (unsigned n = 0; n < 48 && pos >= 0x40 && pos != 0xff; n++) {
        uint32_t head = pci_conf_read(dev, pos & 0xfc, 2);

        if ((head & 0xff) == cap)
            return pos & 0xfc;
        pos = head >> 8;
    }
    return 0;
}

/* ---- the ports, for a guest ---- */

/* Where a data access of the guest goes; false: nowhere. */
static bool guest_target(uint32_t cf8, uint16_t port, unsigned size, pci_sbdf_t *dev, unsigned *reg)
{
    if (port < PORT_DATA || (port & 3) + size > 4 || !(cf8 & ADDRESS_ENABLE))
        return false;
    *dev = PCI_SBDF(0, cf8 >> 16, cf8 >> 8);
    *reg = (cf8 & 0xfc) | (port & 3);
    return well_formed(*reg, size);
}

uint32_t pci_guest_port_read(uint32_t *cf8, uint16_t port, unsigned size)
{
    pci_sbdf_t dev;
    unsigned reg;

    if (port == PORT_ADDRESS && size == 4)
        return *cf8;
    return guest_target(*cf8, port, size, &dev, &reg) ? pci_conf_read(dev, reg, size)
                                                      : all_ones(size);
}

void pci_guest_port_write(uint32_t *cf8, uint16_t port, unsigned size, uint32_t val)
{
    pci_sbdf_t dev;
    unsigned reg;

    if (port == PORT_ADDRESS && size == 4)
        *cf8 = val;
    else if (guest_target(*cf8, port, size, &dev, &reg))
        pci_conf_write(dev, reg, size, val);
}
