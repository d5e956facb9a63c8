// SPDX-License-Identifier: MIT
/* Steps of the random guest: hypercalls, frames, page tables, and writing to all of them. */
#include "random.h"
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>

u64 play_table[512] __aligned(4096);
/*
 * Below 1 MB there is no code for them: what goes astray mostly comes to 0, and from there to the
 * code that vcpus begin with, which turns paging off.
 */
static u64 low_table[512] __aligned(4096);
static u8 arenas[MAX_CPUS][2 * 4096] __aligned(4096);
static grant_entry_v1_t *const grants = (grant_entry_v1_t *)(GRANT_GFN << 12);
static domid_t own_id;
extern u64 boot_l2[4 * 512], boot_l4[512];
extern u8 _end[];

/* --- numbers --- */

/* Not this kernel's own memory, nor where other modes have theirs: of which it would be the end. */
static u64 spared_gfn(u64 gfn)
{
    return gfn < RAM_END >> 12 ? gfn | 0x50000 : gfn;
}

u64 spared(u64 addr)
{
    return (u32)addr >= 0x100000 && (u32)addr < RAM_END ? addr | 0x50000000 : addr;
}

u64 some_gfn(struct player *p)
{
    switch (below(p, 32)) {
    case 0:
        return APIC >> 12;
    case 1: /* the pages of console and xenstore */
        return one_in(p, 8) ? boot_info.console.domU.mfn + below(p, 3) - 1 : APIC >> 12;
    case 2 ... 3:
        return 0x100000 + below(p, 0x400);
    case 4:
        return below(p, 64) * 0x200 + GAME_GFN; /* 2 MB apart */
    case 5:
        return spared_gfn((1UL << below(p, 52)) - below(p, 2));
    case 6:
        return PLAY_VA >> 12;
    case 7 ... 17:
        return pfn_of(own[STEADY + below(p, OWN - STEADY)]);
    default:
        return GAME_GFN + below(p, GAMES);
    }
}

/* Of the pages to play with: mostly their beginnings and ends. */
u64 some_address(struct player *p)
{
    static const u16 edges[] = {0, 8, 4095, 4094, 4092, 4088, 4080, 4096 - 31, 2048};
    u64 page = (u64)play_page(below(p, OWN + GAMES + 8));

    switch (below(p, 24)) {
    case 0:
        return APIC + below(p, 0x40) * 16;
    case 1:
        return APIC + 4096 - below(p, 9);
    case 2:
        return HOLE + below(p, 4 * 4096);
    case 3:
        return SPARE_VA + (draw(p) & 0x7ffffff8);
    case 4:
        return spared(odd_value(&p->source));
    case 5:
        return (u64)play_page(TABLE_PAGE) + below(p, OWN) * 8;
    default:
        return page + (one_in(p, 2) ? edges[below(p, ARRAY_SIZE(edges))] : below(p, 4096));
    }
}

