// SPDX-License-Identifier: MIT
/*
 * Why a vcpu has left its guest, where that has nothing to do with who made the CPU: what is done
 * about instructions that were intercepted, and about events whose delivery was cut short.
 */
#include "arch/x86/hvm/hvm.h"
#include "arch/x86/time/time.h"
#include "asm/fpu.h"
#include "asm/regs.h"
#include "kernel/panic.h"

#define DR7_ENABLED  0xff
#define PIT_COUNTER2 0x42
#define OP_MOV_EDX   0xba
#define OP_IN_AL     0xec
#define OP_IN_EAX    0xed

static void step_over(struct vcpu *v, struct cpu_user_regs *regs, unsigned len)
{
    regs->rip += len;
    if (unlikely(regs->rip >> 32 == 1) && !hvm_long_mode(v))
        regs->rip = (uint32_t)regs->rip; /* over the end of 4 GB */
    regs->rflags &= ~(uint64_t)EFLAGS_RF;
    hvm_vendor->set_shadow(v, false);
}

void hvm_skip(struct vcpu *v, struct cpu_user_regs *regs, unsigned len)
{
    if (!len)
        return;
    step_over(v, regs, len);
    if (unlikely(regs->rflags & EFLAGS_TF))
        hvm_single_step(v);
}

void hvm_exit_icebp(struct vcpu *v, struct cpu_user_regs *regs, unsigned len)
{
    if (!len)
        return;
    step_over(v, regs, len);
    hvm_inject(v, VEC_DB, -1); /* of which DR6 says nothing */
}

void hvm_exit_cpuid(struct vcpu *v, struct cpu_user_regs *regs, unsigned len)
{
    struct emul_cpuid res;

    if (!len)
        return;
    if (unlikely(v->arch.cpuid_faults) && hvm_vendor->get_cpl(v)) {
        hvm_inject(v, VEC_GP, 0);
        return;
    }
    hvm_cpuid(v, regs->rax, regs->rcx, &res);
    regs->rax = res.a;
    regs->rbx = res.b;
    regs->rcx = res.c;
    regs->rdx = res.d;
    hvm_skip(v, regs, len);
}

void hvm_exit_msr(struct vcpu *v, struct cpu_user_regs *regs, unsigned len, bool write)
{
    uint64_t val;
    bool ok;

    if (!len)
        return;
    if (write)
        ok = hvm_wrmsr(v, regs->rcx, (uint32_t)regs->rax | regs->rdx << 32);
    else {
        ok = hvm_rdmsr(v, regs->rcx, &val);
        if (ok) {
            regs->rax = (uint32_t)val;
            regs->rdx = val >> 32;
        }
    }
    if (ok)
        hvm_skip(v, regs, len);
    else
        hvm_inject(v, VEC_GP, 0);
}

void hvm_exit_tsc(struct vcpu *v, struct cpu_user_regs *regs, unsigned len, bool with_aux)
{
    uint64_t tsc;

    if (!len)
        return;
    tsc = arch_guest_tsc(v);
    regs->rax = (uint32_t)tsc;
    regs->rdx = tsc >> 32;
    if (with_aux)
        regs->rcx = v->arch.hvm->tsc_aux;
    hvm_skip(v, regs, len);
}

void hvm_exit_xsetbv(struct vcpu *v, struct cpu_user_regs *regs, unsigned len)
{
    uint64_t val = (uint32_t)regs->rax | regs->rdx << 32;

    if (!len)
        return;
    if ((uint32_t)regs->rcx || hvm_vendor->get_cpl(v) || !fpu_set_xcr0(v, val))
        hvm_inject(v, VEC_GP, 0);
    else
        hvm_skip(v, regs, len);
}

void hvm_exit_hlt(struct vcpu *v, struct cpu_user_regs *regs, unsigned len)
{
    if (!len)
        return;
    hvm_skip(v, regs, len);
    hvm_hlt(v, regs);
}

/* --- ports --- */

/*
 * No port has anything behind it.  But a timer that reads as all ones looks as if it were about to
 * count: kernels wait for that, for long.
 */
static void read_port(struct cpu_user_regs *regs, uint16_t port, unsigned bytes)
{
    if (bytes == 4)
        regs->rax = ~0u;
    else if (port == PIT_COUNTER2)
        regs->rax &= ~0xffULL;
    else
        regs->rax |= bytes == 2 ? 0xffff : 0xff;
}

/*
 * Kernels choose a register by one port and read it from another, of each of 8192 PCI devices that
 * are not there.  What such code does next, MOV to EDX and IN, is done with the OUT: one exit.
 */
static void follow_out(struct vcpu *v, struct cpu_user_regs *regs)
{
    uint32_t low, high;
    uint8_t op;

    if (hvm_vendor->get_cpl(v) || !hvm_long_mode(v) || (hvm_vendor->get_dr(v, 7) & DR7_ENABLED) ||
        v->arch.hvm->event.valid)
        return;
    if (!hvm_peek_code(v, regs->rip, 0, &low) || (uint8_t)low != OP_MOV_EDX ||
        !hvm_peek_code(v, regs->rip + 4, 0, &high))
        return;
    op = high >> 8;
    if (op != OP_IN_AL && op != OP_IN_EAX)
        return;
    regs->rdx = low >> 8 | high << 24;
    read_port(regs, regs->rdx, op == OP_IN_AL ? 1 : 4);
    hvm_skip(v, regs, 6);
}

void hvm_exit_io(struct vcpu *v, struct cpu_user_regs *regs, unsigned len,
                 const struct hvm_port_access *io)
{
    if (io->string) {
        if (!hvm_emulate(v, regs))
            hvm_inject(v, VEC_GP, 0);
        return;
    }
    if (io->in)
        read_port(regs, io->port, io->bytes);
    hvm_skip(v, regs, len);
    if (!io->in)
        follow_out(v, regs);
}

/* --- exceptions and events --- */

void hvm_exit_exception(struct vcpu *v, struct cpu_user_regs *regs, uint8_t vector)
{
    switch (vector) {
    case VEC_UD: /* hvm_fep */
        if (!hvm_emulate_forced(v, regs))
            hvm_inject(v, VEC_UD, -1);
        break;
    case VEC_DB:
        hvm_inject(v, VEC_DB, -1);
        break;
    case VEC_AC:
        hvm_inject(v, VEC_AC, 0);
        break;
    default:
        panic("machine check (guest running)");
    }
}

void hvm_recover_event(struct vcpu *v, const struct hvm_event *e)
{
    if (e->type != HVM_EVENT_INTR && e->type != HVM_EVENT_NMI && e->type != HVM_EVENT_EXCEPTION)
        return; /* INT n; and INT3, INTO, where they have types of their own */
    if (e->type == HVM_EVENT_EXCEPTION && (e->vector == VEC_BP || e->vector == VEC_OF))
        return; /* ... or have not */
    v->arch.hvm->event = *e;
}
