// SPDX-License-Identifier: MIT
/* Grants of this domain to itself: map, unmap, copy, query, transfer. Version 1. */
#include "guest.h"

grant_entry_v1_t *grants;
domid_t self;

void grant_set_up(void);

/* The table's first frame takes the place of a page of the heap. */
void grant_set_up(void)
{
    struct gnttab_setup_table s = {.dom = DOMID_SELF, .nr_frames = 1};
    xen_pfn_t frame = 0;

    if (grants)
        return;
    set_xen_guest_handle(s.frame_list, &frame);
    REQUIRE_EQ(HC3(grant_table_op, GNTTABOP_setup_table, &s, 1), 0);
    REQUIRE_EQ(s.status, GNTST_okay);
    void *page = page_alloc();
    REQUIRE_EQ(update_va(addr_of(page), (u64)frame << 12 | PTE_RW_), 0);
    grants = page;
    self = own_domid();
}

/* A place for a mapping: a page of the heap with nothing there. */
static u64 *hole_alloc(void)
{
    void *page = page_alloc();

    REQUIRE_EQ(update_va(addr_of(page), 0), 0);
    return page;
}

static void grant(unsigned ref, void *page, u16 flags)
{
    grants[ref].domid = self;
    grants[ref].frame = mfn_of(page);
    barrier();
    WRITE_ONCE(grants[ref].flags, GTF_permit_access | flags);
}

static int map_ref(unsigned ref, u64 addr, u32 flags, struct gnttab_map_grant_ref *m)
{
    *m = (struct gnttab_map_grant_ref){
        .host_addr = addr, .flags = GNTMAP_host_map | flags, .ref = ref, .dom = self};
    REQUIRE_EQ(HC3(grant_table_op, GNTTABOP_map_grant_ref, m, 1), 0);
    return m->status;
}

static int unmap_ref(u64 addr, u32 handle)
{
    struct gnttab_unmap_grant_ref u = {.host_addr = addr, .handle = handle};

    REQUIRE_EQ(HC3(grant_table_op, GNTTABOP_unmap_grant_ref, &u, 1), 0);
    return u.status;
}

TEST(grant_map_unmap)
{
    struct gnttab_map_grant_ref m;
    u64 *page = page_alloc(), *hole = hole_alloc();

    grant_set_up();
    page[0] = 42;
    grant(9, page, 0);
    REQUIRE_EQ(map_ref(9, addr_of(hole), 0, &m), GNTST_okay);
    CHECK_EQ(m.dev_bus_addr, mfn_of(page) << 12);
    CHECK_EQ(READ_ONCE(hole[0]), 42);
    WRITE_ONCE(hole[0], 43);
    CHECK_EQ(READ_ONCE(page[0]), 43);
    CHECK_EQ(grants[9].flags & (GTF_reading | GTF_writing), GTF_reading | GTF_writing);
    CHECK_EQ(unmap_ref(addr_of(hole), m.handle), GNTST_okay);
    CHECK_EQ(grants[9].flags & (GTF_reading | GTF_writing), 0);
    CHECK_EQ(CAUGHT((void)READ_ONCE(hole[0])), VEC_PF);
    CHECK(unmap_ref(addr_of(hole), m.handle) < 0);
    set_rw(hole);
    grants[9].flags = 0;
    CHECK(map_ref(9, addr_of(hole), 0, &m) < 0);
    page_free(page);
    page_free(hole);
}

TEST(grant_read_only)
{
    struct gnttab_map_grant_ref m;
    u64 *page = page_alloc(), *hole = hole_alloc();

    grant_set_up();
    grant(10, page, GTF_readonly);
    CHECK(map_ref(10, addr_of(hole), 0, &m) < 0);
    REQUIRE_EQ(map_ref(10, addr_of(hole), GNTMAP_readonly, &m), GNTST_okay);
    CHECK_EQ(grants[10].flags & (GTF_reading | GTF_writing), GTF_reading);
    CHECK_EQ(CAUGHT(WRITE_ONCE(hole[0], 1)), VEC_PF);
    CHECK_EQ(unmap_ref(addr_of(hole), m.handle), GNTST_okay);
    grants[10].flags = 0;
    set_rw(hole);
    page_free(page);
    page_free(hole);
}

