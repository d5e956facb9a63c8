// SPDX-License-Identifier: MIT
/*
 * Grants under real concurrency: two vcpus map, unmap and copy while two of the granter grant,
 * revoke and change the table's version.  A granter that has revoked an entry by the rules has its
 * page for itself; handles are undone once; in the end all references are back.
 */
#include "event/domains.h"
#include "grant/private.h"
#include "threads/threads.h"

#define STEPS   100000u
#define ENOUGH  2000u /* mappings while versions change */
#define ENTRIES 8u    /* each with a page of its own, from reference 8 on */
#define FIRST   8u

unsigned opt_gnttab_max_frames = 4, opt_gnttab_max_maptrack_frames = 1, opt_gnttab_max_ver = 2;

static struct domain *mapper, *granter;
static void *page[ENTRIES];
static uint32_t live[64]; /* handle + 1: mapped; tried by everybody */
static uint32_t mapped, unmapped, revoked;

int mm_grant_map(uint64_t host_addr, mfn_t mfn, unsigned gnt_flags)
{
    (void)host_addr, (void)mfn, (void)gnt_flags;
    return threads_random(8) ? GNTST_okay : GNTST_general_error;
}

int mm_grant_unmap(uint64_t host_addr, mfn_t mfn, uint64_t new_addr, unsigned gnt_flags)
{
    (void)host_addr, (void)mfn, (void)new_addr, (void)gnt_flags;
    return threads_random(8) ? GNTST_okay : GNTST_general_error;
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

static void unmap_handle(struct vcpu *v, uint32_t handle)
{
    struct gnttab_unmap_grant_ref a = {.host_addr = 0x1000, .handle = handle};
    struct call c = {.v = v, .d = v->domain};

    assert_int_equal(gnttabop_unmap_grant_ref(&c, &a), 0);
    c.at_end(v);
    if (a.status == GNTST_okay)
        __atomic_add_fetch(&unmapped, 1, __ATOMIC_SEQ_CST);
}

static void mapper_step(struct vcpu *v)
{
    uint32_t i = threads_random(ENTRIES), slot = threads_random(ARRAY_SIZE(live)), h;
    /* Now and then one that is in the table in version 1 only, and not granted. */
    uint32_t ref = threads_random(8) ? FIRST + i : ENTRIES_V2 + i;
    struct gnttab_map_grant_ref m = {.host_addr = 0x1000,
                                     .ref = ref,
                                     .dom = granter->id,
                                     .flags = GNTMAP_host_map |
                                              (threads_random(2) ? GNTMAP_readonly : 0)};
    struct call c = {.v = v, .d = granter};
    struct gnttab_copy cp = {.source.domid = granter->id,
                             .dest.domid = granter->id,
                             .len = 1,
                             .flags = GNTCOPY_source_gref | GNTCOPY_dest_gref};

    switch (threads_random(3)) {
    case 0:
        assert_int_equal(gnttabop_map_grant_ref(&c, &m), 0);
        if (m.status != GNTST_okay)
            break;
        __atomic_add_fetch(&mapped, 1, __ATOMIC_SEQ_CST);
        h = __atomic_exchange_n(&live[slot], m.handle + 1, __ATOMIC_SEQ_CST);
        if (h)
            unmap_handle(v, h - 1); /* may fail at random, or be somebody else's by now */
        break;
    case 1:
        h = __atomic_load_n(&live[slot], __ATOMIC_SEQ_CST);
        if (h)
            unmap_handle(v, h - 1);
        break;
    default:
        cp.source.u.ref = FIRST + i;
        cp.dest.u.ref = FIRST + threads_random(ENTRIES);
        c.d = v->domain;
        assert_int_equal(gnttabop_copy(&c, &cp), 0);
    }
}

/* Takes entry i back as the header tells version 1: true if nobody used it. */
static bool revoke(unsigned i)
{
    uint16_t *flags = &entry_v1(granter->grant, FIRST + i)->flags, f = READ_ONCE(*flags);

    if (f & (GTF_reading | GTF_writing))
        return false;
    return __atomic_compare_exchange_n(flags, &f, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* Each of the granter's vcpus has half of the entries to itself. */
static void granter_step(struct vcpu *v)
{
    unsigned i = threads_random(ENTRIES / 2) * 2 + v->vcpu_id;
    struct grant_entry_v1 *e = entry_v1(granter->grant, FIRST + i);

    if (READ_ONCE(e->flags) & GTF_type_mask) {
        if (!revoke(i))
            return;
        __atomic_add_fetch(&revoked, 1, __ATOMIC_SEQ_CST);
        assert_int_equal(page_refs(page[i]), 1);
        assert_int_equal(page_types(page[i]), 0);
        assert_true(get_page_and_type(page_of(page[i]), granter, PGT_l1));
        put_page_and_type(page_of(page[i]));
        return;
    }
    e->domid = mapper->id;
    e->frame = (uint32_t)frame_of(page[i]);
    __atomic_store_n(&e->flags,
                     (uint16_t)(GTF_permit_access | (threads_random(3) ? 0 : GTF_readonly)),
                     __ATOMIC_SEQ_CST);
}

static void storm(unsigned cpu)
{
    for (unsigned step = 0; step < STEPS; step++)
        if (cpu < 2)
            mapper_step(mapper->vcpu[cpu]);
        else
            granter_step(granter->vcpu[cpu - 2]);
}

/* The granter changes versions as fast as it can; who maps meanwhile is told to try again. */
static void storm_of_versions(unsigned cpu)
{
    while (__atomic_load_n(&mapped, __ATOMIC_SEQ_CST) < ENOUGH) {
        struct gnttab_set_version a = {.version = 1 + threads_random(2)};
        struct call c = {.v = granter->vcpu[0], .d = granter};
        unsigned i = threads_random(ENTRIES);

        if (cpu < 2) {
            mapper_step(mapper->vcpu[cpu]);
            unmap_handle(mapper->vcpu[cpu], threads_random(20));
        } else if (!threads_random(4)) {
            struct gnttab_swap_grant_ref sw = {.ref_a = ENTRIES_V2 + 1, .ref_b = ENTRIES_V2 + 2};

            gnttabop_set_version(&c, &a);
            gnttabop_swap_grant_ref(&c, &sw);
        } else if (READ_ONCE(granter->grant->version) == 1) {
            entry_v1(granter->grant, FIRST + i)->frame = (uint32_t)frame_of(page[i]);
            entry_v1(granter->grant, FIRST + i)->domid = mapper->id;
            entry_v1(granter->grant, FIRST + i)->flags = GTF_permit_access;
        } else {
            entry_v2(granter->grant, FIRST + i)->full_page.frame = frame_of(page[i]);
            entry_v2(granter->grant, FIRST + i)->hdr.domid = mapper->id;
            entry_v2(granter->grant, FIRST + i)->hdr.flags = GTF_permit_access;
        }
    }
}

static int setup(void **state)
{
    struct xen_domctl_createdomain cfg = {.max_grant_frames = -1,
                                          .max_maptrack_frames = -1,
                                          .grant_opts = XEN_DOMCTL_GRANT_version(2),
                                          .max_vcpus = 2};

    (void)state;
    nr_cpu_ids = 4;
    if (!max_page)
        fake_ram_init(4096);
    memset(live, 0, sizeof(live));
    mapped = unmapped = revoked = 0;
    mapper = make_domain(1, 2, &cfg);
    granter = make_domain(2, 2, &cfg);
    for (unsigned i = 0; i < ENTRIES; i++)
        page[i] = guest_page(granter);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(mapper->grant->mapped, mapped - unmapped);
    kill_domain(mapper);
    for (unsigned i = 0; i < ENTRIES; i++) {
        assert_int_equal(page_refs(page[i]), 1);
        assert_int_equal(page_types(page[i]), 0);
        assert_int_equal(granter->grant->active[0][FIRST + i].readers, 0);
        assert_int_equal(granter->grant->active[0][FIRST + i].writers, 0);
        free_page_virt(page[i]);
    }
    kill_domain(granter);
    threads_free();
    return 0;
}

static struct vcpu *const *cpus(void)
{
    static struct vcpu *on[4];

    on[0] = mapper->vcpu[0];
    on[1] = mapper->vcpu[1];
    on[2] = granter->vcpu[0];
    on[3] = granter->vcpu[1];
    return on;
}

static void test_storm(void **state)
{
    (void)state;
    threads_run(4, storm, cpus());
    assert_true(mapped > 1000 && unmapped > 1000 && revoked > 1000);
}

static void test_versions(void **state)
{
    (void)state;
    threads_run(3, storm_of_versions, cpus());
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {T(test_storm), T(test_versions)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
