// SPDX-License-Identifier: MIT
/*
 * Steps of the random guest: vcpus that begin anew, and such as begin in a mode that 64-bit code
 * cannot try: real mode, protected mode without paging, with two and with three levels of it.
 *
 * There the tables of the CPU are at address 0, as INIT leaves them, and every vector leads to a
 * halt, from which the others get the vcpu back.
 */
#include "random.h"
#include <xen/hvm/hvm_vcpu.h>

#define LOW_CODE  0x600 /* the halt, for real mode */
#define SEL_LOW   0x960 /* a code segment behind the gates */
#define LEGACY_RW 0xe7  /* a large page, for all */

extern u8 random_begin[], random_end[], stop16[], stop32[];
extern u64 boot_l2[4 * 512], boot_l4[512];
static u32 two_levels[1024] __aligned(4096);
static u64 three_levels[4] __aligned(32);
static u64 first_gb[512] __aligned(4096); /* without bits that need EFER.NXE */
static volatile u64 taken;                /* the low pages, since when */
static u8 *volatile low;                  /* address 0: not that a compiler knows */

void play(struct cpu *cpu);
void random_start(void);

/* On a fresh stack. */
void random_start(void)
{
    struct cpu *cpu = this_cpu();

    players[cpu->id].starts++;
    play(cpu);
}

/* What is sent too early is lost. */
void revive(unsigned cpu)
{
    memcpy((void *)START_PAGE, random_begin, random_end - random_begin);
    apic_send(cpu, 0x4500);
    for (unsigned i = 0; i < 30; i++) {
        me()->beat++;
        apic_send(cpu, 0x4600 | START_PAGE >> 12);
        if (HC3(vcpu_op, VCPUOP_is_up, cpu, 0) == 1)
            break;
        HC2(sched_op, SCHEDOP_yield, 0);
    }
}

void modes_init(void)
{
    for (unsigned i = 0; i < 1024; i++)
        two_levels[i] = i << 22 | LEGACY_RW;
    for (unsigned i = 0; i < 512; i++)
        first_gb[i] = (u64)i << 21 | LEGACY_RW;
    three_levels[0] = (u64)first_gb | 1;
    for (unsigned i = 1; i < 4; i++)
        three_levels[i] = (u64)&boot_l2[512 * i] | 1;
}

static void real_mode(struct player *p, unsigned cpu)
{
    /* CR0.NE, the FPU's exceptions masked (see pieces.def), and a stack below 0x6000. */
    static const u8 begin[] = {0x0f, 0x20, 0xc0, 0x0c, 0x20, 0x0f, 0x22, 0xc0, 0xdb,
                               0xe3, 0x31, 0xc0, 0x8e, 0xd0, 0xbc, 0x00, 0x60};
    u32 *vectors = (u32 *)low;
    u8 *code = (u8 *)REAL_PAGE;

    for (unsigned i = 0; i < 256; i++)
        vectors[i] = LOW_CODE;
    memcpy(low + LOW_CODE, stop16, 16);
    memcpy(code, begin, sizeof(begin));
    for (unsigned at = sizeof(begin), i = 0; i < 4; i++)
        at += make_code(p, code + at, 16, false) - 2;
    apic_send(cpu, 0x4500);
    for (unsigned i = 0; i < 20; i++) {
        apic_send(cpu, 0x4600 | (one_in(p, 64) ? below(p, 256) : REAL_PAGE >> 12));
        HC2(sched_op, SCHEDOP_yield, 0);
    }
}

static void begin32(struct player *p, struct vcpu_hvm_x86_32 *c, unsigned cpu)
{
    u64 *gates = (u64 *)low;
    u64 at = (u64)stop32;

    for (unsigned i = 0; i < 256; i++)
        gates[i] = (at & 0xffff) | SEL_LOW << 16 | 0x8e0000000000 | (at >> 16 & 0xffff) << 48;
    gates[SEL_LOW / 8] = 0x00cf9b000000ffff;
    gates[SEL_LOW / 8 + 1] = 0x00cf93000000ffff;
    *c = (struct vcpu_hvm_x86_32){.eip = (u64)own[4 * cpu] + below(p, 4096),
                                  .esp = (u64)own[4 * cpu + 3],
                                  .edi = some_address(p),
                                  .esi = some_address(p),
                                  .eax = below(p, 48),
                                  .ebx = some_address(p),
                                  .ecx = below(p, 64),
                                  .eflags = 2,
                                  .cr0 = 0x31,
                                  .cs_limit = ~0u,
                                  .ds_limit = ~0u,
                                  .ss_limit = ~0u,
                                  .es_limit = ~0u,
                                  .tr_limit = 0x67,
                                  .cs_ar = one_in(p, 4) ? 0x89b : 0xc9b,
                                  .ds_ar = 0xc93,
                                  .ss_ar = 0xc93,
                                  .es_ar = 0xc93,
                                  .tr_ar = 0x8b};
    make_code(p, own[4 * cpu] + (c->eip & 4095) % 4000, 32, false);
    switch (below(p, 4)) {
    case 0:
        break;
    case 1:
        c->cr0 |= 1u << 31 | 1 << 16;
        c->cr3 = (u64)two_levels;
        c->cr4 = 1 << 4;
        break;
    case 2:
        c->cr0 |= 1u << 31;
        c->cr3 = (u64)three_levels;
        c->cr4 = 1 << 5;
        break;
    default: /* long mode, but not 64-bit code: exceptions are the end */
        if (!one_in(p, 16))
            break;
        c->cr0 |= 1u << 31;
        c->cr3 = (u64)boot_l4;
        c->cr4 = 1 << 5;
        c->efer = EFER_LME | EFER_NXE;
    }
}

/* By VCPUOP_initialise; sometimes with a state that cannot be. */
static void protected_mode(struct player *p, unsigned cpu)
{
    static struct vcpu_hvm_context context[MAX_CPUS];
    struct vcpu_hvm_context *c = &context[p - players];
    u32 *words = (u32 *)c;

    memset(c, 0, sizeof(*c));
    begin32(p, &c->cpu_regs.x86_32, cpu);
    if (one_in(p, 3))
        words[below(p, sizeof(*c) / 4)] ^= 1u << below(p, 32);
    if (one_in(p, 8))
        c->mode = VCPU_HVM_MODE_64B;
    apic_send(cpu, 0x4500);
    for (unsigned i = 0; i < 50 && HC3(vcpu_op, VCPUOP_initialise, cpu, c); i++)
        HC2(sched_op, SCHEDOP_yield, 0);
    HC3(vcpu_op, VCPUOP_up, cpu, 0);
}

void elsewhere(struct player *p)
{
    unsigned cpu = 1 + below(p, MAX_CPUS - 1);
    u64 was = taken, time = rdtsc_();

    if (cpu == (unsigned)(p - players) || cpu >= nr_vcpus())
        return;
    /* Whoever had it may have come to an end. */
    if (time - was < 1UL << 28 || !__sync_bool_compare_and_swap(&taken, was, time))
        return;
    for (unsigned gfn = 0; gfn < 0x10; gfn++) /* calls may have taken them */
        populate(gfn);
    if (one_in(p, 2))
        real_mode(p, cpu);
    else
        protected_mode(p, cpu);
}
