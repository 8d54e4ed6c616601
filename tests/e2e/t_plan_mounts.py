#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
# isoroot: --sys --loops --fs a=ext4:512M,b=xfs:320M@a,c=ext4:32M@b,d=btrfs:200M,sq=squashfs,ro=ext4:16M:ro,ext2:16M
"""hv_vss_daemon --check on real mounts: every line right, with its reason."""

import os
import re
import socket
import subprocess

import hvtest
from hvtest import case, check

BASE = {
    "/mnt/c": ("freeze", "ext4", "a file on /mnt/b, which is frozen after"),
    "/mnt/b": ("freeze", "xfs", "a file on /mnt/a, which is frozen after"),
    "/mnt/a": ("freeze", "ext4", ".img, a file on /"),
    "/mnt/d": ("freeze", "btrfs", ".img, a file on /"),
    "/mnt/ext2": ("freeze", "ext2", ".img, a file on /"),
    "/": ("leave", "tmpfs", "in memory"),
    "/mnt/sq": ("leave", "squashfs", "read-only"),
    "/mnt/ro": ("leave", "ext4", "read-only"),
    "/proc": ("leave", "proc", "keeps nothing"),
    "/sys": ("leave", "sysfs", "keeps nothing"),
    "/dev/pts": ("leave", "devpts", "keeps nothing"),
}
if os.path.ismount("/proc/sysrq-trigger"):  # where the kernel has it
    BASE["/proc/sysrq-trigger"] = ("leave", "tmpfs", "in memory")


class Plan:
    """What --check printed."""

    def __init__(self, *options):
        argv = [f"{hvtest.BIN}/hv_vss_daemon", "--check", *options]
        self.status, out, err = hvtest.run(argv, seconds=10)
        check(err == "", err)
        *lines, self.verdict = out.splitlines()
        self.lines = [re.split(r"  +", line) for line in lines]

    def freezes(self):
        """Mount points in the order in which they freeze."""
        return [point for action, point, *_ in self.lines
                if action.startswith("freeze")]

    def veto(self):
        return [point for action, point, *_ in self.lines if action == "veto"]

    def must_be(self, wanted):
        """Every mount's line, none missing, none more."""
        have = {point: (action.split()[0], kind, reason)
                for action, point, kind, _, reason in self.lines}
        check(len(have) == len(self.lines), f"one line a mount: {self.lines}")
        check(set(have) == set(wanted), "mounts that are missing or more: "
              f"{set(have) ^ set(wanted)}")
        for point, (action, kind, reason) in wanted.items():
            got = have[point]
            check(got[:2] == (action, kind) and reason in got[2],
                  f"{point}: {action} {kind} {reason!r}, not {got}")


def mount(*argv, at, fds=()):
    """mount(8), and its umount when the case is over."""
    subprocess.run(["mount", *argv, at], check=True, pass_fds=fds)
    hvtest.after(subprocess.run, ["umount", "-l", at])


def made(path, directory=True):
    """A mount point, which goes when the case is over."""
    if directory:
        os.mkdir(path)
        hvtest.after(os.rmdir, path)
    else:
        with open(path, "x", encoding="ascii"):
            pass
        hvtest.after(os.unlink, path)
    return path


@case
def scratch_file_systems_are_frozen_from_the_top_of_the_stack():
    plan = Plan()
    plan.must_be(BASE)
    check(plan.status == 0, "exit status 0")
    check(plan.verdict.startswith("A backup would work: 5 frozen in 3 steps"),
          plan.verdict)
    order = plan.freezes()
    check(order[:2] == ["/mnt/c", "/mnt/b"], f"c, b, then the rest: {order}")


@case
def what_it_says_can_be_frozen_in_the_order_it_says():
    order = Plan().freezes()
    for point in order:
        hvtest.freeze(point)
    for point in order:
        check(hvtest.is_frozen(point), f"{point} is frozen")
    for point in reversed(order):
        check(hvtest.thaw(point), f"{point} was frozen")


@case
def bind_mounts_of_directories_files_and_sockets_are_the_same_file_system():
    os.mkdir("/mnt/a/dir")
    os.mkfifo("/mnt/a/fifo")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind("/mnt/a/sock")
    mount("--bind", "/mnt/a/dir", at="/srv")
    mount("--bind", "/mnt/a/fifo", at=made("/tmp/fifo", directory=False))
    mount("--bind", "/mnt/a/sock", at=made("/tmp/sock", directory=False))
    mount("--bind", "/etc/passwd", at=made("/tmp/file", directory=False))
    same = ("leave", "ext4", "the same file system as /mnt/a, which is frozen")
    Plan().must_be({**BASE, "/srv": same, "/tmp/fifo": same, "/tmp/sock": same,
                    "/tmp/file": ("leave", "tmpfs", "in memory")})


