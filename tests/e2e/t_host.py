#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
"""hv_vss_host on the ring link, against a guest that the test plays: actions,
lines, exit codes, and every way in which a guest can misbehave."""

import os
import shutil
import signal
import socket
import tempfile
import time

import hvtest
from emulink import (CHECK, COMPLETE, DM_INFO, FAIL, FREEZE, NEGOTIATE, THAW,
                     Guest, Gone)
from hvtest import BIN, Process, after, case, check, until

# PROTOCOL.md section 10, payloads of 10.12, 10.15 and 10.17.
NEGOTIATE_BYTES = bytes.fromhex(
    "01000000300000000000000000000000"
    "00001c00000000000003000002000300"
    "00000000010000000300000005000000"
    "0600000007000000")
CHECK_BYTES = bytes.fromhex(
    "01000000200000000300000005000500"
    "00000c00000000000003000002000000"
    "0000000000000000")
FREEZE_BYTES = CHECK_BYTES[:28] + b"\5" + CHECK_BYTES[29:]


class Run(hvtest.Host):
    """hv_vss_host on a socket of its own."""

    def __init__(self, *actions, options=(), json=True):
        self.dir = tempfile.mkdtemp(prefix="hv.")
        after(shutil.rmtree, self.dir, True)
        self.path = f"{self.dir}/sock"
        if json:
            super().__init__(self.path, actions, options)
        else:
            self.process = Process([f"{BIN}/hv_vss_host", "--listen",
                                    self.path, *options, *actions])

    def guest(self, negotiate=True, **how):
        g = Guest(self.path, **how)
        after(g.close)
        if negotiate:
            g.answer(NEGOTIATE)
        return g

    def ends(self, status, words=None, seconds=20):
        """Waits for the end; what it printed."""
        got = self.process.wait(seconds)
        text = self.process.output()
        check(got == status, f"exit status {status}, not {got}: {text}")
        check(words is None or words in text, f"{words!r} in: {text}")
        return text


def fields(reply):
    return (reply["n"], reply["op"], reply["reply"], reply.get("status"))


def usage(*argv):
    status, out, err = hvtest.run([f"{BIN}/hv_vss_host", *argv])
    check(status == 1 and out == "", f"{argv}: {status} {out!r}")
    check("hv_vss_host: " in err.splitlines()[0], f"{argv}: {err!r}")
    return err


@case
def wrong_usage_is_said_on_standard_error_and_ends_with_1():
    for argv in ([], ["check"], ["--listen", "/x"], ["--nonsense"],
                 ["--listen", "/x", "--hv-utils", "/y", "check"]):
        check("usage: hv_vss_host" in usage(*argv), f"usage for {argv}")
    for action in ("", "chek", "check=1", "hold", "hold=", "hold=1s", "hold=-1",
                   "hold=1&", "raw", "raw=1", "raw=zz", "snapshot",
                   "snapshot=", "checkpoint", "rescind&", "wait&", "&"):
        err = usage("--listen", "/x", "--", action)
        check(len(err.splitlines()) == 1 and action in err, err)
    for option in (["--wait", "x"], ["--wait", "-1"], ["--timeout", "0"],
                   ["--timeout", "nan"], ["--timeout", "1e9"]):
        usage("--listen", "/x", *option, "check")
    disk = "f8b3781a-1e82-4818-a1c3-63d806ec15bb"
    for lun in ("", disk, f"{disk}:0:0", f"{disk}:0:0:256", f"{disk}:0:0:1:",
                f"{disk}:0:-1:0", f"{disk}:0: 1:0", f"{disk}0:0:0:0",
                "{" + disk + "}:0:0:0", ":0:0:0"):
        err = usage("--listen", "/x", "--lun", lun, "check")
        check(len(err.splitlines()) == 1 and f"--lun {lun}:" in err, err)
    usage("--listen", "/x", *261 * ["--lun", f"{disk}:0:0:0"], "check")
    check("--lun" in usage("--hv-utils", "/x", "--lun", f"{disk}:0:0:0", "check"),
          "--lun has no meaning there")
    for action in ("raw=00", "rescind"):
        check("--hv-utils" in usage("--hv-utils", "/x", action), action)


