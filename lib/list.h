// SPDX-License-Identifier: MIT
/* Circular doubly linked list; the head is a node of its own.  The caller locks. */
#pragma once
#include "lib/compiler.h"
#include <stdbool.h>

struct list_head {
    struct list_head *next, *prev;
};

#define LIST_HEAD_INIT(name)                                                                       \
    {                                                                                              \
        &(name), &(name)                                                                           \
    }

static inline void list_init(struct list_head *h)
{
    h->next = h->prev = h;
}

static inline bool list_empty(const struct list_head *h)
{
    return h->next == h;
}

static inline void list_insert_(struct list_head *n, struct list_head *prev, struct list_head *next)
{
    n->prev = prev;
    n->next = next;
    prev->next = n;
    next->prev = n;
}

static inline void list_add(struct list_head *n, struct list_head *h)
{
    list_insert_(n, h, h->next);
}

static inline void list_add_tail(struct list_head *n, struct list_head *h)
{
    list_insert_(n, h->prev, h);
}

/* Unlinks n and leaves it pointing at itself, so that list_empty(n) tells it is on no list. */
static inline void list_del(struct list_head *n)
{
    n->next->prev = n->prev;
    n->prev->next = n->next;
    list_init(n);
}

#define list_entry(p, type, member)       container_of(p, type, member)
#define list_first_entry(h, type, member) list_entry((h)->next, type, member)

#define list_for_each_entry(pos, head, member)                                                     \
    for (pos = list_entry((head)->next, typeof(*pos), member); &pos->member != (head);             \
         pos = list_entry(pos->member.next, typeof(*pos), member))

/* The same, allowing the body to unlink pos; nxt is a cursor of pos's type. */
#define list_for_each_entry_safe(pos, nxt, head, member)                                           \
    for (pos = list_entry((head)->next, typeof(*pos), member),                                     \
        nxt = list_entry(pos->member.next, typeof(*pos), member);                                  \
         &pos->member != (head);                                                                   \
         pos = nxt, nxt = list_entry(nxt->member.next, typeof(*pos), member))
