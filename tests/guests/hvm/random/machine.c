// SPDX-License-Identifier: MIT
/* Steps of the random guest: registers, the APIC, interrupts, and snippets of code. */
#include "random.h"

#define SEL_USER32 0x83
#define SEL_USER16 0x8b
#define VEC_BARE   0x42 /* comes on whatever stack there is */
#define ICR_INIT   0x500
#define ICR_START  0x600
#define IST_TRAP   1
#define IST_NMI    2
#define IST_INTR   3

struct tss {
    u32 reserved1;
    u64 rsp[3];
    u64 reserved2, ist[7], reserved3;
    u16 reserved4, io_map;
} __attribute__((packed));
static struct tss tss[MAX_CPUS];
static u64 gates[512];
static u64 cr0_at_first, cr4_at_first, efer_at_first;
extern u8 bare_interrupt[];

/* --- what exceptions and interrupts lead to --- */

/* On as if a step had come back. */
static void go_on(struct player *p) __noreturn;
static void go_on(struct player *p)
{
    __asm__ volatile("push $2; popfq" ::: "memory", "cc");
    go_back(&p->back, 1);
}

static bool on_trap(struct frame *f)
{
    (void)f;
    go_on(me());
}

/* It comes again every 5 ms. */
static void mend_timer(void)
{
    apic_write(APIC_LVTT, 0x20000 | VEC_TIMER);
    apic_write(APIC_TDIV, 0xb);
    apic_write(APIC_TINIT, 500000);
}

/*
 * A snippet that has not ended since the last time is not waited for; and a period that leaves no
 * time for anything else is made longer.
 */
static bool on_timer(struct frame *f)
{
    static u64 last[MAX_CPUS];
    struct player *p = me();
    u64 *seen = &last[p - players];

    (void)f;
    apic_write(APIC_EOI, 0);
    if (*seen == p->beat) {
        mend_timer();
        if (p->in_snippet)
            go_on(p);
    }
    *seen = p->beat;
    return true;
}

static void set_gate(unsigned vec, u64 at, unsigned ist)
{
    u64 dpl = vec == 3 || vec == 4 || vec == VEC_GATE ? 3 : 0;

    gates[2 * vec] = (at & 0xffff) | SEL_CODE << 16 | (u64)ist << 32 | 0x8e0000000000 | dpl << 45 |
                     (at >> 16 & 0xffff) << 48;
    gates[2 * vec + 1] = at >> 32;
}

/* The tables and stacks of this vcpu, as the CPU knows them. */
static void load_tables(unsigned id)
{
    struct table_ptr gdtr = {8 * GDT_WORDS - 1, (u64)gdt}, idtr = {sizeof(gates) - 1, (u64)gates};
    u64 at = (u64)&tss[id], base = (u64)stacks + id * STACK_SIZE,
        *desc = &gdt[SEL_TSS / 8 + 2 * id];

    tss[id].rsp[0] = base + STACK_SIZE / 2;
    tss[id].ist[IST_TRAP - 1] = base + STACK_SIZE / 4;
    tss[id].ist[IST_NMI - 1] = base + STACK_SIZE / 8;
    tss[id].ist[IST_INTR - 1] = base + STACK_SIZE / 2;
    tss[id].io_map = sizeof(struct tss);
    desc[0] =
        (sizeof(struct tss) - 1) | (at & 0xffffff) << 16 | 0x890000000000 | (at >> 24 & 0xff) << 56;
    desc[1] = at >> 32;
    __asm__ volatile("lgdt %0\n lidt %1\n ltr %w2" ::"m"(gdtr), "m"(idtr), "r"(SEL_TSS + 16 * id));
    __asm__ volatile("push %0\n push $1f\n lretq\n1: mov %1, %%ss\n mov %2, %%ds\n mov %2, %%es\n"
                     "mov %2, %%fs\n mov %2, %%gs" ::"i"(SEL_CODE),
                     "r"(SEL_DATA), "r"(SEL_UDATA)
                     : "memory");
}

