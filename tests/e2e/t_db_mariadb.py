#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
# isoroot: --fs ext4:640M --loops --bound 300 --with mariadbd --with mariadb --with mariadb-install-db --with my_print_defaults --with resolveip --with hostname --with dirname --with basename --with tty --with expr --with /usr/share/mysql
# e2e: 560
"""The adapter for MariaDB, and with it what MySQL has of the same, with a real
server under load: what a copy that was taken during the hold holds, what it costs,
and each way in which it may fail.  MySQL itself is not there."""

import os
import shlex
import subprocess

import dbrig
import hvtest
from dbrig import Checkpoint, Guest, Load, Mounted, figure, must
from hvtest import case, check, until

MOUNT, IMAGE = "/mnt/ext4", "/img/ext4.img"
TEMPLATE = "/run/template"
# Even clients write to InnoDB, odd ones to engines without a log.
ENGINES = ("InnoDB", "MyISAM", "InnoDB", "Aria")
TABLES = """
CREATE DATABASE work;
USE work;
%s
CREATE USER hv_vss@localhost IDENTIFIED BY 'sesame';
GRANT RELOAD ON *.* TO hv_vss@localhost;
""" % "\n".join("CREATE TABLE rows%d (n INT PRIMARY KEY, filler TEXT) ENGINE=%s;"
                "CREATE TABLE again%d (n INT PRIMARY KEY) ENGINE=%s;" % (
                    c, engine, c, engine) for c, engine in enumerate(ENGINES))


class Server(dbrig.SqlServer):
    def __init__(self, data, name):
        super().__init__(data, "/run/mariadb.%s.sock" % name)

    def create(self):
        if not os.path.isdir(TEMPLATE):
            must(["mariadb-install-db", "--no-defaults", "--user=root",
                  "--datadir=" + TEMPLATE, "--skip-test-db",
                  "--innodb-log-file-size=48M",
                  "--auth-root-authentication-method=normal"], 120)
            first = Server(TEMPLATE, "template")
            first.start()
            first.sql(TABLES)
            first.process.end(60)
        must(["cp", "-a", TEMPLATE, self.data])
        return self

    def start(self, *options):
        return self.run([
            "mariadbd", "--no-defaults", "--user=root", "--datadir=" + self.data,
            "--socket=" + self.sock, "--pid-file=%s.pid" % self.sock,
            "--skip-networking", "--innodb-log-file-size=48M",
            "--innodb-buffer-pool-size=64M", "--innodb-use-native-aio=0",
            "--log-bin", *options], "mariadbd")

    def client(self):
        return ["mariadb", "--no-defaults", "--socket=" + self.sock, "-BNn"]

    def try_sql(self, sql):
        r = subprocess.run([*self.client(), "-e", sql],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, timeout=60,
                           check=False)
        return r.returncode, r.stdout.strip()

    def session(self, sql):
        """A client that goes on with what follows, until it is closed."""
        p = subprocess.Popen(self.client(), stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, bufsize=0)
        hvtest.after(p.kill)
        p.stdin.write(b"SELECT 'x';\n" + sql.encode() + b"\n")
        check(p.stdout.readline() == b"x\n", "a session")
        return p

    def connect(self, c):
        """For Load: each commit is a transaction on two tables."""
        client = subprocess.Popen([*self.client(), "work"], bufsize=0,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)

        def commit(n):
            client.stdin.write(
                b"BEGIN; INSERT INTO rows%d VALUES (%d, REPEAT('x', 300));"
                b" INSERT INTO again%d VALUES (%d); COMMIT; SELECT %d;\n"
                % (c, n, c, n, n))
            line = client.stdout.readline()
            assert line == b"%d\n" % n, line
        return commit

    def stop(self):
        """At once, as one that nobody needs any more."""
        if self.process is not None:
            self.process.kill()
            self.process = None


def server(*options):
    """A new one on the scratch file system, for one case."""
    must(["rm", "-rf", MOUNT + "/db"])
    s = Server(MOUNT + "/db", "case").create()
    s.start(*options)
    return s


def settings(s, **more):
    """With the least privileges that the manual names."""
    with open("/run/account.cnf", "w", encoding="ascii") as f:
        f.write("[client]\nuser = hv_vss\npassword = sesame\n")
    os.chmod("/run/account.cnf", 0o600)
    return list({"client": "mariadb", "socket": s.sock,
                 "defaults_file": "/run/account.cnf", **more}.items())


