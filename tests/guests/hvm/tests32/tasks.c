// SPDX-License-Identifier: MIT
/*
 * Task switches by the CPU: by jump, call, gate, interrupt and IRET; and by what cannot be switched
 * to.
 */
#include "guest.h"

#define SEL_TASK SEL_SPARE
#define SEL_GATE (SEL_SPARE + 8)

static struct tss32 task __aligned(128);
static u8 task_stack[4096] __aligned(16);
static volatile u32 seen;
static volatile u16 seen_task;

/* Runs as a task of its own: notes who it is, and goes back to where it was called from. */
void task_code(void);
__asm__(".text\n"
        "task_code:\n"
        "    addl $1, seen\n"
        "    str seen_task\n"
        "    iretl\n"
        "    jmp task_code\n");

/* The same for an exception with an error code. */
void fault_code(void);
__asm__(".text\n"
        "fault_code:\n"
        "    popl seen\n"
        "    str seen_task\n"
        "    movl back_to, %eax\n" /* the faulting instruction is skipped */
        "    movl %eax, main_tss + 32\n"
        "    iretl\n"
        "    jmp fault_code\n");
volatile u32 back_to;

static void make_task(void (*code)(void))
{
    task = (struct tss32){.cr3 = read_cr3(),
                          .eip = (ulong)code,
                          .eflags = 2,
                          .esp = (ulong)task_stack + sizeof(task_stack),
                          .es = SEL_DATA,
                          .cs = SEL_CODE,
                          .ss = SEL_DATA,
                          .ds = SEL_DATA,
                          .esp0 = (ulong)task_stack + 2048,
                          .ss0 = SEL_DATA,
                          .io_map = sizeof(task)};
    gdt[SEL_TASK / 8] = descriptor((ulong)&task, sizeof(task) - 1, 0x89);
    gdt[SEL_GATE / 8] = (u64)SEL_TASK << 16 | 0x850000000000;
    main_tss.cr3 = read_cr3();
    seen = 0;
    seen_task = 0;
}

static u16 current_task(void)
{
    u16 sel;

    __asm__ volatile("str %0" : "=r"(sel));
    return sel;
}

static bool busy(unsigned sel)
{
    return gdt[sel / 8] >> 41 & 1;
}

/* There and back leaves everything as it was, but for CR0.TS. */
static void check_back(u32 times)
{
    CHECK_EQ(seen, times);
    CHECK_EQ(seen_task, SEL_TASK);
    CHECK_EQ(current_task(), SEL_TSS);
    CHECK(busy(SEL_TSS));
    CHECK(!busy(SEL_TASK));
    CHECK_EQ(task.link, SEL_TSS);
    CHECK(read_cr0() & 8);
    __asm__ volatile("clts");
}

#define CALL_TASK(sel) __asm__ volatile("lcall %0, $0" ::"i"(sel) : "memory", "cc")

static void call_task(void)
{
    make_task(task_code);
    CALL_TASK(SEL_TASK);
    check_back(1);
    CALL_TASK(SEL_GATE);
    check_back(2);
    idt[0x50] = (u64)SEL_TASK << 16 | 0x850000000000;
    __asm__ volatile("int $0x50" ::: "memory", "cc");
    check_back(3);
}

TEST(narrow_task_calls)
{
    in_each_mode(call_task);
}

/* To a task by jump, which jumps back. */
void jump_code(void);
__asm__(".text\n"
        "jump_code:\n"
        "    addl $1, seen\n"
        "    str seen_task\n"
        "    ljmp $0x28, $0\n" /* SEL_TSS */
        "    jmp jump_code\n");

static void jump_task(void)
{
    make_task(jump_code);
    for (u32 i = 1; i < 3; i++) {
        __asm__ volatile("ljmp %0, $0" ::"i"(SEL_TASK) : "memory", "cc");
        CHECK_EQ(seen, i);
        CHECK_EQ(current_task(), SEL_TSS);
        CHECK(!busy(SEL_TASK));
    }
    __asm__ volatile("clts");
}

TEST(narrow_task_jumps)
{
    in_each_mode(jump_task);
}

static void user_calls_gate(void)
{
    __asm__ volatile("int $0x51" ::: "memory");
}

static void from_user(void)
{
    make_task(task_code);
    idt[0x51] = (u64)SEL_TASK << 16 | 0xe50000000000;
    CHECK_EQ(user_call(user_calls_gate), VEC_GATE);
    check_back(1);
    idt[0x51] = (u64)SEL_TASK << 16 | 0x850000000000;
    CHECK_EQ(user_call(user_calls_gate), VEC_GP);
    CHECK_EQ(this_cpu()->trap.error, 0x51 * 8 + 2);
}

