// SPDX-License-Identifier: MIT
/*
 * What neither a disassembler nor user mode can check: privileged instructions and the callbacks
 * they make, when registers are committed and when not, repeated instructions in chunks, contended
 * read-modify-writes, segmentation, fetching, and the forced-emulation prefix.
 *
 * The guest is 64 KB of memory at linear 0, its code at CODE.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/emulate/emulate.h"

#define CODE 0x2000u
#define DATA 0x4000u

#define CF 0x1u
#define ZF 0x40u
#define TF 0x100u
#define IF 0x200u
#define DF 0x400u

static uint8_t mem[0x10000];
static uint64_t unmapped; /* accesses at and beyond it fault */
static struct cpu_user_regs regs;
static struct emul_ctxt ctxt;
static struct emul_ops ops;
static struct emul_segment segs[6];

/* The last callback, and how many there were. */
static struct {
    const char *what;
    unsigned int calls, reads, writes, fetches, cmpxchgs;
    uint64_t reg, val;
    unsigned int bytes;
    bool lock;
    unsigned int interfere; /* so many cmpxchg find memory changed */
    int rc;                 /* what privileged callbacks return */
} seen;

/* ---- the callbacks ---- */

static int access_ok(struct emul_ctxt *c, uint64_t addr, unsigned int bytes, uint32_t error)
{
    if (addr + bytes > unmapped)
        return emul_pagefault(c, error, addr < unmapped ? unmapped : addr);
    assert_true(addr + bytes <= sizeof(mem));
    return EMUL_OKAY;
}

static int op_fetch(struct emul_ctxt *c, uint64_t addr, void *buf, unsigned int bytes)
{
    int rc = access_ok(c, addr, 1, 0x10);

    seen.fetches++;
    assert_true((addr & 0xfff) + bytes <= 0x1000);
    if (rc == EMUL_OKAY)
        memcpy(buf, mem + addr, bytes);
    return rc;
}

static int op_read(struct emul_ctxt *c, enum emul_seg seg, uint64_t addr, void *buf,
                   unsigned int bytes)
{
    int rc = access_ok(c, addr, bytes, 0);

    (void)seg;
    seen.reads++;
    if (rc == EMUL_OKAY)
        memcpy(buf, mem + addr, bytes);
    return rc;
}

static int op_write(struct emul_ctxt *c, enum emul_seg seg, uint64_t addr, const void *buf,
                    unsigned int bytes)
{
    int rc = access_ok(c, addr, bytes, 2);

    (void)seg;
    seen.writes++;
    if (rc == EMUL_OKAY)
        memcpy(mem + addr, buf, bytes);
    return rc;
}

static int op_cmpxchg(struct emul_ctxt *c, enum emul_seg seg, uint64_t addr, void *old,
                      const void *new, unsigned int bytes, bool lock)
{
    int rc = access_ok(c, addr, bytes, 2);

    (void)seg;
    seen.cmpxchgs++;
    seen.lock = lock;
    seen.bytes = bytes;
    if (rc != EMUL_OKAY)
        return rc;
    if (seen.interfere) {
        seen.interfere--;
        mem[addr]++;
    }
    if (!memcmp(mem + addr, old, bytes))
        memcpy(mem + addr, new, bytes);
    else
        memcpy(old, mem + addr, bytes);
    return EMUL_OKAY;
}

static int op_probe(struct emul_ctxt *c, enum emul_seg seg, uint64_t addr, unsigned int bytes)
{
    (void)seg;
    return access_ok(c, addr, bytes, 2);
}

static int note(const char *what, uint64_t reg, uint64_t val, unsigned int bytes)
{
    seen.what = what;
    seen.calls++;
    seen.reg = reg;
    seen.val = val;
    seen.bytes = bytes;
    return seen.rc;
}

static int op_read_io(struct emul_ctxt *c, uint16_t port, unsigned int bytes, uint32_t *val)
{
    (void)c;
    *val = 0xdeadbeef + seen.calls;
    return note("in", port, 0, bytes);
}

static int op_write_io(struct emul_ctxt *c, uint16_t port, unsigned int bytes, uint32_t val)
{
    (void)c;
    return note("out", port, val, bytes);
}

