#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
# isoroot: --bound 150
"""libhv_vss with the running driver: callbacks and answers, limits, and that one
resume follows each quiesce whatever becomes of the host, the driver or itself.  A
stand-in for the freeze daemon answers at once; nothing is frozen."""

import ctypes
import importlib.util
import os
import signal
import subprocess
import tempfile
import time

import hvtest
from hvtest import BUILD, Machine, Process, case, check, skip, until
from partlib import FsStandIn, replies

PART = f"{BUILD}/tests/libpart"
NOBODY = 65534


class Part:
    """A participant that does what it is told (libpart.c)."""

    def __init__(self, device, *options):
        self.process = Process([PART, device, *options], stdin=subprocess.PIPE)

    def lines(self):
        return [s.split(" ")[0] for s in self.process.output().splitlines()]

    def count(self, word):
        return self.lines().count(word)

    def callbacks(self):
        return [w for w in self.lines()
                if w in ("check", "prepare", "quiesce", "resume", "cancel")]

    def until(self, word, times=1, seconds=15):
        until(lambda: self.count(word) >= times, f"{word} {times} times",
              seconds)

    def links(self):
        """How often it has found the driver."""
        return self.process.output().count("link 0 ")

    def order(self, text):
        """Gives an order and waits until it was obeyed."""
        before = self.count("done")
        self.process.popen.stdin.write(f"{text}\n".encode())
        self.process.popen.stdin.flush()
        self.until("done", before + 1)

    def close(self):
        """Its exit status."""
        self.process.popen.stdin.close()
        return self.process.wait()

    def is_even(self, quiesces):
        """One resume for each quiesce, in turn, and nothing was wrong."""
        turns = [w for w in self.lines() if w in ("quiesce", "resume")]
        check(turns == ["quiesce", "resume"] * quiesces, turns)
        check("WRONG" not in self.process.output(), "nothing went wrong")


class Guest:
    def __init__(self, *options, **sets):
        self.machine = Machine(**sets)
        self.machine.start_driver()
        self.stand_in = FsStandIn(self.machine)
        self.part = Part(self.machine.app_dev, *options)
        self.part.process.says("link 0")

    def restart_driver(self):
        """A successor of one that was killed, which the participant finds."""
        links = self.part.links()
        self.stand_in.end()
        self.machine.start_driver()
        self.stand_in = FsStandIn(self.machine)
        until(lambda: self.part.links() > links, "it takes part again")

    def hold(self, ms=60000):
        """A host that has frozen and holds."""
        host = self.machine.host("freeze", f"hold={ms}", "thaw")
        reply = host.reply("freeze")
        check(reply["reply"] == "ok", f"FREEZE: {reply}")
        return host

    def asked_to_quiesce(self):
        """A host whose FREEZE waits for the answer to quiesce."""
        self.part.order("later")
        host = self.machine.host("freeze")
        self.part.until("prepare")
        self.part.order("yes")
        self.part.until("quiesce")
        return host

    def back_up(self):
        status, got = replies(self.machine.host("checkpoint=true"))
        check(status == 0, f"a backup: {status} {got}")


ALL = ["check", "prepare", "quiesce", "resume"]


@case
def a_backup_goes_through_all_callbacks():
    guest = Guest()
    guest.back_up()
    check(guest.part.callbacks() == ALL, guest.part.callbacks())
    line = next(s for s in guest.part.process.output().splitlines()
                if s.startswith("quiesce"))
    left, hold = (int(s.split("=")[1]) for s in line.split()[1:])
    check(5000 < left <= 10000 and hold == 60000, line)
    check(guest.part.close() == 0, "exit status")


@case
def a_loop_of_ones_own_does_as_well():
    guest = Guest("poll", "name=front", "level=0")
    for _ in range(3):
        guest.back_up()
    check(guest.part.callbacks() == ALL * 3, guest.part.callbacks())
    guest.part.is_even(3)


@case
def a_refusal_reaches_the_administrator_and_is_resumed():
    guest = Guest("name=till")
    guest.part.order("refuse the till is open")
    status, got = replies(guest.machine.host("check", "freeze", "thaw"))
    check(status == 3 and got == {"check": "fail", "freeze": "fail",
                                  "thaw": "ok"}, f"{status} {got}")
    guest.machine.driver.says('till')
    guest.machine.driver.says('refused: "the till is open"')
    guest.part.order("now")
    guest.back_up()
    check(guest.part.callbacks() == ["check", "prepare"] + ALL,
          guest.part.callbacks())


