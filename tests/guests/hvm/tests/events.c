// SPDX-License-Identifier: MIT
/* Attackers with exceptions and interrupts: delivery that fails, that never ends, that nests. */
#include "guest.h"

/* --- tables and stacks where there is no RAM, or nothing useful --- */

static void bad_idt(u64 base, u16 limit)
{
    struct table_ptr p = {limit, base};

    irq_off();
    load_idt(&p);
    __asm__ volatile("ud2");
}

DEATH(death_idt_in_no_ram)
{
    bad_idt(HOLE, 4095);
}

DEATH(death_idt_in_the_apic)
{
    bad_idt(APIC, 4095);
}

DEATH(death_triple_fault)
{
    bad_idt(0x9000, 0);
}

DEATH(death_stack_in_no_ram)
{
    __asm__ volatile("mov %0, %%rsp\n ud2" ::"r"(HOLE + 0x1000));
}

DEATH(death_int_without_idt)
{
    struct table_ptr p = {4095, HOLE};

    irq_off();
    load_idt(&p);
    __asm__ volatile("int $0x50");
}

DEATH(death_tables_in_no_ram)
{
    write_cr3(HOLE);
}

DEATH(death_tables_beyond)
{
    write_cr3(1UL << 39);
}

static void halt_for_good(unsigned long unused)
{
    (void)unused;
    irq_off();
    for (;;)
        __asm__ volatile("hlt");
}

/* The last one turns off the light. */
DEATH(death_halted_for_good)
{
    start_on_cpu1(halt_for_good, 0);
    halt_for_good(0);
}

/*
 * Its core is looked at (test_hvm_guests.py): four pages whose words say where they are.  The tools
 * try every frame number up to the highest, so what they have put below 4 GB is given back first.
 */
DEATH(death_crash)
{
    struct sched_shutdown s = {SHUTDOWN_crash};

    for (unsigned n = 0; n < 4; n++) {
        u64 *page = page_alloc();

        for (unsigned i = 0; i < 512; i++)
            page[i] = addr_of(page) << 16 | i;
        say("in the core: %#lx\n", pfn_of(page));
    }
    for (u64 gfn = 0xff000; gfn-- > 0xfc000;)
        decrease(gfn);
    HC2(sched_op, SCHEDOP_shutdown, &s);
}

/* What is fetched there is nothing, or all ones: not an instruction. */
TEST(attack_code_in_no_ram)
{
    int vec = CAUGHT(__asm__ volatile("jmp *%0" ::"r"(HOLE)));

    CHECK(vec == VEC_GP || vec == VEC_UD);
    vec = CAUGHT(__asm__ volatile("jmp *%0" ::"r"(APIC)));
    CHECK(vec == VEC_GP || vec == VEC_UD);
}

/* A gate that leads nowhere makes a double fault, which has a stack of its own here. */
TEST(attack_double_fault)
{
    u64 old = idt[2 * VEC_UD + 1];

    idt[2 * VEC_UD + 1] = 0x12345678; /* not canonical */
    CHECK_EQ(CAUGHT(__asm__ volatile("ud2")), VEC_GP);
    irq_on(); /* QEMU's CPU only fails to fetch the handler */
    idt[2 * VEC_UD + 1] = old;
    old = idt[2 * VEC_GP];
    idt[2 * VEC_GP] &= ~(1UL << 47); /* not present: #GP's makes #NP, which makes #DF */
    CHECK_EQ(CAUGHT(*(volatile int *)(1UL << 63) = 1), 8);
    idt[2 * VEC_GP] = old;
}

/* Faults while a fault is delivered: the stack is not mapped, then it is. */
TEST(attack_fault_on_the_stack)
{
    u8 *page = page_alloc();

    map_at(SPARE_VA, (u64)page | PTE_P); /* read-only */
    CHECK_EQ(CAUGHT(__asm__ volatile("mov %%rsp, %%rbx\n mov %0, %%rsp\n ud2" ::"r"(SPARE_VA + 4096)
                                     : "rbx", "memory")),
             8);
    map_at(SPARE_VA, 0);
    page_free(page);
}

