// SPDX-License-Identifier: MIT
/*
 * Grant tables: what takes long gives way (growing, changing versions, searching handles, the end),
 * what others do meanwhile, and the limits that the tools set.
 */
#include "event/domains.h"
#include "grant/private.h"

unsigned opt_gnttab_max_frames = 64, opt_gnttab_max_maptrack_frames = 8, opt_gnttab_max_ver = 2;

#define FRAMES 72 /* more than a small table */

static struct domain *mapper, *granter;
static char *page;
static unsigned cleaned;
static const void *cleaned_at;

int mm_grant_map(uint64_t host_addr, mfn_t mfn, unsigned gnt_flags)
{
    (void)host_addr, (void)mfn, (void)gnt_flags;
    return GNTST_okay;
}

int mm_grant_unmap(uint64_t host_addr, mfn_t mfn, uint64_t new_addr, unsigned gnt_flags)
{
    (void)host_addr, (void)mfn, (void)new_addr, (void)gnt_flags;
    return GNTST_okay;
}

int steal_page(struct domain *d, struct page_info *pg, unsigned memflags)
{
    (void)d, (void)pg, (void)memflags;
    return -EINVAL;
}

int assign_pages(struct domain *d, struct page_info *pg, unsigned order, unsigned memflags)
{
    (void)d, (void)pg, (void)order, (void)memflags;
    return -EINVAL;
}

void arch_clean_cache(const void *p, size_t n)
{
    cleaned_at = p;
    cleaned += n;
}

static int setup(void **state)
{
    struct xen_domctl_createdomain cfg = {.max_grant_frames = FRAMES,
                                          .max_maptrack_frames = -1,
                                          .grant_opts = XEN_DOMCTL_GRANT_version(2),
                                          .max_vcpus = 2};

    (void)state;
    fake_init(2);
    if (!max_page)
        fake_ram_init(32768);
    mapper = make_domain(1, 2, &cfg);
    granter = make_domain(2, 2, &cfg);
    page = guest_page(granter);
    fake_run_on(0, mapper->vcpu[0]);
    cleaned = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_preempt = false;
    kill_domain(mapper);
    assert_int_equal(page_refs(page), 1);
    assert_int_equal(page_types(page), 0);
    free_page_virt(page);
    kill_domain(granter);
    assert_int_equal(fake_allocations, 0);
    return 0;
}

static struct call call_of(struct domain *d)
{
    return (struct call){.v = d->vcpu[0], .d = d, .copy_back = true};
}

static long set_version(uint32_t version)
{
    struct gnttab_set_version a = {.version = version};
    struct call c = call_of(granter);

    return gnttabop_set_version(&c, &a);
}

static long setup_table(unsigned frames, xen_pfn_t *list, int *status)
{
    struct gnttab_setup_table a = {.dom = DOMID_SELF, .nr_frames = frames};
    struct call c = call_of(granter);
    long rc;

    set_xen_guest_handle(a.frame_list, list);
    rc = gnttabop_setup_table(&c, &a);
    *status = a.status;
    return rc;
}

static void grant(uint32_t ref)
{
    struct grant_table *t = granter->grant;

    if (t->version == 1) {
        entry_v1(t, ref)->domid = mapper->id;
        entry_v1(t, ref)->frame = (uint32_t)frame_of(page);
        entry_v1(t, ref)->flags = GTF_permit_access;
    } else {
        entry_v2(t, ref)->full_page.frame = frame_of(page);
        entry_v2(t, ref)->hdr.domid = mapper->id;
        entry_v2(t, ref)->hdr.flags = GTF_permit_access;
    }
}

static int map(uint32_t ref, uint32_t *handle)
{
    struct gnttab_map_grant_ref a = {
        .host_addr = 0x1000, .flags = GNTMAP_host_map, .ref = ref, .dom = granter->id};
    struct call c = {.v = mapper->vcpu[0], .d = granter};

    assert_int_equal(gnttabop_map_grant_ref(&c, &a), 0);
    *handle = a.handle;
    return a.status;
}

static int unmap(uint32_t handle)
{
    struct gnttab_unmap_grant_ref a = {.host_addr = 0x1000, .handle = handle};
    struct call c = call_of(mapper);

    assert_int_equal(gnttabop_unmap_grant_ref(&c, &a), 0);
    c.at_end(c.v);
    return a.status;
}

/* --- tests --- */

