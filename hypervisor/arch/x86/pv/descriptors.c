// SPDX-License-Identifier: MIT
/*
 * Descriptor tables of PV guests.
 *
 * A guest's GDT and LDT are pages of its own, of type PGT_seg_desc: every descriptor in them has
 * been checked, and the guest cannot write them.  They are mapped for the CPU in the per-domain
 * area (L4 slot 260, the same for all tables of the domain), 32 pages a vcpu: 14 of GDT, then
 * this CPU's own gdt_page (so that the hypervisor's selectors are always there), an empty one,
 * and 16 of LDT.  Where the guest has no GDT page there is one of zeros: a selector into it is a
 * general protection fault.  LDT pages are mapped when the CPU first asks for them.
 *
 * Only the vcpu itself changes its tables, or somebody who has paused it.
 */
#include "arch/x86/mm/mm.h"
#include "asm/desc.h"
#include "asm/extable.h"
#include "asm/layout.h"
#include "asm/page.h"
#include "asm/regs.h"
#include "asm/trap.h"
#include "hypercall/compat.h"
#include "hypercall/handlers.h"
#include "kernel/percpu.h"
#include "lib/errno.h"
#include "pv.h"

#define GDT_GUEST_PAGES 14
#define GDT_GUEST_ENTS  (GDT_GUEST_PAGES * 512)
#define LDT_FIRST_PAGE  16
#define LDT_PAGES       16
#define PAGES_PER_VCPU  32
#define VCPUS_PER_L1    (PTES_PER_TABLE / PAGES_PER_VCPU)
#define AREA_SHIFT      (PAGE_SHIFT + 5)
#define HYP_PTE_FLAGS   (PTE_PRESENT | PTE_RW | PTE_ACCESSED | PTE_DIRTY)
#define DESC_PER_PAGE   512

static unsigned long area_va(const struct vcpu *v)
{
    return PERDOMAIN_VIRT + ((unsigned long)v->vcpu_id << AREA_SHIFT);
}

static const uint8_t no_descriptors[PAGE_SIZE] __aligned(PAGE_SIZE);

static unsigned long no_gdt_pte(void)
{
    return make_pte(hyp_va_to_mfn((unsigned long)no_descriptors), PTE_PRESENT | PTE_ACCESSED);
}

/* Of this CPU's gdt_page and gdt_page32, for slot 14 of whatever vcpu it runs. */
static DEFINE_PER_CPU(pte_t[2], gdt_page_pte);

static pte_t hyp_pte(mfn_t mfn)
{
    return make_pte(mfn, HYP_PTE_FLAGS);
}

mfn_t hyp_va_to_mfn(unsigned long va)
{
    const pte_t *table = idle_pg_table;

    for (unsigned level = 4; level > 1; level--) {
        pte_t e = table[pt_index(va, level)];

        if (level < 4 && (e & PTE_PSE))
            return mfn_add(pte_mfn(e & ~PTE_PAT_LARGE),
                           (va >> PAGE_SHIFT) & ((1UL << (9 * (level - 1))) - 1));
        table = mfn_to_virt(pte_mfn(e));
    }
    return pte_mfn(table[pt_index(va, 1)]);
}

void pv_descriptors_cpu_init(void)
{
    this_cpu(gdt_page_pte)[0] = hyp_pte(hyp_va_to_mfn((unsigned long)&this_cpu(gdt_page)));
    this_cpu(gdt_page_pte)[1] = hyp_pte(hyp_va_to_mfn((unsigned long)&this_cpu(gdt_page32)));
}

/* --- the per-domain area --- */

int pv_perdomain_create(struct domain *d)
{
    pte_t *l2;

    d->arch.perdomain_l3 = alloc_page_virt();
    l2 = alloc_page_virt();
    d->arch.perdomain_l1 = xzalloc_array(unsigned long *, DIV_ROUND_UP(d->max_vcpus, VCPUS_PER_L1));
    if (!d->arch.perdomain_l3 || !l2 || !d->arch.perdomain_l1) {
        if (l2)
            free_page_virt(l2);
        return -ENOMEM;
    }
    d->arch.perdomain_l3[0] = hyp_pte(virt_to_mfn(l2));
    return 0;
}

