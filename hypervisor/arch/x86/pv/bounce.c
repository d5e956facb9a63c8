// SPDX-License-Identifier: MIT
/*
 * Bounce frames: how a PV guest's kernel is told of an exception, an event or a failed return.
 *
 * The frame, from the new stack pointer up: rcx, r11, [ds, es, fs, gs for the failsafe callback,]
 * [error code,] rip, cs with the saved event mask in bits 32..39, rflags with IF standing for
 * "events were enabled", rsp, ss (trap_info in xen.h; the entry points expect to pop rcx and r11).
 * From guest kernel mode it goes on the current stack, and cs is shown with RPL 0; from guest
 * user mode on the stack of stack_switch.
 *
 * A 32-bit kernel gets what a 32-bit CPU would push (xen-x86_32.h): [ds, es, fs, gs,] [error code,]
 * eip, cs with the event mask in bits 16..23, eflags, and, if the stack was switched, esp and ss.
 */
#include "arch/x86/mm/mm.h"
#include "asm/layout.h"
#include "asm/regs.h"
#include "asm/trap.h"
#include "hypercall/guest_access.h"
#include "pv.h"

/* As an interrupt gate would, and DF. */
#define EFLAGS_HANDLER_CLEAR (EFLAGS_AC | EFLAGS_VM | EFLAGS_RF | EFLAGS_NT | EFLAGS_DF | EFLAGS_TF)
#define VCPU_INFO_CR2_32     8 /* offset of arch.cr2 in a 32-bit guest's vcpu_info */

/* rflags as the frame has it: IF stands for events, IOPL for the guest's virtual one. */
static uint64_t shown_flags(const struct vcpu *v, const struct cpu_user_regs *regs, uint8_t mask)
{
    uint64_t flags = regs->rflags & ~(EFLAGS_IF | EFLAGS_IOPL);

    if (unlikely(v->domain->vm_assist & BIT(VMASST_TYPE_architectural_iopl)))
        flags |= (uint64_t)v->arch.pv.iopl << 12;
    return mask ? flags : flags | EFLAGS_IF;
}

static void set_handler_flags(struct cpu_user_regs *regs)
{
    regs->rflags &= ~EFLAGS_HANDLER_CLEAR;
    regs->rflags |= EFLAGS_IF;
}

static bool no_stack(struct vcpu *v, unsigned long sp)
{
    domain_crash(v->domain, "vcpu %u: no kernel stack at %#lx", v->vcpu_id, sp);
    return false;
}

static bool bounce32(struct cpu_user_regs *regs, unsigned long handler, uint32_t error,
                     unsigned flags)
{
    struct vcpu *v = current;
    struct pv_vcpu *pv = &v->arch.pv;
    uint8_t mask = READ_ONCE(v->info->evtchn_upcall_mask);
    bool switched = regs->cs & 2; /* from ring 3, or ring 2 */
    uint16_t ss = switched ? pv->kernel_ss : regs->ss;
    uint32_t frame[10], sp = switched ? pv->kernel_sp : regs->rsp;
    unsigned n = 0;
    uint64_t addr;

    if (flags & BOUNCE_FAILSAFE)
        for (unsigned i = 0; i < 4; i++)
            frame[n++] = pv->failed_selectors[i];
    if (flags & BOUNCE_ERROR_CODE)
        frame[n++] = error;
    frame[n++] = regs->rip;
    frame[n++] = regs->cs | (uint32_t)mask << 16;
    frame[n++] = shown_flags(v, regs, mask);
    if (switched) {
        frame[n++] = regs->rsp;
        frame[n++] = regs->ss;
    }
    sp -= n * 4;
    if (unlikely(!pv_stack_address(ss, sp, n * 4, &addr) || raw_copy_to_guest(addr, frame, n * 4)))
        return no_stack(v, sp);
    if (flags & BOUNCE_MASK)
        v->info->evtchn_upcall_mask = 1;

    regs->entry_vector &= ~TRAP_SYSCALL; /* its SYSRET is none of 32-bit code's */
    regs->rip = (uint32_t)handler;
    regs->cs = handler >> 32;
    regs->ss = ss;
    regs->rsp = sp;
    set_handler_flags(regs);
    return true;
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
    if (unlikely(is_32bit(v->domain)))
        return bounce32(regs, handler, error, flags);
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
        for (unsigned i = 0; i < 4; i++)
            frame[n++] = pv->failed_selectors[i];
    if (flags & BOUNCE_ERROR_CODE)
        frame[n++] = error;
    frame[n++] = regs->rip;
    frame[n++] = cs | (uint64_t)mask << 32;
    frame[n++] = shown_flags(v, regs, mask);
    frame[n++] = regs->rsp;
    frame[n++] = regs->ss;

    sp = (sp & ~15UL) - n * 8;
    if (unlikely(raw_copy_to_guest(sp, frame, n * 8)))
        return no_stack(v, sp);
    if (flags & BOUNCE_MASK)
        v->info->evtchn_upcall_mask = 1;

    regs->entry_vector |= TRAP_SYSCALL; /* rcx and r11 are in the frame */
    regs->rip = handler;
    regs->cs = FLAT_KERNEL_CS64;
    regs->ss = FLAT_KERNEL_SS64;
    regs->rsp = sp;
    set_handler_flags(regs);
    return true;
}

static void bounce_trap(struct cpu_user_regs *regs, unsigned vec, uint32_t error, bool has_error)
{
    const struct trap_info *t = &current->arch.pv.trap_table[vec];
    unsigned long handler = t->address;

    if (unlikely(!handler)) {
        domain_crash(current->domain, "vcpu %u: exception %u (error %#x), and no handler",
                     current->vcpu_id, vec, error);
        return;
    }
    /* All handlers of a 64-bit kernel run on its flat code segment. */
    if (is_32bit(current->domain))
        handler = far_pointer(t->cs, handler);
    pv_bounce(regs, handler, error,
              (has_error ? BOUNCE_ERROR_CODE : 0) | (TI_GET_IF(t) ? BOUNCE_MASK : 0));
}

void pv_inject_exception(struct cpu_user_regs *regs, unsigned vec, uint32_t error)
{
    bounce_trap(regs, vec, error, VECTORS_WITH_ERROR & (1u << vec));
}

void pv_inject_interrupt(struct cpu_user_regs *regs, unsigned vec)
{
    bounce_trap(regs, vec, 0, false);
}

void pv_set_cr2(struct vcpu *v, unsigned long addr)
{
    v->arch.pv.ctrlreg[2] = addr;
    if (unlikely(is_32bit(v->domain)))
        *(uint32_t *)((char *)v->info + VCPU_INFO_CR2_32) = addr;
    else
        v->info->arch.cr2 = addr;
}

void pv_inject_page_fault(struct cpu_user_regs *regs, unsigned long addr, uint32_t error)
{
    struct vcpu *v = current;

    pv_set_cr2(v, addr);
    /* PFEC_USER tells guest user from guest kernel, which share a ring if they are 64-bit. */
    if (guest_kernel(v, regs))
        error &= ~PFEC_USER;
    bounce_trap(regs, 14, error, true);
}
