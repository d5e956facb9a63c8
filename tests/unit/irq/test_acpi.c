// SPDX-License-Identifier: MIT
/* ACPI tables: well-formed ones are understood, broken ones do no harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include "arch/fake/fake.h"
#include "arch/x86/acpi/private.h"
#include <asm/apic.h>

/* A MB of low memory with the tables in it; all else reads as ones. */
static uint8_t low[1 << 20];
static unsigned maps, cpus;
static uint32_t cpu_ids[64];

const void *acpi_os_map(maddr_t addr, size_t len)
{
    uint8_t *p = malloc(len);

    assert_true(len <= ACPI_MAX_LEN);
    memset(p, 0xff, len);
    for (size_t i = 0; i < len && addr + i < sizeof(low); i++)
        p[i] = low[addr + i];
    maps++;
    return p;
}

void acpi_os_unmap(const void *p, size_t len)
{
    (void)len;
    maps--;
    free((void *)p);
}

void smp_add_cpu(uint32_t apic_id, uint32_t acpi_id)
{
    (void)acpi_id;
    if (cpus < ARRAY_SIZE(cpu_ids))
        cpu_ids[cpus++] = apic_id;
}

/* ---- making tables ---- */

static uint32_t at; /* where the next table goes */

static void put(uint32_t addr, uint64_t val, unsigned size)
{
    memcpy(low + addr, &val, size);
}

static void fix_sum(uint32_t addr, uint32_t len, unsigned off)
{
    uint8_t s = 0;

    low[addr + off] = 0;
    for (uint32_t i = 0; i < len; i++)
        s += low[addr + i];
    low[addr + off] = -s;
}

static uint32_t table(const char *sig, const uint8_t *body, uint32_t len)
{
    uint32_t addr = at;

    memset(low + addr, 0, SDT_HEADER);
    memcpy(low + addr, sig, 4);
    put(addr + 4, SDT_HEADER + len, 4);
    memcpy(low + addr + SDT_HEADER, body, len);
    fix_sum(addr, SDT_HEADER + len, 9);
    at += (SDT_HEADER + len + 63) & ~63u;
    return addr;
}

static uint32_t madt(void)
{
    static const uint8_t body[] = {
        0, 0,  0xe0, 0xfe, 1, 0, 0,    0, /* local APIC, PC-AT compatible */
        0, 8,  0,    0,    1, 0, 0,    0, /* CPU 0, enabled */
        0, 8,  1,    1,    1, 0, 0,    0, /* CPU 1, enabled */
        0, 8,  2,    2,    0, 0, 0,    0, /* CPU 2, disabled */
        9, 16, 0,    0,    0, 1, 0,    0,    1,   0, 0, 0, 3, 0, 0, 0, /* APIC ID 0x100 */
        1, 12, 5,    0,    0, 0, 0xc0, 0xfe, 0,   0, 0, 0,             /* IO-APIC 5, GSI 0 */
        2, 10, 0,    0,    2, 0, 0,    0,    0,   0,                   /* IRQ 0 is GSI 2 */
        2, 10, 0,    9,    9, 0, 0,    0,    0xd, 0,                   /* IRQ 9: level, high */
        4, 6,  0xff, 0,    0, 1,                                       /* NMI: not used */
    };

    return table("APIC", body, sizeof(body));
}

static uint32_t fadt(void)
{
    static const uint8_t dsdt[] = {0x08, '_', 'S', '5', '_', 0x12, 0x06, 0x04, 0x0a, 0x05, 0x0a,
                                   0x07, 0,   0,   0,   0,   0,    0,    0,    0,    0};
    uint8_t body[244 - SDT_HEADER] = {0};
    uint32_t d = table("DSDT", dsdt, sizeof(dsdt));

    memcpy(body + 40 - SDT_HEADER, &d, 4);
    body[46 - SDT_HEADER] = 9;
    body[64 - SDT_HEADER] = 0x04; /* PM1a control: 0x604 */
    body[65 - SDT_HEADER] = 0x06;
    body[76 - SDT_HEADER] = 0x08; /* timer: 0x608 */
    body[77 - SDT_HEADER] = 0x06;
    body[91 - SDT_HEADER] = 4;
    body[108 - SDT_HEADER] = 0x32;
    body[113 - SDT_HEADER] = 0x04; /* reset register */
    body[116 - SDT_HEADER] = ACPI_SPACE_IO;
    body[117 - SDT_HEADER] = 8;
    body[120 - SDT_HEADER] = 0xf9; /* 0xcf9 */
    body[121 - SDT_HEADER] = 0x0c;
    body[128 - SDT_HEADER] = 0x0f;
    return table("FACP", body, sizeof(body));
}

