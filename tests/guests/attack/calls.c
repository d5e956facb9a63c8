// SPDX-License-Identifier: MIT
/*
 * Attempts on the hypercalls' arguments: pointers into the hypervisor and across its borders,
 * counts, nested and forged calls, and numbers at random.
 */
#include "guest.h"

#define HYP 0xffff830000000000UL

static const u64 bad_pointers[] = {
    8,
    0xffff800000000000,
    HYP,
    0xffff82d040200000,
    0xffff87ffffffffff,
    0xffff87fffffffffc, /* its end is the guest's */
    0x7ffffffffffc,
    0x800000000000,
    0x8000000000000000,
    0xffff7ffffffffffc, /* its end is the hypervisor's */
    ~0UL,
    -4UL,
};

/* A call with a pointer in argument `where` that reads or writes through it, whatever happens. */
struct probe {
    const char *name;
    u32 nr, where;
    u64 args[5];
};
#define PTR(n, w, ...)                                                                             \
    {                                                                                              \
#n, __HYPERVISOR_##n, w,                                                                   \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
static const struct probe probes[] = {
    PTR(set_trap_table, 0, 0),
    PTR(mmu_update, 0, 0, 1, 0, DOMID_SELF),
    PTR(set_gdt, 0, 0, 512),
    PTR(multicall, 0, 0, 2),
    PTR(mmuext_op, 0, 0, 1, 0, DOMID_SELF),
    PTR(xen_version, 1, XENVER_extraversion),
    PTR(xen_version, 1, XENVER_compile_info),
    PTR(xen_version, 1, XENVER_capabilities),
    PTR(xen_version, 1, XENVER_changeset),
    PTR(xen_version, 1, XENVER_platform_parameters),
    PTR(xen_version, 1, XENVER_get_features),
    PTR(xen_version, 1, XENVER_guest_handle),
    PTR(console_io, 2, CONSOLEIO_write, 5),
    PTR(memory_op, 1, XENMEM_decrease_reservation),
    PTR(memory_op, 1, XENMEM_populate_physmap),
    PTR(memory_op, 1, XENMEM_exchange),
    PTR(memory_op, 1, XENMEM_current_reservation),
    PTR(memory_op, 1, XENMEM_machphys_mapping),
    PTR(memory_op, 1, XENMEM_machphys_mfn_list),
    PTR(memory_op, 1, XENMEM_add_to_physmap),
    PTR(grant_table_op, 1, GNTTABOP_map_grant_ref, 0, 1),
    PTR(grant_table_op, 1, GNTTABOP_unmap_grant_ref, 0, 1),
    PTR(grant_table_op, 1, GNTTABOP_unmap_and_replace, 0, 1),
    PTR(grant_table_op, 1, GNTTABOP_setup_table, 0, 1),
    PTR(grant_table_op, 1, GNTTABOP_copy, 0, 1),
    PTR(grant_table_op, 1, GNTTABOP_transfer, 0, 1),
    PTR(grant_table_op, 1, GNTTABOP_query_size, 0, 1),
    PTR(grant_table_op, 1, GNTTABOP_set_version, 0, 1),
    PTR(grant_table_op, 1, GNTTABOP_swap_grant_ref, 0, 1),
    PTR(grant_table_op, 1, GNTTABOP_cache_flush, 0, 1),
    PTR(event_channel_op, 1, EVTCHNOP_bind_interdomain),
    PTR(event_channel_op, 1, EVTCHNOP_bind_virq),
    PTR(event_channel_op, 1, EVTCHNOP_bind_ipi),
    PTR(event_channel_op, 1, EVTCHNOP_close),
    PTR(event_channel_op, 1, EVTCHNOP_send),
    PTR(event_channel_op, 1, EVTCHNOP_status),
    PTR(event_channel_op, 1, EVTCHNOP_alloc_unbound),
    PTR(event_channel_op, 1, EVTCHNOP_unmask),
    PTR(event_channel_op, 1, EVTCHNOP_init_control),
    PTR(event_channel_op, 1, EVTCHNOP_expand_array),
    PTR(sched_op, 1, SCHEDOP_poll),
    PTR(sched_op, 1, SCHEDOP_shutdown),
    PTR(sched_op, 1, SCHEDOP_shutdown_code),
    PTR(sched_op, 1, SCHEDOP_watchdog),
    PTR(sched_op, 1, SCHEDOP_remote_shutdown),
    PTR(callback_op, 1, CALLBACKOP_register),
    PTR(callback_op, 1, CALLBACKOP_unregister),
    PTR(physdev_op, 1, PHYSDEVOP_set_iopl),
    PTR(physdev_op, 1, PHYSDEVOP_set_iobitmap),
    PTR(physdev_op, 1, PHYSDEVOP_eoi),
    PTR(physdev_op, 1, PHYSDEVOP_map_pirq),
    PTR(vcpu_op, 2, VCPUOP_initialise, 1),
    PTR(vcpu_op, 2, VCPUOP_register_runstate_memory_area, 0),
    PTR(vcpu_op, 2, VCPUOP_get_runstate_info, 0),
    PTR(vcpu_op, 2, VCPUOP_set_periodic_timer, 0),
    PTR(vcpu_op, 2, VCPUOP_set_singleshot_timer, 0),
    PTR(vcpu_op, 2, VCPUOP_register_vcpu_info, 0),
    PTR(vcpu_op, 2, VCPUOP_register_vcpu_time_memory_area, 0),
    PTR(nmi_op, 1, XENNMI_register_callback),
    PTR(platform_op, 0, 0),
    PTR(sysctl, 0, 0),
    PTR(domctl, 0, 0),
    PTR(hvm_op, 1, 0),
    PTR(xsm_op, 0, 0),
    PTR(kexec_op, 1, 0),
    PTR(dm_op, 2, DOMID_SELF, 1),
};

TEST(attack_bad_pointers)
{
    for (unsigned i = 0; i < ARRAY_SIZE(probes); i++)
        for (unsigned j = 0; j < ARRAY_SIZE(bad_pointers); j++) {
            u64 a[5];
            long ret;

            memcpy(a, probes[i].args, sizeof(a));
            a[probes[i].where] = bad_pointers[j];
            ret = hypercall(probes[i].nr, a[0], a[1], a[2], a[3], a[4]);
            if (ret >= 0 || ret < -4095)
                fail(__FILE__, __LINE__, "%s(%lu...) with %#lx gives %ld", probes[i].name,
                     probes[i].args[0], bad_pointers[j], ret);
        }
    traps_init();
}

/* A result that cannot be written, since the page is read-only, or half of it is not there. */
TEST(attack_unwritable_results)
{
    u8 *page = page_alloc(), *next = page_alloc();

    set_ro(page);
    CHECK_EQ(HC2(xen_version, XENVER_extraversion, page), -EFAULT);
    CHECK_EQ(HC3(vcpu_op, VCPUOP_get_runstate_info, 0, page), -EFAULT);
    CHECK_EQ(page[0], 0);
    set_rw(page);
    page_free(next);
    page_free(page);
    map_at(SPARE_VA + 4096 * 10, mfn_of(page) << 12 | PTE_RW_); /* and nothing behind it */
    CHECK_EQ(HC2(xen_version, XENVER_extraversion, SPARE_VA + 4096 * 11 - 8), -EFAULT);
    CHECK_EQ(HC2(xen_version, XENVER_extraversion, SPARE_VA + 4096 * 11 - 16), 0);
    CHECK_EQ(mmu_update_one(maddr_of(entry_of(SPARE_VA + 4096 * 10, 1)), 0), 0);
    mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0);
}

