// SPDX-License-Identifier: MIT
/*
 * Attackers with two vcpus: over the physical address space, over code that is being emulated, and
 * by interrupts in storms.  They run for a while; then everything still works.
 */
#include "guest.h"

#define WHILE_MS(ms) for (u64 end_ = now() + (ms)*1000000UL; now() < end_;)

static volatile bool stop;

/* --- the physical address space --- */

#define GFN_A (HOLE >> 12)
#define GFN_B (GFN_A + 1)

static void shuffle(unsigned long seed)
{
    for (u64 i = seed; !stop; i = i * 6364136223846793005UL + 1442695040888963407UL) {
        u64 gfn = i >> 60 & 1 ? GFN_A : GFN_B;

        switch (i >> 40 & 7) {
        case 0:
            add_to_physmap(XENMAPSPACE_gmfn, gfn, gfn ^ 1);
            break;
        case 1:
            add_to_physmap(XENMAPSPACE_grant_table, 0, gfn);
            break;
        case 2:
            add_to_physmap(XENMAPSPACE_gmfn, gfn, gfn);
            break;
        case 3:
        case 4:
            decrease(gfn);
            break;
        default:
            populate(gfn);
        }
    }
}

/* Two pages that come and go while they are read, written, and the arguments of calls. */
TEST(attack_race_p2m)
{
    static domid_t self = DOMID_SELF;
    long held = HC2(memory_op, XENMEM_current_reservation, &self);
    u64 worked = 0;

    stop = false;
    start_on_cpu1(shuffle, 12345);
    WHILE_MS(300)
    {
        volatile u64 *p = phys(GFN_A);

        p[511] = worked;
        p[512] += p[511];
        worked += !HC2(xen_version, XENVER_extraversion, (u64)p + 4090);
        populate(GFN_B);
        decrease(GFN_A);
        __asm__ volatile("lock incq %0" : "+m"(p[600]));
    }
    stop = true;
    wait_cpu1();
    say("  %lu calls found both pages\n", worked);
    while (decrease(GFN_A) == 1)
        ;
    while (decrease(GFN_B) == 1)
        ;
    for (unsigned i = 0; i < 2; i++) {
        struct xen_remove_from_physmap r = {.domid = DOMID_SELF, .gpfn = GFN_A + i};

        HC2(memory_op, XENMEM_remove_from_physmap, &r);
    }
    CHECK_EQ(HC2(memory_op, XENMEM_current_reservation, &self), held);
}

/* Frames at the ends of what there can be; extents that wrap around. */
TEST(attack_odd_frames)
{
    static const u64 odd[] = {1UL << 28, (1UL << 36) - 1, 1UL << 36,         1UL << 40, 1UL << 52,
                              ~0UL,      ~0UL - 0xffffff, 0x8000000000000000};
    static xen_pfn_t list[2];
    struct xen_memory_reservation r = {.nr_extents = 2, .extent_order = 9, .domid = DOMID_SELF};
    static domid_t self = DOMID_SELF;
    long held = HC2(memory_op, XENMEM_current_reservation, &self);

    for (unsigned i = 0; i < ARRAY_SIZE(odd); i++) {
        if (populate(odd[i]) == 1)
            CHECK_EQ(decrease(odd[i]), 1);
        CHECK_REFUSED(add_to_physmap(XENMAPSPACE_gmfn, odd[i], GFN_A));
        if (!add_to_physmap(XENMAPSPACE_grant_table, 0, odd[i]))
            decrease(odd[i]);
        list[0] = odd[i] & ~1UL;
        list[1] = odd[i];
        set_xen_guest_handle(r.extent_start, list);
        HC2(memory_op, XENMEM_populate_physmap, &r);
        HC2(memory_op, XENMEM_decrease_reservation, &r);
        r.extent_order = r.extent_order == 9 ? 63 : 9;
    }
    CHECK_EQ(HC2(memory_op, XENMEM_current_reservation, &self), held);
}

/* --- code that changes while it is emulated --- */

static u8 code[16] __aligned(16);

static void rewrite(unsigned long unused)
{
    static const u8 others[][4] = {{0x89, 0x07, 0x90, 0xc3},  /* mov %eax, (%rdi) */
                                   {0x0f, 0x30, 0x90, 0xc3},  /* wrmsr */
                                   {0x0f, 0x22, 0xd8, 0xc3},  /* mov %rax, %cr3 */
                                   {0xfa, 0x90, 0x90, 0xc3},  /* cli */
                                   {0xf4, 0x90, 0x90, 0xc3},  /* hlt */
                                   {0x0f, 0x01, 0x17, 0xc3},  /* lgdt (%rdi) */
                                   {0x8e, 0x1f, 0x90, 0xc3},  /* mov (%rdi), %ds */
                                   {0xff, 0x2f, 0x90, 0xc3}}; /* ljmp *(%rdi) */

    (void)unused;
    for (unsigned i = 1; !stop; i++) {
        WRITE_ONCE(*(u32 *)code, *(const u32 *)others[i % ARRAY_SIZE(others)]);
        WRITE_ONCE(*(u32 *)code, *(const u32 *)others[0]);
    }
}

static void call_code(void)
{
    __asm__ volatile("call *%0" ::"r"((void *)code), "a"(0), "c"(0x277), "d"(0), "D"(HOLE)
                     : "memory");
}

