// SPDX-License-Identifier: MIT
/*
 * Builds dom0: a PV domain out of the kernel and initrd that the boot loader brought, in the state
 * that xen.h describes at struct start_info.
 *
 * Its frames are allocated first, into a list by pfn.  From the bottom of that numbering:
 *
 *   kernel image | start info | page tables | boot stack | padding      mapped at VIRT_BASE
 *   initrd                                                              by pfn only
 *   list of frames (p2m) and the tables that map it at INIT_P2M         (or with the above)
 *   all the rest
 *
 * The page tables are written as plain memory, with read-only entries for themselves, and then
 * validated and pinned like any guest's: nothing here goes around the rules.
 */
#include "arch/api/arch_domain.h"
#include "arch/api/arch_irq.h"
#include "arch/x86/acpi/acpi.h"
#include "arch/x86/mm/mm.h"
#include "asm/layout.h"
#include "asm/page.h"
#include "boot/cmdline.h"
#include "boot/decompress.h"
#include "boot/main.h"
#include "arch/x86/boot/bootinfo.h"
#include "asm/cpufeature.h"
#include "asm/regs.h"
#include "dom0_size.h"
#include "kernel/console.h"
#include "kernel/panic.h"
#include "kernel/serial.h"
#include "lib/elf.h"
#include "lib/errno.h"
#include "lib/rangeset.h"
#include "pv.h"
#include <xen/domctl.h>

#define PT_FLAGS    (PTE_PRESENT | PTE_RW | PTE_USER | PTE_ACCESSED | PTE_DIRTY)
#define BOOT_ALIGN  (4UL << 20)
#define BOOT_MARGIN (512UL << 10)

struct builder {
    struct domain *d;
    struct xen_notes notes;
    struct elf_image elf;
    void *image; /* of the kernel, in ELF */
    unsigned image_order;
    const struct boot_module *initrd;
    uint32_t *frames; /* by pfn */
    unsigned frames_order;
    unsigned long nr_pages;
    /* pfns */
    unsigned long kernel_end, start_info, pt_base, nr_pt, stack, boot_end;
    unsigned long initrd_pfn, p2m_pfn, p2m_tables, nr_p2m_tables, next_pfn;
};

static unsigned __init order_for(uint64_t bytes)
{
    unsigned order = 0;

    while ((PAGE_SIZE << order) < bytes)
        order++;
    return order;
}

static void *__init pfn_virt(const struct builder *b, unsigned long pfn)
{
    return mfn_to_virt(_mfn(b->frames[pfn]));
}

static unsigned long __init pfn_va(const struct builder *b, unsigned long pfn)
{
    return b->notes.virt_base + (pfn << PAGE_SHIFT);
}

/* --- the kernel file --- */

/* A bzImage's payload (boot protocol 2.08 and later); anything else is taken as it is. */
static const void *__init payload(const uint8_t *file, size_t *size)
{
    uint32_t off, len;
    uint16_t version;
    unsigned sectors;

    if (*size < 0x250 || memcmp(file + 0x202, "HdrS", 4))
        return file;
    memcpy(&version, file + 0x206, 2);
    if (version < 0x208)
        boot_fail("dom0 kernel: boot protocol %x.%02x is too old; use Linux 2.6.26 or later",
                  version >> 8, version & 0xff);
    memcpy(&off, file + 0x248, 4);
    memcpy(&len, file + 0x24c, 4);
    sectors = file[0x1f1] ? file[0x1f1] : 4;
    if ((uint64_t)(sectors + 1) * 512 + off + len > *size)
        boot_fail("dom0 kernel is truncated: its payload ends beyond the file; copy it again");
    *size = len;
    return file + (sectors + 1) * 512 + off;
}

