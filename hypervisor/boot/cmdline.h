// SPDX-License-Identifier: MIT
/*
 * The hypervisor's command line.  Rows of cmdline.def become variables opt_<name>, constant after
 * boot.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOOL(var, name, def, help)       extern bool opt_##var;
#define UINT(var, name, def, help)       extern unsigned opt_##var;
#define SIZE(var, name, def, help)       extern uint64_t opt_##var;
#define TEXT(var, name, size, def, help) extern char opt_##var[size];
#define REF(type, lvalue, name, def, help)
#define CALL(fn, name, def, help)
#include "boot/cmdline.def"
#undef BOOL
#undef UINT
#undef SIZE
#undef TEXT
#undef REF
#undef CALL

/* Sets the variables.  Complaints are kept until cmdline_report(), since there is no console. */
void cmdline_parse(const char *cmdline);
/* Says which words were not understood. */
void cmdline_report(void);
/* The text as given (XENVER_commandline). */
extern char cmdline_text[2048];

/* True if word is an element of the comma-separated list. */
bool cmdline_has_word(const char *list, const char *word);
/* "12M" -> bytes; *end is behind it.  A bare number counts in units. */
uint64_t parse_size(const char *s, const char **end, uint64_t unit);
