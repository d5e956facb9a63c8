// SPDX-License-Identifier: MIT
/* Bringing up CPUs: what boot/ calls. */
#pragma once
#include "kernel/cpumask.h"

void percpu_init_bsp(void); /* first of all: per-CPU data and cpu_info of the boot CPU */
/* Takes a page of low memory from bootmem. */
void smp_reserve_trampoline(void);
/* Numbers of vectors for inter-processor interrupts; boot CPU, before interrupts. */
void smp_init_vectors(void);
/* Starts every CPU of cpu_possible_map; one that does not answer is reported and left out. */
void smp_start_all(void);
/* An NMI at regs: stops this CPU if arch_stop_other_cpus() sent it, else returns. */
struct cpu_user_regs;
void smp_nmi(const struct cpu_user_regs *regs);
/* Compares with CPU 0 and drops what this CPU lacks (identify.c). */
void cpu_check_same(void);
