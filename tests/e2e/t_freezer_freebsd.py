#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
#
# timeout: 170

"""FreeBSD's worker and guard, with the test in the daemon's and the kernel's
place: /dev/ufssuspend is a socket of the test, which keeps what is frozen as
the kernel does.  Nothing real is frozen: the program has no call for it."""

import errno
import os
import select
import signal
import socket
import struct
import tempfile
import threading
import time

import frzlib
import hvtest
from hvtest import case, check, until

PROGRAM = hvtest.BUILD + "/tests/hv_vss_freezer_freebsd"
SUSPEND, RESUME, SYNC, POOL = 1, 2, 3, 4
CALL = struct.Struct("=Iii64s")

# What is mounted: FSID, type, source, where.
MOUNTS = [(1, "ufs", "/dev/da0p2", "/"), (2, "ufs", "/dev/da1p1", "/data"),
          (3, "ufs", "/dev/md0", "/data/in"), (4, "zfs", "tank/home", "/home"),
          (5, "msdosfs", "/dev/da2s1", "/stick"), (6, "ufs", "/dev/da3", "/var"),
          (7, "ufs", "/dev/zvol/other/a/b", "/volume")]
UFS = [("/", 1), ("/data", 1), ("/data/in", 0), ("/var", 1)]
ORDER = [3, 6, 2, 1]  # of fsids: what is stacked first, then the last mounted


class Kernel(threading.Thread):
    """What /dev/ufssuspend is to the freezer."""

    def __init__(self, mounts=tuple(MOUNTS)):
        super().__init__(daemon=True)
        self.dir = tempfile.TemporaryDirectory()
        self.path = self.dir.name + "/kernel"
        with open(self.dir.name + "/mounts", "w", encoding="ascii") as f:
            for m in mounts:
                f.write("%d %s %s %s\n" % m)
        self.env = {"FBSD_KERNEL": self.path,
                    "FBSD_MOUNTS": self.dir.name + "/mounts"}
        self.types = {m[0]: m[1].split(",")[0] for m in mounts}
        self.lock = threading.Condition()
        self.frozen = {}  # fsid: connection
        self.log = []     # of calls
        self.held = None  # the fsid whose freeze waits
        self.gives_up = None  # the fsid that is never frozen
        self.refuse = {}  # fsid: errno, of its freeze or its thaw
        self.waits = set()
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(self.path)
        self.listener.listen(200)
        self.over = False
        self.start()
        hvtest.after(self.stop)

    def stop(self):
        self.over = True
        self.let_go()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.connect(self.path)
        self.join()
        self.listener.close()
        self.dir.cleanup()

    def run(self):
        while not self.over:
            conn, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(conn,),
                             daemon=True).start()

    def serve(self, conn):
        mine = [None]
        while True:
            data = conn.recv(CALL.size)
            if len(data) != CALL.size:
                break
            op, fsid, _, name = CALL.unpack(data)
            error = self.call(conn, mine, op, fsid, name.rstrip(b"\0"))
            try:
                conn.send(struct.pack("=i", error))
            except OSError:
                break
        # The last close thaws.
        with self.lock:
            if mine[0] is not None:
                self.log.append(("close", mine[0]))
                del self.frozen[mine[0]]
        conn.close()

    def call(self, conn, mine, op, fsid, name):
        with self.lock:
            if op == SUSPEND:
                return self.suspend(conn, mine, fsid)
            if op == RESUME:
                if mine[0] not in self.frozen:
                    mine[0] = None
                    return errno.ENOENT
                if mine[0] in self.refuse:
                    return self.refuse.pop(mine[0])
                self.log.append(("thaw", mine[0]))
                del self.frozen[mine[0]]
                mine[0] = None
                return 0
            self.log.append(("sync",) if op == SYNC
                            else ("pool", name.decode()))
            return self.refuse.get(name, 0)

    def suspend(self, conn, mine, fsid):
        if fsid not in self.types:
            return errno.ENOENT
        if self.types[fsid] != "ufs":
            return errno.EINVAL
        self.waits.add(fsid)
        while self.held == fsid:
            self.lock.wait(0.05)
        self.waits.discard(fsid)
        if fsid in self.refuse:
            return self.refuse.pop(fsid)
        if fsid == self.gives_up:
            return errno.EAGAIN
        if fsid in self.frozen:
            return errno.EBUSY
        if mine[0] is not None:
            return errno.EBUSY
        self.log.append(("freeze", fsid))
        self.frozen[fsid] = conn
        mine[0] = fsid
        return 0

    def hold(self, fsid):
        self.held = fsid

    def let_go(self):
        with self.lock:
            self.held = None
            self.lock.notify_all()

    def all_thawed(self, seconds, what):
        until(lambda: not self.frozen, what, seconds)


