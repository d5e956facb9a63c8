// SPDX-License-Identifier: MIT
/*
 * What is in a guest's physical address space besides plain RAM: grants, pages that come on demand,
 * and what takes the place of something else.  Frames are the real mem/'s, over the ground of its
 * tests, which sees to it that no CPU can reach what is freed; the writable type is counted here.
 */
#include "tests/unit/mem/ground.h"
#include "arch/x86/hvm/p2m_private.h"
#include "asm/cpufeature.h"
#include "asm/page.h"
#include "hypercall/handlers.h"

#define LEAF (PTE_PRESENT | PTE_RW | PTE_USER)
#define WR   0x100 /* of page_info.type: one reference of the writable type */

struct cpu_identity host_cpu = {.phys_bits = 40};
static const struct hvm_vendor vendor = {.p2m = {.table = LEAF, .ram = LEAF}};
const struct hvm_vendor *hvm_vendor = &vendor;

static struct domain *d, *granter;
static uint64_t free_before;

int get_page_type(struct page_info *pg, uint64_t type)
{
    assert_true(type == PGT_writable);
    if (pg->type && pg->type < WR) /* a page table, or such */
        return -EINVAL;
    pg->type += WR;
    return 0;
}

void put_page_type(struct page_info *pg)
{
    assert_true(pg->type >= WR);
    pg->type -= WR;
}

bool get_page_and_type(struct page_info *pg, struct domain *owner, uint64_t type)
{
    if (!get_page(pg, owner))
        return false;
    if (!get_page_type(pg, type))
        return true;
    put_page(pg);
    return false;
}

void put_page_and_type(struct page_info *pg)
{
    put_page_type(pg);
    put_page(pg);
}

static struct domain *new_domain(unsigned id, uint64_t max_pages)
{
    struct domain *dom = fake_domain(id, 1);

    domain_mem_init(dom);
    dom->mem.max_pages = max_pages;
    return dom;
}

static int setup(void **state)
{
    (void)state;
    fake_crashes = 0;
    granter = new_domain(1, 100);
    d = new_domain(2, 2000);
    free_before = heap_free_pages();
    d->is_hvm = true;
    cpumask_set_cpu(2, &d->dirty_cpus);
    d->arch.hvm = calloc(1, sizeof(struct hvm_domain));
    assert_int_equal(p2m_create(d), 0);
    d->arch.hvm->p2m.max_tables = 100;
    return 0;
}

/* Everything comes back. */
static int teardown(void **state)
{
    (void)state;
    d->dying = granter->dying = DOMDYING_dying;
    while (p2m_relinquish(d) || relinquish_domain_pages(d) || relinquish_domain_pages(granter))
        ;
    domain_set_claim(d, 0);
    p2m_free(d);
    free(d->arch.hvm);
    assert_int_equal(d->mem.tot_pages + granter->mem.tot_pages, 0);
    assert_int_equal(heap_free_pages(), free_before);
    assert_int_equal(heap_outstanding_claims(), 0);
    for (unsigned i = 0; i < 2; i++) {
        struct domain *dom = i ? granter : d;

        xfree(dom->vcpu[0]);
        xfree(dom->vcpu);
    }
    return 0;
}

static struct page_info *page_of(struct domain *dom)
{
    struct page_info *pg = alloc_domain_pages(dom, 0, 0);

    assert_non_null(pg);
    return pg;
}

static bool reachable(uint64_t gfn)
{
    struct page_info *pg = p2m_get_page(d, _gfn(gfn));

    if (pg)
        put_page(pg);
    return pg;
}

static unsigned drop(uint64_t gfn)
{
    gfn_t list = _gfn(gfn);

    return p2m_drop(d, &list, 1);
}

/* What may be done with gfn in the guest's name: 0 nothing, 1 reading, 2 writing, too. */
static unsigned access_to(uint64_t gfn)
{
    unsigned may = 0;

    for (unsigned write = 0; write < 2; write++) {
        bool typed;
        struct page_info *pg = p2m_hold(d, _gfn(gfn), write, &typed);

        if (pg) {
            may = write + 1;
            p2m_put_held(pg, typed);
        }
    }
    return may;
}

/* --- grants --- */

