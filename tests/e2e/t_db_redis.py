#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
# isoroot: --fs ext4:256M --loops --bound 240 --with redis-server --with redis-check-aof --with redis-check-rdb
# e2e: 560
"""The adapter for Redis with a real server under load: what a copy that was taken
during the hold holds, what it costs, and each way in which it may fail."""

import os
import signal
import socket

import dbrig
import hvtest
from dbrig import Checkpoint, Guest, Load, Mounted, figure, must
from hvtest import Process, case, check, until

MOUNT, IMAGE = "/mnt/ext4", "/img/ext4.img"
# The least privileges that the manual names.
USER = ("ACL", "SETUSER", "hv_vss", "on", ">sesame", "+auth", "+ping", "+info",
        "+bgsave", "+config|get", "+config|set", "+client|setname",
        "+client|pause", "+client|unpause")
AOF = ("--appendonly", "yes", "--appendfsync", "everysec", "--save", "")
RDB = ("--save", "3600 1")


class Server(dbrig.Server):
    def __init__(self, data, name):
        super().__init__(data, "/run/redis.%s.sock" % name)

    def start(self, *options):
        return self.run([
            "redis-server", "--port", "0", "--unixsocket", self.sock, "--dir",
            self.data, "--dbfilename", "dump.rdb", *options])

    def again(self):
        """After its end, with the user that it has forgotten."""
        self.start(*AOF)
        check(self.ask(*USER) == "OK", "a user")

    def answers(self):
        try:
            return self.ask("PING") == "PONG"
        except OSError:
            return False

    def open(self):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.connect(self.sock)
        return s, s.makefile("rb")

    def ask(self, *words):
        s, f = self.open()
        with s, f:
            return ask(s, f, *words)

    def connect(self, c):
        """For Load: each commit changes two keys in one transaction."""
        s, f = self.open()

        def commit(n):
            for words in (("MULTI",), ("RPUSH", "rows:%d" % c, n),
                          ("SET", "again:%d" % c, n)):
                ask(s, f, *words)
            got = ask(s, f, "EXEC")
            assert got == [str(n), "OK"], got
        return commit

    def info(self, name):
        return next((line.partition(":")[2] for line in
                     self.ask("INFO", "all").split("\r\n")
                     if line.startswith(name + ":")), None)

    def stop(self):
        if self.process is not None:
            self.process.signal(signal.SIGCONT)
            self.process.kill()
            self.process = None


def ask(s, f, *words):
    s.sendall(b"*%d\r\n" % len(words) + b"".join(
        b"$%d\r\n%s\r\n" % (len(w), w) for w in
        (str(x).encode() for x in words)))
    return answer(f)


def answer(f):
    line = f.readline().decode().rstrip("\r\n")
    if line[:1] == "*":
        return [answer(f) for _ in range(int(line[1:]))]
    if line[:1] == "$":
        return f.read(int(line[1:]) + 2).decode()[:-2]
    return line[1:]


def server(options=AOF):
    """A new one on the scratch file system, for one case."""
    must(["rm", "-rf", MOUNT + "/db"])
    os.mkdir(MOUNT + "/db")
    s = Server(MOUNT + "/db", "case")
    s.start(*options)
    check(s.ask(*USER) == "OK", "a user")
    return s


def settings(s, **more):
    with open("/run/password", "w", encoding="ascii") as f:
        f.write("sesame\n")
    os.chmod("/run/password", 0o600)
    return list({"socket": s.sock, "user": "hv_vss",
                 "password_file": "/run/password", **more}.items())


def look(copy, load, options=AOF, held=True):
    """The server's own checks, and a server on the copy; how long that took."""
    with Mounted(copy.images[0]) as at:
        data = at + "/db"
        if options is AOF:
            out = must(["redis-check-aof",
                        data + "/appendonlydir/appendonly.aof.manifest"])
            check("is valid" in out and "not valid" not in out, out)
        else:
            must(["redis-check-rdb", data + "/dump.rdb"])
        s = Server(data, "copy")
        took = s.start(*options)
        try:
            found = [(int(s.ask("LLEN", "rows:%d" % c)),
                      int(s.ask("LINDEX", "rows:%d" % c, -1)),
                      int(s.ask("GET", "again:%d" % c)))
                     for c in range(dbrig.CLIENTS)]
        finally:
            s.stop()
    acked = load.before(copy.began)
    quiesced = load.before(copy.quiesced) if held else acked
    for c, (count, last, again) in enumerate(found):
        check(count == last == again, "client %d: %d rows, the last is %d and"
              " %d" % (c, count, last, again))
        if not held:
            continue
        check(last >= acked[c], "client %d: rows up to %d of %d acknowledged"
              % (c, last, acked[c]))
        check(last <= quiesced[c] + 1, "client %d: row %d is in the copy, %d was"
              " acknowledged at quiesce" % (c, last, quiesced[c]))
    if held:
        load.held(copy)
    return took


@case
def each_copy_has_every_acknowledged_row_and_is_whole():
    s = server()
    guest = Guest("redis", settings(s))
    load = Load(s.connect)
    dbrig.rounds(guest, load, [IMAGE], lambda copy: look(copy, load),
                 "Redis", dbrig.checkpoints())
    guest.end_adapter()


@case
def a_hold_keeps_writers_out_until_thaw():
    s = server()
    guest = Guest("redis", settings(s))
    load, copy = guest.holds_writers_out(s.connect, IMAGE)
    look(copy, load)


