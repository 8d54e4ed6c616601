#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
#
# isoroot: --fs ext4:256M,xfs:360M,btrfs:256M,in=ext4:64M@xfs --sys

"""A guard that is a service of its own, under driver, daemon and the host's
orders."""

import os
import re
import resource
import select
import signal
import socket
import subprocess

import frzlib
import guest
import hvtest
from daemonrig import HELD, frozen_all, held_freeze, works_again, writers
from hvtest import case, check, until, writable_within


class GuardService:
    """The guard as a service manager starts it: on a socket."""

    def __init__(self):
        self.path = "/run/guard.sock"
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.bind(self.path)
        self.sock.listen(5)
        self.start()
        hvtest.after(self.end)

    def start(self):
        fd = self.sock.fileno()
        self.popen = subprocess.Popen(
            ["/bin/sh", "-c", "exec %s guard 3<&%d" % (frzlib.PROGRAM, fd)],
            env={"HV_VSS_TEST_DEVICES": frzlib.scratch_devices()},
            pass_fds=[fd])

    def end(self):
        self.popen.kill()
        self.popen.wait(10)
        self.sock.close()


def guarded():
    """A guard that is a service, a machine, and writers."""
    hvtest.after(guest.freezers_end)
    g = GuardService()
    m = hvtest.Machine(guard=g.path)
    m.start_driver()
    m.start_daemon(["-d"])
    return g, m, writers()


@case
def a_guard_that_is_a_service_outlives_daemon_and_worker():
    g, m, w = guarded()
    works_again(m)
    h = m.host("freeze", "hold=700", "thaw")
    frozen_all(h)
    worker = frzlib.children(m.daemon.pid, "hv_vss_freezer")
    check(len(worker) == 1, "children: %s" % worker)
    # Stopped first: the worker would end with the daemon.
    for sig in (signal.SIGSTOP, signal.SIGKILL):
        for pid in (m.daemon.pid, worker[0]):
            os.kill(pid, sig)
    writable_within(w, 1, "the strike")
    h.wait()
    check(g.popen.poll() is None, "the guard has ended")
    m.start_daemon()
    works_again(m)


@case
def a_guard_that_is_a_service_is_replaced_when_it_dies():
    g, m, w = guarded()
    h = m.host("freeze", "hold=500", "thaw")
    frozen_all(h)
    g.popen.kill()
    writable_within(w, 1, "the strike")
    _, replies = h.wait()
    check(replies[1]["reply"] == "fail", "host: %s" % replies)
    g.popen.wait(5)
    g.start()
    works_again(m)


@case
def a_guard_without_descriptors_accepted_again_and_again():
    g = GuardService()
    pid = g.popen.pid

    def rested():
        with open("/proc/%d/status" % pid, encoding="ascii") as f:
            return int(re.search(r"\nvoluntary_ctxt_switches:\s*(\d+)",
                                 f.read())[1])
    until(lambda: os.path.basename(os.readlink("/proc/%d/cwd" % pid)) == "proc"
          and guest.state_of(pid) == "S", "it listens")
    old = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, old[1]))
    before = rested()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
        peer.connect(g.path)
        until(lambda: rested() > before + 5, "it rests in between")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, old)
        check(select.select([peer], [], [], 10)[0], "it greets")


@case
def a_guard_that_is_a_service_is_told_to_end_in_a_hold():
    g, m, w = guarded()
    h = m.host("freeze", "hold=700", "thaw")
    frozen_all(h)
    g.popen.send_signal(signal.SIGTERM)
    status, replies = h.wait()
    check(status == 0, "the hold is broken: %s" % replies)
    writable_within(w, 1, "the thaw")
    check(g.popen.wait(5) == 0, "it has not ended")
    g.start()
    works_again(m)


@case
def a_guard_that_is_a_service_is_told_to_end_with_a_thaw_owed():
    """Nobody else is left when the freeze returns."""
    g, m, w = guarded()
    h, go_on = held_freeze(m)
    (worker,) = frzlib.children(m.daemon.pid, "hv_vss_freezer")
    for pid in (m.daemon.pid, worker):
        os.kill(pid, signal.SIGKILL)
    g.popen.send_signal(signal.SIGTERM)
    held = w.pop(HELD)
    writable_within(w, 1, "the strike")
    check(held.stands_still(0.3), "the freeze waits")
    check(g.popen.poll() is None, "the guard has ended")
    go_on()
    writable_within({HELD: held}, 1, "the freeze has returned")
    check(g.popen.wait(5) == 0, "the guard has not ended")
    h.wait()
    g.start()
    m.start_daemon()
    works_again(m)


@case
def a_guard_that_still_owes_a_thaw_and_the_next_one():
    """No backup begins before the first has thawed."""
    g, m, w = guarded()
    h, go_on = held_freeze(m)
    m.daemon.kill()
    g.popen.send_signal(signal.SIGTERM)
    h.wait()
    first = g.popen
    g.start()
    m.start_daemon(["-d"])
    status, replies = m.host("freeze", "thaw").wait()
    check(status == 3, "host: %s" % replies)
    check(first.poll() is None, "the guard has ended")
    go_on()
    writable_within(w, 1, "the freeze has returned")
    first.wait(5)
    works_again(m)


@case
def thaw_all_does_not_ask_a_guard_that_does_not_answer():
    _, m, w = guarded()
    h = m.host("freeze", "hold=30000")
    frozen_all(h)
    m.kill_all_that_thaw()
    status, _, err = hvtest.run(m.daemon_argv("--thaw-all"))
    check(status == 0, err)
    writable_within(w, 1, "--thaw-all")
    h.process.kill()


@case
def thaw_all_does_not_ask_a_guard_that_has_a_daemon():
    _, m, w = guarded()
    h = m.host("freeze", "hold=5000", "thaw")
    frozen_all(h)
    status, _, err = hvtest.run(m.daemon_argv("--thaw-all"))
    check(status == 0, err)
    writable_within(w, 1, "--thaw-all")
    _, replies = h.wait()
    check(replies[1]["reply"] == "fail", "host: %s" % replies)
    works_again(m)


hvtest.main()
