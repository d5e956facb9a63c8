// SPDX-License-Identifier: MIT
/*
 * The vocabulary of the opcode tables, as the manuals' opcode maps use it: Eb is a byte in a
 * register or in memory, Gv a register of the operand size, Iz an immediate of the operand size but
 * at most four bytes... Only map_*.c include this; the names are too short for any other place.
 */
#pragma once

#include "private.h"

#define NO    0
#define MODRM OPND(MODRM, NONE)

#define Eb  OPND(E, B)
#define Ew  OPND(E, W)
#define Ez  OPND(E, Z)
#define Ey  OPND(E, Y)
#define Ev  OPND(E, V)
#define M_  OPND(M, NONE)
#define My  OPND(M, Y)
#define Mv  OPND(M, V)
#define Ry  OPND(R, Y)
#define Rn  OPND(R, N)
#define Gb  OPND(G, B)
#define Gw  OPND(G, W)
#define Gy  OPND(G, Y)
#define Gv  OPND(G, V)
#define Sw  OPND(SREG, W)
#define Zb  OPND(OPREG, B)
#define Zv  OPND(OPREG, V)
#define AL  OPND(ACC, B)
#define rAX OPND(ACC, V)
#define eAX OPND(ACC, Z)
#define CL  OPND(CL, B)
#define ONE OPND(ONE, B)
#define Ib  OPND(IMM, B)
#define Iw  OPND(IMMU, W)
#define Id  OPND(IMM, D)
#define Iz  OPND(IMM, Z)
#define Iv  OPND(IMM, V)
#define I2  OPND(IMM2, B)
#define Jb  OPND(REL, B)
#define Jz  OPND(REL, Z)
#define Ap  OPND(FAR, Z)
#define Ob  OPND(MOFF, B)
#define Ov  OPND(MOFF, V)
#define Xb  OPND(SI, B)
#define Xv  OPND(SI, V)
#define Xz  OPND(SI, Z)
#define Yb  OPND(DI, B)
#define Yv  OPND(DI, V)
#define Yz  OPND(DI, Z)

/* Row flags. */
#define I64    F_I64
#define O64    F_O64
#define D64    F_D64
#define NEAR   F_NEAR
#define LOCK   F_LOCK
#define WR     F_W
#define RD     F_R
#define SRCW   F_SRCW
#define CPL0   F_CPL0
#define PRIV   F_PRIVOP
#define SELF   F_SELF
#define BITOFF F_BITOFF
#define MEMW   F_MEMW
#define PROT   F_PROT
#define VEX    F_VEX

/* The flags that follow from one operand, and from up to three of which some may be left out. */
#define OPND_FLAGS(o)                                                                              \
    (((o) >> 3 >= MT_MODRM && (o) >> 3 <= MT_SREG ? F_MODRM : 0) |                                 \
     ((o) >> 3 >= MT_IMM && (o) >> 3 <= MT_MOFF ? F_IMM : 0) |                                     \
     ((o) >> 3 == MT_M || (o) >> 3 == MT_R ? F_FORM : 0))
#define OPND_1(a, ...)       (a + 0)
#define OPND_2(a, b, ...)    (b + 0)
#define OPND_3(a, b, c, ...) (c + 0)
#define OPNDS_FLAGS(...)                                                                           \
    (OPND_FLAGS(OPND_1(__VA_ARGS__, , , )) | OPND_FLAGS(OPND_2(__VA_ARGS__, , , )) |               \
     OPND_FLAGS(OPND_3(__VA_ARGS__, , , )))

/* A move of a vector register from memory, to memory. */
#define VLOAD  OP(vector_move, SELF | VEX, MODRM)
#define VSTORE OP(vector_move, SELF | VEX | MEMW, MODRM)

/* OP: executed by emul_op_<name>.  DEC: decoded only.  GRP: ModRM.reg decides. */
#define OP(name, fl, ...)                                                                          \
    {                                                                                              \
        .exec = emul_op_##name, .flags = F_VALID | (fl) | OPNDS_FLAGS(__VA_ARGS__), .opnd = {      \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define DEC(fl, ...)                                                                               \
    {                                                                                              \
        .flags = F_VALID | (fl) | OPNDS_FLAGS(__VA_ARGS__), .opnd = { __VA_ARGS__ }                \
    }
#define GRP(rows, fl)                                                                              \
    {                                                                                              \
        .group = rows, .flags = F_GROUP | F_MODRM | (fl)                                           \
    }

/* In a group: the same row for memory and for a register. */
#define BOTH(reg, ...) [reg] = __VA_ARGS__, [(reg) + 8] = __VA_ARGS__
#define MEM(reg)       [reg]
#define REG(reg)       [(reg) + 8]
