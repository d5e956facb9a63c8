// SPDX-License-Identifier: MIT
/* CPU state as records: what goes out comes in again, and nothing that is hostile does. */
#include "arch/fake/fake.h"
#include "arch/x86/cpu/policy.h"
#include "arch/x86/hvm/save.h"
#include "asm/cpufeature.h"
#include "asm/fpu.h"
#include "asm/msr.h"
#include "asm/regs.h"
#include "hypercall/handlers.h"
#include "hypercall/hypercall.h"
#include "lib/errno.h"
#include "vendor.h"
#include <stdio.h>
#include <xen/domctl.h>
#include "test.h"

static struct domain *d;
static struct vcpu *caller;
static uint8_t buf[65536];
static unsigned calls; /* that the last set_context() took */

static long set_context(const void *from, uint32_t size)
{
    struct call c = {.v = caller, .d = d};
    struct xen_domctl op = {.u.hvmcontext = {.size = size}};
    /* Not a byte behind it is looked at. */
    uint8_t *copy = malloc(size ? size : 1);
    long rc;

    memcpy(copy, from, size);
    op.u.hvmcontext.buffer.p = copy;
    calls = 0;
    do {
        rc = domctl_sethvmcontext(&c, &op);
        calls++;
    } while (rc == -ERESTART);
    free(copy);
    return rc;
}

static uint32_t get_context(void *to, uint32_t size)
{
    struct call c = {.v = caller, .d = d};
    struct xen_domctl op = {.u.hvmcontext = {.size = size}};

    op.u.hvmcontext.buffer.p = to;
    assert_int_equal(domctl_gethvmcontext(&c, &op), 0);
    return op.u.hvmcontext.size;
}

/* An old CPU's, and XSAVE and AVX, or not. */
static xen_cpuid_leaf_t leaf1, leaf_d;
static xen_cpuid_leaf_t leaf_ext = {.d = 1u << 11 | 1u << 20 | 1u << 25 | 1u << 29};

const xen_cpuid_leaf_t *cpu_policy_find(const struct cpu_policy *p, uint32_t leaf, uint32_t subleaf)
{
    (void)p;
    assert_int_equal(subleaf, 0);
    return leaf == 1 ? &leaf1 : leaf == 0xd ? &leaf_d : leaf == 0x80000001 ? &leaf_ext : NULL;
}

/* The one MSR with no place elsewhere: CPUID faulting, which this CPU has. */
static uint64_t misc_features;

bool hvm_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *val)
{
    (void)v;
    *val = msr == MSR_MTRR_CAP ? 0x508 : misc_features;
    assert_true(msr == MSR_MTRR_CAP || msr == MSR_MISC_FEATURES);
    return true;
}

bool hvm_wrmsr(struct vcpu *v, uint32_t msr, uint64_t val)
{
    (void)v;
    assert_int_equal(msr, MSR_MISC_FEATURES);
    if (val > 1)
        return false;
    misc_features = val;
    return true;
}

/* --- a list that a test makes --- */

static uint32_t used;

static void begin(void)
{
    const struct hvm_save_header h = {.magic = HVM_FILE_MAGIC, .version = HVM_FILE_VERSION};
    const struct hvm_save_descriptor desc = {HVM_SAVE_CODE(HEADER), 0, sizeof(h)};

    memcpy(buf, &desc, sizeof(desc));
    memcpy(buf + sizeof(desc), &h, sizeof(h));
    used = sizeof(desc) + sizeof(h);
}

static void add(uint16_t code, uint16_t instance, const void *data, uint32_t length)
{
    const struct hvm_save_descriptor desc = {code, instance, length};

    memcpy(buf + used, &desc, sizeof(desc));
    memcpy(buf + used + sizeof(desc), data, length);
    used += sizeof(desc) + length;
}

static long end(void)
{
    add(HVM_SAVE_CODE(END), 0, "", 0);
    return set_context(buf, used);
}

static long one(uint16_t code, const void *data, uint32_t length)
{
    begin();
    add(code, 0, data, length);
    return end();
}

