// SPDX-License-Identifier: MIT
/* The machine that domains.c plays on (world.h). */
#include "world.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "arch/x86/asm/page.h"
#include "domain/unit.h"
#include "hypercall/hypercall.h"
#include "kernel/percpu.h"
#include "kernel/softirq.h"
#include "lib/rangeset.h"
#include "sched/private.h"
#include <xen/domctl.h>

#define CPUS 2

extern uint64_t *fake_m2p; /* mm/m2p.c */

struct player players[SLOTS];

/* What is in use when no domain is: the hypervisor's own, but for slabs that may come and go. */
static struct holdings {
    uint64_t pages, objects;
} at_rest;

void complain(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    abort();
}

/* --- the machine --- */

/* While one CPU waits, the others go on. */
static void others_go_on(void)
{
    unsigned cpu, back = fake_cpu;

    for_each_online_cpu (cpu)
        if (cpu != back) {
            fake_run_on(cpu, per_cpu(sched_cpu, cpu).curr);
            fake_softirqs();
        }
    fake_run_on(back, per_cpu(sched_cpu, back).curr);
}

/* Whatever address is looked up in the hypervisor's tables is found, in the frame of the tables. */
static void make_hyp_tables(void)
{
    uint64_t *table = alloc_page_virt();

    for (unsigned i = 0; i < PTES_PER_TABLE; i++)
        table[i] = idle_pg_table[i] = make_pte(virt_to_mfn(table), PTE_PRESENT | PTE_RW);
}

