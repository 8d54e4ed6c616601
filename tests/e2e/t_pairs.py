#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
# isoroot: --bound 110
"""Every pair of what is under way and what the host asks next, through the
running driver: one reply a request, the right one, in the right order.  The
host ends with a fault when a second reply to anything comes.  The test plays
the freeze daemon: no file system is frozen."""

import hvtest
from hvtest import CHECK, FAIL, FREEZE, THAW, Device, case, check


class Guest:
    """The driver with a freeze daemon and an application."""

    def __init__(self, **limits):
        self.m = hvtest.Machine(**limits)
        self.m.start_driver()
        self.fs, self.app = Device(self.m.fs_dev), Device(self.m.app_dev)
        self.fs.read()
        self.app.read()
        self.host = None

    def asks(self, *actions):
        """A host that sends these."""
        if self.host:
            self.host.process.kill()
        self.host = self.m.host(*actions)

    def replies(self, *wanted):
        """Waits for so many replies: "NUMBER ok" or "NUMBER fail", in order."""
        hvtest.until(lambda: len(self.host.replies()) >= len(wanted) or
                     not self.host.process.alive(), f"replies {wanted}")
        got = [f"{r['n']} {r['reply']}" for r in self.host.replies()]
        check(got == list(wanted), f"replies {wanted}, not {got}")

    def ends(self, *wanted):
        """The same, and that there are no more."""
        status = self.host.process.wait(20)
        self.replies(*wanted)
        failed = any("fail" in w for w in wanted)
        check(status == (3 if failed else 0), f"the host's status {status}")

    def check(self):
        self.app.answer(opt=CHECK)
        self.fs.answer(opt=CHECK)

    def freeze(self):
        self.app.answer(opt=FREEZE)
        self.fs.answer(opt=FREEZE)

    def thaw(self):
        self.fs.answer(opt=THAW)
        self.app.answer(opt=THAW)

    def works(self):
        """What came before has left nothing."""
        self.asks("check", "freeze", "thaw", "thaw", "complete")
        self.check()
        self.freeze()
        self.thaw()
        self.ends("1 ok", "2 ok", "3 ok", "4 ok", "5 ok")
        for c in (self.fs, self.app):
            check(c.read() == (0, FAIL, 0), "nothing is left to READ")


@case
def idle():
    g = Guest()
    g.asks("thaw", "negotiate", "dm-info", "complete")
    g.ends("1 ok", "2 ok", "3 ok", "4 ok")
    g.works()


@case
def check_then_check():
    g = Guest()
    g.asks("check&", "check")
    g.replies("2 fail")
    g.check()
    g.ends("2 fail", "1 ok")
    g.works()


@case
def check_then_freeze():
    g = Guest()
    g.asks("check&", "freeze&", "wait", "thaw")
    g.replies("1 fail")
    g.freeze()
    g.thaw()
    g.ends("1 fail", "2 ok", "4 ok")
    g.works()


@case
def check_then_thaw():
    g = Guest()
    g.asks("check&", "thaw")
    g.replies("2 ok")
    g.check()
    g.ends("2 ok", "1 ok")
    g.works()


@case
def check_then_negotiate():
    g = Guest()
    g.asks("check&", "negotiate")
    g.ends("1 fail", "2 ok")
    g.works()


@case
def freeze_then_check_and_freeze():
    g = Guest()
    g.asks("freeze&", "check", "freeze", "wait", "thaw")
    g.replies("2 fail", "3 fail")
    g.freeze()
    g.thaw()
    g.ends("2 fail", "3 fail", "1 ok", "5 ok")
    g.works()


@case
def freeze_then_thaw():
    g = Guest()
    g.asks("freeze&", "hold=200", "thaw")
    msgid = g.app.next()[1]
    g.replies("1 fail")
    opt, thaw_id = g.app.next()
    check(opt == THAW, "it is owed THAW, having READ FREEZE")
    g.app.write(FREEZE, 0, msgid)
    g.replies("1 fail")
    g.app.write(THAW, 0, thaw_id)
    g.ends("1 fail", "3 ok")
    check(g.fs.read() == (0, FAIL, 0), "file systems were never asked")
    g.works()


@case
def freeze_then_negotiate():
    g = Guest()
    g.asks("freeze&", "hold=200", "negotiate")
    g.app.next()
    g.ends("1 fail", "3 ok")
    g.app.answer(opt=THAW)
    g.works()


