// SPDX-License-Identifier: MIT
/*
 * What the hypervisor's own services cost a paravirtual guest. "bench" runs in a domain whose
 * predecessor, by number, runs "serve": the other side of what is between domains.
 */
#include "bench.h"

#define SHARED_REF  8 /* the server's first grant: struct shared */
#define NR_PAGES    64
#define BALLOON     (64u << 20 >> 12)
#define BATCH       512
#define READY       0x48424244
#define WAIT_ROUNDS 2000

struct shared {
    volatile u32 ready, port, stop;
};

/* Blocks until the port's count is no longer `seen`. */
static void await(unsigned port, u64 seen)
{
    for (;;) {
        events_off();
        if (event_count[port] != seen)
            break;
        HC2(sched_op, SCHEDOP_block, 0);
    }
    events_on();
}

/* --- within the domain --- */

TEST(bench_null)
{
    MEASURE(1, "null_hypercall", COUNT, ROUNDS, {
        for (unsigned i = 0; i < COUNT; i++)
            HC2(xen_version, XENVER_version, 0);
    });
}

TEST(bench_send)
{
    struct evtchn_alloc_unbound a = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
    struct evtchn_bind_interdomain b = {.remote_dom = DOMID_SELF};

    REQUIRE_EQ(evtchn(EVTCHNOP_alloc_unbound, &a), 0);
    b.remote_port = a.port;
    REQUIRE_EQ(evtchn(EVTCHNOP_bind_interdomain, &b), 0);
    unmask_port(a.port);
    events_off();
    MEASURE(2, "event_send", COUNT, ROUNDS, {
        for (unsigned i = 0; i < COUNT; i++) {
            send(b.local_port);
            vcpu_info()->evtchn_upcall_pending = 0;
            vcpu_info()->evtchn_pending_sel = 0;
            clear_port(a.port);
        }
    });
    events_on();
    close_port(b.local_port);
    close_port(a.port);
}

static volatile u32 there, back;
static volatile bool finished;

static void echo(unsigned long unused)
{
    u64 seen;

    (void)unused;
    there = bind_ipi();
    unmask_port(there);
    for (seen = event_count[there];; seen++) {
        await(there, seen);
        if (finished)
            break;
        send(back);
    }
    close_port(there);
}

TEST(bench_vcpus)
{
    there = 0;
    finished = false;
    back = bind_ipi();
    unmask_port(back);
    start_on_cpu1(echo, 0);
    while (!there)
        HC2(sched_op, SCHEDOP_yield, 0);
    MEASURE(3, "event_round_trip_vcpus", COUNT, ROUNDS, {
        for (unsigned i = 0; i < COUNT; i++) {
            u64 seen = event_count[back];

            send(there);
            await(back, seen);
        }
    });
    finished = true;
    send(there);
    wait_cpu1();
    close_port(back);
}

TEST(bench_mmu)
{
    static struct mmu_update u[2][NR_PAGES];
    u8 *page[NR_PAGES];

    for (unsigned i = 0; i < NR_PAGES; i++) {
        page[i] = page_alloc();
        u[0][i].ptr = u[1][i].ptr = maddr_of(entry_of((u64)page[i], 1));
        u[0][i].val = mfn_of(page[i]) << 12 | PTE_RO_;
        u[1][i].val = mfn_of(page[i]) << 12 | PTE_RW_;
    }
    MEASURE(4, "mmu_update_1", COUNT, ROUNDS, {
        for (unsigned i = 0; i < COUNT; i++)
            HC4(mmu_update, u[i & 1], 1, 0, DOMID_SELF);
    });
    MEASURE(5, "mmu_update_64", 50, ROUNDS, {
        for (unsigned i = 0; i < 50; i++)
            HC4(mmu_update, u[i & 1], NR_PAGES, 0, DOMID_SELF);
    });
    MEASURE(6, "update_va_mapping", COUNT, ROUNDS, {
        for (unsigned i = 0; i < COUNT; i++)
            HC3(update_va_mapping, page[0], u[i & 1][0].val, UVMF_INVLPG);
    });
    for (unsigned i = 0; i < NR_PAGES; i++) {
        set_rw(page[i]);
        page_free(page[i]);
    }
}

/*
 * A plain store to an entry, as a kernel makes one; and what would have to be done instead if its
 * table were taken out of use for a while to be written freely: checked as a whole, let go again.
 */
