// SPDX-License-Identifier: MIT
/* What the boot room calls elsewhere, for its host tests. */
#include "ground.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "arch/api/arch_boot.h"
#include "kernel/console.h"
#include "kernel/panic.h"

struct console_threshold console_loglvl, console_guest_loglvl;
bool opt_console_timestamps, opt_guest_output, opt_noreboot, opt_bootscrub;
unsigned long opt_conring_size;
unsigned opt_sched_turn_ms, opt_sched_ratelimit_us;

bool sched_choose(const char *opt_name)
{
    return !strcmp(opt_name, "rr");
}
char *boot_test_memory;
char ground_printed[4096];

void printk(const char *fmt, ...)
{
    size_t n = strlen(ground_printed);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(ground_printed + n, sizeof(ground_printed) - n, fmt, ap);
    va_end(ap);
}

bool console_parse_loglvl(const char *s, struct console_threshold *t)
{
    t->lower = t->upper = 4;
    return !strcmp(s, "all");
}

long arch_call_library(long (*fn)(void *), void *arg)
{
    return fn(arg);
}

void *arch_scratch_alloc(size_t size)
{
    return malloc(size);
}

void arch_scratch_free(void *p, size_t size)
{
    (void)size;
    free(p);
}
