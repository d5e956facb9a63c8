// SPDX-License-Identifier: MIT
/* gzip, by zlib. */
#include <zlib.h>
#include <stdint.h>
#include <string.h>
#include "boot/decompress_private.h"

enum payload_result unpack_gzip(struct payload_job *j)
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
