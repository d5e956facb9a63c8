// SPDX-License-Identifier: MIT
/* Steps of the bring-up that the arch does, in the order in which boot/main.c takes them. */
#pragma once
#include <stddef.h>

/* Per-CPU data of the boot CPU, traps, what the loader said.  NULL or what is wrong. */
const char *arch_boot_early(unsigned long arg0, unsigned long arg1);
const char *arch_boot_cmdline(void);
const char *arch_boot_loader(void);
void arch_boot_console(void);  /* registers the console lines that the command line names */
void arch_boot_memory(void);   /* page tables, frame table; memory to the heap */
void arch_boot_platform(void); /* firmware's tables, interrupts, time */
void arch_boot_cpus(void);     /* starts the other CPUs; interrupts are on */
void arch_boot_dom0(void);     /* builds dom0, paused */
void arch_boot_done(void);     /* gives devices to dom0 */

/*
 * Library code that was built for user space: calls fn(arg) on a stack of its own, with the FPU
 * and whatever thread-local block such code expects, interrupts off.
 */
long arch_call_library(long (*fn)(void *), void *arg);
/* Contiguous memory of any size for a while, not cleared; NULL: there is not enough. */
void *arch_scratch_alloc(size_t size);
void arch_scratch_free(void *p, size_t size);
