// SPDX-License-Identifier: MIT
/*
 * The local APIC of a vcpu: as a page of registers, or as MSRs (x2APIC), with a timer in all three
 * modes.  There are no interrupt lines and no I/O APIC behind it: what arrives are interrupts
 * between vcpus, its own timer, and the upcalls of event channels.
 *
 * IRR is set by anybody; all else is touched by the vcpu itself, or while it does not run.  An
 * interrupt that is raised unblocks its vcpu or interrupts the CPU that it runs on.
 */
#include "arch/api/arch_domain.h"
#include "arch/api/arch_time.h"
#include "arch/x86/hvm/hvm.h"
#include "arch/x86/time/time.h"
#include "asm/apic.h"
#include "asm/irq_vectors.h"
#include "asm/msr.h"
#include "lib/string.h"

enum {
    R_ID = 0x20,
    R_VERSION = 0x30,
    R_TPR = 0x80,
    R_APR = 0x90,
    R_PPR = 0xa0,
    R_EOI = 0xb0,
    R_LDR = 0xd0,
    R_DFR = 0xe0,
    R_SVR = 0xf0,
    R_ISR = 0x100,
    R_TMR = 0x180,
    R_IRR = 0x200,
    R_ESR = 0x280,
    R_ICR = 0x300,
    R_ICR2 = 0x310,
    R_LVTT = 0x320,
    R_LVT_THERMAL = 0x330,
    R_LVT_PERF = 0x340,
    R_LVT0 = 0x350,
    R_LVT1 = 0x360,
    R_LVT_ERROR = 0x370,
    R_TIMER_INIT = 0x380,
    R_TIMER_NOW = 0x390,
    R_TIMER_DIVIDE = 0x3e0,
    R_SELF_IPI = 0x3f0,
};

#define VERSION_MAXLVT  0x50014 /* six entries, integrated */
#define SVR_ENABLED     0x100
#define LVT_MASKED      0x10000
#define TIMER_MODE      0x60000
#define TIMER_PERIODIC  0x20000
#define TIMER_DEADLINE  0x40000
#define ESR_SENT_VECTOR 0x20
#define ESR_VECTOR      0x40
#define BUS_NS          10 /* the timer's clock has 100 MHz */

#define ICR_MODE(x)      (((x) >> 8) & 7)
#define ICR_LOGICAL      0x800
#define ICR_LEVEL_ASSERT 0x4000
#define ICR_TRIG_LEVEL   0x8000
#define ICR_SHORTHAND(x) (((x) >> 18) & 3)
enum { MODE_FIXED, MODE_LOWEST, MODE_SMI, MODE_NMI = 4, MODE_INIT, MODE_STARTUP };

static struct vlapic *lapic_of(const struct vcpu *v)
{
    return &v->arch.hvm->lapic;
}

static inline uint32_t *reg(struct vlapic *l, unsigned off)
{
    return &l->reg[APIC_REG(off)];
}

static bool x2apic(const struct vlapic *l)
{
    return l->base & APIC_BASE_X2APIC;
}

/* The MADT that the tools make numbers vcpus so. */
uint32_t vlapic_id(const struct vcpu *v)
{
    return v->vcpu_id * 2;
}

/* As after a reset, or (keep_base) INIT, which leaves APIC_BASE alone. */
static void vlapic_reset(struct vcpu *v, bool keep_base)
{
    struct vlapic *l = lapic_of(v);
    static const uint16_t lvt[] = {R_LVTT, R_LVT_THERMAL, R_LVT_PERF, R_LVT0, R_LVT1, R_LVT_ERROR};

    timer_stop(&l->timer);
    memset(l->reg, 0, sizeof(l->reg));
    l->errors = 0;
    l->deadline = 0;
    if (!keep_base)
        l->base = VLAPIC_DEFAULT_BASE | APIC_BASE_ENABLE | (v->vcpu_id ? 0 : APIC_BASE_BSP);
    *reg(l, R_ID) = x2apic(l) ? vlapic_id(v) : vlapic_id(v) << 24;
    *reg(l, R_VERSION) = VERSION_MAXLVT;
    *reg(l, R_DFR) = ~0u;
    *reg(l, R_SVR) = 0xff;
    for (unsigned i = 0; i < ARRAY_SIZE(lvt); i++)
        *reg(l, lvt[i]) = LVT_MASKED;
}

