#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
#
# isoroot: --fs ext4:64M,xfs:320M --sys
# all: 900
"""Whoever dies, at any step of a checkpoint."""

from signal import SIGABRT, SIGKILL, SIGSEGV

import hvtest
import matrix

PROGRAMS = ["driver", "daemon", "worker", "guard"]

if hvtest.everything():
    matrix.add(matrix.cells([SIGKILL, SIGSEGV, SIGABRT]))
else:
    matrix.add(matrix.cells([SIGKILL], matrix.SINGLE,
                            ["preparing", "unanswered", "fs_unread", "waiting",
                             "frozen", "thaw_unread", "thawing"]))
    matrix.add(matrix.cells([SIGSEGV, SIGABRT], PROGRAMS, ["frozen"]))

hvtest.main()
