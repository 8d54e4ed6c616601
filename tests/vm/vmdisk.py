# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
"""For scenarios of a guest without a service manager: disks, maps, file systems
and what lies on them, and checkpoints of all of it with the root file system.

What is undone after a case is undone in the opposite order of its making."""

import json
import os
import tempfile

import hvtest
import vmtest
from guest import Gate
from hvtest import check
from vmtest import frozen, sh

IMAGES = "/var/img"
MNT = "/mnt"
MKFS = {"xfs": "mkfs.xfs -q -f", "btrfs": "mkfs.btrfs -q -f",
        "ext4": "mkfs.ext4 -q -F -E lazy_itable_init=0",
        "ext2": "mkfs.ext2 -q -F",
        "f2fs": "mkfs.f2fs -q -f", "nilfs2": "mkfs.nilfs2 -q",
        "jfs": "mkfs.jfs -q", "reiserfs": "mkfs.reiserfs -q -f -f",
        "vfat": "mkfs.vfat", "exfat": "mkfs.exfat"}


class Guest:
    """Driver and daemon as they are built, with real devices."""

    def __init__(self, **sets):
        sh("modprobe -a cuse fuse")
        os.makedirs("/run/hv_vss", exist_ok=True)
        options = [word for key, value in sets.items()
                   for word in ("--set", "%s=%s" % (key, value))]
        self.driver = hvtest.Process(
            ["/hv/bin/hv_vss_driver", "-n", "--transport",
             "emu:" + vmtest.SOCKET, *options])
        self.driver.says("ready: ")
        self.daemon = hvtest.Process(["/hv/bin/hv_vss_daemon", "-n", "-d",
                                      *options])
        self.daemon.says("serving ")


def host(*actions):
    return vmtest.Host(*actions, options=("--wait", "30"))


class Hold:
    """One of a guest of which the root file system is frozen, with a writer
    that waits, or without."""

    def __init__(self, writer=True):
        self.beat = vmtest.Beat() if writer else None
        self.gate = Gate(tempfile.mkdtemp(dir="/run") + "/gate")
        self.host = host("check", "freeze", self.gate.action, "thaw")
        reply = self.host.until("freeze")
        check(reply["reply"] == "ok", "freeze: %s" % reply)
        self.is_frozen()

    def is_frozen(self):
        check(frozen("/"), "the root file system is frozen")
        check(not self.beat or self.beat.stands(), "the writer stands still")

    def ends(self, answer):
        """The host's THAW has that answer, and the next checkpoint works."""
        self.gate.open(self.host.alive)
        check(self.host.until("thaw")["reply"] == answer, "%s" % self.host.seen)
        self.host.wait()
        (self.beat or vmtest.Beat()).moves(10)
        check(not frozen("/"), "thawed")
        status, replies = host("check", "freeze", "hold=200", "thaw").wait()
        check(status == 0, "%s" % replies)


def plan():
    """What would be done with each mount, by mount point."""
    out = sh("/hv/bin/hv_vss_daemon --check --json", 0)
    return {m["mount"]: m for m in json.loads(out)["mounts"]}


def in_this_order(*mounts):
    """Each is frozen before the next."""
    p = plan()
    steps = [p[m]["step"] for m in mounts]
    check(all(a < b for a, b in zip(steps, steps[1:])), "%s" % p)


def undo(command):
    """Runs a command after the case, whatever comes of it."""
    hvtest.after(vmtest.status_of, command)


def loop(name, megabytes):
    """A disk whose image lies on the root file system."""
    os.makedirs(IMAGES, exist_ok=True)
    path = "%s/%s" % (IMAGES, name)
    undo("rm -f " + path)
    sh("truncate -s %dM %s" % (megabytes, path))
    return attached(path)


def attached(path):
    sh("modprobe loop")
    device = sh("losetup -f --show %s" % path).strip()
    undo("losetup -d " + device)
    return device


def mounted(device, kind, options="", more=""):
    """A file system on a device, or several, made and mounted; where."""
    where = "%s/%s" % (MNT, os.path.basename(device))
    os.makedirs(where, exist_ok=True)
    sh("%s %s %s" % (MKFS[kind], device, more))
    sh("modprobe %s; mount -t %s %s %s %s" % (kind, kind, options, device,
                                              where))
    undo("umount " + where)
    return where


def image_on(outer, megabytes=48):
    """An ext4 in an image on a mounted file system; where it is mounted."""
    sh("truncate -s %dM %s/inner" % (megabytes, outer))
    return mounted(attached(outer + "/inner"), "ext4")


def sectors(device):
    return int(sh("blockdev --getsz " + device))


def dm(name, table):
    """A map; its device."""
    sh("modprobe -a dm_mod dm_snapshot dm_delay dm_flakey dm_crypt")
    sh("dmsetup create --noudevsync %s --table '%s' && dmsetup mknodes" % (
        name, table))
    undo("dmsetup remove --noudevsync " + name)
    return "/dev/mapper/" + name


def linear(name, megabytes=64):
    """A map of one disk, and that disk."""
    disk = loop(name, megabytes)
    return dm(name, "0 %d linear %s 0" % (sectors(disk), disk)), disk


def put_in_place(name, table):
    """Another table for a map, without a word to the file system on it."""
    sh("dmsetup suspend --nolockfs --noflush --noudevsync %s && dmsetup load "
       "%s --table '%s' && dmsetup resume --noudevsync %s" % (
           name, name, table, name))


def suspend(name, *options):
    """As somebody else would."""
    undo("dmsetup resume --noudevsync " + name)
    return vmtest.status_of("dmsetup suspend --noudevsync %s %s" % (
        " ".join(options), name))


def resume(name):
    sh("dmsetup resume --noudevsync " + name)


def refused(guest, reply, *words):
    """A FREEZE failed, and the driver's words for it have these."""
    check(reply["reply"] == "fail", "%s" % reply)
    for word in words:
        guest.driver.says(word)


def is_frozen_in_a_checkpoint(*mounts):
    """All of them, and the root, are frozen in the hold and thawed after."""
    Guest()
    checkpoint_of(*mounts)


def checkpoint_of(*mounts):
    h = host("check", "freeze", "hold=1500", "thaw")
    reply = h.until("freeze")
    check(reply["reply"] == "ok", "%s" % reply)
    for mount in (*mounts, "/"):
        check(frozen(mount), mount + " is frozen")
    status, replies = h.wait()
    check(status == 0, "%s" % replies)
    are_thawed(*mounts)


def are_thawed(*mounts):
    for mount in (*mounts, "/"):
        check(not frozen(mount), mount + " is thawed")
        with open(mount + "/written", "w", encoding="ascii") as f:
            f.write("x")
            os.fsync(f.fileno())
