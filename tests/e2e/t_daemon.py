#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
#
# isoroot: --fs ext4:256M,xfs:360M,btrfs:256M,in=ext4:64M@xfs --bound 170 --sys
# timeout: 180
# needs: hv_vss_driver hv_vss_host hv_vss_daemon

"""hv_vss_daemon with its freezer, under the driver and the host's orders."""

import hvtest
from hvtest import case, check, until

MOUNTS = ["/mnt/ext4", "/mnt/xfs", "/mnt/btrfs", "/mnt/in"]


def machine(**sets):
    m = hvtest.Machine(**sets)
    m.start_driver()
    m.start_daemon(["-d"])
    return m


def freezer_pids(role):
    found = []
    for pid in hvtest.pids_of("hv_vss_freezer"):
        try:
            with open("/proc/%d/cmdline" % pid, "rb") as f:
                if f.read().split(b"\0")[1].decode() == role:
                    found.append(pid)
        except OSError:
            pass
    return found


def frozen_all(host):
    r = host.reply("freeze")
    check(r["reply"] == "ok", "freeze: %s" % r)
    for mount in MOUNTS:
        check(hvtest.is_frozen(mount), "%s is not frozen" % mount)


def nothing_frozen():
    for mount in MOUNTS:
        check(not hvtest.is_frozen(mount), "%s is frozen" % mount)


def works_again(m, seconds=10):
    """A later checkpoint succeeds, as soon as all is as it was."""
    def once():
        status, _ = m.host("check", "freeze", "thaw").wait()
        return status == 0
    until(once, "a checkpoint that succeeds", seconds)
    nothing_frozen()


@case
def a_checkpoint_freezes_every_planned_file_system_and_thaws_it():
    m = machine()
    writers = [hvtest.Writer(mount) for mount in MOUNTS]
    h = m.host("check", "freeze", "hold=400", "thaw", "complete")
    frozen_all(h)
    for w in writers:
        check(w.stands_still(0.05), "written while frozen")
    status, replies = h.wait()
    check(status == 0, "host: %s" % replies)
    for w in writers:
        w.progresses(2)
    nothing_frozen()


@case
def three_checkpoints_one_after_another():
    m = machine()
    status, replies = m.host(*["check", "freeze", "thaw"] * 3).wait()
    check(status == 0, "host: %s" % replies)


if __name__ == "__main__":
    hvtest.main()
