# SPDX-License-Identifier: MIT
"""PVH guests: Debian's own kernel in a machine of its own, by stock xl."""
import base64
import os
import random
import re
import subprocess

import pytest

from conftest import SHIM, Guests
from test_soak import in_use

HERE = os.path.dirname(os.path.abspath(__file__))
FREE = "xl info free_memory"
PORT, MSR = 0x7b, 0x7c  # exit codes (arch/x86/hvm/svm/vmcb.h)


def compiled(source, program):
    """A program without a library, as text."""
    subprocess.run(["gcc", "-O1", "-nostdlib", "-static", "-ffreestanding", "-fno-stack-protector",
                    "-fcf-protection=none", "-Wl,--build-id=none,-z,noseparate-code,-n", "-s",
                    "-o", program, os.path.join(HERE, source)], check=True)
    with open(program, "rb") as file:
        return base64.b64encode(file.read()).decode()


def exits(dom0):
    """Of the only PVH guest: for each VCPU {exit code: how often}."""
    text = dom0.sh("xl dmesg -c >/dev/null; xl debug-keys q; "
                   "xl dmesg | sed -n 's/.*vcpu [0-9]*, exits by code:/exits/p'")
    return [{int(code, 16): int(count) for code, count in re.findall(r"(0x\w+): (\d+)", line)}
            for line in re.findall(r"^exits.*", text, re.M)]


def tables(dom0):
    """Of the only PVH guest: how many map its memory."""
    return int(dom0.sh("xl dmesg -c >/dev/null; xl debug-keys q; "
                       "xl dmesg | sed -n 's/.*mapped by \\([0-9]*\\) tables.*/\\1/p'"))


def test_debian_runs_as_pvh(dom0, guests, tmp_path):
    """Two VCPUs, a console, a disk on dom0's blkback; it powers off by itself and leaves nothing."""
    assert "hvm" in dom0.sh("xl info virt_caps").split()
    dom0.sh("dd if=/dev/zero of=/tmp/pvh.img bs=1M count=4 2>/dev/null; "
            "echo from dom0 | dd of=/tmp/pvh.img conv=notrunc 2>/dev/null; losetup /dev/loop3 /tmp/pvh.img")
    program = compiled("touch_mmio.c", tmp_path / "touch_mmio")
    dom0.sh(f"echo {program} | base64 -d | dd of=/tmp/pvh.img bs=1k seek=8 conv=notrunc 2>/dev/null")
    before = dom0.sh(FREE)
    guests.linux("h", 'type="pvh"', "vcpus=2", "memory=192", 'disk=["phy:/dev/loop3,xvda,w"]',
                 'on_poweroff="destroy"')
    guests.first_console("h").leave()
    # Linux has looked for PCI, and not for much else. Then it does nothing, and hardly leaves.
    before_sleep = exits(dom0)
    assert before_sleep[0][PORT] < 17_500 and before_sleep[0][MSR] < 1_000
    dom0.sh("sleep 2")
    assert sum(sum(vcpu.values()) for vcpu in exits(dom0)) < 1_000 + \
        sum(sum(vcpu.values()) for vcpu in before_sleep)
    with dom0.console("h") as guest:
        assert "Xen HVM" in guest.sh("dmesg | grep 'Hypervisor detected'")
        assert guest.sh("grep -c ^processor /proc/cpuinfo").strip() == "2"
        assert guest.sh("cat /sys/devices/system/cpu/online").strip() == "0-1"
        guest.until("[ -b /dev/xvda ]", 30)
        assert guest.sh("head -n 1 /dev/xvda").strip() == "from dom0"
        guest.sh("echo from the guest | dd of=/dev/xvda bs=512 seek=1 conv=fsync 2>/dev/null")
        # What is not memory, with all kinds of instructions.
        guest.sh("dd if=/dev/xvda of=/tmp/touch bs=1k skip=8 count=8 2>/dev/null; chmod +x /tmp/touch; /tmp/touch")
        # Events, timers and both VCPUs under load.
        guest.sh("for i in 1 2 3 4; do (dd if=/dev/zero bs=64k count=200 2>/dev/null | md5sum) & done; wait",
                 120)
        guest.sh("sleep 1")
    dom0.sh("xl pause h; xl unpause h; xl shutdown -F h || xl destroy h")
    dom0.run("xl destroy h")
    dom0.gone("h")
    assert "from the guest" in dom0.sh("dd if=/tmp/pvh.img bs=512 skip=1 count=1 2>/dev/null | head -n 1")
    dom0.until("losetup -d /dev/loop3", 30)
    dom0.until(f"[ $({FREE}) = {before.strip()} ]", 30)


