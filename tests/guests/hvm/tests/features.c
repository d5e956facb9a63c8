// SPDX-License-Identifier: MIT
/*
 * Features of new CPUs: what CPUID shows can be turned on and works, for the CPU and for the
 * hypervisor's emulator; what it hides cannot be turned on.  Which there are is the tools' affair
 * (cpuid= in the guest's configuration), so every test begins with a look.
 */
#include "guest.h"

#define CR4_UMIP     (1UL << 11)
#define CR4_LA57     (1UL << 12)
#define CR4_FSGSBASE (1UL << 16)
#define CR4_PCIDE    (1UL << 17)
#define CR4_OSXSAVE  (1UL << 18)
#define CR4_SMEP     (1UL << 20)
#define CR4_SMAP     (1UL << 21)
#define CR4_PKE      (1UL << 22)

#define XCR0_SSE  3
#define XCR0_AVX  4
#define XCR0_PKRU 0x200

#define PF_P     0x01
#define PF_W     0x02
#define PF_U     0x04
#define PF_FETCH 0x10
#define PF_KEY   0x20

static const struct feature {
    const char *name;
    u32 leaf;
    u8 reg, bit; /* of CPUID */
    u64 cr4;
} features[] = {
    {"fsgsbase", 7, 1, 0, CR4_FSGSBASE},
    {"pcid", 1, 2, 17, CR4_PCIDE},
    {"xsave", 1, 2, 26, CR4_OSXSAVE},
    {"smep", 7, 1, 7, CR4_SMEP},
    {"smap", 7, 1, 20, CR4_SMAP},
    {"pku", 7, 2, 3, CR4_PKE},
    {"umip", 7, 2, 2, CR4_UMIP},
    {"la57", 7, 2, 16, 0},
    {"avx", 1, 2, 28, 0},
    {"avx2", 7, 1, 5, 0},
};

static bool cpuid_bit(u32 leaf, unsigned reg, unsigned bit)
{
    u32 out[4];

    cpuid(leaf, 0, out);
    return out[reg] >> bit & 1;
}

static bool shown(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++)
        if (!strcmp(features[i].name, name))
            return cpuid_bit(features[i].leaf, features[i].reg, features[i].bit);
    return false;
}

static void need(const char *name)
{
    if (!shown(name))
        skip(name);
}

/* --- page tables in which the kernel is not the user's --- */

static u64 *own_l4;
extern u64 boot_l4[512];

static void make_own_tables(void)
{
    u64 *l3 = page_alloc();

    own_l4 = page_alloc();
    for (unsigned i = 0; i < 4; i++) {
        u64 *l2 = page_alloc();

        for (unsigned j = 0; j < 512; j++)
            l2[j] = (u64)(i * 512 + j) << 21 | PTE_P | PTE_W | PTE_A | PTE_D | PTE_PSE;
        l3[i] = (u64)l2 | PTE_TAB;
    }
    own_l4[0] = (u64)l3 | PTE_TAB;
}

static void enter_own_tables(void)
{
    if (!own_l4)
        make_own_tables();
    for (unsigned i = 1; i < 512; i++)
        own_l4[i] = boot_l4[i];
    write_cr3((u64)own_l4);
}

/* Back, with CR4 as everywhere else. */
static void leave_own_tables(void)
{
    write_cr4(0x6a0);
    write_cr3((u64)boot_l4);
}

/* A page of a user's. */
static u8 *user_page(u64 more)
{
    u8 *page = page_alloc();

    map_at(SPARE_VA, (u64)page | PTE_RW_ | more);
    return page;
}

static void drop_user_page(u8 *page)
{
    map_at(SPARE_VA, 0);
    page_free(page);
}

static int touch(bool write)
{
    volatile u8 *p = (u8 *)SPARE_VA;

    return write ? CAUGHT(*p = 1) : CAUGHT((void)*p);
}

/* By the emulator: the source is no RAM. */
static int emulated_write(u64 va)
{
    u64 from = HOLE, to = va;

    return CAUGHT(__asm__ volatile("movsb" : "+S"(from), "+D"(to)::"memory"));
}

static int emulated_read(u64 va)
{
    u64 from = va, to = HOLE;

    return CAUGHT(__asm__ volatile("movsb" : "+S"(from), "+D"(to)::"memory"));
}

