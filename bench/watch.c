// SPDX-License-Identifier: MIT
/*
 * What the emulator sees: a plugin of QEMU that counts, while a program in the machine asks for it,
 * what instructions alone do not tell: reloads of a page-table root, writes of model-specific
 * registers, single flushes, stays in a hardware-virtualised guest (VMRUN; as many exits end them),
 * and how long the hypervisor ran without giving the CPU back.
 *
 * The program says where a measurement begins and ends by an instruction that does nothing, a long
 * NOP whose displacement is 0x4842 in its upper half and the number of a row in its lower one; row
 * 0 ends what is being measured. Whose code runs is told by its address: the ABI keeps L4 slots 256
 * to 271 for the hypervisor, and no guest can execute there. With `-icount shift=0` an instruction
 * is a nanosecond, and so are the units here. For one thread of emulation: -accel tcg with -icount.
 *
 *     qemu-system-x86_64 ... -plugin build/bench/watch.so,out=FILE[,limit=N]
 *
 * FILE gets a line for each measurement:
 *     row total hypervisor longest where cr3 wrmsr invlpg entries vmrun
 * total counts instructions of everybody, longest the hypervisor's between two of a guest or a
 * halt, and where is the code it was in `limit` after that stretch had begun: limit=N is an
 * argument, and else 1000000, 1 ms; 0 if it was shorter.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The part of the plugin interface, version 1, that this needs (QEMU exports these functions). */
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void tb_trans_fn(uint64_t id, struct qemu_plugin_tb *tb);
typedef void exec_fn(unsigned int vcpu, void *data);
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, tb_trans_fn *fn);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, exec_fn *fn, int regs,
                                          void *data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, exec_fn *fn, int regs,
                                            void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv);
__attribute__((visibility("default"))) int qemu_plugin_version = 1;

#define HYP_BEGIN 0xffff800000000000
#define HYP_END   0xffff880000000000
#define MARK      0x4842
#define MAX_CPUS  64

enum { CR3, WRMSR, INVLPG, VMRUN, EVENTS };
static struct {
    uint64_t total, hypervisor, longest, where, entries, events[EVENTS];
} now;
/* The stretch that a CPU is in: its length so far, and the code in it at `limit`. */
static struct {
    uint64_t length, where;
} stretch[MAX_CPUS];
static unsigned row;
static uint64_t limit = 1000000; /* 1 ms */
static FILE *out;

static void end_stretch(unsigned cpu)
{
    if (stretch[cpu].length > now.longest) {
        now.longest = stretch[cpu].length;
        now.where = stretch[cpu].where;
    }
    stretch[cpu].length = stretch[cpu].where = 0;
}

/* Data of a block: its instructions in the low bits, its address above (sign-extended again). */
#define COUNT_BITS 12

static void hypervisor_block(unsigned cpu, void *data)
{
    uint64_t count = (uintptr_t)data & ((1 << COUNT_BITS) - 1);

    if (!row)
        return;
    if (!stretch[cpu].length)
        now.entries++;
    stretch[cpu].length += count;
    if (stretch[cpu].length > limit && !stretch[cpu].where)
        stretch[cpu].where =
            (uint64_t)((int64_t)(uintptr_t)data >> COUNT_BITS) | 0xffff000000000000;
    now.total += count;
    now.hypervisor += count;
}

static void other_block(unsigned cpu, void *data)
{
    if (!row)
        return;
    if (stretch[cpu].length)
        end_stretch(cpu);
    now.total += (uintptr_t)data;
}

static void halt(unsigned cpu, void *data)
{
    (void)data;
    end_stretch(cpu);
}

static void count_event(unsigned cpu, void *data)
{
    (void)cpu;
    if (row)
        now.events[(uintptr_t)data]++;
}

static void mark(unsigned cpu, void *data)
{
    unsigned number = (uintptr_t)data;

    (void)cpu;
    if (row)
        fprintf(out,
                "%u %" PRIu64 " %" PRIu64 " %" PRIu64 " %#" PRIx64 " %" PRIu64 " %" PRIu64
                " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
                row, now.total, now.hypervisor, now.longest, now.where, now.events[CR3],
                now.events[WRMSR], now.events[INVLPG], now.entries, now.events[VMRUN]);
    fflush(out);
    memset(&now, 0, sizeof(now));
    memset(stretch, 0, sizeof(stretch));
    row = number;
}

/* An instruction of two bytes 0f xx and perhaps a ModRM byte, its prefixes skipped. */
static void look_at(struct qemu_plugin_insn *insn)
{
    const uint8_t *p = qemu_plugin_insn_data(insn), *end = p + qemu_plugin_insn_size(insn);
    uintptr_t event;
    uint32_t word;

    while (p < end && ((*p & 0xf0) == 0x40 || *p == 0x66 || *p == 0x2e || *p == 0x3e ||
                       *p == 0xf2 || *p == 0xf3))
        p++;
    if (p < end && *p == 0xf4)
        qemu_plugin_register_vcpu_insn_exec_cb(insn, halt, 0, NULL);
    if (end - p < 2 || *p != 0x0f)
        return;
    if (p[1] == 0x1f && end - p == 7) {
        memcpy(&word, p + 3, sizeof(word));
        if (word >> 16 == MARK)
            qemu_plugin_register_vcpu_insn_exec_cb(insn, mark, 0,
                                                   (void *)(uintptr_t)(word & 0xffff));
        return;
    }
    if (p[1] == 0x30)
        event = WRMSR;
    else if (p[1] == 0x22 && end - p == 3 && (p[2] & 0x38) == 3 << 3)
        event = CR3;
    else if (p[1] == 0x01 && end - p >= 3 && (p[2] & 0x38) == 7 << 3 && p[2] < 0xc0)
        event = INVLPG;
    else if (p[1] == 0x01 && end - p >= 3 && p[2] == 0xd8)
        event = VMRUN;
    else
        return;
    qemu_plugin_register_vcpu_insn_exec_cb(insn, count_event, 0, (void *)event);
}

static void translated(uint64_t id, struct qemu_plugin_tb *tb)
{
    size_t count = qemu_plugin_tb_n_insns(tb);
    uint64_t at = qemu_plugin_tb_vaddr(tb);
    bool hypervisor = at >= HYP_BEGIN && at < HYP_END;

    (void)id;
    qemu_plugin_register_vcpu_tb_exec_cb(
        tb, hypervisor ? hypervisor_block : other_block, 0,
        (void *)(uintptr_t)(hypervisor ? at << COUNT_BITS | count : count));
    for (size_t i = 0; i < count; i++)
        look_at(qemu_plugin_tb_get_insn(tb, i));
}

__attribute__((visibility("default"))) int qemu_plugin_install(uint64_t id, const void *info,
                                                               int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++)
        if (!strncmp(argv[i], "out=", 4))
            out = fopen(argv[i] + 4, "w");
        else if (!strncmp(argv[i], "limit=", 6))
            limit = strtoull(argv[i] + 6, NULL, 0);
    if (!out) {
        fprintf(stderr, "watch: out=FILE, which can be written\n");
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
