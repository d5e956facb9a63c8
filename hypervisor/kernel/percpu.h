// SPDX-License-Identifier: MIT
/*
 * Per-CPU variables.  DEFINE_PER_CPU puts the template in section .percpu; each CPU gets a copy
 * at bring-up.  this_cpu() is only stable while the CPU cannot change: always, in a hypervisor
 * that does not preempt itself.
 */
#pragma once
#include "lib/compiler.h"
#include "arch/api/arch_cpu.h"

#ifdef HOSPES_HOST
#define DEFINE_PER_CPU(type, name)  typeof(type) percpu_##name[NR_CPUS]
#define DECLARE_PER_CPU(type, name) extern typeof(type) percpu_##name[NR_CPUS]
#define per_cpu(name, cpu)          (percpu_##name[cpu])
#define this_cpu(name)              per_cpu(name, smp_processor_id())
#else
#define DEFINE_PER_CPU(type, name)  __attribute__((section(".percpu"))) typeof(type) percpu_##name
#define DECLARE_PER_CPU(type, name) extern typeof(type) percpu_##name
extern unsigned long percpu_offset[]; /* by CPU number: copy minus template */
#define percpu_at_(name, off)       (*(typeof(&percpu_##name))((char *)&percpu_##name + (off)))
#define per_cpu(name, cpu)          percpu_at_(name, percpu_offset[cpu])
#define this_cpu(name)              percpu_at_(name, arch_this_percpu_offset())
#endif
