// SPDX-License-Identifier: MIT
/*
 * The maps behind 0F, 0F 38 and 0F 3A.  Vector instructions are decoded only, but for moves to and
 * from memory; what most of them need said is that a ModRM byte follows.
 */
#include "map.h"

const struct opcode emul_row_arpl = OP(arpl, PROT | SELF | MEMW, Ew, Gw);
const struct opcode emul_row_bare = DEC(0);
const struct opcode emul_row_modrm = DEC(0, MODRM);
const struct opcode emul_row_modrm_imm8 = DEC(0, MODRM, Ib);
const struct opcode emul_row_modrm_imm16 = DEC(0, MODRM, Iw);
const struct opcode emul_row_modrm_imm32 = DEC(0, MODRM, Id);

/* SLDT, STR, LLDT, LTR, VERR, VERW */
static const struct opcode group6[16] = {
    BOTH(0, OP(store_selector, PROT | SELF | MEMW, Ev)),
    BOTH(1, OP(store_selector, PROT | SELF | MEMW, Ev)),
    BOTH(2, OP(load_system, PROT | SELF | CPL0, NO, Ew)),
    BOTH(3, OP(load_system, PROT | SELF | CPL0, NO, Ew)),
    BOTH(4, OP(verify, PROT | SELF, NO, Ew)),
    BOTH(5, OP(verify, PROT | SELF, NO, Ew)),
};

/* SGDT, SIDT, LGDT, LIDT, SMSW, shadow stacks, LMSW, INVLPG; as registers, all kinds of things. */
static const struct opcode group7[16] = {
    MEM(0) = OP(store_table, SELF | MEMW, M_),
    MEM(1) = OP(store_table, SELF | MEMW, M_),
    MEM(2) = OP(load_table, SELF | CPL0, M_),
    MEM(3) = OP(load_table, SELF | CPL0, M_),
    BOTH(4, OP(smsw, SELF | PRIV | MEMW, Ev)),
    MEM(5) = DEC(0, M_),
    BOTH(6, OP(lmsw, SELF | CPL0 | PRIV, NO, Ew)),
    MEM(7) = OP(invlpg, SELF | CPL0 | PRIV, M_),
    REG(0) = DEC(0, MODRM),
    REG(1) = DEC(0, MODRM),
    REG(2) = OP(group7_reg, SELF | PRIV, MODRM),
    REG(3) = DEC(0, MODRM),
    REG(5) = DEC(0, MODRM),
    REG(7) = OP(group7_reg, SELF | PRIV, MODRM),
};

static const struct opcode group8[16] = {
    BOTH(4, OP(bt, RD, Ev, Ib)),
    BOTH(5, OP(bts, LOCK, Ev, Ib)),
    BOTH(6, OP(btr, LOCK, Ev, Ib)),
    BOTH(7, OP(btc, LOCK, Ev, Ib)),
};

/* XRSTORS, XSAVEC, XSAVES and VMX beside CMPXCHG8B; as registers RDRAND, RDSEED and RDPID. */
static const struct opcode group9[16] = {
    MEM(1) = OP(cmpxchg8b, LOCK | SELF | MEMW, Mv),
    MEM(3) = DEC(0, M_),
    MEM(4) = DEC(0, M_),
    MEM(5) = DEC(0, M_),
    MEM(6) = DEC(0, M_),
    MEM(7) = DEC(0, M_),
    REG(6) = DEC(0, Ev),
    REG(7) = OP(rdpid, SELF | PRIV, Ev),
};

/* FXSAVE to CLFLUSH; as registers RDFSBASE and its like, and the fences. */
static const struct opcode group15[16] = {
    MEM(0) = DEC(0, M_),
    MEM(1) = DEC(0, M_),
    MEM(2) = DEC(0, M_),
    MEM(3) = DEC(0, M_),
    MEM(4) = DEC(0, M_),
    MEM(5) = DEC(0, M_),
    MEM(6) = OP(flush_line, SELF, M_),
    MEM(7) = OP(flush_line, SELF, M_),
    REG(0) = OP(fsgsbase, O64 | SELF | PRIV, Ry),
    REG(1) = OP(fsgsbase, O64 | SELF | PRIV, Ry),
    REG(2) = OP(fsgsbase, O64 | SELF | PRIV, Ry),
    REG(3) = OP(fsgsbase, O64 | SELF | PRIV, Ry),
    REG(4) = DEC(0, Ey),
    REG(5) = OP(fence, 0, MODRM),
    REG(6) = OP(fence, 0, MODRM),
    REG(7) = OP(fence, 0, MODRM),
};

