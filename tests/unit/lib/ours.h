// SPDX-License-Identifier: MIT
/* lib/string.c and lib/printf.c as the hypervisor has them, under names of their own. */
#pragma once
#include <stdarg.h>
#include <stddef.h>

void *our_memcpy(void *restrict dst, const void *restrict src, size_t n);
void *our_memmove(void *dst, const void *src, size_t n);
void *our_memset(void *dst, int c, size_t n);
int our_memcmp(const void *a, const void *b, size_t n);
size_t our_strlen(const char *s);
size_t our_strnlen(const char *s, size_t max);
int our_strcmp(const char *a, const char *b);
int our_strncmp(const char *a, const char *b, size_t n);
char *our_strchr(const char *s, int c);
char *our_strstr(const char *s, const char *needle);
int our_vsnprintf(char *buf, size_t size, const char *fmt, va_list ap);
int our_snprintf(char *buf, size_t size, const char *fmt, ...);
size_t our_strlcpy(char *dst, const char *src, size_t size);
unsigned long long our_parse_uint(const char *s, const char **end);
