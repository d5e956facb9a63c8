// SPDX-License-Identifier: MIT
/* For hvm/hvm.c on the host: the registers of who runs, wherever the machine would have them. */
#pragma once
struct cpu_user_regs;
extern struct cpu_user_regs fuzz_regs;
#define guest_regs() (&fuzz_regs)
