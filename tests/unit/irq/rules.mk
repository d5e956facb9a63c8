# SPDX-License-Identifier: MIT
# Host tests of ACPI tables, time, and interrupts, over a simulated machine (tests/unit/irq/asm).
IRQ_TESTS := build/unit/acpi build/unit/time build/unit/time-sync build/unit/irq
UNIT_TESTS += $(IRQ_TESTS)
IRQ_FAKE := $(FAKE_SRCS)

build/unit/acpi: tests/unit/irq/test_acpi.c $(filter-out %/map.c,$(wildcard hypervisor/arch/x86/acpi/*.c)) $(IRQ_FAKE)
build/unit/time: tests/unit/irq/test_time.c hypervisor/arch/x86/time/calibrate.c hypervisor/arch/x86/time/publish.c \
                 hypervisor/arch/x86/time/rtc.c hypervisor/kernel/lock.c $(IRQ_FAKE)
build/unit/time-sync: tests/unit/irq/test_sync.c hypervisor/arch/x86/time/sync.c hypervisor/arch/x86/time/calibrate.c $(IRQ_FAKE)
build/unit/irq: tests/unit/irq/test_irq.c tests/unit/irq/machine.c $(addprefix hypervisor/arch/x86/irq/,irq.c vectors.c \
                ioapic.c i8259.c pirq.c msi.c physdev.c) hypervisor/arch/x86/pci.c hypervisor/kernel/lock.c $(IRQ_FAKE)

$(IRQ_TESTS): $(wildcard tests/unit/irq/*.h tests/unit/irq/asm/*.h hypervisor/arch/x86/irq/*.h hypervisor/arch/x86/acpi/*.h \
              hypervisor/arch/x86/time/*.h) build/autoconf.h
	@mkdir -p $(@D)
	@echo "  HOSTCC $@"
	$(Q)$(UNIT_LINK) -lcmocka
$(IRQ_TESTS): $$(call unit-objects,irq,$$^)
