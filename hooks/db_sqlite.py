# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause

"""SQLite: the log is written back, and writers are held, for the files listed.

prepare writes back what a database's log holds while everything goes on.  freeze
writes back the rest, empties the log, takes the write lock (BEGIN IMMEDIATE) and
keeps it: readers go on, a writer waits as it does for any other.  What was
committed in between is written back with the lock held, so that the database file
alone is complete, unless a reader keeps the log in use.

A file is opened by this process through SQLite only: closing any other descriptor
of it would let go of all locks that the process has on it.
"""

import glob
import os
import sqlite3
import time

from adapter import Adapter, Many, Refuse, one_of

PAUSE_S = 0.0005    # a writer without pause leaves small gaps only
BUSY = ("locked", "busy")


def pattern(text):
    if not text.startswith("/"):
        raise ValueError("an absolute path, or a pattern of one")
    return text


class File:
    """One database: a connection that holds, and one that writes back."""

    def __init__(self, path):
        self.path = path
        self.held = False
        self._all = []
        self._lock = self._connect()
        self._other = self._connect()

    def _connect(self):
        # As a URI: a file that is not there is not made.
        uri = "file:%s?mode=rw" % (self.path.replace("%", "%25")
                                   .replace("?", "%3f").replace("#", "%23"))
        try:
            c = sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None)
        except sqlite3.Error as e:
            self.close()
            raise Refuse("%s: %s (remove it from the list, if it is gone)"
                         % (self.path, e)) from e
        self._all.append(c)
        return c

    def _ask(self, sql, connection=None):
        """The first row; None if somebody else has the lock."""
        try:
            return (connection or self._other).execute(sql).fetchone() or ()
        except sqlite3.OperationalError as e:
            if any(word in str(e) for word in BUSY):
                return None
            raise Refuse("%s: %s (see space and permissions)" % (
                self.path, e)) from e
        except sqlite3.Error as e:
            raise Refuse("%s: %s" % (self.path, e)) from e

    def look(self, until):
        """It is a database, and can be read."""
        while self._ask("SELECT count(*) FROM sqlite_schema") is None:
            self._pause(until, "cannot be read")

    def write_back(self, how):
        """Why not all that is in the log is in the database file as well, or
        None.  A copy is whole with the log, too."""
        try:
            row = self._ask("PRAGMA wal_checkpoint(%s)" % how)
        except Refuse as e:
            return str(e)
        if row is None or row[0] or row[1] != row[2]:
            return "%s: a reader keeps the log in use" % self.path
        return None

    def hold(self, until):
        while self._ask("BEGIN IMMEDIATE", self._lock) is None:
            self._pause(until, "cannot be locked")
        self.held = True

    def _pause(self, until, what):
        if time.monotonic() > until:
            raise Refuse("%s: %s: another program keeps it locked (a long"
                         " transaction, or locking_mode=EXCLUSIVE)"
                         % (self.path, what))
        time.sleep(PAUSE_S)

    def let_go(self):
        if self.held:
            self._lock.rollback()
            self.held = False

    def close(self):
        for c in self._all:
            c.close()
        self._all = []


class SQLite(Adapter):
    KEYS = {
        "file": Many(pattern),
        "absent": (one_of("refuse", "ignore"), "refuse"),
    }

    def __init__(self, conf, path):
        super().__init__(conf, path)
        self._files = {}

    def _paths(self):
        """The databases that are there now."""
        found = []
        for name in self.conf["file"]:
            if glob.has_magic(name):
                found += sorted(
                    p for p in glob.glob(name) if os.path.isfile(p) and
                    not p.endswith(("-wal", "-shm", "-journal")))
            elif os.path.exists(name):
                found.append(name)
            elif self.conf["absent"] == "refuse":
                raise Refuse("%s: absent: remove it from %s, or set absent ="
                             " ignore" % (name, self.path))
        return list(dict.fromkeys(map(os.path.realpath, found)))

    def _open(self):
        paths = self._paths()
        for path in set(self._files) - set(paths):
            self._files.pop(path).close()
        for path in paths:
            if path not in self._files:
                self._files[path] = File(path)
        return [self._files[p] for p in paths]

    def check(self, until):
        if not self.conf["file"]:
            self.note("no file is listed in %s: nothing to do" % self.path)
        for f in self._open():
            f.look(until)
        self._close()

    def prepare(self, until):
        for f in self._open():
            if time.monotonic() < until:
                f.write_back("PASSIVE")

    def quiesce(self, until, hold_s):
        files = self._open()
        for f in files:
            f.write_back("TRUNCATE")
        for f in files:
            f.hold(until)
        for f in files:
            why = f.write_back("PASSIVE")
            if why:
                self.note(why + "; a copy needs the -wal file, too")
        return bool(files)

    def resume(self, until):
        for f in self._files.values():
            f.let_go()
        self._close()

    def _close(self):
        for f in self._files.values():
            f.close()
        self._files = {}
