// SPDX-License-Identifier: MIT
/*
 * 32-bit callers.
 *
 * A 32-bit guest's arguments are narrower: words and pointers have four bytes, and 64-bit members
 * are aligned to four.  Handlers know nothing of that.  What lies in guest memory is widened when
 * it is copied in and narrowed when it is copied out, by the layout of its type, which the build
 * takes from the public headers (tools/gen-compat.py): an argument of a table's row by its type
 * column, anything else by the type of the pointer given here.  Registers are widened by the
 * column ARGS32 of abi/ops/hypercalls.def.
 */
#pragma once
#include "abi/xen_abi.h"
#include "hypercall/guest_access.h"

/* So many bytes in a 32-bit guest at this offset are the lowest at that one here. */
struct compat_piece {
    uint16_t off, off32, size32;
};

struct compat_layout {
    uint16_t size32, nr;
    const struct compat_piece *pieces;
};

#include "compat-layouts.h"

#define COMPAT_MAX_SIZE 128 /* of an argument in a 32-bit guest */

/* Is the current vcpu's a 32-bit guest? */
bool caller_is_32bit(void);

/* What size bytes take in the caller's memory; layout NULL: just that. */
size_t guest_size(size_t size, const struct compat_layout *layout);
/* Copies to and from a 32-bit guest's layout; 0 or -EFAULT.  Padding is cleared. */
int __must_check copy_narrow_from_guest(void *dst, uint64_t addr, size_t size,
                                        const struct compat_layout *layout);
int __must_check copy_narrow_to_guest(uint64_t addr, const void *src,
                                      const struct compat_layout *layout);

/* ... the caller's; most types have one layout for all, and layout is NULL. */
static inline int __must_check copy_arg_from_guest(void *dst, uint64_t addr, size_t size,
                                                   const struct compat_layout *layout)
{
    return likely(!layout) || likely(!caller_is_32bit())
               ? copy_from_guest(dst, addr, size)
               : copy_narrow_from_guest(dst, addr, size, layout);
}

static inline int __must_check copy_arg_to_guest(uint64_t addr, const void *src, size_t size,
                                                 const struct compat_layout *layout)
{
    return likely(!layout) || likely(!caller_is_32bit()) ? copy_to_guest(addr, src, size)
                                                         : copy_narrow_to_guest(addr, src, layout);
}

/* The same by the type that is pointed to. */
#define guest_sizeof(type) guest_size(sizeof(type), COMPAT_LAYOUT(type))
#define copy_struct_from_guest(dst, addr)                                                          \
    copy_arg_from_guest(dst, addr, sizeof(*(dst)), COMPAT_LAYOUT(typeof(*(dst))))
#define copy_struct_to_guest(addr, src)                                                            \
    copy_arg_to_guest(addr, src, sizeof(*(src)), COMPAT_LAYOUT(typeof(*(src))))

/*
 * Elements of the array behind a handle: first..first+nr-1.  -EFAULT also where an address would
 * overflow.  Elements of one word are of four bytes in a 32-bit guest; narrowing drops what is
 * above.  Structures behind handles are of one layout in both (tools/gen-compat.py has no others).
 */
int __must_check copy_elems_from_guest(void *dst, uint64_t base, uint64_t first, size_t nr,
                                       size_t size, bool words);
int __must_check copy_elems_to_guest(uint64_t base, uint64_t first, const void *src, size_t nr,
                                     size_t size, bool words);
#define HANDLE_OF_WORDS(h)                                                                         \
    (__builtin_types_compatible_p(typeof(h), XEN_GUEST_HANDLE(xen_pfn_t)) ||                       \
     __builtin_types_compatible_p(typeof(h), XEN_GUEST_HANDLE(xen_ulong_t)))
#define copy_array_from_guest(dst, h, first, nr)                                                   \
    copy_elems_from_guest(dst, handle_addr(h), first, nr, sizeof(*(dst)), HANDLE_OF_WORDS(h))
#define copy_array_to_guest(h, first, src, nr)                                                     \
    copy_elems_to_guest(handle_addr(h), first, src, nr, sizeof(*(src)), HANDLE_OF_WORDS(h))
#define copy_elem_from_guest(dst, h, i) copy_array_from_guest(dst, h, i, 1)
#define copy_elem_to_guest(h, i, src)   copy_array_to_guest(h, i, src, 1)

/*
 * Registers of a direct call, by its ARGS32 (README.md of abi/ops): six words to arguments, and,
 * for a continuation, back.
 */
void compat_widen_args(unsigned long args[6], const uint32_t words[6], const char *args32);
void compat_narrow_args(uint32_t words[6], const unsigned long *args, unsigned nargs,
                        const char *args32);
