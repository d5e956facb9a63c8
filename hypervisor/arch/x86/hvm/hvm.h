// SPDX-License-Identifier: MIT
/*
 * Hardware-virtualised guests (PVH): what the files here call of each other.
 *
 * A vcpu's general registers are in a cpu_user_regs, as any guest's (guest_regs() while it is
 * current, arch.regs otherwise; selectors in it mean nothing).  All that the CPU itself switches is
 * the vendor's: svm/ implements struct hvm_vendor, and exports nothing else.  The vendor leaves the
 * guest, sees why, and calls hvm_*() below for what is the same on all.
 *
 * Unless noted, functions are for current, with interrupts on.
 */
#pragma once
#include "arch/x86/emulate/emulate.h"
#include "arch/x86/guest.h"
#include "arch/x86/hvm/p2m.h"
#include "arch/x86/hvm/vlapic.h"
#include "asm/trap.h"
#include "domain/domain.h"
#include <xen/hvm/params.h>

/* Segments: numbers of enum emul_seg. */
#define HVM_SEG_TR   EMUL_SEG_TR
#define HVM_SEG_LDTR EMUL_SEG_LDTR
#define HVM_SEG_GDTR EMUL_SEG_GDTR /* base and limit only */
#define HVM_SEG_IDTR EMUL_SEG_IDTR
#define NR_HVM_SEGS  EMUL_SEG_NONE

/* Exceptions and interrupts; the types are numbered as both vendors do. */
enum hvm_event_type {
    HVM_EVENT_INTR = 0,
    HVM_EVENT_NMI = 2,
    HVM_EVENT_EXCEPTION = 3,
    HVM_EVENT_SOFTWARE = 4 /* INT n */
};
struct hvm_event {
    uint8_t vector, type; /* enum hvm_event_type */
    bool valid, has_error;
    uint32_t error;
};

/* Of an access, beside PFEC_*: protection keys count; so does SMAP (the kernel's, with AC clear).
 */
#define HVM_KEYS 0x100u
#define HVM_SMAP 0x200u

/* What a walk of page tables goes by. */
struct hvm_paging {
    uint64_t cr0, cr3, cr4, efer;
};

/*
 * A walk in long mode that has found a page finds the same again under the same registers while the
 * entries that it has seen are as they were; where they lie is known while nothing is unmapped.
 */
struct hvm_walk {
    uint64_t what; /* the linear page, how it is accessed, PFEC_PRESENT; 0: nothing */
    struct hvm_paging p;
    uint64_t generation, gpa; /* the domain's; the page's */
    const char *ram;          /* the page, to be read; NULL: it had none */
    unsigned seen;
    struct {
        const uint64_t *at;
        uint64_t e;
    } entry[5];
};

struct hvm_vcpu {
    void *vendor;              /* svm/ */
    struct hvm_event event;    /* to be delivered at the next entry */
    uint64_t p2m_generation;   /* of the domain's mappings that its TLB entries were made by */
    uint64_t asid_generation;  /* of asid_cpu, the CPU of all that */
    unsigned asid_cpu;         /* NR_CPUS: none */
    bool cr4_known, cr4_exits; /* hvm_cr4_exits(), since v first ran */
    struct p2m_memory p2m_memory;
    struct hvm_walk walks[4]; /* by linear page */
    unsigned long dr[4];
    uint64_t tsc_aux;
    uint64_t mtrr_def_type, mtrr_fixed[11], mtrr_var[16];
    bool nmi_pending;
    uint8_t upcall_vector; /* HVMOP_set_evtchn_upcall_vector; 0: none */
    struct vlapic lapic;
};

/* A list of records that is being taken over, and how far that has come; under the domctl lock. */
struct hvm_load {
    domid_t by;
    uint32_t size, at; /* bytes; at 0: none is */
    uint64_t buffer;
};

struct hvm_domain {
    struct p2m p2m;
    struct hvm_load load;
    uint64_t params[HVM_NR_PARAMS];
    uint8_t callback_vector; /* HVM_PARAM_CALLBACK_IRQ of type vector; 0: none */
};

struct hvm_vendor {
    const char *name;
    uint8_t hypercall[3]; /* the instruction */
    /* The format of page tables: see p2m.h. */
    struct p2m_format p2m;
    /* Boot: is this the CPU's, and has it all that is needed? */
    bool (*probe)(void);
    /* Memory that a CPU needs, before it runs guests; -ENOMEM.  It is turned on by load(). */
    int (*cpu_prepare)(unsigned cpu);
    int (*vcpu_create)(struct vcpu *v);
    void (*vcpu_free)(struct vcpu *v);
    /* Context switch, interrupts off. */
    void (*load)(struct vcpu *v);
    void (*save)(struct vcpu *v);
    void (*run)(void) __attribute__((noreturn));