/* --- vectors --- */

static void set_vector(struct vlapic *l, unsigned first, uint8_t vector)
{
    __atomic_fetch_or(reg(l, first + (vector / 32) * 16), 1u << (vector % 32), __ATOMIC_SEQ_CST);
}

static void clear_vector(struct vlapic *l, unsigned first, uint8_t vector)
{
    __atomic_fetch_and(reg(l, first + (vector / 32) * 16), ~(1u << (vector % 32)),
                       __ATOMIC_SEQ_CST);
}

static int highest(const struct vlapic *l, unsigned first)
{
    for (int i = 7; i >= 0; i--) {
        uint32_t word = READ_ONCE(l->reg[APIC_REG(first) + i]);

        if (word)
            return i * 32 + 31 - __builtin_clz(word);
    }
    return -1;
}

static uint8_t ppr(const struct vlapic *l)
{
    int isr = highest(l, R_ISR);
    uint8_t tpr = l->reg[APIC_REG(R_TPR)];

    return isr >= 0 && (isr & 0xf0) >= (tpr & 0xf0) ? isr & 0xf0 : tpr;
}

static bool enabled(const struct vlapic *l)
{
    return (l->reg[APIC_REG(R_SVR)] & SVR_ENABLED) && (l->base & APIC_BASE_ENABLE);
}

/*
 * Noted for ESR.  The first of its kind raises the error interrupt, and that of an illegal vector
 * is itself such an error, but raises nothing more.
 */
static void error(struct vcpu *v, uint32_t which)
{
    struct vlapic *l = lapic_of(v);
    uint32_t lvt = READ_ONCE(*reg(l, R_LVT_ERROR));

    if (__atomic_fetch_or(&l->errors, which, __ATOMIC_RELAXED) & which)
        return;
    if (lvt & LVT_MASKED)
        return;
    if ((lvt & 0xff) < 16)
        __atomic_fetch_or(&l->errors, ESR_VECTOR, __ATOMIC_RELAXED);
    else
        vlapic_raise(v, lvt);
}

/* Also while it is disabled: an upcall is raised once, and waits. */
void vlapic_raise(struct vcpu *v, uint8_t vector)
{
    struct vlapic *l = lapic_of(v);

    if (vector < 16) {
        error(v, ESR_VECTOR);
        return;
    }
    set_vector(l, R_IRR, vector);
    vcpu_unblock(v);
    if (v != current && READ_ONCE(v->is_running))
        send_ipi(v->processor, VECTOR_EVENT_CHECK);
}

int vlapic_pending(const struct vcpu *v)
{
    const struct vlapic *l = lapic_of(v);
    int irr = highest(l, R_IRR);

    return irr >= 0 && enabled(l) && (irr & 0xf0) > (ppr(l) & 0xf0) ? irr : -1;
}

bool vlapic_held_back(const struct vcpu *v)
{
    const struct vlapic *l = lapic_of(v);

    return unlikely(l->reg[APIC_REG(R_TPR)]) && enabled(l) && highest(l, R_IRR) >= 0 &&
           vlapic_pending(v) < 0;
}

void vlapic_accept(struct vcpu *v, uint8_t vector)
{
    struct vlapic *l = lapic_of(v);

    clear_vector(l, R_IRR, vector);
    set_vector(l, R_ISR, vector);
}

static void end_of_interrupt(struct vlapic *l)
{
    int isr = highest(l, R_ISR);

    if (isr >= 0)
        clear_vector(l, R_ISR, isr);
}

uint8_t vlapic_get_tpr(const struct vcpu *v)
{
    return lapic_of(v)->reg[APIC_REG(R_TPR)];
}

void vlapic_set_tpr(struct vcpu *v, uint8_t tpr)
{
    *reg(lapic_of(v), R_TPR) = tpr;
}

/* --- interrupts between vcpus --- */

static uint32_t x2apic_logical_id(uint32_t id)
{
    return (id & 0xffff0) << 12 | 1u << (id & 15);
}

