// SPDX-License-Identifier: MIT
/* Page tables and memory, in the largest amounts. */
#include "preempt.h"

u8 area[AREA_SIZE] __aligned(4096);

static unsigned timer_port;

static void arm(void)
{
    HC1(set_timer_op, now() + PERIOD);
}

static bool tick(struct frame *f)
{
    (void)f;
    event_loop();
    arm();
    return true;
}

void ticks_on(void)
{
    if (!timer_port)
        timer_port = bind_virq(VIRQ_TIMER);
    hooks[VEC_EVENT] = tick;
    unmask_port(timer_port);
    arm();
}

void ticks_lost(void)
{
    struct evtchn_close c = {.port = timer_port};

    if (timer_port)
        evtchn(EVTCHNOP_close, &c);
    timer_port = 0;
}

void ticks_off(void)
{
    if (!timer_port)
        return;
    mask_port(timer_port);
    HC1(set_timer_op, 0);
    clear_port(timer_port);
    hooks[VEC_EVENT] = NULL;
}

u64 spare_pfn(unsigned count)
{
    static u64 taken;

    taken += count;
    REQUIRE(boot_info.nr_pages > taken + 8192);
    return boot_info.nr_pages - taken;
}

#define NR_UPDATES (AREA_SIZE / sizeof(struct mmu_update))

TEST(mmu_update_batch)
{
    struct mmu_update *u = (struct mmu_update *)area;
    void *page = page_alloc();
    u64 ptr = maddr_of(entry_of((u64)page, 1));
    unsigned done;

    for (unsigned i = 0; i < NR_UPDATES; i++) {
        u[i].ptr = ptr;
        u[i].val = mfn_of(page) << 12 | (i & 1 ? PTE_RW_ : PTE_RO_);
    }
    WORK(1, "mmu_update: 131072 elements", HC4(mmu_update, u, NR_UPDATES, &done, DOMID_SELF), 0);
    for (unsigned i = 0; i < NR_UPDATES; i++) {
        u[i].ptr = mfn_of(page) << 12 | MMU_MACHPHYS_UPDATE;
        u[i].val = pfn_of(page);
    }
    WORK(2, "mmu_update: 131072 of the machine-to-physical table",
         HC4(mmu_update, u, NR_UPDATES, &done, DOMID_SELF), 0);
    set_rw(page);
    page_free(page);
}

#define NR_EXT (AREA_SIZE / sizeof(struct mmuext_op))

static void mmuext_batch(unsigned row, const char *name, unsigned cmd, u64 arg1, u64 arg2)
{
    struct mmuext_op *op = (struct mmuext_op *)area;

    for (unsigned i = 0; i < NR_EXT; i++) {
        op[i].cmd = cmd;
        op[i].arg1.mfn = arg1;
        op[i].arg2.src_mfn = arg2;
    }
    switch (row) { /* marks are constants */
#define ROW(n)                                                                                     \
    case n:                                                                                        \
        WORK(n, name, HC4(mmuext_op, op, NR_EXT, 0, DOMID_SELF), 0);                               \
        break
        ROW(3);
        ROW(4);
        ROW(5);
        ROW(6);
#undef ROW
    }
}

TEST(mmuext_batch)
{
    u8 *a = hole_page(), *b = page_alloc();

    mmuext_batch(3, "mmuext_op: 87381 INVLPG_ALL", MMUEXT_INVLPG_ALL, (u64)a, 0);
    mmuext_batch(4, "mmuext_op: 87381 TLB_FLUSH_ALL", MMUEXT_TLB_FLUSH_ALL, 0, 0);
    mmuext_batch(5, "mmuext_op: 87381 CLEAR_PAGE", MMUEXT_CLEAR_PAGE, mfn_of(a), 0);
    mmuext_batch(6, "mmuext_op: 87381 COPY_PAGE", MMUEXT_COPY_PAGE, mfn_of(a), mfn_of(b));
    set_rw(a);
    page_free(a);
    page_free(b);
}

/* A table with an entry in each of n places; then read-only. */
static u64 *table_of(u64 *page, unsigned from, unsigned n, u64 entry, u64 step)
{
    for (unsigned i = from; i < from + n; i++, entry += step)
        page[i] = entry;
    set_ro(page);
    return page;
}