def test_pvh_memory_and_network(dom0, guests):
    """Less memory than the map says, more of it, less again; eight VCPUs; a card on dom0's bridge."""
    dom0.sh("[ -e /sys/class/net/xenbr0 ] || { ip link add xenbr0 type bridge; "
            "ip addr add 192.168.7.1/24 dev xenbr0; ip link set xenbr0 up; }")
    before = int(dom0.sh(FREE))
    guests.linux("h", 'type="pvh"', "vcpus=8", "memory=160", "maxmem=320", 'vif=["bridge=xenbr0"]')
    assert int(guests.row("h")[2]) <= 160
    with guests.first_console("h") as guest:
        assert guest.sh("cat /sys/devices/system/cpu/online").strip() == "0-7"
        guest.sh("ip addr add 192.168.7.2/24 dev eth0; ip link set eth0 up")
        guest.until("ping -c 1 -W 5 192.168.7.1", 60)
        guest.sh("ping -c 3 -s 1400 192.168.7.1", 60)
    memory = "$(xl list h | awk 'NR == 2 {print $3}')"
    dom0.sh("xl mem-set h 280")
    dom0.until(f"[ {memory} -ge 279 ]", 60)
    with dom0.console("h") as guest:
        guest.sh("mount -t tmpfs -o size=200m tmpfs /mnt; dd if=/dev/zero of=/mnt/x bs=1M count=150 2>/dev/null",
                 120)
        guest.sh("rm /mnt/x")
    dom0.sh("xl mem-set h 170")
    dom0.until(f"[ {memory} -le 171 ]", 60)
    with dom0.console("h") as guest:
        guest.sh("dd if=/dev/zero of=/mnt/x bs=1M count=40 2>/dev/null")
    dom0.sh("xl destroy h")
    dom0.gone("h")
    dom0.until(f"[ $({FREE}) = {before} ]", 30)


@pytest.mark.skipif(not os.path.exists(SHIM), reason="Debian's packages are not unpacked here")
def test_pv_shim(dom0, guests):
    """Debian's Xen as a PVH guest, which runs Debian's kernel as a PV guest of its own."""
    before = int(dom0.sh(FREE))
    guests.linux("s", 'type="pvh"', "pvshim=1", "vcpus=2", "memory=400", 'on_poweroff="destroy"',
                 'pvshim_extra="guest_loglvl=none"')  # it would write into what is typed
    with guests.first_console("s", 240) as guest:
        assert "Xen PV" in guest.sh("dmesg | grep 'Hypervisor detected'")
        assert guest.sh("nproc").strip() == "2"
    dom0.sh("xl shutdown -w s", 120)
    dom0.gone("s")
    dom0.until(f"[ $({FREE}) = {before} ]", 30)


def test_pvh_guests_come_and_go(dom0, guests):
    """Killed at any moment of their start; PV guests beside them go on."""
    guests.tiny("t")
    before = int(dom0.sh(FREE))
    for wait in (0, 1, 3):
        guests.linux("h", 'type="pvh"', "vcpus=3", f"hap={wait % 2}")  # 0: nested paging, too
        dom0.sh(f"sleep {wait}; xl destroy h")
        dom0.gone("h")
    assert guests.row("t")
    dom0.until(f"[ $({FREE}) = {before} ]", 30)


