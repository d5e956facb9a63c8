// SPDX-License-Identifier: MIT
/*
 * Writable page tables (VMASST_TYPE_writable_pagetables): a guest kernel's plain write to an L1
 * table, which it has mapped read-only, faults; the instruction is emulated and its write becomes
 * a checked update.  Reads and the instruction itself come through the guest's own mappings.
 */
#include "arch/x86/emulate/emulate.h"
#include "arch/x86/mm/mm_private.h"
#include "arch/x86/pv/pv.h"
#include "hypercall/guest_access.h"

#define PFEC_PRESENT  0x01
#define PFEC_WRITE    0x02
#define PFEC_RESERVED 0x08
#define PFEC_FETCH    0x10

struct ptwr {
    struct vcpu *v;
    unsigned long page; /* the page, as the guest sees it, that it may write in */
    struct page_info *pt;
};

static int ptwr_fetch(struct emul_ctxt *ctxt, uint64_t addr, void *buf, unsigned bytes)
{
    unsigned left = raw_copy_from_guest(buf, addr, bytes);

    return left ? emul_pagefault(ctxt, PFEC_FETCH, addr + bytes - left) : EMUL_OKAY;
}

static int ptwr_read(struct emul_ctxt *ctxt, enum emul_seg seg, uint64_t addr, void *buf,
                     unsigned bytes)
{
    unsigned left = raw_copy_from_guest(buf, addr, bytes);

    (void)seg;
    return left ? emul_pagefault(ctxt, 0, addr + bytes - left) : EMUL_OKAY;
}

/* The machine address of the entry that holds addr; false: not all inside one entry of the page. */
static bool locate(const struct ptwr *p, uint64_t addr, unsigned bytes, uint64_t *ptr)
{
    if ((addr & PAGE_MASK) != p->page || bytes > 8 || (addr & 7) + bytes > 8)
        return false;
    *ptr = mfn_to_maddr(page_to_mfn(p->pt)) + (addr & (PAGE_SIZE - 1) & ~7UL);
    return true;
}

/* old with the bytes at addr replaced. */
static uint64_t merge(uint64_t old, uint64_t addr, const void *buf, unsigned bytes)
{
    memcpy((char *)&old + (addr & 7), buf, bytes);
    return old;
}

static int ptwr_write(struct emul_ctxt *ctxt, enum emul_seg seg, uint64_t addr, const void *buf,
                      unsigned bytes)
{
    struct ptwr *p = ctxt->priv;
    struct domain *d = p->v->domain;
    uint64_t ptr, old = 0;

    (void)seg;
    if (!locate(p, addr, bytes, &ptr))
        return EMUL_UNHANDLEABLE;
    if (bytes < 8)
        old = READ_ONCE(*(uint64_t *)((char *)page_to_virt(p->pt) + (ptr & (PAGE_SIZE - 1))));
    if (update_l1(p->pt, ptr, merge(old, addr, buf, bytes), SET_ENTRY, d, d))
        return EMUL_UNHANDLEABLE;
    return EMUL_OKAY;
}

static int ptwr_cmpxchg(struct emul_ctxt *ctxt, enum emul_seg seg, uint64_t addr, void *old,
                        const void *new, unsigned bytes, bool lock)
{
    struct ptwr *p = ctxt->priv;
    uint64_t ptr, found, expected;
    int rc;

    (void)seg;
    (void)lock;
    if (!locate(p, addr, bytes, &ptr))
        return EMUL_UNHANDLEABLE;
    found = READ_ONCE(*(uint64_t *)((char *)page_to_virt(p->pt) + (ptr & (PAGE_SIZE - 1))));
    expected = merge(found, addr, old, bytes);
    if (expected == found) {
        rc =
            compare_and_update_l1(p->pt, ptr, &found, merge(found, addr, new, bytes), p->v->domain);
        if (rc)
            return EMUL_UNHANDLEABLE;
    }
    memcpy(old, (char *)&found + (addr & 7), bytes);
    return EMUL_OKAY;
}

static int ptwr_validate(struct emul_ctxt *ctxt, const struct insn *insn)
{
    (void)ctxt;
    return emul_insn_writes_memory(insn) ? EMUL_OKAY : EMUL_UNHANDLEABLE;
}

static const struct emul_ops ptwr_ops = {
    .insn_fetch = ptwr_fetch,
    .validate = ptwr_validate,
    .read = ptwr_read,
    .write = ptwr_write,
    .cmpxchg = ptwr_cmpxchg,
};

bool mm_try_ptwr_fault(struct vcpu *v, unsigned long addr, struct cpu_user_regs *regs)
{
    struct domain *d = v->domain;
    struct ptwr p = {.v = v, .page = addr & PAGE_MASK};
    struct emul_ctxt ctxt = {
        .regs = regs,
        .ops = &ptwr_ops,
        .priv = &p,
        .addr_size = 64,
        .sp_size = 64,
        .cpl = 0,
    };
    uint64_t l1e;
    mfn_t l1mfn;

    if ((regs->error_code & (PFEC_PRESENT | PFEC_WRITE | PFEC_RESERVED | PFEC_FETCH)) !=
            (PFEC_PRESENT | PFEC_WRITE) ||
        !test_bit(VMASST_TYPE_writable_pagetables, &d->vm_assist) ||
        !(v->arch.pv.flags & PVF_KERNEL_MODE))
        return false;
    if (!mm_guest_walk_l1(v, addr, &l1e, &l1mfn) || (l1e & (PTE_PRESENT | PTE_RW)) != PTE_PRESENT)
        return false;
    p.pt = guest_frame(mfn_x(pte_mfn(l1e)));
    if (!p.pt ||
        (READ_ONCE(p.pt->type) & (PGT_type_mask | PGT_validated)) != (PGT_l1 | PGT_validated) ||
        !get_page(p.pt, d))
        return false;

    switch (x86_emulate(&ctxt)) {
    case EMUL_OKAY:
    case EMUL_RETRY:
        put_page(p.pt);
        return true;
    case EMUL_EXCEPTION:
        put_page(p.pt);
        if (ctxt.exception.vector != EMUL_VEC_PF)
            return false;
        pv_inject_page_fault(regs, ctxt.exception.cr2, ctxt.exception.error_code);
        return true;
    default:
        put_page(p.pt);
        return false;
    }
}
