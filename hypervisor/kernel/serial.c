// SPDX-License-Identifier: MIT
/*
 * Serial ports: 16550 and compatibles at I/O ports.  com1=baud[,DPS[,io-base[,irq]]].
 *
 * Output polls, under the console lock.  A port that does not get ready for a while (nobody takes
 * what an emulator's port sends; there is none behind the numbers) loses the rest of the message,
 * and is not waited for again until it has been found ready: what comes then is sent as ever.
 * Input raises an interrupt, which asks the console to poll; without an interrupt the console's
 * timer does.
 */
#include "kernel/serial.h"
#include "arch/api/arch_irq.h"
#include "asm/io.h"
#include "boot/cmdline.h"
#include "kernel/console.h"
#include "lib/string.h"
#include "lib/types.h"

enum { REG_DATA, REG_IER, REG_FCR, REG_LCR, REG_MCR, REG_LSR };
#define REG_DIVISOR_LOW  0
#define REG_DIVISOR_HIGH 1
#define REG_IIR          2
#define IER_RX           0x01
#define FCR_ENABLE_CLEAR 0x07
#define LCR_DLAB         0x80
#define MCR_DTR_RTS_OUT2 0x0b
#define LSR_DATA_READY   0x01
#define LSR_TX_EMPTY     0x20
#define UART_CLOCK       115200
#define FIFO_SIZE        16
#define PATIENCE         1000000 /* readings of a port that is not ready; each takes about 1 us */

static struct port {
    uint16_t base, irq;
    unsigned fifo_room;
    bool present, stuck;
    struct console_line line;
} ports[2];

/* false: the port does not take it. */
static bool put(struct port *p, char c)
{
    if (!p->fifo_room) {
        unsigned patience = p->stuck ? 1 : PATIENCE;

        p->stuck = false;
        while (!(inb(p->base + REG_LSR) & LSR_TX_EMPTY))
            if (!--patience) {
                p->stuck = true;
                return false;
            }
        p->fifo_room = FIFO_SIZE;
    }
    outb(c, p->base + REG_DATA);
    p->fifo_room--;
    return true;
}

static void port_puts(struct port *p, const char *s, size_t n)
{
    p->fifo_room = 0;
    for (; n; n--, s++)
        if ((*s == '\n' && !put(p, '\r')) || !put(p, *s))
            return;
}

static int port_getc(const struct port *p)
{
    if (!(inb(p->base + REG_LSR) & LSR_DATA_READY))
        return -1;
    return inb(p->base + REG_DATA);
}

static void com1_puts(const char *s, size_t n)
{
    port_puts(&ports[0], s, n);
}

static void com2_puts(const char *s, size_t n)
{
    port_puts(&ports[1], s, n);
}

static int com1_getc(void)
{
    return port_getc(&ports[0]);
}

static int com2_getc(void)
{
    return port_getc(&ports[1]);
}

/* As in 8n1; the line control register's value, or -1. */
static int parse_frame(const char *s)
{
    static const char parity[] = "noems";
    static const uint8_t parity_bits[] = {0x00, 0x08, 0x18, 0x28, 0x38};
    const char *p;

    if (s[0] < '5' || s[0] > '8' || !s[1] || !(p = strchr(parity, s[1])))
        return -1;
    if (s[2] != '1' && s[2] != '2')
        return -1;
    return (s[0] - '5') | parity_bits[p - parity] | (s[2] == '2' ? 4 : 0);
}

/* Sets up p as the option says; false: malformed. */
static bool parse_port(struct port *p, const char *opt)
{
    const char *end = opt;
    unsigned long baud = 0;
    int frame = 3; /* 8n1 */

    if (!strncmp(opt, "auto", 4))
        end = opt + 4;
    else if (!(baud = parse_uint(opt, &end)) || baud > UART_CLOCK)
        return false;
    if (*end == ',') {
        frame = parse_frame(end + 1);
        if (frame < 0)
            return false;
        end += 4;
    }
    if (*end == ',')
        p->base = parse_uint(end + 1, &end);
    if (*end == ',')
        p->irq = parse_uint(end + 1, &end);
    if (*end || !p->base)
        return false;

    outb(0, p->base + REG_IER);
    if (baud) {
        outb(frame | LCR_DLAB, p->base + REG_LCR);
        outb(UART_CLOCK / baud, p->base + REG_DIVISOR_LOW);
        outb((UART_CLOCK / baud) >> 8, p->base + REG_DIVISOR_HIGH);
        outb(frame, p->base + REG_LCR);
    } else {
        outb(inb(p->base + REG_LCR) & ~LCR_DLAB, p->base + REG_LCR);
    }
    outb(FCR_ENABLE_CLEAR, p->base + REG_FCR);
    outb(MCR_DTR_RTS_OUT2, p->base + REG_MCR);
    /* All ones: nothing decodes these ports. */
    p->present = inb(p->base + REG_LSR) != 0xff;
    return true;
}

void serial_init_early(void)
{
    static const struct {
        const char *name, *opt;
        uint16_t base, irq;
        void (*puts)(const char *s, size_t n);
        int (*getc)(void);
    } defaults[2] = {{"com1", opt_com1, 0x3f8, 4, com1_puts, com1_getc},
                     {"com2", opt_com2, 0x2f8, 3, com2_puts, com2_getc}};

    for (unsigned i = 0; i < 2; i++) {
        struct port *p = &ports[i];

        if (!*defaults[i].opt)
            continue;
        p->base = defaults[i].base;
        p->irq = defaults[i].irq;
        p->line.name = defaults[i].name;
        p->line.puts = defaults[i].puts;
        p->line.getc = defaults[i].getc;
        if (!parse_port(p, defaults[i].opt))
            printk(KERN_WARN "%s=%s: not understood\n", defaults[i].name, defaults[i].opt);
        else if (p->present && cmdline_has_word(opt_console, p->line.name))
            console_register(&p->line);
    }
}

/* Reading the identification and the data takes the request away, so that edges come again. */
static void serial_interrupt(void *data)
{
    const struct port *p = data;

    for (unsigned i = 0; i < 64 && !(inb(p->base + REG_IIR) & 1); i++)
        console_input_poll();
}

void serial_init_irq(void)
{
    for (unsigned i = 0; i < 2; i++) {
        struct port *p = &ports[i];

        if (!p->present || !p->irq || request_irq(p->irq, serial_interrupt, p, p->line.name))
            continue;
        outb(IER_RX, p->base + REG_IER);
    }
}

uint16_t serial_port_base(unsigned n)
{
    return n < ARRAY_SIZE(ports) && ports[n].present ? ports[n].base : 0;
}
