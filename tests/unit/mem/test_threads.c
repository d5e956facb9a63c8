// SPDX-License-Identifier: MIT
/*
 * The heap and page ownership under real threads, each of which is a CPU: allocating, referring,
 * giving up, taking away, scrubbing and, at the end, relinquishing at once.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include "arch/api/arch_mm.h"
#include "arch/fake/fake.h"
#include "domain/domain.h"
#include "lib/errno.h"
#include "mem/mem.h"

#define CPUS      4
#define RAM_PAGES 2048
#define PAGES     64 /* that the threads quarrel over */
#define STEPS     40000

__thread unsigned fake_cpu;
__thread struct vcpu *fake_current;
__thread bool fake_irqs_on = true;
static __thread uint64_t seed;

static struct domain *dom[2];
static struct page_info *page[PAGES];
static unsigned long stolen, refused, failed;

static uint32_t rnd(uint32_t n)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(seed >> 33) % n;
}

bool get_domain(struct domain *d)
{
    __atomic_add_fetch(&d->refs, 1, __ATOMIC_SEQ_CST);
    return true;
}

void put_domain(struct domain *d)
{
    __atomic_sub_fetch(&d->refs, 1, __ATOMIC_SEQ_CST);
}

void arch_page_assigned(struct page_info *pg, struct domain *d)
{
    (void)d;
    pg->type = 0;
}

void arch_page_freed(struct page_info *pg)
{
    pg->tlb_stamp = tlb_clock();
}

int arch_page_relinquish(struct domain *d, struct page_info *pg)
{
    (void)d, (void)pg;
    return 0;
}

void arch_page_shared(struct page_info *pg, bool writable)
{
    (void)pg, (void)writable;
}

void arch_page_unshared(struct page_info *pg)
{
    (void)pg;
}

void m2p_set(mfn_t mfn, uint64_t pfn)
{
    (void)mfn, (void)pfn;
}

static void check_zero(const struct page_info *pg, unsigned order)
{
    const uint64_t *p = page_to_virt(pg);

    for (unsigned i = 0; i < (PAGE_SIZE << order) / sizeof(*p); i += 37)
        if (p[i])
            abort();
}

/* d gives pg back, if it has it. */
static void drop(struct domain *d, struct page_info *pg)
{
    if (get_page(pg, d)) {
        put_page_alloc(pg);
        put_page(pg);
    }
}

/* A new page for slot i.  Written before it is assigned: from then on others may give it back. */
static void fill(unsigned i)
{
    struct domain *d = dom[rnd(2)];
    struct page_info *pg = heap_alloc(0, 0);

    if (pg) {
        check_zero(pg, 0);
        memset(page_to_virt(pg), 0xcc, PAGE_SIZE);
    }
    if (!pg || assign_pages(d, pg, 0, 0)) {
        __atomic_add_fetch(&failed, 1, __ATOMIC_RELAXED);
        if (pg)
            heap_free(pg, 0);
        return;
    }
    pg = __atomic_exchange_n(&page[i], pg, __ATOMIC_ACQ_REL);
    if (pg) {
        drop(dom[0], pg);
        drop(dom[1], pg);
    }
}

static void play_page(unsigned i)
{
    struct page_info *pg = __atomic_load_n(&page[i], __ATOMIC_ACQUIRE);
    struct domain *d = dom[rnd(2)];

    if (!pg || !get_page(pg, d)) {
        __atomic_add_fetch(&refused, 1, __ATOMIC_RELAXED);
        if (rnd(2))
            fill(i);
        return;
    }
    /* Held: it stays d's, and nobody gives it to another. */
    for (unsigned n = rnd(20); n; n--)
        if (page_owner(pg) != d || !(READ_ONCE(pg->refs) & PAGE_COUNT_MASK))
            abort();
    if (rnd(3) == 0 && get_page_more(pg))
        put_page(pg);
    if (rnd(4) == 0)
        put_page_alloc(pg);
    put_page(pg);
    if (rnd(4) == 0 && !steal_page(d, pg, 0)) {
        __atomic_add_fetch(&stolen, 1, __ATOMIC_RELAXED);
        if (assign_pages(d == dom[0] ? dom[1] : dom[0], pg, 0, 0))
            heap_free(pg, 0);
    }
}

static void *play(void *arg)
{
    unsigned order;
    struct page_info *pg;

    fake_cpu = (uintptr_t)arg;
    seed = fake_cpu + 77;
    for (unsigned step = 0; step < STEPS; step++) {
        switch (rnd(8)) {
        case 0:
            heap_scrub_idle();
            break;
        case 1:
            order = rnd(5);
            pg = heap_alloc(order, 0);
            if (pg) {
                check_zero(pg, order);
                memset(page_to_virt(pg), 0x77, PAGE_SIZE << order);
                heap_free(pg, order);
            }
            break;
        case 2: {
            void *p = xzalloc_bytes(1, 1 + rnd(3000));

            xfree(p);
            break;
        }
        default:
            play_page(rnd(PAGES));
            break;
        }
    }
    return NULL;
}

static void *relinquish(void *arg)
{
    fake_cpu = (uintptr_t)arg;
    seed = fake_cpu;
    if (fake_cpu < 2) {
        dom[fake_cpu]->dying = DOMDYING_dying;
        while (relinquish_domain_pages(dom[fake_cpu]) == -ERESTART)
            ;
    } else
        for (unsigned step = 0; step < 20000; step++)
            play_page(rnd(PAGES));
    return NULL;
}

static void run(void *(*fn)(void *))
{
    pthread_t t[CPUS];

    for (uintptr_t i = 0; i < CPUS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, fn, (void *)i), 0);
    for (unsigned i = 0; i < CPUS; i++)
        pthread_join(t[i], NULL);
}

static void test_all_at_once(void **state)
{
    uint64_t before;

    (void)state;
    nr_cpu_ids = CPUS;
    for (unsigned i = 0; i < CPUS; i++)
        cpumask_set_cpu(i, &cpu_online_map);
    fake_ram_init(RAM_PAGES);
    heap_add_range(_mfn(FAKE_FIRST_MFN), _mfn(FAKE_FIRST_MFN + RAM_PAGES), 0);
    for (unsigned i = 0; i < 2; i++) {
        dom[i] = fake_domain(i + 1, 0);
        dom[i]->mem.max_pages = 700;
    }
    before = heap_free_pages();
    run(play);
    assert_true(stolen > 0 && refused > 0);
    assert_true(dom[0]->mem.tot_pages + dom[1]->mem.tot_pages > 0);
    assert_int_equal(failed, 0);
    run(relinquish);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(dom[i]->mem.tot_pages, 0);
        assert_int_equal(dom[i]->mem.listed, 0);
        assert_int_equal(dom[i]->refs, 1);
    }
    /* Spare slabs: one a size. */
    assert_true(before - heap_free_pages() <= 8);
    while (heap_scrub_idle())
        ;
    assert_int_equal(heap_scrub_pages(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_at_once),
    };

    return cmocka_run_group_tests_name("mem/threads", tests, NULL, NULL);
}
