// SPDX-License-Identifier: MIT
/*
 * The log of live migration, under CPUs that go on writing by translations they have once made, and
 * set a dirty bit only when they make one.  Tools copy what the log names; in the end their copy
 * has to be the same.
 */
#include "arch/api/arch_mm.h"
#include "arch/fake/fake.h"
#include "arch/x86/hvm/p2m_private.h"
#include "arch/x86/mm/mm.h"
#include "asm/cpufeature.h"
#include "asm/page.h"
#include "hypercall/handlers.h"
#include "hypercall/hypercall.h"
#include "lib/bitops.h"
#include "lib/errno.h"
#include "vendor.h"
#include <xen/domctl.h>
#include "test.h"

#define CPUS   2
#define FIRST  512u /* gfns: 1024 in leaves of 2 MB, then some of 4 KB with a hole in between */
#define SMALL  1600u
#define LAST   1700u
#define BITMAP ((LAST + 64) / 8)

static struct domain *d;
static struct vcpu *caller;
static struct p2m *p;
static bool cached[CPUS][LAST];
static uint64_t copy[LAST];
static unsigned long bitmap[BITMAP / 8 + 1];
static unsigned writes_in_calls; /* how many to make at each copy to the tools */

/* --- page types: what p2m.c needs of them --- */

int get_page_type(struct page_info *pg, uint64_t type)
{
    assert_true(!pg->type || (pg->type & PGT_writable) == PGT_writable);
    pg->type = type | (uint32_t)(pg->type + 1);
    return 0;
}

void put_page_type(struct page_info *pg)
{
    assert_true((uint32_t)pg->type);
    if (!(uint32_t)--pg->type)
        pg->type = 0;
}

bool get_page_and_type(struct page_info *pg, struct domain *dom, uint64_t type)
{
    return get_page(pg, dom) && !get_page_type(pg, type);
}

void put_page_and_type(struct page_info *pg)
{
    put_page_type(pg);
    put_page(pg);
}

/* Nothing is on demand here. */
struct page_info *alloc_domain_pages(struct domain *dom, unsigned order, unsigned memflags)
{
    (void)dom, (void)order, (void)memflags;
    fail();
    return NULL;
}

void put_page_alloc(struct page_info *pg)
{
    (void)pg;
    fail();
}

bool domain_adjust_claim(struct domain *dom, uint64_t pages, uint64_t most)
{
    (void)dom, (void)pages, (void)most;
    fail();
    return false;
}

/* --- the guest's CPUs --- */

static uint64_t *word(unsigned gfn)
{
    struct page_info *pg = p2m_get_page(d, _gfn(gfn));
    uint64_t *w = pg ? page_to_virt(pg) : NULL;

    if (pg)
        put_page(pg);
    return w;
}

static uint64_t *leaf(unsigned gfn)
{
    uint64_t at = gfn, *e = p2m_block(p, &at, false);

    return e && !(*e & PTE_PSE) ? p2m_small_entry(p, gfn) : e;
}

static void cpu_writes(unsigned cpu, unsigned gfn)
{
    uint64_t *w = word(gfn);

    if (!w)
        return;
    if (!cached[cpu][gfn])
        *leaf(gfn) |= PTE_DIRTY;
    cached[cpu][gfn] = true;
    ++*w;
}

static void on_flush(unsigned cpu, unsigned long va)
{
    if (!va && cpu < CPUS)
        memset(cached[cpu], 0, sizeof(cached[cpu]));
}

static void some_writes(unsigned n)
{
    while (n--)
        cpu_writes(test_random(CPUS), FIRST + test_random(LAST - FIRST));
}

static void on_copy(uint64_t addr, size_t len, bool to_guest)
{
    (void)addr, (void)len;
    if (to_guest)
        some_writes(writes_in_calls);
}

/* --- the tools --- */

