// SPDX-License-Identifier: MIT
/*
 * Writable page tables (VMASST_TYPE_writable_pagetables): a guest kernel's plain write to an L1
 * table, which it has mapped read-only, faults; the instruction is emulated and its write becomes
 * a checked update.  Reads and the instruction itself come through the guest's own mappings.
 *
 * Kernels write entries with very few instructions: those are done right here (plain_write()),
 * everything else by the emulator.
 *
 * Tables above L1 are changed by hypercall.  But GNU Mach writes an entry of an L2 table a second
 * time, plainly: a 32-bit kernel's write that changes nothing (but bits of the CPU's) is taken.
 */
#include "arch/x86/asm/regs.h"
#include "arch/x86/asm/trap.h"
#include "arch/x86/emulate/emulate.h"
#include "arch/x86/mm/mm_private.h"
#include "arch/x86/pv/pv.h"
#include "hypercall/guest_access.h"

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

/* What stands at ptr now. */
static uint64_t entry_now(const struct ptwr *p, uint64_t ptr)
{
    return READ_ONCE(*(uint64_t *)((char *)page_to_virt(p->pt) + (ptr & (PAGE_SIZE - 1))));
}

/* Writes a part of an entry, and takes the bits `clear` away.  The rest stays as others, and the
 * CPU, leave it meanwhile. */
static int write_part(const struct ptwr *p, uint64_t ptr, uint64_t addr, const void *buf,
                      unsigned bytes, uint64_t clear)
{
    uint64_t found = entry_now(p, ptr), old;
    int rc;

    do {
        old = found;
        rc = compare_and_update_l1(p->pt, ptr, &found, merge(old, addr, buf, bytes) & ~clear,
                                   p->v->domain);
    } while (!rc && found != old);
    return rc;
}

static int ptwr_write(struct emul_ctxt *ctxt, enum emul_seg seg, uint64_t addr, const void *buf,
                      unsigned bytes)
{
    struct ptwr *p = ctxt->priv;
    struct domain *d = p->v->domain;
    uint64_t ptr;

    (void)seg;
    if (!locate(p, addr, bytes, &ptr))
        return EMUL_UNHANDLEABLE;
    if (bytes == 8)
        return update_l1(p->pt, ptr, merge(0, addr, buf, 8), SET_ENTRY, d, d) ? EMUL_UNHANDLEABLE
                                                                              : EMUL_OKAY;
    if (!write_part(p, ptr, addr, buf, bytes, 0))
        return EMUL_OKAY;
    /*
     * A 32-bit kernel writes an entry in two halves.  What it is in between need not be legal: if
     * the upper half comes first, the entry is absent until the lower has come.
     */
    if (is_32bit(d) && bytes == 4 && (addr & 4) &&
        !write_part(p, ptr, addr, buf, bytes, PTE_PRESENT))
        return EMUL_OKAY;
    return EMUL_UNHANDLEABLE;
}

static int ptwr_cmpxchg(struct emul_ctxt *ctxt, enum emul_seg seg, uint64_t addr, void *old,
                        const void *new, unsigned bytes, bool lock)
{
    struct ptwr *p = ctxt->priv;
    uint64_t ptr, found, expected;

    (void)seg;
    (void)lock;
    if (!locate(p, addr, bytes, &ptr))
        return EMUL_UNHANDLEABLE;
    found = entry_now(p, ptr);
    /* Also if something else in the entry has changed meanwhile: then once more. */
    do {
        expected = found;
        if (merge(found, addr, old, bytes) != found)
            break;
        if (compare_and_update_l1(p->pt, ptr, &found, merge(found, addr, new, bytes), p->v->domain))
            return EMUL_UNHANDLEABLE;
    } while (found != expected);
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
    .segment = pv_emul_segment,
};

/* A write to a table above L1: for what is there already. */
static int same_write(struct emul_ctxt *ctxt, enum emul_seg seg, uint64_t addr, const void *buf,
                      unsigned bytes)
{
    const struct ptwr *p = ctxt->priv;
    uint64_t ptr, old;

    (void)seg;
    if (!locate(p, addr, bytes, &ptr))
        return EMUL_UNHANDLEABLE;
    old = entry_now(p, ptr);
    return (merge(old, addr, buf, bytes) ^ old) & ~(PTE_ACCESSED | PTE_DIRTY) ? EMUL_UNHANDLEABLE
                                                                              : EMUL_OKAY;
}

static const struct emul_ops same_ops = {
    .insn_fetch = ptwr_fetch,
    .validate = ptwr_validate,
    .read = ptwr_read,
    .write = same_write,
    .segment = pv_emul_segment,
};

/* General registers as instructions number them. */
static uint64_t *gpr(struct cpu_user_regs *regs, unsigned n)
{
#define REG(name) offsetof(struct cpu_user_regs, name)
    static const uint8_t at[16] = {REG(rax), REG(rcx), REG(rdx), REG(rbx), REG(rsp), REG(rbp),
                                   REG(rsi), REG(rdi), REG(r8),  REG(r9),  REG(r10), REG(r11),
                                   REG(r12), REG(r13), REG(r14), REG(r15)};

    return (uint64_t *)((char *)regs + at[n]);
}

/* `and $imm, m8`, locked or not (a kernel takes the RW bit away), at byte addr % 8 of the entry. */
static bool and_byte(const struct ptwr *p, uint64_t ptr, unsigned byte, uint8_t imm,
                     struct cpu_user_regs *regs)
{
    uint64_t clear = (uint64_t)(uint8_t)~imm << (8 * byte), old, found = entry_now(p, ptr);
    uint8_t result;

