#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
# isoroot: --bound 110
"""The devices of the running driver, call by call.  The test plays the freeze
daemon itself: no file system is frozen."""

import ctypes
import errno
import fcntl
import os
import select
import signal
import stat
import struct

import hvtest
from hvtest import (CHECK, FAIL, FREEZE, IOCHVVSSREAD, PREPARE,
                    SUCCESS, THAW, Device, case, check, until)

IOCHVVSSHELLO = 0x40407610
IOCHVVSSREASON = 0x41007611
IOCHVVSSTIMELEFT = 0x80407612
IOCHVVSSLUNS = 0x98707613
FIONBIO = 0x5421
NOBODY = 65534


def guest(**limits):
    m = hvtest.Machine(**limits)
    os.chmod(m.dir, 0o755)
    m.start_driver()
    return m


class Client(Device):
    """An application that takes part, or the freeze daemon."""

    def __init__(self, path):
        super().__init__(path)
        self.read()

    def hello(self, name=b"", level=50, flags=0, reserved=b""):
        fcntl.ioctl(self.fd, IOCHVVSSHELLO,
                    struct.pack("=32sII24s", name, level, flags, reserved))

    def reason(self, text):
        fcntl.ioctl(self.fd, IOCHVVSSREASON, struct.pack("=256s", text))

    def time_left(self):
        """Milliseconds left, of a hold, and of all of FREEZE."""
        buf = bytearray(64)
        fcntl.ioctl(self.fd, IOCHVVSSTIMELEFT, buf)
        check(not any(buf[24:]), "reserved bytes of TIME LEFT are 0")
        return struct.unpack_from("=QQQ", buf)

    def luns(self):
        """Form, and the entries of the host's list of disks."""
        buf = bytearray(6256)
        fcntl.ioctl(self.fd, IOCHVVSSLUNS, buf)
        form, _, _, count = struct.unpack_from("=IIII", buf)
        check(not any(buf[16 + 24 * count:]), "the rest of the list is 0")
        return form, [bytes(buf[16 + 24 * i:40 + 24 * i])
                      for i in range(count)]

    def take(self, opt):
        """READs a notification of that operation; its id."""
        got, msgid = self.next()
        check(got == opt, f"operation {opt}, not {got}")
        return msgid


def fails(function, *args):
    """The errno with which a call fails."""
    try:
        function(*args)
    except OSError as e:
        return e.errno
    return 0


def is_ok(host, op):
    r = host.reply(op)
    check(r["reply"] == "ok", f"{op} is answered ok: {r}")


def is_fail(host, op):
    r = host.reply(op)
    check(r["reply"] == "fail", f"{op} is answered fail: {r}")


def child(function, *args, uid=0):
    """Runs a function in a process of its own; its exit status."""
    pid = os.fork()
    if pid == 0:
        status = 99
        try:
            if uid:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
            status = function(*args) or 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class Victim:
    """A process with a client of its own that does what it is told, so that it
    can be killed in between: "take" READs what waits, "ack" answers it."""

    def __init__(self, path):
        to_read, self._to = os.pipe()
        self._from, from_write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                self._obey(path, to_read, from_write)
            finally:
                os._exit(1)
        os.close(to_read)
        os.close(from_write)
        hvtest.after(self.kill)
        self._done()

    @staticmethod
    def _obey(path, orders, done):
        c = Client(path)
        os.write(done, b".")
        while True:
            order = os.read(orders, 1)
            if order == b"t":
                opt, msgid = c.next(60)
            elif order == b"a":
                c.write(opt, SUCCESS, msgid)
            os.write(done, b".")

    def _done(self):
        ready = select.select([self._from], [], [], 20)[0]
        check(ready and os.read(self._from, 1), "the victim obeys")

    def do(self, *orders):
        for order in orders:
            os.write(self._to, order[:1].encode())
            self._done()

    def kill(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self._to)
            os.close(self._from)
            self.pid = 0


# Single calls.

@case
def read_fills_all_64_bytes_and_never_blocks():
    m = guest()
    app = Device(m.app_dev)
    buf = bytearray(b"\xff" * 64)
    check(fcntl.ioctl(app.fd, IOCHVVSSREAD, buf) == 0, "READ returns 0")
    check(buf == struct.pack("=IIQ48x", 0, FAIL, 0), f"nothing waits: {buf}")
    fs = Client(m.fs_dev)
    host = m.host("check")
    check(app.poll(10), "CHECK comes")
    buf = bytearray(b"\xff" * 64)
    fcntl.ioctl(app.fd, IOCHVVSSREAD, buf)
    opt, status, msgid = struct.unpack_from("=IIQ", buf)
    check((opt, status) == (CHECK, SUCCESS) and msgid, "a notification")
    check(not any(buf[16:]), "reserved bytes are 0")
    check(app.read() == (0, FAIL, 0), "it is given once")
    app.write(CHECK, SUCCESS, msgid)
    fs.answer(opt=CHECK)
    is_ok(host, "check")


