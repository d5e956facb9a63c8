// SPDX-License-Identifier: MIT
/* The C library's string functions that a freestanding build has to bring itself, and printf. */
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include "lib/compiler.h"

#ifdef HOSPES_HOST
#include <string.h>
#include <stdio.h>
#define snprintf_ snprintf
#else
void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strstr(const char *s, const char *needle);

/*
 * C99 formats without floating point (%c %s %d %i %u %x %X %o %p, flags, width, precision,
 * hh h l ll z t j).  Always terminates; returns the length the whole text would have had.
 */
int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap);
int snprintf(char *buf, size_t size, const char *fmt, ...) __printf(3, 4);
#endif

/* As BSD's: copies at most size-1 characters, always terminates, returns strlen(src). */
size_t hospes_strlcpy(char *dst, const char *src, size_t size);
#define strlcpy hospes_strlcpy

/* Reads an unsigned number (0x..., 0..., decimal); *end is the first character not used. */
unsigned long long parse_uint(const char *s, const char **end);
