// SPDX-License-Identifier: MIT
/*
 * Grant tables.
 *
 * A domain (the granter) shares with the hypervisor pages of entries, in which it says which
 * other domain may use which of its pages.  For each entry there is a struct active, the
 * hypervisor's half.  An entry is in one of these states:
 *   idle     readers and writers 0: the guest may change it at will
 *   pinned   mapped or being copied, by one domain: GTF_reading (and GTF_writing) are set in the
 *            entry or, in version 2, in its status word, and the guest leaves the entry alone.
 *            One that does not cheats nobody but itself: what was read when the entry was pinned
 *            first (struct grant_view) is what counts.
 * entry.c pins and unpins; map.c maps, copy.c copies, transfer.c gives pages away; version.c
 * changes from one form of the table to the other.
 *
 * A mapping is a handle of the domain that made it (struct maptrack).  It holds a pin, a reference
 * of the page, the page's writable type if it may write, and a reference of the granter, whose
 * table so outlives the mapping.  A dying granter gets no new mappings; a dying mapper's are
 * undone by its relinquish hook, and what its page tables still refer to goes with them.
 *
 * Locks: an entry's lock guards its struct active and what the hypervisor writes to the shared
 * entry.  The table's lock guards growth and version; a table only grows, and nr_frames is
 * published last, so that look-ups take no lock.  How the version changes under the hands of who
 * looks up is told in version.c; grant_entry_version() is where the two meet.
 * Page types, page tables and p2m come before LOCK_GRANT: no lock of ours is held around them.
 */
#include "grant/private.h"
#include "arch/api/arch_mm.h"
#include "boot/cmdline.h"
#include "domain/unit.h"
#include "hypercall/compat.h"
#include "hypercall/handlers.h"
#include "kernel/console.h"
#include "kernel/keyhandler.h"

/* Pages given back before somebody else gets his turn. */
#define PAGE_BATCH 32u
/* Frames of a table that is freed at once. */
#define SMALL_TABLE 64u

/* --- look-up --- */

/* Entries of t in its present version. */
static uint32_t grant_entries(const struct grant_table *t)
{
    return entries_of(t, READ_ONCE(t->version));
}

struct active *grant_lock_entry(struct grant_table *t, uint32_t ref)
{
    /* The larger number: the version may change until the entry is locked. */
    uint32_t nr = entries_of(t, 1);
    struct active *act;

    if (ref >= nr)
        return NULL;
    act = active_entry(t, (uint32_t)index_nospec(ref, nr));
    spin_lock(&act->lock);
    return act;
}

/* --- growth; under the table's lock --- */

static unsigned status_frames_for(unsigned frames)
{
    return DIV_ROUND_UP(frames * ENTRIES_V2, STATUS_PER_PAGE);
}

int grant_grow_status(struct domain *d, unsigned frames)
{
    struct grant_table *t = d->grant;

    while (t->nr_status < status_frames_for(frames)) {
        grant_status_t *page = alloc_page_virt();

        if (!page)
            return -ENOMEM;
        share_hyp_page(virt_to_page(page), d, true);
        t->status[t->nr_status++] = page;
    }
    return 0;
}

static int grow_by_one(struct domain *d, struct grant_table *t)
{
    unsigned n = t->nr_frames;
    void *page;

    for (unsigned i = n * ACTIVE_PAGES; i < (n + 1) * ACTIVE_PAGES; i++) {
        if (t->active[i]) /* left by an attempt that failed later */
            continue;
        t->active[i] = alloc_page_virt();
        if (!t->active[i])
            return -ENOMEM;
        for (unsigned k = 0; k < ACTIVES_PER_PAGE; k++)
            spin_lock_init(&t->active[i][k].lock, LOCK_ENTRY);
    }
    if (t->version == 2 && grant_grow_status(d, n + 1))
        return -ENOMEM;
    page = alloc_page_virt();
    if (!page)
        return -ENOMEM;
    share_hyp_page(virt_to_page(page), d, true);
    t->shared[n] = page;
    smp_wmb();
    WRITE_ONCE(t->nr_frames, n + 1);
    return 0;
}

