// SPDX-License-Identifier: MIT
/* Sets of physical CPUs (pcpus). */
#pragma once
#include "lib/bitops.h"
#include "lib/string.h"

#ifndef CONFIG_NR_CPUS
#define CONFIG_NR_CPUS 256
#endif
#define NR_CPUS CONFIG_NR_CPUS

typedef struct {
    unsigned long bits[BITS_TO_LONGS(NR_CPUS)];
} cpumask_t;

extern unsigned nr_cpu_ids;        /* one more than the highest possible CPU number */
extern cpumask_t cpu_possible_map; /* CPUs that firmware described */
extern cpumask_t cpu_online_map;   /* CPUs that run; changed under the cpu hotplug lock */

#define cpumask_set_cpu(cpu, m)            set_bit(cpu, (m)->bits)
#define cpumask_clear_cpu(cpu, m)          clear_bit(cpu, (m)->bits)
#define cpumask_test_cpu(cpu, m)           test_bit(cpu, (m)->bits)
#define cpumask_test_and_set_cpu(cpu, m)   test_and_set_bit(cpu, (m)->bits)
#define cpumask_test_and_clear_cpu(cpu, m) test_and_clear_bit(cpu, (m)->bits)
#define cpumask_first(m)                   ((unsigned)find_first_bit((m)->bits, nr_cpu_ids))
#define cpumask_next(cpu, m)               ((unsigned)find_next_bit((m)->bits, nr_cpu_ids, (cpu) + 1))
#define cpumask_weight(m)                  bitmap_weight((m)->bits, nr_cpu_ids)
#define for_each_cpu(cpu, m)                                                                       \
    for ((cpu) = cpumask_first(m); (cpu) < nr_cpu_ids; (cpu) = cpumask_next(cpu, m))
#define for_each_online_cpu(cpu) for_each_cpu (cpu, &cpu_online_map)
#define cpu_online(cpu)          cpumask_test_cpu(cpu, &cpu_online_map)

static inline void cpumask_clear(cpumask_t *m)
{
    memset(m, 0, sizeof(*m));
}

static inline void cpumask_setall(cpumask_t *m)
{
    memset(m, 0xff, sizeof(*m));
}

static inline bool cpumask_empty(const cpumask_t *m)
{
    for (unsigned i = 0; i < ARRAY_SIZE(m->bits); i++)
        if (m->bits[i])
            return false;
    return true;
}

static inline void cpumask_and(cpumask_t *d, const cpumask_t *a, const cpumask_t *b)
{
    for (unsigned i = 0; i < ARRAY_SIZE(d->bits); i++)
        d->bits[i] = a->bits[i] & b->bits[i];
}

static inline void cpumask_or(cpumask_t *d, const cpumask_t *a, const cpumask_t *b)
{
    for (unsigned i = 0; i < ARRAY_SIZE(d->bits); i++)
        d->bits[i] = a->bits[i] | b->bits[i];
}

static inline bool cpumask_intersects(const cpumask_t *a, const cpumask_t *b)
{
    for (unsigned i = 0; i < ARRAY_SIZE(a->bits); i++)
        if (a->bits[i] & b->bits[i])
            return true;
    return false;
}

static inline bool cpumask_equal(const cpumask_t *a, const cpumask_t *b)
{
    return !memcmp(a, b, sizeof(*a));
}
