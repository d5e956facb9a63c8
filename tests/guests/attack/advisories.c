// SPDX-License-Identifier: MIT
/*
 * Attacks of the kinds that published advisories were about and no other file here makes; which
 * kinds there are, and what stops each, is told in docs/advisories.md.
 */
#include "guest.h"

/* --- a translation that outlives what it was good for --- */

#define WINDOW (SPARE_VA + (23UL << 21))

static long exchange_undone(u64 mfn)
{
    static xen_pfn_t in[2], out[1];
    struct xen_memory_exchange e = {
        .in = {.nr_extents = 2, .domid = DOMID_SELF},
        .out = {.nr_extents = 1, .extent_order = 1, .domid = DOMID_SELF},
    };

    in[0] = mfn;
    in[1] = ~0UL >> 12; /* no such frame: what was taken is given back */
    out[0] = boot_info.nr_pages;
    set_xen_guest_handle(e.in.extent_start, in);
    set_xen_guest_handle(e.out.extent_start, out);
    return HC2(memory_op, XENMEM_exchange, &e);
}

/* Away and back: the same frame, if the hypervisor gives it. */
static u64 given_back(u64 mfn, u64 pfn)
{
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};
    xen_pfn_t frame = mfn;

    set_xen_guest_handle(r.extent_start, &frame);
    REQUIRE_EQ(HC2(memory_op, XENMEM_decrease_reservation, &r), 1);
    frame = pfn;
    REQUIRE_EQ(HC2(memory_op, XENMEM_populate_physmap, &r), 1);
    p2m()[pfn] = frame;
    return frame;
}

enum detour { STRAIGHT, EXCHANGE_UNDONE, AWAY_AND_BACK };

/*
 * Writes by a mapping, takes the mapping away without a flush, makes the page a table, writes
 * again: by then no CPU may still know the way.
 */
static void write_by_old_translation(enum detour how)
{
    u64 *page = page_alloc(), mfn = mfn_of(page), pfn = pfn_of(page), *w = (u64 *)WINDOW, frame;
    u64 *pte, *own = entry_of((u64)page, 1);

    map_at(WINDOW, mfn << 12 | PTE_RW_);
    pte = entry_of(WINDOW, 1);
    REQUIRE_EQ(mmu_update_one(maddr_of(own), 0), 0);
    w[0] = 0;
    REQUIRE_EQ(mmu_update_one(maddr_of(pte), 0), 0);
    if (how == EXCHANGE_UNDONE)
        CHECK_REFUSED(exchange_undone(mfn));
    frame = how == AWAY_AND_BACK ? given_back(mfn, pfn) : mfn;
    CHECK_EQ(mmuext(MMUEXT_PIN_L1_TABLE, frame), 0);
    if (frame == mfn) /* else what is written is nobody's, and will be zeroed before it is */
        CHECK_EQ(CAUGHT(WRITE_ONCE(w[0], root_mfn() << 12 | PTE_RW_)), VEC_PF);
    CHECK_EQ(mmuext(MMUEXT_UNPIN_TABLE, frame), 0);
    REQUIRE_EQ(mmu_update_one(maddr_of(own), frame << 12 | PTE_RW_), 0);
    mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0);
    CHECK_EQ(page[0], 0);
    page[0] = 0;
    page_free(page);
}

/* XSA-241, XSA-292 and their kind. */
TEST(attack_old_translation)
{
    for (unsigned i = 0; i < 20 && !failed_often(); i++)
        write_by_old_translation(STRAIGHT);
}

TEST(attack_old_translation_exchange)
{
    for (unsigned i = 0; i < 20 && !failed_often(); i++)
        write_by_old_translation(EXCHANGE_UNDONE);
}

TEST(attack_old_translation_ballooned)
{
    for (unsigned i = 0; i < 20 && !failed_often(); i++)
        write_by_old_translation(AWAY_AND_BACK);
}

static volatile unsigned step;
static int other_cpu_met;

static void write_when_told(unsigned long evil)
{
    u64 *w = (u64 *)WINDOW;

    w[0] = 0; /* this CPU knows the way now */
    step = 1;
    while (step != 2)
        cpu_pause();
    other_cpu_met = CAUGHT(WRITE_ONCE(w[0], evil));
}

