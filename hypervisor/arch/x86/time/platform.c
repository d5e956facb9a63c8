// SPDX-License-Identifier: MIT
/* The machine's own clocks: HPET, ACPI PM timer, and the PIT, which only serves to calibrate. */
#include "private.h"
#include "arch/x86/acpi/acpi.h"
#include "boot/cmdline.h"
#include "kernel/console.h"
#include "lib/string.h"
#include "mm/mm.h"
#include <asm/io.h>

#define HPET_ID         0x000
#define HPET_PERIOD     0x004 /* fs a tick */
#define HPET_CONFIG     0x010
#define HPET_COUNTER    0x0f0
#define HPET_ID_64BIT   0x2000
#define HPET_ENABLE     0x1
#define HPET_MAX_PERIOD 100000000u /* 100 ns, by its specification */

#define PMTMR_HZ 3579545
#define PIT_HZ   1193182

#define PIT_CHANNEL2  0x42
#define PIT_COMMAND   0x43
#define PIT_GATE      0x61 /* bit 0: gate of channel 2; bit 1: speaker */
#define PIT_CH2_BOTH  0xb4 /* channel 2, both bytes, mode 2 (rate generator), binary */
#define PIT_CH2_LATCH 0x80

static struct ref_clock clock;
static volatile void *hpet;

static uint64_t hpet_read64(void)
{
    return readq(hpet + HPET_COUNTER);
}

static uint64_t hpet_read32(void)
{
    return readl(hpet + HPET_COUNTER);
}

static bool hpet_init(void)
{
    uint32_t id, period;

    if (!acpi.hpet_addr)
        return false;
    hpet = ioremap(acpi.hpet_addr, 1024);
    id = readl(hpet + HPET_ID);
    period = readl(hpet + HPET_PERIOD);
    if (id == ~0u || !period || period > HPET_MAX_PERIOD) {
        printk(KERN_WARN "HPET: makes no sense (id %#x, period %u): not used\n", id, period);
        return false;
    }
    writel(readl(hpet + HPET_CONFIG) | HPET_ENABLE, hpet + HPET_CONFIG);
    clock = (struct ref_clock){.name = "HPET",
                               .read = id & HPET_ID_64BIT ? hpet_read64 : hpet_read32,
                               .mask = id & HPET_ID_64BIT ? ~0ULL : UINT32_MAX,
                               .hz = 1000000000000000ULL / period};
    return true;
}

static uint64_t pmtmr_read(void)
{
    return inl(acpi.pmtmr_port);
}

static bool pmtmr_init(void)
{
    if (!acpi.pmtmr_port)
        return false;
    clock = (struct ref_clock){.name = "ACPI PM timer",
                               .read = pmtmr_read,
                               .mask = acpi.pmtmr_32bit ? UINT32_MAX : 0xffffff,
                               .hz = PMTMR_HZ};
    return true;
}

/* Channel 2 counts down from 65,536 and around. */
static uint64_t pit_read(void)
{
    uint8_t low;

    outb(PIT_CH2_LATCH, PIT_COMMAND);
    low = inb(PIT_CHANNEL2);
    return 0xffff - (low | inb(PIT_CHANNEL2) << 8);
}

static bool pit_init(void)
{
    outb((inb(PIT_GATE) & ~2) | 1, PIT_GATE);
    outb(PIT_CH2_BOTH, PIT_COMMAND);
    outb(0, PIT_CHANNEL2);
    outb(0, PIT_CHANNEL2);
    clock = (struct ref_clock){
        .name = "PIT", .read = pit_read, .mask = 0xffff, .hz = PIT_HZ, .calibration_only = true};
    return true;
}

/* Does it tick at all?  A machine may describe a clock that it does not have. */
static bool ticks(void)
{
    uint64_t first = clock.read();

    for (unsigned i = 0; i < 100000; i++)
        if (clock.read() != first)
            return true;
    printk(KERN_WARN "%s stands still: not used\n", clock.name);
    return false;
}

const struct ref_clock *platform_clock_init(void)
{
    static const struct {
        const char *opt; /* as in clocksource= */
        bool (*init)(void);
    } candidates[] = {{"hpet", hpet_init}, {"acpi", pmtmr_init}, {"pit", pit_init}};

    for (unsigned i = 0; i < ARRAY_SIZE(candidates); i++)
        if (!strcmp(opt_clocksource, candidates[i].opt) && candidates[i].init() && ticks())
            return &clock;
    for (unsigned i = 0; i < ARRAY_SIZE(candidates); i++)
        if (candidates[i].init() && ticks())
            return &clock;
    return NULL;
}
