// SPDX-License-Identifier: MIT
/*
 * A domain's CPU state for the tools: the format of hvm/save.h, a list of records between a header
 * and an end (gethvmcontext, sethvmcontext).  What is in a record is records.c's.
 */
#include "save.h"
#include "asm/regs.h"
#include "hypercall/compat.h"
#include "hypercall/handlers.h"
#include "lib/errno.h"
#include "lib/string.h"

/* More than any caller has to say: all records that this version knows, of all vcpus. */
#define MAX_CONTEXT 0x400000u

#define RECORDS_BATCH 16

static uint32_t context_size(const struct domain *d)
{
    uint32_t size = 2 * sizeof(struct hvm_save_descriptor) + sizeof(struct hvm_save_header);
    struct vcpu *v;

    for_each_vcpu (d, v)
        for (unsigned i = 0; i < NR_HVM_RECORDS; i++)
            size += sizeof(struct hvm_save_descriptor) + hvm_record_length(d, &hvm_records[i]);
    return size;
}

struct out {
    uint64_t addr;
    uint32_t used;
};

static int put_record(struct out *o, uint16_t code, uint16_t instance, const void *data,
                      uint32_t length)
{
    struct hvm_save_descriptor desc = {code, instance, length};

    if (copy_to_guest(o->addr + o->used, &desc, sizeof(desc)) ||
        copy_to_guest(o->addr + o->used + sizeof(desc), data, length))
        return -EFAULT;
    o->used += sizeof(desc) + length;
    return 0;
}

static void save_record(struct vcpu *v, const struct hvm_record *r, void *buf, uint32_t length)
{
    memset(buf, 0, length);
    hvm_open(v);
    r->save(v, buf);
    hvm_close(v);
}

static int put_all(struct domain *d, struct out *o, void *buf)
{
    struct hvm_save_header header = {.magic = HVM_FILE_MAGIC,
                                     .version = HVM_FILE_VERSION,
                                     .changeset = ~0ULL,
                                     .cpuid = cpuid(1).a,
                                     .gtsc_khz = d->arch.tsc_khz};
    int rc = put_record(o, HVM_SAVE_CODE(HEADER), 0, &header, sizeof(header));
    struct vcpu *v;

    for (unsigned i = 0; i < NR_HVM_RECORDS; i++) {
        const struct hvm_record *r = &hvm_records[i];
        uint32_t length = r->save ? hvm_record_length(d, r) : 0;

        for_each_vcpu (d, v) {
            if (rc)
                return rc;
            /* A vcpu that is not up has no CPU state, and is not brought up by its record. */
            if (!length || (r->code == HVM_SAVE_CODE(CPU) && test_bit(VPF_down, &v->pause_flags)))
                continue;
            save_record(v, r, buf, length);
            rc = put_record(o, r->code, v->vcpu_id, buf, length);
        }
    }
    return rc ? rc : put_record(o, HVM_SAVE_CODE(END), 0, NULL, 0);
}

long domctl_gethvmcontext(struct call *c, struct xen_domctl *op)
{
    struct xen_domctl_hvmcontext *h = &op->u.hvmcontext;
    struct out o = {.addr = handle_addr(h->buffer)};
    struct domain *d = c->d;
    void *buf;
    long rc;

    if (!d->arch.hvm || d == c->v->domain)
        return -EINVAL;
    if (!o.addr) {
        h->size = context_size(d);
        return 0;
    }
    if (h->size < context_size(d))
        return -ENOSPC;
    buf = xzalloc_bytes(1, HVM_MAX_RECORD);
    if (!buf)
        return -ENOMEM;
    domain_pause(d);
    rc = put_all(d, &o, buf);
    domain_unpause(d);
    h->size = o.used;
    xfree(buf);
    return rc;
}

/* One record, without its descriptor. */
long domctl_gethvmcontext_partial(struct call *c, struct xen_domctl *op)
{
    struct xen_domctl_hvmcontext_partial *p = &op->u.hvmcontext_partial;
    struct vcpu *v = domain_vcpu(c->d, p->instance);
    long rc = -ENOENT;
    void *buf;

    if (!c->d->arch.hvm || c->d == c->v->domain || !v)
        return -EINVAL;
    buf = xzalloc_bytes(1, HVM_MAX_RECORD);
    if (!buf)
        return -ENOMEM;
    domain_pause(c->d);
    for (unsigned i = 0; i < NR_HVM_RECORDS; i++) {
        const struct hvm_record *r = &hvm_records[i];
        uint32_t length = r->save ? hvm_record_length(c->d, r) : 0;

        if (r->code != p->type || !length)
            continue;
        rc = 0;
        if (!handle_addr(p->buffer))
            p->bufsz = length;
        else if (p->bufsz < length)
            rc = -ENOSPC;
        else {
            save_record(v, r, buf, length);
            rc = copy_to_guest(handle_addr(p->buffer), buf, length);
        }
    }
    domain_unpause(c->d);
    xfree(buf);
    return rc;
}