static long shadow_op(uint32_t op, uint32_t mode, struct xen_domctl_shadow_op *out)
{
    struct call c = {.v = caller, .d = d};
    struct xen_domctl arg = {.u.shadow_op = {.op = op, .mode = mode, .pages = LAST}};
    long rc;

    arg.u.shadow_op.dirty_bitmap.p = (void *)bitmap;
    do {
        rc = domctl_shadow_op(&c, &arg);
        some_writes(writes_in_calls);
    } while (rc == -ERESTART);
    if (out)
        *out = arg.u.shadow_op;
    return rc;
}

static void take_copy(bool all)
{
    for (unsigned gfn = FIRST; gfn < LAST; gfn++)
        if (word(gfn) && (all || test_bit(gfn, bitmap)))
            copy[gfn] = *word(gfn);
}

static bool same(void)
{
    for (unsigned gfn = FIRST; gfn < LAST; gfn++)
        if (word(gfn) && copy[gfn] != *word(gfn))
            return false;
    return true;
}

static void map(unsigned gfn, unsigned order)
{
    /* Chunks of the arena are not aligned themselves. */
    struct page_info *pg = heap_alloc(order ? order + 1 : 0, 0);

    pg += -mfn_x(page_to_mfn(pg)) & ((1ul << order) - 1);
    for (unsigned i = 0; i < 1u << order; i++) {
        pg[i].refs = PAGE_ALLOCATED | 1;
        pg[i].type = 0;
        page_set_owner(pg + i, d);
    }
    assert_int_equal(p2m_map(d, _gfn(gfn), pg, order), 0);
}

static int ram(void **state)
{
    (void)state;
    fake_ram_init(16384);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    fake_init(CPUS);
    host_cpu = (struct cpu_identity){.phys_bits = 40, .virt_bits = 48};
    caller = fake_domain(0, 1)->vcpu[0];
    d = vendor_domain(CPUS);
    cpumask_setall(&d->dirty_cpus);
    p = &d->arch.hvm->p2m;
    assert_int_equal(p2m_create(d), 0);
    map(FIRST, 9);
    map(FIRST + 512, 9);
    for (unsigned gfn = SMALL; gfn < LAST; gfn += 3)
        map(gfn, 0);
    fake_tlb_hook = on_flush;
    fake_guest_hook = on_copy;
    memset(cached, 0, sizeof(cached));
    memset(copy, 0, sizeof(copy));
    writes_in_calls = 0;
    fake_preempt = false;
    return 0;
}

/* --- tests --- */

static void nothing_is_lost(void **state)
{
    struct xen_domctl_shadow_op out;
    uint64_t tables = p->tables;

    (void)state;
    for (unsigned round = 0; round < 200; round++) {
        fake_preempt = round & 1;
        some_writes(50);
        writes_in_calls = 20;
        assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, NULL), 0);
        take_copy(true);
        for (unsigned i = 0; i < 4; i++) {
            some_writes(100);
            assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, &out), 0);
            assert_int_equal(out.pages, p->max_gfn + 1);
            take_copy(false);
        }
        some_writes(100);
        writes_in_calls = 0; /* it is suspended */
        assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_PEEK, 0, &out), 0);
        assert_true(out.stats.dirty_count > 20 && out.stats.dirty_count < 800);
        assert_int_equal(
            shadow_op(XEN_DOMCTL_SHADOW_OP_CLEAN, XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL, &out), 0);
        take_copy(false);
        assert_true(same());
        assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, &out), 0);
        assert_int_equal(out.stats.dirty_count, 0);
        writes_in_calls = 20;
        assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_OFF, 0, NULL), 0);
        /* The leaves of 2 MB are back, and their tables with the heap. */
        assert_true(*leaf(FIRST) & *leaf(FIRST + 512) & PTE_PSE);
        assert_int_equal(p->tables, tables);
    }
}