/* Results over the guest's own page tables: the hypervisor's copy is no way around the checks. */
TEST(attack_results_into_tables)
{
    u64 *l1 = (u64 *)((u64)entry_of((u64)stacks, 1) & ~4095UL), before = l1[0];

    CHECK_EQ(HC2(xen_version, XENVER_extraversion, l1), -EFAULT);
    CHECK_EQ(HC3(vcpu_op, VCPUOP_get_runstate_info, 0, l1), -EFAULT);
    CHECK_EQ(HC2(xen_version, XENVER_compile_info, (void *)boot_info.pt_base), -EFAULT);
    CHECK_EQ(l1[0], before);
}

TEST(attack_multicalls)
{
    static struct multicall_entry m[8], inner[2];

    /* Nested. */
    memset(m, 0, sizeof(m));
    inner[0].op = __HYPERVISOR_xen_version;
    m[0].op = __HYPERVISOR_multicall;
    m[0].args[0] = (u64)inner;
    m[0].args[1] = 1;
    CHECK_EQ(HC2(multicall, m, 1), 0);
    CHECK_REFUSED(m[0].result);
    /* Itself. */
    m[0].args[0] = (u64)m;
    CHECK_EQ(HC2(multicall, m, 1), 0);
    CHECK_REFUSED(m[0].result);
    memset(m, 0, sizeof(m));
    m[0].op = ~0UL;
    m[1].op = 1UL << 63 | __HYPERVISOR_xen_version;
    m[2].op = 1UL << 32 | __HYPERVISOR_xen_version;
    CHECK_EQ(HC2(multicall, m, 3), 0);
    CHECK_EQ((long)m[0].result, -ENOSYS);
    CHECK_EQ((long)m[1].result, -ENOSYS);
    CHECK_REFUSED(HC2(multicall, m, 0xffffffff00000000));
    CHECK_REFUSED(HC2(multicall, -(u64)sizeof(m[0]), 2));
}

