// SPDX-License-Identifier: MIT
/* Privileged instructions in ring 1, iret, events, a second vcpu. */
#include "guest.h"

TEST(pae_control_registers)
{
    u32 cr0, cr3, cr4;

    __asm__ volatile("mov %%cr0, %0; mov %%cr3, %1; mov %%cr4, %2"
                     : "=r"(cr0), "=r"(cr3), "=r"(cr4));
    CHECK(cr0 & 0x80000001);
    CHECK_EQ(xen_cr3_to_pfn(cr3), root_mfn());
    CHECK(cr4 & 0x20); /* PAE */
    __asm__ volatile("mov %0, %%cr3" ::"r"(cr3) : "memory");
    __asm__ volatile("clts");
    __asm__ volatile("mov %0, %%cr0" ::"r"(cr0 | 8));
    CHECK_EQ(CAUGHT(AT("fnop")), VEC_NM);
    CHECK_EQ(CAUGHT(AT("mov %0, %%cr0", "r"(cr0 & ~1U))), VEC_GP);
}

TEST(pae_cpuid)
{
    u32 a = 0x40000000, b, c, d;

    __asm__ volatile("ud2a; .ascii \"xen\"; cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    CHECK_EQ(b, 0x566e6558); /* "XenV" */
    CHECK_EQ(CAUGHT(AT("ud2; .ascii \"xen\"; ud2")), VEC_UD);
}

TEST(pae_privileged)
{
    CHECK_EQ(CAUGHT(AT("lgdt 0xc0100000")), VEC_GP);
    CHECK_EQ(CAUGHT(AT("ltr %%ax", "a"(0x40))), VEC_GP);
    CHECK_EQ(CAUGHT(AT("wrmsr", "a"(0), "d"(0), "c"(0x12345))), VEC_GP);
    CHECK_EQ(CAUGHT(AT("wrmsr", "a"(0), "d"(0), "c"(0xc0000082))), VEC_GP); /* LSTAR */
    CHECK_EQ(CAUGHT(AT("wrmsr", "a"(0), "d"(0), "c"(0x176))), VEC_GP);      /* SYSENTER_EIP */
}

TEST(pae_iopl)
{
    struct physdev_set_iopl set = {.iopl = 1};
    struct frame f;

    CHECK_EQ(CAUGHT(AT("cli")), VEC_GP);
    CHECK_EQ(CAUGHT(AT("inb $0x80, %%al", "a"(0))), VEC_GP);
    REQUIRE_EQ(HC2(physdev_op, PHYSDEVOP_set_iopl, &set), 0);
    CHECK_EQ(CAUGHT(AT("cli; sti")), NO_TRAP);
    CHECK_EQ(CAUGHT(AT("inb $0x80, %%al", "a"(0))), NO_TRAP); /* allowed, and there is nothing */
    USER_ASM(&f, "cli");
    CHECK_EQ(user_run(&f), VEC_GP);
    set.iopl = 3;
    REQUIRE_EQ(HC2(physdev_op, PHYSDEVOP_set_iopl, &set), 0);
    USER_ASM(&f, "cli; inb $0x80, %al; sti; int $0x80");
    CHECK_EQ(user_run(&f), 0x80);
    CHECK_EQ(this_cpu()->trap.eip, USER_CODE + 6);
    set.iopl = 0;
    REQUIRE_EQ(HC2(physdev_op, PHYSDEVOP_set_iopl, &set), 0);
}

TEST(pae_tsc)
{
    u64 a = rdtsc_();

    CHECK(rdtsc_() > a);
}

/* There is no virtual-8086 mode to go to. */
TEST(pae_iret_vm)
{
    struct frame f;

    USER_ASM(&f, "int $0x80");
    f.eflags |= 0x20000;
    this_cpu()->armed = true;
    if (!save_point(&this_cpu()->catch)) {
        this_cpu()->armed = true;
        user_run(&f);
    }
    CHECK_EQ(this_cpu()->trap.vector, VEC_GP);
    this_cpu()->in_user = false;
}

/* To a selector that does not exist: a fault, at the place that was to be gone to. */
TEST(pae_iret_bad)
{
    struct frame f;

    USER_ASM(&f, "int $0x80");
    f.cs = 0x23;
    CHECK_EQ(user_run(&f), VEC_GP);
    CHECK_EQ(this_cpu()->trap.error, 0x20);
    CHECK_EQ(this_cpu()->trap.eip, USER_CODE);
}

TEST(pae_iret_native)
{
    u32 eax = 1;

    __asm__ volatile("pushf; push %%cs; push $1f; iret; 1: movl $2, %0" : "+r"(eax)::"memory");
    CHECK_EQ(eax, 2);
}

TEST(pae_event)
{
    unsigned port = bind_ipi();
    struct evtchn_send send = {.port = port};
    u64 old = event_count[port];

    unmask_port(port);
    REQUIRE_EQ(evtchn(EVTCHNOP_send, &send), 0);
    CHECK(wait_count(&event_count[port], old, 1000));
    events_off();
    REQUIRE_EQ(evtchn(EVTCHNOP_send, &send), 0);
    CHECK_EQ(event_count[port], old + 1);
    CHECK(port_pending(port));
    events_on();
    CHECK_EQ(event_count[port], old + 2);
    close_port(port);
}

/* A user's code is interrupted by one, too, on the kernel's stack, and goes on. */
TEST(pae_event_user)
{
    unsigned port = bind_virq(VIRQ_TIMER);
    u64 old = event_count[port], at = now() + 20000000;
    struct frame f;

    unmask_port(port);
    REQUIRE_EQ(HC2(set_timer_op, at, at >> 32), 0);
    USER_ASM(&f, "movl $0, %ecx; 1: incl %ecx; cmpl %ecx, 0x410000; jne 1b; int $0x80");
    *(u32 *)user_data_page = 40000000;
    CHECK_EQ(user_run(&f), 0x80);
    CHECK_EQ(this_cpu()->trap.ecx, 40000000);
    CHECK(wait_count(&event_count[port], old, 2000));
    CHECK(now() >= at);
    close_port(port);
}

static volatile u32 seen, seen_cs;

static void on_cpu1(ulong arg)
{
    u16 cs;

    __asm__("mov %%cs, %0" : "=r"(cs));
    seen_cs = cs;
    seen = arg;
}

TEST(pae_second_vcpu)
{
    seen = 0;
    start_on_cpu1(on_cpu1, 42);
    wait_cpu1();
    CHECK_EQ(seen, 42);
    CHECK_EQ(seen_cs, FLAT_KERNEL_CS);
    start_on_cpu1(on_cpu1, 43);
    wait_cpu1();
    CHECK_EQ(seen, 43);
}

TEST(pae_runstate)
{
    static struct vcpu_runstate_info info;
    struct vcpu_register_runstate_memory_area area;

    REQUIRE_EQ(HC3(vcpu_op, VCPUOP_get_runstate_info, 0, &info), 0);
    CHECK_EQ(info.state, RUNSTATE_running);
    CHECK(info.time[RUNSTATE_running] > 0);
    memset(&info, 0xff, sizeof(info));
    memset(&area, 0, sizeof(area));
    area.addr.v = &info;
    REQUIRE_EQ(HC3(vcpu_op, VCPUOP_register_runstate_memory_area, 0, &area), 0);
    sleep_ms(5);
    CHECK_EQ(info.state, RUNSTATE_running);
    CHECK(info.time[RUNSTATE_blocked] >= 4000000);
}

TEST(pae_fpu)
{
    static double a = 1.5, b;

    __asm__ volatile("fninit; fldl %0" ::"m"(a));
    for (unsigned i = 0; i < 5; i++)
        sleep_ms(1);
    __asm__ volatile("fstpl %0" : "=m"(b));
    CHECK(((volatile u32 *)&b)[1] == 0x3ff80000);
}

TEST(pae_nmi)
{
    struct xennmi_callback cb = {.handler_address = (ulong)trap_entries + VEC_NMI * 32};
    u64 old = this_cpu()->traps[VEC_NMI];

    REQUIRE_EQ(HC2(nmi_op, XENNMI_register_callback, &cb), 0);
    this_cpu()->armed = true;
    if (!save_point(&this_cpu()->catch)) {
        this_cpu()->armed = true;
        REQUIRE_EQ(HC3(vcpu_op, VCPUOP_send_nmi, 0, 0), 0);
    }
    CHECK_EQ(this_cpu()->traps[VEC_NMI], old + 1);
    CHECK_EQ(HC2(nmi_op, XENNMI_unregister_callback, 0), 0);
    load_default_traps();
}

/* A call that gives way and goes on leaves alone the registers that hold no argument of it. */
TEST(pae_continued_call)
{
    static xen_pfn_t frames[4];
    struct gnttab_setup_table s = {.dom = DOMID_SELF, .nr_frames = ARRAY_SIZE(frames)};
    ulong nr = __HYPERVISOR_grant_table_op, esi = 0x12345678, edi = 0x9abcdef0;
    static ulong ebp;

    memset(frames, 0xff, sizeof(frames));
    set_xen_guest_handle(s.frame_list, frames);
    /* Before each frame it gives way to an event that waits. */
    WRITE_ONCE(vcpu_info()->evtchn_upcall_pending, 1);
    __asm__ volatile("push %%ebp; mov $0x5a5aa5a5, %%ebp; int $0x82; mov %%ebp, %3; pop %%ebp"
                     : "+a"(nr), "+S"(esi), "+D"(edi), "=m"(ebp)
                     : "b"(GNTTABOP_setup_table), "c"(&s), "d"(1)
                     : "memory");
    REQUIRE_EQ(nr, 0);
    REQUIRE_EQ(s.status, GNTST_okay);
    CHECK_EQ(esi, 0x12345678);
    CHECK_EQ(edi, 0x9abcdef0);
    CHECK_EQ(ebp, 0x5a5aa5a5);
    for (unsigned i = 0; i < ARRAY_SIZE(frames); i++)
        CHECK(frames[i] != 0xffffffff);
}