static void build(bool with_xsdt)
{
    uint8_t hpet[20] = {[4] = 0, [11] = 0}, mcfg[24] = {0}, srat[12 + 16 + 40] = {0},
            slit[8 + 4] = {2, 0, 0, 0, 0, 0, 0, 0, 10, 20, 20, 10};
    uint64_t entries[6];
    uint8_t list[48];
    uint32_t root;

    memset(&acpi, 0, sizeof(acpi));
    memset(low, 0, sizeof(low));
    cpus = 0;
    at = 0x10000;
    hpet[8 + 2] = 0xd0; /* 0xfed00000: base at 40, address 4 bytes in */
    hpet[8 + 3] = 0xfe;
    mcfg[8 + 3] = 0xb0; /* 0xb0000000, buses 0 to 255 */
    mcfg[8 + 11] = 0xff;
    srat[12 + 1] = 16; /* CPU, APIC ID 1, node 1 */
    srat[12 + 2] = 1;
    srat[12 + 3] = 1;
    srat[12 + 4] = 1;
    srat[28] = 1; /* memory: 0x100000000 + 0x40000000 in node 1 */
    srat[28 + 1] = 40;
    srat[28 + 2] = 1;
    srat[28 + 12] = 1;
    srat[28 + 19] = 0x40;
    srat[28 + 28] = 1;
    entries[0] = madt();
    entries[1] = fadt();
    entries[2] = table("HPET", hpet, sizeof(hpet));
    entries[3] = table("MCFG", mcfg, sizeof(mcfg));
    entries[4] = table("SRAT", srat, sizeof(srat));
    entries[5] = table("SLIT", slit, sizeof(slit));
    for (unsigned i = 0; i < 6; i++)
        memcpy(list + i * (with_xsdt ? 8 : 4), &entries[i], with_xsdt ? 8 : 4);
    root = table(with_xsdt ? "XSDT" : "RSDT", list, with_xsdt ? 48 : 24);

    memcpy(low + 0xf1230, "RSD PTR ", 8);
    low[0xf1230 + 15] = with_xsdt ? 2 : 0;
    put(0xf1230 + 16, with_xsdt ? 0 : root, 4);
    if (with_xsdt) {
        put(0xf1230 + 20, 36, 4);
        put(0xf1230 + 24, root, 8);
    }
    fix_sum(0xf1230, 20, 8);
    if (with_xsdt)
        fix_sum(0xf1230, 36, 32);
}

static void check_all(void)
{
    assert_true(acpi.found);
    assert_int_equal(acpi.rsdp, 0xf1230);
    assert_int_equal(cpus, 3);
    assert_int_equal(cpu_ids[2], 0x100);
    assert_int_equal(acpi.lapic_addr, 0xfee00000);
    assert_true(acpi.has_8259);
    assert_int_equal(acpi.nr_ioapics, 1);
    assert_int_equal(acpi.ioapic[0].id, 5);
    assert_int_equal(acpi.ioapic[0].addr, 0xfec00000);
    assert_int_equal(acpi.nr_overrides, 2);
    assert_int_equal(acpi.override[0].gsi, 2);
    assert_true(acpi.override[1].level && !acpi.override[1].low);
    assert_int_equal(acpi.pm1a_cnt, 0x604);
    assert_int_equal(acpi.pm1b_cnt, 0);
    assert_int_equal(acpi.pmtmr_port, 0x608);
    assert_int_equal(acpi.century, 0x32);
    assert_true(acpi.has_reset);
    assert_int_equal(acpi.reset_reg.addr, 0xcf9);
    assert_int_equal(acpi.reset_value, 0x0f);
    assert_true(acpi.s5_known);
    assert_int_equal(acpi.s5_typ_a, 5);
    assert_int_equal(acpi.s5_typ_b, 7);
    assert_int_equal(acpi.hpet_addr, 0xfed00000);
    assert_int_equal(acpi.nr_mcfg, 1);
    assert_int_equal(acpi.mcfg[0].addr, 0xb0000000);
    assert_int_equal(acpi.mcfg[0].end_bus, 255);
    assert_int_equal(acpi.nr_mem_aff, 1);
    assert_int_equal(acpi_mem_pxm(0x120000000), 1);
    assert_int_equal(acpi_mem_pxm(0x140000000), 0);
    assert_int_equal(acpi_cpu_pxm(1), 1);
    assert_int_equal(acpi.nr_slit, 2);
    assert_int_equal(acpi.slit[0][1], 20);
    assert_int_equal(maps, 0);
}

