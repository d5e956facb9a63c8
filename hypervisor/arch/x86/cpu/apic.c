// SPDX-License-Identifier: MIT
/*
 * The local APIC: access in either mode, set-up of each CPU's, inter-processor interrupts.
 *
 * x2APIC is used where the CPU has it (unless the command line says no, or the firmware has
 * already switched it on and it cannot be left).  Without interrupt remapping devices can still
 * only reach APIC IDs below 255; IPIs reach all.  Destinations are physical throughout.
 */
#include "asm/apic.h"
#include "asm/cpu.h"
#include "asm/cpufeature.h"
#include "asm/io.h"
#include "asm/irq_vectors.h"
#include "asm/msr.h"
#include "boot/cmdline.h"
#include "boot/main.h"
#include "kernel/console.h"
#include "mm/mm.h"

bool x2apic_enabled;
static maddr_t apic_phys_base = 0xfee00000; /* unless firmware moved it */
static volatile char *apic_regs;

uint32_t apic_read(unsigned reg)
{
    if (x2apic_enabled)
        return rdmsr(MSR_X2APIC_FIRST + (reg >> 4));
    return readl(apic_regs + reg);
}

void apic_write(unsigned reg, uint32_t val)
{
    if (x2apic_enabled)
        wrmsr(MSR_X2APIC_FIRST + (reg >> 4), val);
    else
        writel(val, apic_regs + reg);
}

void apic_eoi(void)
{
    apic_write(APIC_EOI, 0);
}

uint32_t apic_id(void)
{
    uint32_t id = apic_read(APIC_ID);

    return x2apic_enabled ? id : id >> 24;
}

bool apic_vector_pending(unsigned vector)
{
    unsigned reg = (vector / 32) * 0x10;

    return ((apic_read(APIC_IRR + reg) | apic_read(APIC_ISR + reg)) >> (vector % 32)) & 1;
}

void apic_send_icr(uint32_t dest, uint32_t icr)
{
    unsigned long flags;

    if (x2apic_enabled) {
        /* An x2APIC write does not wait for earlier stores, which the target is to see. */
        __asm__ volatile("mfence; lfence" ::: "memory");
        wrmsr(MSR_X2APIC_ICR, (uint64_t)dest << 32 | icr);
        return;
    }
    /* An interrupt handler that sends one must not come between the two writes. */
    flags = local_irq_save_();
    while (apic_read(APIC_ICR) & APIC_ICR_BUSY)
        cpu_relax();
    apic_write(APIC_ICR_HIGH, dest << 24);
    apic_write(APIC_ICR, icr);
    local_irq_restore(flags);
}

void send_ipi(unsigned cpu, unsigned vector)
{
    apic_send_icr(x86_cpu_to_apicid[cpu], APIC_ICR_FIXED | APIC_ICR_ASSERT | vector);
}

void send_ipi_mask(const cpumask_t *mask, unsigned vector)
{
    unsigned cpu, me = smp_processor_id();

    for_each_cpu (cpu, mask)
        if (cpu != me)
            send_ipi(cpu, vector);
}

static void spurious_interrupt(void)
{
}

static void error_interrupt(void)
{
    apic_write(APIC_ESR, 0);
    printk(KERN_WARN "CPU%u: APIC error %#x\n", smp_processor_id(), apic_read(APIC_ESR));
}

void __init apic_init_bsp(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE);

    if (!cpu_has(APIC))
        boot_fail("this CPU has no local APIC (or firmware disabled it)");
    apic_phys_base = base & 0x000ffffffffff000;
    x2apic_enabled = (base & APIC_BASE_X2APIC) || (cpu_has(X2APIC) && opt_x2apic);
    if (!x2apic_enabled)
        apic_regs = ioremap(apic_phys_base, 4096);
    wrmsr(MSR_APIC_BASE, base | APIC_BASE_ENABLE);
    if (x2apic_enabled)
        wrmsr(MSR_APIC_BASE, base | APIC_BASE_ENABLE | APIC_BASE_X2APIC);
    x86_cpu_to_apicid[0] = apic_id();
    set_fixed_vector(VECTOR_SPURIOUS, spurious_interrupt);
    set_fixed_vector(VECTOR_ERROR, error_interrupt);
}

void apic_init_cpu(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE;
    unsigned max_lvt;

    wrmsr(MSR_APIC_BASE, base);
    if (x2apic_enabled)
        wrmsr(MSR_APIC_BASE, base | APIC_BASE_X2APIC);
    max_lvt = (apic_read(APIC_VERSION) >> 16) & 0xff;

    apic_write(APIC_SVR, APIC_SVR_ENABLE | VECTOR_SPURIOUS);
    apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED | VECTOR_TIMER);
    apic_write(APIC_LVT_LINT0, APIC_LVT_MASKED);
    /* NMIs from the chipset reach one CPU: the boot CPU, which passes them to dom0. */
    apic_write(APIC_LVT_LINT1, APIC_LVT_NMI | (smp_processor_id() ? APIC_LVT_MASKED : 0));
    if (max_lvt >= 4)
        apic_write(APIC_LVT_PERF, APIC_LVT_MASKED);
    if (max_lvt >= 5)
        apic_write(APIC_LVT_THERM, APIC_LVT_MASKED);
    if (max_lvt >= 3) {
        apic_write(APIC_LVT_ERROR, VECTOR_ERROR);
        apic_write(APIC_ESR, 0);
    }
    /* What firmware left in service would block everything of its priority and below. */
    for (unsigned i = 0; i < 256; i++) {
        bool any = false;

        for (unsigned reg = 0; reg < 8; reg++)
            any |= apic_read(APIC_ISR + reg * 0x10) != 0;
        if (!any)
            break;
        apic_eoi();
    }
    apic_write(APIC_TPR, 0);
}
