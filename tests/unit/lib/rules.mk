# SPDX-License-Identifier: MIT
# Host tests of lib/: strings and printf against the C library's, range sets against a bitmap.
UNIT_TESTS += build/unit/lib

build/unit/lib: tests/unit/lib/test_lib.c tests/unit/lib/ours.c lib/rangeset.c lib/string.c lib/printf.c build/autoconf.h
	@mkdir -p $(@D)
	@echo "  HOSTCC $@"
	$(Q)$(UNIT_LINK) -lcmocka
# printf.c is part of ours.c.
build/unit/lib: $$(call unit-objects,plain,$$(filter-out lib/printf.c,$$^))
