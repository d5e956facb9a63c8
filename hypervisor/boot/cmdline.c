// SPDX-License-Identifier: MIT
/*
 * The command line: words separated by blanks, each `name`, `no-name` or `name=value`; the last
 * one wins.  The table cmdline.def names every option.  A word that is unknown or malformed is
 * remembered and reported by name, and never stops the boot.
 */
#include "boot/cmdline.h"
#include "kernel/console.h"
#include "kernel/panic.h"
#include "lib/compiler.h"
#include "lib/string.h"
#include "mem/mem.h"
#include "sched/sched.h"

#define BOOL(var, name, def, help)       bool opt_##var = def;
#define UINT(var, name, def, help)       unsigned opt_##var = def;
#define SIZE(var, name, def, help)       uint64_t opt_##var = def;
#define TEXT(var, name, size, def, help) char opt_##var[size] = def;
#define REF(type, lvalue, name, def, help)
#define CALL(fn, name, def, help)
#include "boot/cmdline.def"
#undef BOOL
#undef UINT
#undef SIZE
#undef TEXT
#undef REF
#undef CALL

enum option_type { OPT_BOOL, OPT_UINT, OPT_SIZE, OPT_TEXT, OPT_CALL };

static bool set_loglvl(const char *value)
{
    return console_parse_loglvl(value, &console_loglvl);
}

static bool set_guest_loglvl(const char *value)
{
    return console_parse_loglvl(value, &console_guest_loglvl);
}

static const struct option {
    const char *name;
    enum option_type type;
    void *var;
    size_t size; /* of OPT_TEXT */
    bool (*fn)(const char *value);
} options[] = {
#define BOOL(var, name, def, help)         {name, OPT_BOOL, &opt_##var, 0, NULL},
#define UINT(var, name, def, help)         {name, OPT_UINT, &opt_##var, 0, NULL},
#define SIZE(var, name, def, help)         {name, OPT_SIZE, &opt_##var, 0, NULL},
#define TEXT(var, name, size, def, help)   {name, OPT_TEXT, opt_##var, size, NULL},
#define REF(type, lvalue, name, def, help) {name, type, &(lvalue), 0, NULL},
#define CALL(fn, name, def, help)          {name, OPT_CALL, NULL, 0, fn},
#include "boot/cmdline.def"
#undef BOOL
#undef UINT
#undef SIZE
#undef TEXT
#undef REF
#undef CALL
};

#define MAX_COMPLAINTS 8
#define WORD_MAX       256

static struct {
    char word[64];
    const char *why;
} complaints[MAX_COMPLAINTS];
static unsigned nr_complaints;

char cmdline_text[2048];

static void complain(const char *word, const char *why)
{
    if (nr_complaints == MAX_COMPLAINTS)
        return;
    strlcpy(complaints[nr_complaints].word, word, sizeof(complaints[0].word));
    complaints[nr_complaints++].why = why;
}

void cmdline_report(void)
{
    for (unsigned i = 0; i < nr_complaints; i++)
        printk(KERN_WARN "Option ignored: '%s': %s\n", complaints[i].word, complaints[i].why);
    nr_complaints = 0;
}

uint64_t parse_size(const char *s, const char **end, uint64_t unit)
{
    uint64_t val = parse_uint(s, end);
    unsigned shift;

    if (*end == s)
        return 0;
    switch (**end) {
    case 'k':
    case 'K':
        shift = 10;
        break;
    case 'm':
    case 'M':
        shift = 20;
        break;
    case 'g':
    case 'G':
        shift = 30;
        break;
    case 't':
    case 'T':
        shift = 40;
        break;
    case 'b':
    case 'B':
        shift = 0;
        break;
    default:
        return val * unit;
    }
    ++*end;
    return val << shift;
}

bool cmdline_has_word(const char *list, const char *word)
{
    size_t n = strlen(word);

    for (; list; list = strchr(list, ',')) {
        list += *list == ',';
        if (!strncmp(list, word, n) && (!list[n] || list[n] == ','))
            return true;
    }
    return false;
}

/* 1, 0, or -1 if it is neither. */
static int parse_bool(const char *s)
{
    static const char *const yes[] = {"1", "yes", "on", "true", "enable"};
    static const char *const no[] = {"0", "no", "off", "false", "disable"};

    for (unsigned i = 0; i < ARRAY_SIZE(yes); i++) {
        if (!strcmp(s, yes[i]))
            return 1;
        if (!strcmp(s, no[i]))
            return 0;
    }
    return -1;
}

/* NULL, or what is wrong with value (NULL: none was given). */
static const char *set_option(const struct option *o, const char *value, bool negated)
{
    const char *end;
    int b;

    if (negated && (o->type != OPT_BOOL || value))
        return "only yes-or-no options take no-";
    if (o->type == OPT_BOOL) {
        b = value ? parse_bool(value) : 1;
        if (b < 0)
            return "not yes or no";
        *(bool *)o->var = negated ? !b : b;
        return NULL;
    }
    if (!value)
        return "needs a value";
    switch (o->type) {
    case OPT_UINT: {
        unsigned long long n = parse_uint(value, &end);

        if (end == value || *end || n > UINT32_MAX)
            return "not a number";
        *(unsigned *)o->var = n;
        return NULL;
    }
    case OPT_SIZE: {
        uint64_t n = parse_size(value, &end, 1);

        if (end == value || *end)
            return "not a size";
        *(uint64_t *)o->var = n;
        return NULL;
    }
    case OPT_TEXT:
        if (strlen(value) >= o->size)
            return "too long";
        strlcpy(o->var, value, o->size);
        return NULL;
    default:
        return o->fn(value) ? NULL : "not understood";
    }
}

static const struct option *find_option(const char *name)
{
    for (unsigned i = 0; i < ARRAY_SIZE(options); i++)
        if (!strcmp(options[i].name, name))
            return &options[i];
    return NULL;
}

static void parse_word(char *word)
{
    char whole[sizeof(complaints[0].word)];
    char *value = strchr(word, '=');
    const struct option *o;
    const char *err;
    bool negated = false;

    strlcpy(whole, word, sizeof(whole));
    if (value)
        *value++ = '\0';
    o = find_option(word);
    if (!o && !strncmp(word, "no-", 3)) {
        o = find_option(word + 3);
        negated = true;
    }
    err = o ? set_option(o, value, negated) : "unknown option";
    if (err)
        complain(whole, err);
}

void cmdline_parse(const char *cmdline)
{
    char word[WORD_MAX];

    strlcpy(cmdline_text, cmdline, sizeof(cmdline_text));
    while (*cmdline) {
        size_t n = 0;

        while (*cmdline == ' ' || *cmdline == '\t')
            cmdline++;
        while (cmdline[n] && cmdline[n] != ' ' && cmdline[n] != '\t')
            n++;
        if (!n)
            break;
        strlcpy(word, cmdline, min(n + 1, sizeof(word)));
        if (n < sizeof(word))
            parse_word(word);
        else
            complain(word, "too long");
        cmdline += n;
    }
    if (opt_nosmp)
        opt_smp = false;
}
