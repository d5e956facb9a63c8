# SPDX-License-Identifier: MIT
"""What ./test runs: the builds, the checks of the source, the unit tests, the system tests. These take
longest, so they begin as soon as there is a hypervisor and all else is done beside them, in the time
that they leave: two files side by side, since a virtual machine seldom keeps more than one CPU of this
one busy.

    ./test                 all of it
    ./test build unit      only these stages (build, checks, unit, system)
"""
import collections
import fcntl
import glob
import os
import re
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
LOGS = os.path.join(TOP, "build", "test")
START = time.monotonic()
CPUS = os.cpu_count() or 1
PYTEST = ["/usr/bin/python3", "-m", "pytest", "-v", "--tb=short", "--no-header", "-rN"]
SIDE_BY_SIDE = ["-n", "2", "--dist", "loadgroup"]  # conftest.py:TOGETHER
# Those that take longest come first, so that the two end at about the same time.
LONGEST = ["test_xl.py", "test_guests.py", "test_soak.py", "test_large.py", "test_pvh.py", "test_pvgrub.py",
           "test_hvm_guests.py", "test_random.py", "test_stress.py", "test_boot.py", "test_devices.py",
           "test_failures.py"]
# In front of a command: only when nobody else wants the CPU. The kernel shares it among sessions, and each
# QEMU has one, so it is the session that has to be nice.
IDLY = ["sh", "-c", 'echo 19 >/proc/self/autogroup || renice -n 19 $$ >&2; exec "$@"', "idly"]

passed = failed = 0
broken = []
in_turn = threading.Lock()  # for these, and for what is printed
beside = threading.local()
alone = False  # the system tests have ended
idle_process = None


def say(text):
    with in_turn:
        print(f"[{time.monotonic() - START:6.1f} s] {text}", flush=True)


def count(good, bad, what):
    global passed, failed
    with in_turn:
        passed += good
        failed += bad
        if bad:
            broken.append(what)


def run(command):
    """Run a command: its exit code, and what it said. In the thread beside, idly."""
    global idle_process
    here = getattr(beside, "here", False)
    process = subprocess.Popen(IDLY * (here and not alone) + command, cwd=TOP, text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, errors="replace", start_new_session=here)
    idle_process = process if here else idle_process
    output = process.communicate()[0]
    return process.returncode, output


def excerpt(output, name):
    """Of a failed step: what complains, and the end. All of it is left in a file."""
    path = os.path.join(LOGS, name.replace(" ", "-") + ".log")
    with open(path, "w") as file:
        file.write(output)
    lines = output.splitlines()
    found = [line for line in lines[:-40] if re.search(r"FAILED|\bERROR\b|[Ee]rror[: ]", line)]
    return "\n".join([f"(all of it: {os.path.relpath(path, TOP)})"] + found[:40] + lines[-40:])


def step(name, command, parse=None):
    """Run one command, count it (or what `parse` finds in its output); its output if it failed."""
    begun = time.monotonic()
    code, output = run(command)
    good, bad = parse(output) if parse else (0, 0)
    if parse is None or (code and not bad) or good + bad == 0:
        good, bad = (good + 1, bad) if code == 0 else (good, bad + 1)
    count(good, bad, name)
    word = "ok" if not bad else "FAILED"
    detail = f", {good} passed, {bad} failed" if parse else ""
    said = "\n" + excerpt(output, name) if bad else ""
    say(f"{name}: {word} in {time.monotonic() - begun:.1f} s{detail}{said}")
    return bad == 0


def has_target(name):
    return subprocess.run(["make", "-n", name], cwd=TOP, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL).returncode == 0


def build():
    jobs = f"-j{CPUS}"
    step("build with clang", ["make", "-s", jobs, "CC=clang-14", "O=build/clang"])
    if os.path.exists(os.path.join(TOP, "configs", "tiny")) or has_target("tiny"):
        step("build of the tiny configuration", ["make", "-s", jobs, "tiny"])


def checks():
    for target in ("format-check", "header-check"):
        if has_target(target):
            step(target, ["make", "-s", target])


def cmocka_counts(output):
    good = sum(int(n) for n in re.findall(r"\[  PASSED  \] (\d+) test", output))
    bad = sum(int(n) for n in re.findall(r"\[  FAILED  \] (\d+) test", output))
    return good, bad


def unit():
    # Built first, so that a program that does not build is not taken for one that fails.
    if step("build of the unit tests", ["make", "-s", "-k", f"-j{CPUS}", "unit-build"]
            if has_target("unit-build") else ["make", "-s", "-k", f"-j{CPUS}", "unit"]):
        step("unit tests", ["make", "-k", "-O", f"-j{CPUS}", "unit"], cmocka_counts)
    if step("build of the fuzzers", ["make", "-s", f"-j{CPUS}", "fuzz-build"]):
        step("what fuzzers have found before", ["make", "-s", "fuzz-replay"])


