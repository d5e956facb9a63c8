// SPDX-License-Identifier: MIT
/* Grant tables: pins, handles, references; versions; copies; transfers; a granter that cheats. */
#include "event/domains.h"
#include "grant/private.h"

unsigned opt_gnttab_max_frames = 4, opt_gnttab_max_maptrack_frames = 2, opt_gnttab_max_ver = 2;

static struct domain *d0, *d1, *d2;
static struct xen_domctl_createdomain cfg;
static struct grant_entry_v1 *v1; /* d1's */
static union grant_entry_v2 *v2;
static char *page[4]; /* d1's */
static uint64_t random_state;

static uint32_t rnd(uint32_t n)
{
    random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(random_state >> 33) % n;
}

/* --- what the other rooms do --- */

static struct pte {
    uint64_t addr, mfn;
    bool writable;
} ptes[1024];
static int map_answer = GNTST_okay;
static void (*unmap_hook)(void);

static struct pte *find_pte(uint64_t addr)
{
    for (unsigned i = 0; i < ARRAY_SIZE(ptes); i++)
        if (ptes[i].addr == addr)
            return &ptes[i];
    return NULL;
}

int mm_grant_map(uint64_t host_addr, mfn_t mfn, unsigned gnt_flags)
{
    struct pte *p = find_pte(0);

    assert_true(fake_irqs_on);
    if (map_answer != GNTST_okay)
        return map_answer;
    if (!host_addr || find_pte(host_addr))
        return GNTST_general_error;
    *p = (struct pte){host_addr, mfn_x(mfn), !(gnt_flags & GNTMAP_readonly)};
    return GNTST_okay;
}

int mm_grant_unmap(uint64_t host_addr, mfn_t mfn, uint64_t new_addr, unsigned gnt_flags)
{
    struct pte *p = find_pte(host_addr);

    (void)new_addr, (void)gnt_flags;
    if (unmap_hook)
        unmap_hook();
    if (!p || p->mfn != mfn_x(mfn))
        return GNTST_general_error;
    p->addr = 0;
    return GNTST_okay;
}

static struct page_info *stolen; /* and some CPU may still write to it */

int steal_page(struct domain *d, struct page_info *pg, unsigned memflags)
{
    (void)memflags;
    if (page_owner(pg) != d || pg->refs != (PAGE_ALLOCATED | 1))
        return -EINVAL;
    page_set_owner(pg, NULL);
    pg->refs = 0;
    stolen = pg;
    return 0;
}

void flush_stolen(const struct page_info *last)
{
    assert_ptr_equal(last, stolen);
    stolen = NULL;
}

static int assign_answer;

int assign_pages(struct domain *d, struct page_info *pg, unsigned order, unsigned memflags)
{
    (void)order, (void)memflags;
    assert_ptr_not_equal(pg, stolen);
    if (assign_answer)
        return assign_answer;
    page_set_owner(pg, d);
    pg->refs = PAGE_ALLOCATED | 1;
    return 0;
}

/* --- set-up --- */

