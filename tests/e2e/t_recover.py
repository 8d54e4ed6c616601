#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
#
# isoroot: --sys --loops --fs a=ext4:300M,b=ext4:64M,c=ext4:64M@a
# timeout: 240

"""What an earlier run left frozen, where thawing it by the record meets with
something."""

import ctypes
import errno
import os
import signal
import struct
import subprocess
import threading

import frzlib
import guest
import hvtest
from hvtest import case, check, until

POINTS = ["/mnt/a", "/mnt/b", "/mnt/c"]


HEADER = struct.Struct("=IIQQIIII")  # len, opcode, unique, nodeid, ...
(LOOKUP, FORGET, GETATTR, INIT, INTERRUPT, BATCH_FORGET) = (1, 2, 3, 26, 36, 42)


class Below:
    """A scratch file system that is moved below one by FUSE, whose server, a
    process of its own, forgets every name at once and may be held up."""

    def __init__(self, name):
        self.home = "/mnt/" + name
        self.top = "/tmp/fuse"
        self.point = self.top + "/" + name
        self.name = name.encode()
        self.taken = None
        keep = os.open(self.home, os.O_RDONLY | os.O_DIRECTORY)
        self.here = "/proc/self/fd/%d" % keep  # by no path that hangs
        self.dev = os.open("/dev/fuse", os.O_RDWR)
        os.makedirs(self.top, exist_ok=True)
        self._mount("-i", "-t", "fuse.held", "-o", "fd=%d,rootmode=40000,"
                    "user_id=0,group_id=0" % self.dev, "held", self.top)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                frzlib.close_others(self.dev)
                while True:
                    self._answer(self._take())
            finally:
                os._exit(1)
        hvtest.after(self._end, keep)
        self._mount("--move", self.home, self.point)

    def _mount(self, *args):
        subprocess.run(["mount", *args], pass_fds=(self.dev,), check=True)

    def _take(self):
        """The next request that wants an answer."""
        while True:
            request = os.read(self.dev, 1 << 17)
            if HEADER.unpack_from(request)[1] not in (FORGET, INTERRUPT,
                                                      BATCH_FORGET):
                return request

    def _answer(self, request):
        _, opcode, unique, node, *_ = HEADER.unpack_from(request)
        attr = struct.pack("=6Q10I", 1, *[0] * 8, 0o40755, 2, *[0] * 5)
        error, data = 0, b""
        if opcode == INIT:
            data = struct.pack("=4I2H2I2H8I", 7, 31, 0, 0, 9, 9, 4096, 1,
                               *[0] * 10)
        elif opcode == GETATTR:
            data = struct.pack("=QII", 0, 0, 0) + attr
        elif opcode == LOOKUP and node == 1 and \
                request[HEADER.size:-1] == self.name:
            data = struct.pack("=4Q2I", 2, 0, 0, 0, 0, 0) + attr
        else:
            error = errno.ENOENT if opcode == LOOKUP else errno.ENOSYS
        os.write(self.dev, struct.pack("=IiQ", 16 + len(data), -error, unique)
                 + data)

    def hang(self, deaf=False):
        """No request is read; deaf: one is read, and SIGKILL does not end
        whoever waits for its answer."""
        guest.stop(self.pid)
        if deaf:
            def take():
                self.taken = self._take()
            threading.Thread(target=take, daemon=True).start()

    def go_on(self):
        if self.taken:
            self._answer(self.taken)
            self.taken = None
        os.kill(self.pid, signal.SIGCONT)

    def back(self):
        self._mount("--move", self.point, self.home)
        self.point = None

    def _end(self, keep):
        self.go_on()
        hvtest.thaw(self.here)
        if self.point:
            self.back()
        os.close(keep)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.dev)
        subprocess.run(["umount", self.top], check=True)


def left_frozen(**sets):
    """A machine on which everything was killed at once in a hold."""
    hvtest.after(guest.freezers_end)  # called after the others
    m = hvtest.Machine(**sets)
    m.start_driver()
    m.start_daemon()
    h = m.host("freeze", "hold=60000")
    check(h.reply("freeze")["reply"] == "ok", "freeze: %s" % h.replies())
    m.kill_all_that_thaw()
    h.process.kill()
    check(all(hvtest.is_frozen(p) for p in POINTS), "thawed by itself")
    return m


def hung(below):
    return "%s: may be frozen, and opening %s hangs" % (below.home, below.point)


def works(m):
    status, replies = m.host("check", "freeze", "thaw").wait()
    check(status == 0, "host: %s" % replies)


@case
def with_one_thread_what_an_image_lies_on_is_thawed_before_it():
    m = left_frozen(threads="1")
    status, _, err = hvtest.run(m.daemon_argv("--thaw-all"))
    check(status == 0, err)
    check(not any(hvtest.is_frozen(p) for p in POINTS), "frozen: %s" % err)
    m.start_daemon()
    works(m)


@case
def thaw_all_says_by_its_status_that_one_could_not_be_opened():
    m = left_frozen()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/mnt/b"], check=True)
    status, _, err = hvtest.run(m.daemon_argv("--thaw-all"))
    subprocess.run(["umount", "/mnt/b"], check=True)
    check(status == 1, "exit %d: %s" % (status, err))
    check("/mnt/b: may be frozen, and cannot be opened" in err, err)
    check(hvtest.is_frozen("/mnt/b"), "/mnt/b was thawed: %s" % err)
    check(not hvtest.is_frozen("/mnt/a"), "/mnt/a is frozen: %s" % err)
    status, _, err = hvtest.run(m.daemon_argv("--thaw-all"))
    check(status == 0, err)
    check(not hvtest.is_frozen("/mnt/b"), "/mnt/b is frozen: %s" % err)


