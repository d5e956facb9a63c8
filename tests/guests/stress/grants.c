// SPDX-License-Identifier: MIT
/*
 * Grants that four vcpus map, unmap (also each other's handles), copy through, revoke and swap at
 * once, while one of them changes the version; then the books must balance: no entry is marked as
 * in use, and every page may become a page table, as only a page can that nobody may write to.
 */
#include "stress.h"
#include "bench/bench.h"

#define STEPS 5000
#define PAGES 48
#define FIRST 16 /* reference of the first page */
#define BUSY  ~0u

static void *pages[PAGES];
static u64 *holes[PAGES];
static volatile u32 slot[PAGES]; /* 0: nothing is mapped at holes[i]; BUSY; handle + 1 */
static volatile unsigned version, mapped, unmapped, copied, changed;
static volatile bool quiet;
static domid_t self;

static bool exchange(volatile u32 *p, u32 old, u32 new)
{
    return __sync_bool_compare_and_swap(p, old, new);
}

static void grant_any(unsigned i)
{
    u16 flags = GTF_permit_access | (rnd(4) ? 0 : GTF_readonly);

    if (version == 1) {
        grant_entry_v1_t *e = &grant_table[FIRST + i];

        e->domid = self;
        e->frame = mfn_of(pages[i]);
        barrier();
        if (!(READ_ONCE(e->flags) & (GTF_reading | GTF_writing)))
            WRITE_ONCE(e->flags, flags);
    } else {
        grant_entry_v2_t *e = &((grant_entry_v2_t *)grant_table)[FIRST + i];

        e->full_page.frame = mfn_of(pages[i]);
        e->hdr.domid = self;
        barrier();
        WRITE_ONCE(e->hdr.flags, flags);
    }
}

static void map_one(unsigned i)
{
    struct gnttab_map_grant_ref m = {.host_addr = addr_of(holes[i]),
                                     .flags = GNTMAP_host_map | (rnd(2) ? GNTMAP_readonly : 0),
                                     .ref = rnd(20) ? FIRST + i : rnd(1100),
                                     .dom = self};

    if (!exchange(&slot[i], 0, BUSY))
        return;
    HC3(grant_table_op, GNTTABOP_map_grant_ref, &m, 1);
    if (m.status == GNTST_okay)
        __atomic_add_fetch(&mapped, 1, __ATOMIC_SEQ_CST);
    slot[i] = m.status == GNTST_okay ? m.handle + 1 : 0;
}

static int unmap_handle(unsigned i, u32 handle)
{
    struct gnttab_unmap_grant_ref u = {.host_addr = addr_of(holes[i]), .handle = handle};

    HC3(grant_table_op, GNTTABOP_unmap_grant_ref, &u, 1);
    if (u.status == GNTST_okay)
        __atomic_add_fetch(&unmapped, 1, __ATOMIC_SEQ_CST);
    return u.status;
}

/* Whoever does not ask first may find that somebody else has been quicker: one of them succeeds. */
static void unmap_one(unsigned i, bool ask)
{
    u32 seen = slot[i];

    if (!seen || seen == BUSY)
        return;
    if (!ask) {
        if (unmap_handle(i, seen - 1) == GNTST_okay)
            exchange(&slot[i], seen, 0);
    } else if (exchange(&slot[i], seen, BUSY)) {
        unmap_handle(i, seen - 1);
        slot[i] = 0;
    }
}

static void copy_one(unsigned i)
{
    struct gnttab_copy c = {.len = rnd(4096), .flags = GNTCOPY_source_gref | GNTCOPY_dest_gref};

    c.source.domid = c.dest.domid = rnd(2) ? self : DOMID_SELF;
    c.source.u.ref = FIRST + i;
    c.dest.u.ref = FIRST + rnd(PAGES);
    HC3(grant_table_op, GNTTABOP_copy, &c, 1);
    if (c.status == GNTST_okay)
        __atomic_add_fetch(&copied, 1, __ATOMIC_SEQ_CST);
}

static void revoke(unsigned i)
{
    if (version == 1 && !(grant_table[FIRST + i].flags & (GTF_reading | GTF_writing)))
        WRITE_ONCE(grant_table[FIRST + i].flags, 0);
}

