// SPDX-License-Identifier: MIT
/*
 * Where test output goes: dom0 has the host's console (console_io), another guest the ring that
 * xenconsoled reads (io/console.h). And the end of the guest.
 */
#include "guest.h"
#include <xen/io/console.h>

static struct xencons_interface *ring;

void console_init(void)
{
    if (!is_dom0() && boot_info.console.domU.mfn)
        ring = va_of_mfn(boot_info.console.domU.mfn);
}

static void notify(void)
{
    struct evtchn_send send = {.port = boot_info.console.domU.evtchn};

    HC2(event_channel_op, EVTCHNOP_send, &send);
}

static void ring_write(const char *s, size_t n)
{
    while (n) {
        u32 prod = READ_ONCE(ring->out_prod);

        if (prod - READ_ONCE(ring->out_cons) >= sizeof(ring->out)) {
            notify();
            HC2(sched_op, SCHEDOP_yield, 0);
            continue;
        }
        ring->out[prod % sizeof(ring->out)] = *s++;
        barrier();
        WRITE_ONCE(ring->out_prod, prod + 1);
        n--;
    }
    notify();
}

void console_write(const char *s, size_t n)
{
    if (ring)
        ring_write(s, n);
    else
        HC3(console_io, CONSOLEIO_write, n, s);
}

void console_flush(void)
{
    for (unsigned i = 0; ring && i < 2000; i++) {
        if (READ_ONCE(ring->out_prod) == READ_ONCE(ring->out_cons))
            return;
        sleep_ms(1);
    }
}

void say(const char *fmt, ...)
{
    static char text[512];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    console_write(text, min((size_t)n, sizeof(text) - 1));
}

void shutdown(unsigned reason)
{
    struct sched_shutdown s = {.reason = reason};

    console_flush();
    for (;;)
        HC2(sched_op, SCHEDOP_shutdown, &s);
}

void die(const char *fmt, ...)
{
    static char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    say("GUEST DEAD: %s\n", text);
    shutdown(SHUTDOWN_crash);
}
