// SPDX-License-Identifier: MIT
/* Inside the emulator: the form of a table row, the state of one execution, and the exec functions.
 */
#pragma once

#include "emulate.h"

#define FL_CF    0x00001u
#define FL_1     0x00002u
#define FL_PF    0x00004u
#define FL_AF    0x00010u
#define FL_ZF    0x00040u
#define FL_SF    0x00080u
#define FL_TF    0x00100u
#define FL_IF    0x00200u
#define FL_DF    0x00400u
#define FL_OF    0x00800u
#define FL_IOPL  0x03000u
#define FL_NT    0x04000u
#define FL_RF    0x10000u
#define FL_VM    0x20000u
#define FL_AC    0x40000u
#define FL_ID    0x200000u
#define FL_ARITH (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF)

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI };

/* How operand sizes are said in the tables: the letters of the manuals' opcode map. */
enum operand_size {
    SZ_NONE,
    SZ_B, /* byte */
    SZ_W, /* word */
    SZ_D, /* doubleword */
    SZ_V, /* the operand size */
    SZ_Z, /* the operand size, but at most a doubleword */
    SZ_Y, /* doubleword, or quadword with REX.W */
    SZ_N, /* quadword in 64-bit mode, else doubleword */
};

enum operand_method {
    MT_NONE,
    MT_MODRM, /* there is a ModRM byte, and what it means is nobody's business here */
    MT_E,     /* ModRM.rm: register or memory */
    MT_G,     /* ModRM.reg */
    MT_M,     /* ModRM.rm: memory only */
    MT_R,     /* ModRM.rm: register, whatever ModRM.mod says */
    MT_SREG,  /* ModRM.reg, a segment register */
    MT_OPREG, /* the low three bits of the opcode */
    MT_ACC,   /* rAX */
    MT_CL,
    MT_ONE,  /* the number 1 */
    MT_IMM,  /* immediate of this size, extended to the operand size by its sign */
    MT_IMMU, /* immediate of this size, zero-extended */
    MT_IMM2, /* ENTER's second */
    MT_REL,  /* immediate, relative to the next instruction */
    MT_FAR,  /* immediate offset and selector */
    MT_MOFF, /* memory, its offset in place of an immediate */
    MT_SI,   /* memory at rSI */
    MT_DI,   /* memory at es:rDI */
};

#define OPND(method, size) ((MT_##method << 3) | SZ_##size)
#define OPND_METHOD(o)     ((enum operand_method)((o) >> 3))
#define OPND_SIZE(o)       ((enum operand_size)((o)&7))

/* Row flags. */
#define F_VALID  0x00001u /* a row that is not there is an undefined opcode */
#define F_I64    0x00002u /* undefined in 64-bit mode */
#define F_O64    0x00004u /* undefined outside it */
#define F_D64    0x00008u /* operand size 64 by default in 64-bit mode */
#define F_F64    0x00010u /* operand size always 64 in 64-bit mode */
#define F_NEAR   0x00020u /* near branch: as F_F64 on Intel, as F_D64 on AMD */
#define F_LOCK   0x00040u /* may be locked if the destination is memory */
#define F_W      0x00080u /* the destination is written without having been read */
#define F_R      0x00100u /* the destination is only read */
#define F_SRCW   0x00200u /* the source, a register, is written too */
#define F_GROUP  0x00400u /* ModRM.reg picks a row; the second eight are for registers */
#define F_CPL0   0x00800u /* #GP(0) if the CPL is not 0 */
#define F_PRIVOP 0x01000u /* see emul_insn_is_privop() */
#define F_SELF   0x02000u /* operands are located but neither loaded nor stored */
#define F_BITOFF 0x04000u /* the bit offset in the source moves the memory operand */
#define F_MEMW   0x08000u /* writes memory though the operands do not show it */
#define F_PROT   0x10000u /* undefined in real and virtual-8086 mode */
#define F_VEX    0x20000u /* of the 0F and 0F38 maps: the same row serves VEX */
/* What follows from the operands; the map macros add them, so that the decoder need not look at
 * each. */
#define F_MODRM 0x100000u /* there is a ModRM byte */
#define F_IMM   0x200000u /* there are immediates */
#define F_FORM  0x400000u /* ModRM.mod is restricted: MT_M or MT_R */

struct emul_state;
typedef int emul_exec_fn(struct emul_state *s);

struct opcode {
    union {
        emul_exec_fn *exec; /* NULL: decoded only */
        const struct opcode *group;
    };
    uint32_t flags;
    uint8_t opnd[3]; /* destination, source, third */
};

extern const struct opcode emul_map_1byte[256];
extern const struct opcode emul_map_0f[256];
extern const struct opcode emul_map_0f38[256];
extern const struct opcode emul_map_0f3a[256];
extern const struct opcode emul_row_modrm, emul_row_modrm_imm8, emul_row_modrm_imm16;
extern const struct opcode emul_row_modrm_imm32, emul_row_bare, emul_row_arpl;

