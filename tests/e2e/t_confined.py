#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
# isoroot: --fs ext4:64M
"""What a process of ours could still do if somebody took it over: it is made
to do system calls that it never does by itself.  docs/security.md says what it
can; these are the things it cannot."""

import errno
import os
import subprocess
import sys

import frzlib
import hvtest
from hvtest import case, check, skip

# The calls' numbers on x86-64, which `inject' is for.
NR = dict(read=0, open=2, mmap=9, mprotect=10, ioctl=16, socket=41, connect=42,
          clone=56, fork=57, vfork=58, execve=59, kill=62, rename=82, mkdir=83,
          creat=85, link=86, unlink=87, symlink=88, chmod=90, chown=92,
          ptrace=101, setuid=105, capset=126, mknod=133, prctl=157, chroot=161,
          settimeofday=164, mount=165, umount2=166, swapon=167, reboot=169,
          sethostname=170, init_module=175, tkill=200, tgkill=234,
          kexec_load=246, keyctl=250, openat=257, mkdirat=258, unlinkat=263,
          unshare=272, accept4=288, perf_event_open=298,
          open_by_handle_at=304, setns=308, process_vm_readv=310,
          process_vm_writev=311, finit_module=313, memfd_create=319, bpf=321,
          execveat=322, userfaultfd=323, pidfd_send_signal=424,
          io_uring_setup=425, move_mount=429, fsopen=430, pidfd_open=434,
          clone3=435, openat2=437, pidfd_getfd=438, mount_setattr=442)
AT_FDCWD = -100 & 0xffffffffffffffff
CLONE_NEWNS = 0x20000
SIGCHLD = 17


def inject(pid, calls):
    """Makes a process do calls; what came of each, as an errno or 0."""
    lines = "".join(" ".join(str(w) for w in (NR[name], *args)) + "\n"
                    for name, *args in calls)
    p = subprocess.run([hvtest.BUILD + "/tests/inject", str(pid)], input=lines,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True, check=False)
    if p.returncode == 77:
        skip("the processor is not an x86-64")
    results = p.stdout.split()
    check(p.returncode == 0 and len(results) == len(calls),
          "%s: %s" % (calls, p.stdout))
    return [max(0, -int(r)) for r in results]


def refused(pid, calls, error=errno.EPERM):
    """Each call fails with this error, by the filter: arguments that make no
    sense would have got another one."""
    for one, result in zip(calls, inject(pid, calls)):
        check(result == error, "%s: %s" % (one, os.strerror(result)))


# With arguments that fail otherwise, but for permissions: see the first case.
EXEC = [("execve", 0, 0, 0), ("execveat", 999, 0, 0, 0, 0)]
MOUNT = [("mount", 1, 1, 1, 0, 0), ("umount2", 1, 0)]
NOBODY = [
    ("ptrace", 16, 999999), ("process_vm_readv", 999999, 0, 0, 0, 0, 0),
    ("process_vm_writev", 999999, 0, 0, 0, 0, 0),
    ("chroot", 1), ("swapon", 1, 0),
    ("clone", CLONE_NEWNS | 0x800, 0, 0, 0, 0),
    ("setns", 999, 0), ("unshare", 0x1), ("move_mount", 999, 1, 999, 1, 0xff00),
    ("fsopen", 1, 0), ("mount_setattr", 999, 1, 0xff, 0, 0),
    ("bpf", 999, 0, 0), ("perf_event_open", 0, 0, 0, 0, 0),
    ("io_uring_setup", 0, 0), ("userfaultfd", 0xff), ("keyctl", 999),
    ("open_by_handle_at", 999, 0, 0), ("pidfd_getfd", 999, 0, 0),
    ("socket", 2, 1, 0), ("socket", 10, 1, 0), ("socket", 16, 3, 0),
    ("socket", 17, 3, 0),
]
# What makes a difference to files, and what daemon and driver may in part.
FILES = [
    ("openat", AT_FDCWD, "=/none", os.O_RDWR, 0),
    ("openat", AT_FDCWD, "=/none/x", os.O_WRONLY | os.O_CREAT, 0o600),
    ("openat", AT_FDCWD, "=/none", os.O_RDONLY | os.O_TRUNC, 0),
    ("open", "=/none", os.O_WRONLY), ("creat", "=/none/x", 0o600),
    ("openat2", AT_FDCWD, "=/none", 0, 0), ("rename", "=/none", "=/none/x"),
    ("mkdir", "=/none/x", 0o700), ("mkdirat", AT_FDCWD, "=/none/x", 0o700),
    ("unlink", "=/none"), ("unlinkat", AT_FDCWD, "=/none", 0),
    ("link", "=/none", "=/none/x"), ("symlink", "=/none", "=/none/x"),
    ("chmod", "=/none", 0), ("chown", "=/none", 0, 0),
    ("mknod", "=/none/x", 0, 0),
]
FREEZER = [
    ("fork",), ("vfork",), ("clone", SIGCHLD, 0, 0, 0, 0),
    ("clone", CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0),
    ("socket", 1, 1, 0), ("connect", 999, 0, 0),
    ("kill", 999999, 0), ("tkill", 999999, 0), ("tgkill", 999999, 999999, 0),
    ("pidfd_open", 999999, 0), ("memfd_create", "=x", 0),
    ("prctl", 999, 0, 0, 0, 0), ("capset", 0, 0),
    ("mmap", 0, 4096, 7, 0x22, 0xffffffff, 0), ("mprotect", 1, 4096, 5),
]
IOCTLS = [("ioctl", 999, n, 0) for n in (
    0x5412, 0x1260, 0x40086602, 0x4b46, 0x5421)]


