// SPDX-License-Identifier: MIT
#include "vendor.h"
#include "arch/fake/fake.h"
#include "arch/x86/cpu/policy.h"
#include "arch/x86/time/time.h"
#include "asm/cpufeature.h"
#include "asm/fpu.h"
#include "asm/msr.h"
#include "test.h"

struct cpu_identity host_cpu;

/* Tests that are about policies have one. */
__attribute__((weak)) uint64_t cpu_policy_xcr0(const struct cpu_policy *p)
{
    (void)p;
    return ~0ull;
}

struct vendor_vcpu *vendor_of(const struct vcpu *v)
{
    return v->arch.hvm->vendor;
}

/* A vendor whose CPUs hold a vcpu's state must be told before it is touched. */
static const struct vcpu *opened;

static void open_state(struct vcpu *v)
{
    assert_null(opened);
    opened = v;
}

static void close_state(struct vcpu *v)
{
    assert_ptr_equal(opened, v);
    opened = NULL;
}

static struct vendor_vcpu *state_of(const struct vcpu *v)
{
    assert_true(v == current || v == opened);
    return vendor_of(v);
}

static void set_flag(struct vcpu *v, bool set)
{
    (void)state_of(v), (void)set;
}

static void get_segment(const struct vcpu *v, unsigned seg, struct emul_segment *s)
{
    *s = state_of(v)->seg[seg];
}

static void set_segment(struct vcpu *v, unsigned seg, const struct emul_segment *s)
{
    state_of(v)->seg[seg] = *s;
    state_of(v)->seg[seg].attr &= 0xfff;
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
    struct vendor_vcpu *s = state_of(v);

    switch (msr) {
    case MSR_EFER:
        return &s->efer;
    case MSR_STAR:
        return &s->star;
    case MSR_LSTAR:
        return &s->lstar;
    case MSR_CSTAR:
        return &s->cstar;
    case MSR_SFMASK:
        return &s->sfmask;
    case MSR_SYSENTER_CS:
        return &s->sysenter_cs;
    case MSR_SYSENTER_ESP:
        return &s->sysenter_esp;
    case MSR_SYSENTER_EIP:
        return &s->sysenter_eip;
    case MSR_KERNEL_GS_BASE:
        return &s->kernel_gs_base;
    case MSR_PAT:
        return &s->pat;
    default:
        return NULL;
    }
}

static bool get_msr(const struct vcpu *v, uint32_t msr, uint64_t *val)
{
    *val = *field(v, msr);
    return true;
}

static bool set_msr(struct vcpu *v, uint32_t msr, uint64_t val)
{
    if (msr == MSR_PAT && (val & 0xf8f8f8f8f8f8f8f8))
        return false;
    *field(v, msr) = val;
    return true;
}

static const struct hvm_vendor remembering = {.name = "a memory",
                                              .p2m = {.table = 0x27, .ram = 0x67, .dirty = 0x40},
                                              .open = open_state,
                                              .close = close_state,
                                              .set_shadow = set_flag,
                                              .set_nmi_blocked = set_flag,
                                              .get_segment = get_segment,
                                              .set_segment = set_segment,
                                              .get_cpl = get_cpl,
                                              .get_cr = get_cr,
                                              .set_cr = set_cr,
                                              .get_dr = get_dr,
                                              .set_dr = set_dr,
                                              .get_msr = get_msr,
                                              .set_msr = set_msr};
const struct hvm_vendor *hvm_vendor = &remembering;

uint64_t arch_guest_tsc(const struct vcpu *v)
{
    return v->vcpu_id;
}

void arch_set_guest_tsc(struct domain *d, uint64_t tsc)
{
    d->arch.tsc_offset = tsc;
}

void vlapic_restart(struct vcpu *v)
{
    (void)v;
}

bool vlapic_base_ok(const struct vcpu *v, uint64_t base)
{
    (void)v;
    return (base & ~0xfffUL) == VLAPIC_DEFAULT_BASE &&
           (base & (APIC_BASE_ENABLE | APIC_BASE_X2APIC)) != APIC_BASE_X2APIC;
}

struct domain *vendor_domain(unsigned vcpus)
{
    struct domain *d = fake_domain(7, vcpus);

    d->is_hvm = true;
    d->arch.hvm = calloc(1, sizeof(*d->arch.hvm));
    for (unsigned i = 0; i < vcpus; i++) {
        struct vcpu *v = d->vcpu[i];

        v->arch.hvm = calloc(1, sizeof(*v->arch.hvm));
        v->arch.hvm->vendor = calloc(1, sizeof(struct vendor_vcpu));
        v->arch.hvm->lapic.base = VLAPIC_DEFAULT_BASE | 0x800;
        fpu_create(v);
        v->pause_flags = BIT(VPF_down);
    }
    return d;
}
