// SPDX-License-Identifier: MIT
/* Page-table entries as the hardware reads them. */
#pragma once

#define PTE_PRESENT   (1ULL << 0)
#define PTE_RW        (1ULL << 1)
#define PTE_USER      (1ULL << 2)
#define PTE_PWT       (1ULL << 3)
#define PTE_PCD       (1ULL << 4)
#define PTE_ACCESSED  (1ULL << 5)
#define PTE_DIRTY     (1ULL << 6)
#define PTE_PSE       (1ULL << 7) /* level 2 and 3: a large page */
#define PTE_PAT       (1ULL << 7) /* level 1 */
#define PTE_GLOBAL    (1ULL << 8)
#define PTE_PAT_LARGE (1ULL << 12)
#define PTE_NX        (1ULL << 63)
#define PTE_ADDR      0x000ffffffffff000ULL

#define PTES_PER_TABLE 512
#define L1_SHIFT       12
#define L2_SHIFT       21
#define L3_SHIFT       30
#define L4_SHIFT       39
#define PAGE_SIZE_2M   (1ULL << L2_SHIFT)
#define PAGE_SIZE_1G   (1ULL << L3_SHIFT)

#ifndef __ASSEMBLY__
#include "lib/types.h"

typedef uint64_t pte_t;

static inline unsigned pt_index(unsigned long va, unsigned level)
{
    return (va >> (L1_SHIFT + 9 * (level - 1))) & (PTES_PER_TABLE - 1);
}

static inline mfn_t pte_mfn(pte_t pte)
{
    return _mfn((pte & PTE_ADDR) >> PAGE_SHIFT);
}

static inline pte_t make_pte(mfn_t mfn, uint64_t flags)
{
    return mfn_to_maddr(mfn) | flags;
}
#endif