enum operand_kind { OP_NONE, OP_REG, OP_MEM, OP_VALUE };

struct operand {
    enum operand_kind kind;
    uint8_t bytes;
    uint8_t reg;  /* OP_REG */
    uint8_t high; /* bit 8 upwards: ah, ch, dh, bh */
    enum emul_seg seg;
    uint64_t off; /* OP_MEM */
    uint64_t val;
};

/*
 * One execution.  gpr, rip and flags are the private copy that is committed at the end; exec
 * functions change them freely.  An exec function that is not F_SELF may be run again from the
 * start with another dst.val, so it must not act on the outside world.
 */
struct emul_state {
    struct emul_ctxt *ctxt;
    const struct emul_ops *ops;
    const struct insn *insn;
    uint64_t gpr[16];
    uint64_t rip, flags;
    struct operand dst, src, aux;
    bool keep_dst; /* do not store dst: not even the clearing of a register's upper half */
    bool partial;  /* EMUL_EXCEPTION or EMUL_RETRY after some iterations: commit them */
};

/* A general register in the caller's frame, by its number; decode.c. */
uint64_t *emul_gpr(struct cpu_user_regs *regs, unsigned int reg);

/* ---- helpers, emulate.c ---- */
uint64_t emul_reg_read(const struct emul_state *s, unsigned int reg, unsigned int bytes);
void emul_reg_write(struct emul_state *s, unsigned int reg, unsigned int bytes, uint64_t val);
int emul_mem_read(struct emul_state *s, enum emul_seg seg, uint64_t off, uint64_t *val,
                  unsigned int bytes);
int emul_mem_write(struct emul_state *s, enum emul_seg seg, uint64_t off, uint64_t val,
                   unsigned int bytes);
int emul_operand_load(struct emul_state *s, struct operand *op);
int emul_operand_store(struct emul_state *s, struct operand *op);
int emul_push(struct emul_state *s, uint64_t val, unsigned int bytes);
int emul_pop(struct emul_state *s, uint64_t *val, unsigned int bytes);
/* Continue at `off`, truncated to `bytes`; #GP(0) if it is beyond the limit or not canonical. */
int emul_jump(struct emul_state *s, uint64_t off, unsigned int bytes);
int emul_read_cr4(struct emul_state *s, uint64_t *cr4);
enum emul_cpuid_reg { CPUID_B, CPUID_C, CPUID_D };
/* #UD unless the guest's CPUID has this bit; bits.c. */
int emul_require(struct emul_state *s, uint32_t leaf, enum emul_cpuid_reg reg, unsigned int bit);

static inline uint64_t width_mask(unsigned int bytes)
{
    return bytes >= 8 ? ~0ull : (1ull << (bytes * 8)) - 1;
}

static inline uint64_t sign_bit(unsigned int bytes)
{
    return 1ull << (bytes * 8 - 1);
}

static inline uint64_t sign_extend(uint64_t val, unsigned int bytes)
{
    uint64_t sign = sign_bit(bytes);

    return ((val & width_mask(bytes)) ^ sign) - sign;
}

static inline bool in_long_mode(const struct emul_ctxt *ctxt)
{
    return ctxt->addr_size == 64;
}

/* ---- descriptors, segment.c ---- */

struct descriptor {
    uint64_t raw, linear;
    enum emul_seg table; /* EMUL_SEG_GDTR or _LDTR */
    struct emul_segment seg;
};

static inline unsigned int segment_dpl(uint16_t attr)
{
    return attr >> 5 & 3;
}

static inline bool segment_conforms(uint16_t attr)
{
    const uint16_t conforming = EMUL_SEG_S | EMUL_SEG_CODE | EMUL_SEG_EXPDOWN;

    return (attr & conforming) == conforming;
}

/* An exception whose error code is the selector. */
int emul_selector_fault(struct emul_state *s, uint8_t vector, uint16_t sel);
/* #GP(sel) if it is beyond the table. */
int emul_read_descriptor(struct emul_state *s, uint16_t sel, struct descriptor *d);
/* Sets bits of a descriptor in memory, if it is still the same; else EMUL_RETRY. */
int emul_mark_descriptor(struct emul_state *s, struct descriptor *d, uint64_t mark);
/* sel as SS of code of this CPL; wide: 64-bit code. */
int emul_check_stack_segment(struct emul_state *s, uint16_t sel, uint8_t cpl, bool wide,
                             struct emul_segment *res);
int emul_load_segment(struct emul_state *s, enum emul_seg seg, uint16_t sel);
/* The memory operand: an offset of so many bytes, and a selector. */
int emul_read_far(struct emul_state *s, unsigned int bytes, uint64_t *off, uint16_t *sel);

/* ---- flags, arith.c ---- */
/* Replace the arithmetic flags in `mask` by those in `val`. */
static inline void set_flags(struct emul_state *s, uint64_t mask, uint64_t val)
{
    s->flags = (s->flags & ~mask) | (val & mask);
}

