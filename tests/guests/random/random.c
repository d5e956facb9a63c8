// SPDX-License-Identifier: MIT
/*
 * A kernel that makes hypercalls at random on all its vcpus, and lives as long as it can.
 *
 *     random seed=N seconds=S [domid=D]
 *
 * Most calls are nearly right (tests/fuzz/calls.h): the numbers in them are of its own pages,
 * tables, ports and grants, and of its neighbours' (dom0, and the domains next to it), so that two
 * such guests deal with each other.  Between calls it does what a kernel does without one: maps and
 * writes pages and tables, sets up grants, runs privileged instructions.  Everything is caught and
 * put right again where it can be; a guest that has ruined itself is none of the hypervisor's
 * business, and the next seed is another.
 *
 * The console, which is left alone for that, says how many calls were made.
 */
#include "guest.h"
#include "tests/fuzz/calls.h"

#define PAGES      96 /* to play with */
#define RUIN_EVERY 2048

struct player {
    u64 seed;
    volatile u64 calls, traps;
    struct source source;
};
static struct player players[MAX_CPUS];
static u8 arenas[MAX_CPUS][ARENA_SIZE + 4096] __aligned(4096);
static u8 own[512][4096] __aligned(512 * 4096); /* what one table maps, and nothing else */
static u8 *pages[PAGES];
static u64 *entries[PAGES]; /* that map them */
static u64 entries_at[PAGES];
static volatile u64 frames[256]; /* that were heard of */
static volatile u32 frames_next;
static u64 ends_at;
static unsigned own_id;

static u64 draw(struct player *p)
{
    u64 z = p->seed += 0x9e3779b97f4a7c15ULL;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
}

static unsigned below(struct player *p, unsigned n)
{
    return (u32)(draw(p) >> 32) % n;
}

static struct player *player_of(struct source *s)
{
    return container_of(s, struct player, source);
}

static unsigned source_choose(struct source *s, unsigned n)
{
    return below(player_of(s), n);
}

static size_t source_store(struct source *s, void *dst, unsigned nr, unsigned cmd, const void *arg,
                           size_t size)
{
    (void)s, (void)nr, (void)cmd;
    memcpy(dst, arg, size);
    return size;
}

static u64 some_frame(struct player *p)
{
    u8 *page = pages[below(p, PAGES)];

    switch (below(p, 16)) {
    case 0:
        return boot_info.shared_info >> 12;
    case 1:
        return root_mfn();
    case 2:
        return entries_at[below(p, PAGES)] >> 12;
    case 3:
    case 4:
        return below(p, 0xc0000);
    case 6:
    case 7:
    case 8:
        return frames[below(p, ARRAY_SIZE(frames))];
    default:
        return mfn_of(page);
    }
}

static u64 some_entry_value(struct player *p)
{
    static const u64 rights[] = {PTE_RW_, PTE_RO_, PTE_TAB, PTE_P, PTE_P | PTE_W, 0};
    u64 e = some_frame(p) << 12 | rights[below(p, ARRAY_SIZE(rights))];

    if (!below(p, 8))
        e |= 1ULL << below(p, 12);
    if (!below(p, 16))
        e |= 1ULL << (52 + below(p, 12));
    return below(p, 12) ? e : 0;
}

/* A page of ours, one of nobody's, or an entry's own. */
static u64 some_address(struct player *p)
{
    switch (below(p, 12)) {
    case 0:
        return SPARE_VA + below(p, 64) * 4096;
    case 1:
        return (ulong)entries[below(p, PAGES)];
    case 2:
        return (ulong)arenas[below(p, MAX_CPUS)] + below(p, 8192);
    case 3:
        return (ulong)pages[below(p, PAGES)] + below(p, 4096);
    default:
        return (ulong)pages[below(p, PAGES)];
    }
}

