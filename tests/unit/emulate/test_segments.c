// SPDX-License-Identifier: MIT
/*
 * Segments, descriptor tables and far transfers where user mode cannot try them: real mode, ring 0,
 * returns to less privilege.  64 KB of memory at linear 0; code at CODE, a GDT, a stack.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/emulate/emulate.h"

#define CODE  0x2000u
#define GDT   0x3000u
#define DATA  0x4000u
#define STACK 0x8000u

#define IF 0x200u
#define NT 0x4000u
#define RF 0x10000u
#define ZF 0x40u

/* Selectors: what the GDT below has. */
enum {
    CODE64 = 0x08,
    DATA0 = 0x10,
    CODE32 = 0x18,
    USER64 = 0x23,
    USER_DATA = 0x2b,
    ABSENT = 0x30,
    TSS = 0x38, /* two entries */
    CONFORMING = 0x48,
    GATE = 0x50,
    LDT = 0x58,
    ABSENT_CODE = 0x68,
    BEYOND = 0x70,
};

static uint8_t mem[0x10000];
static struct cpu_user_regs regs;
static struct emul_ctxt ctxt;
static struct emul_ops ops;
static struct emul_segment segs[EMUL_SEG_NONE];
static unsigned int written; /* segments, as a set */
static bool interfere;       /* somebody changes a descriptor meanwhile */
static uint8_t interrupt;

static int op_fetch(struct emul_ctxt *c, uint64_t addr, void *buf, unsigned int bytes)
{
    (void)c;
    memcpy(buf, mem + (addr & 0xffff), bytes);
    return EMUL_OKAY;
}

static int op_read(struct emul_ctxt *c, enum emul_seg seg, uint64_t addr, void *buf,
                   unsigned int bytes)
{
    (void)seg;
    if (addr + bytes > sizeof(mem))
        return emul_pagefault(c, 0, addr);
    memcpy(buf, mem + addr, bytes);
    return EMUL_OKAY;
}

static int op_write(struct emul_ctxt *c, enum emul_seg seg, uint64_t addr, const void *buf,
                    unsigned int bytes)
{
    (void)seg;
    if (addr + bytes > sizeof(mem))
        return emul_pagefault(c, 2, addr);
    memcpy(mem + addr, buf, bytes);
    return EMUL_OKAY;
}

static int op_cmpxchg(struct emul_ctxt *c, enum emul_seg seg, uint64_t addr, void *old,
                      const void *new, unsigned int bytes, bool lock)
{
    assert_true(lock && bytes == 8);
    if (interfere)
        mem[addr + 1] ^= 1;
    if (memcmp(mem + addr, old, bytes))
        memcpy(old, mem + addr, bytes);
    else
        op_write(c, seg, addr, new, bytes);
    return EMUL_OKAY;
}

static int op_segment(struct emul_ctxt *c, enum emul_seg seg, struct emul_segment *res)
{
    (void)c;
    *res = segs[seg];
    return EMUL_OKAY;
}

static int op_write_segment(struct emul_ctxt *c, enum emul_seg seg, const struct emul_segment *val)
{
    (void)c;
    segs[seg] = *val;
    written |= 1u << seg;
    return EMUL_OKAY;
}

static int op_soft_interrupt(struct emul_ctxt *c, const struct insn *insn, uint8_t vector)
{
    (void)c;
    assert_true(insn->next > insn->start);
    interrupt = vector;
    return EMUL_OKAY;
}

static uint64_t *gdt(unsigned int sel)
{
    return (uint64_t *)(mem + GDT + (sel & 0xfff8));
}

static int setup(void **state)
{
    (void)state;
    memset(mem, 0xcc, sizeof(mem));
    memset(&regs, 0, sizeof(regs));
    memset(segs, 0, sizeof(segs));
    written = interrupt = interfere = 0;
    ops = (struct emul_ops){.insn_fetch = op_fetch,
                            .read = op_read,
                            .write = op_write,
                            .cmpxchg = op_cmpxchg,
                            .segment = op_segment,
                            .write_segment = op_write_segment,
                            .soft_interrupt = op_soft_interrupt};
    ctxt =
        (struct emul_ctxt){.regs = &regs, .ops = &ops, .addr_size = 64, .sp_size = 64, .lma = true};
    memset(mem + GDT, 0, BEYOND);
    *gdt(CODE64) = 0x00af9a000000ffff;
    *gdt(DATA0) = 0x00cf92000000ffff;
    *gdt(CODE32) = 0x00cf9a000000ffff;
    *gdt(USER64) = 0x00affa000000ffff;
    *gdt(USER_DATA) = 0x00cff2000000ffff;
    *gdt(ABSENT) = 0x00cf12000000ffff;
    *gdt(TSS) = 0x1200893456780067;
    *gdt(TSS + 8) = 0x00007fff;
    *gdt(CONFORMING) = 0x00af9e000000ffff;
    *gdt(GATE) = 0x00008c0000080000;
    *gdt(LDT) = 0x0000820040000007;
    *gdt(ABSENT_CODE) = 0x00af1a000000ffff;
    segs[EMUL_SEG_GDTR] = (struct emul_segment){.base = GDT, .limit = BEYOND - 1};
    segs[EMUL_SEG_IDTR] = (struct emul_segment){.base = 0, .limit = 0x3ff};
    for (unsigned int i = 0; i < 6; i++)
        segs[i] = (struct emul_segment){.limit = 0xffffffff, .sel = DATA0, .attr = 0xc93};
    segs[EMUL_SEG_CS] = (struct emul_segment){.limit = 0xffffffff, .sel = CODE64, .attr = 0xa9b};
    regs.rip = CODE;
    regs.rsp = STACK;
    regs.rflags = 2;
    return 0;
}

