// SPDX-License-Identifier: MIT
/*
 * A vendor of hardware-virtualised guests for tests/fuzz/hvm.c: what a vcpu would be entered with
 * is remembered, and what the rooms ask of the machine besides.
 */
#include "hvm_world.h"
#include <stdlib.h>
#include "arch/x86/cpu/policy.h"
#include "arch/x86/time/time.h"
#include "asm/apic.h"
#include "asm/cpufeature.h"
#include "asm/fpu.h"
#include "asm/msr.h"
#include "asm/regs.h"
#include "boot/cmdline.h"
#include "hvm_host.h"

struct cpu_user_regs fuzz_regs;
struct cpu_identity host_cpu = {.vendor = VENDOR_AMD, .phys_bits = 40, .virt_bits = 48};
struct mitigations mitigations = {.lfence = true};
bool opt_hvm_fep = true;
bool hvm_guests_exist;

void publish_time(struct vcpu *v)
{
    (void)v;
}

uint32_t cpu_khz = 1000000;

struct seen *seen_of(const struct vcpu *v)
{
    return v->arch.hvm->vendor;
}

/* A vendor whose CPUs hold a vcpu's state must be told before it is touched. */
static const struct vcpu *opened;

static void open_state(struct vcpu *v)
{
    if (opened)
        complain("two are open");
    opened = v;
}

static void close_state(struct vcpu *v)
{
    if (opened != v)
        complain("closed what is not open");
    opened = NULL;
}

static struct seen *state_of(const struct vcpu *v)
{
    if (v != current && v != opened)
        complain("its state is not open");
    return seen_of(v);
}

static void get_segment(const struct vcpu *v, unsigned seg, struct emul_segment *s)
{
    *s = state_of(v)->seg[seg];
}

static void set_segment(struct vcpu *v, unsigned seg, const struct emul_segment *s)
{
    state_of(v)->seg[seg] = *s;
}

static unsigned get_cpl(const struct vcpu *v)
{
    return (state_of(v)->seg[EMUL_SEG_SS].attr & EMUL_SEG_DPL) >> 5;
}

static uint64_t get_cr(const struct vcpu *v, unsigned cr)
{
    return state_of(v)->cr[cr];
}

static void set_cr(struct vcpu *v, unsigned cr, uint64_t val)
{
    state_of(v)->cr[cr] = val;
}

static void get_paging(const struct vcpu *v, struct hvm_paging *p)
{
    const struct seen *s = state_of(v);

    *p = (struct hvm_paging){s->cr[0], s->cr[3], s->cr[4], s->efer};
}

static uint64_t get_dr(const struct vcpu *v, unsigned dr)
{
    return state_of(v)->dr[dr];
}

static void set_dr(struct vcpu *v, unsigned dr, uint64_t val)
{
    state_of(v)->dr[dr] = val;
}

static uint64_t *field(const struct vcpu *v, uint32_t msr)
{
    static const uint32_t others[] = {MSR_STAR,         MSR_LSTAR,         MSR_CSTAR,
                                      MSR_SFMASK,       MSR_SYSENTER_CS,   MSR_SYSENTER_ESP,
                                      MSR_SYSENTER_EIP, MSR_KERNEL_GS_BASE};
    struct seen *s = state_of(v);

    for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
        if (others[i] == msr)
            return &s->msr[i];
    return msr == MSR_EFER ? &s->efer : msr == MSR_PAT ? &s->pat : NULL;
}

static bool get_msr(const struct vcpu *v, uint32_t msr, uint64_t *val)
{
    const uint64_t *f = field(v, msr);

    *val = f ? *f : 0;
    return f;
}

static bool set_msr(struct vcpu *v, uint32_t msr, uint64_t val)
{
    uint64_t *f = field(v, msr);
    bool address = msr != MSR_EFER && msr != MSR_PAT && msr != MSR_STAR && msr != MSR_SYSENTER_CS &&
                   msr != MSR_SFMASK;

    if (!f || (msr == MSR_PAT && (val & 0xf8f8f8f8f8f8f8f8)))
        return false;
    if (address && (uint64_t)((int64_t)(val << 16) >> 16) != val)
        return false;
    *f = val;
    return true;
}

