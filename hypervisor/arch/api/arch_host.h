// SPDX-License-Identifier: MIT
/* The host's hardware, as the tools ask about it (sysctl.h). */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct xen_sysctl_physinfo;
struct xen_sysctl_cputopo;

/* Fills in what the arch knows: CPU frequency, threads and cores, capabilities. */
void arch_physinfo(struct xen_sysctl_physinfo *pi);
void arch_cpu_topology(unsigned cpu, struct xen_sysctl_cputopo *topo);
/* Domains with XEN_DOMCTL_CDF_hvm can be made here. */
bool arch_has_hvm(void);
/* As ACPI's SLIT: 10 is local. */
uint32_t arch_node_distance(unsigned a, unsigned b);
