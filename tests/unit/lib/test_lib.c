// SPDX-License-Identifier: MIT
/* lib/ against the C library (strings, printf) and against a plain model (range sets). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "lib/alloc.h"
#include "lib/compiler.h"
#include "lib/errno.h"
#include "lib/rangeset.h"
#include "ours.h"

static unsigned seed = 1;

static unsigned rnd(unsigned n)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 8) % n;
}

/* ---- memory for lib/ ---- */

static long allocated, fail_after = -1;

void *xzalloc_bytes(size_t n, size_t size)
{
    if (fail_after >= 0 && fail_after-- == 0)
        return NULL;
    allocated++;
    return calloc(n, size);
}

void xfree(void *p)
{
    allocated -= p != NULL;
    free(p);
}

/* ---- strings ---- */

static void test_copies(void **state)
{
    char a[200], b[200], ref[200];

    (void)state;
    for (unsigned i = 0; i < 20000; i++) {
        size_t n = rnd(64), from = rnd(64), to = rnd(64);

        for (unsigned k = 0; k < sizeof(a); k++)
            a[k] = b[k] = ref[k] = rnd(256);
        memmove(ref + to, ref + from, n);
        assert_ptr_equal(our_memmove(a + to, a + from, n), a + to);
        assert_memory_equal(a, ref, sizeof(a));
        assert_ptr_equal(our_memcpy(b + 100 + to % 36, a + from, n), b + 100 + to % 36);
        assert_memory_equal(b + 100 + to % 36, a + from, n);
        our_memset(b + to, from, n);
        for (unsigned k = 0; k < n; k++)
            assert_int_equal((unsigned char)b[to + k], from);
    }
}

static int sign(int x)
{
    return (x > 0) - (x < 0);
}

static void test_compares(void **state)
{
    char a[40], b[40];

    (void)state;
    for (unsigned i = 0; i < 50000; i++) {
        size_t n = rnd(36);

        for (unsigned k = 0; k < sizeof(a) - 1; k++) {
            a[k] = rnd(20) ? 'a' : 'a' + rnd(3);
            b[k] = rnd(20) ? a[k] : (char)(rnd(255) + 1);
        }
        a[rnd(40)] = b[rnd(40)] = a[39] = b[39] = 0;
        assert_int_equal(sign(our_memcmp(a, b, n)), sign(memcmp(a, b, n)));
        assert_int_equal(sign(our_strcmp(a, b)), sign(strcmp(a, b)));
        assert_int_equal(sign(our_strncmp(a, b, n)), sign(strncmp(a, b, n)));
        assert_int_equal(our_strlen(a), strlen(a));
        assert_int_equal(our_strnlen(a, n), strnlen(a, n));
        assert_ptr_equal(our_strchr(a, 'b'), strchr(a, 'b'));
        assert_ptr_equal(our_strchr(a, 0), strchr(a, 0));
        assert_ptr_equal(our_strstr(a, "ab"), strstr(a, "ab"));
    }
    assert_string_equal(our_strstr("hello", ""), "hello");
}

static void test_strlcpy(void **state)
{
    char buf[4] = "xyz";

    (void)state;
    assert_int_equal(our_strlcpy(buf, "ab", sizeof(buf)), 2);
    assert_string_equal(buf, "ab");
    assert_int_equal(our_strlcpy(buf, "abcdef", sizeof(buf)), 6);
    assert_string_equal(buf, "abc");
    assert_int_equal(our_strlcpy(buf, "q", 0), 1);
    assert_string_equal(buf, "abc");
}

static void test_parse_uint(void **state)
{
    static const struct {
        const char *text;
        unsigned long long value;
        unsigned used;
    } cases[] = {{"0", 0, 1},
                 {"42k", 42, 2},
                 {"0x1fG", 0x1f, 4},
                 {"010", 8, 3},
                 {"0x", 0, 1},
                 {"", 0, 0},
                 {"-1", 0, 0},
                 {"18446744073709551615", ~0ULL, 20},
                 {"99999999999999999999,", ~0ULL, 20},
                 {"0XabcdefABCDEF1", 0xabcdefABCDEF1, 15}};

    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *end;

        assert_int_equal(our_parse_uint(cases[i].text, &end), cases[i].value);
        assert_int_equal(end - cases[i].text, cases[i].used);
    }
}

