# SPDX-License-Identifier: MIT
"""A virtual machine with a hypervisor on it, and the consoles one talks to it through.

    with Machine(cpus=2) as machine:        # QEMU is started; nothing else has happened yet
        dom0 = machine.boot_dom0()          # waits for dom0's shell and takes it over
        print(dom0.run("xl list").output)
        dom0.sh("xl create /etc/xen/pv.cfg")
        with dom0.console("pv") as guest:   # the same, over `xl console`
            print(guest.sh("uname -r"))
        dom0.power_off()

There is one wire: the serial console. On it come the hypervisor's lines, dom0's, and through
`xl console` a guest's. How a command's output is told from the rest:

 - what the hypervisor says ("(XEN) ...") is cut out of the stream wherever it stands, even in the
   middle of somebody's line, and kept aside in `hypervisor_log`;
 - dom0's kernel is told not to print on its console;
 - a command is sent in small pieces, each awaited as the terminal echoes it, since the buffers on
   the way are short and drop what does not fit; after its output comes a marker with its exit code,
   spelled so that the echo of the command does not look like it.

A machine that dies is noticed at once by whatever is waiting (Died, with the end of the log): the
hypervisor's panic, dom0's, QEMU's end. Waiting otherwise ends in TimedOut.
"""
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

import pexpect

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import build  # noqa: E402

TOP = build.TOP
# One machine under another's load is slow. Every timeout is multiplied by this.
PATIENCE = float(os.environ.get("PATIENCE", "1"))
QEMU = "qemu-system-x86_64"
DEFAULT_CPU = "qemu64,+svm,+npt"

HYPERVISOR_LINE = re.compile(r"\((?:XEN|HOSPES|Hospes|hospes)\) ?[^\n]*\n")
HALF_LINE = re.compile(r"\((?:XEN|HOSPES|Hospes|hospes)\)[^\n]*\Z|\((?:[A-Za-z]{0,6})\Z")
PROMPT = r"dom0:[^ \n]*# "
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1bc")
FATAL = re.compile(
    r"(?:\(XEN\)|\(H[A-Za-z]+\)) ?(?:\[[^\]]*\] ?)?(?:Panic on CPU|FATAL TRAP|FATAL PAGE FAULT|"
    r"Fatal |Xen BUG|Assertion .* failed|panic|PANIC|Hospes panic|\*\*\* panic)"
    r"|Kernel panic - not syncing")
# A kernel that says twice that it does not come past the same instruction (docs/limits.md).
STUCK = re.compile(r"soft lockup - CPU#\d+ stuck.*?RIP: \w+:(\S+)", re.S)


class Trouble(Exception):
    """Something about the machine; the message ends with what it said last."""

    def __init__(self, what, machine):
        super().__init__(f"{what}\n--- the console's last lines ---\n{machine.tail()}")


class Died(Trouble):
    pass


class TimedOut(Trouble):
    pass


class CommandFailed(Trouble):
    pass


def hypervisor_image(name=None):
    """The image to boot: a path, or "stock" for Debian's Xen; $HYPERVISOR when not given."""
    name = name or os.environ.get("HYPERVISOR") or "build/x86_64/hospes"
    if name == "stock":
        done = subprocess.run([os.path.join(build.HERE, "build.py"), "--stock"], text=True,
                              stdout=subprocess.PIPE, check=True)
        return done.stdout.split()[-1]
    return os.path.join(TOP, name)


def is_stock(image):
    return "stock" in os.path.basename(image) or "xen-4.17" in os.path.basename(image)