@case
def a_refused_quiesce_is_resumed():
    guest = Guest()
    host = guest.asked_to_quiesce()
    guest.part.order("no no room")
    check(replies(host)[1] == {"freeze": "fail"}, "FREEZE is FAIL")
    guest.machine.driver.says("no room")
    guest.part.until("resume")
    guest.part.is_even(1)


@case
def answers_come_from_another_thread():
    guest = Guest("poll")
    guest.part.order("later")
    host = guest.machine.host("checkpoint=true")
    for word in ("check", "prepare", "quiesce"):
        guest.part.until(word)
        guest.part.order("yes")
    status, got = replies(host)
    check(status == 0, f"{status} {got}")
    guest.part.is_even(1)


@case
def a_late_answer_is_cancelled_and_resumed_after_it():
    guest = Guest(quiesce=1)
    guest.part.order("later")
    host = guest.machine.host("freeze", "thaw")
    guest.part.until("prepare")
    guest.part.order("yes")
    check(replies(host)[1]["freeze"] == "fail", "FREEZE is FAIL")
    guest.part.until("cancel")
    check(guest.part.count("resume") == 0, "resume waits for the answer")
    guest.part.order("yes")
    guest.part.until("resume")
    guest.part.order("yes")
    guest.part.order("now")
    until(lambda: replies(guest.machine.host("thaw"))[1]["thaw"] == "ok",
          "what was undone is over")
    guest.back_up()
    guest.part.is_even(2)


@case
def who_could_not_stay_quiesced_says_so():
    guest = Guest()
    host = guest.hold(2000)
    guest.part.order("no disk full")
    guest.part.until("resume")
    check(replies(host)[1]["thaw"] == "fail", "THAW is FAIL")
    guest.machine.driver.says("disk full")
    guest.back_up()
    guest.part.is_even(2)


@case
def a_driver_killed_at_each_step_is_found_again():
    guest = Guest()
    for step in ("check", "prepare", "quiesce", "hold", "resume"):
        guest.part.order("later")
        before = {w: guest.part.count(w) for w in ALL}
        host = guest.machine.host(*(["check"] if step == "check" else
                                    ["freeze", "thaw"] if step == "resume"
                                    else ["freeze"]))
        for word in ("check",) if step == "check" else ("prepare", "quiesce"):
            guest.part.until(word, before[word] + 1)
            if word == step:
                break
            guest.part.order("now" if word == "quiesce" else "later")
            guest.part.order("yes")
        if step in ("hold", "resume"):
            host.reply("freeze")
        links = guest.part.count("link")
        guest.machine.driver.kill()
        host.process.kill()
        guest.part.until("link", links + 1)
        guest.part.order("yes")
        guest.part.order("now")
        until(lambda: guest.part.count("resume") ==
              guest.part.count("quiesce"), "it goes on")
        guest.restart_driver()
        guest.back_up()
    guest.part.is_even(guest.part.count("quiesce"))
    check(guest.part.count("quiesce") == 8, guest.part.lines())


@case
def a_host_that_goes_silent_or_away_does_not_keep_it_quiesced():
    guest = Guest(hold=1)
    host = guest.hold()
    guest.part.until("resume")
    host.process.kill()
    host.process.wait()
    until(lambda: replies(guest.machine.host("complete"))[0] == 0, "idle")
    host = guest.hold()
    host.process.kill()
    guest.part.until("resume", 2)
    guest.part.is_even(2)


@case
def its_own_longest_hold_ends_it_and_the_backup_fails():
    guest = Guest("hold=300")
    host = guest.hold(2000)
    guest.part.until("resume")
    check(replies(host)[1]["thaw"] == "fail", "THAW is FAIL")
    guest.machine.driver.says("the longest hold had passed")
    guest.part.is_even(1)


def timer_s(part):
    """In how many seconds a participant looks at the time again."""
    fdinfo = f"/proc/{part.process.pid}/fdinfo"
    for fd in os.listdir(fdinfo):
        with open(f"{fdinfo}/{fd}", encoding="ascii") as f:
            for line in f:
                if line.startswith("it_value: ("):
                    return int(line.split("(")[1].split(",")[0])
    return None


@case
def without_a_bound_of_its_own_it_outlasts_any_freeze_that_is_allowed():
    guest = Guest(freeze=900, fs=800, hold=900)
    host = guest.hold(1500)
    seconds = timer_s(guest.part)
    check(890 + 900 <= seconds < 1800, f"it goes on after {seconds} s")
    check(replies(host) == (0, {"freeze": "ok", "thaw": "ok"}), "it held")


