// SPDX-License-Identifier: MIT
/* The iret hypercall, and the stacks and masks of what comes between it and the kernel. */
#include "guest.h"

#define TF 0x100UL
#define RF 0x10000UL
#define DF 0x400UL
#define AC 0x40000UL
#define ID 0x200000UL

static bool got;
static struct frame seen;

static bool note_frame(struct frame *f)
{
    seen = *f;
    got = true;
    return false;
}

/* Every register of a user frame arrives, and every one comes back. */
TEST(iret_user_registers)
{
    struct frame f;
    const struct frame *t = &this_cpu()->trap;

    USER_ASM(&f, "int $0x80");
    f.rax = 1, f.rbx = 2, f.rcx = 3, f.rdx = 4, f.rsi = 5, f.rdi = 6, f.rbp = 7, f.r8 = 8;
    f.r9 = 9, f.r10 = 10, f.r11 = 11, f.r12 = 12, f.r13 = 13, f.r14 = 14, f.r15 = 15;
    f.rsp = USER_STACK + 0x123;
    f.rflags = 0x202 | ID;
    REQUIRE_EQ(user_run(&f), 0x80);
    CHECK(t->rax == 1 && t->rbx == 2 && t->rcx == 3 && t->rdx == 4);
    CHECK(t->rsi == 5 && t->rdi == 6 && t->rbp == 7 && t->r8 == 8);
    CHECK(t->r9 == 9 && t->r10 == 10 && t->r11 == 11 && t->r12 == 12);
    CHECK(t->r13 == 13 && t->r14 == 14 && t->r15 == 15);
    CHECK_EQ(t->rsp, USER_STACK + 0x123);
    CHECK_EQ(t->rflags, 0x202 | ID);
}

static bool back_to_user(struct frame *f)
{
    f->flags = VGCF_in_syscall;
    f->rax = f->rax == 1 ? 42 : 43;
    resume_frame(f);
}

/* What Linux does at the end of each system call. */
TEST(iret_in_syscall)
{
    struct frame f;

    USER_ASM(&f, "movl $1, %eax; movl $7, %ebx; syscall; int $0x80");
    hooks[VEC_SYSCALL] = back_to_user;
    REQUIRE_EQ(user_run(&f), 0x80);
    CHECK_EQ(this_cpu()->trap.rax, 42);
    CHECK_EQ(this_cpu()->trap.rbx, 7);
    CHECK_EQ(this_cpu()->trap.rip, USER_CODE + 14);
    CHECK_EQ(this_cpu()->trap.rsp, USER_STACK + 4096);
}

/* Entries from user use the stack of stack_switch; the frame is 16-byte aligned at its end. */
TEST(iret_stack_switch)
{
    struct frame f;
    u64 top = kernel_stack_of(0) - 1024;

    USER_ASM(&f, "int $0x80");
    REQUIRE_EQ(HC2(stack_switch, FLAT_KERNEL_SS, top + 8), 0);
    REQUIRE_EQ(user_run(&f), 0x80);
    CHECK_EQ(this_cpu()->frame_at + sizeof(struct frame), top);
    USER_ASM(&f, "syscall");
    REQUIRE_EQ(user_run(&f), VEC_SYSCALL);
    CHECK_EQ(this_cpu()->frame_at + sizeof(struct frame), top);
    CHECK_EQ(HC2(stack_switch, FLAT_KERNEL_SS, kernel_stack_of(0)), 0);
}

TEST(iret_single_step_user)
{
    struct frame f;

    USER_ASM(&f, "nop; nop; int $0x80");
    f.rflags |= TF;
    REQUIRE_EQ(user_run(&f), VEC_DB);
    CHECK_EQ(this_cpu()->trap.rip, USER_CODE + 1);
    CHECK(this_cpu()->trap.rflags & TF);
    CHECK(HC1(get_debugreg, 6) & 0x4000);
    HC2(set_debugreg, 6, 0xffff0ff0);
}

static bool step_over(struct frame *f)
{
    seen = *f;
    f->rflags &= ~TF;
    return true;
}

