// SPDX-License-Identifier: MIT
/* Ports and device memory, for tests: every access goes to the simulated machine (machine.h). */
#pragma once
#include <stdint.h>

uint32_t sim_in(uint16_t port, unsigned size);
void sim_out(uint32_t val, uint16_t port, unsigned size);
uint64_t sim_read(const volatile void *addr, unsigned size);
void sim_write(uint64_t val, volatile void *addr, unsigned size);

#define inb(port)         ((uint8_t)sim_in((port), 1))
#define inw(port)         ((uint16_t)sim_in((port), 2))
#define inl(port)         sim_in((port), 4)
#define outb(val, port)   sim_out((val), (port), 1)
#define outw(val, port)   sim_out((val), (port), 2)
#define outl(val, port)   sim_out((val), (port), 4)
#define readb(addr)       ((uint8_t)sim_read((addr), 1))
#define readw(addr)       ((uint16_t)sim_read((addr), 2))
#define readl(addr)       ((uint32_t)sim_read((addr), 4))
#define readq(addr)       sim_read((addr), 8)
#define writeb(val, addr) sim_write((val), (addr), 1)
#define writew(val, addr) sim_write((val), (addr), 2)
#define writel(val, addr) sim_write((val), (addr), 4)
#define writeq(val, addr) sim_write((val), (addr), 8)
