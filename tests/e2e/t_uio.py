#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
# isoroot: --bound 110
"""The raw channel through uio_hv_generic: the driver's transport uio, on what
uioshim.c plays of the kernel, and the emulator as the host.  The test plays the
freeze daemon itself: no file system is frozen."""

import os
import shutil
import signal
import struct

import hvtest
from hvtest import CHECK, FREEZE, SUCCESS, THAW, Device, case, check, until
from uiolib import BUS, CLASS, GUID, Guest, bus, device, write

GUID2 = "3450ee40-33bf-4fbd-892e-9fb06e9214cf"
DISK = "f8b3781a-1e82-4818-a1c3-63d806ec15bb"


def driver_of(guid=GUID):
    try:
        return os.path.basename(os.readlink(f"{BUS}/devices/{guid}/driver"))
    except FileNotFoundError:
        return None


def override(guid=GUID):
    with open(f"{BUS}/devices/{guid}/driver_override", encoding="ascii") as f:
        return f.read().strip()


def guest(transport="uio", options=(), old=False, **sets):
    machine = Guest(**sets)
    machine.start(transport, options, old)
    machine.driver.says("ready: ")
    return machine


def refused(transport="uio", options=()):
    """The one line with which the driver ends."""
    driver = Guest().start(transport, options)
    check(driver.wait() == 1, "it ends")
    lines = driver.output().splitlines()
    check(len(lines) == 1, str(lines))
    return lines[0]


def works(machine, times=1, options=()):
    """Checkpoints, with the freeze daemon's part."""
    fs = Device(machine.fs_dev)
    host = machine.host(*times * ["check", "freeze", "thaw"], options=options)
    for opt in times * (CHECK, FREEZE, THAW):
        fs.answer(opt=opt)
    status, replies = host.wait()
    check(status == 0, str(replies))
    fs.close()


@case
def a_checkpoint_over_the_raw_channel():
    bus((GUID, "uio_hv_generic"))
    machine = guest()
    works(machine)
    check(machine.driver.end() == 0, "it ends")
    check(driver_of() == "uio_hv_generic", "who bound it keeps it")


@case
def fifty_checkpoints_with_kernels_that_mask_interrupts_and_that_do_not():
    bus((GUID, "uio_hv_generic"))
    works(guest(), 50)
    works(guest(old=True), 50)


@case
def requests_that_overlap_are_each_answered():
    bus((GUID, "uio_hv_generic"))
    for old in (False, True):
        machine = guest(old=old)
        fs = Device(machine.fs_dev)
        host = machine.host("check&", *20 * ["dm-info&"], "complete&", "wait")
        fs.answer(opt=CHECK)
        status, replies = host.wait()
        check(status == 0 and len(replies) == 22, str(replies))


@case
def the_largest_packets_come_through():
    bus((GUID, "uio_hv_generic"))
    machine = guest()
    works(machine, options=260 * ["--lun", f"{DISK}:0:0:3"])
    body = struct.pack("<B", 7).ljust(13312 - 20, b"\0")
    head = struct.pack("<II HH H HH H I BB H", 1, 20 + len(body), 3, 0, 5, 5, 0,
                       len(body), 0, 0, 3, 0)
    host = machine.host("raw=" + (head + body).hex())
    check(host.reply("raw")["reply"] == "ok", str(host.replies()))


@case
def a_channel_that_the_kernels_driver_has_is_left_to_it():
    bus((GUID, "hv_utils"))
    line = refused()
    check("not bound to uio_hv_generic" in line and "--bind" in line and
          f"echo {GUID} >{BUS}/drivers/uio_hv_generic/bind" in line and
          "driver/unbind" in line, line)
    check(driver_of() == "hv_utils" and override() == "", "nothing has changed")


@case
def bind_takes_the_channel_and_the_end_gives_it_back():
    bus((GUID, "hv_utils"))
    machine = guest(options=["--bind"])
    check(driver_of() == "uio_hv_generic", driver_of())
    works(machine)
    check(machine.driver.end() == 0, "it ends")
    check(driver_of() == "hv_utils" and override() == "",
          f"{driver_of()} {override()}")


@case
def bind_takes_a_channel_that_nobody_has():
    bus((GUID, ""))
    machine = guest(options=["--bind"])
    works(machine)
    machine.driver.end()
    check(driver_of() == "hv_utils", driver_of())


@case
def bind_on_kernels_without_driver_override():
    bus((GUID, "hv_utils"))
    os.unlink(f"{BUS}/devices/{GUID}/driver_override")
    machine = guest(options=["--bind"])
    works(machine)
    machine.driver.end()
    check(driver_of() == "hv_utils", driver_of())


@case
def a_driver_that_was_killed_finds_the_channel_and_gives_it_back():
    bus((GUID, "hv_utils"))
    machine = guest(options=["--bind"])
    machine.driver.kill()
    check(driver_of() == "uio_hv_generic", driver_of())
    machine.start(options=["--bind"])
    machine.driver.says("ready: ")
    works(machine)
    machine.driver.end()
    check(driver_of() == "hv_utils" and override() == "", driver_of())


