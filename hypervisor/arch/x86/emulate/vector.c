// SPDX-License-Identifier: MIT
/*
 * Moves between vector registers and memory, MMX, SSE and AVX, of all bytes or of those that a mask
 * selects: what guests copy to and from frame buffers and other device memory with.  Moves from
 * register to register, arithmetic and EVEX are decoded only.
 *
 * Which move an opcode is depends on its mandatory prefix, and that on whether it is 66, F3, F2 or
 * none; the tables of the decoder know nothing of it, the one below does.
 */
#include "asm/regs.h"
#include "private.h"

#define XCR0_AVX (XCR0_SSE | XCR0_YMM) /* VEX needs both halves */

enum { NP, P66, PF3, PF2 }; /* as VEX numbers them */

#define STORE   0x01
#define ALIGNED 0x02
#define HIGH    0x04 /* the upper half of 16 bytes */
#define MERGE   0x08 /* what is not loaded comes from another register */
#define SCALAR  0x10 /* VEX.L does not matter */
#define NO_L    0x20 /* VEX.L has to be 0 */
#define DQ      0x40 /* four bytes, or eight with REX.W */
#define MMX     0x80 /* an MMX register */

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
    {0x2a, P66, 0, ALIGNED},             /* MOVNTDQA, of the 0F38 map */
    {0x6e, NP, 4, MMX | DQ},             /* MOVD, MOVQ */
    {0x6e, P66, 4, NO_L | DQ},           /* ... */
    {0x6f, NP, 8, MMX},                  /* MOVQ */
    {0x6f, P66, 0, ALIGNED},             /* MOVDQA */
    {0x6f, PF3, 0, 0},                   /* MOVDQU */
    {0x7e, NP, 4, STORE | MMX | DQ},     /* MOVD, MOVQ to memory */
    {0x7e, P66, 4, STORE | NO_L | DQ},   /* ... */
    {0x7e, PF3, 8, NO_L},                /* MOVQ */
    {0x7f, NP, 8, STORE | MMX},          /* MOVQ to memory */
    {0x7f, P66, 0, STORE | ALIGNED},     /* MOVDQA to memory */
    {0x7f, PF3, 0, STORE},               /* MOVDQU to memory */
    {0xd6, P66, 8, STORE | NO_L},        /* MOVQ to memory */
    {0xe7, NP, 8, STORE | MMX},          /* MOVNTQ */
    {0xe7, P66, 0, STORE | ALIGNED},     /* MOVNTDQ */
    {0xf0, PF2, 0, 0},                   /* LDDQU */
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
static int usable(struct emul_state *s, bool mmx)
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
    if (vex ? !(cr4 & CR4_OSXSAVE) : (cr0 & CR0_EM) || (!mmx && !(cr4 & CR4_OSFXSR)))
        return emul_inject(s->ctxt, VEC_UD, 0);
    if (vex) {
        if (!s->ops->read_xcr)
            return EMUL_UNHANDLEABLE;
        rc = s->ops->read_xcr(s->ctxt, 0, &xcr0);
        if (rc != EMUL_OKAY)
            return rc;
        if ((xcr0 & XCR0_AVX) != XCR0_AVX)
            return emul_inject(s->ctxt, VEC_UD, 0);
    }
    return cr0 & CR0_TS ? emul_inject(s->ctxt, VEC_NM, 0) : EMUL_OKAY;
}

/* VEX names a third register, which most moves do not have and then must not name. */
static bool vex_defined(const struct insn *insn, const struct move *m)
{
    bool third = (m->flags & MERGE) && !(m->flags & STORE);

    return !(m->flags & MMX) && !(insn->vex_l && (m->flags & NO_L)) && (third || !insn->vex_reg);
}

static int transfer(struct emul_state *s, const struct move *m, unsigned int bytes, uint64_t linear)
{
    const struct insn *insn = s->insn;
    bool vex = insn->encoding == INSN_VEX;
    unsigned int third = insn->vex_reg & (in_long_mode(s->ctxt) ? 15 : 7);
    unsigned int reg = m->flags & MMX ? EMUL_MMX + (insn->reg & 7) : insn->reg;
    unsigned int width = m->flags & MMX ? 8 : vex ? 32 : 16;
    uint8_t val[EMUL_MAX_ACCESS] = {0}, *part = val + (m->flags & HIGH ? 8 : 0);
    int rc = EMUL_OKAY;

    if (m->flags & STORE) {
        rc = s->ops->read_vector(s->ctxt, reg, val, width);
        return rc == EMUL_OKAY ? s->ops->write(s->ctxt, insn->seg, linear, part, bytes) : rc;
    }
    if (m->flags & MERGE)
        rc = s->ops->read_vector(s->ctxt, vex ? third : insn->reg, val, 16);
    if (rc == EMUL_OKAY)
        rc = s->ops->read(s->ctxt, insn->seg, linear, part, bytes);
    /* Whatever the operand's size, VEX clears what is above it in the register. */
    return rc == EMUL_OKAY ? s->ops->write_vector(s->ctxt, reg, val, width) : rc;
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
    rc = usable(s, m->flags & MMX);
    if (rc != EMUL_OKAY)
        return rc;
    if (insn->encoding == INSN_VEX && !vex_defined(insn, m))
        return emul_inject(s->ctxt, VEC_UD, 0);

    bytes = m->bytes ?: insn->vex_l ? 32 : 16;
    if ((m->flags & DQ) && insn->op_bytes == 8)
        bytes = 8;
    rc = emul_linear(s->ctxt, insn->seg, insn->mem_off, bytes,
                     m->flags & STORE ? EMUL_WRITE : EMUL_READ, &linear);
    /* Misaligned comes before not canonical: #GP even through the stack segment. */
    if (rc != EMUL_UNHANDLEABLE && (m->flags & ALIGNED) && (linear & (bytes - 1)))
        return emul_inject(s->ctxt, VEC_GP, 0);
    if (rc != EMUL_OKAY)
        return rc;
    if (!s->ops->read || !s->ops->write)
        return EMUL_UNHANDLEABLE;
    return transfer(s, m, bytes, linear);
}

