// SPDX-License-Identifier: MIT
/* The XENMEM operations, as a guest sees them. */
#include "ground.h"
#include "hypercall/handlers.h"

static struct domain *d;
static xen_pfn_t list[2048], out[2048];

static int setup(void **state)
{
    ground_setup(state);
    d = fake_domain(1, 1);
    return 0;
}

/* Calls as the dispatcher does, resuming until it is done. */
#define CALL(fn, a)                                                                                \
    ({                                                                                             \
        struct call c_ = {.v = dom0->vcpu[0], .d = d, .arg = (uintptr_t)(a), .copy_back = true};   \
        long r_;                                                                                   \
        typeof(*(a)) copy_;                                                                        \
        do {                                                                                       \
            copy_ = *(a);                                                                          \
            r_ = fn(&c_, &copy_);                                                                  \
            c_.start = c_.resume;                                                                  \
        } while (r_ == -ERESTART);                                                                 \
        r_;                                                                                        \
    })

static struct xen_memory_reservation reservation(xen_pfn_t *extents, unsigned long nr,
                                                 unsigned order)
{
    struct xen_memory_reservation r = {.nr_extents = nr, .extent_order = order, .domid = 1};

    set_xen_guest_handle(r.extent_start, extents);
    return r;
}

static void give_all_back(uint64_t free_before)
{
    d->dying = DOMDYING_dying;
    assert_int_equal(relinquish_domain_pages(d), 0);
    d->dying = DOMDYING_alive;
    assert_int_equal(d->mem.tot_pages, 0);
    assert_int_equal(heap_free_pages(), free_before);
}

static void test_populate_and_decrease(void **state)
{
    uint64_t before = heap_free_pages();
    struct xen_memory_reservation r = reservation(list, 300, 1);

    (void)state;
    for (unsigned i = 0; i < 300; i++)
        list[i] = 1000 + 2 * i;
    fake_preempt = true; /* one extent a call */
    assert_int_equal(CALL(memory_populate_physmap, &r), 300);
    fake_preempt = false;
    assert_int_equal(d->mem.tot_pages, 600);
    for (unsigned i = 0; i < 300; i++) {
        assert_ptr_equal(page_owner(mfn_to_page(_mfn(list[i]))), d);
        assert_int_equal(ground_m2p[list[i]], 1000 + 2 * i);
        assert_int_equal(ground_m2p[list[i] + 1], 1000 + 2 * i + 1);
    }
    r.nr_extents = 100;
    assert_int_equal(CALL(memory_decrease_reservation, &r), 100);
    assert_int_equal(d->mem.tot_pages, 400);
    assert_int_equal(CALL(memory_decrease_reservation, &r), 0); /* not its any more */
    assert_int_equal(ground_m2p[list[0]], M2P_INVALID);
    give_all_back(before);
}

static void test_increase(void **state)
{
    uint64_t before = heap_free_pages();
    struct xen_memory_reservation r = reservation(list, 3, 9);

    (void)state;
    assert_int_equal(CALL(memory_increase_reservation, &r), 3);
    assert_int_equal(list[2] & 511, 0);
    set_xen_guest_handle(r.extent_start, NULL);
    assert_int_equal(CALL(memory_increase_reservation, &r), 3);
    assert_int_equal(d->mem.tot_pages, 6 * 512);
    d->mem.max_pages = 7 * 512;
    assert_int_equal(CALL(memory_increase_reservation, &r), 1);
    d->mem.max_pages = UINT64_MAX;
    give_all_back(before);
}

