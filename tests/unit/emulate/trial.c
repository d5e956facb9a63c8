// SPDX-License-Identifier: MIT
/*
 * One instruction, made by chance, through the emulator and through the processor; then everything
 * is compared: registers, vector registers, flags but for the undefined ones, memory, rip, and the
 * exception if there was one.
 *
 * What Intel's processors do in the corners (what has been changed when an instruction faults,
 * which operand faults first) is what the emulator does.
 *
 * The emulator goes first.  An instruction that it would not execute, or that reaches for memory
 * which this program does not own, is not tried on the processor.
 */
#include "trial.h"

#include <cpuid.h>
#include <stdio.h>
#include <string.h>

#include "arch/x86/emulate/private.h"
#include "native.h"

bool trial_intel;
uint64_t (*trial_random)(void);

static uint8_t code[16];
static uint64_t data_base; /* of the data segments in this mode */
static uint8_t shadow[ARENA_SIZE];
static bool stray; /* an access to memory that is not ours */
static bool split; /* an access to two cache lines */

#define USER_FAULT 4u /* what user mode adds to a page fault's error code */

static uint64_t rnd(void)
{
    return trial_random();
}

static bool chance(unsigned int one_in)
{
    return rnd() % one_in == 0;
}

/* ---- what the emulator sees ---- */

static int fetch(struct emul_ctxt *ctxt, uint64_t addr, void *buf, unsigned int bytes)
{
    uint64_t off = addr - (CODE_BASE + CODE_OFFSET);

    (void)ctxt;
    memset(buf, 0xcc, bytes);
    if (off < sizeof(code))
        memcpy(buf, code + off, bytes < sizeof(code) - off ? bytes : sizeof(code) - off);
    return EMUL_OKAY;
}

/*
 * The descriptor tables as Linux has them, and as native.c adds to them.  Which of them are marked
 * accessed, the processor says.
 */
#define GDT_ENTRIES 16

static struct emul_segment segs[4];

static uint64_t rights(uint32_t sel)
{
    uint64_t res = 0;

    asm("lar %k1, %k0" : "+r"(res) : "r"(sel) : "cc");
    return res << 32;
}

static uint64_t flat(uint64_t attr)
{
    return attr << 32 | 0x000f00000000ffff;
}

static uint64_t data16(uint64_t attr, uint64_t base)
{
    return attr << 32 | (base & 0xff000000) << 32 | (base & 0xffffff) << 16 | 0xffff;
}

static uint64_t descriptor(enum emul_seg table, unsigned int index)
{
    if (table == EMUL_SEG_LDTR)
        return index ? data16(0xf300, DATA16_BASE) : data16(0xfb00, CODE_BASE);
    switch (index) {
    case 1:
        return flat(0xc09b00);
    case 2:
        return flat(0xa09b00);
    case 3:
        return flat(0xc09300);
    case 4:
    case 5:
    case 6:
        return flat(0) | rights(index * 8 | 3);
    case 0:
    case 7:
    case 12 ... 14:
        return 0;
    default: /* task segments, LDT, the CPU's number */
        stray = true;
        return 0;
    }
}

static void load_segment(enum emul_seg seg, uint16_t sel)
{
    uint64_t d = descriptor(sel & 4 ? EMUL_SEG_LDTR : EMUL_SEG_GDTR, sel >> 3);

    segs[seg] = (struct emul_segment){.sel = sel,
                                      .base = (d >> 16 & 0xffffff) | (d >> 56) << 24,
                                      .limit = d >> 55 & 1 ? 0xffffffff : 0xffff,
                                      .attr = (d >> 40 & 0xff) | (d >> 44 & 0xf00)};
}

