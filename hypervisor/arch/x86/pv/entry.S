// SPDX-License-Identifier: MIT
/*
 * Into the hypervisor and back out.
 *
 * Every entry from a guest leaves its registers in cpu_info()->guest_regs at the top of this
 * CPU's stack: the CPU (or the code below, for SYSCALL) pushes the upper part, SAVE_ALL the rest.
 * Every way back goes through ret_to_guest, but for the five paths that matter most and never
 * enter C: a system call (SYSCALL by guest user -> guest kernel's callback), a page fault of guest
 * user (-> guest kernel's handler), the iret hypercall (guest kernel -> guest user), and the
 * hypercalls stack_switch and set_segment_base.  They bail out, before they have changed anything,
 * to the general path as soon as something is not as usual.
 *
 * NMI, #MC, #DF and #DB have stacks of their own (IST), at the bottom of the same aligned stack,
 * so that they may interrupt any instruction here, the first of SYSCALL entry included; GS is
 * the guest's throughout.
 */
#include <asm/cpu.h>
#include <asm/irq_vectors.h>
#include <asm/layout.h>
#include <asm/regs.h>
#include <asm/trap.h>
#include "asm-offsets.h"

#define TRAP_SYSENTER     0x34
#define X86_EFLAGS_IF_BIT 9
/* Hypercall numbers (xen.h). */
#define IRET_NR             23
#define STACK_SWITCH_NR     3
#define SET_SEGMENT_BASE_NR 25

        .text

/* Filled with STAC and CLAC at boot on CPUs that have SMAP (guest_access.c). */
        .macro SMAP_SITE kind
771:    .byte 0x0f, 0x1f, 0x00
        .pushsection .patch_sites, "a"
        .balign 4
        .long 771b - ., \kind
        .popsection
        .endm
#define STAC SMAP_SITE 0
#define CLAC SMAP_SITE 1

/*
 * The gate into C from a guest: where the guest could have filled the CPU's return stack with
 * addresses of its own (no SMEP), fills it with harmless ones.  Clobbers rax.
 */
        .macro FILL_RETURN_STACK
        mov %rsp, %rax
        .rept 32
        call 774f
        int3
774:
        .endr
        mov %rax, %rsp
        .endm

        .macro ENTER_C
772:    .byte 0xe9 /* jmp 773f, five bytes in any case */
        .long 773f - . - 4
        .pushsection .patch_sites, "a"
        .balign 4
        .long 772b - ., 2
        .popsection
        FILL_RETURN_STACK
773:
        .endm

/* The same, with ring 1 as a possible origin: it runs without SMEP wherever it runs. */
        .macro ENTER_C_RING1
        testb $CPU_RUNS_RING1, CPUINFO_flags(%rsp)
        jnz 775f
        ENTER_C
        jmp 776f
775:    FILL_RETURN_STACK
776:
        .endm

        .macro EXTABLE from, to
        .pushsection .ex_table, "a"
        .balign 4
        .long \from - .
        .long \to - .
        .popsection
        .endm

        .macro FUNC name
        .globl \name
        .hidden \name
        .type \name, @function
        .balign 16
\name:
        .endm

        .macro SAVE_ALL
        push %rdi
        push %rsi
        push %rdx
        push %rcx
        push %rax
        push %r8
        push %r9
        push %r10
        push %r11
        push %rbx
        push %rbp
        push %r12
        push %r13
        push %r14
        push %r15
        cld
        .endm

        .macro RESTORE_ALL
        pop %r15
        pop %r14
        pop %r13
        pop %r12
        pop %rbp
        pop %rbx
        pop %r11
        pop %r10
        pop %r9
        pop %r8
        pop %rax
        pop %rcx
        pop %rdx
        pop %rsi
        pop %rdi
        .endm

/*
 * In the paths without C, rsp is at the start of guest_regs, of which only the upper part has been
 * filled: a fault must not overwrite what has been put into the lower part.
 */
        .macro SAVE_REST
        mov CPUINFO_scratch(%rsp), %rax
        add $REGS_error_code, %rsp
        SAVE_ALL
        .endm

