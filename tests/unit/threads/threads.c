// SPDX-License-Identifier: MIT
/* See threads.h.  Strong definitions of what arch/fake/weak.c does for one thread only. */
#include "threads/threads.h"
#include <pthread.h>
#include <stdlib.h>
#include "arch/fake/fake.h"
#include "domain/domain.h"
#include "mem/mem.h"

__thread unsigned fake_cpu;
__thread struct vcpu *fake_current;
__thread bool fake_irqs_on = true;
static __thread uint64_t seed = 1;

static pthread_mutex_t heap = PTHREAD_MUTEX_INITIALIZER, rcu = PTHREAD_MUTEX_INITIALIZER;
static void *returned;
static unsigned long next;
static struct rcu_head *waiting;

void *alloc_page_virt(void)
{
    void *p;

    pthread_mutex_lock(&heap);
    p = returned;
    if (p)
        returned = *(void **)p;
    else if (FAKE_FIRST_MFN + next < max_page)
        p = mfn_to_virt(_mfn(FAKE_FIRST_MFN + next++));
    pthread_mutex_unlock(&heap);
    if (p)
        memset(p, 0, PAGE_SIZE);
    return p;
}

void free_page_virt(void *va)
{
    if (!va)
        return;
    pthread_mutex_lock(&heap);
    *(void **)va = returned;
    returned = va;
    pthread_mutex_unlock(&heap);
}

void *xzalloc_bytes(size_t n, size_t size)
{
    return calloc(n, size);
}

void xfree(void *p)
{
    free(p);
}

bool get_domain(struct domain *d)
{
    __atomic_add_fetch(&d->refs, 1, __ATOMIC_SEQ_CST);
    return true;
}

void put_domain(struct domain *d)
{
    __atomic_sub_fetch(&d->refs, 1, __ATOMIC_SEQ_CST);
}

void vcpu_unblock(struct vcpu *v)
{
    __atomic_fetch_and(&v->pause_flags, ~(BIT(VPF_blocked) | BIT(VPF_blocked_poll)),
                       __ATOMIC_SEQ_CST);
}

void arch_vcpu_kick(struct vcpu *v)
{
    (void)v;
}

void call_rcu(struct rcu_head *head, void (*fn)(struct rcu_head *))
{
    pthread_mutex_lock(&rcu);
    head->fn = fn;
    head->next = waiting;
    waiting = head;
    pthread_mutex_unlock(&rcu);
}

void threads_free(void)
{
    while (waiting) {
        struct rcu_head *h = waiting;

        waiting = h->next;
        h->fn(h);
    }
}

uint32_t threads_random(uint32_t n)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(seed >> 33) % n;
}

struct start {
    pthread_t thread;
    unsigned cpu;
    void (*fn)(unsigned cpu);
    struct vcpu *v;
};

static void *run(void *arg)
{
    const struct start *s = arg;

    fake_cpu = s->cpu;
    fake_current = s->v;
    seed = s->cpu + 100;
    s->fn(s->cpu);
    return NULL;
}

void threads_run(unsigned n, void (*fn)(unsigned cpu), struct vcpu *const on[])
{
    struct start s[16];

    for (unsigned i = 0; i < n; i++) {
        s[i] = (struct start){.cpu = i, .fn = fn, .v = on ? on[i] : NULL};
        if (pthread_create(&s[i].thread, NULL, run, &s[i]))
            abort();
    }
    for (unsigned i = 0; i < n; i++)
        pthread_join(s[i].thread, NULL);
}
