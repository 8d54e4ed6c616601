# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of the adapters share: clients that commit numbered rows, a
guest whose host copies the disk while it holds, and a look at the copy.  Only
for the isolated root."""

import errno
import glob
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import time

import hvtest
from hvtest import BIN, Machine, Process, check, until

ADAPTER = "/hv/hooks/hv_vss_adapter"
CLIENTS = 4
PAUSE_S = 0.002
FREEZE = 2      # enum hv_vss_op_t
LOOK = "/run/look"


def now_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def figure(name, what):
    """A line of the log that docs/applications.md is made from."""
    print("# figure: %s: %s" % (name, what), flush=True)


def checkpoints():
    return 20 if hvtest.everything() else 2


def longer(function):
    """A case that `make e2e' alone has time for."""
    return hvtest.case(function) if hvtest.everything() else function


def must(argv, seconds=60, **more):
    r = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, errors="replace",
                       timeout=seconds, check=False, **more)
    check(r.returncode == 0, "%s: status %d: %s" % (
        " ".join(argv), r.returncode, r.stdout.strip()[-400:]))
    return r.stdout


class Server:
    """One that is started by hand on a data directory, with a socket of its own.
    Each kind has answers(), whether it does, and stop(), at once."""

    def __init__(self, data, sock):
        self.data, self.sock = data, sock
        self.process = None

    def run(self, argv, *more, **env):
        """How long it takes until it answers, in ns."""
        began = now_ns()
        self.process = Process(argv, *more, **env)
        until(lambda: self.answers() or not self.process.alive(),
              "the server answers", 60)
        check(self.process.alive(), self.process.output()[-400:])
        hvtest.after(self.stop)
        return now_ns() - began


class SqlServer(Server):
    """With try_sql(sql, ...): its status, and what it printed."""

    def answers(self):
        return self.try_sql("SELECT 1")[0] == 0

    def sql(self, sql, *where):
        status, out = self.try_sql(sql, *where)
        check(status == 0, "%s: %s" % (sql, out))
        return out


class Load:
    """Clients that commit rows (client, n), n from 1 on, and log each that was
    acknowledged with its time.  connect(client) gives a function commit(n)."""

    def __init__(self, connect, clients=CLIENTS, pause=PAUSE_S):
        self.paths = ["/run/acks.%d" % c for c in range(clients)]
        self.pids = []
        hvtest.after(self.stop)
        for path in self.paths:
            with open(path, "w", encoding="ascii"):
                pass    # of an earlier case
        for c, path in enumerate(self.paths):
            pid = os.fork()
            if pid == 0:
                self._client(connect, c, path, pause)
            self.pids.append(pid)
        self.progresses()

    def _client(self, connect, c, path, pause):
        try:
            os.setpgid(0, 0)
            log = os.open(path, os.O_WRONLY | os.O_APPEND)
            commit = connect(c)
            n = 0
            while True:
                n += 1
                commit(n)
                os.write(log, b"%d %d\n" % (n, now_ns()))
                time.sleep(pause)
        except BaseException as e:
            print("# client %d: %r" % (c, e), flush=True)
        finally:
            os._exit(1)

    def rows(self, c):
        """(n, time) of what was acknowledged to a client."""
        with open(self.paths[c], encoding="ascii") as f:
            return [tuple(map(int, line.split()))
                    for line in f.read().split("\n")[:-1]]

    def last(self):
        return [len(self.rows(c)) for c in range(len(self.paths))]

    def progresses(self, more=20, seconds=30):
        start = self.last()
        until(lambda: all(b >= a + more for a, b in zip(start, self.last())),
              "every client commits", seconds)

    def held(self, copy):
        """Nobody was told of a commit between quiesce and the end of the copy,
        but of one that was under way."""
        more = self.between(copy.quiesced, copy.ended)
        check(max(more) <= 1, "acknowledged in the hold: %s" % more)

    def before(self, t):
        """The last row acknowledged to each client before a time."""
        return [max((n for n, at in self.rows(c) if at <= t), default=0)
                for c in range(len(self.paths))]

    def between(self, a, b):
        """How many rows were acknowledged to each client between two times."""
        return [sum(a < at < b for _, at in self.rows(c))
                for c in range(len(self.paths))]

    def stall_ns(self, a, b):
        """The longest time without an acknowledgement that meets a..b."""
        longest = 0
        for c in range(len(self.paths)):
            times = [t for _, t in self.rows(c)]
            longest = max([longest] + [
                y - x for x, y in zip(times, times[1:]) if y >= a and x <= b])
        return longest

    def stop(self):
        for pid in self.pids:
            try:
                os.killpg(pid, signal.SIGKILL)
            except ProcessLookupError:
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self.pids = []


class Guest:
    """Driver, daemon, freezer and one adapter."""

    def __init__(self, kind, settings, **limits):
        self.kind = kind
        self.m = Machine(**limits)
        self.traces = [self.m.dir + "/driver.trace", self.m.dir + "/daemon.trace"]
        for start, trace in zip((self.m.start_driver, self.m.start_daemon),
                                self.traces):
            self.m.sets = {**limits, "trace": trace}
            start()
        self.conf = "%s/%s.conf" % (self.m.dir, kind)
        self.configure(settings)
        self.adapter = None
        self.start()

    def configure(self, settings):
        with open(self.conf, "w", encoding="ascii") as f:
            for key, value in settings:
                f.write("%s = %s\n" % (key, value))

    def start(self):
        self.adapter = Process([ADAPTER, "-c", self.conf, "--device",
                                self.m.app_dev, self.kind])
        self.adapter.says("takes part through")

    def end_adapter(self):
        check(self.adapter.end() == 0, "the adapter's exit status")

    def coprocess(self):
        """The pid of the co-process, started with the first request."""
        with open("/proc/%d/task/%d/children" % (
                self.adapter.pid, self.adapter.pid), encoding="ascii") as f:
            pids = [int(pid) for pid in f.read().split()]
        # Another writes what is said to a file.
        pids = [p for p in pids if p not in hvtest.pids_of("hv_vss_output")]
        check(len(pids) == 1, "one co-process: %s" % pids)
        return pids[0]

    def add(self, *options):
        """Another application."""
        p = Process([f"{BIN}/hv_vssctl", "run", "--device", self.m.app_dev,
                     *options])
        p.says("takes part through")
        return p

    def ask(self, *actions):
        """The host's replies: {op: "ok" or "fail"}."""
        host = self.m.host(*actions)
        host.process.wait(120)
        return {r["op"]: r["reply"] for r in host.replies()}

    def succeeds(self, why=""):
        got = self.ask("check", "freeze", "thaw")
        check(got == {"check": "ok", "freeze": "ok", "thaw": "ok"},
              "a checkpoint works%s: %s" % (why, got))

    def hold(self):
        """A host that holds until it is told to thaw."""
        gate = self.m.dir + "/gate"
        if not os.path.exists(gate):
            os.mkfifo(gate)
        host = self.m.host("freeze", "snapshot=read x <%s || :" % gate, "thaw")
        reply = host.reply("freeze", 60)
        check(reply["reply"] == "ok", "FREEZE: %s" % reply)
        return host

    def thaw(self, host):
        """What the host's THAW is answered with."""
        os.close(os.open(self.m.dir + "/gate", os.O_WRONLY))
        host.process.wait(60)
        return host.reply("thaw")["reply"]

    def is_lost(self, host, said, load=None):
        """The hold was lost, and by what is told: everything goes on before
        the host's THAW, which fails."""
        self.m.driver.says("could not stay quiesced")
        self.m.driver.says(said)
        if load:
            load.progresses()
        check(self.thaw(host) == "fail", "THAW says that the hold was lost")

    def refuses(self, *words, op="freeze"):
        """A backup is refused, and the driver says why."""
        got = self.ask(op, "thaw") if op == "freeze" else self.ask(op)
        check(got[op] == "fail", "%s is refused: %s" % (op, got))
        for word in words:
            self.m.driver.says(word)

    def loses_its_adapter(self, load):
        """The co-process is killed during the hold."""
        host = self.hold()
        os.kill(self.coprocess(), signal.SIGKILL)
        self.is_lost(host, "the co-process has ended", load)
        self.succeeds(", the next one")

    def has_its_server_down(self, s, refuse, said, again):
        """It takes no part, or refuses if its settings tell it to."""
        s.stop()
        self.succeeds()
        self.adapter.says("takes no part")
        self.end_adapter()
        self.configure(refuse)
        self.start()
        self.refuses(said, "start it", op="check")
        again()
        self.succeeds(" when it runs again")

    def has_its_server_hang(self, pids):
        """The server is waited for within the limits."""
        self.succeeds()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            self.refuses("did not answer in time")
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        self.succeeds(" when it goes on")

    def holds_writers_out(self, connect, image, late="sleep 0.3"):
        """Another application comes to rest last, so that what happens before
        shows.  The clients, and the copy."""
        self.add("--name", "late", "--level", "90", "--freeze", late,
                 "--thaw", "true")
        load = Load(connect)
        copy = Checkpoint(self, [image])
        load.progresses()
        check(copy.frozen - copy.quiesced > 3e8, "there was time to commit")
        load.held(copy)
        return load, copy

    def has_its_adapter_stopped(self, load):
        """The co-process stands from the hold on: it is killed at thaw."""
        host = self.hold()
        pid = self.coprocess()
        os.kill(pid, signal.SIGSTOP)
        self.thaw(host)
        load.progresses()
        check(not os.path.exists("/proc/%d" % pid), "what hung was killed")
        self.succeeds(", the next one")

    def trace(self, which):
        try:
            with open(self.traces[which], encoding="utf-8") as f:
                return [json.loads(x) for x in f if x.endswith("}\n")]
        except FileNotFoundError:
            return []

    def quiesced_ns(self, after):
        """When the adapter answered the freeze after a time."""
        return min(e["t_ns"] for e in self.trace(0)
                   if e["event"] == "write" and e["name"] == self.kind and
                   e["arg"] == FREEZE and e["t_ns"] > after)


class Checkpoint:
    """One checkpoint whose host copies the images while it holds."""

    def __init__(self, guest, images, name="copy"):
        self.guest = guest
        self.dir = "/run/" + name
        shutil.rmtree(self.dir, ignore_errors=True)
        os.mkdir(self.dir)
        hvtest.after(shutil.rmtree, self.dir, True)
        begin = self.asked = now_ns()
        uptime = "cut -d' ' -f1 /proc/uptime >%s/" % self.dir
        got = guest.ask("checkpoint=%sbegan && cp --sparse=always %s %s && "
                        "%sended" % (uptime, " ".join(images), self.dir, uptime))
        check(all(r == "ok" for r in got.values()) and "freeze" in got,
              "the checkpoint: %s" % got)
        # Hundredths of a second, rounded down.
        self.began, self.ended = (
            int(float(open(self.dir + "/" + x, encoding="ascii").read()) * 1e9)
            for x in ("began", "ended"))
        done = until(lambda: self._fs("thaw", begin), "the daemon's trace")
        frozen = self._fs("freeze", begin)
        check(frozen, "the daemon's trace of a freeze")
        self.frozen = min(e["t_ns"] for e in frozen)
        self.thawed = max(e["t_ns"] + e["ms"] * 1e6 for e in done)
        self.images = [os.path.join(self.dir, os.path.basename(i))
                       for i in images]

    @property
    def quiesced(self):
        """When the adapter answered."""
        return self.guest.quiesced_ns(self.asked)

    def _fs(self, event, begin):
        return [e for e in self.guest.trace(1)
                if e["event"] == event and e["t_ns"] > begin]


class Mounted:
    """A copied image, mounted while the block runs."""

    def __init__(self, image, options=""):
        self.image, self.options = image, options

    def __enter__(self):
        os.makedirs(LOOK, exist_ok=True)
        # Another test may take the same loop device in the same moment.
        until(self._mount, "%s is mounted" % self.image)
        return LOOK

    def _mount(self):
        return hvtest.run(["mount", "-o", "loop" + self.options, self.image,
                           LOOK])[0] == 0

    def __exit__(self, *_):
        must(["umount", LOOK])


def stalls(guest, load):
    """The longest stall of a client in a checkpoint whose host thaws at once,
    in ns, of each of some."""
    found = []
    for _ in range(checkpoints()):
        load.progresses()
        begin = now_ns()
        guest.succeeds()
        end = now_ns()
        load.progresses()
        found.append(load.stall_ns(begin, end))
    return found


def fill(mount):
    """Leaves no room on a file system."""
    path = mount + "/filler"
    hvtest.after(lambda: os.path.exists(path) and os.unlink(path))
    with open(path, "wb", buffering=0) as f:
        for size in (1 << 20, 4096):
            try:
                while True:
                    f.write(bytes(size))
            except OSError as e:
                check(e.errno == errno.ENOSPC, str(e))
    return path


def rounds(guest, load, images, look, what, n):
    """Checkpoints, each looked at (look gives how long the recovery took, or
    None); prints what they cost."""
    longest, over, windows, recovery = [], [], [], []
    begin = now_ns()
    load.progresses(100, 60)
    figure(what + ", longest commit without a checkpoint",
           "%.1f ms" % (load.stall_ns(begin, now_ns()) / 1e6))
    for _ in range(n):
        load.progresses()
        copy = Checkpoint(guest, images)
        load.progresses()
        recovery.append(look(copy))
        windows.append(copy.thawed - copy.frozen)
        longest.append(load.stall_ns(copy.frozen, copy.thawed))
        over.append(longest[-1] - windows[-1])
    figure(what + ", frozen", milliseconds(windows))
    figure(what + ", longest stall", milliseconds(longest))
    figure(what + ", stall beyond the frozen time", milliseconds(over))
    if recovery[0]:
        figure(what + ", recovery", milliseconds(recovery))
    figure(what + ", longest stall where the host thaws at once",
           milliseconds(stalls(guest, load)))


def milliseconds(values):
    """Median and largest of times in ns, for a figure."""
    ms = sorted(v / 1e6 for v in values)
    return "median %.1f ms, most %.1f ms, of %d" % (
        statistics.median(ms), ms[-1], len(ms))


def newest(pattern):
    """The path of a pattern that sorts last by the numbers in it."""
    found = sorted(glob.glob(pattern),
                   key=lambda p: [int(n) for n in re.findall(r"\d+", p)])
    return found[-1] if found else None
