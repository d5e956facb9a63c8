// SPDX-License-Identifier: MIT
/* CPU policies that the tools set: what of them has to be there, and what is cut. */
#include "arch/fake/fake.h"
#include "arch/x86/cpu/policy.h"
#include "asm/cpufeature.h"
#include "asm/regs.h"
#include "domain/domain.h"
#include "hypercall/handlers.h"
#include "hypercall/hypercall.h"
#include "lib/errno.h"
#include <xen/domctl.h>
#include "test.h"

#define NO_SUBLEAF XEN_CPUID_NO_SUBLEAF
#define MONITOR    (1u << 3)
#define XSAVE      (1u << 26)
#define AVX        (1u << 28)

struct cpu_identity host_cpu;

static struct domain *d;
static struct vcpu *caller;
static xen_cpuid_leaf_t leaves[POLICY_MAX_LEAVES];
static uint32_t nr;
static struct xen_domctl arg;

bool arch_has_hvm(void)
{
    return true;
}

static long set_policy(void)
{
    struct call c = {.v = caller, .d = d};

    arg = (struct xen_domctl){.u.cpu_policy = {.nr_leaves = nr}};
    arg.u.cpu_policy.leaves.p = leaves;
    return domctl_set_cpu_policy(&c, &arg);
}

static xen_cpuid_leaf_t *leaf(uint32_t number, uint32_t subleaf)
{
    for (uint32_t i = 0; i < nr; i++)
        if (leaves[i].leaf == number && leaves[i].subleaf == subleaf)
            return &leaves[i];
    fail();
    return NULL;
}

/* A domain of that kind; leaves: the most that it can have. */
static int begin(bool is_hvm)
{
    struct xen_sysctl op = {.u.cpu_policy = {.index = is_hvm ? XEN_SYSCTL_cpu_policy_hvm_max
                                                             : XEN_SYSCTL_cpu_policy_pv_max,
                                             .nr_leaves = POLICY_MAX_LEAVES}};
    struct call c = {0};

    fake_init(1);
    caller = fake_domain(0, 1)->vcpu[0];
    d = fake_domain(7, 1);
    d->is_hvm = is_hvm;
    op.u.cpu_policy.leaves.p = leaves;
    c.v = caller;
    assert_int_equal(sysctl_get_cpu_policy(&c, &op), 0);
    nr = op.u.cpu_policy.nr_leaves;
    d->arch.cpu_policy = calloc(1, sizeof(struct cpu_policy));
    d->arch.cpu_policy->nr = nr;
    memcpy(d->arch.cpu_policy->leaf, leaves, nr * sizeof(leaves[0]));
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return begin(true);
}

static int setup_pv(void **state)
{
    (void)state;
    return begin(false);
}

static int teardown(void **state)
{
    (void)state;
    free(d->arch.cpu_policy);
    return 0;
}

static void test_levelled(void **state)
{
    (void)state;
    assert_int_equal(set_policy(), 0);
    leaf(1, NO_SUBLEAF)->c &= ~1u;
    leaf(1, NO_SUBLEAF)->d |= 1u << 28; /* HTT is the tools' idea */
    leaf(0x80000001, NO_SUBLEAF)->d &= ~(1u << 20);
    assert_int_equal(set_policy(), 0);
    assert_false(cpu_policy_find(d->arch.cpu_policy, 1, 0)->c & 1);
    assert_false(cpu_policy_find(d->arch.cpu_policy, 0x80000001, 0)->d & 1u << 20);
}

static void test_more_than_there_is(void **state)
{
    const uint32_t had = cpu_policy_find(d->arch.cpu_policy, 1, 0)->c;

    (void)state;
    leaf(1, NO_SUBLEAF)->c |= MONITOR;
    assert_int_equal(set_policy(), -EINVAL);
    assert_int_equal(arg.u.cpu_policy.err_leaf, 1);
    assert_int_equal(cpu_policy_find(d->arch.cpu_policy, 1, 0)->c, had);
    leaf(1, NO_SUBLEAF)->c = had;
    leaf(7, 0)->d |= 1;
    assert_int_equal(set_policy(), -EINVAL);
    assert_int_equal(arg.u.cpu_policy.err_leaf, 7);
    assert_int_equal(arg.u.cpu_policy.err_subleaf, 0);
    leaf(7, 0)->d = 0;
    leaf(0x80000008, NO_SUBLEAF)->b |= 1u << 31;
    assert_int_equal(set_policy(), -EINVAL);
}

/* Of another CPU: what it tells of itself goes, what a guest could use is missed. */
static void test_leaves_that_are_not_here(void **state)
{
    (void)state;
    leaves[nr] = (xen_cpuid_leaf_t){.leaf = 0x8000001d, .subleaf = 0, .a = 1};
    leaves[nr + 1] = (xen_cpuid_leaf_t){.leaf = 0xd, .subleaf = 40, .a = 64, .b = 2700};
    nr += 2;
    assert_int_equal(set_policy(), 0);
    assert_null(cpu_policy_find(d->arch.cpu_policy, 0x8000001d, 0));
    leaves[nr++] = (xen_cpuid_leaf_t){.leaf = 0x80000021, .subleaf = NO_SUBLEAF, .a = 4};
    assert_int_equal(set_policy(), -EINVAL);
    assert_int_equal(arg.u.cpu_policy.err_leaf, 0x80000021);
}

/* Components of what is hidden are hidden, for both kinds; of protection keys for PV guests always.
 */
static void test_components(void **state)
{
    const uint64_t all = leaf(0xd, 0)->a;

    (void)state;
    assert_int_equal(cpu_policy_xcr0(d->arch.cpu_policy), all);
    assert_int_equal(all & XCR0_PKRU & ~(d->is_hvm ? XCR0_PKRU : 0), 0);
    leaf(1, NO_SUBLEAF)->c &= ~AVX;
    assert_int_equal(set_policy(), 0);
    assert_int_equal(cpu_policy_xcr0(d->arch.cpu_policy), all & ~XCR0_YMM & ~XCR0_AVX512);
    leaf(1, NO_SUBLEAF)->c &= ~XSAVE;
    assert_int_equal(set_policy(), 0);
    assert_int_equal(cpu_policy_xcr0(d->arch.cpu_policy), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_levelled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_more_than_there_is, setup, teardown),
        cmocka_unit_test_setup_teardown(test_leaves_that_are_not_here, setup, teardown),
        cmocka_unit_test_setup_teardown(test_components, setup, teardown),
        cmocka_unit_test_setup_teardown(test_components, setup_pv, teardown),
    };

    host_cpu = (struct cpu_identity){
        .max_leaf = 0xd, .max_ext_leaf = 0x80000008, .xcr0_max = 0xe7 | XCR0_PKRU};
    memset(host_cpu.features, 0xff, sizeof(host_cpu.features));
    cpu_policy_init();
    return cmocka_run_group_tests_name("hvm-levels", tests, NULL, NULL);
}
