// SPDX-License-Identifier: MIT
/* The buddy heap against a shadow of who has which frame, and byte allocations. */
#include "ground.h"
#include "mem/mem_private.h"

static void test_alignment_and_limits(void **state)
{
    struct page_info *pg;

    (void)state;
    for (unsigned order = 0; order <= 10; order++) {
        uint64_t before = heap_free_pages();

        pg = heap_alloc(order, MEMF_NO_SCRUB);
        assert_non_null(pg);
        assert_int_equal(mfn_x(page_to_mfn(pg)) & ((1u << order) - 1), 0);
        assert_int_equal(heap_free_pages(), before - (1u << order));
        heap_free(pg, order);
        assert_int_equal(heap_free_pages(), before);
    }
    assert_null(heap_alloc(HEAP_MAX_ORDER + 1, 0));
    assert_null(heap_alloc(HEAP_MAX_ORDER, 0));
    assert_null(heap_alloc(0, MEMF_BITS(12)));
    assert_null(heap_alloc(0, MEMF_BITS(20))); /* the arena begins at 1 MB */
    pg = heap_alloc(0, MEMF_BITS(22));
    assert_non_null(pg);
    assert_true(mfn_to_maddr(page_to_mfn(pg)) < 1u << 22);
    heap_free(pg, 0);
}

/* Frames one behind the other, as long as there are; elsewhere, or below a limit, if there are not.
 */
static void test_runs(void **state)
{
    uint64_t free = heap_free_pages();
    struct page_info *run[16], *pg;

    (void)state;
    pg = heap_alloc(8, 0);
    heap_free(pg, 8);
    run[0] = heap_alloc_for(NULL, 4, 0, mfn_x(page_to_mfn(pg)));
    assert_ptr_equal(run[0], pg);
    for (unsigned i = 1; i < 16; i++) {
        run[i] = heap_alloc_for(NULL, 4, 0, mfn_x(page_to_mfn(run[0])) + 16 * i);
        assert_ptr_equal(run[i], run[0] + 16 * i);
    }
    pg = heap_alloc_for(NULL, 4, 0, mfn_x(page_to_mfn(run[3])));
    assert_non_null(pg);
    heap_free(pg, 4);
    heap_free(run[7], 4);
    pg = heap_alloc_for(NULL, 4, MEMF_BITS(22), mfn_x(page_to_mfn(run[7])));
    assert_true(mfn_to_maddr(page_to_mfn(pg)) < 1u << 22);
    heap_free(pg, 4);
    run[7] = heap_alloc_for(NULL, 4, 0, mfn_x(page_to_mfn(run[7])));
    assert_ptr_equal(run[7], run[0] + 16 * 7);
    pg = heap_alloc_for(NULL, 4, 0, UINT32_MAX - 16); /* no such frame */
    heap_free(pg, 4);
    pg = heap_alloc_for(NULL, 4, 0, HEAP_RUN); /* no such run */
    heap_free(pg, 4);
    for (unsigned i = 0; i < 16; i++)
        heap_free(run[i], 4);
    assert_int_equal(heap_free_pages(), free);
}

static void test_nodes(void **state)
{
    uint64_t third = RAM_PAGES / 3, start, frames;
    struct page_info *pg[64];
    uint64_t got = 0;

    (void)state;
    assert_int_equal(heap_nr_nodes(), 2);
    assert_int_equal(mfn_to_node(_mfn(FAKE_FIRST_MFN)), 0);
    assert_int_equal(mfn_to_node(_mfn(FAKE_FIRST_MFN + third + 5)), 1);
    assert_int_equal(mfn_to_node(_mfn(FAKE_FIRST_MFN + 2 * third + 5)), 0);
    assert_int_equal(heap_free_pages_node(0, 0, 0) + heap_free_pages_node(1, 0, 0),
                     heap_free_pages());
    assert_int_equal(heap_free_pages_node(~0u, 0, 0), heap_free_pages());
    heap_node_span(1, &start, &frames);
    assert_true(start > FAKE_FIRST_MFN + third && frames <= third);
    for (unsigned i = 0; i < 64; i++) {
        pg[i] = heap_alloc(0, MEMF_NODE(i & 1) | MEMF_EXACT_NODE);
        assert_int_equal(mfn_to_node(page_to_mfn(pg[i])), i & 1);
    }
    for (unsigned i = 0; i < 64; i++)
        heap_free(pg[i], 0);
    /* An exhausted node: exact requests fail, others go elsewhere. */
    struct page_info *list = NULL, *p;

    while ((p = heap_alloc(0, MEMF_NODE(1) | MEMF_EXACT_NODE | MEMF_NO_SCRUB)) != NULL) {
        *(struct page_info **)page_to_virt(p) = list;
        list = p;
        got++;
    }
    assert_int_equal(heap_free_pages_node(1, 0, 0), 0);
    p = heap_alloc(0, MEMF_NODE(1));
    assert_int_equal(mfn_to_node(page_to_mfn(p)), 0);
    heap_free(p, 0);
    while (list) {
        p = list;
        list = *(struct page_info **)page_to_virt(p);
        heap_free(p, 0);
    }
    assert_int_equal(heap_free_pages_node(1, 0, 0), got);
}

