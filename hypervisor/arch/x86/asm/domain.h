// SPDX-License-Identifier: MIT
/*
 * What a domain and a vcpu have on x86.  Entry code uses struct pv_vcpu by offset
 * (arch/x86/asm-offsets.c).
 */
#pragma once
#include "lib/types.h"
#include "lib/compiler.h"
#include <xen/xen.h>

struct cpu_policy;
struct guest_kind;
struct hvm_domain;
struct hvm_vcpu;
struct page_info;

/* The first group is what entry.S touches. */
struct pv_vcpu {
    /* hot: entry.S */
    unsigned long flags;      /* PVF_* */
    unsigned long kernel_cr3; /* ready-made CR3 for guest kernel mode */
    unsigned long user_cr3;   /* ... for guest user mode; 0: none set */
    unsigned long kernel_sp, kernel_ss;
    /* of a 32-bit guest: far_pointer() of arch/x86/pv/pv.h */
    unsigned long syscall_callback, syscall32_callback, sysenter_callback;
    unsigned long event_callback, failsafe_callback;
    unsigned long fs_base, gs_base_kernel, gs_base_user;
    struct trap_info *trap_table; /* [256] */
    unsigned long async;          /* PVA_*: what keeps iret from its quick form */

    /* descriptor tables */
    unsigned long gdt_frames[14];
    unsigned gdt_ents, ldt_ents;
    unsigned long ldt_base;
    unsigned long *gdt_ldt_l1; /* this vcpu's 32 slots of the per-domain area */
    unsigned shadow_ldt_count;

    unsigned long ctrlreg[8];
    unsigned long dr[8];
    unsigned long dr7_loaded;     /* what of dr[7] the CPU has while the vcpu runs; 0: nothing */
    uint16_t failed_selectors[4]; /* ds, es, fs, gs that could not be loaded, for PVA_FAILSAFE */
    unsigned iopl;
    uint8_t *iobmp;
    unsigned iobmp_limit;
    uint64_t iobmp_guest;
};

#define PVA_NMI_PENDING 0x1
#define PVA_NMI_MASKED  0x2  /* until the next iret */
#define PVA_FAILSAFE    0x10 /* the failsafe callback is due */
#define PVA_IOPL        0x20 /* VMASST_TYPE_architectural_iopl: iret sets the virtual IOPL */

#define PVF_KERNEL_MODE            0x01 /* guest kernel (not user) runs */
#define PVF_SYSCALL_MASKS_EVENTS   0x02
#define PVF_FAILSAFE_MASKS_EVENTS  0x04
#define PVF_SYSCALL32_MASKS_EVENTS 0x08
#define PVF_FPU_TS                 0x10 /* guest set CR0.TS: #NM on FPU use */
#define PVF_SYSENTER_MASKS_EVENTS  0x20

struct arch_vcpu {
    struct pv_vcpu pv;
    struct hvm_vcpu *hvm; /* arch/x86/hvm; NULL for the others */
    /* page tables (mm/): referenced, typed L4 tables */
    struct page_info *root_kernel, *root_user;
    uint64_t *monitor;            /* of a 32-bit guest: the L4 table above its root (mm/root.c) */
    struct page_info *reap_table; /* left half undone by the last page-table operation, or NULL */
    /* FPU */
    void *fpu; /* FXSAVE or XSAVE area, aligned to 64, within fpu_alloc */
    void *fpu_alloc;
    uint64_t xcr0;
    bool cpuid_faults;          /* its users' CPUID does: MSR MISC_FEATURES_ENABLES */
    struct cpu_user_regs regs;  /* while not running */
    struct vcpu_time_info time; /* what was last published */
};

struct arch_domain {
    const struct guest_kind *kind; /* guest.h */
    struct hvm_domain *hvm;
    bool is_32bit;                /* by mm_set_width() */
    uint64_t forced_pte;          /* what present entries have in any case: PTE_USER, or nothing */
    uint64_t superpages;          /* entries for large pages in tables in use (atomic) */
    unsigned long *perdomain_l3;  /* slot 260 */
    unsigned long **perdomain_l1; /* one page for every 16 vcpus */
    struct cpu_policy *cpu_policy;
    /* PIRQs: arch/x86/irq */
    struct pirq_table *pirqs;
    unsigned long *pirq_eoi_map;
    bool auto_unmask;
    uint32_t pci_cf8; /* its shadow of the PCI address port; the guest serialises */
    /* memory map for XENMEM_memory_map */
    struct e820_map *e820;
    /* time */
    uint32_t tsc_mode;
    bool vtsc;    /* its TSC is emulated */
    bool own_tsc; /* its TSC is not the host's: emulated, or with an offset */
    uint32_t tsc_khz, tsc_incarnation;
    uint64_t vtsc_offset; /* system time when its TSC was 0 */
    uint64_t tsc_offset;  /* not emulated: how far its TSC is ahead of the host's */
};

#define is_32bit(d) ((d)->arch.is_32bit)
