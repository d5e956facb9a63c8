// SPDX-License-Identifier: MIT
#include "machine.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include "arch/fake/fake.h"
#include "arch/x86/acpi/acpi.h"
#include "arch/x86/irq/irq.h"
#include "arch/x86/power.h"
#include "lib/bitops.h"
#include "mm/mm.h"
#include <asm/apic.h>
#include <asm/e820.h>
#include <asm/io.h>
#include <xen/xen.h>

#define SIM_BASE 0x500000000000ULL /* where "mapped" device memory is */
#define MAX_CPUS 8

#define RTE_IRR    (1u << 14)
#define RTE_LEVEL  (1u << 15)
#define RTE_MASKED (1u << 16)

struct acpi_info acpi;
struct e820_map e820_host;
uint32_t x86_cpu_to_apicid[NR_CPUS], x86_cpu_to_acpiid[NR_CPUS];
struct sim_dev sim_msi_dev, sim_plain_msi_dev, sim_msix_dev;
unsigned sim_taken[8], sim_lost, sim_maskings;

static struct sim_dev *const devs[] = {&sim_msi_dev, &sim_plain_msi_dev, &sim_msix_dev};
static uint32_t rte_low[SIM_GSIS], rte_high[SIM_GSIS], ioapic_select;
static bool line[SIM_GSIS];
static unsigned long irr[MAX_CPUS][4], isr[MAX_CPUS][4];
static uint32_t cf8;

bool e820_all(const struct e820_map *map, uint64_t start, uint64_t end, uint32_t type)
{
    (void)map;
    return type == E820_RAM && start >= 0x100000 && end <= 0x40000000;
}

void *ioremap(maddr_t addr, size_t len)
{
    (void)len;
    return (void *)(SIM_BASE + addr);
}

void iounmap(void *va, size_t len)
{
    (void)va;
    (void)len;
}

void power_init(void)
{
}

/* ---- local APICs ---- */

static void deliver(uint32_t vector, uint32_t dest)
{
    if (dest & 1 || dest / 2 >= nr_cpu_ids || vector < 0x20) {
        sim_lost++;
        return;
    }
    __set_bit(vector, irr[dest / 2]);
}

static int highest(const unsigned long *map)
{
    for (int v = 255; v >= 0; v--)
        if (test_bit(v, map))
            return v;
    return -1;
}

static void evaluate(unsigned gsi)
{
    if (rte_low[gsi] & RTE_MASKED || !(rte_low[gsi] & RTE_LEVEL) || !line[gsi] ||
        rte_low[gsi] & RTE_IRR)
        return;
    rte_low[gsi] |= RTE_IRR;
    deliver(rte_low[gsi] & 0xff, rte_high[gsi] >> 24);
}

void apic_eoi(void)
{
    int v = highest(isr[smp_processor_id()]);

    assert_true(v >= 0);
    __clear_bit(v, isr[smp_processor_id()]);
    for (unsigned gsi = 0; gsi < SIM_GSIS; gsi++) {
        if ((rte_low[gsi] & 0xff) == (unsigned)v && rte_low[gsi] & RTE_LEVEL) {
            rte_low[gsi] &= ~RTE_IRR;
            evaluate(gsi);
        }
    }
}

bool apic_vector_pending(unsigned vector)
{
    return test_bit(vector, irr[smp_processor_id()]) || test_bit(vector, isr[smp_processor_id()]);
}

unsigned sim_run(void)
{
    unsigned taken = 0;
    bool any;

    do {
        any = false;
        for (unsigned cpu = 0; cpu < nr_cpu_ids; cpu++) {
            struct cpu_user_regs regs = {0};
            int v = highest(irr[cpu]);

            if (v < 0)
                continue;
            any = true;
            assert_true(++taken < 1000); /* a storm */
            __clear_bit(v, irr[cpu]);
            __set_bit(v, isr[cpu]);
            sim_taken[cpu]++;
            fake_run_on(cpu, fake_current);
            regs.entry_vector = v;
            do_irq(&regs);
            assert_true(highest(isr[cpu]) < 0); /* acknowledged */
        }
    } while (any);
    fake_run_on(0, fake_current);
    return taken;
}

/* ---- IO-APIC ---- */