@case
def without_an_append_only_file_a_save_is_in_the_copy():
    s = server(RDB)
    guest = Guest("redis", settings(s))
    load = Load(s.connect)
    look(Checkpoint(guest, [IMAGE]), load, RDB, held=False)
    check(s.info("rdb_last_bgsave_status") == "ok", "the save")
    guest.end_adapter()
    guest.configure(settings(s, save="hold"))
    guest.start()
    load.progresses()
    look(Checkpoint(guest, [IMAGE]), load, RDB)
    load.progresses()
    check(s.ask("CONFIG", "GET", "stop-writes-on-bgsave-error")[1] == "yes",
          "the setting is as it was")


@case
def recovery_of_a_prepared_and_an_unprepared_copy():
    s = server()
    guest = Guest("redis", settings(s))
    load = Load(s.connect)
    load.progresses()
    prepared = look(Checkpoint(guest, [IMAGE]), load)
    guest.end_adapter()
    plain = look(Checkpoint(guest, [IMAGE]), load, held=False)
    figure("Redis, recovery", "prepared %.0f ms, unprepared %.0f ms"
           % (prepared / 1e6, plain / 1e6))


@case
def a_full_disk_is_told_and_no_write_is_refused_afterwards():
    s = server(RDB)
    guest = Guest("redis", settings(s))
    for n in range(200):
        s.ask("SET", "key:%d" % n, "x" * 10000)
    filler = dbrig.fill(MOUNT)
    guest.refuses("no room to save")
    check(s.ask("SET", "a", "b") == "OK", "a write is not refused")
    os.unlink(filler)
    # A save that is begun, and fails all the same.
    os.mkdir(MOUNT + "/db/dump.rdb")
    guest.refuses("the save failed", "is off until one works")
    check(s.ask("SET", "a", "c") == "OK", "a write is not refused")
    os.rmdir(MOUNT + "/db/dump.rdb")
    guest.succeeds(" when it can be made")
    check(s.ask("CONFIG", "GET", "stop-writes-on-bgsave-error")[1] == "yes",
          "the setting is as it was")


@case
def a_rewrite_that_is_under_way_is_waited_for():
    s = server()
    guest = Guest("redis", settings(s))
    s.ask("CONFIG", "SET", "rdb-key-save-delay", 20000)
    for n in range(50):
        s.ask("SET", "key:%d" % n, "x")
    s.ask("BGREWRITEAOF")
    check(s.info("aof_rewrite_in_progress") == "1", "a rewrite is under way")
    guest.succeeds()
    check(s.info("aof_rewrite_in_progress") == "0", "it has ended")
    guest.end_adapter()
    guest.configure(settings(s, prepare_limit="1"))
    guest.start()
    s.ask("CONFIG", "SET", "rdb-key-save-delay", 500000)
    s.ask("BGREWRITEAOF")
    guest.refuses("a rewrite of the append-only file takes too long")


@case
def a_server_that_is_down_takes_no_part_or_refuses_if_told_to():
    s = server()
    guest = Guest("redis", settings(s))
    guest.has_its_server_down(s, settings(s, down="refuse"),
                              "no Redis server at", s.again)


@case
def a_wrong_password_or_a_missing_grant_is_told():
    s = server()
    guest = Guest("redis", settings(s))
    with open("/run/password", "w", encoding="ascii") as f:
        f.write("wrong\n")
    guest.refuses("WRONGPASS", "password_file", op="check")
    guest.refuses("WRONGPASS")
    settings(s)
    s.ask("ACL", "SETUSER", "hv_vss", "-client|pause")
    guest.refuses("NOPERM", "grant it")
    s.ask("ACL", "SETUSER", "hv_vss", "+client|pause")
    guest.succeeds()


@case
def a_server_that_hangs_is_waited_for_within_the_limit():
    s = server()
    guest = Guest("redis", settings(s, prepare_limit="2", quiesce_limit="2"))
    guest.has_its_server_hang([s.process.pid])


@case
def a_long_script_is_waited_for_within_the_limit():
    s = server()
    guest = Guest("redis", settings(s, prepare_limit="2", quiesce_limit="2"))
    Process(["/usr/bin/python3", "-c", "import socket; s = socket.socket("
             "socket.AF_UNIX); s.connect(%r); s.sendall(b'EVAL \"while true do"
             " end\" 0\\r\\n'); s.recv(99)" % s.sock])
    until(lambda: s.ask("PING").startswith("BUSY"), "a long script", 20)
    guest.refuses("BUSY")
    s.ask("SCRIPT", "KILL")
    until(lambda: s.ask("PING") == "PONG", "the end of the script")
    guest.succeeds(" when it has ended")


@case
def an_adapter_that_is_killed_during_the_hold_is_a_lost_hold():
    s = server()
    Guest("redis", settings(s)).loses_its_adapter(Load(s.connect))


@dbrig.longer
def an_adapter_that_is_stopped_lets_go_all_the_same():
    s = server()
    Guest("redis", settings(s)).has_its_adapter_stopped(Load(s.connect))


@case
def a_server_that_is_killed_during_the_hold_is_a_lost_hold():
    s = server()
    guest = Guest("redis", settings(s))
    host = guest.hold()
    s.process.kill()
    s.again()
    guest.is_lost(host, "the session was lost")
    guest.succeeds(", the next one")


hvtest.main()
