#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
#
# isoroot: --fs a=ext4:200M,b=xfs:320M,c=btrfs:640M,out=ext4:64M,in=ext4:16M@out --bound 170 --sys
# timeout: 180

"""What a busy or broken machine does to a backup: it is answered in time, with
its reason where it fails, and nothing stays frozen."""

import errno
import os
import select
import signal
import subprocess
import time

import hvtest
from hvtest import case, check

OUT, IN = "/mnt/out", "/mnt/in"
OTHERS = ["/mnt/a", "/mnt/b", "/mnt/c"]
ALL = OTHERS + [OUT, IN]


def machine(**sets):
    m = hvtest.Machine(**sets)
    m.start_driver()
    m.start_daemon()
    return m


def frozen(points):
    return [p for p in points if hvtest.is_frozen(p)]


def nothing_is_frozen():
    for p in ALL:
        hvtest.Writer(p).stop()


def works_again(m):
    host = m.host("check", "freeze", "thaw")
    status, replies = host.wait()
    check(status == 0, f"the next one works: {replies}")
    nothing_is_frozen()


def full_speed(point, size=8 << 20):
    """A process that writes into the page cache as fast as it can."""
    pid = os.fork()
    if pid:
        def end():
            os.kill(pid, signal.SIGKILL)
            hvtest.thaw(point)
            os.waitpid(pid, 0)
            os.unlink(f"{point}/fast.{pid}")
        hvtest.after(end)
        return
    try:
        fd = os.open(f"{point}/fast.{os.getpid()}", os.O_WRONLY | os.O_CREAT)
        block, at = os.urandom(1 << 16), 0
        while True:
            os.pwrite(fd, block, at)
            at = (at + len(block)) % size
    finally:
        os._exit(1)


@case
def writers_at_full_speed_on_all_cpus():
    m = machine()
    for _ in range(os.cpu_count()):
        for point in OTHERS:
            full_speed(point)
    for _ in range(5):
        host = m.host("check", "freeze", "hold=200", "thaw")
        reply = host.reply("freeze", 60)
        check(reply["reply"] == "ok", f"frozen: {reply}")
        check(frozen(ALL) == ALL, "all are frozen in the hold")
        status, replies = host.wait()
        check(status == 0, str(replies))
    nothing_is_frozen()


def slow_thaw(m):
    """A hold of what lies on a file system that somebody else freezes then: no
    thaw of it returns before theirs."""
    host = m.host("freeze", "hold=500", "thaw", "hold=100")
    check(host.reply("freeze")["reply"] == "ok", "frozen")
    check(frozen([OUT, IN]) == [IN], "the image is, its ground is not")
    hvtest.freeze(OUT)
    hvtest.after(hvtest.thaw, OUT)
    return host


@case
def one_that_takes_seconds_to_thaw_is_waited_for():
    m = machine(exclude=OUT)
    host = slow_thaw(m)
    time.sleep(2.5)  # that is what it takes
    check(not any(r["op"] == "thaw" for r in host.replies()), "no answer yet")
    for p in OTHERS:
        hvtest.Writer(p)
    check(hvtest.thaw(OUT), "they thaw")
    reply = host.reply("thaw")
    check(reply["reply"] == "ok" and reply["ms"] > 1500, f"then we do: {reply}")
    host.wait()
    works_again(m)


@case
def one_that_takes_too_long_to_thaw_is_named_and_thawed_in_the_end():
    m = machine(exclude=OUT)
    host = slow_thaw(m)
    reply = host.reply("thaw")
    check(reply["reply"] == "fail" and reply["ms"] < 9000, f"in time: {reply}")
    for p in OTHERS:
        hvtest.Writer(p)
    host.wait()
    m.daemon.says(f"{IN}: thaw: it has not returned")
    host = m.host("freeze", "thaw")
    check(host.reply("freeze")["reply"] == "fail", "no other until then")
    host.wait()
    check(hvtest.thaw(OUT), "they thaw")
    m.driver.says("THAW: failed after")
    hvtest.Writer(IN)
    works_again(m)


@case
def a_thaw_that_hangs_with_worker_and_guard_gone_piles_up_no_processes():
    m = machine(exclude=OUT)
    host = slow_thaw(m)
    pids = hvtest.pids_of("hv_vss_freezer")
    for sig in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, sig)
    for p in OTHERS:
        hvtest.Writer(p)
    time.sleep(3)  # ten tries a second would be thirty
    trying = len(hvtest.pids_of("hv_vss_daemon")) - 1
    check(0 < trying < 12, f"{trying} processes hang in the thaw of {IN}")
    check(hvtest.thaw(OUT), "they thaw")
    host.wait()
    hvtest.Writer(IN)
    hvtest.until(lambda: len(hvtest.pids_of("hv_vss_daemon")) == 1,
                 "nothing is left of that", 10)
    works_again(m)