static int setup(void **state)
{
    (void)state;
    fake_init(2);
    if (!max_page)
        fake_ram_init(8192);
    random_state = 7;
    memset(ptes, 0, sizeof(ptes));
    map_answer = GNTST_okay;
    cfg = (struct xen_domctl_createdomain){.max_grant_frames = -1,
                                           .max_maptrack_frames = -1,
                                           .grant_opts = XEN_DOMCTL_GRANT_version(2),
                                           .max_vcpus = 2};
    d0 = make_domain(0, 2, &cfg);
    d1 = make_domain(1, 1, &cfg);
    d2 = make_domain(2, 1, &cfg);
    fake_run_on(0, d0->vcpu[0]);
    cpumask_set_cpu(0, &d0->dirty_cpus);
    v1 = d1->grant->shared[0];
    v2 = d1->grant->shared[0];
    for (unsigned i = 0; i < ARRAY_SIZE(page); i++)
        page[i] = guest_page(d1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    /* Who maps dies first here; tests of other orders do it themselves. */
    if (test_domains[0])
        kill_domain(d0);
    if (test_domains[2])
        kill_domain(d2);
    for (unsigned i = 0; i < ARRAY_SIZE(page); i++) {
        assert_int_equal(page_refs(page[i]), 1);
        assert_int_equal(page_types(page[i]), 0);
        free_page_virt(page[i]);
    }
    if (test_domains[1])
        kill_domain(d1);
    assert_int_equal(fake_allocations, 0);
    return 0;
}

static void grant(uint32_t ref, domid_t to, const void *va, uint16_t flags)
{
    v1[ref].domid = to;
    v1[ref].frame = (uint32_t)frame_of(va);
    smp_wmb();
    v1[ref].flags = flags;
}

static struct call call_for(struct vcpu *v, struct domain *target)
{
    return (struct call){.v = v, .d = target};
}

static struct gnttab_map_grant_ref map_by(struct vcpu *v, uint32_t ref, uint64_t addr,
                                          uint32_t flags)
{
    struct gnttab_map_grant_ref a = {.host_addr = addr, .flags = flags, .ref = ref, .dom = 1};
    struct call c = call_for(v, d1);

    assert_int_equal(gnttabop_map_grant_ref(&c, &a), 0);
    return a;
}

static struct gnttab_map_grant_ref map(uint32_t ref, uint64_t addr, uint32_t flags)
{
    return map_by(d0->vcpu[0], ref, addr, flags);
}

static int unmap(uint32_t handle, uint64_t addr, uint64_t bus)
{
    struct gnttab_unmap_grant_ref a = {.host_addr = addr, .dev_bus_addr = bus, .handle = handle};
    struct call c = call_for(d0->vcpu[0], d0);

    assert_int_equal(gnttabop_unmap_grant_ref(&c, &a), 0);
    c.at_end(c.v);
    return a.status;
}

static long set_version(struct domain *d, uint32_t version)
{
    struct gnttab_set_version a = {.version = version};
    struct call c = call_for(d->vcpu[0], d);

    return gnttabop_set_version(&c, &a);
}

#define RO   GNTMAP_readonly
#define HOST GNTMAP_host_map
#define DEV  GNTMAP_device_map

/* --- tests --- */

static void test_map(void **state)
{
    struct gnttab_map_grant_ref a, b;
    unsigned flushes;

    (void)state;
    grant(8, 0, page[0], GTF_permit_access);
    a = map(8, 0x1000, HOST | RO);
    assert_int_equal(a.status, GNTST_okay);
    assert_int_equal(a.dev_bus_addr, frame_of(page[0]) << PAGE_SHIFT);
    assert_int_equal(v1[8].flags, GTF_permit_access | GTF_reading);
    assert_int_equal(page_refs(page[0]), 2);
    assert_int_equal(page_types(page[0]), 0);
    assert_int_equal(d1->refs, 2);

    b = map(8, 0x2000, HOST);
    assert_int_equal(b.status, GNTST_okay);
    assert_int_not_equal(a.handle, b.handle);
    assert_int_equal(v1[8].flags, GTF_permit_access | GTF_reading | GTF_writing);
    assert_int_equal(page_types(page[0]), 1);

    flushes = fake_tlb_flushes;
    assert_int_equal(unmap(b.handle, 0x2000, 0), GNTST_okay);
    assert_true(fake_tlb_flushes > flushes);
    assert_int_equal(v1[8].flags, GTF_permit_access | GTF_reading);
    assert_int_equal(page_types(page[0]), 0);
    assert_int_equal(unmap(b.handle, 0x2000, 0), GNTST_bad_handle);
    assert_int_equal(unmap(a.handle, 0x1000, 0), GNTST_okay);
    assert_int_equal(v1[8].flags, GTF_permit_access);
    assert_int_equal(d1->refs, 1);
    assert_null(find_pte(0x1000));
}

static void test_map_errors(void **state)
{
    struct call c = call_for(d0->vcpu[0], NULL);
    struct gnttab_map_grant_ref a = {.flags = HOST, .host_addr = 0x1000, .dom = 77};

    (void)state;
    assert_int_equal(gnttabop_map_grant_ref(&c, &a), 0);
    assert_int_equal(a.status, GNTST_bad_domain);
    assert_int_equal(map(8, 0x1000, 0).status, GNTST_bad_gntref);
    assert_int_equal(map(ENTRIES_V1, 0x1000, HOST).status, GNTST_bad_gntref);
    assert_int_equal(map(~0u, 0x1000, HOST).status, GNTST_bad_gntref);
    assert_int_equal(map(8, 0x1000, HOST).status, GNTST_general_error); /* not granted */
    grant(8, 2, page[0], GTF_permit_access);
    assert_int_equal(map(8, 0x1000, HOST).status, GNTST_general_error); /* not to us */
    grant(8, 0, page[0], GTF_permit_access | GTF_readonly);
    assert_int_equal(map(8, 0x1000, HOST).status, GNTST_general_error);
    assert_int_equal(v1[8].flags, GTF_permit_access | GTF_readonly);
    grant(8, 0, page[0], GTF_accept_transfer);
    assert_int_equal(map(8, 0x1000, HOST).status, GNTST_general_error);
    grant(8, 0, d2, GTF_permit_access); /* a frame that is not its own */
    assert_int_equal(map(8, 0x1000, HOST | RO).status, GNTST_bad_page);
    v1[8].frame = ~0u;
    assert_int_equal(map(8, 0x1000, HOST | RO).status, GNTST_bad_page);
    assert_int_equal(v1[8].flags, GTF_permit_access);

    grant(8, 0, page[1], GTF_permit_access); /* a page table: to read only */
    page_of(page[1])->type = PGT_l1 | 1;
    assert_int_equal(map(8, 0x1000, HOST).status, GNTST_general_error);
    assert_int_equal(page_refs(page[1]), 1);
    page_of(page[1])->type = 0;
    map_answer = GNTST_bad_virt_addr;
    assert_int_equal(map(8, 0x1000, HOST).status, GNTST_bad_virt_addr);
    map_answer = GNTST_okay;
    assert_int_equal(v1[8].flags, GTF_permit_access);
    assert_int_equal(d1->refs, 1);
    assert_int_equal(d0->grant->mapped, 0);
    assert_int_equal(unmap(0, 0x1000, 0), GNTST_bad_handle);
    assert_int_equal(unmap(~0u, 0x1000, 0), GNTST_bad_handle);

    d1->dying = DOMDYING_dying;
    assert_int_equal(map(8, 0x1000, HOST).status, GNTST_bad_domain);
    d1->dying = DOMDYING_alive;
}

static void test_device_and_host(void **state)
{
    uint64_t bus = frame_of(page[0]) << PAGE_SHIFT;
    struct gnttab_map_grant_ref a;

    (void)state;
    grant(9, 0, page[0], GTF_permit_access);
    a = map(9, 0x5000, HOST | DEV);
    assert_int_equal(a.status, GNTST_okay);
    assert_int_equal(unmap(a.handle, 0, bus + PAGE_SIZE), GNTST_bad_dev_addr);
    assert_int_equal(unmap(a.handle, 0x6000, 0), GNTST_general_error);
    assert_int_equal(unmap(a.handle, 0x5000, 0), GNTST_okay);
    assert_int_equal(v1[9].flags & GTF_writing, GTF_writing); /* devices may go on */
    assert_int_equal(unmap(a.handle, 0, 0), GNTST_okay);
    assert_int_equal(page_refs(page[0]), 2);
    assert_int_equal(unmap(a.handle, 0, bus), GNTST_okay);
    assert_int_equal(v1[9].flags, GTF_permit_access);
    assert_int_equal(unmap(a.handle, 0, bus), GNTST_bad_handle);
}

/* A batch flushes once, and until then the entries stay in use. */
static void test_unmap_batch(void **state)
{
    struct call c = call_for(d0->vcpu[0], d0);
    uint32_t handle[100];
    unsigned flushes;

    (void)state;
    for (uint32_t i = 0; i < 100; i++) {
        grant(8 + i, 0, page[i % 4], GTF_permit_access);
        handle[i] = map(8 + i, 0x1000 * (i + 1ULL), HOST).handle;
    }
    flushes = fake_tlb_flushes;
    for (uint32_t i = 0; i < 100; i++) {
        struct gnttab_unmap_grant_ref a = {.host_addr = 0x1000 * (i + 1ULL), .handle = handle[i]};

        assert_int_equal(gnttabop_unmap_grant_ref(&c, &a), 0);
        assert_int_equal(a.status, GNTST_okay);
        assert_int_equal(gnttabop_unmap_grant_ref(&c, &a), 0);
        assert_int_equal(a.status, GNTST_bad_handle);
    }
    assert_int_equal(v1[8].flags, GTF_permit_access);
    assert_int_equal(v1[8 + 99].flags & GTF_writing, GTF_writing);
    assert_int_not_equal(page_types(page[3]), 0);
    assert_int_equal(fake_tlb_flushes, flushes + 3);
    c.at_end(c.v);
    assert_int_equal(fake_tlb_flushes, flushes + 4);
    assert_int_equal(v1[8 + 99].flags, GTF_permit_access);
    assert_int_equal(d0->grant->mapped, 0);
}

static uint32_t hook_handle;

static void unmap_again(void)
{
    unmap_hook = NULL;
    assert_int_equal(unmap(hook_handle, 0x5000, 0), GNTST_bad_handle);
}

/* Two vcpus with the same handle: one undoes it. */
static void test_unmap_race(void **state)
{
    (void)state;
    grant(9, 0, page[0], GTF_permit_access);
    hook_handle = map(9, 0x5000, HOST).handle;
    unmap_hook = unmap_again;
    assert_int_equal(unmap(hook_handle, 0x5000, 0), GNTST_okay);
    assert_null(unmap_hook);
    assert_int_equal(page_refs(page[0]), 1);
}

static void test_handles(void **state)
{
    static uint32_t handle[2 * MAPTRACK_PER_PAGE];
    struct gnttab_map_grant_ref a;
    unsigned n = ARRAY_SIZE(handle);

    (void)state;
    grant(8, 0, page[0], GTF_permit_access);
    for (unsigned i = 0; i < n; i++) {
        a = map_by(d0->vcpu[i == 300], 8, 0x1000 * (i + 1ULL), HOST);
        assert_int_equal(a.status, GNTST_okay);
        handle[i] = a.handle;
        for (unsigned k = 0; k < i; k++)
            assert_int_not_equal(handle[k], handle[i]);
    }
    assert_int_equal(map(8, 0x900000, HOST).status, GNTST_no_device_space);
    assert_int_equal(d0->grant->mapped, n);
    assert_int_equal(unmap(handle[5], 0x6000, 0), GNTST_okay);
    a = map_by(d0->vcpu[1], 8, 0x6000, HOST); /* from the other vcpu's list */
    assert_int_equal(a.status, GNTST_okay);
    assert_int_equal(a.handle, handle[5]);
    /* The rest is left to destruction. */
}

static void test_self(void **state)
{
    struct gnttab_map_grant_ref a = {.host_addr = 0x7000, .flags = HOST, .ref = 8, .dom = 1};
    struct call c = call_for(d1->vcpu[0], d1);

    (void)state;
    grant(8, 1, page[0], GTF_permit_access);
    assert_int_equal(gnttabop_map_grant_ref(&c, &a), 0);
    assert_int_equal(a.status, GNTST_okay);
    assert_int_equal(d1->refs, 2);
    d1->dying = DOMDYING_dying;
    assert_int_equal(relinquish(d1), 0);
    assert_int_equal(d1->refs, 1);
    assert_int_equal(v1[8].flags, GTF_permit_access);
}

/* The granter dies; its page and its table live until the mapper is done. */
static void test_granter_dies(void **state)
{
    struct gnttab_map_grant_ref a;

    (void)state;
    grant(8, 0, page[0], GTF_permit_access);
    a = map(8, 0x1000, HOST);
    assert_int_equal(a.status, GNTST_okay);
    d1->dying = DOMDYING_dying;
    assert_int_equal(relinquish(d1), 0);
    assert_int_equal(d1->refs, 2);
    assert_int_equal(page_refs(page[0]), 2);
    assert_int_equal(unmap(a.handle, 0x1000, 0), GNTST_okay);
    assert_int_equal(d1->refs, 1);
}

static void test_mapper_dies(void **state)
{
    (void)state;
    grant(8, 0, page[0], GTF_permit_access);
    grant(9, 0, page[1], GTF_permit_access);
    for (unsigned i = 1; i <= 100; i++)
        assert_int_equal(map(8 + i % 2, 0x1000 * i, HOST | (i % 3 ? RO : 0)).status, GNTST_okay);
    assert_int_equal(d1->refs, 101);
    d0->dying = DOMDYING_dying;
    fake_preempt = true;
    assert_int_equal(relinquish(d0), -ERESTART);
    while (relinquish(d0) == -ERESTART)
        ;
    fake_preempt = false;
    assert_int_equal(relinquish(d0), 0);
    assert_int_equal(d1->refs, 1);
    assert_int_equal(d0->grant->mapped, 0);
    assert_int_equal(v1[8].flags, GTF_permit_access);
    assert_int_equal(v1[9].flags, GTF_permit_access);
}

static void test_table(void **state)
{
    struct call c = call_for(d1->vcpu[0], d1);
    xen_pfn_t list[5] = {0};
    struct gnttab_setup_table s = {.dom = DOMID_SELF, .nr_frames = 3};
    struct gnttab_query_size q = {.dom = DOMID_SELF};
    mfn_t mfn;

    (void)state;
    set_xen_guest_handle(s.frame_list, list);
    assert_int_equal(gnttabop_query_size(&c, &q), 0);
    assert_int_equal(q.status, GNTST_okay);
    assert_int_equal(q.nr_frames, 1);
    assert_int_equal(q.max_nr_frames, 4);
    assert_int_equal(gnttabop_setup_table(&c, &s), 0);
    assert_int_equal(s.status, GNTST_okay);
    assert_int_equal(list[0], frame_of(v1));
    assert_int_not_equal(list[2], 0);
    assert_int_equal(list[3], 0);
    d1->is_hvm = true; /* whom the host's frames are no business of */
    assert_int_equal(gnttabop_setup_table(&c, &s), 0);
    assert_int_equal(s.status, GNTST_okay);
    assert_true(list[0] == M2P_INVALID && list[2] == M2P_INVALID);
    d1->is_hvm = false;
    s.nr_frames = 5;
    assert_int_equal(gnttabop_setup_table(&c, &s), 0);
    assert_int_equal(s.status, GNTST_general_error);
    s.nr_frames = 1;
    fake_guest_fault((uintptr_t)list, sizeof(list));
    assert_int_equal(gnttabop_setup_table(&c, &s), 0);
    assert_int_equal(s.status, GNTST_bad_virt_addr);
    fake_guest_fault(0, 0);
    c.v = d2->vcpu[0]; /* d2 may not ask about d1; dom0 may */
    assert_int_equal(gnttabop_query_size(&c, &q), 0);
    assert_int_equal(q.status, GNTST_permission_denied);
    c.v = d0->vcpu[0];
    assert_int_equal(gnttabop_query_size(&c, &q), 0);
    assert_int_equal(q.nr_frames, 3);

    assert_int_equal(grant_get_frame(d1, 0, &mfn), 0);
    assert_int_equal(mfn_x(mfn), frame_of(v1));
    assert_int_equal(grant_get_frame(d1, 3, &mfn), 0);
    assert_int_equal(grant_get_frame(d1, 4, &mfn), -EINVAL);
    assert_int_equal(grant_get_status_frame(d1, 0, &mfn), -EINVAL);
    /* An entry of the last frame. */
    v1 = d1->grant->shared[3];
    grant(ENTRIES_V1 - 1, 0, page[3], GTF_permit_access);
    assert_int_equal(map(4 * ENTRIES_V1 - 1, 0x1000, HOST).status, GNTST_okay);
}

static void test_versions(void **state)
{
    struct call c = call_for(d1->vcpu[0], d1);
    uint64_t list[2] = {0};
    struct gnttab_get_status_frames s = {.dom = DOMID_SELF, .nr_frames = 1};
    struct gnttab_map_grant_ref a;
    mfn_t mfn;

    (void)state;
    set_xen_guest_handle(s.frame_list, list);
    grant(GNTTAB_RESERVED_XENSTORE, 0, page[0], GTF_permit_access);
    grant(20, 0, page[1], GTF_permit_access);
    assert_int_equal(set_version(d1, 3), -EINVAL);
    a = map(20, 0x1000, HOST);
    assert_int_equal(set_version(d1, 2), -EBUSY);
    assert_int_equal(v1[20].flags & GTF_writing, GTF_writing);
    assert_int_equal(unmap(a.handle, 0x1000, 0), GNTST_okay);
    assert_int_equal(set_version(d1, 2), 0);
    assert_int_equal(v2[GNTTAB_RESERVED_XENSTORE].full_page.frame, frame_of(page[0]));
    assert_int_equal(v2[GNTTAB_RESERVED_XENSTORE].hdr.flags, GTF_permit_access);
    assert_int_equal(v2[20].hdr.flags, 0);
    assert_int_equal(gnttabop_get_status_frames(&c, &s), 0);
    assert_int_equal(s.status, GNTST_okay);
    assert_int_equal(grant_get_status_frame(d1, 0, &mfn), 0);
    assert_int_equal(list[0], mfn_x(mfn));
    s.nr_frames = 2;
    assert_int_equal(gnttabop_get_status_frames(&c, &s), 0);
    assert_int_equal(s.status, GNTST_general_error);

    a = map(GNTTAB_RESERVED_XENSTORE, 0x1000, HOST);
    assert_int_equal(a.status, GNTST_okay);
    assert_int_equal(d1->grant->status[0][GNTTAB_RESERVED_XENSTORE], GTF_reading | GTF_writing);
    assert_int_equal(v2[GNTTAB_RESERVED_XENSTORE].hdr.flags, GTF_permit_access);
    assert_int_equal(map(ENTRIES_V2, 0x2000, HOST).status, GNTST_bad_gntref);
    /* A reserved entry is carried over with its marks, there and back. */
    assert_int_equal(set_version(d1, 1), 0);
    assert_int_equal(v1[GNTTAB_RESERVED_XENSTORE].flags,
                     GTF_permit_access | GTF_reading | GTF_writing);
    assert_int_equal(set_version(d1, 2), 0);
    assert_int_equal(d1->grant->status[0][GNTTAB_RESERVED_XENSTORE], GTF_reading | GTF_writing);
    assert_int_equal(v2[GNTTAB_RESERVED_XENSTORE].hdr.flags, GTF_permit_access);
    /* Mapped status words keep the version (XSA-255). */
    struct page_info *pg = virt_to_page(d1->grant->status[0]);
    assert_true(get_page(pg, d1));
    assert_int_equal(set_version(d1, 1), -EBUSY);
    put_page(pg);
    assert_int_equal(unmap(a.handle, 0x1000, 0), GNTST_okay);
    assert_int_equal(d1->grant->status[0][GNTTAB_RESERVED_XENSTORE], 0);
    v2[2].hdr.flags = GTF_transitive;
    assert_int_equal(set_version(d1, 1), -EINVAL);
    v2[2].hdr.flags = 0;
    v2[GNTTAB_RESERVED_XENSTORE].full_page.frame |= 1ULL << 40;
    assert_int_equal(set_version(d1, 1), -ERANGE);
    v2[GNTTAB_RESERVED_XENSTORE].full_page.frame &= UINT32_MAX;
    assert_int_equal(set_version(d1, 1), 0);
    assert_int_equal(v1[GNTTAB_RESERVED_XENSTORE].frame, frame_of(page[0]));
    assert_int_equal(map(GNTTAB_RESERVED_XENSTORE, 0x1000, HOST).status, GNTST_okay);
    d2->grant->max_version = 1;
    assert_int_equal(set_version(d2, 2), -ENOSYS);
}

static int copy(struct domain *by, struct gnttab_copy a)
{
    struct call c = call_for(by->vcpu[0], by);

    assert_int_equal(gnttabop_copy(&c, &a), 0);
    return a.status;
}

static void test_copy(void **state)
{
    char *mine = guest_page(d0);
    struct gnttab_copy a = {.source = {.domid = 1, .offset = 10},
                            .dest = {.domid = DOMID_SELF, .offset = 4000},
                            .len = 96,
                            .flags = GNTCOPY_source_gref};

    (void)state;
    a.source.u.ref = 8;
    a.dest.u.gmfn = frame_of(mine);
    for (unsigned i = 0; i < PAGE_SIZE; i++)
        page[0][i] = (char)i;
    assert_int_equal(copy(d0, a), GNTST_general_error);
    grant(8, 0, page[0], GTF_permit_access | GTF_readonly);
    assert_int_equal(copy(d0, a), GNTST_okay);
    assert_memory_equal(mine + 4000, page[0] + 10, 96);
    assert_int_equal(v1[8].flags, GTF_permit_access | GTF_readonly);
    a.len = 97;
    assert_int_equal(copy(d0, a), GNTST_bad_copy_arg);
    a.len = 0xffff;
    a.source.offset = a.dest.offset = 0xffff;
    assert_int_equal(copy(d0, a), GNTST_bad_copy_arg);
    a.len = 0;
    a.source.offset = a.dest.offset = PAGE_SIZE;
    assert_int_equal(copy(d0, a), GNTST_okay);

    /* Into a grant that is for reading only; from somebody's page by its number. */
    a = (struct gnttab_copy){
        .source.domid = 0, .dest.domid = 1, .len = 5, .flags = GNTCOPY_dest_gref};
    a.source.u.gmfn = frame_of(mine);
    a.dest.u.ref = 8;
    assert_int_equal(copy(d0, a), GNTST_general_error);
    grant(8, 0, page[0], GTF_permit_access);
    memcpy(mine, "copy", 5);
    assert_int_equal(copy(d0, a), GNTST_okay);
    assert_string_equal(page[0], "copy");
    assert_int_equal(page_types(page[0]), 0);
    a.source.domid = 1;
    a.source.u.gmfn = frame_of(page[1]);
    assert_int_equal(copy(d0, a), GNTST_permission_denied);
    a.source.domid = DOMID_SELF;
    assert_int_equal(copy(d0, a), GNTST_bad_page);
    a.source.u.gmfn = frame_of(mine);
    a.dest.domid = 5;
    assert_int_equal(copy(d0, a), GNTST_bad_domain);
    /* Within one page, overlapping. */
    a = (struct gnttab_copy){.source.domid = DOMID_SELF, .dest.domid = DOMID_SELF, .len = 4};
    a.source.u.gmfn = a.dest.u.gmfn = frame_of(mine);
    a.dest.offset = 1;
    assert_int_equal(copy(d0, a), GNTST_okay);
    assert_string_equal(mine, "ccopy");
    assert_int_equal(page_refs(mine), 1);
    free_page_virt(mine);
}

static void test_copy_v2(void **state)
{
    char *mine = guest_page(d2);
    struct gnttab_copy a = {.source = {.domid = 1, .offset = 100},
                            .dest = {.domid = DOMID_SELF},
                            .len = 50,
                            .flags = GNTCOPY_source_gref};
    union grant_entry_v2 *e0 = d0->grant->shared[0];

    (void)state;
    a.source.u.ref = 8;
    a.dest.u.gmfn = frame_of(mine);
    memset(page[0], 'x', PAGE_SIZE);
    assert_int_equal(set_version(d1, 2), 0);
    v2[8].hdr.domid = 2;
    v2[8].sub_page.page_off = 100;
    v2[8].sub_page.length = 50;
    v2[8].sub_page.frame = frame_of(page[0]);
    v2[8].hdr.flags = GTF_permit_access | GTF_sub_page;
    assert_int_equal(copy(d2, a), GNTST_okay);
    assert_int_equal(mine[49], 'x');
    assert_int_equal(mine[50], 0);
    a.len = 51;
    assert_int_equal(copy(d2, a), GNTST_general_error);
    a.len = 50;
    a.source.offset = 99;
    assert_int_equal(copy(d2, a), GNTST_general_error);
    assert_int_equal(map_by(d2->vcpu[0], 8, 0x1000, HOST | RO).status, GNTST_general_error);

    /* Passed on: d1 grants page 1 to d0, which lets d2 use that. */
    assert_int_equal(set_version(d0, 2), 0);
    v2[9].hdr.domid = 0;
    v2[9].full_page.frame = frame_of(page[0]);
    v2[9].hdr.flags = GTF_permit_access | GTF_readonly;
    e0[8].hdr.domid = 2;
    e0[8].transitive.trans_domid = 1;
    e0[8].transitive.gref = 9;
    e0[8].hdr.flags = GTF_transitive;
    a.source.domid = 0;
    a.source.offset = 7;
    memset(mine, 0, 100);
    assert_int_equal(copy(d2, a), GNTST_okay);
    assert_int_equal(mine[49], 'x');
    assert_int_equal(d0->grant->status[0][8], 0);
    assert_int_equal(d1->grant->status[0][9], 0);
    e0[8].transitive.gref = 8; /* granted to d2, not to d0 */
    assert_int_equal(copy(d2, a), GNTST_general_error);
    e0[8].transitive.trans_domid = 0; /* in a circle */
    assert_int_equal(copy(d2, a), GNTST_general_error);
    e0[8].transitive.trans_domid = 6;
    assert_int_equal(copy(d2, a), GNTST_bad_domain);
    assert_int_equal(d0->grant->status[0][8], 0);
    assert_int_equal(d0->refs, 1);
    assert_int_equal(page_refs(mine), 1);
    free_page_virt(mine);
}

static void test_swap(void **state)
{
    struct call c = call_for(d1->vcpu[0], d1);
    struct gnttab_swap_grant_ref a = {.ref_a = 9, .ref_b = 8};

    (void)state;
    grant(8, 0, page[0], GTF_permit_access);
    assert_int_equal(gnttabop_swap_grant_ref(&c, &a), 0);
    assert_int_equal(a.status, GNTST_okay);
    assert_int_equal(v1[9].frame, frame_of(page[0]));
    assert_int_equal(v1[8].flags, 0);
    assert_int_equal(map(9, 0x1000, HOST).status, GNTST_okay);
    assert_int_equal(gnttabop_swap_grant_ref(&c, &a), 0);
    assert_int_equal(a.status, GNTST_eagain);
    a.ref_b = ENTRIES_V1;
    assert_int_equal(gnttabop_swap_grant_ref(&c, &a), 0);
    assert_int_equal(a.status, GNTST_bad_gntref);
}

static int transfer(void *va, uint32_t ref)
{
    struct gnttab_transfer a = {.mfn = frame_of(va), .domid = 1, .ref = ref};
    struct call c = call_for(d0->vcpu[0], d1);

    assert_int_equal(gnttabop_transfer(&c, &a), 0);
    return a.status;
}

static void test_transfer(void **state)
{
    char *gift = guest_page(d0);

    (void)state;
    grant(8, 0, v1, GTF_accept_transfer);
    v1[8].frame = 0;
    assert_int_equal(transfer(page[0], 8), GNTST_bad_page); /* d1's own */
    assert_int_equal(transfer(gift, 8), GNTST_okay);
    assert_int_equal(v1[8].flags,
                     GTF_accept_transfer | GTF_transfer_committed | GTF_transfer_completed);
    assert_int_equal(v1[8].frame, frame_of(gift));
    assert_ptr_equal(page_owner(page_of(gift)), d1);
    free_page_virt(gift);
    /* Once only; and the page is lost. */
    gift = guest_page(d0);
    assert_int_equal(transfer(gift, 8), GNTST_general_error);
    assert_null(page_owner(page_of(gift)));
    assert_int_equal(transfer(guest_page(d0), ENTRIES_V1), GNTST_bad_gntref);
    grant(8, 0, v1, GTF_accept_transfer);
    assign_answer = -E2BIG;
    assert_int_equal(transfer(guest_page(d0), 8), GNTST_general_error);
    assign_answer = 0;
    assert_int_equal(v1[8].frame, 0);
    assert_int_equal(v1[8].flags & GTF_transfer_completed, GTF_transfer_completed);
    assert_int_equal(set_version(d2, 2), 0); /* no pin is left behind */
    memset(v1, 0, 64);
    assert_int_equal(set_version(d1, 2), 0);
}

/* Random mapping, unmapping, copying and changing versions, while the granter writes anything. */
static void test_cheating_granter(void **state)
{
    struct {
        uint32_t handle;
        uint64_t addr;
    } live[64] = {0};

    (void)state;
    for (unsigned step = 0; step < 100000; step++) {
        unsigned i = rnd(ARRAY_SIZE(live));
        struct gnttab_copy cp = {.source = {.domid = 1, .offset = (uint16_t)rnd(4096)},
                                 .dest = {.domid = 1, .offset = (uint16_t)rnd(4096)},
                                 .len = (uint16_t)rnd(5000),
                                 .flags = GNTCOPY_source_gref | GNTCOPY_dest_gref};
        uint32_t ref = rnd(6);

        switch (rnd(6)) {
        case 0 ... 1:
            if (rnd(2)) {
                grant(ref, (domid_t)rnd(3), page[rnd(4)], (uint16_t)rnd(1u << 9));
            } else {
                v2[ref].hdr.domid = (domid_t)rnd(2);
                v2[ref].sub_page.page_off = (uint16_t)rnd(1u << 16);
                v2[ref].sub_page.length = (uint16_t)rnd(1u << 16);
                v2[ref].full_page.frame = rnd(2) ? frame_of(page[rnd(4)]) : rnd(1u << 30);
                v2[ref].hdr.flags = (uint16_t)rnd(1u << 9);
            }
            break;
        case 2:
            set_version(d1, 1 + rnd(2));
            break;
        case 3:
            cp.source.u.ref = rnd(6);
            cp.dest.u.ref = ref;
            copy(d0, cp);
            break;
        case 4:
            if (!live[i].addr) {
                uint64_t addr = 0x1000 * (i + 1ULL);
                struct gnttab_map_grant_ref a = map(ref, addr, HOST | (rnd(2) ? RO : 0));

                if (a.status == GNTST_okay) {
                    live[i].addr = addr;
                    live[i].handle = a.handle;
                }
            }
            break;
        default:
            if (live[i].addr) {
                assert_int_equal(unmap(live[i].handle, live[i].addr, 0), GNTST_okay);
                live[i].addr = 0;
            }
        }
    }
    for (unsigned i = 0; i < ARRAY_SIZE(live); i++)
        if (live[i].addr)
            assert_int_equal(unmap(live[i].handle, live[i].addr, 0), GNTST_okay);
    assert_int_equal(d1->refs, 1);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(d1->grant->active[0][i].readers | d1->grant->active[0][i].writers, 0);
}

static void test_creation(void **state)
{
    (void)state;
    for (long n = 0;; n++) {
        struct domain *d = fake_domain(3, 1);
        int rc = 0;

        fake_alloc_fail_after = n;
        for_each_unit(u) rc = u->domain_create(d, &cfg);
        fake_alloc_fail_after = -1;
        free_domain(d);
        if (!rc)
            break;
        assert_int_equal(rc, -ENOMEM);
        assert_true(n < 20);
    }
    cfg.max_grant_frames = MOST_FRAMES + 1;
    for_each_unit(u)
    {
        struct domain *d = fake_domain(3, 1);

        assert_int_equal(u->domain_create(d, &cfg), -EINVAL);
        free_domain(d);
    }
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_map),
        T(test_map_errors),
        T(test_unmap_race),
        T(test_unmap_batch),
        T(test_device_and_host),
        T(test_handles),
        T(test_self),
        T(test_granter_dies),
        T(test_mapper_dies),
        T(test_table),
        T(test_versions),
        T(test_copy),
        T(test_copy_v2),
        T(test_swap),
        T(test_transfer),
        T(test_creation),
        T(test_cheating_granter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
