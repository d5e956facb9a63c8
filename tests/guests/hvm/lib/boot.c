// SPDX-License-Identifier: MIT
/* The beginning of a PVH kernel in C, its memory, and what it asks of the hypervisor for itself. */
#include "guest.h"
#include <xen/arch-x86/hvm/start_info.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>

#define HEAP_PAGES 1024

extern u64 boot_l4[512];
u8 hypercall_page[4096] __aligned(4096);
static u8 shared_page[4096] __aligned(4096); /* its frame is replaced by shared_info's */
static u8 heap[HEAP_PAGES][4096] __aligned(4096);
static void *free_list;
static unsigned heap_next;

void *page_alloc(void)
{
    void *page = free_list;

    if (page)
        free_list = *(void **)page;
    else if (heap_next < HEAP_PAGES)
        page = heap[heap_next++];
    else
        die("out of pages");
    memset(page, 0, 4096);
    return page;
}

void page_free(void *page)
{
    *(void **)page = free_list;
    free_list = page;
}

u64 pfn_of(const void *va)
{
    return (u64)va >> 12;
}

/* The frames of a grant or of an event queue are named by the guest's own numbers. */
u64 mfn_of(const void *va)
{
    return pfn_of(va);
}

void *va_of_mfn(u64 gfn)
{
    return phys(gfn);
}

void *phys(u64 gfn)
{
    return (void *)(gfn << 12);
}

static u64 *table_below(u64 *e)
{
    if (!(*e & PTE_P))
        *e = (u64)page_alloc() | PTE_TAB;
    return (u64 *)(*e & PTE_MFN);
}

u64 *entry_at(u64 va, unsigned level)
{
    u64 *t = boot_l4;

    for (unsigned l = 4; l > level; l--)
        t = table_below(&t[va >> (12 + 9 * (l - 1)) & 511]);
    return &t[va >> (12 + 9 * (level - 1)) & 511];
}

void map_at(u64 va, u64 pte)
{
    *entry_at(va, 1) = pte;
    invlpg((void *)va);
}

long add_to_physmap(unsigned space, u64 idx, u64 gfn)
{
    struct xen_add_to_physmap a = {.domid = DOMID_SELF, .space = space, .idx = idx, .gpfn = gfn};

    return HC2(memory_op, XENMEM_add_to_physmap, &a);
}

static long reservation(unsigned op, u64 gfn)
{
    xen_pfn_t frame = gfn;
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};

    set_xen_guest_handle(r.extent_start, &frame);
    return HC2(memory_op, op, &r);
}

long decrease(u64 gfn)
{
    return reservation(XENMEM_decrease_reservation, gfn);
}

long populate(u64 gfn)
{
    return reservation(XENMEM_populate_physmap, gfn);
}

long hvm_param(unsigned index, u64 *val)
{
    struct xen_hvm_param p = {.domid = DOMID_SELF, .index = index};
    long rc = HC2(hvm_op, HVMOP_get_param, &p);

    *val = p.value;
    return rc;
}

/* Before there is a console nothing can be said. */
static void find_console(const struct hvm_start_info *si)
{
    u64 gfn, port;
    const char *words = (const char *)si->cmdline_paddr;

    for (unsigned i = 0; words && words[i] && i < sizeof(boot_info.cmd_line) - 1; i++)
        boot_info.cmd_line[i] = words[i];
    if (hvm_param(HVM_PARAM_CONSOLE_PFN, &gfn) || hvm_param(HVM_PARAM_CONSOLE_EVTCHN, &port))
        return;
    boot_info.console.domU.mfn = gfn;
    boot_info.console.domU.evtchn = port;
}

static void upcalls(void)
{
    struct xen_hvm_evtchn_upcall_vector u = {.vector = VEC_UPCALL};

    if (HC2(hvm_op, HVMOP_set_evtchn_upcall_vector, &u))
        die("no upcall vector");
}

void guest_main(const struct hvm_start_info *si);

void guest_main(const struct hvm_start_info *si)
{
    u32 leaf[4];

    for (unsigned i = 0; i < MAX_CPUS; i++)
        cpus[i].id = i;
    traps_init();
    cpuid(0x40000002, 0, leaf);
    wrmsr(leaf[1], (u64)hypercall_page);
    if (add_to_physmap(XENMAPSPACE_shared_info, 0, pfn_of(shared_page)))
        shutdown(SHUTDOWN_crash);
    shared_info = (shared_info_t *)shared_page;
    memset((void *)shared_info->evtchn_mask, 0xff, sizeof(shared_info->evtchn_mask));
    find_console(si);
    console_init();
    apic_init();
    upcalls();
    irq_on();
    run_tests((char *)boot_info.cmd_line);
}
