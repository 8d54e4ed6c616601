#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
# isoroot: --fs ext4:256M --loops --bound 150
# e2e: 400
"""The adapter for SQLite under load: what a copy that was taken during the hold
holds, the database file alone, what it costs, and each way in which it may
fail."""

import os
import shutil
import sqlite3
import time

import dbrig
import hvtest
from dbrig import Checkpoint, Guest, Load, Mounted
from hvtest import case, check

MOUNT, IMAGE = "/mnt/ext4", "/img/ext4.img"
DIR = MOUNT + "/db"
MANY = 40
NAMES = ("log", "journal", "log2", "journal2")  # a client has one of them


def opened(path, timeout=60):
    return sqlite3.connect(path, timeout=timeout, isolation_level=None)


def connect(c):
    """For Load: each client has a database, with a log or a journal.  Each
    commit is a transaction on two tables."""
    db = opened("%s/%s.db" % (DIR, NAMES[c]), 0)
    db.execute("PRAGMA synchronous=FULL")

    def ask(*words):
        # SQLite's own handler sleeps for up to 0.1 s between looks.
        while True:
            try:
                return db.execute(*words)
            except sqlite3.OperationalError as e:
                if "locked" not in str(e):
                    raise
            time.sleep(0.001)

    def commit(n):
        ask("BEGIN IMMEDIATE")
        ask("INSERT INTO rows VALUES (?, ?, ?)", (c, n, "x" * 300))
        ask("INSERT INTO again VALUES (?, ?)", (c, n))
        ask("COMMIT")
    return commit


def databases():
    """Those that are written, and many that are not."""
    shutil.rmtree(DIR, ignore_errors=True)
    os.mkdir(DIR)
    os.mkdir(DIR + "/many")
    paths = ["%s/%s.db" % (DIR, name) for name in NAMES]
    paths += ["%s/many/%d.db" % (DIR, n) for n in range(MANY)]
    for path in paths:
        db = opened(path)
        if "journal" not in path:
            db.execute("PRAGMA journal_mode=WAL")
        db.execute("CREATE TABLE rows (c, n, filler, PRIMARY KEY (c, n))")
        db.execute("CREATE TABLE again (c, n, PRIMARY KEY (c, n))")
        db.close()


def settings(*more):
    return [("file", DIR + "/*.db"), ("file", DIR + "/many/*"), *more]


def start(*more):
    databases()
    return Guest("sqlite", settings(*more))


def look(copy, load, alone=True):
    """The database file alone, or with its log, has what it must."""
    shutil.rmtree("/run/files", ignore_errors=True)
    with Mounted(copy.images[0], "") as at:
        shutil.copytree(at + "/db", "/run/files")
    acked, before = load.before(copy.began), load.before(copy.quiesced)
    for name in NAMES:
        path = "/run/files/%s.db" % name
        if alone:
            for end in ("-wal", "-shm", "-journal"):
                if os.path.exists(path + end):
                    os.unlink(path + end)
        db = opened(path)
        check(db.execute("PRAGMA integrity_check").fetchall() == [("ok",)],
              "%s: integrity_check" % name)
        halves = db.execute(
            "SELECT count(*) FROM (SELECT c, n FROM rows EXCEPT SELECT c, n"
            " FROM again) UNION ALL SELECT count(*) FROM (SELECT c, n FROM"
            " again EXCEPT SELECT c, n FROM rows)").fetchall()
        check(halves == [(0,), (0,)], "%s: halves: %s" % (name, halves))
        for c, last, count in db.execute(
                "SELECT c, max(n), count(*) FROM rows GROUP BY c"):
            check(last == count, "client %d: %d rows, the last is %d"
                  % (c, count, last))
            check(last >= acked[c], "client %d: rows up to %d of %d"
                  " acknowledged" % (c, last, acked[c]))
            check(last <= before[c] + 1, "client %d: row %d is in the copy, %d"
                  " was acknowledged at quiesce" % (c, last, before[c]))
        db.close()


@case
def each_copy_has_every_acknowledged_row_in_the_database_files_alone():
    guest = start()
    load = Load(connect)

    def at_rest(copy):
        look(copy, load)
        load.held(copy)
    dbrig.rounds(guest, load, [IMAGE], at_rest, "SQLite", dbrig.checkpoints())
    guest.end_adapter()


@case
def a_hold_keeps_writers_out_until_thaw():
    guest = start()
    load, copy = guest.holds_writers_out(
        connect, IMAGE, "sqlite3 -cmd '.timeout 200' %s/many/7.db 'INSERT INTO"
        " rows VALUES (1, 1, 1)' && exit 1; sleep 0.3" % DIR)
    look(copy, load)


@case
def a_reader_that_keeps_the_log_in_use_is_told_and_the_copy_is_whole():
    guest = start()
    reader = opened(DIR + "/log.db")
    hvtest.after(reader.close)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM rows").fetchone()
    load = Load(connect)
    copy = Checkpoint(guest, [IMAGE])
    guest.adapter.says("a reader keeps the log in use; a copy needs")
    look(copy, load, alone=False)


@case
def a_long_transaction_refuses_within_the_limit_and_nothing_stays_held():
    guest = start(("quiesce_limit", "1"))
    writer = opened(DIR + "/many/3.db", 0)
    hvtest.after(writer.close)
    writer.execute("BEGIN IMMEDIATE")
    guest.refuses("many/3.db: cannot be locked: another program keeps it locked")
    other = opened(DIR + "/log.db", 0)
    other.execute("INSERT INTO rows VALUES (9, 9, 9)")
    other.close()
    writer.execute("ROLLBACK")
    guest.succeeds(" when it has ended")


@case
def what_is_no_database_or_absent_is_told():
    guest = start(("file", MOUNT + "/db/gone.db"))
    guest.refuses("gone.db: absent", "absent = ignore", op="check")
    guest.end_adapter()
    guest.configure(settings(("absent", "ignore"),
                             ("file", MOUNT + "/db/gone.db")))
    guest.start()
    guest.succeeds()
    with open(DIR + "/many/notes.txt", "w", encoding="ascii") as f:
        f.write("no database, but listed by a pattern\n" * 100)
    guest.refuses("notes.txt: file is not a database", op="check")
    check(not os.path.exists(MOUNT + "/db/gone.db"), "nothing was made")


@case
def a_full_disk_hangs_nobody_and_leaves_no_harm():
    guest = start()
    db = opened(DIR + "/log.db")
    hvtest.after(db.close)
    for n in range(200):
        db.execute("INSERT INTO rows VALUES (9, ?, ?)", (n, "x" * 300))
    filler = dbrig.fill(MOUNT)
    # What nobody has open cannot be opened without room.
    guest.refuses("disk I/O error (see space and permissions)")
    guest.end_adapter()
    guest.configure([("file", DIR + "/log.db")])
    guest.start()
    guest.succeeds(" of what is open, with a full disk")
    guest.adapter.says("a copy needs the -wal file, too")
    os.unlink(filler)
    guest.succeeds(" with room again")


@case
def an_adapter_that_is_killed_during_the_hold_is_a_lost_hold():
    start().loses_its_adapter(Load(connect))


@dbrig.longer
def an_adapter_that_is_stopped_lets_go_all_the_same():
    start().has_its_adapter_stopped(Load(connect))


hvtest.main()