def fill(point, name="filler"):
    path = f"{point}/{name}"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(fd, b"x" * (1 << 20))
    except OSError as e:
        check(e.errno == errno.ENOSPC, f"full, not {e}")
    finally:
        os.close(fd)
    hvtest.after(lambda: os.path.exists(path) and os.unlink(path))
    return path


@case
def a_file_system_without_any_room_is_frozen_and_thawed():
    m = machine()
    # A btrfs without any room makes itself read-only at times.
    for p in ("/mnt/a", "/mnt/b"):
        fill(p)
    for _ in range(2):
        host = m.host("check", "freeze", "hold=100", "thaw")
        check(host.reply("freeze")["reply"] == "ok", "frozen")
        check(frozen(OTHERS) == OTHERS, "all are frozen")
        status, replies = host.wait()
        check(status == 0, str(replies))
    check(frozen(ALL) == [], "none is frozen any more")


@case
def a_fuse_mount_that_hangs_beside_the_plan_is_never_asked():
    fd = os.open("/dev/fuse", os.O_RDWR | os.O_NONBLOCK)
    point = "/tmp/hung"
    os.mkdir(point)
    hvtest.after(os.rmdir, point)
    hvtest.after(lambda: (os.close(fd), subprocess.run(["umount", point],
                                                       check=True)))
    subprocess.run(["mount", "-i", "-t", "fuse.hung", "-o",
                    f"fd={fd},rootmode=40000,user_id=0,group_id=0", "hung",
                    point], pass_fds=(fd,), check=True)
    check(len(os.read(fd, 1 << 17)) > 0, "the kernel's greeting")
    works_again(machine())
    check(not select.select([fd], [], [], 0)[0], "nobody asked it anything")


@case
def somebody_elses_freeze_between_prepare_and_freeze_is_a_refusal():
    m = machine()
    app = hvtest.Device(m.app_dev)
    app.poll(0)
    host = m.host("freeze", "thaw")
    opt, msgid = app.next()
    check(opt == hvtest.FREEZE, "prepared")
    hvtest.freeze("/mnt/b")
    app.write(opt, hvtest.SUCCESS, msgid)
    check(host.reply("freeze")["reply"] == "fail", "refused")
    m.driver.says("/mnt/b: freeze: Device or resource busy (another program")
    app.answer(opt=hvtest.THAW)
    host.wait()
    check(frozen(ALL) == ["/mnt/b"], "theirs stays, and no other")
    check(hvtest.thaw("/mnt/b"), "theirs is theirs")
    app.close()
    works_again(m)


@case
def somebody_elses_freeze_in_the_hold_gets_ebusy_and_disturbs_nothing():
    m = machine()
    host = m.host("freeze", "hold=1000", "thaw")
    check(host.reply("freeze")["reply"] == "ok", "frozen")
    status, _, err = hvtest.run(["fsfreeze", "-f", "/mnt/a"])
    check(status != 0 and "busy" in err, f"{status} {err}")
    check(host.reply("thaw")["reply"] == "ok", "the hold held")
    host.wait()
    works_again(m)


@case
def somebody_elses_thaw_before_the_freeze_disturbs_nothing():
    m = machine()
    app = hvtest.Device(m.app_dev)
    app.poll(0)
    host = m.host("freeze", "hold=200", "thaw")
    opt, msgid = app.next()
    check(hvtest.run(["fsfreeze", "-u", "/mnt/a"])[0] != 0, "not frozen yet")
    app.write(opt, hvtest.SUCCESS, msgid)
    check(host.reply("freeze")["reply"] == "ok", "frozen")
    app.answer(opt=hvtest.THAW)
    check(host.reply("thaw")["reply"] == "ok", "the hold held")
    host.wait()
    nothing_is_frozen()


@case
def somebody_elses_freeze_after_the_thaw_is_theirs():
    m = machine()
    status, replies = m.host("freeze", "thaw").wait()
    check(status == 0, str(replies))
    check(hvtest.run(["fsfreeze", "-f", "/mnt/a"])[0] == 0, "they freeze")
    check(m.daemon.end() == 0, "the daemon ends")
    check(hvtest.is_frozen("/mnt/a"), "theirs stays frozen")
    m.start_daemon()
    check(hvtest.is_frozen("/mnt/a"), "and the next start does not touch it")
    check(hvtest.run(["fsfreeze", "-u", "/mnt/a"])[0] == 0, "they thaw")
    works_again(m)


# The last, for it leaves the image broken.
@case
def an_image_whose_ground_is_full_is_named_and_all_is_thawed():
    m = machine()
    fill(OUT)
    fd = os.open(f"{IN}/lost", os.O_WRONLY | os.O_CREAT)
    hvtest.after(os.close, fd)
    os.write(fd, os.urandom(4 << 20))
    host = m.host("freeze", "thaw")
    reply = host.reply("freeze", 60)
    check(reply["reply"] == "fail", f"refused: {reply}")
    check(f"{IN}: " in m.driver.output(), "by name")
    host.wait()
    for p in OTHERS:
        hvtest.Writer(p).stop()
    check(frozen([OUT]) == [], "nor is its ground frozen")


hvtest.main()
