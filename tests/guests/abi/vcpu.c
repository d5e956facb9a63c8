// SPDX-License-Identifier: MIT
/* vcpu_op, time and multicalls. */
#include "guest.h"

static volatile u64 ran;
static volatile u64 times[2];

static void note_run(unsigned long arg)
{
    ran = arg + this_cpu()->id;
}

TEST(vcpu_up_down)
{
    static struct vcpu_guest_context c;

    ran = 0;
    start_on_cpu1(note_run, 100);
    wait_cpu1();
    CHECK_EQ(ran, 101);
    CHECK_EQ(HC3(vcpu_op, VCPUOP_is_up, 1, 0), 0);
    CHECK_EQ(HC3(vcpu_op, VCPUOP_is_up, 0, 0), 1);
    fill_context(&c, 1);
    CHECK_EQ(HC3(vcpu_op, VCPUOP_initialise, 1, &c), -EEXIST);
    start_on_cpu1(note_run, 200);
    wait_cpu1();
    CHECK_EQ(ran, 201);
    CHECK_EQ(HC3(vcpu_op, VCPUOP_up, 4000, 0), -ENOENT);
    CHECK_EQ(HC3(vcpu_op, VCPUOP_up, ~0UL, 0), -ENOENT);
    CHECK_EQ(HC3(vcpu_op, 99, 0, 0), -ENOSYS);
}

static void tick(unsigned long unused)
{
    u64 last = 0;

    (void)unused;
    for (unsigned i = 0; i < 200000; i++) {
        u64 seen = times[0], t = now();

        if (t < last || t + 1000 < seen) /* 1 us: what a remap between clocks may differ by */
            fail(__FILE__, __LINE__, "time went back by %ld ns", (long)(max(last, seen) - t));
        last = t;
        times[1] = t;
    }
}

/* Time never goes back on a vcpu, nor when one looks at what another has seen. */
TEST(vcpu_time_monotonic)
{
    u64 last = 0;

    not_on_stock("differs by some 10 us between CPUs here");
    times[0] = times[1] = 0;
    start_on_cpu1(tick, 0);
    while (cpus[1].busy) {
        u64 seen = times[1], t = now();

        if (t < last || t + 1000 < seen) {
            fail(__FILE__, __LINE__, "time went back by %ld ns", (long)(max(last, seen) - t));
            break;
        }
        last = t;
        times[0] = t;
    }
    wait_cpu1();
}

TEST(vcpu_runstate)
{
    static struct vcpu_runstate_info area;
    struct vcpu_register_runstate_memory_area r;
    struct vcpu_runstate_info info;
    u64 blocked, sum, start;

    r.addr.v = &area;
    CHECK_EQ(HC3(vcpu_op, VCPUOP_register_runstate_memory_area, 0, &r), 0);
    CHECK_EQ(HC3(vcpu_op, VCPUOP_get_runstate_info, 0, &info), 0);
    CHECK_EQ(info.state, RUNSTATE_running);
    CHECK_EQ(area.state, RUNSTATE_running);
    blocked = area.time[RUNSTATE_blocked];
    sum = info.time[0] + info.time[1] + info.time[2] + info.time[3];
    start = now();
    sleep_ms(50);
    CHECK_EQ(area.state, RUNSTATE_running);
    CHECK(area.time[RUNSTATE_blocked] - blocked >= 5000000);
    CHECK_EQ(HC3(vcpu_op, VCPUOP_get_runstate_info, 0, &info), 0);
    sum = info.time[0] + info.time[1] + info.time[2] + info.time[3] - sum;
    CHECK(sum >= 45000000 && sum <= now() - start + 50000000);
    r.addr.p = 0xffff830000000000;
    CHECK_REFUSED(HC3(vcpu_op, VCPUOP_register_runstate_memory_area, 0, &r));
    r.addr.v = 0;
    HC3(vcpu_op, VCPUOP_register_runstate_memory_area, 0, &r);
}

