// SPDX-License-Identifier: MIT
#pragma once

extern char ground_printed[4096]; /* what printk has said */
extern char *boot_test_memory;
