// SPDX-License-Identifier: MIT
/* What a kernel finds when it starts: start_info, the lists of frames, shared_info, xen_version. */
#include "guest.h"

TEST(boot_start_info)
{
    CHECK(!strncmp(boot_info.magic, "xen-3.", 6));
    CHECK(boot_info.nr_pages > 1024);
    CHECK_EQ(boot_info.shared_info & 4095, 0);
    CHECK(boot_info.pt_base >= VIRT_BASE);
    CHECK_EQ(boot_info.pt_base & 4095, 0);
    CHECK(boot_info.nr_pt_frames >= 4);
    CHECK_EQ(is_dom0(), !!(boot_info.flags & SIF_PRIVILEGED));
    CHECK(strlen((char *)boot_info.cmd_line) < MAX_GUEST_CMDLINE);
#ifdef HYPERCALL_PAGE
    CHECK(boot_info.mfn_list >= VIRT_BASE);
#else
    CHECK_EQ(boot_info.mfn_list, INIT_P2M);
    CHECK(boot_info.first_p2m_pfn > 0);
    CHECK(boot_info.nr_p2m_frames >= (boot_info.nr_pages + 511) / 512);
#endif
}

TEST(boot_p2m_m2p)
{
    for (u64 pfn = 0; pfn < boot_info.nr_pages; pfn++) {
        u64 mfn = p2m()[pfn];

        if (machine_to_phys_mapping[mfn] != pfn) {
            fail(__FILE__, __LINE__, "pfn %#lx is mfn %#lx, which is pfn %#lx", pfn, mfn,
                 machine_to_phys_mapping[mfn]);
            return;
        }
    }
}

TEST(boot_tables_read_only)
{
    u64 pfn = pfn_of((void *)boot_info.pt_base);

    for (u64 i = 0; i < boot_info.nr_pt_frames; i++) {
        u64 *e = entry_of(VIRT_BASE + ((pfn + i) << 12), 1);

        REQUIRE(e && (*e & PTE_P));
        CHECK_EQ(*e & PTE_W, 0);
        CHECK_EQ(*e >> 12 & 0xffffffffff, p2m()[pfn + i]);
    }
}

/* All below the end of the boot mapping is mapped, 512 KB more than what was asked for. */
TEST(boot_mapping)
{
    u64 end = boot_info.pt_base + ((boot_info.nr_pt_frames + 1) << 12) + (512 << 10);

    for (u64 va = VIRT_BASE; va < end; va += 4096) {
        u64 *e = entry_of(va, 1);

        REQUIRE(e && (*e & PTE_P));
    }
    CHECK(entry_of(((end + (4 << 20) - 1) & ~((4UL << 20) - 1)) - 4096, 1));
}

TEST(boot_shared_info)
{
    CHECK(shared_info->vcpu_info[0].time.version);
    CHECK(shared_info->vcpu_info[0].time.tsc_to_system_mul);
    CHECK(shared_info->wc_version);
    CHECK(shared_info->wc_sec);
}

TEST(boot_rsi_and_flags)
{
    CHECK_EQ((u64)start_info & 4095, 0);
    CHECK((u64)start_info > VIRT_BASE);
}

TEST(version)
{
    xen_extraversion_t extra;
    struct xen_platform_parameters params;
    xen_capabilities_info_t caps;

    CHECK_EQ(HC2(xen_version, XENVER_version, 0), 0x40011);
    CHECK_EQ(HC2(xen_version, XENVER_pagesize, 0), 4096);
    CHECK_EQ(HC2(xen_version, XENVER_extraversion, extra), 0);
    CHECK(strnlen(extra, sizeof(extra)) < sizeof(extra));
    CHECK_EQ(HC2(xen_version, XENVER_platform_parameters, &params), 0);
    CHECK_EQ(params.virt_start, 0xffff800000000000);
    CHECK_EQ(HC2(xen_version, XENVER_capabilities, caps), 0);
    CHECK(strstr(caps, "xen-3.0-x86_64"));
    CHECK_EQ(HC2(xen_version, 99, 0), -ENOSYS);
    CHECK_EQ(HC2(xen_version, XENVER_extraversion, 0), -EFAULT);
}

TEST(version_features)
{
    struct xen_feature_info fi = {.submap_idx = 0};

    CHECK_EQ(HC2(xen_version, XENVER_get_features, &fi), 0);
    if (is_dom0()) /* others when they have enabled VMASST_TYPE_pae_extended_cr3 */
        CHECK(fi.submap & 1 << XENFEAT_pae_pgdir_above_4gb);
    CHECK(fi.submap & 1 << XENFEAT_mmu_pt_update_preserve_ad);
    CHECK(fi.submap & 1 << XENFEAT_highmem_assist);
    CHECK(fi.submap & 1 << XENFEAT_gnttab_map_avail_bits);
    CHECK_EQ(!!(fi.submap & 1 << XENFEAT_dom0), is_dom0());
    CHECK_EQ(fi.submap & 1 << XENFEAT_auto_translated_physmap, 0);
    fi.submap_idx = 100;
    CHECK_EQ(HC2(xen_version, XENVER_get_features, &fi), -EINVAL);
}

/* Numbers that do not exist. */
TEST(hypercall_numbers)
{
    static const u64 numbers[] = {11,         56,         63,          64,        100,
                                  0x7fffffff, 0xffffffff, 0x100000000, 1UL << 63, ~0UL};

    for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++)
        CHECK_EQ(hypercall(numbers[i], 1, 2, 3, 4, 5), -ENOSYS);
}
