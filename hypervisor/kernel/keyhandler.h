// SPDX-License-Identifier: MIT
/* Debug keys, over serial or by `xl debug-keys`. */
#pragma once

struct cpu_user_regs;

/* Registers key with a one-line description (shown by 'h').  Boot only. */
void keyhandler_register(unsigned char key, void (*fn)(unsigned char key), const char *desc);
/* Runs the handler of key; unknown keys print a hint. */
void keyhandler_run(unsigned char key);
void keyhandler_init(void);
