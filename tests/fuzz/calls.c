// SPDX-License-Identifier: MIT
/* The shapes of hypercalls, and calls made by them (calls.h). */
#include "calls.h"
#include "lib/compiler.h"
#include "lib/string.h"
#include "abi/xen_abi.h"

/* How a call takes its argument. */
enum form {
    BY_WORDS,   /* in registers: the fields, each at the number of its register */
    BY_COMMAND, /* command, pointer */
    BY_VCPU,    /* command, vcpu, pointer */
    BY_COUNT,   /* command, pointer, count */
    BY_LIST,    /* pointer, count, where to say how many were done, domain */
    BY_STRUCT,  /* pointer */
};

#define RUINS 1 /* likely the caller's end */

struct field {
    uint16_t off;
    uint8_t size, kind;
};

struct shape {
    uint8_t nr, form, flags, pad;
    uint32_t cmd;
    uint16_t size;
    struct field fields[8];
};

#define F(type, member, kind)                                                                      \
    {                                                                                              \
        offsetof(struct type, member), sizeof(((struct type *)0)->member), kind                    \
    }
#define W(i, kind)                                                                                 \
    {                                                                                              \
        i, 4, kind                                                                                 \
    } /* one register */
#define Q(i, kind)                                                                                 \
    {                                                                                              \
        i, 8, kind                                                                                 \
    } /* two registers of a 32-bit guest */
