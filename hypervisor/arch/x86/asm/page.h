// SPDX-License-Identifier: MIT
/* Page-table entries as the hardware reads them. */
#pragma once
#include "asm/const.h"

#define PTE_PRESENT   (UL_(1) << 0)
#define PTE_RW        (UL_(1) << 1)
#define PTE_USER      (UL_(1) << 2)
#define PTE_PWT       (UL_(1) << 3)
#define PTE_PCD       (UL_(1) << 4)
#define PTE_ACCESSED  (UL_(1) << 5)
#define PTE_DIRTY     (UL_(1) << 6)
#define PTE_PSE       (UL_(1) << 7) /* level 2 and 3: a large page */
#define PTE_PAT       (UL_(1) << 7) /* level 1 */
#define PTE_GLOBAL    (UL_(1) << 8)
#define PTE_PAT_LARGE (UL_(1) << 12)
#define PTE_NX        (UL_(1) << 63)
#define PTE_ADDR      UL_(0x000ffffffffff000)

#define PTES_PER_TABLE 512
#define L1_SHIFT       12
#define L2_SHIFT       21
#define L3_SHIFT       30
#define L4_SHIFT       39
#define PAGE_SIZE_2M   (UL_(1) << L2_SHIFT)

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
