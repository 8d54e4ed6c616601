#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
#
# isoroot: --fs ext4:256M,xfs:360M,btrfs:256M,in=ext4:64M@xfs --sys
# alone

"""Grace periods, which are the whole machine's: they are expedited for a freeze
and not a moment longer, whoever dies.  Any other test raises them as well."""

import os
import signal

import guest
import hvtest
from daemonrig import (held_freeze, machine, pid_of, record, record_path,
                       works_again)
from hvtest import case, check


@case
def grace_periods_are_expedited_while_a_freeze_waits_and_then_not():
    guest.is_not_expedited()
    m = machine()
    h, go_on = held_freeze(m)
    value = guest.rcu_expedited()
    go_on()
    status, replies = h.wait(40)
    check(status == 0, "host: %s" % replies)
    check(value == "1", "rcu_expedited was %s" % value)
    works_again(m)


@case
def grace_periods_are_left_alone_when_the_settings_say_so():
    guest.is_not_expedited()
    m = machine(rcu_expedited="never")
    h, go_on = held_freeze(m)
    value = guest.rcu_expedited()
    go_on()
    h.wait(40)
    check(value == "0", "rcu_expedited was %s" % value)


@case
def a_killed_worker_does_not_leave_grace_periods_expedited():
    m = machine()
    h, go_on = held_freeze(m)
    os.kill(pid_of(m, "worker"), signal.SIGKILL)
    go_on()
    h.wait(40)
    works_again(m)


@case
def the_next_start_puts_back_what_everybody_left_expedited():
    m = machine(fs="2", hold="2", freeze="12")
    h, go_on = held_freeze(m)
    for who in ("daemon", "guard", "worker"):
        os.kill(pid_of(m, who), signal.SIGKILL)
    go_on()
    h.wait(40)
    check("\nrcu_expedited 0\n" in record(m), "record: %s" % record(m))
    m.daemon.wait()
    m.start_daemon(["-d"])
    works_again(m)


def left_expedited(m):
    """All was killed in a freeze that had nothing of ours in it yet: the others
    were frozen by somebody else."""
    with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as f:
        boot = f.read()
    with open(record_path(m), "w", encoding="utf-8") as f:
        f.write("hv_vss frozen 1\nboot %srcu_expedited 0\n"
                "fs 7:0 foreign /mnt/ext4\n" % boot)
    with open("/sys/kernel/rcu_expedited", "w", encoding="utf-8") as f:
        f.write("1")


@case
def it_is_put_back_though_nothing_of_ours_is_in_the_record():
    guest.is_not_expedited()
    m = machine()
    m.daemon.end()
    left_expedited(m)
    status, _, err = hvtest.run(m.daemon_argv("--thaw-all"))
    check(status == 0 and guest.rcu_expedited() == "0", err)
    left_expedited(m)
    m.start_daemon(["-d"])
    check(guest.rcu_expedited() == "0", "the start")
    works_again(m)


hvtest.main()