int pv_perdomain_vcpu(struct vcpu *v)
{
    struct domain *d = v->domain;
    unsigned slot = v->vcpu_id / VCPUS_PER_L1;

    if (!d->arch.perdomain_l1[slot]) {
        pte_t *l1 = alloc_page_virt(), *l2;

        if (!l1)
            return -ENOMEM;
        d->arch.perdomain_l1[slot] = (unsigned long *)l1;
        l2 = mfn_to_virt(pte_mfn(d->arch.perdomain_l3[0]));
        l2[slot] = hyp_pte(virt_to_mfn(l1));
    }
    v->arch.pv.gdt_ldt_l1 =
        d->arch.perdomain_l1[slot] + (v->vcpu_id % VCPUS_PER_L1) * PAGES_PER_VCPU;
    for (unsigned i = 0; i < GDT_GUEST_PAGES; i++)
        v->arch.pv.gdt_ldt_l1[i] = no_gdt_pte();
    return 0;
}

void pv_perdomain_free(struct domain *d)
{
    for (unsigned i = 0; d->arch.perdomain_l1 && i < DIV_ROUND_UP(d->max_vcpus, VCPUS_PER_L1); i++)
        if (d->arch.perdomain_l1[i])
            free_page_virt(d->arch.perdomain_l1[i]);
    xfree(d->arch.perdomain_l1);
    d->arch.perdomain_l1 = NULL;
    if (d->arch.perdomain_l3) {
        if (d->arch.perdomain_l3[0])
            free_page_virt(mfn_to_virt(pte_mfn(d->arch.perdomain_l3[0])));
        free_page_virt(d->arch.perdomain_l3);
        d->arch.perdomain_l3 = NULL;
    }
}

/* --- what a descriptor may be --- */

#define SEG_CODE    (1ULL << 43)
#define SEG_S       (1ULL << 44) /* code or data, not a system segment */
#define SEG_P       (1ULL << 47)
#define SEG_L       (1ULL << 53)
#define SEG_D       (1ULL << 54)
#define SEG_TYPE(d) (((d) >> 40) & 0xf)
#define SEG_DPL(d)  (((d) >> 45) & 3)

/*
 * Makes *desc harmless or says no.  Code and data of ring 3, and of ring 1 and 2 for a 32-bit
 * kernel, is all a PV guest needs: lower rings are raised, the accessed bit is set (so that the CPU
 * need not write the table), and system segments, call gates above all, are refused.
 */
bool pv_check_descriptor(const struct domain *d, uint64_t *desc)
{
    uint64_t e = *desc;

    if (!(e & SEG_P))
        return true;
    if (!(e & SEG_S))
        return false;
    if (is_32bit(d)) {
        if ((e & SEG_CODE) && (e & SEG_L))
            return false; /* 64-bit code would see the hypervisor with a supervisor's rights */
        if (!SEG_DPL(e))
            e |= 1ULL << 45;
        /* Conforming code runs at its caller's level, which is never ring 0. */
        *desc = e | 1ULL << 40;
        return true;
    }
    if (SEG_DPL(e) != 3)
        e |= 3ULL << 45;
    if ((e & SEG_CODE) && (e & SEG_L) && (e & SEG_D))
        return false; /* reserved */
    if ((SEG_TYPE(e) & 0xc) == 0xc)
        return false; /* conforming code: would run at the caller's level */
    *desc = e | 1ULL << 40;
    return true;
}

/* --- GDT --- */

void pv_drop_gdt(struct vcpu *v)
{
    struct pv_vcpu *pv = &v->arch.pv;

    for (unsigned i = 0; i < DIV_ROUND_UP(pv->gdt_ents, DESC_PER_PAGE); i++) {
        pv->gdt_ldt_l1[i] = no_gdt_pte();
        put_page_and_type(mfn_to_page(_mfn(pv->gdt_frames[i])));
        pv->gdt_frames[i] = 0;
    }
    pv->gdt_ents = 0;
}

