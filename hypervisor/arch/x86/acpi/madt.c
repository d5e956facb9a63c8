// SPDX-License-Identifier: MIT
/* MADT: CPUs, IO-APICs, how ISA interrupts are wired.  (ACPI 6.4, 5.2.12) */
#include "private.h"
#include "kernel/console.h"
#include <asm/apic.h>

#define MADT_FIRST_RECORD 44
#define MADT_PCAT_COMPAT  0x1 /* flags, offset 40: there are 8259s */
#define MADT_ENABLED      0x1

enum {
    MADT_LAPIC = 0,
    MADT_IOAPIC = 1,
    MADT_OVERRIDE = 2,
    MADT_LAPIC_ADDR = 5,
    MADT_X2APIC = 9,
};

static void read_ioapic(const struct acpi_table *t, uint32_t off)
{
    struct acpi_ioapic *io = &acpi.ioapic[acpi.nr_ioapics];

    if (acpi.nr_ioapics == ACPI_MAX_IOAPICS || !get32(t, off + 4)) {
        printk(KERN_WARN "ACPI: IO-APIC %u ignored\n", get8(t, off + 2));
        return;
    }
    io->id = get8(t, off + 2);
    io->addr = get32(t, off + 4);
    io->gsi_base = get32(t, off + 8);
    acpi.nr_ioapics++;
}

/* Flags: bits 0..1 polarity, 2..3 trigger; 0 means as the bus has it, ISA: high and edge. */
static void read_override(const struct acpi_table *t, uint32_t off)
{
    struct acpi_override *o = &acpi.override[acpi.nr_overrides];
    uint16_t flags = get16(t, off + 8);

    if (acpi.nr_overrides == ACPI_MAX_OVERRIDES || get8(t, off + 2) || get8(t, off + 3) > 15)
        return;
    o->irq = get8(t, off + 3);
    o->gsi = get32(t, off + 4);
    o->low = (flags & 3) == 3;
    o->level = (flags >> 2 & 3) == 3;
    acpi.nr_overrides++;
}

void acpi_read_madt(const struct acpi_table *t)
{
    struct acpi_record r = {.off = MADT_FIRST_RECORD};

    acpi.lapic_addr = get32(t, 36);
    acpi.has_8259 = get32(t, 40) & MADT_PCAT_COMPAT;
    while (acpi_next_record(t, &r)) {
        if (r.type == MADT_LAPIC && r.len >= 8) {
            if (get32(t, r.off + 4) & MADT_ENABLED && get8(t, r.off + 3) != 0xff)
                smp_add_cpu(get8(t, r.off + 3), get8(t, r.off + 2));
        } else if (r.type == MADT_X2APIC && r.len >= 16) {
            if (get32(t, r.off + 8) & MADT_ENABLED)
                smp_add_cpu(get32(t, r.off + 4), get32(t, r.off + 12));
        } else if (r.type == MADT_IOAPIC && r.len >= 12) {
            read_ioapic(t, r.off);
        } else if (r.type == MADT_OVERRIDE && r.len >= 10) {
            read_override(t, r.off);
        } else if (r.type == MADT_LAPIC_ADDR && r.len >= 12) {
            acpi.lapic_addr = get64(t, r.off + 4);
        }
    }
}
