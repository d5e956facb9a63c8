// SPDX-License-Identifier: MIT
/*
 * The decoder against Zydis: random bytes, and bytes that are shaped like instructions, in every
 * mode.  Where Zydis knows an instruction, ours must find it as long, with ModRM or without, and of
 * the same sizes.  Where Zydis refuses one, since no processor defines it, ours may call it
 * decodable (telling these apart is the business of whoever executes them), but must not execute
 * it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <Zydis/Zydis.h>

#include "arch/x86/emulate/emulate.h"

#define ROUNDS 1000000u

static uint8_t stream[32];
static uint64_t seed = 0x9e3779b97f4a7c15ull;

static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed * 0x2545f4914f6cdd1dull >> 8;
}

static int fetch(struct emul_ctxt *ctxt, uint64_t addr, void *buf, unsigned int bytes)
{
    (void)ctxt;
    assert_true((addr & 0xfff) + bytes <= 0x1000);
    assert_true(addr - 0x1000 + bytes <= sizeof(stream));
    memcpy(buf, stream + (addr - 0x1000), bytes);
    return EMUL_OKAY;
}

static int flat_segment(struct emul_ctxt *ctxt, enum emul_seg seg, struct emul_segment *res)
{
    uint16_t type = seg == EMUL_SEG_CS ? 0xb : 0x3;

    (void)ctxt;
    *res = (struct emul_segment){.limit = 0xffffffff,
                                 .attr = EMUL_SEG_P | EMUL_SEG_S | EMUL_SEG_DB | EMUL_SEG_G | type};
    return EMUL_OKAY;
}

/* A world in which everything succeeds and nothing is remembered. */

static int mem_read(struct emul_ctxt *ctxt, enum emul_seg seg, uint64_t addr, void *buf,
                    unsigned int bytes)
{
    (void)ctxt, (void)seg, (void)addr;
    memset(buf, 0, bytes);
    return EMUL_OKAY;
}

static int mem_write(struct emul_ctxt *ctxt, enum emul_seg seg, uint64_t addr, const void *buf,
                     unsigned int bytes)
{
    (void)ctxt, (void)seg, (void)addr, (void)buf, (void)bytes;
    return EMUL_OKAY;
}

static int mem_cmpxchg(struct emul_ctxt *ctxt, enum emul_seg seg, uint64_t addr, void *old,
                       const void *new, unsigned int bytes, bool lock)
{
    (void)ctxt, (void)seg, (void)addr, (void)old, (void)new, (void)bytes, (void)lock;
    return EMUL_OKAY;
}

static int read_io(struct emul_ctxt *ctxt, uint16_t port, unsigned int bytes, uint32_t *val)
{
    (void)ctxt, (void)port, (void)bytes;
    *val = 0;
    return EMUL_OKAY;
}

static int write_io(struct emul_ctxt *ctxt, uint16_t port, unsigned int bytes, uint32_t val)
{
    (void)ctxt, (void)port, (void)bytes, (void)val;
    return EMUL_OKAY;
}

/* Of control registers, bits that allow instructions. */
static int read_cr(struct emul_ctxt *ctxt, unsigned int reg, uint64_t *val)
{
    (void)ctxt;
    *val = reg == 4 ? 0x50700 : 0;
    return EMUL_OKAY;
}

static int read_reg(struct emul_ctxt *ctxt, uint32_t reg, uint64_t *val)
{
    (void)ctxt, (void)reg;
    *val = 7;
    return EMUL_OKAY;
}

static int write_reg(struct emul_ctxt *ctxt, uint32_t reg, uint64_t val)
{
    (void)ctxt, (void)reg, (void)val;
    return EMUL_OKAY;
}

static int read_tsc(struct emul_ctxt *ctxt, uint64_t *val)
{
    return read_reg(ctxt, 0, val);
}

static int cpuid(struct emul_ctxt *ctxt, uint32_t leaf, uint32_t sub, struct emul_cpuid *res)
{
    (void)ctxt, (void)leaf, (void)sub;
    memset(res, 0xff, sizeof(*res));
    return EMUL_OKAY;
}

static int read_vector(struct emul_ctxt *ctxt, unsigned int reg, void *buf, unsigned int bytes)
{
    (void)ctxt, (void)reg;
    memset(buf, 0, bytes);
    return EMUL_OKAY;
}

