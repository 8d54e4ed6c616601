#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
# isoroot: --sys --fs a=ext4:64M,b=xfs:320M
"""The host names the disks that it is about to snapshot.  Where /sys shows the
scratch file systems' loop devices as disks of a controller of the VMBus, just
those are frozen (lun_aware=on)."""

import json
import os
import struct
import subprocess

import emulink
import hvtest
from hvtest import case, check, scratch, until

GUID = "f8b3781a-1e82-4818-a1c3-63d806ec15bb"
WIRE = bytes.fromhex("1a78b3f8821e1848a1c363d806ec15bb")
CLASS = "{ba6163d9-04a1-4d29-b605-72e2ffb1dc7f}"
REAL = "/run/sys"


def disk(lun):
    return f"/sys/bus/vmbus/devices/{GUID}/host0/target0:0:0/0:0:0:{lun}/block"


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as f:
        f.write(text + "\n")


def dress_up():
    """The machine's /sys, and a bus in it whose disks are a (0) and b (1)."""
    os.mkdir(REAL)
    subprocess.run(["mount", "--move", "/sys", REAL], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/sys"], check=True)
    for name in os.listdir(REAL):
        if name != "bus":
            os.symlink(f"{REAL}/{name}", f"/sys/{name}")
    write(f"/sys/bus/vmbus/devices/{GUID}/class_id", CLASS)
    for lun, name in enumerate(("a", "b")):
        number = os.stat(scratch()[name].device).st_rdev
        write(f"{disk(lun)}/sd{name}/dev",
              f"{os.major(number)}:{os.minor(number)}")


if hvtest.isolated():
    dress_up()


def vanish():
    """The controller is gone, as by a host that took it away."""
    where = f"/sys/bus/vmbus/devices/{GUID}"
    os.rename(where, "/sys/gone")
    hvtest.after(os.rename, "/sys/gone", where)


def started(**sets):
    machine = hvtest.Machine(**sets)
    machine.start_driver()
    machine.start_daemon()
    return machine


def freezes(machine, want, *actions, luns=()):
    """A checkpoint must freeze these file systems and no others."""
    options = [o for lun in luns for o in ("--lun", f"{GUID}:{lun}")]
    host = machine.host(*actions, "hold=300", "thaw", options=options)
    freeze = next(a.split("=")[0] for a in actions if a != "check")
    check(host.reply(freeze)["reply"] == "ok", str(host.replies()))
    found = "".join(name for name in "ab"
                    if hvtest.is_frozen(scratch()[name].mount))
    status, replies = host.wait()
    check(status == 0, str(replies))
    check(found == want, f"{actions} {luns} freezes {found!r}, not {want!r}")


@case
def only_the_file_systems_of_named_disks_are_frozen():
    machine = started(lun_aware="on")
    freezes(machine, "a", "check", "freeze", luns=["0:0:0"])
    freezes(machine, "b", "check", "freeze", luns=["0:0:1"])
    freezes(machine, "ab", "freeze", luns=["0:0:1", "0:0:0"])
    check("lun_aware" not in machine.daemon.output(), machine.daemon.output())


@case
def the_history_has_the_disks():
    machine = started(lun_aware="on")
    freezes(machine, "a", "check", "freeze", luns=["0:0:0"])
    freezes(machine, "ab", "freeze", luns=["0:0:1", "0:0:9"])
    path = f"{machine.where['state_dir']}/history.jsonl"

    def lines():
        try:
            with open(path, encoding="utf-8") as f:
                return [json.loads(line) for line in f]
        except FileNotFoundError:
            return []

    until(lambda: len(lines()) == 2, "two checkpoints are written down")
    first, second = lines()
    check(first["disks_named"] == 1 and first["disks"] == "sda" and
          first["lun_aware"], str(first))
    check(second["disks_named"] == 2 and not second["lun_aware"] and
          second["disks"] == f"sdb, {GUID}:0:0:9", str(second))
    _, out, _ = hvtest.run([f"{hvtest.BIN}/hv_vssctl", "history", "-v", "--set",
                            f"state_dir={machine.where['state_dir']}"])
    check("the host named 1 disk(s): sda; what is on others was left alone" in out,
          out)
    for options in ([], ["--svg", "-"]):
        _, out, err = hvtest.run([f"{hvtest.BIN}/hv_vssctl", "timeline", *options,
                                  "--set",
                                  f"state_dir={machine.where['state_dir']}"])
        check(f"sdb, {GUID}" in out, out + err)


@case
def writers_elsewhere_go_on():
    machine = started(lun_aware="on")
    still = hvtest.Writer(scratch()["a"].mount)
    runs = hvtest.Writer(scratch()["b"].mount)
    host = machine.host("freeze", "hold=400", "thaw",
                        options=["--lun", f"{GUID}:0:0:0"])
    check(host.reply("freeze")["reply"] == "ok", str(host.replies()))
    check(still.stands_still(0.1), "the writer on a stands still")
    runs.progresses()
    check(host.wait()[0] == 0, str(host.replies()))
    still.progresses()


@case
def a_disk_that_is_not_found_has_all_frozen_and_a_warning():
    machine = started(lun_aware="on")
    freezes(machine, "ab", "freeze", luns=["0:0:0", "0:0:7"])
    machine.daemon.says(f"lun_aware: all file systems take part, for the host "
                        f"names disk {GUID}:0:0:7, which is not found here")


@case
def a_controller_that_has_vanished_has_all_frozen():
    machine = started(lun_aware="on")
    freezes(machine, "a", "freeze", luns=["0:0:0"])
    vanish()
    freezes(machine, "ab", "freeze", luns=["0:0:0"])


@case
def a_controller_that_vanishes_between_plan_and_freeze_changes_nothing():
    machine = started(lun_aware="on")
    app = hvtest.Device(machine.app_dev)
    app.read()
    host = machine.host("freeze", "hold=300", "thaw",
                        options=["--lun", f"{GUID}:0:0:0"])
    # Who is asked to come to rest is so after the plan was made.
    opt, msgid = app.next()
    check(opt == hvtest.FREEZE, f"{opt}")
    vanish()
    app.write(opt, hvtest.SUCCESS, msgid)
    check(host.reply("freeze")["reply"] == "ok", str(host.replies()))
    check(hvtest.is_frozen(scratch()["a"].mount) and
          not hvtest.is_frozen(scratch()["b"].mount), "a alone is frozen")
    app.answer(opt=hvtest.THAW)
    check(host.wait()[0] == 0, str(host.replies()))
    app.close()
    freezes(machine, "ab", "freeze", luns=["0:0:0"])


@case
def a_host_that_names_none_has_all_frozen():
    machine = started(lun_aware="on")
    freezes(machine, "ab", "freeze")
    machine.daemon.says("the host names no disks")


def message2(count, entries=(), flags=0, body=6260):
    """FREEZE with a list, as an action."""
    tail = struct.pack("<III", 0, flags, count) + b"".join(entries)
    return "raw=" + emulink.request(5, body, tail=tail).hex()


def entry(bus=0, reserved=0, port=0, target=0, lun=0, last=0):
    return (struct.pack("<BBH", bus, reserved, 0) + WIRE +
            bytes((port, target, lun, last)))


@case
def lists_with_what_is_not_understood_have_all_frozen():
    machine = started(lun_aware="on")
    for list_ in (message2(0), message2(1, [entry()], flags=1),
                  message2(1, [entry(port=1)]), message2(1, [entry(last=1)]),
                  message2(1, [entry(reserved=1)]),
                  message2(1, [entry()], body=12500)):
        freezes(machine, "ab", list_)
    machine.daemon.says("the host's list of disks has an unknown form")
    freezes(machine, "b", message2(1, [entry(bus=9, lun=1)]))
    freezes(machine, "b", message2(260, 260 * [entry(lun=1)]))
    # What is behind the count is not looked at.
    freezes(machine, "a", message2(1, [entry()] + 259 * [entry(port=7)]))


@case
def lists_that_are_not_whole_are_refused_and_nothing_freezes():
    machine = started(lun_aware="on")
    writer = hvtest.Writer(scratch()["a"].mount)
    for count, body in ((261, 6260), (0xFFFFFFFF, 6260), (0x80000001, 12500),
                        (1, 6259), (1, 6261), (1, 12499), (1, 20), (1, 44)):
        status, replies = machine.host(
            message2(count, [entry()] if body > 20 else (), body=body)).wait()
        check(status == 3 and replies[0]["reply"] == "fail",
              f"{count} {body}: {status} {replies}")
    writer.progresses()
    freezes(machine, "a", "freeze", luns=["0:0:0"])


@case
def the_report_for_the_developers_has_disks_and_lengths():
    trace = "/run/report.trace"
    machine = started(lun_aware="on", trace=trace)
    host = machine.host("freeze", "thaw", "hold=60000",
                        options=["--lun", f"{GUID}:0:0:0"])
    check(host.reply("thaw")["reply"] == "ok", str(host.replies()))
    history = f"{machine.where['state_dir']}/history.jsonl"
    until(lambda: os.path.exists(history) and os.path.getsize(history),
          "the checkpoint is written down")
    os.makedirs("/var/lib", exist_ok=True)
    for key, path in (("run_dir", "/run/hv_vss"),
                      ("state_dir", "/var/lib/hv_vss")):
        os.symlink(machine.where[key], path)
        hvtest.after(os.unlink, path)
    status, out, _ = hvtest.run(
        ["env", f"PATH={hvtest.BIN}:{os.environ['PATH']}", "sh",
         f"{hvtest.BUILD}/tests/hyperv-report.sh", trace])
    check(status == 0, out)
    for part in (f"{GUID} 0:0:0:0 sda", f"{GUID} 0:0:0:1 sdb",
                 '"message":"5.0"', '"disks_named":1', '"disks":"sda"',
                 '"value":6288'):
        check(part in out, f"{part} is in: {out}")


@case
def without_lun_aware_all_are_frozen_and_nothing_is_said():
    machine = started()
    freezes(machine, "ab", "freeze", luns=["0:0:0"])
    check("named" not in machine.daemon.output(), machine.daemon.output())


hvtest.main()
