// SPDX-License-Identifier: MIT
/* FPU state: XSAVE where the host has it, with all components that it has; else FXSAVE. */
#include "asm/fpu.h"
#include "asm/cpufeature.h"
#include "asm/regs.h"
#include "domain/domain.h"
#include "domain/unit.h"
#include "lib/errno.h"
#include "lib/string.h"
#include "policy.h"

static size_t fpu_size(void)
{
    return host_cpu.xcr0_max ? host_cpu.xsave_size : 512;
}

void fpu_reset(struct vcpu *v)
{
    uint8_t *area = v->arch.fpu;

    memset(area, 0, fpu_size());
    *(uint16_t *)area = 0x37f;         /* FCW */
    *(uint32_t *)(area + 24) = 0x1f80; /* MXCSR */
    if (host_cpu.xcr0_max)
        *(uint64_t *)(area + XSAVE_HEADER_OFF) = XCR0_X87 | XCR0_SSE;
}

void fpu_save(struct vcpu *v)
{
    void *area = v->arch.fpu;

    clts();
    if (host_cpu.xcr0_max) {
        if (v->arch.xcr0 != host_cpu.xcr0_max)
            xsetbv(0, host_cpu.xcr0_max);
        __asm__ volatile("xsave64 (%0)" ::"r"(area), "a"(~0u), "d"(~0u) : "memory");
    } else
        __asm__ volatile("fxsave64 (%0)" ::"r"(area) : "memory");
}

/*
 * AMD's FXRSTOR and XRSTOR leave the pointers to the last x87 instruction and operand alone when
 * no exception is pending: what another guest did would show.  A load of our own replaces them.
 */
static void fpu_forget_pointers(void)
{
    static const int32_t zero;

    if (cpu_is_amd())
        __asm__ volatile("fnclex; ffree %%st(7); fildl %0" ::"m"(zero));
}

void fpu_load(struct vcpu *v)
{
    const void *area = v->arch.fpu;

    clts();
    fpu_forget_pointers();
    if (host_cpu.xcr0_max) {
        __asm__ volatile("xrstor64 (%0)" ::"r"(area), "a"(~0u), "d"(~0u) : "memory");
        if (v->arch.xcr0 != host_cpu.xcr0_max)
            xsetbv(0, v->arch.xcr0);
    } else
        __asm__ volatile("fxrstor64 (%0)" ::"r"(area) : "memory");
}

/* Would this host's CPU take it?  SDM volume 1, 13.3: pairs and triples that only go together, and
 * what builds on what. */
static bool xcr0_valid(uint64_t val)
{
    const uint64_t mpx = 0x18, avx512 = XCR0_AVX512;

    if (!host_cpu.xcr0_max || !(val & XCR0_X87) || (val & ~host_cpu.xcr0_max))
        return false;
    if ((val & XCR0_YMM) && !(val & XCR0_SSE))
        return false;
    if ((val & avx512) && ((val & avx512) != avx512 || !(val & XCR0_YMM)))
        return false;
    return !(val & mpx) || (val & mpx) == mpx;
}

static bool xcr0_allowed(const struct vcpu *v, uint64_t val)
{
    return xcr0_valid(val) && !(val & ~cpu_policy_xcr0(v->domain->arch.cpu_policy));
}

bool fpu_set_xcr0(struct vcpu *v, uint64_t val)
{
    if (!xcr0_allowed(v, val))
        return false;
    v->arch.xcr0 = val;
    xsetbv(0, val);
    return true;
}

#define MXCSR_OFF   24
#define MXCSR_VALID 0xffff /* others fault when loaded */
#define XSTATE_MPX  0x18   /* can fault by what their registers hold */

void fpu_import_legacy(struct vcpu *v, const void *image)
{
    memcpy(v->arch.fpu, image, XSAVE_HEADER_OFF);
    *(uint32_t *)((uint8_t *)v->arch.fpu + MXCSR_OFF) &= MXCSR_VALID;
}

int fpu_import(struct vcpu *v, uint64_t xcr0, const void *area, size_t len)
{
    const uint64_t *theirs = (const uint64_t *)((const uint8_t *)area + XSAVE_HEADER_OFF);
    uint64_t *header = (uint64_t *)((uint8_t *)v->arch.fpu + XSAVE_HEADER_OFF), state;

    /* Who is shown no XSAVE is saved with what he began with. */
    if ((!xcr0_allowed(v, xcr0) && xcr0 != XCR0_X87) || len < XSAVE_MIN_SIZE)
        return -EINVAL;
    state = theirs[0];
    if ((state & ~host_cpu.xcr0_max) || (state & XSTATE_MPX) || theirs[1]) /* [1]: compacted */
        return -EINVAL;
    v->arch.xcr0 = xcr0;
    memset(v->arch.fpu, 0, fpu_size());
    memcpy(v->arch.fpu, area, min(len, fpu_size()));
    fpu_import_legacy(v, area);
    memset(header, 0, XSAVE_MIN_SIZE - XSAVE_HEADER_OFF);
    header[0] = state;
    return 0;
}

int fpu_create(struct vcpu *v)
{
    void *fpu = xzalloc_bytes(1, fpu_size() + 64);

    if (!fpu)
        return -ENOMEM;
    v->arch.fpu_alloc = fpu;
    v->arch.fpu = (void *)(((uintptr_t)fpu + 63) & ~63UL);
    /* As after reset: who does not switch more state than that must not find it usable. */
    v->arch.xcr0 = host_cpu.xcr0_max ? XCR0_X87 : 0;
    fpu_reset(v);
    return 0;
}

static void fpu_free(struct vcpu *v)
{
    xfree(v->arch.fpu_alloc);
}

/* Before the kinds of guest, which may set some of it. */
DEFINE_UNIT(fpu, .name = "FPU", .level = UNIT_MEM, .vcpu_create = fpu_create,
            .vcpu_reset = fpu_reset, .vcpu_free = fpu_free);
