// SPDX-License-Identifier: MIT
/*
 * mmuext_op: pinning, roots, TLB and cache flushes, LDT, clearing and copying of pages.
 * The rows are abi/ops/mmuext.def.  A command that acts on the caller itself refuses (-EPERM) to
 * be given another domain.
 */
#include "arch/x86/mm/mm_private.h"
#include "arch/x86/pv/pv.h"
#include "hypercall/compat.h"
#include "hypercall/handlers.h"
#include "lib/rangeset.h"

#define BATCH(nr, fn, type, who, target, flags) static long fn(struct call *c, type *op);
#include "abi/ops/mmuext.def"
#undef BATCH

struct mmuext_row {
    long (*handler)(struct call *c, struct mmuext_op *op);
    bool foreign; /* the domain named may be another one */
};

#define WHO_IS_ANY    false
#define WHO_IS_TARGET true
static const struct mmuext_row rows[] = {
#define BATCH(nr, fn, type, who, target, flags) [nr] = {fn, WHO_IS_##who},
#include "abi/ops/mmuext.def"
#undef BATCH
};

static long mmuext_pin(struct call *c, struct mmuext_op *op)
{
    uint64_t type = PGT_l1 + ((uint64_t)(op->cmd - MMUEXT_PIN_L1_TABLE) << 60);

    if (is_translated(c->d) || (is_32bit(c->d) && type == PGT_l4))
        return -EINVAL;
    return mm_pin(c->d, _mfn(op->arg1.mfn), type);
}

static long mmuext_unpin(struct call *c, struct mmuext_op *op)
{
    if (is_translated(c->d))
        return -EINVAL;
    return mm_unpin(c->v, c->d, _mfn(op->arg1.mfn));
}

static long mmuext_new_baseptr(struct call *c, struct mmuext_op *op)
{
    return mm_set_root(c->v, _mfn(op->arg1.mfn), false);
}

static long mmuext_new_user_baseptr(struct call *c, struct mmuext_op *op)
{
    return mm_set_root(c->v, _mfn(op->arg1.mfn), true);
}

static long mmuext_tlb_flush_local(struct call *c, struct mmuext_op *op)
{
    (void)c;
    (void)op;
    flush_tlb_local();
    return 0;
}

static long mmuext_invlpg_local(struct call *c, struct mmuext_op *op)
{
    (void)c;
    flush_tlb_one_local(op->arg1.linear_addr);
    return 0;
}

static long mmuext_tlb_flush_multi(struct call *c, struct mmuext_op *op)
{
    cpumask_t cpus;

    if (vcpus_to_cpus(c->d, handle_addr(op->arg2.vcpumask), &cpus))
        return -EINVAL;
    flush_tlb_mask(&cpus);
    return 0;
}

static long mmuext_invlpg_multi(struct call *c, struct mmuext_op *op)
{
    cpumask_t cpus;

    if (vcpus_to_cpus(c->d, handle_addr(op->arg2.vcpumask), &cpus))
        return -EINVAL;
    flush_tlb_one_mask(&cpus, op->arg1.linear_addr);
    return 0;
}

static long mmuext_tlb_flush_all(struct call *c, struct mmuext_op *op)
{
    (void)op;
    flush_tlb_mask(&c->d->dirty_cpus);
    return 0;
}

static long mmuext_invlpg_all(struct call *c, struct mmuext_op *op)
{
    flush_tlb_one_mask(&c->d->dirty_cpus, op->arg1.linear_addr);
    return 0;
}

/* Only who has devices needs it; it slows the whole machine. */
static long mmuext_flush_cache(struct call *c, struct mmuext_op *op)
{
    if (rangeset_is_empty(c->d->iomem) && rangeset_is_empty(c->d->ioports))
        return -EACCES;
    mm_flush_caches(op->cmd == MMUEXT_FLUSH_CACHE_GLOBAL);
    return 0;
}

static long mmuext_set_ldt(struct call *c, struct mmuext_op *op)
{
    unsigned long base = op->arg1.linear_addr;
    unsigned ents = op->arg2.nr_ents;

    if (ents > 8192 || (base & (PAGE_SIZE - 1)))
        return -EINVAL;
    if (!ents)
        base = 0;
    else if (!guest_range(base, ents * 8UL))
        return -EINVAL;
    if (c->v->arch.pv.ldt_ents != ents || c->v->arch.pv.ldt_base != base)
        pv_set_ldt(c->v, base, ents);
    return 0;
}

