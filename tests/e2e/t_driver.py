#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
# isoroot: --bound 110
"""The driver as a process: how it starts, dies and is stopped, what it says
when, and its ways to the host.  The test plays the freeze daemon: no file
system is frozen."""

import ctypes
import json
import os
import select
import signal
import socket
import subprocess

import hvtest
from hvtest import (BIN, CHECK, FREEZE, THAW, Device, Process, case, check,
                    until)

DRIVER = f"{BIN}/hv_vss_driver"
MNT_DETACH = 2
MS_BIND = 4096


def guest(**limits):
    m = hvtest.Machine(**limits)
    m.start_driver()
    return m


def clients(m):
    """A freeze daemon and an application that take part."""
    both = Device(m.fs_dev), Device(m.app_dev)
    for c in both:
        c.read()
    return both


def serve(fs, app, op, opt):
    """Both agree, in the order of the operation."""
    for c in (fs, app) if opt == THAW else (app, fs):
        c.answer(opt=opt)


def one_checkpoint(m):
    """A check that works proves that the driver does."""
    fs, app = clients(m)
    host = m.host("check")
    serve(fs, app, "check", CHECK)
    status, replies = host.wait()
    check(status == 0, f"check is ok: {replies}")
    fs.close()
    app.close()


def mounts(directory):
    with open("/proc/self/mountinfo", encoding="ascii") as f:
        return [line for line in f if f" {directory}/" in line]


def refused(argv, *words, user=None):
    """Starts a driver that must not start: one line that has these words."""
    r = subprocess.run([DRIVER, *argv], stdin=subprocess.DEVNULL,
                       capture_output=True, text=True, timeout=20, check=False,
                       user=user)
    check(r.returncode == 1, f"{argv}: exit status {r.returncode}")
    lines = r.stderr.splitlines()
    check(len(lines) == 1 and not r.stdout, f"{argv}: one line: {r.stderr!r}")
    for word in words:
        check(word in lines[0], f"{argv}: {word!r} in {lines[0]!r}")


# Start.

def left(m):
    """What is in a machine's directory; the run directory is empty."""
    check(os.listdir(m.where["run_dir"]) == [], "the status socket is gone")
    return [n for n in os.listdir(m.dir) if n != "run"]


@case
def what_cannot_be_honoured_is_refused_in_one_line():
    m = hvtest.Machine()
    emu = ["--transport", f"emu:{m.socket}", "--dev-dir", m.dir, "-n"]
    refused([*emu, "--set", "hold=0"], "hold", "1 to 900")
    refused([*emu, "--set", "hold=nan"], "hold", "1 to 900")
    refused([*emu, "--set", "nonsense=1"], "nonsense")
    refused([*emu, "--set", "freeze=5", "--set", "fs=6"], "fs=6", "freeze")
    refused([*emu, "--set", "app_owner=who is this"], "app_owner")
    refused(["--transport", "pigeon:/x", *emu[2:]], "pigeon", "emu:SOCKET")
    refused(["--transport", "emu:", *emu[2:]], "emu:SOCKET")
    refused(["--transport", "emu:/" + "x" * 107, *emu[2:]], "longer than 107")
    refused([*emu[:3], m.dir + "/absent", "-n"], m.dir + "/absent")
    refused([*emu, "extra"], "extra")
    refused(["--transport", f"hv_utils:{m.dir}/none", *emu[2:]],
            "No such file", "load the module hv_utils")
    for limit in ("check=31", "thaw=30.001"):
        refused(["--transport", f"hv_utils:{m.dir}/none", *emu[2:], "--set",
                 limit], limit.split("=", maxsplit=1)[0], "30 s")
    check(os.listdir(m.dir) == [], f"nothing is left: {os.listdir(m.dir)}")


@case
def without_root_or_fuse_one_line_says_what_to_do():
    m = hvtest.Machine()
    emu = ["--transport", f"emu:{m.socket}", "--dev-dir", m.dir, "-n"]
    refused(emu, "run as root", user=65534)
    os.chmod(m.dir, 0o777)
    refused(emu, "run as root", user=65534)
    os.rename("/dev/fuse", "/dev/fuse.away")
    try:
        refused(emu, "/dev/fuse", "modprobe fuse")
    finally:
        os.rename("/dev/fuse.away", "/dev/fuse")
    check(os.listdir(m.dir) == [], f"nothing is left: {os.listdir(m.dir)}")


