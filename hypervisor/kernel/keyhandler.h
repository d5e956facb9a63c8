// SPDX-License-Identifier: MIT
/* Debug keys, over serial or by `xl debug-keys`. */
#pragma once

#ifdef CONFIG_DEBUG_KEYS
/* Registers key with a one-line description (shown by 'h').  Boot only. */
void keyhandler_register(unsigned char key, void (*fn)(unsigned char key), const char *desc);
/* Runs the handler of key; unknown keys print a hint. */
void keyhandler_run(unsigned char key);
void keyhandler_init(void);
#else
#include "kernel/console.h"

static inline void keyhandler_register(unsigned char key, void (*fn)(unsigned char key),
                                       const char *desc)
{
    (void)key;
    (void)fn;
    (void)desc;
}

static inline void keyhandler_run(unsigned char key)
{
    (void)key;
    printk("This build has no debug keys\n");
}

static inline void keyhandler_init(void)
{
}
#endif