static void boot(void)
{
    void *mem = mmap((void *)GUEST_MEMORY, GUEST_BYTES, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

    if (mem != (void *)GUEST_MEMORY)
        complain("no memory at %#lx", GUEST_MEMORY);
    fake_init(CPUS);
    fake_ram_init(WORLD_PAGES);
    fake_m2p = calloc(max_page, sizeof(*fake_m2p));
    heap_init();
    heap_add_range(_mfn(FAKE_FIRST_MFN), _mfn(max_page), 0);
    make_hyp_tables();
    for (unsigned cpu = 0; cpu < CPUS; cpu++) {
        fake_run_on(cpu, NULL);
        timer_cpu_init(cpu);
    }
    fake_run_on(0, NULL);
    units_init();
    timer_subsys_init();
    domain_subsys_init();
    sched_init();
    for (unsigned cpu = 1; cpu < CPUS; cpu++) {
        if (units_cpu_up(cpu))
            complain("CPU %u does not come up", cpu);
        fake_run_on(cpu, NULL);
        sched_cpu_start(cpu);
    }
    fake_run_on(0, idle_domain->vcpu[0]);
    fake_softirqs_all();
    fake_relax_hook = others_go_on;
    fake_guest_allow(GUEST_MEMORY, GUEST_BYTES);
}

static struct holdings holdings(void)
{
    struct holdings h = {.pages = WORLD_PAGES - heap_free_pages()};

    for (uint64_t mfn = FAKE_FIRST_MFN; mfn < max_page; mfn++) {
        const struct page_info *pg = mfn_to_page(_mfn(mfn));

        if (!(pg->refs & PAGE_FREE) && (pg->refs & PAGE_HYP_BYTES) && pg->type >> 63) {
            h.pages--;
            h.objects += pg->type >> 8 & 0xffff; /* as mem/xalloc.c has it */
        }
    }
    return h;
}

/* --- domains --- */

static uint64_t new_frame(struct domain *d)
{
    struct page_info *pg = alloc_domain_pages(d, 0, 0);

    if (!pg)
        complain("no frame for domain %u", d->id);
    m2p_set(page_to_mfn(pg), mfn_x(page_to_mfn(pg)) - FAKE_FIRST_MFN);
    return mfn_x(page_to_mfn(pg));
}

static uint64_t *table(uint64_t mfn)
{
    return mfn_to_virt(_mfn(mfn));
}

#define LINK(mfn, flags) ((mfn) << PAGE_SHIFT | PTE_PRESENT | (flags))

/* Tables through the first entry of each, the lowest of which maps the rest of the frames. */
static void make_space(struct player *p)
{
    unsigned levels = p->tables = is_32bit(p->d) ? 3 : 4;
    uint64_t *l1 = table(p->frames[levels - 1]);
    uint64_t rights = PTE_RW | PTE_USER | PTE_ACCESSED;

    for (unsigned i = 0; i + 1 < levels; i++)
        table(p->frames[i])[0] = LINK(p->frames[i + 1], is_32bit(p->d) && !i ? 0 : rights);
    for (unsigned i = 0; i < OWN_FRAMES; i++)
        l1[i] = LINK(p->frames[i], i < levels ? rights & ~PTE_RW : rights);
    for (unsigned i = 0; i < p->d->max_vcpus; i++)
        if (mm_set_root(p->d->vcpu[i], _mfn(p->frames[0]), false))
            complain("domain %u has no root", p->d->id);
}

static void create(unsigned slot)
{
    struct xen_domctl_createdomain cfg = {
        .max_vcpus = 2,
        .max_evtchn_port = slot == 2 ? 127 : 0xffffffff,
        .max_grant_frames = 3,
        .max_maptrack_frames = 2,
        .grant_opts = 2,
    };
    struct player *p = &players[slot];
    struct domain *d;
    struct vcpu *v;
    int err;

    p->d = d = domain_create(slot, &cfg, slot == 0, &err);
    if (!d || !get_domain(d))
        complain("no domain %u: %d", slot, err);
    mm_set_width(d, slot == 2);
    d->mem.max_pages = 2 * OWN_FRAMES;
    for (unsigned i = 0; i < cfg.max_vcpus; i++) {
        v = vcpu_create(d, i);
        if (!v)
            complain("no vcpu %u of domain %u", i, slot);
        v->arch.pv.flags = PVF_KERNEL_MODE;
        v->is_initialised = true;
    }
    for (unsigned i = 0; i < OWN_FRAMES; i++)
        p->frames[i] = new_frame(d);
    make_space(p);
    for_each_vcpu (d, v) {
        clear_bit(VPF_down, &v->pause_flags);
        v->info->evtchn_upcall_mask = 0;
    }
    set_bit(VMASST_TYPE_writable_pagetables, &d->vm_assist);
    d->creation_finished = true;
    domain_unpause_by_tools(d);
}

bool world_play(struct vcpu *v)
{
    for (unsigned i = 0; i < 3; i++) {
        fake_softirqs_all();
        if (v->domain->dying)
            return false;
        if (per_cpu(sched_cpu, v->processor).curr == v) {
            fake_run_on(v->processor, v);
            return true;
        }
        vcpu_unblock(v);
        fake_advance_to(fake_now + 40000000);
    }
    return false;
}

static void kill(struct domain *d)
{
    int ret;

    fake_run_on(0, per_cpu(sched_cpu, 0).curr);
    if (!current->domain->is_idle)
        complain("the idle vcpu does not run when nobody can");
    for (unsigned tries = 0; (ret = domain_kill(d)) != 0; tries++) {
        if (ret != -ERESTART || tries > 1000)
            complain("domain %u cannot be killed: %d", d->id, ret);
        fake_softirqs_all();
    }
}

void world_begin(void)
{
    static bool booted;

    if (!booted) {
        booted = true;
        boot();
        world_begin(); /* what is made once and kept, is made now */
        world_end();
        at_rest = holdings();
    }
    memset((void *)GUEST_MEMORY, 0, GUEST_BYTES);
    for (unsigned i = 0; i < SLOTS; i++)
        create(i);
    fake_softirqs_all();
}

void world_end(void)
{
    struct domain *d;
    struct holdings now;

    for_each_domain (d)
        domain_pause_nosync(d);
    fake_softirqs_all();
    for (unsigned tries = 0; tries < 100; tries++) { /* the list changes as they go */
        struct domain *alive = NULL;

        for_each_domain (d)
            if (d->dying != DOMDYING_dead)
                alive = d;
        if (!alive)
            break;
        kill(alive);
    }
    for (unsigned i = 0; i < SLOTS; i++)
        put_domain(players[i].d);
    for (unsigned i = 0; i < 4; i++) {
        fake_advance_to(fake_now + 1000000);
        fake_softirqs_all();
    }
    for_each_domain (d)
        complain("domain %u is left, %u references, %llu pages", d->id, d->refs,
                 (unsigned long long)d->mem.listed);
    now = holdings();
    if (at_rest.pages && (now.pages != at_rest.pages || now.objects != at_rest.objects))
        complain("left behind: %lld pages, %lld small objects",
                 (long long)(now.pages - at_rest.pages),
                 (long long)(now.objects - at_rest.objects));
}