/*
 * SYSCALL.  The CPU's stub (pv_cpu_init) has put the guest's rax into scratch[0], the guest's rsp
 * into rax, and rsp at guest_regs.es.  rcx: guest rip; r11: guest rflags; interrupts off.
 */
FUNC lstar_enter
        push $GUEST_SS
        push %rax
        push %r11
        push $GUEST_CS64
        push %rcx
        sub $REGS_rip, %rsp
        movl $TRAP_SYSCALL, REGS_entry_vector(%rsp)
        mov CPUINFO_current(%rsp), %rax
        testb $PVF_KERNEL_MODE, VCPU_flags(%rax)
        jnz from_guest_kernel

        /* System call: a frame on the guest kernel's stack, then its callback. */
        cmpq $0, VCPU_syscall_callback(%rax)
        je syscall_slow
        mov %rdi, REGS_rdi(%rsp)
        mov %rdx, REGS_rdx(%rsp)
        mov VCPU_kernel_cr3(%rax), %rdx
        mov VCPU_kernel_sp(%rax), %rdi
        mov %rdx, %cr3
        swapgs
        orb $PVF_KERNEL_MODE, VCPU_flags(%rax)
        mov VCPU_info(%rax), %rdx
        and $~EFLAGS_IOPL, %r11d
        STAC
.Lsc1:  mov %rcx, -56(%rdi)
.Lsc2:  mov %r11, -48(%rdi)
.Lsc3:  mov %rcx, -40(%rdi)
        movzbl VCPUINFO_mask(%rdx), %ecx
        shl $32, %rcx
        jz 1f
        btr $X86_EFLAGS_IF_BIT, %r11
1:      or $GUEST_CS64, %rcx
.Lsc4:  mov %rcx, -32(%rdi)
.Lsc5:  mov %r11, -24(%rdi)
        mov REGS_rsp(%rsp), %rcx
.Lsc6:  mov %rcx, -16(%rdi)
.Lsc7:  movq $GUEST_SS, -8(%rdi)
        CLAC
        testb $PVF_SYSCALL_MASKS_EVENTS, VCPU_flags(%rax)
        jz 1f
        movb $1, VCPUINFO_mask(%rdx)
1:      mov VCPU_syscall_callback(%rax), %rcx
        sub $56, %rdi
        mov $(EFLAGS_IF | EFLAGS_MBS), %r11d
        mov %rdi, REGS_rsp(%rsp)
        mov REGS_rdi(%rsp), %rdi
        mov REGS_rdx(%rsp), %rdx
        mov CPUINFO_scratch(%rsp), %rax
        mov REGS_rsp(%rsp), %rsp
        sysretq

        EXTABLE .Lsc1, syscall_no_stack
        EXTABLE .Lsc2, syscall_no_stack
        EXTABLE .Lsc3, syscall_no_stack
        EXTABLE .Lsc4, syscall_no_stack
        EXTABLE .Lsc5, syscall_no_stack
        EXTABLE .Lsc6, syscall_no_stack
        EXTABLE .Lsc7, syscall_no_stack

syscall_no_stack: /* the guest kernel has no stack where it said: ends it */
        mov REGS_rdi(%rsp), %rdi
        mov REGS_rdx(%rsp), %rdx
        SAVE_REST
        CLAC
        ENTER_C
        mov %rsp, %rdi
        call pv_no_kernel_stack
        jmp ret_to_guest

syscall_slow:
        SAVE_REST
        ENTER_C
        mov %rsp, %rdi
        call pv_syscall_no_callback
        jmp ret_to_guest

from_guest_kernel:
        cmpl $IRET_NR, CPUINFO_scratch(%rsp)
        je iret_fast
        cmpl $STACK_SWITCH_NR, CPUINFO_scratch(%rsp)
        je stack_switch_fast
        cmpl $SET_SEGMENT_BASE_NR, CPUINFO_scratch(%rsp)
        je segment_base_fast
hypercall_general:
        SAVE_REST
        ENTER_C
        sti
        mov %rsp, %rdi
        call hypercall_dispatch
        jmp ret_to_guest

/*
 * The hypercalls of a guest's context switch that only set registers; mode.c has their general
 * form.  They return by SYSRET, so the caller must not be at the end of the lower half of the
 * address space, where SYSRET would fault in ring 0: only callers above the hypervisor come here.
 */
        .macro ONLY_HIGH_CALLERS
        movabs $0xffff880000000080, %r11 /* HYPERVISOR_VIRT_END, and room for a frame */
        cmp %r11, %rcx
        jb hypercall_general
        .endm

