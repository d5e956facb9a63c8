// SPDX-License-Identifier: MIT
/*
 * Attempts on memory that is not this guest's, or not in that way: each must be refused, and what
 * was there before must stay usable.
 */
#include "guest.h"

/* The memory map of the host, for dom0, which may map what is no RAM. */
struct e820 {
    u64 addr, size;
    u32 type;
} __attribute__((packed));
static struct e820 map[128];
static unsigned map_entries;

static void read_map(void)
{
    struct xen_memory_map m = {.nr_entries = 128};

    if (!is_dom0() || map_entries)
        return;
    set_xen_guest_handle(m.buffer, map);
    REQUIRE_EQ(HC2(memory_op, XENMEM_machine_memory_map, &m), 0);
    map_entries = m.nr_entries;
}

static bool may_map(u64 mfn)
{
    u64 pfn = machine_to_phys_mapping[mfn];

    if (pfn < boot_info.nr_pages && p2m()[pfn] == mfn)
        return true;
    if (!is_dom0())
        return false;
    for (unsigned i = 0; i < map_entries; i++)
        if (map[i].type == 1 && mfn << 12 >= map[i].addr &&
            (mfn + 1) << 12 <= map[i].addr + map[i].size)
            return mfn < 0x100; /* the first megabyte is dom0's to look at */
    return true;
}

static xen_pfn_t grant_frames[1024];
static unsigned nr_grant_frames;

void read_shared_frames(void)
{
    struct gnttab_query_size q = {.dom = DOMID_SELF};
    struct gnttab_setup_table s = {.dom = DOMID_SELF};

    REQUIRE_EQ(HC3(grant_table_op, GNTTABOP_query_size, &q, 1), 0);
    REQUIRE(q.nr_frames <= ARRAY_SIZE(grant_frames));
    s.nr_frames = nr_grant_frames = q.nr_frames;
    set_xen_guest_handle(s.frame_list, grant_frames);
    REQUIRE_EQ(HC3(grant_table_op, GNTTABOP_setup_table, &s, 1), 0);
    REQUIRE_EQ(s.status, GNTST_okay);
}

bool is_shared_frame(u64 mfn)
{
    if (mfn == boot_info.shared_info >> 12)
        return true;
    for (unsigned i = 0; i < nr_grant_frames; i++)
        if (grant_frames[i] == mfn)
            return true;
    return false;
}

/* All frames of the host: the hypervisor's, other guests', free ones. */
TEST(attack_map_all_frames)
{
    u64 max = HC2(memory_op, XENMEM_maximum_ram_page, 0);
    void *page = page_alloc();
    unsigned bad = 0;

    if (is_dom0())
        not_on_stock("lets dom0 map some pages of its own");
    read_map();
    read_shared_frames();
    for (u64 mfn = 0; mfn <= max && bad < 10; mfn++) {
        if (may_map(mfn) || is_shared_frame(mfn))
            continue;
        for (unsigned rw = 0; rw < 2; rw++)
            if (!HC3(update_va_mapping, page, mfn << 12 | (rw ? PTE_RW_ : PTE_RO_), 0)) {
                u64 pfn = machine_to_phys_mapping[mfn];

                fail(__FILE__, __LINE__, "frame %#lx (pfn %#lx) mapped %s", mfn, pfn,
                     rw ? "writable" : "read-only");
                bad++;
            }
    }
    set_rw(page);
    page_free(page);
}

TEST(attack_map_beyond)
{
    static const u64 mfns[] = {0xffffffffff, 0x8000000000, 0x10000000, 0xfffffffff, 0x100000000};
    void *page = page_alloc();

    for (unsigned i = 0; i < ARRAY_SIZE(mfns); i++)
        CHECK_REFUSED(update_va((u64)page, mfns[i] << 12 | PTE_RW_));
    /* Reserved bits of the entry, between the address and the software's. */
    CHECK_REFUSED(update_va((u64)page, mfn_of(page) << 12 | PTE_RW_ | 1UL << 51));
    CHECK_REFUSED(update_va((u64)page, mfn_of(page) << 12 | PTE_RW_ | 1UL << 47));
    set_rw(page);
    page_free(page);
}

