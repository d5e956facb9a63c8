// SPDX-License-Identifier: MIT
/*
 * The decoder: from bytes at cs:rip to a struct insn.
 *
 * An instruction is prefixes, an opcode in one of several maps, perhaps ModRM, SIB and
 * displacement, and immediates.  Which of the latter are there is what a row of the tables says
 * (map_*.c), so this file has no knowledge of single opcodes beyond the escapes and prefixes.
 *
 * Bytes come through a window of fifteen that is filled at most twice: up to the end of the page,
 * and, only when the instruction goes on there, from the next.  Nothing is read twice, so a guest
 * that rewrites its code meanwhile gets one version or the other of each byte and the caller judges
 * what is then executed.
 */
#include "private.h"

#define PAGE_BYTES 4096u

struct window {
    struct emul_ctxt *ctxt;
    struct insn *insn;
    uint8_t bytes[EMUL_MAX_INSN];
    uint8_t have, pos;
};

uint64_t *emul_gpr(struct cpu_user_regs *regs, unsigned int reg)
{
    static const uint16_t offset[16] = {
        offsetof(struct cpu_user_regs, rax), offsetof(struct cpu_user_regs, rcx),
        offsetof(struct cpu_user_regs, rdx), offsetof(struct cpu_user_regs, rbx),
        offsetof(struct cpu_user_regs, rsp), offsetof(struct cpu_user_regs, rbp),
        offsetof(struct cpu_user_regs, rsi), offsetof(struct cpu_user_regs, rdi),
        offsetof(struct cpu_user_regs, r8),  offsetof(struct cpu_user_regs, r9),
        offsetof(struct cpu_user_regs, r10), offsetof(struct cpu_user_regs, r11),
        offsetof(struct cpu_user_regs, r12), offsetof(struct cpu_user_regs, r13),
        offsetof(struct cpu_user_regs, r14), offsetof(struct cpu_user_regs, r15),
    };

    return (uint64_t *)((char *)regs + offset[reg & 15]);
}

/* ---- fetching ---- */

static int refill(struct window *w)
{
    uint64_t linear, off = w->insn->start + w->have;
    unsigned int bytes = EMUL_MAX_INSN - w->have, to_page_end;
    int rc;

    if (!in_long_mode(w->ctxt)) {
        struct emul_segment cs;

        if (!w->ctxt->ops->segment)
            return EMUL_UNHANDLEABLE;
        rc = w->ctxt->ops->segment(w->ctxt, EMUL_SEG_CS, &cs);
        if (rc != EMUL_OKAY)
            return rc;
        /* Stop at the limit; asking for the byte after it is what raises #GP. */
        if (off <= cs.limit && bytes > cs.limit - off)
            bytes = cs.limit - off + 1;
    }

    rc = emul_linear(w->ctxt, EMUL_SEG_CS, off, 1, EMUL_EXEC, &linear);
    if (rc != EMUL_OKAY)
        return rc;

    to_page_end = PAGE_BYTES - (linear & (PAGE_BYTES - 1));
    if (bytes > to_page_end)
        bytes = to_page_end;
    if (!w->ctxt->ops->insn_fetch)
        return EMUL_UNHANDLEABLE;
    rc = w->ctxt->ops->insn_fetch(w->ctxt, linear, w->bytes + w->have, bytes);
    if (rc == EMUL_OKAY)
        w->have += bytes;
    return rc;
}

/* See to it that the next `bytes` bytes are there. */
static int need(struct window *w, unsigned int bytes)
{
    if (w->pos + bytes > EMUL_MAX_INSN)
        return emul_inject(w->ctxt, VEC_GP, 0);
    while (w->have < w->pos + bytes) {
        int rc = refill(w);

        if (rc != EMUL_OKAY)
            return rc;
    }
    return EMUL_OKAY;
}

/* The next `bytes` bytes, sign-extended. */
static int fetch(struct window *w, unsigned int bytes, uint64_t *val)
{
    const uint8_t *from = w->bytes + w->pos;
    union {
        int8_t b;
        int16_t w;
        int32_t d;
        int64_t q;
    } v;
    int rc = need(w, bytes);

    if (rc != EMUL_OKAY)
        return rc;
    w->pos += bytes;
    switch (bytes) {
    case 1:
        *val = (int8_t)*from;
        break;
    case 2:
        __builtin_memcpy(&v.w, from, 2);
        *val = v.w;
        break;
    case 4:
        __builtin_memcpy(&v.d, from, 4);
        *val = v.d;
        break;
    default:
        __builtin_memcpy(&v.q, from, 8);
        *val = v.q;
        break;
    }
    return EMUL_OKAY;
}

