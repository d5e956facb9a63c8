// SPDX-License-Identifier: MIT
/* Memory maps in the firmware's format, which is also what XENMEM_memory_map hands to guests. */
#pragma once
#include "lib/types.h"
#include "lib/compiler.h"

#define E820_MAX      512
#define E820_RAM      1
#define E820_RESERVED 2
#define E820_ACPI     3 /* tables, reclaimable once read */
#define E820_NVS      4
#define E820_UNUSABLE 5

struct e820_entry {
    uint64_t addr, size;
    uint32_t type;
} __packed;

struct e820_map {
    unsigned nr;
    struct e820_entry map[E820_MAX];
};

/* The host's, as the loader gave it: sorted, without overlaps; adjacent equal types merged. */
extern struct e820_map e820_host;

/* True if all of [start, end) has that type. */
bool e820_all(const struct e820_map *map, uint64_t start, uint64_t end, uint32_t type);
/* Sorts, resolves overlaps (the less usable type wins) and merges. */
void e820_sanitise(struct e820_map *map);
