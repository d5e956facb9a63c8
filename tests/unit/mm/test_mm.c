// SPDX-License-Identifier: MIT
/* Page types and page tables, case by case. */
#include "machine.h"
#include "lib/rangeset.h"

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

T(pin_and_unpin)
{
    struct space s = space_of(db);
    uint64_t data = page_of(db);

    table(s.l1)[5] = RW(data);
    table(s.l1)[6] = RO(s.l1);
    assert_ok(PIN(4, s.l4));
    audit();
    assert_int_equal(pgt_type(type_of(s.l4)), PGT_l4);
    assert_int_equal(pgt_type(type_of(s.l1)), PGT_l1);
    assert_int_equal(pgt_type(type_of(data)), PGT_writable);
    assert_int_equal(pgt_count(type_of(data)), 1);
    assert_int_equal(table(s.l4)[256], 0xabc001); /* the hypervisor's slots */
    assert_bad(PIN(4, s.l4));
    assert_bad(PIN(3, s.l4));
    assert_ok(UNPIN(s.l4));
    audit();
    assert_int_equal(pgt_count(type_of(s.l1)), 0);
    assert_int_equal(pgt_count(type_of(data)), 0);
    assert_int_equal(table(s.l4)[256], 0);
    assert_bad(UNPIN(s.l4));
}

T(each_level_pins)
{
    struct space s = space_of(db);

    assert_ok(PIN(1, s.l1));
    assert_ok(PIN(2, s.l2));
    assert_ok(PIN(3, s.l3));
    assert_ok(PIN(4, s.l4));
    audit();
    assert_ok(UNPIN(s.l1));
    assert_int_equal(pgt_count(type_of(s.l1)), 1);
    assert_ok(UNPIN(s.l4));
    assert_ok(UNPIN(s.l3));
    assert_ok(UNPIN(s.l2));
    audit();
    assert_int_equal(pgt_count(type_of(s.l1)), 0);
}

T(table_that_is_mapped_writable)
{
    struct space s = space_of(db);

    table(s.l1)[0] = RW(s.l1);
    assert_bad(PIN(1, s.l1));
    audit();
    table(s.l1)[0] = RW(s.l4);
    assert_bad(PIN(4, s.l4));
    audit();
    table(s.l1)[0] = 0;
    assert_ok(PIN(4, s.l4));
    /* And afterwards. */
    for (unsigned i = 0; i < 4; i++)
        assert_bad(set_entry(s.l1, 1, RW((&s.l4)[i])));
    assert_ok(set_entry(s.l1, 1, RO(s.l4)));
    assert_bad(set_entry(s.l1, 1, RW(s.l4)));
    audit();
}

T(same_level_and_loops)
{
    struct space s = space_of(db);

    table(s.l4)[1] = RW(s.l4);
    assert_bad(PIN(4, s.l4));
    table(s.l4)[1] = 0;
    table(s.l3)[1] = RW(s.l3);
    assert_bad(PIN(4, s.l4));
    table(s.l3)[1] = RW(s.l4);
    assert_bad(PIN(4, s.l4));
    table(s.l3)[1] = 0;
    audit();
    assert_ok(PIN(4, s.l4));
    assert_bad(set_entry(s.l4, 1, RW(s.l4)));
    assert_bad(set_entry(s.l4, 1, RW(s.l2)));
    assert_bad(set_entry(s.l3, 1, RW(s.l1)));
    assert_bad(set_entry(s.l2, 1, RW(s.l4)));
    audit();
}

/* A root may show its tables through itself, and never for writing (XSA-182). */
T(root_in_itself)
{
    struct space s = space_of(db), other = space_of(db);

    table(s.l4)[1] = RO(s.l4);
    assert_ok(PIN(4, s.l4));
    audit();
    assert_bad(set_entry(s.l4, 1, RW(s.l4)));
    assert_bad(
        mmu_update1((s.l4 << PAGE_SHIFT) + 8 + MMU_PT_UPDATE_PRESERVE_AD, RW(s.l4), DOMID_SELF));
    assert_bad(set_entry(s.l4, 1, RO(s.l4) | PTE_PSE));
    assert_ok(set_entry(s.l4, 1, RO(s.l4) | PTE_NX));
    audit();
    assert_ok(set_entry(s.l4, 1, 0));
    audit();
    assert_ok(set_entry(s.l4, 1, RO(s.l4)));
    assert_ok(set_entry(s.l4, 1, RW(other.l3)));
    assert_ok(set_entry(s.l4, 1, RO(s.l4)));
    assert_ok(PIN(4, other.l4));
    assert_bad(set_entry(s.l4, 2, RO(other.l4)));
    audit();
    assert_ok(mmuext1(MMUEXT_UNPIN_TABLE, s.l4, DOMID_SELF));
    audit();
    assert_ok(set_entry(s.l4, 1, RW(s.l4))); /* data again */
}

