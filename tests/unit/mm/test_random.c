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

#define POOL   28
#define PARTS  4 /* of the pool: frames of one superpage, the first is its first */
#define CACHED 64
#define STEPS  6000

static const unsigned part_at[PARTS] = {0, 5, 77, 511};
static uint64_t pool[POOL], top[3]; /* top: the upper tables of the space that is live */

struct cached {
    uint64_t va, frame;
    unsigned level; /* 0: a leaf; else the level of the table that frame is */
    bool writable;
    bool foreign; /* dom0's mapping of another domain's page: trusted, read-only ones not looked at
                   */
    struct domain *owner;
};
static struct cached tlb[2][CACHED];
static unsigned used[2], touched, large;

static void on_flush(unsigned cpu, unsigned long va)
{
    unsigned kept = 0;

    for (unsigned i = 0; va && i < used[cpu]; i++)
        if (!tlb[cpu][i].level && tlb[cpu][i].va >> 12 != (va & ((1UL << 48) - 1)) >> 12)
            tlb[cpu][kept++] = tlb[cpu][i];
    used[cpu] = kept;
}

/* A context switch: as the real one, it loads a root, and the domain that left has no TLB entries.
 */
static void switch_to(struct domain *d, unsigned cpu)
{
    static struct domain *running[2];

    if (running[cpu] != d) {
        if (running[cpu])
            cpumask_clear_cpu(cpu, &running[cpu]->dirty_cpus);
        on_flush(cpu, 0);
        running[cpu] = d;
        cpumask_set_cpu(cpu, &d->dirty_cpus);
    }
    run_as(d, cpu);
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

static unsigned any_index(void)
{
    static const unsigned index[] = {0, 1, 2, 7, 8, 255, 256, 260, 271, 272, 511};

    return index[rand() % ARRAY_SIZE(index)];
}

static bool is_ram(uint64_t e)
{
    return (e & PTE_PRESENT) && mfn_x(pte_mfn(e)) >= FAKE_FIRST_MFN && mfn_x(pte_mfn(e)) < max_page;
}

static const struct cached *find_cached(uint64_t va, unsigned level)
{
    unsigned shift = level ? 12 + 9 * level : 12;

    for (unsigned i = 0; i < used[fake_cpu]; i++)
        if (tlb[fake_cpu][i].level == level && tlb[fake_cpu][i].va >> shift == va >> shift)
            return &tlb[fake_cpu][i];
    return NULL;
}

static bool is_superpage(uint64_t mfn, unsigned i)
{
    return pgt_type(type_of(mfn)) == PGT_l2 && is_ram(table(mfn)[i]) && (table(mfn)[i] & PTE_PSE);
}

/* The CPU accesses some address: walks from what it has cached on, and caches what it finds. */
static void touch(void)
{
    const struct page_info *root = current->arch.root_kernel;
    uint64_t t, va = 0;
    bool rw = true; /* as far as the walk has come, caches of upper levels included */

    if (!root)
        return;
    t = mfn_x(page_to_mfn(root));
    for (unsigned level = 4; level; level--) {
        const struct cached *c;
        unsigned i = any_index();

        for (unsigned tries = 0; tries < 30 && !is_ram(table(t)[i]); tries++)
            i = any_index();
        if (level == 4 && !guest_l4_slot(i))
            return; /* the hypervisor's, which leads to no table here */
        va |= (uint64_t)i << (3 + 9 * level);
        c = find_cached(va, level - 1);
        if (!c && !is_ram(table(t)[i]))
            return;
        if (!c && level == 2 && is_superpage(t, i)) {
            unsigned at = part_at[rand() % PARTS];

            cache(va | at << PAGE_SHIFT, mfn_x(pte_mfn(table(t)[i])) + at, 0,
                  rw && (table(t)[i] & PTE_RW));
            large++;
            return;
        }
        rw = c ? c->writable : rw && (table(t)[i] & PTE_RW);
        if (!c)
            cache(va, mfn_x(pte_mfn(table(t)[i])), level - 1, rw);
        t = c ? c->frame : mfn_x(pte_mfn(table(t)[i]));
    }
    touched++;
}

static void look_at_tlbs(void)
{
    for (unsigned cpu = 0; cpu < 2; cpu++)
        for (unsigned i = 0; i < used[cpu]; i++) {
            const struct cached *c = &tlb[cpu][i];
            const struct page_info *pg = mfn_to_page(_mfn(c->frame));
            uint64_t type = pgt_type(pg->type);
            bool in_use = pg->type & PGT_validated;

            if (c->writable && !c->level)
                assert_false(in_use && pgt_is_table(type));
            if (c->level)
                assert_false(in_use && type == PGT_writable);
            if (!(pg->refs & PAGE_FREE) && pg->owner)
                assert_ptr_equal(page_owner(pg), c->owner);
        }
}

static uint64_t any_frame(void)
{
    return rand() % 16 ? pool[rand() % POOL] : top[rand() % 3];
}

/* Rather a table in use. */
static uint64_t any_table(void)
{
    uint64_t mfn = any_frame();

    for (unsigned i = 0; i < 6 && !(type_of(mfn) & PGT_validated); i++)
        mfn = rand() % 6 ? any_frame() : top[2];
    return mfn;
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

    if (opt_allow_superpage && rand() % 8 == 0)
        return pool[0] << PAGE_SHIFT | P | PTE_PSE | (rand() % 2 ? PTE_RW : 0);

    return any_frame() << PAGE_SHIFT | flags[rand() % ARRAY_SIZE(flags)];
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
    unsigned i = PARTS + rand() % (POOL - PARTS);
    struct page_info *pg = mfn_to_page(_mfn(pool[i]));
    struct domain *d = page_owner(pg);

    put_page_alloc(pg);
    pool[i] = page_of(d);
}

/* Removes every entry that names frame, of tables in use, and a pin. */
static void unlink_frame(uint64_t frame)
{
    for (unsigned i = 0; i < POOL + 3; i++) {
        uint64_t t = i < POOL ? pool[i] : top[i - POOL];

        if (!(type_of(t) & PGT_validated) || !pgt_is_table(pgt_type(type_of(t))))
            continue;
        for (unsigned j = 0; j < PTES_PER_TABLE; j++)
            if (is_ram(table(t)[j]) &&
                frame - mfn_x(pte_mfn(table(t)[j])) < (is_superpage(t, j) ? PTES_PER_TABLE : 1))
                set_entry(t, j, 0);
    }
    mmuext1(MMUEXT_UNPIN_TABLE, frame, DOMID_SELF);
}

/* What was writable becomes a table, what was a table becomes writable: the dangerous moments. */
static void change_use(void)
{
    unsigned cpu = rand() % 2;
    const struct cached c = tlb[cpu][rand() % CACHED];

    if (!used[cpu] || !c.frame || c.frame == top[0])
        return;
    unlink_frame(c.frame);
    if (c.level)
        set_entry(any_table(), any_index(), RW(c.frame));
    else if (rand() % 2)
        mmuext1(MMUEXT_PIN_L1_TABLE, c.frame, DOMID_SELF);
    else
        set_entry(top[2], any_index(), RW(c.frame));
}

static void step(void)
{
    uint32_t foreign = rand() % 8 ? DOMID_SELF : db->id;

    switch_to(rand() % 4 ? db : da, rand() % 2);
    switch (rand() % 16) {
    case 0 ... 2:
        prepare();
        break;
    case 3 ... 6:
        mmu_update1((any_table() << PAGE_SHIFT) + any_index() * 8 +
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
        do_update_va_mapping((uint64_t)any_index() << 39 | (uint64_t)any_index() << 30 |
                                 any_index() << 21 | any_index() << 12,
                             any_entry(), UVMF_NONE);
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
        else if (rand() % 2)
            change_use();
        break;
    default:
        for (unsigned i = 0; i < 8; i++)
            touch();
    }
}

/* Steers towards states that chance would hardly reach: a live address space. */
static void build(void)
{
    for (unsigned v = 0; v < 2; v++) {
        switch_to(db, v);
        for (unsigned i = 0; i < 3; i++)
            mmuext1(MMUEXT_UNPIN_TABLE, top[i], DOMID_SELF);
        for (unsigned i = 0; i < 2; i++)
            set_entry(top[i], any_index() % 256, RW(top[i + 1]));
        mmuext1(MMUEXT_PIN_L4_TABLE, top[0], DOMID_SELF);
        mmuext1(MMUEXT_NEW_BASEPTR, top[0], DOMID_SELF);
        for (unsigned i = 0; i < 6; i++)
            set_entry(top[2], any_index(), RW(any_frame()));
    }
}

static void run(unsigned seed)
{
    unsigned pins = 0;
    uint64_t big;

    srand(seed);
    machine_start();
    opt_allow_superpage = seed % 2;
    used[0] = used[1] = 0;
    fake_tlb_hook = on_flush;
    cpumask_clear(&da->dirty_cpus);
    cpumask_clear(&db->dirty_cpus);
    big = superpage_of(db);
    for (unsigned i = 0; i < POOL; i++)
        pool[i] = i < PARTS ? big + part_at[i] : page_of(i % 7 == 6 ? da : db);
    for (unsigned i = 0; i < 3; i++)
        top[i] = page_of(db);
    preempt_randomly = true;
    for (unsigned n = 0; n < STEPS; n++) {
        if (n % 50 == 0)
            build();
        step();
        audit();
        look_at_tlbs();
        for (unsigned i = 0; i < POOL; i++)
            pins += !!(type_of(pool[i]) & PGT_validated);
    }
    assert_true(pins > STEPS); /* something did happen */
    if (getenv("MM_SEEDS"))
        printf("seed %u: %u in use, %u accesses so far, %u by large pages\n", seed, pins, touched,
               large);
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
    assert_true(touched > 40 && large > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_guests)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
