# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause

"""A server's own command-line client, kept open as a session.

The session ends with this process, whatever ends it: the client's standard input
is then at its end.  Each question has a limit; a client that passes it is killed.
"""

import os
import pwd
import select
import shutil
import signal
import subprocess
import time

from adapter import Refuse

# What a client needs to find its files; nothing else of the environment.
KEPT = ("PATH", "HOME", "TZ")


class Late(Exception):
    """No answer in time; the client was killed."""


class Gone(Exception):
    """The client has ended; the text is what it said last."""


def client_path(name):
    """The path of a client program, or None where it is not installed."""
    return shutil.which(name)


def as_user(name):
    """How subprocess is told to run as an OS user: {} where we are nobody who
    could choose."""
    if not name or os.geteuid() != 0:
        return {}
    try:
        pw = pwd.getpwnam(name)
    except KeyError as e:
        raise Refuse("os_user = %s: no such user here" % name) from e
    return {"user": pw.pw_uid, "group": pw.pw_gid, "extra_groups": [],
            "cwd": "/"}


class Session:
    """marker(n) is the client's input that makes it write a line with
    "##n", which ends an answer.  Who asks one that has ended hears of it (Gone),
    as of one that ends then."""

    def __init__(self, argv, marker, env, user):
        self._marker = marker
        self._n = 0
        self._buf = b""
        self._beating = False
        keep = {k: os.environ[k] for k in KEPT if k in os.environ}
        try:
            self._proc = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, bufsize=0,
                env={**keep, "LC_ALL": "C", **env}, **user)
        except OSError as e:
            raise Refuse("%s: cannot be run: %s" % (argv[0], e.strerror)) from e
        os.set_blocking(self._proc.stdin.fileno(), False)

    def fileno(self):
        return self._proc.stdout.fileno()

    def ask(self, text, until):
        """What the client answers: its lines, and what follows the marker."""
        self._send(text)
        mark = "##%d" % self._n
        lines = []
        while True:
            line = self._line(until)
            if line is None:
                raise Gone(" ".join(lines[-2:]) or "it said nothing")
            if line.startswith(mark):
                return lines, line[len(mark):].strip()
            if line.strip() and not line.startswith("##"):
                lines.append(line.strip())

    def _send(self, text):
        if self._proc.stdin.closed:
            raise Gone("it was ended")
        self._n += 1
        self._beating = False
        try:
            self._proc.stdin.write(
                (text + "\n" + self._marker(self._n) + "\n").encode())
        except BrokenPipeError:
            pass  # What it said last is still to be read.
        except BlockingIOError as e:
            self.close()
            raise Late() from e

    def _line(self, until):
        while b"\n" not in self._buf:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.fileno()], [], [], left)[0]:
                self.close()
                raise Late()
            data = os.read(self.fileno(), 65536)
            if not data:
                self.close()
                return None
            self._buf += data
        line, _, self._buf = self._buf.partition(b"\n")
        return line.decode(errors="replace")

    def beat(self, text):
        """Asks whether the session still works, without waiting: Gone if not.
        A client that waits for input does not tell of a server that has
        ended."""
        if self._beating:
            while select.select([self.fileno()], [], [], 0)[0]:
                data = os.read(self.fileno(), 65536)
                if not data:
                    self.close()
                    raise Gone(self._last_words())
                self._buf += data
            if b"##%d" % self._n not in self._buf:
                return
        self._buf = b""
        self._send(text)
        self._beating = True

    def _last_words(self):
        lines = [x.strip() for x in
                 self._buf.decode(errors="replace").split("\n")]
        lines = [x for x in lines if x and not x.startswith("##")]
        return " ".join(lines[-2:]) or "it said nothing"

    def close(self):
        """Ends the client, and with it what its session holds."""
        for f in (self._proc.stdin, self._proc.stdout):
            if not f.closed:
                f.close()
        self._proc.send_signal(signal.SIGKILL)
        try:
            self._proc.wait(1)
        except subprocess.TimeoutExpired:
            pass    # Its disk does not answer; it ends when that does.
