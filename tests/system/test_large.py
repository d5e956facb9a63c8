# SPDX-License-Identifier: MIT
"""Guests with many more VCPUs than there are CPUs: they run, and dom0 goes on."""


def test_guest_of_128_vcpus(dom0, guests):
    guests.linux("many", "vcpus=128", "memory=512", "maxmem=512")
    with dom0.console("many", timeout=300) as guest:
        assert int(guest.sh("nproc", 60)) == 128
        said = guest.sh("dmesg", 60)
        assert "Brought up 1 node, 128 CPUs" in said
        assert "soft lockup" not in said and "stalls on CPUs" not in said
        # All of them are busy; dom0 gets no less for that.
        guest.sh("for i in $(seq 128); do (while :; do :; done) & done; sleep 2", 120)
    rows = dom0.sh("xl vcpu-list many | sed 1d", 60).splitlines()
    assert len(rows) == 128
    dom0.sh("xl destroy many", 120)
    dom0.gone("many")
