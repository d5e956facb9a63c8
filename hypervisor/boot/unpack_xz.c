// SPDX-License-Identifier: MIT
/* xz, by liblzma. */
#include <lzma.h>
#include <stdint.h>
#include "boot/decompress_private.h"

enum payload_result unpack_xz(struct payload_job *j)
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
