// SPDX-License-Identifier: MIT
/*
 * Far transfers: jumps, calls and returns through another code segment, IRET, and INT n in real
 * mode.  In protected mode, INT n is the caller's (ops->soft_interrupt), since hardware delivers
 * events better than we do.
 *
 * Not here: call gates, task switches, IRET to virtual-8086 mode, calls of 64-bit code by other.
 */
#include "private.h"

enum transfer { JUMP, RETURN };

/* Where to; found out and checked before anything changes. */
struct target {
    struct emul_segment cs;
    uint64_t off;
    uint8_t cpl;
    bool wide; /* 64-bit code */
};

static int check_code(struct emul_state *s, uint16_t sel, const struct emul_segment *cs,
                      enum transfer how, struct target *t)
{
    unsigned int dpl = segment_dpl(cs->attr), rpl = sel & 3, cpl = s->ctxt->cpl;
    bool conforms = segment_conforms(cs->attr), fine;

    if (how == RETURN)
        fine = rpl >= cpl && (conforms ? dpl <= rpl : dpl == rpl);
    else
        fine = conforms ? dpl <= cpl : rpl <= cpl && dpl == cpl;
    t->wide = s->ctxt->lma && (cs->attr & EMUL_SEG_L);
    if (!fine || (t->wide && (cs->attr & EMUL_SEG_DB)))
        return emul_selector_fault(s, VEC_GP, sel);
    if (!(cs->attr & EMUL_SEG_P))
        return emul_selector_fault(s, VEC_NP, sel);
    t->cpl = how == RETURN ? rpl : cpl;
    t->cs = *cs;
    t->cs.sel = (sel & 0xfffc) | t->cpl;
    return EMUL_OKAY;
}

/* Gates and task segments are not for us; whatever else is not code is a fault. */
static int not_code(struct emul_state *s, uint16_t sel, uint16_t attr, enum transfer how)
{
    unsigned int type = attr & EMUL_SEG_TYPE;
    bool gate = type == 12 || (!s->ctxt->lma && (type & 7) <= 5 && (type & 7) != 2 && (type & 5));

    if (how == JUMP && !(attr & EMUL_SEG_S) && gate)
        return EMUL_UNHANDLEABLE;
    return emul_selector_fault(s, VEC_GP, sel);
}

static int find_target(struct emul_state *s, uint16_t sel, uint64_t off, enum transfer how,
                       struct target *t)
{
    struct descriptor d;
    int rc;

    t->off = off;
    if (!s->ops->segment || !s->ops->write_segment)
        return EMUL_UNHANDLEABLE;
    if (s->ctxt->real_mode) {
        rc = s->ops->segment(s->ctxt, EMUL_SEG_CS, &t->cs);
        t->cs.sel = sel;
        t->cs.base = (uint64_t)sel << 4;
        t->cpl = s->ctxt->cpl;
        t->wide = false;
        return rc;
    }
    if (!(sel & 0xfffc))
        return emul_inject(s->ctxt, VEC_GP, 0);
    rc = emul_read_descriptor(s, sel, &d);
    if (rc != EMUL_OKAY)
        return rc;
    if ((d.seg.attr & (EMUL_SEG_S | EMUL_SEG_CODE)) != (EMUL_SEG_S | EMUL_SEG_CODE))
        return not_code(s, sel, d.seg.attr, how);
    rc = check_code(s, sel, &d.seg, how, t);
    if (rc == EMUL_OKAY)
        rc = emul_mark_descriptor(s, &d, 1ull << 40);
    if (rc == EMUL_OKAY)
        t->cs.attr |= 1;
    return rc;
}

/* Does the offset lie in the new segment?  Of one below 4 GB only the lower half is looked at. */
static int check_offset(struct emul_state *s, struct target *t)
{
    bool fine;

    if (!t->wide)
        t->off &= 0xffffffff;
    fine = t->wide ? emul_is_canonical(s->ctxt, t->off) : t->off <= t->cs.limit;

    return fine ? EMUL_OKAY : emul_inject(s->ctxt, VEC_GP, 0);
}

static int enter_target(struct emul_state *s, const struct target *t)
{
    s->rip = t->off;
    return s->ops->write_segment(s->ctxt, EMUL_SEG_CS, &t->cs);
}

