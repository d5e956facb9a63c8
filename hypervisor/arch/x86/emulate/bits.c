// SPDX-License-Identifier: MIT
/* Single bits, bit scans and counts, byte order. */
#include "private.h"

int emul_require(struct emul_state *s, uint32_t leaf, enum emul_cpuid_reg reg, unsigned int bit)
{
    struct emul_cpuid res;
    uint32_t word;
    int rc;

    if (!s->ops->cpuid)
        return EMUL_UNHANDLEABLE;
    rc = s->ops->cpuid(s->ctxt, leaf, 0, &res);
    if (rc != EMUL_OKAY)
        return rc;
    word = reg == CPUID_B ? res.b : reg == CPUID_C ? res.c : res.d;
    return word >> bit & 1 ? EMUL_OKAY : emul_inject(s->ctxt, VEC_UD, 0);
}

/* Copy the selected bit to CF and return its mask. */
static uint64_t select_bit(struct emul_state *s)
{
    uint64_t bit = 1ull << (s->src.val & (s->dst.bytes * 8 - 1));

    set_flags(s, FL_CF, s->dst.val & bit ? FL_CF : 0);
    return bit;
}

int emul_op_bt(struct emul_state *s)
{
    select_bit(s);
    return EMUL_OKAY;
}

int emul_op_bts(struct emul_state *s)
{
    s->dst.val |= select_bit(s);
    return EMUL_OKAY;
}

int emul_op_btr(struct emul_state *s)
{
    s->dst.val &= ~select_bit(s);
    return EMUL_OKAY;
}

int emul_op_btc(struct emul_state *s)
{
    s->dst.val ^= select_bit(s);
    return EMUL_OKAY;
}

/*
 * BSF and BSR became TZCNT and LZCNT under an F3 prefix; processors without the feature ignore the
 * prefix. Returns 1 or 0, or -1 if it cannot be known.
 */
static int counts_zeros(struct emul_state *s, uint32_t leaf, enum emul_cpuid_reg reg,
                        unsigned int bit)
{
    if (s->insn->rep != 0xf3)
        return 0;
    switch (emul_require(s, leaf, reg, bit)) {
    case EMUL_OKAY:
        return 1;
    case EMUL_EXCEPTION:
        s->ctxt->exception.pending = false;
        return 0;
    default:
        return -1;
    }
}

/* The flags of a scan: ZF if there was no bit. Of a count: also CF, and ZF if the count is zero. */
static int scan(struct emul_state *s, int count, uint64_t index, uint64_t zeros)
{
    if (count < 0)
        return EMUL_UNHANDLEABLE;
    if (count) {
        s->dst.val = zeros;
        set_flags(s, FL_CF | FL_ZF, (s->src.val ? 0 : FL_CF) | (zeros ? 0 : FL_ZF));
    } else {
        if (s->src.val)
            s->dst.val = index;
        set_flags(s, FL_ZF, s->src.val ? 0 : FL_ZF);
        s->keep_dst = !s->src.val;
    }
    return EMUL_OKAY;
}

int emul_op_bsf(struct emul_state *s)
{
    int low = s->src.val ? __builtin_ctzll(s->src.val) : s->src.bytes * 8;

    return scan(s, counts_zeros(s, 7, CPUID_B, 3), low, low);
}

int emul_op_bsr(struct emul_state *s)
{
    unsigned int bits = s->src.bytes * 8, high = s->src.val ? 63 - __builtin_clzll(s->src.val) : 0;

    return scan(s, counts_zeros(s, 0x80000001, CPUID_C, 5), high,
                s->src.val ? bits - 1 - high : bits);
}

int emul_op_popcnt(struct emul_state *s)
{
    uint64_t v, n = 0;
    int rc;

    if (s->insn->rep != 0xf3)
        return emul_inject(s->ctxt, VEC_UD, 0);
    rc = emul_require(s, 1, CPUID_C, 23);
    if (rc == EMUL_OKAY)
        rc = emul_operand_load(s, &s->src);
    if (rc != EMUL_OKAY)
        return rc;
    v = s->src.val;
    for (; v; v &= v - 1)
        n++;
    s->dst.val = n;
    set_flags(s, FL_ARITH, n ? 0 : FL_ZF);
    return emul_operand_store(s, &s->dst);
}

static uint64_t swap_bytes(uint64_t v, unsigned int bytes)
{
    return __builtin_bswap64(v) >> (64 - bytes * 8);
}

/* Of a word it is undefined; processors clear it. */
int emul_op_bswap(struct emul_state *s)
{
    s->dst.val = s->dst.bytes == 2 ? 0 : swap_bytes(s->dst.val, s->dst.bytes);
    return EMUL_OKAY;
}

/* CRC32C, reflected, one bit a round. */
static int crc32(struct emul_state *s, unsigned int bytes)
{
    uint32_t crc;
    int rc = emul_require(s, 1, CPUID_C, 20);

    if (rc != EMUL_OKAY)
        return rc;
    s->src.bytes = bytes;
    if (bytes == 1 && s->src.kind == OP_REG && !s->insn->rex && s->src.reg >= 4) {
        s->src.reg -= 4;
        s->src.high = 1;
    }
    rc = emul_operand_load(s, &s->src);
    if (rc != EMUL_OKAY)
        return rc;

    crc = s->gpr[s->dst.reg];
    for (unsigned int i = 0; i < bytes * 8; i++) {
        bool out = (crc ^ (s->src.val >> i)) & 1;

        crc = crc >> 1 ^ (out ? 0x82f63b78u : 0);
    }
    s->gpr[s->dst.reg] = crc;
    return EMUL_OKAY;
}

static int movbe(struct emul_state *s, struct operand *to, struct operand *from)
{
    int rc = emul_require(s, 1, CPUID_C, 22);

    if (rc == EMUL_OKAY && (s->insn->mod == 3 || s->insn->rep))
        rc = emul_inject(s->ctxt, VEC_UD, 0);
    if (rc == EMUL_OKAY)
        rc = emul_operand_load(s, from);
    if (rc != EMUL_OKAY)
        return rc;
    to->val = swap_bytes(from->val, from->bytes);
    return emul_operand_store(s, to);
}

/* 0F 38 F0 and F1 are the loads and stores of MOVBE, and under F2 the two sizes of CRC32. */
int emul_op_0f38f0(struct emul_state *s)
{
    return s->insn->rep == 0xf2 ? crc32(s, 1) : movbe(s, &s->dst, &s->src);
}

int emul_op_0f38f1(struct emul_state *s)
{
    return s->insn->rep == 0xf2 ? crc32(s, s->src.bytes) : movbe(s, &s->src, &s->dst);
}
