// SPDX-License-Identifier: MIT
/*
 * Executing a decoded instruction: operands in, the row's exec function, operands out, commit.
 *
 * All of it happens on the copy of the registers in struct emul_state.  Memory is changed once for
 * each instruction (or iteration), after everything that can fail, and registers after memory; so
 * whatever goes wrong, the guest sees an instruction that has not begun.  (PUSHA and ENTER write
 * more than once, but below the stack pointer, where nothing of the guest's is safe anyway.)
 *
 * A destination that is read, changed and written goes through ops->cmpxchg even when it is not
 * locked: a caller that mediates page-table writes then knows the value that the new one was
 * computed from.  If memory changed in between, the instruction is run again on what was found, a
 * bounded number of times.
 */
#include "asm/regs.h"
#include "private.h"

#define RMW_ATTEMPTS 8

/* ---- exceptions ---- */

int emul_inject(struct emul_ctxt *ctxt, uint8_t vector, uint32_t error_code)
{
    /* #DF, #TS, #NP, #SS, #GP, #PF, #AC, #CP */
    bool has_error = vector < 32 && (1u << vector & 0x00227d00u);

    ctxt->exception.pending = true;
    ctxt->exception.vector = vector;
    ctxt->exception.has_error = has_error && !ctxt->real_mode;
    ctxt->exception.error_code = has_error ? error_code : 0;
    ctxt->exception.cr2 = 0;
    return EMUL_EXCEPTION;
}

int emul_pagefault(struct emul_ctxt *ctxt, uint32_t error_code, uint64_t cr2)
{
    emul_inject(ctxt, VEC_PF, error_code);
    ctxt->exception.cr2 = cr2;
    return EMUL_EXCEPTION;
}

/* ---- addresses ---- */

bool emul_is_canonical(const struct emul_ctxt *ctxt, uint64_t addr)
{
    return canonical(addr, linear_bits(ctxt->la57));
}

/* May this kind of access be made through this segment, and does it lie within the limit? */
static bool segment_allows(const struct emul_ctxt *ctxt, const struct emul_segment *seg,
                           uint64_t off, unsigned int bytes, enum emul_access access)
{
    uint64_t last = off + bytes - 1;

    if (ctxt->real_mode)
        return off <= 0xffffffff && last <= seg->limit;
    if (!(seg->attr & EMUL_SEG_P) || !(seg->attr & EMUL_SEG_S))
        return false;
    if (seg->attr & EMUL_SEG_CODE) {
        if (access == EMUL_WRITE || (access == EMUL_READ && !(seg->attr & EMUL_SEG_WRITABLE)))
            return false;
    } else {
        if (access == EMUL_EXEC || (access == EMUL_WRITE && !(seg->attr & EMUL_SEG_WRITABLE)))
            return false;
        if (seg->attr & EMUL_SEG_EXPDOWN)
            return off > seg->limit && last <= (seg->attr & EMUL_SEG_DB ? 0xffffffff : 0xffff);
    }
    return off <= 0xffffffff && last <= seg->limit;
}

static int linear_fault(struct emul_ctxt *ctxt, enum emul_seg seg)
{
    return emul_inject(ctxt, seg == EMUL_SEG_SS ? VEC_SS : VEC_GP, 0);
}

int emul_linear(struct emul_ctxt *ctxt, enum emul_seg seg, uint64_t off, unsigned int bytes,
                enum emul_access access, uint64_t *linear)
{
    bool flat = seg == EMUL_SEG_NONE || (in_long_mode(ctxt) && seg < EMUL_SEG_FS);
    struct emul_segment s;

    *linear = off;
    if (!flat) {
        int rc;

        if (!ctxt->ops->segment)
            return EMUL_UNHANDLEABLE;
        rc = ctxt->ops->segment(ctxt, seg, &s);
        if (rc != EMUL_OKAY)
            return rc;
        *linear += s.base;
    }

    if (in_long_mode(ctxt)) {
        if (emul_is_canonical(ctxt, *linear) && emul_is_canonical(ctxt, *linear + bytes - 1))
            return EMUL_OKAY;
        return linear_fault(ctxt, seg);
    }
    *linear &= 0xffffffff;
    return flat || segment_allows(ctxt, &s, off, bytes, access) ? EMUL_OKAY
                                                                : linear_fault(ctxt, seg);
}

/* ---- registers and memory ---- */

uint64_t emul_reg_read(const struct emul_state *s, unsigned int reg, unsigned int bytes)
{
    return s->gpr[reg] & width_mask(bytes);
}

void emul_reg_write(struct emul_state *s, unsigned int reg, unsigned int bytes, uint64_t val)
{
    /* A 32-bit result clears the upper half, smaller ones leave the rest alone. */
    if (bytes >= 4)
        s->gpr[reg] = val & width_mask(bytes);
    else
        s->gpr[reg] = (s->gpr[reg] & ~width_mask(bytes)) | (val & width_mask(bytes));
}

