// SPDX-License-Identifier: MIT
/* CONFIG_PAYLOAD_XZ is off. */
#include "boot/decompress_private.h"

enum payload_result unpack_xz(struct payload_job *j)
{
    (void)j;
    return PAYLOAD_ABSENT;
}
