// SPDX-License-Identifier: MIT
/*
 * A hostile guest that does anything at all, with a TLB that forgets nothing before it is told to.
 *
 * Two CPUs run the vcpus of one domain and dom0.  After every operation each count is audited,
 * and each cached translation is looked at: a writable one must not lead to a table in use or a
 * frame of somebody else; a cached pointer to a table must not lead to a page that is writable.
 */
#include "machine.h"
#include <stdio.h>

#define POOL     28
#define CACHED   64
#define STEPS    6000
#define VA(i, j) ((uint64_t)(i) << L2_SHIFT | (uint64_t)(j) << L1_SHIFT)

static uint64_t pool[POOL];

struct cached {
    uint64_t va, frame;
    unsigned level; /* 0: a leaf; else the level of the table that frame is */
    bool writable;
    bool foreign; /* dom0's mapping of another domain's page: trusted, read-only ones not looked at
                   */
    struct domain *owner;
};
static struct cached tlb[2][CACHED];
static unsigned used[2];

static void on_flush(unsigned cpu, unsigned long va)
{
    unsigned kept = 0;

    for (unsigned i = 0; va && i < used[cpu]; i++)
        if (!tlb[cpu][i].level && tlb[cpu][i].va != va)
            tlb[cpu][kept++] = tlb[cpu][i];
    used[cpu] = kept;
}

static void cache(uint64_t va, uint64_t frame, unsigned level, bool writable)
{
    struct cached *c;
    struct domain *owner = page_owner(mfn_to_page(_mfn(frame)));

    if (used[fake_cpu] == CACHED)
        return;
    c = &tlb[fake_cpu][used[fake_cpu]++];
    *c = (struct cached){va, frame, level, writable, owner && owner != current->domain, owner};
}

/* The CPU accesses va: walks what it has to, from what it has cached on. */
static void touch(uint64_t va)
{
    const struct page_info *root = current->arch.root_kernel;
    uint64_t t;

    if (!root)
        return;
    t = mfn_x(page_to_mfn(root));
    for (unsigned level = 4; level; level--) {
        uint64_t e = table(t)[pt_index(va, level)], next = mfn_x(pte_mfn(e));

        for (unsigned i = 0; level > 1 && i < used[fake_cpu]; i++)
            if (tlb[fake_cpu][i].level == level - 1 &&
                tlb[fake_cpu][i].va >> (3 + 9 * level) == va >> (3 + 9 * level)) {
                e = PTE_PRESENT;
                next = tlb[fake_cpu][i].frame;
            }
        if (!(e & PTE_PRESENT) || next < FAKE_FIRST_MFN || next >= max_page)
            return;
        cache(va, next, level - 1, level == 1 && (e & PTE_RW));
        t = next;
    }
}

static void look_at_tlbs(void)
{
    for (unsigned cpu = 0; cpu < 2; cpu++)
        for (unsigned i = 0; i < used[cpu]; i++) {
            const struct cached *c = &tlb[cpu][i];
            const struct page_info *pg = mfn_to_page(_mfn(c->frame));
            uint64_t type = pgt_type(pg->type);
            bool in_use = pg->type & PGT_validated;

            if (c->writable)
                assert_false(in_use && pgt_is_table(type));
            if (c->level)
                assert_false(in_use && type == PGT_writable);
            if (!(pg->refs & PAGE_FREE) && pg->owner)
                assert_ptr_equal(page_owner(pg), c->owner);
        }
}

static uint64_t any_frame(void)
{
    return pool[rand() % POOL];
}

static uint64_t any_entry(void)
{
    static const uint64_t flags[] = {0,
                                     P,
                                     P | PTE_RW,
                                     P | PTE_RW,
                                     P,
                                     PTE_PRESENT | PTE_PCD,
                                     P | PTE_RW | PTE_NX | 0x600,
                                     P | PTE_PSE,
                                     PTE_RW};

    return any_frame() << PAGE_SHIFT | flags[rand() % ARRAY_SIZE(flags)];
}

static unsigned any_index(void)
{
    static const unsigned index[] = {0, 1, 2, 7, 8, 255, 256, 260, 271, 272, 511};

    return index[rand() % ARRAY_SIZE(index)];
}

/* The guest writes memory that it may write: pages in no use as tables or descriptors. */
static void scribble(void)
{
    uint64_t mfn = any_frame(), t = type_of(mfn);

    if (pgt_type(t) == PGT_writable && pgt_count(t) &&
        page_owner(mfn_to_page(_mfn(mfn))) == current->domain)
        table(mfn)[any_index()] = any_entry();
}

