// SPDX-License-Identifier: MIT
/* Attempts on what connects domains: grants and event channels. */
#include "guest.h"

#define HYP 0xffff830000000000UL

extern grant_entry_v1_t *grants;
extern domid_t self;
void grant_set_up(void);

static int map_at_flags(u32 ref, domid_t dom, u64 addr, u32 flags, u32 *handle)
{
    struct gnttab_map_grant_ref m = {.host_addr = addr, .flags = flags, .ref = ref, .dom = dom};

    REQUIRE_EQ(HC3(grant_table_op, GNTTABOP_map_grant_ref, &m, 1), 0);
    *handle = m.handle;
    return m.status;
}

static int unmap_at(u64 addr, u32 handle)
{
    struct gnttab_unmap_grant_ref u = {.host_addr = addr, .handle = handle};

    REQUIRE_EQ(HC3(grant_table_op, GNTTABOP_unmap_grant_ref, &u, 1), 0);
    return u.status;
}

static u64 *hole_alloc(void)
{
    void *page = page_alloc();

    REQUIRE_EQ(update_va((u64)page, 0), 0);
    return page;
}

static void hole_free(void *page)
{
    set_rw(page);
    page_free(page);
}

static void grant_frame(unsigned ref, u64 mfn, u16 flags)
{
    grants[ref].domid = self;
    grants[ref].frame = mfn;
    barrier();
    WRITE_ONCE(grants[ref].flags, flags);
}

TEST(attack_grant_references)
{
    static const u32 refs[] = {0xffffffff, 0x80000000, 100000, 513};
    u64 *hole = hole_alloc();
    u32 h;

    grant_set_up();
    for (unsigned i = 0; i < ARRAY_SIZE(refs); i++)
        CHECK(map_at_flags(refs[i], self, (u64)hole, GNTMAP_host_map, &h) < 0);
    CHECK(map_at_flags(8, 31000, (u64)hole, GNTMAP_host_map, &h) < 0);
    CHECK(map_at_flags(8, 0x7ff5, (u64)hole, GNTMAP_host_map, &h) < 0);
    CHECK(map_at_flags(8, 0x7fff, (u64)hole, GNTMAP_host_map, &h) < 0);
    CHECK(map_at_flags(8, self, (u64)hole, 0, &h) < 0); /* mapped for nobody */
    /* Handles of nothing. */
    for (unsigned i = 0; i < ARRAY_SIZE(refs); i++)
        CHECK(unmap_at((u64)hole, refs[i]) < 0);
    CHECK_EQ(CAUGHT((void)READ_ONCE(*hole)), VEC_PF);
    hole_free(hole);
}

/* Grants of frames that are not to be given: others', tables, none. */
TEST(attack_grant_frames)
{
    u64 *hole = hole_alloc(), max = HC2(memory_op, XENMEM_maximum_ram_page, 0);
    u32 h;

    grant_set_up();
    grant_frame(20, root_mfn(), GTF_permit_access);
    CHECK(map_at_flags(20, self, (u64)hole, GNTMAP_host_map, &h) < 0);
    grant_frame(20, 0xffffffff, GTF_permit_access);
    CHECK(map_at_flags(20, self, (u64)hole, GNTMAP_host_map, &h) < 0);
    read_shared_frames();
    for (u64 mfn = 0; mfn < max; mfn += 97) {
        u64 pfn = machine_to_phys_mapping[mfn];

        if ((pfn < boot_info.nr_pages && p2m()[pfn] == mfn) || is_shared_frame(mfn))
            continue;
        grant_frame(20, mfn, GTF_permit_access);
        if (!map_at_flags(20, self, (u64)hole, GNTMAP_host_map, &h)) {
            /* dom0 may give what it may map itself: I/O memory. */
            if (!is_dom0())
                fail(__FILE__, __LINE__, "frame %#lx was granted and mapped", mfn);
            unmap_at((u64)hole, h);
        }
    }
    /* An entry with every flag there is, and some that there are not. */
    for (unsigned flags = 0; flags < 0x10000; flags += 0x1) {
        if (flags & 0x0c00 && flags & 0xf000)
            continue;
        grant_frame(21, mfn_of(stacks), flags);
        if (!map_at_flags(21, self, (u64)hole, GNTMAP_host_map | GNTMAP_readonly, &h))
            unmap_at((u64)hole, h);
    }
    grants[20].flags = grants[21].flags = 0;
    hole_free(hole);
}

