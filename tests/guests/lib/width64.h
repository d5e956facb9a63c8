// SPDX-License-Identifier: MIT
/* What is different in a 64-bit guest (width32.h: in a 32-bit one).  Only guest.h includes this. */
#pragma once
/* What entries make (start.S). */
struct frame {
    u64 r15, r14, r13, r12, rbp, rbx, r9, r8, r10, rdi, rsi, rdx;
    u64 rax, r11, rcx;
    union {
        struct {
            u32 error, vector;
        };
        u64 flags; /* on the way back: VGCF_* */
    };
    u64 rip, cs, rflags, rsp, ss;
};

/* The address of the instruction that is to trap, for the macro that runs it. */
extern u64 trap_at;
#define AT(text, ...)                                                                              \
    __asm__ volatile("movq $77f, trap_at(%%rip)\n77: " text ::__VA_ARGS__ : "memory", "cc")

#ifdef HYPERCALL_PAGE
extern u8 hypercall_page[];
#endif

static inline long hypercall(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e)
{
    register u64 r10 __asm__("r10") = d;
    register u64 r8 __asm__("r8") = e;
    long ret;

    __asm__ volatile("syscall"
                     : "=a"(ret), "+D"(a), "+S"(b), "+d"(c), "+r"(r10), "+r"(r8)
                     : "0"(nr)
                     : "rcx", "r11", "memory");
    return ret;
}

#ifdef HYPERCALL_PAGE
/* Through the page where a number has an entry; numbers that do not exist go as above. */
static inline long page_call(u64 nr, u64 a, u64 b, u64 c, u64 d, u64 e)
{
    register u64 r10 __asm__("r10") = d;
    register u64 r8 __asm__("r8") = e;
    u64 ret = (u64)hypercall_page + nr * 32;

    __asm__ volatile("call *%%rax"
                     : "+a"(ret), "+D"(a), "+S"(b), "+d"(c), "+r"(r10), "+r"(r8)
                     :
                     : "rcx", "r11", "memory");
    return ret;
}
#define call_ page_call
#else
#define call_ hypercall
#endif

#define PTE_P   0x1UL
#define PTE_W   0x2UL
#define PTE_U   0x4UL
#define PTE_PWT 0x8UL
#define PTE_PCD 0x10UL
#define PTE_A   0x20UL
#define PTE_D   0x40UL
#define PTE_PSE 0x80UL
#define PTE_PAT 0x80UL
#define PTE_G   0x100UL
#define PTE_NX  (1UL << 63)
#define PTE_MFN 0x000ffffffffff000UL
#define PTE_RW_ (PTE_P | PTE_W | PTE_U | PTE_A | PTE_D)
#define PTE_RO_ (PTE_P | PTE_U | PTE_A)
#define PTE_TAB (PTE_P | PTE_W | PTE_U | PTE_A)

#define SPARE_VA 0x600000000000UL /* nobody's: L4 slot 192 */

#define USER_ASM(f, text)                                                                          \
    do {                                                                                           \
        const u8 *begin_, *end_;                                                                   \
        __asm__ volatile(".pushsection .rodata\n881:\n" text "\n882:\n.popsection");               \
        __asm__ volatile("movq $881b, %0\nmovq $882b, %1" : "=r"(begin_), "=r"(end_));             \
        user_frame(f, begin_, end_ - begin_);                                                      \
    } while (0)