def look(copy, load):
    """Starts a server on the copy; how long its recovery took."""
    with Mounted(copy.images[0]) as at:
        s = Server(at + "/db", "copy")
        took = s.start()
        try:
            tables = s.sql("SELECT CONCAT('work.', table_name) FROM"
                           " information_schema.tables WHERE table_schema ="
                           " 'work'").split()
            checks = s.sql("CHECK TABLE %s EXTENDED" % ", ".join(tables))
            bad = [x for x in checks.splitlines() if not x.endswith("\tOK")]
            check(not bad, "CHECK TABLE: %s" % bad)
            found = [s.sql("SELECT MAX(n), COUNT(*), (SELECT MAX(n) FROM"
                           " work.again%d) FROM work.rows%d" % (c, c)).split()
                     for c in range(len(ENGINES))]
        finally:
            s.stop()
    acked = load.before(copy.began)
    quiesced = load.before(copy.quiesced)
    for c, engine in enumerate(ENGINES):
        last, count, again = map(int, found[c])
        check(last == count, "%s: %d rows, the last is %d" % (engine, count, last))
        # Without a log, a transaction may be held between its statements.
        check(last == again or engine != "InnoDB" and last == again + 1,
              "%s: halves of a transaction: %d, %d" % (engine, last, again))
        check(last >= acked[c], "%s: rows up to %d of %d acknowledged"
              % (engine, last, acked[c]))
        check(last <= quiesced[c] + 1, "%s: row %d is in the copy,"
              " %d was acknowledged at quiesce" % (engine, last, quiesced[c]))
    load.held(copy)
    return took


@case
def each_copy_has_every_acknowledged_row_and_is_whole():
    # What is acknowledged is not on disk yet: the freeze sees to it.
    s = server("--innodb-flush-log-at-trx-commit=2")
    guest = Guest("mariadb", settings(s))
    load = Load(s.connect)
    dbrig.rounds(guest, load, [IMAGE], lambda copy: look(copy, load),
                 "MariaDB", dbrig.checkpoints())
    guest.end_adapter()


@case
def a_hold_keeps_writers_out_until_thaw():
    s = server()
    guest = Guest("mariadb", settings(s))
    insert = [*s.client(), "work", "-e", "SET lock_wait_timeout = 0;"
              " INSERT INTO rows1 VALUES (-1, '')"]
    load, copy = guest.holds_writers_out(
        s.connect, IMAGE, "%s && exit 1; sleep 0.3" % shlex.join(insert))
    look(copy, load)


@case
def recovery_of_a_prepared_and_an_unprepared_copy():
    s = server()
    guest = Guest("mariadb", settings(s))
    s.sql("USE work; CREATE TABLE bulk ENGINE=InnoDB AS SELECT seq AS n,"
          " REPEAT('y', 200) AS t FROM seq_1_to_50000;"
          " UPDATE bulk SET t = REPEAT('z', 100) WHERE n % 2 = 0")
    load = Load(s.connect)
    took = []
    for held in (True, False):
        copy = Checkpoint(guest, [IMAGE])
        if held:
            took.append(look(copy, load))
            guest.end_adapter()
            continue
        # Nobody approved it: only that it starts is looked at.
        with Mounted(copy.images[0]) as at:
            other = Server(at + "/db", "copy")
            took.append(other.start())
            bad = [x for x in other.sql(
                "CHECK TABLE work.rows1, work.again1, work.rows3, work.again3"
                ).splitlines() if not x.endswith("\tOK")]
            figure("MariaDB, CHECK TABLE of an unprepared copy",
                   "; ".join(" ".join(x.split()) for x in bad) or "OK")
            other.stop()
    figure("MariaDB, recovery with 50000 rows changed", "prepared %.0f ms,"
           " unprepared %.0f ms" % (took[0] / 1e6, took[1] / 1e6))


@case
def a_read_lock_on_all_tables_does_it_too():
    s = server()
    s.sql("GRANT PROCESS ON *.* TO hv_vss@localhost")
    guest = Guest("mariadb", settings(s, lock="tables"))
    load = Load(s.connect)
    copy = Checkpoint(guest, [IMAGE])
    look(copy, load)


