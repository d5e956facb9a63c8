// SPDX-License-Identifier: MIT
/*
 * vcpu_guest_context in guest memory: in the layout of the vcpu's own width, whoever has it there.
 * Inside the hypervisor there is but one; the selectors of a 32-bit kernel's callbacks are where a
 * 64-bit one's callback for system calls is.
 */
#include "arch/api/arch_domain.h"
#include "hypercall/guest_access.h"
#include "lib/errno.h"
#include "pv.h"
#include <xen/foreign/x86_32.h>

typedef struct vcpu_guest_context context;
typedef struct vcpu_guest_context_x86_32 context32;

/* For each member that is the same but for its width: copies one way or the other. */
#define EACH_REGISTER(COPY)                                                                        \
    COPY(rbx, ebx)                                                                                 \
    COPY(rcx, ecx)                                                                                 \
    COPY(rdx, edx)                                                                                 \
    COPY(rsi, esi)                                                                                 \
    COPY(rdi, edi)                                                                                 \
    COPY(rbp, ebp)                                                                                 \
    COPY(rax, eax)                                                                                 \
    COPY(rip, eip)                                                                                 \
    COPY(cs, cs)                                                                                   \
    COPY(rflags, eflags)                                                                           \
    COPY(rsp, esp)                                                                                 \
    COPY(ss, ss)                                                                                   \
    COPY(es, es)                                                                                   \
    COPY(ds, ds)                                                                                   \
    COPY(fs, fs)                                                                                   \
    COPY(gs, gs)

#define EACH_MEMBER(COPY)                                                                          \
    COPY(flags)                                                                                    \
    COPY(ldt_base)                                                                                 \
    COPY(ldt_ents)                                                                                 \
    COPY(gdt_ents)                                                                                 \
    COPY(kernel_ss)                                                                                \
    COPY(kernel_sp)                                                                                \
    COPY(event_callback_eip)                                                                       \
    COPY(failsafe_callback_eip)                                                                    \
    COPY(vm_assist)

#define EACH_ARRAY(COPY)                                                                           \
    COPY(gdt_frames)                                                                               \
    COPY(ctrlreg)                                                                                  \
    COPY(debugreg)

static void widen(context *c, const context32 *n)
{
    memcpy(&c->fpu_ctxt, &n->fpu_ctxt, sizeof(c->fpu_ctxt));
#define COPY(wide, narrow) c->user_regs.wide = n->user_regs.narrow;
    EACH_REGISTER(COPY)
#undef COPY
#define COPY(member) c->member = n->member;
    EACH_MEMBER(COPY)
#undef COPY
#define COPY(array)                                                                                \
    for (unsigned i = 0; i < ARRAY_SIZE(c->array); i++)                                            \
        c->array[i] = n->array[i];
    EACH_ARRAY(COPY)
#undef COPY
    for (unsigned i = 0; i < ARRAY_SIZE(c->trap_ctxt); i++)
        c->trap_ctxt[i] = (struct trap_info){n->trap_ctxt[i].vector, n->trap_ctxt[i].flags,
                                             n->trap_ctxt[i].cs, n->trap_ctxt[i].address};
    c->syscall_callback_eip = far_pointer(n->failsafe_callback_cs, n->event_callback_cs);
}

static void narrow(context32 *n, const context *c)
{
    memset(n, 0, sizeof(*n));
    memcpy(&n->fpu_ctxt, &c->fpu_ctxt, sizeof(n->fpu_ctxt));
#define COPY(wide, narrow) n->user_regs.narrow = c->user_regs.wide;
    EACH_REGISTER(COPY)
#undef COPY
#define COPY(member) n->member = c->member;
    EACH_MEMBER(COPY)
#undef COPY
#define COPY(array)                                                                                \
    for (unsigned i = 0; i < ARRAY_SIZE(n->array); i++)                                            \
        n->array[i] = c->array[i];
    EACH_ARRAY(COPY)
#undef COPY
    for (unsigned i = 0; i < ARRAY_SIZE(n->trap_ctxt); i++)
        n->trap_ctxt[i] = (struct trap_info_x86_32){c->trap_ctxt[i].vector, c->trap_ctxt[i].flags,
                                                    c->trap_ctxt[i].cs, c->trap_ctxt[i].address};
    n->event_callback_cs = c->syscall_callback_eip;
    n->failsafe_callback_cs = c->syscall_callback_eip >> 32;
}

/* Those of other kinds are always wide, whatever their code. */
static bool is_narrow(const struct vcpu *v)
{
    return is_32bit(v->domain) && is_pv(v->domain);
}

int arch_context_from_guest(const struct vcpu *v, context *c, uint64_t addr)
{
    context32 *n;
    int rc;

    BUILD_BUG_ON(sizeof(*n) != 2800); /* xen.h, of a 32-bit compiler */
    if (!is_narrow(v))
        return copy_from_guest(c, addr, sizeof(*c));
    n = xzalloc(context32);
    if (!n)
        return -ENOMEM;
    rc = copy_from_guest(n, addr, sizeof(*n));
    if (!rc)
        widen(c, n);
    xfree(n);
    return rc;
}

int arch_context_to_guest(const struct vcpu *v, uint64_t addr, const context *c)
{
    context32 *n;
    int rc;

    if (!is_narrow(v))
        return copy_to_guest(addr, c, sizeof(*c));
    n = xzalloc(context32);
    if (!n)
        return -ENOMEM;
    narrow(n, c);
    rc = copy_to_guest(addr, n, sizeof(*n));
    xfree(n);
    return rc;
}