T(other_domains_frames)
{
    struct space s = space_of(db);
    uint64_t theirs = page_of(da), their_table = page_of(da);

    assert_ok(PIN(4, s.l4));
    assert_bad(set_entry(s.l1, 0, RO(theirs)));
    assert_bad(set_entry(s.l1, 0, RW(theirs)));
    assert_bad(set_entry(s.l2, 1, RW(their_table)));
    assert_bad(set_entry(theirs, 0, RO(s.l1)));
    assert_bad(mmu_update1(s.l1 << 12, RO(theirs), da->id)); /* not privileged */
    assert_bad(mmu_update1(s.l1 << 12, RO(theirs), DOMID_XEN));
    assert_bad(PIN(1, their_table));
    assert_bad(mmuext1(MMUEXT_PIN_L1_TABLE, their_table, da->id));
    assert_bad(mmuext1(MMUEXT_CLEAR_PAGE, theirs, DOMID_SELF));
    assert_bad(mmuext1(MMUEXT_CLEAR_PAGE, theirs, DOMID_IO));
    audit();
    /* dom0 may. */
    run_as(da, 0);
    s = space_of(da);
    theirs = page_of(db);
    assert_ok(PIN(4, s.l4));
    assert_bad(set_entry(s.l1, 0, RW(theirs)));
    assert_ok(mmu_update1(s.l1 << 12, RW(theirs), db->id));
    assert_int_equal(pgt_count(type_of(theirs)), 1);
    audit();
    assert_ok(set_entry(s.l1, 0, 0));
    assert_true(type_of(theirs) & PGT_foreign);
    /* While their owner has it as writable, the mark stays for whoever logs writes. */
    assert_ok(get_page_type(mfn_to_page(_mfn(theirs)), PGT_writable));
    assert_ok(mmu_update1(s.l1 << 12, RO(theirs), db->id));
    assert_ok(set_entry(s.l1, 0, 0));
    assert_false(type_of(theirs) & PGT_written);
    assert_ok(mmu_update1(s.l1 << 12, RW(theirs), db->id));
    assert_ok(mmu_update1(s.l1 << 12, RO(theirs), db->id));
    assert_true(type_of(theirs) & PGT_written);
    put_page_type(mfn_to_page(_mfn(theirs)));
    assert_false(type_of(theirs) & PGT_written);
    assert_ok(set_entry(s.l1, 0, 0));
    audit();
}

T(foreign_tables)
{
    struct space s = space_of(db);
    uint64_t data = page_of(db);

    table(s.l1)[0] = RW(data);
    run_as(da, 0);
    assert_ok(mmuext1(MMUEXT_PIN_L4_TABLE, s.l4, db->id));
    audit();
    assert_bad(mmuext1(MMUEXT_NEW_BASEPTR, s.l4, db->id));
    /* Their table, their frame. */
    assert_ok(mmu_update1((s.l1 << 12) + 8, RW(data), db->id | (db->id + 1) << 16));
    assert_bad(mmu_update1((s.l1 << 12) + 8, RW(data), DOMID_SELF));
    assert_int_equal(pgt_count(type_of(data)), 2);
    audit();
    assert_ok(mmuext1(MMUEXT_UNPIN_TABLE, s.l4, db->id));
    audit();
}

T(entries_of_l1)
{
    struct space s = space_of(db);
    uint64_t a = page_of(db), b = page_of(db);

    assert_ok(PIN(4, s.l4));
    assert_ok(set_entry(s.l1, 3, RW(a) | PTE_GLOBAL));
    assert_int_equal(table(s.l1)[3], RW(a));
    assert_ok(set_entry(s.l1, 4, RW(a) & ~PTE_USER));
    assert_int_equal(table(s.l1)[4], RW(a));
    assert_int_equal(pgt_count(type_of(a)), 2);
    assert_ok(set_entry(s.l1, 3, RO(a)));
    assert_int_equal(pgt_count(type_of(a)), 1);
    assert_ok(set_entry(s.l1, 3, RW(b) | PTE_NX | 0x800));
    audit();
    table(s.l1)[3] |= PTE_DIRTY;
    assert_ok(mmu_update1((s.l1 << 12) + 3 * 8 + MMU_PT_UPDATE_PRESERVE_AD,
                          (RO(b) & ~PTE_ACCESSED) | PTE_NX, DOMID_SELF));
    assert_int_equal(table(s.l1)[3], RO(b) | PTE_DIRTY | PTE_NX);
    assert_ok(set_entry(s.l1, 3, 0x123456000)); /* absent: anything */
    assert_int_equal(table(s.l1)[3], 0x123456000);
    audit();
    assert_bad(set_entry(s.l1, 5, RW(max_page))); /* MMIO without the right */
    assert_bad(set_entry(s.l1, 5, RW(1ULL << 39)));
    assert_bad(set_entry(s.l1, 5, RW(a) | PTE_PCD));
    assert_bad(mmu_update1((s.l1 << 12) + 7, RW(a), DOMID_SELF)); /* no such command */
    assert_bad(mmu_update1(max_page << 12, RW(a), DOMID_SELF));
    assert_bad(mmu_update1(~7ULL, RW(a), DOMID_SELF));
    audit();
}