/* A kernel's, in long mode. */
static struct hvm_hw_cpu long_mode(void)
{
    struct hvm_hw_cpu c = {.rip = 0xffffffff81000000, .rflags = 0x202};

    c.cr0 = CR0_PE | CR0_PG | CR0_WP | CR0_ET | CR0_NE;
    c.cr3 = 0x1000;
    c.cr4 = CR4_PAE | CR4_PGE;
    c.msr_efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE | EFER_FFXSR;
    c.cs_arbytes = EMUL_SEG_P | EMUL_SEG_S | EMUL_SEG_CODE | EMUL_SEG_L | 3;
    c.ss_arbytes = c.ds_arbytes = EMUL_SEG_P | EMUL_SEG_S | 3;
    c.tr_arbytes = EMUL_SEG_P | 0xb;
    c.msr_lstar = 0xffffffff81000100;
    c.dr6 = 0xffff0ff0;
    c.dr7 = 0x400;
    c.flags = XEN_X86_FPU_INITIALISED;
    return c;
}

static int setup(void **state)
{
    (void)state;
    fake_init(1);
    host_cpu =
        (struct cpu_identity){.phys_bits = 40, .virt_bits = 48, .xcr0_max = 7, .xsave_size = 832};
    caller = fake_domain(0, 1)->vcpu[0];
    d = vendor_domain(2);
    leaf1 =
        (xen_cpuid_leaf_t){.leaf = 1, .c = 1u << 26, .d = 7u << 1 | 3u << 6 | 1u << 13 | 3u << 24};
    leaf_d = (xen_cpuid_leaf_t){.leaf = 0xd, .a = 7};
    return 0;
}

/* --- tests --- */

static void round_trip(void **state)
{
    struct hvm_hw_cpu c = long_mode();
    struct vcpu *v = d->vcpu[0];
    static uint8_t again[sizeof(buf)];
    uint32_t size;

    (void)state;
    assert_int_equal(v->arch.xcr0, XCR0_X87); /* as after reset */
    c.rax = 0x123456789abcdef0;
    c.gs_base = 0xffff888000000000;
    c.msr_tsc_aux = 5;
    c.tsc = 123456789;
    c.pending_vector = 14;
    c.pending_type = 3;
    c.pending_valid = c.pending_error_valid = 1;
    c.error_code = 2;
    assert_int_equal(one(HVM_SAVE_CODE(CPU), &c, sizeof(c)), 0);
    assert_true(v->is_initialised);
    assert_false(test_bit(VPF_down, &v->pause_flags));
    assert_int_equal(v->arch.regs.rax, c.rax);
    assert_int_equal(v->arch.regs.rip, c.rip);
    assert_int_equal(vendor_of(v)->seg[EMUL_SEG_GS].base, c.gs_base);
    assert_int_equal(v->arch.hvm->event.error, 2);
    assert_int_equal(d->arch.tsc_offset, c.tsc);
    for (unsigned i = 0; i < NR_APIC_REGS; i++)
        v->arch.hvm->lapic.reg[i] = test_random(~0u);
    vendor_of(v)->pat = 0x0007040600070406;
    *(uint64_t *)((uint8_t *)v->arch.fpu + XSAVE_HEADER_OFF) = 7;
    memset((uint8_t *)v->arch.fpu + 576, 0x55, 256);
    v->arch.xcr0 = 7;

    size = get_context(buf, sizeof(buf));
    memset(vendor_of(v), 0, sizeof(struct vendor_vcpu));
    memset(&v->arch.regs, 0, sizeof(v->arch.regs));
    memset(v->arch.fpu, 0, 832);
    memset(v->arch.hvm->lapic.reg, 0, sizeof(v->arch.hvm->lapic.reg));
    v->arch.xcr0 = 3;
    v->arch.hvm->event.valid = false;
    assert_int_equal(set_context(buf, size), 0);
    assert_int_equal(get_context(again, sizeof(again)), size);
    assert_memory_equal(buf, again, size);
    assert_int_equal(v->arch.xcr0, 7);
    /* The other one is as it was: down. */
    assert_true(test_bit(VPF_down, &d->vcpu[1]->pause_flags));
    /* The hypervisor's leave no byte of it out, and no byte more is needed. */
    for (uint32_t cut = 0; cut < size; cut++)
        assert_int_not_equal(set_context(buf, cut), 0);
}

