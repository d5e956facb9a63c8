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
    unsigned give = DIV_ROUND_UP(min(nr, map->nr_bits), 8);
    unsigned all = map->nr_bits / 8 + (map->nr_bits % 8 != 0);
    uint64_t addr = handle_addr(map->bitmap);

    if (copy_to_guest(addr, bits, give))
        return -EFAULT;
    if (all > give && all - give <= PAGE_SIZE)
        return clear_guest(addr + give, all - give);
    return all > give ? -EINVAL : 0;
}