static void __init load_kernel_file(struct builder *b, const struct boot_module *kernel)
{
    const uint8_t *file = mfn_to_virt(maddr_to_mfn(kernel->start));
    size_t size = kernel->size, out = 0;
    const char *err;

    file = payload(file, &size);
    if (size >= 4 && memcmp(file, "\177ELF", 4)) {
        uint32_t unpacked;
        struct page_info *pg;
        int ret;

        if (!decompress_format(file, size))
            boot_fail("the first module is not a dom0 kernel: neither a bzImage nor an ELF file");
        unpacked = decompressed_size(file, size);
        b->image_order = order_for(unpacked);
        pg = unpacked && b->image_order <= HEAP_MAX_ORDER
                 ? heap_alloc(b->image_order, MEMF_NO_SCRUB)
                 : NULL;
        if (!pg)
            boot_fail("dom0 kernel: no memory to unpack it (%u MB needed): give the machine more",
                      unpacked >> 20);
        b->image = page_to_virt(pg);
        ret = decompress(file, size, b->image, PAGE_SIZE << b->image_order, &out);
        if (ret == -EOPNOTSUPP)
            boot_fail("dom0 kernel is packed with %s, which this build of Hospes leaves out",
                      decompress_format(file, size));
        if (ret)
            boot_fail("dom0 kernel is corrupt: its %s payload cannot be unpacked; copy it again",
                      decompress_format(file, size));
        file = b->image;
        size = out;
    }
    err = elf_parse(file, size, &b->elf);
    if (!err)
        err = elf_xen_notes(file, size, &b->notes);
    if (err)
        boot_fail("dom0 kernel cannot be started: %s", err);
    if (!b->notes.has_paddr_offset)
        b->notes.paddr_offset = 0;
}

/* --- layout and memory --- */

/* Tables of one level for the 4 KB pages of [va, end). */
static unsigned long __init tables_for(unsigned long va, unsigned long end, unsigned shift)
{
    return ((end - 1) >> shift) - (va >> shift) + 1;
}

static void __init plan(struct builder *b)
{
    unsigned long base = b->notes.virt_base, end, p2m_pages, next;

    if (!is_canonical(base) || b->elf.low < b->notes.paddr_offset)
        boot_fail("dom0 kernel cannot be started: its notes and its segments do not agree");
    b->kernel_end = DIV_ROUND_UP(b->elf.high - b->notes.paddr_offset, PAGE_SIZE);
    p2m_pages = DIV_ROUND_UP(b->nr_pages * 8, PAGE_SIZE);
    b->start_info = b->kernel_end + (b->notes.has_init_p2m ? 0 : p2m_pages);
    b->pt_base = b->start_info + 1;
    b->nr_pt = 0;
    for (;;) {
        unsigned long nr;

        b->stack = b->pt_base + b->nr_pt;
        b->boot_end =
            ROUND_UP(((b->stack + 1) << PAGE_SHIFT) + BOOT_MARGIN, BOOT_ALIGN) >> PAGE_SHIFT;
        end = base + (b->boot_end << PAGE_SHIFT);
        nr = 1 + tables_for(base, end, L4_SHIFT) + tables_for(base, end, L3_SHIFT) +
             tables_for(base, end, L2_SHIFT);
        if (nr == b->nr_pt)
            break;
        b->nr_pt = nr;
    }
    next = b->boot_end;
    if (b->initrd) {
        b->initrd_pfn = next;
        next += DIV_ROUND_UP(b->initrd->size, PAGE_SIZE);
    }
    if (b->notes.has_init_p2m) {
        unsigned long va = b->notes.init_p2m, p2m_end = va + (p2m_pages << PAGE_SHIFT);

        b->p2m_pfn = next;
        b->p2m_tables = next + p2m_pages;
        b->nr_p2m_tables = tables_for(va, p2m_end, L4_SHIFT) + tables_for(va, p2m_end, L3_SHIFT) +
                           tables_for(va, p2m_end, L2_SHIFT);
        next = b->p2m_tables + b->nr_p2m_tables;
    } else
        b->p2m_pfn = b->kernel_end;
    if (next > b->nr_pages)
        boot_fail(
            "too little memory for dom0: kernel and initrd need %lu MB, dom0_mem gives %lu MB",
            next >> (20 - PAGE_SHIFT), b->nr_pages >> (20 - PAGE_SHIFT));
    b->next_pfn = next;
}

static void __init allocate(struct builder *b)
{
    struct page_info *pg;
    unsigned order = HEAP_MAX_ORDER;
    unsigned long pfn = 0;

    b->frames_order = order_for(b->nr_pages * sizeof(*b->frames));
    pg = heap_alloc(b->frames_order, MEMF_NO_SCRUB);
    if (!pg)
        boot_fail("too little memory for dom0");
    b->frames = page_to_virt(pg);
    b->d->mem.max_pages = b->nr_pages;
    while (pfn < b->nr_pages) {
        while ((1UL << order) > b->nr_pages - pfn)
            order--;
        pg = alloc_domain_pages(b->d, order, MEMF_NO_SCRUB);
        if (!pg) {
            if (!order--)
                boot_fail(
                    "too little memory for dom0: %lu of %lu MB could be allocated; lower dom0_mem",
                    pfn >> (20 - PAGE_SHIFT), b->nr_pages >> (20 - PAGE_SHIFT));
            continue;
        }
        for (unsigned long i = 0; i < 1UL << order; i++, pfn++) {
            mfn_t mfn = page_to_mfn(pg + i);

            b->frames[pfn] = mfn_x(mfn);
            m2p_set(mfn, pfn);
        }
    }
}

