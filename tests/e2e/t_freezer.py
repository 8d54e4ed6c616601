#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
#
# isoroot: --fs ext4:256M,xfs:360M,btrfs:256M,in=ext4:64M@xfs --bound 170
# timeout: 180

"""Worker and guard of hv_vss_freezer, with the test in the daemon's place."""

import errno
import os
import signal
import time

import frzlib
import hvtest
from hvtest import case, check, until, writable_within

PLAIN = [("/mnt/ext4", 0), ("/mnt/xfs", 1), ("/mnt/btrfs", 0)]
STACKED = PLAIN + [("/mnt/in", 0)]
HELD = "/mnt/btrfs"  # the one whose freeze is made to wait


def writers(mounts):
    return {path: hvtest.Writer(path) for path, _ in mounts}


def all_frozen(mounts):
    return all(hvtest.is_frozen(path) for path, _ in mounts)


@case
def what_is_planned_freezes_and_thaws_inner_images_first_down():
    w = writers(STACKED)
    f = frzlib.Freezer(STACKED)
    done = f.freeze()
    check(done and done["errno"] == 0, "freeze: %s" % done)
    check(all_frozen(STACKED), "a second freeze is not EBUSY everywhere")
    for path, writer in w.items():
        check(writer.stands_still(0.1), "%s: written while frozen" % path)
    check([f.slot(i)[0] for i in range(4)] == [frzlib.FROZEN] * 4, "states")
    done = f.thaw()
    check(done and done["errno"] == 0, "thaw: %s" % done)
    check([f.slot(i)[0] for i in range(4)] == [frzlib.THAWED] * 4, "states")
    f.release()
    writable_within(w, 2, "thaw")


@case
def a_second_transaction_works_as_the_first():
    f = frzlib.Freezer(PLAIN)
    for _ in range(3):
        check(f.freeze()["errno"] == 0, "freeze")
        check(f.thaw()["errno"] == 0, "thaw")
        f.release()


@case
def nothing_is_held_between_backups():
    f = frzlib.Freezer([("/mnt/in", 0)])
    check(f.freeze()["errno"] == 0, "freeze")
    check(f.thaw()["errno"] == 0, "thaw")
    f.release()
    for p in (f.worker, f.guard):
        for fd in os.listdir("/proc/%d/fd" % p.pid):
            to = os.readlink("/proc/%d/fd/%s" % (p.pid, fd))
            check(not to.startswith("/mnt"), "%s is still open" % to)


@case
def what_somebody_else_froze_is_refused_and_left_alone():
    hvtest.freeze("/mnt/ext4")
    f = frzlib.Freezer(PLAIN)
    done = f.freeze()
    check(done and done["errno"] == errno.EBUSY and done["index"] == 0,
          "freeze: %s" % done)
    f.thaw()
    check(f.slot(0)[0] == frzlib.NOT_OURS, "state %d" % f.slot(0)[0])
    f.release()
    check(hvtest.is_frozen("/mnt/ext4"), "ext4 was thawed")
    check(not hvtest.is_frozen("/mnt/xfs"), "xfs is frozen")
    check(not hvtest.is_frozen("/mnt/btrfs"), "btrfs is frozen")
    f.end()
    check(hvtest.is_frozen("/mnt/ext4"), "ext4 was thawed at the end")
    hvtest.thaw("/mnt/ext4")


@case
def a_foreign_thaw_is_seen():
    f = frzlib.Freezer(PLAIN)
    check(f.freeze()["errno"] == 0, "freeze")
    check(hvtest.thaw("/mnt/xfs"), "xfs was not frozen")
    done = f.thaw()
    check(done["errno"] == errno.EINVAL and done["index"] == 1,
          "thaw: %s" % done)
    f.release()


@case
def another_mount_than_the_planned_one_is_refused():
    f = frzlib.Freezer([("/mnt/ext4", 0)])
    f.begin()
    mnt_id, major, minor = frzlib.statx_mount("/mnt/ext4")
    f.worker.send(frzlib.OPEN, gen=f.gen, path="/mnt/ext4", mnt_id=mnt_id + 1,
                  major=major, minor=minor)
    f.worker.expect(frzlib.OPEN, errno.ESTALE)
    f.worker.send(frzlib.OPEN, gen=f.gen, path="/mnt/ext4", mnt_id=mnt_id,
                  major=major, minor=minor + 1)
    f.worker.expect(frzlib.OPEN, errno.ESTALE)


