// SPDX-License-Identifier: MIT
/*
 * Writes of control registers and EFER that the CPU cannot be left alone with.
 *
 * What a guest may set in CR4 and EFER goes by its domain's CPU policy, and the CPU goes by its own
 * features.  Where it has none that the policy hides, writes of CR4 do not leave the guest at all.
 * Paging is turned on and off here, so that the vendor never sees the guest's modes half changed.
 */
#include "arch/x86/cpu/modes.h"
#include "arch/x86/hvm/hvm.h"
#include "asm/msr.h"
#include "asm/regs.h"

bool hvm_cr4_exits(const struct domain *d)
{
    return cpu_own_cr4() & ~cpu_policy_cr4(d->arch.cpu_policy);
}

static uint64_t get_efer(const struct vcpu *v)
{
    uint64_t efer = 0;

    hvm_vendor->get_msr(v, MSR_EFER, &efer);
    return efer;
}

static bool modes_valid(const struct vcpu *v, uint64_t cr0, uint64_t cr4, uint64_t efer)
{
    return cpu_modes_valid(v->domain->arch.cpu_policy, cr0, cr4, efer);
}

/* CR4, but for what the guest has set unseen though its policy does not show it. */
static uint64_t shown_cr4(const struct vcpu *v)
{
    return hvm_vendor->get_cr(v, 4) & cpu_policy_cr4(v->domain->arch.cpu_policy);
}

static bool load_cr0(struct vcpu *v, uint64_t val)
{
    uint64_t old = hvm_vendor->get_cr(v, 0), efer = get_efer(v) & ~(uint64_t)EFER_LMA;

    if (val >> 32)
        return false;
    val = (val & CR0_VALID) | CR0_ET; /* the others below are ignored */
    if ((val & CR0_PG) && (efer & EFER_LME))
        efer |= EFER_LMA;
    if (((val ^ old) & CR0_PG) && (efer & EFER_LME) && hvm_long_mode(v))
        return false;
    if (!modes_valid(v, val, shown_cr4(v), efer))
        return false;
    if (!(efer & EFER_LMA) && (hvm_vendor->get_cr(v, 4) & CR4_PCIDE)) /* shown or not */
        return false;
    hvm_vendor->set_cr(v, 0, val);
    hvm_vendor->set_msr(v, MSR_EFER, efer);
    if ((val ^ old) & (CR0_PG | CR0_PE | CR0_WP))
        hvm_flush_tlb(v);
    return true;
}

static bool load_cr4(struct vcpu *v, uint64_t val)
{
    uint64_t changes = val ^ hvm_vendor->get_cr(v, 4), efer = get_efer(v);

    if (!modes_valid(v, hvm_vendor->get_cr(v, 0), val, efer))
        return false;
    if ((efer & EFER_LMA) && (changes & CR4_LA57))
        return false;
    if ((changes & val & CR4_PCIDE) && (hvm_vendor->get_cr(v, 3) & CR3_PCID))
        return false;
    hvm_vendor->set_cr(v, 4, val);
    if (changes & (CR4_PSE | CR4_PAE | CR4_PGE | CR4_LA57 | CR4_PCIDE | CR4_SMEP))
        hvm_flush_tlb(v);
    return true;
}

static bool load_cr3(struct vcpu *v, uint64_t val)
{
    if (hvm_vendor->get_cr(v, 4) & CR4_PCIDE)
        val &= ~CR3_NO_FLUSH; /* flushed all the same */
    if (!cpu_cr3_valid(val))
        return false;
    hvm_vendor->set_cr(v, 3, val);
    hvm_flush_tlb(v);
    return true;
}

bool hvm_write_cr(struct vcpu *v, unsigned cr, uint64_t val)
{
    return cr == 0 ? load_cr0(v, val) : cr == 3 ? load_cr3(v, val) : load_cr4(v, val);
}

bool hvm_write_efer(struct vcpu *v, uint64_t val)
{
    uint64_t old = get_efer(v);

    /* LMA stays, so that LME cannot change while CR0.PG is set. */
    val = (val & ~(uint64_t)EFER_LMA) | (old & EFER_LMA);
    if (!modes_valid(v, hvm_vendor->get_cr(v, 0), shown_cr4(v), val))
        return false;
    if (!hvm_vendor->set_msr(v, MSR_EFER, val))
        return false;
    if ((val ^ old) & EFER_NXE)
        hvm_flush_tlb(v);
    return true;
}