/* The table grows by at least a frame in every call, however little time there is. */
static void test_growth(void **state)
{
    xen_pfn_t list[FRAMES + 1];
    unsigned calls = 0;
    int status;
    long rc;

    (void)state;
    fake_preempt = true;
    while ((rc = setup_table(FRAMES, list, &status)) == -ERESTART)
        assert_int_equal(granter->grant->nr_frames, 1 + ++calls);
    assert_int_equal(rc, 0);
    assert_int_equal(status, GNTST_okay);
    assert_int_equal(calls, FRAMES - 2);
    for (unsigned i = 0; i < FRAMES; i++)
        assert_int_equal(list[i], mfn_x(virt_to_mfn(granter->grant->shared[i])));
    assert_int_equal(setup_table(FRAMES + 1, list, &status), 0);
    assert_int_equal(status, GNTST_general_error);
}

/* So for the tools that ask for a frame far away. */
static void test_growth_for_tools(void **state)
{
    unsigned calls = 1;
    mfn_t mfn;
    int rc;

    (void)state;
    fake_preempt = true;
    while ((rc = grant_get_frame(granter, FRAMES - 1, &mfn)) == -ERESTART)
        calls++;
    assert_int_equal(rc, 0);
    assert_int_equal(calls, FRAMES - 1);
    assert_int_equal(grant_get_frame(granter, FRAMES, &mfn), -EINVAL);
    assert_int_equal(grant_get_frame(granter, UINT32_MAX, &mfn), -EINVAL);
    assert_int_equal(grant_get_status_frame(granter, 0, &mfn), -EINVAL);
    fake_preempt = false;
    assert_int_equal(set_version(2), 0);
    assert_int_equal(grant_get_status_frame(granter, FRAMES * 256 / 2048 - 1, &mfn), 0);
    assert_int_equal(grant_get_status_frame(granter, FRAMES * 256 / 2048, &mfn), -EINVAL);
    assert_int_equal(grant_get_status_frame(granter, UINT32_MAX, &mfn), -EINVAL);
}

static void grow(void)
{
    xen_pfn_t list[FRAMES];
    int status;

    assert_int_equal(setup_table(FRAMES, list, &status), 0);
    assert_int_equal(status, GNTST_okay);
}

/* A change goes on where it was, and anything may be mapped while nobody goes on with it. */
static void test_version_gives_way(void **state)
{
    uint32_t h, h2, last = FRAMES * ENTRIES_V1 - 1;
    unsigned calls = 0;
    long rc;

    (void)state;
    grow();
    grant(last);
    fake_preempt = true;
    while ((rc = set_version(2)) == -ERESTART)
        calls++;
    assert_int_equal(rc, 0);
    assert_int_equal(calls, FRAMES * ENTRIES_V1 / ACTIVES_PER_PAGE);
    assert_int_equal(granter->grant->version, 2);
    assert_int_equal(map(last, &h), GNTST_bad_gntref);

    /* Mapped after it was looked at: the change fails. */
    grant(10);
    assert_int_equal(set_version(1), -ERESTART);
    assert_int_equal(map(10, &h), GNTST_okay);
    assert_int_equal(map(10, &h2), GNTST_okay);
    while ((rc = set_version(1)) == -ERESTART)
        ;
    assert_int_equal(rc, -EBUSY);
    assert_int_equal(granter->grant->version, 2);
    assert_int_equal(granter->grant->status[0][10], GTF_reading | GTF_writing);
    /* Also if it is unmapped again meanwhile. */
    assert_int_equal(unmap(h2), GNTST_okay);
    assert_int_equal(unmap(h), GNTST_okay);
    assert_int_equal(set_version(1), -ERESTART);
    assert_int_equal(map(10, &h), GNTST_okay);
    assert_int_equal(unmap(h), GNTST_okay);
    while ((rc = set_version(1)) == -ERESTART)
        ;
    assert_int_equal(rc, -EBUSY);
    /* Not by reserved entries. */
    grant(GNTTAB_RESERVED_XENSTORE);
    assert_int_equal(set_version(1), -ERESTART);
    assert_int_equal(map(GNTTAB_RESERVED_XENSTORE, &h), GNTST_okay);
    while ((rc = set_version(1)) == -ERESTART)
        ;
    assert_int_equal(rc, 0);
    assert_int_equal(entry_v1(granter->grant, GNTTAB_RESERVED_XENSTORE)->flags,
                     GTF_permit_access | GTF_reading | GTF_writing);
    assert_int_equal(entry_v1(granter->grant, 10)->flags, 0);
    assert_int_equal(unmap(h), GNTST_okay);
}

