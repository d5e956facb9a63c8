// SPDX-License-Identifier: MIT
/*
 * Debug registers of PV guests.  Breakpoints in the hypervisor's part of the address space, and
 * on I/O, are refused; DR7 is only loaded while the vcpu runs and has a breakpoint enabled.
 */
#include "asm/layout.h"
#include "asm/regs.h"
#include "hypercall/handlers.h"
#include "lib/errno.h"
#include "pv.h"

#define DR7_ENABLE    0xffUL
#define DR7_GD        (1UL << 13)
#define DR7_FIXED     (1UL << 10)
#define DR7_RESERVED  (0xffffffff00000000UL | 0xd000UL | DR7_GD)
#define DR7_RW(v, i)  (((v) >> (16 + 4 * (i))) & 3)
#define DR7_LEN(v, i) (((v) >> (18 + 4 * (i))) & 3)
#define DR_RW_IO      2

void pv_load_debugregs(const struct vcpu *v)
{
    const struct pv_vcpu *pv = &v->arch.pv;

    write_dr0(pv->dr[0]);
    write_dr1(pv->dr[1]);
    write_dr2(pv->dr[2]);
    write_dr3(pv->dr[3]);
    write_dr6(pv->dr[6]);
    write_dr7(pv->dr[7]);
}

static long set_dr7(struct vcpu *v, unsigned long value)
{
    struct pv_vcpu *pv = &v->arch.pv;

    value = (value & ~DR7_RESERVED) | DR7_FIXED;
    for (unsigned i = 0; i < 4; i++) {
        if (!(value >> (2 * i) & 3))
            continue;
        if (DR7_RW(value, i) == DR_RW_IO)
            return -EPERM;
        if (!DR7_RW(value, i) && DR7_LEN(value, i))
            return -EPERM; /* execution breakpoints are one byte */
    }
    pv->dr[7] = value;
    pv->dr7_emul = value & DR7_ENABLE;
    if (v == current) {
        if (value & DR7_ENABLE)
            pv_load_debugregs(v);
        else
            write_dr7(DR7_FIXED);
    }
    return 0;
}

long pv_set_debugreg(struct vcpu *v, unsigned reg, unsigned long value)
{
    struct pv_vcpu *pv = &v->arch.pv;

    switch (reg) {
    case 0 ... 3:
        if (!is_canonical(value) || (value >= M2P_RO_VIRT && value < DIRECTMAP_VIRT_END))
            return -EPERM;
        pv->dr[reg] = value;
        if (v == current && pv->dr7_emul)
            pv_load_debugregs(v);
        return 0;
    case 4:
    case 6:
        pv->dr[6] = (value & 0xe00f) | 0xffff0ff0;
        return 0;
    case 5:
    case 7:
        return set_dr7(v, value);
    default:
        return -ENODEV;
    }
}

long do_set_debugreg(unsigned long reg, unsigned long value)
{
    return pv_set_debugreg(current, reg > 7 ? 8 : reg, value);
}

long do_get_debugreg(unsigned long reg)
{
    const struct pv_vcpu *pv = &current->arch.pv;

    switch (reg) {
    case 0 ... 3:
        return pv->dr[reg];
    case 4:
    case 6:
        return pv->dr[6];
    case 5:
    case 7:
        return pv->dr[7];
    default:
        return -ENODEV;
    }
}
