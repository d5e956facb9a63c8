// SPDX-License-Identifier: MIT
/* Conditions, near branches, and the instructions that do nothing. */
#include "private.h"

/* cond: the low four bits of Jcc. */
static bool emul_condition(uint64_t flags, unsigned int cond)
{
    bool sf_ne_of = !(flags & FL_SF) != !(flags & FL_OF), res;

    switch (cond >> 1 & 7) {
    case 0:
        res = flags & FL_OF;
        break;
    case 1:
        res = flags & FL_CF;
        break;
    case 2:
        res = flags & FL_ZF;
        break;
    case 3:
        res = flags & (FL_CF | FL_ZF);
        break;
    case 4:
        res = flags & FL_SF;
        break;
    case 5:
        res = flags & FL_PF;
        break;
    case 6:
        res = sf_ne_of;
        break;
    default:
        res = sf_ne_of || (flags & FL_ZF);
        break;
    }
    return res != (cond & 1);
}

/* s->rip is where the next instruction is. */
static int jump_relative(struct emul_state *s)
{
    return emul_jump(s, s->rip + s->src.val, s->insn->op_bytes);
}

int emul_op_jcc(struct emul_state *s)
{
    return emul_condition(s->flags, s->insn->opcode) ? jump_relative(s) : EMUL_OKAY;
}

int emul_op_setcc(struct emul_state *s)
{
    s->dst.val = emul_condition(s->flags, s->insn->opcode);
    return EMUL_OKAY;
}

/* Without the condition the register is still written, with itself: its upper half is cleared. */
int emul_op_cmov(struct emul_state *s)
{
    if (emul_condition(s->flags, s->insn->opcode))
        s->dst.val = s->src.val;
    return EMUL_OKAY;
}

int emul_op_jmp(struct emul_state *s)
{
    return jump_relative(s);
}

int emul_op_jmp_ind(struct emul_state *s)
{
    return emul_jump(s, s->src.val, s->insn->op_bytes);
}

int emul_op_call(struct emul_state *s)
{
    uint64_t back = s->rip;
    int rc = jump_relative(s);

    return rc == EMUL_OKAY ? emul_push(s, back, s->insn->op_bytes) : rc;
}

int emul_op_call_ind(struct emul_state *s)
{
    uint64_t back = s->rip;
    int rc = emul_jump(s, s->src.val, s->insn->op_bytes);

    return rc == EMUL_OKAY ? emul_push(s, back, s->insn->op_bytes) : rc;
}

int emul_op_ret(struct emul_state *s)
{
    unsigned int sp_bytes = s->ctxt->sp_size / 8;
    uint64_t to;
    int rc = emul_pop(s, &to, s->insn->op_bytes);

    if (rc == EMUL_OKAY)
        rc = emul_jump(s, to, s->insn->op_bytes);
    if (rc == EMUL_OKAY)
        emul_reg_write(s, RSP, sp_bytes, s->gpr[RSP] + s->src.val);
    return rc;
}

/* LOOPNE, LOOPE, LOOP: count rCX down, look at ZF or not. */
int emul_op_loop(struct emul_state *s)
{
    unsigned int bytes = s->insn->addr_bytes, kind = s->insn->opcode & 3;
    bool zf = s->flags & FL_ZF;

    emul_reg_write(s, RCX, bytes, s->gpr[RCX] - 1);
    if (emul_reg_read(s, RCX, bytes) == 0 || (kind < 2 && zf != kind))
        return EMUL_OKAY;
    return jump_relative(s);
}

int emul_op_jcxz(struct emul_state *s)
{
    return emul_reg_read(s, RCX, s->insn->addr_bytes) ? EMUL_OKAY : jump_relative(s);
}

int emul_op_nop(struct emul_state *s)
{
    (void)s;
    return EMUL_OKAY;
}

/* 90 is XCHG with rAX, except that with rAX itself it is NOP and does not clear the upper half. */
int emul_op_nop_xchg(struct emul_state *s)
{
    uint64_t val;

    if (s->insn->rep == 0xf3 || !(s->insn->rex & 1))
        return EMUL_OKAY;
    emul_operand_load(s, &s->dst);
    emul_operand_load(s, &s->src);
    val = s->dst.val;
    s->dst.val = s->src.val;
    s->src.val = val;
    emul_operand_store(s, &s->dst);
    return emul_operand_store(s, &s->src);
}

int emul_op_ud(struct emul_state *s)
{
    return emul_inject(s->ctxt, VEC_UD, 0);
}

/* Trapping has ordered more than a fence would.  With a prefix the same bytes are WAITPKG and
 * INCSSP. */
int emul_op_fence(struct emul_state *s)
{
    return s->insn->opsize || s->insn->rep ? EMUL_UNHANDLEABLE : EMUL_OKAY;
}