static int fetch_byte(struct window *w, uint8_t *val)
{
    if (w->pos == w->have) {
        int rc = need(w, 1);

        if (rc != EMUL_OKAY)
            return rc;
    }
    *val = w->bytes[w->pos++];
    return EMUL_OKAY;
}

static int undefined(struct window *w)
{
    return emul_inject(w->ctxt, VEC_UD, 0);
}

/* ---- prefixes and opcode ---- */

/* One legacy prefix noted; false if `byte` is none. */
static bool legacy_prefix(struct window *w, uint8_t byte)
{
    struct insn *insn = w->insn;

    switch (byte) {
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
        /* 64-bit mode ignores these four; an fs or gs before them keeps its force. */
        if (!in_long_mode(w->ctxt))
            insn->seg_override = (byte >> 3) & 3;
        return true;
    case 0x64:
    case 0x65:
        insn->seg_override = EMUL_SEG_FS + (byte & 1);
        return true;
    case 0x66:
        insn->opsize = true;
        return true;
    case 0x67:
        insn->addrsize = true;
        return true;
    case 0xf0:
        insn->lock = true;
        return true;
    case 0xf2:
    case 0xf3:
        insn->rep = byte;
        return true;
    }
    return false;
}

static int prefixes(struct window *w, uint8_t *opcode)
{
    for (;;) {
        int rc = fetch_byte(w, opcode);

        if (rc != EMUL_OKAY)
            return rc;
        if (in_long_mode(w->ctxt) && (*opcode & 0xf0) == 0x40)
            w->insn->rex = *opcode;
        else if (legacy_prefix(w, *opcode))
            w->insn->rex = 0; /* REX counts only right before the opcode */
        else
            return EMUL_OKAY;
    }
}

/* The row of an opcode in a VEX, EVEX or XOP map, NULL if that map does not exist. */
static const struct opcode *vector_row(const struct insn *insn, uint8_t op)
{
    if (insn->encoding == INSN_XOP)
        switch (insn->map) {
        case 8:
            return &emul_row_modrm_imm8;
        case 9:
            return &emul_row_modrm;
        case 10:
            return &emul_row_modrm_imm32;
        default:
            return NULL;
        }

    switch (insn->map) {
    case 1:
        if (op == 0x77)
            return insn->encoding == INSN_VEX ? &emul_row_bare : NULL;
        if ((op >= 0x70 && op <= 0x73) || op == 0xc2 || (op >= 0xc4 && op <= 0xc6))
            return &emul_row_modrm_imm8;
        if (insn->encoding == INSN_VEX && (emul_map_0f[op].flags & F_VEX))
            return &emul_map_0f[op];
        return &emul_row_modrm;
    case 2:
        if (insn->encoding == INSN_VEX && (emul_map_0f38[op].flags & F_VEX))
            return &emul_map_0f38[op];
        return &emul_row_modrm;
    case 3:
        return &emul_row_modrm_imm8;
    case 5:
    case 6:
        return insn->encoding == INSN_EVEX ? &emul_row_modrm : NULL;
    default:
        return NULL;
    }
}

/* The bytes behind C5, C4, 8F and 62: register extensions, map and prefix stand-ins, then the
 * opcode. */