/* In ring 3: what the emulator finds there is refused as the CPU would refuse it. */
TEST(attack_code_that_changes)
{
    u64 cr3 = read_cr3(), pat = rdmsr(0x277);
    unsigned refused = 0, done = 0;
    struct table_ptr gdtr;

    *(u32 *)code = 0xc3900789;
    stop = false;
    start_on_cpu1(rewrite, 0);
    WHILE_MS(300)
    *(user_call(call_code) == VEC_GATE ? &done : &refused) += 1;
    stop = true;
    wait_cpu1();
    __asm__ volatile("sgdt %0" : "=m"(gdtr));
    CHECK_EQ(gdtr.base, gdt);
    CHECK_EQ(read_cr3(), cr3);
    CHECK_EQ(rdmsr(0x277), pat);
    say("  %u done, %u refused\n", done, refused);
}

/* --- storms --- */

static void send_ipis(unsigned long icr)
{
    while (!stop)
        apic_send(0, icr | VEC_IPI);
}

TEST(attack_ipi_storm)
{
    static const u32 modes[] = {0, 0x100, 0x40000, 0x80000, 0xc0000, 0x800, 0x200, 0x300, 0x700};
    u64 before = cpus[0].traps[VEC_IPI];

    stop = false;
    start_on_cpu1(send_ipis, 0);
    WHILE_MS(200)
    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++)
        apic_send(0, modes[i] | VEC_IPI);
    stop = true;
    wait_cpu1();
    CHECK(cpus[0].traps[VEC_IPI] > before);
    for (unsigned vec = 0; vec < 16; vec++)
        apic_send(0, vec);
}

/* The other vcpu is stopped and started at every moment of its life. */
TEST(attack_init_storm)
{
    memcpy((void *)(ulong)REAL_PAGE, "\xeb\xfe", 2);
    WHILE_MS(200)
    {
        apic_send(1, 0x4500);
        apic_send(1, 0x4600 | REAL_PAGE >> 12);
        apic_send(1, 0x8500); /* the end of an INIT, which does nothing */
        apic_send(1, 0x4600 | 0xff);
        apic_send(0, 0x4600);
    }
    apic_send(0, 0x4500 | 0xc0000); /* all others */
    restart_cpu(1);
}

static void halts(unsigned long unused)
{
    (void)unused;
    for (;;)
        __asm__ volatile("sti; hlt");
}

TEST(init_ends_halt)
{
    start_on_cpu1(halts, 0);
    sleep_ms(20);
    restart_cpu(1);
    start_on_cpu1(send_ipis, 0);
    stop = true;
    wait_cpu1();
}

static void blocks(unsigned long unused)
{
    (void)unused;
    while (!stop)
        HC2(sched_op, SCHEDOP_block, 0);
}

/* Interrupts are on only behind the instruction that sleeps. */
TEST(block_behind_sti)
{
    u64 before = cpus[0].traps[VEC_IPI], start = now();
    ulong rax = __HYPERVISOR_sched_op;

    apic_timer(200000000); /* ends it if the other is overlooked */
    irq_off();
    apic_send(0, VEC_IPI);
    __asm__ volatile("sti; vmmcall" : "+a"(rax) : "D"(SCHEDOP_block), "S"(0) : "memory");
    CHECK_EQ(rax, 0);
    CHECK_EQ(cpus[0].traps[VEC_IPI], before + 1);
    CHECK(now() - start < 1000000000);
    apic_timer(0);
}

/* An interrupt that comes while the vcpu is on its way to sleep. */
TEST(race_block_and_interrupt)
{
    volatile u64 *count = &cpus[1].traps[VEC_IPI];
    u64 before;

    stop = false;
    start_on_cpu1(blocks, 0);
    for (unsigned i = 0; i < 3000; i++) {
        before = *count;
        for (unsigned n = i * 37 % 1000; n--;)
            barrier();
        apic_send(1, VEC_IPI);
        if (!wait_count(count, before, 5000))
            break;
    }
    CHECK(*count > before);
    stop = true;
    apic_send(1, VEC_IPI);
    wait_cpu1();
}

TEST(attack_timer_storm)
{
    static const u32 counts[] = {1, 2, 0, ~0u, 100};
    u64 before = cpus[0].traps[VEC_TIMER];

    apic_write(APIC_TDIV, 0xb);
    for (unsigned i = 0; i < ARRAY_SIZE(counts); i++) {
        apic_write(APIC_LVTT, 0x20000 | VEC_TIMER); /* again and again */
        apic_write(APIC_TINIT, counts[i]);
        WHILE_MS(30)
        apic_write(APIC_TINIT, counts[i]);
        sleep_ms(20);
    }
    apic_write(APIC_LVTT, 0x40000 | VEC_TIMER); /* at a time */
    for (unsigned i = 0; i < 200; i++)
        CAUGHT(wrmsr(0x6e0, i & 1 ? ~0UL : i));
    apic_write(APIC_LVTT, 0x60000 | VEC_TIMER);
    CAUGHT(wrmsr(0x6e0, 1));
    apic_write(APIC_LVTT, 0x10000);
    CHECK(cpus[0].traps[VEC_TIMER] > before);
}

/* Registers there are none of, in all sizes and places. */
TEST(attack_apic_page)
{
    for (unsigned off = 0; off < 4096; off += 5) {
        volatile u8 *p = (u8 *)APIC + off;

        if ((off & ~15u) == APIC_ICR || (off & ~15u) == APIC_SVR)
            continue;
        p[0] = p[0];
        if (off < 4089) {
            *(volatile u64 *)p = *(volatile u64 *)p;
            *(volatile u16 *)p = ~0;
        }
        *(volatile u32 *)p = *(volatile u32 *)p;
        CAUGHT(__asm__ volatile("lock orl $0, %0" : "+m"(*(volatile u32 *)p)));
    }
    __asm__ volatile("rep movsl" ::"S"(APIC + 0x400), "D"(APIC + 0x500), "c"(300) : "memory");
    apic_write(APIC_LVTT, 0x10000);
    apic_init();
}
