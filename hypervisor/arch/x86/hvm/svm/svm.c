// SPDX-License-Identifier: MIT
/*
 * AMD-V: the CPU's extension as it is turned on, a vcpu's VMCB, and access to the state in it.
 *
 * A CPU turns the extension on when the first such vcpu comes to it; memory for that was set aside
 * when the CPU was brought up.
 *
 * ASIDs are a CPU's own: a vcpu gets one when it comes to the CPU and keeps it until the CPU has
 * given out all, or its domain has lost a mapping; so a flush of a guest's translations is another
 * ASID.  A page that a guest can reach is neither freed nor a page table before its mapping has
 * been undone and p2m_flush() has counted the generation up, so nothing else asks for a flush.
 *
 * While a vcpu is loaded FS, GS, TR, LDTR and the MSRs of SYSCALL and SYSENTER are the guest's, in
 * the hypervisor, too: VMLOAD and VMSAVE run at context switches, and where somebody asks for such
 * a register.  The hypervisor uses none of them but TR, which the CPU reads for stacks of
 * interrupts and exceptions: of another privilege level, which there is none while the vcpu is
 * loaded, and those that the IDT names.  So meanwhile there is an IDT that names none.  NMIs and
 * machine checks then come on the stack that is in use, which is always good: no guest enters by
 * SYSCALL.
 */
#include "svm.h"
#include "arch/x86/cpu/policy.h"
#include "arch/x86/mm/mm.h"
#include "asm/cpufeature.h"
#include "asm/apic.h"
#include "asm/desc.h"
#include "asm/irq_vectors.h"
#include "asm/msr.h"
#include "asm/page.h"
#include "asm/regs.h"
#include "kernel/console.h"
#include "boot/cmdline.h"
#include "kernel/panic.h"
#include "kernel/percpu.h"
#include "lib/errno.h"
#include "lib/string.h"

#define VM_CR_SVMDIS      0x10
#define MSR_VM_HSAVE_PA   0xc0010117
#define CPUID_SVM         0x8000000a
#define SVM_FEATURE_NPT   1
#define IOPM_ORDER        2 /* three pages, and one more */
#define MSRPM_ORDER       1
#define PAT_RESET         0x0007040600070406ULL
#define EFER_GUEST_VALID  (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE | EFER_FFXSR)
#define DEBUGCTL_LBR      0x01
#define DEBUGCTL_VALID    0x3f
#define SVM_FEATURE_LBR   2
#define SVM_FEATURE_PAUSE (1u << 10)
#define PAUSES_IN_VAIN    3000

struct svm_cpu {
    void *host_save, *host_vmcb;
    maddr_t host_maddr;       /* host_vmcb's */
    struct desc_ptr host_idt; /* which names stacks */
    bool on;
    uint32_t next_asid;
    uint64_t generation; /* of the ASIDs given out; 0: none was */
};
static DEFINE_PER_CPU(struct svm_cpu, svm_cpu);

static uint32_t nr_asids;
static bool has_lbr;       /* the CPU switches branch records */
static bool counts_pauses; /* ... and leaves a guest after so many */
static bool on_tcg;        /* this is QEMU: keep_off_first_cpu(), inject() */
static void *iopm, *msrpm; /* for all guests */
static struct idt_entry idt_one_stack[256] __aligned(64);

/* --- the CPU --- */

/* MSRs that are switched with the guest, so that it may have them: no exit. */
static const uint32_t own_msrs[] = {
    MSR_STAR,        MSR_LSTAR,        MSR_CSTAR,        MSR_SFMASK, MSR_FS_BASE,       MSR_GS_BASE,
    MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_PAT,    MSR_KERNEL_GS_BASE};

static inline void vmload(maddr_t vmcb)
{
    __asm__ volatile("vmload %0" ::"a"(vmcb) : "memory");
}

static inline void vmsave(maddr_t vmcb)
{
    __asm__ volatile("vmsave %0" ::"a"(vmcb) : "memory");
}

static inline struct desc_ptr read_idtr(void)
{
    struct desc_ptr idtr;

    __asm__ volatile("sidt %0" : "=m"(idtr));
    return idtr;
}

static inline void write_idtr(const struct desc_ptr *idtr)
{
    __asm__ volatile("lidt %0" ::"m"(*idtr));
}

/* Two bits each, in three ranges of 8192 MSRs. */
static void __init allow_msr(uint32_t msr)
{
    uint32_t range = msr < 0x2000 ? 0 : msr >> 16 == 0xc000 ? 1 : 2, n = msr & 0x1fff;

    __clear_bit(2 * (range * 8192 + n), msrpm);
    __clear_bit(2 * (range * 8192 + n) + 1, msrpm);
}