TEST(bench_tables)
{
    u64 *page = page_alloc(), *table = page_alloc(), *e = entry_of((u64)page, 1);
    u64 rw = mfn_of(page) << 12 | PTE_RW_, ro = mfn_of(page) << 12 | PTE_RO_;

    REQUIRE_EQ(HC2(vm_assist, VMASST_CMD_enable, VMASST_TYPE_writable_pagetables), 0);
    MEASURE(15, "page_table_write", COUNT, ROUNDS, {
        for (unsigned i = 0; i < COUNT; i++)
            WRITE_ONCE(*e, i & 1 ? rw : ro);
    });
    for (unsigned i = 0; i < 512; i++)
        table[i] = rw;
    set_ro(table);
    MEASURE(16, "page_table_pin_unpin", 50, ROUNDS, {
        for (unsigned i = 0; i < 50; i++) {
            mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(table));
            mmuext(MMUEXT_UNPIN_TABLE, mfn_of(table));
        }
    });
    set_rw(table);
    page_free(table);
    page_free(page);
}

static long reservation(unsigned cmd, xen_pfn_t *list, unsigned n)
{
    struct xen_memory_reservation r = {.nr_extents = n, .domid = DOMID_SELF};

    set_xen_guest_handle(r.extent_start, list);
    return HC2(memory_op, cmd, &r);
}

/* Pages that nothing maps, from the end; back again under the same numbers. */
static void balloon(void)
{
    static xen_pfn_t list[BATCH];
    u64 first = boot_info.nr_pages - BALLOON;

    for (u64 pfn = first; pfn < first + BALLOON; pfn += BATCH) {
        memcpy(list, p2m() + pfn, sizeof(list));
        REQUIRE_EQ(reservation(XENMEM_decrease_reservation, list, BATCH), BATCH);
    }
    for (u64 pfn = first; pfn < first + BALLOON; pfn += BATCH) {
        for (unsigned i = 0; i < BATCH; i++)
            list[i] = pfn + i;
        REQUIRE_EQ(reservation(XENMEM_populate_physmap, list, BATCH), BATCH);
        memcpy(p2m() + pfn, list, sizeof(list));
    }
}

TEST(bench_balloon)
{
    if (boot_info.nr_pages < BALLOON + (32u << 20 >> 12))
        skip("too small for it");
    MEASURE(7, "balloon_64_MB_out_and_in", 1, 3, balloon());
}

/* --- with another domain --- */

static void map_pages(domid_t dom, u8 **at, unsigned n, u32 *handles)
{
    static struct gnttab_map_grant_ref m[NR_PAGES];

    for (unsigned i = 0; i < n; i++)
        m[i] = (struct gnttab_map_grant_ref){
            .host_addr = (u64)at[i], .flags = GNTMAP_host_map, .ref = SHARED_REF + i, .dom = dom};
    HC3(grant_table_op, GNTTABOP_map_grant_ref, m, n);
    for (unsigned i = 0; i < n; i++)
        handles[i] = m[i].status == GNTST_okay ? m[i].handle : ~0u;
}

static void unmap_pages(u8 **at, unsigned n, const u32 *handles)
{
    static struct gnttab_unmap_grant_ref u[NR_PAGES];

    for (unsigned i = 0; i < n; i++)
        u[i] = (struct gnttab_unmap_grant_ref){.host_addr = (u64)at[i], .handle = handles[i]};
    HC3(grant_table_op, GNTTABOP_unmap_grant_ref, u, n);
}

static void copy_from(domid_t dom, const void *to, unsigned bytes)
{
    struct gnttab_copy c = {.len = bytes, .flags = GNTCOPY_source_gref};

    c.source.u.ref = SHARED_REF;
    c.source.domid = dom;
    c.dest.u.gmfn = mfn_of(to);
    c.dest.domid = DOMID_SELF;
    HC3(grant_table_op, GNTTABOP_copy, &c, 1);
    if (c.status != GNTST_okay)
        die("copy: %d", c.status);
}

static struct shared *find_server(domid_t server, u8 **at, u32 *handles)
{
    for (unsigned i = 0; i < WAIT_ROUNDS; i++) {
        map_pages(server, at, 1, handles);
        if (handles[0] != ~0u) {
            struct shared *s = (struct shared *)at[0];

            while (s->ready != READY)
                sleep_ms(1);
            return s;
        }
        sleep_ms(10);
    }
    die("no server");
}

