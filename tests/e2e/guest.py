# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
"""A whole guest that can be held at any step of a checkpoint: driver, daemon
with its freezer, applications, the host, and a writer on each file system.
Only where hvtest.isolated()."""

import ctypes
import fcntl
import mmap
import os
import re
import select
import signal
import struct
import time

import frzlib
import hvtest
from hvtest import (CHECK, FREEZE, PREPARE, THAW, check, until,
                    writable_within)

NAME = {CHECK: "check", PREPARE: "prepare", FREEZE: "freeze", THAW: "thaw"}
NEXT = {CHECK: PREPARE, PREPARE: FREEZE, FREEZE: THAW, THAW: CHECK}
HELLO = 0x40407610
PIDFD_GETFD = 438
PF_KTHREAD = 0x00200000


def state_of(pid):
    """The letter of /proc/PID/stat; None when there is no such process."""
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii",
                  errors="replace") as f:
            return f.read().rpartition(")")[2].split()[0]
    except OSError:
        return None


def stop(pid):
    """SIGSTOP, and until every thread of it stands."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: state_of(pid) in ("T", None), "%d stands" % pid)


def await_end(pid):
    """Until every thread of it has ended; whoever else waits is told then."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    check(select.select([pidfd], [], [], 10)[0], "%d does not end" % pid)
    os.close(pidfd)


