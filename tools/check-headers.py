#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""check-headers.py BUILD_DIR: each header stands alone, and none includes itself in a circle.

Compiles every header by itself, as the hypervisor's code and (what lies outside arch/x86) as the
host tests' code.  Also: `#pragma once` in each, and how many of the project's headers a C file
draws in, and that common code includes no header of one arch.  Fails for what must not be; prints what is over a limit of docs/architecture.md.
"""
import concurrent.futures
import os
import re
import subprocess
import sys

MANY_HEADERS = 40
COMMON = ["gcc", "-std=gnu11", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-D__XEN_TOOLS__",
          "-I.", "-Ihypervisor"]
# To be included many times; the arch's half of mem/mem.h, which includes it.
NOT_ALONE = {"abi/ops/undef_calls.h", "hypervisor/arch/x86/asm/frames.h",
             "hypervisor/arch/fake/asm/frames.h"}
MANY_TIMES = {"abi/ops/undef_calls.h", "lib/hidden.h"}


def files(tops, suffixes):
    for top in tops:
        for where, _, names in sorted(os.walk(top)):
            for name in sorted(names):
                if name.endswith(suffixes):
                    yield os.path.join(where, name)


def flags(kind, build):
    if kind == "host":
        return COMMON + ["-DHOSPES_HOST", "-DCONFIG_DEBUG", "-Ihypervisor/arch/fake",
                         "-Itests/unit", "-Ibuild", "-include", "build/autoconf.h"]
    return COMMON + ["-ffreestanding", "-fPIC", "-mgeneral-regs-only", "-Ihypervisor/arch/x86",
                     f"-I{build}", "-include", f"{build}/autoconf.h", "-include", "lib/hidden.h"]


def stands_alone(header, kind, build):
    done = subprocess.run(flags(kind, build) + ["-x", "c", "-"], input=f'#include "{header}"\n',
                          text=True, capture_output=True)
    return None if done.returncode == 0 else f"{header}: not by itself ({kind}):\n{done.stderr}"


def kinds_of(header):
    if header.startswith("hypervisor/arch/x86/") or header == "lib/hidden.h":
        return ["hypervisor"]
    if header.startswith("hypervisor/arch/fake/"):
        return ["host"]
    return ["hypervisor", "host"]


class Graph:
    """Which header a file includes, by the hypervisor's search path."""

    def __init__(self):
        self.edges = {}

    def includes(self, path):
        if path not in self.edges:
            self.edges[path] = []
            for mark, name in re.findall(r'^#include (["<])([^">]+)[">]', open(path).read(), re.M):
                places = [".", "hypervisor", "hypervisor/arch/x86"]
                if mark == '"':
                    places.insert(0, os.path.dirname(path))
                elif not name.startswith("asm/"):
                    continue
                for place in places:
                    found = os.path.normpath(os.path.join(place, name))
                    if os.path.isfile(found):
                        self.edges[path].append(found)
                        break
        return self.edges[path]

    def reach(self, path):
        seen, todo = set(), [path]
        while todo:
            for found in self.includes(todo.pop()):
                if found not in seen:
                    seen.add(found)
                    todo.append(found)
        return seen

    def circle(self, path):
        return path in self.reach(path)


def main():
    build = sys.argv[1]
    bad = []
    graph = Graph()
    headers = list(files(["abi", "lib", "hypervisor"], ".h"))
    for header in headers:
        if graph.circle(header):
            bad.append(f"{header}: includes itself, by way of others")
    for header in files(["abi", "lib", "hypervisor", "tests"], ".h"):
        if header not in MANY_TIMES and "#pragma once" not in open(header).read():
            bad.append(f"{header}: no #pragma once")
    headers = [h for h in headers if h not in NOT_ALONE]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(stands_alone, h, k, build) for h in headers for k in kinds_of(h)]
        bad += [j.result() for j in jobs if j.result()]
    # Common code knows the machine by arch/api (and <asm/...> through it) alone.
    for path in files(["hypervisor", "lib"], (".c", ".h")):
        if not path.startswith(("hypervisor/arch/", "hypervisor/absent/")):
            for name in re.findall(r'^#include ["<](?:\.\./)*(arch/(?!api/)[^">]+)', open(path).read(),
                                   re.M):
                bad.append(f"{path}: includes {name}: common code knows arch/api only")
    worst = 0
    for source in files(["hypervisor", "lib"], ".c"):
        many = sum(1 for h in graph.reach(source) if h.endswith(".h"))
        worst = max(worst, many)
        if many > MANY_HEADERS:
            print(f"  note: {source} draws in {many} headers of the project")
    print(f"  {len(headers)} headers stand alone, no circles; at most {worst} headers a file")
    for line in bad:
        print(line)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
