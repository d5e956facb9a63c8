// SPDX-License-Identifier: MIT
/*
 * Coverage-guided fuzzing of a hardware-virtualised domain: the machine of world.h, and on it a
 * domain with nested page tables, two vcpus and a vendor that only remembers (hvm_vendor.c).  An
 * input is what its vcpus do (calls, frames, registers, APIC, instructions that are emulated,
 * writes to its memory, of which some is page tables), and what the tools do to it meanwhile: its
 * state as records, the log of live migration, memory on demand, tables' size.
 *
 * On the way every reference that the nested tables hold is counted anew, and no vcpu may be in a
 * state that a CPU would refuse; at the end nothing may be left.
 */
#include "hvm_world.h"
#include "arch/x86/cpu/modes.h"
#include "calls.h"
#include "arch/x86/hvm/save.h"
#include "asm/cpufeature.h"
#include "asm/regs.h"
#include "asm/msr.h"
#include "grant/private.h"
#include "hvm_host.h"
#include "hypercall/handlers.h"
#include "hypercall/hypercall.h"
#include "kernel/softirq.h"
#include "lib/errno.h"
#include "lib/string.h"
#include <stdlib.h>
#include <xen/domctl.h>

#define MOST_STEPS   64
#define MOST_REPEATS 32
#define GUEST        SLOTS /* the domain's number */
#define FRAMES       16    /* of RAM at first, from 0 on */
#define TABLES_AT    0x1000
#define CODE_AT      0x8000
#define LARGE_GFN    0x400
#define CALL_RIP     0x100000 /* nobody's code */

struct input {
    const uint8_t *at, *end;
    struct source source;
};
static struct domain *d;

