// SPDX-License-Identifier: MIT
/*
 * dom0_mem=[min:size,][max:size,][size]: a negative size stands for all memory but so much.
 * Without it dom0 gets all but a sixteenth, at most all but 128 MB.
 */
#include "dom0_size.h"
#include "boot/cmdline.h"
#include "kernel/console.h"
#include "lib/compiler.h"
#include "lib/string.h"
#include "mem/mem.h"

#define MB_PAGES(mb) ((unsigned long)(mb) << (20 - PAGE_SHIFT))

/* One size of the option, in pages; false: malformed. */
static bool __init parse_pages(const char **s, unsigned long avail, unsigned long *pages)
{
    bool less = **s == '-';
    const char *end;
    unsigned long long n = parse_uint(*s + less, &end);

    if (end == *s + less)
        return false;
    switch (*end) {
    case 'T':
    case 't':
        n <<= 10; /* fall through */
    case 'G':
    case 'g':
        n <<= 10; /* fall through */
    case 'M':
    case 'm':
        n <<= 10; /* fall through */
    case 'K':
    case 'k':
        end++; /* fall through */
    default:
        break; /* kilobytes */
    case 'B':
    case 'b':
        end++;
        n >>= 10;
    }
    n >>= PAGE_SHIFT - 10;
    *pages = less ? (n < avail ? avail - n : 0) : n;
    *s = end;
    return true;
}

unsigned long __init dom0_nr_pages(void)
{
    unsigned long avail = heap_free_pages(), reserve = min(avail / 16, MB_PAGES(128));
    unsigned long nr = 0, lo = 0, hi = ~0UL;
    const char *s = opt_dom0_mem;

    while (*s) {
        unsigned long *what = &nr;

        if (!strncmp(s, "min:", 4)) {
            what = &lo;
            s += 4;
        } else if (!strncmp(s, "max:", 4)) {
            what = &hi;
            s += 4;
        }
        if (!parse_pages(&s, avail, what) || (*s && *s != ',')) {
            printk(KERN_WARN "dom0_mem=%s is malformed: ignored\n", opt_dom0_mem);
            nr = lo = 0;
            hi = ~0UL;
            break;
        }
        s += *s == ',';
    }
    if (!nr)
        nr = avail - reserve;
    nr = min(max(nr, lo), hi);
    /* Tables, grants and the tools' domains need some; what dom0 can be given is what there is. */
    return min(nr, avail - min(reserve, MB_PAGES(16)));
}