static bool matches(struct vcpu *v, uint32_t dest, bool logical, bool sender_x2apic)
{
    struct vlapic *l = lapic_of(v);
    uint32_t id = vlapic_id(v);

    if (!logical)
        return dest == (sender_x2apic ? ~0u : 0xffu) || dest == id;
    if (sender_x2apic)
        return dest == ~0u || (dest >> 16 == x2apic_logical_id(id) >> 16 &&
                               (dest & x2apic_logical_id(id) & 0xffff));
    if (*reg(l, R_DFR) >> 28 == 0xf)
        return dest & (*reg(l, R_LDR) >> 24);
    return dest >> 4 == *reg(l, R_LDR) >> 28 && (dest & (*reg(l, R_LDR) >> 24) & 0xf);
}

/*
 * INIT stops a vcpu; the start-up interrupt that follows makes it begin in real mode.  The sender
 * waits for nothing: a start-up that comes before the vcpu has left its CPU is lost, and senders
 * repeat it.
 */
static void start_up(struct vcpu *v, uint8_t page)
{
    bool was_down = false;

    spin_lock(&v->domain->lock);
    if (!v->is_initialised && !READ_ONCE(v->is_running)) {
        vlapic_reset(v, true);
        hvm_raise_upcall(v); /* which was forgotten just now */
        hvm_reset_state(v, page);
        v->is_initialised = true;
        was_down = test_and_clear_bit(VPF_down, &v->pause_flags);
    }
    spin_unlock(&v->domain->lock);
    if (was_down)
        vcpu_wake(v);
}

static void init(struct vcpu *v)
{
    if (v == current)
        return;
    spin_lock(&v->domain->lock);
    set_bit(VPF_down, &v->pause_flags);
    v->is_initialised = false;
    spin_unlock(&v->domain->lock);
    vcpu_sleep_nosync(v);
}

static void deliver(struct vcpu *v, uint32_t icr)
{
    switch (ICR_MODE(icr)) {
    case MODE_FIXED:
    case MODE_LOWEST:
        if (enabled(lapic_of(v)))
            vlapic_raise(v, icr);
        break;
    case MODE_NMI:
        hvm_kind.send_nmi(v);
        break;
    case MODE_INIT:
        if ((icr & (ICR_LEVEL_ASSERT | ICR_TRIG_LEVEL)) != ICR_TRIG_LEVEL)
            init(v);
        break;
    case MODE_STARTUP:
        start_up(v, icr);
        break;
    default:
        break;
    }
}

static void send(struct vcpu *from, uint32_t icr, uint32_t dest)
{
    bool wide = x2apic(lapic_of(from));
    struct vcpu *v;

    if ((ICR_MODE(icr) == MODE_FIXED || ICR_MODE(icr) == MODE_LOWEST) && (icr & 0xff) < 16) {
        error(from, ESR_SENT_VECTOR);
        return;
    }
    if (ICR_SHORTHAND(icr) == 1) {
        deliver(from, icr);
        return;
    }
    for_each_vcpu (from->domain, v) {
        if (ICR_SHORTHAND(icr) == 3 && v == from)
            continue;
        if (ICR_SHORTHAND(icr) || matches(v, dest, icr & ICR_LOGICAL, wide)) {
            deliver(v, icr);
            if (ICR_MODE(icr) == MODE_LOWEST)
                break;
        }
    }
}

/* --- the timer --- */

static unsigned divider(struct vlapic *l)
{
    uint32_t d = *reg(l, R_TIMER_DIVIDE);
    unsigned log = ((d & 3) | (d >> 1 & 4)) + 1;

    return log == 8 ? 1 : 1u << log;
}

static s_time_t period(struct vlapic *l)
{
    return (s_time_t)*reg(l, R_TIMER_INIT) * BUS_NS * divider(l);
}

/* At least this, so that a guest cannot keep the timer's CPU busy with its own. */
#define MIN_PERIOD MICROSECS(50)

static void timer_fired(void *data)
{
    struct vcpu *v = data;
    struct vlapic *l = lapic_of(v);
    uint32_t lvt = READ_ONCE(*reg(l, R_LVTT));

    if ((lvt & TIMER_MODE) == TIMER_PERIODIC && period(l)) {
        s_time_t step = max(period(l), MIN_PERIOD), now = NOW();

        l->timer_began = max(l->timer_began + step, now - step);
        timer_set(&l->timer, l->timer_began + step);
    } else if ((lvt & TIMER_MODE) == TIMER_DEADLINE)
        l->deadline = 0;
    if (!(lvt & LVT_MASKED))
        vlapic_raise(v, lvt);
}

