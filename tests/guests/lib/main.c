// SPDX-License-Identifier: MIT
/* The runner: chooses tests by the command line, runs them, counts. */
#include "guest.h"

start_info_t *start_info;
shared_info_t *shared_info;
struct start_info boot_info;

extern const struct test *const __start_tests[];
extern const struct test *const __stop_tests[];

static struct point test_end;
static const struct test *running;
static unsigned failures; /* of the one that runs */
static const char *skipped;
static unsigned passed, failed, left_out;

bool is_dom0(void)
{
    return boot_info.flags & SIF_INITDOMAIN;
}

vcpu_info_t *vcpu_info_at[MAX_CPUS];

vcpu_info_t *vcpu_info(void)
{
    unsigned id = this_cpu()->id;

    return vcpu_info_at[id] ?: &shared_info->vcpu_info[id];
}

void fail(const char *file, int line, const char *fmt, ...)
{
    char text[300];
    va_list ap;

    failures++;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (failures < 20)
        say("  %s: %s:%d: %s\n", running ? running->name : "?", file, line, text);
}

bool dying(void)
{
    return running && running->kind >= MAY_DIE;
}

bool failed_often(void)
{
    return failures >= 20;
}

void leave_test(void)
{
    struct cpu *cpu = this_cpu();

    if (cpu->id)
        go_back(&cpu->catch, 1);
    go_back(&test_end, 1);
}

void back_to_test(struct cpu *cpu, bool from_user, unsigned vector)
{
    if (from_user) {
        cpu->in_user = false;
        go_back(&cpu->user_back, vector + 1);
    }
    cpu->armed = false;
    go_back(&cpu->catch, vector + 1);
}

void skip(const char *why)
{
    skipped = why;
    leave_test();
}

void not_on_stock(const char *what_stock_does)
{
    xen_extraversion_t extra;

    if (!HC2(xen_version, XENVER_extraversion, extra) && !strstr(extra, "ospes"))
        skip(what_stock_does);
}

static void run(const struct test *t)
{
    const char *verdict;

    running = t;
    failures = 0;
    skipped = NULL;
    memset(hooks, 0, sizeof(hooks));
    cpus[0].armed = cpus[0].in_user = false;
    if (t->kind >= MAY_DIE) {
        say("TEST %s: DYING\n", t->name);
        console_flush();
    }
    if (!save_point(&test_end))
        t->run();
    if (t->kind == HAS_TO_DIE && !skipped)
        fail("main", 0, "it lives");
    events_on();
    verdict = failures ? "FAIL" : skipped ? "SKIP" : "PASS";
    *(failures ? &failed : skipped ? &left_out : &passed) += 1;
    say("TEST %s: %s%s%s\n", t->name, verdict, skipped ? " " : "", skipped ? skipped : "");
}

/* Is `name` asked for by one of the words? A word of the form x=y is not about names. */
static bool chosen(const struct test *t, const char *words)
{
    size_t n;

    for (; *words; words += n) {
        while (*words == ' ')
            words++;
        for (n = 0; words[n] && words[n] != ' ';)
            n++;
        if (n && !strncmp(t->name, words, n) && (!t->kind || strlen(t->name) == n))
            return true;
        if (n == 3 && !strncmp(words, "all", 3) && !t->kind)
            return true;
    }
    return false;
}

static void list_tests(void)
{
    static const char *const kinds[] = {"TEST", "ALONE", "RISK", "DEATH"};

    for (const struct test *const *t = __start_tests; t < __stop_tests; t++)
        say("%s %s\n", kinds[(*t)->kind], (*t)->name);
}

void run_tests(const char *words)
{
    say("GUEST up: %s\n", words);
    if (strstr(words, "list"))
        list_tests();
    for (const struct test *const *t = __start_tests; t < __stop_tests; t++)
        if (chosen(*t, words))
            run(*t);
    say("GUEST done: %u passed, %u failed, %u skipped\n", passed, failed, left_out);
    shutdown(SHUTDOWN_poweroff);
}
