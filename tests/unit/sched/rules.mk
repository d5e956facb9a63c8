# SPDX-License-Identifier: MIT
# Host tests of sched/ and of vcpu_op: real scheduler, timers and units over the fake arch.
SCHED_TESTS := build/unit/sched-core build/unit/sched-ops
SCHED_SRCS  := lib/string.c $(wildcard hypervisor/sched/*.c) hypervisor/control/bitmap.c $(addprefix hypervisor/kernel/,lock.c softirq.c rcu.c timer.c cpu.c) \
               hypervisor/domain/unit.c hypervisor/domain/vcpu_ops.c tests/unit/sched/ground.c $(FAKE_SRCS)
UNIT_TESTS  += $(SCHED_TESTS)

$(SCHED_TESTS): build/unit/sched-%: tests/unit/sched/test_%.c $(SCHED_SRCS) $(wildcard hypervisor/sched/*.h hypervisor/kernel/*.h \
                hypervisor/arch/fake/*.h tests/unit/sched/*.h abi/ops/sched.def abi/ops/vcpu.def) build/autoconf.h
	@mkdir -p $(@D)
	@echo "  HOSTCC $@"
	$(Q)$(UNIT_LINK) -lcmocka -Wl,--defsym=__units_start=__start_units,--defsym=__units_end=__stop_units
$(SCHED_TESTS): $$(call unit-objects,plain,$$^)