static void start_count(struct vlapic *l)
{
    timer_stop(&l->timer);
    l->timer_began = NOW();
    if (period(l) && (*reg(l, R_LVTT) & TIMER_MODE) != TIMER_DEADLINE)
        timer_set_here(&l->timer, l->timer_began + period(l));
}

static uint32_t count_now(struct vlapic *l)
{
    s_time_t passed = NOW() - l->timer_began, whole = period(l);

    if (!whole || (*reg(l, R_LVTT) & TIMER_MODE) == TIMER_DEADLINE)
        return 0;
    if ((*reg(l, R_LVTT) & TIMER_MODE) == TIMER_PERIODIC)
        passed %= whole;
    return passed >= whole ? 0 : (whole - passed) / (BUS_NS * divider(l));
}

static void set_deadline(struct vcpu *v, uint64_t tsc)
{
    struct vlapic *l = lapic_of(v);
    uint64_t now = arch_guest_tsc(v);

    if ((*reg(l, R_LVTT) & TIMER_MODE) != TIMER_DEADLINE)
        return;
    timer_stop(&l->timer);
    l->deadline = tsc;
    if (tsc)
        timer_set_here(&l->timer, NOW() + (tsc > now ? (s_time_t)tsc_to_ns(tsc - now) : 0));
}

void vlapic_restart(struct vcpu *v)
{
    struct vlapic *l = lapic_of(v);

    *reg(l, R_ID) = x2apic(l) ? vlapic_id(v) : vlapic_id(v) << 24;
    *reg(l, R_VERSION) = VERSION_MAXLVT;
    if ((*reg(l, R_LVTT) & TIMER_MODE) == TIMER_DEADLINE)
        set_deadline(v, l->deadline);
    else
        start_count(l);
}

/* --- registers --- */

static void set_lvt(struct vlapic *l, unsigned off, uint32_t val)
{
    uint32_t valid = off == R_LVTT ? 0x710ff : off == R_LVT_ERROR ? 0x110ff : 0x1f7ff;

    if (!(*reg(l, R_SVR) & SVR_ENABLED))
        val |= LVT_MASKED;
    if (off == R_LVTT && ((val ^ *reg(l, R_LVTT)) & TIMER_MODE)) {
        timer_stop(&l->timer);
        l->deadline = 0;
        *reg(l, R_TIMER_INIT) = 0;
    }
    *reg(l, off) = val & valid;
}

uint32_t vlapic_read(struct vcpu *v, unsigned off)
{
    struct vlapic *l = lapic_of(v);

    switch (off) {
    case R_PPR:
        return ppr(l);
    case R_TIMER_NOW:
        return count_now(l);
    case R_EOI:
    case R_SELF_IPI:
        return 0;
    default:
        return off < NR_APIC_REGS * 16 ? *reg(l, off & ~15u) : 0;
    }
}

void vlapic_write(struct vcpu *v, unsigned off, uint32_t val)
{
    struct vlapic *l = lapic_of(v);

    switch (off) {
    case R_TPR:
        *reg(l, R_TPR) = val & 0xff;
        break;
    case R_EOI:
        end_of_interrupt(l);
        break;
    case R_LDR:
        if (!x2apic(l))
            *reg(l, R_LDR) = val & 0xff000000;
        break;
    case R_DFR:
        if (!x2apic(l))
            *reg(l, R_DFR) = val | 0x0fffffff;
        break;
    case R_SVR:
        *reg(l, R_SVR) = val & 0x1ff;
        break;
    case R_ESR:
        *reg(l, R_ESR) = __atomic_exchange_n(&l->errors, 0, __ATOMIC_RELAXED);
        break;
    case R_ICR:
        *reg(l, R_ICR) = val & ~0x1000u;
        send(v, val, x2apic(l) ? *reg(l, R_ICR2) : *reg(l, R_ICR2) >> 24);
        break;
    case R_ICR2:
        *reg(l, R_ICR2) = val;
        break;
    case R_LVTT:
    case R_LVT_THERMAL:
    case R_LVT_PERF:
    case R_LVT0:
    case R_LVT1:
    case R_LVT_ERROR:
        set_lvt(l, off, val);
        break;
    case R_TIMER_INIT:
        *reg(l, R_TIMER_INIT) = val;
        start_count(l);
        break;
    case R_TIMER_DIVIDE:
        *reg(l, R_TIMER_DIVIDE) = val & 0xb;
        break;
    default:
        break;
    }
}

