# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause

"""PostgreSQL: a checkpoint in prepare, and locks on all tables if asked for.

A snapshot of all disks at one instant is what a crash would leave, and the server
recovers from that: everything that was acknowledged is in its log.  So nothing
must be held.  The checkpoint makes recovery short; freeze flushes the log, for
transactions that were acknowledged before they were on disk (synchronous_commit =
off).  pg_backup_start() is not used: its label would have to be in the copy.
There is no checkpoint on a disk that is nearly full: one that fails ends the
server (PANIC), and all sessions with it.

With hold = yes, nobody changes a table from freeze to thaw: a transaction in each
database has LOCK TABLE ... IN EXCLUSIVE MODE on all of them.  The locks are asked
for with a limit that is shorter than deadlock_timeout, so that we and not the
application give up where two wait for each other, and again until the time for
freeze is over.
"""

import os
import time

from adapter import (FREEBSD, Adapter, Many, Refuse, must_listen, number, one_of,
                     text_of)
from session import Gone, Late, Session, as_user, client_path

# What it takes, and whether the role has it (a superuser is in all roles).
MAY = """
SELECT rolname FROM pg_roles WHERE rolname IN ('pg_checkpoint',
    'pg_read_all_settings') AND NOT pg_has_role(oid, 'USAGE')
    UNION ALL SELECT 'pg_checkpoint' WHERE
    current_setting('server_version_num')::int < 150000 AND
    current_setting('is_superuser') = 'off';
"""
DATABASES = """
SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate AND
    has_database_privilege(oid, 'CONNECT') ORDER BY datname;
"""
# Partitions are tables of their own here; temporary ones are nobody's business.
LOCK = r"""
SELECT format('LOCK TABLE %s IN EXCLUSIVE MODE', string_agg(
    format('ONLY %I.%I', n.nspname, c.relname), ', ' ORDER BY c.oid))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND
    n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
    HAVING count(*) > 0 \gexec
"""
FLUSH = "SELECT pg_logical_emit_message(true, 'hv_vss', '');"
LOCK_WAIT_MS = 300
# Of LOCK TABLE, what another attempt may mend: lock not available, deadlock, a
# table dropped meanwhile.
AGAIN = {"55P03", "40P01", "42P01", "3F000"}
REMEDY = {
    "42501": "grant it, see hv_vss_adapters(7)",
    "57014": "it took too long",
    "53100": "make room on the server's disk",
    "53200": "raise max_locks_per_transaction in postgresql.conf, or hold = no",
    "55P03": "a transaction keeps a table locked: see pg_stat_activity",
    "40P01": "a transaction keeps a table locked: see pg_stat_activity",
}


def marker(n):
    return r"\echo ##%d :ERROR :LAST_ERROR_SQLSTATE :LAST_ERROR_MESSAGE" % n


def quote(value):
    """A value of a connection string."""
    return "'%s'" % value.replace("\\", r"\\").replace("'", r"\'")


class Lost(Refuse):
    """A session that worked has ended."""


class Connection:
    """One session of the server, in one database."""

    def __init__(self, conf, path, database, until):
        host, port = conf["host"], conf["port"]
        must_listen("%s/.s.PGSQL.%d" % (host, port) if host.startswith("/")
                    else (host, port), "PostgreSQL server")
        client = client_path(conf["client"])
        if client is None:
            raise Refuse("a server runs, but there is no %s: install it, or set"
                         " client in %s" % (conf["client"], path))
        info = {"host": host, "port": str(port), "user": conf["user"],
                "dbname": database, "connect_timeout": "3",
                "application_name": "hv_vss"}
        if conf["passfile"]:
            info["passfile"] = conf["passfile"]
        self.database = database
        self._works = False
        self._path = path
        self._session = Session(
            [client, "-XqAtw", "-d",
             " ".join(k + "=" + quote(v) for k, v in info.items())],
            marker, {}, as_user(conf["os_user"]))
        self.close = self._session.close
        self.ask("SET client_min_messages = error;", until)
        self.ask("SET synchronous_commit = local;", until)
        self._works = True

    def attempt(self, sql, until):
        """The answer's lines, the error's SQLSTATE (or ""), its words.  sql is
        one statement: of several, only the last one's error is told."""
        try:
            lines, rest = self._session.ask(sql, until)
        except Late as e:
            raise Refuse("%s: the server did not answer in time"
                         % self.database) from e
        except Gone as e:
            if self._works:
                raise Lost("%s: the session was lost: %s (see the server's"
                           " log)" % (self.database, e)) from e
            raise Refuse("no session: %s (see user, passfile and os_user in %s,"
                         " and pg_hba.conf)" % (e, self._path)) from e
        wrong, state, message = (rest.split(" ", 2) + ["", ""])[:3]
        return lines, state if wrong == "true" else "", message

    def ask(self, sql, until):
        """The answer's lines; Refuse with the server's words."""
        lines, state, message = self.attempt(sql, until)
        if state:
            self.refuse(state, message)
        return lines

    def refuse(self, state, message):
        raise Refuse("%s: %s (%s)" % (self.database, message, REMEDY.get(
            state, "see the server's log")))

    def limit(self, until):
        """The server gives up by itself, a little before we do."""
        ms = max(1, int((until - time.monotonic()) * 1000))
        self.ask("SET statement_timeout = %d;" % ms, until + 1)

    def beat(self):
        """Why the session is lost, or None."""
        try:
            self._session.beat("SELECT 1;")
        except (Gone, Late) as e:
            return "%s: the session that held it was lost: %s" % (
                self.database, e)
        return None

    def lock(self, until, hold_s):
        """No table of the database changes while this session lives."""
        # The server lets go by itself if we are stopped.
        self.ask("SET idle_in_transaction_session_timeout = %d;"
                 % (hold_s * 1000), until)
        self.ask("SET lock_timeout = %d;" % LOCK_WAIT_MS, until)
        while True:
            self.ask("BEGIN;", until)
            _, state, message = self.attempt(LOCK, until)
            if not state:
                return
            self.ask("ROLLBACK;", until)
            if state not in AGAIN or \
                    until - time.monotonic() < 2 * LOCK_WAIT_MS / 1000:
                self.refuse(state, message)


