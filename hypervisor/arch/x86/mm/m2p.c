// SPDX-License-Identifier: MIT
/*
 * The machine-to-physical table: for each frame of RAM what its owner calls it.  Guests read it
 * (slot 256) and set the entries of their own frames; the hypervisor believes none of it.
 *
 * 32-bit guests have it once more, in words of 32 bits, of as many frames as they have room for.
 */
#include "arch/x86/mm/mm_private.h"
#include "arch/x86/asm/layout.h"

#ifdef HOSPES_HOST
extern uint64_t *fake_m2p;
#define m2p fake_m2p
#else
#define m2p ((uint64_t *)M2P_RW_VIRT)
#endif

#define m2p32 ((uint32_t *)M2P32_RW_VIRT)

static uint64_t m2p32_frames;
uint64_t mm_m2p32_entries[PTES_PER_TABLE - M2P32_FIRST_ENTRY];

void mm_m2p32_ready(uint64_t frames)
{
    m2p32_frames = frames;
}

void m2p_set(mfn_t mfn, uint64_t pfn)
{
    if (likely(mfn_x(mfn) < max_page))
        WRITE_ONCE(m2p[mfn_x(mfn)], pfn);
    if (likely(mfn_x(mfn) < m2p32_frames))
        WRITE_ONCE(m2p32[mfn_x(mfn)], (uint32_t)pfn);
}

uint64_t m2p_get(mfn_t mfn)
{
    return mfn_x(mfn) < max_page ? READ_ONCE(m2p[mfn_x(mfn)]) : M2P_INVALID;
}