/* Swapping and taking pages by transfer are uses, too; nobody waits for an abandoned change. */
static void test_version_abandoned(void **state)
{
    struct gnttab_swap_grant_ref s = {.ref_a = 10, .ref_b = 11};
    struct call c = call_of(granter);
    uint32_t h;
    long rc;

    (void)state;
    grow();
    grant(10);
    fake_preempt = true;
    assert_int_equal(set_version(2), -ERESTART);
    assert_int_equal(gnttabop_swap_grant_ref(&c, &s), 0);
    assert_int_equal(s.status, GNTST_okay);
    assert_int_equal(granter->grant->change, CHANGE_SPOILED);
    assert_int_equal(map(11, &h), GNTST_okay);
    fake_preempt = false;
    assert_int_equal(set_version(2), -EBUSY);
    assert_int_equal(unmap(h), GNTST_okay);
    assert_int_equal(set_version(2), 0);
    for (s.ref_a = 0; s.ref_a < FRAMES * ENTRIES_V1; s.ref_a += 1000) {
        s.ref_b = FRAMES * ENTRIES_V2; /* one too many */
        assert_int_equal(gnttabop_swap_grant_ref(&c, &s), 0);
        assert_int_equal(s.status, GNTST_bad_gntref);
    }
    rc = set_version(1);
    assert_int_equal(rc, 0);
}

static long flush(struct domain *d, uint64_t addr, unsigned offset, unsigned length, uint32_t op)
{
    struct gnttab_cache_flush a = {
        .a.dev_bus_addr = addr, .offset = offset, .length = length, .op = op};
    struct call c = call_of(d);

    return gnttabop_cache_flush(&c, &a);
}

static void test_cache_flush(void **state)
{
    uint64_t addr = frame_of(page) << PAGE_SHIFT;
    uint32_t h, other;
    unsigned calls = 0;
    long rc;

    (void)state;
    assert_int_equal(flush(granter, addr, 8, 64, GNTTAB_CACHE_CLEAN), 0);
    assert_ptr_equal(cleaned_at, page + 8);
    assert_int_equal(cleaned, 64);
    assert_int_equal(page_refs(page), 1);
    assert_int_equal(flush(mapper, addr, 8, 64, GNTTAB_CACHE_CLEAN), -EPERM);
    grant(9);
    assert_int_equal(map(9, &h), GNTST_okay);
    assert_int_equal(flush(mapper, addr, 0, PAGE_SIZE, GNTTAB_CACHE_CLEAN | GNTTAB_CACHE_INVAL), 0);
    assert_int_equal(cleaned, 64 + PAGE_SIZE);
    assert_int_equal(flush(mapper, addr, 1, PAGE_SIZE, GNTTAB_CACHE_CLEAN), -EINVAL);
    assert_int_equal(flush(mapper, addr, 0xffff, 1, GNTTAB_CACHE_CLEAN), -EINVAL);
    assert_int_equal(flush(mapper, addr | 1, 0, 1, GNTTAB_CACHE_CLEAN), -EINVAL);
    assert_int_equal(flush(mapper, max_page << PAGE_SHIFT, 0, 1, GNTTAB_CACHE_CLEAN), -EINVAL);
    assert_int_equal(flush(mapper, ~0ULL << PAGE_SHIFT, 0, 1, GNTTAB_CACHE_CLEAN), -EINVAL);
    assert_int_equal(flush(mapper, addr, 0, 1, 4), -EINVAL);
    assert_int_equal(flush(mapper, addr, 0, 1, GNTTAB_CACHE_INVAL), -EOPNOTSUPP);
    assert_int_equal(flush(mapper, 9, 0, 1, GNTTAB_CACHE_SOURCE_GREF | GNTTAB_CACHE_CLEAN),
                     -EOPNOTSUPP);
    assert_int_equal(flush(mapper, addr, 0, 0, GNTTAB_CACHE_CLEAN), 0);
    assert_int_equal(cleaned, 64 + PAGE_SIZE);

    /* Among many handles it takes several calls, and another question begins anew. */
    for (unsigned i = 0; i < 3 * MAPTRACK_PER_PAGE; i++)
        assert_int_equal(map(9, &other), GNTST_okay);
    assert_int_equal(unmap(h), GNTST_okay);
    fake_preempt = true;
    addr = frame_of(granter->grant->shared[0]) << PAGE_SHIFT;
    assert_int_equal(flush(mapper, addr, 0, 8, GNTTAB_CACHE_CLEAN), -ERESTART);
    assert_int_equal(flush(mapper, frame_of(page) << PAGE_SHIFT, 0, 8, GNTTAB_CACHE_CLEAN), 0);
    while ((rc = flush(mapper, addr, 0, 8, GNTTAB_CACHE_CLEAN)) == -ERESTART)
        calls++;
    assert_int_equal(rc, -EPERM);
    assert_int_equal(calls, mapper->grant->nr_maptrack);
}