# Writes memory all the time, and reads what it has written; counts rounds, and what was wrong.
CHECKER = ("(n=0; while :; do dd if=/dev/urandom of=/tmp/a bs=64k count=8 2>/dev/null; md5sum /tmp/a > /tmp/a.md5; "
           "md5sum -c /tmp/a.md5 >/dev/null 2>&1 || echo bad >> /tmp/bad; n=$((n+1)); echo $n > /tmp/n; done) & true")


def goes_on(dom0, rounds=2):
    """The checker in h runs, and has found nothing."""
    with dom0.console("h") as guest:
        now = int(guest.until("grep . /tmp/n", 60))  # not while it is being written
        guest.until(f"[ $(cat /tmp/n) -ge {now + rounds} ]", 60)
        assert guest.run("cat /tmp/bad").code


def tsc(dom0):
    """The TSC of h."""
    text = dom0.sh("/usr/lib/xen-4.17/bin/xen-hvmctx $(xl domid h)")
    return int(re.search(r"^ +tsc 0x(\w+)", text, re.M).group(1), 16)


# Commands, within how many seconds of them, and who of those that they may have made by then is destroyed.
ENDS = [("xl save h /tmp/again", 8, ("h",)),
        ("xl migrate -s '' h 'xl migrate-receive'", 12, ("h", "h--incoming")),
        ("xl migrate -s '' h 'xl migrate-receive'", 12, ("h--incoming", "h"))]


def killed_on_the_way(dom0, command, within, victims):
    """Domains destroyed at a random moment of what the tools do with them; the tools see it, and end."""
    wait = f"{random.uniform(0.2, within):.1f}"
    print(f"{command}, {victims} destroyed after {wait} s")
    dom0.sh(f"{command} >/tmp/log 2>&1 & sleep {wait}; xl destroy {victims[0]}; wait $!; true", 120)
    for victim in victims:
        dom0.run(f"xl destroy {victim}")
    dom0.run("rm -f /tmp/again")
    dom0.until("! xl list | grep -q -e '^h' -e null", 60)


def test_pvh_moves(dom0, guests):
    """Live migration to this same host under load, a snapshot from which it goes on, and its restore.
    It has ballooned: there are frames with nothing in them. What is ended in the middle leaves nothing."""
    guests.linux("h", 'type="pvh"', "vcpus=2", "maxmem=192")
    with guests.first_console("h") as guest:
        guest.sh(CHECKER)
    goes_on(dom0)
    first, few = dom0.domid("h"), tables(dom0) + 12
    dom0.sh("xl migrate -s '' h 'xl migrate-receive' >/tmp/log 2>&1 || { tail /tmp/log; false; }", 200)
    assert dom0.domid("h") != first
    goes_on(dom0)
    assert tables(dom0) < few  # leaves are large again, though the tools come with single pages
    dom0.sh("xl save -c h /tmp/h.save >/tmp/log 2>&1 || { tail /tmp/log; false; }", 200)
    goes_on(dom0)
    last = tsc(dom0)
    dom0.sh("xl destroy h")
    dom0.gone("h")
    before = in_use(dom0)
    killed_on_the_way(dom0, "xl restore -p /tmp/h.save", 4, ("h",))
    assert in_use(dom0) == before
    # Its TSC goes on where it was when it was saved.
    dom0.sh("xl restore -p /tmp/h.save >/tmp/log 2>&1 || { tail /tmp/log; false; }; rm /tmp/h.save", 200)
    assert tsc(dom0) < last
    dom0.sh("xl unpause h")
    goes_on(dom0)
    assert tables(dom0) < few
    killed_on_the_way(dom0, *random.choice(ENDS))
    assert in_use(dom0) == before
    assert dom0.run("cat /proc/[0-9]*/comm 2>/dev/null | grep libxl-save").code


def gb_leaves(dom0):
    """Of the only PVH guest: of how many GB it has a leaf each."""
    return int(dom0.sh("xl dmesg -c >/dev/null; xl debug-keys q; "
                       "xl dmesg | sed -n 's/.*tables, \\([0-9]*\\) leaves of 1 GB.*/\\1/p'"))


