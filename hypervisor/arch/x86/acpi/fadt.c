// SPDX-License-Identifier: MIT
/* FADT (power, PM timer, reset), HPET, MCFG, and \_S5 in the DSDT.  (ACPI 6.4, 5.2.9) */
#include "private.h"
#include "kernel/console.h"

/* Offsets in the FADT. */
enum {
    FADT_DSDT = 40,
    FADT_SCI_INT = 46,
    FADT_PM1A_CNT = 64,
    FADT_PM1B_CNT = 68,
    FADT_PM_TMR = 76,
    FADT_PM_TMR_LEN = 91,
    FADT_CENTURY = 108,
    FADT_BOOT_ARCH = 109,
    FADT_FLAGS = 112,
    FADT_RESET_REG = 116,
    FADT_RESET_VALUE = 128,
    FADT_X_DSDT = 140,
    FADT_X_PM1A_CNT = 172,
    FADT_X_PM1B_CNT = 184,
    FADT_X_PM_TMR = 208,
    FADT_SLEEP_CONTROL = 244,
    FADT_SLEEP_STATUS = 256,
};
#define FADT_TIMER_32BIT (1u << 8)
#define FADT_RESET_SUP   (1u << 10)
#define FADT_HW_REDUCED  (1u << 20)
#define BOOT_ARCH_NO_RTC (1u << 5)

#define AML_NAME    0x08
#define AML_BYTE    0x0a
#define AML_WORD    0x0b
#define AML_PACKAGE 0x12

/* An I/O port given twice: in the extended field if the table has it, else in the old one. */
static uint16_t port_field(const struct acpi_table *t, uint32_t x_off, uint32_t off)
{
    struct acpi_reg reg = acpi_get_reg(t, x_off);
    uint64_t port = reg.addr && reg.space == ACPI_SPACE_IO ? reg.addr : get32(t, off);

    return port < 0x10000 ? port : 0;
}

/* A small integer constant of AML at *off; steps over it. */
static bool aml_integer(const struct acpi_table *t, uint32_t *off, uint8_t *val)
{
    uint8_t op = get8(t, *off);

    *val = 0;
    if (op == AML_BYTE || op == AML_WORD) {
        *val = get8(t, *off + 1);
        *off += op == AML_BYTE ? 2 : 3;
        return true;
    }
    *val = op;
    *off += 1;
    return op <= 1; /* the opcodes Zero and One */
}

/*
 * The sleep types of S5 are a package of constants by the name of _S5_, which can be found
 * without interpreting AML.  It is only the fall-back for when dom0 is not there to tell.
 */
static void find_s5(maddr_t dsdt)
{
    struct acpi_table t;

    if (!acpi_open(&t, dsdt, "DSDT"))
        return;
    for (uint32_t i = SDT_HEADER + 1; i + 12 < t.len; i++) {
        uint32_t off = i + 4;

        if (t.p[i] != '_' || memcmp(t.p + i, "_S5_", 4) || t.p[off] != AML_PACKAGE ||
            (t.p[i - 1] != AML_NAME && !(t.p[i - 1] == '\\' && t.p[i - 2] == AML_NAME)))
            continue;
        off += 1 + 1 + (t.p[off + 1] >> 6); /* opcode, length of 1 to 4 bytes */
        off += 1;                           /* number of elements */
        if (aml_integer(&t, &off, &acpi.s5_typ_a) && aml_integer(&t, &off, &acpi.s5_typ_b)) {
            acpi.s5_known = acpi.s5_typ_a < 8 && acpi.s5_typ_b < 8;
            break;
        }
    }
    acpi_close(&t);
}

void acpi_read_fadt(const struct acpi_table *t)
{
    uint32_t flags = get32(t, FADT_FLAGS);
    uint64_t dsdt = get64(t, FADT_X_DSDT);

    acpi.hw_reduced = flags & FADT_HW_REDUCED;
    acpi.sci_irq = get16(t, FADT_SCI_INT);
    acpi.no_rtc = get16(t, FADT_BOOT_ARCH) & BOOT_ARCH_NO_RTC;
    acpi.century = get8(t, FADT_CENTURY);
    if (acpi.century >= 0x80)
        acpi.century = 0;
    if (!acpi.hw_reduced) {
        acpi.pm1a_cnt = port_field(t, FADT_X_PM1A_CNT, FADT_PM1A_CNT);
        acpi.pm1b_cnt = port_field(t, FADT_X_PM1B_CNT, FADT_PM1B_CNT);
        if (get8(t, FADT_PM_TMR_LEN) >= 4)
            acpi.pmtmr_port = port_field(t, FADT_X_PM_TMR, FADT_PM_TMR);
        acpi.pmtmr_32bit = flags & FADT_TIMER_32BIT;
    }
    acpi.sleep_control = acpi_get_reg(t, FADT_SLEEP_CONTROL);
    acpi.sleep_status = acpi_get_reg(t, FADT_SLEEP_STATUS);
    acpi.reset_reg = acpi_get_reg(t, FADT_RESET_REG);
    acpi.reset_value = get8(t, FADT_RESET_VALUE);
    acpi.has_reset = (flags & FADT_RESET_SUP) && acpi.reset_reg.addr;
    find_s5(dsdt ? dsdt : get32(t, FADT_DSDT));
}

void acpi_read_hpet(const struct acpi_table *t)
{
    struct acpi_reg base = acpi_get_reg(t, 40);

    if (base.space == ACPI_SPACE_MEMORY && !(base.addr & 0x3ff) && !acpi.hpet_addr)
        acpi.hpet_addr = base.addr;
}

void acpi_read_mcfg(const struct acpi_table *t)
{
    for (uint32_t off = 44; off + 16 <= t->len && acpi.nr_mcfg < ACPI_MAX_MCFG; off += 16) {
        struct acpi_mcfg *m = &acpi.mcfg[acpi.nr_mcfg];

        m->addr = get64(t, off);
        m->segment = get16(t, off + 8);
        m->start_bus = get8(t, off + 10);
        m->end_bus = get8(t, off + 11);
        if (m->addr && !(m->addr & ((1u << 20) - 1)) && m->start_bus <= m->end_bus)
            acpi.nr_mcfg++;
        else
            printk(KERN_WARN "ACPI: MCFG window at %#lx makes no sense: ignored\n",
                   (unsigned long)m->addr);
    }
}
