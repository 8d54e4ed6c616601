# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause

"""Drives the freezer's worker and guard as the daemon does, and holds freezes
up.  Only for the isolated root."""

import array
import fcntl
import mmap
import os
import select
import signal
import socket
import struct
import time

import hvtest

PROGRAM = "/hv/tests/hv_vss_freezer_test"

(READY, DONE, EXPIRED, ATTACH, OPEN, HOLD, FLUSH, ARM, FREEZE, THAW, RELEASE,
 PING) = range(1, 13)
PLANNED, OPENED, FREEZING, FROZEN, NOT_OURS, THAWING, THAWED = range(7)
F_SYNC_ONLY, F_FORCE, F_ANY_DEV, F_ANY_MOUNT = 1, 2, 4, 8
FS_MAX = 1024

MSG = struct.Struct("=IIQQQiIIIIIII1024s")
PAGE_SIZE = 64 + 80 * FS_MAX
SLOT = struct.Struct("=IiII")


def close_others(*keep):
    """A child must not keep a socket of its parent's open."""
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd > 2 and fd not in keep:
            try:
                os.close(fd)
            except OSError:
                pass


class Holder:
    """A process in the middle of a write: a freeze waits for it."""

    def __init__(self, directory):
        r, self.pipe = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.pipe)
            close_others(r)
            fd = os.open(directory + "/held", os.O_WRONLY | os.O_CREAT)
            os.splice(r, fd, 4096)
            os._exit(0)
        os.close(r)

        def sleeping():
            with open("/proc/%d/stat" % self.pid, encoding="ascii") as f:
                return f.read().rsplit(")", 1)[1].split()[0] == "S"
        hvtest.until(sleeping, "a writer that waits")
        hvtest.after(self.let_go)

    def let_go(self):
        if self.pipe is not None:
            os.close(self.pipe)
            os.waitpid(self.pid, 0)
            self.pipe = None


class Process:
    """A worker or a guard of our own, and our end of its socket."""

    def __init__(self, role, devices, program=PROGRAM, env=()):
        self.sock, theirs = socket.socketpair(socket.AF_UNIX,
                                              socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            os.dup2(theirs.fileno(), 3, inheritable=True)
            close_others(3)
            os.execve(program, [program, role],
                      {**os.environ, "HV_VSS_TEST_DEVICES": devices,
                       **dict(env)})
        theirs.close()
        self.pidfd = os.pidfd_open(self.pid)
        ready = self.receive(5)
        assert ready and ready["op"] == READY, ready
        assert ready["errno"] == 0 or ready["index"] == 3, ready

    def send(self, op, fds=(), **field):
        path = field.get("path", "").encode()
        data = MSG.pack(op, 0, field.get("gen", 0), field.get("deadline", 0),
                        field.get("mnt_id", 0), 0, field.get("index", 0),
                        field.get("count", 0), field.get("level", 0),
                        field.get("major", 0), field.get("minor", 0),
                        field.get("flags", 0), 0, path)
        anc = []
        if fds:
            anc = [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                    array.array("i", fds))]
        self.sock.sendmsg([data], anc)

    def receive(self, seconds):
        """The next message as a dict; None when none comes, {} at the end."""
        if not select.select([self.sock], [], [], seconds)[0]:
            return None
        data = self.sock.recv(MSG.size + 1)
        if not data:
            return {}
        assert len(data) == MSG.size
        m = MSG.unpack(data)
        return {"op": m[0], "of": m[1], "gen": m[2], "errno": m[5],
                "index": m[6]}

    def done(self, of, seconds=20):
        """The DONE of an order, past whatever comes before it."""
        end = time.monotonic() + seconds
        while True:
            m = self.receive(max(0, end - time.monotonic()))
            if not m or (m["op"] == DONE and m["of"] == of):
                return m

    def expect(self, of, error=0, seconds=20):
        m = self.done(of, seconds)
        assert m and m["errno"] == error, (of, m)
        return m

    def kill(self, sig):
        signal.pidfd_send_signal(self.pidfd, sig)

    def ended(self, seconds):
        return bool(select.select([self.pidfd], [], [], seconds)[0])

    def end(self):
        if self.pid == 0:
            return
        self.sock.close()
        self.kill(signal.SIGCONT)
        if not self.ended(3):
            self.kill(signal.SIGKILL)
            assert self.ended(10), "does not end"
        os.waitpid(self.pid, 0)
        os.close(self.pidfd)
        self.pid = 0


def statx_mount(path):
    """Mount id and device numbers of a mount point, from mountinfo."""
    found = None
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        for line in f:
            w = line.split()
            if w[4] == path:
                major, minor = w[2].split(":")
                found = int(w[0]), int(major), int(minor)
    return found


