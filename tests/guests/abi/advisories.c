// SPDX-License-Identifier: MIT
/*
 * What published advisories were about, where the right answer is a matter of the ABI: guests and
 * test suites look for exactly these. Attacks proper are in attack/.
 */
#include "guest.h"
#include <xen/sysctl.h>

/* XSA-122: nothing of the hypervisor's comes behind the end of a string. */
static void check_string(const char *s, size_t size)
{
    size_t len = 0;

    while (len < size && s[len])
        len++;
    CHECK(len < size);
    for (; len < size; len++)
        CHECK_EQ(s[len], 0);
}

TEST(advisory_version_strings)
{
    struct xen_compile_info info;
    xen_extraversion_t extra;
    xen_changeset_info_t changes;

    memset(&info, 0, sizeof(info));
    memset(extra, 0, sizeof(extra));
    memset(changes, 0, sizeof(changes));
    CHECK(HC2(xen_version, XENVER_extraversion, extra) >= 0);
    check_string(extra, sizeof(extra));
    CHECK(HC2(xen_version, XENVER_changeset, changes) >= 0);
    check_string(changes, sizeof(changes));
    CHECK(HC2(xen_version, XENVER_compile_info, &info) >= 0);
    check_string(info.compiler, sizeof(info.compiler));
    check_string(info.compile_by, sizeof(info.compile_by));
    check_string(info.compile_domain, sizeof(info.compile_domain));
    check_string(info.compile_date, sizeof(info.compile_date));
}

/* XSA-167: the frame of a superpage is looked at, also where there are none. */
TEST(advisory_mark_super)
{
    long ret = mmuext(MMUEXT_MARK_SUPER, -1UL << 21);

    CHECK(ret == -EINVAL || ret == -EOPNOTSUPP);
}

/* XSA-188: a FIFO that could not be set up is none. */
TEST(advisory_fifo_not_set_up)
{
    struct evtchn_init_control init = {.control_gfn = -2UL};
    struct evtchn_expand_array expand;
    void *page = page_alloc();

    CHECK_EQ(evtchn(EVTCHNOP_init_control, &init), -EINVAL);
    expand.array_gfn = mfn_of(page);
    long ret = evtchn(EVTCHNOP_expand_array, &expand);
    CHECK(ret == -EOPNOTSUPP || ret == -ENOSYS);
    page_free(page);
}

/* XSA-213: iret in a list goes where its frame says, and the rest of the list is not called. */
TEST(advisory_multicall_iret)
{
    struct {
        u64 rax, r11, rcx, flags, rip, cs, rflags, rsp, ss;
    } __packed context = {.rax = 0xdead};
    static struct multicall_entry list[2];
    struct cpu *cpu = this_cpu();
    struct frame f;

    USER_ASM(&f, "int $0x80");
    context.rip = f.rip;
    context.cs = f.cs;
    context.rflags = f.rflags;
    context.rsp = f.rsp;
    context.ss = f.ss;
    memset(list, 0, sizeof(list));
    list[0].op = __HYPERVISOR_iret;
    list[1].op = __HYPERVISOR_xen_version;
    list[1].result = 77;
    int vec = save_point(&cpu->user_back);
    if (!vec) {
        cpu->in_user = true;
        __asm__ volatile("movq %0, %%rsp\n syscall\n ud2" ::"r"(&context),
                         "a"((u64)__HYPERVISOR_multicall), "D"(list), "S"(2UL)
                         : "rcx", "r11", "memory");
    }
    CHECK_EQ(vec - 1, 0x80);
    CHECK_EQ(cpu->trap.rax, 0xdead);
    CHECK_EQ(cpu->trap.rip, USER_CODE + 2);
    CHECK_EQ(list[1].result, 77);
}

/* XSA-221: any port may be polled, one that nobody has too. */
TEST(advisory_poll_any_port)
{
    not_on_stock("polls of ports that nobody has are refused");
    evtchn_port_t port = 32;
    struct sched_poll poll = {.nr_ports = 1, .timeout = 1};

    set_xen_guest_handle(poll.ports, &port);
    for (; port < 4096 && !failed_often(); port += port < 200 || port > 4000 ? 1 : 97)
        CHECK_EQ(HC2(sched_op, SCHEDOP_poll, &poll), 0);
    port = 131072; /* if another test has chosen FIFO, 4096 is good */
    CHECK_EQ(HC2(sched_op, SCHEDOP_poll, &poll), -EINVAL);
}

