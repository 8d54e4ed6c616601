#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
# isoroot: --bound 110
"""Applications that do anything at all, and are killed at any moment: every
request of the host has its one reply, and what behaves is served.  The seed is
printed; given as HV_VSS_SEED it is used again (the processes' turns differ)."""

import fcntl
import os
import random
import select
import signal
import struct
import time

import hvtest
from hvtest import CHECK, FREEZE, PREPARE, THAW, Device, case, check

SECONDS = 4
SEED = int(os.environ.get("HV_VSS_SEED", random.SystemRandom().getrandbits(32)))


def unruly(path, rng):
    """Calls of all kinds on up to 8 opens, for ever."""
    fds, seen = [], [(CHECK, 1)]
    while True:
        what = rng.randrange(12)
        try:
            if what == 0 and len(fds) < 8:
                fds.append(os.open(path, os.O_RDWR))
                continue
            if not fds:
                continue
            fd = rng.choice(fds)
            if what == 1:
                fds.remove(fd)
                os.close(fd)
            elif what in (2, 3):
                select.select([fd], [], [], rng.choice((0, 0.001, 0.02)))
            elif what in (4, 5, 6):
                buf = bytearray(64)
                fcntl.ioctl(fd, hvtest.IOCHVVSSREAD, buf)
                opt, status, msgid = struct.unpack_from("=IIQ", buf)
                if status == 0:
                    seen.append((opt, msgid))
            elif what in (7, 8, 9):
                opt, msgid = rng.choice(seen[-4:])
                if rng.random() < 0.1:
                    opt = rng.choice((0, CHECK, FREEZE, THAW, PREPARE, 77))
                    msgid += rng.choice((-1, 0, 1, 1 << 32))
                status = rng.choice((0, 0, 0, 0, 1, 0xFFFFFFFF))
                fcntl.ioctl(fd, hvtest.IOCHVVSSWRITE,
                            struct.pack("=IIQ48x", opt, status, msgid % 2**64))
            elif what == 10:
                fcntl.ioctl(fd, 0x40407610, struct.pack(
                    "=32sII24x", rng.randbytes(rng.randrange(4)),
                    rng.randrange(101), rng.randrange(3)))
            else:
                fcntl.ioctl(fd, 0x41007611, rng.randbytes(256))
        except OSError:
            pass


def obedient(path):
    """A freeze daemon that agrees to everything."""
    dev = Device(path)
    dev.read()
    while True:
        if dev.poll(10):
            opt, status, msgid = dev.read()
            if status == 0:
                dev.write(opt, 0, msgid)


def forked(function, *args):
    pid = os.fork()
    if pid == 0:
        try:
            function(*args)
        finally:
            os._exit(1)
    hvtest.after(reaped, pid)
    return pid


def reaped(pid):
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def ended(group):
    try:
        os.killpg(group, signal.SIGKILL)
        os.waitpid(group, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def disturbances(path, rng, n):
    pids = [forked(unruly, path, random.Random(rng.getrandbits(32)))
            for _ in range(n)]
    while True:
        time.sleep(rng.random() / 20)
        i = rng.randrange(n)
        reaped(pids[i])
        pids[i] = forked(unruly, path, random.Random(rng.getrandbits(32)))


@case
def whatever_applications_do_each_request_has_its_one_reply():
    print(f"# HV_VSS_SEED={SEED}", flush=True)
    rng = random.Random(SEED)
    m = hvtest.Machine(check=1, freeze=2, quiesce=1, fs=1, thaw=2)
    m.start_driver()
    daemon = forked(obedient, m.fs_dev)
    group = os.fork()
    if group == 0:
        os.setpgid(0, 0)
        disturbances(m.app_dev, rng, 5)
    hvtest.after(ended, group)
    end = time.monotonic() + SECONDS
    rounds = 0
    while time.monotonic() < end:
        actions = [rng.choice(("check", "freeze", "thaw", "check&", "freeze&",
                               "thaw&", "negotiate", "complete", "hold=3"))
                   for _ in range(12)]
        host = m.host(*actions, "wait")
        wanted = [i for i, a in enumerate(actions, 1) if a != "hold=3"]
        status, replies = host.wait(60)
        check(status in (0, 3), f"{actions}: the host's status {status}")
        check(sorted(r["n"] for r in replies) == wanted and
              all(r["reply"] != "none" for r in replies),
              f"{actions}: one reply each: {replies}")
        check(m.driver.alive(), "the driver lives")
        rounds += 1
    print(f"# {rounds} rounds", flush=True)
    ended(group)

    def works():
        return m.host("check", "freeze", "thaw").wait(60)[0] == 0
    hvtest.until(works, "a checkpoint without them", 20)
    reaped(daemon)


hvtest.main()
