// SPDX-License-Identifier: MIT
/* What happens at a trap: a hook of the test, the place that waits for it, or the test's end. */
#include "guest.h"

struct cpu cpus[MAX_CPUS];
u8 stacks[MAX_CPUS * STACK_SIZE] __aligned(STACK_SIZE);
hook_fn *hooks[VECTORS];
u64 trap_at;

struct cpu *this_cpu(void)
{
    u64 sp = (u64)__builtin_frame_address(0);
    u64 i = (sp - (u64)stacks) / STACK_SIZE;

    return &cpus[i < MAX_CPUS ? i : 0]; /* on a stack of a test's own: the first vcpu */
}

u64 kernel_stack_of(unsigned cpu)
{
    return (u64)stacks + cpu * STACK_SIZE + STACK_SIZE / 2;
}

static void unexpected(const struct frame *f)
{
    const u64 *sp = (const u64 *)f->rsp;

    HC2(set_debugreg, 7, 0x400);
    if (dying())
        die("exception %lu", (ulong)f->vector);
    if (failed_often())
        leave_test();
    fail("trap", f->vector, "unexpected: error %#x rip %#lx cs %#lx flags %#lx rsp %#lx cr2 %#lx",
         f->error, f->rip, f->cs, f->rflags, f->rsp, vcpu_info()->arch.cr2);
    say("  rax %lx rdi %lx rsi %lx rdx %lx", f->rax, f->rdi, f->rsi, f->rdx);
    if (f->rsp >= (u64)stacks && f->rsp < (u64)stacks + sizeof(stacks) - 64)
        say("; stack %lx %lx %lx %lx %lx", sp[0], sp[1], sp[2], sp[3], sp[4]);
    say("\n");
    leave_test();
}

void trap_handler(struct frame *f);

void trap_handler(struct frame *f)
{
    struct cpu *cpu = this_cpu();
    u64 cr2 = vcpu_info()->arch.cr2;
    u8 mask = f->cs >> 32;
    bool from_user = (f->cs & 3) == 3;

    f->cs &= 0xffff;
    cpu->traps[f->vector]++;
    if (hooks[f->vector] && hooks[f->vector](f)) {
        f->flags = 0;
        return;
    }
    if (f->vector == VEC_EVENT) {
        event_loop();
        f->flags = 0;
        return;
    }
    if (from_user ? cpu->in_user : cpu->armed) {
        cpu->trap = *f;
        cpu->cr2 = cr2;
        cpu->frame_at = (u64)f;
        cpu->saved_mask = mask;
        vcpu_info()->evtchn_upcall_mask = mask;
        back_to_test(cpu, from_user, f->vector);
    }
    cpu->armed = cpu->in_user = false;
    unexpected(f);
}

void fill_trap_table(struct trap_info *t)
{
    for (unsigned i = 0; i < 256; i++, t++) {
        t->vector = i;
        t->flags = i == 3 || i == 4 || i == 0x80 || i == 0x82 || i == 0x90 ? 3 : i == 0x91 ? 1 : 0;
        t->cs = FLAT_KERNEL_CS;
        t->address = (u64)trap_entries + i * 32;
    }
    t->address = 0;
}

void load_default_traps(void)
{
    static struct trap_info table[257];

    fill_trap_table(table);
    if (HC1(set_trap_table, table))
        die("set_trap_table");
}

static void callback(unsigned type, const void *entry)
{
    struct callback_register reg = {.type = type, .address = (u64)entry};

    if (HC2(callback_op, CALLBACKOP_register, &reg))
        die("callback %u", type);
}

void traps_init(void)
{
    load_default_traps();
    callback(CALLBACKTYPE_event, event_entry);
    callback(CALLBACKTYPE_failsafe, failsafe_entry);
    callback(CALLBACKTYPE_syscall, syscall_entry);
    callback(CALLBACKTYPE_syscall32, syscall32_entry);
    if (HC2(stack_switch, FLAT_KERNEL_SS, kernel_stack_of(this_cpu()->id)))
        die("stack_switch");
}
