#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
#
# isoroot: --fs a=ext4:64M,b=xfs:320M,c=ext4:16M@a --bound 110 --sys

"""hv_vss.conf(5): who reads it, when, what wins, and what comes of it."""

import json
import os
import re
import signal

import hvtest
from hvtest import case, check, until

CONF = "/etc/hv_vss.conf"
DAEMON = f"{hvtest.BIN}/hv_vss_daemon"
CTL = f"{hvtest.BIN}/hv_vssctl"
MOUNTS = ["/mnt/a", "/mnt/b", "/mnt/c"]


def configure(*lines, path=CONF):
    """Writes the file; it is gone when the case is over."""
    with open(path, "w", encoding="ascii") as f:
        f.write("".join(line + "\n" for line in lines))
    hvtest.after(lambda: os.path.exists(path) and os.unlink(path))


def machine(**sets):
    m = hvtest.Machine(**sets)
    m.start_driver()
    m.start_daemon()
    return m


def checkpoint(m):
    """Which are frozen during a hold; the replies."""
    host = m.host("freeze", "hold=300", "thaw")
    reply = host.reply("freeze")
    frozen = [p for p in MOUNTS if reply["reply"] == "ok"
              and hvtest.is_frozen(p)]
    host.wait()
    return frozen, reply["reply"]


def reread(m, said):
    """SIGHUP, and what comes of it."""
    before = m.daemon.output().count(said)
    m.daemon.signal(signal.SIGHUP)
    until(lambda: m.daemon.output().count(said) > before, said)


@case
def the_default_file_is_read_by_driver_and_daemon():
    configure("exclude = /mnt/b  # a comment", "hold = 1")
    m = machine()
    host = m.host("freeze", "hold=1500", "thaw")
    check(host.reply("freeze")["reply"] == "ok", "frozen")
    check(hvtest.is_frozen("/mnt/a") and not hvtest.is_frozen("/mnt/b"),
          "a is frozen, b is not")
    check(host.reply("thaw")["reply"] == "fail", "the hold is over after 1 s")


@case
def another_file_and_the_command_line_win():
    configure("hodl = not read")
    configure("exclude = /mnt/b", "type.ext4 = ignore", "empty = allow",
              path="/run/other.conf")
    argv = [DAEMON, "--check", "-c", "/run/other.conf"]
    status, out, err = hvtest.run(argv)
    check(status == 0 and "0 frozen" in out, out + err)
    status, out, err = hvtest.run(argv + ["--set", "type.ext4=freeze"])
    check(status == 0 and "2 frozen" in out, out + err)
    argv = [DAEMON, "--check", "--set", "type.ext4=freeze", "-c",
            "/run/other.conf"]
    check(hvtest.run(argv)[1] == out, "whatever the order")


@case
def a_mistake_in_the_file_ends_the_start_with_its_place():
    configure("hold = 2", "", "exlude = /srv")
    said = f"{CONF}:3: exlude: no such setting; the nearest is exclude"
    for argv in ([DAEMON, "-n"], [DAEMON, "--check"], [CTL, "check"],
                 [f"{hvtest.BIN}/hv_vss_driver", "-n", "--transport",
                  "emu:/run/none"]):
        status, out, err = hvtest.run(argv)
        check(status == 1 and said in err and err.count("\n") == 1,
              f"{argv}: {status} {out} {err}")
    os.chmod(CONF, 0o666)
    status, _, err = hvtest.run([DAEMON, "--check"])
    check(status == 1 and "others may write it; chmod go-w" in err, err)
    status, _, err = hvtest.run([DAEMON, "--check", "-c", "/run/absent"])
    check(status == 1 and "/run/absent: No such file" in err, err)


@case
def what_is_frozen_is_thawed_whatever_is_wrong_with_the_file():
    configure("nonsense")
    hvtest.freeze("/mnt/a")
    status, out, err = hvtest.run(
        [DAEMON, "--thaw-all", "--force", "--set", "run_dir=/run/thawer",
         "--set", f"freezer={hvtest.BUILD}/tests/hv_vss_freezer_test"])
    check(status == 0, f"{status} {out} {err}")
    check(not hvtest.is_frozen("/mnt/a"), "a is thawed")
    check("thawing without that file" in err, err)


