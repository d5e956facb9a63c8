// SPDX-License-Identifier: MIT
/* What the fuzzed rooms ask of those that only a machine has; absent_ops.c has the operations. */
#include "world.h"
#include "acpi/acpi.h"
#include "arch/api/arch_domain.h"
#include "arch/api/arch_host.h"
#include "arch/api/arch_time.h"
#include "arch/x86/asm/desc.h"
#include "arch/x86/asm/e820.h"
#include "arch/x86/pv/pv.h"
#include "boot/cmdline.h"
#include "domain/unit.h"
#include "kernel/console.h"
#include "kernel/keyhandler.h"
#include "kernel/percpu.h"

/* --- the machine --- */

uint64_t idle_pg_table[512];
uint64_t *fake_m2p;
struct acpi_info acpi;
DEFINE_PER_CPU(struct gdt_page, gdt_page);
DEFINE_PER_CPU(struct gdt_page, gdt_page32);
char cmdline_text[2048];
unsigned opt_gnttab_max_frames = 64, opt_gnttab_max_maptrack_frames = 1024, opt_gnttab_max_ver = 2;
bool opt_allow_superpage, opt_noreboot;

void mm_load_cr3(unsigned long cr3)
{
    (void)cr3;
    flush_tlb_local();
}

void mm_flush_caches(bool everywhere)
{
    (void)everywhere;
}

void mm_learn_cpu(void)
{
}

void arch_update_wallclock(struct domain *d)
{
    (void)d;
}

void arch_get_context(struct vcpu *v, struct vcpu_guest_context *ctx)
{
    (void)v;
    memset(ctx, 0, sizeof(*ctx));
}

int arch_context_to_guest(const struct vcpu *v, uint64_t addr, const struct vcpu_guest_context *ctx)
{
    (void)v;
    return copy_to_guest(addr, ctx, sizeof(*ctx));
}

void arch_physinfo(struct xen_sysctl_physinfo *pi)
{
    (void)pi;
}

void arch_cpu_topology(unsigned cpu, struct xen_sysctl_cputopo *topo)
{
    (void)cpu, (void)topo;
}

uint32_t arch_node_distance(unsigned a, unsigned b)
{
    return a == b ? 10 : 20;
}

/* hvm.c's is of the real one. */
__attribute__((weak)) bool arch_has_hvm(void)
{
    return false;
}

void pv_emul_init(struct emul_ctxt *ctxt, struct cpu_user_regs *regs, const struct emul_ops *ops)
{
    *ctxt = (struct emul_ctxt){.regs = regs, .ops = ops, .addr_size = 64, .sp_size = 64};
}

int pv_emul_segment(struct emul_ctxt *ctxt, enum emul_seg seg, struct emul_segment *res)
{
    (void)ctxt, (void)seg, (void)res;
    return EMUL_UNHANDLEABLE;
}

void pv_inject_page_fault(struct cpu_user_regs *regs, unsigned long addr, uint32_t error)
{
    (void)regs, (void)addr, (void)error;
}

void console_force_unlock(void)
{
}

size_t console_input_read(char *buf, size_t n)
{
    (void)buf, (void)n;
    return 0;
}

size_t console_ring_read(char *buf, size_t size, uint32_t *index, bool incremental, bool clear)
{
    (void)buf, (void)size, (void)index, (void)incremental, (void)clear;
    return 0;
}

void keyhandler_run(unsigned char key)
{
    (void)key;
}

/* --- of pv/context.c, what belongs to descriptor tables --- */

static int descriptors_domain_create(struct domain *d, const struct xen_domctl_createdomain *cfg)
{
    (void)cfg;
    return d->is_hvm ? 0 : pv_perdomain_create(d);
}

static int descriptors_vcpu_create(struct vcpu *v)
{
    return v->domain->is_hvm ? 0 : pv_perdomain_vcpu(v);
}

static int descriptors_relinquish(struct domain *d)
{
    struct vcpu *v;

    if (d->is_hvm)
        return 0;
    for_each_vcpu (d, v) {
        pv_drop_gdt(v);
        pv_drop_ldt(v);
    }
    return 0;
}

DEFINE_UNIT(pv, .name = "pv", .level = UNIT_ARCH, .domain_create = descriptors_domain_create,
            .vcpu_create = descriptors_vcpu_create, .relinquish = descriptors_relinquish,
            .domain_free = pv_perdomain_free);