@case
def help_is_printed_and_no_failure():
    status, out, err = hvtest.run([f"{BIN}/hv_vss_host", "--help"])
    check(status == 0 and err == "", err)
    for word in ("--listen", "--hv-utils", "--json", "checkpoint=CMD", "raw=HEX"):
        check(word in out, word)


@case
def no_guest_within_the_wait_is_an_error_of_one_line():
    run = Run("check", options=["--wait", "0.2"])
    text = run.ends(1, "no guest connected")
    check(len(text.splitlines()) == 1, text)
    check(not os.path.exists(run.path), "the socket is removed")


def listens(path):
    """Somebody does, at that path: a moment after it is there."""
    with open("/proc/net/unix", encoding="ascii") as f:
        return any(line.endswith(f" {path}\n") and line.split()[3] == "00010000"
                   for line in f)


@case
def a_path_that_is_taken_is_refused_and_a_stale_one_replaced():
    first = Run("check")
    until(lambda: listens(first.path), "the socket")
    err = usage("--listen", first.path, "--wait", "0.2", "check")
    check("another program listens" in err and len(err.splitlines()) == 1, err)
    first.guest().answer(CHECK)
    first.ends(0)

    plain = f"{first.dir}/file"
    with open(plain, "w", encoding="ascii"):
        pass
    err = usage("--listen", plain, "check")
    check("not a socket" in err and os.path.exists(plain), err)
    err = usage("--listen", f"{first.dir}/none/sock", "check")
    check("No such file" in err, err)
    err = usage("--listen", "/" + 200 * "x", "check")
    check("too long" in err, err)

    stale = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stale.bind(first.path)
    stale.close()
    again = Process([f"{BIN}/hv_vss_host", "--listen", first.path, "check"])
    g = Guest(first.path)
    after(g.close)
    g.answer(NEGOTIATE)
    g.answer(CHECK)
    check(again.wait() == 0, again.output())


@case
def the_socket_is_for_its_owner_alone():
    run = Run("check")
    until(lambda: os.path.exists(run.path), "the socket")
    check(os.stat(run.path).st_mode & 0o777 == 0o600, "mode 0600")


@case
def it_negotiates_by_itself_and_sends_the_documented_bytes():
    run = Run("check", "freeze", "thaw", "dm-info", "complete")
    g = run.guest(negotiate=False)
    p = g.answer(NEGOTIATE)
    check(p.payload == NEGOTIATE_BYTES and p.xactid == 1, p.payload.hex())
    for n, (op, sent) in enumerate(((CHECK, CHECK_BYTES),
                                    (FREEZE, FREEZE_BYTES), (THAW, None),
                                    (DM_INFO, None), (COMPLETE, None)), 2):
        p = g.answer(op)
        check(sent in (None, p.payload) and p.xactid == n, p.payload.hex())
    run.ends(0)
    check([fields(r) for r in run.replies()] == [
        (n, op, "ok", "0x00000000") for n, op in enumerate(
            ("check", "freeze", "thaw", "dm-info", "complete"), 1)],
        run.process.output())
    for r in run.replies():
        check(isinstance(r["ms"], float) and 0 <= r["ms"] < 10000, r)


@case
def negotiate_as_the_first_action_is_the_only_one():
    run = Run("negotiate", "check", "negotiate")
    g = run.guest(negotiate=False)
    for op in (NEGOTIATE, CHECK, NEGOTIATE):
        g.answer(op)
    run.ends(0)
    check([r["op"] for r in run.replies()] ==
          ["negotiate", "check", "negotiate"], run.process.output())


@case
def a_guest_that_agrees_to_nothing_fails_the_run():
    run = Run("check")
    g = run.guest(negotiate=False)
    p = g.recv()
    b = bytearray(p.reply())
    b[28:32] = bytes(4)
    g.send(p.xactid, bytes(b))
    run.ends(3, "agrees to no version")
    check(run.replies() == [], "no line for what was not asked")

    run = Run("check", options=["--timeout", "1"])
    run.guest(negotiate=False).recv()
    run.ends(4, "NEGOTIATE: no reply")


@case
def versions_that_were_not_offered_break_the_link():
    run = Run("check")
    g = run.guest(negotiate=False)
    p = g.recv()
    b = bytearray(p.reply())
    b[40] = 9
    g.send(p.xactid, bytes(b))
    run.ends(1, "not offered")


