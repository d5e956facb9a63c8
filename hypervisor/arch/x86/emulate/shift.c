// SPDX-License-Identifier: MIT
/* Shifts and rotates.  A count of zero, after masking, changes neither flags nor (but for width)
 * the result. */
#include "private.h"

static unsigned int shift_count(const struct emul_state *s, const struct operand *op)
{
    return op->val & (s->dst.bytes == 8 ? 63 : 31);
}

static void set_cf_of(struct emul_state *s, bool cf, bool of)
{
    set_flags(s, FL_CF | FL_OF, (cf ? FL_CF : 0) | (of ? FL_OF : 0));
}

static void set_shift_flags(struct emul_state *s, bool cf, bool of)
{
    set_flags(s, FL_ARITH,
              emul_flags_szp(s->dst.val, s->dst.bytes) | (cf ? FL_CF : 0) | (of ? FL_OF : 0));
}

static bool top(const struct emul_state *s, uint64_t val)
{
    return val & sign_bit(s->dst.bytes);
}

int emul_op_rol(struct emul_state *s)
{
    unsigned int bits = s->dst.bytes * 8, n = shift_count(s, &s->src), by = n % bits;
    uint64_t v = s->dst.val;

    if (!n)
        return EMUL_OKAY;
    if (by)
        v = (v << by | v >> (bits - by)) & width_mask(s->dst.bytes);
    s->dst.val = v;
    set_cf_of(s, v & 1, top(s, v) != (v & 1));
    return EMUL_OKAY;
}

int emul_op_ror(struct emul_state *s)
{
    unsigned int bits = s->dst.bytes * 8, n = shift_count(s, &s->src), by = n % bits;
    uint64_t v = s->dst.val;

    if (!n)
        return EMUL_OKAY;
    if (by)
        v = (v >> by | v << (bits - by)) & width_mask(s->dst.bytes);
    s->dst.val = v;
    set_cf_of(s, top(s, v), top(s, v) != top(s, v << 1));
    return EMUL_OKAY;
}

/* Rotating through the carry is done bit by bit: at most 63 of them, and rare. */
int emul_op_rcl(struct emul_state *s)
{
    unsigned int n = shift_count(s, &s->src) % (s->dst.bytes * 8 + 1);
    bool cf = s->flags & FL_CF;

    if (!n)
        return EMUL_OKAY;
    while (n--) {
        bool out = top(s, s->dst.val);

        s->dst.val = s->dst.val << 1 | cf;
        cf = out;
    }
    set_cf_of(s, cf, top(s, s->dst.val) != cf);
    return EMUL_OKAY;
}

int emul_op_rcr(struct emul_state *s)
{
    unsigned int n = shift_count(s, &s->src) % (s->dst.bytes * 8 + 1);
    bool cf = s->flags & FL_CF;

    if (!n)
        return EMUL_OKAY;
    while (n--) {
        bool out = s->dst.val & 1;

        s->dst.val = s->dst.val >> 1 | (cf ? sign_bit(s->dst.bytes) : 0);
        cf = out;
    }
    set_cf_of(s, cf, top(s, s->dst.val) != top(s, s->dst.val << 1));
    return EMUL_OKAY;
}

int emul_op_shl(struct emul_state *s)
{
    unsigned int bits = s->dst.bytes * 8, n = shift_count(s, &s->src);
    bool cf;

    if (!n)
        return EMUL_OKAY;
    cf = n <= bits && (s->dst.val >> (bits - n) & 1);
    s->dst.val = s->dst.val << n & width_mask(s->dst.bytes);
    set_shift_flags(s, cf, top(s, s->dst.val) != cf);
    return EMUL_OKAY;
}

int emul_op_shr(struct emul_state *s)
{
    unsigned int n = shift_count(s, &s->src);
    uint64_t v = s->dst.val;

    if (!n)
        return EMUL_OKAY;
    s->dst.val = v >> n;
    set_shift_flags(s, v >> (n - 1) & 1, top(s, v));
    return EMUL_OKAY;
}

int emul_op_sar(struct emul_state *s)
{
    unsigned int n = shift_count(s, &s->src);
    int64_t v = sign_extend(s->dst.val, s->dst.bytes);

    if (!n)
        return EMUL_OKAY;
    s->dst.val = (uint64_t)(v >> n) & width_mask(s->dst.bytes);
    set_shift_flags(s, v >> (n - 1) & 1, false);
    return EMUL_OKAY;
}

/* SHLD, SHRD.  With a count beyond the width (words only) the manual defines nothing; leave all as
 * it is. */
int emul_op_shld(struct emul_state *s)
{
    unsigned int bits = s->dst.bytes * 8, n = shift_count(s, &s->aux);
    uint64_t v = s->dst.val;
    bool cf;

    if (!n || n > bits)
        return EMUL_OKAY;
    cf = v >> (bits - n) & 1;
    v = n == bits ? s->src.val : v << n | s->src.val >> (bits - n);
    s->dst.val = v & width_mask(s->dst.bytes);
    set_shift_flags(s, cf, top(s, s->dst.val) != cf);
    return EMUL_OKAY;
}

int emul_op_shrd(struct emul_state *s)
{
    unsigned int bits = s->dst.bytes * 8, n = shift_count(s, &s->aux);
    uint64_t v = s->dst.val;
    bool cf;

    if (!n || n > bits)
        return EMUL_OKAY;
    cf = v >> (n - 1) & 1;
    v = n == bits ? s->src.val : v >> n | s->src.val << (bits - n);
    s->dst.val = v & width_mask(s->dst.bytes);
    set_shift_flags(s, cf, top(s, s->dst.val) != top(s, s->dst.val << 1));
    return EMUL_OKAY;
}
