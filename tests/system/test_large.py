# SPDX-License-Identifier: MIT
"""Guests with many more VCPUs than there are CPUs: they run, and dom0 goes on."""


def test_guest_of_128_vcpus(dom0, guests):
    guests.linux("many", "vcpus=128", "memory=512", "maxmem=512")
    with dom0.console("many", timeout=300) as guest:
        assert int(guest.sh("nproc", 60)) == 128
        said = guest.sh("dmesg", 60)
        assert "Brought up 1 node, 128 CPUs" in said
        assert "soft lockup" not in said and "stalls on CPUs" not in said
        # Each of them works; dom0 gets no less for that.
        ran = guest.sh("for i in $(seq 0 127); do "
                       "taskset -c $i sed -n 's/Cpus_allowed_list:.//p' /proc/self/status & done; wait", 120)
        assert sorted(int(cpu) for cpu in ran.split()) == list(range(128))
    rows = dom0.sh("xl vcpu-list many | sed 1d", 60).splitlines()
    assert len(rows) == 128
    dom0.sh("xl destroy many", 120)
    dom0.gone("many")