@case
def what_is_not_an_empty_file_is_not_mounted_on():
    m = hvtest.Machine()
    emu = ["--transport", f"emu:{m.socket}", "--dev-dir", m.dir, "-n"]
    with open(m.app_dev, "w", encoding="ascii") as f:
        f.write("precious")
    refused(emu, m.app_dev, "empty file")
    os.unlink(m.app_dev)
    os.symlink("/dev/null", m.app_dev)
    refused(emu, m.app_dev, "empty file")
    os.unlink(m.app_dev)
    os.mkdir(m.app_dev)
    refused(emu, m.app_dev, "empty file")
    check(os.listdir(m.dir) == ["hv_appvss_dev"], f"{os.listdir(m.dir)}")


@case
def a_driver_that_has_the_devices_keeps_them():
    m = guest()
    emu = ["--transport", f"emu:{m.socket}x", "--dev-dir", m.dir, "-n"]
    refused(emu, m.fs_dev, "another hv_vss_driver has it")
    m.driver.signal(signal.SIGSTOP)
    refused(emu, m.fs_dev, "does not answer")
    m.driver.signal(signal.SIGCONT)
    one_checkpoint(m)


@case
def in_the_background_it_is_ready_when_the_start_has_ended():
    m = hvtest.Machine()
    before = set(hvtest.pids_of("hv_vss_driver"))
    r = subprocess.run([DRIVER, "--transport", f"emu:{m.socket}", "--dev-dir",
                        m.dir], stdin=subprocess.DEVNULL, capture_output=True,
                       timeout=20, check=False)
    pids = set(hvtest.pids_of("hv_vss_driver")) - before
    try:
        check(r.returncode == 0, f"exit status {r.returncode}: {r.stderr}")
        check(len(pids) == 1, f"one goes on: {pids}")
        pid = pids.pop()
        one_checkpoint(m)
        check(os.getsid(pid) == pid, "it is a session of its own")
        check(os.readlink(f"/proc/{pid}/cwd") == "/proc", "and on no disk")
    finally:
        for p in set(hvtest.pids_of("hv_vss_driver")) - before:
            os.kill(p, signal.SIGTERM)
    until(lambda: set(hvtest.pids_of("hv_vss_driver")) <= before, "it ends")
    check(not mounts(m.dir), "nothing is left")


@case
def the_service_manager_is_told_when_it_is_ready():
    m = hvtest.Machine()
    for address, name in ((m.dir + "/notify", m.dir + "/notify"),
                          ("\0hv_notify", "@hv_notify")):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(address)
            p = Process([DRIVER, "--transport", f"emu:{m.socket}", "--dev-dir",
                         m.dir, "-n"],
                        env=dict(os.environ, NOTIFY_SOCKET=name))
            check(select.select([s], [], [], 10)[0], "it is told")
            check(s.recv(100) == b"READY=1", "that it is ready")
            Device(m.app_dev).close()
            p.end()


@case
def the_service_manager_hears_from_time_to_time_that_it_lives():
    m = hvtest.Machine()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(m.dir + "/notify")
        s.settimeout(10)
        p = Process([DRIVER, "--transport", f"emu:{m.socket}", "--dev-dir",
                     m.dir, "-n"],
                    env=dict(os.environ, NOTIFY_SOCKET=m.dir + "/notify",
                             WATCHDOG_USEC="300000"))
        told = [s.recv(100) for _ in range(4)]
        check(told == [b"READY=1"] + 3 * [b"WATCHDOG=1"], f"{told}")
        p.end()


# Death and end.

@case
def when_it_is_killed_clients_get_errors_and_the_next_one_recovers():
    m = guest()
    fs, app = clients(m)
    host = m.host("freeze", "hold=60000", "thaw", options=["--timeout", "5"])
    serve(fs, app, "freeze", FREEZE)
    check(host.reply("freeze")["reply"] == "ok", "the hold begins")
    m.driver.kill()
    for c in (fs, app):
        check(c.poll(10) & (select.POLLERR | select.POLLHUP), "poll says so")
        try:
            c.read()
            check(False, "READ fails")
        except OSError:
            pass
    host.process.kill()
    check(len(mounts(m.dir)) == 2, "dead mounts are left")
    m.start_driver()
    check(len(mounts(m.dir)) == 2, f"and replaced: {mounts(m.dir)}")
    one_checkpoint(m)
    check(m.driver.end() == 0 and not mounts(m.dir), "it ends cleanly")
    check(left(m) == [], f"{left(m)}")


