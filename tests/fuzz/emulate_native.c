// SPDX-License-Identifier: MIT
/*
 * Fuzzing the instruction emulator against the processor: the input says which opcode, and stands
 * for chance in what is made of it (tests/unit/emulate/trial.c); when it has been used up, numbers
 * that follow from its length go on.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/emulate/native.h"
#include "tests/unit/emulate/trial.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *input;
static size_t left;
static uint64_t seed;

static uint64_t from_input(void)
{
    uint64_t val = 0;

    if (left) {
        size_t n = left < 8 ? left : 8;

        memcpy(&val, input, n);
        input += n;
        left -= n;
        return val;
    }
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (seed * 0x2545f4914f6cdd1dull) ^ seed >> 29;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned int modes[4] = {16, 32, 64, 64};
    static const uint32_t maps[4] = {0, 0, 0x0f00, 0x0f3800};
    static bool works[4];
    uint32_t opcode;

    if (!trial_random) {
        trial_random = from_input;
        if (!trial_setup())
            abort();
        for (unsigned int i = 0; i < 4; i++)
            works[i] = native_works(modes[i]);
    }
    if (size < 2 || !works[data[0] & 3])
        return 0;
    opcode = maps[data[0] >> 2 & 3] | data[1];
    input = data + 2;
    left = size - 2;
    seed = 0x9e3779b97f4a7c15ull + size;
    if (trial_worth(opcode) && trial(modes[data[0] & 3], opcode) == TRIAL_DIFFERENT &&
        trial_intel) {
        fflush(stdout); /* what differs */
        abort();
    }
    return 0;
}
