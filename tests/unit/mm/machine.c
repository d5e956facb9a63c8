// SPDX-License-Identifier: MIT
#include "machine.h"
#include <stdio.h>
#include "arch/x86/pv/pv.h"
#include "hypercall/hypercall.h"
#include "lib/rangeset.h"

struct domain *da, *db;
bool preempt_randomly;
bool opt_allow_superpage;
unsigned machine_cpus = 2;
unsigned continuations;
unsigned *held;

/* --- what the room needs of others --- */

uint64_t idle_pg_table[512];
uint64_t *fake_m2p;
struct domain *domid_io_d, *domid_xen_d;

void mm_load_cr3(unsigned long cr3)
{
    (void)cr3;
    flush_tlb_local();
}

void mm_load_root(struct vcpu *v)
{
    (void)v;
}

void mm_flush_caches(bool everywhere)
{
    (void)everywhere;
}

void mm_learn_cpu(void)
{
}

bool pv_check_descriptor(const struct domain *d, uint64_t *desc)
{
    (void)d;
    *desc |= 3ULL << 45;
    return !(*desc & 1ULL << 47) || (*desc & 1ULL << 44);
}

void pv_emul_init(struct emul_ctxt *ctxt, struct cpu_user_regs *regs, const struct emul_ops *ops)
{
    *ctxt = (struct emul_ctxt){.regs = regs, .ops = ops, .addr_size = 64, .sp_size = 64};
}

int pv_emul_segment(struct emul_ctxt *ctxt, enum emul_seg seg, struct emul_segment *res)
{
    (void)ctxt, (void)seg, (void)res;
    return EMUL_UNHANDLEABLE;
}

void pv_set_ldt(struct vcpu *v, unsigned long base, unsigned ents)
{
    v->arch.pv.ldt_base = base;
    v->arch.pv.ldt_ents = ents;
}

void pv_inject_page_fault(struct cpu_user_regs *regs, unsigned long addr, uint32_t error)
{
    (void)regs, (void)addr, (void)error;
}

bool hypercall_preempt_check(void)
{
    return fake_preempt || (preempt_randomly && rand() % 3 == 0);
}

static __thread unsigned long again[6];

long hypercall_continue(unsigned nr, unsigned nargs, const unsigned long *args)
{
    (void)nr;
    memcpy(again, args, nargs * sizeof(*args));
    continuations++;
    return -ERESTART;
}

struct domain *rcu_lookup_domain(domid_t id)
{
    return id == da->id ? da : id == db->id ? db : NULL;
}

struct page_info *get_page_gfn(struct domain *d, gfn_t gfn)
{
    struct page_info *pg = guest_frame(gfn_x(gfn));

    return pg && get_page(pg, d) ? pg : NULL;
}

bool privileged_over(const struct domain *caller, const struct domain *d)
{
    (void)d;
    return caller->is_privileged;
}

/* --- the machine --- */

static uint64_t free_at_start;

static struct domain *new_domain(unsigned id, unsigned vcpus)
{
    struct domain *d = fake_domain(id, vcpus);

    mm_set_width(d, false);
    d->iomem = rangeset_new("iomem");
    for (unsigned i = 0; i < vcpus; i++)
        d->vcpu[i]->arch.pv.flags = PVF_KERNEL_MODE;
    for (unsigned i = 0; i < machine_cpus; i++)
        cpumask_set_cpu(i, &d->dirty_cpus);
    return d;
}

void machine_start(void)
{
    fake_init(machine_cpus);
    if (!fake_m2p) { /* the heap is set up once */
        fake_ram_init(MACHINE_PAGES);
        fake_m2p = calloc(max_page, sizeof(*fake_m2p));
        held = calloc(max_page, sizeof(*held));
        heap_init();
        heap_add_range(_mfn(FAKE_FIRST_MFN), _mfn(max_page), 0);
    }
    da = new_domain(0, machine_cpus);
    db = new_domain(1, machine_cpus);
    domid_io_d = new_domain(DOMID_IO, 1);
    domid_xen_d = new_domain(DOMID_XEN, 1);
    rangeset_add_range(da->iomem, max_page + 16, max_page + 31);
    memset(idle_pg_table, 0x5a, sizeof(idle_pg_table));
    for (unsigned i = 0; i < 512; i++)
        idle_pg_table[i] &= ~PTE_PRESENT;
    idle_pg_table[256] = 0xabc001;
    continuations = 0;
    fake_preempt = preempt_randomly = false;
    mm_refuse_unsafe_entries = opt_allow_superpage = false;
    free_at_start = heap_free_pages();
    run_as(db, 0);
}