class Freezer:
    """Worker, guard and their page."""

    def __init__(self, mounts, devices=None):
        """mounts: [(path, level)], in any order."""
        if devices is None:
            devices = scratch_devices()
        self.mounts = mounts
        self.gen = 0
        self.memfd = os.memfd_create("page", os.MFD_ALLOW_SEALING)
        os.ftruncate(self.memfd, PAGE_SIZE)
        fcntl.fcntl(self.memfd, 1033, 1 | 2 | 4)
        self.page = mmap.mmap(self.memfd, PAGE_SIZE)
        self.page[0:8] = struct.pack("=II", 0x66726565, 1)
        self.worker = self.start("worker", devices)
        self.guard = self.start("guard", devices)
        self.introduce()
        self.guard.expect(ATTACH)
        hvtest.after(self.end)

    def start(self, role, devices):
        return Process(role, devices)

    def identify(self, path):
        """Mount id and device numbers, as the plan has them."""
        return statx_mount(path)

    def introduce(self):
        """Gives worker and guard the page and each other."""
        a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.worker.send(ATTACH, [self.memfd, a.fileno()])
        self.worker.expect(ATTACH)
        self.guard.send(ATTACH, [self.memfd, b.fileno(), self.worker.pidfd])
        a.close()
        b.close()

    def replace_worker(self):
        """The worker is killed and there is another, of which the guard is told
        before it could see that the first has ended."""
        self.guard.kill(signal.SIGSTOP)
        self.worker.kill(signal.SIGKILL)
        assert self.worker.ended(10), "does not end"
        self.worker.end()
        self.worker = self.start("worker", scratch_devices())
        self.introduce()
        self.guard.kill(signal.SIGCONT)
        self.guard.expect(ATTACH)

    def slot(self, i):
        """State, errno, failed step, who thawed."""
        return SLOT.unpack_from(self.page, 64 + 80 * i)

    def begin(self):
        self.gen += 1
        self.page[8:64] = bytes(56)
        self.page[64:] = bytes(PAGE_SIZE - 64)
        self.page[8:16] = struct.pack("=Q", self.gen)

    def open(self, flags=0):
        self.begin()
        for i, (path, level) in enumerate(self.mounts):
            mnt_id, major, minor = self.identify(path)
            self.worker.send(OPEN, gen=self.gen, index=i, path=path,
                             level=level, mnt_id=mnt_id, major=major,
                             minor=minor,
                             flags=flags | (0 if major else F_ANY_DEV))
            m = self.worker.done(OPEN)
            if not m or m["errno"]:
                return m
        return None

    def arm(self, lease):
        self.deadline = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + int(lease * 1e9)
        self.guard.send(ARM, gen=self.gen, count=len(self.mounts),
                        deadline=self.deadline)
        self.guard.expect(ARM)

    def flush(self):
        self.worker.send(FLUSH, gen=self.gen, count=len(self.mounts))
        self.worker.expect(FLUSH)

    def order_freeze(self, gap=2.0):
        self.worker.send(FREEZE, gen=self.gen, count=len(self.mounts),
                         deadline=self.deadline - int(gap * 1e9))

    def freeze(self, lease=30.0):
        """The whole way down; returns the DONE of FREEZE."""
        refused = self.open()
        assert refused is None, refused
        self.arm(lease)
        self.flush()
        self.order_freeze()
        return self.worker.done(FREEZE)

    def thaw(self):
        self.worker.send(THAW, gen=self.gen)
        return self.worker.done(THAW)

    def release(self):
        for p in (self.worker, self.guard):
            p.send(RELEASE, gen=self.gen)
            p.expect(RELEASE)

    def end(self):
        self.worker.end()
        self.guard.end()


def scratch_devices():
    """What the freezer for tests may touch."""
    with open("/iso/devices", encoding="ascii") as f:
        return ",".join(f.read().split())


def children(parent, name):
    """The children of a process that have a command name."""
    found = []
    for pid in hvtest.pids_of(name):
        with open("/proc/%d/stat" % pid, encoding="ascii") as f:
            if int(f.read().rsplit(")", 1)[1].split()[1]) == parent:
                found.append(pid)
    return found


def sanitized():
    """A sanitizer needs memory of its own."""
    with open(PROGRAM, "rb") as f:
        program = f.read()
    return b"__asan_init" in program or b"__tsan_init" in program


def pss_kib(pid):
    with open("/proc/%d/smaps_rollup" % pid, encoding="utf-8") as f:
        for line in f:
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return None
