// SPDX-License-Identifier: MIT
/* What a PVH guest asks of the hypervisor beyond what its kernel needs to boot. */
#include "guest.h"
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/hvm_vcpu.h>

#define GRANT_REF 9 /* above those that the tools have made */
#define HOLE_GFN  (HOLE >> 12)

/* --- grants --- */

static grant_entry_v1_t *table;
static u64 *granted, *mapped = (u64 *)HOLE;

/* A page of our own, granted to ourselves. */
static void grant_page(unsigned flags)
{
    if (!table) {
        table = page_alloc();
        REQUIRE_EQ(add_to_physmap(XENMAPSPACE_grant_table, 0, pfn_of(table)), 0);
    }
    granted = page_alloc();
    granted[0] = 0x1234;
    table[GRANT_REF].domid = own_domid();
    table[GRANT_REF].frame = pfn_of(granted);
    barrier();
    table[GRANT_REF].flags = GTF_permit_access | flags;
}

static void take_back(void)
{
    CHECK_EQ(table[GRANT_REF].flags & (GTF_reading | GTF_writing), 0);
    table[GRANT_REF].flags = 0;
    page_free(granted);
}

static int map(u64 addr, u32 flags, u32 *handle)
{
    struct gnttab_map_grant_ref m = {
        .host_addr = addr, .flags = flags, .ref = GRANT_REF, .dom = DOMID_SELF};

    CHECK_EQ(HC3(grant_table_op, GNTTABOP_map_grant_ref, &m, 1), 0);
    *handle = m.handle;
    return m.status;
}

static int unmap(u64 addr, u32 handle)
{
    struct gnttab_unmap_grant_ref u = {.host_addr = addr, .handle = handle};

    CHECK_EQ(HC3(grant_table_op, GNTTABOP_unmap_grant_ref, &u, 1), 0);
    return u.status;
}

TEST(interface_grant_is_mapped)
{
    u32 handle, other;

    grant_page(0);
    REQUIRE_EQ(map(HOLE, GNTMAP_host_map, &handle), GNTST_okay);
    CHECK_EQ(mapped[0], 0x1234);
    mapped[1] = 0x5678;
    CHECK_EQ(granted[1], 0x5678);
    CHECK_EQ(table[GRANT_REF].flags & GTF_writing, GTF_writing);
    CHECK_EQ(HC2(hvm_op, HVMOP_get_time, mapped), 0); /* the hypervisor writes there, too */
    CHECK(granted[0] != 0x1234);
    /* It goes by its handle alone. */
    CHECK_EQ(decrease(HOLE_GFN), 0);
    CHECK_EQ(populate(HOLE_GFN), 0);
    CHECK_REFUSED(add_to_physmap(XENMAPSPACE_gmfn, pfn_of(table), HOLE_GFN));
    CHECK_REFUSED(add_to_physmap(XENMAPSPACE_gmfn, HOLE_GFN, HOLE_GFN + 1));
    CHECK_EQ(map(HOLE, GNTMAP_host_map, &other), GNTST_general_error);
    CHECK_EQ(unmap(HOLE + 4096, handle), GNTST_general_error);
    CHECK_EQ(mapped[1], 0x5678);
    CHECK_EQ(unmap(HOLE, handle), GNTST_okay);
    CHECK_EQ(mapped[1], ~0UL); /* nothing is there */
    CHECK_EQ(unmap(HOLE, handle), GNTST_bad_handle);
    take_back();
}

TEST(interface_grant_for_reading)
{
    u32 handle;

    grant_page(GTF_readonly);
    CHECK_EQ(map(HOLE, GNTMAP_host_map, &handle), GNTST_general_error);
    REQUIRE_EQ(map(HOLE, GNTMAP_host_map | GNTMAP_readonly, &handle), GNTST_okay);
    CHECK_EQ(mapped[0], 0x1234);
    CHECK_EQ(CAUGHT(*(volatile u64 *)HOLE = 1), VEC_GP);
    CHECK_EQ(HC2(hvm_op, HVMOP_get_time, mapped), -EFAULT);
    CHECK_EQ(granted[0], 0x1234);
    CHECK_EQ(unmap(HOLE, handle), GNTST_okay);
    take_back();
}

TEST(interface_grant_on_ram)
{
    u64 *page = page_alloc();
    u32 handle;

    grant_page(0);
    CHECK_EQ(map(addr_of(page), GNTMAP_host_map | GNTMAP_contains_pte, &handle),
             GNTST_general_error);
    CHECK_EQ(map(1UL << 60, GNTMAP_host_map, &handle), GNTST_general_error);
    REQUIRE_EQ(map(addr_of(page), GNTMAP_host_map, &handle), GNTST_okay); /* which goes */
    CHECK_EQ(page[0], 0x1234);
    CHECK_EQ(unmap(addr_of(page), handle), GNTST_okay);
    CHECK_EQ(page[0], ~0UL);
    CHECK_EQ(populate(pfn_of(page)), 1);
    page[0] = 1;
    CHECK_EQ(granted[0], 0x1234);
    take_back();
    page_free(page);
}

