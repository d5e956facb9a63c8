// SPDX-License-Identifier: MIT
/*
 * The instruction emulator.
 *
 * One instruction at a time is fetched, decoded, shown to the caller, executed against a private
 * copy of the registers, and only then committed.  The emulator knows nothing of domains, page
 * tables or devices: everything outside the register file is reached through `struct emul_ops`, and
 * an operation that the caller leaves out makes the instructions that need it EMUL_UNHANDLEABLE.
 *
 *     caller (PV #GP, PV page-table write, ...)
 *        -> x86_emulate()            or x86_decode(), a look at the result, x86_emulate_insn()
 *             decode.c + map_*.c     bytes -> struct insn; the tables are the processor's opcode
 * map ops->validate          the caller allows, or does not, what was decoded emulate.c operands
 * in, one exec function, operands out, commit
 *
 * What holds at every return:
 *  - EMUL_OKAY: the instruction is done, or one chunk of a repeated string instruction is, in which
 * case rip still points at it and retire.again is set;
 *  - EMUL_EXCEPTION: ctxt->exception says what to deliver.  Registers are as they were before the
 *    instruction, but for the iterations of a string instruction that were completed, as on a
 * processor;
 *  - EMUL_RETRY, EMUL_UNHANDLEABLE: likewise; the first asks for the instruction to be run again.
 * Every byte of the instruction is fetched once, in at most two reads, and never looked at again.
 *
 * Flags that the manual leaves undefined are computed as the code finds convenient: AF of logical
 * operations, shifts, MUL, DIV, AAM/AAD; OF of shifts by more than one; SF, ZF and PF of MUL; all
 * of DIV; all but ZF of BSF/BSR and all but CF of BT*; OF of DAA, DAS, AAA, AAS, AAM and AAD.
 *
 * Nothing here takes a lock or keeps state between calls.  A struct emul_ctxt belongs to one CPU at
 * a time.
 */
#pragma once

#include "asm/trap.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xen/xen.h>

enum emul_result {
    EMUL_OKAY,
    EMUL_UNHANDLEABLE, /* not ours, or not allowed here: the caller does as if it had never asked */
    EMUL_EXCEPTION,    /* ctxt->exception is to be delivered */
    EMUL_RETRY,        /* nothing wrong, nothing done: run the guest again */
};

/* Numbered as ModRM.reg numbers them. */
enum emul_seg {
    EMUL_SEG_ES,
    EMUL_SEG_CS,
    EMUL_SEG_SS,
    EMUL_SEG_DS,
    EMUL_SEG_FS,
    EMUL_SEG_GS,
    /* What descriptor tables and system segments are read through: always with supervisor's rights.
     */
    EMUL_SEG_TR,
    EMUL_SEG_LDTR,
    EMUL_SEG_GDTR, /* base and limit only */
    EMUL_SEG_IDTR,
    EMUL_SEG_NONE, /* no prefix; or the address is linear already */
};

/* Attributes: bits 40-47 and 52-55 of a descriptor, side by side. */
#define EMUL_SEG_TYPE     0x00fu
#define EMUL_SEG_WRITABLE 0x002u /* data: may be written; code: may be read */
#define EMUL_SEG_EXPDOWN  0x004u
#define EMUL_SEG_CODE     0x008u
#define EMUL_SEG_S        0x010u
#define EMUL_SEG_DPL      0x060u
#define EMUL_SEG_P        0x080u
#define EMUL_SEG_L        0x200u
#define EMUL_SEG_DB       0x400u
#define EMUL_SEG_G        0x800u

struct emul_segment {
    uint64_t base;
    uint32_t limit; /* in bytes, of the last valid one */
    uint16_t sel;
    uint16_t attr;
};

struct emul_cpuid {
    uint32_t a, b, c, d;
};

enum emul_access { EMUL_READ, EMUL_WRITE, EMUL_EXEC };

#define EMUL_MMX        16u /* the number of mm0, for read_vector and write_vector */
#define EMUL_MAX_INSN   15u
#define EMUL_MAX_ACCESS 32u /* bytes that one instruction reads or writes at once */

struct insn;
struct emul_ctxt;

/*
 * What the caller provides.  Each returns an enum emul_result; before EMUL_EXCEPTION it records the
 * exception with emul_inject() or emul_pagefault().  Addresses are linear: segmentation has been
 * applied and checked, and `seg` only says where they came from.  Accesses are 1, 2, 4 or 8 bytes
 * (`read` and `write` also 16 and 32 where there is read_vector, `cmpxchg` 16) and may be
 * misaligned and cross a page; what crosses one and fails in the second has changed nothing in the
 * first.  Callbacks must not touch ctxt->regs: what they write there is lost.
 */
struct emul_ops {
    /* Never crosses a page; reads ahead of the instruction's end.  Fails as an instruction fetch
     * does. */
    int (*insn_fetch)(struct emul_ctxt *ctxt, uint64_t addr, void *buf, unsigned int bytes);