static void swap_any(void)
{
    struct gnttab_swap_grant_ref s = {.ref_a = 300 + rnd(800), .ref_b = 300 + rnd(800)};

    HC3(grant_table_op, GNTTABOP_swap_grant_ref, &s, 1);
}

static void step(unsigned n)
{
    unsigned i = rnd(PAGES);

    (void)n;
    switch (rnd(10)) {
    case 0:
    case 1:
        map_one(i);
        break;
    case 2:
        unmap_one(i, true);
        break;
    case 3:
        unmap_one(i, false);
        break;
    case 4:
    case 5:
        copy_one(i);
        break;
    case 6:
        revoke(i);
        break;
    case 7:
        swap_any();
        break;
    default:
        grant_any(i);
    }
}

static void change_version(void)
{
    struct gnttab_set_version v = {.version = 3 - version};

    if (HC3(grant_table_op, GNTTABOP_set_version, &v, 1))
        return;
    version = v.version;
    changed++;
}

/*
 * The fourth vcpu asks for the other version; the rest copy, and map for a short while only. Now
 * and then they are asked to be quiet, since a busy machine would leave it no chance.
 */
static void step_of_versions(unsigned n)
{
    unsigned i = rnd(PAGES);

    (void)n;
    if (this_cpu()->id == 3) {
        unsigned before = changed;

        quiet = n % 256 == 0;
        do
            change_version();
        while (quiet && changed == before && !HC2(sched_op, SCHEDOP_yield, 0));
        quiet = false;
        return;
    }
    while (quiet)
        HC2(sched_op, SCHEDOP_yield, 0);
    grant_any(i);
    switch (rnd(8)) {
    case 0:
        map_one(i);
        unmap_one(i, rnd(2));
        break;
    case 1:
        swap_any();
        break;
    default:
        copy_one(i);
    }
}

static void set_up(void)
{
    if (nr_vcpus() < STRESS_CPUS)
        skip("needs four vcpus");
    grant_table_map();
    self = own_domid();
    version = 1;
    mapped = unmapped = copied = changed = 0;
    for (unsigned i = 0; i < PAGES; i++) {
        pages[i] = page_alloc();
        set_ro(pages[i]); /* writable by grants alone */
        holes[i] = (u64 *)hole_page();
        slot[i] = 0;
        grant_any(i);
    }
}

static void tidy_up(void)
{
    struct gnttab_set_version v;

    for (unsigned i = 0; i < PAGES; i++)
        unmap_one(i, true);
    CHECK_EQ(mapped, unmapped);
    say("  %u mappings, %u copies, %u changes of version\n", mapped, copied, changed);
    CHECK(mapped > 20 && copied > 20);
    /* Changes fail if anything is in use. Who wrote entries in the wrong version wrote anything. */
    for (unsigned i = GNTTAB_NR_RESERVED_ENTRIES; !changed && i < 512; i++)
        CHECK_EQ(grant_table[i].flags & (GTF_reading | GTF_writing), 0);
    memset(grant_table, 0, 4096);
    for (unsigned i = 0; i < 2; i++) {
        v.version = 3 - version;
        CHECK_EQ(HC3(grant_table_op, GNTTABOP_set_version, &v, 1), 0);
        version = v.version;
    }
    v.version = 1;
    CHECK_EQ(HC3(grant_table_op, GNTTABOP_set_version, &v, 1), 0);
    for (unsigned i = 0; i < PAGES; i++) {
        u64 *hole_entry = entry_of(addr_of(holes[i]), 1);

        CHECK_EQ(*hole_entry, 0);
        set_rw(pages[i]);
        memset(pages[i], 0, 4096); /* copies have left anything there */
        set_ro(pages[i]);
        CHECK_EQ(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(pages[i])), 0);
        CHECK_EQ(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(pages[i])), 0);
        set_rw(pages[i]);
        page_free(pages[i]);
        set_rw(holes[i]);
        page_free(holes[i]);
    }
}

TEST(stress_grants)
{
    set_up();
    storm(step, STEPS);
    tidy_up();
}

TEST(stress_grant_versions)
{
    set_up();
    storm(step_of_versions, STEPS);
    tidy_up();
    CHECK(changed > 0);
}
