# SPDX-License-Identifier: MIT
# Host tests of the instruction emulator: against expectations, against Zydis, against the processor.
EMULATE_SRCS := $(sort $(wildcard hypervisor/arch/x86/emulate/*.c))
EMULATE_DEPS := $(EMULATE_SRCS) $(wildcard hypervisor/arch/x86/emulate/*.h tests/unit/emulate/*.h) build/autoconf.h
EMULATE_TESTS := build/unit/emulate build/unit/emulate-segments build/unit/emulate-decode build/unit/emulate-native
UNIT_TESTS += $(EMULATE_TESTS)

build/unit/emulate: tests/unit/emulate/test_emulate.c
build/unit/emulate-segments: tests/unit/emulate/test_segments.c
build/unit/emulate-decode: tests/unit/emulate/test_decode.c
build/unit/emulate-decode: EMULATE_LIBS := -lZydis
build/unit/emulate-native: tests/unit/emulate/test_native.c tests/unit/emulate/trial.c tests/unit/emulate/native.c

$(EMULATE_TESTS): $(EMULATE_DEPS)
	@mkdir -p $(@D)
	@echo "  HOSTCC $@"
	$(Q)$(UNIT_LINK) $(EMULATE_LIBS) -lcmocka
$(EMULATE_TESTS): $$(call unit-objects,x86,$$^)

# Coverage-guided: `make fuzz-emulate`, then build/fuzz/emulate [-max_total_time=60]
build/fuzz/emulate: tests/fuzz/emulate.c $(EMULATE_DEPS)
	@mkdir -p $(@D)
	@echo "  FUZZCC $@"
	$(Q)clang-14 $(UNIT_X86) -fsanitize=fuzzer -o $@ $(filter %.c,$^)

# The same for the comparison with the processor; its own program is not worth the looking after.
build/fuzz/emulate-native: tests/fuzz/emulate_native.c tests/unit/emulate/trial.c tests/unit/emulate/native.c $(EMULATE_DEPS)
	@mkdir -p $(@D)
	@echo "  FUZZCC $@"
	$(Q)clang-14 $(filter-out -fsanitize=%,$(UNIT_X86)) -fsanitize=fuzzer -o $@ $(filter %.c,$^)

fuzz-emulate: build/fuzz/emulate
.PHONY: fuzz-emulate
