// SPDX-License-Identifier: MIT
/*
 * Debug keys.  A handler runs from a softirq (serial line) or in a hypercall of the tools, with
 * interrupts on and no lock held, and shows what a person may want to see; most are registered by
 * the rooms.
 */
#include "kernel/keyhandler.h"
#include "arch/api/arch_cpu.h"
#include "arch/api/arch_domain.h"
#include "arch/api/arch_time.h"
#include "domain/domain.h"
#include "domain/unit.h"
#include "event/event.h"
#include "grant/grant.h"
#include "kernel/console.h"
#include "kernel/cpu.h"
#include "kernel/panic.h"
#include "kernel/softirq.h"

static struct {
    void (*fn)(unsigned char key);
    const char *desc;
} handlers[128];

void keyhandler_register(unsigned char key, void (*fn)(unsigned char key), const char *desc)
{
    BUG_ON(key >= ARRAY_SIZE(handlers) || handlers[key].fn);
    handlers[key].fn = fn;
    handlers[key].desc = desc;
}

void keyhandler_run(unsigned char key)
{
    if (key >= ARRAY_SIZE(handlers) || !handlers[key].fn) {
        printk("No such key; h lists them\n");
        return;
    }
    printk("'%c': %s\n", key, handlers[key].desc);
    handlers[key].fn(key);
}

static void show_help(unsigned char key)
{
    (void)key;
    for (unsigned i = 0; i < ARRAY_SIZE(handlers); i++)
        if (handlers[i].fn)
            printk(" key '%c' => %s\n", i, handlers[i].desc);
}

/* All that only show something. */
static void run_all(unsigned char key)
{
    (void)key;
    for (unsigned i = 0; i < ARRAY_SIZE(handlers); i++)
        if (handlers[i].fn && i != 'R' && i != 'C' && i != 'h' && i != '*')
            keyhandler_run(i);
}

static void reboot(unsigned char key)
{
    (void)key;
    printk("Rebooting by debug key\n");
    arch_machine_end(MACHINE_REBOOT);
}

static void crash(unsigned char key)
{
    (void)key;
    __builtin_trap();
}

static void dump_vcpu_line(const struct vcpu *v)
{
    printk("  v%u: CPU %u%s%s, pause flags %#lx count %d, runstate %d, upcall pending %d mask %d\n",
           v->vcpu_id, v->processor, v->is_running ? " (running)" : "",
           v->is_initialised ? "" : ", not initialised", v->pause_flags, v->pause_count,
           v->runstate.state, v->info ? v->info->evtchn_upcall_pending : -1,
           v->info ? v->info->evtchn_upcall_mask : -1);
}

static void dump_domains(unsigned char key)
{
    struct domain *d;
    struct vcpu *v;

    (void)key;
    printk("Domains at %lld ns:\n", (long long)NOW());
    for_each_domain (d) {
        printk("d%u: refs %u, dying %u, shut down %d (code %d), paused %d by the tools\n", d->id,
               d->refs, d->dying, d->is_shut_down, (int)d->shutdown_code, d->pause_count);
        printk("  pages %llu of at most %lld, %llu shared by the hypervisor\n",
               (unsigned long long)d->mem.tot_pages, (long long)d->mem.max_pages,
               (unsigned long long)d->mem.hyp_pages);
        for_each_vcpu (d, v)
            dump_vcpu_line(v);
        units_dump(d);
    }
}

/*
 * What domains hold, one line each, then the sums: before a domain came and after it has gone they
 * are to be the same.  A dying domain is in the list until its last reference is put.
 */
static void count_holdings(unsigned char key)
{
    unsigned long domains = 0, pages = 0, hyp_pages = 0, ports = 0, handles = 0;
    struct xalloc_use small = xalloc_in_use();
    struct domain *d;

    (void)key;
    for_each_domain (d) {
        printk(
            " d%u: pages %lu, hypervisor pages %lu, event ports %u, grant handles %u, refs %u%s\n",
            d->id, d->mem.tot_pages, d->mem.hyp_pages, evtchn_in_use(d), grant_handles_in_use(d),
            d->refs, d->dying ? ", dying" : "");
        domains++;
        pages += d->mem.tot_pages;
        hyp_pages += d->mem.hyp_pages;
        ports += evtchn_in_use(d);
        handles += grant_handles_in_use(d);
    }
    printk(
        " sum: domains %lu, pages %lu, hypervisor pages %lu, event ports %lu, grant handles %lu, "
        "small objects %lu in pages %lu, free pages %llu\n",
        domains, pages, hyp_pages, ports, handles, small.objects, small.slabs,
        (unsigned long long)heap_free_pages());
}

static void dump_this_cpu(void *unused)
{
    struct vcpu *v = current;

    (void)unused;
    if (!v || v->domain->is_idle) {
        printk("CPU %u: idle\n", smp_processor_id());
        return;
    }
    printk("CPU %u: d%uv%u\n", smp_processor_id(), v->domain->id, v->vcpu_id);
    arch_dump_vcpu(v);
}

static void dump_domain_memory(unsigned char key)
{
    const struct domain *d;

    (void)key;
    for_each_domain (d)
        printk("  d%u: %lu of %lu, listed %lu, claimed %lu, shared hypervisor pages %lu\n", d->id,
               d->mem.tot_pages, d->mem.max_pages, d->mem.listed, d->mem.outstanding,
               d->mem.hyp_pages);
}

static void dump_cpus(unsigned char key)
{
    unsigned cpu;

    (void)key;
    for_each_online_cpu (cpu) {
        cpumask_t one;

        cpumask_clear(&one);
        cpumask_set_cpu(cpu, &one);
        on_selected_cpus(&one, dump_this_cpu, NULL);
    }
}

static void dump_dom0(unsigned char key)
{
    struct vcpu *v;

    (void)key;
    if (!dom0)
        return;
    for_each_vcpu (dom0, v) {
        printk("d0v%u:\n", v->vcpu_id);
        if (v != current)
            vcpu_pause(v);
        arch_dump_vcpu(v);
        if (v != current)
            vcpu_unpause(v);
    }
}

void keyhandler_init(void)
{
    keyhandler_register('h', show_help, "this list");
    keyhandler_register('*', run_all, "all that only show something");
    keyhandler_register('R', reboot, "reboot the machine");
    keyhandler_register('C', crash, "crash: a fault in the hypervisor, which panics");
    keyhandler_register('q', dump_domains, "domains and vcpus");
    keyhandler_register('L', count_holdings, "pages, event ports and grant handles in use");
    keyhandler_register('M', dump_domain_memory, "memory of each domain, in pages");
    keyhandler_register('d', dump_cpus, "registers of what the CPUs run");
    keyhandler_register('0', dump_dom0, "registers of dom0");
}
