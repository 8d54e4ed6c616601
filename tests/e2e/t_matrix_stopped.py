#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
#
# isoroot: --fs ext4:64M,xfs:320M --sys
# all: 900
"""Whoever is stopped, at any step of a checkpoint."""

from signal import SIGSTOP

import hvtest
import matrix

if hvtest.everything():
    matrix.add(matrix.cells([SIGSTOP]))
else:
    matrix.add(matrix.cells([SIGSTOP], matrix.SINGLE, ["waiting", "frozen"]))

hvtest.main()