void sim_line(unsigned gsi, bool asserted)
{
    bool rises = asserted && !line[gsi];

    line[gsi] = asserted;
    if (rte_low[gsi] & RTE_LEVEL)
        evaluate(gsi);
    else if (rises && !(rte_low[gsi] & RTE_MASKED))
        deliver(rte_low[gsi] & 0xff, rte_high[gsi] >> 24);
}

void sim_edge(unsigned gsi)
{
    sim_line(gsi, true);
    sim_line(gsi, false);
}

uint64_t sim_rte(unsigned gsi)
{
    return rte_low[gsi] | (uint64_t)rte_high[gsi] << 32;
}

bool sim_masked(unsigned gsi)
{
    return rte_low[gsi] & RTE_MASKED;
}

static uint32_t ioapic_read(void)
{
    if (ioapic_select == 1)
        return (SIM_GSIS - 1) << 16 | 0x20;
    if (ioapic_select < 0x10 || ioapic_select >= 0x10 + 2 * SIM_GSIS)
        return 0;
    return ioapic_select & 1 ? rte_high[(ioapic_select - 0x10) / 2]
                             : rte_low[(ioapic_select - 0x10) / 2];
}

static void ioapic_write(uint32_t val)
{
    unsigned gsi = (ioapic_select - 0x10) / 2;

    if (ioapic_select < 0x10 || gsi >= SIM_GSIS)
        return;
    if (ioapic_select & 1) {
        rte_high[gsi] = val;
        return;
    }
    sim_maskings += !!(val & RTE_MASKED);
    rte_low[gsi] = (val & ~RTE_IRR) | (val & RTE_LEVEL ? rte_low[gsi] & RTE_IRR : 0);
    evaluate(gsi);
}

/* ---- PCI ---- */

static uint32_t get(const uint8_t *p, unsigned size)
{
    uint32_t val = 0;

    memcpy(&val, p, size);
    return val;
}

static bool msi_masked(const struct sim_dev *dev, unsigned n)
{
    if (dev == &sim_msix_dev)
        return dev->msix[n * 16 + 12] & 1 || !(dev->conf[0x53] & 0x80);
    return dev->conf[0x43] & 1 && get(dev->conf + 0x50, 4) & 1u << n;
}

static void send(const struct sim_dev *dev, unsigned n)
{
    uint32_t addr, data;

    if (dev == &sim_msix_dev) {
        addr = get(dev->msix + n * 16, 4);
        data = get(dev->msix + n * 16 + 8, 4);
    } else {
        bool wide = dev->conf[0x42] & 0x80;

        if (!(dev->conf[0x42] & 1)) {
            sim_lost++;
            return;
        }
        addr = get(dev->conf + 0x44, 4);
        data = get(dev->conf + (wide ? 0x4c : 0x48), 2) | n;
    }
    if (addr >> 20 != 0xfee)
        sim_lost++;
    else
        deliver(data & 0xff, addr >> 12 & 0xff);
}

static void send_pending(struct sim_dev *dev)
{
    for (unsigned n = 0; n < 32; n++) {
        if (dev->pending & 1u << n && !msi_masked(dev, n)) {
            dev->pending &= ~(1u << n);
            send(dev, n);
        }
    }
}

void sim_msi(struct sim_dev *dev, unsigned n)
{
    dev->pending |= 1u << n;
    send_pending(dev);
}

static struct sim_dev *selected(void)
{
    for (unsigned i = 0; i < 3; i++)
        if ((cf8 >> 8 & 0xffff) == devs[i]->devfn && cf8 >> 31)
            return devs[i];
    return NULL;
}

uint32_t sim_in(uint16_t port, unsigned size)
{
    struct sim_dev *dev = selected();

    if (port < 0xcfc || port > 0xcff)
        return 0;
    return dev ? get(dev->conf + (cf8 & 0xfc) + (port & 3), size) : size == 2 ? 0xffff : ~0u;
}

void sim_out(uint32_t val, uint16_t port, unsigned size)
{
    struct sim_dev *dev = selected();

    if (port == 0xcf8)
        cf8 = val;
    else if (port >= 0xcfc && port <= 0xcff && dev) {
        memcpy(dev->conf + (cf8 & 0xfc) + (port & 3), &val, size);
        send_pending(dev);
    }
}

