// SPDX-License-Identifier: MIT
/*
 * Exceptions: ours stop the machine unless a fix-up was registered; a PV guest's are emulated,
 * repaired behind its back, or handed to its kernel.  And what happens on the way back to a guest.
 */
#include "arch/x86/cpu/smp.h"
#include "arch/x86/mm/mm.h"
#include "asm/cpufeature.h"
#include "asm/extable.h"
#include "asm/layout.h"
#include "asm/regs.h"
#include "asm/trap.h"
#include "asm/irq_vectors.h"
#include "hypercall/guest_access.h"
#include "kernel/console.h"
#include "kernel/panic.h"
#include "kernel/softirq.h"
#include "pv.h"

static const char *const exception_names[] = {
    "divide error", "debug",          "NMI",         "breakpoint",         "overflow",
    "bounds",       "invalid opcode", "no FPU",      "double fault",       "coprocessor overrun",
    "invalid TSS",  "no segment",     "stack fault", "general protection", "page fault",
    "reserved",     "FPU error",      "alignment",   "machine check",      "SIMD error"};

/* A fault in the hypervisor itself. */
static void hypervisor_exception(struct cpu_user_regs *regs, unsigned vec)
{
    unsigned long fixup;

    switch (vec) {
    case VEC_NMI:
        smp_nmi(regs);
        return;
    case VEC_DB:
        /* A guest's breakpoint that hit while MOV SS held it back, or single step into SYSCALL. */
        regs->rflags &= ~EFLAGS_TF;
        write_dr6(0xffff0ff0);
        return;
    case VEC_DF:
    case VEC_MC:
        break;
    case VEC_PF: {
        unsigned long addr = read_cr2();

        if (addr - PERDOMAIN_VIRT < (1UL << 39) && !(regs->error_code & PFEC_RSVD) &&
            pv_map_ldt_page(current, addr - PERDOMAIN_VIRT, NULL))
            return;
    } /* fall through */
    default:
        fixup = search_exception_table(regs->rip);
        if (likely(fixup)) {
            cpu_info()->scratch[1] = vec | (uint64_t)regs->error_code << 32; /* pv_iret_failed() */
            regs->rip = fixup;
            return;
        }
    }
    panic_regs(regs, "%s (vector %u, error code %#x) in the hypervisor, cr2 %#lx",
               vec < ARRAY_SIZE(exception_names) ? exception_names[vec] : "exception", vec,
               regs->error_code, read_cr2());
}

static void guest_page_fault(struct cpu_user_regs *regs)
{
    struct vcpu *v = current;
    unsigned long addr = read_cr2();
    uint32_t error = regs->error_code;

    if (unlikely(!(error & PFEC_USER)) && pv_smap_fault(addr, error))
        return;
    local_irq_enable();
    if (unlikely(error & PFEC_RSVD)) {
        domain_crash(v->domain, "reserved bit set in a page table at %#lx", addr);
        return;
    }
    if (unlikely(addr - PERDOMAIN_VIRT < (1UL << 39)) && !(error & PFEC_PRESENT) &&
        pv_map_ldt_page(v, addr - PERDOMAIN_VIRT, regs))
        return;
    if ((error & (PFEC_PRESENT | PFEC_WRITE)) == (PFEC_PRESENT | PFEC_WRITE) &&
        guest_kernel(v, regs) && mm_try_ptwr_fault(v, addr, regs))
        return;
    pv_inject_page_fault(regs, addr, error);
}

/*
 * `int n` through a gate the guest may not use in the real IDT, which is all but 3, 4 and 0x80:
 * the guest's own table decides.  The instruction is looked at, since not every CPU reports the
 * vector in the error code as the manual says.
 */
static bool guest_software_interrupt(struct cpu_user_regs *regs)
{
    struct vcpu *v = current;
    const struct trap_info *t;
    uint8_t insn[2];
    uint64_t addr;

    if ((regs->error_code & 7) != 2 || !pv_code_address(regs, &addr) ||
        copy_from_guest(insn, addr, 2) || insn[0] != 0xcd)
        return false;
    regs->error_code = insn[1] * 8u + 2; /* if it is to be a fault, as the manual has it */
    t = &v->arch.pv.trap_table[insn[1]];
    if (!t->address || TI_GET_DPL(t) < (guest_kernel(v, regs) ? 1 : 3))
        return false;
    regs->rip += 2;
    pv_inject_interrupt(regs, insn[1]);
    return true;
}