static void destroy(struct domain *d)
{
    int rc;

    d->dying = DOMDYING_dying;
    for (unsigned i = 0; i < d->max_vcpus; i++)
        while ((rc = mm_drop_roots(d->vcpu[i])) != 0)
            assert_int_equal(rc, -ERESTART);
    for (unsigned i = 0; i < d->max_vcpus; i++)
        if (d->vcpu[i]->arch.monitor)
            free_page_virt(d->vcpu[i]->arch.monitor);
    while ((rc = relinquish_domain_pages(d)) != 0)
        assert_int_equal(rc, -ERESTART);
}

void machine_stop(void)
{
    /* One may still map the other's: both let go, then both have nothing. */
    destroy(da);
    destroy(db);
    assert_int_equal(da->mem.listed, 0);
    assert_int_equal(db->mem.listed, 0);
    assert_int_equal(heap_free_pages(), free_at_start);
}

uint64_t page_of(struct domain *d)
{
    struct page_info *pg = alloc_domain_pages(d, 0, 0);

    assert_non_null(pg);
    return mfn_x(page_to_mfn(pg));
}

uint64_t superpage_of(struct domain *d)
{
    struct page_info *pg = alloc_domain_pages(d, 9, 0);

    assert_non_null(pg);
    return mfn_x(page_to_mfn(pg));
}

uint64_t type_of(uint64_t mfn)
{
    return mfn_to_page(_mfn(mfn))->type;
}

uint64_t *table(uint64_t mfn)
{
    return mfn_to_virt(_mfn(mfn));
}

struct space space_of(struct domain *d)
{
    struct space s = {page_of(d), page_of(d), page_of(d), page_of(d)};

    table(s.l4)[0] = RW(s.l3);
    table(s.l3)[0] = RW(s.l2);
    table(s.l2)[0] = RW(s.l1);
    return s;
}

void run_as(struct domain *d, unsigned v)
{
    fake_run_on(v, d->vcpu[v]);
}

long mmu_update1(uint64_t ptr, uint64_t val, uint32_t foreigndom)
{
    struct mmu_update req = {ptr, val};
    long rc = do_mmu_update((unsigned long)&req, 1, 0, foreigndom);

    while (rc == -ERESTART)
        rc = do_mmu_update(again[0], again[1], again[2], again[3]);
    return rc;
}

long set_entry(uint64_t table_mfn, unsigned i, uint64_t val)
{
    return mmu_update1((table_mfn << PAGE_SHIFT) + i * 8, val, DOMID_SELF);
}

long mmuext1(unsigned cmd, uint64_t mfn, uint32_t foreigndom)
{
    struct mmuext_op wide = {.cmd = cmd, .arg1.mfn = mfn};
    uint32_t narrow[3] = {cmd, mfn}; /* the same of a 32-bit guest */
    void *op = is_32bit(current->domain) ? (void *)narrow : &wide;
    long rc = do_mmuext_op((unsigned long)op, 1, 0, foreigndom);

    while (rc == -ERESTART)
        rc = do_mmuext_op(again[0], again[1], again[2], again[3]);
    return rc;
}

/* --- the auditor --- */

struct expected {
    uint64_t refs;
    uint64_t types[8]; /* references of each type */
    unsigned entries, eighths;
};

static bool is_ram(uint64_t mfn)
{
    return mfn >= FAKE_FIRST_MFN && mfn < max_page;
}

/* The type that entry i of a table of this type leads to. */
static unsigned type_below(const struct domain *d, unsigned type, unsigned i)
{
    if (type == PGT_l2_top >> 60)
        return 1;
    return type == 3 && i == 3 && is_32bit(d) ? PGT_l2_top >> 60 : type - 1;
}

static uint64_t superpages;