static void lists(void **state)
{
    struct hvm_hw_cpu c = long_mode();
    uint8_t longer[sizeof(c) + 8] = {0};
    struct hvm_save_header *h = (struct hvm_save_header *)(buf + 8);

    (void)state;
    /* Another's vcpu; longer than it is; of a kind that nobody knows. */
    begin();
    add(HVM_SAVE_CODE(CPU), 2, &c, sizeof(c));
    assert_int_equal(end(), -EINVAL);
    memcpy(longer, &c, sizeof(c));
    assert_int_equal(one(HVM_SAVE_CODE(CPU), longer, sizeof(longer)), -EINVAL);
    assert_int_equal(one(HVM_SAVE_CODE_MAX + 1, longer, 8), -EINVAL);
    assert_int_equal(one(0x8000, longer, 8), -EINVAL);
    /* One that ends before what newer versions have; devices that are not there. */
    assert_int_equal(one(HVM_SAVE_CODE(CPU), &c, offsetof(struct hvm_hw_cpu, flags)), 0);
    assert_int_equal(one(HVM_SAVE_CODE(PIT), longer, 8), 0);
    /* The last of several counts. */
    begin();
    add(HVM_SAVE_CODE(CPU), 0, &c, sizeof(c));
    c.rip++;
    add(HVM_SAVE_CODE(CPU), 0, &c, sizeof(c));
    assert_int_equal(end(), 0);
    assert_int_equal(d->vcpu[0]->arch.regs.rip, c.rip);
    /* No header, a wrong one, two of them. */
    begin();
    h->magic++;
    assert_int_equal(end(), -EINVAL);
    used = 0;
    add(HVM_SAVE_CODE(CPU), 0, &c, sizeof(c));
    assert_int_equal(end(), -EINVAL);
    used = 0;
    assert_int_equal(end(), -EINVAL);
    /* A length that is longer than the list. */
    begin();
    add(HVM_SAVE_CODE(PIT), 0, longer, 8);
    ((struct hvm_save_descriptor *)(buf + used - 16))->length = 0xfffffff8;
    assert_int_equal(end(), -EINVAL);
}

/* A list of thousands of small ones gives way, and goes on; another list begins with its header. */
static void many_records(void **state)
{
    struct hvm_hw_cpu c = long_mode();
    struct call call = {.v = caller, .d = d};
    struct xen_domctl op = {.u.hvmcontext.buffer.p = buf};

    (void)state;
    begin();
    for (unsigned i = 0; i < 5000; i++)
        add(HVM_SAVE_CODE(PIT), 0, "", 0);
    add(HVM_SAVE_CODE(CPU), 0, &c, sizeof(c));
    assert_int_equal(end(), 0);
    assert_int_equal(calls, 1);
    fake_preempt = true;
    c.rip++;
    memcpy(buf + used - 8 - sizeof(c), &c, sizeof(c));
    assert_int_equal(set_context(buf, used), 0);
    assert_in_range(calls, 100, 5000);
    assert_int_equal(d->vcpu[0]->arch.regs.rip, c.rip);
    /* Given up in the middle, then one with no header. */
    op.u.hvmcontext.size = used;
    assert_int_equal(domctl_sethvmcontext(&call, &op), -ERESTART);
    buf[0] = 0x55;
    op.u.hvmcontext.size = used - 1;
    assert_int_equal(domctl_sethvmcontext(&call, &op), -EINVAL);
    op.u.hvmcontext.size = used;
    assert_int_equal(domctl_sethvmcontext(&call, &op), -EINVAL);
    fake_preempt = false;
}

/*
 * What the manual says a CPU looks at before it enters a guest (AMD volume 2, 15.5.1), in other
 * words than the code's.
 */
