// SPDX-License-Identifier: MIT
/* Traps, ring 3, hypercalls, control registers and device memory in 32-bit code of each mode. */
#include "guest.h"

static void user_nothing(void)
{
}

static void user_halts(void)
{
    __asm__ volatile("hlt");
}

static void traps(void)
{
    CHECK_EQ(CAUGHT(__asm__ volatile("ud2")), VEC_UD);
    CHECK_EQ(CAUGHT(__asm__ volatile("int3")), VEC_BP);
    CHECK_EQ(CAUGHT(__asm__ volatile("int $0x80")), VEC_GATE);
    CHECK_EQ(CAUGHT(__asm__ volatile("movw %w0, %%es" ::"r"(0xffff))), VEC_GP);
    CHECK_EQ(this_cpu()->trap.error, 0xfffc);
    CHECK_EQ(user_call(user_nothing), VEC_GATE);
    CHECK_EQ(user_call(user_halts), VEC_GP);
    if (mode == UNPAGED)
        return;
    CHECK_EQ(CAUGHT(*(volatile int *)(SPARE_VA + 4) = 1), VEC_PF);
    CHECK_EQ(this_cpu()->cr2, SPARE_VA + 4);
    CHECK_EQ(this_cpu()->trap.error, 2);
}

TEST(narrow_traps)
{
    in_each_mode(traps);
}

static void calls(void)
{
    xen_extraversion_t extra;
    u8 *page;

    CHECK_EQ(HC2(xen_version, XENVER_version, 0), 4 << 16 | 17);
    CHECK_EQ(HC2(xen_version, XENVER_extraversion, extra), 0);
    CHECK_EQ(HC2(xen_version, XENVER_extraversion, HOLE), -EFAULT);
    if (mode == UNPAGED)
        return;
    CHECK_EQ(HC2(xen_version, XENVER_extraversion, SPARE_VA), -EFAULT);
    page = page_alloc();
    map_at(SPARE_VA, (ulong)page | PTE_RW_);
    CHECK_EQ(HC2(xen_version, XENVER_extraversion, SPARE_VA + 5), 0);
    CHECK(!memcmp(page + 5, extra, strlen(extra)));
    CHECK_EQ(HC2(xen_version, XENVER_extraversion, SPARE_VA + 4092), -EFAULT); /* half of it */
    page_free(page);
}

TEST(narrow_calls)
{
    in_each_mode(calls);
}

static int in_hole(u32 at)
{
    return *(volatile u32 *)(HOLE + at);
}

/* The source is no RAM, so that the hypervisor writes. */
static int emulated_write(u32 va)
{
    u32 from = HOLE, to = va;

    return CAUGHT(__asm__ volatile("movsb" : "+S"(from), "+D"(to)::"memory"));
}

static void device_memory(void)
{
    u32 res = 0, count = 100;
    void *to = (void *)HOLE;
    u8 *page;

    CHECK_EQ(in_hole(4094), -1);
    *(volatile u16 *)(HOLE + 5) = 3;
    __asm__ volatile("pushl (%1)\n popl %0" : "=r"(res) : "r"(HOLE));
    CHECK_EQ(res, -1);
    __asm__ volatile("rep stosl" : "+c"(count), "+D"(to) : "a"(5) : "memory");
    CHECK_EQ((u32)to, HOLE + 400);
    __asm__ volatile("lock xaddl %0, (%1)" : "+r"(res) : "r"(HOLE) : "memory", "cc");
    CHECK_EQ(res, -1);
    /* With 16-bit addresses the offset wraps. */
    __asm__ volatile("movl $0x12340000, %%esi\n addr16 lodsb" : "=a"(res)::"esi");
    if (mode == UNPAGED)
        return;
    page = page_alloc();
    CHECK_EQ(emulated_write(SPARE_VA + 4096), VEC_PF);
    CHECK_EQ(this_cpu()->trap.error, 2);
    CHECK_EQ(this_cpu()->cr2, SPARE_VA + 4096);
    map_at(SPARE_VA + 4096, (ulong)page | PTE_P);
    write_cr0(read_cr0() | 1 << 16);
    CHECK_EQ(emulated_write(SPARE_VA + 4096), VEC_PF);
    CHECK_EQ(this_cpu()->trap.error, 3);
    write_cr0(read_cr0() & ~(1UL << 16));
    CHECK_EQ(emulated_write(SPARE_VA + 4096), NO_TRAP);
    CHECK_EQ(page[0], 0xff);
    page_free(page);
}

