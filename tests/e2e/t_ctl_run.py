#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
# isoroot: --bound 150
"""`hv_vssctl run` as a participant: commands and a co-process, and that thaw is
run whatever becomes of the host, the driver or itself.  A stand-in for the freeze
daemon answers at once; nothing is frozen."""

import os
import signal
import tempfile

import hvtest
from hvtest import BIN, Device, Machine, Process, case, check, until


class FsStandIn:
    """Answers every request on the file-system device with success."""

    def __init__(self, machine):
        self.pid = os.fork()
        if self.pid == 0:
            try:
                dev = Device(machine.fs_dev)
                while True:
                    dev.answer(seconds=3600)
            finally:
                os._exit(0)
        hvtest.after(self.end)

    def end(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0


class Guest:
    """Driver, stand-in and hv_vssctl run with commands that log themselves."""

    def __init__(self, options=None, **sets):
        self.machine = Machine(**sets)
        self.machine.start_driver()
        self.stand_in = FsStandIn(self.machine)
        self.log = tempfile.mktemp(prefix="ctl.", dir="/run")
        self.options = options or self.commands()
        self.ctl = self.start()

    def note(self, word):
        return f"echo {word} >>{self.log}"

    def commands(self, **other):
        argv = []
        for op in ("check", "prepare", "freeze", "thaw"):
            argv += [f"--{op}", other.get(op, f"echo {op} >>{self.log}")]
        return argv

    def start(self):
        ctl = Process([f"{BIN}/hv_vssctl", "run", "--name", "shop", "--device",
                       self.machine.app_dev, *self.options])
        ctl.says("takes part through")
        return ctl

    def restart(self, options):
        self.ctl.end()
        self.options = options
        self.ctl = self.start()

    def did(self):
        try:
            with open(self.log, encoding="ascii") as f:
                return f.read().split()
        except FileNotFoundError:
            return []

    def until_did(self, word, seconds=10):
        until(lambda: word in self.did(), f"{word} is run", seconds)

    def hold(self, ms=60000):
        """A host that has frozen and holds."""
        host = self.machine.host("freeze", f"hold={ms}", "thaw")
        reply = host.reply("freeze")
        check(reply["reply"] == "ok", f"FREEZE: {reply}")
        return host


def replies(host):
    status, got = host.wait()
    return status, {r["op"]: r["reply"] for r in got}


@case
def commands_run_in_order_and_only_once():
    guest = Guest()
    status, got = replies(guest.machine.host("checkpoint=true"))
    check(status == 0, f"exit status 0, not {status}: {got}")
    check(guest.did() == ["check", "prepare", "freeze", "thaw"],
          f"commands: {guest.did()}")


@case
def a_command_knows_what_is_asked_and_how_much_time_it_has():
    guest = Guest()
    guest.restart(guest.commands(
        freeze=f"echo $HV_VSS_OP $HV_VSS_MSGID $HV_VSS_TIME_LEFT_MS"
               f" >>{guest.log}"))
    replies(guest.machine.host("freeze", "thaw"))
    _, op, msgid, left, _ = guest.did()
    check(op == "freeze" and int(msgid) > 0, guest.did())
    check(5000 < int(left) < 10000, f"{left} ms of the 10 s for applications")


@case
def the_last_line_of_a_command_that_refuses_is_the_reason():
    guest = Guest()
    guest.restart(guest.commands(
        freeze="echo starting; echo the till is open; exit 1"))
    status, got = replies(guest.machine.host("freeze", "thaw"))
    check(status == 3 and got == {"freeze": "fail", "thaw": "ok"},
          f"{status} {got}")
    guest.until_did("thaw")
    guest.machine.driver.says("the till is open")


@case
def a_command_that_hangs_is_killed_within_its_time_and_thaw_is_run():
    guest = Guest(quiesce=2)
    guest.restart(guest.commands(
        freeze=f"echo begun >>{guest.log}; trap '' TERM; sleep 600; sleep 600"))
    status, got = replies(guest.machine.host("freeze", "thaw"))
    check(got["freeze"] == "fail", f"{status} {got}")
    guest.until_did("thaw")
    check(not hvtest.pids_of("sleep"), "nothing of the command is left")
    guest.ctl.says("not done in time")


@case
def a_thaw_that_overtakes_freeze_ends_the_command():
    guest = Guest()
    guest.restart(guest.commands(
        freeze=f"echo begun >>{guest.log}; sleep 600"))
    host = guest.machine.host("freeze&", "hold=1000", "thaw", "wait")
    guest.until_did("begun")
    status, got = replies(host)
    check(got["freeze"] == "fail", f"{status} {got}")
    guest.until_did("thaw")
    check(not hvtest.pids_of("sleep"), "nothing of the command is left")


@case
def sigterm_while_quiesced_runs_thaw_and_the_host_hears_of_it():
    guest = Guest()
    host = guest.hold(3000)
    check(guest.ctl.end() == 0, "exit status 0")
    check(guest.did()[-1] == "thaw", guest.did())
    status, got = replies(host)
    check(status == 3 and got["thaw"] == "fail", f"{status} {got}")


@case
def a_host_that_goes_silent_does_not_keep_it_quiesced():
    guest = Guest(hold=1)
    host = guest.hold()
    guest.until_did("thaw")
    host.process.kill()


@case
def a_driver_that_is_killed_means_thaw_and_its_successor_is_found():
    guest = Guest()
    host = guest.hold()
    guest.machine.driver.kill()
    guest.until_did("thaw")
    host.process.kill()
    guest.stand_in.end()
    guest.machine.start_driver()
    guest.stand_in = FsStandIn(guest.machine)
    before = len(guest.did())
    until(lambda: guest.ctl.output().count("takes part") == 2,
          "it takes part again")
    status, got = replies(guest.machine.host("checkpoint=true"))
    check(status == 0, f"{status} {got}")
    check(guest.did()[before:] == ["check", "prepare", "freeze", "thaw"],
          guest.did())


@case
def a_driver_that_is_stopped_does_not_keep_it_quiesced():
    guest = Guest()
    host = guest.hold()
    guest.machine.driver.signal(signal.SIGSTOP)
    guest.until_did("thaw", 30)
    guest.machine.driver.signal(signal.SIGCONT)
    host.process.kill()


HOLDER = ("while read op; do echo $op >>%s; case $op in "
          "freeze) %s;; *) echo ok;; esac; done")


@case
def a_co_process_is_asked_line_by_line():
    guest = Guest()
    guest.restart(["--coprocess", HOLDER % (guest.log, "echo ok")])
    status, got = replies(guest.machine.host("checkpoint=true"))
    check(status == 0, f"{status} {got}")
    check(guest.did() == ["check", "prepare", "freeze", "thaw"], guest.did())
    check(guest.ctl.end() == 0, "exit status 0")


@case
def a_co_process_that_refuses_is_sent_thaw():
    guest = Guest()
    guest.restart(["--coprocess", HOLDER % (guest.log, "echo fail no space")])
    status, got = replies(guest.machine.host("freeze"))
    check(status == 3, f"{status} {got}")
    guest.until_did("thaw")
    guest.machine.driver.says("no space")


@case
def a_co_process_that_dies_while_quiesced_makes_thaw_fail():
    guest = Guest()
    guest.restart(["--coprocess",
                   f"echo $$ >>{guest.log}; while read op; do echo ok; done"])
    host = guest.hold(3000)
    os.kill(int(guest.did()[0]), signal.SIGKILL)
    check(guest.ctl.wait() == 1, "exit status 1")
    status, got = replies(host)
    check(got["thaw"] == "fail", f"{status} {got}")


@case
def wrong_usage_says_what_is_wrong():
    for argv, said in ((["--freeze", "true"], "both needed"),
                       (["--coprocess", "cat", "--thaw", "true"], "alone"),
                       (["--freeze", "a", "--thaw", "b", "--level", "100"],
                        "0 to 99"),
                       (["--freeze", "a", "--thaw", "b", "--timeout", "0"],
                        "1 to 900"),
                       (["--freeze", "a", "--thaw", "b", "c"], "quoted")):
        status, _, err = hvtest.run([f"{BIN}/hv_vssctl", "run", *argv])
        check(status == 1 and said in err, f"{argv}: {status} {err}")


hvtest.main()
