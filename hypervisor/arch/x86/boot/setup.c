// SPDX-License-Identifier: MIT
/*
 * x86's steps of the bring-up (arch/api/arch_boot.h).
 *
 * Memory: RAM of the loader's map, less the first megabyte, the image, the modules and the
 * loader's own data, is bootmem; page tables and the frame table come out of it, the rest becomes
 * the heap once the tables are live.
 */
#include "arch/api/arch_boot.h"
#include "arch/x86/acpi/acpi.h"
#include "arch/x86/boot/bootinfo.h"
#include "arch/x86/boot/vga.h"
#include "arch/x86/cpu/policy.h"
#include "arch/x86/cpu/smp.h"
#include "arch/x86/irq/irq.h"
#include "arch/x86/guest.h"
#include "arch/x86/mm/paging.h"
#include "arch/x86/pv/pv.h"
#include "arch/x86/time/time.h"
#include "asm/apic.h"
#include "asm/cpufeature.h"
#include "asm/desc.h"
#include "asm/e820.h"
#include "asm/extable.h"
#include "asm/layout.h"
#include "boot/bootmem.h"
#include "boot/cmdline.h"
#include "boot/initrd.h"
#include "boot/main.h"
#include "kernel/console.h"
#include "kernel/serial.h"

#define LOW_MEMORY_END (1UL << 20)
#define LEAST_MEMORY   (96UL << 20)

uint64_t max_page;
extern char __image_start[], __image_end[];

const char *__init arch_boot_early(unsigned long magic, unsigned long info)
{
    percpu_init_bsp();
    extable_init();
    idt_init();
    cpu_init_descriptors();
    return boot_info_init(magic, info);
}

const char *arch_boot_cmdline(void)
{
    return boot_info.cmdline;
}

const char *arch_boot_loader(void)
{
    return boot_info.loader;
}

void __init arch_boot_console(void)
{
    cpu_identify_early();
    serial_init_early();
    vga_init();
}

static void __init print_memory_map(void)
{
    static const char *const names[] = {"?", "RAM", "reserved", "ACPI", "NVS", "unusable"};

    for (unsigned i = 0; i < e820_host.nr; i++) {
        struct e820_entry e = e820_host.map[i];

        printk(KERN_INFO "Memory %012lx-%012lx %s\n", (unsigned long)e.addr,
               (unsigned long)(e.addr + e.size - 1),
               names[e.type < ARRAY_SIZE(names) ? e.type : 0]);
    }
}

/* mem=: RAM above is as if it were not there. */
static void __init clip_memory(uint64_t limit)
{
    unsigned kept = 0;

    for (unsigned i = 0; limit && i < e820_host.nr; i++) {
        struct e820_entry e = e820_host.map[i];

        if (e.type == E820_RAM && e.addr + e.size > limit) {
            if (e.addr >= limit)
                continue;
            e.size = limit - e.addr;
        }
        e820_host.map[kept++] = e;
    }
    if (limit)
        e820_host.nr = kept;
}

static uint64_t __init make_bootmem(void)
{
    uint64_t total = 0;

    for (unsigned i = 0; i < e820_host.nr; i++) {
        struct e820_entry e = e820_host.map[i];

        if (e.type != E820_RAM)
            continue;
        total += e.size;
        bootmem_add(e.addr, e.addr + e.size);
    }
    bootmem_reserve(0, PAGE_SIZE);
    bootmem_reserve(image_to_maddr(__image_start), image_to_maddr(__image_end));
    bootmem_reserve(boot_info.info_start, boot_info.info_end);
    for (unsigned i = 0; i < boot_info.nr_modules; i++)
        bootmem_reserve(boot_info.modules[i].start,
                        boot_info.modules[i].start + boot_info.modules[i].size);
    return total;
}

/* Splits where the firmware says that another node begins. */
static void __init give_to_heap(maddr_t start, maddr_t end)
{
    while (start < end) {
        maddr_t stop = end;

        for (unsigned i = 0; i < acpi.nr_mem_aff; i++) {
            const struct acpi_mem_aff *a = &acpi.mem_aff[i];

            if (a->start > start && a->start < stop)
                stop = a->start;
            if (a->end > start && a->end < stop)
                stop = a->end;
        }
        heap_add_range(maddr_to_mfn(ROUND_UP(start, PAGE_SIZE)), maddr_to_mfn(stop),
                       acpi_mem_pxm(start));
        start = stop;
    }
}

void __init arch_boot_memory(void)
{
    uint64_t total;

    cpu_identify_late();
    cpu_policy_init();
    print_memory_map();
    clip_memory(opt_mem);
    total = make_bootmem();
    printk("%lu MB of memory, %u boot modules\n", (unsigned long)(total >> 20),
           boot_info.nr_modules);
    if (total < LEAST_MEMORY)
        boot_fail("too little memory: %lu MB; give the machine at least %lu MB",
                  (unsigned long)(total >> 20), LEAST_MEMORY >> 20);
    if (!boot_info.nr_modules)
        boot_fail("no dom0 kernel: name one as the first module (GRUB: module2 /vmlinuz ...; "
                  "qemu: -initrd \"vmlinuz its command line,initrd\")");

    cpu_init_registers();
    paging_init();
    patch_smap_sites();
    paging_protect_image();
    smp_reserve_trampoline();
    apic_init_bsp();
    if (opt_acpi)
        acpi_boot_init(boot_info.rsdp, boot_info.rsdp_size);
    heap_init();
    bootmem_finish(LOW_MEMORY_END, give_to_heap);
    printk(KERN_INFO "Heap: %lu MB\n", (unsigned long)(heap_free_pages() >> (20 - PAGE_SHIFT)));
}

void __init arch_boot_platform(void)
{
    smp_init_vectors();
    irq_init();
    apic_init_cpu();
    time_init();
    serial_init_irq();
    pv_cpu_init(0);
}

void __init arch_boot_cpus(void)
{
    mm_share_special_frames();
    smp_start_all();
    time_check_sync();
}

void __init arch_boot_dom0(void)
{
    const struct boot_module *kernel = &boot_info.modules[0];
    const struct boot_module *initrd = boot_info.nr_modules > 1 ? &boot_info.modules[1] : NULL;
    const char *err = NULL;

    if (initrd)
        err = initrd_check((char *)DIRECTMAP_VIRT + initrd->start, initrd->size);
    if (err)
        boot_fail("dom0's initrd (the second module) %s", err);
    dom0_construct(kernel, initrd, kernel->cmdline);
    /* It has copies: the modules' whole pages are free memory now. */
    for (unsigned i = 0; i < boot_info.nr_modules; i++) {
        const struct boot_module *m = &boot_info.modules[i];

        give_to_heap(max(ROUND_UP(m->start, PAGE_SIZE), (maddr_t)LOW_MEMORY_END),
                     ROUND_DOWN(m->start + m->size, PAGE_SIZE));
    }
}

void arch_boot_done(void)
{
    vga_release();
}