static int run(const char *code, size_t len)
{
    memcpy(mem + ((segs[EMUL_SEG_CS].base + regs.rip) & 0xffff), code, len);
    return x86_emulate(&ctxt);
}

#define RUN(bytes)         run(bytes, sizeof(bytes) - 1)
#define assert_done(bytes) assert_int_equal(RUN(bytes), EMUL_OKAY)

static void assert_fault(int rc, unsigned int vector, uint32_t error)
{
    assert_int_equal(rc, EMUL_EXCEPTION);
    assert_int_equal(ctxt.exception.vector, vector);
    assert_int_equal(ctxt.exception.error_code, error);
    assert_int_equal(written, 0);
    regs.rip = CODE;
}

#define MOV_DS "\x8e\xd8" /* mov %eax, %ds */
#define MOV_SS "\x8e\xd0"

static void data_segments(void **state)
{
    (void)state;
    regs.rax = DATA0;
    assert_done(MOV_DS);
    assert_int_equal(segs[EMUL_SEG_DS].attr, 0xc93);
    assert_int_equal(segs[EMUL_SEG_DS].limit, 0xffffffff);
    assert_int_equal(*gdt(DATA0), 0x00cf93000000ffff); /* accessed */

    written = 0;
    regs.rip = CODE;
    regs.rax = BEYOND;
    assert_fault(RUN(MOV_DS), VEC_GP, BEYOND);
    regs.rax = 0x14; /* there is no LDT */
    assert_fault(RUN(MOV_DS), VEC_GP, 0x14);
    regs.rax = ABSENT;
    assert_fault(RUN(MOV_DS), VEC_NP, ABSENT);
    regs.rax = TSS;
    assert_fault(RUN(MOV_DS), VEC_GP, TSS);
    regs.rax = DATA0 | 3; /* asks for less than it may */
    assert_fault(RUN(MOV_DS), VEC_GP, DATA0);
    ctxt.cpl = 3;
    regs.rax = DATA0;
    assert_fault(RUN(MOV_DS), VEC_GP, DATA0);
    regs.rax = CONFORMING;
    assert_done(MOV_DS);
    regs.rax = 3;
    assert_done(MOV_DS);
    assert_int_equal(segs[EMUL_SEG_DS].attr, 0);

    interfere = true;
    written = 0;
    regs.rip = CODE;
    regs.rax = USER_DATA;
    assert_int_equal(RUN(MOV_DS), EMUL_RETRY);
    assert_int_equal(written, 0);
    assert_int_equal(regs.rip, CODE);
}

static void stack_segments(void **state)
{
    (void)state;
    regs.rax = DATA0;
    regs.rflags |= 0x100;
    assert_done(MOV_SS);
    assert_true(ctxt.retire.mov_ss);
    assert_false(ctxt.retire.singlestep);
    written = 0;
    regs.rip = CODE;
    regs.rax = USER_DATA;
    assert_fault(RUN(MOV_SS), VEC_GP, USER_DATA & ~3);
    regs.rax = CODE64;
    assert_fault(RUN(MOV_SS), VEC_GP, CODE64);
    regs.rax = ABSENT;
    assert_fault(RUN(MOV_SS), VEC_SS, ABSENT);
    regs.rax = 3;
    assert_fault(RUN(MOV_SS), VEC_GP, 0);
    regs.rax = 0;
    assert_done(MOV_SS); /* 64-bit code may, but for user mode */

    written = 0;
    regs.rip = CODE;
    ctxt.addr_size = ctxt.sp_size = 32;
    assert_fault(RUN(MOV_SS), VEC_GP, 0);
}

