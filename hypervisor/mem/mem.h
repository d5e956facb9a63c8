// SPDX-License-Identifier: MIT
/*
 * The host's memory: frame table, heap, ownership.
 *
 * Every frame of RAM has a struct page_info.  mem/ owns `refs` and `owner`; the arch owns `type`
 * (arch/x86/mm).  States of a frame:
 *   free       refs 0, no owner, on a heap list
 *   hypervisor refs 0, no owner, given out by heap_alloc()
 *   domain     PAGE_ALLOCATED and at least one reference, owner set, on the owner's page list
 * A domain's page keeps one reference for being allocated (PAGE_ALLOCATED); whoever clears that
 * bit drops it.  The last put_page() frees the frame (scrubbed).
 * refs may only rise from non-zero: get_page() of a freed frame fails, by compare-and-exchange.
 */
#pragma once
#include "lib/types.h"
#include "lib/list.h"
#include "kernel/lock.h"

struct domain;
struct call;

struct page_info {
    uint64_t refs;      /* PAGE_* state bits, reference count below */
    uint64_t type;      /* arch/x86/mm/types.h */
    uint32_t owner;     /* frame of the owner's struct domain, 0: none; page_owner() */
    uint32_t tlb_stamp; /* TLB clock when the frame was freed or lost a type */
    uint32_t next, prev; /* frames: list links (owner's page list; heap free list) */
};
BUILD_BUG_ON(sizeof(struct page_info) != 32);

#define PAGE_ALLOCATED  (1ULL << 63) /* holds a reference of its own */
#define PAGE_HYP_SHARED (1ULL << 62) /* hypervisor's page, shared with owner (shared info, grants):
                                        it is not on the owner's list nor in its tot_pages */
#define PAGE_BROKEN     (1ULL << 61)
#define PAGE_ORDER_SHIFT 48          /* order while free or a hypervisor allocation */
#define PAGE_COUNT_MASK ((1ULL << 48) - 1)

/* --- frame table (arch provides the mapping) --- */
extern uint64_t max_page; /* one more than the highest frame of RAM */
bool mfn_valid(mfn_t mfn); /* has a page_info */
struct page_info *mfn_to_page(mfn_t mfn);
mfn_t page_to_mfn(const struct page_info *pg);
/* Hypervisor address of a frame of RAM: all RAM is always mapped. */
void *mfn_to_virt(mfn_t mfn);
mfn_t virt_to_mfn(const void *va);
static inline void *page_to_virt(const struct page_info *pg)
{
    return mfn_to_virt(page_to_mfn(pg));
}

/* --- heap: buddy allocator, per NUMA node --- */
#define HEAP_MAX_ORDER   18
#define MEMF_NODE(n)     (((n) + 1) & 0xff) /* prefer node n */
#define MEMF_EXACT_NODE  (1u << 8)
#define MEMF_ZERO        (1u << 9)          /* contents zeroed (frames are scrubbed anyway) */
#define MEMF_BITS(b)     ((unsigned)(b) << 16) /* address below 2^b; 0: anywhere */
#define MEMF_NO_REFCOUNT (1u << 10)         /* domain page not counted nor listed */
void heap_init(void);
/* Gives [start, end) to the heap.  Boot, memory hot-add. */
void heap_add_range(mfn_t start, mfn_t end, unsigned node);
/* 2^order contiguous, naturally aligned frames, or NULL.  Any context without the heap lock. */
struct page_info *heap_alloc(unsigned order, unsigned memflags);
void heap_free(struct page_info *pg, unsigned order);
uint64_t heap_free_pages(void);
uint64_t heap_total_pages(void);
uint64_t heap_free_pages_node(unsigned node, unsigned min_bits, unsigned max_bits);
uint64_t heap_outstanding_claims(void);
void *alloc_page_virt(void); /* one zeroed page, or NULL */
void free_page_virt(void *va);

/* Byte-sized allocations, zeroed; NULL if there is no memory or n * size overflows. */
void *xzalloc_bytes(size_t n, size_t size);
void xfree(void *p);
#define xzalloc(type)          ((type *)xzalloc_bytes(1, sizeof(type)))
#define xzalloc_array(type, n) ((type *)xzalloc_bytes((n), sizeof(type)))

/* --- ownership --- */
/* A domain's memory; part of struct domain, guarded by its lock. */
struct domain_mem {
    spinlock_t lock;         /* LOCK_PAGE */
    uint32_t first, last;    /* page list (frames; 0: empty) */
    uint64_t tot_pages;      /* on the list */
    uint64_t max_pages;      /* limit for tot_pages */
    uint64_t outstanding;    /* claimed, not yet allocated */
    uint64_t hyp_pages;      /* shared hypervisor pages */
};

struct domain *page_owner(const struct page_info *pg);
void page_set_owner(struct page_info *pg, struct domain *d);
/* Takes a reference if pg belongs to d (and is allocated, or is shared with d); else false. */
bool __must_check get_page(struct page_info *pg, const struct domain *d);
/* A further reference where one is held already; false if the count would overflow. */
bool __must_check get_page_more(struct page_info *pg);
void put_page(struct page_info *pg);
/* Drops the allocation's own reference (balloon, destroy).  Once; later calls do nothing. */
void put_page_alloc(struct page_info *pg);
/* Gives fresh heap frames to d: owner, PAGE_ALLOCATED + 1 reference, list, tot_pages. -errno. */
int assign_pages(struct domain *d, struct page_info *pg, unsigned order, unsigned memflags);
/* heap_alloc + assign_pages; NULL: no memory, or over max_pages, or d is dying. */
struct page_info *alloc_domain_pages(struct domain *d, unsigned order, unsigned memflags);
/* Takes a page away from d for transfer or exchange: it must be d's with no further reference.
 * On success it is a hypervisor page again (no owner, off the list, contents kept). -errno. */
int steal_page(struct domain *d, struct page_info *pg, unsigned memflags);
/* Makes a hypervisor page mappable by d (writable or not); undo with unshare_hyp_page(). */
void share_hyp_page(struct page_info *pg, struct domain *d, bool writable);
void unshare_hyp_page(struct page_info *pg);
/* Destroy: drops the allocation references of d's pages; preemptible: -ERESTART. */
int relinquish_domain_pages(struct domain *d);

/*
 * The page of d behind gfn, with a reference, or NULL.  The provider is identity for PV and the
 * p2m for others; callers never ask which.
 */
struct page_info *get_page_gfn(struct domain *d, gfn_t gfn);

/* Claims (XENMEM_claim_pages). */
int domain_set_claim(struct domain *d, uint64_t pages);