static void test_a_grant_goes_by_its_handle_alone(void **state)
{
    struct page_info *pg = page_of(granter), *own = page_of(d);
    uint64_t generation = d->arch.hvm->p2m.generation;

    (void)state;
    /* The handle's references. */
    assert_true(get_page_and_type(pg, granter, PGT_writable));
    assert_int_equal(p2m_place(d, _gfn(7), pg, P2M_GRANT_RW), 0);
    assert_int_equal(access_to(7), 2);
    assert_false(reachable(7)); /* it cannot be granted on, nor mapped by the tools */
    assert_int_equal(pg->type, WR);
    assert_null(p2m_unmap(d, _gfn(7)));
    assert_false(drop(7));
    assert_int_equal(p2m_place(d, _gfn(7), own, P2M_RAM), -EBUSY);
    assert_int_equal(p2m_place(d, _gfn(7), pg, P2M_GRANT_RO), -EBUSY);
    assert_int_equal(p2m_map(d, _gfn(7), own, 0), -EEXIST);
    assert_int_equal(p2m_unmap_grant(d, _gfn(7), own), -ENOENT);
    assert_int_equal(p2m_unmap_grant(d, _gfn(8), pg), -ENOENT);
    assert_int_equal(p2m_unmap_grant(d, _gfn(~0ULL), pg), -ENOENT);
    assert_int_equal(own->type, 0);
    assert_int_equal(p2m_unmap_grant(d, _gfn(7), pg), 0);
    p2m_flush(d);
    assert_true(d->arch.hvm->p2m.generation > generation);
    assert_int_equal(access_to(7), 0);
    assert_int_equal(p2m_unmap_grant(d, _gfn(7), pg), -ENOENT);
    put_page_and_type(pg);
}

static void test_a_grant_for_reading(void **state)
{
    struct page_info *pg = page_of(granter);

    (void)state;
    pg->type = 1; /* a page table of the granter's */
    assert_true(get_page(pg, granter));
    assert_int_equal(p2m_place(d, _gfn(7), pg, P2M_GRANT_RO), 0);
    assert_int_equal(access_to(7), 1);
    assert_int_equal(pg->type, 1);
    assert_int_equal(p2m_unmap_grant(d, _gfn(7), pg), 0);
    put_page(pg);
    pg->type = 0;
}

static void test_a_grant_outlives_the_mapper(void **state)
{
    struct page_info *pg = page_of(granter);

    (void)state;
    assert_true(get_page_and_type(pg, granter, PGT_writable));
    assert_int_equal(p2m_place(d, _gfn(7), pg, P2M_GRANT_RW), 0);
    d->dying = DOMDYING_dying;
    assert_int_equal(p2m_place(d, _gfn(8), pg, P2M_GRANT_RW), -EINVAL);
    assert_int_equal(p2m_relinquish(d), 0);
    assert_int_equal(pg->type, WR); /* the handle goes in its own time */
    put_page_and_type(pg);
}

/* --- one for another --- */

static void test_what_was_there_is_given_up(void **state)
{
    struct page_info *first = page_of(d), *second = page_of(d), *pg = page_of(granter);

    (void)state;
    assert_int_equal(p2m_place(d, _gfn(7), first, P2M_RAM), 0);
    assert_int_equal(p2m_place(d, _gfn(7), second, P2M_RAM), 0);
    assert_int_equal(d->mem.tot_pages, 1);
    assert_true(reachable(7));
    assert_int_equal(p2m_place(d, _gfn(7), second, P2M_RAM), 0);  /* itself */
    assert_int_equal(p2m_place(d, _gfn(7), pg, P2M_RAM), -EBUSY); /* not d's */
    assert_int_equal(p2m_place(d, _gfn(1ULL << 28), pg, P2M_RAM), -EINVAL);
    assert_true(get_page_and_type(pg, granter, PGT_writable));
    assert_int_equal(p2m_place(d, _gfn(7), pg, P2M_GRANT_RW), 0);
    assert_int_equal(d->mem.tot_pages, 0);
    assert_int_equal(p2m_unmap_grant(d, _gfn(7), pg), 0);
    put_page_and_type(pg);
}

