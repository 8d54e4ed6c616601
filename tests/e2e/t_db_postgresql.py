#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
# isoroot: --fs xfs:640M --loops --bound 240 --with /usr/lib/postgresql/*/bin --with /usr/lib/postgresql/*/lib --with /usr/share/postgresql
# e2e: 560
"""The adapter for PostgreSQL with a real server under load: what a copy that was
taken during the hold holds, what it costs, and each way in which it may fail."""

import contextlib
import os
import shlex
import signal
import subprocess

import dbrig
import hvtest
from dbrig import Checkpoint, Guest, Load, Mounted, figure, must
from hvtest import case, check

BIN = os.path.dirname(dbrig.newest("/usr/lib/postgresql/*/bin/postgres"))
MOUNT, IMAGE = "/mnt/xfs", "/img/xfs.img"
TEMPLATE = "/run/template"
ENV = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "GMT", "HOME": "/tmp"}
USER = {"user": "postgres", "group": "postgres", "extra_groups": [],
        "env": ENV, "cwd": "/tmp"}
TABLES = """
CREATE TABLE rows (c int, n int, filler text, PRIMARY KEY (c, n));
CREATE TABLE again (c int, n int, PRIMARY KEY (c, n));
CREATE EXTENSION amcheck;
CREATE ROLE hv_vss LOGIN PASSWORD 'sesame';
GRANT pg_checkpoint, pg_read_all_settings TO hv_vss;
CREATE DATABASE other;
"""


class Server(dbrig.SqlServer):
    def __init__(self, data, name):
        super().__init__(data, "/run/pg." + name)
        os.makedirs(self.sock, exist_ok=True)
        must(["chown", "postgres:postgres", self.sock])

    def create(self):
        if not os.path.isdir(TEMPLATE):
            os.mkdir(TEMPLATE, 0o700)
            must(["chown", "postgres:postgres", TEMPLATE])
            must([BIN + "/initdb", "-D", TEMPLATE, "-A", "trust", "-N",
                  "--no-locale", "-E", "UTF8"], **USER)
            with open(TEMPLATE + "/pg_hba.conf", "w", encoding="ascii") as f:
                f.write("local all hv_vss scram-sha-256\nlocal all all trust\n")
            first = Server(TEMPLATE, "template")
            first.start()
            first.sql(TABLES)
            first.process.signal(signal.SIGINT)
            first.process.wait(60)
        must(["cp", "-a", TEMPLATE, self.data])
        return self

    def start(self):
        # As Debian starts it; the larger limits let work for recovery pile up.
        return self.run([
            "setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups",
            BIN + "/postgres", "-D", self.data, "-k", self.sock,
            "-c", "listen_addresses=", "-c", "shared_buffers=64MB",
            "-c", "max_wal_size=256MB", "-c", "checkpoint_timeout=1h",
            "-c", "timezone=GMT", "-c", "log_timezone=GMT"], "postgres",
            env=ENV)

    def client(self, database="postgres"):
        return [BIN + "/psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h",
                self.sock, "-U", "postgres", "-d", database]

    def try_sql(self, sql, database="postgres"):
        r = subprocess.run([*self.client(database), "-f", "-"], input=sql,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, env=ENV, timeout=60, check=False)
        return r.returncode, r.stdout.strip()

    def connect(self, c):
        """For Load: each commit is a transaction on two tables."""
        psql = subprocess.Popen(self.client(), stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, env=ENV, bufsize=0)

        def commit(n):
            psql.stdin.write(
                b"BEGIN; INSERT INTO rows VALUES (%d, %d, repeat('x', 300));"
                b" INSERT INTO again VALUES (%d, %d); COMMIT;\n\\echo %d\n"
                % (c, n, c, n, n))
            line = psql.stdout.readline()
            assert line == b"%d\n" % n, line
        return commit

    def stop(self):
        """At once, as one that nobody needs any more."""
        if self.process is not None:
            if self.process.alive():
                self.process.signal(signal.SIGQUIT)
                self.process.wait(30)
            self.process = None


def server():
    """A new one on the scratch file system, for one case."""
    must(["rm", "-rf", MOUNT + "/pg"])
    s = Server(MOUNT + "/pg", "case").create()
    s.start()
    return s


