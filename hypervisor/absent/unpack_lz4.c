// SPDX-License-Identifier: MIT
/* CONFIG_PAYLOAD_LZ4 is off. */
#include "boot/decompress_private.h"

enum payload_result unpack_lz4(struct payload_job *j)
{
    (void)j;
    return PAYLOAD_ABSENT;
}
