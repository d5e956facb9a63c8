// SPDX-License-Identifier: MIT
/*
 * A guest's memory by its linear addresses: a walk of its own page tables, in any of the CPU's
 * modes, and from the guest physical address to the page by the p2m.  What is not there, or is no
 * RAM of the guest's nor granted to it, is not copied.
 *
 * All of this is for current.  Interrupts are off while frames of its are looked at (p2m_ram()).
 *
 * Rights are the CPU's, of the access as the caller names it (PFEC_WRITE, _USER, _FETCH, HVM_KEYS,
 * HVM_SMAP): hypercalls' arguments come without the last two, for a kernel names them on behalf of
 * its users.  Accessed and dirty bits are set as the CPU would.
 *
 * The last walks are remembered (struct hvm_walk): one that is asked for again is four comparisons
 * of what is in the guest's tables with what was there.
 */
#include "arch/x86/hvm/hvm.h"
#include "asm/cpufeature.h"
#include "asm/msr.h"
#include "asm/page.h"
#include "asm/regs.h"
#include "lib/errno.h"
#include "lib/string.h"

struct walk {
    struct vcpu *v;
    struct hvm_paging p;
    uint32_t access;
    uint64_t *missing; /* where a frame of the tables' has no RAM */
    struct hvm_walk *memory;
    uint64_t reserved; /* bits that entries must not have */
    unsigned largest;  /* the shift of the largest pages of long mode */
};
#define NOTHING_MISSING (~0ULL)

#define PTE_KEY(e)     ((e) >> 59 & 15)
#define PKRU_NO_ACCESS 1u
#define PKRU_NO_WRITE  2u
#define PTE_UNUSED_PAE 0x7ff0000000000000 /* which long mode ignores, or has keys in */

/* Interrupts off.  Of what is granted to the guest read-only, only to read. */
static inline void *ram_at(struct vcpu *v, uint64_t gpa, bool write)
{
    return p2m_ram(&v->domain->arch.hvm->p2m, &v->arch.hvm->p2m_memory, gpa >> PAGE_SHIFT, write);
}

/* A frame of the guest's tables. */
static inline void *table_at(const struct walk *w, uint64_t table)
{
    void *p = ram_at(w->v, table, true);

    if (unlikely(!p))
        *w->missing = table;
    return p;
}

static bool pae(const struct walk *w)
{
    return w->p.cr4 & CR4_PAE;
}