static void test_xsdt(void **state)
{
    (void)state;
    build(true);
    acpi_boot_init(NULL, 0);
    check_all();
}

static void test_rsdt(void **state)
{
    (void)state;
    build(false);
    acpi_boot_init(NULL, 0);
    check_all();
}

static void test_loaders_copy(void **state)
{
    uint8_t copy[36];

    (void)state;
    build(true);
    memcpy(copy, low + 0xf1230, sizeof(copy));
    memset(low + 0xf1230, 0, sizeof(copy));
    acpi_boot_init(copy, sizeof(copy));
    assert_true(acpi.found);
    assert_int_equal(acpi.nr_ioapics, 1);
    /* A copy that was cut short is not believed. */
    build(true);
    memset(low + 0xf1230, 0, sizeof(copy));
    acpi_boot_init(copy, 24);
    assert_false(acpi.found);
}

static void test_none(void **state)
{
    (void)state;
    build(true);
    memset(low, 0, sizeof(low));
    acpi_boot_init(NULL, 0);
    assert_false(acpi.found);
    assert_int_equal(maps, 0);
}

static void test_bad_checksum(void **state)
{
    (void)state;
    build(true);
    low[0x10000 + 40] ^= 1; /* in the MADT */
    acpi_boot_init(NULL, 0);
    assert_true(acpi.found);
    assert_int_equal(acpi.nr_ioapics, 0);
    assert_int_equal(acpi.hpet_addr, 0xfed00000);
}

static void test_bad_lengths(void **state)
{
    static const uint32_t bad[] = {0, 35, 0x7fffffff, 0xffffffff};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        build(true);
        put(0x10000 + 4, bad[i], 4);
        acpi_boot_init(NULL, 0);
        assert_int_equal(acpi.nr_ioapics, 0);
        assert_int_equal(maps, 0);
    }
}

static void test_bad_records(void **state)
{
    static const uint8_t lengths[] = {0, 1, 255};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
        build(true);
        low[0x10000 + SDT_HEADER + 8 + 8 + 1] = lengths[i]; /* of the second CPU */
        fix_sum(0x10000, low[0x10000 + 4], 9);
        acpi_boot_init(NULL, 0);
        assert_int_equal(cpus, 1);
    }
}

/* Whatever the bytes, with the sums made good again so that they are looked at. */
static void test_random(void **state)
{
    (void)state;
    srandom(1);
    for (unsigned n = 0; n < 3000; n++) {
        build(n & 1);
        for (unsigned i = 0; i < 1 + n % 8; i++)
            low[0x10000 + random() % (at - 0x10000)] = random();
        for (uint32_t t = 0x10000; t < at; t += 64) {
            uint32_t len;

            memcpy(&len, low + t + 4, 4);
            if (len >= SDT_HEADER && len < 0x1000 && low[t] >= 'A')
                fix_sum(t, len, 9);
        }
        acpi_boot_init(NULL, 0);
        assert_int_equal(maps, 0);
        assert_true(acpi.nr_ioapics <= ACPI_MAX_IOAPICS && acpi.nr_overrides <= ACPI_MAX_OVERRIDES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_xsdt),         cmocka_unit_test(test_rsdt),
        cmocka_unit_test(test_loaders_copy), cmocka_unit_test(test_none),
        cmocka_unit_test(test_bad_checksum), cmocka_unit_test(test_bad_lengths),
        cmocka_unit_test(test_bad_records),  cmocka_unit_test(test_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
