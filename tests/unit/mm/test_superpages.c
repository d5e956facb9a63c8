// SPDX-License-Identifier: MIT
/* Entries of L2 tables that map 2 MB at once. */
#include "machine.h"

static int setup(void **state)
{
    (void)state;
    machine_start();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    machine_stop();
    return 0;
}

#define T(name)       static void name(void **state __attribute__((unused)))
#define TEST(name)    cmocka_unit_test_setup_teardown(name, setup, teardown)
#define assert_ok(e)  assert_int_equal(e, 0)
#define assert_bad(e) assert_true((e) < 0)
#define PIN(l, mfn)   mmuext1(MMUEXT_PIN_L##l##_TABLE, mfn, DOMID_SELF)
#define UNPIN(mfn)    mmuext1(MMUEXT_UNPIN_TABLE, mfn, DOMID_SELF)
#define SUPER_RO(mfn) (RO(mfn) | PTE_PSE)
#define SUPER_RW(mfn) (RW(mfn) | PTE_PSE)

T(superpages)
{
    struct space s = space_of(db);
    uint64_t big = superpage_of(db), theirs = superpage_of(da), ptr;
    uint64_t other = page_of(db), inside = big + 77;

    assert_ok(PIN(4, s.l4));
    assert_bad(set_entry(s.l2, 1, SUPER_RW(big))); /* not allowed */
    opt_allow_superpage = true;
    assert_ok(set_entry(s.l2, 1, SUPER_RW(big) | PTE_GLOBAL));
    assert_int_equal(table(s.l2)[1], SUPER_RW(big));
    assert_int_equal(db->arch.superpages, 1);
    audit();
    /* What is wrong with an entry: its place, its owner, its caching, its frames. */
    assert_bad(set_entry(s.l3, 1, SUPER_RW(big)));
    assert_bad(set_entry(s.l4, 1, SUPER_RW(big)));
    assert_bad(set_entry(s.l2, 2, SUPER_RO(theirs)));
    assert_bad(set_entry(s.l2, 2, SUPER_RO(big + 1)));
    assert_bad(set_entry(s.l2, 2, SUPER_RO(big) | PTE_PCD));
    assert_bad(set_entry(s.l2, 2, SUPER_RO(big) | PTE_PWT));
    assert_bad(set_entry(s.l2, 2, SUPER_RO((uint64_t)ROUND_UP(max_page, 512))));
    assert_bad(set_entry(s.l2, 2, SUPER_RO(PTE_ADDR >> PAGE_SHIFT & ~511UL)));
    /* Rights: other bits change nothing, RW does. */
    assert_ok(set_entry(s.l2, 1, SUPER_RW(big) | PTE_NX));
    audit();
    assert_bad(PIN(1, inside));
    assert_ok(set_entry(s.l2, 1, SUPER_RO(big)));
    audit();
    assert_ok(PIN(1, inside));
    assert_bad(set_entry(s.l2, 1, SUPER_RW(big)));
    assert_int_equal(table(s.l2)[1], SUPER_RO(big));
    assert_bad(set_entry(s.l2, 2, SUPER_RW(big)));
    audit();
    /* A table at its start is not taken for the table of these addresses. */
    assert_ok(PIN(1, big));
    assert_ok(mmuext1(MMUEXT_NEW_BASEPTR, s.l4, DOMID_SELF));
    assert_true(walk_to_l1e(db->vcpu[0], 0, &ptr));
    assert_false(walk_to_l1e(db->vcpu[0], 1UL << L2_SHIFT, &ptr));
    assert_bad(do_update_va_mapping(1UL << L2_SHIFT, RO(other), UVMF_NONE));
    assert_ok(UNPIN(big));
    assert_ok(UNPIN(inside));
    assert_ok(set_entry(s.l2, 1, SUPER_RW(big)));
    /* For a table, and back; and a frame that has gone. */
    assert_ok(set_entry(s.l2, 1, RW(other)));
    assert_int_equal(db->arch.superpages, 0);
    audit();
    assert_ok(set_entry(s.l2, 1, SUPER_RW(big)));
    assert_int_equal(pgt_count(type_of(other)), 0);
    put_page_alloc(mfn_to_page(_mfn(inside)));
    audit(); /* it stays while it is mapped */
    assert_ok(set_entry(s.l2, 1, 0));
    assert_bad(set_entry(s.l2, 1, SUPER_RW(big)));
    audit();
}

T(superpages_of_a_new_table)
{
    struct space s = space_of(db);
    uint64_t big = superpage_of(db);

    opt_allow_superpage = true;
    for (unsigned i = 100; i < 110; i++)
        table(s.l2)[i] = (i & 1 ? SUPER_RO(big) : SUPER_RW(big)) | PTE_GLOBAL;
    table(s.l2)[120] = SUPER_RO(big + 8);
    preempt_randomly = true;
    assert_bad(PIN(4, s.l4));
    assert_int_equal(db->arch.superpages, 0);
    audit();
    table(s.l2)[120] = 0;
    assert_ok(PIN(4, s.l4));
    assert_int_equal(db->arch.superpages, 10);
    assert_int_equal(table(s.l2)[101], SUPER_RO(big));
    audit();
    assert_ok(UNPIN(s.l4));
    assert_int_equal(db->arch.superpages, 0);
    audit();
    assert_ok(PIN(4, s.l4)); /* and a domain may end with them */
    preempt_randomly = false;
}

T(superpage_that_becomes_a_table_flushes)
{
    struct space s = space_of(db);
    uint64_t big = superpage_of(db);
    unsigned flushes;

    opt_allow_superpage = true;
    assert_ok(PIN(4, s.l4));
    assert_ok(set_entry(s.l2, 1, SUPER_RW(big)));
    assert_ok(set_entry(s.l2, 1, 0));
    flushes = fake_tlb_flushes;
    assert_ok(PIN(1, big + 5));
    assert_int_equal(fake_tlb_flushes, flushes + 2); /* both CPUs may have had it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(superpages),
        TEST(superpages_of_a_new_table),
        TEST(superpage_that_becomes_a_table_flushes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
