// SPDX-License-Identifier: MIT
/*
 * Who owns a frame, and how many hold on to it.
 *
 * The states are in mem.h.  get_page() and put_page() work without a lock: a count rises only
 * from non-zero, so it stays zero from the last put_page() on, and whoever brings it there alone
 * takes the frame apart (page_last_put).  `owner` is set before the first reference exists and
 * cleared after the last is gone, so whoever holds a reference may read it.
 *
 * d->mem.lock guards the page list and the counts.  A frame changes from and to d's list only
 * under it, so under the lock "listed, owned by d, PAGE_ALLOCATED" cannot change behind one's
 * back; steal_page() relies on it.  A page stays listed until its last reference goes, also when
 * it is PAGE_ALLOCATED no more: a domain that ends has to find all its page tables.  What
 * relinquish_domain_pages() has seen to is marked PAGE_RELINQUISHED and moved to the end.
 *
 * While a domain has listed pages it holds one reference to itself for them: foreign mappings of
 * its pages may outlive it, and `owner` must stay good.  Shared hypervisor pages need none, for
 * unshare_hyp_page() makes them nobody's.
 */
#include "mem/mem_private.h"
#include "arch/api/arch_mm.h"
#include "domain/domain.h"
#include "domain/unit.h"
#include "hypercall/hypercall.h"
#include "kernel/panic.h"

#define RELINQUISH_BATCH 32 /* pages between looks at whether somebody else needs this CPU */

#define PAGE_RELINQUISHED (1ULL << 56) /* listed: seen by relinquish_domain_pages() */

/* --- the list; under mem.lock --- */

static void list_link_first(struct domain_mem *m, struct page_info *pg)
{
    uint32_t f = page_frame(pg);

    pg->prev = 0;
    pg->next = m->first;
    if (m->first)
        frame_page(m->first)->prev = f;
    else
        m->last = f;
    m->first = f;
}

static void list_link_last(struct domain_mem *m, struct page_info *pg)
{
    uint32_t f = page_frame(pg);

    pg->next = 0;
    pg->prev = m->last;
    if (m->last)
        frame_page(m->last)->next = f;
    else
        m->first = f;
    m->last = f;
}

static void list_unlink(struct domain_mem *m, struct page_info *pg)
{
    if (pg->prev)
        frame_page(pg->prev)->next = pg->next;
    else
        m->first = pg->next;
    if (pg->next)
        frame_page(pg->next)->prev = pg->prev;
    else
        m->last = pg->prev;
    pg->next = pg->prev = 0;
}

/* Takes pg off d's list for good; true: the reference that the list held must be put. */
static bool list_drop(struct domain *d, struct page_info *pg, uint64_t counted)
{
    list_unlink(&d->mem, pg);
    d->mem.tot_pages -= counted;
    return !--d->mem.listed;
}

/* Puts pg, whose owner is set, on d's list with the reference of its being allocated. */
static void list_add_page(struct domain *d, struct page_info *pg)
{
    list_link_first(&d->mem, pg);
    if (!d->mem.listed++)
        BUG_ON(!get_domain(d)); /* the caller holds d */
    /* From here on others can take references. */
    __atomic_store_n(&pg->refs, PAGE_ALLOCATED | 1, __ATOMIC_RELEASE);
}

/* --- the end of a frame --- */

/* What the heap is to know a page by that d frees; of the dead nobody wants anything back. */
static uint32_t domain_past(const struct domain *d)
{
    return d->dying ? 0 : d->mem.past;
}

/* pg has no references and is on no list: back to the heap, where guests' TLBs are remembered. */
static void free_page(struct page_info *pg, uint32_t past)
{
    arch_page_freed(pg);
    page_set_owner(pg, NULL);
    pg->refs = PAGE_STALE;
    heap_free_past(pg, past);
}

void page_last_put(struct page_info *pg)
{
    struct domain *d = page_owner(pg);
    uint32_t past;
    bool drop;

    BUG_ON(pg->refs & (PAGE_ALLOCATED | PAGE_FREE));
    if (pg->refs & PAGE_HYP_SHARED) {
        free_page(pg, 0);
        return;
    }
    spin_lock(&d->mem.lock);
    past = domain_past(d);
    drop = list_drop(d, pg, 1);
    spin_unlock(&d->mem.lock);
    free_page(pg, past);
    if (drop)
        put_domain(d);
}

/* Under mem.lock of owner d: gives up the allocation's reference if it is there.  True: that was
 * the last reference, and the caller frees the page; it is off the list. */
