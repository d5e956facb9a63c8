// SPDX-License-Identifier: MIT
/* VCPUOP_register_vcpu_info: bounds, once only, contents carried over, no reference left. */
#include "ground.h"
#include "arch/x86/mm/mm.h"
#include "event/event.h"
#include "kernel/rcu.h"

static struct domain *d;
static unsigned type_refs, moved;
static bool refuse_type;

int get_page_type(struct page_info *pg, uint64_t type)
{
    (void)pg;
    assert_int_equal(type, PGT_writable);
    type_refs += !refuse_type;
    return refuse_type ? -EINVAL : 0;
}

void put_page_type(struct page_info *pg)
{
    (void)pg;
    type_refs--;
}

void put_page_and_type(struct page_info *pg)
{
    put_page_type(pg);
    put_page(pg);
}

void evtchn_vcpu_info_moved(struct vcpu *v)
{
    (void)v;
    moved++;
}

static int setup(void **state)
{
    ground_setup(state);
    d = fake_domain(1, 40);
    for (unsigned i = 0; i < 40; i++)
        d->vcpu[i]->info = vcpu_default_info(d->vcpu[i]);
    return 0;
}

static void test_bounds(void **state)
{
    struct page_info *pg = alloc_domain_pages(d, 0, 0), *foreign = alloc_domain_pages(dom0, 0, 0);
    uint64_t gfn = mfn_x(page_to_mfn(pg));
    struct vcpu *v = d->vcpu[0];

    (void)state;
    fake_run_on(0, v);
    assert_int_equal(map_vcpu_info(v, gfn, PAGE_SIZE - sizeof(struct vcpu_info) + 8), -ENXIO);
    assert_int_equal(map_vcpu_info(v, gfn, ~0u), -ENXIO);
    assert_int_equal(map_vcpu_info(v, gfn, 4), -ENXIO);
    assert_int_equal(map_vcpu_info(v, max_page, 0), -EINVAL);
    assert_int_equal(map_vcpu_info(v, ~0UL, 0), -EINVAL);
    assert_int_equal(map_vcpu_info(v, mfn_x(page_to_mfn(foreign)), 0), -EINVAL);
    assert_int_equal(map_vcpu_info(d->vcpu[1], gfn, 0), -EINVAL); /* may be running */
    refuse_type = true;
    assert_int_equal(map_vcpu_info(v, gfn, 0), -EINVAL);
    refuse_type = false;
    assert_int_equal(pg->refs, PAGE_ALLOCATED | 1);
    assert_int_equal(type_refs + moved, 0);
    put_page_alloc(pg);
    put_page_alloc(foreign);
}

static void test_moves(void **state)
{
    uint64_t before = heap_free_pages();
    struct page_info *pg = alloc_domain_pages(d, 0, 0);
    uint64_t gfn = mfn_x(page_to_mfn(pg));
    struct vcpu_info *infos = page_to_virt(pg);

    (void)state;
    for (unsigned i = 0; i < 40; i += 39) {
        struct vcpu *v = d->vcpu[i];

        fake_run_on(0, d->vcpu[i]);
        ground_soil(pg, 0);
        if (!i)
            v->info->evtchn_pending_sel = 0x1234;
        assert_int_equal(map_vcpu_info(v, gfn, sizeof(struct vcpu_info)), 0);
        assert_ptr_equal(v->info, &infos[1]);
        assert_int_equal(infos[1].evtchn_pending_sel, i ? 0 : 0x1234);
        assert_int_equal(infos[1].arch.cr2, 0);
        assert_int_equal(map_vcpu_info(v, gfn, 0), -EINVAL); /* once only */
        assert_int_equal(type_refs, 1);
        unmap_vcpu_info(v);
        unmap_vcpu_info(v);
        assert_ptr_equal(v->info, vcpu_default_info(v));
        assert_int_equal(type_refs, 0);
    }
    assert_int_equal(moved, 2);
    set_bit(VPF_down, &d->vcpu[1]->pause_flags);
    assert_int_equal(map_vcpu_info(d->vcpu[1], gfn, 0), 0);
    put_page_alloc(pg); /* gone from the guest, not from under us */
    assert_int_equal(heap_free_pages(), before - 1);
    unmap_vcpu_info(d->vcpu[1]);
    assert_int_equal(heap_free_pages(), before);
    d->dying = DOMDYING_dying;
    assert_int_equal(map_vcpu_info(d->vcpu[1], gfn, 0), -EINVAL);
}

/* Who has just read where it is may still write there: a vcpu that is reset keeps the page so long.
 */
static void test_reset(void **state)
{
    struct domain *other = fake_domain(4, 1);
    struct vcpu *v = other->vcpu[0];
    struct page_info *pg;
    uint64_t before;

    (void)state;
    v->info = vcpu_default_info(v);
    fake_run_on(0, v);
    assert_int_equal(unmap_vcpu_info_rcu(v), 0); /* which was nowhere */
    before = heap_free_pages();
    pg = alloc_domain_pages(other, 0, 0);
    assert_int_equal(map_vcpu_info(v, mfn_x(page_to_mfn(pg)), 0), 0);
    assert_int_equal(unmap_vcpu_info_rcu(v), 0);
    assert_ptr_equal(v->info, vcpu_default_info(v));
    put_page_alloc(pg);
    assert_int_equal(type_refs, 1);
    assert_int_equal(heap_free_pages(), before - 1);
    for (fake_cpu = nr_cpu_ids; fake_cpu--;)
        rcu_quiescent();
    fake_cpu = 0;
    rcu_run_callbacks();
    assert_int_equal(type_refs, 0);
    assert_int_equal(heap_free_pages(), before);
}

/* The shared info's own page will do, even where the old place is (found by fuzzing). */
static void test_overlap(void **state)
{
    struct domain *other = fake_domain(2, 1);
    struct vcpu *v = other->vcpu[0];

    (void)state;
    v->info = vcpu_default_info(v);
    share_hyp_page(other->shared_info_page, other, true);
    fake_run_on(0, v);
    v->info->arch.cr2 = 0x1234;
    assert_int_equal(map_vcpu_info(v, mfn_x(page_to_mfn(other->shared_info_page)), 32), 0);
    assert_int_equal(v->info->arch.cr2, 0x1234);
    unmap_vcpu_info(v);
    assert_int_equal(type_refs, 0);
}

/* Vcpus without a place to be told at share nothing, with those of other domains least of all. */
static void test_unseen(void **state)
{
    struct domain *other = fake_domain(3, 40);

    (void)state;
    for (unsigned i = 32; i < 40; i++) {
        struct vcpu_info *own = vcpu_default_info(d->vcpu[i]);

        own->evtchn_upcall_mask = 0;
        own->evtchn_upcall_pending = 1;
        own = vcpu_default_info(other->vcpu[i]);
        assert_int_equal(own->evtchn_upcall_mask, 1);
        assert_int_equal(own->evtchn_upcall_pending, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounds),  cmocka_unit_test(test_moves),  cmocka_unit_test(test_reset),
        cmocka_unit_test(test_overlap), cmocka_unit_test(test_unseen),
    };

    return cmocka_run_group_tests_name("mem/vcpu_info", tests, setup, NULL);
}