TEST(iret_single_step_kernel)
{
    u64 here;

    memset(&seen, 0, sizeof(seen));
    hooks[VEC_DB] = step_over;
    __asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq\n"
                     "nop\n"
                     "1: lea 1b(%%rip), %0"
                     : "=r"(here)::"memory", "cc");
    CHECK_EQ(seen.rip, here);
    CHECK(!(seen.cs & 3));
    HC2(set_debugreg, 6, 0xffff0ff0);
}

/* IF in the frame is the event mask, from either mode, and both ways. */
TEST(iret_event_mask)
{
    struct frame f;

    USER_ASM(&f, "int $0x80");
    f.rflags &= ~0x200UL;
    REQUIRE_EQ(user_run(&f), 0x80);
    CHECK_EQ(this_cpu()->saved_mask, 1);
    CHECK_EQ(this_cpu()->trap.rflags & 0x200, 0);
    events_on();
    f.rflags |= 0x200;
    REQUIRE_EQ(user_run(&f), 0x80);
    CHECK_EQ(this_cpu()->saved_mask, 0);
    CHECK_EQ(this_cpu()->trap.rflags & 0x200, 0x200);
    events_off();
    CHECK_EQ(CAUGHT(__asm__ volatile("ud2")), VEC_UD);
    CHECK_EQ(this_cpu()->saved_mask, 1);
    CHECK_EQ(this_cpu()->trap.rflags & 0x200, 0);
    events_on();
}

/* An event that waits is delivered on the way to the user, in front of its first instruction. */
TEST(iret_delivers_events)
{
    struct frame f;
    unsigned port = bind_ipi();
    struct evtchn_send s = {.port = port};
    u64 before = event_count[port];

    USER_ASM(&f, "int $0x80");
    unmask_port(port);
    events_off();
    CHECK_EQ(evtchn(EVTCHNOP_send, &s), 0);
    CHECK_EQ(event_count[port], before);
    hooks[VEC_EVENT] = note_frame;
    got = false;
    REQUIRE_EQ(user_run(&f), 0x80);
    CHECK(got);
    CHECK_EQ(seen.rip, USER_CODE);
    CHECK_EQ(seen.cs, FLAT_USER_CS);
    CHECK_EQ(event_count[port], before + 1);
    close_port(port);
}

static u8 mask_inside;

static bool note_mask(struct frame *f)
{
    (void)f;
    mask_inside = vcpu_info()->evtchn_upcall_mask;
    return false;
}

/* A trap gate with flag 4, and a system call callback with CALLBACKF_mask_events, mask events. */
TEST(iret_masking_gates)
{
    struct frame f;
    static struct trap_info t[2];
    struct callback_register r = {.type = CALLBACKTYPE_syscall,
                                  .flags = CALLBACKF_mask_events,
                                  .address = (u64)syscall_entry};

    t[0] = (struct trap_info){.vector = VEC_UD,
                              .flags = 4,
                              .cs = FLAT_KERNEL_CS,
                              .address = (u64)trap_entries + VEC_UD * 32};
    REQUIRE_EQ(HC1(set_trap_table, t), 0);
    hooks[VEC_UD] = hooks[VEC_SYSCALL] = note_mask;
    mask_inside = 7;
    CHECK_EQ(CAUGHT(__asm__ volatile("ud2")), VEC_UD);
    CHECK_EQ(mask_inside, 1);
    CHECK_EQ(this_cpu()->saved_mask, 0);
    CHECK_EQ(vcpu_info()->evtchn_upcall_mask, 0);
    load_default_traps();
    CHECK_EQ(CAUGHT(__asm__ volatile("ud2")), VEC_UD);
    CHECK_EQ(mask_inside, 0);

    USER_ASM(&f, "syscall");
    REQUIRE_EQ(HC2(callback_op, CALLBACKOP_register, &r), 0);
    CHECK_EQ(user_run(&f), VEC_SYSCALL);
    CHECK_EQ(mask_inside, 1);
    CHECK_EQ(this_cpu()->saved_mask, 0);
    CHECK(this_cpu()->trap.rflags & 0x200);
    r.flags = 0;
    REQUIRE_EQ(HC2(callback_op, CALLBACKOP_register, &r), 0);
    CHECK_EQ(user_run(&f), VEC_SYSCALL);
    CHECK_EQ(mask_inside, 0);
}

