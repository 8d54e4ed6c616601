#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause

"""Makes a small file every 2 ms, removes an older one and, when told to end,
leaves the gaps that were longer than 5 ms: paced_writer.py DIRECTORY GAPS.  GAPS
gets a JSON list of [from, to], nanoseconds of CLOCK_BOOTTIME."""

import json
import os
import signal
import sys
import time

PACE_S = 0.002
GAP_NS = 5000000
KEPT = 200


class Ended(Exception):
    pass


def end(*_):
    raise Ended


def make(where, n):
    with open("%s/%d" % (where, n), "w", encoding="ascii") as f:
        f.write("file %d\n" % n)
    if n >= KEPT:
        os.unlink("%s/%d" % (where, n - KEPT))


def main():
    where, out = sys.argv[1:]
    os.mkdir(where)
    signal.signal(signal.SIGTERM, end)
    gaps = []
    n = 0
    before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    try:
        while True:
            make(where, n)
            n += 1
            now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
            if now - before > GAP_NS:
                gaps.append((before, now))
            before = now
            time.sleep(PACE_S)
    except Ended:
        with open(out, "w", encoding="ascii") as f:
            json.dump(gaps, f)


if __name__ == "__main__":
    main()
