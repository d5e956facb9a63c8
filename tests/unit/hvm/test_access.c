// SPDX-License-Identifier: MIT
/*
 * A guest's memory by its own page tables: what a walk finds, refuses and marks, in each of the
 * CPU's modes; and frames that are not simply RAM.  The p2m and mem/ are the real ones.
 */
#include "tests/unit/mem/ground.h"
#include "arch/x86/hvm/hvm.h"
#include "asm/cpufeature.h"
#include "asm/msr.h"
#include "asm/page.h"
#include "asm/regs.h"
#include "lib/string.h"

#define LEAF   (PTE_PRESENT | PTE_RW | PTE_USER)
#define FRAMES 64 /* the guest's RAM, from 0 on */

struct cpu_identity host_cpu = {.phys_bits = 46};
static struct hvm_paging paging;
static struct domain *d;
static struct vcpu *v;

static void get_paging(const struct vcpu *of, struct hvm_paging *p)
{
    assert_ptr_equal(of, v);
    *p = paging;
}

static uint32_t pkru;

uint32_t hvm_get_pkru(void)
{
    return pkru;
}

static const struct hvm_vendor vendor = {.p2m = {.table = LEAF, .ram = LEAF},
                                         .get_paging = get_paging};
const struct hvm_vendor *hvm_vendor = &vendor;

int get_page_type(struct page_info *pg, uint64_t type)
{
    pg->type += type == PGT_writable;
    return 0;
}

void put_page_type(struct page_info *pg)
{
    assert_true(pg->type);
    pg->type--;
}

bool get_page_and_type(struct page_info *pg, struct domain *owner, uint64_t type)
{
    return get_page(pg, owner) && !get_page_type(pg, type);
}

void put_page_and_type(struct page_info *pg)
{
    put_page_type(pg);
    put_page(pg);
}

static struct page_info *page_of(struct domain *dom)
{
    struct page_info *pg = alloc_domain_pages(dom, 0, 0);

    assert_non_null(pg);
    return pg;
}

static int setup(void **state)
{
    (void)state;
    d = fake_domain(2, 1);
    v = d->vcpu[0];
    domain_mem_init(d);
    d->mem.max_pages = 2000;
    d->is_hvm = true;
    d->arch.hvm = calloc(1, sizeof(struct hvm_domain));
    v->arch.hvm = calloc(1, sizeof(struct hvm_vcpu));
    assert_int_equal(p2m_create(d), 0);
    d->arch.hvm->p2m.max_tables = 100;
    for (uint64_t gfn = 0; gfn < FRAMES; gfn++)
        assert_int_equal(p2m_place(d, _gfn(gfn), page_of(d), P2M_RAM), 0);
    fake_run_on(0, v);
    host_cpu.features[XEN_X86_FEATURE_PAGE1GB / 32] = 1u << XEN_X86_FEATURE_PAGE1GB % 32;
    paging = (struct hvm_paging){.cr0 = CR0_PG | CR0_PE | CR0_WP,
                                 .cr3 = 0x1000,
                                 .cr4 = CR4_PAE,
                                 .efer = EFER_LMA | EFER_NXE};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_run_on(0, NULL);
    d->dying = DOMDYING_dying;
    while (p2m_relinquish(d) || relinquish_domain_pages(d))
        ;
    domain_set_claim(d, 0);
    p2m_free(d);
    free(d->arch.hvm);
    free(v->arch.hvm);
    xfree(v);
    xfree(d->vcpu);
    return 0;
}

/* A word of the guest's physical memory. */
static void *at(uint64_t gpa)
{
    struct page_info *pg = p2m_get_page(d, _gfn(gpa >> PAGE_SHIFT));

    assert_non_null(pg);
    put_page(pg);
    return (char *)page_to_virt(pg) + (gpa & (PAGE_SIZE - 1));
}

static void entry(uint64_t table, unsigned index, uint64_t e)
{
    *(uint64_t *)at(table + index * 8) = e;
}

static void entry32(uint64_t table, unsigned index, uint32_t e)
{
    *(uint32_t *)at(table + index * 4) = e;
}

#define FAULT ~0ULL
static uint32_t error;

static uint64_t walk(uint64_t addr, uint32_t access)
{
    uint64_t gpa;

    return hvm_translate(v, addr, access, &gpa, &error) ? FAULT : gpa;
}

/* Four levels in frames 1 to 4; below the last, page 0x5000 at 0, and 0x6000 read-only at 0x1000.
 */
