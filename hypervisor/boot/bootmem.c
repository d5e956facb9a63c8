// SPDX-License-Identifier: MIT
/*
 * Memory before the heap: a sorted array of free ranges in whole pages.  Reserving or allocating
 * cuts a range, at worst in two.  The array is large enough for any sane memory map; when it is
 * full, a piece is lost rather than handed out twice.
 */
#include "boot/bootmem.h"
#include "lib/compiler.h"

#define MAX_RANGES 1024

static struct range {
    maddr_t start, end;
} ranges[MAX_RANGES];
static unsigned nr_ranges;
bool bootmem_active;

static void remove_range(unsigned i)
{
    nr_ranges--;
    for (; i < nr_ranges; i++)
        ranges[i] = ranges[i + 1];
}

static void insert_range(unsigned i, maddr_t start, maddr_t end)
{
    if (nr_ranges == MAX_RANGES)
        return;
    for (unsigned j = nr_ranges; j > i; j--)
        ranges[j] = ranges[j - 1];
    ranges[i] = (struct range){start, end};
    nr_ranges++;
}

void bootmem_add(maddr_t start, maddr_t end)
{
    unsigned i = 0;

    start = ROUND_UP(start, PAGE_SIZE);
    end = ROUND_DOWN(end, PAGE_SIZE);
    if (start >= end)
        return;
    bootmem_active = true;
    while (i < nr_ranges && ranges[i].start < start)
        i++;
    insert_range(i, start, end);
}

void bootmem_reserve(maddr_t start, maddr_t end)
{
    start = ROUND_DOWN(start, PAGE_SIZE);
    end = ROUND_UP(end, PAGE_SIZE);
    for (unsigned i = 0; i < nr_ranges;) {
        struct range r = ranges[i];

        if (r.end <= start || r.start >= end) {
            i++;
            continue;
        }
        remove_range(i);
        if (r.start < start)
            insert_range(i++, r.start, start);
        if (r.end > end)
            insert_range(i++, end, r.end);
    }
}

maddr_t bootmem_alloc(uint64_t size, uint64_t align, maddr_t limit)
{
    size = ROUND_UP(size, PAGE_SIZE);
    for (unsigned i = nr_ranges; size && i--;) {
        maddr_t end = limit && ranges[i].end > limit ? limit : ranges[i].end;

        if (end <= ranges[i].start || end - ranges[i].start < size)
            continue;
        maddr_t at = ROUND_DOWN(end - size, align);

        if (at < ranges[i].start || !at)
            continue;
        bootmem_reserve(at, at + size);
        return at;
    }
    return 0;
}

uint64_t bootmem_free_bytes(void)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < nr_ranges; i++)
        sum += ranges[i].end - ranges[i].start;
    return sum;
}

void bootmem_finish(maddr_t from, void (*add)(maddr_t start, maddr_t end))
{
    bootmem_active = false;
    for (unsigned i = 0; i < nr_ranges; i++) {
        maddr_t start = max(ranges[i].start, from);

        if (start < ranges[i].end)
            add(start, ranges[i].end);
    }
    nr_ranges = 0;
}
