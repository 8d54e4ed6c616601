#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
# isoroot: --bound 100
"""hv_vss_driver on the ring link, against a host that the test plays: rings and
packets that are short, long, misaligned, mis-indexed or of unknown type, a link
that is not what it should be, and rings that run full."""

import fcntl
import json
import os
import random
import signal
import struct

import hvtest
from emulink import (CHECK, DM_INFO, FAIL, FREEZE, NOT_SUPPORTED, OK,
                     PAGE, THAW, Gone, Host, negotiation, request)
from hvtest import after, case, check, until

IOC_FREEZE = hvtest.FREEZE


class Driven:
    """A driver, and hosts for it one after another."""

    def __init__(self):
        self.machine = hvtest.Machine()
        self.machine.start_driver()

    def host(self, negotiate=True, **how):
        h = Host(self.machine.socket, **how)
        after(h.close)
        if negotiate:
            h.negotiate()
        return h

    def lives(self, host=None):
        """The driver serves a host: this one, or the next."""
        check(self.machine.driver.alive(), "the driver has ended")
        h = host or self.host()
        h.ask(request(DM_INFO))
        check(h.reply().status == OK, "a reply")
        if host is None:
            h.close()


@case
def the_answers_have_the_documented_form():
    d = Driven()
    h = d.host(negotiate=False)
    p = h.negotiate()
    check(p.payload[28:44] == struct.pack("<HHIHHHH", 1, 1, 0, 3, 0, 5, 0) and
          p.payload[18:20] == b"\x10\0", p.payload.hex())
    h.ask(request(DM_INFO))
    check(h.reply().payload == struct.pack(
        "<II HH H HH H I BB H", 1, 32, 3, 0, 5, 5, 0, 12, 0, 0, 5, 0) +
        bytes([DM_INFO]) + bytes(11), "echoed but for status and flags")