static void make_tables(void)
{
    entry(0x1000, 0, 0x2000 | LEAF);
    entry(0x2000, 0, 0x3000 | LEAF);
    entry(0x3000, 0, 0x4000 | LEAF);
    entry(0x4000, 0, 0x5000 | LEAF);
    entry(0x4000, 1, 0x6000 | PTE_PRESENT | PTE_NX);
}

static void test_rights_and_marks(void **state)
{
    (void)state;
    make_tables();
    assert_int_equal(walk(0x123, PFEC_USER), 0x5123);
    assert_int_equal(*(uint64_t *)at(0x4000), 0x5000 | LEAF | PTE_ACCESSED);
    assert_int_equal(walk(0x123, PFEC_WRITE), 0x5123);
    assert_int_equal(*(uint64_t *)at(0x4000), 0x5000 | LEAF | PTE_ACCESSED | PTE_DIRTY);
    assert_int_equal(*(uint64_t *)at(0x3000), 0x4000 | LEAF | PTE_ACCESSED);
    assert_int_equal(walk(0x1008, 0), 0x6008);
    assert_int_equal(walk(0x1008, PFEC_USER), FAULT);
    assert_int_equal(error, PFEC_USER | PFEC_PRESENT);
    assert_int_equal(walk(0x1008, PFEC_WRITE), FAULT);
    assert_int_equal(error, PFEC_WRITE | PFEC_PRESENT);
    assert_int_equal(*(uint64_t *)at(0x4008), 0x6000 | PTE_PRESENT | PTE_NX | PTE_ACCESSED);
    paging.cr0 &= ~CR0_WP;
    assert_int_equal(walk(0x1008, PFEC_WRITE), 0x6008);
    assert_int_equal(walk(0x1008, PFEC_FETCH), FAULT);
    assert_int_equal(error, PFEC_FETCH | PFEC_PRESENT);
    paging.efer &= ~(uint64_t)EFER_NXE;
    assert_int_equal(walk(0x1008, 0), FAULT);
    assert_int_equal(error, PFEC_PRESENT | PFEC_RSVD);
    assert_int_equal(walk(0x2000, PFEC_FETCH), FAULT);
    assert_int_equal(error, 0); /* of such a CPU that it was a fetch is not said */
    paging.efer |= EFER_NXE;
    assert_int_equal(walk(0, PFEC_FETCH), 0x5000);
    paging.cr4 |= CR4_SMEP;
    assert_int_equal(walk(0, PFEC_FETCH), FAULT);
    assert_int_equal(walk(0, PFEC_FETCH | PFEC_USER), 0x5000);
    assert_int_equal(walk(0x2000, 0), FAULT);
    assert_int_equal(error, 0);
}

static void test_large_pages(void **state)
{
    (void)state;
    make_tables();
    entry(0x2000, 1, 0x80000000 | LEAF | PTE_PSE);
    entry(0x3000, 1, 0x400000 | LEAF | PTE_PSE);
    entry(0x1000, 1, 0x2000 | LEAF | PTE_PSE); /* not there: a reserved bit */
    entry(0x1000, 2, 0x2000 | LEAF | PTE_GLOBAL);
    entry(0x3000, 2, 0x600000 | LEAF | PTE_PSE | PTE_PAT_LARGE);
    entry(0x3000, 3, 0x600000 | LEAF | PTE_PSE | 1u << 13);
    entry(0x4000, 2, 0x5000 | LEAF | 1ULL << 46); /* more than the CPU has */
    entry(0x4000, 3, 0x5000 | LEAF | 1ULL << 58); /* nobody's */
    assert_int_equal(walk(0x40123456, 0), 0x80123456);
    host_cpu.features[XEN_X86_FEATURE_PAGE1GB / 32] = 0; /* neither has the CPU */
    entry(0x2000, 2, 0xc0000000 | LEAF | PTE_PSE);
    assert_int_equal(walk(0x80123456, PFEC_WRITE), FAULT);
    assert_int_equal(error, PFEC_WRITE | PFEC_PRESENT | PFEC_RSVD);
    assert_int_equal(walk(0x2abcde, PFEC_WRITE), 0x4abcde);
    assert_int_equal(*(uint64_t *)at(0x3008), 0x400000 | LEAF | PTE_PSE | PTE_ACCESSED | PTE_DIRTY);
    assert_int_equal(walk(0x8000000123, 0), FAULT);
    assert_int_equal(error, PFEC_PRESENT | PFEC_RSVD);
    assert_int_equal(walk(0x10000000123, 0), FAULT);
    assert_int_equal(error, PFEC_PRESENT | PFEC_RSVD);
    assert_int_equal(walk(0x400123, 0), 0x600123);
    assert_int_equal(walk(0x600123, PFEC_WRITE), FAULT);
    assert_int_equal(error, PFEC_WRITE | PFEC_PRESENT | PFEC_RSVD);
    assert_int_equal(walk(0x2000, 0), FAULT);
    assert_int_equal(error, PFEC_PRESENT | PFEC_RSVD);
    assert_int_equal(walk(0x3000, 0), 0x5000);
    paging.cr4 |= CR4_LA57;
    entry(0x7000, 1, 0x1000 | LEAF);
    paging.cr3 = 0x7000;
    assert_int_equal(walk(1ULL << 48, 0), 0x5000);
    assert_int_equal(walk(0, 0), FAULT);
    assert_int_equal(walk(1ULL << 56, 0), FAULT); /* not canonical */
}

