# SPDX-License-Identifier: MIT
"""The bare-metal test guests (tests/guests), each of their tests counted as one here.

All tests of a guest run in one domain, which says on its console how each went; those that spoil
theirs get one each: the hypervisor has to end it (DEATH), may do so (RISK), or not (ALONE). Three places: a guest that makes system calls, the
same with a hypercall page, and a dom0 of its own on an otherwise empty machine; the first on QEMU's
newest CPU, too. 32-bit guests (pae) have tests of their own.
"""
import glob
import os
import re

import pytest

from conftest import LOGS, TEST_GUESTS
from machine import CommandFailed, Machine, Trouble, build

IMAGES = ["guest", "guest-page"]
IMAGES32 = ["pae", "pae-page"]
CONSOLE = "/var/log/xen/console/guest-{}.log"
XL_LOG = "/var/log/xen/xl-{}.log"
POWER_OFF, CRASH = 0, 3  # SHUTDOWN_*
# The hypervisor powers a guest off whose last vcpu goes down.
ENDS = {"death_all_vcpus_down": POWER_OFF}


BOTH = ["abi/events.c", "abi/fifo.c", "abi/grants.c", "abi/versions.c"]  # as tests/guests/Makefile has it


def names(kind, *files):
    """The tests of 64-bit guests; those of 32-bit ones are in folder pae and files of both."""
    found = []
    for path in sorted(sum((glob.glob(os.path.join(TEST_GUESTS, name)) for name in files or ["a*/*.c"]), [])):
        with open(path) as file:
            found += re.findall(rf"^{kind}\((\w+)\)", file.read(), re.M)
    return found


def verdicts(text):
    return {name: (verdict, why) for name, verdict, why in
            re.findall(r"^TEST (\w+): (PASS|FAIL|SKIP)\b ?(.*)$", text, re.M)}


def complaints(text, name):
    return "\n".join(re.findall(rf"^  {name}: .*$", text, re.M))


class Runs:
    """One machine, and what the guests that ran on it have said."""

    def __init__(self, stable, config="tiny", every="all"):
        self.config, self.stable, self.every = config, stable, every
        self.said = {}
        self.end = None  # of the guest that ran last: the reason of its shutdown; None if it hung

    def run(self, image, name, words, timeout, *settings, vcpus=2):
        """Create a guest, wait until it is no more; what it said on its console."""
        self.end = None
        dom0 = self.stable.get()
        config = (f"""'name="{name}"' 'kernel="/boot/{image}"' 'extra="{words}"' vcpus={vcpus} """
                  """memory=64 'on_crash="destroy"' """ + " ".join(f"'{setting}'" for setting in settings))
        logs = f"{CONSOLE.format(name)} {XL_LOG.format(name)}"
        dom0.sh(f"rm -f {logs}; xl create -q /etc/xen/{self.config}.cfg {config}", 120)
        try:
            dom0.gone(name, timeout)
            found = re.search(r"reason code (\d+)", dom0.run(f"cat {XL_LOG.format(name)}").output)
            self.end = int(found.group(1)) if found else None
        except Trouble:
            dom0.run(f"xl destroy {name}")
        try:
            return dom0.sh(f"tr -d '\\r' <{CONSOLE.format(name)}", 120)
        except CommandFailed:
            return ""

    def all(self, image):
        if image not in self.said:
            self.said[image] = "(the machine did not live through it)"
            self.said[image] = self.run(image, image, self.every, 300)
        return self.said[image]


@pytest.fixture(scope="module")
def runs(ordinary):
    ordinary.tidy(True)  # no other guest
    return Runs(ordinary)


@pytest.fixture(scope="module")
def runs_new(newest):
    return Runs(newest)


def judge(text, name):
    verdict, why = verdicts(text).get(name, ("MISSING", ""))
    if verdict == "SKIP":
        pytest.skip(why)
    assert verdict == "PASS", complaints(text, name) or "the guest did not come so far:\n" + \
        "\n".join(text.splitlines()[-10:])


@pytest.mark.parametrize("name", names("TEST"))
@pytest.mark.parametrize("image", IMAGES)
def test_guest(runs, image, name):
    judge(runs.all(image), name)


@pytest.mark.hospes_only  # Debian's Xen is built without 32-bit PV guests
@pytest.mark.parametrize("name", names("TEST", "pae/*.c", *BOTH))
@pytest.mark.parametrize("image", IMAGES32)
def test_guest32(runs, image, name):
    judge(runs.all(image), name)


@pytest.mark.parametrize("name", names("TEST"))
def test_guest_new_cpu(runs_new, name):
    """With SMEP, SMAP, XSAVE, FSGSBASE and what else QEMU has."""
    judge(runs_new.all("guest"), name)


@pytest.mark.parametrize("name", names("TEST", "pae/*.c", *BOTH))
def test_guest32_new_cpu(runs_new, name):
    judge(runs_new.all("pae"), name)


@pytest.mark.hospes_only
@pytest.mark.parametrize("image", ["guest", "pae"])
def test_frames_beyond_4_gb(older, image):
    """A guest of each width on a machine with more memory than 32 bits address: most has such."""
    assert re.search(r"GUEST done: \d+ passed, 0 failed", Runs(older).all(image))


def run_alone(runs, image, name):
    """What the guest said in which this test ran, and dom0 still works."""
    text = runs.run(image, "dying", name, 60)
    assert runs.stable.get().sh("echo well") == "well"
    return text


def dies(runs, image, name):
    """The hypervisor ends the guest: the guest itself says neither that it is done nor that it gives
    up."""
    text = run_alone(runs, image, name)
    assert f"TEST {name}: DYING" in text, "the guest did not come so far"
    assert "GUEST" not in text.split(f"{name}: DYING")[1], "it lives:\n" + text
    assert runs.end == ENDS.get(name, CRASH), "it ended otherwise, or hung"


@pytest.mark.parametrize("name", names("DEATH"))
def test_death(runs, name):
    dies(runs, "guest", name)


@pytest.mark.hospes_only
@pytest.mark.parametrize("name", names("DEATH", "pae/*.c"))
def test_death32(runs, name):
    dies(runs, "pae", name)


@pytest.mark.parametrize("name", names("ALONE"))
def test_alone(runs, name):
    judge(run_alone(runs, "guest", name), name)


@pytest.mark.parametrize("name", names("RISK"))
def test_risk(runs, name):
    """It may even hang: what is called at random may wait forever."""
    text = run_alone(runs, "guest", name)
    assert f"TEST {name}: DYING" in text, "the guest did not come so far"
    assert f"TEST {name}: FAIL" not in text, complaints(text, name)


@pytest.fixture(scope="module")
def as_dom0(built):
    guest = os.path.join(build.TOP, "build/guests/guest")
    with Machine(modules=[guest + " all"], dom0_mem="256M", cpus=2,
                 log=os.path.join(LOGS, "guest-dom0.log")) as qemu:
        try:
            qemu.wait_for("GUEST done", 300)
        except Trouble:
            pass
        return qemu.text


@pytest.mark.parametrize("name", names("TEST"))
def test_as_dom0(as_dom0, name):
    judge(as_dom0, name)
