// SPDX-License-Identifier: MIT
/*
 * Memory maps.  Firmware's may be unsorted and overlap; ours is sorted, without overlaps, adjacent
 * ranges of one type merged.  Where ranges overlap the less usable type wins: calling reserved
 * memory RAM breaks the machine, the reverse only wastes some.
 */
#include "asm/e820.h"

struct e820_map e820_host;

static unsigned rank(uint32_t type)
{
    switch (type) {
    case E820_RAM:
        return 0;
    case E820_ACPI:
        return 1;
    case E820_NVS:
        return 2;
    case E820_RESERVED:
        return 3;
    default:
        return 4;
    }
}

static uint64_t end_of(const struct e820_entry *e)
{
    return e->addr + e->size;
}

static void remove_entry(struct e820_map *map, unsigned i)
{
    map->nr--;
    for (; i < map->nr; i++)
        map->map[i] = map->map[i + 1];
}

/* Keeps the order by address. */
static void insert_entry(struct e820_map *map, uint64_t start, uint64_t end, uint32_t type)
{
    unsigned i = map->nr;

    if (start >= end || map->nr == E820_MAX)
        return;
    for (; i && map->map[i - 1].addr > start; i--)
        map->map[i] = map->map[i - 1];
    map->map[i] = (struct e820_entry){start, end - start, type};
    map->nr++;
}

static void sort(struct e820_map *map)
{
    for (unsigned i = 1; i < map->nr; i++) {
        struct e820_entry e = map->map[i];
        unsigned j = i;

        for (; j && map->map[j - 1].addr > e.addr; j--)
            map->map[j] = map->map[j - 1];
        map->map[j] = e;
    }
}

void e820_sanitise(struct e820_map *map)
{
    sort(map);
    for (unsigned i = 0; i + 1 < map->nr;) {
        struct e820_entry a = map->map[i], b = map->map[i + 1];

        if (a.type == b.type && b.addr <= end_of(&a)) {
            if (end_of(&b) > end_of(&a))
                map->map[i].size = end_of(&b) - a.addr;
            remove_entry(map, i + 1);
        } else if (b.addr < end_of(&a)) {
            /* Cut the more usable one; what is left of it goes back in order. */
            remove_entry(map, i + 1);
            remove_entry(map, i);
            if (rank(a.type) > rank(b.type)) {
                insert_entry(map, a.addr, end_of(&a), a.type);
                insert_entry(map, end_of(&a), end_of(&b), b.type);
            } else {
                insert_entry(map, a.addr, b.addr, a.type);
                insert_entry(map, b.addr, end_of(&b), b.type);
                insert_entry(map, end_of(&b), end_of(&a), a.type);
            }
            /* The piece in front of i may now merge with its predecessor. */
            if (i)
                i--;
        } else {
            i++;
        }
    }
}

bool e820_all(const struct e820_map *map, uint64_t start, uint64_t end, uint32_t type)
{
    for (unsigned i = 0; i < map->nr && start < end; i++) {
        const struct e820_entry *e = &map->map[i];

        if (e->type == type && e->addr <= start && end_of(e) > start)
            start = end_of(e);
    }
    return start >= end;
}