TEST(attack_hypervisor_slots)
{
    u64 *l3 = table_alloc(), *root = (u64 *)boot_info.pt_base, before;

    for (unsigned slot = 256; slot < 272; slot++) {
        before = root[slot];
        CHECK_REFUSED(mmu_update_one(maddr_of(root + slot), mfn_of(l3) << 12 | PTE_TAB));
        CHECK_REFUSED(mmu_update_one(maddr_of(root + slot), 0));
        CHECK_REFUSED(mmu_update_one(maddr_of(root + slot) | MMU_PT_UPDATE_PRESERVE_AD, before));
        CHECK_EQ(root[slot], before);
    }
    REQUIRE_EQ(mmu_update_one(maddr_of(root + 255), mfn_of(l3) << 12 | PTE_TAB), 0);
    CHECK_EQ(mmu_update_one(maddr_of(root + 255), 0), 0);
    CHECK_EQ(mmu_update_one(maddr_of(root + 272), mfn_of(l3) << 12 | PTE_TAB), 0);
    CHECK_EQ(mmu_update_one(maddr_of(root + 272), 0), 0);
    table_free(l3);
}

/* A new L4 whose hypervisor slots the guest has filled: they are replaced, not used. */
TEST(attack_prefilled_root)
{
    u64 *old = (u64 *)boot_info.pt_base, *l4 = page_alloc();

    memcpy(l4, old, 4096);
    for (unsigned slot = 256; slot < 272; slot++)
        l4[slot] = mfn_of(l4) << 12 | PTE_TAB;
    set_ro(l4);
    if (mmuext(MMUEXT_PIN_L4_TABLE, mfn_of(l4))) {
        table_free(l4);
        return;
    }
    CHECK(l4[256] != (mfn_of(l4) << 12 | PTE_TAB));
    CHECK_EQ(mmuext(MMUEXT_NEW_BASEPTR, mfn_of(l4)), 0);
    CHECK_EQ(machine_to_phys_mapping[mfn_of(l4)], pfn_of(l4));
    CHECK_EQ(mmuext(MMUEXT_NEW_BASEPTR, root_mfn()), 0);
    CHECK_EQ(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(l4)), 0);
    table_free(l4);
}

TEST(attack_writable_tables)
{
    u64 *spare = page_alloc();

    map_at(SPARE_VA + (1 << 21), mfn_of(spare) << 12 | PTE_RW_);
    for (unsigned level = 1; level <= 4; level++) {
        u64 *e = entry_of(SPARE_VA + (1 << 21), level);
        u64 *table = (u64 *)((u64)e & ~4095UL), mfn = mfn_of(table);

        CHECK_REFUSED(update_va((u64)spare, mfn << 12 | PTE_RW_));
        CHECK_REFUSED(update_va((u64)table, mfn << 12 | PTE_RW_));
        CHECK_REFUSED(mmu_update_one(maddr_of(entry_of((u64)spare, 1)) | 2, mfn << 12 | PTE_RW_));
        CHECK_EQ(update_va((u64)spare, mfn << 12 | PTE_RO_), 0);
        CHECK_EQ(CAUGHT(WRITE_ONCE(spare[300], 7)) != NO_TRAP || level == 1, true);
        CHECK_EQ(update_va((u64)spare, mfn_of(spare) << 12 | PTE_RW_), 0);
    }
    CHECK_EQ(mmu_update_one(maddr_of(entry_of(SPARE_VA + (1 << 21), 1)), 0), 0);
    page_free(spare);
}

