#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
# isoroot: --bound 150
"""`hv_vssctl run` as a participant: commands and a co-process, and that thaw is
run whatever becomes of the host, the driver or itself.  A stand-in for the freeze
daemon answers at once; nothing is frozen."""

import os
import resource
import signal

import hvtest
from hvtest import BIN, Process, case, check, until
from partlib import Guest, replies


@case
def commands_run_in_order_and_only_once():
    guest = Guest()
    status, got = guest.ask("checkpoint=true")
    check(status == 0, f"exit status 0, not {status}: {got}")
    check(guest.did() == ["check", "prepare", "freeze", "thaw"],
          f"commands: {guest.did()}")


@case
def a_command_knows_what_is_asked_and_how_much_time_it_has():
    guest = Guest()
    guest.restart(guest.commands(
        freeze=guest.note("$HV_VSS_NAME $HV_VSS_LEVEL $HV_VSS_OP $HV_VSS_MSGID"
                          " $HV_VSS_TIME_LEFT_MS $HV_VSS_HOLD_MS")))
    guest.ask("freeze", "thaw")
    name, level, op, msgid, left, hold = guest.did()[1].split()
    check((name, level, op, hold) == ("shop", "50", "freeze", "60000") and
          int(msgid) > 0, guest.did())
    check(5000 < int(left) < 10000, f"{left} ms of the 10 s for applications")


@case
def the_last_line_of_a_command_that_refuses_is_the_reason():
    guest = Guest()
    guest.restart(guest.commands(
        freeze="echo starting; echo the till is open; exit 1"))
    status, got = guest.ask("freeze", "thaw")
    check(status == 3 and got == {"freeze": "fail", "thaw": "ok"},
          f"{status} {got}")
    guest.until_did("thaw")
    guest.machine.driver.says("the till is open")


@case
def a_command_that_hangs_is_killed_within_its_time_and_thaw_is_run():
    guest = Guest(quiesce=2)
    guest.restart(guest.commands(
        freeze=f"echo begun >>{guest.log}; trap '' TERM; sleep 600; sleep 600"))
    status, got = guest.ask("freeze", "thaw")
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
    for sig in (signal.SIGTERM, signal.SIGQUIT):
        guest = Guest()
        host = guest.hold(3000)
        guest.ctl.signal(sig)
        check(guest.ctl.wait() == 0, "exit status 0")
        check(guest.did()[-1] == "thaw", guest.did())
        status, got = replies(host)
        check(status == 3 and got["thaw"] == "fail", f"{status} {got}")


@case
def a_thaw_that_could_not_be_started_was_given_up():
    guest = Guest(thaw=1)
    host = guest.hold(500)
    old = resource.prlimit(guest.ctl.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(guest.ctl.pid, resource.RLIMIT_NOFILE, (3, old[1]))
    status, got = replies(host)
    check(status == 3 and got["thaw"] == "fail", f"{status} {got}")
    guest.machine.driver.says('"thaw: cannot be run: Too many open files"')
    check("thaw" not in guest.did(), guest.did())
    resource.prlimit(guest.ctl.pid, resource.RLIMIT_NOFILE, old)
    guest.until_did("thaw")
    status, got = guest.ask("checkpoint=true")
    check(status == 0, f"exit status 0, not {status}: {got}")


@case
def with_closed_standard_descriptors_it_wrote_into_its_own_pipe():
    guest = Guest()
    guest.ctl.end()
    p = Process(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh",
                 f"{BIN}/hv_vssctl", "run", "--device", guest.machine.app_dev,
                 *guest.commands()])

    def opened():
        fds = f"/proc/{p.pid}/fd/"
        try:
            return [os.readlink(fds + n)
                    for n in sorted(os.listdir(fds), key=int)]
        except FileNotFoundError:
            return []  # it has just been closed
    until(lambda: guest.machine.app_dev in opened(), "it has the device")
    check(opened()[:3] == ["/dev/null"] * 3, f"opened: {opened()}")
    status, got = guest.ask("checkpoint=true")
    check(status == 0, f"exit status 0, not {status}: {got}")
    check(guest.did() == ["check", "prepare", "freeze", "thaw"], guest.did())


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
    before = len(guest.did())
    guest.restart_driver()
    status, got = guest.ask("checkpoint=true")
    check(status == 0, f"{status} {got}")
    check(guest.did()[before:] == ["check", "prepare", "freeze", "thaw"],
          guest.did())


@case
def a_driver_that_is_stopped_does_not_keep_it_quiesced():
    guest = Guest()
    host = guest.hold()
    guest.machine.driver.signal(signal.SIGSTOP)
    guest.until_did("thaw", seconds=30)
    guest.machine.driver.signal(signal.SIGCONT)
    host.process.kill()