static void load_segments(unsigned int mode)
{
    uint16_t data = mode == 16 ? NATIVE_DS16 : NATIVE_DS32;

    load_segment(EMUL_SEG_ES, data);
    load_segment(EMUL_SEG_SS, data);
    load_segment(EMUL_SEG_DS, data);
    load_segment(EMUL_SEG_CS, mode == 64 ? NATIVE_CS64 : mode == 32 ? NATIVE_CS32 : NATIVE_CS16);
}

static int touch(struct emul_ctxt *ctxt, uint64_t addr, unsigned int bytes, bool write)
{
    uint64_t first_bad;

    split |= (addr & 63) + bytes > 64;
    if (addr - ARENA_BASE <= ARENA_SIZE - bytes)
        return EMUL_OKAY;
    if (addr < ARENA_BASE || addr >= ARENA_BASE + ARENA_SIZE)
        first_bad = addr;
    else
        first_bad = ARENA_BASE + ARENA_SIZE;
    /* The lowest pages are never mapped, the guards neither. */
    if (first_bad >= 0x10000 - 16 && (first_bad < ARENA_BASE - ARENA_GUARD ||
                                      first_bad >= ARENA_BASE + ARENA_SIZE + ARENA_GUARD - 16)) {
        stray = true;
        return EMUL_UNHANDLEABLE;
    }
    return emul_pagefault(ctxt, USER_FAULT | (write ? 2 : 0), first_bad);
}

static int mem_read(struct emul_ctxt *ctxt, enum emul_seg seg, uint64_t addr, void *buf,
                    unsigned int bytes)
{
    int rc;

    if (seg == EMUL_SEG_GDTR || seg == EMUL_SEG_LDTR) {
        *(uint64_t *)buf = descriptor(seg, addr / 8);
        return stray ? EMUL_UNHANDLEABLE : EMUL_OKAY;
    }
    rc = touch(ctxt, addr, bytes, false);
    if (rc == EMUL_OKAY)
        memcpy(buf, shadow + (addr - ARENA_BASE), bytes);
    return rc;
}

static int mem_write(struct emul_ctxt *ctxt, enum emul_seg seg, uint64_t addr, const void *buf,
                     unsigned int bytes)
{
    int rc = touch(ctxt, addr, bytes, true);

    (void)seg;
    if (rc == EMUL_OKAY)
        memcpy(shadow + (addr - ARENA_BASE), buf, bytes);
    return rc;
}

static int mem_cmpxchg(struct emul_ctxt *ctxt, enum emul_seg seg, uint64_t addr, void *old,
                       const void *new, unsigned int bytes, bool lock)
{
    int rc = touch(ctxt, addr, bytes, true);
    uint8_t *mem;

    (void)seg, (void)lock;
    if (rc != EMUL_OKAY)
        return rc;
    mem = shadow + (addr - ARENA_BASE);
    if (!memcmp(mem, old, bytes))
        memcpy(mem, new, bytes);
    else
        memcpy(old, mem, bytes);
    return EMUL_OKAY;
}

static int mem_probe(struct emul_ctxt *ctxt, enum emul_seg seg, uint64_t addr, unsigned int bytes)
{
    (void)seg;
    return touch(ctxt, addr, bytes, true);
}

static int host_cpuid(struct emul_ctxt *ctxt, uint32_t leaf, uint32_t sub, struct emul_cpuid *res)
{
    (void)ctxt;
    __cpuid_count(leaf, sub, res->a, res->b, res->c, res->d);
    return EMUL_OKAY;
}

static int segment(struct emul_ctxt *ctxt, enum emul_seg seg, struct emul_segment *res)
{
    (void)ctxt;
    switch (seg) {
    case EMUL_SEG_ES:
    case EMUL_SEG_CS:
    case EMUL_SEG_SS:
    case EMUL_SEG_DS:
        *res = segs[seg];
        return EMUL_OKAY;
    case EMUL_SEG_GDTR:
        *res = (struct emul_segment){.limit = GDT_ENTRIES * 8 - 1};
        return EMUL_OKAY;
    case EMUL_SEG_LDTR:
        *res = (struct emul_segment){.limit = 2 * 8 - 1, .attr = EMUL_SEG_P};
        return EMUL_OKAY;
    default:
        return EMUL_UNHANDLEABLE;
    }
}

