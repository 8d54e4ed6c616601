#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause

"""Commits numbered rows to PostgreSQL without pause through one psql, and writes
each that was acknowledged to a log elsewhere: pg_writer.py LOG PSQL..."""

import os
import subprocess
import sys
import time


def main():
    acks = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    psql = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE)
    psql.stdin.write(b"CREATE TABLE IF NOT EXISTS rows (n int PRIMARY KEY,"
                     b" filler text);\n")
    n = 0
    while True:
        n += 1
        psql.stdin.write(b"INSERT INTO rows VALUES (%d, repeat('x', 400))"
                         b" RETURNING n;\n" % n)
        psql.stdin.flush()
        if psql.stdout.readline() != b"%d\n" % n:
            sys.exit("row %d was not acknowledged" % n)
        t = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        os.write(acks, b"%d %d\n" % (n, t))


if __name__ == "__main__":
    main()
