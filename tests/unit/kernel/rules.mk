# SPDX-License-Identifier: MIT
# Host tests of kernel/: the real files over the fake arch; one thread plays all CPUs.
KERNEL_TESTS := build/unit/kernel-sync build/unit/kernel-timer build/unit/kernel-console build/unit/kernel-lines \
                build/unit/kernel-serial
KERNEL_SRCS  := lib/string.c $(addprefix hypervisor/kernel/,lock.c softirq.c rcu.c timer.c cpu.c) $(FAKE_SRCS)
UNIT_TESTS   += $(KERNEL_TESTS)

build/unit/kernel-console: hypervisor/kernel/console.c hypervisor/kernel/console_input.c hypervisor/kernel/console_ops.c \
                           hypervisor/kernel/keyhandler.c
build/unit/kernel-serial: hypervisor/kernel/serial.c
build/unit/kernel-lines: hypervisor/kernel/lines.c hypervisor/kernel/symbols.c
$(KERNEL_TESTS): build/unit/kernel-%: tests/unit/kernel/test_%.c $(KERNEL_SRCS) $(wildcard hypervisor/kernel/*.h hypervisor/arch/fake/*.h) build/autoconf.h
	@mkdir -p $(@D)
	@echo "  HOSTCC $@"
	$(Q)$(UNIT_LINK) -lcmocka
$(filter-out %-serial,$(KERNEL_TESTS)): $$(call unit-objects,plain,$$^)
# The port is the simulated machine's: its asm/io.h comes first.
build/unit/kernel-serial: $$(call unit-objects,irq,$$^)
