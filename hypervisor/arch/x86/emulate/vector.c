// SPDX-License-Identifier: MIT
/*
 * Moves between vector registers and memory, SSE and AVX: what guests copy to and from frame
 * buffers and other device memory with.  Moves from register to register, arithmetic, MMX, masks
 * and EVEX are decoded only.
 *
 * Which move an opcode is depends on its mandatory prefix, and that on whether it is 66, F3, F2 or
 * none; the tables of the decoder know nothing of it, the one below does.
 */
#include "private.h"

#define CR0_EM      (1u << 2)
#define CR0_TS      (1u << 3)
#define CR4_OSFXSR  (1u << 9)
#define CR4_OSXSAVE (1u << 18)
#define XCR0_AVX    6u /* both the halves that SSE knows and the upper ones */

enum { NP, P66, PF3, PF2 }; /* as VEX numbers them */

#define STORE   0x01
#define ALIGNED 0x02
#define HIGH    0x04 /* the upper half of 16 bytes */
#define MERGE   0x08 /* what is not loaded comes from another register */
#define SCALAR  0x10 /* VEX.L does not matter */
#define NO_L    0x20 /* VEX.L has to be 0 */
#define DQ      0x40 /* four bytes, or eight with REX.W */

struct move {
    uint8_t opcode, prefix;
    uint8_t bytes; /* 0: the whole register */
    uint8_t flags;
};

static const struct move moves[] = {
    {0x10, NP, 0, 0},                    /* MOVUPS */
    {0x10, P66, 0, 0},                   /* MOVUPD */
    {0x10, PF3, 4, SCALAR},              /* MOVSS */
    {0x10, PF2, 8, SCALAR},              /* MOVSD */
    {0x11, NP, 0, STORE},                /* the same to memory */
    {0x11, P66, 0, STORE},               /* ... */
    {0x11, PF3, 4, STORE | SCALAR},      /* ... */
    {0x11, PF2, 8, STORE | SCALAR},      /* ... */
    {0x12, NP, 8, MERGE | NO_L},         /* MOVLPS */
    {0x12, P66, 8, MERGE | NO_L},        /* MOVLPD */
    {0x13, NP, 8, STORE | NO_L},         /* the same to memory */
    {0x13, P66, 8, STORE | NO_L},        /* ... */
    {0x16, NP, 8, MERGE | HIGH | NO_L},  /* MOVHPS */
    {0x16, P66, 8, MERGE | HIGH | NO_L}, /* MOVHPD */
    {0x17, NP, 8, STORE | HIGH | NO_L},  /* the same to memory */
    {0x17, P66, 8, STORE | HIGH | NO_L}, /* ... */
    {0x28, NP, 0, ALIGNED},              /* MOVAPS */
    {0x28, P66, 0, ALIGNED},             /* MOVAPD */
    {0x29, NP, 0, STORE | ALIGNED},      /* the same to memory */
    {0x29, P66, 0, STORE | ALIGNED},     /* ... */
    {0x2b, NP, 0, STORE | ALIGNED},      /* MOVNTPS */
    {0x2b, P66, 0, STORE | ALIGNED},     /* MOVNTPD */
    {0x6e, P66, 4, NO_L | DQ},           /* MOVD, MOVQ */
    {0x6f, P66, 0, ALIGNED},             /* MOVDQA */
    {0x6f, PF3, 0, 0},                   /* MOVDQU */
    {0x7e, P66, 4, STORE | NO_L | DQ},   /* MOVD, MOVQ to memory */
    {0x7e, PF3, 8, NO_L},                /* MOVQ */
    {0x7f, P66, 0, STORE | ALIGNED},     /* MOVDQA to memory */
    {0x7f, PF3, 0, STORE},               /* MOVDQU to memory */
    {0xd6, P66, 8, STORE | NO_L},        /* MOVQ to memory */
    {0xe7, P66, 0, STORE | ALIGNED},     /* MOVNTDQ */
};

static const struct move *find_move(const struct insn *insn)
{
    unsigned int prefix = insn->rep == 0xf3 ? PF3 : insn->rep == 0xf2 ? PF2 : insn->opsize;

    for (unsigned int i = 0; i < sizeof(moves) / sizeof(moves[0]); i++)
        if (moves[i].opcode == (insn->opcode & 0xff) && moves[i].prefix == prefix)
            return &moves[i];
    return NULL;
}

