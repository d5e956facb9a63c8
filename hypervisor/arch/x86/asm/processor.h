// SPDX-License-Identifier: MIT
/* Small helpers over the CPU's registers that know about struct cpu_info. */
#pragma once
#include "asm/cpu.h"
#include "asm/regs.h"

/* fn on this CPU's stack, all of which is free again; it does not return.  (cpu/stack.S) */
void reset_stack_and_call(void (*fn)(void)) __attribute__((noreturn));

/* Loads CR4 and remembers it, without a write when nothing changes. */
static inline void cpu_write_cr4(unsigned long cr4)
{
    struct cpu_info *info = cpu_info();

    if (info->cr4 == cr4)
        return;
    info->cr4 = cr4;
    write_cr4(cr4);
}