static void __init make_idt(void)
{
    struct desc_ptr host = read_idtr();

    memcpy(idt_one_stack, (const void *)host.base, sizeof(idt_one_stack));
    for (unsigned i = 0; i < ARRAY_SIZE(idt_one_stack); i++)
        idt_one_stack[i].ist = 0;
}

/* CPUs that QEMU translates. */
static bool __init is_tcg(void)
{
    struct cpuid_regs l = cpuid(0x40000000);

    return l.b == 0x54474354 && l.c == 0x43544743 && l.d == 0x47435447; /* "TCGTCGTCGTCG" */
}

static bool __init probe(void)
{
    struct page_info *io, *msr;

    if (!cpu_is_amd())
        return false;
    if (!cpu_has(SVM) || host_cpu.max_ext_leaf < CPUID_SVM)
        return false;
    if (!(cpuid(CPUID_SVM).d & SVM_FEATURE_NPT) || (rdmsr(MSR_VM_CR) & VM_CR_SVMDIS))
        return false;
    nr_asids = cpuid(CPUID_SVM).b;
    has_lbr = cpuid(CPUID_SVM).d & SVM_FEATURE_LBR;
    counts_pauses = cpuid(CPUID_SVM).d & SVM_FEATURE_PAUSE;
    on_tcg = is_tcg();
    io = heap_alloc(IOPM_ORDER, 0);
    msr = heap_alloc(MSRPM_ORDER, 0);
    if (nr_asids < 2 || !io || !msr)
        return false;
    iopm = page_to_virt(io);
    msrpm = page_to_virt(msr);
    memset(iopm, 0xff, PAGE_SIZE << IOPM_ORDER);
    memset(msrpm, 0xff, PAGE_SIZE << MSRPM_ORDER);
    for (unsigned i = 0; i < ARRAY_SIZE(own_msrs); i++)
        allow_msr(own_msrs[i]);
    make_idt();
    return true;
}

static int cpu_prepare(unsigned cpu)
{
    struct svm_cpu *c = &per_cpu(svm_cpu, cpu);

    c->on = false; /* a CPU that comes back has forgotten */
    if (!c->host_save)
        c->host_save = alloc_page_virt();
    if (!c->host_vmcb)
        c->host_vmcb = alloc_page_virt();
    return c->host_save && c->host_vmcb ? 0 : -ENOMEM;
}

static void turn_on(struct svm_cpu *c)
{
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
    wrmsr(MSR_VM_HSAVE_PA, mfn_to_maddr(virt_to_mfn(c->host_save)));
    c->host_maddr = mfn_to_maddr(virt_to_mfn(c->host_vmcb));
    vmsave(c->host_maddr);
    c->host_idt = read_idtr();
    c->generation++;
    c->next_asid = 1;
    c->on = true;
}

void svm_refresh_asid(struct vcpu *v)
{
    struct svm_cpu *c = &this_cpu(svm_cpu);
    struct hvm_vcpu *h = v->arch.hvm;
    uint64_t generation = __atomic_load_n(&v->domain->arch.hvm->p2m.generation, __ATOMIC_ACQUIRE);
    struct vmcb *vmcb = vmcb_of(v);

    vmcb->tlb_control = TLB_KEEP;
    if (likely(h->asid_cpu == smp_processor_id() && h->asid_generation == c->generation &&
               h->p2m_generation == generation))
        return;
    if (c->next_asid >= nr_asids) {
        c->next_asid = 1;
        c->generation++;
        vmcb->tlb_control = TLB_FLUSH_ALL;
    }
    vmcb->asid = c->next_asid++;
    vmcb_changed(vmcb, VMCB_ASID);
    h->asid_cpu = smp_processor_id();
    h->asid_generation = c->generation;
    h->p2m_generation = generation;
}

/* --- a vcpu --- */

/*
 * QEMU's first CPU has its state changed by every other that loads FPU state (FXRSTOR, XRSTOR:
 * IGNNE# is deasserted), without a lock.  When it goes into a guest or out of it at that moment, it
 * forgets that: the host walks the guest's nested tables, which ends the machine, or the guest does
 * without them.  So there, guests' vcpus are for the others, unless they are told otherwise.
 */
static void keep_off_first_cpu(struct vcpu *v)
{
    if (on_tcg && cpumask_weight(&cpu_online_map) > 1)
        cpumask_clear_cpu(0, &v->hard_affinity);
}