class Machine:
    """One QEMU. `extra` are archives to put behind the dom0 image."""
    notice = staticmethod(print)  # who is told of what is odd, but not an error

    def __init__(self, hypervisor=None, cpus=2, mem="3G", cpu=DEFAULT_CPU, append="",
                 dom0_mem="1G", dom0_append="", kernel=None, initrd=None, extra=(), modules=None,
                 devices=("-nic", "none"), qemu_args=(), boot=None, log=None, icount=False):
        self._prepare(hypervisor, kernel, initrd, log)
        command = [QEMU, "-accel", "tcg" if icount else "tcg,thread=multi", "-cpu", cpu,
                   "-smp", str(cpus), "-m", str(mem), "-display", "none", "-no-reboot",
                   "-serial", "stdio", "-monitor", f"unix:{self._monitor},server=on,wait=off"]
        if icount:
            command += ["-icount", "shift=0,sleep=off"]
        if boot is not None:
            command += list(boot)
        else:
            command += self._direct_boot(append, dom0_mem, dom0_append, extra, modules)
        command += list(devices) + list(qemu_args)
        self.command = command
        apart = ["-c", 'exec "$@" 2>>"$0"', self._complaints.name]
        self.qemu = pexpect.spawn("/bin/sh", apart + command, encoding="utf-8", echo=False,
                                  codec_errors="replace", timeout=None, maxread=65536,
                                  dimensions=(50, 200))
        self.qemu.delaybeforesend = None

    def _prepare(self, hypervisor, kernel, initrd, log):
        """What is the same for any emulator."""
        self.image = hypervisor_image(hypervisor) if hypervisor != "" else None
        self.text = ""           # the stream without the hypervisor's lines
        self.raw = ""            # all of it
        self.hypervisor_log = []
        self._pending = ""
        self._at = 0             # how far in `text` what was awaited has been found
        self._fatal_from = 0
        self._log = open(log, "w") if log else None
        # What the emulator itself says would stand in the middle of an echo that somebody waits for.
        self._complaints = tempfile.NamedTemporaryFile("r", errors="replace")
        self._monitor = self._complaints.name + ".monitor"
        self.started = self.heard = time.monotonic()
        self.kernel = kernel or os.path.join(build.OUT, "vmlinuz")
        self.initrd = initrd or os.path.join(build.OUT, "dom0.img")

    def _direct_boot(self, append, dom0_mem, dom0_append, extra, modules):
        """By QEMU's own multiboot loader. A comma separates modules there; two mean one."""
        xen = "console=com1 com1=115200,8n1"
        if dom0_mem:
            xen += f" dom0_mem={dom0_mem},max:{dom0_mem}"
        if modules is None:
            initrd = self._joined(extra) if extra else self.initrd
            kernel = f"{self.kernel} console=hvc0 {dom0_append}".strip()
            modules = [kernel, initrd]
        command = ["-kernel", self.image, "-append", f"{xen} {append}".strip()]
        if modules:
            command += ["-initrd", ",".join(m.replace(",", ",,") for m in modules)]
        return command

    def _joined(self, extra):
        """The dom0 image with archives behind it; the kernel unpacks one after the other."""
        folder = os.path.join(TOP, "build", "test")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, f"initrd.{os.getpid()}.{id(self)}")
        with open(path, "wb") as out:
            for part in (self.initrd, *extra):
                with open(part, "rb") as file:
                    out.write(file.read())
                out.write(b"\0" * (-out.tell() % 4))
        self._scratch = path
        return path

    # The stream ------------------------------------------------------------------------------

    def _take(self, data):
        """New bytes from the wire: sort the hypervisor's lines from the others."""
        self.heard = time.monotonic()
        if self._log:
            self._log.write(data)
            self._log.flush()
        data = ESCAPES.sub("", data.replace("\r", ""))
        self.raw += data
        self._pending += data
        for line in HYPERVISOR_LINE.findall(self._pending):
            self.hypervisor_log.append(line.rstrip("\n"))
        self._pending = HYPERVISOR_LINE.sub("", self._pending)
        half = HALF_LINE.search(self._pending)
        # "(" alone may begin a line of the hypervisor's, or be a bracket: hold it back a moment.
        keep = half.start() if half else len(self._pending)
        self.text += self._pending[:keep]
        self._pending = self._pending[keep:]

    def _read(self, seconds):
        """Read what comes within this time. False at QEMU's end."""
        try:
            self._take(self.qemu.read_nonblocking(65536, seconds))
        except pexpect.TIMEOUT:
            if self._pending and not self._pending.startswith(("(XEN)", "(H", "(h")):
                self.text += self._pending
                self._pending = ""
        except pexpect.EOF:
            return False
        return True

    def tail(self, lines=40):
        self._complaints.seek(0)
        said = self.raw.splitlines()[-lines:] + self._complaints.read().splitlines()[-lines:]
        return "\n".join(said)

    def elapsed(self):
        return time.monotonic() - self.started

    def check_alive(self):
        found = FATAL.search(self.raw, self._fatal_from)
        if found:
            self._fatal_from = found.end()
            deadline = time.monotonic() + 3  # let it finish what it has to say
            while time.monotonic() < deadline and self._read(0.5):
                pass
            raise Died(f"the machine died: {found.group(0)}", self)
        where = STUCK.findall(self.raw, self._fatal_from)
        if len(where) > 1 and where[-1] == where[-2]:
            self._fatal_from = len(self.raw)
            raise Died(f"a kernel stays at the instruction {where[-1]}", self)

    def cpu_seconds(self):
        """What QEMU has had of the host's CPUs so far."""
        try:
            with open(f"/proc/{self.qemu.pid}/stat", encoding="ascii", errors="replace") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            return 0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wait_for(self, pattern, timeout=60, what=None, raw=False, silence=False):
        """Wait until the pattern comes (in dom0's stream, or with raw in all); give the match.

        With `silence` the machine has that time anew whenever it says something (but not more than
        four times of it): for steps that take minutes where the host has other things to do."""
        pattern = re.compile(pattern) if isinstance(pattern, str) else pattern
        begun = time.monotonic()
        deadline = begun + timeout * PATIENCE
        start = 0 if raw else self._at
        while True:
            found = pattern.search(self.raw if raw else self.text, start)
            if found:
                if not raw:
                    self._at = found.end()
                return found
            self.check_alive()
            if silence:
                deadline = max(deadline, min(self.heard + timeout * PATIENCE,
                                             begun + 4 * timeout * PATIENCE))
            now = time.monotonic()
            if now > deadline:
                raise TimedOut(f"{what or pattern.pattern!r} did not come in {now - begun:.0f} s; "
                               f"the machine said something {now - self.heard:.0f} s ago, and has "
                               f"had {self.cpu_seconds():.0f} s of CPU time in all", self)
            if not self._read(0.2) and not self._read(0.2):
                if pattern.search(self.raw if raw else self.text, start):
                    continue
                raise Died(f"QEMU has ended ({self._how_it_ended()}) while waiting for "
                           f"{what or pattern.pattern!r}", self)

    def _how_it_ended(self):
        """A machine's reset, by a triple fault or otherwise, is no error of QEMU's."""
        self.qemu.wait()
        if self.qemu.signalstatus:
            return f"an error of its own, signal {self.qemu.signalstatus}"
        return f"reset or power-off, exit code {self.qemu.exitstatus}"

    def settle(self, seconds=0.3):
        """Read what is on its way."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._read(0.1):
            pass

    def send(self, text):
        """Send a line piece by piece, each awaited as its echo.

        One whose echo does not come whole, as when somebody else's words lie in the middle of it, is
        taken back and sent anew."""
        for patience in (20, 20, 60):
            try:
                self._type(text, patience)
                break
            except TimedOut as trouble:
                if patience == 60:
                    raise
                self.notice(f"a line is sent again: {trouble}\n{self.interrogate('qei')}")
                self.qemu.send("\x01" * 3 + "\x15")  # input to dom0 again
                self.settle(1)
                self._at = len(self.text)
        at = self._at
        self.qemu.send("\n")
        self.wait_for(r"\n", 60, "the echo of the end of the line")
        return at

    def _type(self, text, patience):
        for start in range(0, len(text), 40):
            piece = text[start:start + 40]
            self.qemu.send(piece)
            self.wait_for(re.escape(piece), patience, f"the echo of {piece!r}")

    def wait_end(self, timeout=60):
        """Wait until QEMU ends by itself; its exit code."""
        deadline = time.monotonic() + timeout * PATIENCE
        while self._read(0.2):
            self.check_alive()
            if time.monotonic() > deadline:
                raise TimedOut("the machine did not power off", self)
        self.qemu.wait()
        return self.qemu.exitstatus

    # Life ------------------------------------------------------------------------------------

    def boot_dom0(self, timeout=180, first=True):
        """Wait for dom0's init to be done; take its shell over."""
        try:
            if first:
                self.wait_for_init("kernel ", timeout, "dom0's first program")
            self.wait_for_init("ready", timeout, "dom0's init to be done")
        except TimedOut as trouble:
            trouble.args = (f"{trouble}\n--- asked by debug keys, the hypervisor says ---\n"
                            f"{self.interrogate() or 'nothing'}",)
            raise
        return Dom0(self)

    def wait_for_init(self, word, timeout=180, what=None):
        """Wait for a line of dom0's init, or for one that comes later.

        Programs and the kernel write to the same console, 16 characters at a time, so a line of
        the kernel's (a driver's, of a device that comes up just then) may lie in the middle of the
        one that is awaited.  The prompt, at the latest, comes whole, or is asked for again."""
        line = re.compile(rf"dom0: \[[0-9.]+\] (?:{word}|ready)|{PROMPT}")
        try:
            found = self.wait_for(line, timeout / 3, what, silence=True)
        except TimedOut:
            self.qemu.send("\n")
            found = self.wait_for(line, timeout, what, silence=True)
        if word not in found.group(0):
            self._at = found.start()

    def interrogate(self, keys="qreiatd"):
        """What the hypervisor says to these debug keys, and QEMU of its CPUs: why a machine might
        have stopped."""
        before = len(self.raw)
        self.qemu.send("\x01" * 3)
        for key in keys:
            self.settle(0.5)
            self.qemu.send(key)
        self.settle(3)
        return self.raw[before:] + "".join(f"\n{self.registers()}" for _ in range(3)).rstrip("\n")

    def registers(self):
        """Where QEMU's CPUs stand, a hypervisor that answers no key included; "" if it says nothing.

        A CPU in the hypervisor: `addr2line -fipe build/x86_64/hospes-syms` and its RIP."""
        said = b""
        with socket.socket(socket.AF_UNIX) as wire:
            wire.settimeout(1)
            try:
                wire.connect(self._monitor)
                wire.sendall(b"stop\ninfo registers -a\ncont\n")
                while more := wire.recv(65536):
                    said += more
            except OSError:  # there is no monitor, or it has said all
                pass
        lines = said.decode(errors="replace").splitlines()
        return "\n".join(line.strip() for line in lines if re.match(r"CPU#|[RE]|[CS]S |CR", line))

    def interact(self):
        """Join a person's terminal to the console until QEMU ends."""
        self.qemu.interact(escape_character=None)

    def alive(self):
        return self.qemu.isalive()

    def close(self):
        self.qemu.close(force=True)
        self._complaints.close()
        if os.path.exists(self._monitor):
            os.unlink(self._monitor)
        if self._log:
            self._log.close()
        if getattr(self, "_scratch", None) and os.path.exists(self._scratch):
            os.unlink(self._scratch)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Result:
    def __init__(self, output, code):
        self.output, self.code = output, code

    def __repr__(self):
        return f"exit code {self.code}:\n{self.output}"


