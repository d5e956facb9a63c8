// SPDX-License-Identifier: MIT
/*
 * String functions.  The compiler itself calls memcpy, memmove, memset and memcmp, so they must
 * exist under these names in a freestanding build.  The copying ones use string instructions: they
 * need no vector registers (which belong to the guest), and modern CPUs run them at full width.
 */
#include "lib/string.h"

#ifndef HOSPES_HOST
#include <stdint.h>

/* Keeps the compiler from turning a loop below into a call of the very function it implements. */
#define NO_IDIOM(p) __asm__ volatile("" : "+r"(p))

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
#ifdef __x86_64__
    void *d = dst;
    size_t words = n / 8;

    n &= 7;
    __asm__ volatile("rep movsq; mov %3, %%rcx; rep movsb"
                     : "+D"(d), "+S"(src), "+c"(words)
                     : "r"(n)
                     : "memory");
#else
    unsigned char *d = dst;
    const unsigned char *s = src;

    while (n--) {
        NO_IDIOM(d);
        *d++ = *s++;
    }
#endif
    return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
    unsigned char *d = dst;
    const unsigned char *s = src;

    if ((uintptr_t)d - (uintptr_t)s >= n)
        return memcpy(dst, src, n);
    /* dst lies inside [src, src + n): from the end */
    while (n >= 8) {
        uint64_t w;

        n -= 8;
        __builtin_memcpy(&w, s + n, 8);
        __builtin_memcpy(d + n, &w, 8);
    }
    while (n--) {
        NO_IDIOM(d);
        d[n] = s[n];
    }
    return dst;
}

void *memset(void *dst, int c, size_t n)
{
#ifdef __x86_64__
    void *d = dst;
    size_t words = n / 8;

    n &= 7;
    __asm__ volatile("rep stosq; mov %2, %%rcx; rep stosb"
                     : "+D"(d), "+c"(words)
                     : "r"(n), "a"((uint64_t)(unsigned char)c * 0x0101010101010101)
                     : "memory");
#else
    unsigned char *d = dst;

    while (n--) {
        NO_IDIOM(d);
        *d++ = c;
    }
#endif
    return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *x = a, *y = b;

    for (; n >= 8; n -= 8, x += 8, y += 8) {
        uint64_t v, w;

        __builtin_memcpy(&v, x, 8);
        __builtin_memcpy(&w, y, 8);
        if (v != w)
            break; /* the byte that differs is found below */
    }
    for (; n; n--, x++, y++) {
        NO_IDIOM(x);
        if (*x != *y)
            return *x - *y;
    }
    return 0;
}

size_t strnlen(const char *s, size_t max)
{
    const char *p = s;

    while (max && *p) {
        NO_IDIOM(p);
        p++;
        max--;
    }
    return p - s;
}

size_t strlen(const char *s)
{
    return strnlen(s, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t n)
{
    for (; n; n--, a++, b++) {
        if (*a != *b)
            return (unsigned char)*a - (unsigned char)*b;
        if (!*a)
            break;
    }
    return 0;
}

int strcmp(const char *a, const char *b)
{
    return strncmp(a, b, SIZE_MAX);
}

char *strchr(const char *s, int c)
{
    for (;; s++) {
        if (*s == (char)c)
            return (char *)s;
        if (!*s)
            return NULL;
    }
}

char *strstr(const char *s, const char *needle)
{
    size_t len = strlen(needle);

    for (;; s++) {
        if (!strncmp(s, needle, len))
            return (char *)s;
        if (!*s)
            return NULL;
    }
}
#endif /* !HOSPES_HOST */

size_t hospes_strlcpy(char *dst, const char *src, size_t size)
{
    size_t len = strlen(src);

    if (size) {
        size_t n = len < size ? len : size - 1;

        memcpy(dst, src, n);
        dst[n] = '\0';
    }
    return len;
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 99;
}

unsigned long long parse_uint(const char *s, const char **end)
{
    unsigned long long n = 0;
    int base = 10;

    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X') && digit_value(s[2]) < 16) {
        base = 16;
        s += 2;
    } else if (s[0] == '0') {
        base = 8;
    }
    /* Too large a number becomes the largest: a limit given as one then means no limit. */
    for (; digit_value(*s) < base; s++) {
        if (__builtin_mul_overflow(n, (unsigned long long)base, &n) ||
            __builtin_add_overflow(n, (unsigned long long)digit_value(*s), &n))
            n = ~0ULL;
        if (n == ~0ULL)
            break;
    }
    while (digit_value(*s) < base)
        s++;
    if (end)
        *end = s;
    return n;
}