bool vlapic_has_page(const struct vcpu *v, uint64_t gpa)
{
    const struct vlapic *l = lapic_of(v);

    return (l->base & (APIC_BASE_ENABLE | APIC_BASE_X2APIC)) == APIC_BASE_ENABLE &&
           gpa >> PAGE_SHIFT == l->base >> PAGE_SHIFT;
}

/* x2APIC (the manual's table of its registers): what can be read, what written. */
static bool x2apic_readable(unsigned off)
{
    return off == R_ID || off == R_VERSION || off == R_TPR || off == R_PPR || off == R_LDR ||
           (off >= R_SVR && off <= R_ESR) || off == R_ICR ||
           (off >= R_LVTT && off <= R_TIMER_NOW) || off == R_TIMER_DIVIDE;
}

static bool x2apic_writable(unsigned off)
{
    return off == R_TPR || off == R_EOI || off == R_SVR || off == R_ESR || off == R_ICR ||
           (off >= R_LVTT && off <= R_TIMER_INIT) || off == R_TIMER_DIVIDE || off == R_SELF_IPI;
}

static bool set_base(struct vcpu *v, uint64_t val)
{
    struct vlapic *l = lapic_of(v);
    uint64_t on = APIC_BASE_ENABLE | APIC_BASE_X2APIC;

    if ((val ^ l->base) & ~on) /* it stays where it is */
        return false;
    if ((val & on) == APIC_BASE_X2APIC ||
        ((l->base & on) == on && (val & on) == APIC_BASE_ENABLE) ||
        (!(l->base & on) && (val & on) == on))
        return false;
    if (!(val & APIC_BASE_ENABLE) && (l->base & APIC_BASE_ENABLE))
        vlapic_reset(v, true);
    l->base = val;
    if (x2apic(l)) {
        *reg(l, R_ID) = vlapic_id(v);
        *reg(l, R_LDR) = x2apic_logical_id(vlapic_id(v));
    } else
        *reg(l, R_ID) = vlapic_id(v) << 24;
    return true;
}

bool vlapic_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *val)
{
    struct vlapic *l = lapic_of(v);
    unsigned off = (msr - MSR_X2APIC_FIRST) << 4;

    if (msr == MSR_APIC_BASE)
        *val = l->base;
    else if (msr == MSR_TSC_DEADLINE)
        *val = l->deadline;
    else if (!x2apic(l) || !x2apic_readable(off))
        return false;
    else {
        *val = vlapic_read(v, off);
        if (off == R_ICR)
            *val |= (uint64_t)*reg(l, R_ICR2) << 32;
    }
    return true;
}

bool vlapic_wrmsr(struct vcpu *v, uint32_t msr, uint64_t val)
{
    struct vlapic *l = lapic_of(v);
    unsigned off = (msr - MSR_X2APIC_FIRST) << 4;

    if (msr == MSR_APIC_BASE)
        return set_base(v, val);
    if (msr == MSR_TSC_DEADLINE) {
        set_deadline(v, val);
        return true;
    }
    if (!x2apic(l) || !x2apic_writable(off) || (off != R_ICR && val >> 32))
        return false;
    if ((off == R_EOI || off == R_ESR) && val)
        return false;
    if (off == R_SELF_IPI) {
        vlapic_raise(v, val);
        return true;
    }
    if (off == R_ICR)
        *reg(l, R_ICR2) = val >> 32;
    vlapic_write(v, off, val);
    return true;
}

void vlapic_create(struct vcpu *v)
{
    timer_init(&lapic_of(v)->timer, timer_fired, v, 0);
    vlapic_reset(v, false);
}

void vlapic_free(struct vcpu *v)
{
    if (lapic_of(v)->timer.fn)
        timer_kill(&lapic_of(v)->timer);
}