static unsigned byte(struct input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

static unsigned below(struct input *in, unsigned n)
{
    return (n <= 256 ? byte(in) : byte(in) << 8 | byte(in)) % n;
}

static uint64_t word(struct input *in)
{
    uint64_t val = 0;

    for (unsigned i = 0; i < 8; i++)
        val = val << 8 | byte(in);
    return val;
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

static uint64_t some_gfn(struct input *in)
{
    unsigned n = byte(in);

    if (n < 200)
        return n % 32;
    if (n < 240)
        return LARGE_GFN + (n & 1) * 511 + (n & 2) * 256 - (n & 4) / 4;
    if (n < 244)
        return VLAPIC_DEFAULT_BASE >> PAGE_SHIFT;
    return 1ULL << below(in, 64);
}

static uint64_t some_address(struct input *in)
{
    unsigned n = byte(in);

    if (n < 32)
        return VLAPIC_DEFAULT_BASE + below(in, 4200);
    if (n < 64)
        return GUEST_MEMORY + below(in, GUEST_BYTES);
    return some_gfn(in) << PAGE_SHIFT | (n & 1 ? 4096 - (n >> 3 & 15) : below(in, 4096));
}

/* For addresses of arguments: what can be copied. */
static uint64_t source_value(struct source *s, enum kind kind)
{
    static const domid_t names[] = {DOMID_SELF, GUEST, 0, 1, 2, DOMID_XEN};
    static const uint8_t params[] = {HVM_PARAM_CALLBACK_IRQ, HVM_PARAM_STORE_PFN,
                                     HVM_PARAM_CONSOLE_PFN, HVM_PARAM_TRIPLE_FAULT_REASON};
    struct input *in = input_of(s);

    switch (kind) {
    case K_DOMID:
        return names[below(in, ARRAY_SIZE(names))];
    case K_SELF:
        return byte(in) < 224 ? DOMID_SELF : names[below(in, ARRAY_SIZE(names))];
    case K_PORT:
    case K_REF:
    case K_HANDLE:
        return below(in, 12);
    case K_VCPU:
        return below(in, 3);
    case K_VIRQ:
        return below(in, 26);
    case K_PIRQ:
        return below(in, 20);
    case K_MFN:
    case K_GFN:
        return some_gfn(in);
    case K_PAGE:
    case K_MADDR:
    case K_ENTRY:
        return some_gfn(in) << PAGE_SHIFT | (kind == K_PAGE ? 0 : below(in, 512) * 8);
    case K_VA:
    case K_STACK:
    case K_CODE:
        return GUEST_MEMORY + below(in, GUEST_BYTES);
    case K_PARAM:
        return below(in, 2) ? params[below(in, sizeof(params))] : byte(in);
    case K_CALLBACK:
        return (uint64_t)below(in, 4) << 56 | byte(in);
    case K_TIME:
        return fake_now + below(in, 65536) * 1000;
    default:
        return odd_value(s);
    }
}

static size_t source_store(struct source *s, void *dst, unsigned nr, unsigned cmd, const void *arg,
                           size_t size)
{
    (void)s, (void)nr, (void)cmd;
    if (copy_to_guest((uintptr_t)dst, arg, size))
        complain("an argument does not fit in the guest's memory");
    return size;
}

/* --- what the tools ask --- */

static long tools(struct xen_domctl *op, long (*fn)(struct call *, struct xen_domctl *))
{
    struct call c = {.v = players[0].d->vcpu[0], .d = d};
    long rc;

    if (!world_play(c.v) && !world_play(c.v))
        return -EBUSY;
    for (unsigned i = 0; i < MOST_REPEATS; i++) {
        rc = fn(&c, op);
        if (rc != -ERESTART)
            break;
    }
    return rc;
}

/* Its state, some bytes of which are not what they were. */
static void records(struct input *in)
{
    struct xen_domctl op = {
        .u.hvmcontext = {.size = GUEST_BYTES, .buffer.p = (void *)GUEST_MEMORY}};
    unsigned changes = below(in, 8), truncated = byte(in) & 1;

    if (tools(&op, domctl_gethvmcontext))
        return;
    for (unsigned i = 0; i < changes && op.u.hvmcontext.size; i++)
        ((uint8_t *)GUEST_MEMORY)[below(in, 65536) % op.u.hvmcontext.size] ^= 1 << below(in, 8);
    if (truncated)
        op.u.hvmcontext.size = below(in, GUEST_BYTES);
    if (tools(&op, domctl_sethvmcontext) == -EINVAL && !changes && !truncated)
        complain("the domain's own state is refused");
}

static void log_dirty(struct input *in)
{
    struct xen_domctl op = {.u.shadow_op = {.op = 10 + below(in, 3), .pages = below(in, 2048)}};
    unsigned how = byte(in);

    if (how & 1)
        op.u.shadow_op.op =
            how & 2 ? XEN_DOMCTL_SHADOW_OP_OFF : XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY;
    if (how & 4)
        op.u.shadow_op.dirty_bitmap.p = (void *)GUEST_MEMORY;
    if (how & 8)
        op.u.shadow_op.mode = XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL;
    fake_preempt = how & 16;
    tools(&op, domctl_shadow_op);
    fake_preempt = false;
}

static void administer(struct input *in)
{
    struct xen_domctl op = {};

    switch (below(in, 4)) {
    case 0:
        return records(in);
    case 1:
        return log_dirty(in);
    case 2:
        op.u.paging_mempool.size = (uint64_t)below(in, 64) << PAGE_SHIFT;
        tools(&op, domctl_set_paging_mempool_size);
        return;
    default:
        if (below(in, 2))
            p2m_set_pod_target(d, below(in, 1024));
        else
            p2m_populate_later(d, _gfn(some_gfn(in)), below(in, 2) ? 9 : 0);
    }
}

/* --- what the guest does --- */

static void call(struct vcpu *v, const struct made_call *c)
{
    const unsigned long *a = c->args;

    fuzz_regs = (struct cpu_user_regs){.rax = c->nr,
                                       .rdi = a[0],
                                       .rsi = a[1],
                                       .rdx = a[2],
                                       .r10 = a[3],
                                       .r8 = a[4],
                                       .r9 = a[5],
                                       .rip = CALL_RIP};
    for (unsigned i = 0; i < MOST_REPEATS; i++) {
        hvm_hypercall(&fuzz_regs, 3);
        if (fuzz_regs.rip != CALL_RIP || !world_play(v))
            break;
    }
}

static void grant(struct input *in)
{
    struct grant_table *t = d->grant;
    unsigned ref = below(in, 12);
    uint64_t frame = some_gfn(in);
    domid_t to = below(in, 4) ? GUEST : below(in, SLOTS);
    uint16_t flags =
        below(in, 4) ? GTF_permit_access | below(in, 2) * GTF_readonly : below(in, 1024);
    grant_entry_v1_t *e;

    if (!t || !t->nr_frames || t->version != 1)
        return;
    e = (grant_entry_v1_t *)t->shared[0] + ref;
    e->frame = frame;
    e->domid = to;
    e->flags = flags;
}

/* One of its own frames, granted to itself, comes to another place; or goes again. */
static void map_grant(struct input *in, struct vcpu *v)
{
    struct gnttab_map_grant_ref map = {.host_addr = some_gfn(in) << PAGE_SHIFT,
                                       .flags =
                                           GNTMAP_host_map | (byte(in) & 1 ? GNTMAP_readonly : 0),
                                       .ref = below(in, 12),
                                       .dom = DOMID_SELF};
    struct gnttab_unmap_grant_ref unmap = {.host_addr = map.host_addr, .handle = below(in, 4)};
    bool undo = byte(in) & 1;
    struct made_call c = {
        .nr = __HYPERVISOR_grant_table_op,
        .args = {undo ? GNTTABOP_unmap_grant_ref : GNTTABOP_map_grant_ref, GUEST_MEMORY, 1}};
    struct grant_table *t = d->grant;

    if (t && t->nr_frames && t->version == 1 && !undo) {
        grant_entry_v1_t *e = (grant_entry_v1_t *)t->shared[0] + map.ref;

        e->frame = some_gfn(in);
        e->domid = GUEST;
        e->flags = GTF_permit_access;
    }
    if (undo)
        memcpy((void *)GUEST_MEMORY, &unmap, sizeof(unmap));
    else
        memcpy((void *)GUEST_MEMORY, &map, sizeof(map));
    call(v, &c);
}

/* The guest's RAM at gpa, if there is any. */
static uint64_t *ram_at(uint64_t gpa)
{
    struct page_info *pg = p2m_get_page(d, _gfn(gpa >> PAGE_SHIFT));

    if (!pg)
        return NULL;
    put_page(pg);
    return (uint64_t *)page_to_virt(pg) + (gpa >> 3 & 511);
}

/* Mostly an entry of a page table, where one could be. */
static void scribble(struct input *in)
{
    static const uint16_t borders[] = {0, 1, 2, 3, 255, 256, 510, 511};
    uint64_t gpa = (TABLES_AT + below(in, 8) * PAGE_SIZE) | borders[below(in, 8)] * 8;
    uint64_t *to = ram_at(gpa);
    unsigned flags = byte(in);

    if (to)
        *to = flags == 255 ? word(in) : some_gfn(in) << PAGE_SHIFT | flags;
}

static uint32_t some_msr(struct input *in)
{
    static const uint32_t firsts[] = {0x10,  0x1b,       0x174,      0x179,     0x1d9,
                                      0x200, 0x250,      0x268,      0x277,     0x2ff,
                                      0x6e0, 0xc0000080, 0xc0000100, 0xc0010000};
    unsigned n = byte(in);

    return n < 96 ? 0x800 + n % 64 : firsts[n % ARRAY_SIZE(firsts)] + below(in, 4);
}

static void registers(struct input *in, struct vcpu *v)
{
    unsigned what = byte(in);
    uint64_t val = what & 1 ? odd_value(&in->source) : word(in), old;
    uint32_t msr;

    switch (what >> 1 & 7) {
    case 0:
        hvm_write_cr(v, 0, byte(in) & 1 ? seen_of(v)->cr[0] ^ 1ULL << below(in, 64) : val);
        break;
    case 1:
        hvm_write_cr(v, 3, byte(in) & 1 ? TABLES_AT : val);
        break;
    case 2:
        hvm_write_cr(v, 4, seen_of(v)->cr[4] ^ 1ULL << below(in, 64));
        break;
    case 3:
        hvm_write_efer(v, seen_of(v)->efer ^ 1ULL << below(in, 64));
        break;
    case 4:
        hvm_rdmsr(v, some_msr(in), &old);
        break;
    default:
        msr = some_msr(in);
        if (what & 16 && hvm_rdmsr(v, msr, &old))
            val = old ^ 1ULL << below(in, 64);
        hvm_wrmsr(v, msr, val);
    }
}

static void apic(struct input *in, struct vcpu *v)
{
    unsigned off = below(in, 64) * 16;

    if (byte(in) & 1)
        vlapic_read(v, off);
    else
        vlapic_write(v, off, byte(in) << 24 | byte(in) << 16 | byte(in) << 8 | byte(in));
}

/* 64-bit code with the tables at TABLES_AT, or code without paging, or whatever it is. */
static void set_mode(struct vcpu *v, unsigned mode)
{
    struct emul_segment code = {.limit = ~0u, .attr = 0xa9b}, data = {.limit = ~0u, .attr = 0xc93};

    if (mode == 2)
        return;
    for (unsigned seg = EMUL_SEG_ES; seg <= EMUL_SEG_GS; seg++)
        seen_of(v)->seg[seg] = data;
    if (mode)
        code.attr = 0xc9b;
    seen_of(v)->seg[EMUL_SEG_CS] = code;
    seen_of(v)->efer = mode ? 0 : EFER_LME | EFER_LMA | EFER_NXE;
    seen_of(v)->cr[0] = mode ? CR0_PE | CR0_ET : CR0_PG | CR0_PE | CR0_ET;
    seen_of(v)->cr[3] = TABLES_AT;
    seen_of(v)->cr[4] = CR4_PAE;
}

/* An instruction of the input's, at whose address there may be nothing. */
static void emulate(struct input *in, struct vcpu *v)
{
    uint8_t code[16], how = byte(in);
    uint64_t *to = ram_at(CODE_AT);

    set_mode(v, how & 3);
    for (unsigned i = 0; i < sizeof(code); i++)
        code[i] = byte(in);
    if (to)
        memcpy(to, code, sizeof(code));
    fuzz_regs = (struct cpu_user_regs){.rip = CODE_AT, .rflags = 0x202 ^ (how & 0xfc) << 3};
    fuzz_regs.rdi = some_address(in);
    fuzz_regs.rsi = some_address(in);
    fuzz_regs.rax = word(in);
    fuzz_regs.rcx = below(in, 4) ? byte(in) : some_msr(in);
    fuzz_regs.rsp = some_address(in);
    fuzz_regs.rbx = some_address(in);
    if (how & 64)
        hvm_emulate_forced(v, &fuzz_regs);
    else
        hvm_npt_fault(v, &fuzz_regs, some_address(in), how & 128);
}

/* As at an entry; and what the CPU would have taken it has taken. */
static void enter(struct vcpu *v)
{
    struct hvm_event *e = &seen_of(v)->injected;

    *e = (struct hvm_event){};
    fuzz_regs.rflags |= EFLAGS_IF;
    hvm_deliver(v);
    if (e->type == HVM_EVENT_NMI && e->vector == VEC_NMI)
        seen_of(v)->nmi_blocked = false;
    if (v->arch.hvm->event.valid)
        complain("an event is left after the entry");
}

/* --- the shadow --- */

static uint16_t *leaves; /* per frame */
static uint64_t highest; /* gfn */

static uint64_t count_tables(const uint64_t *table, unsigned level, uint64_t gfn, uint64_t *demand)
{
    const struct p2m *p = &d->arch.hvm->p2m;
    uint64_t n = 1, step = 1ULL << (9 * (level - 1));

    for (unsigned i = 0; i < PTES_PER_TABLE; i++, gfn += step) {
        uint64_t e = table[i], mfn = mfn_x(pte_mfn(e));
        enum p2m_type type = e >> 52 & 7;

        if (type == P2M_ON_DEMAND) {
            if (e & PTE_PRESENT)
                complain("gfn %#lx is on demand, and present", (long)gfn);
            *demand += step;
        }
        if (!(e & PTE_PRESENT))
            continue;
        if (level > 1 && !(e & PTE_PSE)) {
            n += count_tables(mfn_to_virt(_mfn(mfn)), level - 1, gfn, demand);
            continue;
        }
        if (gfn > highest)
            complain("gfn %#lx is beyond the highest, %#lx", (long)gfn, (long)highest);
        if (level > 1 && (p->logging || type != P2M_RAM))
            complain("gfn %#lx has a large leaf of type %u", (long)gfn, type);
        if (type == P2M_GRANT_RO && (e & PTE_RW))
            complain("gfn %#lx is writable, and granted for reading", (long)gfn);
        for (uint64_t j = 0; j < step; j++) {
            const struct page_info *pg = mfn_to_page(_mfn(mfn + j));

            if ((e & PTE_RW) && pgt_type(pg->type) != PGT_writable)
                complain("gfn %#lx is writable, its page of type %#lx", (long)(gfn + j),
                         (long)pg->type);
            if (type == P2M_RAM && page_owner(pg) != d)
                complain("gfn %#lx is another's", (long)(gfn + j));
            if (pg->refs & PAGE_FREE)
                complain("gfn %#lx has a free page", (long)(gfn + j));
            leaves[mfn + j] += type == P2M_RAM;
        }
    }
    return n;
}

static void check_memory(void)
{
    const struct p2m *p = &d->arch.hvm->p2m;
    uint64_t demand = 0, tables;

    if (d->dying)
        return;
    leaves = calloc(max_page, sizeof(*leaves));
    highest = p2m_max_gfn(d);
    tables = count_tables(p->root, P2M_LEVELS, 0, &demand);
    if (tables != p->tables)
        complain("there are %lu tables, %lu are counted", (long)tables, (long)p->tables);
    if (demand != p->on_demand)
        complain("%lu frames are on demand, %lu are counted", (long)demand, (long)p->on_demand);
    for (uint64_t mfn = FAKE_FIRST_MFN; mfn < max_page; mfn++) {
        const struct page_info *pg = mfn_to_page(_mfn(mfn));

        if (leaves[mfn] &&
            (leaves[mfn] + !!(pg->refs & PAGE_ALLOCATED) > (pg->refs & PAGE_COUNT_MASK) ||
             leaves[mfn] > pgt_count(pg->type)))
            complain("frame %#lx is mapped %u times, and has %#lx references, type %#lx", (long)mfn,
                     leaves[mfn], (long)pg->refs, (long)pg->type);
    }
    free(leaves);
}

static void check_state(const struct vcpu *v)
{
    const struct seen *s = seen_of(v);

    if (!cpu_modes_valid(d->arch.cpu_policy, s->cr[0], s->cr[4], s->efer))
        complain("a CPU would refuse: cr0 %#lx cr4 %#lx efer %#lx", (long)s->cr[0], (long)s->cr[4],
                 (long)s->efer);
    if (s->cr[3] >> host_cpu.phys_bits)
        complain("a CPU would refuse cr3 %#lx", (long)s->cr[3]);
    if (s->dr[6] >> 32 || s->dr[7] >> 32)
        complain("a CPU would refuse dr6 %#lx dr7 %#lx", (long)s->dr[6], (long)s->dr[7]);
}

/* --- from beginning to end --- */

static void create(bool large)
{
    struct xen_domctl_createdomain cfg = {.flags = XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap,
                                          .max_vcpus = 2,
                                          .max_evtchn_port = 127,
                                          .max_grant_frames = 3,
                                          .max_maptrack_frames = 2,
                                          .grant_opts = 2,
                                          .arch.emulation_flags = XEN_X86_EMU_LAPIC};
    struct page_info *pg;
    struct vcpu *v;
    int err;

    cfg.max_vcpus = 129; /* more than there are numbers of local APICs */
    if (domain_create(GUEST, &cfg, false, &err) || err != -EINVAL)
        complain("%u vcpus: %d", cfg.max_vcpus, err);
    cfg.max_vcpus = 2;
    d = domain_create(GUEST, &cfg, false, &err);
    if (!d)
        complain("no domain: %d", err);
    give_policy(d);
    d->mem.max_pages = large ? 640 : 2 * FRAMES;
    for (unsigned i = 0; i < cfg.max_vcpus; i++) {
        v = vcpu_create(d, i);
        if (!v)
            complain("no vcpu %u", i);
        v->is_initialised = true;
        set_mode(v, 0);
        clear_bit(VPF_down, &v->pause_flags);
    }
    for (uint64_t gfn = 0; gfn < FRAMES; gfn++) {
        pg = alloc_domain_pages(d, 0, 0);
        if (!pg || p2m_map(d, _gfn(gfn), pg, 0))
            complain("no frame %lu", (long)gfn);
    }
    pg = large ? alloc_domain_pages(d, 9, 0) : NULL;
    if (pg && p2m_map(d, _gfn(LARGE_GFN), pg, 9))
        complain("no large page");
    /* The first 2 MB where they are, by small pages; and a large one behind. */
    *ram_at(TABLES_AT) = (TABLES_AT + 0x1000) | 7;
    *ram_at(TABLES_AT + 0x1000) = (TABLES_AT + 0x2000) | 7;
    *ram_at(TABLES_AT + 0x2000) = (TABLES_AT + 0x3000) | 7;
    *ram_at(TABLES_AT + 0x2008) = 0x200000 | 0x87;
    for (unsigned i = 0; i < 32; i++)
        *ram_at(TABLES_AT + 0x3000 + i * 8) = i << PAGE_SHIFT | 7;
    d->creation_finished = true;
    domain_unpause_by_tools(d);
    fake_softirqs_all();
}

static void step(struct input *in)
{
    unsigned what = byte(in), who = byte(in);
    struct vcpu *v = d->vcpu[who & 1];
    struct made_call c;

    if (what < 12)
        return fake_advance_to(fake_now + below(in, 256) * 1000000);
    if (what < 48)
        return administer(in);
    if (!world_play(v))
        return;
    if (what < 56)
        return grant(in);
    if (what < 64)
        return map_grant(in, v);
    if (what < 88)
        return scribble(in);
    if (what < 112)
        return registers(in, v);
    if (what < 128)
        return apic(in, v);
    if (what < 168)
        return emulate(in, v);
    if (what < 176)
        return enter(v);
    set_mode(v, 0);
    in->source.may_ruin = true;
    make_call(&in->source, &c, false);
    if (c.nr == __HYPERVISOR_sched_op && c.args[0] == SCHEDOP_shutdown)
        return;
    call(v, &c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {.at = data,
                       .end = data + size,
                       .source = {.hvm = true,
                                  .arena = (uint8_t *)GUEST_MEMORY,
                                  .choose = source_choose,
                                  .value = source_value,
                                  .store = source_store}};

    world_begin();
    create(byte(&in) & 1);
    for (unsigned i = 0; i < MOST_STEPS && in.at < in.end; i++) {
        step(&in);
        fake_softirqs_all();
        check_state(d->vcpu[0]);
        check_state(d->vcpu[1]);
        if (i % 8 == 7)
            check_memory();
    }
    check_memory();
    world_end();
    return 0;
}