#define WIDE 512
static u64 *l1[WIDE], *l2, *l3, *l4;

static void build_wide(void)
{
    u64 *data = page_alloc();

    l2 = page_alloc();
    for (unsigned i = 0; i < WIDE; i++) {
        l1[i] = table_of(page_alloc(), 0, 512, mfn_of(data) << 12 | PTE_RW_, 0);
        l2[i] = mfn_of(l1[i]) << 12 | PTE_TAB;
    }
    set_ro(l2);
    l3 = table_of(page_alloc(), 0, 512, mfn_of(l2) << 12 | PTE_TAB, 0);
    l4 = table_of(page_alloc(), 0, 256, mfn_of(l3) << 12 | PTE_TAB, 0);
}

/* 512 L1 tables, full; the L2 is in 512 places of the L3, that one in 256 of the root. */
static void pin_wide(void)
{
    u64 *entry = (u64 *)boot_info.pt_base + 200;

    WORK(7, "mmuext_op: pin a tree of 512 full L1", mmuext(MMUEXT_PIN_L4_TABLE, mfn_of(l4)), 0);
    WORK(8, "mmuext_op: unpin it", mmuext(MMUEXT_UNPIN_TABLE, mfn_of(l4)), 0);

    WORK(9, "mmu_update: hook an L3 over 512 full L1",
         mmu_update_one(maddr_of(entry), mfn_of(l3) << 12 | PTE_TAB), 0);
    WORK(10, "mmu_update: unhook it", mmu_update_one(maddr_of(entry), 0), 0);

    WORK(11, "mmuext_op: a multicall's pin and unpin", ({
             static struct multicall_entry m[64];
             static struct mmuext_op op[2];

             op[0].cmd = MMUEXT_PIN_L3_TABLE;
             op[1].cmd = MMUEXT_UNPIN_TABLE;
             op[0].arg1.mfn = op[1].arg1.mfn = mfn_of(l3);
             for (unsigned i = 0; i < 64; i++) {
                 m[i].op = __HYPERVISOR_mmuext_op;
                 m[i].args[0] = (u64)op;
                 m[i].args[1] = 2;
                 m[i].args[3] = DOMID_SELF;
             }
             HC2(multicall, m, 4);
         }),
         0);
}

/* The same pages as 512 L2 tables, each of them full, with one L1 below. */
static void pin_wide_l2(void)
{
    u64 *bottom = l1[0], *top = l3;

    set_rw(top);
    memset(top, 0, 4096);
    for (unsigned i = 1; i < WIDE; i++) {
        set_rw(l1[i]);
        table_of(l1[i], 0, 512, mfn_of(bottom) << 12 | PTE_TAB, 0);
        top[i] = mfn_of(l1[i]) << 12 | PTE_TAB;
    }
    set_ro(top);
    WORK(12, "mmuext_op: pin 511 full L2", mmuext(MMUEXT_PIN_L3_TABLE, mfn_of(top)), 0);
    WORK(13, "mmuext_op: unpin them", mmuext(MMUEXT_UNPIN_TABLE, mfn_of(top)), 0);
}

/* An L1 whose last entry is bad: all that came before is undone. */
static void pin_refused(void)
{
    u64 *bad = page_alloc(), *above = page_alloc();

    memcpy(bad, l1[0], 4096);
    bad[511] = mfn_of(bad) << 12 | PTE_RW_; /* a table that the guest could write */
    set_ro(bad);
    memcpy(above, l2, 4096);
    above[511] = mfn_of(bad) << 12 | PTE_TAB;
    set_ro(above);
    WORK(14, "mmuext_op: a pin refused at the end", mmuext(MMUEXT_PIN_L2_TABLE, mfn_of(above)) < 0,
         1);
}

TEST(page_tables)
{
    build_wide();
    pin_wide();

    pin_refused();
    pin_wide_l2();
}

/* --- memory --- */

long reservation(unsigned cmd, xen_pfn_t *list, unsigned n, unsigned order, domid_t dom)
{
    struct xen_memory_reservation r = {.nr_extents = n, .extent_order = order, .domid = dom};

    set_xen_guest_handle(r.extent_start, list);
    return HC2(memory_op, cmd, &r);
}

