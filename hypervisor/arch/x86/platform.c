// SPDX-License-Identifier: MIT
/* platform_op: the rows are in abi/ops/platform.def. */
#include "abi/xen_abi.h"
#include "arch/api/arch_time.h"
#include "arch/x86/boot/efi.h"
#include "arch/x86/power.h"
#include "asm/msr.h"
#include "domain/domain.h"
#include "hypercall/compat.h"
#include "hypercall/handlers.h"
#include "kernel/cpu.h"
#include "lib/errno.h"
#include <asm/apic.h>
#include <asm/cpufeature.h>

#define BDA_KBD_FLAGS 0x417 /* the BIOS keeps the state of the shift keys there */

static long set_time(uint64_t sec, uint32_t nsec, uint64_t system_time)
{
    if (nsec >= SECONDS(1) || system_time > INT64_MAX)
        return -EINVAL;
    wallclock_set(sec, nsec, system_time);
    arch_update_wallclock(NULL);
    return 0;
}

long platformop_settime32(struct call *c, struct xen_platform_op *op)
{
    (void)c;
    return set_time(op->u.settime32.secs, op->u.settime32.nsecs, op->u.settime32.system_time);
}

long platformop_settime64(struct call *c, struct xen_platform_op *op)
{
    (void)c;
    if (op->u.settime64.mbz)
        return -EINVAL;
    return set_time(op->u.settime64.secs, op->u.settime64.nsecs, op->u.settime64.system_time);
}

long platformop_platform_quirk(struct call *c, struct xen_platform_op *op)
{
    uint32_t id = op->u.platform_quirk.quirk_id;

    (void)c;
    return id >= QUIRK_NOIRQBALANCING && id <= QUIRK_IOAPIC_GOOD_REGSEL ? 0 : -EINVAL;
}

long platformop_get_cpu_version(struct call *c, struct xen_platform_op *op)
{
    struct xenpf_pcpu_version *ver = &op->u.pcpu_version;

    (void)c;
    ver->max_present = nr_cpu_ids - 1;
    if (ver->xen_cpuid >= nr_cpu_ids || !cpu_online(ver->xen_cpuid)) {
        memset(ver->vendor_id, 0, sizeof(ver->vendor_id));
        ver->family = ver->model = ver->stepping = 0;
        return 0;
    }
    memcpy(ver->vendor_id, host_cpu.vendor_id, sizeof(ver->vendor_id));
    ver->family = host_cpu.family;
    ver->model = host_cpu.model;
    ver->stepping = host_cpu.stepping;
    return 0;
}

long platformop_get_cpuinfo(struct call *c, struct xen_platform_op *op)
{
    struct xenpf_pcpuinfo *info = &op->u.pcpu_info;
    unsigned cpu = info->xen_cpuid;

    (void)c;
    info->max_present = nr_cpu_ids - 1;
    if (cpu >= nr_cpu_ids || !cpumask_test_cpu(cpu, &cpu_possible_map)) {
        info->flags = XEN_PCPU_FLAGS_INVALID;
        info->apic_id = info->acpi_id = UINT32_MAX;
        return 0;
    }
    cpu = index_nospec(cpu, nr_cpu_ids);
    info->flags = cpu_online(cpu) ? XEN_PCPU_FLAGS_ONLINE : 0;
    info->apic_id = x86_cpu_to_apicid[cpu];
    info->acpi_id = x86_cpu_to_acpiid[cpu];
    return 0;
}

/* What a BIOS would have told the kernel, had it been asked in real mode: mostly nothing. */
long platformop_firmware_info(struct call *c, struct xen_platform_op *op)
{
    struct xenpf_firmware_info *fw = &op->u.firmware_info;

    (void)c;
    switch (fw->type) {
    case XEN_FW_DISK_INFO:
    case XEN_FW_DISK_MBR_SIGNATURE:
    case XEN_FW_VBEDDC_INFO:
        return -ESRCH;
    case XEN_FW_KBD_SHIFT_FLAGS:
        if (fw->index)
            return -ESRCH;
        fw->u.kbd_shift_flags = *((uint8_t *)mfn_to_virt(_mfn(0)) + BDA_KBD_FLAGS);
        return 0;
    case XEN_FW_EFI_INFO:
        return efi_firmware_info(fw);
    default:
        return -EINVAL;
    }
}

long platformop_enter_acpi_sleep(struct call *c, struct xen_platform_op *op)
{
    const struct xenpf_enter_acpi_sleep *s = &op->u.enter_acpi_sleep;

    (void)c;
    if (s->flags & ~XENPF_ACPI_SLEEP_EXTENDED)
        return -EINVAL;
    return acpi_enter_sleep(s->sleep_state, s->val_a, s->val_b,
                            s->flags & XENPF_ACPI_SLEEP_EXTENDED);
}

long platformop_getidletime(struct call *c, struct xen_platform_op *op)
{
    const struct xenpf_getidletime *get = &op->u.getidletime;
    uint64_t map = handle_addr(get->cpumap_bitmap);

    (void)c;
    if (get->cpumap_nr_cpus > 8 * PAGE_SIZE)
        return -EINVAL;
    for (unsigned base = 0; base < get->cpumap_nr_cpus; base += 8) {
        uint8_t asked, present = 0;

        if (copy_from_guest(&asked, map + base / 8, 1))
            return -EFAULT;
        for (unsigned cpu = base; cpu < base + 8 && cpu < get->cpumap_nr_cpus; cpu++) {
            uint64_t idle = 0;

            if (!(asked & 1u << (cpu - base)))
                continue;
            if (cpu < nr_cpu_ids && cpu_online(cpu)) {
                idle = cpu_idle_time(cpu);
                present |= 1u << (cpu - base);
            }
            if (copy_elem_to_guest(get->idletime, cpu, &idle))
                return -EFAULT;
        }
        if (copy_to_guest(map + base / 8, &present, 1))
            return -EFAULT;
    }
    op->u.getidletime.now = NOW();
    return 0;
}

/* C and P states are left to firmware's defaults; dom0 may upload what it knows. */
long platformop_set_processor_pminfo(struct call *c, struct xen_platform_op *op)
{
    (void)c;
    switch (op->u.set_pminfo.type) {
    case XEN_PM_CX:
    case XEN_PM_PX:
    case XEN_PM_TX:
    case XEN_PM_PDC:
        return 0;
    default:
        return -EINVAL;
    }
}

/* The time stamp (as system time) is all that may be read: no other MSR is on the list yet. */
long platformop_resource_op(struct call *c, struct xen_platform_op *op)
{
    const struct xenpf_resource_op *res = &op->u.resource_op;
    struct xenpf_resource_entry entry;

    (void)c;
    if (res->nr_entries > 8)
        return -EINVAL;
    if (res->cpu >= nr_cpu_ids || !cpu_online(res->cpu))
        return -ENODEV;
    for (unsigned i = 0; i < res->nr_entries; i++) {
        bool known;

        if (copy_elem_from_guest(&entry, res->entries, i))
            return -EFAULT;
        known = !entry.rsvd && entry.u.cmd == XEN_RESOURCE_OP_MSR_READ && entry.idx == MSR_TSC;
        entry.val = NOW();
        if (!known)
            entry.u.ret = entry.rsvd ? -EINVAL : -EACCES;
        if (copy_elem_to_guest(res->entries, i, &entry))
            return -EFAULT;
        if (!known)
            return i;
    }
    return res->nr_entries;
}
