#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
#
# isoroot: --fs ext4:64M,xfs:320M --bound 170
# timeout: 180
"""A machine that is in a bad way: full disks, no descriptors, no memory, a log
that nobody reads, storms of signals.  A backup may fail, and says so; nothing
stays frozen, every request is answered, and when the trouble is over backups
work as before."""

import errno
import fcntl
import os
import resource
import signal
import socket
import subprocess
import tempfile
import time

import frzlib
import guest
import hvtest
from hvtest import case, check, until

MOUNTS = ["/mnt/ext4", "/mnt/xfs"]


def machine(**sets):
    hvtest.after(guest.freezers_end)
    m = hvtest.Machine(**sets)
    m.start_driver()
    return m


def helpers():
    return [guest.freezer_pid("worker"), guest.freezer_pid("guard")]


def nothing_frozen(what):
    for mount in MOUNTS:
        check(not hvtest.is_frozen(mount), "%s: frozen: %s" % (mount, what))


def backup(m, *actions):
    """Exit status of a host and its replies, as op: reply."""
    status, got = m.host(*(actions or ("check", "freeze", "thaw"))).wait()
    check(all(r["reply"] != "none" for r in got), "one reply each: %s" % got)
    return status, {r["op"]: r["reply"] for r in got}


def works(m, seconds=15):
    until(lambda: backup(m)[0] == 0, "a backup works", seconds)
    nothing_frozen("after a backup")


def limit(pid, what, value):
    """Sets a process's soft limit; returns what it was."""
    return resource.prlimit(pid, what, (value, resource.prlimit(pid, what)[1]))


def fill(path, name="filler"):
    """Writes until nothing more fits; returns the file's path."""
    path = os.path.join(path, name)
    with open(path, "wb", buffering=0) as f:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    f.write(b"x" * size)
            except OSError as e:
                check(e.errno == errno.ENOSPC, e)
    return path


@case
def full_file_systems_are_frozen_and_thawed_like_others():
    m = machine()
    m.start_daemon()
    for mount in MOUNTS:
        hvtest.after(os.unlink, fill(mount))
    host = m.host("check", "freeze", "hold=300", "thaw")
    check(host.reply("freeze")["reply"] == "ok", host.replies())
    for mount in MOUNTS:
        check(hvtest.is_frozen(mount), mount)
    check(host.wait()[0] == 0, host.replies())
    nothing_frozen("after it")


@case
def a_full_run_directory_refuses_the_freeze_and_leaves_no_record():
    hvtest.after(guest.freezers_end)
    m = hvtest.Machine()
    run = m.dir + "/run"
    os.mkdir(run)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", run],
                   check=True)
    hvtest.after(subprocess.run, ["umount", "-l", run])
    m.start_driver()
    m.start_daemon()
    filler = fill(run)
    status, got = backup(m)
    check(status == 3 and got["freeze"] == "fail", got)
    m.daemon.says("No space left on device")
    nothing_frozen("there is no record")
    check(os.path.getsize(run + "/frozen") == 0, "there is no record")
    os.unlink(filler)
    works(m)


@case
def no_file_may_be_written_and_nobody_dies_of_it():
    m = hvtest.Machine(trace="/run/trace")
    hvtest.after(guest.freezers_end)
    m.start_driver()
    m.start_daemon()
    for p in (m.driver, m.daemon):
        limit(p.pid, resource.RLIMIT_FSIZE, 0)
    status, got = backup(m)
    check(status == 3 and got["freeze"] == "fail", got)
    check(m.driver.alive() and m.daemon.alive(), "both live")
    nothing_frozen("no record could be written")
    for p in (m.driver, m.daemon):
        limit(p.pid, resource.RLIMIT_FSIZE, resource.RLIM_INFINITY)
    works(m)