/* FS and GS are the test program's. */
static int write_segment(struct emul_ctxt *ctxt, enum emul_seg seg, const struct emul_segment *val)
{
    (void)ctxt;
    if (seg > EMUL_SEG_DS)
        return EMUL_UNHANDLEABLE;
    segs[seg] = *val;
    return EMUL_OKAY;
}

static uint8_t vectors[24][32];

static int read_vector(struct emul_ctxt *ctxt, unsigned int reg, void *buf, unsigned int bytes)
{
    (void)ctxt;
    memcpy(buf, vectors[reg], bytes);
    return EMUL_OKAY;
}

static int write_vector(struct emul_ctxt *ctxt, unsigned int reg, const void *buf,
                        unsigned int bytes)
{
    (void)ctxt;
    memcpy(vectors[reg], buf, bytes);
    return EMUL_OKAY;
}

/* As every system sets them for its programs. */
static int read_cr(struct emul_ctxt *ctxt, unsigned int reg, uint64_t *val)
{
    (void)ctxt;
    *val = reg == 4 ? 0x600 | (native_has_avx() ? 0x40000 : 0) : reg ? 0 : 0x80050033;
    return EMUL_OKAY;
}

static int read_xcr(struct emul_ctxt *ctxt, uint32_t reg, uint64_t *val)
{
    (void)ctxt, (void)reg;
    *val = 7;
    return EMUL_OKAY;
}

static const struct emul_ops ops = {
    .insn_fetch = fetch,
    .read = mem_read,
    .write = mem_write,
    .cmpxchg = mem_cmpxchg,
    .probe_write = mem_probe,
    .cpuid = host_cpuid,
    .segment = segment,
    .write_segment = write_segment,
    .read_cr = read_cr,
    .read_xcr = read_xcr,
    .read_vector = read_vector,
    .write_vector = write_vector,
};

/* ---- making instructions ---- */

static void poke(uint64_t linear, uint64_t val, unsigned int bytes)
{
    if (linear - ARENA_BASE <= ARENA_SIZE - bytes)
        memcpy(arena + (linear - ARENA_BASE), &val, bytes);
}

static uint64_t interesting(void)
{
    static const uint64_t edges[] = {0,          1,      ~0ull,      0x80,       0x7f,
                                     0x8000,     0x7fff, 0x80000000, 0x7fffffff, 1ull << 63,
                                     ~0ull >> 1, 0xff,   0xffff,     0xffffffff};
    uint64_t v = rnd();

    switch (rnd() % 8) {
    case 0:
    case 1:
        return edges[v % (sizeof(edges) / sizeof(edges[0]))];
    case 2:
        return v & 0xff;
    case 3:
        return (int64_t)v >> (rnd() & 63);
    case 4:
        return ARENA_BASE - data_base + v % ARENA_SIZE;
    default:
        return v;
    }
}

/* An address for a memory operand: mostly well inside, sometimes over the edge. */
static uint64_t target(void)
{
    uint64_t start = ARENA_BASE - data_base;

    switch (rnd() % 16) {
    case 0:
        return start + ARENA_SIZE - rnd() % 12;
    case 1:
        return start - rnd() % 12;
    case 2:
        return start + (rnd() % (ARENA_SIZE - 64) & ~15ul);
    case 3: /* the end of a segment of 64 KB */
        if (data_base)
            return 0x10000 - rnd() % 12;
        /* fall through */
    default:
        return start + 0x100 + rnd() % (ARENA_SIZE - 0x200);
    }
}