TEST(grant_contains_pte)
{
    struct gnttab_map_grant_ref m;
    u64 *page = page_alloc(), *hole = hole_alloc();
    u64 ptr = maddr_of(entry_of(addr_of(hole), 1));

    grant_set_up();
    page[3] = 99;
    grant(11, page, 0);
    REQUIRE_EQ(map_ref(11, ptr, GNTMAP_contains_pte, &m), GNTST_okay);
    mmuext(MMUEXT_INVLPG_LOCAL, addr_of(hole));
    CHECK_EQ(READ_ONCE(hole[3]), 99);
    CHECK(unmap_ref(addr_of(hole) + 8192, m.handle) < 0); /* not where it is mapped */
    CHECK_EQ(unmap_ref(ptr, m.handle), GNTST_okay);
    CHECK_EQ(CAUGHT((void)READ_ONCE(hole[3])), VEC_PF);
    grants[11].flags = 0;
    set_rw(hole);
    page_free(page);
    page_free(hole);
}

/* Two mappings of one grant: the flags stay until the last is gone. */
TEST(grant_map_twice)
{
    struct gnttab_map_grant_ref m1, m2;
    u64 *page = page_alloc(), *h1 = hole_alloc(), *h2 = hole_alloc();

    grant_set_up();
    grant(12, page, 0);
    REQUIRE_EQ(map_ref(12, addr_of(h1), 0, &m1), GNTST_okay);
    REQUIRE_EQ(map_ref(12, addr_of(h2), GNTMAP_readonly, &m2), GNTST_okay);
    CHECK(m1.handle != m2.handle);
    CHECK(unmap_ref(addr_of(h2), m1.handle) < 0);
    CHECK_EQ(unmap_ref(addr_of(h1), m1.handle), GNTST_okay);
    CHECK_EQ(grants[12].flags & (GTF_reading | GTF_writing), GTF_reading);
    CHECK_EQ(unmap_ref(addr_of(h2), m2.handle), GNTST_okay);
    CHECK_EQ(grants[12].flags & (GTF_reading | GTF_writing), 0);
    grants[12].flags = 0;
    set_rw(h1);
    set_rw(h2);
    page_free(page);
    page_free(h1);
    page_free(h2);
}

TEST(grant_unmap_and_replace)
{
    struct gnttab_map_grant_ref m;
    struct gnttab_unmap_and_replace r = {0};
    u64 *page = page_alloc(), *hole = hole_alloc(), *spare = page_alloc();

    grant_set_up();
    grant(13, page, 0);
    spare[0] = 5;
    REQUIRE_EQ(map_ref(13, addr_of(hole), 0, &m), GNTST_okay);
    r.host_addr = addr_of(hole);
    r.new_addr = addr_of(spare);
    r.handle = m.handle;
    REQUIRE_EQ(HC3(grant_table_op, GNTTABOP_unmap_and_replace, &r, 1), 0);
    CHECK_EQ(r.status, GNTST_okay);
    CHECK_EQ(READ_ONCE(hole[0]), 5);
    CHECK_EQ(CAUGHT((void)READ_ONCE(spare[0])), VEC_PF);
    grants[13].flags = 0;
    set_rw(hole);
    set_rw(spare);
    page_free(page);
    page_free(hole);
    page_free(spare);
}

