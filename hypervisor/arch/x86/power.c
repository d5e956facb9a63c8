// SPDX-License-Identifier: MIT
/*
 * The end: power off, reboot, halt.  Each is a chain of ways, the cleanest first; what does not
 * work within a short while is followed by the next.  It may run in any context, even from a
 * panic: no locks, no allocation.
 */
#include "power.h"
#include "arch/api/arch_cpu.h"
#include "arch/x86/acpi/acpi.h"
#include "arch/x86/irq/irq.h"
#include "arch/x86/time/time.h"
#include "kernel/console.h"
#include "lib/errno.h"
#include "mm/mm.h"
#include <asm/desc.h>
#include <asm/io.h>
#include <asm/msr.h>
#include <asm/pci.h>

#define SLP_TYP_SHIFT 10 /* PM1 control register */
#define SLP_TYP_MASK  (7u << SLP_TYP_SHIFT)
#define SLP_EN        (1u << 13)

#define SLEEP_TYP_SHIFT 2 /* sleep control register of reduced hardware */
#define SLEEP_EN        (1u << 5)

#define KBD_STATUS 0x64
#define KBD_FULL   0x02
#define KBD_PULSE  0xfe /* pulls the processor's reset line */
#define RESET_PORT 0xcf9
#define RESET_WARM 0x02
#define RESET_NOW  0x04

static void delay_ms(unsigned ms)
{
    uint64_t start = rdtsc();

    while (rdtsc() - start < (uint64_t)ms * (cpu_khz ? cpu_khz : 1000000))
        cpu_relax();
}

static volatile void *reset_mmio, *sleep_mmio; /* where those registers are in memory */

void power_init(void)
{
    if (acpi.has_reset && acpi.reset_reg.space == ACPI_SPACE_MEMORY)
        reset_mmio = ioremap(acpi.reset_reg.addr, 1);
    if (acpi.hw_reduced && acpi.sleep_control.addr && acpi.sleep_control.space == ACPI_SPACE_MEMORY)
        sleep_mmio = ioremap(acpi.sleep_control.addr, 1);
}

static void write_reg(const struct acpi_reg *reg, volatile void *mmio, uint8_t val)
{
    if (!reg->addr)
        return;
    if (reg->space == ACPI_SPACE_IO)
        outb(val, reg->addr);
    else if (reg->space == ACPI_SPACE_PCI) /* bits 32..47 device, 16..31 function, 0..15 register */
        pci_conf_write(PCI_SBDF(0, 0, (reg->addr >> 32 & 0x1f) << 3 | (reg->addr >> 16 & 7)),
                       reg->addr & 0xfff, 1, val);
    else if (mmio)
        writeb(val, mmio);
}

/* The type goes in first, then the bit that makes it happen: some hardware wants it so. */
static void write_pm1(uint16_t a, uint16_t b)
{
    for (unsigned last = 0; last <= 1; last++) {
        unsigned enable = last ? SLP_EN : 0;

        outw((a & ~SLP_EN) | enable, acpi.pm1a_cnt);
        if (acpi.pm1b_cnt)
            outw((b & ~SLP_EN) | enable, acpi.pm1b_cnt);
    }
    delay_ms(1000);
}

static void quiesce(void)
{
    local_irq_disable();
    arch_stop_other_cpus();
    irq_shutdown();
}

static void power_off(void)
{
    if (!acpi.s5_known)
        return;
    if (acpi.hw_reduced)
        write_reg(&acpi.sleep_control, sleep_mmio, acpi.s5_typ_a << SLEEP_TYP_SHIFT | SLEEP_EN);
    else if (acpi.pm1a_cnt)
        write_pm1((inw(acpi.pm1a_cnt) & ~SLP_TYP_MASK) | acpi.s5_typ_a << SLP_TYP_SHIFT,
                  acpi.s5_typ_b << SLP_TYP_SHIFT);
    delay_ms(100);
}

static void reboot(void)
{
    struct desc_ptr none = {0};

    if (acpi.has_reset) {
        write_reg(&acpi.reset_reg, reset_mmio, acpi.reset_value);
        delay_ms(100);
    }
    for (unsigned i = 0; i < 10; i++) {
        for (unsigned wait = 0; wait < 100 && inb(KBD_STATUS) & KBD_FULL; wait++)
            delay_ms(1);
        outb(KBD_PULSE, KBD_STATUS);
        delay_ms(10);
    }
    outb(RESET_WARM, RESET_PORT);
    outb(RESET_WARM | RESET_NOW, RESET_PORT);
    delay_ms(100);
    /* An exception with no table to handle it, nor the one it leads to: the CPU gives up. */
    __asm__ volatile("lidt %0; int3" ::"m"(none));
}

void arch_machine_end(enum machine_end how)
{
    quiesce();
    if (how == MACHINE_POWEROFF) {
        power_off();
        printk("System halted: you may switch the power off.\n");
    } else if (how == MACHINE_REBOOT) {
        reboot();
    }
    for (;;)
        __asm__ volatile("cli; hlt");
}

int acpi_enter_sleep(unsigned state, uint16_t val_a, uint16_t val_b, bool extended)
{
    if (!state || state > 5 || extended != acpi.hw_reduced)
        return -EINVAL;
    if (state != 5 || (!extended && !acpi.pm1a_cnt))
        return -EOPNOTSUPP;
    printk(KERN_INFO "Powering off\n");
    quiesce();
    if (extended)
        write_reg(&acpi.sleep_control, sleep_mmio, (val_a & 7) << SLEEP_TYP_SHIFT | SLEEP_EN);
    else
        write_pm1(val_a, val_b);
    delay_ms(100);
    arch_machine_end(MACHINE_POWEROFF);
}
