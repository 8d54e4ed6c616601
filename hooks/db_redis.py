# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause

"""Redis (and Valkey): a saved dataset in prepare, writers pause while it holds.

prepare waits for a save or a rewrite of the append-only file that is under way,
and saves (BGSAVE) what has changed, if there is no append-only file.  A save that
fails would make the server refuse writes (stop-writes-on-bgsave-error): it is not
asked for without room for it, and the setting is off until it has ended well.

freeze makes writers wait (CLIENT PAUSE ... WRITE), which refuses nobody and ends
by itself, until what was acknowledged before is in the append-only file.  Where
there is none, what was written after prepare's save is not in a copy, as it would
not survive a crash, and nobody waits; save = hold saves once more while writers
wait, for as long as that takes.

The commands go over a connection of this process's own: no client is needed.
"""

import os
import socket
import time

from adapter import Adapter, Refuse, must_listen, number, one_of, text_of

POLL_S = 0.01
STOP = "stop-writes-on-bgsave-error"


class Failed(Refuse):
    """The server answered with an error."""


class Connection:
    def __init__(self, conf, path, until):
        address = (conf["host"], conf["port"]) if conf["host"] else \
            conf["socket"]
        must_listen(address, "Redis server")
        self._path = path
        self._until = until
        self._buf = b""
        self._beating = False
        family = socket.AF_UNIX if isinstance(address, str) else \
            socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._sock = socket.socket(family, socket.SOCK_STREAM)
        self._sock.settimeout(3)
        try:
            self._sock.connect(address)
        except OSError as e:
            raise Refuse("no session: %s" % (e.strerror or e)) from e
        if conf["password_file"]:
            who = [conf["user"]] if conf["user"] else []
            self.ask(until, "AUTH", *who, self._password(conf))
        self.ask(until, "CLIENT", "SETNAME", "hv_vss")

    def _password(self, conf):
        try:
            with open(conf["password_file"], encoding="utf-8") as f:
                return f.readline().strip()
        except OSError as e:
            raise Refuse("%s: %s (see password_file in %s)" % (
                conf["password_file"], e.strerror, self._path)) from e

    def ask(self, until, *words):
        """The answer to a command; Failed with the server's words."""
        self._until = until
        try:
            while self._beating:
                self._answer()
                self._beating = False
            self._send(words)
            return self._answer()
        except socket.timeout as e:
            self.close()
            raise Refuse("%s: the server did not answer in time"
                         % words[0]) from e
        except OSError as e:
            self.close()
            raise Refuse("the session was lost: %s" % (e.strerror or e)) from e

    def _send(self, words):
        data = [str(w).encode() for w in words]
        self._sock.settimeout(3)
        self._sock.sendall(b"*%d\r\n" % len(data) + b"".join(
            b"$%d\r\n%s\r\n" % (len(d), d) for d in data))

    def _more(self):
        left = self._until - time.monotonic()
        if left <= 0:
            raise socket.timeout()
        self._sock.settimeout(left)
        data = self._sock.recv(65536)
        if not data:
            raise OSError(0, "the server closed it")
        self._buf += data

    def _line(self):
        while b"\r\n" not in self._buf:
            self._more()
        line, _, self._buf = self._buf.partition(b"\r\n")
        return line.decode(errors="replace")

    def _answer(self):
        line = self._line()
        kind, rest = line[:1], line[1:]
        if kind == "-":
            raise Failed(self._words(rest))
        if kind == "*":
            return [self._answer() for _ in range(int(rest))]
        if kind != "$":
            return rest
        size = int(rest)
        if size < 0:
            return ""
        while len(self._buf) < size + 2:
            self._more()
        data, self._buf = self._buf[:size], self._buf[size + 2:]
        return data.decode(errors="replace")

    def _words(self, text):
        if text.startswith(("NOAUTH", "WRONGPASS")):
            return "%s (see user and password_file in %s)" % (text, self._path)
        if text.startswith("ERR syntax"):
            return "%s (before version 6.2 set hold = no in %s)" % (
                text, self._path)
        if text.startswith("NOPERM"):
            return "%s (grant it, see hv_vss_adapters(7))" % text
        return "%s (see the server's log)" % text

    def beat(self):
        """Why the session is lost, or None.  Waits for nobody."""
        try:
            if not self._beating:
                self._send(["PING"])
                self._beating = True
            self._sock.settimeout(0)
            data = self._sock.recv(65536)
            if not data:
                return "the session was lost: the server has ended"
            self._buf += data
            if b"\r\n" in self._buf:
                self._beating = False
                self._line()
        except BlockingIOError:
            pass
        except OSError as e:
            return "the session was lost: %s" % (e.strerror or e)
        return None

    def close(self):
        self._sock.close()


