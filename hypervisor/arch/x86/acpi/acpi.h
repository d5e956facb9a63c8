// SPDX-License-Identifier: MIT
/*
 * What the firmware's tables say, read once at boot.  The hypervisor does not interpret AML: all
 * that needs it is dom0's.
 */
#pragma once
#include "lib/types.h"

#define ACPI_MAX_IOAPICS   64
#define ACPI_MAX_OVERRIDES 32
#define ACPI_MAX_MCFG      16
#define ACPI_MAX_NODES     64
#define ACPI_MAX_MEM_AFF   256
#define ACPI_MAX_CPU_AFF   4096

/* Where a register is (generic address structure). */
enum acpi_space { ACPI_SPACE_MEMORY = 0, ACPI_SPACE_IO = 1, ACPI_SPACE_PCI = 2 };
struct acpi_reg {
    uint8_t space; /* enum acpi_space */
    uint8_t bits;
    uint64_t addr; /* 0: there is none */
};

struct acpi_info {
    bool found;   /* there are tables at all */
    maddr_t rsdp; /* where the pointer was found; 0 if only the loader's copy is known */
    maddr_t lapic_addr;
    bool has_8259;

    unsigned nr_ioapics;
    struct acpi_ioapic {
        uint8_t id;
        maddr_t addr;
        uint32_t gsi_base;
    } ioapic[ACPI_MAX_IOAPICS];

    /* How an ISA interrupt is wired, where it is not just line N, edge, active high. */
    unsigned nr_overrides;
    struct acpi_override {
        uint8_t irq;
        bool level, low;
        uint32_t gsi;
    } override[ACPI_MAX_OVERRIDES];

    maddr_t hpet_addr;   /* 0: none */
    uint32_t pmtmr_port; /* 0: none */
    bool pmtmr_32bit;

    /* FADT */
    bool hw_reduced;
    uint16_t sci_irq;
    uint16_t pm1a_cnt, pm1b_cnt; /* ports; 0: none */
    struct acpi_reg sleep_control, sleep_status;
    struct acpi_reg reset_reg;
    uint8_t reset_value;
    bool has_reset;
    uint8_t century; /* CMOS index of the century; 0: none */
    bool no_rtc;
    /* \_S5 as found in the DSDT; s5_known: values below are good */
    bool s5_known;
    uint8_t s5_typ_a, s5_typ_b;

    unsigned nr_mcfg;
    struct acpi_mcfg {
        maddr_t addr;
        uint16_t segment;
        uint8_t start_bus, end_bus;
    } mcfg[ACPI_MAX_MCFG];

    /* SRAT and SLIT */
    unsigned nr_mem_aff;
    struct acpi_mem_aff {
        uint64_t start, end;
        uint32_t pxm;
        bool hotplug;
    } mem_aff[ACPI_MAX_MEM_AFF];
    unsigned nr_cpu_aff;
    struct acpi_cpu_aff {
        uint32_t apic_id, pxm;
    } cpu_aff[ACPI_MAX_CPU_AFF];
    unsigned nr_slit; /* localities; 0: no SLIT */
    uint8_t slit[ACPI_MAX_NODES][ACPI_MAX_NODES];
};
extern struct acpi_info acpi;

/*
 * Finds and reads the tables; reports each enabled CPU through smp_add_cpu().  rsdp: the loader's
 * copy of the root pointer (multiboot 2), of len bytes; NULL: searched for in low memory.
 * Without tables it leaves acpi.found false, and the machine is a single CPU with no IO-APIC.
 * Boot CPU, with ioremap() working.
 */
void acpi_boot_init(const void *rsdp, size_t len);

/* The proximity domain of a CPU or of an address; 0 if the SRAT does not say. */
uint32_t acpi_cpu_pxm(uint32_t apic_id);
uint32_t acpi_mem_pxm(maddr_t addr);
