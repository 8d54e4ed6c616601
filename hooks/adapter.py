# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause

"""What the adapters share: settings, and how `hv_vssctl run` is answered.

An adapter brings one kind of database to rest.  It is a co-process of
hv_vssctl(8), section CO-PROCESS: it is asked check, prepare, freeze and thaw by
lines, and may take back a success that it gave.  Whatever ends it ends what it
holds: a lock lives in a session of this process's own, or has a limit in the
server.  While it holds, it starts no program and writes no file.
"""

import os
import re
import select
import socket
import stat
import sys
import time

FREEBSD = sys.platform.startswith("freebsd")
REASON_MAX = 255
ANSWER_S = 2       # how long hv_vssctl may take to say what is left
MARGIN_S = 0.3     # an answer is given that much before the time is over
RESUME_S = 4
IDLE_S = 120       # a session that prepare opened is closed after that
HOLD_MORE_S = 2    # the driver ends a hold first, and says so better
BEAT_S = 0.5       # how often what is held is looked at


class Refuse(Exception):
    """There must be no backup now; the text says why, and the remedy."""


class Absent(Exception):
    """No server is running: there is nothing to bring to rest."""


def one_of(*words):
    def read(text):
        if text not in words:
            raise ValueError("one of " + ", ".join(words))
        return text
    return read


def number(low, high):
    def read(text):
        if not re.fullmatch(r"\d{1,9}", text) or not low <= int(text) <= high:
            raise ValueError("a number from %d to %d" % (low, high))
        return int(text)
    return read


def text_of(text):
    return text


class Many:
    """A key that may be given many times: the value is a list."""

    def __init__(self, read=text_of):
        self.read = read


COMMON = {
    "level": (number(0, 99), 70),
    "down": (one_of("ignore", "refuse"), "ignore"),
    "prepare_limit": (number(1, 300), 15),
    "quiesce_limit": (number(1, 300), 5),
    "hold_limit": (number(1, 900), 60),
}


def _check_owner(path, f):
    st = os.fstat(f.fileno())
    if st.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or \
            st.st_uid not in (0, os.geteuid()):
        raise Refuse("%s: others may write it: give it to root, mode 644 or"
                     " less" % path)


def read_settings(path, keys):
    """The settings of a file, as hv_vss.conf(5) has them; defaults for what is
    not there, and for a file that is not there."""
    keys = {**COMMON, **keys}
    found = {k: [] if isinstance(kind, Many) else kind[1]
             for k, kind in keys.items()}
    given = set()
    try:
        with open(path, encoding="utf-8") as f:
            _check_owner(path, f)
            lines = f.readlines()
    except FileNotFoundError:
        lines = []
    except (OSError, UnicodeError) as e:
        raise Refuse("%s: cannot be read: %s" % (path, e)) from e
    for n, line in enumerate(lines, 1):
        line = re.sub(r"(^|\s)#.*", "", line).strip()
        if not line:
            continue
        key, sign, value = (x.strip() for x in line.partition("="))
        where = "%s, line %d: %s" % (path, n, key)
        if not sign or key not in keys:
            raise Refuse("%s: no such setting; there are: %s"
                         % (where, ", ".join(sorted(keys))))
        kind = keys[key]
        try:
            if isinstance(kind, Many):
                found[key].append(kind.read(value))
                continue
            found[key] = kind[0](value)
        except ValueError as e:
            raise Refuse("%s: '%s': must be %s" % (where, value, e)) from e
        if key in given:
            raise Refuse("%s: given twice" % where)
        given.add(key)
    return found


