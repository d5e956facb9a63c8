// SPDX-License-Identifier: MIT
/*
 * Locks.
 *
 * A spin lock is a ticket lock: `tail` is the next ticket to be drawn, `head` the one being served,
 * so waiters are served in the order they came.  With CONFIG_DEBUG each CPU keeps the list of the
 * locks it holds; taking one checks that
 *   - this CPU does not hold it already,
 *   - nothing of a higher level is held (lock.h has the levels),
 *   - a lock ever taken inside an interrupt handler is never taken with interrupts on, where the
 *     handler could come on top of the holder and wait for it for ever.
 *
 * A per-CPU reader-writer lock has no shared reader count.  Each CPU keeps a short stack of the
 * locks it reads; a writer announces itself and then waits until the lock is on no CPU's stack. The
 * reader pushes, then looks for a writer; the writer announces, then looks at the stacks; with a
 * full barrier between the two steps of each, at least one sees the other.
 */
#include "kernel/lock.h"
#include "kernel/console.h"
#include "kernel/panic.h"
#include "kernel/percpu.h"
#include "kernel/softirq.h"

#define MAX_READ_DEPTH 8

struct read_stack {
    unsigned depth;
    percpu_rwlock_t *lock[MAX_READ_DEPTH];
};
static DEFINE_PER_CPU(struct read_stack, read_stack);

#ifdef CONFIG_DEBUG

#define MAX_HELD     16
#define USED_IN_IRQ  0x01
#define USED_IRQS_ON 0x02

struct held_locks {
    unsigned nr;
    const spinlock_t *lock[MAX_HELD];
};
static DEFINE_PER_CPU(struct held_locks, held_locks);

static void check_irq_use(spinlock_t *l)
{
    uint8_t use = 0;

    if (in_irq())
        use = USED_IN_IRQ;
    else if (local_irq_is_enabled())
        use = USED_IRQS_ON;
    if ((l->use | use) == l->use)
        return;
    use |= __atomic_fetch_or(&l->use, use, __ATOMIC_RELAXED);
    if (use == (USED_IN_IRQ | USED_IRQS_ON))
        panic("lock %p (level %u) is used in interrupt handlers and with interrupts on", l,
              l->level);
}

/*
 * What was held with interrupts on when the handler came is not the handler's: it is taken in no
 * handler, so who holds a handler's lock does not wait for it.
 */
static void check_order(const spinlock_t *l)
{
    const struct held_locks *h = &this_cpu(held_locks);
    bool handler = in_irq();

    for (unsigned i = 0; i < h->nr; i++)
        if (h->lock[i]->level > l->level && !(handler && (h->lock[i]->use & USED_IRQS_ON)))
            panic("lock order: level %u (%p) wanted while holding level %u (%p)", l->level, l,
                  h->lock[i]->level, h->lock[i]);
}

static void note_held(spinlock_t *l)
{
    struct held_locks *h;
    unsigned long flags;

    l->owner = smp_processor_id() + 1;
    local_irq_save(flags);
    h = &this_cpu(held_locks);
    if (h->nr < MAX_HELD)
        h->lock[h->nr++] = l;
    local_irq_restore(flags);
}

static void note_released(spinlock_t *l)
{
    struct held_locks *h;
    unsigned long flags;

    local_irq_save(flags);
    h = &this_cpu(held_locks);
    for (unsigned i = h->nr; i-- > 0;)
        if (h->lock[i] == l) {
            for (h->nr--; i < h->nr; i++)
                h->lock[i] = h->lock[i + 1];
            break;
        }
    local_irq_restore(flags);
    l->owner = 0;
}

void spin_lock(spinlock_t *l)
{
    uint32_t old;

    check_irq_use(l);
    check_order(l);
    if (spin_is_mine(l))
        panic("lock %p (level %u) taken twice", l, l->level);
    old = __atomic_fetch_add(&l->both, 1u << 16, __ATOMIC_ACQUIRE);
    while (READ_ONCE(l->head) != old >> 16) {
#ifdef HOSPES_HOST
        panic("lock %p (level %u): one test thread plays all CPUs and would wait for ever", l,
              l->level);
#endif
        cpu_relax();
    }
    smp_rmb();
    note_held(l);
}

