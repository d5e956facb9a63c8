// SPDX-License-Identifier: MIT
/* Function names of our own code, for backtraces.  The table is made by the build. */
#pragma once
#include <stddef.h>

/* Name of the function around addr and where it lies in it, or NULL.  buf holds the name. */
const char *symbol_lookup(unsigned long addr, unsigned long *offset, unsigned long *size, char *buf,
                          size_t buflen);
