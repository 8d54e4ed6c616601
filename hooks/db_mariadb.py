# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause

"""MariaDB and MySQL: commits are held from freeze to thaw, by a session's lock.

MariaDB has BACKUP STAGE for disk snapshots: prepare flushes the tables that are
not in use; freeze goes on to BLOCK_COMMIT, behind which no table changes, of
InnoDB or of an engine without a log (MyISAM, Aria).  It waits for statements that
are writing to such a table, with lock_wait_timeout.  InnoDB's queries and open
transactions are not waited for.

MySQL has LOCK INSTANCE FOR BACKUP: files stay as they are, commits go on, InnoDB
recovers a copy as after a crash.

FLUSH TABLES WITH READ LOCK (lock = tables) is for both, where nothing else will
do.  Behind a long query it would hold up everybody, and in MySQL goes on doing so
after it was given up: while a query runs that is older than long_query, it is not
asked for.
"""

import math
import re
import time

from adapter import FREEBSD, Adapter, Refuse, must_listen, number, one_of, text_of
from session import Gone, Late, Session, as_user, client_path

STAGES = ("START", "FLUSH", "BLOCK_DDL", "BLOCK_COMMIT")
BUSY = "1205"       # Lock wait timeout exceeded
REMEDY = {
    "1045": "see user and defaults_file in %s",
    "1064": "this server does not know it: set another lock in %s",
    "1205": "a statement that writes keeps a table locked, or another backup is"
            " running: see SHOW PROCESSLIST",
    "1227": "grant it, see hv_vss_adapters(7)",
    "1698": "see user and os_user in %s",
    "2002": "see socket in %s",
}
OLD_QUERIES = """
SELECT COUNT(*) FROM information_schema.processlist WHERE
    command IN ('Query', 'Execute') AND time >= %d AND id <> CONNECTION_ID();
"""
MAY_LOOK = """
SELECT COUNT(*) FROM information_schema.user_privileges
    WHERE privilege_type = 'PROCESS';
"""


class Wrong(Refuse):
    """The server refused a statement; the session is over, and all it held."""

    def __init__(self, text, code):
        super().__init__(text)
        self.code = code


def marker(n):
    return "SELECT '##%d';" % n


class Connection:
    """One session.  The client ends with the first error."""

    def __init__(self, conf, path, until):
        if conf["host"]:
            must_listen((conf["host"], conf["port"]), "MariaDB or MySQL server")
            where = ["--protocol=tcp", "--host=" + conf["host"],
                     "--port=%d" % conf["port"]]
        else:
            must_listen(conf["socket"], "MariaDB or MySQL server")
            where = ["--protocol=socket", "--socket=" + conf["socket"]]
        client = client_path(conf["client"])
        if client is None:
            raise Refuse("a server runs, but there is no %s: install it, or set"
                         " client in %s" % (conf["client"], path))
        options = "--defaults-file=" + conf["defaults_file"] \
            if conf["defaults_file"] else "--no-defaults"
        user = conf["user"] or ("" if conf["defaults_file"] else "root")
        self._path = path
        # A client that connected again would have lost its locks unseen.
        self._session = Session(
            [client, options, "--batch", "--skip-column-names", "--unbuffered",
             "--skip-reconnect", "--connect-timeout=3", *where,
             *(["--user=" + user] if user else [])],
            marker, {}, as_user(conf["os_user"]))
        self.close = self._session.close
        self.ask("SET SESSION lock_wait_timeout = %d;" % conf["lock_wait"],
                 until)

    def ask(self, sql, until):
        try:
            return self._session.ask(sql, until)[0]
        except Late as e:
            raise Refuse("the server did not answer in time") from e
        except Gone as e:
            raise self._wrong(str(e)) from e

    def _wrong(self, text):
        found = re.search(r"ERROR (\d+).*?: (.*)", text)
        if not found:
            return Wrong("no session: %s" % text, "")
        code, words = found.groups()
        remedy = REMEDY.get(code, "see the server's log")
        if "%s" in remedy:
            remedy %= self._path
        return Wrong("%s (%s)" % (words, remedy), code)

    def beat(self):
        """Why the session is lost, or None."""
        try:
            self._session.beat("SELECT 1;")
        except Gone as e:
            return "the session that held it was lost: %s" % self._wrong(str(e))
        except Late:
            return "the session that held it does not take questions any more"
        return None


