// SPDX-License-Identifier: MIT
/*
 * The table of instructions that may fault (asm/extable.h).  The compiler leaves self-relative
 * distances; extable_init() turns them into distances from the image's start and sorts them.
 */
#include "asm/extable.h"
#include "lib/compiler.h"
#include "lib/types.h"

struct ex_entry {
    int32_t fault, fixup;
};

extern struct ex_entry __ex_table_start[], __ex_table_end[];
extern const char __image_start[];

void __init extable_init(void)
{
    struct ex_entry *e;

    for (e = __ex_table_start; e < __ex_table_end; e++) {
        e->fault += (char *)&e->fault - __image_start;
        e->fixup += (char *)&e->fixup - __image_start;
    }
    for (e = __ex_table_start; e < __ex_table_end; e++) {
        struct ex_entry moving = *e, *to = e;

        for (; to > __ex_table_start && to[-1].fault > moving.fault; to--)
            *to = to[-1];
        *to = moving;
    }
}

unsigned long search_exception_table(unsigned long addr)
{
    const struct ex_entry *lo = __ex_table_start, *hi = __ex_table_end;
    unsigned long base = (unsigned long)__image_start;

    while (lo < hi) {
        const struct ex_entry *mid = lo + (hi - lo) / 2;

        if (base + mid->fault == addr)
            return base + mid->fixup;
        if (base + mid->fault < addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    return 0;
}
