// SPDX-License-Identifier: MIT
/*
 * Vectors: 0x20..0xef of each CPU, less the two that guests enter by.  A vector that was freed is
 * not given out again before all others: a late interrupt then finds nobody rather than somebody
 * else.
 */
#include "private.h"
#include "lib/errno.h"
#include <asm/apic.h>

DEFINE_PER_CPU(uint16_t[256], vector_irq);
static DEFINE_PER_CPU(uint8_t, next_vector);
static spinlock_t vector_lock = SPINLOCK_INIT(LOCK_LEAF);

static bool usable(unsigned cpu, unsigned vector)
{
    return vector >= VECTOR_DYNAMIC_FIRST && vector <= VECTOR_DYNAMIC_LAST &&
           vector != VECTOR_LEGACY_INT80 && vector != VECTOR_HYPERCALL32 &&
           !per_cpu(vector_irq, cpu)[vector];
}

static bool block_usable(unsigned cpu, unsigned first, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (!usable(cpu, first + i))
            return false;
    return true;
}

bool vector_cpu_ok(unsigned cpu)
{
    return cpu < nr_cpu_ids && cpu_online(cpu) && x86_cpu_to_apicid[cpu] < 0xff;
}

int vectors_alloc(unsigned cpu, unsigned irq, unsigned count, uint8_t prefer)
{
    unsigned tries = (VECTOR_DYNAMIC_LAST + 1) / count, first = prefer;
    unsigned long flags;
    int ret = -ENOSPC;

    spin_lock_irqsave(&vector_lock, flags);
    if (!prefer || !block_usable(cpu, first, count))
        first = ROUND_UP(per_cpu(next_vector, cpu), count);
    for (; tries; tries--, first += count) {
        if (first > VECTOR_DYNAMIC_LAST)
            first = VECTOR_DYNAMIC_FIRST;
        if (!block_usable(cpu, first, count))
            continue;
        for (unsigned i = 0; i < count; i++)
            per_cpu(vector_irq, cpu)[first + i] = irq + i + 1;
        per_cpu(next_vector, cpu) = first + count;
        ret = first;
        break;
    }
    spin_unlock_irqrestore(&vector_lock, flags);
    return ret;
}

void vector_free(unsigned cpu, uint8_t vector)
{
    unsigned long flags;

    spin_lock_irqsave(&vector_lock, flags);
    per_cpu(vector_irq, cpu)[vector] = 0;
    spin_unlock_irqrestore(&vector_lock, flags);
}