    /* After decoding and before anything else; anything but EMUL_OKAY ends the emulation. Optional.
     */
    int (*validate)(struct emul_ctxt *ctxt, const struct insn *insn);

    int (*read)(struct emul_ctxt *ctxt, enum emul_seg seg, uint64_t addr, void *buf,
                unsigned int bytes);
    int (*write)(struct emul_ctxt *ctxt, enum emul_seg seg, uint64_t addr, const void *buf,
                 unsigned int bytes);
    /*
     * If memory holds *old, store *new; in any case leave in *old what memory held, so that success
     * is `*old did not change`.  Fails as a write does even when the comparison does.  `lock`:
     * other CPUs must see it atomic.
     */
    int (*cmpxchg)(struct emul_ctxt *ctxt, enum emul_seg seg, uint64_t addr, void *old,
                   const void *new, unsigned int bytes, bool lock);
    /*
     * Would this write fault?  Asked before what must not be done in vain (INS reads its port) and
     * before the read of a read-modify-write, which on a processor faults as a write.  Optional.
     */
    int (*probe_write)(struct emul_ctxt *ctxt, enum emul_seg seg, uint64_t addr,
                       unsigned int bytes);

    /* Ports: the I/O permission check is the callback's. `bytes` is 1, 2 or 4. */
    int (*read_io)(struct emul_ctxt *ctxt, uint16_t port, unsigned int bytes, uint32_t *val);
    int (*write_io)(struct emul_ctxt *ctxt, uint16_t port, unsigned int bytes, uint32_t val);

    /* Control and debug registers; reserved bits are the callback's business. */
    int (*read_cr)(struct emul_ctxt *ctxt, unsigned int reg, uint64_t *val);
    int (*write_cr)(struct emul_ctxt *ctxt, unsigned int reg, uint64_t val);
    int (*read_dr)(struct emul_ctxt *ctxt, unsigned int reg, uint64_t *val);
    int (*write_dr)(struct emul_ctxt *ctxt, unsigned int reg, uint64_t val);
    int (*read_xcr)(struct emul_ctxt *ctxt, uint32_t reg, uint64_t *val);
    int (*write_xcr)(struct emul_ctxt *ctxt, uint32_t reg, uint64_t val);
    int (*read_msr)(struct emul_ctxt *ctxt, uint32_t reg, uint64_t *val);
    int (*write_msr)(struct emul_ctxt *ctxt, uint32_t reg, uint64_t val);
    int (*read_tsc)(struct emul_ctxt *ctxt, uint64_t *val);
    int (*read_pmc)(struct emul_ctxt *ctxt, uint32_t reg, uint64_t *val);
    int (*cpuid)(struct emul_ctxt *ctxt, uint32_t leaf, uint32_t subleaf, struct emul_cpuid *res);

    /* CLI, STI, POPF when the guest's interrupt flag is not RFLAGS.IF. Optional. */
    int (*write_if)(struct emul_ctxt *ctxt, bool enable);

    /* Segment registers.  Without `segment`, 64-bit code has a flat address space and no FS or GS.
     */
    int (*segment)(struct emul_ctxt *ctxt, enum emul_seg seg, struct emul_segment *res);
    /*
     * Called last, with what has been checked: a segment register as its descriptor says, LDTR, TR
     * or a table register.  The RPL of CS is the new CPL.  Where an instruction loads several, only
     * the first may fail.
     */
    int (*write_segment)(struct emul_ctxt *ctxt, enum emul_seg seg, const struct emul_segment *val);
    /* INT n, INT3, INTO in protected mode: deliver it as such, rip being `insn->next`. */
    int (*soft_interrupt)(struct emul_ctxt *ctxt, const struct insn *insn, uint8_t vector);

    /*
     * Vector register `reg`, its lower 16 or (only where the guest has AVX switched on) 32 bytes;
     * from EMUL_MMX on, an MMX register of 8, which may find an FPU exception pending (#MF).
     * A write of 16 leaves the rest of the register alone, one of 32 clears what is above.
     */
    int (*read_vector)(struct emul_ctxt *ctxt, unsigned int reg, void *buf, unsigned int bytes);
    int (*write_vector)(struct emul_ctxt *ctxt, unsigned int reg, const void *buf,
                        unsigned int bytes);

    int (*wbinvd)(struct emul_ctxt *ctxt);
    int (*invlpg)(struct emul_ctxt *ctxt, uint64_t addr);
};