class Shell:
    """A shell at the other end of the machine's console."""
    count = 0

    def __init__(self, machine):
        self.machine = machine

    def take_over(self, timeout=60, unless=None):
        """Make a shell of an unknown state one that `run` can talk to.

        What is typed before the shell is there may get lost, so it is said again until it is
        answered. With `unless`, a pattern: False if that comes instead."""
        deadline = time.monotonic() + timeout * PATIENCE
        pause, answered = 0.4, False
        while True:
            # Nothing can be said of the echo yet: wait for what only the answer holds.
            Shell.count += 1
            word = f"s{Shell.count}e"
            self.machine.qemu.send(f"\nPS1= PS2=; stty -onlcr; echo {word}$((6*7))\n")
            try:
                found = self.machine.wait_for(r"s\d+e42\n" + (f"|{unless}" if unless else ""),
                                              pause / PATIENCE, "the shell").group(0)
                if not found.startswith("s"):
                    return False
                # Whoever has answered one will answer the others, in turn: after the last it is
                # quiet. Unless so much was said before that its end has got lost.
                answered = True
                if not found.startswith(word):
                    self.machine.wait_for(word + r"42\n", 20, "the shell's last answer")
                break
            except TimedOut:
                pause = min(pause * 1.5, 3)
                if time.monotonic() > deadline + answered * timeout * PATIENCE:
                    raise
        self.machine.settle()
        self.machine._at = len(self.machine.text)
        return True

    def run(self, command, timeout=60):
        """Run one line; its output and exit code."""
        assert "\n" not in command
        Shell.count += 1
        mark = f"c{Shell.count}"
        machine = self.machine
        end = f"echo @\"$?\"@{mark}"
        machine.send(f"{command}; {end}")
        start = machine._at
        found = machine.wait_for(rf"@(\d+)@{mark}\n", timeout, f"the end of `{command}`")
        output = machine.text[start:found.start()]
        # A shell with line editing repeats, and wraps, what came before it was ready for it.
        output = re.split("\n?".join(map(re.escape, end)) + "\n", output)[-1]
        return Result(output.removesuffix("\n"), int(found.group(1)))

    def sh(self, command, timeout=60):
        """Run one line that has to succeed; its output."""
        result = self.run(command, timeout)
        if result.code:
            raise CommandFailed(f"`{command}` gave exit code {result.code}:\n{result.output}",
                                self.machine)
        return result.output

    def until(self, command, timeout=60, pause=0.5):
        """Run a line again and again until it succeeds; its output."""
        deadline = time.monotonic() + timeout * PATIENCE
        while True:
            result = self.run(command, timeout)
            if result.code == 0:
                return result.output
            if time.monotonic() > deadline:
                raise TimedOut(f"`{command}` did not come true:\n{result.output}", self.machine)
            time.sleep(pause)


