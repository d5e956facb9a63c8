// SPDX-License-Identifier: MIT
/* That this kernel works: traps, ring 3, a second vcpu, events, the APIC's timer. */
#include "guest.h"

TEST(basic_traps)
{
    CHECK_EQ(CAUGHT(__asm__ volatile("ud2")), VEC_UD);
    CHECK_EQ(CAUGHT(*(volatile int *)SPARE_VA = 1), VEC_PF);
    CHECK_EQ(this_cpu()->cr2, SPARE_VA);
    CHECK_EQ(this_cpu()->trap.error, 2);
    CHECK_EQ(CAUGHT(*(volatile int *)(1UL << 63) = 1), VEC_GP);
    map_at(SPARE_VA, (u64)page_alloc() | PTE_RW_);
    CHECK_EQ(CAUGHT(*(volatile int *)SPARE_VA = 1), NO_TRAP);
    map_at(SPARE_VA, 0);
}

static volatile unsigned seen;

static void in_user(void)
{
    u64 cs;

    __asm__ volatile("mov %%cs, %0" : "=r"(cs));
    seen = cs;
}

static void user_halts(void)
{
    __asm__ volatile("hlt");
}

TEST(basic_ring3)
{
    CHECK_EQ(user_call(in_user), VEC_GATE);
    CHECK_EQ(seen, SEL_USER);
    CHECK_EQ(user_call(user_halts), VEC_GP);
}

static void on_cpu1(unsigned long arg)
{
    seen = this_cpu()->id + arg;
}

TEST(basic_second_vcpu)
{
    for (unsigned i = 0; i < 3; i++) {
        start_on_cpu1(on_cpu1, 10 * i);
        wait_cpu1();
        CHECK_EQ(seen, 10 * i + 1);
    }
    restart_cpu(1);
    start_on_cpu1(on_cpu1, 7);
    wait_cpu1();
    CHECK_EQ(seen, 8);
}

TEST(basic_interrupts)
{
    struct cpu *cpu = this_cpu();
    u64 before = cpu->traps[VEC_TIMER];

    apic_timer(100000);
    CHECK(wait_count(&cpu->traps[VEC_TIMER], before, 10000));
    before = cpu->traps[VEC_IPI];
    apic_send(0, VEC_IPI);
    CHECK(wait_count(&cpu->traps[VEC_IPI], before, 10000));
}

static void send_port(unsigned long port)
{
    struct evtchn_send s = {.port = port};

    CHECK_EQ(evtchn(EVTCHNOP_send, &s), 0);
}

TEST(basic_events)
{
    unsigned port = bind_ipi();
    u64 before = event_count[port];

    unmask_port(port);
    send_port(port);
    CHECK(wait_count(&event_count[port], before, 10000));
    before = event_count[port];
    start_on_cpu1(send_port, port);
    CHECK(wait_count(&event_count[port], before, 10000));
    wait_cpu1();
    close_port(port);
}
