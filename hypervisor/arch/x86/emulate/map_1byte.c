// SPDX-License-Identifier: MIT
/* The one-byte opcode map.  Opcodes that are prefixes or escapes have no row: the decoder never
 * looks here. */
#include "map.h"

/* The six forms of an arithmetic operation, at the start of its eight opcodes. */
#define ALU(base, name, fl)                                                                        \
    [base] = OP(name, fl, Eb, Gb), [(base) + 1] = OP(name, fl, Ev, Gv),                            \
    [(base) + 2] = OP(name, (fl) & ~LOCK, Gb, Eb), [(base) + 3] = OP(name, (fl) & ~LOCK, Gv, Ev),  \
    [(base) + 4] = OP(name, (fl) & ~LOCK, AL, Ib), [(base) + 5] = OP(name, (fl) & ~LOCK, rAX, Iz)

#define GROUP1(dst, imm)                                                                           \
    {                                                                                              \
        BOTH(0, OP(add, LOCK, dst, imm)), BOTH(1, OP(or, LOCK, dst, imm)),                         \
            BOTH(2, OP(adc, LOCK, dst, imm)), BOTH(3, OP(sbb, LOCK, dst, imm)),                    \
            BOTH(4, OP(and, LOCK, dst, imm)), BOTH(5, OP(sub, LOCK, dst, imm)),                    \
            BOTH(6, OP(xor, LOCK, dst, imm)), BOTH(7, OP(cmp, RD, dst, imm))                       \
    }

/* /6 is an undocumented twin of /4. */
#define GROUP2(dst, count)                                                                         \
    {                                                                                              \
        BOTH(0, OP(rol, 0, dst, count)), BOTH(1, OP(ror, 0, dst, count)),                          \
            BOTH(2, OP(rcl, 0, dst, count)), BOTH(3, OP(rcr, 0, dst, count)),                      \
            BOTH(4, OP(shl, 0, dst, count)), BOTH(5, OP(shr, 0, dst, count)),                      \
            BOTH(6, OP(shl, 0, dst, count)), BOTH(7, OP(sar, 0, dst, count))                       \
    }

/* /1 is an undocumented twin of /0. */
#define GROUP3(dst, imm)                                                                           \
    {                                                                                              \
        BOTH(0, OP(test, RD, dst, imm)), BOTH(1, OP(test, RD, dst, imm)),                          \
            BOTH(2, OP(not, LOCK, dst)), BOTH(3, OP(neg, LOCK, dst)), BOTH(4, OP(mul, RD, dst)),   \
            BOTH(5, OP(imul, RD, dst)), BOTH(6, OP(div, RD, dst)), BOTH(7, OP(idiv, RD, dst))      \
    }

static const struct opcode group1_b[16] = GROUP1(Eb, Ib);
static const struct opcode group1_z[16] = GROUP1(Ev, Iz);
static const struct opcode group1_s[16] = GROUP1(Ev, Ib);

static const struct opcode group1a[16] = {BOTH(0, OP(pop, D64 | SELF | MEMW, Ev))};

static const struct opcode group2_b_imm[16] = GROUP2(Eb, Ib);
static const struct opcode group2_v_imm[16] = GROUP2(Ev, Ib);
static const struct opcode group2_b_one[16] = GROUP2(Eb, ONE);
static const struct opcode group2_v_one[16] = GROUP2(Ev, ONE);
static const struct opcode group2_b_cl[16] = GROUP2(Eb, CL);
static const struct opcode group2_v_cl[16] = GROUP2(Ev, CL);

static const struct opcode group3_b[16] = GROUP3(Eb, Ib);
static const struct opcode group3_v[16] = GROUP3(Ev, Iz);

static const struct opcode group4[16] = {BOTH(0, OP(inc, LOCK, Eb)), BOTH(1, OP(dec, LOCK, Eb))};

static const struct opcode group5[16] = {
    BOTH(0, OP(inc, LOCK, Ev)),          BOTH(1, OP(dec, LOCK, Ev)),
    BOTH(2, OP(call_ind, NEAR, NO, Ev)), MEM(3) = OP(call_far, SELF, NO, Mv),
    BOTH(4, OP(jmp_ind, NEAR, NO, Ev)),  MEM(5) = OP(jmp_far, SELF, NO, Mv),
    BOTH(6, OP(push, D64, NO, Ev)),
};

