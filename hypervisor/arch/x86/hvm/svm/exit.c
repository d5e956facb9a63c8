// SPDX-License-Identifier: MIT
/*
 * Into the guest and out of it (entry.S calls both): why it has left, and what is done about it.
 *
 * The CPU tells the length of an instruction that was intercepted only where it can (nRIP save);
 * elsewhere the two or three bytes that it mostly is are compared, and if there are prefixes the
 * decoder is asked.
 */
#include "svm.h"
#include "arch/x86/time/time.h"
#include "asm/cpufeature.h"
#include "asm/msr.h"
#include "asm/regs.h"
#include "hypercall/hypercall.h"
#include "kernel/console.h"
#include "kernel/panic.h"
#include "kernel/softirq.h"
#include "lib/string.h"
#include "sched/sched.h"

/* --- instructions --- */

static bool in_long_mode(const struct vmcb *vmcb)
{
    return vmcb->seg[EMUL_SEG_CS].attr & EMUL_SEG_L;
}

static void skip(struct cpu_user_regs *regs, unsigned len)
{
    struct vcpu *v = current;
    struct vmcb *vmcb = vmcb_of(v);

    regs->rip += len;
    if (unlikely(!in_long_mode(vmcb)))
        regs->rip = (uint32_t)regs->rip;
    vmcb->shadow &= ~1ULL;
    if (unlikely(regs->rflags & EFLAGS_TF)) {
        vmcb->dr6 |= 1UL << 14;
        vmcb_changed(vmcb, VMCB_DR);
        hvm_inject(v, VEC_DB, -1);
    }
}

/* The first bytes of an instruction, as a number, and how many. */
struct insn_bytes {
    uint32_t bytes;
    unsigned len;
};
#define CPUID_  ((struct insn_bytes){0xa20f, 2})
#define RDMSR_  ((struct insn_bytes){0x320f, 2})
#define WRMSR_  ((struct insn_bytes){0x300f, 2})
#define RDTSC_  ((struct insn_bytes){0x310f, 2})
#define RDTSCP_ ((struct insn_bytes){0xf9010f, 3})
#define XSETBV_ ((struct insn_bytes){0xd1010f, 3})
#define HLT_    ((struct insn_bytes){0xf4, 1})
#define ICEBP_  ((struct insn_bytes){0xf1, 1})
#define INVD_   ((struct insn_bytes){0x080f, 2})
#define WBINVD_ ((struct insn_bytes){0x090f, 2})

/* Is it at rip, plainly? */
static inline bool is_insn(struct vcpu *v, const struct cpu_user_regs *regs, struct insn_bytes insn)
{
    const struct vmcb *vmcb = vmcb_of(v);
    uint64_t base = in_long_mode(vmcb) ? 0 : vmcb->seg[EMUL_SEG_CS].base;
    uint32_t found;

    return hvm_peek_code(v, base + regs->rip, vmcb->cpl == 3 ? PFEC_USER : 0, &found) &&
           !((found ^ insn.bytes) << (32 - 8 * insn.len));
}

/* The length of the intercepted instruction, which is that and maybe prefixes; 0: a fault. */
static unsigned insn_len(struct vcpu *v, struct cpu_user_regs *regs, struct insn_bytes insn)
{
    const struct vmcb *vmcb = vmcb_of(v);

    if (vmcb->next_rip > regs->rip && vmcb->next_rip - regs->rip <= EMUL_MAX_INSN)
        return vmcb->next_rip - regs->rip;
    if (likely(is_insn(v, regs, insn)))
        return insn.len;
    return hvm_insn_length(v, regs);
}

static void exit_cpuid(struct vcpu *v, struct cpu_user_regs *regs)
{
    unsigned len = insn_len(v, regs, CPUID_);
    struct emul_cpuid res;

    if (!len)
        return;
    if (unlikely(v->arch.cpuid_faults) && vmcb_of(v)->cpl) {
        hvm_inject(v, VEC_GP, 0);
        return;
    }
    hvm_cpuid(v, regs->rax, regs->rcx, &res);
    regs->rax = res.a;
    regs->rbx = res.b;
    regs->rcx = res.c;
    regs->rdx = res.d;
    skip(regs, len);
}

