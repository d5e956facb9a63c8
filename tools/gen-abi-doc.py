#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Prints docs/abi.md from the rows of abi/ops and the numbers in the public headers.

    gen-abi-doc.py            the page, on standard output
    gen-abi-doc.py --check    fails if docs/abi.md is stale, or if an operation that the public
                              headers define is in no row
"""
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OPS = os.path.join(ROOT, "abi/ops")
PAGE = os.path.join(ROOT, "docs/abi.md")
HEADERS = """#include "abi/xen_abi.h"
#include <xen/argo.h>
#include <xen/arch-x86/xen-mca.h>
#include <xen/hvm/dm_op.h>
#include <xen/hypfs.h>
#include <xen/kexec.h>
#include <xen/pmu.h>
"""
COMPILE = ["gcc", "-D__XEN_TOOLS__", "-ffreestanding", "-I.", "-Ihypervisor"]

# Which macros of the headers number operations, and which of those only look so.
FAMILIES = [
    (r"__HYPERVISOR_[a-z]\w*", r"arch_[1-7]$"),
    (r"XEN_DOMCTL_[a-z]\w*", r"XEN_DOMCTL_vmtrace_(?!op)"),
    (r"XEN_SYSCTL_[a-z]\w*", r"cpu_featureset_|cpu_policy_|pm_op_"),
    (r"XENPF_[a-z]\w*", None),
    (r"PHYSDEVOP_(?:[a-z]|IRQ_)\w*", None),
    (r"XENMEM_[a-z]\w*", r"XENMEM_(?:access_op|paging_op|sharing_op|resource)_"),
    (r"MMUEXT_\w+", None),
    (r"MMU_\w+", None),
    (r"EVTCHNOP_\w+", None),
    (r"GNTTABOP_\w+", r"error_msgs"),
    (r"VCPUOP_\w+", None),
    (r"SCHEDOP_\w+", None),
    (r"CALLBACKOP_\w+", None),
    (r"XENVER_\w+", None),
    (r"HVMOP_[a-z]\w*", r"HVMOP_altp2m_"),
    (r"XEN_DMOP_[a-z]\w*", r"no_gfns"),
    (r"KEXEC_CMD_\w+", None),
    (r"XEN_ARGO_OP_\w+", None),
    (r"XEN_HYPFS_OP_\w+", None),
    (r"XENNMI_\w+", None),
    (r"CONSOLEIO_\w+", None),
    (r"VMASST_CMD_\w+", None),
    (r"XENPMU_[a-z]\w*", None),
    (r"XEN_MC_[a-z]\w*", None),
]
WHO = {"ANY": "any guest", "TARGET": "the target itself, or who is privileged over it",
       "DM": "who is privileged over the target", "PRIV": "dom0"}
DIRECTION = {"NONE": "", "IN": "in", "OUT": "out", "INOUT": "in, out"}
FLAGS = {"LOCK_DOMCTL_": "one at a time in the host", "OUT_ALWAYS": "copied out on errors, too",
         "NO_SELF": "not the caller itself", "SPECIAL_DOM": "DOMID_IO and DOMID_XEN, too",
         "TARGET_OPTIONAL": "the target may be missing", "PV_ONLY": "not for who has a physical address space of his own",
         "0": ""}
WHERE = {"CMD_ARG": "the command is the first argument, a pointer to the rest the second",
         "CMD_VCPU_ARG": "command, number of a vcpu, pointer to the rest",
         "CMD_ARG_COUNT": "command, pointer to an array, number of elements",
         "CMD_INSIDE": "as kernels of before 2006 call it, one structure led by the command",
         "STRUCT": "one structure, led by command and interface version"}


class Row:
    """kind (OP, BATCH, ...) and its arguments, of a file."""

    def __init__(self, kind, args):
        self.kind, self.args = kind, args

    @property
    def name(self):
        return self.args[1] if self.kind in ("OWN", "ANSWER") else self.args[0]


def split(text):
    """Arguments of a macro call: commas inside parentheses do not count."""
    out, depth = [""], 0
    for c in text:
        depth += (c == "(") - (c == ")")
        if c == "," and not depth:
            out.append("")
        else:
            out[-1] += c
    return [" ".join(a.split()) for a in out]


def rows_of(name):
    text = open(os.path.join(OPS, name)).read()
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.S)
    for macro, value in re.findall(r"^#define (\w+) (.*)$", text, re.M):
        text = re.sub(rf"\b{macro}\b", value, text)
    text = re.sub(r"^#.*$", "", text, flags=re.M)
    rows, pos = [], 0
    while m := re.compile(r"\s*([A-Z_]+\d?)\(").match(text, pos):
        depth, end = 1, m.end()
        while depth:
            depth += (text[end] == "(") - (text[end] == ")")
            end += 1
        rows.append(Row(m.group(1), split(text[m.end():end - 1])))
        pos = end
    if text[pos:].strip():
        sys.exit(f"{name}: not a row: {text[pos:].strip().splitlines()[0]}")
    return rows


def compiler(args, text):
    done = subprocess.run(COMPILE + args + ["-x", "c", "-"], input=text, text=True, cwd=ROOT,
                          capture_output=True)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def operations_in_headers():
    macros = dict(re.findall(r"^#define (\w+) (.+)$", compiler(["-E", "-dM"], HEADERS), re.M))
    found = {}
    for family, but in FAMILIES:
        for name, value in macros.items():
            alias = re.fullmatch(r"[A-Za-z_]\w*", value)  # a newer or older name of another
            if re.fullmatch(family, name) and not alias and not (but and re.search(but, name)):
                found[name] = family
    return found


def numbers(names):
    """By compiling: #-> name value lines in assembler."""
    body = "".join(f'__asm__("#-> {n} %c0" :: "i"((unsigned long)({n})));\n' for n in names)
    out = compiler(["-S", "-o", "-"], f"{HEADERS}void f(void)\n{{\n{body}}}\n")
    return {n: int(v) for n, v in re.findall(r"#-> (\w+) (-?\d+)", out)}


