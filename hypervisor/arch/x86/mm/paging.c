// SPDX-License-Identifier: MIT
/*
 * The hypervisor's own page tables (asm/layout.h says what lies where).
 *
 * idle_pg_table is the root that every other root copies slots 256 to 271 from; so these entries
 * are all made here at boot and never change, and what is mapped later goes into the tables below
 * slot 261 (hyp_l3), which all roots share.  Large pages are used wherever size and alignment
 * allow; a large page is never split.
 *
 * paging_lock guards the tables below slot 261 and the bitmap of the ioremap() window.  Mappings
 * are only removed whole, and by their owner; all CPUs flush before unmap_hyp() returns, so it
 * must not be called with a lock held that others take with interrupts off.
 */
#include "arch/x86/mm/paging.h"
#include "asm/cpufeature.h"
#include "asm/e820.h"
#include "asm/layout.h"
#include "asm/page.h"
#include "asm/regs.h"
#include "boot/bootmem.h"
#include "boot/main.h"
#include "kernel/console.h"
#include "kernel/lock.h"
#include "kernel/panic.h"
#include "lib/bitops.h"
#include "lib/errno.h"
#include "lib/string.h"

extern uint64_t hyp_l3[PTES_PER_TABLE], boot_l2_image[PTES_PER_TABLE];
extern char __image_start[], __image_end[], __text_start[], __text_end[], __rodata_start[],
    __rodata_end[], cpu0_stack[];

#define TABLE_FLAGS (PTE_PRESENT | PTE_RW | PTE_ACCESSED | PTE_DIRTY)
#define RW_FLAGS    (TABLE_FLAGS | PTE_NX)
#define RO_FLAGS    (PTE_PRESENT | PTE_ACCESSED | PTE_DIRTY | PTE_NX)
#define RX_FLAGS    (PTE_PRESENT | PTE_ACCESSED | PTE_DIRTY)

/* The ioremap() window: the upper half of the run-time area. */
#define IOREMAP_VIRT  (VMAP_VIRT + (32UL << 30))
#define IOREMAP_PAGES (2UL << (30 - PAGE_SHIFT))

static spinlock_t paging_lock = SPINLOCK_INIT(LOCK_PAGING);
static unsigned long ioremap_used[BITS_TO_LONGS(IOREMAP_PAGES)];
static uint64_t ap_root[PTES_PER_TABLE] __aligned(4096);

maddr_t image_to_maddr(const void *p)
{
    return (uintptr_t)p - HYP_VIRT;
}

static uint64_t *table_of(pte_t entry)
{
    return mfn_to_virt(pte_mfn(entry));
}

/* A zeroed page for a table, or NULL.  Before the heap: below 4 GB, which is mapped from the start;
 * running out there is final. */
static uint64_t *new_table(void)
{
    void *p;

    if (!bootmem_active)
        return alloc_page_virt();
    maddr_t at = bootmem_alloc(PAGE_SIZE, PAGE_SIZE, 1ULL << 32);

    if (!at)
        boot_fail("not enough memory below 4 GB for page tables: give the machine more");
    p = mfn_to_virt(maddr_to_mfn(at));
    memset(p, 0, PAGE_SIZE);
    return p;
}

/*
 * The entry for va at that level (1 to 3) below a slot's level-3 table, making tables on the way.
 * NULL: no memory, or a large page is in the way.
 */
static pte_t *walk(uint64_t *l3, unsigned long va, unsigned level, bool make, uint64_t table_flags)
{
    uint64_t *table = l3;

    for (unsigned l = 3; l > level; l--) {
        pte_t *e = &table[pt_index(va, l)];

        if (!(*e & PTE_PRESENT)) {
            uint64_t *below = make ? new_table() : NULL;

            if (!below)
                return NULL;
            *e = make_pte(virt_to_mfn(below), table_flags);
        } else if (*e & PTE_PSE) {
            return NULL;
        }
        table = table_of(*e);
    }
    return &table[pt_index(va, level)];
}

/* In large pages the PAT bit lies elsewhere. */
static uint64_t large_flags(uint64_t flags)
{
    return (flags & ~PTE_PAT) | ((flags & PTE_PAT) ? PTE_PAT_LARGE : 0) | PTE_PSE;
}

/* The largest page (level) that fits at va and addr, of at most size bytes. */
static unsigned fitting_level(unsigned long va, maddr_t addr, uint64_t size, unsigned most)
{
    for (unsigned level = most; level > 1; level--) {
        uint64_t page = 1UL << (L1_SHIFT + 9 * (level - 1));

        if (size >= page && !((va | addr) & (page - 1)))
            return level;
    }
    return 1;
}

