// SPDX-License-Identifier: MIT
/*
 * ACPI: finding the tables and reading them once.
 *
 * The root pointer comes from the loader (multiboot 2), or is searched for where a BIOS puts it.
 * It leads to the XSDT (or RSDT), a list of tables; each reader below takes one of them and fills
 * in its part of struct acpi_info, which never changes again.
 *
 * Firmware is not hostile but is often wrong, so nothing in a table is believed before it is
 * checked: a table must have its signature, a plausible length and a good checksum or it is left
 * out with a line on the console; fields past the end of a (shorter, older) table read as 0;
 * records are walked only while their lengths make sense; every list has a fixed maximum.
 */
#include "private.h"
#include "kernel/console.h"

struct acpi_info acpi = {.lapic_addr = 0xfee00000, .has_8259 = true};

static uint8_t sum(const uint8_t *p, size_t len)
{
    uint8_t s = 0;

    while (len--)
        s += *p++;
    return s;
}

bool acpi_open(struct acpi_table *t, maddr_t addr, const char *sig)
{
    const uint8_t *p;
    uint32_t len;

    if (!addr || addr + ACPI_MAX_LEN < addr || addr >> 52)
        return false;
    p = acpi_os_map(addr, SDT_HEADER);
    memcpy(t->sig, p, 4);
    t->sig[4] = 0;
    memcpy(&len, p + 4, sizeof(len));
    acpi_os_unmap(p, SDT_HEADER);
    if (sig && memcmp(t->sig, sig, 4))
        return false;
    for (unsigned i = 0; i < 4; i++)
        if (t->sig[i] < ' ' || t->sig[i] > '~')
            t->sig[i] = '?';
    if (len < SDT_HEADER || len > ACPI_MAX_LEN) {
        printk(KERN_WARN "ACPI: %s at %#lx has an impossible length (%u): ignored\n", t->sig,
               (unsigned long)addr, len);
        return false;
    }
    t->p = acpi_os_map(addr, len);
    t->len = len;
    t->addr = addr;
    if (sum(t->p, len)) {
        printk(KERN_WARN "ACPI: %s at %#lx has a bad checksum: ignored\n", t->sig,
               (unsigned long)addr);
        acpi_close(t);
        return false;
    }
    return true;
}

void acpi_close(struct acpi_table *t)
{
    acpi_os_unmap(t->p, t->len);
    t->p = NULL;
}

bool acpi_next_record(const struct acpi_table *t, struct acpi_record *r)
{
    r->off += r->len;
    if (r->off + 2 > t->len)
        return false;
    r->type = get8(t, r->off);
    r->len = get8(t, r->off + 1);
    if (r->len < 2 || r->len > t->len - r->off) {
        printk(KERN_WARN "ACPI: %s: malformed record at %u: the rest is ignored\n", t->sig, r->off);
        return false;
    }
    return true;
}

struct acpi_reg acpi_get_reg(const struct acpi_table *t, uint32_t off)
{
    return (struct acpi_reg){
        .space = get8(t, off), .bits = get8(t, off + 1), .addr = get64(t, off + 4)};
}

/* The root pointer: "RSD PTR ", 20 bytes with revision 0, 36 and a second checksum after. */
static bool rsdp_valid(const uint8_t *p, size_t len)
{
    uint32_t full;

    if (len < 20 || memcmp(p, "RSD PTR ", 8) || sum(p, 20))
        return false;
    if (p[15] < 2)
        return true;
    memcpy(&full, p + 20, sizeof(full));
    return len >= 36 && full >= 36 && full <= len && !sum(p, full);
}

static maddr_t rsdp_scan(maddr_t start, size_t len)
{
    const uint8_t *p = acpi_os_map(start, len);
    maddr_t found = 0;

    for (size_t off = 0; off + 36 <= len && !found; off += 16)
        if (rsdp_valid(p + off, len - off))
            found = start + off;
    acpi_os_unmap(p, len);
    return found;
}

/* In the first KB of the extended BIOS data area, or in the BIOS read-only area. */
static maddr_t rsdp_search(void)
{
    const uint8_t *bda = acpi_os_map(0, 0x1000);
    uint16_t segment;
    maddr_t ebda, found = 0;

    memcpy(&segment, bda + 0x40e, sizeof(segment));
    acpi_os_unmap(bda, 0x1000);
    ebda = (maddr_t)segment << 4;
    if (ebda >= 0x80000 && ebda <= 0xa0000 - 0x400)
        found = rsdp_scan(ebda, 0x400);
    return found ? found : rsdp_scan(0xe0000, 0x20000);
}

static void read_table(maddr_t addr)
{
    static const struct {
        char sig[5];
        void (*read)(const struct acpi_table *t);
    } readers[] = {
        {"APIC", acpi_read_madt}, {"FACP", acpi_read_fadt}, {"HPET", acpi_read_hpet},
        {"MCFG", acpi_read_mcfg}, {"SRAT", acpi_read_srat}, {"SLIT", acpi_read_slit},
    };

    for (unsigned i = 0; i < ARRAY_SIZE(readers); i++) {
        struct acpi_table t;

        if (!acpi_open(&t, addr, readers[i].sig))
            continue;
        readers[i].read(&t);
        acpi_close(&t);
        return;
    }
}

/* The XSDT (64-bit addresses) or RSDT (32-bit ones). */
static bool read_root(maddr_t addr, const char *sig, unsigned entry_size)
{
    struct acpi_table root;

    if (!acpi_open(&root, addr, sig))
        return false;
    for (uint32_t off = SDT_HEADER; off + entry_size <= root.len; off += entry_size)
        read_table(acpi_get(&root, off, entry_size));
    acpi_close(&root);
    return true;
}

void acpi_boot_init(const void *rsdp, size_t len)
{
    uint8_t root[36] = {0};
    uint64_t xsdt = 0;
    uint32_t rsdt;

    if (rsdp && rsdp_valid(rsdp, len)) {
        memcpy(root, rsdp, min(len, sizeof(root)));
    } else {
        const uint8_t *p;

        acpi.rsdp = rsdp_search();
        if (!acpi.rsdp) {
            printk(KERN_WARN "ACPI: no root pointer: one CPU, no IO-APIC\n");
            return;
        }
        p = acpi_os_map(acpi.rsdp, sizeof(root));
        memcpy(root, p, sizeof(root));
        acpi_os_unmap(p, sizeof(root));
    }
    memcpy(&rsdt, root + 16, sizeof(rsdt));
    if (root[15] >= 2)
        memcpy(&xsdt, root + 24, sizeof(xsdt));
    acpi.found = (xsdt && read_root(xsdt, "XSDT", 8)) || read_root(rsdt, "RSDT", 4);
    if (!acpi.found) {
        printk(KERN_WARN "ACPI: no usable root table: one CPU, no IO-APIC\n");
        return;
    }
    printk(KERN_INFO "ACPI: %u IO-APIC(s), HPET %s, PM timer %s, %u MCFG window(s), "
                     "%u memory range(s) with a node\n",
           acpi.nr_ioapics, acpi.hpet_addr ? "yes" : "no", acpi.pmtmr_port ? "yes" : "no",
           acpi.nr_mcfg, acpi.nr_mem_aff);
}