static void test_large_extents(void **state)
{
    uint64_t before = heap_free_pages();
    struct xen_memory_reservation r = reservation(list, 2, 11);
    unsigned n;

    (void)state;
    for (unsigned round = 0; round < 2; round++) { /* memory as it was at boot, then used */
        list[0] = 0x4000;
        list[1] = 0x8000;
        fake_preempt = round;
        assert_int_equal(CALL(memory_populate_physmap, &r), 2);
        fake_preempt = false;
        assert_int_equal(d->mem.tot_pages, 2 << 11);
        for (unsigned i = 0; i < 2; i++) {
            assert_int_equal(list[i] & 2047, 0);
            for (unsigned j = 0; j < 2048; j += 100)
                assert_int_equal(ground_m2p[list[i] + j], 0x4000 * (i + 1) + j);
            for (unsigned j = 0; j < 2048; j++) {
                uint64_t *word = mfn_to_virt(_mfn(list[i] + j));

                assert_int_equal(word[0] | word[511], 0);
                word[0] = ~0UL;
            }
        }
        fake_preempt = true;
        r.nr_extents = 1;
        assert_int_equal(CALL(memory_decrease_reservation, &r), 1);
        assert_int_equal(d->mem.tot_pages, 1 << 11);
        assert_int_equal(CALL(memory_decrease_reservation, &r), 0); /* not its any more */
        /* A page in the last piece is missing. */
        list[0] = list[1];
        list[1] += 2047;
        struct xen_memory_reservation one = reservation(list + 1, 1, 0);

        assert_int_equal(CALL(memory_decrease_reservation, &one), 1);
        assert_int_equal(CALL(memory_decrease_reservation, &r), 0);
        assert_int_equal(d->mem.tot_pages, 511);
        fake_preempt = false;
        r.nr_extents = 2;
        give_all_back(before);
    }
    /* More than there is, than the domain may have; how many steps are taken is no promise. */
    d->mem.max_pages = 2047;
    assert_int_equal(CALL(memory_increase_reservation, &r), 0);
    d->mem.max_pages = UINT64_MAX;
    r = reservation(list, 100, 12);
    n = CALL(memory_increase_reservation, &r);
    assert_in_range(n, 1, 4);
    give_all_back(before);
    assert_int_equal(heap_scrub_pages() <= before, 1);
}

static void test_hostile_lists(void **state)
{
    uint64_t before = heap_free_pages();
    struct xen_memory_reservation r = reservation(list, 10, 0);
    struct page_info *shared = heap_alloc(0, 0), *foreign = alloc_domain_pages(dom0, 0, 0);
    struct call c = {.v = dom0->vcpu[0], .d = d};

    (void)state;
    /* Unreadable, and unwritable after it was read: nothing stays. */
    fake_guest_fault((uintptr_t)(list + 4), 8);
    assert_int_equal(CALL(memory_populate_physmap, &r), 4);
    assert_int_equal(CALL(memory_increase_reservation, &r), 4);
    assert_int_equal(CALL(memory_decrease_reservation, &r), 4);
    fake_guest_fault(0, 0);
    assert_int_equal(d->mem.tot_pages, 4);
    /* Forged positions and sizes. */
    c.start = 11;
    assert_int_equal(memory_populate_physmap(&c, &r), 11);
    c.start = 0;
    r.nr_extents = ~0UL;
    assert_int_equal(memory_populate_physmap(&c, &r), 0);
    r.nr_extents = 10;
    for (unsigned i = 0; i < 4; i++) {
        r.extent_order = ((unsigned[]){13, 31, 64, ~0u})[i];
        assert_int_equal(memory_populate_physmap(&c, &r), 0);
        assert_int_equal(memory_decrease_reservation(&c, &r), 0);
        assert_int_equal(memory_increase_reservation(&c, &r), 0);
    }
    r.extent_order = 0;
    r.mem_flags = XENMEMF_address_bits(12);
    assert_int_equal(memory_populate_physmap(&c, &r), 0);
    r.mem_flags = XENMEMF_exact_node(9);
    assert_int_equal(memory_populate_physmap(&c, &r), 0);
    r.mem_flags = XENMEMF_vnode;
    assert_int_equal(memory_populate_physmap(&c, &r), 0);
    r.mem_flags = 0;
    /* Frames that are not the domain's to give. */
    share_hyp_page(shared, d, true);
    const xen_pfn_t bad[] = {0, max_page, ~0UL, mfn_x(page_to_mfn(shared)),
                             mfn_x(page_to_mfn(foreign))};

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        list[0] = bad[i];
        assert_int_equal(memory_decrease_reservation(&c, &r), 0);
    }
    r.extent_order = 3;
    list[0] = ~0UL - 3; /* wraps */
    assert_int_equal(memory_decrease_reservation(&c, &r), 0);
    unshare_hyp_page(shared);
    put_page_alloc(foreign);
    give_all_back(before);
}