def target_words(target):
    if target.startswith("FIELD("):
        return "`" + split(target[6:-1])[1] + "`"
    return {"SELF": "the caller", "NO_TARGET": ""}.get(target, target)


def flag_words(flags):
    return "; ".join(w for w in (FLAGS[f.strip()] for f in flags.split("|")) if w)


def op_line(row, number):
    if row.kind == "NONE":
        return f"| {number} | `{row.name}` | -ENOSYS | | | | |"
    if row.kind == "ANSWER":
        return f"| {number} | `{row.name}` | -{row.args[2]} | | | | |"
    if row.kind == "OWN":
        return f"| {number} | `{row.name}` | in the hypercall's | {WHO[row.args[2]]} | | | |"
    if row.kind == "BATCH":
        name, handler, _, who, target, flags = row.args
        way = "in, out"
    else:
        name, handler, _, way, who, target, flags = row.args
        way = DIRECTION[way]
    return (f"| {number} | `{name}` | `{handler}` | {WHO[who]} | {target_words(target)} | {way} | "
            f"{flag_words(flags)} |")


HEAD = """# The interface, operation by operation

Generated by `make abi` from the rows of `abi/ops` (its README explains them) and the public headers
of Debian's libxen-dev; `make check` fails when it is stale or when the headers define an operation
that has no row.

An operation without a handler answers -ENOSYS (or the error shown). *Target* is the domain acted
on: the caller, or the one named in the field shown (DOMID_SELF allowed). *Argument*: whether the
structure is copied in from the caller's memory, out to it, or both.

"""


class Page:
    def __init__(self):
        self.tables = {r.args[0]: rows_of(r.args[0] + ".def") for r in rows_of("tables.def")}
        self.mmuext = rows_of("mmuext.def")
        self.calls = rows_of("hypercalls.def")
        self.untabled = rows_of("untabled.def")
        everything = [r for t in self.tables.values() for r in t]
        everything += self.mmuext + self.calls + self.untabled
        self.all = everything
        self.number = numbers({r.name for r in everything})

    def subs(self, call):
        """Rows under one hypercall."""
        rows = [r for r in self.untabled if r.args[0] == call.name]
        if call.kind == "TABLE":
            rows += self.tables[call.args[1]]
        if call.name == "__HYPERVISOR_mmuext_op":
            rows += self.mmuext
        return sorted(rows, key=lambda r: self.number[r.name])

    def call_line(self, call):
        name = call.name.replace("__HYPERVISOR_", "")
        if call.kind == "TABLE":
            handler = f"[operations](#{name})"
        elif call.kind == "NOCALL":
            handler = "-ENOSYS"
        else:
            handler = f"`{call.args[1]}`" + (", called directly" if call.kind[:3] == "HOT" else "")
            if self.subs(call):
                handler += f" ([operations](#{name}))"
        who = ""
        if call.kind not in ("TABLE", "NOCALL"):
            who = WHO[call.args[2].replace("WHO_", "")]
        arity = call.kind[-1] if call.kind[-1].isdigit() else ""
        return f"| {self.number[call.name]} | `{name}` | {handler} | {arity} | {who} |"

    def text(self):
        calls = sorted(self.calls, key=lambda r: self.number[r.name])
        subs = [r for r in self.all if r not in self.calls]
        done = [r for r in subs if r.kind in ("OP", "BATCH", "OWN")]
        out = [HEAD + f"{sum(c.kind != 'NOCALL' for c in calls)} of {len(calls)} hypercalls and "
               f"{len(done)} of {len(subs)} operations under them have handlers.", "",
               "## Hypercalls", "", "| number | hypercall | handler | arguments | who may call |",
               "|--:|---|---|---|---|"]
        out += [self.call_line(c) for c in calls]
        for c in calls:
            rows = self.subs(c)
            if not rows:
                continue
            out += ["", f"## {c.name.replace('__HYPERVISOR_', '')}", ""]
            if c.kind == "TABLE":
                out += [f"By `abi/ops/{c.args[1]}.def`; {WHERE[c.args[2]]}.", ""]
            out += ["| number | operation | handler | who may call | target | argument | |",
                    "|--:|---|---|---|---|---|---|"]
            out += [op_line(r, self.number[r.name]) for r in rows]
        return "\n".join(out) + "\n"


def check(page):
    have = {r.name for r in page.all}
    missing = sorted(n for n in operations_in_headers() if n not in have)
    for name in missing:
        print(f"abi: {name} of the public headers is in no row of abi/ops")
    twice = {r.name for r in page.all if sum(o.name == r.name for o in page.all) > 1}
    for name in sorted(twice):
        print(f"abi: {name} has several rows")
    stale = not os.path.exists(PAGE) or open(PAGE).read() != page.text()
    if stale:
        print("abi: docs/abi.md is stale: make abi")
    return 1 if missing or twice or stale else 0


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        sys.exit(check(Page()))
    sys.stdout.write(Page().text())