/* The register form of /7 is XABORT or XBEGIN. */
static const struct opcode group11_b[16] = {BOTH(0, OP(mov, WR, Eb, Ib)), REG(7) = DEC(0, NO, Ib)};
static const struct opcode group11_v[16] = {BOTH(0, OP(mov, WR, Ev, Iz)), REG(7) = DEC(0, NO, Jz)};

const struct opcode emul_map_1byte[256] = {
    ALU(0x00, add, LOCK),
    [0x06] = OP(push_seg, I64),
    [0x07] = OP(pop_seg, I64),
    ALU(0x08, or, LOCK),
    [0x0e] = OP(push_seg, I64),
    ALU(0x10, adc, LOCK),
    [0x16] = OP(push_seg, I64),
    [0x17] = OP(pop_seg, I64),
    ALU(0x18, sbb, LOCK),
    [0x1e] = OP(push_seg, I64),
    [0x1f] = OP(pop_seg, I64),
    ALU(0x20, and, LOCK),
    [0x27] = OP(daa, I64),
    ALU(0x28, sub, LOCK),
    [0x2f] = OP(das, I64),
    ALU(0x30, xor, LOCK),
    [0x37] = OP(aaa, I64),
    ALU(0x38, cmp, RD),
    [0x3f] = OP(aas, I64),

    [0x40 ... 0x47] = OP(inc, I64, Zv),
    [0x48 ... 0x4f] = OP(dec, I64, Zv),
    [0x50 ... 0x57] = OP(push, D64, NO, Zv),
    [0x58 ... 0x5f] = OP(pop, D64 | SELF, Zv),

    [0x60] = OP(pusha, I64),
    [0x61] = OP(popa, I64),
    [0x62] = OP(bound, I64 | SELF, Gv, Mv),
    [0x63] = OP(movsx, WR, Gv, Ez), /* outside 64-bit mode: emul_row_arpl */
    [0x68] = OP(push, D64, NO, Iz),
    [0x69] = OP(imul2, WR, Gv, Ev, Iz),
    [0x6a] = OP(push, D64, NO, Ib),
    [0x6b] = OP(imul2, WR, Gv, Ev, Ib),
    [0x6c] = OP(ins, PRIV | SELF | MEMW, Yb),
    [0x6d] = OP(ins, PRIV | SELF | MEMW, Yz),
    [0x6e] = OP(outs, PRIV | SELF, Xb),
    [0x6f] = OP(outs, PRIV | SELF, Xz),

    [0x70 ... 0x7f] = OP(jcc, NEAR, NO, Jb),

    [0x80] = GRP(group1_b, 0),
    [0x81] = GRP(group1_z, 0),
    [0x82] = GRP(group1_b, I64),
    [0x83] = GRP(group1_s, 0),
    [0x84] = OP(test, RD, Eb, Gb),
    [0x85] = OP(test, RD, Ev, Gv),
    [0x86] = OP(xchg, LOCK | SRCW, Eb, Gb),
    [0x87] = OP(xchg, LOCK | SRCW, Ev, Gv),
    [0x88] = OP(mov, WR, Eb, Gb),
    [0x89] = OP(mov, WR, Ev, Gv),
    [0x8a] = OP(mov, WR, Gb, Eb),
    [0x8b] = OP(mov, WR, Gv, Ev),
    [0x8c] = OP(mov_from_seg, SELF | MEMW, Ev, Sw),
    [0x8d] = OP(lea, SELF, Gv, M_),
    [0x8e] = OP(mov_to_seg, SELF, Sw, Ew),
    [0x8f] = GRP(group1a, 0),

    [0x90] = OP(nop_xchg, SELF, Zv, rAX),
    [0x91 ... 0x97] = OP(xchg, SRCW, Zv, rAX),
    [0x98] = OP(cbw, 0),
    [0x99] = OP(cwd, 0),
    [0x9a] = OP(call_far, I64 | SELF, NO, Ap),
    [0x9b] = DEC(0),
    [0x9c] = OP(pushf, D64),
    [0x9d] = OP(popf, D64),
    [0x9e] = OP(sahf, 0),
    [0x9f] = OP(lahf, 0),

    [0xa0] = OP(mov, WR, AL, Ob),
    [0xa1] = OP(mov, WR, rAX, Ov),
    [0xa2] = OP(mov, WR, Ob, AL),
    [0xa3] = OP(mov, WR, Ov, rAX),
    [0xa4] = OP(movs, SELF | MEMW, Yb, Xb),
    [0xa5] = OP(movs, SELF | MEMW, Yv, Xv),
    [0xa6] = OP(cmps, SELF, Xb, Yb),
    [0xa7] = OP(cmps, SELF, Xv, Yv),
    [0xa8] = OP(test, RD, AL, Ib),
    [0xa9] = OP(test, RD, rAX, Iz),
    [0xaa] = OP(stos, SELF | MEMW, Yb, AL),
    [0xab] = OP(stos, SELF | MEMW, Yv, rAX),
    [0xac] = OP(lods, SELF, AL, Xb),
    [0xad] = OP(lods, SELF, rAX, Xv),
    [0xae] = OP(scas, SELF, AL, Yb),
    [0xaf] = OP(scas, SELF, rAX, Yv),

    [0xb0 ... 0xb7] = OP(mov, WR, Zb, Ib),
    [0xb8 ... 0xbf] = OP(mov, WR, Zv, Iv),

    [0xc0] = GRP(group2_b_imm, 0),
    [0xc1] = GRP(group2_v_imm, 0),
    [0xc2] = OP(ret, NEAR, NO, Iw),
    [0xc3] = OP(ret, NEAR),
    [0xc4] = OP(load_far, I64 | SELF, Gv, Mv),
    [0xc5] = OP(load_far, I64 | SELF, Gv, Mv),
    [0xc6] = GRP(group11_b, 0),
    [0xc7] = GRP(group11_v, 0),
    [0xc8] = OP(enter, D64 | SELF, Iw, I2),
    [0xc9] = OP(leave, D64),
    [0xca] = OP(ret_far, 0, NO, Iw),
    [0xcb] = OP(ret_far, 0),
    [0xcc] = OP(int, 0),
    [0xcd] = OP(int, 0, NO, Ib),
    [0xce] = OP(int, I64),
    [0xcf] = OP(iret, 0),

    [0xd0] = GRP(group2_b_one, 0),
    [0xd1] = GRP(group2_v_one, 0),
    [0xd2] = GRP(group2_b_cl, 0),
    [0xd3] = GRP(group2_v_cl, 0),
    [0xd4] = OP(aam, I64, NO, Ib),
    [0xd5] = OP(aad, I64, NO, Ib),
    [0xd6] = OP(salc, I64),
    [0xd7] = OP(xlat, 0),
    [0xd8 ... 0xdf] = DEC(0, MODRM),

    [0xe0 ... 0xe2] = OP(loop, NEAR, NO, Jb),
    [0xe3] = OP(jcxz, NEAR, NO, Jb),
    [0xe4] = OP(in, PRIV | SELF, AL, Ib),
    [0xe5] = OP(in, PRIV | SELF, eAX, Ib),
    [0xe6] = OP(out, PRIV | SELF, AL, Ib),
    [0xe7] = OP(out, PRIV | SELF, eAX, Ib),
    [0xe8] = OP(call, NEAR, NO, Jz),
    [0xe9] = OP(jmp, NEAR, NO, Jz),
    [0xea] = OP(jmp_far, I64 | SELF, NO, Ap),
    [0xeb] = OP(jmp, NEAR, NO, Jb),
    [0xec] = OP(in, PRIV | SELF, AL),
    [0xed] = OP(in, PRIV | SELF, eAX),
    [0xee] = OP(out, PRIV | SELF, AL),
    [0xef] = OP(out, PRIV | SELF, eAX),

    [0xf1] = DEC(0),
    [0xf4] = OP(hlt, CPL0 | PRIV),
    [0xf5] = OP(cmc, 0),
    [0xf6] = GRP(group3_b, 0),
    [0xf7] = GRP(group3_v, 0),
    [0xf8] = OP(clc, 0),
    [0xf9] = OP(stc, 0),
    [0xfa] = OP(cli, PRIV),
    [0xfb] = OP(sti, PRIV),
    [0xfc] = OP(cld, 0),
    [0xfd] = OP(std, 0),
    [0xfe] = GRP(group4, 0),
    [0xff] = GRP(group5, 0),
};