@case
def failure_is_3_silence_4_a_failed_command_5_and_the_largest_counts():
    run = Run("check", "thaw")
    g = run.guest()
    g.answer(CHECK, FAIL)
    g.answer(THAW)
    run.ends(3)
    check([fields(r) for r in run.replies()] == [
        (1, "check", "fail", "0x80004005"), (2, "thaw", "ok", "0x00000000")],
        run.process.output())

    run = Run("check", "thaw", options=["--timeout", "1"])
    g = run.guest()
    g.answer(CHECK, FAIL)
    check(g.recv().op == THAW, "THAW")
    run.ends(4)
    check(fields(run.replies()[1]) == (2, "thaw", "none", None),
          run.process.output())
    check(run.replies()[1]["ms"] >= 1000, run.process.output())

    run = Run("check", "snapshot=exit 7", "thaw", options=["--timeout", "1"])
    g = run.guest()
    g.answer(CHECK, FAIL)
    run.ends(5, "exited with 7")

    run = Run("snapshot=kill -9 $$")
    run.guest()
    run.ends(5, "died of signal 9")


@case
def lines_for_people_say_the_same():
    run = Run("check", "freeze", "hold=1", "snapshot=echo hello", "thaw",
              options=["--timeout", "1"], json=False)
    g = run.guest()
    g.answer(CHECK)
    g.answer(FREEZE, FAIL)
    check(g.recv().op == THAW, "THAW")
    text = run.ends(4)
    for line in ("1 check: ok, status 0x00000000", "2 freeze: fail, status "
                 "0x80004005", "3 hold: 1 ms", "hello", "4 snapshot: ok",
                 "5 thaw: no reply"):
        check(line in text, f"{line!r} in {text!r}")


@case
def the_commands_output_keeps_out_of_the_json():
    d = tempfile.mkdtemp(prefix="hv.")
    after(shutil.rmtree, d, True)
    run = Process(["/bin/sh", "-c", f"exec {BIN}/hv_vss_host --listen {d}/s "
                   f"--json 'snapshot=echo hello' check 2>{d}/err"])
    g = Guest(f"{d}/s")
    after(g.close)
    g.answer(NEGOTIATE)
    g.answer(CHECK)
    check(run.wait() == 0, run.output())
    check(run.output().startswith('{"n":2,"op":"check"'), run.output())
    with open(f"{d}/err", encoding="ascii") as f:
        check(f.read() == "hello\n", "its output is on standard error")


@case
def a_raw_packet_is_sent_as_it_is_and_needs_no_reply():
    odd = CHECK_BYTES + b"\1\2\3"
    run = Run("raw=0102", "raw=" + odd.hex(), "raw=", "check")
    g = run.guest()
    # Two bytes are padded to eight by the ring.
    check(g.recv(headers=False).payload == b"\1\2" + bytes(6), "padded")
    p = g.recv()
    check(p.payload == odd + bytes(5) and p.xactid == 3, p.payload.hex())
    g.send(p.xactid, p.reply(FAIL))
    check(g.recv(headers=False).payload == b"", "empty")
    g.answer(CHECK)
    run.ends(3)
    check([fields(r) for r in run.replies()] == [
        (1, "raw", "none", None), (2, "raw", "fail", "0x80004005"),
        (3, "raw", "none", None), (4, "check", "ok", "0x00000000")],
        run.process.output())
    check(900 < run.replies()[0]["ms"] < 5000, "a second is waited")


@case
def silence_to_raw_alone_is_no_error():
    run = Run("raw=00")
    run.guest()
    run.ends(0)


@case
def the_largest_message_fits_the_ring():
    big = bytearray(28 + 12500)
    big[:28] = CHECK_BYTES[:28]
    big[4:8] = (20 + 12500).to_bytes(4, "little")
    big[18:20] = (12500).to_bytes(2, "little")
    big[28] = FREEZE
    # The shell's limit of one argument is far above these 25,056 digits.
    run = Run("raw=" + big.hex(), "raw=" + big.hex())
    g = run.guest()
    for _ in range(2):
        p = g.recv()
        check(p.payload == bytes(big), "every byte")
        g.send(p.xactid, p.reply())
    run.ends(0)
    run = Run("raw=" + 20000 * "00")
    run.guest()
    run.ends(1, "do not fit the ring")