/* --- exceptions without end: each is an exit, and the CPU is the hypervisor's again --- */

static volatile bool stop;
static u64 stack_page_top;

static void watch_own_stack(unsigned long unused)
{
    (void)unused;
    /* The #DB that the frame's being written makes is delivered by writing a frame. */
    write_dr0(stack_page_top - 48);
    write_dr7(0x400 | 3 | 0xd0000);
    __asm__ volatile("mov %0, %%rsp\n 1: ud2\n jmp 1b" ::"r"(stack_page_top));
}

/* Back to the work's end by itself: an INIT that finds DR7 in use is too much for QEMU. */
static bool again(struct frame *f)
{
    if (stop && f->vector == VEC_UD) {
        write_dr7(0x400);
        go_back(&cpus[1].catch, 1);
    }
    return f->vector == VEC_UD || f->vector == VEC_DB;
}

/* CVE-2015-8104: #DB by #DB; meanwhile this vcpu goes on. */
TEST(attack_debug_storm)
{
    u8 *page = page_alloc();
    u64 begin = now();

    stack_page_top = (u64)page + 4096;
    stop = false;
    hooks[VEC_UD] = hooks[VEC_DB] = again;
    start_on_cpu1(watch_own_stack, 0);
    while (now() < begin + 200000000)
        HC2(sched_op, SCHEDOP_yield, 0);
    CHECK(now() < begin + 5000000000);
    stop = true;
    wait_cpu1();
    page_free(page);
}

/* (QEMU's CPU does not know it.) */
TEST(attack_icebp)
{
    int vec = CAUGHT(__asm__ volatile(".byte 0xf1"));
    u64 rip = this_cpu()->trap.rip;

    say("  ICEBP is %sknown here\n", vec == VEC_DB ? "" : "not ");
    CHECK(vec == VEC_UD ? *(u8 *)rip == 0xf1 : vec == VEC_DB && *(u8 *)(rip - 1) == 0xf1);
}

/* Alignment checks of ring 3. (QEMU's CPU has none.) */
static void misaligned(void)
{
    __asm__ volatile("pushfq\n orl $0x40000, (%%rsp)\n popfq\n movl %%eax, 1(%0)\n"
                     "pushfq\n andl $~0x40000, (%%rsp)\n popfq" ::"r"(cpus)
                     : "memory", "cc");
}

TEST(attack_alignment)
{
    u32 *first = (u32 *)cpus, was[2] = {first[0], first[1]};
    int vec;

    write_cr0(read_cr0() | 1 << 18);
    vec = user_call(misaligned);
    write_cr0(read_cr0() & ~(1UL << 18));
    first[0] = was[0];
    first[1] = was[1];
    say("  alignment is %schecked here\n", vec == VEC_AC ? "" : "not ");
    CHECK(vec == VEC_AC || vec == VEC_GATE);
}

/* --- NMIs --- */

static volatile unsigned depth, deepest, nmis;

static bool count_nmi(struct frame *f)
{
    (void)f;
    depth++;
    if (depth > deepest)
        deepest = depth;
    nmis++;
    for (unsigned i = 0; i < 1000; i++)
        cpu_pause();
    depth--;
    return true;
}

static void send_nmis(unsigned long icr)
{
    for (unsigned i = 0; i < 2000 && !stop; i++)
        apic_send(0, icr);
}

/* An NMI within another's handler waits until that has returned. */
TEST(attack_nmi_storm)
{
    u64 begin = now();

    depth = deepest = nmis = 0;
    stop = false;
    hooks[VEC_NMI] = count_nmi;
    start_on_cpu1(send_nmis, 0x4400);
    while (cpus[1].busy && now() < begin + 3000000000)
        cpu_pause();
    stop = true;
    wait_cpu1();
    sleep_ms(1);
    hooks[VEC_NMI] = NULL;
    CHECK(nmis > 0);
    CHECK_EQ(depth, 0);
    if (deepest > 1)
        say("  NMIs nested %u deep, of %u\n", deepest, nmis);
    CHECK(deepest <= 1);
}