/* -ERESTART: it has grown by some; call again. */
static int grow_to(struct domain *d, struct grant_table *t, unsigned frames)
{
    unsigned first = t->nr_frames;
    int rc = 0;

    if (frames > t->max_frames)
        return -EINVAL;
    if (READ_ONCE(d->dying) != DOMDYING_alive)
        return -EINVAL;
    while (!rc && t->nr_frames < frames)
        rc = t->nr_frames != first && hypercall_preempt_check() ? -ERESTART : grow_by_one(d, t);
    return rc;
}

unsigned grant_max_frames(struct domain *d)
{
    return d->grant ? d->grant->max_frames : 0;
}

unsigned grant_max_status_frames(struct domain *d)
{
    return d->grant ? status_frames_for(d->grant->max_frames) : 0;
}

unsigned grant_handles_in_use(const struct domain *d)
{
    return d->grant ? READ_ONCE(d->grant->mapped) : 0;
}

int grant_get_frame(struct domain *d, unsigned idx, mfn_t *mfn)
{
    struct grant_table *t = d->grant;
    int rc;

    if (!t || idx >= t->max_frames)
        return -EINVAL;
    idx = (unsigned)index_nospec(idx, t->max_frames);
    spin_lock(&t->lock);
    rc = grow_to(d, t, idx + 1);
    if (!rc)
        *mfn = virt_to_mfn(t->shared[idx]);
    spin_unlock(&t->lock);
    return rc;
}

int grant_get_status_frame(struct domain *d, unsigned idx, mfn_t *mfn)
{
    struct grant_table *t = d->grant;
    unsigned max;
    int rc = -EINVAL;

    if (!t)
        return rc;
    max = status_frames_for(t->max_frames);
    if (idx >= max)
        return rc;
    idx = (unsigned)index_nospec(idx, max);
    spin_lock(&t->lock);
    if (t->version == 2) {
        unsigned frames = (idx + 1) * (STATUS_PER_PAGE / ENTRIES_V2);

        /* Whole frames of entries belong to a page of status words. */
        rc = idx < t->nr_status ? 0 : grow_to(d, t, min(frames, t->max_frames));
        if (!rc)
            *mfn = virt_to_mfn(t->status[idx]);
    }
    spin_unlock(&t->lock);
    return rc;
}

/* --- set-up and questions --- */

/* c->d may be asked about: GNTST_*. */
static int16_t may_ask(const struct call *c)
{
    if (!c->d || !c->d->grant)
        return GNTST_bad_domain;
    if (c->d != c->v->domain && !privileged_over(c->v->domain, c->d))
        return GNTST_permission_denied;
    return GNTST_okay;
}

/* What the caller is told of where a page is: nothing, if the host's frames mean nothing to it. */
static uint64_t told_frame(const struct call *c, const void *page)
{
    return is_translated(c->v->domain) ? M2P_INVALID : mfn_x(virt_to_mfn(page));
}

long gnttabop_setup_table(struct call *c, struct gnttab_setup_table *arg)
{
    struct grant_table *t;
    int rc;

    arg->status = may_ask(c);
    if (arg->status != GNTST_okay)
        return 0;
    t = c->d->grant;
    spin_lock(&t->lock);
    rc = grow_to(c->d, t, arg->nr_frames);
    spin_unlock(&t->lock);
    if (rc == -ERESTART)
        return rc;
    if (rc)
        arg->status = GNTST_general_error;
    for (unsigned i = 0; arg->status == GNTST_okay && i < arg->nr_frames; i++) {
        xen_pfn_t frame = told_frame(c, t->shared[i]);

        if (copy_elem_to_guest(arg->frame_list, i, &frame))
            arg->status = GNTST_bad_virt_addr;
    }
    return 0;
}

long gnttabop_query_size(struct call *c, struct gnttab_query_size *arg)
{
    arg->status = may_ask(c);
    if (arg->status == GNTST_okay) {
        arg->nr_frames = READ_ONCE(c->d->grant->nr_frames);
        arg->max_nr_frames = c->d->grant->max_frames;
    }
    return 0;
}

long gnttabop_get_status_frames(struct call *c, struct gnttab_get_status_frames *arg)
{
    struct grant_table *t;

    arg->status = may_ask(c);
    if (arg->status != GNTST_okay)
        return 0;
    t = c->d->grant;
    for (unsigned i = 0; i < arg->nr_frames; i++) {
        uint64_t frame = 0;

        spin_lock(&t->lock);
        if (i < t->nr_status && t->version == 2)
            frame = told_frame(c, t->status[i]);
        spin_unlock(&t->lock);
        if (!frame) {
            arg->status = GNTST_general_error;
            return 0;
        }
        if (copy_elem_to_guest(arg->frame_list, i, &frame)) {
            arg->status = GNTST_bad_virt_addr;
            return 0;
        }
    }
    return 0;
}