stack_switch_fast: /* rdi: ss, rsi: sp */
        ONLY_HIGH_CALLERS
        cmp %r11, %rsi
        jb hypercall_general
        mov %rsi, %rcx
        and $~15, %rcx
        mov %rcx, VCPU_kernel_sp(%rax)
        movzwl %di, %ecx
        or $3, %ecx
        mov %rcx, VCPU_kernel_ss(%rax)
        jmp return_zero

segment_base_fast: /* rdi: which, rsi: base or selector */
        ONLY_HIGH_CALLERS
        cmp $3, %rdi /* SEGBASE_GS_USER_SEL */
        je 1f
        test %rdi, %rdi /* SEGBASE_FS */
        jnz hypercall_general
        mov %rsi, %rcx
        shr $47, %rcx
        jnz hypercall_general
        mov %rsi, VCPU_fs_base(%rax)
        mov %rdx, REGS_rdx(%rsp)
        mov %esi, %eax
        mov %rsi, %rdx
        shr $32, %rdx
        mov $0xc0000100, %ecx /* MSR_FS_BASE */
        wrmsr
        mov REGS_rdx(%rsp), %rdx
        jmp return_zero
1:      cmp $3, %rsi /* a null selector cannot fault */
        ja hypercall_general
        swapgs
        mov %esi, %gs
        swapgs
return_zero:
        xor %eax, %eax
        mov REGS_rip(%rsp), %rcx
        mov REGS_rflags(%rsp), %r11
        mov REGS_rsp(%rsp), %rsp
        sysretq

/*
 * HYPERVISOR_iret to guest user (struct iret_context of xen-x86_64.h at the guest's rsp).
 * Reads all of it once, then commits.
 */
iret_fast:
        cmpq $0, VCPU_async(%rax)
        jne hypercall_general
        mov %rdi, REGS_rdi(%rsp)
        mov %rsi, REGS_rsi(%rsp)
        mov %rdx, REGS_rdx(%rsp)
        mov REGS_rsp(%rsp), %rdi
        movabs $0xffff880000000000, %rdx /* HYPERVISOR_VIRT_END */
        cmp %rdx, %rdi
        jb iret_slow
        cmp $-128, %rdi
        ja iret_slow
        mov VCPU_info(%rax), %rdx
        STAC
.Lir1:  movzwl 40(%rdi), %ecx /* cs */
        mov %ecx, %r11d
        not %r11d
        test $3, %r11d
        jnz iret_slow_clac /* not to user */
.Lir2:  movzwl 64(%rdi), %esi /* ss */
        or $3, %esi
        mov %ecx, CPUINFO_scratch + 8(%rsp)
        mov %esi, CPUINFO_scratch + 12(%rsp)
.Lir3:  mov 48(%rdi), %r11 /* rflags */
        bt $X86_EFLAGS_IF_BIT, %r11
        jnc iret_slow_clac
.Lir4:  mov 0(%rdi), %rcx /* rax */
        mov %rcx, REGS_rax(%rsp)
.Lir5:  mov 8(%rdi), %rcx /* r11 */
        mov %rcx, REGS_r11(%rsp)
.Lir6:  mov 16(%rdi), %rcx /* rcx */
        mov %rcx, REGS_rcx(%rsp)
.Lir7:  mov 32(%rdi), %rcx /* rip */
.Lir8:  mov 56(%rdi), %rsi /* rsp */
        CLAC
        cmpb $0, VCPUINFO_pending(%rdx)
        jne iret_slow
        mov VCPU_user_cr3(%rax), %rdi
        test %rdi, %rdi
        jz iret_slow
        /* Commit. */
        movb $0, VCPUINFO_mask(%rdx)
        mov %rdi, %cr3
        swapgs
        andb $~PVF_KERNEL_MODE, VCPU_flags(%rax)
        and $~(EFLAGS_VM | EFLAGS_IOPL), %r11d
        mov %rcx, REGS_rip(%rsp)
        mov %r11, REGS_rflags(%rsp)
        mov %rsi, REGS_rsp(%rsp)
        mov CPUINFO_scratch + 8(%rsp), %ecx
        mov CPUINFO_scratch + 12(%rsp), %esi
        mov %ecx, REGS_cs(%rsp)
        mov %esi, REGS_ss(%rsp)
        mov REGS_rdi(%rsp), %rdi
        mov REGS_rsi(%rsp), %rsi
        mov REGS_rdx(%rsp), %rdx
        mov REGS_rcx(%rsp), %rcx
        mov REGS_r11(%rsp), %r11
        mov REGS_rax(%rsp), %rax
        add $REGS_rip, %rsp
