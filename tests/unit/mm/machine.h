// SPDX-License-Identifier: MIT
/*
 * The machine that the tests of arch/x86/mm run on: two domains of two vcpus, RAM of a heap, and
 * an auditor that counts every reference anew from what the tables say.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "arch/fake/fake.h"
#include "arch/x86/mm/mm_private.h"
#include "boot/cmdline.h"
#include "hypercall/handlers.h"

#define MACHINE_PAGES 4096

extern struct domain *da, *db; /* da is privileged (dom0) */
extern bool preempt_randomly;
extern unsigned machine_cpus; /* and vcpus of each domain; before machine_start() */

void machine_start(void);
/* Destroys both domains (any state) and checks that every page has come back. */
void machine_stop(void);

/* A page of d: frame number.  A fresh table with nothing in it is the same thing. */
uint64_t page_of(struct domain *d);
/* The first of 512 that may be mapped at once (with opt_allow_superpage). */
uint64_t superpage_of(struct domain *d);
/* The page's word, and its entries. */
uint64_t type_of(uint64_t mfn);
uint64_t *table(uint64_t mfn);
#define P       (PTE_PRESENT | PTE_USER | PTE_ACCESSED)
#define RO(mfn) (((mfn) << PAGE_SHIFT) | P)
#define RW(mfn) (((mfn) << PAGE_SHIFT) | P | PTE_RW)

struct space {
    uint64_t l4, l3, l2, l1;
};
/* Four tables linked through entry 0 of each; not yet pinned. */
struct space space_of(struct domain *d);

/* Runs as vcpu v of d on CPU v. */
void run_as(struct domain *d, unsigned v);
/* One element of mmu_update and of mmuext_op, with continuations. */
long mmu_update1(uint64_t ptr, uint64_t val, uint32_t foreigndom);
long set_entry(uint64_t table_mfn, unsigned i, uint64_t val);
long mmuext1(unsigned cmd, uint64_t mfn, uint32_t foreigndom);
extern unsigned continuations;

/* Every count of every page, from the tables, pins and roots; fails the test on a difference. */
void audit(void);
/* References that the test itself holds (beyond allocation) on a page. */
extern unsigned *held;
