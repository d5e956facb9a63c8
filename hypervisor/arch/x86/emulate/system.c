// SPDX-License-Identifier: MIT
/*
 * Ports, interrupt flag, control and debug registers, MSRs, CPUID, time stamps.  Privilege is
 * checked against the CPL that the caller gives; what a register accepts is the callbacks'
 * business.
 */
#include "asm/msr.h"
#include "asm/regs.h"
#include "private.h"

static int gp_fault(struct emul_state *s)
{
    return emul_inject(s->ctxt, VEC_GP, 0);
}

static int ud_fault(struct emul_state *s)
{
    return emul_inject(s->ctxt, VEC_UD, 0);
}

/* The 64-bit quantity in edx:eax, and back. */
static uint64_t edx_eax(const struct emul_state *s)
{
    return emul_reg_read(s, RDX, 4) << 32 | emul_reg_read(s, RAX, 4);
}

static void set_edx_eax(struct emul_state *s, uint64_t val)
{
    emul_reg_write(s, RAX, 4, val);
    emul_reg_write(s, RDX, 4, val >> 32);
}

/* ---- ports ---- */

static uint16_t port(const struct emul_state *s)
{
    return s->insn->imm_bytes ? s->insn->imm & 0xff : s->gpr[RDX] & 0xffff;
}

int emul_op_in(struct emul_state *s)
{
    uint32_t val = 0;
    int rc;

    if (!s->ops->read_io)
        return EMUL_UNHANDLEABLE;
    rc = s->ops->read_io(s->ctxt, port(s), s->dst.bytes, &val);
    if (rc == EMUL_OKAY)
        emul_reg_write(s, RAX, s->dst.bytes, val);
    return rc;
}

int emul_op_out(struct emul_state *s)
{
    unsigned int bytes = s->dst.bytes;

    if (!s->ops->write_io)
        return EMUL_UNHANDLEABLE;
    return s->ops->write_io(s->ctxt, port(s), bytes, emul_reg_read(s, RAX, bytes));
}

/* ---- the interrupt flag, HLT ---- */

static int write_if(struct emul_state *s, bool enable)
{
    if (s->ctxt->cpl > s->ctxt->iopl)
        return gp_fault(s);
    if (s->ops->write_if)
        return s->ops->write_if(s->ctxt, enable);
    set_flags(s, FL_IF, enable ? FL_IF : 0);
    return EMUL_OKAY;
}

int emul_op_cli(struct emul_state *s)
{
    return write_if(s, false);
}

int emul_op_sti(struct emul_state *s)
{
    s->ctxt->retire.sti = !(s->flags & FL_IF);
    return write_if(s, true);
}

int emul_op_hlt(struct emul_state *s)
{
    s->ctxt->retire.hlt = true;
    return EMUL_OKAY;
}

/* ---- control registers ---- */

static bool cr_exists(const struct emul_state *s)
{
    unsigned int reg = s->insn->reg;

    return reg == 0 || (reg >= 2 && reg <= 4) || (reg == 8 && in_long_mode(s->ctxt));
}

int emul_op_mov_from_cr(struct emul_state *s)
{
    int rc;

    if (!cr_exists(s))
        return ud_fault(s);
    if (s->ctxt->cpl)
        return gp_fault(s);
    if (!s->ops->read_cr)
        return EMUL_UNHANDLEABLE;
    rc = s->ops->read_cr(s->ctxt, s->insn->reg, &s->dst.val);
    return rc == EMUL_OKAY ? emul_operand_store(s, &s->dst) : rc;
}

int emul_op_mov_to_cr(struct emul_state *s)
{
    if (!cr_exists(s))
        return ud_fault(s);
    if (s->ctxt->cpl)
        return gp_fault(s);
    if (!s->ops->write_cr)
        return EMUL_UNHANDLEABLE;
    emul_operand_load(s, &s->src);
    return s->ops->write_cr(s->ctxt, s->insn->reg, s->src.val);
}

int emul_op_clts(struct emul_state *s)
{
    uint64_t cr0;
    int rc;

    if (!s->ops->read_cr || !s->ops->write_cr)
        return EMUL_UNHANDLEABLE;
    rc = s->ops->read_cr(s->ctxt, 0, &cr0);
    return rc == EMUL_OKAY ? s->ops->write_cr(s->ctxt, 0, cr0 & ~(uint64_t)CR0_TS) : rc;
}

/* LMSW writes PE, MP, EM and TS; PE it can only set. */
int emul_op_lmsw(struct emul_state *s)
{
    uint64_t cr0;
    int rc;

    if (!s->ops->read_cr || !s->ops->write_cr)
        return EMUL_UNHANDLEABLE;
    rc = emul_operand_load(s, &s->src);
    if (rc == EMUL_OKAY)
        rc = s->ops->read_cr(s->ctxt, 0, &cr0);
    if (rc != EMUL_OKAY)
        return rc;
    return s->ops->write_cr(s->ctxt, 0, (cr0 & ~0xeull) | (s->src.val & 0xf));
}