static void guest_int80(struct cpu_user_regs *regs)
{
    const struct trap_info *t = &current->arch.pv.trap_table[VECTOR_LEGACY_INT80];

    if (t->address && TI_GET_DPL(t) >= (guest_kernel(current, regs) ? 1 : 3))
        pv_inject_interrupt(regs, VECTOR_LEGACY_INT80);
    else {
        regs->rip -= 2;
        pv_inject_exception(regs, VEC_GP, VECTOR_LEGACY_INT80 * 8 + 2);
    }
}

static void guest_debug(struct cpu_user_regs *regs)
{
    unsigned long dr6 = read_dr6();

    write_dr6(0xffff0ff0);
    current->arch.pv.dr[6] = (current->arch.pv.dr[6] & ~0xfUL) | dr6;
    local_irq_enable();
    pv_inject_exception(regs, VEC_DB, 0);
}

static void guest_exception(struct cpu_user_regs *regs, unsigned vec)
{
    switch (vec) {
    case VEC_PF:
        guest_page_fault(regs);
        return;
    case VEC_NMI:
        smp_nmi(regs);
        return;
    case VEC_DB:
        guest_debug(regs);
        return;
    case VEC_DF:
    case VEC_MC:
        panic_regs(regs, "%s (guest running)", exception_names[vec]);
    case VEC_NM:
        current->arch.pv.flags &= ~(unsigned long)PVF_FPU_TS;
        clts();
        break;
    case VECTOR_LEGACY_INT80:
        local_irq_enable();
        guest_int80(regs);
        return;
    case VEC_UD:
        local_irq_enable();
        if (pv_emulate_invalid_op(regs))
            return;
        break;
    case VEC_GP:
        local_irq_enable();
        if (guest_software_interrupt(regs) || (!regs->error_code && pv_emulate_privileged_op(regs)))
            return;
        break;
    default:
        break;
    }
    local_irq_enable();
    pv_inject_exception(regs, vec, regs->error_code);
}

/* From entry.S, interrupts off. */
void do_exception(struct cpu_user_regs *regs)
{
    unsigned vec = regs->entry_vector & 0xff;

    if (likely(guest_mode(regs)))
        guest_exception(regs, vec);
    else
        hypervisor_exception(regs, vec);
}

/* Segments that could not be loaded; NMIs that wait for the guest to be ready for them. */
static bool deliver_async(struct vcpu *v, struct cpu_user_regs *regs)
{
    struct pv_vcpu *pv = &v->arch.pv;

    if (unlikely(pv->async & PVA_FAILSAFE)) {
        __atomic_fetch_and(&pv->async, ~(unsigned long)PVA_FAILSAFE, __ATOMIC_SEQ_CST);
        pv_bounce(regs, pv->failsafe_callback, 0,
                  BOUNCE_FAILSAFE | (pv->flags & PVF_FAILSAFE_MASKS_EVENTS ? BOUNCE_MASK : 0));
        return true;
    }
    if ((pv->async & (PVA_NMI_PENDING | PVA_NMI_MASKED)) == PVA_NMI_PENDING &&
        pv->trap_table[VEC_NMI].address) {
        __atomic_fetch_or(&pv->async, PVA_NMI_MASKED, __ATOMIC_SEQ_CST);
        __atomic_fetch_and(&pv->async, ~(unsigned long)PVA_NMI_PENDING, __ATOMIC_SEQ_CST);
        pv_inject_exception(regs, VEC_NMI, 0);
        return true;
    }
    return false;
}

/* May the guest be resumed by SYSRET, which takes rip and rflags from rcx and r11? */
static bool sysret_will_do(const struct cpu_user_regs *regs)
{
    return (regs->entry_vector & TRAP_SYSCALL) && regs->cs == FLAT_KERNEL_CS64 &&
           regs->ss == FLAT_KERNEL_SS64 && is_canonical(regs->rip) &&
           !(regs->rflags & (EFLAGS_RF | EFLAGS_TF | EFLAGS_VM));
}

