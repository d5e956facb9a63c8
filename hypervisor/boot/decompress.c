// SPDX-License-Identifier: MIT
/*
 * Unpacking a kernel's payload.  The decoders are Debian's static libraries, which were built for
 * user space; arch_call_library() gives them what they need to run here.  This file recognises the
 * format, provides scratch memory, and translates errors.
 */
#include "boot/decompress.h"
#include "arch/api/arch_boot.h"
#include "boot/decompress_private.h"
#include "lib/compiler.h"
#include "lib/errno.h"
#include "lib/string.h"

/* xz needs its dictionary at once: 32 MB as kernels are packed, more with unusual options. */
static const size_t arena_sizes[] = {40UL << 20, 72UL << 20, 136UL << 20};

static const struct {
    enum payload_format format;
    const char *name;
    uint8_t magic[6], len;
} formats[] = {
    {FORMAT_XZ, "xz", {0xfd, '7', 'z', 'X', 'Z', 0}, 6},
    {FORMAT_GZIP, "gzip", {0x1f, 0x8b}, 2},
    {FORMAT_ZSTD, "zstd", {0x28, 0xb5, 0x2f, 0xfd}, 4},
    {FORMAT_LZ4, "lz4", {0x02, 0x21, 0x4c, 0x18}, 4},
};

static int recognise(const void *in, size_t len)
{
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++)
        if (len > formats[i].len && !memcmp(in, formats[i].magic, formats[i].len))
            return i;
    return -1;
}

const char *decompress_format(const void *in, size_t in_len)
{
    int i = recognise(in, in_len);

    return i < 0 ? NULL : formats[i].name;
}

size_t decompressed_size(const void *in, size_t in_len)
{
    uint32_t size;

    /* gzip ends in its size; Linux's build puts the size behind the others. */
    if (recognise(in, in_len) < 0 || in_len < 32)
        return 0;
    memcpy(&size, (const char *)in + in_len - sizeof(size), sizeof(size));
    return size;
}

int decompress(const void *in, size_t in_len, void *out, size_t out_max, size_t *out_len)
{
    struct payload_job job = {.in = in, .in_len = in_len, .out = out, .out_max = out_max};
    long result = PAYLOAD_NO_MEMORY;
    int format = recognise(in, in_len);

    *out_len = 0;
    if (format < 0)
        return -EINVAL;
    job.format = formats[format].format;
    for (unsigned i = 0; i < ARRAY_SIZE(arena_sizes) && result == PAYLOAD_NO_MEMORY; i++) {
        job.arena_size = job.format == FORMAT_XZ ? arena_sizes[i] : 1UL << 20;
        job.arena = arch_scratch_alloc(job.arena_size);
        if (!job.arena)
            return -ENOMEM;
        result = arch_call_library(payload_decompress, &job);
        arch_scratch_free(job.arena, job.arena_size);
        if (job.format != FORMAT_XZ)
            break;
    }
    *out_len = job.out_len;
    return result == PAYLOAD_OK         ? 0
           : result == PAYLOAD_TOO_LONG ? -ENOSPC
           : result == PAYLOAD_DAMAGED  ? -EBADMSG
           : result == PAYLOAD_ABSENT   ? -EOPNOTSUPP
                                        : -ENOMEM;
}
