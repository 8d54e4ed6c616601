#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
#
# isoroot: --sys --loops --fs a=ext4:300M,b=xfs:320M,c=btrfs:256M,d=ext4:64M,g=xfs:320M,e=ext4:130M@a,f=ext4:130M@g --bound 170
# timeout: 180

"""Checkpoints of machines whose mounts are laid out as people lay them out: none
fails, none hangs, and what should be frozen is."""

import json
import os
import select
import socket
import subprocess
import tempfile
import time

import hvtest
from hvtest import case, check, until

SCRATCH = hvtest.scratch()
USUAL = [s.mount for s in SCRATCH.values()]


def sh(*argv, fds=()):
    subprocess.run(argv, check=True, pass_fds=fds)


def mount(*argv, at, fds=()):
    """mount(8); the mount goes when the case is over, and the directory if it
    was made here.  The freezer under test may touch it."""
    if not os.path.lexists(at):
        os.makedirs(at)
        hvtest.after(os.rmdir, at)
    sh("mount", *argv, at, fds=fds)
    hvtest.after(subprocess.run, ["umount", at])
    allow(at)


def allow(point):
    out = subprocess.run(["findmnt", "-n", "-o", "MAJ:MIN", "--mountpoint",
                          point], check=True, capture_output=True, text=True)
    may = os.environ["HV_VSS_TEST_DEVICES"].split(",")
    may += out.stdout.split()
    os.environ["HV_VSS_TEST_DEVICES"] = ",".join(dict.fromkeys(may))


def without(name):
    """A scratch file system is not mounted where it was."""
    s = SCRATCH[name]
    fd = os.open(s.device, os.O_RDONLY)
    sh("umount", s.mount)
    hvtest.after(lambda: (sh("mount", "-t", s.type, s.device, s.mount),
                          os.close(fd)))


def moved(name, at):
    """It is mounted there instead."""
    without(name)
    mount("-t", SCRATCH[name].type, SCRATCH[name].device, at=at)


def machine(**sets):
    m = hvtest.Machine(**sets)
    m.start_driver()
    m.start_daemon()
    return m


def checkpoint(m, frozen, writers=()):
    """It works, with these frozen in the hold and these writers held up."""
    host = m.host("check", "freeze", "hold=300", "thaw")
    reply = host.reply("freeze")
    check(reply["reply"] == "ok", f"frozen: {reply}")
    for point in frozen:
        check(hvtest.is_frozen(point), f"{point} is frozen")
    for w in writers:
        check(w.stands_still(0.05), "a writer stands still")
    status, replies = host.wait()
    check(status == 0, str(replies))
    for w in writers:
        w.progresses()


@case
def a_tmp_of_its_own_that_output_goes_to():
    moved("d", "/tmp")
    for where in ("/tmp", "/run"):
        tempfile.tempdir = where
        if where == "/tmp":
            m = machine()
    hvtest.after(lambda: setattr(tempfile, "tempdir", None))
    points = [p for p in USUAL if p != "/mnt/d"] + ["/tmp"]
    for _ in range(3):
        checkpoint(m, points, [hvtest.Writer("/tmp")])
    check(m.daemon.end() == 0 and m.driver.end() == 0, "they end")


@case
def twenty_subvolumes_each_with_its_mount():
    points = []
    for i in range(20):
        sub = f"s{i}" if i < 10 else f"s{i - 10}/s{i}"
        sh("btrfs", "-q", "subvolume", "create", "/mnt/c/" + sub)
        points.append(f"/srv/v{i}")
        mount("-t", "btrfs", "-o", "subvol=" + sub, SCRATCH["c"].device,
              at=points[-1])
    m = machine()
    writers = [hvtest.Writer(p) for p in (points[0], points[19])]
    checkpoint(m, USUAL + points, writers)
    without("c")
    checkpoint(m, points, writers)


@case
def overlays_on_overlays_and_an_image_in_one():
    for d in ("up", "work"):
        os.mkdir(f"/mnt/a/{d}")
        os.mkdir(f"/mnt/b/{d}")
    mount("-t", "overlay", "-o", "lowerdir=/mnt/c:/mnt/d,upperdir=/mnt/a/up,"
          "workdir=/mnt/a/work", "one", at="/srv/one")
    mount("-t", "overlay", "-o", "lowerdir=/srv/one,upperdir=/mnt/b/up,"
          "workdir=/mnt/b/work", "two", at="/srv/two")
    sh("truncate", "-s", "32M", "/srv/one/disk.img")
    sh("mkfs.ext4", "-q", "/srv/one/disk.img")
    mount("-o", "loop", "/srv/one/disk.img", at="/srv/disk")
    m = machine()
    writers = [hvtest.Writer(f"/srv/{p}") for p in ("one", "two", "disk")]
    for _ in range(3):
        checkpoint(m, [*USUAL, "/srv/disk"], writers)


def held_up(m, path):
    """Whether a write to a file waits for the end of a hold."""
    host = m.host("freeze", "hold=500", "thaw")
    check(host.reply("freeze")["reply"] == "ok", "frozen")
    write = hvtest.Process(["dd", "if=/dev/zero", "of=" + path, "count=1",
                            "conv=notrunc,fsync"])
    time.sleep(0.2)
    waits = write.alive()
    host.wait()
    check(write.wait() == 0, "it is written in the end")
    return waits


