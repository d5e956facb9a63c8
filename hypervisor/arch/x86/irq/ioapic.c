// SPDX-License-Identifier: MIT
/*
 * IO-APICs.  A register is reached through an index and a data window; ioapic_lock makes the pair
 * one access.  The lower half of a pin's entry as last written is kept in `low`, since reading it
 * back costs two accesses more.
 */
#include "private.h"
#include "arch/x86/acpi/acpi.h"
#include "kernel/console.h"
#include "kernel/keyhandler.h"
#include "kernel/panic.h"
#include "lib/errno.h"
#include "mm/mm.h"
#include <asm/apic.h>
#include <asm/io.h>

#define REG_SELECT 0x00
#define REG_WINDOW 0x10

#define IOAPIC_VERSION 0x01 /* bits 16..23: highest pin */
#define IOAPIC_ARB     0x02
#define IOAPIC_PIN(n)  (0x10 + 2 * (n))

#define RTE_LOW_ACTIVE (1u << 13)
#define RTE_REMOTE_IRR (1u << 14)
#define RTE_LEVEL      (1u << 15)
#define RTE_MASKED     (1u << 16)
#define RTE_DEST_SHIFT 24 /* in the upper half; physical */

#define MAX_GSIS 2048 /* beyond it a table is not believed */

static struct ioapic {
    volatile uint8_t *regs;
    maddr_t addr;
    unsigned gsi_base, nr_pins; /* 0: not usable */
} ioapics[ACPI_MAX_IOAPICS];

static spinlock_t ioapic_lock = SPINLOCK_INIT(LOCK_LEAF);

static uint32_t reg_read(const struct ioapic *io, unsigned reg)
{
    unsigned long flags;
    uint32_t val;

    spin_lock_irqsave(&ioapic_lock, flags);
    writel(reg, io->regs + REG_SELECT);
    val = readl(io->regs + REG_WINDOW);
    spin_unlock_irqrestore(&ioapic_lock, flags);
    return val;
}

static void reg_write(const struct ioapic *io, unsigned reg, uint32_t val)
{
    unsigned long flags;

    spin_lock_irqsave(&ioapic_lock, flags);
    writel(reg, io->regs + REG_SELECT);
    writel(val, io->regs + REG_WINDOW);
    spin_unlock_irqrestore(&ioapic_lock, flags);
}

static void write_low(const struct irq_desc *desc, bool masked)
{
    reg_write(&ioapics[desc->ioapic], IOAPIC_PIN(desc->pin),
              desc->vector | (desc->low ? RTE_LOW_ACTIVE : 0) | (desc->level ? RTE_LEVEL : 0) |
                  (masked ? RTE_MASKED : 0));
}

static void pin_mask(struct irq_desc *desc)
{
    write_low(desc, true);
}

/*
 * A level pin waits for the end of interrupt of the vector it last sent.  If the vector changed in
 * between, that never comes; making the pin an edge one for a moment clears the wait.
 */
static void pin_unmask(struct irq_desc *desc)
{
    const struct ioapic *io = &ioapics[desc->ioapic];

    if (desc->level && reg_read(io, IOAPIC_PIN(desc->pin)) & RTE_REMOTE_IRR)
        reg_write(io, IOAPIC_PIN(desc->pin), RTE_MASKED | desc->vector);
    write_low(desc, false);
}

/* An edge that comes while the pin is masked is lost: an edge pin in use only changes its CPU. */
static void pin_set_target(struct irq_desc *desc)
{
    bool whole = desc->level || desc->masked;

    if (whole)
        write_low(desc, true);
    reg_write(&ioapics[desc->ioapic], IOAPIC_PIN(desc->pin) + 1,
              x86_cpu_to_apicid[desc->cpu] << RTE_DEST_SHIFT);
    if (whole)
        write_low(desc, desc->masked);
}

static const struct irq_chip ioapic_chip = {
    .name = "IO-APIC",
    .mask = pin_mask,
    .unmask = pin_unmask,
    .set_target = pin_set_target,
};

unsigned isa_irq_to_gsi(unsigned irq)
{
    for (unsigned i = 0; i < acpi.nr_overrides; i++)
        if (acpi.override[i].irq == irq)
            return acpi.override[i].gsi;
    return irq;
}

static bool overlaps(unsigned n, unsigned base, unsigned pins)
{
    for (unsigned i = 0; i < n; i++)
        if (ioapics[i].nr_pins && base < ioapics[i].gsi_base + ioapics[i].nr_pins &&
            ioapics[i].gsi_base < base + pins)
            return true;
    return false;
}

