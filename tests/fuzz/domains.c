// SPDX-License-Identifier: MIT
/*
 * Coverage-guided fuzzing of everything a domain may ask: an input is what three domains do, one
 * step after the other, by the real dispatcher (world.h). Each step chooses a vcpu, and what it
 * does: a call that is nearly right (calls.h), or a write to its own memory or grant table, or time
 * goes by. The shadow (shadow.c) is compared on the way; at the end all domains are destroyed, and
 * nothing may be left of them.
 */
#include "world.h"
#include "calls.h"
#include "grant/private.h"
#include "hypercall/compat.h"
#include "hypercall/hypercall.h"
#include "hypercall/tables.h"
#include "kernel/softirq.h"
#include "lib/string.h"
#include "pv/pv.h"

#define MOST_STEPS   64
#define MOST_REPEATS 32 /* of a call that gives way */
#define CALL_RIP     0x1000
#define WRITE_FAULT  7 /* error code: by a user, a write, to a page that is present */

struct input {
    const uint8_t *at, *end;
    struct player *player; /* whose turn it is */
    struct source source;
};

static unsigned byte(struct input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

static unsigned below(struct input *in, unsigned n)
{
    return (n <= 256 ? byte(in) : byte(in) << 8 | byte(in)) % n;
}

static struct input *input_of(struct source *s)
{
    return container_of(s, struct input, source);
}

static unsigned source_choose(struct source *s, unsigned n)
{
    return below(input_of(s), n);
}

/* --- numbers --- */

static uint64_t some_frame(struct input *in)
{
    unsigned n = byte(in);

    if (n < 192)
        return in->player->frames[n % OWN_FRAMES];
    if (n < 232)
        return players[n % SLOTS].frames[n / SLOTS % OWN_FRAMES];
    if (n < 240 && in->player->d->grant && in->player->d->grant->nr_frames)
        return mfn_x(virt_to_mfn(in->player->d->grant->shared[0]));
    if (n < 248)
        return mfn_x(page_to_mfn(players[n % SLOTS].d->shared_info_page));
    return FAKE_FIRST_MFN + below(in, WORLD_PAGES);
}

/* A table of the player's that is one from the start, mostly. */
static uint64_t some_table(struct input *in)
{
    unsigned n = byte(in);

    return n < 160 ? in->player->frames[n % in->player->tables] : some_frame(in);
}

static uint64_t some_entry(struct input *in)
{
    static const uint64_t rights[] = {
        PTE_PRESENT | PTE_RW | PTE_USER | PTE_ACCESSED,
        PTE_PRESENT | PTE_USER | PTE_ACCESSED,
        PTE_PRESENT | PTE_RW | PTE_USER,
        PTE_PRESENT,
        PTE_PRESENT | PTE_PSE | PTE_USER,
        PTE_PRESENT | PTE_NX | PTE_USER,
        PTE_PRESENT | PTE_PCD | PTE_GLOBAL | PTE_RW,
        0,
    };
    uint64_t frame = some_frame(in);

    return frame << PAGE_SHIFT | rights[below(in, ARRAY_SIZE(rights))];
}

static unsigned some_index(struct input *in)
{
    static const uint16_t borders[] = {0, 1, 2, 3, 255, 256, 260, 271, 272, 511, 500, 64};
    unsigned n = byte(in);

    return n < 128 ? n % OWN_FRAMES : borders[n % ARRAY_SIZE(borders)];
}

static uint64_t some_domain(struct input *in)
{
    static const domid_t names[] = {DOMID_SELF, DOMID_SELF, 0, 1, 2, 3, DOMID_IO, DOMID_XEN};

    return names[below(in, ARRAY_SIZE(names))];
}

/* Mostly a page that the first table maps; or memory that can be copied to. */
static uint64_t some_address(struct input *in)
{
    unsigned n = byte(in);

    if (n < 192)
        return SPACE_VA + (n % 32) * PAGE_SIZE;
    if (n < 250)
        return GUEST_MEMORY + below(in, GUEST_BYTES);
    return (uint64_t)some_index(in) << 39 | (uint64_t)below(in, 512) << 12;
}

static uint64_t source_value(struct source *s, enum kind kind)
{
    struct input *in = input_of(s);

    switch (kind) {
    case K_DOMID:
        return some_domain(in);
    case K_PORT:
        return below(in, 12);
    case K_VCPU:
        return below(in, 3);
    case K_VIRQ:
        return below(in, 26);
    case K_PIRQ:
        return below(in, 20);
    case K_REF:
    case K_HANDLE:
        return below(in, 12);
    case K_MFN:
    case K_GFN:
        return some_frame(in);
    case K_PTE:
        return some_entry(in);
    case K_ENTRY:
        return some_table(in) << PAGE_SHIFT | some_index(in) * 8 |
               (below(in, 8) ? 0 : below(in, 8));
    case K_MADDR:
        return some_frame(in) << PAGE_SHIFT | below(in, 512) * 8;
    case K_VA:
    case K_STACK:
    case K_CODE:
        return some_address(in);
    case K_UVMF:
        return below(in, 8) | (below(in, 8) ? 0 : GUEST_MEMORY);
    case K_SELECTOR:
        return below(in, 65536);
    case K_DESC:
        return 0x00cffb000000ffff ^ (uint64_t)below(in, 256) << 40;
    case K_TIME:
        return fake_now + below(in, 65536) * 1000;
    default:
        return odd_value(s);
    }
}

/* --- calls --- */

static const struct compat_layout *layout_of(unsigned nr, unsigned cmd)
{
    const struct op_table *t;

    switch (nr) {
    case __HYPERVISOR_multicall:
        return COMPAT_LAYOUT(struct multicall_entry);
    case __HYPERVISOR_mmuext_op:
        return COMPAT_LAYOUT(struct mmuext_op);
    case __HYPERVISOR_event_channel_op:
        t = &op_table_event;
        break;
    case __HYPERVISOR_grant_table_op:
        t = &op_table_grant;
        break;
    case __HYPERVISOR_memory_op:
        t = &op_table_memory;
        break;
    case __HYPERVISOR_sched_op:
        t = &op_table_sched;
        break;
    case __HYPERVISOR_vcpu_op:
        t = &op_table_vcpu;
        break;
    default:
        return NULL;
    }
    return cmd < t->count ? t->ops[cmd].compat : NULL;
}

static size_t source_store(struct source *s, void *dst, unsigned nr, unsigned cmd, const void *arg,
                           size_t size)
{
    const struct compat_layout *layout = s->narrow ? layout_of(nr, cmd) : NULL;

    if (copy_arg_to_guest((uintptr_t)dst, arg, size, layout))
        complain("an argument does not fit in the guest's memory");
    return guest_size(size, layout);
}

/* As often as it gives way, as the guest's instruction pointer says. */
static void call(struct vcpu *v, const struct made_call *c)
{
    const unsigned long *a = c->args;
    bool narrow = is_32bit(v->domain);
    struct cpu_user_regs regs = {.rax = c->nr, .rip = CALL_RIP};

    if (narrow) {
        regs.rbx = a[0], regs.rcx = a[1], regs.rdx = a[2];
        regs.rsi = a[3], regs.rdi = a[4], regs.rbp = a[5];
    } else {
        regs.rdi = a[0], regs.rsi = a[1], regs.rdx = a[2];
        regs.r10 = a[3], regs.r8 = a[4], regs.r9 = a[5];
    }
    for (unsigned i = 0; i < MOST_REPEATS; i++) {
        if (narrow)
            hypercall_dispatch32(&regs);
        else
            hypercall_dispatch(&regs);
        if (regs.rip == CALL_RIP)
            break;
        regs.rip = CALL_RIP;
        v->info->evtchn_upcall_pending = 0; /* the guest has taken its events */
        if (!world_play(v))
            break;
    }
}

/* --- what needs no call --- */

/* The guest writes to a frame of its own, where it could have mapped it writable. */
static void scribble(struct input *in)
{
    uint64_t mfn = in->player->frames[below(in, OWN_FRAMES)];
    struct page_info *pg = mfn_to_page(_mfn(mfn));
    unsigned at = some_index(in);
    uint64_t val = below(in, 2) ? some_entry(in) : below(in, 65536);

    if (!get_page_and_type(pg, in->player->d, PGT_writable))
        return;
    ((uint64_t *)mfn_to_virt(_mfn(mfn)))[at] = val;
    put_page_and_type(pg);
}

/* Mostly a frame of its own, to another, for access. */
static void grant(struct input *in)
{
    static const uint16_t kinds[] = {
        GTF_permit_access,   GTF_permit_access, GTF_permit_access | GTF_readonly,
        GTF_accept_transfer, GTF_transitive,    GTF_permit_access | GTF_sub_page};
    struct grant_table *t = in->player->d->grant;
    unsigned ref = below(in, 12), kind = byte(in);
    uint64_t frame = kind & 3 ? in->player->frames[4 + below(in, OWN_FRAMES - 4)] : some_frame(in);
    domid_t to = kind & 4 ? below(in, SLOTS) : some_domain(in);
    uint16_t flags = kind & 8 ? kinds[kind / 16 % ARRAY_SIZE(kinds)] : below(in, 1024);

    if (!t || !t->nr_frames)
        return;
    if (t->version == 2) {
        union grant_entry_v2 *e = (union grant_entry_v2 *)t->shared[0] + ref;

        e->full_page.frame = frame;
        e->hdr.domid = to;
        e->hdr.flags = flags;
    } else {
        grant_entry_v1_t *e = (grant_entry_v1_t *)t->shared[0] + ref;

        e->frame = frame;
        e->domid = to;
        e->flags = flags;
    }
}

/* The guest's kernel writes to what is perhaps a table, by some instruction, and faults. */
static void write_table(struct input *in, struct vcpu *v)
{
    static const uint8_t insns[][8] = {
        {0x48, 0x89, 0x07},                   /* mov %rax,(%rdi) */
        {0x89, 0x07},                         /* mov %eax,(%rdi) */
        {0xf0, 0x48, 0x0f, 0xb1, 0x17},       /* lock cmpxchg %rdx,(%rdi) */
        {0x48, 0x87, 0x07},                   /* xchg %rax,(%rdi) */
        {0xf0, 0x48, 0x0f, 0xba, 0x37, 0x06}, /* lock btr $6,(%rdi) */
        {0x48, 0x21, 0x07},                   /* and %rax,(%rdi) */
        {0x48, 0xab},                         /* stos */
    };
    struct cpu_user_regs regs = {.rip = GUEST_MEMORY + GUEST_BYTES - sizeof(insns[0]),
                                 .cs = FLAT_KERNEL_CS,
                                 .ss = FLAT_KERNEL_SS,
                                 .error_code = WRITE_FAULT};

    memcpy((void *)regs.rip, insns[below(in, ARRAY_SIZE(insns))], sizeof(insns[0]));
    regs.rdi = SPACE_VA + below(in, OWN_FRAMES) * PAGE_SIZE + some_index(in) * 8;
    regs.rax = some_entry(in);
    regs.rdx = some_entry(in);
    mm_try_ptwr_fault(v, regs.rdi, &regs);
}

static void step(struct input *in)
{
    unsigned what = byte(in), who = byte(in);
    struct vcpu *v;
    struct made_call c;

    in->player = &players[who % SLOTS];
    v = in->player->d->vcpu[who / SLOTS % 2];
    if (what < 16) {
        fake_advance_to(fake_now + below(in, 256) * 1000000);
        return;
    }
    if (!world_play(v))
        return;
    if (what < 48)
        return scribble(in);
    if (what < 64)
        return grant(in);
    if (what < 72)
        return write_table(in, v);
    in->source.narrow = is_32bit(v->domain);
    in->source.may_ruin = true;
    make_call(&in->source, &c, what < 88);
    if (c.nr == __HYPERVISOR_sched_op && c.args[0] == SCHEDOP_shutdown)
        return; /* it would be over */
    call(v, &c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {.at = data,
                       .end = data + size,
                       .source = {.arena = (uint8_t *)GUEST_MEMORY,
                                  .choose = source_choose,
                                  .value = source_value,
                                  .store = source_store}};

    world_begin();
    for (unsigned i = 0; i < MOST_STEPS && in.at < in.end; i++) {
        step(&in);
        fake_softirqs_all();
        if (i % 8 == 7)
            shadow_check();
    }
    shadow_check();
    world_end();
    return 0;
}
