// SPDX-License-Identifier: MIT
/* Attackers with hypercalls: numbers, addresses, tables that change meanwhile, other widths. */
#include "guest.h"
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>

static long vmmcall(u64 nr, u64 a, u64 b)
{
    register u64 r10 __asm__("r10") = 0;
    register u64 r8 __asm__("r8") = 0;
    u64 c = 0;

    __asm__ volatile("vmmcall"
                     : "+a"(nr), "+D"(a), "+S"(b), "+d"(c), "+r"(r10), "+r"(r8)::"memory");
    return nr;
}

/* What keeps a PV guest's page tables and traps is not for these. */
TEST(attack_pv_calls)
{
    static const u8 nrs[] = {__HYPERVISOR_set_trap_table,
                             __HYPERVISOR_mmu_update,
                             __HYPERVISOR_set_gdt,
                             __HYPERVISOR_stack_switch,
                             __HYPERVISOR_set_callbacks,
                             __HYPERVISOR_fpu_taskswitch,
                             __HYPERVISOR_set_debugreg,
                             __HYPERVISOR_get_debugreg,
                             __HYPERVISOR_update_descriptor,
                             __HYPERVISOR_update_va_mapping,
                             __HYPERVISOR_update_va_mapping_otherdomain,
                             __HYPERVISOR_iret,
                             __HYPERVISOR_set_segment_base,
                             __HYPERVISOR_mmuext_op,
                             __HYPERVISOR_nmi_op,
                             __HYPERVISOR_callback_op};

    for (unsigned i = 0; i < ARRAY_SIZE(nrs); i++)
        CHECK_EQ(vmmcall(nrs[i], 0, 0), -ENOSYS);
    for (unsigned i = 0; i < 64; i++)
        CHECK_EQ(vmmcall(64UL << i | 56, 0, 0), -ENOSYS);
    CHECK_EQ(vmmcall((1UL << 32) | __HYPERVISOR_xen_version, 0, 0), -ENOSYS);
}

TEST(attack_privileged_calls)
{
    static u64 page[512];

    for (unsigned cmd = 0; cmd < 96; cmd++) {
        page[0] = 0x1500000000UL | cmd << 0;
        CHECK_REFUSED(HC1(domctl, page));
        CHECK_REFUSED(HC1(sysctl, page));
        CHECK_REFUSED(HC1(platform_op, page));
    }
}

/* Addresses of arguments: none, half of one, not canonical, no RAM, the last bytes. */
TEST(attack_addresses)
{
    static const u64 evil[] = {
        SPARE_VA,           SPARE_VA - 8,       HOLE,        HOLE - 8,
        1UL << 63,          0x00007ffffffffff8, ~0UL,        ~0UL - 7,
        0xffff800000000000, 0xffff830000000000, 0xfffffff8,  APIC,
        0xffffffffffffff80, 0x0000800000000000, APIC + 4092, 1UL << 63 | 0x9000};

    for (unsigned i = 0; i < ARRAY_SIZE(evil); i++) {
        CHECK_REFUSED(HC2(xen_version, XENVER_extraversion, evil[i]));
        CHECK_REFUSED(HC2(hvm_op, HVMOP_get_time, evil[i]));
        CHECK_REFUSED(HC2(hvm_op, HVMOP_get_param, evil[i]));
        CHECK_REFUSED(HC2(memory_op, XENMEM_populate_physmap, evil[i]));
        CHECK_REFUSED(HC2(event_channel_op, EVTCHNOP_bind_ipi, evil[i]));
        CHECK_REFUSED(HC3(vcpu_op, VCPUOP_register_vcpu_info, 0, evil[i]));
        if (failed_often())
            break;
    }
}

