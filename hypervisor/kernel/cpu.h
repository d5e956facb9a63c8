// SPDX-License-Identifier: MIT
/* Calls on other CPUs. */
#pragma once
#include "kernel/cpumask.h"

/*
 * Runs fn(data) on each CPU of mask (may include this one), with interrupts off there; waits for
 * all.  Interrupts must be on here, and no lock held that an interrupt handler takes.
 */
void on_selected_cpus(const cpumask_t *mask, void (*fn)(void *), void *data);
/* The receiving half; the arch calls it from the inter-processor interrupt. */
void smp_call_interrupt(void);
