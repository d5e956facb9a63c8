// SPDX-License-Identifier: MIT
/* The virtual local APIC: priorities, IPIs in both modes, the timer, what faults and what is lost.
 */
#include "arch/fake/fake.h"
#include "arch/x86/cpu/policy.h"
#include "arch/x86/hvm/hvm.h"
#include "arch/x86/time/time.h"
#include "asm/apic.h"
#include "asm/msr.h"
#include "test.h"

#define VCPUS 20 /* more than a cluster of x2APIC's */

enum {
    ID = 0x20,
    TPR = 0x80,
    PPR = 0xa0,
    EOI = 0xb0,
    LDR = 0xd0,
    DFR = 0xe0,
    SVR = 0xf0,
    ISR = 0x100,
    ESR = 0x280,
    ICR = 0x300,
    ICR2 = 0x310,
    LVTT = 0x320,
    LINT0 = 0x350,
    LVT_ERROR = 0x370,
    INIT_COUNT = 0x380,
    COUNT = 0x390,
    DIVIDE = 0x3e0,
    SELF = 0x3f0,
};
#define MSR(off)      (MSR_X2APIC_FIRST + ((off) >> 4))
#define BOTH          (APIC_BASE_ENABLE | APIC_BASE_X2APIC)
#define DEADLINE_MODE 0x40000
#define PERIODIC      0x20000
#define MASKED        0x10000

static struct domain *d;
static struct vcpu *v; /* the one that acts */
static struct cpu_policy policy;
static unsigned resets, nmis, upcalls;
static uint8_t start_page;

uint32_t cpu_khz = 2000000;
uint64_t arch_guest_tsc(const struct vcpu *who)
{
    (void)who;
    return (uint64_t)fake_now * 2;
}

const xen_cpuid_leaf_t *cpu_policy_find(const struct cpu_policy *p, uint32_t leaf, uint32_t subleaf)
{
    (void)leaf, (void)subleaf;
    return &p->leaf[0];
}

void hvm_reset_state(struct vcpu *who, uint8_t page)
{
    (void)who;
    resets++;
    start_page = page;
}

void hvm_raise_upcall(struct vcpu *who)
{
    (void)who;
    upcalls++;
}

void arch_vcpu_send_nmi(struct vcpu *who)
{
    (void)who;
    nmis++;
}
void send_ipi(unsigned cpu, unsigned vector)
{
    (void)cpu, (void)vector;
}

void vcpu_sleep_nosync(struct vcpu *who)
{
    (void)who;
}

static int setup(void **state)
{
    (void)state;
    fake_init(2);
    fake_ram_init(64);
    fake_now = SECONDS(1);
    d = fake_domain(3, VCPUS);
    d->is_hvm = true;
    d->arch.cpu_policy = &policy;
    policy.leaf[0].c = 1u << 21 | 1u << 24;
    for (unsigned i = 0; i < VCPUS; i++) {
        d->vcpu[i]->arch.hvm = calloc(1, sizeof(struct hvm_vcpu));
        d->vcpu[i]->is_initialised = true;
        vlapic_create(d->vcpu[i]);
        vlapic_write(d->vcpu[i], SVR, 0x1ff);
    }
    v = d->vcpu[0];
    fake_run_on(0, v);
    resets = nmis = upcalls = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (unsigned i = 0; i < VCPUS; i++) {
        vlapic_free(d->vcpu[i]);
        free(d->vcpu[i]->arch.hvm);
        xfree(d->vcpu[i]);
    }
    xfree(d->vcpu);
    fake_ram_free();
    return 0;
}

static uint64_t rd(uint32_t msr)
{
    uint64_t val = 0;

    assert_true(vlapic_rdmsr(v, msr, &val));
    return val;
}

static bool wr(uint32_t msr, uint64_t val)
{
    return vlapic_wrmsr(v, msr, val);
}