static int vcpu_create_(struct vcpu *v)
{
    struct svm_vcpu *s = xzalloc(struct svm_vcpu);
    struct vmcb *vmcb;

    v->arch.hvm->vendor = s;
    if (!s)
        return -ENOMEM;
    vmcb = s->vmcb = alloc_page_virt();
    if (!vmcb)
        return -ENOMEM;
    s->maddr = mfn_to_maddr(virt_to_mfn(vmcb));
    vmcb->exceptions = 1u << VEC_DB | 1u << VEC_AC | 1u << 18 | (uint32_t)opt_hvm_fep << VEC_UD;
    vmcb->intercepts[0] = ICPT_INTR | ICPT_NMI | ICPT_SMI | ICPT_INIT | ICPT_CR0 | ICPT_RDPMC |
                          ICPT_CPUID | ICPT_RSM | ICPT_INVD | ICPT_HLT | ICPT_INVLPGA | ICPT_IOIO |
                          ICPT_MSR | ICPT_FERR_FREEZE | ICPT_SHUTDOWN;
    vmcb->intercepts[1] = ICPT_VMRUN | ICPT_VMMCALL | ICPT_VMLOAD | ICPT_VMSAVE | ICPT_STGI |
                          ICPT_CLGI | ICPT_SKINIT | ICPT_ICEBP | ICPT_WBINVD | ICPT_MONITOR |
                          ICPT_MWAIT | ICPT_XSETBV;
    if (counts_pauses) { /* who spins for long waits for a vcpu that may want this CPU */
        vmcb->intercepts[0] |= ICPT_PAUSE;
        vmcb->pause_count = PAUSES_IN_VAIN;
    }
    vmcb->iopm = mfn_to_maddr(virt_to_mfn(iopm));
    vmcb->msrpm = mfn_to_maddr(virt_to_mfn(msrpm));
    vmcb->vintr = VINTR_MASKING;
    vmcb->nested_paging = 1;
    vmcb->nested_cr3 = mfn_to_maddr(virt_to_mfn(v->domain->arch.hvm->p2m.root));
    vmcb->pat = PAT_RESET;
    vmcb->efer = EFER_SVME;
    keep_off_first_cpu(v);
    return 0;
}

static void vcpu_free_(struct vcpu *v)
{
    struct svm_vcpu *s = svm_of(v);

    if (s && s->vmcb)
        free_page_virt(s->vmcb);
    if (s && s->noted)
        free_page_virt(s->noted);
    xfree(s);
}

static void load(struct vcpu *v)
{
    const struct desc_ptr idt = {sizeof(idt_one_stack) - 1, (uint64_t)idt_one_stack};
    struct svm_cpu *c = &this_cpu(svm_cpu);
    struct svm_vcpu *s = svm_of(v);

    if (unlikely(!c->on))
        turn_on(c);
    s->vmcb->clean = 0; /* another CPU may have run it since */
    if (v->domain->arch.vtsc) {
        s->vmcb->intercepts[0] |= ICPT_RDTSC;
        s->vmcb->intercepts[1] |= ICPT_RDTSCP;
    } else {
        s->vmcb->intercepts[0] &= ~ICPT_RDTSC;
        s->vmcb->intercepts[1] &= ~ICPT_RDTSCP;
    }
    s->vmcb->tsc_offset = v->domain->arch.tsc_offset;
    write_idtr(&idt); /* before TR is the guest's */
    vmload(s->maddr);
    s->fetched = true;
}

/* The VMCB, with what VMSAVE puts there. */
static struct vmcb *fetched(const struct vcpu *v)
{
    struct svm_vcpu *s = svm_of(v);

    if (v == current && !s->fetched) {
        vmsave(s->maddr);
        s->fetched = true;
    }
    return s->vmcb;
}

/* The other way, after a change. */
static void put_back(const struct vcpu *v)
{
    if (v == current)
        vmload(svm_of(v)->maddr);
}

static void save(struct vcpu *v)
{
    const struct svm_cpu *c = &this_cpu(svm_cpu);

    fetched(v);
    vmload(c->host_maddr);
    write_idtr(&c->host_idt);
}

/* --- state --- */

static struct vmcb_segment *segment_of(struct vmcb *vmcb, unsigned seg)
{
    switch (seg) {
    case HVM_SEG_TR:
        return &vmcb->tr;
    case HVM_SEG_LDTR:
        return &vmcb->ldtr;
    case HVM_SEG_GDTR:
        return &vmcb->gdtr;
    case HVM_SEG_IDTR:
        return &vmcb->idtr;
    default:
        return &vmcb->seg[seg];
    }
}

