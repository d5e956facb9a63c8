// SPDX-License-Identifier: MIT
/*
 * Instructions that a guest asks to have emulated, to test the emulator from inside: what follows
 * UD2 and the letters "xen", where the command line says hvm_fep.  What the emulator lacks the CPU
 * does.  What serves device memory is joined by operations that nothing else needs.  Not for guests
 * that are not trusted: everything here is theirs to reach.
 */
#include "arch/x86/hvm/hvm.h"
#include "arch/x86/time/time.h"
#include "asm/fpu.h"

static int read_msr(struct emul_ctxt *ctxt, uint32_t msr, uint64_t *val)
{
    return hvm_rdmsr(current, msr, val) ? EMUL_OKAY : emul_inject(ctxt, VEC_GP, 0);
}

static int write_msr(struct emul_ctxt *ctxt, uint32_t msr, uint64_t val)
{
    return hvm_wrmsr(current, msr, val) ? EMUL_OKAY : emul_inject(ctxt, VEC_GP, 0);
}

static int write_xcr(struct emul_ctxt *ctxt, uint32_t reg, uint64_t val)
{
    return !reg && fpu_set_xcr0(current, val) ? EMUL_OKAY : emul_inject(ctxt, VEC_GP, 0);
}

/* RAM, too, which elsewhere is left to the CPU. */
static int cmpxchg(struct emul_ctxt *ctxt, enum emul_seg seg, uint64_t addr, void *old,
                   const void *new, unsigned int bytes, bool lock)
{
    bool table = seg >= EMUL_SEG_TR && seg < EMUL_SEG_NONE;

    if (hvm_cmpxchg_linear(current, addr, old, new, bytes,
                           ctxt->cpl == 3 && !table ? PFEC_USER : 0))
        return EMUL_OKAY;
    return hvm_mmio_ops.cmpxchg(ctxt, seg, addr, old, new, bytes, lock);
}

static int read_tsc(struct emul_ctxt *ctxt, uint64_t *val)
{
    (void)ctxt;
    *val = arch_guest_tsc(current);
    return EMUL_OKAY;
}

static int write_segment(struct emul_ctxt *ctxt, enum emul_seg seg, const struct emul_segment *val)
{
    (void)ctxt;
    hvm_vendor->set_segment(current, seg, val);
    return EMUL_OKAY;
}

#define GATE_DPL(gate)     ((gate) >> 45 & 3)
#define GATE_PRESENT(gate) ((gate) >> 47 & 1)
#define ERROR_IDT          2

/* As an interrupt, which has its instruction behind it; what INT n checks before is checked here.
 */
static int soft_interrupt(struct emul_ctxt *ctxt, const struct insn *insn, uint8_t vector)
{
    unsigned size = ctxt->lma ? 16 : 8;
    uint32_t error = vector * 8u + ERROR_IDT;
    struct emul_segment idt;
    uint64_t gate;
    int rc;

    (void)insn;
    hvm_vendor->get_segment(current, EMUL_SEG_IDTR, &idt);
    if (vector * size + size - 1 > idt.limit)
        return emul_inject(ctxt, VEC_GP, error);
    rc = ctxt->ops->read(ctxt, EMUL_SEG_IDTR, idt.base + vector * size, &gate, sizeof(gate));
    if (rc != EMUL_OKAY)
        return rc;
    if (ctxt->cpl > GATE_DPL(gate))
        return emul_inject(ctxt, VEC_GP, error);
    if (!GATE_PRESENT(gate))
        return emul_inject(ctxt, VEC_NP, error);
    current->arch.hvm->event =
        (struct hvm_event){.vector = vector, .type = HVM_EVENT_INTR, .valid = true};
    return EMUL_OKAY;
}

static int flush_page(struct emul_ctxt *ctxt, uint64_t addr)
{
    (void)ctxt, (void)addr;
    hvm_flush_tlb(current);
    return EMUL_OKAY;
}

static int flush_caches(struct emul_ctxt *ctxt)
{
    (void)ctxt;
    return EMUL_OKAY; /* the guest has no memory that is not coherent */
}

bool hvm_emulate_forced(struct vcpu *v, struct cpu_user_regs *regs)
{
    struct emul_ops ops = hvm_mmio_ops;
    struct emul_ctxt ctxt;

    ops.cmpxchg = cmpxchg;
    ops.write_xcr = write_xcr;
    ops.read_msr = read_msr;
    ops.write_msr = write_msr;
    ops.read_tsc = read_tsc;
    ops.write_segment = write_segment;
    ops.soft_interrupt = soft_interrupt;
    ops.invlpg = flush_page;
    ops.wbinvd = flush_caches;
    hvm_emulate_begin(v, regs, &ctxt);
    ctxt.ops = &ops;
    if (emul_strip_fep(&ctxt) != EMUL_OKAY)
        return false;
    hvm_emulate_end(v, &ctxt, x86_emulate(&ctxt)); /* or it could not: rip is behind the prefix */
    return true;
}