    /* The state below is that of current, or of a v that does not run, between open() and close(),
     * which nobody else is meanwhile (hvm_open()).  NULL: there is nothing to do. */
    void (*open)(struct vcpu *v);
    void (*close)(struct vcpu *v);
    void (*get_segment)(const struct vcpu *v, unsigned seg, struct emul_segment *s);
    void (*set_segment)(struct vcpu *v, unsigned seg, const struct emul_segment *s);
    unsigned (*get_cpl)(const struct vcpu *v);
    uint64_t (*get_cr)(const struct vcpu *v, unsigned cr); /* 0, 2, 3, 4 */
    void (*set_cr)(struct vcpu *v, unsigned cr, uint64_t val);
    void (*get_paging)(const struct vcpu *v, struct hvm_paging *p);
    uint64_t (*get_dr)(const struct vcpu *v, unsigned dr); /* 6, 7 */
    void (*set_dr)(struct vcpu *v, unsigned dr, uint64_t val);
    /* MSRs that the CPU switches: EFER, STAR and its kin, SYSENTER, bases, PAT, branch records;
     * false: not one, or not that value. */
    bool (*get_msr)(const struct vcpu *v, uint32_t msr, uint64_t *val);
    bool (*set_msr)(struct vcpu *v, uint32_t msr, uint64_t val);

    /* Whether an interrupt could be delivered: RFLAGS.IF, no shadow of STI or MOV SS. */
    bool (*interruptible)(const struct vcpu *v);
    bool (*in_shadow)(const struct vcpu *v);
    void (*set_shadow)(struct vcpu *v, bool shadow);
    /* ... an NMI: one that was injected has not come to its IRET. */
    bool (*nmi_blocked)(const struct vcpu *v);
    void (*set_nmi_blocked)(struct vcpu *v, bool blocked);
    /* Entry, interrupts off: delivers it; or has v leave as soon as an interrupt, or an NMI, could
     * be.  Entry also sees to it that translations by mappings older than p2m.generation, or by
     * hvm_flush_tlb(), are used no more. */
    void (*inject)(struct vcpu *v, const struct hvm_event *e);
    void (*want_window)(struct vcpu *v, bool intr, bool nmi);
    /* Debug key 'q': how often v, which may run, has left its guest, and why. */
    void (*dump)(const struct vcpu *v);
};

extern const struct hvm_vendor *hvm_vendor; /* NULL: the host has none, or none that will do */
extern const struct hvm_vendor svm_vendor;

/* Before and after the state of v is read or written: v is current, or does not run until then. */
static inline void hvm_open(struct vcpu *v)
{
    if (hvm_vendor->open && v != current)
        hvm_vendor->open(v);
}

static inline void hvm_close(struct vcpu *v)
{
    if (hvm_vendor->close && v != current)
        hvm_vendor->close(v);
}

/* --- hvm.c --- */
void hvm_inject(struct vcpu *v, uint8_t vector, int error); /* exception; error < 0: has none */
void hvm_inject_page_fault(struct vcpu *v, uint64_t addr, uint32_t error);
void hvm_single_step(struct vcpu *v); /* #DB, and DR6 says why */
/* The vector of v's upcall, if one is due. */
void hvm_raise_upcall(struct vcpu *v);
/* A triple fault: what HVM_PARAM_TRIPLE_FAULT_REASON says becomes of the domain. */
void hvm_triple_fault(struct vcpu *v);
/* HLT: blocks until an interrupt. */
void hvm_hlt(struct vcpu *v, struct cpu_user_regs *regs);
/* The hypercall instruction; regs->rip is behind it if it is not to be done again. */
void hvm_hypercall(struct cpu_user_regs *regs, unsigned len);
void hvm_hypercall_page(const struct domain *d, void *page);
/* The layout of what v's domain shares with the hypervisor is from now on as v's code is wide: when
 * it asks for the hypercall page, and when it says how events are to come. */
void hvm_latch_width(struct vcpu *v);
/* On the way into the guest, interrupts off: what is pending is put where the CPU delivers it. */
void hvm_deliver(struct vcpu *v);

/* --- exit.c: what an intercepted instruction does, for the vendor --- */
/* len: of the instruction at rip; 0: that cannot be told, and an exception is pending. */
void hvm_skip(struct vcpu *v, struct cpu_user_regs *regs, unsigned len);
void hvm_exit_icebp(struct vcpu *v, struct cpu_user_regs *regs, unsigned len);
void hvm_exit_cpuid(struct vcpu *v, struct cpu_user_regs *regs, unsigned len);
void hvm_exit_msr(struct vcpu *v, struct cpu_user_regs *regs, unsigned len, bool write);
void hvm_exit_tsc(struct vcpu *v, struct cpu_user_regs *regs, unsigned len, bool with_aux);
void hvm_exit_xsetbv(struct vcpu *v, struct cpu_user_regs *regs, unsigned len);
void hvm_exit_hlt(struct vcpu *v, struct cpu_user_regs *regs, unsigned len);
struct hvm_port_access {
    uint16_t port;
    uint8_t bytes;
    bool in, string;
};
void hvm_exit_io(struct vcpu *v, struct cpu_user_regs *regs, unsigned len,
                 const struct hvm_port_access *io);