int pv_load_gdt(struct vcpu *v, const unsigned long *frames, unsigned ents)
{
    struct pv_vcpu *pv = &v->arch.pv;
    unsigned i, n = DIV_ROUND_UP(ents, DESC_PER_PAGE);

    if (ents > GDT_GUEST_ENTS)
        return -EINVAL;
    for (i = 0; i < n; i++) {
        struct page_info *pg = guest_frame(frames[i]);

        if (!pg || !get_page_and_type(pg, v->domain, PGT_seg_desc))
            goto put_pages;
    }
    pv_drop_gdt(v);
    pv->gdt_ents = ents;
    for (i = 0; i < n; i++) {
        pv->gdt_frames[i] = frames[i];
        pv->gdt_ldt_l1[i] = hyp_pte(_mfn(frames[i]));
    }
    return 0;

put_pages:
    while (i--)
        put_page_and_type(mfn_to_page(_mfn(frames[i])));
    return -EINVAL;
}

/* set_gdt: `entries` descriptors in the frames of the list. */
long do_set_gdt(unsigned long list, unsigned long entries)
{
    XEN_GUEST_HANDLE(xen_pfn_t) h = {(xen_pfn_t *)list};
    unsigned long frames[GDT_GUEST_PAGES];
    int ret;

    if (entries > GDT_GUEST_ENTS)
        return -EINVAL;
    if (copy_array_from_guest(frames, h, 0, DIV_ROUND_UP(entries, DESC_PER_PAGE)))
        return -EFAULT;
    ret = pv_load_gdt(current, frames, entries);
    if (!ret)
        flush_tlb_local();
    return ret;
}

/* update_descriptor: one descriptor, at a machine address. */
long do_update_descriptor(unsigned long addr, unsigned long desc)
{
    struct domain *d = current->domain;
    struct page_info *pg = guest_frame(addr >> PAGE_SHIFT);
    uint64_t val = desc, type;
    long ret = -EINVAL;

    if (addr & 7 || !pg || !pv_check_descriptor(d, &val))
        return -EINVAL;
    if (!get_page(pg, d))
        return -EINVAL;
    /* A descriptor table in use stays one; any other page must be writable by the guest anyway. */
    type = READ_ONCE(pg->type);
    type = (type & PGT_type_mask) == PGT_seg_desc && (type & PGT_count_mask) ? PGT_seg_desc
                                                                             : PGT_writable;
    if (!get_page_type(pg, type)) {
        uint64_t *entry = (uint64_t *)((char *)page_to_virt(pg) + (addr & ~PAGE_MASK));

        WRITE_ONCE(*entry, val);
        put_page_type(pg);
        ret = 0;
    }
    put_page(pg);
    return ret;
}

/* --- LDT --- */

bool pv_drop_ldt(struct vcpu *v)
{
    struct pv_vcpu *pv = &v->arch.pv;
    pte_t *l1 = (pte_t *)pv->gdt_ldt_l1 + LDT_FIRST_PAGE;

    if (!pv->shadow_ldt_count)
        return false;
    for (unsigned i = 0; i < LDT_PAGES; i++) {
        pte_t e = l1[i];

        if (!e)
            continue;
        l1[i] = 0;
        put_page_and_type(mfn_to_page(pte_mfn(e)));
    }
    pv->shadow_ldt_count = 0;
    return true;
}

static void load_ldt(const struct vcpu *v)
{
    struct gdt_page *page = is_32bit(v->domain) ? &this_cpu(gdt_page32) : &this_cpu(gdt_page);
    uint64_t *desc = &page->desc[(LDT_SELECTOR - GDT_RESERVED_BASE) / 8];
    unsigned long base = area_va(v) + LDT_FIRST_PAGE * PAGE_SIZE;
    unsigned limit = v->arch.pv.ldt_ents * 8 - 1;
    uint16_t sel = 0;

    if (v->arch.pv.ldt_ents) {
        desc[0] = (limit & 0xffff) | (base & 0xffffff) << 16 | 0x82ULL << 40 |
                  (uint64_t)(limit >> 16) << 48 | (base >> 24 & 0xff) << 56;
        desc[1] = base >> 32;
        sel = LDT_SELECTOR;
    }
    __asm__ volatile("lldt %0" ::"rm"(sel));
}

