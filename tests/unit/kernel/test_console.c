// SPDX-License-Identifier: MIT
/* The console: levels, ring, lines, input, console_io. */
#include "test.h"
#include "arch/fake/fake.h"
#include "domain/domain.h"
#include "hypercall/handlers.h"
#include "kernel/console.h"
#include "kernel/keyhandler.h"
#include "kernel/softirq.h"

static char out[100000];
static size_t out_len;
static const char *typed = "";
static unsigned virqs[NR_VIRQS];

void send_global_virq(uint32_t virq)
{
    virqs[virq]++;
}

static void line_puts(const char *s, size_t n)
{
    assert_true(out_len + n < sizeof(out));
    memcpy(out + out_len, s, n);
    out_len += n;
    out[out_len] = 0;
}

static int line_getc(void)
{
    return *typed ? *typed++ : -1;
}

static struct console_line line = {.name = "test", .puts = line_puts, .getc = line_getc};

static const char *output(void)
{
    out_len = 0;
    return out;
}

static void type(const char *s)
{
    typed = s;
    console_input_poll();
    fake_softirqs_all();
}

static struct domain *guest;

static int group_setup(void **state)
{
    (void)state;
    fake_init(2);
    printk("before any line\n");
    console_register(&line);
    assert_string_equal(output(), "(XEN) before any line\n");
    dom0 = fake_domain(0, 1);
    guest = fake_domain(3, 1);
    keyhandler_init();
    return 0;
}

static int setup(void **state)
{
    (void)state;
    fake_now += SECONDS(1000); /* the rate limit has recovered */
    fake_run_on(0, dom0->vcpu[0]);
    console_loglvl = (struct console_threshold){2, 2};
    console_guest_loglvl = (struct console_threshold){0, 2};
    out_len = 0;
    out[0] = 0;
    memset(virqs, 0, sizeof(virqs));
    return 0;
}

static void test_levels(void **state)
{
    struct console_threshold t;

    (void)state;
    printk(KERN_ERR "e\n" KERN_DEBUG "kept as it stands\n");
    assert_string_equal(output(), "(XEN) e\n(XEN) <3>kept as it stands\n");
    printk("plain\n");
    printk(KERN_INFO "not shown\n");
    assert_string_equal(output(), "(XEN) plain\n");
    printk("a %d", 1);
    printk(" b");
    printk(" c\n");
    assert_string_equal(output(), "(XEN) a 1 b c\n");
    printk(KERN_DEBUG "hidden");
    printk(" rest of hidden\n");
    printk("seen\n");
    assert_string_equal(output(), "(XEN) seen\n");

    assert_true(console_parse_loglvl("all", &t) && t.lower == 4 && t.upper == 4);
    assert_true(console_parse_loglvl("none/warning", &t) && t.lower == 0 && t.upper == 2);
    assert_true(console_parse_loglvl("error/info", &t) && t.lower == 1 && t.upper == 3);
    assert_false(console_parse_loglvl("loud", &t));
    assert_false(console_parse_loglvl("", &t));
    assert_false(console_parse_loglvl("all/", &t));
    assert_false(console_parse_loglvl("all/all/all", &t));
}

static void test_rate_limit(void **state)
{
    unsigned lines = 0;

    (void)state;
    for (unsigned i = 0; i < 100; i++)
        gprintk(guest, "noise\n");
    for (const char *p = output(); (p = strchr(p, '\n')); p++)
        lines++;
    assert_int_equal(lines, 10);
    assert_non_null(strstr(out, "(XEN) d3 noise\n"));
    fake_now += SECONDS(1);
    out_len = 0;
    gprintk(guest, "more\n");
    assert_string_equal(output(), "(XEN) (90 messages left out)\n(XEN) d3 more\n");
    fake_run_on(0, guest->vcpu[0]);
    gprintk(guest, "self\n");
    assert_string_equal(output(), "(XEN) d3v0 self\n");
}

static void test_timestamps(void **state)
{
    (void)state;
    opt_console_timestamps = true;
    fake_now = SECONDS(12) + MICROSECS(34);
    printk("x\n");
    opt_console_timestamps = false;
    assert_string_equal(output(), "(XEN) [   12.000034] x\n");
}

static void test_ring(void **state)
{
    static char buf[70000];
    uint32_t index = 0, start;
    size_t n;

    (void)state;
    console_ring_read(buf, 0, &index, false, true);
    printk("one\n");
    n = console_ring_read(buf, sizeof(buf), &index, false, false);
    assert_int_equal(n, 10);
    assert_memory_equal(buf, "(XEN) one\n", n);
    printk("two\n");
    n = console_ring_read(buf, 4, &index, true, false);
    assert_int_equal(n, 4);
    n = console_ring_read(buf, sizeof(buf), &index, true, false);
    assert_int_equal(n, 6);
    assert_memory_equal(buf, ") two\n", n);
    assert_int_equal(console_ring_read(buf, sizeof(buf), &index, true, false), 0);
    assert_int_equal(console_ring_read(buf, sizeof(buf), &index, false, true), 20);
    assert_int_equal(console_ring_read(buf, sizeof(buf), &index, false, false), 0);
    /* An index of the future or the past gives what there is. */
    start = index;
    printk("three\n");
    index = start - 1000000;
    assert_int_equal(console_ring_read(buf, sizeof(buf), &index, true, false), 12);
    index = start + 1000000;
    assert_int_equal(console_ring_read(buf, sizeof(buf), &index, true, false), 0);
    for (unsigned i = 0; i < 5000; i++) {
        printk("line number %u of many\n", i);
        output();
    }
    index = start;
    n = console_ring_read(buf, sizeof(buf), &index, true, false);
    assert_int_equal(n, 32768);
    buf[n] = 0;
    assert_non_null(strstr(buf, "line number 4999 of many\n"));
}