@case
def poll_says_in_and_rdnorm_when_a_notification_waits_and_only_then():
    m = guest()
    fs, app = Client(m.fs_dev), Client(m.app_dev)
    wanted = select.POLLIN | select.POLLRDNORM | select.POLLOUT | select.POLLPRI
    p = select.poll()
    p.register(app.fd, wanted)
    ep = select.epoll()
    ep.register(app.fd, wanted)
    check(p.poll(0) == [] and ep.poll(0) == [], "nothing waits")
    check(select.select([app.fd], [app.fd], [], 0) == ([], [], []),
          "select agrees")
    host = m.host("check")
    both = select.POLLIN | select.POLLRDNORM
    check(ep.poll(10) == [(app.fd, both)], "epoll is woken")
    check(p.poll(0) == [(app.fd, both)], "poll sees it")
    check(select.select([app.fd], [], [], 0)[0], "select sees it")
    msgid = app.take(CHECK)
    check(p.poll(0) == [] and ep.poll(0) == [], "it was READ")
    app.write(CHECK, SUCCESS, msgid)
    fs.answer()
    is_ok(host, "check")
    ep.close()


@case
def write_takes_only_what_was_read_and_not_yet_answered():
    m = guest()
    fs, app = Client(m.fs_dev), Client(m.app_dev)
    check(fails(app.write, CHECK, SUCCESS, 1) == errno.EINVAL, "never given")
    check(fails(app.write, 0, SUCCESS, 0) == errno.EINVAL, "nothing")
    host = m.host("check", "freeze", "thaw")
    check(app.poll(10), "CHECK comes")
    for msgid in range(0, 20):
        check(fails(app.write, CHECK, SUCCESS, msgid) == errno.EINVAL,
              f"id {msgid} was not READ yet")
    msgid = app.take(CHECK)
    for opt in (0, FREEZE, THAW, PREPARE, 4, 2**32 - 1):
        check(fails(app.write, opt, SUCCESS, msgid) == errno.EINVAL,
              f"{opt} is the wrong operation")
    for other in (0, msgid + 1, msgid + 2**32, 2**64 - 1):
        check(fails(app.write, CHECK, SUCCESS, other) == errno.EINVAL,
              f"{other} is the wrong id")
    check(fails(fs.write, CHECK, SUCCESS, msgid) == errno.EINVAL,
          "another client's id")
    app.write(CHECK, SUCCESS, msgid)
    app.write(CHECK, SUCCESS, msgid)
    app.write(CHECK, FAIL, msgid)
    fs.answer(opt=CHECK)
    is_ok(host, "check")
    app.write(CHECK, FAIL, msgid)
    app.answer(opt=FREEZE)
    fs.answer(opt=FREEZE)
    is_ok(host, "freeze")
    fs.answer(opt=THAW)
    app.answer(opt=THAW)
    is_ok(host, "thaw")
    app.write(CHECK, FAIL, msgid)
    check(host.wait()[0] == 0, "all were ok")


@case
def any_status_but_success_is_a_failure_and_only_the_first_counts():
    m = guest()
    fs, app = Client(m.fs_dev), Client(m.app_dev)
    for status in (FAIL, 2, 2**32 - 1, 0x100):
        host = m.host("check")
        msgid = app.take(CHECK)
        app.write(CHECK, status, msgid)
        app.write(CHECK, SUCCESS, msgid)
        is_fail(host, "check")
        check(fs.read() == (0, FAIL, 0), "the fs client is not asked then")
        host.wait()


@case
def what_was_withdrawn_unread_is_unknown_and_what_was_read_is_late():
    m = guest()
    fs, early, late, silent = (Client(m.fs_dev), Client(m.app_dev),
                               Client(m.app_dev), Client(m.app_dev))
    host = m.host("check")
    late_id = late.take(CHECK)
    check(silent.poll(10), "a third one is asked")
    early.write(CHECK, FAIL, early.take(CHECK))
    is_fail(host, "check")
    check(not silent.poll(0) and silent.read() == (0, FAIL, 0), "withdrawn")
    for msgid in range(1, 20):
        check(fails(silent.write, CHECK, SUCCESS, msgid) == errno.EINVAL,
              f"withdrawn, so id {msgid} is unknown")
    late.write(CHECK, FAIL, late_id)
    host.wait()
    host = m.host("check")
    for c in (early, late, silent, fs):
        c.answer(opt=CHECK)
    is_ok(host, "check")


