// SPDX-License-Identifier: MIT
/* Random instructions on the emulator and on the processor: trial.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum verdict { TRIAL_SKIPPED, TRIAL_SAME, TRIAL_DIFFERENT };

/* Where chance comes from; set by the caller. */
extern uint64_t (*trial_random)(void);
extern bool trial_intel; /* the host's processor */

/* Once at the start of each test; false: it cannot be done here. */
bool trial_setup(void);

/* Is this opcode (with its map in front, as in struct insn) executed, and for user mode? */
bool trial_worth(uint32_t opcode);

/* Make an instruction of this opcode and compare; a difference is printed.  mode: 16, 32 or 64. */
enum verdict trial(unsigned int mode, uint32_t opcode);