TEST(narrow_task_from_ring3)
{
    in_each_mode(from_user);
}

/* #GP by a task gate; its error code is on the task's stack. */
static void exception_by_task(void)
{
    u64 kept = idt[VEC_GP];

    make_task(fault_code);
    idt[VEC_GP] = (u64)SEL_TASK << 16 | 0x850000000000;
    __asm__ volatile("movl $1f, back_to\n movl %0, %%fs\n1:" ::"r"(0xf4) : "eax", "memory");
    idt[VEC_GP] = kept;
    check_back(0xf4 & 0xfffc);
}

TEST(narrow_task_exception)
{
    in_each_mode(exception_by_task);
}

/* A device's address in an instruction, and then the exception goes through the task gate. */
static void emulated_then_task(void)
{
    u64 kept = idt[VEC_GP];

    make_task(fault_code);
    idt[VEC_GP] = (u64)SEL_TASK << 16 | 0x850000000000;
    __asm__ volatile("movl $1f, back_to\n fxsave (%0)\n1:" ::"r"(HOLE) : "eax", "memory");
    idt[VEC_GP] = kept;
    check_back(0);
}

TEST(narrow_task_injected)
{
    in_each_mode(emulated_then_task);
}

static void refused(void)
{
    u64 *d = &gdt[SEL_TASK / 8];

    make_task(task_code);
    *d = descriptor((ulong)&task, sizeof(task) - 1, 0x09); /* not present */
    CHECK_EQ(CAUGHT(CALL_TASK(SEL_TASK)), VEC_NP);
    CHECK_EQ(this_cpu()->trap.error, SEL_TASK);
    *d = descriptor((ulong)&task, 0x66, 0x89);
    CHECK_EQ(CAUGHT(CALL_TASK(SEL_TASK)), 10); /* #TS */
    CHECK_EQ(this_cpu()->trap.error, SEL_TASK);
    *d = descriptor((ulong)&task, sizeof(task) - 1, 0x8b); /* busy */
    CHECK_EQ(CAUGHT(CALL_TASK(SEL_TASK)), VEC_GP);
    CHECK_EQ(CAUGHT(CALL_TASK(SEL_TSS)), VEC_GP); /* itself */
    CHECK_EQ(CAUGHT(__asm__ volatile("pushfl\n orl $0x4000, (%%esp)\n popfl\n iretl" ::
                                         : "memory", "cc")),
             10); /* back to task 0, which is none */
    __asm__ volatile("pushfl\n andl $~0x4000, (%%esp)\n popfl" ::: "memory", "cc");
    gdt[SEL_GATE / 8] = (u64)SEL_DATA << 16 | 0x850000000000;
    CHECK_EQ(CAUGHT(CALL_TASK(SEL_GATE)), VEC_GP);
    CHECK_EQ(current_task(), SEL_TSS);
    if (mode == UNPAGED)
        return;
    /* Over the end of what is mapped. */
    map_at(SPARE_VA, (ulong)page_alloc() | PTE_RW_);
    *d = descriptor(SPARE_VA + 4096 - 64, sizeof(task) - 1, 0x89);
    CHECK_EQ(CAUGHT(CALL_TASK(SEL_TASK)), VEC_PF);
}

TEST(narrow_task_refused)
{
    in_each_mode(refused);
}

/* In no RAM: what becomes of it is the guest's affair. */
RISK(narrow_task_in_hole)
{
    make_task(task_code);
    gdt[SEL_TASK / 8] = descriptor(HOLE, sizeof(task) - 1, 0x89);
    CAUGHT(CALL_TASK(SEL_TASK));
}

RISK(narrow_task_gate_into_hole)
{
    make_task(task_code);
    gdt[SEL_TASK / 8] = descriptor(HOLE + 4090, sizeof(task) - 1, 0x89);
    idt[VEC_GP] = (u64)SEL_TASK << 16 | 0x850000000000;
    CAUGHT(__asm__ volatile("fxsave (%0)" ::"r"(HOLE) : "memory"));
}

/* Every exception by a task whose own state is nonsense. */
RISK(narrow_task_of_nonsense)
{
    make_task(task_code);
    task.cs = 0xfff0;
    task.cr3 = 0xfffff000;
    for (unsigned i = 0; i < 32; i++)
        idt[i] = (u64)SEL_TASK << 16 | 0x850000000000;
    __asm__ volatile("ud2");
}
