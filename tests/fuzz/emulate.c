// SPDX-License-Identifier: MIT
/*
 * Fuzzing the instruction emulator: any bytes, in any mode, with callbacks that succeed, fault,
 * refuse or give up as the input says.  Whatever happens,
 *  - an instruction has at most 15 bytes, and no byte of it is fetched twice;
 *  - what did not succeed left the registers alone, but for the progress of a string instruction;
 *  - what succeeded moved rip, unless more iterations are announced;
 *  - an exception is one that exists.
 */
#include <stdlib.h>
#include <string.h>

#include "arch/x86/emulate/private.h"

struct input {
    uint8_t mode, flags, cpl_iopl, seg_attr;
    uint64_t gpr[16];
    uint64_t rip, rflags, seg_base;
    uint32_t seg_limit;
    uint8_t code[16];
    uint8_t verdicts[64]; /* what the callbacks return, in turn; zero for the rest */
};

static struct input in;
static unsigned int turn;
static uint64_t fetched_from, fetched_to;
static bool fetched;

static void check(bool fine)
{
    if (!fine)
        abort();
}

static int verdict(struct emul_ctxt *ctxt)
{
    uint8_t v = turn < sizeof(in.verdicts) ? in.verdicts[turn++] : 0;

    switch (v) {
    case 0xff:
        return emul_pagefault(ctxt, 2, 0x1000);
    case 0xfe:
        return emul_inject(ctxt, VEC_GP, 0);
    case 0xfd:
        return EMUL_UNHANDLEABLE;
    case 0xfc:
        return EMUL_RETRY;
    }
    return EMUL_OKAY;
}

/* Something that depends on the input but not on much else. */
static void fill(void *buf, unsigned int bytes)
{
    uint8_t *p = buf;

    for (unsigned int i = 0; i < bytes; i++)
        p[i] = in.verdicts[(turn + i) % sizeof(in.verdicts)];
}

static int fetch(struct emul_ctxt *ctxt, uint64_t addr, void *buf, unsigned int bytes)
{
    int rc = verdict(ctxt);

    check(bytes && bytes <= EMUL_MAX_INSN && (addr & 0xfff) + bytes <= 0x1000);
    check(!fetched || addr == (ctxt->addr_size == 64 ? fetched_to : fetched_to & 0xffffffff));
    if (!fetched)
        fetched_from = addr;
    fetched = true;
    fetched_to = addr + bytes;
    for (unsigned int i = 0; i < bytes; i++)
        ((uint8_t *)buf)[i] = in.code[(addr + i - fetched_from) & 15];
    return rc;
}

static int mem_read(struct emul_ctxt *ctxt, enum emul_seg seg, uint64_t addr, void *buf,
                    unsigned int bytes)
{
    (void)seg;
    check(bytes && bytes <= EMUL_MAX_ACCESS);
    check(ctxt->addr_size != 64 || emul_is_canonical(ctxt, addr));
    fill(buf, bytes);
    return verdict(ctxt);
}

static int mem_write(struct emul_ctxt *ctxt, enum emul_seg seg, uint64_t addr, const void *buf,
                     unsigned int bytes)
{
    uint8_t copy[EMUL_MAX_ACCESS];

    (void)seg;
    check(bytes && bytes <= EMUL_MAX_ACCESS);
    check(ctxt->addr_size != 64 || emul_is_canonical(ctxt, addr));
    memcpy(copy, buf, bytes);
    return verdict(ctxt);
}

static int mem_cmpxchg(struct emul_ctxt *ctxt, enum emul_seg seg, uint64_t addr, void *old,
                       const void *new, unsigned int bytes, bool lock)
{
    uint8_t copy[16];

    (void)seg, (void)addr, (void)lock;
    check(bytes && bytes <= 16);
    memcpy(copy, new, bytes);
    if (turn & 1)
        fill(old, bytes);
    return verdict(ctxt);
}

static int probe(struct emul_ctxt *ctxt, enum emul_seg seg, uint64_t addr, unsigned int bytes)
{
    (void)seg, (void)addr, (void)bytes;
    return verdict(ctxt);
}

static int read_io(struct emul_ctxt *ctxt, uint16_t port, unsigned int bytes, uint32_t *val)
{
    (void)port;
    check(bytes == 1 || bytes == 2 || bytes == 4);
    fill(val, bytes);
    return verdict(ctxt);
}

static int write_io(struct emul_ctxt *ctxt, uint16_t port, unsigned int bytes, uint32_t val)
{
    (void)port;
    check((bytes == 1 || bytes == 2 || bytes == 4) && val <= width_mask(bytes));
    return verdict(ctxt);
}

static int read_reg(struct emul_ctxt *ctxt, uint32_t reg, uint64_t *val)
{
    (void)reg;
    fill(val, 8);
    return verdict(ctxt);
}

static int write_reg(struct emul_ctxt *ctxt, uint32_t reg, uint64_t val)
{
    (void)reg, (void)val;
    return verdict(ctxt);
}

static int read_tsc(struct emul_ctxt *ctxt, uint64_t *val)
{
    return read_reg(ctxt, 0, val);
}

static int cpuid(struct emul_ctxt *ctxt, uint32_t leaf, uint32_t sub, struct emul_cpuid *res)
{
    (void)leaf, (void)sub;
    fill(res, sizeof(*res));
    return verdict(ctxt);
}

static int segment(struct emul_ctxt *ctxt, enum emul_seg seg, struct emul_segment *res)
{
    check(seg < EMUL_SEG_NONE);
    *res = (struct emul_segment){.base = in.seg_base, .limit = in.seg_limit, .attr = in.seg_attr};
    if (seg == EMUL_SEG_CS)
        res->attr |= EMUL_SEG_CODE | EMUL_SEG_P | EMUL_SEG_S;
    return verdict(ctxt);
}

