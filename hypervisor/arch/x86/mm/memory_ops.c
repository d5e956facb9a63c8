// SPDX-License-Identifier: MIT
/*
 * XENMEM of x86: memory maps in the firmware's format, and the machine-to-physical table.  At
 * boot, the frames that are neither heap nor hypervisor find their owners here: what is not RAM is
 * DOMID_IO's, the machine-to-physical table DOMID_XEN's, to be read.
 */
#include "acpi/acpi.h"
#include "arch/api/arch_p2m.h"
#include "asm/e820.h"
#include "asm/layout.h"
#include "asm/page.h"
#include "domain/domain.h"
#include "domain/unit.h"
#include "hypercall/compat.h"
#include "hypercall/handlers.h"
#include "mm/mm.h"

#define M2P_EXTENT (PAGE_SIZE_2M / sizeof(uint64_t)) /* frames that 2 MB of the table describe */

/* --- memory maps --- */

static struct e820_map *alloc_map(unsigned entries)
{
    return xzalloc_bytes(1, offsetof(struct e820_map, map) + entries * sizeof(struct e820_entry));
}

static void free_map(struct domain *d)
{
    xfree(d->arch.e820);
    d->arch.e820 = NULL;
}
DEFINE_UNIT(memory_map, .name = "memory map", .level = UNIT_MEM + 1, .domain_free = free_map);

/* As many entries of map as there is room for; their number goes to arg. */
static long copy_map(struct xen_memory_map *arg, const struct e820_map *map)
{
    arg->nr_entries = min(arg->nr_entries, map->nr);
    return copy_to_guest(handle_addr(arg->buffer), map->map, arg->nr_entries * sizeof(map->map[0]));
}

long memory_memory_map(struct call *c, struct xen_memory_map *arg)
{
    struct e820_map *copy = alloc_map(E820_MAX);
    struct domain *d = c->d;
    long ret = -ENOSYS;

    if (!copy)
        return -ENOMEM;
    spin_lock(&d->lock); /* against set_memory_map */
    if (d->arch.e820) {
        copy->nr = d->arch.e820->nr;
        memcpy(copy->map, d->arch.e820->map, copy->nr * sizeof(copy->map[0]));
        ret = 0;
    }
    spin_unlock(&d->lock);
    if (!ret)
        ret = copy_map(arg, copy);
    xfree(copy);
    return ret;
}

long memory_set_memory_map(struct call *c, struct xen_foreign_memory_map *arg)
{
    unsigned nr = arg->map.nr_entries;
    struct e820_map *map, *old;
    struct domain *d = c->d;

    if (nr > E820_MAX)
        return -EINVAL;
    map = alloc_map(nr);
    if (!map)
        return -ENOMEM;
    map->nr = nr;
    if (copy_from_guest(map->map, handle_addr(arg->map.buffer), nr * sizeof(map->map[0]))) {
        xfree(map);
        return -EFAULT;
    }
    spin_lock(&d->lock);
    old = d->arch.e820;
    d->arch.e820 = map;
    spin_unlock(&d->lock);
    xfree(old);
    return 0;
}

static void add_reserved(struct e820_map *map, uint64_t addr, uint64_t size)
{
    if (map->nr < E820_MAX)
        map->map[map->nr++] = (struct e820_entry){addr, size, E820_RESERVED};
}

/* The host's map, and the interrupt controllers that the hypervisor keeps for itself. */
long memory_machine_memory_map(struct call *c, struct xen_memory_map *arg)
{
    struct e820_map *map = alloc_map(E820_MAX);
    long ret = 0;

    (void)c;
    if (!map)
        return -ENOMEM;
    memcpy(map, &e820_host, sizeof(*map));
    for (unsigned i = 0; i < acpi.nr_ioapics; i++)
        add_reserved(map, acpi.ioapic[i].addr & PAGE_MASK, PAGE_SIZE);
    add_reserved(map, 0xfee00000, 0x100000); /* local APICs, and the target of MSIs */
    e820_sanitise(map);
    if (!handle_addr(arg->buffer))
        arg->nr_entries = map->nr;
    else
        ret = copy_map(arg, map);
    xfree(map);
    return ret;
}

/* --- the machine-to-physical table: PV guests' --- */

/* First frame of the i-th 2 MB of the table; false: there is no RAM that it would describe. */
static bool m2p_extent_frame(uint64_t i, mfn_t *mfn)
{
    unsigned long va = M2P_RO_VIRT + i * PAGE_SIZE_2M;
    const pte_t *table = idle_pg_table;

    if (i * M2P_EXTENT >= max_page)
        return false;
    for (unsigned level = 4; level > 2; level--) {
        pte_t pte = table[pt_index(va, level)];

        if (!(pte & PTE_PRESENT) || (pte & PTE_PSE))
            return false;
        table = mfn_to_virt(pte_mfn(pte));
    }
    if (!(table[pt_index(va, 2)] & PTE_PSE))
        return false;
    *mfn = maddr_to_mfn(table[pt_index(va, 2)] & PTE_ADDR & ~(PAGE_SIZE_2M - 1));
    return true;
}