/* The same, the old translation being another CPU's. */
TEST(attack_old_translation_of_others)
{
    u64 *page = page_alloc(), *own = entry_of((u64)page, 1), mfn = mfn_of(page);

    for (unsigned i = 0; i < 10 && !failed_often(); i++) {
        map_at(WINDOW, mfn << 12 | PTE_RW_);
        REQUIRE_EQ(mmu_update_one(maddr_of(own), 0), 0);
        step = 0;
        start_on_cpu1(write_when_told, root_mfn() << 12 | PTE_RW_);
        while (!step)
            HC2(sched_op, SCHEDOP_yield, 0);
        REQUIRE_EQ(mmu_update_one(maddr_of(entry_of(WINDOW, 1)), 0), 0);
        if (i & 1)
            CHECK_REFUSED(exchange_undone(mfn));
        CHECK_EQ(mmuext(MMUEXT_PIN_L1_TABLE, mfn), 0);
        step = 2;
        wait_cpu1();
        CHECK_EQ(other_cpu_met, VEC_PF);
        CHECK_EQ(mmuext(MMUEXT_UNPIN_TABLE, mfn), 0);
        REQUIRE_EQ(update_va((u64)page, mfn << 12 | PTE_RW_), 0);
        CHECK_EQ(page[0], 0);
        page[0] = 0;
    }
    page_free(page);
}

/* --- the type word of a page that is on its way --- */

static u64 traveller;
static volatile bool stop;

static void exchange_in_vain(unsigned long unused)
{
    (void)unused;
    while (!stop)
        exchange_undone(traveller);
}

/*
 * What a guest calls its pages (the machine-to-physical table) is up to it; nothing may take that
 * for what the page is. One vcpu changes entries in a page that the other has exchanged in vain.
 */
TEST(attack_race_exchange)
{
    /* As the hypervisor keeps types today: in use, once, as an L1 table; as a writable page. */
    static const u64 types[] = {1UL << 60 | 1UL << 58 | 1, 7UL << 60 | 1UL << 58 | 1, ~0UL};
    u64 *page = page_alloc(), *own = entry_of((u64)page, 1), pfn = pfn_of(page), end, n = 0;

    traveller = mfn_of(page);
    page[5] = root_mfn() << 12 | PTE_RW_;
    REQUIRE_EQ(mmu_update_one(maddr_of(own), 0), 0);
    mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
        REQUIRE_EQ(mmu_update_one(traveller << 12 | MMU_MACHPHYS_UPDATE, types[i]), 0);
        stop = false;
        start_on_cpu1(exchange_in_vain, 0);
        for (end = now() + 150000000; now() < end; n++)
            mmu_update_one(traveller << 12 | 6 * 8, 0);
        stop = true;
        wait_cpu1();
        CHECK_EQ(machine_to_phys_mapping[traveller], types[i]);
    }
    CHECK(n);
    REQUIRE_EQ(mmu_update_one(traveller << 12 | MMU_MACHPHYS_UPDATE, pfn), 0);
    CHECK_REFUSED(mmuext(MMUEXT_PIN_L1_TABLE, traveller)); /* of entry 5 */
    REQUIRE_EQ(update_va((u64)page, traveller << 12 | PTE_RW_), 0);
    page[5] = 0;
    set_ro(page);
    CHECK_EQ(mmuext(MMUEXT_PIN_L1_TABLE, traveller), 0);
    CHECK_EQ(mmuext(MMUEXT_UNPIN_TABLE, traveller), 0);
    set_rw(page);
    page_free(page);
}

/* --- memory: how it is cached, where it is from, what is in it --- */