TEST(attack_across_pages)
{
    u8 *a = page_alloc();

    map_at(SPARE_VA, (u64)a | PTE_RW_);
    map_at(SPARE_VA + 4096, HOLE | PTE_RW_);
    for (unsigned n = 1; n < 16; n++)
        CHECK_REFUSED(HC2(xen_version, XENVER_extraversion, SPARE_VA + 4096 - n));
    map_at(SPARE_VA + 4096, 0);
    for (unsigned n = 1; n < 16; n++)
        CHECK_REFUSED(HC2(xen_version, XENVER_extraversion, SPARE_VA + 4096 - n));
    CHECK_EQ(HC2(xen_version, XENVER_extraversion, SPARE_VA + 4096 - 16), 0);
    map_at(SPARE_VA, (u64)a | PTE_P); /* read-only */
    CHECK_REFUSED(HC2(xen_version, XENVER_extraversion, SPARE_VA));
    map_at(SPARE_VA, 0);
    page_free(a);
}

/* Tables that lead nowhere: frames without RAM, frames that do not exist, themselves, the APIC. */
TEST(attack_tables)
{
    u64 *page = page_alloc(), *loop = page_alloc(), *e, old;
    u64 frames[] = {HOLE, APIC, 1UL << 51, 0xffffffffff000, 0x10000000000, 0, (u64)loop};

    for (unsigned level = 1; level <= 4; level++)
        for (unsigned i = 0; i < ARRAY_SIZE(frames); i++) {
            map_at(SPARE_VA, (u64)page | PTE_RW_);
            e = entry_at(SPARE_VA, level);
            old = *e;
            *e = frames[i] | PTE_RW_;
            loop[0] = (u64)loop | PTE_RW_;
            HC2(xen_version, XENVER_extraversion, SPARE_VA);
            HC2(memory_op, XENMEM_populate_physmap, SPARE_VA);
            *e |= PTE_PSE;
            HC2(hvm_op, HVMOP_get_param, SPARE_VA);
            *e = old;
        }
    write_cr3(read_cr3());
    map_at(SPARE_VA, (u64)page | PTE_RW_);
    CHECK_EQ(HC2(xen_version, XENVER_extraversion, SPARE_VA), 0);
    map_at(SPARE_VA, 0);
    page_free(page);
    page_free(loop);
}

static volatile bool stop;
static u64 *flip_pte, flip_a, flip_b;

static void flip(unsigned long unused)
{
    (void)unused;
    while (!stop) {
        WRITE_ONCE(*flip_pte, flip_b);
        WRITE_ONCE(*flip_pte, flip_a);
    }
}

/* The other vcpu changes the table while the hypervisor copies: it is done, or refused. */
TEST(attack_tables_that_change)
{
    u8 *a = page_alloc(), *b = page_alloc();
    struct evtchn_status *arg = (void *)(SPARE_VA + 4096 - 4);
    u64 end = now() + 300000000;
    unsigned done = 0, refused = 0;

    map_at(SPARE_VA, (u64)a | PTE_RW_);
    map_at(SPARE_VA + 4096, (u64)b | PTE_RW_);
    arg->dom = DOMID_SELF;
    arg->port = 1;
    flip_pte = entry_at(SPARE_VA + 4096, 1);
    flip_a = *flip_pte;
    flip_b = HOLE | PTE_RW_;
    stop = false;
    start_on_cpu1(flip, 0);
    while (now() < end) {
        long rc = evtchn(EVTCHNOP_status, arg);

        CHECK(rc == 0 || rc == -EFAULT);
        *(rc ? &refused : &done) += 1;
    }
    stop = true;
    wait_cpu1();
    map_at(SPARE_VA, 0);
    map_at(SPARE_VA + 4096, 0);
    page_free(a);
    page_free(b);
    CHECK(done + refused > 0);
}

