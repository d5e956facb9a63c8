// SPDX-License-Identifier: MIT
/*
 * A domain's physical address space: the second level of page tables, which the CPU walks, and
 * which is the only record of what is mapped.  See p2m.c.
 */
#pragma once
#include "arch/api/arch_p2m.h"
#include "asm/page.h"
#include "kernel/lock.h"
#include "kernel/rcu.h"
#include "mem/mem.h"

/*
 * What differs between vendors is made of flags; what is read back is the same for both: bit 0 is
 * set in what is present, bit 7 in a large page, the address is in bits 12 to 51.  Nested page
 * tables want the user bit in all; EPT has a memory type in leaves.
 */
struct p2m_format {
    uint64_t table; /* an entry that leads to a table */
    uint64_t ram;   /* a leaf: RAM, all rights, written to already */
    uint64_t dirty; /* what the CPU sets in a leaf when it writes there; 0: it does not tell */
};

/* An operation on the log that gave way (busy), and how far it has come. */
struct p2m_log_op {
    bool busy;
    domid_t by;
    uint32_t op, found;
    uint64_t bitmap; /* as the caller named it */
    uint64_t next;   /* gfn */
};

struct p2m {
    spinlock_t lock; /* LOCK_P2M: writers; readers need none, tables stay until the domain goes */
    uint64_t *root;  /* NULL: the domain has come to its end */
    uint64_t tables, max_tables; /* pages for tables; bound by what the tools set aside */
    uint64_t max_gfn;
    uint64_t on_demand;      /* frames that have no page yet */
    uint64_t pod_target;     /* pages that the domain may have with them; 0: nothing is set aside */
    uint64_t generation;     /* counts what was unmapped: old translations must go */
    uint64_t relinquish_gfn; /* p2m_relinquish() goes on here */
    uint64_t *unused;        /* the root once the dying domain has lost it; readers may be there */
    bool quiet;              /* ... until now */
    struct rcu_head rcu;
    /* What has been written to is logged (dirty.c).  Changes under the lock; while it is set new
     * leaves are of 4 KB, and the dirty bits of all leaves are the log. */
    bool logging;
    struct p2m_log_op log_op; /* under the domctl lock */
};

int p2m_create(struct domain *d);
/*
 * A page that d may touch so, of whatever type, for an access in its guest's name; NULL: none.
 * *typed says whether it comes with the writable type: p2m_put_held().
 */
struct page_info *p2m_hold(struct domain *d, gfn_t gfn, bool write, bool *typed);
void p2m_put_held(struct page_info *pg, bool typed);
/* At this moment something is mapped there, for reading only. */
bool p2m_is_readonly(struct domain *d, gfn_t gfn);
/* For debug key 'q'. */
unsigned p2m_gb_leaves(const struct domain *d);
/* Unmaps everything: 0, -ERESTART. */
int p2m_relinquish(struct domain *d);
void p2m_free(struct domain *d);

#define P2M_LEVELS 4
/* Where a leaf has its enum p2m_type. */
#define P2M_TYPE_SHIFT 52
#define P2M_TYPE_MASK  (7ULL << P2M_TYPE_SHIFT)

/*
 * What a vcpu remembers of its domain's tables: those of the second level, each for 1 GB, which
 * once linked stay until the domain goes, but for what is joined to a leaf of 1 GB before it runs.
 */
struct p2m_memory {
    struct {
        uint64_t gb;
        const uint64_t *table;
    } slot[4];
};
/* Finds the table for gfn and remembers it; or NULL, and *ram as p2m_ram(). */
const uint64_t *p2m_remember(const struct p2m *p, struct p2m_memory *m, uint64_t gfn, void **ram);

/*
 * The RAM at gfn, the domain's own or granted to it (for writing, if it is to be written), or NULL:
 * it may be there after p2m_get_page().  For current's domain, interrupts off: there is no
 * reference, but who unmaps it flushes before he lets go of it, and so waits until they are on.
 */
static inline void *p2m_ram(const struct p2m *p, struct p2m_memory *m, uint64_t gfn, bool write)
{
    unsigned n = (gfn >> 18) % ARRAY_SIZE(m->slot);
    const uint64_t *table = m->slot[n].table;
    void *ram;
    uint64_t e;

    if (unlikely(!table || m->slot[n].gb != gfn >> 18)) {
        table = p2m_remember(p, m, gfn, &ram);
        if (!table)
            return ram;
    }
    e = READ_ONCE(table[(gfn >> 9) & (PTES_PER_TABLE - 1)]);
    if (unlikely(!(e & PTE_PRESENT)))
        return NULL;
    if (e & PTE_PSE)
        return (char *)mfn_to_virt(pte_mfn(e)) + ((gfn & (PTES_PER_TABLE - 1)) << PAGE_SHIFT);
    e = READ_ONCE(((const uint64_t *)mfn_to_virt(pte_mfn(e)))[gfn & (PTES_PER_TABLE - 1)]);
    if (unlikely(!(e & PTE_PRESENT) || (write && !(e & PTE_RW))))
        return NULL;
    return mfn_to_virt(pte_mfn(e));
}