.Lir9:  iretq

        EXTABLE .Lir1, iret_slow_clac
        EXTABLE .Lir2, iret_slow_clac
        EXTABLE .Lir3, iret_slow_clac
        EXTABLE .Lir4, iret_slow_clac
        EXTABLE .Lir5, iret_slow_clac
        EXTABLE .Lir6, iret_slow_clac
        EXTABLE .Lir7, iret_slow_clac
        EXTABLE .Lir8, iret_slow_clac
        EXTABLE .Lir9, iret_failed

iret_slow_clac:
        CLAC
iret_slow:
        mov REGS_rdi(%rsp), %rdi
        mov REGS_rsi(%rsp), %rsi
        mov REGS_rdx(%rsp), %rdx
        jmp hypercall_general

/*
 * Page fault.  Most are a guest user's, and its kernel's business: told without entering C.
 */
        .balign 16
stub_14:
        testb $3, 16(%rsp) /* cs */
        jz pf_general
        testb $PFEC_RSVD, (%rsp)
        jnz pf_general
        sub $REGS_error_code, %rsp
        mov %rax, REGS_rax(%rsp)
        mov %rcx, REGS_rcx(%rsp)
        mov %rdx, REGS_rdx(%rsp)
        mov %rdi, REGS_rdi(%rsp)
        mov CPUINFO_current(%rsp), %rax
        testb $PVF_KERNEL_MODE, VCPU_flags(%rax)
        jnz pf_restore
        mov %cr2, %rdx
        mov %rdx, %rcx
        shr $43, %rcx
        cmp $(0xffff800000000000 >> 43), %rcx /* the hypervisor's 8 TB (descriptor tables) */
        je pf_restore
        mov VCPU_trap_table(%rax), %rcx
        cmpq $0, TRAP_INFO_PF_address(%rcx)
        je pf_restore
        testb $CPU_SMAP_PAUSES, CPUINFO_flags(%rsp) /* C puts it back */
        jnz pf_restore
        mov VCPU_info(%rax), %rdi
        mov %rdx, VCPU_cr2(%rax)
        mov %rdx, VCPUINFO_cr2(%rdi)
        mov VCPU_kernel_cr3(%rax), %rcx
        mov VCPU_kernel_sp(%rax), %rdx
        mov %rcx, %cr3
        swapgs
        orb $PVF_KERNEL_MODE, VCPU_flags(%rax)
        STAC
        mov REGS_rcx(%rsp), %rcx
.Lpf1:  mov %rcx, -64(%rdx)
.Lpf2:  mov %r11, -56(%rdx)
        mov REGS_error_code(%rsp), %ecx
.Lpf3:  mov %rcx, -48(%rdx)
        mov REGS_rip(%rsp), %rcx
.Lpf4:  mov %rcx, -40(%rdx)
        movzbl VCPUINFO_mask(%rdi), %ecx
        movzwl REGS_cs(%rsp), %r11d
        shl $32, %rcx
        or %r11, %rcx
.Lpf5:  mov %rcx, -32(%rdx)
        mov REGS_rflags(%rsp), %r11
        and $~EFLAGS_IOPL, %r11d
        bt $32, %rcx
        jnc 1f
        btr $X86_EFLAGS_IF_BIT, %r11
1:
.Lpf6:  mov %r11, -24(%rdx)
        mov REGS_rsp(%rsp), %rcx
.Lpf7:  mov %rcx, -16(%rdx)
        movzwl REGS_ss(%rsp), %ecx
