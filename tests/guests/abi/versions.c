// SPDX-License-Identifier: MIT
/*
 * Grant tables of version 2, on this domain's own grants to itself: status words, parts of pages,
 * grants passed on. And operations that abi/grants.c leaves out: swapping, giving pages away,
 * cleaning caches.
 */
#include "guest.h"

extern grant_entry_v1_t *grants;
extern domid_t self;
void grant_set_up(void);

static volatile grant_entry_v2_t *v2;
static volatile grant_status_t *status;

#define MARKS (GTF_reading | GTF_writing)

static u64 *hole(void)
{
    void *page = page_alloc();

    REQUIRE_EQ(update_va(addr_of(page), 0), 0);
    return page;
}

static void unhole(u64 *page)
{
    set_rw(page);
    page_free(page);
}

static long set_version(unsigned version)
{
    struct gnttab_set_version v = {.version = version};

    return HC3(grant_table_op, GNTTABOP_set_version, &v, 1);
}

static int status_frames(unsigned n, u64 *list)
{
    struct gnttab_get_status_frames g = {.dom = DOMID_SELF, .nr_frames = n};

    set_xen_guest_handle(g.frame_list, list);
    REQUIRE_EQ(HC3(grant_table_op, GNTTABOP_get_status_frames, &g, 1), 0);
    return g.status;
}

/* Version 2, with the first page of status words mapped. */
static void begin(void)
{
    u64 frame = 0;

    grant_set_up();
    memset(grants, 0, 4096);
    if (set_version(2) == -ENOSYS)
        skip("no version 2 for this domain");
    REQUIRE_EQ(status_frames(1, &frame), GNTST_okay);
    v2 = (volatile grant_entry_v2_t *)grants;
    status = (volatile grant_status_t *)hole();
    REQUIRE_EQ(update_va(addr_of((void *)status), (u64)frame << 12 | PTE_RO_), 0);
}

static void end(void)
{
    REQUIRE_EQ(update_va(addr_of((void *)status), 0), 0);
    unhole((u64 *)status);
    CHECK_EQ(set_version(1), 0);
}

static void grant_full(unsigned ref, void *page, u16 flags)
{
    v2[ref].full_page.frame = mfn_of(page);
    v2[ref].hdr.domid = self;
    barrier();
    WRITE_ONCE(v2[ref].hdr.flags, GTF_permit_access | flags);
}

static int map_ref(unsigned ref, u64 *at, u32 flags, struct gnttab_map_grant_ref *m)
{
    *m = (struct gnttab_map_grant_ref){
        .host_addr = addr_of(at), .flags = GNTMAP_host_map | flags, .ref = ref, .dom = self};
    REQUIRE_EQ(HC3(grant_table_op, GNTTABOP_map_grant_ref, m, 1), 0);
    return m->status;
}

static int unmap_ref(u64 *at, u32 handle)
{
    struct gnttab_unmap_grant_ref u = {.host_addr = addr_of(at), .handle = handle};

    REQUIRE_EQ(HC3(grant_table_op, GNTTABOP_unmap_grant_ref, &u, 1), 0);
    return u.status;
}

/* From entry ref to a page of this guest's. */
static int copy_from(unsigned ref, unsigned offset, unsigned len, void *to)
{
    struct gnttab_copy c = {.len = len, .flags = GNTCOPY_source_gref};

    c.source.u.ref = ref;
    c.source.domid = self;
    c.source.offset = offset;
    c.dest.domid = DOMID_SELF;
    c.dest.u.gmfn = mfn_of(to);
    REQUIRE_EQ(HC3(grant_table_op, GNTTABOP_copy, &c, 1), 0);
    return c.status;
}

static int copy_to(unsigned ref, unsigned offset, unsigned len, void *from)
{
    struct gnttab_copy c = {.len = len, .flags = GNTCOPY_dest_gref};

    c.dest.u.ref = ref;
    c.dest.domid = self;
    c.dest.offset = offset;
    c.source.domid = DOMID_SELF;
    c.source.u.gmfn = mfn_of(from);
    REQUIRE_EQ(HC3(grant_table_op, GNTTABOP_copy, &c, 1), 0);
    return c.status;
}