static void make_registers(struct cpu_user_regs *regs, unsigned int mode)
{
    for (unsigned int i = 0; i < 16; i++)
        *emul_gpr(regs, i) = interesting();
    regs->rsp = target() & ~7ul;
    if (chance(8))
        regs->rsp += rnd() & 7;
    if (chance(2))
        regs->rsi = target();
    if (chance(2))
        regs->rdi = target();
    if (chance(2))
        regs->rcx = rnd() % 10;
    if (mode < 64)
        for (unsigned int i = 0; i < 16; i++)
            *emul_gpr(regs, i) &= i < 8 ? 0xffffffff : 0;
    regs->rip = CODE_OFFSET + (mode == 16 ? 0 : CODE_BASE);
    regs->rflags = FL_1 | FL_IF | (rnd() & (FL_ARITH | FL_DF));
}

/* A VEX prefix, in the first map mostly without a third register, and of a form that exists. */
static void make_vex(unsigned int pos, unsigned int map)
{
    uint8_t last = rnd();

    if (map == 1 && !chance(4))
        last |= 0x78;
    if (map == 2 && !chance(8))
        last = (last & ~3) | 1;
    code[pos] = map == 1 ? 0xc4 + (rnd() & 1) : 0xc4;
    if (code[pos] == 0xc4)
        code[++pos] = 0xc0 | (rnd() & 0x20) | map;
    else
        last |= 0x80;
    code[pos + 1] = last;
}

static bool vex_row(uint32_t opcode)
{
    const struct opcode *map = opcode >> 8 == 0x0f ? emul_map_0f : emul_map_0f38;

    return opcode > 0xff && (map[opcode & 0xff].flags & F_VEX);
}

/* Prefixes, the opcode, and random bytes behind. */
static void make_code(unsigned int mode, uint32_t opcode)
{
    unsigned int pos = 0;

    for (unsigned int i = 0; i < sizeof(code); i++)
        code[i] = rnd();
    if (chance(4))
        code[pos++] = 0x66;
    if (chance(8))
        code[pos++] = 0x67;
    if (chance(6))
        code[pos++] = 0xf0;
    if (chance(6))
        code[pos++] = 0xf2 | (rnd() & 1);
    if (chance(12))
        code[pos++] = 0x26 | (rnd() & 3) << 3;
    if (mode == 64 && chance(2))
        code[pos++] = 0x40 | (rnd() & 0xf);
    if (vex_row(opcode) && chance(2)) {
        make_vex(pos, opcode > 0xffff ? 2 : 1);
        pos += code[pos] == 0xc4 ? 3 : 2;
    } else {
        if (opcode > 0xffff)
            code[pos++] = opcode >> 16;
        if (opcode > 0xff)
            code[pos++] = opcode >> 8;
    }
    code[pos++] = opcode;
}

/* Make the memory operand point to somewhere useful, by its base register or its displacement. */
static void aim(struct emul_ctxt *ctxt, const struct insn *insn)
{
    uint64_t by = target() - insn->mem_off;
    uint8_t *disp;

    if (insn->row->exec == emul_op_masked_bytes && !chance(8))
        *emul_gpr(ctxt->regs, RDI) = target();
    if (!insn->has_mem)
        return;
    if (insn->mem_base != 0xff) {
        uint64_t *reg = emul_gpr(ctxt->regs, insn->mem_base), mask = width_mask(insn->addr_bytes);

        *reg = (*reg & ~mask) | ((*reg + by) & mask);
        if (ctxt->addr_size < 64)
            *reg &= 0xffffffff;
    } else {
        unsigned int width = insn->has_modrm && insn->addr_bytes > 2 ? 4 : insn->addr_bytes;
        uint64_t val = 0;

        disp = code + insn->len - width;
        if (insn->has_modrm)
            disp -= insn->imm_bytes + insn->imm2_bytes;
        memcpy(&val, disp, width);
        val += by;
        memcpy(disp, &val, width);
    }
    /* Keep the bit offset of BT from straying. */
    if (insn->row->flags & F_BITOFF && chance(4))
        *emul_gpr(ctxt->regs, insn->reg) &= 0x1ff;
}