TEST(grant_copy)
{
    struct gnttab_copy c[2];
    u8 *src = page_alloc(), *dst = page_alloc();

    grant_set_up();
    for (unsigned i = 0; i < 4096; i++)
        src[i] = i * 7;
    grant(14, src, GTF_readonly);
    grant(15, dst, 0);
    memset(c, 0, sizeof(c));
    c[0].source.u.ref = 14;
    c[0].source.domid = self;
    c[0].source.offset = 100;
    c[0].dest.u.gmfn = mfn_of(dst);
    c[0].dest.domid = DOMID_SELF;
    c[0].dest.offset = 200;
    c[0].len = 1000;
    c[0].flags = GNTCOPY_source_gref;
    c[1].source.u.gmfn = mfn_of(src);
    c[1].source.domid = DOMID_SELF;
    c[1].dest.u.ref = 15;
    c[1].dest.domid = self;
    c[1].dest.offset = 4000;
    c[1].len = 96;
    c[1].flags = GNTCOPY_dest_gref;
    CHECK_EQ(HC3(grant_table_op, GNTTABOP_copy, c, 2), 0);
    CHECK_EQ(c[0].status, GNTST_okay);
    CHECK_EQ(c[1].status, GNTST_okay);
    CHECK(!memcmp(dst + 200, src + 100, 1000));
    CHECK(!memcmp(dst + 4000, src, 96));
    CHECK_EQ(dst[1200], 0);
    CHECK(grants[14].flags == (GTF_permit_access | GTF_readonly) ||
          (grants[14].flags & (GTF_reading | GTF_writing)) == 0);
    c[1].len = 97; /* over the page's end */
    CHECK_EQ(HC3(grant_table_op, GNTTABOP_copy, &c[1], 1), 0);
    CHECK(c[1].status < 0);
    c[0].dest.u.ref = 14; /* a read-only grant is no destination */
    c[0].dest.domid = self;
    c[0].flags = GNTCOPY_source_gref | GNTCOPY_dest_gref;
    CHECK_EQ(HC3(grant_table_op, GNTTABOP_copy, c, 1), 0);
    CHECK(c[0].status < 0);
    grants[14].flags = grants[15].flags = 0;
    page_free(src);
    page_free(dst);
}

TEST(grant_query)
{
    struct gnttab_query_size q = {.dom = DOMID_SELF};
    struct gnttab_get_version v = {.dom = DOMID_SELF};

    grant_set_up();
    CHECK_EQ(HC3(grant_table_op, GNTTABOP_query_size, &q, 1), 0);
    CHECK_EQ(q.status, GNTST_okay);
    CHECK(q.nr_frames >= 1 && q.max_nr_frames >= q.nr_frames);
    CHECK_EQ(HC3(grant_table_op, GNTTABOP_get_version, &v, 1), 0);
    CHECK_EQ(v.version, 1);
}

/* The table grows on demand. */
TEST(grant_grow)
{
    struct gnttab_setup_table s = {.dom = DOMID_SELF, .nr_frames = 3};
    xen_pfn_t frames[3] = {0};

    grant_set_up();
    set_xen_guest_handle(s.frame_list, frames);
    CHECK_EQ(HC3(grant_table_op, GNTTABOP_setup_table, &s, 1), 0);
    CHECK_EQ(s.status, GNTST_okay);
    CHECK(frames[0] && frames[1] && frames[2] && frames[0] != frames[2]);
    s.nr_frames = 100000;
    CHECK_EQ(HC3(grant_table_op, GNTTABOP_setup_table, &s, 1), 0);
    CHECK(s.status < 0);
}

/* --- what advisories were about --- */

/* That the page is still counted as writable shows in that it cannot become a table. */
static void check_still_writable(void *page)
{
    CHECK_EQ(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(page)), -EINVAL);
}

/* XSA-224: mapped for the CPU and for devices, unmapped one after the other. */
TEST(grant_host_and_device)
{
    struct gnttab_map_grant_ref m;
    struct gnttab_unmap_grant_ref u;
    u64 *page = page_alloc(), *hole = hole_alloc();

    grant_set_up();
    grant(16, page, 0);
    REQUIRE_EQ(map_ref(16, addr_of(hole), GNTMAP_device_map, &m), GNTST_okay);
    CHECK_EQ(unmap_ref(addr_of(hole), m.handle), GNTST_okay);
    CHECK(grants[16].flags & GTF_writing);
    u = (struct gnttab_unmap_grant_ref){.dev_bus_addr = mfn_of(page) << 12, .handle = m.handle};
    REQUIRE_EQ(HC3(grant_table_op, GNTTABOP_unmap_grant_ref, &u, 1), 0);
    CHECK_EQ(u.status, GNTST_okay);
    CHECK_EQ(grants[16].flags & (GTF_reading | GTF_writing), 0);
    check_still_writable(page);
    grants[16].flags = 0;
    set_rw(hole);
    page_free(page);
    page_free(hole);
}