/* Which VMSAVE and VMLOAD take. */
static bool is_fetched_segment(unsigned seg)
{
    return seg == EMUL_SEG_FS || seg == EMUL_SEG_GS || seg == HVM_SEG_TR || seg == HVM_SEG_LDTR;
}

static void get_segment(const struct vcpu *v, unsigned seg, struct emul_segment *s)
{
    const struct vmcb_segment *f =
        segment_of(is_fetched_segment(seg) ? fetched(v) : vmcb_of(v), seg);

    *s = (struct emul_segment){f->base, f->limit, f->sel, f->attr};
}

static void set_segment(struct vcpu *v, unsigned seg, const struct emul_segment *s)
{
    struct vmcb *vmcb = is_fetched_segment(seg) ? fetched(v) : vmcb_of(v);

    *segment_of(vmcb, seg) = (struct vmcb_segment){s->sel, s->attr & 0xfff, s->limit, s->base};
    if (seg == EMUL_SEG_SS)
        vmcb->cpl = (s->attr & EMUL_SEG_DPL) >> 5;
    if (is_fetched_segment(seg))
        put_back(v);
    else
        vmcb_changed(vmcb, VMCB_SEGMENTS | VMCB_TABLES);
}

static unsigned get_cpl(const struct vcpu *v)
{
    return vmcb_of(v)->cpl;
}

/*
 * The CPU's CR0.NE is always set: without it an exception of the FPU waits for an interrupt
 * controller that the guest has not.  A guest that has it clear exits to read or write CR0, and
 * gets #MF all the same.
 */
static void set_cr0(struct vmcb *vmcb, uint64_t val)
{
    uint16_t reads = val & CR0_NE ? 0 : CR0_NO_NE;

    vmcb->cr0 = val | CR0_NE;
    if (vmcb->cr_reads != reads) {
        vmcb->cr_reads = reads;
        vmcb_changed(vmcb, VMCB_INTERCEPTS);
    }
}

static uint64_t get_cr(const struct vcpu *v, unsigned cr)
{
    const struct vmcb *vmcb = vmcb_of(v);

    if (cr == 0)
        return vmcb->cr0 & ~(vmcb->cr_reads & CR0_NO_NE ? CR0_NE : 0);
    return cr == 2 ? vmcb->cr2 : cr == 3 ? vmcb->cr3 : vmcb->cr4;
}

static void get_paging(const struct vcpu *v, struct hvm_paging *p)
{
    const struct vmcb *vmcb = vmcb_of(v);

    *p = (struct hvm_paging){vmcb->cr0, vmcb->cr3, vmcb->cr4, vmcb->efer};
}

/*
 * The guest's EFER.LME is the CPU's only with paging on, where it has an effect.  For QEMU does not
 * turn the host's paging on again when it leaves a guest with EFER.LME and neither CR0.PG nor
 * CR4.PAE.
 */
static void sync_lme(const struct svm_vcpu *s)
{
    struct vmcb *vmcb = s->vmcb;

    vmcb->efer &= ~(uint64_t)EFER_LME;
    if (s->lme && (vmcb->cr0 & CR0_PG))
        vmcb->efer |= EFER_LME;
}

static void set_cr(struct vcpu *v, unsigned cr, uint64_t val)
{
    struct vmcb *vmcb = vmcb_of(v);

    if (cr == 0)
        set_cr0(vmcb, val);
    else
        *(cr == 2 ? &vmcb->cr2 : cr == 3 ? &vmcb->cr3 : &vmcb->cr4) = val;
    sync_lme(svm_of(v));
    vmcb_changed(vmcb, cr == 2 ? VMCB_CR2 : VMCB_CR);
}

static uint64_t get_dr(const struct vcpu *v, unsigned dr)
{
    return dr == 6 ? vmcb_of(v)->dr6 : vmcb_of(v)->dr7;
}

static void set_dr(struct vcpu *v, unsigned dr, uint64_t val)
{
    *(dr == 6 ? &vmcb_of(v)->dr6 : &vmcb_of(v)->dr7) = val;
    vmcb_changed(vmcb_of(v), VMCB_DR);
}

