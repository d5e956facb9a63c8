// SPDX-License-Identifier: MIT
/*
 * Instructions that touch what is not RAM.  The only device with registers in memory is the local
 * APIC; elsewhere reads find all ones and writes go nowhere, as on a bus with nothing on it.  Code
 * is not executed from any of it, and an instruction that the emulator lacks is a #GP.
 */
#include "arch/x86/hvm/hvm.h"
#include "asm/cpufeature.h"
#include "asm/msr.h"
#include "asm/regs.h"
#include "kernel/console.h"
#include "lib/string.h"

static uint32_t access_of(const struct emul_ctxt *ctxt, enum emul_seg seg)
{
    bool table = seg >= EMUL_SEG_TR && seg < EMUL_SEG_NONE; /* the CPU itself reads it */

    if (ctxt->cpl == 3 && !table)
        return PFEC_USER | HVM_KEYS;
    return HVM_KEYS | (table || !(ctxt->regs->rflags & EFLAGS_AC) ? HVM_SMAP : 0);
}

/* Is addr a page that may be accessed so, and where? */
static int translate(struct emul_ctxt *ctxt, uint64_t addr, uint32_t access, uint64_t *gpa)
{
    uint32_t error;

    if (hvm_translate(current, addr, access, gpa, &error))
        return emul_pagefault(ctxt, error, addr);
    return EMUL_OKAY;
}

static int fetch(struct emul_ctxt *ctxt, uint64_t addr, void *buf, unsigned bytes)
{
    uint32_t access = access_of(ctxt, EMUL_SEG_CS) | PFEC_FETCH, error;
    uint64_t gpa;

    if (!hvm_copy_from_linear(current, buf, addr, bytes, access))
        return EMUL_OKAY;
    if (hvm_translate(current, addr, access, &gpa, &error))
        return emul_pagefault(ctxt, error, addr);
    memset(buf, 0xff, bytes); /* #UD */
    return EMUL_OKAY;
}

static bool is_ram(uint64_t gpa)
{
    struct page_info *pg = NULL;
    bool typed;

    if (!vlapic_has_page(current, gpa))
        pg = p2m_hold(current->domain, _gfn(gpa >> PAGE_SHIFT), true, &typed);
    if (pg)
        p2m_put_held(pg, typed);
    return pg;
}

/* A part of an access that lies in one page. */
static int read_page(struct emul_ctxt *ctxt, uint64_t addr, uint8_t *buf, unsigned bytes,
                     uint32_t access)
{
    uint64_t gpa;
    int rc = translate(ctxt, addr, access, &gpa);

    if (rc != EMUL_OKAY)
        return rc;
    if (vlapic_has_page(current, gpa)) {
        uint32_t val = (gpa & 15) < 4 ? vlapic_read(current, gpa & 0xff0) >> 8 * (gpa & 3) : 0;

        memset(buf, 0, bytes);
        memcpy(buf, &val, min(bytes, 4u));
    } else if (hvm_copy_from_linear(current, buf, addr, bytes, access))
        memset(buf, 0xff, bytes);
    return EMUL_OKAY;
}

static int write_page(struct emul_ctxt *ctxt, uint64_t addr, const uint8_t *buf, unsigned bytes,
                      uint32_t access)
{
    uint32_t val = 0;
    uint64_t gpa;
    int rc = translate(ctxt, addr, access | PFEC_WRITE, &gpa);

    if (rc != EMUL_OKAY)
        return rc;
    if (vlapic_has_page(current, gpa)) {
        memcpy(&val, buf, min(bytes, 4u));
        if (!(gpa & 15) && bytes == 4)
            vlapic_write(current, gpa & 0xff0, val);
        return EMUL_OKAY;
    }
    hvm_copy_to_linear(current, addr, buf, bytes, access); /* or nowhere */
    return EMUL_OKAY;
}

static unsigned in_this_page(uint64_t addr, unsigned bytes)
{
    return min(bytes, (unsigned)(PAGE_SIZE - (addr & (PAGE_SIZE - 1))));
}

static int read(struct emul_ctxt *ctxt, enum emul_seg seg, uint64_t addr, void *buf, unsigned bytes)
{
    unsigned n = in_this_page(addr, bytes);
    uint32_t access = access_of(ctxt, seg);
    int rc = read_page(ctxt, addr, buf, n, access);

    return rc || n == bytes ? rc : read_page(ctxt, addr + n, (uint8_t *)buf + n, bytes - n, access);
}

static int probe_write(struct emul_ctxt *ctxt, enum emul_seg seg, uint64_t addr, unsigned bytes)
{
    unsigned n = in_this_page(addr, bytes);
    uint32_t access = access_of(ctxt, seg) | PFEC_WRITE;
    uint64_t gpa;
    int rc = translate(ctxt, addr, access, &gpa);

    return rc || n == bytes ? rc : translate(ctxt, addr + n, access, &gpa);
}

