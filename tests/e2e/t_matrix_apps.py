#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
#
# isoroot: --fs ext4:64M,xfs:320M --sys
# all: 300
"""An application that misbehaves at each of the four notifications, through the
whole guest: what the host is answered, and that nothing else is disturbed.  Who
never answers, or is dead, is in the other parts of the matrix."""

import errno
import fcntl
import os

import guest
import hvtest
import matrix
from hvtest import CHECK, FAIL, FREEZE, PREPARE, SUCCESS, THAW, check, until


# What it does.  Each returns whether it has answered.

def late(app, dev, opt, msgid, tell):
    app.wait(tell)
    dev.write(opt, SUCCESS, msgid)
    return True


def twice(app, dev, opt, msgid, tell):
    dev.write(opt, SUCCESS, msgid)
    dev.write(opt, SUCCESS, msgid)
    return True


def takes_it_back(app, dev, opt, msgid, tell):
    dev.write(opt, SUCCESS, msgid)
    app.wait(tell)
    dev.write(opt, FAIL, msgid)
    return True


def refuses(app, dev, opt, msgid, tell):
    dev.write(opt, FAIL, msgid)
    return True


def _refused(tell, function, *args):
    """Has a call that must fail tell with what."""
    try:
        function(*args)
        tell("accepted")
    except OSError as e:
        tell(errno.errorcode[e.errno])


def wrong_operation(app, dev, opt, msgid, tell):
    for other in (0, CHECK, FREEZE, THAW, PREPARE, 77):
        if other != opt:
            _refused(tell, dev.write, other, SUCCESS, msgid)


def wrong_id(app, dev, opt, msgid, tell):
    for other in (0, msgid + 1, msgid + (1 << 32)):
        _refused(tell, dev.write, opt, SUCCESS, other)


def wrong_ioctls(app, dev, opt, msgid, tell):
    for request in (hvtest.IOCHVVSSREAD + 1, hvtest.IOCHVVSSWRITE + 0x10000,
                    0x40407600, 0x5401):
        _refused(tell, fcntl.ioctl, dev.fd, request, bytearray(256))


def opens_many(app, dev, opt, msgid, tell):
    fds = []
    try:
        while len(fds) < 1000:
            fds.append(os.open(os.readlink("/proc/self/fd/%d" % dev.fd),
                               os.O_RDWR))
        tell("accepted")
    except OSError as e:
        tell(errno.errorcode[e.errno])
    for fd in fds:
        os.close(fd)


def leaves(app, dev, opt, msgid, tell):
    dev.close()
    os._exit(0)


# Answers to CHECK, FREEZE, THAW and to a THAW after all, where it happens when
# it is notified of ...
#          way              step      CHECK   PREPARE FREEZE  THAW   it is told
WAYS = [
    (late,            "read",   "fooo", "oooo", "ofoo", "oofo", None),
    (twice,           "read",   "oooo", "oooo", "oooo", "oooo", None),
    (takes_it_back,   "read",   "oooo", "oooo", "ooff", "oooo", None),
    (refuses,         "read",   "fooo", "ofoo", "ofoo", "ooff", None),
    (wrong_operation, "read",   "oooo", "oooo", "oooo", "oooo", "EINVAL"),
    (wrong_id,        "read",   "oooo", "oooo", "oooo", "oooo", "EINVAL"),
    (wrong_ioctls,    "read",   "oooo", "oooo", "oooo", "oooo", "ENOTTY"),
    (opens_many,      "unread", "oooo", "oooo", "oooo", "oooo", "EMFILE"),
    (leaves,          "unread", "oooo", "oooo", "oooo", "oooo", None),
    (leaves,          "read",   "fooo", "ofoo", "ofoo", "oooo", None),
]
OPS = [CHECK, PREPARE, FREEZE, THAW]


class Cell:
    def __init__(self, way, step, opt, expected, error):
        self.way, self.step, self.opt = way, step, opt
        self.expected, self.error = expected, error

    def name(self):
        return "an_application_that_%s_%s_%s" % (
            {"late": "is_late", "twice": "answers_twice"}.get(
                self.way.__name__, self.way.__name__),
            {"read": "having_read", "unread": "before_it_reads"}[self.step],
            guest.NAME[self.opt])

    def may_go_on(self):
        """Waits until one that is late, or takes its answer back, may do so."""
        if self.way is late and self.opt == PREPARE:
            until(lambda: "freeze" in self.witness.told(), "FREEZE")
        elif self.way is late or self.opt in (CHECK, THAW):
            self.g.answered(guest.NAME[self.opt])
        elif self.opt == FREEZE:
            self.g.answered("freeze")
            check(len(self.g.frozen()) == 2, "frozen: %s" % self.g.frozen())
        else:
            until(lambda: "freeze" in self.witness.told(), "FREEZE")

    def run(self):
        g = self.g = guest.Guest(matrix.mounts(), matrix.LIMITS)
        self.witness = guest.App(g.m.app_dev)
        patient = guest.App(g.m.app_dev, (self.opt, self.step), self.way)
        g.begin()
        g.pass_gate(0)
        waits = self.way in (late, takes_it_back)
        if waits and self.opt != THAW:
            patient.is_held()
            self.may_go_on()
            patient.go()
            if self.way is takes_it_back and self.opt == FREEZE:
                until(lambda: "thaw" in self.witness.told(), "the hold's end")
        g.answered("freeze")
        g.pass_gate(1)
        if waits and self.opt == THAW:
            patient.is_held()
            self.may_go_on()
            patient.go()
        g.host.process.wait(25)
        answers = g.answers() + matrix.thaw_after_all(g)
        check(answers == self.expected,
              "answers %s, not %s" % (answers, self.expected))
        g.writable_within(1, "the end")
        g.works_again()
        told = patient.told()
        odd = [w for w in told if w.startswith("E") or w == "accepted"]
        check(bool(odd) == bool(self.error) and
              all(w == self.error for w in odd), "it was told %s" % told)
        check(guest.NAME[self.opt] in told or self.step == "unread",
              "it came to the step: %s" % told)
        until(self.witness.in_order, "each FREEZE has its THAW", 3)
        g.nothing_left()


CELLS = [Cell(way, step, opt, expected, error)
         for way, step, *answers, error in WAYS
         for opt, expected in zip(OPS, answers)]
matrix.add(c for c in CELLS
           if hvtest.everything() or c.opt in (FREEZE, THAW))
hvtest.main()
