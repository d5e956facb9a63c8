// SPDX-License-Identifier: MIT
/*
 * Stand-ins for rooms that a test does not link; fake.h explains them.  Each is weak: the real
 * function wins where it is linked.
 */
#include "arch/fake/fake.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "arch/api/arch_domain.h"
#include "arch/api/arch_irq.h"
#include "arch/api/arch_mm.h"
#include "arch/api/arch_p2m.h"
#include "arch/api/arch_time.h"
#include "domain/domain.h"
#include "domain/unit.h"
#include "event/event.h"
#include "grant/grant.h"
#include "hypercall/guest_access.h"
#include "hypercall/hypercall.h"
#include "kernel/console.h"
#include "kernel/cpu.h"
#include "kernel/keyhandler.h"
#include "kernel/panic.h"
#include "kernel/rcu.h"
#include "kernel/softirq.h"
#include "kernel/symbols.h"
#include "kernel/timer.h"
#include "mem/mem.h"

#define WEAK __attribute__((weak))

jmp_buf fake_panic_env;
bool fake_panic_expected;
char fake_panic_text[256];
unsigned fake_kicks, fake_crashes;
struct vcpu *fake_kicked;
struct domain *fake_crashed;
bool fake_preempt;
long fake_alloc_fail_after = -1;
long fake_allocations;

WEAK unsigned nr_cpu_ids = 1;
WEAK cpumask_t cpu_possible_map, cpu_online_map;
WEAK uint64_t max_page;
WEAK struct domain *dom0, *domid_io_d, *domid_xen_d, *idle_domain;
WEAK struct list_head domain_list = LIST_HEAD_INIT(domain_list);

/* ---- kernel/ ---- */

WEAK void vprintk(const char *fmt, va_list ap)
{
    if (fmt[0] == '<' && fmt[1] && fmt[2] == '>')
        fmt += 3;
    if (getenv("FAKE_VERBOSE"))
        vfprintf(stderr, fmt, ap);
}

WEAK void printk(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vprintk(fmt, ap);
    va_end(ap);
}

WEAK void gprintk(const struct domain *d, const char *fmt, ...)
{
    va_list ap;

    (void)d;
    va_start(ap, fmt);
    vprintk(fmt, ap);
    va_end(ap);
}

static __noreturn void panicked(const char *fmt, va_list ap)
{
    vsnprintf(fake_panic_text, sizeof(fake_panic_text), fmt, ap);
    if (!fake_panic_expected) {
        fprintf(stderr, "panic: %s\n", fake_panic_text);
        abort();
    }
    fake_panic_expected = false;
    longjmp(fake_panic_env, 1);
}

WEAK void panic(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    panicked(fmt, ap);
}

WEAK void panic_regs(const struct cpu_user_regs *regs, const char *fmt, ...)
{
    va_list ap;

    (void)regs;
    va_start(ap, fmt);
    panicked(fmt, ap);
}

WEAK void keyhandler_register(unsigned char key, void (*fn)(unsigned char), const char *desc)
{
    (void)key, (void)fn, (void)desc;
}

WEAK size_t console_write_raw(const char *s, size_t n)
{
    (void)s;
    return n;
}

WEAK void call_rcu(struct rcu_head *head, void (*fn)(struct rcu_head *))
{
    fn(head); /* one thread plays all CPUs: nobody else is reading */
}

WEAK void rcu_quiescent(void)
{
}

WEAK void do_softirq(void)
{
}

WEAK void raise_softirq(enum softirq nr)
{
    (void)nr;
}

WEAK void cpu_raise_softirq(unsigned cpu, enum softirq nr)
{
    (void)cpu, (void)nr;
}

WEAK void cpumask_raise_softirq(const cpumask_t *mask, enum softirq nr)
{
    (void)mask;
    (void)nr;
}

WEAK void open_softirq(enum softirq nr, void (*fn)(void))
{
    (void)nr, (void)fn;
}

WEAK void smp_call_interrupt(void)
{
}

WEAK void on_selected_cpus(const cpumask_t *mask, void (*fn)(void *), void *data)
{
    unsigned cpu, back = fake_cpu;

    for_each_cpu (cpu, mask) {
        fake_cpu = cpu;
        fn(data);
    }
    fake_cpu = back;
}

WEAK void timer_init(struct timer *t, void (*fn)(void *), void *data, unsigned cpu)
{
    *t = (struct timer){.fn = fn, .data = data, .cpu = cpu};
}

