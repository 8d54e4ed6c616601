#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause

"""Takes the samples, inside the isolated root: bench_inside.py ROUNDS DEMO
CASE...  DEMO is where the demo's programs are, a case is PREFIX/KIND.  Each
sample is a line `@ {JSON}` with case, who, metric and value; instead of the last
two a note says why there is none.  Everything else is for the reader."""

import json
import os
import re
import subprocess
import sys
import threading
import time

import hvtest
from hvtest import Process, until

import bench_who
from bench_who import Broken, Hangs, TOOLS, HvVss, events

ALL_DIRTY_MIB = 2048
PACE_MIB_S = 20
SLOW_MIB_S = 1
WRITERS_MAX = 8  # with more the writers would be what is measured
STEADY_S = 0.4  # that the writers run before anything happens
QUIET_NS = 300000000  # of that, what is looked at
BOUND_S = 60
NESTED_BOUND_S = 8
DEMO = []
DRIVER_TRACE = bench_who.RUN + "/driver.trace"


def sample(case, who, metric, value):
    print("@ " + json.dumps({"case": case, "who": who, "metric": metric,
                             "value": round(value, 4)}), flush=True)


def note(case, who, text):
    print("@ " + json.dumps({"case": case, "who": who, "note": text}),
          flush=True)


def mounts():
    return [s.mount for s in hvtest.scratch().values()]


def bare_round():
    """Nothing left of the sample before, nothing unwritten."""
    for m in mounts():
        for name in ("dirty", "paced"):
            if os.path.exists(m + "/" + name):
                os.unlink(m + "/" + name)
    subprocess.run(["sync", "-f", *mounts()], check=True)


def make_dirty(mib):
    each = mib // len(mounts())
    runs = [subprocess.Popen([TOOLS + "/bench_writer", "dirty", str(each),
                              m + "/dirty"]) for m in mounts()]
    for r in runs:
        if r.wait() != 0:
            raise Broken("a file system is full")


