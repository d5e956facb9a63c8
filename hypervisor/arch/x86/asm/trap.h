// SPDX-License-Identifier: MIT
/* What the CPU, the entry code and C tell each other of a trap, in cpu_user_regs. */
#pragma once
#include "asm/const.h"

/* Exceptions, by vector. */
#define VEC_DE  0
#define VEC_DB  1
#define VEC_NMI 2
#define VEC_BP  3
#define VEC_OF  4
#define VEC_BR  5
#define VEC_UD  6
#define VEC_NM  7
#define VEC_DF  8
#define VEC_NP  11
#define VEC_SS  12
#define VEC_GP  13
#define VEC_PF  14
#define VEC_MF  16
#define VEC_AC  17
#define VEC_MC  18
/* Those that push an error code: 8, 10 to 14, 17, 21, 29, 30. */
#define VECTORS_WITH_ERROR 0x60227d00u

/* error_code of a page fault. */
#define PFEC_PRESENT (UL_(1) << 0)
#define PFEC_WRITE   (UL_(1) << 1)
#define PFEC_USER    (UL_(1) << 2)
#define PFEC_RSVD    (UL_(1) << 3)
#define PFEC_FETCH   (UL_(1) << 4)
#define PFEC_KEY     (UL_(1) << 5)

/* In entry_vector, beside the vector: rcx and r11 need not be restored. */
#define TRAP_SYSCALL (UL_(1) << 8)