/* Where the page is in the host is not told, and cannot be tried out. */
TEST(interface_grant_for_devices)
{
    struct gnttab_map_grant_ref m = {.host_addr = HOLE,
                                     .flags = GNTMAP_host_map | GNTMAP_device_map,
                                     .ref = GRANT_REF,
                                     .dom = DOMID_SELF};
    struct gnttab_unmap_grant_ref u = {.host_addr = HOLE};

    grant_page(0);
    CHECK_EQ(HC3(grant_table_op, GNTTABOP_map_grant_ref, &m, 1), 0);
    REQUIRE_EQ(m.status, GNTST_okay);
    CHECK_EQ(m.dev_bus_addr, HOLE);
    u.handle = m.handle;
    CHECK_EQ(HC3(grant_table_op, GNTTABOP_unmap_grant_ref, &u, 1), 0);
    CHECK_EQ(u.status, GNTST_okay);
    CHECK_EQ(table[GRANT_REF].flags & GTF_writing, GTF_writing);
    u.host_addr = 0;
    u.dev_bus_addr = HOLE + 4096;
    CHECK_EQ(HC3(grant_table_op, GNTTABOP_unmap_grant_ref, &u, 1), 0);
    CHECK_EQ(u.status, GNTST_okay);
    CHECK_EQ(HC3(grant_table_op, GNTTABOP_unmap_grant_ref, &u, 1), 0);
    CHECK_EQ(u.status, GNTST_bad_handle);
    take_back();
}

/* --- lists of calls --- */

TEST(interface_multicall)
{
    static struct multicall_entry list[] = {
        {.op = __HYPERVISOR_xen_version, .args = {XENVER_version}},
        {.op = __HYPERVISOR_mmu_update},
        {.op = __HYPERVISOR_iret},
        {.op = __HYPERVISOR_multicall, .args = {0, 1}},
        {.op = __HYPERVISOR_vm_assist, .args = {VMASST_CMD_enable, VMASST_TYPE_4gb_segments}},
        {.op = 1UL << 40},
        {.op = __HYPERVISOR_vcpu_op, .args = {VCPUOP_is_up, 0}},
    };

    CHECK_EQ(HC2(multicall, list, ARRAY_SIZE(list)), 0);
    CHECK_EQ(list[0].result, HC2(xen_version, XENVER_version, 0));
    CHECK_EQ(list[1].result, -ENOSYS);
    CHECK_EQ(list[2].result, -ENOSYS);
    CHECK_EQ(list[3].result, -EINVAL);
    CHECK_EQ(list[4].result, -ENOSYS);
    CHECK_EQ(list[5].result, -ENOSYS);
    CHECK_EQ(list[6].result, 1);
    CHECK_EQ(HC2(multicall, HOLE, 1), -EFAULT);
    CHECK_EQ(HC2(multicall, list, 1UL << 32), -EINVAL);
}

/* --- another vcpu, by its first state --- */

static volatile u64 begun;

static void __noreturn begins(void)
{
    begun = 0x600d;
    for (;;)
        __asm__ volatile("cli; hlt");
}

static long initialise(const struct vcpu_hvm_context *c)
{
    long rc;

    for (unsigned i = 0; i < 200; i++) { /* while it still leaves its CPU */
        rc = HC3(vcpu_op, VCPUOP_initialise, 1, c);
        if (rc != -EBUSY)
            break;
        sleep_ms(1);
    }
    return rc;
}

TEST(interface_initialise)
{
    u8 *stack = page_alloc();
    struct vcpu_hvm_context c = {.mode = VCPU_HVM_MODE_64B}, bad;

    c.cpu_regs.x86_64 = (struct vcpu_hvm_x86_64){.rip = (u64)begins,
                                                 .rsp = (u64)stack + 4096 - 8,
                                                 .rflags = 2,
                                                 .cr0 = read_cr0(),
                                                 .cr3 = read_cr3(),
                                                 .cr4 = read_cr4(),
                                                 .efer = rdmsr(MSR_EFER)};
    restart_cpu(1);
    CHECK_EQ(initialise(&c), -EEXIST);
    apic_send(1, 0x4500);
    bad = c;
    bad.mode = 2;
    CHECK_EQ(initialise(&bad), -EINVAL);
    bad = c;
    bad.cpu_regs.x86_64.cr4 |= 1UL << 13;
    CHECK_EQ(initialise(&bad), -EINVAL);
    bad = c;
    bad.cpu_regs.x86_64.efer |= EFER_SVME;
    CHECK_EQ(initialise(&bad), -EINVAL);
    bad = c;
    bad.cpu_regs.x86_64.cr0 &= ~(1UL << 31);
    CHECK_EQ(initialise(&bad), -EINVAL);
    bad = c;
    bad.cpu_regs.x86_64.rip = 1UL << 63;
    CHECK_EQ(initialise(&bad), -EINVAL);
    bad = (struct vcpu_hvm_context){.mode = VCPU_HVM_MODE_32B}; /* no segments */
    CHECK_EQ(initialise(&bad), -EINVAL);
    CHECK_EQ(HC3(vcpu_op, VCPUOP_up, 1, 0), -EINVAL);
    begun = 0;
    CHECK_EQ(initialise(&c), 0);
    CHECK_EQ(initialise(&c), -EEXIST);
    CHECK_EQ(HC3(vcpu_op, VCPUOP_is_up, 1, 0), 0);
    CHECK_EQ(HC3(vcpu_op, VCPUOP_up, 1, 0), 0);
    CHECK(wait_count(&begun, 0, 1000));
    restart_cpu(1);
    page_free(stack);
}

/* Kernels stop these counters without asking whether they are there. */
TEST(interface_idle_counters)
{
    for (u32 msr = 0xc0010000; msr < 0xc0010008; msr++) {
        CHECK_EQ(CAUGHT(wrmsr(msr, 0)), NO_TRAP);
        CHECK_EQ(rdmsr(msr), 0);
    }
}