/* Selectors that mean something, or just do not. */
static uint16_t some_selector(void)
{
    static const uint8_t index[] = {0, 1, 2, 3, 4, 4, 4, 5, 5, 5, 6, 6, 6, 7, 13, 16};
    unsigned int sel = index[rnd() % sizeof(index)] << 3 | (chance(4) ? rnd() & 3 : 3);

    if (chance(4))
        sel = (rnd() % 3) << 3 | 4 | (sel & 3);
    return sel;
}

/* Put selectors where the instruction will look for them. */
static void aim_selectors(struct emul_ctxt *ctxt, const struct insn *insn)
{
    emul_exec_fn *exec = insn->row->exec;
    uint64_t mem = insn->mem_off + data_base, sp = ctxt->regs->rsp;
    unsigned int bytes = insn->op_bytes;
    uint16_t sel = some_selector();

    if (exec == emul_op_mov_to_seg || exec == emul_op_ask_descriptor || exec == emul_op_verify) {
        if (insn->has_mem)
            poke(mem, sel, 2);
        else
            *emul_gpr(ctxt->regs, insn->rm) = sel;
    } else if (exec == emul_op_load_far || exec == emul_op_jmp_far || exec == emul_op_call_far) {
        if (insn->has_mem)
            poke(mem + bytes, sel, 2);
        else
            memcpy(code + insn->len - 2, &sel, 2);
    } else if (exec == emul_op_pop_seg || exec == emul_op_ret_far || exec == emul_op_iret) {
        sp = (sp & width_mask(ctxt->sp_size / 8)) + data_base;
        for (unsigned int i = 0; i < 5; i++)
            poke(sp + i * bytes,
                 i == 0 || i == 3 ? chance(6) ? interesting() : target() : some_selector(), bytes);
    }
}

/* ---- what may differ ---- */

static uint64_t undefined_shift(const struct insn *insn, unsigned int count, unsigned int bits)
{
    uint64_t fl = FL_AF;

    if (count != 1)
        fl |= FL_OF;
    if (count > bits)
        fl |= FL_ARITH;
    (void)insn;
    return count ? fl : 0;
}

static uint64_t undefined_flags(const struct insn *insn, const struct cpu_user_regs *before)
{
    unsigned int bits = insn->byte_op ? 8 : insn->op_bytes * 8;
    unsigned int mask = bits == 64 ? 63 : 31;
    uint32_t op = insn->opcode;

    switch (op) {
    case 0xc0:
    case 0xc1:
    case 0xd0 ... 0xd3: {
        unsigned int count = (op < 0xd0 ? insn->imm : op < 0xd2 ? 1 : before->rcx) & mask;

        if ((insn->reg & 7) >= 4)
            return undefined_shift(insn, count, bits) & ~(count <= bits ? FL_CF : 0);
        return count > 1 ? FL_OF : 0;
    }
    case 0x0fa4:
    case 0x0fac:
        return undefined_shift(insn, insn->imm & mask, bits);
    case 0x0fa5:
    case 0x0fad:
        return undefined_shift(insn, before->rcx & mask, bits);
    case 0xf6:
    case 0xf7:
        if ((insn->reg & 7) >= 6)
            return FL_ARITH;
        return (insn->reg & 7) >= 4 ? FL_SF | FL_ZF | FL_AF | FL_PF : FL_AF * ((insn->reg & 7) < 2);
    case 0x69:
    case 0x6b:
    case 0x0faf:
        return FL_SF | FL_ZF | FL_AF | FL_PF;
    case 0x0fa3:
    case 0x0fab:
    case 0x0fb3:
    case 0x0fbb:
    case 0x0fba:
        return FL_OF | FL_SF | FL_AF | FL_PF;
    case 0x0fbc:
    case 0x0fbd:
        return FL_OF | FL_SF | FL_AF | FL_PF | (insn->rep == 0xf3 ? 0 : FL_CF);
    case 0x08 ... 0x0d:
    case 0x20 ... 0x25:
    case 0x30 ... 0x35:
    case 0x80 ... 0x85:
    case 0xa8:
    case 0xa9: /* logical, or among them */
        return FL_AF;
    case 0x27:
    case 0x2f:
        return FL_OF;
    case 0x37:
    case 0x3f:
        return FL_OF | FL_SF | FL_ZF | FL_PF;
    case 0xd4:
    case 0xd5:
        return FL_OF | FL_AF | FL_CF;
    }
    return 0;
}

