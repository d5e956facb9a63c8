// SPDX-License-Identifier: MIT
/*
 * Which pages of a guest have been written to since the tools asked last (XEN_DOMCTL_shadow_op,
 * domctl.h): for live migration.
 *
 * The CPU keeps the log: it sets a bit in a leaf of the nested page tables when it writes by it, so
 * that a guest runs on without an exit.  While writes are logged all leaves are of 4 KB; afterwards
 * they are merged again.  What is written past these tables is marked there by whoever did it,
 * after he did it (p2m_mark_dirty()).  Whoever gives up a mapping of another domain's page knows no
 * frame number, and marks the page itself (PGT_written).  In the last round all pages count that
 * somebody else can write to at that moment, such as a vcpu_info, or a page that another domain has
 * mapped.
 *
 * CLEAN takes bits and clears them, and then makes all CPUs forget translations before the tools
 * are told.  What is written by an old translation meanwhile leaves no mark, but it is there before
 * the tools copy the page.
 *
 * An operation goes through the domain in steps of 2 MB, and gives way between them.
 */
#include "p2m_private.h"
#include "arch/x86/mm/mm.h"
#include "asm/page.h"
#include "hypercall/guest_access.h"
#include "hypercall/handlers.h"
#include "kernel/rcu.h"
#include "lib/errno.h"
#include "lib/string.h"

#define BLOCK PTES_PER_TABLE /* frames */

static uint64_t *table_of(const uint64_t *e)
{
    return mfn_to_virt(pte_mfn(*e));
}