static int write_vector(struct emul_ctxt *ctxt, unsigned int reg, const void *buf,
                        unsigned int bytes)
{
    (void)ctxt, (void)reg, (void)buf, (void)bytes;
    return EMUL_OKAY;
}

static int simple(struct emul_ctxt *ctxt)
{
    (void)ctxt;
    return EMUL_OKAY;
}

static int invlpg(struct emul_ctxt *ctxt, uint64_t addr)
{
    (void)ctxt, (void)addr;
    return EMUL_OKAY;
}

static const struct emul_ops ops = {
    .insn_fetch = fetch,
    .read = mem_read,
    .write = mem_write,
    .cmpxchg = mem_cmpxchg,
    .read_io = read_io,
    .write_io = write_io,
    .read_cr = read_cr,
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
    .segment = flat_segment,
    .read_vector = read_vector,
    .write_vector = write_vector,
    .wbinvd = simple,
    .invlpg = invlpg,
};

/* Prefixes now and then, an opcode in one of the maps, and noise. */
static void make_stream(void)
{
    static const uint8_t prefix[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65,
                                     0x66, 0x67, 0x66, 0xf2, 0xf3, 0xf0};
    unsigned int pos = 0, n = rnd() % 8;

    for (unsigned int i = 0; i < sizeof(stream); i++)
        stream[i] = rnd();
    if (rnd() % 8 == 0)
        return;
    n = n < 4 ? 0 : n - 4;
    while (n--)
        stream[pos++] = prefix[rnd() % sizeof(prefix)];
    if (rnd() % 4 == 0)
        stream[pos++] = 0x40 | (rnd() & 0xf);
    switch (rnd() % 10) {
    case 0:
    case 1:
    case 2:
        stream[pos++] = 0x0f;
        break;
    case 3:
        stream[pos++] = 0x0f;
        stream[pos++] = rnd() & 1 ? 0x38 : 0x3a;
        break;
    case 4: /* the map bits in range, so that most are defined */
        stream[pos++] = 0xc4;
        stream[pos] = (stream[pos] & 0xe0) | (1 + rnd() % 3);
        break;
    case 5:
        stream[pos++] = 0xc5;
        break;
    case 6:
        stream[pos++] = 0x62;
        stream[pos] = (stream[pos] & 0xf0) | (1 + rnd() % 3);
        stream[pos + 1] |= 4;
        break;
    case 7:
        stream[pos++] = 0x8f;
        stream[pos] = (stream[pos] & 0xe0) | (8 + rnd() % 3);
        break;
    }
}

static void complain(const struct insn *insn, const ZydisDecodedInstruction *z, int rc,
                     const char *what, unsigned int mode)
{
    char text[128] = "";

    for (unsigned int i = 0; i < z->length; i++)
        sprintf(text + strlen(text), "%02x ", stream[i]);
    print_error("%u-bit %s(%s): %s differs; rc %d, length %u/%u, modrm %d, operand %u/%u, "
                "address %u/%u\n",
                mode, text, ZydisMnemonicGetString(z->mnemonic), what, rc, insn->len, z->length,
                insn->has_modrm, insn->op_bytes * 8, z->operand_width, insn->addr_bytes * 8,
                z->address_width);
}

/* Zydis also knows what only the coprocessor Knights Corner has. */
static bool disputed(const ZydisDecodedInstruction *z)
{
    return z->mnemonic == ZYDIS_MNEMONIC_JKZD || z->mnemonic == ZYDIS_MNEMONIC_JKNZD ||
           z->encoding == ZYDIS_INSTRUCTION_ENCODING_MVEX;
}

/* MPX and SGX have address sizes of their own, which those who execute them would have to know. */
static bool own_address_size(const ZydisDecodedInstruction *z)
{
    return z->meta.isa_ext == ZYDIS_ISA_EXT_MPX || z->mnemonic == ZYDIS_MNEMONIC_ENCLS ||
           z->mnemonic == ZYDIS_MNEMONIC_ENCLU || z->mnemonic == ZYDIS_MNEMONIC_ENCLV;
}