/* Results, not just flags, that the manual leaves open. */
static bool undefined_result(const struct insn *insn, const struct cpu_user_regs *before)
{
    uint64_t count;

    switch (insn->opcode) {
    case 0x0fa4:
    case 0x0fac:
        count = insn->imm;
        break;
    case 0x0fa5:
    case 0x0fad:
        count = before->rcx;
        break;
    default:
        return false;
    }
    return insn->op_bytes == 2 && (count & 31) > 16;
}

/*
 * Where processors differ, or differ from the manual:
 *  - CALL to a non-canonical address, or beyond the limit, has pushed before it faults;
 *  - CMPXCHG16B of a misaligned and non-canonical address finds fault with the one or the other
 * first;
 *  - POPA that faults has loaded some registers;
 *  - of moves by a mask that fault, which element is named and whether its limit or its page;
 *  - 32-bit accesses that wrap at 4 GB, beyond a limit of 4 GB, are not everywhere #GP.
 */
static bool unlike_others(const struct emul_ctxt *ctxt, const struct insn *insn)
{
    if (!ctxt->exception.pending || !insn->row)
        return false;
    return (insn->opcode == 0xff && (insn->reg & 6) == 2) || insn->opcode == 0xe8 ||
           insn->opcode == 0x9a || insn->opcode == 0x61 || insn->opcode == 0x0fc7 ||
           ((insn->row->exec == emul_op_masked_move || insn->row->exec == emul_op_masked_bytes) &&
            ctxt->exception.vector != VEC_UD) ||
           (ctxt->addr_size == 32 && !ctxt->exception.error_code &&
            (ctxt->exception.vector == VEC_GP || ctxt->exception.vector == VEC_SS));
}

/* ---- one try ---- */

static void report(const struct insn *insn, unsigned int mode, const struct cpu_user_regs *before,
                   const struct cpu_user_regs *emulated, const struct machine *real, int rc,
                   const struct emul_ctxt *ctxt)
{
    static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

    printf("%u-bit:", mode);
    for (unsigned int i = 0; i < insn->len; i++)
        printf(" %02x", code[i]);
    printf("  (emulated: rc %d vector %d error %x cr2 %lx; real: vector %d error %lx cr2 %lx)\n",
           rc, ctxt->exception.pending ? ctxt->exception.vector : -1, ctxt->exception.error_code,
           (long)ctxt->exception.cr2, real->vector, (long)real->error_code, (long)real->cr2);
    for (unsigned int i = 0; i < 16; i++) {
        uint64_t was = *emul_gpr((struct cpu_user_regs *)before, i);
        uint64_t now = *emul_gpr((struct cpu_user_regs *)emulated, i);

        if (was != now || now != real->gpr[i])
            printf("    %s: %016lx -> %016lx, really %016lx\n", names[i], (long)was, (long)now,
                   (long)real->gpr[i]);
    }
    printf("    flags: %lx -> %lx, really %lx; rip +%ld, really +%ld\n", (long)before->rflags,
           (long)emulated->rflags, (long)real->flags, (long)(emulated->rip - before->rip),
           (long)(real->rip - before->rip));
    printf("    es %x, really %x; cs %x, really %x; ss %x, really %x; ds %x, really %x\n",
           segs[0].sel, real->sel[0], segs[1].sel, real->sel[1], segs[2].sel, real->sel[2],
           segs[3].sel, real->sel[3]);
    for (unsigned int i = 0; i < 24; i++)
        if (memcmp(vectors[i], real->vector_regs[i], i < EMUL_MMX ? 32 : 8))
            printf("    vector register %u differs\n", i);
    for (unsigned int i = 0; i < ARENA_SIZE; i++)
        if (shadow[i] != arena[i]) {
            printf("    memory differs at +%x: %02x, really %02x\n", i, shadow[i], arena[i]);
            break;
        }
}