static int write_segment(struct emul_ctxt *ctxt, enum emul_seg seg, const struct emul_segment *val)
{
    check(seg < EMUL_SEG_NONE && (seg != EMUL_SEG_CS || (val->sel & 3) >= ctxt->cpl));
    return EMUL_OKAY;
}

static int soft_interrupt(struct emul_ctxt *ctxt, const struct insn *insn, uint8_t vector)
{
    (void)insn, (void)vector;
    return verdict(ctxt);
}

static bool vector_exists(unsigned int reg, unsigned int bytes)
{
    return reg < EMUL_MMX ? bytes == 16 || bytes == 32 : reg < EMUL_MMX + 8 && bytes == 8;
}

static int read_vector(struct emul_ctxt *ctxt, unsigned int reg, void *buf, unsigned int bytes)
{
    check(vector_exists(reg, bytes));
    fill(buf, bytes);
    return verdict(ctxt);
}

static int write_vector(struct emul_ctxt *ctxt, unsigned int reg, const void *buf,
                        unsigned int bytes)
{
    uint8_t copy[32];

    check(vector_exists(reg, bytes));
    memcpy(copy, buf, bytes);
    return verdict(ctxt);
}

static int plain(struct emul_ctxt *ctxt)
{
    return verdict(ctxt);
}

static int invlpg(struct emul_ctxt *ctxt, uint64_t addr)
{
    (void)addr;
    return verdict(ctxt);
}

static int write_if(struct emul_ctxt *ctxt, bool enable)
{
    (void)enable;
    return verdict(ctxt);
}

static const struct emul_ops all_ops = {
    .insn_fetch = fetch,
    .read = mem_read,
    .write = mem_write,
    .cmpxchg = mem_cmpxchg,
    .probe_write = probe,
    .read_io = read_io,
    .write_io = write_io,
    .read_cr = read_reg,
    .write_cr = write_reg,
    .read_dr = read_reg,
    .write_dr = write_reg,
    .read_xcr = read_reg,
    .write_xcr = write_reg,
    .read_msr = read_reg,
    .write_msr = write_reg,
    .read_tsc = read_tsc,
    .read_pmc = read_reg,
    .cpuid = cpuid,
    .write_if = write_if,
    .segment = segment,
    .write_segment = write_segment,
    .soft_interrupt = soft_interrupt,
    .read_vector = read_vector,
    .write_vector = write_vector,
    .wbinvd = plain,
    .invlpg = invlpg,
};

static const struct emul_ops few_ops = {.insn_fetch = fetch, .segment = segment, .read = mem_read};

static void check_unchanged(const struct cpu_user_regs *was, const struct cpu_user_regs *is,
                            bool string)
{
    struct cpu_user_regs expect = *was;

    if (string) {
        expect.rcx = is->rcx;
        expect.rsi = is->rsi;
        expect.rdi = is->rdi;
        expect.rax = is->rax;
        expect.rflags = is->rflags; /* bit 1 */
    }
    check(!memcmp(&expect, is, sizeof(expect)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t sizes[4] = {16, 32, 64, 64};
    struct cpu_user_regs regs, before;
    struct emul_ctxt ctxt = {.regs = &regs};
    struct insn insn;
    bool string;
    int rc;

    memset(&in, 0, sizeof(in));
    memcpy(&in, data, size < sizeof(in) ? size : sizeof(in));
    memset(&regs, 0, sizeof(regs));
    for (unsigned int i = 0; i < 16; i++)
        *emul_gpr(&regs, i) = in.gpr[i];
    regs.rip = in.rip;
    regs.rflags = in.rflags | 2;
    ctxt.ops = in.flags & 1 ? &few_ops : &all_ops;
    ctxt.addr_size = sizes[in.mode & 3];
    ctxt.sp_size = ctxt.addr_size == 64 ? 64 : in.mode & 4 ? 32 : 16;
    ctxt.cpl = in.mode & 3 || !(in.flags & 2) ? in.cpl_iopl & 3 : 0; /* real mode has 0 */
    ctxt.iopl = in.cpl_iopl >> 2 & 3;
    ctxt.real_mode = ctxt.addr_size == 16 && (in.flags & 2);
    ctxt.lma = ctxt.addr_size == 64 || (in.mode & 8);
    ctxt.la57 = in.flags & 4;
    ctxt.amd = in.flags & 8;
    ctxt.rep_max = in.flags >> 4;
    turn = 0;
    fetched = false;

    before = regs;
    rc = x86_decode(&ctxt, &insn);
    check(!memcmp(&before, &regs, sizeof(regs)));
    if (rc != EMUL_OKAY) {
        check(rc != EMUL_EXCEPTION || (ctxt.exception.pending && ctxt.exception.vector < 32));
        return 0;
    }
    check(insn.len && insn.len <= EMUL_MAX_INSN);
    check(insn.op_bytes == 2 || insn.op_bytes == 4 || insn.op_bytes == 8);
    emul_insn_writes_memory(&insn);
    string = insn.rep && insn.map == 0;

    rc = x86_emulate_insn(&ctxt, &insn);
    check(rc >= EMUL_OKAY && rc <= EMUL_RETRY);
    check(ctxt.exception.pending == (rc == EMUL_EXCEPTION));
    if (rc == EMUL_EXCEPTION)
        check(ctxt.exception.vector < 32);
    if (rc != EMUL_OKAY) {
        check_unchanged(&before, &regs, string);
        check(!ctxt.retire.hlt && !ctxt.retire.again && !ctxt.retire.singlestep);
    } else if (ctxt.retire.again) {
        check(string && regs.rip == insn.start);
    }
    return 0;
}
