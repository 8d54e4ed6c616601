# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
"""Who is struck, how, at which step of a checkpoint: what each cell of that
matrix must come to, and how it is tried.

A checkpoint is CHECK, FREEZE, THAW of one host; two applications take part, the
patient, which can be held up, and the witness.  A cell is four letters: the
host's answers to the three requests, and to a THAW of another host after
that, which says whether the hold was LOST.  o is success, f failure, - none
(the link was reported dead, or the host was)."""

import os
import signal

import frzlib
import guest
import hvtest
from hvtest import CHECK, FREEZE, PREPARE, THAW, check, until

PATIENCE = int(os.environ.get("VM_PATIENCE", "1"))  # with an emulated processor
FS = HOLD = 2 * PATIENCE
# Those of THAW are set against SILENCE, which nobody can set.
LIMITS = {"check": 3 * PATIENCE, "freeze": 9 * PATIENCE, "prepare": 3 * PATIENCE,
          "quiesce": 2 * PATIENCE, "fs": FS, "hold": HOLD, "thaw": 5,
          "thaw_fs": 4, "level": PATIENCE}
SILENCE = 2  # how long the worker may be silent, or outlive the daemon
FS_LIMIT = FS - min(1, FS / 4)  # what the daemon takes of it
GUARD_LEASE = FS + HOLD + 5
WORKER_LEASE = GUARD_LEASE - 2

# Where it is held, and where the patient is then; None: it is not.
STEPS = {
    "idle": None,
    "checking": (CHECK, "read"),
    "preparing": (PREPARE, "read"),
    "unread": (FREEZE, "unread"),
    "unanswered": (FREEZE, "read"),
    "fs_unread": (FREEZE, "read"),  # then the daemon is held before its READ
    "waiting": None,  # a FIFREEZE waits for a writer, who then lets go
    "hanging": None,  # the same, and the writer lets go when the rest is thawed
    "frozen": None,
    "thaw_unread": None,  # the daemon is held before its READ of THAW
    "thawing": None,  # the daemon has READ it, and the worker stands
    "resuming": (THAW, "read"),
}
UNFROZEN = list(STEPS)[:6]

DEAD = """
               idle checking preparing unread unanswered fs_unread waiting hanging frozen thaw_unread thawing resuming
daemon         ffoo ffoo     ofoo      ofoo   ofoo       ofoo      ofoo    ofoo    ooff   ooff        ooff    oooo
driver         ---o ---o     o--o      o--o   o--o       o--o      o--o    o--o    oo-o   oo-o        oo-o    oo-o
worker         oooo oooo     oooo      oooo   oooo       oooo      ofoo    ofoo    ooff   ooff        oooo    oooo
guard          oooo oooo     oooo      oooo   oooo       oooo      ofoo    ofoo    ooff   ooff        oooo    oooo
patient        oooo fooo     ofoo      oooo   ofoo       ofoo      ofoo    ofoo    ooff   ooff        ooff    oooo
host           ---o ---o     o--o      o--o   o--o       o--o      o--o    o--o    oo-f   oo-f        oo-f    oo-f
daemon+worker  ffoo ffoo     ofoo      ofoo   ofoo       ofoo      ofoo    ofoo    ooff   ooff        ooff    oooo
daemon+guard   ffoo ffoo     ofoo      ofoo   ofoo       ofoo      ofoo    ofoo    ooff   ooff        ooff    oooo
worker+guard   oooo oooo     oooo      oooo   oooo       oooo      ofoo    .       ooff   ooff        oooo    oooo
"""

STOPPED = """
               idle checking preparing unread unanswered fs_unread waiting hanging frozen thaw_unread thawing resuming
daemon         ffoo ffoo     ofoo      ofoo   ofoo       ofoo      offo    offo    ooff   oofo        oofo    oooo
driver         oooo oooo     oooo      oooo   oooo       oooo      ofoo    ofoo    ooff   oofo        oofo    oooo
worker         ofoo ofoo     ofoo      ofoo   ofoo       ofoo      ofoo    ofoo    oooo   oooo        oooo    oooo
guard          ofoo ofoo     ofoo      ofoo   ofoo       ofoo      oooo    ofoo    oooo   oooo        oofo    oooo
patient        ffoo ffoo     ofoo      ofoo   offo       oofo      oofo    offo    oofo   oofo        oofo    oofo
host           oooo oooo     ooff      ooff   ooff       ooff      ooff    ofoo    ooff   oooo        oooo    oooo
daemon+worker  ffoo ffoo     ofoo      ofoo   ofoo       ofoo      offo    offo    ooff   oofo        oofo    oooo
"""


