// SPDX-License-Identifier: MIT
/* Frames, guest memory and TLBs of the fake arch; fake.h explains them. */
#include "arch/fake/fake.h"
#include <stdlib.h>
#include "arch/x86/mm/mm.h"
#include "domain/domain.h"
#include "hypercall/guest_access.h"
#include "lib/errno.h"

/* ---- frames ---- */

struct page_info *fake_frame_table;
char *fake_ram;
static unsigned long fake_ram_pages;

void fake_ram_init(unsigned long pages)
{
    fake_ram_free();
    /* Aligned so that a frame and its address have the same low bits, up to the largest chunk. */
    fake_ram = aligned_alloc(PAGE_SIZE, pages * PAGE_SIZE);
    fake_ram_pages = pages;
    max_page = FAKE_FIRST_MFN + pages;
    fake_frame_table = calloc(max_page, sizeof(*fake_frame_table));
    if (!fake_ram || !fake_frame_table)
        abort();
    memset(fake_ram, 0, pages * PAGE_SIZE);
}

void fake_ram_free(void)
{
    free(fake_ram);
    free(fake_frame_table);
    fake_ram = NULL;
    fake_frame_table = NULL;
    fake_ram_pages = 0;
}

struct domain *fake_domain(unsigned id, unsigned vcpus)
{
    struct domain *d;

    BUILD_BUG_ON(sizeof(struct domain) > PAGE_SIZE);
    if (!fake_ram)
        fake_ram_init(4096);
    d = alloc_page_virt();
    if (!d)
        abort();
    d->id = id;
    d->refs = 1;
    d->shutdown_code = ~0u;
    d->is_privileged = id == 0;
    d->max_vcpus = vcpus;
    d->vcpu = xzalloc_bytes(vcpus, sizeof(*d->vcpu));
    spin_lock_init(&d->lock, LOCK_DOMAIN);
    spin_lock_init(&d->mem.lock, LOCK_PAGELIST);
    d->mem.max_pages = UINT64_MAX;
    d->shared_info = alloc_page_virt();
    d->shared_info_page = mfn_to_page(virt_to_mfn(d->shared_info));
    list_init(&d->list);
    for (unsigned i = 0; i < vcpus; i++) {
        struct vcpu *v = xzalloc_bytes(1, sizeof(*v));

        d->vcpu[i] = v;
        v->vcpu_id = i;
        v->domain = d;
        v->processor = i % nr_cpu_ids;
        cpumask_setall(&v->hard_affinity);
        cpumask_setall(&v->soft_affinity);
        if (i < XEN_LEGACY_MAX_VCPUS)
            v->info = &d->shared_info->vcpu_info[i];
    }
    return d;
}

/* ---- guest memory ---- */

void (*fake_guest_hook)(uint64_t addr, size_t len, bool to_guest);
unsigned fake_guest_copies;
static uint64_t fault_start, fault_end;
static uint64_t allow_start = PAGE_SIZE, allow_end = 1ULL << 47;

void fake_guest_allow(uint64_t addr, size_t len)
{
    allow_start = addr;
    allow_end = addr + len;
}

void fake_guest_fault(uint64_t addr, size_t len)
{
    fault_start = addr;
    fault_end = addr + len;
}

/* How many of the bytes are accessible. */
static size_t accessible(uint64_t addr, size_t len)
{
    if (addr < allow_start || addr >= allow_end || len > allow_end - addr)
        return 0;
    if (addr < fault_end && addr + len > fault_start)
        return addr >= fault_start ? 0 : fault_start - addr;
    return len;
}

size_t raw_copy_from_guest(void *dst, uint64_t guest_addr, size_t len)
{
    size_t ok;

    fake_guest_copies++;
    if (fake_guest_hook)
        fake_guest_hook(guest_addr, len, false);
    ok = accessible(guest_addr, len);
    if (ok)
        memcpy(dst, (void *)(uintptr_t)guest_addr, ok);
    return len - ok;
}

size_t raw_copy_to_guest(uint64_t guest_addr, const void *src, size_t len)
{
    size_t ok;

    fake_guest_copies++;
    if (fake_guest_hook)
        fake_guest_hook(guest_addr, len, true);
    ok = accessible(guest_addr, len);
    if (ok)
        memcpy((void *)(uintptr_t)guest_addr, src, ok);
    return len - ok;
}

int copy_from_guest(void *dst, uint64_t guest_addr, size_t len)
{
    return raw_copy_from_guest(dst, guest_addr, len) ? -EFAULT : 0;
}

int copy_to_guest(uint64_t guest_addr, const void *src, size_t len)
{
    return raw_copy_to_guest(guest_addr, src, len) ? -EFAULT : 0;
}

int clear_guest(uint64_t guest_addr, size_t len)
{
    if (accessible(guest_addr, len) != len)
        return -EFAULT;
    memset((void *)(uintptr_t)guest_addr, 0, len);
    return 0;
}

/* ---- TLBs ---- */

void (*fake_tlb_hook)(unsigned cpu, unsigned long va);
unsigned fake_tlb_flushes;
static uint32_t clock = 1;
static uint32_t flushed_at[NR_CPUS];

static void flush_cpu(unsigned cpu, unsigned long va)
{
    fake_tlb_flushes++;
    if (!va)
        flushed_at[cpu] = ++clock;
    if (fake_tlb_hook)
        fake_tlb_hook(cpu, va);
}

void flush_tlb_local(void)
{
    flush_cpu(fake_cpu, 0);
}

void flush_tlb_one_local(unsigned long va)
{
    flush_cpu(fake_cpu, va);
}

void flush_tlb_mask(const cpumask_t *mask)
{
    unsigned cpu;

    for_each_cpu (cpu, mask)
        flush_cpu(cpu, 0);
}

void leave_guests_mask(const cpumask_t *mask)
{
    unsigned cpu;

    for_each_cpu (cpu, mask) {
        fake_tlb_flushes++;
        if (fake_tlb_hook)
            fake_tlb_hook(cpu, 0);
    }
}

void flush_tlb_one_mask(const cpumask_t *mask, unsigned long va)
{
    unsigned cpu;

    for_each_cpu (cpu, mask)
        flush_cpu(cpu, va);
}

uint32_t tlb_clock(void)
{
    return clock;
}

void tlb_filter(cpumask_t *mask, uint32_t stamp)
{
    unsigned cpu;

    for_each_cpu (cpu, mask)
        if (flushed_at[cpu] > stamp)
            cpumask_clear_cpu(cpu, mask);
}

void flush_tlb_interrupt(void)
{
}
