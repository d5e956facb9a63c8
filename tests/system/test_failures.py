# SPDX-License-Identifier: MIT
"""When things go wrong at boot: one clear line on the console that says what and what to do, then
a halt with `noreboot`, a restart without."""
import os
import re

import pytest

from conftest import LOGS
from machine import Machine, build

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