static void test_a_frame_out_of_a_large_leaf(void **state)
{
    struct page_info *large = alloc_domain_pages(d, 9, 0);

    (void)state;
    assert_int_equal(p2m_map(d, _gfn(512), large, 9), 0);
    assert_true(drop(600));
    assert_false(drop(600));
    assert_int_equal(d->mem.tot_pages, 511);
    assert_true(reachable(599) && !reachable(600) && reachable(601));
    d->arch.hvm->p2m.max_tables = 0;
    assert_true(drop(601)); /* its table is there */
    d->arch.hvm->p2m.max_tables = 100;
}

/* A guest gives back a list, and CPUs are not interrupted for each of its frames. */
static void test_a_list_given_back(void **state)
{
    xen_pfn_t list[200];
    struct xen_memory_reservation r = {.nr_extents = 200};
    struct call c = {.v = d->vcpu[0], .d = d};

    (void)state;
    set_xen_guest_handle(r.extent_start, list);
    for (unsigned i = 0; i < 200; i++) {
        list[i] = 3 * i;
        assert_int_equal(p2m_map(d, _gfn(3 * i), page_of(d), 0), 0);
    }
    fake_tlb_flushes = 0;
    list[150] = 1; /* is nothing */
    assert_int_equal(memory_decrease_reservation(&c, &r), 150);
    assert_int_equal(fake_tlb_flushes, (150 + P2M_DROP_BATCH - 1) / P2M_DROP_BATCH);
    assert_int_equal(d->mem.tot_pages, 50);
    assert_true(!reachable(3 * 149) && reachable(3 * 150) && reachable(3 * 199));
    list[150] = 3 * 150;
    c.start = 150;
    assert_int_equal(memory_decrease_reservation(&c, &r), 200);
    assert_int_equal(d->mem.tot_pages, 0);
    /* Larger extents, one of which ends early. */
    c.start = 0;
    r.nr_extents = 3;
    r.extent_order = 7;
    for (unsigned i = 0; i < 3; i++) {
        list[i] = 1024 + 512 * i;
        assert_int_equal(p2m_map(d, _gfn(list[i]), alloc_domain_pages(d, 7, 0), 7), 0);
    }
    assert_int_equal(drop(list[2] + 100), 1);
    fake_tlb_flushes = 0;
    assert_int_equal(memory_decrease_reservation(&c, &r), 2);
    assert_int_equal(fake_tlb_flushes, 6);
    assert_int_equal(d->mem.tot_pages, 27);
    c.start = 5; /* a resumed call's, in frames, also if it is forged */
    assert_int_equal(memory_decrease_reservation(&c, &r), 0);
    r.extent_order = 64;
    assert_int_equal(memory_decrease_reservation(&c, &r), 0);
}

/* The tools restore a guest by single frames, in lists: it gets large leaves all the same. */
static void test_runs_become_large_leaves(void **state)
{
    static xen_pfn_t list[1024];
    struct xen_memory_reservation r = {.nr_extents = 1024};
    struct call c = {.v = dom0->vcpu[0], .d = d};
    const struct p2m *p = &d->arch.hvm->p2m;
    uint64_t tables;

    (void)state;
    set_xen_guest_handle(r.extent_start, list);
    for (unsigned i = 0; i < 1024; i++)
        list[i] = 1024 + i;
    assert_int_equal(memory_populate_physmap(&c, &r), 1024);
    assert_int_equal(d->mem.tot_pages, 1024);
    assert_true(reachable(1024) && reachable(2047) && !reachable(2048));
    tables = p->tables;
    assert_int_equal(drop(1030), 1);
    assert_int_equal(p->tables, tables + 1); /* it was a large one */
    /* A list with a hole; one whose frames have a table already; one that meets something. */
    for (unsigned i = 0; i < 512; i++)
        list[i] = 4096 + i + (i > 300);
    r.nr_extents = 512;
    assert_int_equal(memory_populate_physmap(&c, &r), 512);
    assert_true(reachable(4096 + 300) && !reachable(4096 + 301) && reachable(4096 + 512));
    assert_int_equal(drop(4096 + 512), 1);
    for (unsigned i = 0; i < 512; i++) {
        assert_int_equal(drop(4096 + i), i != 301);
        list[i] = 4096 + i;
    }
    assert_int_equal(memory_populate_physmap(&c, &r), 512);
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(drop(4096 + i), 1);
    assert_int_equal(memory_populate_physmap(&c, &r), 200);
    assert_true(reachable(4096 + 199));
    /* There is not enough for a large one. */
    d->mem.max_pages = d->mem.tot_pages + 100;
    for (unsigned i = 0; i < 512; i++)
        list[i] = 8192 + i;
    assert_int_equal(memory_populate_physmap(&c, &r), 100);
    assert_true(reachable(8192 + 99) && !reachable(8192 + 100));
}