/* Of general instructions, the size that we work with is the one that Zydis reports. */
static bool compare_sizes(const struct insn *insn, const ZydisDecodedInstruction *z)
{
    if (insn->encoding != INSN_LEGACY || !emul_insn_is_executable(insn))
        return false;
    /* Control and debug registers, INVLPG and ports have sizes of their own. */
    if ((insn->opcode >= 0x0f20 && insn->opcode <= 0x0f23) || insn->opcode == 0x0f01 ||
        z->meta.category == ZYDIS_CATEGORY_IO || z->meta.category == ZYDIS_CATEGORY_IOSTRINGOP)
        return false;
    return z->meta.isa_set == ZYDIS_ISA_SET_I86 || z->meta.isa_set == ZYDIS_ISA_SET_I386 ||
           z->meta.isa_set == ZYDIS_ISA_SET_I486REAL || z->meta.isa_set == ZYDIS_ISA_SET_CMOV;
}

/* An instruction that no processor defines: does ours execute it? */
static bool executed(struct emul_ctxt *ctxt, const struct insn *insn)
{
    struct cpu_user_regs before = *ctxt->regs;
    int rc = x86_emulate_insn(ctxt, insn);

    *ctxt->regs = before;
    if (rc != EMUL_OKAY)
        return false;
    print_error("%u-bit: executed, though undefined:", ctxt->addr_size);
    for (unsigned int i = 0; i < insn->len; i++)
        print_error(" %02x", stream[i]);
    print_error("\n");
    return true;
}

static void compare(unsigned int mode, ZydisMachineMode zmode, ZydisStackWidth width)
{
    struct cpu_user_regs regs = {.rip = 0x1000};
    struct emul_ctxt ctxt = {.regs = &regs,
                             .ops = &ops,
                             .addr_size = mode,
                             .sp_size = mode,
                             .real_mode = zmode == ZYDIS_MACHINE_MODE_REAL_16};
    ZydisDecoder decoder;
    unsigned int known = 0, failed = 0;

    assert_true(ZYAN_SUCCESS(ZydisDecoderInit(&decoder, zmode, width)));
    for (unsigned int i = 0; i < ROUNDS && failed < 40; i++) {
        ZydisDecodedInstruction z;
        struct insn insn;
        const char *what = NULL;
        int rc;

        make_stream();
        rc = x86_decode(&ctxt, &insn);
        assert_true(rc == EMUL_OKAY || rc == EMUL_EXCEPTION);
        if (rc == EMUL_OKAY)
            assert_in_range(insn.len, 1, EMUL_MAX_INSN);
        if (!ZYAN_SUCCESS(
                ZydisDecoderDecodeInstruction(&decoder, NULL, stream, sizeof(stream), &z))) {
            failed += rc == EMUL_OKAY && executed(&ctxt, &insn);
            continue;
        }
        if (disputed(&z))
            continue;
        known++;
        if (rc != EMUL_OKAY)
            what = "the verdict";
        else if (insn.len != z.length)
            what = "the length";
        else if (insn.has_modrm != !!(z.attributes & ZYDIS_ATTRIB_HAS_MODRM))
            what = "ModRM";
        else if (insn.addr_bytes * 8 != z.address_width && !own_address_size(&z))
            what = "the address size";
        else if (compare_sizes(&insn, &z) && !insn.byte_op && insn.op_bytes * 8 != z.operand_width)
            what = "the operand size";
        if (what) {
            complain(&insn, &z, rc, what, mode);
            failed++;
        }
    }
    assert_int_equal(failed, 0);
    assert_true(known > ROUNDS / 4);
}

static void long_mode(void **state)
{
    (void)state;
    compare(64, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
}

static void protected_32(void **state)
{
    (void)state;
    compare(32, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
}

static void protected_16(void **state)
{
    (void)state;
    compare(16, ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
}

static void real_mode(void **state)
{
    (void)state;
    compare(16, ZYDIS_MACHINE_MODE_REAL_16, ZYDIS_STACK_WIDTH_16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_mode),
        cmocka_unit_test(protected_32),
        cmocka_unit_test(protected_16),
        cmocka_unit_test(real_mode),
    };

    return cmocka_run_group_tests_name("emulate-decode", tests, NULL, NULL);
}