def settings(s, **more):
    """With the least privileges that the manual names."""
    with open("/run/passfile", "w", encoding="ascii") as f:
        f.write("*:*:*:hv_vss:sesame\n")
    os.chmod("/run/passfile", 0o600)
    return list({"client": BIN + "/psql", "host": s.sock, "user": "hv_vss",
                 "passfile": "/run/passfile", "os_user": "",
                 **more}.items())


def look(copy, load, what):
    """Starts a server on the copy; rows of each client, and how long it took."""
    with Mounted(copy.images[0], ",nouuid") as at:
        data = at + "/pg"
        os.unlink(data + "/postmaster.pid")
        s = Server(data, "copy")
        took = s.start()
        try:
            found = [tuple(map(int, x.split("|"))) for x in s.sql(
                "SELECT max(n), count(*) FROM rows GROUP BY c ORDER BY c;"
                ).splitlines()]
            others = s.sql("SELECT count(*) FROM rows FULL JOIN again"
                           " USING (c, n) WHERE rows.c IS NULL OR"
                           " again.c IS NULL;")
            must([BIN + "/pg_amcheck", "-h", s.sock, "-U", "postgres",
                  "--heapallindexed", "-d", "postgres"], 120, env=ENV)
        finally:
            s.stop()
    check(others == "0", "%s: %s halves of transactions" % (what, others))
    for c, acked in enumerate(load.before(copy.began)):
        last, count = found[c]
        check(last == count, "%s: client %d: %d rows, the last is %d"
              % (what, c, count, last))
        check(last >= acked, "%s: client %d: rows up to %d of %d acknowledged"
              % (what, c, last, acked))
    return [last for last, _ in found], took


def rounds(guest, load, what):
    dbrig.rounds(guest, load, [IMAGE], lambda copy: look(copy, load, what)[1],
                 what, dbrig.checkpoints())


@case
def each_copy_has_every_acknowledged_row_and_is_whole():
    s = server()
    guest = Guest("postgresql", settings(s))
    load = Load(s.connect)
    rounds(guest, load, "PostgreSQL")
    guest.end_adapter()


def holding(s, guest_settings=()):
    """A guest whose adapter holds, as the superuser over the socket."""
    return Guest("postgresql", settings(s, user="postgres", hold="yes",
                                        **dict(guest_settings)))


@case
def a_hold_keeps_writers_of_every_database_out_until_thaw():
    s = server()
    s.sql("GRANT pg_write_all_data TO hv_vss")
    s.sql("CREATE TABLE t (n int); GRANT pg_write_all_data TO hv_vss", "other")
    guest = Guest("postgresql", settings(s, hold="yes"))
    insert = [*s.client("other"), "-c", "SET lock_timeout = 200;"
              " INSERT INTO t VALUES (1)"]
    load, copy = guest.holds_writers_out(
        s.connect, IMAGE, "%s && exit 1; sleep 0.3" % shlex.join(insert))
    found, _ = look(copy, load, "held")
    for c, acked in enumerate(load.before(copy.quiesced)):
        check(found[c] <= acked + 1, "client %d: row %d is in the copy,"
              " %d was acknowledged at quiesce" % (c, found[c], acked))


@case
def a_hold_costs_clients_little():
    s = server()
    guest = holding(s)
    load = Load(s.connect)
    rounds(guest, load, "PostgreSQL with hold")


@case
def a_server_that_is_down_takes_no_part_or_refuses_if_told_to():
    s = server()
    guest = Guest("postgresql", settings(s))
    guest.has_its_server_down(s, settings(s, down="refuse"),
                              "no PostgreSQL server at", s.start)


@case
def a_wrong_password_or_a_missing_grant_is_told():
    s = server()
    guest = Guest("postgresql", settings(s))
    with open("/run/passfile", "w", encoding="ascii") as f:
        f.write("*:*:*:hv_vss:wrong\n")
    guest.refuses("password authentication failed", "passfile", op="check")
    guest.refuses("password authentication failed")
    settings(s)
    s.sql("REVOKE pg_checkpoint FROM hv_vss")
    guest.refuses("GRANT pg_checkpoint TO hv_vss", op="check")
    s.sql("GRANT pg_checkpoint TO hv_vss")
    guest.succeeds()


