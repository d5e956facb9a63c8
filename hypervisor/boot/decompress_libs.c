// SPDX-License-Identifier: MIT
/* The libraries' side of decompress.c: one call of each decoder. */
#include <lz4.h>
#include <lzma.h>
#include <stdint.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include "boot/decompress_private.h"

static enum payload_result unpack_xz(struct payload_job *j)
{
    lzma_stream z = LZMA_STREAM_INIT;
    lzma_ret ret = lzma_stream_decoder(&z, UINT64_MAX, 0);

    z.next_in = j->in;
    z.avail_in = j->in_len;
    z.next_out = j->out;
    z.avail_out = j->out_max;
    while (ret == LZMA_OK)
        ret = lzma_code(&z, LZMA_FINISH);
    j->out_len = z.total_out;
    lzma_end(&z);
    if (ret == LZMA_STREAM_END)
        return PAYLOAD_OK;
    if (ret == LZMA_MEM_ERROR)
        return PAYLOAD_NO_MEMORY;
    /* No progress: for want of room, or of input. */
    return ret == LZMA_BUF_ERROR && !z.avail_out ? PAYLOAD_TOO_LONG : PAYLOAD_DAMAGED;
}

static enum payload_result unpack_gzip(struct payload_job *j)
{
    z_stream z;
    int err;

    memset(&z, 0, sizeof(z));
    z.next_in = (void *)j->in;
    z.avail_in = j->in_len;
    z.next_out = j->out;
    z.avail_out = j->out_max > UINT32_MAX ? UINT32_MAX : j->out_max;
    if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
        return PAYLOAD_NO_MEMORY;
    err = inflate(&z, Z_FINISH);
    j->out_len = z.total_out;
    inflateEnd(&z);
    if (err == Z_STREAM_END)
        return PAYLOAD_OK;
    return err == Z_BUF_ERROR && !z.avail_out ? PAYLOAD_TOO_LONG : PAYLOAD_DAMAGED;
}

static enum payload_result unpack_zstd(struct payload_job *j)
{
    /* What follows the frame (the size, from Linux's build) must not be shown to it. */
    size_t len = ZSTD_findFrameCompressedSize(j->in, j->in_len), got;
    unsigned long long size;

    if (ZSTD_isError(len))
        return PAYLOAD_DAMAGED;
    size = ZSTD_getFrameContentSize(j->in, len);
    if (size < ZSTD_CONTENTSIZE_ERROR && size > j->out_max)
        return PAYLOAD_TOO_LONG;
    got = ZSTD_decompress(j->out, j->out_max, j->in, len);
    if (ZSTD_isError(got))
        return PAYLOAD_DAMAGED;
    j->out_len = got;
    return PAYLOAD_OK;
}

/* The old format of the lz4 tool: blocks of 8 MB, each after its packed length. */
static enum payload_result unpack_lz4(struct payload_job *j)
{
    const uint8_t *in = j->in;
    size_t pos = 4;

    while (pos + 4 <= j->in_len) {
        uint32_t len;
        size_t room = j->out_max - j->out_len;
        int got;

        memcpy(&len, in + pos, 4);
        /* Behind the last block: nothing, or the size of the whole (from Linux's build). */
        if (pos + 4 == j->in_len || len == 0)
            break;
        pos += 4;
        if (len > j->in_len - pos || len > INT32_MAX)
            return PAYLOAD_DAMAGED;
        got = LZ4_decompress_safe((const char *)in + pos, (char *)j->out + j->out_len, len,
                                  room > INT32_MAX ? INT32_MAX : room);
        if (got < 0)
            return room < 8UL << 20 ? PAYLOAD_TOO_LONG : PAYLOAD_DAMAGED;
        j->out_len += got;
        pos += len;
    }
    return j->out_len ? PAYLOAD_OK : PAYLOAD_DAMAGED;
}

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
