// SPDX-License-Identifier: MIT
/*
 * GDT, TSS and IDT.  See asm/desc.h for how a CPU's page of descriptors is part of every GDT, and
 * asm/cpu.h for its stacks.  The entry points are arch/x86/pv/entry.S's.
 */
#include "asm/cpu.h"
#include "asm/desc.h"
#include "asm/irq_vectors.h"
#include "lib/string.h"
#include <xen/xen.h>

DEFINE_PER_CPU(struct gdt_page, gdt_page);
DEFINE_PER_CPU(struct gdt_page, gdt_page32);
DEFINE_PER_CPU(struct tss, tss);
static struct idt_entry idt[256] __aligned(4096);

extern const unsigned long exception_entry_table[32], irq_entry_table[256 - 32];

#define SEGMENT_CODE32 0x00cf9b000000ffffULL /* flat, present, accessed, ring 0 */
#define SEGMENT_CODE64 0x00af9b000000ffffULL
#define SEGMENT_DATA   0x00cf93000000ffffULL
#define SEGMENT_RING1  0x0000200000000000ULL
#define SEGMENT_RING3  0x0000600000000000ULL
#define SYSTEM_TSS     9
#define GATE_INTERRUPT 0x8e

/* An interrupt gate (interrupts off on entry) of the given privilege; IST_* of asm/cpu.h. */
static void set_intr_gate_dpl(unsigned vec, unsigned long handler, unsigned dpl, unsigned ist)
{
    idt[vec] = (struct idt_entry){
        .offset_low = handler,
        .selector = HYP_CS,
        .ist = ist,
        .type_dpl = GATE_INTERRUPT | dpl << 5,
        .offset_mid = handler >> 16,
        .offset_high = handler >> 32,
    };
}

static void set_intr_gate(unsigned vec, unsigned long handler)
{
    set_intr_gate_dpl(vec, handler, 0, IST_NONE);
}

void __init idt_init(void)
{
    for (unsigned vec = 0; vec < 256; vec++)
        set_intr_gate(vec, vec < 32 ? exception_entry_table[vec] : irq_entry_table[vec - 32]);

    set_intr_gate_dpl(1, exception_entry_table[1], 0, IST_DB);
    set_intr_gate_dpl(2, exception_entry_table[2], 0, IST_NMI);
    set_intr_gate_dpl(8, exception_entry_table[8], 0, IST_DF);
    set_intr_gate_dpl(18, exception_entry_table[18], 0, IST_MCE);
    /* INT3, INTO, and the gate that 64-bit guests' user code calls most. */
    set_intr_gate_dpl(3, exception_entry_table[3], 3, IST_NONE);
    set_intr_gate_dpl(4, exception_entry_table[4], 3, IST_NONE);
    set_intr_gate_dpl(VECTOR_LEGACY_INT80, irq_entry_table[VECTOR_LEGACY_INT80 - 32], 3, IST_NONE);
    /* Hypercalls of 32-bit kernels, which are in ring 1. */
    set_intr_gate_dpl(VECTOR_HYPERCALL32, irq_entry_table[VECTOR_HYPERCALL32 - 32], 1, IST_NONE);
}

static void fill_gdt_page(uint64_t *desc, const struct tss *tss, bool is_32bit)
{
    unsigned long base = (unsigned long)tss;
    uint64_t *tss_desc = &desc[(TSS_SELECTOR - GDT_RESERVED_BASE) / 8];

#define DESC(selector) desc[((selector)-GDT_RESERVED_BASE) / 8]
    DESC(HYP_CS32) = SEGMENT_CODE32;
    DESC(HYP_CS) = SEGMENT_CODE64;
    DESC(HYP_DS) = SEGMENT_DATA;
    if (is_32bit) {
        DESC(FLAT32_RING1_CS) = SEGMENT_CODE32 | SEGMENT_RING1;
        DESC(FLAT32_RING1_DS) = SEGMENT_DATA | SEGMENT_RING1;
        DESC(FLAT32_RING3_CS) = SEGMENT_CODE32 | SEGMENT_RING3;
        DESC(FLAT32_RING3_DS) = SEGMENT_DATA | SEGMENT_RING3;
    } else {
        DESC(FLAT_RING3_CS32) = SEGMENT_CODE32 | SEGMENT_RING3;
        DESC(FLAT_RING3_SS64) = SEGMENT_DATA | SEGMENT_RING3;
        DESC(FLAT_RING3_CS64) = SEGMENT_CODE64 | SEGMENT_RING3;
    }
#undef DESC
    tss_desc[0] = (sizeof(*tss) - 1) | (base & 0xffffff) << 16 | (0x80UL | SYSTEM_TSS) << 40 |
                  (base >> 24 & 0xff) << 56;
    tss_desc[1] = base >> 32;
}

void load_idle_gdt(void)
{
    struct desc_ptr gdtr = {GDT_LIMIT, (uint64_t)&this_cpu(gdt_page) - GDT_RESERVED_BASE};

    __asm__ volatile("lgdt %0" ::"m"(gdtr));
}

void cpu_init_descriptors(void)
{
    struct desc_ptr idtr = {sizeof(idt) - 1, (uint64_t)idt};
    struct cpu_info *info = cpu_info();
    unsigned long stack = (unsigned long)(info + 1) - STACK_SIZE;
    struct tss *tss = &this_cpu(tss);

    memset(tss, 0, sizeof(*tss));
    /* An entry from a guest fills guest_regs from its end, which must be aligned as the CPU does.
     */
    BUILD_BUG_ON((STACK_SIZE - sizeof(*info) + offsetof(struct cpu_info, guest_regs.es)) % 16);
    tss->rsp[0] = (unsigned long)&info->guest_regs.es;
    for (unsigned ist = IST_DF; ist <= IST_DB; ist++)
        tss->ist[ist - 1] = stack + ist * 4096;
    tss->iomap_base = sizeof(*tss);
    fill_gdt_page(this_cpu(gdt_page).desc, tss, false);
    fill_gdt_page(this_cpu(gdt_page32).desc, tss, true);

    load_idle_gdt();
    __asm__ volatile("pushq %0\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "lretq\n\t"
                     "1:" ::"i"(HYP_CS)
                     : "rax", "memory");
    __asm__ volatile("mov %0, %%ss" ::"r"(HYP_DS));
    __asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs" ::"r"(0));
    __asm__ volatile("lldt %w0" ::"r"(0));
    __asm__ volatile("ltr %w0" ::"r"(TSS_SELECTOR));
    __asm__ volatile("lidt %0" ::"m"(idtr));
}