static void mend_apic(void)
{
    u64 base = rdmsr(MSR_APIC_BASE);

    if (!(base & APIC_ENABLE))
        wrmsr(MSR_APIC_BASE, base | APIC_ENABLE);
    apic_write(APIC_SVR, 0x100 | VEC_SPURIOUS);
    apic_write(APIC_TPR, 0);
    for (unsigned i = 0; i < 4; i++)
        apic_write(APIC_EOI, 0);
    mend_timer();
}

void mend_machine(struct player *p)
{
    extern u64 boot_l4[512];

    if (read_cr0() != cr0_at_first)
        write_cr0(cr0_at_first);
    if (read_cr4() != cr4_at_first)
        write_cr4(cr4_at_first);
    write_cr3((u64)boot_l4);
    if (rdmsr(MSR_EFER) != efer_at_first)
        wrmsr(MSR_EFER, efer_at_first);
    if (breakpoints)
        write_dr7(0x400);
    load_tables(p - players);
    mend_apic();
    __asm__ volatile("push $0x202; popfq" ::: "memory", "cc");
}

void machine_init(void)
{
    cr0_at_first = read_cr0();
    cr4_at_first = read_cr4();
    efer_at_first = rdmsr(MSR_EFER);
    for (unsigned vec = 0; vec < 256; vec++)
        set_gate(vec, (u64)trap_entries + vec * 16,
                 vec == VEC_NMI                ? IST_NMI
                 : vec < 32 || vec == VEC_GATE ? IST_TRAP
                                               : IST_INTR);
    set_gate(VEC_BARE, (u64)bare_interrupt, 0);
    for (unsigned vec = 0; vec < 32; vec++)
        hooks[vec] = vec == VEC_NMI ? NULL : on_trap;
    hooks[VEC_GATE] = on_trap;
    hooks[VEC_TIMER] = on_timer;
    gdt[SEL_USER32 / 8] = 0x00cffb000000ffff;
    gdt[SEL_USER16 / 8] = 0x008ffb000000ffff;
}

/* --- registers --- */

static u32 some_msr(struct player *p)
{
    static const struct {
        u32 first, n;
    } ranges[] = {{0x10, 1},        {0x48, 2},       {0x8b, 1},        {0xce, 1},
                  {0xfe, 1},        {0x122, 1},      {0x140, 1},       {0x174, 3},
                  {0x179, 3},       {0x1d9, 8},      {0x200, 16},      {0x250, 32},
                  {0x277, 1},       {0x2ff, 1},      {0x400, 32},      {0x6e0, 1},
                  {0x800, 64},      {0xc0000080, 5}, {0xc0000100, 4},  {0x40000000, 4},
                  {0xc0010000, 32}, {0xc0010055, 1}, {0xc0010110, 16}, {0xc0011029, 1}};
    unsigned i = below(p, ARRAY_SIZE(ranges));

    return one_in(p, 8) ? draw(p) : ranges[i].first + below(p, ranges[i].n);
}

static void write_msr(struct player *p)
{
    u32 msr = some_msr(p);
    u64 val = one_in(p, 2) ? odd_value(&p->source) : some_address(p);

    if (msr == MSR_EFER)
        val = efer_at_first ^ 1UL << below(p, 64);
    else if (msr == MSR_APIC_BASE)
        val = rdmsr(msr) ^ 1UL << below(p, 16);
    else if (msr == 0x40000000)
        val = some_gfn(p) << 12;
    else if (one_in(p, 4))
        val = rdmsr(msr) ^ 1UL << below(p, 64);
    wrmsr(msr, val);
}

/* Without PAE there is no 64-bit code. */
static void write_some_cr4(struct player *p)
{
    unsigned bit = below(p, one_in(p, 4) ? 64 : 24);

    if (bit != 5 || one_in(p, 64))
        write_cr4(cr4_at_first ^ 1UL << bit);
}

static void write_some_cr0(struct player *p)
{
    /* Not NE: QEMU ends when the FPU then has an exception (it raises FERR without its lock). */
    static const u8 bits[] = {1, 2, 3, 4, 16, 18, 29, 30, 6, 33};
    u64 val = cr0_at_first ^ 1UL << bits[below(p, sizeof(bits))];

    if (one_in(p, 4))
        val ^= 1UL << bits[below(p, sizeof(bits))];
    write_cr0(val);
}