static int map_range(uint64_t *l3, unsigned long va, maddr_t addr, uint64_t size, uint64_t flags,
                     uint64_t table_flags)
{
    unsigned most = cpu_has(PAGE1GB) ? 3 : 2;

    while (size) {
        unsigned level = fitting_level(va, addr, size, most);
        uint64_t page = 1UL << (L1_SHIFT + 9 * (level - 1));
        pte_t *e = walk(l3, va, level, true, table_flags);

        if (!e)
            return -ENOMEM;
        if (*e & PTE_PRESENT)
            return -EEXIST;
        WRITE_ONCE(*e, addr | (level > 1 ? large_flags(flags) : flags));
        va += page;
        addr += page;
        size -= page;
    }
    return 0;
}

/* ---- at boot ---- */

static uint64_t *slot_l3(unsigned slot)
{
    if (!(idle_pg_table[slot] & PTE_PRESENT))
        idle_pg_table[slot] = make_pte(virt_to_mfn(new_table()), TABLE_FLAGS);
    return table_of(idle_pg_table[slot]);
}

static uint64_t *direct_l3[HYP_LAST_SLOT - HYP_SLOT];

static void __init direct_map(maddr_t start, maddr_t end, uint64_t flags)
{
    while (start < end) {
        unsigned i = start >> L4_SHIFT;
        maddr_t stop = min(end, (maddr_t)(i + 1) << L4_SHIFT);

        if (i >= ARRAY_SIZE(direct_l3))
            return;
        if (!direct_l3[i])
            direct_l3[i] = new_table();
        if (map_range(direct_l3[i], DIRECTMAP_VIRT + start, start, stop - start, flags,
                      TABLE_FLAGS))
            panic("Cannot map memory at %#lx-%#lx", (unsigned long)start, (unsigned long)stop);
        start = stop;
    }
}

/* Text and constants are read-only here too. */
static void __init direct_map_ram(maddr_t start, maddr_t end)
{
    maddr_t ro_start = image_to_maddr(__image_start), ro_end = image_to_maddr(__rodata_end);

    if (end <= ro_start || start >= ro_end) {
        direct_map(start, end, RW_FLAGS);
        return;
    }
    if (start < ro_start)
        direct_map(start, ro_start, RW_FLAGS);
    direct_map(max(start, ro_start), min(end, ro_end), RO_FLAGS);
    if (end > ro_end)
        direct_map(ro_end, end, RW_FLAGS);
}

/*
 * Replaces the first map of the low 4 GB.  RAM only, ACPI's tables, and the first megabyte (the
 * BIOS and its data; caching of the video memory there is ruled by the MTRRs): device memory must
 * not be mapped cacheable, and firmware does not always list it.
 */
static void __init make_direct_map(void)
{
    maddr_t done = 1 << 20;

    direct_map(0, done, RW_FLAGS);
    for (unsigned i = 0; i < e820_host.nr; i++) {
        const struct e820_entry *e = &e820_host.map[i];
        maddr_t start = max((maddr_t)e->addr, done), end = e->addr + e->size;

        if (e->type != E820_RAM && e->type != E820_ACPI && e->type != E820_NVS)
            continue;
        /* A page shared by two ranges is mapped with the first. */
        start = max(ROUND_DOWN(start, PAGE_SIZE), done);
        end = ROUND_UP(end, PAGE_SIZE);
        if (start < end) {
            direct_map_ram(start, end);
            done = end;
        }
    }
    for (unsigned i = 0; i < ARRAY_SIZE(direct_l3); i++)
        if (direct_l3[i])
            idle_pg_table[HYP_SLOT + 1 + i] = make_pte(virt_to_mfn(direct_l3[i]), TABLE_FLAGS);
    write_cr3(image_to_maddr(idle_pg_table));
}

/* An array over all frames, in 2 MB pages, filled with a byte. */
static void __init map_array(const char *what, unsigned long va, uint64_t size, int fill)
{
    for (uint64_t off = 0; off < size; off += PAGE_SIZE_2M) {
        maddr_t at = bootmem_alloc(PAGE_SIZE_2M, PAGE_SIZE_2M, 0);

        if (!at)
            boot_fail("not enough memory for the %s: give the machine more", what);
        if (map_range(hyp_l3, va + off, at, PAGE_SIZE_2M, RW_FLAGS, TABLE_FLAGS))
            panic("Cannot map the %s", what);
        memset((void *)(va + off), fill, PAGE_SIZE_2M);
    }
}

/* The same frames again, for guests to read. */
static void __init map_m2p_for_guests(uint64_t size)
{
    uint64_t *l3 = slot_l3(M2P_SLOT);
    uint64_t table_flags = TABLE_FLAGS | PTE_USER;

    idle_pg_table[M2P_SLOT] |= PTE_USER;
    for (uint64_t off = 0; off < size; off += PAGE_SIZE_2M) {
        pte_t *rw = walk(hyp_l3, M2P_RW_VIRT + off, 2, false, 0);

        if (map_range(l3, M2P_RO_VIRT + off, *rw & PTE_ADDR, PAGE_SIZE_2M, RO_FLAGS | PTE_USER,
                      table_flags))
            panic("Cannot map the machine-to-physical table");
    }
}