class Freezer(frzlib.Freezer):
    """Its worker and guard are FreeBSD's."""

    def __init__(self, kernel, mounts=tuple(UFS)):
        self.kernel = kernel
        super().__init__(list(mounts), devices="")

    def start(self, role, devices):
        return frzlib.Process(role, devices, PROGRAM, self.kernel.env)

    def identify(self, path):
        for fsid, _, _, point in MOUNTS:
            if point == path:
                return fsid << 32 | 7, fsid, 7
        return 99 << 32 | 7, 99, 7


@case
def stacked_first_then_the_last_mounted_and_back():
    k = Kernel()
    f = Freezer(k)
    m = f.freeze()
    check(m and m["errno"] == 0, "freeze: %s" % m)
    check([x[1] for x in k.log if x[0] == "freeze"] == ORDER, k.log)
    check(k.log[0] == ("sync",), "not flushed before: %s" % k.log)
    check([f.slot(i)[0] for i in range(4)] == [frzlib.FROZEN] * 4, "states")
    m = f.thaw()
    check(m and m["errno"] == 0, "thaw: %s" % m)
    check(not k.frozen, "frozen: %s" % k.frozen)
    check(not [x for x in k.log if x[0] == "close"], k.log)
    f.release()
    m = f.freeze()
    check(m and m["errno"] == 0, "once more: %s" % m)
    f.thaw()
    f.release()


@case
def nothing_in_the_table_but_what_freezes():
    k = Kernel()
    f = Freezer(k)
    check(f.freeze()["errno"] == 0, "freeze")
    for p, most in ((f.worker, 4 + len(UFS)), (f.guard, 5)):
        fds = os.listdir("/proc/%d/fd" % p.pid)
        check(len(fds) <= most, "%d descriptors" % len(fds))
        check(os.readlink("/proc/%d/cwd" % p.pid) == "/dev", "directory")
        check(len(os.listdir("/proc/%d/task" % p.pid)) == 1, "threads")
        for fd in fds:
            to = os.readlink("/proc/%d/fd/%s" % (p.pid, fd))
            check(to == "/dev/null" or to.startswith(("socket:", "anon_inode:")),
                  "%s is open" % to)
    f.thaw()
    f.release()
    fds = os.listdir("/proc/%d/fd" % f.worker.pid)
    check(len(fds) == 4, "%d descriptors after release" % len(fds))


@case
def holes_in_the_table_are_filled():
    k = Kernel()
    f = Freezer(k)
    check(f.open() is None, "open")
    # What comes with a message is closed again, below nothing or above all.
    with tempfile.TemporaryFile() as t:
        f.worker.send(frzlib.PING, [t.fileno()] * 3)
        f.worker.expect(frzlib.PING)
    f.arm(30)
    f.order_freeze()
    f.worker.expect(frzlib.FREEZE)
    f.thaw()
    f.release()