static bool would_enter(const struct vendor_vcpu *s)
{
    bool lme = s->efer >> 8 & 1, pg = s->cr[0] >> 31 & 1, pe = s->cr[0] & 1;

    return !(s->efer & ~0x4d01ull) && !((s->cr[0] >> 29 & 3) == 1) && !(s->cr[0] >> 32) &&
           !(s->cr[3] >> 52) && !(s->cr[4] & ~0x407ffull) && !(s->dr[6] >> 32) &&
           !(s->dr[7] >> 32) && !(lme && pg && !(s->cr[4] >> 5 & 1)) && !(lme && pg && !pe) &&
           !(pg && !pe) && !(lme && pg && (s->seg[EMUL_SEG_CS].attr & 0x600) == 0x600);
}

static void refused(struct hvm_hw_cpu c)
{
    struct vendor_vcpu before = *vendor_of(d->vcpu[0]);

    assert_int_equal(one(HVM_SAVE_CODE(CPU), &c, sizeof(c)), -EINVAL);
    assert_memory_equal(&before, vendor_of(d->vcpu[0]), sizeof(before));
}

static void impossible_states(void **state)
{
    struct hvm_hw_cpu c;

    (void)state;
    c = long_mode();
    assert_int_equal(one(HVM_SAVE_CODE(CPU), &c, sizeof(c)), 0);
#define REFUSED(change) (c = long_mode(), change, refused(c))
    REFUSED(c.cr0 |= 1ULL << 32);
    REFUSED(c.cr0 |= CR0_NW);
    REFUSED(c.cr0 &= ~CR0_PE);
    REFUSED(c.cr0 &= ~CR0_PG);
    REFUSED(c.cr0 |= 1ULL << 63);
    REFUSED(c.cr3 |= 1ULL << 40);
    REFUSED(c.cr3 |= 1ULL << 63);
    REFUSED(c.cr4 &= ~CR4_PAE);
    REFUSED(c.cr4 |= CR4_VMXE);
    REFUSED(c.cr4 |= CR4_SMEP);
    REFUSED(c.cr4 |= 1ULL << 32);
    REFUSED(c.msr_efer |= EFER_SVME);
    REFUSED(c.msr_efer |= 1ULL << 13);
    REFUSED(c.msr_efer &= ~(uint64_t)EFER_LMA);
    REFUSED(c.msr_efer &= ~(uint64_t)EFER_LME);
    REFUSED(c.cs_arbytes |= EMUL_SEG_DB);
    REFUSED(c.dr6 |= 1ULL << 32);
    REFUSED(c.dr7 |= 1ULL << 32);
    REFUSED(c.msr_tsc_aux = 1ULL << 32);
    REFUSED(c.msr_lstar = 1ULL << 47);
    REFUSED(c.shadow_gs = 1ULL << 63);
    REFUSED(c.fs_base = 0xffff7fffffffffff);
    REFUSED(c.gdtr_base = 1ULL << 50);
    REFUSED(c.rip = 1ULL << 47);
    /* Real mode is level 0; virtual-8086 mode is not in long mode. */
    c = long_mode();
    c.cr0 = CR0_ET;
    c.msr_efer = 0;
    c.ss_arbytes |= EMUL_SEG_DPL;
    refused(c);
    c = long_mode();
    c.rflags |= EFLAGS_VM | 1ULL << 40;
    assert_int_equal(one(HVM_SAVE_CODE(CPU), &c, sizeof(c)), 0);
    assert_int_equal(d->vcpu[0]->arch.regs.rflags, 0x202);
}