int emul_op_smsw(struct emul_state *s)
{
    uint64_t cr4;
    int rc;

    if (!s->ops->read_cr)
        return EMUL_UNHANDLEABLE;
    if (s->ctxt->cpl) {
        rc = emul_read_cr4(s, &cr4);
        if (rc != EMUL_OKAY)
            return rc;
        if (cr4 & CR4_UMIP)
            return gp_fault(s);
    }
    rc = s->ops->read_cr(s->ctxt, 0, &s->dst.val);
    if (rc != EMUL_OKAY)
        return rc;
    if (s->dst.kind == OP_MEM)
        s->dst.bytes = 2;
    return emul_operand_store(s, &s->dst);
}

/* ---- debug registers ---- */

/* DR4 and DR5 are other names of DR6 and DR7, unless CR4.DE takes them away. */
static int debug_register(struct emul_state *s, unsigned int *reg)
{
    uint64_t cr4;
    int rc;

    *reg = s->insn->reg;
    if (*reg > 7)
        return ud_fault(s);
    if (s->ctxt->cpl)
        return gp_fault(s);
    if (*reg != 4 && *reg != 5)
        return EMUL_OKAY;
    rc = emul_read_cr4(s, &cr4);
    if (rc == EMUL_OKAY && (cr4 & CR4_DE))
        return ud_fault(s);
    *reg += 2;
    return rc;
}

int emul_op_mov_from_dr(struct emul_state *s)
{
    unsigned int reg;
    int rc = debug_register(s, &reg);

    if (rc != EMUL_OKAY)
        return rc;
    if (!s->ops->read_dr)
        return EMUL_UNHANDLEABLE;
    rc = s->ops->read_dr(s->ctxt, reg, &s->dst.val);
    return rc == EMUL_OKAY ? emul_operand_store(s, &s->dst) : rc;
}

int emul_op_mov_to_dr(struct emul_state *s)
{
    unsigned int reg;
    int rc = debug_register(s, &reg);

    if (rc != EMUL_OKAY)
        return rc;
    emul_operand_load(s, &s->src);
    if (reg >= 6 && s->src.val >> 32)
        return gp_fault(s);
    if (!s->ops->write_dr)
        return EMUL_UNHANDLEABLE;
    return s->ops->write_dr(s->ctxt, reg, s->src.val);
}

/* ---- caches and TLB ---- */

/* INVD is carried out as WBINVD: what it would lose is not the guest's to lose. */
int emul_op_cache_flush(struct emul_state *s)
{
    return s->ops->wbinvd ? s->ops->wbinvd(s->ctxt) : EMUL_UNHANDLEABLE;
}

/*
 * CLFLUSH; with 66, CLFLUSHOPT and CLWB.  Nothing is cached that a guest could see; but it faults
 * as a read of a byte does, and to the callback is one.
 */
int emul_op_flush_line(struct emul_state *s)
{
    const struct insn *insn = s->insn;
    bool write_back = (insn->reg & 7) == 6;
    uint64_t val;
    int rc = EMUL_OKAY;

    if (insn->rep || (write_back && !insn->opsize))
        return EMUL_UNHANDLEABLE; /* other instructions */
    if (insn->opsize)
        rc = emul_require(s, 7, CPUID_B, write_back ? 24 : 23);
    return rc == EMUL_OKAY ? emul_mem_read(s, insn->seg, insn->mem_off, &val, 1) : rc;
}

int emul_op_invlpg(struct emul_state *s)
{
    uint64_t linear;
    int rc;

    if (!s->ops->invlpg)
        return EMUL_UNHANDLEABLE;
    rc = emul_linear(s->ctxt, s->dst.seg, s->dst.off, 1, EMUL_READ, &linear);
    if (rc == EMUL_OKAY)
        return s->ops->invlpg(s->ctxt, linear);
    if (rc == EMUL_EXCEPTION && in_long_mode(s->ctxt)) {
        /* There is no translation of a non-canonical address to forget. */
        s->ctxt->exception.pending = false;
        rc = EMUL_OKAY;
    }
    return rc;
}

/* ---- MSRs and what else is numbered by ecx ---- */

int emul_op_rdmsr(struct emul_state *s)
{
    uint64_t val;
    int rc;

    if (!s->ops->read_msr)
        return EMUL_UNHANDLEABLE;
    rc = s->ops->read_msr(s->ctxt, s->gpr[RCX], &val);
    if (rc == EMUL_OKAY)
        set_edx_eax(s, val);
    return rc;
}

int emul_op_wrmsr(struct emul_state *s)
{
    if (!s->ops->write_msr)
        return EMUL_UNHANDLEABLE;
    return s->ops->write_msr(s->ctxt, s->gpr[RCX], edx_eax(s));
}

