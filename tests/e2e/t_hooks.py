#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
# isoroot: --bound 200 --fs ext4:64M
# timeout: 260
"""`hv_vssctl run --hooks` with the running driver: order, limits, what is
refused, and that what was called for freeze is called for thaw whatever becomes of
the hooks, the driver or hv_vssctl itself."""

import os
import signal
import tempfile

import hvtest
from hvtest import BIN, case, check, until
from partlib import Guest, replies


class Hooks(Guest):
    """A guest with a directory of hooks, which note how they are called."""

    def __init__(self, *names, options=(), where="/run",
                 says="takes part through", **sets):
        self.dir = tempfile.mkdtemp(prefix="hooks.", dir=where)
        self.log = tempfile.mktemp(prefix="log.", dir="/run")
        for name in names:
            self.hook(name)
        self.options = ["--hooks", self.dir, *options]
        super().__init__(self.options, log=self.log, says=says, **sets)

    def path(self, name):
        return os.path.join(self.dir, name)

    def hook(self, name, freeze=":", other=":", mode=0o755, head="#!/bin/sh\n"):
        """Notes "NAME ARGUMENT", then does the one or the other.  A file that
        is there already is replaced, as package managers do."""
        new = self.path("." + name)
        with open(new, "w", encoding="ascii") as f:
            f.write(f"{head}{self.note(name + ' $1')}\n"
                    f"case $1 in freeze) {freeze};; *) {other};; esac\n")
        os.chmod(new, mode)
        os.rename(new, self.path(name))

    def fails(self, *said):
        """A FREEZE that is refused; the driver is told why."""
        status, got = self.ask("freeze", "thaw")
        check(status == 3 and got == {"freeze": "fail", "thaw": "ok"},
              f"{status} {got}")
        for text in said:
            self.machine.driver.says(text)

    def works(self):
        status, got = self.ask("checkpoint=true")
        check(status == 0, f"{status} {got}")

    def did_in_all(self, *lines):
        """And nothing more."""
        until(lambda: len(self.did()) >= len(lines), f"{lines}: {self.did()}")
        check(self.did() == list(lines), f"{self.did()}, not {lines}")


def begun(guest, name, freeze):
    """Where a hook is in its freeze: it notes that and does something."""
    guest.hook(name, freeze=f"{guest.note(name + ' in it')}; {freeze}")


@case
def hooks_run_in_the_order_of_their_names_and_back():
    guest = Hooks("20-b", "10-a", "3", "Z", "b.sh")
    guest.works()
    names = ["10-a", "20-b", "3", "Z", "b.sh"]
    guest.did_in_all(*[n + " freeze" for n in names],
                     *[n + " thaw" for n in reversed(names)])
    guest.ctl.says(f"5 hooks in {guest.dir}: 10-a 20-b 3 Z b.sh")


@case
def without_hooks_it_takes_no_part_and_one_that_is_dropped_in_does():
    guest = Hooks(says="no hooks in")
    guest.works()
    guest.machine.driver.says("file-system consistent only")
    guest.hook("a")
    guest.ctl.says(f"1 hook in {guest.dir}: a")
    guest.ctl.says("takes part through")
    guest.works()
    guest.did_in_all("a freeze", "a thaw")
    os.unlink(guest.path("a"))
    until(lambda: guest.ctl.output().count("no hooks in") == 2, "it is missed")
    guest.works()
    guest.hook("b", mode=0o777)
    guest.ctl.says("b: others may write it")
    until(lambda: guest.ctl.output().count("takes part") == 2, "and refuses")
    guest.fails("b: others may write it")


@case
def what_is_switched_off_or_left_behind_is_not_run():
    guest = Hooks("a")
    for name in ("a~", "a.bak", "a.rpmsave", "a.dpkg-new", ".hidden", "#a#",
                 "mysql-flush.sh.sample"):
        guest.hook(name)
    guest.hook("off", mode=0o644)
    os.mkdir(guest.path("directory"))
    guest.works()
    guest.did_in_all("a freeze", "a thaw")


@case
def a_hook_that_fails_refuses_and_those_before_it_are_thawed():
    guest = Hooks("1", "3")
    guest.hook("2", freeze="echo starting; echo the till is open; exit 4")
    guest.fails('refused: "2: the till is open"')
    guest.did_in_all("1 freeze", "2 freeze", "2 thaw", "1 thaw")
    guest.ctl.says("2: freeze: exit status 4")


