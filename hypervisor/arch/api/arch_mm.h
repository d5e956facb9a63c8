// SPDX-License-Identifier: MIT
/*
 * What mem/ (owner and references of a frame) asks of the arch (its type).  Every reference of a
 * type is accompanied by a reference of the page, so a page whose count falls to zero has none.
 */
#pragma once
#include "lib/compiler.h"
#include "lib/types.h"
#include "kernel/cpumask.h"

struct domain;
struct page_info;

/* A frame of the heap is about to become d's: it starts with no type.  Before it can be found. */
void arch_page_assigned(struct page_info *pg, struct domain *d);
/*
 * The last reference of a domain's page is gone, or steal_page() has made it the hypervisor's:
 * clears its type and its machine-to-physical entry, and stamps it (page_info.tlb_stamp) with the
 * TLB clock.  Before another domain gets the frame, CPUs that tlb_filter() leaves must be flushed.
 */
void arch_page_freed(struct page_info *pg);
/* A hypervisor page becomes mappable by its owner, read-only or writable, and stops to be. */
void arch_page_shared(struct page_info *pg, bool writable);
void arch_page_unshared(struct page_info *pg);
/*
 * Destroy: drops what the page itself holds as a page table (being pinned; a validation that was
 * interrupted).  The caller holds a reference, no lock.  0, or -ERESTART: call again.
 * relinquish_domain_pages() calls it on each page before put_page_alloc().
 */
int arch_page_relinquish(struct domain *d, struct page_info *pg);

/*
 * References of a type.  Common code knows one type: that of a page which somebody may write to.
 * The caller holds a reference of the page, interrupts are on (CPUs may have to be flushed).  0;
 * -EINVAL (it has another type, or cannot have this one), -EBUSY (too many references, or just
 * changing), -EPERM.
 */
#define PGT_writable (7ULL << 60)
int __must_check get_page_type(struct page_info *pg, uint64_t type);
void put_page_type(struct page_info *pg);
bool __must_check get_page_and_type(struct page_info *pg, struct domain *d, uint64_t type);
void put_page_and_type(struct page_info *pg);

/*
 * Grants: maps mfn at host_addr (a pte's machine address if GNTMAP_contains_pte) of current's
 * domain.  GNTST_*.  The pte takes references of its own (also of the writable type) on top of
 * the caller's, and loses them if the guest overwrites it: then unmapping finds nothing and fails.
 */
int mm_grant_map(uint64_t host_addr, mfn_t mfn, unsigned gnt_flags);
/* Removes it; new_addr != 0: moves the pte at new_addr over (unmap_and_replace). */
int mm_grant_unmap(uint64_t host_addr, mfn_t mfn, uint64_t new_addr, unsigned gnt_flags);

/* Writes back what the CPUs' caches hold of n bytes at p, and drops it. */
void arch_clean_cache(const void *p, size_t n);

/* TLBs.  A stamp is the TLB clock when a page lost a type or was freed. */
uint32_t tlb_clock(void);
/* Leaves in mask the CPUs that have not flushed everything since stamp. */
void tlb_filter(cpumask_t *mask, uint32_t stamp);
/* Waits until every CPU of mask has flushed everything.  Interrupts on, no lock that an interrupt
 * handler takes, or that is waited for with interrupts off. */
void flush_tlb_mask(const cpumask_t *mask);

/* Machine-to-physical table: what a guest calls a frame (its pfn), for its own use. */
#define M2P_INVALID (~0ULL)
void m2p_set(mfn_t mfn, uint64_t pfn);
uint64_t m2p_get(mfn_t mfn);
