// SPDX-License-Identifier: MIT
/*
 * The local APIC of a vcpu: as a page of registers, or as MSRs (x2APIC); its timer is in
 * vlapic_timer.c.  There are no interrupt lines and no I/O APIC behind it: what arrives are
 * interrupts between vcpus, its own timer, and the upcalls of event channels.
 *
 * IRR is set by anybody; all else is touched by the vcpu itself, or while it does not run, but for
 * the timer's state, which is under the lock.  An interrupt that is
 * raised unblocks its vcpu or interrupts the CPU that it runs on.
 *
 * What a sender costs is bounded by the number of vcpus.
 */
#include "vlapic_private.h"
#include "arch/api/arch_domain.h"
#include "arch/api/arch_time.h"
#include "arch/x86/cpu/policy.h"
#include "arch/x86/time/time.h"
#include "asm/apic.h"
#include "asm/irq_vectors.h"
#include "asm/msr.h"
#include "kernel/console.h"
#include "lib/string.h"

#define VERSION_MAXLVT 0x50014 /* six entries, integrated */
#define SVR_BITS       0x3ff   /* the last: focus processors, which there are none of */
#define LVT_PENDING    0x1000  /* read-only: nothing is ever under way */
#define ESR_SENT       0x20    /* an illegal vector was sent */
#define ESR_RECEIVED   0x40
#define ESR_REGISTER   0x80 /* no such register */
#define F1_C_X2APIC    (1u << 21)
#define F1_C_DEADLINE  (1u << 24)

#define ICR_MODE(x)      (((x) >> 8) & 7)
#define ICR_LOGICAL      0x800
#define ICR_LEVEL_ASSERT 0x4000
#define ICR_TRIG_LEVEL   0x8000
#define ICR_VALID        0xccfffu /* of x2APIC mode, which has no delivery status */
#define ICR_SHORTHAND(x) (((x) >> 18) & 3)
enum { MODE_FIXED, MODE_LOWEST, MODE_SMI, MODE_NMI = 4, MODE_INIT, MODE_STARTUP };

static bool has_feature(const struct vcpu *v, uint32_t bit)
{
    const xen_cpuid_leaf_t *l = cpu_policy_find(v->domain->arch.cpu_policy, 1, 0);

    return l && (l->c & bit);
}

static bool x2apic(const struct vlapic *l)
{
    return l->base & APIC_BASE_X2APIC;
}

static uint32_t vlapic_id(const struct vcpu *v)
{
    return vcpu_apic_id(v->vcpu_id);
}

static uint32_t x2apic_logical_id(uint32_t id)
{
    return (id & 0xffff0) << 12 | 1u << (id & 15);
}

/* ID and, where it follows from that, the logical one, as the mode has them. */
static void set_id(struct vcpu *v)
{
    struct vlapic *l = lapic_of(v);
    uint32_t id = vlapic_id(v);

    *reg(l, APIC_ID) = x2apic(l) ? id : id << 24;
    if (x2apic(l))
        *reg(l, APIC_LDR) = x2apic_logical_id(id);
}

