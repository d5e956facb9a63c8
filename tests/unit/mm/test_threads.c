// SPDX-License-Identifier: MIT
/*
 * Page types under real threads, each of which is a CPU with a vcpu of one domain (and one of
 * dom0): all quarrel over the same few pages.  From time to time they all stop, and every count
 * is audited.  A CPU that waits for ever makes the test run into its time limit.
 */
#include "machine.h"
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define CPUS   4
#define ROUNDS 60
#define STEPS  30000
#define POOL   20
#define PARTS  4 /* of the pool: frames of one superpage, the first is its first */

__thread unsigned fake_cpu;
__thread struct vcpu *fake_current;
__thread bool fake_irqs_on = true;
static __thread uint64_t seed;

static uint64_t pool[POOL];
static pthread_barrier_t barrier;

void fake_init(unsigned cpus)
{
    nr_cpu_ids = cpus;
    for (unsigned i = 0; i < cpus; i++)
        cpumask_set_cpu(i, &cpu_online_map);
}

void fake_run_on(unsigned cpu, struct vcpu *v)
{
    fake_cpu = cpu;
    fake_current = v;
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

static uint32_t rnd(uint32_t n)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(seed >> 33) % n;
}

static uint64_t any_frame(void)
{
    return pool[rnd(POOL)];
}

/* Few indices, so that threads meet. */
static unsigned any_index(void)
{
    static const unsigned index[] = {0, 1, 8, 255, 272, 511};

    return index[rnd(ARRAY_SIZE(index))];
}

static uint64_t any_entry(void)
{
    static const uint64_t flags[] = {0, P, P | PTE_RW, P | PTE_RW, P | PTE_RW | PTE_NX};

    if (rnd(8) == 0)
        return pool[0] << PAGE_SHIFT | P | PTE_PSE | (rnd(2) ? PTE_RW : 0);
    return any_frame() << PAGE_SHIFT | flags[rnd(ARRAY_SIZE(flags))];
}

static void step(void)
{
    uint64_t val;

    switch (rnd(12)) {
    case 0 ... 5:
        set_entry(any_frame(), any_index(), any_entry());
        break;
    case 6:
        mmuext1(MMUEXT_PIN_L1_TABLE + rnd(4), any_frame(), DOMID_SELF);
        break;
    case 7:
        mmuext1(MMUEXT_UNPIN_TABLE, any_frame(), DOMID_SELF);
        break;
    case 8:
        mmuext1(rnd(2) ? MMUEXT_NEW_BASEPTR : MMUEXT_NEW_USER_BASEPTR, rnd(3) ? any_frame() : 0,
                DOMID_SELF);
        break;
    case 9:
        mmuext1(MMUEXT_CLEAR_PAGE, any_frame(), DOMID_SELF);
        break;
    case 10:
        val = any_entry();
        exchange_l1(mfn_to_page(_mfn(any_frame())), any_index() * 8, &val, current->domain);
        break;
    default:
        if (current->domain == da)
            mmu_update1((any_frame() << PAGE_SHIFT) + any_index() * 8, any_entry(), db->id);
    }
}

static void *cpu(void *arg)
{
    unsigned n = (uintptr_t)arg;

    seed = n + 1;
    run_as(n == CPUS - 1 ? da : db, n);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < STEPS; i++)
            step();
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

static void quarrel(void **state)
{
    pthread_t threads[CPUS];
    unsigned in_use = 0, large = 0;

    (void)state;
    alarm(300);
    machine_cpus = CPUS;
    machine_start();
    opt_allow_superpage = true;
    pool[0] = superpage_of(db);
    for (unsigned i = 1; i < POOL; i++)
        pool[i] = i < PARTS ? pool[0] + 100 * i : page_of(i % 5 == 4 ? da : db);
    preempt_randomly = true;
    pthread_barrier_init(&barrier, NULL, CPUS + 1);
    for (uintptr_t i = 0; i < CPUS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, cpu, (void *)i), 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&barrier);
        audit();
        for (unsigned i = 0; i < POOL; i++)
            in_use += !!(type_of(pool[i]) & PGT_validated);
        large += db->arch.superpages;
        pthread_barrier_wait(&barrier);
    }
    for (unsigned i = 0; i < CPUS; i++)
        pthread_join(threads[i], NULL);
    if (getenv("MM_VERBOSE"))
        printf("%u pages in use, seen %u times, large pages %u; %u continuations\n", in_use, ROUNDS,
               large, continuations);
    assert_true(in_use > ROUNDS && large > 0);
    run_as(db, 0);
    machine_stop();
}

/* --- one entry of a table above L1 that comes and goes: the count in the table's word --- */

#define TOGGLES 400000u

static uint64_t toggled, below;
static unsigned togglers;

static void *toggle(void *arg)
{
    run_as(db, (uintptr_t)arg);
    for (unsigned i = 0; i < TOGGLES; i++)
        set_entry(toggled, 0, i & 1 ? 0 : RW(below));
    __atomic_sub_fetch(&togglers, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void count_of_entries(void **state)
{
    pthread_t threads[CPUS - 1];

    (void)state;
    alarm(300);
    machine_start();
    toggled = page_of(db);
    below = page_of(db);
    run_as(db, 0);
    assert_int_equal(mmuext1(MMUEXT_PIN_L1_TABLE, below, DOMID_SELF), 0);
    assert_int_equal(mmuext1(MMUEXT_PIN_L2_TABLE, toggled, DOMID_SELF), 0);
    togglers = ARRAY_SIZE(threads);
    for (uintptr_t i = 0; i < ARRAY_SIZE(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, toggle, (void *)i), 0);
    /* A table in use looks like nothing else, at any moment. */
    while (__atomic_load_n(&togglers, __ATOMIC_SEQ_CST)) {
        uint64_t t = READ_ONCE(mfn_to_page(_mfn(toggled))->type);

        assert_int_equal(t & (PGT_type_mask | PGT_pinned | PGT_validated | PGT_partial |
                              PGT_locked | PGT_foreign),
                         PGT_l2 | PGT_pinned | PGT_validated);
        assert_in_range(pgt_entries(t), 0, CPUS);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(threads); i++)
        pthread_join(threads[i], NULL);
    audit();
    run_as(db, 0);
    machine_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(quarrel),
                                       cmocka_unit_test(count_of_entries)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
