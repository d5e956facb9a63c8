// SPDX-License-Identifier: MIT
/* Moving data: MOV and its like, exchange and compare-and-exchange, the stack, flags as data. */
#include "private.h"

int emul_op_mov(struct emul_state *s)
{
    s->dst.val = s->src.val;
    return EMUL_OKAY;
}

/* MOVZX: loading has extended it already. */
int emul_op_movzx(struct emul_state *s)
{
    s->dst.val = s->src.val;
    return EMUL_OKAY;
}

int emul_op_movsx(struct emul_state *s)
{
    s->dst.val = sign_extend(s->src.val, s->src.bytes);
    return EMUL_OKAY;
}

int emul_op_movnti(struct emul_state *s)
{
    if (s->insn->opsize || s->insn->rep)
        return emul_inject(s->ctxt, VEC_UD, 0);
    s->dst.val = s->src.val;
    return EMUL_OKAY;
}

int emul_op_lea(struct emul_state *s)
{
    s->dst.val = s->insn->mem_off;
    return emul_operand_store(s, &s->dst);
}

int emul_op_xlat(struct emul_state *s)
{
    uint64_t off = s->gpr[RBX] + (s->gpr[RAX] & 0xff), val;
    int rc = emul_mem_read(s, s->insn->seg, off & width_mask(s->insn->addr_bytes), &val, 1);

    if (rc == EMUL_OKAY)
        emul_reg_write(s, RAX, 1, val);
    return rc;
}

/* ---- exchange ---- */

int emul_op_xchg(struct emul_state *s)
{
    uint64_t val = s->dst.val;

    s->dst.val = s->src.val;
    s->src.val = val;
    return EMUL_OKAY;
}

int emul_op_xadd(struct emul_state *s)
{
    uint64_t old = s->dst.val;

    s->dst.val = emul_add(s, old, s->src.val, false, s->dst.bytes);
    s->src.val = old;
    return EMUL_OKAY;
}

/*
 * One call of ops->cmpxchg, and no read before it: what it finds is what the flags and the
 * accumulator tell.  A failed comparison needs write access all the same, as on the processor,
 * which writes back what it read.
 */
int emul_op_cmpxchg(struct emul_state *s)
{
    unsigned int bytes = s->dst.bytes;
    uint64_t acc = emul_reg_read(s, RAX, bytes), found = acc;
    bool equal;
    int rc;

    emul_operand_load(s, &s->src);
    if (s->dst.kind == OP_MEM) {
        uint64_t linear;

        rc = emul_linear(s->ctxt, s->dst.seg, s->dst.off, bytes, EMUL_WRITE, &linear);
        if (rc != EMUL_OKAY)
            return rc;
        if (!s->ops->cmpxchg)
            return EMUL_UNHANDLEABLE;
        rc =
            s->ops->cmpxchg(s->ctxt, s->dst.seg, linear, &found, &s->src.val, bytes, s->insn->lock);
        if (rc != EMUL_OKAY)
            return rc;
        equal = found == acc;
    } else {
        emul_operand_load(s, &s->dst);
        found = s->dst.val;
        equal = found == acc;
        s->dst.val = s->src.val;
        if (equal)
            emul_operand_store(s, &s->dst);
    }

    emul_sub(s, acc, found, false, bytes);
    if (!equal)
        emul_reg_write(s, RAX, bytes, found);
    return EMUL_OKAY;
}

/* CMPXCHG8B and CMPXCHG16B, by operand size. */
int emul_op_cmpxchg8b(struct emul_state *s)
{
    unsigned int half = s->insn->op_bytes == 8 ? 8 : 4;
    union {
        uint64_t q[2];
        uint32_t d[4];
    } old = {{0}}, new = {{0}}, found;
    uint64_t linear;
    bool equal;
    int rc;

    if (half == 8) {
        old.q[0] = s->gpr[RAX], old.q[1] = s->gpr[RDX];
        new.q[0] = s->gpr[RBX], new.q[1] = s->gpr[RCX];
    } else {
        old.d[0] = s->gpr[RAX], old.d[1] = s->gpr[RDX];
        new.d[0] = s->gpr[RBX], new.d[1] = s->gpr[RCX];
    }
    found = old;

    rc = emul_linear(s->ctxt, s->dst.seg, s->dst.off, half * 2, EMUL_WRITE, &linear);
    if (rc != EMUL_OKAY)
        return rc;
    if (half == 8 && (linear & 15))
        return emul_inject(s->ctxt, VEC_GP, 0);
    if (!s->ops->cmpxchg)
        return EMUL_UNHANDLEABLE;
    rc = s->ops->cmpxchg(s->ctxt, s->dst.seg, linear, &found, &new, half * 2, s->insn->lock);
    if (rc != EMUL_OKAY)
        return rc;

    equal = found.q[0] == old.q[0] && found.q[1] == old.q[1];
    set_flags(s, FL_ZF, equal ? FL_ZF : 0);
    if (!equal) {
        emul_reg_write(s, RAX, half, half == 8 ? found.q[0] : found.d[0]);
        emul_reg_write(s, RDX, half, half == 8 ? found.q[1] : found.d[1]);
    }
    return EMUL_OKAY;
}

