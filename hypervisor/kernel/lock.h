// SPDX-License-Identifier: MIT
/*
 * Locks.  Every lock has a level, written once here: a CPU that holds a lock may only take one
 * of a higher level (equal levels only where the room says how it orders them).  Debug builds
 * (CONFIG_DEBUG) check that at run time, and that a lock taken in an interrupt handler is never
 * taken elsewhere with interrupts on.
 */
#pragma once
#include "lib/compiler.h"
#include "arch/api/arch_cpu.h"
#include <stdbool.h>
#include <stdint.h>

enum lock_level {
    LOCK_DOMCTL = 10, /* one tool operation at a time */
    LOCK_DOMLIST = 20, /* the list of domains */
    LOCK_DOMAIN = 30, /* struct domain: life, vcpus */
    LOCK_P2M = 40,
    LOCK_PAGE = 50,  /* a domain's page list and counts; page-type work; two pages: frame order */
    LOCK_PIRQ = 55,
    LOCK_EVENT = 60, /* two domains: by domain address */
    LOCK_GRANT = 70, /* two domains: by domain address */
    LOCK_SCHED = 80,
    LOCK_TIMER = 90,
    LOCK_IRQ = 95,
    LOCK_HEAP = 100,
    LOCK_CONSOLE = 120, /* last: anything may print */
    LOCK_LEAF = 127     /* held for a few instructions, nothing else taken under it */
};

typedef struct spinlock {
    union {
        uint32_t both;
        struct {
            uint16_t head, tail; /* ticket lock */
        };
    };
    uint8_t level;
    uint16_t owner; /* CPU + 1 while held: for assertions */
} spinlock_t;

#define SPINLOCK_INIT(l) {.level = (l)}

void spin_lock_init(spinlock_t *l, enum lock_level level);
void spin_lock(spinlock_t *l);
bool spin_trylock(spinlock_t *l);
void spin_unlock(spinlock_t *l);
void spin_lock_irq(spinlock_t *l);
void spin_unlock_irq(spinlock_t *l);
unsigned long spin_lock_irqsave_(spinlock_t *l);
void spin_unlock_irqrestore(spinlock_t *l, unsigned long flags);
#define spin_lock_irqsave(l, flags) ((flags) = spin_lock_irqsave_(l))
/* True if this CPU holds l. */
bool spin_is_mine(const spinlock_t *l);

/* Per-CPU reader-writer lock: readers touch only their own cache line; writers are rare. */
typedef struct percpu_rwlock {
    spinlock_t writer;
    bool writing;
    unsigned id; /* index into each CPU's reader counts */
} percpu_rwlock_t;

void percpu_rwlock_init(percpu_rwlock_t *l, enum lock_level level);
void percpu_read_lock(percpu_rwlock_t *l);
void percpu_read_unlock(percpu_rwlock_t *l);
void percpu_write_lock(percpu_rwlock_t *l);
void percpu_write_unlock(percpu_rwlock_t *l);