/* --- contents --- */

static void __init copy_to_pfns(const struct builder *b, uint64_t addr, const void *src, size_t n)
{
    while (n) {
        size_t off = addr & ~PAGE_MASK, chunk = min(n, PAGE_SIZE - off);

        memcpy((char *)pfn_virt(b, addr >> PAGE_SHIFT) + off, src, chunk);
        addr += chunk;
        src = (const char *)src + chunk;
        n -= chunk;
    }
}

static void __init zero_pfns(const struct builder *b, unsigned long pfn, unsigned long end)
{
    for (; pfn < end; pfn++)
        memset(pfn_virt(b, pfn), 0, PAGE_SIZE);
}

static void __init zero_bytes(const struct builder *b, uint64_t addr, uint64_t end)
{
    while (addr < end) {
        uint64_t n = min(end - addr, PAGE_SIZE - (addr & ~PAGE_MASK));

        memset((char *)pfn_virt(b, addr >> PAGE_SHIFT) + (addr & ~PAGE_MASK), 0, n);
        addr += n;
    }
}

static void __init fill_hypercall_page(const struct builder *b)
{
    unsigned long va = b->notes.hypercall_page;
    unsigned long pfn = (va - b->notes.virt_base) >> PAGE_SHIFT;

    if (va < b->notes.virt_base || pfn >= b->boot_end)
        boot_fail("dom0 kernel cannot be started: its hypercall page lies outside it");
    pv_write_hypercall_page(pfn_virt(b, pfn), false);
}

static void __init load_contents(struct builder *b)
{
    for (unsigned i = 0; i < b->elf.nr_segments; i++) {
        const struct elf_segment *s = &b->elf.segments[i];

        copy_to_pfns(b, s->paddr - b->notes.paddr_offset, s->data, s->file_size);
        zero_bytes(b, s->paddr - b->notes.paddr_offset + s->file_size,
                   s->paddr - b->notes.paddr_offset + s->mem_size);
    }
    /* Frames come as they are: memory that no guest has had yet is not scrubbed for dom0. */
    zero_pfns(b, b->kernel_end, b->boot_end);
    zero_pfns(b, b->p2m_pfn, b->next_pfn);
    if (b->initrd)
        copy_to_pfns(b, b->initrd_pfn << PAGE_SHIFT, mfn_to_virt(maddr_to_mfn(b->initrd->start)),
                     b->initrd->size);
    for (unsigned long pfn = 0; pfn < b->nr_pages; pfn++)
        ((uint64_t *)pfn_virt(b, b->p2m_pfn + pfn / 512))[pfn % 512] = b->frames[pfn];
    if (b->notes.has_hypercall_page)
        fill_hypercall_page(b);
}

/* The table that entry `va` of `table` leads to; made of the next pfn of *spare if there is none.
 */
static pte_t *__init descend(struct builder *b, pte_t *table, unsigned long va, unsigned level,
                             unsigned long *spare)
{
    pte_t *e = &table[pt_index(va, level)];

    if (!*e)
        *e = make_pte(_mfn(b->frames[(*spare)++]), PT_FLAGS);
    return mfn_to_virt(pte_mfn(*e));
}

static void __init map_page(struct builder *b, unsigned long va, unsigned long pfn, bool writable,
                            unsigned long *spare)
{
    pte_t *table = pfn_virt(b, b->pt_base);

    for (unsigned level = 4; level > 1; level--)
        table = descend(b, table, va, level, spare);
    table[pt_index(va, 1)] =
        make_pte(_mfn(b->frames[pfn]), writable ? PT_FLAGS : PT_FLAGS & ~PTE_RW);
}