@case
def without_descriptors_a_backup_fails_and_works_again_with_them():
    m = machine()
    m.start_daemon()
    works(m)
    for who in ("daemon", "worker", "guard", "driver"):
        pid = {"daemon": m.daemon.pid, "driver": m.driver.pid}.get(who) or \
            guest.freezer_pid(who)
        old = limit(pid, resource.RLIMIT_NOFILE, 3)
        for _ in range(2):
            backup(m)
            nothing_frozen("%s without descriptors" % who)
        check(m.driver.alive() and m.daemon.alive(), who)
        try:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, old)
        except ProcessLookupError:
            pass  # it was replaced
        works(m)


@case
def what_was_frozen_is_thawed_without_descriptors_and_memory():
    m = machine()
    m.start_daemon()
    host = m.host("freeze", "hold=1000", "thaw", "freeze", "hold=500", "thaw")
    check(host.reply("freeze")["reply"] == "ok", host.replies())
    pids = [m.driver.pid, m.daemon.pid, *helpers()]
    limits = [resource.RLIMIT_NOFILE]
    if not frzlib.sanitized():
        limits += [resource.RLIMIT_AS, resource.RLIMIT_DATA]
    for pid in pids:
        for what in limits:
            limit(pid, what, 0)
    check(host.reply("thaw")["reply"] == "ok", host.replies())
    host.wait()
    nothing_frozen("everybody is out of everything")
    for pid in pids:
        for what in limits:
            try:
                limit(pid, what, resource.prlimit(pid, what)[1])
            except ProcessLookupError:
                pass
    works(m)


@case
def a_start_with_any_number_of_descriptors_serves_or_says_why_not():
    if frzlib.sanitized():
        hvtest.skip("a sanitizer wants descriptors of its own")
    m = machine()
    served = 0
    for n in (3, 4, 5, 6, 8, 10, 12, 14, 16, 18, 20, 24, 28, 32):
        p = hvtest.Process(
            ["prlimit", "--nofile=%d" % n, hvtest.BIN + "/hv_vss_daemon", "-n",
             "--device", m.fs_dev, "--set", "freezer=" + frzlib.PROGRAM,
             "--set", "run_dir=" + m.dir + "/run"])
        until(lambda q=p: "serving" in q.output() or not q.alive(),
              "it serves or ends with %d" % n, 20)
        if p.alive():
            served += 1
            backup(m)
            nothing_frozen("with %d descriptors" % n)
            p.end()
        # Its output has a way of its own, which takes a moment.
        until(p.output, "it says why, with %d" % n)
        until(lambda: not hvtest.pids_of("hv_vss_freezer"), "they end")
    check(served > 2, "some serve")


@case
def with_closed_standard_descriptors_nothing_else_is_written_to():
    m = machine()
    sets = {"freezer": frzlib.PROGRAM, "run_dir": m.dir + "/run"}
    argv = [hvtest.BIN + "/hv_vss_daemon", "-dn", "--device", m.fs_dev]
    for key, value in sets.items():
        argv += ["--set", "%s=%s" % (key, value)]
    p = hvtest.Process(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *argv])
    works(m)
    for fd in (0, 1, 2):
        to = os.readlink("/proc/%d/fd/%d" % (p.pid, fd))
        check(to == "/dev/null", "descriptor %d is %s" % (fd, to))
    check(p.end() == 0, "exit status")


def a_pipe():
    r, w = os.pipe()
    hvtest.after(os.close, r)
    return w


def a_terminal():
    master, slave = os.openpty()
    hvtest.after(os.close, master)
    return slave


def unread(make):
    """Many backups, with output in what nobody reads."""
    m = hvtest.Machine()
    hvtest.after(guest.freezers_end)
    ends = []
    m.start_driver()
    m.driver.end()
    for argv in (
            [hvtest.BIN + "/hv_vss_driver", "-dn", "--dev-dir", m.dir,
             "--transport", "emu:" + m.socket],
            [hvtest.BIN + "/hv_vss_daemon", "-dn", "--device", m.fs_dev,
             "--set", "freezer=" + frzlib.PROGRAM, "--set",
             "run_dir=" + m.dir + "/run"]):
        out = make()
        p = subprocess.Popen(argv, stdin=subprocess.DEVNULL,
                             stdout=out, stderr=out)
        os.close(out)
        hvtest.after(p.wait, 20)
        hvtest.after(p.kill)
        ends.append(p)
        if len(ends) == 1:
            until(lambda: os.path.exists(m.fs_dev), "the device")
    works(m)
    for _ in range(40):
        check(backup(m, *["check", "freeze", "thaw"] * 8)[0] == 0, "a backup")
    nothing_frozen("after all")


