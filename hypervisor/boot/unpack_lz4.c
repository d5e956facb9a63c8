// SPDX-License-Identifier: MIT
/* lz4, by liblz4: the old format of the lz4 tool: blocks of 8 MB, each after its packed length. */
#include <lz4.h>
#include <stdint.h>
#include <string.h>
#include "boot/decompress_private.h"

enum payload_result unpack_lz4(struct payload_job *j)
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