static u64 some_domain(struct player *p)
{
    switch (below(p, 12)) {
    case 0:
        return 0;
    case 1:
        return DOMID_FIRST_RESERVED + below(p, 10);
    case 2:
    case 3:
        return own_id;
    case 4:
    case 5:
        return own_id + 1;
    case 6:
    case 7:
        return own_id - 1;
    default:
        return DOMID_SELF;
    }
}

/* Not the console's, by which we are heard. */
static u64 some_port(struct player *p)
{
    unsigned port = below(p, 8) ? below(p, 24) : below(p, 4200);

    return port == boot_info.console.domU.evtchn ? port + 1 : port;
}

static u64 source_value(struct source *s, enum kind kind)
{
    struct player *p = player_of(s);

    switch (kind) {
    case K_DOMID:
        return some_domain(p);
    case K_PORT:
        return some_port(p);
    case K_VCPU:
        return below(p, MAX_CPUS + 1);
    case K_VIRQ:
        return below(p, 26);
    case K_PIRQ:
        return below(p, 64);
    case K_REF:
        return below(p, 8) ? below(p, 64) : below(p, 5000);
    case K_HANDLE:
        return below(p, 64);
    case K_MFN:
        return some_frame(p);
    case K_GFN:
        return below(p, 4) ? pfn_of(pages[below(p, PAGES)]) : some_frame(p);
    case K_PTE:
        return some_entry_value(p);
    case K_ENTRY:
        return (below(p, 2) ? entries_at[below(p, PAGES)]
                            : some_frame(p) << 12 | below(p, 512) * 8) |
               (below(p, 4) ? 0 : below(p, 8));
    case K_MADDR:
        return some_frame(p) << 12 | below(p, 512) * 8;
    case K_VA:
    case K_STACK:
        return some_address(p);
    case K_UVMF:
        return below(p, 8);
    case K_CODE:
        return (ulong)trap_entries + below(p, 256) * 32;
    case K_SELECTOR:
        return below(p, 2) ? FLAT_KERNEL_CS : below(p, 0x10000);
    case K_DESC:
        return draw(p);
    case K_TIME:
        return below(p, 2) ? own_clock() + below(p, 2000000) : below(p, 1000000);
    default:
        return odd_value(s);
    }
}

/* --- what needs no call, or more than one that is right --- */

/* Other vcpus may go on with what their TLBs have. */
static long map_here(ulong va, u64 pte)
{
#ifdef __x86_64__
    return HC3(update_va_mapping, va, pte, UVMF_INVLPG);
#else
    return HC4(update_va_mapping, va, pte, pte >> 32, UVMF_INVLPG);
#endif
}

static void remap(struct player *p)
{
    u8 *page = pages[below(p, PAGES)];
    u64 rights = below(p, 4) ? PTE_RW_ : below(p, 3) ? PTE_RO_ : 0;

    map_here((ulong)page, rights ? mfn_of(page) << 12 | rights : 0);
}

static void scribble(struct player *p)
{
    volatile u64 *to = (u64 *)pages[below(p, PAGES)] + below(p, 512);

    if (below(p, 4))
        *to = some_entry_value(p);
    else
        *(volatile u32 *)to = draw(p);
}

/* Clears a page, writes a few entries and has it be a table. */
static void make_table(struct player *p)
{
    u64 *page = (u64 *)pages[below(p, PAGES)];
    unsigned level = below(p, 3) ? 1 : 1 + below(p, 4);

    map_here((ulong)page, mfn_of(page) << 12 | PTE_RW_);
    memset(page, 0, 4096);
    for (unsigned n = below(p, 4); n; n--)
        page[below(p, 512)] =
            level == 1 ? some_entry_value(p) : mfn_of(pages[below(p, PAGES)]) << 12 | PTE_TAB;
    map_here((ulong)page, mfn_of(page) << 12 | PTE_RO_);
    if (below(p, 2))
        mmuext(MMUEXT_PIN_L1_TABLE + level - 1, mfn_of(page));
    else
        mmu_update_one(some_frame(p) << 12 | below(p, 512) * 8, mfn_of(page) << 12 | PTE_TAB);
}

