// SPDX-License-Identifier: MIT
/*
 * The vector registers, and PKRU, of the guest that has just exited.  They are in the CPU: nothing
 * between fpu_load() and fpu_save() uses them but the guest, and XCR0 is the guest's.
 */
#include "arch/x86/hvm/hvm.h"

#define FOR_EACH_VECTOR(do)                                                                        \
    do                                                                                             \
    (0) do(1) do(2) do(3) do(4) do(5) do(6) do(7) do(8) do(9) do(10) do(11) do(12) do(13) do(      \
        14) do(15)

/* Spelled out, since it is the instruction that names a register. */
#define GET_XMM(n)                                                                                 \
    case n:                                                                                        \
        __asm__ volatile("movdqu %%xmm" #n ", (%0)" ::"r"(buf) : "memory");                        \
        break;
#define GET_YMM(n)                                                                                 \
    case n:                                                                                        \
        __asm__ volatile("vmovdqu %%ymm" #n ", (%0)" ::"r"(buf) : "memory");                       \
        break;
#define SET_XMM(n)                                                                                 \
    case n:                                                                                        \
        __asm__ volatile("movdqu (%0), %%xmm" #n ::"r"(buf) : "memory");                           \
        break;
#define SET_YMM(n)                                                                                 \
    case n:                                                                                        \
        __asm__ volatile("vmovdqu (%0), %%ymm" #n ::"r"(buf) : "memory");                          \
        break;

#define FOR_EACH_MMX(do)                                                                           \
    do                                                                                             \
    (0) do(1) do(2) do(3) do(4) do(5) do(6) do(7)
#define GET_MMX(n)                                                                                 \
    case EMUL_MMX + n:                                                                             \
        __asm__ volatile("movq %%mm" #n ", (%0)" ::"r"(buf) : "memory");                           \
        break;
#define SET_MMX(n)                                                                                 \
    case EMUL_MMX + n:                                                                             \
        __asm__ volatile("movq (%0), %%mm" #n ::"r"(buf) : "memory");                              \
        break;

#define FSW_EXCEPTION 0x80

bool hvm_fpu_exception(void)
{
    uint16_t status;

    __asm__ volatile("fnstsw %0" : "=a"(status));
    return status & FSW_EXCEPTION;
}

uint32_t hvm_get_pkru(void)
{
    uint32_t val, zero;

    __asm__ volatile("rdpkru" : "=a"(val), "=d"(zero) : "c"(0));
    return val;
}

void hvm_get_vector(unsigned reg, void *buf, unsigned bytes)
{
    if (bytes == 32)
        switch (reg) {
            FOR_EACH_VECTOR(GET_YMM)
        }
    else
        switch (reg) {
            FOR_EACH_VECTOR(GET_XMM)
            FOR_EACH_MMX(GET_MMX)
        }
}

void hvm_set_vector(unsigned reg, const void *buf, unsigned bytes)
{
    if (bytes == 32)
        switch (reg) {
            FOR_EACH_VECTOR(SET_YMM)
        }
    else
        switch (reg) {
            FOR_EACH_VECTOR(SET_XMM)
            FOR_EACH_MMX(SET_MMX)
        }
}