.Lpf8:  mov %rcx, -8(%rdx)
        CLAC
        mov VCPU_trap_table(%rax), %rcx
        testb $4, TRAP_INFO_PF_flags(%rcx)
        jz 1f
        movb $1, VCPUINFO_mask(%rdi)
1:      mov TRAP_INFO_PF_address(%rcx), %rcx
        sub $64, %rdx
        mov $(EFLAGS_IF | EFLAGS_MBS), %r11d
        mov %rdx, REGS_rsp(%rsp)
        mov REGS_rax(%rsp), %rax
        mov REGS_rdx(%rsp), %rdx
        mov REGS_rdi(%rsp), %rdi
        mov REGS_rsp(%rsp), %rsp
        sysretq

        EXTABLE .Lpf1, pf_no_stack
        EXTABLE .Lpf2, pf_no_stack
        EXTABLE .Lpf3, pf_no_stack
        EXTABLE .Lpf4, pf_no_stack
        EXTABLE .Lpf5, pf_no_stack
        EXTABLE .Lpf6, pf_no_stack
        EXTABLE .Lpf7, pf_no_stack
        EXTABLE .Lpf8, pf_no_stack

        .macro PF_RESTORE
        mov REGS_rax(%rsp), %rax
        mov REGS_rcx(%rsp), %rcx
        mov REGS_rdx(%rsp), %rdx
        mov REGS_rdi(%rsp), %rdi
        add $REGS_error_code, %rsp
        .endm

pf_no_stack:
        PF_RESTORE
        movl $14, 4(%rsp)
        SAVE_ALL
        CLAC
        ENTER_C
        mov %rsp, %rdi
        call pv_no_kernel_stack
        jmp ret_to_guest
pf_restore:
        PF_RESTORE
pf_general:
        movl $14, 4(%rsp)
        jmp common_exception

/* SYSCALL from 32-bit code of a guest (AMD): registers as for lstar_enter. */
FUNC cstar_enter
        push $GUEST_SS
        push %rax
        push %r11
        push $GUEST_CS32
        push %rcx
        sub $REGS_rip, %rsp
        movl $TRAP_SYSCALL, REGS_entry_vector(%rsp)
        SAVE_REST
        sti
        ENTER_C_RING1
        mov %rsp, %rdi
        call pv_syscall32
        jmp ret_to_guest

/* Hypercalls of 32-bit kernels: int $0x82 in ring 1 (the gate's DPL). */
        .balign 16
stub_130:
        push $0
        movl $VECTOR_HYPERCALL32, 4(%rsp)
        SAVE_ALL
        CLAC
        ENTER_C_RING1
        sti
        mov %rsp, %rdi
        call hypercall_dispatch32
        jmp ret_to_guest

/*
 * SYSENTER, where the CPU has it in long mode (Intel): on the stack at guest_regs.es.  It has saved
 * nothing; where it came from is the guest's own convention.
 */
FUNC sysenter_enter
        push $GUEST_SS
        push $0
        pushf
        push $2
        popf /* NT, with which IRET would fault */
        push $GUEST_CS32
        push $0
        push $0
        movl $TRAP_SYSENTER, 4(%rsp)
        SAVE_ALL
        CLAC
        ENTER_C_RING1
        mov %rsp, %rdi
        call pv_sysenter
        jmp ret_to_guest

/*
 * Back to the guest in guest_regs.  pv_exit_work() runs what is pending, delivers events, and
 * says whether SYSRET will do; it returns with interrupts off.
 */
FUNC ret_to_guest
        mov %rsp, %rdi
        call pv_exit_work
        test %al, %al
        RESTORE_ALL
        jz 1f
        mov 8(%rsp), %rcx
        mov 24(%rsp), %r11
        mov 32(%rsp), %rsp
        sysretq
1:      add $8, %rsp
.Lrg1:  iretq
        EXTABLE .Lrg1, iret_failed

/* IRET refused the guest's frame: its registers are live again, rsp is at guest_regs.rip. */
iret_failed:
        push $0
        SAVE_ALL
        ENTER_C_RING1
        mov %rsp, %rdi
        call pv_iret_failed
        jmp ret_to_guest

