# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause

"""The programs on the scene: what starts, watches and ends them."""

import json
import os
import signal
import subprocess
import time

LOGS = "/run/demo"
HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = "/usr/bin/python3"


class Failed(Exception):
    """What the demo shows did not come out."""


def now_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def until(condition, what, seconds=20):
    """Polls with a bound; gives what the condition gave."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed("%s: not within %d s" % (what, seconds))
        time.sleep(0.01)


def run(argv, seconds=60, **more):
    """A program to its end: status and output together."""
    try:
        r = subprocess.run(argv, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, errors="replace", timeout=seconds,
                           check=False, **more)
    except subprocess.TimeoutExpired as e:
        raise Failed("%s: not done in %d s" % (argv[0], seconds)) from e
    return r.returncode, r.stdout


def must(argv, seconds=60, **more):
    status, output = run(argv, seconds, **more)
    if status != 0:
        raise Failed("%s: status %d: %s" % (" ".join(argv), status,
                                            output.strip()[-300:]))
    return output


class Actor:
    """A process with its output in a file on the memory file system."""

    def __init__(self, name, argv, **more):
        self.name = name
        self.log = os.path.join(LOGS, name + ".log")
        with open(self.log, "wb") as out:
            self.proc = subprocess.Popen(argv, stdin=subprocess.DEVNULL,
                                         stdout=out, stderr=subprocess.STDOUT,
                                         cwd="/run", **more)

    def output(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def alive(self):
        return self.proc.poll() is None

    def must_live(self):
        if not self.alive():
            raise Failed("%s ended with status %d: %s"
                         % (self.name, self.proc.returncode,
                            self.output().strip()[-300:]))

    def says(self, text, seconds=20):
        def seen():
            if text in self.output():
                return True
            self.must_live()
            return False
        until(seen, "%s: '%s'" % (self.name, text), seconds)

    def end(self, sig=signal.SIGTERM, seconds=20):
        """Asks it to end and gives its status; kills what does not."""
        if self.alive():
            self.proc.send_signal(sig)
        try:
            return self.proc.wait(seconds)
        except subprocess.TimeoutExpired:
            self.proc.kill()
        try:
            self.proc.wait(5)
        except subprocess.TimeoutExpired:
            pass  # It is blocked by a file system; the watchdog ends that.
        raise Failed("%s did not end within %d s of signal %d"
                     % (self.name, seconds, sig))


class AckLog:
    """Rows that a database acknowledged: `NUMBER T_NS` a line."""

    def __init__(self, path):
        self.path = path

    def rows(self):
        try:
            with open(self.path, encoding="ascii") as f:
                lines = f.read().split("\n")[:-1]
        except FileNotFoundError:
            return []
        return [tuple(map(int, line.split())) for line in lines]

    def last(self):
        rows = self.rows()
        return rows[-1][0] if rows else 0

    def last_before(self, t_ns):
        return max((n for n, t in self.rows() if t <= t_ns), default=0)


class Pg:
    """A PostgreSQL server, started by hand, with a socket of its own."""

    def __init__(self, bindir, data, sock):
        self.bindir, self.data, self.sock = bindir, data, sock
        self.server = None
        self.user = {"user": "postgres", "group": "postgres",
                     "extra_groups": [],
                     "env": {"PATH": os.environ["PATH"], "LC_ALL": "C",
                             "TZ": "GMT", "HOME": "/tmp"}}

    def prog(self, name):
        return os.path.join(self.bindir, name)

    def create(self):
        os.mkdir(self.data, 0o700)
        must(["chown", "postgres:postgres", self.data])
        must([self.prog("initdb"), "-D", self.data, "-A", "trust",
              "--no-locale", "-E", "UTF8"], cwd="/tmp", **self.user)

    def start(self, name):
        os.makedirs(self.sock, exist_ok=True)
        must(["chown", "postgres:postgres", self.sock])
        self.server = Actor(name, [
            self.prog("postgres"), "-D", self.data, "-k", self.sock,
            "-c", "listen_addresses=", "-c", "max_connections=8",
            "-c", "shared_buffers=8MB", "-c", "autovacuum=off",
            "-c", "max_wal_size=64MB", "-c", "min_wal_size=32MB",
            "-c", "timezone=GMT", "-c", "log_timezone=GMT"], **self.user)

        def ready():
            self.server.must_live()
            return self.psql("SELECT 1")[0] == 0
        until(ready, "%s takes connections" % name, 60)

    def client(self):
        return [self.prog("psql"), "-XqAt", "-v", "ON_ERROR_STOP=1",
                "-h", self.sock, "-U", "postgres", "-d", "postgres"]

    def psql(self, sql):
        return run([*self.client(), "-c", sql], cwd="/tmp")

    def stop(self):
        if self.server is not None:
            self.server.end(signal.SIGINT, 60)
            self.server = None


def copy_paced(path, to, chunk=1 << 20, pause=0.02):
    """Copies a file at some 50 MiB/s, leaving holes where there is nothing."""
    nothing = bytes(chunk)
    with open(path, "rb") as source, \
            open(os.path.join(to, os.path.basename(path)), "wb") as sink:
        size = os.fstat(source.fileno()).st_size
        sink.truncate(size)
        for at in range(0, size, chunk):
            data = source.read(chunk)
            if data != nothing[:len(data)]:
                sink.seek(at)
                sink.write(data)
                time.sleep(pause)


def read_json_lines(path):
    """The JSON objects among the lines of a file."""
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return [json.loads(x) for x in f if x.startswith("{")]
    except FileNotFoundError:
        return []
