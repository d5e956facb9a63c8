// SPDX-License-Identifier: MIT
/*
 * PV guests on x86: what the files of this room, and the rest of arch/x86, call.
 *
 * A 64-bit PV guest runs wholly in ring 3, kernel and user with an address space (L4 root) each.
 * The hypervisor flips between the two (PVF_KERNEL_MODE in pv.flags) at system calls, exceptions,
 * events and the iret hypercall.  GS has two bases in the same way, exchanged by SWAPGS.
 *
 * A 32-bit PV guest (PAE) has its kernel in ring 1 and one address space, so the CPU itself tells
 * kernel from user and goes from one to the other: PVF_KERNEL_MODE stays set.  Where its kernel
 * wants to be entered has a code selector; both are kept in one word (far_pointer()).
 */
#pragma once
#include "arch/x86/emulate/emulate.h"
#include "asm/regs.h"
#include "arch/x86/guest.h"
#include "domain/domain.h"

/* --- bounce.c: frames on the guest kernel's stack --- */
#define BOUNCE_ERROR_CODE 0x1 /* the frame has one */
#define BOUNCE_MASK       0x2 /* event delivery is masked while the handler runs */
#define BOUNCE_FAILSAFE   0x4 /* the frame has the four data selectors */
/*
 * Makes v (current) continue at `handler` in guest kernel mode; for a 32-bit guest that is a
 * far_pointer().  False: it was crashed.
 */
bool pv_bounce(struct cpu_user_regs *regs, unsigned long handler, uint32_t error, unsigned flags);
/* Delivers exception vec by the guest's trap table; not page faults, which have a CR2. */
void pv_inject_exception(struct cpu_user_regs *regs, unsigned vec, uint32_t error);
void pv_inject_page_fault(struct cpu_user_regs *regs, unsigned long addr, uint32_t error);
void pv_inject_interrupt(struct cpu_user_regs *regs, unsigned vec); /* `int n` */
/* What v's kernel finds as CR2. */
void pv_set_cr2(struct vcpu *v, unsigned long addr);

/* --- descriptors.c --- */
int pv_perdomain_create(struct domain *d);
int pv_perdomain_vcpu(struct vcpu *v);
void pv_perdomain_free(struct domain *d);
void pv_set_ldt(struct vcpu *v, unsigned long base, unsigned ents);
void pv_drop_gdt(struct vcpu *v);
bool pv_drop_ldt(struct vcpu *v); /* unmaps what was touched; true if anything was */
int pv_load_gdt(struct vcpu *v, const unsigned long *frames, unsigned ents);
bool pv_check_descriptor(const struct domain *d, uint64_t *desc);
void pv_descriptors_cpu_init(void);
/* Frame behind an address of our own (image, direct map, ...), by our own tables. */
mfn_t hyp_va_to_mfn(unsigned long va);
/* The LDT page that the fault at addr (in the per-domain area) asks for; true: mapped, retry. */
bool pv_map_ldt_page(struct vcpu *v, unsigned long offset, struct cpu_user_regs *regs);
void pv_load_descriptor_tables(struct vcpu *v); /* context switch */
/* The descriptor of a selector in current's tables; false: there is none. */
bool pv_read_descriptor(uint16_t sel, uint64_t *desc);
/* A selector for a guest's CS or SS: never ring 0, and ring 3 for all of a 64-bit guest. */
static inline uint16_t pv_fixup_selector(const struct domain *d, uint16_t sel)
{
    if (is_32bit(d))
        return sel & 3 ? sel : sel | 1;
    return sel | 3;
}

/* --- cpuid.c --- */
void pv_cpuid(const struct vcpu *v, uint32_t leaf, uint32_t subleaf, struct emul_cpuid *res);

/* --- callback.c --- */
bool pv_callback_ok(unsigned long addr); /* canonical, outside the hypervisor */
void pv_vm_assist_changed(struct domain *d);
void pv_send_nmi(struct vcpu *v); /* struct guest_kind's */

/* --- privop.c --- */
/* #GP in guest code: emulates what a PV guest is allowed.  True: done (or another fault raised). */
bool pv_emulate_privileged_op(struct cpu_user_regs *regs);
/* #UD: the forced-emulation prefix.  True: done. */
bool pv_emulate_invalid_op(struct cpu_user_regs *regs);

/* --- hypercall_page.c --- */
void pv_write_hypercall_page(const struct domain *d, void *page); /* struct guest_kind's */

/* --- debugreg.c --- */
long pv_set_debugreg(struct vcpu *v, unsigned reg, unsigned long value);
void pv_load_debugregs(const struct vcpu *v);
/* Has v (current) a breakpoint on one of these ports?  DR6 then says so; #DB is the caller's. */
bool pv_check_port_breakpoints(struct vcpu *v, unsigned port, unsigned bytes);