@case
def devices_in_a_directory_with_blanks_are_recovered_as_well():
    m = hvtest.Machine()
    m.dir += "/a b\\c"
    os.mkdir(m.dir)
    m.fs_dev, m.app_dev = m.dir + "/hv_fsvss_dev", m.dir + "/hv_appvss_dev"
    for _ in range(2):
        m.start_driver()
        m.driver.kill()
    m.start_driver()
    check(m.driver.end() == 0, "it ends")
    check(os.listdir(m.dir) == [], f"{os.listdir(m.dir)}")


@case
def a_file_that_was_there_before_stays():
    m = hvtest.Machine()
    with open(m.app_dev, "w", encoding="ascii"):
        pass
    m.start_driver()
    check(m.driver.end() == 0, "it ends")
    check(left(m) == ["hv_appvss_dev"], f"{left(m)}")


@case
def told_to_end_in_the_hold_it_lets_everybody_go_on_first():
    m = guest()
    fs, app = clients(m)
    host = m.host("freeze", "hold=60000")
    serve(fs, app, "freeze", FREEZE)
    check(host.reply("freeze")["reply"] == "ok", "the hold begins")
    m.driver.signal(signal.SIGTERM)
    fs.answer(opt=THAW)
    check(m.driver.alive(), "the application is waited for")
    app.answer(opt=THAW)
    check(m.driver.wait() == 0 and not mounts(m.dir), "then it ends")
    host.process.kill()


@case
def told_to_end_twice_it_does_not_wait():
    m = guest()
    fs, app = clients(m)
    host = m.host("freeze", "hold=60000")
    serve(fs, app, "freeze", FREEZE)
    check(host.reply("freeze")["reply"] == "ok", "the hold begins")
    m.driver.signal(signal.SIGTERM)
    check(fs.poll(10), "THAW comes")
    m.driver.signal(signal.SIGTERM)
    check(m.driver.wait(2) == 0, "it ends")
    check(app.poll(0) & (select.POLLERR | select.POLLHUP), "with errors")
    host.process.kill()


def unmount(path):
    libc = ctypes.CDLL(None, use_errno=True)
    check(libc.umount2(path.encode(), MNT_DETACH) == 0, "unmounted")


def bind(what, path):
    libc = ctypes.CDLL(None, use_errno=True)
    check(libc.mount(what.encode(), path.encode(), None, MS_BIND, None) == 0,
          "mounted")
    hvtest.after(libc.umount2, path.encode(), MNT_DETACH)


@case
def a_device_that_somebody_unmounted_is_made_again():
    m = guest()
    fs, app = clients(m)
    app.close()
    unmount(m.app_dev)
    m.driver.says("somebody unmounted it")
    until(lambda: len(mounts(m.dir)) == 2, "it is made again")
    fs.close()
    until(lambda: not open_pids(m), "the old ones are closed")
    one_checkpoint(m)


@case
def what_has_taken_a_devices_path_is_waited_for():
    m = guest()
    fs = Device(m.fs_dev)
    host = m.host("freeze", "hold=60000", options=("--wait", "20"))
    fs.answer(opt=FREEZE)
    check(host.reply("freeze")["reply"] == "ok", "the hold begins")
    unmount(m.app_dev)
    until(lambda: len(mounts(m.dir)) == 1, "it is gone")
    os.unlink(m.app_dev)
    os.mkdir(m.app_dev)
    host.process.kill()
    fs.answer(opt=THAW)
    m.driver.says("there is something else than an empty file")
    host = m.host("check", "freeze", "thaw")
    for opt in (CHECK, FREEZE, THAW):
        fs.answer(opt=opt)
    status, replies = host.wait()
    check(status == 0, f"the other device is served: {replies}")
    os.rmdir(m.app_dev)
    m.driver.says("hv_appvss_dev: it is there again")
    said = m.driver.output()
    for text in ("somebody unmounted it", "it is tried again"):
        check(said.count(text) == 1, f"said once: {text}")
    fs.close()
    one_checkpoint(m)


