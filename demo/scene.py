#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause

"""What demo/run shows, inside the isolated root: scene.py BINDIR.

SQLite on ext4 and PostgreSQL on xfs commit numbered rows without pause; the rows
that were acknowledged are logged on the memory file system, which nothing
freezes.  The emulated host takes one production checkpoint and copies the images
while it holds.  Then the copy is looked at as a restore would find it, beside
one that was taken without asking anybody.
"""

import json
import os
import shutil
import sys
import traceback

import cast
import verdict
from cast import Actor, AckLog, Failed, Pg, HERE, LOGS, PYTHON
from timeline import Timeline

BIN = "/hv/bin"
HOST = LOGS + "/host.sock"
DRIVER_TRACE = LOGS + "/driver.trace"
DAEMON_TRACE = LOGS + "/daemon.trace"
HELD = LOGS + "/sqlite.held"
COPY = LOGS + "/copy"
PLAIN = LOGS + "/plain"
EXT4, XFS = "/mnt/ext4", "/mnt/xfs"
IMAGES = ["/img/ext4.img", "/img/xfs.img"]
ROWS = 100  # that each writer has before anything happens, and more after


def say(text):
    print(text, flush=True)


def path_of(name):
    return os.path.join(HERE, name)


class Scene:
    def __init__(self, bindir):
        self.actors = []
        self.pg = Pg(bindir, os.path.join(XFS, verdict.PGDATA), "/run/demo/pg")
        self.sqlite_path = os.path.join(EXT4, verdict.SQLITE)
        self.acks = {"SQLite": AckLog(LOGS + "/sqlite.acks"),
                     "PostgreSQL": AckLog(LOGS + "/pg.acks")}
        self.writers = []
        self.paced = {}
        self.guest = []

    def actor(self, name, argv):
        a = Actor(name, argv)
        self.actors.append(a)
        return a

    def start_databases(self):
        say("== SQLite on ext4 and PostgreSQL on xfs, committing rows")
        self.writers.append(self.actor("sqlite_writer", [
            PYTHON, path_of("sqlite_writer.py"), self.sqlite_path,
            self.acks["SQLite"].path]))
        self.pg.create()
        self.pg.start("postgres")
        self.writers.append(self.actor("pg_writer", [
            PYTHON, path_of("pg_writer.py"), self.acks["PostgreSQL"].path,
            *self.pg.client()]))
        for fs in (EXT4, XFS):
            name = "paced_" + os.path.basename(fs)
            self.paced[fs] = self.actor(name, [
                PYTHON, path_of("paced_writer.py"), fs + "/paced",
                "%s/%s.json" % (LOGS, name)])
        self.progress(ROWS)

    def progress(self, rows):
        """Waits until every writer has committed so many more rows."""
        before = {name: log.last() for name, log in self.acks.items()}

        def done():
            for a in [*self.writers, *self.paced.values()]:
                a.must_live()
            return all(log.last() >= before[name] + rows
                       for name, log in self.acks.items())
        cast.until(done, "%d more rows in each database" % rows, 60)

    def copy_plainly(self):
        say("== a copy without asking anybody, as a plain backup would read it,"
            " for the contrast")
        os.mkdir(PLAIN)
        self.plain_acked = {n: log.last() for n, log in self.acks.items()}
        for image in IMAGES:
            cast.copy_paced(image, PLAIN)

    def start_guest(self):
        say("== driver, freeze daemon and the applications' participants")
        driver = self.actor("driver", [
            BIN + "/hv_vss_driver", "--transport", "emu:" + HOST, "-n",
            "--set", "trace=" + DRIVER_TRACE])
        driver.says("ready")
        app = "/dev/hv_appvss_dev"
        daemon = self.actor("daemon", [
            BIN + "/hv_vss_daemon", "-n", "--set", "trace=" + DAEMON_TRACE])
        sqlite = self.actor("hold_sqlite", [
            BIN + "/hv_vssctl", "run", "--name", "sqlite", "--device", app,
            "--coprocess", "exec %s %s %s %s" % (
                PYTHON, path_of("sqlite_hold.py"), self.sqlite_path, HELD)])
        checkpoint = " ".join([*self.pg.client(), "-c", "CHECKPOINT"])
        pg = self.actor("hold_pg", [
            BIN + "/hv_vssctl", "run", "--name", "postgresql", "--device", app,
            "--prepare", checkpoint, "--freeze", "true", "--thaw", "true"])
        self.guest = [sqlite, pg, daemon, driver]  # the order of their ends
        daemon.says("serving", 30)
        for a in (sqlite, pg):
            a.says("takes part", 30)

    def checkpoint(self):
        say("== the host takes a production checkpoint")
        os.mkdir(COPY)
        host = self.actor("host", [
            BIN + "/hv_vss_host", "--listen", HOST, "--json", "--wait", "30",
            "checkpoint=sh %s %s %s" % (path_of("snapshot.sh"), COPY,
                                        " ".join(IMAGES))])
        status = host.proc.wait(180)
        for line in cast.read_json_lines(host.log):
            say("   host: %-9s %-4s %8.1f ms" % (
                line["op"], line["reply"], line.get("ms") or 0))
        if status != 0:
            raise Failed("hv_vss_host ended with status %d: %s"
                         % (status, host.output().strip()[-300:]))

    def let_go(self):
        say("== nothing stayed frozen: every writer goes on")
        self.progress(ROWS)
        for fs, a in self.paced.items():
            a.must_live()
            a.end()
        for a in self.guest:
            a.must_live()
            if a.end() != 0:
                raise Failed("%s ended with status %d: %s" % (
                    a.name, a.proc.returncode, a.output().strip()[-300:]))
        for a in self.writers:
            a.must_live()
            a.end()
        self.pg.stop()

    def look(self):
        with open(COPY + "/began", encoding="ascii") as f:
            # Hundredths of a second, rounded down: a row acknowledged then
            # was so before.
            began_ns = int(float(f.read()) * 1e9)
        with open(HELD, encoding="ascii") as f:
            held = json.load(f)["last"]
        bindir = self.pg.bindir
        say("== the copy that was taken while everything held")
        checks = verdict.Checks()
        ext4, xfs = (os.path.join(COPY, os.path.basename(x)) for x in IMAGES)
        verdict.ext4(checks, ext4)
        verdict.sqlite_held(checks, ext4, held,
                            self.acks["SQLite"].last_before(began_ns))
        verdict.xfs(checks, xfs, bindir,
                    self.acks["PostgreSQL"].last_before(began_ns), "pg_copy")
        checks.show("WRONG ")
        self.look_at_plain(bindir)
        if checks.bad():
            raise Failed("the copy: " + "; ".join(checks.bad()))

    def look_at_plain(self, bindir):
        """Shown, not judged: it may be whole by luck."""
        say("== the copy without asking anybody: what may go wrong")
        checks = verdict.Checks()
        ext4, xfs = (os.path.join(PLAIN, os.path.basename(x)) for x in IMAGES)
        try:
            verdict.ext4(checks, ext4)
            verdict.sqlite_crashed(checks, ext4, self.plain_acked["SQLite"])
            verdict.xfs(checks, xfs, bindir, self.plain_acked["PostgreSQL"],
                        "pg_plain")
        except Failed as e:
            checks.add(False, verdict.first_line(str(e)))
        checks.show("damage")

    def figures(self):
        line = Timeline(DRIVER_TRACE, DAEMON_TRACE)
        say("== the time line, ms from the host's FREEZE")
        for text in line.lines():
            say("   " + text)
        stalls = {}
        for fs, a in self.paced.items():
            with open("%s/%s.json" % (LOGS, a.name), encoding="ascii") as f:
                gaps = json.load(f)
            stalls[fs] = line.longest(gaps)
            say("   longest stall of a small writer on %s: %.1f ms"
                % (os.path.basename(fs), stalls[fs]))
        frozen, apps = line.frozen(), line.apps()
        if len(frozen) != len(IMAGES):
            raise Failed("%d file systems were frozen, not %d"
                         % (len(frozen), len(IMAGES)))
        if len(apps) != len(self.acks):
            raise Failed("%d applications took part, not %d"
                         % (len(apps), len(self.acks)))
        return "frozen=%d apps=%d stall_ms=%.1f hold_ms=%.1f" % (
            len(frozen), len(apps), max(stalls.values()), line.hold_ms())

    def end_all(self):
        for a in reversed(self.actors):
            try:
                a.end()
            except Failed as e:
                say("   %s" % e)
        self.pg.stop()


def main():
    os.makedirs(LOGS, exist_ok=True)
    scene = Scene(sys.argv[1])
    try:
        scene.start_databases()
        scene.copy_plainly()
        scene.start_guest()
        scene.checkpoint()
        scene.let_go()
        scene.look()
        result = "demo: ok " + scene.figures()
        status = 0
    except Failed as e:
        result, status = "demo: FAILED: %s" % " ".join(str(e).split()), 1
    except (OSError, ValueError, KeyError) as e:
        traceback.print_exc(file=sys.stdout)
        result, status = "demo: FAILED: %s" % e, 1
    scene.end_all()
    if status != 0:
        for a in scene.actors:
            for text in a.output().splitlines()[-8:]:
                say("   | %s: %s" % (a.name, text))
    shutil.rmtree(PLAIN, ignore_errors=True)
    say(result)
    sys.exit(status)


if __name__ == "__main__":
    main()
