#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
# isoroot: --fs ext4:256M,xfs:320M --bound 120
"""A checkpoint that hv_vssctl test asks for: like one of the host's, and ended
at once by the host, by whoever asked, and by all that ends one."""

import json
import os
import signal
import socket
import time

import hvtest
from hvtest import (BIN, CHECK, FAIL, FREEZE, SUCCESS, THAW, Device, Machine,
                    Process, Writer, case, check, is_frozen, until)


def guest(**sets):
    m = Machine(**sets)
    m.start_driver()
    m.start_daemon()
    return m


def status(m):
    _, out, _ = m.ctl("status", "--json")
    return json.loads(out)


def last(m):
    return until(lambda: status(m)["checkpoints"], "a checkpoint")[-1]


def begin(m, hold=10):
    """A test, as a process, that holds."""
    p = Process([f"{BIN}/hv_vssctl", "test", "--yes", "--json", "--hold",
                 str(hold), *hvtest._options(m.where)])
    p.says('{"step":"hold"}')
    return p


@case
def a_test_freezes_and_thaws_as_the_host_would():
    m = guest()
    app = Device(m.app_dev)
    app.poll(0)
    p = Process([f"{BIN}/hv_vssctl", "test", "--yes", "--hold", "1",
                 *hvtest._options(m.where)])
    app.answer(opt=CHECK)
    app.answer(opt=FREEZE)
    until(lambda: status(m)["state"] == "HOLDING", "the hold")
    check(is_frozen("/mnt/ext4") and is_frozen("/mnt/xfs"), "frozen")
    check(status(m)["test"], "status says that it is a test")
    app.answer(opt=THAW)
    check(p.wait() == 0 and "ok" in p.output(), p.output())
    got = last(m)
    check(got["test"] and got["outcome"] == "ok" and
          got["consistency"] == "application" and got["hold_ms"] >= 1000, got)
    m.driver.says("test: ok, application consistent")
    until(lambda: "test" in m.ctl("history")[1], "the history has it")
    _, out, _ = m.ctl("history", "-v")
    check("  the test asked\n" in out and "the host asked" not in out, out)


@case
def without_a_host_it_works_as_well_and_twice():
    m = guest()
    for _ in range(2):
        code, out, err = m.ctl("test", "--yes", "--json")
        steps = [json.loads(line) for line in out.splitlines()]
        check(code == 0 and [s.get("step") for s in steps] ==
              ["check", "freeze", "hold", "thaw", None], out + err)


@case
def a_refusal_is_the_result_with_its_reason():
    m = guest()
    app = Device(m.app_dev)
    app.poll(0)
    p = Process([f"{BIN}/hv_vssctl", "test", "--yes",
                 *hvtest._options(m.where)])
    app.answer(opt=CHECK)
    app.answer(FAIL, FREEZE)
    check(p.wait() == 2 and "refused" in p.output(), p.output())
    check(last(m)["reason"]["cause"] == "refused", last(m))


@case
def without_a_daemon_it_says_so():
    m = Machine()
    m.start_driver()
    code, out, _ = m.ctl("test", "--yes")
    check(code == 2 and "start hv_vss_daemon" in out, out)


@case
def a_host_that_wants_a_backup_gets_it_and_the_test_is_called_off():
    m = guest()
    writer = Writer("/mnt/xfs")
    for ops in (["check", "freeze", "thaw"], ["freeze", "thaw"],
                ["negotiate", "check", "freeze", "thaw"]):
        p = begin(m)
        check(writer.stands_still(), "frozen")
        host = m.host(*ops)
        code, replies = host.wait()
        check(code == 0, f"the host's {ops}: {replies}")
        check(p.wait() == 3, f"called off: {p.output()}")
        writer.progresses()
    got = status(m)
    tests = [c for c in got["checkpoints"] if c["test"]]
    hosts = [c for c in got["checkpoints"] if not c["test"]]
    check(len(tests) == 3 and len(hosts) == 3, (len(tests), len(hosts)))
    check(all(c["reason"]["cause"] == "cancelled" for c in tests), tests)
    check(all(c["outcome"] == "ok" for c in hosts), hosts)