int emul_mem_read(struct emul_state *s, enum emul_seg seg, uint64_t off, uint64_t *val,
                  unsigned int bytes)
{
    uint64_t linear;
    int rc = emul_linear(s->ctxt, seg, off, bytes, EMUL_READ, &linear);

    *val = 0;
    if (rc != EMUL_OKAY)
        return rc;
    if (!s->ops->read)
        return EMUL_UNHANDLEABLE;
    return s->ops->read(s->ctxt, seg, linear, val, bytes);
}

int emul_mem_write(struct emul_state *s, enum emul_seg seg, uint64_t off, uint64_t val,
                   unsigned int bytes)
{
    uint64_t linear;
    int rc = emul_linear(s->ctxt, seg, off, bytes, EMUL_WRITE, &linear);

    if (rc != EMUL_OKAY)
        return rc;
    if (!s->ops->write)
        return EMUL_UNHANDLEABLE;
    return s->ops->write(s->ctxt, seg, linear, &val, bytes);
}

int emul_push(struct emul_state *s, uint64_t val, unsigned int bytes)
{
    unsigned int sp_bytes = s->ctxt->sp_size / 8;
    uint64_t sp = (s->gpr[RSP] - bytes) & width_mask(sp_bytes);
    int rc = emul_mem_write(s, EMUL_SEG_SS, sp, val, bytes);

    if (rc == EMUL_OKAY)
        emul_reg_write(s, RSP, sp_bytes, sp);
    return rc;
}

int emul_pop(struct emul_state *s, uint64_t *val, unsigned int bytes)
{
    unsigned int sp_bytes = s->ctxt->sp_size / 8;
    int rc = emul_mem_read(s, EMUL_SEG_SS, emul_reg_read(s, RSP, sp_bytes), val, bytes);

    if (rc == EMUL_OKAY)
        emul_reg_write(s, RSP, sp_bytes, s->gpr[RSP] + bytes);
    return rc;
}

int emul_jump(struct emul_state *s, uint64_t off, unsigned int bytes)
{
    uint64_t linear;
    int rc;

    off &= width_mask(bytes);
    rc = emul_linear(s->ctxt, EMUL_SEG_CS, off, 1, EMUL_EXEC, &linear);
    if (rc == EMUL_OKAY)
        s->rip = off;
    return rc;
}

int emul_read_cr4(struct emul_state *s, uint64_t *cr4)
{
    return s->ops->read_cr ? s->ops->read_cr(s->ctxt, 4, cr4) : EMUL_UNHANDLEABLE;
}

/* ---- operands ---- */

static unsigned int operand_bytes(const struct emul_state *s, enum operand_size size)
{
    switch (size) {
    case SZ_B:
        return 1;
    case SZ_W:
        return 2;
    case SZ_D:
        return 4;
    case SZ_Z:
        return s->insn->op_bytes == 2 ? 2 : 4;
    case SZ_Y:
        return s->insn->op_bytes == 8 ? 8 : 4;
    case SZ_N:
        return in_long_mode(s->ctxt) ? 8 : 4;
    default:
        return s->insn->op_bytes;
    }
}

static void locate_reg(struct emul_state *s, struct operand *op, unsigned int reg)
{
    op->kind = OP_REG;
    op->reg = reg;
    if (op->bytes == 1 && !s->insn->rex && reg >= 4) {
        op->reg = reg - 4;
        op->high = 1;
    }
}

static void locate_mem(struct operand *op, enum emul_seg seg, uint64_t off)
{
    op->kind = OP_MEM;
    op->seg = seg;
    op->off = off;
}

static void locate_value(struct operand *op, uint64_t val)
{
    op->kind = OP_VALUE;
    op->val = val;
}

/* Find out where an operand is; its value, if that is known already. */
static void locate(struct emul_state *s, struct operand *op, uint8_t spec)
{
    const struct insn *insn = s->insn;

    op->kind = OP_NONE;
    op->val = 0;
    if (!spec)
        return;
    op->high = 0;
    op->bytes = operand_bytes(s, OPND_SIZE(spec));
    switch (OPND_METHOD(spec)) {
    case MT_E:
    case MT_M:
    case MT_R:
        if (insn->mod == 3)
            locate_reg(s, op, insn->rm);
        else
            locate_mem(op, insn->seg, insn->mem_off);
        break;
    case MT_G:
        locate_reg(s, op, insn->reg);
        break;
    case MT_OPREG:
        locate_reg(s, op, (insn->opcode & 7) | (insn->rex & 1) << 3);
        break;
    case MT_ACC:
        locate_reg(s, op, RAX);
        op->high = 0;
        break;
    case MT_CL:
        locate_reg(s, op, RCX);
        break;
    case MT_MOFF:
        locate_mem(op, insn->seg, insn->mem_off);
        break;
    case MT_SI:
        locate_mem(op, insn->seg, emul_reg_read(s, RSI, insn->addr_bytes));
        break;
    case MT_DI:
        locate_mem(op, EMUL_SEG_ES, emul_reg_read(s, RDI, insn->addr_bytes));
        break;
    case MT_ONE:
        locate_value(op, 1);
        break;
    case MT_IMM:
    case MT_REL:
    case MT_FAR:
        locate_value(op, insn->imm);
        break;
    case MT_IMMU:
        locate_value(op, insn->imm & width_mask(insn->imm_bytes));
        break;
    case MT_IMM2:
        locate_value(op, insn->imm2);
        break;
    default:
        break;
    }
}