static bool same_vectors(const struct machine *real, unsigned int mode)
{
    for (unsigned int i = 0; i < (mode == 64 ? 16 : 8); i++)
        if (memcmp(vectors[i], real->vector_regs[i], native_has_avx() ? 32 : 16))
            return false;
    for (unsigned int i = EMUL_MMX; i < EMUL_MMX + 8; i++)
        if (memcmp(vectors[i], real->vector_regs[i], 8))
            return false;
    return true;
}

static bool same_selectors(const struct machine *real)
{
    for (unsigned int i = 0; i < 4; i++)
        /* On the way into the signal's handler null selectors lose their RPL. */
        if (segs[i].sel != real->sel[i] && (segs[i].sel > 3 || real->sel[i] > 3))
            return false;
    return true;
}

static bool same(const struct insn *insn, const struct cpu_user_regs *before,
                 const struct cpu_user_regs *emulated, const struct machine *real,
                 const struct emul_ctxt *ctxt)
{
    uint64_t ignored = FL_RF | undefined_flags(insn, before);
    bool cut;

    /* What is undefined may also be too long, and then it is a matter of taste which is seen first.
     */
    if (!insn->row && real->vector == VEC_GP)
        return true;
    if (ctxt->exception.pending) {
        if (real->vector != ctxt->exception.vector)
            return false;
        if (real->vector == VEC_PF && real->cr2 != ctxt->exception.cr2)
            return false;
        if (ctxt->exception.has_error && real->error_code != ctxt->exception.error_code)
            return false;
    } else if (real->vector != -1) {
        return false;
    }
    /* With 32-bit addresses, Intel cuts the registers of a repeated instruction even if none is
     * used. */
    cut = insn->rep && insn->addr_bytes == 4;
    for (unsigned int i = 0; i < 16; i++) {
        uint64_t val = *emul_gpr((struct cpu_user_regs *)emulated, i);

        if (val != real->gpr[i] && !(cut && (uint32_t)val == real->gpr[i]))
            return false;
    }
    return real->rip == emulated->rip && !((real->flags ^ emulated->rflags) & ~ignored) &&
           !memcmp(shadow, arena, ARENA_SIZE) && same_vectors(real, ctxt->addr_size) &&
           same_selectors(real);
}

/* Where the system's tables are is the system's secret; some of them keep it, some do not. */
static bool systems_own(const struct insn *insn)
{
    return insn->row->exec == emul_op_store_table || insn->row->exec == emul_op_store_selector;
}

enum verdict trial(unsigned int mode, uint32_t opcode)
{
    struct cpu_user_regs before = {0}, regs;
    struct emul_ctxt ctxt = {.regs = &before,
                             .ops = &ops,
                             .addr_size = mode,
                             .sp_size = mode,
                             .cpl = 3,
                             .lma = true,
                             .rep_max = 1000,
                             .amd = !trial_intel};
    struct machine real;
    struct insn insn;
    int rc;