/* Does away with what hangs on a page, and takes it back as a plain one. */
static void recover(struct player *p)
{
    u8 *page = pages[below(p, PAGES)];

    mmuext(MMUEXT_UNPIN_TABLE, mfn_of(page));
    map_here((ulong)page, mfn_of(page) << 12 | PTE_RW_);
}

/* The grant table, wherever it is mapped: entries to each neighbour. */
static void grant(struct player *p)
{
    static void *volatile table;
    struct gnttab_setup_table s = {.dom = DOMID_SELF, .nr_frames = 1};
    xen_pfn_t frame = 0;
    unsigned ref = below(p, 64);
    grant_entry_v1_t *e;

    if (!table || !below(p, 64)) {
        set_xen_guest_handle(s.frame_list, &frame);
        HC3(grant_table_op, GNTTABOP_setup_table, &s, 1);
        table = own[PAGES];
        map_here((ulong)table, (u64)frame << 12 | PTE_RW_);
    }
    e = (grant_entry_v1_t *)table + ref;
    e->domid = some_domain(p);
    e->frame = some_frame(p);
    WRITE_ONCE(e->flags, below(p, 4) ? GTF_permit_access : below(p, 64));
}

static void instruction(struct player *p)
{
    ulong a = below(p, 2) ? draw(p) : below(p, 0x1000), d = draw(p);
    u32 msr = below(p, 2) ? 0xc0000080 + below(p, 32) : below(p, 0x500);
    u32 b, c;

    switch (below(p, 10)) {
    case 0:
        __asm__ volatile("rdmsr" : "+a"(a), "+d"(d) : "c"(msr));
        break;
    case 1:
        if (msr < 0xc0000000) /* not the bases that this kernel stands on */
            __asm__ volatile("wrmsr" ::"a"(a), "d"(d), "c"(msr));
        break;
    case 2:
        __asm__ volatile("inb %w1, %b0" : "+a"(a) : "d"(d));
        break;
    case 3:
        __asm__ volatile("outl %k0, %w1" ::"a"(a), "d"(d));
        break;
    case 4:
        c = below(p, 64);
        __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
        break;
    case 5:
        __asm__ volatile("mov %%cr0, %0" : "=r"(a));
        break;
    case 6:
        __asm__ volatile("mov %0, %%cr4" ::"r"(a));
        break;
    case 7:
        __asm__ volatile("int $0x80");
        break;
    case 8:
        __asm__ volatile("mov %0, %%fs" ::"r"((u32)a & 0xffff));
        break;
    default:
        __asm__ volatile("clts; ud2");
    }
}

/* Numbers of frames that a list of a call now has, in case they are ours now. */
static void hear(struct player *p)
{
    const ulong *words = (const ulong *)p->source.arena;
    unsigned i = below(p, 64);

    if (words[i] > 0x100 && words[i] < 0x100000)
        frames[frames_next++ % ARRAY_SIZE(frames)] = words[i];
}

/* At the first calls, and ever more seldom, since an early end is likely.  One at a time. */
static void tell(void)
{
    static u32 told;
    u32 was = told, ms = own_clock() >> 20;
    u64 calls = 0, traps = 0;

    if (ms == was || !__sync_bool_compare_and_swap(&told, was, ms))
        return;
    for (unsigned i = 0; i < MAX_CPUS; i++) {
        calls += players[i].calls;
        traps += players[i].traps;
    }
    say("RANDOM %llu calls, %llu traps\n", (unsigned long long)calls, (unsigned long long)traps);
}

static void call(struct player *p)
{
    struct made_call c;

    p->source.may_ruin = !below(p, RUIN_EVERY);
    make_call(&p->source, &c, !below(p, 64));
    hypercall(c.nr, c.args[0], c.args[1], c.args[2], c.args[3], c.args[4]);
    p->calls++;
    hear(p);
    if (!(p->calls & (p->calls - 1)))
        tell();
}

