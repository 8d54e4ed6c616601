#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
"""soak.py SECONDS [SEED], inside the isolated root: checkpoint after checkpoint
of one driver and one daemon, with applications that come, go, refuse and die,
and with faults.  When it has warmed up and again at its end everything is at
rest for a moment, and what the programs hold then must be the same: memory,
descriptors, threads, and what one checkpoint leaves in the trace.  The seed is
printed first; processes' turns differ all the same."""

import collections
import os
import random
import signal
import sys
import time

import frzlib
import guest
import hvtest
from hvtest import FAIL, SUCCESS, check, until

MOUNTS = ["/mnt/ext4", "/mnt/xfs"]
LIMITS = {"check": "2", "freeze": "6", "prepare": "2", "quiesce": "1",
          "fs": "2", "hold": "1", "thaw": "4", "thaw_fs": "3", "level": "1"}
TRACE = "/run/trace"
WARM = 100  # checkpoints
AT_ONCE = 25  # by one host
SLACK_KIB = 128  # pages that are touched late

tried = collections.Counter()


def participant(path, rng):
    """An application that takes part in some checkpoints, well or badly."""
    while True:
        dev = hvtest.Device(path)
        dev.poll(0)
        for _ in range(rng.randrange(1, 40)):
            if not dev.poll(5):
                continue
            opt, status, msgid = dev.read()
            if status != SUCCESS:
                continue
            odd = rng.random()
            if odd < 0.02:
                break
            if odd < 0.025:
                time.sleep(1.5)
            dev.write(opt, FAIL if 0.03 < odd < 0.04 else SUCCESS, msgid)
        dev.close()
        time.sleep(rng.random() / 10)


class Apps:
    """A few of them at a time."""

    def __init__(self, path, rng):
        self.path, self.rng, self.pids = path, rng, []
        hvtest.after(self.end)

    def come(self):
        seed = self.rng.getrandbits(32)
        pid = os.fork()
        if pid == 0:
            try:
                participant(self.path, random.Random(seed))
            finally:
                os._exit(0)
        self.pids.append(pid)
        tried["applications"] += 1

    def go(self):
        pid = self.pids.pop(self.rng.randrange(len(self.pids)))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        tried["applications killed"] += 1

    def turn(self):
        if len(self.pids) < 2 or (len(self.pids) < 8 and
                                  self.rng.random() < 0.5):
            self.come()
        else:
            self.go()

    def end(self):
        while self.pids:
            self.go()