@case
def vmware_scripts_hear_of_a_freeze_that_failed():
    guest = Hooks("1", "2", options=["--vmware"])
    guest.works()
    guest.hook("2", freeze="exit 1")
    guest.fails("2: freeze: exit status 1")
    guest.did_in_all("1 freeze", "2 freeze", "2 thaw", "1 thaw",
                     "1 freeze", "2 freeze", "2 freezeFail", "1 freezeFail")


@case
def a_hook_that_hangs_is_killed_at_its_own_limit():
    guest = Hooks("1", options=["--set", "hook.s*=1", "--set",
                                "hook_timeout=8"])
    guest.hook("slow", freeze="trap '' TERM; sleep 600; sleep 600")
    guest.fails("slow: freeze: not done in 1.000 s")
    guest.did_in_all("1 freeze", "slow freeze", "slow thaw", "1 thaw")
    check(not hvtest.pids_of("sleep"), "nothing of it is left")


@case
def hooks_together_have_the_time_of_the_driver():
    guest = Hooks("1", "2", quiesce=2)
    guest.hook("1", freeze="sleep 1")
    guest.hook("2", freeze="sleep 600")
    guest.fails("2: freeze: not done in time")
    guest.did_in_all("1 freeze", "2 freeze", "2 thaw", "1 thaw")


@case
def a_hook_that_dies_is_thawed_too():
    guest = Hooks("1")
    guest.hook("2", freeze="kill -9 $$")
    guest.fails("2: freeze: ended by signal 9")
    guest.did_in_all("1 freeze", "2 freeze", "2 thaw", "1 thaw")


@case
def a_thaw_that_fails_or_hangs_keeps_no_other_from_it():
    guest = Hooks("1", "4", options=["--set", "hook.2=1"])
    guest.hook("2", other="sleep 600")
    guest.hook("3", other=f"[ -e {guest.log}.twice ] && exit 0;"
               f"touch {guest.log}.twice; exit 1")
    status, got = guest.ask("freeze", "thaw")
    check(got["thaw"] == "fail", f"{status} {got}")
    guest.did_in_all("1 freeze", "2 freeze", "3 freeze", "4 freeze", "4 thaw",
                     "3 thaw", "2 thaw", "1 thaw", "3 thaw", "2 thaw")
    guest.ctl.says("thaw FAILED: 2: thaw: not done in 1.000 s")
    check(not hvtest.pids_of("sleep"), "nothing of it is left")


@case
def much_output_is_drained_and_the_log_stays_short():
    guest = Hooks("loud")
    guest.hook("loud", freeze="i=0; while [ $i -lt 20000 ]; do i=$((i+1));"
               " echo line $i; done")
    guest.works()
    lines = guest.ctl.output().splitlines()
    check(len([s for s in lines if "loud: freeze: line" in s]) == 40, lines[:60])
    guest.ctl.says("loud: freeze: 19960 more lines are left out")


@case
def a_daemon_that_a_hook_leaves_keeps_its_output_and_holds_nobody_up():
    guest = Hooks("1")
    guest.hook("1", freeze=f"(while [ ! -e {guest.log}.go ]; do sleep 0.05;"
               f" done; echo still here; {guest.note('wrote')}) & :")
    guest.works()
    guest.did_in_all("1 freeze", "1 thaw")
    with open(f"{guest.log}.go", "w", encoding="ascii"):
        pass
    guest.until_did("wrote")
    guest.ctl.says("1: freeze: still here")


@case
def a_hook_that_is_replaced_in_the_hold_is_thawed_as_it_was():
    guest = Hooks("1", "2")
    host = guest.hold(1500)
    guest.hook("2", other=guest.note("new one"))
    status, got = replies(host)
    check(status == 0, f"{status} {got}")
    guest.did_in_all("1 freeze", "2 freeze", "2 thaw", "1 thaw")
    guest.ctl.says("2: no longer what it was; thaw runs what it was")
    guest.works()
    check("new one" in guest.did(), "the next backup has the new one")


@case
def a_hook_that_vanishes_in_the_hold_is_thawed_and_one_that_comes_is_not():
    guest = Hooks("1", "2")
    host = guest.hold(1500)
    os.unlink(guest.path("1"))
    guest.hook("3")
    status, got = replies(host)
    check(status == 0, f"{status} {got}")
    guest.did_in_all("1 freeze", "2 freeze", "2 thaw", "1 thaw")


