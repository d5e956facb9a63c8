# SPDX-License-Identifier: MIT
# Host tests of kernel/: the real files over the fake arch; one thread plays all CPUs.
KERNEL_TESTS := build/unit/kernel-sync build/unit/kernel-timer build/unit/kernel-console build/unit/kernel-lines \
                build/unit/kernel-serial
KERNEL_SRCS  := $(addprefix hypervisor/kernel/,lock.c softirq.c rcu.c timer.c cpu.c) $(FAKE_SRCS)
UNIT_TESTS   += $(KERNEL_TESTS)

build/unit/kernel-console: hypervisor/kernel/console.c hypervisor/kernel/console_input.c hypervisor/kernel/console_ops.c \
                           hypervisor/kernel/keyhandler.c
# The port is the simulated machine's: its asm/io.h comes first.
build/unit/kernel-serial: hypervisor/kernel/serial.c
build/unit/kernel-serial: UNIT_CFLAGS := -Itests/unit/irq $(UNIT_CFLAGS)
build/unit/kernel-lines: hypervisor/kernel/lines.c hypervisor/kernel/symbols.c
$(KERNEL_TESTS): build/unit/kernel-%: tests/unit/kernel/test_%.c $(KERNEL_SRCS) $(wildcard hypervisor/kernel/*.h hypervisor/arch/fake/*.h) build/autoconf.h
	@mkdir -p $(@D)
	@echo "  HOSTCC $@"
	$(Q)$(HOSTCC) $(UNIT_CFLAGS) -o $@ $(filter %.c,$^) lib/string.c -lcmocka