/* As after a reset, or (keep_base) INIT, which leaves APIC_BASE alone. */
static void vlapic_reset(struct vcpu *v, bool keep_base)
{
    struct vlapic *l = lapic_of(v);
    static const uint16_t lvt[] = {APIC_LVT_TIMER, APIC_LVT_THERM, APIC_LVT_PERF,
                                   APIC_LVT_LINT0, APIC_LVT_LINT1, APIC_LVT_ERROR};

    spin_lock(&l->lock);
    vlapic_timer_stop(l);
    memset(l->reg, 0, sizeof(l->reg));
    l->errors = 0;
    l->irr_words = 0;
    if (!keep_base)
        l->base = VLAPIC_DEFAULT_BASE | APIC_BASE_ENABLE | (v->vcpu_id ? 0 : APIC_BASE_BSP);
    set_id(v);
    *reg(l, APIC_VERSION) = VERSION_MAXLVT;
    *reg(l, APIC_DFR) = ~0u;
    *reg(l, APIC_SVR) = 0xff;
    for (unsigned i = 0; i < ARRAY_SIZE(lvt); i++)
        *reg(l, lvt[i]) = APIC_LVT_MASKED;
    spin_unlock(&l->lock);
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

/*
 * The same of IRR, which at most entries is empty.  Who raises a vector sets the bit of its word
 * last; so a bit that was cleared here too late is set again.
 */
static int highest_requested(struct vlapic *l)
{
    uint32_t words;

    while (unlikely((words = READ_ONCE(l->irr_words)) != 0)) {
        unsigned i = 31 - __builtin_clz(words);
        const uint32_t *word = &l->reg[APIC_REG(APIC_IRR) + i];
        uint32_t found = READ_ONCE(*word);

        if (found)
            return i * 32 + 31 - __builtin_clz(found);
        __atomic_fetch_and(&l->irr_words, ~(1u << i), __ATOMIC_SEQ_CST);
        if (READ_ONCE(*word))
            __atomic_fetch_or(&l->irr_words, 1u << i, __ATOMIC_SEQ_CST);
    }
    return -1;
}

static uint8_t ppr(const struct vlapic *l)
{
    int isr = highest(l, APIC_ISR);
    uint8_t tpr = l->reg[APIC_REG(APIC_TPR)];

    return isr >= 0 && (isr & 0xf0) >= (tpr & 0xf0) ? isr & 0xf0 : tpr;
}

static bool enabled(const struct vlapic *l)
{
    return (l->reg[APIC_REG(APIC_SVR)] & APIC_SVR_ENABLE) && (l->base & APIC_BASE_ENABLE);
}

/*
 * Noted for ESR, which shows it once it is written to.  The first of its kind raises the error
 * interrupt, and that of an illegal vector is itself such an error, but raises nothing more.
 */
static void error(struct vcpu *v, uint32_t which)
{
    struct vlapic *l = lapic_of(v);
    uint32_t lvt = READ_ONCE(*reg(l, APIC_LVT_ERROR));

    if (__atomic_fetch_or(&l->errors, which, __ATOMIC_RELAXED) & which)
        return;
    if (lvt & APIC_LVT_MASKED)
        return;
    if ((lvt & 0xff) < 16)
        __atomic_fetch_or(&l->errors, ESR_RECEIVED, __ATOMIC_RELAXED);
    else
        vlapic_raise(v, lvt);
}

/* Also while it is disabled: an upcall is raised once, and waits. */
void vlapic_raise(struct vcpu *v, uint8_t vector)
{
    struct vlapic *l = lapic_of(v);

    if (vector < 16) {
        error(v, ESR_RECEIVED);
        return;
    }
    set_vector(l, APIC_IRR, vector);
    __atomic_fetch_or(&l->irr_words, 1u << (vector / 32), __ATOMIC_SEQ_CST);
    vcpu_unblock(v);
    if (v != current && READ_ONCE(v->is_running))
        send_ipi(v->processor, VECTOR_EVENT_CHECK);
}

int vlapic_pending(const struct vcpu *v)
{
    struct vlapic *l = lapic_of(v);
    int irr = highest_requested(l);

    return irr >= 0 && enabled(l) && (irr & 0xf0) > (ppr(l) & 0xf0) ? irr : -1;
}

bool vlapic_held_back(const struct vcpu *v)
{
    struct vlapic *l = lapic_of(v);

    return unlikely(l->reg[APIC_REG(APIC_TPR)]) && enabled(l) && highest_requested(l) >= 0 &&
           vlapic_pending(v) < 0;
}

void vlapic_accept(struct vcpu *v, uint8_t vector)
{
    struct vlapic *l = lapic_of(v);

    clear_vector(l, APIC_IRR, vector);
    set_vector(l, APIC_ISR, vector);
}

static void end_of_interrupt(struct vlapic *l)
{
    int isr = highest(l, APIC_ISR);

    if (isr >= 0)
        clear_vector(l, APIC_ISR, isr);
}

uint8_t vlapic_get_tpr(const struct vcpu *v)
{
    return lapic_of(v)->reg[APIC_REG(APIC_TPR)];
}

void vlapic_set_tpr(struct vcpu *v, uint8_t tpr)
{
    *reg(lapic_of(v), APIC_TPR) = tpr;
}

/* --- interrupts between vcpus --- */

static bool matches(struct vcpu *v, uint32_t dest, bool logical, bool sender_x2apic)
{
    struct vlapic *l = lapic_of(v);
    uint32_t id = vlapic_id(v);

    if (!logical)
        return dest == (sender_x2apic ? ~0u : 0xffu) || dest == id;
    if (sender_x2apic)
        return dest == ~0u || (dest >> 16 == x2apic_logical_id(id) >> 16 &&
                               (dest & x2apic_logical_id(id) & 0xffff));
    if (*reg(l, APIC_DFR) >> 28 == 0xf)
        return dest & (*reg(l, APIC_LDR) >> 24);
    return dest == 0xff ||
           (dest >> 4 == *reg(l, APIC_LDR) >> 28 && (dest & (*reg(l, APIC_LDR) >> 24) & 0xf));
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
    if (was_down) {
        vcpu_unblock(v); /* it may have been in HLT, or waited for an event */
        vcpu_wake(v);
    }
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
        arch_vcpu_send_nmi(v);
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
    bool lowest = ICR_MODE(icr) == MODE_LOWEST;
    struct vcpu *v;

    if ((lowest || ICR_MODE(icr) == MODE_FIXED) && (icr & 0xff) < 16) {
        error(from, ESR_SENT);
        return;
    }
    if (ICR_SHORTHAND(icr) == 1) {
        if (ICR_MODE(icr) == MODE_FIXED)
            deliver(from, icr);
        return;
    }
    for_each_vcpu (from->domain, v) {
        if (ICR_SHORTHAND(icr) == 3 && v == from)
            continue;
        if (lowest && !enabled(lapic_of(v)))
            continue;
        if (ICR_SHORTHAND(icr) || matches(v, dest, icr & ICR_LOGICAL, wide)) {
            deliver(v, icr);
            if (lowest)
                break;
        }
    }
}

/* --- registers --- */

static bool is_lvt(unsigned off)
{
    return off >= APIC_LVT_TIMER && off <= APIC_LVT_ERROR;
}

/* Bits that the register has; what is written to others is lost or, in x2APIC mode, a fault. */
static uint32_t lvt_bits(const struct vcpu *v, unsigned off)
{
    switch (off) {
    case APIC_LVT_TIMER:
        return 0x310ff | (has_feature(v, F1_C_DEADLINE) ? APIC_LVT_TSC_DEADLINE : 0);
    case APIC_LVT_ERROR:
        return 0x110ff;
    case APIC_LVT_THERM:
    case APIC_LVT_PERF:
        return 0x117ff;
    default:
        return 0x1f7ff;
    }
}

/* What the register holds when that has been written. */
static uint32_t lvt_value(const struct vcpu *v, unsigned off, uint32_t val)
{
    if (val & APIC_LVT_TSC_DEADLINE)
        val &= ~APIC_LVT_PERIODIC; /* the two together are reserved */
    return val & lvt_bits(v, off) & ~LVT_PENDING;
}

static void set_lvt(struct vcpu *v, unsigned off, uint32_t val)
{
    struct vlapic *l = lapic_of(v);

    if (!(*reg(l, APIC_SVR) & APIC_SVR_ENABLE))
        val |= APIC_LVT_MASKED;
    val = lvt_value(v, off, val);
    spin_lock(&l->lock);
    if (off == APIC_LVT_TIMER)
        vlapic_timer_mode_changes(l, val);
    WRITE_ONCE(*reg(l, off), val);
    spin_unlock(&l->lock);
}

static void set_svr(struct vlapic *l, uint32_t val)
{
    *reg(l, APIC_SVR) = val & SVR_BITS;
    if (val & APIC_SVR_ENABLE)
        return;
    spin_lock(&l->lock);
    for (unsigned off = APIC_LVT_TIMER; off <= APIC_LVT_ERROR; off += 16)
        *reg(l, off) |= APIC_LVT_MASKED;
    spin_unlock(&l->lock);
}

bool vlapic_base_ok(const struct vcpu *v, uint64_t base)
{
    uint64_t mode = base & (APIC_BASE_ENABLE | APIC_BASE_X2APIC);

    if ((base & ~mode & ~(uint64_t)APIC_BASE_BSP) != VLAPIC_DEFAULT_BASE ||
        mode == APIC_BASE_X2APIC)
        return false;
    return !(mode & APIC_BASE_X2APIC) || has_feature(v, F1_C_X2APIC);
}

void vlapic_restart(struct vcpu *v)
{
    struct vlapic *l = lapic_of(v);

    set_id(v);
    *reg(l, APIC_VERSION) = VERSION_MAXLVT;
    *reg(l, APIC_TPR) &= 0xff;
    *reg(l, APIC_SVR) &= SVR_BITS;
    for (unsigned off = APIC_LVT_TIMER; off <= APIC_LVT_ERROR; off += 16)
        *reg(l, off) = lvt_value(v, off, *reg(l, off));
    l->irr_words = 0xff;
    vlapic_timer_restart(v);
}

/* Registers that there are none of, as a page of them has gaps. */
static bool exists(unsigned off)
{
    return off == APIC_ID || off == APIC_VERSION || (off >= APIC_TPR && off <= APIC_EOI) ||
           (off >= APIC_LDR && off <= APIC_ESR) || off == APIC_ICR || off == APIC_ICR_HIGH ||
           is_lvt(off) || off == APIC_TIMER_INIT || off == APIC_TIMER_CUR || off == APIC_TIMER_DIV;
}

uint32_t vlapic_read(struct vcpu *v, unsigned off)
{
    struct vlapic *l = lapic_of(v);

    off &= ~15u;
    switch (off) {
    case APIC_PPR:
        return ppr(l);
    case APIC_TIMER_CUR:
        return vlapic_timer_now(l);
    case APIC_EOI:
        return 0;
    default:
        if (exists(off))
            return READ_ONCE(*reg(l, off));
        error(v, ESR_REGISTER);
        return 0;
    }
}

void vlapic_write(struct vcpu *v, unsigned off, uint32_t val)
{
    struct vlapic *l = lapic_of(v);

    switch (off) {
    case APIC_TPR:
        *reg(l, APIC_TPR) = val & 0xff;
        break;
    case APIC_EOI:
        end_of_interrupt(l);
        break;
    case APIC_LDR:
        if (!x2apic(l))
            *reg(l, APIC_LDR) = val & 0xff000000;
        break;
    case APIC_DFR:
        if (!x2apic(l))
            *reg(l, APIC_DFR) = val | 0x0fffffff;
        break;
    case APIC_SVR:
        set_svr(l, val);
        break;
    case APIC_ESR:
        *reg(l, APIC_ESR) = __atomic_exchange_n(&l->errors, 0, __ATOMIC_RELAXED);
        break;
    case APIC_ICR:
        *reg(l, APIC_ICR) = val & ~0x1000u;
        send(v, val, x2apic(l) ? *reg(l, APIC_ICR_HIGH) : *reg(l, APIC_ICR_HIGH) >> 24);
        break;
    case APIC_ICR_HIGH:
        *reg(l, APIC_ICR_HIGH) = val;
        break;
    case APIC_TIMER_INIT:
    case APIC_TIMER_DIV:
        vlapic_timer_write(l, off, val);
        break;
    default:
        if (is_lvt(off))
            set_lvt(v, off, val);
        else if (!exists(off))
            error(v, ESR_REGISTER);
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
    return off == APIC_ID || off == APIC_VERSION || off == APIC_TPR || off == APIC_PPR ||
           off == APIC_LDR || (off >= APIC_SVR && off <= APIC_ESR) || off == APIC_ICR ||
           (off >= APIC_LVT_TIMER && off <= APIC_TIMER_CUR) || off == APIC_TIMER_DIV;
}

static bool x2apic_writable(unsigned off)
{
    return off == APIC_TPR || off == APIC_EOI || off == APIC_SVR || off == APIC_ESR ||
           off == APIC_ICR || (off >= APIC_LVT_TIMER && off <= APIC_TIMER_INIT) ||
           off == APIC_TIMER_DIV || off == APIC_SELF_IPI;
}

/* ... and with which bits; EOI and ESR with none. */
static uint32_t x2apic_bits(const struct vcpu *v, unsigned off)
{
    switch (off) {
    case APIC_TPR:
    case APIC_SELF_IPI:
        return 0xff;
    case APIC_SVR:
        return SVR_BITS;
    case APIC_ICR:
        return ICR_VALID;
    case APIC_TIMER_INIT:
        return ~0u;
    case APIC_TIMER_DIV:
        return 0xb;
    default:
        return is_lvt(off) ? lvt_bits(v, off) : 0;
    }
}

static bool set_base(struct vcpu *v, uint64_t val)
{
    struct vlapic *l = lapic_of(v);
    uint64_t on = APIC_BASE_ENABLE | APIC_BASE_X2APIC;
    bool off;

    if ((val ^ l->base) & ~on) /* it stays where it is */
        return false;
    if ((val & APIC_BASE_X2APIC) && !has_feature(v, F1_C_X2APIC))
        return false;
    if ((val & on) == APIC_BASE_X2APIC ||
        ((l->base & on) == on && (val & on) == APIC_BASE_ENABLE) ||
        (!(l->base & on) && (val & on) == on))
        return false;
    off = (l->base & ~val) & APIC_BASE_ENABLE;
    l->base = val;
    if (off) {
        vlapic_reset(v, true);
        hvm_raise_upcall(v); /* which was forgotten just now */
    } else
        set_id(v);
    return true;
}

bool vlapic_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *val)
{
    struct vlapic *l = lapic_of(v);
    unsigned off = (msr - MSR_X2APIC_FIRST) << 4;

    if (msr == MSR_APIC_BASE)
        *val = l->base;
    else if (msr == MSR_TSC_DEADLINE) {
        *val = READ_ONCE(l->deadline);
        return has_feature(v, F1_C_DEADLINE);
    } else if (!x2apic(l) || !x2apic_readable(off))
        return false;
    else {
        *val = vlapic_read(v, off);
        if (off == APIC_ICR)
            *val |= (uint64_t)*reg(l, APIC_ICR_HIGH) << 32;
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
        if (!has_feature(v, F1_C_DEADLINE))
            return false;
        vlapic_timer_set_deadline(v, val);
        return true;
    }
    if (!x2apic(l) || !x2apic_writable(off) || (off != APIC_ICR && val >> 32) ||
        ((uint32_t)val & ~x2apic_bits(v, off)))
        return false;
    if (off == APIC_SELF_IPI) {
        send(v, 1u << 18 | (uint32_t)val, 0);
        return true;
    }
    if (off == APIC_ICR)
        *reg(l, APIC_ICR_HIGH) = val >> 32;
    vlapic_write(v, off, val);
    return true;
}

static void dump_vectors(const struct vlapic *l, const char *name, unsigned first)
{
    if (highest(l, first) < 0)
        return;
    printk(" %s", name);
    for (unsigned vector = 0; vector < 256; vector++)
        if (READ_ONCE(l->reg[APIC_REG(first) + vector / 32]) & (1u << (vector % 32)))
            printk(" %#x", vector);
}

void vlapic_dump(const struct vcpu *v)
{
    const struct vlapic *l = lapic_of(v);

    printk("    APIC: %s%s, TPR %#x", enabled(l) ? "on" : "off", x2apic(l) ? " (x2APIC)" : "",
           l->reg[APIC_REG(APIC_TPR)]);
    dump_vectors(l, "IRR", APIC_IRR);
    dump_vectors(l, "ISR", APIC_ISR);
    if (READ_ONCE(l->counting))
        printk(" timer in %ld us", (long)(READ_ONCE(l->due) - NOW()) / 1000);
    printk("\n");
}

void vlapic_create(struct vcpu *v)
{
    spin_lock_init(&lapic_of(v)->lock, LOCK_VLAPIC);
    vlapic_timer_create(v);
    vlapic_reset(v, false);
}

void vlapic_free(struct vcpu *v)
{
    vlapic_timer_free(v);
}