/* Makes what it takes for success to be likely: writes entries before pages become tables. */
static void prepare(void)
{
    uint64_t mfn = any_frame();

    if (!set_entry(mfn, any_index(), any_entry()))
        return;
    mmuext1(MMUEXT_CLEAR_PAGE, mfn, DOMID_SELF);
}

static void replace_page(void)
{
    unsigned i = rand() % POOL;
    struct page_info *pg = mfn_to_page(_mfn(pool[i]));
    struct domain *d = page_owner(pg);

    put_page_alloc(pg);
    pool[i] = page_of(d);
}

static void step(void)
{
    uint32_t foreign = rand() % 8 ? DOMID_SELF : db->id;

    run_as(rand() % 4 ? db : da, rand() % 2);
    switch (rand() % 16) {
    case 0 ... 2:
        prepare();
        break;
    case 3 ... 6:
        mmu_update1((any_frame() << PAGE_SHIFT) + any_index() * 8 +
                        (rand() % 4 ? 0 : MMU_PT_UPDATE_PRESERVE_AD),
                    any_entry(), foreign | (rand() % 8 ? 0 : (db->id + 1) << 16));
        break;
    case 7:
        mmuext1(MMUEXT_PIN_L1_TABLE + rand() % 4, any_frame(), foreign);
        break;
    case 8:
        mmuext1(MMUEXT_PIN_L1_TABLE, any_frame(), foreign);
        break;
    case 9:
        mmuext1(MMUEXT_UNPIN_TABLE, any_frame(), foreign);
        break;
    case 10:
        mmuext1(rand() % 2 ? MMUEXT_NEW_BASEPTR : MMUEXT_NEW_USER_BASEPTR,
                rand() % 8 ? any_frame() : 0, DOMID_SELF);
        break;
    case 11:
        do_update_va_mapping(VA(any_index(), any_index()), any_entry(), UVMF_NONE);
        break;
    case 12:
        scribble();
        break;
    case 13: { /* a pin that the guest abandons */
        struct mmuext_op op = {.cmd = MMUEXT_PIN_L1_TABLE + rand() % 4, .arg1.mfn = any_frame()};

        do_mmuext_op((unsigned long)&op, 1, 0, DOMID_SELF);
        break;
    }
    case 14:
        if (rand() % 4 == 0)
            replace_page();
        break;
    default:
        for (unsigned i = 0; i < 8; i++)
            touch(VA(any_index(), any_index()));
    }
}

/* Steers towards states that chance would hardly reach: a live address space out of the pool. */
static void build(struct domain *d, unsigned first)
{
    run_as(d, 0);
    for (unsigned l2 = 0; l2 < 2; l2++) {
        set_entry(pool[first], any_index() % 256, RW(pool[first + 1]));
        set_entry(pool[first + 1], any_index(), RW(pool[first + 2]));
        set_entry(pool[first + 2], any_index(), RW(pool[first + 3 + l2]));
        set_entry(pool[first + 3 + l2], any_index(), RW(pool[first + 5]));
    }
    mmuext1(MMUEXT_PIN_L4_TABLE, pool[first], DOMID_SELF);
    mmuext1(MMUEXT_NEW_BASEPTR, pool[first], DOMID_SELF);
}

static void run(unsigned seed)
{
    unsigned pins = 0;

    srand(seed);
    machine_start();
    used[0] = used[1] = 0;
    fake_tlb_hook = on_flush;
    for (unsigned i = 0; i < POOL; i++)
        pool[i] = page_of(i % 7 == 6 ? da : db);
    preempt_randomly = true;
    for (unsigned n = 0; n < STEPS; n++) {
        if (n % 500 == 0)
            build(db, (n / 500 * 7) % (POOL - 6));
        step();
        audit();
        look_at_tlbs();
        for (unsigned i = 0; i < POOL; i++)
            pins += !!(type_of(pool[i]) & PGT_validated);
    }
    assert_true(pins > STEPS); /* something did happen */
    machine_stop();
    fake_tlb_hook = NULL;
}

static void random_guests(void **state)
{
    const char *seeds = getenv("MM_SEEDS");
    unsigned n = seeds ? strtoul(seeds, NULL, 0) : 4;

    (void)state;
    for (unsigned seed = 1; seed <= n; seed++)
        run(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_guests)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