/* Of users' pages; those of the kernel's own are what they were. */
static void test_smap_and_keys(void **state)
{
    (void)state;
    make_tables();
    entry(0x4000, 2, 0x7000 | LEAF | 5ULL << 59);
    paging.cr4 |= CR4_SMAP;
    assert_int_equal(walk(0, 0), 0x5000);
    assert_int_equal(walk(0, HVM_SMAP | PFEC_WRITE), FAULT);
    assert_int_equal(error, PFEC_PRESENT | PFEC_WRITE);
    assert_int_equal(walk(0, HVM_SMAP | PFEC_FETCH), 0x5000);
    assert_int_equal(walk(0, PFEC_USER | HVM_SMAP), 0x5000);
    assert_int_equal(walk(0x1000, HVM_SMAP), 0x6000);
    paging.cr4 |= CR4_PKE;
    pkru = 1u << 10;
    assert_int_equal(walk(0x2000, HVM_KEYS), FAULT);
    assert_int_equal(error, PFEC_PRESENT | PFEC_KEY);
    assert_int_equal(walk(0x2000, 0), 0x7000);
    assert_int_equal(walk(0x2000, HVM_KEYS | PFEC_FETCH), 0x7000);
    assert_int_equal(walk(0, HVM_KEYS), 0x5000);
    pkru = 2u << 10 | 3;
    assert_int_equal(walk(0x2000, HVM_KEYS | PFEC_USER), 0x7000);
    assert_int_equal(walk(0x2000, HVM_KEYS | PFEC_USER | PFEC_WRITE), FAULT);
    assert_int_equal(error, PFEC_PRESENT | PFEC_USER | PFEC_WRITE | PFEC_KEY);
    assert_int_equal(walk(0x1000, HVM_KEYS), 0x6000);
    assert_int_equal(walk(0x2000, HVM_KEYS | PFEC_WRITE), FAULT);
    entry(0x4000, 2, (0x7000 | LEAF | 5ULL << 59) & ~(uint64_t)PTE_RW); /* forbidden twice */
    assert_int_equal(walk(0x2000, HVM_KEYS | PFEC_USER | PFEC_WRITE), FAULT);
    assert_int_equal(error, PFEC_PRESENT | PFEC_USER | PFEC_WRITE | PFEC_KEY);
    entry(0x4000, 2, 0x7000 | LEAF | 5ULL << 59);
    paging.cr0 &= ~CR0_WP;
    assert_int_equal(walk(0x2000, HVM_KEYS | PFEC_WRITE), 0x7000);
    assert_int_equal(walk(0x2000, HVM_KEYS | PFEC_WRITE | PFEC_USER), FAULT);
    paging.cr4 = CR4_PAE;
    assert_int_equal(walk(0x2000, HVM_KEYS | HVM_SMAP | PFEC_WRITE), 0x7000);
}

static void test_exchange(void **state)
{
    uint64_t old = 5, new = 7;

    (void)state;
    make_tables();
    *(uint64_t *)at(0x5010) = 5;
    assert_true(hvm_cmpxchg_linear(v, 0x10, &old, &new, 8, 0));
    assert_int_equal(old, 5);
    assert_true(hvm_cmpxchg_linear(v, 0x10, &old, &new, 4, PFEC_USER));
    assert_int_equal(old, 7);
    assert_int_equal(*(uint64_t *)at(0x5010), 7);
    old = 0x0700, new = 0xffff;
    assert_true(hvm_cmpxchg_linear(v, 0xf, &old, &new, 2, 0));
    assert_int_equal(*(uint64_t *)at(0x5010), 0xff);
    assert_false(hvm_cmpxchg_linear(v, 0xffc, &old, &new, 8, 0));  /* over its end */
    assert_false(hvm_cmpxchg_linear(v, 0x1010, &old, &new, 8, 0)); /* read-only */
    assert_false(hvm_cmpxchg_linear(v, 0x20, &old, &new, 16, 0));
    assert_true(local_irq_is_enabled());
}