static void count_table(struct expected *want, uint64_t mfn, unsigned level, unsigned limit)
{
    const struct domain *d = page_owner(mfn_to_page(_mfn(mfn)));

    limit = min(limit, guest_entries((uint64_t)level << 60, d));
    for (unsigned i = 0; i < limit; i++) {
        uint64_t e = table(mfn)[i], child = mfn_x(pte_mfn(e));

        if (level == 4 && !guest_l4_slot(i))
            continue;
        if (!(e & PTE_PRESENT))
            continue;
        want[mfn].entries++;
        want[mfn].eighths |= 1U << (i / 64);
        if (level == 4 && child == mfn) { /* of itself, to be read only: holds nothing */
            assert_false(e & PTE_RW);
            continue;
        }
        if (!is_ram(child) || page_owner(mfn_to_page(_mfn(child))) == domid_io_d)
            continue;
        if ((level == 2 || level == PGT_l2_top >> 60) && (e & PTE_PSE)) {
            for (unsigned j = 0; j < PTES_PER_TABLE; j++) {
                want[child + j].refs++;
                want[child + j].types[PGT_writable >> 60] += !!(e & PTE_RW);
            }
            superpages++;
            continue;
        }
        want[child].refs++;
        if (level > 1)
            want[child].types[type_below(d, level, i)]++;
        else if (e & PTE_RW)
            want[child].types[PGT_writable >> 60]++;
    }
}

static void count_roots(struct expected *want, const struct domain *d)
{
    for (unsigned i = 0; i < d->max_vcpus; i++) {
        const struct arch_vcpu *a = &d->vcpu[i]->arch;
        const struct page_info *roots[] = {a->root_kernel, a->root_user};

        for (unsigned j = 0; j < 2; j++)
            if (roots[j]) {
                want[mfn_x(page_to_mfn(roots[j]))].refs++;
                want[mfn_x(page_to_mfn(roots[j]))].types[is_32bit(d) ? 3 : 4]++;
            }
    }
}

static void check_page(const struct expected *w, uint64_t mfn)
{
    const struct page_info *pg = mfn_to_page(_mfn(mfn));
    uint64_t t = pg->type;
    unsigned type = t >> 60;
    bool hyp = pg->refs & PAGE_HYP_SHARED;

    assert_false(t & PGT_locked);
    for (unsigned i = 1; i < 8; i++)
        if (i != type)
            assert_int_equal(w->types[i], 0);
    assert_int_equal(pgt_count(t), w->types[type] + hyp);
    assert_int_equal(!!(t & PGT_validated), pgt_count(t) != 0);
    assert_int_equal(pg->refs & PAGE_COUNT_MASK,
                     w->refs + !!(pg->refs & PAGE_ALLOCATED) + !!(t & PGT_partial) + held[mfn]);
    if ((t & PGT_validated) && pgt_is_table(pgt_type(t))) {
        assert_int_equal(pgt_entries(t), w->entries);
        assert_int_equal(w->eighths & ~(t >> PGT_eighths_shift), 0);
    }
}

void audit(void)
{
    struct expected *want = calloc(max_page, sizeof(*want));

    superpages = 0;

    for (uint64_t mfn = FAKE_FIRST_MFN; mfn < max_page; mfn++) {
        const struct page_info *pg = mfn_to_page(_mfn(mfn));
        unsigned level = pgt_type(pg->type) >> 60;

        if (!page_owner(pg) || (pg->refs & PAGE_FREE))
            continue;
        if (pg->type & PGT_pinned) {
            want[mfn].refs++;
            want[mfn].types[level]++;
        }
        if (pgt_is_table(pgt_type(pg->type)) && (pg->type & PGT_validated))
            count_table(want, mfn, level, 512);
        else if (pg->type & PGT_partial)
            count_table(want, mfn, level, pgt_entries(pg->type));
    }
    count_roots(want, da);
    count_roots(want, db);
    for (uint64_t mfn = FAKE_FIRST_MFN; mfn < max_page; mfn++)
        if (page_owner(mfn_to_page(_mfn(mfn))) && !(mfn_to_page(_mfn(mfn))->refs & PAGE_FREE))
            check_page(&want[mfn], mfn);
    assert_int_equal(da->arch.superpages + db->arch.superpages, superpages);
    free(want);
}