/* Handlers start with TF clear, whatever the interrupted code had; DF is in the frame. */
TEST(iret_handler_flags)
{
    struct frame f;
    u64 flags = ~0UL;

    USER_ASM(&f, "std; int $0x80");
    f.rflags |= AC;
    REQUIRE_EQ(user_run(&f), 0x80);
    CHECK(this_cpu()->trap.rflags & DF);
    CHECK(this_cpu()->trap.rflags & AC);
    __asm__ volatile("pushfq; popq %0" : "=r"(flags));
    CHECK_EQ(flags & TF, 0);
}

/* A frame with what IRET cannot load is a fault at the place it was to go to. */
TEST(iret_bad_selectors)
{
    struct frame f;

    USER_ASM(&f, "int $0x80");
    f.ss = 0xe02b + 0x8 * 100; /* beyond what the table holds, or empty */
    CHECK_EQ(user_run(&f), VEC_GP);
    CHECK_EQ(this_cpu()->trap.rip, USER_CODE);
    f.ss = FLAT_USER_SS;
    f.cs = 0x33;
    CHECK_EQ(user_run(&f), VEC_GP);
    CHECK_EQ(this_cpu()->trap.error, 0x30);
    f.cs = FLAT_USER_CS;
    CHECK_EQ(user_run(&f), 0x80);
}

/* 32-bit user code runs on FLAT_USER_CS32, and its SYSCALL has a callback of its own. */
TEST(iret_compat_mode)
{
    struct frame f;

    USER_ASM(&f, ".code32; movl $0x12345678, %eax; decl %eax; int $0x80; .code64");
    f.cs = FLAT_USER_CS32;
    REQUIRE_EQ(user_run(&f), 0x80);
    CHECK_EQ(this_cpu()->trap.rax, 0x12345677);
    CHECK_EQ(this_cpu()->trap.cs, FLAT_USER_CS32);
    USER_ASM(&f, ".code32; movl $5, %eax; syscall; .code64");
    f.cs = FLAT_USER_CS32;
    REQUIRE_EQ(user_run(&f), VEC_SYSCALL32);
    CHECK_EQ(this_cpu()->trap.rax, 5);
    CHECK_EQ(this_cpu()->trap.rip, USER_CODE + 7);
    CHECK_EQ(this_cpu()->trap.cs, FLAT_USER_CS32);
}

/* int 0x80 through a gate of DPL 0 is a general protection fault at the instruction. */
TEST(iret_int80_dpl)
{
    struct frame f;
    static struct trap_info t[2];

    t[0] = (struct trap_info){
        .vector = 0x80, .cs = FLAT_KERNEL_CS, .address = (u64)trap_entries + 0x80 * 32};
    not_on_stock("delivers it");
    USER_ASM(&f, "int $0x80");
    REQUIRE_EQ(HC1(set_trap_table, t), 0);
    CHECK_EQ(user_run(&f), VEC_GP);
    CHECK_EQ(this_cpu()->trap.rip, USER_CODE);
    CHECK_EQ(this_cpu()->trap.error, 0x80 * 8 + 2);
    load_default_traps();
    CHECK_EQ(user_run(&f), 0x80);
}

TEST(callback_ops)
{
    struct callback_register r = {.type = CALLBACKTYPE_event, .address = 0x8000000000000000};
    struct callback_unregister u = {.type = CALLBACKTYPE_event};

    CHECK_EQ(HC2(callback_op, CALLBACKOP_register, &r), -EINVAL);
    r.type = 77;
    r.address = (u64)event_entry;
    CHECK_EQ(HC2(callback_op, CALLBACKOP_register, &r), -ENOSYS);
    CHECK_EQ(HC2(callback_op, CALLBACKOP_unregister, &u), -EINVAL);
    u.type = 77;
    CHECK_EQ(HC2(callback_op, CALLBACKOP_unregister, &u), -ENOSYS);
    CHECK_EQ(HC2(callback_op, 9, &u), -ENOSYS);
    CHECK_EQ(HC2(callback_op, CALLBACKOP_register, 16), -EFAULT);
    CHECK_EQ(HC3(set_callbacks, event_entry, failsafe_entry, syscall_entry), 0);
}