#define WORDS(name, flags, ...) {__HYPERVISOR_##name, BY_WORDS, flags, 0, 0, 0, {__VA_ARGS__}},
#define COMMAND(name, cmd, type, flags, ...)                                                       \
    {__HYPERVISOR_##name, BY_COMMAND, flags, 0, cmd, sizeof(struct type), {__VA_ARGS__}},
#define PLAIN(name, cmd, size, flags) {__HYPERVISOR_##name, BY_COMMAND, flags, 0, cmd, size, {}},
#define VCPU(cmd, type, flags, ...)                                                                \
    {__HYPERVISOR_vcpu_op, BY_VCPU, flags, 0, VCPUOP_##cmd, sizeof(struct type), {__VA_ARGS__}},
#define VCPU_PLAIN(cmd, size, flags)                                                               \
    {__HYPERVISOR_vcpu_op, BY_VCPU, flags, 0, VCPUOP_##cmd, size, {}},
#define EVENT(cmd, type, flags, ...)                                                               \
    COMMAND(event_channel_op, EVTCHNOP_##cmd, type, flags, __VA_ARGS__)
#define GRANT(cmd, type, flags, ...)                                                               \
    {__HYPERVISOR_grant_table_op, BY_COUNT,     flags, 0, GNTTABOP_##cmd,                          \
     sizeof(struct type),         {__VA_ARGS__}},
#define MMUEXT(name, flags, kind1, kind2)                                                          \
    {__HYPERVISOR_mmuext_op,                                                                       \
     BY_LIST,                                                                                      \
     flags,                                                                                        \
     0,                                                                                            \
     MMUEXT_##name,                                                                                \
     sizeof(struct mmuext_op),                                                                     \
     {F(mmuext_op, arg1.mfn, kind1), F(mmuext_op, arg2.src_mfn, kind2)}},
#define DOMCTL(cmd, ...)                                                                           \
    {__HYPERVISOR_domctl,       BY_STRUCT,    0, 0, XEN_DOMCTL_##cmd,                              \
     sizeof(struct xen_domctl), {__VA_ARGS__}},
#define SYSCTL(cmd, ...)                                                                           \
    {__HYPERVISOR_sysctl,       BY_STRUCT,    0, 0, XEN_SYSCTL_##cmd,                              \
     sizeof(struct xen_sysctl), {__VA_ARGS__}},

#define MAX_SIZE 256 /* of an element */

static const struct shape shapes[] = {
#include "shapes.def"
};
static const struct shape tool_shapes[] = {
#include "tool_shapes.def"
};
static const struct shape hvm_shapes[] = {
#include "hvm_shapes.def"
};

static uint64_t value(struct source *s, enum kind kind);

static bool one_in(struct source *s, unsigned n)
{
    return s->choose(s, n) == 0;
}

uint64_t odd_value(struct source *s)
{
    static const uint64_t borders[] = {
        0,
        1,
        7,
        8,
        0xff,
        0xfff,
        0x1000,
        0x7ff0,
        0x7ff1,
        0x7ff2,
        0x7ff4,
        0x7fff,
        0x8000,
        0xffff,
        0x7fffffff,
        0x80000000,
        0xf5800000,
        0xfffff000,
        0xfffffffc,
        0xffffffff,
        0x100000000,
        0x7ffffffffffc,
        0x800000000000,
        0xffff7ffffffffffc,
        0xffff800000000000,
        0xffff82d040200000,
        0xffff830000000000,
        0xffff87fffffffffc,
        0xfffffffffffff000,
        0xfffffffffffffffc,
        ~0ULL,
        0x8000000000000000,
        0x7fffffffffffffff,
        0x000ffffffffff000,
    };

    switch (s->choose(s, 4)) {
    case 0:
        return 1ULL << s->choose(s, 64);
    case 1:
        return ~(1ULL << s->choose(s, 64));
    case 2:
        return (uint64_t)s->choose(s, 65536) << 32 | s->choose(s, 65536);
    default:
        return borders[s->choose(s, ARRAY_SIZE(borders))];
    }
}

/* Room for so many bytes in the arena, sometimes at its very end or across it; NULL when full. */
static void *room(struct source *s, size_t size)
{
    uint8_t *p = s->arena + s->arena_used;

    size = (size + 7) & ~(size_t)7;
    if (s->arena_used + size > ARENA_SIZE)
        return NULL;
    s->arena_used += size;
    return p;
}

static uint64_t list_of(struct source *s, enum kind element, size_t size)
{
    unsigned n = 1 + s->choose(s, LIST_MAX);
    uint8_t *p = room(s, n * size);

    if (!p)
        return s->value(s, K_ODD);
    for (unsigned i = 0; i < n; i++) {
        uint64_t val = value(s, element);

        memcpy(p + i * size, &val, size);
    }
    return (uintptr_t)p;
}

static uint64_t plain_value(struct source *s, enum kind kind)
{
    size_t word = s->narrow ? 4 : sizeof(long);
    void *p;

    switch (kind) {
    case K_NONE:
        return 0;
    case K_SMALL:
        return s->choose(s, 8);
    case K_BYTE:
        return s->choose(s, 256);
    case K_FLAGS:
        return s->choose(s, 2) ? s->choose(s, 64) : s->choose(s, 65536);
    case K_COUNT:
        return s->choose(s, LIST_MAX + 2);
    case K_ORDER:
        return one_in(s, 4) ? s->choose(s, 32) : 0;
    case K_OFFSET:
        return one_in(s, 4) ? s->choose(s, 65536) : s->choose(s, 512) * 8;
    case K_LENGTH:
        return one_in(s, 4) ? s->choose(s, 65536) : s->choose(s, 256);
    case K_MFNS:
        return list_of(s, K_MFN, word);
    case K_GFNS:
        return list_of(s, K_GFN, word);
    case K_PORTS:
        return list_of(s, K_PORT, 4);
    case K_OUT:
        p = room(s, 128);
        return p ? (uintptr_t)p : s->value(s, K_ODD);
    case K_MAP:
        return GNTMAP_host_map | (one_in(s, 4) ? s->choose(s, 32) : 0);
    default:
        return s->value(s, kind);
    }
}

static uint64_t value(struct source *s, enum kind kind)
{
    if (kind == K_ODD || (kind != K_NONE && one_in(s, 32)))
        return s->value(s, K_ODD);
    return plain_value(s, kind);
}

static void fill(struct source *s, const struct shape *shape, void *arg)
{
    memset(arg, 0, shape->size);
    if (shape->nr == __HYPERVISOR_mmuext_op || shape->form == BY_STRUCT)
        *(uint32_t *)arg = shape->cmd;
    if (shape->nr == __HYPERVISOR_domctl)
        ((struct xen_domctl *)arg)->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    if (shape->nr == __HYPERVISOR_sysctl)
        ((struct xen_sysctl *)arg)->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    for (unsigned i = 0; i < ARRAY_SIZE(shape->fields) && shape->fields[i].size; i++) {
        const struct field *f = &shape->fields[i];
        uint64_t val = value(s, f->kind);

        memcpy((uint8_t *)arg + f->off, &val, f->size < 8 ? f->size : 8);
    }
}

/* So many elements of a shape, one behind the other; their address. */
static uint64_t elements(struct source *s, const struct shape *shape, unsigned n)
{
    uint64_t arg[MAX_SIZE / 8];
    uint8_t *first = room(s, shape->size * n), *p = first;

    if (!first)
        return s->value(s, K_ODD);
    for (unsigned i = 0; i < n; i++) {
        fill(s, shape, arg);
        p += s->store(s, p, shape->nr, shape->cmd, arg, shape->size);
    }
    return (uintptr_t)first;
}

static void make_by(struct source *s, struct made_call *call, const struct shape *shape)
{
    unsigned n = 1 + s->choose(s, 3), word = 0;
    unsigned long *a = call->args;

    switch (shape->form) {
    case BY_WORDS:
        for (unsigned i = 0; i < ARRAY_SIZE(shape->fields) && shape->fields[i].size; i++) {
            uint64_t val = value(s, shape->fields[i].kind);

            a[word++] = val;
            if (shape->fields[i].size == 8 && (s->narrow || sizeof(long) == 4))
                a[word++] = val >> 32;
        }
        break;
    case BY_COMMAND:
        a[0] = shape->cmd;
        if (shape->nr == __HYPERVISOR_memory_op && one_in(s, 8))
            a[0] |= s->choose(s, 8) << 6; /* as if it had been interrupted */
        a[1] = elements(s, shape, 1);
        break;
    case BY_VCPU:
        a[0] = shape->cmd;
        a[1] = value(s, K_VCPU);
        a[2] = elements(s, shape, 1);
        break;
    case BY_COUNT:
        a[0] = shape->cmd;
        a[1] = elements(s, shape, n);
        a[2] = n;
        break;
    case BY_LIST:
        a[0] = elements(s, shape, n);
        a[1] = n;
        a[2] = one_in(s, 4) ? value(s, K_OUT) : 0;
        a[3] = one_in(s, 4) ? value(s, K_DOMID) : DOMID_SELF;
        break;
    case BY_STRUCT:
        a[0] = elements(s, shape, 1);
        break;
    }
}

/* Answered with -ENOSYS elsewhere: a waste of time. */
static bool is_pv_only(unsigned nr)
{
    switch (nr) {
    case __HYPERVISOR_memory_op:
    case __HYPERVISOR_set_timer_op:
    case __HYPERVISOR_xen_version:
    case __HYPERVISOR_console_io:
    case __HYPERVISOR_grant_table_op:
    case __HYPERVISOR_vcpu_op:
    case __HYPERVISOR_sched_op:
    case __HYPERVISOR_event_channel_op:
    case __HYPERVISOR_hvm_op:
    case __HYPERVISOR_xenpmu_op:
        return false;
    default:
        return true;
    }
}

static const struct shape *choose_shape(struct source *s, bool privileged)
{
    const struct shape *shape;

    if (privileged)
        return &tool_shapes[s->choose(s, ARRAY_SIZE(tool_shapes))];
    if (s->hvm && s->choose(s, 2))
        return &hvm_shapes[s->choose(s, ARRAY_SIZE(hvm_shapes))];
    do
        shape = &shapes[s->choose(s, ARRAY_SIZE(shapes))];
    while ((shape->flags & RUINS) && !s->may_ruin);
    if (s->hvm && is_pv_only(shape->nr))
        return &hvm_shapes[s->choose(s, ARRAY_SIZE(hvm_shapes))];
    return shape;
}

static void make_one(struct source *s, struct made_call *call, bool privileged)
{
    const struct shape *shape = choose_shape(s, privileged);

    memset(call, 0, sizeof(*call));
    call->nr = shape->nr;
    make_by(s, call, shape);
    if (one_in(s, 24))
        call->args[s->choose(s, 5)] = value(s, K_ODD);
}

/* A list of calls, each with arguments of its own. */
static void make_list(struct source *s, struct made_call *call)
{
    unsigned n = 1 + s->choose(s, 4);
    size_t size = s->narrow ? 32 : sizeof(struct multicall_entry);
    uint8_t *list = room(s, n * size);

    call->nr = __HYPERVISOR_multicall;
    memset(call->args, 0, sizeof(call->args));
    call->args[0] = (uintptr_t)list;
    call->args[1] = n;
    for (unsigned i = 0; i < n; i++) {
        struct made_call one;
        struct multicall_entry e = {0};

        make_one(s, &one, false);
        e.op = one.nr;
        memcpy(e.args, one.args, sizeof(e.args));
        list += s->store(s, list, __HYPERVISOR_multicall, 0, &e, sizeof(e));
    }
}

void make_call(struct source *s, struct made_call *call, bool privileged)
{
    s->arena_used = 0;
    if (one_in(s, 64)) { /* anything at all */
        call->nr = s->choose(s, 64);
        for (unsigned i = 0; i < ARRAY_SIZE(call->args); i++)
            call->args[i] = one_in(s, 2) ? s->choose(s, 32) : value(s, K_ODD);
        /* But not the end of everything. */
        if ((call->nr == __HYPERVISOR_iret || call->nr == __HYPERVISOR_sched_op ||
             call->nr == __HYPERVISOR_sched_op_compat) &&
            !s->may_ruin)
            call->nr = __HYPERVISOR_xen_version;
    } else if (!privileged && one_in(s, 16)) {
        make_list(s, call);
    } else
        make_one(s, call, privileged);
}