long gnttabop_get_version(struct call *c, struct gnttab_get_version *arg)
{
    arg->version = c->d->grant ? READ_ONCE(c->d->grant->version) : 0;
    return 0;
}

static void swap_entries(struct grant_table *t, int version, uint32_t a, uint32_t b)
{
    if (version == 1) {
        struct grant_entry_v1 e = *entry_v1(t, a);

        *entry_v1(t, a) = *entry_v1(t, b);
        *entry_v1(t, b) = e;
    } else {
        union grant_entry_v2 e = *entry_v2(t, a);

        *entry_v2(t, a) = *entry_v2(t, b);
        *entry_v2(t, b) = e;
    }
}

long gnttabop_swap_grant_ref(struct call *c, struct gnttab_swap_grant_ref *arg)
{
    struct grant_table *t = c->d->grant;
    struct active *lo, *hi = NULL;
    uint32_t a = min(arg->ref_a, arg->ref_b), b = max(arg->ref_a, arg->ref_b);

    int version;

    /* Of one table, the lower reference is locked first. */
    arg->status = GNTST_bad_gntref;
    lo = grant_lock_entry(t, a);
    if (!lo)
        return 0;
    if (a != b)
        hi = grant_lock_entry(t, b);
    if (a == b || hi) {
        version = grant_entry_version(t, b);
        if (version < 0)
            arg->status = (int16_t)version;
        else if (hi && (lo->readers | lo->writers | hi->readers | hi->writers))
            arg->status = GNTST_eagain;
        else
            arg->status = GNTST_okay;
        if (hi && arg->status == GNTST_okay)
            swap_entries(t, version, a, b);
    }
    if (hi)
        spin_unlock(&hi->lock);
    spin_unlock(&lo->lock);
    return 0;
}

/* --- life of a domain --- */

/* A limit that the tools set; below 0: the default of the command line. */
static int limit(int wanted, unsigned by_default, unsigned most, unsigned *result)
{
    *result = wanted < 0 ? min(by_default, most) : (unsigned)wanted;
    return *result <= most ? 0 : -EINVAL;
}

static int grant_domain_create(struct domain *d, const struct xen_domctl_createdomain *cfg)
{
    struct grant_table *t;
    int rc;

    if (!cfg)
        return 0;
    t = d->grant = xzalloc(struct grant_table);
    if (!t)
        return -ENOMEM;
    spin_lock_init(&t->lock, LOCK_GRANT);
    t->version = 1;
    t->max_version = min(XEN_DOMCTL_GRANT_version(cfg->grant_opts), opt_gnttab_max_ver);
    if (!t->max_version)
        t->max_version = 1;
    if (limit(cfg->max_grant_frames, opt_gnttab_max_frames, MOST_FRAMES, &t->max_frames) ||
        limit(cfg->max_maptrack_frames, opt_gnttab_max_maptrack_frames, MOST_MAPTRACK,
              &t->max_maptrack) ||
        !t->max_frames)
        return -EINVAL;
    t->shared = xzalloc_array(void *, t->max_frames);
    t->status = xzalloc_array(grant_status_t *, status_frames_for(t->max_frames));
    t->active = xzalloc_array(struct active *, t->max_frames * ACTIVE_PAGES);
    if (!t->shared || !t->status || !t->active)
        return -ENOMEM;
    rc = maptrack_init(t, max(max(d->max_vcpus, cfg->max_vcpus), 1u));
    if (!rc)
        rc = grow_by_one(d, t);
    return rc;
}

/*
 * Gives up the frames that the dying domain has shared.  Mappings of its grants may live on and be
 * undone later: from now on nobody who unpins an entry tells the guest.
 */
