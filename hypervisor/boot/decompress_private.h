// SPDX-License-Identifier: MIT
/* Between decompress.c, the libraries' side (decompress_libs.c) and their C library. */
#pragma once
#include <stddef.h>

enum payload_format { FORMAT_UNKNOWN, FORMAT_XZ, FORMAT_GZIP, FORMAT_ZSTD, FORMAT_LZ4 };

struct payload_job {
    enum payload_format format;
    const void *in;
    size_t in_len;
    void *out;
    size_t out_max, out_len;
    void *arena; /* what the libraries' malloc hands out */
    size_t arena_size;
};

enum payload_result {
    PAYLOAD_OK,
    PAYLOAD_DAMAGED,
    PAYLOAD_TOO_LONG,
    PAYLOAD_NO_MEMORY,
    PAYLOAD_ABSENT /* this build leaves the decoder out */
};

/* One call of a library each. */
enum payload_result unpack_xz(struct payload_job *j);
enum payload_result unpack_gzip(struct payload_job *j);
enum payload_result unpack_zstd(struct payload_job *j);
enum payload_result unpack_lz4(struct payload_job *j);

/* Runs where library code may run; arg is a struct payload_job *.  enum payload_result. */
long payload_decompress(void *arg);
void payload_malloc_init(void *arena, size_t size);
