# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
"""What the end-to-end tests share: cases and TAP, the project's programs as
processes, the devices, scratch file systems, writers that prove progress.

A test is a file t_NAME.py of cases, each a function whose name is a sentence:

    # isoroot: --fs ext4:256M,xfs:320M --bound 60
    import hvtest

    @hvtest.case
    def a_frozen_file_system_is_thawed_when_the_daemon_dies():
        ...
        hvtest.check(condition, "what should have been, with the figures")

    hvtest.main()

The line that begins "# isoroot:" holds the options with which the runner starts
the file through tests/isoroot/isoroot, the command being python3 and the file
(inside it is /hv/e2e/t_NAME.py, the programs are in /hv/bin).  A test without
that line never freezes anything and runs anywhere.

A case fails by an exception, check()'s or any other; what it started is ended
after it and everything is thawed, so that the next case finds a clean machine.
skip("reason") ends a case as skipped.  main() prints TAP and exits with 0 only
if nothing failed.

Nothing here sleeps where an event can be waited for; until() polls with a bound
where there is none.
"""

import atexit
import errno
import fcntl
import glob
import json
import mmap
import os
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback

BUILD = os.environ.get("HV_VSS_BUILD", "/hv")
BIN = BUILD + "/bin"
FIFREEZE = 0xC0045877
FITHAW = 0xC0045878

_cases = []
_after = []  # called after each case, last first


class Failed(Exception):
    """A case did not see what it should."""


class Skipped(Exception):
    """A case cannot be tried here."""


def case(function):
    """Marks a function as a case; its name is the sentence."""
    _cases.append(function)
    return function


def check(condition, what):
    if not condition:
        raise Failed(what)


def skip(reason):
    raise Skipped(reason)


def leave_out(name):
    """A case that another test has lent, by its name."""
    found = [c for c in _cases if c.__name__ == name]
    assert len(found) == 1, name
    _cases.remove(found[0])


def after(function, *args):
    """Has a function called when the running case is over."""
    _after.append((function, args))


def clean_up():
    """Ends what the running case has started."""
    while _after:
        function, args = _after.pop()
        try:
            function(*args)
        except Exception:  # one that fails must not keep the others from it
            for line in traceback.format_exc().splitlines():
                print("# clean-up: " + line, flush=True)


def sanitizer_reports():
    """What sanitizers have found in programs since the last time, as lines."""
    lines = []
    for path in glob.glob("/tmp/sanitizer.*") if isolated() else ():
        with open(path, encoding="utf-8", errors="replace") as f:
            lines += f.read().splitlines()
        os.unlink(path)
    return lines


def _run_case(number, function):
    name = function.__name__.replace("_", " ")
    problem, directive = None, ""
    try:
        function()
    except Skipped as reason:
        directive = f" # SKIP {reason}"
    except Exception:
        problem = traceback.format_exc()
    if problem:
        for line in problem.splitlines() + outputs():
            print("# " + line)
    clean_up()
    for line in sanitizer_reports():
        problem = "a sanitizer's report"
        print("# " + line)
    print(f"{'not ok' if problem else 'ok'} {number} - {name}{directive}",
          flush=True)
    return problem is None


def everything():
    """Whether also the cases that take too long for every day are wanted."""
    return "--all" in sys.argv[1:]


def main():
    """Runs the cases, or those whose names contain one of the arguments."""
    wanted = [a for a in sys.argv[1:] if a != "--all"]
    cases = [c for c in _cases
             if not wanted or any(w in c.__name__ for w in wanted)]
    print(f"1..{len(cases)}", flush=True)
    results = [_run_case(n, c) for n, c in enumerate(cases, 1)]
    sys.exit(0 if all(results) and cases else 1)