@case
def output_that_nobody_reads_holds_nobody_up():
    unread(a_pipe)


@case
def a_terminal_that_stands_holds_nobody_up():
    unread(a_terminal)


def full_log():
    """A log service that stands: its socket takes no more."""
    path = "/dev/log"
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    log.bind(path)
    hvtest.after(os.unlink, path)
    hvtest.after(log.close)
    writer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    writer.setblocking(False)
    writer.connect(path)
    hvtest.after(writer.close)
    try:
        while True:
            writer.send(b"x")
    except BlockingIOError:
        pass
    return log


@case
def a_log_service_that_stands_holds_nobody_up():
    m = hvtest.Machine()
    hvtest.after(guest.freezers_end)
    log = full_log()
    argv = [["hv_vss_driver", "-d", "--dev-dir", m.dir,
             "--transport", "emu:" + m.socket],
            ["hv_vss_daemon", "-d", "--device", m.fs_dev, "--set",
             "freezer=" + frzlib.PROGRAM, "--set", "run_dir=" + m.dir + "/run"]]
    for name, *options in argv:
        p = hvtest.Process([f"{hvtest.BIN}/{name}", *options])
        hvtest.after(end_all, name)
        check(p.wait() == 0, name)
    works(m)
    check(backup(m, *["check", "freeze", "thaw"] * 8)[0] == 0, "a backup")
    log.setblocking(False)
    try:
        while log.recv(4096) == b"x":
            pass
    except BlockingIOError:
        pass
    works(m)
    log.setblocking(True)
    log.settimeout(10)
    said = log.recv(4096).decode()
    check(said.startswith("<") and "hv_vss_d" in said, said)


def end_all(name):
    for pid in hvtest.pids_of(name):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not hvtest.pids_of(name), "%s ends" % name)


@case
def a_storm_of_stops_and_signals_costs_time_and_no_more():
    m = machine()
    m.start_daemon()
    works(m)
    pids = [m.driver.pid, m.daemon.pid, *helpers()]
    storm = os.fork()
    if storm == 0:
        try:
            n = 0
            while True:
                pid = pids[n % len(pids)]
                n += 1
                os.kill(pid, signal.SIGSTOP)
                time.sleep(0.002)
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, signal.SIGHUP)
                os.kill(pid, signal.SIGWINCH)
        finally:
            os._exit(0)

    def calm():
        os.kill(storm, signal.SIGKILL)
        os.waitpid(storm, 0)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    hvtest.after(calm)
    for _ in range(6):
        status, got = backup(m, *["check", "freeze", "thaw"] * 4)
        check(status == 0, got)
    check([m.driver.pid, m.daemon.pid, *helpers()] == pids, "nobody died")
    nothing_frozen("after the storm")


@case
def a_daemon_that_is_started_anew_at_any_moment_leaves_nothing_frozen():
    m = machine()
    for n in range(12):
        m.start_daemon()
        host = m.host("check", "freeze", "hold=40", "thaw")
        time.sleep(0.01 * n)
        check(m.daemon.end() == 0, "exit status")
        nothing_frozen("it ended %d ms after the host's start" % (10 * n))
        host.wait()
        check(all(r["reply"] != "none" for r in host.replies()),
              host.replies())
    m.start_daemon()
    works(m)


@case
def a_trace_on_what_somebody_else_froze_holds_nobody_up():
    hvtest.freeze("/mnt/ext4")
    hvtest.after(hvtest.thaw, "/mnt/ext4")
    m = machine(trace="/mnt/ext4/trace", exclude="/mnt/ext4")
    m.start_daemon()
    for _ in range(3):
        check(backup(m)[0] == 0, "a backup")
    check(hvtest.is_frozen("/mnt/ext4"), "it is as it was")