/* XSA-227: a mapping by entry, not at an entry. */
TEST(grant_misaligned_entry)
{
    struct gnttab_map_grant_ref m;
    u64 *page = page_alloc(), *hole = hole_alloc();
    u64 ptr = maddr_of(entry_of(addr_of(hole), 1));

    grant_set_up();
    grant(17, page, 0);
    for (unsigned off = 1; off < 8; off++) {
        CHECK(map_ref(17, ptr - off, GNTMAP_contains_pte, &m) < 0);
        CHECK_EQ(*entry_of(addr_of(hole), 1), 0);
    }
    grants[17].flags = 0;
    set_rw(hole);
    page_free(page);
    page_free(hole);
}

/* XSA-234: the entry of one grant's mapping is carried off by another's replacement, and what is
 * put in its place does not pass for it. */
TEST(grant_replaced_by_another)
{
    struct gnttab_map_grant_ref m1, m2;
    struct gnttab_unmap_and_replace r = {0};
    u64 *one = page_alloc(), *two = page_alloc(), *h1 = hole_alloc(), *h2 = hole_alloc();

    grant_set_up();
    set_ro(one); /* writable only by the grant */
    grant(18, one, 0);
    grant(19, two, 0);
    REQUIRE_EQ(map_ref(18, addr_of(h1), 0, &m1), GNTST_okay);
    REQUIRE_EQ(map_ref(19, addr_of(h2), GNTMAP_readonly, &m2), GNTST_okay);
    r.host_addr = addr_of(h2);
    r.new_addr = addr_of(h1);
    r.handle = m2.handle;
    REQUIRE_EQ(HC3(grant_table_op, GNTTABOP_unmap_and_replace, &r, 1), 0);
    REQUIRE_EQ(r.status, GNTST_okay);
    REQUIRE_EQ(update_va(addr_of(h1), mfn_of(one) << 12 | PTE_RO_), 0);
    CHECK(unmap_ref(addr_of(h1), m1.handle) < 0);
    check_still_writable(one);

    /* Tidy: the mapping is where it was carried. */
    REQUIRE_EQ(update_va(addr_of(h1), 0), 0);
    CHECK_EQ(unmap_ref(addr_of(h2), m1.handle), GNTST_okay);
    CHECK_EQ(grants[18].flags & (GTF_reading | GTF_writing), 0);
    grants[18].flags = grants[19].flags = 0;
    set_rw(h1);
    set_rw(h2);
    set_rw(one);
    page_free(one);
    page_free(two);
    page_free(h1);
    page_free(h2);
}

/* XSA-255: the table stays of version 2 while its status words are mapped. */
TEST(grant_status_mapped)
{
    struct gnttab_set_version v = {.version = 2};
    struct gnttab_get_status_frames g = {.dom = DOMID_SELF, .nr_frames = 1};
    u64 frame = 0, *hole = hole_alloc();

    grant_set_up();
    long ret = HC3(grant_table_op, GNTTABOP_set_version, &v, 1);
    if (ret == -ENOSYS) {
        set_rw(hole);
        page_free(hole);
        skip("no version 2 for this domain");
    }
    REQUIRE_EQ(ret, 0);
    set_xen_guest_handle(g.frame_list, &frame);
    REQUIRE_EQ(HC3(grant_table_op, GNTTABOP_get_status_frames, &g, 1), 0);
    REQUIRE_EQ(g.status, GNTST_okay);
    REQUIRE_EQ(update_va(addr_of(hole), (u64)frame << 12 | PTE_RO_), 0);
    v.version = 1;
    CHECK_EQ(HC3(grant_table_op, GNTTABOP_set_version, &v, 1), -EBUSY);
    REQUIRE_EQ(update_va(addr_of(hole), 0), 0);
    v.version = 1;
    CHECK_EQ(HC3(grant_table_op, GNTTABOP_set_version, &v, 1), 0);
    set_rw(hole);
    page_free(hole);
}
