// SPDX-License-Identifier: MIT
/* As abi/advisories.c, where a 32-bit guest has it otherwise. */
#include "guest.h"
#include <xen/sysctl.h>

/* XSA-185: no way round the third level to itself. */
TEST(pae_advisory_l3_in_l3)
{
    u64 *l3 = (u64 *)boot_info.pt_base, cr3 = root_mfn() << 12;

    CHECK_REFUSED(mmu_update_one(maddr_of(l3 + 2), cr3 | PTE_P | PTE_U | PTE_A | PTE_D));
    CHECK_REFUSED(mmu_update_one(maddr_of(l3 + 2), cr3 | PTE_L3));
    CHECK_EQ(l3[2], 0);
}

/* XSA-213: iret in a list goes where its frame says, and the rest of the list is not called. */
TEST(pae_advisory_multicall_iret)
{
    static struct multicall_entry list[2];
    struct cpu *cpu = this_cpu();
    struct frame f;

    USER_ASM(&f, "int $0x80");
    static u32 context[6];
    context[0] = 0xdead;
    context[1] = f.eip;
    context[2] = f.cs;
    context[3] = f.eflags;
    context[4] = f.esp;
    context[5] = f.ss;
    memset(list, 0, sizeof(list));
    list[0].op = __HYPERVISOR_iret;
    list[1].op = __HYPERVISOR_xen_version;
    list[1].result = 77;
    int vec = save_point(&cpu->user_back);
    if (!vec) {
        cpu->in_user = true;
        __asm__ volatile("movl %0, %%esp\n int $0x82\n ud2" ::"S"(context),
                         "a"(__HYPERVISOR_multicall), "b"(list), "c"(2)
                         : "memory");
    }
    CHECK_EQ(vec - 1, 0x80);
    CHECK_EQ(cpu->trap.eax, 0xdead);
    CHECK_EQ(cpu->trap.eip, USER_CODE + 2);
    CHECK_EQ(list[1].result, 77);
}

/* XSA-221: any port may be polled; a 32-bit guest has 1024, unless it has chosen FIFO. */
TEST(pae_advisory_poll_any_port)
{
    evtchn_port_t port = 32;
    struct sched_poll poll = {.nr_ports = 1, .timeout = 1};

    set_xen_guest_handle(poll.ports, &port);
    for (; port < 1024 && !failed_often(); port += 31)
        CHECK_EQ(HC2(sched_op, SCHEDOP_poll, &poll), 0);
    port = 131072;
    CHECK_EQ(HC2(sched_op, SCHEDOP_poll, &poll), -EINVAL);
}

/* XSA-259 */
TEST(pae_advisory_int80_without_handler)
{
    struct trap_info table[2] = {{0}}, old;

    old = (struct trap_info){VEC_GP, 0, FLAT_KERNEL_CS, (ulong)trap_entries + VEC_GP * 32};
    table[0] = old;
    REQUIRE_EQ(HC1(set_trap_table, 0), 0);
    REQUIRE_EQ(HC1(set_trap_table, table), 0);
    CHECK_EQ(CAUGHT(AT("int $0x80")), VEC_GP);
    CHECK_EQ(this_cpu()->trap.error, 0x80 << 3 | 2);
    load_default_traps();
}

/* XSA-298: an LDT that is not there has no gates. */
TEST(pae_advisory_gate_in_no_ldt)
{
    struct frame f;

    USER_ASM(&f, "sub $16, %esp; movl $0, (%esp); movw $0x1007, 4(%esp); lcall *(%esp); int $0x80");
    CHECK_EQ(user_run(&f), VEC_GP);
    CHECK_EQ(this_cpu()->trap.error, 0x1004);
}

/* VMASST_TYPE_architectural_iopl */
TEST(pae_advisory_iopl_by_iret)
{
    struct physdev_set_iopl none = {.iopl = 0};
    struct frame f;

    if (HC2(vm_assist, VMASST_CMD_enable, VMASST_TYPE_architectural_iopl))
        skip("no virtual IOPL by iret");
    for (unsigned iopl = 0; iopl <= 3; iopl++) {
        USER_ASM(&f, "cli; outb %al, $0x80; int $0x80");
        f.eflags = iopl << 12 | 0x202;
        CHECK_EQ(user_run(&f), iopl == 3 ? 0x80 : VEC_GP);
        CHECK_EQ(this_cpu()->trap.eip, iopl == 3 ? USER_CODE + 5 : USER_CODE);
        CHECK_EQ(this_cpu()->trap.eflags >> 12 & 3, iopl);
        CHECK_EQ(CAUGHT(AT("cli; outb %%al, $0x80; sti", "a"(0))), NO_TRAP);
    }
    CHECK_EQ(HC2(vm_assist, VMASST_CMD_disable, VMASST_TYPE_architectural_iopl), 0);
    CHECK_EQ(HC2(physdev_op, PHYSDEVOP_set_iopl, &none), 0);
}

TEST(pae_advisory_sysctl_denied)
{
    static struct xen_sysctl op;

    for (op.interface_version = 0; op.interface_version < 128; op.interface_version++)
        if (HC1(sysctl, &op) != -EACCES)
            break;
    CHECK_EQ(HC1(sysctl, &op), -EPERM);
}
