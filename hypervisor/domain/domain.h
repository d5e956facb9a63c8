// SPDX-License-Identifier: MIT
/*
 * Domains and their virtual CPUs.
 *
 * Life of a domain: created (paused, one reference for being alive) -> running -> shut down
 * (by itself, or crashed) -> dying (domain_kill) -> dead (resources gone) -> freed when the last
 * reference is put and an RCU grace period has passed.
 * `dying` is set once, under `lock`; whoever takes a resource for a domain checks it afterwards.
 */
#pragma once
#include "lib/types.h"
#include "lib/list.h"
#include "kernel/lock.h"
#include "kernel/rcu.h"
#include "kernel/timer.h"
#include "kernel/cpumask.h"
#include "mem/mem.h"
#include "event/event.h"
#include "sched/sched.h"
#include <xen/xen.h>
#include <xen/vcpu.h>
#include <asm/domain.h>

struct fifo_vcpu;
struct grant_table;
struct rangeset;
struct xen_domctl_createdomain;

enum domain_dying { DOMDYING_alive, DOMDYING_dying, DOMDYING_dead };

struct domain {
    domid_t id;
    uint8_t dying;      /* enum domain_dying */
    bool is_hvm;        /* as the tools asked for (XEN_DOMCTL_CDF_hvm) */
    bool is_privileged; /* dom0: control and hardware domain */
    bool is_idle;
    bool creation_finished; /* unpaused by the tools at least once */
    bool is_shutting_down, is_shut_down;
    uint32_t shutdown_code; /* SHUTDOWN_*; ~0 while running */
    uint32_t refs;          /* get_domain/put_domain */
    uint32_t options;       /* XEN_DOMCTL_CDF_* */
    uint32_t ssidref;
    unsigned max_vcpus;
    struct vcpu **vcpu;    /* [max_vcpus]; set once, entries may be NULL */
    spinlock_t lock;       /* LOCK_DOMAIN */
    struct list_head list; /* all domains in order of id */
    struct rcu_head rcu;
    xen_domain_handle_t handle;
    unsigned long vm_assist; /* VMASST_TYPE_* bits */
    int pause_count;         /* by the tools (bounded) */
    unsigned suspend_evtchn;
    int32_t time_offset;  /* seconds */
    cpumask_t dirty_cpus; /* CPUs that may hold TLB entries of this domain */

    struct shared_info *shared_info;
    struct page_info *shared_info_page;
    struct domain_mem mem;
    struct event_table *event;  /* event/ */
    struct grant_table *grant;  /* grant/ */
    struct sched_domain *sched; /* sched/ */
    struct rangeset *iomem;     /* frames of MMIO this domain may map */
    struct rangeset *ioports;
    struct rangeset *irqs; /* pirqs this domain may bind */
    struct arch_domain arch;
};

/* Why a vcpu does not run (pause_flags). */
enum vcpu_pause_bit {
    VPF_blocked,      /* SCHEDOP_block: until an event */
    VPF_down,         /* not brought up, or VCPUOP_down */
    VPF_blocked_poll, /* SCHEDOP_poll */
    VPF_suspended,    /* domain shut down */
    VPF_migrating
};

/* The frames that d names are of a physical address space of its own (arch_p2m.h); else they are
 * the host's.  On x86 that is so of the hardware-virtualised. */
static inline bool is_translated(const struct domain *d)
{
    return d->is_hvm;
}

struct vcpu {
    unsigned vcpu_id;
    unsigned processor; /* CPU it runs or last ran on */
    struct domain *domain;
    struct vcpu_info *info;      /* in shared_info, or registered by the guest */
    struct page_info *info_page; /* of a registered area */
    unsigned long pause_flags;   /* BIT(VPF_*) */
    int pause_count;             /* atomic: in-hypervisor pauses */
    bool is_running;             /* on a CPU, state may be in its registers */
    bool is_initialised;         /* has a guest context */
    bool paused_for_shutdown;
    cpumask_t hard_affinity, soft_affinity;
    cpumask_t dirty_cpu_mask;

