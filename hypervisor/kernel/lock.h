// SPDX-License-Identifier: MIT
/*
 * Locks.  Every lock has a level, written once here: a CPU that holds a lock may only take one
 * of a higher level (equal levels only where the room says how it orders them).  Debug builds
 * (CONFIG_DEBUG) check that at run time, and that a lock taken in an interrupt handler is never
 * taken elsewhere with interrupts on.  spin_trylock() is not bound by levels, for it does not wait.
 *
 * Who holds a lock runs to its release: the hypervisor does not preempt itself.
 */
#pragma once
#include "lib/compiler.h"
#include "arch/api/arch_cpu.h"
#include <stdbool.h>
#include <stdint.h>

enum lock_level {
    LOCK_DOMCTL = 10,  /* one tool operation at a time */
    LOCK_DOMLIST = 20, /* the list of domains */
    LOCK_DOMAIN = 30,  /* struct domain: life, vcpus */
    LOCK_P2M = 40,
    LOCK_PIRQ = 55,
    LOCK_EVENT = 60, /* and what event/private.h adds: channels, two by address; queues */
    LOCK_GRANT = 70, /* and what grant/private.h adds: entries, two of a table by reference */
    LOCK_SCHED = 80,
    LOCK_TIMER = 90,
    LOCK_IRQ = 95,
    LOCK_PAGING = 97,   /* the hypervisor's own page tables */
    LOCK_PAGELIST = 98, /* a domain's page list: put_page() takes it, under almost any lock */
    LOCK_HEAP = 100,
    LOCK_CONSOLE = 120, /* last: anything may print */
    LOCK_LEAF = 127     /* held for a few instructions, nothing else taken under it */
};

typedef struct spinlock {
    union {
        uint32_t both;
        struct {
            uint16_t head, tail; /* ticket lock: served now; to be drawn next */
        };
    };
    uint8_t level;
    uint8_t use;    /* debug: taken in interrupt handlers, with interrupts on */
    uint16_t owner; /* debug: CPU + 1 while held */
} spinlock_t;

#define SPINLOCK_INIT(l)                                                                           \
    {                                                                                              \
        .level = (l)                                                                               \
    }

static inline void spin_lock_init(spinlock_t *l, enum lock_level level)
{
    *l = (spinlock_t)SPINLOCK_INIT(level);
}

#ifdef CONFIG_DEBUG
void spin_lock(spinlock_t *l);
bool spin_trylock(spinlock_t *l);
void spin_unlock(spinlock_t *l);
#else
void spin_lock_wait_(spinlock_t *l, uint16_t ticket);

static inline void spin_lock(spinlock_t *l)
{
    uint32_t old = __atomic_fetch_add(&l->both, 1u << 16, __ATOMIC_ACQUIRE);

    if (unlikely((uint16_t)old != old >> 16))
        spin_lock_wait_(l, old >> 16);
}

static inline bool spin_trylock(spinlock_t *l)
{
    uint32_t old = READ_ONCE(l->both);

    return (uint16_t)old == old >> 16 &&
           __atomic_compare_exchange_n(&l->both, &old, old + (1u << 16), false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

static inline void spin_unlock(spinlock_t *l)
{
    __atomic_store_n(&l->head, (uint16_t)(l->head + 1), __ATOMIC_RELEASE);
}
#endif

static inline bool spin_is_locked(const spinlock_t *l)
{
    uint32_t v = READ_ONCE(l->both);

    return (uint16_t)v != v >> 16;
}

static inline void spin_lock_irq(spinlock_t *l)
{
    local_irq_disable();
    spin_lock(l);
}

static inline void spin_unlock_irq(spinlock_t *l)
{
    spin_unlock(l);
    local_irq_enable();
}

static inline unsigned long spin_lock_irqsave_(spinlock_t *l)
{
    unsigned long flags = local_irq_save_();

    spin_lock(l);
    return flags;
}

static inline void spin_unlock_irqrestore(spinlock_t *l, unsigned long flags)
{
    spin_unlock(l);
    local_irq_restore(flags);
}

#define spin_lock_irqsave(l, flags) ((flags) = spin_lock_irqsave_(l))
/* For assertions: true if this CPU holds l (without CONFIG_DEBUG: if any CPU does). */
bool spin_is_mine(const spinlock_t *l);
/* Debug: the locks this CPU holds, most recent last; for panics. */
void spin_dump_held(void);
/* Panic: takes l out of use as a lock; see console_force_unlock(). */
void spin_break(spinlock_t *l);

/*
 * Per-CPU reader-writer lock: readers touch only their own cache line; writers are rare, and wait
 * for every CPU.  Read sections nest (of one lock, too) and may be in interrupt handlers if writers
 * disable interrupts.  Who reads must not try to write.
 */
typedef struct percpu_rwlock {
    spinlock_t writer;
    bool writing;
} percpu_rwlock_t;

void percpu_rwlock_init(percpu_rwlock_t *l, enum lock_level level);
void percpu_read_lock(percpu_rwlock_t *l);
void percpu_read_unlock(percpu_rwlock_t *l);
void percpu_write_lock(percpu_rwlock_t *l);
void percpu_write_unlock(percpu_rwlock_t *l);