@case
def a_thaw_of_the_host_out_of_the_blue_ends_a_test():
    m = guest()
    p = begin(m)
    m.host("thaw").wait()
    check(p.wait() == 3, p.output())
    until(lambda: status(m)["state"] == "IDLE", "idle")
    check(m.host("check", "freeze", "thaw").wait()[0] == 0, "a backup after it")


@case
def whoever_asked_ends_it_by_leaving():
    m = guest()
    writer = Writer("/mnt/ext4")
    for sig in (signal.SIGINT, signal.SIGKILL):
        p = begin(m)
        check(writer.stands_still(), "frozen")
        p.signal(sig)
        writer.progresses(2)
        p.wait()
        until(lambda: status(m)["state"] == "IDLE" and not status(m)["lost"],
              "idle, and nothing is lost")
    check(m.ctl("test", "--yes")[0] == 0, "another test")
    check(m.host("thaw").wait()[0] == 0, "the host was not told of it")


@case
def a_hold_of_the_host_that_was_lost_is_not_made_forgotten():
    m = guest(hold=1)
    host = m.host("freeze", "hold=3000", "thaw")
    until(lambda: status(m)["lost"] and status(m)["state"] == "IDLE", "LOST")
    code, _, err = m.ctl("test", "--yes")
    check(code == 1 and "the host has still to be told" in err, err)
    check(host.wait()[0] == 3, "its THAW fails")


@case
def while_a_backup_is_under_way_there_is_no_test():
    m = guest()
    host = m.host("freeze", "hold=60000", "thaw")
    host.reply("freeze")
    code, _, err = m.ctl("test", "--yes")
    check(code == 1 and "a backup is under way" in err, err)
    check(status(m)["state"] == "HOLDING", "it goes on")


@case
def there_is_one_test_at_a_time():
    m = guest()
    begin(m)
    code, _, err = m.ctl("test", "--yes")
    check(code == 1 and "another test" in err, err)
    check(status(m)["state"] == "HOLDING", "the first goes on")


@case
def only_root_may_test_and_only_who_says_yes():
    m = guest(status_mode="0666")
    code, _, err = m.ctl("test")
    check(code == 1 and "--yes" in err, err)
    os.chmod(m.dir, 0o755)
    os.chmod(m.dir + "/run", 0o755)
    pid = os.fork()
    if pid == 0:
        try:
            os.setgid(65534)
            os.setuid(65534)
            s = socket.socket(socket.AF_UNIX)
            s.connect(m.dir + "/run/status.sock")
            s.sendall(b"test 0\n")
            os._exit(0 if b"only root" in s.recv(1000) else 1)
        finally:
            os._exit(2)
    check(os.waitpid(pid, 0)[1] == 0, "another user may not")
    check(not status(m)["checkpoints"], "and there was none")


@case
def a_client_that_lets_go_makes_it_fail():
    m = guest()
    app = Device(m.app_dev)
    app.poll(0)
    p = Process([f"{BIN}/hv_vssctl", "test", "--yes", "--hold", "10",
                 *hvtest._options(m.where)])
    app.answer(opt=CHECK)
    opt, msgid = app.next()
    app.write(opt, SUCCESS, msgid)
    until(lambda: status(m)["state"] == "HOLDING", "the hold")
    start = time.monotonic()
    app.close()
    check(p.wait() == 2 and time.monotonic() - start < 5, p.output())
    check(last(m)["outcome"] == "lost", last(m))
    check(not status(m)["lost"], "which the host need not know")


@case
def a_daemon_that_dies_makes_it_fail_at_once():
    m = guest()
    m.host("hold=60000")
    # With its host there, nothing but the end of the daemon wakes the driver.
    until(lambda: status(m)["host"]["connected"], "the host")
    p = begin(m)
    m.daemon.kill()
    check(p.wait(5) == 2, p.output())
    check(last(m)["outcome"] == "lost" and not status(m)["lost"], last(m))


@case
def a_driver_that_is_told_to_end_lets_go_first():
    m = guest()
    writer = Writer("/mnt/ext4")
    begin(m)
    check(m.driver.end() == 0, "it ends")
    writer.progresses(2)


hvtest.main()
