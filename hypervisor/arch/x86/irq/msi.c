// SPDX-License-Identifier: MIT
/*
 * PCI devices and their message-signalled interrupts.
 *
 * An MSI irq is created when its pirq is mapped and gone when that is unmapped.  The message
 * (address: which CPU; data: which vector) is ours to write; whether the device may send at all,
 * the enable bits in the capability, is left to the driver, except that they are cleared when the
 * irq goes away.  The mask bits are ours too (Linux leaves them alone under a hypervisor).
 *
 * pirq_lock guards the list of devices and creation; the registers of one irq are written under
 * its desc->lock.
 */
#include "private.h"
#include "kernel/console.h"
#include "lib/errno.h"
#include "lib/list.h"
#include "mem/mem.h"
#include "mm/mm.h"
#include <asm/apic.h>
#include <asm/e820.h>
#include <asm/io.h>

#define CAP_MSI  0x05
#define CAP_MSIX 0x11

/* MSI capability: control at 2, address at 4, then data (and mask) by the address's width. */
#define MSI_CONTROL      0x02
#define MSI_ENABLE       0x0001
#define MSI_COUNT_SHIFT  4 /* log2 of how many are enabled; bits 1..3: how many there are */
#define MSI_COUNT_MASK   0x0070
#define MSI_64BIT        0x0080
#define MSI_MASKABLE     0x0100
#define MSI_ADDRESS      0x04
#define MSI_ADDRESS_HIGH 0x08

/* MSI-X: where the table is: BAR in the low three bits, offset above. */
#define MSIX_SIZE_MASK  0x07ff /* entries - 1 */
#define MSIX_TABLE      0x04
#define MSIX_ENTRY_SIZE 16
#define MSIX_ENTRY_HIGH 4
#define MSIX_ENTRY_DATA 8
#define MSIX_ENTRY_CTRL 12
#define MSIX_ENTRY_MASK 1

#define PCI_VENDOR    0x00
#define PCI_BAR0      0x10
#define BAR_IO        0x1
#define BAR_TYPE_MASK 0x6
#define BAR_64BIT     0x4

#define MSI_ADDRESS_BASE 0xfee00000u
#define MSI_DEST_SHIFT   12

struct pci_dev {
    struct list_head list;
    pci_sbdf_t sbdf;
    uint32_t pxm;
    volatile uint8_t *msix_table; /* mapped with the first entry in use */
    unsigned msix_entries;
};

struct msi {
    struct pci_dev *dev;
    unsigned cap;
    bool msix, wide, maskable;
    unsigned entry;        /* MSI-X */
    unsigned index, count; /* place in a block of MSIs, and its size */
};

static struct list_head pci_devs = LIST_HEAD_INIT(pci_devs);

/* ---- the registers of one irq; desc->lock held ---- */

static unsigned msi_data_reg(const struct msi *m)
{
    return m->cap + (m->wide ? 12 : 8);
}

static void msi_set_mask(struct irq_desc *desc, bool masked)
{
    const struct msi *m = desc->msi;
    unsigned reg = msi_data_reg(m) + 4;
    uint32_t bits;

    if (!m->maskable)
        return;
    bits = pci_conf_read(m->dev->sbdf, reg, 4) & ~(1u << m->index);
    pci_conf_write(m->dev->sbdf, reg, 4, bits | (uint32_t)masked << m->index);
}

static void msi_mask(struct irq_desc *desc)
{
    msi_set_mask(desc, true);
}

static void msi_unmask(struct irq_desc *desc)
{
    msi_set_mask(desc, false);
}

static uint32_t message_address(const struct irq_desc *desc)
{
    return MSI_ADDRESS_BASE | x86_cpu_to_apicid[desc->cpu] << MSI_DEST_SHIFT;
}

/* Of a block only the first has a message; the device counts up from its vector. */
static void msi_set_target(struct irq_desc *desc)
{
    const struct msi *m = desc->msi;

    if (m->index)
        return;
    if (m->count == 1)
        msi_set_mask(desc, true);
    pci_conf_write(m->dev->sbdf, m->cap + MSI_ADDRESS, 4, message_address(desc));
    if (m->wide)
        pci_conf_write(m->dev->sbdf, m->cap + MSI_ADDRESS_HIGH, 4, 0);
    pci_conf_write(m->dev->sbdf, msi_data_reg(m), 2, desc->vector);
    if (m->count == 1)
        msi_set_mask(desc, desc->masked);
}

static volatile uint8_t *msix_entry(const struct msi *m)
{
    return m->dev->msix_table + m->entry * MSIX_ENTRY_SIZE;
}

static void msix_set_mask(struct irq_desc *desc, bool masked)
{
    volatile uint8_t *ctrl = msix_entry(desc->msi) + MSIX_ENTRY_CTRL;

    writel((readl(ctrl) & ~MSIX_ENTRY_MASK) | (masked ? MSIX_ENTRY_MASK : 0), ctrl);
}

static void msix_mask(struct irq_desc *desc)
{
    msix_set_mask(desc, true);
}

static void msix_unmask(struct irq_desc *desc)
{
    msix_set_mask(desc, false);
}

