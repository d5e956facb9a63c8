// SPDX-License-Identifier: MIT
/*
 * A domain's physical address space: the second level of page tables, which the CPU walks, and
 * which is the only record of what is mapped.  See p2m.c.
 */
#pragma once
#include "arch/api/arch_p2m.h"
#include "kernel/lock.h"

/*
 * What differs between vendors is made of flags; what is read back is the same for both: bit 0 is
 * set in what is present, bit 7 in a large page, the address is in bits 12 to 51.  Nested page
 * tables want the user bit in all; EPT has a memory type in leaves.
 */
struct p2m_format {
    uint64_t table; /* an entry that leads to a table */
    uint64_t ram;   /* a leaf: RAM, all rights */
};

struct p2m {
    spinlock_t lock; /* LOCK_P2M: writers; readers need none, tables stay until the domain goes */
    uint64_t *root;
    uint64_t tables, max_tables; /* pages for tables; bound by what the tools set aside */
    uint64_t max_gfn;
    uint64_t generation;     /* counts what was unmapped: old translations must go */
    uint64_t relinquish_gfn; /* p2m_relinquish() goes on here */
};

int p2m_create(struct domain *d);
/* Unmaps everything: 0, -ERESTART. */
int p2m_relinquish(struct domain *d);
void p2m_free(struct domain *d);
/* No CPU goes on using translations made before. */
void p2m_flush(struct domain *d);
