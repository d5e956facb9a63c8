// SPDX-License-Identifier: MIT
/* How much memory dom0 gets (dom0_mem=). */
#pragma once

unsigned long dom0_nr_pages(void);
