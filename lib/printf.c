// SPDX-License-Identifier: MIT
/* Formatted output, without floating point.  lib/string.h says what is understood. */
#include "lib/string.h"

#ifndef HOSPES_HOST
#include <stdbool.h>
#include <stdint.h>

struct out {
    char *buf;
    size_t size; /* room in buf, terminator included */
    size_t len;  /* length so far of the whole text, cut off or not */
};

struct spec {
    bool left, plus, space, alt, zero;
    int width, precision; /* precision < 0: none given */
    char length;          /* 'H' hh, 'h', 'l', 'L' ll, 'z', 't', 'j', or 0 */
};

static void put(struct out *o, char c)
{
    if (o->len + 1 < o->size)
        o->buf[o->len] = c;
    o->len++;
}

static void pad(struct out *o, char c, int n)
{
    while (n-- > 0)
        put(o, c);
}

static void put_text(struct out *o, const struct spec *sp, const char *s, int len)
{
    if (!sp->left)
        pad(o, ' ', sp->width - len);
    for (int i = 0; i < len; i++)
        put(o, s[i]);
    if (sp->left)
        pad(o, ' ', sp->width - len);
}

static void put_number(struct out *o, const struct spec *sp, uint64_t n, bool negative, int base,
                       bool upper)
{
    const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[24], prefix[3];
    int len = 0, plen = 0, zeros;
    bool nonzero = n;

    for (; n; n /= base)
        text[len++] = digits[n % base];
    if (negative)
        prefix[plen++] = '-';
    else if (sp->plus)
        prefix[plen++] = '+';
    else if (sp->space)
        prefix[plen++] = ' ';
    if (sp->alt && base == 16 && nonzero) {
        prefix[plen++] = '0';
        prefix[plen++] = upper ? 'X' : 'x';
    }

    zeros = (sp->precision < 0 ? 1 : sp->precision) - len;
    if (sp->alt && base == 8 && zeros < 1)
        zeros = 1;
    if (sp->zero && !sp->left && sp->precision < 0 && sp->width - plen - len > zeros)
        zeros = sp->width - plen - len;
    if (zeros < 0)
        zeros = 0;

    if (!sp->left)
        pad(o, ' ', sp->width - plen - zeros - len);
    for (int i = 0; i < plen; i++)
        put(o, prefix[i]);
    pad(o, '0', zeros);
    for (int i = len; i-- > 0;)
        put(o, text[i]);
    if (sp->left)
        pad(o, ' ', sp->width - plen - zeros - len);
}

static const char *parse_count(const char *f, int *n)
{
    for (*n = 0; *f >= '0' && *f <= '9'; f++)
        if (*n < 100000)
            *n = *n * 10 + (*f - '0');
    return f;
}

static const char *parse_flags(const char *f, struct spec *sp)
{
    for (;; f++) {
        switch (*f) {
        case '-':
            sp->left = true;
            break;
        case '+':
            sp->plus = true;
            break;
        case ' ':
            sp->space = true;
            break;
        case '#':
            sp->alt = true;
            break;
        case '0':
            sp->zero = true;
            break;
        default:
            return f;
        }
    }
}

static const char *parse_length(const char *f, struct spec *sp)
{
    switch (*f) {
    case 'h':
        sp->length = f[1] == 'h' ? 'H' : 'h';
        return f + (sp->length == 'H' ? 2 : 1);
    case 'l':
        sp->length = f[1] == 'l' ? 'L' : 'l';
        return f + (sp->length == 'L' ? 2 : 1);
    case 'z':
    case 't':
    case 'j':
        sp->length = *f;
        return f + 1;
    default:
        return f;
    }
}

/* A va_list inside a structure, so that it can be passed by address wherever it is an array. */
struct args {
    va_list ap;
};

static int64_t take_signed(struct args *a, char length)
{
    switch (length) {
    case 'H':
        return (signed char)va_arg(a->ap, int);
    case 'h':
        return (short)va_arg(a->ap, int);
    case 0:
        return va_arg(a->ap, int);
    case 'L':
    case 'j':
        return va_arg(a->ap, long long);
    default: /* size_t and ptrdiff_t are as wide as long */
        return va_arg(a->ap, long);
    }
}

static uint64_t take_unsigned(struct args *a, char length)
{
    switch (length) {
    case 'H':
        return (unsigned char)va_arg(a->ap, int);
    case 'h':
        return (unsigned short)va_arg(a->ap, int);
    case 0:
        return va_arg(a->ap, unsigned);
    case 'L':
    case 'j':
        return va_arg(a->ap, unsigned long long);
    default:
        return va_arg(a->ap, unsigned long);
    }
}

static void convert(struct out *o, struct spec *sp, char type, struct args *a)
{
    const char *s;
    char c;
    int64_t n;

    switch (type) {
    case 'd':
    case 'i':
        n = take_signed(a, sp->length);
        put_number(o, sp, n < 0 ? -(uint64_t)n : (uint64_t)n, n < 0, 10, false);
        break;
    case 'u':
    case 'x':
    case 'X':
    case 'o':
        sp->plus = sp->space = false;
        put_number(o, sp, take_unsigned(a, sp->length), false,
                   type == 'u'   ? 10
                   : type == 'o' ? 8
                                 : 16,
                   type == 'X');
        break;
    case 'p':
        sp->precision = 16;
        put_number(o, sp, (uintptr_t)va_arg(a->ap, void *), false, 16, false);
        break;
    case 'c':
        c = va_arg(a->ap, int);
        put_text(o, sp, &c, 1);
        break;
    case 's':
        s = va_arg(a->ap, const char *);
        if (!s)
            s = "(null)";
        put_text(o, sp, s, strnlen(s, sp->precision < 0 ? INT32_MAX : sp->precision));
        break;
    default: /* unknown: shown as it stands, so that the mistake is seen */
        put(o, '%');
        put(o, type);
        break;
    }
}

int vsnprintf(char *buf, size_t size, const char *f, va_list ap)
{
    struct out o = {buf, size, 0};
    struct args a;

    va_copy(a.ap, ap);
    while (*f) {
        struct spec sp = {.precision = -1};

        if (*f != '%') {
            put(&o, *f++);
            continue;
        }
        f++;
        if (*f == '%') {
            put(&o, *f++);
            continue;
        }
        f = parse_flags(f, &sp);
        if (*f == '*') {
            sp.width = va_arg(a.ap, int);
            if (sp.width < 0) {
                sp.left = true;
                sp.width = -sp.width;
            }
            f++;
        } else {
            f = parse_count(f, &sp.width);
        }
        if (*f == '.') {
            if (*++f == '*') {
                sp.precision = va_arg(a.ap, int);
                f++;
            } else {
                f = parse_count(f, &sp.precision);
            }
        }
        f = parse_length(f, &sp);
        if (!*f)
            break;
        convert(&o, &sp, *f++, &a);
    }
    va_end(a.ap);
    if (size)
        buf[o.len < size ? o.len : size - 1] = '\0';
    return o.len;
}

int snprintf(char *buf, size_t size, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(buf, size, fmt, ap);
    va_end(ap);
    return n;
}
#endif /* !HOSPES_HOST */
