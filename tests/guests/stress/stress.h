// SPDX-License-Identifier: MIT
/* Four vcpus that do the same things at random at the same time. */
#pragma once
#include "guest.h"

#define STRESS_CPUS 4

u32 rnd(u32 n); /* of the vcpu that asks: below n */
/* work(step) on all vcpus, so many times each; returns when all are done. */
void storm(void (*work)(unsigned), unsigned steps);
/* Once on each vcpu. */
void on_all(void (*fn)(unsigned));