static void msix_set_target(struct irq_desc *desc)
{
    volatile uint8_t *e = msix_entry(desc->msi);

    msix_set_mask(desc, true);
    writel(message_address(desc), e);
    writel(0, e + MSIX_ENTRY_HIGH);
    writel(desc->vector, e + MSIX_ENTRY_DATA);
    msix_set_mask(desc, desc->masked);
}

static const struct irq_chip msi_chip = {
    .name = "MSI",
    .mask = msi_mask,
    .unmask = msi_unmask,
    .set_target = msi_set_target,
};
static const struct irq_chip msi_maskable_chip = {
    .name = "MSI",
    .holds_masked = true,
    .mask = msi_mask,
    .unmask = msi_unmask,
    .set_target = msi_set_target,
};
static const struct irq_chip msi_block_chip = {
    .name = "MSI",
    .immovable = true,
    .mask = msi_mask,
    .unmask = msi_unmask,
    .set_target = msi_set_target,
};
static const struct irq_chip msix_chip = {
    .name = "MSI-X",
    .holds_masked = true,
    .mask = msix_mask,
    .unmask = msix_unmask,
    .set_target = msix_set_target,
};

/* ---- devices ---- */

static struct pci_dev *find_dev(pci_sbdf_t sbdf)
{
    struct pci_dev *dev;

    list_for_each_entry (dev, &pci_devs, list)
        if (dev->sbdf.sbdf == sbdf.sbdf)
            return dev;
    return NULL;
}

int pci_dev_add(pci_sbdf_t sbdf, uint32_t pxm)
{
    struct pci_dev *dev = find_dev(sbdf);

    if (!dev) {
        dev = xzalloc(struct pci_dev);
        if (!dev)
            return -ENOMEM;
        dev->sbdf = sbdf;
        list_add_tail(&dev->list, &pci_devs);
    }
    dev->pxm = pxm;
    return 0;
}

int pci_dev_remove(pci_sbdf_t sbdf)
{
    struct pci_dev *dev = find_dev(sbdf);

    if (!dev)
        return -ENODEV;
    for (unsigned irq = nr_gsis; irq < nr_irqs; irq++)
        if (irq_descs[irq].msi && irq_descs[irq].msi->dev == dev && !irq_descs[irq].msi->index)
            pirq_unmap_irq(irq);
    if (dev->msix_table)
        iounmap((void *)(uintptr_t)dev->msix_table, dev->msix_entries * MSIX_ENTRY_SIZE);
    list_del(&dev->list);
    xfree(dev);
    return 0;
}

bool pci_dev_has_msix(pci_sbdf_t dev)
{
    return pci_find_cap(dev, CAP_MSIX);
}

int pci_dev_restore_msi(pci_sbdf_t sbdf)
{
    struct pci_dev *dev = find_dev(sbdf);

    if (!dev)
        return -ENODEV;
    for (unsigned irq = nr_gsis; irq < nr_irqs; irq++) {
        struct irq_desc *desc = &irq_descs[irq];
        unsigned long flags;

        spin_lock_irqsave(&desc->lock, flags);
        if (desc->msi && desc->msi->dev == dev && desc->vector) {
            desc->chip->set_target(desc);
            if (desc->masked)
                desc->chip->mask(desc);
            else
                desc->chip->unmask(desc);
        }
        spin_unlock_irqrestore(&desc->lock, flags);
    }
    return 0;
}

/* ---- creation ---- */

/* Maps the MSI-X table.  The address comes from the device; of a virtual function, whose BARs
 * read as 0, from the caller.  It must not be RAM. */
static int map_msix_table(struct pci_dev *dev, unsigned cap, uint64_t table_base)
{
    uint32_t where = pci_conf_read(dev->sbdf, cap + MSIX_TABLE, 4);
    unsigned bar = PCI_BAR0 + 4 * (where & 7);
    uint32_t low = (where & 7) < 6 ? pci_conf_read(dev->sbdf, bar, 4) : BAR_IO;
    uint64_t base = low & ~0xfu, start;
    size_t len = dev->msix_entries * MSIX_ENTRY_SIZE;

    if (low & BAR_IO)
        return -EINVAL;
    if ((low & BAR_TYPE_MASK) == BAR_64BIT)
        base |= (uint64_t)pci_conf_read(dev->sbdf, bar + 4, 4) << 32;
    if (base && base != table_base)
        printk(KERN_WARN "PCI %04x:%02x:%02x.%x: BAR at %#lx, not at %#lx as dom0 says\n",
               pci_seg(dev->sbdf), pci_bus(dev->sbdf), pci_devfn(dev->sbdf) >> 3,
               pci_devfn(dev->sbdf) & 7, (unsigned long)base, (unsigned long)table_base);
    if (!base)
        base = table_base & PAGE_MASK;
    start = base + (where & ~7u);
    if (!base || start < base || start + len < start || (start + len) >> 52)
        return -EINVAL;
    for (uint64_t page = start & PAGE_MASK; page < start + len; page += PAGE_SIZE)
        if (e820_all(&e820_host, page, page + PAGE_SIZE, E820_RAM))
            return -EINVAL;
    dev->msix_table = ioremap(start, len);
    return 0;
}

