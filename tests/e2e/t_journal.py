#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
# isoroot: --fs ext4:256M,xfs:320M --bound 170
# timeout: 200
"""What the daemon writes down of each checkpoint, when, and what hv_vssctl
history makes of it; the figures for Prometheus."""

import json
import os
from xml.etree import ElementTree

import hvtest
from hvtest import (Device, Machine, case, check, freeze,
                    is_frozen, thaw, until)


def guest(**sets):
    m = Machine(**sets)
    m.state = sets.get("state_dir", m.where["state_dir"])
    m.where["state_dir"] = m.state
    m.start_driver()
    m.start_daemon()
    return m


def lines(m):
    """Whole entries of the history."""
    got = []
    for name in ("history.jsonl.1", "history.jsonl"):
        try:
            with open(f"{m.state}/{name}", encoding="utf-8") as f:
                for line in f:
                    try:
                        got.append(json.loads(line))
                    except ValueError:
                        pass
        except FileNotFoundError:
            pass
    return got


def entries(m, n):
    """Waits until there are so many."""
    until(lambda: len(lines(m)) >= n, f"{n} entries in the history")
    return lines(m)


def checkpoint(m, *actions):
    return m.host(*(actions or ("check", "freeze", "thaw"))).wait()[0]


@case
def a_checkpoint_leaves_an_entry_with_everybodys_times():
    m = guest()
    app = Device(m.app_dev)
    app.poll(0)
    host = m.host("check", "freeze", "hold=100", "thaw")
    for _ in range(3):
        app.answer()
    check(host.wait()[0] == 0, "a checkpoint")
    got = entries(m, 1)[0]
    check(got["id"] == 1 and got["outcome"] == "ok", got)
    check(got["consistency"] == "application", got)
    points = {f["mount"]: f for f in got["file_systems"]}
    check(sorted(points) == ["/mnt/ext4", "/mnt/xfs"], points)
    for f in points.values():
        for step in ("flush", "freeze", "thaw"):
            check(f[step]["result"] == "ok" and f[step]["ms"] >= 0, f)
        check(f["freeze"]["at_ms"] + 100 < f["thaw"]["at_ms"], f)
    status, out, _ = m.ctl("history")
    check(status == 0 and " ok " in out and "application" in out, out)
    status, out, _ = m.ctl("history", "1")
    check("/mnt/xfs (xfs)" in out and "python3, level 50" in out, out)
    status, out, _ = m.ctl("history", "--json")
    check(json.loads(out) == got, out)
    status, _, err = m.ctl("history", "7")
    check(status == 1 and "no such checkpoint" in err, err)