@case
def requests_sent_without_waiting_are_matched_by_their_ids():
    run = Run("check&", "freeze&", "thaw&", "wait", "check")
    g = run.guest()
    sent = [g.recv() for _ in range(3)]
    check([p.op for p in sent] == [CHECK, FREEZE, THAW], "in order")
    g.send(sent[2].xactid, sent[2].reply())
    g.send(sent[0].xactid, sent[0].reply(FAIL))
    until(lambda: len(run.replies()) == 2, "lines as replies come")
    check(not g.waiting(), "wait holds the next action back")
    g.send(sent[1].xactid, sent[1].reply())
    g.answer(CHECK)
    run.ends(3)
    check([fields(r)[:3] for r in run.replies()] == [
        (3, "thaw", "ok"), (1, "check", "fail"), (2, "freeze", "ok"),
        (5, "check", "ok")], run.process.output())


@case
def what_is_still_awaited_at_the_end_is_collected():
    run = Run("check&", options=["--timeout", "5"])
    g = run.guest()
    p = g.recv()
    check(run.process.alive(), "it waits")
    g.send(p.xactid, p.reply())
    run.ends(0)


@case
def a_full_ring_holds_requests_back_in_order_and_loses_none():
    big = "raw=" + (CHECK_BYTES + 4000 * b"\7").hex() + "&"
    run = Run(*6 * [big], "check&", "thaw&", options=["--timeout", "20"])
    g = run.guest()
    until(lambda: g.get32(g.rx + 12) != 0, "the wish for room")
    for xactid in range(2, 10):
        p = g.recv()
        check(p.xactid == xactid, "a small one overtakes no large one")
        until(lambda: g.room() > 2 * len(p.payload), "room for the reply")
        g.send(p.xactid, p.reply())
    run.ends(0)
    check(sorted(r["n"] for r in run.replies()) == list(range(1, 9)),
          run.process.output())


@case
def what_finds_no_room_is_given_up_after_its_time():
    big = "raw=" + (CHECK_BYTES + 12000 * b"\7").hex()
    run = Run(big, big, "check", options=["--timeout", "1"])
    run.guest()
    text = run.ends(4, "could not be sent")
    check([fields(r) for r in run.replies()] == [
        (1, "raw", "none", None), (2, "raw", "none", None),
        (3, "check", "none", None)], text)
    check(text.count("could not be sent") == 1,
          "CHECK, which is small, was sent: " + text)


@case
def those_behind_what_finds_no_room_are_not_kept_longer():
    big = "raw=" + (CHECK_BYTES + 4000 * b"\7").hex() + "&"
    began = time.monotonic()
    run = Run(*6 * [big], options=["--timeout", "2"])
    run.guest()
    run.ends(4, "could not be sent")
    check(time.monotonic() - began < 4, "all of them at once")
    check(sorted(r["n"] for r in run.replies()) == list(range(1, 7)),
          run.process.output())


@case
def silence_to_raw_is_an_error_where_it_was_never_sent():
    big = "raw=" + (CHECK_BYTES + 12000 * b"\7").hex()
    run = Run(big, big, options=["--timeout", "0.5"])
    run.guest()
    run.ends(4, "could not be sent")
    run = Run(big, big + "&", "hold=50", "rescind")
    run.guest()
    run.ends(4, "could not be sent")


@case
def what_was_given_up_unsent_cannot_be_answered():
    big = "raw=" + (CHECK_BYTES + 12000 * b"\7").hex()
    run = Run(big, big, "hold=60000", options=["--timeout", "0.5"])
    g = run.guest()
    until(lambda: len(run.replies()) == 2, "both lines")
    p = g.recv()
    g.send(p.xactid + 1, p.reply())
    run.ends(1, "answers what was not sent")


@case
def an_interrupted_run_waits_five_seconds_also_for_room():
    big = "raw=" + (CHECK_BYTES + 4000 * b"\7").hex() + "&"
    run = Run("freeze", *4 * [big], "check&", "hold=60000",
              options=["--timeout", "60"])
    g = run.guest()
    g.answer(FREEZE)
    until(lambda: g.rx_size - g.waiting() == 64, "THAW would fill the ring")
    began = time.monotonic()
    run.process.signal(signal.SIGTERM)
    run.ends(1, "interrupted")
    check(time.monotonic() - began < 8, "five seconds are enough")
    check(fields(run.replies()[-1])[1:3] == ("thaw", "none"),
          run.process.output())