/* The marks are in the status words, and the entry is left alone. */
TEST(grant_v2_map)
{
    struct gnttab_map_grant_ref m, ro;
    struct gnttab_query_size q = {.dom = DOMID_SELF};
    u64 *page = page_alloc(), *a = hole(), *b = hole();

    begin();
    grant_full(20, page, 0);
    page[0] = 77;
    REQUIRE_EQ(map_ref(20, a, 0, &m), GNTST_okay);
    CHECK_EQ(status[20], MARKS);
    CHECK_EQ(v2[20].hdr.flags, GTF_permit_access);
    CHECK_EQ(READ_ONCE(a[0]), 77);
    REQUIRE_EQ(map_ref(20, b, GNTMAP_readonly, &ro), GNTST_okay);
    CHECK_EQ(set_version(1), -EBUSY);
    CHECK_EQ(unmap_ref(a, m.handle), GNTST_okay);
    CHECK_EQ(status[20], GTF_reading);
    CHECK_EQ(unmap_ref(b, ro.handle), GNTST_okay);
    CHECK_EQ(status[20], 0);
    /* A grant that only allows reading. */
    grant_full(20, page, GTF_readonly);
    CHECK(map_ref(20, a, 0, &m) < 0);
    CHECK_EQ(status[20], 0);
    REQUIRE_EQ(map_ref(20, a, GNTMAP_readonly, &m), GNTST_okay);
    CHECK_EQ(status[20], GTF_reading);
    CHECK_EQ(unmap_ref(a, m.handle), GNTST_okay);
    v2[20].hdr.flags = 0;
    CHECK(map_ref(20, a, GNTMAP_readonly, &m) < 0);
    REQUIRE_EQ(HC3(grant_table_op, GNTTABOP_query_size, &q, 1), 0);
    /* Half as many as in version 1. */
    CHECK_EQ(map_ref(q.nr_frames * 256, a, 0, &m), GNTST_bad_gntref);
    end();
    unhole(a);
    unhole(b);
    page_free(page);
}

/* Part of a page: for copies alone, and only that part. */
TEST(grant_v2_sub_page)
{
    struct gnttab_map_grant_ref m;
    u8 *page = page_alloc(), *to = page_alloc();
    u64 *a = hole();

    begin();
    for (unsigned i = 0; i < 4096; i++)
        page[i] = i / 16;
    v2[21].sub_page.page_off = 160;
    v2[21].sub_page.length = 64;
    v2[21].sub_page.frame = mfn_of(page);
    v2[21].hdr.domid = self;
    WRITE_ONCE(v2[21].hdr.flags, GTF_permit_access | GTF_sub_page);
    CHECK(map_ref(21, a, GNTMAP_readonly, &m) < 0);
    CHECK_EQ(copy_from(21, 160, 64, to), GNTST_okay);
    CHECK_EQ(to[0], 10);
    CHECK_EQ(to[63], 13);
    CHECK_EQ(to[64], 0);
    CHECK(copy_from(21, 159, 2, to) < 0);
    CHECK(copy_from(21, 160, 65, to) < 0);
    CHECK(copy_from(21, 0, 1, to) < 0);
    CHECK(copy_from(21, 224, 1, to) < 0);
    CHECK_EQ(copy_to(21, 200, 24, to), GNTST_okay);
    CHECK_EQ(page[200], 10);
    CHECK(copy_to(21, 201, 24, to) < 0);
    /* A part that is none. */
    v2[21].sub_page.page_off = 4090;
    v2[21].sub_page.length = 64;
    CHECK(copy_from(21, 4090, 64, to) < 0);
    v2[21].sub_page.page_off = 0xffff;
    v2[21].sub_page.length = 0xffff;
    CHECK(copy_from(21, 0, 64, to) < 0);
    CHECK(copy_from(21, 0xffff, 2, to) < 0);
    CHECK_EQ(status[21], 0);
    v2[21].hdr.flags = 0;
    end();
    unhole(a);
    page_free(page);
    page_free(to);
}