static void check_fault(int vec, u64 error, u64 cr2, int line)
{
    if (vec != VEC_PF || this_cpu()->trap.error != error || this_cpu()->cr2 != cr2)
        fail(__FILE__, line, "vector %d, error %#lx, cr2 %#lx", vec, (ulong)this_cpu()->trap.error,
             (ulong)this_cpu()->cr2);
}
#define FAULTS(what, error) check_fault(what, error, SPARE_VA, __LINE__)

/* --- one by one --- */

TEST(feature_cr4_goes_by_cpuid)
{
    char text[128] = "";

    enter_own_tables();
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
        const struct feature *f = &features[i];
        bool is_shown = shown(f->name);
        u64 cr4 = read_cr4();
        int vec;

        if (is_shown)
            snprintf(text + strlen(text), sizeof(text) - strlen(text), " %s", f->name);
        if (!f->cr4)
            continue;
        if (f->cr4 == CR4_PCIDE && !is_shown)
            continue; /* QEMU takes it, whatever CPUID says */
        vec = CAUGHT(write_cr4(cr4 | f->cr4));
        if (vec != (is_shown ? NO_TRAP : VEC_GP) || read_cr4() != (is_shown ? cr4 | f->cr4 : cr4))
            fail(__FILE__, __LINE__, "%s: %d, CR4 %#lx", f->name, vec, (ulong)read_cr4());
        CHECK_EQ(cpuid_bit(1, 2, 27), !!(read_cr4() & CR4_OSXSAVE));
        CHECK_EQ(cpuid_bit(7, 2, 4), !!(read_cr4() & CR4_PKE));
        write_cr4(cr4);
    }
    leave_own_tables();
    say("FEATURES:%s\n", text);
}

TEST(feature_smep)
{
    u8 *page;
    void (*code)(void) = (void (*)(void))SPARE_VA;

    need("smep");
    page = user_page(0);
    *page = 0xc3;
    enter_own_tables();
    CHECK_EQ(CAUGHT(code()), NO_TRAP);
    write_cr4(read_cr4() | CR4_SMEP);
    FAULTS(CAUGHT(code()), PF_P | PF_FETCH);
    leave_own_tables();
    drop_user_page(page);
}

TEST(feature_smap)
{
    u8 *page;

    need("smap");
    page = user_page(0);
    enter_own_tables();
    CHECK_EQ(touch(true), NO_TRAP);
    write_cr4(read_cr4() | CR4_SMAP);
    FAULTS(touch(true), PF_P | PF_W);
    FAULTS(touch(false), PF_P);
    FAULTS(emulated_write(SPARE_VA), PF_P | PF_W);
    FAULTS(emulated_read(SPARE_VA), PF_P);
    __asm__ volatile("stac" ::: "memory", "cc");
    CHECK_EQ(touch(true), NO_TRAP);
    __asm__ volatile("stac" ::: "memory", "cc");
    CHECK_EQ(emulated_write(SPARE_VA), NO_TRAP);
    __asm__ volatile("clac" ::: "memory", "cc");
    CHECK_EQ(*page, 0xff);
    leave_own_tables();
    drop_user_page(page);
}

static u32 read_pkru(void)
{
    u32 lo, hi;

    __asm__ volatile("rdpkru" : "=a"(lo), "=d"(hi) : "c"(0));
    return lo;
}

static void write_pkru(u32 val)
{
    __asm__ volatile("wrpkru" ::"a"(val), "d"(0), "c"(0) : "memory");
}

static void user_reads(void)
{
    (void)*(volatile u8 *)SPARE_VA;
}

static void user_copies_from_hole(void)
{
    u64 from = HOLE, to = SPARE_VA;

    __asm__ volatile("movsb" : "+S"(from), "+D"(to)::"memory");
}

TEST(feature_pku)
{
    u8 *page;

    need("pku");
    page = user_page(1UL << 59);
    CHECK_EQ(CAUGHT(read_pkru()), VEC_UD);
    write_cr4(read_cr4() | CR4_PKE);
    write_pkru(1 << 2); /* no access by key 1 */
    FAULTS(touch(false), PF_P | PF_KEY);
    FAULTS(touch(true), PF_P | PF_W | PF_KEY);
    FAULTS(user_call(user_reads), PF_P | PF_U | PF_KEY);
    FAULTS(emulated_read(SPARE_VA), PF_P | PF_KEY);
    FAULTS(emulated_write(SPARE_VA), PF_P | PF_W | PF_KEY);
    write_pkru(2 << 2); /* no writes */
    CHECK_EQ(touch(false), NO_TRAP);
    FAULTS(touch(true), PF_P | PF_W | PF_KEY);
    FAULTS(emulated_write(SPARE_VA), PF_P | PF_W | PF_KEY);
    FAULTS(user_call(user_copies_from_hole), PF_P | PF_W | PF_U | PF_KEY);
    CHECK_EQ(emulated_read(SPARE_VA), NO_TRAP);
    sleep_ms(2);
    CHECK_EQ(read_pkru(), 2 << 2);
    write_pkru(0);
    CHECK_EQ(touch(true), NO_TRAP);
    write_cr4(read_cr4() & ~CR4_PKE);
    drop_user_page(page);
}

