#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
#
# timeout: 150
"""The runner of the tests: told to end, it leaves no process, no mount and no
loop device behind."""

import os
import re
import shutil
import signal
import subprocess
import tempfile

import hvtest
from hvtest import case, check, until

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RUN = os.path.join(TOP, "tests", "run")
# One that takes long enough, with mounts and loop devices.
TEST = "t_stacks"


def stat_of(pid):
    """State and parent, or None."""
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii",
                  errors="replace") as f:
            fields = f.read().rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[1])


def descendants(pid):
    """All that it has started, also by others."""
    parents = {}
    for d in os.listdir("/proc"):
        stat = stat_of(int(d)) if d.isdigit() else None
        if stat:
            parents.setdefault(stat[1], []).append(int(d))
    found, todo = [], [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return found


def root_of(pids):
    """The isolated root, once its watchdog has taken over: its directory, and
    the number of its memory file system."""
    for pid in pids:
        try:
            with open("/proc/%d/cmdline" % pid, "rb") as f:
                m = re.search(rb"isowatch\0(/run/isoroot\.\w+)\0", f.read())
            if m:
                dev = os.stat("/proc/%d/root" % pid).st_dev
                return m.group(1).decode(), "%d:%d" % (os.major(dev),
                                                       os.minor(dev))
        except OSError:
            continue
    raise hvtest.Failed("no isolated root among %s" % pids)


def loops():
    """Each loop device with the file system and the inode of its image."""
    _, out, _ = hvtest.run(["losetup", "-n", "-O", "NAME,BACK-MAJ:MIN,BACK-INO"])
    return {tuple(line.split()) for line in out.splitlines()}


def alive(pids):
    return [p for p in pids if (stat_of(p) or "Z")[0] not in "ZX"]


def told_to_end(number):
    if os.geteuid() != 0:
        hvtest.skip("needs root")
    logs = tempfile.mkdtemp(prefix="hv.")
    hvtest.after(shutil.rmtree, logs)
    log = os.path.join(logs, TEST + ".log")
    variant = os.path.basename(hvtest.BUILD)
    argv = ["/usr/bin/python3", RUN, "--logs", logs, "--variant",
            "rel" if variant == "build" else variant, TEST]
    p = subprocess.Popen(argv, stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL)
    hvtest.after(p.wait)
    hvtest.after(p.kill)

    def running():
        with open(log, "rb") as f:
            return b"1.." in f.read()
    until(lambda: p.poll() is not None or os.path.exists(log) and running(),
          "it has begun", 60)
    check(p.poll() is None, "it runs")
    pids = descendants(p.pid)
    root, number_of_root = root_of(pids)
    mine = {d for d in loops() if d[1] == number_of_root}
    check(mine, "it has loop devices: %s" % loops())
    p.send_signal(number)
    status = p.wait(60)
    check(status == 128 + number, "status %d" % status)
    until(lambda: not alive(pids), "%s end" % alive(pids), 10)
    check(not os.path.exists(root), "%s is there" % root)
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        check(root not in f.read(), "mounts are left")
    until(lambda: not mine & loops(), "loop devices go", 10)


@case
def told_to_end_by_sigterm_it_leaves_nothing_behind():
    told_to_end(signal.SIGTERM)


@case
def told_to_end_by_sigint_it_leaves_nothing_behind():
    told_to_end(signal.SIGINT)


hvtest.main()