static void pass_on(unsigned ref, domid_t domid, unsigned behind, u16 flags)
{
    v2[ref].transitive.trans_domid = domid;
    v2[ref].transitive.gref = behind;
    v2[ref].hdr.domid = self;
    WRITE_ONCE(v2[ref].hdr.flags, GTF_transitive | flags);
}

/* Passed on: once, for copies alone, with the rights of both. */
TEST(grant_v2_transitive)
{
    struct gnttab_map_grant_ref m;
    u64 *page = page_alloc(), *to = page_alloc(), *a = hole();

    begin();
    page[5] = 99;
    grant_full(30, page, 0);
    pass_on(31, self, 30, 0);
    CHECK(map_ref(31, a, GNTMAP_readonly, &m) < 0);
    CHECK_EQ(copy_from(31, 40, 8, to), GNTST_okay);
    CHECK_EQ(to[0], 99);
    to[0] = 98;
    CHECK_EQ(copy_to(31, 48, 8, to), GNTST_okay);
    CHECK_EQ(page[6], 98);
    grant_full(30, page, GTF_readonly);
    CHECK(copy_to(31, 48, 8, to) < 0);
    CHECK_EQ(copy_from(31, 40, 8, to), GNTST_okay);
    grant_full(30, page, 0);
    pass_on(31, self, 30, GTF_readonly);
    CHECK(copy_to(31, 48, 8, to) < 0);
    /* Twice, to itself, in a circle, to nobody, to an entry that is none. */
    pass_on(31, self, 30, 0);
    pass_on(32, self, 31, 0);
    CHECK(copy_from(32, 40, 8, to) < 0);
    pass_on(32, self, 32, 0);
    CHECK(copy_from(32, 40, 8, to) < 0);
    pass_on(31, self, 32, 0);
    pass_on(32, self, 31, 0);
    CHECK(copy_from(32, 40, 8, to) < 0);
    pass_on(32, 31000, 30, 0);
    CHECK(copy_from(32, 40, 8, to) < 0);
    pass_on(32, DOMID_SELF, 30, 0);
    CHECK(copy_from(32, 40, 8, to) < 0);
    pass_on(32, self, 0xffffffff, 0);
    CHECK(copy_from(32, 40, 8, to) < 0);
    for (unsigned i = 30; i <= 32; i++) {
        CHECK_EQ(status[i], 0);
        v2[i].hdr.flags = 0;
    }
    end();
    unhole(a);
    page_free(page);
    page_free(to);
}

/* The reserved entries live through changes of version, all others do not. */
TEST(grant_v2_changes)
{
    static u64 frames[1024 / 8 + 1]; /* what no table has, and one more */
    u64 *page = page_alloc();

    grant_set_up();
    grants[1].domid = 0;
    grants[1].frame = mfn_of(page);
    grants[1].flags = GTF_permit_access;
    grants[40] = grants[1];
    CHECK_EQ(set_version(0), -EINVAL);
    CHECK_EQ(set_version(3), -EINVAL);
    if (set_version(2) == -ENOSYS) {
        grants[1].flags = grants[40].flags = 0;
        skip("no version 2 for this domain");
    }
    v2 = (volatile grant_entry_v2_t *)grants;
    CHECK_EQ(v2[1].full_page.frame, mfn_of(page));
    CHECK_EQ(v2[1].hdr.flags & GTF_type_mask, GTF_permit_access);
    CHECK_EQ(v2[1].hdr.domid, 0);
    CHECK_EQ(v2[40].hdr.flags, 0);
    CHECK_EQ(status_frames(1, frames), GNTST_okay);
    CHECK(frames[0] != 0);
    CHECK(status_frames(ARRAY_SIZE(frames), frames) < 0);
    CHECK(status_frames(1, (u64 *)16) < 0);
    CHECK_EQ(set_version(2), 0);
    CHECK_EQ(set_version(1), 0);
    CHECK_EQ(grants[1].frame, mfn_of(page));
    CHECK_EQ(grants[40].flags, 0);
    CHECK(status_frames(1, frames) < 0);
    grants[1].flags = 0;
    page_free(page);
}

