// SPDX-License-Identifier: MIT
/* What a guest may put into CR0, CR3, CR4 and EFER. */
#include "vendor.h"
#include "arch/fake/fake.h"
#include "arch/x86/cpu/policy.h"
#include "asm/cpufeature.h"
#include "asm/msr.h"
#include "asm/regs.h"
#include "test.h"

static xen_cpuid_leaf_t leaf1, leaf7, leaf_ext;
static struct vcpu *v;

const xen_cpuid_leaf_t *cpu_policy_find(const struct cpu_policy *p, uint32_t leaf, uint32_t subleaf)
{
    (void)p, (void)subleaf;
    return leaf == 1 ? &leaf1 : leaf == 7 ? &leaf7 : leaf == 0x80000001 ? &leaf_ext : NULL;
}

static int setup(void **state)
{
    (void)state;
    fake_init(1);
    v = fake_current = vendor_domain(1)->vcpu[0];
    host_cpu.phys_bits = 40;
    host_cpu.max_leaf = 7;
    leaf1 = (xen_cpuid_leaf_t){.leaf = 1, .d = 1u << 3 | 1u << 6 | 1u << 13};
    leaf7 = (xen_cpuid_leaf_t){.leaf = 7};
    leaf_ext = (xen_cpuid_leaf_t){.leaf = 0x80000001, .d = 1u << 11 | 1u << 20 | 1u << 29};
    hvm_vendor->set_cr(v, 0, CR0_ET | CR0_PE);
    return 0;
}

/* Written, remembered, and the translations are gone if they depend on it. */
static void accepts(unsigned cr, uint64_t val, uint64_t kept, bool flush)
{
    v->arch.hvm->asid_cpu = 0;
    assert_true(hvm_write_cr(v, cr, val));
    assert_int_equal(hvm_vendor->get_cr(v, cr), kept);
    assert_int_equal(v->arch.hvm->asid_cpu, flush ? NR_CPUS : 0);
}

static void refuses(unsigned cr, uint64_t val)
{
    uint64_t old = hvm_vendor->get_cr(v, cr);

    v->arch.hvm->asid_cpu = 0;
    assert_false(hvm_write_cr(v, cr, val));
    assert_int_equal(hvm_vendor->get_cr(v, cr), old);
    assert_int_equal(v->arch.hvm->asid_cpu, 0);
}

static void test_cr4_goes_by_the_policy(void **state)
{
    static const struct {
        uint64_t cr4;
        uint32_t *word;
        unsigned bit;
    } features[] = {{CR4_VME | CR4_PVI, &leaf1.d, 1}, {CR4_DE, &leaf1.d, 2},
                    {CR4_MCE, &leaf1.d, 7},           {CR4_OSFXSR, &leaf1.d, 24},
                    {CR4_OSXMMEXCPT, &leaf1.d, 25},   {CR4_OSXSAVE, &leaf1.c, 26},
                    {CR4_UMIP, &leaf7.c, 2},          {CR4_FSGSBASE, &leaf7.b, 0},
                    {CR4_SMEP, &leaf7.b, 7},          {CR4_SMAP, &leaf7.b, 20},
                    {CR4_PKE, &leaf7.c, 3},           {CR4_LA57, &leaf7.c, 16},
                    {CR4_VMXE, &leaf1.c, 5}};

    (void)state;
    accepts(4, CR4_PSE | CR4_PAE | CR4_TSD | CR4_PCE, CR4_PSE | CR4_PAE | CR4_TSD | CR4_PCE, true);
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
        refuses(4, CR4_PAE | features[i].cr4);
        *features[i].word |= 1u << features[i].bit;
        assert_true(hvm_write_cr(v, 4, CR4_PAE | features[i].cr4));
    }
    refuses(4, CR4_PAE | 1u << 14);
    refuses(4, CR4_PAE | 1ull << 31);
    refuses(4, CR4_PAE | 1ull << 32);
}

static void test_cr4_by_mode(void **state)
{
    (void)state;
    leaf1.c |= 1u << 17;
    leaf7.c |= 1u << 16;
    accepts(4, CR4_PAE, CR4_PAE, true);
    accepts(4, CR4_PAE, CR4_PAE, false);
    accepts(4, CR4_PAE | CR4_TSD, CR4_PAE | CR4_TSD, false);
    refuses(4, CR4_PAE | CR4_PCIDE); /* only in long mode */
    hvm_vendor->set_msr(v, MSR_EFER, EFER_LME | EFER_LMA);
    refuses(4, 0);
    refuses(4, CR4_PAE | CR4_LA57);
    hvm_vendor->set_cr(v, 3, 0x1001);
    refuses(4, CR4_PAE | CR4_PCIDE); /* only from PCID 0 */
    hvm_vendor->set_cr(v, 3, 0x1000);
    accepts(4, CR4_PAE | CR4_PCIDE, CR4_PAE | CR4_PCIDE, true);
    accepts(4, CR4_PAE | CR4_PCIDE | CR4_PGE, CR4_PAE | CR4_PCIDE | CR4_PGE, true);
}

static void test_cr3(void **state)
{
    (void)state;
    accepts(3, 0xfffffff018, 0xfffffff018, true);
    refuses(3, 1ull << 40);
    refuses(3, 1ull << 63 | 0x1000);
    hvm_vendor->set_cr(v, 4, CR4_PAE | CR4_PCIDE);
    accepts(3, 1ull << 63 | 0x1005, 0x1005, true);
}

