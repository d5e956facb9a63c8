// SPDX-License-Identifier: MIT
/* What lib/ needs from whoever links it: zeroed memory.  The hypervisor's is in mem/. */
#pragma once
#include <stddef.h>

void *xzalloc_bytes(size_t n, size_t size);
void xfree(void *p);
