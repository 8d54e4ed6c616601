# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
"""A checkpoint of a whole guest is held at one of its steps, and the service
manager strikes services there: each, and all at once.  A table has what the
host is answered to CHECK, FREEZE and THAW: o success, f failure, - none, and a
point where that depends on who is faster."""

import os
import re
import subprocess
import time

import frzlib
import guest
import hvtest
import vmtest
from hvtest import CHECK, FREEZE, THAW, check, until
from vmtest import DAEMON, DRIVER, GUARD

# Where an application has READ and not answered; None: no application has.
STEPS = {"checking": CHECK, "quiescing": FREEZE, "freezing": None,
         "frozen": None, "thawing": None, "resuming": THAW}
VICTIMS = {"driver": [DRIVER], "daemon": [DAEMON], "guard": [GUARD],
           "all": [DRIVER, DAEMON, GUARD]}


def in_a_freeze(pid):
    """Whether a thread of the worker is in the system call."""
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/syscall" % (pid, task),
                  encoding="ascii") as f:
            call = f.read().split()
        if call[0] == "16" and int(call[2], 16) == hvtest.FIFREEZE:
            return True
    return False


class Cell:
    """How: words of systemctl, before the units."""

    def __init__(self, how, step, who, answers, seconds):
        self.how, self.step, self.who = how, step, who
        self.answers, self.seconds = answers, seconds
        self.app = self.holder = None

    def reach(self):
        self.beat = vmtest.Beat()
        if STEPS[self.step]:
            self.app = guest.App("/dev/hv_appvss_dev",
                                 (STEPS[self.step], "read"))
        if self.step == "freezing":
            self.holder = frzlib.Holder("/var/tmp")
        if os.path.exists("/run/gate"):
            os.unlink("/run/gate")
        self.gate = guest.Gate("/run/gate")
        self.host = vmtest.Host("check", "freeze", self.gate.action, "thaw",
                                options=("--wait", "30"))
        if self.step == "freezing":
            worker = vmtest.worker()
            until(lambda: in_a_freeze(worker), "a freeze waits")
        elif self.step in ("frozen", "thawing", "resuming"):
            reply = self.host.until("freeze")
            check(reply["reply"] == "ok", "freeze: %s" % reply)
            check(vmtest.frozen("/"), "the root file system is frozen")
        if self.step == "thawing":
            daemon = vmtest.pid_of(DAEMON)
            vmtest.kill(vmtest.STOP, vmtest.worker())
            self.gate.open(self.host.alive)
            until(lambda: guest.orders_thaw(guest.page_of(daemon)),
                  "the order to thaw")
        elif self.step == "resuming":
            self.gate.open(self.host.alive)
        if self.app:
            self.app.is_held()

    def strike(self):
        """Until the signal has been sent, or the first one is told to stop."""
        # The daemon's stops before the driver's.
        first = GUARD if self.who == "guard" else DAEMON
        was = vmtest.pid_of(first)
        p = subprocess.Popen(["systemctl", *self.how, *VICTIMS[self.who]],
                             stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True)
        if self.how[0] == "restart":
            until(lambda: vmtest.pid_of(first) != was or
                  vmtest.active(first) != "active", "it is told to stop")
        else:
            p.wait()
        return p

    def let_go(self):
        if self.app:
            self.app.go()
        if self.holder:
            self.holder.let_go()

    def go_on(self):
        if "STOP" in self.how:
            vmtest.sh(["systemctl", "kill", "-s", "CONT", DRIVER, DAEMON,
                       GUARD])

    def run(self):
        self.reach()
        p = self.strike()
        self.let_go()
        # A host whose driver stands has no reply before that goes on.
        stands = "STOP" in self.how and self.who in ("driver", "all")
        # Nobody breaks this hold: it ends when the host ends it.
        if self.answers == "ooo" and not stands:
            self.gate.open(self.host.alive)
        began = time.monotonic()
        self.beat.moves(self.seconds)
        out, _ = p.communicate(timeout=120)
        check(p.returncode == 0, out)
        if stands:
            self.go_on()
        self.gate.open(self.host.alive)
        self.go_on()
        print("# %s %s: writes after %.1f s" % (
            self.step, self.who, time.monotonic() - began), flush=True)
        self.judge(self.host.rest(60))

    def judge(self, replies):
        replies = {r["op"]: r["reply"] for r in replies}
        letters = {"ok": "o", "fail": "f", "none": "-"}
        got = "".join(letters[replies.get(op, "none")]
                      for op in ("check", "freeze", "thaw"))
        check(not vmtest.frozen("/"), "thawed")
        vmtest.works()
        check(not vmtest.record(), "the record")
        check(re.fullmatch(self.answers, got), "answers %s, not %s" % (got, self.answers))


def add(how, table, seconds):
    """Makes cases of a table: a line for each who, a column for each step.
    After so many seconds at most the root file system is written to."""
    lines = [line.split() for line in table.strip().splitlines()]
    for who, *cells in lines[1:]:
        for step, answers in zip(lines[0], cells):
            cell = Cell(how, step, who, answers, seconds)
            run = lambda c=cell: c.run()
            run.__name__ = "%s_struck_when_%s" % (who, step)
            hvtest.case(run)
