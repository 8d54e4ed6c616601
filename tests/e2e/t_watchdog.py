#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
"""The isolated root ends in time, thaws, and leaves nothing behind, whatever
is killed.  (What freezes here does so inside of isoroot.)"""

import os
import re
import signal

import hvtest
from hvtest import case, check, until

ISOROOT = os.path.join(os.path.dirname(os.path.realpath(__file__)),
                       "../isoroot/isoroot")
EXPEDITED = "/sys/kernel/rcu_expedited"
FREEZE = "fsfreeze -f /mnt/ext4 && echo frozen"


def start(script, fs="ext4:32M", options=()):
    """isoroot with a shell script inside.  The image's name is its own, so that
    its loop device can be told from others'."""
    return hvtest.Process([ISOROOT, "--build", hvtest.BUILD, *options, "--fs",
                           fs, "--", "sh", "-c", script])


def watchdog_of(process):
    """The child that is called as its parent, and the other."""
    def children():
        with open(f"/proc/{process.pid}/task/{process.pid}/children",
                  encoding="ascii") as f:
            return [int(s) for s in f.read().split()]
    pids = until(lambda: len(children()) == 2 and children(), "two children")
    return pids[0], pids[1]


def gone(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def loop_of(process):
    """The loop device that the script inside has told."""
    process.says("/dev/loop")
    name = re.search(r"/dev/(loop\d+)", process.output()).group(1)
    number = os.stat(f"/sys/block/{name}/loop").st_ino
    return name, number


def freed(loop):
    """Whether the device is unbound, or bound anew by somebody else."""
    name, number = loop
    try:
        return os.stat(f"/sys/block/{name}/loop").st_ino != number
    except OSError:
        return True


TELL = "cut -d' ' -f4 /iso/table; "


@case
def output_and_exit_status_come_out():
    p = start("echo out; echo err >&2; exit 7")
    check(p.wait() == 7, "its exit status")
    check("out\n" in p.output() and "err\n" in p.output(), p.output())


@case
def a_signal_that_ends_the_command_shows():
    check(start("kill -SEGV $$").wait() == 128 + signal.SIGSEGV, "139")


def rcu_expedited():
    with open(EXPEDITED, encoding="ascii") as f:
        return f.read().strip()


@case
def grace_periods_that_are_left_expedited_are_not_left_so():
    if not os.path.exists(EXPEDITED):
        hvtest.skip("no " + EXPEDITED)
    # Another test raises it for moments.
    until(lambda: rcu_expedited() == "0", "grace periods as usual", 20)
    p = start(f"mount -o remount,rw /sys; echo 1 >{EXPEDITED} && echo raised",
              options=["--sys"])
    p.says("raised")
    check(p.wait() == 0, p.output())
    until(lambda: rcu_expedited() == "0", "they are put back", 20)


@case
def what_is_left_frozen_is_thawed_and_reported():
    p = start(TELL + FREEZE)
    loop = loop_of(p)
    check(p.wait() == 99, "99")
    check("/mnt/ext4: was left frozen; thawed" in p.output(), p.output())
    check(freed(loop), "its loop device is free")


@case
def the_bound_ends_a_command_that_hangs_in_a_write():
    p = start(TELL + FREEZE + "; echo x > /mnt/ext4/x",
              options=["--bound", "2"])
    loop = loop_of(p)
    check(p.wait() == 124, "124")
    check(freed(loop), "its loop device is free")


@case
def the_bound_ends_a_deadlock_of_stacked_freezes():
    p = start("fsfreeze -f /mnt/a; echo frozen; fsfreeze -f /mnt/b",
              fs="a=ext4:64M,b=ext4:32M@a", options=["--bound", "2"])
    check(p.wait() == 124, "124")
    check("/mnt/a: was left frozen" in p.output(), p.output())


@case
def a_file_system_mounted_inside_is_thawed_too():
    p = start("truncate -s 8M /tmp/i && mkfs.ext4 -q /tmp/i && "
              "mount -o loop /tmp/i /srv && fsfreeze -f /srv",
              options=["--loops"])
    check(p.wait() == 99, "99")
    check("/srv: was left frozen; thawed" in p.output(), p.output())


@case
def all_ends_when_the_supervisor_is_killed():
    p = start(TELL + FREEZE + "; exec sleep 60")
    p.says("frozen")
    loop = loop_of(p)
    pids = watchdog_of(p)
    p.kill()
    until(lambda: all(map(gone, pids)), "watchdog and command have ended")
    until(lambda: freed(loop), "its loop device is free")


@case
def all_ends_when_the_watchdog_is_killed():
    p = start(TELL + FREEZE + "; exec sleep 60")
    p.says("frozen")
    loop = loop_of(p)
    watchdog, _ = watchdog_of(p)
    os.kill(watchdog, signal.SIGKILL)
    check(p.wait() == 125, "125")
    check("watchdog was killed" in p.output(), p.output())
    check("was left frozen; thawed" in p.output(), p.output())
    check(freed(loop), "its loop device is free")


@case
def all_ends_on_a_signal():
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        p = start(TELL + FREEZE + "; exec sleep 60")
        p.says("frozen")
        loop = loop_of(p)
        p.signal(sig)
        check(p.wait() == 128 + sig, f"128 + {sig}")
        check(freed(loop), "its loop device is free")


@case
def what_cannot_run_here_says_so_with_77():
    p = start("true", fs="nosuchfs:8M")
    check(p.wait() == 77, "77")
    check(p.output() == "isoroot: mkfs.nosuchfs: not installed\n", p.output())


if os.geteuid() != 0:
    print("1..0 # SKIP needs root")
else:
    hvtest.main()