/* Tables that contain themselves: read-only at most, and never to become writable. */
TEST(attack_self_maps)
{
    u64 *root = (u64 *)boot_info.pt_base, self = root_mfn() << 12;
    u64 *l3 = table_alloc(), *l2 = table_alloc();

    CHECK_REFUSED(mmu_update_one(maddr_of(root + 200), self | PTE_TAB));
    if (CHECK_EQ(mmu_update_one(maddr_of(root + 200), self | (PTE_TAB & ~PTE_W)), 0)) {
        /* The root itself, and any table, can be read there; nothing can be written. */
        u64 *linear = (u64 *)(200UL << 39 | 200UL << 30 | 200UL << 21 | 200UL << 12);
        CHECK_EQ(READ_ONCE(linear[200]), READ_ONCE(root[200]));
        CHECK_EQ(linear[511], root[511]);
        CHECK_EQ(CAUGHT(WRITE_ONCE(linear[201], 0)), VEC_PF);
        CHECK_REFUSED(update_va((u64)linear, self | PTE_RW_));
        CHECK_REFUSED(mmu_update_one(maddr_of(root + 200), self | PTE_TAB));
        CHECK_REFUSED(mmu_update_one(maddr_of(root + 200) | 2, self | PTE_TAB));
        CHECK_EQ(mmu_update_one(maddr_of(root + 200), 0), 0);
        mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0);
        CHECK_EQ(CAUGHT((void)READ_ONCE(linear[0])), VEC_PF);
    }
    REQUIRE_EQ(mmuext(MMUEXT_PIN_L3_TABLE, mfn_of(l3)), 0);
    REQUIRE_EQ(mmuext(MMUEXT_PIN_L2_TABLE, mfn_of(l2)), 0);
    CHECK_REFUSED(mmu_update_one(maddr_of(l3 + 5), mfn_of(l3) << 12 | PTE_TAB));
    CHECK_REFUSED(mmu_update_one(maddr_of(l2 + 5), mfn_of(l2) << 12 | PTE_TAB));
    CHECK_REFUSED(mmu_update_one(maddr_of(l2 + 5), mfn_of(l3) << 12 | PTE_TAB));
    CHECK_REFUSED(mmu_update_one(maddr_of(l2 + 5), self | PTE_TAB));
    CHECK_REFUSED(mmu_update_one(maddr_of(l3 + 5), self | PTE_TAB));
    CHECK_EQ(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(l3)), 0);
    CHECK_EQ(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(l2)), 0);
    table_free(l3);
    table_free(l2);
}

/* The same before there is a type: a table that holds itself, or a writable page, when pinned. */
TEST(attack_pin_self_maps)
{
    for (unsigned level = 1; level <= 4; level++) {
        u64 *t = page_alloc(), *rw = page_alloc();

        t[3] = mfn_of(t) << 12 | PTE_TAB;
        set_ro(t);
        CHECK_REFUSED(mmuext(MMUEXT_PIN_L1_TABLE + level - 1, mfn_of(t)));
        set_rw(t);
        t[3] = mfn_of(rw) << 12 | PTE_TAB; /* somebody can write it */
        set_ro(t);
        if (level > 1)
            CHECK_REFUSED(mmuext(MMUEXT_PIN_L1_TABLE + level - 1, mfn_of(t)));
        set_rw(t);
        t[3] = mfn_of(rw) << 12 | PTE_TAB | PTE_PSE; /* a large page */
        t[4] = 0;
        set_ro(t);
        if (level == 2 || level == 3)
            CHECK_REFUSED(mmuext(MMUEXT_PIN_L1_TABLE + level - 1, mfn_of(t)));
        set_rw(t);
        t[3] = root_mfn() << 12 | PTE_TAB;
        set_ro(t);
        CHECK_REFUSED(mmuext(MMUEXT_PIN_L1_TABLE + level - 1, mfn_of(t)));
        if (level == 4) {
            set_rw(t);
            t[3] = mfn_of(t) << 12 | PTE_RO_;
            set_ro(t);
            CHECK_EQ(mmuext(MMUEXT_PIN_L4_TABLE, mfn_of(t)), 0);
            CHECK_EQ(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(t)), 0);
        }
        set_rw(t); /* nothing is left of all that */
        page_free(t);
        page_free(rw);
    }
}