@case
def in_the_hold_nothing_is_removed_for_a_device_that_is_gone():
    m = guest()
    fs = Device(m.fs_dev)
    host = m.host("freeze", "hold=60000")
    fs.answer(opt=FREEZE)
    check(host.reply("freeze")["reply"] == "ok", "the hold begins")
    unmount(m.app_dev)
    before = os.stat(m.app_dev).st_ino
    check(m.ctl("status")[0] == 0, "the driver has seen to it")
    check(os.stat(m.app_dev).st_ino == before, "the file below is there")
    host.process.kill()
    fs.answer(opt=THAW)
    until(lambda: len(mounts(m.dir)) == 2, "it is made again")
    check(m.driver.end() == 0 and left(m) == ["vmbus.sock"],
          f"{os.listdir(m.dir)}")


@case
def what_is_mounted_in_a_devices_place_is_not_unmounted():
    m = guest()
    clients(m)
    unmount(m.app_dev)
    bind("/dev/null", m.app_dev)
    check(m.driver.end() == 0, "it ends")
    check(len(mounts(m.dir)) == 1, f"another's mount is there: {mounts(m.dir)}")


def open_pids(m):
    """Whether a client of the test is still known to the driver."""
    try:
        Device(m.fs_dev).close()
        return False
    except OSError:
        return True


@case
def when_the_host_goes_in_the_hold_everybody_goes_on():
    m = guest()
    fs, app = clients(m)
    host = m.host("freeze", "hold=60000")
    serve(fs, app, "freeze", FREEZE)
    check(host.reply("freeze")["reply"] == "ok", "the hold begins")
    host.process.kill()
    fs.answer(opt=THAW)
    app.answer(opt=THAW)
    m.driver.says("the hold was lost: the channel to the host went away")
    host = m.host("thaw", "freeze", "thaw")
    serve(fs, app, "freeze", FREEZE)
    serve(fs, app, "thaw", THAW)
    status, replies = host.wait()
    check(status == 3 and [r["reply"] for r in replies] ==
          ["fail", "ok", "ok"], f"LOST until the next FREEZE: {replies}")


@case
def a_host_that_breaks_the_rules_is_left_and_the_next_one_served():
    m = guest()
    for hello in (b"", b"x", b"HVLK", bytes(32), b"HVLK" + bytes(28),
                  b"\x48\x56\x4c\x4b\1\0\0\0\1\0\0\0" + bytes(20), bytes(4096)):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.bind(m.socket)
            s.listen(1)
            s.settimeout(10)
            link = s.accept()[0]
            with link:
                link.settimeout(10)
                if hello:
                    link.send(hello)
                    try:
                        check(link.recv(100) == b"", "the driver closes")
                    except ConnectionResetError:
                        pass
        os.unlink(m.socket)
    one_checkpoint(m)


# What it says, and when.

@case
def while_anything_is_frozen_it_writes_nothing():
    d = hvtest.Machine()
    trace = d.dir + "/trace.json"
    m = guest(trace=trace)
    fs, app = clients(m)
    host = m.host("check", "freeze", "check", "hold=300", "thaw")
    serve(fs, app, "check", CHECK)
    msgid = app.next()[1]
    said, drawn = m.driver.output(), os.path.getsize(trace)
    app.write(FREEZE, 0, msgid)
    fs.answer(opt=FREEZE)
    check(host.reply("freeze")["reply"] == "ok", "the hold begins")
    msgid = fs.next()[1]
    check(m.driver.output() == said, "no message meanwhile")
    check(os.path.getsize(trace) == drawn, "nor an event")
    links = [os.readlink(f"/proc/{m.driver.pid}/fd/{fd}")
             for fd in os.listdir(f"/proc/{m.driver.pid}/fd")]
    check(trace not in links, f"the file is not even open: {links}")
    fs.write(THAW, 0, msgid)
    app.answer(opt=THAW)
    check(host.wait()[0] == 3, "the second check was refused")
    m.driver.says("CHECK_HOT_BACKUP: failed after ")
    m.driver.says("it came while another request was under way")
    m.driver.says("checkpoint: ok, application consistent")
    lines = m.driver.output()[len(said):]
    check(lines.index("failed after") < lines.index("checkpoint: ok"),
          "in order")
    until(lambda: os.path.getsize(trace) > drawn, "then the events come")