@case
def a_driver_that_is_stopped_does_not_keep_it_quiesced():
    for loop in ((), ("poll",)):
        guest = Guest("hold=700", *loop)
        host = guest.hold(2000)
        guest.machine.driver.signal(signal.SIGSTOP)
        guest.part.until("resume")
        guest.machine.driver.signal(signal.SIGCONT)
        check(replies(host)[1]["thaw"] == "fail", "THAW is FAIL")
        guest.part.is_even(1)


@case
def a_child_is_refused_and_disturbs_nothing():
    guest = Guest()
    guest.part.order("fork")
    guest.back_up()
    host = guest.hold(1500)
    guest.part.order("fork")
    check(guest.part.process.output().count("child 0") == 2,
          "all but close is EPERM in a child")
    check(replies(host) == (0, {"freeze": "ok", "thaw": "ok"}), "it held")
    links = guest.part.count("link")
    guest.machine.driver.kill()
    guest.part.until("link", links + 1)
    guest.restart_driver()
    guest.back_up()
    guest.part.is_even(3)


@case
def a_driver_without_extensions_does():
    guest = Guest("plain")
    check("link 0 extended=0" in guest.part.process.output(), "it is plain")
    guest.back_up()
    guest.part.process.says("quiesce left=8000 hold=60000")
    guest.part.order("refuse no")
    check(replies(guest.machine.host("freeze"))[1]["freeze"] == "fail",
          "a refusal")
    guest.part.order("now")
    guest.part.until("resume", 2)
    host = guest.hold()
    guest.machine.driver.kill()
    host.process.kill()
    guest.part.until("resume", 3)
    guest.restart_driver()
    guest.back_up()
    check("prepare" not in guest.part.lines(), "there is no prepare")
    guest.part.is_even(4)


@case
def closing_in_a_hold_resumes_and_the_host_hears_of_it():
    guest = Guest()
    host = guest.hold(1500)
    check(guest.part.close() == 0, "exit status")
    check(guest.part.lines()[-2:] == ["resume", "closed"], guest.part.lines())
    check(replies(host)[1]["thaw"] == "fail", "THAW is FAIL")
    guest.machine.driver.says("it left while at rest")


@case
def closing_while_an_answer_is_owed_cancels_it_and_resumes_too():
    guest = Guest()
    host = guest.asked_to_quiesce()
    check(guest.part.close() == 0, "exit status")
    check(replies(host)[1]["freeze"] == "fail", "FREEZE is FAIL")
    check(guest.part.lines()[-3:] == ["cancel", "resume", "closed"],
          guest.part.lines())
    guest.part.is_even(1)


@case
def what_is_quiesced_while_it_closes_is_resumed_after_that():
    guest = Guest()
    host = guest.asked_to_quiesce()
    guest.part.order("join")
    check(guest.part.close() == 0, "exit status")
    check(replies(host)[1]["freeze"] == "fail", "FREEZE is FAIL")
    guest.machine.driver.says("it left")
    check(guest.part.lines()[-3:] == ["cancel", "resume", "closed"],
          guest.part.lines())
    guest.part.is_even(1)


@case
def resume_is_told_that_closing_waits_for_no_answer():
    guest = Guest()
    host = guest.hold(1500)
    guest.part.order("later")
    check(guest.part.close() == 0, "exit status")
    check("resume left=0\n" in guest.part.process.output(), "no later answer")
    check(replies(host)[1]["thaw"] == "fail", "THAW is FAIL")
    guest.part.is_even(1)


@case
def a_driver_that_is_stopped_does_not_hold_up_who_closes():
    release = tuple(int(n) for n in os.uname().release.split(".")[:2])
    if release < (5, 16) or ctypes.CDLL("libfuse3.so.3").fuse_version() < 311:
        skip("closing waits for the driver with this kernel or libfuse")
    guest = Guest()
    guest.machine.driver.signal(signal.SIGSTOP)
    check(guest.part.close() == 0, "exit status")
    guest.machine.driver.signal(signal.SIGCONT)


@case
def without_a_driver_it_waits_and_costs_nothing():
    machine = Machine()
    part = Part(machine.app_dev)
    part.process.says("link 2")
    time.sleep(2)
    with open(f"/proc/{part.process.pid}/stat", encoding="ascii") as f:
        ticks = sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13]))
    check(ticks <= 5, f"{ticks} ticks of CPU time")
    machine.start_driver()
    part.process.says("link 0")
    check(part.close() == 0, "exit status")


@case
def what_no_waiting_mends_is_an_error_at_once():
    guest = Guest()
    device = guest.machine.app_dev
    for options, error in ((["name="], 22), (["name=" + "x" * 32], 22),
                           (["name=caf\u00e9"], 22), (["level=100"], 22)):
        status, out, _ = hvtest.run([PART, device, *options])
        check(status == 2 and out == f"open {error}\n", f"{options}: {out}")
    os.chmod(guest.machine.dir, 0o755)
    status, out, _ = hvtest.run(["setpriv", f"--reuid={NOBODY}",
                                 f"--regid={NOBODY}", "--clear-groups", PART, device])
    check(status == 2 and out == "open 13\n", out)