/* XSA-259: a vector without a handler is one without a gate. */
TEST(advisory_int80_without_handler)
{
    struct trap_info gp[2] = {{0}};

    gp[0] = (struct trap_info){VEC_GP, 0, FLAT_KERNEL_CS, (u64)trap_entries + VEC_GP * 32};
    REQUIRE_EQ(HC1(set_trap_table, 0), 0);
    REQUIRE_EQ(HC1(set_trap_table, gp), 0);
    CHECK_EQ(CAUGHT(__asm__ volatile("int $0x80")), VEC_GP);
    CHECK_EQ(this_cpu()->trap.error, 0x80 << 3 | 2);
    load_default_traps();
}

/* XSA-279: an address that is none. */
TEST(advisory_flush_not_canonical)
{
    CHECK_REFUSED(HC3(update_va_mapping, 1UL << 63, 0, UVMF_INVLPG | UVMF_ALL));
    CHECK_REFUSED(HC3(update_va_mapping, 1UL << 47, 0, UVMF_INVLPG | UVMF_ALL));
}

/* XSA-286: an entry is stored in the table that is there now, not in one that was. */
TEST(advisory_table_exchanged)
{
    u64 va = SPARE_VA + (3UL << 39), *l1a, *l1b, *l2a, *l2b;
    void *page = page_alloc();
    struct multicall_entry list[3];
    struct mmu_update u;

    map_at(va, 0);
    l1a = table_alloc();
    l1b = table_alloc();
    l2a = page_alloc();
    l2b = page_alloc();
    l2a[0] = mfn_of(l1a) << 12 | PTE_TAB;
    l2b[0] = mfn_of(l1b) << 12 | PTE_TAB;
    set_ro(l2a);
    set_ro(l2b);
    REQUIRE_EQ(mmuext(MMUEXT_PIN_L2_TABLE, mfn_of(l2a)), 0);
    REQUIRE_EQ(mmuext(MMUEXT_PIN_L2_TABLE, mfn_of(l2b)), 0);
    u64 *l3e = entry_of(va, 3), old = *l3e;
    for (unsigned i = 0; i < 15 && !failed_often(); i++) {
        REQUIRE_EQ(mmu_update_one(maddr_of(l3e), mfn_of(l2a) << 12 | PTE_TAB), 0);
        REQUIRE_EQ(mmu_update_one(maddr_of(l1b), 0), 0);
        memset(list, 0, sizeof(list));
        list[0].op = list[2].op = __HYPERVISOR_update_va_mapping;
        list[0].args[0] = list[2].args[0] = va;
        list[0].args[2] = list[2].args[2] = UVMF_INVLPG;
        list[2].args[1] = mfn_of(page) << 12 | PTE_RW_;
        u = (struct mmu_update){maddr_of(l3e), mfn_of(l2b) << 12 | PTE_TAB};
        list[1].op = __HYPERVISOR_mmu_update;
        list[1].args[0] = (u64)&u;
        list[1].args[1] = 1;
        list[1].args[3] = DOMID_SELF;
        REQUIRE_EQ(HC2(multicall, list, 3), 0);
        CHECK_EQ(list[0].result | list[1].result | list[2].result, 0);
        CHECK_EQ(l1a[0], 0);
        CHECK_EQ(l1b[0] & PTE_MFN, mfn_of(page) << 12);
    }
    REQUIRE_EQ(mmu_update_one(maddr_of(l3e), old), 0);
    REQUIRE_EQ(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(l2a)), 0);
    REQUIRE_EQ(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(l2b)), 0);
    set_rw(l2a);
    set_rw(l2b);
    page_free(l2a);
    page_free(l2b);
    table_free(l1a);
    table_free(l1b);
    page_free(page);
}

/* XSA-298: an LDT that is not there has no gates. */
TEST(advisory_gate_in_no_ldt)
{
    struct frame f;

    USER_ASM(&f, "sub $16, %rsp; movl $0, (%rsp); movw $0x1007, 4(%rsp); lcall *(%rsp); int $0x80");
    CHECK_EQ(user_run(&f), VEC_GP);
    CHECK_EQ(this_cpu()->trap.error, 0x1004);
}

/* Livepatching, as all of sysctl, is denied to a guest. */
TEST(advisory_sysctl_denied)
{
    static struct xen_sysctl op;

    if (is_dom0())
        skip("dom0 may");
    for (op.interface_version = 0; op.interface_version < 128; op.interface_version++)
        if (HC1(sysctl, &op) != -EACCES)
            break;
    CHECK_EQ(op.interface_version, XEN_SYSCTL_INTERFACE_VERSION);
    CHECK_EQ(HC1(sysctl, &op), -EPERM);
    op.cmd = XEN_SYSCTL_livepatch_op;
    op.u.livepatch.cmd = XEN_SYSCTL_LIVEPATCH_LIST;
    CHECK_EQ(HC1(sysctl, &op), -EPERM);
}