/* What cannot be mapped leaves everything as it was: frames, references, counts. */
static void test_mappings_that_fail(void **state)
{
    struct page_info *large = alloc_domain_pages(d, 9, 0), *one = page_of(d);
    uint64_t top = 1UL << (40 - PAGE_SHIFT);

    (void)state;
    assert_int_equal(p2m_map(d, _gfn(511), large, 9), -EINVAL);
    assert_int_equal(p2m_map(d, _gfn(top), one, 0), -EINVAL);
    assert_int_equal(p2m_map(d, _gfn(~0UL), one, 0), -EINVAL);
    assert_int_equal(p2m_map(d, _gfn(top - 1), one, 0), 0);
    assert_int_equal(p2m_max_gfn(d), top - 1);
    assert_int_equal(p2m_map(d, _gfn(top - 512), large, 9), -EEXIST);
    assert_true(reachable(top - 1) && !reachable(top - 512));
    assert_int_equal(one->type, WR);
    assert_int_equal(large->type, 0);
    d->arch.hvm->p2m.max_tables = 0;
    assert_int_equal(p2m_map(d, _gfn(1024), large, 9), -ENOMEM);
    d->arch.hvm->p2m.max_tables = 100;
    assert_int_equal(p2m_map(d, _gfn(1024), large, 9), 0);
    d->arch.hvm->p2m.max_tables = 0; /* none to split it by */
    assert_null(p2m_unmap(d, _gfn(1030)));
    assert_true(reachable(1030));
    d->arch.hvm->p2m.max_tables = 100;
    assert_null(p2m_unmap(d, _gfn(top)));
    assert_null(p2m_unmap(d, _gfn(~0UL)));
}

/* What ends is taken apart without the lock: nobody else takes anything out of it. */
static void test_the_dying_are_left_alone(void **state)
{
    (void)state;
    assert_int_equal(p2m_map(d, _gfn(7), page_of(d), 0), 0);
    d->dying = DOMDYING_dying;
    assert_int_equal(p2m_drop(d, &(gfn_t){7}, 1), 0);
    assert_null(p2m_unmap(d, _gfn(7)));
    assert_true(reachable(7));
}

/* A tree of many tables goes with what it maps, not in one go with the structure. */
static void test_many_tables_go_early(void **state)
{
    uint64_t with_tables;

    (void)state;
    for (uint64_t i = 0; i < 40; i++)
        assert_int_equal(p2m_map(d, _gfn(i << 18), page_of(d), 0), 0);
    assert_in_range(d->arch.hvm->p2m.tables, 80, 100);
    with_tables = heap_free_pages();
    d->dying = DOMDYING_dying;
    fake_preempt = true;
    for (unsigned n = 0; p2m_relinquish(d) == -ERESTART; n++)
        assert_true(n < 100);
    fake_preempt = false;
    assert_int_equal(heap_free_pages(), with_tables + d->arch.hvm->p2m.tables - 1);
    assert_false(reachable(0));
    assert_null(p2m_small_entry(&d->arch.hvm->p2m, 0));
    assert_int_equal(p2m_relinquish(d), 0);
}

