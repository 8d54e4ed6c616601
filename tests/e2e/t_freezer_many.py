#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
#
# isoroot: --fs outer=ext4:256M,in*34=ext4:4M@outer --bound 200
# timeout: 220

"""Guard and more images on one file system than the worker has threads."""

import os
import signal

import frzlib
import hvtest
from hvtest import case, check, until

INNER = [(f"/mnt/in{i}", 0) for i in range(34)]
OUTER = ("/mnt/outer", 1)


def waiting(pid):
    """How many threads of a process wait in the kernel, beyond any signal."""
    n = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat", encoding="ascii") as f:
            n += f.read().rsplit(")", 1)[1].split()[0] == "D"
    return n


@case
def thaws_that_wait_for_a_freeze_leave_a_thread_for_its_thaw():
    w = hvtest.Writer(OUTER[0])
    holder = frzlib.Holder(OUTER[0])
    f = frzlib.Freezer(INNER + [OUTER])
    check(f.open() is None, "open")
    f.arm(60)
    f.flush()
    f.order_freeze()
    until(lambda: f.slot(len(INNER))[0] == frzlib.FREEZING and
          w.stands_still(), "nothing is written to the outer one")
    # It completes its freeze all the same, and then thaws nothing.
    f.worker.kill(signal.SIGKILL)
    f.guard.send(frzlib.THAW, gen=f.gen)
    until(lambda: waiting(f.guard.pid) >= 32, "thaws wait for it", 20)
    check(not f.worker.ended(0), "the worker is in its freeze")
    holder.let_go()
    f.guard.expect(frzlib.THAW, seconds=20)
    check(not any(hvtest.is_frozen(p) for p, _ in f.mounts), "all are thawed")
    w.progresses()


hvtest.main()