@case
def a_hook_that_others_may_write_since_freeze_is_not_run():
    guest = Hooks("1", "2")
    host = guest.hold(1500)
    os.chmod(guest.path("2"), 0o757)
    status, got = replies(host)
    check(got["thaw"] == "fail", f"{status} {got}")
    guest.did_in_all("1 freeze", "2 freeze", "1 thaw")
    guest.ctl.says("thaw FAILED: 2: thaw: others may write it")


@case
def what_others_may_write_is_refused_and_nothing_is_run():
    guest = Hooks("1", "2")

    def refused(said):
        status, got = guest.ask("check")
        check(status == 3, f"{said}: {status} {got}")
        guest.fails(said)
        check(guest.did() == [], guest.did())

    os.chmod(guest.path("2"), 0o775)
    refused("2: others may write it; chmod go-w it")
    os.chmod(guest.path("2"), 0o4755)
    refused("2: set-user-ID or set-group-ID")
    os.chmod(guest.path("2"), 0o755)
    os.chown(guest.path("2"), 65534, 0)
    refused("2: belongs to another user")
    os.unlink(guest.path("2"))
    os.symlink(guest.path("1"), guest.path("2"))
    refused("2: a symbolic link")
    os.unlink(guest.path("2"))
    os.mkfifo(guest.path("2"))
    refused("2: neither a file nor a directory")
    os.unlink(guest.path("2"))
    os.chmod(guest.dir, 0o777)
    refused(f"{guest.dir}: others may write it")
    os.chmod(guest.dir, 0o755)
    os.chown(guest.dir, 65534, 0)
    refused(f"{guest.dir}: belongs to another user")
    os.chown(guest.dir, 0, 0)
    guest.works()


@case
def a_directory_that_is_not_there_refuses_backups():
    guest = Hooks("1")
    guest.ctl.end()
    os.rename(guest.dir, guest.dir + ".away")
    guest.ctl = guest.start(guest.options)
    check("No such file or directory; backups are refused" in
          guest.ctl.output(), guest.ctl.output())
    guest.fails("No such file or directory")
    os.rename(guest.dir + ".away", guest.dir)
    guest.works()


@case
def a_script_without_its_first_line_is_the_shells():
    guest = Hooks("1")
    guest.hook("1", head="")
    guest.works()
    guest.did_in_all("1 freeze", "1 thaw")


@case
def an_interpreter_that_is_missing_is_said():
    guest = Hooks("1", "3")
    guest.hook("2", head="#!/no/such/shell\n")
    guest.fails("2: freeze: cannot be run: No such file or directory (is its"
                " interpreter there?)")
    guest.did_in_all("1 freeze", "1 thaw")


@case
def a_hook_knows_what_is_asked_and_nothing_else():
    guest = Hooks("1")
    guest.hook("1", freeze=guest.note(
        "$# $HV_VSS_NAME $HV_VSS_LEVEL $HV_VSS_OP $HV_VSS_HOLD_MS")
        + f"; ls /proc/$$/fd >{guest.log}.fds")
    guest.works()
    check(guest.did()[1] == "1 shop 50 freeze 60000", guest.did())
    with open(f"{guest.log}.fds", encoding="ascii") as f:
        fds = f.read().split()
    # The shell has its script open as 10 (dash) or 255 (bash).
    check([n for n in fds if int(n) < 10] == ["0", "1", "2"], fds)


@case
def a_thaw_that_overtakes_the_hooks_ends_the_one_that_runs():
    guest = Hooks("1", "3")
    begun(guest, "2", "sleep 600")
    host = guest.machine.host("freeze&", "hold=1000", "thaw", "wait")
    guest.until_did("2 in it")
    status, got = replies(host)
    check(got["freeze"] == "fail", f"{status} {got}")
    guest.did_in_all("1 freeze", "2 freeze", "2 in it", "2 thaw", "1 thaw")


@case
def the_driver_killed_in_the_hold_means_thaw():
    guest = Hooks("1", "2")
    host = guest.hold()
    guest.machine.driver.kill()
    guest.did_in_all("1 freeze", "2 freeze", "2 thaw", "1 thaw")
    host.process.kill()
    guest.restart_driver()
    guest.works()


@case
def sigterm_in_the_hold_means_thaw_and_the_host_hears_of_it():
    guest = Hooks("1", "2")
    host = guest.hold(3000)
    check(guest.ctl.end() == 0, "exit status 0")
    guest.did_in_all("1 freeze", "2 freeze", "2 thaw", "1 thaw")
    status, got = replies(host)
    check(got["thaw"] == "fail", f"{status} {got}")


