# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
"""A guest for hv_vss_host, written from emu/emulink.h's description and
PROTOCOL.md sections 4 to 6 alone: the ring link's guest end, well-behaved or as
a test wants it."""

import array
import mmap
import os
import select
import socket
import struct
import time

MAGIC = 0x4B4C5648
PAGE = 4096
NEGOTIATE, CHECK, DM_INFO, COMPLETE, FREEZE, THAW = -1, 2, 3, 4, 5, 6
OK, FAIL = 0, 0x80004005


class Gone(Exception):
    """The host closed the link."""


def message(kind, tail=b""):
    return struct.pack("<IIII", MAGIC, 1, kind, 0) + tail


class Packet:
    """A request as the guest got it."""

    def __init__(self, xactid, payload, headers=True):
        self.xactid = xactid
        self.payload = payload
        if not headers:
            return
        self.type = struct.unpack_from("<H", payload, 12)[0]
        self.op = payload[28] if self.type == 5 else NEGOTIATE

    def reply(self, status=OK, flags=5):
        """The request's bytes with the answer in them, as guests send it."""
        b = bytearray(self.payload)
        struct.pack_into("<I", b, 20, status)
        b[25] = flags
        if self.op == NEGOTIATE and status == OK:
            struct.pack_into("<H", b, 18, 0x10)
            struct.pack_into("<HHI", b, 28, 1, 1, 0)
            struct.pack_into("<HHHH", b, 36, 3, 0, 5, 0)
        return bytes(b)


class Guest:
    """A connection to the host at path; with open=False it stays silent."""

    def __init__(self, path, open=True, seconds=10):
        self.mem = None
        self.fds = []
        self.sock = self._connect(path, time.monotonic() + seconds)
        if open:
            self.take_hello()
            self.open()

    def _connect(self, path, end):
        while True:
            s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            try:
                s.connect(path)
                return s
            except OSError:
                s.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.005)

    def take_hello(self):
        self.sock.settimeout(10)
        data, anc, _, _ = self.sock.recvmsg(64, socket.CMSG_SPACE(16 * 4))
        if not data:
            raise Gone
        fds = array.array("i")
        for _, _, cdata in anc:
            fds.frombytes(cdata[:len(cdata) - len(cdata) % fds.itemsize])
        self.fds = list(fds)
        self.hello = data
        magic, version, kind, zero, g2h, h2g, rest = struct.unpack(
            "<IIIIIIQ", data)
        assert (magic, version, kind, zero, rest) == (MAGIC, 1, 1, 0, 0), data
        assert len(self.fds) == 3 and os.fstat(self.fds[0]).st_size == g2h + h2g
        self.mem = mmap.mmap(self.fds[0], g2h + h2g)
        self.event, self.signal = self.fds[1:]
        self.tx, self.rx = 0, g2h  # where the rings lie
        self.tx_size, self.rx_size = g2h - PAGE, h2g - PAGE
        self.tx_in = self.rx_out = 0

    def open(self):
        self.put32(self.tx + 64, 1)  # feature bit: pending send
        self.sock.send(message(2))

    def get32(self, at):
        return struct.unpack_from("<I", self.mem, at)[0]

    def put32(self, at, value):
        struct.pack_into("<I", self.mem, at, value)

    def kick(self):
        os.write(self.signal, struct.pack("=Q", 1))

    def _read(self, at, n):
        """n bytes of the receive ring's data area, around its end."""
        return bytes(self.mem[self.rx + PAGE + (at + i) % self.rx_size]
                     for i in range(n))

    def waiting(self):
        """Bytes in the receive ring."""
        return (self.get32(self.rx) - self.rx_out) % self.rx_size

    def recv(self, seconds=10, headers=True):
        """The next packet, its headers decoded.  Fails when none comes or the host has gone."""
        end = time.monotonic() + seconds
        while not self.waiting():
            p = select.poll()
            p.register(self.event, select.POLLIN)
            p.register(self.sock, select.POLLIN)
            got = dict(p.poll(max(0, (end - time.monotonic()) * 1000)))
            assert got, f"no packet in {seconds} s"
            if self.event in got:
                os.read(self.event, 8)
            elif self.sock.fileno() in got and not self.waiting():
                raise Gone
        d = self._read(self.rx_out, 16)
        kind, offset8, length8, flags, xactid = struct.unpack("<HHHHQ", d)
        assert kind == 6 and flags == 0, d
        payload = self._read(self.rx_out + offset8 * 8, (length8 - offset8) * 8)
        zero, start = struct.unpack("<II", self._read(
            self.rx_out + length8 * 8, 8))
        assert zero == 0 and start == self.rx_out, "the trailer"
        free = self.rx_size - self.waiting()
        self.rx_out = (self.rx_out + length8 * 8 + 8) % self.rx_size
        self.put32(self.rx + 4, self.rx_out)
        want = self.get32(self.rx + 12)
        if want and free <= want < self.rx_size - self.waiting():
            self.kick()
        return Packet(xactid, payload, headers)

    def send(self, xactid, payload, kind=6, flags=0, offset8=2, length8=None):
        """Puts a packet into the ring (as wrong as wanted) and signals."""
        payload += bytes(-len(payload) % 8)
        if length8 is None:
            length8 = 2 + len(payload) // 8
        packet = struct.pack("<HHHHQ", kind, offset8, length8, flags,
                             xactid) + payload
        packet += struct.pack("<II", 0, self.tx_in)
        for i, byte in enumerate(packet):
            at = (self.tx_in + i) % self.tx_size
            self.mem[self.tx + PAGE + at] = byte
        self.tx_in = (self.tx_in + len(packet)) % self.tx_size
        self.put32(self.tx, self.tx_in)
        self.kick()

    def answer(self, op=None, status=OK, **how):
        """Receives the next request, which must be op, and replies to it."""
        p = self.recv()
        assert op is None or p.op == op, f"operation {op}, not {p.op}"
        self.send(p.xactid, p.reply(status, **how))
        return p

    def closed(self, seconds=10):
        """Waits until the host has closed the link."""
        self.sock.settimeout(seconds)
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self):
        if self.mem is not None:
            self.mem.close()
            self.mem = None
        for fd in self.fds:
            os.close(fd)
        self.fds = []
        self.sock.close()
