// SPDX-License-Identifier: MIT
/*
 * x86: frame numbers, page_info and hypervisor addresses, into one another.  All is arithmetic
 * over asm/layout.h: RAM is mapped at DIRECTMAP_VIRT, the frame table is an array with an element
 * for every frame below max_page (also for holes, whose frames belong to DOMID_IO).
 * Included by mem/mem.h, after struct page_info.
 */
#pragma once
#include "lib/types.h"
#include <asm/layout.h>

#define frame_table ((struct page_info *)FRAMETABLE_VIRT)

static __always_inline struct page_info *mfn_to_page(mfn_t mfn)
{
    return frame_table + mfn_x(mfn);
}

static __always_inline mfn_t page_to_mfn(const struct page_info *pg)
{
    return _mfn(((uintptr_t)pg - FRAMETABLE_VIRT) / sizeof(*pg));
}

static __always_inline void *mfn_to_virt(mfn_t mfn)
{
    return (void *)(DIRECTMAP_VIRT + mfn_to_maddr(mfn));
}

/* Of an address in the direct map only: not of the image, nor of ioremap()ed memory. */
static __always_inline mfn_t virt_to_mfn(const void *va)
{
    return maddr_to_mfn((uintptr_t)va - DIRECTMAP_VIRT);
}