static void all_to_x2apic(void)
{
    for (unsigned i = 0; i < VCPUS; i++)
        assert_true(vlapic_wrmsr(d->vcpu[i], MSR_APIC_BASE,
                                 d->vcpu[i]->arch.hvm->lapic.base | APIC_BASE_X2APIC));
}

/* As a bit each: who has vector waiting.  They take it. */
static uint32_t who_got(uint8_t vector)
{
    uint32_t got = 0;

    for (unsigned i = 0; i < VCPUS; i++)
        if (vlapic_pending(d->vcpu[i]) == vector) {
            got |= 1u << i;
            vlapic_accept(d->vcpu[i], vector);
            vlapic_write(d->vcpu[i], EOI, 0);
        }
    return got;
}

/* Time passes; the timer fires as often as it is due.  How often the vector came. */
static unsigned pass(s_time_t ns, uint8_t vector)
{
    struct timer *t = &v->arch.hvm->lapic.timer;
    s_time_t end = fake_now + ns;
    unsigned n = 0;

    while (t->set && t->expires <= end) {
        fake_now = max(fake_now, t->expires);
        t->set = false;
        t->fn(t->data);
        n += who_got(vector) & 1;
    }
    fake_now = end;
    return n;
}

/* --- priorities --- */

static void test_the_highest_priority_first(void **state)
{
    (void)state;
    vlapic_raise(v, 0x31);
    vlapic_raise(v, 0x52);
    assert_int_equal(vlapic_pending(v), 0x52);
    vlapic_accept(v, 0x52);
    assert_int_equal(vlapic_pending(v), -1); /* a lower class waits for its end */
    assert_int_equal(vlapic_read(v, PPR), 0x50);
    vlapic_raise(v, 0x5f);
    assert_int_equal(vlapic_pending(v), -1); /* the same class */
    vlapic_raise(v, 0x60);
    assert_int_equal(vlapic_pending(v), 0x60);
    vlapic_accept(v, 0x60);
    vlapic_write(v, EOI, 0); /* of 0x60 */
    assert_int_equal(vlapic_read(v, PPR), 0x50);
    vlapic_write(v, EOI, 0);
    assert_int_equal(vlapic_pending(v), 0x5f);
}

static void test_task_priority_holds_back(void **state)
{
    (void)state;
    vlapic_raise(v, 0x45);
    vlapic_write(v, TPR, 0x40);
    assert_int_equal(vlapic_pending(v), -1);
    assert_true(vlapic_held_back(v));
    vlapic_write(v, TPR, 0x3f);
    assert_int_equal(vlapic_pending(v), 0x45);
    assert_false(vlapic_held_back(v));
    vlapic_raise(v, 15); /* there are no such vectors */
    assert_int_equal(vlapic_pending(v), 0x45);
}

static void test_disabled_by_software(void **state)
{
    (void)state;
    vlapic_write(v, LVTT, 0x40);
    vlapic_write(v, SVR, 0xff);
    assert_int_equal(vlapic_read(v, LVTT), MASKED | 0x40);
    vlapic_write(v, LVTT, 0x41); /* masks cannot be cleared now */
    assert_int_equal(vlapic_read(v, LVTT), MASKED | 0x41);
    vlapic_raise(v, 0x80);
    assert_int_equal(vlapic_pending(v), -1);
    vlapic_write(v, ICR, 0x90 | 1 << 18); /* an IPI is lost */
    vlapic_write(v, SVR, 0x1ff);
    assert_int_equal(vlapic_pending(v), 0x80); /* an upcall is not */
}

/* --- interrupts between vcpus --- */

