// SPDX-License-Identifier: MIT
/*
 * Segment registers and descriptor tables: what a selector means, whether it may be loaded, and the
 * instructions that load, store or ask.
 *
 * Descriptors are read through ops->read as the processor reads them: with supervisor's rights,
 * which the segment EMUL_SEG_GDTR or _LDTR tells the callback.  Marking one accessed or busy is a
 * compare-and-exchange of the eight bytes that were checked; if they have changed, the instruction
 * is run again.  ops->write_segment comes last, when nothing can fail any more.
 */
#include "asm/regs.h"
#include "private.h"

#define SYS_LDT      0x2u
#define SYS_TSS_16   0x1u
#define SYS_TSS      0x9u
#define SYS_CALL_16  0x4u
#define SYS_TASK     0x5u
#define SYS_CALL     0xcu
#define SYS_TSS_BUSY 0x2u /* added to a TSS's type */

#define DESC_ACCESSED (1ull << 40)

int emul_selector_fault(struct emul_state *s, uint8_t vector, uint16_t sel)
{
    return emul_inject(s->ctxt, vector, sel & 0xfffc);
}

static void decode_descriptor(struct descriptor *d, uint16_t sel)
{
    struct emul_segment *seg = &d->seg;

    seg->sel = sel;
    seg->base = (d->raw >> 16 & 0xffffff) | (d->raw >> 56) << 24;
    seg->limit = (d->raw & 0xffff) | (d->raw >> 32 & 0xf0000);
    seg->attr = (d->raw >> 40 & 0xff) | (d->raw >> 44 & 0xf00);
    if (seg->attr & EMUL_SEG_G)
        seg->limit = seg->limit << 12 | 0xfff;
}

/* *found: the selector lies within its table, and that where one can. Else a fault or the like. */
static int find_descriptor(struct emul_state *s, uint16_t sel, struct descriptor *d, bool *found)
{
    enum emul_seg table = sel & 4 ? EMUL_SEG_LDTR : EMUL_SEG_GDTR;
    struct emul_segment t;
    int rc;

    *found = false;
    if (!s->ops->segment || !s->ops->read)
        return EMUL_UNHANDLEABLE;
    rc = s->ops->segment(s->ctxt, table, &t);
    if (rc != EMUL_OKAY || (table == EMUL_SEG_LDTR && !(t.attr & EMUL_SEG_P)) ||
        (sel | 7u) > t.limit)
        return rc;
    d->linear = t.base + (sel & 0xfff8);
    if (!s->ctxt->lma)
        d->linear &= 0xffffffff;
    else if (!emul_is_canonical(s->ctxt, d->linear) || !emul_is_canonical(s->ctxt, d->linear + 15))
        return EMUL_OKAY;
    d->table = table;
    rc = s->ops->read(s->ctxt, table, d->linear, &d->raw, 8);
    if (rc != EMUL_OKAY)
        return rc;
    decode_descriptor(d, sel);
    *found = true;
    return EMUL_OKAY;
}

int emul_read_descriptor(struct emul_state *s, uint16_t sel, struct descriptor *d)
{
    bool found;
    int rc = find_descriptor(s, sel, d, &found);

    return rc == EMUL_OKAY && !found ? emul_selector_fault(s, VEC_GP, sel) : rc;
}

int emul_mark_descriptor(struct emul_state *s, struct descriptor *d, uint64_t mark)
{
    uint64_t new = d->raw | mark, found = d->raw;
    int rc;

    if (new == d->raw)
        return EMUL_OKAY;
    if (!s->ops->cmpxchg)
        return EMUL_UNHANDLEABLE;
    rc = s->ops->cmpxchg(s->ctxt, d->table, d->linear, &found, &new, 8, true);
    if (rc != EMUL_OKAY)
        return rc;
    if (found != d->raw)
        return EMUL_RETRY;
    d->raw = new;
    decode_descriptor(d, d->seg.sel);
    return EMUL_OKAY;
}

/* ---- data and stack segments ---- */

static int check_stack(struct emul_state *s, uint16_t sel, const struct descriptor *d, uint8_t cpl)
{
    const uint16_t kind = EMUL_SEG_S | EMUL_SEG_CODE | EMUL_SEG_WRITABLE;
    uint16_t attr = d->seg.attr;

    if ((sel & 3) != cpl || (attr & kind) != (EMUL_SEG_S | EMUL_SEG_WRITABLE) ||
        segment_dpl(attr) != cpl)
        return emul_selector_fault(s, VEC_GP, sel);
    return attr & EMUL_SEG_P ? EMUL_OKAY : emul_selector_fault(s, VEC_SS, sel);
}

