// SPDX-License-Identifier: MIT
/* Between the files of mem/. */
#pragma once
#include "domain/domain.h"
#include "mem/mem.h"

/* heap_alloc() for domain d (or NULL): d may use the pages that it has claimed, and finds what it
 * had in them if they were its own.  near: the frame that it should begin with, if that is free;
 * HEAP_RUN: should be followed by free ones up to the next GB; 0: anywhere. */
struct page_info *heap_alloc_for(const struct domain *d, unsigned order, unsigned memflags,
                                 uint32_t near);
#define HEAP_RUN UINT32_MAX
/* heap_free() of one page that has nothing in it but what is a domain's own, with d->mem.past. */
void heap_free_past(struct page_info *pg, uint32_t past);

/* alloc_domain_pages() that the guest knows by pfn and following (M2P_INVALID: none yet).  near: as
 * above. */
struct page_info *alloc_domain_pages_at(struct domain *d, unsigned order, unsigned memflags,
                                        uint64_t pfn, uint32_t near);
/* n pages that d lost without being counted down (MEMF_NO_REFCOUNT) are gone for good. */
void domain_uncount_pages(struct domain *d, uint64_t n);

/*
 * heap_alloc_for() of an order above 9 wants frames that have been zeroed: does a part of that.
 * -ERESTART: there is more of it; 0: now try to allocate; -ENOMEM: no frames are there to be had.
 * Any context in which TLBs can be flushed.
 */
int heap_prepare(const struct domain *d, unsigned order, unsigned memflags);

/* --- claim.c, whose figures are under heap.c's lock --- */
extern spinlock_t heap_lock;
/* Under it: of so many free pages, can d (or NULL: somebody) have nr? */
bool claims_allow(const struct domain *d, uint64_t nr, uint64_t free);
/* d got n counted pages: its claim shrinks by them.  Under d->mem.lock. */
void heap_settle_claim(struct domain *d, uint64_t n);

/* memflags for pages that are to become d's. */
static inline unsigned domain_memflags(const struct domain *d, unsigned memflags)
{
    unsigned most = d->mem.addr_bits, asked = memflags >> 16;

    return !most || (asked && asked <= most) ? memflags : (memflags & 0xffff) | MEMF_BITS(most);
}

static inline struct page_info *frame_page(uint32_t f)
{
    return mfn_to_page(_mfn(f));
}

static inline uint32_t page_frame(const struct page_info *pg)
{
    return mfn_x(page_to_mfn(pg));
}

/* The order of what is done in one go, without looking whether somebody else needs the CPU. */
#define MAX_EXTENT_ORDER 9
/* Extents that memory grows or shrinks by: done in steps.  Tools that ask for more fall back by
 * themselves. */
#define MAX_LARGE_ORDER 12

/* memflags of heap_alloc() for XENMEMF_* flags; false: impossible. */
bool memflags_of_guest(unsigned mem_flags, unsigned *memflags);
