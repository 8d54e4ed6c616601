# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause

"""Who is measured: each takes one checkpoint of the scratch file systems and says
when things happened, in nanoseconds of CLOCK_BOOTTIME.  Inside the isolated root
only; hvtest has the processes and the scratch file systems."""

import json
import os
import select
import socket
import subprocess
import threading
import time

import hvtest
from hvtest import BIN, Process, until

TOOLS = hvtest.BUILD + "/tests"
RUN = "/run/bench"
GO = RUN + "/go"
NS_PER_MS = 1e6
PATIENCE_S = 30  # for a start


class Hangs(Exception):
    """No reply within the bound."""


class Broken(Exception):
    """It failed, or said that it could not."""


def now_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def thaw_everything(seconds=15):
    """One thread a file system: a thaw may wait for another's."""
    def thaw(point):
        while hvtest.thaw(point):
            pass
    threads = [threading.Thread(target=thaw, args=(s.mount,), daemon=True)
               for s in hvtest.scratch().values()]
    for t in threads:
        t.start()
    for t in threads:
        t.join(seconds)
    return not any(t.is_alive() for t in threads)


def events(trace):
    """What driver or daemon wrote there so far, in whole lines."""
    try:
        with open(trace, encoding="ascii") as f:
            return [json.loads(line) for line in f if line.endswith("\n")]
    except FileNotFoundError:
        return []


class Checkpoint:
    """When one began and ended; the keys of ms are metrics."""

    def __init__(self):
        self.asked_ns = self.done_ns = 0  # FREEZE sent, THAW answered
        self.down_ns = self.up_ns = 0  # first freeze begins, last thaw is done
        self.ms = {}


class Lines:
    """A program's output, line by line, each with its time of arrival."""

    def __init__(self, argv):
        self.popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL,
                                      stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT)
        self._rest = b""
        self.said = []

    def next(self, until_s):
        """The next line, or None at the end; Hangs when the time is over."""
        fd = self.popen.stdout.fileno()
        while b"\n" not in self._rest:
            left = until_s - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                raise Hangs("no reply")
            data = os.read(fd, 4096)
            if not data:
                return None
            self._rest += data
        line, self._rest = self._rest.split(b"\n", 1)
        self.said.append(line.decode(errors="replace"))
        return self.said[-1]

    def kill(self):
        if self.popen.poll() is None:
            self.popen.kill()
        thaw_everything()
        self.popen.wait(20)
        self.popen.stdout.close()


class Host(Lines):
    """hv_vss_host, which stands at the door until go()."""

    def __init__(self, where, *actions):
        super().__init__([BIN + "/hv_vss_host", *where, "--json",
                          "snapshot=read x <" + GO, *actions])

    def go(self):
        with open(GO, "w", encoding="ascii") as f:
            f.write("go\n")

    def replies(self, bound_s):
        """Yields (operation, when it was sent, when the answer was here)."""
        until_s = time.monotonic() + bound_s
        while True:
            line = self.next(until_s)
            if line is None:
                break
            if not line.startswith("{"):
                continue
            reply = json.loads(line)
            if reply["op"] not in ("check", "freeze", "thaw"):
                continue
            if reply["reply"] != "ok":
                raise Broken("%s: %s" % (reply["op"], reply["reply"]))
            t = now_ns()
            yield reply["op"], t - int(reply["ms"] * NS_PER_MS), t

    def end(self):
        self.popen.wait(20)
        self.popen.stdout.close()


def take(host, bound_s, between=None):
    """The checkpoint that a Host takes; between is called during the hold."""
    c = Checkpoint()
    host.go()
    for op, sent, answered in host.replies(bound_s):
        c.ms[op + "_request_ms"] = (answered - sent) / NS_PER_MS
        if op == "freeze":
            c.asked_ns = c.down_ns = sent
            if between:
                between()
        elif op == "thaw":
            c.done_ns = c.up_ns = answered
    if not c.done_ns:
        raise Broken("no reply: " + " / ".join(host.said[-3:]))
    host.end()
    return c


class HvVss:
    """Driver, daemon, freezer and guard, with the emulated host."""

    name = "hv_vss"

    def __init__(self, *sets):
        """With settings of the driver."""
        self.sets = [x for s in sets for x in ("--set", s)]
        self.dir = RUN + "/hv_vss"
        self.trace = self.dir + "/daemon.trace"
        self.driver = self.daemon = self.host = None

    def start(self):
        os.makedirs(self.dir, exist_ok=True)
        self.driver = Process([
            BIN + "/hv_vss_driver", "--transport", "emu:" + self.dir + "/host",
            "--dev-dir", self.dir, "-n", *self.sets])
        self.driver.says("ready: ", PATIENCE_S)
        self.daemon = Process([
            BIN + "/hv_vss_daemon", "-n", "--device",
            self.dir + "/hv_fsvss_dev", "--set", "trace=" + self.trace,
            "--set", "run_dir=" + self.dir + "/run"])
        self.daemon.says("serving ", PATIENCE_S)

    def app_device(self):
        return self.dir + "/hv_appvss_dev"

    def ready(self, *actions):
        actions = actions or ("freeze", "thaw")
        self.host = Host(["--listen", self.dir + "/host"], *actions)

    def checkpoint(self, bound_s, between=None):
        if os.path.exists(self.trace):
            os.unlink(self.trace)
        c = take(self.host, bound_s, between)
        n = len(hvtest.scratch())

        def steps(event):
            return [(e["t_ns"], e["t_ns"] + int(e["ms"] * NS_PER_MS))
                    for e in events(self.trace) if e["event"] == event]
        until(lambda: len(steps("thaw")) >= n, "the daemon's trace")
        down, up = steps("freeze"), steps("thaw")
        c.down_ns, c.up_ns = min(a for a, _ in down), max(b for _, b in up)
        # Both flushes, and whatever else comes before the first freeze.
        c.ms["flush_ms"] = (c.down_ns - c.asked_ns) / NS_PER_MS
        c.ms["freeze_ms"] = (max(b for _, b in down) - c.down_ns) / NS_PER_MS
        c.ms["thaw_ms"] = (c.up_ns - min(a for a, _ in up)) / NS_PER_MS
        return c

    def pids(self):
        """Driver, daemon, freezer and guard."""
        return [self.driver.pid, self.daemon.pid,
                *hvtest.pids_of("hv_vss_freezer")]

    def abandon(self):
        self.host.kill()

    def stop(self):
        for p in (self.daemon, self.driver):
            if p:
                p.end()


