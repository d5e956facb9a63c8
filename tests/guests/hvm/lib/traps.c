// SPDX-License-Identifier: MIT
/* Tables of the CPU; what happens at a trap: a hook of the test, the place that waits, its end. */
#include "guest.h"

struct cpu cpus[MAX_CPUS];
u8 stacks[MAX_CPUS * STACK_SIZE] __aligned(STACK_SIZE);
hook_fn *hooks[VECTORS];
u64 trap_at;

u64 gdt[GDT_WORDS] = {0,
                      0x00af9b000000ffff, /* SEL_CODE */
                      0x00cf93000000ffff,
                      0x00cf9b000000ffff,
                      0x008f9b000000ffff,
                      0x008f93000000ffff,
                      0x00affb000000ffff, /* SEL_USER */
                      0x00cff3000000ffff};
struct table_ptr gdt_ptr = {sizeof(gdt) - 1, (u64)gdt};
u64 idt[512];
struct table_ptr idt_ptr = {sizeof(idt) - 1, (u64)idt};

struct tss {
    u32 reserved1;
    u64 rsp[3];
    u64 reserved2, ist[7], reserved3;
    u16 reserved4, io_map;
} __attribute__((packed));
static struct tss tss[MAX_CPUS];

#define USER_STACK_SIZE 8192
static u8 user_stacks[MAX_CPUS][USER_STACK_SIZE] __aligned(16);
extern u8 user_end[];

struct cpu *this_cpu(void)
{
    u64 i = ((u64)__builtin_frame_address(0) - (u64)stacks) / STACK_SIZE;

    return &cpus[i < MAX_CPUS ? i : 0]; /* on a stack of a test's own, or ring 3's: the first */
}

/* For entries from ring 3; below it is the stack of double faults. */
u64 kernel_stack_of(unsigned cpu)
{
    return (u64)stacks + cpu * STACK_SIZE + STACK_SIZE / 2;
}

static void unexpected(const struct frame *f)
{
    write_dr7(0x400);
    if (dying())
        die("exception %lu", (ulong)f->vector);
    irq_on();
    if (failed_often())
        leave_test();
    fail("trap", f->vector, "unexpected: error %#lx rip %#lx cs %#lx flags %#lx rsp %#lx cr2 %#lx",
         f->error, f->rip, f->cs, f->rflags, f->rsp, read_cr2());
    leave_test();
}

/* On from the frame's stack, with its interrupt flag. */
static void leave_frame(const struct frame *f, struct point *where) __noreturn;
static void leave_frame(const struct frame *f, struct point *where)
{
    __asm__ volatile("push %0; popfq" ::"r"((f->rflags & 0x202) | 2) : "memory", "cc");
    go_back(where, f->vector + 1);
}

void trap_handler(struct frame *f);

void trap_handler(struct frame *f)
{
    struct cpu *cpu = this_cpu();
    u64 cr2 = read_cr2();
    bool from_user = (f->cs & 3) == 3;

    cpu->traps[f->vector]++;
    if (hooks[f->vector] && hooks[f->vector](f))
        return;
    if (f->vector == VEC_NMI || (f->vector >= 32 && f->vector != VEC_GATE)) {
        if (f->vector == VEC_UPCALL)
            event_loop();
        if (f->vector != VEC_SPURIOUS && f->vector != VEC_NMI)
            apic_write(APIC_EOI, 0);
        return;
    }
    if (from_user ? cpu->in_user : cpu->armed) {
        cpu->trap = *f;
        cpu->cr2 = cr2;
        if (from_user) {
            cpu->in_user = false;
            f->rflags |= 0x200;
            leave_frame(f, &cpu->user_back);
        }
        cpu->armed = false;
        leave_frame(f, &cpu->catch);
    }
    cpu->armed = cpu->in_user = false;
    unexpected(f);
}

int user_call(void (*fn)(void))
{
    struct cpu *cpu = this_cpu();
    u64 *sp = (u64 *)(user_stacks[cpu->id] + USER_STACK_SIZE);
    struct frame f = {
        .rip = (u64)fn, .cs = SEL_USER, .ss = SEL_UDATA, .rflags = 0x202, .rsp = (u64)(sp - 1)};
    int vec = save_point(&cpu->user_back);

    if (!vec) {
        sp[-1] = (u64)user_end;
        cpu->in_user = true;
        resume_frame(&f);
    }
    return vec - 1;
}

static void fill_idt(void)
{
    for (unsigned i = 0; i < 256; i++) {
        u64 at = (u64)trap_entries + i * 16;
        u64 dpl = i == 3 || i == 4 || i == VEC_GATE ? 3 : 0;

        idt[2 * i] = (at & 0xffff) | SEL_CODE << 16 | (u64)(i == 8) << 32 | 0x8e0000000000 |
                     dpl << 45 | (at >> 16 & 0xffff) << 48;
        idt[2 * i + 1] = at >> 32;
    }
}

void traps_init(void)
{
    unsigned cpu = this_cpu()->id;
    u64 at = (u64)&tss[cpu];
    u64 *desc = &gdt[SEL_TSS / 8 + 2 * cpu];

    if (!cpu)
        fill_idt();
    tss[cpu].rsp[0] = kernel_stack_of(cpu);
    tss[cpu].ist[0] = (u64)stacks + cpu * STACK_SIZE + STACK_SIZE / 4;
    tss[cpu].io_map = sizeof(struct tss);
    desc[0] =
        (sizeof(struct tss) - 1) | (at & 0xffffff) << 16 | 0x890000000000 | (at >> 24 & 0xff) << 56;
    desc[1] = at >> 32;
    __asm__ volatile("lgdt %0" ::"m"(gdt_ptr));
    load_idt(&idt_ptr);
    __asm__ volatile("ltr %w0" ::"r"(SEL_TSS + 16 * cpu));
}
