#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
# isoroot: --fs ext4:256M,xfs:320M --bound 120
"""What the driver says on its status socket, to whom, and that nobody can make
it wait; what hv_vssctl status makes of it."""

import json
import os
import signal
import socket
import time

import hvtest
from hvtest import FREEZE, Device, Machine, case, check, until


def path(m):
    return m.dir + "/run/status.sock"


def connect(m, text=None, timeout=15):
    s = socket.socket(socket.AF_UNIX)
    hvtest.after(s.close)
    s.settimeout(timeout)
    s.connect(path(m))
    if text is not None:
        s.sendall(text)
    return s


def read_line(s):
    data = b""
    while not data.endswith(b"\n"):
        more = s.recv(65536)
        if not more:
            break
        data += more
    return data


def ask(m, text=b"status\n"):
    s = connect(m, text)
    try:
        return json.loads(read_line(s))
    finally:
        s.close()


def as_another_user(function):
    """Whether that is true when another user than root calls it."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            os._exit(0 if function() else 1)
        finally:
            os._exit(2)
    return os.waitpid(pid, 0)[1] == 0


def guest(**sets):
    m = Machine(**sets)
    m.start_driver()
    m.start_daemon()
    return m


def done(m, n=1):
    """Waits for the n-th checkpoint that the driver remembers."""
    return until(lambda: ask(m)["checkpoints"][n - 1:], "checkpoint %d" % n)[0]


@case
def status_says_how_the_driver_is():
    m = Machine()
    m.start_driver()
    got = ask(m)
    check(got["host"]["transport"] == "emu:" + m.socket, got["host"])
    check(not got["host"]["connected"], "no host yet")
    check(got["state"] == "IDLE" and not got["frozen"] and not got["daemon"],
          got)
    check(got["limits_ms"]["hold"] == 60000, got["limits_ms"])
    check(got["pid"] == m.driver.pid, got["pid"])
    check(got["checkpoints"] == [] and got["clients"] == [], got)


@case
def a_document_comes_without_a_word_and_for_each_line():
    m = Machine()
    m.start_driver()
    s = connect(m)
    s.shutdown(socket.SHUT_WR)
    check(json.loads(read_line(s))["state"] == "IDLE", "a document")
    check(s.recv(1) == b"", "one document")
    s = connect(m)
    for _ in range(3):
        s.sendall(b"status\n")
        check(json.loads(read_line(s))["state"] == "IDLE", "a document a line")
    s.sendall(b"freeze\n")
    check("error" in json.loads(read_line(s)), "no such request")


@case
def during_a_hold_status_names_who_takes_part_and_the_time_left():
    m = guest()
    app = Device(m.app_dev)
    app.poll(0)
    host = m.host("freeze", "hold=60000", "thaw")
    app.answer(opt=FREEZE)
    host.reply("freeze")
    got = ask(m)
    check(got["state"] == "HOLDING" and got["frozen"], got["state"])
    check(0 < got["time_left_ms"] <= 60000, got["time_left_ms"])
    check(got["host"] == {"transport": "emu:" + m.socket, "connected": True,
                          "framework": "3.0", "message": "5.0"}, got["host"])
    kinds = [(c["kind"], c["takes_part"]) for c in got["clients"]]
    check(sorted(kinds) == [("application", True), ("daemon", True)], kinds)
    status, out, _ = m.ctl("status")
    check(status == 0 and "HOLDING, frozen" in out, out)


@case
def a_checkpoint_is_remembered_with_its_times():
    m = guest()
    app = Device(m.app_dev)
    app.poll(0)
    host = m.host("check", "freeze", "hold=200", "thaw", "complete")
    for op in ("check", "freeze", "thaw"):
        app.answer()
    check(host.wait()[0] == 0, "a checkpoint")
    got = done(m)
    check(got["outcome"] == "ok" and got["consistency"] == "application", got)
    check(got["hold_ms"] >= 200 and got["stall_ms"] >= got["hold_ms"], got)
    check(abs(got["time_ms"] / 1000 - time.time()) < 60, got["time_ms"])
    for op in ("check", "freeze", "thaw"):
        check(got["host"][op]["result"] == "ok", got["host"])
    for c in got["clients"]:
        check(c["freeze"]["result"] == c["thaw"]["result"] == "ok", c)
    stages = list(got["stages"])
    check(stages == ["check", "prepare", "quiesce", "freeze", "hold", "thaw",
                     "resume"], stages)


@case
def a_refusal_is_remembered_with_who_and_why():
    m = guest()
    m.is_refused()
    got = done(m)
    check(got["outcome"] == "failed" and got["consistency"] == "none", got)
    check(got["reason"]["cause"] == "refused" and
          got["reason"]["pid"] == os.getpid(), got["reason"])
    status, out, _ = m.ctl("status")
    check(status == 2 and "FAILED" in out and "refused" in out, out)


@case
def a_lost_hold_is_remembered_as_lost():
    m = guest(hold=1)
    m.host("freeze", "hold=60000")
    got = done(m)
    check(got["outcome"] == "lost" and
          got["reason"]["cause"] == "hold-expired", got)
    check("setting hold" in got["reason"]["remedy"], got["reason"])
    check(ask(m)["lost"], "LOST")


@case
def without_a_daemon_a_failed_check_is_remembered():
    m = Machine()
    m.start_driver()
    check(m.host("check").wait()[0] == 3, "CHECK fails")
    got = done(m)
    check(got["reason"]["cause"] == "no-daemon", got["reason"])
    status, out, _ = m.ctl("status")
    check(status == 2 and "start hv_vss_daemon" in out, out)


@case
def only_who_may_read_the_socket_can():
    m = Machine(status_mode="0640")
    m.start_driver()
    check(os.stat(path(m)).st_mode & 0o777 == 0o640, "its mode")
    os.chmod(m.dir, 0o755)

    def is_kept_out():
        try:
            connect(m)
        except PermissionError:
            return True
        return False
    check(as_another_user(is_kept_out), "another user is kept out")


@case
def another_user_may_read_what_root_lets_him_but_not_follow():
    m = Machine(status_mode="0666")
    m.start_driver()
    os.chmod(m.dir, 0o755)
    check(as_another_user(lambda: ask(m)["state"] == "IDLE" and
                          "error" in ask(m, b"follow\n")),
          "status, and no follow")


@case
def who_does_not_read_or_speak_delays_nobody():
    m = guest()
    idle = [connect(m) for _ in range(5)]
    mute = connect(m)
    mute.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    for _ in range(200):
        try:
            mute.settimeout(0.05)
            mute.sendall(b"status\n")
        except OSError:
            break
    start = time.monotonic()
    check(m.host("check", "freeze", "thaw").wait()[0] == 0, "a checkpoint")
    check(time.monotonic() - start < 20, "soon")
    check(ask(m)["state"] == "IDLE", "who asks is answered")
    for s in idle:
        s.settimeout(20)
        check(s.recv(1) == b"", "who says nothing is sent away")


@case
def more_connections_than_there_is_room_for_are_turned_away():
    m = Machine()
    m.start_driver()
    conns = [connect(m) for _ in range(8)]
    late = connect(m)
    try:
        check(late.recv(1) == b"", "no room")
    except ConnectionResetError:
        pass
    for s in conns:
        s.close()

    def is_answered():
        try:
            return ask(m)["state"] == "IDLE"
        except (OSError, ValueError):
            return False
    until(is_answered, "room again")


@case
def garbage_on_the_socket_harms_nobody():
    m = Machine()
    m.start_driver()
    for text in (b"\0\0\0\0\n", b"x" * 500, b"{}\n", b"\n\n\n\n", b"\xff\n",
                 b"status\nstatus\nstatus\n", b"follow\nfollow\n"):
        s = connect(m, text)
        s.shutdown(socket.SHUT_WR)
        s.close()
    check(ask(m)["state"] == "IDLE", "it still answers")
    check(m.driver.alive(), "it lives")


@case
def who_follows_is_told_of_each_checkpoint_when_it_is_over():
    m = guest()
    s = connect(m, b"follow\n", timeout=10)
    for n in (1, 2):
        check(m.host("freeze", "thaw").wait()[0] == 0, "a checkpoint")
        got = json.loads(read_line(s))
        check(got["seq"] == n and got["outcome"] == "ok", got)
    s = connect(m, b"follow\n", timeout=10)
    first = json.loads(read_line(s).split(b"\n")[0])
    check(first["seq"] == 1, "later ones from the first on")


@case
def a_stopped_driver_does_not_hang_who_asks():
    m = Machine()
    m.start_driver()
    m.driver.signal(signal.SIGSTOP)
    status, _, err = m.ctl("status")
    check(status == 1 and "is it stopped?" in err, err)


@case
def without_a_driver_status_says_what_to_do():
    m = Machine()
    os.mkdir(m.where["run_dir"])
    status, _, err = m.ctl("status")
    check(status == 1 and "is hv_vss_driver running?" in err, err)


@case
def a_second_driver_leaves_the_first_one_its_socket():
    m = Machine()
    m.start_driver()
    other = Machine(run_dir=m.where["run_dir"])
    other.start_driver()
    other.driver.says("take from another driver")
    check(ask(m)["pid"] == m.driver.pid, "the first one's")
    m.driver.kill()
    m.start_driver()
    check(ask(m)["pid"] == m.driver.pid, "what a dead one left is taken")


@case
def what_could_not_be_written_was_a_success():
    m = guest()
    status, got = m.host(*["check", "freeze", "thaw"] * 20).wait()
    check(status == 0, f"backups: {got}")
    until(lambda: m.ctl("history", "--json")[1].count("\n") >= 20,
          "the history")
    sets = [f"--set={key}={value}" for key, value in m.where.items()]
    for program, *args in (
            ("hv_vssctl", "status"), ("hv_vssctl", "status", "--json"),
            ("hv_vssctl", "history"), ("hv_vssctl", "history", "--json"),
            ("hv_vssctl", "timeline"), ("hv_vssctl", "timeline", "--json"),
            ("hv_vssctl", "check"), ("hv_vssctl", "check", "--json"),
            ("hv_vss_daemon", "--check"), ("hv_vss_daemon", "--check",
                                           "--json")):
        status, out, _ = hvtest.run(
            ["sh", "-c", '"$@" 2>&1 >/dev/full', "sh",
             f"{hvtest.BIN}/{program}", *args, *sets])
        check(status == 1, f"{program} {args}: {status}")
        check(out.splitlines()[-1:] == [f"{program}: standard output cannot be"
              " written; what is there is not the whole"], f"{args}: {out}")


hvtest.main()
