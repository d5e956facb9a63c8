// SPDX-License-Identifier: MIT
/* What CR0, CR3, CR4 and EFER may hold, whatever way it comes by. */
#include "vendor.h"
#include "arch/api/arch_domain.h"
#include "arch/fake/fake.h"
#include "arch/x86/cpu/policy.h"
#include "arch/x86/hvm/save.h"
#include "asm/cpufeature.h"
#include "asm/fpu.h"
#include "asm/msr.h"
#include "asm/regs.h"
#include <xen/hvm/hvm_vcpu.h>
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
    host_cpu = (struct cpu_identity){.phys_bits = 40, .virt_bits = 48, .max_leaf = 7};
    v = fake_current = vendor_domain(1)->vcpu[0];
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
    hvm_vendor->set_cr(v, 0, CR0_PE | CR0_PG);
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
    /* What it set unseen in CR4 does not keep it from this register. */
    hvm_vendor->set_cr(v, 4, CR4_PAE | CR4_SMEP);
    accepts(0, CR0_PE | CR0_WP, CR0_PE | CR0_WP | CR0_ET, true);
    assert_true(hvm_write_efer(v, 0));
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
    static uint64_t area[104];

    (void)state;
    host_cpu.xcr0_max = 0x207;
    policy_xcr0 = 3;
    v->arch.xcr0 = 1;
    assert_false(fpu_set_xcr0(v, 7));
    assert_false(fpu_set_xcr0(v, 0x203));
    assert_false(fpu_set_xcr0(v, 2));
    policy_xcr0 = 0xe7;
    assert_false(fpu_set_xcr0(v, 0xe7));
    assert_int_equal(v->arch.xcr0, 1);
    /* Who has none shown is saved with what every vcpu begins with, and comes back. */
    policy_xcr0 = 0;
    host_cpu.xsave_size = sizeof(area);
    xfree(v->arch.fpu_alloc);
    assert_int_equal(fpu_create(v), 0);
    area[XSAVE_HEADER_OFF / 8] = 3;
    assert_int_equal(fpu_import(v, 1, area, sizeof(area)), 0);
    assert_int_equal(fpu_import(v, 3, area, sizeof(area)), -EINVAL);
    assert_false(fpu_set_xcr0(v, 1));
}

/* --- the three ways into a state: step by step, at the start, out of a record --- */

/* Records ask for it; none here has any. */
bool hvm_rdmsr(struct vcpu *vcpu, uint32_t msr, uint64_t *val)
{
    (void)vcpu, (void)msr, (void)val;
    return false;
}

bool hvm_wrmsr(struct vcpu *vcpu, uint32_t msr, uint64_t val)
{
    (void)vcpu, (void)msr, (void)val;
    return false;
}

#define BIT_HIDDEN CR4_PKE

static const uint64_t cr0_bits[] = {CR0_PE, CR0_PG, CR0_WP, CR0_NW, CR0_CD};
static const uint64_t cr4_bits[] = {CR4_PAE, CR4_PCIDE, CR4_LA57, CR4_CET, BIT_HIDDEN};
static const uint64_t efer_bits[] = {EFER_LME, EFER_LMA, EFER_NXE};

enum { NR_STATES = 1 << 13 };

struct state {
    uint64_t cr0, cr4, efer;
};

static uint64_t spread(const uint64_t *bits, unsigned nr, unsigned which)
{
    uint64_t val = 0;

    for (unsigned i = 0; i < nr; i++)
        val |= which >> i & 1 ? bits[i] : 0;
    return val;
}

static unsigned gather(const uint64_t *bits, unsigned nr, uint64_t val)
{
    unsigned which = 0;

    for (unsigned i = 0; i < nr; i++)
        which |= (val & bits[i] ? 1u : 0) << i;
    return which;
}

static struct state state_of(unsigned n)
{
    return (struct state){spread(cr0_bits, 5, n & 31), spread(cr4_bits, 5, n >> 5 & 31),
                          spread(efer_bits, 3, n >> 10)};
}

static unsigned number_of(struct state s)
{
    return gather(cr0_bits, 5, s.cr0) | gather(cr4_bits, 5, s.cr4) << 5 |
           gather(efer_bits, 3, s.efer) << 10;
}

static void enter(struct state s, bool long_code, uint64_t pcid)
{
    struct emul_segment cs = {.attr = long_code ? EMUL_SEG_L : 0};

    hvm_vendor->set_cr(v, 0, s.cr0 | CR0_ET);
    hvm_vendor->set_cr(v, 3, 0x1000 | pcid);
    hvm_vendor->set_cr(v, 4, s.cr4);
    hvm_vendor->set_msr(v, MSR_EFER, s.efer);
    hvm_vendor->set_segment(v, EMUL_SEG_CS, &cs);
}

static struct state now(void)
{
    return (struct state){hvm_vendor->get_cr(v, 0) & ~CR0_ET, hvm_vendor->get_cr(v, 4), efer()};
}

/* One write of register 0, 4 or 8, which is EFER; as the manuals describe the instruction, in
 * other words than the code's. */
