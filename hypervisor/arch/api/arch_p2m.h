// SPDX-License-Identifier: MIT
/*
 * The physical address space of domains that have one of their own (d->is_hvm): which page of the
 * host is behind a guest frame number.  Each mapped frame holds a reference of its page and one of
 * the writable type.  Callers hold a reference of d, and no lock of LOCK_P2M's level or above;
 * interrupts are on (CPUs may have to be flushed).
 */
#pragma once
#include "lib/types.h"

struct domain;
struct page_info;

/* The page behind gfn, with a reference, or NULL. */
struct page_info *p2m_get_page(struct domain *d, gfn_t gfn);
/* Maps 2^order frames of d, of which nothing was mapped.  -EEXIST: something was; -EINVAL: no such
 * frame number; -ENOMEM; -EBUSY: a page cannot be written to.  Then nothing is mapped. */
int p2m_map(struct domain *d, gfn_t gfn, struct page_info *pg, unsigned order);
/* Unmaps gfn; the page with a reference (the caller's from now on), or NULL: nothing was there. */
struct page_info *p2m_unmap(struct domain *d, gfn_t gfn);
/* The highest frame number that was ever mapped. */
uint64_t p2m_max_gfn(const struct domain *d);
/* Somebody has just written to gfn by another mapping than the guest's own: live migration wants to
 * know.  Any context. */
void p2m_mark_dirty(struct domain *d, gfn_t gfn);
