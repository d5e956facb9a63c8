// SPDX-License-Identifier: MIT
/*
 * Attackers with registers: what a guest may not set raises #GP, what is odd but allowed stays the
 * guest's own affair, and the hypervisor goes on in either case.
 */
#include "guest.h"
#include <xen/hvm/hvm_op.h>

static int rdmsr_traps(u32 msr, u64 *val)
{
    u32 lo = 0, hi = 0;
    int vec;

    vec = CAUGHT(__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr)));
    *val = (u64)hi << 32 | lo;
    return vec;
}

static int wrmsr_traps(u32 msr, u64 val)
{
    return CAUGHT(wrmsr(msr, val));
}

/* What the next instructions of ours stand on, or is a call in itself. */
static bool vital(u32 msr)
{
    return msr == MSR_EFER || msr == MSR_APIC_BASE || (msr & ~0xffU) == 0x40000000;
}

static void sweep(u32 first, u32 last)
{
    static const u64 evil[] = {0, ~0UL, 1UL << 63, 0x0000800000000000};

    for (u32 msr = first; msr <= last && !failed_often(); msr++) {
        u64 old, now_;
        int vec = rdmsr_traps(msr, &old);

        if (vec != NO_TRAP && vec != VEC_GP)
            CHECK_EQ(vec, VEC_GP);
        if (vital(msr))
            continue;
        /* What cannot be read might still be written: only one value is tried of most. */
        for (unsigned i = 0; i < (vec == NO_TRAP ? ARRAY_SIZE(evil) : 1); i++) {
            int wvec = wrmsr_traps(msr, vec == NO_TRAP ? evil[i] : ~0UL);

            if (wvec != NO_TRAP && wvec != VEC_GP)
                CHECK_EQ(wvec, VEC_GP);
            if (vec == NO_TRAP && wvec == NO_TRAP)
                HC2(sched_op, SCHEDOP_yield, 0);
        }
        if (vec == NO_TRAP)
            wrmsr_traps(msr, old);
        if (vec == NO_TRAP && msr != 0x10 && msr != 0x839 && rdmsr_traps(msr, &now_) == NO_TRAP &&
            now_ != old && !(msr >= 0xc0010000 && msr < 0xc0011000))
            say("  msr %#x was %#lx, is %#lx\n", msr, old, now_);
    }
}

TEST(attack_msr_sweep_low)
{
    sweep(0, 0x7ff);
    apic_init();
}

TEST(attack_msr_sweep_apic)
{
    sweep(0x800, 0x1fff);
}

TEST(attack_msr_sweep_amd)
{
    sweep(0xc0000000, 0xc00001ff);
    sweep(0xc0000f00, 0xc0001fff);
    sweep(0xc0010000, 0xc00103ff);
    sweep(0xc0011000, 0xc00111ff);
}

TEST(attack_msr_sweep_elsewhere)
{
    for (u32 bit = 13; bit < 32; bit++)
        sweep((1U << bit) - 4, (1U << bit) + 4);
    sweep(0x40000000, 0x400000ff);
    sweep(0xfffffff0, 0xfffffffe);
}

/* A CPU that finds these in a VMCB refuses to run it. */
TEST(attack_efer)
{
    u64 efer = rdmsr(MSR_EFER);

    for (unsigned bit = 0; bit < 64; bit++) {
        u64 flag = 1UL << bit;
        int vec = wrmsr_traps(MSR_EFER, efer ^ flag);

        if (flag == 1 || flag == EFER_NXE || flag == EFER_LMA || (bit >= 13 && bit <= 18)) {
            /* allowed, ignored, or refused, as the CPU is */
            wrmsr_traps(MSR_EFER, efer);
            continue;
        }
        if (vec != VEC_GP)
            fail(__FILE__, __LINE__, "bit %u: %d", bit, vec);
    }
    CHECK_EQ(rdmsr(MSR_EFER) & ~0x7e000UL, efer);
}

/* SVM is not there, whatever the host has. */
TEST(attack_svm_msrs)
{
    static const u32 msrs[] = {0xc0010115, 0xc0010117, 0xc0010118, 0xc001011b};
    u64 val;

    for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
        rdmsr_traps(msrs[i], &val);
        CHECK_EQ(val, 0);
        CHECK_EQ(wrmsr_traps(msrs[i], 0x1000), VEC_GP);
    }
    CHECK_EQ(wrmsr_traps(0xc0010114, 1), VEC_GP);
}

static void cpuid_sweep(u32 base, unsigned n)
{
    u32 out[4];

    for (u32 leaf = base; leaf - base < n; leaf++)
        for (u32 sub = 0; sub < 4; sub++)
            CHECK_EQ(CAUGHT(cpuid(leaf, sub << 30 | sub, out)), NO_TRAP);
}

TEST(attack_cpuid_sweep)
{
    u32 out[4];

    for (unsigned bit = 4; bit < 32; bit++)
        cpuid_sweep((1U << bit) - 8, 16);
    cpuid_sweep(0, 64);
    cpuid_sweep(0x40000000, 300);
    cpuid_sweep(0x80000000, 64);
    cpuid_sweep(0xfffffff0, 16);
    cpuid(0x80000001, 0, out);
    CHECK_EQ(out[2] >> 2 & 1, 0); /* SVM */
    cpuid(0x8000001f, 0, out);    /* memory encryption: the host's, if at all */
    CHECK_EQ(out[0] | out[1] | out[2] | out[3], 0);
    cpuid(1, 0, out);
    CHECK_EQ(out[2] >> 5 & 1, 0);  /* VMX */
    CHECK_EQ(out[2] >> 31 & 1, 1); /* a hypervisor */
}