uint64_t emul_flags_szp(uint64_t res, unsigned int bytes);
uint64_t emul_add(struct emul_state *s, uint64_t a, uint64_t b, bool carry, unsigned int bytes);
uint64_t emul_sub(struct emul_state *s, uint64_t a, uint64_t b, bool borrow, unsigned int bytes);

/* ---- exec functions, one file a group ---- */
#define EXEC(name) emul_op_##name
/* arith.c */
emul_exec_fn EXEC(add), EXEC(or), EXEC(adc), EXEC(sbb), EXEC(and), EXEC(sub), EXEC(xor), EXEC(cmp),
    EXEC(test);
emul_exec_fn EXEC(inc), EXEC(dec), EXEC(not ), EXEC(neg), EXEC(adx), EXEC(cbw), EXEC(cwd);
/* muldiv.c */
emul_exec_fn EXEC(mul), EXEC(imul), EXEC(imul2), EXEC(div), EXEC(idiv);
emul_exec_fn EXEC(daa), EXEC(das), EXEC(aaa), EXEC(aas), EXEC(aam), EXEC(aad);
/* shift.c */
emul_exec_fn EXEC(rol), EXEC(ror), EXEC(rcl), EXEC(rcr), EXEC(shl), EXEC(shr), EXEC(sar),
    EXEC(shld), EXEC(shrd);
/* bits.c */
emul_exec_fn EXEC(bt), EXEC(bts), EXEC(btr), EXEC(btc), EXEC(bsf), EXEC(bsr), EXEC(popcnt),
    EXEC(bswap);
emul_exec_fn EXEC(0f38f0), EXEC(0f38f1);
/* data.c */
emul_exec_fn EXEC(mov), EXEC(movzx), EXEC(movsx), EXEC(lea), EXEC(xchg), EXEC(xadd), EXEC(cmpxchg);
emul_exec_fn EXEC(cmpxchg8b), EXEC(push), EXEC(pop), EXEC(pusha), EXEC(popa), EXEC(pushf),
    EXEC(popf);
emul_exec_fn EXEC(push_seg), EXEC(mov_from_seg), EXEC(xlat), EXEC(leave);
emul_exec_fn EXEC(enter), EXEC(lahf), EXEC(sahf), EXEC(clc), EXEC(stc), EXEC(cmc), EXEC(cld),
    EXEC(std);
emul_exec_fn EXEC(salc), EXEC(movnti), EXEC(arpl);
/* branch.c */
emul_exec_fn EXEC(jcc), EXEC(setcc), EXEC(cmov), EXEC(jmp), EXEC(jmp_ind), EXEC(call),
    EXEC(call_ind), EXEC(ret);
emul_exec_fn EXEC(loop), EXEC(jcxz), EXEC(nop), EXEC(nop_xchg), EXEC(ud), EXEC(fence);
/* string.c */
emul_exec_fn EXEC(movs), EXEC(cmps), EXEC(stos), EXEC(lods), EXEC(scas), EXEC(ins), EXEC(outs);
/* system.c */
emul_exec_fn EXEC(in), EXEC(out), EXEC(cli), EXEC(sti), EXEC(hlt), EXEC(clts), EXEC(lmsw),
    EXEC(smsw);
emul_exec_fn EXEC(cache_flush), EXEC(invlpg), EXEC(mov_from_cr), EXEC(mov_to_cr), EXEC(mov_from_dr);
emul_exec_fn EXEC(mov_to_dr), EXEC(rdmsr), EXEC(wrmsr), EXEC(rdtsc), EXEC(rdpmc), EXEC(cpuid);
emul_exec_fn EXEC(group7_reg), EXEC(fsgsbase), EXEC(rdpid), EXEC(flush_line);

/*
 * Groups that only hardware-virtualised guests need: where they are left out of the build, the rows
 * that name them are decoded only.
 */
#define LEFT_OUT __attribute__((weak))
/* vector.c */
emul_exec_fn EXEC(vector_move) LEFT_OUT, EXEC(masked_move) LEFT_OUT, EXEC(masked_bytes) LEFT_OUT;
/* segment.c */
emul_exec_fn EXEC(pop_seg) LEFT_OUT, EXEC(mov_to_seg) LEFT_OUT, EXEC(load_far) LEFT_OUT;
emul_exec_fn EXEC(store_table) LEFT_OUT, EXEC(load_table) LEFT_OUT;
emul_exec_fn EXEC(store_selector) LEFT_OUT, EXEC(load_system) LEFT_OUT;
emul_exec_fn EXEC(ask_descriptor) LEFT_OUT, EXEC(verify) LEFT_OUT;
/* far.c */
emul_exec_fn EXEC(jmp_far) LEFT_OUT, EXEC(call_far) LEFT_OUT, EXEC(ret_far) LEFT_OUT;
emul_exec_fn EXEC(iret) LEFT_OUT, EXEC(int) LEFT_OUT, EXEC(bound) LEFT_OUT;
#undef LEFT_OUT
#undef EXEC