static void test_legacy_modes(void **state)
{
    (void)state;
    make_tables();
    paging.efer = 0;
    paging.cr3 = 0x8020;
    entry(0x8020, 3, 0x3000 | PTE_PRESENT | PTE_ACCESSED); /* which has no rights to give */
    assert_int_equal(walk(0xc0000123, PFEC_USER | PFEC_WRITE), 0x5123);
    assert_int_equal(walk(0xffffffffc0000123, 0), 0x5123);
    assert_int_equal(*(uint64_t *)at(0x8038), 0x3000 | PTE_PRESENT | PTE_ACCESSED);
    entry(0x8020, 2, 0x3000 | LEAF); /* reserved there */
    assert_int_equal(walk(0x80000123, 0), FAULT);
    assert_int_equal(error, PFEC_PRESENT | PFEC_RSVD);
    entry(0x4000, 3, 0x5000 | LEAF | 1ULL << 59);
    assert_int_equal(walk(0xc0003000, 0), FAULT);
    assert_int_equal(walk(0xc0000000, 0), 0x5000);
    paging.cr4 = CR4_PSE;
    paging.cr3 = 0x9fff;
    entry32(0x9000, 1, 0xa000 | LEAF);
    entry32(0xa000, 2, 0xb000 | LEAF);
    entry32(0x9000, 2, 0x1000000 | LEAF | PTE_PSE | 1u << 13);
    assert_int_equal(walk(0x402123, PFEC_WRITE), 0xb123);
    assert_int_equal(*(uint32_t *)at(0xa008), 0xb000 | LEAF | PTE_ACCESSED | PTE_DIRTY);
    assert_int_equal(walk(0x812345, 0), 0x101012345);
    entry32(0x9000, 3, 0x1000000 | LEAF | PTE_PSE | 1u << 21);
    assert_int_equal(walk(0xc12345, 0), FAULT);
    assert_int_equal(error, PFEC_PRESENT | PFEC_RSVD);
    paging.efer = EFER_NXE; /* no bit of such an entry forbids it, nor does an error tell of it */
    assert_int_equal(walk(0x402123, PFEC_FETCH), 0xb123);
    assert_int_equal(walk(0x403123, PFEC_FETCH), FAULT);
    assert_int_equal(error, 0);
    paging.cr4 |= CR4_SMEP;
    assert_int_equal(walk(0x403123, PFEC_FETCH), FAULT);
    assert_int_equal(error, PFEC_FETCH);
    paging.cr4 = 0; /* it leads to a table then */
    assert_int_equal(walk(0x812345, 0), FAULT);
    paging.cr0 = CR0_PE;
    assert_int_equal(walk(0x100003456, 0), 0x3456);
}

static void test_frames_that_come_on_demand(void **state)
{
    uint64_t word = 0;

    (void)state;
    make_tables();
    assert_int_equal(p2m_populate_later(d, _gfn(0x200), 9), 0);
    /* Table and page are not there yet. */
    entry(0x3000, 2, 0x200000 | LEAF);
    assert_int_equal(walk(0x400000, 0), FAULT);
    entry(0x200000, 0, 0x201000 | LEAF);
    assert_int_equal(hvm_copy_from_linear(v, &word, 0x400000, sizeof(word), 0), 0);
    word = 5;
    assert_int_equal(hvm_copy_to_linear(v, 0x400008, &word, sizeof(word), 0), 0);
    assert_int_equal(*(uint64_t *)at(0x201008), 5);
    assert_int_equal(hvm_copy_to_linear(v, 0x402ff8, &word, 16, 0), 16);
}

