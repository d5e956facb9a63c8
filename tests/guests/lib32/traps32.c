// SPDX-License-Identifier: MIT
/* traps.c for a 32-bit kernel. */
#include "guest.h"

struct cpu cpus[MAX_CPUS];
u8 stacks[MAX_CPUS * STACK_SIZE] __aligned(STACK_SIZE);
hook_fn *hooks[VECTORS];
u32 trap_at;

struct cpu *this_cpu(void)
{
    ulong i = ((ulong)__builtin_frame_address(0) - (ulong)stacks) / STACK_SIZE;

    return &cpus[i < MAX_CPUS ? i : 0]; /* on a stack of a test's own: the first vcpu */
}

u64 kernel_stack_of(unsigned cpu)
{
    return (ulong)stacks + cpu * STACK_SIZE + STACK_SIZE / 2;
}

static void unexpected(const struct frame *f)
{
    HC2(set_debugreg, 7, 0x400);
    if (dying())
        die("exception %lu", (ulong)f->vector);
    if (failed_often())
        leave_test();
    fail("trap", f->vector, "unexpected: error %#x eip %#x cs %#x eflags %#x cr2 %#lx", f->error,
         f->eip, f->cs, f->eflags, vcpu_info()->arch.cr2);
    say("  eax %x ebx %x ecx %x edx %x esi %x edi %x esp %lx\n", f->eax, f->ebx, f->ecx, f->edx,
        f->esi, f->edi, (ulong)&f->esp);
    leave_test();
}

void trap_handler(struct frame *f);

void trap_handler(struct frame *f)
{
    struct cpu *cpu = this_cpu();
    u32 cr2 = vcpu_info()->arch.cr2;
    u8 mask = f->cs >> 16;
    bool from_user = (f->cs & 3) == 3;

    f->cs &= 0xffff;
    cpu->traps[f->vector]++;
    if (hooks[f->vector] && hooks[f->vector](f))
        return;
    if (f->vector == VEC_EVENT) {
        event_loop();
        return;
    }
    if (from_user ? cpu->in_user : cpu->armed) {
        cpu->trap = *f;
        if (!from_user)
            cpu->trap.esp = (ulong)&f->esp; /* where it was: nothing of it was pushed */
        cpu->cr2 = cr2;
        cpu->frame_at = (ulong)f;
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
        t->flags = i == 3 || i == 4 || i == 0x80 || i == 0x90 ? 3 : i == 0x91 ? 1 : 0;
        t->cs = FLAT_KERNEL_CS;
        t->address = (ulong)trap_entries + i * 32;
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
    struct callback_register reg = {.type = type,
                                    .address = {.cs = FLAT_KERNEL_CS, .eip = (ulong)entry}};

    if (HC2(callback_op, CALLBACKOP_register, &reg))
        die("callback %u", type);
}

void traps_init(void)
{
    load_default_traps();
    callback(CALLBACKTYPE_event, event_entry);
    callback(CALLBACKTYPE_failsafe, failsafe_entry);
    callback(CALLBACKTYPE_syscall32, syscall32_entry);
    callback(CALLBACKTYPE_sysenter, sysenter_entry);
    if (HC2(stack_switch, FLAT_KERNEL_SS, kernel_stack_of(this_cpu()->id)))
        die("stack_switch");
}
