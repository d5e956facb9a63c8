#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Turns Kconfig and .config into build/autoconf.h (C) and build/config.mk (make)."""
import os
import kconfiglib

os.makedirs("build", exist_ok=True)
kconf = kconfiglib.Kconfig("Kconfig", warn_to_stderr=True)
if os.path.exists(".config"):
    kconf.load_config(".config")
kconf.write_autoconf("build/autoconf.h")
with open("build/config.mk", "w") as out:
    for sym in kconf.unique_defined_syms:
        if sym.config_string:
            out.write(sym.config_string)
