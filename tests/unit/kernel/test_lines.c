// SPDX-License-Identifier: MIT
/* Names and lines of addresses, over tables made here as tools/gensyms.py and genlines.py do. */
#include "test.h"
#include "kernel/symbols.h"
#include "lib/compiler.h"

#define CODE  4096
#define START 16 /* where the first range begins */

/* Code of that length, in which nothing runs. */
__asm__(".section .rodata\n.globl __text_start, __text_end\n"
        "__text_start: .skip 4096\n__text_end: .byte 0\n.previous");
extern const char __text_start[], __text_end[];

const uint32_t symbol_count = 2;
const uint32_t symbol_offsets[] = {START, 256};
const uint32_t symbol_names[] = {0, 6};
const char symbol_strings[] = "first\0second";

/* START: a.c; 256: no file; 512: a directory's b.c, which random_lines() fills; the end. */
uint32_t line_ranges[4][3] = {{START, 0, 1}, {256, 10, 0}, {512, 10, 5}, {CODE, 0, 0}};
uint8_t line_steps[2 * CODE * 5] = {
    0,    20,             /* START: line 10 */
    4,    5,              /* START + 4: 3 lines back */
    3,    0x80 | 26, 15,  /* START + 7: 973 lines further */
    0x96, 1,         0x0, /* START + 157: 0 lines further */
};
const char line_files[] = "\0a.c\0dir/b.c";

static unsigned long code(unsigned offset)
{
    return (unsigned long)__text_start + offset;
}

static void assert_line(unsigned offset, const char *file, unsigned line)
{
    unsigned found = 0;
    const char *name = line_lookup(code(offset), &found);

    assert_non_null(name);
    assert_string_equal(name, file);
    assert_int_equal(found, line);
}

static void test_steps(void **state)
{
    (void)state;
    assert_line(START, "a.c", 10);
    assert_line(START + 3, "a.c", 10);
    assert_line(START + 4, "a.c", 7);
    assert_line(START + 6, "a.c", 7);
    assert_line(START + 7, "a.c", 980);
    assert_line(START + 157, "a.c", 980);
    assert_line(255, "a.c", 980);
}

static void test_nothing_known(void **state)
{
    static const long outside[] = {-1, 0, START - 1, 256, 511, CODE, CODE + 1, 1L << 33};
    unsigned line;
    char buf[64] = "not empty";

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(outside); i++)
        assert_null(line_lookup((unsigned long)__text_start + outside[i], &line));
    assert_null(line_lookup(0, &line));
    assert_string_equal(symbol_describe(0, false, buf, sizeof(buf)), "");
    assert_string_equal(symbol_describe(code(START - 1), false, buf, sizeof(buf)), "");
}

static void test_describe(void **state)
{
    char buf[64];

    (void)state;
    assert_string_equal(symbol_describe(code(START + 4), false, buf, sizeof(buf)),
                        "first+0x4/0xf0 (a.c:7)");
    /* A return address: the call is before it, if need be in the function before. */
    assert_string_equal(symbol_describe(code(START + 4), true, buf, sizeof(buf)),
                        "first+0x4/0xf0 (a.c:10)");
    assert_string_equal(symbol_describe(code(256), true, buf, sizeof(buf)),
                        "first+0xf0/0xf0 (a.c:980)");
    assert_string_equal(symbol_describe(code(256), false, buf, sizeof(buf)), "second+0/0xf00");
    for (size_t size = 1; size < 30; size++) {
        memset(buf, 'x', sizeof(buf));
        symbol_describe(code(START + 7), false, buf, size);
        assert_true(strlen(buf) < size);
        assert_memory_equal(buf, "first+0x7/0xf0 (a.c:980)", strlen(buf));
        assert_int_equal(buf[size], 'x');
    }
}

static uint8_t *put_number(uint8_t *p, unsigned long n)
{
    for (; n > 127; n >>= 7)
        *p++ = 128 | (n & 127);
    *p++ = (uint8_t)n;
    return p;
}

/* Any lines whatever, at any distances. */
static void test_random_lines(void **state)
{
    (void)state;
    for (unsigned turn = 0; turn < 50; turn++) {
        static unsigned lines[CODE];
        uint8_t *p = line_steps + line_ranges[2][1];
        unsigned at = 512, line = 0;

        for (unsigned next = 512; next < CODE; next += 1 + test_random(turn * 8 + 1)) {
            unsigned next_line = 1 + test_random(turn % 2 ? 0xffff : 100);
            long change = (long)next_line - line;

            for (unsigned i = at; i < next; i++)
                lines[i] = line;
            p = put_number(p, next - at);
            p = put_number(p, change >= 0 ? 2 * change : -2 * change - 1);
            at = next;
            line = next_line;
        }
        for (unsigned i = at; i < CODE; i++)
            lines[i] = line;
        line_ranges[3][1] = (uint32_t)(p - line_steps);
        for (unsigned i = 512; i < CODE; i++)
            assert_line(i, "dir/b.c", lines[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_nothing_known),
        cmocka_unit_test(test_describe),
        cmocka_unit_test(test_random_lines),
    };

    return cmocka_run_group_tests_name("kernel/lines", tests, NULL, NULL);
}
