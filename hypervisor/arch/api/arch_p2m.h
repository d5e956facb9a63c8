// SPDX-License-Identifier: MIT
/*
 * The physical address space of domains that have one of their own (is_translated()): which page of
 * the host is behind a guest frame number.  Callers hold a reference of d, and no lock of
 * LOCK_P2M's level or above; interrupts are on (CPUs may have to leave the guest).
 */
#pragma once
#include "lib/types.h"

struct domain;
struct page_info;

enum p2m_type {
    P2M_RAM,      /* a page of the domain's: with a reference, and one of the writable type */
    P2M_GRANT_RW, /* granted to it: the references are those of the handle */
    P2M_GRANT_RO,
    P2M_ON_DEMAND, /* no page yet: one comes when it is looked for */
};

/* No CPU goes on using translations made before: those in d's guest have left it. */
void p2m_flush(struct domain *d);
/* The page of d's own behind gfn, with a reference, or NULL. */
struct page_info *p2m_get_page(struct domain *d, gfn_t gfn);
/* Leaves of 2 MB that d gets now, one after the other, become one of 1 GB if their pages are, too.
 */
bool p2m_makes_gb(const struct domain *d);
/* d->creation_finished has been set: whoever has not seen it yet has done what he does. */
void p2m_creation_ends(struct domain *d);
/* The machine frame behind that of gfn, or 0: gfn has no large leaf. */
uint32_t p2m_frame_behind(struct domain *d, gfn_t gfn);
/* Maps 2^order frames of d, of which nothing was mapped.  -EEXIST: something was; -EINVAL: no such
 * frame number; -ENOMEM; -EBUSY: a page cannot be written to.  Then nothing is mapped. */
int p2m_map(struct domain *d, gfn_t gfn, struct page_info *pg, unsigned order);
/*
 * Puts pg at gfn.  RAM that was there is d's no longer: back to the heap, unless others hold it.
 * -EBUSY: a grant is there, which goes by its handle alone; or pg cannot be written to (RAM).
 * -EINVAL: no such frame number, or d is dying; -ENOMEM.
 */
int p2m_place(struct domain *d, gfn_t gfn, struct page_info *pg, enum p2m_type type);
/* Unmaps RAM at gfn; the page with a reference (the caller's from now on), or NULL: there is none.
 */
struct page_info *p2m_unmap(struct domain *d, gfn_t gfn);
/* Unmaps the grant of pg at gfn; -ENOENT: it is not there.  The caller lets go of the page after
 * p2m_flush(). */
int p2m_unmap_grant(struct domain *d, gfn_t gfn, const struct page_info *pg);
/* d gives up these frames, up to the first that is no RAM, and at most so many at a time: their
 * pages go back to the heap, unless others hold them, after one flush.  How many. */
#define P2M_DROP_BATCH 64
unsigned p2m_drop(struct domain *d, const gfn_t *gfn, unsigned nr);
/*
 * Frames that get their pages on demand.  p2m_populate_later(): 2^order of them, as p2m_map().
 * p2m_set_pod_target(): sets so much memory aside as d, once it has its pages, may have in all;
 * -ENOMEM.  p2m_renew_claim(): again, after its claim or its frames have changed.
 */
int p2m_populate_later(struct domain *d, gfn_t gfn, unsigned order);
int p2m_set_pod_target(struct domain *d, uint64_t pages);
void p2m_renew_claim(struct domain *d);
uint64_t p2m_pod_entries(const struct domain *d);
/* The highest frame number that is mapped or, where that would be long to find, above it. */
uint64_t p2m_max_gfn(const struct domain *d);
/* Somebody has just written to gfn by another mapping than the guest's own: live migration wants to
 * know.  Any context. */
void p2m_mark_dirty(struct domain *d, gfn_t gfn);
