// SPDX-License-Identifier: MIT
/* Addition, subtraction, logic, and the flags that they leave behind. */
#include "private.h"

uint64_t emul_flags_szp(uint64_t res, unsigned int bytes)
{
    uint64_t fl = 0;

    if (!(res & width_mask(bytes)))
        fl |= FL_ZF;
    if (res & sign_bit(bytes))
        fl |= FL_SF;
    if (!(__builtin_popcount(res & 0xff) & 1))
        fl |= FL_PF;
    return fl;
}

/* `carries` has a bit set wherever a carry or borrow left that bit; the top one is CF, bit 3's is
 * AF. */
static uint64_t carry_flags(uint64_t carries, uint64_t overflow, unsigned int bytes)
{
    uint64_t fl = 0;

    if (carries & sign_bit(bytes))
        fl |= FL_CF;
    if (carries & 8)
        fl |= FL_AF;
    if (overflow & sign_bit(bytes))
        fl |= FL_OF;
    return fl;
}

uint64_t emul_add(struct emul_state *s, uint64_t a, uint64_t b, bool carry, unsigned int bytes)
{
    uint64_t r = a + b + carry;

    set_flags(s, FL_ARITH,
              emul_flags_szp(r, bytes) |
                  carry_flags((a & b) | ((a | b) & ~r), (a ^ r) & (b ^ r), bytes));
    return r & width_mask(bytes);
}

uint64_t emul_sub(struct emul_state *s, uint64_t a, uint64_t b, bool borrow, unsigned int bytes)
{
    uint64_t r = a - b - borrow;

    set_flags(s, FL_ARITH,
              emul_flags_szp(r, bytes) |
                  carry_flags((~a & b) | ((~a | b) & r), (a ^ b) & (a ^ r), bytes));
    return r & width_mask(bytes);
}

static uint64_t logic(struct emul_state *s, uint64_t res, unsigned int bytes)
{
    set_flags(s, FL_ARITH, emul_flags_szp(res, bytes));
    return res & width_mask(bytes);
}

int emul_op_add(struct emul_state *s)
{
    s->dst.val = emul_add(s, s->dst.val, s->src.val, false, s->dst.bytes);
    return EMUL_OKAY;
}

int emul_op_adc(struct emul_state *s)
{
    s->dst.val = emul_add(s, s->dst.val, s->src.val, s->flags & FL_CF, s->dst.bytes);
    return EMUL_OKAY;
}

int emul_op_sub(struct emul_state *s)
{
    s->dst.val = emul_sub(s, s->dst.val, s->src.val, false, s->dst.bytes);
    return EMUL_OKAY;
}

int emul_op_sbb(struct emul_state *s)
{
    s->dst.val = emul_sub(s, s->dst.val, s->src.val, s->flags & FL_CF, s->dst.bytes);
    return EMUL_OKAY;
}

int emul_op_cmp(struct emul_state *s)
{
    emul_sub(s, s->dst.val, s->src.val, false, s->dst.bytes);
    return EMUL_OKAY;
}

int emul_op_or(struct emul_state *s)
{
    s->dst.val = logic(s, s->dst.val | s->src.val, s->dst.bytes);
    return EMUL_OKAY;
}

int emul_op_and(struct emul_state *s)
{
    s->dst.val = logic(s, s->dst.val & s->src.val, s->dst.bytes);
    return EMUL_OKAY;
}

int emul_op_xor(struct emul_state *s)
{
    s->dst.val = logic(s, s->dst.val ^ s->src.val, s->dst.bytes);
    return EMUL_OKAY;
}

int emul_op_test(struct emul_state *s)
{
    logic(s, s->dst.val & s->src.val, s->dst.bytes);
    return EMUL_OKAY;
}

/* INC and DEC leave the carry flag alone. */
int emul_op_inc(struct emul_state *s)
{
    uint64_t cf = s->flags & FL_CF;

    s->dst.val = emul_add(s, s->dst.val, 1, false, s->dst.bytes);
    set_flags(s, FL_CF, cf);
    return EMUL_OKAY;
}

int emul_op_dec(struct emul_state *s)
{
    uint64_t cf = s->flags & FL_CF;

    s->dst.val = emul_sub(s, s->dst.val, 1, false, s->dst.bytes);
    set_flags(s, FL_CF, cf);
    return EMUL_OKAY;
}

int emul_op_not(struct emul_state *s)
{
    s->dst.val = ~s->dst.val;
    return EMUL_OKAY;
}

int emul_op_neg(struct emul_state *s)
{
    s->dst.val = emul_sub(s, 0, s->dst.val, false, s->dst.bytes);
    return EMUL_OKAY;
}

/* ADCX (66) chains through CF, ADOX (F3) through OF, and neither touches another flag. */
int emul_op_adx(struct emul_state *s)
{
    uint64_t chain, old = s->flags;
    int rc;

    if (s->insn->rep == 0xf3)
        chain = FL_OF;
    else if (s->insn->opsize && !s->insn->rep)
        chain = FL_CF;
    else
        return EMUL_UNHANDLEABLE;

    rc = emul_require(s, 7, CPUID_B, 19);
    if (rc == EMUL_OKAY)
        rc = emul_operand_load(s, &s->src);
    if (rc != EMUL_OKAY)
        return rc;
    emul_operand_load(s, &s->dst);
    s->dst.val = emul_add(s, s->dst.val, s->src.val, old & chain, s->dst.bytes);
    s->flags = (old & ~chain) | (s->flags & FL_CF ? chain : 0);
    return emul_operand_store(s, &s->dst);
}

/* CBW, CWDE, CDQE: the accumulator's lower half extended by its sign. */
int emul_op_cbw(struct emul_state *s)
{
    unsigned int bytes = s->insn->op_bytes;

    emul_reg_write(s, RAX, bytes, sign_extend(s->gpr[RAX], bytes / 2));
    return EMUL_OKAY;
}

/* CWD, CDQ, CQO: the accumulator's sign spread over rDX. */
int emul_op_cwd(struct emul_state *s)
{
    unsigned int bytes = s->insn->op_bytes;

    emul_reg_write(s, RDX, bytes, s->gpr[RAX] & sign_bit(bytes) ? ~0ull : 0);
    return EMUL_OKAY;
}