static void tables(void **state)
{
    (void)state;
    regs.rdi = DATA;
    memcpy(mem + DATA, "\x34\x12\x00\x00\x00\x00\x80\xff\xff\xff", 10);
    assert_done("\x0f\x01\x17"); /* lgdt (%rdi) */
    assert_int_equal(segs[EMUL_SEG_GDTR].limit, 0x1234);
    assert_int_equal(segs[EMUL_SEG_GDTR].base, 0xffffff8000000000);
    assert_done("\x0f\x01\x47\x10"); /* sgdt 16(%rdi) */
    assert_memory_equal(mem + DATA, mem + DATA + 16, 10);
    segs[EMUL_SEG_GDTR].base = GDT;

    regs.rax = TSS;
    assert_done("\x0f\x00\xd8"); /* ltr %eax */
    assert_int_equal(segs[EMUL_SEG_TR].base, 0x7fff12345678);
    assert_int_equal(segs[EMUL_SEG_TR].attr & 0xf, 0xb);
    assert_int_equal(*gdt(TSS) >> 40 & 0xf, 0xb);
    written = 0;
    regs.rip = CODE;
    assert_fault(RUN("\x0f\x00\xd8"), VEC_GP, TSS); /* busy */
    *gdt(TSS) ^= 2ull << 40;
    *gdt(TSS + 8) = 0x80000000; /* a base that is not canonical */
    regs.rip = CODE;
    assert_fault(RUN("\x0f\x00\xd8"), VEC_GP, TSS);
    regs.rax = LDT;
    assert_done("\x0f\x00\xd0"); /* lldt %eax */
    regs.rax = 0;
    assert_done("\x0f\x00\xc0"); /* sldt %eax */
    assert_int_equal(regs.rax, LDT);
    assert_int_equal(segs[EMUL_SEG_LDTR].base, 0x4000);
    *(uint64_t *)(mem + DATA) = *gdt(USER_DATA);
    regs.rax = 7; /* the only one in it */
    assert_done(MOV_DS);
    regs.rax = LDT;
    assert_done("\x0f\x02\xd8"); /* lar %eax, %ebx */
    assert_int_equal(regs.rbx, 0x8200);
    assert_true(regs.rflags & ZF);

    written = 0;
    regs.rip = CODE;
    ctxt.cpl = 3;
    assert_fault(RUN("\x0f\x01\x17"), VEC_GP, 0);
    assert_done("\x0f\x03\xd8"); /* lsl %eax, %ebx: not for user mode */
    assert_false(regs.rflags & ZF);
}

static void push_frame(unsigned int n, const uint64_t *words)
{
    regs.rsp = STACK - 8 * n;
    memcpy(mem + regs.rsp, words, 8 * n);
}

#define FRAME(...) push_frame(sizeof((uint64_t[]){__VA_ARGS__}) / 8, (uint64_t[]){__VA_ARGS__})
#define IRETQ      "\x48\xcf"

static void interrupt_return(void **state)
{
    (void)state;
    segs[EMUL_SEG_FS] = (struct emul_segment){.sel = USER_DATA, .attr = 0xcf3};
    FRAME(0x1000, USER64, IF | RF | 0x3002, 0x7000, USER_DATA);
    assert_done(IRETQ);
    assert_int_equal(regs.rip, 0x1000);
    assert_int_equal(regs.rsp, 0x7000);
    assert_int_equal(regs.rflags, IF | RF | 0x3002);
    assert_int_equal(segs[EMUL_SEG_CS].sel, USER64);
    assert_int_equal(segs[EMUL_SEG_SS].sel, USER_DATA);
    assert_int_equal(segs[EMUL_SEG_DS].sel, 0); /* was the kernel's */
    assert_int_equal(segs[EMUL_SEG_FS].sel, USER_DATA);

    setup(NULL);
    FRAME(0x1000, USER64, 2, 0x7000, DATA0);
    assert_fault(RUN(IRETQ), VEC_GP, DATA0);
    assert_int_equal(regs.rsp, STACK - 40);
    FRAME(1ull << 47, USER64, 2, 0x7000, USER_DATA);
    assert_fault(RUN(IRETQ), VEC_GP, 0);
    FRAME(0x1000, ABSENT_CODE, 2, 0x7000, DATA0);
    assert_fault(RUN(IRETQ), VEC_NP, ABSENT_CODE);
    FRAME(0x1000, 0, 2, 0x7000, DATA0);
    assert_fault(RUN(IRETQ), VEC_GP, 0);
    regs.rflags |= NT;
    FRAME(0x1000, CODE64, 2, 0x7000, DATA0);
    assert_fault(RUN(IRETQ), VEC_GP, 0);
    regs.rflags &= ~NT;
    ctxt.cpl = 3; /* cannot get inwards, nor change what is not its own */
    assert_fault(RUN(IRETQ), VEC_GP, CODE64);
    FRAME(0x1000, USER64, IF | 0x3002, 0x7000, USER_DATA);
    assert_done(IRETQ);
    assert_int_equal(regs.rflags, 2);
}

