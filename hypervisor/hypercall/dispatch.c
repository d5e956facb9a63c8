// SPDX-License-Identifier: MIT
/*
 * Hypercall dispatch.
 *
 * hypercall_dispatch() comes from the entry code with the guest's registers.  The number selects
 * a row of abi/ops/hypercalls.def: a function called directly, or a table of sub-operations.  For
 * those, run_op() does what every operation needs and no handler repeats: copies the argument in
 * once, finds and references the target domain, checks that the caller may, calls the handler,
 * copies the result back.
 *
 * Macros make code of the rows.  HOT4(__HYPERVISOR_mmu_update, do_mmu_update, ...) becomes
 *     case __HYPERVISOR_mmu_update: return do_mmu_update(*at[0], *at[1], *at[2], *at[3]);
 * in call_number(), and so, with other numbers of arguments, do_fpu_taskswitch, do_stack_switch,
 * do_multicall, do_update_va_mapping, do_set_segment_base and do_mmuext_op.  Those that are not HOT
 * are called through calls[]: CALL1(__HYPERVISOR_set_trap_table, do_set_trap_table, ...) becomes
 * hc_do_set_trap_table(a), which returns do_set_trap_table(a[0]).
 *
 * Continuations: a handler that must give way returns -ERESTART.  The guest's registers (or its
 * multicall entry) are changed so that it issues the call again, with the arguments that
 * hypercall_continue() left in this CPU's `pending`.
 */
#include "arch/api/arch_domain.h"
#include "domain/domain.h"
#include "hypercall/compat.h"
#include "hypercall/handlers.h"
#include "hypercall/tables.h"
#include "kernel/percpu.h"
#include "kernel/softirq.h"

#define HYPERCALL_INSN_LEN 2 /* syscall; int 0x82 */
#define ARG_MAX_SIZE       1024

struct pending_call {
    bool set;
    unsigned nr, nargs;
    unsigned long args[6];
};
static DEFINE_PER_CPU(struct pending_call, pending);

static spinlock_t domctl_lock = SPINLOCK_INIT(LOCK_DOMCTL);

bool hypercall_preempt_check(void)
{
    return softirq_pending(smp_processor_id()) || vcpu_event_pending(current);
}

long hypercall_continue(unsigned nr, unsigned nargs, const unsigned long *args)
{
    struct pending_call *p = &this_cpu(pending);

    p->set = true;
    p->nr = nr;
    p->nargs = nargs;
    memcpy(p->args, args, nargs * sizeof(*args));
    return -ERESTART;
}

/* What is to be issued again, if ret says so; iret's result is the guest's, and may be anything. */
static const struct pending_call *take_pending(long ret)
{
    struct pending_call *p = &this_cpu(pending);

    if (likely(ret != -ERESTART) || !p->set)
        return NULL;
    p->set = false;
    return p;
}

bool privileged_over(const struct domain *caller, const struct domain *d)
{
    (void)d; /* delegation to driver and stub domains comes with XSM */
    return caller->is_privileged;
}

static int check_who(const struct op *op, const struct domain *caller, const struct domain *target)
{
    switch (op->who) {
    case WHO_ANY:
        return 0;
    case WHO_TARGET:
        return caller == target || privileged_over(caller, target) ? 0 : -EPERM;
    case WHO_DM:
        return privileged_over(caller, target) ? 0 : -EPERM;
    default:
        return caller->is_privileged ? 0 : -EPERM;
    }
}