class Dom0(Shell):
    def __init__(self, machine):
        super().__init__(machine)
        for last in (False, False, False, True):
            try:
                machine.wait_for(PROMPT, 30, "dom0's prompt")
                break
            except TimedOut:
                if last:
                    raise
                machine.qemu.send("\n")  # a line of the kernel's was in it
        # The kernel first: a line of its own in the middle of an echo, and the echo never comes.
        # Without line editing the terminal echoes, and nothing else does.
        machine.qemu.send("/bin/busybox dmesg -n 1; exec bash --noprofile --norc --noediting\n")
        self.take_over()
        self.sh("export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        self.sh("set +m; cd /root")

    def console(self, name, timeout=120):
        return GuestConsole(self, name, timeout)

    def domid(self, name):
        return int(self.sh(f"xl domid {name}"))

    def gone(self, name, timeout=60):
        """Wait until a guest is no more."""
        self.until(f"! xl domid {name} >/dev/null 2>&1", timeout)

    def free_memory(self):
        return int(self.sh("xl info free_memory"))

    def interactive(self):
        """Give the terminal to a person."""
        self.run("dmesg -n 4; stty onlcr")
        self.machine.qemu.send("exec bash -l\n")

    def power_off(self, timeout=60):
        self.machine.qemu.send("poweroff\n")
        return self.machine.wait_end(timeout)


class GuestConsole(Shell):
    """A guest's shell over `xl console`. Left by its escape, ctrl-]; the guest stays as it is."""

    def __init__(self, dom0, name, timeout=120):
        super().__init__(dom0.machine)
        self.dom0, self.name = dom0, name
        Shell.count += 1
        self.mark = f"x{Shell.count}"
        dom0.machine.send(f"xl console {name}; echo @\"$?\"@{self.mark}")
        self.open = True
        if not self.take_over(timeout, unless=rf"@\d+@{self.mark}\n"):
            raise CommandFailed(f"`xl console {name}` ended at once", self.machine)
        self.sh("export TERM=dumb; dmesg -n 1")

    def ended(self, timeout=60):
        """Wait until the console closes by itself, as it does when the guest is gone."""
        self.machine.wait_for(rf"@(\d+)@{self.mark}\n", timeout, f"the end of {self.name}")
        self.open = False

    def leave(self):
        if self.open:
            self.machine.qemu.send("\x1d")
            self.ended()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None or not issubclass(kind, Trouble):
            self.leave()