static bool in_use(const struct pci_dev *dev, bool msix, unsigned entry)
{
    for (unsigned irq = nr_gsis; irq < nr_irqs; irq++) {
        const struct msi *m = irq_descs[irq].msi;

        if (m && m->dev == dev && (m->msix != msix || !msix || m->entry == entry))
            return true;
    }
    return false;
}

static int find_irqs(unsigned count)
{
    unsigned run = 0;

    for (unsigned irq = nr_gsis; irq < nr_irqs; irq++) {
        run = irq_descs[irq].chip ? 0 : run + 1;
        if (run == count)
            return irq - count + 1;
    }
    return -ENOSPC;
}

/* What the capability says about the request; fills in m. */
static int read_cap(struct msi *m, const struct msi_request *req)
{
    struct pci_dev *dev = m->dev;
    unsigned control;
    int ret = 0;

    m->cap = pci_find_cap(dev->sbdf, req->msix ? CAP_MSIX : CAP_MSI);
    if (!m->cap)
        return -ENODEV;
    m->msix = req->msix;
    m->count = req->msix ? 1 : req->count;
    control = pci_conf_read(dev->sbdf, m->cap + MSI_CONTROL, 2);
    if (!req->msix) {
        m->wide = control & MSI_64BIT;
        m->maskable = control & MSI_MASKABLE;
        return m->count <= 1u << min(control >> 1 & 7, 5u) ? 0 : -EINVAL;
    }
    m->maskable = true;
    m->entry = req->entry;
    if (!dev->msix_table) {
        dev->msix_entries = (control & MSIX_SIZE_MASK) + 1;
        ret = map_msix_table(dev, m->cap, req->table_base);
    }
    return ret ? ret : m->entry < dev->msix_entries ? 0 : -EINVAL;
}

static void set_up_desc(struct irq_desc *desc, struct msi *m, unsigned cpu, uint8_t vector)
{
    unsigned long flags;

    spin_lock_irqsave(&desc->lock, flags);
    desc->chip = m->msix        ? &msix_chip
                 : m->count > 1 ? &msi_block_chip
                 : m->maskable  ? &msi_maskable_chip
                                : &msi_chip;
    desc->level = desc->low = false;
    desc->masked = true;
    desc->in_flight = 0;
    desc->count = 0;
    desc->msi = m;
    desc->cpu = cpu;
    desc->vector = vector;
    desc->chip->mask(desc);
    desc->chip->set_target(desc);
    spin_unlock_irqrestore(&desc->lock, flags);
}

int msi_create(const struct msi_request *req)
{
    struct pci_dev *dev = find_dev(req->dev);
    struct msi *m = NULL;
    int irq, vector, ret = -ENODEV;
    unsigned cpu = smp_processor_id();

    if (!dev || pci_conf_read(req->dev, PCI_VENDOR, 2) == 0xffff)
        return -ENODEV;
    if (in_use(dev, req->msix, req->entry))
        return -EEXIST;
    irq = find_irqs(req->count);
    if (irq < 0)
        return irq;
    m = xzalloc_array(struct msi, req->count);
    if (!m)
        return -ENOMEM;
    m->dev = dev;
    ret = read_cap(m, req);
    if (ret)
        goto free_msi;
    if (!vector_cpu_ok(cpu))
        cpu = 0;
    ret = vector = vectors_alloc(cpu, irq, req->count, 0);
    if (ret < 0)
        goto free_msi;
    if (!m->msix) {
        unsigned control = pci_conf_read(dev->sbdf, m->cap + MSI_CONTROL, 2) & ~MSI_COUNT_MASK;

        pci_conf_write(dev->sbdf, m->cap + MSI_CONTROL, 2,
                       control | ffs_index(m->count) << MSI_COUNT_SHIFT);
    }
    for (unsigned i = 0; i < req->count; i++) {
        m[i] = m[0];
        m[i].index = i;
        set_up_desc(&irq_descs[irq + i], &m[i], cpu, vector + i);
    }
    return irq;

free_msi:
    xfree(m);
    return ret;
}

void msi_destroy(unsigned irq)
{
    struct msi *m = irq_descs[irq].msi;
    unsigned count;

    if (!m || m->index)
        return;
    count = m->count;
    if (!m->msix) {
        unsigned control = pci_conf_read(m->dev->sbdf, m->cap + MSI_CONTROL, 2);

        pci_conf_write(m->dev->sbdf, m->cap + MSI_CONTROL, 2, control & ~MSI_ENABLE);
    }
    for (unsigned i = 0; i < count; i++) {
        struct irq_desc *desc = &irq_descs[irq + i];
        unsigned long flags;

        spin_lock_irqsave(&desc->lock, flags);
        irq_stop(desc);
        desc->chip = NULL;
        desc->msi = NULL;
        spin_unlock_irqrestore(&desc->lock, flags);
    }
    xfree(m);
}

unsigned msi_block_size(unsigned irq)
{
    const struct msi *m = irq_descs[irq].msi;

    return !m ? 1 : m->index ? 0 : m->count;
}