/* New stack, then back to the guest of this CPU's current vcpu (after a context switch). */
FUNC reset_stack_and_return
        mov %rsp, %rax
        or $(STACK_SIZE - 1), %rax
        lea 1 - CPUINFO_sizeof(%rax), %rsp
        jmp ret_to_guest

/* Exceptions and interrupts.  Stubs push the error code and the vector. */
common_exception:
        SAVE_ALL
        CLAC
        testb $3, REGS_cs(%rsp)
        jz 1f
        ENTER_C_RING1
        mov %rsp, %rdi
        call do_exception
        jmp ret_to_guest
1:      mov %rsp, %rdi
        call do_exception
        jmp restore_hypervisor

common_interrupt:
        SAVE_ALL
        CLAC
        testb $3, REGS_cs(%rsp)
        jz 1f
        ENTER_C_RING1
        mov %rsp, %rdi
        call do_irq
        jmp ret_to_guest
1:      mov %rsp, %rdi
        call do_irq
restore_hypervisor:
        RESTORE_ALL
        add $8, %rsp
        iretq

/* On a stack of its own: from a guest, move to the usual place and go on as usual. */
common_ist:
        SAVE_ALL
        CLAC
        testb $3, REGS_cs(%rsp)
        jz 1f
        mov %rsp, %rsi
        mov %rsp, %rdi
        or $(STACK_SIZE - 1), %rdi
        lea 1 - CPUINFO_sizeof(%rdi), %rdi
        mov %rdi, %rax
        mov $(REGS_es / 8), %ecx
        rep movsq
        mov %rax, %rsp
        /* An IRET to here, so that NMIs are not held off until the guest's next one. */
        push $HYP_DS
        push %rax
        pushf
        push $HYP_CS
        lea 2f(%rip), %rcx
        push %rcx
        iretq
2:      ENTER_C_RING1
        mov %rsp, %rdi
        call do_exception
        jmp ret_to_guest
1:      mov %rsp, %rdi
        call do_exception
        jmp restore_hypervisor

        .macro STUB vec, target, has_error
        .balign 16
stub_\vec:
        .if \has_error == 0
        push $0
        .endif
        movl $\vec, 4(%rsp)
        jmp \target
        .endm

        .macro EXCEPTION vec, has_error, target = common_exception
        STUB \vec, \target, \has_error
        .pushsection .rodata
        .quad stub_\vec
        .popsection
        .endm

        .section .rodata
        .balign 8
        .globl exception_entry_table, irq_entry_table
        .hidden exception_entry_table, irq_entry_table
exception_entry_table:
        .text
        EXCEPTION 0, 0
        EXCEPTION 1, 0, common_ist
        EXCEPTION 2, 0, common_ist
        EXCEPTION 3, 0
        EXCEPTION 4, 0
        EXCEPTION 5, 0
        EXCEPTION 6, 0
        EXCEPTION 7, 0
        EXCEPTION 8, 1, common_ist
        EXCEPTION 9, 0
        EXCEPTION 10, 1
        EXCEPTION 11, 1
        EXCEPTION 12, 1
        EXCEPTION 13, 1
        .pushsection .rodata
        .quad stub_14
        .popsection
        EXCEPTION 15, 0
        EXCEPTION 16, 0
        EXCEPTION 17, 1
        EXCEPTION 18, 0, common_ist
        EXCEPTION 19, 0
        EXCEPTION 20, 0
        EXCEPTION 21, 1
        EXCEPTION 22, 0
        EXCEPTION 23, 0
        EXCEPTION 24, 0
        EXCEPTION 25, 0
        EXCEPTION 26, 0
        EXCEPTION 27, 0
        EXCEPTION 28, 0
        EXCEPTION 29, 1
        EXCEPTION 30, 1
        EXCEPTION 31, 0

        .section .rodata
irq_entry_table:
        .text
        .altmacro
        .macro INTERRUPT vec
        .if \vec == 0x80
        EXCEPTION \vec, 0
        .elseif \vec == VECTOR_HYPERCALL32
        .pushsection .rodata
        .quad stub_130
        .popsection
        .else
        EXCEPTION \vec, 0, common_interrupt
        .endif
        .endm
        .set vec, 32
        .rept 224
        INTERRUPT %vec
        .set vec, vec + 1
        .endr

        .section .note.GNU-stack, "", @progbits
