// SPDX-License-Identifier: MIT
/* Function names for backtraces: binary search in the table that tools/gensyms.py makes. */
#include "kernel/symbols.h"
#include "lib/compiler.h"
#include "lib/string.h"
#include "lib/types.h"

extern const uint32_t symbol_count, symbol_offsets[], symbol_names[];
extern const char symbol_strings[];
extern const char __text_start[], __text_end[];

const char *symbol_lookup(unsigned long addr, unsigned long *offset, unsigned long *size, char *buf,
                          size_t buflen)
{
    unsigned long start = (unsigned long)__text_start, end = (unsigned long)__text_end;
    uint32_t lo = 0, hi = symbol_count;

    if (addr < start || addr >= end || !symbol_count || addr - start < symbol_offsets[0])
        return NULL;
    /* symbol_offsets[lo] <= addr - start < symbol_offsets[hi] */
    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (symbol_offsets[mid] <= addr - start)
            lo = mid;
        else
            hi = mid;
    }
    if (offset)
        *offset = addr - start - symbol_offsets[lo];
    if (size)
        *size = (hi < symbol_count ? symbol_offsets[hi] : end - start) - symbol_offsets[lo];
    strlcpy(buf, symbol_strings + symbol_names[lo], buflen);
    return buf;
}

/* A return address may lie behind the end of a function whose last instruction is the call. */
const char *symbol_describe(unsigned long addr, bool is_return, char *buf, size_t buflen)
{
    unsigned long offset, size;
    unsigned line;
    char name[96];
    const char *file;
    size_t len = 0;

    buf[0] = 0;
    if (symbol_lookup(addr - is_return, &offset, &size, name, sizeof(name)))
        len = snprintf(buf, buflen, "%s+%#lx/%#lx", name, offset + is_return, size);
    file = line_lookup(addr - is_return, &line);
    if (file && len < buflen)
        snprintf(buf + len, buflen - len, " (%s:%u)", file, line);
    return buf;
}
