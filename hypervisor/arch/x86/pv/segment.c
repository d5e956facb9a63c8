// SPDX-License-Identifier: MIT
/*
 * Segments of a guest, as the CPU finds them: for the emulator, and for frames on the stack of a
 * 32-bit kernel.  In 64-bit code only FS and GS have a base, which is in an MSR.
 */
#include "arch/x86/emulate/emulate.h"
#include "asm/cpufeature.h"
#include "asm/msr.h"
#include "asm/regs.h"
#include "pv.h"

#define SEG_FLAT (EMUL_SEG_P | EMUL_SEG_S | EMUL_SEG_WRITABLE | EMUL_SEG_DB | EMUL_SEG_G)

#define LIVE_SELECTOR(name)                                                                        \
    ({                                                                                             \
        uint16_t sel_;                                                                             \
        __asm__ volatile("mov %%" #name ", %0" : "=rm"(sel_));                                     \
        sel_;                                                                                      \
    })

uint16_t pv_live_selector(const struct cpu_user_regs *regs, unsigned seg)
{
    switch (seg) {
    case EMUL_SEG_ES:
        return LIVE_SELECTOR(es);
    case EMUL_SEG_CS:
        return regs->cs;
    case EMUL_SEG_SS:
        return regs->ss;
    case EMUL_SEG_DS:
        return LIVE_SELECTOR(ds);
    case EMUL_SEG_FS:
        return LIVE_SELECTOR(fs);
    default:
        return LIVE_SELECTOR(gs);
    }
}

/* The segment of a selector in current's tables; one that cannot be used has no attributes. */
static void find_segment(uint16_t sel, struct emul_segment *s)
{
    uint64_t desc;

    *s = (struct emul_segment){.sel = sel};
    if (!(sel & ~3) || !pv_read_descriptor(sel, &desc))
        return;
    s->base = (desc >> 16 & 0xffffff) | (desc >> 56) << 24;
    s->limit = (desc & 0xffff) | (desc >> 32 & 0xf0000);
    s->attr = (desc >> 40 & 0xff) | (desc >> 44 & 0xf00);
    if (s->attr & EMUL_SEG_G)
        s->limit = s->limit << 12 | 0xfff;
}

int pv_emul_segment(struct emul_ctxt *ctxt, enum emul_seg seg, struct emul_segment *res)
{
    uint16_t sel = pv_live_selector(ctxt->regs, seg);

    if (ctxt->addr_size != 64) {
        find_segment(sel, res);
        return EMUL_OKAY;
    }
    *res = (struct emul_segment){.limit = ~0u, .sel = sel, .attr = SEG_FLAT};
    if (seg == EMUL_SEG_FS)
        res->base = rdmsr(MSR_FS_BASE);
    else if (seg == EMUL_SEG_GS)
        res->base = rdmsr(MSR_GS_BASE);
    else if (seg == EMUL_SEG_CS)
        res->attr |= EMUL_SEG_CODE;
    return EMUL_OKAY;
}

void pv_emul_init(struct emul_ctxt *ctxt, struct cpu_user_regs *regs, const struct emul_ops *ops)
{
    struct emul_segment cs, ss;

    *ctxt = (struct emul_ctxt){
        .regs = regs,
        .ops = ops,
        .addr_size = 64,
        .sp_size = 64,
        .cpl = guest_kernel(current, regs) ? 0 : 3,
        .iopl = 3, /* the callbacks check */
        .amd = cpu_is_amd(),
    };
    if (likely(regs->cs == FLAT_RING3_CS64 && !is_32bit(current->domain)))
        return;
    find_segment(regs->cs, &cs);
    if (cs.attr & EMUL_SEG_L)
        return;
    find_segment(regs->ss, &ss);
    ctxt->addr_size = cs.attr & EMUL_SEG_DB ? 32 : 16;
    ctxt->sp_size = ss.attr & EMUL_SEG_DB ? 32 : 16;
}

bool pv_code_address(const struct cpu_user_regs *regs, uint64_t *linear)
{
    struct emul_segment cs;

    *linear = regs->rip;
    if (likely(!is_32bit(current->domain)))
        return true;
    find_segment(regs->cs, &cs);
    *linear = (uint32_t)(cs.base + regs->rip);
    return cs.attr & EMUL_SEG_P;
}

bool pv_stack_address(uint16_t ss, uint32_t sp, unsigned bytes, uint64_t *linear)
{
    struct emul_segment s;
    uint64_t last = (uint64_t)sp + bytes - 1, top;

    *linear = sp;
    if (ss == FLAT32_RING1_DS)
        return last <= UINT32_MAX;
    find_segment(ss, &s);
    *linear = (uint32_t)(s.base + sp);
    if ((s.attr & (EMUL_SEG_P | EMUL_SEG_S | EMUL_SEG_CODE | EMUL_SEG_WRITABLE)) !=
        (EMUL_SEG_P | EMUL_SEG_S | EMUL_SEG_WRITABLE))
        return false;
    top = s.attr & EMUL_SEG_DB ? UINT32_MAX : UINT16_MAX;
    if (s.attr & EMUL_SEG_EXPDOWN)
        return sp > s.limit && last <= top && *linear + bytes <= 1UL << 32;
    return last <= s.limit && *linear + bytes <= 1UL << 32;
}
