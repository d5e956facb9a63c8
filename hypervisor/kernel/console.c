// SPDX-License-Identifier: MIT
/*
 * Console output.
 *
 * A message is formatted into one buffer, cut into lines, each given a prefix, and goes to the ring
 * (which `xl dmesg` reads) and to every registered line.  All of that is under console.lock, with
 * interrupts off, so lines of different CPUs do not mix.  A panic breaks the lock for good: from
 * then on there is no locking at all, and whoever panics prints.
 *
 * The ring's positions count characters ever written; the size is a power of two.
 * end - begin <= size, and begin moves when old text is overwritten or cleared by the tools.
 */
#include "kernel/console.h"
#include "abi/xen_abi.h"
#include "arch/api/arch_time.h"
#include "domain/domain.h"
#include "event/event.h"
#include "kernel/lock.h"
#include "kernel/softirq.h"
#include "lib/bitops.h"
#include "lib/string.h"
#include "mem/mem.h"

#define PREFIX         "(XEN) " /* what tools and users of this ABI look for */
#define BOOT_RING_SIZE 32768
#define MAX_RING_SIZE  (16u << 20)
#define MESSAGE_SIZE   1024
#define LEVEL_DEFAULT  1

/* At most BURST messages at once, and one more each INTERVAL. */
#define RATE_BURST    10
#define RATE_INTERVAL MILLISECS(500)

struct console_threshold console_loglvl = {3, 3}, console_guest_loglvl = {0, 2};
bool opt_console_timestamps;
unsigned long opt_conring_size;

static char boot_ring[BOOT_RING_SIZE];

static struct {
    spinlock_t lock;
    bool no_lock;   /* panic */
    bool in_line;   /* the last character printed did not end a line */
    bool show;      /* whether the unfinished line is shown */
    bool tell_dom0; /* VIRQ_CON_RING */
    struct console_line *lines;
    char *ring;
    uint32_t size, begin, end;
    /* rate limit */
    unsigned tokens, suppressed;
    s_time_t refilled;
    char message[MESSAGE_SIZE];
} console = {.lock = SPINLOCK_INIT(LOCK_CONSOLE),
             .ring = boot_ring,
             .size = BOOT_RING_SIZE,
             .tokens = RATE_BURST};

/* ---- levels ---- */

bool console_parse_loglvl(const char *s, struct console_threshold *t)
{
    static const struct {
        const char *name;
        int threshold;
    } names[] = {{"none", 0}, {"error", 1}, {"warning", 2}, {"info", 3}, {"debug", 4}, {"all", 4}};
    int value[2] = {-1, -1};

    for (unsigned n = 0; n < 2; n++) {
        size_t len = 0;

        while (s[len] && s[len] != '/')
            len++;
        for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
            if (strlen(names[i].name) == len && !strncmp(s, names[i].name, len))
                value[n] = names[i].threshold;
        if (value[n] < 0)
            return false;
        s += len;
        if (!*s)
            break;
        s++;
        if (n)
            return false;
    }
    t->lower = value[0];
    t->upper = max(value[0], value[1]);
    return true;
}

static bool rate_limited(void)
{
    s_time_t now = NOW();
    uint64_t refill = (now - console.refilled) / RATE_INTERVAL;

    if (refill) {
        console.tokens = min(refill + console.tokens, (uint64_t)RATE_BURST);
        console.refilled = now;
    }
    if (!console.tokens) {
        console.suppressed++;
        return true;
    }
    console.tokens--;
    return false;
}

/* Takes the level off the front of *text and decides whether it is shown. */
static bool is_shown(const char **text)
{
    const struct console_threshold *t = &console_loglvl;
    int level = LEVEL_DEFAULT;
    const char *s = *text;

    while (s[0] == '<' && s[1] && s[2] == '>') {
        if (s[1] == 'G')
            t = &console_guest_loglvl;
        else if (s[1] >= '0' && s[1] <= '3')
            level = s[1] - '0';
        else
            break;
        s += 3;
    }
    if (s == *text && console.in_line)
        return console.show; /* the rest of a line */
    *text = s;
    if (console.no_lock || level < t->lower)
        return true;
    return level < t->upper && !rate_limited();
}

/* ---- output ---- */

static void to_ring(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        console.ring[console.end++ & (console.size - 1)] = s[i];
    if (console.end - console.begin > console.size)
        console.begin = console.end - console.size;
}

static void to_lines(const char *s, size_t n)
{
    for (struct console_line *l = console.lines; l; l = l->next)
        l->puts(s, n);
}

static void emit(const char *s, size_t n)
{
    to_ring(s, n);
    to_lines(s, n);
}