static void step(struct player *p)
{
    switch (below(p, 64)) {
    case 0:
    case 1:
        return remap(p);
    case 2:
        return make_table(p);
    case 3:
        return recover(p);
    case 4:
    case 5:
    case 6:
    case 7:
        return scribble(p);
    case 8:
    case 9:
        return grant(p);
    case 10:
    case 11:
        return instruction(p);
    default:
        return call(p);
    }
}

/* A vcpu that has asked to be taken down, or to sleep until something happens: it happens. */
static void wake(unsigned id)
{
    struct evtchn_bind_ipi b = {.vcpu = id};

    HC3(vcpu_op, VCPUOP_up, id, 0);
    if (!evtchn(EVTCHNOP_bind_ipi, &b)) {
        struct evtchn_unmask unmask = {.port = b.port};
        struct evtchn_send send = {.port = b.port};
        struct evtchn_close close = {.port = b.port};

        evtchn(EVTCHNOP_unmask, &unmask);
        evtchn(EVTCHNOP_send, &send);
        evtchn(EVTCHNOP_close, &close);
    }
}

/* What this vcpu cannot do without, and others that may be asleep for good. */
static void mend(struct cpu *cpu)
{
    load_default_traps();
    events_on();
    map_here((ulong)arenas[cpu->id], mfn_of(arenas[cpu->id]) << 12 | PTE_RW_);
    mmuext(MMUEXT_NEW_BASEPTR, root_mfn());
    for (unsigned i = 0; i < MAX_CPUS; i++)
        if (i != cpu->id)
            wake(i);
}

static volatile bool all_here;

static void play(unsigned long id)
{
    struct cpu *cpu = &cpus[id];
    struct player *p = &players[id];
    struct sched_shutdown end = {.reason = SHUTDOWN_poweroff};
    static volatile u64 steps[MAX_CPUS], next;
    static volatile bool telling, told;

    p->source = (struct source){
        .arena = arenas[id], .choose = source_choose, .value = source_value, .store = source_store};
    while (!all_here)
        HC2(sched_op, SCHEDOP_yield, 0);
    if (save_point(&cpu->catch))
        p->traps++;
    while (own_clock() < ends_at) {
        cpu->armed = true;
        if (steps[id]++ % 128 == 0) {
            mend(cpu);
            if (!id && own_clock() >= next) {
                next = own_clock() + 1000000000;
                tell();
            }
        }
        step(p);
    }
    if (!id && !telling) { /* once: that may trap, too */
        telling = true;
        tell();
        console_flush();
        told = true;
    }
    while (!told && own_clock() < ends_at + 2000000000)
        HC2(sched_op, SCHEDOP_yield, 0);
    for (;;)
        HC2(sched_op, SCHEDOP_shutdown, &end);
}

static u64 word_of(const char *name, u64 otherwise)
{
    const char *at = strstr((char *)boot_info.cmd_line, name);

    return at ? parse_uint(at + strlen(name), NULL) : otherwise;
}

TEST(random)
{
    u64 seed = word_of("seed=", 1);

    own_id = own_domid();
    for (unsigned i = 0; i < PAGES; i++) {
        pages[i] = own[i];
        entries[i] = entry_of((ulong)pages[i], 1);
        entries_at[i] = maddr_of(entries[i]);
    }
    learn_clock();
    ends_at = own_clock() + word_of("seconds=", 10) * 1000000000ULL;
    say("RANDOM seed %llu, domain %u, %u vcpus\n", (unsigned long long)seed, own_id, nr_vcpus());
    console_flush();
    for (unsigned i = 0; i < MAX_CPUS; i++)
        players[i].seed = seed * MAX_CPUS + i;
    for (unsigned i = 1; i < nr_vcpus(); i++)
        start_on_cpu(i, play, i);
    all_here = true;
    play(0);
}
