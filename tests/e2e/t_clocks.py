#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
#
# isoroot: --fs ext4:64M,xfs:320M --bound 110
"""Clocks that jump.  The time of day is set at each step of a checkpoint, by
years and both ways: no limit moves with it.  And everything of ours stands for
longer than each limit and lease, as when a machine sleeps or is paused: what
was frozen is thawed, and the host is told that the hold was lost."""

import json
import mmap
import os
import random
import signal
import struct
import time

import frzlib
import guest
import hvtest
from hvtest import CHECK, FREEZE, THAW, Device, case, check, until

MOUNTS = ["/mnt/ext4", "/mnt/xfs"]
YEAR = 365 * 86400


class Clock:
    """The time of day of what is started after it."""

    def __init__(self, path="/run/clock"):
        if frzlib.sanitized():
            hvtest.skip("a sanitizer must be loaded before what is preloaded")
        with open(path, "w+b") as f:
            f.write(bytes(8))
            f.flush()
            self._off = mmap.mmap(f.fileno(), 8)
        for name, value in (("CLOCKSHIM_FILE", path), (
                "LD_PRELOAD", hvtest.BUILD + "/tests/clockshim.so")):
            os.environ[name] = value
            hvtest.after(os.environ.pop, name)

    def set(self, seconds):
        """So much before or after the true time."""
        self._off[:] = struct.pack("=q", seconds)


def machine(**sets):
    hvtest.after(guest.freezers_end)
    m = hvtest.Machine(**sets)
    m.start_driver()
    m.start_daemon(["-d"])
    return m


def history(m, n):
    """So many checkpoints, the last one first."""
    def lines():
        status, out, err = m.ctl("history", "--json")
        check(status == 0, err)
        got = [json.loads(line) for line in out.splitlines()]
        return got if len(got) >= n else None
    return until(lines, "%d checkpoints in the history" % n)


def nothing_frozen():
    for mount in MOUNTS:
        check(not hvtest.is_frozen(mount), mount)


@case
def whenever_the_time_of_day_is_set_a_checkpoint_is_as_always():
    clock = Clock()
    m = machine(hold=4, check=4, freeze=6, thaw=6)
    ctl = hvtest.Process([f"{hvtest.BIN}/hv_vssctl", "run", "--name", "run",
                          "--timeout", "4", "--device", m.app_dev,
                          "--freeze", "true", "--thaw", "true"])
    ctl.says("takes part")
    app = Device(m.app_dev)
    app.poll(0)
    jumps = (20 * YEAR, -20 * YEAR, 3600, -1)
    for by in jumps:
        for at in (None, CHECK, FREEZE, "hold", THAW):
            clock.set(0)
            if at is None:
                clock.set(by)
            host = m.host("check", "freeze", "hold=100", "thaw", "complete")
            for opt in (CHECK, FREEZE, THAW):
                got, msgid = app.next()
                check(got == opt, "%d, not %d" % (got, opt))
                if at == opt:
                    clock.set(by)
                app.write(opt, hvtest.SUCCESS, msgid)
                if opt == FREEZE:
                    check(host.reply("freeze")["reply"] == "ok", (by, at))
                    if at == "hold":
                        clock.set(by)
            check(host.wait()[0] == 0, (by, at, host.replies()))
            nothing_frozen()
    clock.set(0)
    for ck in history(m, 5 * len(jumps)):
        check(ck["outcome"] == "ok" and 100 <= ck["stall_ms"] < 4000 and
              ck["hold_ms"] < 4000 and len(ck["clients"]) == 3, ck)


@case
def limits_come_though_the_time_of_day_was_set_back():
    clock = Clock()
    m = machine(hold=1, freeze=3, prepare=1, quiesce=1)
    app = Device(m.app_dev)
    app.poll(0)
    host = m.host("freeze", "thaw")
    app.next()
    clock.set(-YEAR)
    check(host.wait()[0] == 3, "nobody answered")
    app.answer(opt=THAW)
    host = m.host("freeze", "hold=2000", "thaw")
    app.answer(opt=FREEZE)
    check(host.reply("freeze")["reply"] == "ok", host.replies())
    clock.set(-2 * YEAR)
    app.answer(opt=THAW)
    nothing_frozen()
    check(host.reply("thaw")["reply"] == "fail", "the hold's limit was kept")


def all_stand(m, order, seconds):
    """Everything of ours, and goes on in that order.  The driver is the last
    to stand: who waits for it cannot be stopped."""
    for pid in sorted(order, key=lambda pid: pid == m.driver.pid):
        guest.stop(pid)
    time.sleep(seconds)
    for pid in order:
        os.kill(pid, signal.SIGCONT)


@case
def when_all_have_stood_too_long_all_is_thawed_and_the_hold_is_lost():
    seed = random.randrange(1 << 32)
    print("# seed %d" % seed, flush=True)
    rand = random.Random(seed)
    m = machine(hold=1, freeze=2)
    writers = [hvtest.Writer(mount) for mount in MOUNTS]
    for first in range(4):
        host = m.host("freeze", "hold=300", "thaw", "thaw")
        check(host.reply("freeze")["reply"] == "ok", host.replies())
        guest.stop(host.process.pid)
        order = [m.driver.pid, m.daemon.pid, guest.freezer_pid("worker"),
                 guest.freezer_pid("guard")]
        order.insert(0, order.pop(first))
        order[1:] = rand.sample(order[1:], 3)
        # The guard's lease: both limits and 5 s.
        all_stand(m, order, 8.5)
        for w in writers:
            w.progresses(2)
        nothing_frozen()
        os.kill(host.process.pid, signal.SIGCONT)
        check(host.wait()[0] == 3, host.replies())
        check([r["reply"] for r in host.replies()] == ["ok", "fail", "fail"],
              host.replies())
        until(lambda: m.host("check", "freeze", "thaw").wait()[0] == 0,
              "a backup works", 15)
    check("another program" not in m.daemon.output(), "who thawed")


hvtest.main()
