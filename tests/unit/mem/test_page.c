// SPDX-License-Identifier: MIT
/* Ownership: references, limits, claims, taking away, the end of a domain. */
#include "ground.h"

static struct domain *a, *b;

static int setup(void **state)
{
    ground_setup(state);
    a = fake_domain(1, 1);
    b = fake_domain(2, 1);
    return 0;
}

static uint64_t count_mask(const struct page_info *pg)
{
    return pg->refs & PAGE_COUNT_MASK;
}

/* d has nothing left, and the heap has what it had before. */
static void check_empty(const struct domain *d, uint64_t free_before)
{
    assert_int_equal(d->mem.tot_pages, 0);
    assert_int_equal(d->mem.listed, 0);
    assert_int_equal(d->mem.first, 0);
    assert_int_equal(d->mem.last, 0);
    assert_int_equal(d->refs, 1);
    assert_int_equal(heap_free_pages(), free_before);
}

static void test_references(void **state)
{
    uint64_t before = heap_free_pages();
    struct page_info *pg = alloc_domain_pages(a, 0, 0);

    (void)state;
    assert_non_null(pg);
    assert_ptr_equal(page_owner(pg), a);
    assert_int_equal(a->refs, 2);
    assert_int_equal(a->mem.tot_pages, 1);
    assert_true(get_page(pg, a));
    assert_false(get_page(pg, b));
    assert_int_equal(count_mask(pg), 2);
    assert_true(get_page_more(pg));
    put_page(pg);
    put_page_alloc(pg);
    put_page_alloc(pg); /* nothing */
    assert_int_equal(count_mask(pg), 1);
    assert_int_equal(a->mem.tot_pages, 1);
    assert_true(get_page(pg, a)); /* not free yet */
    put_page(pg);
    put_page(pg);
    check_empty(a, before);
    assert_false(get_page(pg, a));
    assert_null(page_owner(pg));
}

static void test_count_does_not_overflow(void **state)
{
    struct page_info *pg = alloc_domain_pages(a, 0, 0);

    (void)state;
    pg->refs = PAGE_ALLOCATED | PAGE_COUNT_MASK;
    assert_false(get_page(pg, a));
    pg->refs = PAGE_ALLOCATED | (PAGE_COUNT_MASK - 5);
    assert_false(get_page_more(pg));
    assert_int_equal(pg->refs, PAGE_ALLOCATED | (PAGE_COUNT_MASK - 5));
    pg->refs = PAGE_ALLOCATED | 1;
    put_page_alloc(pg);
}

static void test_limits(void **state)
{
    uint64_t before = heap_free_pages();
    struct page_info *pg, *one;

    (void)state;
    a->mem.max_pages = 5;
    pg = alloc_domain_pages(a, 2, 0);
    assert_non_null(pg);
    assert_null(alloc_domain_pages(a, 1, 0));
    one = heap_alloc(1, 0);
    assert_int_equal(assign_pages(a, one, 1, 0), -E2BIG);
    heap_free(one, 1);
    one = alloc_domain_pages(a, 0, 0);
    assert_non_null(one);
    assert_null(alloc_domain_pages(a, 0, 0));
    a->dying = DOMDYING_dying;
    a->mem.max_pages = UINT64_MAX;
    assert_null(alloc_domain_pages(a, 0, 0));
    a->dying = DOMDYING_alive;
    put_page_alloc(one);
    for (unsigned i = 0; i < 4; i++)
        put_page_alloc(pg + i);
    check_empty(a, before);
}