static int write(struct emul_ctxt *ctxt, enum emul_seg seg, uint64_t addr, const void *buf,
                 unsigned bytes)
{
    unsigned n = in_this_page(addr, bytes);
    uint32_t access = access_of(ctxt, seg);
    int rc;

    if (n == bytes)
        return write_page(ctxt, addr, buf, n, access);
    rc = probe_write(ctxt, seg, addr, bytes);
    if (rc == EMUL_OKAY)
        rc = write_page(ctxt, addr, buf, n, access);
    return rc ?: write_page(ctxt, addr + n, (const uint8_t *)buf + n, bytes - n, access);
}

/*
 * A register cannot be compared and written at once, and nobody but its own vcpu sees this one.
 * RAM can, by the guest itself: it was mapped after the fault.
 */
static int cmpxchg(struct emul_ctxt *ctxt, enum emul_seg seg, uint64_t addr, void *old,
                   const void *new, unsigned bytes, bool lock)
{
    uint8_t found[16];
    uint32_t access = access_of(ctxt, seg);
    uint64_t gpa;
    int rc = translate(ctxt, addr, access | PFEC_WRITE, &gpa);

    (void)lock;
    if (rc != EMUL_OKAY)
        return rc;
    if (in_this_page(addr, bytes) != bytes)
        return EMUL_UNHANDLEABLE;
    if (is_ram(gpa))
        return EMUL_RETRY;
    rc = read(ctxt, seg, addr, found, bytes);
    if (rc == EMUL_OKAY && !memcmp(found, old, bytes))
        rc = write_page(ctxt, addr, new, bytes, access);
    memcpy(old, found, bytes);
    return rc;
}

static int segment(struct emul_ctxt *ctxt, enum emul_seg seg, struct emul_segment *res)
{
    (void)ctxt;
    hvm_vendor->get_segment(current, seg, res);
    return EMUL_OKAY;
}

/* There is nothing at any port. */
static int read_port(struct emul_ctxt *ctxt, uint16_t port, unsigned bytes, uint32_t *val)
{
    (void)ctxt, (void)port, (void)bytes;
    *val = ~0u;
    return EMUL_OKAY;
}

static int write_port(struct emul_ctxt *ctxt, uint16_t port, unsigned bytes, uint32_t val)
{
    (void)ctxt, (void)port, (void)bytes, (void)val;
    return EMUL_OKAY;
}

static int write_cr(struct emul_ctxt *ctxt, unsigned reg, uint64_t val)
{
    if (reg == 0 || reg == 3 || reg == 4)
        return hvm_write_cr(current, reg, val) ? EMUL_OKAY : emul_inject(ctxt, VEC_GP, 0);
    if (reg != 8)
        return EMUL_UNHANDLEABLE;
    if (val >> 4)
        return emul_inject(ctxt, VEC_GP, 0);
    vlapic_set_tpr(current, val << 4);
    return EMUL_OKAY;
}

static int read_cr(struct emul_ctxt *ctxt, unsigned reg, uint64_t *val)
{
    (void)ctxt;
    if (reg == 8)
        *val = vlapic_get_tpr(current) >> 4;
    else
        *val = hvm_vendor->get_cr(current, reg);
    return EMUL_OKAY;
}

/* What the CPU has, which is what moves of vector registers go by: not all tell of every XSETBV. */
static int read_xcr(struct emul_ctxt *ctxt, uint32_t reg, uint64_t *val)
{
    *val = host_cpu.xcr0_max ? xgetbv(0) : 0;
    return reg ? emul_inject(ctxt, VEC_GP, 0) : EMUL_OKAY;
}

static int read_cpuid(struct emul_ctxt *ctxt, uint32_t leaf, uint32_t subleaf,
                      struct emul_cpuid *res)
{
    if (ctxt->cpl && current->arch.cpuid_faults)
        return emul_inject(ctxt, VEC_GP, 0);
    hvm_cpuid(current, leaf, subleaf, res);
    return EMUL_OKAY;
}

static int read_vector(struct emul_ctxt *ctxt, unsigned reg, void *buf, unsigned bytes)
{
    if (reg >= EMUL_MMX && hvm_fpu_exception())
        return emul_inject(ctxt, VEC_MF, 0);
    hvm_get_vector(reg, buf, bytes);
    return EMUL_OKAY;
}

static int write_vector(struct emul_ctxt *ctxt, unsigned reg, const void *buf, unsigned bytes)
{
    if (reg >= EMUL_MMX && hvm_fpu_exception())
        return emul_inject(ctxt, VEC_MF, 0);
    hvm_set_vector(reg, buf, bytes);
    return EMUL_OKAY;
}

const struct emul_ops hvm_mmio_ops = {.insn_fetch = fetch,
                                      .read = read,
                                      .write = write,
                                      .cmpxchg = cmpxchg,
                                      .probe_write = probe_write,
                                      .read_io = read_port,
                                      .write_io = write_port,
                                      .read_cr = read_cr,
                                      .write_cr = write_cr,
                                      .read_xcr = read_xcr,
                                      .cpuid = read_cpuid,
                                      .segment = segment,
                                      .read_vector = read_vector,
                                      .write_vector = write_vector};

