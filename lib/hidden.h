// SPDX-License-Identifier: MIT
/*
 * Included first everywhere in the hypervisor: all of it is one image, so nothing that is only
 * declared need be reached through a global offset table.
 */
#pragma GCC visibility push(hidden)