/* The table grows to what the tools have set, and the last entry works in both versions. */
TEST(grant_all_frames)
{
    static xen_pfn_t frames[1024];
    static u64 words[1024 / 8 + 1];
    struct gnttab_query_size q = {.dom = DOMID_SELF};
    struct gnttab_setup_table s = {.dom = DOMID_SELF};
    struct gnttab_map_grant_ref m;
    u64 *page = page_alloc(), *table = hole(), *a = hole();
    unsigned n;

    begin();
    REQUIRE_EQ(HC3(grant_table_op, GNTTABOP_query_size, &q, 1), 0);
    n = q.max_nr_frames;
    REQUIRE(n && n <= ARRAY_SIZE(frames));
    s.nr_frames = n + 1;
    set_xen_guest_handle(s.frame_list, frames);
    CHECK_EQ(HC3(grant_table_op, GNTTABOP_setup_table, &s, 1), 0);
    CHECK(s.status < 0);
    s.nr_frames = n;
    REQUIRE_EQ(HC3(grant_table_op, GNTTABOP_setup_table, &s, 1), 0);
    REQUIRE_EQ(s.status, GNTST_okay);
    CHECK_EQ(status_frames((n + 7) / 8, words), GNTST_okay);
    CHECK(status_frames((n + 7) / 8 + 1, words) < 0);
    say("  %u frames\n", n);
    REQUIRE_EQ(update_va(addr_of(table), (u64)frames[n - 1] << 12 | PTE_RW_), 0);
    grant_entry_v2_t *last = (grant_entry_v2_t *)table + 255;
    last->full_page.frame = mfn_of(page);
    last->hdr.domid = self;
    WRITE_ONCE(last->hdr.flags, GTF_permit_access);
    CHECK_EQ(map_ref(n * 256, a, 0, &m), GNTST_bad_gntref);
    REQUIRE_EQ(map_ref(n * 256 - 1, a, 0, &m), GNTST_okay);
    CHECK_EQ(unmap_ref(a, m.handle), GNTST_okay);
    end();
    CHECK_EQ(last->hdr.flags, 0);
    grant_entry_v1_t *last1 = (grant_entry_v1_t *)table + 511;
    last1->frame = mfn_of(page);
    last1->domid = self;
    WRITE_ONCE(last1->flags, GTF_permit_access);
    REQUIRE_EQ(map_ref(n * 512 - 1, a, 0, &m), GNTST_okay);
    CHECK_EQ(unmap_ref(a, m.handle), GNTST_okay);
    last1->flags = 0;
    unhole(a);
    unhole(table);
    page_free(page);
}

static int swap(unsigned a, unsigned b)
{
    struct gnttab_swap_grant_ref s = {.ref_a = a, .ref_b = b};

    REQUIRE_EQ(HC3(grant_table_op, GNTTABOP_swap_grant_ref, &s, 1), 0);
    return s.status;
}

TEST(grant_swap)
{
    struct gnttab_map_grant_ref m;
    u64 *page = page_alloc(), *a = hole();

    grant_set_up();
    grants[40].domid = self;
    grants[40].frame = mfn_of(page);
    grants[40].flags = GTF_permit_access;
    CHECK_EQ(swap(40, 41), GNTST_okay);
    CHECK_EQ(grants[40].flags, 0);
    CHECK_EQ(grants[41].flags, GTF_permit_access);
    CHECK_EQ(grants[41].frame, mfn_of(page));
    CHECK_EQ(swap(41, 41), GNTST_okay);
    REQUIRE_EQ(map_ref(41, a, 0, &m), GNTST_okay);
    CHECK_EQ(swap(40, 41), GNTST_eagain);
    CHECK_EQ(swap(41, 40), GNTST_eagain);
    CHECK_EQ(unmap_ref(a, m.handle), GNTST_okay);
    CHECK_EQ(swap(41, 0x7fffffff), GNTST_bad_gntref);
    CHECK_EQ(swap(0xffffffff, 41), GNTST_bad_gntref);
    grants[41].flags = 0;
    begin();
    grant_full(200, page, GTF_readonly);
    CHECK_EQ(swap(200, 20), GNTST_okay);
    CHECK_EQ(v2[20].full_page.frame, mfn_of(page));
    CHECK_EQ(v2[20].hdr.flags, GTF_permit_access | GTF_readonly);
    CHECK_EQ(v2[200].hdr.flags, 0);
    v2[20].hdr.flags = 0;
    end();
    unhole(a);
    page_free(page);
}

