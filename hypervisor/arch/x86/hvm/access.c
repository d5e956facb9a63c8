// SPDX-License-Identifier: MIT
/*
 * A guest's memory by its linear addresses: a walk of its own page tables, in any of the CPU's
 * modes, and from the guest physical address to the page by the p2m.  What is not there, or is no
 * RAM of the guest's nor granted to it, is not copied.
 *
 * Rights are the CPU's, of the access as the caller names it (PFEC_WRITE, _USER, _FETCH), but for
 * SMAP and protection keys.  Accessed and dirty bits are set as the CPU would.
 */
#include "arch/x86/hvm/hvm.h"
#include "asm/msr.h"
#include "asm/page.h"
#include "asm/regs.h"
#include "lib/errno.h"
#include "lib/string.h"

struct walk {
    struct vcpu *v;
    uint64_t cr0, cr4, efer;
    uint32_t access;
    bool pae; /* entries of eight bytes */
};

/* Reads an entry of a table, marks it accessed (and a leaf dirty), and says whether it is there. */
static bool read_entry(const struct walk *w, uint64_t table, unsigned index, unsigned level,
                       uint64_t *e)
{
    unsigned size = w->pae ? 8 : 4;
    struct page_info *pg = p2m_get_page(w->v->domain, _gfn(table >> PAGE_SHIFT));
    uint64_t mark = PTE_ACCESSED, seen = 0;
    void *p;

    if (!pg)
        return false;
    p = (char *)page_to_virt(pg) + (table & (PAGE_SIZE - 1)) + index * size;
    *e = w->pae ? READ_ONCE(*(uint64_t *)p) : READ_ONCE(*(uint32_t *)p);
    if ((w->access & PFEC_WRITE) && (level == 1 || (*e & PTE_PSE)))
        mark |= PTE_DIRTY;
    /* The third level of PAE has no such bits. */
    seen = *e;
    if ((*e & PTE_PRESENT) && (*e & mark) != mark && !(level == 3 && !(w->efer & EFER_LMA))) {
        if (w->pae)
            __atomic_compare_exchange_n((uint64_t *)p, &seen, seen | mark, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_RELAXED);
        else {
            uint32_t seen32 = seen;

            __atomic_compare_exchange_n((uint32_t *)p, &seen32, seen32 | (uint32_t)mark, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
        }
        p2m_mark_dirty(w->v->domain, _gfn(table >> PAGE_SHIFT));
    }
    put_page(pg);
    return true;
}

static bool allowed(const struct walk *w, uint64_t rights, bool nx)
{
    if (w->access & PFEC_USER) {
        if (!(rights & PTE_USER) || ((w->access & PFEC_WRITE) && !(rights & PTE_RW)))
            return false;
    } else {
        if ((w->access & PFEC_WRITE) && !(rights & PTE_RW) && (w->cr0 & CR0_WP))
            return false;
        if ((w->access & PFEC_FETCH) && (rights & PTE_USER) && (w->cr4 & CR4_SMEP))
            return false;
    }
    return !((w->access & PFEC_FETCH) && nx);
}

static int walk(const struct walk *w, uint64_t addr, uint64_t *gpa, uint32_t *error)
{
    bool long_mode = w->efer & EFER_LMA, nx = false;
    unsigned levels = long_mode ? (w->cr4 & CR4_LA57 ? 5 : 4) : w->pae ? 3 : 2;
    unsigned bits = w->pae ? 9 : 10;
    uint64_t table = hvm_vendor->get_cr(w->v, 3), rights = PTE_RW | PTE_USER, e = 0;

    *error = w->access & (PFEC_WRITE | PFEC_USER | PFEC_FETCH);
    table &= long_mode ? PTE_ADDR : w->pae ? 0xffffffe0u : 0xfffff000u;
    for (unsigned level = levels;; level--) {
        unsigned shift = PAGE_SHIFT + bits * (level - 1);
        unsigned index = (addr >> shift) & ((1u << bits) - 1);

        if (levels == 3 && level == 3)
            index = (addr >> 30) & 3;
        if (!read_entry(w, table, index, level, &e) || !(e & PTE_PRESENT))
            return -EFAULT;
        if (!(level == 3 && !long_mode))
            rights &= e;
        nx |= w->pae && (e & PTE_NX) && (w->efer & EFER_NXE);
        if (level == 1 || ((e & PTE_PSE) && level <= 3 && !(level == 3 && !long_mode) &&
                           (w->pae || (w->cr4 & CR4_PSE)))) {
            uint64_t size = 1ULL << shift, base = e & PTE_ADDR & ~(size - 1);

            if (!w->pae && level == 2) /* bits 13 to 20 are the address's above 32 */
                base |= (e & 0x1fe000) << 19;
            *gpa = base | (addr & (size - 1));
            break;
        }
        table = e & PTE_ADDR;
    }
    if (allowed(w, rights, nx))
        return 0;
    *error |= PFEC_PRESENT;
    return -EFAULT;
}

int hvm_translate(struct vcpu *v, uint64_t addr, uint32_t access, uint64_t *gpa, uint32_t *error)
{
    struct walk w = {
        .v = v, .cr0 = hvm_vendor->get_cr(v, 0), .cr4 = hvm_vendor->get_cr(v, 4), .access = access};

    hvm_vendor->get_msr(v, MSR_EFER, &w.efer);
    if (!(w.efer & EFER_LMA))
        addr = (uint32_t)addr;
    if (!(w.cr0 & CR0_PG)) {
        *gpa = addr;
        return 0;
    }
    w.pae = w.cr4 & CR4_PAE;
    return walk(&w, addr, gpa, error);
}

/* One way or the other: dst or src is NULL. */
static size_t copy_linear(struct vcpu *v, void *dst, const void *src, uint64_t addr, size_t len,
                          uint32_t access)
{
    while (len) {
        size_t off = addr & (PAGE_SIZE - 1), n = min(len, (size_t)PAGE_SIZE - off);
        struct page_info *pg;
        uint32_t error;
        uint64_t gpa;
        bool typed;

        if (hvm_translate(v, addr, access, &gpa, &error))
            break;
        pg = p2m_hold(v->domain, _gfn(gpa >> PAGE_SHIFT), src, &typed);
        if (!pg)
            break;
        if (src) {
            memcpy((char *)page_to_virt(pg) + off, src, n);
            src = (const char *)src + n;
            p2m_mark_dirty(v->domain, _gfn(gpa >> PAGE_SHIFT));
        } else {
            memcpy(dst, (char *)page_to_virt(pg) + off, n);
            dst = (char *)dst + n;
        }
        p2m_put_held(pg, typed);
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

size_t hvm_copy_from_guest(void *dst, uint64_t addr, size_t len)
{
    return copy_linear(current, dst, NULL, addr, len, 0);
}

size_t hvm_copy_to_guest(uint64_t addr, const void *src, size_t len)
{
    return copy_linear(current, NULL, src, addr, len, PFEC_WRITE);
}
