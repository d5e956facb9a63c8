// SPDX-License-Identifier: MIT
/*
 * Guest kernel and guest user: the iret hypercall in its general form (entry.S has the usual
 * case), the kernel stack, segment bases, the FPU's task-switched bit.
 */
#include "arch/x86/mm/mm.h"
#include "asm/layout.h"
#include "asm/msr.h"
#include "asm/regs.h"
#include "asm/trap.h"
#include "hypercall/guest_access.h"
#include "hypercall/handlers.h"
#include "lib/errno.h"
#include "pv.h"

/* The rest of an iret: what the frame's flags mean beyond rflags, and NMIs that waited. */
static void iret_done(struct vcpu *v, uint64_t flags)
{
    v->info->evtchn_upcall_mask = !(flags & EFLAGS_IF);
    if (likely(!v->arch.pv.async))
        return;
    if (v->arch.pv.async & PVA_IOPL)
        v->arch.pv.iopl = (flags & EFLAGS_IOPL) >> 12;
    __atomic_fetch_and(&v->arch.pv.async, ~(unsigned long)PVA_NMI_MASKED,
                       __ATOMIC_SEQ_CST); /* others set bits of it */
}

/*
 * iret of a 32-bit kernel: eax, eip, cs, eflags [, esp, ss if to another ring] are on its stack;
 * the last word of cs is where frames have the event mask.
 */
static long iret32(struct vcpu *v, struct cpu_user_regs *regs)
{
    uint32_t f[6];
    uint64_t addr;
    bool outer;

    if (!pv_stack_address(regs->ss, regs->rsp, 16, &addr) || copy_from_guest(f, addr, 16))
        goto bad_stack;
    if (f[3] & EFLAGS_VM) { /* there is no virtual-8086 mode under a 64-bit hypervisor */
        regs->rip -= 2;
        pv_inject_exception(regs, VEC_GP, 0);
        return regs->rax;
    }
    outer = (f[2] & 3) > (regs->cs & 3);
    if (outer) {
        if (!pv_stack_address(regs->ss, regs->rsp, 24, &addr) ||
            copy_from_guest(f + 4, addr + 16, 8))
            goto bad_stack;
        regs->rsp = f[4];
        regs->ss = pv_fixup_selector(v->domain, f[5]);
    } else
        regs->rsp = (uint32_t)regs->rsp + 16;
    regs->rip = f[1];
    regs->cs = pv_fixup_selector(v->domain, f[2]);
    regs->rflags = (f[3] & ~(EFLAGS_IOPL | EFLAGS_VM)) | EFLAGS_IF;
    iret_done(v, f[3]);
    return f[0];

bad_stack:
    domain_crash(v->domain, "vcpu %u: iret with a bad stack %#lx", v->vcpu_id,
                 (unsigned long)regs->rsp);
    return 0;
}

/* iret (xen-x86_64.h, struct iret_context): the frame is on the caller's stack. */
long do_iret(void)
{
    struct vcpu *v = current;
    struct cpu_user_regs *regs = guest_regs();
    struct iret_context f;

    if (is_32bit(v->domain))
        return iret32(v, regs);
    if (copy_from_guest(&f, regs->rsp, sizeof(f))) {
        domain_crash(v->domain, "vcpu %u: iret with a bad stack %#lx", v->vcpu_id,
                     (unsigned long)regs->rsp);
        return 0;
    }
    if ((f.cs & 3) == 3) {
        if (!v->arch.pv.user_cr3) {
            domain_crash(v->domain, "vcpu %u: iret to user mode without user page tables",
                         v->vcpu_id);
            return 0;
        }
        toggle_guest_mode(v);
    }
    regs->rip = f.rip;
    regs->cs = pv_fixup_selector(v->domain, f.cs);
    regs->rflags = (f.rflags & ~(EFLAGS_IOPL | EFLAGS_VM)) | EFLAGS_IF;
    regs->rsp = f.rsp;
    regs->ss = pv_fixup_selector(v->domain, f.ss);
    if (!(f.flags & VGCF_in_syscall)) {
        regs->entry_vector &= ~TRAP_SYSCALL;
        regs->r11 = f.r11;
        regs->rcx = f.rcx;
    }
    iret_done(v, f.rflags);
    return f.rax;
}

/* Not canonical, so that a frame cannot be written there: for stacks that must not be used. */
#define NO_STACK 0x8000000000000000UL

/*
 * Frames are written below sp without a further check (entry.S), so all of it must lie outside the
 * hypervisor.  A stack that does not is taken, as one that is not mapped would be, and ends the
 * guest when it is needed.
 */
void pv_set_kernel_stack(struct vcpu *v, unsigned long ss, unsigned long sp)
{
    v->arch.pv.kernel_ss = pv_fixup_selector(v->domain, ss);
    if (is_32bit(v->domain)) {
        v->arch.pv.kernel_sp = (uint32_t)sp;
        return;
    }
    if (!is_canonical(sp) || (sp - 128 < DIRECTMAP_VIRT_END && sp > M2P_RO_VIRT))
        sp = NO_STACK;
    v->arch.pv.kernel_sp = sp & ~15UL;
}

/* stack_switch: the stack on which guest user enters guest kernel. */
long do_stack_switch(unsigned long ss, unsigned long sp)
{
    pv_set_kernel_stack(current, ss, sp);
    return 0;
}

/* set_segment_base (xen-x86_64.h, SEGBASE_*) */
long do_set_segment_base(unsigned long which, unsigned long base)
{
    struct pv_vcpu *pv = &current->arch.pv;

    if (is_32bit(current->domain)) /* it has descriptors for that */
        return -ENOSYS;
    switch (which) {
    case SEGBASE_FS:
        if (!is_canonical(base))
            return -EINVAL;
        pv->fs_base = base;
        wrmsr(MSR_FS_BASE, base);
        return 0;
    case SEGBASE_GS_USER: /* the caller is the kernel: the user's is the shadow */
        if (!is_canonical(base))
            return -EINVAL;
        pv->gs_base_user = base;
        wrmsr(MSR_KERNEL_GS_BASE, base);
        return 0;
    case SEGBASE_GS_KERNEL:
        if (!is_canonical(base))
            return -EINVAL;
        pv->gs_base_kernel = base;
        wrmsr(MSR_GS_BASE, base);
        return 0;
    case SEGBASE_GS_USER_SEL:
        /* Loads the selector as the user would find it: in the user's half of SWAPGS. */
        __asm__ volatile("swapgs\n\t"
                         "1: mov %k0, %%gs\n\t"
                         "2: mfence; swapgs\n\t"
                         ".pushsection .fixup, \"ax\"\n\t"
                         "3: xor %k0, %k0\n\t"
                         "   jmp 1b\n\t"
                         ".popsection\n\t" _ASM_EXTABLE(1b, 3b)
                         : "+r"(base)
                         :
                         : "memory", "cc");
        return 0;
    default:
        return -EINVAL;
    }
}

/* fpu_taskswitch: CR0.TS of the guest. */
long do_fpu_taskswitch(unsigned long set)
{
    struct pv_vcpu *pv = &current->arch.pv;

    if (set) {
        pv->flags |= PVF_FPU_TS;
        write_cr0(read_cr0() | CR0_TS);
    } else {
        pv->flags &= ~(unsigned long)PVF_FPU_TS;
        clts();
    }
    return 0;
}
