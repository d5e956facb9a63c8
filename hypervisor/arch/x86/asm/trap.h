// SPDX-License-Identifier: MIT
/* What the CPU, the entry code and C tell each other of a trap, in cpu_user_regs. */
#pragma once
#include "asm/const.h"

/* error_code of a page fault. */
#define PFEC_PRESENT  (UL_(1) << 0)
#define PFEC_WRITE    (UL_(1) << 1)
#define PFEC_USER     (UL_(1) << 2)
#define PFEC_RESERVED (UL_(1) << 3)
#define PFEC_FETCH    (UL_(1) << 4)

/* In entry_vector, beside the vector: rcx and r11 need not be restored. */
#define TRAP_SYSCALL (UL_(1) << 8)
