// SPDX-License-Identifier: MIT
/* CPUID and MSRs of both kinds of guests: what is the same for them, and what is not. */
#include "vendor.h"
#include "arch/fake/fake.h"
#include "arch/x86/cpu/policy.h"
#include "arch/x86/pv/pv.h"
#include "arch/x86/time/time.h"
#include "asm/cpufeature.h"
#include "asm/msr.h"
#include "asm/regs.h"
#include "mem/mem.h"
#include <xen/arch-x86/cpuid.h>
#include "test.h"

uint32_t cpu_khz = 2000000;
struct mitigations mitigations;

static xen_cpuid_leaf_t leaf[] = {{.leaf = 1}, {.leaf = 7}, {.leaf = 0xb}, {.leaf = 0x80000001}};
static struct vcpu *hvm, *pv;
static bool trusted;

const xen_cpuid_leaf_t *cpu_policy_find(const struct cpu_policy *p, uint32_t number, uint32_t sub)
{
    (void)p, (void)sub;
    for (unsigned i = 0; i < ARRAY_SIZE(leaf); i++)
        if (leaf[i].leaf == number)
            return &leaf[i];
    return NULL;
}

bool tsc_trusted(void)
{
    return trusted;
}

static int setup(void **state)
{
    (void)state;
    fake_init(1);
    hvm = fake_current = vendor_domain(3)->vcpu[2];
    pv = fake_domain(9, 3)->vcpu[2];
    return 0;
}

static struct emul_cpuid ask(const struct vcpu *v, uint32_t number, uint32_t subleaf)
{
    struct emul_cpuid res;

    if (v == hvm)
        hvm_cpuid(v, number, subleaf, &res);
    else
        pv_cpuid(v, number, subleaf, &res);
    return res;
}

static void is(const struct vcpu *v, uint32_t number, uint32_t subleaf, uint32_t a, uint32_t b,
               uint32_t c, uint32_t d)
{
    const struct emul_cpuid res = ask(v, number, subleaf), want = {a, b, c, d};

    assert_memory_equal(&res, &want, sizeof(res));
}

static void test_hypervisor_leaves(void **state)
{
    struct vcpu *const both[] = {hvm, pv};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct arch_domain *a = &both[i]->domain->arch;

        is(both[i], 0x40000000, 0, 0x40000005, 0x566e6558, 0x65584d4d, 0x4d4d566e);
        is(both[i], 0x40000001, 0, 0x40011, 0, 0, 0);
        is(both[i], 0x40000002, 0, 1, 0x40000000, both[i] == pv, 0);
        /* The clock is the domain's, privileged or not. */
        a->tsc_mode = 1;
        a->tsc_khz = 1234567;
        a->tsc_incarnation = 7;
        a->vtsc = true;
        trusted = false;
        is(both[i], 0x40000003, 0, 1, 1, 1234567, 7);
        both[i]->domain->is_privileged = true;
        a->vtsc = false;
        trusted = true;
        leaf[3].d = 1u << 27;
        is(both[i], 0x40000003, 0, 6, 1, 1234567, 7);
        leaf[3].d = 0;
        is(both[i], 0x40000003, 1, 0, 0, 0, 0);
        is(both[i], 0x40000003, 2, 2000000, 0, 0, 0);
        for (uint32_t l = 0x40000004; l < 0x40000100; l++)
            is(both[i], l, 1, 0, 0, 0, 0);
        is(both[i], 0x40000006, 0, 0, 0, 0, 0);
        is(both[i], 0x40000100, 0, 0, 0, 0, 0);
    }
    is(hvm, 0x40000004, 0, 0x1a, 2, 7, 0);
    is(pv, 0x40000004, 0, 0, 0, 0, 0);
    is(hvm, 0x40000005, 0, 0, 0, 0, 0);
    max_page = 0x100000;
    is(pv, 0x40000005, 0, 0, 32, 0, 0);
    max_page++;
    is(pv, 0x40000005, 0, 0, 33, 0, 0);
}

