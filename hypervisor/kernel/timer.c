// SPDX-License-Identifier: MIT
/*
 * Timers.
 *
 * Each CPU has its armed timers in a pairing heap: a tree in which no child expires before its
 * parent.  Arming is a comparison with the root; taking the root out merges its children two by
 * two. The links are inside struct timer, so arming never needs memory and never fails.
 *
 * A timer's fields are guarded by the lock of the CPU it belongs to (t->cpu); to follow a timer
 * that moves, lock_timer() takes the lock and looks again.  The function of a timer is called
 * without the lock; meanwhile `running` of that CPU points to the timer, which is all that
 * timer_kill() waits for, so the function may free the timer.
 *
 * The hardware is set for the root when it changes and after every run of the softirq.  Disarming
 * leaves it: an interrupt that finds nothing due costs less than setting it twice.
 */
#include "kernel/timer.h"
#include "arch/api/arch_time.h"
#include "kernel/console.h"
#include "kernel/keyhandler.h"
#include "kernel/lock.h"
#include "kernel/panic.h"
#include "kernel/percpu.h"
#include "kernel/softirq.h"
#include "kernel/symbols.h"

struct timer_heap {
    spinlock_t lock;
    struct timer *root;
    struct timer *running;
    s_time_t programmed; /* what the hardware is set for */
};
static DEFINE_PER_CPU(struct timer_heap, timer_heap);

#define BATCH 64 /* timers run before other softirqs get their turn */

/* ---- the heap ---- */

/* Joins two trees without siblings; either may be NULL. */
static struct timer *merge(struct timer *a, struct timer *b)
{
    struct timer *top, *below;

    if (!a || !b)
        return a ? a : b;
    top = a->expires <= b->expires ? a : b;
    below = top == a ? b : a;
    below->prev = top;
    below->next = top->child;
    if (top->child)
        top->child->prev = below;
    top->child = below;
    top->next = top->prev = NULL;
    return top;
}

/* Makes one tree of a list of siblings. */
static struct timer *merge_siblings(struct timer *first)
{
    struct timer *pairs = NULL, *tree = NULL;

    while (first) {
        struct timer *a = first, *b = a->next, *pair;

        first = b ? b->next : NULL;
        a->next = a->prev = NULL;
        if (b)
            b->next = b->prev = NULL;
        pair = merge(a, b);
        pair->next = pairs;
        pairs = pair;
    }
    while (pairs) {
        struct timer *next = pairs->next;

        pairs->next = NULL;
        tree = merge(tree, pairs);
        pairs = next;
    }
    return tree;
}

static void heap_insert(struct timer_heap *h, struct timer *t)
{
    t->child = t->next = t->prev = NULL;
    t->set = true;
    h->root = merge(h->root, t);
}

static void heap_remove(struct timer_heap *h, struct timer *t)
{
    struct timer *below = merge_siblings(t->child);

    if (t == h->root) {
        h->root = below;
    } else {
        if (t->prev->child == t)
            t->prev->child = t->next;
        else
            t->prev->next = t->next;
        if (t->next)
            t->next->prev = t->prev;
        h->root = merge(h->root, below);
    }
    t->child = t->next = t->prev = NULL;
    t->set = false;
}

/* ---- arming and disarming ---- */

/* Locks the heap of the CPU that t belongs to; interrupts are off. */
static struct timer_heap *lock_timer(struct timer *t)
{
    for (;;) {
        unsigned cpu = READ_ONCE(t->cpu);
        struct timer_heap *h = &per_cpu(timer_heap, cpu);

        spin_lock(&h->lock);
        if (likely(t->cpu == cpu))
            return h;
        spin_unlock(&h->lock);
    }
}

/* The root of this CPU's heap may be earlier than what the hardware is set for. */
static void program_earlier(struct timer_heap *h)
{
    if (h->root && h->root->expires < h->programmed) {
        h->programmed = h->root->expires;
        arch_timer_program(h->programmed);
    }
}

void timer_init(struct timer *t, void (*fn)(void *), void *data, unsigned cpu)
{
    *t = (struct timer){.fn = fn, .data = data, .cpu = cpu};
}

static void insert_and_program(struct timer_heap *h, struct timer *t, s_time_t expires)
{
    if (t->killed)
        return;
    t->expires = expires;
    heap_insert(h, t);
    if (h->root != t)
        return;
    if (t->cpu == smp_processor_id())
        program_earlier(h);
    else
        cpu_raise_softirq(t->cpu, SOFTIRQ_TIMER);
}

void timer_set(struct timer *t, s_time_t expires)
{
    unsigned long flags = local_irq_save_();
    struct timer_heap *h = lock_timer(t);

    if (t->set)
        heap_remove(h, t);
    insert_and_program(h, t, expires);
    spin_unlock_irqrestore(&h->lock, flags);
}

void timer_set_here(struct timer *t, s_time_t expires)
{
    unsigned long flags = local_irq_save_();
    struct timer_heap *h = lock_timer(t);

    if (t->set)
        heap_remove(h, t);
    if (unlikely(t->cpu != smp_processor_id())) {
        /* Unarmed, it is in nobody's heap: whoever arms it now finds the new CPU. */
        WRITE_ONCE(t->cpu, smp_processor_id());
        spin_unlock(&h->lock);
        h = lock_timer(t);
        if (t->set)
            heap_remove(h, t);
    }
    insert_and_program(h, t, expires);
    spin_unlock_irqrestore(&h->lock, flags);
}

