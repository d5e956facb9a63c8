// SPDX-License-Identifier: MIT
/* Everything else: grants, events, multicalls, descriptors, the console, the tools' interface. */
#include "preempt.h"

#define MAPS     4096 /* grant operations in one call */
#define FIRST    8
#define FRAMES   1024 /* of a grant table: the most that there can be */
#define MAP_AREA (SPARE_VA + (1UL << 30))

static void set_up_grants(domid_t to)
{
    static struct gnttab_setup_table s = {.dom = DOMID_SELF, .nr_frames = FRAMES};
    static xen_pfn_t frames[FRAMES];
    void *page = page_alloc();

    set_xen_guest_handle(s.frame_list, frames);
    WORK(30, "grant_table_op: setup_table, 1024 frames",
         HC3(grant_table_op, GNTTABOP_setup_table, &s, 1), 0);
    CHECK_EQ(s.status, GNTST_okay);
    grant_table_map();
    for (unsigned i = FIRST; i < 512; i++)
        grant_page(i, to, page);
    for (unsigned i = 0; i < MAPS; i += 512)
        map_at(MAP_AREA + i * 4096UL, 0);
}

TEST(grants)
{
    struct gnttab_map_grant_ref *m = (void *)area;
    struct gnttab_unmap_grant_ref *u = (void *)area;
    struct gnttab_copy *c = (void *)area;
    struct gnttab_set_version v = {.version = 2};
    static u32 handles[MAPS];
    domid_t self = own_domid();

    set_up_grants(self);
    for (unsigned i = 0; i < MAPS; i++)
        m[i] = (struct gnttab_map_grant_ref){.host_addr = MAP_AREA + i * 4096UL,
                                             .flags = GNTMAP_host_map,
                                             .ref = FIRST + i % 500,
                                             .dom = self};
    WORK(31, "grant_table_op: map, 4096", HC3(grant_table_op, GNTTABOP_map_grant_ref, m, MAPS), 0);
    for (unsigned i = 0; i < MAPS; i++) {
        handles[i] = m[i].handle;
        if (m[i].status)
            die("map %u: %d", i, m[i].status);
    }
    for (unsigned i = 0; i < MAPS; i++)
        u[i] = (struct gnttab_unmap_grant_ref){.host_addr = MAP_AREA + i * 4096UL,
                                               .handle = handles[i]};
    WORK(32, "grant_table_op: unmap, 4096", HC3(grant_table_op, GNTTABOP_unmap_grant_ref, u, MAPS),
         0);
    void *to = page_alloc();
    for (unsigned i = 0; i < MAPS; i++) {
        c[i] = (struct gnttab_copy){.len = 4096, .flags = GNTCOPY_source_gref};
        c[i].source.u.ref = FIRST + i % 500;
        c[i].source.domid = c[i].dest.domid = DOMID_SELF;
        c[i].dest.u.gmfn = mfn_of(to);
    }
    WORK(33, "grant_table_op: copy, 4096 pages", HC3(grant_table_op, GNTTABOP_copy, c, MAPS), 0);
    CHECK_EQ(c[MAPS - 1].status, GNTST_okay);
    WORK(34, "grant_table_op: set_version, 1024 frames",
         HC3(grant_table_op, GNTTABOP_set_version, &v, 1), 0);
    v.version = 1;
    WORK(53, "grant_table_op: set_version, back", HC3(grant_table_op, GNTTABOP_set_version, &v, 1),
         0);
}

/* --- events --- */

/* Pairs of ports, of dom and of this domain. */
static unsigned open_ports(domid_t dom, unsigned most)
{
    unsigned n = 0;

    while (n < most) {
        struct evtchn_alloc_unbound a = {.dom = dom, .remote_dom = DOMID_SELF};
        struct evtchn_bind_interdomain b = {.remote_dom = dom};

        if (evtchn(EVTCHNOP_alloc_unbound, &a))
            break;
        b.remote_port = a.port;
        if (evtchn(EVTCHNOP_bind_interdomain, &b))
            break;
        n += 2;
    }
    return n;
}

TEST(ports)
{
    static evtchn_port_t ports[128];
    struct sched_poll p = {.nr_ports = 128, .timeout = 1};
    struct evtchn_reset r = {.dom = DOMID_SELF};

    /* Closing is from the lowest on: the timer's port is to be the last. */
    ticks_lost();
    CHECK(open_ports(DOMID_SELF, 4000) == 4000);
    for (unsigned i = 0; i < 128; i++)
        ports[i] = 3000 + i;
    set_xen_guest_handle(p.ports, ports);
    WORK(35, "sched_op: poll of 128 ports", HC2(sched_op, SCHEDOP_poll, &p), 0);
    WORK(36, "event_channel_op: reset, 4000 ports", ({
             long ret = evtchn(EVTCHNOP_reset, &r);

             ticks_lost();
             ret;
         }),
         0);
}

/* --- lists of calls --- */

#define NR_CALLS (AREA_SIZE / sizeof(struct multicall_entry))

TEST(multicall)
{
    struct multicall_entry *m = (void *)area;
    static char text[1024];

    for (unsigned i = 0; i < NR_CALLS; i++) {
        m[i].op = __HYPERVISOR_xen_version;
        m[i].args[0] = XENVER_version;
    }
    WORK(37, "multicall: 32768 of the simplest", HC2(multicall, m, NR_CALLS), 0);
    for (unsigned i = 0; i < NR_CALLS; i++) {
        m[i].op = __HYPERVISOR_xen_version;
        m[i].args[0] = XENVER_extraversion;
        m[i].args[1] = (u64)text;
    }
    WORK(38, "multicall: 32768 that copy", HC2(multicall, m, NR_CALLS), 0);
}

