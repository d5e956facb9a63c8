// SPDX-License-Identifier: MIT
/*
 * The host's memory: frame table, heap, ownership.
 *
 * Every frame of RAM has a struct page_info.  mem/ owns `refs` and `owner`; the arch owns `type`
 * while a domain has the frame (arch/x86/mm).  States of a frame:
 *   free        PAGE_FREE, on a heap list (or inside a free chunk); `owner` says whose it was
 *               (PAST_BIT)
 *   hypervisor  refs 0 but for PAGE_HYP_* bits, no owner, given out by heap_alloc()
 *   domain      PAGE_ALLOCATED and at least one reference, owner set, on the owner's page list
 *   shared      a hypervisor page that a domain may map: PAGE_HYP_SHARED, owner set, on no list
 *   ending      no longer PAGE_ALLOCATED, but somebody has references (grant, foreign mapping)
 *
 * A domain's page keeps one reference for being allocated (PAGE_ALLOCATED); whoever clears that bit
 * drops it.  The last put_page() frees the frame (scrubbed before anybody else gets it).  refs may
 * only rise from non-zero: get_page() of a freed frame fails, by compare-and-exchange.  A domain
 * that owns listed pages is kept from being freed by one reference (get_domain()).
 */
#pragma once
#include "lib/types.h"
#include "lib/list.h"
#include "kernel/lock.h"

struct domain;
struct call;

struct page_info {
    uint64_t refs;       /* PAGE_* state bits, reference count below */
    uint64_t type;       /* the arch's: PGT_*, arch/x86/mm/mm.h */
    uint32_t owner;      /* frame of the owner's struct domain, 0: none; page_owner() */
    uint32_t tlb_stamp;  /* TLB clock when the frame was freed or lost a type */
    uint32_t next, prev; /* frames: list links (owner's page list; heap free list) */
};
BUILD_BUG_ON(sizeof(struct page_info) != 32);

/* PAGE_HYP_SHARED: shared info, grant table...: not on the owner's list nor in its tot_pages. */
#define PAGE_ALLOCATED   (1ULL << 63) /* holds a reference of its own */
#define PAGE_HYP_SHARED  (1ULL << 62) /* hypervisor's page that its owner may map */
#define PAGE_BROKEN      (1ULL << 61)
#define PAGE_FREE        (1ULL << 60) /* in the heap */
#define PAGE_DIRTY       (1ULL << 59) /* free: must be zeroed before it is used again */
#define PAGE_STALE       (1ULL << 58) /* free: ... and TLBs be flushed, by tlb_stamp, before that */
#define PAGE_USED        (1ULL << 55) /* free: was in use since boot (implies PAGE_DIRTY) */
#define PAGE_HYP_BYTES   (1ULL << 57) /* hypervisor: first page of something xzalloc()ed */
#define PAGE_ORDER_SHIFT 48           /* order, in the first page of a free chunk */
#define PAGE_ORDER_MASK  (0x1fULL << PAGE_ORDER_SHIFT)
#define PAGE_COUNT_MASK  ((1ULL << 48) - 1)

/* --- frame table (arch provides the mapping) --- */
extern uint64_t max_page; /* one more than the highest frame of RAM */

/*
 * mfn_to_page(), page_to_mfn(): frame and page_info.
 * mfn_to_virt(), virt_to_mfn(): frame and hypervisor address; all RAM is always mapped.
 */
#include <asm/frames.h>

/* Has a page_info.  Frames below max_page that are not RAM belong to DOMID_IO. */
static __always_inline bool mfn_valid(mfn_t mfn)
{
    return likely(mfn_x(mfn) < max_page);
}

/* The page_info of a frame that a guest named, or NULL; clamped against speculation. */
static __always_inline struct page_info *guest_frame(uint64_t mfn)
{
    unsigned long mask;

    if (unlikely(!below_nospec(mfn, max_page, &mask)))
        return NULL;
    return mfn_to_page(_mfn(mfn & mask));
}

static __always_inline void *page_to_virt(const struct page_info *pg)
{
    return mfn_to_virt(page_to_mfn(pg));
}

static __always_inline struct page_info *virt_to_page(const void *va)
{
    return mfn_to_page(virt_to_mfn(va));
}

