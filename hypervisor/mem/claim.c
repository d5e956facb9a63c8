// SPDX-License-Identifier: MIT
/*
 * Claims: pages that a domain is going to need, which others then do not get.  They are no certain
 * pages, but a number: heap.c gives out the last free pages only to those who have claimed them.
 * total_claims is the sum of all domains' `outstanding`; both are under the heap's lock.
 */
#include "lib/errno.h"
#include "mem/mem_private.h"

static uint64_t total_claims;

bool claims_allow(const struct domain *d, uint64_t nr, uint64_t free)
{
    uint64_t others = total_claims - (d ? d->mem.outstanding : 0);

    return free >= nr && free - nr >= others;
}

uint64_t heap_outstanding_claims(void)
{
    return READ_ONCE(total_claims);
}

void heap_settle_claim(struct domain *d, uint64_t n)
{
    unsigned long flags;

    if (likely(!d->mem.outstanding))
        return;
    spin_lock_irqsave(&heap_lock, flags);
    n = min(n, d->mem.outstanding);
    d->mem.outstanding -= n;
    total_claims -= n;
    spin_unlock_irqrestore(&heap_lock, flags);
}

int domain_set_claim(struct domain *d, uint64_t pages)
{
    struct domain_mem *m = &d->mem;
    unsigned long flags;
    int ret = 0;

    spin_lock(&m->lock);
    spin_lock_irqsave(&heap_lock, flags);
    if (!pages || d->dying) {
        total_claims -= m->outstanding;
        m->outstanding = 0;
        ret = pages ? -EINVAL : 0;
    } else if (m->outstanding || pages <= m->tot_pages || pages > m->max_pages)
        ret = -EINVAL;
    else if (!claims_allow(NULL, pages - m->tot_pages, heap_free_pages()))
        ret = -ENOMEM;
    else {
        m->outstanding = pages - m->tot_pages;
        total_claims += m->outstanding;
    }
    spin_unlock_irqrestore(&heap_lock, flags);
    spin_unlock(&m->lock);
    return ret;
}

bool domain_adjust_claim(struct domain *d, uint64_t pages, uint64_t most)
{
    struct domain_mem *m = &d->mem;
    unsigned long flags;
    uint64_t want;
    bool ok = true;

    spin_lock(&m->lock);
    want = d->dying || pages <= m->tot_pages ? 0 : min(pages - m->tot_pages, most);
    spin_lock_irqsave(&heap_lock, flags);
    if (want > m->outstanding)
        ok = claims_allow(NULL, want - m->outstanding, heap_free_pages());
    if (ok) {
        total_claims += want - m->outstanding;
        m->outstanding = want;
    }
    spin_unlock_irqrestore(&heap_lock, flags);
    spin_unlock(&m->lock);
    return ok;
}