/* Lists that end in nothing, long, and on a page that is read-only. */
TEST(attack_multicall_lists)
{
    struct multicall_entry *m = page_alloc();
    u64 last = 4096 / sizeof(*m) - 1;

    for (unsigned i = 0; i <= last; i++) {
        m[i].op = __HYPERVISOR_xen_version;
        m[i].args[0] = XENVER_pagesize;
    }
    set_ro(m);
    CHECK_EQ(HC2(multicall, m, 1), -EFAULT);
    set_rw(m);
    CHECK_EQ(HC2(multicall, m, last + 1), 0);
    CHECK_EQ(m[last].result, 4096);
    map_at(SPARE_VA + 4096 * 20, mfn_of(m) << 12 | PTE_RW_);
    CHECK_EQ(HC2(multicall, SPARE_VA + 4096 * 20, 0x7fffffff), -EFAULT);
    CHECK_EQ(mmu_update_one(maddr_of(entry_of(SPARE_VA + 4096 * 20, 1)), 0), 0);
    mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0);
    page_free(m);
}

/* The position of a memory_op that is continued is the caller's to write. */
TEST(attack_forged_positions)
{
    xen_pfn_t list[4] = {~0UL, ~0UL, ~0UL, ~0UL};
    struct xen_memory_reservation r = {.nr_extents = 4, .domid = DOMID_SELF};

    set_xen_guest_handle(r.extent_start, list);
    for (u64 start = 1; start; start <<= 1) {
        for (unsigned cmd = 0; cmd < 30; cmd++) {
            struct xen_memory_reservation copy = r;

            if (cmd != XENMEM_populate_physmap && cmd != XENMEM_increase_reservation)
                HC2(memory_op, cmd | start << 6, &copy);
        }
    }
    r.nr_extents = ~0UL;
    CHECK(HC2(memory_op, XENMEM_decrease_reservation, &r) <= 0);
    HC2(memory_op, XENMEM_decrease_reservation | ~0UL << 6, &r); /* all done already, it says */
    r.nr_extents = 1UL << 58;
    CHECK(HC2(memory_op, XENMEM_decrease_reservation, &r) <= 0);
    r.nr_extents = 4;
    r.extent_order = 63;
    CHECK(HC2(memory_op, XENMEM_decrease_reservation, &r) <= 0);
    CHECK(HC2(memory_op, XENMEM_populate_physmap, &r) <= 0);
    r.extent_order = ~0U;
    CHECK(HC2(memory_op, XENMEM_populate_physmap, &r) <= 0);
    CHECK(HC2(memory_op, XENMEM_increase_reservation, &r) <= 0);
}