def until(condition, what, seconds=10):
    """Polls until condition() is true and returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f"not within {seconds} s: {what}")
        time.sleep(0.005)


# File systems.

def whole_guest():
    """Whether tests/vm has booted this machine, for one scenario."""
    with open("/proc/cmdline", encoding="utf-8") as f:
        return " vm.scenario=" in f.read()


def isolated():
    """Whether what is in reach may freeze: this is the isolated root, by its
    first process and no disk, or a guest that will be thrown away."""
    try:
        return (os.environ.get("ISOROOT") == "1" and
                os.readlink("/proc/1/exe") == "/iso/isoinit") or whole_guest()
    except OSError:
        return False


def _fs_ioctl(mount, request):
    """0 or the errno."""
    if not isolated():
        raise SystemExit("hvtest: freezing is only tried in the isolated root;"
                         " run this test through tests/isoroot/isoroot")
    try:
        fd = os.open(mount, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as e:
        return e.errno
    try:
        fcntl.ioctl(fd, request, 0)
        return 0
    except OSError as e:
        return e.errno
    finally:
        os.close(fd)


def freeze(mount):
    error = _fs_ioctl(mount, FIFREEZE)
    if error:
        raise OSError(error, os.strerror(error), mount)


def thaw(mount):
    """True if it was frozen."""
    return _fs_ioctl(mount, FITHAW) == 0


def is_frozen(mount):
    """Asks by freezing it: EBUSY says that it is frozen.  Otherwise it is
    thawed again at once.  (Whoever freezes in that instant gets EBUSY: prove
    "not frozen" by a Writer while a freeze may be under way.)"""
    error = _fs_ioctl(mount, FIFREEZE)
    if error == 0:
        thaw(mount)
        return False
    if error != errno.EBUSY:
        raise OSError(error, os.strerror(error), mount)
    return True


class Scratch:
    """A scratch file system of the isolated root, or what a scenario in a
    whole guest says is one."""

    def __init__(self, line):
        self.name, self.type, self.mount, self.device, self.image = line.split()


def scratch():
    """The scratch file systems, by name."""
    with open("/iso/table", encoding="ascii") as f:
        return {s.name: s for s in map(Scratch, f)}


class Writer:
    """A process that appends to a file and syncs it without pause.  How often
    it got through is its progress."""

    def __init__(self, mount, pause=0.001):
        self._count = mmap.mmap(-1, 16)  # progress; the errno that ended it
        self._path = os.path.join(mount, f"writer.{os.getpid()}")
        self.pid = os.fork()
        if self.pid == 0:
            self._write(pause)
        after(self.stop)
        self.progresses()

    def _write(self, pause):
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            n = 0
            while True:
                os.pwrite(fd, b"%8d\n" % n, 9 * (n % 1000))
                os.fsync(fd)
                n += 1
                self._count[:8] = struct.pack("=Q", n)
                time.sleep(pause)
        except OSError as e:
            self._count[8:] = struct.pack("=Q", e.errno)
        finally:
            os._exit(1)

    def error(self):
        """None, or what ended it.  EROFS from a btrfs: the kernel makes it
        read-only when a thread is killed within its thaw, since that reads the
        superblock anew and takes the interrupted read for a changed one."""
        number = struct.unpack("=Q", self._count[8:])[0]
        return os.strerror(number) if number else None

    def count(self):
        return struct.unpack("=Q", self._count[:8])[0]

    def progresses(self, seconds=10):
        """Waits until two more writes got through: the first may have been
        under way when the file system froze."""
        start = self.count()
        until(lambda: self.count() >= start + 2 or self.error(),
              f"{self._path}: a writer's progress", seconds)
        check(not self.error(), f"{self._path}: the writer: {self.error()}")

    def stands_still(self, seconds=0.3):
        """Whether no more than the write under way got through in a while."""
        time.sleep(0.02)
        start = self.count()
        time.sleep(seconds)
        return self.count() == start

    def stop(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            for s in scratch().values():
                thaw(s.mount)
            os.waitpid(self.pid, 0)
            self.pid = 0


def writable_within(writers, seconds, what):
    """Writers, by their mounts, get on within so many seconds after something."""
    end = time.monotonic() + seconds
    for mount, writer in writers.items():
        try:
            writer.progresses(max(0.01, end - time.monotonic()))
        except Failed:
            raise Failed("%s: not writable %.1f s after %s"
                         % (mount, seconds, what)) from None


# Processes.

_processes = []


class Process:
    """One of the programs, with its output in a file."""

    files = []  # those of the next ones, where a test wants them elsewhere

    def __init__(self, argv, name=None, env=None, stdin=subprocess.DEVNULL):
        self.name = name or os.path.basename(argv[0])
        self._out = self.files.pop(0) if self.files else \
            tempfile.TemporaryFile(mode="w+b")
        self.argv = argv
        self.popen = subprocess.Popen(argv, stdin=stdin, stdout=self._out,
                                      stderr=subprocess.STDOUT, env=env)
        self.pid = self.popen.pid
        _processes.append(self)
        after(self._forget)

    def _forget(self):
        if self in _processes:
            _processes.remove(self)
        if self.alive():
            # Also where it is stopped: it does not go on first.
            self.popen.kill()
            for s in scratch().values() if isolated() else ():
                thaw(s.mount)
            self.popen.wait(20)
        self._out.close()

    def forget(self):
        """It has ended, and nobody will ask for its output."""
        _processes.remove(self)
        _after.remove((self._forget, ()))
        self._out.close()

    def alive(self):
        return self.popen.poll() is None

    def output(self):
        size = os.fstat(self._out.fileno()).st_size
        return os.pread(self._out.fileno(), size, 0).decode(errors="replace")

    def says(self, text, seconds=10):
        """Waits for a text in the output."""
        until(lambda: text in self.output() or not self.alive(),
              f"{self.name}: {text!r} in its output", seconds)
        check(text in self.output(),
              f"{self.name} ended ({self.popen.returncode}) without {text!r}")

    def signal(self, sig):
        self.popen.send_signal(sig)

    def kill(self):
        """SIGKILL, and until it has ended."""
        self.popen.kill()
        self.popen.wait(20)

    def end(self, seconds=20):
        """SIGTERM; its exit status."""
        if self.alive():
            self.popen.terminate()
        return self.wait(seconds)

    def wait(self, seconds=20):
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.name} has not ended in {seconds} s") from None


def outputs():
    """The output of every program of the running case, for a failure."""
    lines = []
    for p in _processes:
        lines.append(f"output of {p.name} ({p.pid}, "
                     f"{'running' if p.alive() else p.popen.returncode}):")
        lines += ["  " + line for line in p.output().splitlines()[-40:]]
    return lines


def run(argv, seconds=60, stdin=None):
    """Runs a program to its end: exit status, output, errors."""
    r = subprocess.run(argv, stdin=subprocess.DEVNULL if stdin is None else None,
                       input=stdin, capture_output=True, text=True,
                       timeout=seconds, check=False)
    return r.returncode, r.stdout, r.stderr


def pids_of(name):
    """The running (not ended) processes of a command name."""
    found = []
    for d in os.listdir("/proc"):
        try:
            with open(f"/proc/{d}/stat", encoding="ascii",
                      errors="replace") as f:
                stat = f.read()
        except OSError:
            continue
        comm = stat[stat.index("(") + 1:stat.rindex(")")]
        if comm == name[:15] and stat[stat.rindex(")") + 2] not in "ZX":
            found.append(int(d))
    return found


def _options(sets):
    argv = []
    for key, value in sets.items():
        argv += ["--set", f"{key}={value}"]
    return argv


class Host:
    """hv_vss_host with some actions; its replies."""

    def __init__(self, socket, actions, options=()):
        self.process = Process([f"{BIN}/hv_vss_host", "--listen", socket,
                                "--json", *options, *actions])

    def replies(self):
        """What has been answered so far."""
        lines = self.process.output().splitlines()
        return [json.loads(s) for s in lines if s.startswith("{")]

    def reply(self, op, seconds=30):
        """Waits for the first reply to an operation."""
        def find():
            return next((r for r in self.replies() if r["op"] == op), None)
        until(lambda: find() or not self.process.alive(),
              f"a reply to {op}", seconds)
        check(find(), f"the host ended without a reply to {op}")
        return find()

    def wait(self, seconds=60):
        """Its end: exit status and replies."""
        return self.process.wait(seconds), self.replies()


class Machine:
    """A guest: the driver on the ring link, with its devices, and the daemon.
    Limits are the engine's keys, in seconds."""

    def __init__(self, **sets):
        self.dir = tempfile.mkdtemp(prefix="hv.", dir="/run")
        self.socket = f"{self.dir}/vmbus.sock"
        # In /dev of a whole guest they are made by the kernel (CUSE).
        self.dev_dir = os.environ.get("HV_VSS_DEV_DIR", self.dir)
        self.fs_dev = f"{self.dev_dir}/hv_fsvss_dev"
        self.app_dev = f"{self.dev_dir}/hv_appvss_dev"
        self.sets = sets
        self.where = {"run_dir": f"{self.dir}/run",
                      "state_dir": f"{self.dir}/state"}
        self.driver = self.daemon = None

    def start_driver(self):
        self.driver = Process([f"{BIN}/hv_vss_driver", "--transport",
                               f"emu:{self.socket}", "--dev-dir", self.dev_dir,
                               "-n", *_options({**self.where, **self.sets})])
        self.driver.says("ready: ")
        return self.driver

    def daemon_argv(self, *options):
        """With the freezer that touches scratch devices only; in a whole guest
        with the one that people have."""
        sets = {**self.where, **self.sets}
        if not whole_guest():
            sets.setdefault("freezer", f"{BUILD}/tests/hv_vss_freezer_test")
        return [f"{BIN}/hv_vss_daemon", "--device", self.fs_dev,
                *_options(sets), *options]

    def start_daemon(self, options=()):
        self.daemon = Process(self.daemon_argv("-n", *options))
        self.daemon.says("serving ")
        return self.daemon

    def kill_all_that_thaw(self):
        """Daemon, worker and guard, none of which gets to thaw anything."""
        pids = pids_of("hv_vss_freezer") + [self.daemon.pid]
        for sig in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                os.kill(pid, sig)
        self.daemon.wait()
        until(lambda: not pids_of("hv_vss_freezer"), "their end")

    def host(self, *actions, options=()):
        return Host(self.socket, actions, options)

    def is_refused(self):
        """An application, which stays, refuses a FREEZE."""
        app = Device(self.app_dev)
        app.poll(0)
        host = self.host("freeze")
        app.answer(FAIL, FREEZE)
        check(host.wait()[0] == 3, "FREEZE fails")

    def ctl(self, command, *args, seconds=60):
        """hv_vssctl with this machine's directories: exit status, output and
        errors."""
        return run([f"{BIN}/hv_vssctl", command, *_options(self.where), *args],
                   seconds)


