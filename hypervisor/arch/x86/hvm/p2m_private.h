// SPDX-License-Identifier: MIT
/* Between p2m.c, pod.c and dirty.c. */
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

/*
 * Under the lock: the entry of the second level for the 2 MB with *gfn.  NULL: nothing
 * is mapped there, and *gfn becomes the first of what is next.  With small a leaf there, or a
 * larger one, is split: then what it leads to is a table; P2M_NO_TABLE: there is no memory for it.
 */
#define P2M_NO_TABLE ((uint64_t *)1)
uint64_t *p2m_block(struct p2m *p, uint64_t *gfn, bool small);
/* The entry of the first level for gfn, or NULL if there is no such table.  No lock is needed. */
uint64_t *p2m_small_entry(const struct p2m *p, uint64_t gfn);
/* The table that the entry at e, of that level (2 or 3), leads to gives way to one leaf if it is
 * one in all but size: the table, to be freed once no CPU can be reading it; or NULL.  Under the
 * lock. */
uint64_t *p2m_merge(struct p2m *p, uint64_t *e, unsigned level);
/* Tables that are linked no more, nor read by any CPU: they and this (of xzalloc()) are freed once
 * nobody here reads them, either. */
struct p2m_unlinked {
    struct rcu_head rcu;
    unsigned nr;
    uint64_t *table[64];
};
void p2m_free_unlinked(struct p2m_unlinked *u);

/* --- pod.c --- */
/*
 * A page for gfn, whose entry at that level waits for it; false: there is no memory, and the domain
 * ends.
 */
bool p2m_fill(struct domain *d, uint64_t gfn, unsigned level);