def open_some(f, *paths, levels=None):
    """In that order; what is not UFS is only flushed."""
    f.begin()
    for i, path in enumerate(paths):
        mnt_id, major, minor = f.identify(path)
        f.worker.send(frzlib.OPEN, gen=f.gen, index=i, path=path, mnt_id=mnt_id,
                      major=major, minor=minor,
                      level=levels[i] if levels else 0,
                      flags=frzlib.F_SYNC_ONLY
                      if path in ("/home", "/stick") else 0)
        f.worker.expect(frzlib.OPEN)
    f.mounts = [0] * len(paths)
    f.arm(30)


@case
def a_journal_is_settled_right_before_its_freeze():
    mounts = [(i, "ufs,suj" if i in (1, 6) else t, d, p)
              for i, t, d, p in MOUNTS]
    k = Kernel(mounts)
    k.refuse = {6: errno.EAGAIN}
    f = Freezer(k)
    m = f.freeze()
    check(m and m["errno"] == 0, "freeze: %s" % m)
    settled = [("sync",), ("sync",)]
    check(k.log[1:] == [("freeze", 3), ("freeze", 2)] + 2 * settled +
          [("freeze", 6)] + settled + [("freeze", 1)], k.log)
    f.thaw()
    f.release()


@case
def a_freeze_that_the_kernel_always_gives_up_ends_with_its_lease():
    k = Kernel()
    k.gives_up = 2
    f = Freezer(k)
    m = f.freeze(4.0)
    check(m and m["errno"] == errno.EAGAIN, "freeze: %s" % m)
    k.all_thawed(2, "what was frozen before it")
    f.release()


@case
def what_flushing_a_pool_keeps_open_makes_no_hole():
    k = Kernel()
    f = Freezer(k)
    for paths in (("/", "/data", "/var", "/home"), ("/", "/home")):
        open_some(f, *paths)
        f.order_freeze()
        f.worker.expect(frzlib.FREEZE)
        check(len(k.frozen) == len(paths) - 1, "frozen: %s" % k.frozen)
        f.thaw()
        f.release()


@case
def pools_are_flushed_before_the_freeze_and_in_it():
    k = Kernel()
    f = Freezer(k, UFS[:1])
    open_some(f, "/home", "/stick", "/")
    f.flush()
    f.order_freeze()
    f.worker.expect(frzlib.FREEZE)
    check(k.log == [("sync",), ("pool", "tank"), ("pool", "tank"),
                    ("freeze", 1)], k.log)
    check(list(k.frozen) == [1], "frozen: %s" % k.frozen)
    f.thaw()
    f.release()


@case
def a_pool_is_flushed_after_what_lies_on_it_and_before_what_it_may_lie_on():
    k = Kernel()
    f = Freezer(k, UFS[:1])
    open_some(f, "/", "/home", "/data/in", "/volume", levels=(1, 1, 0, 1))
    f.order_freeze()
    f.worker.expect(frzlib.FREEZE)
    check(k.log == [("freeze", 3), ("freeze", 7), ("pool", "other"),
                    ("pool", "tank"), ("freeze", 1)], k.log)
    f.thaw()
    f.release()


@case
def a_pool_that_cannot_be_flushed_fails_the_freeze():
    k = Kernel()
    f = Freezer(k, UFS[:1])
    open_some(f, "/", "/home")
    f.flush()
    k.refuse[b"tank"] = errno.EIO
    f.order_freeze()
    m = f.worker.expect(frzlib.FREEZE, errno.EIO)
    check(m["index"] == 1, "names %s" % m)
    k.all_thawed(2, "thawed")
    f.thaw()
    f.release()


@case
def without_the_library_what_needs_it_is_refused():
    k = Kernel()
    k.env["FBSD_NO_ZFS"] = "1"
    f = Freezer(k)
    f.begin()
    for path, error in (("/home", errno.ENOSYS), ("/volume", errno.ENOSYS),
                        ("/data", 0)):
        f.worker.send(frzlib.OPEN, gen=f.gen, path=path,
                      mnt_id=f.identify(path)[0],
                      flags=0 if path != "/home" else frzlib.F_SYNC_ONLY)
        f.worker.expect(frzlib.OPEN, error)