struct emul_ctxt {
    /* Set by the caller. */
    struct cpu_user_regs *regs;
    const struct emul_ops *ops;
    void *priv;
    uint8_t addr_size; /* the code segment's: 16, 32 or 64 */
    uint8_t sp_size;   /* the stack segment's: 16, 32 or 64 */
    uint8_t cpl, iopl; /* as the guest believes them to be */
    bool real_mode;    /* no protection: real mode or virtual-8086 mode */
    bool lma;          /* EFER.LMA: long mode, in 64-bit code or in other; for far transfers */
    bool la57;         /* canonical means 57 bits */
    bool amd;          /* near branches honour an operand-size prefix in 64-bit mode */
    uint16_t rep_max;  /* iterations of a string instruction in one call; 0: the default, 128 */

    /* Set by the emulator. */
    struct {
        uint64_t cr2;
        uint32_t error_code;
        uint8_t vector;
        bool pending, has_error;
    } exception;
    struct {
        bool hlt;         /* HLT retired: block until there is an interrupt */
        bool singlestep;  /* RFLAGS.TF was set: deliver #DB */
        bool breakpoint;  /* set by read_io or write_io: deliver #DB */
        bool sti, mov_ss; /* interrupts stay off for one more instruction */
        bool again;       /* more iterations to come: rip has not moved */
    } retire;
};

enum insn_encoding { INSN_LEGACY, INSN_VEX, INSN_EVEX, INSN_XOP, INSN_3DNOW };

struct opcode;

/* A decoded instruction. */
struct insn {
    uint32_t opcode;  /* with its map in front: 0x89, 0x0fb1, 0x0f38f0, 0x0f3a0f */
    uint8_t encoding; /* enum insn_encoding */
    uint8_t map;      /* 0: one byte; 1: 0F; 2: 0F38; 3: 0F3A; more in VEX, EVEX and XOP */
    uint8_t len;
    uint8_t rex; /* 0x40-0x4f, or 0; for VEX and its like the bits they stand for */
    bool lock, opsize, addrsize;
    uint8_t rep;     /* 0xf2, 0xf3 (the last one given) or 0 */
    bool vex_l;      /* VEX: operands of 32 bytes */
    uint8_t vex_reg; /* VEX: the third register, all four bits; 0: maybe none */

    uint8_t op_bytes;   /* operand size: 2, 4 or 8 (byte instructions too: see `byte_op`) */
    uint8_t addr_bytes; /* address size: 2, 4 or 8 */
    bool byte_op;

    bool has_modrm, has_mem, rip_relative;
    uint8_t modrm, mod, reg, rm; /* reg and rm with REX applied */
    uint8_t seg_override;        /* enum emul_seg */
    uint8_t seg;                 /* enum emul_seg: of the memory operand */
    uint8_t mem_base;            /* general register in the address, 0xff: none */
    uint64_t mem_off;            /* offset of the memory operand within `seg`; EVEX: not scaled */

    uint8_t imm_bytes, imm2_bytes;
    uint64_t imm; /* sign-extended */
    uint16_t imm2;

    uint64_t start, next; /* offsets of this and of the following instruction */
    const struct opcode *row;
};

/*
 * Decode the instruction at cs:rip.  EMUL_OKAY with *insn filled in, or what the fetch returned, or
 * #UD for an undefined encoding, or #GP(0) for one that is too long or reaches beyond the code
 * segment.  The length is right for every instruction, even where only a processor could execute
 * it.
 */
int x86_decode(struct emul_ctxt *ctxt, struct insn *insn);

/* Execute what x86_decode() returned, the registers being as they were then. Calls ops->validate.
 */
int x86_emulate_insn(struct emul_ctxt *ctxt, const struct insn *insn);

/* Both. */
int x86_emulate(struct emul_ctxt *ctxt);

/* Ready-made questions for a validate callback. */
bool emul_insn_is_executable(const struct insn *insn); /* or only decoded */
bool emul_insn_writes_memory(
    const struct insn *insn);                      /* an explicit memory or string destination */
bool emul_insn_is_privop(const struct insn *insn); /* I/O, system registers, CPUID, TSC, HLT... */

/* Record an exception; both return EMUL_EXCEPTION.  Vectors that carry no error code ignore it. */
int emul_inject(struct emul_ctxt *ctxt, uint8_t vector, uint32_t error_code);
int emul_pagefault(struct emul_ctxt *ctxt, uint32_t error_code, uint64_t cr2);

/*
 * seg:off to a linear address, for an access of `bytes`: canonical form, presence, type, limit.
 * #GP(0), or #SS(0) through the stack segment.
 */
int emul_linear(struct emul_ctxt *ctxt, enum emul_seg seg, uint64_t off, unsigned int bytes,
                enum emul_access access, uint64_t *linear);

bool emul_is_canonical(const struct emul_ctxt *ctxt, uint64_t addr);

/*
 * The forced-emulation prefix, for #UD handlers: if cs:rip points at `ud2; .ascii "xen"`, step over
 * it and say EMUL_OKAY; otherwise EMUL_UNHANDLEABLE, or what the fetch returned.
 */
int emul_strip_fep(struct emul_ctxt *ctxt);