static void test_steal(void **state)
{
    uint64_t before = heap_free_pages();
    struct page_info *pg = alloc_domain_pages(a, 0, 0), *shared = heap_alloc(0, 0);

    (void)state;
    ground_soil(pg, 0);
    assert_int_equal(steal_page(b, pg, 0), -EINVAL);
    assert_true(get_page(pg, a));
    assert_int_equal(steal_page(a, pg, 0), -EBUSY);
    put_page(pg);
    assert_int_equal(steal_page(a, pg, 0), 0);
    assert_int_equal(steal_page(a, pg, 0), -EINVAL);
    assert_int_equal(*(uint8_t *)page_to_virt(pg), 0xa5);
    assert_int_equal(a->mem.tot_pages, 0);
    assert_int_equal(a->refs, 1);
    assert_int_equal(assign_pages(b, pg, 0, 0), 0);
    assert_ptr_equal(page_owner(pg), b);
    put_page_alloc(pg);

    share_hyp_page(shared, a, true);
    assert_int_equal(steal_page(a, shared, 0), -EINVAL);
    put_page_alloc(shared); /* not the guest's to drop */
    assert_int_equal(count_mask(shared), 1);
    unshare_hyp_page(shared);
    check_empty(a, before);
    check_empty(b, before);
}

static void test_shared_page_outlives_its_sharing(void **state)
{
    uint64_t before = heap_free_pages();
    struct page_info *pg = heap_alloc(0, 0);

    (void)state;
    share_hyp_page(pg, a, true);
    assert_int_equal(a->mem.hyp_pages, 1);
    assert_int_equal(a->refs, 1); /* it does not keep the domain */
    assert_true(get_page(pg, a));
    assert_false(get_page(pg, b));
    unshare_hyp_page(pg);
    assert_int_equal(a->mem.hyp_pages, 0);
    assert_false(get_page(pg, a));
    assert_int_equal(heap_free_pages(), before - 1);
    put_page(pg);
    assert_int_equal(heap_free_pages(), before);
}

static void test_relinquish(void **state)
{
    uint64_t before = heap_free_pages();
    struct page_info *pg, *foreign, *dropped;
    unsigned restarts = 0;
    int ret;

    (void)state;
    pg = alloc_domain_pages(a, 8, 0);
    foreign = alloc_domain_pages(a, 0, 0);
    dropped = alloc_domain_pages(a, 0, 0);
    assert_true(get_page(foreign, a));
    /* The balloon gave back a page table that is pinned. */
    ground_pin(dropped);
    put_page_alloc(dropped);
    ground_pin(pg + 7);
    assert_int_equal(a->mem.tot_pages, 258);

    a->dying = DOMDYING_dying;
    fake_preempt = true;
    ground_relinquish_restarts = 3;
    while ((ret = relinquish_domain_pages(a)) == -ERESTART)
        restarts++;
    fake_preempt = false;
    assert_int_equal(ret, 0);
    assert_true(restarts >= 8 + 3);
    assert_int_equal(a->mem.tot_pages, 1); /* somebody maps it */
    assert_int_equal(a->refs, 2);
    assert_int_equal(relinquish_domain_pages(a), 0);
    put_page(foreign);
    check_empty(a, before);
    a->dying = DOMDYING_alive;
}

static void test_claims(void **state)
{
    uint64_t free = heap_free_pages();
    struct page_info *pg, *mine;

    (void)state;
    a->mem.max_pages = free;
    assert_int_equal(domain_set_claim(a, free + 1), -EINVAL);
    a->mem.max_pages = UINT64_MAX;
    assert_int_equal(domain_set_claim(a, free + 1), -ENOMEM);
    assert_int_equal(domain_set_claim(a, free), 0);
    assert_int_equal(heap_outstanding_claims(), free);
    assert_int_equal(domain_set_claim(a, free), -EINVAL);
    assert_null(heap_alloc(0, 0));
    assert_null(alloc_domain_pages(b, 0, 0));
    mine = alloc_domain_pages(a, 3, 0);
    assert_non_null(mine);
    assert_int_equal(heap_outstanding_claims(), free - 8);
    assert_int_equal(domain_set_claim(a, 0), 0);
    assert_int_equal(heap_outstanding_claims(), 0);
    assert_int_equal(domain_set_claim(a, 8), -EINVAL); /* it has them */
    assert_int_equal(domain_set_claim(a, 10), 0);
    assert_int_equal(heap_outstanding_claims(), 2);
    pg = alloc_domain_pages(a, 2, 0); /* settles it */
    assert_int_equal(heap_outstanding_claims(), 0);
    for (unsigned i = 0; i < 4; i++)
        put_page_alloc(pg + i);
    for (unsigned i = 0; i < 8; i++)
        put_page_alloc(mine + i);
    check_empty(a, free);
}