@pytest.mark.hospes_only
def test_pvh_with_a_gb_in_one_piece(older):
    """Memory comes as pieces of 2 MB that make a leaf of 1 GB where the heap has a GB in one piece; it is
    split where a frame goes."""
    older.tidy(False)  # whatever another test may have left
    dom0 = older.get()
    before = dom0.free_memory()
    guests = Guests(dom0)
    guests.linux("h", 'type="pvh"', "memory=2060", flags="-p")
    assert gb_leaves(dom0) >= 1
    dom0.sh("xl destroy h")
    dom0.until(f"[ $({FREE}) = {before} ]", 30)
    # What idle CPUs zero is not in one piece meanwhile.
    dom0.until("xl dmesg -c >/dev/null; xl debug-keys m; xl dmesg | grep ', 0 to be scrubbed'", 60)
    guests.linux("h", 'type="pvh"', "memory=2060")
    guests.first_console("h").leave()
    leaves = gb_leaves(dom0)
    assert leaves >= 1
    with dom0.console("h") as guest:
        guest.sh("mount -t tmpfs -o size=1800m tmpfs /mnt; dd if=/dev/zero of=/mnt/x bs=1M count=400 2>/dev/null", 60)
    dom0.sh("xl mem-set h 1500")
    dom0.until("[ $(xl list h | awk 'NR == 2 {print $3}') -le 1501 ]", 60)
    assert gb_leaves(dom0) < leaves
    with dom0.console("h") as guest:
        guest.sh("md5sum /mnt/x", 60)
    dom0.sh("xl destroy h")
    dom0.gone("h")
    dom0.until(f"[ $({FREE}) = {before} ]", 30)


def features(dom0):
    """What guests are shown by default: {(leaf, subleaf): [EAX, EBX, ECX, EDX]}."""
    text = dom0.sh("/usr/lib/xen-4.17/bin/xen-cpuid -p | sed '1,/HVM Default/d'")
    return {(int(leaf, 16), int(sub, 16)): [int(word, 16) for word in words.split(":")]
            for leaf, sub, words in re.findall(r"^ +(\w{8}):(\w{8}) -> (\S+)", text, re.M)}


def hidden(mine, others):
    """For xl's cpuid=[...]: without what others have not."""
    for leaf, registers in ((1, "ecx edx"), (7, "ebx ecx edx"), (0x80000001, "ecx edx"), (0x80000008, "ebx")):
        for name in registers.split():
            sub, at = 0 if leaf == 7 else 0xffffffff, ("eax", "ebx", "ecx", "edx").index(name)
            gone = mine[leaf, sub][at] & ~others.get((leaf, sub), [0] * 4)[at]
            if gone:
                bits = "".join("0" if gone >> bit & 1 else "x" for bit in reversed(range(32)))
                yield f"{leaf:#x}{',0x0' * (leaf == 7)}:{name}={bits}"


def migrate(here, there, address):
    """`xl migrate` of h over the wire: its result, with what both hosts said."""
    there.sh("nc -l -p 8002 -e xl migrate-receive 2>/tmp/log & true")
    there.until("netstat -ltn | grep :8002", 10)
    result = here.run(f"xl migrate -s '' h 'nc {address} 8002' 2>&1", 300)
    there.until("! pidof nc", 60)
    result.output += "\n" + there.sh("cat /tmp/log")
    return result