/* Sets bits of the entry at e, which was `seen` a moment ago, in the guest's table. */
static void mark(const struct walk *w, uint64_t table, void *e, uint64_t seen, uint64_t bits)
{
    uint32_t seen32 = seen;

    if (pae(w))
        __atomic_compare_exchange_n((uint64_t *)e, &seen, seen | bits, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_RELAXED);
    else
        __atomic_compare_exchange_n((uint32_t *)e, &seen32, seen32 | (uint32_t)bits, false,
                                    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    p2m_mark_dirty(w->v->domain, _gfn(table >> PAGE_SHIFT));
}

/* Accessed; and dirty, what is written by. */
static uint64_t marks_of(const struct walk *w, bool leaf)
{
    return PTE_ACCESSED | (leaf && (w->access & PFEC_WRITE) ? PTE_DIRTY : 0);
}

/* Does the page's protection key allow what its rights do? */
static bool key_allows(const struct walk *w, uint64_t leaf)
{
    unsigned bits = hvm_get_pkru() >> 2 * PTE_KEY(leaf);

    if (bits & PKRU_NO_ACCESS)
        return false;
    return !(bits & PKRU_NO_WRITE) || !(w->access & PFEC_WRITE) ||
           (!(w->access & PFEC_USER) && !(w->p.cr0 & CR0_WP));
}

static bool code_allowed(const struct walk *w, bool user_page, bool nx)
{
    if (nx)
        return false;
    return w->access & PFEC_USER ? user_page : !user_page || !(w->p.cr4 & CR4_SMEP);
}

/*
 * 0, or -EFAULT and what the error code says of it.  rights: what all levels allow; any: what one
 * of them says.
 */
static int check_rights(const struct walk *w, uint64_t rights, uint64_t any, uint64_t leaf,
                        uint32_t *error)
{
    bool user_page = rights & PTE_USER, fine;

    if (w->access & PFEC_FETCH)
        fine = code_allowed(w, user_page, any & PTE_NX);
    else {
        fine = !(w->access & PFEC_WRITE) || (rights & PTE_RW) ||
               (!(w->access & PFEC_USER) && !(w->p.cr0 & CR0_WP));
        if (w->access & PFEC_USER)
            fine = fine && user_page;
        else if (user_page && (w->access & HVM_SMAP) && (w->p.cr4 & CR4_SMAP))
            fine = false;
        if (user_page && (w->access & HVM_KEYS) && (w->p.cr4 & CR4_PKE) && (w->p.efer & EFER_LMA) &&
            !key_allows(w, leaf)) {
            *error |= PFEC_KEY; /* and maybe not it alone */
            fine = false;
        }
    }
    if (likely(fine))
        return 0;
    *error |= PFEC_PRESENT;
    return -EFAULT;
}

static int reserved_bits(uint32_t *error)
{
    *error |= PFEC_PRESENT | PFEC_RSVD;
    return -EFAULT;
}

/* Of a large page's entry: between the bit that is PAT's and its address. */
static uint64_t reserved_below(unsigned shift)
{
    return shift > PAGE_SHIFT ? (1ULL << shift) - (2ULL << PAGE_SHIFT) : 0;
}

/* In long mode: four levels, or five. */
static int walk_long(const struct walk *w, uint64_t addr, uint64_t *gpa, uint32_t *error)
{
    uint64_t table = w->p.cr3, rights = PTE_RW | PTE_USER, any = 0, marks, e;
    unsigned top = w->p.cr4 & CR4_LA57 ? 48 : 39, n = 0;
    struct hvm_walk *m = w->memory;
    bool leaf;

    if (unlikely(((uint64_t)((int64_t)(addr << (55 - top)) >> (55 - top))) != addr))
        return -EFAULT; /* not canonical */
    for (unsigned shift = top;; shift -= 9) {
        uint64_t *p = table_at(w, table & PTE_ADDR);

        if (unlikely(!p))
            return -EFAULT;
        p += (addr >> shift) & (PTES_PER_TABLE - 1);
        e = READ_ONCE(*p);
        if (!(e & PTE_PRESENT))
            return -EFAULT;
        leaf = shift == PAGE_SHIFT || (e & PTE_PSE);
        if (unlikely((e & w->reserved) || (shift > L3_SHIFT && (e & PTE_GLOBAL)) || /* AMD's, 5.3 */
                     (leaf && (shift > w->largest || (e & reserved_below(shift))))))
            return reserved_bits(error);
        rights &= e;
        any |= e;
        if (leaf && unlikely(check_rights(w, rights, any, e, error)))
            return -EFAULT;
        marks = marks_of(w, leaf);
        if (unlikely((e & marks) != marks))
            mark(w, table & PTE_ADDR, p, e, marks);
        m->entry[n].at = p;
        m->entry[n++].e = e | marks;
        if (leaf) {
            uint64_t below = (1ULL << shift) - 1;

            *gpa = (e & PTE_ADDR & ~below) | (addr & below);
            m->seen = n;
            return 0;
        }
        table = e;
    }
}

/* Beside those of all levels; the accessed bit, which is reserved, too, QEMU sets there. */
#define PDPTE_RESERVED (PTE_RW | PTE_USER | 0x1c0)
#define PSE_RESERVED   (UL_(1) << 21)

/* Of an entry of 32 bits, of one of 64 with PAE. */
static bool legacy_reserved(const struct walk *w, uint64_t e, unsigned level, bool large)
{
    if (!pae(w))
        return large && (e & PSE_RESERVED);
    if (level == 3)
        return e & (w->reserved | PDPTE_RESERVED | PTE_NX);
    return (e & w->reserved) || (large && (e & reserved_below(21)));
}

/* In protected mode: two levels, or three (PAE), the uppermost of which has no rights. */
static int walk_legacy(const struct walk *w, uint64_t addr, uint64_t *gpa, uint32_t *error)
{
    unsigned bits = pae(w) ? 9 : 10, size = pae(w) ? 8 : 4;
    uint64_t table = w->p.cr3 & (pae(w) ? 0xffffffe0u : 0xfffff000u);
    uint64_t rights = PTE_RW | PTE_USER, any = 0, marks, e;

    for (unsigned level = pae(w) ? 3 : 2;; level--) {
        unsigned shift = PAGE_SHIFT + bits * (level - 1);
        unsigned index = (addr >> shift) & (level == 3 ? 3 : (1u << bits) - 1);
        char *p = table_at(w, table);
        bool large, leaf;

        if (!p)
            return -EFAULT;
        p += (table & (PAGE_SIZE - 1)) + index * size;
        e = pae(w) ? READ_ONCE(*(uint64_t *)p) : READ_ONCE(*(uint32_t *)p);
        if (!(e & PTE_PRESENT))
            return -EFAULT;
        large = level == 2 && (e & PTE_PSE) && (pae(w) || (w->p.cr4 & CR4_PSE));
        leaf = level == 1 || large;
        if (legacy_reserved(w, e, level, large))
            return reserved_bits(error);
        rights &= level == 3 ? ~0ULL : e;
        any |= e;
        if (leaf && check_rights(w, rights, any, e, error))
            return -EFAULT;
        marks = level == 3 ? 0 : marks_of(w, leaf);
        if ((e & marks) != marks)
            mark(w, table, p, e, marks);
        if (leaf) {
            uint64_t below = (1ULL << shift) - 1, base = e & PTE_ADDR & ~below;

            if (!pae(w) && level == 2) /* bits 13 to 20 are the address's above 32 */
                base |= (e & 0x1fe000) << 19;
            *gpa = base | (addr & below);
            return 0;
        }
        table = e & PTE_ADDR;
    }
}

/* Bits that no entry may have. */
static uint64_t reserved_in(const struct hvm_paging *p)
{
    uint64_t res = PTE_ADDR & (~0ULL << min(host_cpu.phys_bits, 52u));

    if (!(p->efer & EFER_NXE))
        res |= PTE_NX;
    return p->efer & EFER_LMA ? res : res | PTE_UNUSED_PAE;
}

static uint64_t generation_of(const struct vcpu *v)
{
    return __atomic_load_n(&v->domain->arch.hvm->p2m.generation, __ATOMIC_ACQUIRE);
}

#define ACCESS_KINDS (PFEC_WRITE | PFEC_USER | PFEC_FETCH | HVM_KEYS | HVM_SMAP)

static uint64_t what_of(uint64_t addr, uint32_t access)
{
    return (addr & PAGE_MASK) | (access & ACCESS_KINDS) | PFEC_PRESENT;
}

/* Is m what a walk would find? */
static inline bool still_true(const struct vcpu *v, const struct hvm_walk *m,
                              const struct hvm_paging *p, uint64_t what)
{
    BUILD_BUG_ON(sizeof(*p) != 4 * sizeof(uint64_t)); /* all of it is looked at */
    if (m->what != what || m->p.cr3 != p->cr3 || m->p.cr0 != p->cr0 || m->p.cr4 != p->cr4 ||
        m->p.efer != p->efer || m->generation != generation_of(v))
        return false;
    for (unsigned n = 0; n < m->seen; n++)
        if (READ_ONCE(*m->entry[n].at) != m->entry[n].e)
            return false;
    return true;
}

/* Walks, and m is what was found. */
static noinline bool walk(struct vcpu *v, struct hvm_walk *m, uint64_t addr, uint32_t access,
                          uint32_t *error, uint64_t *missing)
{
    struct walk w = {.v = v, .p = m->p, .access = access, .missing = missing, .memory = m};
    bool ok = true;
    uint64_t gpa;

    *error = access & (PFEC_WRITE | PFEC_USER);
    /* Tables of two levels have no bit that forbids it: EFER.NXE changes nothing there. */
    if ((access & PFEC_FETCH) &&
        (((w.p.efer & EFER_NXE) && (w.p.cr4 & CR4_PAE)) || (w.p.cr4 & CR4_SMEP)))
        *error |= PFEC_FETCH;
    w.reserved = reserved_in(&w.p);
    w.largest = cpu_has(PAGE1GB) ? L3_SHIFT : L2_SHIFT;
    m->what = 0;
    m->generation = generation_of(v);
    if (likely(w.p.efer & EFER_LMA))
        ok = !walk_long(&w, addr, &gpa, error);
    else if (w.p.cr0 & CR0_PG)
        ok = !walk_legacy(&w, (uint32_t)addr, &gpa, error);
    else
        gpa = (uint32_t)addr;
    if (!ok)
        return false;
    m->gpa = gpa & PAGE_MASK;
    m->ram = ram_at(v, gpa, false);
    /* PKRU may be another the next time. */
    if (likely((w.p.efer & EFER_LMA) && !((access & HVM_KEYS) && (w.p.cr4 & CR4_PKE))))
        m->what = what_of(addr, access);
    return true;
}

/* The page with addr, good as long as interrupts are off; or NULL. */
static inline const struct hvm_walk *find_page(struct vcpu *v, uint64_t addr, uint32_t access,
                                               uint32_t *error, uint64_t *missing)
{
    struct hvm_walk *m = &v->arch.hvm->walks[(addr >> PAGE_SHIFT) % ARRAY_SIZE(v->arch.hvm->walks)];
    struct hvm_paging p;

    hvm_vendor->get_paging(v, &p);
    if (likely(still_true(v, m, &p, what_of(addr, access))))
        return m;
    m->p = p;
    return walk(v, m, addr, access, error, missing) ? m : NULL;
}

/* Interrupts off. */
static int translate(struct vcpu *v, uint64_t addr, uint32_t access, uint64_t *gpa, uint32_t *error,
                     uint64_t *missing)
{
    const struct hvm_walk *m = find_page(v, addr, access, error, missing);

    if (!m)
        return -EFAULT;
    *gpa = m->gpa | (addr & (PAGE_SIZE - 1));
    return 0;
}

/*
 * A frame may get its page only when somebody asks for it, which is done with interrupts as the
 * caller had them.  True: gpa has one now.
 */
static bool populated(struct vcpu *v, uint64_t gpa)
{
    struct page_info *pg = p2m_get_page(v->domain, _gfn(gpa >> PAGE_SHIFT));

    if (pg)
        put_page(pg);
    return pg;
}

/* As many frames as one access can be the first to touch, and one to be safe. */
#define MAX_TRIES 8

int hvm_translate(struct vcpu *v, uint64_t addr, uint32_t access, uint64_t *gpa, uint32_t *error)
{
    int rc = -EFAULT;

    for (unsigned tries = 0; rc && tries < MAX_TRIES; tries++) {
        unsigned long flags = local_irq_save_();
        uint64_t missing = NOTHING_MISSING;

        rc = translate(v, addr, access, gpa, error, &missing);
        local_irq_restore(flags);
        if (missing == NOTHING_MISSING || !populated(v, missing))
            break;
    }
    return rc;
}

/* What lies in one page, one way or the other: dst or src is NULL.  Interrupts off. */
static bool copy_piece(struct vcpu *v, void *dst, const void *src, uint64_t addr, size_t n,
                       uint32_t access, uint64_t *missing)
{
    uint64_t gpa;
    uint32_t error;
    char *p;

    if (translate(v, addr, access, &gpa, &error, missing))
        return false;
    p = ram_at(v, gpa, src);
    if (!p) {
        *missing = gpa;
        return false;
    }
    p += gpa & (PAGE_SIZE - 1);
    if (dst) {
        memcpy(dst, p, n);
        return true;
    }
    memcpy(p, src, n);
    p2m_mark_dirty(v->domain, _gfn(gpa >> PAGE_SHIFT));
    return true;
}

static bool copy_in_page(struct vcpu *v, void *dst, const void *src, uint64_t addr, size_t n,
                         uint32_t access)
{
    bool ok = false;

    for (unsigned tries = 0; !ok && tries < MAX_TRIES; tries++) {
        unsigned long flags = local_irq_save_();
        uint64_t missing = NOTHING_MISSING;

        ok = copy_piece(v, dst, src, addr, n, access, &missing);
        local_irq_restore(flags);
        if (ok || missing == NOTHING_MISSING || !populated(v, missing))
            break;
    }
    return ok;
}

static size_t copy_linear(struct vcpu *v, void *dst, const void *src, uint64_t addr, size_t len,
                          uint32_t access)
{
    while (len) {
        size_t n = min(len, (size_t)PAGE_SIZE - (addr & (PAGE_SIZE - 1)));

        if (!copy_in_page(v, dst, src, addr, n, access))
            break;
        dst = dst ? (char *)dst + n : NULL;
        src = src ? (const char *)src + n : NULL;
        addr += n;
        len -= n;
    }
    return len;
}

size_t hvm_copy_from_linear(struct vcpu *v, void *dst, uint64_t addr, size_t len, uint32_t access)
{
    return copy_linear(v, dst, NULL, addr, len, access);
}

size_t hvm_copy_to_linear(struct vcpu *v, uint64_t addr, const void *src, size_t len,
                          uint32_t access)
{
    return copy_linear(v, NULL, src, addr, len, access | PFEC_WRITE);
}

/* One form for each size. */
#define EXCHANGE(type)                                                                             \
    ({                                                                                             \
        type want_ = *(const type *)new;                                                           \
        __atomic_compare_exchange_n((type *)p, (type *)old, want_, false, __ATOMIC_SEQ_CST,        \
                                    __ATOMIC_SEQ_CST);                                             \
    })

static void exchange(void *p, void *old, const void *new, unsigned bytes)
{
    switch (bytes) {
    case 1:
        EXCHANGE(uint8_t);
        break;
    case 2:
        EXCHANGE(uint16_t);
        break;
    case 4:
        EXCHANGE(uint32_t);
        break;
    default:
        EXCHANGE(uint64_t);
        break;
    }
}

bool hvm_cmpxchg_linear(struct vcpu *v, uint64_t addr, void *old, const void *new, unsigned bytes,
                        uint32_t access)
{
    unsigned long flags;
    uint64_t gpa, missing;
    uint32_t error;
    char *p = NULL;

    if ((addr & (PAGE_SIZE - 1)) > PAGE_SIZE - bytes || bytes > 8)
        return false;
    flags = local_irq_save_();
    if (!translate(v, addr, access | PFEC_WRITE, &gpa, &error, &missing)) {
        p = ram_at(v, gpa, true);
        if (p) {
            exchange(p + (gpa & (PAGE_SIZE - 1)), old, new, bytes);
            p2m_mark_dirty(v->domain, _gfn(gpa >> PAGE_SHIFT));
        }
    }
    local_irq_restore(flags);
    return p;
}

bool hvm_peek_code(struct vcpu *v, uint64_t addr, uint32_t access, uint32_t *bytes)
{
    const struct hvm_walk *m;
    uint64_t missing;
    uint32_t error;

    if ((addr & (PAGE_SIZE - 1)) > PAGE_SIZE - sizeof(*bytes))
        return false;
    local_irq_disable();
    m = find_page(v, addr, access | PFEC_FETCH, &error, &missing);
    if (likely(m && m->ram))
        *bytes = READ_ONCE(*(const uint32_t *)(m->ram + (addr & (PAGE_SIZE - 1))));
    else
        m = NULL;
    local_irq_enable();
    return m;
}

size_t hvm_copy_from_guest(void *dst, uint64_t addr, size_t len)
{
    return copy_linear(current, dst, NULL, addr, len, 0);
}

size_t hvm_copy_to_guest(uint64_t addr, const void *src, size_t len)
{
    return copy_linear(current, NULL, src, addr, len, PFEC_WRITE);
}