/* ---- jumps and calls ---- */

/* The operand: in the instruction, or in memory.  AMD's processors know no 64-bit offset there. */
static int far_operand(struct emul_state *s, unsigned int *bytes, uint64_t *off, uint16_t *sel)
{
    *bytes = s->insn->op_bytes;
    if (!s->insn->has_mem) {
        *off = s->insn->imm & width_mask(*bytes);
        *sel = s->insn->imm2;
        return EMUL_OKAY;
    }
    if (*bytes == 8 && s->ctxt->amd)
        *bytes = 4;
    return emul_read_far(s, *bytes, off, sel);
}

int emul_op_jmp_far(struct emul_state *s)
{
    struct target t;
    unsigned int bytes;
    uint64_t off;
    uint16_t sel;
    int rc = far_operand(s, &bytes, &off, &sel);

    if (rc == EMUL_OKAY)
        rc = find_target(s, sel, off, JUMP, &t);
    if (rc == EMUL_OKAY)
        rc = check_offset(s, &t);
    return rc == EMUL_OKAY ? enter_target(s, &t) : rc;
}

int emul_op_call_far(struct emul_state *s)
{
    struct emul_segment cs;
    struct target t;
    unsigned int bytes;
    uint64_t off;
    uint16_t sel;
    int rc = far_operand(s, &bytes, &off, &sel);

    if (rc == EMUL_OKAY)
        rc = find_target(s, sel, off, JUMP, &t);
    if (rc == EMUL_OKAY)
        rc = check_offset(s, &t);
    /* The return address would be pushed by the rules of 64-bit code already. */
    if (rc == EMUL_OKAY && t.wide && !in_long_mode(s->ctxt))
        rc = EMUL_UNHANDLEABLE;
    if (rc == EMUL_OKAY)
        rc = s->ops->segment(s->ctxt, EMUL_SEG_CS, &cs);
    if (rc == EMUL_OKAY)
        rc = emul_push(s, cs.sel, bytes);
    if (rc == EMUL_OKAY)
        rc = emul_push(s, s->rip, bytes);
    return rc == EMUL_OKAY ? enter_target(s, &t) : rc;
}

/* ---- returns ---- */

/* What outer code may not see it cannot keep: data segments of more privilege become null. */
static int drop_segments(struct emul_state *s, uint8_t cpl)
{
    static const uint8_t which[] = {EMUL_SEG_ES, EMUL_SEG_DS, EMUL_SEG_FS, EMUL_SEG_GS};
    int rc = EMUL_OKAY;

    for (unsigned int i = 0; rc == EMUL_OKAY && i < sizeof(which); i++) {
        struct emul_segment seg;

        rc = s->ops->segment(s->ctxt, which[i], &seg);
        if (rc == EMUL_OKAY && !segment_conforms(seg.attr) && segment_dpl(seg.attr) < cpl) {
            seg.sel = seg.attr = 0;
            rc = s->ops->write_segment(s->ctxt, which[i], &seg);
        }
    }
    return rc;
}

/* A word of the frame that is returned by, counted from the stack pointer; or as much of it. */
static int frame_part(struct emul_state *s, unsigned int word, uint64_t *val, unsigned int bytes)
{
    uint64_t mask = width_mask(s->ctxt->sp_size / 8);

    return emul_mem_read(s, EMUL_SEG_SS, (s->gpr[RSP] + word * s->insn->op_bytes) & mask, val,
                         bytes);
}

static int frame_word(struct emul_state *s, unsigned int word, uint64_t *val)
{
    return frame_part(s, word, val, s->insn->op_bytes);
}

/* Nothing above it is read. */
static int frame_selector(struct emul_state *s, unsigned int word, uint64_t *sel)
{
    return frame_part(s, word, sel, 2);
}

static void drop_words(struct emul_state *s, unsigned int words)
{
    emul_reg_write(s, RSP, s->ctxt->sp_size / 8, s->gpr[RSP] + words * s->insn->op_bytes);
}

/* Pops rSP and SS, for a return to other code than the like of this. */
static int pop_stack(struct emul_state *s, const struct target *t, uint64_t *sp,
                     struct emul_segment *ss)
{
    uint64_t sel;
    int rc = frame_selector(s, 1, &sel);

