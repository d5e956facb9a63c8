#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""genconfig.py CONFIG DIR: turns Kconfig and CONFIG into DIR/autoconf.h (C) and DIR/config.mk (make).

A CONFIG that does not exist means the defaults.
"""
import os
import sys
import kconfiglib


def write_if_changed(path, text):
    if not os.path.exists(path) or open(path).read() != text:
        with open(path, "w") as out:
            out.write(text)


def main():
    config, where = sys.argv[1:]
    os.makedirs(where, exist_ok=True)
    kconf = kconfiglib.Kconfig("Kconfig", warn_to_stderr=True)
    if os.path.exists(config):
        kconf.load_config(config)
    kconf.write_autoconf(os.path.join(where, "autoconf.h"))
    write_if_changed(os.path.join(where, "config.mk"),
                     "".join(sym.config_string for sym in kconf.unique_defined_syms))


if __name__ == "__main__":
    main()