T(mmio)
{
    struct space s;

    run_as(da, 0);
    s = space_of(da);
    assert_ok(PIN(4, s.l4));
    assert_ok(set_entry(s.l1, 0, RW(max_page + 16) | PTE_PCD | PTE_PWT));
    assert_ok(mmu_update1((s.l1 << 12) + 8, RW(max_page + 31), DOMID_IO));
    assert_bad(set_entry(s.l1, 2, RW(max_page + 32)));
    assert_bad(mmu_update1((s.l1 << 12) + 16, RW(page_of(da)), DOMID_IO));
    assert_ok(set_entry(s.l1, 0, RO(max_page + 16)));
    assert_ok(set_entry(s.l1, 1, 0));
    audit();
}

T(entries_above)
{
    struct space s = space_of(db), u = space_of(db);
    uint64_t data = page_of(db);

    table(u.l1)[9] = RW(data);
    assert_ok(PIN(4, s.l4));
    assert_ok(set_entry(s.l2, 1, RW(u.l1))); /* checked on the way */
    assert_int_equal(pgt_count(type_of(data)), 1);
    audit();
    assert_ok(set_entry(s.l2, 1, RO(u.l1)));
    assert_ok(set_entry(s.l2, 1, RO(s.l1)));
    assert_int_equal(pgt_count(type_of(data)), 0);
    audit();
    assert_bad(set_entry(s.l2, 2, RW(data) | PTE_PSE));
    assert_bad(set_entry(s.l2, 2, RW(u.l1) | PTE_PCD));
    assert_ok(set_entry(s.l4, 511, RW(u.l3)));
    for (unsigned i = 256; i < 272; i++)
        assert_bad(set_entry(s.l4, i, RW(u.l3)));
    assert_bad(set_entry(s.l4, 256, 0));
    assert_int_equal(table(s.l4)[256], 0xabc001);
    audit();
    assert_ok(set_entry(s.l4, 0, 0));
    assert_int_equal(pgt_count(type_of(s.l1)), 0);
    audit();
}

T(data_pages_are_written)
{
    uint64_t data = page_of(db);

    assert_ok(set_entry(data, 7, 0x1234567));
    assert_int_equal(table(data)[7], 0x1234567);
    audit();
}

T(roots)
{
    struct space s = space_of(db), u = space_of(db);

    assert_ok(PIN(4, s.l4));
    assert_ok(mmuext1(MMUEXT_NEW_BASEPTR, s.l4, DOMID_SELF));
    assert_ok(mmuext1(MMUEXT_NEW_USER_BASEPTR, u.l4, DOMID_SELF));
    audit();
    assert_int_equal(db->vcpu[0]->arch.pv.kernel_cr3, s.l4 << 12);
    assert_int_equal(db->vcpu[0]->arch.pv.user_cr3, u.l4 << 12);
    assert_ok(UNPIN(s.l4));
    assert_bad(mmuext1(MMUEXT_NEW_BASEPTR, s.l3, DOMID_SELF));
    assert_bad(mmuext1(MMUEXT_NEW_BASEPTR, 0, DOMID_SELF));
    assert_ok(mmuext1(MMUEXT_NEW_BASEPTR, u.l4, DOMID_SELF));
    assert_int_equal(pgt_count(type_of(s.l4)), 0);
    assert_ok(mmuext1(MMUEXT_NEW_USER_BASEPTR, 0, DOMID_SELF));
    audit();
}

T(update_va)
{
    struct space s = space_of(db);
    uint64_t a = page_of(db);

    assert_ok(PIN(4, s.l4));
    assert_ok(mmuext1(MMUEXT_NEW_BASEPTR, s.l4, DOMID_SELF));
    assert_ok(do_update_va_mapping(0x5000, RW(a), UVMF_INVLPG));
    assert_int_equal(table(s.l1)[5], RW(a));
    assert_bad(do_update_va_mapping(0x200000, RW(a), 0));
    assert_bad(do_update_va_mapping(HYPERVISOR_VIRT_START, RW(a), 0));
    assert_bad(do_update_va_mapping(1UL << 47, RW(a), 0));
    assert_bad(do_update_va_mapping(0x5000, RW(s.l1), UVMF_TLB_FLUSH | UVMF_ALL));
    assert_bad(do_update_va_mapping_otherdomain(0x5000, RO(a), 0, da->id));
    audit();
}

