// SPDX-License-Identifier: MIT
/* A 32-bit guest's call by the hypercall page, which has entries for numbers that exist. */
#pragma once

extern u8 hypercall_page[4096];

static inline long page_call(ulong nr, ulong a, ulong b, ulong c, ulong d, ulong e)
{
    ulong ret = (ulong)hypercall_page + nr * 32;

    __asm__ volatile("call *%%eax"
                     : "+a"(ret), "+b"(a), "+c"(b), "+d"(c), "+S"(d), "+D"(e)
                     :
                     : "memory");
    return ret;
}