@case
def overlays_go_with_their_upper_layer():
    for d in ("/mnt/a/up", "/mnt/a/work", "/run/up", "/run/work"):
        os.mkdir(d)
    over = ["-t", "overlay", "none", "-o"]
    mount(*over, "lowerdir=/mnt/sq,upperdir=/mnt/a/up,workdir=/mnt/a/work",
          at=made("/tmp/over"))
    mount(*over, "lowerdir=/mnt/sq:/etc", at=made("/tmp/overro"))
    mount(*over, "lowerdir=/mnt/sq,upperdir=/run/up,workdir=/run/work",
          at=made("/tmp/overmem"))
    Plan().must_be({
        **BASE,
        "/tmp/over": ("leave", "overlay",
                      "its upper layer is on /mnt/a (ext4), which is frozen"),
        "/tmp/overro": ("leave", "overlay", "nothing is written to it"),
        "/tmp/overmem": ("leave", "overlay",
                         "its upper layer is on / (tmpfs), which is left"),
    })


@case
def read_only_is_the_file_system_and_not_the_mount():
    mount("--bind", "/mnt/a", at=made("/tmp/robind"))
    subprocess.run(["mount", "-o", "remount,bind,ro", "/tmp/robind"], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", "/mnt/ext2"], check=True)
    hvtest.after(subprocess.run,
                 ["mount", "-o", "remount,bind,rw", "/mnt/ext2"])
    subprocess.run(["mount", "-o", "remount,ro", "/mnt/d"], check=True)
    hvtest.after(subprocess.run, ["mount", "-o", "remount,rw", "/mnt/d"])
    Plan().must_be({
        **BASE,
        "/tmp/robind": ("leave", "ext4", "the same file system as /mnt/a"),
        "/mnt/d": ("leave", "btrfs", "read-only"),
    })


@case
def subvolumes_are_one_file_system():
    wanted = dict(BASE)
    for i in range(4):
        subprocess.run(["btrfs", "-q", "subvolume", "create", f"/mnt/d/s{i}"],
                       check=True)
        at = made(f"/tmp/s{i}")
        mount("-t", "btrfs", "-o", f"subvol=s{i}", device("/mnt/d"), at=at)
        wanted[at] = ("leave", "btrfs",
                      "the same file system as /mnt/d, which is frozen")
    Plan().must_be(wanted)


def device(point):
    return next(s.device for s in hvtest.scratch().values()
                if s.mount == point)


@case
def a_hidden_mount_is_refused_or_opened_elsewhere():
    mount("-t", "tmpfs", "cover", at="/mnt/ext2")
    plan = Plan()
    check(plan.status == 1, "exit status 1")
    check(plan.veto() == ["/mnt/ext2"], str(plan.lines))
    check("refused: /mnt/ext2: other mounts hide it" in plan.verdict and
          "exclude=/mnt/ext2" in plan.verdict, plan.verdict)
    mount(device("/mnt/ext2"), at=made("/tmp/again"))
    plan = Plan()
    check("/tmp/again" in plan.freezes(), str(plan.lines))
    check(plan.status == 0, "exit status 0")


@case
def a_fuse_mount_that_does_not_answer_is_not_touched():
    fd = os.open("/dev/fuse", os.O_RDWR)
    hvtest.after(os.close, fd)
    mount("-i", "-t", "fuse.dead", "-o",
          f"fd={fd},rootmode=40000,user_id=0,group_id=0", "dead",
          at=made("/tmp/dead"), fds=(fd,))
    Plan().must_be({**BASE, "/tmp/dead": ("leave", "fuse.dead",
                                          "fuse, never touched")})


@case
def a_mount_point_with_blanks_is_one_mount_point():
    mount("--bind", "/mnt/b", at=made("/tmp/with blank\\slash"))
    Plan().must_be({**BASE, "/tmp/with blank\\slash":
                    ("leave", "xfs", "the same file system as /mnt/b")})


@case
def what_is_excluded_is_left_out_and_all_of_it_is_refused():
    plan = Plan("--set", "exclude=/mnt/[bc]")
    left = ("leave", "left out by exclude=/mnt/[bc]")
    plan.must_be({**BASE, "/mnt/b": (left[0], "xfs", left[1]),
                  "/mnt/c": (left[0], "ext4", left[1])})
    plan = Plan("--set", "exclude=*")
    check(plan.status == 1 and "nothing to freeze" in plan.verdict,
          plan.verdict)


@case
def without_sys_later_loop_devices_go_first():
    subprocess.run(["umount", "/sys"], check=True)
    hvtest.after(subprocess.run, ["mount", "-t", "sysfs", "sysfs", "/sys"])
    plan = Plan()
    check(plan.freezes() == ["/mnt/ext2", "/mnt/d", "/mnt/c", "/mnt/b",
                             "/mnt/a"], str(plan.lines))
    check(all("without /sys" in reason for action, *_, reason in plan.lines
              if action.startswith("freeze")), str(plan.lines))


@case
def an_image_that_is_mounted_later_is_seen_at_once():
    subprocess.run(["truncate", "-s", "20M", "/mnt/c/more.img"], check=True)
    subprocess.run(["mkfs.ext4", "-q", "/mnt/c/more.img"], check=True)
    mount("-o", "loop", "/mnt/c/more.img", at=made("/tmp/more"))
    plan = Plan()
    check(plan.freezes()[:3] == ["/tmp/more", "/mnt/c", "/mnt/b"],
          str(plan.lines))
    check("in 4 steps" in plan.verdict, plan.verdict)


@case
def no_rights_are_needed():
    argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
            f"{hvtest.BIN}/hv_vss_daemon", "--check"]
    status, out, err = hvtest.run(argv)
    check(status == 0 and "A backup would work" in out, out + err)


hvtest.main()