def _ioctl(fd, direction, group, number, size):
    """A restricted ioctl with a buffer that is large enough."""
    libc = ctypes.CDLL(None, use_errno=True)
    buf = ctypes.create_string_buffer(1 << 16)
    request = direction << 30 | size << 16 | ord(group) << 8 | number
    if libc.ioctl(fd, ctypes.c_ulong(request), buf) == 0:
        return 0
    return ctypes.get_errno()


@case
def another_ioctl_or_another_size_is_enotty():
    m = guest()
    known = {(2, 2, 64), (1, 3, 64), (1, 16, 64), (1, 17, 256), (2, 18, 64)}
    for c in (Device(m.app_dev), Device(m.fs_dev)):
        for number in (0, 1, 2, 3, 4, 15, 16, 17, 18, 19, 255):
            for direction in (0, 1, 2, 3):
                for size in (0, 1, 63, 64, 65, 255, 256, 4096, 16383):
                    if (direction, number, size) in known:
                        continue
                    got = _ioctl(c.fd, direction, "v", number, size)
                    check(got == errno.ENOTTY,
                          f"{direction} {number} {size}: {errno.errorcode.get(got, got)}")
        check(_ioctl(c.fd, 2, "w", 2, 64) == errno.ENOTTY, "another group")
        check(not os.isatty(c.fd), "it is no terminal")
        check(fails(fcntl.ioctl, c.fd, FIONBIO, struct.pack("i", 1)) == 0,
              "FIONBIO is taken")
        check(c.read() == (0, FAIL, 0), "it goes on as before")


@case
def ioctls_of_files_that_the_kernel_passes_on_in_its_own_form_are_refused():
    m = guest()
    app = Device(m.app_dev)
    # FS_IOC_GETFLAGS, SETFLAGS, FSGETXATTR, FSSETXATTR, GETVERSION, FIBMAP,
    # FS_IOC_FIEMAP, FIGETBSZ, FICLONE, FIDEDUPERANGE, FS_IOC_RESVSP
    for number in (0x80086601, 0x40086602, 0x801C581F, 0x401C5820, 0x80087601,
                   1, 0xC020660B, 2, 0x40049409, 0xC0189436, 0x40305828):
        fails(fcntl.ioctl, app.fd, number, bytes(128))
        check(m.driver.alive(), f"the driver lives after {number:#x}")
        check(app.read() == (0, FAIL, 0), "and serves")


@case
def it_is_a_device_and_not_a_file():
    m = guest()
    app = Device(m.app_dev)
    for call, args in ((os.read, (64,)), (os.write, (b"x" * 64,)),
                       (os.ftruncate, (100,))):
        check(fails(call, app.fd, *args) != 0, f"{call.__name__} is refused")
    # A node of the kernel's is root's to change, as any other in /dev.
    if not stat.S_ISCHR(os.stat(m.app_dev).st_mode):
        check(fails(os.chmod, m.app_dev, 0o777) == errno.EPERM, "chmod")
        check(fails(os.chown, m.app_dev, 1, 1) == errno.EPERM, "chown")
        check(fails(os.unlink, m.app_dev) == errno.EBUSY, "unlink")
    os.utime(m.app_dev)
    os.close(os.open(m.app_dev, os.O_RDWR | os.O_TRUNC))
    check(os.stat(m.app_dev).st_size == 0, "it has no size")


# Who may open it, and how often.

@case
def mode_and_owner_are_those_of_the_settings():
    m = guest(app_mode="0640", app_owner=NOBODY, app_group=5, fs_mode="0600")
    for path, mode, uid, gid in ((m.fs_dev, 0o600, 0, 0),
                                 (m.app_dev, 0o640, NOBODY, 5)):
        st = os.stat(path)
        check((st.st_mode & 0o7777, st.st_uid, st.st_gid) == (mode, uid, gid),
              f"{path}: {st}")
    tries = ((m.fs_dev, os.O_RDONLY, errno.EACCES),
             (m.app_dev, os.O_RDWR, 0))
    for path, how, wanted in tries:
        got = child(lambda: fails(os.open, path, how), uid=NOBODY)
        check(got == wanted, f"{path} by uid {NOBODY}: {got}")
    got = child(lambda: fails(os.open, m.app_dev, os.O_RDONLY), uid=1234)
    check(got == errno.EACCES, f"{m.app_dev} by another uid: {got}")


