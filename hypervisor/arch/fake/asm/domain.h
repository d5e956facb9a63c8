// SPDX-License-Identifier: MIT
/* The fake arch, for tests on the host: the same structures as x86 (whose mm it tests). */
#pragma once
#include "../../x86/asm/domain.h"