WEAK void timer_set(struct timer *t, s_time_t expires)
{
    t->expires = expires;
    t->set = true;
}

WEAK void timer_set_here(struct timer *t, s_time_t expires)
{
    t->cpu = fake_cpu;
    timer_set(t, expires);
}

WEAK void timer_stop(struct timer *t)
{
    t->set = false;
}

WEAK void timer_kill(struct timer *t)
{
    t->set = false;
    t->killed = true;
}

WEAK void timer_migrate(struct timer *t, unsigned cpu)
{
    t->cpu = cpu;
}

WEAK void timer_interrupt(void)
{
}

/* Without the real ones nothing waits for softirqs, and this CPU's word is always empty. */
WEAK DEFINE_PER_CPU(unsigned long, softirq_bits);
WEAK DEFINE_PER_CPU(unsigned, irq_depth);

WEAK void tasklet_schedule(struct tasklet *t)
{
    t->fn(t->data);
}

WEAK const char *symbol_lookup(unsigned long addr, unsigned long *offset, unsigned long *size,
                               char *buf, size_t buflen)
{
    (void)addr, (void)offset, (void)size, (void)buf, (void)buflen;
    return NULL;
}

/* ---- hypercall/ ---- */

WEAK bool hypercall_preempt_check(void)
{
    return fake_preempt;
}

WEAK long hypercall_continue(unsigned nr, unsigned nargs, const unsigned long *args)
{
    (void)nr, (void)nargs, (void)args;
    return -ERESTART;
}

WEAK bool privileged_over(const struct domain *caller, const struct domain *d)
{
    return caller == d || caller->is_privileged;
}

/* ---- domain/ ---- */

WEAK struct domain *get_domain_by_id(domid_t id)
{
    (void)id;
    return NULL;
}

WEAK struct domain *rcu_lookup_domain(domid_t id)
{
    return id == DOMID_SELF ? current->domain : NULL;
}

WEAK bool get_domain(struct domain *d)
{
    d->refs++;
    return true;
}

WEAK void put_domain(struct domain *d)
{
    d->refs--;
}

WEAK struct vcpu *domain_vcpu(const struct domain *d, unsigned id)
{
    return id < d->max_vcpus ? d->vcpu[id] : NULL;
}

WEAK void domain_crash(struct domain *d, const char *fmt, ...)
{
    (void)fmt;
    fake_crashes++;
    fake_crashed = d;
    d->is_shutting_down = true;
}

WEAK void domain_shutdown(struct domain *d, uint32_t reason)
{
    d->is_shutting_down = true;
    d->shutdown_code = reason;
}

WEAK struct vcpu *vcpu_create(struct domain *d, unsigned id)
{
    (void)d, (void)id;
    return NULL;
}

WEAK int map_vcpu_info(struct vcpu *v, uint64_t gfn, unsigned offset)
{
    (void)v, (void)gfn, (void)offset;
    return 0;
}

WEAK void units_dump(struct domain *d)
{
    (void)d;
}

/* ---- arch_domain.h, arch_irq.h, arch_time.h ---- */

WEAK void arch_vcpu_send_nmi(struct vcpu *v)
{
    (void)v;
}

WEAK bool arch_vcpu_interrupt_due(const struct vcpu *v)
{
    (void)v;
    return true;
}

WEAK bool arch_hvm_may_call(unsigned long nr, unsigned long arg1)
{
    (void)nr, (void)arg1;
    return true;
}

WEAK int arch_hvm_initialise(struct vcpu *v, uint64_t addr)
{
    (void)v, (void)addr;
    return -EOPNOTSUPP;
}

WEAK struct page_info *p2m_get_page(struct domain *d, gfn_t gfn)
{
    (void)d, (void)gfn;
    return NULL;
}

WEAK int p2m_map(struct domain *d, gfn_t gfn, struct page_info *pg, unsigned order)
{
    (void)d, (void)gfn, (void)pg, (void)order;
    return -EINVAL;
}

WEAK int p2m_place(struct domain *d, gfn_t gfn, struct page_info *pg, enum p2m_type type)
{
    (void)d, (void)gfn, (void)pg, (void)type;
    return -EINVAL;
}

WEAK void p2m_flush(struct domain *d)
{
    (void)d;
}

