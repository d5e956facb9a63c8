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

#define KERN_ERR   "<0>"
#define KERN_WARN  "<1>"
#define KERN_INFO  "<2>"
#define KERN_DEBUG "<3>"
#define KERN_GUEST "<G>" /* about or caused by a guest: rate-limited, under guest_loglvl */

void printk(const char *fmt, ...) __printf(1, 2);
void vprintk(const char *fmt, va_list ap);
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
void console_register(struct console_line *line);
void console_init(void);          /* after the command line is parsed */
void console_endboot(void);       /* hands input to dom0 */
void console_force_unlock(void);  /* panic: print whatever happens */
void console_input_poll(void);    /* called by the serial interrupt or a timer */
size_t console_write_raw(const char *s, size_t n); /* dom0's CONSOLEIO_write */

/* For sysctl readconsole: copies from the ring starting at *index; see xen_sysctl_readconsole. */
size_t console_ring_read(char *buf, size_t size, uint32_t *index, bool incremental, bool clear);
