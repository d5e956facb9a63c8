// SPDX-License-Identifier: MIT
/*
 * Descriptor tables.  Each CPU's page gdt_page holds the hypervisor's descriptors, and is the
 * 15th page (index 14) of the GDT of whatever runs there: of a vcpu through the per-domain area,
 * of the idle vcpu directly (GDTR base = gdt_page - GDT_RESERVED_BASE; what lies below is never
 * selected).  gdt_page32 is the same for the vcpus of 32-bit domains, whose flat segments are
 * others.  The IDT is one for all CPUs.
 */
#pragma once
#include "lib/types.h"
#include "lib/compiler.h"
#include "kernel/percpu.h"
#include "asm/layout.h"

#define GDT_LIMIT 0xefff /* 15 pages */

struct gdt_page {
    uint64_t desc[512]; /* desc[i] has selector GDT_RESERVED_BASE + 8 * i */
} __aligned(4096);
DECLARE_PER_CPU(struct gdt_page, gdt_page);
DECLARE_PER_CPU(struct gdt_page, gdt_page32);

struct tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3, iomap_base;
} __packed __aligned(16);
DECLARE_PER_CPU(struct tss, tss);

struct idt_entry {
    uint16_t offset_low, selector;
    uint8_t ist, type_dpl;
    uint16_t offset_mid;
    uint32_t offset_high, reserved;
};

struct desc_ptr {
    uint16_t limit;
    uint64_t base;
} __packed;

/* This CPU's own GDT (the idle vcpu's). */
void load_idle_gdt(void);
/* GDT, TSS and IDT of the CPU that calls, whose per-CPU area and stack are ready. */
void cpu_init_descriptors(void);
/* Fills the shared IDT; boot CPU, before the first cpu_init_descriptors(). */
void idt_init(void);
