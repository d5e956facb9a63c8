// SPDX-License-Identifier: MIT
/* Where the arch's first instructions go, with two words from the boot loader. */
#pragma once
#include "lib/compiler.h"

void __noreturn start_hypervisor(unsigned long arg0, unsigned long arg1);
