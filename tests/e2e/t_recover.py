#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
#
# isoroot: --sys --loops --fs a=ext4:300M,b=ext4:64M,c=ext4:64M@a
# timeout: 120
# needs: hv_vss_driver hv_vss_host hv_vss_daemon

"""What an earlier run left frozen, where thawing it by the record meets with
something."""

import os
import signal
import subprocess

import frzlib
import guest
import hvtest
from hvtest import case, check, until

POINTS = ["/mnt/a", "/mnt/b", "/mnt/c"]


def argv(m, *options):
    sets = {"freezer": frzlib.PROGRAM, "run_dir": m.dir + "/run", **m.sets}
    command = [hvtest.BIN + "/hv_vss_daemon", "--device", m.fs_dev, *options]
    for key, value in sets.items():
        command += ["--set", "%s=%s" % (key, value)]
    return command


def left_frozen(**sets):
    """A machine on which everything was killed at once in a hold."""
    hvtest.after(guest.freezers_end)  # called after the others
    m = hvtest.Machine(**sets)
    m.start_driver()
    m.start_daemon()
    h = m.host("freeze", "hold=60000")
    check(h.reply("freeze")["reply"] == "ok", "freeze: %s" % h.replies())
    pids = [guest.freezer_pid("worker"), guest.freezer_pid("guard"),
            m.daemon.pid]
    for sig in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            os.kill(pid, sig)
    m.daemon.popen.wait(5)
    until(lambda: not hvtest.pids_of("hv_vss_freezer"), "they have ended")
    h.process.kill()
    check(all(hvtest.is_frozen(p) for p in POINTS), "thawed by itself")
    return m


def works(m):
    status, replies = m.host("check", "freeze", "thaw").wait()
    check(status == 0, "host: %s" % replies)


@case
def with_one_thread_what_an_image_lies_on_is_thawed_before_it():
    m = left_frozen(threads="1")
    status, _, err = hvtest.run(argv(m, "--thaw-all"))
    check(status == 0, err)
    check(not any(hvtest.is_frozen(p) for p in POINTS), "frozen: %s" % err)
    m.start_daemon()
    works(m)


@case
def thaw_all_says_by_its_status_that_one_could_not_be_opened():
    m = left_frozen()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/mnt/b"], check=True)
    status, _, err = hvtest.run(argv(m, "--thaw-all"))
    subprocess.run(["umount", "/mnt/b"], check=True)
    check(status == 1, "exit %d: %s" % (status, err))
    check("/mnt/b: may be frozen, and cannot be opened" in err, err)
    check(hvtest.is_frozen("/mnt/b"), "/mnt/b was thawed: %s" % err)
    check(not hvtest.is_frozen("/mnt/a"), "/mnt/a is frozen: %s" % err)
    status, _, err = hvtest.run(argv(m, "--thaw-all"))
    check(status == 0, err)
    check(not hvtest.is_frozen("/mnt/b"), "/mnt/b is frozen: %s" % err)


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
    p = hvtest.Process(argv(m, "--thaw-all"))
    p.says("/mnt/b: not frozen any more")
    gate.open(h.process.alive)
    check(h.reply("thaw")["reply"] == "fail", "thaw: %s" % h.replies())
    h.wait()
    worker = guest.freezer_pid("worker")
    check(p.wait(20) == 0, p.output())
    check(guest.state_of(worker), "it waited for the worker's end")
    works(m)


if __name__ == "__main__":
    hvtest.main()