TEST(attack_params)
{
    struct xen_hvm_param p = {.domid = DOMID_SELF};
    struct xen_hvm_evtchn_upcall_vector u = {.vcpu = 0};

    for (unsigned i = 0; i < 256; i++) {
        p = (struct xen_hvm_param){.domid = 0, .index = i, .value = ~0UL};
        CHECK_REFUSED(HC2(hvm_op, HVMOP_set_param, &p));
        CHECK_REFUSED(HC2(hvm_op, HVMOP_get_param, &p));
        if (i == HVM_PARAM_CALLBACK_IRQ || i == HVM_PARAM_CONSOLE_EVTCHN ||
            i == HVM_PARAM_STORE_EVTCHN)
            continue;
        p = (struct xen_hvm_param){.domid = DOMID_SELF, .index = i, .value = ~0UL};
        HC2(hvm_op, HVMOP_set_param, &p);
        HC2(hvm_op, HVMOP_get_param, &p);
    }
    for (unsigned i = 0; i < 16; i++) {
        u.vector = i;
        CHECK_REFUSED(HC2(hvm_op, HVMOP_set_evtchn_upcall_vector, &u));
    }
    u.vector = VEC_UPCALL;
    u.vcpu = 0x80000000;
    CHECK_REFUSED(HC2(hvm_op, HVMOP_set_evtchn_upcall_vector, &u));
    for (unsigned op = 0; op < 64; op++)
        if (op > HVMOP_get_param)
            CHECK_REFUSED(HC2(hvm_op, op, HOLE));
    CHECK_REFUSED(add_to_physmap(XENMAPSPACE_gmfn_foreign, 0, 0x9000));
}

/* --- from narrower code, on vcpu 1 --- */

#define CODE16(label, text)                                                                        \
    __asm__(".pushsection .rodata\n" #label "_begin: .code16\n" text                               \
            "\n8: pause\n jmp 8b\n" #label "_end: .code64\n.popsection");                          \
    extern const u8 label##_begin[], label##_end[]

#define WAIT_DATA(n)                                                                               \
    do {                                                                                           \
        u64 end_ = now() + 2000000000UL;                                                           \
        while (READ_ONCE(*(u32 *)(REAL_DATA + 4UL * (n))) == 0x5a5a5a5a && now() < end_)           \
            sleep_ms(1);                                                                           \
    } while (0)

static u32 data(unsigned n)
{
    return READ_ONCE(*(u32 *)(REAL_DATA + 4UL * n));
}

/* xen_version in real mode is refused; then in 32-bit code without paging it is not. */
CODE16(narrow_calls, "cli\n xorw %ax, %ax\n movw %ax, %ds\n"
                     "movl $17, %eax\n xorl %ebx, %ebx\n xorl %ecx, %ecx\n vmmcall\n"
                     "movl %eax, 0x7000\n"
                     "lgdtl 0x9000 + (7f - narrow_calls_begin)\n"
                     "movl $0x11, %eax\n movl %eax, %cr0\n"
                     "ljmpl $0x18, $(0x9000 + (6f - narrow_calls_begin))\n"
                     ".balign 8\n7: .word 8 * 32 - 1\n .long gdt\n"
                     ".code32\n6: movl $0x10, %eax\n movl %eax, %ds\n movl %eax, %es\n"
                     "movl $17, %eax\n xorl %ebx, %ebx\n xorl %ecx, %ecx\n vmmcall\n"
                     "movl %eax, 0x7004\n"
                     /* an argument that wraps around at 4 GB, and one in no RAM */
                     "movl $17, %eax\n movl $1, %ebx\n movl $0xfffffff8, %ecx\n vmmcall\n"
                     "movl %eax, 0x7008\n"
                     "movl $34, %eax\n movl $1, %ebx\n movl $0xd0000000, %ecx\n vmmcall\n"
                     "movl %eax, 0x700c\n"
                     "movl $0xffffff11, %eax\n xorl %ebx, %ebx\n vmmcall\n"
                     "movl %eax, 0x7010\n"
                     "movl $1, %eax\n xorl %ebx, %ebx\n vmmcall\n"
                     "movl %eax, 0x7014\n"
                     ".code16");

TEST(attack_narrow_calls)
{
    memset((void *)(ulong)REAL_DATA, 0x5a, 64);
    start_real(narrow_calls_begin, narrow_calls_end);
    WAIT_DATA(5);
    CHECK_EQ((int)data(0), -ENOSYS);
    CHECK_EQ(data(1) >> 16, 4);
    CHECK_EQ((int)data(2), -EFAULT);
    CHECK_EQ((int)data(3), -EFAULT);
    CHECK_EQ((int)data(4), -ENOSYS);
    CHECK_EQ((int)data(5), -ENOSYS);
    restart_cpu(1);
}