def example(*argv, device=(), counts=True):
    """Backups that an example takes part in, with a copy taken in the hold."""
    machine = Machine()
    machine.start_driver()
    FsStandIn(machine)
    path = tempfile.mktemp(prefix="ledger.", dir="/run")
    part = Process([*argv, path, machine.app_dev, *device])
    until(lambda: replies(machine.host("checkpoint=true"))[0] == 0 and
          "goes on" in part.output(), "it takes part")
    status, got = replies(machine.host(
        "freeze", "hold=300", f"snapshot=cp {path} {path}.copy", "thaw"))
    check(status == 0, f"{status} {got}")
    until(lambda: part.output().count("goes on") >= 2, "it goes on")
    if not counts:
        return
    with open(path + ".copy", encoding="ascii") as f:
        lines = len(f.read().splitlines())
    said = [s for s in part.output().splitlines() if "at rest" in s]
    check(said[-1] == f"at rest with {lines} lines", f"{lines}, {said}")
    size = os.stat(path).st_size
    until(lambda: os.stat(path).st_size > size, "it writes again")
    check(part.end() == 0, "exit status")


@case
def the_example_in_c_takes_part():
    example(f"{BUILD}/tests/participant")


@case
def the_example_of_the_manual_page_takes_part():
    example(f"{BUILD}/tests/libhv_vss_example", counts=False)


LIBRARY = f"{BUILD}/lib/libhv_vss.so.1"


def plain_library(who):
    with open(LIBRARY, "rb") as f:
        text = f.read()
    if b"__asan_init" in text or b"__tsan_init" in text:
        hvtest.skip(f"{who} cannot load a library with sanitizers")


def built(language, package):
    """The example in a language whose compiler need not be here."""
    path = f"{BUILD}/tests/participant_{language}"
    if not os.path.exists(path):
        hvtest.skip(f"no compiler for it was there (apt-get install {package})")
    return path


@case
def the_example_in_cplusplus_takes_part():
    example(built("cc", "g++"))


@case
def whatever_a_callback_in_cplusplus_throws_is_an_answer():
    status, _, err = hvtest.run([built("cc_throws", "g++")])
    check(status == 0, f"{status} {err}")


@case
def the_example_in_go_takes_part():
    plain_library("Go")
    example(built("go", "golang-go"))


@case
def the_example_in_rust_takes_part():
    plain_library("Rust")
    example(built("rs", "rustc"))


def raises(error):
    def function(_request):
        raise error
    return function


class Unspeakable(Exception):
    def __str__(self):
        raise ValueError


@case
def whatever_becomes_of_a_callback_in_python_is_an_answer():
    path = f"{BUILD}/tests/participant.py"
    spec = importlib.util.spec_from_file_location("participant", path)
    example_py = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example_py)
    reasons = []

    class Library:
        @staticmethod
        def hv_vss_not_now(_v, reason):
            reasons.append(reason)
            return example_py.NO
    part = object.__new__(example_py.Participant)
    part.lib = Library
    request = example_py.Request()
    for function, answer, reason in (
            (lambda r: example_py.YES, 0, None),
            (lambda r: example_py.NO, 1, None),
            (lambda r: example_py.LATER, 2, None),
            (lambda r: "the till is open", 1, b"the till is open"),
            (lambda r: "\udc80", 1, b"?"),
            (lambda r: None, 1, None), (lambda r: True, 1, None),
            (lambda r: False, 1, None), (lambda r: 0.0, 1, None),
            (lambda r: 2 ** 40, 1, None),
            (raises(ValueError("no")), 1, b"ValueError: no"),
            (raises(KeyboardInterrupt()), 1, b"KeyboardInterrupt"),
            (raises(SystemExit(3)), 1, b"SystemExit: 3"),
            (raises(Unspeakable()), 1, b"")):
        reasons.clear()
        got = part._callback(function)(None, request, None)
        check(got == answer, f"{answer}, {reason}: {got}")
        check(reason is None or reasons and reason in reasons[0],
              f"{reason}: {reasons}")
    status, _, err = hvtest.run(["/usr/bin/python3", path])
    check(status == 1 and err.startswith("usage: "), err)


@case
def the_example_in_python_takes_part():
    plain_library("Python")
    example("/usr/bin/python3", f"{BUILD}/tests/participant.py",
            device=[LIBRARY])


hvtest.main()
