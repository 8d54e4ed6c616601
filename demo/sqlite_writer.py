#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause

"""Commits numbered rows to a SQLite database without pause, and writes each that
was acknowledged to a log elsewhere: sqlite_writer.py DATABASE LOG."""

import os
import sqlite3
import sys
import time

FILLER = "x" * 400


def main():
    path, log = sys.argv[1:]
    db = sqlite3.connect(path, timeout=600, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE IF NOT EXISTS rows"
               " (n INTEGER PRIMARY KEY, filler TEXT)")
    acks = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    n = 0
    while True:
        n += 1
        db.execute("INSERT INTO rows VALUES (?, ?)", (n, FILLER))
        t = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        os.write(acks, b"%d %d\n" % (n, t))


if __name__ == "__main__":
    main()
