// SPDX-License-Identifier: MIT
/* The hypercall console_io: dom0 uses the host's console line. */
#include "hypercall/handlers.h"
#include "domain/domain.h"
#include "hypercall/guest_access.h"
#include "kernel/console.h"
#include "lib/string.h"

#define CHUNK 128 /* a message of another guest's */
/* Written with interrupts off: no more than a serial line at 115200 baud takes in 1 ms. */
#define PIECE 8

bool opt_guest_output;

/* Another guest's text: no control characters, one message a chunk, under guest_loglvl. */
static void write_guest(const struct domain *d, char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (text[i] < ' ' || text[i] > '~')
            text[i] = ' ';
    gprintk(d, "%.*s\n", (int)n, text);
}

static long console_write(unsigned long count, unsigned long buffer)
{
    struct domain *d = current->domain;
    char text[CHUNK];

    if (!d->is_privileged && !opt_guest_output)
        return -EPERM;
    while (count) {
        size_t n = min(count, d->is_privileged ? (unsigned long)PIECE : CHUNK);

        if (copy_from_guest(text, buffer, n))
            return -EFAULT;
        if (d->is_privileged)
            console_write_raw(text, n);
        else
            write_guest(d, text, n);
        buffer += n;
        count -= n;
        if (count && hypercall_preempt_check()) {
            unsigned long again[3] = {CONSOLEIO_write, count, buffer};

            return hypercall_continue(__HYPERVISOR_console_io, 3, again);
        }
    }
    return 0;
}

static long console_read(unsigned long count, unsigned long buffer)
{
    char text[CHUNK];
    long done = 0;

    if (!current->domain->is_privileged)
        return -EPERM;
    while (count) {
        size_t n = console_input_read(text, min(count, (unsigned long)CHUNK));

        if (!n)
            break;
        if (copy_to_guest(buffer, text, n))
            return -EFAULT;
        buffer += n;
        count -= n;
        done += n;
    }
    return done;
}

long do_console_io(unsigned long cmd, unsigned long count, unsigned long buffer)
{
    /* The public type of both is int; nobody has use for more. */
    count = (uint32_t)count;
    if (count > INT32_MAX)
        return -E2BIG;
    switch ((uint32_t)cmd) {
    case CONSOLEIO_write:
        return console_write(count, buffer);
    case CONSOLEIO_read:
        return console_read(count, buffer);
    default:
        return -ENOSYS;
    }
}
