// SPDX-License-Identifier: MIT
/*
 * Interrupts between vcpus, of every kind and at every moment: none may be lost.
 *
 * Each vcpu sends to the others as chance has it, spins with interrupts on and off, and halts.  Of
 * a kind only one is under way between two vcpus, so that each has to be taken.  Vcpu 0 watches: if
 * one is late, all stop sending and go on waiting as they are, since the next interrupt would wake
 * a vcpu that has missed one.  What has not come ten seconds later is lost.
 */
#include "guest.h"
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>

enum kind { FIXED, TO_ALL, NMI, EVENT, TO_SELF, KINDS };
static const char *const kinds[KINDS] = {"fixed", "to all others", "NMI", "event", "self"};

#define VEC_FIXED    0x50 /* and the sender's number */
#define VEC_TO_ALL   0x60
#define VEC_TO_SELF  0x70
#define VEC_CALLBACK 0xf2
#define ICR_NMI      0x400
#define ICR_SELF     0x40000
#define ICR_OTHERS   0xc0000

#define LATE_NS 300000000UL
#define LOST_NS 10000000000UL

static struct box {
    volatile u32 sent, taken;
    volatile u64 when;
} boxes[MAX_CPUS][MAX_CPUS][KINDS]; /* of the receiver, from the sender */
static u32 ports[MAX_CPUS][MAX_CPUS];
static const char *volatile doing[MAX_CPUS]; /* for who looks what the receiver was at */
static volatile bool quiet, stop;
static unsigned ready; /* vcpus that may be sent to; atomic */
static volatile u64 rounds[MAX_CPUS], halts[MAX_CPUS];
static volatile unsigned unwanted; /* came while interrupts were off */
static unsigned nr, late;
static u64 slowest;

static void take(unsigned from, enum kind kind)
{
    struct box *b = &boxes[this_cpu()->id][from][kind];

    b->taken = b->sent;
}

static void check_wanted(const struct frame *f)
{
    if (!(f->rflags & 0x200))
        unwanted++;
}

static bool on_vector(struct frame *f)
{
    unsigned from = f->vector & 15, base = f->vector & ~15u;

    check_wanted(f);
    take(from, base == VEC_FIXED ? FIXED : base == VEC_TO_ALL ? TO_ALL : TO_SELF);
    apic_write(APIC_EOI, 0);
    return true;
}

static bool on_nmi(struct frame *f)
{
    (void)f;
    for (unsigned from = 0; from < nr; from++)
        take(from, NMI);
    return true;
}

static bool on_event(struct frame *f)
{
    vcpu_info_t *vi = vcpu_info();

    check_wanted(f);
    vi->evtchn_upcall_pending = 0;
    __atomic_exchange_n(&vi->evtchn_pending_sel, 0, __ATOMIC_SEQ_CST);
    for (unsigned from = 0; from < nr; from++)
        if (port_pending(ports[this_cpu()->id][from])) {
            clear_port(ports[this_cpu()->id][from]);
            take(from, EVENT);
        }
    if (f->vector == VEC_UPCALL)
        apic_write(APIC_EOI, 0);
    return true;
}

/* Nothing of this kind is under way to that vcpu: now there is. */
static bool begin(unsigned to, unsigned from, enum kind kind)
{
    struct box *b = &boxes[to][from][kind];

    if (b->sent != b->taken)
        return false;
    b->when = now();
    barrier();
    b->sent++;
    return true;
}

static void send_to_others(unsigned me)
{
    for (unsigned to = 0; to < nr; to++)
        if (boxes[to][me][TO_ALL].sent != boxes[to][me][TO_ALL].taken)
            return;
    for (unsigned to = 0; to < nr; to++)
        if (to != me)
            begin(to, me, TO_ALL);
    apic_send(me, ICR_OTHERS | (VEC_TO_ALL + me));
}

static void send(unsigned me, unsigned to, enum kind kind)
{
    struct evtchn_send e = {.port = ports[to][me]};

    if (kind == TO_ALL) {
        send_to_others(me);
        return;
    }
    if (kind == TO_SELF)
        to = me;
    if ((to == me) != (kind == TO_SELF) || !begin(to, me, kind))
        return;
    if (kind == FIXED)
        apic_send(to, VEC_FIXED + me);
    else if (kind == NMI)
        apic_send(to, ICR_NMI);
    else if (kind == EVENT)
        evtchn(EVTCHNOP_send, &e);
    else
        apic_send(me, ICR_SELF | (VEC_TO_SELF + me));
}

static void spin(unsigned n)
{
    while (n--)
        cpu_pause();
}

/* Vcpu 0 wakes by its timer, so that somebody sends. */
static void halt(unsigned me)
{
    doing[me] = "halts";
    irq_off();
    if (!me)
        apic_timer(100000);
    spin(rdtsc_() & 127);
    __asm__ volatile("sti; hlt" ::: "memory");
    halts[me]++;
}

