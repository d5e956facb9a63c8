# SPDX-License-Identifier: MIT
"""Every command of Debian's xl that manages guests, on one machine."""
import hashlib
import re
import time

import pytest


def words(text):
    return [line.split() for line in text.splitlines()]


# Looking ----------------------------------------------------------------------------------

def test_info(dom0):
    info = dict(re.findall(r"^(\S+) +: (.*)$", dom0.sh("xl info"), re.M))
    assert info["host"] == "dom0"
    assert (info["xen_major"], info["xen_minor"]) == ("4", "17")
    assert info["nr_cpus"] == "2" and info["nr_nodes"] == "1"
    assert "xen-3.0-x86_64" in info["xen_caps"].split()
    assert info["xen_scheduler"] == "credit2" and info["xen_pagesize"] == "4096"
    assert 2900 <= int(info["total_memory"]) <= 3072
    assert 1500 <= int(info["free_memory"]) <= 2100
    assert "dom0_mem" in info["xen_commandline"]
    assert info["cc_compiler"]


def test_info_numa_and_topology(dom0):
    said = dom0.sh("xl info -n")
    assert "cpu_topology" in said and "numa_info" in said
    assert re.search(r"^ *0: +\d+ +\d+ +10$", said, re.M), "node 0 is at distance 10 of itself"


def test_list(dom0):
    rows = words(dom0.sh("xl list"))
    assert rows[0][:4] == ["Name", "ID", "Mem", "VCPUs"]
    assert rows[1][:4] == ["Domain-0", "0", "1024", "2"] and rows[1][4].startswith("r")
    assert [row[0] for row in rows[2:]] in ([], ["shared"])


def test_dmesg(dom0):
    said = dom0.sh("xl dmesg | tr -d '()'")  # bracketed, it would be cut out of the stream
    assert len(said.splitlines()) > 10
    assert re.search(r"Command line|dom0_mem", said)


def test_dmesg_clear(dom0):
    before = int(dom0.sh("xl dmesg -c | wc -c"))
    assert int(dom0.sh("xl dmesg | wc -c")) < before


def test_debug_keys(dom0):
    log = dom0.machine.hypervisor_log
    before = len(log)
    dom0.sh("xl debug-keys h")
    dom0.machine.settle(2)
    assert len(log) > before + 10, "the key handlers were not listed on the console"
    assert re.search(r"key.*h", " ".join(log[before:]))


@pytest.mark.parametrize("key", "qremtadgHMuvz")
def test_debug_key_survives(dom0, key):
    """Whatever a key prints, or does not, the machine goes on."""
    dom0.sh(f"xl debug-keys {key}", 60)
    dom0.machine.settle(0.5)
    assert dom0.sh("echo still here") == "still here"


def test_top(dom0):
    said = dom0.sh("xentop -b -i 2 -d 1", 60)
    assert said.count("Domain-0") == 2
    assert re.search(r"^ *NAME +STATE +CPU\(sec\)", said, re.M)


def test_uptime(dom0, guests):
    guests.tiny("t")
    said = dom0.sh("xl uptime")
    assert re.search(r"Domain-0 +0 +\d", said) and re.search(r"^t +\d+ +0:00:", said, re.M)


def test_domid_and_domname(dom0, guests):
    domid = guests.tiny("t")
    assert domid > 0 and dom0.sh("xl domid t") == str(domid)
    assert dom0.sh(f"xl domname {domid}") == "t"
    assert dom0.run("xl domid nobody").code != 0


def test_rename(dom0, guests):
    domid = guests.tiny("t")
    dom0.sh("xl rename t u")
    assert dom0.sh("xl domid u") == str(domid) and guests.row("t") is None


def test_scheduler(dom0, guests):
    guests.tiny("t")
    assert re.search(r"^t +\d+ +256", dom0.sh("xl sched-credit2"), re.M)
    dom0.sh("xl sched-credit2 -d t -w 512")
    assert re.search(r"^t +\d+ +512", dom0.sh("xl sched-credit2"), re.M)


def test_cpupool(dom0):
    assert re.search(r"^Pool-0 +2 +credit2 +y +1", dom0.sh("xl cpupool-list"), re.M)
    assert dom0.sh("xl cpupool-list -c | sed 1d").split() == ["Pool-0", "0,1"] or \
        "0-1" in dom0.sh("xl cpupool-list -c")


# A guest's life -----------------------------------------------------------------------------

