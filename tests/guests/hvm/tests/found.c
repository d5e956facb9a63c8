// SPDX-License-Identifier: MIT
/* What the random guest (hvm/random) has found, in a few instructions. */
#include "guest.h"

/* The priority changes while an interrupt waits for the flag: QEMU must not hear of it. */
TEST(attack_priority_in_the_window)
{
    u64 before = cpus[0].traps[VEC_IPI];

    irq_off();
    for (unsigned i = 0; i < 100; i++) {
        apic_send(0, VEC_IPI);
        write_cr8(i & 15);
        write_cr8(0);
        CHECK_EQ(read_cr8(), 0);
    }
    CHECK_EQ(cpus[0].traps[VEC_IPI], before);
    irq_on();
    sleep_ms(1);
    CHECK_EQ(cpus[0].traps[VEC_IPI], before + 1);
}