/* A page goes to another domain only scrubbed, and when no TLB has it any more. */
static void test_nothing_leaks_between_domains(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        struct page_info *pg[64];

        for (unsigned i = 0; i < 64; i++) {
            pg[i] = alloc_domain_pages(round & 1 ? a : b, 0, 0);
            ground_soil(pg[i], 0);
        }
        for (unsigned i = 0; i < 64; i++)
            put_page_alloc(pg[i]);
        if (round % 3 == 0)
            heap_scrub_idle();
        for (unsigned i = 0; i < 64; i++) {
            pg[i] = heap_alloc(0, 0);
            ground_check_fresh(pg[i], 0);
        }
        for (unsigned i = 0; i < 64; i++)
            heap_free(pg[i], 0);
    }
}

/* With interrupts off nobody may wait for another CPU's flush. */
/* Takes all that is free, so that the next page to be freed is the next one given out. */
static struct page_info *take_all_memory(void)
{
    struct page_info *list = NULL, *pg;

    while ((pg = heap_alloc(0, MEMF_NO_SCRUB)) != NULL) {
        *(struct page_info **)page_to_virt(pg) = list;
        list = pg;
    }
    return list;
}

static void give_all_back(struct page_info *list)
{
    while (list) {
        struct page_info *pg = list;

        list = *(struct page_info **)page_to_virt(pg);
        heap_free(pg, 0);
    }
}

/* What a living domain gives up and gets again it finds as it was; anybody else gets zeros. */
static void test_own_pages_come_back_unscrubbed(void **state)
{
    struct domain *first = fake_domain(3, 1), *second = fake_domain(4, 1);
    struct page_info *pg, *got, *rest;

    (void)state;
    domain_mem_init(first);
    domain_mem_init(second);
    assert_int_not_equal(first->mem.past, second->mem.past);
    pg = alloc_domain_pages(first, 0, 0);
    ground_soil(pg, 0);
    rest = take_all_memory();
    put_page_alloc(pg);
    assert_null(page_owner(pg));
    assert_false(get_page(pg, first));
    got = alloc_domain_pages(first, 0, 0);
    assert_ptr_equal(got, pg);
    assert_int_equal(*(uint8_t *)page_to_virt(pg), 0xa5);
    put_page_alloc(pg);

    got = alloc_domain_pages(second, 0, 0);
    assert_ptr_equal(got, pg);
    assert_int_equal(*(uint64_t *)page_to_virt(pg), 0);
    ground_soil(pg, 0);
    put_page_alloc(pg);
    got = heap_alloc(0, 0); /* the hypervisor's */
    assert_ptr_equal(got, pg);
    assert_int_equal(*(uint64_t *)page_to_virt(pg), 0);
    heap_free(pg, 0);

    /* A dead domain's page is like any other. */
    got = alloc_domain_pages(first, 0, 0);
    ground_soil(got, 0);
    first->dying = true;
    assert_int_equal(relinquish_domain_pages(first), 0);
    assert_int_equal(got->owner, 0);
    give_all_back(rest);
}

/* A domain that may not have pages from everywhere, whatever it asks for. */
static void test_limited_addresses(void **state)
{
    struct domain *d = fake_domain(5, 1);
    struct page_info *pg;
    unsigned n = 0;

    (void)state;
    d->mem.addr_bits = 22;
    d->mem.max_pages = UINT64_MAX;
    while ((pg = alloc_domain_pages(d, 0, n % 2 ? MEMF_BITS(23) : 0)) != NULL) {
        assert_true(mfn_to_maddr(page_to_mfn(pg)) < 1u << 22);
        n++;
    }
    assert_true(n > 0 && n < (1u << 22) / PAGE_SIZE);
    d->dying = true;
    assert_int_equal(relinquish_domain_pages(d), 0);
}