def written():
    """The file systems that have a writer: all, or some from the first to the
    last, since not everybody freezes them in the same order."""
    points = mounts()
    n = min(len(points), WRITERS_MAX)
    return [points[i * (len(points) - 1) // max(n - 1, 1)] for i in range(n)]


def unwritten_mib():
    """Of the whole machine: writeback may have begun by itself."""
    with open("/proc/meminfo", encoding="ascii") as f:
        return sum(int(x.split()[1]) for x in f
                   if x.startswith(("Dirty:", "Writeback:"))) / 1024


class Writers:
    """One a file system, at the rates given; the last rate is everybody
    else's."""

    def __init__(self, rates):
        self.running = []
        for i, m in enumerate(written()):
            log = "%s/gaps.%d" % (bench_who.RUN, i)
            rate = rates[min(i, len(rates) - 1)]
            self.running.append((log, Process([
                TOOLS + "/bench_writer", "pace", str(rate), m + "/paced",
                log])))
        time.sleep(STEADY_S)

    def gaps(self):
        """Of each writer, its stalls."""
        time.sleep(0.1)
        for _, p in self.running:
            p.popen.terminate()
        found = []
        for log, p in self.running:
            if p.wait() != 0:
                raise Broken("a writer failed: " + p.output())
            with open(log, encoding="ascii") as f:
                found.append(json.load(f))
        return found


class Database:
    """SQLite on the first file system, committing rows without pause, and its
    participant, which holds its lock during the freeze: the demo's."""

    def __init__(self, demo, device):
        self.demo = demo
        self.path = mounts()[0] + "/rows.sqlite"
        self.log = bench_who.RUN + "/acks"
        self.writer = None
        self.start()
        hold = "exec %s %s/sqlite_hold.py %s %s/held" % (
            sys.executable, demo, self.path, bench_who.RUN)
        self.holder = Process([hvtest.BIN + "/hv_vssctl", "run", "--name",
                               "sqlite", "--device", device, "--coprocess",
                               hold])
        self.holder.says("takes part", bench_who.PATIENCE_S)

    def rows(self):
        try:
            with open(self.log, encoding="ascii") as f:
                return [int(line.split()[1]) for line in f
                        if line.endswith("\n")]
        except FileNotFoundError:
            return []

    def start(self):
        for x in (self.log, self.path, self.path + "-wal", self.path + "-shm"):
            if os.path.exists(x):
                os.unlink(x)
        self.writer = Process([sys.executable, self.demo + "/sqlite_writer.py",
                               self.path, self.log])
        until(lambda: len(self.rows()) > 100, "rows", bench_who.PATIENCE_S)

    def gap(self, begin, end):
        """The longest time between two commits, in ms."""
        until(lambda: self.rows()[-1] > end, "a commit after it")
        times = self.rows()
        return max(b - max(a, begin) for a, b in zip(times, times[1:])
                   if b > begin and a < end) / 1e6


def stalls(gaps, begin, end):
    """Longest stall of any writer within, and the most that one lost in all; a
    stall counts from `begin' on, and to its end."""
    longest = total = 0
    for writer in gaps:
        met = [b - max(a, begin) for a, b in writer if b > begin and a < end]
        longest = max([longest, *met])
        total = max(total, sum(met))
    return longest / 1e6, total / 1e6


def one(case, who, dirty, rates, bound_s, database=None):
    """One checkpoint by one of them; false if it failed."""
    bare_round()
    who.ready()
    if dirty:
        make_dirty(dirty)
    writers = Writers(rates)
    unwritten = unwritten_mib()
    try:
        c = who.checkpoint(bound_s)
    except (Hangs, Broken) as e:
        who.abandon()
        writers.gaps()
        note(case, who.name, "hangs, thawed from outside after %d s" % bound_s
             if isinstance(e, Hangs) else str(e))
        return False
    gaps = writers.gaps()
    for metric, value in c.ms.items():
        sample(case, who.name, metric, value)
    sample(case, who.name, "dirty_mib", unwritten)
    # What the machine does by itself.
    longest, _ = stalls(gaps, c.asked_ns - QUIET_NS, c.asked_ns)
    sample(case, who.name, "before_stall_ms", longest)
    for window, begin, end in (("frozen", c.down_ns, c.up_ns),
                               ("checkpoint", c.asked_ns, c.done_ns)):
        longest, total = stalls(gaps, begin, end)
        sample(case, who.name, window + "_stall_ms", longest)
        sample(case, who.name, window + "_stall_total_ms", total)
    if database:
        sample(case, who.name, "database_stall_ms",
               database.gap(c.asked_ns, c.done_ns))
    return True


def checkpoints(case, rounds, dirty, rates, bound_s=BOUND_S, demo=None):
    """Interleaved, each round begun by another; who fails is not asked
    again."""
    people = bench_who.everybody()
    for p in people:
        p.start()
    database = Database(demo, people[0].app_device()) if demo else None
    for r in range(rounds):
        for p in people[r % len(people):] + people[:r % len(people)]:
            if not one(case, p, dirty, rates, bound_s, database):
                people = [q for q in people if q is not p]
        print("%s: round %d of %d" % (case, r + 1, rounds), flush=True)
    for p in people:
        p.stop()


def called_by_freeze(pid):
    """What FIFREEZE is busy with, by the kernel stacks of a process."""
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/stack" % (pid, task),
                  encoding="ascii") as f:
            frames = re.findall(r"\] (\w+)", f.read())
        for callee, caller in zip(frames, frames[1:]):
            if caller.startswith("freeze_super"):
                yield callee


class Stacks(threading.Thread):
    """Looks a thousand times a second."""

    def __init__(self, who):
        super().__init__(daemon=True)
        self.who, self.seen, self.over = who, {}, False
        self.start()

    def run(self):
        while not self.over:
            for pid in self.who.pids():
                try:
                    for callee in called_by_freeze(pid):
                        self.seen[callee] = self.seen.get(callee, 0) + 1
                except OSError:
                    pass  # ended meanwhile
            time.sleep(0.001)


def where(case, rounds):
    """Where the freeze of clean file systems spends its time."""
    who = HvVss()
    bench_who.everybody()
    who.start()
    stacks = Stacks(who)
    for _ in range(rounds):
        one(case, who, 0, [SLOW_MIB_S], BOUND_S)
    stacks.over = True
    stacks.join()
    who.stop()
    for callee, n in sorted(stacks.seen.items(), key=lambda x: -x[1]):
        sample(case, who.name, "in_%s_percent" % callee,
               100 * n / sum(stacks.seen.values()))


def pss_kib(pid):
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as f:
        return next(int(x.split()[1]) for x in f if x.startswith("Pss:"))


def memory(case, rounds):
    """Proportional set size at rest after a checkpoint, and in the hold."""
    people = [p for p in bench_who.everybody() if p.name != "floor"]
    for p in people:
        p.start()
    for _ in range(rounds):
        for p in people:
            def held(p=p):
                sample(case, p.name, "hold_pss_kib",
                       sum(pss_kib(x) for x in p.pids()))
            p.ready("freeze", "hold=100", "thaw")
            p.checkpoint(BOUND_S, held)
    for p in people:
        if p.name != "hv_vss_daemon":
            sample(case, p.name, "rest_pss_kib",
                   sum(pss_kib(x) for x in p.pids()))
        p.stop()


def requests(case, who, rounds):
    for _ in range(rounds):
        who.ready("check", "freeze", "thaw")
        c = who.checkpoint(BOUND_S)
        for metric in ("check", "freeze", "thaw"):
            sample(case, who.name, metric + "_request_ms",
                   c.ms[metric + "_request_ms"])


def apps(case, rounds):
    """How the time of a request grows with the applications that take part."""
    who = HvVss("max_clients=1024")
    bench_who.everybody()
    who.start()
    for n in (0, 1, 10, 100, 1000):
        app = None
        if n:
            app = Process([TOOLS + "/bench_apps", str(n), who.app_device()])
            app.says("ready", 60)
        requests("%s/%d" % (case, n), who, rounds)
        if app:
            app.kill()
    who.stop()


def device(case, rounds):
    """An application's way: told, polled, read, written, by the driver's
    clock; and the time of one ioctl that finds nothing."""
    who = HvVss("trace=" + DRIVER_TRACE)
    bench_who.everybody()
    who.start()
    path = who.app_device()
    app = Process([TOOLS + "/bench_apps", "1", path])
    app.says("ready", 60)
    for _ in range(rounds):
        _, us, _ = hvtest.run([TOOLS + "/bench_apps", "0", path])
        sample(case, who.name, "ioctl_us", float(us))
        who.ready(*["check"] * 20, "freeze", "thaw")
        who.checkpoint(BOUND_S)
        until(lambda: any(e["event"] == "reply" and e.get("op") == "thaw"
                          for e in events(DRIVER_TRACE)), "the trace")
        told = {}
        for e in events(DRIVER_TRACE):
            if e["event"] == "notify" and e["name"] == "bench_apps":
                told[e["id"]] = e["t_ns"]
            elif e["event"] == "write" and e["id"] in told:
                sample(case, who.name, "round_trip_us",
                       (e["t_ns"] - told.pop(e["id"])) / 1e3)
        os.unlink(DRIVER_TRACE)
    app.kill()
    who.stop()


KINDS = {
    "clean": lambda c, r: checkpoints(c, r, 0, [SLOW_MIB_S]),
    "dirty-paced": lambda c, r: checkpoints(c, r, ALL_DIRTY_MIB, [PACE_MIB_S]),
    "dirty-full": lambda c, r: checkpoints(c, r, ALL_DIRTY_MIB,
                                           [0, PACE_MIB_S]),
    "nested": lambda c, r: checkpoints(c, r, 0, [SLOW_MIB_S], NESTED_BOUND_S),
    "database": lambda c, r: checkpoints(c, r, ALL_DIRTY_MIB, [PACE_MIB_S],
                                         demo=DEMO[0]),
    "where": where,
    "memory": memory,
    "apps": apps,
    "device": device,
}


def main():
    rounds = int(sys.argv[1])
    DEMO.append(sys.argv[2])
    for case in sys.argv[3:]:
        began = time.monotonic()
        KINDS[case.split("/")[-1]](case, rounds)
        hvtest.clean_up()
        print("%s: %.0f s" % (case, time.monotonic() - began), flush=True)


if __name__ == "__main__":
    main()