/* Mapping at addresses that are not this guest's to change. */
TEST(attack_grant_addresses)
{
    static const u64 addrs[] = {HYP,  0xffff800000000000,      0x8000000000000000, 0x800000000000,
                                ~0UL, SPARE_VA + (100UL << 30)};
    u64 *page = page_alloc();
    u32 h;

    grant_set_up();
    grant_frame(22, mfn_of(page), GTF_permit_access);
    for (unsigned i = 0; i < ARRAY_SIZE(addrs); i++) {
        CHECK(map_at_flags(22, self, addrs[i], GNTMAP_host_map, &h) < 0);
        CHECK(map_at_flags(22, self, addrs[i], GNTMAP_host_map | GNTMAP_contains_pte, &h) < 0);
    }
    /* An entry of a second-level table, of a page that is no table, and a crooked one. */
    CHECK(map_at_flags(22, self, maddr_of(entry_of((u64)stacks, 2)),
                       GNTMAP_host_map | GNTMAP_contains_pte, &h) < 0);
    CHECK(map_at_flags(22, self, maddr_of(stacks), GNTMAP_host_map | GNTMAP_contains_pte, &h) < 0);
    CHECK(map_at_flags(22, self, maddr_of(entry_of((u64)page, 1)) + 4,
                       GNTMAP_host_map | GNTMAP_contains_pte, &h) < 0);
    CHECK_EQ(grants[22].flags & (GTF_reading | GTF_writing), 0);
    grants[22].flags = 0;
    page_free(page);
}

/*
 * The guest takes the mapping away itself, or puts another over it: unmapping is then an error, and
 * the handle is lost. The page stays pinned to it, or does not; it never loses its use to others.
 */
TEST(attack_grant_own_unmapping)
{
    u64 *page = page_alloc(), *hole = hole_alloc();
    u32 h, h2;

    grant_set_up();
    grant_frame(23, mfn_of(page), GTF_permit_access);
    REQUIRE_EQ(map_at_flags(23, self, (u64)hole, GNTMAP_host_map, &h), 0);
    CHECK_EQ(update_va((u64)hole, 0), 0);
    CHECK(unmap_at((u64)hole, h) < 0);
    REQUIRE_EQ(map_at_flags(23, self, (u64)hole, GNTMAP_host_map, &h), 0);
    REQUIRE_EQ(map_at_flags(23, self, (u64)hole, GNTMAP_host_map, &h2), 0);
    CHECK_EQ(unmap_at((u64)hole, h), 0);
    CHECK(unmap_at((u64)hole, h) < 0);
    CHECK(unmap_at((u64)hole, h2) < 0);
    CHECK_EQ(CAUGHT((void)READ_ONCE(*hole)), VEC_PF);
    grants[23].flags = 0;
    hole_free(hole); /* the page is given up: lost handles may hold on to it */
}

/* A page that is granted and mapped writable cannot become a table meanwhile, nor be given away. */
TEST(attack_granted_page_as_table)
{
    u64 *page = page_alloc(), *hole = hole_alloc();
    xen_pfn_t mfn = mfn_of(page);
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};
    u32 h;

    grant_set_up();
    grant_frame(24, mfn, GTF_permit_access);
    REQUIRE_EQ(map_at_flags(24, self, (u64)hole, GNTMAP_host_map, &h), 0);
    set_ro(page);
    CHECK_REFUSED(mmuext(MMUEXT_PIN_L1_TABLE, mfn));
    CHECK_REFUSED(mmuext(MMUEXT_PIN_L4_TABLE, mfn));
    set_rw(page);
    CHECK_EQ(unmap_at((u64)hole, h), 0);
    set_ro(page);
    CHECK_EQ(mmuext(MMUEXT_PIN_L1_TABLE, mfn), 0);
    CHECK(map_at_flags(24, self, (u64)hole, GNTMAP_host_map, &h) < 0); /* and the other way round */
    CHECK_EQ(mmuext(MMUEXT_UNPIN_TABLE, mfn), 0);
    set_rw(page);
    grants[24].flags = 0;
    (void)r;
    page_free(page);
    hole_free(hole);
}