    do {
        old = found;
        if (compare_and_update_l1(p->pt, ptr, &found, old & ~clear, p->v->domain))
            return false;
    } while (found != old);
    result = (old & ~clear) >> (8 * byte);
    regs->rflags &= ~(EFLAGS_CF | EFLAGS_PF | EFLAGS_ZF | EFLAGS_SF | EFLAGS_OF);
    regs->rflags |= (result ? 0 : EFLAGS_ZF) | (result & 0x80 ? EFLAGS_SF : 0) |
                    (__builtin_parity(result) ? 0 : EFLAGS_PF);
    return true;
}

/* The byte that follows where the address is in rsp or r12, and nowhere else. */
#define SIB_BASE_ONLY 0x24
#define PREFIX_LOCK   0xf0
#define PREFIX_DS     0x3e /* means nothing here: a kernel with one CPU has it in LOCK's place */

/*
 * The usual writes of 64-bit code: mov, xchg of a whole entry with a register, mov of an immediate,
 * and of a byte; the address in a register, perhaps with a byte of displacement.  False:
 * something else, or not allowed; nothing has changed.
 */
static bool plain_write(const struct ptwr *p, unsigned long addr, struct cpu_user_regs *regs)
{
    uint8_t insn[12], rex = 0, op, modrm;
    unsigned n = 0, reg, base, len = 0;
    struct domain *d = p->v->domain;
    bool lock = false;
    int8_t disp = 0;
    uint64_t ptr, val, *r;

    if (regs->cs != FLAT_KERNEL_CS64 || (regs->rflags & EFLAGS_TF) ||
        (regs->rip & (PAGE_SIZE - 1)) > PAGE_SIZE - sizeof(insn) ||
        raw_copy_from_guest(insn, regs->rip, sizeof(insn)))
        return false;
    if (insn[n] == PREFIX_LOCK || insn[n] == PREFIX_DS)
        lock = insn[n++] == PREFIX_LOCK;
    if ((insn[n] & 0xf0) == 0x40)
        rex = insn[n++];
    op = insn[n++];
    modrm = insn[n++];
    base = modrm & 7;
    if (modrm >> 6 > 1 || (base == 4 && (insn[n++] != SIB_BASE_ONLY || (rex & 2))) ||
        (base == 5 && !(modrm >> 6)))
        return false; /* an index, a long displacement, or relative to rip */
    base |= (rex & 1) << 3;
    reg = (modrm >> 3 & 7) | (rex & 4) << 1;
    if (modrm >> 6)
        disp = insn[n++];
    if (*gpr(regs, base) + disp != addr)
        return false;
    ptr = mfn_to_maddr(page_to_mfn(p->pt)) + (addr & (PAGE_SIZE - 1) & ~7UL);

    if (op == 0x80 && (reg & 7) == 4) { /* and $imm8, m8 */
        if (!and_byte(p, ptr, addr & 7, insn[n++], regs))
            return false;
        regs->rip += n;
        return true;
    }
    if (!(rex & 8) || (addr & 7))
        return false;
    r = gpr(regs, reg);
    if (op == 0x87) { /* xchg %r64, m64: locked or not is the same */
        val = *r;
        if (exchange_l1(p->pt, ptr, &val, d))
            return false;
        *r = val;
    } else if (op == 0x89 && !lock) { /* mov %r64, m64 */
        if (update_l1(p->pt, ptr, *r, SET_ENTRY, d, d))
            return false;
    } else if (op == 0xc7 && !lock && !(reg & 7)) { /* mov $imm32, m64 */
        int32_t imm;

        memcpy(&imm, insn + n, sizeof(imm));
        len = sizeof(imm);
        if (update_l1(p->pt, ptr, (int64_t)imm, SET_ENTRY, d, d))
            return false;
    } else
        return false;
    regs->rip += n + len;
    return true;
}

static bool emulated_write(struct ptwr *p, struct cpu_user_regs *regs, const struct emul_ops *ops)
{
    struct emul_ctxt ctxt;

    pv_emul_init(&ctxt, regs, ops);
    ctxt.priv = p;
    switch (x86_emulate(&ctxt)) {
    case EMUL_OKAY:
    case EMUL_RETRY:
        return true;
    case EMUL_EXCEPTION:
        if (ctxt.exception.vector != VEC_PF)
            return false;
        pv_inject_page_fault(regs, ctxt.exception.cr2, ctxt.exception.error_code);
        return true;
    default:
        return false;
    }
}

bool mm_try_ptwr_fault(struct vcpu *v, unsigned long addr, struct cpu_user_regs *regs)
{
    bool asked = test_bit(VMASST_TYPE_writable_pagetables, &v->domain->vm_assist), done;
    struct ptwr p = {.v = v, .page = addr & PAGE_MASK};
    uint64_t l1e, type;

    if (!asked && !is_32bit(v->domain))
        return false;
    if (!mm_guest_walk_l1(v, addr, &l1e) || (l1e & (PTE_PRESENT | PTE_RW)) != PTE_PRESENT)
        return false;
    p.pt = guest_frame(mfn_x(pte_mfn(l1e)));
    if (!p.pt)
        return false;
    type = READ_ONCE(p.pt->type) & (PGT_type_mask | PGT_validated);
    if (type == (PGT_l1 | PGT_validated)
            ? !asked
            : !is_32bit(v->domain) ||
                  (type != (PGT_l2 | PGT_validated) && type != (PGT_l2_top | PGT_validated)))
        return false;
    if (!get_page(p.pt, v->domain))
        return false;
    if (type == (PGT_l1 | PGT_validated))
        done = plain_write(&p, addr, regs) || emulated_write(&p, regs, &ptwr_ops);
    else
        done = emulated_write(&p, regs, &same_ops);
    put_page(p.pt);
    return done;
}
