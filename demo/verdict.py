# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause

"""Looks at copies of the file systems the way a restore would find them."""

import os
import re
import sqlite3

import cast

SQLITE = "rows.sqlite"
PGDATA = "pg"


class Checks:
    """What was looked at in one copy: (good, text) each."""

    def __init__(self):
        self.all = []

    def add(self, good, text):
        self.all.append((bool(good), text))
        return good

    def bad(self):
        return [text for good, text in self.all if not good]

    def show(self, word):
        for good, text in self.all:
            print("   %s %s" % ("ok    " if good else word, text), flush=True)


class Mounted:
    """An image, mounted while the block runs.  The loop device goes with it."""

    def __init__(self, image, options):
        self.image, self.options = image, options
        self.at = "/run/demo/look"

    def __enter__(self):
        os.makedirs(self.at, exist_ok=True)
        cast.must(["mount", "-o", "loop" + self.options, self.image, self.at])
        return self.at

    def __exit__(self, *_):
        cast.must(["umount", self.at])


def first_line(text):
    lines = [x for x in text.splitlines() if x.strip()]
    return lines[0].strip() if lines else "no output"


def ext4(checks, image):
    """Clean, and its journal has nothing to replay."""
    status, out = cast.run(["e2fsck", "-fn", image])
    faults = len(re.findall(r"(?m)^.*\? no$", out))
    checks.add(status == 0, "ext4: e2fsck -fn: " + (
        "clean" if status == 0 else
        "status %d, %d complaints" % (status, faults)))
    out = cast.must(["dumpe2fs", "-h", image])
    replay = "needs_recovery" in out
    checks.add(not replay, "ext4: the journal %s"
               % ("must be replayed" if replay else "needs no recovery"))


def sqlite_rows(checks, path):
    """The last row of a database file; None if it cannot be read."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        good = db.execute("PRAGMA integrity_check").fetchall()
        last, count = db.execute("SELECT max(n), count(*) FROM rows").fetchone()
    except sqlite3.Error as e:
        checks.add(False, "SQLite: %s" % e)
        return None
    finally:
        db.close()
    found = " ".join(good[0][0].split())
    checks.add(good == [("ok",)], "SQLite: integrity_check: %s" % found[:60])
    checks.add(last == count, "SQLite: %d rows, the last is number %d"
               % (count, last or 0))
    return last


def sqlite_held(checks, image, held, acked):
    """The database file alone, as it was held at quiesce."""
    with Mounted(image, ",ro") as at:
        cast.must(["cp", os.path.join(at, SQLITE), "/run/demo/look.sqlite"])
    last = sqlite_rows(checks, "/run/demo/look.sqlite")
    if last is None:
        return
    checks.add(last == held, "SQLite: the last row is %d, held at quiesce: %d"
               % (last, held))
    checks.add(last >= acked, "SQLite: rows up to %d were acknowledged before"
               % acked)


def sqlite_crashed(checks, image, acked):
    """Database and log, as after a crash."""
    try:
        with Mounted(image, "") as at:
            last = sqlite_rows(checks, os.path.join(at, SQLITE))
    except cast.Failed as e:
        checks.add(False, "ext4: cannot be mounted: %s" % first_line(str(e)))
        return
    if last is not None:
        checks.add(last >= acked, "SQLite: the last row is %d, acknowledged: %d"
                   % (last, acked))


def xfs_repair(checks, image, when):
    status, out = cast.run(["xfs_repair", "-n", image])
    checks.add(status == 0, "xfs: xfs_repair -n %s: %s" % (
        when, "clean" if status == 0 else
        "status %d: %s" % (status, first_line(out))))


def postgresql(checks, image, bindir, acked, name):
    """A server on the copy has every row that was acknowledged."""
    with Mounted(image, ",nouuid") as at:
        data = os.path.join(at, PGDATA)
        # What the original left: it is not running here.
        if os.path.exists(os.path.join(data, "postmaster.pid")):
            os.unlink(os.path.join(data, "postmaster.pid"))
        pg = cast.Pg(bindir, data, "/run/demo/" + name)
        try:
            pg.start(name)
            status, out = pg.psql("SELECT max(n) || ' ' || count(*) FROM rows")
            if not checks.add(status == 0, "PostgreSQL: starts from the copy"):
                return
            last, count = map(int, out.split())
            checks.add(last == count, "PostgreSQL: %d rows, the last is number"
                       " %d" % (count, last))
            checks.add(last >= acked, "PostgreSQL: rows up to %d were"
                       " acknowledged before" % acked)
        except cast.Failed as e:
            checks.add(False, "PostgreSQL: %s" % first_line(str(e)))
        finally:
            pg.stop()


def xfs(checks, image, bindir, acked, name):
    """Mounts (which replays the log, always: that is how xfs freezes)."""
    try:
        with Mounted(image, ",nouuid"):
            pass
    except cast.Failed as e:
        checks.add(False, "xfs: cannot be mounted: %s" % first_line(str(e)))
        return
    xfs_repair(checks, image, "after log replay")
    postgresql(checks, image, bindir, acked, name)
    xfs_repair(checks, image, "after the server ran")
