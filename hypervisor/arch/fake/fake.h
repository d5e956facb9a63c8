// SPDX-License-Identifier: MIT
/*
 * What a test on the host sets up, plays and reads.
 *
 * One thread plays all CPUs: fake_cpu is the one it plays now, fake_current the vcpu that "runs"
 * there (fake_run_on() switches both).  Time stands still until the test moves it.  Interrupts that
 * the code under test sends to other CPUs are recorded (fake_ipi), or delivered at once.
 *
 * Rooms that a test does not link are stood in for by weak functions in fake/weak.c, which record
 * what they were asked or do the simplest thing that is right.
 */
#pragma once
#include <setjmp.h>
#include <stdbool.h>
#include "lib/types.h"
#include "kernel/cpumask.h"
#include "arch/api/arch_cpu.h"

struct vcpu;
struct domain;

/* --- set-up --- */
/* CPUs 0..n-1 possible and online, CPU 0 is played, interrupts on, time 0, records empty. */
void fake_init(unsigned cpus);
/* Plays cpu, with v as its current vcpu (NULL: none). */
void fake_run_on(unsigned cpu, struct vcpu *v);
/* A domain of n vcpus without units: zeroed, in the arena (so that it can own frames), referenced
 * once, alive; vcpu i on CPU i modulo the number of CPUs.  For rooms that need no more. */
struct domain *fake_domain(unsigned id, unsigned vcpus);

/* --- CPUs --- */
struct fake_ipi {
    unsigned event_check, call_function; /* interrupts sent */
};
extern struct fake_ipi fake_ipi[NR_CPUS];
extern bool fake_deliver_ipis; /* call functions run at once on the CPU meant; true at first */
extern bool fake_machine_ended;
/* Runs softirqs of the CPU played until there are none, or until it switches to another vcpu. */
void fake_softirqs(void);
/* The same for each CPU in turn, until no CPU has any pending. */
void fake_softirqs_all(void);
extern unsigned fake_switches; /* context switches so far */
/* Called while the code under test waits in a loop: lets others make progress. */
extern void (*fake_relax_hook)(void);
/* The context of the vcpu switched from is saved only when the test calls sched_context_saved(). */
extern bool fake_lazy_save;

/* --- time --- */
extern s_time_t fake_now;
extern s_time_t fake_deadline[NR_CPUS]; /* what arch_timer_program() was given last */
/* Moves time to t, stopping at each CPU's deadline for its timer interrupt and all softirqs. */
void fake_advance_to(s_time_t t);

/* --- frames --- */
/* An arena of n zeroed pages and its frame table, for the mem room under test (or the weak heap).
 */
void fake_ram_init(unsigned long pages);
void fake_ram_free(void);

/* --- guest memory: plain host pointers, but for what the test forbids --- */
void fake_guest_fault(uint64_t addr, size_t len); /* accesses to it fail; len 0: none fail */
void fake_guest_allow(uint64_t addr, size_t len); /* only there, from now on */
/* Called before every copy from or to a guest: a hostile guest changes its memory here. */
extern void (*fake_guest_hook)(uint64_t addr, size_t len, bool to_guest);
extern unsigned fake_guest_copies;

/* --- TLBs --- */
/* Called for each CPU that flushes: va is 0 for everything.  A simulated TLB listens here. */
extern void (*fake_tlb_hook)(unsigned cpu, unsigned long va);
extern unsigned fake_tlb_flushes;

/* --- memory pressure --- */
/* The n-th allocation from now on (0: the next) and all after it fail; negative: none do. */
extern long fake_alloc_fail_after;
bool fake_alloc_fails(void);
/* Allocations not freed, of the weak xzalloc_bytes(). */
extern long fake_allocations;

/* --- panics --- */
/* if (fake_expect_panic()) { code that must panic; } else { it did; fake_panic_text says why }
 * Without it, a panic aborts the test. */
extern jmp_buf fake_panic_env;
extern bool fake_panic_expected;
extern char fake_panic_text[256];
#define fake_expect_panic() (fake_panic_expected = true, setjmp(fake_panic_env) == 0)

/* --- what weak stand-ins recorded --- */
extern unsigned fake_kicks; /* arch_vcpu_kick() */
extern struct vcpu *fake_kicked;
extern unsigned fake_crashes; /* domain_crash() */
extern struct domain *fake_crashed;
extern bool fake_preempt; /* what hypercall_preempt_check() answers */