void pv_set_ldt(struct vcpu *v, unsigned long base, unsigned ents)
{
    struct pv_vcpu *pv = &v->arch.pv;

    if (pv_drop_ldt(v))
        flush_tlb_local();
    if (!ents && !pv->ldt_ents)
        return;
    pv->ldt_base = base;
    pv->ldt_ents = ents;
    if (v == current)
        load_ldt(v);
}

/* Maps page idx of v's LDT if it is there, v's own and holds nothing but harmless descriptors. */
static bool shadow_ldt_page(struct vcpu *v, unsigned idx)
{
    struct pv_vcpu *pv = &v->arch.pv;
    struct page_info *pg;
    uint64_t l1e;

    if (!mm_guest_walk_l1(v, pv->ldt_base + ((unsigned long)idx << PAGE_SHIFT), &l1e) ||
        !(l1e & PTE_PRESENT))
        return false;
    pg = guest_frame(mfn_x(pte_mfn(l1e)));
    if (!pg || !get_page_and_type(pg, v->domain, PGT_seg_desc))
        return false;
    pv->gdt_ldt_l1[LDT_FIRST_PAGE + idx] = hyp_pte(pte_mfn(l1e));
    pv->shadow_ldt_count++;
    return true;
}

bool pv_map_ldt_page(struct vcpu *v, unsigned long offset, struct cpu_user_regs *regs)
{
    struct pv_vcpu *pv = &v->arch.pv;
    unsigned idx = (offset >> PAGE_SHIFT) % PAGES_PER_VCPU;

    if (v->domain->is_idle || offset >> AREA_SHIFT != v->vcpu_id || idx < LDT_FIRST_PAGE)
        return false;
    idx -= LDT_FIRST_PAGE;
    if (idx * DESC_PER_PAGE >= pv->ldt_ents)
        return false;
    if (shadow_ldt_page(v, idx))
        return true;
    /* To the guest it is a fault at the address where it has put its LDT. */
    if (regs)
        pv_inject_page_fault(regs, pv->ldt_base + offset % (LDT_PAGES * PAGE_SIZE),
                             regs->error_code & PFEC_WRITE);
    return regs != NULL;
}

/* --- looking a selector up --- */

bool pv_read_descriptor(uint16_t sel, uint64_t *desc)
{
    const struct vcpu *v = current;
    unsigned count = sel & 4 ? v->arch.pv.ldt_ents : (GDT_LIMIT + 1) / 8, i = sel >> 3;
    const uint64_t *table = (const uint64_t *)area_va(v);
    bool ok = true;

    if (i >= count)
        return false;
    if (sel & 4)
        table += LDT_FIRST_PAGE * DESC_PER_PAGE;
    /* A page of the LDT may not be there yet: the fault maps it, or goes to the fix-up. */
    __asm__ volatile("1: mov %2, %0\n\t"
                     "2:\n\t"
                     ".pushsection .fixup, \"ax\"\n\t"
                     "3: xor %k1, %k1\n\t"
                     "   jmp 2b\n\t"
                     ".popsection\n\t" _ASM_EXTABLE(1b, 3b)
                     : "=&r"(*desc), "+r"(ok)
                     : "m"(table[index_nospec(i, count)]));
    return ok;
}

/* --- context switch --- */

/*
 * The CPU runs on its own GDT (load_idle_gdt) and on v's page tables.  A stale translation of
 * page 14 cannot exist: loading the root flushed what another CPU's turn may have left.
 */
void pv_load_descriptor_tables(struct vcpu *v)
{
    struct desc_ptr gdtr = {.limit = GDT_LIMIT, .base = area_va(v)};

    v->arch.pv.gdt_ldt_l1[GDT_FIRST_RESERVED_PAGE] = this_cpu(gdt_page_pte)[is_32bit(v->domain)];
    __asm__ volatile("lgdt %0" ::"m"(gdtr));
    load_ldt(v);
}