#define GETTER(name, type, result)                                                                 \
    static int op_##name(struct emul_ctxt *c, type reg, uint64_t *val)                             \
    {                                                                                              \
        (void)c;                                                                                   \
        *val = (result);                                                                           \
        return note(#name, reg, 0, 0);                                                             \
    }
#define SETTER(name, type)                                                                         \
    static int op_##name(struct emul_ctxt *c, type reg, uint64_t val)                              \
    {                                                                                              \
        (void)c;                                                                                   \
        return note(#name, reg, val, 0);                                                           \
    }

static uint64_t cr[9];
GETTER(read_cr, unsigned int, cr[reg])
SETTER(write_cr, unsigned int)
GETTER(read_dr, unsigned int, 0xd00 + reg)
SETTER(write_dr, unsigned int)
GETTER(read_xcr, uint32_t, 0x500000007)
SETTER(write_xcr, uint32_t)
GETTER(read_msr, uint32_t, 0x1122334455667788)
SETTER(write_msr, uint32_t)
GETTER(read_pmc, uint32_t, 0xaabbccdd11)

static int op_read_tsc(struct emul_ctxt *c, uint64_t *val)
{
    (void)c;
    *val = 0x123456789a;
    return note("tsc", 0, 0, 0);
}

static int op_cpuid(struct emul_ctxt *c, uint32_t leaf, uint32_t sub, struct emul_cpuid *res)
{
    (void)c;
    *res = (struct emul_cpuid){leaf + 1, sub + 2, 3, 4};
    return note("cpuid", leaf, sub, 0);
}

static int op_segment(struct emul_ctxt *c, enum emul_seg seg, struct emul_segment *res)
{
    (void)c;
    *res = segs[seg];
    return EMUL_OKAY;
}

static int op_wbinvd(struct emul_ctxt *c)
{
    (void)c;
    return note("wbinvd", 0, 0, 0);
}

static int op_invlpg(struct emul_ctxt *c, uint64_t addr)
{
    (void)c;
    return note("invlpg", addr, 0, 0);
}

static int op_write_if(struct emul_ctxt *c, bool enable)
{
    (void)c;
    return note("write_if", 0, enable, 0);
}

static int refuse(struct emul_ctxt *c, const struct insn *insn)
{
    (void)c;
    return emul_insn_is_privop(insn) ? EMUL_OKAY : EMUL_UNHANDLEABLE;
}

/* ---- fixture ---- */

static int setup(void **state)
{
    (void)state;
    memset(mem, 0xcc, sizeof(mem));
    memset(&seen, 0, sizeof(seen));
    memset(&regs, 0, sizeof(regs));
    memset(cr, 0, sizeof(cr));
    unmapped = sizeof(mem);
    ops = (struct emul_ops){
        .insn_fetch = op_fetch,
        .read = op_read,
        .write = op_write,
        .cmpxchg = op_cmpxchg,
        .probe_write = op_probe,
        .read_io = op_read_io,
        .write_io = op_write_io,
        .read_cr = op_read_cr,
        .write_cr = op_write_cr,
        .read_dr = op_read_dr,
        .write_dr = op_write_dr,
        .read_xcr = op_read_xcr,
        .write_xcr = op_write_xcr,
        .read_msr = op_read_msr,
        .write_msr = op_write_msr,
        .read_tsc = op_read_tsc,
        .read_pmc = op_read_pmc,
        .cpuid = op_cpuid,
        .segment = op_segment,
        .wbinvd = op_wbinvd,
        .invlpg = op_invlpg,
    };
    ctxt = (struct emul_ctxt){.regs = &regs, .ops = &ops, .addr_size = 64, .sp_size = 64};
    for (unsigned int i = 0; i < 6; i++)
        segs[i] = (struct emul_segment){.limit = 0xffff,
                                        .sel = 8 * i,
                                        .attr = EMUL_SEG_P | EMUL_SEG_S |
                                                (i == EMUL_SEG_CS ? EMUL_SEG_CODE | 3 : 3)};
    regs.rip = CODE;
    regs.rsp = 0x8000;
    regs.rflags = 2;
    return 0;
}

/* Put the code in place and run one instruction. */
static int run(const char *code, size_t len)
{
    memcpy(mem + (regs.rip & 0xffff), code, len);
    return x86_emulate(&ctxt);
}

#define RUN(bytes) run(bytes, sizeof(bytes) - 1)

#define assert_done(bytes)                                                                         \
    do {                                                                                           \
        uint64_t from = regs.rip;                                                                  \
        assert_int_equal(RUN(bytes), EMUL_OKAY);                                                   \
        assert_int_equal(regs.rip, from + sizeof(bytes) - 1);                                      \
    } while (0)

static void assert_fault(int rc, unsigned int vector, uint32_t error)
{
    assert_int_equal(rc, EMUL_EXCEPTION);
    assert_true(ctxt.exception.pending);
    assert_int_equal(ctxt.exception.vector, vector);
    assert_int_equal(ctxt.exception.error_code, error);
}

static void assert_seen(const char *what, uint64_t reg, uint64_t val)
{
    assert_non_null(seen.what);
    assert_string_equal(seen.what, what);
    assert_int_equal(seen.reg, reg);
    assert_int_equal(seen.val, val);
}

/* ---- page-table writes ---- */

static uint64_t *entry(void)
{
    return (uint64_t *)(mem + DATA);
}

static void memory_writes(void **state)
{
    (void)state;
    regs.rdi = DATA;
    regs.rax = 0x1234567;
    assert_done("\x48\x89\x07"); /* mov %rax, (%rdi) */
    assert_int_equal(*entry(), 0x1234567);
    assert_int_equal(seen.writes, 1);
    assert_int_equal(seen.reads + seen.cmpxchgs, 0);

    regs.rax = 5;
    assert_done("\x48\x87\x07"); /* xchg %rax, (%rdi) */
    assert_int_equal(*entry(), 5);
    assert_int_equal(regs.rax, 0x1234567);
    assert_true(seen.lock);

    assert_done("\x48\x83\x27\xfe"); /* andq $-2, (%rdi) */
    assert_int_equal(*entry(), 4);
    assert_false(seen.lock);
    assert_done("\xf0\x48\x0f\xba\x2f\x3f"); /* lock btsq $63, (%rdi) */
    assert_int_equal(*entry(), 0x8000000000000004);
    assert_true(seen.lock);
    assert_int_equal(regs.rflags & CF, 0);
    assert_int_equal(seen.cmpxchgs, 3);
    assert_int_equal(seen.writes, 1);
}

static void compare_exchange(void **state)
{
    (void)state;
    regs.rdi = DATA;
    *entry() = 7;
    regs.rax = 7;
    regs.rcx = 9;
    assert_done("\xf0\x48\x0f\xb1\x0f"); /* lock cmpxchg %rcx, (%rdi) */
    assert_int_equal(*entry(), 9);
    assert_int_equal(regs.rax, 7);
    assert_true(regs.rflags & ZF);
    assert_int_equal(seen.reads, 0);

    assert_done("\xf0\x48\x0f\xb1\x0f");
    assert_int_equal(regs.rax, 9);
    assert_false(regs.rflags & ZF);

    regs.rdi = DATA + 8;
    assert_fault(RUN("\xf0\x48\x0f\xc7\x0f"), VEC_GP, 0); /* lock cmpxchg16b (%rdi) */
    regs.rdi = DATA;
    memset(mem + DATA, 0, 16);
    regs.rax = regs.rdx = 0;
    regs.rbx = 0x11;
    regs.rcx = 0x22;
    assert_done("\xf0\x48\x0f\xc7\x0f");
    assert_int_equal(seen.bytes, 16);
    assert_int_equal(entry()[1], 0x22);
    assert_done("\x0f\xc7\x0f"); /* cmpxchg8b (%rdi): compares with 0, finds 0x11 */
    assert_int_equal(regs.rax, 0x11);
    assert_false(regs.rflags & ZF);
}

/* Memory that changes between the read and the write: the operation is redone on what is there. */
static void contended(void **state)
{
    (void)state;
    regs.rdi = DATA;
    *entry() = 0x10;
    regs.rax = 0x100;
    seen.interfere = 3;
    assert_done("\xf0\x48\x0f\xc1\x07"); /* lock xadd %rax, (%rdi) */
    assert_int_equal(*entry(), 0x113);
    assert_int_equal(regs.rax, 0x13);
    assert_int_equal(seen.cmpxchgs, 4);

    seen.interfere = 1000;
    regs.rflags = 2;
    regs.rip = CODE;
    assert_int_equal(RUN("\xf0\x48\x0f\xc1\x07"), EMUL_RETRY);
    assert_int_equal(regs.rip, CODE);
    assert_int_equal(regs.rax, 0x13);
    assert_int_equal(regs.rflags, 2);
}

static void faults_commit_nothing(void **state)
{
    struct cpu_user_regs before;

    (void)state;
    unmapped = DATA;
    regs.rdi = DATA;
    regs.rbx = DATA - 4;
    regs.rsp = DATA + 8;
    before = regs;
    assert_fault(RUN("\x48\x01\x07"), VEC_PF, 2); /* add %rax, (%rdi): faults as a write */
    assert_int_equal(ctxt.exception.cr2, DATA);
    assert_fault(RUN("\x48\x8b\x03"), VEC_PF, 0); /* mov (%rbx), %rax: over the edge */
    assert_int_equal(ctxt.exception.cr2, DATA);
    assert_fault(RUN("\xff\x17"), VEC_PF, 0); /* call *(%rdi) */
    assert_fault(RUN("\x50"), VEC_PF, 2);     /* push */
    regs.rbp = before.rbp = DATA;
    assert_fault(RUN("\xc9"), VEC_PF, 0); /* leave: the stack pointer has moved by then */
    assert_memory_equal(&before, &regs, sizeof(regs));
}

static void canonical(void **state)
{
    uint64_t linear;

    (void)state;
    regs.rdi = 0x800000000000;
    assert_fault(RUN("\x48\x89\x07"), VEC_GP, 0);
    regs.rdi = 0x7ffffffffffc;
    assert_fault(RUN("\x48\x89\x07"), VEC_GP, 0); /* its last byte is not canonical */
    regs.rsp = 0x800000000010;
    assert_fault(RUN("\x50"), VEC_SS, 0);
    regs.rax = 0xffff7fffffffffff;
    assert_fault(RUN("\xff\xe0"), VEC_GP, 0); /* jmp *%rax */
    assert_int_equal(regs.rip, CODE);
    assert_false(emul_is_canonical(&ctxt, 1ull << 47));
    assert_true(emul_is_canonical(&ctxt, -1ull << 47));
    ctxt.la57 = true;
    assert_true(emul_is_canonical(&ctxt, 1ull << 47));
    assert_false(emul_is_canonical(&ctxt, 1ull << 56));
    assert_int_equal(emul_linear(&ctxt, EMUL_SEG_DS, 1ull << 50, 8, EMUL_READ, &linear), EMUL_OKAY);
    assert_int_equal(linear, 1ull << 50);
}

/* ---- repeated instructions ---- */

static void rep_chunks(void **state)
{
    (void)state;
    ctxt.rep_max = 4;
    regs.rdi = DATA;
    regs.rcx = 10;
    regs.rax = 0x41;
    for (unsigned int left = 6; left; left = left == 6 ? 2 : 0) {
        assert_int_equal(RUN("\xf3\xaa"), EMUL_OKAY); /* rep stosb */
        assert_true(ctxt.retire.again);
        assert_int_equal(regs.rip, CODE);
        assert_int_equal(regs.rcx, left);
    }
    assert_done("\xf3\xaa");
    assert_false(ctxt.retire.again);
    assert_int_equal(regs.rdi, DATA + 10);
    assert_memory_equal(mem + DATA, "AAAAAAAAAA\xcc", 11);

    regs.rcx = 0;
    assert_done("\xf3\xaa");
    assert_int_equal(regs.rdi, DATA + 10);

    regs.rcx = 3;
    regs.rflags |= TF;
    regs.rip = CODE;
    assert_int_equal(RUN("\xf3\xaa"), EMUL_OKAY);
    assert_int_equal(regs.rcx, 2);
    assert_true(ctxt.retire.singlestep);
}

static void rep_faults(void **state)
{
    (void)state;
    unmapped = DATA + 20;
    regs.rdi = DATA;
    regs.rcx = 10;
    assert_fault(RUN("\xf3\x48\xab"), VEC_PF, 2); /* rep stosq */
    assert_int_equal(regs.rcx, 8);
    assert_int_equal(regs.rdi, DATA + 16);
    assert_int_equal(regs.rip, CODE);
    assert_int_equal(ctxt.exception.cr2, unmapped);
    assert_false(ctxt.retire.again);

    /* Input that would have nowhere to go is not read. */
    regs.rdi = DATA + 16;
    regs.rdx = 0x1f0;
    assert_fault(RUN("\xf3\x6d"), VEC_PF, 2); /* rep insl: one fits */
    assert_int_equal(seen.calls, 1);
    assert_int_equal(regs.rdi, DATA + 20);
}

static void rep_ports(void **state)
{
    (void)state;
    regs.rdx = 0xffff03f8;
    regs.rsi = DATA + 3;
    regs.rcx = 4;
    regs.rflags |= DF;
    memcpy(mem + DATA, "\1\2\3\4", 4);
    assert_done("\xf3\x6e"); /* rep outsb, downwards */
    assert_seen("out", 0x3f8, 1);
    assert_int_equal(seen.calls, 4);
    assert_int_equal(regs.rsi, DATA - 1);

    regs.rflags &= ~(uint64_t)DF;
    regs.rdi = DATA;
    regs.rcx = 2;
    assert_done("\x66\xf3\x6d"); /* rep insw */
    assert_int_equal(seen.bytes, 2);
    assert_memory_equal(mem + DATA, "\xf3\xbe\xf4\xbe", 4);

    /* The callback gives up in the middle: what is done is done, and the rest comes again. */
    regs.rcx = 5;
    ctxt.rep_max = 2;
    regs.rip = CODE;
    assert_int_equal(RUN("\xf3\x6c"), EMUL_OKAY);
    assert_int_equal(regs.rcx, 3);
    seen.rc = EMUL_RETRY;
    assert_int_equal(RUN("\xf3\x6c"), EMUL_RETRY);
    assert_int_equal(regs.rcx, 3);
    assert_int_equal(regs.rip, CODE);
}

/* ---- privileged instructions ---- */

static void ports(void **state)
{
    (void)state;
    regs.rax = ~0ull;
    regs.rdx = 0x70;
    assert_done("\xec"); /* in %dx, %al */
    assert_seen("in", 0x70, 0);
    assert_int_equal(seen.bytes, 1);
    assert_int_equal(regs.rax, 0xffffffffffffffef);
    assert_done("\xe5\xfe"); /* in $0xfe, %eax */
    assert_int_equal(seen.reg, 0xfe);
    assert_int_equal(regs.rax, 0xdeadbef0);
    regs.rax = 0xaabbccdd;
    assert_done("\x66\xef"); /* out %ax, %dx */
    assert_seen("out", 0x70, 0xccdd);
    assert_done("\x48\xef"); /* REX.W makes no quadword of it */
    assert_int_equal(seen.bytes, 4);

    seen.rc = EMUL_UNHANDLEABLE;
    regs.rip = CODE;
    assert_int_equal(RUN("\xec"), EMUL_UNHANDLEABLE);
    assert_int_equal(regs.rip, CODE);
    ops.read_io = NULL;
    assert_int_equal(RUN("\xec"), EMUL_UNHANDLEABLE);
}

static void control_registers(void **state)
{
    (void)state;
    cr[0] = 0x8005003b;
    cr[3] = 0x1234000;
    assert_done("\x0f\x20\xd8"); /* mov %cr3, %rax */
    assert_int_equal(regs.rax, 0x1234000);
    regs.r9 = 0xffff800000000000;
    assert_done("\x41\x0f\x22\xd1"); /* mov %r9, %cr2 */
    assert_seen("write_cr", 2, regs.r9);
    assert_done("\x0f\x06"); /* clts */
    assert_seen("write_cr", 0, 0x80050033);
    regs.rax = 0xfff4;
    assert_done("\x0f\x01\xf0"); /* lmsw %ax: PE stays */
    assert_seen("write_cr", 0, 0x80050035);
    assert_done("\x0f\x01\xe1"); /* smsw %ecx */
    assert_int_equal(regs.rcx, 0x8005003b);
    regs.rdi = DATA;
    assert_done("\x0f\x01\x27"); /* smsw (%rdi) */
    assert_memory_equal(mem + DATA, "\x3b\x00\xcc", 3);
    assert_done("\x44\x0f\x20\xc0"); /* mov %cr8, %rax */

    regs.rip = CODE;
    assert_fault(RUN("\x0f\x20\xc8"), VEC_UD, 0); /* cr1 */
    ctxt.cpl = 3;
    assert_fault(RUN("\x0f\x20\xd8"), VEC_GP, 0);
    assert_fault(RUN("\x0f\x06"), VEC_GP, 0);
    assert_fault(RUN("\xf4"), VEC_GP, 0);
    assert_fault(RUN("\x0f\x30"), VEC_GP, 0);
    cr[4] = 1 << 11;
    assert_fault(RUN("\x0f\x01\xe1"), VEC_GP, 0); /* UMIP */
    assert_int_equal(regs.rip, CODE);
}

static void debug_registers(void **state)
{
    (void)state;
    assert_done("\x0f\x21\xf8"); /* mov %dr7, %rax */
    assert_int_equal(regs.rax, 0xd07);
    assert_done("\x0f\x21\xe8"); /* dr5 is dr7 */
    assert_seen("read_dr", 7, 0);
    regs.rbx = 1ull << 40;
    assert_done("\x0f\x23\xdb"); /* mov %rbx, %dr3 */
    assert_seen("write_dr", 3, 1ull << 40);
    regs.rip = CODE;
    assert_fault(RUN("\x0f\x23\xfb"), VEC_GP, 0); /* dr7 has 32 bits */
    cr[4] = 8;
    assert_fault(RUN("\x0f\x21\xe8"), VEC_UD, 0); /* with CR4.DE there is no dr5 */
    assert_fault(RUN("\x44\x0f\x21\xc0"), VEC_UD, 0);
}

static void msrs_and_time(void **state)
{
    (void)state;
    regs.rcx = 0xffffffffc0000080;
    assert_done("\x0f\x32");
    assert_seen("read_msr", 0xc0000080, 0);
    assert_int_equal(regs.rax, 0x55667788);
    assert_int_equal(regs.rdx, 0x11223344);
    assert_done("\x0f\x30");
    assert_seen("write_msr", 0xc0000080, 0x1122334455667788);
    assert_done("\x0f\x31");
    assert_int_equal(regs.rdx, 0x12);
    assert_int_equal(regs.rax, 0x3456789a);
    assert_done("\x0f\x01\xf9"); /* rdtscp */
    assert_int_equal(regs.rcx, 0x55667788);
    assert_int_equal(seen.reg, 0xc0000103);
    regs.rcx = 1;
    assert_done("\x0f\x33");
    assert_seen("read_pmc", 1, 0);
    regs.rax = 0x100000001;
    regs.rcx = 7;
    assert_done("\x0f\xa2");
    assert_seen("cpuid", 1, 7);
    assert_int_equal(regs.rbx, 9);

    regs.rip = CODE;
    ctxt.cpl = 3;
    assert_fault(RUN("\x0f\x33"), VEC_GP, 0);
    assert_done("\x0f\x31");
    cr[4] = 4;
    assert_fault(RUN("\x0f\x31"), VEC_GP, 0); /* CR4.TSD */
}

static void extended_state(void **state)
{
    (void)state;
    assert_fault(RUN("\x0f\x01\xd0"), VEC_UD, 0);
    cr[4] = 1 << 18;
    regs.rcx = 0;
    assert_done("\x0f\x01\xd0"); /* xgetbv */
    assert_int_equal(regs.rax, 7);
    assert_int_equal(regs.rdx, 5);
    assert_done("\x0f\x01\xd1"); /* xsetbv */
    assert_seen("write_xcr", 0, 0x500000007);
    ctxt.cpl = 3;
    assert_fault(RUN("\x0f\x01\xd1"), VEC_GP, 0);
}

static void segment_bases(void **state)
{
    (void)state;
    assert_fault(RUN("\xf3\x48\x0f\xae\xc0"), VEC_UD, 0);
    cr[4] = 1 << 16;
    assert_done("\xf3\x48\x0f\xae\xc8"); /* rdgsbase %rax */
    assert_seen("read_msr", 0xc0000101, 0);
    assert_int_equal(regs.rax, 0x1122334455667788);
    assert_fault(RUN("\xf3\x48\x0f\xae\xd0"), VEC_GP, 0); /* wrfsbase, not canonical */
    assert_done("\xf3\x0f\xae\xd0");                      /* only 32 bits of it */
    assert_seen("write_msr", 0xc0000100, 0x55667788);
    assert_int_equal(RUN("\x0f\x01\xf8"), EMUL_UNHANDLEABLE); /* swapgs */

    segs[EMUL_SEG_GS].base = DATA;
    assert_done("\x65\x48\xc7\x04\x25\x08\x00\x00\x00\x01\x00\x00\x00"); /* movq $1, %gs:8 */
    assert_int_equal(entry()[1], 1);
}

static void interrupts(void **state)
{
    (void)state;
    assert_done("\xfb");
    assert_true(regs.rflags & IF);
    assert_true(ctxt.retire.sti);
    assert_done("\xfb");
    assert_false(ctxt.retire.sti);
    assert_done("\xf4");
    assert_true(ctxt.retire.hlt);
    assert_done("\xfa");
    assert_false(regs.rflags & IF);
    assert_false(ctxt.retire.hlt);

    ops.write_if = op_write_if;
    assert_done("\xfb");
    assert_seen("write_if", 0, 1);
    assert_false(regs.rflags & IF);
    ctxt.cpl = 3;
    regs.rip = CODE;
    assert_fault(RUN("\xfa"), VEC_GP, 0);
    ctxt.iopl = 3;
    assert_done("\xfa");

    regs.rflags |= TF;
    assert_done("\x90");
    assert_true(ctxt.retire.singlestep);
}

static void caches_and_tlb(void **state)
{
    (void)state;
    assert_done("\x0f\x09");
    assert_seen("wbinvd", 0, 0);
    regs.rdi = DATA;
    assert_done("\x0f\x01\x3f");
    assert_seen("invlpg", DATA, 0);
    seen.calls = 0;
    regs.rdi = 1ull << 50; /* nothing there to invalidate */
    assert_done("\x0f\x01\x3f");
    assert_int_equal(seen.calls, 0);
    assert_false(ctxt.exception.pending);
}

static void filter(void **state)
{
    (void)state;
    ops.validate = refuse;
    assert_int_equal(RUN("\x48\x89\x07"), EMUL_UNHANDLEABLE);
    assert_int_equal(seen.writes, 0);
    assert_done("\x0f\xa2");
}

static void nothing_provided(void **state)
{
    static const char *const code[] = {"\xec",     "\xf4",         "\x0f\xa2",
                                       "\x0f\x32", "\x48\x89\x07", "\x50"};
    static const struct emul_ops bare = {.insn_fetch = op_fetch};

    (void)state;
    ctxt.ops = &bare;
    for (unsigned int i = 0; i < sizeof(code) / sizeof(code[0]); i++) {
        int rc = run(code[i], strlen(code[i]));

        assert_int_equal(rc, i == 1 ? EMUL_OKAY : EMUL_UNHANDLEABLE); /* HLT needs nobody */
        regs.rip = CODE;
    }
    ctxt.ops = &(struct emul_ops){0};
    assert_int_equal(RUN("\x90"), EMUL_UNHANDLEABLE);
}

/* ---- fetching and decoding ---- */

static void fetching(void **state)
{
    (void)state;
    regs.rip = 0x2ffd;
    assert_done("\x48\x89\xc3"); /* ends with the page: the next one is not touched */
    assert_int_equal(seen.fetches, 1);
    regs.rip = 0x2ffe;
    assert_done("\x48\x89\xc3");
    assert_int_equal(seen.fetches, 3);

    regs.rip = 0x2fff;
    unmapped = 0x3000;
    mem[0x2fff] = 0x48;
    assert_fault(x86_emulate(&ctxt), VEC_PF, 0x10);
    assert_int_equal(ctxt.exception.cr2, 0x3000);
    mem[0x2fff] = 0x90;
    assert_int_equal(x86_emulate(&ctxt), EMUL_OKAY);
    unmapped = sizeof(mem);

    regs.rip = CODE;
    assert_fault(RUN("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90"), VEC_GP,
                 0);
    assert_int_equal(RUN("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90"),
                     EMUL_OKAY);
    assert_int_equal(regs.rip, CODE + 15);
    assert_fault(RUN("\x0f\x0b"), VEC_UD, 0);
    assert_fault(RUN("\xf0\x90"), VEC_UD, 0);
    assert_fault(RUN("\xf0\x48\x01\xc0"), VEC_UD, 0); /* lock add to a register */
}

static void forced_emulation(void **state)
{
    (void)state;
    memcpy(mem + CODE, "\x0f\x0bxen\x0f\xa2", 7);
    assert_int_equal(emul_strip_fep(&ctxt), EMUL_OKAY);
    assert_int_equal(regs.rip, CODE + 5);
    assert_int_equal(emul_strip_fep(&ctxt), EMUL_UNHANDLEABLE);
    assert_int_equal(regs.rip, CODE + 5);
    assert_done("\x0f\xa2");
    regs.rip = 0x2ffd;
    memcpy(mem + 0x2ffd, "\x0f\x0bxen", 5);
    assert_int_equal(emul_strip_fep(&ctxt), EMUL_OKAY);
    regs.rip = 0x2ffd;
    unmapped = 0x3000;
    assert_fault(emul_strip_fep(&ctxt), VEC_PF, 0x10);
    assert_int_equal(regs.rip, 0x2ffd);
}

static void questions(void **state)
{
    static const struct {
        const char *code;
        bool writes, privop;
    } q[] = {
        {"\x89\x07", true, false},
        {"\x8b\x07", false, false},
        {"\x01\xc0", false, false},
        {"\x39\x07", false, false},
        {"\xf0\x0f\xb1\x0f", true, false},
        {"\x0f\xab\x07", true, false},
        {"\xab", true, false},
        {"\xac", false, false},
        {"\x6d", true, true},
        {"\x0f\xa2", false, true},
        {"\x50", false, false},
        {"\x0f\xc7\x0f", true, false},
        {"\x0f\x11\x07", true, false},
        {"\xa2\1\2\3\4\5\6\7\1", true, false},
    };

    (void)state;
    for (unsigned int i = 0; i < sizeof(q) / sizeof(q[0]); i++) {
        struct insn insn;

        memcpy(mem + CODE, q[i].code, strlen(q[i].code));
        assert_int_equal(x86_decode(&ctxt, &insn), EMUL_OKAY);
        assert_int_equal(emul_insn_writes_memory(&insn), q[i].writes);
        assert_int_equal(emul_insn_is_privop(&insn), q[i].privop);
    }
}

/* On AMD, 66 makes a near branch 16 bits wide even in 64-bit mode; Intel ignores it. */
static void near_branches(void **state)
{
    struct insn insn;

    (void)state;
    memcpy(mem + CODE, "\x66\xe9\x10\x00\x00\x00", 6);
    assert_int_equal(x86_decode(&ctxt, &insn), EMUL_OKAY);
    assert_int_equal(insn.len, 6);
    assert_int_equal(insn.op_bytes, 8);
    ctxt.amd = true;
    assert_int_equal(x86_decode(&ctxt, &insn), EMUL_OKAY);
    assert_int_equal(insn.len, 4);
    assert_int_equal(insn.op_bytes, 2);
}

/* ---- 16 bits ---- */

static void real_mode(void **state)
{
    (void)state;
    ctxt.addr_size = ctxt.sp_size = 16;
    ctxt.real_mode = true;
    regs.rip = 0x100;
    for (unsigned int i = 0; i < 6; i++)
        segs[i].base = CODE - 0x100;
    segs[EMUL_SEG_DS].base = segs[EMUL_SEG_ES].base = DATA;
    segs[EMUL_SEG_SS].base = 0x6000;
    memset(mem + 0x100, 0, 16);
    memcpy(mem + CODE, "\x88\x40\x04", 3); /* mov %al, 4(%bx,%si) */
    regs.rax = 0x77;
    regs.rbx = 0xfff0;
    regs.rsi = 0x20;
    assert_int_equal(x86_emulate(&ctxt), EMUL_OKAY);
    assert_int_equal(mem[DATA + 0x14], 0x77); /* the sum wraps at 64 KB */
    assert_int_equal(regs.rip, 0x103);

    memcpy(mem + CODE + 3, "\x66\x50", 2); /* push %eax */
    regs.rsp = 0xabcd1002;
    regs.rax = 0x11223344;
    assert_int_equal(x86_emulate(&ctxt), EMUL_OKAY);
    assert_memory_equal(mem + 0x6ffe, "\x44\x33\x22\x11", 4);
    assert_int_equal(regs.rsp, 0xabcd0ffe);

    memcpy(mem + CODE + 5, "\xa3\xff\xff", 3); /* mov %ax, 0xffff: beyond the limit */
    assert_fault(x86_emulate(&ctxt), VEC_GP, 0);
    assert_false(ctxt.exception.has_error);    /* there are no error codes in real mode */
    memcpy(mem + CODE + 5, "\x0f\x00\xc0", 3); /* sldt */
    assert_fault(x86_emulate(&ctxt), VEC_UD, 0);
}

static void protected_mode(void **state)
{
    uint64_t linear;

    (void)state;
    ctxt.addr_size = ctxt.sp_size = 32;
    assert_fault(emul_linear(&ctxt, EMUL_SEG_CS, 0, 1, EMUL_WRITE, &linear), VEC_GP, 0);
    assert_fault(emul_linear(&ctxt, EMUL_SEG_DS, 0, 1, EMUL_EXEC, &linear), VEC_GP, 0);
    assert_fault(emul_linear(&ctxt, EMUL_SEG_DS, 0xfffe, 4, EMUL_READ, &linear), VEC_GP, 0);
    assert_int_equal(emul_linear(&ctxt, EMUL_SEG_DS, 0xfffc, 4, EMUL_READ, &linear), EMUL_OKAY);
    segs[EMUL_SEG_SS].attr &= ~EMUL_SEG_P;
    assert_fault(emul_linear(&ctxt, EMUL_SEG_SS, 0, 4, EMUL_READ, &linear), VEC_SS, 0);
    segs[EMUL_SEG_DS].attr &= ~EMUL_SEG_WRITABLE;
    assert_fault(emul_linear(&ctxt, EMUL_SEG_DS, 0, 4, EMUL_WRITE, &linear), VEC_GP, 0);
    segs[EMUL_SEG_ES] = (struct emul_segment){
        .base = 0xfffff000, .limit = 0xfff, .attr = EMUL_SEG_P | EMUL_SEG_S | EMUL_SEG_EXPDOWN | 2};
    assert_fault(emul_linear(&ctxt, EMUL_SEG_ES, 0xfff, 1, EMUL_READ, &linear), VEC_GP, 0);
    assert_int_equal(emul_linear(&ctxt, EMUL_SEG_ES, 0x1000, 1, EMUL_READ, &linear), EMUL_OKAY);
    assert_int_equal(linear, 0); /* wrapped at 4 GB */
    assert_fault(emul_linear(&ctxt, EMUL_SEG_ES, 0xffff, 2, EMUL_READ, &linear), VEC_GP, 0);

    segs[EMUL_SEG_CS].limit = CODE + 1; /* which cuts the second instruction, not the first */
    regs.rax = 0;
    assert_done("\x89\xd8");
    regs.rip = CODE;
    assert_fault(RUN("\x66\x89\xd8"), VEC_GP, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(memory_writes),   TEST(compare_exchange),
        TEST(contended),       TEST(faults_commit_nothing),
        TEST(canonical),       TEST(rep_chunks),
        TEST(rep_faults),      TEST(rep_ports),
        TEST(ports),           TEST(control_registers),
        TEST(debug_registers), TEST(msrs_and_time),
        TEST(extended_state),  TEST(segment_bases),
        TEST(interrupts),      TEST(caches_and_tlb),
        TEST(filter),          TEST(nothing_provided),
        TEST(fetching),        TEST(forced_emulation),
        TEST(questions),       TEST(near_branches),
        TEST(real_mode),       TEST(protected_mode),
    };

    return cmocka_run_group_tests_name("emulate", tests, NULL, NULL);
}
