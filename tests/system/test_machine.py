# SPDX-License-Identifier: MIT
"""What reads the consoles, with a program in the place of QEMU that says what is awkward."""
import os
import time

import pytest

import machine
from machine import Died, Machine, TimedOut

# A dom0 whose kernel speaks in the middle of what its init says, and of the first prompt.
FAKE = r"""#!/usr/bin/python3
import os, re, sys, tty
tty.setraw(0)
def say(text):
    os.write(1, text.replace("\n", "\r\n").encode())
say("(XEN) Hospes is up; dom0 starts\n")
say("dom0: [6[    6.831243] ata1: PATA max.80] kern\nel 6.1 is up, 2 CPUs\n")
say("[    9.541202] e1000: ethdom0: [90 NIC Li.50] reank isdy Up\n")
if "stuck" in sys.argv:
    for n in 44, 70:
        say(f"watchdog: BUG: soft lockup - CPU#0 stuck for {n}s! [swapper/0:1]\n")
        say("RIP: e030:key_set_index_key+0x95/0x1d0\n")
elif "mute" not in sys.argv:
    say("dom0[    9.542202] IPv6: eth0: link becomes ready\n:~# ")
line = ""
while True:
    char = os.read(0, 1).decode()
    line += char
    if "mute" in sys.argv:
        if line.endswith("\x01\x01\x01q"):
            say("(XEN) d0v0 sleeps\n")
        continue
    if char == "\x15":
        line = ""
        say("\n")
        continue
    if char != "\n":
        say(char)
        if "between" in sys.argv and line.endswith("odd wo"):
            say("(XEN) r")
            sys.argv.remove("between")
        continue
    word = re.search(r"echo (s\d+e)", line)
    mark = re.search(r'"\$\?"@(c\d+)', line)
    if "repeating" in sys.argv and mark:
        say("\n" + line[:-8] + "\n" + line[-8:] + "said once")
    say("\n" + (f"{word[1]}42\n" if word else f"@0@{mark[1]}\n" if mark else "dom0:~# "))
    line = ""
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    path = os.path.join(tmp_path, "qemu")
    with open(path, "w", encoding="ascii") as file:
        file.write(FAKE)
    os.chmod(path, 0o755)
    monkeypatch.setattr(machine, "QEMU", path)


def test_lines_within_lines(fake):
    """Both lines of init that are waited for are broken, and so is the prompt."""
    with Machine(boot=()) as qemu:
        dom0 = qemu.boot_dom0(timeout=6)
        assert dom0.run("true").code == 0


def test_an_echo_twice(fake):
    """The terminal's, and that of a shell which was not ready yet and has lines of another width."""
    with Machine(boot=("repeating",)) as qemu:
        assert qemu.boot_dom0(timeout=6).run("true").output == "said once"


def test_words_within_an_echo(fake, monkeypatch):
    """A guest's own hypervisor writes "(XEN) " into what is typed; that letter is never seen."""
    told = []
    monkeypatch.setattr(Machine, "notice", told.append)
    monkeypatch.setattr(machine, "PATIENCE", 0.1)
    with Machine(boot=("between",)) as qemu:
        assert qemu.boot_dom0(timeout=60).run("echo odd words").code == 0
    assert len(told) == 1 and "echo odd words" in told[0].splitlines()[0]


def test_what_a_boot_that_stops_says(fake):
    begun = time.monotonic()
    with Machine(boot=("mute",)) as qemu, pytest.raises(TimedOut) as trouble:
        qemu.boot_dom0(timeout=3)
    assert time.monotonic() - begun < 40
    assert "dom0's first program" in str(trouble.value) and "s of CPU time" in str(trouble.value)
    assert "the hypervisor says ---\n(XEN) d0v0 sleeps" in str(trouble.value)


def test_a_kernel_that_stays_where_it_is(fake):
    with Machine(boot=("stuck",)) as qemu, pytest.raises(Died) as trouble:
        qemu.boot_dom0(timeout=60)
    assert "stays at the instruction key_set_index_key+0x95" in str(trouble.value)
