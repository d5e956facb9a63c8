// SPDX-License-Identifier: MIT
/*
 * How it works: a breakpoint brings us into a signal handler, which keeps the registers of the test
 * program and returns into the instruction with the wanted ones.  The single-step trap, the
 * breakpoint behind the instruction, or its own exception brings us into the handler again, which
 * takes the result and returns into the test program.
 */
#define _GNU_SOURCE
#include "native.h"

#include <asm/ldt.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define FLAG_TF 0x100u

/* Where the kernel keeps the upper halves of vector registers in a signal's frame. */
#define XSTATE_BV_OFF 512
#define XSTATE_YMM    0x4u
#define YMM_OFF       576

uint8_t *const arena = (uint8_t *)ARENA_BASE;

static struct {
    volatile bool inside;
    bool has_ldt;
    unsigned int mode;
    struct machine *machine;
    gregset_t program;
    uint64_t program_mask;
} step;

static const int signals[] = {SIGTRAP, SIGSEGV, SIGBUS, SIGILL, SIGFPE};

static const int gpr_index[16] = {
    REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
    REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

bool native_has_avx(void)
{
    return __builtin_cpu_supports("avx2");
}

/* Between a signal's frame and *m. */
static void copy_vectors(struct machine *m, const ucontext_t *uc, bool load)
{
    struct _libc_fpstate *fp = uc->uc_mcontext.fpregs;
    uint64_t *present = (uint64_t *)((char *)fp + XSTATE_BV_OFF);
    char *ymm = (char *)fp + YMM_OFF;
    bool avx = native_has_avx(), upper = avx && (*present & XSTATE_YMM);

    for (unsigned int i = 0; i < 16; i++) {
        if (load) {
            memcpy(&fp->_xmm[i], m->vector_regs[i], 16);
            if (avx)
                memcpy(ymm + 16 * i, m->vector_regs[i] + 16, 16);
        } else {
            memcpy(m->vector_regs[i], &fp->_xmm[i], 16);
            memset(m->vector_regs[i] + 16, 0, 16);
            if (upper)
                memcpy(m->vector_regs[i] + 16, ymm + 16 * i, 16);
        }
    }
    for (unsigned int i = 0; i < 8; i++) {
        if (load)
            memcpy(&fp->_st[i], m->vector_regs[16 + i], 8);
        else
            memcpy(m->vector_regs[16 + i], &fp->_st[i], 8);
    }
    if (load) {
        fp->swd = 0; /* mm0 is st0 */
        *present |= avx ? 7 : 3;
    }
}

__attribute__((no_sanitize("address", "undefined"))) static void on_signal(int sig, siginfo_t *info,
                                                                           void *context)
{
    ucontext_t *uc = context;
    greg_t *regs = uc->uc_mcontext.gregs;
    uint64_t *mask = (uint64_t *)&uc->uc_sigmask; /* the kernel's has no more */
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
            regs[REG_CSGSFS] = (regs[REG_CSGSFS] & ~0xffffll) | NATIVE_CS32;
        if (step.mode == 16)
            regs[REG_CSGSFS] =
                (regs[REG_CSGSFS] & 0xffffffff0000ll) | NATIVE_CS16 | (greg_t)NATIVE_DS16 << 48;
        /* Nobody else's handler is to run on this instruction's stack. */
        step.program_mask = *mask;
        *mask = ~0ul;
        for (unsigned int i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
            *mask &= ~(1ul << (signals[i] - 1));
        copy_vectors(m, uc, true);
        step.inside = true;
        return;
    }

    for (int i = 0; i < 16; i++)
        m->gpr[i] = regs[gpr_index[i]];
    /* Above are bits of the stack from which Linux returned into 16-bit code (ESPFIX64). */
    if (step.mode == 16)
        m->gpr[4] = (uint32_t)m->gpr[4];
    m->rip = regs[REG_RIP];
    m->flags = regs[REG_EFL];
    copy_vectors(m, uc, false);
    asm volatile("mov %%es, %0" : "=rm"(m->sel[0]));
    m->sel[1] = regs[REG_CSGSFS];
    m->sel[2] = (uint64_t)regs[REG_CSGSFS] >> 48;
    asm volatile("mov %%ds, %0" : "=rm"(m->sel[3]));
    m->vector = regs[REG_TRAPNO];
    m->error_code = regs[REG_ERR];
    m->cr2 = regs[REG_CR2];
    for (int i = 0; i < NGREG; i++)
        regs[i] = step.program[i];
    *mask = step.program_mask;
    step.inside = false;
}

static bool take_signals(void)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};

    sigemptyset(&action.sa_mask);
    for (unsigned int i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        if (sigaction(signals[i], &action, NULL))
            return false;
    return true;
}

static bool make_segment(unsigned int entry, unsigned long base, unsigned int contents)
{
    struct user_desc desc = {
        .entry_number = entry, .base_addr = base, .limit = 0xffff, .contents = contents};

    return !syscall(SYS_modify_ldt, 1, &desc, sizeof(desc));
}

/* The data segments of 16- and 32-bit code: 64-bit code does without, and signals leave them. */
static void load_data_segments(unsigned int sel)
{
    asm volatile("mov %0, %%ds; mov %0, %%es" : : "r"(sel) : "memory");
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
    step.has_ldt = make_segment(0, CODE_BASE, MODIFY_LDT_CONTENTS_CODE) &&
                   make_segment(1, DATA16_BASE, MODIFY_LDT_CONTENTS_DATA);
    done = true;
    return take_signals();
}

void native_run(struct machine *m, unsigned int mode, const uint8_t *code, unsigned int len)
{
    uint8_t *page = (uint8_t *)CODE_BASE;
    bool trap = m->flags & FLAG_TF;
    uint64_t start = CODE_OFFSET + (mode == 16 ? 0 : CODE_BASE);

    memset(page + CODE_OFFSET, 0xcc, 32);
    memcpy(page + CODE_OFFSET, code, len);
    m->rip = start;
    load_data_segments(mode == 16 ? NATIVE_DS16 : NATIVE_DS32);
    step.machine = m;
    step.mode = mode;
    asm volatile("int3"
                 :
                 :
                 : "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                   "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    /* NT, AC and ID, which POPF may have set, survive the return from a signal. */
    load_data_segments(NATIVE_DS32);
    asm volatile("lea -128(%%rsp), %%rsp; pushfq; andq %0, (%%rsp); popfq; lea 128(%%rsp), %%rsp"
                 :
                 : "i"(~0x244000)
                 : "memory", "cc");

    if (trap ? m->vector == 1 : m->vector == 3 && m->rip == start + len + 1)
        m->vector = -1;
    if (!trap && m->vector == -1)
        m->rip--;
}

bool native_works(unsigned int mode)
{
    static const uint8_t prefixed[] = {0x66, 0xf7, 0xd0}, *const not_eax = prefixed + 1;
    struct machine m = {.flags = 0x202 | FLAG_TF, .gpr = {0xfffffff0}};

    if (mode == 16 && !step.has_ldt)
        return false;
    native_run(&m, mode, mode == 16 ? prefixed : not_eax, mode == 16 ? 3 : 2);
    return m.vector == -1 && m.gpr[0] == 0xf;
}
