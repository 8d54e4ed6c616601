#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
#
# isoroot: --fs f*140=ext4:4M --bound 230 --sys
# timeout: 240

"""Many more file systems than the freezer has threads."""

import os
import signal

import hvtest
from hvtest import case, check, until

POINTS = [s.mount for s in hvtest.scratch().values()]
SOME = [POINTS[0], POINTS[len(POINTS) // 2], POINTS[-1]]


def machine(**sets):
    m = hvtest.Machine(**sets)
    m.start_driver()
    m.start_daemon()
    return m


def frozen():
    return [p for p in POINTS if hvtest.is_frozen(p)]


def frozen_all(host):
    reply = host.reply("freeze")
    check(reply["reply"] == "ok", f"frozen: {reply}")
    left = set(POINTS) - set(frozen())
    check(not left, f"all are frozen in the hold, but {left}")


@case
def all_are_frozen_and_thawed_again_and_again():
    m = machine()
    writers = [hvtest.Writer(p) for p in SOME]
    for _ in range(3):
        host = m.host("check", "freeze", "hold=1500", "thaw")
        frozen_all(host)
        check(all(w.stands_still(0.05) for w in writers), "writers stand still")
        check(host.reply("thaw")["reply"] == "ok", "the hold held")
        for w in writers:
            w.progresses()
        host.wait()
    check(frozen() == [], "none is frozen any more")


@case
def a_low_limit_of_descriptors_is_raised_or_named():
    m = hvtest.Machine()
    m.start_driver()
    for limit, reply in (("100:", "ok"), ("100:100", "fail")):
        m.daemon = hvtest.Process([
            "prlimit", "--nofile=" + limit, "setpriv", "--bounding-set",
            "-sys_resource", f"{hvtest.BIN}/hv_vss_daemon", "-n", "--device",
            m.fs_dev, "--set", f"run_dir={m.dir}/run", "--set",
            f"freezer={hvtest.BUILD}/tests/hv_vss_freezer_test"])
        m.daemon.says("serving ")
        host = m.host("freeze", "thaw")
        got = host.reply("freeze")["reply"]
        check(got == reply, f"{limit}: {got}")
        host.wait()
        check(m.daemon.end() == 0, "ends")
    check("open: Too many open files (raise the limit of open files"
          in m.daemon.output(), "it says what to do")


@case
def when_one_is_refused_all_the_others_are_thawed():
    m = machine()
    hvtest.freeze(SOME[1])
    host = m.host("freeze", "thaw")
    check(host.reply("freeze")["reply"] == "fail", "refused")
    m.daemon.says(f"{SOME[1]}: freeze: Device or resource busy")
    host.wait()
    check(frozen() == [SOME[1]], "only what somebody else froze is frozen")
    hvtest.thaw(SOME[1])


@case
def when_the_freezer_dies_the_guard_thaws_all():
    m = machine()
    host = m.host("freeze", "hold=20000", "thaw")
    frozen_all(host)
    for pid in hvtest.pids_of("hv_vss_freezer"):
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            if b"worker" in f.read():
                os.kill(pid, signal.SIGKILL)
    for p in POINTS:
        until(lambda p=p: not hvtest.is_frozen(p), f"{p} is thawed")
    host.process.kill()


@case
def when_everything_is_killed_the_next_start_thaws_all():
    m = machine()
    host = m.host("freeze", "hold=60000", "thaw")
    frozen_all(host)
    m.kill_all_that_thaw()
    check(hvtest.is_frozen(SOME[1]), "nobody has thawed it")
    m.start_daemon()
    check(frozen() == [], "all are thawed when it serves")
    host.process.kill()


hvtest.main()
