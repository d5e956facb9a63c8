// SPDX-License-Identifier: MIT
/* Multiplication, division, and decimal adjustment. */
#include "private.h"

/* The double-width accumulator: AX for bytes, else rDX:rAX. */
static void read_pair(const struct emul_state *s, unsigned int bytes, uint64_t *hi, uint64_t *lo)
{
    if (bytes == 1) {
        *lo = s->gpr[RAX] & 0xff;
        *hi = s->gpr[RAX] >> 8 & 0xff;
    } else {
        *lo = emul_reg_read(s, RAX, bytes);
        *hi = emul_reg_read(s, RDX, bytes);
    }
}

static void write_pair(struct emul_state *s, unsigned int bytes, uint64_t hi, uint64_t lo)
{
    if (bytes == 1) {
        emul_reg_write(s, RAX, 2, (hi & 0xff) << 8 | (lo & 0xff));
    } else {
        emul_reg_write(s, RAX, bytes, lo);
        emul_reg_write(s, RDX, bytes, hi);
    }
}

static void set_product_flags(struct emul_state *s, uint64_t lo, unsigned int bytes, bool lost)
{
    set_flags(s, FL_ARITH, (lost ? FL_CF | FL_OF : 0) | (emul_flags_szp(lo, bytes) & ~FL_ZF));
}

int emul_op_mul(struct emul_state *s)
{
    unsigned int bytes = s->dst.bytes;
    unsigned __int128 prod = (unsigned __int128)emul_reg_read(s, RAX, bytes) * s->dst.val;
    uint64_t lo = (uint64_t)prod & width_mask(bytes), hi = prod >> (bytes * 8);

    write_pair(s, bytes, hi, lo);
    set_product_flags(s, lo, bytes, hi);
    return EMUL_OKAY;
}

/* a * b signed; the low half is returned, `*lost` if it is not all of the result. */
static uint64_t multiply(uint64_t a, uint64_t b, unsigned int bytes, uint64_t *hi, bool *lost)
{
    __int128 prod = (__int128)(int64_t)sign_extend(a, bytes) * (int64_t)sign_extend(b, bytes);
    uint64_t lo = (uint64_t)prod & width_mask(bytes);

    *hi = (uint64_t)((unsigned __int128)prod >> (bytes * 8));
    *lost = prod != (int64_t)sign_extend(lo, bytes);
    return lo;
}

int emul_op_imul(struct emul_state *s)
{
    unsigned int bytes = s->dst.bytes;
    bool lost;
    uint64_t hi, lo = multiply(s->gpr[RAX], s->dst.val, bytes, &hi, &lost);

    write_pair(s, bytes, hi, lo);
    set_product_flags(s, lo, bytes, lost);
    return EMUL_OKAY;
}

/* The forms with two and three operands: the product of the last two. */
int emul_op_imul2(struct emul_state *s)
{
    unsigned int bytes = s->dst.bytes;
    uint64_t other = s->aux.kind == OP_NONE ? s->dst.val : s->aux.val, hi;
    bool lost;

    s->dst.val = multiply(s->src.val, other, bytes, &hi, &lost);
    set_product_flags(s, s->dst.val, bytes, lost);
    return EMUL_OKAY;
}

/*
 * hi:lo / div, each `bytes` wide, by shifting and subtracting: one bit a round.  False if the
 * quotient does not fit.  Slow, but without need of the compiler's run-time library.
 */
static bool divide(uint64_t hi, uint64_t lo, uint64_t div, unsigned int bytes, uint64_t *quot,
                   uint64_t *rem)
{
    uint64_t q = 0;

    if (hi >= div) /* so also when div is 0 */
        return false;
    for (int i = bytes * 8 - 1; i >= 0; i--) {
        bool carry = hi >> 63;

        hi = hi << 1 | (lo >> i & 1);
        q <<= 1;
        if (carry || hi >= div) {
            hi -= div;
            q |= 1;
        }
    }
    *quot = q;
    *rem = hi;
    return true;
}