bool spin_trylock(spinlock_t *l)
{
    uint32_t old = READ_ONCE(l->both);

    check_irq_use(l);
    if ((uint16_t)old != old >> 16 ||
        !__atomic_compare_exchange_n(&l->both, &old, old + (1u << 16), false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED))
        return false;
    note_held(l);
    return true;
}

void spin_unlock(spinlock_t *l)
{
    if (!spin_is_mine(l))
        panic("lock %p (level %u) released by who does not hold it", l, l->level);
    note_released(l);
    __atomic_store_n(&l->head, (uint16_t)(l->head + 1), __ATOMIC_RELEASE);
}

bool spin_is_mine(const spinlock_t *l)
{
    return spin_is_locked(l) && READ_ONCE(l->owner) == smp_processor_id() + 1;
}

void spin_dump_held(void)
{
    const struct held_locks *h = &this_cpu(held_locks);

    for (unsigned i = 0; i < h->nr; i++)
        printk("  holds lock %p, level %u\n", h->lock[i], h->lock[i]->level);
}

#else /* !CONFIG_DEBUG */

void noinline spin_lock_wait_(spinlock_t *l, uint16_t ticket)
{
    while (__atomic_load_n(&l->head, __ATOMIC_ACQUIRE) != ticket)
        cpu_relax();
}

bool spin_is_mine(const spinlock_t *l)
{
    return spin_is_locked(l);
}

void spin_dump_held(void)
{
}

#endif /* CONFIG_DEBUG */

void spin_break(spinlock_t *l)
{
    WRITE_ONCE(l->both, 0);
}

void percpu_rwlock_init(percpu_rwlock_t *l, enum lock_level level)
{
    spin_lock_init(&l->writer, level);
    l->writing = false;
}

/*
 * The depth grows before the entry is stored, and an entry is removed before the depth shrinks: an
 * interrupt handler that reads locks in between uses entries of its own.
 */
static void push_reader(percpu_rwlock_t *l)
{
    struct read_stack *s = &this_cpu(read_stack);

    BUG_ON(s->depth == MAX_READ_DEPTH);
    s->depth++;
    barrier();
    WRITE_ONCE(s->lock[s->depth - 1], l);
}

static void pop_reader(percpu_rwlock_t *l)
{
    struct read_stack *s = &this_cpu(read_stack);
    unsigned top = s->depth - 1;

    for (unsigned i = s->depth; i-- > 0;)
        if (s->lock[i] == l) {
            WRITE_ONCE(s->lock[i], s->lock[top]); /* twice there, never missing */
            __atomic_store_n(&s->lock[top], NULL, __ATOMIC_RELEASE);
            barrier();
            s->depth--;
            return;
        }
    BUG();
}

static bool cpu_reads(unsigned cpu, const percpu_rwlock_t *l)
{
    struct read_stack *s = &per_cpu(read_stack, cpu);

    for (unsigned i = 0; i < MAX_READ_DEPTH; i++)
        if (READ_ONCE(s->lock[i]) == l)
            return true;
    return false;
}

void percpu_read_lock(percpu_rwlock_t *l)
{
    bool nested = cpu_reads(smp_processor_id(), l);

    push_reader(l);
    smp_mb();
    while (unlikely(READ_ONCE(l->writing)) && !nested) {
        /* Give way; a writer waits for us otherwise. */
        pop_reader(l);
        spin_lock(&l->writer);
        push_reader(l);
        spin_unlock(&l->writer);
        smp_mb();
    }
}

void percpu_read_unlock(percpu_rwlock_t *l)
{
    pop_reader(l);
}

void percpu_write_lock(percpu_rwlock_t *l)
{
    unsigned cpu;

    spin_lock(&l->writer);
    WRITE_ONCE(l->writing, true);
    smp_mb();
    for_each_cpu (cpu, &cpu_online_map)
        while (cpu_reads(cpu, l)) {
#ifdef HOSPES_HOST
            panic("writer of %p waits for a reader on CPU %u", l, cpu);
#endif
            cpu_relax();
        }
    smp_rmb();
}

void percpu_write_unlock(percpu_rwlock_t *l)
{
    __atomic_store_n(&l->writing, false, __ATOMIC_RELEASE);
    spin_unlock(&l->writer);
}