static void test_what_is_granted_for_reading(void **state)
{
    struct page_info *pg = page_of(d);
    uint64_t word = 7;

    (void)state;
    make_tables();
    entry(0x4000, 2, 0x50000 | LEAF);
    assert_int_equal(p2m_place(d, _gfn(0x50), pg, P2M_GRANT_RO), 0);
    *(uint64_t *)page_to_virt(pg) = 9;
    assert_int_equal(hvm_copy_to_linear(v, 0x2000, &word, sizeof(word), 0), sizeof(word));
    assert_int_equal(hvm_copy_from_linear(v, &word, 0x2000, sizeof(word), 0), 0);
    assert_int_equal(word, 9);
    assert_int_equal(p2m_unmap_grant(d, _gfn(0x50), pg), 0);
    assert_int_equal(hvm_copy_from_linear(v, &word, 0x2000, sizeof(word), 0), sizeof(word));
    put_page_alloc(pg);
}

/* What is remembered of walks is what a walk finds: tables, frames and registers change at random.
 */
static void test_walks_are_remembered_while_they_hold(void **state)
{
    struct hvm_walk kept[ARRAY_SIZE(v->arch.hvm->walks)];
    unsigned found = 0;

    (void)state;
    make_tables();
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t addr = ground_random(8) << PAGE_SHIFT | ground_random(2) << 21, gpa, fresh;
        uint32_t access = (uint32_t[]){0, PFEC_WRITE, PFEC_USER, PFEC_FETCH}[ground_random(4)];
        uint64_t frame = 1 + ground_random(10);
        struct page_info *old = NULL;

        switch (ground_random(100)) {
        case 0: /* an entry; of the last level, mostly */
            entry(ground_random(3) ? 0x4000 : frame << PAGE_SHIFT, ground_random(8),
                  (1 + ground_random(10)) << PAGE_SHIFT | (ground_random(8) ? LEAF : PTE_PRESENT));
            break;
        case 1: /* another page, with nothing in it; the old one is as it was for some time yet */
            old = p2m_get_page(d, _gfn(frame));
            assert_int_equal(p2m_place(d, _gfn(frame), page_of(d), P2M_RAM), 0);
            break;
        case 2:
            make_tables();
            break;
        case 3:
            paging.cr3 = ground_random(4) ? 0x1000 : frame << PAGE_SHIFT;
            break;
        case 4:
            paging.cr0 ^= CR0_WP;
            paging.efer ^= EFER_NXE;
        }
        gpa = walk(addr, access);
        memcpy(kept, v->arch.hvm->walks, sizeof(kept));
        memset(v->arch.hvm->walks, 0, sizeof(kept));
        fresh = walk(addr, access);
        memcpy(v->arch.hvm->walks, kept, sizeof(kept));
        assert_int_equal(gpa, fresh);
        found += gpa != FAULT;
        if (old)
            put_page(old);
    }
    assert_true(found > 1000);
}

/* Frames that a vcpu remembers at the same place. */
static void test_a_memory_for_far_frames(void **state)
{
    uint64_t far = 4ULL << 18;

    (void)state;
    make_tables();
    assert_int_equal(p2m_place(d, _gfn(far), page_of(d), P2M_RAM), 0);
    entry(far << PAGE_SHIFT, 1, 0x5000 | LEAF);
    entry(0x3000, 3, far << PAGE_SHIFT | LEAF);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(walk(0x601000, 0), 0x5000);
        assert_int_equal(walk(0, 0), 0x5000);
    }
    entry(0x3000, 4, 5ULL << 30 | LEAF); /* nothing there at all */
    assert_int_equal(walk(0x800000, 0), FAULT);
    paging.cr3 = PTE_ADDR; /* beyond what tables can say */
    assert_int_equal(walk(0, 0), FAULT);
}

static void test_code(void **state)
{
    uint32_t bytes;

    (void)state;
    make_tables();
    memcpy(at(0x5ffa), "\1\2\3\4\5\6", 6);
    assert_true(hvm_peek_code(v, 0xffc, 0, &bytes));
    assert_int_equal(bytes, 0x06050403);
    assert_false(hvm_peek_code(v, 0xffd, 0, &bytes)); /* into the next page */
    assert_false(hvm_peek_code(v, 0x2000, 0, &bytes));
    assert_false(hvm_peek_code(v, 0x1000, PFEC_USER, &bytes));
    assert_true(local_irq_is_enabled());
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_rights_and_marks),
        T(test_large_pages),
        T(test_legacy_modes),
        T(test_smap_and_keys),
        T(test_exchange),
        T(test_frames_that_come_on_demand),
        T(test_what_is_granted_for_reading),
        T(test_walks_are_remembered_while_they_hold),
        T(test_a_memory_for_far_frames),
        T(test_code),
    };

    return cmocka_run_group_tests_name("access", tests, ground_setup, NULL);
}