/* VMASST_TYPE_architectural_iopl: the kernel has what it wants, the user what iret gave it. */
TEST(advisory_iopl_by_iret)
{
    struct frame f;

    if (HC2(vm_assist, VMASST_CMD_enable, VMASST_TYPE_architectural_iopl))
        skip("no virtual IOPL by iret");
    for (unsigned iopl = 0; iopl <= 3; iopl++) {
        USER_ASM(&f, "cli; outb %al, $0x80; int $0x80");
        f.rflags = iopl << 12 | 0x202;
        CHECK_EQ(user_run(&f), iopl == 3 ? 0x80 : VEC_GP);
        CHECK_EQ(this_cpu()->trap.rip, iopl == 3 ? USER_CODE + 5 : USER_CODE);
        CHECK_EQ(this_cpu()->trap.rflags >> 12 & 3, iopl);
        /* The kernel, back from there. */
        CHECK_EQ(CAUGHT(__asm__ volatile("cli; outb %%al, $0x80; sti" ::"a"(0))), NO_TRAP);
    }
    CHECK_EQ(HC2(vm_assist, VMASST_CMD_disable, VMASST_TYPE_architectural_iopl), 0);
    struct physdev_set_iopl none = {.iopl = 0};
    CHECK_EQ(HC2(physdev_op, PHYSDEVOP_set_iopl, &none), 0);
}

static u64 dr7(void)
{
    u64 v;

    __asm__ volatile("mov %%dr7, %0" : "=r"(v));
    return v;
}

static void set_dr7(u64 v)
{
    __asm__ volatile("mov %0, %%dr7" ::"r"(v));
}

static u64 cr4(void)
{
    u64 v;

    __asm__ volatile("mov %%cr4, %0" : "=r"(v));
    return v;
}

static void set_cr4(u64 v)
{
    __asm__ volatile("mov %0, %%cr4" ::"r"(v));
}

static u64 debugctl(void)
{
    u32 lo, hi;

    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(0x1d9));
    return (u64)hi << 32 | lo;
}

/* Breakpoints on ports are kept and shown, and are refused without CR4.DE. */
TEST(advisory_port_breakpoints)
{
    const u64 fixed = 0x400, ge = 0x200, io0 = ge | fixed | 2 | 0xe0000, io1 = fixed | 8 | 0xe00000;
    u64 old = cr4(), v = 1;

    not_on_stock("no MSR_DEBUGCTL");
    CHECK_EQ(CAUGHT(v = debugctl()), NO_TRAP);
    CHECK_EQ(v, 0);
    CHECK_EQ(dr7(), fixed);
    set_cr4(old | 8);
    CHECK_EQ(cr4() & 8, 8);
    set_dr7(io0);
    CHECK_EQ(dr7(), io0);
    set_dr7(io1);
    CHECK_EQ(dr7(), io1);
    set_dr7(io0);
    set_cr4(old);
    CHECK_EQ(CAUGHT(set_dr7(io0)), VEC_GP);
    CHECK_EQ(dr7(), io0);
    /* And they are met, after the access. */
    struct physdev_set_iopl iopl = {.iopl = 1};

    REQUIRE_EQ(HC2(physdev_op, PHYSDEVOP_set_iopl, &iopl), 0);
    set_cr4(old | 8);
    __asm__ volatile("mov %0, %%dr0" ::"r"(0x80UL));
    CHECK_EQ(CAUGHT(__asm__ volatile("movl $0, %%eax; inb $0x7f, %%al" ::: "eax")), NO_TRAP);
    CHECK_EQ(CAUGHT(__asm__ volatile("inw $0x7f, %%ax; 1: ud2" ::: "eax")), VEC_DB);
    CHECK_EQ(HC1(get_debugreg, 6) & 15, 1);
    set_dr7(0);
    CHECK_EQ(dr7(), fixed);
    HC2(set_debugreg, 6, 0xffff0ff0);
    HC2(set_debugreg, 0, 0);
    set_cr4(old);
    iopl.iopl = 0;
    CHECK_EQ(HC2(physdev_op, PHYSDEVOP_set_iopl, &iopl), 0);
}