/* --- context.c --- */
/* The table that CR3 names, and the other way round: each width has a format of its own. */
mfn_t pv_cr3_to_mfn(const struct domain *d, unsigned long cr3);
unsigned long pv_root_to_cr3(const struct vcpu *v); /* of v's kernel; 0: it has none */
void pv_get_context(struct vcpu *v, struct vcpu_guest_context *c);
int pv_set_context(struct vcpu *v, const struct vcpu_guest_context *c);

/* --- switch.c: struct guest_kind's; and CR4 --- */
void pv_save(struct vcpu *v);
void pv_load(struct vcpu *v);
void pv_publish(struct vcpu *v);
/* What of a CR4 the guest can have (XSA-293: what it does not have, its users have not either). */
unsigned long pv_valid_cr4(const struct domain *d, unsigned long cr4);
void pv_load_cr4(const struct vcpu *v); /* of current */

/* --- syscall.c --- */
/* SYSCALL of the CPU that calls: its stub and MSRs.  After its stack is known. */
void pv_cpu_init(unsigned cpu);

/* The dom0 builder: dom0_build.c. */
struct boot_module;
void dom0_construct(const struct boot_module *kernel, const struct boot_module *initrd,
                    const char *cmdline);

/* --- mode.c --- */
/* The stack of stack_switch; one that could reach the hypervisor ends the guest when it is used. */
void pv_set_kernel_stack(struct vcpu *v, unsigned long ss, unsigned long sp);

/* --- smap.c --- */
/* The fault is an emulator's misreading of SMAP: the guest may try again.  Interrupts off. */
bool pv_smap_fault(unsigned long addr, uint32_t error);
/* On the way to a guest with cpu_info()->flags set. */
void pv_smap_resume(void);

/* --- segment.c: all for current --- */
/* What the emulator wants to know of the running code: width and level.  Segments by the second. */
void pv_emul_init(struct emul_ctxt *ctxt, struct cpu_user_regs *regs, const struct emul_ops *ops);
int pv_emul_segment(struct emul_ctxt *ctxt, enum emul_seg seg, struct emul_segment *res);
uint16_t pv_live_selector(const struct cpu_user_regs *regs, unsigned seg);
/* Linear address of the instruction that the guest is at; false: its code segment is no more. */
bool pv_code_address(const struct cpu_user_regs *regs, uint64_t *linear);
/* ... of `bytes` bytes at ss:sp of a 32-bit guest; false: not all within the segment. */
bool pv_stack_address(uint16_t ss, uint32_t sp, unsigned bytes, uint64_t *linear);

/* --- from entry.S --- */
void do_exception(struct cpu_user_regs *regs);
bool pv_exit_work(struct cpu_user_regs *regs);
void pv_no_kernel_stack(struct cpu_user_regs *regs);
void pv_syscall_no_callback(struct cpu_user_regs *regs);
void pv_syscall32(struct cpu_user_regs *regs);
void pv_sysenter(struct cpu_user_regs *regs);
void pv_iret_failed(struct cpu_user_regs *regs);
void ret_to_guest(void) __noreturn;
void reset_stack_and_return(void) __noreturn;
void lstar_enter(void);
void cstar_enter(void);
void sysenter_enter(void);

extern const struct guest_kind pv_kind;

static inline bool is_pv(const struct domain *d)
{
    return d->arch.kind == &pv_kind;
}

static inline bool guest_mode(const struct cpu_user_regs *regs)
{
    return regs->cs & 3;
}

/* v's kernel's address space is the one in use: always so for a 32-bit guest. */
static inline bool in_kernel_mode(const struct vcpu *v)
{
    return v->arch.pv.flags & PVF_KERNEL_MODE;
}

/* regs are those of v's kernel, not of its user. */
static inline bool guest_kernel(const struct vcpu *v, const struct cpu_user_regs *regs)
{
    return is_32bit(v->domain) ? (regs->cs & 3) == 1 : in_kernel_mode(v);
}

static inline unsigned long far_pointer(uint16_t cs, uint32_t eip)
{
    return (unsigned long)cs << 32 | eip;
}

/* Where a 32-bit guest's kernel wants to be entered; 0 is nowhere. */
static inline unsigned long kernel_entry32(const struct domain *d, uint16_t cs, uint32_t eip)
{
    return eip ? far_pointer(pv_fixup_selector(d, cs), eip) : 0;
}

/* PV guests' tables have four levels, as our own. */
static inline bool is_canonical(unsigned long addr)
{
    return canonical(addr, 48);
}