#define NR_PAGES 32768
#define ORDER    9
#define NR_LARGE (NR_PAGES >> ORDER)

TEST(reservation)
{
    xen_pfn_t *list = (xen_pfn_t *)area;
    u64 first = spare_pfn(NR_PAGES);

    memcpy(list, p2m() + first, NR_PAGES * sizeof(*list));
    WORK(15, "memory_op: decrease_reservation, 32768 pages",
         reservation(XENMEM_decrease_reservation, list, NR_PAGES, 0, DOMID_SELF), NR_PAGES);
    for (unsigned i = 0; i < NR_PAGES; i++)
        list[i] = first + i;
    WORK(16, "memory_op: populate_physmap, 32768 pages",
         reservation(XENMEM_populate_physmap, list, NR_PAGES, 0, DOMID_SELF), NR_PAGES);
    WORK(17, "memory_op: decrease_reservation, again",
         reservation(XENMEM_decrease_reservation, list, NR_PAGES, 0, DOMID_SELF), NR_PAGES);
    for (unsigned i = 0; i < NR_LARGE; i++)
        list[i] = first + i * 512;
    WORK(18, "memory_op: populate_physmap, 64 times 2 MB",
         reservation(XENMEM_populate_physmap, list, NR_LARGE, ORDER, DOMID_SELF), NR_LARGE);
    WORK(19, "memory_op: decrease_reservation, 64 times 2 MB",
         reservation(XENMEM_decrease_reservation, list, NR_LARGE, ORDER, DOMID_SELF), NR_LARGE);
    for (unsigned i = 0; i < NR_PAGES >> 12; i++)
        list[i] = first + i * 4096;
    WORK(24, "memory_op: populate_physmap, 8 times 16 MB",
         reservation(XENMEM_populate_physmap, list, NR_PAGES >> 12, 12, DOMID_SELF),
         NR_PAGES >> 12);
    WORK(25, "memory_op: decrease_reservation, 8 times 16 MB",
         reservation(XENMEM_decrease_reservation, list, NR_PAGES >> 12, 12, DOMID_SELF),
         NR_PAGES >> 12);
    WORK(20, "memory_op: increase_reservation, 32768 pages",
         reservation(XENMEM_increase_reservation, list, NR_PAGES, 0, DOMID_SELF), NR_PAGES);
    WORK(17, "memory_op: decrease_reservation, again",
         reservation(XENMEM_decrease_reservation, list, NR_PAGES, 0, DOMID_SELF), NR_PAGES);
}

static long exchange(xen_pfn_t *in, unsigned in_order, xen_pfn_t *out, unsigned out_order,
                     u64 pages)
{
    struct xen_memory_exchange x = {
        .in = {.nr_extents = pages >> in_order, .extent_order = in_order, .domid = DOMID_SELF},
        .out = {.nr_extents = pages >> out_order, .extent_order = out_order, .domid = DOMID_SELF}};

    set_xen_guest_handle(x.in.extent_start, in);
    set_xen_guest_handle(x.out.extent_start, out);
    return HC2(memory_op, XENMEM_exchange, &x);
}

#define NR_SWAP 8192

TEST(exchange)
{
    xen_pfn_t *in = (xen_pfn_t *)area, *out = in + NR_SWAP;
    u64 first = spare_pfn(NR_SWAP);

    memcpy(in, p2m() + first, NR_SWAP * sizeof(*in));
    for (unsigned i = 0; i < NR_SWAP >> ORDER; i++)
        out[i] = first + i * 512;
    WORK(21, "memory_op: exchange, 8192 pages for 16 times 2 MB",
         exchange(in, 0, out, ORDER, NR_SWAP), 0);
    for (unsigned i = 0; i < NR_SWAP; i++)
        in[i] = first + i;
    WORK(22, "memory_op: exchange, 16 times 2 MB for 8192 pages",
         exchange(out, ORDER, in, 0, NR_SWAP), 0);
}

TEST(machphys)
{
    static struct xen_machphys_mfn_list list = {.max_extents = AREA_SIZE / 8};

    set_xen_guest_handle(list.extent_start, (xen_pfn_t *)area);
    WORK(23, "memory_op: machphys_mfn_list", HC2(memory_op, XENMEM_machphys_mfn_list, &list), 0);
}