static void test_large_orders_need_scrubbed_memory(void **state)
{
    struct page_info *pg;

    (void)state;
    while (heap_scrub_idle())
        ;
    assert_int_equal(heap_scrub_pages(), 0);
    pg = heap_alloc(10, 0);
    assert_non_null(pg);
    ground_check_fresh(pg, 10);
    ground_soil(pg, 10);
    heap_free(pg, 10);
    assert_int_equal(heap_scrub_pages(), 1024);
    /* All large chunks out, the dirty one is left: too much to zero at once. */
    struct page_info *clean[64];
    unsigned n = 0;

    while ((clean[n] = heap_alloc(10, 0)) != NULL)
        ground_check_fresh(clean[n++], 10);
    pg = heap_alloc(10, MEMF_NO_SCRUB);
    assert_non_null(pg);
    heap_free(pg, 10);
    while (n)
        heap_free(clean[--n], 10);
}

static void test_idle_scrubbing_yields(void **state)
{
    struct page_info *pg = heap_alloc(6, 0);
    uint64_t dirty, free = heap_free_pages();

    (void)state;
    ground_soil(pg, 6);
    heap_free(pg, 6);
    dirty = heap_scrub_pages();
    assert_true(dirty >= 64);
    while (heap_scrub_idle()) {
        assert_true(heap_scrub_pages() < dirty);
        dirty = heap_scrub_pages();
    }
    assert_int_equal(dirty, 0);
    assert_int_equal(heap_free_pages(), free + 64);
}

static void test_misuse_panics(void **state)
{
    struct page_info *pg = heap_alloc(1, 0);

    (void)state;
    heap_free(pg, 1);
    if (fake_expect_panic()) {
        heap_free(pg, 0);
        fail_msg("freed twice");
    }
    if (fake_expect_panic()) {
        heap_free(pg + 1, 0);
        fail_msg("freed twice");
    }
}

#define SLOTS 512

static void test_stress(void **state)
{
    static struct {
        struct page_info *pg;
        unsigned order;
    } slot[SLOTS];
    static uint8_t *used;
    uint64_t model_free = heap_free_pages();
    unsigned before;

    (void)state;
    used = calloc(max_page, 1);
    before = ground_count_chunks(9);
    for (unsigned step = 0; step < 60000; step++) {
        unsigned i = ground_random(SLOTS);

        if (ground_random(8) == 0)
            heap_scrub_idle();
        if (slot[i].pg) {
            unsigned order = slot[i].order, part = order ? ground_random(order + 1) : 0;

            ground_soil(slot[i].pg, order);
            memset(used + mfn_x(page_to_mfn(slot[i].pg)), 0, 1u << order);
            /* In pieces of any smaller order. */
            for (unsigned j = 0; j < 1u << order; j += 1u << part)
                heap_free(slot[i].pg + j, part);
            model_free += 1u << order;
            slot[i].pg = NULL;
        } else {
            unsigned order = ground_random(4) ? ground_random(3) : ground_random(10);
            struct page_info *pg = heap_alloc(order, MEMF_NODE(ground_random(2)));

            if (!pg)
                continue;
            ground_check_fresh(pg, order);
            for (unsigned j = 0; j < 1u << order; j++) {
                assert_int_equal(used[mfn_x(page_to_mfn(pg)) + j], 0);
                used[mfn_x(page_to_mfn(pg)) + j] = 1;
            }
            model_free -= 1u << order;
            slot[i].pg = pg;
            slot[i].order = order;
        }
        assert_int_equal(heap_free_pages(), model_free);
    }
    for (unsigned i = 0; i < SLOTS; i++)
        if (slot[i].pg)
            heap_free(slot[i].pg, slot[i].order);
    /* All has been joined again. */
    assert_int_equal(ground_count_chunks(9), before);
    free(used);
}

static void test_bytes(void **state)
{
    static struct {
        unsigned char *p;
        size_t size;
        unsigned char fill;
    } slot[SLOTS];
    uint64_t before;
    void *p;

    (void)state;
    assert_null(xzalloc_bytes(SIZE_MAX / 2, 3));
    assert_null(xzalloc_bytes(1, SIZE_MAX));
    xfree(NULL);
    p = xzalloc_bytes(0, 8);
    assert_non_null(p);
    xfree(p);
    before = heap_free_pages();
    for (unsigned step = 0; step < 100000; step++) {
        unsigned i = ground_random(SLOTS);

        if (slot[i].p) {
            for (size_t j = 0; j < slot[i].size; j++)
                assert_int_equal(slot[i].p[j], slot[i].fill);
            xfree(slot[i].p);
            slot[i].p = NULL;
            continue;
        }
        slot[i].size = ground_random(6) ? 1 + ground_random(600) : 1 + ground_random(20000);
        slot[i].fill = 1 + ground_random(255);
        slot[i].p = xzalloc_bytes(1, slot[i].size);
        assert_non_null(slot[i].p);
        for (size_t j = 0; j < slot[i].size; j++)
            assert_int_equal(slot[i].p[j], 0);
        assert_int_equal((uintptr_t)slot[i].p & (slot[i].size >= PAGE_SIZE ? PAGE_SIZE - 1 : 15),
                         0);
        memset(slot[i].p, slot[i].fill, slot[i].size);
    }
    for (unsigned i = 0; i < SLOTS; i++)
        xfree(slot[i].p);
    /* One spare slab of each size may remain. */
    assert_true(before - heap_free_pages() <= 8);
    p = xzalloc_bytes(1, 40);
    xfree(p);
    if (fake_expect_panic()) {
        xfree(p);
        fail_msg("freed twice");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alignment_and_limits),
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_nodes),
        cmocka_unit_test(test_large_orders_need_scrubbed_memory),
        cmocka_unit_test(test_idle_scrubbing_yields),
        cmocka_unit_test(test_stress),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_misuse_panics), /* last: it leaves a lock taken */
    };

    return cmocka_run_group_tests_name("mem/heap", tests, ground_setup, NULL);
}