static uint64_t *msr_field(struct vmcb *vmcb, uint32_t msr)
{
    switch (msr) {
    case MSR_EFER:
        return &vmcb->efer;
    case MSR_STAR:
        return &vmcb->star;
    case MSR_LSTAR:
        return &vmcb->lstar;
    case MSR_CSTAR:
        return &vmcb->cstar;
    case MSR_SFMASK:
        return &vmcb->sfmask;
    case MSR_SYSENTER_CS:
        return &vmcb->sysenter_cs;
    case MSR_SYSENTER_ESP:
        return &vmcb->sysenter_esp;
    case MSR_SYSENTER_EIP:
        return &vmcb->sysenter_eip;
    case MSR_KERNEL_GS_BASE:
        return &vmcb->kernel_gs_base;
    case MSR_FS_BASE:
        return &vmcb->seg[EMUL_SEG_FS].base;
    case MSR_GS_BASE:
        return &vmcb->seg[EMUL_SEG_GS].base;
    case MSR_PAT:
        return &vmcb->pat;
    case MSR_DEBUGCTL:
        return &vmcb->debugctl;
    case MSR_LAST_BRANCH ... MSR_LAST_BRANCH_END - 1:
        return &vmcb->last_branch[msr - MSR_LAST_BRANCH];
    default:
        return NULL;
    }
}

/* As is_fetched_segment(); VMRUN itself takes the others. */
static bool is_fetched_msr(uint32_t msr)
{
    return msr != MSR_EFER && msr != MSR_PAT && (msr < MSR_DEBUGCTL || msr >= MSR_LAST_BRANCH_END);
}

static bool get_msr(const struct vcpu *v, uint32_t msr, uint64_t *val)
{
    const uint64_t *f = msr_field(is_fetched_msr(msr) ? fetched(v) : vmcb_of(v), msr);

    if (!f)
        return false;
    *val = *f;
    if (msr == MSR_EFER)
        *val = (*f & ~(uint64_t)(EFER_SVME | EFER_LME)) | (svm_of(v)->lme ? EFER_LME : 0);
    return true;
}

static bool set_efer(struct vcpu *v, uint64_t val)
{
    struct svm_vcpu *s = svm_of(v);

    if (val & ~(uint64_t)EFER_GUEST_VALID)
        return false;
    s->vmcb->efer = val | EFER_SVME;
    s->lme = val & EFER_LME;
    sync_lme(s);
    vmcb_changed(s->vmcb, VMCB_CR);
    return true;
}

/* Where the CPU does not switch branch records there is nothing to be had but that they are on. */
static bool set_debugctl(struct vcpu *v, uint64_t val)
{
    struct vmcb *vmcb = vmcb_of(v);

    if (val & ~(uint64_t)(has_lbr ? DEBUGCTL_VALID : DEBUGCTL_LBR))
        return false;
    vmcb->debugctl = val;
    vmcb->lbr_control = has_lbr && val;
    vmcb_changed(vmcb, VMCB_LBR);
    return true;
}

static bool set_msr(struct vcpu *v, uint32_t msr, uint64_t val)
{
    uint64_t *f = msr_field(is_fetched_msr(msr) ? fetched(v) : vmcb_of(v), msr);

    if (!f || (msr == MSR_PAT && !cpu_pat_valid(val)))
        return false;
    if (msr == MSR_EFER)
        return set_efer(v, val);
    if (msr == MSR_DEBUGCTL)
        return set_debugctl(v, val);
    if (msr >= MSR_LAST_BRANCH && msr < MSR_LAST_BRANCH_END)
        return false;
    *f = val;
    if (is_fetched_msr(msr))
        put_back(v);
    else
        vmcb_changed(vmcb_of(v), VMCB_NESTED);
    return true;
}

/* --- interrupts --- */

static uint64_t rflags_of(const struct vcpu *v)
{
    return v == current ? guest_regs()->rflags : v->arch.regs.rflags;
}

static bool in_shadow(const struct vcpu *v)
{
    return vmcb_of(v)->shadow & 1;
}

static void set_shadow(struct vcpu *v, bool shadow)
{
    vmcb_of(v)->shadow = (vmcb_of(v)->shadow & ~1ULL) | shadow;
}

static bool interruptible(const struct vcpu *v)
{
    return (rflags_of(v) & EFLAGS_IF) && !in_shadow(v);
}

static bool nmi_blocked(const struct vcpu *v)
{
    return vmcb_of(v)->intercepts[0] & ICPT_IRET;
}

