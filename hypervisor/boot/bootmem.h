// SPDX-License-Identifier: MIT
/*
 * Memory before the heap: the RAM that nothing lies in yet.  Boot CPU only.  What is left goes to
 * the heap (bootmem_finish), but for the first megabyte.
 */
#pragma once
#include "lib/types.h"

void bootmem_add(maddr_t start, maddr_t end);     /* RAM; partial pages are dropped */
void bootmem_reserve(maddr_t start, maddr_t end); /* something lies there; whole pages */
/* Size bytes at that alignment (a power of two), ending at or below limit (0: anywhere), as high
 * as possible; 0: none.  Not zeroed. */
maddr_t bootmem_alloc(uint64_t size, uint64_t align, maddr_t limit);
/* Calls add for each free range at or above from, and forgets them: no allocation afterwards. */
void bootmem_finish(maddr_t from, void (*add)(maddr_t start, maddr_t end));
uint64_t bootmem_free_bytes(void);
extern bool bootmem_active;
