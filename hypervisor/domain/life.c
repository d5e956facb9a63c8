// SPDX-License-Identifier: MIT
/*
 * How domains end: a shutdown by the guest or the tools, a crash, and domain_kill(), which takes
 * everything back.  d->lock guards is_shutting_down, is_shut_down and shutdown_code.
 */
#include "arch/api/arch_cpu.h"
#include "arch/api/arch_domain.h"
#include "domain/domain.h"
#include "domain/unit.h"
#include "event/event.h"
#include "kernel/console.h"
#include "kernel/panic.h"
#include "lib/errno.h"
#include <xen/sched.h>

/* dom0 ends: so does the machine, as it asked. */
static void hardware_domain_shutdown(uint32_t reason)
{
    switch (reason) {
    case SHUTDOWN_poweroff:
        printk(KERN_INFO "dom0 has powered off: powering off the machine\n");
        arch_machine_end(MACHINE_POWEROFF);
    case SHUTDOWN_reboot:
        printk(KERN_INFO "dom0 asks for a reboot\n");
        arch_machine_end(MACHINE_REBOOT);
    case SHUTDOWN_crash:
        printk(KERN_ERR "dom0 has crashed: %s\n",
               opt_noreboot ? "halting, as noreboot says" : "rebooting the machine");
        console_force_unlock();
        arch_machine_end(opt_noreboot ? MACHINE_HALT : MACHINE_REBOOT);
    default:
        printk(KERN_ERR "dom0 has shut down with reason %u: halting\n", reason);
        arch_machine_end(MACHINE_HALT);
    }
}

void domain_shutdown(struct domain *d, uint32_t reason)
{
    struct vcpu *v;

    if (d == dom0)
        hardware_domain_shutdown(reason);

    spin_lock(&d->lock);
    if (d->shutdown_code == ~0u)
        d->shutdown_code = reason;
    reason = d->shutdown_code;
    if (d->is_shutting_down) {
        spin_unlock(&d->lock);
        return;
    }
    d->is_shutting_down = true;
    for_each_vcpu (d, v) {
        v->paused_for_shutdown = true;
        vcpu_pause_nosync(v);
    }
    d->is_shut_down = true;
    spin_unlock(&d->lock);

    if (reason == SHUTDOWN_suspend && d->suspend_evtchn)
        evtchn_send(d, d->suspend_evtchn);
    send_global_virq(VIRQ_DOM_EXC);
}

int domain_resume(struct domain *d)
{
    struct vcpu *v;

    /* Paused around this, so that no vcpu runs before all have been told. */
    domain_pause(d);
    spin_lock(&d->lock);
    d->is_shutting_down = d->is_shut_down = false;
    d->shutdown_code = ~0u;
    for_each_vcpu (d, v) {
        if (v->paused_for_shutdown)
            vcpu_unpause(v);
        v->paused_for_shutdown = false;
    }
    spin_unlock(&d->lock);
    domain_unpause(d);
    return 0;
}

void domain_crash(struct domain *d, const char *fmt, ...)
{
    char why[160];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    if (d->is_shutting_down)
        return; /* said once */
    printk(KERN_ERR "d%u crashes: %s\n", d->id, why);
    if (current->domain == d)
        arch_dump_vcpu(current);
    domain_shutdown(d, SHUTDOWN_crash);
}

int vcpu_reset(struct vcpu *v)
{
    int ret;

    vcpu_pause(v);
    ret = unmap_vcpu_info_rcu(v); /* its ports stay open */
    if (ret)
        goto unpause;
    spin_lock(&v->domain->lock);
    units_vcpu_reset(v);
    v->is_initialised = false;
    v->runstate_guest = v->time_guest = 0;
    v->pause_flags = BIT(VPF_down);
    spin_unlock(&v->domain->lock);
unpause:
    vcpu_unpause(v);
    return ret;
}

int domain_kill(struct domain *d)
{
    struct vcpu *v;
    int ret;

    if (d == current->domain)
        return -EINVAL;

    switch (READ_ONCE(d->dying)) {
    case DOMDYING_alive:
        domain_pause(d);
        spin_lock(&d->lock);
        if (d->dying != DOMDYING_alive) {
            spin_unlock(&d->lock);
            domain_unpause(d);
            return domain_kill(d);
        }
        d->dying = DOMDYING_dying;
        spin_unlock(&d->lock);
        /* fall through */
    case DOMDYING_dying:
        ret = units_relinquish(d);
        if (ret)
            return ret;
        /* Only now: while a port was open, a sender could be about to write there. */
        for_each_vcpu (d, v)
            unmap_vcpu_info(v);
        d->dying = DOMDYING_dead;
        put_domain(d); /* the reference for being alive */
        send_global_virq(VIRQ_DOM_EXC);
        return 0;
    default:
        return 0;
    }
}