@case
def killed_in_the_hold_means_that_its_successor_thaws():
    guest = Guest()
    host = guest.hold(2000)
    guest.ctl.kill()
    check(guest.did()[-1] == "freeze", guest.did())
    guest.ctl = guest.start(guest.commands())
    guest.until_did("thaw")
    check(replies(host)[1]["thaw"] == "fail", "the hold was LOST")
    guest.restart(guest.commands())
    status, got = guest.ask("checkpoint=true")
    check(status == 0, f"{status} {got}")
    check(guest.did().count("thaw") == 2, f"thaw only once more: {guest.did()}")


def co_process(guest, freeze="echo ok", thaw="echo ok", first=""):
    """Options for a co-process that notes each request."""
    return ["--coprocess",
            f"{first} while read -r op; do {guest.note('$op')}; case $op in"
            f" freeze) {freeze};; thaw) {thaw};; *) echo ok;; esac; done;"
            f" {guest.note('end')}"]


@case
def a_co_process_is_asked_line_by_line():
    guest = Guest()
    guest.restart(co_process(guest))
    status, got = guest.ask("checkpoint=true")
    check(status == 0, f"{status} {got}")
    check(guest.did() == ["check", "prepare", "freeze", "thaw"], guest.did())
    check(guest.ctl.end() == 0, "exit status 0")
    check(guest.did()[-1] == "end", "at end of file it ends by itself")


@case
def a_co_process_that_refuses_is_sent_thaw():
    guest = Guest()
    guest.restart(co_process(guest, "echo fail no space"))
    status, got = guest.ask("freeze")
    check(status == 3, f"{status} {got}")
    guest.until_did("thaw")
    guest.machine.driver.says("no space")


@case
def a_co_process_can_ask_how_much_time_is_left():
    guest = Guest(quiesce=7, hold=33)
    guest.restart(co_process(
        guest, "echo left; read -r word ms hold;"
        f"{guest.note('$word $ms $hold')}; echo ok"))
    status, got = guest.ask("freeze", "thaw")
    check(status == 0, f"{status} {got}")
    word, ms, hold = guest.did()[2].split()
    check((word, hold) == ("left", "33000") and 3000 < int(ms) < 7000,
          guest.did())


@case
def what_a_co_process_says_is_logged_after_the_hold():
    guest = Guest()
    guest.restart(co_process(
        guest, "echo '# note'; echo ok; (sleep 0.1; echo late >&2) &"))
    host = guest.hold(700)
    until(lambda: not hvtest.pids_of("sleep"), "the late line is written")
    check("late" not in guest.ctl.output(), "nothing is written in the hold")
    status, got = replies(host)
    check(status == 0, f"{status} {got}")
    guest.ctl.says("co-process: note")
    guest.ctl.says("co-process: late")


@case
def a_co_process_that_lost_its_rest_makes_thaw_fail():
    guest = Guest()
    guest.restart(co_process(
        guest, f"echo ok; (while [ ! -e {guest.log}.go ]; do sleep 0.05; done;"
        " echo lost the server went away) &"))
    host = guest.hold(3000)
    with open(f"{guest.log}.go", "w", encoding="ascii"):
        pass
    guest.until_did("thaw")
    status, got = replies(host)
    check(got == {"freeze": "ok", "thaw": "fail"}, f"{status} {got}")
    guest.ctl.says("could not stay quiesced: the server went away")
    guest.machine.driver.says("the server went away")


@case
def lost_and_told_after_the_host_asked_for_thaw_makes_thaw_fail():
    """hv_vssctl is stopped meanwhile: the driver waits for thaw when it hears."""
    guest = Guest()
    guest.restart(co_process(
        guest, f"echo ok; (while [ ! -e {guest.log}.go ]; do sleep 0.05; done;"
        f" echo lost the server went away; {guest.note('lost')}) &"))
    host = guest.hold(100)
    guest.ctl.signal(signal.SIGSTOP)
    with open(f"{guest.log}.go", "w", encoding="ascii"):
        pass
    guest.until_did("lost")
    until(lambda: "APPS_RESUMING" in guest.machine.ctl("status", "--json")[1],
          "the driver waits for thaw")
    guest.ctl.signal(signal.SIGCONT)
    status, got = replies(host)
    check(got == {"freeze": "ok", "thaw": "fail"}, f"{status} {got}")
    check(guest.did().count("thaw") == 1, guest.did())
    guest.machine.driver.says("the server went away")


@case
def lost_while_thaw_is_asked_makes_thaw_fail():
    guest = Guest()
    guest.restart(co_process(guest, thaw="echo lost too late; echo ok"))
    status, got = guest.ask("freeze", "thaw")
    check(got == {"freeze": "ok", "thaw": "fail"}, f"{status} {got}")
    check(guest.did().count("thaw") == 1, guest.did())


