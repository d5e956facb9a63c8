// SPDX-License-Identifier: MIT
/*
 * Debug registers of PV guests.  Breakpoints in the hypervisor's part of the address space are
 * refused; DR7 is only loaded while the vcpu runs and has a breakpoint enabled.  Those on ports are
 * never loaded, for all access to ports is emulated: pv_check_port_breakpoints().
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
    write_dr7(pv->dr7_loaded);
}

static long set_dr7(struct vcpu *v, unsigned long value)
{
    struct pv_vcpu *pv = &v->arch.pv;

    unsigned long loaded;

    value = (value & ~DR7_RESERVED) | DR7_FIXED;
    loaded = value;
    for (unsigned i = 0; i < 4; i++) {
        if (!(value >> (2 * i) & 3))
            continue;
        if (DR7_RW(value, i) == DR_RW_IO) {
            if (!(pv->ctrlreg[4] & CR4_DE))
                return -EPERM;
            loaded &= ~(3UL << (2 * i) | 15UL << (16 + 4 * i));
        }
        if (!DR7_RW(value, i) && DR7_LEN(value, i))
            return -EPERM; /* execution breakpoints are one byte */
    }
    pv->dr[7] = value;
    pv->dr7_loaded = loaded & DR7_ENABLE ? loaded : 0;
    if (v == current) {
        if (pv->dr7_loaded)
            pv_load_debugregs(v);
        else
            write_dr7(DR7_FIXED);
    }
    return 0;
}

bool pv_check_port_breakpoints(struct vcpu *v, unsigned port, unsigned bytes)
{
    static const uint8_t sizes[4] = {1, 2, 8, 4};
    struct pv_vcpu *pv = &v->arch.pv;
    bool hit = false;

    if (likely(!(pv->dr[7] & DR7_ENABLE)) || !(pv->ctrlreg[4] & CR4_DE))
        return false;
    for (unsigned i = 0; i < 4; i++) {
        unsigned size = sizes[DR7_LEN(pv->dr[7], i)];
        unsigned long first = pv->dr[i] & ~(size - 1UL);

        if ((pv->dr[7] >> (2 * i) & 3) && DR7_RW(pv->dr[7], i) == DR_RW_IO && port < first + size &&
            first < port + bytes) {
            pv->dr[6] |= 1UL << i;
            hit = true;
        }
    }
    return hit;
}

long pv_set_debugreg(struct vcpu *v, unsigned reg, unsigned long value)
{
    struct pv_vcpu *pv = &v->arch.pv;

    switch (reg) {
    case 0 ... 3:
        if (!is_canonical(value) || (value >= M2P_RO_VIRT && value < DIRECTMAP_VIRT_END))
            return -EPERM;
        pv->dr[reg] = value;
        if (v == current && pv->dr7_loaded)
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