@case
def only_a_directory_or_a_file_of_it_is_mounted():
    os.mkdir("/mnt/b/data")
    with open("/mnt/d/file", "w", encoding="ascii"):
        pass
    os.mkfifo("/mnt/d/fifo")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind("/mnt/d/sock")
    for name in ("file", "fifo", "sock"):
        with open(f"/run/{name}", "x", encoding="ascii"):
            pass
        hvtest.after(os.unlink, f"/run/{name}")
        mount("--bind", f"/mnt/d/{name}", at=f"/run/{name}")
    mount("--bind", "/mnt/b/data", at="/srv/data")
    m = machine()
    checkpoint(m, USUAL)
    without("b")
    without("d")
    checkpoint(m, ["/mnt/a", "/srv/data"], [hvtest.Writer("/srv/data")])
    check(held_up(m, "/run/file"), "what the file is on is frozen")
    # What is left of it cannot be opened.
    sh("umount", "/run/file")
    host = m.host("freeze", "thaw")
    check(host.reply("freeze")["reply"] == "fail", "a veto")
    m.daemon.says("neither a directory nor a file; mount it as a whole")
    host.wait()


NAMES = ["with blank", "new\nline", "tab\there", "back\\slash", "#hash",
         "carriage\rreturn", "per%cent", "quote\"'", "\u00fcml\u00e4ut",
         "\udcff\udcfe", "-o", "a,b:c=d", "star*?[x]", "\\040", "x" * 255]


@case
def names_with_blanks_newlines_and_what_else_there_may_be():
    m = machine(trace="/run/trace")
    without("d")
    for name in NAMES:
        at = "/srv/" + name
        os.mkdir(at)
        sh("mount", SCRATCH["d"].device, at)
        try:
            writer = hvtest.Writer(at)
            checkpoint(m, [at, "/mnt/a"], [writer])
            writer.stop()
            everything_dies_in_the_hold(m, at)
        finally:
            hvtest.thaw(at)
            # The guard lets go of it a moment after all is thawed.
            until(lambda at=at: not hvtest.run(["umount", at])[0], "umount")
            os.rmdir(at)
    with open("/run/trace", encoding="utf-8") as f:
        names = {json.loads(line).get("name") for line in f}
    check("/srv/\ufffd\ufffd" in names, f"in the trace: {names}")


def everything_dies_in_the_hold(m, at):
    host = m.host("freeze", "hold=20000", "thaw")
    check(host.reply("freeze")["reply"] == "ok", "frozen")
    m.kill_all_that_thaw()
    check(hvtest.is_frozen(at), "nobody has thawed it")
    m.start_daemon()
    check(not hvtest.is_frozen(at), f"{at}: thawed by the next start")
    host.process.kill()


@case
def a_mount_in_a_mount_in_a_mount():
    at = "/mnt/a"
    for name in ("b", "c", "d", "e"):
        at += "/" + name
        moved(name, at)
    m = machine()
    writer = hvtest.Writer(at)
    checkpoint(m, ["/mnt/a", "/mnt/a/b", "/mnt/a/b/c", "/mnt/a/b/c/d", at],
               [writer])


def busy(point):
    """A file there, which stays open after the mount has gone."""
    fd = os.open(point + "/busy", os.O_WRONLY | os.O_CREAT)
    hvtest.after(os.close, fd)
    return fd


@case
def unmounted_lazily_while_it_is_busy():
    without("e")
    mount("-t", "ext4", SCRATCH["e"].device, at="/srv/e")
    fd = busy("/srv/e")
    sh("umount", "-l", "/srv/e")
    m = machine()
    checkpoint(m, ["/mnt/a", "/mnt/f"])
    host = m.host("freeze", "hold=2000", "thaw")
    check(host.reply("freeze")["reply"] == "ok", "frozen")
    os.write(fd, b"not in any mount table, not frozen")
    check(host.reply("thaw")["reply"] == "ok", "thawed")
    host.wait()


@case
def the_ground_of_an_image_unmounted_lazily():
    sh("umount", "-l", "/mnt/a")
    hvtest.after(sh, "mount", SCRATCH["a"].device, "/mnt/a")
    m = machine()
    for _ in range(3):
        checkpoint(m, [p for p in USUAL if p != "/mnt/a"],
                   [hvtest.Writer("/mnt/e")])


@case
def on_an_automounter_that_does_not_answer():
    theirs, ours = os.pipe()
    os.mkdir("/srv/auto")
    hvtest.after(os.rmdir, "/srv/auto")
    mount("-t", "autofs", "-o", f"fd={ours},minproto=5,maxproto=5,indirect,"
          f"pgrp={os.getpgrp()}", "auto", at="/srv/auto", fds=(ours,))
    os.mkdir("/srv/auto/d")
    hvtest.after(os.rmdir, "/srv/auto/d")
    moved("d", "/srv/auto/d")
    m = machine()
    checkpoint(m, ["/srv/auto/d", "/mnt/a"], [hvtest.Writer("/srv/auto/d")])
    check(not select.select([theirs], [], [], 0)[0], "nobody asked it anything")
    os.close(ours)
    os.close(theirs)


@case
def a_btrfs_of_two_devices_with_images_on_two_others():
    pair = []
    for image in ("/mnt/a/half.img", "/mnt/g/half.img"):
        sh("truncate", "-s", "130M", image)
        out = subprocess.run(["losetup", "-f", "--show", image], check=True,
                             capture_output=True, text=True)
        pair.append(out.stdout.strip())
        hvtest.after(sh, "losetup", "-d", pair[-1])
    sh("mkfs.btrfs", "-q", "-f", "-K", "-m", "raid1", "-d", "single", *pair)
    mount("-t", "btrfs", "-o", "device=" + ",device=".join(pair), pair[0],
          at="/srv/pair")
    m = machine()
    writers = [hvtest.Writer(p) for p in ("/srv/pair", "/mnt/a", "/mnt/g")]
    for _ in range(5):
        checkpoint(m, ["/srv/pair", *USUAL[:5]], writers)


hvtest.main()