/* One that the vendor intercepts: #DB (DR6 is the guest's), #AC, #UD for hvm_fep, #MC. */
void hvm_exit_exception(struct vcpu *v, struct cpu_user_regs *regs, uint8_t vector);
/* An event whose delivery the exit has cut short: it comes again, unless its instruction will. */
void hvm_recover_event(struct vcpu *v, const struct hvm_event *e);

/* --- start.c --- */
/* Real-mode start at a page below 1 MB (start-up interrupt), or as after reset. */
void hvm_reset_state(struct vcpu *v, uint8_t start_page);

/* --- records.c: struct guest_kind's --- */
void hvm_get_context(struct vcpu *v, struct vcpu_guest_context *ctx);
int hvm_set_context(struct vcpu *v, const struct vcpu_guest_context *ctx);

/* --- cr.c --- */
/* The CPU would take bits of CR4 that d's CPU policy hides: v is to leave the guest when it writes
 * CR4. */
bool hvm_cr4_exits(const struct domain *d);
/* MOV to CR0, CR3 or CR4 by v; false: #GP. */
bool hvm_write_cr(struct vcpu *v, unsigned cr, uint64_t val);
/* WRMSR of EFER; false: #GP. */
bool hvm_write_efer(struct vcpu *v, uint64_t val);
/* v has no translations at its next entry. */
static inline void hvm_flush_tlb(struct vcpu *v)
{
    v->arch.hvm->asid_cpu = NR_CPUS;
}

/* --- access.c: the guest's address space, by its own page tables --- */
/* Guest physical address of a linear one: 0, or -EFAULT with *error as of a page fault. */
int hvm_translate(struct vcpu *v, uint64_t addr, uint32_t access, uint64_t *gpa, uint32_t *error);
/* Bytes not copied.  access: PFEC_USER, PFEC_FETCH, HVM_KEYS and HVM_SMAP as of the access. */
size_t hvm_copy_from_linear(struct vcpu *v, void *dst, uint64_t addr, size_t len, uint32_t access);
size_t hvm_copy_to_linear(struct vcpu *v, uint64_t addr, const void *src, size_t len,
                          uint32_t access);
/* As emul_ops.cmpxchg; false: not RAM that is there, or over the end of a page. */
bool hvm_cmpxchg_linear(struct vcpu *v, uint64_t addr, void *old, const void *new, unsigned bytes,
                        uint32_t access);
/* Four bytes of code, if they can be read so and lie in one page.  access: PFEC_USER or not.
 * Turns interrupts on. */
bool hvm_peek_code(struct vcpu *v, uint64_t addr, uint32_t access, uint32_t *bytes);
size_t hvm_copy_from_guest(void *dst, uint64_t addr, size_t len);
size_t hvm_copy_to_guest(uint64_t addr, const void *src, size_t len);

/* --- cpuid.c, msr.c, mmio.c --- */
void hvm_cpuid(const struct vcpu *v, uint32_t leaf, uint32_t subleaf, struct emul_cpuid *res);
/* false: #GP */
bool hvm_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *val);
bool hvm_wrmsr(struct vcpu *v, uint32_t msr, uint64_t val);
/* Lets the emulator execute the instruction at rip; false: it could not. */
bool hvm_emulate(struct vcpu *v, struct cpu_user_regs *regs);
/* The same in steps: what the emulator is given; what becomes of what it returned (false: it could
 * not).  Between them the caller may exchange the operations. */
extern const struct emul_ops hvm_mmio_ops;
void hvm_emulate_begin(struct vcpu *v, struct cpu_user_regs *regs, struct emul_ctxt *ctxt);
bool hvm_emulate_end(struct vcpu *v, const struct emul_ctxt *ctxt, int rc);
/* The same, only if it is MOV to a control register. */
bool hvm_emulate_mov_to_cr(struct vcpu *v, struct cpu_user_regs *regs);
/* An undefined instruction, and hvm_fep: true if it was the prefix, and the next one is done. */
bool hvm_emulate_forced(struct vcpu *v, struct cpu_user_regs *regs);
/* How long the instruction at rip is; 0: it cannot be told (an exception is pending). */
unsigned hvm_insn_length(struct vcpu *v, struct cpu_user_regs *regs);
/* The guest touched gpa, where nothing is mapped that it may touch so. */
void hvm_npt_fault(struct vcpu *v, struct cpu_user_regs *regs, uint64_t gpa, bool write);

/* --- vector.c: PKRU, where the guest has set CR4.PKE --- */
uint32_t hvm_get_pkru(void);
/* An FPU exception waits, which MMX instructions, and moves of MMX registers below, would raise. */
bool hvm_fpu_exception(void);
/* The lower 16 or 32 bytes of current's vector registers 0 to 15 (32: AVX is on), and 8 of MMX
 * registers, from EMUL_MMX on. */
void hvm_get_vector(unsigned reg, void *buf, unsigned bytes);
void hvm_set_vector(unsigned reg, const void *buf, unsigned bytes); /* 32: clears what is above */

static inline bool hvm_long_mode(const struct vcpu *v)
{
    struct emul_segment cs;

    hvm_vendor->get_segment(v, EMUL_SEG_CS, &cs);
    return cs.attr & EMUL_SEG_L;
}
