# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
"""Both ends of the ring link, written from emu/emulink.h's description and
PROTOCOL.md sections 4 to 6 alone: a guest for hv_vss_host and a host for
hv_vss_driver, well-behaved or as wrong as a test wants them."""

import array
import fcntl
import mmap
import os
import select
import socket
import struct
import time

MAGIC = 0x4B4C5648
PAGE = 4096
NEGOTIATE, CHECK, DM_INFO, COMPLETE, FREEZE, THAW = -1, 2, 3, 4, 5, 6
OK, FAIL, NOT_SUPPORTED = 0, 0x80004005, 0x80070032
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class Gone(Exception):
    """The other end closed the link."""


def message(kind, tail=b""):
    return struct.pack("<IIII", MAGIC, 1, kind, 0) + tail


def request(op, body=12, kind=5, claim=None, pipe=None, flags=3, tail=b""):
    """The payload of a request, its body of so many bytes."""
    claim = body if claim is None else claim
    pipe = 20 + body if pipe is None else pipe
    b = struct.pack("<II HH H HH H I BB H", 1, pipe, 3, 0, kind, 5, 0,
                    claim & 0xFFFF, 0, 0, flags, 0)
    return (b + (bytes([op]) + bytes(7) + tail + bytes(body))[:body])


def negotiation(frameworks=((1, 0), (3, 0)), messages=((5, 0), (6, 0))):
    versions = b"".join(struct.pack("<HH", *v) for v in (*frameworks, *messages))
    body = struct.pack("<HHI", len(frameworks), len(messages), 0) + versions
    return struct.pack("<II HH H HH H I BB H", 1, 20 + len(body), 0, 0, 0, 0, 0,
                       len(body), 0, 0, 3, 0) + body


class Packet:
    """A packet as it was received."""

    def __init__(self, xactid, payload, headers=True):
        self.xactid = xactid
        self.payload = payload
        if not headers:
            return
        self.type = struct.unpack_from("<H", payload, 12)[0]
        self.status = struct.unpack_from("<I", payload, 20)[0]
        self.flags = payload[25]
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


class Link:
    """One end of an open link: tx and rx are where its rings lie."""

    def __init__(self):
        self.mem = None
        self.fds = []
        self.sock = None
        self.tx_in = self.rx_out = 0

    def rings(self, mem, tx, tx_len, rx, rx_len):
        self.mem = mem
        self.tx, self.rx = tx, rx
        self.tx_size, self.rx_size = tx_len - PAGE, rx_len - PAGE
        self.put32(self.tx + 64, 1)  # feature bit: pending send

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

    def signalled(self, seconds=0):
        """Whether the other end signals in that time; takes the signal."""
        p = select.poll()
        p.register(self.event, select.POLLIN)
        if not p.poll(seconds * 1000):
            return False
        os.read(self.event, 8)
        return True

    def _wait(self, end, seconds):
        p = select.poll()
        p.register(self.event, select.POLLIN)
        p.register(self.sock, select.POLLIN)
        got = dict(p.poll(max(0, (end - time.monotonic()) * 1000)))
        assert got, f"no packet in {seconds} s"
        if self.event in got:
            os.read(self.event, 8)
        elif not self.waiting():
            raise Gone

    def recv(self, seconds=10, headers=True):
        """The next packet, its headers decoded.  Fails when none comes or the
        other end has gone."""
        end = time.monotonic() + seconds
        while not self.waiting():
            self._wait(end, seconds)
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

    def room(self):
        used = (self.tx_in - self.get32(self.tx + 4)) % self.tx_size
        return self.tx_size - used

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

    def closed(self, seconds=10):
        """Waits until the other end has closed the link."""
        self.sock.settimeout(seconds)
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True
        except (TimeoutError, BlockingIOError):
            return False

    def close(self):
        if self.mem is not None:
            self.mem.close()
            self.mem = None
        for fd in self.fds:
            os.close(fd)
        self.fds = []
        if self.sock is not None:
            self.sock.close()


class Guest(Link):
    """A guest on the host's socket; with open=False it stays silent."""

    def __init__(self, path, open=True, seconds=10):
        super().__init__()
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
        magic, version, kind, zero, g2h, h2g, rest = struct.unpack(
            "<IIIIIIQ", data)
        assert (magic, version, kind, zero, rest) == (MAGIC, 1, 1, 0, 0), data
        assert len(self.fds) == 3 and os.fstat(self.fds[0]).st_size == g2h + h2g
        self.event, self.signal = self.fds[1:]
        self.rings(mmap.mmap(self.fds[0], g2h + h2g), 0, g2h, g2h, h2g)

    def open(self):
        self.sock.send(message(2))

    def answer(self, op=None, status=OK, **how):
        """Receives the next request, which must be op, and replies to it."""
        p = self.recv()
        assert op is None or p.op == op, f"operation {op}, not {p.op}"
        self.send(p.xactid, p.reply(status, **how))
        return p


class Host(Link):
    """A host that the driver connects to, with rings of so many bytes."""

    def __init__(self, path, ring=5 * PAGE, seals=SEALS, size=None, open=True):
        super().__init__()
        self.xactid = 0
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            listener.bind(path)
            listener.listen(1)
            listener.settimeout(10)
            self.sock = listener.accept()[0]
        finally:
            listener.close()
            os.unlink(path)
        memory = os.memfd_create("rings", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(memory, 2 * ring if size is None else size)
        if seals:
            fcntl.fcntl(memory, fcntl.F_ADD_SEALS, seals)
        self.signal = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.fds = [memory, self.signal, self.event]
        hello = message(1, struct.pack("<IIQ", ring, ring, 0))
        if size is None:
            self.rings(mmap.mmap(memory, 2 * ring), ring, ring, 0, ring)
        socket.send_fds(self.sock, [hello], self.fds)
        if open:
            self.sock.settimeout(10)
            assert self.sock.recv(64) == message(2), "the guest has opened"

    def ask(self, payload):
        """Sends a request once there is room; its transaction id."""
        self.xactid += 1
        end = time.monotonic() + 10
        while self.room() <= (len(payload) + 7) // 8 * 8 + 24:
            assert time.monotonic() < end, "no room in 10 s"
            time.sleep(0.002)
        self.send(self.xactid, payload)
        return self.xactid

    def reply(self, xactid=None, seconds=10):
        """The next packet, which must answer the last request (or that one)."""
        p = self.recv(seconds)
        want = self.xactid if xactid is None else xactid
        assert p.xactid == want, f"transaction {want}, not {p.xactid}"
        assert p.flags == 5, f"flags {p.flags}"
        return p

    def negotiate(self):
        self.ask(negotiation())
        return self.reply()