T(becoming_a_table_flushes)
{
    struct space s = space_of(db);
    uint64_t a = page_of(db);
    unsigned flushes;

    assert_ok(PIN(4, s.l4));
    assert_ok(set_entry(s.l1, 0, RW(a)));
    assert_ok(set_entry(s.l1, 0, RO(a)));
    flushes = fake_tlb_flushes;
    assert_ok(PIN(1, a));
    assert_int_equal(fake_tlb_flushes, flushes + 2); /* both CPUs may have had it writable */
    assert_ok(UNPIN(a));
    assert_ok(set_entry(s.l1, 0, RW(a)));
    assert_int_equal(fake_tlb_flushes, flushes + 4); /* ... or may have walked it */
    assert_ok(set_entry(s.l1, 0, RO(a)));
    run_as(db, 1);
    flush_tlb_local();
    run_as(db, 0);
    flushes = fake_tlb_flushes;
    assert_ok(PIN(1, a));
    assert_int_equal(fake_tlb_flushes, flushes + 1); /* CPU 1 has flushed since */
}

T(interrupted)
{
    struct space s = space_of(db), u = space_of(db);

    for (unsigned i = 0; i < 8; i++)
        for (unsigned j = 0; j < 3; j++) {
            uint64_t l1 = page_of(db);

            table(l1)[i] = RW(page_of(db));
            table(s.l2)[i * 64 + j] = RW(l1);
        }
    fake_preempt = true;
    assert_ok(PIN(4, s.l4));
    assert_true(continuations > 20);
    audit();
    continuations = 0;
    assert_ok(UNPIN(s.l4));
    assert_true(continuations > 20);
    audit();
    assert_int_equal(pgt_count(type_of(s.l2)), 0);

    /* Removing an entry leaves the same work. */
    continuations = 0;
    assert_ok(PIN(4, u.l4));
    assert_ok(set_entry(u.l4, 1, RW(s.l3)));
    assert_ok(set_entry(u.l4, 1, 0));
    assert_true(continuations > 20);
    audit();
    assert_int_equal(type_of(s.l2) & PGT_partial, 0);
    fake_preempt = false;
}

/* A pin that never comes back, in every stage; teardown() shows that nothing is left. */
T(interrupted_and_given_up)
{
    struct mmuext_op op = {.cmd = MMUEXT_PIN_L4_TABLE};
    struct space s[4];

    for (unsigned k = 0; k < 4; k++) {
        s[k] = space_of(db);
        for (unsigned i = 0; i < 6; i++)
            table(s[k].l2)[i] = RW(page_of(db));
        table(s[k].l3)[1] = RW(page_of(db));
        fake_preempt = true;
        for (unsigned i = 0; i <= k; i++) {
            op.arg1.mfn = s[k].l4;
            assert_int_equal(do_mmuext_op((unsigned long)&op, 1, 0, DOMID_SELF), -ERESTART);
            audit();
        }
        fake_preempt = false;
    }
    assert_true(type_of(s[3].l2) & PGT_partial);
    /* Another use of such a page undoes it first, or has to wait. */
    assert_bad(mmuext1(MMUEXT_CLEAR_PAGE, s[2].l2, DOMID_SELF));
    assert_bad(set_entry(mfn_x(pte_mfn(table(s[2].l2)[0])), 0, RW(s[2].l2)));
    assert_ok(PIN(1, s[2].l2)); /* its entries now map what was tables */
    assert_ok(UNPIN(s[2].l2));
    assert_int_equal(type_of(s[2].l2) & PGT_partial, 0);
    assert_ok(mmuext1(MMUEXT_CLEAR_PAGE, s[2].l2, DOMID_SELF));
    audit();
    /* And it can be finished. */
    assert_ok(PIN(4, s[3].l4));
    audit();
}

T(failure_after_interruption)
{
    struct space s = space_of(db);

    for (unsigned i = 0; i < 40; i++)
        table(s.l2)[i] = RW(page_of(db));
    table(s.l2)[41] = RW(s.l4);
    fake_preempt = true;
    /* The error comes when all is undone. */
    assert_bad(PIN(4, s.l4));
    assert_null(db->vcpu[0]->arch.reap_table);
    audit();
    for (unsigned i = 0; i < 40; i++)
        assert_int_equal(pgt_count(type_of(mfn_x(pte_mfn(table(s.l2)[i])))), 0);
    /* The same of an element of mmu_update. */
    table(s.l4)[0] = 0;
    assert_ok(PIN(4, s.l4));
    assert_int_equal(set_entry(s.l4, 0, RW(s.l3)), -EINVAL);
    assert_null(db->vcpu[0]->arch.reap_table);
    audit();
    fake_preempt = false;
    /* Its last step, made up. */
    for (unsigned long code = 0; code < 4096; code += 5) {
        long want = code == ERESTART ? -EINVAL : -(long)code;

        assert_int_equal(do_mmuext_op(code, 1U << 31, 0, DOMID_SELF), want);
        assert_int_equal(do_mmu_update(code, 1U << 31, 0, DOMID_SELF), want);
    }
}

