#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
# isoroot: --fs ext4:256M,xfs:320M --bound 150
# timeout: 180
"""What goes wrong with backups, provoked; and that hv_vssctl then says what it
was, with application or mount, error and remedy, in check, status and history.
With HV_VSS_READ=1 the answers are printed, to be read."""

import json
import os
import signal

import hvtest
from hvtest import (BIN, FREEZE, SUCCESS, Device, Machine, Process, case,
                    check, freeze, thaw, until)


def guest(**sets):
    m = Machine(**sets)
    m.start_driver()
    m.start_daemon()
    return m


def says(m, command, *args, words=(), status=None):
    """What hv_vssctl says; it must have all the words."""
    code, out, err = m.ctl(command, *args)
    text = out + err
    if os.environ.get("HV_VSS_READ"):
        print("# $ hv_vssctl " + " ".join([command, *args]))
        for line in text.splitlines():
            print("#   " + line)
    for word in words:
        check(word in text, f"{command}: {word!r} in: {text}")
    check(status is None or code == status, f"{command}: exit status {code}")
    return text


def history(m, n, *words):
    """The history's n-th entry has all the words."""
    until(lambda: m.ctl("history", str(n))[0] == 0, f"entry {n}")
    says(m, "history", "--failed", words=words)


def failed(m, *words):
    """status says the words about the last checkpoint, and so does history."""
    until(lambda: m.ctl("status")[1].count("FAILED") or
          m.ctl("status")[1].count("LOST"), "a failure")
    says(m, "status", words=words, status=2)
    history(m, 1, *words)


class App:
    """An application that does not end with its test."""

    def __init__(self, m):
        self.device = Device(m.app_dev)
        self.device.poll(0)

    def acknowledge(self, opt):
        got, msgid = self.device.next()
        check(got == opt, f"{opt}, not {got}")
        self.device.write(opt, SUCCESS, msgid)


@case
def no_driver():
    m = Machine()
    says(m, "check", status=1, words=["FAILS", "is hv_vss_driver running?",
                                      "A backup would fail now"])


@case
def no_daemon():
    m = Machine()
    m.start_driver()
    m.host("check").wait()
    says(m, "check", status=1, words=["FAILS   freeze daemon",
                                      "start hv_vss_daemon"])
    says(m, "status", status=2, words=["start hv_vss_daemon", "FAILED"])


@case
def no_host():
    m = guest()
    says(m, "check", status=1, words=["FAILS   host", "not connected",
                                      "integration service"])


@case
def all_is_well():
    m = guest()
    app = App(m)
    m.host("hold=60000")
    until(lambda: "ok      host" in m.ctl("check")[1], "the host")
    says(m, "check", status=0, words=["ok      freeze daemon",
                                      "ok      application    python3",
                                      "A backup would work now, application"])
    app.device.close()
    says(m, "check", status=0, words=["file-system consistent"])


@case
def a_mount_that_vetoes():
    m = guest(**{"mount./mnt/xfs": "veto"})
    m.host("check").wait()
    failed(m, "/mnt/xfs", "exclude=/mnt/xfs")
    says(m, "check", "--set", "mount./mnt/xfs=veto", status=1,
         words=["A backup would be refused: /mnt/xfs"])


@case
def a_file_system_that_somebody_froze():
    m = guest()
    freeze("/mnt/ext4")
    m.host("freeze").wait()
    failed(m, "/mnt/ext4: freeze: Device or resource busy", "fsfreeze -u")
    thaw("/mnt/ext4")


@case
def a_file_system_that_somebody_thawed_in_the_hold():
    m = guest()
    host = m.host("freeze", "hold=1000", "thaw")
    host.reply("freeze")
    thaw("/mnt/xfs")
    host.wait()
    failed(m, "/mnt/xfs: thaw:", "another program thawed it")


@case
def an_application_that_is_silent():
    m = guest(quiesce=1)
    app = App(m)
    for n in (1, 2):
        m.host("freeze", "thaw").wait()
        failed(m, "application python3", "did not answer in time",
               "see that it runs")
    host = m.host("hold=60000")
    until(lambda: "ok      host" in m.ctl("check")[1], "the host")
    says(m, "check", status=0, words=["note    application",
                                      "silent twice", "file-system consistent"])
    says(m, "status", words=["silent twice, not waited for"])
    host.process.kill()
    app.device.close()


@case
def an_application_that_refuses():
    m = guest()
    run = Process([f"{BIN}/hv_vssctl", "run", "--name", "till", "--device",
                   m.app_dev, "--freeze", "echo the till is open; exit 1",
                   "--thaw", "true"])
    run.says("takes part")
    m.host("freeze").wait()
    failed(m, "application till", "the till is open")


@case
def an_application_that_dies_while_it_is_asked():
    m = guest()
    app = App(m)
    host = m.host("check")
    app.device.next()
    app.device.close()
    host.wait()
    failed(m, "closed the device before it answered", "see its log")


@case
def an_application_that_dies_in_the_hold():
    m = guest()
    app = App(m)
    host = m.host("freeze", "hold=2000", "thaw")
    app.acknowledge(FREEZE)
    host.reply("freeze")
    app.device.close()
    failed(m, "LOST", "application python3", "should have been at rest")


@case
def a_daemon_that_dies_in_the_hold():
    m = guest()
    host = m.host("freeze", "hold=2000", "thaw")
    host.reply("freeze")
    m.daemon.kill()
    until(lambda: "LOST" in m.ctl("status")[1], "LOST")
    says(m, "status", status=2, words=["the freeze daemon hv_vss_daemon",
                                       "start hv_vss_daemon"])


@case
def a_host_that_never_thaws():
    m = guest(hold=1)
    m.host("freeze", "hold=60000")
    failed(m, "LOST", "the host did not send THAW", "setting hold")


@case
def a_host_that_goes_away_in_the_hold():
    m = guest()
    host = m.host("freeze", "hold=60000")
    host.reply("freeze")
    host.process.kill()
    failed(m, "LOST", "the channel to the host went away", "back up again")


@case
def two_backups_at_once():
    m = guest()
    m.host("freeze", "freeze", "thaw").wait()
    until(lambda: "FAILED" in m.ctl("history")[1], "the second one's entry")
    says(m, "history", words=["another request was under way",
                              "only one program"])


@case
def a_daemon_that_is_stopped():
    m = guest(freeze=3, prepare=1)
    m.daemon.signal(signal.SIGSTOP)
    m.host("freeze").wait()
    says(m, "status", words=["the freeze daemon hv_vss_daemon",
                             "did not answer in time", "is not stopped"])
    m.daemon.signal(signal.SIGCONT)
    history(m, 1, "did not answer in time")


@case
def hooks_that_others_may_write():
    m = guest()
    hooks = m.dir + "/hooks.d"
    os.mkdir(hooks)
    with open(hooks + "/10-shop", "w", encoding="ascii") as f:
        f.write("#!/bin/sh\n")
    os.chmod(hooks + "/10-shop", 0o755)
    says(m, "check", "--hooks", hooks, words=["ok      hook           10-shop"])
    os.chmod(hooks + "/10-shop", 0o777)
    says(m, "check", "--hooks", hooks, status=1,
         words=["FAILS   hooks", "others may write it; chmod go-w"])


@case
def check_as_json_is_for_programs():
    m = guest()
    _, out, _ = m.ctl("check", "--json")
    got = json.loads(out)
    check(not got["works"] and got["plan"]["works"], got)
    states = {i["what"]: i["state"] for i in got["items"]}
    check(states["host"] == "fails" and states["driver"] == "ok", states)


hvtest.main()