static void __init build_tables(struct builder *b)
{
    unsigned long spare = b->pt_base + 1, p2m_pages = DIV_ROUND_UP(b->nr_pages * 8, PAGE_SIZE);
    int ret;

    for (unsigned long pfn = 0; pfn < b->boot_end; pfn++)
        map_page(b, pfn_va(b, pfn), pfn, pfn - b->pt_base >= b->nr_pt, &spare);
    BUG_ON(spare != b->pt_base + b->nr_pt);
    if (b->notes.has_init_p2m) {
        spare = b->p2m_tables;
        for (unsigned long i = 0; i < p2m_pages; i++)
            map_page(b, b->notes.init_p2m + (i << PAGE_SHIFT), b->p2m_pfn + i, true, &spare);
        BUG_ON(spare != b->p2m_tables + b->nr_p2m_tables);
    }
    do
        ret = mm_pin(b->d, _mfn(b->frames[b->pt_base]), PGT_l4);
    while (ret == -ERESTART);
    if (ret)
        panic("dom0's first page tables are not accepted: error %d", ret);
}

/* The screen that the boot loader left, if any: struct dom0_vga_console_info behind start_info. */
static uint32_t __init video_info(struct start_info *si)
{
    const struct boot_framebuffer *fb = &boot_info.fb;
    struct dom0_vga_console_info *info = (struct dom0_vga_console_info *)(si + 1);

    if (fb->addr && fb->type == 1) {
        info->video_type = boot_info.efi ? XEN_VGATYPE_EFI_LFB : XEN_VGATYPE_VESA_LFB;
        info->u.vesa_lfb.width = fb->width;
        info->u.vesa_lfb.height = fb->height;
        info->u.vesa_lfb.bytes_per_line = fb->pitch;
        info->u.vesa_lfb.bits_per_pixel = fb->bpp;
        info->u.vesa_lfb.lfb_base = (uint32_t)fb->addr;
        info->u.vesa_lfb.ext_lfb_base = fb->addr >> 32;
        info->u.vesa_lfb.lfb_size = DIV_ROUND_UP(fb->pitch * fb->height, 65536);
        info->u.vesa_lfb.red_pos = fb->red_pos;
        info->u.vesa_lfb.red_size = fb->red_size;
        info->u.vesa_lfb.green_pos = fb->green_pos;
        info->u.vesa_lfb.green_size = fb->green_size;
        info->u.vesa_lfb.blue_pos = fb->blue_pos;
        info->u.vesa_lfb.blue_size = fb->blue_size;
    } else {
        info->video_type = XEN_VGATYPE_TEXT_MODE_3;
        info->u.text_mode_3.rows = 25;
        info->u.text_mode_3.columns = 80;
        info->u.text_mode_3.font_height = 16;
    }
    return sizeof(*info);
}

static void __init fill_start_info(struct builder *b, const char *cmdline)
{
    struct start_info *si = pfn_virt(b, b->start_info);

    strlcpy(si->magic, "xen-3.0-x86_64p", sizeof(si->magic));
    si->nr_pages = b->nr_pages;
    si->shared_info = mfn_to_maddr(page_to_mfn(b->d->shared_info_page));
    si->flags = SIF_PRIVILEGED | SIF_INITDOMAIN;
    si->pt_base = pfn_va(b, b->pt_base);
    si->nr_pt_frames = b->nr_pt;
    si->mfn_list = b->notes.has_init_p2m ? b->notes.init_p2m : pfn_va(b, b->p2m_pfn);
    if (b->notes.has_init_p2m) {
        si->first_p2m_pfn = b->p2m_pfn;
        si->nr_p2m_frames = b->p2m_tables + b->nr_p2m_tables - b->p2m_pfn;
    }
    if (b->initrd) {
        si->mod_len = b->initrd->size;
        if (b->notes.mod_start_pfn) {
            si->mod_start = b->initrd_pfn;
            si->flags |= SIF_MOD_START_PFN;
        } else
            si->mod_start = pfn_va(b, b->initrd_pfn);
    }
    strlcpy((char *)si->cmd_line, cmdline ? cmdline : "", sizeof(si->cmd_line));
    si->console.dom0.info_off = sizeof(*si);
    si->console.dom0.info_size = video_info(si);
}