@case
def a_timeline_shows_who_was_at_rest_as_text_and_as_a_picture():
    m = guest()
    check(checkpoint(m, "freeze", "hold=100", "thaw") == 0, "a checkpoint")
    entries(m, 1)
    status, out, _ = m.ctl("timeline")
    check(status == 0 and "checkpoint 1: " in out, out)
    rows = out.splitlines()
    row = next(r for r in rows if r.startswith("/mnt/xfs"))
    check("#" in row and ">" in row and "<" in row, row)
    check(len(row) <= 80, "it fits a terminal")
    status, out, _ = m.ctl("timeline", "--svg", "-", "1")
    root = ElementTree.fromstring(out)
    texts = [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")]
    check("/mnt/ext4" in texts and "hold" in texts, texts)
    status, _, err = m.ctl("timeline", "2")
    check(status == 1 and "no such checkpoint" in err, err)
    _, out, _ = m.ctl("timeline", "--json", "1")
    check(json.loads(out) == lines(m)[0], out)


@case
def thaw_thaws_what_a_daemon_that_was_killed_left_frozen():
    m = guest()
    status, _, err = m.ctl("thaw")
    check(status == 0 and "names nothing that is frozen" in err, err)
    freeze("/mnt/ext4")
    status, out, _ = m.ctl("thaw", "--force", "--json", "--set",
                           f"freezer={hvtest.BUILD}/tests/hv_vss_freezer_test")
    check(status == 0 and json.loads(out) == {"thawed": True}, out)
    check(not is_frozen("/mnt/ext4"), "thawed")


@case
def a_refusal_before_the_freeze_is_written_at_once():
    m = guest()
    m.is_refused()
    got = entries(m, 1)[0]
    check(got["reason"]["who"] == "application", got["reason"])


@case
def a_file_system_that_somebody_froze_is_named_with_errno_and_remedy():
    m = guest()
    freeze("/mnt/ext4")
    check(checkpoint(m, "freeze") == 3, "FREEZE fails")
    got = entries(m, 1)[0]
    check(got["outcome"] == "failed", got)
    check("/mnt/ext4: freeze: Device or resource busy" in
          got["reason"]["said"] and "fsfreeze -u" in got["reason"]["said"],
          got["reason"])
    failed = [f for f in got["file_systems"] if "errno" in f]
    check([(f["mount"], f["errno"], f["failed"]) for f in failed] ==
          [("/mnt/ext4", 16, "freeze")], failed)
    thaw("/mnt/ext4")
    _, out, _ = m.ctl("history", "--failed")
    check("FAILED" in out and "/mnt/ext4: freeze:" in out, out)


@case
def a_check_that_fails_leaves_an_entry():
    m = guest(**{"mount./mnt/xfs": "veto"})
    check(checkpoint(m, "check") == 3, "CHECK fails")
    got = entries(m, 1)[0]
    check(got["outcome"] == "failed" and "/mnt/xfs" in got["reason"]["said"],
          got)
    check("freeze" not in got["host"], got["host"])


@case
def a_lost_hold_leaves_an_entry():
    m = guest(hold=1)
    m.host("freeze", "hold=60000")
    got = entries(m, 1)[0]
    check(got["outcome"] == "lost" and
          got["reason"]["cause"] == "hold-expired", got)


@case
def what_happened_without_a_daemon_is_written_by_the_next():
    m = Machine()
    m.state = m.where["state_dir"]
    m.start_driver()
    check(checkpoint(m, "check") == 3, "CHECK fails")
    m.start_daemon()
    got = entries(m, 1)[0]
    check(got["reason"]["cause"] == "no-daemon", got["reason"])
    m.daemon.end()
    m.start_daemon()
    check(checkpoint(m) == 0, "a checkpoint")
    got = entries(m, 2)
    check([e["id"] for e in got] == [1, 2] and
          [e["seq"] for e in got] == [1, 2], got)


@case
def a_history_on_what_is_frozen_is_written_after_the_thaw():
    m = guest(state_dir="/mnt/ext4/state")
    for n in range(1, 4):
        host = m.host("freeze", "hold=300", "thaw", "freeze", "hold=300",
                      "thaw")
        host.reply("freeze")
        check(is_frozen("/mnt/ext4"), "frozen")
        check(host.wait()[0] == 0, "two checkpoints, one behind the other")
        got = entries(m, 2 * n)
    check([e["id"] for e in got] == list(range(1, 7)), got)


@case
def a_disk_that_hangs_delays_nobody():
    m = guest(state_dir="/mnt/ext4/hung", exclude="/mnt/ext4")
    check(checkpoint(m) == 0, "a checkpoint")
    entries(m, 1)
    freeze("/mnt/ext4")
    for _ in range(3):
        check(checkpoint(m) == 0, "a checkpoint while the history hangs")
    check(m.ctl("status")[0] != 1, "status")
    thaw("/mnt/ext4")
    got = entries(m, 4)
    check([e["seq"] for e in got] == [1, 2, 3, 4], got)


@case
def a_torn_line_is_ended_and_left_out():
    m = guest()
    check(checkpoint(m) == 0, "a checkpoint")
    entries(m, 1)
    with open(f"{m.state}/history.jsonl", "a", encoding="utf-8") as f:
        f.write('{"id":2,"run":1,"outc')
    check(checkpoint(m) == 0, "a checkpoint")
    got = entries(m, 2)
    check([e["id"] for e in got] == [1, 2], got)
    status, out, err = m.ctl("history")
    check(status == 0 and "1 lines" in err and out.count(" ok ") == 2,
          out + err)


@case
def a_daemon_killed_at_any_moment_writes_each_entry_once():
    m = guest()
    for n in range(1, 9):
        check(checkpoint(m) == 0, "a checkpoint")
        m.daemon.kill()
        until(lambda: not hvtest.pids_of("hv_vss_freezer"), "their end")
        m.start_daemon()
    got = entries(m, 8)
    check([e["seq"] for e in got] == list(range(1, 9)), got)


@case
def a_full_file_is_put_aside_and_the_numbers_go_on():
    m = guest()
    check(checkpoint(m) == 0, "a checkpoint")
    entries(m, 1)
    name = f"{m.state}/history.jsonl"
    with open(name, encoding="utf-8") as f:
        line = f.read()
    with open(name, "a", encoding="utf-8") as f:
        for n in range(2, 2 + (4 << 20) // len(line)):
            f.write(line.replace('"id":1,', '"id":%d,' % n))
    check(checkpoint(m) == 0, "a checkpoint")
    until(lambda: os.path.exists(name + ".1"), "the old file")
    until(lambda: os.stat(name).st_size < 4096, "a new one")
    with open(name, encoding="utf-8") as f:
        got = json.loads(f.read())
    check(got["id"] == n + 1, got["id"])
    _, out, _ = m.ctl("history", "-n", "3")
    check(len(out.splitlines()) == 4, out)


@case
def a_history_that_cannot_be_written_is_said_once_and_backups_work():
    m = guest(state_dir="/proc/nowhere")
    for _ in range(3):
        check(checkpoint(m) == 0, "a checkpoint")
    m.daemon.says("/proc/nowhere/history.jsonl: cannot make")
    check(m.daemon.output().count("cannot make") == 1, m.daemon.output())


def figures(m):
    try:
        with open(m.dir + "/hv_vss.prom", encoding="utf-8") as f:
            return dict(line.rsplit(" ", 1) for line in f
                        if not line.startswith("#"))
    except FileNotFoundError:
        return {}


@case
def figures_that_cannot_be_written_do_not_end_the_history():
    m = guest(prometheus="/nowhere/hv_vss.prom")
    n = 400
    for _ in range(n):
        check(checkpoint(m, "freeze", "thaw") == 0, "a checkpoint")
    until(lambda: len(lines(m)) == n, "an entry of each", 30)


@case
def prometheus_finds_successes_and_failures_by_reason():
    m = Machine()
    m.state = m.where["state_dir"]
    m.where["prometheus"] = m.dir + "/hv_vss.prom"
    m.start_driver()
    m.start_daemon()
    check(checkpoint(m) == 0, "a checkpoint")
    ok = 'hv_vss_checkpoints_total{outcome="ok"}'
    until(lambda: figures(m).get(ok) == "1\n", "one success")
    success = figures(m)["hv_vss_last_success_timestamp_seconds"]
    check(float(success) > 1e9, success)
    m.daemon.end()
    check(checkpoint(m, "check") == 3, "CHECK fails")
    m.start_daemon()
    failed = 'hv_vss_failures_total{reason="no-daemon"}'
    until(lambda: figures(m).get(failed) == "1\n", "one failure")
    got = figures(m)
    check(got[ok] == "1\n" and
          got["hv_vss_last_success_timestamp_seconds"] == success and
          got["hv_vss_last_checkpoint_success"] == "0.000\n", got)
    check(checkpoint(m) == 0, "a checkpoint")
    until(lambda: figures(m).get(ok) == "2\n", "another success")
    check(not os.path.exists(m.dir + "/hv_vss.prom.tmp"), "nothing beside it")


hvtest.main()