/* Finds c->d for op; *ref tells whether it holds a reference to drop. */
static int find_target(const struct op *op, struct call *c, const void *arg, bool *ref)
{
    struct domain *self = c->v->domain;
    domid_t id;

    c->d = op->target == TGT_NONE ? NULL : self;
    if (op->target == TGT_FIELD) {
        memcpy(&id, (const char *)arg + op->target_off, sizeof(id));
        if (id != DOMID_SELF && id != self->id) {
            c->d = NULL;
            if ((op->flags & SPECIAL_DOM) && id == DOMID_IO)
                c->d = domid_io_d;
            else if ((op->flags & SPECIAL_DOM) && id == DOMID_XEN)
                c->d = domid_xen_d;
            else if ((c->d = get_domain_by_id(id)) != NULL)
                *ref = true;
            if (!c->d)
                return op->flags & TARGET_OPTIONAL ? 0 : -ESRCH;
        } else if (op->flags & NO_SELF)
            return -EINVAL;
    }
    return 0;
}

static noinline long run_checked(const struct op *op, struct call *c, void *arg)
{
    bool ref = false, locked = false;
    long ret = find_target(op, c, arg, &ref);

    if (!ret)
        ret = check_who(op, c->v->domain, c->d);
    if (!ret && (op->flags & PV_ONLY) && is_translated(c->v->domain))
        ret = -ENOSYS;
    if (!ret && (op->flags & LOCK_DOMCTL_)) {
        /* Another CPU's operation may take long: let the guest try again instead of spinning. */
        locked = spin_trylock(&domctl_lock);
        if (!locked) {
            c->resume = c->start;
            ret = -ERESTART;
        }
    }
    if (!ret)
        ret = op->handler(c, arg);
    if (locked)
        spin_unlock(&domctl_lock);
    if (ref)
        put_domain(c->d);
    return ret;
}

static inline long run_op(const struct op *op, struct call *c, void *arg)
{
    /* Most are the caller's own business. */
    if (likely(op->who == WHO_ANY && op->target != TGT_FIELD &&
               !(op->flags & (LOCK_DOMCTL_ | PV_ONLY)))) {
        c->d = op->target == TGT_SELF ? c->v->domain : NULL;
        return op->handler(c, arg);
    }
    return run_checked(op, c, arg);
}

static const struct op *find_op(const struct op_table *t, unsigned long cmd)
{
    const struct op *op;

    if (cmd >= t->count)
        return NULL;
    op = &t->ops[index_nospec(cmd, t->count)];
    return op->handler ? op : NULL;
}

static bool copies_out(const struct op *op, long ret)
{
    return (op->dir & DIR_OUT) && (ret >= 0 || (ret != -ERESTART && (op->flags & OUT_ALWAYS)));
}

/* Kinds CMD_ARG and CMD_VCPU_ARG: the command in a register, one argument. */
static long call_cmd(unsigned nr, const struct op_table *t, unsigned long mask,
                     const unsigned long args[6], bool vcpu_arg)
{
    struct vcpu *v = current;
    const struct op *op = find_op(t, args[0] & mask);
    struct call c;
    uint64_t arg[ARG_MAX_SIZE / 8];
    long ret;

    if (!op)
        return -ENOSYS;
    /* Field by field: the compiler would clear it by REP STOS. */
    c.v = v;
    c.tv = NULL;
    c.arg = args[vcpu_arg ? 2 : 1];
    c.start = c.resume = 0;
    c.copy_back = true;
    c.at_end = NULL;
    if (~mask)
        c.start = args[0] / (mask + 1);
    if (vcpu_arg)
        c.tv = args[1] <= UINT32_MAX ? domain_vcpu(v->domain, args[1]) : NULL;
    if (op->dir & DIR_IN) {
        if (copy_arg_from_guest(arg, c.arg, op->size, op->compat))
            return -EFAULT;
    } else if (op->dir)
        memset(arg, 0, op->size);

    ret = run_op(op, &c, arg);
    if (c.copy_back && copies_out(op, ret) && copy_arg_to_guest(c.arg, arg, op->size, op->compat))
        ret = -EFAULT;
    if (ret == -ERESTART) {
        unsigned long again[3] = {args[0], args[1], args[2]};

        if (~mask)
            again[0] = (args[0] & mask) | c.resume * (mask + 1);
        hypercall_continue(nr, vcpu_arg ? 3 : 2, again);
    }
    return ret;
}

