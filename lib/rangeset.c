// SPDX-License-Identifier: MIT
/*
 * A sorted array of ranges that neither overlap nor touch.  Look-up is a binary search; a change
 * moves the tail of the array.  Sets here have a handful of ranges and change at boot and by the
 * tools, so that is cheaper than any tree.
 */
#include "lib/rangeset.h"
#include "lib/alloc.h"
#include "lib/compiler.h"
#include "lib/errno.h"
#include "lib/string.h"

struct range {
    unsigned long first, last;
};

struct rangeset {
    bool locked;
    size_t nr, room;
    struct range *ranges;
    char name[16];
};

static void lock(struct rangeset *r)
{
    while (__atomic_exchange_n(&r->locked, true, __ATOMIC_ACQUIRE))
        while (READ_ONCE(r->locked))
            barrier();
}

static void unlock(struct rangeset *r)
{
    __atomic_store_n(&r->locked, false, __ATOMIC_RELEASE);
}

struct rangeset *rangeset_new(const char *name)
{
    struct rangeset *r = xzalloc_bytes(1, sizeof(*r));

    if (r)
        strlcpy(r->name, name, sizeof(r->name));
    return r;
}

void rangeset_destroy(struct rangeset *r)
{
    if (!r)
        return;
    xfree(r->ranges);
    xfree(r);
}

const char *rangeset_name(const struct rangeset *r)
{
    return r->name;
}

/* Index of the first range that ends at or after n. */
static size_t find(const struct rangeset *r, unsigned long n)
{
    size_t lo = 0, hi = r->nr;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (r->ranges[mid].last < n)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Makes room for one more range, before a change that may need it. */
static int reserve(struct rangeset *r)
{
    size_t room = r->room ? r->room * 2 : 8;
    struct range *bigger;

    if (r->nr < r->room)
        return 0;
    bigger = xzalloc_bytes(room, sizeof(*bigger));
    if (!bigger)
        return -ENOMEM;
    if (r->nr)
        memcpy(bigger, r->ranges, r->nr * sizeof(*bigger));
    xfree(r->ranges);
    r->ranges = bigger;
    r->room = room;
    return 0;
}

/* Replaces the ranges [at, at + old) by the nr_new given; there is room. */
static void splice(struct rangeset *r, size_t at, size_t old, const struct range *new,
                   size_t nr_new)
{
    memmove(r->ranges + at + nr_new, r->ranges + at + old, (r->nr - at - old) * sizeof(*r->ranges));
    for (size_t i = 0; i < nr_new; i++)
        r->ranges[at + i] = new[i];
    r->nr = r->nr - old + nr_new;
}

int rangeset_add_range(struct rangeset *r, unsigned long first, unsigned long last)
{
    struct range new = {first, last};
    size_t at, end;
    int rc;

    if (last < first)
        return -EINVAL;
    lock(r);
    rc = reserve(r);
    if (rc)
        goto out;
    /* Ranges that overlap or touch the new one melt into it. */
    at = find(r, first ? first - 1 : 0);
    for (end = at; end < r->nr; end++) {
        struct range *old = &r->ranges[end];

        if (old->first > last && old->first - 1 > last)
            break;
        new.first = min(new.first, old->first);
        new.last = max(new.last, old->last);
    }
    splice(r, at, end - at, &new, 1);
out:
    unlock(r);
    return rc;
}

int rangeset_remove_range(struct rangeset *r, unsigned long first, unsigned long last)
{
    struct range left[2];
    size_t at, end, nr = 0;
    int rc;

    if (last < first)
        return -EINVAL;
    lock(r);
    rc = reserve(r);
    if (rc)
        goto out;
    at = find(r, first);
    for (end = at; end < r->nr && r->ranges[end].first <= last; end++) {
        const struct range *old = &r->ranges[end];

        if (old->first < first)
            left[nr++] = (struct range){old->first, first - 1};
        if (old->last > last)
            left[nr++] = (struct range){last + 1, old->last};
    }
    splice(r, at, end - at, left, nr);
out:
    unlock(r);
    return rc;
}

bool rangeset_contains_range(struct rangeset *r, unsigned long first, unsigned long last)
{
    bool yes;
    size_t i;

    if (!r || last < first)
        return false;
    lock(r);
    i = find(r, first);
    yes = i < r->nr && r->ranges[i].first <= first && r->ranges[i].last >= last;
    unlock(r);
    return yes;
}

bool rangeset_is_empty(struct rangeset *r)
{
    return !r || !READ_ONCE(r->nr);
}

bool rangeset_get(struct rangeset *r, size_t n, unsigned long *first, unsigned long *last)
{
    bool found;

    if (!r)
        return false;
    lock(r);
    found = n < r->nr;
    if (found) {
        *first = r->ranges[n].first;
        *last = r->ranges[n].last;
    }
    unlock(r);
    return found;
}