/* The key that all pages have which name none: those of users fault, nothing else does. */
TEST(feature_pku_key_zero)
{
    u8 *page;

    need("pku");
    page = user_page(0);
    enter_own_tables();
    write_cr4(read_cr4() | CR4_PKE);
    write_pkru(3);
    FAULTS(touch(false), PF_P | PF_KEY);
    sleep_ms(1);
    CHECK_EQ(read_pkru(), 3);
    write_pkru(0);
    leave_own_tables();
    drop_user_page(page);
}

static u8 scratch[16];

#define USER_INSN(name, text)                                                                      \
    static void name(void)                                                                         \
    {                                                                                              \
        __asm__ volatile(text ::"r"(scratch) : "memory");                                          \
    }
USER_INSN(user_sgdt, "sgdt (%0)")
USER_INSN(user_sidt, "sidt (%0)")
USER_INSN(user_sldt, "sldt (%0)")
USER_INSN(user_str, "str (%0)")
USER_INSN(user_smsw, "smsw (%0)")

TEST(feature_umip)
{
    static void (*const insns[])(void) = {user_sgdt, user_sidt, user_sldt, user_str, user_smsw};

    need("umip");
    for (unsigned i = 0; i < ARRAY_SIZE(insns); i++) {
        CHECK_EQ(user_call(insns[i]), VEC_GATE);
        write_cr4(read_cr4() | CR4_UMIP);
        CHECK_EQ(user_call(insns[i]), VEC_GP);
        CHECK_EQ(CAUGHT(insns[i]()), NO_TRAP);
        write_cr4(read_cr4() & ~CR4_UMIP);
    }
}

static void user_bases(void)
{
    u64 fs, gs;

    __asm__ volatile("wrfsbase %2\n wrgsbase %3\n rdfsbase %0\n rdgsbase %1"
                     : "=&r"(fs), "=&r"(gs)
                     : "r"(0x123456789UL), "r"(0x7fff00000000UL));
    cpus[0].work_arg = fs ^ gs;
}

TEST(feature_fsgsbase)
{
    need("fsgsbase");
    CHECK_EQ(user_call(user_bases), VEC_UD);
    CHECK_EQ(CAUGHT(user_bases()), VEC_UD);
    write_cr4(read_cr4() | CR4_FSGSBASE);
    CHECK_EQ(user_call(user_bases), VEC_GATE);
    CHECK_EQ(cpus[0].work_arg, 0x123456789UL ^ 0x7fff00000000UL);
    sleep_ms(1);
    CHECK_EQ(rdmsr(0xc0000100), 0x123456789UL);
    CHECK_EQ(rdmsr(0xc0000101), 0x7fff00000000UL);
    wrmsr(0xc0000100, 0);
    wrmsr(0xc0000101, 0);
    write_cr4(read_cr4() & ~CR4_FSGSBASE);
}

TEST(feature_pcid)
{
    u64 cr3 = read_cr3();

    need("pcid");
    write_cr3(cr3 | 5);
    CHECK_EQ(CAUGHT(write_cr4(read_cr4() | CR4_PCIDE)), VEC_GP);
    write_cr3(cr3);
    write_cr4(read_cr4() | CR4_PCIDE);
    CHECK_EQ(CAUGHT(write_cr3(cr3 | 5 | 1UL << 63)), NO_TRAP);
    CHECK_EQ(read_cr3(), cr3 | 5);
    HC2(sched_op, SCHEDOP_yield, 0);
    CHECK_EQ(read_cr3(), cr3 | 5);
    CHECK_EQ(emulated_write((u64)scratch), NO_TRAP);
    write_cr3(cr3);
    write_cr4(read_cr4() & ~CR4_PCIDE);
}

