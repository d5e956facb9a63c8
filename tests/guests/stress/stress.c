// SPDX-License-Identifier: MIT
/* Vcpus that begin and end together. */
#include "stress.h"

#define PATIENCE 300000000000ULL /* ns */

static u64 state[MAX_CPUS];
static volatile unsigned begun, ended, wanted;
static void (*volatile job)(unsigned);
static volatile unsigned job_steps;

u32 rnd(u32 n)
{
    u64 *s = &state[this_cpu()->id];

    *s = *s * 6364136223846793005ULL + 1442695040888963407ULL;
    return (u32)(*s >> 33) % n;
}

static void take_part(unsigned long unused)
{
    (void)unused;
    state[this_cpu()->id] += 0x9e3779b97f4a7c15ULL * (this_cpu()->id + 1);
    events_on();
    __atomic_add_fetch(&begun, 1, __ATOMIC_SEQ_CST);
    while (begun < wanted)
        HC2(sched_op, SCHEDOP_yield, 0);
    for (unsigned i = 0; i < job_steps; i++)
        job(i);
    __atomic_add_fetch(&ended, 1, __ATOMIC_SEQ_CST);
    while (ended < wanted)
        HC2(sched_op, SCHEDOP_yield, 0);
}

void storm(void (*work)(unsigned), unsigned steps)
{
    u64 end = now() + PATIENCE;

    if (nr_vcpus() < STRESS_CPUS)
        skip("needs four vcpus");
    begun = ended = 0;
    wanted = STRESS_CPUS;
    job = work;
    job_steps = steps;
    for (unsigned i = 1; i < STRESS_CPUS; i++)
        start_on_cpu(i, take_part, 0);
    take_part(0);
    for (unsigned i = 1; i < STRESS_CPUS; i++)
        while (cpus[i].busy || HC3(vcpu_op, VCPUOP_is_up, i, 0) == 1) {
            if (now() > end)
                die("vcpu %u does not end", i);
            HC2(sched_op, SCHEDOP_yield, 0);
        }
}

void on_all(void (*fn)(unsigned))
{
    storm(fn, 1);
}