TEST(attack_grant_copies)
{
    struct gnttab_copy c;
    u8 *page = page_alloc();
    static const struct {
        u16 src, dst, len;
    } spans[] = {{0, 0, 4097},  {4095, 0, 2},          {0, 4095, 2}, {65535, 0, 1},
                 {0, 65535, 1}, {65535, 65535, 65535}, {4096, 0, 1}, {1, 1, 65535}};

    grant_set_up();
    for (unsigned i = 0; i < ARRAY_SIZE(spans); i++) {
        memset(&c, 0, sizeof(c));
        c.source.u.gmfn = c.dest.u.gmfn = mfn_of(page);
        c.source.domid = c.dest.domid = DOMID_SELF;
        c.source.offset = spans[i].src;
        c.dest.offset = spans[i].dst;
        c.len = spans[i].len;
        CHECK_EQ(HC3(grant_table_op, GNTTABOP_copy, &c, 1), 0);
        CHECK(c.status < 0);
    }
    /* Into a page table, into frames of others, out of them. */
    c.source.offset = c.dest.offset = 0;
    c.len = 8;
    static const u64 frames[] = {0, 0xfffffffff, ~0UL};
    for (unsigned i = 0; i < ARRAY_SIZE(frames); i++) {
        c.dest.u.gmfn = frames[i];
        c.source.u.gmfn = mfn_of(page);
        if (frames[i] || !is_dom0()) {
            CHECK_EQ(HC3(grant_table_op, GNTTABOP_copy, &c, 1), 0);
            CHECK(c.status < 0);
        }
        c.dest.u.gmfn = mfn_of(page);
        c.source.u.gmfn = frames[i];
        if (frames[i] || !is_dom0()) {
            CHECK_EQ(HC3(grant_table_op, GNTTABOP_copy, &c, 1), 0);
            CHECK(c.status < 0);
        }
    }
    c.source.u.gmfn = mfn_of(page);
    c.dest.u.gmfn = root_mfn();
    CHECK_EQ(HC3(grant_table_op, GNTTABOP_copy, &c, 1), 0);
    CHECK(c.status < 0);
    /* By gmfn of another domain: only what it has granted. */
    c.dest.u.gmfn = mfn_of(page);
    c.source.domid = is_dom0() ? 0x7ff5 : 0;
    c.source.u.gmfn = 0x1000;
    CHECK_EQ(HC3(grant_table_op, GNTTABOP_copy, &c, 1), 0);
    CHECK(c.status < 0);
    c.source.domid = 31000;
    CHECK_EQ(HC3(grant_table_op, GNTTABOP_copy, &c, 1), 0);
    CHECK(c.status < 0);
    c.flags = GNTCOPY_source_gref;
    c.source.domid = self;
    c.source.u.ref = 0xffffffff;
    CHECK_EQ(HC3(grant_table_op, GNTTABOP_copy, &c, 1), 0);
    CHECK(c.status < 0);
    page_free(page);
}

TEST(attack_grant_counts)
{
    struct gnttab_map_grant_ref *m = page_alloc();
    struct gnttab_setup_table s = {.dom = 0x7ff5, .nr_frames = 1};
    xen_pfn_t frame;

    grant_set_up();
    CHECK_REFUSED(HC3(grant_table_op, GNTTABOP_map_grant_ref, m, 0xffffffff));
    CHECK_REFUSED(HC3(grant_table_op, GNTTABOP_map_grant_ref, m, 0x80000000));
    CHECK_REFUSED(HC3(grant_table_op, GNTTABOP_unmap_grant_ref, -4096UL, 0x7fffffff));
    CHECK_REFUSED(HC3(grant_table_op, GNTTABOP_copy, 0x7fffffffe000, 0x7fffffff));
    CHECK_REFUSED(HC3(grant_table_op, 77, m, 1));
    CHECK_REFUSED(HC3(grant_table_op, 0x80000000, m, 1));
    set_xen_guest_handle(s.frame_list, &frame);
    CHECK_EQ(HC3(grant_table_op, GNTTABOP_setup_table, &s, 1), 0);
    CHECK(s.status < 0);
    if (!is_dom0()) {
        s.dom = 0;
        CHECK_EQ(HC3(grant_table_op, GNTTABOP_setup_table, &s, 1), 0);
        CHECK(s.status < 0);
    }
    s.dom = DOMID_SELF;
    s.nr_frames = 0xffffffff;
    CHECK_EQ(HC3(grant_table_op, GNTTABOP_setup_table, &s, 1), 0);
    CHECK(s.status < 0);
    page_free(m);
}

/* As many mappings of one grant as there is room for, all taken back. */
TEST(attack_grant_many)
{
    u64 *page = page_alloc(), *l1, n = 0;
    static u32 handles[512];

    grant_set_up();
    grant_frame(25, mfn_of(page), GTF_permit_access);
    map_at(SPARE_VA + (9UL << 21), 0);
    l1 = entry_of(SPARE_VA + (9UL << 21), 1);
    for (unsigned round = 0; round < 4; round++) {
        for (n = 0; n < 512; n++)
            if (map_at_flags(25, self, SPARE_VA + (9UL << 21) + n * 4096, GNTMAP_host_map,
                             &handles[n]))
                break;
        CHECK(n >= 128); /* stock Xen has room for so many in a test guest's first table */
        while (n--)
            CHECK_EQ(unmap_at(SPARE_VA + (9UL << 21) + n * 4096, handles[n]), 0);
    }
    CHECK_EQ(grants[25].flags & (GTF_reading | GTF_writing), 0);
    CHECK_EQ(l1[0], 0);
    grants[25].flags = 0;
    page_free(page);
}