static int vector_prefix(struct window *w, uint8_t escape, uint8_t *op)
{
    struct insn *insn = w->insn;
    uint8_t p0, p1 = 0, p2, last, pp;
    int rc;

    if (insn->rex || insn->lock || insn->opsize || insn->rep)
        return undefined(w);

    rc = fetch_byte(w, &p0);
    if (rc == EMUL_OKAY && escape != 0xc5)
        rc = fetch_byte(w, &p1);
    if (rc == EMUL_OKAY && escape == 0x62)
        rc = fetch_byte(w, &p2);
    if (rc != EMUL_OKAY)
        return rc;

    last = escape == 0xc5 ? p0 : p1;
    pp = last & 3;
    insn->vex_l = last & 4;
    insn->vex_reg = ~last >> 3 & 15;
    if (escape == 0xc5) {
        insn->map = 1;
        insn->rex = 0x40 | (~p0 >> 5 & 4);
    } else {
        insn->map = p0 & (escape == 0x62 ? 0x7 : 0x1f);
        insn->rex = 0x40 | (~p0 >> 5 & 7) | (p1 >> 4 & 8);
        if (escape == 0x62 && ((p0 & 8) || !(p1 & 4)))
            return undefined(w);
    }
    if (!in_long_mode(w->ctxt))
        insn->rex &= 0x48;
    insn->encoding = escape == 0x62 ? INSN_EVEX : escape == 0x8f ? INSN_XOP : INSN_VEX;
    insn->opsize = pp == 1;
    insn->rep = pp == 2 ? 0xf3 : pp == 3 ? 0xf2 : 0;

    rc = fetch_byte(w, op);
    if (rc != EMUL_OKAY)
        return rc;
    insn->row = vector_row(insn, *op);
    return insn->row ? EMUL_OKAY : undefined(w);
}

/* Is the byte after `op` the rest of a prefix, rather than ModRM of LES, LDS, BOUND or POP? */
static int is_vector_prefix(struct window *w, uint8_t op, bool *res)
{
    uint8_t next;
    int rc;

    *res = false;
    if (op != 0xc4 && op != 0xc5 && op != 0x62 && op != 0x8f)
        return EMUL_OKAY;
    rc = fetch_byte(w, &next);
    if (rc != EMUL_OKAY)
        return rc;
    w->pos--;
    if (op == 0x8f)
        *res = (next & 0x1f) >= 8 && !w->ctxt->real_mode;
    else
        *res = in_long_mode(w->ctxt) || (next >= 0xc0 && !w->ctxt->real_mode);
    return EMUL_OKAY;
}

/* Opcode bytes up to ModRM; sets opcode, map, encoding and row. */
static int opcode_bytes(struct window *w)
{
    struct insn *insn = w->insn;
    uint8_t op;
    bool vector;
    int rc = prefixes(w, &op);

    if (rc != EMUL_OKAY)
        return rc;
    rc = is_vector_prefix(w, op, &vector);
    if (rc != EMUL_OKAY)
        return rc;
    if (vector) {
        rc = vector_prefix(w, op, &op);
        insn->opcode = op;
        return rc;
    }

    insn->opcode = op;
    insn->row = &emul_map_1byte[op];
    if (op == 0x63 && !in_long_mode(w->ctxt))
        insn->row = &emul_row_arpl;
    if (op != 0x0f)
        return EMUL_OKAY;

    rc = fetch_byte(w, &op);
    if (rc != EMUL_OKAY)
        return rc;
    insn->opcode = 0x0f00 | op;
    insn->row = &emul_map_0f[op];
    insn->map = 1;
    if (op == 0x38 || op == 0x3a) {
        insn->map = op == 0x38 ? 2 : 3;
        insn->row = op == 0x38 ? emul_map_0f38 : emul_map_0f3a;
        rc = fetch_byte(w, &op);
        if (rc != EMUL_OKAY)
            return rc;
        insn->opcode = (insn->opcode << 8) | op;
        insn->row += op;
    } else if (op == 0x0f) {
        insn->encoding = INSN_3DNOW;
    } else if (op == 0x78 && (insn->opsize || insn->rep == 0xf2)) {
        insn->row = &emul_row_modrm_imm16; /* EXTRQ and INSERTQ, in VMREAD's place */
    }
    return EMUL_OKAY;
}

/* ---- sizes ---- */

static void operand_sizes(struct window *w)
{
    struct insn *insn = w->insn;
    uint32_t flags = insn->row->flags;

    if (in_long_mode(w->ctxt)) {
        insn->addr_bytes = insn->addrsize ? 4 : 8;
        if ((insn->rex & 8) || (flags & F_F64) || ((flags & F_NEAR) && !w->ctxt->amd))
            insn->op_bytes = 8;
        else if (insn->opsize)
            insn->op_bytes = 2;
        else
            insn->op_bytes = (flags & (F_D64 | F_NEAR)) ? 8 : 4;
    } else {
        bool wide = w->ctxt->addr_size == 32;

        insn->addr_bytes = (wide != insn->addrsize) ? 4 : 2;
        insn->op_bytes = (wide != insn->opsize) ? 4 : 2;
    }
}

