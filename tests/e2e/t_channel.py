#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
# isoroot: --bound 110
"""The driver's end of the ring link against hosts that do not read, that go in
the middle, and whose memory and rings are wrong."""

import array
import fcntl
import mmap
import os
import select
import socket
import struct

import emulink
import hvtest
from hvtest import CHECK, Device, case, check

PAGE = emulink.PAGE
SHRINK, GROW, SEAL = fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_GROW, fcntl.F_SEAL_SEAL
ALL = SHRINK | GROW | SEAL


def request(op):
    """A VSS request of version 5.0, from the pipe header on."""
    return struct.pack("<IIHHHHHHIBBHB7xI", 1, 32, 3, 0, 5, 5, 0, 12, 0, 0, 3,
                       0, op, 0)


class HostEnd(emulink.Guest):
    """The host's end of a link.  Wrong ones: other seals, memory of another
    length than hello says, fewer descriptors."""

    def __init__(self, path, pages=2, seals=ALL, short=0, nfds=3, wakes=True):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.bind(path)
            s.listen(1)
            s.settimeout(10)
            self.sock = s.accept()[0]
        os.unlink(path)
        size = pages * PAGE
        self.tx, self.rx = size, 0
        self.tx_size = self.rx_size = size - PAGE
        self.tx_in = self.rx_out = 0
        mem = os.memfd_create("rings", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(mem, 2 * size)
        self.mem = mmap.mmap(mem, 2 * size)
        self.put32(self.tx + 64, int(wakes))
        os.ftruncate(mem, 2 * size - short)
        fcntl.fcntl(mem, fcntl.F_ADD_SEALS, seals)
        flags = os.EFD_NONBLOCK | os.EFD_CLOEXEC
        self.signal, self.event = os.eventfd(0, flags), os.eventfd(0, flags)
        self.fds = [mem, self.signal, self.event]
        hello = emulink.message(1, struct.pack("<IIQ", size, size, 0))
        rights = array.array("i", self.fds[:nfds])
        self.sock.sendmsg([hello], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                     rights)] if nfds else [])
        hvtest.after(self.close)

    def opened(self):
        self.sock.settimeout(10)
        check(self.sock.recv(64) == emulink.message(2), "it says `opened'")
        return self

    def close(self):
        if self.mem is not None:
            super().close()


def guest():
    m = hvtest.Machine()
    m.start_driver()
    return m


def serves(m):
    """A host that keeps the rules gets its answer."""
    host = HostEnd(m.socket).opened()
    host.send(1, request(CHECK + 1))
    reply = host.recv()
    status = struct.unpack_from("<I", reply.payload, 20)[0]
    check(reply.xactid == 1 and status == emulink.FAIL, "no daemon: FAIL")
    host.close()


def _late_reader(m, wakes):
    host = HostEnd(m.socket, wakes=wakes).opened()
    sent = 0
    # A page holds 63 of them each way, the driver has a few slots of its own.
    while sent < 400:
        before = host.get32(host.tx + 4)
        if host.tx_size - (host.tx_in - before) % host.tx_size <= 64:
            select.select([], [], [], 0.05)
            if host.get32(host.tx + 4) == before:
                break
            continue
        sent += 1
        host.send(sent, request(CHECK + 1))
    check(63 + 16 < sent < 400, f"it leaves in the ring what it cannot: {sent}")
    for n in range(1, sent + 1):
        got = host.recv().xactid
        check(got == n, f"reply {n}, not {got}")
    check(not host.waiting(), "and no more")
    host.close()


@case
def a_host_that_reads_late_gets_every_reply_once_and_in_order():
    m = guest()
    _late_reader(m, True)
    serves(m)


@case
def so_does_one_that_never_signals_room():
    m = guest()
    _late_reader(m, False)
    serves(m)


@case
def signals_without_packets_mean_nothing():
    m = guest()
    host = HostEnd(m.socket).opened()
    for _ in range(1000):
        host.kick()
    host.send(7, request(CHECK + 1))
    check(host.recv().xactid == 7, "the request is answered")


@case
def memory_that_is_not_what_it_must_be_is_refused():
    m = guest()
    for wrong in ({"seals": 0}, {"seals": GROW | SEAL}, {"seals": SHRINK | SEAL},
                  {"seals": SHRINK | GROW}, {"short": PAGE}, {"short": 1},
                  {"short": 4 * PAGE}, {"pages": 1}, {"nfds": 2}, {"nfds": 1},
                  {"nfds": 0}):
        host = HostEnd(m.socket, **wrong)
        check(host.closed(), f"{wrong}: the driver closes")
        host.close()
        check(m.driver.alive(), "and lives")
    serves(m)


def _index(host, value):
    host.put32(host.tx, value)
    host.kick()


WRONG = {
    "an index beyond the ring": lambda h: _index(h, h.tx_size),
    "an index far beyond": lambda h: _index(h, 0xFFFFFFF8),
    "a crooked index": lambda h: _index(h, 12),
    "less than a descriptor": lambda h: _index(h, 8),
    "a length beyond what is there":
        lambda h: h.send(1, request(2), length8=400),
    "a length of nothing": lambda h: h.send(1, request(2), length8=0),
    "an offset beyond the length":
        lambda h: h.send(1, request(2), offset8=60),
    "an offset into the descriptor":
        lambda h: h.send(1, request(2), offset8=1),
    "an unknown type": lambda h: h.send(1, request(2), kind=0x7777),
}


@case
def a_ring_that_is_wrong_is_a_channel_lost():
    m = guest()
    app = Device(m.app_dev)
    app.read()
    for what, wrong in WRONG.items():
        host = HostEnd(m.socket).opened()
        wrong(host)
        check(host.closed(), f"{what}: the driver closes")
        host.close()
        check(m.driver.alive(), f"{what}: and lives")
    m.driver.says("the ring is corrupt")
    app.close()
    serves(m)


@case
def a_read_index_that_is_wrong_is_one_as_well():
    m = guest()
    for value in (PAGE, 12, 0xFFFFFFF8):
        host = HostEnd(m.socket).opened()
        host.put32(host.rx + 4, value)
        host.send(1, request(CHECK + 1))
        check(host.closed(), f"{value}: the driver closes")
        host.close()
    serves(m)


@case
def packets_of_every_length_are_answered_or_dropped():
    m = guest()
    host = HostEnd(m.socket, pages=8).opened()
    whole = request(CHECK + 1)
    # The ring rounds up to 8 bytes: 33 are 40 in it.
    for n in range(0, 33):
        host.send(1000 + n, whole[:n])
    for n in (40, 48, 60, 88, 6288, 12528, 13320):
        host.send(n, whole + bytes(n - 40))
        check(host.recv().xactid == n, f"{n} bytes are answered")
    for n in (13328, 16000, 20000):
        host.send(n, whole + bytes(n - 40))
    host.send(1, whole)
    check(host.recv().xactid == 1, "too long ones are dropped")


@case
def a_rescind_in_the_middle_is_not_answered_after_the_offer_again():
    m = guest()
    fs, app = Device(m.fs_dev), Device(m.app_dev)
    fs.read()
    app.read()
    host = HostEnd(m.socket).opened()
    host.send(41, request(CHECK + 1))
    opt, msgid = app.next()
    host.close()
    host = HostEnd(m.socket).opened()
    app.write(opt, 0, msgid)
    host.send(42, request(CHECK + 1))
    app.answer(opt=CHECK)
    fs.answer(opt=CHECK)
    check(host.recv().xactid == 42, "only the new one is answered")
    check(not host.waiting(), "and nothing else")


hvtest.main()
