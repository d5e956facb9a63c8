/* SPDX-License-Identifier: MIT */
/* Numbers that assembly and C share. */
#pragma once
#ifdef __x86_64__
#define VIRT_BASE 0xffffffff80000000
#define INIT_P2M  0x8000000000
#else
#define VIRT_BASE 0xc0000000
#endif
#define STACK_SIZE                                                                                 \
    0x8000 /* a vcpu's, and its alignment; the lower half is for entries from user                 \
            */
#define VEC_EVENT     256
#define VEC_SYSCALL   257
#define VEC_SYSCALL32 258
#define VEC_FAILSAFE  259
#define VEC_SYSENTER  260
#define VECTORS       261
