// SPDX-License-Identifier: MIT
/* Serial ports: what happens to output when nobody takes it.  The port is simulated. */
#include "test.h"
#include "asm/io.h"
#include "boot/cmdline.h"
#include "kernel/console.h"
#include "kernel/serial.h"

#define BASE 0x3f8

char opt_com1[64] = "115200,8n1", opt_com2[64], opt_console[64] = "com1";
static struct console_line *line;
static char sent[200];
static unsigned nr_sent, nr_asked;
static unsigned room = 16; /* how much more the port takes */

uint32_t sim_in(uint16_t port, unsigned size)
{
    assert_int_equal(size, 1);
    if (port != BASE + 5)
        return 0;
    nr_asked++;
    return room >= 16 ? 0x60 : 0x00;
}

void sim_out(uint32_t val, uint16_t port, unsigned size)
{
    static uint8_t lcr;

    assert_int_equal(size, 1);
    if (port == BASE + 3)
        lcr = val;
    if (port != BASE || (lcr & 0x80))
        return;
    assert_true(room);
    room--;
    sent[nr_sent++] = val;
    sent[nr_sent] = 0;
}

void console_register(struct console_line *l)
{
    line = l;
}

bool cmdline_has_word(const char *list, const char *word)
{
    return !strcmp(list, word);
}

void console_input_poll(void)
{
}

int request_irq(unsigned irq, void (*fn)(void *), void *data, const char *name)
{
    (void)irq, (void)fn, (void)data, (void)name;
    return 0;
}

static void say(const char *s)
{
    line->puts(s, strlen(s));
}

static void test_output_comes_back(void **state)
{
    (void)state;
    serial_init_early();
    assert_non_null(line);
    nr_sent = 0;
    room = 100;
    say("0123456789\n");
    assert_string_equal(sent, "0123456789\r\n");

    /* Nobody reads: a message is waited for, and loses its end; those after it do not wait. */
    room = 16;
    say("abcdefghijklmnopqrst");
    assert_string_equal(sent, "0123456789\r\nabcdefghijklmnop");
    nr_asked = 0;
    say("lost");
    say("lost, too");
    assert_int_equal(nr_asked, 2);

    /* It goes on reading, and hears what is said from now on. */
    room = 16;
    nr_sent = 0;
    say("again\n");
    assert_string_equal(sent, "again\r\n");
    /* The port has all the time of the first wait again. */
    nr_asked = 0;
    say("not yet");
    assert_true(nr_asked > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_comes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
