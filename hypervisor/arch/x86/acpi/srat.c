// SPDX-License-Identifier: MIT
/* SRAT and SLIT: which CPU and which memory belong to which NUMA node.  (ACPI 6.4, 5.2.16-17) */
#include "private.h"
#include "kernel/console.h"

#define SRAT_FIRST_RECORD 48
#define SRAT_ENABLED      0x1
#define SRAT_HOTPLUG      0x2

enum { SRAT_CPU = 0, SRAT_MEMORY = 1, SRAT_X2APIC = 2 };

static void add_cpu(uint32_t apic_id, uint32_t pxm)
{
    if (acpi.nr_cpu_aff < ACPI_MAX_CPU_AFF)
        acpi.cpu_aff[acpi.nr_cpu_aff++] = (struct acpi_cpu_aff){.apic_id = apic_id, .pxm = pxm};
}

static void add_memory(const struct acpi_table *t, uint32_t off)
{
    struct acpi_mem_aff *m = &acpi.mem_aff[acpi.nr_mem_aff];
    uint64_t len = get64(t, off + 16);

    m->start = get64(t, off + 8);
    m->pxm = get32(t, off + 2);
    m->hotplug = get32(t, off + 28) & SRAT_HOTPLUG;
    if (!len || __builtin_add_overflow(m->start, len, &m->end))
        return;
    for (unsigned i = 0; i < acpi.nr_mem_aff; i++) {
        if (m->start < acpi.mem_aff[i].end && acpi.mem_aff[i].start < m->end) {
            printk(KERN_WARN "ACPI: SRAT: overlapping memory at %#lx ignored\n",
                   (unsigned long)m->start);
            return;
        }
    }
    acpi.nr_mem_aff++;
}

void acpi_read_srat(const struct acpi_table *t)
{
    struct acpi_record r = {.off = SRAT_FIRST_RECORD};

    while (acpi_next_record(t, &r)) {
        if (r.type == SRAT_CPU && r.len >= 16 && get32(t, r.off + 4) & SRAT_ENABLED) {
            uint32_t high = get32(t, r.off + 8) & 0xffffff00; /* bytes 9..11: bits 8..31 */

            add_cpu(get8(t, r.off + 3), get8(t, r.off + 2) | high);
        } else if (r.type == SRAT_X2APIC && r.len >= 20 && get32(t, r.off + 12) & SRAT_ENABLED) {
            add_cpu(get32(t, r.off + 8), get32(t, r.off + 4));
        } else if (r.type == SRAT_MEMORY && r.len >= 40 && get32(t, r.off + 28) & SRAT_ENABLED &&
                   acpi.nr_mem_aff < ACPI_MAX_MEM_AFF) {
            add_memory(t, r.off);
        }
    }
}

void acpi_read_slit(const struct acpi_table *t)
{
    uint64_t n = get64(t, 36);

    if (!n || n > ACPI_MAX_NODES || 44 + n * n > t->len) {
        printk(KERN_WARN "ACPI: SLIT of %lu localities ignored\n", (unsigned long)n);
        return;
    }
    acpi.nr_slit = n;
    for (unsigned i = 0; i < n; i++)
        for (unsigned j = 0; j < n; j++)
            acpi.slit[i][j] = get8(t, 44 + i * n + j);
}

uint32_t acpi_cpu_pxm(uint32_t apic_id)
{
    for (unsigned i = 0; i < acpi.nr_cpu_aff; i++)
        if (acpi.cpu_aff[i].apic_id == apic_id)
            return acpi.cpu_aff[i].pxm;
    return 0;
}

uint32_t acpi_mem_pxm(maddr_t addr)
{
    for (unsigned i = 0; i < acpi.nr_mem_aff; i++)
        if (addr >= acpi.mem_aff[i].start && addr < acpi.mem_aff[i].end)
            return acpi.mem_aff[i].pxm;
    return 0;
}