/* Pages mapped, moved and dropped at random: what is reachable is what a list says. */
static void test_at_random(void **state)
{
    struct page_info *at[1024] = {NULL};

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t gfn = ground_random(1024), to = ground_random(1024);
        struct page_info *pg;

        switch (ground_random(4)) {
        case 0: /* a large leaf, if there is nothing else */
            pg = alloc_domain_pages(d, 9, 0);
            gfn &= ~511UL;
            if (pg && p2m_map(d, _gfn(gfn), pg, 9)) {
                for (unsigned j = 0; j < 512; j++)
                    put_page_alloc(pg + j);
                pg = NULL;
            }
            for (unsigned j = 0; pg && j < 512; j++) {
                assert_null(at[gfn + j]);
                at[gfn + j] = pg + j;
            }
            break;
        case 1:
            pg = p2m_unmap(d, _gfn(gfn));
            assert_ptr_equal(pg, at[gfn]);
            at[gfn] = NULL;
            if (!pg)
                break;
            if (!at[to]) {
                assert_int_equal(p2m_map(d, _gfn(to), pg, 0), 0);
                at[to] = pg;
            } else
                put_page_alloc(pg);
            put_page(pg);
            break;
        case 2:
            for (unsigned j = 0; j < 40; j++) {
                gfn_t list[16];
                unsigned there = 16;

                for (unsigned k = 16; k--;) {
                    list[k] = _gfn((gfn + j + k) % 1024);
                    if (!at[gfn_x(list[k])])
                        there = k;
                }
                assert_int_equal(p2m_drop(d, list, 16), there);
                while (there--)
                    at[gfn_x(list[there])] = NULL;
            }
            break;
        default:
            pg = p2m_get_page(d, _gfn(gfn));
            assert_ptr_equal(pg, at[gfn]);
            if (pg)
                put_page(pg);
        }
    }
}

/* The tools try all frames up to the highest. */
static void test_highest_frame(void **state)
{
    uint64_t top = 1UL << (40 - PAGE_SHIFT), found;

    (void)state;
    assert_int_equal(p2m_max_gfn(d), 0);
    assert_int_equal(p2m_map(d, _gfn(1024), alloc_domain_pages(d, 9, 0), 9), 0);
    assert_int_equal(p2m_populate_later(d, _gfn(3000), 0), 0);
    assert_int_equal(p2m_map(d, _gfn(top - 1), page_of(d), 0), 0);
    assert_int_equal(p2m_max_gfn(d), top - 1);
    assert_int_equal(drop(top - 1), 1);
    assert_int_equal(p2m_max_gfn(d), 3000);
    assert_int_equal(drop(3000), 1);
    assert_int_equal(p2m_max_gfn(d), 1535);
    /* Not below it, when there are many empty tables. */
    for (uint64_t i = 0; i < 20; i++)
        assert_int_equal(p2m_map(d, _gfn(8192 + 512 * i), page_of(d), 0), 0);
    for (uint64_t i = 0; i < 20; i++)
        assert_int_equal(drop(8192 + 512 * i), 1);
    found = p2m_max_gfn(d);
    assert_in_range(found, 1536, 8192 + 512 * 20);
    assert_int_equal(p2m_map(d, _gfn(found + 1), page_of(d), 0), 0);
    assert_int_equal(p2m_max_gfn(d), found + 1);
}

/* --- on demand --- */

static void test_pages_come_on_demand(void **state)
{
    struct p2m *p = &d->arch.hvm->p2m;
    struct page_info *own;

    (void)state;
    assert_int_equal(p2m_set_pod_target(d, 1100), 0);
    assert_int_equal(heap_outstanding_claims(), 1100);
    assert_int_equal(p2m_populate_later(d, _gfn(512), 9), 0);
    assert_int_equal(p2m_populate_later(d, _gfn(1024), 10), 0);
    assert_int_equal(p2m_populate_later(d, _gfn(512), 9), -EEXIST);
    assert_int_equal(p2m_populate_later(d, _gfn(1ULL << 28), 0), -EINVAL);
    assert_int_equal(p2m_populate_later(d, _gfn(513), 9), -EINVAL);
    assert_int_equal(p2m_populate_later(d, _gfn(0), 18), -EEXIST); /* a table is there */
    assert_int_equal(p->on_demand, 1536);
    assert_int_equal(p2m_max_gfn(d), 2047);
    assert_int_equal(d->mem.tot_pages, 0);
    assert_int_equal(access_to(700), 2); /* the whole 2 MB: much is left */
    assert_int_equal(d->mem.tot_pages, 512);
    assert_int_equal(p->on_demand, 1024);
    assert_int_equal(heap_outstanding_claims(), 588);
    assert_true(reachable(1024)); /* one by one now */
    assert_int_equal(d->mem.tot_pages, 513);
    assert_int_equal(p->on_demand, 1023);
    /* What it gives back it may have again, elsewhere. */
    assert_true(drop(700));
    assert_int_equal(d->mem.tot_pages, 512);
    assert_int_equal(heap_outstanding_claims(), 588);
    assert_true(drop(1025));
    assert_false(reachable(1025));
    assert_int_equal(p->on_demand, 1022);
    /* Other things may take the place of one. */
    assert_int_equal(p2m_map(d, _gfn(5000), page_of(d), 0), 0); /* another does not use it up */
    assert_int_equal(heap_outstanding_claims(), 587);
    assert_true(drop(5000));
    assert_int_equal(heap_outstanding_claims(), 588);
    d->mem.max_pages = 10; /* promised is promised */
    own = p2m_unmap(d, _gfn(1026));
    assert_non_null(own);
    assert_int_equal(p2m_place(d, _gfn(1027), own, P2M_RAM), 0);
    put_page(own);
    assert_int_equal(p->on_demand, 1020);
    assert_int_equal(heap_outstanding_claims(), 587);
    assert_int_equal(p2m_set_pod_target(d, 900), 0); /* that is lower: not yet */
    assert_int_equal(heap_outstanding_claims(), 587);
    assert_int_equal(p2m_map(d, _gfn(1536), alloc_domain_pages(d, 9, 0), 9), 0);
    assert_int_equal(p->on_demand, 508);
    for (uint64_t gfn = 1028; gfn < 1535; gfn++)
        assert_true(drop(gfn));
    assert_int_equal(heap_outstanding_claims(), 1); /* as many as are left */
}