/* pv_exit_work() when something is pending, or was a moment ago. */
static noinline bool exit_work(struct cpu_user_regs *regs)
{
    for (;;) {
        struct vcpu *v = current;

        local_irq_disable();
        if (unlikely(softirq_pending(smp_processor_id()))) {
            local_irq_enable();
            do_softirq();
            continue;
        }
        if (unlikely(v->arch.pv.async) && deliver_async(v, regs))
            continue;
        if (v->info->evtchn_upcall_pending && !v->info->evtchn_upcall_mask) {
            local_irq_enable();
            pv_bounce(regs, v->arch.pv.event_callback, 0, BOUNCE_MASK);
            continue;
        }
        if (unlikely(cpu_info()->flags & (CPU_SMAP_PAUSES | CPU_SMAP_JUST_LEFT)))
            pv_smap_resume();
        return sysret_will_do(regs);
    }
}

/*
 * The last thing before a guest runs: softirqs (which may switch to another vcpu and not return),
 * then whatever the guest is to be told.  Returns with interrupts off.
 */
bool pv_exit_work(struct cpu_user_regs *regs)
{
    const struct vcpu *v = current;

    local_irq_disable();
    if (unlikely(softirq_pending(smp_processor_id())) || unlikely(v->arch.pv.async) ||
        unlikely(cpu_info()->flags & (CPU_SMAP_PAUSES | CPU_SMAP_JUST_LEFT)) ||
        (v->info->evtchn_upcall_pending && !v->info->evtchn_upcall_mask))
        return exit_work(regs);
    return sysret_will_do(regs);
}

void pv_no_kernel_stack(struct cpu_user_regs *regs)
{
    struct vcpu *v = current;

    (void)regs;
    local_irq_enable();
    domain_crash(v->domain, "vcpu %u: no kernel stack at %#lx for a system call", v->vcpu_id,
                 v->arch.pv.kernel_sp);
}

/* SYSCALL by a guest whose kernel has not asked for it: as on a CPU with EFER.SCE clear. */
void pv_syscall_no_callback(struct cpu_user_regs *regs)
{
    local_irq_enable();
    regs->rip -= 2;
    pv_inject_exception(regs, VEC_UD, 0);
}

void pv_syscall32(struct cpu_user_regs *regs)
{
    struct pv_vcpu *pv = &current->arch.pv;

    if (is_32bit(current->domain)) {
        /* Whichever ring it was, it counts as the user: the CPU does not tell. */
        regs->cs = FLAT32_RING3_CS;
        regs->ss = FLAT32_RING3_DS;
        regs->entry_vector = 0;
    }
    if (guest_kernel(current, regs) || !pv->syscall32_callback) {
        pv_syscall_no_callback(regs);
        return;
    }
    pv_bounce(regs, pv->syscall32_callback, 0,
              pv->flags & PVF_SYSCALL32_MASKS_EVENTS ? BOUNCE_MASK : 0);
}

/* From 32-bit code of any guest: user code, as far as anybody can tell. */
void pv_sysenter(struct cpu_user_regs *regs)
{
    struct vcpu *v = current;
    struct pv_vcpu *pv = &v->arch.pv;

    local_irq_enable();
    if (is_32bit(v->domain)) {
        regs->cs = FLAT32_RING3_CS;
        regs->ss = FLAT32_RING3_DS;
    }
    if (guest_kernel(v, regs) || !pv->sysenter_callback)
        pv_inject_exception(regs, VEC_GP, 0);
    else
        pv_bounce(regs, pv->sysenter_callback, 0,
                  pv->flags & PVF_SYSENTER_MASKS_EVENTS ? BOUNCE_MASK : 0);
}

/*
 * IRET would not take the frame the guest asked for.  The fault is the guest's, at the place it
 * wanted to go to: that is what stock Xen makes of it, too.
 */
void pv_iret_failed(struct cpu_user_regs *regs)
{
    uint64_t fault = cpu_info()->scratch[1];

    local_irq_enable();
    regs->entry_vector = 0;
    pv_inject_exception(regs, fault & 0xff, fault >> 32);
}