@case
def a_late_reply_is_reported_and_ignored():
    run = Run("check", "hold=300", "thaw", options=["--timeout", "1"])
    g = run.guest()
    late = g.recv()
    until(lambda: run.replies(), "the line without a reply")
    g.send(late.xactid, late.reply())
    g.answer(THAW)
    run.ends(4, "a late reply to check")
    check([fields(r)[2] for r in run.replies()] == ["none", "ok"],
          run.process.output())


@case
def a_late_reply_that_comes_twice_breaks_the_link():
    run = Run("check", "hold=300", "thaw", options=["--timeout", "1"])
    g = run.guest()
    late = g.recv()
    until(lambda: run.replies(), "the line without a reply")
    g.send(late.xactid, late.reply())
    g.send(late.xactid, late.reply())
    run.ends(1, "the guest's reply to check 2 is the second one")


def breaks_the_link(spoil, words):
    """A guest that answers CHECK in a way that ends the run."""
    run = Run("check", "thaw")
    g = run.guest()
    spoil(g, g.recv())
    text = run.ends(1, words)
    check("Sanitizer" not in text, text)
    check([fields(r)[2] for r in run.replies()][:1] in (["none"], ["ok"]), text)


@case
def replies_that_no_guest_may_send_break_the_link():
    def bent(at, value):
        def spoil(g, p):
            b = bytearray(p.reply())
            b[at] = value
            g.send(p.xactid, bytes(b))
        return spoil
    breaks_the_link(bent(25, 3), "flags of a response")
    breaks_the_link(bent(25, 7), "flags of a response")
    breaks_the_link(bent(12, 2), "another type")
    breaks_the_link(bent(28, THAW), "another operation")
    breaks_the_link(bent(24, 1), "another IC transaction id")
    breaks_the_link(bent(19, 1), "claims more bytes")
    breaks_the_link(bent(4, 19), "no whole headers")
    breaks_the_link(lambda g, p: g.send(p.xactid, b""), "no whole headers")
    breaks_the_link(lambda g, p: g.send(p.xactid, p.reply()[:32]),
                    "claims more bytes")
    breaks_the_link(lambda g, p: g.send(0, p.reply()), "answers no request")
    breaks_the_link(lambda g, p: g.send(2 ** 63, p.reply()),
                    "answers no request")

    def twice(g, p):
        g.send(p.xactid, p.reply())
        g.send(p.xactid, p.reply())
    breaks_the_link(twice, "second one")


@case
def a_corrupt_ring_breaks_the_link():
    def index(at, value):
        def spoil(g, _):
            g.put32(at, value)
            g.kick()
        return spoil
    for value in (0xFFFFFFFF, 4 * 4096, 4, 8):
        breaks_the_link(index(0, value), "corrupted its ring")
    breaks_the_link(lambda g, p: g.send(p.xactid, p.reply(), kind=0x55),
                    "corrupted its ring")
    breaks_the_link(lambda g, p: g.send(p.xactid, p.reply(), flags=0x8000),
                    "corrupted its ring")
    breaks_the_link(lambda g, p: g.send(p.xactid, p.reply(), length8=0xFFFF),
                    "corrupted its ring")
    breaks_the_link(lambda g, p: g.send(p.xactid, p.reply(), length8=1),
                    "corrupted its ring")
    breaks_the_link(lambda g, p: g.send(p.xactid, p.reply(), offset8=0),
                    "corrupted its ring")
    breaks_the_link(lambda g, p: g.send(p.xactid, p.reply(), kind=11),
                    "packet of type 11")
    breaks_the_link(lambda g, p: g.send(p.xactid, bytes(14000)),
                    "packet of 14000 bytes")

    def host_ring(g, p):
        g.put32(g.rx + 4, 0x12345)
        g.send(p.xactid, p.reply())
    breaks_the_link(host_ring, "corrupted the host's ring")


@case
def words_on_the_socket_break_the_link():
    breaks_the_link(lambda g, p: g.sock.send(b"hello"), "where none belongs")