static void test_too_much_on_demand_ends_the_domain(void **state)
{
    (void)state;
    d->mem.max_pages = 2;
    assert_int_equal(p2m_populate_later(d, _gfn(0), 9), 0);
    assert_true(reachable(0));
    assert_true(reachable(511));
    assert_int_equal(fake_crashes, 0);
    assert_false(reachable(1));
    assert_int_equal(fake_crashes, 1);
    d->mem.max_pages = 100;
    assert_int_equal(p2m_populate_later(d, _gfn(1 << 18), 18), 0);
    d->arch.hvm->p2m.max_tables = 0; /* nor is there any for the table */
    assert_false(reachable(1 << 18));
    assert_int_equal(fake_crashes, 2);
    assert_int_equal(d->mem.tot_pages, 2);
    d->dying = DOMDYING_dying;
    assert_false(reachable(1 << 18));
    assert_int_equal(fake_crashes, 2);
}

static void test_the_tools_figures(void **state)
{
    struct xen_pod_target t = {.target_pages = 100};
    struct xen_memory_reservation claim = {.nr_extents = 0};
    struct call c = {.v = dom0->vcpu[0], .d = d};

    (void)state;
    assert_int_equal(memory_set_pod_target(&c, &t), 0);
    assert_int_equal(p2m_populate_later(d, _gfn(0), 9), 0);
    assert_int_equal(memory_claim_pages(&c, &claim), 0); /* as the builder ends */
    assert_true(reachable(3));
    assert_int_equal(memory_get_pod_target(&c, &t), 0);
    assert_int_equal(t.pod_entries, 511);
    assert_int_equal(t.pod_cache_pages, 99);
    assert_int_equal(t.tot_pages, 100);
    t.target_pages = 2001;
    assert_int_equal(memory_set_pod_target(&c, &t), -EINVAL);
    /* One without any does not set memory aside. */
    for (uint64_t gfn = 0; gfn < 512; gfn++)
        assert_true(drop(gfn));
    assert_true(p2m_place(d, _gfn(1), page_of(d), P2M_RAM) == 0);
    t.target_pages = 50;
    assert_int_equal(memory_set_pod_target(&c, &t), 0);
    assert_int_equal(heap_outstanding_claims(), 0);
    assert_int_equal(t.tot_pages, 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_a_grant_goes_by_its_handle_alone),
        T(test_a_grant_for_reading),
        T(test_a_grant_outlives_the_mapper),
        T(test_what_was_there_is_given_up),
        T(test_a_frame_out_of_a_large_leaf),
        T(test_a_list_given_back),
        T(test_runs_become_large_leaves),
        T(test_highest_frame),
        T(test_mappings_that_fail),
        T(test_the_dying_are_left_alone),
        T(test_many_tables_go_early),
        T(test_at_random),
        T(test_pages_come_on_demand),
        T(test_too_much_on_demand_ends_the_domain),
        T(test_the_tools_figures),
    };

    return cmocka_run_group_tests_name("p2m types", tests, ground_setup, NULL);
}