void hvm_emulate_begin(struct vcpu *v, struct cpu_user_regs *regs, struct emul_ctxt *ctxt)
{
    struct emul_segment cs, ss;
    uint64_t cr0 = hvm_vendor->get_cr(v, 0), efer = 0;
    bool wide; /* without long mode the descriptor's bit means nothing */

    hvm_vendor->get_msr(v, MSR_EFER, &efer);
    hvm_vendor->get_segment(v, EMUL_SEG_CS, &cs);
    hvm_vendor->get_segment(v, EMUL_SEG_SS, &ss);
    wide = (efer & EFER_LMA) && (cs.attr & EMUL_SEG_L);
    *ctxt = (struct emul_ctxt){
        .regs = regs,
        .ops = &hvm_mmio_ops,
        .addr_size = wide                    ? 64
                     : cs.attr & EMUL_SEG_DB ? 32
                                             : 16,
        .sp_size = wide                    ? 64
                   : ss.attr & EMUL_SEG_DB ? 32
                                           : 16,
        .lma = efer & EFER_LMA,
        .la57 = (efer & EFER_LMA) && (hvm_vendor->get_cr(v, 4) & CR4_LA57),
        .cpl = hvm_vendor->get_cpl(v),
        .iopl = (regs->rflags & EFLAGS_IOPL) >> 12,
        .real_mode = !(cr0 & CR0_PE) || (regs->rflags & EFLAGS_VM),
        .amd = cpu_is_amd(),
    };
}

static void deliver_exception(struct vcpu *v, const struct emul_ctxt *ctxt)
{
    if (ctxt->exception.vector == VEC_PF)
        hvm_inject_page_fault(v, ctxt->exception.cr2, ctxt->exception.error_code);
    else
        hvm_inject(v, ctxt->exception.vector,
                   ctxt->exception.has_error ? (int)ctxt->exception.error_code : -1);
}

/* What the CPU does between two instructions. */
static void retire(struct vcpu *v, const struct emul_ctxt *ctxt)
{
    hvm_vendor->set_shadow(v, ctxt->retire.sti || ctxt->retire.mov_ss);
    if (ctxt->retire.singlestep)
        hvm_single_step(v);
}

bool hvm_emulate_end(struct vcpu *v, const struct emul_ctxt *ctxt, int rc)
{
    if (rc == EMUL_OKAY)
        retire(v, ctxt);
    else if (rc == EMUL_EXCEPTION)
        deliver_exception(v, ctxt);
    return rc != EMUL_UNHANDLEABLE;
}

bool hvm_emulate(struct vcpu *v, struct cpu_user_regs *regs)
{
    struct emul_ctxt ctxt;

    hvm_emulate_begin(v, regs, &ctxt);
    return hvm_emulate_end(v, &ctxt, x86_emulate(&ctxt));
}

#define OPCODE_MOV_TO_CR 0x0f22

bool hvm_emulate_mov_to_cr(struct vcpu *v, struct cpu_user_regs *regs)
{
    struct emul_ctxt ctxt;
    struct insn insn;

    hvm_emulate_begin(v, regs, &ctxt);
    if (x86_decode(&ctxt, &insn) != EMUL_OKAY || insn.opcode != OPCODE_MOV_TO_CR)
        return false;
    return hvm_emulate_end(v, &ctxt, x86_emulate_insn(&ctxt, &insn));
}

unsigned hvm_insn_length(struct vcpu *v, struct cpu_user_regs *regs)
{
    struct emul_ctxt ctxt;
    struct insn insn;

    hvm_emulate_begin(v, regs, &ctxt);
    switch (x86_decode(&ctxt, &insn)) {
    case EMUL_OKAY:
        return insn.len;
    case EMUL_EXCEPTION:
        deliver_exception(v, &ctxt);
        return 0;
    default:
        hvm_inject(v, VEC_UD, -1);
        return 0;
    }
}

void hvm_npt_fault(struct vcpu *v, struct cpu_user_regs *regs, uint64_t gpa, bool write)
{
    gfn_t gfn = _gfn(gpa >> PAGE_SHIFT);
    struct page_info *pg = NULL;
    bool typed;

    if (!vlapic_has_page(v, gpa)) {
        pg = p2m_hold(v->domain, gfn, write, &typed);
        if (pg) { /* another vcpu has mapped it meanwhile */
            p2m_put_held(pg, typed);
            return;
        }
        if (write && p2m_is_readonly(v->domain, gfn)) {
            hvm_inject(v, VEC_GP, 0); /* granted so */
            return;
        }
    }
    /* What the instruction at rip does has nothing to do with it. */
    if (v->arch.hvm->event.valid) {
        domain_crash(v->domain, "vcpu %u: no RAM at guest physical %#lx, to deliver vector %u by",
                     v->vcpu_id, (unsigned long)gpa, v->arch.hvm->event.vector);
        return;
    }
    if (!hvm_emulate(v, regs)) {
        /* Maybe a user program's doing, who should not be able to end the guest. */
        gprintk(v->domain, "vcpu %u: cannot emulate its %s at guest physical %#lx, rip %#lx: #GP\n",
                v->vcpu_id, write ? "write" : "read", (unsigned long)gpa, (unsigned long)regs->rip);
        hvm_inject(v, VEC_GP, 0);
    }
}
