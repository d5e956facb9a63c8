// SPDX-License-Identifier: MIT
/* What a 32-bit guest finds when it starts: ring, width, start info, the tables' and lists' form.
 */
#include "guest.h"

TEST(pae_ring)
{
    u16 cs, ss;

    __asm__("mov %%cs, %0; mov %%ss, %1" : "=r"(cs), "=r"(ss));
    CHECK_EQ(cs, FLAT_RING1_CS);
    CHECK_EQ(ss & 3, 1);
}

TEST(pae_start_info)
{
    CHECK(!strncmp((char *)boot_info.magic, "xen-3.0-x86_32p", 15));
    CHECK(boot_info.nr_pages >= 4096);
    CHECK(boot_info.mfn_list > VIRT_BASE);
    CHECK(boot_info.pt_base > VIRT_BASE);
    CHECK(!(boot_info.flags & SIF_PRIVILEGED));
}

TEST(pae_version)
{
    static xen_capabilities_info_t caps;
    struct xen_platform_parameters params;
    struct xen_feature_info features = {.submap_idx = 0};

    REQUIRE_EQ(HC2(xen_version, XENVER_version, 0), 4 << 16 | 17);
    REQUIRE_EQ(HC2(xen_version, XENVER_capabilities, caps), 0);
    CHECK(strstr(caps, "xen-3.0-x86_32p"));
    REQUIRE_EQ(HC2(xen_version, XENVER_platform_parameters, &params), 0);
    CHECK_EQ(params.virt_start, HYPERVISOR_VIRT_START);
    REQUIRE_EQ(HC2(xen_version, XENVER_get_features, &features), 0);
    CHECK(features.submap & 1u << XENFEAT_mmu_pt_update_preserve_ad);
}

/* Both lists, of 32-bit entries, agree; the one is nobody's to write. */
TEST(pae_m2p)
{
    for (ulong pfn = 256; pfn < 512; pfn++) {
        ulong mfn = ((ulong *)boot_info.mfn_list)[pfn];

        if (!CHECK_EQ(machine_to_phys_mapping[mfn], pfn))
            break;
    }
    CHECK_EQ(CAUGHT(AT("movl $0, (%0)", "r"(MACH2PHYS_VIRT_START))), VEC_PF);
    CHECK_EQ(this_cpu()->cr2, MACH2PHYS_VIRT_START);
    CHECK_EQ(this_cpu()->trap.error & 7, 3); /* present, write, by a supervisor */
}

TEST(pae_shared_info)
{
    u64 t = now();

    CHECK(t > 0);
    CHECK(shared_info->wc_sec > 0);
    CHECK(shared_info->evtchn_mask[0] != 0);
    sleep_ms(20);
    CHECK(now() - t >= 20000000);
    CHECK(now() - t < 20000000000ULL);
}

TEST(pae_hypercalls)
{
    struct multicall_entry calls[3] = {
        {.op = __HYPERVISOR_xen_version, .args = {XENVER_version, 0}},
        {.op = 63}, /* nobody's */
        {.op = __HYPERVISOR_sched_op, .args = {SCHEDOP_yield, 0}},
    };

    CHECK_EQ(hypercall(63, 0, 0, 0, 0, 0), -ENOSYS);
    CHECK_EQ(hypercall(0xffffffff, 0, 0, 0, 0, 0), -ENOSYS);
    CHECK_EQ(HC2(xen_version, XENVER_compile_info, 0xfffff000), -EFAULT);
    REQUIRE_EQ(HC2(multicall, calls, 3), 0);
    CHECK_EQ((long)calls[0].result, 4 << 16 | 17);
    CHECK_EQ((long)calls[1].result, -ENOSYS);
    CHECK_EQ((long)calls[2].result, 0);
}

/* Registers that are no arguments survive, arguments may not. */
TEST(pae_registers)
{
    ulong nr = __HYPERVISOR_xen_version, ebp;
    u16 ds, es, fs = 1, gs = 1;

    __asm__ volatile("push %%ebp; movl $0x12345678, %%ebp; int $0x82; movl %%ebp, %1; pop %%ebp"
                     : "+a"(nr), "=&S"(ebp)
                     : "b"(XENVER_version), "c"(0)
                     : "memory", "cc");
    CHECK_EQ(nr, 4 << 16 | 17);
    CHECK_EQ(ebp, 0x12345678);
    __asm__ volatile("mov %0, %%fs; mov %0, %%gs" ::"r"(FLAT_KERNEL_DS));
    for (unsigned i = 0; i < 20; i++)
        sleep_ms(1); /* others run */
    __asm__ volatile("mov %%ds, %0; mov %%es, %1; mov %%fs, %2; mov %%gs, %3"
                     : "=r"(ds), "=r"(es), "=r"(fs), "=r"(gs));
    CHECK(ds == FLAT_KERNEL_DS && es == FLAT_KERNEL_DS && fs == FLAT_KERNEL_DS);
    CHECK(gs == FLAT_KERNEL_DS);
    __asm__ volatile("mov %0, %%fs; mov %0, %%gs" ::"r"(0));
}