/* --- heap: buddy allocator, per NUMA node --- */
#define HEAP_MAX_ORDER   18
#define MEMF_NODE(n)     (((n) + 1) & 0xff) /* prefer node n */
#define MEMF_EXACT_NODE  (1u << 8)
#define MEMF_ZERO        (1u << 9)             /* contents zeroed (always so, but see NO_SCRUB) */
#define MEMF_BITS(b)     ((unsigned)(b) << 16) /* address below 2^b; 0: anywhere */
#define MEMF_NO_REFCOUNT (1u << 10)            /* domain page listed but not counted in tot_pages */
#define MEMF_NO_SCRUB    (1u << 11) /* contents are whatever (boot; overwritten at once) */
extern bool opt_bootscrub;          /* idle CPUs also zero what has been free since boot */
void heap_init(void);
/* Gives [start, end) to the heap.  Boot, memory hot-add. */
void heap_add_range(mfn_t start, mfn_t end, unsigned node);
/*
 * 2^order contiguous, naturally aligned frames, zeroed, or NULL.  Any context without the heap
 * lock; with interrupts off it fails where TLBs would have to be flushed first.
 * An order above 9 may fail for lack of scrubbed memory (idle CPUs scrub).
 */
struct page_info *heap_alloc(unsigned order, unsigned memflags);
/* Frees what heap_alloc() gave, or an aligned part of it. */
void heap_free(struct page_info *pg, unsigned order);
uint64_t heap_free_pages(void);
uint64_t heap_total_pages(void);
uint64_t heap_free_pages_node(unsigned node, unsigned min_bits, unsigned max_bits);
uint64_t heap_total_pages_node(unsigned node);
uint64_t heap_outstanding_claims(void);
/* Free pages that idle CPUs will zero (part of heap_free_pages()). */
uint64_t heap_scrub_pages(void);
/* Idle CPUs call it: zeroes a few free pages; false: nothing is left to do.  Returns early if a
 * softirq is pending.  Interrupts on, no lock held. */
bool heap_scrub_idle(void);
unsigned heap_nr_nodes(void);
/* The node of a frame (0 if unknown). */
unsigned mfn_to_node(mfn_t mfn);
/* First frame and number of frames a node spans, holes included. */
void heap_node_span(unsigned node, uint64_t *start, uint64_t *frames);
void *alloc_page_virt(void); /* one zeroed page, or NULL */
void free_page_virt(void *va);

/* Byte-sized allocations, zeroed; NULL if there is no memory or n * size overflows.  Aligned to
 * their size rounded up to a power of two, up to a page. */
void *xzalloc_bytes(size_t n, size_t size);
void xfree(void *p);
/* What is allocated of up to half a page, and the pages that hold it. */
struct xalloc_use {
    unsigned long objects, slabs;
};
struct xalloc_use xalloc_in_use(void);
#define xzalloc(type)          ((type *)xzalloc_bytes(1, sizeof(type)))
#define xzalloc_array(type, n) ((type *)xzalloc_bytes((n), sizeof(type)))

/* --- ownership --- */
/*
 * A living domain that frees a page and is given it again (ballooning) finds its own contents, and
 * nobody has to zero it in between.  `past` is what a free frame knows the domain by: never that
 * of two domains, 0 for none, and never the number of a frame with a struct domain.
 */
#define PAST_BIT    (1u << 31)
#define MEMF_DOMAIN MEMF_BITS(31 + PAGE_SHIFT) /* where a struct domain may be */

/* A domain's memory; part of struct domain, guarded by its lock. */
struct domain_mem {
    spinlock_t lock;      /* LOCK_PAGELIST */
    uint32_t first, last; /* page list (frames; 0: empty): first those with PAGE_ALLOCATED */
    uint64_t listed;      /* pages on the list: not 0 holds a reference to the domain */
    uint64_t tot_pages;   /* pages counted against max_pages */
    uint64_t max_pages;   /* limit for tot_pages */
    uint64_t outstanding; /* claimed, not yet allocated (also under the heap's lock) */
    uint64_t hyp_pages;   /* shared hypervisor pages (atomic) */
    uint8_t addr_bits;    /* its pages lie below 2^addr_bits bytes; 0: anywhere */
    uint32_t past;        /* PAST_BIT and a number, or 0; set once */
};

/* The number by which page_info knows d: struct domain is a page of RAM. */
static __always_inline uint32_t domain_frame(const struct domain *d)
{
    return mfn_x(virt_to_mfn(d));
}

/* To be called once for each domain, before it has memory. */
void domain_mem_init(struct domain *d);

/* The owner; stable only while a reference is held (or under the owner's mem.lock). */
static __always_inline struct domain *page_owner(const struct page_info *pg)
{
    uint32_t o = READ_ONCE(pg->owner);

    return (int32_t)o > 0 ? (struct domain *)mfn_to_virt(_mfn(o)) : NULL; /* no PAST_BIT */
}

static __always_inline void page_set_owner(struct page_info *pg, const struct domain *d)
{
    WRITE_ONCE(pg->owner, d ? domain_frame(d) : 0);
}

void page_last_put(struct page_info *pg); /* of put_page() */

