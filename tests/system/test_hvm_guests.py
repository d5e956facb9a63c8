# SPDX-License-Identifier: MIT
"""Bare-metal PVH guests (tests/guests/hvm): attackers in ring 0 of a machine of their own, and what
must go on working. As in test_guests.py, whose kinds of tests these are; what may or must end its
guest runs in several domains at once."""
import os
import subprocess

import pytest

from conftest import LOGS
from machine import Trouble, build
from test_guests import CONSOLE, CRASH, POWER_OFF, SOURCES, XL_LOG, Runs, complaints, judge, names
import re

pytestmark = pytest.mark.hospes_only
FILES = ["hvm/tests/*.c"]
REBOOT = 1  # SHUTDOWN_*
ENDS = {"death_triple_fault": REBOOT, "death_halted_for_good": POWER_OFF}
AT_ONCE = 4


@pytest.fixture(scope="module")
def extra(built):
    subprocess.run(["make", "-s", "-C", SOURCES], check=True)
    image = build.Image()
    for name in ("hvm", "stress-hvm"):
        image.add_file(f"boot/{name}", os.path.join(build.TOP, "build/guests", name))
    image.add("etc/xen/hvm.cfg", b'type = "pvh"\nkernel = "/boot/hvm"\nmemory = 64\nvcpus = 2\n'
              b'on_crash = "destroy"\non_reboot = "destroy"\n'
              # QEMU's CPU forgets, on VMRUN and #VMEXIT, which breakpoints it has: a vcpu that uses some and
              # comes back to a CPU may bring QEMU down. Its first CPU is none for guests (docs/hvm.md).
              b'cpus = ["1", "2"]\n')
    extra = os.path.join(LOGS, "hvm-guests.img")
    with open(extra, "wb") as file:
        image.write(file)
    return extra


class Ends:
    """The tests that may or must end their guests, run a few at a time: what each said, and how it
    ended."""

    def __init__(self, runs):
        self.runs, self.said, self.end = runs, {}, {}

    def run(self, batch):
        dom0 = self.runs.stable.get()
        for name in batch:
            dom0.sh(f"""xl create -q /etc/xen/hvm.cfg 'name="{name}"' 'extra="{name}"'""", 120)
        for name in batch:
            try:
                dom0.gone(name, 60)
                found = re.search(r"reason code (\d+)", dom0.run(f"cat {XL_LOG.format(name)}").output)
                self.end[name] = int(found.group(1)) if found else None
            except Trouble:
                dom0.run(f"xl destroy {name}")
                self.end[name] = None
            self.said[name] = dom0.run(f"tr -d '\\r' <{CONSOLE.format(name)}").output
        assert dom0.sh("echo well") == "well"

    def get(self, name):
        if name not in self.said:
            every = [n for n in names("DEATH", *FILES) + names("RISK", *FILES) if n not in self.said]
            at = every.index(name) // AT_ONCE * AT_ONCE
            for one in every[at:at + AT_ONCE]:
                self.said[one], self.end[one] = "(the machine did not live through it)", None
            self.run(every[at:at + AT_ONCE])
        return self.said[name]


@pytest.fixture(scope="module", params=["qemu64,+svm,+npt", "max"], ids=["old", "new"])
def runs(extra, request):
    runs = Runs(f"hvm-guests-{request.param[:3]}", extra, config="hvm", cpu=request.param, cpus=3)
    yield runs
    runs.stable.close()


@pytest.fixture(scope="module")
def ends(extra):
    runs = Runs("hvm-ends", extra, config="hvm", cpus=3)
    yield Ends(runs)
    runs.stable.close()


@pytest.mark.parametrize("name", names("TEST", *FILES))
def test_hvm(runs, name):
    judge(runs.all("hvm"), name)


@pytest.mark.parametrize("name", names("DEATH", *FILES))
def test_hvm_death(ends, name):
    text = ends.get(name)
    assert f"TEST {name}: DYING" in text, "the guest did not come so far"
    assert "GUEST" not in text.split(f"{name}: DYING")[1], "it lives:\n" + text
    assert ends.end[name] == ENDS.get(name, CRASH), "it ended otherwise, or hung"


@pytest.mark.parametrize("name", names("RISK", *FILES))
def test_hvm_risk(ends, name):
    """The CPU may refuse, or the guest has ended; it may not hang."""
    text = ends.get(name)
    assert f"TEST {name}: DYING" in text, "the guest did not come so far"
    assert f"TEST {name}: FAIL" not in text, complaints(text, name)
    assert ends.end[name] is not None, "it hangs"


def test_hvm_interrupts_between_vcpus(ends):
    """Four vcpus interrupt each other in every way, whether they run or halt: none is lost."""
    judge(ends.runs.run("stress-hvm", "ipis", "stress_ipis", 120, vcpus=4), "stress_ipis")