static void random_states(void **state)
{
    unsigned taken = 0;

    (void)state;
    for (unsigned n = 0; n < 20000; n++) {
        struct hvm_hw_cpu c = long_mode();

        for (unsigned i = 1 + test_random(3); i; i--) {
            unsigned where = test_random(3)
                                 ? offsetof(struct hvm_hw_cpu, rip) +
                                       test_random(sizeof(c) - offsetof(struct hvm_hw_cpu, rip))
                                 : offsetof(struct hvm_hw_cpu, cr0) + test_random(32);

            ((uint8_t *)&c)[where] ^= 1u << test_random(8);
        }
        if (one(HVM_SAVE_CODE(CPU), &c, sizeof(c)))
            continue;
        taken++;
        assert_true(would_enter(vendor_of(d->vcpu[0])));
    }
    assert_in_range(taken, 2000, 18000);
}

static void pending_events(void **state)
{
    static const struct {
        uint8_t vector, type;
        bool taken, error;
    } t[] = {{0x30, HVM_EVENT_INTR, true, false},
             {2, HVM_EVENT_NMI, true, false},
             {7, HVM_EVENT_NMI, true, false},
             {14, HVM_EVENT_EXCEPTION, true, true},
             {6, HVM_EVENT_EXCEPTION, true, false},
             {2, HVM_EVENT_EXCEPTION, false, false},
             {32, HVM_EVENT_EXCEPTION, false, false},
             {0x80, 4, false, false},
             {3, 6, false, false},
             {3, 1, false, false}};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
        const struct hvm_event *e = &d->vcpu[0]->arch.hvm->event;
        struct hvm_hw_cpu c = long_mode();

        c.pending_vector = t[i].vector;
        c.pending_type = t[i].type;
        c.pending_valid = c.pending_error_valid = 1;
        assert_int_equal(one(HVM_SAVE_CODE(CPU), &c, sizeof(c)), 0);
        assert_int_equal(e->valid, t[i].taken);
        if (!e->valid)
            continue;
        assert_int_equal(e->has_error, t[i].error);
        assert_int_equal(e->vector, t[i].type == HVM_EVENT_NMI ? 2 : t[i].vector);
    }
}

/* What XRSTOR would fault by, in the hypervisor. */
static void xsave_areas(void **state)
{
    static uint8_t area[24 + 832 + 512];
    struct hvm_hw_cpu_xsave *x = (struct hvm_hw_cpu_xsave *)area;
    const uint64_t *header = (uint64_t *)((uint8_t *)d->vcpu[0]->arch.fpu + XSAVE_HEADER_OFF);
    struct hvm_hw_cpu_xsave_hdr *hdr = &x->save_area.xsave_hdr;
    uint32_t size;

    (void)state;
    x->xcr0 = 7;
    hdr->xstate_bv = 7;
    memset(&x->save_area.fpu_sse, 0xff, 512);
    memset(hdr->reserved, 0xff, sizeof(hdr->reserved));
    assert_int_equal(one(CPU_XSAVE_CODE, area, sizeof(area)), 0);
    assert_int_equal(header[0], 7);
    for (unsigned i = 1; i < 8; i++)
        assert_int_equal(header[i], 0);
    assert_int_equal(((uint32_t *)d->vcpu[0]->arch.fpu)[6], 0xffff);
    assert_int_equal(one(CPU_XSAVE_CODE, area, 24 + 575), -EINVAL);
    assert_int_equal(one(CPU_XSAVE_CODE, area, 0), -EINVAL);
    hdr->xstate_bv = 0xf;
    assert_int_equal(one(CPU_XSAVE_CODE, area, sizeof(area)), -EINVAL);
    hdr->xstate_bv = 1ULL << 63;
    assert_int_equal(one(CPU_XSAVE_CODE, area, sizeof(area)), -EINVAL);
    hdr->xstate_bv = 7;
    hdr->xcomp_bv = 1ULL << 63;
    assert_int_equal(one(CPU_XSAVE_CODE, area, sizeof(area)), -EINVAL);
    hdr->xcomp_bv = 0;
    x->xcr0 = 8 | 7;
    assert_int_equal(one(CPU_XSAVE_CODE, area, sizeof(area)), -EINVAL);
    x->xcr0 = 0;
    assert_int_equal(one(CPU_XSAVE_CODE, area, sizeof(area)), -EINVAL);
    leaf_d.a = 3;
    x->xcr0 = 7;
    assert_int_equal(one(CPU_XSAVE_CODE, area, sizeof(area)), -EINVAL);
    x->xcr0 = 3;
    assert_int_equal(one(CPU_XSAVE_CODE, area, sizeof(area)), 0);
    /* Levelled for a host that has none: then there is no such record either. */
    size = get_context(buf, sizeof(buf));
    leaf1.c = 0;
    assert_int_equal(one(CPU_XSAVE_CODE, area, sizeof(area)), -EINVAL);
    assert_in_range(get_context(buf, sizeof(buf)), 1, size - 832);
    leaf1.c = 1u << 26;
    host_cpu.xcr0_max = 0;
    assert_int_equal(one(CPU_XSAVE_CODE, area, sizeof(area)), -EINVAL);
}