@case
def bind_without_the_kernels_module_says_so():
    bus((GUID, "hv_utils"))
    shutil.rmtree(f"{BUS}/drivers/uio_hv_generic")
    machine = Guest()
    machine.start(options=["--bind"])
    machine.driver.says("modprobe uio_hv_generic")
    check(driver_of() == "hv_utils", driver_of())


@case
def a_channel_that_is_taken_away_and_offered_again():
    bus((GUID, "uio_hv_generic"))
    machine = guest()
    fs = Device(machine.fs_dev)
    host = machine.host("check", "rescind", "check", "freeze", "rescind",
                        "check")
    fs.answer(opt=CHECK)
    machine.driver.says("the host took the channel away")
    fs.answer(opt=CHECK)
    fs.answer(opt=FREEZE)
    fs.answer(opt=THAW)  # the hold is broken
    fs.answer(opt=CHECK)
    status, replies = host.wait()
    check(status == 0, str(replies))


@case
def a_host_that_dies_in_the_hold_is_undone():
    bus((GUID, "uio_hv_generic"))
    machine = guest()
    fs = Device(machine.fs_dev)
    host = machine.host("freeze", "hold=60000")
    fs.answer(opt=FREEZE)
    check(host.reply("freeze")["reply"] == "ok", str(host.replies()))
    host.process.popen.send_signal(signal.SIGKILL)
    fs.answer(opt=THAW)


@case
def a_channel_that_is_not_offered_yet_is_waited_for():
    bus()
    machine = guest()
    machine.driver.says("no VSS channel is offered")
    device(driver="uio_hv_generic")
    works(machine)


@case
def of_several_channels_one_must_be_named():
    bus((GUID, "hv_utils"), (GUID2, "uio_hv_generic"))
    check("name one with --transport uio:UUID" in refused(), "which")
    machine = guest(f"uio:{GUID2}")
    works(machine)
    check(GUID2 in machine.driver.output(), machine.driver.output())
    check("not bound" in refused(f"uio:{GUID.upper()}"), "the other")


@case
def what_is_no_guest_of_hyper_v_is_told():
    bus()
    shutil.rmtree("/sys/bus")
    check("no guest of Hyper-V" in refused(), "said")


@case
def maps_that_are_not_the_rings_are_not_used():
    for name, text in (("name", "monitor_page"), ("size", "0"),
                       ("size", "4096"), ("size", "12288"), ("size", "x")):
        bus((GUID, "uio_hv_generic"))
        write(f"{BUS}/devices/{GUID}/uio/uio3/maps/map0/{name}", text + "\n")
        machine = guest()
        machine.driver.says("not that of the rings")
        machine.driver.end()


@case
def wrong_usage_is_one_line():
    bus((GUID, "uio_hv_generic"))
    check("not the UUID" in refused("uio:zzz"), "a UUID")
    check("--bind: only" in refused("emu:/run/x", ["--bind"]), "--bind")
    check("uio[:UUID]" in refused("raw"), "a transport")


@case
def a_stop_in_the_hold_lets_go_before_the_channel_is_given_back():
    bus((GUID, "hv_utils"))
    machine = guest(options=["--bind"])
    fs = Device(machine.fs_dev)
    host = machine.host("freeze", "hold=60000")
    fs.answer(opt=FREEZE)
    check(host.reply("freeze")["reply"] == "ok", str(host.replies()))
    machine.driver.popen.send_signal(signal.SIGTERM)
    opt, msgid = fs.next()
    check(opt == THAW and driver_of() == "uio_hv_generic", f"{opt}")
    fs.write(THAW, SUCCESS, msgid)
    check(machine.driver.wait() == 0, "it ends")
    until(lambda: driver_of() == "hv_utils", "it is given back")


@case
def the_report_for_the_developers_names_device_rings_and_requests():
    bus((GUID, "uio_hv_generic"))
    trace = "/run/report.trace"
    machine = guest(trace=trace)
    works(machine)
    machine.driver.end()
    status, out, _ = hvtest.run(
        ["sh", f"{hvtest.BUILD}/tests/hyperv-report.sh", trace])
    check(status == 0, out)
    for part in (f"{GUID} {CLASS} uio_hv_generic", "uio/uio3",
                 '"event":"request"', '"op":"freeze"', '"value":40'):
        check(part in out, f"{part} is in: {out}")


@case
def on_freebsd_the_report_asks_its_own_programs():
    where = "/run/fbsd"
    for name, text in (("uname", "echo FreeBSD"), ("sysctl", "echo sysctl=$*"),
                       ("camcontrol", "exit 1")):
        write(f"{where}/{name}", f"#!/bin/sh\n{text}\n")
        os.chmod(f"{where}/{name}", 0o755)
    status, out, _ = hvtest.run(
        ["env", f"PATH={where}:{os.environ['PATH']}", "sh",
         f"{hvtest.BUILD}/tests/hyperv-report.sh"])
    check(status == 0, out)
    for part in ("sysctl=kern.vm_guest dev.vmbus dev.storvsc",
                 "(camcontrol devlist -v failed)", "sysctl=-n kern.geom.conftxt",
                 "sysctl=-n dev.hvvssg.0.trace", "no trace file"):
        check(part in out, f"{part} is in: {out}")


hvtest.main()