T(unsafe_absent_entries)
{
    struct space s = space_of(db);

    mm_refuse_unsafe_entries = true;
    table(s.l1)[0] = s.l1 << 12;
    assert_bad(PIN(4, s.l4));
    table(s.l1)[0] = 0;
    assert_ok(PIN(4, s.l4));
    assert_bad(set_entry(s.l1, 0, s.l1 << 12));
    assert_bad(set_entry(s.l2, 9, s.l1 << 12));
    assert_ok(set_entry(s.l1, 0, PTE_ADDR));
    audit();
}

T(batches)
{
    struct space s = space_of(db);
    uint64_t a = page_of(db), theirs = page_of(da);
    struct mmu_update req[40];
    uint32_t done = 77;

    assert_ok(PIN(4, s.l4));
    for (unsigned i = 0; i < 40; i++)
        req[i] = (struct mmu_update){(s.l1 << 12) + i * 8, RW(a)};
    assert_ok(do_mmu_update((unsigned long)req, 40, (unsigned long)&done, DOMID_SELF));
    assert_int_equal(done, 40);
    assert_int_equal(pgt_count(type_of(a)), 40);
    req[7].val = RW(theirs);
    assert_bad(do_mmu_update((unsigned long)req, 40, (unsigned long)&done, DOMID_SELF));
    assert_int_equal(done, 7);
    assert_int_equal(do_mmu_update(8, 1, (unsigned long)&done, DOMID_SELF), -EFAULT);
    assert_int_equal(done, 0);
    audit();
}

T(clear_and_copy)
{
    struct space s = space_of(db);
    uint64_t a = page_of(db), b = page_of(db);
    struct mmuext_op op = {.cmd = MMUEXT_COPY_PAGE, .arg1.mfn = b, .arg2.src_mfn = a};

    table(a)[3] = 77;
    assert_ok(do_mmuext_op((unsigned long)&op, 1, 0, DOMID_SELF));
    assert_int_equal(table(b)[3], 77);
    assert_ok(mmuext1(MMUEXT_CLEAR_PAGE, a, DOMID_SELF));
    assert_int_equal(table(a)[3], 0);
    assert_ok(PIN(4, s.l4));
    assert_bad(mmuext1(MMUEXT_CLEAR_PAGE, s.l1, DOMID_SELF));
    assert_bad(mmuext1(MMUEXT_MARK_SUPER, a, DOMID_SELF));
    assert_int_equal(mmuext1(14, a, DOMID_SELF), -ENOSYS);
    assert_int_equal(mmuext1(~0u, a, DOMID_SELF), -ENOSYS);
    audit();
}

T(shared_pages)
{
    struct page_info *ro = heap_alloc(0, 0), *rw = heap_alloc(0, 0);
    uint64_t mro = mfn_x(page_to_mfn(ro)), mrw = mfn_x(page_to_mfn(rw));
    struct space s = space_of(db);

    share_hyp_page(ro, db, false);
    share_hyp_page(rw, db, true);
    assert_ok(PIN(4, s.l4));
    assert_bad(set_entry(s.l1, 0, RW(mro)));
    assert_ok(set_entry(s.l1, 0, RO(mro)));
    assert_ok(set_entry(s.l1, 1, RW(mrw)));
    assert_bad(PIN(1, mro));
    assert_bad(PIN(1, mrw));
    audit();
    assert_ok(set_entry(s.l1, 1, 0));
    assert_bad(PIN(1, mrw));
    assert_ok(set_entry(s.l1, 0, 0));
    unshare_hyp_page(ro);
    unshare_hyp_page(rw);
}

