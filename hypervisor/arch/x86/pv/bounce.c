// SPDX-License-Identifier: MIT
/*
 * Bounce frames: how a PV guest's kernel is told of an exception, an event or a failed return.
 *
 * The frame, from the new stack pointer up: rcx, r11, [ds, es, fs, gs for the failsafe callback,]
 * [error code,] rip, cs with the saved event mask in bits 32..39, rflags with IF standing for
 * "events were enabled", rsp, ss (trap_info in xen.h; the entry points expect to pop rcx and r11).
 * From guest kernel mode it goes on the current stack, and cs is shown with RPL 0; from guest
 * user mode on the stack of stack_switch.
 */
#include "arch/x86/mm/mm.h"
#include "asm/layout.h"
#include "hypercall/guest_access.h"
#include "pv.h"

#define X86_FLAGS_TO_HANDLER_CLEAR 0x74500 /* AC, VM, RF, NT, DF... as an interrupt gate would */
#define X86_EFLAGS_TF              0x100
#define X86_EFLAGS_IF              0x200
#define X86_EFLAGS_DF              0x400
#define X86_EFLAGS_IOPL            0x3000
#define TRAP_SYSCALL               0x100

static unsigned put_selectors(uint64_t *frame)
{
    uint16_t ds, es, fs, gs;

    __asm__("mov %%ds, %0" : "=rm"(ds));
    __asm__("mov %%es, %0" : "=rm"(es));
    __asm__("mov %%fs, %0" : "=rm"(fs));
    __asm__("mov %%gs, %0" : "=rm"(gs));
    frame[0] = ds;
    frame[1] = es;
    frame[2] = fs;
    frame[3] = gs;
    return 4;
}

bool pv_bounce(struct cpu_user_regs *regs, unsigned long handler, uint32_t error, unsigned flags)
{
    struct vcpu *v = current;
    struct pv_vcpu *pv = &v->arch.pv;
    uint64_t frame[16], sp;
    uint8_t mask = READ_ONCE(v->info->evtchn_upcall_mask);
    uint16_t cs = regs->cs;
    unsigned n = 0;

    if (unlikely(!handler)) {
        domain_crash(v->domain, "vcpu %u has no handler for what it was to be told", v->vcpu_id);
        return false;
    }
    if (in_kernel_mode(v)) {
        sp = regs->rsp;
        cs &= ~3;
    } else {
        sp = pv->kernel_sp;
        toggle_guest_mode(v);
    }
    frame[n++] = regs->rcx;
    frame[n++] = regs->r11;
    if (flags & BOUNCE_FAILSAFE)
        n += put_selectors(&frame[n]);
    if (flags & BOUNCE_ERROR_CODE)
        frame[n++] = error;
    frame[n++] = regs->rip;
    frame[n++] = cs | (uint64_t)mask << 32;
    frame[n++] =
        (regs->rflags & ~(uint64_t)(X86_EFLAGS_IF | X86_EFLAGS_IOPL)) | (mask ? 0 : X86_EFLAGS_IF);
    if (unlikely(v->domain->vm_assist & BIT(VMASST_TYPE_architectural_iopl)))
        frame[n - 1] |= (uint64_t)pv->iopl << 12;
    frame[n++] = regs->rsp;
    frame[n++] = regs->ss;

    sp = (sp & ~15UL) - n * 8;
    if (unlikely(raw_copy_to_guest(sp, frame, n * 8))) {
        domain_crash(v->domain, "vcpu %u: no kernel stack at %#lx", v->vcpu_id, (unsigned long)sp);
        return false;
    }
    if (flags & BOUNCE_MASK)
        v->info->evtchn_upcall_mask = 1;

    regs->entry_vector |= TRAP_SYSCALL; /* rcx and r11 are in the frame */
    regs->rip = handler;
    regs->cs = 0xe033;
    regs->ss = 0xe02b;
    regs->rsp = sp;
    regs->rflags &= ~(uint64_t)(X86_FLAGS_TO_HANDLER_CLEAR | X86_EFLAGS_TF | X86_EFLAGS_DF);
    regs->rflags |= X86_EFLAGS_IF;
    return true;
}

static void bounce_trap(struct cpu_user_regs *regs, unsigned vec, uint32_t error, bool has_error)
{
    const struct trap_info *t = &current->arch.pv.trap_table[vec];

    if (unlikely(!t->address)) {
        domain_crash(current->domain, "vcpu %u: exception %u (error %#x), and no handler",
                     current->vcpu_id, vec, error);
        return;
    }
    /* t->cs is not honoured: all handlers of a 64-bit kernel run on its flat code segment. */
    pv_bounce(regs, t->address, error,
              (has_error ? BOUNCE_ERROR_CODE : 0) | (TI_GET_IF(t) ? BOUNCE_MASK : 0));
}

#define VECTORS_WITH_ERROR_CODE 0x60227d00u /* 8, 10..14, 17, 21, 29, 30 */

void pv_inject_exception(struct cpu_user_regs *regs, unsigned vec, uint32_t error)
{
    bounce_trap(regs, vec, error, VECTORS_WITH_ERROR_CODE & (1u << vec));
}

void pv_inject_interrupt(struct cpu_user_regs *regs, unsigned vec)
{
    bounce_trap(regs, vec, 0, false);
}

void pv_inject_page_fault(struct cpu_user_regs *regs, unsigned long addr, uint32_t error)
{
    struct vcpu *v = current;

    v->arch.pv.ctrlreg[2] = addr;
    v->info->arch.cr2 = addr;
    /* PFEC_user tells guest user from guest kernel, which share a ring. */
    if (in_kernel_mode(v))
        error &= ~4u;
    bounce_trap(regs, 14, error, true);
}