void timer_stop(struct timer *t)
{
    struct timer_heap *h;
    unsigned long flags;

    /* Unarmed as seen from here: the caller is the one who would know otherwise. */
    if (!READ_ONCE(t->set))
        return;
    local_irq_save(flags);
    h = lock_timer(t);
    if (t->set)
        heap_remove(h, t);
    spin_unlock_irqrestore(&h->lock, flags);
}

void timer_kill(struct timer *t)
{
    struct timer_heap *h;
    unsigned long flags;
    unsigned cpu;

    if (!t->fn) /* never initialised: a half-made object is being torn down */
        return;
    local_irq_save(flags);
    h = lock_timer(t);
    if (t->set)
        heap_remove(h, t);
    t->killed = true;
    spin_unlock_irqrestore(&h->lock, flags);
    /* It may run on any CPU it belonged to lately. */
    for_each_online_cpu (cpu)
        while (READ_ONCE(per_cpu(timer_heap, cpu).running) == t) {
            BUG_ON(cpu == smp_processor_id());
            cpu_relax();
        }
}

void timer_migrate(struct timer *t, unsigned cpu)
{
    unsigned long flags = local_irq_save_();
    struct timer_heap *h = lock_timer(t);
    bool was_set = t->set;

    if (t->cpu != cpu) {
        if (was_set)
            heap_remove(h, t);
        WRITE_ONCE(t->cpu, cpu);
        spin_unlock(&h->lock);
        h = lock_timer(t);
        if (was_set && !t->set)
            insert_and_program(h, t, t->expires);
    }
    spin_unlock_irqrestore(&h->lock, flags);
}

/* ---- running ---- */

void timer_interrupt(void)
{
    this_cpu(timer_heap).programmed = S_TIME_NEVER; /* it has fired */
    raise_softirq(SOFTIRQ_TIMER);
}

static void run_timers(void)
{
    struct timer_heap *h = &this_cpu(timer_heap);
    s_time_t now = NOW();
    unsigned n = 0;

    spin_lock_irq(&h->lock);
    while (h->root && h->root->expires <= now && n++ < BATCH) {
        struct timer *t = h->root;
        void (*fn)(void *) = t->fn;
        void *data = t->data;

        heap_remove(h, t);
        h->running = t;
        spin_unlock_irq(&h->lock);
        fn(data);
        spin_lock_irq(&h->lock);
        __atomic_store_n(&h->running, NULL, __ATOMIC_RELEASE);
    }
    if (h->root && h->root->expires <= now)
        raise_softirq(SOFTIRQ_TIMER);
    else
        program_earlier(h);
    spin_unlock_irq(&h->lock);
}

void timer_cpu_init(unsigned cpu)
{
    struct timer_heap *h = &per_cpu(timer_heap, cpu);

    spin_lock_init(&h->lock, LOCK_TIMER);
    h->root = h->running = NULL;
    h->programmed = S_TIME_NEVER;
}

void timer_cpu_dead(unsigned cpu)
{
    struct timer_heap *h = &per_cpu(timer_heap, cpu);

    for (;;) {
        struct timer *t = READ_ONCE(h->root); /* nobody else takes from a dead CPU's heap */

        if (!t)
            break;
        timer_migrate(t, smp_processor_id());
    }
    h->programmed = S_TIME_NEVER;
}

static void dump_cpu(unsigned cpu, s_time_t now)
{
    struct timer_heap *h = &per_cpu(timer_heap, cpu);
    unsigned shown = 0;
    unsigned long flags, offset, size;
    char buf[64];

    spin_lock_irqsave(&h->lock, flags);
    printk("CPU %u:%s\n", cpu, h->root ? "" : " none");
    /* Depth first; a tree's next tree is its next sibling or that of the nearest elder with one. */
    for (struct timer *t = h->root; t && shown < 100; shown++) {
        const char *name = symbol_lookup((unsigned long)t->fn, &offset, &size, buf, sizeof(buf));

        printk("  in %lld us: %s, data %p\n", (long long)(t->expires - now) / 1000,
               name ? name : "?", t->data);
        if (t->child) {
            t = t->child;
            continue;
        }
        while (t && !t->next) {
            while (t->prev && t->prev->child != t)
                t = t->prev; /* to the first sibling, whose prev is the parent */
            t = t->prev;
        }
        if (t)
            t = t->next;
    }
    spin_unlock_irqrestore(&h->lock, flags);
}

static void dump_timers(unsigned char key)
{
    s_time_t now = NOW();
    unsigned cpu;

    (void)key;
    printk("Timers at %lld ns:\n", (long long)now);
    for_each_online_cpu (cpu)
        dump_cpu(cpu, now);
}

void timer_subsys_init(void)
{
    timer_cpu_init(smp_processor_id());
    open_softirq(SOFTIRQ_TIMER, run_timers);
    keyhandler_register('a', dump_timers, "timers");
}
