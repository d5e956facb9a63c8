// SPDX-License-Identifier: MIT
/*
 * Real threads against the real code: each is a CPU.  Allocation, references and RCU are in
 * threads.c; what is freed by RCU waits until threads_free().  For rooms whose races a single
 * thread cannot play.
 */
#pragma once
#include <stdint.h>

struct vcpu;

/* Runs fn(i) as CPU i for i < n, and waits for all.  on: the vcpu that is current there. */
void threads_run(unsigned n, void (*fn)(unsigned cpu), struct vcpu *const on[]);
/* Frees what call_rcu() was given. */
void threads_free(void);
/* Random number below n, different for each thread. */
uint32_t threads_random(uint32_t n);