static int check_data(struct emul_state *s, uint16_t sel, const struct descriptor *d)
{
    uint16_t attr = d->seg.attr;
    unsigned int dpl = segment_dpl(attr);

    if (!(attr & EMUL_SEG_S) || (attr & (EMUL_SEG_CODE | EMUL_SEG_WRITABLE)) == EMUL_SEG_CODE)
        return emul_selector_fault(s, VEC_GP, sel);
    if (!segment_conforms(attr) && (dpl < (sel & 3u) || dpl < s->ctxt->cpl))
        return emul_selector_fault(s, VEC_GP, sel);
    return attr & EMUL_SEG_P ? EMUL_OKAY : emul_selector_fault(s, VEC_NP, sel);
}

/* A null selector makes a segment that cannot be used; AMD's processors keep its base. */
static int null_segment(struct emul_state *s, enum emul_seg seg, uint16_t sel,
                        struct emul_segment *res)
{
    struct emul_segment old;
    int rc = s->ops->segment(s->ctxt, seg, &old);

    *res = (struct emul_segment){.sel = sel, .base = s->ctxt->amd ? old.base : 0};
    return rc;
}

int emul_check_stack_segment(struct emul_state *s, uint16_t sel, uint8_t cpl, bool wide,
                             struct emul_segment *res)
{
    struct descriptor d;
    int rc;

    if (!(sel & 0xfffc)) {
        if (!wide || cpl == 3 || (sel & 3) != cpl)
            return emul_inject(s->ctxt, VEC_GP, 0);
        *res = (struct emul_segment){.sel = sel, .attr = cpl << 5};
        return EMUL_OKAY;
    }
    rc = emul_read_descriptor(s, sel, &d);
    if (rc == EMUL_OKAY)
        rc = check_stack(s, sel, &d, cpl);
    if (rc == EMUL_OKAY)
        rc = emul_mark_descriptor(s, &d, DESC_ACCESSED);
    *res = d.seg;
    return rc;
}

/* What a register would hold, were this selector loaded into it. */
static int check_selector(struct emul_state *s, enum emul_seg seg, uint16_t sel,
                          struct emul_segment *res)
{
    struct descriptor d;
    int rc;

    if (s->ctxt->real_mode) {
        rc = s->ops->segment(s->ctxt, seg, res);
        res->sel = sel;
        res->base = (uint64_t)sel << 4;
        return rc;
    }
    if (seg == EMUL_SEG_SS)
        return emul_check_stack_segment(s, sel, s->ctxt->cpl, in_long_mode(s->ctxt), res);
    if (!(sel & 0xfffc))
        return null_segment(s, seg, sel, res);
    rc = emul_read_descriptor(s, sel, &d);
    if (rc == EMUL_OKAY)
        rc = check_data(s, sel, &d);
    if (rc == EMUL_OKAY)
        rc = emul_mark_descriptor(s, &d, DESC_ACCESSED);
    *res = d.seg;
    return rc;
}

int emul_load_segment(struct emul_state *s, enum emul_seg seg, uint16_t sel)
{
    struct emul_segment res;
    int rc;

    if (!s->ops->write_segment || !s->ops->segment)
        return EMUL_UNHANDLEABLE;
    rc = check_selector(s, seg, sel, &res);
    if (rc == EMUL_OKAY)
        rc = s->ops->write_segment(s->ctxt, seg, &res);
    s->ctxt->retire.mov_ss = seg == EMUL_SEG_SS;
    return rc;
}

/* The opcode names the register. */
int emul_op_pop_seg(struct emul_state *s)
{
    unsigned int sp_bytes = s->ctxt->sp_size / 8;
    uint64_t sel;
    /* Only the selector is read, whatever the size of what is popped. */
    int rc = emul_mem_read(s, EMUL_SEG_SS, emul_reg_read(s, RSP, sp_bytes), &sel, 2);

    emul_reg_write(s, RSP, sp_bytes, s->gpr[RSP] + s->insn->op_bytes);
    return rc == EMUL_OKAY ? emul_load_segment(s, s->insn->opcode >> 3 & 7, sel) : rc;
}

int emul_op_mov_to_seg(struct emul_state *s)
{
    unsigned int seg = s->insn->reg & 7;
    int rc;

    if (seg == EMUL_SEG_CS || seg > EMUL_SEG_GS)
        return emul_inject(s->ctxt, VEC_UD, 0);
    rc = emul_operand_load(s, &s->src);
    return rc == EMUL_OKAY ? emul_load_segment(s, seg, s->src.val) : rc;
}