static void test_ring_grows(void **state)
{
    static char buf[200000];
    uint32_t index;

    (void)state;
    opt_conring_size = 100000; /* rounded up to 128 KB */
    console_init();
    index = 0;
    console_ring_read(buf, 0, &index, false, true);
    for (unsigned i = 0; i < 6000; i++) {
        printk("line %04u of many lines\n", i);
        output();
    }
    index = 0;
    assert_int_equal(console_ring_read(buf, sizeof(buf), &index, false, false), 131072);
    fake_softirqs_all();
    assert_int_equal(virqs[VIRQ_CON_RING], 1); /* once for all of them */
}

static void test_input(void **state)
{
    char buf[64];

    (void)state;
    type("h"); /* nobody has it yet: a key */
    assert_non_null(strstr(output(), "domains and vcpus"));
    console_endboot();
    assert_non_null(strstr(output(), "dom0"));
    type("ls\r");
    assert_int_equal(virqs[VIRQ_CONSOLE], 1);
    assert_int_equal(console_input_read(buf, 2), 2);
    assert_int_equal(console_input_read(buf + 2, sizeof(buf)), 1);
    assert_memory_equal(buf, "ls\r", 3);
    assert_int_equal(console_input_read(buf, sizeof(buf)), 0);
    type("\001\001x\001\001\001");
    assert_int_equal(console_input_read(buf, sizeof(buf)), 5);
    assert_non_null(strstr(output(), "the hypervisor"));
    type("Z");
    assert_non_null(strstr(output(), "No such key"));
    assert_int_equal(console_input_read(buf, sizeof(buf)), 0);
    type("\001\001\001");
    assert_non_null(strstr(output(), "to dom0 now"));
    /* More than anybody reads is lost, not written elsewhere. */
    for (unsigned i = 0; i < 100; i++)
        type("0123456789012345678901234567890123456789");
    while (console_input_read(buf, sizeof(buf)) > 0)
        ;
}

static void test_console_io(void **state)
{
    static char text[1000], back[64];

    (void)state;
    memset(text, 'x', sizeof(text));
    assert_int_equal(do_console_io(CONSOLEIO_write, 1000, (unsigned long)text), 0);
    assert_int_equal(out_len, 1000);
    output();
    fake_preempt = true;
    assert_int_equal(do_console_io(CONSOLEIO_write, 1000, (unsigned long)text), -ERESTART);
    assert_int_equal(out_len, 8);
    fake_preempt = false;
    assert_int_equal(do_console_io(CONSOLEIO_write, 10, 8), -EFAULT);
    assert_int_equal(do_console_io(CONSOLEIO_write, 1UL << 31, (unsigned long)text), -E2BIG);
    assert_int_equal(do_console_io(7, 0, 0), -ENOSYS);
    type("hello");
    assert_int_equal(do_console_io(CONSOLEIO_read, sizeof(back), (unsigned long)back), 5);
    assert_memory_equal(back, "hello", 5);
    assert_int_equal(do_console_io(CONSOLEIO_read, sizeof(back), (unsigned long)back), 0);

    fake_run_on(0, guest->vcpu[0]);
    output();
    assert_int_equal(do_console_io(CONSOLEIO_write, 10, (unsigned long)text), -EPERM);
    assert_int_equal(do_console_io(CONSOLEIO_read, 10, (unsigned long)back), -EPERM);
    assert_int_equal(out_len, 0);
    opt_guest_output = true;
    assert_int_equal(do_console_io(CONSOLEIO_write, 4, (unsigned long)"a\n\033b"), 0);
    opt_guest_output = false;
    assert_string_equal(output(), "(XEN) d3v0 a  b\n");
}

static void test_dom0_line_is_ended(void **state)
{
    (void)state;
    printk("unfinished");
    console_write_raw("prompt$ ", 8);
    printk("next\n");
    assert_string_equal(output(), "(XEN) unfinished\nprompt$ (XEN) next\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_levels, setup),
        cmocka_unit_test_setup(test_rate_limit, setup),
        cmocka_unit_test_setup(test_timestamps, setup),
        cmocka_unit_test_setup(test_ring, setup),
        cmocka_unit_test_setup(test_input, setup),
        cmocka_unit_test_setup(test_console_io, setup),
        cmocka_unit_test_setup(test_dom0_line_is_ended, setup),
        cmocka_unit_test_setup(test_ring_grows, setup),
    };

    return cmocka_run_group_tests_name("kernel-console", tests, group_setup, NULL);
}
