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

#define CR0_NE (1UL << 5)

/* Not FERR: nobody is there to hear it, and QEMU ends. */
TEST(attack_fpu_exception_without_ne)
{
    static const u16 unmasked = 0x340;
    u64 cr0 = read_cr0(), seen;
    int vec;

    write_cr0(cr0 & ~CR0_NE);
    CHECK_EQ(read_cr0(), cr0 & ~CR0_NE);
    __asm__ volatile("smsw %0" : "=r"(seen));
    CHECK_EQ(seen & CR0_NE, 0);
    vec = CAUGHT(__asm__ volatile("fninit; fldcw %0; fld1; fchs; fsqrt; fwait" ::"m"(unmasked)));
    __asm__ volatile("fninit");
    CHECK_EQ(vec, VEC_MF);
    write_cr0(cr0);
    CHECK_EQ(read_cr0(), cr0);
}

static volatile bool enough;

static void load_fpu_state(unsigned long unused)
{
    static u8 state[512] __aligned(16);

    (void)unused;
    __asm__ volatile("fninit; fxsave %0" : "=m"(state));
    while (!enough)
        __asm__ volatile("fxrstor %0" ::"m"(state));
}

/*
 * While one CPU of QEMU's loads FPU state the first is in and out of a guest: where it loses what
 * it is, the machine ends (docs/hvm.md).
 */
TEST(attack_fpu_loads_beside_exits)
{
    u64 begin = now();
    u32 out[4];

    enough = false;
    start_on_cpu1(load_fpu_state, 0);
    while (now() < begin + 2000000000)
        for (unsigned i = 0; i < 1000; i++)
            cpuid(0, 0, out);
    enough = true;
    wait_cpu1();
}