static bool drop_alloc_ref(struct domain *d, struct page_info *pg, bool *drop_domain)
{
    uint64_t x = READ_ONCE(pg->refs);

    do {
        if (!(x & PAGE_ALLOCATED))
            return false;
    } while (!__atomic_compare_exchange_n(&pg->refs, &x, (x & ~PAGE_ALLOCATED) - 1, false,
                                          __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
    if ((x & PAGE_COUNT_MASK) == 1) {
        *drop_domain = list_drop(d, pg, 1);
        return true;
    }
    return false;
}

void put_page_alloc(struct page_info *pg)
{
    struct domain *d = page_owner(pg);
    bool drop = false, last;
    uint32_t past;

    if (!d || (READ_ONCE(pg->refs) & PAGE_HYP_SHARED))
        return;
    spin_lock(&d->mem.lock);
    past = domain_past(d);
    last = drop_alloc_ref(d, pg, &drop);
    spin_unlock(&d->mem.lock);
    if (last)
        free_page(pg, past);
    if (drop)
        put_domain(d);
}

/* The next page to be relinquished, with a reference if it still has any; false: there is none.
 * Marks it and moves it to the end of the list. */
static bool next_to_relinquish(struct domain *d, struct page_info **pg)
{
    struct domain_mem *m = &d->mem;
    bool found;

    spin_lock(&m->lock);
    *pg = m->first ? frame_page(m->first) : NULL;
    found = *pg && !(READ_ONCE((*pg)->refs) & PAGE_RELINQUISHED);
    if (found) {
        list_unlink(m, *pg);
        list_link_last(m, *pg);
        __atomic_fetch_or(&(*pg)->refs, PAGE_RELINQUISHED, __ATOMIC_RELAXED);
        /* No reference: another CPU is about to take it apart, and waits for the lock. */
        if (!get_page(*pg, d))
            *pg = NULL;
    }
    spin_unlock(&m->lock);
    return found;
}

int relinquish_domain_pages(struct domain *d)
{
    struct page_info *pg;

    for (unsigned n = 1; next_to_relinquish(d, &pg); n++) {
        int ret = pg ? arch_page_relinquish(d, pg) : 0;

        if (ret) {
            spin_lock(&d->mem.lock);
            list_unlink(&d->mem, pg);
            list_link_first(&d->mem, pg);
            __atomic_fetch_and(&pg->refs, ~PAGE_RELINQUISHED, __ATOMIC_RELAXED);
            spin_unlock(&d->mem.lock);
            put_page(pg);
            return ret;
        }
        if (pg) {
            put_page_alloc(pg);
            put_page(pg);
        }
        if (n % RELINQUISH_BATCH == 0 && hypercall_preempt_check())
            return -ERESTART;
    }
    return 0;
}

/* --- giving and taking --- */

void domain_mem_init(struct domain *d)
{
    static uint32_t domains;
    uint32_t n = __atomic_add_fetch(&domains, 1, __ATOMIC_RELAXED);

    spin_lock_init(&d->mem.lock, LOCK_PAGELIST);
    /* Once the numbers are used up there are no more of them. */
    if (n & PAST_BIT)
        __atomic_store_n(&domains, PAST_BIT, __ATOMIC_RELAXED);
    else
        d->mem.past = PAST_BIT | n;
}

int assign_pages(struct domain *d, struct page_info *pg, unsigned order, unsigned memflags)
{
    struct domain_mem *m = &d->mem;
    uint64_t nr = 1ULL << order, counted = memflags & MEMF_NO_REFCOUNT ? 0 : nr;

    int ret = 0;

    spin_lock(&m->lock);
    if (d->dying)
        ret = -EINVAL;
    else if (counted && m->tot_pages + counted > m->max_pages && m->outstanding < counted)
        ret = -E2BIG;
    if (ret)
        goto unlock;
    m->tot_pages += counted;
    /* From the last, so that the list, and what relinquishing frees, is in order of address. */
    for (uint64_t i = nr; i--;) {
        BUG_ON((pg[i].refs & ~PAGE_STALE) || pg[i].owner);
        arch_page_assigned(pg + i, d);
        page_set_owner(pg + i, d);
        list_add_page(d, pg + i);
    }
    heap_settle_claim(d, counted);
unlock:
    spin_unlock(&m->lock);
    return ret;
}

struct page_info *alloc_domain_pages_at(struct domain *d, unsigned order, unsigned memflags,
                                        uint64_t pfn, uint32_t near)
{
    uint64_t nr = 1ULL << order;
    struct page_info *pg;

    /* Before anything is scrubbed for it; assign_pages() decides. */
    if (d->dying || (!(memflags & MEMF_NO_REFCOUNT) &&
                     READ_ONCE(d->mem.tot_pages) + nr > READ_ONCE(d->mem.max_pages) &&
                     READ_ONCE(d->mem.outstanding) < nr))
        return NULL;
    pg = heap_alloc_for(d, order, domain_memflags(d, memflags), near);
    if (!pg)
        return NULL;
    /* While nobody else can have the pages. */
    for (uint64_t i = 0; pfn != M2P_INVALID && i < nr; i++)
        m2p_set(page_to_mfn(pg + i), pfn + i);
    if (!assign_pages(d, pg, order, memflags))
        return pg;
    for (uint64_t i = 0; pfn != M2P_INVALID && i < nr; i++)
        m2p_set(page_to_mfn(pg + i), M2P_INVALID);
    heap_free(pg, order);
    return NULL;
}

struct page_info *alloc_domain_pages(struct domain *d, unsigned order, unsigned memflags)
{
    return alloc_domain_pages_at(d, order, memflags, M2P_INVALID, 0);
}

void domain_uncount_pages(struct domain *d, uint64_t n)
{
    spin_lock(&d->mem.lock);
    d->mem.tot_pages -= n;
    spin_unlock(&d->mem.lock);
}

int steal_page(struct domain *d, struct page_info *pg, unsigned memflags)
{
    uint64_t x = PAGE_ALLOCATED | 1;
    bool drop;

    if (READ_ONCE(pg->owner) != domain_frame(d))
        return -EINVAL;
    spin_lock(&d->mem.lock);
    if (pg->owner != domain_frame(d) || (READ_ONCE(pg->refs) & PAGE_HYP_SHARED)) {
        spin_unlock(&d->mem.lock);
        return -EINVAL;
    }
    if (d->dying ||
        !__atomic_compare_exchange_n(&pg->refs, &x, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        spin_unlock(&d->mem.lock);
        return -EBUSY;
    }
    drop = list_drop(d, pg, memflags & MEMF_NO_REFCOUNT ? 0 : 1);
    arch_page_freed(pg);
    page_set_owner(pg, NULL);
    pg->refs = PAGE_STALE;
    spin_unlock(&d->mem.lock);
    if (drop)
        put_domain(d);
    return 0;
}

void flush_stolen(const struct page_info *last)
{
    cpumask_t mask = cpu_online_map;

    tlb_filter(&mask, last->tlb_stamp);
    flush_tlb_mask(&mask);
}

/* --- the hypervisor's own pages --- */

void share_hyp_page(struct page_info *pg, struct domain *d, bool writable)
{
    BUG_ON(pg->refs || pg->owner);
    arch_page_shared(pg, writable);
    page_set_owner(pg, d);
    __atomic_add_fetch(&d->mem.hyp_pages, 1, __ATOMIC_RELAXED);
    __atomic_store_n(&pg->refs, PAGE_HYP_SHARED | PAGE_ALLOCATED | 1, __ATOMIC_RELEASE);
}

void unshare_hyp_page(struct page_info *pg)
{
    struct domain *d = page_owner(pg);
    uint64_t x = READ_ONCE(pg->refs);

    BUG_ON(!d || !(x & PAGE_HYP_SHARED) || !(x & PAGE_ALLOCATED));
    __atomic_sub_fetch(&d->mem.hyp_pages, 1, __ATOMIC_RELAXED);
    arch_page_unshared(pg);
    /* Nobody's now: get_page() fails, put_page() goes on working. */
    __atomic_store_n(&pg->owner, 0, __ATOMIC_RELEASE);
    __atomic_and_fetch(&pg->refs, ~PAGE_ALLOCATED, __ATOMIC_ACQ_REL);
    put_page(pg);
}

void share_io_frames(mfn_t start, mfn_t end)
{
    for (uint64_t f = mfn_x(start); f < mfn_x(end) && f < max_page; f++) {
        struct page_info *pg = mfn_to_page(_mfn(f));

        pg->type = 0;
        page_set_owner(pg, domid_io_d);
        pg->refs = PAGE_HYP_SHARED | PAGE_ALLOCATED | 1;
    }
}

/* --- the domain's part --- */

static int mem_relinquish(struct domain *d)
{
    domain_set_claim(d, 0);
    return relinquish_domain_pages(d);
}

DEFINE_UNIT(mem, .name = "memory", .level = UNIT_MEM, .relinquish = mem_relinquish);
