#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
#
# isoroot: --fs ext4:64M,xfs:320M --bound 110
"""Memory that a group of processes may not exceed: driver, daemon, worker and
guard, each alone and all together, are held to what they have in the middle of
a hold.  What was frozen is thawed, by them or because they were killed; every
request is answered; and with memory again backups work."""

import os
import subprocess

import frzlib
import guest
import hvtest
from hvtest import case, check, until

MOUNTS = ["/mnt/ext4", "/mnt/xfs"]
AT = "/run/memory"
WHO = ("driver", "daemon", "worker", "guard")


class Group:
    """A cgroup with a limit of memory, of whichever kind the machine has."""

    def __init__(self):
        os.makedirs(AT, exist_ok=True)
        for options, limit, usage in (
                (["-t", "cgroup", "-o", "memory"], "memory.limit_in_bytes",
                 "memory.usage_in_bytes"),
                (["-t", "cgroup2"], "memory.max", "memory.current")):
            if subprocess.run(["mount", *options, "none", AT], check=False,
                              stderr=subprocess.DEVNULL).returncode:
                continue
            hvtest.after(subprocess.run, ["umount", "-l", AT])
            self.path = "%s/hv_vss.%d" % (AT, os.getpid())
            os.mkdir(self.path)
            hvtest.after(self._gone)
            self._limit, self._usage = limit, usage
            if os.path.exists("%s/%s" % (self.path, limit)):
                return
        hvtest.skip("the machine limits no group's memory")

    def _gone(self):
        self.free()
        os.rmdir(self.path)

    def _read(self, name):
        with open("%s/%s" % (self.path, name), encoding="ascii") as f:
            return f.read()

    def _write(self, name, value):
        with open("%s/%s" % (self.path, name), "w", encoding="ascii") as f:
            f.write(value)

    def _move(self, pid, where):
        with open(where + "/cgroup.procs", "w", encoding="ascii") as f:
            f.write(str(pid))

    def take(self, pid):
        """The process, and what it touches from now on."""
        self._move(pid, self.path)

    def hold(self):
        """Nothing more than there is; that much."""
        used = int(self._read(self._usage))
        self._write(self._limit, str(max(used, 4096)))
        return used

    def free(self):
        """No limit, and nobody in it."""
        self._write(self._limit, "-1" if "bytes" in self._limit else "max")
        for pid in self._read("cgroup.procs").split():
            self._move(int(pid), AT)


def pid_of(m, who):
    return guest.freezer_pid(who) if who in ("worker", "guard") else \
        getattr(m, who).pid


@case
def who_may_have_no_more_memory_thaws_or_dies_and_all_is_thawed():
    if frzlib.sanitized():
        hvtest.skip("a sanitizer takes memory as it likes")
    hvtest.after(guest.freezers_end)
    group = Group()
    m = hvtest.Machine(hold=5, freeze=5)
    m.start_driver()
    m.start_daemon(["-d"])
    writers = [hvtest.Writer(mount) for mount in MOUNTS]
    for among in [[who] for who in WHO] + [list(WHO)]:
        for who in among:
            group.take(pid_of(m, who))
        host = m.host("freeze", "hold=300", "thaw", *["check", "freeze",
                                                      "thaw"] * 4)
        check(host.reply("freeze")["reply"] == "ok", host.replies())
        used = group.hold()
        _, replies = host.wait()
        check(not m.driver.alive() or
              all(r["reply"] != "none" for r in replies), (among, replies))
        for w in writers:
            w.progresses(8)
        print("# %s with %d KiB: %s" % ("+".join(among), used // 1024, " ".join(
            r["reply"] for r in replies)), flush=True)
        group.free()
        if not m.driver.alive():
            m.start_driver()
        if not m.daemon.alive():
            m.start_daemon(["-d"])
        until(lambda: m.host("check", "freeze", "thaw").wait()[0] == 0,
              "a backup works", 15)


hvtest.main()