def output_file():
    return tempfile.TemporaryFile(mode="w+b", dir="/mnt/ext4")


@case
def output_on_what_somebody_else_froze_holds_nobody_up():
    hvtest.after(guest.freezers_end)
    m = hvtest.Machine(exclude="/mnt/ext4")
    hvtest.Process.files += [output_file() for _ in range(3)]
    m.start_driver()
    m.start_daemon(["-d"])
    app = hvtest.Process([f"{hvtest.BIN}/hv_vssctl", "run", "--name", "loud",
                          "--device", m.app_dev, "--freeze", "echo down",
                          "--thaw", "echo up"])
    app.says("takes part")
    hvtest.freeze("/mnt/ext4")
    hvtest.after(hvtest.thaw, "/mnt/ext4")
    said = {p: p.output() for p in (m.driver, m.daemon, app)}
    for _ in range(3):
        check(backup(m)[0] == 0, "a backup")
    check(hvtest.is_frozen("/mnt/ext4"), "it is as it was")
    for p, before in said.items():
        check(p.output() == before, "%s: it cannot be written" % p.name)
    hvtest.thaw("/mnt/ext4")
    for p, before in said.items():
        until(lambda q=p, b=before: len(q.output()) > len(b),
              "what %s said meanwhile" % p.name)
    for p in (app, m.daemon, m.driver):
        check(p.end() == 0, "%s: exit status" % p.name)
    check("ending by signal" in m.daemon.output(), "its last line")


def all_killed_in_a_hold(m):
    host = m.host("freeze", "hold=30000")
    check(host.reply("freeze")["reply"] == "ok", host.replies())
    pids = [*helpers(), m.daemon.pid]
    for pid in pids:
        guest.stop(pid)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    m.daemon.wait()
    check(all(map(hvtest.is_frozen, MOUNTS)), "they stay frozen")
    host.process.kill()


@case
def what_an_earlier_run_froze_is_thawed_though_the_log_is_on_it():
    m = machine()
    writers = [hvtest.Writer(mount) for mount in MOUNTS]
    sets = {"freezer": frzlib.PROGRAM, **m.where}
    thaw_all = [hvtest.BIN + "/hv_vss_daemon", "--thaw-all"]
    for key, value in sets.items():
        thaw_all += ["--set", "%s=%s" % (key, value)]
    for start in (m.start_daemon, lambda: hvtest.Process(thaw_all)):
        m.start_daemon()
        output = output_file()
        all_killed_in_a_hold(m)
        hvtest.Process.files.append(output)
        p = start()
        for w in writers:
            w.progresses()
        check(p.end() == 0, p.output())


SHUTDOWN = 0x8004587D  # XFS_IOC_GOINGDOWN, EXT4_IOC_SHUTDOWN


def shut_down(mount):
    """The file system is as after an error of its disk, for good; a descriptor."""
    fd = os.open(mount, os.O_RDONLY)
    fcntl.ioctl(fd, SHUTDOWN, bytearray(b"\x02\0\0\0"))
    return fd


def was_frozen(fd):
    """Also where nothing can be opened any more."""
    try:
        fcntl.ioctl(fd, hvtest.FITHAW, 0)
        return True
    except OSError:
        return False


# The last, since it cannot be undone here.
@case
def a_file_system_whose_disk_fails_is_refused_or_let_go():
    m = machine()
    m.start_daemon()
    works(m)
    host = m.host("freeze", "hold=500", "thaw")
    check(host.reply("freeze")["reply"] == "ok", host.replies())
    fds = [shut_down(mount) for mount in MOUNTS]
    check(host.reply("thaw")["reply"] != "none", host.replies())
    host.wait()
    check(not any(map(was_frozen, fds)), "one stayed frozen")
    for _ in range(2):
        status, got = backup(m)
        check(status == 3 and got["freeze"] == "fail", got)
        check(not any(map(was_frozen, fds)), "one was left frozen")
    m.daemon.says("Input/output error")


hvtest.main()