static void test_ipis_of_xapic(void **state)
{
    (void)state;
    vlapic_write(v, ICR2, 2 << 24); /* APIC IDs are even */
    vlapic_write(v, ICR, 0x61);
    assert_int_equal(who_got(0x61), 1u << 1);
    vlapic_write(v, ICR2, 0xffu << 24);
    vlapic_write(v, ICR, 0x61);
    assert_int_equal(who_got(0x61), (1u << VCPUS) - 1);
    vlapic_write(v, ICR, 0x61 | 1 << 18);
    assert_int_equal(who_got(0x61), 1);
    vlapic_write(v, ICR, 0x61 | 2 << 18);
    assert_int_equal(who_got(0x61), (1u << VCPUS) - 1);
    vlapic_write(v, ICR, 0x61 | 3 << 18);
    assert_int_equal(who_got(0x61), (1u << VCPUS) - 2);
    /* Logical, flat: a bit each. */
    vlapic_write(d->vcpu[3], LDR, 0x08000000);
    vlapic_write(d->vcpu[4], LDR, 0x10000000);
    vlapic_write(v, ICR2, 0x18u << 24);
    vlapic_write(v, ICR, 0x61 | 1 << 11);
    assert_int_equal(who_got(0x61), 1u << 3 | 1u << 4);
    vlapic_write(v, ICR, 0x61 | 1 << 11 | 1 << 8); /* lowest priority: one of them */
    assert_int_equal(who_got(0x61), 1u << 3);
    vlapic_write(d->vcpu[3], SVR, 0xff);
    vlapic_write(v, ICR, 0x61 | 1 << 11 | 1 << 8);
    assert_int_equal(who_got(0x61), 1u << 4);
    /* Clusters. */
    for (unsigned i = 4; i < 6; i++) {
        vlapic_write(d->vcpu[i], DFR, 0);
        vlapic_write(d->vcpu[i], LDR, i == 4 ? 0x21000000 : 0x31000000);
    }
    vlapic_write(v, ICR2, 0x31u << 24);
    vlapic_write(v, ICR, 0x61 | 1 << 11);
    assert_int_equal(who_got(0x61), 1u << 5);
}

static void test_ipis_of_x2apic(void **state)
{
    (void)state;
    all_to_x2apic();
    assert_int_equal(rd(MSR(ID)), 0);
    assert_true(wr(MSR(ICR), 0x71 | (uint64_t)34 << 32));
    assert_int_equal(who_got(0x71), 1u << 17);
    assert_true(wr(MSR(ICR), 0x71 | (uint64_t)0xff << 32)); /* nobody's ID */
    assert_int_equal(who_got(0x71), 0);
    assert_true(wr(MSR(ICR), 0x71 | 0xffffffffULL << 32));
    assert_int_equal(who_got(0x71), (1u << VCPUS) - 1);
    /* Logical: a cluster of 16 IDs in the upper half, a bit each. */
    v = d->vcpu[9];
    assert_int_equal(rd(MSR(LDR)), 1u << 16 | 1u << 2);
    v = d->vcpu[0];
    assert_true(wr(MSR(ICR), 0x71 | 1 << 11 | (1ULL << 16 | 1 << 2 | 1 << 4) << 32));
    assert_int_equal(who_got(0x71), 1u << 9 | 1u << 10);
    assert_true(wr(MSR(SELF), 0x72));
    assert_int_equal(who_got(0x72), 1);
}

static void test_init_and_start_up(void **state)
{
    (void)state;
    vlapic_write(v, ICR2, 4 << 24);
    vlapic_write(v, ICR, 6 << 8 | 0x12); /* a start-up to who runs: nothing */
    assert_int_equal(resets, 0);
    vlapic_write(v, ICR, 5 << 8 | 0x4000);
    assert_true(d->vcpu[2]->pause_flags & BIT(VPF_down));
    vlapic_write(d->vcpu[2], LVTT, 0x40);
    vlapic_write(v, ICR, 6 << 8 | 0x12);
    assert_int_equal(resets, 1);
    assert_int_equal(start_page, 0x12);
    assert_int_equal(upcalls, 1); /* what was pending is not forgotten */
    assert_false(d->vcpu[2]->pause_flags & BIT(VPF_down));
    assert_int_equal(vlapic_read(d->vcpu[2], LVTT), MASKED);
    /* It stays in x2APIC mode, if it was, where its logical number cannot be written. */
    all_to_x2apic();
    assert_true(wr(MSR(ICR), 5 << 8 | 0x4000 | 18ULL << 32));
    v = d->vcpu[9];
    assert_true(vlapic_wrmsr(d->vcpu[0], MSR(ICR), 6 << 8 | 0x12 | 18ULL << 32));
    assert_int_equal(resets, 2);
    assert_int_equal(rd(MSR(ID)), 18);
    assert_int_equal(rd(MSR(LDR)), 1u << 16 | 1u << 2);
}