/*
 * Shorter records end where older versions' did; the rest is zero.  Those that vary in length may
 * be longer than ours, for what no state of the record's says is in use.
 */
static int take_record(struct domain *d, const struct hvm_save_descriptor *desc, uint64_t addr,
                       void *buf)
{
    struct vcpu *v = domain_vcpu(d, desc->instance);
    int rc;

    for (unsigned i = 0; i < NR_HVM_RECORDS; i++) {
        const struct hvm_record *r = &hvm_records[i];

        if (r->code != desc->typecode)
            continue;
        if (!v || desc->length > (r->length ? r->length : HVM_MAX_RECORD))
            return -EINVAL;
        memset(buf, 0, HVM_MAX_RECORD);
        if (copy_from_guest(buf, addr, desc->length))
            return -EFAULT;
        hvm_open(v);
        rc = r->load(v, buf, desc->length);
        hvm_close(v);
        return rc;
    }
    return desc->typecode <= HVM_SAVE_CODE_MAX ? 0 : -EINVAL; /* devices that are not there */
}

static int take_header(const struct hvm_save_descriptor *desc, uint64_t addr)
{
    struct hvm_save_header header;

    if (desc->typecode != HVM_SAVE_CODE(HEADER) || desc->length != sizeof(header))
        return -EINVAL;
    if (copy_from_guest(&header, addr, sizeof(header)))
        return -EFAULT;
    return header.magic == HVM_FILE_MAGIC && header.version == HVM_FILE_VERSION ? 0 : -EINVAL;
}

/* Some records from *at on: 0: all are done; -ERESTART: *at says where to go on. */
static int take_some(struct domain *d, uint64_t addr, uint32_t size, void *buf, uint32_t *at)
{
    struct hvm_save_descriptor desc;
    int rc = 0;

    for (unsigned n = 1; !rc; n++) {
        bool first = !*at;

        if (size - *at < sizeof(desc))
            return -EINVAL;
        if (copy_from_guest(&desc, addr + *at, sizeof(desc)))
            return -EFAULT;
        if (desc.length > size - *at - sizeof(desc))
            return -EINVAL;
        *at += sizeof(desc);
        if (first)
            rc = take_header(&desc, addr + *at);
        else if (desc.typecode == HVM_SAVE_CODE(END))
            return 0;
        else
            rc = take_record(d, &desc, addr + *at, buf);
        *at += desc.length;
        if (!rc && n % RECORDS_BATCH == 0 && hypercall_preempt_check())
            rc = -ERESTART;
    }
    return rc;
}

/* A caller may list as many records as fit.  A call that is not the one that gave way begins. */
long domctl_sethvmcontext(struct call *c, struct xen_domctl *op)
{
    const struct xen_domctl_hvmcontext *h = &op->u.hvmcontext;
    struct domain *d = c->d;
    struct hvm_load *l;
    void *buf;
    long rc;

    if (!d->arch.hvm || d == c->v->domain || h->size > MAX_CONTEXT)
        return -EINVAL;
    buf = xzalloc_bytes(1, HVM_MAX_RECORD);
    if (!buf)
        return -ENOMEM;
    l = &d->arch.hvm->load;
    if (!l->at || l->by != c->v->domain->id || l->buffer != handle_addr(h->buffer) ||
        l->size != h->size)
        *l = (struct hvm_load){
            .by = c->v->domain->id, .buffer = handle_addr(h->buffer), .size = h->size};
    domain_pause(d);
    rc = take_some(d, l->buffer, l->size, buf, &l->at);
    domain_unpause(d);
    if (rc != -ERESTART)
        l->at = 0;
    xfree(buf);
    return rc;
}

/* --- memory for page tables --- */

long domctl_set_paging_mempool_size(struct call *c, struct xen_domctl *op)
{
    uint64_t pages = op->u.paging_mempool.size >> PAGE_SHIFT;

    if (!c->d->arch.hvm || (op->u.paging_mempool.size & (PAGE_SIZE - 1)))
        return -EINVAL;
    WRITE_ONCE(c->d->arch.hvm->p2m.max_tables, pages);
    return 0;
}

long domctl_get_paging_mempool_size(struct call *c, struct xen_domctl *op)
{
    if (!c->d->arch.hvm)
        return -EINVAL;
    op->u.paging_mempool.size = READ_ONCE(c->d->arch.hvm->p2m.max_tables) << PAGE_SHIFT;
    return 0;
}
