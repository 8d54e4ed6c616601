# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
"""Ways of a guest to sleep when systemd is told to, which has us stop before, and
what must be true of each; and that the kernel refuses without that."""

import errno
import os
import subprocess
import time

import vmtest
from hvtest import case, check, until
from vmtest import DAEMON, DRIVER, active, frozen, holding, sh

POWER = "/sys/power/"
SECONDS = 5  # of sleep


def put(path, text):
    """To a file of the kernel's, in one write."""
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode("ascii"))
    finally:
        os.close(fd)


class Suspend:
    """To idle, or to memory.  Whoever emulates the machine wakes it up, and
    once more, and again, for a guest that was slow to fall asleep."""

    verb = "suspend"

    def __init__(self, kind, wake):
        self.kind, self.wake = kind, wake

    def before(self):
        put(POWER + "mem_sleep", self.kind)
        print("vm: tell " + ", ".join(["%d, %s" % (SECONDS, self.wake)] * 50),
              flush=True)


class Hibernate:
    """To a disk; the machine starts again, and the guest with it."""

    verb = "hibernate"

    def before(self):
        put(POWER + "disk", "reboot")


def cases_of(way, kind, *functions):
    """One of each, under a name of its own."""
    for function in functions:
        def run(function=function):
            function(way)

        run.__name__ = "%s_%s" % (kind, function.__name__)
        case(run)


def keyboard_wakes_up():
    put("/sys/devices/platform/i8042/serio0/power/wakeup", "enabled")


def on_disk(disk):
    """Where to hibernate to; little of it, for it is slow."""
    sh("mkswap %s && swapon %s" % (disk, disk))
    put(POWER + "image_size", "0")
    with open("/sys/class/block/%s/dev" % disk[5:], encoding="ascii") as f:
        put(POWER + "resume", f.read())


def falls_asleep():
    """Whether all tasks have, for a few seconds; the machine stays awake."""
    try:
        put(POWER + "state", "mem")
    except OSError as e:
        check(e.errno == errno.EBUSY, "%s" % e)
        return False
    return True


def is_refused(seconds):
    """The kernel gives up to have all tasks sleep in that time.  A daemon that
    is not in its poll() then sleeps like any other, and it is tried again."""
    put(POWER + "pm_freeze_timeout", "%d" % (seconds * 1000))
    put(POWER + "pm_test", "freezer")
    try:
        check(any(not falls_asleep() for _ in range(10)), "it slept")
    finally:
        put(POWER + "pm_test", "none")
        put(POWER + "pm_freeze_timeout", "20000")


IDLE = Suspend("s2idle", "sendkey a")
MEMORY = Suspend("deep", "system_wakeup")


def with_systemd(way):
    """As it does when it is told to."""
    p = subprocess.run(["/lib/systemd/systemd-sleep", way.verb],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True, check=False)
    tasks = [x for x in sh("dmesg").splitlines() if "refusing" in x or
             " task:" in x]
    check(p.returncode == 0, "%s%s" % (p.stdout, "\n".join(tasks)))


def clocks():
    """That of this machine, and what of it the guest was awake."""
    return (time.clock_gettime(time.CLOCK_BOOTTIME),
            time.clock_gettime(time.CLOCK_MONOTONIC))


def sleeps(way):
    was = clocks()
    way.before()
    with_systemd(way)
    print("# %s: %.1f s, %.1f s of them awake" % (way.verb, *(
        b - a for a, b in zip(was, clocks()))), flush=True)


def idle(way):
    sleeps(way)
    until(lambda: active(DAEMON) == "active", "the daemon", 60)
    vmtest.works()


def lost():
    """How many holds were, so far."""
    return sh("journalctl -q -o cat -u " + DRIVER).count("the hold was lost")


def with_a_writer_that_waits(way):
    """Thawed before, and LOST."""
    was = lost()
    beat = vmtest.Beat()
    host = holding(50000)
    check(beat.stands(), "a writer stands still")
    sleeps(way)
    check(not frozen("/"), "thawed")
    check(lost() == was + 1, sh("journalctl -q -u %s | tail" % DRIVER))
    until(lambda: active(DAEMON) == "active", "the daemon", 60)
    vmtest.goes_on(beat, host, 10)