/* ---- ModRM ---- */

static uint64_t address_reg(struct window *w, unsigned int reg)
{
    return *emul_gpr(w->ctxt->regs, reg);
}

static int modrm_address16(struct window *w)
{
    static const uint8_t base[8] = {RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX};
    struct insn *insn = w->insn;
    uint64_t disp = 0, off = 0;
    bool absolute = insn->mod == 0 && insn->rm == 6;
    unsigned int bytes = absolute ? 2 : insn->mod;
    int rc;

    if (!absolute) {
        insn->mem_base = base[insn->rm];
        off = address_reg(w, base[insn->rm]);
        if (insn->rm < 4)
            off += address_reg(w, insn->rm & 1 ? RDI : RSI);
        if (insn->mem_base == RBP)
            insn->seg = EMUL_SEG_SS;
    }
    if (bytes) {
        rc = fetch(w, bytes, &disp);
        if (rc != EMUL_OKAY)
            return rc;
    }
    insn->mem_off = off + disp;
    return EMUL_OKAY;
}

static int modrm_address(struct window *w)
{
    struct insn *insn = w->insn;
    unsigned int base = insn->modrm & 7, bytes = insn->mod == 1 ? 1 : insn->mod == 2 ? 4 : 0;
    unsigned int rex_b = (insn->rex & 1) << 3;
    uint64_t disp = 0, off = 0;
    bool no_base = false;
    int rc;

    if (base == 4) {
        uint8_t sib;
        unsigned int index;

        rc = fetch_byte(w, &sib);
        if (rc != EMUL_OKAY)
            return rc;
        base = sib & 7;
        index = (sib >> 3 & 7) | (insn->rex & 2) << 2;
        if (index != RSP)
            off = address_reg(w, index) << (sib >> 6);
        no_base = base == RBP && insn->mod == 0;
    } else if (base == RBP && insn->mod == 0) {
        no_base = true;
        insn->rip_relative = in_long_mode(w->ctxt);
    }

    if (no_base) {
        bytes = 4;
    } else {
        base |= rex_b;
        insn->mem_base = base;
        off += address_reg(w, base);
        if (base == RSP || base == RBP)
            insn->seg = EMUL_SEG_SS;
    }
    if (bytes) {
        rc = fetch(w, bytes, &disp);
        if (rc != EMUL_OKAY)
            return rc;
    }
    insn->mem_off = off + disp;
    return EMUL_OKAY;
}

/* The ModRM byte and all that hangs on it; resolves groups. */
static int modrm(struct window *w)
{
    struct insn *insn = w->insn;
    int rc;

    insn->seg = EMUL_SEG_DS;
    insn->mem_base = 0xff;
    if (!(insn->row->flags & F_MODRM))
        return EMUL_OKAY;

    rc = fetch_byte(w, &insn->modrm);
    if (rc != EMUL_OKAY)
        return rc;
    insn->has_modrm = true;
    insn->mod = insn->modrm >> 6;
    insn->reg = (insn->modrm >> 3 & 7) | (insn->rex & 4) << 1;
    insn->rm = (insn->modrm & 7) | (insn->rex & 1) << 3;

    if (insn->row->flags & F_GROUP) {
        if (insn->row->flags & F_I64 && in_long_mode(w->ctxt))
            return undefined(w);
        insn->row = insn->row->group + (insn->reg & 7) + (insn->mod == 3 ? 8 : 0);
        if (!(insn->row->flags & F_VALID))
            return undefined(w);
        operand_sizes(w);
    }
    for (unsigned int i = 0; i < 3 && insn->row->flags & F_FORM; i++) {
        enum operand_method m = OPND_METHOD(insn->row->opnd[i]);

        if (m == MT_R)
            insn->mod = 3;
        if (m == MT_M && insn->mod == 3)
            return undefined(w);
    }
    if (insn->mod == 3)
        return EMUL_OKAY;

    insn->has_mem = true;
    if (insn->addr_bytes == 2) {
        insn->rm = insn->modrm & 7;
        return modrm_address16(w);
    }
    return modrm_address(w);
}

/* ---- immediates ---- */