def second_try(names):
    """
    A few failures are tried once more, each by itself: machines of an emulator on a busy host do
    look stopped now and then (docs/limits.md).  What passes only now is counted, and named, so that
    nobody takes it for well.  Returns how many failed again.
    """
    bad = []
    for name in names:
        if subprocess.run(PYTEST + [name], cwd=TOP, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          env={**os.environ, "AGAIN": ".again"}).returncode:
            bad.append(name)
        else:
            say(f"passed only at the second try: {name}")
    return len(bad)


def run_pytest(files):
    """The system tests; each result is printed as it comes."""
    report = os.path.join(LOGS, "report.xml")
    tried_again = os.path.join(LOGS, "second-tries")  # conftest.py:tell()
    for name in glob.glob(tried_again + "*"):
        os.unlink(name)
    process = subprocess.Popen(PYTEST + SIDE_BY_SIDE + [f"--junitxml={report}"] + files, cwd=TOP,
                               text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               errors="replace")
    tail, failures, again, recent = [], False, [], collections.deque(maxlen=20)
    for line in process.stdout:
        recent.append(line)
        found = re.match(r"\[gw\d+\] \[ *\d+%\] (PASSED|FAILED|ERROR|SKIPPED) (\S+::\S.*?)(@\w+)? *$", line)
        if found and not failures:
            result, name = found.group(1), found.group(2)
            say(f"{result.lower()}: {name}")
            if result in ("FAILED", "ERROR"):
                again.append(name)
        failures = failures or line.startswith("====") and ("FAILURES" in line or "ERRORS" in line)
        if failures:
            tail.append(line)
    process.wait()
    try:
        suite = xml.etree.ElementTree.parse(report).getroot()
        suite = suite if suite.tag == "testsuite" else suite[0]
        numbers = {key: int(suite.get(key)) for key in ("tests", "failures", "errors", "skipped")}
        bad = numbers["failures"] + numbers["errors"]
        if 0 < bad == len(again) <= MOST_SECOND_TRIES:
            bad = second_try(again)
        count(numbers["tests"] - bad - numbers["skipped"], bad, "system tests")
    except (OSError, xml.etree.ElementTree.ParseError):
        count(0, 1, "system tests")
        tail = [*recent, f"pytest itself failed, exit code {process.returncode}\n"]
    if os.path.exists(tried_again):
        with open(tried_again) as file:
            say("passed only because it was tried again:\n" + file.read())
    if tail:
        say("".join(tail))


def system():
    os.makedirs(LOGS, exist_ok=True)
    if not step("dom0 and guest images", ["dom0/build.py"]):
        return
    names = sorted(name for name in os.listdir(HERE) if re.fullmatch(r"test_\w+\.py", name))
    names.sort(key=lambda name: LONGEST.index(name) if name in LONGEST else len(LONGEST))
    run_pytest([os.path.join("tests/system", name) for name in names])


MOST_SECOND_TRIES = 4


def do(stages):
    for name in stages:
        STAGES[name]()


def hurry():
    """What has been done beside the system tests is all there is now."""
    global alone
    alone = True
    if idle_process and idle_process.poll() is None:
        try:
            with open(f"/proc/{idle_process.pid}/autogroup", "w") as file:
                file.write("0")
        except OSError:
            pass


def with_all_beside(stages):
    """The system tests, and in a thread the other stages."""
    def others():
        beside.here = True
        try:
            do(stages)
        except Exception as trouble:
            count(0, 1, f"{', '.join(stages)}: {trouble!r}")

    thread = threading.Thread(target=others, daemon=True)
    thread.start()
    try:
        system()
        hurry()
        thread.join()
    except BaseException:
        if idle_process and idle_process.poll() is None:
            os.killpg(idle_process.pid, signal.SIGTERM)
        raise


STAGES = {"build": build, "checks": checks, "unit": unit, "system": system}


def main():
    wanted = sys.argv[1:] or list(STAGES)
    unknown = [name for name in wanted if name not in STAGES]
    if unknown:
        raise SystemExit(f"./test knows no stage {unknown[0]}; it has {', '.join(STAGES)}")
    os.makedirs(LOGS, exist_ok=True)
    with open(os.path.join(LOGS, "lock"), "w") as turn:
        try:
            fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another ./test is running in this tree: waiting for it")
            fcntl.flock(turn, fcntl.LOCK_EX)
        stages = [name for name in wanted if name != "system"]
        # The others go on without a hypervisor, and say what else there is.
        built = not stages or step("build with gcc", ["make", "-s", f"-j{CPUS}"])
        if built and "system" in wanted:
            with_all_beside(stages)
        else:
            do(stages)
    if broken:
        print("failed: " + "; ".join(broken))
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