static void __init start_vcpu(struct builder *b)
{
    struct vcpu *v = b->d->vcpu[0];
    struct cpu_user_regs *regs = &v->arch.regs;
    int ret = mm_set_root(v, _mfn(b->frames[b->pt_base]), false);

    if (ret)
        panic("dom0's root page table is not accepted: error %d", ret);
    regs->rip = b->notes.entry ? b->notes.entry : b->elf.entry;
    regs->rsp = pfn_va(b, b->stack + 1);
    regs->rsi = pfn_va(b, b->start_info);
    regs->cs = FLAT_KERNEL_CS;
    regs->ss = FLAT_KERNEL_SS;
    regs->rflags = EFLAGS_IF | EFLAGS_MBS;
    v->arch.pv.flags = PVF_KERNEL_MODE;
    v->is_initialised = true;
    clear_bit(VPF_down, &v->pause_flags);
}

/* dom0 may use all hardware but what the hypervisor keeps. */
static void __init grant_hardware(struct domain *d)
{
    static const struct {
        uint16_t first, last;
    } ours[] = {{0x20, 0x21}, {0xa0, 0xa1}, {0x40, 0x43}};
    int ret = rangeset_add_range(d->ioports, 0, 0xffff) |
              rangeset_add_range(d->iomem, 0, (1UL << (host_cpu.phys_bits - PAGE_SHIFT)) - 1) |
              rangeset_add_range(d->irqs, 0, arch_nr_pirqs(d) - 1);

    for (unsigned i = 0; i < ARRAY_SIZE(ours); i++)
        ret |= rangeset_remove_range(d->ioports, ours[i].first, ours[i].last);
    ret |= rangeset_remove_range(d->iomem, acpi.lapic_addr >> PAGE_SHIFT,
                                 acpi.lapic_addr >> PAGE_SHIFT);
    for (unsigned i = 0; i < acpi.nr_ioapics; i++)
        ret |= rangeset_remove_range(d->iomem, acpi.ioapic[i].addr >> PAGE_SHIFT,
                                     acpi.ioapic[i].addr >> PAGE_SHIFT);
    for (unsigned i = 0; i < 2; i++)
        if (serial_port_base(i))
            ret |= rangeset_remove_range(d->ioports, serial_port_base(i), serial_port_base(i) + 7);
    if (ret)
        panic("no memory for dom0's permissions");
}

static struct domain *__init create_dom0(void)
{
    struct xen_domctl_createdomain cfg = {
        .max_vcpus = opt_dom0_max_vcpus ? opt_dom0_max_vcpus : cpumask_weight(&cpu_online_map),
        .max_evtchn_port = ~0u,
        .max_grant_frames = -1,
        .max_maptrack_frames = -1,
        .grant_opts = 2,
    };
    int err;
    struct domain *d = domain_create(0, &cfg, true, &err);

    if (!d)
        panic("dom0 cannot be created: error %d", err);
    for (unsigned i = 0; i < cfg.max_vcpus; i++) {
        struct vcpu *v = vcpu_create(d, i);

        if (!v)
            panic("no memory for dom0's vcpu %u", i);
        if (opt_dom0_vcpus_pin) {
            cpumask_t one = {0};

            cpumask_set_cpu(i % nr_cpu_ids, &one);
            (void)vcpu_set_hard_affinity(v, &one); /* a CPU that did not come up: nowhere pinned */
        }
    }
    return d;
}

void __init dom0_construct(const struct boot_module *kernel, const struct boot_module *initrd,
                           const char *cmdline)
{
    static struct builder builder __initdata;
    struct builder *b = &builder;

    b->initrd = initrd;
    load_kernel_file(b, kernel);
    b->d = create_dom0();
    b->nr_pages = dom0_nr_pages();
    plan(b);
    if (initrd && !b->notes.mod_start_pfn)
        boot_fail(
            "dom0 kernel cannot be started: it wants its initrd mapped (no MOD_START_PFN note)");
    allocate(b);
    load_contents(b);
    build_tables(b);
    fill_start_info(b, cmdline);
    start_vcpu(b);
    grant_hardware(b->d);
    printk(KERN_INFO "dom0: %u vcpus, %lu MB; kernel %lu KB, initrd %lu KB, entry %#lx\n",
           b->d->max_vcpus, b->nr_pages >> (20 - PAGE_SHIFT), b->kernel_end << (PAGE_SHIFT - 10),
           initrd ? (unsigned long)initrd->size >> 10 : 0UL,
           (unsigned long)b->d->vcpu[0]->arch.regs.rip);
    heap_free(virt_to_page(b->frames), b->frames_order);
    if (b->image)
        heap_free(virt_to_page(b->image), b->image_order);
    dom0 = b->d;
}