class Redis(Adapter):
    KEYS = {
        "socket": (text_of, ""),
        "host": (text_of, "127.0.0.1"),
        "port": (number(1, 65535), 6379),
        "user": (text_of, ""),
        "password_file": (text_of, ""),
        "hold": (one_of("yes", "no"), "yes"),
        "save": (one_of("prepare", "hold", "no"), "prepare"),
    }

    def __init__(self, conf, path):
        super().__init__(conf, path)
        if conf["socket"]:
            conf["host"] = ""
        self._c = None
        self._paused = False
        self._stops = False     # the setting is off because of us

    def _connect(self, until):
        try:
            if self._c is not None:
                self._c.ask(until, "PING")
        except Refuse:
            self._close()
        if self._c is None:
            self._c = Connection(self.conf, self.path, until)
        return self._c

    def _info(self, until):
        text = self._c.ask(until, "INFO", "all")
        return dict(line.split(":", 1) for line in text.split("\r\n")
                    if ":" in line)

    def _get(self, until, name):
        answer = self._c.ask(until, "CONFIG", "GET", name)
        return answer[1] if len(answer) == 2 else ""

    def check(self, until):
        try:
            self._connect(until)
            self._info(until)
            self._get(until, "dir")
        finally:
            self._close()

    def _settle(self, until):
        """Until no child of the server writes a file; what INFO says then."""
        while True:
            info = self._info(until)
            if info.get("rdb_bgsave_in_progress") == "0" and \
                    info.get("aof_rewrite_in_progress") == "0" and \
                    info.get("aof_rewrite_scheduled", "0") == "0":
                return info
            if until - time.monotonic() < 0.1:
                raise Refuse("a save or a rewrite of the append-only file takes"
                             " too long (see rdb_bgsave_in_progress and"
                             " aof_rewrite_in_progress of INFO)")
            time.sleep(POLL_S)

    def _wants_save(self, info):
        """Whether what has changed is nowhere but in a dump to come."""
        return info.get("aof_enabled") == "0" and \
            info.get("rdb_changes_since_last_save") != "0"

    def prepare(self, until):
        self._connect(until)
        info = self._settle(until)
        if self.conf["save"] != "no" and self._wants_save(info):
            self._save(until, info)

    def _room(self, until, info):
        """Whether a dump has room: it is smaller than the memory in use."""
        try:
            st = os.statvfs(self._get(until, "dir"))
        except OSError:
            return True
        return st.f_bavail * st.f_frsize > int(info.get("used_memory", "0"))

    def _save(self, until, info):
        if not self._room(until, info):
            raise Refuse("no room to save: make some where the server has its"
                         " files (CONFIG GET dir), or set save = no in %s"
                         % self.path)
        if self._get(until, STOP) == "yes":
            self._c.ask(until, "CONFIG", "SET", STOP, "no")
            self._stops = True
        self._c.ask(until, "BGSAVE")
        info = self._settle(until)
        if info.get("rdb_last_bgsave_status") != "ok":
            raise Refuse("the save failed; %s (see the server's log)" % (
                "%s is off until one works, so that writes are not refused"
                % STOP if self._stops else "writes may be refused"))
        if self._stops:
            self._c.ask(until, "CONFIG", "SET", STOP, "yes")
            self._stops = False

    def quiesce(self, until, hold_s):
        aof = self._connect(until) and \
            self._info(until).get("aof_enabled") == "1"
        if self.conf["hold"] == "no" or \
                not aof and self.conf["save"] != "hold":
            return False
        # By itself it ends when it should have been ended.
        self._paused = True
        self._c.ask(until, "CLIENT", "PAUSE", int(hold_s * 1000), "WRITE")
        if aof:
            self._written(until)
            return True
        info = self._settle(until)
        if self._wants_save(info):
            self._save(until, info)
        return True

    def _written(self, until):
        """Until what was acknowledged is in the append-only file."""
        while self._info(until).get("aof_buffer_length", "0") != "0":
            if until - time.monotonic() < 0.1:
                raise Refuse("the append-only file is not written in time: the"
                             " disk is full or too slow")
            time.sleep(POLL_S)

    def resume(self, until):
        try:
            if self._paused or self._c is None and self.conf["hold"] == "yes":
                self._connect(until).ask(until, "CLIENT", "UNPAUSE")
            self._paused = False
        finally:
            self._close()

    def lost(self):
        return self._c.beat() if self._paused and self._c else None

    def _close(self):
        if self._c is not None:
            self._c.close()
            self._c = None
