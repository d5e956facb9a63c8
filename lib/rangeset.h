// SPDX-License-Identifier: MIT
/*
 * Sets of numbers, as ranges [first, last] (both ends belong to it): frames of MMIO, I/O ports or
 * interrupts that a domain may use.
 *
 * A set locks itself, so that a look-up may run beside a change.  Not from interrupt handlers, and
 * the caller may hold any lock but those of the allocator.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct rangeset;

struct rangeset *rangeset_new(const char *name); /* NULL: no memory */
void rangeset_destroy(struct rangeset *r);       /* NULL is fine */

/* -ENOMEM (nothing has changed); -EINVAL: last < first. */
int rangeset_add_range(struct rangeset *r, unsigned long first, unsigned long last);
/* May need memory to split a range: -ENOMEM (nothing has changed); -EINVAL. */
int rangeset_remove_range(struct rangeset *r, unsigned long first, unsigned long last);
/* True if all of [first, last] is in r.  A NULL set contains nothing. */
bool rangeset_contains_range(struct rangeset *r, unsigned long first, unsigned long last);
bool rangeset_is_empty(struct rangeset *r);

static inline bool rangeset_contains(struct rangeset *r, unsigned long n)
{
    return rangeset_contains_range(r, n, n);
}

/* The n-th range in ascending order; false past the last.  For dumps: the set may change between.
 */
bool rangeset_get(struct rangeset *r, size_t n, unsigned long *first, unsigned long *last);
const char *rangeset_name(const struct rangeset *r);
