// SPDX-License-Identifier: MIT
/* What has to go from a CPU policy when something else is hidden. */
#include "arch/x86/cpu/policy.h"
#include "test.h"

#define NO_SUBLEAF XEN_CPUID_NO_SUBLEAF

/* A CPU with AVX, AVX-512 and protection keys, and places for components up to 9. */
static const struct cpu_policy cpu = {
    .nr = 16,
    .leaf = {
        {1, NO_SUBLEAF, .c = 1u << 26 | 1u << 28 | 1u << 12 | 1u << 17, .d = 7u << 24 | 1u << 6},
        {7, 0, .b = 1u << 5 | 1u << 16, .c = 1u << 3 | 1u << 16 | 1u << 2},
        {0xd, 0, .a = 0x2e7, .b = 2696, .c = 2696},
        {0xd, 1, .a = 7, .b = 2696},
        {0xd, 2, .a = 256, .b = 576},
        {0xd, 3},
        {0xd, 4},
        {0xd, 5, .a = 64, .b = 1088},
        {0xd, 6, .a = 512, .b = 1152},
        {0xd, 7, .a = 1024, .b = 1664},
        {0xd, 8},
        {0xd, 9, .a = 8, .b = 2688},
        {0x80000001, NO_SUBLEAF, .c = 1u << 11, .d = 1u << 29 | 1u << 20 | 1u << 26}}};

const xen_cpuid_leaf_t *cpu_policy_find(const struct cpu_policy *p, uint32_t leaf, uint32_t subleaf)
{
    for (unsigned i = 0; i < p->nr; i++)
        if (p->leaf[i].leaf == leaf &&
            (p->leaf[i].subleaf == subleaf || p->leaf[i].subleaf == NO_SUBLEAF))
            return &p->leaf[i];
    return NULL;
}

static struct cpu_policy p;

static xen_cpuid_leaf_t *leaf(uint32_t number, uint32_t subleaf)
{
    return (xen_cpuid_leaf_t *)cpu_policy_find(&p, number, subleaf);
}

static int setup(void **state)
{
    (void)state;
    p = cpu;
    return 0;
}

static void test_what_is_whole_stays(void **state)
{
    (void)state;
    cpu_policy_fit(&p);
    assert_memory_equal(&p, &cpu, sizeof(p));
    assert_int_equal(cpu_policy_xcr0(&p), 0x2e7);
}

static void test_without_avx(void **state)
{
    (void)state;
    leaf(1, 0)->c &= ~(1u << 28);
    leaf(7, 0)->b &= ~(1u << 16);
    cpu_policy_fit(&p);
    assert_int_equal(leaf(1, 0)->c, 1u << 26 | 1u << 17); /* no FMA */
    assert_int_equal(leaf(7, 0)->b, 0);
    assert_int_equal(leaf(0x80000001, 0)->c, 0); /* XOP */
    assert_int_equal(cpu_policy_xcr0(&p), 0x203);
    assert_int_equal(leaf(0xd, 2)->a, 0);
    assert_int_equal(leaf(0xd, 7)->b, 0);
    assert_int_equal(leaf(0xd, 9)->b, 2688);
    assert_int_equal(leaf(0xd, 0)->c, 2696); /* where the last one is, others or not */
}

static void test_without_keys(void **state)
{
    (void)state;
    leaf(7, 0)->c &= ~(1u << 3);
    cpu_policy_fit(&p);
    assert_int_equal(cpu_policy_xcr0(&p), 0xe7);
    assert_int_equal(leaf(0xd, 9)->a, 0);
    assert_int_equal(leaf(0xd, 0)->c, 2688);
    assert_int_equal(leaf(0xd, 1)->a, 7);
}

static void test_without_xsave(void **state)
{
    (void)state;
    leaf(1, 0)->c &= ~(1u << 26);
    cpu_policy_fit(&p);
    assert_int_equal(leaf(1, 0)->c, 1u << 17);
    assert_int_equal(leaf(7, 0)->c, 1u << 16 | 1u << 2);
    assert_int_equal(cpu_policy_xcr0(&p), 0);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(leaf(0xd, i)->a | leaf(0xd, i)->b | leaf(0xd, i)->c | leaf(0xd, i)->d, 0);
}

static void test_without_long_mode(void **state)
{
    (void)state;
    leaf(1, 0)->d &= ~(1u << 6); /* PAE */
    cpu_policy_fit(&p);
    assert_int_equal(leaf(0x80000001, 0)->d, 0);
    assert_int_equal(leaf(7, 0)->c, 1u << 3 | 1u << 2);
    assert_false(leaf(1, 0)->c >> 17 & 1);
}

/* An old CPU's has none of these leaves. */
static void test_short_policies(void **state)
{
    (void)state;
    p.nr = 1;
    cpu_policy_fit(&p);
    assert_int_equal(cpu_policy_xcr0(&p), 0);
    p.nr = 0;
    cpu_policy_fit(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_what_is_whole_stays, setup),
        cmocka_unit_test_setup(test_without_avx, setup),
        cmocka_unit_test_setup(test_without_keys, setup),
        cmocka_unit_test_setup(test_without_xsave, setup),
        cmocka_unit_test_setup(test_without_long_mode, setup),
        cmocka_unit_test_setup(test_short_policies, setup),
    };

    return cmocka_run_group_tests_name("hvm-policy", tests, NULL, NULL);
}
