// SPDX-License-Identifier: MIT
/* Interrupt vectors: 0..0x1f exceptions, 0x20..0xef devices (dynamic), 0xf0..0xff our own. */
#pragma once

#define VECTOR_DYNAMIC_FIRST 0x20
#define VECTOR_DYNAMIC_LAST  0xef
#define VECTOR_LEGACY_INT80  0x80 /* guests' system call gate */
#define VECTOR_HYPERCALL32   0x82
#define VECTOR_TIMER         0xfa
#define VECTOR_TLB_FLUSH     0xfb
#define VECTOR_CALL_FUNCTION 0xfc
#define VECTOR_EVENT_CHECK   0xfd
#define VECTOR_ERROR         0xfe
#define VECTOR_SPURIOUS      0xff

#ifndef __ASSEMBLY__
/* fn runs on each interrupt of a fixed vector, acknowledged already, interrupts off.  (irq/) */
void set_fixed_vector(unsigned vec, void (*fn)(void));
#endif