def test_create_and_use(dom0, guests):
    """The demo's own guest: Debian's kernel as Debian packs it, 256 MB, 2 VCPUs."""
    dom0.sh("xl create /etc/xen/pv.cfg", 180)
    assert guests.row("pv")[2] == "256"
    with dom0.console("pv") as guest:
        assert guest.sh("nproc") == "2"
        assert guest.sh("cat /sys/hypervisor/type") == "xen"
        assert guest.sh("cat /sys/hypervisor/guest_type") == "PV"
        assert 180_000 < int(guest.sh("sed -n 's/MemTotal: *//p' /proc/meminfo").split()[0])
        assert guest.sh("seq 20000 | md5sum") == md5_of_seq()
        guest.machine.qemu.send("poweroff\n")
        guest.ended(60)
    dom0.gone("pv")


def md5_of_seq():
    text = "".join(f"{i}\n" for i in range(1, 20001))
    return hashlib.md5(text.encode()).hexdigest() + "  -"


def test_guest_time_goes_on(dom0, linux):
    with dom0.console(linux) as guest:
        first = float(guest.sh("cut -d' ' -f1 /proc/uptime"))
        guest.sh("sleep 2")
        second = float(guest.sh("cut -d' ' -f1 /proc/uptime"))
        assert 1.9 < second - first < 20
        apart = int(guest.sh("date +%s")) - time.time()
        assert abs(apart) < 10, "the guest's clock is wrong"


def test_console_again_and_again(dom0, linux):
    for round in range(3):
        with dom0.console(linux) as guest:
            assert guest.sh(f"echo round {round}") == f"round {round}"


def test_much_console_output(dom0, linux):
    with dom0.console(linux) as guest:
        assert guest.sh("seq 3000", 120).splitlines() == [str(i) for i in range(1, 3001)]


def test_pause_and_unpause(dom0, guests, linux):
    dom0.sh(f"xl pause {linux}")
    assert guests.row(linux)[4] in ("--p---", "-bp---")  # a guest may sleep, and be paused
    used = guests.row(linux)[5]
    dom0.sh("sleep 2")
    assert guests.row(linux)[5] == used, "a paused guest ran"
    dom0.sh(f"xl unpause {linux}")
    assert "p" not in guests.row(linux)[4]
    with dom0.console(linux) as guest:
        assert guest.sh("echo well") == "well"


def test_create_paused(dom0, guests):
    guests.tiny("t", flags="-p")
    assert guests.row("t")[4] == "--p---"
    assert float(guests.row("t")[5]) == 0
    dom0.sh("xl unpause t")
    assert guests.row("t")[4] != "--p---"


def test_reboot_and_shutdown(dom0, guests):
    before = guests.linux("g")
    with dom0.console("g") as guest:
        guest.sh("touch /tmp/here")
    dom0.sh("xl reboot g")
    dom0.until(f"id=$(xl domid g) && [ $id -gt {before} ]", 120)
    with dom0.console("g") as guest:
        assert guest.run("[ -e /tmp/here ]").code != 0, "the guest did not really start anew"
    dom0.sh("xl shutdown -w g", 120)
    dom0.gone("g")


def test_destroy(dom0, guests, linux):
    guests.tiny("g")
    dom0.sh("xl destroy g")
    assert guests.row("g") is None


def test_guest_that_crashes_dies_alone(dom0, guests):
    other = guests.tiny("other")
    dom0.sh("""xl create -q /etc/xen/tiny.cfg 'name="bad"' 'extra="c"' 'on_crash="destroy"'""")
    dom0.gone("bad")
    assert dom0.domid("other") == other
    assert dom0.sh("echo well") == "well"


def test_guest_that_stops_by_itself(dom0, guests):
    dom0.sh("""xl create -q /etc/xen/tiny.cfg 'name="t"' 'extra="p"'""")
    dom0.gone("t")


# VCPUs and memory ---------------------------------------------------------------------------

def vcpus(dom0, name):
    return [row for row in words(dom0.sh(f"xl vcpu-list {name}")) if row[0] == name]


def test_save_and_restore(dom0, guests):
    """A snapshot from which the guest goes on, and a restored one from which it does."""
    guests.linux("g", "memory=96", "vcpus=2")
    with dom0.console("g") as guest:
        guest.sh("echo from before > /tmp/file")
    for line in ("xl save -c g /tmp/g.save", "xl destroy g; xl restore /tmp/g.save"):
        dom0.sh(f"{{ {line}; }} >/tmp/log 2>&1 || {{ tail /tmp/log; false; }}", 180)
        with dom0.console("g") as guest:
            assert guest.sh("cat /tmp/file; date +%s; sleep 1").startswith("from before")
            assert guest.sh("cat /sys/devices/system/cpu/online").strip() == "0-1"
    dom0.sh("rm /tmp/g.save")