TEST(attack_large_pages)
{
    u64 *l2e, *l3e;

    map_at(SPARE_VA, 0);
    l2e = entry_of(SPARE_VA, 2) + 7;
    l3e = entry_of(SPARE_VA, 3) + 7;
    CHECK_REFUSED(mmu_update_one(maddr_of(l2e), PTE_TAB | PTE_PSE));
    CHECK_REFUSED(
        mmu_update_one(maddr_of(l2e), (mfn_of(stacks) & ~511UL) << 12 | PTE_TAB | PTE_PSE));
    CHECK_REFUSED(mmu_update_one(maddr_of(l3e), PTE_TAB | PTE_PSE));
    CHECK_EQ(*l2e, 0);
    CHECK_EQ(*l3e, 0);
}

TEST(attack_pin_wrong)
{
    static const u64 mfns[] = {0, 1, 0xffffffffff, ~0UL, 1UL << 40, 0x7fffffffff};
    u64 *page = page_alloc();

    for (unsigned level = 0; level < 4; level++) {
        for (unsigned i = 0; i < ARRAY_SIZE(mfns); i++)
            CHECK_REFUSED(mmuext(MMUEXT_PIN_L1_TABLE + level, mfns[i]));
        CHECK_REFUSED(mmuext(MMUEXT_PIN_L1_TABLE + level, mfn_of(page))); /* writable */
        CHECK_REFUSED(mmuext(MMUEXT_PIN_L1_TABLE + level, boot_info.shared_info >> 12));
    }
    for (unsigned i = 0; i < ARRAY_SIZE(mfns); i++) {
        CHECK_REFUSED(mmuext(MMUEXT_UNPIN_TABLE, mfns[i]));
        CHECK_REFUSED(mmuext(MMUEXT_NEW_BASEPTR, mfns[i]));
        if (mfns[i])
            CHECK_REFUSED(mmuext(MMUEXT_NEW_USER_BASEPTR, mfns[i]));
        CHECK_REFUSED(mmuext(MMUEXT_CLEAR_PAGE, mfns[i]));
        CHECK_REFUSED(mmuext2(MMUEXT_COPY_PAGE, mfns[i], mfn_of(page)));
        CHECK_REFUSED(mmuext2(MMUEXT_COPY_PAGE, mfn_of(page), mfns[i]));
    }
    CHECK_REFUSED(mmuext(MMUEXT_MARK_SUPER, mfn_of(page)));
    CHECK_REFUSED(mmuext(MMUEXT_UNMARK_SUPER, mfn_of(page)));
    page_free(page);
}

static long in_domain(unsigned op_cmd, domid_t dom, u64 mfn)
{
    struct mmuext_op op = {.cmd = op_cmd};

    op.arg1.mfn = mfn;
    return HC4(mmuext_op, &op, 1, 0, dom);
}

/* Other owners named: the hypervisor, nobody, a domain that is not there. */
TEST(attack_foreign_owners)
{
    static const domid_t doms[] = {0x7ff5, 0x7fff, 31000, 0x7ff4, 0x7ff3};
    u64 *page = page_alloc();

    for (unsigned i = 0; i < ARRAY_SIZE(doms); i++) {
        struct mmu_update u = {maddr_of(entry_of((u64)page, 1)), root_mfn() << 12 | PTE_RW_};

        CHECK_REFUSED(in_domain(MMUEXT_PIN_L1_TABLE, doms[i], mfn_of(page)));
        CHECK_REFUSED(in_domain(MMUEXT_PIN_L4_TABLE, doms[i], root_mfn()));
        CHECK_REFUSED(HC4(mmu_update, &u, 1, 0, doms[i]));
        CHECK_REFUSED(
            HC4(update_va_mapping_otherdomain, page, mfn_of(page) << 12 | PTE_RW_, 0, doms[i]));
    }
    /* Upper half: whose page tables. */
    struct mmu_update u = {maddr_of(entry_of((u64)page, 1)), mfn_of(page) << 12 | PTE_RW_};
    CHECK_REFUSED(HC4(mmu_update, &u, 1, 0, 31001UL << 16 | DOMID_SELF));
    page_free(page);
}

