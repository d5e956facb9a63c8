// SPDX-License-Identifier: MIT
/* Whether an initrd is whole, as far as that can be told without unpacking it. */
#pragma once
#include <stddef.h>

/* NULL, or what is wrong with it.  What is not understood passes. */
const char *initrd_check(const void *data, size_t size);