static void write_debug(struct player *p)
{
    if (!breakpoints)
        return;
    write_dr0(some_address(p));
    write_dr6(one_in(p, 4) ? draw(p) : draw(p) & 0xffff);
    write_dr7((draw(p) & 0xffff23ff) | 0x400 | (one_in(p, 16) ? 0x2000 : 0));
}

void touch_registers(struct player *p)
{
    u32 out[4];

    switch (below(p, 12)) {
    case 0:
        return write_some_cr0(p);
    case 1:
        return write_some_cr4(p);
    case 2:
        return write_cr8(below(p, 20));
    case 3:
        return write_cr2(draw(p));
    case 4:
        return write_debug(p);
    case 5:
    case 6:
        rdmsr(some_msr(p));
        return;
    case 7:
        return cpuid((1UL << below(p, 32)) + below(p, 32) - 16, draw(p) & 0x8000000f, out);
    case 8:
        return cpuid((below(p, 2) ? 0x40000000 : 0) + below(p, 32), below(p, 4), out);
    default:
        return write_msr(p);
    }
}

/* --- the APIC --- */

void touch_apic(struct player *p)
{
    unsigned off = one_in(p, 4) ? below(p, 4096) : below(p, 64) * 16;
    volatile u8 *at = (u8 *)APIC + off;
    u32 val = one_in(p, 2) ? draw(p) : below(p, 256);

    if (((off & ~15u) == APIC_ICR || (off & ~15u) == 0) && !one_in(p, 16))
        return;
    if (rdmsr(MSR_APIC_BASE) & APIC_X2APIC && below(p, 4)) {
        if (one_in(p, 2))
            rdmsr(0x800 + off / 16);
        else
            wrmsr(0x800 + off / 16, val);
        return;
    }
    switch (below(p, 12)) {
    case 0:
        *at = val;
        break;
    case 1:
        *(volatile u16 *)at = val;
        break;
    case 2:
        *(volatile u64 *)at = val;
        break;
    case 3:
        *(volatile u64 *)at += val;
        break;
    case 4:
        __asm__ volatile("lock cmpxchgl %1, %0" : "+m"(*(volatile u32 *)at) : "r"(val) : "rax");
        break;
    case 5:
        __asm__ volatile("rep movsb" ::"S"(at), "D"(some_address(p)), "c"(below(p, 64)) : "memory");
        break;
    case 6:
        __asm__ volatile("rep movsl" ::"S"(some_address(p)), "D"(at), "c"(below(p, 4)) : "memory");
        break;
    case 7:
        __asm__ volatile("lock xaddl %1, %0" : "+m"(*(volatile u32 *)at), "+r"(val));
        break;
    case 8:
    case 9:
        val = *(volatile u32 *)at;
        break;
    default:
        *(volatile u32 *)(APIC + (off & ~15u)) = val;
    }
}

static u8 some_vector(struct player *p)
{
    static const u8 known[] = {VEC_UPCALL, VEC_TIMER, VEC_IPI, VEC_BARE, VEC_SPURIOUS};

    return one_in(p, 4) ? below(p, 256) : known[below(p, sizeof(known))];
}

void interrupt(struct player *p)
{
    unsigned to = below(p, MAX_CPUS);
    u32 icr = some_vector(p);

    switch (below(p, 16)) {
    case 0: /* seldom: those start all over */
        if (one_in(p, to ? 16 : 1024))
            apic_send(to, 0x4000 | ICR_INIT);
        if (one_in(p, 16))
            apic_send(to, 0x4000 | ICR_START | START_PAGE >> 12);
        break;
    case 1:
        apic_send(to, 0x4400); /* NMI */
        break;
    case 2: /* to many, lowest priority, logical: any of these bits */
        icr |= (draw(p) & 0xcc900) | (one_in(p, 4) ? 0x800 : 0);
        apic_send(to, icr);
        break;
    case 3:
        for (unsigned i = 0; i < 20; i++)
            apic_send(below(p, MAX_CPUS), some_vector(p));
        break;
    case 4:
        __asm__ volatile("int $0x80");
        break;
    case 5:
        apic_timer(below(p, 20000));
        break;
    default:
        apic_send(to, icr);
    }
}