static bool in_shadow(const struct vcpu *v)
{
    return state_of(v)->shadow;
}

static void set_shadow(struct vcpu *v, bool shadow)
{
    state_of(v)->shadow = shadow;
}

static bool interruptible(const struct vcpu *v)
{
    return (fuzz_regs.rflags & EFLAGS_IF) && !in_shadow(v);
}

static void inject(struct vcpu *v, const struct hvm_event *e)
{
    if (e->type == HVM_EVENT_NMI)
        state_of(v)->nmi_blocked = true;
    state_of(v)->injected = *e;
}

static bool nmi_blocked(const struct vcpu *v)
{
    return state_of(v)->nmi_blocked;
}

static void set_nmi_blocked(struct vcpu *v, bool blocked)
{
    state_of(v)->nmi_blocked = blocked;
}

static void want_window(struct vcpu *v, bool intr, bool nmi)
{
    state_of(v)->window = intr || nmi;
}

static int create(struct vcpu *v)
{
    v->arch.hvm->vendor = calloc(1, sizeof(struct seen));
    return 0;
}

static void destroy(struct vcpu *v)
{
    free(v->arch.hvm->vendor);
}

static void dump(const struct vcpu *v)
{
    (void)v;
}

static bool probe(void)
{
    return true;
}

static int cpu_prepare(unsigned cpu)
{
    (void)cpu;
    return 0;
}

const struct hvm_vendor svm_vendor = {.name = "a memory",
                                      .hypercall = {0x0f, 0x01, 0xd9},
                                      .probe = probe,
                                      .cpu_prepare = cpu_prepare,
                                      .open = open_state,
                                      .close = close_state,
                                      .p2m = {.table = 0x27, .ram = 0x67, .dirty = 0x40},
                                      .vcpu_create = create,
                                      .vcpu_free = destroy,
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

/* --- what else is asked of the machine --- */

static struct cpu_policy policy = {
    .nr = 3,
    .cpuid_faulting = true,
    .leaf = {{.leaf = 1,
              .subleaf = XEN_CPUID_NO_SUBLEAF,
              .c = 1u << 26 | 1u << 24 | 1u << 21 | 1u << 17,
              .d = 0x078bfbff},
             {.leaf = 7, .b = 1u << 20 | 1u << 7 | 1, .c = 1u << 16 | 1u << 3 | 1u << 2},
             {.leaf = 0x80000001, .subleaf = XEN_CPUID_NO_SUBLEAF, .d = 0x2e100800}}};

void give_policy(struct domain *d)
{
    d->arch.cpu_policy = &policy;
}

const xen_cpuid_leaf_t *cpu_policy_find(const struct cpu_policy *p, uint32_t leaf, uint32_t subleaf)
{
    (void)subleaf;
    for (unsigned i = 0; p && i < p->nr; i++)
        if (p->leaf[i].leaf == leaf)
            return &p->leaf[i];
    return NULL;
}

void send_ipi(unsigned cpu, unsigned vector)
{
    (void)vector;
    arch_send_event_check(cpu);
}

uint64_t arch_guest_tsc(const struct vcpu *v)
{
    (void)v;
    return fake_now;
}

void arch_set_guest_tsc(struct domain *d, uint64_t tsc)
{
    (void)d, (void)tsc;
}

bool tsc_trusted(void)
{
    return true;
}

uint64_t cpu_policy_xcr0(const struct cpu_policy *p)
{
    (void)p;
    return 0;
}

uint32_t hvm_get_pkru(void)
{
    return 0x55555554; /* as Linux has it */
}

bool hvm_fpu_exception(void)
{
    return false;
}

void hvm_get_vector(unsigned reg, void *buf, unsigned bytes)
{
    memcpy(buf, seen_of(current)->vector[reg], bytes);
}

void hvm_set_vector(unsigned reg, const void *buf, unsigned bytes)
{
    memcpy(seen_of(current)->vector[reg], buf, bytes);
}
