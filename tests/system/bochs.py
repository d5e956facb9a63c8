# SPDX-License-Identifier: MIT
"""Machines under Bochs, which knows what QEMU's software CPU does not: nRIP and branch records on
AMD's models, x2APIC on Intel's.  As Machine (dom0/machine.py) otherwise: com1 is a terminal whose
other end is here.

    with Bochs("ryzen", cpus=2, extra=[archive]) as machine:
        dom0 = machine.boot_dom0()

It is slow: some 30 million instructions a second, so a boot takes minutes and every timeout has to
be stretched (PATIENCE).  $BOCHS names another Bochs than Debian's."""
import os
import shutil
import subprocess
import tempfile
import tty

from pexpect import EOF, TIMEOUT, fdpexpect

import machine
from machine import Machine, build

PROGRAM = os.environ.get("BOCHS") or "bochs"
ROMS = "/usr/share/bochs"
PER_SECOND = 100_000_000  # instructions in a second of the machine's own time

CONFIG = """\
config_interface: textconfig
display_library: rfb, options="timeout=0"
romimage: file={roms}/BIOS-bochs-latest
vgaromimage: file={roms}/VGABIOS-lgpl-latest
memory: guest={mem}, host={mem}
cpu: model={cpu}, count={cpus}, ips={ips}, reset_on_triple_fault=0
clock: sync=none
ata0-master: type=cdrom, path={folder}/boot.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=term, dev={terminal}
sound: driver=dummy
log: {folder}/bochs.log
error: action=ignore
panic: action=fatal
"""


def available():
    return bool(shutil.which(PROGRAM)) and os.path.exists(os.path.join(ROMS, "BIOS-bochs-latest"))


class Wire(fdpexpect.fdspawn):
    """What Machine asks of a process with a terminal, of a process and the end of its com1."""

    def __init__(self, process, end):
        self.process = process
        super().__init__(end, encoding="utf-8", codec_errors="replace", timeout=None,
                         maxread=65536)

    def isalive(self):
        return self.process.poll() is None

    def read_nonblocking(self, size=1, timeout=-1):
        try:
            return super().read_nonblocking(size, timeout)
        except TIMEOUT:
            if self.isalive():
                raise
            raise EOF("Bochs has ended") from None

    def wait(self):
        self.exitstatus = self.process.wait()

    def close(self, force=True):
        if force and self.isalive():
            self.process.kill()
        self.process.wait()
        super().close()


class Bochs(Machine):
    """One Bochs, booted by GRUB from a CD."""

    def __init__(self, cpu, hypervisor=None, cpus=1, mem=1536, append="", dom0_mem="512M",
                 dom0_append="", extra=(), log=None):
        self._prepare(hypervisor, os.path.join(build.OUT, "vmlinux"), None, log)
        self.folder = tempfile.mkdtemp(prefix="bochs.")
        self._make_iso(f"console=com1 com1=115200,8n1 dom0_mem={dom0_mem},max:{dom0_mem} {append}",
                       f"console=hvc0 {dom0_append}", self._joined(extra) if extra else self.initrd)
        self.far, terminal = os.openpty()
        tty.setraw(terminal)
        config = os.path.join(self.folder, "config")
        with open(config, "w") as file:
            file.write(CONFIG.format(roms=ROMS, mem=mem, cpu=cpu, cpus=cpus, ips=PER_SECOND,
                                     folder=self.folder, terminal=os.ttyname(terminal)))
        with open(self._complaints.name, "a") as out:
            process = subprocess.Popen([PROGRAM, "-q", "-f", config], stdin=subprocess.PIPE,
                                       stdout=out, stderr=subprocess.STDOUT,
                                       start_new_session=True)
        self.near = terminal  # kept open: a terminal without another end cannot be read
        process.stdin.write(b"c\n")  # to the debugger that Debian's has built in
        process.stdin.flush()
        self.qemu = Wire(process, self.far)

    def _make_iso(self, append, dom0_append, initrd):
        packed = self.image if machine.is_stock(self.image) else self.image + ".gz"
        subprocess.run([os.path.join(build.TOP, "tools/make-iso"), "--protocol", "multiboot",
                        "--out", os.path.join(self.folder, "boot.iso"), "--image", packed,
                        "--append", append, "--kernel", self.kernel,
                        "--dom0-append", dom0_append, "--initrd", initrd],
                       check=True, stdout=subprocess.DEVNULL)

    def close(self):
        super().close()
        os.close(self.near)
        shutil.rmtree(self.folder, ignore_errors=True)