@case
def what_is_not_there_any_more_is_refused():
    k = Kernel()
    f = Freezer(k)
    f.begin()
    for path, mnt_id, error in (("/", 99 << 32 | 7, errno.ESTALE),
                                ("/data", 1 << 32 | 7, errno.ESTALE),
                                ("/home", 4 << 32 | 7, errno.EOPNOTSUPP)):
        f.worker.send(frzlib.OPEN, gen=f.gen, path=path, mnt_id=mnt_id)
        f.worker.expect(frzlib.OPEN, error)


@case
def what_somebody_else_froze_is_refused_and_left_alone():
    k = Kernel()
    k.frozen[6] = None
    f = Freezer(k)
    m = f.freeze()
    check(m and m["errno"] == errno.EBUSY and m["index"] == 3, "freeze: %s" % m)
    until(lambda: list(k.frozen) == [6], "it lets go of the others by itself", 2)
    m = f.thaw()
    check(m and m["errno"] == 0, "thaw: %s" % m)
    check(f.slot(3)[0] == frzlib.NOT_OURS, "state %d" % f.slot(3)[0])
    check(list(k.frozen) == [6], "frozen: %s" % k.frozen)
    f.release()
    check(k.log.count(("freeze", 2)) == 0, "went on: %s" % k.log)


@case
def what_somebody_else_thawed_is_told():
    k = Kernel()
    f = Freezer(k)
    check(f.freeze()["errno"] == 0, "freeze")
    del k.frozen[2]
    m = f.thaw()
    check(m and m["errno"] == errno.EINVAL, "thaw: %s" % m)
    f.release()


@case
def a_thaw_that_fails_is_tried_again():
    k = Kernel()
    f = Freezer(k)
    check(f.freeze()["errno"] == 0, "freeze")
    k.refuse[2] = errno.EIO
    f.worker.send(frzlib.THAW, gen=f.gen)
    until(lambda: list(k.frozen) == [2], "the others are thawed", 2)
    f.worker.send(frzlib.PING)
    f.worker.expect(frzlib.PING)
    f.worker.expect(frzlib.THAW)
    check(not k.frozen, "frozen: %s" % k.frozen)
    f.release()


@case
def orders_out_of_place_are_refused():
    k = Kernel()
    f = Freezer(k)
    f.worker.send(frzlib.FREEZE, gen=9, count=4, deadline=1)
    f.worker.expect(frzlib.FREEZE, errno.EINVAL)
    f.guard.send(frzlib.ARM, gen=9, count=frzlib.FS_MAX + 1, deadline=1)
    f.guard.expect(frzlib.ARM, errno.EINVAL)
    f.worker.send(frzlib.OPEN, gen=1, index=127)
    f.worker.expect(frzlib.OPEN, errno.EINVAL)
    for p in (f.worker, f.guard):
        p.sock.send(b"short")
        p.sock.send(bytes(2000))
    check(f.freeze()["errno"] == 0, "freeze")
    for p in (f.worker, f.guard):
        p.send(frzlib.RELEASE, gen=f.gen)
        p.expect(frzlib.RELEASE, errno.EBUSY)
    f.worker.send(frzlib.FLUSH, gen=f.gen, count=4)
    f.worker.expect(frzlib.FLUSH, errno.EBUSY)
    check(f.thaw()["errno"] == 0, "thaw")
    f.release()


@case
def the_workers_lease_thaws_when_nobody_speaks():
    k = Kernel()
    f = Freezer(k)
    check(f.freeze(3.2)["errno"] == 0, "freeze")
    m = f.worker.receive(3)
    check(m and m["op"] == frzlib.EXPIRED, "not %s" % m)
    k.all_thawed(2, "the worker's lease")
    check(f.slot(0)[3] == 1, "not thawed by the worker")