# The devices (include/dev/hyperv/hv_snapshot.h).

IOCHVVSSREAD = 0x80407602
IOCHVVSSWRITE = 0x40407603
CHECK, FREEZE, THAW, PREPARE = 1, 2, 3, 16
SUCCESS, FAIL = 0, 1


class Device:
    """One open of a device."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        after(self.close)

    def close(self):
        if self.fd != -1:
            os.close(self.fd)
            self.fd = -1

    def poll(self, seconds):
        p = select.poll()
        p.register(self.fd, select.POLLIN)
        got = p.poll(int(seconds * 1000))
        return got[0][1] if got else 0

    def read(self):
        """opt, status, msgid."""
        buf = bytearray(64)
        fcntl.ioctl(self.fd, IOCHVVSSREAD, buf)
        return struct.unpack_from("=IIQ", buf)

    def write(self, opt, status, msgid):
        buf = bytearray(64)
        struct.pack_into("=IIQ", buf, 0, opt, status, msgid)
        fcntl.ioctl(self.fd, IOCHVVSSWRITE, buf)

    def next(self, seconds=10):
        """Waits for a notification: opt, msgid."""
        check(self.poll(seconds) & select.POLLIN,
              f"no notification in {seconds} s")
        opt, status, msgid = self.read()
        check(status == SUCCESS and msgid, f"a notification, not {status}")
        return opt, msgid

    def answer(self, status=SUCCESS, opt=None, seconds=10):
        """Waits for a notification (of that operation) and answers it."""
        got, msgid = self.next(seconds)
        check(opt is None or got == opt, f"operation {opt}, not {got}")
        self.write(got, status, msgid)
        return got


def quiet_exit():
    """A test that is killed leaves nothing frozen."""
    if isolated():
        for s in scratch().values():
            thaw(s.mount)


atexit.register(quiet_exit)