@case
def the_file_system_device_is_opened_by_one_at_a_time():
    m = guest()
    fs = Device(m.fs_dev)
    check(fails(os.open, m.fs_dev, os.O_RDWR) == errno.EBUSY, "a second open")
    again = os.dup(fs.fd)
    fs.close()
    check(fails(os.open, m.fs_dev, os.O_RDWR) == errno.EBUSY,
          "it is closed with its last descriptor")
    os.close(again)
    until(lambda: fails(os.open, m.fs_dev, os.O_RDWR) == 0, "it is free again")


@case
def a_thousand_opens_end_in_emfile_and_leave_nothing():
    m = guest(app_mode="0666")

    def many(limit):
        fds, errors = [], set()
        for _ in range(1000):
            try:
                fds.append(os.open(m.app_dev, os.O_RDWR))
            except OSError as e:
                errors.add(e.errno)
        return 0 if len(fds) == limit and errors == {errno.EMFILE} else len(fds)

    check(child(many, 16, uid=NOBODY) == 0, "a uid has 16")
    until(lambda: child(many, 64) == 0, "root has 64, all of them")
    until(lambda: child(many, 16, uid=NOBODY) == 0, "and a uid 16 again")
    m.driver.says("opens were turned away so far")
    said = m.driver.output().count("turned away")
    check(said < 15, f"it is not said for each of them: {said}")
    fs, app = Client(m.fs_dev), Client(m.app_dev)
    host = m.host("check")
    app.answer()
    fs.answer()
    is_ok(host, "check")


@case
def an_application_takes_part_from_its_first_poll_or_read():
    m = guest()
    fs, idle = Client(m.fs_dev), Device(m.app_dev)
    host = m.host("check")
    fs.answer(opt=CHECK)
    is_ok(host, "check")
    host.wait()
    check(not idle.poll(0), "who only opened is not asked; now it polled")
    host = m.host("check")
    idle.answer(opt=CHECK)
    fs.answer(opt=CHECK)
    is_ok(host, "check")


# A client that goes or is killed, at each step.

@case
def who_dies_before_read_has_left():
    m = guest()
    fs, app, victim = Client(m.fs_dev), Client(m.app_dev), Victim(m.app_dev)
    host = m.host("freeze", "thaw")
    msgid = app.take(FREEZE)
    victim.kill()
    app.write(FREEZE, SUCCESS, msgid)
    fs.answer(opt=FREEZE)
    is_ok(host, "freeze")
    fs.answer(opt=THAW)
    app.answer(opt=THAW)
    is_ok(host, "thaw")


@case
def who_dies_between_read_and_write_has_refused():
    m = guest()
    fs, app, victim = Client(m.fs_dev), Client(m.app_dev), Victim(m.app_dev)
    for op, opt in (("check", CHECK), ("freeze", FREEZE)):
        host = m.host(op)
        victim.do("take")
        app.answer(opt=opt)
        victim.kill()
        is_fail(host, op)
        if opt == FREEZE:
            app.answer(opt=THAW)
        check(fs.read() == (0, FAIL, 0), "file systems are not asked")
        host.wait()
        victim = Victim(m.app_dev)


@case
def who_dies_after_its_answer_fails_the_freeze():
    m = guest()
    fs, app, victim = Client(m.fs_dev), Client(m.app_dev), Victim(m.app_dev)
    host = m.host("freeze")
    victim.do("take", "ack")
    app.answer(opt=FREEZE)
    msgid = fs.take(FREEZE)
    victim.kill()
    is_fail(host, "freeze")
    fs.answer(opt=THAW)
    fs.write(FREEZE, SUCCESS, msgid)
    app.answer(opt=THAW)


@case
def who_dies_in_the_hold_loses_it():
    m = guest()
    fs, app, victim = Client(m.fs_dev), Client(m.app_dev), Victim(m.app_dev)
    host = m.host("freeze", "hold=1500", "thaw", "thaw")
    victim.do("take", "ack")
    app.answer(opt=FREEZE)
    fs.answer(opt=FREEZE)
    is_ok(host, "freeze")
    victim.kill()
    fs.answer(opt=THAW)
    app.answer(opt=THAW)
    status, replies = host.wait()
    check(status == 3 and [r["reply"] for r in replies] ==
          ["ok", "fail", "fail"], f"THAW is FAIL, and so is its repeat: {replies}")
    m.driver.says("the hold was lost")


