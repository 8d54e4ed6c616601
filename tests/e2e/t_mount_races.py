#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
#
# isoroot: --fs a=ext4:64M,b=ext4:64M,d=btrfs:200M --bound 110 --sys

"""Mounts that vanish, appear, move and change between the plan and the freeze:
what is there is frozen, and never what lay beneath in its place."""

import os
import random
import signal
import subprocess
import time

import hvtest
from hvtest import case, check, until

SUB = "/mnt/a/sub"  # where b is mounted, on an a that is never to be frozen
OTHER = "/mnt/d"
B = hvtest.scratch()["b"].device


def mount(*argv):
    return subprocess.run(["mount", *argv], check=False,
                          stderr=subprocess.DEVNULL).returncode


def umount(*argv):
    return subprocess.run(["umount", *argv], check=False,
                          stderr=subprocess.DEVNULL).returncode


def as_it_was():
    """b is mounted on SUB, read-write, and nothing on it."""
    for _ in range(20):
        if all([umount(point) for point in (SUB, "/mnt/b", "/srv")]):
            break
    # It may still be mounted, read-only, where the isolated root cannot see it.
    check(mount(B, SUB) == 0 or mount("-r", B, SUB) == 0, "b on a")
    check(mount("-o", "remount,rw", SUB) == 0, "read-write")


def machine(**sets):
    """The daemon leaves a alone; the loop device of b stays without mounts."""
    m = hvtest.Machine(exclude="/mnt/a", **sets)
    device = os.open(B, os.O_RDONLY)
    os.makedirs(SUB, exist_ok=True)
    hvtest.after(lambda: (as_it_was(), mount(B, "/mnt/b"), umount(SUB),
                          os.close(device)))
    as_it_was()
    m.start_driver()
    m.start_daemon(["-d"])
    return m


def worker_pid():
    for pid in hvtest.pids_of("hv_vss_freezer"):
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            if f.read().split(b"\0")[1] == b"worker":
                return pid
    raise hvtest.Failed("no worker is running")


def sleeps(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        return f.read().rsplit(")", 1)[1].split()[0] == "S"


def between_plan_and_open(m, change):
    """The request is planned, then the change, then it goes on.  The hold."""
    worker = worker_pid()
    os.kill(worker, signal.SIGSTOP)
    hvtest.after(os.kill, worker, signal.SIGCONT)
    host = m.host("freeze", "hold=400", "thaw")
    m.daemon.says("request ")
    until(lambda: sleeps(m.daemon.pid), "the daemon waits for the worker")
    change()
    os.kill(worker, signal.SIGCONT)
    reply = host.reply("freeze")
    check(not hvtest.is_frozen("/mnt/a"), "what lies beneath is not frozen")
    return reply["reply"], host


def held(host):
    check(host.reply("thaw")["reply"] == "ok", "the hold held")
    host.wait()


@case
def one_that_vanishes_is_not_frozen_nor_what_lies_beneath():
    m = machine()
    reply, host = between_plan_and_open(
        m, lambda: check(umount(SUB) == 0, "umount"))
    check(reply == "ok" and hvtest.is_frozen(OTHER), "the others are frozen")
    held(host)
    m.daemon.says("a new plan is made")


@case
def one_that_is_mounted_anew_is_frozen():
    m = machine()
    reply, host = between_plan_and_open(
        m, lambda: check(umount(SUB) == 0 and mount(B, SUB) == 0, "again"))
    check(reply == "ok" and hvtest.is_frozen(SUB), f"{reply}: b is frozen")
    held(host)


@case
def one_that_moves_is_frozen_where_it_is_now():
    m = machine()
    reply, host = between_plan_and_open(
        m, lambda: check(mount("--move", SUB, "/srv") == 0, "move"))
    check(reply == "ok" and hvtest.is_frozen("/srv"), f"{reply}: is frozen")
    held(host)


@case
def one_that_appears_is_frozen_as_well():
    m = machine()
    umount(SUB)
    reply, host = between_plan_and_open(
        m, lambda: check(mount(B, SUB) == 0, "mount"))
    check(reply == "ok" and hvtest.is_frozen(SUB), f"{reply}: b is frozen")
    held(host)


@case
def one_that_becomes_read_only_is_left_alone():
    m = machine()
    reply, host = between_plan_and_open(
        m, lambda: check(mount("-o", "remount,ro", SUB) == 0, "remount"))
    check(reply == "ok" and not hvtest.is_frozen(SUB), f"{reply}: not frozen")
    held(host)


@case
def one_that_is_covered_is_a_veto_with_its_reason():
    m = machine()
    reply, _ = between_plan_and_open(
        m, lambda: check(mount("-t", "tmpfs", "cover", SUB) == 0, "cover"))
    check(reply == "fail", reply)
    m.daemon.says(f"{SUB}: other mounts hide it")


@case
def one_that_is_torn_away_after_prepare_does_not_stay_frozen():
    m = machine()
    app = hvtest.Device(m.app_dev)
    app.poll(0)
    host = m.host("freeze", "hold=400", "thaw")
    opt, msgid = app.next()
    check(opt == hvtest.FREEZE, "asked to quiesce, after everyone's prepare")
    check(umount(SUB) != 0, "what is open is not unmounted")
    check(umount("-l", SUB) == 0, "but torn away")
    app.write(opt, hvtest.SUCCESS, msgid)
    check(host.reply("freeze")["reply"] == "ok", "frozen")
    check(hvtest.is_frozen(OTHER), "the other one is")
    check(not hvtest.is_frozen("/mnt/a"), "what lies beneath is not")
    app.answer(opt=hvtest.THAW)
    held(host)
    check(mount(B, SUB) == 0, "b again")
    hvtest.Writer(SUB)


def storm(seed, seconds):
    """A process that mounts, unmounts and remounts without a pause."""
    pid = os.fork()
    if pid:
        return pid
    rand = random.Random(seed)
    ops = [lambda: umount(SUB), lambda: mount(B, SUB),
           lambda: umount("-l", SUB), lambda: umount("/srv"),
           lambda: mount("-o", "remount,ro", SUB),
           lambda: mount("-o", "remount,rw", SUB),
           lambda: mount("-t", "tmpfs", "cover", SUB),
           lambda: mount("--bind", SUB, "/srv"),
           lambda: mount("--move", SUB, "/srv")]
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            rand.choice(ops)()
    finally:
        os._exit(0)


@case
def in_a_storm_of_mounts_nothing_stays_frozen_and_nothing_beneath_freezes():
    m = machine()
    seed = random.randrange(1 << 32)
    print(f"# seed {seed}", flush=True)
    for point in (SUB, "/srv"):
        umount(point)
    pid = storm(seed, 9)
    writer = hvtest.Writer("/mnt/a")
    end, replies = time.monotonic() + 8, {"ok": 0, "fail": 0, "none": 0}
    while time.monotonic() < end:
        host = m.host("freeze", "hold=20", "thaw")
        reply = host.reply("freeze")["reply"]
        writer.progresses(5)
        replies[reply] += 1
        host.wait()
    os.waitpid(pid, 0)
    print(f"# {replies}", flush=True)
    check(replies["none"] == 0, "every freeze is answered")
    check(replies["ok"] >= 5, f"they do not all fail: {replies}")
    as_it_was()
    for point in ("/mnt/a", SUB, OTHER):
        hvtest.Writer(point).stop()
    said = m.daemon.output()
    check("/mnt/a: freeze" not in said, "a was never to be frozen")


hvtest.main()