/* --- descriptors --- */

TEST(descriptors)
{
    static struct trap_info table[257];
    static u64 frames[16];
    u64 *page = page_alloc();

    fill_trap_table(table);
    WORK(39, "set_trap_table: 256 vectors", HC1(set_trap_table, table), 0);
    load_default_traps();
    for (unsigned i = 0; i < 512; i++)
        page[i] = 0x00cffb000000ffffUL; /* a 32-bit code segment of ring 3 */
    set_ro(page);
    for (unsigned i = 0; i < 14; i++)
        frames[i] = mfn_of(page);
    WORK(40, "set_gdt: 14 pages", HC2(set_gdt, frames, 7168), 0);
    WORK(41, "set_gdt: none", HC2(set_gdt, frames, 0), 0);
    set_rw(page);
    page_free(page);
}

/* --- the console --- */

TEST(console)
{
    memset(area, '.', AREA_SIZE);
    for (unsigned i = 79; i < AREA_SIZE; i += 80)
        area[i] = '\n';
    WORK(42, "console_io: 64 KB", HC3(console_io, CONSOLEIO_write, 819 * 80, area), 0);
}

/* --- the tools' interface --- */

static struct xen_domctl op;

static long domctl(unsigned cmd)
{
    op.cmd = cmd;
    op.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    return HC1(domctl, &op);
}

static domid_t create(unsigned vcpus, u64 pages)
{
    memset(&op, 0, sizeof(op));
    op.domain = 77;
    op.u.createdomain.max_vcpus = vcpus;
    op.u.createdomain.max_evtchn_port = -1;
    op.u.createdomain.max_grant_frames = FRAMES;
    op.u.createdomain.max_maptrack_frames = 4096;
    op.u.createdomain.grant_opts = XEN_DOMCTL_GRANT_version(2);
    WORK(43, "domctl: createdomain", domctl(XEN_DOMCTL_createdomain), 0);
    op.u.max_mem.max_memkb = pages * 4 + 1024;
    REQUIRE_EQ(domctl(XEN_DOMCTL_max_mem), 0);
    op.u.max_vcpus.max = vcpus;
    WORK(44, "domctl: max_vcpus, 512", domctl(XEN_DOMCTL_max_vcpus), 0);
    return op.domain;
}

#define FOREIGN_PAGES 131072

static void tables_of(domid_t dom)
{
    xen_pfn_t *list = (xen_pfn_t *)area;

    for (unsigned i = 0; i < FOREIGN_PAGES; i++)
        list[i] = i;
    WORK(45, "memory_op: populate_physmap, another's 131072 pages",
         reservation(XENMEM_populate_physmap, list, FOREIGN_PAGES, 0, dom), FOREIGN_PAGES);
    op.u.getpageframeinfo3.num = 1024;
    set_xen_guest_handle(op.u.getpageframeinfo3.array, list);
    WORK(46, "domctl: getpageframeinfo3, 1024", domctl(XEN_DOMCTL_getpageframeinfo3), 0);
    op.u.iomem_permission.first_mfn = 0x100000;
    op.u.iomem_permission.nr_mfns = 1UL << 30;
    op.u.iomem_permission.allow_access = 1;
    WORK(47, "domctl: iomem_permission, 4 TB", (domctl(XEN_DOMCTL_iomem_permission), 0), 0);
}

static void grants_of(domid_t dom)
{
    struct xen_mem_acquire_resource r = {.domid = dom,
                                         .type = XENMEM_resource_grant_table,
                                         .id = XENMEM_resource_grant_table_id_shared,
                                         .frame = FRAMES - 1,
                                         .nr_frames = 1};
    xen_pfn_t frame;

    set_xen_guest_handle(r.frame_list, &frame);
    WORK(52, "memory_op: acquire_resource, another's last grant frame of 1024",
         HC2(memory_op, XENMEM_acquire_resource, &r), 0);
}

TEST(domctl)
{
    struct evtchn_reset own_ports = {.dom = DOMID_SELF};
    domid_t dom;

    if (!is_dom0())
        skip("for the first domain");
    dom = create(512, FOREIGN_PAGES);
    tables_of(dom);
    grants_of(dom);
    ticks_lost();
    CHECK(open_ports(dom, 4000) == 4000);
    WORK(48, "domctl: destroydomain, 512 vcpus, 512 MB, 2000 ports", ({
             long ret;

             while ((ret = domctl(XEN_DOMCTL_destroydomain)) == -EBUSY)
                 ;
             ret;
         }),
         0);
    WORK(49, "... and what is freed later", ({
             sleep_ms(20);
             0;
         }),
         0);
    evtchn(EVTCHNOP_reset, &own_ports);
    ticks_lost();
}

TEST(sysctl)
{
    static struct xen_sysctl s;

    if (!is_dom0())
        skip("for the first domain");
    s.interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    s.cmd = XEN_SYSCTL_readconsole;
    s.u.readconsole.count = AREA_SIZE;
    set_xen_guest_handle(s.u.readconsole.buffer, (char *)area);
    WORK(50, "sysctl: readconsole, 2 MB", HC1(sysctl, &s), 0);
    s.cmd = XEN_SYSCTL_getdomaininfolist;
    memset(&s.u, 0, sizeof(s.u));
    s.u.getdomaininfolist.max_domains = 10000;
    set_xen_guest_handle(s.u.getdomaininfolist.buffer, (void *)area);
    WORK(51, "sysctl: getdomaininfolist", HC1(sysctl, &s), 0);
}
