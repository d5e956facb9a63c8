// SPDX-License-Identifier: MIT
/* Unpacking the kernel's payload.  Boot only: it needs a stack of its own and the FPU. */
#pragma once
#include "lib/types.h"

/*
 * Unpacks xz, gzip, zstd or lz4 (as Linux's build makes it), recognised by its first bytes, into
 * out.  0; -EINVAL: unknown format; -ENOSPC: longer than out_max; -EBADMSG: damaged;
 * -ENOMEM: not enough scratch memory; -EOPNOTSUPP: this build leaves that format out.
 */
int decompress(const void *in, size_t in_len, void *out, size_t out_max, size_t *out_len);
/* Name of the format, or NULL. */
const char *decompress_format(const void *in, size_t in_len);
/* Unpacked size if the format tells (gzip; or the 32-bit size that Linux's build puts behind a
 * payload), else 0. */
size_t decompressed_size(const void *in, size_t in_len);