/* Has the guest switched on what the instruction needs?  #UD, or #NM, if not. */
static int usable(struct emul_state *s)
{
    bool vex = s->insn->encoding == INSN_VEX;
    uint64_t cr0, cr4, xcr0;
    int rc;

    if (!s->ops->read_cr || !s->ops->read_vector || !s->ops->write_vector)
        return EMUL_UNHANDLEABLE;
    rc = s->ops->read_cr(s->ctxt, 0, &cr0);
    if (rc == EMUL_OKAY)
        rc = emul_read_cr4(s, &cr4);
    if (rc != EMUL_OKAY)
        return rc;
    if (vex ? !(cr4 & CR4_OSXSAVE) : (cr0 & CR0_EM) || !(cr4 & CR4_OSFXSR))
        return emul_inject(s->ctxt, EMUL_VEC_UD, 0);
    if (vex) {
        if (!s->ops->read_xcr)
            return EMUL_UNHANDLEABLE;
        rc = s->ops->read_xcr(s->ctxt, 0, &xcr0);
        if (rc != EMUL_OKAY)
            return rc;
        if ((xcr0 & XCR0_AVX) != XCR0_AVX)
            return emul_inject(s->ctxt, EMUL_VEC_UD, 0);
    }
    return cr0 & CR0_TS ? emul_inject(s->ctxt, EMUL_VEC_NM, 0) : EMUL_OKAY;
}

/* VEX names a third register, which most moves do not have and then must not name. */
static bool vex_defined(const struct insn *insn, const struct move *m)
{
    bool third = (m->flags & MERGE) && !(m->flags & STORE);

    return !(insn->vex_l && (m->flags & NO_L)) && (third || !insn->vex_reg);
}

static int transfer(struct emul_state *s, const struct move *m, unsigned int bytes, uint64_t linear)
{
    const struct insn *insn = s->insn;
    bool vex = insn->encoding == INSN_VEX;
    unsigned int third = insn->vex_reg & (in_long_mode(s->ctxt) ? 15 : 7);
    uint8_t val[EMUL_MAX_ACCESS] = {0}, *part = val + (m->flags & HIGH ? 8 : 0);
    int rc = EMUL_OKAY;

    if (m->flags & STORE) {
        rc = s->ops->read_vector(s->ctxt, insn->reg, val, vex ? 32 : 16);
        return rc == EMUL_OKAY ? s->ops->write(s->ctxt, insn->seg, linear, part, bytes) : rc;
    }
    if (m->flags & MERGE)
        rc = s->ops->read_vector(s->ctxt, vex ? third : insn->reg, val, 16);
    if (rc == EMUL_OKAY)
        rc = s->ops->read(s->ctxt, insn->seg, linear, part, bytes);
    /* Whatever the operand's size, VEX clears what is above it in the register. */
    return rc == EMUL_OKAY ? s->ops->write_vector(s->ctxt, insn->reg, val, vex ? 32 : 16) : rc;
}

int emul_op_vector_move(struct emul_state *s)
{
    const struct insn *insn = s->insn;
    const struct move *m = find_move(insn);
    unsigned int bytes;
    uint64_t linear;
    int rc;

    if (!m || !insn->has_mem)
        return EMUL_UNHANDLEABLE;
    rc = usable(s);
    if (rc != EMUL_OKAY)
        return rc;
    if (insn->encoding == INSN_VEX && !vex_defined(insn, m))
        return emul_inject(s->ctxt, EMUL_VEC_UD, 0);

    bytes = m->bytes ?: insn->vex_l ? 32 : 16;
    if ((m->flags & DQ) && insn->op_bytes == 8)
        bytes = 8;
    rc = emul_linear(s->ctxt, insn->seg, insn->mem_off, bytes,
                     m->flags & STORE ? EMUL_WRITE : EMUL_READ, &linear);
    /* Misaligned comes before not canonical: #GP even through the stack segment. */
    if (rc != EMUL_UNHANDLEABLE && (m->flags & ALIGNED) && (linear & (bytes - 1)))
        return emul_inject(s->ctxt, EMUL_VEC_GP, 0);
    if (rc != EMUL_OKAY)
        return rc;
    if (!s->ops->read || !s->ops->write)
        return EMUL_UNHANDLEABLE;
    return transfer(s, m, bytes, linear);
}
