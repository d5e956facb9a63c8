#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Prints docs/command-line.md from hypervisor/boot/cmdline.def."""
import re

HEAD = """# Command line of the hypervisor

Generated from `hypervisor/boot/cmdline.def`, the table that parses it: `make docs/command-line.md`.

Words are separated by blanks; the last one wins. An unknown or malformed one is reported by name
on the console and otherwise ignored. Yes-or-no options are given as `name`, `no-name`,
`name=yes` or `name=no` (also `on`/`off`, `true`/`false`, `1`/`0`, `enable`/`disable`). Sizes take
`k`, `M`, `G` or `T`.

| option | kind | default | what it does |
|---|---|---|---|"""
ROW = re.compile(
    r'^(BOOL|UINT|SIZE|TEXT|REF|CALL)\(((?:\w+, )+)"([^"]*)", (.*)"((?:[^"\\]|\\.)*)"\)$')


def default_of(kind, middle):
    parts = [p.strip() for p in middle.rstrip(", ").split(", ")]
    if kind == "BOOL":
        return "yes" if parts[0] == "true" else "no"
    if kind == "TEXT":
        text = ", ".join(parts[1:]).strip('"')
        return f"`{text}`" if text else ""
    if kind in ("REF", "CALL"):
        text = parts[0].strip('"')
        return f"`{text}`" if kind == "CALL" and text else text
    if kind == "SIZE":
        value = eval(parts[0], {"__builtins__": {}})  # a product of numbers in our own file
        return f"{value >> 10}k" if value else ""
    return parts[0] if parts[0] != "0" else ""


def main():
    print(HEAD)
    kinds = {"BOOL": "yes/no", "UINT": "number", "SIZE": "size", "TEXT": "text", "CALL": "text"}
    rows = []
    for line in open("hypervisor/boot/cmdline.def"):
        m = ROW.match(line.strip())
        if m:
            kind, ids, name, middle, text = m.groups()
            shown = ids.split(",")[0][4:] if kind == "REF" else kind
            rows.append((name, kinds[shown], default_of(kind, middle), text.replace("|", "\\|")))
    for row in sorted(rows):
        print("| `%s` | %s | %s | %s |" % row)


if __name__ == "__main__":
    main()
