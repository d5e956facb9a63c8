// SPDX-License-Identifier: MIT
/*
 * A PVH kernel whose vcpus do whatever comes to mind, in rings 0 and 3 and in all modes, and live
 * as long as they can.
 *
 *     random seed=N seconds=S [fep] [breakpoints]
 *
 * Every vcpu is a player that takes one step after the other: hypercalls that are nearly right
 * (tests/fuzz/calls.h), frames that come and go under the others' hands, tables that change,
 * registers, the APIC and interrupts, and snippets of code made of instructions that a hypervisor
 * has to do with. An exception leads back to the next step; now and then a player puts its machine
 * right again, and starts others anew that have not been seen for long.  A guest that has ruined
 * itself all the same is none of the hypervisor's business.
 *
 * Vcpus never run alike twice: a seed makes the same kind of trouble again, not the same.
 */
#include "random.h"

struct player players[MAX_CPUS];
bool forced, breakpoints;
static u64 ends_at; /* of own_clock() */

struct player *me(void)
{
    return &players[this_cpu()->id];
}

u64 draw(struct player *p)
{
    u64 z = p->seed += 0x9e3779b97f4a7c15ULL;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
}

unsigned below(struct player *p, unsigned n)
{
    return (u32)(draw(p) >> 32) % n;
}

bool one_in(struct player *p, unsigned n)
{
    return !below(p, n);
}

static void step(struct player *p)
{
    switch (p->calls ? below(p, 64) : 0) {
    case 0 ... 15:
        return call(p);
    case 16 ... 21:
        return shuffle(p);
    case 22 ... 26:
        return change_tables(p);
    case 27 ... 33:
        return scribble(p);
    case 34 ... 39:
        return touch_registers(p);
    case 40 ... 46:
        return touch_apic(p);
    case 47 ... 50:
        return interrupt(p);
    case 51:
        if (one_in(p, 8))
            elsewhere(p);
        return;
    default:
        /* One of them goes nowhere it might not come back from: it looks after the others. */
        return p == &players[0] ? call(p) : run_snippet(p);
    }
}

/* Starts those anew that have not been seen for a while: with interrupts off, most likely. */
static void look_after_others(unsigned id)
{
    static u64 seen[MAX_CPUS][MAX_CPUS], since[MAX_CPUS][MAX_CPUS];
    u64 time = own_clock();

    for (unsigned i = 0; i < MAX_CPUS; i++) {
        if (i == id)
            continue;
        if (players[i].beat != seen[id][i] || !since[id][i]) {
            seen[id][i] = players[i].beat;
            since[id][i] = time;
        } else if (time - since[id][i] > 100000000) {
            since[id][i] = time;
            revive(i);
        }
    }
}

/*
 * How far they have come, for dom0: at the first calls, and ever more seldom, since an early end is
 * likely.  One at a time tells, unless that takes it long.
 */
void tell(void)
{
    static u64 told;
    u64 was = told, ms = own_clock() >> 20, calls = 0, traps = 0, snippets = 0, starts = 0;

    if (ms == was || !__sync_bool_compare_and_swap(&told, was, ms))
        return;
    for (unsigned i = 0; i < MAX_CPUS; i++) {
        calls += players[i].calls;
        traps += players[i].traps;
        snippets += players[i].snippets;
        starts += players[i].starts;
    }
    say("RANDOM %lu calls, %lu snippets, %lu traps, %lu starts\n", calls, snippets, traps, starts);
}

/* When all of them are stuck the hypervisor ends it.  First by one vcpu alone. */
static void feed_watchdog(void)
{
    static struct sched_watchdog w = {.timeout = 10};

    if (w.id)
        HC2(sched_op, SCHEDOP_watchdog, &w);
    else
        w.id = HC2(sched_op, SCHEDOP_watchdog, &w);
}

/* One tells; whoever finds that it has not come to its end ends it. */
static void finish(void)
{
    static bool telling;
    struct sched_shutdown s = {.reason = SHUTDOWN_poweroff};

    if (!__atomic_exchange_n(&telling, true, __ATOMIC_SEQ_CST)) {
        tell();
        for (unsigned i = 0; i < 100; i++)
            HC2(sched_op, SCHEDOP_yield, 0);
    } else
        while (own_clock() < ends_at + 1000000000)
            HC2(sched_op, SCHEDOP_yield, 0);
    HC2(sched_op, SCHEDOP_shutdown, &s);
}

void play(struct cpu *cpu);

void play(struct cpu *cpu)
{
    struct player *p = &players[cpu->id];
    static u64 steps[MAX_CPUS], next;

    p->calm = true;
    p->in_snippet = 0;
    if (save_point(&p->back)) {
        p->traps++;
        p->in_snippet = 0;
        p->calm |= one_in(p, 16);
    }
    for (;;) {
        p->beat++;
        if (p->calm || steps[cpu->id]++ % 64 == 0) {
            p->calm = false;
            mend_machine(p);
            mend_memory();
            if (own_clock() >= ends_at)
                finish();
            look_after_others(cpu->id);
            feed_watchdog();
            if (own_clock() >= next) {
                next = own_clock() + 1000000000;
                tell();
            }
        }
        step(p);
    }
}

static u64 word_of(const char *name, u64 otherwise)
{
    const char *at = strstr((char *)boot_info.cmd_line, name);

    return at ? parse_uint(at + strlen(name), NULL) : otherwise;
}

RISK(random)
{
    u64 seed = word_of("seed=", 1);

    forced = strstr((char *)boot_info.cmd_line, "fep");
    breakpoints = strstr((char *)boot_info.cmd_line, "breakpoints");
    say("RANDOM seed %lu, %u vcpus\n", seed, nr_vcpus());
    console_flush();
    learn_clock();
    ends_at = own_clock() + word_of("seconds=", 10) * 1000000000;
    for (unsigned i = 0; i < MAX_CPUS; i++)
        players[i].seed = seed * MAX_CPUS + i;
    memory_init();
    machine_init();
    modes_init();
    feed_watchdog();
    for (unsigned i = 1; i < nr_vcpus(); i++)
        revive(i);
    play(&cpus[0]);
}