/* Who has no devices may not choose how RAM is cached: another's copy could be an old one. */
TEST(attack_cache_attributes)
{
    u64 *page = page_alloc(), *e = entry_of((u64)page, 1), mfn = mfn_of(page), *l1 = table_alloc();

    if (is_dom0())
        skip("dom0 has devices");
    l1 = (set_rw(l1), l1);
    for (u64 bits = 1; bits < 8; bits++) {
        u64 attr = (bits & 1 ? PTE_PWT : 0) | (bits & 2 ? PTE_PCD : 0) | (bits & 4 ? PTE_PAT : 0);

        CHECK_REFUSED(mmu_update_one(maddr_of(e), mfn << 12 | PTE_RW_ | attr));
        CHECK_REFUSED(
            mmu_update_one(maddr_of(e) | MMU_PT_UPDATE_PRESERVE_AD, mfn << 12 | PTE_RO_ | attr));
        CHECK_REFUSED(update_va((u64)page, mfn << 12 | PTE_RW_ | attr));
        CHECK(CAUGHT(WRITE_ONCE(*e, mfn << 12 | PTE_RW_ | attr)) == VEC_PF);
        l1[0] = mfn << 12 | PTE_RO_ | attr;
        set_ro(l1);
        CHECK_REFUSED(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(l1)));
        set_rw(l1);
        CHECK_EQ(*e & (PTE_PWT | PTE_PCD | PTE_PAT), 0);
    }
    CHECK_REFUSED(mmuext(MMUEXT_FLUSH_CACHE, 0));
    CHECK_REFUSED(mmuext(MMUEXT_FLUSH_CACHE_GLOBAL, 0));
    l1[0] = 0;
    page_free(l1);
    page_free(page);
}

/* Every wish as to node and address that the flags can express. */
TEST(attack_memory_flags)
{
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};
    struct xen_memory_exchange e = {
        .in = {.nr_extents = 1, .domid = DOMID_SELF},
        .out = {.nr_extents = 1, .domid = DOMID_SELF},
    };
    xen_pfn_t frame;

    for (u32 flags = 0; flags < 1U << 19 && !failed_often();
         flags += flags < 0x10000 ? 0xfd : 0x1) {
        if (flags >= 0x10100)
            flags |= 0xfff; /* of vnodes and beyond a few */
        set_xen_guest_handle(r.extent_start, &frame);
        r.mem_flags = flags;
        frame = boot_info.nr_pages;
        if (HC2(memory_op, XENMEM_populate_physmap, &r) == 1) {
            set_xen_guest_handle(e.in.extent_start, &frame);
            set_xen_guest_handle(e.out.extent_start, &frame);
            e.nr_exchanged = 0;
            e.out.mem_flags = ~flags;
            HC2(memory_op, XENMEM_exchange, &e);
            r.mem_flags = 0;
            CHECK_EQ(HC2(memory_op, XENMEM_decrease_reservation, &r), 1);
        }
    }
}

#define MARK 0x6d61726b6d61726bUL

/* Memory that comes is empty, or as this guest left it. */
TEST(attack_fresh_memory)
{
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};
    u64 *page = page_alloc(), pfn = pfn_of(page), bad = 0;
    xen_pfn_t frame = mfn_of(page);

    set_xen_guest_handle(r.extent_start, &frame);
    for (unsigned i = 0; i < 200 && !bad; i++) {
        for (unsigned k = 0; k < 512; k++)
            page[k] = MARK;
        REQUIRE_EQ(update_va((u64)page, 0), 0);
        REQUIRE_EQ(HC2(memory_op, XENMEM_decrease_reservation, &r), 1);
        frame = pfn;
        REQUIRE_EQ(HC2(memory_op, XENMEM_populate_physmap, &r), 1);
        p2m()[pfn] = frame;
        REQUIRE_EQ(update_va((u64)page, frame << 12 | PTE_RW_), 0);
        for (unsigned k = 0; k < 512; k++)
            bad += page[k] && page[k] != MARK;
    }
    CHECK_EQ(bad, 0);
    page_free(page);
}

/* --- what answers tell --- */

/* An address of the hypervisor's: its image, its stacks, the direct map. */
static bool is_secret(u64 v)
{
    return v >= 0xffff820000000000 && v < 0xffff880000000000;
}

static void check_answer(const char *what, u64 cmd, const u64 *buf, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (is_secret(buf[i]))
            fail(__FILE__, __LINE__, "%s %lu tells %#lx", what, cmd, buf[i]);
}

