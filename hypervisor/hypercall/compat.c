// SPDX-License-Identifier: MIT
/* 32-bit callers: compat.h says how. */
#define COMPAT_LAYOUT_TABLES
#include "hypercall/compat.h"
#include "domain/domain.h"
#include "lib/errno.h"
#include "lib/string.h"

bool caller_is_32bit(void)
{
    return current->calls_32bit;
}

size_t guest_size(size_t size, const struct compat_layout *layout)
{
    return layout && caller_is_32bit() ? layout->size32 : size;
}

int copy_narrow_from_guest(void *dst, uint64_t addr, size_t size,
                           const struct compat_layout *layout)
{
    char narrow[COMPAT_MAX_SIZE];

    if (copy_from_guest(narrow, addr, layout->size32))
        return -EFAULT;
    memset(dst, 0, size);
    for (unsigned i = 0; i < layout->nr; i++) {
        const struct compat_piece *p = &layout->pieces[i];

        memcpy((char *)dst + p->off, narrow + p->off32, p->size32);
    }
    return 0;
}

int copy_narrow_to_guest(uint64_t addr, const void *src, const struct compat_layout *layout)
{
    char narrow[COMPAT_MAX_SIZE];

    memset(narrow, 0, layout->size32);
    for (unsigned i = 0; i < layout->nr; i++) {
        const struct compat_piece *p = &layout->pieces[i];

        memcpy(narrow + p->off32, (const char *)src + p->off, p->size32);
    }
    return copy_to_guest(addr, narrow, layout->size32);
}

int copy_elems_from_guest(void *dst, uint64_t base, uint64_t first, size_t nr, size_t size,
                          bool words)
{
    uint64_t *out = dst;
    uint32_t word;

    if (likely(!words) || likely(!caller_is_32bit()))
        return copy_from_guest(dst, guest_array_addr(base, first, size), nr * size);
    for (size_t i = 0; i < nr; i++) {
        if (copy_from_guest(&word, guest_array_addr(base, first + i, sizeof(word)), sizeof(word)))
            return -EFAULT;
        out[i] = word;
    }
    return 0;
}

int copy_elems_to_guest(uint64_t base, uint64_t first, const void *src, size_t nr, size_t size,
                        bool words)
{
    const uint64_t *in = src;

    if (likely(!words) || likely(!caller_is_32bit()))
        return copy_to_guest(guest_array_addr(base, first, size), src, nr * size);
    for (size_t i = 0; i < nr; i++) {
        uint32_t word = (uint32_t)in[i];

        if (copy_to_guest(guest_array_addr(base, first + i, sizeof(word)), &word, sizeof(word)))
            return -EFAULT;
    }
    return 0;
}

void compat_widen_args(unsigned long args[6], const uint32_t words[6], const char *args32)
{
    unsigned n = 0;

    memset(args, 0, 6 * sizeof(*args));
    for (; *args32; args32++, args++) {
        args[0] = words[n++];
        if (*args32 == 'q')
            args[0] |= (uint64_t)words[n++] << 32;
        else if (*args32 == 'f')
            args[0] = args[0] << 32 | words[n++];
    }
}

void compat_narrow_args(uint32_t words[6], const unsigned long *args, unsigned nargs,
                        const char *args32)
{
    unsigned n = 0;

    for (; *args32 && nargs; args32++, args++, nargs--) {
        if (*args32 == 'f')
            words[n++] = (uint32_t)(args[0] >> 32);
        words[n++] = (uint32_t)args[0];
        if (*args32 == 'q')
            words[n++] = (uint32_t)(args[0] >> 32);
    }
}