static void emit_prefix(void)
{
    char stamp[32];
    s_time_t now;
    int n;

    emit(PREFIX, sizeof(PREFIX) - 1);
    if (!opt_console_timestamps)
        return;
    now = NOW();
    n = snprintf(stamp, sizeof(stamp), "[%5lld.%06lld] ", (long long)(now / SECONDS(1)),
                 (long long)(now % SECONDS(1)) / 1000);
    emit(stamp, n);
}

static void emit_text(const char *s)
{
    while (*s) {
        const char *end = strchr(s, '\n');
        size_t n = end ? (size_t)(end + 1 - s) : strlen(s);

        if (!console.in_line)
            emit_prefix();
        emit(s, n);
        console.in_line = !end;
        s += n;
    }
}

static void tell_dom0(void *unused)
{
    (void)unused;
    if (dom0)
        send_global_virq(VIRQ_CON_RING);
}

static struct tasklet tell_dom0_tasklet = TASKLET_INIT(tell_dom0, NULL);

static unsigned long lock_console(void)
{
    unsigned long flags = local_irq_save_();

    if (!console.no_lock)
        spin_lock(&console.lock);
    return flags;
}

static void unlock_console(unsigned long flags)
{
    if (!console.no_lock)
        spin_unlock(&console.lock);
    local_irq_restore(flags);
}

void vprintk(const char *fmt, va_list ap)
{
    unsigned long flags = lock_console();
    const char *text = console.message;
    bool tell;

    vsnprintf(console.message, sizeof(console.message), fmt, ap);
    console.show = is_shown(&text);
    if (console.show) {
        if (console.suppressed) {
            char note[48];
            unsigned n = console.suppressed;

            console.suppressed = 0;
            snprintf(note, sizeof(note), "(%u messages left out)\n", n);
            emit_text(note);
        }
        emit_text(text);
    } else if (*text) {
        console.in_line = text[strlen(text) - 1] != '\n';
    }
    tell = console.show && console.tell_dom0 && !console.no_lock;
    unlock_console(flags);
    if (tell)
        tasklet_schedule(&tell_dom0_tasklet);
}

void printk(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vprintk(fmt, ap);
    va_end(ap);
}

void gprintk(const struct domain *d, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (current && current->domain == d)
        printk(KERN_GUEST "d%uv%u %s", d->id, current->vcpu_id, text);
    else
        printk(KERN_GUEST "d%u %s", d->id, text);
}

size_t console_write_raw(const char *s, size_t n)
{
    unsigned long flags = lock_console();

    if (console.in_line) {
        emit("\n", 1);
        console.in_line = false;
    }
    to_lines(s, n);
    unlock_console(flags);
    return n;
}

void console_force_unlock(void)
{
    console.no_lock = true;
    spin_break(&console.lock);
}

/* ---- lines and ring ---- */

void console_register(struct console_line *line)
{
    unsigned long flags = lock_console();
    struct console_line **last = &console.lines;
    char c;

    while (*last)
        last = &(*last)->next;
    line->next = NULL;
    *last = line;
    for (uint32_t i = console.begin; i != console.end; i++) {
        c = console.ring[i & (console.size - 1)];
        line->puts(&c, 1);
    }
    unlock_console(flags);
}

void console_lines_poll(void (*fn)(int c))
{
    for (struct console_line *l = READ_ONCE(console.lines); l; l = l->next) {
        int c;

        /* Bounded: a line that never runs dry must not hold the CPU. */
        for (unsigned i = 0; l->getc && i < 256 && (c = l->getc()) >= 0; i++)
            fn(c);
    }
}

void console_init(void)
{
    unsigned long size = min(opt_conring_size, (unsigned long)MAX_RING_SIZE), flags;
    unsigned order = size > PAGE_SIZE ? fls_index(size - 1) + 1 - PAGE_SHIFT : 0;
    struct page_info *pg;
    char *ring;

    console.tell_dom0 = true;
    if ((PAGE_SIZE << order) <= BOOT_RING_SIZE)
        return;
    pg = heap_alloc(order, 0);
    if (!pg) {
        printk("conring_size: no memory for %lu bytes\n", size);
        return;
    }
    ring = page_to_virt(pg);
    flags = lock_console();
    for (uint32_t i = console.begin; i != console.end; i++)
        ring[i & ((PAGE_SIZE << order) - 1)] = console.ring[i & (console.size - 1)];
    console.ring = ring;
    console.size = PAGE_SIZE << order;
    unlock_console(flags);
}

size_t console_ring_read(char *buf, size_t size, uint32_t *index, bool incremental, bool clear)
{
    unsigned long flags = lock_console();
    uint32_t at = console.begin;
    size_t n;

    if (incremental && (int32_t)(*index - at) > 0)
        at = *index;
    for (n = 0; n < size && (int32_t)(console.end - at) > 0; n++)
        buf[n] = console.ring[at++ & (console.size - 1)];
    if (clear)
        console.begin = console.end;
    *index = at;
    unlock_console(flags);
    return n;
}
