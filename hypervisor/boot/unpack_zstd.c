// SPDX-License-Identifier: MIT
/* zstd, by libzstd. */
#include <zstd.h>
#include "boot/decompress_private.h"

enum payload_result unpack_zstd(struct payload_job *j)
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
