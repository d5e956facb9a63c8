// SPDX-License-Identifier: MIT
/* Lines of the source, for backtraces: the table that tools/genlines.py makes. */
#include "kernel/symbols.h"
#include "lib/compiler.h"
#include "lib/types.h"

/* The last one is the end of the code, where nothing is known. */
struct line_range {
    uint32_t start; /* distance from __text_start */
    uint32_t steps; /* the first of its steps, in line_steps */
    uint32_t file;  /* its name, in line_files; "" if not known */
};

extern const struct line_range line_ranges[];
extern const uint8_t line_steps[];
extern const char line_files[];
extern const char __text_start[], __text_end[];

/* Seven bits a byte, low ones first. */
static uint32_t read_number(const uint8_t **p)
{
    uint32_t n = 0;
    unsigned shift = 0;
    uint8_t byte;

    do {
        byte = *(*p)++;
        n |= (uint32_t)(byte & 127) << shift;
        shift += 7;
    } while (byte & 128);
    return n;
}

const char *line_lookup(unsigned long addr, unsigned *line)
{
    const struct line_range *range = line_ranges;
    const uint8_t *step, *end;
    uint32_t at, offset;

    if (addr < (unsigned long)__text_start || addr >= (unsigned long)__text_end)
        return NULL;
    offset = addr - (unsigned long)__text_start;
    while (range[1].start <= offset)
        range++;
    step = line_steps + range->steps;
    end = line_steps + range[1].steps;
    at = range->start;
    *line = 0;
    while (step < end) {
        uint32_t change;

        at += read_number(&step);
        if (at > offset)
            break;
        change = read_number(&step);
        *line += change & 1 ? -(change / 2 + 1) : change / 2;
    }
    return *line ? line_files + range->file : NULL;
}