/* The same of the table that 32-bit guests see. */
long memory_machphys_compat_mfn_list(struct call *c, struct xen_machphys_mfn_list *arg)
{
    uint64_t i;

    (void)c;
    for (i = 0; i < arg->max_extents && i < M2P32_ENTRIES && mm_m2p32_entries[i]; i++) {
        xen_pfn_t frame = mfn_x(pte_mfn(mm_m2p32_entries[i] & ~PTE_PAT_LARGE));

        if (copy_elem_to_guest(arg->extent_start, i, &frame))
            return -EFAULT;
    }
    arg->nr_extents = i;
    return 0;
}

long memory_machphys_mfn_list(struct call *c, struct xen_machphys_mfn_list *arg)
{
    uint64_t i;

    if (is_32bit(c->v->domain))
        return memory_machphys_compat_mfn_list(c, arg);
    for (i = 0; i < arg->max_extents && i * M2P_EXTENT < max_page; i++) {
        mfn_t mfn;
        xen_pfn_t frame = m2p_extent_frame(i, &mfn) ? mfn_x(mfn) : 0; /* 0: a hole */

        if (copy_elem_to_guest(arg->extent_start, i, &frame))
            return -EFAULT;
    }
    arg->nr_extents = i;
    return 0;
}

/* The whole range that the ABI sets aside: a guest that is moved to a larger host may not find
 * out anew.  Reading where there is no table faults, which guests are ready for. */
long memory_machphys_mapping(struct call *c, struct xen_machphys_mapping *arg)
{
    if (is_32bit(c->v->domain)) {
        arg->v_start = M2P32_RO_VIRT;
        arg->v_end = M2P32_RO_VIRT + M2P32_ENTRIES * PAGE_SIZE_2M;
        arg->max_mfn = M2P32_MAX_FRAMES - 1;
        return 0;
    }
    arg->v_start = MACH2PHYS_VIRT_START;
    arg->v_end = MACH2PHYS_VIRT_END;
    arg->max_mfn = MACH2PHYS_NR_ENTRIES - 1;
    return 0;
}

long memory_maximum_gpfn(struct call *c, struct xen_memory_domain *arg)
{
    const struct shared_info *s = c->d->shared_info;
    uint64_t max_pfn = 0; /* what the guest says */

    (void)arg;
    if (is_translated(c->d))
        return p2m_max_gfn(c->d);
    if (s && is_32bit(c->d))
        max_pfn = READ_ONCE(*(uint32_t *)((char *)s + COMPAT_OFFSET_shared_info_arch_max_pfn));
    else if (s)
        max_pfn = READ_ONCE(s->arch.max_pfn);
    return max_pfn ? (long)min(max_pfn - 1, (uint64_t)INT64_MAX) : 0;
}

/* --- boot --- */

#define LOW_MB_FRAMES 256

void __init mm_share_special_frames(void)
{
    uint64_t next = LOW_MB_FRAMES;
    mfn_t mfn;

    share_io_frames(_mfn(0), _mfn(LOW_MB_FRAMES));
    /* e820_host is sorted. */
    for (unsigned i = 0; i < e820_host.nr; i++) {
        const struct e820_entry *e = &e820_host.map[i];

        if (e->type != E820_RAM)
            continue;
        /*
         * The first megabyte is the firmware's in part, and never in the heap: all of it counts as
         * I/O.  Elsewhere frames that are RAM in part are nobody's.
         */
        share_io_frames(_mfn(next), _mfn(e->addr >> PAGE_SHIFT));
        next = max(next, (e->addr + e->size + PAGE_SIZE - 1) >> PAGE_SHIFT);
    }
    share_io_frames(_mfn(next), _mfn(max_page));
    for (uint64_t i = 0; i * M2P_EXTENT < max_page; i++)
        for (unsigned j = 0; m2p_extent_frame(i, &mfn) && j < PAGE_SIZE_2M / PAGE_SIZE; j++)
            share_hyp_page(mfn_to_page(mfn_add(mfn, j)), domid_xen_d, false);
    for (unsigned i = 0; i < M2P32_ENTRIES && mm_m2p32_entries[i]; i++) {
        mfn = pte_mfn(mm_m2p32_entries[i] & ~PTE_PAT_LARGE);
        for (unsigned j = 0; j < PAGE_SIZE_2M / PAGE_SIZE; j++)
            share_hyp_page(mfn_to_page(mfn_add(mfn, j)), domid_xen_d, false);
    }
}