@case
def who_dies_when_asked_to_thaw_loses_nothing():
    m = guest()
    fs, victim = Client(m.fs_dev), Victim(m.app_dev)
    host = m.host("freeze", "thaw")
    victim.do("take", "ack")
    fs.answer(opt=FREEZE)
    fs.answer(opt=THAW)
    victim.do("take")
    victim.kill()
    is_ok(host, "thaw")


@case
def a_freeze_daemon_that_dies_in_the_hold_lets_applications_go_on():
    m = guest()
    app, daemon = Client(m.app_dev), Victim(m.fs_dev)
    host = m.host("freeze", "hold=1000", "thaw", "check")
    app.answer(opt=FREEZE)
    daemon.do("take", "ack")
    is_ok(host, "freeze")
    daemon.kill()
    app.answer(opt=THAW)
    is_fail(host, "thaw")
    is_fail(host, "check")
    m.driver.says("no freeze daemon has the file-system device open")


@case
def who_stays_silent_fails_two_requests_and_is_not_waited_for_after():
    m = guest(check="1")
    fs, app, silent = Client(m.fs_dev), Client(m.app_dev), Client(m.app_dev)
    for result in (is_fail, is_fail, is_ok):
        host = m.host("check")
        app.answer(opt=CHECK)
        if result is is_ok:
            fs.answer(opt=CHECK)
        result(host, "check")
        host.wait()
    m.driver.says("did not answer in time")
    check(silent.poll(0), "it is still notified")


@case
def a_silent_application_is_owed_its_thaw_until_it_reads_it():
    m = guest(quiesce="1")
    fs, app = Client(m.fs_dev), Client(m.app_dev)
    host = m.host("freeze")
    freeze_id = app.take(FREEZE)
    is_fail(host, "freeze")
    app.write(FREEZE, SUCCESS, freeze_id)
    app.answer(opt=THAW)
    check(fs.read() == (0, FAIL, 0), "file systems were never asked")


# Extensions.

@case
def hello_gives_an_order_and_refuses_what_it_does_not_know():
    m = guest()
    fs, front, base = Client(m.fs_dev), Client(m.app_dev), Client(m.app_dev)
    for bad in ({"level": 100}, {"flags": 2}, {"reserved": b"\1"},
                {"reserved": b"\0" * 23 + b"\1"}, {"name": b"x" * 32},
                {"name": b"tab\there"}, {"name": b"caf\xc3\xa9"}):
        check(fails(lambda: front.hello(**bad)) == errno.EINVAL, f"{bad}")
    front.hello(b"front", 0)
    base.hello(b"base", 99)
    host = m.host("freeze", "thaw")
    msgid = front.take(FREEZE)
    check(not base.poll(0.2), "the higher level is not asked yet")
    front.write(FREEZE, SUCCESS, msgid)
    base.answer(opt=FREEZE)
    fs.answer(opt=FREEZE)
    fs.answer(opt=THAW)
    msgid = base.take(THAW)
    check(not front.poll(0.2), "the lower level goes on last")
    base.write(THAW, SUCCESS, msgid)
    front.answer(opt=THAW)
    is_ok(host, "thaw")


@case
def prepare_comes_to_who_asked_for_it_and_is_never_undone():
    m = guest()
    fs, plain, wants = Client(m.fs_dev), Client(m.app_dev), Client(m.app_dev)
    wants.hello(b"wants", 50, 1)
    fs.hello(b"fs", 50, 1)
    host = m.host("freeze")
    fs.answer(opt=PREPARE)
    msgid = wants.take(PREPARE)
    check(not plain.poll(0.2), "a plain client never notices")
    wants.reason(b"disk \"full\" on \\x\n\xff")
    wants.write(PREPARE, FAIL, msgid)
    is_fail(host, "freeze")
    check(not wants.poll(0.2) and not fs.poll(0), "no THAW follows")
    m.driver.says("application wants")
    m.driver.says('refused: "disk "full" on \\x??"')


@case
def a_reason_is_forgotten_with_the_next_answer():
    m = guest()
    fs, app = Client(m.fs_dev), Client(m.app_dev)
    unended = struct.pack("=256s", b"x" * 256)
    check(fails(fcntl.ioctl, app.fd, IOCHVVSSREASON, unended) == errno.EINVAL,
          "words without an end")
    host = m.host("check", "check")
    app.reason(b"stale words")
    app.answer(opt=CHECK)
    fs.answer(opt=CHECK)
    app.answer(FAIL, opt=CHECK)
    check(host.wait()[0] == 3, "one is fail")
    m.driver.says("refused")
    check("stale words" not in m.driver.output(), "the words are forgotten")


