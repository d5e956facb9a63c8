// SPDX-License-Identifier: MIT
/*
 * String instructions, repeated or not.
 *
 * A repeated one is a loop over single steps; each step moves rSI and rDI once its memory accesses
 * have succeeded, so that the state between two steps is one that an interrupted processor would
 * show.  A call does a bounded number of steps and, if there are more, leaves rip where it is: the
 * guest comes back by itself, after its interrupts had their chance.
 */
#include "private.h"

#define REP_MAX_DEFAULT 128

static void advance(struct emul_state *s, unsigned int reg, unsigned int bytes)
{
    uint64_t by = s->flags & FL_DF ? -(uint64_t)bytes : bytes;

    emul_reg_write(s, reg, s->insn->addr_bytes, s->gpr[reg] + by);
}

static uint64_t offset(const struct emul_state *s, unsigned int reg)
{
    return emul_reg_read(s, reg, s->insn->addr_bytes);
}

static int read_si(struct emul_state *s, uint64_t *val)
{
    return emul_mem_read(s, s->insn->seg, offset(s, RSI), val, s->dst.bytes);
}

static int read_di(struct emul_state *s, uint64_t *val)
{
    return emul_mem_read(s, EMUL_SEG_ES, offset(s, RDI), val, s->dst.bytes);
}

static int write_di(struct emul_state *s, uint64_t val)
{
    return emul_mem_write(s, EMUL_SEG_ES, offset(s, RDI), val, s->dst.bytes);
}

/* `until_zf`: the comparing ones, which F2 repeats while not equal and F3 while equal. */
static int repeat(struct emul_state *s, emul_exec_fn *step, bool until_zf)
{
    unsigned int bytes = s->insn->addr_bytes, budget = s->ctxt->rep_max ?: REP_MAX_DEFAULT;
    uint64_t left = offset(s, RCX), flags = s->flags;
    int rc = EMUL_OKAY;

    if (!s->insn->rep)
        return step(s);
    if (!left)
        return EMUL_OKAY;
    if (s->flags & FL_TF)
        budget = 1; /* a trap after every iteration */

    while (budget--) {
        rc = step(s);
        if (rc != EMUL_OKAY)
            break;
        emul_reg_write(s, RCX, bytes, --left);
        s->partial = true;
        if (!left || (until_zf && !(s->flags & FL_ZF) != (s->insn->rep == 0xf2)))
            return EMUL_OKAY;
    }
    /* A comparison that is interrupted shows the flags that it began with. */
    s->flags = flags;
    s->rip = s->insn->start;
    s->ctxt->retire.again = true;
    return rc;
}

static int step_movs(struct emul_state *s)
{
    uint64_t val;
    int rc = read_si(s, &val);

    if (rc == EMUL_OKAY)
        rc = write_di(s, val);
    if (rc == EMUL_OKAY) {
        advance(s, RSI, s->dst.bytes);
        advance(s, RDI, s->dst.bytes);
    }
    return rc;
}

static int step_stos(struct emul_state *s)
{
    int rc = write_di(s, emul_reg_read(s, RAX, s->dst.bytes));

    if (rc == EMUL_OKAY)
        advance(s, RDI, s->dst.bytes);
    return rc;
}

static int step_lods(struct emul_state *s)
{
    uint64_t val;
    int rc = read_si(s, &val);

    if (rc == EMUL_OKAY) {
        emul_reg_write(s, RAX, s->dst.bytes, val);
        advance(s, RSI, s->dst.bytes);
    }
    return rc;
}

static int step_cmps(struct emul_state *s)
{
    uint64_t a, b;
    int rc = read_di(s, &b); /* this one faults first on processors */

    if (rc == EMUL_OKAY)
        rc = read_si(s, &a);
    if (rc == EMUL_OKAY) {
        emul_sub(s, a, b, false, s->dst.bytes);
        advance(s, RSI, s->dst.bytes);
        advance(s, RDI, s->dst.bytes);
    }
    return rc;
}

static int step_scas(struct emul_state *s)
{
    uint64_t b;
    int rc = read_di(s, &b);

    if (rc == EMUL_OKAY) {
        emul_sub(s, emul_reg_read(s, RAX, s->dst.bytes), b, false, s->dst.bytes);
        advance(s, RDI, s->dst.bytes);
    }
    return rc;
}

/* A port that has been read cannot be put back: make sure first that the value has somewhere to go.
 */
static int step_ins(struct emul_state *s)
{
    unsigned int bytes = s->dst.bytes;
    uint64_t linear;
    uint32_t val = 0;
    int rc = emul_linear(s->ctxt, EMUL_SEG_ES, offset(s, RDI), bytes, EMUL_WRITE, &linear);

    if (rc == EMUL_OKAY && s->ops->probe_write)
        rc = s->ops->probe_write(s->ctxt, EMUL_SEG_ES, linear, bytes);
    if (rc != EMUL_OKAY)
        return rc;
    if (!s->ops->read_io || !s->ops->write)
        return EMUL_UNHANDLEABLE;
    rc = s->ops->read_io(s->ctxt, s->gpr[RDX] & 0xffff, bytes, &val);
    if (rc == EMUL_OKAY)
        rc = s->ops->write(s->ctxt, EMUL_SEG_ES, linear, &val, bytes);
    if (rc == EMUL_OKAY)
        advance(s, RDI, bytes);
    return rc;
}

static int step_outs(struct emul_state *s)
{
    uint64_t val;
    int rc;

    if (!s->ops->write_io)
        return EMUL_UNHANDLEABLE;
    rc = read_si(s, &val);
    if (rc == EMUL_OKAY)
        rc = s->ops->write_io(s->ctxt, s->gpr[RDX] & 0xffff, s->dst.bytes, val);
    if (rc == EMUL_OKAY)
        advance(s, RSI, s->dst.bytes);
    return rc;
}

int emul_op_movs(struct emul_state *s)
{
    return repeat(s, step_movs, false);
}

int emul_op_stos(struct emul_state *s)
{
    return repeat(s, step_stos, false);
}

int emul_op_lods(struct emul_state *s)
{
    return repeat(s, step_lods, false);
}

int emul_op_cmps(struct emul_state *s)
{
    return repeat(s, step_cmps, true);
}

int emul_op_scas(struct emul_state *s)
{
    return repeat(s, step_scas, true);
}

int emul_op_ins(struct emul_state *s)
{
    return repeat(s, step_ins, false);
}

int emul_op_outs(struct emul_state *s)
{
    return repeat(s, step_outs, false);
}
