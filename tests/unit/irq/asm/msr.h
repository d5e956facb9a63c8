// SPDX-License-Identifier: MIT
/* The TSC, for tests: simulated. */
#pragma once
#include <stdint.h>

uint64_t rdtsc(void);
#define rdtsc_ordered() rdtsc()
