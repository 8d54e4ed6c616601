#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
"""What programs say of their own use, and of a command line that is wrong."""

import os
import tempfile

import hvtest
from hvtest import BIN, case, check

ADAPTER = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))), "hooks", "hv_vss_adapter")
CTL = f"{BIN}/hv_vssctl"
COMMANDS = ("check", "history", "run", "status", "test", "thaw", "timeline")


@case
def every_command_says_how_it_is_used():
    for command in COMMANDS:
        for word in ("--help", "-h"):
            status, out, err = hvtest.run([CTL, command, word])
            check(status == 0 and err == "", f"{command}: {status} {err}")
            check(out.startswith(f"usage: hv_vssctl {command} "), out)
            check("\n  --set KEY=VALUE  " in out, out)
            check(all(len(line) <= 80 for line in out.splitlines()), out)
        status, _, err = hvtest.run(
            ["sh", "-c", '"$@" >/dev/full', "sh", CTL, command, "--help"])
        check(status == 1 and "not the whole" in err, f"{command}: {err}")
    status, out, err = hvtest.run([CTL, "--help"])
    check(status == 0 and err == "", f"{status} {err}")
    for command in COMMANDS:
        check(f" hv_vssctl {command} " in out, f"{command}: {out}")


@case
def a_wrong_command_line_is_said_with_command_cause_and_remedy():
    for argv, said in (
            (["stat"], "stat: no such command; `hv_vssctl --help' lists them"),
            (["status", "all"], "status: all: not understood; `hv_vssctl status"
             " --help' lists the options"),
            (["check", "--hooks", "/run/none"], "check: --hooks /run/none: "
             "not allowed; No such file or directory"),
            (["history", "-n", "0"],
             "history: -n 0: not allowed; a number from 1 on"),
            (["history", "x"],
             "history: x: not allowed; a checkpoint's number"),
            (["history", "9" * 30],
             f"history: {'9' * 30}: not allowed; a checkpoint's number"),
            (["timeline", "first"],
             "timeline: first: not allowed; a checkpoint's number, or last"),
            (["test", "-y", "--hold", "11"],
             "test: --hold 11: not allowed; seconds, from 0 to 10"),
            (["test", "-y", "now"], "test: now: not understood; `hv_vssctl test"
             " --help' lists the options"),
            (["thaw", "/srv"], "thaw: /srv: not understood; `hv_vssctl thaw"
             " --help' lists the options"),
            (["status", "--set", "hod=3"], "hod: no such setting; the "
             "nearest is hold, hv_vss.conf(5) has all"),
            (["thaw", "--set", "hod=3"], None)):
        status, out, err = hvtest.run([CTL, *argv])
        check(status == 1 and out == "", f"{argv}: {status} {out}")
        check(err.count("\n") == 1 and "without that file" not in err, err)
        check(said is None or err == f"hv_vssctl: {said}\n", f"{argv}: {err}")
    for command in COMMANDS:
        status, out, err = hvtest.run([CTL, command, "--bogus"])
        check(status == 1 and out == "", f"{command}: {status} {out}")
        check(err.splitlines() == [
            f"hv_vssctl: {command}: unrecognized option '--bogus'",
            f"hv_vssctl: {command}: `hv_vssctl {command} --help' lists the "
            "options"], err)


@case
def options_of_the_daemon_that_do_not_go_together_are_refused():
    for argv, said in (
            (["--check", "--thaw-all"], "--check and --thaw-all exclude each "
             "other"),
            (["--thaw-all", "--check"], "--check and --thaw-all exclude each "
             "other"),
            (["-n", "--json"], "--json without --check: not an option"),
            (["-n", "--force"], "--force without --thaw-all: not an option"),
            (["--check", "now"], "now: not an option")):
        status, out, err = hvtest.run([f"{BIN}/hv_vss_daemon", *argv])
        check(status == 1 and out == "" and err == f"hv_vss_daemon: {said}\n",
              f"{argv}: {status} {out} {err}")


@case
def an_adapters_settings_that_were_named_must_be_there():
    with tempfile.TemporaryDirectory() as top:
        path = f"{top}/shop.conf"
        for how in (["--try"], []):
            status, out, err = hvtest.run(
                [ADAPTER, *how, "-c", path, "sqlite"])
            check(status == 1 and out == "", f"{how}: {status} {out}")
            check(err == f"hv_vss_adapter: {path}: No such file or directory;"
                  " without -c all settings have their defaults\n", err)
        with open(path, "w", encoding="ascii"):
            pass
        status, out, err = hvtest.run([ADAPTER, "--try", "-c", path, "sqlite"])
        check(status == 0 and "check " in out, f"{status} {out} {err}")


@case
def an_adapter_that_is_tried_and_cannot_say_so_thaws_all_the_same():
    with tempfile.TemporaryDirectory() as top:
        with open(f"{top}/shop.conf", "w", encoding="ascii") as f:
            f.write(f"file = {top}/none\n")
        trace = (f"import sys; sys.path.insert(0, {os.path.dirname(ADAPTER)!r});"
                 "sys.dont_write_bytecode = True; import db_sqlite;"
                 "db_sqlite.SQLite.resume = lambda *a: print('thawed',"
                 " file=sys.stderr); from adapter import *;"
                 f"c = db_sqlite.SQLite; p = {top + '/shop.conf'!r};"
                 "sys.exit(try_out(c(read_settings(p, c.KEYS), p)))")
        for how in ('"$@" >/dev/full', '{ "$@"; echo $? >&2; } | true'):
            _, _, err = hvtest.run(["bash", "-c", how + "; exit 0", "bash",
                                    "/usr/bin/python3", "-c", trace])
            check("thawed" in err and "Traceback" not in err, err)


hvtest.main()
