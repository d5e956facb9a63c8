// SPDX-License-Identifier: MIT
/* Our own faults stop the machine; a guest's fault ends that guest (domain_crash, domain.h). */
#pragma once
#include "lib/compiler.h"
#include <stdbool.h>

struct cpu_user_regs;

/* Prints the reason, registers and a symbolised backtrace of every CPU, then halts or reboots. */
void panic(const char *fmt, ...) __printf(1, 2) __noreturn __cold;
/* The same for a fault taken in the hypervisor at regs. */
void panic_regs(const struct cpu_user_regs *regs, const char *fmt, ...)
    __printf(2, 3) __noreturn __cold;
/* Return addresses with function names, up the stack from regs (NULL: from the caller). */
void dump_backtrace(const struct cpu_user_regs *regs);
/* For arch_stop_other_cpus(): on each CPU being stopped, interrupted at regs; before it halts.
 * Shows what it did, if this is a panic.  Any context. */
void panic_stopped_cpu(const struct cpu_user_regs *regs);
bool panic_active(void);  /* some CPU has panicked */
extern bool opt_noreboot; /* noreboot: a panic halts, and does not reboot */

#define BUG() panic("BUG at %s:%d", __FILE__, __LINE__)
#define BUG_ON(c)                                                                                  \
    do {                                                                                           \
        if (unlikely(c))                                                                           \
            panic("BUG at %s:%d: %s", __FILE__, __LINE__, #c);                                     \
    } while (0)

/* Never on anything a guest can choose. */
#ifdef CONFIG_DEBUG
#define ASSERT(c)                                                                                  \
    do {                                                                                           \
        if (unlikely(!(c)))                                                                        \
            panic("assertion failed at %s:%d: %s", __FILE__, __LINE__, #c);                        \
    } while (0)
#else
#define ASSERT(c) ((void)sizeof(!(c)))
#endif
