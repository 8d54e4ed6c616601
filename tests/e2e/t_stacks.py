#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
# isoroot: --sys --loops --fs a=ext4:512M,b=xfs:320M@a,c=ext4:64M@b,d=btrfs:200M
"""Checkpoints of file systems that lie on each other: with any other order than
from the top down they would hang beyond SIGKILL."""

import subprocess

import hvtest
from hvtest import case, check, scratch

POINTS = [s.mount for s in scratch().values()] if hvtest.isolated() else []


def started(**sets):
    machine = hvtest.Machine(**sets)
    machine.start_driver()
    machine.start_daemon()
    return machine


def checkpoint(machine, points, writers):
    """One, whose hold is looked into; all must be as it says."""
    host = machine.host("check", "freeze", "hold=400", "thaw")
    check(host.reply("freeze")["reply"] == "ok", str(host.replies()))
    for point in points:
        check(hvtest.is_frozen(point), f"{point} is frozen during the hold")
    for writer in writers:
        check(writer.stands_still(0.05), "a writer stands still")
    status, replies = host.wait()
    check(status == 0, str(replies))
    for writer in writers:
        writer.progresses()


@case
def three_deep_with_writers_on_every_level_ten_times():
    machine = started()
    writers = [hvtest.Writer(point) for point in POINTS]
    for _ in range(10):
        checkpoint(machine, POINTS, writers)


@case
def without_sys_as_well():
    # The guard before this has files of it, and ends a moment after its daemon.
    hvtest.until(lambda: subprocess.run(["umount", "/sys"]).returncode == 0,
                 "/sys is unmounted")
    hvtest.after(subprocess.run, ["mount", "-t", "sysfs", "sysfs", "/sys"])
    machine = started()
    writers = [hvtest.Writer(point) for point in POINTS]
    for _ in range(3):
        checkpoint(machine, POINTS, writers)


@case
def what_is_mounted_after_the_start_takes_part():
    machine = started()
    checkpoint(machine, POINTS, [])
    subprocess.run(["truncate", "-s", "16M", "/mnt/c/more"], check=True)
    subprocess.run(["mkfs.ext4", "-q", "/mnt/c/more"], check=True)
    # Its device is not among those that the freezer under test may touch.
    subprocess.run(["mount", "-o", "loop", "/mnt/c/more", "/srv"], check=True)
    hvtest.after(subprocess.run, ["umount", "/srv"])
    host = machine.host("freeze")
    check(host.reply("freeze")["reply"] == "fail", str(host.replies()))
    host.wait()
    check("/srv" in machine.daemon.output(), machine.daemon.output())
    for point in POINTS:
        hvtest.until(lambda p=point: not hvtest.is_frozen(p),
                     f"{point} is thawed")


@case
def what_goes_away_while_the_machine_runs_is_not_missed():
    machine = started()
    checkpoint(machine, POINTS, [])
    subprocess.run(["umount", "/mnt/c"], check=True)
    hvtest.after(subprocess.run, ["mount", scratch()["c"].device, "/mnt/c"])
    checkpoint(machine, [p for p in POINTS if p != "/mnt/c"], [])


hvtest.main()