class MariaDB(Adapter):
    KEYS = {
        "client": (text_of, "mariadb"),
        "socket": (text_of, "/var/run/mysql/mysql.sock" if FREEBSD
                   else "/run/mysqld/mysqld.sock"),
        "host": (text_of, ""),
        "port": (number(1, 65535), 3306),
        "user": (text_of, ""),
        "defaults_file": (text_of, ""),
        "os_user": (text_of, ""),
        "lock": (one_of("stage", "instance", "tables"), "stage"),
        "lock_wait": (number(1, 60), 1),
        "long_query": (number(1, 3600), 2),
    }

    def __init__(self, conf, path):
        super().__init__(conf, path)
        self._session = None

    def _connect(self, until):
        """A session that works; what an earlier step opened may be lost."""
        try:
            if self._session is not None:
                self._session.ask("SELECT 1;", until)
        except Refuse:
            self._close()
        if self._session is None:
            self._session = Connection(self.conf, self.path, until)
        return self._session

    def check(self, until):
        """Takes and gives back what blocks nobody, so that a privilege that is
        missing shows."""
        try:
            s = self._connect(until)
            if self.conf["lock"] == "stage":
                s.ask("BACKUP STAGE START;", until)
                s.ask("BACKUP STAGE END;", until)
            elif self.conf["lock"] == "instance":
                s.ask("LOCK INSTANCE FOR BACKUP;", until)
                s.ask("UNLOCK INSTANCE;", until)
            else:
                s.ask("FLUSH LOCAL ENGINE LOGS;", until)
                if s.ask(MAY_LOOK, until) == ["0"]:
                    raise Refuse("GRANT PROCESS is missing: queries of others"
                                 " cannot be seen")
        finally:
            self._close()

    def prepare(self, until):
        s = self._connect(until)
        if self.conf["lock"] != "stage":
            return
        try:
            s.ask("BACKUP STAGE START;", until)
            s.ask("BACKUP STAGE FLUSH;", until)
            s.ask("BACKUP STAGE END;", until)
        except Wrong as e:
            if e.code != BUSY:
                raise
            self.note("tables are not flushed beforehand: %s" % e)
            self._close()

    def quiesce(self, until, hold_s):
        lock = {"stage": self._stage, "instance": self._instance,
                "tables": self._tables}[self.conf["lock"]]
        while True:
            s = self._connect(until)
            try:
                # The server lets go by itself if we are stopped.
                s.ask("SET SESSION wait_timeout = %d;" % math.ceil(hold_s),
                      until)
                lock(s, until)
                return True
            except Wrong as e:
                self._close()
                if e.code != BUSY or \
                        until - time.monotonic() < 2 * self.conf["lock_wait"]:
                    raise

    def _stage(self, s, until):
        for stage in STAGES:
            s.ask("BACKUP STAGE %s;" % stage, until)

    def _instance(self, s, until):
        s.ask("LOCK INSTANCE FOR BACKUP;", until)

    def _tables(self, s, until):
        old = OLD_QUERIES % self.conf["long_query"]
        while s.ask(old, until) != ["0"]:
            if until - time.monotonic() < 2 * self.conf["lock_wait"]:
                raise Refuse("a query runs for more than %d s: FLUSH TABLES WITH"
                             " READ LOCK would hold up everybody behind it (see"
                             " SHOW PROCESSLIST)" % self.conf["long_query"])
            time.sleep(0.05)
        s.ask("FLUSH TABLES WITH READ LOCK;", until)

    def resume(self, until):
        release = {"stage": "BACKUP STAGE END;",
                   "instance": "UNLOCK INSTANCE;", "tables": "UNLOCK TABLES;"}
        try:
            if self._session is not None:
                self._session.ask(release[self.conf["lock"]], until)
        except Wrong:
            pass    # It held nothing, or the end of the session lets go.
        finally:
            self._close()

    def lost(self):
        return self._session.beat() if self._session is not None else None

    def _close(self):
        if self._session is not None:
            self._session.close()
            self._session = None


class MySQL(MariaDB):
    KEYS = {**MariaDB.KEYS, "client": (text_of, "mysql"),
            "socket": (text_of, "/tmp/mysql.sock" if FREEBSD
                       else "/var/run/mysqld/mysqld.sock"),
            "lock": (one_of("instance", "tables", "stage"), "instance")}