int emul_read_far(struct emul_state *s, unsigned int bytes, uint64_t *off, uint16_t *sel)
{
    const struct insn *insn = s->insn;
    uint64_t val = 0, mask = width_mask(insn->addr_bytes);
    int rc = emul_mem_read(s, insn->seg, insn->mem_off, off, bytes);

    if (rc == EMUL_OKAY)
        rc = emul_mem_read(s, insn->seg, (insn->mem_off + bytes) & mask, &val, 2);
    *sel = val;
    return rc;
}

/* LES, LDS; LSS, LFS, LGS. */
int emul_op_load_far(struct emul_state *s)
{
    uint32_t op = s->insn->opcode;
    enum emul_seg seg = op == 0xc4 ? EMUL_SEG_ES : op == 0xc5 ? EMUL_SEG_DS : op & 7;
    uint16_t sel;
    int rc = emul_read_far(s, s->dst.bytes, &s->dst.val, &sel);

    if (rc == EMUL_OKAY)
        rc = emul_load_segment(s, seg, sel);
    s->ctxt->retire.mov_ss = false; /* LSS brings the stack pointer along: no shadow */
    return rc == EMUL_OKAY ? emul_operand_store(s, &s->dst) : rc;
}

/* ---- table registers ---- */

/* With UMIP the places of tables are none of a program's business. */
static int may_look(struct emul_state *s)
{
    uint64_t cr4;
    int rc;

    if (!s->ctxt->cpl)
        return EMUL_OKAY;
    rc = emul_read_cr4(s, &cr4);
    return rc == EMUL_OKAY && (cr4 & CR4_UMIP) ? emul_inject(s->ctxt, VEC_GP, 0) : rc;
}

static enum emul_seg table_register(const struct insn *insn)
{
    return insn->reg & 1 ? EMUL_SEG_IDTR : EMUL_SEG_GDTR;
}

/* SGDT, SIDT */
int emul_op_store_table(struct emul_state *s)
{
    unsigned int bytes = in_long_mode(s->ctxt) ? 8 : 4;
    const struct insn *insn = s->insn;
    struct emul_segment t;
    int rc = may_look(s);

    if (rc != EMUL_OKAY)
        return rc;
    if (!s->ops->segment)
        return EMUL_UNHANDLEABLE;
    rc = s->ops->segment(s->ctxt, table_register(insn), &t);
    if (rc == EMUL_OKAY)
        rc = emul_mem_write(s, insn->seg, insn->mem_off, t.limit, 2);
    if (rc == EMUL_OKAY)
        rc = emul_mem_write(s, insn->seg, (insn->mem_off + 2) & width_mask(insn->addr_bytes),
                            t.base, bytes);
    return rc;
}

/* LGDT, LIDT */
int emul_op_load_table(struct emul_state *s)
{
    unsigned int bytes = in_long_mode(s->ctxt) ? 8 : 4;
    const struct insn *insn = s->insn;
    struct emul_segment t = {0};
    uint64_t limit;
    int rc = emul_mem_read(s, insn->seg, insn->mem_off, &limit, 2);

    if (rc == EMUL_OKAY)
        rc = emul_mem_read(s, insn->seg, (insn->mem_off + 2) & width_mask(insn->addr_bytes),
                           &t.base, bytes);
    if (rc != EMUL_OKAY)
        return rc;
    t.limit = limit;
    if (bytes == 4 && insn->op_bytes == 2)
        t.base &= 0xffffff;
    if (bytes == 8 && !emul_is_canonical(s->ctxt, t.base))
        return emul_inject(s->ctxt, VEC_GP, 0);
    if (!s->ops->write_segment)
        return EMUL_UNHANDLEABLE;
    return s->ops->write_segment(s->ctxt, table_register(insn), &t);
}

/* SLDT, STR */
int emul_op_store_selector(struct emul_state *s)
{
    struct emul_segment t;
    int rc = may_look(s);

    if (rc != EMUL_OKAY)
        return rc;
    if (!s->ops->segment)
        return EMUL_UNHANDLEABLE;
    rc = s->ops->segment(s->ctxt, s->insn->reg & 1 ? EMUL_SEG_TR : EMUL_SEG_LDTR, &t);
    if (rc != EMUL_OKAY)
        return rc;
    s->dst.val = t.sel;
    if (s->dst.kind == OP_MEM)
        s->dst.bytes = 2;
    return emul_operand_store(s, &s->dst);
}

/* The upper half of a base, behind the descriptor: system segments have it in long mode. */
static int extend_base(struct emul_state *s, struct descriptor *d)
{
    uint64_t upper;
    int rc;

    if (!s->ctxt->lma)
        return EMUL_OKAY;
    rc = s->ops->read(s->ctxt, d->table, d->linear + 8, &upper, 8);
    if (rc != EMUL_OKAY)
        return rc;
    d->seg.base |= upper << 32;
    if ((upper >> 40 & 0x1f) || !emul_is_canonical(s->ctxt, d->seg.base))
        return emul_selector_fault(s, VEC_GP, d->seg.sel);
    return EMUL_OKAY;
}