/* A reference count that is driven up must stop somewhere short of zero. */
TEST(attack_many_references)
{
    u64 *l1 = table_alloc(), *l2 = table_alloc(), *page = page_alloc();

    for (unsigned i = 0; i < 512; i++)
        REQUIRE_EQ(mmu_update_one(maddr_of(entry_of((u64)page, 1)), mfn_of(page) << 12 | PTE_RW_),
                   0);
    REQUIRE_EQ(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(l1)), 0);
    for (unsigned i = 0; i < 512; i++)
        REQUIRE_EQ(mmu_update_one(maddr_of(l1 + i), mfn_of(page) << 12 | PTE_RW_), 0);
    REQUIRE_EQ(mmuext(MMUEXT_PIN_L2_TABLE, mfn_of(l2)), 0);
    for (unsigned i = 0; i < 512; i++)
        REQUIRE_EQ(mmu_update_one(maddr_of(l2 + i), mfn_of(l1) << 12 | PTE_TAB), 0);
    for (unsigned i = 0; i < 20000; i++)
        if (mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(l1)) == 0)
            REQUIRE(0);
    CHECK_EQ(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(l1)), 0);
    CHECK_REFUSED(update_va((u64)l1, mfn_of(l1) << 12 | PTE_RW_)); /* l2 still has it */
    CHECK_EQ(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(l2)), 0);
    table_free(l1);
    table_free(l2);
    page_free(page);
}

/*
 * One page of updates, seen 512 * 512 times in a row: lists of a length that is real. Events are
 * delivered while it lasts, and the count of those done is right.
 */
TEST(attack_long_batch)
{
    struct mmu_update *u = page_alloc();
    u64 *l1 = page_alloc(), *l2 = page_alloc(), *l3 = page_alloc(), *page = page_alloc();
    u64 *l4e = (u64 *)boot_info.pt_base + 194, va = 194UL << 39, n;
    struct vcpu_set_periodic_timer p = {.period_ns = 1000000};
    unsigned port = bind_virq(VIRQ_TIMER);
    u32 done = 0;

    for (unsigned i = 0; i < 256; i++)
        u[i] = (struct mmu_update){maddr_of(entry_of((u64)page, 1)),
                                   mfn_of(page) << 12 | (i & 1 ? PTE_RO_ : PTE_RW_)};
    for (unsigned i = 0; i < 512; i++) {
        l1[i] = mfn_of(u) << 12 | PTE_RO_;
        l2[i] = mfn_of(l1) << 12 | PTE_TAB;
    }
    l3[0] = mfn_of(l2) << 12 | PTE_TAB;
    set_ro(l1);
    set_ro(l2);
    set_ro(l3);
    REQUIRE_EQ(mmu_update_one(maddr_of(l4e), mfn_of(l3) << 12 | PTE_TAB), 0);
    unmask_port(port);
    CHECK_EQ(HC3(vcpu_op, VCPUOP_set_periodic_timer, 0, &p), 0);
    n = event_count[port];
    u64 start = now();
    CHECK_EQ(HC4(mmu_update, va, 500000, &done, DOMID_SELF), 0);
    u64 took = now() - start;
    CHECK_EQ(done, 500000);
    CHECK_EQ(HC3(vcpu_op, VCPUOP_stop_periodic_timer, 0, 0), 0);
    if (took > 20000000)
        CHECK(event_count[port] - n >= took / 1000000 / 20);
    close_port(port);
    /* Past the end of what is mapped. */
    CHECK_REFUSED(HC4(mmu_update, va + (1UL << 30) - 4096, 0x7fffffff, &done, DOMID_SELF));
    CHECK_EQ(done, 256);
    REQUIRE_EQ(mmu_update_one(maddr_of(l4e), 0), 0);
    table_free(l1);
    table_free(l2);
    table_free(l3);
    set_rw(page);
    page_free(page);
    page_free(u);
}

