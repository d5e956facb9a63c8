// SPDX-License-Identifier: MIT
#include "ground.h"

uint64_t ground_total;
uint64_t *ground_m2p;
unsigned ground_relinquish_restarts;

/* When a frame was last reachable by guests, and when each CPU last flushed; 0: never. */
static uint64_t *reachable_at, flushed_at[CPUS], now = 1;
static uint32_t seed = 12345;

uint32_t ground_random(uint32_t n)
{
    seed = seed * 1664525 + 1013904223;
    return (uint32_t)(((uint64_t)(seed ^ seed >> 15) * n) >> 32);
}

static void on_flush(unsigned cpu, unsigned long va)
{
    if (!va)
        flushed_at[cpu] = ++now;
}

int ground_setup(void **state)
{
    uint64_t first = FAKE_FIRST_MFN, third = RAM_PAGES / 3;

    (void)state;
    fake_init(CPUS);
    fake_ram_init(RAM_PAGES);
    memset(fake_ram, 0x5a, RAM_PAGES * PAGE_SIZE);
    fake_tlb_hook = on_flush;
    reachable_at = calloc(max_page, sizeof(*reachable_at));
    ground_m2p = malloc(max_page * sizeof(*ground_m2p));
    memset(ground_m2p, 0xff, max_page * sizeof(*ground_m2p));
    heap_init();
    heap_add_range(_mfn(first), _mfn(first + third), 0);
    heap_add_range(_mfn(first + third), _mfn(first + 2 * third), 1);
    heap_add_range(_mfn(first + 2 * third), _mfn(first + RAM_PAGES), 0);
    ground_total = heap_free_pages();
    /* Ownership of frames needs domains that live in the arena. */
    domid_io_d = fake_domain(DOMID_IO, 0);
    domid_xen_d = fake_domain(DOMID_XEN, 0);
    dom0 = fake_domain(0, 1);
    fake_current = dom0->vcpu[0];
    return 0;
}

void ground_check_fresh(const struct page_info *pg, unsigned order)
{
    assert_int_equal(mfn_x(page_to_mfn(pg)) & ((1u << order) - 1), 0);
    for (unsigned i = 0; i < 1u << order; i++) {
        const uint64_t *p = page_to_virt(pg + i);

        assert_int_equal(pg[i].refs, 0);
        assert_int_equal(pg[i].type, 0);
        assert_int_equal(pg[i].owner, 0);
        for (unsigned j = 0; j < PAGE_SIZE / sizeof(*p); j++)
            if (p[j])
                fail_msg("frame %#lx was not scrubbed", mfn_x(page_to_mfn(pg + i)));
        for (unsigned cpu = 0; cpu < CPUS; cpu++)
            if (flushed_at[cpu] < reachable_at[mfn_x(page_to_mfn(pg + i))])
                fail_msg("CPU %u may still reach frame %#lx", cpu, mfn_x(page_to_mfn(pg + i)));
    }
}

void ground_soil(const struct page_info *pg, unsigned order)
{
    memset(page_to_virt(pg), 0xa5, PAGE_SIZE << order);
}

unsigned ground_count_chunks(unsigned order)
{
    static struct page_info *got[RAM_PAGES];
    unsigned n = 0;

    while ((got[n] = heap_alloc(order, MEMF_NO_SCRUB)) != NULL)
        n++;
    for (unsigned i = 0; i < n; i++)
        heap_free(got[i], order);
    return n;
}

/* --- the arch's part --- */

void arch_page_assigned(struct page_info *pg, struct domain *d)
{
    (void)d;
    assert_int_equal(pg->refs & ~PAGE_STALE, 0);
    pg->type = 0;
}

void arch_page_freed(struct page_info *pg)
{
    assert_int_equal(pg->type, 0);
    pg->tlb_stamp = tlb_clock();
    reachable_at[mfn_x(page_to_mfn(pg))] = ++now;
    m2p_set(page_to_mfn(pg), M2P_INVALID);
}

void arch_page_shared(struct page_info *pg, bool writable)
{
    (void)writable;
    pg->type = 2;
}

void arch_page_unshared(struct page_info *pg)
{
    assert_int_equal(pg->type, 2);
    pg->type = 0;
}

void ground_pin(struct page_info *pg)
{
    assert_true(get_page_more(pg));
    pg->type = 1;
}

int arch_page_relinquish(struct domain *d, struct page_info *pg)
{
    assert_ptr_equal(page_owner(pg), d);
    if (pg->type != 1)
        return 0;
    if (ground_relinquish_restarts) {
        ground_relinquish_restarts--;
        return -ERESTART;
    }
    pg->type = 0;
    put_page(pg);
    return 0;
}

void m2p_set(mfn_t mfn, uint64_t pfn)
{
    ground_m2p[mfn_x(mfn)] = pfn;
}

uint64_t m2p_get(mfn_t mfn)
{
    return ground_m2p[mfn_x(mfn)];
}

/* --- a grant table of four frames, which are frames 1 to 4 --- */

int grant_get_frame(struct domain *d, unsigned idx, mfn_t *mfn)
{
    (void)d;
    *mfn = _mfn(idx + 1);
    return idx < 4 ? 0 : -EINVAL;
}

int grant_get_status_frame(struct domain *d, unsigned idx, mfn_t *mfn)
{
    (void)d, (void)idx, (void)mfn;
    return -EINVAL;
}

unsigned grant_max_frames(struct domain *d)
{
    (void)d;
    return 4;
}

unsigned grant_max_status_frames(struct domain *d)
{
    (void)d;
    return 1;
}