class PostgreSQL(Adapter):
    KEYS = {
        "client": (text_of, "psql"),
        "host": (text_of, "/tmp" if FREEBSD else "/var/run/postgresql"),
        "port": (number(1, 65535), 5432),
        "user": (text_of, "postgres"),
        "passfile": (text_of, ""),
        "os_user": (text_of, "postgres"),
        "database": (text_of, "postgres"),
        "min_free_mb": (number(0, 1000000), 64),
        "hold": (one_of("no", "yes"), "no"),
        "hold_database": Many(),
    }

    def __init__(self, conf, path):
        super().__init__(conf, path)
        self._main = None       # for everything but locks
        self._locks = {}        # a connection for each database that is held

    def _connect(self, until):
        """A session that works; what an earlier step opened may be lost."""
        try:
            if self._main is not None:
                self._main.limit(until)
        except Lost:
            self._close()
        if self._main is None:
            self._main = Connection(self.conf, self.path,
                                    self.conf["database"], until)
            self._main.limit(until)
        return self._main

    def _connect_all(self, until):
        """A connection for each database that is to be held."""
        for name in self.conf["hold_database"] or \
                self._main.ask(DATABASES, until):
            try:
                if name in self._locks:
                    self._locks[name].limit(until)
                    continue
            except Lost:
                self._locks.pop(name).close()
            self._locks[name] = Connection(self.conf, self.path, name, until)

    def check(self, until):
        try:
            missing = self._connect(until).ask(MAY, until)
        finally:
            self._close()
        if missing:
            raise Refuse("privileges are missing: GRANT %s TO %s (before version"
                         " 15 CHECKPOINT takes a superuser)"
                         % (", ".join(missing), self.conf["user"]))

    def prepare(self, until):
        try:
            main = self._connect(until - 0.5)
            self._checkpoint(main, until)
            if self.conf["hold"] == "yes":
                self._connect_all(until)
        except Refuse:
            self._close()
            raise

    def _checkpoint(self, main, until):
        state, message = "", "the disk is nearly full"
        if self._room(main.ask("SHOW data_directory;", until)[0]):
            _, state, message = main.attempt("CHECKPOINT;", until)
            if not state:
                return
            if state != "57014":
                main.refuse(state, message)
        self.note("no checkpoint: %s; a copy will take longer to recover"
                  % message)

    def _room(self, data):
        """Whether a checkpoint has room, as far as can be seen from here."""
        for path in (data, data + "/pg_wal"):
            try:
                st = os.statvfs(path)
            except OSError:
                continue
            if st.f_bavail * st.f_frsize < self.conf["min_free_mb"] << 20:
                return False
        return True

    def quiesce(self, until, hold_s):
        main = self._connect(until)
        if main.ask("SELECT pg_is_in_recovery();", until) == ["t"]:
            return False        # a standby: nobody writes here
        if self.conf["hold"] == "yes":
            self._connect_all(until)
            for c in self._locks.values():
                c.limit(until)
                c.lock(until, hold_s)
        main.ask(FLUSH, until)
        return bool(self._locks)

    def resume(self, until):
        try:
            for c in self._locks.values():
                c.ask("ROLLBACK;", until)
        finally:
            self._close()

    def lost(self):
        return next(filter(None, (c.beat() for c in self._locks.values())),
                    None)

    def _close(self):
        for c in [self._main, *self._locks.values()]:
            if c is not None:
                c.close()
        self._main = None
        self._locks = {}
