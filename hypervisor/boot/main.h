// SPDX-License-Identifier: MIT
/* Where the arch's first instructions go, with two words from the boot loader. */
#pragma once
#include "lib/compiler.h"

/* What the person who started the machine has to put right: one line, then the end. */
void boot_fail(const char *fmt, ...) __printf(1, 2) __noreturn __cold;

void __noreturn start_hypervisor(unsigned long arg0, unsigned long arg1);
