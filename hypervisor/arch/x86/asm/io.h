// SPDX-License-Identifier: MIT
/* Port I/O and device memory. */
#pragma once
#include <stdint.h>

#define DEFINE_PORT_IO_(suffix, type)                                                              \
    static inline type in##suffix(uint16_t port)                                                   \
    {                                                                                              \
        type val;                                                                                  \
                                                                                                   \
        __asm__ volatile("in %1, %0" : "=a"(val) : "Nd"(port) : "memory");                         \
        return val;                                                                                \
    }                                                                                              \
    static inline void out##suffix(type val, uint16_t port)                                        \
    {                                                                                              \
        __asm__ volatile("out %0, %1" ::"a"(val), "Nd"(port) : "memory");                          \
    }
DEFINE_PORT_IO_(b, uint8_t)
DEFINE_PORT_IO_(w, uint16_t)
DEFINE_PORT_IO_(l, uint32_t)
#undef DEFINE_PORT_IO_

#define DEFINE_MMIO_(suffix, type)                                                                 \
    static inline type read##suffix(const volatile void *addr)                                     \
    {                                                                                              \
        return *(const volatile type *)addr;                                                       \
    }                                                                                              \
    static inline void write##suffix(type val, volatile void *addr)                                \
    {                                                                                              \
        *(volatile type *)addr = val;                                                              \
    }
DEFINE_MMIO_(b, uint8_t)
DEFINE_MMIO_(w, uint16_t)
DEFINE_MMIO_(l, uint32_t)
DEFINE_MMIO_(q, uint64_t)
#undef DEFINE_MMIO_
