# SPDX-License-Identifier: MIT
# Host tests of hardware-virtualised guests' rooms, over a vendor that only remembers.
HVM_TESTS := build/unit/hvm-save build/unit/hvm-cr
UNIT_TESTS += $(HVM_TESTS)

build/unit/hvm-save: tests/unit/hvm/test_save.c tests/unit/hvm/vendor.c $(addprefix hypervisor/arch/x86/hvm/,save.c records.c)
build/unit/hvm-cr: tests/unit/hvm/test_cr.c tests/unit/hvm/vendor.c hypervisor/arch/x86/hvm/cr.c

$(HVM_TESTS): $(FAKE_SRCS) hypervisor/kernel/lock.c $(wildcard tests/unit/hvm/*.h hypervisor/arch/x86/hvm/*.h) build/autoconf.h
	@mkdir -p $(@D)
	@echo "  HOSTCC $@"
	$(Q)$(HOSTCC) $(UNIT_CFLAGS) -Ihypervisor/arch/x86 -o $@ $(filter %.c,$^) -lcmocka
