// SPDX-License-Identifier: MIT
/*
 * How it works: a breakpoint brings us into a signal handler, which keeps the registers of the test
 * program and returns into the instruction with the wanted ones.  The single-step trap, the
 * breakpoint behind the instruction, or its own exception brings us into the handler again, which
 * takes the result and returns into the test program.
 */
#define _GNU_SOURCE
#include "native.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define FLAG_TF   0x100u
#define USER_CS32 0x23u
#define USER_DS   0x2bu

uint8_t *const arena = (uint8_t *)ARENA_BASE;

static struct {
    volatile bool inside;
    unsigned int mode;
    struct machine *machine;
    gregset_t program;
} step;

static const int gpr_index[16] = {
    REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
    REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

__attribute__((no_sanitize("address", "undefined"))) static void on_signal(int sig, siginfo_t *info,
                                                                           void *context)
{
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
    struct machine *m = step.machine;

    (void)info;
    if (!step.inside) {
        if (sig != SIGTRAP) {
            /* The test program's own fault. */
            signal(sig, SIG_DFL);
            return;
        }
        for (int i = 0; i < NGREG; i++)
            step.program[i] = regs[i];
        for (int i = 0; i < 16; i++)
            regs[gpr_index[i]] = m->gpr[i];
        regs[REG_RIP] = m->rip;
        regs[REG_EFL] = m->flags;
        if (step.mode == 32)
            regs[REG_CSGSFS] = (regs[REG_CSGSFS] & ~0xffffll) | USER_CS32;
        step.inside = true;
        return;
    }

    for (int i = 0; i < 16; i++)
        m->gpr[i] = regs[gpr_index[i]];
    m->rip = regs[REG_RIP];
    m->flags = regs[REG_EFL];
    m->vector = regs[REG_TRAPNO];
    m->error_code = regs[REG_ERR];
    m->cr2 = regs[REG_CR2];
    for (int i = 0; i < NGREG; i++)
        regs[i] = step.program[i];
    step.inside = false;
}

static bool take_signals(void)
{
    static const int signals[] = {SIGTRAP, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};

    sigemptyset(&action.sa_mask);
    for (unsigned int i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        if (sigaction(signals[i], &action, NULL))
            return false;
    return true;
}

bool native_setup(void)
{
    static bool done;
    size_t reserved = ARENA_SIZE + 2 * ARENA_GUARD;
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    stack_t stack = {.ss_size = 65536};

    if (done)
        return take_signals();
    if (mmap(arena - ARENA_GUARD, reserved, PROT_NONE, flags, -1, 0) == MAP_FAILED ||
        mprotect(arena, ARENA_SIZE, PROT_READ | PROT_WRITE) ||
        mmap((void *)CODE_BASE, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, flags, -1, 0) ==
            MAP_FAILED)
        return false;
    stack.ss_sp =
        mmap(NULL, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack.ss_sp == MAP_FAILED || sigaltstack(&stack, NULL))
        return false;
    /* 64-bit code does without these two, 32-bit code does not. */
    asm volatile("mov %0, %%ds; mov %0, %%es" : : "r"(USER_DS));
    done = true;
    return take_signals();
}

void native_run(struct machine *m, unsigned int mode, const uint8_t *code, unsigned int len)
{
    uint8_t *page = (uint8_t *)CODE_BASE;
    bool trap = m->flags & FLAG_TF;

    memset(page + CODE_OFFSET, 0xcc, 32);
    memcpy(page + CODE_OFFSET, code, len);
    m->rip = CODE_BASE + CODE_OFFSET;
    step.machine = m;
    step.mode = mode;
    asm volatile("int3" : : : "memory", "cc");
    /* NT, AC and ID, which POPF may have set, survive the return from a signal. */
    asm volatile("lea -128(%%rsp), %%rsp; pushfq; andq %0, (%%rsp); popfq; lea 128(%%rsp), %%rsp"
                 :
                 : "i"(~0x244000)
                 : "memory", "cc");

    if (trap ? m->vector == 1 : m->vector == 3 && m->rip == CODE_BASE + CODE_OFFSET + len + 1)
        m->vector = -1;
    if (!trap && m->vector == -1)
        m->rip--;
}

bool native_works(unsigned int mode)
{
    static const uint8_t not_eax[] = {0xf7, 0xd0};
    struct machine m = {.flags = 0x202 | FLAG_TF, .gpr = {0xfffffff0}};

    native_run(&m, mode, not_eax, sizeof(not_eax));
    return m.vector == -1 && m.gpr[0] == 0xf && m.rip == CODE_BASE + CODE_OFFSET + sizeof(not_eax);
}
