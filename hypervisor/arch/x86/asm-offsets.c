// SPDX-License-Identifier: MIT
/* Offsets for assembly: compiled to text, from which the build makes asm-offsets.h. */
#include "domain/domain.h"
#include "arch/api/arch_cpu.h"

#define DEFINE(sym, val)     __asm__ volatile(".ascii \"->" #sym " %0\"" : : "i"(val))
#define OFFSET(sym, st, mem) DEFINE(sym, offsetof(struct st, mem))

void asm_offsets(void);
void asm_offsets(void)
{
    OFFSET(REGS_r15, cpu_user_regs, r15);
    OFFSET(REGS_r14, cpu_user_regs, r14);
    OFFSET(REGS_r13, cpu_user_regs, r13);
    OFFSET(REGS_r12, cpu_user_regs, r12);
    OFFSET(REGS_r10, cpu_user_regs, r10);
    OFFSET(REGS_r9, cpu_user_regs, r9);
    OFFSET(REGS_r8, cpu_user_regs, r8);
    OFFSET(REGS_rbp, cpu_user_regs, rbp);
    OFFSET(REGS_rbx, cpu_user_regs, rbx);
    OFFSET(REGS_r11, cpu_user_regs, r11);
    OFFSET(REGS_rax, cpu_user_regs, rax);
    OFFSET(REGS_rcx, cpu_user_regs, rcx);
    OFFSET(REGS_rdx, cpu_user_regs, rdx);
    OFFSET(REGS_rsi, cpu_user_regs, rsi);
    OFFSET(REGS_rdi, cpu_user_regs, rdi);
    OFFSET(REGS_error_code, cpu_user_regs, error_code);
    OFFSET(REGS_entry_vector, cpu_user_regs, entry_vector);
    OFFSET(REGS_rip, cpu_user_regs, rip);
    OFFSET(REGS_cs, cpu_user_regs, cs);
    OFFSET(REGS_rflags, cpu_user_regs, rflags);
    OFFSET(REGS_rsp, cpu_user_regs, rsp);
    OFFSET(REGS_ss, cpu_user_regs, ss);
    OFFSET(REGS_es, cpu_user_regs, es);
    DEFINE(REGS_sizeof, sizeof(struct cpu_user_regs));
    DEFINE(CPUINFO_sizeof, sizeof(struct cpu_info));
    OFFSET(CPUINFO_cpu, cpu_info, cpu);
    OFFSET(CPUINFO_flags, cpu_info, flags);
    OFFSET(CPUINFO_current, cpu_info, current_vcpu);
    OFFSET(CPUINFO_percpu, cpu_info, percpu_offset);
    OFFSET(CPUINFO_scratch, cpu_info, scratch);
    OFFSET(VCPU_info, vcpu, info);
    OFFSET(VCPU_flags, vcpu, arch.pv.flags);
    OFFSET(VCPU_kernel_cr3, vcpu, arch.pv.kernel_cr3);
    OFFSET(VCPU_user_cr3, vcpu, arch.pv.user_cr3);
    OFFSET(VCPU_kernel_sp, vcpu, arch.pv.kernel_sp);
    OFFSET(VCPU_kernel_ss, vcpu, arch.pv.kernel_ss);
    OFFSET(VCPU_fs_base, vcpu, arch.pv.fs_base);
    OFFSET(VCPU_syscall_callback, vcpu, arch.pv.syscall_callback);
    OFFSET(VCPU_trap_table, vcpu, arch.pv.trap_table);
    OFFSET(VCPU_cr2, vcpu, arch.pv.ctrlreg[2]);
    DEFINE(TRAP_INFO_PF_address,
           14 * sizeof(struct trap_info) + offsetof(struct trap_info, address));
    DEFINE(TRAP_INFO_PF_flags, 14 * sizeof(struct trap_info) + offsetof(struct trap_info, flags));
    OFFSET(VCPUINFO_cr2, vcpu_info, arch.cr2);
    OFFSET(VCPU_async, vcpu, arch.pv.async);
    DEFINE(GUEST_CS64, FLAT_KERNEL_CS64);
    DEFINE(GUEST_CS32, FLAT_USER_CS32);
    DEFINE(GUEST_SS, FLAT_KERNEL_SS64);
    DEFINE(PVF_KERNEL_MODE, PVF_KERNEL_MODE);
    DEFINE(PVF_SYSCALL_MASKS_EVENTS, PVF_SYSCALL_MASKS_EVENTS);
    OFFSET(VCPUINFO_pending, vcpu_info, evtchn_upcall_pending);
    OFFSET(VCPUINFO_mask, vcpu_info, evtchn_upcall_mask);
}