/* For whoever logs writes to its owner's memory. */
static void note_written(struct call *c, struct page_info *pg)
{
    if (c->d != c->v->domain)
        __atomic_fetch_or(&pg->type, PGT_written, __ATOMIC_RELAXED);
}

static long mmuext_clear_page(struct call *c, struct mmuext_op *op)
{
    struct page_info *pg = guest_frame(op->arg1.mfn);

    if (!pg || !get_page_and_type(pg, c->d, PGT_writable))
        return -EINVAL;
    memset(page_to_virt(pg), 0, PAGE_SIZE);
    note_written(c, pg);
    put_page_and_type(pg);
    return 0;
}

static long mmuext_copy_page(struct call *c, struct mmuext_op *op)
{
    struct page_info *from = guest_frame(op->arg2.src_mfn), *to = guest_frame(op->arg1.mfn);
    long rc = -EINVAL;

    if (!from || !to || !get_page(from, c->d))
        return -EINVAL;
    if (get_page_and_type(to, c->d, PGT_writable)) {
        memmove(page_to_virt(to), page_to_virt(from), PAGE_SIZE);
        note_written(c, to);
        put_page_and_type(to);
        rc = 0;
    }
    put_page(from);
    return rc;
}

/* As of Xen 4.17.  Superpages that are allowed are mapped without having been marked. */
static long mmuext_mark_super(struct call *c, struct mmuext_op *op)
{
    (void)c;
    if (op->arg1.mfn >= max_page || (op->arg1.mfn & 511))
        return -EINVAL;
    return -EOPNOTSUPP;
}

static long one_op(struct call *c, struct mmuext_op *op)
{
    const struct mmuext_row *row;

    if (op->cmd >= ARRAY_SIZE(rows))
        return -ENOSYS;
    row = &rows[index_nospec(op->cmd, ARRAY_SIZE(rows))];
    if (!row->handler)
        return -ENOSYS;
    if (unlikely(c->d != c->v->domain) && !row->foreign)
        return -EPERM;
    return row->handler(c, op);
}

long do_mmuext_op(unsigned long uops, unsigned long count_, unsigned long pdone,
                  unsigned long foreigndom)
{
    struct vcpu *v = current;
    struct call c = {.v = v, .d = v->domain};
    uint32_t count = count_, done = 0, i;
    size_t size = guest_sizeof(struct mmuext_op);
    bool again = false, ends;
    long rc = 0;

    if (unlikely(count & PREEMPTED)) {
        count &= ~PREEMPTED;
        if (pdone && copy_from_guest(&done, pdone, sizeof(done)))
            return -EFAULT;
        if (!count)
            rc = error_to_end_with(uops);
    }
    if (unlikely((uint32_t)foreigndom != DOMID_SELF)) {
        long bad = frame_owner_by_id(foreigndom, &c.d);

        if (!bad && c.d == domid_io_d)
            bad = -EPERM; /* its frames cannot be read */
        if (bad)
            return bad;
    }

    for (i = 0; i < count; i++) {
        struct mmuext_op op;

        again = mm_reap(v) || (i && hypercall_preempt_check());
        if (again)
            break;
        rc = copy_struct_from_guest(&op, uops + i * size);
        if (!rc)
            rc = one_op(&c, &op);
        if (unlikely(rc)) {
            again = rc == -ERESTART;
            break;
        }
    }
    ends = i == count || (rc && rc != -ERESTART);
    if (ends)
        again = mm_reap(v);

    done += i;
    if (unlikely(pdone) && copy_to_guest(pdone, &done, sizeof(done)))
        return -EFAULT;
    if (unlikely(again)) {
        unsigned long args[4] = {ends ? (unsigned long)-rc : uops + i * size,
                                 ends ? PREEMPTED : (count - i) | PREEMPTED, pdone, foreigndom};

        return hypercall_continue(__HYPERVISOR_mmuext_op, 4, args);
    }
    return rc;
}