unsigned ioapic_count_gsis(void)
{
    unsigned gsis = 0;

    for (unsigned i = 0; i < acpi.nr_ioapics; i++) {
        struct ioapic *io = &ioapics[i];
        uint32_t version;
        unsigned pins;

        io->addr = acpi.ioapic[i].addr;
        io->gsi_base = acpi.ioapic[i].gsi_base;
        io->regs = ioremap(io->addr, REG_WINDOW + 4);
        version = reg_read(io, IOAPIC_VERSION);
        pins = ((version >> 16) & 0xff) + 1;
        if (version == ~0u || io->gsi_base > MAX_GSIS - pins || overlaps(i, io->gsi_base, pins)) {
            printk(KERN_WARN "IO-APIC %u at %#lx makes no sense: not used\n", acpi.ioapic[i].id,
                   (unsigned long)io->addr);
            continue;
        }
        io->nr_pins = pins;
        gsis = max(gsis, io->gsi_base + pins);
        printk(KERN_INFO "IO-APIC %u at %#lx: version %#x, GSI %u to %u\n", acpi.ioapic[i].id,
               (unsigned long)io->addr, version & 0xff, io->gsi_base, io->gsi_base + pins - 1);
    }
    return gsis;
}

static void dump_ioapics(unsigned char key)
{
    (void)key;
    for (unsigned i = 0; i < acpi.nr_ioapics; i++) {
        const struct ioapic *io = &ioapics[i];

        for (unsigned pin = 0; pin < io->nr_pins; pin++) {
            uint32_t low = reg_read(io, IOAPIC_PIN(pin));
            uint32_t high = reg_read(io, IOAPIC_PIN(pin) + 1);

            if (low & 0xff)
                printk("IO-APIC %u pin %2u (GSI %u): vector %#04x to %#x %s %s%s%s\n", i, pin,
                       io->gsi_base + pin, low & 0xff, high >> RTE_DEST_SHIFT,
                       low & RTE_LEVEL ? "level" : "edge", low & RTE_LOW_ACTIVE ? "low" : "high",
                       low & RTE_MASKED ? " masked" : "",
                       low & RTE_REMOTE_IRR ? " in service" : "");
        }
    }
}

void ioapic_init(void)
{
    for (unsigned i = 0; i < acpi.nr_ioapics; i++) {
        for (unsigned pin = 0; pin < ioapics[i].nr_pins; pin++) {
            struct irq_desc *desc = &irq_descs[ioapics[i].gsi_base + pin];

            desc->ioapic = i;
            desc->pin = pin;
            desc->chip = &ioapic_chip;
            /* ISA's way for the first 16, PCI's for the rest; overrides and dom0 know better. */
            desc->level = desc->low = desc->irq >= 16;
        }
    }
    for (unsigned i = 0; i < acpi.nr_overrides; i++) {
        const struct acpi_override *o = &acpi.override[i];

        if (o->gsi < nr_gsis) {
            irq_descs[o->gsi].level = o->level;
            irq_descs[o->gsi].low = o->low;
        }
    }
    ioapic_mask_all();
    keyhandler_register('z', dump_ioapics, "IO-APICs: every pin in use");
}

/* At the beginning and at the end there is one CPU, which at the end may hold the lock. */
void ioapic_mask_all(void)
{
    for (unsigned i = 0; i < acpi.nr_ioapics; i++) {
        for (unsigned pin = 0; pin < ioapics[i].nr_pins; pin++) {
            writel(IOAPIC_PIN(pin), ioapics[i].regs + REG_SELECT);
            writel(RTE_MASKED, ioapics[i].regs + REG_WINDOW);
        }
    }
}

static const struct ioapic *find_ioapic(uint64_t physbase)
{
    for (unsigned i = 0; i < acpi.nr_ioapics; i++)
        if (ioapics[i].nr_pins && ioapics[i].addr == physbase)
            return &ioapics[i];
    return NULL;
}

bool ioapic_guest_exists(uint64_t physbase)
{
    return find_ioapic(physbase);
}

int ioapic_guest_read(uint64_t physbase, uint32_t reg, uint32_t *val)
{
    const struct ioapic *io = find_ioapic(physbase);

    if (!io || (reg > IOAPIC_ARB && reg < IOAPIC_PIN(0)) || reg >= IOAPIC_PIN(io->nr_pins))
        return -EINVAL;
    *val = reg_read(io, reg);
    return 0;
}