/* No answer holds an address of the hypervisor's; what an argument has room for is left alone. */
TEST(attack_answers)
{
    static const u32 nrs[] = {__HYPERVISOR_xen_version, __HYPERVISOR_memory_op,
                              __HYPERVISOR_event_channel_op, __HYPERVISOR_physdev_op};
    static u64 buf[512];

    for (unsigned n = 0; n < ARRAY_SIZE(nrs); n++)
        for (u64 cmd = 0; cmd < 48; cmd++) {
            if (nrs[n] == __HYPERVISOR_event_channel_op && cmd != EVTCHNOP_status)
                continue;
            if (nrs[n] == __HYPERVISOR_physdev_op && is_dom0())
                continue;
            memset(buf, 0, sizeof(buf));
            u64 rdx = hypercall(nrs[n], cmd, (u64)buf, 0, 0, 0);

            check_answer("call", nrs[n] * 1000 + cmd, buf, ARRAY_SIZE(buf));
            CHECK(!is_secret(rdx) || rdx >= -4095UL);
        }
    for (u64 cmd = 0; cmd < 16; cmd++)
        if (cmd != VCPUOP_down && cmd != VCPUOP_register_vcpu_info && cmd != VCPUOP_send_nmi) {
            memset(buf, 0, sizeof(buf));
            HC3(vcpu_op, cmd, 1, buf);
            check_answer("vcpu_op", cmd, buf, ARRAY_SIZE(buf));
        }
}

/* --- places that the hypervisor writes to by itself --- */

/*
 * Runstate and time are written at a virtual address, whenever a vcpu is switched to: what is there
 * may go away, or turn into a page table.
 */
TEST(attack_areas)
{
    static const u64 bad[] = {0xffff800000000000,
                              0xffff830000000000,
                              0xffff87fffffffff8,
                              0x800000000000,
                              0x7ffffffffff8,
                              ~0UL,
                              -16UL};
    u64 area, none = 0, *page = page_alloc(), sum = 0;

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        area = bad[i];
        CHECK_REFUSED(HC3(vcpu_op, VCPUOP_register_runstate_memory_area, 0, &area));
        CHECK_REFUSED(HC3(vcpu_op, VCPUOP_register_vcpu_time_memory_area, 0, &area));
    }
    area = (u64)page + 4096 - 8; /* its end is on another page, perhaps */
    HC3(vcpu_op, VCPUOP_register_runstate_memory_area, 0, &area);
    area = (u64)page;
    REQUIRE_EQ(HC3(vcpu_op, VCPUOP_register_runstate_memory_area, 0, &area), 0);
    area = (u64)page + 256;
    REQUIRE_EQ(HC3(vcpu_op, VCPUOP_register_vcpu_time_memory_area, 0, &area), 0);
    memset(page, 0, 4096);
    set_ro(page);
    for (unsigned i = 0; i < 512; i++)
        sum += page[i] != 0;
    if (!sum && !mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(page))) {
        for (unsigned i = 0; i < 5; i++)
            sleep_ms(2);
        for (unsigned i = 0; i < 512; i++)
            CHECK_EQ(page[i], 0);
        mmuext(MMUEXT_UNPIN_TABLE, mfn_of(page));
    }
    REQUIRE_EQ(update_va((u64)page, 0), 0);
    for (unsigned i = 0; i < 5; i++)
        sleep_ms(2);
    CHECK_EQ(HC3(vcpu_op, VCPUOP_register_runstate_memory_area, 0, &none), 0);
    CHECK_EQ(HC3(vcpu_op, VCPUOP_register_vcpu_time_memory_area, 0, &none), 0);
    REQUIRE_EQ(update_va((u64)page, mfn_of(page) << 12 | PTE_RW_), 0);
    page_free(page);
}

/* --- what a guest has no business with --- */