static void test_start_up_not_asked_for(void **state)
{
    (void)state;
    vlapic_write(v, ICR2, 4 << 24);
    vlapic_write(v, ICR, 5 << 8 | 0x8000); /* INIT de-asserted */
    assert_false(d->vcpu[2]->pause_flags & BIT(VPF_down));
    vlapic_write(v, ICR, 5 << 8 | 0x4000 | 1 << 18); /* not to oneself */
    assert_false(v->pause_flags & BIT(VPF_down));
    vlapic_write(v, ICR, 4 << 8 | 3 << 18);
    assert_int_equal(nmis, VCPUS - 1);
}

/* --- the timer: its clock has 100 MHz --- */

static void test_one_shot(void **state)
{
    (void)state;
    vlapic_write(v, DIVIDE, 0xb); /* by 1 */
    vlapic_write(v, LVTT, 0x40);
    vlapic_write(v, INIT_COUNT, 100000);
    assert_int_equal(vlapic_read(v, COUNT), 100000);
    assert_int_equal(pass(400000, 0x40), 0);
    assert_int_equal(vlapic_read(v, COUNT), 60000);
    assert_int_equal(pass(600000, 0x40), 1);
    assert_int_equal(vlapic_read(v, COUNT), 0);
    assert_int_equal(pass(SECONDS(10), 0x40), 0);
    vlapic_write(v, LVTT, PERIODIC | 0x40); /* what has ended does not begin again */
    assert_int_equal(pass(SECONDS(10), 0x40), 0);
    vlapic_write(v, INIT_COUNT, 1000);
    vlapic_write(v, INIT_COUNT, 0);
    assert_int_equal(pass(SECONDS(10), 0x40), 0);
}

static void test_periodic(void **state)
{
    (void)state;
    vlapic_write(v, LVTT, PERIODIC | 0x40);
    vlapic_write(v, DIVIDE, 1); /* by 4 */
    vlapic_write(v, INIT_COUNT, 25000);
    assert_int_equal(pass(MILLISECS(10), 0x40), 10);
    assert_int_equal(pass(MICROSECS(250), 0x40), 0);
    assert_int_equal(vlapic_read(v, COUNT), 18750);
    vlapic_write(v, DIVIDE, 0xb); /* the count goes on, four times as fast */
    assert_int_equal(vlapic_read(v, COUNT), 18750);
    assert_int_equal(pass(MICROSECS(188), 0x40), 1);
    vlapic_write(v, LVTT, PERIODIC | MASKED | 0x40);
    assert_int_equal(pass(MILLISECS(1), 0x40), 0);
    /* One that would keep the host busy does not. */
    vlapic_write(v, LVTT, PERIODIC | 0x40);
    vlapic_write(v, INIT_COUNT, 1);
    assert_in_range(pass(MILLISECS(1), 0x40), 1, 21);
}