static void step(unsigned me, u64 random)
{
    unsigned n = random >> 20 & 1023;

    rounds[me]++;
    switch (random & 15) {
    case 0:
        halt(me);
        break;
    case 1:
    case 2:
        doing[me] = "spins with interrupts off";
        irq_off();
        spin(n);
        irq_on();
        break;
    case 3:
        doing[me] = "spins";
        spin(n);
        break;
    case 4:
        doing[me] = "yields";
        HC2(sched_op, SCHEDOP_yield, 0);
        break;
    default:
        doing[me] = "sends";
        send(me, (random >> 4 & 15) % nr, (random >> 8 & 15) % KINDS);
    }
}

static void bounce(unsigned long me)
{
    if (me & 1) /* both kinds of APIC */
        wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_X2APIC);
    irq_on();
    __atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
    while (READ_ONCE(ready) < nr)
        cpu_pause();
    for (u64 random = rdtsc_(); !stop; random = random * 6364136223846793005UL + 1) {
        step(me, random >> 24);
        while (quiet && !stop) {
            doing[me] = "waits";
            cpu_pause();
        }
    }
}

static void wait_for(struct box *b, unsigned to, unsigned from, enum kind kind)
{
    const char *what = doing[to];
    u64 age;

    quiet = true;
    late++;
    while (b->sent != b->taken && now() < b->when + LOST_NS)
        cpu_pause();
    age = now() - b->when;
    if (b->sent != b->taken) {
        fail("ipis", __LINE__, "lost: %s, vcpu %u to %u, which %s, then %s", kinds[kind], from, to,
             what, doing[to]);
        stop = true;
    } else if (age > slowest) {
        slowest = age;
        say("  %s, vcpu %u to %u, which %s: %lu ms\n", kinds[kind], from, to, what, age / 1000000);
    }
    quiet = false;
}

static void watch(void)
{
    u64 at = now();

    for (unsigned to = 0; to < nr; to++)
        for (unsigned from = 0; from < nr; from++)
            for (enum kind k = 0; k < KINDS; k++) {
                struct box *b = &boxes[to][from][k];

                if (b->sent != b->taken && at > b->when + LATE_NS)
                    wait_for(b, to, from, k);
            }
}

static void prepare(void)
{
    struct xen_hvm_param callback = {
        .domid = DOMID_SELF, .index = HVM_PARAM_CALLBACK_IRQ, .value = 2UL << 56 | VEC_CALLBACK};

    nr = nr_vcpus();
    if (nr < 2)
        skip("one vcpu only");
    REQUIRE_EQ(HC2(hvm_op, HVMOP_set_param, &callback), 0); /* vcpu 0 has a vector of its APIC */
    for (unsigned to = 0; to < nr; to++)
        for (unsigned from = 0; from < nr; from++) {
            struct evtchn_bind_ipi b = {.vcpu = to};

            REQUIRE_EQ(evtchn(EVTCHNOP_bind_ipi, &b), 0);
            ports[to][from] = b.port;
            unmask_port(b.port);
        }
    for (unsigned i = 0; i < nr; i++)
        hooks[VEC_FIXED + i] = hooks[VEC_TO_ALL + i] = hooks[VEC_TO_SELF + i] = on_vector;
    hooks[VEC_NMI] = on_nmi;
    hooks[VEC_UPCALL] = hooks[VEC_CALLBACK] = on_event;
}

static void run_for(unsigned seconds)
{
    u64 end, total = 0, halted = 0, random = rdtsc_();

    prepare();
    for (unsigned cpu = 1; cpu < nr; cpu++)
        start_on_cpu(cpu, bounce, cpu);
    __atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
    while (READ_ONCE(ready) < nr)
        cpu_pause();
    for (end = now() + seconds * 1000000000UL; now() < end && !stop; watch()) {
        random = random * 6364136223846793005UL + 1;
        step(0, random >> 24);
    }
    stop = true;
    for (unsigned cpu = 1; cpu < nr; cpu++)
        while (cpus[cpu].busy)
            apic_send(cpu, ICR_NMI);
    for (unsigned to = 0; to < nr; to++) {
        halted += halts[to];
        for (unsigned from = 0; from < nr; from++)
            for (enum kind k = 0; k < KINDS; k++)
                total += boxes[to][from][k].taken;
    }
    CHECK(total > 0);
    CHECK_EQ(unwanted, 0);
    say("  %u vcpus, %lu interrupts, %lu halts; %u late, the slowest took %lu ms\n", nr, total,
        halted, late, slowest / 1000000);
}

TEST(stress_ipis)
{
    run_for(3);
}

/* For whoever hunts. */
ALONE(stress_ipis_long)
{
    run_for(120);
}