static uint64_t efer(void)
{
    uint64_t val;

    hvm_vendor->get_msr(v, MSR_EFER, &val);
    return val;
}

static void test_cr0(void **state)
{
    (void)state;
    refuses(0, CR0_PG);
    refuses(0, CR0_PE | CR0_NW);
    refuses(0, CR0_PE | 1ull << 32);
    accepts(0, 0, CR0_ET, true);
    accepts(0, CR0_PE | 0x7f00, CR0_PE | CR0_ET, true); /* others are ignored */
    accepts(0, CR0_PE | CR0_TS, CR0_PE | CR0_TS | CR0_ET, false);
    accepts(0, CR0_PE | CR0_PG | CR0_NW | CR0_CD, CR0_PE | CR0_PG | CR0_NW | CR0_CD | CR0_ET, true);
    assert_int_equal(efer(), 0);
}

static void test_into_long_mode_and_out(void **state)
{
    struct emul_segment cs = {.attr = EMUL_SEG_P | EMUL_SEG_S | EMUL_SEG_CODE};

    (void)state;
    hvm_vendor->set_segment(v, EMUL_SEG_CS, &cs);
    assert_true(hvm_write_efer(v, EFER_LME | EFER_LMA));
    assert_int_equal(efer(), EFER_LME);
    refuses(0, CR0_PE | CR0_PG); /* no CR4.PAE */
    hvm_vendor->set_cr(v, 4, CR4_PAE);
    accepts(0, CR0_PE | CR0_PG, CR0_PE | CR0_PG | CR0_ET, true);
    assert_int_equal(efer(), EFER_LME | EFER_LMA);
    assert_false(hvm_write_efer(v, 0));
    assert_true(hvm_write_efer(v, EFER_LME | EFER_SCE));
    assert_int_equal(efer(), EFER_LME | EFER_LMA | EFER_SCE);
    cs.attr |= EMUL_SEG_L;
    hvm_vendor->set_segment(v, EMUL_SEG_CS, &cs);
    refuses(0, CR0_PE);
    cs.attr &= ~EMUL_SEG_L;
    hvm_vendor->set_segment(v, EMUL_SEG_CS, &cs);
    hvm_vendor->set_cr(v, 4, CR4_PAE | CR4_PCIDE);
    refuses(0, CR0_PE);
    hvm_vendor->set_cr(v, 4, CR4_PAE);
    accepts(0, CR0_PE, CR0_PE | CR0_ET, true);
    assert_int_equal(efer(), EFER_LME | EFER_SCE);
    cs.attr |= EMUL_SEG_L;
    hvm_vendor->set_segment(v, EMUL_SEG_CS, &cs);
    refuses(0, CR0_PE | CR0_PG);
}

static void test_efer_goes_by_the_policy(void **state)
{
    (void)state;
    assert_false(hvm_write_efer(v, EFER_SVME));
    assert_false(hvm_write_efer(v, EFER_FFXSR));
    assert_false(hvm_write_efer(v, 1ull << 32));
    v->arch.hvm->asid_cpu = 0;
    assert_true(hvm_write_efer(v, EFER_SCE | EFER_LME));
    assert_int_equal(v->arch.hvm->asid_cpu, 0);
    assert_true(hvm_write_efer(v, EFER_NXE));
    assert_int_equal(v->arch.hvm->asid_cpu, NR_CPUS);
    leaf_ext.d = 1u << 25;
    assert_true(hvm_write_efer(v, EFER_FFXSR));
    assert_false(hvm_write_efer(v, EFER_SCE));
    assert_false(hvm_write_efer(v, EFER_NXE));
    assert_false(hvm_write_efer(v, EFER_LME));
}

/* The test's host has PAE and PGE, so a policy without makes CR4 exit; one with all does not. */
static void test_exits_only_when_something_is_hidden(void **state)
{
    (void)state;
    leaf1.d = 0;
    assert_true(hvm_cr4_exits(v->domain));
    leaf1.c = leaf1.d = leaf7.b = leaf7.c = leaf7.d = ~0u;
    assert_false(hvm_cr4_exits(v->domain));
}

static uint64_t policy_xcr0;

uint64_t cpu_policy_xcr0(const struct cpu_policy *p)
{
    (void)p;
    return policy_xcr0;
}

/* What it takes the CPU gets, which only a hypervisor may give it: so only what it refuses. */
static void test_xcr0_goes_by_the_policy(void **state)
{
    (void)state;
    host_cpu.xcr0_max = 0x207;
    policy_xcr0 = 3;
    v->arch.xcr0 = 1;
    assert_false(hvm_write_xcr0(v, 7));
    assert_false(hvm_write_xcr0(v, 0x203));
    assert_false(hvm_write_xcr0(v, 2));
    policy_xcr0 = 0xe7;
    assert_false(hvm_write_xcr0(v, 0xe7));
    assert_int_equal(v->arch.xcr0, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_cr4_goes_by_the_policy, setup),
        cmocka_unit_test_setup(test_cr4_by_mode, setup),
        cmocka_unit_test_setup(test_cr3, setup),
        cmocka_unit_test_setup(test_cr0, setup),
        cmocka_unit_test_setup(test_into_long_mode_and_out, setup),
        cmocka_unit_test_setup(test_efer_goes_by_the_policy, setup),
        cmocka_unit_test_setup(test_exits_only_when_something_is_hidden, setup),
        cmocka_unit_test_setup(test_xcr0_goes_by_the_policy, setup),
    };

    return cmocka_run_group_tests_name("hvm-cr", tests, NULL, NULL);
}
