#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause

"""A co-process for `hv_vssctl run`: brings a SQLite database to rest.

    sqlite_hold.py DATABASE HELD

prepare writes back what the log holds while everything goes on.  freeze takes the
write lock, keeps it, and writes back the rest, so that the database file alone is
complete; the last row is written to HELD.  thaw lets the lock go.
"""

import json
import os
import sqlite3
import sys
import time

PATIENCE_S = 3


def until(condition, otherwise):
    """Asks again at once: a writer without pause leaves only small gaps."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            raise sqlite3.OperationalError(otherwise)
        time.sleep(0.0005)


class Holder:
    def __init__(self, path, held):
        self.held = held
        self.lock = sqlite3.connect(path, timeout=0, isolation_level=None)
        self.other = sqlite3.connect(path, timeout=0, isolation_level=None)

    def check(self):
        self.lock.execute("SELECT count(*) FROM rows").fetchone()

    def prepare(self):
        self.complete()

    def freeze(self):
        until(self.locked, "the writers leave no room")
        # What was committed before that.  No writer comes in any more, but the
        # last one may be at a checkpoint of its own.
        until(self.complete, "a reader keeps the log in use")
        last = self.lock.execute("SELECT max(n) FROM rows").fetchone()[0]
        with open(self.held + ".new", "w", encoding="ascii") as f:
            json.dump({"last": last}, f)
        os.rename(self.held + ".new", self.held)

    def locked(self):
        """Takes the write lock; whether nobody else has it."""
        try:
            self.lock.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        return True

    def complete(self):
        """Writes the log back; whether all of it is in the database file."""
        busy, log, done = self.other.execute(
            "PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return not busy and log == done

    def thaw(self):
        if self.lock.in_transaction:
            self.lock.execute("ROLLBACK")


def main():
    holder = Holder(*sys.argv[1:])
    asked = {"check": holder.check, "prepare": holder.prepare,
             "freeze": holder.freeze, "thaw": holder.thaw}
    for line in sys.stdin:
        try:
            asked[line.strip()]()
            print("ok", flush=True)
        except (sqlite3.Error, OSError) as e:
            holder.thaw()
            print("fail %s" % e, flush=True)


if __name__ == "__main__":
    main()
