// SPDX-License-Identifier: MIT
/* What the tools are told of x86 hosts. */
#include "arch/api/arch_host.h"
#include "arch/x86/acpi/acpi.h"
#include "arch/x86/time/time.h"
#include "asm/apic.h"
#include "asm/cpufeature.h"
#include "asm/regs.h"
#include "kernel/console.h"
#include "lib/types.h"
#include <xen/sysctl.h>

/* Bits of the APIC ID that tell threads of a core, and CPUs of a socket, apart. */
static void id_bits(unsigned *thread, unsigned *socket)
{
    unsigned logical = (cpuid(1).b >> 16) & 0xff, bits = 0;

    *thread = 0;
    if (host_cpu.max_leaf >= 0xb && cpuid_count(0xb, 0).b) {
        *thread = cpuid_count(0xb, 0).a & 0x1f;
        *socket = cpuid_count(0xb, 1).a & 0x1f;
        return;
    }
    while ((1u << bits) < logical)
        bits++;
    *socket = cpu_has(HTT) ? bits : 0;
}

void arch_cpu_topology(unsigned cpu, struct xen_sysctl_cputopo *topo)
{
    uint32_t id = x86_cpu_to_apicid[cpu];
    unsigned thread, socket;

    id_bits(&thread, &socket);
    topo->core = (id & ((1u << socket) - 1)) >> thread;
    topo->socket = id >> socket;
    topo->node = acpi_cpu_pxm(id);
}

void arch_physinfo(struct xen_sysctl_physinfo *pi)
{
    unsigned thread, socket;

    if (arch_has_hvm())
        pi->capabilities |= XEN_SYSCTL_PHYSCAP_hvm | XEN_SYSCTL_PHYSCAP_hap;
    id_bits(&thread, &socket);
    pi->threads_per_core = 1u << thread;
    pi->cores_per_socket = socket > thread ? 1u << (socket - thread) : 1;
    pi->cpu_khz = cpu_khz;
    pi->hw_cap[0] = host_cpu.features[0];
    pi->hw_cap[1] = host_cpu.features[1];
    pi->hw_cap[2] = host_cpu.features[2];
    pi->hw_cap[3] = host_cpu.features[3];
    pi->hw_cap[4] = host_cpu.features[4];
    pi->hw_cap[5] = host_cpu.features[5];
    pi->hw_cap[6] = host_cpu.features[6];
    pi->hw_cap[7] = host_cpu.features[7];
}

uint32_t arch_node_distance(unsigned a, unsigned b)
{
    return a == b ? 10 : 20; /* the SLIT is not read yet */
}
