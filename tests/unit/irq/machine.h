// SPDX-License-Identifier: MIT
/*
 * A simulated machine for the interrupt tests: an IO-APIC of 24 pins, a local APIC for each CPU,
 * and PCI functions with MSI or MSI-X.  It behaves as the manuals say, remote IRR included.
 * APIC IDs are twice the CPU number, so that the two are not mistaken for each other.
 */
#pragma once
#include "lib/types.h"

#define SIM_GSIS     24
#define SIM_IOAPIC   0xfec00000ULL
#define SIM_MSIX_BAR 0xfebf0000ULL
#define SIM_MSIX_OFF 0x800 /* of the table in the BAR */
#define SIM_MSIX_N   4

struct sim_dev {
    uint8_t devfn; /* bus 0 */
    uint8_t conf[256];
    uint8_t msix[SIM_MSIX_N * 16];
    uint32_t pending;
};

void sim_reset(unsigned cpus);
/* A line of the IO-APIC goes up or down (asserted: in the sense of its polarity). */
void sim_line(unsigned gsi, bool asserted);
void sim_edge(unsigned gsi); /* up and down again */
/* The CPUs take the interrupts that wait for them until there are none.  How many there were. */
unsigned sim_run(void);
/* One pin as the hardware has it. */
uint64_t sim_rte(unsigned gsi);
bool sim_masked(unsigned gsi);
/* dev sends message n of its MSI or MSI-X; lost if it may not, held if it is masked. */
void sim_msi(struct sim_dev *dev, unsigned n);
extern struct sim_dev sim_msi_dev, sim_plain_msi_dev, sim_msix_dev;
extern unsigned sim_taken[8]; /* interrupts taken by each CPU */
extern unsigned sim_maskings; /* writes to the IO-APIC that mask a pin */
extern unsigned sim_lost;     /* messages to nowhere, or sent while not enabled */
