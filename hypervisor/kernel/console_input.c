// SPDX-License-Identifier: MIT
/*
 * Console input: characters from the lines go to dom0's ring or, after three Ctrl-A in a row, to
 * the key handlers, until three more.  Characters arrive in interrupt context; key handlers print
 * for long, so they run from a tasklet.
 */
#include "abi/xen_abi.h"
#include "domain/domain.h"
#include "event/event.h"
#include "kernel/console.h"
#include "kernel/keyhandler.h"
#include "kernel/lock.h"
#include "kernel/softirq.h"

#define SWITCH_CHAR  ('a' - 'a' + 1) /* Ctrl-A */
#define SWITCH_COUNT 3

struct char_ring {
    unsigned begin, end; /* count characters; the size is a power of two */
    char c[1024];
};

static struct {
    spinlock_t lock;
    bool to_dom0;
    unsigned switch_chars; /* in a row so far */
    struct char_ring dom0, keys;
} input = {.lock = SPINLOCK_INIT(LOCK_LEAF)};

static void ring_put(struct char_ring *r, char c)
{
    if (r->end - r->begin < sizeof(r->c)) /* otherwise lost: nobody reads */
        r->c[r->end++ & (sizeof(r->c) - 1)] = c;
}

static size_t ring_get(struct char_ring *r, char *buf, size_t n)
{
    unsigned long flags;
    size_t i;

    spin_lock_irqsave(&input.lock, flags);
    for (i = 0; i < n && r->begin != r->end; i++)
        buf[i] = r->c[r->begin++ & (sizeof(r->c) - 1)];
    spin_unlock_irqrestore(&input.lock, flags);
    return i;
}

static void say_where(void)
{
    printk("Input goes to %s (three times Ctrl-A switches)\n",
           input.to_dom0 ? "dom0 now" : "the hypervisor now, h lists its keys");
}

static void input_work(void *unused)
{
    char key;

    (void)unused;
    while (ring_get(&input.keys, &key, 1)) {
        if (key == SWITCH_CHAR)
            say_where();
        else
            keyhandler_run(key);
    }
}

static struct tasklet input_tasklet = TASKLET_INIT(input_work, NULL);

static bool dom0_got_input;

static void input_char(int c)
{
    unsigned long flags;
    bool keys = false;

    spin_lock_irqsave(&input.lock, flags);
    input.switch_chars = c == SWITCH_CHAR ? input.switch_chars + 1 : 0;
    if (input.switch_chars == SWITCH_COUNT) {
        input.switch_chars = 0;
        input.to_dom0 = !input.to_dom0 && dom0;
        keys = true;
        ring_put(&input.keys, SWITCH_CHAR);
    } else if (input.to_dom0) {
        ring_put(&input.dom0, c);
        dom0_got_input = true;
    } else if (c != SWITCH_CHAR) {
        keys = true;
        ring_put(&input.keys, c);
    }
    spin_unlock_irqrestore(&input.lock, flags);
    if (keys)
        tasklet_schedule(&input_tasklet);
}

void console_input_poll(void)
{
    console_lines_poll(input_char);
    if (__atomic_exchange_n(&dom0_got_input, false, __ATOMIC_ACQ_REL) && dom0)
        send_global_virq(VIRQ_CONSOLE);
}

size_t console_input_read(char *buf, size_t n)
{
    return ring_get(&input.dom0, buf, n);
}

void console_endboot(void)
{
    input.to_dom0 = dom0 != NULL;
    say_where();
}