@case
def a_guest_that_dies_is_reported_at_once():
    began = time.monotonic()
    breaks_the_link(lambda g, p: g.close(), "the guest closed the connection")

    run = Run("check", "hold=60000", "thaw")
    g = run.guest()
    g.answer(CHECK)
    run.reply("check")
    g.close()
    run.ends(1, "the guest closed the connection")

    run = Run("freeze", "snapshot=echo running; exec sleep 60", "thaw")
    g = run.guest()
    g.answer(FREEZE)
    run.process.says("running")
    g.close()
    run.ends(1, "the guest closed the connection")
    check(time.monotonic() - began < 15, "nothing was waited for")


@case
def a_reply_that_was_there_when_the_guest_died_counts():
    run = Run("check", "thaw")
    g = run.guest()
    p = g.recv()
    os.kill(run.process.pid, signal.SIGSTOP)
    g.send(p.xactid, p.reply())
    g.close()
    os.kill(run.process.pid, signal.SIGCONT)
    run.ends(1)
    check(fields(run.replies()[0])[2] == "ok", run.process.output())


@case
def a_guest_may_leave_when_its_last_reply_is_there():
    for _ in range(20):
        run = Run("check")
        g = run.guest()
        p = g.recv()
        os.kill(run.process.pid, signal.SIGSTOP)
        g.send(p.xactid, p.reply())
        g.close()
        os.kill(run.process.pid, signal.SIGCONT)
        run.ends(0)


@case
def a_guest_that_never_opens_is_waited_for_no_longer_than_said():
    run = Run("check", options=["--wait", "0.3"])
    g = run.guest(negotiate=False, open=False)
    run.ends(1, "did not open the channel")
    g.take_hello()  # it had been sent
    check(g.closed(), "the link is closed")


@case
def who_leaves_or_lies_before_opening_makes_room_for_the_next():
    run = Run("check")
    run.guest(negotiate=False, open=False).close()
    liar = run.guest(negotiate=False, open=False)
    liar.take_hello()
    liar.sock.send(b"opened, honestly")
    try:
        check(liar.closed(), "a liar is sent away")
    finally:
        liar.close()
    run.guest().answer(CHECK)
    run.ends(0)


@case
def rescind_closes_the_link_and_the_next_request_offers_it_anew():
    run = Run("check", "rescind", "check", "rescind")
    g = run.guest()
    g.answer(CHECK)
    check(g.closed(), "the link is closed")
    g.close()
    g = run.guest()
    g.answer(CHECK)
    check(g.closed(), "the link is closed again")
    run.ends(0)
    check([r["n"] for r in run.replies()] == [1, 3], run.process.output())


@case
def after_rescind_negotiate_may_be_the_first_action_again():
    run = Run("rescind", "negotiate", "check")
    g = run.guest()
    check(g.closed(), "the link is closed")
    g = run.guest(negotiate=False)
    g.answer(NEGOTIATE)
    g.answer(CHECK)
    run.ends(0)


@case
def what_was_asked_before_a_rescind_is_not_answered_after_it():
    run = Run("freeze&", "hold=50", "rescind", "thaw")
    g = run.guest()
    old = g.recv()
    check(g.closed(), "the link is closed")
    g = run.guest()
    check(run.reply("freeze")["reply"] == "none", run.process.output())
    check(g.recv().op == THAW, "THAW")
    g.send(old.xactid, old.reply())
    run.ends(1, "before the rescind")


@case
def hold_does_nothing_for_its_time():
    run = Run("check", "hold=250", "thaw")
    g = run.guest()
    g.answer(CHECK)
    began = time.monotonic()
    g.answer(THAW)
    # The clock was started after CHECK's reply was sent, thus a margin.
    check(time.monotonic() - began > 0.2, "the time passed")
    run.ends(0)
    check(len(run.replies()) == 2, "a line for each request alone")


@case
def a_checkpoint_is_check_freeze_command_thaw_complete():
    d = tempfile.mkdtemp(prefix="hv.")
    after(shutil.rmtree, d, True)
    run = Run(f"checkpoint=touch {d}/copy")
    g = run.guest()
    g.answer(CHECK)
    p = g.recv()
    check(p.op == FREEZE and not os.listdir(d), "not before FREEZE succeeded")
    g.send(p.xactid, p.reply())
    p = g.recv()
    check(p.op == THAW and os.listdir(d), "the command ran before THAW")
    g.send(p.xactid, p.reply())
    g.answer(COMPLETE)
    run.ends(0)
    check([fields(r)[:2] for r in run.replies()] == [
        (1, "check"), (1, "freeze"), (1, "thaw"), (1, "complete")],
        run.process.output())