static struct xen_memory_exchange exchange(unsigned long nr_in, unsigned in_order,
                                           unsigned out_order)
{
    struct xen_memory_exchange x = {0};

    x.in = reservation(list, nr_in, in_order);
    x.out = reservation(out, (nr_in << in_order) >> out_order, out_order);
    return x;
}

static void populate(unsigned nr, unsigned order)
{
    struct xen_memory_reservation r = reservation(list, nr, order);

    for (unsigned i = 0; i < nr; i++)
        list[i] = i << order;
    assert_int_equal(CALL(memory_populate_physmap, &r), nr);
}

static void test_exchange(void **state)
{
    uint64_t before = heap_free_pages(), free;
    struct xen_memory_exchange x;

    (void)state;
    populate(1024, 0);
    free = heap_free_pages();
    d->mem.max_pages = d->mem.tot_pages; /* it may not need more in between */
    /* Many to one. */
    x = exchange(1024, 0, 9);
    out[0] = 7000;
    out[1] = 8000;
    fake_preempt = true;
    assert_int_equal(CALL(memory_exchange, &x), 0);
    fake_preempt = false;
    assert_int_equal(x.nr_exchanged, 1024);
    assert_int_equal(d->mem.tot_pages, 1024);
    assert_int_equal(heap_free_pages(), free);
    assert_int_equal(out[0] & 511, 0);
    assert_int_equal(ground_m2p[out[1] + 5], 8005);
    assert_false(get_page(mfn_to_page(_mfn(list[0])), d));
    /* One to many, below a limit. */
    list[0] = out[0];
    list[1] = out[1];
    x = exchange(2, 9, 0);
    x.out.mem_flags = XENMEMF_address_bits(26);
    for (unsigned i = 0; i < 1024; i++)
        out[i] = 100 + i;
    assert_int_equal(CALL(memory_exchange, &x), 0);
    assert_int_equal(x.nr_exchanged, 2);
    for (unsigned i = 0; i < 1024; i++) {
        assert_true(out[i] < 1u << (26 - PAGE_SHIFT));
        assert_int_equal(ground_m2p[out[i]], 100 + i);
    }
    d->mem.max_pages = UINT64_MAX;
    give_all_back(before);
}

/* What cannot be done leaves everything as it was. */
static void test_exchange_undone(void **state)
{
    uint64_t before = heap_free_pages(), free;
    struct xen_memory_exchange x;
    struct page_info *busy;

    (void)state;
    populate(512, 0);
    free = heap_free_pages();

    x = exchange(512, 0, 9);
    x.out.mem_flags = XENMEMF_address_bits(20);
    assert_int_equal(CALL(memory_exchange, &x), -ENOMEM);
    assert_int_equal(x.nr_exchanged, 0);
    x.out.mem_flags = 0;

    busy = mfn_to_page(_mfn(list[300]));
    assert_true(get_page(busy, d));
    assert_int_equal(CALL(memory_exchange, &x), -EBUSY);
    put_page(busy);

    xen_pfn_t saved = list[511];

    list[511] = list[3]; /* twice */
    assert_int_equal(CALL(memory_exchange, &x), -EINVAL);
    list[511] = max_page + 5;
    assert_int_equal(CALL(memory_exchange, &x), -EINVAL);
    list[511] = saved;
    fake_guest_fault((uintptr_t)(list + 511), 8);
    assert_int_equal(CALL(memory_exchange, &x), -EFAULT);
    fake_guest_fault((uintptr_t)out, 8);
    assert_int_equal(CALL(memory_exchange, &x), -EFAULT);
    fake_guest_fault(0, 0);

    assert_int_equal(d->mem.tot_pages, 512);
    assert_int_equal(d->mem.listed, 512);
    assert_int_equal(heap_free_pages(), free);
    for (unsigned i = 0; i < 512; i++) {
        assert_ptr_equal(page_owner(mfn_to_page(_mfn(list[i]))), d);
        assert_int_equal(ground_m2p[list[i]], i);
    }

    x.out.nr_extents = 2;
    assert_int_equal(CALL(memory_exchange, &x), -EINVAL);
    x = exchange(512, 0, 9);
    x.nr_exchanged = 513;
    assert_int_equal(CALL(memory_exchange, &x), -EINVAL);
    x = exchange(512, 0, 9);
    x.in.extent_order = 60;
    assert_int_equal(CALL(memory_exchange, &x), -EPERM);
    x = exchange(512, 0, 9);
    x.out.domid = 2;
    assert_int_equal(CALL(memory_exchange, &x), -EINVAL);
    x = exchange(0, 0, 9);
    assert_int_equal(CALL(memory_exchange, &x), 0);
    /* Forged progress: those before it are left alone. */
    x = exchange(512, 0, 0);
    x.nr_exchanged = 500;
    for (unsigned i = 0; i < 512; i++)
        out[i] = i;
    assert_int_equal(CALL(memory_exchange, &x), 0);
    assert_int_equal(x.nr_exchanged, 512);
    assert_ptr_equal(page_owner(mfn_to_page(_mfn(list[499]))), d);
    assert_int_equal(d->mem.tot_pages, 512);
    give_all_back(before);
}