/* ---- the stack ---- */

int emul_op_push(struct emul_state *s)
{
    return emul_push(s, s->src.val, s->insn->op_bytes);
}

int emul_op_pop(struct emul_state *s)
{
    int rc = emul_pop(s, &s->dst.val, s->insn->op_bytes);

    if (rc != EMUL_OKAY)
        return rc;
    /* An address that is based on the stack pointer uses what it is after the pop. */
    if (s->dst.kind == OP_MEM && s->insn->mem_base == RSP)
        s->dst.off = (s->dst.off + s->insn->op_bytes) & width_mask(s->insn->addr_bytes);
    return emul_operand_store(s, &s->dst);
}

int emul_op_pusha(struct emul_state *s)
{
    uint64_t sp = s->gpr[RSP];
    int rc = EMUL_OKAY;

    for (unsigned int reg = 0; rc == EMUL_OKAY && reg < 8; reg++)
        rc = emul_push(s, reg == RSP ? sp : s->gpr[reg], s->insn->op_bytes);
    return rc;
}

int emul_op_popa(struct emul_state *s)
{
    int rc = EMUL_OKAY;

    for (unsigned int reg = 8; rc == EMUL_OKAY && reg-- > 0;) {
        uint64_t val;

        rc = emul_pop(s, &val, s->insn->op_bytes);
        if (rc == EMUL_OKAY && reg != RSP)
            emul_reg_write(s, reg, s->insn->op_bytes, val);
    }
    return rc;
}

/* Virtual-8086 mode hands PUSHF and POPF to its monitor unless the IOPL is 3. */
static bool needs_monitor(const struct emul_state *s)
{
    return s->ctxt->real_mode && s->ctxt->cpl == 3 && s->ctxt->iopl < 3;
}

int emul_op_pushf(struct emul_state *s)
{
    if (needs_monitor(s))
        return emul_inject(s->ctxt, VEC_GP, 0);
    return emul_push(s, s->flags & ~(uint64_t)(FL_RF | FL_VM), s->insn->op_bytes);
}

int emul_op_popf(struct emul_state *s)
{
    uint64_t val, mask = FL_ARITH | FL_TF | FL_DF | FL_NT | FL_AC | FL_ID;
    bool may_if = s->ctxt->cpl <= s->ctxt->iopl;
    int rc;

    if (needs_monitor(s))
        return emul_inject(s->ctxt, VEC_GP, 0);
    rc = emul_pop(s, &val, s->insn->op_bytes);
    if (rc != EMUL_OKAY)
        return rc;

    if (s->ctxt->cpl == 0)
        mask |= FL_IOPL;
    if (may_if && !s->ops->write_if)
        mask |= FL_IF;
    set_flags(s, mask & width_mask(s->insn->op_bytes), val);
    if (may_if && s->ops->write_if)
        rc = s->ops->write_if(s->ctxt, val & FL_IF);
    return rc;
}

int emul_op_enter(struct emul_state *s)
{
    unsigned int level = s->src.val & 31, bytes = s->insn->op_bytes;
    unsigned int sp_bytes = s->ctxt->sp_size / 8;
    uint64_t frame, bp = s->gpr[RBP];
    int rc = emul_push(s, bp, bytes);

    frame = s->gpr[RSP];
    for (unsigned int i = 1; rc == EMUL_OKAY && i < level; i++) {
        uint64_t link;

        bp -= bytes;
        rc = emul_mem_read(s, EMUL_SEG_SS, bp & width_mask(sp_bytes), &link, bytes);
        if (rc == EMUL_OKAY)
            rc = emul_push(s, link, bytes);
    }
    if (rc == EMUL_OKAY && level)
        rc = emul_push(s, frame, bytes);
    if (rc != EMUL_OKAY)
        return rc;
    emul_reg_write(s, RBP, bytes, frame);
    emul_reg_write(s, RSP, sp_bytes, s->gpr[RSP] - s->dst.val);
    /* It faults where the next push would. */
    if (s->ops->probe_write) {
        uint64_t linear;

        rc = emul_linear(s->ctxt, EMUL_SEG_SS, emul_reg_read(s, RSP, sp_bytes), bytes, EMUL_WRITE,
                         &linear);
        if (rc == EMUL_OKAY)
            rc = s->ops->probe_write(s->ctxt, EMUL_SEG_SS, linear, bytes);
    }
    return rc;
}