    if (rc == EMUL_OKAY)
        rc = frame_word(s, 0, sp);
    return rc == EMUL_OKAY ? emul_check_stack_segment(s, sel, t->cpl, t->wide, ss) : rc;
}

static int enter_outer(struct emul_state *s, const struct target *t, uint64_t sp,
                       const struct emul_segment *ss)
{
    unsigned int bytes = t->wide ? 8 : ss->attr & EMUL_SEG_DB ? 4 : 2;
    int rc = enter_target(s, t);

    if (rc == EMUL_OKAY)
        rc = s->ops->write_segment(s->ctxt, EMUL_SEG_SS, ss);
    if (rc == EMUL_OKAY && t->cpl != s->ctxt->cpl)
        rc = drop_segments(s, t->cpl);
    emul_reg_write(s, RSP, bytes, sp);
    return rc;
}

int emul_op_ret_far(struct emul_state *s)
{
    unsigned int sp_bytes = s->ctxt->sp_size / 8;
    uint64_t off, sel, sp;
    struct emul_segment ss;
    struct target t;
    int rc = frame_selector(s, 1, &sel); /* which faults first is Intel's order */

    if (rc == EMUL_OKAY)
        rc = frame_word(s, 0, &off);
    if (rc == EMUL_OKAY)
        rc = find_target(s, sel, off, RETURN, &t);
    if (rc != EMUL_OKAY)
        return rc;
    drop_words(s, 2);
    if (t.cpl == s->ctxt->cpl) {
        emul_reg_write(s, RSP, t.wide ? 8 : sp_bytes, s->gpr[RSP] + s->src.val);
        rc = check_offset(s, &t);
        return rc == EMUL_OKAY ? enter_target(s, &t) : rc;
    }
    emul_reg_write(s, RSP, sp_bytes, s->gpr[RSP] + s->src.val);
    rc = pop_stack(s, &t, &sp, &ss);
    if (rc == EMUL_OKAY)
        rc = check_offset(s, &t);
    return rc == EMUL_OKAY ? enter_outer(s, &t, sp + s->src.val, &ss) : rc;
}

/* The flags that IRET loads, by operand size and privilege. */
static int load_flags(struct emul_state *s, uint64_t val, unsigned int bytes)
{
    uint64_t mask = FL_ARITH | FL_TF | FL_DF | FL_NT | FL_RF | FL_AC | FL_ID;
    bool virtual8086 = s->ctxt->real_mode && s->ctxt->cpl;
    bool may_if = s->ctxt->cpl <= s->ctxt->iopl || virtual8086;
    int rc = EMUL_OKAY;

    if (s->ctxt->cpl == 0)
        mask |= FL_IOPL;
    if (may_if && !s->ops->write_if)
        mask |= FL_IF;
    if (may_if && s->ops->write_if)
        rc = s->ops->write_if(s->ctxt, val & FL_IF);
    set_flags(s, mask & width_mask(bytes), val);
    return rc;
}

static int iret_allowed(struct emul_state *s)
{
    if (s->ctxt->real_mode)
        return s->ctxt->cpl && s->ctxt->iopl < 3 ? emul_inject(s->ctxt, VEC_GP, 0) : EMUL_OKAY;
    if (!(s->flags & FL_NT))
        return EMUL_OKAY;
    /* A return to another task. */
    return s->ctxt->lma ? emul_inject(s->ctxt, VEC_GP, 0) : EMUL_UNHANDLEABLE;
}

