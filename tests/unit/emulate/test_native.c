// SPDX-License-Identifier: MIT
/*
 * The emulator against the processor: every opcode that is executed and that user mode may execute,
 * in 64-, 32- and 16-bit code (trial.c).
 *
 * On another maker's processor than Intel's one difference in a hundred is reported but forgiven.
 * `emulate-native TRIES SEED` looks longer, or elsewhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "native.h"
#include "trial.h"

static unsigned int tries = 150; /* for each opcode, in each mode */
static uint64_t first_seed = 0x5851f42d4c957f2dull, seed;

static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (seed * 0x2545f4914f6cdd1dull) ^ seed >> 29;
}

static void all_opcodes(unsigned int mode)
{
    unsigned int failed = 0, opcodes = 0, ran = 0;
    uint32_t limits[][2] = {{0, 0xff}, {0x0f00, 0x0fff}, {0x0f3800, 0x0f38ff}};

    if (!trial_setup())
        fail_msg("the fixed addresses of this test are taken");
    if (!native_works(mode)) {
        print_message("no single steps in %u-bit mode on this system\n", mode);
        skip();
    }
    seed = first_seed + mode;
    for (unsigned int m = 0; m < 3; m++)
        for (uint32_t opcode = limits[m][0]; opcode <= limits[m][1]; opcode++) {
            unsigned int same_here = 0;

            if (!trial_worth(opcode))
                continue;
            for (unsigned int i = 0, bad = 0; i < tries && bad < 3; i++)
                switch (trial(mode, opcode)) {
                case TRIAL_SAME:
                    same_here++;
                    break;
                case TRIAL_DIFFERENT:
                    bad++;
                    failed++;
                    break;
                case TRIAL_SKIPPED:
                    break;
                }
            opcodes += same_here > tries / 16;
            ran += same_here;
        }
    print_message("%u-bit: %u instructions of %u opcodes agreed\n", mode, ran, opcodes);
    assert_in_range(failed, 0, trial_intel ? 0 : ran / 100);
    assert_true(opcodes > 200);
}

static void long_mode(void **state)
{
    (void)state;
    all_opcodes(64);
}

static void protected_32(void **state)
{
    (void)state;
    all_opcodes(32);
}

static void protected_16(void **state)
{
    (void)state;
    all_opcodes(16);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_mode),
        cmocka_unit_test(protected_32),
        cmocka_unit_test(protected_16),
    };

    if (argc > 1)
        tries = strtoul(argv[1], NULL, 0);
    if (argc > 2)
        first_seed = strtoull(argv[2], NULL, 0);
    trial_random = rnd;
    return cmocka_run_group_tests_name("emulate-native", tests, NULL, NULL);
}
