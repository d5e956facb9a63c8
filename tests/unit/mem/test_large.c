// SPDX-License-Identifier: MIT
/*
 * A host with 4 TB: RAM at its two ends and in the middle, on two nodes.  What lies between is
 * address space only (the frame table alone would be 32 GB), so whatever touched it would show.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/mman.h>
#include "arch/fake/fake.h"
#include "arch/api/arch_mm.h"
#include "domain/domain.h"
#include "mem/mem.h"

#define TB     (1ULL << 40)
#define FRAMES (4 * TB >> PAGE_SHIFT)
#define PIECE  8192ULL /* frames */
#define MIDDLE (FRAMES / 2)
#define LAST   (FRAMES - PIECE)

/* The arch's part: nothing here has a type. */
void arch_page_assigned(struct page_info *pg, struct domain *d)
{
    (void)pg, (void)d;
}

void arch_page_unshared(struct page_info *pg)
{
    (void)pg;
}

int arch_page_relinquish(struct domain *d, struct page_info *pg)
{
    (void)d, (void)pg;
    return 0;
}

void m2p_set(mfn_t mfn, uint64_t pfn)
{
    (void)mfn, (void)pfn;
}

static void *sparse(uint64_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

static int setup(void **state)
{
    (void)state;
    fake_init(1);
    fake_ram = sparse(4 * TB);
    fake_frame_table = sparse(FRAMES * sizeof(struct page_info));
    assert_non_null(fake_ram);
    assert_non_null(fake_frame_table);
    max_page = FRAMES;
    heap_init();
    heap_add_range(_mfn(FAKE_FIRST_MFN), _mfn(FAKE_FIRST_MFN + PIECE), 0);
    heap_add_range(_mfn(MIDDLE), _mfn(MIDDLE + PIECE), 1);
    heap_add_range(_mfn(LAST), _mfn(FRAMES), 0);
    return 0;
}

static uint64_t frame(const struct page_info *pg)
{
    return mfn_x(page_to_mfn(pg));
}

static void test_where_memory_comes_from(void **state)
{
    uint64_t free = heap_free_pages(), start, frames;
    struct page_info *pg;

    (void)state;
    assert_true(free > 3 * PIECE - 64 && free <= 3 * PIECE);
    assert_int_equal(mfn_to_node(_mfn(FAKE_FIRST_MFN + 5)), 0);
    assert_int_equal(mfn_to_node(_mfn(MIDDLE + 5)), 1);
    assert_int_equal(mfn_to_node(_mfn(FRAMES - 1)), 0);
    heap_node_span(0, &start, &frames);
    assert_true(start + frames == FRAMES);

    pg = heap_alloc(0, 0); /* the highest first */
    assert_true(frame(pg) >= LAST);
    heap_free(pg, 0);
    pg = heap_alloc(9, MEMF_NODE(1) | MEMF_EXACT_NODE);
    assert_true(frame(pg) >= MIDDLE && frame(pg) < MIDDLE + PIECE);
    heap_free(pg, 9);
    pg = heap_alloc(3, MEMF_BITS(41)); /* 2 TB: below the middle */
    assert_true(frame(pg) < MIDDLE);
    heap_free(pg, 3);
    pg = heap_alloc(0, MEMF_BITS(42) | MEMF_NODE(1));
    assert_true(frame(pg) >= MIDDLE && frame(pg) < MIDDLE + PIECE);
    heap_free(pg, 0);
    assert_int_equal(heap_free_pages_node(~0u, 42, 0) + heap_free_pages_node(~0u, 0, 41), free);
    assert_int_equal(heap_free_pages(), free);
}

/* A domain that has all of it: its list runs from one end of the host to the other. */
static void test_a_domain_of_all(void **state)
{
    struct domain *d = fake_domain(1, 1);
    uint64_t free = heap_free_pages(), n = 0, low = 0, middle = 0, high = 0;
    struct page_info *pg;

    (void)state;
    domain_mem_init(d);
    d->mem.max_pages = UINT64_MAX;
    while ((pg = alloc_domain_pages(d, 0, 0)) != NULL) {
        *(uint64_t *)page_to_virt(pg) = frame(pg);
        n++;
    }
    assert_int_equal(n, free);
    assert_int_equal(heap_free_pages(), 0);
    for (uint64_t f = d->mem.first; f; f = mfn_to_page(_mfn(f))->next) {
        pg = mfn_to_page(_mfn(f));
        assert_ptr_equal(page_owner(pg), d);
        assert_int_equal(*(uint64_t *)page_to_virt(pg), f);
        low += f < MIDDLE;
        middle += f >= MIDDLE && f < LAST;
        high += f >= LAST;
    }
    assert_int_equal(low + middle + high, n);
    assert_true(low && middle && high);
    d->dying = DOMDYING_dying;
    while (relinquish_domain_pages(d))
        ;
    assert_int_equal(heap_free_pages(), free);
    assert_int_equal(d->mem.listed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_where_memory_comes_from),
        cmocka_unit_test(test_a_domain_of_all),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