/* ---- masks: what moves are elements of some bytes whose uppermost bit is set in the mask ---- */

struct masked {
    uint8_t val[EMUL_MAX_ACCESS], mask[EMUL_MAX_ACCESS];
    unsigned int bytes, size; /* altogether; of an element */
    uint64_t off;
};

enum pass { LOAD, PROBE, WRITE };

/* Elements that are not selected are not touched, and do not fault. */
static int each_selected(struct emul_state *s, struct masked *m, enum pass pass)
{
    const struct insn *insn = s->insn;
    int rc = EMUL_OKAY;

    for (unsigned int i = 0; rc == EMUL_OKAY && i < m->bytes; i += m->size) {
        uint64_t linear, off = (m->off + i) & width_mask(insn->addr_bytes);

        if (!(m->mask[i + m->size - 1] & 0x80))
            continue;
        rc = emul_linear(s->ctxt, insn->seg, off, m->size, pass == LOAD ? EMUL_READ : EMUL_WRITE,
                         &linear);
        if (rc != EMUL_OKAY)
            break;
        if (pass == LOAD)
            rc = s->ops->read(s->ctxt, insn->seg, linear, m->val + i, m->size);
        else if (pass == WRITE)
            rc = s->ops->write(s->ctxt, insn->seg, linear, m->val + i, m->size);
        else if (s->ops->probe_write)
            rc = s->ops->probe_write(s->ctxt, insn->seg, linear, m->size);
    }
    return rc;
}

/* What faults anywhere has written nothing. */
static int masked_store(struct emul_state *s, struct masked *m)
{
    int rc = each_selected(s, m, PROBE);

    return rc == EMUL_OKAY ? each_selected(s, m, WRITE) : rc;
}

/* VMASKMOVPS, VMASKMOVPD; VPMASKMOVD, VPMASKMOVQ. */
int emul_op_masked_move(struct emul_state *s)
{
    const struct insn *insn = s->insn;
    uint8_t op = insn->opcode;
    bool integer = op & 0x80, store = op & 2, wide = insn->rex & 8;
    struct masked m = {.bytes = insn->vex_l ? 32 : 16, .off = insn->mem_off};
    unsigned int third = insn->vex_reg & (in_long_mode(s->ctxt) ? 15 : 7);
    int rc;

    if (insn->encoding != INSN_VEX || !s->ops->read || !s->ops->write)
        return EMUL_UNHANDLEABLE;
    if (!insn->opsize || !insn->has_mem || (!integer && wide))
        return emul_inject(s->ctxt, VEC_UD, 0);
    m.size = (integer ? wide : op & 1) ? 8 : 4;
    rc = integer ? emul_require(s, 7, CPUID_B, 5) : EMUL_OKAY;
    if (rc == EMUL_OKAY)
        rc = usable(s, false);
    if (rc == EMUL_OKAY)
        rc = s->ops->read_vector(s->ctxt, third, m.mask, 32);
    if (rc == EMUL_OKAY && store)
        rc = s->ops->read_vector(s->ctxt, insn->reg, m.val, 32);
    if (rc != EMUL_OKAY)
        return rc;
    if (store)
        return masked_store(s, &m);
    rc = each_selected(s, &m, LOAD);
    return rc == EMUL_OKAY ? s->ops->write_vector(s->ctxt, insn->reg, m.val, 32) : rc;
}

/* MASKMOVQ, MASKMOVDQU: bytes, to rDI. */
int emul_op_masked_bytes(struct emul_state *s)
{
    const struct insn *insn = s->insn;
    bool vex = insn->encoding == INSN_VEX, mmx = !insn->opsize;
    unsigned int first = mmx ? EMUL_MMX : 0, mask = mmx ? 7 : 15, width = mmx ? 8 : 16;
    struct masked m = {.bytes = width, .size = 1};
    int rc;

    if (!s->ops->write)
        return EMUL_UNHANDLEABLE;
    if (insn->has_mem || insn->rep || (vex && (mmx || insn->vex_l || insn->vex_reg)))
        return emul_inject(s->ctxt, VEC_UD, 0);
    m.off = emul_reg_read(s, RDI, insn->addr_bytes);
    rc = usable(s, mmx);
    if (rc == EMUL_OKAY)
        rc = s->ops->read_vector(s->ctxt, first + (insn->reg & mask), m.val, width);
    if (rc == EMUL_OKAY)
        rc = s->ops->read_vector(s->ctxt, first + (insn->rm & mask), m.mask, width);
    return rc == EMUL_OKAY ? masked_store(s, &m) : rc;
}