TEST(attack_grant_transfer)
{
    struct gnttab_transfer t = {0};
    void *page = page_alloc();

    grant_set_up();
    t.mfn = mfn_of(page);
    t.domid = self;
    t.ref = 30;
    HC3(grant_table_op, GNTTABOP_transfer, &t, 1);
    CHECK(t.status < 0);
    t.domid = 31000;
    HC3(grant_table_op, GNTTABOP_transfer, &t, 1);
    CHECK(t.status < 0);
    t.mfn = root_mfn();
    t.domid = self;
    HC3(grant_table_op, GNTTABOP_transfer, &t, 1);
    CHECK(t.status < 0);
    t.mfn = ~0UL;
    HC3(grant_table_op, GNTTABOP_transfer, &t, 1);
    CHECK(t.status < 0);
    CHECK_EQ(update_va((u64)page, mfn_of(page) << 12 | PTE_RW_), 0);
    page_free(page);
}

/* --- events --- */

TEST(attack_event_ports)
{
    static const u32 ports[] = {0, 4095, 4096, 131071, 131072, 0x7fffffff, 0x80000000, 0xffffffff};

    for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
        struct evtchn_send s = {.port = ports[i]};
        struct evtchn_close c = {.port = ports[i]};
        struct evtchn_status st = {.dom = DOMID_SELF, .port = ports[i]};
        struct evtchn_bind_vcpu bv = {.port = ports[i]};
        struct evtchn_unmask u = {.port = ports[i]};
        struct evtchn_set_priority p = {.port = ports[i], .priority = 1};
        struct evtchn_bind_interdomain b = {.remote_dom = DOMID_SELF, .remote_port = ports[i]};

        CHECK_REFUSED(evtchn(EVTCHNOP_send, &s));
        CHECK_REFUSED(evtchn(EVTCHNOP_close, &c));
        CHECK_REFUSED(evtchn(EVTCHNOP_bind_vcpu, &bv));
        CHECK_REFUSED(evtchn(EVTCHNOP_set_priority, &p));
        CHECK_REFUSED(evtchn(EVTCHNOP_bind_interdomain, &b));
        if (ports[i] > 4096)
            CHECK_REFUSED(evtchn(EVTCHNOP_unmask, &u));
        if (evtchn(EVTCHNOP_status, &st) == 0)
            CHECK_EQ(st.status, EVTCHNSTAT_closed);
        b.remote_dom = 31000;
        CHECK_REFUSED(evtchn(EVTCHNOP_bind_interdomain, &b));
    }
    for (unsigned i = 0; i < 5; i++) {
        static const u32 virqs[] = {24, 0xffffffff, 0x80000000, 64, 255};
        struct evtchn_bind_virq v = {.virq = virqs[i]};
        struct evtchn_bind_ipi ipi = {.vcpu = virqs[i]};

        CHECK_REFUSED(evtchn(EVTCHNOP_bind_virq, &v));
        CHECK_REFUSED(evtchn(EVTCHNOP_bind_ipi, &ipi));
    }
    CHECK_REFUSED(HC2(event_channel_op, 99, ports));
    CHECK_REFUSED(HC2(event_channel_op, ~0UL, ports));
}

/* Other domains' ports: dom0's, by a guest that was not asked. */
TEST(attack_event_others)
{
    if (is_dom0())
        skip("there is nobody to attack");
    for (unsigned port = 1; port < 64; port++) {
        struct evtchn_bind_interdomain b = {.remote_dom = 0, .remote_port = port};

        CHECK_REFUSED(evtchn(EVTCHNOP_bind_interdomain, &b));
    }
}

/* Ports till there are no more. */
TEST(attack_event_exhaustion)
{
    static u32 ports[8192];
    unsigned n;

    for (n = 0; n < ARRAY_SIZE(ports); n++) {
        struct evtchn_alloc_unbound a = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};

        if (evtchn(EVTCHNOP_alloc_unbound, &a))
            break;
        ports[n] = a.port;
        CHECK(a.port < 4096);
    }
    CHECK(n > 900 && n < 4096);
    while (n--) {
        struct evtchn_close c = {.port = ports[n]};

        CHECK_EQ(evtchn(EVTCHNOP_close, &c), 0);
    }
}

