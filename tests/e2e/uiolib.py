# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause

"""A guest whose driver is on the raw channel: what uioshim.c plays of the
kernel's uio_hv_generic, and the part of /sys that the transport looks at."""

import os
import shutil

import frzlib
import hvtest
from hvtest import Process

CLASS = "{35fa2e29-ea23-4236-96ae-3a6ebacba440}"
OTHER = "{ba6163d9-04a1-4d29-b605-72e2ffb1dc7f}"
GUID = "2450ee40-33bf-4fbd-892e-9fb06e9214cf"
BUS = "/sys/bus/vmbus"
RINGS = 2 * 5 * 4096  # the emulator's


def write(path, text=""):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


def device(guid=GUID, driver="hv_utils", class_id=CLASS):
    """A device of the bus, bound to a driver."""
    base = f"{BUS}/devices/{guid}"
    write(f"{base}/class_id", class_id + "\n")
    write(f"{base}/driver_override")
    uio = "uio" if driver == "uio_hv_generic" else ".uio"
    write(f"{base}/{uio}/uio3/maps/map0/name", "txrx_rings\n")
    write(f"{base}/{uio}/uio3/maps/map0/size", f"{RINGS:#x}\n")
    if driver:
        os.symlink(f"{BUS}/drivers/{driver}", f"{base}/driver")


def drivers():
    for driver in ("hv_utils", "uio_hv_generic"):
        for name in ("bind", "unbind", "new_id"):
            write(f"{BUS}/drivers/{driver}/{name}")


def bus(*devices):
    """A machine's bus with just these, and one of another class."""
    shutil.rmtree("/sys/bus", ignore_errors=True)
    drivers()
    os.makedirs(f"{BUS}/devices", exist_ok=True)
    device("ba6163d9-04a1-4d29-b605-72e2ffb1dc70", "", OTHER)
    for guid, driver in devices:
        device(guid, driver)


class Guest(hvtest.Machine):
    """A driver on the raw channel."""

    def start(self, transport="uio", options=(), old=False):
        if frzlib.sanitized():
            hvtest.skip("a sanitizer must be loaded before what is preloaded")
        env = [f"LD_PRELOAD={hvtest.BUILD}/tests/uioshim.so",
               f"UIOSHIM_SOCKET={self.socket}", "UIOSHIM_DEVICE=/dev/uio3"]
        if old:
            env.append("UIOSHIM_OLD=1")
        self.driver = Process(["env", *env, f"{hvtest.BIN}/hv_vss_driver",
                               "--transport", transport, "--dev-dir", self.dir,
                               "-n", *hvtest._options({**self.where, **self.sets}),
                               *options])
        return self.driver

    def start_driver(self):
        """In the place of the ring link's: beside what is on the bus."""
        if not os.path.isdir(f"{BUS}/devices/{GUID}"):
            drivers()
            device(driver="uio_hv_generic")
        self.start()
        self.driver.says("ready: ")
        return self.driver


def in_place_of_the_ring_link(*tests, without=()):
    """Runs the cases of other tests on the raw channel."""
    main, hvtest.main = hvtest.main, lambda: None
    hvtest.Machine = Guest
    for name in tests:
        __import__(name)
    for name in without:
        hvtest.leave_out(name)
    main()
