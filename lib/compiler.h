// SPDX-License-Identifier: MIT
/* What C lacks: attributes, branch hints, compile-time checks, one-shot memory accesses. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#define likely(x)      __builtin_expect(!!(x), 1)
#define unlikely(x)    __builtin_expect(!!(x), 0)
#define __packed       __attribute__((packed))
#define __aligned(n)   __attribute__((aligned(n)))
#define __section(s)   __attribute__((section(s), used))
#define __printf(f, a) __attribute__((format(printf, f, a)))
#define __noreturn     __attribute__((noreturn))
#define __cold         __attribute__((cold))
#define __must_check   __attribute__((warn_unused_result))
#define __maybe_unused __attribute__((unused))
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define noinline        __attribute__((noinline))

/* Code and data used only while booting; freed or ignored afterwards. */
#ifdef HOSPES_HOST
#define __init
#define __initdata
#else
#define __init     __attribute__((section(".init.text"), cold))
#define __initdata __attribute__((section(".init.data")))
#endif

#define BUILD_BUG_ON(c)               _Static_assert(!(c), #c)
#define ARRAY_SIZE(a)                 (sizeof(a) / sizeof((a)[0]))
#define container_of(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))
#define DIV_ROUND_UP(n, d)            (((n) + (d)-1) / (d))
#define ROUND_UP(n, a)                (((n) + (a)-1) & ~((typeof(n))(a)-1))
#define ROUND_DOWN(n, a)              ((n) & ~((typeof(n))(a)-1))

#define min(a, b)                                                                                  \
    ({                                                                                             \
        typeof(a) min_a_ = (a);                                                                    \
        typeof(b) min_b_ = (b);                                                                    \
        min_a_ < min_b_ ? min_a_ : min_b_;                                                         \
    })
#define max(a, b)                                                                                  \
    ({                                                                                             \
        typeof(a) max_a_ = (a);                                                                    \
        typeof(b) max_b_ = (b);                                                                    \
        max_a_ > max_b_ ? max_a_ : max_b_;                                                         \
    })

/* Exactly one load or store: for memory that a guest or another CPU changes meanwhile. */
#define READ_ONCE(x)     (*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile typeof(x) *)&(x) = (v))
#define barrier()        __asm__ volatile("" ::: "memory")

/*
 * Is index below size?  *mask is to be ANDed to an index that a guest chose before it is used: all
 * ones if so, else 0, also where the CPU guesses, so that a mispredicted check cannot be used to
 * read beyond an array (Spectre v1).  size must be > 0.
 */
static __always_inline bool below_nospec(unsigned long index, unsigned long size,
                                         unsigned long *mask)
{
    bool below;
#if defined(__x86_64__)
    /* The second subtraction leaves the carry as it finds it. */
    __asm__ volatile("cmp %[size], %[index]; sbb %[mask], %[mask]"
                     : "=@ccc"(below), [mask] "=r"(*mask)
                     : [size] "g"(size), [index] "r"(index));
#else
    below = index < size;
    *mask = ~(long)(index | (size - 1 - index)) >> (sizeof(long) * 8 - 1);
#endif
    return below;
}

/* The index, clamped to [0, size) in that way, where the check has been made or is not wanted. */
static __always_inline unsigned long index_nospec(unsigned long index, unsigned long size)
{
    unsigned long mask;

    below_nospec(index, size, &mask);
    return index & mask;
}
