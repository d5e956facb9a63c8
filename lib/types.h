// SPDX-License-Identifier: MIT
/*
 * Basic types.  Addresses are distinct types, so that a machine frame cannot be passed where a
 * guest frame is meant:
 *   mfn_t   machine frame number: a page of the host
 *   gfn_t   guest frame number: what a domain calls its page in a hypercall (== mfn for PV)
 *   pfn_t   pseudo-physical frame number: a PV guest's own contiguous numbering
 *   maddr_t machine address, in bytes
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t m;
} mfn_t;
typedef struct {
    uint64_t g;
} gfn_t;
typedef struct {
    uint64_t p;
} pfn_t;
typedef uint64_t maddr_t;
typedef int64_t s_time_t; /* system time: nanoseconds since boot */

#define S_TIME_NEVER INT64_MAX
#define SECONDS(s)   ((s_time_t)(s)*1000000000LL)
#define MILLISECS(m) ((s_time_t)(m)*1000000LL)
#define MICROSECS(u) ((s_time_t)(u)*1000LL)

static inline mfn_t _mfn(uint64_t m)
{
    return (mfn_t){m};
}

static inline uint64_t mfn_x(mfn_t m)
{
    return m.m;
}

static inline gfn_t _gfn(uint64_t g)
{
    return (gfn_t){g};
}

static inline uint64_t gfn_x(gfn_t g)
{
    return g.g;
}

static inline pfn_t _pfn(uint64_t p)
{
    return (pfn_t){p};
}

static inline uint64_t pfn_x(pfn_t p)
{
    return p.p;
}

static inline mfn_t mfn_add(mfn_t m, uint64_t n)
{
    return (mfn_t){m.m + n};
}

static inline bool mfn_eq(mfn_t a, mfn_t b)
{
    return a.m == b.m;
}

#define INVALID_MFN _mfn(~0ULL)
#define INVALID_GFN _gfn(~0ULL)

#define PAGE_SHIFT 12
#define PAGE_SIZE  (1UL << PAGE_SHIFT)
#define PAGE_MASK  (~(PAGE_SIZE - 1))

static inline maddr_t mfn_to_maddr(mfn_t m)
{
    return m.m << PAGE_SHIFT;
}

static inline mfn_t maddr_to_mfn(maddr_t a)
{
    return (mfn_t){a >> PAGE_SHIFT};
}
