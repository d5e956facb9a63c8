// SPDX-License-Identifier: MIT
/*
 * Flushing TLBs, here and on other CPUs.
 *
 * Requests.  Each CPU has a request word: nothing, one address, or everything.  Who wants it to
 * flush merges its wish into the word, draws a number from `asked`, sends an interrupt, and waits
 * until `done` has reached the number.  The target copies `asked` first, then takes the word and
 * flushes, then publishes the copy as `done`; so every wish numbered up to it has been seen.
 * There is no lock, and a CPU that waits serves its own requests meanwhile: two CPUs may flush
 * each other with interrupts off.  But a CPU that spins with interrupts off for some lock cannot
 * answer: do not call these with a lock held that is taken with interrupts off.
 *
 * Clock.  tlb_clock() draws a stamp for a page that has just lost its type or owner; it counts
 * pages, not flushes.  A CPU notes the clock before each full flush.  If what it noted last is
 * above the stamp, that flush began after the stamp, and nothing of the page is left in its TLB.
 * The clock has 64 bits and stamps the lower 32; a stamp that is too old to be told from a new
 * one is taken for new, which costs a flush and nothing else.
 */
#include "asm/apic.h"
#include "asm/irq_vectors.h"
#include "asm/regs.h"
#include "kernel/percpu.h"
#include "mm/mm.h"

#define WORD_NOTHING 0UL
#define WORD_ALL     1UL
#define WORD_ONE     2UL /* ... in the low bits of the page's address */

struct flush_state {
    unsigned long word;
    uint32_t asked, done;
    uint64_t last_full; /* clock before the last full flush */
} __aligned(64);
static DEFINE_PER_CPU(struct flush_state, flush_state);

/* Starts at 1: CPUs that never flushed noted 0, which is below every stamp. */
static uint64_t clock_now __aligned(64) = 1;

uint32_t tlb_clock(void)
{
    return __atomic_fetch_add(&clock_now, 1, __ATOMIC_SEQ_CST);
}

void tlb_filter(cpumask_t *mask, uint32_t stamp)
{
    uint64_t now = __atomic_load_n(&clock_now, __ATOMIC_SEQ_CST);
    uint64_t full_stamp = now - (uint32_t)((uint32_t)now - stamp);
    unsigned cpu;

    for_each_cpu (cpu, mask)
        if (READ_ONCE(per_cpu(flush_state, cpu).last_full) > full_stamp)
            __clear_bit(cpu, mask->bits);
}

#ifdef HOSPES_HOST
/* The tests' simulated TLBs. */
void hw_flush_all(void);
void hw_flush_one(unsigned long va);
#else
static void hw_flush_all(void)
{
    unsigned long cr4 = cpu_info()->cr4;

    if (cr4 & CR4_PGE) {
        unsigned long flags = local_irq_save_();

        write_cr4(cr4 & ~CR4_PGE);
        write_cr4(cr4);
        local_irq_restore(flags);
    } else {
        write_cr3(read_cr3());
    }
}

static void hw_flush_one(unsigned long va)
{
    invlpg(va);
}
#endif

void flush_tlb_local(void)
{
    uint64_t clock = __atomic_load_n(&clock_now, __ATOMIC_SEQ_CST);

    hw_flush_all();
    WRITE_ONCE(this_cpu(flush_state).last_full, clock);
}

void load_guest_root(unsigned long cr3)
{
    uint64_t clock = __atomic_load_n(&clock_now, __ATOMIC_SEQ_CST);

    write_cr3(cr3);
    WRITE_ONCE(this_cpu(flush_state).last_full, clock);
}

void flush_tlb_one_local(unsigned long va)
{
    hw_flush_one(va);
}

void flush_tlb_interrupt(void)
{
    struct flush_state *s = &this_cpu(flush_state);
    uint32_t asked;

    while ((asked = __atomic_load_n(&s->asked, __ATOMIC_ACQUIRE)) != READ_ONCE(s->done)) {
        unsigned long word = __atomic_exchange_n(&s->word, WORD_NOTHING, __ATOMIC_SEQ_CST);

        if (word == WORD_ALL)
            flush_tlb_local();
        else if (word != WORD_NOTHING)
            flush_tlb_one_local(word & PAGE_MASK);
        __atomic_store_n(&s->done, asked, __ATOMIC_RELEASE);
    }
}

/* Merges a wish into cpu's word.  One for nothing waits for the interrupt alone. */
static void ask(unsigned cpu, unsigned long wish)
{
    struct flush_state *s = &per_cpu(flush_state, cpu);
    unsigned long old = READ_ONCE(s->word), word;

    do {
        word = old == WORD_NOTHING || old == wish ? wish : wish == WORD_NOTHING ? old : WORD_ALL;
    } while (!__atomic_compare_exchange_n(&s->word, &old, word, false, __ATOMIC_SEQ_CST,
                                          __ATOMIC_RELAXED));
    __atomic_add_fetch(&s->asked, 1, __ATOMIC_SEQ_CST);
}

static void flush_mask(const cpumask_t *mask, unsigned long wish)
{
    unsigned long flags = local_irq_save_();
    unsigned me = smp_processor_id(), cpu;
    cpumask_t others;
    bool any = false;

    cpumask_and(&others, mask, &cpu_online_map);
    if (cpumask_test_cpu(me, mask)) {
        if (wish == WORD_ALL)
            flush_tlb_local();
        else if (wish != WORD_NOTHING)
            flush_tlb_one_local(wish & PAGE_MASK);
    }
    __clear_bit(me, others.bits);
    for_each_cpu (cpu, &others) {
        ask(cpu, wish);
        any = true;
    }
    if (any) {
        send_ipi_mask(&others, VECTOR_TLB_FLUSH);
        for_each_cpu (cpu, &others) {
            struct flush_state *s = &per_cpu(flush_state, cpu);
            /* Ours, or a later one: `done` is never behind for long. */
            uint32_t number = __atomic_load_n(&s->asked, __ATOMIC_SEQ_CST);

            while ((int32_t)(__atomic_load_n(&s->done, __ATOMIC_ACQUIRE) - number) < 0) {
                flush_tlb_interrupt();
                cpu_relax();
            }
        }
    }
    local_irq_restore(flags);
}

void flush_tlb_mask(const cpumask_t *mask)
{
    flush_mask(mask, WORD_ALL);
}

void leave_guests_mask(const cpumask_t *mask)
{
    flush_mask(mask, WORD_NOTHING);
}

void flush_tlb_one_mask(const cpumask_t *mask, unsigned long va)
{
    flush_mask(mask, (va & PAGE_MASK) | WORD_ONE);
}
