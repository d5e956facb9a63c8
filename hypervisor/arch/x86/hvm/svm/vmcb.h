// SPDX-License-Identifier: MIT
/*
 * The virtual machine control block (AMD64 Architecture Programmer's Manual, volume 2, appendix B):
 * what is intercepted, what happened, and the state that the CPU switches.
 */
#pragma once
#include "lib/compiler.h"
#include "lib/types.h"

struct vmcb_segment {
    uint16_t sel, attr; /* attributes as in struct emul_segment */
    uint32_t limit;
    uint64_t base;
};

struct vmcb {
    /* control area */
    uint16_t cr_reads, cr_writes, dr_reads, dr_writes;
    uint32_t exceptions, intercepts[2];
    uint8_t reserved1[0x3c - 0x14];
    uint16_t pause_threshold, pause_count;
    uint64_t iopm, msrpm, tsc_offset;
    uint32_t asid;
    uint8_t tlb_control, reserved2[3];
    uint64_t vintr;  /* VINTR_* */
    uint64_t shadow; /* bit 0: interrupt shadow */
    uint64_t exit_code, exit_info1, exit_info2;
    uint64_t exit_event; /* EVENT_*: what was being delivered */
    uint64_t nested_paging;
    uint8_t reserved3[0xa8 - 0x98];
    uint64_t inject; /* EVENT_* */
    uint64_t nested_cr3, lbr_control;
    uint32_t clean, reserved4;
    uint64_t next_rip;
    uint8_t reserved5[0x400 - 0xd0];
    /* state save area */
    struct vmcb_segment seg[6]; /* ES CS SS DS FS GS */
    struct vmcb_segment gdtr, ldtr, idtr, tr;
    uint8_t reserved6[0x4cb - 0x4a0], cpl, reserved7[4];
    uint64_t efer;
    uint8_t reserved8[0x548 - 0x4d8];
    uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
    uint8_t reserved9[0x5d8 - 0x580];
    uint64_t rsp;
    uint8_t reserved10[0x5f8 - 0x5e0];
    uint64_t rax, star, lstar, cstar, sfmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip, cr2;
    uint8_t reserved11[0x668 - 0x648];
    uint64_t pat, debugctl, last_branch[4]; /* from, to; the same before the last exception */
    uint8_t reserved12[0x1000 - 0x698];
};
BUILD_BUG_ON(sizeof(struct vmcb) != 4096);
BUILD_BUG_ON(offsetof(struct vmcb, exit_code) != 0x70);
BUILD_BUG_ON(offsetof(struct vmcb, inject) != 0xa8);
BUILD_BUG_ON(offsetof(struct vmcb, efer) != 0x4d0);
BUILD_BUG_ON(offsetof(struct vmcb, rip) != 0x578);
BUILD_BUG_ON(offsetof(struct vmcb, cr2) != 0x640);

/* intercepts[0] */
#define ICPT_INTR        (1u << 0)
#define ICPT_NMI         (1u << 1)
#define ICPT_SMI         (1u << 2)
#define ICPT_INIT        (1u << 3)
#define ICPT_VINTR       (1u << 4)
#define ICPT_CR0         (1u << 5) /* writes of it that change more than TS and MP */
#define ICPT_RDTSC       (1u << 14)
#define ICPT_RDPMC       (1u << 15)
#define ICPT_CPUID       (1u << 18)
#define ICPT_RSM         (1u << 19)
#define ICPT_IRET        (1u << 20)
#define ICPT_INVD        (1u << 22)
#define ICPT_PAUSE       (1u << 23)
#define ICPT_HLT         (1u << 24)
#define ICPT_INVLPGA     (1u << 26)
#define ICPT_IOIO        (1u << 27)
#define ICPT_MSR         (1u << 28)
#define ICPT_TASK_SWITCH (1u << 29)
#define ICPT_FERR_FREEZE (1u << 30)
#define ICPT_SHUTDOWN    (1u << 31)
/* intercepts[1] */
#define ICPT_VMRUN   (1u << 0)
#define ICPT_VMMCALL (1u << 1)
#define ICPT_VMLOAD  (1u << 2)
#define ICPT_VMSAVE  (1u << 3)
#define ICPT_STGI    (1u << 4)
#define ICPT_CLGI    (1u << 5)
#define ICPT_SKINIT  (1u << 6)
#define ICPT_RDTSCP  (1u << 7)
#define ICPT_ICEBP   (1u << 8)
#define ICPT_WBINVD  (1u << 9)
#define ICPT_MONITOR (1u << 10)
#define ICPT_MWAIT   (1u << 11)
#define ICPT_XSETBV  (1u << 13)

#define VINTR_TPR_MASK 0xfULL
#define VINTR_IRQ      (1ULL << 8)
#define VINTR_IGN_TPR  (1ULL << 20)
#define VINTR_MASKING  (1ULL << 24)

#define EVENT_VECTOR(x)   ((x)&0xff)
#define EVENT_TYPE(x)     (((x) >> 8) & 7)
#define EVENT_HAS_ERROR   (1ULL << 11)
#define EVENT_VALID       (1ULL << 31)
#define EVENT_ERROR_SHIFT 32

/* Parts of it that the CPU need not read again at VMRUN: bits of `clean`. */
#define VMCB_INTERCEPTS 0x001 /* and TSC offset */
#define VMCB_MAPS       0x002 /* of permissions */
#define VMCB_ASID       0x004
#define VMCB_INTERRUPT  0x008 /* vintr */
#define VMCB_NESTED     0x010 /* nested CR3, PAT */
#define VMCB_CR         0x020 /* 0, 3, 4, EFER */
#define VMCB_DR         0x040
#define VMCB_TABLES     0x080 /* GDTR, IDTR */
#define VMCB_SEGMENTS   0x100 /* CS DS SS ES, privilege level */
#define VMCB_CR2        0x200
#define VMCB_LBR        0x400
#define VMCB_ALL        0x7ff

#define TLB_KEEP      0
#define TLB_FLUSH_ALL 1

#define EXIT_INVALID (~0ULL) /* the VMCB was refused */
enum {
    EXIT_CR0_READ = 0,
    EXIT_CR0_WRITE = 0x10,
    EXIT_CR4_WRITE = 0x14,
    EXIT_CR8_WRITE = 0x18,
    EXIT_EXCEPTION = 0x40, /* and the vector */
    EXIT_INTR = 0x60,
    EXIT_NMI,
    EXIT_SMI,
    EXIT_INIT,
    EXIT_VINTR,
    EXIT_CR0_CHANGE, /* ICPT_CR0 */
    EXIT_RDTSC = 0x6e,
    EXIT_RDPMC,
    EXIT_CPUID = 0x72,
    EXIT_RSM,
    EXIT_IRET,
    EXIT_INVD = 0x76,
    EXIT_PAUSE,
    EXIT_HLT,
    EXIT_INVLPGA = 0x7a,
    EXIT_IOIO,
    EXIT_MSR,
    EXIT_TASK_SWITCH,
    EXIT_SHUTDOWN = 0x7f,
    EXIT_VMRUN,
    EXIT_VMMCALL,
    EXIT_VMLOAD,
    EXIT_VMSAVE,
    EXIT_STGI,
    EXIT_CLGI,
    EXIT_SKINIT,
    EXIT_RDTSCP,
    EXIT_ICEBP,
    EXIT_WBINVD = 0x89,
    EXIT_MONITOR,
    EXIT_MWAIT,
    EXIT_XSETBV = 0x8d,
    EXIT_NPF = 0x400,
};
#define NR_LOW_EXITS 0x90 /* all but EXIT_NPF and a few that nobody asks for */
