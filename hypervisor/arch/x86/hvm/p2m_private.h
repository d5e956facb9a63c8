// SPDX-License-Identifier: MIT
/* Between p2m.c and pod.c. */
#pragma once
#include "arch/x86/hvm/hvm.h"
#include "asm/cpufeature.h"

static inline struct p2m *p2m_of(const struct domain *d)
{
    return &d->arch.hvm->p2m;
}

static inline bool is_leaf(uint64_t e, unsigned level)
{
    return level == 1 || (e & PTE_PSE);
}

static inline enum p2m_type type_of(uint64_t e)
{
    return (e & P2M_TYPE_MASK) >> P2M_TYPE_SHIFT;
}

static inline bool on_demand(uint64_t e)
{
    return type_of(e) == P2M_ON_DEMAND;
}

static inline bool gfn_ok(uint64_t gfn, unsigned order)
{
    unsigned bits = min(host_cpu.phys_bits, 48u) - PAGE_SHIFT;

    return !(gfn >> bits) && !((gfn + (1ULL << order) - 1) >> bits) &&
           !(gfn & ((1ULL << order) - 1));
}

/* The largest leaf that fits. */
static inline unsigned leaf_order(unsigned order)
{
    return order >= 18 ? 18 : order >= 9 ? 9 : 0;
}

/* Under the lock: the entry for gfn at `level`, with the tables above made as needed; NULL: no
 * memory. */
uint64_t *p2m_entry_for(struct p2m *p, uint64_t gfn, unsigned level);

/* --- pod.c --- */
/*
 * A page for gfn, whose entry at that level waits for it; false: there is no memory, and the domain
 * ends.
 */
bool p2m_fill(struct domain *d, uint64_t gfn, unsigned level);
