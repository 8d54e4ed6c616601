# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of the daemon share: four file systems, one of them in an image
on another, a machine with driver and daemon, and a writer on each.

    # isoroot: --fs ext4:256M,xfs:360M,btrfs:256M,in=ext4:64M@xfs"""

import time

import frzlib
import guest
import hvtest
from hvtest import check, until

MOUNTS = ["/mnt/ext4", "/mnt/xfs", "/mnt/btrfs", "/mnt/in"]
HELD = "/mnt/btrfs"


def machine(**sets):
    hvtest.after(guest.freezers_end)  # called after the others
    m = hvtest.Machine(**sets)
    m.start_driver()
    m.start_daemon(["-d"])
    return m


def pid_of(m, who):
    if who in ("worker", "guard"):
        return guest.freezer_pid(who)
    return getattr(m, who).pid


def writers(mounts=tuple(MOUNTS)):
    return {mount: hvtest.Writer(mount) for mount in mounts}


def frozen_all(host, mounts=tuple(MOUNTS)):
    r = host.reply("freeze")
    check(r["reply"] == "ok", "freeze: %s" % r)
    for mount in mounts:
        check(hvtest.is_frozen(mount), "%s is not frozen" % mount)


def nothing_frozen():
    for mount in MOUNTS:
        check(not hvtest.is_frozen(mount), "%s is frozen" % mount)


def record_path(m):
    return m.dir + "/run/frozen"


def record(m):
    with open(record_path(m), encoding="utf-8") as f:
        return f.read()


def works_again(m, seconds=15):
    """A checkpoint succeeds, as soon as what died was replaced."""
    end = time.monotonic() + seconds
    while True:
        status, replies = m.host("check", "freeze", "thaw").wait()
        if status == 0:
            break
        check(time.monotonic() < end, "no checkpoint works: %s" % replies)
        time.sleep(0.1)
    nothing_frozen()
    check(record(m) == "", "the record is not empty")
    guest.is_not_expedited()


def held_freeze(m):
    """A FREEZE whose call for one file system waits for a writer."""
    w = writers()
    holder = frzlib.Holder(HELD)
    h = m.host("freeze", "hold=100", "thaw")
    until(lambda: w["/mnt/ext4"].stands_still(0.15), "ext4 is frozen")
    return h, holder.let_go