/* More memory than one is to have. */
TEST(attack_too_much_memory)
{
    static xen_pfn_t list[512];
    struct xen_memory_reservation r = {.nr_extents = 512, .extent_order = 9, .domid = DOMID_SELF};
    struct xen_memory_domain d = {.domid = DOMID_SELF};
    long got, limit = HC2(memory_op, XENMEM_maximum_reservation, &d), have;

    if (is_dom0())
        skip("dom0 has no limit to speak of");
    for (unsigned i = 0; i < 512; i++)
        list[i] = 0x100000 + i * 512;
    set_xen_guest_handle(r.extent_start, list);
    got = HC2(memory_op, XENMEM_populate_physmap, &r);
    have = HC2(memory_op, XENMEM_current_reservation, &d);
    CHECK(have <= limit);
    CHECK(got < 512);
    r.nr_extents = got;
    CHECK_EQ(HC2(memory_op, XENMEM_decrease_reservation, &r), got);
}

/* The exchange's numbers, which once let a guest write where it liked. */
TEST(attack_exchange)
{
    static xen_pfn_t in[4], out[4];
    struct xen_memory_exchange e = {
        .in = {.nr_extents = 1, .domid = DOMID_SELF},
        .out = {.nr_extents = 1, .domid = DOMID_SELF},
    };
    static const u64 counts[] = {1UL << 63, 1UL << 60, 1UL << 32, ~0UL};
    void *page = page_alloc();

    in[0] = mfn_of(page);
    for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
        e.in.nr_extents = e.out.nr_extents = counts[i];
        e.nr_exchanged = 0;
        set_xen_guest_handle(e.in.extent_start, in);
        set_xen_guest_handle(e.out.extent_start, out);
        CHECK_REFUSED(HC2(memory_op, XENMEM_exchange, &e));
        e.in.nr_extents = e.out.nr_extents = 1;
        e.nr_exchanged = counts[i];
        CHECK_REFUSED(HC2(memory_op, XENMEM_exchange, &e));
        /* Already exchanged so many that the list ends in the hypervisor. */
        e.in.nr_extents = e.out.nr_extents = counts[i] | 2;
        e.nr_exchanged = (HYP - (u64)out) / 8;
        CHECK_REFUSED(HC2(memory_op, XENMEM_exchange, &e));
    }
    e.nr_exchanged = 0;
    e.in.nr_extents = e.out.nr_extents = 1;
    set_xen_guest_handle(e.out.extent_start, (xen_pfn_t *)HYP);
    CHECK_REFUSED(HC2(memory_op, XENMEM_exchange, &e));
    set_xen_guest_handle(e.in.extent_start, (xen_pfn_t *)HYP);
    CHECK_REFUSED(HC2(memory_op, XENMEM_exchange, &e));
    CHECK_EQ(update_va((u64)page, mfn_of(page) << 12 | PTE_RW_), 0);
    page_free(page);
}

/* What only dom0 may, by somebody else; for dom0, with a wrong version. */
TEST(attack_privileged_calls)
{
    static u64 buf[64];
    static const u32 nrs[] = {__HYPERVISOR_domctl, __HYPERVISOR_sysctl, __HYPERVISOR_platform_op};

    for (unsigned i = 0; i < ARRAY_SIZE(nrs); i++)
        for (u64 cmd = 0; cmd < 100; cmd++) {
            long r;

            memset(buf, 0, sizeof(buf));
            buf[0] = cmd | (is_dom0()                            ? 0UL
                            : nrs[i] == __HYPERVISOR_platform_op ? 0x03000000UL << 32
                                                                 : 0x15UL << 32);
            r = hypercall(nrs[i], (u64)buf, 0, 0, 0, 0);
            if (r != -EPERM && r != -EACCES && r != -ENOSYS)
                fail(__FILE__, __LINE__, "call %u, command %lu gives %ld", nrs[i], cmd, r);
        }
    if (is_dom0())
        return;
    CHECK_REFUSED(HC2(sched_op, SCHEDOP_remote_shutdown, (&(struct sched_remote_shutdown){0, 0})));
    struct evtchn_reset reset = {.dom = 0};
    CHECK_REFUSED(evtchn(EVTCHNOP_reset, &reset));
    struct evtchn_status st = {.dom = 0, .port = 1};
    CHECK_REFUSED(evtchn(EVTCHNOP_status, &st));
    struct evtchn_alloc_unbound au = {.dom = 0, .remote_dom = DOMID_SELF};
    CHECK_REFUSED(evtchn(EVTCHNOP_alloc_unbound, &au));
    CHECK_REFUSED(HC2(sched_op, SCHEDOP_pin_override, (&(struct sched_pin_override){0})));
}