static void exit_msr(struct vcpu *v, struct cpu_user_regs *regs, bool write)
{
    unsigned len = insn_len(v, regs, write ? WRMSR_ : RDMSR_);
    uint32_t msr = regs->rcx;
    uint64_t val;
    bool ok;

    if (!len)
        return;
    if (write)
        ok = hvm_wrmsr(v, msr, (uint32_t)regs->rax | regs->rdx << 32);
    else {
        ok = hvm_rdmsr(v, msr, &val);
        if (ok) {
            regs->rax = (uint32_t)val;
            regs->rdx = val >> 32;
        }
    }
    if (ok)
        skip(regs, len);
    else
        hvm_inject(v, VEC_GP, 0);
}

#define IO_IN     1
#define IO_STRING 4
#define IO_REP    8

#define PIT_COUNTER2 0x42

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

#define DR7_ENABLED 0xff
#define OP_MOV_EDX  0xba
#define OP_IN_AL    0xec
#define OP_IN_EAX   0xed

/*
 * Kernels choose a register by one port and read it from another, of each of 8192 PCI devices that
 * are not there.  What such code does next, MOV to EDX and IN, is done with the OUT: one exit.
 */
static void follow_out(struct vcpu *v, struct cpu_user_regs *regs)
{
    const struct vmcb *vmcb = vmcb_of(v);
    uint32_t low, high;
    uint8_t op;

    if (vmcb->cpl || !in_long_mode(vmcb) || (vmcb->dr7 & DR7_ENABLED) || v->arch.hvm->event.valid)
        return;
    if (!hvm_peek_code(v, regs->rip, 0, &low) || (uint8_t)low != OP_MOV_EDX ||
        !hvm_peek_code(v, regs->rip + 4, 0, &high))
        return;
    op = high >> 8;
    if (op != OP_IN_AL && op != OP_IN_EAX)
        return;
    regs->rdx = low >> 8 | high << 24;
    read_port(regs, regs->rdx, op == OP_IN_AL ? 1 : 4);
    skip(regs, 6);
}

/* The CPU says where the next instruction is. */
static void exit_io(struct vcpu *v, struct cpu_user_regs *regs, uint32_t info)
{
    if (info & (IO_STRING | IO_REP)) {
        if (!hvm_emulate(v, regs))
            hvm_inject(v, VEC_GP, 0);
        return;
    }
    if (info & IO_IN)
        read_port(regs, info >> 16, (info >> 4) & 7);
    skip(regs, vmcb_of(v)->exit_info2 - regs->rip);
    if (!(info & IO_IN))
        follow_out(v, regs);
}

static void exit_rdtsc(struct vcpu *v, struct cpu_user_regs *regs, bool with_aux)
{
    unsigned len;
    uint64_t tsc;

    /* Some CPUs report the one for the other. */
    if (!with_aux && is_insn(v, regs, RDTSCP_))
        with_aux = true;
    len = with_aux ? insn_len(v, regs, RDTSCP_) : insn_len(v, regs, RDTSC_);
    if (!len)
        return;
    tsc = arch_guest_tsc(v);
    regs->rax = (uint32_t)tsc;
    regs->rdx = tsc >> 32;
    if (with_aux)
        regs->rcx = v->arch.hvm->tsc_aux;
    skip(regs, len);
}

static void exit_xsetbv(struct vcpu *v, struct cpu_user_regs *regs)
{
    unsigned len = insn_len(v, regs, XSETBV_);
    uint64_t val = (uint32_t)regs->rax | regs->rdx << 32;

    if (!len)
        return;
    if ((uint32_t)regs->rcx || vmcb_of(v)->cpl || !hvm_write_xcr0(v, val))
        hvm_inject(v, VEC_GP, 0);
    else
        skip(regs, len);
}

static void exit_hlt(struct vcpu *v, struct cpu_user_regs *regs)
{
    unsigned len = insn_len(v, regs, HLT_);

    if (!len)
        return;
    skip(regs, len);
    hvm_hlt(v, regs);
}