WEAK int p2m_unmap_grant(struct domain *d, gfn_t gfn, const struct page_info *pg)
{
    (void)d, (void)gfn, (void)pg;
    return -ENOENT;
}

WEAK struct page_info *p2m_unmap(struct domain *d, gfn_t gfn)
{
    (void)d, (void)gfn;
    return NULL;
}

WEAK void p2m_mark_dirty(struct domain *d, gfn_t gfn)
{
    (void)d, (void)gfn;
}

WEAK unsigned p2m_drop(struct domain *d, const gfn_t *gfn, unsigned nr)
{
    (void)d, (void)gfn, (void)nr;
    return 0;
}

WEAK int p2m_populate_later(struct domain *d, gfn_t gfn, unsigned order)
{
    (void)d, (void)gfn, (void)order;
    return -EINVAL;
}

WEAK int p2m_set_pod_target(struct domain *d, uint64_t pages)
{
    (void)d, (void)pages;
    return 0;
}

WEAK bool p2m_makes_gb(const struct domain *d)
{
    (void)d;
    return false;
}

WEAK uint32_t p2m_frame_behind(struct domain *d, gfn_t gfn)
{
    (void)d, (void)gfn;
    return 0;
}

WEAK void p2m_creation_ends(struct domain *d)
{
    (void)d;
}

WEAK void p2m_renew_claim(struct domain *d)
{
    (void)d;
}

WEAK uint64_t p2m_pod_entries(const struct domain *d)
{
    (void)d;
    return 0;
}

WEAK uint64_t p2m_max_gfn(const struct domain *d)
{
    (void)d;
    return 0;
}

WEAK void arch_dump_registers(const struct cpu_user_regs *regs)
{
    (void)regs;
}

WEAK void arch_vcpu_kick(struct vcpu *v)
{
    fake_kicks++;
    fake_kicked = v;
}

WEAK void arch_dump_vcpu(struct vcpu *v)
{
    (void)v;
}

WEAK int arch_set_context(struct vcpu *v, const struct vcpu_guest_context *ctx)
{
    (void)ctx;
    v->is_initialised = true;
    return 0;
}

WEAK int arch_context_from_guest(const struct vcpu *v, struct vcpu_guest_context *ctx,
                                 uint64_t addr)
{
    (void)v;
    return copy_from_guest(ctx, addr, sizeof(*ctx));
}

WEAK void arch_update_vcpu_time(struct vcpu *v)
{
    (void)v;
}

WEAK int arch_pirq_bind(struct vcpu *v, unsigned pirq, bool share)
{
    (void)v, (void)pirq, (void)share;
    return 0;
}

WEAK void arch_pirq_unbind(struct domain *d, unsigned pirq)
{
    (void)d, (void)pirq;
}

WEAK void arch_pirq_unmask(struct domain *d, unsigned pirq)
{
    (void)d, (void)pirq;
}

WEAK void arch_pirq_set_affinity(struct domain *d, unsigned pirq, unsigned cpu)
{
    (void)d, (void)pirq, (void)cpu;
}

WEAK unsigned arch_nr_pirqs(const struct domain *d)
{
    (void)d;
    return 256;
}

/* ---- sched/ ---- */

WEAK void vcpu_wake(struct vcpu *v)
{
    (void)v;
}

WEAK void vcpu_unblock(struct vcpu *v)
{
    v->pause_flags &= ~(BIT(VPF_blocked) | BIT(VPF_blocked_poll));
}

WEAK void sched_context_saved(struct vcpu *prev)
{
    prev->is_running = false;
}

WEAK void vcpu_pause(struct vcpu *v)
{
    v->pause_count++;
}

WEAK void vcpu_unpause(struct vcpu *v)
{
    v->pause_count--;
}

WEAK void domain_pause(struct domain *d)
{
    (void)d;
}

WEAK void domain_unpause(struct domain *d)
{
    (void)d;
}

/* ---- event/ ---- */

WEAK void send_guest_vcpu_virq(struct vcpu *v, uint32_t virq)
{
    (void)v, (void)virq;
}

WEAK void send_guest_global_virq(struct domain *d, uint32_t virq)
{
    (void)d, (void)virq;
}

WEAK void send_global_virq(uint32_t virq)
{
    (void)virq;
}

WEAK bool send_guest_pirq(struct domain *d, unsigned pirq)
{
    (void)d, (void)pirq;
    return true;
}