int emul_op_iret(struct emul_state *s)
{
    unsigned int bytes = s->insn->op_bytes;
    uint64_t off, sel, flags, sp = 0;
    bool protected = !s->ctxt->real_mode, with_stack;
    struct emul_segment ss;
    struct target t;
    int rc = iret_allowed(s);

    if (rc == EMUL_OKAY)
        rc = frame_word(s, 2, &flags);
    if (rc == EMUL_OKAY)
        rc = frame_selector(s, 1, &sel);
    if (rc == EMUL_OKAY)
        rc = frame_word(s, 0, &off);
    if (rc != EMUL_OKAY)
        return rc;
    if (protected && !s->ctxt->lma && !s->ctxt->cpl && bytes == 4 && (flags & FL_VM))
        return EMUL_UNHANDLEABLE;
    rc = find_target(s, sel, off, RETURN, &t);
    if (rc != EMUL_OKAY)
        return rc;
    drop_words(s, 3);
    with_stack = in_long_mode(s->ctxt) || t.cpl != s->ctxt->cpl;
    if (with_stack)
        rc = pop_stack(s, &t, &sp, &ss);
    if (rc == EMUL_OKAY)
        rc = check_offset(s, &t);
    if (rc == EMUL_OKAY)
        rc = load_flags(s, flags, bytes);
    if (rc != EMUL_OKAY)
        return rc;
    return with_stack ? enter_outer(s, &t, sp, &ss) : enter_target(s, &t);
}

/* ---- software interrupts ---- */

/* Real mode: the vector table has offset and segment. */
static int real_interrupt(struct emul_state *s, uint8_t vector)
{
    struct emul_segment idt, cs;
    uint64_t entry = 0;
    struct target t;
    int rc;

    if (!s->ops->segment || !s->ops->read)
        return EMUL_UNHANDLEABLE;
    rc = s->ops->segment(s->ctxt, EMUL_SEG_IDTR, &idt);
    if (rc == EMUL_OKAY && vector * 4u + 3 > idt.limit)
        rc = emul_inject(s->ctxt, VEC_GP, 0);
    if (rc == EMUL_OKAY)
        rc = s->ops->read(s->ctxt, EMUL_SEG_IDTR, idt.base + vector * 4u, &entry, 4);
    if (rc == EMUL_OKAY)
        rc = find_target(s, entry >> 16, entry & 0xffff, JUMP, &t);
    if (rc == EMUL_OKAY)
        rc = s->ops->segment(s->ctxt, EMUL_SEG_CS, &cs);
    if (rc == EMUL_OKAY)
        rc = emul_push(s, s->flags, 2);
    if (rc == EMUL_OKAY)
        rc = emul_push(s, cs.sel, 2);
    if (rc == EMUL_OKAY)
        rc = emul_push(s, s->rip, 2);
    if (rc == EMUL_OKAY)
        rc = check_offset(s, &t);
    if (rc == EMUL_OKAY && s->ops->write_if)
        rc = s->ops->write_if(s->ctxt, false);
    if (rc != EMUL_OKAY)
        return rc;
    set_flags(s, FL_TF | FL_AC | (s->ops->write_if ? 0 : FL_IF), 0);
    return enter_target(s, &t);
}

/* INT3, INT n, INTO */
int emul_op_int(struct emul_state *s)
{
    uint32_t op = s->insn->opcode;
    uint8_t vector = op == 0xcc ? 3 : op == 0xce ? 4 : (uint8_t)s->insn->imm;

    if (op == 0xce && !(s->flags & FL_OF))
        return EMUL_OKAY;
    if (s->ctxt->real_mode && !s->ctxt->cpl)
        return real_interrupt(s, vector);
    if (s->ctxt->real_mode && op == 0xcd && s->ctxt->iopl < 3)
        return emul_inject(s->ctxt, VEC_GP, 0);
    return s->ops->soft_interrupt ? s->ops->soft_interrupt(s->ctxt, s->insn, vector)
                                  : EMUL_UNHANDLEABLE;
}

int emul_op_bound(struct emul_state *s)
{
    const struct insn *insn = s->insn;
    unsigned int bytes = s->dst.bytes;
    uint64_t low, high, mask = width_mask(insn->addr_bytes);
    int64_t val;
    int rc = emul_mem_read(s, insn->seg, insn->mem_off, &low, bytes);

    if (rc != EMUL_OKAY)
        return rc;
    emul_operand_load(s, &s->dst);
    val = sign_extend(s->dst.val, bytes);
    if (val < (int64_t)sign_extend(low, bytes))
        return emul_inject(s->ctxt, VEC_BR, 0);
    rc = emul_mem_read(s, insn->seg, (insn->mem_off + bytes) & mask, &high, bytes);
    if (rc == EMUL_OKAY && val > (int64_t)sign_extend(high, bytes))
        rc = emul_inject(s->ctxt, VEC_BR, 0);
    return rc;
}