static void test_no_flush_with_interrupts_off(void **state)
{
    uint64_t before = heap_free_pages();
    struct page_info *pg = alloc_domain_pages(a, 9, 0), *got[600];
    unsigned flushes, n = 0;

    (void)state;
    for (unsigned i = 0; i < 512; i++)
        put_page_alloc(pg + i);
    flushes = fake_tlb_flushes;
    local_irq_disable();
    while (n < 600 && (got[n] = heap_alloc(0, 0)) != NULL)
        n++;
    local_irq_enable();
    assert_int_equal(fake_tlb_flushes, flushes);
    while (n)
        heap_free(got[--n], 0);
    assert_int_equal(heap_free_pages(), before);
}

#define SLOTS 600

static void test_stress(void **state)
{
    static struct {
        struct page_info *pg;
        struct domain *d;
        unsigned extra;
        bool allocated;
    } slot[SLOTS];
    uint64_t before = heap_free_pages();

    (void)state;
    for (unsigned step = 0; step < 100000; step++) {
        unsigned i = ground_random(SLOTS);
        struct page_info *pg = slot[i].pg;

        if (!pg) {
            slot[i].d = ground_random(2) ? a : b;
            pg = slot[i].pg = alloc_domain_pages(slot[i].d, 0, 0);
            assert_non_null(pg);
            slot[i].allocated = true;
            slot[i].extra = 0;
            ground_soil(pg, 0);
            continue;
        }
        assert_int_equal(count_mask(pg), slot[i].extra + slot[i].allocated);
        switch (ground_random(5)) {
        case 0:
            assert_true(get_page(pg, slot[i].d));
            slot[i].extra++;
            break;
        case 1:
            assert_false(get_page(pg, slot[i].d == a ? b : a));
            break;
        case 2:
            if (slot[i].extra) {
                put_page(pg);
                slot[i].extra--;
            }
            break;
        case 3:
            put_page_alloc(pg);
            slot[i].allocated = false;
            break;
        case 4:
            if (slot[i].extra || !slot[i].allocated) {
                assert_int_equal(steal_page(slot[i].d, pg, 0), -EBUSY);
            } else {
                struct domain *to = slot[i].d == a ? b : a;

                assert_int_equal(steal_page(slot[i].d, pg, 0), 0);
                assert_int_equal(assign_pages(to, pg, 0, 0), 0);
                slot[i].d = to;
            }
            break;
        }
        if (!slot[i].extra && !slot[i].allocated)
            slot[i].pg = NULL;
        heap_scrub_idle();
    }
    a->dying = b->dying = DOMDYING_dying;
    assert_int_equal(relinquish_domain_pages(a), 0);
    assert_int_equal(relinquish_domain_pages(b), 0);
    for (unsigned i = 0; i < SLOTS; i++)
        while (slot[i].pg && slot[i].extra--)
            put_page(slot[i].pg);
    check_empty(a, before);
    check_empty(b, before);
    a->dying = b->dying = DOMDYING_alive;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_count_does_not_overflow),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_steal),
        cmocka_unit_test(test_shared_page_outlives_its_sharing),
        cmocka_unit_test(test_relinquish),
        cmocka_unit_test(test_claims),
        cmocka_unit_test(test_nothing_leaks_between_domains),
        cmocka_unit_test(test_own_pages_come_back_unscrubbed),
        cmocka_unit_test(test_limited_addresses),
        cmocka_unit_test(test_no_flush_with_interrupts_off),
        cmocka_unit_test(test_stress),
    };

    return cmocka_run_group_tests_name("mem/page", tests, setup, NULL);
}