/* And in the form of 32-bit guests (mm/m2p.c), whose L2 tables get these entries. */
static void __init make_m2p32(uint64_t frames)
{
    uint64_t size = frames * sizeof(uint32_t);

    map_array("32-bit machine-to-physical table", M2P32_RW_VIRT, size, 0xff);
    for (uint64_t off = 0; off < size; off += PAGE_SIZE_2M) {
        pte_t *rw = walk(hyp_l3, M2P32_RW_VIRT + off, 2, false, 0);

        mm_m2p32_entries[off / PAGE_SIZE_2M] = (*rw & PTE_ADDR) | RO_FLAGS | PTE_USER | PTE_PSE;
    }
    mm_m2p32_ready(frames);
}

void __init paging_init(void)
{
    maddr_t top = 0, limit = 1ULL << host_cpu.phys_bits;

    for (unsigned i = 0; i < e820_host.nr; i++)
        if (e820_host.map[i].type == E820_RAM)
            top = max(top, (maddr_t)(e820_host.map[i].addr + e820_host.map[i].size));
    limit = min(limit, (maddr_t)(DIRECTMAP_VIRT_END - DIRECTMAP_VIRT));
    if (top > limit) {
        printk(KERN_WARN "Memory above %#lx is not used\n", (unsigned long)limit);
        top = limit;
    }
    max_page = top >> PAGE_SHIFT;

    make_direct_map();
    map_array("frame table", FRAMETABLE_VIRT, max_page * sizeof(struct page_info), 0);
    map_array("machine-to-physical table", M2P_RW_VIRT, max_page * sizeof(uint64_t), 0xff);
    map_m2p_for_guests(max_page * sizeof(uint64_t));
    make_m2p32(min(max_page, (uint64_t)M2P32_MAX_FRAMES));
}

void __init paging_protect_image(void)
{
    unsigned long va = (unsigned long)__image_start & ~(PAGE_SIZE_2M - 1);

    for (; va < (unsigned long)__image_end; va += PAGE_SIZE_2M) {
        uint64_t *l1 = new_table();

        for (unsigned i = 0; i < PTES_PER_TABLE; i++) {
            const char *p = (const char *)va + i * PAGE_SIZE;
            maddr_t addr = image_to_maddr(p);

            if (p < __image_start || p >= __image_end ||
                p == cpu0_stack + STACK_GUARD_PAGE * PAGE_SIZE)
                continue;
            if (p >= __text_start && p < __text_end)
                l1[i] = addr | RX_FLAGS;
            else if (p >= __rodata_start && p < __rodata_end)
                l1[i] = addr | RO_FLAGS;
            else
                l1[i] = addr | RW_FLAGS;
        }
        boot_l2_image[pt_index(va, 2)] = make_pte(virt_to_mfn(l1), TABLE_FLAGS);
    }
    for (unsigned i = 0; i < PTES_PER_TABLE; i++)
        if (boot_l2_image[i] & PTE_PSE)
            boot_l2_image[i] = 0;
    idle_pg_table[0] = 0;
    flush_tlb_local();
}

maddr_t paging_ap_root(void)
{
    static uint64_t l3[PTES_PER_TABLE] __aligned(4096);

    if (!ap_root[0]) {
        for (unsigned i = 0; i < 4; i++) {
            uint64_t *l2 = new_table();

            if (!l2)
                return 0;
            for (unsigned j = 0; j < PTES_PER_TABLE; j++)
                l2[j] = ((uint64_t)i << L3_SHIFT) + j * PAGE_SIZE_2M + (TABLE_FLAGS | PTE_PSE);
            l3[i] = make_pte(virt_to_mfn(l2), TABLE_FLAGS);
        }
        memcpy(ap_root, idle_pg_table, sizeof(ap_root));
        ap_root[0] = image_to_maddr(l3) | TABLE_FLAGS;
    }
    return image_to_maddr(ap_root);
}

/* ---- at run time ---- */

static uint64_t prot_flags(enum hyp_prot prot)
{
    switch (prot) {
    case HYP_RO:
        return RO_FLAGS;
    case HYP_RX:
        return RX_FLAGS;
    case HYP_UC:
        return RW_FLAGS | PTE_PCD | PTE_PWT;
    case HYP_WC:
        return RW_FLAGS | PTE_PAT;
    default:
        return RW_FLAGS;
    }
}