static void test_own_numbers(void **state)
{
    struct vcpu *const both[] = {hvm, pv};

    (void)state;
    leaf[0] = (xen_cpuid_leaf_t){.leaf = 1, .b = 0xff000800};
    leaf[2] = (xen_cpuid_leaf_t){.leaf = 0xb, .a = 1, .d = 0x55};
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(ask(both[i], 1, 0).b, 0x04000800);
        leaf[0].c = 0;
        is(both[i], 0xb, 0, 0, 0, 0, 0);
        leaf[0].c = 1u << 21;
        is(both[i], 0xb, 0, 0, 0, 0, 4);
        is(both[i], 0xb, 1, 0, 0, 1, 4);
        is(both[i], 2, 0, 0, 0, 0, 0);
    }
}

/* What follows control registers, and the local APIC's state. */
static void test_state(void **state)
{
    (void)state;
    leaf[0] = (xen_cpuid_leaf_t){.leaf = 1, .d = 1u << 9};
    leaf[1] = (xen_cpuid_leaf_t){.leaf = 7};
    is(hvm, 1, 0, 0, 4u << 24, 0, 1u << 9);
    hvm->arch.hvm->lapic.base &= ~(uint64_t)APIC_BASE_ENABLE;
    hvm_vendor->set_cr(hvm, 4, CR4_OSXSAVE | CR4_PKE);
    is(hvm, 1, 0, 0, 4u << 24, 1u << 27, 0);
    is(hvm, 7, 0, 0, 0, 1u << 4, 0);
    is(hvm, 7, 1, 0, 0, 0, 0);
    is(pv, 1, 0, 0, 4u << 24, 0, 1u << 9);
    leaf[0].c = 1u << 26;
    is(pv, 1, 0, 0, 4u << 24, 1u << 26, 1u << 9); /* its user has to wait for it */
    pv->arch.pv.flags |= PVF_KERNEL_MODE;
    is(pv, 1, 0, 0, 4u << 24, 3u << 26, 1u << 9);
    pv->arch.pv.flags = 0;
    pv->arch.pv.ctrlreg[4] = CR4_OSXSAVE;
    is(pv, 1, 0, 0, 4u << 24, 3u << 26, 1u << 9);
}

static void reads(uint32_t msr, bool there, uint64_t want)
{
    uint64_t val;

    assert_int_equal(cpu_policy_rdmsr(pv, msr, &val), there);
    assert_int_equal(val, want);
}

static void test_msrs(void **state)
{
    struct cpu_policy p = {.cpuid_faulting = false};

    (void)state;
    pv->domain->arch.cpu_policy = &p;
    reads(MSR_PLATFORM_INFO, true, 0);
    assert_true(cpu_set_misc_features(pv, 0));
    assert_false(cpu_set_misc_features(pv, FEATURES_CPUID_FAULT));
    p.cpuid_faulting = true;
    reads(MSR_PLATFORM_INFO, true, PLATFORM_CPUID_FAULT);
    assert_true(cpu_set_misc_features(pv, FEATURES_CPUID_FAULT));
    reads(MSR_MISC_FEATURES, true, FEATURES_CPUID_FAULT);
    assert_false(cpu_set_misc_features(pv, 2));
    assert_true(pv->arch.cpuid_faults);
    reads(MSR_EFER, false, 0);
    host_cpu.vendor = VENDOR_INTEL;
    reads(MSR_DE_CFG, false, 0);
    host_cpu.vendor = VENDOR_AMD;
    reads(MSR_DE_CFG, true, 0);
    mitigations.lfence = true;
    reads(MSR_DE_CFG, true, DE_CFG_LFENCE_SERIAL);
    reads(MSR_HWCR, true, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_hypervisor_leaves, setup),
        cmocka_unit_test_setup(test_own_numbers, setup),
        cmocka_unit_test_setup(test_state, setup),
        cmocka_unit_test_setup(test_msrs, setup),
    };

    return cmocka_run_group_tests_name("hvm-cpuid", tests, NULL, NULL);
}