/* Random formats, ours against the C library's. */
static void test_printf(void **state)
{
    static const char *const lengths[] = {"hh", "h", "", "l", "ll", "z", "j", "t"};

    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        char fmt[64], ours[128], theirs[128];
        unsigned kind = rnd(8), size = rnd(100) + 1;
        unsigned long long n = (unsigned long long)rnd(1 << 20) << rnd(50);
        int len, ref;

        if (!rnd(4))
            n = -n;
        if (!rnd(10))
            n = 0;
        len = sprintf(fmt, "<%%%s%s%s%s%s", rnd(3) ? "" : "-", rnd(3) ? "" : "0", rnd(3) ? "" : "+",
                      rnd(3) ? "" : " ", rnd(3) ? "" : "#");
        if (rnd(2))
            len += sprintf(fmt + len, "%u", rnd(30) + 1);
        if (!rnd(3))
            len += sprintf(fmt + len, ".%u", rnd(25));
        if (kind < 5) {
            const char *l = lengths[rnd(8)];

            sprintf(fmt + len, "%s%c> %%s", l, "diuxXo"[rnd(6)]);
            if (l[0] == 'h' || !l[0]) {
                ref = snprintf(theirs, size, fmt, (int)n, "x");
                len = our_snprintf(ours, size, fmt, (int)n, "x");
            } else {
                ref = snprintf(theirs, size, fmt, n, "x");
                len = our_snprintf(ours, size, fmt, n, "x");
            }
        } else {
            unsigned precision = rnd(8), width = rnd(12) + 1;
            const char *text = rnd(5) ? "a word" : "";

            sprintf(fmt, rnd(2) ? "%%-%u.%us %%%%" : "%%%u.%us %%%%", width, precision);
            ref = snprintf(theirs, size, fmt, text);
            len = our_snprintf(ours, size, fmt, text);
        }
        if (len != ref || strcmp(ours, theirs))
            fail_msg("format '%s' of %#llx: '%s' (%d), should be '%s' (%d)", fmt, n, ours, len,
                     theirs, ref);
    }
}

static void test_printf_rest(void **state)
{
    char buf[64];

    (void)state;
    assert_int_equal(our_snprintf(buf, sizeof(buf), "%*c|%.*s|%-*d|", -3, 'c', 2, "abc", 4, -5),
                     12);
    assert_string_equal(buf, "c  |ab|-5  |");
    our_snprintf(buf, sizeof(buf), "%s %p", (char *)NULL, (void *)0x1234);
    assert_string_equal(buf, "(null) 0000000000001234");
    our_snprintf(buf, sizeof(buf), "%d %lld", INT32_MIN, (long long)INT64_MIN);
    assert_string_equal(buf, "-2147483648 -9223372036854775808");
    assert_int_equal(our_snprintf(NULL, 0, "%u", 12345), 5);
    our_snprintf(buf, sizeof(buf), "100%% %q %");
    assert_string_equal(buf, "100% %q ");
    assert_int_equal(our_snprintf(buf, 4, "abcdef"), 6);
    assert_string_equal(buf, "abc");
}

/* ---- range sets ---- */

#define MODEL 256

static void check_against(struct rangeset *r, const bool *model)
{
    unsigned long first, last, next = 0;

    for (size_t i = 0; rangeset_get(r, i, &first, &last); i++) {
        assert_true(first <= last && last < MODEL);
        if (i)
            assert_true(first > next); /* neither overlapping nor touching */
        for (unsigned long k = next; k < first; k++)
            assert_false(model[k]);
        for (unsigned long k = first; k <= last; k++)
            assert_true(model[k]);
        next = last + 1;
    }
    for (unsigned long k = next; k < MODEL; k++)
        assert_false(model[k]);
}

static void test_rangeset_random(void **state)
{
    struct rangeset *r = rangeset_new("test");
    bool model[MODEL] = {false};

    (void)state;
    assert_string_equal(rangeset_name(r), "test");
    assert_true(rangeset_is_empty(r));
    for (unsigned i = 0; i < 20000; i++) {
        unsigned long a = rnd(MODEL), b = a + rnd(MODEL - a < 20 ? MODEL - a : 20);
        bool add = rnd(2), all = true;
        int rc;

        fail_after = rnd(10) ? -1 : 0;
        rc = add ? rangeset_add_range(r, a, b) : rangeset_remove_range(r, a, b);
        fail_after = -1;
        if (rc)
            assert_int_equal(rc, -ENOMEM);
        else
            for (unsigned long k = a; k <= b; k++)
                model[k] = add;
        check_against(r, model);
        a = rnd(MODEL);
        b = a + rnd(MODEL - a);
        for (unsigned long k = a; k <= b; k++)
            all &= model[k];
        assert_int_equal(rangeset_contains_range(r, a, b), all);
    }
    rangeset_destroy(r);
    rangeset_destroy(NULL);
    assert_int_equal(allocated, 0);
}

static void test_rangeset_ends(void **state)
{
    struct rangeset *r = rangeset_new("ends");

    (void)state;
    assert_int_equal(rangeset_add_range(r, 2, 1), -EINVAL);
    assert_int_equal(rangeset_add_range(r, 0, ~0UL), 0);
    assert_true(rangeset_contains_range(r, 0, ~0UL));
    assert_int_equal(rangeset_remove_range(r, 5, 5), 0);
    assert_false(rangeset_contains_range(r, 0, ~0UL));
    assert_true(rangeset_contains_range(r, 6, ~0UL));
    assert_int_equal(rangeset_add_range(r, 5, 5), 0);
    assert_true(rangeset_contains_range(r, 0, ~0UL));
    assert_int_equal(rangeset_remove_range(r, 0, ~0UL), 0);
    assert_true(rangeset_is_empty(r));
    assert_false(rangeset_contains(NULL, 0));
    assert_false(rangeset_contains_range(r, 2, 1));
    rangeset_destroy(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copies),          cmocka_unit_test(test_compares),
        cmocka_unit_test(test_strlcpy),         cmocka_unit_test(test_parse_uint),
        cmocka_unit_test(test_printf),          cmocka_unit_test(test_printf_rest),
        cmocka_unit_test(test_rangeset_random), cmocka_unit_test(test_rangeset_ends),
    };

    return cmocka_run_group_tests_name("lib", tests, NULL, NULL);
}