static u64 some_domain(struct player *p)
{
    switch (below(p, 12)) {
    case 0:
        return 0;
    case 1:
        return DOMID_FIRST_RESERVED + below(p, 10);
    case 2 ... 4:
        return own_id;
    case 5:
        return own_id - 1 + 2 * below(p, 2);
    default:
        return DOMID_SELF;
    }
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

static u64 source_value(struct source *s, enum kind kind)
{
    static const u8 params[] = {HVM_PARAM_CALLBACK_IRQ, HVM_PARAM_STORE_PFN,
                                HVM_PARAM_STORE_EVTCHN, HVM_PARAM_CONSOLE_PFN,
                                HVM_PARAM_VM86_TSS,     HVM_PARAM_X87_FIP_WIDTH};
    struct player *p = player_of(s);

    switch (kind) {
    case K_DOMID:
        return some_domain(p);
    case K_SELF:
        return below(p, 16) ? DOMID_SELF : some_domain(p);
    case K_PORT:
        return below(p, 8) ? 3 + below(p, 24) : below(p, 4200);
    case K_VCPU:
        return below(p, MAX_CPUS + 1);
    case K_VIRQ:
        return below(p, 26);
    case K_PIRQ:
        return below(p, 64);
    case K_REF:
        return below(p, 8) ? 8 + below(p, 64) : below(p, 5000);
    case K_HANDLE:
        return below(p, 64);
    case K_MFN:
    case K_GFN:
        return some_gfn(p);
    case K_PAGE:
        return (GAME_GFN + below(p, GAMES)) << 12;
    case K_MADDR:
    case K_ENTRY:
        return some_gfn(p) << 12 | below(p, 512) * 8;
    case K_VA:
    case K_STACK:
    case K_CODE:
        return some_address(p);
    case K_PARAM:
        return below(p, 2) ? params[below(p, sizeof(params))] : below(p, 48);
    case K_CALLBACK:
        return (u64)below(p, 4) << 56 | below(p, 256);
    case K_TIME:
        return below(p, 2) ? own_clock() + below(p, 2000000) : below(p, 1000000);
    default:
        return spared(spared_gfn(odd_value(s)));
    }
}

/* --- hypercalls --- */

/* Now and then where its argument lies nobody knows. */
void call(struct player *p)
{
    struct made_call c;

    p->source.may_ruin = one_in(p, 1024);
    p->source.arena = play_page(ARENA_PAGE + 4 * (p - players));
    if (one_in(p, 4))
        p->source.arena = play_page(STEADY + below(p, OWN + GAMES - STEADY)) + 4000;
    make_call(&p->source, &c, false);
    if (one_in(p, 16))
        c.args[below(p, 3)] = some_address(p);
    if (c.nr == __HYPERVISOR_console_io)
        return;
    call_(c.nr, c.args[0], c.args[1], c.args[2], c.args[3], c.args[4]);
    p->calls++;
    if (!(p->calls & (p->calls - 1)))
        tell();
}

static long extents(struct player *p, unsigned op)
{
    static xen_pfn_t lists[MAX_CPUS][8];
    xen_pfn_t *list = lists[p - players];
    struct xen_memory_reservation r = {.nr_extents = 1 + below(p, 8), .domid = DOMID_SELF};

    for (unsigned i = 0; i < 8; i++)
        list[i] = some_gfn(p);
    if (one_in(p, 8)) {
        r.extent_order = 9;
        r.nr_extents = 1;
        list[0] = (GAME_GFN + 0x200 * below(p, 4)) & ~0x1ffUL;
    }
    set_xen_guest_handle(r.extent_start, list);
    return HC2(memory_op, op, &r);
}

/* Frames get RAM, lose it, change places; also those that a code page or a stack is in. */
void shuffle(struct player *p)
{
    /* One at a time also those below 1 MB, but not where CPUs begin. */
    u64 gfn = one_in(p, 32) ? 0x10 + below(p, 0x70) : some_gfn(p);
    struct xen_remove_from_physmap r = {.domid = DOMID_SELF, .gpfn = gfn};

    p->calls++;
    switch (below(p, 8)) {
    case 0:
        extents(p, XENMEM_decrease_reservation);
        break;
    case 1:
    case 2:
        extents(p, XENMEM_populate_physmap);
        break;
    case 3:
        add_to_physmap(XENMAPSPACE_gmfn, gfn, some_gfn(p));
        break;
    case 4:
        add_to_physmap(XENMAPSPACE_grant_table, below(p, 3), gfn);
        break;
    case 5:
        HC2(memory_op, XENMEM_remove_from_physmap, &r);
        break;
    case 6:
        populate(pfn_of(own[below(p, OWN)])); /* those have to come back sometime */
        break;
    default:
        decrease(gfn);
        populate(gfn);
    }
}

/* --- tables --- */

static u64 some_entry(struct player *p)
{
    u64 e = some_gfn(p) << 12 | PTE_RW_;

    if (one_in(p, 4))
        e ^= 1UL << below(p, 12);
    if (one_in(p, 8))
        e ^= 1UL << (40 + below(p, 24));
    return e;
}

/* How play pages are seen at first: frames of RAM, and behind them the others. */
static u64 plain_entry(unsigned i)
{
    if (i < OWN)
        return (u64)own[i] | PTE_RW_;
    if (i == TABLE_PAGE)
        return (u64)play_table | PTE_RW_;
    if (i >= ARENA_PAGE && i < ARENA_PAGE + 4 * MAX_CPUS && i % 4 < 2)
        return ((u64)arenas[(i - ARENA_PAGE) / 4] + i % 4 * 4096) | PTE_RW_;
    return i < OWN + GAMES ? (GAME_GFN + i - OWN) << 12 | PTE_RW_ : 0;
}

void change_tables(struct player *p)
{
    unsigned i = STEADY + below(p, OWN + GAMES - STEADY + 4);

    switch (below(p, 8)) {
    case 0: /* tables that anything may be written to */
        boot_l4[SPARE_VA >> 39 & 511] = some_entry(p);
        break;
    case 1:
        write_cr3(read_cr3());
        break;
    case 2:
    case 3:
        play_table[i] = plain_entry(i);
        break;
    default:
        play_table[i] = some_entry(p);
    }
    if (!one_in(p, 4))
        invlpg(play_page(i));
}

static void write_grant(struct player *p)
{
    grant_entry_v1_t *e = &grants[8 + below(p, 64)];

    e->domid = one_in(p, 4) ? some_domain(p) : own_id;
    e->frame = some_gfn(p);
    WRITE_ONCE(e->flags, below(p, 4) ? GTF_permit_access | (below(p, 2) ? GTF_readonly : 0)
                                     : below(p, 65536));
}

void scribble(struct player *p)
{
    volatile u64 *to = (u64 *)play_page(below(p, OWN + GAMES)) + below(p, 512);

    switch (below(p, 8)) {
    case 0:
    case 1:
        return write_grant(p);
    case 2:
        *to = some_entry(p);
        break;
    case 3: /* into whatever somebody is just running */
        make_code(p, play_page(below(p, STEADY) & ~3u) + below(p, 64), 64, true);
        break;
    case 4:
        memcpy((void *)some_address(p), (void *)some_address(p), below(p, 64));
        break;
    default:
        *(volatile u32 *)to += draw(p);
    }
}

/* --- the beginning, and what is put right --- */

void mend_memory(void)
{
    for (unsigned i = 0; i < STEADY; i++)
        play_table[i] = plain_entry(i);
    for (unsigned i = ARENA_PAGE; i < 512; i++)
        play_table[i] = plain_entry(i);
}

/* Nothing else is open to ring 3 from here on. */
void memory_init(void)
{
    own_id = own_domid();
    for (unsigned i = 0; i < 512; i++)
        play_table[i] = plain_entry(i);
    /* Beside what is used there is nothing, so that what does not end comes no further. */
    for (unsigned i = 0; i < 4 * 512; i++)
        boot_l2[i] = i <= (u64)_end >> 21 || i == (u64)own >> 21 || i >= HOLE >> 21
                         ? boot_l2[i] & ~PTE_U
                         : 0;
    for (unsigned i = 0; i < 512; i++)
        low_table[i] = i << 12 | (PTE_RW_ & ~PTE_U) | (i < 0x100 ? PTE_NX : 0);
    low_table[0xff] = 0;
    boot_l2[0] = (u64)low_table | PTE_TAB;
    boot_l2[PLAY_VA >> 21] = (u64)play_table | PTE_TAB;
    write_cr3(read_cr3());
    add_to_physmap(XENMAPSPACE_grant_table, 0, GRANT_GFN);
    for (unsigned i = 0; i < MAX_CPUS; i++)
        players[i].source = (struct source){
            .hvm = true, .choose = source_choose, .value = source_value, .store = source_store};
}
