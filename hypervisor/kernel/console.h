// SPDX-License-Identifier: MIT
/*
 * The console: printk, the ring that `xl dmesg` reads, and the serial and VGA lines behind it.
 * Input goes to dom0 or, after three Ctrl-A, to the key handlers.
 */
#pragma once
#include "lib/compiler.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Levels, as the first characters of a message.  Without one it is a warning.  Thresholds: below
 * `lower` a message is always printed, below `upper` while it is not one of too many in a short
 * time, otherwise not at all.
 */
#define KERN_ERR   "<0>"
#define KERN_WARN  "<1>"
#define KERN_INFO  "<2>"
#define KERN_DEBUG "<3>"
#define KERN_GUEST "<G>" /* about or caused by a guest; may be followed by a level */

struct console_threshold {
    int lower, upper; /* 0: nothing; 4: everything */
};
/* loglvl= and guest_loglvl= */
extern struct console_threshold console_loglvl, console_guest_loglvl;
/* "none", "error", "warning", "info", "debug" or "all"; two of them as lower/upper. */
bool console_parse_loglvl(const char *s, struct console_threshold *t);
extern bool opt_console_timestamps;    /* console_timestamps: each line begins with the uptime */
extern unsigned long opt_conring_size; /* conring_size: in bytes; takes effect in console_init() */
extern bool opt_guest_output; /* guests other than dom0 may write to the console, rate-limited */

void printk(const char *fmt, ...) __printf(1, 2);
void vprintk(const char *fmt, va_list ap) __printf(1, 0);
/* About a guest's doing: prefixed with the domain, under guest_loglvl, rate-limited. */
struct domain;
void gprintk(const struct domain *d, const char *fmt, ...) __printf(2, 3);

/* An output (and input) line.  puts is called under the console lock; it may poll. */
struct console_line {
    const char *name; /* as in console=NAME */
    void (*puts)(const char *s, size_t n);
    int (*getc)(void); /* -1: nothing there; NULL if the line has no input */
    struct console_line *next;
};
/* Adds a line; what was printed before appears on it at once. */
void console_register(struct console_line *line);
/* After the command line is parsed and there is a heap: gives the ring its final size. */
void console_init(void);
void console_endboot(void);                        /* hands input to dom0 */
void console_force_unlock(void);                   /* panic: print whatever happens */
void console_lines_poll(void (*fn)(int c));        /* reads what the lines have received */
size_t console_write_raw(const char *s, size_t n); /* dom0's CONSOLEIO_write */

/* Input (console_input.c).  Called by the serial interrupt or a timer. */
void console_input_poll(void);
/* What was typed for dom0, at most n characters; VIRQ_CONSOLE tells of them. */
size_t console_input_read(char *buf, size_t n);

/*
 * For sysctl readconsole: copies from the ring, from its begin or (incremental) from *index if that
 * is later; *index is then where to go on.  clear: what is there now will not be found again.
 */
size_t console_ring_read(char *buf, size_t size, uint32_t *index, bool incremental, bool clear);