@case
def memory_that_is_not_sealed_or_of_another_size_is_refused():
    d = Driven()
    seals = (0, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL,
             fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL,
             fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    for s in seals:
        h = d.host(negotiate=False, seals=s, open=False)
        check(h.closed(), f"seals {s:#x}")
        h.close()
    for size in (0, PAGE, 10 * PAGE - 1, 9 * PAGE, 11 * PAGE):
        h = d.host(negotiate=False, size=size, open=False)
        check(h.closed(), f"{size} bytes of memory")
        h.close()
    for ring in (PAGE, 2 * PAGE + 8, 1025 * PAGE):
        h = d.host(negotiate=False, ring=ring, open=False)
        check(h.closed(), f"a ring of {ring} bytes")
        h.close()
    d.lives()


@case
def a_ring_of_one_page_of_data_serves():
    d = Driven()
    d.lives(d.host(ring=2 * PAGE))


@case
def impossible_indices_end_the_link_and_the_next_host_is_served():
    d = Driven()
    size = 4 * PAGE
    for at, value in ((0, size), (0, size + 8), (0, 0xFFFFFFFF), (0, 4),
                      (0, 0x80000000), (0, 8), (0, 16)):
        # A ring that nothing went through: 8 and 16 are less than a packet.
        h = d.host(negotiate=False)
        h.put32(h.tx + at, value)
        h.kick()
        check(h.closed(), f"index {value:#x}")
        h.close()
    for value in (size, 0xFFFFFFF8, 12, 1):
        h = d.host()
        h.put32(h.rx + 4, value)
        h.ask(request(DM_INFO))
        check(h.closed(), f"the other index {value:#x}")
        h.close()
    d.lives()


@case
def packets_that_break_the_framing_end_the_link():
    d = Driven()
    for how in ({"kind": 0}, {"kind": 1}, {"kind": 0x55}, {"kind": 0xFFFF},
                {"kind": 9}, {"kind": 7}, {"offset8": 0}, {"offset8": 1},
                {"offset8": 8}, {"length8": 0}, {"length8": 1},
                {"length8": 8}, {"length8": 0xFFFF}, {"flags": 2},
                {"flags": 0x8000}):
        h = d.host()
        h.send(9, request(DM_INFO), **how)
        check(h.closed(), f"{how}")
        h.close()
    d.lives()


@case
def a_completion_is_no_request_and_disturbs_nothing():
    d = Driven()
    h = d.host()
    h.send(9, b"", kind=11)
    h.send(9, request(DM_INFO), kind=11)
    d.lives(h)
    status = json.loads(d.machine.ctl("status", "--json")[1])
    check(status["counters"]["dropped"] == 2,
          f"each is counted, as one packet of its turn: {status['counters']}")


@case
def what_has_no_whole_headers_or_is_of_another_service_is_dropped():
    d = Driven()
    h = d.host()
    for payload in (b"", bytes(8), request(DM_INFO)[:24], bytes(24),
                    request(DM_INFO, pipe=19), request(DM_INFO, pipe=0),
                    request(DM_INFO, body=4)[:32],
                    request(DM_INFO, pipe=31),
                    request(DM_INFO, kind=1), request(DM_INFO, kind=2),
                    request(DM_INFO, kind=3), request(DM_INFO, kind=0xFFFF),
                    negotiation()[:32], bytes(4000), b"\xff" * 4000):
        h.ask(payload)
        d.lives(h)


@case
def what_is_whole_but_wrong_is_answered_with_failure():
    d = Driven()
    h = d.host()

    def listed(body, count):
        return request(FREEZE, body=body,
                       tail=struct.pack("<III", 0, 0, count))
    for payload in (listed(6260, 261), listed(12500, 261),
                    listed(6260, 0xFFFFFFFF), listed(20, 1), listed(6264, 1),
                    request(FREEZE, claim=13), request(THAW, claim=0xFFFF),
                    negotiation(frameworks=()), negotiation(messages=()),
                    negotiation()[:40] + bytes(24)):
        if payload[12] == 0:
            b = bytearray(payload)
            if b[28] and b[30]:
                b[28] = 200
            payload = bytes(b)
        h.ask(payload)
        p = h.reply()
        check(p.status == FAIL, f"{p.status:#x} to {payload[:48].hex()}")
        d.lives(h)


@case
def operations_that_are_not_known_are_not_supported():
    d = Driven()
    h = d.host()
    for op in (8, 9, 128, 129, 255):
        h.ask(request(op))
        check(h.reply().status == NOT_SUPPORTED, f"operation {op}")
    for op in (0, 1, 4, 7):
        h.ask(request(op))
        check(h.reply().status == OK, f"operation {op}")


@case
def every_length_is_echoed_at_that_length():
    d = Driven()
    h = d.host()
    for body in (12, 13, 16, 20, 32, 39, 100, 6260, 7312, 7320, 12500, 13292):
        h.ask(request(DM_INFO, body=body))
        p = h.reply()
        check(p.status == OK and len(p.payload) == (28 + body + 7) // 8 * 8,
              f"a body of {body} bytes")


@case
def a_packet_larger_than_any_message_is_dropped():
    d = Driven()
    h = d.host()
    h.ask(request(DM_INFO, body=13300))
    d.lives(h)
    h.ask(bytes(4 * PAGE - 32))
    d.lives(h)


@case
def replies_wait_for_room_and_none_is_lost():
    d = Driven()
    h = d.host()
    body, asked = 4000, []
    for _ in range(20):
        # The driver stops reading when its replies have no room.
        if h.room() <= body + 64:
            break
        asked.append(h.ask(request(DM_INFO, body=body)))
        until(lambda: h.room() == h.tx_size or h.get32(h.rx + 12),
              "the request is read, or a reply waits for room")
    check(h.get32(h.rx + 12) != 0, "the driver says what it waits for")
    for xactid in asked:
        check(h.reply(xactid).status == OK, "in order")
    check(h.get32(h.rx + 12) == 0, "it waits for nothing more")
    d.lives(h)


@case
def replies_reach_a_host_that_never_signals_room():
    d = Driven()
    h = d.host()
    h.put32(h.tx + 64, 0)  # it does not promise to
    asked = []
    while h.room() > 4064 + 24:
        asked.append(h.ask(request(DM_INFO, body=4000)))
        until(lambda: h.room() == h.tx_size or h.get32(h.rx + 12),
              "the request is read, or a reply waits for room")
    kick, h.kick = h.kick, lambda: None
    for xactid in asked:
        check(h.reply(xactid).status == OK, "in order")
    h.kick = kick
    d.lives(h)


@case
def what_was_asked_before_a_rescind_is_not_answered_after_it():
    d = Driven()
    fs, app = (hvtest.Device(p) for p in (d.machine.fs_dev, d.machine.app_dev))
    fs.read()
    app.read()
    h = d.host()
    h.ask(request(CHECK))
    opt, msgid = app.next()
    h.close()
    h = d.host()
    app.write(opt, hvtest.SUCCESS, msgid)
    h.ask(request(CHECK))
    app.answer(opt=hvtest.CHECK)
    fs.answer(opt=hvtest.CHECK)
    check(h.reply().status == OK, "the new one is answered")
    check(not h.waiting(), "and nothing else")


@case
def a_host_that_filled_its_ring_is_signalled_when_there_is_room():
    d = Driven()
    h = d.host()
    d.machine.driver.signal(hvtest.signal.SIGSTOP)
    payload = request(THAW, body=4000)
    n = 0
    while h.room() > 16 + 4032 + 8:
        h.ask(payload)
        n += 1
    while h.signalled():
        pass
    h.put32(h.tx + 12, 16 + 4032 + 8)
    h.put32(h.rx + 8, 1)  # replies are not signalled, room is
    d.machine.driver.signal(hvtest.signal.SIGCONT)
    check(n >= 3 and h.signalled(10), "a signal that there is room")
    h.put32(h.rx + 8, 0)
    for i in range(n):
        check(h.reply(h.xactid - n + 1 + i).status == OK, "every reply")


@case
def a_masked_host_is_not_signalled():
    d = Driven()
    h = d.host()
    while h.signalled():
        pass
    h.put32(h.rx + 8, 1)
    h.ask(request(DM_INFO))
    until(h.waiting, "the reply")
    check(not h.signalled(0.1), "no signal")


@case
def our_own_index_scribbled_over_is_put_right():
    d = Driven()
    h = d.host()
    for _ in range(3):
        h.put32(h.tx + 4, 0x1234)  # the driver's read index
        h.put32(h.rx, h.rx_out)  # and its write index, as it was
        d.lives(h)


@case
def an_event_made_blocking_does_not_put_the_driver_to_sleep():
    d = Driven()
    h = d.host()
    for fd in (h.signal, h.event):
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        fcntl.fcntl(fd, fcntl.F_SETFL, flags & ~os.O_NONBLOCK)
    h.ask(request(DM_INFO))
    check(h.closed(), "the driver leaves")
    h.close()
    d.lives()


@case
def a_broken_ring_in_the_hold_is_lost_and_undone():
    d = Driven()
    h = d.host()
    fs = hvtest.Device(d.machine.fs_dev)
    h.ask(request(FREEZE))
    fs.answer(opt=IOC_FREEZE)
    check(h.reply().status == OK, "FREEZE")
    h.put32(h.tx, 0xFFFFFFFF)
    h.kick()
    fs.answer(opt=hvtest.THAW)
    h.close()
    h = d.host()
    h.ask(request(THAW))
    check(h.reply().status == FAIL, "the hold was lost")


@case
def a_later_packet_cannot_change_an_earlier_ones_reply():
    d = Driven()
    h = d.host()
    fs = hvtest.Device(d.machine.fs_dev)
    tail = struct.pack("<III", 1, 2, 1) + b"\1" * 24
    first = h.ask(request(FREEZE, body=6260, tail=tail))
    opt, msgid = fs.next()
    second = h.ask(request(DM_INFO, body=6260, tail=b"\x55" * 6000))
    check(h.reply(second).op == DM_INFO, "the second is answered first")
    fs.write(opt, hvtest.SUCCESS, msgid)
    p = h.reply(first)
    want = bytearray(request(FREEZE, body=6260, tail=tail))
    want[25] = 5
    check(p.payload == bytes(want), "every byte of the first")
    h.ask(request(THAW))
    fs.answer(opt=hvtest.THAW)
    check(h.reply().status == OK, "THAW")


@case
def packets_wrap_at_every_place_of_the_rings_end():
    d = Driven()
    h = d.host(ring=2 * PAGE)
    starts = set()
    for _ in range(PAGE // 8):
        starts.add(h.tx_in)
        h.ask(request(DM_INFO, body=20))  # 72 bytes
        check(h.reply().status == OK, f"a packet at {h.tx_in}")
    check(len(starts) == PAGE // 8, "every place")


@case
def requests_of_one_signal_are_all_answered():
    d = Driven()
    h = d.host()
    kick, h.kick = h.kick, lambda: None
    asked = [h.ask(request(DM_INFO)) for _ in range(50)]
    h.kick = kick
    h.kick()
    for xactid in asked:
        check(h.reply(xactid).status == OK, "in order")


@case
def signals_without_packets_change_nothing():
    d = Driven()
    h = d.host()
    for n in range(20000):
        h.kick()
        if n % 1000 == 0:
            h.ask(request(DM_INFO))
            check(h.reply().status == OK, "meanwhile")
    d.lives(h)


@case
def a_negotiation_in_pieces_is_none():
    d = Driven()
    h = d.host(negotiate=False)
    whole = negotiation()
    for at in (8, 16, 24, 36):
        first = h.ask(whole[:at])
        h.ask(whole[at:])
    check(h.reply(first).status == FAIL, "versions that are not there")
    h.negotiate()
    d.lives(h)


def scribble(h, seed):
    """A process that overwrites what waits in the ring, without end."""
    pid = os.fork()
    if pid:
        return pid
    r = random.Random(seed)
    try:
        while True:
            at = h.tx + PAGE + (h.get32(h.tx) - 8 * r.randrange(16)) % h.tx_size
            h.mem[at + r.randrange(8)] = r.choice((0, 1, 2, 5, 6, 255))
    finally:
        os._exit(0)


@case
def a_ring_that_is_overwritten_while_it_is_read_harms_nobody():
    d = Driven()
    seed = random.randrange(1 << 32)
    print(f"# seed {seed}", flush=True)
    ended = asked = 0
    for n in range(12):
        h = d.host()
        pid = scribble(h, seed + n)
        try:
            for _ in range(200):
                h.send(1, request(THAW, body=100))
                asked += 1
                while h.waiting():
                    h.recv(1, headers=False)
        except Gone:
            pass
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        ended += h.closed(0.01)
        h.close()
        check(d.machine.driver.alive(), f"the driver has ended, seed {seed}")
    print(f"# {asked} requests, {ended} links ended", flush=True)
    d.lives()


@case
def random_rings_never_take_the_driver_down():
    d = Driven()
    seed = random.randrange(1 << 32)
    print(f"# seed {seed}", flush=True)
    r = random.Random(seed)
    ended = 0
    for _ in range(60):
        h = d.host()
        for _ in range(r.randrange(1, 8)):
            base = bytearray(r.choice((
                request(r.randrange(10), body=r.choice((12, 20, 32, 6260))),
                negotiation(), bytes(r.randrange(200)))))
            for _ in range(r.randrange(4)):
                if base:
                    base[r.randrange(min(len(base), 64))] = r.randrange(256)
            how = {}
            if r.random() < 0.1:
                how = {r.choice(("kind", "flags", "offset8", "length8")):
                       r.randrange(16)}
            if h.room() > len(base) + 64:
                h.send(r.randrange(1 << 64), bytes(base), **how)
            if r.random() < 0.1:
                at = r.choice((0, 4, 8, 12, 64))
                h.put32(r.choice((h.tx, h.rx)) + at, r.randrange(1 << 16))
            h.kick()
            try:
                while h.waiting() % 8 == 0 and h.waiting():
                    h.recv(0.01, headers=False)
            except (Gone, AssertionError, struct.error):
                pass
        ended += h.closed(0)
        h.close()
        check(d.machine.driver.alive(), f"the driver has ended, seed {seed}")
    check(0 < ended < 60, f"{ended} of 60 links were ended")
    d.lives()


hvtest.main()