@case
def a_fifo_or_device_is_not_opened():
    os.mkfifo("/run/fifo")
    hvtest.after(os.unlink, "/run/fifo")
    f = frzlib.Freezer([("/mnt/ext4", 0)])
    f.begin()
    for path in ("/run/fifo", "/dev/zero"):
        f.worker.send(frzlib.OPEN, gen=f.gen, path=path,
                      flags=frzlib.F_ANY_DEV | frzlib.F_ANY_MOUNT)
        f.worker.expect(frzlib.OPEN, errno.ENOTDIR)


@case
def the_build_for_tests_touches_listed_devices_only():
    f = frzlib.Freezer([("/mnt/ext4", 0)], devices="7:4095")
    done = f.open()
    check(done and done["errno"] == errno.EPERM, "open: %s" % done)


@case
def orders_out_of_place_are_refused():
    f = frzlib.Freezer(PLAIN)
    f.worker.send(frzlib.FREEZE, gen=9, count=3, deadline=1)
    f.worker.expect(frzlib.FREEZE, errno.EINVAL)
    f.guard.send(frzlib.ARM, gen=9, count=3, deadline=1)
    f.guard.expect(frzlib.ARM, errno.EBADF)
    f.worker.send(frzlib.OPEN, gen=1, index=127)
    f.worker.expect(frzlib.OPEN, errno.EINVAL)
    for p in (f.worker, f.guard):
        p.sock.send(b"short")
        p.sock.send(bytes(2000))
    check(f.freeze()["errno"] == 0, "freeze")
    f.guard.send(frzlib.RELEASE, gen=f.gen)
    f.guard.expect(frzlib.RELEASE, errno.EBUSY)
    f.worker.send(frzlib.RELEASE, gen=f.gen)
    f.worker.expect(frzlib.RELEASE, errno.EBUSY)
    check(f.thaw()["errno"] == 0, "thaw")
    f.release()


@case
def deaf_to_what_ends_a_session():
    f = frzlib.Freezer(PLAIN)
    check(f.freeze()["errno"] == 0, "freeze")
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGTSTP):
        f.worker.kill(sig)
        f.guard.kill(sig)
    check(not f.worker.ended(0.1) and not f.guard.ended(0.1), "one ended")
    check(all_frozen(PLAIN), "something was thawed")
    check(f.thaw()["errno"] == 0, "thaw")
    f.release()


@case
def a_freeze_that_hangs_is_named_and_the_rest_is_thawed():
    w = writers(PLAIN[:2])
    holder = frzlib.Holder(HELD)
    f = frzlib.Freezer(PLAIN)
    check(f.open() is None, "open")
    f.arm(30)
    f.order_freeze()
    until(lambda: f.slot(0)[0] == frzlib.FROZEN, "ext4 frozen")
    check(f.slot(2)[0] == frzlib.FREEZING, "btrfs is not waiting")
    f.worker.send(frzlib.THAW, gen=f.gen)
    writable_within(w, 1, "thaw")
    check(f.worker.done(frzlib.THAW, 0.3) is None, "thawed all too early")
    check(f.slot(2)[0] == frzlib.FREEZING, "btrfs came back by itself")
    holder.let_go()
    f.worker.expect(frzlib.THAW)
    until(lambda: not hvtest.is_frozen(HELD), "btrfs thawed", 1)
    f.release()


@case
def a_new_worker_is_not_taken_for_the_one_that_ended():
    f = frzlib.Freezer(PLAIN)
    f.replace_worker()
    m = f.freeze()
    check(m and m["errno"] == 0, "freeze: %s" % m)
    check(all_frozen(PLAIN), "not all are frozen")
    m = f.thaw()
    check(m and m["errno"] == 0, "thaw: %s" % m)
    f.release()


# The kill matrix of worker and guard.

DEAD = [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT]
LEASE = 3.2  # the guard's; the worker's ends 2 s before
STEPS = ["opened", "waiting", "frozen", "thawing"]


def reach(f, step, lease):
    """Brings a transaction to a step; returns who holds it there, if any."""
    holder = frzlib.Holder(HELD) if step == "waiting" else None
    check(f.open() is None, "open")
    f.arm(lease)
    if step == "opened":
        return holder
    f.order_freeze()
    if step == "waiting":
        until(lambda: f.slot(0)[0] == frzlib.FROZEN, "ext4 frozen")
        check(f.slot(2)[0] == frzlib.FREEZING, "btrfs is not waiting")
        return holder
    f.worker.expect(frzlib.FREEZE)
    if step == "thawing":
        f.worker.send(frzlib.THAW, gen=f.gen)
    return holder


def strike(f, victims, sig):
    """The daemon last: its end sets the others thawing, and see matrix()."""
    for v in sorted(victims, key="daemon".__eq__):
        if v == "daemon":
            f.worker.sock.close()
            f.guard.sock.close()
        else:
            getattr(f, v).kill(sig)


