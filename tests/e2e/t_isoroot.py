#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
# isoroot: --loops --fs ext4:64M,outer=ext4:400M,inner=xfs:320M@outer,ro=ext4:16M:ro
"""The isolated root keeps the machine's file systems out of reach, and the
means of the other tests can tell frozen from not frozen."""

import os
import stat
import subprocess

import hvtest
from hvtest import case, check, scratch


@case
def no_mount_is_of_a_device_that_is_not_scratch():
    with open("/iso/devices", encoding="ascii") as f:
        known = set(f.read().split())
    with open("/proc/self/mountinfo", encoding="ascii") as f:
        for line in f:
            fields = line.split()
            kind = fields[fields.index("-") + 1]
            check(fields[2] in known or kind in ("tmpfs", "proc", "devpts"),
                  line)


@case
def a_device_node_cannot_be_made():
    try:
        os.mknod("/dev/try", 0o60600, os.makedev(254, 0))
    except PermissionError:
        return
    os.unlink("/dev/try")
    check(False, "mknod of a block device is refused")


@case
def no_process_and_no_descriptor_leads_out():
    root = os.stat("/").st_dev
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for name in ("root", "cwd", "exe"):
            path = f"/proc/{pid}/{name}"
            check(os.stat(path).st_dev == root, path)
        for fd in os.listdir(f"/proc/{pid}/fd"):
            path = f"/proc/{pid}/fd/{fd}"
            try:
                target, device = os.readlink(path), os.stat(path).st_dev
            except FileNotFoundError:
                continue
            check(device == root or target.startswith(("pipe:", "/proc")),
                  f"{path}: {target}")


@case
def a_freeze_is_seen_and_stops_a_writer_until_the_thaw():
    mount = scratch()["ext4"].mount
    writer = hvtest.Writer(mount)
    check(not hvtest.is_frozen(mount), "not frozen at first")
    hvtest.freeze(mount)
    check(hvtest.is_frozen(mount), "frozen")
    check(writer.stands_still(), "a writer stands still")
    check(hvtest.thaw(mount), "it was still frozen")
    writer.progresses()
    check(not hvtest.is_frozen(mount), "not frozen at last")


@case
def a_stacked_file_system_freezes_inner_first():
    inner, outer = scratch()["inner"], scratch()["outer"]
    check(inner.image == "/mnt/outer/inner.img", inner.image)
    hvtest.freeze(inner.mount)
    hvtest.freeze(outer.mount)
    check(hvtest.thaw(outer.mount), "outer thawed")
    check(hvtest.thaw(inner.mount), "inner thawed")


@case
def a_read_only_file_system_takes_no_write():
    try:
        with open("/mnt/ro/x", "w", encoding="ascii"):
            check(False, "an error")
    except OSError as e:
        check(e.errno == 30, str(e))


@case
def a_disk_cannot_be_opened_by_whatever_node():
    if not os.path.exists("/iso/guarded"):
        hvtest.skip("no cgroup2 or no BPF here")
    subprocess.run(["mount", "-t", "devtmpfs", "dev", "/srv"], check=True)
    hvtest.after(subprocess.run, ["umount", "/srv"])
    tried = 0
    for name in os.listdir("/srv"):
        path = f"/srv/{name}"
        st = os.stat(path)
        if not stat.S_ISBLK(st.st_mode) or os.major(st.st_rdev) == 7:
            continue
        tried += 1
        try:
            os.close(os.open(path, os.O_RDONLY))
        except PermissionError:
            continue
        check(False, f"{name} can be opened")
    if not tried:
        hvtest.skip("the machine has no disk")


def first_process(before):
    """Runs the first process of an isolated root once more, after something
    else was done; its exit status and whether it ran its command."""
    status, _, err = hvtest.run(
        ["unshare", "-p", "-f", "-m", "--mount-proc", "sh", "-c",
         f"{before} exec /iso/isoinit touch /tmp/ran 3>&1"])
    ran = os.path.exists("/tmp/ran")
    if ran:
        os.unlink("/tmp/ran")
    return status, ran, err


@case
def nothing_runs_where_another_file_system_is_in_reach():
    status, ran, err = first_process("")
    check(status == 0 and ran, f"runs where nothing is in reach: {err}")
    subprocess.run(["truncate", "-s", "4M", "/tmp/other.img"], check=True)
    subprocess.run(["mkfs.ext4", "-q", "/tmp/other.img"], check=True)
    status, ran, err = first_process("mount -o loop /tmp/other.img /srv &&")
    check(status == 125 and not ran, f"refused: {status}, {ran}")
    check("not scratch" in err, err)


@case
def nothing_runs_beside_a_descriptor_of_another_file_system():
    status, ran, err = first_process("exec </dev/pts/ptmx;")
    check(status == 125 and not ran, f"refused: {status}, {ran}")
    check("/proc/1/fd/0: leads to" in err, err)


@case
def programs_run_with_their_libraries():
    for argv in (["mkfs.xfs", "-V"], ["e2fsck", "-V"], ["losetup", "-V"],
                 ["btrfs", "--version"], ["fusermount3", "-V"]):
        r = subprocess.run(argv, capture_output=True, check=False)
        check(r.returncode == 0, f"{argv}: {r.stderr}")


hvtest.main()
