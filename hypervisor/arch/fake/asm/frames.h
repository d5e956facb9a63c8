// SPDX-License-Identifier: MIT
/*
 * The fake arch: frames are pages of an arena of the host's memory (fake_ram_init()), numbered from
 * FAKE_FIRST_MFN so that small numbers are not RAM.  Included by mem/mem.h.
 */
#pragma once
#include "lib/types.h"
#include "lib/compiler.h"

#define FAKE_FIRST_MFN 0x100UL

struct page_info;
extern struct page_info *fake_frame_table; /* [max_page]: also of the frames below the arena */
extern char *fake_ram;                     /* page-aligned: frame FAKE_FIRST_MFN */

static inline struct page_info *mfn_to_page(mfn_t mfn)
{
    return fake_frame_table + mfn_x(mfn);
}

static inline mfn_t page_to_mfn(const struct page_info *pg)
{
    return _mfn(pg - fake_frame_table);
}

static inline void *mfn_to_virt(mfn_t mfn)
{
    return fake_ram + ((mfn_x(mfn) - FAKE_FIRST_MFN) << PAGE_SHIFT);
}

static inline mfn_t virt_to_mfn(const void *va)
{
    return _mfn((((const char *)va - fake_ram) >> PAGE_SHIFT) + FAKE_FIRST_MFN);
}