@case
def a_checkpoint_whose_freeze_fails_runs_nothing_and_thaws():
    d = tempfile.mkdtemp(prefix="hv.")
    after(shutil.rmtree, d, True)
    for status in (FAIL, None):
        run = Run(f"checkpoint=touch {d}/copy", options=["--timeout", "1"])
        g = run.guest()
        g.answer(CHECK)
        p = g.recv()
        if status is not None:
            g.send(p.xactid, p.reply(status))
        g.answer(THAW)
        g.answer(COMPLETE)
        run.ends(3 if status else 4)
        check(not os.listdir(d), "the command did not run")


@case
def a_checkpoint_whose_command_fails_thaws_and_says_5():
    run = Run("checkpoint=false")
    g = run.guest()
    for op in (CHECK, FREEZE, THAW, COMPLETE):
        g.answer(op)
    run.ends(5)


@case
def an_interrupted_hold_is_thawed_first():
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # Where the tests run in the background it may be ignored.
        signal.signal(sig, signal.default_int_handler)
        run = Run("freeze", "hold=60000", "thaw")
        g = run.guest()
        g.answer(FREEZE)
        run.reply("freeze")
        run.process.signal(sig)
        g.answer(THAW)
        run.ends(1, "interrupted by " + sig.name)
        check(fields(run.replies()[-1])[1:3] == ("thaw", "ok"),
              run.process.output())


@case
def an_interrupted_snapshot_is_thawed_and_its_command_ended():
    d = tempfile.mkdtemp(prefix="hv.")
    after(shutil.rmtree, d, True)
    run = Run(f"checkpoint=sleep 60 & echo $! >{d}/pid; echo running; wait")
    g = run.guest()
    g.answer(CHECK)
    g.answer(FREEZE)
    run.process.says("running")
    run.process.signal(signal.SIGTERM)
    g.answer(THAW)
    run.ends(1, "interrupted")
    with open(f"{d}/pid", encoding="ascii") as f:
        pid = int(f.read())
    until(lambda: pid not in hvtest.pids_of("sleep"), "the end of its child")


@case
def an_interrupted_run_with_nothing_frozen_just_ends():
    run = Run("freeze", "thaw", "hold=60000")
    g = run.guest()
    g.answer(FREEZE)
    g.answer(THAW)
    run.reply("thaw")
    run.process.signal(signal.SIGTERM)
    run.ends(1, "interrupted")
    check(not g.waiting(), "nothing was sent")
    try:
        g.recv(1)
    except Gone:
        pass


@case
def a_freeze_under_way_is_thawed_when_the_run_is_interrupted():
    run = Run("freeze")
    g = run.guest()
    freeze = g.recv()
    run.process.signal(signal.SIGTERM)
    thaw = g.recv()
    check(thaw.op == THAW, "THAW")
    g.send(freeze.xactid, freeze.reply(FAIL))
    g.send(thaw.xactid, thaw.reply())
    run.ends(1)


def interrupted(run, g, frozen):
    """SIGTERM during its hold, after which THAW is sent or nothing."""
    run.process.signal(signal.SIGTERM)
    if frozen:
        g.answer(THAW)
    run.ends(1, "interrupted")
    check(frozen or not g.waiting(), "nothing was sent")


@case
def a_second_freeze_that_is_refused_leaves_the_first_to_be_thawed():
    run = Run("freeze", "freeze", "hold=60000", "thaw")
    g = run.guest()
    g.answer(FREEZE)
    g.answer(FREEZE, FAIL)
    until(lambda: len(run.replies()) == 2, "both lines")
    interrupted(run, g, frozen=True)

    run = Run("freeze&", "freeze", "hold=60000", "thaw")
    g = run.guest()
    first = g.recv()
    g.answer(FREEZE, FAIL)
    run.reply("freeze")
    run.process.signal(signal.SIGTERM)
    p = g.recv()
    check(p.op == THAW, "THAW")
    g.send(first.xactid, first.reply())
    g.send(p.xactid, p.reply())
    run.ends(1, "interrupted")