def status_of(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f
                    if ":\t" in line)


def confined(pid, caps, filters=1):
    s = status_of(pid)
    check(int(s["CapEff"], 16) == int(s["CapPrm"], 16) and
          not int(s["CapEff"], 16) & ~sum(1 << c for c in caps),
          "capabilities %s" % s["CapEff"])
    check(not int(s["CapInh"], 16) | int(s["CapAmb"], 16), "for others")
    check(s["NoNewPrivs"] == "1", "no new privileges")
    check(s["Seccomp"] == "2" and int(s["Seccomp_filters"]) >= filters,
          "a filter: %s" % s)


def sanitized():
    if frzlib.sanitized():
        skip("a sanitizer's own calls are nobody's to list")


CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER = 0, 1, 2, 3
IPC_LOCK, SYS_PTRACE, SYS_ADMIN, SYS_RESOURCE = 14, 19, 21, 24


class Freezer(frzlib.Process):
    """The program that is installed; it is never told to freeze."""

    program = hvtest.BUILD + "/libexec/hv_vss_freezer"

    def __init__(self, role):
        super().__init__(role, "", self.program)
        hvtest.after(self.end)


@case
def a_process_that_is_not_confined_is_refused_otherwise():
    calls = EXEC + MOUNT + NOBODY + FILES + FREEZER[4:] + IOCTLS
    p = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(99)"])
    hvtest.after(p.wait)
    hvtest.after(p.kill)
    for one, result in zip(calls, inject(p.pid, calls)):
        check(result != errno.EPERM, "%s: %s" % (one, os.strerror(result)))


@case
def a_worker_can_but_open_for_reading_freeze_and_thaw():
    sanitized()
    for calls in (EXEC + MOUNT + NOBODY, FILES, FREEZER, IOCTLS,
                  [("pidfd_send_signal", 999, 9, 0, 0),
                   ("accept4", 999, 0, 0, 0)]):
        worker = Freezer("worker")
        confined(worker.pid,
                 (SYS_ADMIN, IPC_LOCK, SYS_PTRACE, DAC_READ_SEARCH))
        refused(worker.pid, calls)
    worker = Freezer("worker")
    refused(worker.pid, [("clone3", 0, 0)], errno.ENOSYS)


@case
def a_worker_can_do_its_work():
    sanitized()
    worker = Freezer("worker")
    got = inject(worker.pid, [
        ("openat", AT_FDCWD, "=/none", os.O_RDONLY, 0),
        ("openat", AT_FDCWD, "=/none", os.O_PATH, 0),
        ("ioctl", 999, hvtest.FIFREEZE, 0), ("ioctl", 999, hvtest.FITHAW, 0)])
    check(got == [errno.ENOENT] * 2 + [errno.EBADF] * 2, "%s" % got)


@case
def a_guard_can_but_thaw_and_kill_what_it_was_given():
    sanitized()
    for calls in (EXEC + MOUNT + NOBODY, FILES, FREEZER, IOCTLS,
                  [("openat", AT_FDCWD, "=/none", os.O_RDONLY, 0),
                   ("ioctl", 999, hvtest.FIFREEZE, 0),
                   ("pidfd_send_signal", 999, 15, 0, 0)]):
        guard = Freezer("guard")
        confined(guard.pid, (SYS_ADMIN, IPC_LOCK))
        refused(guard.pid, calls)
    guard = Freezer("guard")
    got = inject(guard.pid, [("ioctl", 999, hvtest.FITHAW, 0),
                             ("pidfd_send_signal", 999, 9, 0, 0)])
    check(got == [errno.EBADF] * 2, "%s" % got)


@case
def a_daemon_can_reach_no_other_process_network_or_kernel():
    sanitized()
    m = hvtest.Machine(freezer=frzlib.PROGRAM)
    m.start_driver()
    m.start_daemon()
    confined(m.daemon.pid, (SYS_ADMIN, IPC_LOCK, SYS_PTRACE, DAC_READ_SEARCH,
                            DAC_OVERRIDE, SYS_RESOURCE))
    refused(m.daemon.pid, MOUNT + NOBODY + [("setuid", 0)])


@case
def a_driver_with_fuse_files_can_mount_and_not_execute():
    sanitized()
    m = hvtest.Machine()
    m.start_driver()
    confined(m.driver.pid, (SYS_ADMIN, IPC_LOCK, DAC_OVERRIDE, CHOWN, FOWNER))
    refused(m.driver.pid, EXEC + NOBODY + [("setuid", 0)])


hvtest.main()
