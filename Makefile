# SPDX-License-Identifier: MIT
# make            the hypervisor: build/x86_64/hospes (multiboot 1, 32-bit ELF), hospes.gz, hospes-syms
# make unit       host unit tests under ASan and UBSan
# make help       everything else
ARCH    ?= x86
O       ?= build/x86_64
CC      := gcc
HOSTCC  ?= gcc
V       ?= 0
Q       := $(if $(filter 1,$(V)),,@)

all: $(O)/hospes $(O)/hospes.gz sizes

-include build/config.mk

COMMON_INC := -I. -Ihypervisor
DEFS       := -D__XEN_TOOLS__
WARN       := -Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes
HYP_CFLAGS := -std=gnu11 -O2 -g -ffreestanding -fno-builtin-printf -fno-strict-aliasing -fno-common -fPIC \
              -fvisibility=hidden -fno-stack-protector -fno-asynchronous-unwind-tables -fno-jump-tables \
              -fno-omit-frame-pointer -mno-red-zone -mno-sse -mno-mmx -mno-80387 -msoft-float -mgeneral-regs-only \
              -include build/autoconf.h -include lib/hidden.h $(WARN) $(DEFS) $(COMMON_INC) -Ihypervisor/arch/$(ARCH) -I$(O) $(EXTRA_CFLAGS)

# Every room is a folder; what Kconfig leaves out is a file left out (hypervisor/rooms.mk).
SRCS := $(sort $(shell find hypervisor lib -name '*.c' -o -name '*.S' | grep -v '/fake/' | grep -v 'asm-offsets.c'))
-include hypervisor/rooms.mk
SRCS := $(filter-out $(SRCS_OUT),$(SRCS))
OBJS := $(addprefix $(O)/,$(addsuffix .o,$(basename $(SRCS))))

build/autoconf.h build/config.mk: Kconfig tools/genconfig.py $(wildcard .config)
	@mkdir -p build
	$(Q)/usr/bin/python3 tools/genconfig.py

$(O)/asm-offsets.h: hypervisor/arch/$(ARCH)/asm-offsets.c build/autoconf.h
	@mkdir -p $(@D)
	$(Q)$(CC) $(HYP_CFLAGS) -S -o $(@:.h=.s) $<
	$(Q)sed -n 's/^.*->\([A-Za-z0-9_]*\) [$$]*\(-\{0,1\}[0-9]*\).*$$/#define \1 \2/p' $(@:.h=.s) > $@

$(O)/%.o: %.c build/autoconf.h | $(O)/asm-offsets.h
	@mkdir -p $(@D)
	@echo "  CC   $<"
	$(Q)$(CC) $(HYP_CFLAGS) -MMD -MP -c -o $@ $<

$(O)/%.o: %.S build/autoconf.h $(O)/asm-offsets.h
	@mkdir -p $(@D)
	@echo "  AS   $<"
	$(Q)$(CC) $(HYP_CFLAGS) -D__ASSEMBLY__ -MMD -MP -c -o $@ $<

-include $(OBJS:.o=.d)
-include hypervisor/arch/$(ARCH)/boot/image.mk

# ---- host tests: every tests/unit/<room>/rules.mk adds its binary to UNIT_TESTS ----
UNIT_CFLAGS := -std=gnu11 -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -DHOSPES_HOST -DCONFIG_DEBUG \
               -Wall -Wextra -Werror $(DEFS) -I. -Ihypervisor -Ihypervisor/arch/fake -Itests/unit -include build/autoconf.h
-include $(sort $(wildcard tests/unit/*/rules.mk))

unit: $(UNIT_TESTS)
	@set -e; for t in $(UNIT_TESTS); do echo "  UNIT $$t"; $$t; done

format-check:
	@find hypervisor lib tests \( -name '*.c' -o -name '*.h' \) | xargs clang-format-14 --dry-run -Werror

format:
	@find hypervisor lib tests \( -name '*.c' -o -name '*.h' \) | xargs clang-format-14 -i

clean:
	rm -rf $(O) build/unit build/autoconf.h build/config.mk

.PHONY: all unit clean format format-check sizes help