T(grants)
{
    struct space s = space_of(db);
    uint64_t theirs = page_of(da), a = page_of(db);
    mfn_t mfn = _mfn(theirs);

    assert_ok(PIN(4, s.l4));
    assert_ok(mmuext1(MMUEXT_NEW_BASEPTR, s.l4, DOMID_SELF));
    assert_true(get_page(mfn_to_page(mfn), da)); /* the grant's */
    held[theirs] = 1;
    assert_ok(set_entry(s.l1, 0, RW(a)));
    assert_int_equal(mm_grant_map(0, mfn, GNTMAP_readonly | 5 << 16), GNTST_okay);
    assert_int_equal(table(s.l1)[0] & ~PTE_NX, RO(theirs) | 5 << 9);
    assert_int_equal(mm_grant_map((s.l1 << 12) + 8, mfn, GNTMAP_contains_pte), GNTST_okay);
    audit();
    assert_int_equal(pgt_count(type_of(theirs)), 1);
    assert_bad(mm_grant_map(0x200000, mfn, 0));
    assert_bad(mm_grant_map((s.l2 << 12) + 8, mfn, GNTMAP_contains_pte));
    assert_bad(mm_grant_map((s.l1 << 12) + 9, mfn, GNTMAP_contains_pte));
    assert_bad(mm_grant_map(theirs << 12, mfn, GNTMAP_contains_pte));
    audit();
    /* The guest cannot make it writable, nor copy it. */
    assert_bad(set_entry(s.l1, 0, RW(theirs)));
    assert_bad(set_entry(s.l1, 2, table(s.l1)[1]));
    /* The wrong kind, the wrong frame. */
    assert_bad(mm_grant_unmap(0, mfn, 0, 0));
    assert_bad(mm_grant_unmap(0, _mfn(a), 0, GNTMAP_readonly));
    assert_ok(set_entry(s.l1, 9, RW(a)));
    assert_int_equal(mm_grant_unmap(0, mfn, 0x9000, GNTMAP_readonly), GNTST_okay);
    assert_int_equal(table(s.l1)[0], RW(a));
    assert_int_equal(table(s.l1)[9], 0);
    audit();
    assert_ok(set_entry(s.l1, 1, 0)); /* overwritten: references gone */
    assert_bad(mm_grant_unmap((s.l1 << 12) + 8, mfn, 0, GNTMAP_contains_pte));
    audit();
    held[theirs] = 0;
    put_page(mfn_to_page(mfn));
}

static const uint8_t mov_store[] = {0x48, 0x89, 0x07};           /* mov %rax, (%rdi) */
static const uint8_t mov_store32[] = {0x89, 0x07};               /* mov %eax, (%rdi) */
static const uint8_t cmpxchg[] = {0xf0, 0x48, 0x0f, 0xb1, 0x0f}; /* rcx if rax */
static const uint8_t xchg[] = {0x48, 0x87, 0x07};                /* xchg %rax, (%rdi) */

static const uint8_t and_byte[] = {0xf0, 0x80, 0x27, 0xfd}; /* lock andb $0xfd, (%rdi) */
static const uint8_t mov_disp[] = {0x48, 0x89, 0x47, 0x08}; /* mov %rax, 8(%rdi) */
static const uint8_t mov_imm[] = {0x48, 0xc7, 0x07, 0, 0xff, 0xff, 0xff}; /* movq $-256, (%rdi) */

static bool insn_has_disp(const uint8_t *insn)
{
    return !memcmp(insn, mov_disp, 4);
}

static bool ptwr(struct cpu_user_regs *r, const void *insn)
{
    uint8_t padded[4096] = {0};

    memcpy(padded, insn, 16);
    r->rip = (uintptr_t)padded;
    r->error_code = 3;
    return mm_try_ptwr_fault(db->vcpu[0], r->rdi + (insn_has_disp(insn) ? 8 : 0), r);
}