class App:
    """An application, in a process of its own.  at is where it is held up:
    (operation, "unread" or "read").  There it does what bend says, if given,
    before it goes on: bend(app, device, operation, msgid, tell), msgid None
    if it was not read; true if that answered for it."""

    def __init__(self, path, at=None, bend=None):
        self.at = at
        self._bend = bend
        self._seen = ""
        self._events, events = os.pipe()
        commands, self._commands = os.pipe()
        os.set_blocking(self._events, False)
        self.pid = os.fork()
        if self.pid == 0:
            frzlib.close_others(events, commands)
            self._commands = commands
            self._run(path, events)
        os.close(events)
        os.close(commands)
        hvtest.after(self.end)
        until(lambda: "open" in self.told(), "an application")

    def _run(self, path, events):
        def tell(what):
            os.write(events, what.encode() + b"\n")
        try:
            self._serve(path, tell)
        except (OSError, hvtest.Failed):
            tell("error")
        finally:
            os._exit(0)

    def wait(self, tell):
        """In the application: until it is told to go on."""
        tell("held")
        os.read(self._commands, 1)

    def _meet(self, dev, opt, msgid, tell):
        """At the step where it is held up or misbehaves."""
        self.at = None
        if self._bend:
            return self._bend(self, dev, opt, msgid, tell)
        self.wait(tell)
        return False

    def _serve(self, path, tell):
        dev = hvtest.Device(path)
        if self.at:
            fcntl.ioctl(dev.fd, HELLO, struct.pack("=32sII24x", b"patient",
                                                   50, 1))
        dev.poll(0)
        tell("open")
        expected = CHECK
        while True:
            p = dev.poll(3600)
            check(not p & (select.POLLERR | select.POLLHUP), "the device")
            if self.at == (expected, "unread"):
                self._meet(dev, expected, None, tell)
            opt, status, msgid = dev.read()
            if status != hvtest.SUCCESS:
                continue
            tell(NAME[opt])
            expected = NEXT[opt]
            if self.at != (opt, "read") or \
                    not self._meet(dev, opt, msgid, tell):
                dev.write(opt, hvtest.SUCCESS, msgid)

    def told(self):
        """What it has been told so far."""
        try:
            while data := os.read(self._events, 65536):
                self._seen += data.decode()
        except BlockingIOError:
            pass
        return self._seen.split()

    def is_held(self):
        until(lambda: "held" in self.told(), "held at %s" % (self.at,))

    def go(self):
        os.write(self._commands, b".")

    def end(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0
            os.close(self._events)
            os.close(self._commands)

    def in_order(self, gone=False):
        """Whether each FREEZE was followed by one THAW, or, where the device
        is gone, by an error."""
        letters = "".join({"check": "c", "prepare": "p", "freeze": "f",
                           "thaw": "t", "error": "e"}.get(w, "")
                          for w in self.told())
        return bool(re.fullmatch("([cp]|ft)*" + ("f?e" if gone else ""),
                                 letters))


class Gate:
    """Where the host waits in its actions until it is told to go on."""

    def __init__(self, path):
        self.path = path
        self.passed = False
        os.mkfifo(path)
        self.action = "snapshot=read x <%s || :" % path
        hvtest.after(self._open)

    def _open(self):
        """Once somebody waits at it."""
        if not self.passed:
            try:
                os.close(os.open(self.path, os.O_WRONLY | os.O_NONBLOCK))
                self.passed = True
            except OSError:
                pass
        return self.passed

    def open(self, alive):
        """Lets the host pass, if there is one that will come here."""
        until(lambda: self._open() or not alive(), "the host at " + self.path)


def page_of(daemon):
    """The page that worker, guard and daemon share, as it is now."""
    fds = "/proc/%d/fd/" % daemon
    for n in os.listdir(fds):
        if os.readlink(fds + n).startswith("/memfd:hv_vss"):
            fd = os.open(fds + n, os.O_RDONLY)
            with mmap.mmap(fd, frzlib.PAGE_SIZE, prot=mmap.PROT_READ) as p:
                data = p[:]
            os.close(fd)
            return data
    raise hvtest.Failed("the daemon has no page")


def states_in(page):
    """The states of the file systems of the transaction."""
    count = struct.unpack_from("=I", page, 20)[0]
    return [frzlib.SLOT.unpack_from(page, 64 + 80 * i)[0]
            for i in range(count)]


def orders_thaw(page):
    return struct.unpack_from("=I", page, 16)[0] != 0


class Guest:
    """Driver, daemon, freezer, a writer for each mount, and the host with
    one checkpoint that waits at two gates."""

    def __init__(self, mounts, limits):
        hvtest.after(freezers_end)  # called after the others
        self.m = hvtest.Machine(**limits)
        self.m.start_driver()
        self.m.start_daemon(["-d"])
        self.mounts = mounts
        self.writers = {p: hvtest.Writer(p) for p in mounts}
        self.gates = [Gate(self.m.dir + "/begin"), Gate(self.m.dir + "/thaw")]
        self.host = None

    def begin(self):
        begin, thaw = self.gates
        self.host = self.m.host(begin.action, "check", "freeze", thaw.action,
                                "thaw")
        pid = self.host.process.pid
        children = "/proc/%d/task/%d/children" % (pid, pid)

        def waits():
            with open(children, encoding="ascii") as f:
                return f.read().strip()
        until(waits, "the host at its first gate")

    def pass_gate(self, n):
        self.gates[n].open(self.host.process.alive)

    def pid(self, who):
        if who in ("worker", "guard"):
            return freezer_pid(who)
        if who == "host":
            return self.host.process.pid
        return getattr(self.m, who).pid

    def states(self):
        return states_in(page_of(self.m.daemon.pid))

    def thaw_ordered(self):
        return orders_thaw(page_of(self.m.daemon.pid))

    def notified(self):
        """Whether a notification waits for the daemon, which stands."""
        daemon = self.m.daemon.pid
        fds = "/proc/%d/fd/" % daemon
        number = next(n for n in os.listdir(fds)
                      if os.readlink(fds + n) == self.m.fs_dev)
        pidfd = os.pidfd_open(daemon)
        fd = ctypes.CDLL(None, use_errno=True).syscall(
            PIDFD_GETFD, pidfd, int(number), 0)
        os.close(pidfd)
        check(fd >= 0, "pidfd_getfd: errno %d" % ctypes.get_errno())
        p = select.poll()
        p.register(fd, select.POLLIN)
        got = p.poll(0)
        os.close(fd)
        return bool(got)

    def record(self):
        try:
            with open(self.m.dir + "/run/frozen", encoding="utf-8") as f:
                return f.read()
        except OSError:
            return ""

    def frozen(self):
        return [p for p in self.mounts if hvtest.is_frozen(p)]

    def writable_within(self, seconds, what, mounts=None):
        writable_within({p: self.writers[p] for p in mounts or self.mounts},
                        seconds, what)

    def answers(self, ops=("check", "freeze", "thaw")):
        """One letter each: ok, fail, or - for none."""
        got = {r["op"]: r["reply"] for r in self.host.replies()}
        return "".join({"ok": "o", "fail": "f"}.get(got.get(op), "-")
                       for op in ops)

    def answered(self, op, seconds=20):
        """Waits for a reply, or until the host has none to expect."""
        until(lambda: not self.host.process.alive() or
              any(r["op"] == op for r in self.host.replies()),
              "a reply to " + op, seconds)

    def works_again(self, seconds=15):
        """A checkpoint succeeds, as soon as what died was replaced."""
        end = time.monotonic() + seconds
        while True:
            status, replies = self.m.host("check", "freeze", "thaw",
                                          "complete").wait()
            if status == 0:
                break
            check(time.monotonic() < end, "no checkpoint works: %s" % replies)
            time.sleep(0.05)

    def nothing_left(self):
        """Nothing frozen, no record, no process too many or that hangs."""
        check(not self.frozen(), "still frozen: %s" % self.frozen())
        until(lambda: self.record() == "", "an empty record", 2)
        until(lambda: len(hvtest.pids_of("hv_vss_freezer")) == 2,
              "worker and guard, and no others", 3)
        until(lambda: not hanging(), "no process in D state", 2)
        is_not_expedited()


def rcu_expedited():
    """The whole machine's; "0" where it is not to be seen."""
    try:
        with open("/sys/kernel/rcu_expedited", encoding="utf-8") as f:
            return f.read().strip()
    except OSError:
        return "0"


def is_not_expedited():
    """It was put back.  There is one of the machine: a test beside this one may
    have raised it for a freeze that it makes hang."""
    until(lambda: rcu_expedited() == "0", "rcu_expedited put back", 20)


def hanging():
    """Processes that no signal reaches, those of writers left out."""
    return [d for d in os.listdir("/proc") if d.isdigit() and
            state_of(int(d)) == "D" and not _waits_for_disks(d)]


def _waits_for_disks(pid):
    """This test's own and a thread of the kernel's do, now and then."""
    try:
        with open("/proc/%s/stat" % pid, encoding="utf-8",
                  errors="replace") as f:
            pid_and_name, _, rest = f.read().rpartition(")")
        with open("/proc/self/comm", encoding="utf-8", errors="replace") as f:
            own = f.read().rstrip("\n")
    except OSError:
        return False
    return (pid_and_name.partition("(")[2] == own or
            bool(int(rest.split()[6]) & PF_KTHREAD))


def freezer_pid(role):
    """The worker or the guard of the running daemon."""
    for pid in hvtest.pids_of("hv_vss_freezer"):
        try:
            with open("/proc/%d/cmdline" % pid, "rb") as f:
                if f.read().split(b"\0")[1].decode() == role:
                    return pid
        except OSError:
            pass
    raise hvtest.Failed("no %s is running" % role)


def freezers_end():
    """No process of a case is left for the next one to meet."""
    for pid in hvtest.pids_of("hv_vss_freezer"):
        os.kill(pid, signal.SIGCONT)
    until(lambda: not hvtest.pids_of("hv_vss_freezer"), "their end", 10)