static void xsetbv(u32 val)
{
    __asm__ volatile("xsetbv" ::"a"(val), "d"(0), "c"(0) : "memory");
}

static u32 xgetbv(void)
{
    u32 lo, hi;

    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return lo;
}

/* Leaf 0xd agrees with the features, and with XCR0. */
TEST(feature_xsave)
{
    u32 out[4], all, most;

    cpuid(0xd, 0, out);
    all = out[0];
    most = out[2];
    CHECK_EQ(!!all, shown("xsave"));
    CHECK_EQ(!!(all & XCR0_AVX), shown("avx"));
    CHECK_EQ(!!(all & XCR0_PKRU), shown("pku"));
    if (!all)
        CHECK_EQ(most, 0);
    CHECK(!shown("avx2") || shown("avx"));
    need("xsave");
    write_cr4(read_cr4() | CR4_OSXSAVE);
    xsetbv(XCR0_SSE);
    cpuid(0xd, 0, out);
    CHECK_EQ(out[1], 576);
    xsetbv(all);
    cpuid(0xd, 0, out);
    CHECK_EQ(out[1], most);
    CHECK_EQ(xgetbv(), all);
    xsetbv(XCR0_SSE);
    write_cr4(read_cr4() & ~CR4_OSXSAVE);
}

/* Moves of 32 bytes to and from what is no RAM. */
TEST(feature_avx_moves)
{
    u64 val[4] = {1, 2, 3, 4};

    need("avx");
    write_cr4(read_cr4() | CR4_OSXSAVE);
    CHECK_EQ(CAUGHT(__asm__ volatile("vmovdqu %0, %%ymm5" ::"m"(val))), VEC_UD);
    xsetbv(XCR0_SSE | XCR0_AVX);
    __asm__ volatile("vmovdqu %0, %%ymm5\n"
                     "vmovdqu %%ymm5, (%1)\n"
                     "vmovups 3(%1), %%ymm5\n"
                     "vmovdqu %%ymm5, %0"
                     : "+m"(val)
                     : "r"(HOLE)
                     : "memory");
    CHECK_EQ(val[0] & val[1] & val[2] & val[3], ~0UL);
    __asm__ volatile("vmovdqu (%1), %%xmm5\n vmovdqu %%ymm5, %0" : "=m"(val) : "r"(HOLE));
    CHECK_EQ(val[1], ~0UL);
    CHECK_EQ(val[2] | val[3], 0);
    __asm__ volatile("vpcmpeqd %%xmm6, %%xmm6, %%xmm6\n vmaskmovps (%1), %%ymm6, %%ymm5\n"
                     "vmaskmovps %%ymm5, %%ymm6, (%1)\n vmovdqu %%ymm5, %0"
                     : "=m"(val)
                     : "r"(HOLE)
                     : "memory");
    CHECK_EQ(val[1], ~0UL);
    CHECK_EQ(val[2] | val[3], 0);
    xsetbv(XCR0_SSE);
    write_cr4(read_cr4() & ~CR4_OSXSAVE);
}

/* --- five levels --- */

/* CR3, CR4: by way of 32-bit code without paging. */
void switch_levels(u64 cr3, u64 cr4);
__asm__(".text\n"
        "switch_levels:\n"
        "    pushfq\n"
        "    cli\n"
        "    pushq %rbx\n"
        "    pushq %rbp\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, kept_stack\n"
        "    ljmp *1f\n"
        "1:  .long 2f, 0x18\n" /* SEL_CODE32 */
        "    .code32\n"
        "2:  movl %cr0, %eax\n"
        "    andl $0x7fffffff, %eax\n"
        "    movl %eax, %cr0\n"
        "    movl %esi, %cr4\n"
        "    movl %edi, %cr3\n"
        "    orl $0x80000000, %eax\n"
        "    movl %eax, %cr0\n"
        "    ljmp $0x08, $3f\n" /* SEL_CODE */
        "    .code64\n"
        "3:  movq kept_stack, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbp\n"
        "    popq %rbx\n"
        "    popfq\n"
        "    ret\n"
        "    .local kept_stack\n"
        "    .comm kept_stack, 8, 8\n");

#define FAR_VA (1UL << 50)