T(writable_page_tables)
{
    struct space s = {page_of(db), page_of(db), page_of(db), page_of(db)};
    uint64_t pt = page_of(db), a = page_of(db);
    /* Guest memory is host memory in this test: the guest sees its table where we do. */
    uint64_t va = (uintptr_t)table(pt);
    struct cpu_user_regs r = {.rdi = va + 4 * 8, .cs = 0xe033};
    uint8_t insn[16] = {0};

    table(s.l4)[pt_index(va, 4)] = RW(s.l3);
    table(s.l3)[pt_index(va, 3)] = RW(s.l2);
    table(s.l2)[pt_index(va, 2)] = RW(s.l1);
    table(s.l2)[pt_index(va, 2) ^ 1] = RW(pt);
    table(s.l1)[pt_index(va, 1)] = RO(pt);
    assert_ok(PIN(4, s.l4));
    assert_ok(mmuext1(MMUEXT_NEW_BASEPTR, s.l4, DOMID_SELF));
    memcpy(insn, mov_store, sizeof(mov_store));
    r.rax = RW(a);
    assert_false(ptwr(&r, insn)); /* not asked for */
    db->vm_assist = 1UL << VMASST_TYPE_writable_pagetables;
    assert_true(ptwr(&r, insn));
    assert_int_equal(table(pt)[4], RW(a));
    audit();
    r.rax = RW(pt);
    assert_false(ptwr(&r, insn));
    assert_int_equal(table(pt)[4], RW(a));
    memcpy(insn, xchg, sizeof(xchg));
    r.rax = 0;
    assert_true(ptwr(&r, insn));
    assert_int_equal(r.rax, RW(a));
    audit();
    memcpy(insn, mov_store32, sizeof(mov_store32));
    r.rax = RO(a) & 0xffffffff;
    assert_true(ptwr(&r, insn));
    assert_int_equal(table(pt)[4], RO(a));
    memcpy(insn, cmpxchg, sizeof(cmpxchg));
    r.rax = 0;
    r.rcx = RW(a);
    assert_true(ptwr(&r, insn));
    assert_int_equal(table(pt)[4], RO(a)); /* did not match */
    assert_int_equal(r.rax, RO(a));
    assert_true(ptwr(&r, insn));
    assert_int_equal(table(pt)[4], RW(a));
    audit();
    /* The same by the emulator (TF keeps it from the short way), and the bytes of an entry. */
    for (unsigned tf = 0; tf < 2; tf++) {
        r.rflags = tf << 8;
        memcpy(insn, xchg, sizeof(xchg));
        r.rax = 0;
        assert_true(ptwr(&r, insn));
        assert_int_equal(r.rax, RW(a));
        assert_true(ptwr(&r, insn));
        assert_int_equal(table(pt)[4], RW(a));
        memcpy(insn, and_byte, sizeof(and_byte)); /* takes RW away */
        assert_true(ptwr(&r, insn));
        assert_int_equal(table(pt)[4], RO(a));
        assert_int_equal(r.rflags & 0x8c1, 0);
        memcpy(insn, mov_disp, sizeof(mov_disp));
        r.rax = RW(a);
        r.rdi -= 8;
        assert_true(ptwr(&r, insn));
        assert_int_equal(table(pt)[4], RW(a));
        r.rdi += 8;
        audit();
    }
    r.rflags = 0;
    memcpy(insn, mov_imm, sizeof(mov_imm));
    assert_true(ptwr(&r, insn));
    assert_int_equal(table(pt)[4], ~0xffUL);
    audit();
    /* Across two entries, and a page that is no table. */
    memcpy(insn, mov_store, sizeof(mov_store));
    r.rdi = va + 4 * 8 + 4;
    assert_false(ptwr(&r, insn));
    r.rdi = va ^ 0x1000;
    assert_false(ptwr(&r, insn));
    /* Tables above are not for plain writes. */
    assert_ok(set_entry(s.l1, pt_index(va, 1) ^ 1, RO(s.l2)));
    assert_false(ptwr(&r, insn));
    audit();
}

T(dying_domain_pins_nothing)
{
    struct space s = space_of(db);

    run_as(da, 0);
    db->dying = DOMDYING_dying;
    assert_bad(mmuext1(MMUEXT_PIN_L4_TABLE, s.l4, db->id));
    audit();
    assert_int_equal(pgt_count(type_of(s.l4)), 0);
    db->dying = DOMDYING_alive;
}

struct space32 {
    uint64_t l3, l2, top, l1;
};

static struct space32 space32_of(struct domain *d)
{
    struct space32 s = {page_of(d), page_of(d), page_of(d), page_of(d)};

    mm_set_width(d, true);
    mm_m2p32_entries[0] = 0xdef001;
    table(s.l3)[0] = s.l2 << PAGE_SHIFT | PTE_PRESENT;
    table(s.l3)[3] = s.top << PAGE_SHIFT | PTE_PRESENT;
    table(s.l2)[0] = table(s.top)[427] = RW(s.l1);
    return s;
}