/* --- snippets --- */

enum { TAME, ENDS, ENDS_16_BIT };
struct piece {
    u8 len, imm, wild;
    char bytes[9];
};
#define PIECE(text, imm, wild)                                                                     \
    {                                                                                              \
        sizeof(text) - 1, imm, wild, text                                                          \
    }
#define P(text, imm) PIECE(text, imm, TAME)
#define W(text, imm) PIECE(text, imm, ENDS)
#define R(text, imm) PIECE(text, imm, ENDS_16_BIT)

static const struct piece pieces[] = {
#include "pieces.def"
};

static const u8 ending[] = {0x0f, 0x0b}; /* ud2 */

unsigned make_code(struct player *p, u8 *to, unsigned bits, bool tame)
{
    unsigned n = 1 + below(p, 5);
    u8 *at = to;

    while (n--) {
        const struct piece *piece = &pieces[below(p, ARRAY_SIZE(pieces))];

        if ((piece->wild == ENDS || (piece->wild == ENDS_16_BIT && bits == 16)) &&
            (tame || !one_in(p, 512)))
            continue;
        if (forced && one_in(p, 3)) {
            memcpy(at, "\x0f\x0bxen", 5);
            at += 5;
        }
        if (one_in(p, 16))
            *at++ = (const u8[]){0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x64, 0x65}[below(p, 8)];
        if (bits == 64 && one_in(p, 32))
            *at++ = 0x40 | below(p, 16);
        memcpy(at, piece->bytes, piece->len);
        at += piece->len;
        for (unsigned i = 0; i < piece->imm; i++)
            *at++ = one_in(p, 2) ? 0 : draw(p);
    }
    memcpy(at, ending, sizeof(ending));
    return at + sizeof(ending) - to;
}

static u64 some_word(struct player *p)
{
    switch (below(p, 4)) {
    case 0:
        return below(p, 256);
    case 1:
        return draw(p);
    case 2:
        return odd_value(&p->source);
    default:
        return some_address(p);
    }
}

static void fill_registers(struct player *p, struct frame *f)
{
    u64 *regs = (u64 *)f;

    for (unsigned i = 0; i < offsetof(struct frame, vector) / 8; i++)
        regs[i] = spared(some_word(p));
    f->rcx = one_in(p, 4) ? some_msr(p) : one_in(p, 16) ? 3000 : below(p, 32);
    f->rdi = one_in(p, 8) ? spared(some_word(p)) : some_address(p);
    f->rsi = one_in(p, 8) ? spared(some_word(p)) : some_address(p);
    if (one_in(p, 4))
        f->rax = below(p, 48); /* the number of a call */
    f->rflags = 2 | (below(p, 8) ? 0x200 : 0);
    if (one_in(p, 4))
        f->rflags |= draw(p) & (one_in(p, 4) ? 0x277fd5 : 0x40cd5);
}

/* In its own pages; the rings and widths take turns. */
void run_snippet(struct player *p)
{
    static const struct {
        u16 cs, bits;
        bool user;
    } kinds[] = {{SEL_CODE, 64, false}, {SEL_CODE32, 32, false}, {SEL_CODE16, 16, false},
                 {SEL_USER, 64, true},  {SEL_USER32, 32, true},  {SEL_USER16, 16, true}};
    unsigned first = (p - players) * 4, kind = below(p, 8) % ARRAY_SIZE(kinds);
    u8 *code = play_page(first) + (one_in(p, 4) ? 4096 - below(p, 12) : below(p, 4000));
    struct frame f;

    if (kinds[kind].user && one_in(p, 4))
        for (unsigned i = 0; i < 24; i++)
            code[i] = draw(p);
    else
        make_code(p, code, kinds[kind].bits, false);
    fill_registers(p, &f);
    f.cs = kinds[kind].cs;
    f.ss = kinds[kind].user ? SEL_UDATA : SEL_DATA;
    f.rip = (u64)code;
    f.rsp = (u64)play_page(first + 2) + 4096 - below(p, 64) * 8;
    if (one_in(p, 64))
        f.rsp = some_address(p) & ~7UL;
    p->snippets++;
    p->in_snippet = p->beat;
    resume_frame(&f);
}