TEST(feature_la57)
{
    u64 *l5, *l4, cr4 = read_cr4();
    u8 *page;

    need("la57");
    l5 = page_alloc();
    l4 = page_alloc();
    page = page_alloc();
    CHECK_EQ(CAUGHT(write_cr4(cr4 | CR4_LA57)), VEC_GP);
    l5[0] = (u64)boot_l4 | PTE_TAB;
    l5[FAR_VA >> 48] = (u64)l4 | PTE_TAB;
    map_at(SPARE_VA, (u64)page | PTE_RW_);
    l4[0] = boot_l4[SPARE_VA >> 39];
    switch_levels((u64)l5, cr4 | CR4_LA57);
    CHECK_EQ(read_cr4(), cr4 | CR4_LA57);
    CHECK_EQ(CAUGHT(*(volatile u8 *)FAR_VA = 7), NO_TRAP);
    CHECK_EQ(*page, 7);
    CHECK_EQ(CAUGHT(*(volatile u8 *)(1UL << 57) = 7), VEC_GP);
    check_fault(CAUGHT(*(volatile u8 *)(1UL << 55) = 7), PF_W, 1UL << 55, __LINE__);
    CHECK_EQ(emulated_write(FAR_VA), NO_TRAP);
    CHECK_EQ(*page, 0xff);
    CHECK_EQ(emulated_write(1UL << 57), VEC_GP);
    check_fault(emulated_write(1UL << 55), PF_W, 1UL << 55, __LINE__);
    CHECK_EQ(CAUGHT(wrmsr(0xc0000100, 1UL << 50)), NO_TRAP);
    sleep_ms(1);
    CHECK_EQ(rdmsr(0xc0000100), 1UL << 50);
    wrmsr(0xc0000100, 0);
    CHECK_EQ(CAUGHT(write_cr4(cr4)), VEC_GP);
    switch_levels((u64)boot_l4, cr4);
    CHECK_EQ(read_cr4(), cr4);
    map_at(SPARE_VA, 0);
}

/* --- what a vcpu has, while others run on its CPU --- */

#define ROUNDS 40

static u64 ymm_at(unsigned i)
{
    u64 val[4];

    __asm__ volatile("vmovdqu %%ymm9, %0" : "=m"(val));
    return val[i];
}

static void keep_state(unsigned long seed)
{
    u64 tag = 0x1111111111 * seed, val[4] = {tag, tag + 1, tag + 2, tag + 3};
    bool avx = shown("avx"), keys = shown("pku");

    write_cr4(read_cr4() | (avx ? CR4_OSXSAVE : 0) | (keys ? CR4_PKE : 0));
    if (avx)
        xsetbv(seed & 1 ? XCR0_SSE | XCR0_AVX : XCR0_SSE | XCR0_AVX | (keys ? XCR0_PKRU : 0));
    for (unsigned i = 0; i < ROUNDS && !failed_often(); i++) {
        u64 xmm;

        wrmsr(0xc0000100, tag + i);
        wrmsr(0xc0000101, tag + i + 1);
        wrmsr(0xc0000102, tag + i + 2);
        __asm__ volatile("movq %0, %%xmm3" ::"r"(tag + i));
        if (avx)
            __asm__ volatile("vmovdqu %0, %%ymm9" ::"m"(val));
        if (keys)
            write_pkru((u32)(tag + i) << 4); /* keys 0 and 1 are in use */
        if (i & 1)
            HC2(sched_op, SCHEDOP_yield, 0);
        else
            sleep_ms(1);
        CHECK_EQ(rdmsr(0xc0000100), tag + i);
        CHECK_EQ(rdmsr(0xc0000101), tag + i + 1);
        CHECK_EQ(rdmsr(0xc0000102), tag + i + 2);
        __asm__ volatile("movq %%xmm3, %0" : "=r"(xmm));
        CHECK_EQ(xmm, tag + i);
        if (avx) {
            CHECK_EQ(ymm_at(0), tag);
            CHECK_EQ(ymm_at(3), tag + 3);
            CHECK_EQ(!!(xgetbv() & XCR0_PKRU), keys && !(seed & 1));
        }
        if (keys)
            CHECK_EQ(read_pkru(), (u32)(tag + i) << 4);
    }
    if (keys)
        write_pkru(0);
    if (avx)
        xsetbv(XCR0_SSE);
    for (u32 msr = 0xc0000100; msr <= 0xc0000102; msr++)
        wrmsr(msr, 0);
    write_cr4(read_cr4() & ~(CR4_OSXSAVE | CR4_PKE));
}

TEST(feature_state_is_kept)
{
    start_on_cpu1(keep_state, 3);
    keep_state(8);
    wait_cpu1();
}
