// SPDX-License-Identifier: MIT
/* Names and lines of our own code, for backtraces.  The tables are made by the build and need no
 * lock: any context. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* Name of the function around addr and where it lies in it, or NULL.  buf holds the name. */
const char *symbol_lookup(unsigned long addr, unsigned long *offset, unsigned long *size, char *buf,
                          size_t buflen);
/* The source file of the function around addr, or NULL, and addr's line in it. */
const char *line_lookup(unsigned long addr, unsigned *line);
/* Both in words, "name+0x12/0x80 (file.c:34)", as far as known, into buf, which is returned.  A
 * return address is described by the call before it. */
const char *symbol_describe(unsigned long addr, bool is_return, char *buf, size_t buflen);