int emul_operand_load(struct emul_state *s, struct operand *op)
{
    if (op->kind == OP_REG)
        op->val = s->gpr[op->reg] >> (op->high * 8) & width_mask(op->bytes);
    else if (op->kind == OP_MEM)
        return emul_mem_read(s, op->seg, op->off, &op->val, op->bytes);
    return EMUL_OKAY;
}

int emul_operand_store(struct emul_state *s, struct operand *op)
{
    if (op->kind == OP_MEM)
        return emul_mem_write(s, op->seg, op->off, op->val, op->bytes);
    if (op->high)
        s->gpr[op->reg] = (s->gpr[op->reg] & ~0xff00ull) | (op->val & 0xff) << 8;
    else
        emul_reg_write(s, op->reg, op->bytes, op->val);
    return EMUL_OKAY;
}

/* BT and its like take the source as a bit offset from the memory operand, in whole operands,
 * signed. */
static void apply_bit_offset(struct emul_state *s)
{
    struct operand *dst = &s->dst;

    if (dst->kind == OP_MEM) {
        int64_t bit = sign_extend(s->src.val, dst->bytes);

        dst->off += (uint64_t)(bit >> (dst->bytes == 8 ? 6 : dst->bytes == 4 ? 5 : 4)) * dst->bytes;
        dst->off &= width_mask(s->insn->addr_bytes);
    }
}

/* ---- one instruction ---- */

/* Spelled out, because a loop would look up where each of them is. */
#define FOR_EACH_GPR(do)                                                                           \
    do                                                                                             \
    (rax, RAX) do(rcx, RCX) do(rdx, RDX) do(rbx, RBX) do(rsp, RSP) do(rbp, RBP) do(rsi, RSI) do(   \
        rdi, RDI) do(r8, 8) do(r9, 9) do(r10, 10) do(r11, 11) do(r12, 12) do(r13,                  \
                                                                             13) do(r14,           \
                                                                                    14) do(r15,    \
                                                                                           15)

static void load_registers(struct emul_state *s)
{
    const struct cpu_user_regs *regs = s->ctxt->regs;

#define LOAD(name, num) s->gpr[num] = regs->name;
    FOR_EACH_GPR(LOAD)
#undef LOAD
    s->flags = regs->rflags & ~(uint64_t)FL_RF; /* which IRET alone sets */
    s->rip = s->insn->next;
}

static void commit_registers(struct emul_state *s)
{
    struct cpu_user_regs *regs = s->ctxt->regs;

#define STORE(name, num) regs->name = s->gpr[num];
    FOR_EACH_GPR(STORE)
#undef STORE
    regs->rflags = s->flags | FL_1;
}

static int load_sources(struct emul_state *s)
{
    int rc = emul_operand_load(s, &s->src);

    if (rc == EMUL_OKAY)
        rc = emul_operand_load(s, &s->aux);
    return rc;
}

static int execute_simple(struct emul_state *s)
{
    uint32_t flags = s->insn->row->flags;
    int rc = load_sources(s);

    if (rc != EMUL_OKAY)
        return rc;
    if (flags & F_BITOFF)
        apply_bit_offset(s);
    if (s->dst.kind != OP_NONE && !(flags & F_W)) {
        rc = emul_operand_load(s, &s->dst);
        if (rc != EMUL_OKAY)
            return rc;
    }
    rc = s->insn->row->exec(s);
    /* XADD of a register with itself leaves the sum: the destination comes last. */
    if (rc == EMUL_OKAY && (flags & F_SRCW))
        rc = emul_operand_store(s, &s->src);
    if (rc == EMUL_OKAY && s->dst.kind != OP_NONE && !(flags & F_R) && !s->keep_dst)
        rc = emul_operand_store(s, &s->dst);
    return rc;
}

