// SPDX-License-Identifier: MIT
/* Between the files of mem/. */
#pragma once
#include "mem/mem.h"

/* heap_alloc() for domain d (or NULL): d may use the pages that it has claimed. */
struct page_info *heap_alloc_for(const struct domain *d, unsigned order, unsigned memflags);
/* d got (or lost, n < 0) n counted pages: its claim shrinks by what it got.  Under d->mem.lock. */
void heap_settle_claim(struct domain *d, uint64_t n);

/* Puts pg, its owner already set, on d's list with its allocation reference.  Under d->mem.lock. */
void page_list_add(struct domain *d, struct page_info *pg);
