# SPDX-License-Identifier: MIT
# Host tests of hardware-virtualised guests' rooms; vendor.c is one that only remembers.
HVM_TESTS := $(addprefix build/unit/hvm-,save cr cpuid vlapic p2m_types dirty access clean levels policy)
UNIT_TESTS += $(HVM_TESTS)

build/unit/hvm-save: tests/unit/hvm/test_save.c tests/unit/hvm/vendor.c $(addprefix hypervisor/arch/x86/hvm/,save.c records.c) \
                     $(addprefix hypervisor/arch/x86/cpu/,fpu.c modes.c policy_fit.c)
build/unit/hvm-cr: tests/unit/hvm/test_cr.c tests/unit/hvm/vendor.c $(addprefix hypervisor/arch/x86/,$(addprefix hvm/,cr.c records.c start.c) cpu/fpu.c cpu/modes.c)
build/unit/hvm-cpuid: tests/unit/hvm/test_cpuid.c tests/unit/hvm/vendor.c $(addprefix hypervisor/arch/x86/,cpu/cpuid.c cpu/fpu.c cpu/msr.c hvm/cpuid.c pv/cpuid.c)
build/unit/hvm-levels: tests/unit/hvm/test_levels.c $(addprefix hypervisor/arch/x86/cpu/,policy.c policy_fit.c)
build/unit/hvm-policy: tests/unit/hvm/test_policy.c hypervisor/arch/x86/cpu/policy_fit.c
build/unit/hvm-vlapic: tests/unit/hvm/test_vlapic.c $(addprefix hypervisor/arch/x86/hvm/,vlapic.c vlapic_timer.c)
build/unit/hvm-p2m_types: tests/unit/hvm/test_p2m_types.c $(addprefix hypervisor/arch/x86/hvm/,p2m.c pod.c) tests/unit/mem/ground.c $(wildcard hypervisor/mem/*.c)
build/unit/hvm-dirty: tests/unit/hvm/test_dirty.c tests/unit/hvm/vendor.c $(addprefix hypervisor/arch/x86/hvm/,dirty.c p2m.c pod.c) \
                      hypervisor/arch/x86/cpu/fpu.c
build/unit/hvm-access: tests/unit/hvm/test_access.c $(addprefix hypervisor/arch/x86/hvm/,access.c p2m.c pod.c) tests/unit/mem/ground.c $(wildcard hypervisor/mem/*.c)
build/unit/hvm-clean: tests/unit/hvm/test_clean.c hypervisor/arch/x86/hvm/svm/clean.c

$(HVM_TESTS): $(FAKE_SRCS) hypervisor/kernel/lock.c $(wildcard tests/unit/hvm/*.h hypervisor/arch/x86/hvm/*.h) build/autoconf.h
	@mkdir -p $(@D)
	@echo "  HOSTCC $@"
	$(Q)$(UNIT_LINK) -lcmocka
$(HVM_TESTS): $$(call unit-objects,x86,$$^)