def matrix(victims, sig, step):
    # A btrfs whose thaw is killed is made read-only by the kernel, which takes
    # the interrupted read of the superblock for one that was changed.
    mounts = [m for m in PLAIN if step != "thawing" or m[0] != "/mnt/btrfs"]
    w = writers(mounts)
    f = frzlib.Freezer(mounts)
    # Who dies is seen at once; only for who stops somebody's lease must end.
    holder = reach(f, step, LEASE if sig == signal.SIGSTOP else 30)
    strike(f, victims, sig)
    if "guard" in victims and "daemon" not in victims:
        f.worker.send(frzlib.THAW, gen=f.gen)
    if holder:
        others = {p: w[p] for p in w if p != HELD}
        if sig == signal.SIGSTOP or "worker" not in victims:
            bound = LEASE if sig == signal.SIGSTOP else 0
            writable_within(others, bound + 1, "the strike")
        holder.let_go()
        writable_within(w, LEASE + 1 if sig == signal.SIGSTOP else 1,
                        "the freeze call's return")
    else:
        writable_within(w, LEASE + 1 if sig == signal.SIGSTOP else 1,
                        "the strike")
    # What was struck and stopped goes on, and must not freeze anything again.
    strike(f, [v for v in victims if v != "daemon"], signal.SIGCONT)
    writable_within(w, 1, "SIGCONT")
    for path, _ in mounts:
        check(not hvtest.is_frozen(path), "%s is frozen at the end" % path)


def add(victims, sig, step):
    def run():
        matrix(victims, sig, step)
    run.__name__ = "%s_struck_by_%s_while_%s" % (
        "_and_".join(victims), sig.name.lower(), step)
    case(run)


for _step in STEPS:
    for _sig in DEAD + [signal.SIGSTOP]:
        add(["worker"], _sig, _step)
    for _sig in (signal.SIGKILL, signal.SIGSTOP):
        add(["guard"], _sig, _step)
        add(["daemon", "worker"], _sig, _step)
        add(["daemon", "guard"], _sig, _step)
    add(["daemon"], signal.SIGKILL, _step)


@case
def the_workers_lease_thaws_when_nobody_speaks():
    w = writers(PLAIN)
    f = frzlib.Freezer(PLAIN)
    check(f.freeze(LEASE)["errno"] == 0, "freeze")
    m = f.worker.receive(LEASE - 1)
    check(m and m["op"] == frzlib.EXPIRED, "not %s" % m)
    writable_within(w, 1, "the worker's lease")
    check(f.slot(0)[3] == 1, "not thawed by the worker")


@case
def the_daemons_end_is_no_matter_of_leases():
    w = writers(PLAIN)
    f = frzlib.Freezer(PLAIN)
    check(f.freeze(60)["errno"] == 0, "freeze")
    strike(f, ["worker", "daemon"], signal.SIGSTOP)
    writable_within(w, 2, "the daemon's end, with the worker stopped")
    strike(f, ["worker"], signal.SIGCONT)
    writable_within(w, 1, "SIGCONT")


@case
def a_guard_that_reads_released_late_thaws_nothing():
    f = frzlib.Freezer(PLAIN)
    check(f.freeze(LEASE)["errno"] == 0, "freeze")
    f.guard.kill(signal.SIGSTOP)
    check(f.thaw()["errno"] == 0, "thaw")
    f.guard.send(frzlib.RELEASE, gen=f.gen)
    f.worker.end()
    hvtest.freeze("/mnt/ext4")
    time.sleep(LEASE)
    f.guard.kill(signal.SIGCONT)
    f.guard.expect(frzlib.RELEASE)
    check(hvtest.is_frozen("/mnt/ext4"), "the guard thawed a foreign freeze")
    hvtest.thaw("/mnt/ext4")


@case
def locked_and_small_at_rest_and_with_file_systems():
    if frzlib.sanitized():
        hvtest.skip("built with a sanitizer")
    f = frzlib.Freezer(STACKED)
    one = [frzlib.pss_kib(p.pid) for p in (f.worker, f.guard)]
    check(f.freeze()["errno"] == 0, "freeze")
    four = [frzlib.pss_kib(p.pid) for p in (f.worker, f.guard)]
    print("# PSS KiB at rest %s, with four frozen %s" % (one, four))
    each = (sum(four) - sum(one)) / 4
    check(each <= 64, "%d KiB for each file system" % each)
    check(sum(four) < 2048, "%d KiB" % sum(four))
    f.thaw()
    f.release()


if __name__ == "__main__":
    hvtest.main()