/* The end of who maps is done in steps, and can be asked for again at any of them. */
static void test_end_gives_way(void **state)
{
    uint32_t h;
    unsigned calls = 0;

    (void)state;
    grant(9);
    for (unsigned i = 0; i < 5 * MAPTRACK_PER_PAGE; i++)
        assert_int_equal(map(9, &h), GNTST_okay);
    assert_int_equal(page_refs(page), 1 + 5 * MAPTRACK_PER_PAGE);
    fake_preempt = true;
    mapper->dying = DOMDYING_dying;
    while (relinquish(mapper) == -ERESTART)
        calls++;
    assert_true(calls >= 5 * MAPTRACK_PER_PAGE / 32);
    assert_int_equal(page_refs(page), 1);
    assert_int_equal(entry_v1(granter->grant, 9)->flags, GTF_permit_access);
    assert_int_equal(mapper->grant->mapped, 0);
    assert_int_equal(relinquish(mapper), 0);
}

/* The end of who grants, too; what is mapped then is unmapped later, and nobody is told. */
static void test_granter_ends(void **state)
{
    uint32_t h;
    unsigned calls = 0;

    (void)state;
    grow();
    grant(9);
    assert_int_equal(map(9, &h), GNTST_okay);
    fake_preempt = true;
    granter->dying = DOMDYING_dying;
    while (relinquish(granter) == -ERESTART)
        assert_true(++calls < 1000);
    assert_true(calls >= FRAMES * ENTRIES_V1 / ACTIVES_PER_PAGE + FRAMES / 32);
    assert_int_equal(relinquish(granter), 0);
    assert_int_equal(granter->grant->unshared, FRAMES);
    assert_int_equal(unmap(h), GNTST_okay);
    assert_int_equal(page_refs(page), 1);
    assert_int_equal(granter->grant->active[0][9].writers, 0);
    assert_null(granter->grant->active[1]); /* nothing pinned there */
    assert_int_equal(map(10, &h), GNTST_bad_domain);
    granter->dying = DOMDYING_alive; /* as one saw it who looked a moment ago */
    assert_int_equal(map(9, &h), GNTST_eagain);
    assert_int_equal(map(GNTTAB_RESERVED_XENSTORE, &h), GNTST_eagain);
}

/* What the tools ask for, beyond the defaults of the host and up to what there can be. */
static void test_limits(void **state)
{
    struct xen_domctl_createdomain cfg = {.max_grant_frames = MOST_FRAMES,
                                          .max_maptrack_frames = MOST_MAPTRACK,
                                          .grant_opts = XEN_DOMCTL_GRANT_version(1),
                                          .max_vcpus = 1};
    struct gnttab_set_version v = {.version = 2};
    struct domain *d = make_domain(3, 1, &cfg);
    struct call c = call_of(d);

    (void)state;
    assert_int_equal(grant_max_frames(d), MOST_FRAMES);
    assert_int_equal(grant_max_status_frames(d), MOST_FRAMES / 8);
    assert_int_equal(d->grant->max_maptrack, MOST_MAPTRACK);
    assert_int_equal(gnttabop_set_version(&c, &v), -ENOSYS);
    kill_domain(d);
    cfg.max_grant_frames = cfg.max_maptrack_frames = -1;
    d = make_domain(3, 1, &cfg);
    assert_int_equal(grant_max_frames(d), opt_gnttab_max_frames);
    assert_int_equal(d->grant->max_maptrack, opt_gnttab_max_maptrack_frames);
    kill_domain(d);
    for (unsigned i = 0; i < 3; i++) {
        cfg.max_grant_frames = i == 0 ? (int)MOST_FRAMES + 1 : i == 1 ? 0 : 1;
        cfg.max_maptrack_frames = i == 2 ? (int)MOST_MAPTRACK + 1 : -1;
        d = fake_domain(3, 1);
        for_each_unit(u) if (u->domain_create) assert_int_equal(u->domain_create(d, &cfg), -EINVAL);
        free_domain(d);
    }
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_growth),      T(test_growth_for_tools),  T(test_version_gives_way),
        T(test_cache_flush), T(test_version_abandoned), T(test_end_gives_way),
        T(test_limits),      T(test_granter_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
