# SPDX-License-Identifier: MIT
"""When things go wrong at boot: one clear line on the console that says what and what to do, then
a halt with `noreboot`, a restart without."""
import os
import re
import subprocess

import pytest

from conftest import LOGS, UNPACKED
from machine import Died, Machine, build, hypervisor_image

pytestmark = pytest.mark.hospes_only
VMLINUZ = os.path.join(build.OUT, "vmlinuz")
DOM0 = os.path.join(build.OUT, "dom0.img")


def dies(name, expected, **options):
    """Boot something that cannot work; the line that says so."""
    append = options.pop("append", "noreboot")
    with Machine(append=append, log=os.path.join(LOGS, f"failure.{name}.log"), **options) as qemu:
        found = qemu.wait_for(rf"(?i)\(XEN\) [^\n]*(?:{expected})[^\n]*\n", 120, raw=True)
        qemu.settle(2)
        assert qemu.alive() == ("noreboot" in append)
        return found.group(0)


def described(line):
    """A line of a panic that describes an address: (address, function, file, line number)."""
    found = re.search(r"(?:0x|:)([0-9a-f]{16}) ([\w.]+)\+\w+/\w+ \((\S+):(\d+)\)", line)
    return (int(found[1], 16), found[2], found[3], int(found[4])) if found else None


def by_debug_information(address):
    """What addr2line knows of an address: (file, line number) of it and of those it is inlined in."""
    out = subprocess.run(["addr2line", "-ie", hypervisor_image() + "-syms", hex(address)], check=True,
                         capture_output=True, text=True).stdout
    return re.findall(r"^(\S+):(\d+)", out, re.M)


def test_fault_names_lines(built):
    """A fault of the hypervisor's own shows where it was and who called, by function, file and
    line, as the debug information has it."""
    with Machine(append="noreboot", kernel=UNPACKED,
                 log=os.path.join(LOGS, "failure.fault.log")) as qemu:
        qemu.wait_for_init("kernel ")
        qemu.qemu.send("\x01\x01\x01C")
        with pytest.raises(Died, match="Panic on CPU [0-9]+: [^\n]*vector 6,"):
            qemu.wait_for("dom0: lives", 60)
        lines = [line for line in qemu.hypervisor_log if "ffff82d0" in line]
    rips = [found for found in map(described, lines) if found and found[1] == "crash"]
    source = contents(os.path.join(build.TOP, "hypervisor/kernel/keyhandler.c")).decode()
    trap = source[:source.index("__builtin_trap")].count("\n") + 1
    assert len(rips) == 2, "the register dump and the backtrace do not name the fault"
    assert all(found[2:] == ("kernel/keyhandler.c", trap) for found in rips), rips
    backtrace = [line for line in lines if re.search(r"\(XEN\)   0x", line)]
    assert len(backtrace) > 2
    for line in backtrace:
        found = described(line)
        assert found, f"no line: {line}"
        # The fault's own address, and those where the other CPUs were stopped, are exact; the
        # others are return addresses.
        known = by_debug_information(found[0]) + by_debug_information(found[0] - 1)
        assert any(file.endswith("/" + found[2]) for file, _ in known), f"{line}: not {known}"
        # What is inlined has several lines.
        if len(known) == 2:
            assert str(found[3]) in [number for _, number in known], f"{line}: not {known}"


def file_with(name, data):
    path = os.path.join(LOGS, name)
    with open(path, "wb") as file:
        file.write(data)
    return path


def contents(path):
    with open(path, "rb") as file:
        return file.read()


def test_no_module(built):
    line = dies("none", r"no dom0|dom0 kernel|module", modules=[])
    assert re.search(r"initrd|module", line), "the line does not say what to give"


def test_no_module_reboots_without_noreboot(built):
    dies("restart", r"no dom0|dom0 kernel|module", modules=[], append="")


def test_kernel_that_is_none(built):
    path = file_with("nonsense", b"This is no kernel.\n" * 100000)
    dies("nonsense", r"dom0 kernel|not a kernel|neither", modules=[path, DOM0])


@pytest.mark.parametrize("where", [0.3, 0.9])
def test_corrupt_kernel(built, where):
    data = bytearray(contents(VMLINUZ))
    at = int(len(data) * where)
    data[at:at + 4096] = bytes(x ^ 0x5a for x in data[at:at + 4096])
    path = file_with("corrupt", data)
    dies(f"corrupt.{where}", r"corrupt|damaged", modules=[path, DOM0])


def test_truncated_kernel(built):
    path = file_with("truncated", contents(VMLINUZ)[:3_000_000])
    dies("truncated", r"truncated|corrupt", modules=[path, DOM0])


def test_empty_kernel(built):
    path = file_with("empty", b"\0" * 16)
    dies("empty", r"dom0 kernel", modules=[path, DOM0])


def test_truncated_initrd(built):
    path = file_with("short.img", contents(DOM0)[:5_000_000])
    dies("initrd", r"initrd[^\n]*truncated", modules=[VMLINUZ, path])


def test_too_little_memory(built):
    dies("memory", r"too little memory|not enough memory|out of memory", mem="64M",
         dom0_mem="")


def test_dom0_mem_larger_than_the_machine(built):
    dies("dom0_mem", r"memory", mem="1G", dom0_mem="4G")


def test_dom0_mem_too_small_for_its_kernel(built):
    dies("dom0_mem_small", r"memory", dom0_mem="16M")