TEST(bench_domains)
{
    static u32 handles[NR_PAGES], first[1];
    domid_t server = own_domid() - 1;
    struct evtchn_bind_interdomain b = {.remote_dom = server};
    u8 *at[NR_PAGES], *page = page_alloc(), *first_at[1] = {hole_page()};
    struct shared *s;

    s = find_server(server, first_at, first);
    b.remote_port = s->port;
    REQUIRE_EQ(evtchn(EVTCHNOP_bind_interdomain, &b), 0);
    unmask_port(b.local_port);
    MEASURE(8, "event_round_trip_domains", COUNT, ROUNDS, {
        for (unsigned i = 0; i < COUNT; i++) {
            u64 seen = event_count[b.local_port];

            send(b.local_port);
            await(b.local_port, seen);
        }
    });
    for (unsigned i = 0; i < NR_PAGES; i++)
        at[i] = hole_page();
    MEASURE(9, "grant_map_unmap", COUNT, ROUNDS, {
        for (unsigned i = 0; i < COUNT; i++) {
            map_pages(server, at, 1, handles);
            unmap_pages(at, 1, handles);
        }
    });
    MEASURE(10, "grant_map_unmap_64", 20, ROUNDS, {
        for (unsigned i = 0; i < 20; i++) {
            map_pages(server, at, NR_PAGES, handles);
            unmap_pages(at, NR_PAGES, handles);
        }
    });
    MEASURE(11, "grant_copy_64_bytes", COUNT, ROUNDS, {
        for (unsigned i = 0; i < COUNT; i++)
            copy_from(server, page, 64);
    });
    MEASURE(12, "grant_copy_a_page", COUNT, ROUNDS, {
        for (unsigned i = 0; i < COUNT; i++)
            copy_from(server, page, 4096);
    });
    s->stop = true;
    send(b.local_port);
    unmap_pages(first_at, 1, first);
}

TEST(serve)
{
    domid_t client = own_domid() + 1;
    struct evtchn_alloc_unbound a = {.dom = DOMID_SELF, .remote_dom = client};
    struct shared *s = NULL;
    u64 seen;

    REQUIRE_EQ(evtchn(EVTCHNOP_alloc_unbound, &a), 0);
    unmask_port(a.port);
    seen = event_count[a.port];
    grant_table_map();
    for (unsigned i = NR_PAGES; i--;) {
        void *page = page_alloc();

        s = page;
        grant_page(SHARED_REF + i, client, page);
    }
    s->port = a.port;
    s->ready = READY;
    for (;; seen++) {
        await(a.port, seen);
        if (s->stop)
            break;
        send(a.port);
    }
    sleep_ms(100);
}

/* --- on four CPUs at once, each with grants and places of its own --- */

#define SMP_CPUS  4
#define SMP_PAGES 8

static volatile unsigned at_start, done;

static void map_on(unsigned long count)
{
    unsigned me = this_cpu()->id;
    struct gnttab_map_grant_ref m;
    struct gnttab_unmap_grant_ref u;
    u8 *at = hole_page();

    __atomic_add_fetch(&at_start, 1, __ATOMIC_SEQ_CST);
    while (at_start <= SMP_CPUS)
        cpu_pause();
    for (unsigned i = 0; i < count; i++) {
        m = (struct gnttab_map_grant_ref){.host_addr = (u64)at,
                                          .flags = GNTMAP_host_map,
                                          .ref = SHARED_REF + me * SMP_PAGES + i % SMP_PAGES};
        HC3(grant_table_op, GNTTABOP_map_grant_ref, &m, 1);
        if (m.status != GNTST_okay)
            die("map: %d", m.status);
        u = (struct gnttab_unmap_grant_ref){.host_addr = (u64)at, .handle = m.handle};
        HC3(grant_table_op, GNTTABOP_unmap_grant_ref, &u, 1);
    }
    __atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST);
    while (done < SMP_CPUS)
        cpu_pause();
}

/* In the first domain of a machine, whose number is 0: its grants are its own. */
TEST(smp_grant_map)
{
    if (nr_vcpus() < SMP_CPUS)
        skip("needs four vcpus");
    grant_table_map();
    for (unsigned i = 0; i < SMP_CPUS * SMP_PAGES; i++)
        grant_page(SHARED_REF + i, 0, page_alloc());
    for (unsigned i = 1; i < SMP_CPUS; i++)
        start_on_cpu(i, map_on, COUNT);
    __atomic_add_fetch(&at_start, 1, __ATOMIC_SEQ_CST);
    while (at_start < SMP_CPUS)
        cpu_pause();
    MEASURE(13, "grant_map_unmap_4_CPUs", SMP_CPUS * COUNT, 1, map_on(COUNT));
}