@case
def time_left_counts_down_the_limit_that_runs():
    m = guest(check="5", freeze="8", quiesce="4", hold="7")
    fs, app = Client(m.fs_dev), Client(m.app_dev)
    check(app.time_left() == (0, 7000, 8000), f"none runs: {app.time_left()}")
    host = m.host("freeze", "hold=300", "thaw")
    msgid = app.take(FREEZE)
    left = app.time_left()[0]
    check(0 < left <= 4000, f"of quiesce: {left}")
    until(lambda: app.time_left()[0] < left, "it counts down")
    app.write(FREEZE, SUCCESS, msgid)
    fs.answer(opt=FREEZE)
    is_ok(host, "freeze")
    left = app.time_left()[0]
    check(4000 < left <= 7000, f"of the hold: {left}")
    fs.answer(opt=THAW)
    app.answer(opt=THAW)
    is_ok(host, "thaw")
    check(app.time_left()[0] == 0, "none runs again")


@case
def the_disks_that_the_host_names_are_there_until_freeze_is_answered():
    m = guest()
    fs = Client(m.fs_dev)
    check(fs.luns() == (0, []), "none before")
    disk = "f8b3781a-1e82-4818-a1c3-63d806ec15bb"
    host = m.host("check", "freeze", "thaw",
                  options=["--lun", f"{disk}:0:0:3", "--lun", f"{disk}:1:2:255"])
    msgid = fs.take(CHECK)
    check(fs.luns() == (0, []), "none with CHECK")
    fs.write(CHECK, SUCCESS, msgid)
    msgid = fs.take(FREEZE)
    guid = bytes.fromhex("1a78b3f8821e1848a1c363d806ec15bb")
    check(fs.luns() == (1, [bytes(4) + guid + bytes((0, 0, 3, 0)),
                            bytes(4) + guid + bytes((1, 2, 255, 0))]),
          f"both: {fs.luns()}")
    fs.write(FREEZE, SUCCESS, msgid)
    is_ok(host, "freeze")
    check(fs.luns() == (0, []), "none in the hold")
    fs.answer(opt=THAW)
    is_ok(host, "thaw")


# Programs written for the plain interface.

@case
def plain_programs_take_part_and_stand_in_for_the_freeze_daemon():
    m = guest()
    program = f"{hvtest.BUILD}/tests/appvss_client"
    fs = hvtest.Process([program, m.fs_dev], "fs client")
    app = hvtest.Process([program, m.app_dev], "app client")
    until(lambda: all(_sleeps_in_poll(p.pid) for p in (fs, app)),
          "both poll their devices")
    host = m.host("check", "freeze", "thaw", "complete")
    status, replies = host.wait()
    check(status == 0, f"all are ok: {replies}")
    for p in (fs, app):
        check(p.output() == "check\nfreeze\nthaw\n", p.output())
    m.driver.says("checkpoint: ok, application consistent; stall")


@case
def a_plain_program_outlives_the_driver_and_takes_part_in_the_next_one():
    m = guest()
    program = f"{hvtest.BUILD}/tests/appvss_client"
    apps = [hvtest.Process([program, path], name) for path, name in
            ((m.fs_dev, "fs client"), (m.app_dev, "app client"))]
    until(lambda: all(_sleeps_in_poll(p.pid) for p in apps),
          "both poll their devices")
    host = m.host("freeze", "hold=60000", "thaw")
    is_ok(host, "freeze")
    m.driver.kill()
    host.process.kill()
    for p in apps:
        p.says("freeze\nthaw\n")
    m.start_driver()
    # Each is back when it is, and takes part in what comes after that.
    until(lambda: m.host("check").wait()[0] == 0 and
          all(p.output().count("check\n") for p in apps), "both are back")
    status, replies = m.host("checkpoint=true").wait()
    check(status == 0, f"all are ok: {replies}")
    for p in apps:
        p.says("check\nfreeze\nthaw\n")


def _sleeps_in_poll(pid):
    with open(f"/proc/{pid}/syscall", encoding="ascii") as f:
        # poll or ppoll, on x86-64 and on arm64
        return f.read().split()[0] in ("7", "271", "73")


hvtest.main()