def table(text):
    """{(who, step): letters}"""
    lines = text.strip("\n").splitlines()
    steps = lines[0].split()
    assert steps == list(STEPS)
    found = {}
    for line in lines[1:]:
        who, *cells = line.split()
        found.update({(who, s): c for s, c in zip(steps, cells) if c != "."})
    return found


def mounts():
    """Two file systems, neither lying on the other.  Of one the freeze waits
    for a writer: of the last where a cell does not say."""
    return [s.mount for s in hvtest.scratch().values()]


SINGLE = ["driver", "daemon", "worker", "guard", "patient", "host"]
EXPECTED = {"dead": table(DEAD), "stopped": table(STOPPED)}


class Cell:
    """One of them: how is a signal."""

    def __init__(self, who, how, step, held=None):
        self.who = who
        self.victims = who.split("+")
        self.how = how
        self.step = step
        self.stops = how == signal.SIGSTOP
        kind = "stopped" if self.stops else "dead"
        self.expected = EXPECTED[kind].get((who, step))
        self.mounts = mounts()
        self.held = held or self.mounts[-1]

    def name(self):
        return "%s_struck_by_%s_when_%s%s" % (
            self.who.replace("+", "_and_"), self.how.name.lower(), self.step,
            "" if self.held == self.mounts[-1] else "_at_" + self.held)

    def has(self, *who):
        return any(w in self.victims for w in who)

    # The way to the step.

    def start(self):
        self.g = guest.Guest(self.mounts, LIMITS)
        self.witness = guest.App(self.g.m.app_dev)
        self.patient = guest.App(self.g.m.app_dev, STEPS[self.step] or ())
        self.holder = None
        self.g.begin()

    def reach(self):
        """Brings the checkpoint to the step."""
        g = self.g
        if self.step == "idle":
            return
        if self.step in ("waiting", "hanging"):
            self.holder = frzlib.Holder(self.held)
        g.pass_gate(0)
        if self.step in UNFROZEN:
            self.patient.is_held()
        if self.step == "preparing":
            g.m.daemon.says("are prepared")
        elif self.step == "fs_unread":
            guest.stop(g.pid("daemon"))
            self.patient.go()
            until(g.notified, "FREEZE waits for the daemon")
        elif self.holder:
            until(lambda: sorted(g.states()) == [frzlib.FREEZING,
                                                 frzlib.FROZEN],
                  "one is frozen, the other waits")
        elif self.step not in UNFROZEN:
            self.reach_frozen()

    def reach_frozen(self):
        g = self.g
        g.answered("freeze")
        check(g.answers() == "oo-", "answers %s" % g.answers())
        check(g.frozen() == self.mounts, "frozen: %s" % g.frozen())
        check(g.record().count("\nfs ") == 2, "record: %s" % g.record())
        if self.step == "thaw_unread":
            guest.stop(g.pid("daemon"))
            g.pass_gate(1)
            until(g.notified, "THAW waits for the daemon")
        elif self.step == "thawing":
            guest.stop(g.pid("worker"))
            g.pass_gate(1)
            until(g.thaw_ordered, "the order to thaw")
        elif self.step == "resuming":
            g.pass_gate(1)
            self.patient.is_held()

    # The strike, and what goes on after it.

    def pid(self, who):
        return self.patient.pid if who == "patient" else self.g.pid(who)

    def strike(self):
        self.struck = {w: self.pid(w) for w in self.victims}
        hvtest.after(self.go_on)  # nobody can be waited for otherwise
        if len(self.victims) > 1:
            # None of them is to act on the other's death.
            for pid in self.struck.values():
                guest.stop(pid)
        for pid in self.struck.values():
            os.kill(pid, self.how)
        if not self.stops:
            self.go_on()
            self.await_death()
        if self.step in ("fs_unread", "thaw_unread") and not self.has("daemon"):
            os.kill(self.g.pid("daemon"), signal.SIGCONT)
        if self.step == "idle":
            self.g.pass_gate(0)
        if STEPS[self.step] and self.step != "fs_unread" and \
                (self.stops or not self.has("patient")):
            self.patient.go()

    def await_death(self):
        """What comes after is to find them dead.  A worker whose thread is in
        a freeze ends with that."""
        for who, pid in self.struck.items():
            if who != "worker" or not self.holder:
                guest.await_end(pid)
        if self.has("host") and STEPS[self.step]:
            self.g.m.driver.says("closed the link")

    def bound(self):
        """Seconds after the strike, or the writer's letting go, until what is
        frozen must be writable."""
        worker_stands = self.step == "thawing"
        if not self.stops:
            if self.step == "hanging":
                return FS_LIMIT + SILENCE if self.has("worker") else 0
            if worker_stands and not self.has("worker"):
                return SILENCE
            return 0
        if self.step == "resuming":
            return 0
        if self.has("daemon", "driver"):
            # While the driver stands, the daemon hangs in a call to it.
            worker_stands = worker_stands or self.has("worker")
            return GUARD_LEASE if worker_stands else WORKER_LEASE
        if self.step in ("waiting", "hanging") and self.has("worker"):
            return FS_LIMIT + SILENCE
        if self.step == "hanging":
            return FS_LIMIT
        if self.has("host") and self.step in ("waiting", "frozen"):
            return HOLD
        if worker_stands or self.has("worker"):
            return 2 * SILENCE if self.has("guard") else SILENCE
        return 0

    def is_waited_for(self):
        """The host is answered only when it, or the driver, goes on."""
        return self.stops and self.has("driver", "host")

    def holds_on(self):
        """Frozen, and for as long as the host wants in spite of the strike."""
        return (self.step == "frozen" and self.stops and
                not self.has("driver", "host", "daemon"))

    def let_go(self):
        if self.holder:
            self.holder.let_go()
            self.holder = None

    def check_writable(self):
        """Within the bound, and what hangs when the writer has let go."""
        g, bound = self.g, self.bound() + PATIENCE
        if self.step == "hanging":
            g.writable_within(bound, "the strike",
                              [p for p in self.mounts if p != self.held])
            self.let_go()
            g.writable_within(PATIENCE, "the last freeze call's return")
        elif self.step not in UNFROZEN:
            if self.step == "thawing" and not self.stops and \
                    self.victims == ["daemon", "guard"]:
                # With the worker, which stands, that is everybody.
                g.m.daemon.wait()
                g.m.start_daemon(["-d"])
            g.writable_within(bound, "the strike")
        elif self.stops and self.has("host") and \
                self.step not in ("idle", "checking"):
            # FREEZE goes on without it, until the hold has its time.
            until(lambda: "thaw" in self.witness.told(), "the hold's end",
                  HOLD + 3)
            g.writable_within(PATIENCE, "the hold's end")

    def go_on(self):
        """What was stopped goes on."""
        for pid in self.struck.values():
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass

    def finish(self):
        """Until the host has its answers, or no host is left."""
        g = self.g
        if self.step == "waiting":
            self.let_go()
        if not self.is_waited_for() and \
                (self.step != "frozen" or self.holds_on()):
            if self.step == "hanging":
                self.check_writable()
            g.answered("freeze")
            g.pass_gate(1)
        self.check_writable()
        if self.is_waited_for():
            self.go_on()
        g.answered("freeze")
        g.pass_gate(1)
        if g.host.process.alive():
            g.host.process.wait(25)
        self.go_on()

    # What must have come of it.

    def restart(self):
        if self.stops:
            return
        m = self.g.m
        if self.has("driver"):
            m.driver.wait()
            m.start_driver()
        if self.has("daemon") and not m.daemon.alive():
            m.start_daemon(["-d"])

    def check_apps(self):
        gone = self.has("driver") and not self.stops
        for name in ("witness", "patient"):
            app = getattr(self, name)
            if name in self.victims and not self.stops:
                continue
            until(lambda: app.in_order(gone), "%s: each FREEZE has its THAW: %s"
                  % (name, app.told()), 3)
            check(not gone or "error" in app.told(),
                  "%s: no error from its descriptor" % name)

    def run(self):
        self.start()
        self.reach()
        self.strike()
        self.finish()
        answers = self.g.answers()
        self.g.writable_within(PATIENCE, "the end")
        self.restart()
        answers += thaw_after_all(self.g)
        check(answers == self.expected, "answers %s, not %s"
              % (answers, self.expected))
        self.g.works_again()
        self.check_apps()
        self.g.nothing_left()


def thaw_after_all(g):
    """The answer to a THAW of another host: f if the hold was LOST."""
    _, replies = g.m.host("thaw").wait()
    return "o" if replies and replies[0]["reply"] == "ok" else "f"


def cells(how, whos=None, steps=None, held=None):
    """The cells of these signals, of all or some rows and columns."""
    found = []
    for sig in how:
        kind = "stopped" if sig == signal.SIGSTOP else "dead"
        for who, step in EXPECTED[kind]:
            if (not whos or who in whos) and (not steps or step in steps):
                found.append(Cell(who, sig, step, held))
    return found


def add(some):
    """Makes cells cases of the running test."""
    for c in some:
        run = lambda c=c: c.run()
        run.__name__ = c.name()
        hvtest.case(run)