/* Not canonical: refused by new CPUs, cut or kept by others; then it must get through exits. */
TEST(attack_odd_addresses)
{
    static const u32 msrs[] = {0xc0000082, 0xc0000083, 0xc0000100, 0xc0000101,
                               0xc0000102, 0x175,      0x176};
    static const u64 evil[] = {0x0000800000000000, 0x7fffffffffffffff, 0xdeadbeefdeadbeef};

    for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
        for (unsigned j = 0; j < ARRAY_SIZE(evil); j++) {
            u64 old = rdmsr(msrs[i]);

            wrmsr_traps(msrs[i], evil[j]);
            HC2(sched_op, SCHEDOP_yield, 0);
            sleep_ms(1); /* another guest, or none, runs in between */
            wrmsr(msrs[i], old);
        }
}

/* Without PAE there is no 64-bit code, and SMEP and SMAP are against how this kernel maps itself.
 */
#define CR4_KEPT (1UL << 5 | 1UL << 20 | 1UL << 21)

TEST(attack_cr3)
{
    for (unsigned bit = 52; bit < 63; bit++)
        CHECK_EQ(CAUGHT(write_cr3(read_cr3() | 1UL << bit)), VEC_GP);
}

/* CR4 bit by bit: refused or not, the next bit is tried by a guest that still works. */
TEST(attack_cr4)
{
    u64 cr4 = read_cr4();

    for (unsigned bit = 0; bit < 64; bit++) {
        if (bit >= 32)
            CHECK_EQ(CAUGHT(write_cr4(cr4 | 1UL << bit)), VEC_GP);
        if (bit >= 32 || (CR4_KEPT >> bit & 1))
            continue;
        CAUGHT(write_cr4(cr4 ^ 1UL << bit));
        HC2(sched_op, SCHEDOP_yield, 0);
        write_cr4(cr4);
        CHECK_EQ(read_cr4(), cr4);
    }
}

/* Priorities that there are none of: a CPU refuses them, or cuts them. */
TEST(attack_cr8)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        irq_off();
        CAUGHT(write_cr8(1UL << bit));
        CHECK_EQ(read_cr8(), bit < 4 ? 1UL << bit : 0);
        HC2(sched_op, SCHEDOP_yield, 0);
        CHECK_EQ(read_cr8(), bit < 4 ? 1UL << bit : 0);
        write_cr8(0);
        irq_on();
    }
}

/* What reaches the VMCB of these the CPU has let through: it may refuse to run it. */
RISK(attack_cr0_high)
{
    CAUGHT(write_cr0(read_cr0() | 1UL << 40));
    HC2(sched_op, SCHEDOP_yield, 0);
}

RISK(attack_cr0_nw)
{
    CAUGHT(write_cr0(read_cr0() | 1UL << 29));
    HC2(sched_op, SCHEDOP_yield, 0);
}

RISK(attack_dr6_high)
{
    CAUGHT(write_dr6(~0UL));
    HC2(sched_op, SCHEDOP_yield, 0);
}

RISK(attack_dr7_high)
{
    CAUGHT(write_dr7(1UL << 35 | 0x400));
    HC2(sched_op, SCHEDOP_yield, 0);
}

RISK(attack_pat)
{
    CAUGHT(wrmsr(0x277, 0x0203020302030203));
    HC2(sched_op, SCHEDOP_yield, 0);
    CAUGHT(wrmsr(0x277, ~0UL));
    HC2(sched_op, SCHEDOP_yield, 0);
}

/* Breakpoints of the guest's on whatever address are nothing to the hypervisor. */
TEST(attack_debug_registers)
{
    static const u64 evil[] = {0xffff828000000000, 0xffff830000000000, ~0UL, 0x1000};
    struct xen_hvm_get_time t;

    for (unsigned i = 0; i < ARRAY_SIZE(evil); i++) {
        write_dr0(evil[i]);
        write_dr7(0xf0003 | 0x400); /* data, 8 bytes, read or written */
        for (unsigned n = 0; n < 20; n++)
            CHECK_EQ(CAUGHT(HC2(hvm_op, HVMOP_get_time, &t)), NO_TRAP);
        sleep_ms(1);
        CHECK_EQ(read_dr0(), evil[i]);
        write_dr7(0x400);
    }
    write_dr0(0);
}

/* Into x2APIC mode and by ways that do not exist; the page stays where it is. */
TEST(attack_apic_base)
{
    u64 base = rdmsr(MSR_APIC_BASE);

    CHECK_EQ(wrmsr_traps(MSR_APIC_BASE, base ^ 1UL << 12), VEC_GP);
    CHECK_EQ(wrmsr_traps(MSR_APIC_BASE, base | 1UL << 52), VEC_GP);
    CHECK_EQ(wrmsr_traps(MSR_APIC_BASE, base | 1), VEC_GP);
    CHECK_EQ(wrmsr_traps(MSR_APIC_BASE, (base | APIC_X2APIC) & ~(u64)APIC_ENABLE), VEC_GP);
    REQUIRE_EQ(wrmsr_traps(MSR_APIC_BASE, base | APIC_X2APIC), NO_TRAP);
    CHECK_EQ(wrmsr_traps(MSR_APIC_BASE, base), VEC_GP);
    sweep(0x800, 0x8ff);
    CHECK_EQ(wrmsr_traps(MSR_APIC_BASE, base & ~(u64)APIC_ENABLE), NO_TRAP);
    CHECK_EQ(wrmsr_traps(MSR_APIC_BASE, base | APIC_X2APIC), VEC_GP);
    CHECK_EQ(wrmsr_traps(MSR_APIC_BASE, base), NO_TRAP);
    apic_init();
}
