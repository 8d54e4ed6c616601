#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
#
# isoroot: --fs ext4:64M,xfs:320M --sys
"""What once went wrong in the matrix, each by the name of that."""

import signal

import hvtest
from hvtest import case
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


hvtest.main()