/* Control blocks and event arrays that are no memory of one's own. */
TEST(attack_fifo_frames)
{
    static const u64 gfns[] = {0xfffffffff, ~0UL, 1UL << 52};
    struct evtchn_init_control ic = {.vcpu = 0};
    struct evtchn_expand_array ea;

    for (unsigned i = 0; i < ARRAY_SIZE(gfns); i++) {
        ic.control_gfn = gfns[i];
        CHECK_REFUSED(evtchn(EVTCHNOP_init_control, &ic));
        ea.array_gfn = gfns[i];
        CHECK_REFUSED(evtchn(EVTCHNOP_expand_array, &ea));
    }
    ic.control_gfn = root_mfn();
    CHECK_REFUSED(evtchn(EVTCHNOP_init_control, &ic));
    ic.control_gfn = mfn_of(stacks);
    ic.offset = 4090;
    CHECK_REFUSED(evtchn(EVTCHNOP_init_control, &ic));
    ic.offset = 4;
    CHECK_REFUSED(evtchn(EVTCHNOP_init_control, &ic));
    ic.offset = 0;
    ic.vcpu = 99;
    CHECK_REFUSED(evtchn(EVTCHNOP_init_control, &ic));
    ea.array_gfn = root_mfn();
    CHECK_REFUSED(evtchn(EVTCHNOP_expand_array, &ea));
}

static volatile bool stop;

static void churn(unsigned long unused)
{
    (void)unused;
    while (!stop) {
        struct evtchn_alloc_unbound a = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};

        if (evtchn(EVTCHNOP_alloc_unbound, &a))
            continue;
        struct evtchn_bind_interdomain b = {.remote_dom = DOMID_SELF, .remote_port = a.port};
        struct evtchn_close c = {.port = a.port};
        if (!evtchn(EVTCHNOP_bind_interdomain, &b)) {
            struct evtchn_send s = {.port = b.local_port};
            struct evtchn_close c2 = {.port = b.local_port};

            evtchn(EVTCHNOP_send, &s);
            evtchn(EVTCHNOP_close, &c2);
        }
        evtchn(EVTCHNOP_close, &c);
    }
}

/* Two vcpus bind, send and close the same ports. */
TEST(attack_race_events)
{
    u64 end;

    stop = false;
    start_on_cpu1(churn, 0);
    end = now() + 400000000;
    while (now() < end)
        for (unsigned p = 1; p < 16; p++) {
            struct evtchn_send s = {.port = p};
            struct evtchn_bind_interdomain b = {.remote_dom = DOMID_SELF, .remote_port = p};
            struct evtchn_bind_vcpu v = {.port = p, .vcpu = p & 1};

            evtchn(EVTCHNOP_send, &s);
            evtchn(EVTCHNOP_bind_vcpu, &v);
            if (!evtchn(EVTCHNOP_bind_interdomain, &b)) {
                struct evtchn_close c = {.port = b.local_port};

                evtchn(EVTCHNOP_close, &c);
            }
        }
    stop = true;
    wait_cpu1();
    for (unsigned i = 0; i < 64; i++)
        shared_info->evtchn_pending[i] = 0;
}

static u64 *race_page;

static void map_and_unmap(unsigned long hole)
{
    u32 h;

    while (!stop)
        if (!map_at_flags(26, self, hole, GNTMAP_host_map, &h))
            unmap_at(hole, h);
}

/* The granter changes the entry while it is being mapped. */
TEST(attack_race_grants)
{
    u64 end, *hole = hole_alloc();

    grant_set_up();
    race_page = page_alloc();
    stop = false;
    grant_frame(26, mfn_of(race_page), GTF_permit_access);
    start_on_cpu1(map_and_unmap, (u64)hole);
    end = now() + 400000000;
    while (now() < end) {
        WRITE_ONCE(grants[26].frame, root_mfn());
        WRITE_ONCE(grants[26].flags, GTF_permit_access | GTF_readonly);
        WRITE_ONCE(grants[26].domid, 77);
        WRITE_ONCE(grants[26].flags, 0);
        WRITE_ONCE(grants[26].frame, mfn_of(race_page));
        WRITE_ONCE(grants[26].domid, self);
        WRITE_ONCE(grants[26].flags, GTF_permit_access);
    }
    stop = true;
    wait_cpu1();
    grants[26].flags = 0;
    update_va((u64)hole, 0);
    mmuext(MMUEXT_TLB_FLUSH_ALL, 0);
    set_ro(race_page);
    CHECK_EQ(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(race_page)), 0);
    CHECK_EQ(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(race_page)), 0);
    set_rw(race_page);
    page_free(race_page);
    hole_free(hole);
}
