// SPDX-License-Identifier: MIT
/* Inside irq/.  States and locks: irq.c. */
#pragma once
#include "irq.h"
#include "kernel/lock.h"
#include "kernel/percpu.h"
#include <asm/irq_vectors.h>
#include <asm/pci.h>

struct irq_desc;
struct msi;

/* What an interrupt comes from: IO-APIC pin, MSI, MSI-X.  All under desc->lock. */
struct irq_chip {
    const char *name;
    bool immovable;    /* it stays on its CPU */
    bool holds_masked; /* what comes while it is masked is sent when it no longer is */
    void (*mask)(struct irq_desc *desc);
    void (*unmask)(struct irq_desc *desc);
    /* Writes desc->cpu and desc->vector.  The latter is new only where irq_retarget() allows. */
    void (*set_target)(struct irq_desc *desc);
};

/* A domain's claim on an interrupt; made by mapping the pirq. */
struct irq_guest {
    struct irq_guest *next;
    struct domain *d;
    unsigned pirq;
    bool bound;     /* to an event channel */
    bool share;     /* binding on condition that others may share */
    bool in_flight; /* level: passed on, no end of interrupt yet */
};
#define IRQ_MAX_GUESTS 8

struct irq_desc {
    spinlock_t lock;             /* LOCK_IRQ */
    unsigned irq;                /* index of itself */
    const struct irq_chip *chip; /* NULL: not in use */
    bool level, low;             /* trigger and polarity */
    bool masked;                 /* at the source */
    uint8_t vector;              /* 0: none yet */
    unsigned cpu;                /* where vector is */
    uint8_t old_vector; /* still ours on old_cpu until the first interrupt on the new one */
    unsigned old_cpu;
    unsigned in_flight; /* guests that have not ended the last one */

    void (*fn)(void *); /* the hypervisor's own; then no guest may bind */
    void *data;
    const char *name;
    struct irq_guest *guests;

    uint16_t ioapic, pin; /* chip: IO-APIC */
    struct msi *msi;      /* chip: MSI, MSI-X */
    unsigned long count;
};

extern struct irq_desc *irq_descs; /* [nr_irqs]; the first nr_gsis are the IO-APICs' pins */
extern unsigned nr_irqs;
#define NR_MSI_IRQS 1024
#define MSI_MAX     32 /* messages of one device without MSI-X (PCI 3.0, 6.8.1) */

/* irq.c, desc->lock held: masks it and takes the vector back. */
void irq_stop(struct irq_desc *desc);

/* vectors.c.  Each CPU has its own 206. */
DECLARE_PER_CPU(uint16_t[256], vector_irq); /* irq + 1; 0: free */
/* count vectors (a power of two, aligned to it) on cpu for irq, irq + 1 ...: the first, preferably
 * `prefer`; -ENOSPC. */
int vectors_alloc(unsigned cpu, unsigned irq, unsigned count, uint8_t prefer);
void vector_free(unsigned cpu, uint8_t vector);
/* An interrupt can be addressed to cpu (8 bits of APIC ID, without interrupt remapping). */
bool vector_cpu_ok(unsigned cpu);

/* ioapic.c */
void ioapic_init(void); /* fills in the descriptors of all pins */
unsigned isa_irq_to_gsi(unsigned irq);
int ioapic_guest_read(uint64_t physbase, uint32_t reg, uint32_t *val);
bool ioapic_guest_exists(uint64_t physbase);
void ioapic_mask_all(void);
unsigned ioapic_count_gsis(void);

/* i8259.c */
void i8259_init(void); /* both masked for good */

/* pirq.c: a domain's pirqs.  pirq_lock (LOCK_PIRQ) held: mapping, unmapping, PCI devices, MSI. */
extern spinlock_t pirq_lock;
/* Gives count irqs from irq on the numbers from *pirq on in d (finding them if *pirq < 0).
 * -errno, and nothing has changed. */
int pirq_map(struct domain *d, int *pirq, unsigned irq, unsigned count);
/* Takes it away again (bound or not); MSIs end with that, all that were created together. */
int pirq_unmap(struct domain *d, unsigned pirq);
void pirq_unmap_irq(unsigned irq); /* the same from whomever has it */
int pirq_reserve(struct domain *d, bool msi);
/* The irq behind pirq, or -EINVAL.  No lock: a hint. */
int pirq_to_irq(const struct domain *d, unsigned pirq);
int pirq_set_eoi_page(struct domain *d, uint64_t gfn, bool auto_unmask);
bool irq_needs_eoi(const struct irq_desc *desc);

/* msi.c, pirq_lock held */
struct msi_request {
    pci_sbdf_t dev;
    bool msix;
    unsigned entry, count; /* MSI-X: entry of the table; MSI: how many */
    uint64_t table_base;   /* MSI-X: BAR, as the caller believes */
};
int msi_create(const struct msi_request *req); /* first irq, or -errno */
void msi_destroy(unsigned irq);                /* not mapped any more */
/* How many were created together with irq, it being the first; 0 if it is not; 1 if no MSI. */
unsigned msi_block_size(unsigned irq);
int pci_dev_add(pci_sbdf_t dev, uint32_t pxm);
int pci_dev_remove(pci_sbdf_t dev);
int pci_dev_restore_msi(pci_sbdf_t dev);
bool pci_dev_has_msix(pci_sbdf_t dev);
