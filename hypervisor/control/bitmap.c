// SPDX-License-Identifier: MIT
/* Sets of CPUs or nodes to and from the tools. */
#include "control/control.h"
#include "hypercall/guest_access.h"
#include "lib/bitops.h"
#include "lib/errno.h"
#include <xen/xen.h>

int bitmap_from_tools(unsigned long *bits, unsigned nr, const struct xenctl_bitmap *map)
{
    unsigned take = min(nr, map->nr_bits), bytes = DIV_ROUND_UP(take, 8);

    memset(bits, 0, BITS_TO_LONGS(nr) * sizeof(*bits));
    if (copy_from_guest(bits, handle_addr(map->bitmap), bytes))
        return -EFAULT;
    if (take % 8)
        ((uint8_t *)bits)[bytes - 1] &= 0xff >> (8 - take % 8);
    return 0;
}

int bitmap_to_tools(const struct xenctl_bitmap *map, const unsigned long *bits, unsigned nr)
{
    unsigned n = min(nr, map->nr_bits), bytes = n / 8;
    uint64_t addr = handle_addr(map->bitmap), all = DIV_ROUND_UP((uint64_t)map->nr_bits, 8);

    if (copy_to_guest(addr, bits, bytes))
        return -EFAULT;
    if (n % 8) {
        uint8_t last = ((const uint8_t *)bits)[bytes] & 0xff >> (8 - n % 8);

        if (copy_to_guest(addr + bytes, &last, 1))
            return -EFAULT;
        bytes++;
    }
    /* More than all CPUs there can be is a mistake or an attempt to keep us busy. */
    all = min(all, (uint64_t)PAGE_SIZE);
    return all > bytes ? clear_guest(addr + bytes, all - bytes) : 0;
}