WEAK bool vcpu_event_pending(const struct vcpu *v)
{
    return v->info && v->info->evtchn_upcall_pending && !v->info->evtchn_upcall_mask;
}

WEAK int evtchn_port_poll(struct domain *d, evtchn_port_t port)
{
    (void)d, (void)port;
    return 0;
}

WEAK void evtchn_poll_begin(struct vcpu *v)
{
    (void)v;
}

WEAK void evtchn_poll_end(struct vcpu *v)
{
    (void)v;
}

WEAK void evtchn_vcpu_info_moved(struct vcpu *v)
{
    (void)v;
}

/* ---- mem/, arch/x86/mm ---- */

bool fake_alloc_fails(void)
{
    if (fake_alloc_fail_after < 0)
        return false;
    if (!fake_alloc_fail_after)
        return true;
    fake_alloc_fail_after--;
    return false;
}

WEAK void *xzalloc_bytes(size_t n, size_t size)
{
    void *p;

    if (fake_alloc_fails())
        return NULL;
    p = calloc(n, size); /* refuses an overflow, too */
    fake_allocations += !!p;
    return p;
}

WEAK void xfree(void *p)
{
    fake_allocations -= !!p;
    free(p);
}

WEAK void flush_stolen(const struct page_info *last)
{
    (void)last;
}

/* The weak heap gives pages of the arena in ascending order and takes single ones back. */
static unsigned long heap_next;
static void *heap_returned;

WEAK void *alloc_page_virt(void)
{
    void *p = heap_returned;

    if (fake_alloc_fails())
        return NULL;
    if (p) {
        heap_returned = *(void **)p;
    } else {
        if (FAKE_FIRST_MFN + heap_next >= max_page)
            return NULL;
        p = mfn_to_virt(_mfn(FAKE_FIRST_MFN + heap_next++));
    }
    memset(p, 0, PAGE_SIZE);
    return p;
}

WEAK void free_page_virt(void *va)
{
    if (!va)
        return;
    *(void **)va = heap_returned;
    heap_returned = va;
}

WEAK struct page_info *heap_alloc(unsigned order, unsigned memflags)
{
    unsigned long at = ROUND_UP(heap_next, 1UL << order);

    (void)memflags;
    if (fake_alloc_fails() || FAKE_FIRST_MFN + at + (1UL << order) > max_page)
        return NULL;
    heap_next = at + (1UL << order);
    return mfn_to_page(_mfn(FAKE_FIRST_MFN + at));
}

WEAK void heap_free(struct page_info *pg, unsigned order)
{
    for (unsigned long i = 0; i < 1UL << order; i++)
        free_page_virt(page_to_virt(pg + i));
}

WEAK bool heap_scrub_idle(void)
{
    return false;
}

WEAK void arch_clean_cache(const void *p, size_t n)
{
    (void)p, (void)n;
}

WEAK void share_hyp_page(struct page_info *pg, struct domain *d, bool writable)
{
    (void)writable;
    page_set_owner(pg, d);
    pg->refs |= PAGE_HYP_SHARED | 1;
}

WEAK void unshare_hyp_page(struct page_info *pg)
{
    pg->refs &= ~PAGE_HYP_SHARED;
}

WEAK void page_last_put(struct page_info *pg)
{
    (void)pg;
}

WEAK void arch_page_shared(struct page_info *pg, bool writable)
{
    (void)pg, (void)writable;
}

WEAK void arch_page_freed(struct page_info *pg)
{
    pg->type = 0;
}

WEAK bool arch_get_page_writable(struct page_info *pg, struct domain *d)
{
    return get_page(pg, d);
}

WEAK void arch_put_page_writable(struct page_info *pg)
{
    put_page(pg);
}

WEAK void arch_m2p_set(mfn_t mfn, uint64_t pfn)
{
    (void)mfn, (void)pfn;
}

WEAK uint64_t arch_domain_max_gfn(const struct domain *d)
{
    (void)d;
    return max_page - 1;
}

WEAK unsigned evtchn_in_use(const struct domain *d)
{
    (void)d;
    return 0;
}

WEAK unsigned grant_handles_in_use(const struct domain *d)
{
    (void)d;
    return 0;
}

WEAK uint64_t heap_free_pages(void)
{
    return 0;
}

WEAK struct xalloc_use xalloc_in_use(void)
{
    return (struct xalloc_use){};
}