@case
def a_long_query_is_not_waited_for_or_refuses_in_time():
    s = server()
    s.sql("GRANT PROCESS ON *.* TO hv_vss@localhost;"
          "INSERT INTO work.rows0 VALUES (-1, '')")
    guest = Guest("mariadb", settings(s))
    query = s.session("SELECT SLEEP(60) FROM work.rows0 LIMIT 1;")
    until(lambda: "SLEEP" in s.sql("SHOW PROCESSLIST"), "a long query")
    guest.succeeds(" beside a long query")
    guest.end_adapter()
    guest.configure(settings(s, lock="tables", quiesce_limit="3",
                             long_query="1"))
    guest.start()
    load = Load(s.connect)
    until(lambda: int(s.sql("SELECT MAX(time) FROM information_schema.processlist"
                            " WHERE info LIKE 'SELECT SLEEP%'")) > 1,
          "the query is a long one")
    begin = dbrig.now_ns()
    guest.refuses("a query runs for more than 1 s")
    end = dbrig.now_ns()
    stall = load.stall_ns(begin, end)
    figure("MariaDB, lock = tables, stall behind a long query",
           "%.0f ms of %.0f" % (stall / 1e6, (end - begin) / 1e6))
    check(stall < (end - begin) / 3, "stall %d ns of %d" % (stall, end - begin))
    query.kill()
    # The server may have seen its client's end already.
    s.try_sql("KILL %s" % s.sql("SELECT MAX(id) FROM information_schema"
                                ".processlist WHERE info LIKE 'SELECT SLEEP%'"))
    until(lambda: "SLEEP" not in s.sql("SHOW PROCESSLIST"), "its end")
    guest.succeeds(" when it has ended")


@case
def a_long_statement_that_writes_without_a_log_refuses_in_time():
    s = server()
    s.sql("INSERT INTO work.rows1 VALUES (-1, ''), (-2, '')")
    guest = Guest("mariadb", settings(s, quiesce_limit="3"))
    s.session("UPDATE work.rows1 SET filler = SLEEP(30) WHERE n < 0;")
    until(lambda: "SLEEP" in s.sql("SHOW PROCESSLIST"), "a long statement")
    commit = s.connect(0)
    commit(1)
    guest.refuses("a statement that writes keeps a table locked")
    commit(2)
    s.sql("KILL %s" % s.sql("SELECT id FROM information_schema.processlist"
                            " WHERE info LIKE 'UPDATE work.rows1%'"))
    guest.succeeds(" when it has ended")


@case
def a_server_that_is_down_takes_no_part_or_refuses_if_told_to():
    s = server()
    guest = Guest("mariadb", settings(s))
    guest.has_its_server_down(s, settings(s, down="refuse"),
                              "no MariaDB or MySQL server at", s.start)


@case
def a_wrong_password_or_a_missing_grant_is_told():
    s = server()
    guest = Guest("mariadb", settings(s))
    with open("/run/account.cnf", "w", encoding="ascii") as f:
        f.write("[client]\nuser = hv_vss\npassword = wrong\n")
    guest.refuses("Access denied for user", "defaults_file", op="check")
    guest.refuses("Access denied for user")
    settings(s)
    s.sql("REVOKE RELOAD ON *.* FROM hv_vss@localhost")
    guest.refuses("RELOAD", "grant it", op="check")
    s.sql("GRANT RELOAD ON *.* TO hv_vss@localhost")
    guest.succeeds()
    guest.end_adapter()
    guest.configure(settings(s, lock="instance"))
    guest.start()
    guest.refuses("this server does not know it", op="check")


@case
def a_full_disk_hangs_nobody_and_leaves_no_harm():
    s = server()
    guest = Guest("mariadb", settings(s))
    s.sql("USE work; INSERT INTO rows0 SELECT seq, REPEAT('y', 200) FROM"
          " seq_100_to_5000")
    filler = dbrig.fill(MOUNT)
    guest.succeeds(" with a full disk")
    os.unlink(filler)
    guest.succeeds(" with room again")
    check(s.process.alive(), "the server lives")


@case
def a_server_that_hangs_is_waited_for_within_the_limit():
    s = server()
    guest = Guest("mariadb", settings(s, prepare_limit="2", quiesce_limit="2"))
    guest.has_its_server_hang([s.process.pid])


@case
def an_adapter_that_is_killed_during_the_hold_is_a_lost_hold():
    s = server()
    Guest("mariadb", settings(s)).loses_its_adapter(Load(s.connect))


@dbrig.longer
def an_adapter_that_is_stopped_lets_go_all_the_same():
    s = server()
    Guest("mariadb", settings(s)).has_its_adapter_stopped(Load(s.connect))


@case
def a_session_that_is_ended_during_the_hold_is_a_lost_hold():
    s = server()
    guest = Guest("mariadb", settings(s))
    load = Load(s.connect)
    host = guest.hold()
    s.sql("KILL %s" % s.sql("SELECT id FROM information_schema.processlist"
                            " WHERE user = 'hv_vss'"))
    guest.is_lost(host, "the session that held it was lost", load)
    guest.succeeds(", the next one")


@case
def a_server_that_is_killed_during_the_hold_is_a_lost_hold():
    s = server()
    guest = Guest("mariadb", settings(s))
    host = guest.hold()
    s.process.kill()
    s.start()
    guest.is_lost(host, "the session that held it was lost")
    guest.succeeds(", the next one")


hvtest.main()