uint64_t sim_read(const volatile void *addr, unsigned size)
{
    uint64_t a = (uintptr_t)addr - SIM_BASE;

    if (a >= SIM_MSIX_BAR + SIM_MSIX_OFF && a < SIM_MSIX_BAR + SIM_MSIX_OFF + SIM_MSIX_N * 16)
        return get(sim_msix_dev.msix + (a - SIM_MSIX_BAR - SIM_MSIX_OFF), size);
    assert_true(a == SIM_IOAPIC || a == SIM_IOAPIC + 0x10);
    return a == SIM_IOAPIC ? ioapic_select : ioapic_read();
}

void sim_write(uint64_t val, volatile void *addr, unsigned size)
{
    uint64_t a = (uintptr_t)addr - SIM_BASE;

    if (a >= SIM_MSIX_BAR + SIM_MSIX_OFF && a < SIM_MSIX_BAR + SIM_MSIX_OFF + SIM_MSIX_N * 16) {
        memcpy(sim_msix_dev.msix + (a - SIM_MSIX_BAR - SIM_MSIX_OFF), &val, size);
        send_pending(&sim_msix_dev);
    } else if (a == SIM_IOAPIC) {
        ioapic_select = val;
    } else {
        assert_true(a == SIM_IOAPIC + 0x10);
        ioapic_write(val);
    }
}

/* ---- set-up ---- */

static void make_dev(struct sim_dev *dev, uint8_t devfn)
{
    memset(dev, 0, sizeof(*dev));
    dev->devfn = devfn;
    dev->conf[0] = 0x86;
    dev->conf[1] = 0x80;
    dev->conf[6] = 0x10; /* has capabilities */
    dev->conf[0x34] = 0x40;
}

void sim_reset(unsigned cpus)
{
    fake_init(cpus);
    memset(&acpi, 0, sizeof(acpi));
    memset(irr, 0, sizeof(irr));
    memset(isr, 0, sizeof(isr));
    memset(line, 0, sizeof(line));
    memset(sim_taken, 0, sizeof(sim_taken));
    sim_lost = 0;
    for (unsigned i = 0; i < SIM_GSIS; i++)
        rte_low[i] = RTE_MASKED;
    for (unsigned i = 0; i < NR_CPUS; i++)
        x86_cpu_to_apicid[i] = i < cpus ? 2 * i : BAD_APIC_ID;
    acpi.found = true;
    acpi.nr_ioapics = 1;
    acpi.ioapic[0].addr = SIM_IOAPIC;
    acpi.nr_overrides = 2;
    acpi.override[0] = (struct acpi_override){.irq = 0, .gsi = 2};
    acpi.override[1] = (struct acpi_override){.irq = 9, .gsi = 9, .level = true};

    make_dev(&sim_msi_dev, 0x10); /* 64 bits, maskable, 4 messages */
    sim_msi_dev.conf[0x40] = 0x05;
    sim_msi_dev.conf[0x42] = 0x84;
    sim_msi_dev.conf[0x43] = 0x01;
    make_dev(&sim_plain_msi_dev, 0x18); /* 32 bits, not maskable, 1 message, behind another */
    sim_plain_msi_dev.conf[0x34] = 0x60;
    sim_plain_msi_dev.conf[0x60] = 0x01;
    sim_plain_msi_dev.conf[0x61] = 0x40;
    sim_plain_msi_dev.conf[0x40] = 0x05;
    make_dev(&sim_msix_dev, 0x20);
    sim_msix_dev.conf[0x34] = 0x50;
    sim_msix_dev.conf[0x50] = 0x11;
    sim_msix_dev.conf[0x52] = SIM_MSIX_N - 1;
    sim_msix_dev.conf[0x53] = 0x80; /* enabled */
    sim_msix_dev.conf[0x55] = SIM_MSIX_OFF >> 8;
    sim_msix_dev.conf[0x54] = 1; /* BAR 1 */
    sim_msix_dev.conf[0x14 + 2] = SIM_MSIX_BAR >> 16 & 0xff;
    sim_msix_dev.conf[0x14 + 3] = SIM_MSIX_BAR >> 24;
    for (unsigned n = 0; n < SIM_MSIX_N; n++)
        sim_msix_dev.msix[n * 16 + 12] = 1;
}