@case
def sigterm_within_a_hook_ends_it_and_thaws():
    guest = Hooks("1")
    begun(guest, "2", "sleep 600")
    host = guest.machine.host("freeze")
    guest.until_did("2 in it")
    guest.ctl.signal(signal.SIGTERM)
    check(guest.ctl.wait() == 0, "exit status 0")
    guest.did_in_all("1 freeze", "2 freeze", "2 in it", "2 thaw", "1 thaw")
    check(replies(host)[1]["freeze"] == "fail", "FREEZE is refused")
    check(not hvtest.pids_of("sleep"), "nothing of it is left")


@case
def killed_in_the_hold_means_that_its_successor_thaws_all():
    guest = Hooks("1", "2")
    host = guest.hold(2000)
    guest.ctl.kill()
    guest.hook("3")
    guest.ctl = guest.start(guest.options)
    guest.did_in_all("1 freeze", "2 freeze", "3 thaw", "2 thaw", "1 thaw")
    check(replies(host)[1]["thaw"] == "fail", "the hold was LOST")
    guest.works()


@case
def killed_in_the_hold_and_a_hook_not_trusted_then_thaws_when_it_is():
    guest = Hooks("1", "2")
    host = guest.hold(500)
    guest.ctl.kill()
    os.chmod(guest.path("2"), 0o775)
    replies(host)
    guest.ctl = guest.start(guest.options, "its predecessor was killed")
    guest.ctl.says("2: others may write it; chmod go-w it; thaw is run again")
    os.chmod(guest.path("2"), 0o755)
    guest.did_in_all("1 freeze", "2 freeze", "2 thaw", "1 thaw")
    guest.works()


@case
def killed_in_the_hold_and_its_hooks_removed_it_goes_on():
    guest = Hooks("1")
    host = guest.hold(500)
    guest.ctl.kill()
    os.unlink(guest.path("1"))
    replies(host)
    guest.ctl = guest.start(guest.options, "its predecessor was killed")
    guest.hook("2")
    guest.ctl.says("takes part through")
    guest.works()
    guest.did_in_all("1 freeze", "2 freeze", "2 thaw")


@case
def a_driver_that_is_stopped_does_not_keep_hooks_quiesced():
    guest = Hooks("1", "2")
    host = guest.hold()
    guest.machine.driver.signal(signal.SIGSTOP)
    guest.until_did("1 thaw", seconds=30)
    guest.machine.driver.signal(signal.SIGCONT)
    guest.did_in_all("1 freeze", "2 freeze", "2 thaw", "1 thaw")
    host.process.kill()


@case
def a_host_that_goes_silent_does_not_keep_hooks_quiesced():
    guest = Hooks("1", hold=1)
    host = guest.hold()
    guest.did_in_all("1 freeze", "1 thaw")
    host.process.kill()


@case
def hooks_on_a_file_system_that_freezes_are_called_before_and_after():
    guest = Hooks("1", "2", where="/mnt/ext4")
    guest.stand_in.end()
    guest.machine.start_daemon()
    host = guest.hold(1000)
    check(hvtest.is_frozen("/mnt/ext4"), "it is frozen")
    guest.did_in_all("1 freeze", "2 freeze")
    status, got = replies(host)
    check(status == 0, f"{status} {got}")
    guest.did_in_all("1 freeze", "2 freeze", "2 thaw", "1 thaw")


@case
def the_directory_beside_the_configuration_is_the_default():
    guest = Hooks("1")
    guest.ctl.end()
    os.makedirs("/etc/hv_vss", exist_ok=True)
    os.rename(guest.dir, "/etc/hv_vss/hooks.d")
    guest.dir = "/etc/hv_vss/hooks.d"
    guest.hook("1")
    guest.ctl = guest.start(["--hooks"])
    guest.works()
    guest.did_in_all("1 freeze", "1 thaw")


@case
def a_limit_that_is_no_number_is_said_with_its_line():
    with open("/run/bad.conf", "w", encoding="ascii") as f:
        f.write("hook.a = 2\nhook.b = soon\n")
    status, _, err = hvtest.run(
        [f"{BIN}/hv_vssctl", "run", "-c", "/run/bad.conf", "--hooks", "/run"])
    check(status == 1 and "/run/bad.conf:2: hook.b=soon: not allowed" in err,
          f"{status} {err}")


hvtest.main()
