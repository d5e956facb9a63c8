// SPDX-License-Identifier: MIT
/*
 * Instructions that may fault, and where to go on if they do.  An entry is a pair of 32-bit
 * distances (each from its own place in the table) to the instruction and to the fix-up.  The
 * handler of a fault in the hypervisor asks search_exception_table() and sets rip to its answer.
 */
#pragma once

#ifdef __ASSEMBLY__
// clang-format off
.macro _ASM_EXTABLE from, to
    .pushsection .ex_table, "a"
    .balign 4
    .long \from - .
    .long \to - .
    .popsection
.endm
// clang-format on
#else
#define _ASM_EXTABLE(from, to)                                                                     \
    ".pushsection .ex_table, \"a\"\n\t"                                                            \
    ".balign 4\n\t"                                                                                \
    ".long " #from " - .\n\t"                                                                      \
    ".long " #to " - .\n\t"                                                                        \
    ".popsection\n\t"

/* Where to continue after a fault at addr, or 0 if it was not expected.  Any context. */
unsigned long search_exception_table(unsigned long addr);
/* Sorts the table; boot only. */
void extable_init(void);
#endif