int emul_op_leave(struct emul_state *s)
{
    uint64_t val;
    int rc;

    emul_reg_write(s, RSP, s->ctxt->sp_size / 8, s->gpr[RBP]);
    rc = emul_pop(s, &val, s->insn->op_bytes);
    if (rc == EMUL_OKAY)
        emul_reg_write(s, RBP, s->insn->op_bytes, val);
    return rc;
}

/* ---- segment registers ---- */

static int read_selector(struct emul_state *s, unsigned int seg, uint16_t *sel)
{
    struct emul_segment res;
    int rc;

    if (seg > EMUL_SEG_GS)
        return emul_inject(s->ctxt, VEC_UD, 0);
    if (!s->ops->segment)
        return EMUL_UNHANDLEABLE;
    rc = s->ops->segment(s->ctxt, seg, &res);
    if (rc == EMUL_OKAY)
        *sel = res.sel;
    return rc;
}

/* The opcode names the register. */
int emul_op_push_seg(struct emul_state *s)
{
    unsigned int bytes = s->insn->op_bytes;
    uint16_t sel = 0;
    int rc = read_selector(s, s->insn->opcode >> 3 & 7, &sel);

    if (rc != EMUL_OKAY)
        return rc;
    if (bytes == 4 && !s->ctxt->amd) {
        /* Intel moves the stack pointer by four but leaves the upper two bytes as they are. */
        unsigned int sp_bytes = s->ctxt->sp_size / 8;
        uint64_t sp = (s->gpr[RSP] - bytes) & width_mask(sp_bytes);

        rc = emul_mem_write(s, EMUL_SEG_SS, sp, sel, 2);
        if (rc == EMUL_OKAY)
            emul_reg_write(s, RSP, sp_bytes, sp);
        return rc;
    }
    return emul_push(s, sel, bytes);
}

int emul_op_mov_from_seg(struct emul_state *s)
{
    uint16_t sel = 0;
    int rc = read_selector(s, s->insn->reg & 7, &sel);

    if (rc != EMUL_OKAY)
        return rc;
    s->dst.val = sel;
    if (s->dst.kind == OP_MEM)
        s->dst.bytes = 2;
    return emul_operand_store(s, &s->dst);
}

/* Raise the privilege level that a selector asks for to that of another one. */
int emul_op_arpl(struct emul_state *s)
{
    bool raise;
    int rc = emul_operand_load(s, &s->dst);

    if (rc != EMUL_OKAY)
        return rc;
    emul_operand_load(s, &s->src);
    raise = (s->dst.val & 3) < (s->src.val & 3);
    set_flags(s, FL_ZF, raise ? FL_ZF : 0);
    if (!raise)
        return EMUL_OKAY;
    s->dst.val = (s->dst.val & ~3ull) | (s->src.val & 3);
    return emul_operand_store(s, &s->dst);
}

/* ---- flags as data ---- */

#define FL_AH (FL_SF | FL_ZF | FL_AF | FL_PF | FL_CF)

int emul_op_lahf(struct emul_state *s)
{
    uint64_t ah = (s->flags & FL_AH) | FL_1;

    s->gpr[RAX] = (s->gpr[RAX] & ~0xff00ull) | ah << 8;
    return EMUL_OKAY;
}

int emul_op_sahf(struct emul_state *s)
{
    set_flags(s, FL_AH, s->gpr[RAX] >> 8);
    return EMUL_OKAY;
}

int emul_op_salc(struct emul_state *s)
{
    emul_reg_write(s, RAX, 1, s->flags & FL_CF ? 0xff : 0);
    return EMUL_OKAY;
}

int emul_op_clc(struct emul_state *s)
{
    s->flags &= ~(uint64_t)FL_CF;
    return EMUL_OKAY;
}

int emul_op_stc(struct emul_state *s)
{
    s->flags |= FL_CF;
    return EMUL_OKAY;
}

int emul_op_cmc(struct emul_state *s)
{
    s->flags ^= FL_CF;
    return EMUL_OKAY;
}

int emul_op_cld(struct emul_state *s)
{
    s->flags &= ~(uint64_t)FL_DF;
    return EMUL_OKAY;
}

int emul_op_std(struct emul_state *s)
{
    s->flags |= FL_DF;
    return EMUL_OKAY;
}
