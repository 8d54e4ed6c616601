#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
#
# timeout: 800
"""The scenarios in whole guests that take seconds: devices of the kernel, and a
root file system that is frozen.  `make vm' runs all.  The guest is made once."""

import os
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.realpath(__file__))))
if os.environ.get("HV_VSS_BUILD") != TOP + "/build":
    print("1..0 # whole guests are given what is built without a sanitizer")
    sys.exit(0)
os.execv(TOP + "/tests/vm/run", [TOP + "/tests/vm/run", "--tap", "--check",
                                 "-j", "1"])