/* --- model-specific registers and ports, all of them --- */

static void sweep_msrs(u32 from, u32 to, unsigned *readable)
{
    for (u32 msr = from; msr < to; msr++) {
        volatile u64 val = 0;
        u32 lo, hi;

        if (CAUGHT(__asm__ volatile("rdmsr"
                                    : "=a"(lo), "=d"(hi)
                                    : "c"(msr));
                   val = lo | (u64)hi << 32) == NO_TRAP)
            ++*readable;
        if (msr >= 0xc0000100 && msr <= 0xc0000102)
            continue;
        for (unsigned bit = 0; bit < 64; bit += 9) {
            u64 v = val ^ 1UL << bit;

            CAUGHT(__asm__ volatile("wrmsr" ::"c"(msr), "a"((u32)v), "d"((u32)(v >> 32))));
        }
    }
}

TEST(attack_msr_sweep)
{
    unsigned readable = 0;

    if (is_dom0())
        not_on_stock("lets dom0 have some that change how it runs");
    sweep_msrs(0, 0x500, &readable);
    sweep_msrs(0x800, 0x900, &readable);
    sweep_msrs(0xc00, 0xe00, &readable);
    sweep_msrs(0x40000000, 0x40000100, &readable);
    sweep_msrs(0xc0000000, 0xc0000200, &readable);
    sweep_msrs(0xc0010000, 0xc0010300, &readable);
    sweep_msrs(0xc0011000, 0xc0011080, &readable);
    CHECK(readable < 200);
    traps_init();
    CHECK_EQ(HC2(xen_version, XENVER_pagesize, 0), 4096);
}

/* All ports, with every right that a guest can give itself, by one that has none. */
TEST(attack_port_sweep)
{
    struct physdev_set_iopl iopl = {.iopl = 3};

    if (is_dom0())
        skip("dom0 has real ports");
    HC2(physdev_op, PHYSDEVOP_set_iopl, &iopl);
    for (unsigned port = 0; port < 0x10000; port++) {
        u8 v = 0xff;
        u32 w = ~0U;

        CAUGHT(__asm__ volatile("inb %w1, %0" : "+a"(v) : "d"(port)));
        CAUGHT(__asm__ volatile("inl %w1, %0" : "+a"(w) : "d"(port)));
        if (v != 0xff || (w != ~0U && port <= 0xfffc))
            fail(__FILE__, __LINE__, "port %#x reads %#x, %#x", port, v, w);
        CAUGHT(__asm__ volatile("outb %0, %w1" ::"a"((u8)0xff), "d"(port)));
        CAUGHT(__asm__ volatile("outb %0, %w1" ::"a"((u8)0x06), "d"(port)));
        CAUGHT(__asm__ volatile("outw %0, %w1" ::"a"((u16)0x2000), "d"(port)));
        CAUGHT(__asm__ volatile("outl %0, %w1" ::"a"(0x80000000), "d"(port)));
    }
    iopl.iopl = 0;
    HC2(physdev_op, PHYSDEVOP_set_iopl, &iopl);
}

/* --- at random --- */

static u64 seed = 88172645463325252UL;

static u64 rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

static u64 *scratch;