/* The other CPU destroys the domain while its exchange reads the guest's memory. */
static void die(uint64_t addr, size_t len, bool to_guest)
{
    (void)len, (void)to_guest;
    if (addr >= (uintptr_t)out && addr < (uintptr_t)(out + 512)) {
        d->dying = DOMDYING_dying;
        assert_int_equal(relinquish_domain_pages(d), 0);
    }
}

static void test_exchange_of_the_dying(void **state)
{
    uint64_t before = heap_free_pages();
    struct xen_memory_exchange x;

    (void)state;
    populate(1024, 0);
    x = exchange(1024, 0, 9);
    fake_guest_hook = die;
    assert_int_equal(CALL(memory_exchange, &x), -EINVAL);
    fake_guest_hook = NULL;
    give_all_back(before);
    assert_int_equal(d->refs, 1);
}

static void test_exchange_stress(void **state)
{
    uint64_t before = heap_free_pages();

    (void)state;
    d->mem.max_pages = 512;
    for (unsigned round = 0; round < 300; round++) {
        unsigned in_order = ground_random(6), out_order = ground_random(6);
        unsigned nr = 512 >> in_order;
        struct xen_memory_exchange x;

        populate(nr, in_order);
        x = exchange(nr, in_order, out_order);
        x.out.mem_flags = ground_random(3) ? 0 : XENMEMF_address_bits(20 + ground_random(6));
        for (unsigned i = 0; i < 512u >> out_order; i++)
            out[i] = 5000 + (i << out_order);
        if (ground_random(3) == 0) /* someone holds a page */
            assert_true(get_page(mfn_to_page(_mfn(list[nr / 2])), d));
        fake_preempt = ground_random(2);

        long ret = CALL(memory_exchange, &x);
        unsigned done = x.nr_exchanged;

        fake_preempt = false;
        assert_true(done <= nr && (!ret == (done == nr)));
        assert_int_equal(d->mem.tot_pages, 512);
        assert_int_equal(d->mem.listed, 512);
        for (unsigned i = 0; i < nr; i++)
            for (unsigned j = 0; j < 1u << in_order; j++) {
                bool has = page_owner(mfn_to_page(_mfn(list[i] + j))) == d;

                /* (An exchanged frame can have come back by chance.) */
                assert_true(i < done || has);
                if (i >= done)
                    assert_int_equal(ground_m2p[list[i] + j], (i << in_order) + j);
            }
        for (unsigned i = 0; i < (done << in_order) >> out_order; i++)
            for (unsigned j = 0; j < 1u << out_order; j++) {
                assert_ptr_equal(page_owner(mfn_to_page(_mfn(out[i] + j))), d);
                assert_int_equal(ground_m2p[out[i] + j], 5000 + (i << out_order) + j);
            }
        for (uint32_t f = d->mem.first, n; f; f = n) {
            struct page_info *pg = mfn_to_page(_mfn(f));

            n = pg->next;
            if ((pg->refs & PAGE_COUNT_MASK) == 2)
                put_page(pg);
            if (pg->refs & PAGE_ALLOCATED)
                put_page_alloc(pg);
        }
        assert_int_equal(d->mem.tot_pages, 0);
        assert_int_equal(heap_free_pages(), before);
        heap_scrub_idle();
    }
    d->mem.max_pages = UINT64_MAX;
}

