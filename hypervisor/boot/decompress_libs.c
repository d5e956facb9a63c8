// SPDX-License-Identifier: MIT
/* The libraries' side of decompress.c: which decoder a payload goes to (unpack_*.c). */
#include "boot/decompress_private.h"

#ifndef HOSPES_HOST
/* The libraries choose code for this CPU in a constructor. */
static void run_constructors(void)
{
    extern void (*const __init_array_start[])(void), (*const __init_array_end[])(void);

    for (void (*const *fn)(void) = __init_array_start; fn < __init_array_end; fn++)
        (*fn)();
}
#endif

long payload_decompress(void *arg)
{
    struct payload_job *j = arg;

#ifndef HOSPES_HOST
    payload_malloc_init(j->arena, j->arena_size);
    run_constructors();
#endif
    j->out_len = 0;
    switch (j->format) {
    case FORMAT_XZ:
        return unpack_xz(j);
    case FORMAT_GZIP:
        return unpack_gzip(j);
    case FORMAT_ZSTD:
        return unpack_zstd(j);
    default:
        return unpack_lz4(j);
    }
}