T(three_levels)
{
    struct space32 s = space32_of(db);
    uint64_t data = page_of(db), kernel = (data << PAGE_SHIFT) | PTE_PRESENT | PTE_RW;
    const uint64_t *monitor;

    table(s.l1)[1] = kernel;
    table(s.l3)[4] = table(s.l3)[511] = RW(data); /* the guest's, and of no interest */
    table(s.top)[M2P32_FIRST_ENTRY] = RW(data);
    assert_bad(PIN(4, s.l3));
    assert_ok(PIN(3, s.l3));
    audit();
    assert_int_equal(table(s.l1)[1], kernel); /* no user bit */
    assert_int_equal(table(s.l3)[0] & (PTE_RW | PTE_USER), PTE_RW | PTE_USER);
    assert_int_equal(table(s.l3)[4], 0);
    assert_int_equal(table(s.l3)[511], 0);
    assert_int_equal(table(s.top)[M2P32_FIRST_ENTRY], 0xdef001);
    assert_int_equal(pgt_type(type_of(s.top)), PGT_l2_top);
    assert_int_equal(pgt_count(type_of(s.l1)), 2);
    /* What is not the guest's to change, and types that do not fit. */
    assert_bad(set_entry(s.l3, 4, s.l2 << PAGE_SHIFT | PTE_PRESENT));
    assert_bad(set_entry(s.l3, 511, 0));
    assert_bad(set_entry(s.top, M2P32_FIRST_ENTRY, 0));
    assert_bad(set_entry(s.top, 511, RW(s.l1)));
    assert_bad(set_entry(s.l3, 1, s.top << PAGE_SHIFT | PTE_PRESENT));
    assert_bad(set_entry(s.l3, 3, s.l2 << PAGE_SHIFT | PTE_PRESENT));
    assert_bad(set_entry(s.l3, 1, s.l3 << PAGE_SHIFT | PTE_PRESENT));
    assert_ok(set_entry(s.l3, 1, s.l2 << PAGE_SHIFT | PTE_PRESENT));
    audit();
    /* As a root it lies below the vcpu's own L4 table. */
    assert_bad(mmuext1(MMUEXT_NEW_USER_BASEPTR, s.l3, DOMID_SELF));
    assert_bad(mmuext1(MMUEXT_NEW_BASEPTR, s.l2, DOMID_SELF));
    assert_ok(mmuext1(MMUEXT_NEW_BASEPTR, s.l3, DOMID_SELF));
    monitor = db->vcpu[0]->arch.monitor;
    assert_int_equal(monitor[0] >> PAGE_SHIFT, s.l3);
    assert_int_equal(monitor[256], 0xabc001);
    assert_ok(UNPIN(s.l3));
    audit();
    assert_ok(do_update_va_mapping(M2P32_RO_VIRT - (1UL << 21) + PAGE_SIZE, 0,
                                   0)); /* the last L1 of its own */
    assert_bad(do_update_va_mapping(M2P32_RO_VIRT, 0, 0));
    assert_bad(do_update_va_mapping(1UL << 32 | 0x1000, 0, 0));
    assert_int_equal(table(s.l1)[1], 0);
    audit();
}

/* Undone half way or whole, nothing of the hypervisor's stays behind. */
T(three_levels_undone)
{
    struct space32 s = space32_of(db);
    uint64_t bad = page_of(da);

    preempt_randomly = true;
    for (unsigned i = 0; i < 20; i++) {
        table(s.top)[1] = i & 1 ? RW(bad) : 0;
        if (i & 1)
            assert_bad(PIN(3, s.l3));
        else {
            assert_ok(PIN(3, s.l3));
            audit();
            assert_ok(UNPIN(s.l3));
        }
        audit();
        while (mm_reap(db->vcpu[0]))
            ;
        assert_int_equal(pgt_count(type_of(s.top)), 0);
        if (!(i & 1))
            assert_int_equal(table(s.top)[M2P32_FIRST_ENTRY], 0);
    }
}

T(descriptor_tables)
{
    uint64_t gdt = page_of(db);
    struct space s = space_of(db);

    table(gdt)[2] = 0x00af9b000000ffff; /* ring 0 */
    assert_true(get_page_and_type(mfn_to_page(_mfn(gdt)), db, PGT_seg_desc));
    assert_int_equal(table(gdt)[2] >> 45 & 3, 3);
    assert_ok(PIN(4, s.l4));
    assert_bad(set_entry(s.l1, 0, RW(gdt)));
    put_page_and_type(mfn_to_page(_mfn(gdt)));
    assert_ok(set_entry(s.l1, 0, RW(gdt)));
    assert_false(get_page_and_type(mfn_to_page(_mfn(gdt)), db, PGT_seg_desc));
    audit();
    assert_ok(set_entry(s.l1, 0, 0));
    table(gdt)[3] = 0x0000890000000000; /* a TSS */
    assert_false(get_page_and_type(mfn_to_page(_mfn(gdt)), db, PGT_seg_desc));
    audit();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pin_and_unpin),
        TEST(each_level_pins),
        TEST(table_that_is_mapped_writable),
        TEST(same_level_and_loops),
        TEST(root_in_itself),
        TEST(other_domains_frames),
        TEST(foreign_tables),
        TEST(entries_of_l1),
        TEST(mmio),
        TEST(entries_above),
        TEST(data_pages_are_written),
        TEST(roots),
        TEST(update_va),
        TEST(becoming_a_table_flushes),
        TEST(interrupted),
        TEST(interrupted_and_given_up),
        TEST(failure_after_interruption),
        TEST(unsafe_absent_entries),
        TEST(batches),
        TEST(clear_and_copy),
        TEST(shared_pages),
        TEST(grants),
        TEST(writable_page_tables),
        TEST(dying_domain_pins_nothing),
        TEST(three_levels),
        TEST(three_levels_undone),
        TEST(descriptor_tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