TEST(vcpu_register_info)
{
    struct vcpu_register_vcpu_info r = {0};
    u8 *page;
    unsigned port = bind_ipi();
    struct evtchn_send s = {.port = port};
    u64 n;

    if (vcpu_info_at[0])
        skip("done before");
    page = page_alloc();
    r.mfn = mfn_of(page);
    r.offset = 4096 - sizeof(vcpu_info_t) + 8;
    CHECK_REFUSED(HC3(vcpu_op, VCPUOP_register_vcpu_info, 0, &r));
    r.offset = 1;
    CHECK_REFUSED(HC3(vcpu_op, VCPUOP_register_vcpu_info, 0, &r));
    r.offset = 0x400;
    r.mfn = root_mfn();
    CHECK_REFUSED(HC3(vcpu_op, VCPUOP_register_vcpu_info, 0, &r));
    r.mfn = mfn_of(page);
    events_off();
    REQUIRE_EQ(HC3(vcpu_op, VCPUOP_register_vcpu_info, 0, &r), 0);
    vcpu_info_at[0] = (vcpu_info_t *)(page + 0x400);
    CHECK_EQ(vcpu_info()->evtchn_upcall_mask, 1);
    CHECK(vcpu_info()->time.tsc_to_system_mul);
    events_on();
    unmask_port(port);
    n = event_count[port];
    CHECK_EQ(evtchn(EVTCHNOP_send, &s), 0);
    CHECK_EQ(event_count[port], n + 1);
    CHECK_REFUSED(HC3(vcpu_op, VCPUOP_register_vcpu_info, 0, &r)); /* once only */
    close_port(port);
    CHECK_EQ(CAUGHT(__asm__ volatile("movb (%0), %%al" ::"r"(SPARE_VA + 4096 * 500)
                                     : "al")),
             VEC_PF);
    CHECK_EQ(this_cpu()->cr2, SPARE_VA + 4096 * 500);
}

TEST(vcpu_nmi)
{
    struct xennmi_callback cb = {.handler_address = (u64)trap_entries + 2 * 32};
    u64 n = this_cpu()->traps[VEC_NMI];

    CHECK_EQ(HC2(nmi_op, XENNMI_register_callback, &cb), 0);
    CHECK_EQ(CAUGHT(HC3(vcpu_op, VCPUOP_send_nmi, 0, 0)), VEC_NMI);
    CHECK_EQ(this_cpu()->traps[VEC_NMI], n + 1);
    HC2(nmi_op, XENNMI_unregister_callback, 0);
    cb.handler_address = 0x8000000000000000;
    CHECK_EQ(HC2(nmi_op, XENNMI_register_callback, &cb), -EINVAL);
    load_default_traps();
}

TEST(sched_yield_and_codes)
{
    struct sched_shutdown s = {.reason = SHUTDOWN_poweroff};

    CHECK_EQ(HC2(sched_op, SCHEDOP_yield, 0), 0);
    CHECK_EQ(HC2(sched_op, SCHEDOP_shutdown_code, &s), 0);
    CHECK_EQ(HC2(sched_op, 99, 0), -ENOSYS);
    CHECK_EQ(HC2(sched_op, SCHEDOP_poll, 0), -EFAULT);
}

TEST(multicall)
{
    static struct multicall_entry m[6];
    u64 *a = page_alloc();
    struct mmu_update u = {maddr_of(entry_of((u64)a, 1)), mfn_of(a) << 12 | PTE_RO_};

    m[0].op = __HYPERVISOR_xen_version;
    m[0].args[0] = XENVER_version;
    m[1].op = __HYPERVISOR_update_va_mapping;
    m[1].args[0] = (u64)a;
    m[1].args[1] = 0;
    m[1].args[2] = UVMF_INVLPG;
    m[2].op = __HYPERVISOR_mmu_update;
    m[2].args[0] = (u64)&u;
    m[2].args[1] = 1;
    m[2].args[3] = DOMID_SELF;
    m[3].op = 12345;
    m[4].op = __HYPERVISOR_sched_op;
    m[4].args[0] = SCHEDOP_yield;
    m[5].op = __HYPERVISOR_xen_version;
    m[5].args[0] = XENVER_pagesize;
    CHECK_EQ(HC2(multicall, m, 6), 0);
    CHECK_EQ(m[0].result, 0x40011);
    CHECK_EQ(m[1].result, 0);
    CHECK_EQ(m[2].result, 0);
    CHECK_EQ((long)m[3].result, -ENOSYS);
    CHECK_EQ(m[4].result, 0);
    CHECK_EQ(m[5].result, 4096);
    CHECK_EQ(*entry_of((u64)a, 1) & PTE_W, 0);
    set_rw(a);
    page_free(a);
    CHECK_EQ(HC2(multicall, 0x10, 1), -EFAULT);
    CHECK_EQ(HC2(multicall, m, 0), 0);
}
