// SPDX-License-Identifier: MIT
/* What every cmocka test includes, in the order cmocka wants it. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Random numbers that are the same each run. */
static inline unsigned test_random(unsigned n)
{
    static unsigned seed = 20261121;

    seed = seed * 1103515245 + 12345;
    return (seed >> 8) % n;
}