/* LLDT, LTR */
int emul_op_load_system(struct emul_state *s)
{
    bool task = s->insn->reg & 1;
    struct descriptor d = {.seg = {0}};
    uint16_t sel, type;
    int rc = emul_operand_load(s, &s->src);

    if (rc != EMUL_OKAY)
        return rc;
    if (!s->ops->write_segment)
        return EMUL_UNHANDLEABLE;
    sel = s->src.val;
    if (!(sel & 0xfffc)) {
        d.seg.sel = sel;
        return task ? emul_inject(s->ctxt, VEC_GP, 0)
                    : s->ops->write_segment(s->ctxt, EMUL_SEG_LDTR, &d.seg);
    }
    if (sel & 4)
        return emul_selector_fault(s, VEC_GP, sel);
    rc = emul_read_descriptor(s, sel, &d);
    if (rc != EMUL_OKAY)
        return rc;
    type = d.seg.attr & (EMUL_SEG_S | EMUL_SEG_TYPE);
    if (task ? type != SYS_TSS && (s->ctxt->lma || type != SYS_TSS_16) : type != SYS_LDT)
        return emul_selector_fault(s, VEC_GP, sel);
    if (!(d.seg.attr & EMUL_SEG_P))
        return emul_selector_fault(s, VEC_NP, sel);
    if (task)
        rc = emul_mark_descriptor(s, &d, (uint64_t)SYS_TSS_BUSY << 40);
    if (rc == EMUL_OKAY)
        rc = extend_base(s, &d);
    if (rc != EMUL_OKAY)
        return rc;
    return s->ops->write_segment(s->ctxt, task ? EMUL_SEG_TR : EMUL_SEG_LDTR, &d.seg);
}

/* ---- questions about selectors ---- */

/* Which system descriptors LAR and LSL know. */
static bool system_type_known(const struct emul_ctxt *ctxt, unsigned int type, bool limit)
{
    unsigned int base = type & ~SYS_TSS_BUSY;

    if (base == SYS_TSS || type == SYS_LDT)
        return true;
    if (base == SYS_TSS_16)
        return !ctxt->lma;
    if (limit)
        return false;
    return type == SYS_CALL || (!ctxt->lma && (type == SYS_CALL_16 || type == SYS_TASK));
}

/* Is there a descriptor that this program may know of? */
static int visible(struct emul_state *s, uint16_t sel, struct descriptor *d, bool *res)
{
    int rc;

    *res = false;
    if (!(sel & 0xfffc))
        return EMUL_OKAY;
    rc = find_descriptor(s, sel, d, res);
    if (rc == EMUL_OKAY && *res && !segment_conforms(d->seg.attr)) {
        unsigned int dpl = segment_dpl(d->seg.attr);

        *res = dpl >= s->ctxt->cpl && dpl >= (sel & 3u);
    }
    return rc;
}

/* LAR, LSL: the rights, or the limit. */
int emul_op_ask_descriptor(struct emul_state *s)
{
    bool limit = s->insn->opcode & 1, known;
    struct descriptor d;
    int rc = emul_operand_load(s, &s->src);

    if (rc == EMUL_OKAY)
        rc = visible(s, s->src.val, &d, &known);
    if (rc != EMUL_OKAY)
        return rc;
    if (known && !(d.seg.attr & EMUL_SEG_S))
        known = system_type_known(s->ctxt, d.seg.attr & EMUL_SEG_TYPE, limit);
    set_flags(s, FL_ZF, known ? FL_ZF : 0);
    if (!known)
        return EMUL_OKAY;
    s->dst.val = limit ? d.seg.limit : d.raw >> 32 & 0xffff00;
    return emul_operand_store(s, &s->dst);
}

/* VERR, VERW */
int emul_op_verify(struct emul_state *s)
{
    bool write = s->insn->reg & 1, ok;
    struct descriptor d;
    int rc = emul_operand_load(s, &s->src);

    if (rc == EMUL_OKAY)
        rc = visible(s, s->src.val, &d, &ok);
    if (rc != EMUL_OKAY)
        return rc;
    if (ok) {
        uint16_t attr = d.seg.attr;

        ok = attr & EMUL_SEG_S;
        if (attr & EMUL_SEG_CODE)
            ok &= !write && (attr & EMUL_SEG_WRITABLE);
        else
            ok &= !write || (attr & EMUL_SEG_WRITABLE);
    }
    set_flags(s, FL_ZF, ok ? FL_ZF : 0);
    return EMUL_OKAY;
}