@case
def force_says_that_there_are_more_than_it_can_thaw():
    libc = ctypes.CDLL(None)
    allowed = os.environ["HV_VSS_TEST_DEVICES"]
    devices = allowed.split(",")
    while len(devices) <= 1024:
        point = "/tmp/many/%d" % len(devices)
        os.makedirs(point)
        check(libc.mount(b"/none", point.encode(), b"tmpfs", 0, b"") == 0,
              point)
        hvtest.after(libc.umount, point.encode())
        dev = os.stat(point).st_dev
        devices.append("%d:%d" % (os.major(dev), os.minor(dev)))
    hvtest.after(os.environ.update, {"HV_VSS_TEST_DEVICES": allowed})
    os.environ["HV_VSS_TEST_DEVICES"] = ",".join(devices[:1024])
    m = hvtest.Machine()
    status, _, err = hvtest.run(m.daemon_argv("--thaw-all", "--force"))
    wrong = [line for line in err.split("\n")
             if "not frozen any more" not in line and "OOM" not in line]
    check(status == 1 and len(wrong) == 2 and
          "more than 1024 file systems" in wrong[0], wrong)


@case
def what_could_not_be_opened_at_the_start_is_not_forgotten():
    m = left_frozen()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/mnt/b"], check=True)
    m.start_daemon(["-d"])
    status, replies = m.host("check").wait()
    check(status == 3, "host: %s" % replies)
    check("refused: /mnt/b: may be frozen" in m.daemon.output(),
          m.daemon.output())
    subprocess.run(["umount", "/mnt/b"], check=True)
    check(hvtest.is_frozen("/mnt/b"), "/mnt/b was thawed")
    until(lambda: not hvtest.is_frozen("/mnt/b"), "it is tried again", 30)
    until(lambda: "is not frozen any more" in m.daemon.output(), "said", 5)
    works(m)


@case
def thaw_all_beside_a_daemon_thawed_its_next_backups():
    hvtest.after(guest.freezers_end)
    m = hvtest.Machine()
    m.start_driver()
    m.start_daemon()
    gate = guest.Gate(m.dir + "/gate")
    h = m.host("freeze", gate.action, "thaw")
    check(h.reply("freeze")["reply"] == "ok", "freeze: %s" % h.replies())
    check(hvtest.thaw("/mnt/b"), "somebody thaws one")
    p = hvtest.Process(m.daemon_argv("--thaw-all"))
    p.says("/mnt/b: not frozen any more")
    gate.open(h.process.alive)
    check(h.reply("thaw")["reply"] == "fail", "thaw: %s" % h.replies())
    h.wait()
    worker = guest.freezer_pid("worker")
    check(p.wait(20) == 0, p.output())
    check(guest.state_of(worker), "it waited for the worker's end")
    works(m)


@case
def thaw_all_was_held_up_by_a_path_that_hangs():
    m = left_frozen()
    b = Below("b")
    b.hang()
    status, _, err = hvtest.run(m.daemon_argv("--thaw-all"), 30)
    check(status == 1, "exit %d: %s" % (status, err))
    check(err.count(hung(b)) == 1, err)
    for p in ("/mnt/a", "/mnt/c"):
        check(not hvtest.is_frozen(p), "%s is frozen: %s" % (p, err))
        check(p + ": not frozen any more" in err, err)
    check(hvtest.is_frozen(b.here), "it is thawed: %s" % err)
    b.go_on()
    status, _, err = hvtest.run(m.daemon_argv("--thaw-all"))
    check(status == 0, err)
    check(not hvtest.is_frozen(b.here), "it is frozen: %s" % err)


def the_start(deaf):
    m = left_frozen()
    b = Below("b")
    b.hang(deaf)
    m.start_daemon(["-d"])
    for p in ("/mnt/a", "/mnt/c"):
        check(not hvtest.is_frozen(p), "%s: %s" % (p, m.daemon.output()))
    status, replies = m.host("check").wait()
    check(status == 3, "host: %s" % replies)
    check("refused: " + hung(b) in m.daemon.output(), m.daemon.output())
    check(hvtest.is_frozen(b.here), "it is thawed")
    b.go_on()
    until(lambda: not hvtest.is_frozen(b.here), "it is tried again", 30)
    m.daemon.says("what an earlier run left is not frozen any more")
    b.back()
    works(m)


@case
def the_start_was_held_up_by_a_path_that_hangs():
    the_start(deaf=False)


@case
def the_start_was_held_up_by_a_path_that_hangs_beyond_sigkill():
    the_start(deaf=True)


@case
def whoever_serves_a_path_waits_for_what_is_frozen():
    m = left_frozen()
    b = Below("b")
    b.hang()
    p = hvtest.Process(m.daemon_argv("--thaw-all"))
    p.says("/mnt/a: not frozen any more")
    b.go_on()
    check(p.wait(20) == 0, p.output())
    check(not hvtest.is_frozen(b.here), "it is frozen: " + p.output())


@case
def a_thaw_that_waits_for_what_lies_below_a_path_that_hangs():
    m = left_frozen()
    a = Below("a")
    a.hang()
    m.start_daemon(["-d"])
    check(not hvtest.is_frozen("/mnt/b"), m.daemon.output())
    check("/mnt/c: its thaw has not returned" in m.daemon.output(),
          m.daemon.output())
    a.go_on()
    until(lambda: not hvtest.is_frozen(a.here), "it is tried again", 30)
    m.daemon.says("what an earlier run left is not frozen any more", 30)
    check(not hvtest.is_frozen("/mnt/c"), "/mnt/c is frozen")
    a.back()
    works(m)


if __name__ == "__main__":
    hvtest.main()