TEST(narrow_device_memory)
{
    in_each_mode(device_memory);
}

/* Device memory through segments: bases, limits, what a segment may be used for. */
static void device_segments(void)
{
    unsigned sel = SEL_SPARE;
    u64 *d = &gdt[SEL_SPARE / 8];
    u32 val;

    *d = descriptor(HOLE - 0x100, 0x1ff, 0x4092);
    __asm__ volatile("movl %1, %%fs\n movl %%fs:0x100, %0" : "=r"(val) : "r"(sel));
    CHECK_EQ(val, -1);
    CHECK_EQ(CAUGHT(__asm__ volatile("movl %%fs:0x1fc, %0" : "=r"(val))), NO_TRAP);
    CHECK_EQ(CAUGHT(__asm__ volatile("movl %%fs:0x1fd, %0" : "=r"(val))), VEC_GP);
    CHECK_EQ(CAUGHT(__asm__ volatile("movl $0x100, %%esi\n movl %0, %%edi\n fs movsb" ::"r"(&val)
                                     : "esi", "edi", "memory")),
             NO_TRAP);
    *d = descriptor(HOLE, 0xfff, 0x4090); /* read-only */
    __asm__ volatile("movl %0, %%fs" ::"r"(sel));
    CHECK_EQ(CAUGHT(__asm__ volatile("movl %%fs:0, %0" : "=r"(val))), NO_TRAP);
    CHECK_EQ(CAUGHT(__asm__ volatile("movl %0, %%fs:0" ::"r"(val))), VEC_GP);
    *d = descriptor(HOLE, 0xff, 0x4096); /* grows down */
    __asm__ volatile("movl %0, %%fs" ::"r"(sel));
    CHECK_EQ(CAUGHT(__asm__ volatile("movl %%fs:0xfc, %0" : "=r"(val))), VEC_GP);
    CHECK_EQ(CAUGHT(__asm__ volatile("movl %%fs:0x100, %0" : "=r"(val))), NO_TRAP);
    __asm__ volatile("movl %0, %%fs" ::"r"(0));
    CHECK_EQ(CAUGHT(__asm__ volatile("movl %%fs:(%1), %0" : "=r"(val) : "r"(HOLE))), VEC_GP);
    __asm__ volatile("movl %0, %%fs" ::"r"(SEL_DATA));
}

TEST(narrow_device_segments)
{
    in_each_mode(device_segments);
}

#define CR0_PG 0x80000000UL

TEST(narrow_control_registers)
{
    u32 out[4], cr0;

    set_mode(UNPAGED);
    cr0 = read_cr0();
    CHECK_EQ(CAUGHT(write_cr0((cr0 | CR0_PG) & ~1UL)), VEC_GP);
    CHECK_EQ(CAUGHT(write_cr0((cr0 | 1 << 29) & ~(1UL << 30))), VEC_GP);
    CHECK_EQ(read_cr0(), cr0);
    CHECK_EQ(CAUGHT(write_cr4(1UL << 31)), VEC_GP);
    /* Five levels may be chosen before long mode, where CPUID knows them. */
    cpuid(7, 0, out);
    CHECK_EQ(CAUGHT(write_cr4(1UL << 12)), out[2] >> 16 & 1 ? NO_TRAP : VEC_GP);
    write_cr4(0);
    CHECK_EQ(CAUGHT(wrmsr(0xc0000080, 0x1000)), VEC_GP);
    CHECK_EQ(CAUGHT(wrmsr(0xc0000080, 0x100)), NO_TRAP);
    CHECK_EQ(CAUGHT(write_cr0(cr0 | CR0_PG)), VEC_GP); /* long mode without PAE */
    CHECK_EQ(CAUGHT(wrmsr(0xc0000080, 0)), NO_TRAP);
}
