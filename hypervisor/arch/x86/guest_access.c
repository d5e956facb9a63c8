// SPDX-License-Identifier: MIT
/*
 * Guest memory (hypercall/guest_access.h): of PV guests through the page tables that are loaded,
 * which are current's kernel tables during a hypercall; of others as their kind does it.  This file
 * alone opens SMAP for C code.
 */
#include "hypercall/guest_access.h"
#include "arch/x86/guest.h"
#include "asm/cpufeature.h"
#include "asm/extable.h"
#include "asm/layout.h"
#include "asm/regs.h"
#include "lib/errno.h"
#include "lib/string.h"

/* An instruction at `rel` that is replaced at boot if the CPU needs it; see entry.S. */
struct patch_site {
    int32_t rel;
    int32_t kind; /* enum patch_kind */
};
enum patch_kind { PATCH_STAC, PATCH_CLAC, PATCH_RSB };
extern const struct patch_site __patch_sites_start[], __patch_sites_end[];

#define SMAP_SITE(kind)                                                                            \
    "771: .byte 0x0f, 0x1f, 0x00\n\t"                                                              \
    ".pushsection .patch_sites, \"a\"\n\t"                                                         \
    ".balign 4\n\t"                                                                                \
    ".long 771b - ., " #kind "\n\t"                                                                \
    ".popsection\n\t"

/*
 * On a CPU with SMAP: turns the no-ops at entry and around guest accesses into STAC and CLAC; and
 * where the return stack is to be filled, removes the jumps around that.  Boot CPU, before the
 * others run; the text may be read-only already.
 */
void __init patch_smap_sites(void)
{
    static const uint8_t nop5[] = {0x0f, 0x1f, 0x44, 0x00, 0x00};
    unsigned long cr0 = read_cr0();

    write_cr0(cr0 & ~CR0_WP);
    for (const struct patch_site *s = __patch_sites_start; s < __patch_sites_end; s++) {
        volatile uint8_t *site = (volatile uint8_t *)&s->rel + s->rel;

        if (s->kind == PATCH_RSB) {
            if (!mitigations.rsb_stuff)
                continue;
            for (unsigned i = 0; i < sizeof(nop5); i++)
                site[i] = nop5[i];
        } else if (cpu_has(SMAP)) {
            site[0] = 0x0f;
            site[1] = 0x01;
            site[2] = s->kind == PATCH_STAC ? 0xcb : 0xca;
        }
    }
    write_cr0(cr0);
}

/*
 * [addr, addr + len) lies outside the hypervisor's part of the address space.  Addresses that are
 * not canonical fault when touched.
 */
static inline bool access_ok(uint64_t addr, size_t len)
{
    uint64_t end;

    if (__builtin_add_overflow(addr, (uint64_t)len, &end))
        return false;
    return end <= M2P_RO_VIRT || addr >= DIRECTMAP_VIRT_END;
}

#define HYP_SHIFT 43
_Static_assert(DIRECTMAP_VIRT_END - M2P_RO_VIRT == 1UL << HYP_SHIFT &&
                   !(M2P_RO_VIRT << (64 - HYP_SHIFT)),
               "the hypervisor's part is one slice of the address space");

/*
 * An address that access_ok() has passed.  A CPU that guesses at that check's outcome finds all
 * ones instead of an address in the hypervisor's part.
 */
static inline void *checked(uint64_t addr)
{
    uint64_t slice = (addr >> HYP_SHIFT) - (M2P_RO_VIRT >> HYP_SHIFT), mask;

    __asm__("cmp $1, %[slice]\n\tsbb %[mask], %[mask]"
            : [mask] "=r"(mask)
            : [slice] "r"(slice)
            : "cc");
    return (void *)(addr | mask);
}

/* Copies, and returns the number of bytes left when an access faulted. */
static size_t copy_fixup(void *dst, const void *src, size_t len)
{
    size_t words = len / 8, rest = len % 8;

    __asm__ volatile(SMAP_SITE(0) "1: rep movsq\n\t"
                                  "   mov %[rest], %[words]\n\t"
                                  "2: rep movsb\n\t"
                                  "   jmp 4f\n\t"
                                  "3: lea (%[rest], %[words], 8), %[words]\n\t"
                                  "4:\n\t" SMAP_SITE(1) _ASM_EXTABLE(1b, 3b) _ASM_EXTABLE(2b, 4b)
                     : [words] "+c"(words), "+D"(dst), "+S"(src)
                     : [rest] "r"(rest)
                     : "memory", "cc");
    return words;
}

/* A word, or half of one, for the common small arguments; 0 or -EFAULT. */
#define DEFINE_LOAD(name, type)                                                                    \
    static inline int name(type *val, const void *addr)                                            \
    {                                                                                              \
        type v = 0;                                                                                \
        int err = -EFAULT;                                                                         \
                                                                                                   \
        __asm__ volatile(SMAP_SITE(0) "1: mov (%[addr]), %[v]\n\t"                                 \
                                      "   xor %[err], %[err]\n\t"                                  \
                                      "2:\n\t" SMAP_SITE(1) _ASM_EXTABLE(1b, 2b)                   \
                         : [v] "+r"(v), [err] "+r"(err)                                            \
                         : [addr] "r"(addr)                                                        \
                         : "memory", "cc");                                                        \
        *val = v;                                                                                  \
        return err;                                                                                \
    }
DEFINE_LOAD(load_word, uint64_t)
DEFINE_LOAD(load_half, uint32_t)

/* The loaded vcpu's memory is not reached by page tables that this CPU uses. */
static __always_inline bool no_guest_space(void)
{
    return unlikely(READ_ONCE(hvm_guests_exist)) && (cpu_info()->flags & CPU_NO_GUEST_SPACE);
}

static __always_inline size_t copy_from_pv(void *dst, uint64_t addr, size_t len)
{
    if (unlikely(!access_ok(addr, len)))
        return len;
    return copy_fixup(dst, checked(addr), len);
}

size_t raw_copy_from_guest(void *dst, uint64_t addr, size_t len)
{
    if (no_guest_space())
        return current->domain->arch.kind->copy_from(dst, addr, len);
    return copy_from_pv(dst, addr, len);
}

size_t raw_copy_to_guest(uint64_t addr, const void *src, size_t len)
{
    if (no_guest_space())
        return current->domain->arch.kind->copy_to(addr, src, len);
    if (unlikely(!access_ok(addr, len)))
        return len;
    return copy_fixup(checked(addr), src, len);
}

int copy_from_guest(void *dst, uint64_t addr, size_t len)
{
    if (no_guest_space())
        return raw_copy_from_guest(dst, addr, len) ? -EFAULT : 0;
    if (len == 8 && likely(access_ok(addr, 8)))
        return load_word(dst, checked(addr));
    if (len == 4 && likely(access_ok(addr, 4)))
        return load_half(dst, checked(addr));
    return copy_from_pv(dst, addr, len) ? -EFAULT : 0;
}

int copy_to_guest(uint64_t addr, const void *src, size_t len)
{
    return raw_copy_to_guest(addr, src, len) ? -EFAULT : 0;
}

int clear_guest(uint64_t addr, size_t len)
{
    static const uint8_t zeros[256];

    while (len) {
        size_t n = min(len, sizeof(zeros));

        if (raw_copy_to_guest(addr, zeros, n))
            return -EFAULT;
        addr += n;
        len -= n;
    }
    return 0;
}