/* Past the guest's own tables. */
static void others_write(void **state)
{
    struct page_info *held;

    (void)state;
    p2m_mark_dirty(d, _gfn(FIRST)); /* nobody asked */
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, NULL), -EINVAL);
    assert_int_equal(
        shadow_op(XEN_DOMCTL_SHADOW_OP_ENABLE, XEN_DOMCTL_SHADOW_ENABLE_LOG_DIRTY, NULL), 0);
    p2m_mark_dirty(d, _gfn(FIRST + 3));
    p2m_mark_dirty(d, _gfn(SMALL + 1)); /* nothing is there */
    p2m_mark_dirty(d, _gfn(1ULL << 50));
    /* What comes now is new to the tools; a large one, too. */
    map(SMALL + 1, 0);
    held = p2m_get_page(d, _gfn(FIRST + 700));
    assert_int_equal(get_page_type(held, PGT_writable), 0);
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, NULL), 0);
    for (unsigned gfn = 0; gfn < LAST; gfn++)
        assert_int_equal(test_bit(gfn, bitmap), gfn == FIRST + 3 || gfn == SMALL + 1);
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_CLEAN, XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL, NULL),
                     0);
    for (unsigned gfn = 0; gfn < LAST; gfn++)
        assert_int_equal(test_bit(gfn, bitmap), gfn == FIRST + 700);
    put_page_and_type(held);
    /* A mapping of dom0's that it has given up. */
    held->type |= PGT_written;
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_PEEK, 0, NULL), 0);
    assert_true(test_bit(FIRST + 700, bitmap));
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, NULL), 0);
    assert_true(test_bit(FIRST + 700, bitmap));
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_CLEAN, XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL, NULL),
                     0);
    assert_false(test_bit(FIRST + 700, bitmap));
    /* What has a hole, or is in other pages than it was, stays small. */
    put_page(p2m_unmap(d, _gfn(FIRST + 9)));
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_OFF, 0, NULL), 0);
    assert_false(*leaf(FIRST) & PTE_PSE);
    assert_true(*leaf(FIRST + 512) & PTE_PSE);
    map(FIRST + 9, 0);
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, NULL), 0);
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_OFF, 0, NULL), 0);
    assert_false(*leaf(FIRST) & PTE_PSE);
}

static void refused(void **state)
{
    struct call c = {.v = caller, .d = d};
    struct xen_domctl arg = {.u.shadow_op = {.op = XEN_DOMCTL_SHADOW_OP_CLEAN, .pages = LAST}};

    (void)state;
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_ENABLE, 0, NULL), -EINVAL);
    assert_int_equal(shadow_op(3, 0, NULL), -EINVAL);
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_OFF, 0, NULL), 0);
    /* Without tables for the leaves it does not begin, and leaves the guest as it was. */
    p->max_tables = p->tables + 1;
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, NULL), -ENOMEM);
    assert_false(p->logging);
    p->max_tables = 64;
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, NULL), 0);
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, NULL), -EINVAL);
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_CLEAN, 2, NULL), -EINVAL);
    /* One at a time; whoever ends it, ends it. */
    fake_preempt = true;
    arg.u.shadow_op.dirty_bitmap.p = (void *)bitmap;
    assert_int_equal(domctl_shadow_op(&c, &arg), -ERESTART);
    arg.u.shadow_op.op = XEN_DOMCTL_SHADOW_OP_PEEK;
    assert_int_equal(domctl_shadow_op(&c, &arg), -EBUSY);
    fake_preempt = false;
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_OFF, 0, NULL), 0);
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_PEEK, 0, NULL), -EINVAL);
    /* A bitmap that cannot be written to; none at all. */
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, NULL), 0);
    fake_guest_fault((uint64_t)(uintptr_t)bitmap, sizeof(bitmap));
    assert_int_equal(shadow_op(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, NULL), -EFAULT);
    fake_guest_fault(0, 0);
    arg.u.shadow_op.op = XEN_DOMCTL_SHADOW_OP_CLEAN;
    arg.u.shadow_op.dirty_bitmap.p = NULL;
    arg.u.shadow_op.pages = UINT64_MAX;
    assert_int_equal(domctl_shadow_op(&c, &arg), 0);
    assert_int_equal(arg.u.shadow_op.pages, p->max_gfn + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_is_lost, setup),
        cmocka_unit_test_setup(others_write, setup),
        cmocka_unit_test_setup(refused, setup),
    };

    return cmocka_run_group_tests_name("hvm-dirty", tests, ram, NULL);
}