def must_listen(address, who):
    """Absent if nobody listens at a socket's path or a (host, port)."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    if family != socket.AF_UNIX and ":" in address[0]:
        family = socket.AF_INET6
    where = address if isinstance(address, str) else "%s port %d" % address
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(2)
        try:
            s.connect(address)
        except (FileNotFoundError, ConnectionRefusedError) as e:
            raise Absent("no %s at %s" % (who, where)) from e
        except OSError as e:
            raise Refuse("%s: %s: %s" % (who, where, e.strerror or e)) from e


class Adapter:
    """One database system.  The methods raise Refuse or Absent; each has until
    `until` (time.monotonic())."""

    KEYS = {}

    def __init__(self, conf, path):
        self.conf = conf
        self.path = path        # of the settings, for messages
        self.note = print       # a line for the log

    def check(self, until):
        """Could it be done now?  Obliges to nothing."""

    def prepare(self, until):
        """Long work that blocks nobody."""

    def quiesce(self, until, hold_s):
        """Brings to rest, for hold_s at most whatever becomes of us.  Gives
        whether anything is held that can be lost."""

    def resume(self, until):
        """Lets go; also what was never held, or only half."""

    def lost(self):
        """Why what is held is lost, or None.  Asked twice a second; waits for
        nobody."""


class Coprocess:
    """The other side of hv_vssctl's lines."""

    def __init__(self, adapter):
        self.adapter = adapter
        self._buf = b""
        self._held_until = None
        self._idle_at = None
        adapter.note = self.note

    def _say(self, text):
        os.write(1, (" ".join(text.split()) + "\n").encode())

    def note(self, text):
        self._say("# " + text)

    def _line(self, seconds=None):
        """The next line from hv_vssctl; "" at the end or after the time."""
        end = None if seconds is None else time.monotonic() + seconds
        while b"\n" not in self._buf:
            if not self._wait(end):
                return ""
            data = os.read(0, 4096)
            if not data:
                return ""
            self._buf += data
        line, _, self._buf = self._buf.partition(b"\n")
        return line.decode(errors="replace").strip() or " "

    def _wait(self, end):
        """Until there is input; false after `end`.  Sees to the hold
        meanwhile."""
        while True:
            poll = select.poll()
            poll.register(0, select.POLLIN)
            now = time.monotonic()
            when = [t for t in (end, self._held_until, self._idle_at)
                    if t is not None]
            if self._held_until:
                when.append(now + BEAT_S)
            ready = poll.poll(max(0, (min(when) - now) * 1000 + 1)
                              if when else None)
            now = time.monotonic()
            if self._held_until:
                self._still_held(now)
            if ready:
                return True
            if self._idle_at and now >= self._idle_at:
                self._let_go()
            if end is not None and now >= end:
                return False

    def _still_held(self, now):
        why = self.adapter.lost()
        if not why and now >= self._held_until:
            why = "no thaw came for too long; let go"
        if why:
            self._held_until = None
            self._say("lost " + why[:REASON_MAX])
            self._let_go()

    def _let_go(self):
        self._held_until = self._idle_at = None
        try:
            self.adapter.resume(time.monotonic() + RESUME_S)
        except (Refuse, Absent) as e:
            self.note(str(e))

    def left(self):
        """Seconds for this answer, and for a hold that follows."""
        self._say("left")
        words = self._line(ANSWER_S).split()
        if len(words) != 3 or words[0] != "left":
            return 900.0, 900.0
        return int(words[1]) / 1000 - MARGIN_S, int(words[2]) / 1000

    def _freeze(self, left, hold):
        conf = self.adapter.conf
        held = min(hold + HOLD_MORE_S, conf["hold_limit"])
        now = time.monotonic()
        until = now + min(left, conf["quiesce_limit"])
        if self.adapter.quiesce(until, held):
            self._held_until = time.monotonic() + held

    def request(self, op):
        """Does what a line asks for, and answers it."""
        if self._held_until:
            self._still_held(time.monotonic())
        self._held_until = self._idle_at = None
        # Who lets go asks for nothing first: everybody waits.
        left, hold = self.left() if op != "thaw" else (RESUME_S, 0)
        now = time.monotonic()
        try:
            if op == "thaw":
                self.adapter.resume(now + left)
            elif op == "freeze":
                self._freeze(left, hold)
            elif op == "prepare":
                self.adapter.prepare(
                    now + min(left, self.adapter.conf["prepare_limit"]))
                self._idle_at = time.monotonic() + IDLE_S
            elif op == "check":
                self.adapter.check(
                    now + min(left, self.adapter.conf["quiesce_limit"]))
            else:
                raise Refuse("'%s' is not known here" % op)
            self._say("ok")
        except Absent as e:
            if self.adapter.conf["down"] == "refuse":
                self._say("fail %s; start it, or set down = ignore in %s"
                          % (e, self.adapter.path))
            else:
                self.note("%s: takes no part" % e)
                self._say("ok")
        except Refuse as e:
            if op == "freeze":
                self._let_go()
            self._say("fail " + str(e)[:REASON_MAX])

    def serve(self):
        while True:
            line = self._line()
            if not line:
                break
            if line.strip():
                self.request(line.split()[0])
        self._let_go()


def try_out(adapter):
    """All steps once, now, with how long each took; the exit status."""
    status = 0
    conf = adapter.conf
    steps = (("check", adapter.check, conf["quiesce_limit"], ()),
             ("prepare", adapter.prepare, conf["prepare_limit"], ()),
             ("freeze", adapter.quiesce, conf["quiesce_limit"],
              (conf["hold_limit"],)),
             ("thaw", adapter.resume, RESUME_S, ()))
    for op, step, limit, more in steps:
        began = time.monotonic()
        try:
            step(began + limit, *more)
            said = "ok"
        except Absent as e:
            said = "%s: takes no part" % e
            status = max(status, conf["down"] == "refuse")
        except Refuse as e:
            said = "refused: %s" % e
            status = 1
        # What cannot be said keeps nobody from the thaw.
        try:
            print("%-8s %8.1f ms  %s" % (
                op, (time.monotonic() - began) * 1000, said), flush=True)
        except OSError:
            status = 1
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return int(status)