/* Kind CMD_INSIDE: one structure, of the command and, at an offset, its argument. */
static long call_inside(unsigned nr, const struct op_table *t, unsigned long offset,
                        const unsigned long args[6])
{
    unsigned long inner[6] = {0, args[0] + (caller_is_32bit() ? 4 : offset)};
    uint32_t cmd;

    if (copy_from_guest(&cmd, args[0], sizeof(cmd)))
        return -EFAULT;
    inner[0] = cmd;
    return call_cmd(nr, t, ~0UL, inner, false);
}

/* Kind STRUCT: domctl, sysctl, platform_op.  Command and interface version lead the argument. */
static long call_struct(unsigned nr, const struct op_table *t, size_t size, uint32_t version,
                        const unsigned long args[6])
{
    struct call c = {.v = current, .arg = args[0], .copy_back = true};
    uint64_t arg[ARG_MAX_SIZE / 8];
    const uint32_t *head = (const uint32_t *)arg;
    const struct op *op;
    long ret;

    if (copy_from_guest(arg, args[0], size))
        return -EFAULT;
    if (head[1] != version)
        return -EACCES;
    if (!c.v->domain->is_privileged)
        return -EPERM;
    op = find_op(t, head[0]);
    if (!op)
        return -ENOSYS;

    ret = run_op(op, &c, arg);
    if (c.copy_back && copies_out(op, ret) && copy_to_guest(args[0], arg, size))
        ret = -EFAULT;
    if (ret == -ERESTART)
        hypercall_continue(nr, 1, args);
    return ret;
}

/* Kind CMD_ARG_COUNT: an array of elements, each an operation of its own. */
static long call_batch(unsigned nr, const struct op_table *t, const unsigned long args[6])
{
    const struct op *op = find_op(t, args[0]);
    unsigned long count = args[2], i;
    uint64_t arg[ARG_MAX_SIZE / 8], addr = args[1];
    void (*at_end)(struct vcpu * v) = NULL;
    long ret = 0;

    if (!op)
        return -ENOSYS;
    if (count > UINT32_MAX)
        return -EINVAL;
    for (i = 0; i < count && ret >= 0; i++) {
        struct call c = {.v = current, .copy_back = true};

        addr = c.arg = guest_array_addr(args[1], i, guest_size(op->size, op->compat));
        if (i && hypercall_preempt_check())
            ret = -ERESTART;
        else if (copy_arg_from_guest(arg, addr, op->size, op->compat))
            ret = -EFAULT;
        else {
            ret = run_op(op, &c, arg);
            if (c.at_end)
                at_end = c.at_end;
            if (ret != -ERESTART && c.copy_back &&
                copy_arg_to_guest(addr, arg, op->size, op->compat))
                ret = -EFAULT;
        }
        if (ret == -ERESTART)
            break;
    }
    if (at_end)
        at_end(current);
    if (ret == -ERESTART) {
        unsigned long again[3] = {args[0], addr, count - i};

        return hypercall_continue(nr, 3, again);
    }
    return ret < 0 ? ret : 0;
}

/* A function for each row of hypercalls.def that is not hot, all of one type. */
typedef long (*call_fn)(const unsigned long a[6]);
#define CALL0(nr, fn, who, args32)                                                                 \
    static long hc_##fn(const unsigned long a[6])                                                  \
    {                                                                                              \
        (void)a;                                                                                   \
        return fn();                                                                               \
    }
#define CALL1(nr, fn, who, args32)                                                                 \
    static long hc_##fn(const unsigned long a[6])                                                  \
    {                                                                                              \
        return fn(a[0]);                                                                           \
    }
#define CALL2(nr, fn, who, args32)                                                                 \
    static long hc_##fn(const unsigned long a[6])                                                  \
    {                                                                                              \
        return fn(a[0], a[1]);                                                                     \
    }