int emul_op_div(struct emul_state *s)
{
    unsigned int bytes = s->dst.bytes;
    uint64_t hi, lo, quot, rem;

    read_pair(s, bytes, &hi, &lo);
    if (!divide(hi, lo, s->dst.val, bytes, &quot, &rem))
        return emul_inject(s->ctxt, VEC_DE, 0);
    write_pair(s, bytes, rem, quot);
    return EMUL_OKAY;
}

int emul_op_idiv(struct emul_state *s)
{
    unsigned int bytes = s->dst.bytes;
    uint64_t mask = width_mask(bytes), sign = sign_bit(bytes), div = s->dst.val;
    uint64_t hi, lo, quot, rem;
    bool neg_num, neg_div = div & sign, neg_quot;

    read_pair(s, bytes, &hi, &lo);
    neg_num = hi & sign;
    if (neg_num) {
        lo = -lo & mask;
        hi = (~hi + !lo) & mask;
    }
    if (neg_div)
        div = -div & mask;
    neg_quot = neg_num != neg_div;

    if (!divide(hi, lo, div, bytes, &quot, &rem) || quot > sign - !neg_quot)
        return emul_inject(s->ctxt, VEC_DE, 0);
    write_pair(s, bytes, neg_num ? -rem : rem, neg_quot ? -quot : quot);
    return EMUL_OKAY;
}

/* ---- decimal ---- */

static void set_al(struct emul_state *s, uint8_t al, uint64_t af_cf)
{
    emul_reg_write(s, RAX, 1, al);
    set_flags(s, FL_ARITH, emul_flags_szp(al, 1) | af_cf);
}

int emul_op_daa(struct emul_state *s)
{
    uint8_t old = s->gpr[RAX], al = old;
    uint64_t fl = 0;

    if ((old & 0xf) > 9 || (s->flags & FL_AF)) {
        al += 6;
        fl |= FL_AF;
    }
    if (old > 0x99 || (s->flags & FL_CF)) {
        al += 0x60;
        fl |= FL_CF;
    }
    set_al(s, al, fl);
    return EMUL_OKAY;
}

int emul_op_das(struct emul_state *s)
{
    uint8_t old = s->gpr[RAX], al = old;
    uint64_t fl = 0;

    if ((old & 0xf) > 9 || (s->flags & FL_AF)) {
        al -= 6;
        fl |= FL_AF | (old < 6 ? FL_CF : 0);
    }
    if (old > 0x99 || (s->flags & FL_CF)) {
        al -= 0x60;
        fl |= FL_CF;
    }
    set_al(s, al, fl);
    return EMUL_OKAY;
}

static int ascii_adjust(struct emul_state *s, uint16_t by)
{
    uint16_t ax = s->gpr[RAX];
    bool adjust = (ax & 0xf) > 9 || (s->flags & FL_AF);

    if (adjust)
        ax += by;
    emul_reg_write(s, RAX, 2, ax & 0xff0f);
    set_flags(s, FL_CF | FL_AF, adjust ? FL_CF | FL_AF : 0);
    return EMUL_OKAY;
}

int emul_op_aaa(struct emul_state *s)
{
    return ascii_adjust(s, 0x0106);
}

int emul_op_aas(struct emul_state *s)
{
    return ascii_adjust(s, -0x0106);
}

int emul_op_aam(struct emul_state *s)
{
    uint8_t al = s->gpr[RAX], base = s->src.val;

    if (!base)
        return emul_inject(s->ctxt, VEC_DE, 0);
    emul_reg_write(s, RAX, 2, (al / base) << 8);
    set_al(s, al % base, 0);
    return EMUL_OKAY;
}

int emul_op_aad(struct emul_state *s)
{
    uint8_t al = s->gpr[RAX], ah = s->gpr[RAX] >> 8;

    al += ah * (uint8_t)s->src.val;
    emul_reg_write(s, RAX, 2, 0);
    set_al(s, al, 0);
    return EMUL_OKAY;
}
