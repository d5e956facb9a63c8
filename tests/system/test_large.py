# SPDX-License-Identifier: MIT
"""Guests with many more VCPUs than there are CPUs: they run, and dom0 goes on.

VCPUS: how many. 128 (`make large`) take minutes, since Linux has all that are up tick 250 times a
second until the last is there.
"""
import os

VCPUS = int(os.environ.get("VCPUS", "32"))


def test_guest_of_many_vcpus(dom0, guests):
    guests.linux("many", f"vcpus={VCPUS}", "memory=512", "maxmem=512")
    with dom0.console("many", timeout=300) as guest:
        assert int(guest.sh("nproc", 60)) == VCPUS
        said = guest.sh("dmesg", 60)
        assert f"Brought up 1 node, {VCPUS} CPUs" in said
        assert "soft lockup" not in said and "stalls on CPUs" not in said
        # Each of them works; dom0 gets no less for that.
        ran = guest.sh("for i in $(seq 0 $(($(nproc) - 1))); do "
                       "taskset -c $i sed -n 's/Cpus_allowed_list:.//p' /proc/self/status & done; wait", 120)
        assert sorted(int(cpu) for cpu in ran.split()) == list(range(VCPUS))
    assert len(dom0.sh("xl vcpu-list many | sed 1d", 60).splitlines()) == VCPUS
    dom0.sh("xl destroy many", 120)
    dom0.gone("many")