@case
def a_long_transaction_makes_a_hold_refuse_and_stalls_nobody_for_long():
    s = server()
    guest = holding(s, {"quiesce_limit": "2"})
    load = Load(s.connect)
    commit = s.connect(99)
    long = subprocess.Popen(s.client(), stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, env=ENV, bufsize=0)
    hvtest.after(long.kill)
    long.stdin.write(b"BEGIN; INSERT INTO rows VALUES (98, 1, '');\n\\echo x\n")
    check(long.stdout.readline() == b"x\n", "a transaction is open")
    begin = dbrig.now_ns()
    guest.refuses("keeps a table locked")
    end = dbrig.now_ns()
    load.progresses()
    stall = load.stall_ns(begin, end)
    figure("PostgreSQL with hold, stall behind a long transaction",
           "%.0f ms of %.0f" % (stall / 1e6, (end - begin) / 1e6))
    check(stall < (end - begin) / 3, "stall %d ns of %d" % (stall, end - begin))
    long.stdin.close()
    long.wait(10)
    guest.succeeds(" when it has ended")
    commit(1)


@case
def a_full_disk_hangs_nobody_and_leaves_no_harm():
    s = server()
    guest = Guest("postgresql", settings(s))
    s.sql("CREATE TABLE bulk AS SELECT n FROM generate_series(1, 50000) n")
    filler = dbrig.fill(MOUNT)
    guest.succeeds(" with a full disk")
    guest.adapter.says("no checkpoint: the disk is nearly full")
    check("PANIC" not in s.process.output(), "the server lives")
    os.unlink(filler)
    guest.succeeds(" with room again")
    load = Load(s.connect)
    look(Checkpoint(guest, [IMAGE]), load, "after a full disk")


def of_server(s):
    """The server's processes, postmaster first."""
    with open("/proc/%d/task/%d/children" % (s.process.pid, s.process.pid),
              encoding="ascii") as f:
        return [s.process.pid, *map(int, f.read().split())]


@case
def a_server_that_hangs_is_waited_for_within_the_limit():
    s = server()
    guest = Guest("postgresql", settings(s, prepare_limit="2",
                                         quiesce_limit="2"))
    guest.has_its_server_hang(of_server(s))


@case
def a_checkpoint_that_takes_too_long_is_given_up_and_told():
    s = server()
    guest = Guest("postgresql", settings(s, prepare_limit="2"))
    pid = int(s.sql("SELECT pid FROM pg_stat_activity WHERE backend_type ="
                    " 'checkpointer'"))
    os.kill(pid, signal.SIGSTOP)
    try:
        guest.succeeds(" without a checkpoint")
    finally:
        os.kill(pid, signal.SIGCONT)
    guest.adapter.says("no checkpoint: canceling statement")


@case
def an_adapter_that_is_killed_during_the_hold_is_a_lost_hold():
    s = server()
    holding(s).loses_its_adapter(Load(s.connect))


@case
def a_server_that_is_killed_during_the_hold_is_a_lost_hold():
    s = server()
    guest = holding(s)
    load = Load(s.connect)
    host = guest.hold()
    load.stop()
    # When one is killed the server ends the others itself.
    for pid in reversed(of_server(s)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    s.process.wait()
    s.start()
    guest.is_lost(host, "the session that held it was lost")
    guest.succeeds(", the next one")


@case
def an_adapter_that_is_stopped_lets_go_all_the_same():
    s = server()
    holding(s).has_its_adapter_stopped(Load(s.connect))


@case
def without_the_adapter_recovery_takes_longer():
    s = server()
    guest = Guest("postgresql", settings(s))
    s.sql("CHECKPOINT; CREATE TABLE bulk AS SELECT n, repeat('y', 200) AS t"
          " FROM generate_series(1, 300000) n; CREATE INDEX ON bulk (n);"
          " UPDATE bulk SET t = repeat('z', 100) WHERE n % 2 = 0;")
    load = Load(s.connect)
    guest.end_adapter()
    plain = look(Checkpoint(guest, [IMAGE]), load, "unprepared")[1]
    guest.start()
    prepared = look(Checkpoint(guest, [IMAGE]), load, "prepared")[1]
    figure("PostgreSQL, recovery with 300000 rows changed", "prepared %.0f ms,"
           " unprepared %.0f ms" % (prepared / 1e6, plain / 1e6))
    check(prepared < plain, "%d ns, %d ns" % (prepared, plain))


hvtest.main()