# The kill matrix of worker and guard.

LEASE = 3.2  # the guard's; the worker's ends 2 s before
HELD = 2
STEPS = ["opened", "waiting", "frozen", "thawing"]


def reach(k, f, step):
    """Brings a transaction to a step."""
    check(f.open() is None, "open")
    f.arm(LEASE)
    if step == "opened":
        return
    if step == "waiting":
        k.hold(HELD)
    f.order_freeze()
    if step == "waiting":
        until(lambda: HELD in k.waits, "a freeze that waits")
        check(sorted(k.frozen) == [3, 6], "frozen: %s" % k.frozen)
        return
    f.worker.expect(frzlib.FREEZE)
    if step == "thawing":
        f.worker.send(frzlib.THAW, gen=f.gen)


def strike(f, victims, sig):
    """The daemon last: its end sets the others thawing."""
    for v in sorted(victims, key="daemon".__eq__):
        if v == "daemon":
            f.worker.sock.close()
            f.guard.sock.close()
        else:
            getattr(f, v).kill(sig)
    # What nobody holds the process descriptor of the kernel kills.
    if sig == signal.SIGKILL and "daemon" in victims and "guard" in victims:
        f.worker.kill(sig)


def matrix(victims, sig, step):
    k = Kernel()
    f = Freezer(k)
    reach(k, f, step)
    strike(f, victims, sig)
    if "guard" in victims and not {"daemon", "worker"} & set(victims):
        f.worker.send(frzlib.THAW, gen=f.gen)
    if step == "waiting":
        # A freeze that the kernel does not end: nobody else can thaw until the
        # worker is killed, which the guard does, or the call returns.
        if victims == ["guard"] or "guard" in victims and sig == signal.SIGSTOP:
            k.let_go()
        k.all_thawed(LEASE + 2.5, "the strike")
        k.let_go()
    k.all_thawed(LEASE + 2.5 if sig == signal.SIGSTOP else 2.5, "the strike")
    strike(f, [v for v in victims if v != "daemon"], signal.SIGCONT)
    time.sleep(0.1)
    k.all_thawed(1, "SIGCONT")
    if "worker" in victims and "daemon" not in victims and \
            "guard" not in victims and sig == signal.SIGKILL:
        until(lambda: all(f.slot(i)[0] not in (frzlib.FREEZING, frzlib.FROZEN,
                                               frzlib.THAWING)
                          for i in range(4)), "the guard knows that it is thawed")


def add(victims, sig, step):
    def run():
        matrix(victims, sig, step)
    run.__name__ = "%s_struck_by_%s_while_%s" % (
        "_and_".join(victims), sig.name.lower(), step)
    case(run)


for _step in STEPS:
    add(["worker"], signal.SIGSEGV, _step)
    for _sig in (signal.SIGKILL, signal.SIGSTOP):
        add(["worker"], _sig, _step)
        add(["guard"], _sig, _step)
        add(["daemon", "worker"], _sig, _step)
        add(["daemon", "guard"], _sig, _step)
    add(["worker", "guard"], signal.SIGKILL, _step)
    add(["daemon", "worker", "guard"], signal.SIGKILL, _step)
    add(["daemon"], signal.SIGKILL, _step)


@case
def the_guard_thaws_at_the_daemons_order():
    k = Kernel()
    f = Freezer(k)
    check(f.freeze()["errno"] == 0, "freeze")
    f.worker.kill(signal.SIGSTOP)
    f.guard.send(frzlib.THAW, gen=f.gen)
    f.guard.expect(frzlib.THAW)
    # The kernel has closed them; the test may see that later.
    k.all_thawed(1, "the guard's word")
    check(select.select([f.worker.pidfd], [], [], 1)[0], "the worker lives")


if __name__ == "__main__":
    hvtest.main()