void p2m_mark_dirty(struct domain *d, gfn_t gfn)
{
    struct p2m *p = p2m_of(d);
    uint64_t *e, old;

    if (likely(!READ_ONCE(p->logging)))
        return;
    e = p2m_small_entry(p, gfn_x(gfn));
    if (!e)
        return; /* a larger one: its log has not begun */
    old = READ_ONCE(*e);
    while ((old & PTE_PRESENT) && !(old & hvm_vendor->p2m.dirty) &&
           !__atomic_compare_exchange_n(e, &old, old | hvm_vendor->p2m.dirty, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        ;
}

/* --- a block; under the lock --- */

/* The page of a leaf that is the domain's own, or NULL: others' pages have logs of their own. */
static struct page_info *own_page(uint64_t e)
{
    bool own = (e & P2M_TYPE_MASK) == (uint64_t)P2M_RAM << P2M_TYPE_SHIFT;

    return own && mfn_valid(pte_mfn(e)) ? mfn_to_page(pte_mfn(e)) : NULL;
}

static void clear_written(uint64_t e)
{
    struct page_info *pg = own_page(e);

    if (pg && (READ_ONCE(pg->type) & PGT_written))
        __atomic_fetch_and(&pg->type, ~PGT_written, __ATOMIC_SEQ_CST);
}

/* Starts its log: 0, -ENOMEM. */
static int start_block(struct p2m *p, uint64_t *gfn)
{
    uint64_t *e = p2m_block(p, gfn, true), *table;

    if (!e)
        return 0;
    if (e == P2M_NO_TABLE)
        return -ENOMEM;
    table = table_of(e);
    for (unsigned i = 0; i < BLOCK; i++)
        if (table[i] & PTE_PRESENT) {
            __atomic_fetch_and(&table[i], ~hvm_vendor->p2m.dirty, __ATOMIC_SEQ_CST);
            clear_written(table[i]);
        }
    *gfn += BLOCK;
    return 0;
}

/* Another than the leaf itself may write to the page (held), or has written to it. */
static bool written_elsewhere(uint64_t e, bool held)
{
    const struct page_info *pg = own_page(e);
    uint64_t type;

    if (!pg)
        return false;
    type = READ_ONCE(pg->type);
    return (type & PGT_written) ||
           (held && (type & PGT_type_mask) == PGT_writable && (type & PGT_count_mask) > 1);
}

struct log_flags {
    bool clear; /* CLEAN */
    bool held;  /* count what is held elsewhere */
};

/* The log of a block as bits; how many are set. */
static unsigned read_block(struct p2m *p, uint64_t gfn, struct log_flags f, uint64_t *bits)
{
    uint64_t at = gfn, dirty = hvm_vendor->p2m.dirty, *e = p2m_block(p, &at, false), *table;
    unsigned found = 0;

    memset(bits, 0, BLOCK / 8);
    if (!e || (*e & PTE_PSE))
        return 0;
    table = table_of(e);
    for (unsigned i = 0; i < BLOCK; i++) {
        uint64_t leaf = READ_ONCE(table[i]);

        if (!(leaf & PTE_PRESENT) || !((leaf & dirty) || written_elsewhere(leaf, f.held)))
            continue;
        if (f.clear)
            clear_written(leaf);
        if (f.clear && (leaf & dirty))
            __atomic_fetch_and(&table[i], ~dirty, __ATOMIC_SEQ_CST);
        bits[i / 64] |= 1ULL << (i % 64);
        found++;
    }
    return found;
}

/* --- merging --- */

/* Ends the log of the block with *gfn; the table that it has no use for any more, or NULL. */
static uint64_t *end_block(struct p2m *p, uint64_t *gfn, bool merge)
{
    uint64_t *e = p2m_block(p, gfn, false), *table;

    if (!e)
        return NULL;
    *gfn = (*gfn | (BLOCK - 1)) + 1;
    if (*e & PTE_PSE)
        return NULL;
    table = table_of(e);
    for (unsigned i = 0; i < BLOCK; i++)
        if (table[i] & PTE_PRESENT)
            __atomic_fetch_or(&table[i], hvm_vendor->p2m.dirty, __ATOMIC_SEQ_CST);
    return merge ? p2m_merge(p, e, 2) : NULL;
}

static void drop_unlinked(struct domain *d, struct p2m_unlinked *u)
{
    if (!u)
        return;
    p2m_flush(d);
    p2m_free_unlinked(u);
}

static long stop_logging(struct domain *d)
{
    struct p2m *p = p2m_of(d);
    struct p2m_unlinked *u = NULL;
    uint64_t *table;

    if (!p->logging && !p->log_op.next)
        return 0;
    spin_lock(&p->lock);
    p->logging = false;
    spin_unlock(&p->lock);
    while (p->log_op.next <= p->max_gfn) {
        if (!u)
            u = xzalloc(struct p2m_unlinked); /* without it they stay as they are */
        spin_lock(&p->lock);
        table = end_block(p, &p->log_op.next, u);
        spin_unlock(&p->lock);
        if (table)
            u->table[u->nr++] = table;
        if (u && u->nr == ARRAY_SIZE(u->table)) {
            drop_unlinked(d, u);
            u = NULL;
        }
        if (hypercall_preempt_check())
            break;
    }
    drop_unlinked(d, u);
    return p->log_op.next <= p->max_gfn ? -ERESTART : 0;
}

/* --- the operations --- */

static long start_logging(struct domain *d)
{
    struct p2m *p = p2m_of(d);
    long rc = 0;

    if (!hvm_vendor->p2m.dirty)
        return -EOPNOTSUPP;
    spin_lock(&p->lock);
    if (d->dying || (p->logging && !p->log_op.next)) /* it is being done already */
        rc = -EINVAL;
    else
        p->logging = true;
    spin_unlock(&p->lock);
    while (!rc && p->log_op.next <= p->max_gfn) {
        spin_lock(&p->lock);
        rc = start_block(p, &p->log_op.next);
        spin_unlock(&p->lock);
        if (!rc && hypercall_preempt_check())
            rc = -ERESTART;
    }
    if (rc == -ENOMEM)
        WRITE_ONCE(p->logging, false);
    if (!rc)
        p2m_flush(d);
    return rc;
}

/* CLEAN and PEEK: the bits to the tools. */
static long read_log(struct domain *d, struct xen_domctl_shadow_op *op)
{
    struct p2m *p = p2m_of(d);
    struct log_flags f = {.clear = op->op == XEN_DOMCTL_SHADOW_OP_CLEAN,
                          .held = op->mode & XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL};
    uint64_t addr = handle_addr(op->dirty_bitmap), end = min(op->pages, p->max_gfn + 1);
    uint64_t bits[BLOCK / 64];
    bool flush = false;
    long rc = 0;

    if (!p->logging || (op->mode & ~(uint32_t)XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL))
        return -EINVAL;
    while (!rc && p->log_op.next < end) {
        uint64_t gfn = p->log_op.next, n = min((uint64_t)BLOCK, end - gfn);
        unsigned found;

        spin_lock(&p->lock);
        found = read_block(p, gfn, f, bits);
        spin_unlock(&p->lock);
        flush |= f.clear && found;
        p->log_op.found += found;
        if (addr && copy_to_guest(addr + gfn / 8, bits, DIV_ROUND_UP(n, 8)))
            rc = -EFAULT;
        p->log_op.next += n;
        if (!rc && p->log_op.next < end && hypercall_preempt_check())
            rc = -ERESTART;
    }
    if (flush)
        p2m_flush(d);
    op->pages = end;
    op->stats = (struct xen_domctl_shadow_op_stats){.dirty_count = p->log_op.found};
    return rc;
}

static long run_op(struct domain *d, struct xen_domctl_shadow_op *op)
{
    switch (op->op) {
    case XEN_DOMCTL_SHADOW_OP_ENABLE:
        if (op->mode != XEN_DOMCTL_SHADOW_ENABLE_LOG_DIRTY)
            return -EINVAL;
        return start_logging(d);
    case XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY:
        return start_logging(d);
    case XEN_DOMCTL_SHADOW_OP_CLEAN:
    case XEN_DOMCTL_SHADOW_OP_PEEK:
        return read_log(d, op);
    default:
        return stop_logging(d);
    }
}

/*
 * Operations that go through the whole domain, one at a time; OFF ends any other.  The kernel that
 * makes the call may continue it on another vcpu.
 */
static long long_op(struct call *c, struct xen_domctl_shadow_op *op)
{
    struct p2m *p = p2m_of(c->d);
    struct p2m_log_op *l = &p->log_op;
    long rc;

    if (l->busy && (l->by != c->v->domain->id || l->op != op->op ||
                    l->bitmap != handle_addr(op->dirty_bitmap))) {
        if (op->op != XEN_DOMCTL_SHADOW_OP_OFF)
            return -EBUSY;
        l->busy = false;
    }
    if (!l->busy)
        *l = (struct p2m_log_op){.busy = true,
                                 .by = c->v->domain->id,
                                 .op = op->op,
                                 .bitmap = handle_addr(op->dirty_bitmap)};
    rc = run_op(c->d, op);
    if (rc != -ERESTART)
        l->busy = false;
    return rc;
}

long domctl_shadow_op(struct call *c, struct xen_domctl *arg)
{
    struct xen_domctl_shadow_op *op = &arg->u.shadow_op;
    struct p2m *p;

    if (!c->d->arch.hvm || c->d == c->v->domain || c->d->dying)
        return -EINVAL;
    p = p2m_of(c->d);
    switch (op->op) {
    case XEN_DOMCTL_SHADOW_OP_GET_ALLOCATION:
        op->mb = READ_ONCE(p->max_tables) >> (20 - PAGE_SHIFT);
        return 0;
    case XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION:
        WRITE_ONCE(p->max_tables, (uint64_t)op->mb << (20 - PAGE_SHIFT));
        return 0;
    case XEN_DOMCTL_SHADOW_OP_ENABLE:
    case XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY:
    case XEN_DOMCTL_SHADOW_OP_CLEAN:
    case XEN_DOMCTL_SHADOW_OP_PEEK:
    case XEN_DOMCTL_SHADOW_OP_OFF:
        return long_op(c, op);
    default:
        return -EINVAL;
    }
}