static unsigned int immediate_bytes(const struct insn *insn, enum operand_size size)
{
    switch (size) {
    case SZ_B:
        return 1;
    case SZ_W:
        return 2;
    case SZ_D:
        return 4;
    case SZ_V:
        return insn->op_bytes;
    default:
        return insn->op_bytes == 2 ? 2 : 4;
    }
}

static int immediates(struct window *w)
{
    struct insn *insn = w->insn;

    if (!(insn->row->flags & F_IMM))
        return EMUL_OKAY;
    for (unsigned int i = 0; i < 3; i++) {
        enum operand_size size = OPND_SIZE(insn->row->opnd[i]);
        enum operand_method method = OPND_METHOD(insn->row->opnd[i]);
        uint64_t val = 0;
        int rc = EMUL_OKAY;

        switch (method) {
        case MT_IMM:
        case MT_IMMU:
        case MT_REL:
        case MT_FAR:
            insn->imm_bytes = immediate_bytes(insn, size);
            rc = fetch(w, insn->imm_bytes, &insn->imm);
            if (rc == EMUL_OKAY && method != MT_FAR)
                break;
            if (rc == EMUL_OKAY) {
                insn->imm2_bytes = 2;
                rc = fetch(w, 2, &val);
                insn->imm2 = val;
            }
            break;
        case MT_IMM2:
            insn->imm2_bytes = 1;
            rc = fetch(w, 1, &val);
            insn->imm2 = val & 0xff;
            break;
        case MT_MOFF:
            insn->imm_bytes = insn->addr_bytes;
            rc = fetch(w, insn->imm_bytes, &insn->imm);
            insn->mem_off = insn->imm;
            insn->has_mem = true;
            break;
        default:
            break;
        }
        if (rc != EMUL_OKAY)
            return rc;
    }
    return EMUL_OKAY;
}

/* ---- all of it ---- */

int x86_decode(struct emul_ctxt *ctxt, struct insn *insn)
{
    struct window w;
    int rc;

    w.ctxt = ctxt;
    w.insn = insn;
    w.have = w.pos = 0;

    *insn = (struct insn){.seg_override = EMUL_SEG_NONE, .start = ctxt->regs->rip};
    if (!in_long_mode(ctxt))
        insn->start &= 0xffffffff;

    rc = opcode_bytes(&w);
    if (rc != EMUL_OKAY)
        return rc;
    if (!(insn->row->flags & (F_VALID | F_GROUP)))
        return undefined(&w);
    operand_sizes(&w);
    rc = modrm(&w);
    if (rc == EMUL_OKAY)
        rc = immediates(&w);
    if (rc != EMUL_OKAY)
        return rc;

    if ((insn->row->flags & F_I64 && in_long_mode(ctxt)) ||
        (insn->row->flags & F_O64 && !in_long_mode(ctxt)) ||
        (insn->row->flags & F_PROT && ctxt->real_mode) ||
        (insn->lock && !(insn->row->flags & F_LOCK && insn->has_mem)))
        return undefined(&w);

    insn->len = w.pos;
    insn->next = insn->start + insn->len;
    if (!in_long_mode(ctxt))
        insn->next &= 0xffffffff;
    if (insn->rip_relative)
        insn->mem_off += insn->next;
    insn->mem_off &= width_mask(insn->addr_bytes);
    if (insn->seg_override != EMUL_SEG_NONE)
        insn->seg = insn->seg_override;
    insn->byte_op = OPND_SIZE(insn->row->opnd[0]) == SZ_B;
    return EMUL_OKAY;
}

int emul_strip_fep(struct emul_ctxt *ctxt)
{
    static const uint8_t prefix[5] = {0x0f, 0x0b, 'x', 'e', 'n'};
    struct insn insn = {.start = ctxt->regs->rip};
    struct window w = {.ctxt = ctxt, .insn = &insn};

    for (unsigned int i = 0; i < sizeof(prefix); i++) {
        uint8_t byte;
        int rc = fetch_byte(&w, &byte);

        if (rc != EMUL_OKAY)
            return rc;
        if (byte != prefix[i])
            return EMUL_UNHANDLEABLE;
    }
    ctxt->regs->rip += sizeof(prefix);
    if (!in_long_mode(ctxt))
        ctxt->regs->rip &= 0xffffffff;
    return EMUL_OKAY;
}