#define CALL3(nr, fn, who, args32)                                                                 \
    static long hc_##fn(const unsigned long a[6])                                                  \
    {                                                                                              \
        return fn(a[0], a[1], a[2]);                                                               \
    }
#define CALL4(nr, fn, who, args32)                                                                 \
    static long hc_##fn(const unsigned long a[6])                                                  \
    {                                                                                              \
        return fn(a[0], a[1], a[2], a[3]);                                                         \
    }
#define HOT1(nr, fn, who, args32)
#define HOT2                                HOT1
#define HOT3                                HOT1
#define HOT4                                HOT1
#define table_CMD_ARG(nr, t, mask, a)       call_cmd(nr, &op_table_##t, mask, a, false)
#define table_CMD_VCPU_ARG(nr, t, mask, a)  call_cmd(nr, &op_table_##t, mask, a, true)
#define table_CMD_ARG_COUNT(nr, t, mask, a) call_batch(nr, &op_table_##t, a)
#define table_CMD_INSIDE(nr, t, mask, a)    call_inside(nr_now_##t, &op_table_##t, mask, a)
#define nr_now_event                        __HYPERVISOR_event_channel_op
#define nr_now_physdev                      __HYPERVISOR_physdev_op
#define table_STRUCT(nr, t, mask, a)                                                               \
    call_struct(nr, &op_table_##t, struct_size_##t, struct_version_##t, a)
#define struct_size_platform    sizeof(struct xen_platform_op)
#define struct_version_platform XENPF_INTERFACE_VERSION
#define struct_size_sysctl      sizeof(struct xen_sysctl)
#define struct_version_sysctl   XEN_SYSCTL_INTERFACE_VERSION
#define struct_size_domctl      sizeof(struct xen_domctl)
#define struct_version_domctl   XEN_DOMCTL_INTERFACE_VERSION
#define TABLE(nr, t, where, mask)                                                                  \
    static long hc_##t##_##where(const unsigned long a[6])                                         \
    {                                                                                              \
        return table_##where(nr, t, mask, a);                                                      \
    }
#define NOCALL(nr)
#include "abi/ops/hypercalls.def"
#include "abi/ops/undef_calls.h"

static const struct {
    call_fn fn;
    const char *args32;
    bool priv;
} calls[] = {
#define CALL0(nr, fn, who, args32) [nr] = {hc_##fn, args32, (who) == WHO_PRIV},
#define CALL1                      CALL0
#define CALL2                      CALL0
#define CALL3                      CALL0
#define CALL4                      CALL0
/* What call_number() calls by itself. */
#define HOT1(nr, fn, who, args32) [nr] = {NULL, args32, false},
#define HOT2                      HOT1
#define HOT3                      HOT1
#define HOT4                      HOT1
#define TABLE(nr, t, where, mask) [nr] = {NULL, "wwwww", false},
#define NOCALL(nr)                [nr] = {NULL, "", false},
#include "abi/ops/hypercalls.def"
#include "abi/ops/undef_calls.h"
};

/* Rows marked hot, and tables, are called directly; arguments are fetched where they are used. */
static __always_inline long call_number(unsigned long nr, const unsigned long *const at[6])
{
#define ARGS                                                                                       \
    (const unsigned long[6])                                                                       \
    {                                                                                              \
        *at[0], *at[1], *at[2], *at[3], *at[4], *at[5]                                             \
    }
    switch (nr) {
#define CALL0(nr, fn, who, args32)
#define CALL1(nr, fn, who, args32)
#define CALL2(nr, fn, who, args32)
#define CALL3(nr, fn, who, args32)
#define CALL4(nr, fn, who, args32)
#define HOT(nr, who)                                                                               \
    _Static_assert((who) == WHO_ANY, "who calls is not looked at here");                           \
    case nr:
#define HOT1(nr, fn, who, args32)                                                                  \
    HOT(nr, who)                                                                                   \
    return fn(*at[0]);
#define HOT2(nr, fn, who, args32)                                                                  \
    HOT(nr, who)                                                                                   \
    return fn(*at[0], *at[1]);
#define HOT3(nr, fn, who, args32)                                                                  \
    HOT(nr, who)                                                                                   \
    return fn(*at[0], *at[1], *at[2]);
#define HOT4(nr, fn, who, args32)                                                                  \
    HOT(nr, who)                                                                                   \
    return fn(*at[0], *at[1], *at[2], *at[3]);
#define TABLE(nr, t, where, mask)                                                                  \
    case nr:                                                                                       \
        return hc_##t##_##where(ARGS);
#define NOCALL(nr)
#include "abi/ops/hypercalls.def"
#include "abi/ops/undef_calls.h"
    default:
        break;
    }
    if (nr >= ARRAY_SIZE(calls))
        return -ENOSYS;
    nr = index_nospec(nr, ARRAY_SIZE(calls));
    if (!calls[nr].fn)
        return -ENOSYS;
    if (calls[nr].priv && !current->domain->is_privileged)
        return -EPERM;
    return calls[nr].fn(ARGS);
#undef ARGS
}

/* One hypercall by number: an element of a multicall, or a 32-bit caller's. */
static noinline long hypercall_call(unsigned long nr, const unsigned long a[6])
{
    return call_number(nr, (const unsigned long *const[6]){a, a + 1, a + 2, a + 3, a + 4, a + 5});
}

static __cold noinline void issue_again(struct cpu_user_regs *regs, const struct pending_call *p)
{
    unsigned long *const slot[6] = {&regs->rdi, &regs->rsi, &regs->rdx,
                                    &regs->r10, &regs->r8,  &regs->r9};

    regs->rax = p->nr;
    for (unsigned i = 0; i < p->nargs; i++)
        *slot[i] = p->args[i];
    regs->rip -= HYPERCALL_INSN_LEN;
}

void hypercall_dispatch(struct cpu_user_regs *regs)
{
    long ret =
        call_number(regs->rax, (const unsigned long *const[6]){&regs->rdi, &regs->rsi, &regs->rdx,
                                                               &regs->r10, &regs->r8, &regs->r9});
    const struct pending_call *p = take_pending(ret);

    if (unlikely(p != NULL))
        issue_again(regs, p);
    else
        regs->rax = ret; /* do_iret() has replaced every register, and returns the new rax */
}

static const char *args32_of(unsigned long nr)
{
    return nr < ARRAY_SIZE(calls) ? calls[index_nospec(nr, ARRAY_SIZE(calls))].args32 ?: "" : "";
}

/* One hypercall of a 32-bit guest.  *again: words are now those to issue it again with. */
static long call32(uint32_t nr, uint32_t words[6], const struct pending_call **again)
{
    unsigned long args[6];
    long ret;

    compat_widen_args(args, words, args32_of(nr));
    ret = hypercall_call(nr, args);
    *again = take_pending(ret);
    if (unlikely(*again != NULL))
        compat_narrow_args(words, (*again)->args, (*again)->nargs, args32_of((*again)->nr));
    return ret;
}

void hypercall_dispatch32(struct cpu_user_regs *regs)
{
    uint32_t words[6] = {regs->rbx, regs->rcx, regs->rdx, regs->rsi, regs->rdi, regs->rbp};
    const struct pending_call *p;
    long ret = call32(regs->rax, words, &p);

    if (unlikely(p != NULL)) {
        regs->rax = p->nr;
        regs->rbx = words[0];
        regs->rcx = words[1];
        regs->rdx = words[2];
        regs->rsi = words[3];
        regs->rdi = words[4];
        regs->rbp = words[5];
        regs->rip -= HYPERCALL_INSN_LEN;
        return;
    }
    regs->rax = (uint32_t)ret;
}

bool hypercall_issue(struct cpu_user_regs *regs, bool is_32bit)
{
    uint64_t rip = regs->rip;

    current->calls_32bit = is_32bit;
    if (is_32bit)
        hypercall_dispatch32(regs);
    else
        hypercall_dispatch(regs);
    if (likely(regs->rip == rip))
        return false;
    regs->rip = rip;
    return true;
}

/* An element of a 32-bit guest's list, called; what to go on with, if it gives way. */
static noinline const struct pending_call *call_entry32(struct multicall_entry *e)
{
    const struct pending_call *p;
    uint32_t words[6];

    for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
        words[i] = e->args[i];
    e->result = call32(e->op, words, &p);
    for (unsigned i = 0; p && i < ARRAY_SIZE(words); i++)
        e->args[i] = words[i];
    return p;
}

/* An element of a list, called; true: it is now what to go on with. */
static __always_inline bool call_entry(struct multicall_entry *e, bool is_32bit)
{
    const struct pending_call *p;

    if (unlikely(is_32bit)) {
        p = call_entry32(e);
    } else {
        e->result = hypercall_call(e->op, e->args);
        p = take_pending(e->result);
        if (unlikely(p != NULL))
            memcpy(e->args, p->args, p->nargs * sizeof(e->args[0]));
    }
    if (likely(!p))
        return false;
    e->op = p->nr;
    e->result = 0;
    return true;
}

static __always_inline int put_result(uint64_t addr, const struct multicall_entry *e, bool is_32bit)
{
    if (unlikely(is_32bit))
        return copy_to_guest(addr + COMPAT_OFFSET_multicall_entry_result, &e->result, 4);
    return copy_to_guest(addr + offsetof(struct multicall_entry, result), &e->result,
                         sizeof(e->result));
}

/* The calls of a list, in order; choosy: not all may be called by whose list it is. */
static __always_inline long call_list(struct vcpu *v, unsigned long list, unsigned long count,
                                      bool choosy)
{
    size_t size = guest_sizeof(struct multicall_entry);
    bool is_32bit = caller_is_32bit();
    struct multicall_entry e;
    long ret = 0;
    unsigned long i;

    for (i = 0; i < count; i++) {
        uint64_t addr = guest_array_addr(list, i, size);
        bool again = false;

        if (i && hypercall_preempt_check())
            break;
        ret = copy_struct_from_guest(&e, addr);
        if (ret)
            break;
        if (choosy && !arch_hvm_may_call(e.op, e.args[1])) {
            e.result = e.op == __HYPERVISOR_multicall ? -EINVAL : -ENOSYS;
        } else if (e.op == __HYPERVISOR_iret) {
            v->in_multicall = false;
            return hypercall_call(e.op, e.args);
        } else
            again = call_entry(&e, is_32bit);
        if (again) {
            ret = copy_struct_to_guest(addr, &e);
            break;
        }
        ret = put_result(addr, &e, is_32bit);
        if (ret)
            break;
    }
    if (!ret && i < count) {
        unsigned long again[2] = {guest_array_addr(list, i, size), count - i};

        return hypercall_continue(__HYPERVISOR_multicall, 2, again);
    }
    return ret;
}

/*
 * multicall (xen.h, struct multicall_entry): the calls of a list, in order, each with a result of
 * its own.  An element that gives way is written back to the guest's list with its new arguments;
 * the list is then resumed at that element.  An iret ends the list: what comes after it would be
 * called in the name of whom it went to.
 */
long do_multicall(unsigned long list, unsigned long count)
{
    struct vcpu *v = current;
    long ret;

    if (unlikely(count > UINT32_MAX))
        return -EINVAL;
    if (unlikely(v->in_multicall)) /* d->is_hvm: always, and no list calls us */
        return v->domain->is_hvm ? call_list(v, list, count, true) : -EINVAL;
    v->in_multicall = true;
    ret = call_list(v, list, count, false);
    v->in_multicall = false;
    return ret;
}
