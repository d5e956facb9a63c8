// SPDX-License-Identifier: MIT
/* The few things about page tables that only the machine itself can do or knows. */
#include "arch/x86/mm/mm_private.h"
#include "asm/cpufeature.h"
#include "asm/regs.h"
#include "kernel/cpu.h"

void mm_load_cr3(unsigned long cr3)
{
    load_guest_root(cr3);
}

void mm_load_root(struct vcpu *v)
{
    const struct pv_vcpu *pv = &v->arch.pv;
    unsigned long cr3 = pv->flags & PVF_KERNEL_MODE ? pv->kernel_cr3 : pv->user_cr3;

    /* User mode without a user root: the tools can ask for it.  It faults at once. */
    mm_load_cr3(likely(cr3) ? cr3 : pv->kernel_cr3);
}

void toggle_guest_mode(struct vcpu *v)
{
    v->arch.pv.flags ^= PVF_KERNEL_MODE;
    __asm__ volatile("swapgs");
    mm_load_root(v);
}

static void flush_cache(void *unused)
{
    (void)unused;
    wbinvd();
}

void mm_flush_caches(bool everywhere)
{
    if (everywhere)
        on_selected_cpus(&cpu_online_map, flush_cache, NULL);
    else
        wbinvd();
}

/* No CPU of this architecture has shorter lines. */
#define CACHE_LINE 64u

void arch_clean_cache(const void *p, size_t n)
{
    const char *line = (const char *)((unsigned long)p & ~(CACHE_LINE - 1UL));

    __asm__ volatile("mfence" ::: "memory");
    for (; line < (const char *)p + n; line += CACHE_LINE)
        __asm__ volatile("clflush %0" ::"m"(*line) : "memory");
    __asm__ volatile("mfence" ::: "memory");
}

void mm_learn_cpu(void)
{
    mm_mfn_limit = 1ULL << (host_cpu.phys_bits - PAGE_SHIFT);
    mm_refuse_unsafe_entries = mitigations.l1tf;
}
