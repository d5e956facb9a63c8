# SPDX-License-Identifier: MIT
"""Four vcpus on four CPUs that bind, close and send events, map and copy grants, and change the
version of the table under each other's hands (tests/guests/stress): as a guest of dom0's, with the
most that the tools may allow it, and as the first domain of a machine."""
import os

import pytest

from conftest import LOGS
from machine import Machine, build
from test_guests import complaints, names, verdicts

IMAGE = os.path.join(build.TOP, "build/guests/stress")
CONFIG = b'type = "pv"\nkernel = "/boot/stress"\nmemory = 64\nvcpus = 4\non_crash = "destroy"\n'
CONSOLE = "/var/log/xen/console/guest-{}.log"
LIMITS = "max_event_channels=131071 max_grant_frames=256 max_maptrack_frames=2048"


def judge(text, name):
    verdict, why = verdicts(text).get(name, ("MISSING", ""))
    if verdict == "SKIP":
        pytest.skip(why)
    assert verdict == "PASS", complaints(text, name) or text[-1000:]


def put_into(image):
    image.add("etc/xen/stress.cfg", CONFIG)


@pytest.fixture(scope="module")
def by_xl(four):
    def run(name, words):
        dom0 = four.get()
        dom0.sh(f"""xl create -q /etc/xen/stress.cfg 'name="{name}"' {words}""", 120)
        dom0.gone(name, 300)
        return dom0.sh(f"tr -d '\\r' <{CONSOLE.format(name)}", 120)

    yield run
    four.close()


@pytest.fixture(scope="module")
def guest(by_xl):
    return by_xl("stress", "'extra=\"all\"'")


@pytest.mark.parametrize("name", names("TEST", "stress/*.c"))
def test_by_xl(guest, name):
    judge(guest, name)


def test_limits_of_the_tools(by_xl):
    """131,071 ports, each of which works; as many grant frames as were allowed, and no more."""
    text = by_xl("limits", f"'kernel=\"/boot/guest\"' 'extra=\"fifo grant limits\"' {LIMITS}")
    judge(text, "fifo_all_ports")
    judge(text, "grant_all_frames")
    assert "the last is 131071" in text and "256 frames" in text


@pytest.fixture(scope="module")
def first_domain(built):
    with Machine(modules=[IMAGE + " all"], dom0_mem="256M", cpus=4,
                 log=os.path.join(LOGS, "stress-dom0.log")) as machine:
        machine.wait_for("GUEST done", 300)
        return machine.text


@pytest.mark.parametrize("name", names("TEST", "stress/*.c"))
def test_as_first_domain(first_domain, name):
    judge(first_domain, name)