@case
def hold_then_check_and_freeze():
    g = Guest()
    g.asks("freeze", "check", "freeze", "dm-info", "thaw")
    g.freeze()
    g.thaw()
    g.ends("1 ok", "2 fail", "3 fail", "4 ok", "5 ok")
    g.works()


@case
def hold_then_negotiate():
    g = Guest()
    g.asks("freeze", "negotiate", "thaw", "thaw")
    g.freeze()
    g.replies("1 ok", "2 ok")
    g.thaw()
    g.ends("1 ok", "2 ok", "3 fail", "4 fail")
    g.asks("thaw", "complete", "thaw")
    g.ends("1 fail", "2 ok", "3 ok")
    g.works()


@case
def hold_that_is_not_ended():
    g = Guest(hold="1")
    g.asks("freeze", "hold=1500", "thaw")
    g.freeze()
    g.thaw()
    g.ends("1 ok", "3 fail")
    g.m.driver.says("the host did not send THAW within the hold limit")
    g.works()


@case
def thaw_then_check_freeze_and_thaw():
    g = Guest()
    g.asks("freeze", "thaw&", "check", "freeze", "thaw&", "wait")
    g.freeze()
    g.replies("1 ok", "3 fail", "4 fail")
    g.thaw()
    g.ends("1 ok", "3 fail", "4 fail", "2 ok", "5 ok")
    g.works()


@case
def thaw_then_negotiate():
    g = Guest()
    g.asks("freeze", "thaw&", "negotiate", "thaw")
    g.freeze()
    g.replies("1 ok", "2 fail", "3 ok")
    g.thaw()
    g.ends("1 ok", "2 fail", "3 ok", "4 fail")
    g.works()


def _undo(*then):
    """A guest in undo: the application was at rest when the freeze failed, and
    has not answered THAW."""
    g = Guest()
    g.asks("freeze", *then)
    g.app.answer(opt=FREEZE)
    g.fs.answer(FAIL, opt=FREEZE)
    g.fs.answer(opt=THAW)
    check(g.app.poll(10), "THAW comes")
    return g


@case
def undo_then_check():
    g = _undo("check")
    g.replies("1 fail")
    g.app.answer(opt=THAW)
    g.check()
    g.ends("1 fail", "2 ok")
    g.works()


@case
def undo_then_freeze():
    g = _undo("freeze", "thaw")
    g.replies("1 fail")
    g.app.answer(opt=THAW)
    g.freeze()
    g.thaw()
    g.ends("1 fail", "2 ok", "3 ok")
    g.works()


@case
def undo_then_thaw():
    g = _undo("thaw")
    g.replies("1 fail")
    g.app.answer(opt=THAW)
    g.ends("1 fail", "2 ok")
    g.works()


@case
def undo_then_freeze_and_thaw():
    g = _undo("freeze&", "thaw&", "wait")
    g.replies("1 fail", "2 fail")
    g.app.answer(opt=THAW)
    g.ends("1 fail", "2 fail", "3 ok")
    g.works()


@case
def undo_then_negotiate():
    g = _undo("check&", "thaw&", "negotiate", "wait", "thaw")
    g.replies("1 fail", "2 fail", "3 fail", "4 ok")
    g.app.answer(opt=THAW)
    g.ends("1 fail", "2 fail", "3 fail", "4 ok", "6 ok")
    g.works()


@case
def undo_then_five_requests():
    g = _undo("check&", "thaw&", "check&", "thaw&", "thaw&", "wait")
    g.replies("1 fail", "6 fail")
    g.app.answer(opt=THAW)
    g.check()
    replies = g.host.wait()[1]
    check(sorted(r["n"] for r in replies) == [1, 2, 3, 4, 5, 6],
          f"one reply each: {replies}")
    g.works()


@case
def what_is_malformed_or_unknown_disturbs_nothing():
    g = Guest()
    short = "raw=0100000000000000"
    unknown = ("raw=0100000020000000" "03000000" "0500" "05000000" "0c00"
               "00000000" "00030000" "0900000000000000" "00000000")
    g.asks("freeze&", short, unknown, "check", "wait", "thaw")
    g.replies("2 none", "3 fail", "4 fail")
    g.freeze()
    g.thaw()
    g.host.wait()
    g.replies("2 none", "3 fail", "4 fail", "1 ok", "6 ok")
    status = [r for r in g.host.replies() if r["n"] == 3][0]["status"]
    check(status == "0x80070032", f"not supported: {status}")
    g.works()


hvtest.main()
