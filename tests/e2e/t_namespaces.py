#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
#
# isoroot: --fs a=ext4:64M,b=ext4:64M,c=btrfs:200M --bound 110 --sys

"""File systems that are mounted in another mount namespace only."""

import ctypes
import os
import signal
import subprocess

import frzlib
import hvtest
from hvtest import case, check, until

CLONE_NEWNS = 0x00020000
SCRATCH = hvtest.scratch()


class Container:
    """A process in a mount namespace of its own, the only one where b and c
    are mounted."""

    def __init__(self, *commands):
        self.fds = [os.open(SCRATCH[n].device, os.O_RDONLY) for n in "bc"]
        ready, told = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self._run(commands, told)
        os.close(told)
        hvtest.after(self.end)
        check(os.read(ready, 1) == b"+", "the container has started")
        os.close(ready)
        for n in "bc":
            subprocess.run(["umount", f"/mnt/{n}"], check=True)

    def _run(self, commands, told):
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.unshare(CLONE_NEWNS):
                raise OSError(ctypes.get_errno(), "unshare")
            subprocess.run(["mount", "--make-rprivate", "/"], check=True)
            for command in commands:
                subprocess.run(command.split(), check=True)
            os.write(told, b"+")
            signal.pause()
        finally:
            os._exit(1)

    def path(self, name):
        return f"/proc/{self.pid}/root/mnt/{name}"

    def kill(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0

    def end(self):
        if self.fds:
            for n in "bc":
                subprocess.run(["mount", SCRATCH[n].device, f"/mnt/{n}"],
                               check=True)
                hvtest.thaw(f"/mnt/{n}")
        self.kill()
        while self.fds:
            os.close(self.fds.pop())


def machine(**sets):
    m = hvtest.Machine(**sets)
    m.start_driver()
    m.start_daemon(["-d"])
    return m


def helper_pids():
    return hvtest.pids_of("hv_vss_freezer")


def read(path):
    with open(path, "rb") as f:
        return f.read()


def between_plan_and_open(m, change):
    """The request is planned, then the change, then it goes on."""
    worker = next(p for p in helper_pids()
                  if b"worker" in read(f"/proc/{p}/cmdline"))
    os.kill(worker, signal.SIGSTOP)
    hvtest.after(os.kill, worker, signal.SIGCONT)
    host = m.host("freeze", "hold=300", "thaw")
    m.daemon.says("request ")
    until(lambda: b") S " in read(f"/proc/{m.daemon.pid}/stat"),
          "the daemon waits")
    change()
    os.kill(worker, signal.SIGCONT)
    return host


@case
def they_are_frozen_and_thawed():
    c = Container()
    writers = [hvtest.Writer(c.path(n)) for n in "bc"]
    m = machine()
    host = m.host("freeze", "hold=2000", "thaw")
    check(host.reply("freeze")["reply"] == "ok", "frozen")
    for p in ("/mnt/a", c.path("b"), c.path("c")):
        check(hvtest.is_frozen(p), f"{p} is frozen")
    check(all(w.stands_still() for w in writers), "the writers stand still")
    check(host.reply("thaw")["reply"] == "ok", "thawed")
    for w in writers:
        w.progresses()
        w.stop()
    host.wait()


@case
def without_looking_for_them_they_are_left_alone():
    c = Container()
    m = machine(namespaces="off")
    host = m.host("freeze", "hold=300", "thaw")
    check(host.reply("freeze")["reply"] == "ok", "frozen")
    check(hvtest.is_frozen("/mnt/a"), "a is frozen")
    check(not hvtest.is_frozen(c.path("b")), "b is not")
    host.wait()


@case
def a_rule_and_an_exclude_are_for_their_path_in_any_process():
    c = Container()
    m = machine(**{"exclude": "/proc/*/root/mnt/b",
                   "mount./proc/*/root/mnt/c": "sync"})
    host = m.host("freeze", "hold=300", "thaw")
    check(host.reply("freeze")["reply"] == "ok", "frozen")
    check(hvtest.is_frozen("/mnt/a"), "a is frozen")
    for n in "bc":
        check(not hvtest.is_frozen(c.path(n)), f"{n} is not")
    host.wait()


@case
def one_that_cannot_be_opened_is_a_veto_or_ignored():
    Container("mount -t tmpfs cover /mnt/b")
    m = machine()
    reply = m.host("freeze", "thaw").reply("freeze")
    check(reply["reply"] == "fail", "a veto")
    m.daemon.says("/root/mnt/b: other mounts hide it")
    m.daemon.says("or set namespaces=ignore")
    check(m.daemon.end() == 0, "ends")
    m.sets["namespaces"] = "ignore"
    m.start_daemon()
    host = m.host("freeze", "thaw")
    check(host.reply("freeze")["reply"] == "ok", "ignored")
    host.wait()


@case
def a_container_that_ends_between_plan_and_open_does_no_harm():
    c = Container()
    m = machine()
    host = between_plan_and_open(m, c.kill)
    check(host.reply("freeze")["reply"] == "ok", "frozen, without it")
    check(hvtest.is_frozen("/mnt/a"), "a is frozen")
    host.wait()
    m.daemon.says("a new plan is made")


@case
def when_everything_is_killed_the_next_start_thaws_there_too():
    c = Container()
    m = machine()
    host = m.host("freeze", "hold=20000", "thaw")
    check(host.reply("freeze")["reply"] == "ok", "frozen")
    pids = helper_pids() + [m.daemon.pid]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    m.daemon.wait()
    until(lambda: not helper_pids(), "their end")
    check(hvtest.is_frozen(c.path("b")), "nobody has thawed it")
    m.start_daemon()
    for n in "bc":
        until(lambda n=n: not hvtest.is_frozen(c.path(n)), f"{n} is thawed")
    host.process.kill()


@case
def force_thaws_there_too_whoever_froze_it():
    c = Container()
    paths = [c.path(n) for n in "bc"]
    for path in paths:
        hvtest.freeze(path)
    m = hvtest.Machine()
    status, _, err = hvtest.run([
        hvtest.BIN + "/hv_vss_daemon", "--thaw-all", "--force",
        "--set", "freezer=" + frzlib.PROGRAM,
        "--set", "run_dir=" + m.dir + "/run"])
    check(status == 0, err)
    for path in paths:
        check(not hvtest.is_frozen(path), f"{path} is frozen: {err}")


@case
def a_path_that_is_made_into_a_link_is_not_followed():
    c = Container("mkdir -p /tmp/way/deep", "mount --move /mnt/b /tmp/way/deep")
    hvtest.after(subprocess.run, ["rm", "-r", "/tmp/way", "/tmp/real"])
    m = machine(exclude="/mnt/a")
    host = between_plan_and_open(
        m, lambda: (os.rename("/tmp/way", "/tmp/real"),
                    os.symlink("real", "/tmp/way")))
    check(host.reply("freeze")["reply"] == "ok", "frozen")
    m.daemon.says("a new plan is made")
    check(hvtest.is_frozen(f"/proc/{c.pid}/root/tmp/real/deep"), "b is")
    host.wait()


hvtest.main()
