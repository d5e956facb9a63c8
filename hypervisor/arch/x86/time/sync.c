// SPDX-License-Identifier: MIT
/* Whether the TSCs can be trusted, and what is done if not.  See time.c. */
#include "private.h"
#include "arch/api/arch_time.h"
#include "boot/cmdline.h"
#include "kernel/console.h"
#include "kernel/cpu.h"
#include "kernel/keyhandler.h"
#include "kernel/lock.h"
#include "kernel/softirq.h"
#include "kernel/timer.h"
#include <asm/cpufeature.h>
#include <asm/msr.h>

#define CHECK_PERIOD SECONDS(1)
#define MAX_DRIFT    MICROSECS(500) /* a period: what NTP may slew the clock under an emulator */
#define MAX_WIDTH    MICROSECS(100) /* a reading that took longer says nothing */
#define MAX_STRIKES  3

static bool trusted = true;
static struct timer check_timer;

bool tsc_trusted(void)
{
    return READ_ONCE(trusted);
}

/* ---- are the TSCs in step? ---- */

static struct {
    unsigned lock; /* a bare one: this runs before anything may be wrong with the real ones */
    unsigned present, wanted;
    uint64_t last, warp;
    uint64_t rounds;
} step;

/*
 * All CPUs take turns to read the TSC.  Each must find it beyond what the one before read; if it
 * ever went back, it did so by at least `warp`.
 */
static void check_step(void *unused)
{
    uint64_t start = rdtsc_ordered(), window = cpu_khz * 5ULL, now; /* 5 ms */

    (void)unused;
    __atomic_fetch_add(&step.present, 1, __ATOMIC_SEQ_CST);
    /* Waits for the others, but not for ever: a CPU may be held up. */
    while (READ_ONCE(step.present) < step.wanted && rdtsc() - start < 10 * window)
        cpu_relax();
    for (start = now = rdtsc_ordered(); now - start < window;) {
        while (__atomic_exchange_n(&step.lock, 1, __ATOMIC_ACQUIRE))
            cpu_relax();
        now = rdtsc_ordered();
        if (now < step.last)
            step.warp = max(step.warp, step.last - now);
        step.last = now;
        step.rounds++;
        __atomic_store_n(&step.lock, 0, __ATOMIC_RELEASE);
        if (now < start)
            break;
    }
}

/* ---- steering, once they are not ---- */

struct sync_state {
    uint64_t tsc;
    s_time_t plat;
};
static DEFINE_PER_CPU(struct sync_state, sync_state);

void time_sync_cpu(void *jump)
{
    struct sync_state *last = &this_cpu(sync_state);
    struct time_base *b = &this_cpu(time_base);
    uint64_t hz = cpu_khz * 1000ULL, tsc;
    s_time_t plat = platform_time(), now = NOW(), ahead;

    tsc = rdtsc_ordered();
    /* The frequency since the last time; a window of at least 0.1 s makes it a measure. */
    if (last->plat && plat - last->plat > MILLISECS(100) && plat - last->plat < SECONDS(100) &&
        tsc > last->tsc && tsc - last->tsc < hz * 200)
        hz = (tsc - last->tsc) * 1000000 / ((plat - last->plat) / 1000);
    *last = (struct sync_state){.tsc = tsc, .plat = plat};

    if (jump) {
        now = plat;
        ahead = 0;
    } else {
        ahead = max(min(now - plat, MILLISECS(100)), -MILLISECS(100));
    }
    b->seq++;
    barrier();
    b->tsc = tsc;
    b->ns = now;
    /* A clock that is ahead goes as if the TSC were faster, so that in a second they meet. */
    b->scale = scale_for_hz(hz + (s_time_t)(hz / 1000000) * (ahead / 1000));
    barrier();
    b->seq++;
    /* What runs here gets new numbers on its way back to the guest. */
    raise_softirq(SOFTIRQ_SCHEDULE);
}

static void lose_trust(const char *why)
{
    if (!trusted)
        return;
    WRITE_ONCE(trusted, false);
    printk(KERN_WARN "TSC: %s: not trusted any more; time follows the %s\n", why,
           platform_timer_name());
}

/* How far system time is ahead of the platform's clock; false if it could not be read well. */
static bool measure_ahead(s_time_t *ahead)
{
    s_time_t best = MAX_WIDTH;
    bool good = false;

    for (unsigned i = 0; i < 5; i++) {
        s_time_t before = NOW(), plat = platform_time(), width = NOW() - before;

        if (width < best) {
            best = width;
            *ahead = before + width / 2 - plat;
            good = true;
        }
    }
    return good;
}

static void check(void *unused)
{
    static s_time_t last_ahead, last_time;
    static unsigned strikes;
    s_time_t ahead, now = NOW();

    (void)unused;
    if (!trusted) {
        on_selected_cpus(&cpu_online_map, time_sync_cpu, NULL);
        /* Guests that run on hear of it: arch_continue_running(). */
        cpumask_raise_softirq(&cpu_online_map, SOFTIRQ_SCHEDULE);
    } else if (measure_ahead(&ahead)) {
        s_time_t drift = ahead > last_ahead ? ahead - last_ahead : last_ahead - ahead;

        /* A single jump (the machine was stopped for a while) is no drift. */
        strikes = last_time && drift > (now - last_time) / CHECK_PERIOD * MAX_DRIFT + MAX_DRIFT
                      ? strikes + 1
                      : 0;
        if (strikes == MAX_STRIKES)
            lose_trust("drifts");
        last_ahead = ahead;
        last_time = now;
    }
    timer_set(&check_timer, now + CHECK_PERIOD);
}

static void dump_time(unsigned char key)
{
    unsigned cpu;

    (void)key;
    printk("TSC %u kHz, %s; platform clock %s\n", cpu_khz, trusted ? "trusted" : "not trusted",
           platform_timer_name());
    printk("NOW %ld ns, platform clock %ld ns\n", (long)NOW(), (long)platform_time());
    for_each_online_cpu (cpu) {
        const struct time_base *b = &per_cpu(time_base, cpu);

        printk("CPU%u: tsc %#lx at %ld ns, mul %#x shift %d\n", cpu, (unsigned long)b->tsc,
               (long)b->ns, b->scale.mul, b->scale.shift);
    }
}

void time_check_sync(void)
{
    bool believe = !strcmp(opt_tsc, "reliable") || !strcmp(opt_tsc, "stable:socket");

    if (!strcmp(opt_tsc, "unstable"))
        lose_trust("the command line says so");
    step.wanted = cpumask_weight(&cpu_online_map);
    if (trusted && !believe && step.wanted > 1) {
        on_selected_cpus(&cpu_online_map, check_step, NULL);
        if (step.warp) {
            lose_trust("not in step across CPUs");
            on_selected_cpus(&cpu_online_map, time_sync_cpu, (void *)1);
        }
    }
    printk(KERN_INFO "TSC: %s (%lu readings, back by %lu ticks at most)\n",
           trusted ? "in step across CPUs: guests read it without a trap" : "not trusted",
           (unsigned long)step.rounds, (unsigned long)step.warp);
    keyhandler_register('t', dump_time, "time: TSC, system time of each CPU");
    timer_init(&check_timer, check, NULL, smp_processor_id());
    timer_set(&check_timer, NOW() + CHECK_PERIOD);
}
