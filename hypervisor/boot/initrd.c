// SPDX-License-Identifier: MIT
/*
 * An initrd is a chain of cpio archives ("newc"), each bare or packed.  One that was cut off lets
 * dom0's kernel die late and obscurely; so the headers are followed here: of bare archives from
 * file to file, of zstd (Debian's default) from block to block.  The other packings cannot be
 * followed without unpacking them, and are left to the kernel.
 */
#include "boot/initrd.h"
#include "lib/compiler.h"
#include "lib/string.h"
#include <stdbool.h>
#include <stdint.h>

#define CPIO_HEADER 110
#define ZSTD_MAGIC  0xfd2fb528u

static const char truncated[] = "is truncated: its end is missing; copy it again";

/* Eight hexadecimal digits; false: they are not. */
static bool hex8(const char *s, uint32_t *val)
{
    *val = 0;
    for (unsigned i = 0; i < 8; i++) {
        unsigned c = (unsigned char)s[i];

        if (c - '0' < 10)
            c -= '0';
        else if ((c | 0x20) - 'a' < 6)
            c = (c | 0x20) - 'a' + 10;
        else
            return false;
        *val = *val << 4 | c;
    }
    return true;
}

static uint64_t align4(uint64_t n)
{
    return ROUND_UP(n, 4ULL);
}

/* Behind the trailer of the archive at `at`; 0: it has none. */
static uint64_t skip_cpio(const char *data, uint64_t at, uint64_t size)
{
    for (;;) {
        uint32_t file_size, name_size;
        const char *header = data + at;

        if (size - at < CPIO_HEADER || memcmp(header, "07070", 5) ||
            !hex8(header + 54, &file_size) || !hex8(header + 94, &name_size))
            return 0;
        if (name_size > size - at - CPIO_HEADER)
            return 0;
        bool last = name_size == 11 && !memcmp(header + CPIO_HEADER, "TRAILER!!!", 11);

        at += align4(align4(CPIO_HEADER + (uint64_t)name_size) + file_size);
        /* The padding of the very last file may be missing. */
        if (last)
            return at < size ? at : size;
        if (at >= size)
            return 0;
    }
}

/* Behind the zstd frame at `at`; 0: it is not all there. */
static uint64_t skip_zstd(const uint8_t *data, uint64_t at, uint64_t size)
{
    static const uint8_t id_bytes[] = {0, 1, 2, 4}, size_bytes[] = {0, 2, 4, 8};
    uint8_t descriptor;
    bool single, last = false;

    if (size - at < 5)
        return 0;
    descriptor = data[at + 4];
    single = descriptor & 0x20;
    at += 5 + !single + id_bytes[descriptor & 3] + size_bytes[descriptor >> 6] +
          (single && !(descriptor >> 6));
    while (!last) {
        uint32_t block;

        if (at >= size || size - at < 3)
            return 0;
        block = data[at] | data[at + 1] << 8 | data[at + 2] << 16;
        last = block & 1;
        /* A block of one repeated byte holds just that. */
        at += 3 + (((block >> 1) & 3) == 1 ? 1 : block >> 3);
    }
    at += descriptor & 4 ? 4 : 0;
    return at <= size ? at : 0;
}

const char *initrd_check(const void *start, size_t size)
{
    const uint8_t *data = start;
    uint64_t at = 0;

    if (!size)
        return "is empty";
    while (at < size) {
        uint32_t magic;

        /* Archives may be padded with zeros to wherever the next begins. */
        if (!data[at]) {
            at++;
            continue;
        }
        if (size - at < sizeof(magic))
            return NULL;
        memcpy(&magic, data + at, sizeof(magic));
        if (size - at >= 6 && !memcmp(data + at, "07070", 5))
            at = skip_cpio(start, at, size);
        else if (magic == ZSTD_MAGIC)
            at = skip_zstd(data, at, size);
        else
            return NULL;
        if (!at)
            return truncated;
    }
    return NULL;
}