static int unshare_frames(struct domain *d)
{
    struct grant_table *t = d->grant;

    if (t->change != CHANGE_GONE) {
        spin_lock(&t->lock); /* who makes it grow has seen that d dies, or is ready */
        t->scanned = 0;
        __atomic_exchange_n(&t->change, CHANGE_GONE, __ATOMIC_SEQ_CST);
        spin_unlock(&t->lock);
    }
    for (; t->scanned < entries_of(t, 1); t->scanned++) {
        struct active *act = active_entry(t, t->scanned);

        if (spin_is_locked(&act->lock)) {
            spin_lock(&act->lock);
            spin_unlock(&act->lock);
        }
        if (t->scanned % ACTIVES_PER_PAGE == ACTIVES_PER_PAGE - 1 && hypercall_preempt_check()) {
            t->scanned++;
            return -ERESTART;
        }
    }
    while (t->unshared < t->nr_frames) {
        unshare_hyp_page(virt_to_page(t->shared[t->unshared++]));
        if (t->unshared % PAGE_BATCH == 0 && hypercall_preempt_check())
            return -ERESTART;
    }
    grant_drop_status(t);
    return 0;
}

static void set_quiet(struct rcu_head *head)
{
    WRITE_ONCE(container_of(head, struct grant_table, rcu)->quiet, true);
}

static bool all_idle(const struct active *page)
{
    for (unsigned i = 0; i < ACTIVES_PER_PAGE; i++)
        if (READ_ONCE(page[i].readers) | READ_ONCE(page[i].writers))
            return false;
    return true;
}

/*
 * Nobody looks an entry up any more but to unpin it, once those are gone who have found the domain
 * alive.  A large table is freed here but for what is pinned, rather than in one go with the
 * domain.
 */
static int free_idle_actives(struct grant_table *t)
{
    if (!t->quiet_asked) {
        t->quiet_asked = true;
        call_rcu(&t->rcu, set_quiet);
    }
    if (!READ_ONCE(t->quiet))
        return -ERESTART;
    while (t->looked_at < t->nr_frames * ACTIVE_PAGES) {
        struct active **page = &t->active[t->looked_at++];

        if (all_idle(*page)) {
            free_page_virt(*page);
            *page = NULL;
        }
        if (t->looked_at % PAGE_BATCH == 0 && hypercall_preempt_check())
            return -ERESTART;
    }
    return 0;
}

static int grant_relinquish(struct domain *d)
{
    int rc;

    if (!d->grant)
        return 0;
    rc = maptrack_relinquish(d);
    if (!rc)
        rc = unshare_frames(d);
    if (!rc && d->grant->nr_frames > SMALL_TABLE)
        rc = free_idle_actives(d->grant);
    return rc;
}

/* No reference of d is left: neither are mappings of its grants. */
static void grant_domain_free(struct domain *d)
{
    struct grant_table *t = d->grant;

    if (!t)
        return;
    d->grant = NULL;
    while (t->unshared < t->nr_frames) /* where creation failed */
        unshare_hyp_page(virt_to_page(t->shared[t->unshared++]));
    grant_drop_status(t);
    for (unsigned i = 0; t->active && i < t->max_frames * ACTIVE_PAGES; i++)
        if (t->active[i])
            free_page_virt(t->active[i]);
    maptrack_free(t);
    xfree(t->shared);
    xfree(t->status);
    xfree(t->active);
    xfree(t);
}

/* --- debug key --- */

static void grant_dump(struct domain *d)
{
    struct grant_table *t = d->grant;

    if (!t)
        return;
    printk("Grant table of d%d: version %u, %u of %u frames, %u mappings made\n", d->id, t->version,
           t->nr_frames, t->max_frames, t->mapped);
    for (uint32_t ref = 0; t->change != CHANGE_GONE && ref < grant_entries(t); ref++) {
        struct active *act = grant_lock_entry(t, ref), copy;

        if (!act)
            break;
        copy = *act;
        spin_unlock(&act->lock);
        if (copy.readers | copy.writers)
            printk("  %5u frame %#llx used by d%u: %u readers, %u writers\n", ref,
                   (unsigned long long)copy.view.frame, copy.view.user, copy.readers, copy.writers);
    }
}

static void dump_all(unsigned char key)
{
    struct domain *d;

    (void)key;
    for_each_domain (d)
        grant_dump(d);
}

static void grant_boot(void)
{
    keyhandler_register('g', dump_all, "grant tables");
}

DEFINE_UNIT(grant, .name = "grant", .level = UNIT_GRANT, .boot = grant_boot,
            .domain_create = grant_domain_create, .relinquish = grant_relinquish,
            .domain_free = grant_domain_free, .dump = grant_dump);