/* Drops a reference; the last one frees the frame.  Any context without mem.lock. */
static __always_inline void put_page(struct page_info *pg)
{
    if (unlikely(!(__atomic_sub_fetch(&pg->refs, 1, __ATOMIC_ACQ_REL) & PAGE_COUNT_MASK)))
        page_last_put(pg);
}

/* Takes a reference if pg belongs to d (and is allocated, or is shared with d); else false. */
static __always_inline bool __must_check get_page(struct page_info *pg, const struct domain *d)
{
    uint32_t o = domain_frame(d);
    uint64_t x = READ_ONCE(pg->refs);

    /* Others' frames are left alone: a spurious reference would make their owners' steal fail. */
    if (unlikely(READ_ONCE(pg->owner) != o))
        return false;
    do {
        /* No reference (free), or so many that one more would overflow. */
        if (unlikely(((x + 1) & PAGE_COUNT_MASK) <= 1))
            return false;
    } while (unlikely(!__atomic_compare_exchange_n(&pg->refs, &x, x + 1, false, __ATOMIC_ACQ_REL,
                                                   __ATOMIC_RELAXED)));
    if (likely(READ_ONCE(pg->owner) == o))
        return true;
    put_page(pg); /* it changed hands in between */
    return false;
}

/* A further reference where one is held already; false if the count would overflow. */
static __always_inline bool __must_check get_page_more(struct page_info *pg)
{
    uint64_t x = __atomic_add_fetch(&pg->refs, 1, __ATOMIC_RELAXED);

    if (likely((x & PAGE_COUNT_MASK) < PAGE_COUNT_MASK - UINT32_MAX))
        return true;
    __atomic_sub_fetch(&pg->refs, 1, __ATOMIC_RELAXED); /* the margin is for concurrent callers */
    return false;
}

/* Drops the allocation's own reference (balloon, destroy).  Once; later calls do nothing.
 * The caller has a reference of its own, or knows otherwise that pg cannot change hands. */
void put_page_alloc(struct page_info *pg);
/* Gives fresh heap frames to d: owner, PAGE_ALLOCATED + 1 reference, list, tot_pages.
 * -E2BIG: over max_pages, and not claimed; -EINVAL: d is dying.  Then the frames are still the
 * caller's. */
int assign_pages(struct domain *d, struct page_info *pg, unsigned order, unsigned memflags);
/* heap_alloc + assign_pages; NULL: no memory, or over max_pages, or d is dying. */
struct page_info *alloc_domain_pages(struct domain *d, unsigned order, unsigned memflags);
/*
 * Takes a page away from d for transfer or exchange: it must be d's with no further reference
 * (also none of the caller).  On success it is a hypervisor page again (no owner, off the list,
 * contents kept, stale TLB entries possible until it is freed and allocated anew).
 * -EINVAL: not d's; -EBUSY: in use.  MEMF_NO_REFCOUNT leaves tot_pages as it is.
 */
int steal_page(struct domain *d, struct page_info *pg, unsigned memflags);
/* Of pages that were taken so, and are given to a domain again without having been free: no CPU
 * goes on using what it knew of them.  last: the one that was taken last.  Interrupts are on. */
void flush_stolen(const struct page_info *last);
/* Makes a hypervisor page (one, of heap_alloc() or alloc_page_virt()) mappable by d. */
void share_hyp_page(struct page_info *pg, struct domain *d, bool writable);
/* Has a guest mapped it, or otherwise taken a reference? */
static inline bool hyp_page_in_use(const struct page_info *pg)
{
    return (READ_ONCE(pg->refs) & PAGE_COUNT_MASK) > 1;
}

/*
 * The hypervisor gives a shared page up: do not touch or free it afterwards.  It goes back to the
 * heap, at once or when the last guest mapping goes.  Nobody can take new references.
 */
void unshare_hyp_page(struct page_info *pg);
/* Destroy: drops the allocation references of d's pages; preemptible: -ERESTART. */
int relinquish_domain_pages(struct domain *d);

/* Frames [start, end) that are not RAM, below max_page: they become DOMID_IO's.  Boot. */
void share_io_frames(mfn_t start, mfn_t end);

/*
 * The page of d behind gfn, with a reference, or NULL.  The provider is identity for PV and the
 * p2m for others; callers never ask which.
 */
struct page_info *get_page_gfn(struct domain *d, gfn_t gfn);

/* Claims (XENMEM_claim_pages): sets aside as many free pages as d lacks to have `pages`; 0 ends
 * the claim.  -EINVAL: has a claim, has the pages, or may not have so many; -ENOMEM. */
int domain_set_claim(struct domain *d, uint64_t pages);
/* Makes the claim as large as d lacks pages to have so many, and at most that large, whatever its
 * limit is by now; false: there is not that much, and it is as it was. */
bool domain_adjust_claim(struct domain *d, uint64_t pages, uint64_t most);