static void exit_cache(struct vcpu *v, struct cpu_user_regs *regs, struct insn_bytes insn)
{
    unsigned len = insn_len(v, regs, insn);

    /* The guest has no memory that is not coherent. */
    if (len)
        skip(regs, len);
}

/* Its #DB comes behind it, and says nothing in DR6. */
static void exit_icebp(struct vcpu *v, struct cpu_user_regs *regs)
{
    unsigned len = insn_len(v, regs, ICEBP_);

    if (!len)
        return;
    regs->rip += len;
    vmcb_of(v)->shadow &= ~1ULL;
    hvm_inject(v, VEC_DB, -1);
}

static void exit_exception(struct vcpu *v, struct cpu_user_regs *regs, unsigned vec)
{
    switch (vec) {
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

/* An event whose delivery this exit has cut short comes again, unless its instruction will. */
static void recover_event(struct vcpu *v, uint64_t e)
{
    uint8_t vector = EVENT_VECTOR(e), type = EVENT_TYPE(e);

    if (type == HVM_EVENT_SOFTWARE && svm_of(v)->as_software)
        type = HVM_EVENT_INTR;
    if (type != HVM_EVENT_INTR && type != HVM_EVENT_NMI && type != HVM_EVENT_EXCEPTION)
        return; /* INT n */
    if (type == HVM_EVENT_EXCEPTION && (vector == 3 || vector == 4))
        return; /* INT3, INTO */
    v->arch.hvm->event = (struct hvm_event){.vector = vector,
                                            .type = type,
                                            .valid = true,
                                            .has_error = e & EVENT_HAS_ERROR,
                                            .error = e >> EVENT_ERROR_SHIFT};
}

static void dispatch(struct vcpu *v, struct cpu_user_regs *regs)
{
    struct vmcb *vmcb = vmcb_of(v);

    switch (vmcb->exit_code) {
    case EXIT_INTR:
    case EXIT_NMI:
    case EXIT_SMI:
    case EXIT_INIT:
    case EXIT_VINTR:
        break;      /* handled meanwhile, or at the next entry */
    case EXIT_IRET: /* the NMI's handler is done, but for this instruction */
        vmcb->intercepts[0] &= ~ICPT_IRET;
        vmcb_changed(vmcb, VMCB_INTERCEPTS);
        vmcb->shadow |= 1;
        v->arch.hvm->nmi_masked = false;
        break;
    case EXIT_ICEBP:
        exit_icebp(v, regs);
        break;
    case EXIT_CR0_READ:
    case EXIT_CR0_WRITE:
    case EXIT_CR0_CHANGE:
    case EXIT_CR4_WRITE:
    case EXIT_CR8_WRITE:
        if (!hvm_emulate(v, regs))
            hvm_inject(v, VEC_UD, -1);
        break;
    case EXIT_NPF:
        hvm_npt_fault(v, regs, vmcb->exit_info2, vmcb->exit_info1 & PFEC_WRITE);
        break;
    case EXIT_VMMCALL:
        hvm_hypercall(regs, 3);
        vmcb->shadow &= ~1ULL;
        break;
    case EXIT_CPUID:
        exit_cpuid(v, regs);
        break;
    case EXIT_MSR:
        exit_msr(v, regs, vmcb->exit_info1);
        break;
    case EXIT_IOIO:
        exit_io(v, regs, vmcb->exit_info1);
        break;
    case EXIT_HLT:
        exit_hlt(v, regs);
        break;
    case EXIT_PAUSE: /* it comes again, and the count begins anew */
        vcpu_yield();
        break;
    case EXIT_RDTSC:
    case EXIT_RDTSCP:
        exit_rdtsc(v, regs, vmcb->exit_code == EXIT_RDTSCP);
        break;
    case EXIT_XSETBV:
        exit_xsetbv(v, regs);
        break;
    case EXIT_INVD:
        exit_cache(v, regs, INVD_);
        break;
    case EXIT_WBINVD:
        exit_cache(v, regs, WBINVD_);
        break;
    case EXIT_SHUTDOWN:
        hvm_triple_fault(v);
        break;
    case EXIT_EXCEPTION ... EXIT_EXCEPTION + 31:
        exit_exception(v, regs, vmcb->exit_code - EXIT_EXCEPTION);
        break;
    case EXIT_RDPMC:
        hvm_inject(v, VEC_GP, 0);
        break;
    case EXIT_VMRUN:
    case EXIT_VMLOAD:
    case EXIT_VMSAVE:
    case EXIT_STGI:
    case EXIT_CLGI:
    case EXIT_SKINIT:
    case EXIT_INVLPGA:
    case EXIT_RSM:
    case EXIT_MONITOR:
    case EXIT_MWAIT:
        hvm_inject(v, VEC_UD, -1);
        break;
    case EXIT_INVALID:
    case (uint32_t)EXIT_INVALID:
        /* QEMU says so instead of #GP when MOV to CR3 or CR4 sets reserved bits. */
        if (hvm_emulate_mov_to_cr(v, regs))
            break;
        /* fallthrough */
    default:
        domain_crash(v->domain, "vcpu %u: exit %#lx (%#lx, %#lx) cannot be handled", v->vcpu_id,
                     (unsigned long)vmcb->exit_code, (unsigned long)vmcb->exit_info1,
                     (unsigned long)vmcb->exit_info2);
    }
}

static void count_exit(struct svm_vcpu *s, uint64_t code)
{
    if (likely(code < NR_LOW_EXITS))
        s->exits[code]++;
    else if (code == EXIT_NPF)
        s->exits_npf++;
    else
        s->exits_other++;
}

void svm_exit(struct cpu_user_regs *regs)
{
    struct vcpu *v = current;
    struct vmcb *vmcb = vmcb_of(v);

    count_exit(svm_of(v), vmcb->exit_code);
    vmcb->clean = VMCB_ALL;
    vmcb_note(svm_of(v));
    regs->rax = vmcb->rax;
    regs->rsp = vmcb->rsp;
    regs->rip = vmcb->rip;
    regs->rflags = vmcb->rflags;
    if (unlikely((vmcb->vintr & VINTR_TPR_MASK) != vlapic_get_tpr(v) >> 4))
        vlapic_set_tpr(v, (vmcb->vintr & VINTR_TPR_MASK) << 4); /* by MOV to CR8 */
    vmcb->inject = 0;
    if (unlikely(vmcb->exit_event & EVENT_VALID))
        recover_event(v, vmcb->exit_event);
    svm_of(v)->as_software = false;
    dispatch(v, regs);
}

/*
 * The task priority, and an exit at its next change if it holds an interrupt back; CR0, CR4. Also
 * while a window is asked for: QEMU ends when a guest then writes CR8 (it looks at the virtual
 * interrupt without its lock).
 */
static void load_priority(struct vcpu *v, struct vmcb *vmcb)
{
    uint64_t tpr = vlapic_get_tpr(v) >> 4;
    bool priority = (vmcb->intercepts[0] & ICPT_VINTR) || vlapic_held_back(v);
    uint16_t writes = priority << 8 | v->arch.hvm->cr4_exits << 4 | (vmcb->cr_reads & CR0_NO_NE);

    if (unlikely((vmcb->vintr & VINTR_TPR_MASK) != tpr)) {
        vmcb->vintr = (vmcb->vintr & ~VINTR_TPR_MASK) | tpr;
        vmcb_changed(vmcb, VMCB_INTERRUPT);
    }
    if (unlikely(vmcb->cr_writes != writes)) {
        vmcb->cr_writes = writes;
        vmcb_changed(vmcb, VMCB_INTERCEPTS);
    }
}

maddr_t svm_enter(struct cpu_user_regs *regs)
{
    struct svm_vcpu *s;
    struct vcpu *v;

    for (;;) {
        local_irq_disable();
        if (likely(!softirq_pending(smp_processor_id())))
            break;
        local_irq_enable();
        do_softirq();
    }
    v = current;
    s = svm_of(v);
    hvm_deliver(v);
    s->vmcb->rax = regs->rax;
    s->vmcb->rsp = regs->rsp;
    s->vmcb->rip = regs->rip;
    s->vmcb->rflags = regs->rflags;
    load_priority(v, s->vmcb);
    svm_refresh_asid(v);
    vmcb_check(s);
    s->fetched = false;
    return s->maddr;
}