class KernelTools:
    """The Linux kernel tools' hv_vss_daemon, with a stand-in for the kernel.
    It takes no notice of loop devices that /sys shows to be such."""

    name = "hv_vss_daemon"
    program = "/usr/sbin/hv_vss_daemon"
    path = "/dev/vmbus/hv_vss"

    def __init__(self):
        self.host = self.daemon = None

    def start(self):
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        with open(self.path, "wb"):
            pass

    def ready(self, *_):
        self.host = Host(["--hv-utils", self.path], "freeze", "thaw")
        door = os.path.dirname(self.path)
        until(lambda: os.stat(self.path).st_dev != os.stat(door).st_dev,
              "the stand-in's mount", PATIENCE_S)
        self.daemon = Process(["unshare", "-m", "sh", "-c",
                               "umount /sys; exec %s -n" % self.program])

    def checkpoint(self, bound_s, between=None):
        c = take(self.host, bound_s, between)
        c.ms["freeze_ms"] = c.ms["freeze_request_ms"]
        c.ms["thaw_ms"] = c.ms["thaw_request_ms"]
        self.daemon.kill()
        return c

    def pids(self):
        return [self.daemon.pid]

    def abandon(self):
        self.daemon.signal(9)
        self.host.kill()
        self.daemon.kill()

    def stop(self):
        if self.daemon and self.daemon.alive():
            self.daemon.kill()


class QemuGa:
    """QEMU's guest agent on a UNIX socket."""

    name = "qemu-ga"
    program = "/usr/sbin/qemu-ga"

    def __init__(self):
        self.agent = self.sock = None
        self.path = RUN + "/qga.sock"

    def start(self):
        self.agent = Process([self.program, "-m", "unix-listen", "-p",
                              self.path, "-t", RUN])
        until(lambda: os.path.exists(self.path), "qemu-ga's socket", PATIENCE_S)

    def ready(self, *_):
        if self.sock is None:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.connect(self.path)

    def ask(self, command, bound_s):
        """When it was asked, when it answered, and what."""
        self.sock.settimeout(bound_s)
        sent = now_ns()
        self.sock.sendall(b'{"execute":"%s"}\n' % command.encode())
        answer = b""
        try:
            while b"\n" not in answer:
                answer += self.sock.recv(4096)
        except TimeoutError:
            raise Hangs("no reply") from None
        t = now_ns()
        answer = json.loads(answer)
        if "return" not in answer:
            raise Broken("%s: %s" % (command, answer["error"]["desc"]))
        return sent, t, answer["return"]

    def checkpoint(self, bound_s, between=None):
        c = Checkpoint()
        n = len(hvtest.scratch())
        asked, frozen, count = self.ask("guest-fsfreeze-freeze", bound_s)
        if between:
            between()
        thaw, c.done_ns, _ = self.ask("guest-fsfreeze-thaw", bound_s)
        c.asked_ns, c.down_ns, c.up_ns = asked, asked, c.done_ns
        c.ms["freeze_ms"] = c.ms["freeze_request_ms"] = \
            (frozen - asked) / NS_PER_MS
        c.ms["thaw_ms"] = c.ms["thaw_request_ms"] = \
            (c.done_ns - thaw) / NS_PER_MS
        if count != n:
            raise Broken("froze %d of %d" % (count, n))
        return c

    def pids(self):
        return [self.agent.pid]

    def abandon(self):
        self.agent.signal(9)
        thaw_everything()
        self.agent.kill()
        self.sock.close()
        self.sock = None
        os.unlink(self.path)
        self.start()

    def stop(self):
        self.agent.kill()


class Floor:
    """bench_floor: a bare FIFREEZE of all at once."""

    name = "floor"

    def __init__(self):
        self.run = None

    def start(self):
        pass

    def ready(self, *_):
        pass

    def checkpoint(self, bound_s, between=None):
        c = Checkpoint()
        self.run = Lines([TOOLS + "/bench_floor",
                          *(s.mount for s in hvtest.scratch().values())])
        line = self.run.next(time.monotonic() + bound_s)
        if line is None or not line.startswith("{"):
            raise Broken(str(line))
        t = json.loads(line)
        c.asked_ns = c.down_ns = t["freeze"][0]
        c.done_ns = c.up_ns = t["thaw"][1]
        c.ms["freeze_ms"] = (t["freeze"][1] - t["freeze"][0]) / NS_PER_MS
        c.ms["thaw_ms"] = (t["thaw"][1] - t["thaw"][0]) / NS_PER_MS
        self.run.kill()
        return c

    def abandon(self):
        self.run.kill()

    def stop(self):
        pass


def everybody():
    os.makedirs(RUN, exist_ok=True)
    if not os.path.exists(GO):
        os.mkfifo(GO)
    return [HvVss(), KernelTools(), QemuGa(), Floor()]