def test_vcpu_list(dom0, linux):
    rows = vcpus(dom0, linux)
    assert [row[2] for row in rows] == ["0", "1"]
    assert all(row[-3:] == ["all", "/", "all"] for row in rows)


def test_vcpu_pin(dom0, linux):
    for cpu in ("1", "0"):
        dom0.sh(f"xl vcpu-pin {linux} all {cpu}")
        with dom0.console(linux) as guest:
            guest.sh("seq 3000 >/dev/null; taskset 2 seq 3000 >/dev/null")
        rows = vcpus(dom0, linux)
        assert [row[6] for row in rows] == [cpu, cpu]
        assert all(row[3] in (cpu, "-") for row in rows), "a VCPU is where it may not be"
    dom0.sh(f"xl vcpu-pin {linux} all all")


def test_vcpu_set(dom0, linux):
    dom0.sh(f"xl vcpu-set {linux} 1")
    dom0.until(f"xl vcpu-list {linux} | grep -q '^{linux} .* --p '", 60)
    with dom0.console(linux) as guest:
        assert guest.sh("nproc") == "1"
    dom0.sh(f"xl vcpu-set {linux} 2")
    with dom0.console(linux) as guest:
        # No udev in this guest: somebody has to switch the CPU on.
        guest.until("echo 1 >/sys/devices/system/cpu/cpu1/online; [ $(nproc) = 2 ]", 60)
        assert guest.sh("taskset 2 seq 3") == "1\n2\n3"


def memory_of(guest):
    return int(guest.sh("sed -n 's/MemTotal: *//p' /proc/meminfo").split()[0])


def test_mem_set(dom0, linux):
    with dom0.console(linux) as guest:
        before = memory_of(guest)
    free = dom0.free_memory()
    dom0.sh(f"xl mem-set {linux} 128")
    dom0.until(f"[ $(xl list {linux} | tail -n 1 | awk '{{print $3}}') -le 129 ]", 60)
    with dom0.console(linux) as guest:
        assert before - memory_of(guest) > 50_000
    assert dom0.free_memory() - free >= 60
    dom0.sh(f"xl mem-set {linux} 192")
    dom0.until(f"[ $(xl list {linux} | tail -n 1 | awk '{{print $3}}') -ge 191 ]", 60)


def test_mem_max(dom0, guests):
    guests.tiny("g")
    dom0.sh("xl mem-max g 160")
    assert dom0.sh("xl list -l g | grep max_memkb")
    assert dom0.run("xl mem-max g nonsense").code != 0


# Many ---------------------------------------------------------------------------------------

def test_ten_guests_at_once(dom0, guests):
    """Four with Debian's kernel, of which one panics, and six small ones; their memory comes back."""
    before = dom0.free_memory()
    for number in range(4):
        guests.linux(f"g{number}", "memory=128", 'on_crash="preserve"')
    for number in range(4, 10):
        guests.tiny(f"g{number}")
    assert len(re.findall(r"^g[0-9] ", dom0.sh("xl list"), re.M)) == 10
    assert before - dom0.free_memory() >= 4 * 128 + 6 * 32
    with dom0.console("g2") as guest:
        guest.sh("echo 1 >/proc/sys/kernel/panic_on_oops")
        guest.machine.send("echo c >/proc/sysrq-trigger")
    dom0.until("xl list | grep '^g2 .*c'", 60)
    for number in (0, 1, 3):
        with dom0.console(f"g{number}") as guest:
            assert guest.sh(f"echo I am {number}") == f"I am {number}"
    dom0.sh("for i in 0 1 3; do xl shutdown g$i; done; for i in 2 4 5 6 7 8 9; do xl destroy g$i; done", 120)
    dom0.until("! xl list | grep '^g[0-9] '", 180)
    dom0.until(f"[ $(xl info free_memory) = {before} ]", 30)


def test_nothing_is_lost_over_many_guests(dom0, guests):
    """Guests made and destroyed: the hypervisor has as much memory as before. (`make soak` makes a
    thousand.)"""
    guests.tiny("warm")
    dom0.sh("xl destroy warm")
    time.sleep(1)
    before = dom0.free_memory()
    dom0.sh("for i in 0 1 2 3 4 5 6 7 8 9; do xl create -q /etc/xen/tiny.cfg "
            "'name=\"t\"' && xl destroy t || exit 1; done", 300)
    dom0.until(f"[ $(xl info free_memory) = {before} ]", 30)


def test_a_guest_too_large_is_refused(dom0, guests):
    before = dom0.free_memory()
    result = dom0.run("xl create -q /etc/xen/tiny.cfg 'name=\"big\"' memory=100000", 120)
    assert result.code != 0 and guests.row("big") is None
    dom0.until(f"[ $(xl info free_memory) = {before} ]", 30)