/* Counts that make no sense, and the bit that means "continued", which a guest can set, too. */
TEST(attack_counts)
{
    static struct mmu_update u[2];
    u64 *page = page_alloc();
    u32 done = 7;
    struct mmuext_op op = {.cmd = MMUEXT_TLB_FLUSH_LOCAL};

    u[0] = u[1] =
        (struct mmu_update){maddr_of(entry_of((u64)page, 1)), mfn_of(page) << 12 | PTE_RW_};
    CHECK_REFUSED(HC4(mmu_update, 0xffff7ffffffff000, 0xffffffff, &done, DOMID_SELF));
    CHECK_REFUSED(HC4(mmu_update, -64UL, 0x7fffffff, &done, DOMID_SELF));
    HC4(mmu_update, u, 1U << 31 | 1, &done, DOMID_SELF);
    HC4(mmu_update, u, 1U << 31, &done, DOMID_SELF);
    HC4(mmu_update, u, 1UL << 63 | 1, &done, DOMID_SELF);
    HC4(mmuext_op, &op, 1U << 31 | 1, &done, DOMID_SELF);
    HC4(mmuext_op, &op, 1U << 31, &done, DOMID_SELF);
    CHECK_REFUSED(HC4(mmuext_op, 0xffff800000000000, 1, &done, DOMID_SELF));
    CHECK_REFUSED(HC4(mmu_update, 0xffff800000000000, 1, &done, DOMID_SELF));
    HC4(mmu_update, u, 1, 0xffff830000000000, DOMID_SELF); /* done, or not: but not written */
    CHECK_EQ(HC4(mmu_update, u, 2, &done, DOMID_SELF), 0);
    CHECK_EQ(done, 2);
    page_free(page);
}

/* --- races, with a second vcpu --- */

static u64 *victim, *window;
static volatile bool stop;

static void pin_and_unpin(unsigned long unused)
{
    (void)unused;
    while (!stop) {
        mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(victim));
        mmuext(MMUEXT_UNPIN_TABLE, mfn_of(victim));
        mmuext(MMUEXT_PIN_L2_TABLE, mfn_of(victim));
        mmuext(MMUEXT_UNPIN_TABLE, mfn_of(victim));
    }
}

/*
 * One vcpu makes a page a table again and again, the other maps it writable and writes an entry
 * that no table may have. When the race is over, a table made of it must not hold that entry.
 */
TEST(attack_race_pin_against_write)
{
    u64 evil = root_mfn() << 12 | PTE_RW_, end;
    unsigned mapped = 0, wrote = 0;

    victim = page_alloc();
    window = page_alloc();
    set_ro(victim);
    stop = false;
    start_on_cpu1(pin_and_unpin, 0);
    end = now() + 400000000;
    while (now() < end) {
        if (update_va((u64)window, mfn_of(victim) << 12 | PTE_RW_))
            continue;
        mapped++;
        wrote += CAUGHT(WRITE_ONCE(window[7], evil)) == NO_TRAP;
        CAUGHT(WRITE_ONCE(window[7], 0));
        update_va((u64)window, mfn_of(window) << 12 | PTE_RW_);
    }
    stop = true;
    wait_cpu1();
    set_rw(window);
    set_rw(victim);
    victim[7] = evil;
    set_ro(victim);
    CHECK_REFUSED(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(victim)));
    CHECK(mapped == wrote);
    set_rw(victim);
    page_free(victim);
    page_free(window);
}

