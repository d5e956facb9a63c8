// SPDX-License-Identifier: MIT
/*
 * Flushing other CPUs' TLBs, by threads that are CPUs with simulated TLBs.  Page-table entries are
 * numbers that only grow.  Once a flush has returned, nobody may use an older number than the one
 * that was written before it.
 */
#include "test.h"
#include "arch/x86/mm/mm.h"
#include "kernel/percpu.h"
#include <pthread.h>
#include <sched.h>

#define CPUS    4
#define ENTRIES 8
#define ROUNDS  30000

__thread unsigned fake_cpu;
__thread struct vcpu *fake_current;
__thread bool fake_irqs_on = true;
static __thread unsigned seed;

unsigned nr_cpu_ids = CPUS;
cpumask_t cpu_online_map = {{(1 << CPUS) - 1}};

static uint64_t entry[ENTRIES], must_see[ENTRIES];
static __thread uint64_t tlb[ENTRIES]; /* 0: not there */
static bool interrupt[CPUS];
static uint64_t in_guest[CPUS]; /* the number of its stay there; 0: it is not */
static unsigned done, stale, kept, stayed;
static pthread_barrier_t all_here;

void send_ipi_mask(const cpumask_t *mask, unsigned vector);
void hw_flush_all(void);
void hw_flush_one(unsigned long va);

void send_ipi_mask(const cpumask_t *mask, unsigned vector)
{
    unsigned cpu;

    (void)vector;
    for_each_cpu (cpu, mask)
        __atomic_store_n(&interrupt[cpu], true, __ATOMIC_SEQ_CST);
}

void hw_flush_all(void)
{
    memset(tlb, 0, sizeof(tlb));
}

void hw_flush_one(unsigned long va)
{
    tlb[va >> PAGE_SHIFT] = 0;
}

static unsigned thread_random(unsigned n)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 8) % n;
}

static void take_interrupts(void)
{
    if (__atomic_exchange_n(&interrupt[smp_processor_id()], false, __ATOMIC_SEQ_CST))
        flush_tlb_interrupt();
}

static void use_entry(unsigned i)
{
    uint64_t least = __atomic_load_n(&must_see[i], __ATOMIC_SEQ_CST);

    if (!tlb[i])
        tlb[i] = __atomic_load_n(&entry[i], __ATOMIC_SEQ_CST);
    else
        __atomic_add_fetch(&kept, 1, __ATOMIC_RELAXED);
    if (tlb[i] < least)
        __atomic_add_fetch(&stale, 1, __ATOMIC_RELAXED);
}

/* When that has returned, no CPU is in the guest that it was in before. */
static void call_out(void)
{
    uint64_t before[CPUS];

    for (unsigned cpu = 0; cpu < CPUS; cpu++)
        before[cpu] = __atomic_load_n(&in_guest[cpu], __ATOMIC_SEQ_CST);
    leave_guests_mask(&cpu_online_map);
    for (unsigned cpu = 0; cpu < CPUS; cpu++)
        if (before[cpu] && __atomic_load_n(&in_guest[cpu], __ATOMIC_SEQ_CST) == before[cpu])
            __atomic_add_fetch(&stayed, 1, __ATOMIC_RELAXED);
}

static void change_entry(unsigned i)
{
    uint64_t now = __atomic_add_fetch(&entry[i], 1, __ATOMIC_SEQ_CST), seen;

    if (thread_random(3))
        flush_tlb_one_mask(&cpu_online_map, (unsigned long)i << PAGE_SHIFT);
    else
        flush_tlb_mask(&cpu_online_map);
    seen = __atomic_load_n(&must_see[i], __ATOMIC_SEQ_CST);
    while (seen < now && !__atomic_compare_exchange_n(&must_see[i], &seen, now, false,
                                                      __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
        ;
}

static void *one_cpu(void *cpu)
{
    fake_cpu = (uintptr_t)cpu;
    seed = fake_cpu * 7919 + 1;
    pthread_barrier_wait(&all_here);
    for (unsigned r = 0; r < ROUNDS; r++) {
        take_interrupts();
        __atomic_store_n(&in_guest[fake_cpu], r + 1, __ATOMIC_SEQ_CST);
        /* Whatever others do now, the interrupt comes too late for what is used next. */
        if (!thread_random(4))
            sched_yield();
        if (thread_random(8))
            use_entry(thread_random(ENTRIES));
        __atomic_store_n(&in_guest[fake_cpu], 0, __ATOMIC_SEQ_CST);
        if (thread_random(8))
            continue;
        if (thread_random(4))
            change_entry(thread_random(ENTRIES));
        else
            call_out();
    }
    /* Others may still wait for this CPU. */
    __atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&done, __ATOMIC_SEQ_CST) < CPUS) {
        take_interrupts();
        cpu_relax();
    }
    return NULL;
}

static void no_stale_entry_is_used(void **state)
{
    pthread_t thread[CPUS];

    (void)state;
    for (unsigned i = 0; i < ENTRIES; i++)
        entry[i] = 1;
    pthread_barrier_init(&all_here, NULL, CPUS);
    for (uintptr_t i = 0; i < CPUS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, one_cpu, (void *)i), 0);
    for (unsigned i = 0; i < CPUS; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(stale, 0);
    assert_int_equal(stayed, 0);
    assert_true(kept > 0);
}

static void stamps_spare_those_that_flushed(void **state)
{
    cpumask_t mask = {{0xf}};
    uint32_t stamp;

    (void)state;
    nr_cpu_ids = CPUS;
    stamp = tlb_clock();
    tlb_filter(&mask, stamp);
    assert_int_equal(mask.bits[0], 0xf);
    fake_cpu = 2;
    flush_tlb_local();
    tlb_filter(&mask, stamp);
    assert_int_equal(mask.bits[0], 0xb);
    /* A later stamp asks for a later flush. */
    mask.bits[0] = 0xf;
    tlb_filter(&mask, tlb_clock());
    assert_int_equal(mask.bits[0], 0xf);
    /* A stamp so old that it looks new costs a flush. */
    mask.bits[0] = 0xf;
    tlb_filter(&mask, tlb_clock() + 100);
    assert_int_equal(mask.bits[0] & 4, 4);
    fake_cpu = 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(stamps_spare_those_that_flushed),
        cmocka_unit_test(no_stale_entry_is_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