static void far_transfers(void **state)
{
    (void)state;
    regs.rdi = DATA;
    memcpy(mem + DATA, "\x00\x10\x00\x00\x18\x00", 6);
    assert_done("\xff\x2f"); /* ljmp *(%rdi) */
    assert_int_equal(regs.rip, 0x1000);
    assert_int_equal(segs[EMUL_SEG_CS].attr, 0xc9b);

    ctxt.addr_size = ctxt.sp_size = 32;
    assert_done("\x9a\x00\x20\x00\x00\x18\x00"); /* lcall $0x18, $0x2000 */
    assert_int_equal(regs.rip, 0x2000);
    assert_int_equal(*(uint32_t *)(mem + STACK - 8), 0x1007);
    assert_int_equal(*(uint32_t *)(mem + STACK - 4), CODE32);
    assert_done("\xca\x04\x00"); /* lret $4 */
    assert_int_equal(regs.rip, 0x1007);
    assert_int_equal(regs.rsp, STACK + 4);

    written = 0;
    memcpy(mem + DATA + 4, "\x50\x00", 2);
    assert_int_equal(RUN("\xff\x2f"), EMUL_UNHANDLEABLE); /* through a gate */
    memcpy(mem + DATA + 4, "\x10\x00", 2);
    assert_fault(RUN("\xff\x2f"), VEC_GP, DATA0);
    memcpy(mem + DATA + 4, "\x20\x00", 2);
    assert_fault(RUN("\xff\x2f"), VEC_GP, USER64 & ~3);
    *gdt(CODE32) = 0x00409a0000000fff; /* a small segment */
    memcpy(mem + DATA + 4, "\x18\x00", 2);
    assert_fault(RUN("\xff\x2f"), VEC_GP, 0);

    assert_done("\xcd\x80");
    assert_int_equal(interrupt, 0x80);
    ops.soft_interrupt = NULL;
    assert_int_equal(RUN("\xcc"), EMUL_UNHANDLEABLE);
    ops.write_segment = NULL;
    assert_int_equal(RUN("\xff\x2f"), EMUL_UNHANDLEABLE);
}

static void real_mode(void **state)
{
    (void)state;
    ctxt.addr_size = ctxt.sp_size = 16;
    ctxt.real_mode = true;
    ctxt.lma = false;
    for (unsigned int i = 0; i < 6; i++)
        segs[i] = (struct emul_segment){.limit = 0xffff, .attr = 0x93};
    regs.rflags |= IF;
    memcpy(mem + 0x10 * 4, "\x34\x02\x00\x01", 4);
    assert_done("\xcd\x10");
    assert_int_equal(regs.rip, 0x234);
    assert_int_equal(segs[EMUL_SEG_CS].base, 0x1000);
    assert_int_equal(segs[EMUL_SEG_CS].limit, 0xffff);
    assert_false(regs.rflags & IF);
    assert_memory_equal(mem + STACK - 6, "\x02\x20\x00\x00\x02\x02", 6);
    assert_done("\xcf");
    assert_int_equal(regs.rip, CODE + 2);
    assert_int_equal(segs[EMUL_SEG_CS].base, 0);
    assert_true(regs.rflags & IF);

    regs.rax = 0x1234;
    assert_done(MOV_DS);
    assert_int_equal(segs[EMUL_SEG_DS].base, 0x12340);
    assert_int_equal(segs[EMUL_SEG_DS].limit, 0xffff); /* or whatever it was */
    assert_done("\xea\x00\x20\x00\x00");               /* ljmp $0, $0x2000 */
    assert_int_equal(regs.rip, 0x2000);
    regs.rax = regs.rbx = 0;
    segs[EMUL_SEG_DS].base = 0;
    memcpy(mem + DATA, "\x11\x22\x33\x44", 4);
    assert_done("\xc4\x1e\x00\x40"); /* les 0x4000, %bx */
    assert_int_equal(regs.rbx, 0x2211);
    assert_int_equal(segs[EMUL_SEG_ES].base, 0x44330);

    written = 0;
    segs[EMUL_SEG_IDTR].limit = 0x3f;
    assert_fault(RUN("\xcd\x10"), VEC_GP, 0);
    ctxt.cpl = 3; /* virtual-8086 mode */
    assert_fault(RUN("\xcd\x10"), VEC_GP, 0);
    assert_fault(RUN("\xcf"), VEC_GP, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(data_segments),    TEST(stack_segments), TEST(tables),
        TEST(interrupt_return), TEST(far_transfers),  TEST(real_mode),
    };

    return cmocka_run_group_tests_name("emulate-segments", tests, NULL, NULL);
}
