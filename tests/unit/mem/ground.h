// SPDX-License-Identifier: MIT
/*
 * What the tests of mem/ share: one arena of RAM in the heap, full of old data; a simulated TLB
 * that tells whether a frame was given out while some CPU could still reach it; stand-ins for
 * the page types and the machine-to-physical table that say when they are used wrongly.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include "arch/api/arch_mm.h"
#include "arch/fake/fake.h"
#include "domain/domain.h"
#include "grant/grant.h"
#include "lib/errno.h"
#include "mem/mem.h"

#define RAM_PAGES 16384UL
#define CPUS      4

extern uint64_t ground_total; /* pages in the heap at first */
extern uint64_t *ground_m2p;

/* Group set-up: the heap gets the arena, split between two nodes. */
int ground_setup(void **state);
/* A pseudo-random number below n. */
uint32_t ground_random(uint32_t n);

/* All of the pages are zero, no CPU can reach them by old translations, and their page_info is
 * as heap_alloc() promises. */
void ground_check_fresh(const struct page_info *pg, unsigned order);
/* Fills the pages with something that is not zero. */
void ground_soil(const struct page_info *pg, unsigned order);
/* Chunks of that order that the heap can give out now. */
unsigned ground_count_chunks(unsigned order);

/* What arch_page_relinquish() answers once, for pages the test marks "pinned" by type 1: it then
 * drops the reference that the pin holds. */
extern unsigned ground_relinquish_restarts;
void ground_pin(struct page_info *pg);
