// SPDX-License-Identifier: MIT
/* Constants that C and the assembler both read: C wants a suffix, the assembler does not. */
#pragma once

#ifdef __ASSEMBLY__
#define UL_(x) (x)
#else
#define UL_(x) (x##UL)
#endif