    /* time */
    struct timer periodic_timer, singleshot_timer, poll_timer;
    s_time_t periodic_period, periodic_last;
    struct vcpu_runstate_info runstate;
    uint64_t runstate_guest; /* guest virtual address of its runstate area, 0: none */
    uint64_t time_guest;     /* secondary vcpu_time_info, 0: none */

    /* event/ */
    unsigned virq_port[NR_VIRQS]; /* 0: not bound */
    int poll_port;                /* SCHEDOP_poll: a single port, 0: several */
    struct fifo_vcpu *fifo;       /* FIFO control block of this vcpu */
    struct vcpu_info unseen_info; /* of one with no place in shared_info, until it registers */

    struct sched_vcpu *sched; /* sched/ */
    bool calls_32bit;         /* its hypercalls are 32-bit code's; d->is_hvm: the one under way */
    bool in_multicall;        /* hypercall/: running an element of a multicall; d->is_hvm: set */
    struct arch_vcpu arch;
};

#define for_each_vcpu(d, v)                                                                        \
    for (unsigned v##_i_ = 0; v##_i_ < (d)->max_vcpus; v##_i_++)                                   \
        if (((v) = (d)->vcpu[v##_i_]) != NULL)

extern struct domain *dom0;        /* NULL until built */
extern struct domain *domid_io_d;  /* DOMID_IO: owner of MMIO frames */
extern struct domain *domid_xen_d; /* DOMID_XEN: owner of hypervisor pages shared read-only */
extern struct domain *idle_domain;
extern struct list_head domain_list; /* order of id; RCU readers */
#define for_each_domain(d) list_for_each_entry (d, &domain_list, list)

void domain_subsys_init(void); /* idle, DOMID_IO, DOMID_XEN domains */
/* Creates a domain with all its units; paused once by the tools.  NULL and *err on failure. */
struct domain *domain_create(domid_t id, const struct xen_domctl_createdomain *cfg,
                             bool is_privileged, int *err);
struct vcpu *vcpu_create(struct domain *d, unsigned id); /* NULL: no memory; exists already */
/* Kills and relinquishes; -ERESTART when preempted, 0 when dead. */
int domain_kill(struct domain *d);
/* The guest (or the tools) ends it: pauses all vcpus and raises VIRQ_DOM_EXC. */
void domain_shutdown(struct domain *d, uint32_t reason);
int domain_resume(struct domain *d);
/* The guest did something no guest may do: ends it alone, with its registers on the console. */
void domain_crash(struct domain *d, const char *fmt, ...) __printf(2, 3);
/* Resets v to the state before VCPUOP_initialise; -ENOMEM. */
int vcpu_reset(struct vcpu *v);

/* Reference counting.  lookup: by id, with a reference, or NULL; dying domains are found too. */
struct domain *get_domain_by_id(domid_t id);
/* The same without a reference: good until this CPU is quiescent (kernel/rcu.h). */
struct domain *rcu_lookup_domain(domid_t id);
bool get_domain(struct domain *d);
void put_domain(struct domain *d);
/* The vcpu of d by number, or NULL; the index is clamped against speculation. */
struct vcpu *domain_vcpu(const struct domain *d, unsigned id);

/* Registration of guest areas (VCPUOP_register_*). */
int map_vcpu_info(struct vcpu *v, uint64_t gfn, unsigned offset);
/* Nobody sends v events any more; or somebody may just be doing so, then the page is let go when he
 * must have ended: 0, -ENOMEM. */
void unmap_vcpu_info(struct vcpu *v);
int unmap_vcpu_info_rcu(struct vcpu *v);
/* Where v->info points while v has registered none: in shared_info, or where no guest sees it. */
struct vcpu_info *vcpu_default_info(struct vcpu *v);