const struct opcode emul_map_0f[256] = {
    [0x00] = GRP(group6, 0),
    [0x01] = GRP(group7, 0),
    [0x02] = OP(ask_descriptor, PROT | SELF, Gv, Ew),
    [0x03] = OP(ask_descriptor, PROT | SELF, Gv, Ew),
    [0x05] = DEC(0),
    [0x06] = OP(clts, CPL0 | PRIV),
    [0x07] = DEC(0),
    [0x08] = OP(cache_flush, CPL0 | PRIV),
    [0x09] = OP(cache_flush, CPL0 | PRIV),
    [0x0b] = OP(ud, 0),
    [0x0d] = OP(nop, 0, MODRM),
    [0x0e] = DEC(0),
    [0x0f] = DEC(0, MODRM, Ib),

    [0x10] = VLOAD,
    [0x11] = VSTORE,
    [0x12] = VLOAD,
    [0x13] = VSTORE,
    [0x14 ... 0x15] = DEC(0, MODRM),
    [0x16] = VLOAD,
    [0x17] = VSTORE,
    [0x18] = OP(nop, 0, MODRM),
    [0x19] = OP(nop, 0, MODRM),
    [0x1a] = DEC(0, MODRM),
    [0x1b] = DEC(0, MODRM),
    [0x1c] = OP(nop, 0, MODRM),
    [0x1d] = OP(nop, 0, MODRM),
    [0x1e] = OP(nop, 0, MODRM),
    [0x1f] = OP(nop, 0, MODRM),

    [0x20] = OP(mov_from_cr, SELF | PRIV, Rn),
    [0x21] = OP(mov_from_dr, SELF | PRIV, Rn),
    [0x22] = OP(mov_to_cr, SELF | PRIV, NO, Rn),
    [0x23] = OP(mov_to_dr, SELF | PRIV, NO, Rn),
    [0x28] = VLOAD,
    [0x29] = VSTORE,
    [0x2a] = DEC(0, MODRM),
    [0x2b] = VSTORE,
    [0x2c ... 0x2f] = DEC(0, MODRM),

    [0x30] = OP(wrmsr, CPL0 | PRIV),
    [0x31] = OP(rdtsc, PRIV),
    [0x32] = OP(rdmsr, CPL0 | PRIV),
    [0x33] = OP(rdpmc, PRIV),
    [0x34] = DEC(PROT),
    [0x35] = DEC(PROT),
    [0x37] = DEC(0),

    [0x40 ... 0x4f] = OP(cmov, 0, Gv, Ev),

    [0x50 ... 0x6d] = DEC(0, MODRM),
    [0x6e] = VLOAD,
    [0x6f] = VLOAD,
    [0x70 ... 0x73] = DEC(0, MODRM, Ib),
    [0x74 ... 0x76] = DEC(0, MODRM),
    [0x77] = DEC(0),
    [0x78] = DEC(0, MODRM),
    [0x79] = DEC(0, MODRM),
    [0x7c ... 0x7d] = DEC(0, MODRM),
    [0x7e] = VSTORE, /* or, with F3, from memory */
    [0x7f] = VSTORE,

    [0x80 ... 0x8f] = OP(jcc, NEAR, NO, Jz),
    [0x90 ... 0x9f] = OP(setcc, WR, Eb),

    [0xa0] = OP(push_seg, D64),
    [0xa1] = OP(pop_seg, D64),
    [0xa2] = OP(cpuid, PRIV),
    [0xa3] = OP(bt, RD | BITOFF, Ev, Gv),
    [0xa4] = OP(shld, 0, Ev, Gv, Ib),
    [0xa5] = OP(shld, 0, Ev, Gv, CL),
    [0xa6] = DEC(0, MODRM),
    [0xa7] = DEC(0, MODRM),
    [0xa8] = OP(push_seg, D64),
    [0xa9] = OP(pop_seg, D64),
    [0xaa] = DEC(0),
    [0xab] = OP(bts, LOCK | BITOFF, Ev, Gv),
    [0xac] = OP(shrd, 0, Ev, Gv, Ib),
    [0xad] = OP(shrd, 0, Ev, Gv, CL),
    [0xae] = GRP(group15, 0),
    [0xaf] = OP(imul2, 0, Gv, Ev),

    [0xb0] = OP(cmpxchg, LOCK | SELF | MEMW, Eb, Gb),
    [0xb1] = OP(cmpxchg, LOCK | SELF | MEMW, Ev, Gv),
    [0xb2] = OP(load_far, SELF, Gv, Mv),
    [0xb3] = OP(btr, LOCK | BITOFF, Ev, Gv),
    [0xb4] = OP(load_far, SELF, Gv, Mv),
    [0xb5] = OP(load_far, SELF, Gv, Mv),
    [0xb6] = OP(movzx, WR, Gv, Eb),
    [0xb7] = OP(movzx, WR, Gv, Ew),
    [0xb8] = OP(popcnt, SELF, Gv, Ev),
    [0xb9] = OP(ud, SELF, MODRM),
    [0xba] = GRP(group8, 0),
    [0xbb] = OP(btc, LOCK | BITOFF, Ev, Gv),
    [0xbc] = OP(bsf, 0, Gv, Ev),
    [0xbd] = OP(bsr, 0, Gv, Ev),
    [0xbe] = OP(movsx, WR, Gv, Eb),
    [0xbf] = OP(movsx, WR, Gv, Ew),

    [0xc0] = OP(xadd, LOCK | SRCW, Eb, Gb),
    [0xc1] = OP(xadd, LOCK | SRCW, Ev, Gv),
    [0xc2] = DEC(0, MODRM, Ib),
    [0xc3] = OP(movnti, WR, My, Gy),
    [0xc4 ... 0xc6] = DEC(0, MODRM, Ib),
    [0xc7] = GRP(group9, 0),
    [0xc8 ... 0xcf] = OP(bswap, 0, Zv),

    [0xd0 ... 0xd5] = DEC(0, MODRM),
    [0xd6] = VSTORE,
    [0xd7 ... 0xe6] = DEC(0, MODRM),
    [0xe7] = VSTORE,
    [0xe8 ... 0xef] = DEC(0, MODRM),
    [0xf0] = VLOAD,
    [0xf1 ... 0xf6] = DEC(0, MODRM),
    [0xf7] = OP(masked_bytes, SELF | VEX | MEMW, MODRM),
    [0xf8 ... 0xfe] = DEC(0, MODRM),
    [0xff] = OP(ud, SELF, MODRM),
};

const struct opcode emul_map_0f38[256] = {
    [0x00 ... 0x29] = DEC(0, MODRM),
    [0x2a] = VLOAD,
    [0x2b] = DEC(0, MODRM),
    [0x2c ... 0x2d] = OP(masked_move, SELF | VEX, MODRM),
    [0x2e ... 0x2f] = OP(masked_move, SELF | VEX | MEMW, MODRM),
    [0x30 ... 0x8b] = DEC(0, MODRM),
    [0x8c] = OP(masked_move, SELF | VEX, MODRM),
    [0x8d] = DEC(0, MODRM),
    [0x8e] = OP(masked_move, SELF | VEX | MEMW, MODRM),
    [0x8f ... 0xef] = DEC(0, MODRM),
    [0xf0] = OP(0f38f0, SELF, Gv, Ev),
    [0xf1] = OP(0f38f1, SELF | MEMW, Gv, Ev),
    [0xf2 ... 0xf5] = DEC(0, MODRM),
    [0xf6] = OP(adx, SELF, Gy, Ey),
    [0xf7 ... 0xff] = DEC(0, MODRM),
};

const struct opcode emul_map_0f3a[256] = {
    [0x00 ... 0xff] = DEC(0, MODRM, Ib),
};
