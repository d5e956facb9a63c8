// SPDX-License-Identifier: MIT
/* CONFIG_PAYLOAD_GZIP is off. */
#include "boot/decompress_private.h"

enum payload_result unpack_gzip(struct payload_job *j)
{
    (void)j;
    return PAYLOAD_ABSENT;
}
