// SPDX-License-Identifier: MIT
/*
 * Runs in a PVH guest, as root: touches guest physical memory that nothing is behind, with
 * instructions of many kinds.  Reads find all ones, writes go nowhere, and nobody dies.  Exits with
 * 0, or the number of what went wrong.  No C library: it travels to the guest over its console.
 */
#include <stdint.h>

#define NOWHERE 0xe0000000ul

static long call(long nr, long a, long b, long c, long d, long e, long f)
{
    register long r10 asm("r10") = d, r8 asm("r8") = e, r9 asm("r9") = f;
    long ret;

    asm volatile("syscall"
                 : "=a"(ret)
                 : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    return ret;
}

static long touch(volatile uint64_t *p)
{
    uint64_t buf[64] = {0}, *to = buf, val = 5, old = ~0ull, count = sizeof(buf);
    const volatile uint64_t *from = p;
    uint8_t carry;

    if (*p != ~0ull || *(volatile uint8_t *)((char *)p + 3) != 0xff)
        return 2;
    /* Over the end of the page. */
    if (*(volatile uint64_t *)((char *)p + 4093) != ~0ull)
        return 3;
    asm volatile("rep movsb" : "+S"(from), "+D"(to), "+c"(count) : : "memory");
    if (buf[0] != ~0ull || buf[63] != ~0ull || count)
        return 4;
    from = buf, to = (uint64_t *)p, count = 1024;
    asm volatile("rep stosq" : "+D"(to), "+c"(count) : "a"(7ull) : "memory");
    if (to != (uint64_t *)p + 1024 || *p != ~0ull)
        return 5;
    asm volatile("lock xaddq %0, %1" : "+r"(val), "+m"(*p));
    if (val != ~0ull)
        return 6;
    val = 5;
    asm volatile("lock cmpxchgq %2, %1; setz %b3" : "+a"(old), "+m"(*p), "+r"(val), "=q"(carry));
    if (old != ~0ull || carry != 1)
        return 7;
    asm volatile("lock btsq $3, %0; setc %1" : "+m"(*p), "=q"(carry));
    if (carry != 1)
        return 8;
    asm volatile("addl $1, %0; setc %1" : "+m"(*(volatile uint32_t *)p), "=q"(carry));
    if (carry != 1)
        return 9;
    asm volatile("xorps %%xmm5, %%xmm5\n\t"
                 "movups 8(%1), %%xmm5\n\t"
                 "movups %%xmm5, %0\n\t"
                 "movaps %%xmm5, (%1)\n\t"
                 "movntdq %%xmm5, 16(%1)"
                 : "=m"(*(uint64_t(*)[2])buf)
                 : "r"(p)
                 : "xmm5", "memory");
    if (buf[0] != ~0ull || buf[1] != ~0ull)
        return 10;
    asm volatile("clflush %0; prefetcht0 %0; mfence" : : "m"(*p));
    asm volatile("movq (%1), %%xmm6; movups %%xmm6, %0"
                 : "=m"(*(uint64_t(*)[2])buf)
                 : "r"(p)
                 : "xmm6", "memory");
    return buf[0] == ~0ull && !buf[1] ? 0 : 11;
}

__attribute__((force_align_arg_pointer)) void _start(void)
{
    long fd = call(2, (long)"/dev/mem", 2, 0, 0, 0, 0), at;

    at = call(9, 0, 8192, 3, 1, fd, NOWHERE);
    call(60, fd < 0 || (unsigned long)at > -4096ul ? 1 : touch((volatile uint64_t *)at), 0, 0, 0, 0,
         0);
    for (;;)
        ;
}