@case
def types_and_mounts_are_treated_as_the_rules_say():
    configure("type.xfs = sync", "mount./mnt/c = ignore", "threads = 1")
    m = machine()
    frozen, reply = checkpoint(m)
    check(reply == "ok" and frozen == ["/mnt/a"], f"{reply} {frozen}")


@case
def one_thread_freezes_and_thaws_them_all():
    m = machine(threads=1)
    for _ in range(3):
        frozen, reply = checkpoint(m)
        check(reply == "ok" and frozen == MOUNTS, f"{reply} {frozen}")
    for p in MOUNTS:
        hvtest.Writer(p)


@case
def the_line_that_a_veto_names_allows_the_backup():
    configure("type.xfs = veto")
    m = machine()
    check(checkpoint(m)[1] == "fail", "xfs is a veto")
    line = re.search(r"/mnt/b: .*(exclude=\S+)", m.daemon.output()).group(1)
    configure("type.xfs = veto", line)
    reread(m, "the policy was read again from /etc/hv_vss.conf")
    check(checkpoint(m) == (["/mnt/a", "/mnt/c"], "ok"), "without b it works")


@case
def sighup_keeps_the_old_policy_when_the_new_one_is_bad():
    configure("exclude = /mnt/b")
    m = machine()
    configure("exclude = mnt/b")
    reread(m, f"{CONF}:1: exclude=mnt/b: not allowed")
    check("the policy stays as it was" in m.daemon.output(), "it says so")
    check(checkpoint(m) == (["/mnt/a", "/mnt/c"], "ok"), "as it was")
    os.unlink(CONF)
    reread(m, "the policy was read again")
    check(checkpoint(m) == (MOUNTS, "ok"), "without a file all are frozen")


@case
def sighup_during_a_hold_waits_for_its_end():
    m = machine()
    host = m.host("freeze", "hold=1000", "thaw")
    check(host.reply("freeze")["reply"] == "ok", "frozen")
    configure("exclude = /mnt/b")
    m.daemon.signal(signal.SIGHUP)
    check(all(map(hvtest.is_frozen, MOUNTS)), "all are frozen")
    check(host.reply("thaw")["reply"] == "ok", "the hold held")
    m.daemon.says("the policy was read again")
    host.wait()
    check(checkpoint(m)[0] == ["/mnt/a", "/mnt/c"], "b is left out")


@case
def daemon_and_hv_vssctl_check_print_the_same_plan():
    for lines, status in ((["exclude = /mnt/b"], 0), (["type.xfs=veto"], 1)):
        configure(*lines)
        for options in ([], ["--json"], ["--set", "policy=strict"]):
            one = hvtest.run([DAEMON, "--check", *options])
            two = hvtest.run([CTL, "check", *options])
            if "--json" in options:
                same = json.loads(one[1]) == json.loads(two[1])["plan"]
            else:
                # The last line is the verdict on more than the plan.
                same = one[1].splitlines()[:-1] == [
                    line for line in two[1].splitlines()
                    if line in one[1].splitlines()[:-1]]
            check(same, f"{one} {two}")
            check(one[0] == status and two[0] == 1,
                  f"no driver is there: {one} {two}")
        plan = json.loads(hvtest.run([CTL, "check", "--json"])[1])["plan"]
        check(plan["works"] == (status == 0), str(plan))
        check(len(plan["mounts"]) == sum(
            plan[a] for a in ("freeze", "sync", "veto", "leave")), str(plan))
    veto = [p for p in plan["mounts"] if p["action"] == "veto"]
    check([p["mount"] for p in veto] == ["/mnt/b"], str(veto))
    check(veto[0]["remedies"] == ["exclude=/mnt/b"], str(veto))
    steps = {p["mount"]: p.get("step") for p in plan["mounts"]}
    check(steps["/mnt/c"] < steps["/mnt/a"], "the image before its ground")


hvtest.main()
