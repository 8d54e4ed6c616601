#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
#
# isoroot: --fs ext4:64M,xfs:320M --sys
"""What once went wrong, most of it in the matrix, each by the name of that."""

import os
import signal

import guest
import hvtest
from hvtest import case, check, until
from matrix import Cell


@case
def a_freeze_that_comes_with_the_end_of_the_worker_was_refused():
    Cell("worker", signal.SIGKILL, "fs_unread").run()


@case
def a_thaw_under_way_when_the_hold_was_broken_was_answered_with_success():
    Cell("worker", signal.SIGKILL, "thaw_unread").run()


@case
def a_guard_that_stood_was_waited_for_without_end():
    Cell("guard", signal.SIGSTOP, "thawing").run()


@case
def two_children_that_thaw_the_same_were_taken_for_somebody_else():
    Cell("worker+guard", signal.SIGSEGV, "thawing").run()


@case
def the_output_of_a_daemon_that_was_killed_kept_the_next_from_starting():
    hvtest.after(guest.freezers_end)
    m = hvtest.Machine()
    m.start_driver()
    m.start_daemon()
    until(lambda: hvtest.pids_of("hv_vss_output"), "who carries its output")
    relays = hvtest.pids_of("hv_vss_output")
    for pid in relays:
        hvtest.after(os.kill, pid, signal.SIGKILL)
        guest.stop(pid)
    m.daemon.kill()
    m.start_daemon()
    check(m.host("check", "freeze", "thaw").wait()[0] == 0, "a backup")
    check(set(relays) < set(hvtest.pids_of("hv_vss_output")), "they stood")


hvtest.main()
