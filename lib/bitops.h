// SPDX-License-Identifier: MIT
/*
 * Bits in arrays of unsigned long.  set_bit and friends are atomic; names with __ are not.
 * Bitmaps shared with a guest must be touched with the atomic ones only.
 */
#pragma once
#include "lib/compiler.h"
#include <stdbool.h>
#include <stdint.h>

#define BITS_PER_LONG    64
#define BITS_TO_LONGS(n) (((n) + BITS_PER_LONG - 1) / BITS_PER_LONG)
#define BIT(n)           (1UL << (n))
#define BIT_WORD_(nr)    ((nr) / BITS_PER_LONG)
#define BIT_MASK_(nr)    (1UL << ((nr) % BITS_PER_LONG))

static inline void set_bit(unsigned long nr, volatile void *addr)
{
    __atomic_fetch_or((volatile unsigned long *)addr + BIT_WORD_(nr), BIT_MASK_(nr),
                      __ATOMIC_SEQ_CST);
}

static inline void clear_bit(unsigned long nr, volatile void *addr)
{
    __atomic_fetch_and((volatile unsigned long *)addr + BIT_WORD_(nr), ~BIT_MASK_(nr),
                       __ATOMIC_SEQ_CST);
}

static inline bool test_and_set_bit(unsigned long nr, volatile void *addr)
{
    return __atomic_fetch_or((volatile unsigned long *)addr + BIT_WORD_(nr), BIT_MASK_(nr),
                             __ATOMIC_SEQ_CST) &
           BIT_MASK_(nr);
}

static inline bool test_and_clear_bit(unsigned long nr, volatile void *addr)
{
    return __atomic_fetch_and((volatile unsigned long *)addr + BIT_WORD_(nr), ~BIT_MASK_(nr),
                              __ATOMIC_SEQ_CST) &
           BIT_MASK_(nr);
}

static inline bool test_bit(unsigned long nr, const volatile void *addr)
{
    return ((const volatile unsigned long *)addr)[BIT_WORD_(nr)] & BIT_MASK_(nr);
}

static inline void __set_bit(unsigned long nr, void *addr)
{
    ((unsigned long *)addr)[BIT_WORD_(nr)] |= BIT_MASK_(nr);
}

static inline void __clear_bit(unsigned long nr, void *addr)
{
    ((unsigned long *)addr)[BIT_WORD_(nr)] &= ~BIT_MASK_(nr);
}

static inline bool __test_and_set_bit(unsigned long nr, void *addr)
{
    bool old = test_bit(nr, addr);

    __set_bit(nr, addr);
    return old;
}

static inline bool __test_and_clear_bit(unsigned long nr, void *addr)
{
    bool old = test_bit(nr, addr);

    __clear_bit(nr, addr);
    return old;
}

/* Index of the lowest set bit; x must not be 0. */
static inline unsigned ffs_index(unsigned long x)
{
    return __builtin_ctzl(x);
}

/* Index of the highest set bit; x must not be 0. */
static inline unsigned fls_index(unsigned long x)
{
    return BITS_PER_LONG - 1 - __builtin_clzl(x);
}

/* First set (or clear) bit at or after start, or size if there is none. */
static inline unsigned long find_next_bit_(const unsigned long *map, unsigned long size,
                                           unsigned long start, unsigned long invert)
{
    while (start < size) {
        unsigned long word =
            (READ_ONCE(map[BIT_WORD_(start)]) ^ invert) & (~0UL << (start % BITS_PER_LONG));

        if (word) {
            unsigned long bit = ROUND_DOWN(start, BITS_PER_LONG) + ffs_index(word);

            return bit < size ? bit : size;
        }
        start = ROUND_DOWN(start, BITS_PER_LONG) + BITS_PER_LONG;
    }
    return size;
}

static inline unsigned long find_next_bit(const unsigned long *map, unsigned long size,
                                          unsigned long start)
{
    return find_next_bit_(map, size, start, 0);
}

static inline unsigned long find_next_zero_bit(const unsigned long *map, unsigned long size,
                                               unsigned long start)
{
    return find_next_bit_(map, size, start, ~0UL);
}

static inline unsigned long find_first_bit(const unsigned long *map, unsigned long size)
{
    return find_next_bit(map, size, 0);
}

static inline unsigned long find_first_zero_bit(const unsigned long *map, unsigned long size)
{
    return find_next_zero_bit(map, size, 0);
}

static inline unsigned bitmap_weight(const unsigned long *map, unsigned long size)
{
    unsigned n = 0;

    for (unsigned long b = find_first_bit(map, size); b < size; b = find_next_bit(map, size, b + 1))
        n++;
    return n;
}

#define for_each_set_bit(bit, map, size)                                                           \
    for ((bit) = find_first_bit(map, size); (bit) < (size);                                        \
         (bit) = find_next_bit(map, size, (bit) + 1))
