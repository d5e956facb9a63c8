// SPDX-License-Identifier: MIT
/* What the guest's kernel withholds from ring 3, and what ring 3 cannot do to the guest. */
#include "guest.h"

#define MSR_PLATFORM_INFO 0xce
#define MSR_MISC_FEATURES 0x140
#define CPUID_FAULTING    (1UL << 31)

static void ask(void)
{
    u32 out[4];

    cpuid(0, 0, out);
}

TEST(users_cpuid_faults)
{
    CHECK(rdmsr(MSR_PLATFORM_INFO) & CPUID_FAULTING);
    CHECK_EQ(rdmsr(MSR_MISC_FEATURES), 0);
    CHECK_EQ(user_call(ask), VEC_GATE);
    wrmsr(MSR_MISC_FEATURES, 1);
    CHECK_EQ(user_call(ask), VEC_GP);
    CHECK_EQ(CAUGHT(ask()), NO_TRAP);
    CHECK_EQ(CAUGHT(wrmsr(MSR_MISC_FEATURES, 2)), VEC_GP);
    CHECK_EQ(CAUGHT(wrmsr(MSR_PLATFORM_INFO, 0)), VEC_GP);
    CHECK_EQ(rdmsr(MSR_MISC_FEATURES), 1);
    wrmsr(MSR_MISC_FEATURES, 0);
    CHECK_EQ(user_call(ask), VEC_GATE);
}

#define SAME_IN_BOTH 0x0183f3ffu /* features that leaf 0x80000001 repeats (AMD) */

TEST(users_cpuid_agrees_with_itself)
{
    u32 basic[4], extended[4];

    cpuid(1, 0, basic);
    cpuid(0x80000001, 0, extended);
    CHECK_EQ(basic[3] & SAME_IN_BOTH, extended[3] & SAME_IN_BOTH);
}

static void saves_fpu_to_hole(void)
{
    __asm__ volatile("fxsave (%0)" ::"r"(HOLE) : "memory");
}

static void jumps_to_hole(void)
{
    __asm__ volatile("jmp *%0" ::"r"(HOLE));
}

static void jumps_to_apic(void)
{
    __asm__ volatile("jmp *%0" ::"r"(APIC));
}

/* Instructions that the emulator does not know, and code in no RAM: faults, not the guest's end. */
TEST(users_of_device_memory)
{
    CHECK_EQ(user_call(saves_fpu_to_hole), VEC_GP);
    CHECK_EQ(user_call(jumps_to_hole), VEC_UD);
    CHECK_EQ(user_call(jumps_to_apic), VEC_UD);
}
