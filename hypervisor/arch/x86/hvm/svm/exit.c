// SPDX-License-Identifier: MIT
/*
 * Into the guest and out of it (entry.S calls both): why it has left, and what is done about it.
 *
 * The CPU tells the length of an instruction that was intercepted only where it can (nRIP save);
 * elsewhere the two or three bytes that it mostly is are compared, and if there are prefixes the
 * decoder is asked.
 */
#include "svm.h"
#include "asm/regs.h"
#include "kernel/softirq.h"
#include "sched/sched.h"

/* --- instructions --- */

static bool in_long_mode(const struct vmcb *vmcb)
{
    return vmcb->seg[EMUL_SEG_CS].attr & EMUL_SEG_L;
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

/* --- exits --- */

#define IO_IN     1
#define IO_STRING 4
#define IO_REP    8

/* The CPU says where the next instruction is. */
static void exit_io(struct vcpu *v, struct cpu_user_regs *regs, uint32_t info)
{
    const struct hvm_port_access io = {.port = info >> 16,
                                       .bytes = (info >> 4) & 7,
                                       .in = info & IO_IN,
                                       .string = info & (IO_STRING | IO_REP)};

    hvm_exit_io(v, regs, vmcb_of(v)->exit_info2 - regs->rip, &io);
}

/* Some CPUs report the one for the other. */
static void exit_tsc(struct vcpu *v, struct cpu_user_regs *regs, bool with_aux)
{
    if (!with_aux && is_insn(v, regs, RDTSCP_))
        with_aux = true;
    hvm_exit_tsc(v, regs, insn_len(v, regs, with_aux ? RDTSCP_ : RDTSC_), with_aux);
}

/* An event whose delivery this exit has cut short comes again, unless its instruction will. */
static void recover_event(struct vcpu *v, uint64_t e)
{
    struct hvm_event event = {.vector = EVENT_VECTOR(e),
                              .type = EVENT_TYPE(e),
                              .valid = true,
                              .has_error = e & EVENT_HAS_ERROR,
                              .error = e >> EVENT_ERROR_SHIFT};

    if (event.type == HVM_EVENT_SOFTWARE && svm_of(v)->as_software)
        event.type = HVM_EVENT_INTR;
    hvm_recover_event(v, &event);
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
        hvm_vendor->set_nmi_blocked(v, false);
        hvm_vendor->set_shadow(v, true);
        break;
    case EXIT_ICEBP:
        hvm_exit_icebp(v, regs, insn_len(v, regs, ICEBP_));
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
        hvm_hypercall(regs, VMMCALL_LENGTH);
        break;
    case EXIT_CPUID:
        hvm_exit_cpuid(v, regs, insn_len(v, regs, CPUID_));
        break;
    case EXIT_MSR:
        hvm_exit_msr(v, regs, insn_len(v, regs, vmcb->exit_info1 ? WRMSR_ : RDMSR_),
                     vmcb->exit_info1);
        break;
    case EXIT_IOIO:
        exit_io(v, regs, vmcb->exit_info1);
        break;
    case EXIT_HLT:
        hvm_exit_hlt(v, regs, insn_len(v, regs, HLT_));
        break;
    case EXIT_PAUSE: /* it comes again, and the count begins anew */
        vcpu_yield();
        break;
    case EXIT_RDTSC:
    case EXIT_RDTSCP:
        exit_tsc(v, regs, vmcb->exit_code == EXIT_RDTSCP);
        break;
    case EXIT_XSETBV:
        hvm_exit_xsetbv(v, regs, insn_len(v, regs, XSETBV_));
        break;
    case EXIT_INVD: /* the guest has no memory that is not coherent */
        hvm_skip(v, regs, insn_len(v, regs, INVD_));
        break;
    case EXIT_WBINVD:
        hvm_skip(v, regs, insn_len(v, regs, WBINVD_));
        break;
    case EXIT_SHUTDOWN:
        hvm_triple_fault(v);
        break;
    case EXIT_EXCEPTION ... EXIT_EXCEPTION + 31:
        hvm_exit_exception(v, regs, vmcb->exit_code - EXIT_EXCEPTION);
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
