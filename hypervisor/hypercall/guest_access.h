// SPDX-License-Identifier: MIT
/*
 * Guest memory.  The only way to a caller's memory: addresses are checked, faults are fixed up,
 * SMAP is opened inside.  Each copies once; a short copy is -EFAULT.
 * Addresses are in the address space of the current vcpu's kernel.
 */
#pragma once
#include "lib/compiler.h"
#include "lib/types.h"

/* 0 or -EFAULT; on -EFAULT the destination's contents are undefined. */
int __must_check copy_from_guest(void *dst, uint64_t guest_addr, size_t len);
int __must_check copy_to_guest(uint64_t guest_addr, const void *src, size_t len);
int __must_check clear_guest(uint64_t guest_addr, size_t len);
/* As the above, but returns how many bytes were NOT copied (for page-table emulation, bounce). */
size_t raw_copy_from_guest(void *dst, uint64_t guest_addr, size_t len);
size_t raw_copy_to_guest(uint64_t guest_addr, const void *src, size_t len);

/* XEN_GUEST_HANDLE_64 and XEN_GUEST_HANDLE members alike. */
#define handle_addr(h) ((uint64_t)(uintptr_t)(h).p)
/* base + i * size, or an address that no guest can access if that overflows. */
static inline uint64_t guest_array_addr(uint64_t base, uint64_t i, size_t size)
{
    uint64_t off, addr;

    if (__builtin_mul_overflow(i, (uint64_t)size, &off) || __builtin_add_overflow(base, off, &addr))
        return ~0ULL;
    return addr;
}
