#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
# isoroot: --fs ext4:64M,xfs:320M --with /usr/sbin/hv_vss_daemon
"""hv_vss_host --hv-utils, the stand-in for Linux's /dev/vmbus/hv_vss: the rules
of PROTOCOL.md section 7.1 with a client of the test's own, the kernel tools'
freeze daemon on real file systems, and hv_vss_driver."""

import errno
import json
import os
import select
import signal
import struct
import time

import hvtest
from hvtest import BIN, Device, Process, after, case, check, until

CHECK, FREEZE, THAW = 2, 5, 6
DIR = "/run/vmbus"
PATH = f"{DIR}/hv_vss"
KERNEL_PATH = "/dev/vmbus/hv_vss"  # the kernel tools know no other
KERNEL_DAEMON = "/usr/sbin/hv_vss_daemon"


def empty(path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb"):
        pass


def mounted(path):
    with open("/proc/self/mounts", encoding="ascii") as f:
        return any(line.split()[1] == path for line in f)


def served(path):
    """Whether a stand-in that lives is mounted there."""
    try:
        return os.stat(path).st_dev != os.stat(os.path.dirname(path)).st_dev
    except OSError:
        return False


class Run:
    """hv_vss_host --hv-utils, up to where its file is there."""

    def __init__(self, *actions, options=(), path=PATH):
        if not mounted(path):
            empty(path)
        self.process = Process([f"{BIN}/hv_vss_host", "--hv-utils", path,
                                "--json", *options, *actions])
        until(lambda: served(path) or not self.process.alive(), "its mount")
        self.path = path

    def replies(self):
        return [json.loads(s) for s in self.process.output().splitlines()
                if s.startswith("{")]

    def ends(self, status, words=None, seconds=20):
        got = self.process.wait(seconds)
        text = self.process.output()
        check(got == status, f"exit status {status}, not {got}: {text}")
        check(words is None or words in text, f"{words!r} in: {text}")
        check(not mounted(self.path), "it is unmounted")


class Client:
    """A program on the device, as the kernel tools' daemon."""

    def __init__(self, register=129, path=PATH):
        self.fd = os.open(path, os.O_RDWR)
        after(self.close)
        if register:
            check(self.write(register) == 12, "registered")
        if register == 129:
            check(self.poll(10) and self.read(4) == b"\x81\0\0\0", "handshake")

    def close(self):
        if self.fd >= 0:
            try:
                os.close(self.fd)
            except OSError:  # the stand-in has gone
                pass
            self.fd = -1

    def write(self, value):
        return os.write(self.fd, struct.pack("<III", value, 0, 0))

    def read(self, size=12):
        return os.read(self.fd, size)

    def poll(self, seconds):
        p = select.poll()
        p.register(self.fd, select.POLLIN)
        return p.poll(int(seconds * 1000))

    def answer(self, op, status=0):
        check(self.poll(10), "a request")
        m = self.read()
        check(m == bytes([op]) + bytes(11), m.hex())
        self.write(status)


def refused(code, call, *args):
    try:
        got = call(*args)
    except OSError as e:
        check(e.errno == code, f"{errno.errorcode[code]}, not {e}")
        return
    raise hvtest.Failed(f"{errno.errorcode[code]}, not {got!r}")


@case
def one_program_at_a_time_opens_it():
    run = Run("check")
    first = Client(register=0)
    refused(errno.EBUSY, os.open, PATH, os.O_RDWR)
    first.close()
    # The release of a file is not awaited by close.
    def again():
        try:
            return Client()
        except OSError:
            return None
    until(again, "an open after the first was closed")
    run.process.end()


@case
def what_is_not_twelve_bytes_or_was_not_asked_is_refused():
    run = Run("check", "hold=1000", "thaw")
    c = Client(register=0)
    refused(errno.EINVAL, c.write, 0)
    refused(errno.EINVAL, os.write, c.fd, bytes([129]) + bytes(10))
    refused(errno.EINVAL, os.write, c.fd, bytes([129]) + bytes(12))
    refused(errno.EAGAIN, c.read)
    check(not c.poll(0), "nothing to read")
    c.write(129)
    refused(errno.EINVAL, c.read, 3)
    check(c.read() == b"\x81\0\0\0", "the handshake is four bytes")
    check(c.poll(10), "a request")
    refused(errno.EINVAL, c.read, 11)
    refused(errno.EINVAL, c.write, 129)
    check(c.read() == bytes([CHECK]) + bytes(11), "CHECK")
    refused(errno.EAGAIN, c.read)
    refused(errno.EINVAL, c.write, 129)
    check(c.write(0) == 12, "the answer")
    refused(errno.EINVAL, c.write, 0)
    c.answer(THAW)
    run.ends(0)


@case
def requests_wait_until_the_handshake_is_read():
    run = Run("check")
    c = Client(register=0)
    c.write(129)
    check(c.poll(10) and run.process.alive(), "the handshake")
    check(run.replies() == [] and c.read() == b"\x81\0\0\0", "handshake first")
    c.answer(CHECK)
    run.ends(0)


@case
def the_old_form_of_registration_has_no_handshake():
    run = Run("check")
    Client(register=128).answer(CHECK)
    run.ends(0)


@case
def statuses_go_to_the_host_as_they_are():
    run = Run("negotiate", "check", "freeze", "dm-info", "thaw", "complete")
    c = Client()
    c.answer(CHECK)
    c.answer(FREEZE, 0x80004005)
    c.answer(THAW)
    run.ends(3)
    check([(r["op"], r["reply"], r["status"]) for r in run.replies()] == [
        ("negotiate", "ok", "0x00000000"), ("check", "ok", "0x00000000"),
        ("freeze", "fail", "0x80004005"), ("dm-info", "ok", "0x00000000"),
        ("thaw", "ok", "0x00000000"), ("complete", "ok", "0x00000000")],
        run.process.output())


@case
def one_request_at_a_time_is_handed_over():
    run = Run("freeze&", "thaw&", "wait")
    c = Client()
    check(c.poll(10) and c.read()[0] == FREEZE, "FREEZE")
    check(not c.poll(0.1), "THAW waits for it")
    c.write(0)
    c.answer(THAW)
    run.ends(0)


@case
def what_waits_for_another_answer_has_its_own_time_afterwards():
    run = Run("freeze&", "thaw&", "check&", "thaw&", options=["--timeout", "4"])
    c = Client()
    for op in (FREEZE, THAW):
        check(c.poll(10) and c.read()[0] == op, "a request")
        time.sleep(2.5)
        c.write(0)
    c.answer(CHECK)
    c.answer(THAW)
    run.ends(0)


@case
def a_signal_ends_it_in_five_seconds_though_freeze_is_not_answered():
    run = Run("freeze", "thaw", options=["--timeout", "60"])
    c = Client()
    check(c.poll(10) and c.read()[0] == FREEZE, "FREEZE")
    began = time.monotonic()
    run.process.signal(signal.SIGTERM)
    run.ends(1, "thaw could not be sent")
    check(4 < time.monotonic() - began < 8, "five seconds")
    refused(errno.ENOTCONN, c.write, 0)


@case
def a_freeze_answered_after_the_signal_is_thawed():
    run = Run("freeze", "thaw", options=["--timeout", "60"])
    c = Client()
    check(c.poll(10) and c.read()[0] == FREEZE, "FREEZE")
    run.process.signal(signal.SIGTERM)
    run.process.says("interrupted")
    c.write(0)
    c.answer(THAW)
    run.ends(1)
    check([r["op"] for r in run.replies()] == ["freeze", "thaw"],
          run.process.output())


@case
def closing_answers_what_was_asked_with_failure():
    run = Run("freeze", "thaw")
    c = Client()
    check(c.poll(10) and c.read()[0] == FREEZE, "FREEZE")
    c.close()
    run.ends(3)
    check([r["status"] for r in run.replies()] == 2 * ["0x80004005"],
          run.process.output())


@case
def an_answer_after_the_time_is_refused():
    run = Run("freeze", "hold=1000", "thaw", options=["--timeout", "1"])
    c = Client()
    check(c.poll(10) and c.read()[0] == FREEZE, "FREEZE")
    until(run.replies, "the line without a reply")
    refused(errno.EINVAL, c.write, 0)
    c.answer(THAW)
    run.ends(4)


@case
def an_unread_request_goes_with_its_time():
    run = Run("freeze", "hold=1000", "thaw", options=["--timeout", "1"])
    c = Client()
    check(c.poll(10), "FREEZE is there")
    until(run.replies, "the line without a reply")
    refused(errno.EAGAIN, c.read)
    c.answer(THAW)
    run.ends(4)


@case
def nobody_to_serve_it_is_said_in_one_line():
    run = Run("check", options=["--wait", "0.2"])
    run.ends(1, "no program opened it")
    run = Run("check", options=["--wait", "1.5"])
    Client(register=0)
    run.ends(1, "did not register")
    for path, words in ((f"{DIR}/none", "No such file"), (DIR, "empty file"),
                        ("/etc/passwd", "empty file")):
        p = Process([f"{BIN}/hv_vss_host", "--hv-utils", path, "check"])
        check(p.wait() == 1 and words in p.output() and
              len(p.output().splitlines()) == 1, p.output())


@case
def without_root_or_fuse_one_line_says_what_to_do():
    empty(PATH)
    argv = [f"{BIN}/hv_vss_host", "--hv-utils", PATH, "check"]
    p = Process(["setpriv", "--reuid", "1000", "--clear-groups", *argv])
    check(p.wait() == 1 and "run as root" in p.output() and
          len(p.output().splitlines()) == 1, p.output())
    p = Process(["unshare", "-m", "sh", "-c",
                 "mount -t tmpfs none /dev && exec " + " ".join(argv)])
    check(p.wait() == 1 and "/dev/fuse: No such file" in p.output() and
          len(p.output().splitlines()) == 1, p.output())


@case
def it_unmounts_when_it_is_told_to_end():
    run = Run("check", "hold=60000")
    Client().answer(CHECK)
    until(run.replies, "the reply")
    run.process.signal(signal.SIGTERM)
    run.ends(1, "interrupted")


@case
def what_a_killed_one_left_mounted_is_replaced():
    run = Run("check")
    c = Client()
    check(c.poll(10), "CHECK")
    run.process.kill()
    check(mounted(PATH), "the mount is left")
    refused(errno.ENOTCONN, os.stat, PATH)
    c.close()
    run = Run("check")
    Client().answer(CHECK)
    run.ends(0)


@case
def a_killed_client_does_not_linger_in_a_request():
    run = Run("check", "thaw")
    pid = os.fork()
    if pid == 0:
        try:
            c = Client()
            c.poll(10)
            os.kill(os.getpid(), signal.SIGSTOP)
        finally:
            os._exit(1)
    os.waitpid(pid, os.WUNTRACED)
    os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    os.waitpid(pid, 0)
    check(time.monotonic() - began < 2, "it ended")
    run.ends(3)


@case
def the_kernel_tools_daemon_freezes_and_thaws_for_it():
    mounts = [s.mount for s in hvtest.scratch().values()]
    run = Run("check", "freeze", "hold=1500", "thaw", path=KERNEL_PATH)
    daemon = Process([KERNEL_DAEMON, "-n"])
    until(lambda: len(run.replies()) == 2, "check and freeze")
    check(all(hvtest.is_frozen(m) for m in mounts), "frozen during the hold")
    run.ends(0)
    for m in mounts:
        check(not hvtest.is_frozen(m), f"{m} is thawed")
    daemon.kill()
    check([r["op"] for r in run.replies()] == ["check", "freeze", "thaw"],
          run.process.output())


@case
def a_checkpoint_through_the_kernel_tools_daemon_copies_frozen_disks():
    ext4 = hvtest.scratch()["ext4"]
    writer = hvtest.Writer(ext4.mount)
    run = Run(f"checkpoint=cp {ext4.image} /tmp/copy.img", path=KERNEL_PATH)
    daemon = Process([KERNEL_DAEMON, "-n"])
    run.ends(0, seconds=60)
    writer.progresses()
    daemon.kill()
    status, out, err = hvtest.run(["e2fsck", "-fn", "/tmp/copy.img"])
    os.unlink("/tmp/copy.img")
    check(status == 0 and "recover" not in out + err, out + err)


@case
def hv_vss_driver_serves_it():
    empty(PATH)
    dev = "/run/dev.utils"
    os.makedirs(dev, exist_ok=True)
    driver = Process([f"{BIN}/hv_vss_driver", "-n", "--transport",
                      f"hv_utils:{PATH}", "--dev-dir", dev])
    driver.says("ready")
    d = Device(f"{dev}/hv_fsvss_dev")
    run = Run("check", "freeze", "thaw", options=["--wait", "20"])
    for op in (hvtest.CHECK, hvtest.FREEZE, hvtest.THAW):
        d.answer(opt=op, seconds=20)
    run.ends(0)
    check(os.stat(PATH).st_size == 0, "the file under it stays empty")
    driver.end()


hvtest.main()