int map_hyp(unsigned long va, mfn_t mfn, unsigned long nr, enum hyp_prot prot)
{
    unsigned long flags;
    int err;

    ASSERT(pt_index(va, 4) == HYP_SLOT);
    spin_lock_irqsave(&paging_lock, flags);
    err = map_range(hyp_l3, va, mfn_to_maddr(mfn), nr << PAGE_SHIFT, prot_flags(prot), TABLE_FLAGS);
    spin_unlock_irqrestore(&paging_lock, flags);
    if (err == -ENOMEM)
        unmap_hyp(va, nr);
    return err;
}

/* Clears the entry at va, if any; how many bytes it covered (or would have). */
static uint64_t unmap_one(unsigned long va)
{
    for (unsigned level = 3; level >= 1; level--) {
        pte_t *e = walk(hyp_l3, va, level, false, 0);

        if (!e)
            break;
        if ((*e & PTE_PRESENT) && (level == 1 || (*e & PTE_PSE))) {
            WRITE_ONCE(*e, 0);
            return 1UL << (L1_SHIFT + 9 * (level - 1));
        }
    }
    return PAGE_SIZE;
}

void unmap_hyp(unsigned long va, unsigned long nr)
{
    unsigned long flags, end = va + (nr << PAGE_SHIFT);

    ASSERT(pt_index(va, 4) == HYP_SLOT);
    spin_lock_irqsave(&paging_lock, flags);
    while (va < end)
        va += unmap_one(va);
    spin_unlock_irqrestore(&paging_lock, flags);
    flush_tlb_mask(&cpu_online_map);
}

mfn_t vmap_to_mfn(unsigned long va)
{
    for (unsigned level = 3; level >= 1; level--) {
        pte_t *e = walk(hyp_l3, va, level, false, 0);

        if (!e || !(*e & PTE_PRESENT))
            break;
        if (level == 1 || (*e & PTE_PSE)) {
            uint64_t below = (1UL << (9 * (level - 1))) - 1;

            return _mfn((mfn_x(pte_mfn(*e)) & ~below) | ((va >> PAGE_SHIFT) & below));
        }
    }
    return INVALID_MFN;
}

/* First fit for nr pages whose address is `offset` pages off a 2 MB boundary (or -1: any). */
static unsigned long window_alloc(unsigned long nr, long offset)
{
    unsigned long flags, at = 0, found = 0;

    spin_lock_irqsave(&paging_lock, flags);
    while (at + nr < IOREMAP_PAGES) {
        unsigned long next;

        at = find_next_zero_bit(ioremap_used, IOREMAP_PAGES, at);
        if (offset >= 0)
            at += (offset - at) & (PTES_PER_TABLE - 1);
        /* One page more stays unmapped, to catch overruns. */
        next = find_next_bit(ioremap_used, IOREMAP_PAGES, at);
        if (at + nr + 1 <= next) {
            for (unsigned long i = at; i <= at + nr; i++)
                __set_bit(i, ioremap_used);
            found = IOREMAP_VIRT + (at << PAGE_SHIFT);
            break;
        }
        at = next + 1;
    }
    spin_unlock_irqrestore(&paging_lock, flags);
    return found;
}

unsigned long vmap_alloc(unsigned long nr)
{
    return window_alloc(nr, -1);
}

void vmap_free(unsigned long va, unsigned long nr)
{
    unsigned long flags, first = (va - IOREMAP_VIRT) >> PAGE_SHIFT;

    spin_lock_irqsave(&paging_lock, flags);
    for (unsigned long i = first; i <= first + nr; i++)
        __clear_bit(i, ioremap_used);
    spin_unlock_irqrestore(&paging_lock, flags);
}

static void *remap(maddr_t addr, size_t len, enum hyp_prot prot)
{
    unsigned long offset = addr & (PAGE_SIZE - 1);
    unsigned long nr = DIV_ROUND_UP(offset + len, PAGE_SIZE);
    bool large = nr >= PTES_PER_TABLE;
    unsigned long va =
        window_alloc(nr, large ? (long)((addr >> PAGE_SHIFT) & (PTES_PER_TABLE - 1)) : -1);

    if (!va || map_hyp(va, maddr_to_mfn(addr), nr, prot))
        panic("Cannot map %zu bytes of device memory at %#lx", len, (unsigned long)addr);
    return (void *)(va + offset);
}

void *ioremap(maddr_t addr, size_t len)
{
    return remap(addr, len, HYP_UC);
}

void iounmap(void *va, size_t len)
{
    unsigned long start = (unsigned long)va & PAGE_MASK;
    unsigned long nr = DIV_ROUND_UP(((unsigned long)va & (PAGE_SIZE - 1)) + len, PAGE_SIZE);

    unmap_hyp(start, nr);
    vmap_free(start, nr);
}