static void test_deadline(void **state)
{
    uint64_t val;

    (void)state;
    assert_true(wr(MSR_TSC_DEADLINE, arch_guest_tsc(v) + 100)); /* in another mode: nothing */
    assert_int_equal(rd(MSR_TSC_DEADLINE), 0);
    vlapic_write(v, LVTT, DEADLINE_MODE | 0x41);
    vlapic_write(v, INIT_COUNT, 1000); /* neither has this a meaning now */
    assert_int_equal(vlapic_read(v, INIT_COUNT), 0);
    val = arch_guest_tsc(v) + 2000000;
    assert_true(wr(MSR_TSC_DEADLINE, val));
    assert_int_equal(rd(MSR_TSC_DEADLINE), val);
    assert_int_equal(pass(MICROSECS(999), 0x41), 0);
    assert_int_equal(pass(MICROSECS(1), 0x41), 1);
    assert_int_equal(rd(MSR_TSC_DEADLINE), 0);
    assert_true(wr(MSR_TSC_DEADLINE, 1)); /* long ago: at once */
    assert_int_equal(pass(0, 0x41), 1);
    assert_true(wr(MSR_TSC_DEADLINE, ~0ULL)); /* never */
    assert_int_equal(pass(SECONDS(100000), 0x41), 0);
    /* Out of a record: two modes at once are one, as when they are written. */
    v->arch.hvm->lapic.reg[APIC_REG(LVTT)] = DEADLINE_MODE | PERIODIC | 0x41;
    v->arch.hvm->lapic.deadline = arch_guest_tsc(v) + 2000000;
    vlapic_restart(v);
    assert_int_equal(vlapic_read(v, LVTT), DEADLINE_MODE | 0x41);
    assert_int_equal(pass(MILLISECS(1), 0x41), 1);
    vlapic_write(v, LVTT, 0x41); /* disarmed */
    assert_int_equal(rd(MSR_TSC_DEADLINE), 0);
    policy.leaf[0].c = 1u << 21;
    assert_false(wr(MSR_TSC_DEADLINE, 0));
    assert_false(vlapic_rdmsr(v, MSR_TSC_DEADLINE, &val));
    vlapic_write(v, LVTT, DEADLINE_MODE | 0x41);
    assert_int_equal(vlapic_read(v, LVTT), 0x41);
}

static void test_fires_late(void **state)
{
    struct timer *t = &v->arch.hvm->lapic.timer;

    (void)state;
    vlapic_write(v, LVTT, 0x40);
    vlapic_write(v, INIT_COUNT, 1000);
    fake_now += SECONDS(1);
    t->set = false; /* on its way, on another CPU, when it is set anew */
    vlapic_write(v, INIT_COUNT, 1000000);
    t->fn(t->data);
    assert_int_equal(vlapic_pending(v), -1);
    assert_true(t->set);
}

/* --- errors --- */

static void test_errors(void **state)
{
    (void)state;
    vlapic_write(v, LVT_ERROR, 0x44);
    vlapic_write(v, ICR2, 2 << 24);
    vlapic_write(v, ICR, 5); /* no such vector */
    assert_int_equal(who_got(0x44), 1);
    assert_int_equal(vlapic_read(v, ESR), 0);
    vlapic_write(v, ESR, 0);
    assert_int_equal(vlapic_read(v, ESR), 0x20);
    vlapic_write(d->vcpu[1], ESR, 0);
    assert_int_equal(vlapic_read(d->vcpu[1], ESR), 0); /* nothing arrived there */
    vlapic_write(v, LVTT, 5);
    vlapic_write(v, INIT_COUNT, 1);
    assert_int_equal(pass(MILLISECS(1), 0x44), 1);
    vlapic_write(v, ESR, 0);
    assert_int_equal(vlapic_read(v, ESR), 0x40);
    assert_int_equal(vlapic_read(v, 0x40), 0); /* no such register */
    assert_int_equal(vlapic_read(v, 0x48), 0);
    vlapic_write(v, 0x3f0, 1);
    assert_int_equal(who_got(0x44), 1); /* told once */
    vlapic_write(v, ESR, 0);
    assert_int_equal(vlapic_read(v, ESR), 0x80);
    vlapic_write(v, ESR, 0);
    assert_int_equal(vlapic_read(v, ESR), 0);
}

