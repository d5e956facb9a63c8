// SPDX-License-Identifier: MIT
/*
 * The local APIC, in xAPIC or x2APIC mode (the mode is decided once on the boot CPU; see
 * cpu/apic.c).  Registers are named by their xAPIC offset in both modes.
 */
#pragma once
#include "lib/types.h"
#include "lib/compiler.h"
#include "kernel/cpumask.h"

#define APIC_ID         0x020
#define APIC_VERSION    0x030
#define APIC_TPR        0x080
#define APIC_APR        0x090
#define APIC_PPR        0x0a0
#define APIC_EOI        0x0b0
#define APIC_LDR        0x0d0
#define APIC_DFR        0x0e0
#define APIC_SVR        0x0f0
#define APIC_ISR        0x100
#define APIC_TMR        0x180
#define APIC_IRR        0x200
#define APIC_ESR        0x280
#define APIC_ICR        0x300
#define APIC_ICR_HIGH   0x310
#define APIC_LVT_TIMER  0x320
#define APIC_LVT_THERM  0x330
#define APIC_LVT_PERF   0x340
#define APIC_LVT_LINT0  0x350
#define APIC_LVT_LINT1  0x360
#define APIC_LVT_ERROR  0x370
#define APIC_TIMER_INIT 0x380
#define APIC_TIMER_CUR  0x390
#define APIC_TIMER_DIV  0x3e0
#define APIC_SELF_IPI   0x3f0 /* x2APIC */

#define APIC_SVR_ENABLE       0x100
#define APIC_LVT_MASKED       0x10000
#define APIC_LVT_TIMER_MODE   0x60000
#define APIC_LVT_PERIODIC     0x20000
#define APIC_LVT_TSC_DEADLINE 0x40000
#define APIC_LVT_NMI          0x400
#define APIC_ICR_FIXED        0x00000
#define APIC_ICR_NMI          0x00400
#define APIC_ICR_INIT         0x00500
#define APIC_ICR_STARTUP      0x00600
#define APIC_ICR_BUSY         0x01000
#define APIC_ICR_ASSERT       0x04000
#define APIC_ICR_LEVEL        0x08000

extern bool x2apic_enabled;
extern uint32_t x86_cpu_to_apicid[NR_CPUS]; /* BAD_APIC_ID: no such CPU */
extern uint32_t x86_cpu_to_acpiid[NR_CPUS];
#define BAD_APIC_ID (~0u)

/* A guest's: the MADT that the tools make numbers vcpus so. */
static inline uint32_t vcpu_apic_id(unsigned vcpu_id)
{
    return vcpu_id * 2;
}

/*
 * For the MADT parser: an enabled local APIC.  CPU numbers are given in order of discovery, the
 * boot CPU (recognised by its APIC ID) always being 0.  Duplicates and CPUs beyond NR_CPUS are
 * ignored (the latter with a line on the console).
 */
void smp_add_cpu(uint32_t apic_id, uint32_t acpi_id);

uint32_t apic_read(unsigned reg);
void apic_write(unsigned reg, uint32_t val);
void apic_eoi(void);
uint32_t apic_id(void); /* of the CPU that calls */
/* True if the interrupt of this vector is in service or requested on this CPU. */
bool apic_vector_pending(unsigned vector);
void send_ipi(unsigned cpu, unsigned vector);
void send_ipi_mask(const cpumask_t *mask, unsigned vector); /* never to this CPU */
/* With APIC_ICR_INIT, _STARTUP, _NMI; to an APIC ID. */
void apic_send_icr(uint32_t dest_apic_id, uint32_t icr);

void apic_init_bsp(void); /* finds and enables it; before the MADT is read */
void apic_init_cpu(void); /* on each CPU, boot CPU included */