static bool manual_allows(struct state s, unsigned reg, uint64_t val, bool long_code, uint64_t pcid)
{
    bool lma = s.efer & EFER_LMA, paging = s.cr0 & CR0_PG;

    if (reg == 8)
        return !(val & ~(EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE)) &&
               (!paging || !((val ^ s.efer) & EFER_LME));
    if (reg == 4)
        return !(val & BIT_HIDDEN) && !(lma && !(val & CR4_PAE)) &&
               !(lma && ((val ^ s.cr4) & CR4_LA57)) &&
               !((val & ~s.cr4 & CR4_PCIDE) && (!lma || pcid)) &&
               !((val & CR4_CET) && !(s.cr0 & CR0_WP));
    if (((val & CR0_PG) && !(val & CR0_PE)) || ((val & CR0_NW) && !(val & CR0_CD)) || val >> 32)
        return false;
    if (!(val & CR0_WP) && (s.cr4 & CR4_CET))
        return false;
    if ((val & CR0_PG) && !paging && (s.efer & EFER_LME))
        return (s.cr4 & CR4_PAE) && !long_code;
    if (!(val & CR0_PG) && lma)
        return !(s.cr4 & CR4_PCIDE) && !long_code;
    return true;
}

static uint8_t reached[NR_STATES];
static unsigned found[NR_STATES], nr_found;

static void step(struct state s, unsigned reg, uint64_t val, bool long_code, uint64_t pcid)
{
    bool ok;

    enter(s, long_code, pcid);
    ok = reg == 8 ? hvm_write_efer(v, val) : hvm_write_cr(v, reg, val);
    if (ok != manual_allows(s, reg, val, long_code, pcid))
        fail_msg("cr0 %lx cr4 %lx efer %lx: write of %u, %lx (long %d, pcid %lx): %d", s.cr0, s.cr4,
                 s.efer, reg, val, long_code, pcid, ok);
    if (ok && !reached[number_of(now())]) {
        reached[number_of(now())] = 1;
        found[nr_found++] = number_of(now());
    }
    if (!ok)
        assert_int_equal(number_of(now()), number_of(s));
}

/* All that a guest can bring about from the state after a reset. */
static void explore(void)
{
    static const uint64_t odd[] = {0, 1ull << 6, 1ull << 32};

    reached[0] = 1;
    nr_found = 1;
    for (unsigned at = 0; at < nr_found; at++)
        for (unsigned how = 0; how < 4; how++) {
            struct state s = state_of(found[at]);
            bool long_code = how & 1;
            uint64_t pcid = how & 2 ? 5 : 0;

            for (unsigned i = 0; i < 32; i++) {
                for (unsigned o = 0; o < ARRAY_SIZE(odd); o++)
                    step(s, 0, spread(cr0_bits, 5, i) | odd[o], long_code, pcid);
                step(s, 4, spread(cr4_bits, 5, i), long_code, pcid);
                step(s, 8, spread(efer_bits, 3, i & 7) | (i & 8 ? EFER_SVME : 0), long_code, pcid);
            }
        }
}

static uint16_t ss_dpl;

static bool starts(struct state s)
{
    struct vcpu_hvm_context ctx = {.mode = VCPU_HVM_MODE_32B};
    struct vcpu_hvm_x86_32 *c = &ctx.cpu_regs.x86_32;

    c->cr0 = s.cr0;
    c->cr4 = s.cr4;
    c->efer = s.efer;
    c->cs_ar = 0x9b;
    c->ds_ar = c->es_ar = 0x93;
    c->ss_ar = 0x93 | ss_dpl;
    c->tr_ar = 0x8b;
    v->is_initialised = false;
    if (arch_hvm_initialise(v, (uintptr_t)&ctx))
        return false;
    assert_true(hvm_vendor->get_cr(v, 0) == (s.cr0 | CR0_ET));
    assert_true(hvm_vendor->get_cr(v, 4) == s.cr4);
    return true;
}

static bool loads(struct state s)
{
    struct hvm_hw_cpu c = {.cr0 = s.cr0, .cr4 = s.cr4, .msr_efer = s.efer, .ss_arbytes = ss_dpl};

    return !hvm_records[0].load(v, &c, sizeof(c));
}

/*
 * What can be reached step by step is what a vcpu can start with and what a record can hold; but
 * for LMA, which who starts a vcpu does not have to name.
 */
static void test_all_ways_lead_to_the_same_states(void **state)
{
    unsigned nr = 0;

    (void)state;
    leaf1.c |= 1u << 17;
    leaf7.c |= 1u << 16 | 1u << 7;
    memset(reached, 0, sizeof(reached));
    explore();
    for (unsigned n = 0; n < NR_STATES; n++) {
        struct state s = state_of(n), full = s, odd = s;

        if ((s.cr0 & CR0_PG) && (s.efer & EFER_LME))
            full.efer |= EFER_LMA;
        assert_int_equal(loads(s), reached[n]);
        assert_int_equal(starts(s), reached[number_of(full)]);
        nr += reached[n];
        odd.cr0 |= 1u << 6;
        assert_false(loads(odd) || starts(odd));
        odd = s;
        odd.efer |= EFER_SVME;
        assert_false(loads(odd) || starts(odd));
        s.cr0 |= 1ull << 32;
        assert_false(loads(s));
    }
    assert_int_equal(nr, nr_found);
    ss_dpl = EMUL_SEG_DPL;
    assert_false(loads(state_of(0)) || starts(state_of(0))); /* real mode is level 0 */
    assert_true(loads(state_of(1)) && starts(state_of(1)));
    ss_dpl = 0;
    assert_in_range(nr, 300, 1000);
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
        cmocka_unit_test_setup(test_all_ways_lead_to_the_same_states, setup),
    };

    return cmocka_run_group_tests_name("hvm-cr", tests, NULL, NULL);
}