def test_pvh_moves_between_unlike_hosts(older, newest):
    """Live, over a network: what a guest knows of the CPU stays as it was. A host with an old CPU does not
    take one that has seen more, and it goes on where it is; it does with that hidden, and it comes back."""
    for stable in (older, newest):
        stable.tidy(False)
    old, new = older.get(), newest.get()
    for number, dom0 in ((1, old), (2, new)):
        dom0.sh(f"cd /sys/class/net; ip addr add 10.1.1.{number}/24 dev e*; ip link set e* mtu 60000 up; cd")
    old.until("ping -c 1 -W 5 10.1.1.2", 30)
    guest_of = Guests(new)
    guest_of.linux("h", 'type="pvh"', "memory=96")
    guest_of.first_console("h").leave()
    refused = migrate(new, old, "10.1.1.1")
    assert refused.code and "policy" in refused.output, refused
    assert old.run("xl list | grep -e h-- -e null").code
    with new.console("h") as guest:
        assert "avx2" in guest.sh("grep -m1 ^flags /proc/cpuinfo")
    new.sh("xl destroy h")

    lines = ",".join(f'"{line}"' for line in hidden(features(new), features(old)))
    guest_of.linux("h", 'type="pvh"', "vcpus=2", "memory=96", f"cpuid=[{lines}]")
    online = "/sys/devices/system/cpu/cpu1/online"  # a CPU that comes up is looked at anew
    flags = f"echo 0 >{online}; echo 1 >{online}; grep ^flags /proc/cpuinfo | tail -n 1"
    with guest_of.first_console("h") as guest:
        few = guest.sh(flags)
        guest.sh(CHECKER.replace("n=$((n+1))", "sleep 0.5; n=$((n+1))"))
    for here, there, address in ((new, old, "10.1.1.1"), (old, new, "10.1.1.2")):
        result = migrate(here, there, address)
        assert result.code == 0, result
        here.gone("h")
        goes_on(there)
        with there.console("h") as guest:
            assert guest.sh(flags) == few
    new.sh("xl destroy h")


def test_pvh_hotplug_and_ends(dom0, guests):
    """A VCPU comes, goes, and comes again; NMI, sysrq; the guest reboots itself, and crashes."""
    guests.linux("h", 'type="pvh"', "vcpus=1", "maxvcpus=2", 'on_reboot="restart"', 'on_crash="destroy"')
    first, cpus = dom0.domid("h"), "/sys/devices/system/cpu"
    for _ in range(2):
        dom0.sh("xl vcpu-set h 2")
        with dom0.console("h") as guest:
            guest.until(f"[ -e {cpus}/cpu1/online ] && echo 1 > {cpus}/cpu1/online", 30)
            assert guest.sh(f"cat {cpus}/online").strip() == "0-1"
            assert guest.sh("grep -c ^processor /proc/cpuinfo").strip() == "2"
        dom0.sh("xl vcpu-set h 1")
        with dom0.console("h") as guest:
            guest.until(f"[ $(cat {cpus}/online) = 0 ]", 30)
    dom0.sh("xl pause h; xl unpause h; xl trigger h nmi; xl sysrq h h")
    with dom0.console("h") as guest:
        guest.until("dmesg | grep -q 'sysrq: HELP'", 30)
        assert guest.sh("grep NMI: /proc/interrupts").split()[1] == "1"
        guest.sh("(sleep 1; reboot -f) & true")
    dom0.until(f"[ $(xl domid h) -gt {first} ] && xenstore-exists /local/domain/$(xl domid h)/console/tty", 60)
    with dom0.console("h") as guest:
        guest.sh("(sleep 1; echo c > /proc/sysrq-trigger) & true")
    dom0.gone("h")


def test_pv_saved_without_xsave(newest):
    """A PV guest that is shown no XSAVE, on a host that has it, is restored by what it is shown."""
    newest.tidy(False)
    dom0 = newest.get()
    guests = Guests(dom0)
    guests.linux("g", "memory=96", 'cpuid="host,xsave=0"')
    for line in ("true", "xl save g /tmp/g.save", "xl restore /tmp/g.save"):
        dom0.sh(f"{{ {line}; }} >/tmp/log 2>&1 || {{ tail /tmp/log; false; }}", 180)
        if "save g" not in line:
            with dom0.console("g") as guest:
                assert "xsave" not in guest.sh("grep flags /proc/cpuinfo").split()
    assert "xsave" in dom0.sh("grep flags /proc/cpuinfo").split()
    dom0.sh("rm /tmp/g.save; xl destroy g")
    dom0.gone("g")