static int execute_rmw(struct emul_state *s)
{
    uint32_t flags = s->insn->row->flags;
    uint64_t linear, found = 0;
    int rc = load_sources(s);

    if (rc != EMUL_OKAY)
        return rc;
    if (flags & F_BITOFF)
        apply_bit_offset(s);
    rc = emul_linear(s->ctxt, s->dst.seg, s->dst.off, s->dst.bytes, EMUL_WRITE, &linear);
    if (rc != EMUL_OKAY)
        return rc;
    if (!s->ops->read || !s->ops->cmpxchg)
        return EMUL_UNHANDLEABLE;
    if (s->ops->probe_write)
        rc = s->ops->probe_write(s->ctxt, s->dst.seg, linear, s->dst.bytes);
    if (rc == EMUL_OKAY)
        rc = s->ops->read(s->ctxt, s->dst.seg, linear, &found, s->dst.bytes);

    for (unsigned int i = 0; rc == EMUL_OKAY && i < RMW_ATTEMPTS; i++) {
        uint64_t expected = found;

        s->dst.val = found;
        rc = s->insn->row->exec(s);
        if (rc != EMUL_OKAY)
            return rc;
        s->dst.val &= width_mask(s->dst.bytes);
        rc = s->ops->cmpxchg(s->ctxt, s->dst.seg, linear, &found, &s->dst.val, s->dst.bytes,
                             s->insn->lock || s->insn->row->exec == emul_op_xchg);
        if (rc != EMUL_OKAY)
            return rc;
        if (found == expected)
            return flags & F_SRCW ? emul_operand_store(s, &s->src) : EMUL_OKAY;
        load_registers(s);
        rc = load_sources(s);
    }
    return rc == EMUL_OKAY ? EMUL_RETRY : rc;
}

static int execute(struct emul_state *s)
{
    const struct opcode *row = s->insn->row;

    if ((row->flags & F_CPL0) && s->ctxt->cpl)
        return emul_inject(s->ctxt, VEC_GP, 0);

    locate(s, &s->dst, row->opnd[0]);
    locate(s, &s->src, row->opnd[1]);
    locate(s, &s->aux, row->opnd[2]);
    if (row->flags & F_SELF)
        return row->exec(s);
    if (s->dst.kind == OP_MEM && !(row->flags & (F_W | F_R)))
        return execute_rmw(s);
    return execute_simple(s);
}

int x86_emulate_insn(struct emul_ctxt *ctxt, const struct insn *insn)
{
    struct emul_state s;
    bool trap = ctxt->regs->rflags & FL_TF;
    int rc;

    ctxt->exception.pending = false;
    ctxt->retire.hlt = ctxt->retire.singlestep = ctxt->retire.again = false;
    ctxt->retire.sti = ctxt->retire.mov_ss = ctxt->retire.breakpoint = false;

    if (ctxt->ops->validate) {
        rc = ctxt->ops->validate(ctxt, insn);
        if (rc != EMUL_OKAY)
            return rc;
    }
    if (!emul_insn_is_executable(insn))
        return EMUL_UNHANDLEABLE;

    s.ctxt = ctxt;
    s.ops = ctxt->ops;
    s.insn = insn;
    s.keep_dst = s.partial = false;
    load_registers(&s);
    rc = execute(&s);
    if (rc == EMUL_OKAY) {
        commit_registers(&s);
        ctxt->regs->rip = s.rip;
        ctxt->retire.singlestep = trap && !ctxt->retire.mov_ss;
    } else {
        ctxt->retire.hlt = ctxt->retire.again = false;
        ctxt->retire.sti = ctxt->retire.mov_ss = false;
        if (s.partial) {
            commit_registers(&s);
            /* What stopped us will show itself at the first iteration of the next call. */
            if (rc == EMUL_UNHANDLEABLE)
                rc = EMUL_RETRY;
        }
    }
    return rc;
}

int x86_emulate(struct emul_ctxt *ctxt)
{
    struct insn insn;
    int rc;

    ctxt->exception.pending = false;
    rc = x86_decode(ctxt, &insn);
    return rc == EMUL_OKAY ? x86_emulate_insn(ctxt, &insn) : rc;
}

/* ---- questions ---- */

bool emul_insn_is_executable(const struct insn *insn)
{
    return insn->row->exec; /* of the rows for other encodings, those with F_VEX alone have it */
}

bool emul_insn_writes_memory(const struct insn *insn)
{
    const struct opcode *row = insn->row;
    enum operand_method dst = OPND_METHOD(row->opnd[0]);

    if (!emul_insn_is_executable(insn))
        return false;
    if (row->flags & F_MEMW)
        return insn->has_mem || dst == MT_DI;
    return !(row->flags & (F_R | F_SELF)) && insn->has_mem &&
           (dst == MT_E || dst == MT_M || dst == MT_MOFF);
}

bool emul_insn_is_privop(const struct insn *insn)
{
    return insn->encoding == INSN_LEGACY && (insn->row->flags & F_PRIVOP);
}