/* The IRET of its handler ends it. */
static void set_nmi_blocked(struct vcpu *v, bool blocked)
{
    struct vmcb *vmcb = vmcb_of(v);

    vmcb->intercepts[0] = (vmcb->intercepts[0] & ~ICPT_IRET) | (blocked ? ICPT_IRET : 0);
    vmcb_changed(vmcb, VMCB_INTERCEPTS);
}

/*
 * After VMRUN has injected an interrupt QEMU delivers it again, whatever the guest's flags are by
 * then, when something calls its CPU before the guest is left.  As a software interrupt it comes
 * once, but only a kernel may have one on any vector; from elsewhere the guest is left at once.
 */
static uint64_t once_on_tcg(struct vcpu *v)
{
    if (get_cpl(v)) {
        send_ipi(smp_processor_id(), VECTOR_EVENT_CHECK);
        return HVM_EVENT_INTR;
    }
    svm_of(v)->as_software = true;
    return HVM_EVENT_SOFTWARE;
}

static void inject(struct vcpu *v, const struct hvm_event *e)
{
    uint64_t type = e->type;

    if (unlikely(on_tcg) && type == HVM_EVENT_INTR)
        type = once_on_tcg(v);
    if (unlikely(type == HVM_EVENT_NMI))
        set_nmi_blocked(v, true);
    vmcb_of(v)->inject = e->vector | type << 8 | EVENT_VALID |
                         (e->has_error ? EVENT_HAS_ERROR : 0) |
                         (uint64_t)e->error << EVENT_ERROR_SHIFT;
}

/*
 * A virtual interrupt that is never taken, for its being possible makes the guest exit.  Also for
 * an NMI that a shadow holds back; what blocks NMIs ends by an exit of its own.
 */
static void want_window(struct vcpu *v, bool intr, bool nmi)
{
    bool want = intr || (nmi && !nmi_blocked(v));
    struct vmcb *vmcb = vmcb_of(v);

    if (likely(want == !!(vmcb->intercepts[0] & ICPT_VINTR)))
        return;
    if (want) {
        vmcb->vintr |= VINTR_IRQ | VINTR_IGN_TPR;
        vmcb->intercepts[0] |= ICPT_VINTR;
    } else {
        vmcb->vintr &= ~(VINTR_IRQ | VINTR_IGN_TPR);
        vmcb->intercepts[0] &= ~ICPT_VINTR;
    }
    vmcb_changed(vmcb, VMCB_INTERCEPTS | VMCB_INTERRUPT);
}

static void dump(const struct vcpu *v)
{
    const struct svm_vcpu *s = svm_of(v);

    printk("  vcpu %u%s%s, exits by code:", v->vcpu_id, in_shadow(v) ? " in a shadow" : "",
           nmi_blocked(v) ? " with NMIs blocked" : "");
    for (unsigned code = 0; code < NR_LOW_EXITS; code++)
        if (s->exits[code])
            printk(" %#x: %lu", code, (unsigned long)s->exits[code]);
    printk(" %#x: %lu, others: %lu\n", EXIT_NPF, (unsigned long)s->exits_npf,
           (unsigned long)s->exits_other);
}

#define NPT_TABLE (PTE_PRESENT | PTE_RW | PTE_USER | PTE_ACCESSED)
#define NPT_FORMAT                                                                                 \
    {                                                                                              \
        .table = NPT_TABLE, .ram = NPT_TABLE | PTE_DIRTY, .dirty = PTE_DIRTY                       \
    }

const struct hvm_vendor svm_vendor = {.name = "AMD-V",
                                      .hypercall = {0x0f, 0x01, 0xd9}, /* VMMCALL */
                                      .p2m = NPT_FORMAT,
                                      .probe = probe,
                                      .cpu_prepare = cpu_prepare,
                                      .vcpu_create = vcpu_create_,
                                      .vcpu_free = vcpu_free_,
                                      .load = load,
                                      .save = save,
                                      .run = svm_run,
                                      .get_segment = get_segment,
                                      .set_segment = set_segment,
                                      .get_cpl = get_cpl,
                                      .get_cr = get_cr,
                                      .set_cr = set_cr,
                                      .get_paging = get_paging,
                                      .get_dr = get_dr,
                                      .set_dr = set_dr,
                                      .get_msr = get_msr,
                                      .set_msr = set_msr,
                                      .interruptible = interruptible,
                                      .in_shadow = in_shadow,
                                      .set_shadow = set_shadow,
                                      .nmi_blocked = nmi_blocked,
                                      .set_nmi_blocked = set_nmi_blocked,
                                      .inject = inject,
                                      .want_window = want_window,
                                      .dump = dump};