@case
def a_co_process_that_dies_while_quiesced_makes_thaw_fail():
    """Its successor is asked to thaw, and takes part in the next backup."""
    guest = Guest()
    guest.restart(co_process(guest, first=guest.note("$$") + ";"))
    host = guest.hold(3000)
    os.kill(int(guest.did()[0]), signal.SIGKILL)
    guest.until_did("thaw")
    status, got = replies(host)
    check(got["thaw"] == "fail", f"{status} {got}")
    check(guest.did()[-1] == "thaw" and guest.did()[-2].isdigit(), guest.did())
    status, got = guest.ask("checkpoint=true")
    check(status == 0, f"{status} {got}")


@case
def a_co_process_that_hangs_is_killed_and_its_successor_is_asked_to_thaw():
    guest = Guest(quiesce=2)
    guest.restart(co_process(guest, "sleep 600; echo ok"))
    status, got = guest.ask("freeze", "thaw")
    check(got["freeze"] == "fail", f"{status} {got}")
    guest.until_did("thaw")
    check(not hvtest.pids_of("sleep"), "nothing of it is left")
    guest.machine.driver.says("not done in time")


@case
def a_co_process_that_cannot_start_refuses_every_backup():
    guest = Guest()
    guest.restart(["--coprocess", "echo no such server >&2; exit 1"])
    for _ in range(2):
        status, got = guest.ask("check")
        check(status == 3, f"{status} {got}")
    guest.machine.driver.says("no such server")
    check(guest.ctl.alive(), "it goes on, and refuses")


@case
def a_co_process_that_answers_twice_is_not_believed_again():
    guest = Guest()
    guest.restart(co_process(guest, "echo ok; echo ok", first=guest.note("$$")
                             + ";"))
    status, got = guest.ask("freeze", "hold=500", "thaw")
    check("fail" in got.values(), f"{status} {got}")
    guest.until_did("thaw")
    check(len([w for w in guest.did() if w.isdigit()]) == 2,
          f"there is another one: {guest.did()}")
    guest.ctl.says('it wrote "ok" unasked')


@case
def killed_it_leaves_an_end_of_file_to_the_co_process():
    guest = Guest()
    guest.restart(co_process(guest))
    host = guest.hold(2000)
    guest.ctl.kill()
    guest.until_did("end")
    status, got = replies(host)
    check(got["thaw"] == "fail", f"{status} {got}")
    guest.ctl = guest.start(co_process(guest))
    guest.until_did("thaw")


@case
def output_without_end_does_not_hold_anything_up():
    guest = Guest(quiesce=3)
    guest.restart(guest.commands(
        freeze=guest.note("$$") + "; while :; do echo yes; done"))
    status, got = guest.ask("freeze", "thaw")
    check(got["freeze"] == "fail", f"{status} {got}")
    guest.until_did("thaw")
    check(guest.ctl.output().count("freeze: yes") == 40, "40 lines of it")
    guest.ctl.says("more lines are left out")
    pid = next(w for w in guest.did() if w.isdigit())
    check(not os.path.exists(f"/proc/{pid}"), "nothing of it is left")


@case
def what_a_command_leaves_running_may_write_until_it_ends():
    guest = Guest()
    guest.restart(guest.commands(
        freeze="(while [ ! -e %s.go ]; do sleep 0.05; done; echo here;"
               " echo written >>%s) & exit 0" % (guest.log, guest.log)))
    status, got = guest.ask("freeze", "thaw")
    check(status == 0, f"{status} {got}")
    with open(f"{guest.log}.go", "w", encoding="ascii"):
        pass
    guest.until_did("written")
    guest.ctl.says("freeze: here")


@case
def wrong_usage_says_what_is_wrong():
    for argv, said in ((["--freeze", "true"], "both needed"),
                       (["--coprocess", "cat", "--thaw", "true"], "exclude"),
                       (["--freeze", "a", "--thaw", "b", "--level", "100"],
                        "0 to 99"),
                       (["--freeze", "a", "--thaw", "b", "--timeout", "0"],
                        "1 to 900"),
                       (["--freeze", "a", "--thaw", "b", "c"], "quoted"),
                       (["--hooks", "/x", "--thaw", "b"], "exclude"),
                       (["--hooks", "/x", "--timeout", "3"], "hook_timeout"),
                       (["--hooks", "--set", "hook.a=0"], "1 to 900"),
                       (["--coprocess", "cat", "--vmware"], "for --hooks")):
        status, _, err = hvtest.run([f"{BIN}/hv_vssctl", "run", *argv])
        check(status == 1 and said in err, f"{argv}: {status} {err}")


hvtest.main()