@case
def the_trace_is_lines_of_json_that_tell_the_transaction():
    d = hvtest.Machine()
    trace = d.dir + "/trace.json"
    m = guest(trace=trace)
    fs, app = clients(m)
    host = m.host("freeze", "hold=100", "thaw")
    serve(fs, app, "freeze", FREEZE)
    serve(fs, app, "thaw", THAW)
    check(host.wait()[0] == 0, "all is ok")

    def told():
        with open(trace, encoding="ascii") as f:
            events = [json.loads(line) for line in f]
        return events if any(e["event"] == "reply" and e["op"] == "thaw"
                             for e in events) else None
    events = until(told, "the THAW's reply in the trace")
    check(all(e["who"] == "driver" and e["t_ns"] > 0 for e in events), "who")
    stamps = [e["t_ns"] for e in events]
    check(stamps == sorted(stamps), "in order of time")
    comm = open("/proc/self/comm", encoding="ascii").read().strip()
    notes = [(e["name"], e["op"]) for e in events if e["event"] == "notify"]
    check(notes == [(comm, "freeze")] * 2 + [(comm, "thaw")] * 2, f"{notes}")
    for op in ("negotiate", "freeze", "thaw"):
        for kind in ("request", "reply"):
            n = sum(e["event"] == kind and e["op"] == op for e in events)
            check(n == 1, f"one {kind} of {op}: {n}")


@case
def with_nothing_to_do_it_does_not_run():
    m = guest()
    fs, app = clients(m)
    host = m.host("negotiate", "hold=2000")
    until(lambda: host.replies(), "the host has negotiated")

    def switches():
        with open(f"/proc/{m.driver.pid}/status", encoding="ascii") as f:
            return sum(int(line.split()[1]) for line in f
                       if "ctxt_switches" in line)

    def still():
        before = switches()
        select.select([], [], [], 0.5)
        return switches() == before
    until(still, "half a second without a wake")
    fs.close()
    app.close()
    host.process.kill()


# The kernel's device, as the emulator stands in for it.

class Utils(hvtest.Machine):
    def __init__(self, **sets):
        super().__init__(**sets)
        self.path = self.dir + "/hv_vss"
        with open(self.path, "w", encoding="ascii"):
            pass

    def host(self, *actions, options=()):
        """Its end of the device, ready to be opened."""
        h = hvtest.Host.__new__(hvtest.Host)
        h.process = Process([f"{BIN}/hv_vss_host", "--hv-utils", self.path,
                             "--json", *options, *actions])
        return h

    def start_driver(self):
        self.driver = Process([DRIVER, "--transport", f"hv_utils:{self.path}",
                               "--dev-dir", self.dir, "-n",
                               *hvtest._options(self.sets)])
        self.driver.says("ready: ")


@case
def through_hv_utils_check_freeze_and_thaw_are_served():
    m = Utils()
    m.start_driver()
    fs, app = clients(m)
    for _ in range(2):
        host = m.host("check", "freeze", "hold=100", "thaw")
        serve(fs, app, "check", CHECK)
        serve(fs, app, "freeze", FREEZE)
        serve(fs, app, "thaw", THAW)
        status, replies = host.wait()
        check(status == 0 and len(replies) == 3, f"all are ok: {replies}")
        host.process.kill()


@case
def through_hv_utils_a_refusal_is_a_failure():
    m = Utils()
    m.start_driver()
    fs, app = clients(m)
    host = m.host("check", "freeze", "thaw")
    app.answer(1, opt=CHECK)
    app.answer(1, opt=FREEZE)
    status, replies = host.wait()
    check(status == 3 and [r["reply"] for r in replies] ==
          ["fail", "fail", "ok"], f"{replies}")
    check(fs.read() == (0, 1, 0), "file systems are not asked")


@case
def through_hv_utils_an_answer_that_comes_too_late_undoes_the_freeze():
    m = Utils()
    m.start_driver()
    fs, app = clients(m)
    host = m.host("freeze", "hold=1000", "check", options=["--timeout", "1"])
    check(host.reply("freeze")["reply"] == "none", "nobody answered in time")
    serve(fs, app, "freeze", FREEZE)
    serve(fs, app, "thaw", THAW)
    serve(fs, app, "check", CHECK)
    replies = host.wait()[1]
    check([r["reply"] for r in replies] == ["none", "ok"], f"{replies}")
    m.driver.says("the kernel no longer waits for the answer to FREEZE")


@case
def through_hv_utils_a_kernel_that_goes_in_the_hold_loses_it():
    m = Utils()
    m.start_driver()
    fs, app = clients(m)
    host = m.host("freeze", "hold=60000", "thaw")
    serve(fs, app, "freeze", FREEZE)
    check(host.reply("freeze")["reply"] == "ok", "the hold begins")
    host.process.kill()
    serve(fs, app, "thaw", THAW)
    m.driver.says("the hold was lost")


hvtest.main()