@case
def a_freeze_that_was_refused_leaves_nothing_to_thaw():
    run = Run("freeze", "hold=60000", "thaw")
    g = run.guest()
    g.answer(FREEZE, FAIL)
    run.reply("freeze")
    interrupted(run, g, frozen=False)


@case
def a_freeze_that_is_answered_late_is_thawed():
    run = Run("freeze", "hold=60000", "thaw", options=["--timeout", "0.5"])
    g = run.guest()
    p = g.recv()
    run.reply("freeze")
    g.send(p.xactid, p.reply())
    run.process.says("a late reply")
    interrupted(run, g, frozen=True)


@case
def a_thaw_that_was_refused_or_not_answered_is_sent_again():
    for status in (FAIL, None):
        run = Run("freeze", "thaw", "hold=60000", options=["--timeout", "1"])
        g = run.guest()
        g.answer(FREEZE)
        p = g.recv()
        if status is not None:
            g.send(p.xactid, p.reply(status))
        run.reply("thaw")
        interrupted(run, g, frozen=True)


@case
def a_thaw_that_was_refused_too_late_is_sent_again():
    run = Run("freeze", "thaw", "hold=60000", options=["--timeout", "1"])
    g = run.guest()
    g.answer(FREEZE)
    p = g.recv()
    run.reply("thaw")
    g.send(p.xactid, p.reply(FAIL))
    run.process.says("a late reply to thaw")
    interrupted(run, g, frozen=True)


@case
def a_raw_freeze_is_thawed_too_unless_a_raw_thaw_was_sent():
    thaw = CHECK_BYTES[:28] + b"\6" + CHECK_BYTES[29:]
    for raws in ([FREEZE_BYTES], [FREEZE_BYTES, thaw], [CHECK_BYTES]):
        run = Run(*("raw=" + b.hex() for b in raws), "hold=60000")
        g = run.guest()
        for _ in raws:
            g.answer()
        until(lambda: len(run.replies()) == len(raws), "the lines")
        interrupted(run, g, frozen=raws == [FREEZE_BYTES])


@case
def what_was_frozen_before_a_rescind_is_not_thawed_after_it():
    run = Run("freeze", "rescind", "check", "hold=60000")
    g = run.guest()
    g.answer(FREEZE)
    check(g.closed(), "the link is closed")
    g = run.guest()
    g.answer(CHECK)
    run.reply("check")
    interrupted(run, g, frozen=False)


@case
def a_signal_that_was_ignored_from_the_beginning_stays_ignored():
    d = tempfile.mkdtemp(prefix="hv.")
    after(shutil.rmtree, d, True)
    run = Process(["env", "--ignore-signal=HUP", f"{BIN}/hv_vss_host",
                   "--listen", f"{d}/s", "--json", "check", "thaw"])
    g = Guest(f"{d}/s")
    after(g.close)
    g.answer(NEGOTIATE)
    g.answer(CHECK)
    run.says('"check"')
    run.signal(signal.SIGHUP)
    g.answer(THAW)
    check(run.wait() == 0, run.output())


@case
def the_commands_end_is_noticed_by_who_was_told_to_ignore_it():
    d = tempfile.mkdtemp(prefix="hv.")
    after(shutil.rmtree, d, True)
    run = Process(["env", "--ignore-signal=CHLD", f"{BIN}/hv_vss_host",
                   "--listen", f"{d}/s", "snapshot=exit 3", "check"])
    g = Guest(f"{d}/s")
    after(g.close)
    g.answer(NEGOTIATE)
    g.answer(CHECK)
    check(run.wait() == 5 and "exited with 3" in run.output(), run.output())


@case
def a_full_standard_output_is_an_error():
    d = tempfile.mkdtemp(prefix="hv.")
    after(shutil.rmtree, d, True)
    run = Process(["/bin/sh", "-c", f"exec {BIN}/hv_vss_host --listen {d}/s "
                   "--json check 2>&1 >/dev/full"])
    g = Guest(f"{d}/s")
    after(g.close)
    g.answer(NEGOTIATE)
    g.answer(CHECK)
    check(run.wait() == 1 and "standard output" in run.output(), run.output())


hvtest.main()