int emul_op_rdpmc(struct emul_state *s)
{
    uint64_t val;
    int rc;

    if (s->ctxt->cpl) {
        rc = emul_read_cr4(s, &val);
        if (rc != EMUL_OKAY)
            return rc;
        if (!(val & CR4_PCE))
            return gp_fault(s);
    }
    if (!s->ops->read_pmc)
        return EMUL_UNHANDLEABLE;
    rc = s->ops->read_pmc(s->ctxt, s->gpr[RCX], &val);
    if (rc == EMUL_OKAY)
        set_edx_eax(s, val);
    return rc;
}

int emul_op_cpuid(struct emul_state *s)
{
    struct emul_cpuid res;
    int rc;

    if (!s->ops->cpuid)
        return EMUL_UNHANDLEABLE;
    rc = s->ops->cpuid(s->ctxt, s->gpr[RAX], s->gpr[RCX], &res);
    if (rc != EMUL_OKAY)
        return rc;
    s->gpr[RAX] = res.a;
    s->gpr[RBX] = res.b;
    s->gpr[RCX] = res.c;
    s->gpr[RDX] = res.d;
    return EMUL_OKAY;
}

/* ---- time stamps ---- */

int emul_op_rdtsc(struct emul_state *s)
{
    uint64_t val;
    int rc;

    if (s->ctxt->cpl) {
        rc = emul_read_cr4(s, &val);
        if (rc != EMUL_OKAY)
            return rc;
        if (val & CR4_TSD)
            return gp_fault(s);
    }
    if (!s->ops->read_tsc)
        return EMUL_UNHANDLEABLE;
    rc = s->ops->read_tsc(s->ctxt, &val);
    if (rc == EMUL_OKAY)
        set_edx_eax(s, val);
    return rc;
}

static int rdtscp(struct emul_state *s)
{
    uint64_t aux;
    int rc;

    if (!s->ops->read_msr)
        return EMUL_UNHANDLEABLE;
    rc = emul_op_rdtsc(s);
    if (rc == EMUL_OKAY)
        rc = s->ops->read_msr(s->ctxt, MSR_TSC_AUX, &aux);
    if (rc == EMUL_OKAY)
        emul_reg_write(s, RCX, 4, aux);
    return rc;
}

/* 0F C7 /7 of a register: RDPID under F3, otherwise RDSEED. */
int emul_op_rdpid(struct emul_state *s)
{
    uint64_t aux;
    int rc;

    if (s->insn->rep != 0xf3 || !s->ops->read_msr)
        return EMUL_UNHANDLEABLE;
    rc = s->ops->read_msr(s->ctxt, MSR_TSC_AUX, &aux);
    if (rc == EMUL_OKAY)
        emul_reg_write(s, s->insn->rm, 4, aux);
    return rc;
}

/* ---- the register forms of 0F 01 ---- */

static int xcr(struct emul_state *s, bool write)
{
    uint64_t val;
    int rc = emul_read_cr4(s, &val);

    if (rc != EMUL_OKAY)
        return rc;
    if (!(val & CR4_OSXSAVE) || s->insn->opsize || s->insn->rep)
        return ud_fault(s);
    if (write) {
        if (s->ctxt->cpl)
            return gp_fault(s);
        if (!s->ops->write_xcr)
            return EMUL_UNHANDLEABLE;
        return s->ops->write_xcr(s->ctxt, s->gpr[RCX], edx_eax(s));
    }
    if (!s->ops->read_xcr)
        return EMUL_UNHANDLEABLE;
    rc = s->ops->read_xcr(s->ctxt, s->gpr[RCX], &val);
    if (rc == EMUL_OKAY)
        set_edx_eax(s, val);
    return rc;
}

int emul_op_group7_reg(struct emul_state *s)
{
    switch (s->insn->modrm) {
    case 0xd0:
        return xcr(s, false);
    case 0xd1:
        return xcr(s, true);
    case 0xf9:
        return rdtscp(s);
    default:
        return EMUL_UNHANDLEABLE;
    }
}

/* F3 0F AE /0-3: RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE. */
int emul_op_fsgsbase(struct emul_state *s)
{
    uint32_t msr = s->insn->reg & 1 ? MSR_GS_BASE : MSR_FS_BASE;
    uint64_t cr4;
    int rc;

    if (s->insn->rep != 0xf3)
        return ud_fault(s);
    rc = emul_read_cr4(s, &cr4);
    if (rc != EMUL_OKAY)
        return rc;
    if (!(cr4 & CR4_FSGSBASE))
        return ud_fault(s);

    if (s->insn->reg & 2) {
        if (!s->ops->write_msr)
            return EMUL_UNHANDLEABLE;
        emul_operand_load(s, &s->dst);
        if (!emul_is_canonical(s->ctxt, s->dst.val))
            return gp_fault(s);
        return s->ops->write_msr(s->ctxt, msr, s->dst.val);
    }
    if (!s->ops->read_msr)
        return EMUL_UNHANDLEABLE;
    rc = s->ops->read_msr(s->ctxt, msr, &s->dst.val);
    return rc == EMUL_OKAY ? emul_operand_store(s, &s->dst) : rc;
}