static void test_queries(void **state)
{
    struct xen_memory_domain who = {.domid = 1};
    struct xen_memory_reservation claim = {.nr_extents = 100, .domid = 1};
    struct xen_pod_target pod = {.target_pages = 5, .domid = 1};
    struct xen_reserved_device_memory_map rdm = {.nr_entries = 9};
    struct call c = {.v = dom0->vcpu[0], .d = d};
    struct noarg none;

    (void)state;
    assert_int_equal(memory_current_reservation(&c, &who), 0);
    assert_int_equal(memory_maximum_reservation(&c, &who), INT64_MAX);
    assert_int_equal(memory_maximum_ram_page(&c, &none), max_page - 1);
    assert_int_equal(memory_sharing_pages(&c, &none), 0);
    assert_int_equal(memory_claim_pages(&c, &claim), 0);
    assert_int_equal(heap_outstanding_claims(), 100);
    claim.nr_extents = 0;
    assert_int_equal(memory_claim_pages(&c, &claim), 0);
    claim.extent_order = 1;
    assert_int_equal(memory_claim_pages(&c, &claim), -EINVAL);
    assert_int_equal(memory_set_pod_target(&c, &pod), 0);
    assert_int_equal(pod.tot_pages, 0);
    assert_int_equal(memory_reserved_device_memory_map(&c, &rdm), 0);
    assert_int_equal(rdm.nr_entries, 0);
}

static void test_acquire_resource(void **state)
{
    struct xen_mem_acquire_resource r = {.domid = 1, .type = XENMEM_resource_grant_table};
    struct call c = {.v = dom0->vcpu[0], .d = d};

    (void)state;
    assert_int_equal(memory_acquire_resource(&c, &r), 0);
    assert_true(c.copy_back);
    assert_int_equal(r.nr_frames, 4);
    r.frame = 1;
    r.nr_frames = 3;
    assert_int_equal(memory_acquire_resource(&c, &r), -EINVAL);
    set_xen_guest_handle(r.frame_list, list);
    fake_preempt = true;
    assert_int_equal(CALL(memory_acquire_resource, &r), 0);
    fake_preempt = false;
    assert_int_equal(list[0], 2);
    assert_int_equal(list[2], 4);
    r.nr_frames = 4;
    assert_int_equal(memory_acquire_resource(&c, &r), -EINVAL);
    r.frame = ~0UL;
    assert_int_equal(memory_acquire_resource(&c, &r), -EINVAL);
    r.frame = 1UL << 32;
    assert_int_equal(memory_acquire_resource(&c, &r), -EINVAL);
    r.type = XENMEM_resource_vmtrace_buf;
    assert_int_equal(memory_acquire_resource(&c, &r), -EOPNOTSUPP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_populate_and_decrease),
        cmocka_unit_test(test_increase),
        cmocka_unit_test(test_large_extents),
        cmocka_unit_test(test_hostile_lists),
        cmocka_unit_test(test_exchange),
        cmocka_unit_test(test_exchange_undone),
        cmocka_unit_test(test_exchange_of_the_dying),
        cmocka_unit_test(test_exchange_stress),
        cmocka_unit_test(test_queries),
        cmocka_unit_test(test_acquire_resource),
    };

    return cmocka_run_group_tests_name("mem/xenmem", tests, setup, NULL);
}