static int transfer(u64 mfn, unsigned ref)
{
    struct gnttab_transfer t = {.mfn = mfn, .domid = self, .ref = ref};

    REQUIRE_EQ(HC3(grant_table_op, GNTTABOP_transfer, &t, 1), 0);
    return t.status;
}

/* A page given by this domain to itself, in both versions. */
TEST(grant_transfer)
{
    for (unsigned version = 1; version <= 2; version++) {
        void *page = page_alloc();
        u64 mfn = mfn_of(page);

        if (version == 1)
            grant_set_up();
        else
            begin();
        /* Mapped: it stays, and nobody's entry is spent. */
        if (version == 1) {
            grants[50].domid = self;
            WRITE_ONCE(grants[50].flags, GTF_accept_transfer);
        } else {
            v2[50].hdr.domid = self;
            WRITE_ONCE(v2[50].hdr.flags, GTF_accept_transfer);
        }
        CHECK_EQ(transfer(mfn, 50), GNTST_bad_page);
        REQUIRE_EQ(update_va(addr_of(page), 0), 0);
        CHECK_EQ(transfer(mfn, 50), GNTST_okay);
        if (version == 1) {
            CHECK_EQ(grants[50].flags,
                     GTF_accept_transfer | GTF_transfer_committed | GTF_transfer_completed);
            CHECK_EQ(grants[50].frame, mfn);
            grants[50].flags = 0;
        } else {
            CHECK_EQ(v2[50].hdr.flags,
                     GTF_accept_transfer | GTF_transfer_committed | GTF_transfer_completed);
            CHECK_EQ(v2[50].full_page.frame, mfn);
            v2[50].hdr.flags = 0;
        }
        CHECK_EQ(mmu_update_one(mfn << 12 | MMU_MACHPHYS_UPDATE, pfn_of(page)), 0);
        set_rw(page);
        WRITE_ONCE(*(u64 *)page, 1);
        page_free(page);
        if (version == 2)
            end();
    }
}

static long flush(u64 maddr, unsigned offset, unsigned length, u32 op)
{
    struct gnttab_cache_flush f = {.offset = offset, .length = length, .op = op};

    f.a.dev_bus_addr = maddr;
    return HC3(grant_table_op, GNTTABOP_cache_flush, &f, 1);
}

TEST(grant_cache_flush)
{
    u64 *page = page_alloc(), mfn = mfn_of(page);

    page[0] = 5;
    CHECK_EQ(flush(mfn << 12, 0, 4096, GNTTAB_CACHE_CLEAN), 0);
    CHECK_EQ(flush(mfn << 12, 8, 1, GNTTAB_CACHE_CLEAN | GNTTAB_CACHE_INVAL), 0);
    CHECK_EQ(flush(mfn << 12, 0, 4096, 0), 0);
    CHECK_EQ(flush(mfn << 12, 0, 0, GNTTAB_CACHE_CLEAN), 0);
    CHECK_EQ(flush(mfn << 12, 1, 4096, GNTTAB_CACHE_CLEAN), -EINVAL);
    CHECK_EQ(flush(mfn << 12, 0, 8, 4), -EINVAL);
    CHECK_REFUSED(flush(mfn << 12, 0, 8, GNTTAB_CACHE_INVAL));
    CHECK_REFUSED(flush(9, 0, 8, GNTTAB_CACHE_SOURCE_GREF | GNTTAB_CACHE_CLEAN));
    CHECK_EQ(page[0], 5);
    page_free(page);
}