static void test_reserved_bits_of_x2apic_fault(void **state)
{
    static const struct {
        unsigned off;
        uint64_t bad, good;
    } writes[] = {{TPR, 0x100, 0xff},           {EOI, 1, 0},
                  {SVR, 0x400, 0x3ff},          {ESR, 1, 0},
                  {ICR, 1 << 12, 0xf1},         {ICR, 1 << 16, 0xc8f1},
                  {ICR, 1u << 31, 0xf1},        {LVTT, 1 << 8, 0x310ff},
                  {LVTT, 1 << 19, 0x50040},     {LINT0, 1 << 11, 0x1f7ff},
                  {LVT_ERROR, 1 << 8, 0x110ff}, {DIVIDE, 4, 0xb},
                  {SELF, 0x100, 0xff},          {INIT_COUNT, 1ULL << 32, 0}};
    static const unsigned unreadable[] = {EOI, SELF, DFR, ICR2, 0x2f0, 0x90, 0, 0x400, 0xff0};
    static const unsigned unwritable[] = {ID, PPR, LDR, DFR, ISR, ICR2, COUNT, 0, 0x400};
    uint64_t val;

    (void)state;
    assert_false(vlapic_rdmsr(v, MSR(ID), &val)); /* not before it is turned on */
    assert_false(wr(MSR(EOI), 0));
    all_to_x2apic();
    for (unsigned i = 0; i < ARRAY_SIZE(writes); i++) {
        assert_false(wr(MSR(writes[i].off), writes[i].bad));
        assert_true(wr(MSR(writes[i].off), writes[i].good));
        if (writes[i].off != ICR)
            assert_false(wr(MSR(writes[i].off), writes[i].good | 1ULL << 32));
    }
    for (unsigned i = 0; i < ARRAY_SIZE(unreadable); i++)
        assert_false(vlapic_rdmsr(v, MSR(unreadable[i]), &val));
    for (unsigned i = 0; i < ARRAY_SIZE(unwritable); i++)
        assert_false(wr(MSR(unwritable[i]), 0));
    assert_false(vlapic_has_page(v, VLAPIC_DEFAULT_BASE));
}

static void test_modes(void **state)
{
    uint64_t base = v->arch.hvm->lapic.base, plain = base & ~(uint64_t)BOTH;

    (void)state;
    assert_int_equal(base, VLAPIC_DEFAULT_BASE | APIC_BASE_ENABLE | APIC_BASE_BSP);
    assert_true(vlapic_has_page(v, VLAPIC_DEFAULT_BASE + 0x20));
    assert_false(wr(MSR_APIC_BASE, base + PAGE_SIZE)); /* it stays where it is */
    assert_false(wr(MSR_APIC_BASE, base & ~(uint64_t)APIC_BASE_BSP));
    assert_false(wr(MSR_APIC_BASE, base | 1));
    assert_false(wr(MSR_APIC_BASE, plain | APIC_BASE_X2APIC));
    assert_true(wr(MSR_APIC_BASE, plain | BOTH));
    assert_true(wr(MSR_APIC_BASE, plain | BOTH));
    assert_false(wr(MSR_APIC_BASE, plain | APIC_BASE_ENABLE)); /* not back at once */
    vlapic_raise(v, 0x80);
    assert_true(wr(MSR_APIC_BASE, plain));
    assert_false(vlapic_has_page(v, VLAPIC_DEFAULT_BASE));
    assert_int_equal(vlapic_pending(v), -1);
    assert_int_equal(upcalls, 1);
    assert_false(wr(MSR_APIC_BASE, plain | BOTH)); /* nor this way at once */
    assert_true(wr(MSR_APIC_BASE, plain | APIC_BASE_ENABLE));
    assert_int_equal(vlapic_read(v, SVR), 0xff);
    policy.leaf[0].c = 0;
    assert_false(wr(MSR_APIC_BASE, plain | BOTH));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_the_highest_priority_first),
        T(test_task_priority_holds_back),
        T(test_disabled_by_software),
        T(test_ipis_of_xapic),
        T(test_ipis_of_x2apic),
        T(test_init_and_start_up),
        T(test_start_up_not_asked_for),
        T(test_one_shot),
        T(test_periodic),
        T(test_deadline),
        T(test_fires_late),
        T(test_errors),
        T(test_reserved_bits_of_x2apic_fault),
        T(test_modes),
    };

    return cmocka_run_group_tests_name("vlapic", tests, NULL, NULL);
}