class Soak:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.m = hvtest.Machine(trace=TRACE, **LIMITS)
        self.m.start_driver()
        self.m.start_daemon()
        self.apps = Apps(self.m.app_dev, self.rng)
        self.writers = {p: hvtest.Writer(p, 0.005) for p in MOUNTS}

    # Faults; each leaves the machine as it found it.

    def killed(self, who):
        os.kill(guest.freezer_pid(who), signal.SIGKILL)

    def worker_killed(self, host):
        self.killed("worker")

    def guard_killed(self, host):
        self.killed("guard")

    def host_killed(self, host):
        host.process.kill()

    def host_stopped(self, host):
        host.process.signal(signal.SIGSTOP)
        time.sleep(1.5)
        host.process.signal(signal.SIGCONT)

    def driver_stopped(self, host):
        self.m.driver.signal(signal.SIGSTOP)
        time.sleep(0.3)
        self.m.driver.signal(signal.SIGCONT)

    def daemon_stopped(self, host):
        self.m.daemon.signal(signal.SIGSTOP)
        time.sleep(0.3)
        self.m.daemon.signal(signal.SIGCONT)

    def foreign_thaw(self, host):
        hvtest.thaw(self.rng.choice(MOUNTS))

    def foreign_freeze(self, host):
        """Of somebody else, who thaws a little later."""
        p = self.rng.choice(MOUNTS)
        try:
            hvtest.freeze(p)
        except OSError:
            return
        time.sleep(0.05)
        hvtest.thaw(p)

    def writer_that_waits(self, host):
        holder = frzlib.Holder(self.rng.choice(MOUNTS))
        time.sleep(0.2)
        holder.let_go()

    FAULTS = [worker_killed, guard_killed, host_killed, host_stopped,
              driver_stopped, daemon_stopped, foreign_thaw, foreign_freeze,
              writer_that_waits]

    def checkpoints(self, faults):
        """One host with many of them, and at most one fault."""
        actions = []
        for _ in range(AT_ONCE):
            actions += ["check", "freeze", "hold=%d" % self.rng.randrange(3),
                        "thaw", "complete"]
        host = self.m.host(*actions)
        if faults:
            so_far = self.rng.randrange(1, 3 * AT_ONCE)
            until(lambda: len(host.replies()) >= so_far or
                  not host.process.alive(), "replies", 60)
            fault = self.rng.choice(self.FAULTS)
            try:
                fault(self, host)
                tried[fault.__name__.replace("_", " ")] += 1
            except (OSError, hvtest.Failed):
                pass  # its victim is just being replaced
        status = host.process.wait(200)
        replies = host.replies()
        check(status in (0, 3, -signal.SIGKILL) and
              not any(r["reply"] == "none" for r in replies),
              "the host: %d %s" % (status, replies[-3:]))
        freezes = [r["reply"] for r in replies if r["op"] == "freeze"]
        tried["checkpoints"] += len(freezes)
        tried["frozen"] += freezes.count("ok")
        host.process.forget()

    def rest(self):
        """Nobody takes part and nothing is under way: what is held then."""
        self.apps.end()
        end = time.monotonic() + 20
        while True:
            status, _ = self.m.host("check", "freeze", "thaw",
                                    "complete").wait()
            if status == 0:
                break
            check(time.monotonic() < end, "no checkpoint works at rest")
        for w in self.writers.values():
            w.progresses(2)
        self.trace_is_written()
        with open(TRACE, "w", encoding="utf-8"):
            pass
        status, replies = self.m.host("check", "freeze", "thaw",
                                      "complete").wait()
        check(status == 0, "at rest: %s" % replies)
        with open(self.m.dir + "/run/frozen", encoding="utf-8") as f:
            until(lambda: f.seek(0) == 0 and f.read() == "", "empty record", 2)
        self.trace_is_written()
        found = {}
        for who, pid in (("driver", self.m.driver.pid),
                         ("daemon", self.m.daemon.pid),
                         ("worker", guest.freezer_pid("worker")),
                         ("guard", guest.freezer_pid("guard"))):
            found[who] = {"KiB": frzlib.pss_kib(pid),
                          "descriptors": len(os.listdir("/proc/%d/fd" % pid)),
                          "threads": len(os.listdir("/proc/%d/task" % pid))}
        with open(TRACE, encoding="utf-8") as f:
            found["trace"] = {"lines": len(f.readlines())}
        found["machine"] = {"freezers":
                            len(hvtest.pids_of("hv_vss_freezer")),
                            "hanging": len(guest.hanging())}
        return found

    def trace_is_written(self):
        """Driver and daemon have children write it, which take their time."""
        for p in (self.m.driver, self.m.daemon):
            until(lambda q=p: hvtest.pids_of(q.name) == [q.pid],
                  "a child of %s ends" % p.name)

    def run(self, seconds):
        end = time.monotonic() + seconds
        while tried["checkpoints"] < WARM:
            self.apps.turn()
            self.checkpoints(False)
        self.checkpoints(True)
        warm = self.rest()
        while time.monotonic() < end:
            self.apps.turn()
            self.checkpoints(self.rng.random() < 0.5)
            with open(TRACE, "w", encoding="utf-8"):
                pass
        check(self.m.driver.alive() and self.m.daemon.alive(), "both live")
        return warm, self.rest()


def not_flat(warm, last):
    """What grew, in words."""
    grown = []
    for who, values in warm.items():
        for what, before in values.items():
            now = last[who][what]
            slack = SLACK_KIB if what == "KiB" else 0
            print("# %-8s %-12s %6d  %6d" % (who, what, before, now))
            if now > before + slack:
                grown.append("%s: %s %d, then %d" % (who, what, before, now))
    return grown


def main():
    seconds = int(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 and sys.argv[2] else \
        random.SystemRandom().getrandbits(32)
    print("# seed %d" % seed, flush=True)
    soak = None
    try:
        soak = Soak(seed)
        warm, last = soak.run(seconds)
        print("# " + ", ".join("%s: %d" % (k, n)
                               for k, n in sorted(tried.items())))
        grown = not_flat(warm, last)
    except hvtest.Failed as e:
        for line in hvtest.outputs():
            print("# " + line)
        print("# " + ", ".join("%s: %d" % (k, n)
                               for k, n in sorted(tried.items())))
        grown = [str(e)]
    hvtest.clean_up()
    print("soak: " + ("not flat: " + "; ".join(grown) if grown else "ok"),
          flush=True)
    sys.exit(1 if grown else 0)


main()
