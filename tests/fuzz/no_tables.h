// SPDX-License-Identifier: MIT
/* For pv/descriptors.c on the host, where it may not load descriptor tables. */
#pragma once
__asm__(".macro lldt sel:vararg\n.endm\n.macro lgdt table:vararg\n.endm");