static u64 interesting(void)
{
    switch (rnd() % 16) {
    case 0:
        return 0;
    case 1:
        return rnd() % 8;
    case 2:
        return 1UL << rnd() % 64;
    case 3:
        return ~(1UL << rnd() % 64);
    case 4:
        return bad_pointers[rnd() % ARRAY_SIZE(bad_pointers)];
    case 5:
        return DOMID_SELF;
    case 6:
        return 0x7ff0 + rnd() % 16;
    case 7:
        return mfn_of(scratch) << 12 | (rnd() & 0xfff);
    case 8:
        return rnd();
    case 9:
        return root_mfn() << 12 | (rnd() & 0x3f);
    default:
        return (u64)scratch + (rnd() & 0xff8);
    }
}

/* Calls that would end or change the test itself are left out, whatever their arguments. */
static bool leave_out(u64 nr, u64 cmd)
{
    switch (nr) {
    case __HYPERVISOR_iret:
    case __HYPERVISOR_set_trap_table:
    case __HYPERVISOR_stack_switch:
    case __HYPERVISOR_console_io:
    case __HYPERVISOR_sched_op:
    case __HYPERVISOR_sched_op_compat:
    case __HYPERVISOR_multicall:
    case __HYPERVISOR_set_debugreg:
    case __HYPERVISOR_update_va_mapping: /* of our own stack */
        return true;
    case __HYPERVISOR_memory_op:
        return (cmd & 63) == XENMEM_decrease_reservation || (cmd & 63) == XENMEM_exchange;
    case __HYPERVISOR_vcpu_op:
        return cmd != VCPUOP_is_up && cmd != VCPUOP_get_runstate_info;
    case __HYPERVISOR_event_channel_op:
        return cmd == EVTCHNOP_reset || cmd == EVTCHNOP_close || cmd == EVTCHNOP_init_control ||
               cmd == EVTCHNOP_expand_array;
    case __HYPERVISOR_platform_op:
    case __HYPERVISOR_physdev_op:
        return is_dom0();
    default:
        return false;
    }
}

/* The page of arguments is part of the game: mapped anew when a call has taken it away. */
static bool map_scratch(struct frame *f)
{
    (void)f;
    return (vcpu_info()->arch.cr2 & ~4095UL) == (u64)scratch &&
           !update_va((u64)scratch, mfn_of(scratch) << 12 | PTE_RW_);
}

/* A guest that calls at random may well ruin itself; the hypervisor must not mind. */
RISK(risk_random_calls)
{
    u64 tsc = rdtsc_();

    bool trace = strstr((char *)boot_info.cmd_line, "trace");

    scratch = page_alloc();
    seed ^= tsc << 20;
    if (strstr((char *)boot_info.cmd_line, "seed="))
        seed = parse_uint(strstr((char *)boot_info.cmd_line, "seed=") + 5, NULL);
    hooks[VEC_PF] = map_scratch;
    say("  seed %#lx\n", seed);
    for (unsigned i = 0; i < 60000; i++) {
        u64 nr = rnd() % 50, cmd = rnd() & 1 ? rnd() % 48 : interesting();

        if (i % 16 == 0)
            for (unsigned j = 0; j < 512; j++)
                scratch[j] = interesting();
        if (leave_out(nr, cmd))
            continue;
        u64 a[4] = {interesting(), interesting(), interesting(), interesting()};
        if (trace)
            say("%lu(%#lx, %#lx, %#lx, %#lx, %#lx)\n", nr, cmd, a[0], a[1], a[2], a[3]);
        hypercall(nr, cmd, a[0], a[1], a[2], a[3]);
        if (nr == __HYPERVISOR_mmuext_op || nr == __HYPERVISOR_set_segment_base) {
            REQUIRE_EQ(mmuext(MMUEXT_NEW_BASEPTR, root_mfn()), 0);
            mmuext2(MMUEXT_SET_LDT, 0, 0);
        }
        if (nr == __HYPERVISOR_set_callbacks || nr == __HYPERVISOR_callback_op)
            traps_init();
    }
}