static u64 *shared_l1;

static void update_entries(unsigned long unused)
{
    (void)unused;
    while (!stop)
        for (unsigned i = 0; i < 16; i++) {
            mmu_update_one(maddr_of(shared_l1 + i),
                           mfn_of(window) << 12 | (i & 1 ? PTE_RO_ : PTE_RW_));
            mmu_update_one(maddr_of(shared_l1 + i), 0);
        }
}

/* Both update the same entries, one by hypercall, the other by stores; counts must come out even.
 */
TEST(attack_race_same_entries)
{
    u64 end, *check = page_alloc();

    victim = window = page_alloc();
    map_at(SPARE_VA + (5UL << 21), 0);
    shared_l1 = entry_of(SPARE_VA + (5UL << 21), 1);
    stop = false;
    start_on_cpu1(update_entries, 0);
    end = now() + 400000000;
    while (now() < end)
        for (unsigned i = 0; i < 16; i++) {
            CAUGHT(WRITE_ONCE(shared_l1[i], mfn_of(window) << 12 | (i & 2 ? PTE_RO_ : PTE_RW_)));
            CAUGHT(__atomic_exchange_n(&shared_l1[i], 0, __ATOMIC_SEQ_CST));
        }
    stop = true;
    wait_cpu1();
    for (unsigned i = 0; i < 16; i++)
        CHECK_EQ(mmu_update_one(maddr_of(shared_l1 + i), 0), 0);
    mmuext(MMUEXT_TLB_FLUSH_ALL, 0);
    /* No writable reference is left over: it can become a table. */
    set_ro(window);
    CHECK_EQ(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(window)), 0);
    CHECK_EQ(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(window)), 0);
    set_rw(window);
    page_free(window);
    page_free(check);
}

static void use_roots(unsigned long l4)
{
    while (!stop) {
        mmuext(MMUEXT_NEW_BASEPTR, mfn_of((void *)l4));
        mmuext(MMUEXT_NEW_BASEPTR, root_mfn());
    }
}

/* A root that one vcpu loads while the other pins and unpins it. */
TEST(attack_race_roots)
{
    u64 *old = (u64 *)boot_info.pt_base, *l4 = page_alloc(), end;

    memcpy(l4, old, 256 * 8);
    memcpy(l4 + 272, old + 272, (512 - 272) * 8);
    set_ro(l4);
    stop = false;
    start_on_cpu1(use_roots, (u64)l4);
    end = now() + 400000000;
    while (now() < end) {
        mmuext(MMUEXT_PIN_L4_TABLE, mfn_of(l4));
        mmuext(MMUEXT_UNPIN_TABLE, mfn_of(l4));
        update_va((u64)l4, mfn_of(l4) << 12 | PTE_RW_);
        update_va((u64)l4, mfn_of(l4) << 12 | PTE_RO_);
    }
    stop = true;
    wait_cpu1();
    table_free(l4);
}

/* --- deaths --- */

/* The stack this very code runs on, given away. */
DEATH(death_give_everything_back)
{
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};

    for (u64 pfn = 0; pfn < boot_info.nr_pages; pfn++) {
        xen_pfn_t mfn = p2m()[pfn];

        set_xen_guest_handle(r.extent_start, &mfn);
        HC2(memory_op, XENMEM_decrease_reservation, &r);
    }
    /* All is still mapped here: nothing has been freed that has users. */
    for (u64 i = 0; i < 512; i++)
        update_va(VIRT_BASE + 0x100000 + (i << 12), 0);
}

/* The user's tables taken away while they are to be used. */
DEATH(death_no_user_root)
{
    struct frame f;

    USER_ASM(&f, "int $0x80");
    REQUIRE_EQ(mmuext(MMUEXT_NEW_USER_BASEPTR, 0), 0);
    say("user_run gives %d\n", user_run(&f));
}