static void small_records(void **state)
{
    struct hvm_hw_lapic l = {.apic_base_msr = VLAPIC_DEFAULT_BASE | 0x400};
    struct hvm_hw_mtrr m = {.msr_pat_cr = 0x0808080808080808};
    struct hvm_tsc_adjust adjust = {1};
    struct {
        uint32_t count, pad;
        struct hvm_one_msr one;
    } msrs = {.count = 1};

    (void)state;
    assert_int_equal(one(HVM_SAVE_CODE(LAPIC), &l, sizeof(l)), -EINVAL); /* x2APIC, and off */
    l.apic_base_msr = 0xfed00800;
    assert_int_equal(one(HVM_SAVE_CODE(LAPIC), &l, sizeof(l)), -EINVAL);
    l.apic_base_msr = VLAPIC_DEFAULT_BASE | 0xc00;
    assert_int_equal(one(HVM_SAVE_CODE(LAPIC), &l, sizeof(l)), 0);
    assert_int_equal(one(HVM_SAVE_CODE(MTRR), &m, sizeof(m)), -EINVAL);
    m.msr_pat_cr = 0;
    assert_int_equal(one(HVM_SAVE_CODE(MTRR), &m, sizeof(m)), 0);
    assert_int_equal(one(HVM_SAVE_CODE(TSC_ADJUST), &adjust, sizeof(adjust)), -EOPNOTSUPP);
    adjust.tsc_adjust = 0;
    assert_int_equal(one(HVM_SAVE_CODE(TSC_ADJUST), &adjust, sizeof(adjust)), 0);
    assert_int_equal(one(CPU_MSR_CODE, &msrs, sizeof(msrs)), 0);
    assert_int_equal(one(CPU_MSR_CODE, &msrs, sizeof(msrs) - 1), -EINVAL);
    assert_int_equal(one(CPU_MSR_CODE, &msrs, 0), -EINVAL);
    msrs.count = 0x10000000; /* times 16 that is 0 */
    assert_int_equal(one(CPU_MSR_CODE, &msrs, sizeof(msrs)), -EINVAL);
    msrs.count = 1;
    msrs.one = (struct hvm_one_msr){.index = 0x48, .val = 1};
    assert_int_equal(one(CPU_MSR_CODE, &msrs, sizeof(msrs)), -EOPNOTSUPP);
    msrs.one = (struct hvm_one_msr){.index = MSR_MISC_FEATURES, .val = 2};
    assert_int_equal(one(CPU_MSR_CODE, &msrs, sizeof(msrs)), -ENXIO);
    msrs.one.val = 1;
    assert_int_equal(one(CPU_MSR_CODE, &msrs, sizeof(msrs)), 0);
    assert_int_equal(misc_features, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(round_trip, setup),
        cmocka_unit_test_setup(lists, setup),
        cmocka_unit_test_setup(many_records, setup),
        cmocka_unit_test_setup(impossible_states, setup),
        cmocka_unit_test_setup(random_states, setup),
        cmocka_unit_test_setup(pending_events, setup),
        cmocka_unit_test_setup(xsave_areas, setup),
        cmocka_unit_test_setup(small_records, setup),
    };

    return cmocka_run_group_tests_name("hvm-save", tests, NULL, NULL);
}