    data_base = mode == 16 ? DATA16_BASE : 0;
    load_segments(mode);
    stray = false;
    make_registers(&before, mode);
    make_code(mode, opcode);
    if (x86_decode(&ctxt, &insn) != EMUL_OKAY) {
        if (!ctxt.exception.pending || chance(16))
            return TRIAL_SKIPPED;
    } else {
        if (!emul_insn_is_executable(&insn) || emul_insn_is_privop(&insn) || systems_own(&insn))
            return TRIAL_SKIPPED;
        if (!chance(32))
            aim(&ctxt, &insn);
    }
    /* A repeated instruction runs to its end, or for one iteration; others always for one step. */
    if (!insn.rep || chance(2))
        before.rflags |= FL_TF;

    for (unsigned int i = 0; i < ARENA_SIZE; i += 8)
        *(uint64_t *)(arena + i) = chance(4) ? interesting() : rnd();
    if (x86_decode(&ctxt, &insn) == EMUL_OKAY)
        aim_selectors(&ctxt, &insn);
    memcpy(shadow, arena, ARENA_SIZE);
    for (unsigned int i = 0; i < sizeof(vectors); i += 8)
        *(uint64_t *)((uint8_t *)vectors + i) = rnd();
    memcpy(real.vector_regs, vectors, sizeof(vectors));

    stray = split = false;
    regs = before;
    ctxt.regs = &regs;
    rc = x86_decode(&ctxt, &insn);
    if (rc == EMUL_OKAY)
        rc = x86_emulate_insn(&ctxt, &insn);
    else
        insn.len = 15, insn.row = NULL;
    /* Linux has programs wait that lock two cache lines, whether the access faults or not. */
    if (split && rc != EMUL_UNHANDLEABLE && insn.row &&
        (insn.lock || insn.row->exec == emul_op_xchg))
        return TRIAL_SKIPPED;
    if (stray || (rc != EMUL_OKAY && rc != EMUL_EXCEPTION) || (regs.rflags & FL_AC) ||
        (rc == EMUL_OKAY && undefined_result(&insn, &before)) || unlike_others(&ctxt, &insn) ||
        (ctxt.retire.again && !(before.rflags & FL_TF)))
        return TRIAL_SKIPPED;
    /* No trap follows what loads SS, nor may there be one to keep IRET's flags from being seen. */
    if (rc == EMUL_OKAY && ctxt.retire.mov_ss)
        before.rflags &= ~(uint64_t)FL_TF, regs.rflags &= ~(uint64_t)FL_TF;
    /* Without the trap flag a branch would run away. */
    if (rc == EMUL_OKAY && !(before.rflags & FL_TF) && regs.rip != before.rip + insn.len)
        before.rflags |= FL_TF, regs.rflags |= insn.opcode == 0xcf ? 0 : FL_TF;

    for (unsigned int i = 0; i < 16; i++)
        real.gpr[i] = *emul_gpr(&before, i);
    real.vector = -1;
    real.flags = before.rflags;
    native_run(&real, mode, code, insn.len);
    /* Whether MASKMOVQ and MASKMOVDQU fault for bytes that they leave alone is up to the CPU. */
    if (rc == EMUL_OKAY && insn.row->exec == emul_op_masked_bytes && real.vector == VEC_PF)
        return TRIAL_SKIPPED;
    if (same(&insn, &before, &regs, &real, &ctxt))
        return TRIAL_SAME;
    report(&insn, mode, &before, &regs, &real, rc, &ctxt);
    return TRIAL_DIFFERENT;
}

bool trial_worth(uint32_t opcode)
{
    const struct opcode *row;

    if (opcode > 0xffff)
        row = &emul_map_0f38[opcode & 0xff];
    else if (opcode > 0xff)
        row = &emul_map_0f[opcode & 0xff];
    else
        row = &emul_map_1byte[opcode];
    if (row->flags & F_GROUP)
        return true;
    return row->flags & F_VALID && row->exec && !(row->flags & F_PRIVOP);
}

bool trial_setup(void)
{
    unsigned int eax, ebx, ecx, edx;

    __cpuid(0, eax, ebx, ecx, edx);
    trial_intel = ebx == signature_INTEL_ebx;
    return native_setup();
}