/* Devices and their interrupts, by a guest that has none. */
TEST(attack_devices)
{
    static u64 buf[64];

    if (is_dom0())
        skip("dom0 may");
    for (u64 cmd = 0; cmd < 40; cmd++)
        for (unsigned fill = 0; fill < 4; fill++) {
            long rc;

            if (cmd == PHYSDEVOP_set_iopl || cmd == PHYSDEVOP_set_iobitmap ||
                cmd == PHYSDEVOP_eoi || cmd == PHYSDEVOP_irq_status_query)
                continue;
            memset(buf, fill == 3 ? 0x7f : fill, sizeof(buf));
            rc = HC2(physdev_op, cmd, buf);
            if (rc >= 0)
                fail(__FILE__, __LINE__, "physdev_op %lu gives %ld", cmd, rc);
        }
    for (u32 i = 0; i < 70000; i += i < 300 ? 1 : 997) {
        struct evtchn_bind_pirq b = {.pirq = i};
        struct physdev_eoi eoi = {.irq = i};
        struct physdev_irq_status_query q = {.irq = i};

        CHECK_REFUSED(evtchn(EVTCHNOP_bind_pirq, &b));
        HC2(physdev_op, PHYSDEVOP_eoi, &eoi);
        HC2(physdev_op, PHYSDEVOP_irq_status_query, &q);
        if (failed_often())
            break;
    }
    for (u64 mfn = 0; mfn < 0x100; mfn++)
        CHECK_REFUSED(update_va(WINDOW, mfn << 12 | PTE_RO_));
    CHECK_REFUSED(
        HC4(update_va_mapping_otherdomain, WINDOW, 0xfee00UL << 12 | PTE_RO_, 0, DOMID_IO));
    CHECK_REFUSED(
        HC4(update_va_mapping_otherdomain, WINDOW, 0xfec00UL << 12 | PTE_RO_, 0, DOMID_IO));
}

/* Calls that are for other kinds of guests, for the tools, or not there at all. */
TEST(attack_other_calls)
{
    static const u32 nrs[] = {__HYPERVISOR_xsm_op,
                              __HYPERVISOR_xenoprof_op,
                              __HYPERVISOR_hvm_op,
                              __HYPERVISOR_kexec_op,
                              __HYPERVISOR_tmem_op,
                              __HYPERVISOR_argo_op,
                              __HYPERVISOR_xenpmu_op,
                              __HYPERVISOR_dm_op,
                              __HYPERVISOR_hypfs_op,
                              __HYPERVISOR_arch_0,
                              __HYPERVISOR_arch_1,
                              55,
                              63,
                              64,
                              1000};
    static u64 buf[64];

    for (unsigned n = 0; n < ARRAY_SIZE(nrs); n++)
        for (u64 cmd = 0; cmd < 80; cmd++)
            for (unsigned fill = 0; fill < 3; fill++) {
                long rc;

                if ((is_dom0() && nrs[n] == __HYPERVISOR_arch_0) ||
                    (nrs[n] == __HYPERVISOR_hvm_op && cmd == 10)) /* get_time: anybody may */
                    continue;
                memset(buf, fill == 2 ? 0xff : fill, sizeof(buf));
                rc = hypercall(nrs[n], fill ? cmd : (u64)buf, (u64)buf, 1, (u64)buf, 0);
                if (rc >= 0)
                    fail(__FILE__, __LINE__, "call %u, %lu gives %ld", nrs[n], cmd, rc);
            }
    if (!is_dom0())
        CHECK_EQ(HC3(console_io, CONSOLEIO_write, 5, "hello"), -EPERM);
}

/* --- registers that are switched with a vcpu --- */

struct vectors {
    u8 area[512];
} __aligned(16);

static void keep_vectors(unsigned long seed)
{
    static struct vectors mine[2], seen[2];
    u8 *m = mine[seed].area, *s = seen[seed].area;

    memset(m, 0, 512);
    *(u16 *)m = 0x37f;
    *(u32 *)(m + 24) = 0x1f80;
    for (unsigned i = 160; i < 416; i++)
        m[i] = i * 7 + seed * 101;
    for (unsigned i = 0; i < 300; i++) {
        __asm__ volatile("fxrstor (%0)" ::"r"(m) : "memory");
        HC2(sched_op, SCHEDOP_yield, 0);
        if (i % 16 == 0)
            sleep_ms(1);
        __asm__ volatile("fxsave (%0)" ::"r"(s) : "memory");
        if (memcmp(m + 160, s + 160, 256) || memcmp(m, s, 6))
            fail(__FILE__, __LINE__, "vcpu %lu has other registers after %u switches", seed, i);
        /* Pointers of the x87: this guest never used it. */
        for (unsigned k = 8; k < 24; k++)
            if (s[k] && (k < 12 || k >= 16))
                fail(__FILE__, __LINE__, "x87 pointers: byte %u is %#x", k, s[k]);
        if (failed_often())
            break;
    }
}

/* What other vcpus and other guests have in their floating-point registers is theirs. */
TEST(attack_float_registers)
{
    start_on_cpu1(keep_vectors, 1);
    keep_vectors(0);
    wait_cpu1();
}
