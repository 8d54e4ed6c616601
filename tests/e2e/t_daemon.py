#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
#
# isoroot: --fs ext4:256M,xfs:360M,btrfs:256M,in=ext4:64M@xfs --bound 280 --sys
# timeout: 290

"""hv_vss_daemon with its freezer, under the driver and the host's orders."""

import json
import os
import resource
import signal
import socket
import threading
import time

import frzlib
import guest
import hvtest
from daemonrig import (HELD, MOUNTS, frozen_all, machine, nothing_frozen, pid_of,
                       record, record_path, works_again, writers)
from hvtest import case, check, until, writable_within


@case
def a_checkpoint_freezes_every_planned_file_system_and_thaws_it():
    m = machine()
    w = writers()
    h = m.host("check", "freeze", "hold=400", "thaw", "complete")
    frozen_all(h)
    for writer in w.values():
        check(writer.stands_still(0.05), "written while frozen")
    check(record(m).count("\nfs ") == 4, "record: %s" % record(m))
    status, replies = h.wait()
    check(status == 0, "host: %s" % replies)
    writable_within(w, 2, "thaw")
    nothing_frozen()
    check(record(m) == "", "the record is not empty")


@case
def three_checkpoints_one_after_another():
    m = machine()
    status, replies = m.host(*["check", "freeze", "thaw"] * 3).wait()
    check(status == 0, "host: %s" % replies)


@case
def nothing_but_the_freezer_holds_what_is_frozen():
    m = machine()
    h = m.host("freeze", "hold=300", "thaw")
    frozen_all(h)
    names = {}
    for who in ("driver", "daemon", "worker", "guard"):
        d = "/proc/%d" % pid_of(m, who)
        names[who] = [os.readlink(d + "/cwd")]
        names[who] += [os.readlink(d + "/fd/" + n)
                       for n in os.listdir(d + "/fd")]
    for who in ("driver", "daemon"):
        held = [n for n in names[who] if n.startswith("/mnt")]
        check(not held, "%s holds %s" % (who, held))
    for who in ("worker", "guard"):
        held = [n for n in names[who] if n.startswith("/mnt")]
        check(sorted(held) == sorted(MOUNTS), "%s: %s" % (who, held))
    h.wait()


@case
def the_timeline_has_each_step_of_each_file_system():
    m = machine(trace="/run/timeline.json")
    hvtest.after(os.unlink, "/run/timeline.json")
    status, replies = m.host("freeze", "thaw").wait()
    check(status == 0, "host: %s" % replies)
    want = sorted((n, e) for n in MOUNTS for e in ("flush", "freeze", "thaw"))
    events = []

    def whole():
        """It is written after the host was answered, and not at once."""
        if os.path.exists("/run/timeline.json"):
            with open("/run/timeline.json", encoding="utf-8") as f:
                events[:] = [e for e in (json.loads(x) for x in f
                                         if x.endswith("\n"))
                             if e["who"] == "daemon"]
        return len(events) >= len(want)
    until(whole, "a timeline")
    seen = sorted((e["name"], e["event"]) for e in events)
    check(seen == want, "events: %s" % seen)
    at = {(e["name"], e["event"]): e["t_ns"] for e in events}
    check(at["/mnt/in", "freeze"] < at["/mnt/xfs", "freeze"], "order")
    check(all(e["errno"] == 0 for e in events), "errno")


@case
def a_timeline_does_not_go_where_a_link_leads():
    os.symlink("/run/elsewhere", "/run/linked.json")
    hvtest.after(os.unlink, "/run/linked.json")
    m = machine(trace="/run/linked.json")
    status, replies = m.host("freeze", "thaw").wait()
    check(status == 0, "host: %s" % replies)
    m.daemon.says("/run/linked.json: Too many levels of symbolic links")
    check(not os.path.exists("/run/elsewhere"), "it was written to")


@case
def what_somebody_else_froze_fails_the_freeze_and_stays():
    m = machine()
    hvtest.freeze("/mnt/ext4")
    status, replies = m.host("freeze", "thaw").wait()
    check(status == 3 and replies[0]["reply"] == "fail", "host: %s" % replies)
    m.daemon.says("/mnt/ext4: freeze: Device or resource busy")
    check(hvtest.is_frozen("/mnt/ext4"), "the foreign freeze was thawed")
    hvtest.thaw("/mnt/ext4")
    works_again(m)


@case
def a_foreign_thaw_makes_the_hosts_thaw_fail():
    m = machine()
    h = m.host("freeze", "hold=300", "thaw")
    frozen_all(h)
    check(hvtest.thaw("/mnt/xfs"), "xfs was not frozen")
    status, replies = h.wait()
    check(status == 3 and replies[1]["reply"] == "fail", "host: %s" % replies)
    m.daemon.says("/mnt/xfs: thaw: Invalid argument")
    works_again(m)


@case
def a_freeze_that_hangs_is_refused_by_name_and_ends_when_it_returns():
    m = machine(fs="1", freeze="8")
    w = writers()
    holder = frzlib.Holder(HELD)
    del w[HELD]
    h = m.host("freeze", "hold=3000", "freeze", "check", "thaw")
    r = h.reply("freeze")
    check(r["reply"] == "fail", "freeze: %s" % r)
    writable_within(w, 1.5, "the refusal")
    status, replies = h.wait()
    check([r["reply"] for r in replies[:3]] == ["fail"] * 3,
          "while it hangs: %s" % replies)
    check(len(hvtest.pids_of("hv_vss_freezer")) <= 2, "freezers pile up")
    m.daemon.says("still thawing: " + HELD + ": freeze: it has not returned")
    holder.let_go()
    w[HELD] = hvtest.Writer(HELD)
    m.daemon.says(HELD + ": freeze: it has not returned")
    m.driver.says('"' + HELD + ': freeze: it has not returned from the kernel"')
    works_again(m)


@case
def a_flush_that_hangs_is_refused_by_name_and_does_not_pile_up():
    # What is written to the image waits for the file system it lies on.
    m = machine(freeze="2.5", prepare="1", fs="1")
    hvtest.freeze("/mnt/xfs")
    with open("/mnt/in/dirty", "wb") as f:
        f.write(bytes(1 << 20))
    for _ in range(3):
        status, replies = m.host("freeze").wait()
        check(status == 3, "host: %s" % replies)
    status, replies = m.host("check").wait()
    check(status == 3, "check while a flush hangs: %s" % replies)
    m.driver.says("/mnt/in: flush: it has not returned")
    check(len(hvtest.pids_of("hv_vss_freezer")) <= 2, "freezers pile up")
    check(not hvtest.is_frozen("/mnt/ext4"), "ext4 is frozen")
    hvtest.thaw("/mnt/xfs")
    works_again(m)


@case
def a_guard_or_worker_that_is_stopped_is_refused_and_replaced():
    m = machine()
    for who, why in (("guard", "the guard did not confirm"),
                     ("worker", "the freezer is silent")):
        os.kill(guest.freezer_pid(who), signal.SIGSTOP)
        status, replies = m.host("freeze").wait()
        check(status == 3, "host: %s" % replies)
        m.daemon.says(why)
        works_again(m)


@case
def a_guard_without_room_says_what_to_raise():
    m = machine()
    guard = pid_of(m, "guard")
    room = len(os.listdir("/proc/%d/fd" % guard)) + 2
    resource.prlimit(guard, resource.RLIMIT_NOFILE, (room, room))
    status, replies = m.host("freeze").wait()
    check(status == 3, "host: %s" % replies)
    said = m.daemon.output()
    check("guard: Bad file descriptor (" in said and "LimitNOFILE" in said, said)
    works_again(m)


@case
def a_freezer_that_takes_long_to_start_is_waited_for():
    hvtest.after(guest.freezers_end)
    m = hvtest.Machine()
    slow, go = m.dir + "/slow", m.dir + "/go"
    os.mkfifo(go)
    with open(slow, "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\nread x <%s\nexec %s \"$@\"\n"
                % (go, frzlib.PROGRAM))
    os.chmod(slow, 0o755)
    m.sets["freezer"] = slow
    m.start_driver()

    def let_go():
        with open(go, "w", encoding="utf-8") as f:
            f.write("\n\n")  # worker and guard
    # As on a machine that is busy with its own start.
    timer = threading.Timer(7, let_go)
    timer.start()
    hvtest.after(timer.cancel)
    m.start_daemon()
    works_again(m)


@case
def at_rest_nobody_wakes_up():
    if frzlib.sanitized():
        hvtest.skip("built with a sanitizer, which may have its own thread")
    m = machine()
    works_again(m)

    def wakes():
        total = 0
        for who in ("daemon", "worker", "guard"):
            for task in os.listdir("/proc/%d/task" % pid_of(m, who)):
                with open("/proc/%s/status" % task, encoding="utf-8") as f:
                    total += sum(int(line.split()[1]) for line in f
                                 if "ctxt_switches" in line)
        return total
    time.sleep(0.3)
    before = wakes()
    time.sleep(1)
    check(wakes() - before < 5, "%d wakes" % (wakes() - before))


@case
def sigterm_while_frozen_thaws_and_ends():
    m = machine()
    w = writers()
    h = m.host("freeze", "hold=500", "thaw")
    frozen_all(h)
    m.daemon.signal(signal.SIGTERM)
    writable_within(w, 1, "SIGTERM")
    check(m.daemon.wait(3) == 0, "exit status")
    _, replies = h.wait()
    check(replies[1]["reply"] == "fail", "host: %s" % replies)
    until(lambda: not hvtest.pids_of("hv_vss_freezer"), "freezers ended", 3)
    check(record(m) == "", "the record is not empty")
    m.start_daemon()
    works_again(m)


@case
def a_request_that_comes_with_sigterm_does_not_begin():
    m = machine()
    m.daemon.signal(signal.SIGSTOP)
    h = m.host("freeze")
    until(lambda: json.loads(m.ctl("status", "--json")[1])["state"] != "IDLE",
          "the daemon is asked")
    m.daemon.signal(signal.SIGTERM)
    m.daemon.signal(signal.SIGCONT)
    check(m.daemon.wait(3) == 0, "exit status")
    _, replies = h.wait()
    check(replies[0]["reply"] == "fail", "host: %s" % replies)
    err = m.daemon.output()
    check("refused: hv_vss_daemon is being stopped" in err, err)
    nothing_frozen()


@case
def a_second_daemon_ends_and_touches_nothing():
    m = machine()
    h = m.host("freeze", "hold=400", "thaw")
    frozen_all(h)
    status, _, err = hvtest.run(m.daemon_argv("-n"))
    check(status == 1 and "another hv_vss_daemon" in err, err)
    check(hvtest.is_frozen("/mnt/ext4"), "it thawed")
    status, replies = h.wait()
    check(status == 0, "host: %s" % replies)


@case
def a_device_that_is_taken_or_absent_is_named():
    m = hvtest.Machine()
    argv = m.daemon_argv("-n")
    status, _, err = hvtest.run(argv)
    check(status == 1 and m.fs_dev + ": No such file" in err, err)
    m.start_driver()
    taken = hvtest.Device(m.fs_dev)
    status, _, err = hvtest.run(argv)
    check(status == 1 and "process %d" % os.getpid() in err, err)
    # As a service it has nothing to do then, and is no failure.
    status, _, err = hvtest.run([a for a in argv if a != "-n"])
    check(status == 0 and "it is left to that" in err, err)
    taken.close()


@case
def no_freeze_without_a_memory_file_system_for_the_record():
    os.mkdir("/mnt/ext4/run")
    m = machine(run_dir="/mnt/ext4/run")
    status, replies = m.host("freeze", "thaw").wait()
    check(status == 3 and replies[0]["reply"] == "fail", "host: %s" % replies)
    m.daemon.says("memory file system")


@case
def output_to_a_file_that_freezes_holds_nothing_up():
    m = hvtest.Machine()
    m.start_driver()
    m.daemon = hvtest.Process(["/bin/sh", "-c",
                               "exec %s >/mnt/ext4/log 2>&1"
                               % " ".join(m.daemon_argv("-dn"))])

    def said(text):
        with open("/mnt/ext4/log", encoding="utf-8") as f:
            return text in f.read()
    until(lambda: os.path.exists("/mnt/ext4/log") and said("serving"),
          "the daemon on its device")
    h = m.host("freeze", "hold=300", "thaw")
    frozen_all(h)
    status, replies = h.wait()
    check(status == 0, "host: %s" % replies)
    until(lambda: said("are frozen"), "what was held back")
    check(m.daemon.end() == 0, "exit status")


@case
def in_the_background_it_starts_and_ends():
    m = hvtest.Machine()
    m.start_driver()
    status, _, err = hvtest.run(m.daemon_argv())
    check(status == 0, err)
    status, replies = m.host("check", "freeze", "thaw").wait()
    for pid in hvtest.pids_of("hv_vss_daemon"):
        os.kill(pid, signal.SIGTERM)
    check(status == 0, "host: %s" % replies)
    until(lambda: not hvtest.pids_of("hv_vss_daemon"), "its end")


@case
def the_service_manager_is_told_that_it_is_ready_and_that_it_lives():
    m = hvtest.Machine()
    m.start_driver()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(m.dir + "/notify")
        s.settimeout(10)
        p = hvtest.Process(m.daemon_argv("-n"),
                           env=dict(os.environ, WATCHDOG_USEC="300000",
                                    NOTIFY_SOCKET=m.dir + "/notify"))
        told = [s.recv(100).decode()]
        while len(told) < 9 and told[-3:] != ["READY=1", "WATCHDOG=1",
                                              "WATCHDOG=1"]:
            told.append(s.recv(100).decode())
        check(told[-3:] == ["READY=1", "WATCHDOG=1", "WATCHDOG=1"], told)
        check(p.end() == 0, "it ends")


# Everything of ours is killed at once.

@case
def thaw_all_thaws_by_the_record_when_everything_was_killed():
    m = machine()
    w = writers()
    h = m.host("freeze", "hold=30000")
    frozen_all(h)
    m.kill_all_that_thaw()
    check(all(hvtest.is_frozen(mount) for mount in MOUNTS), "thawed by itself")
    began = time.monotonic()
    status, _, err = hvtest.run(m.daemon_argv("--thaw-all"))
    check(status == 0, err)
    check(time.monotonic() - began < 10, "it waited for nobody")
    writable_within(w, 1, "--thaw-all")
    h.process.kill()
    m.start_daemon()
    works_again(m)


@case
def the_next_start_thaws_by_the_record():
    m = machine()
    w = writers()
    h = m.host("freeze", "hold=30000")
    frozen_all(h)
    m.kill_all_that_thaw()
    m.start_daemon()
    writable_within(w, 1, "the start")
    h.process.kill()
    works_again(m)


@case
def a_record_that_was_removed_was_kept_where_nobody_looks():
    m = machine()
    w = writers()
    for path in (record_path(m), m.dir + "/run"):
        hvtest.run(["rm", "-r", path])
        h = m.host("freeze", "hold=30000")
        frozen_all(h)
        _, _, err = hvtest.run(m.daemon_argv())
        check("another hv_vss_daemon is running" in err, err)
        m.kill_all_that_thaw()
        m.start_daemon()
        writable_within(w, 1, "the start")
        h.process.kill()
    works_again(m)


@case
def a_record_of_another_boot_is_ignored():
    m = hvtest.Machine()
    os.makedirs(m.dir + "/run")
    hvtest.freeze("/mnt/ext4")
    dev = os.stat("/mnt/ext4").st_dev
    with open(record_path(m), "w", encoding="utf-8") as f:
        f.write("hv_vss frozen 1\nboot 00000000-0000-0000-0000-000000000000\n"
                "freezer 1 1\nfs %d:%d ours /mnt/ext4\n"
                % (os.major(dev), os.minor(dev)))
    status, _, err = hvtest.run(m.daemon_argv("--thaw-all"))
    check(status == 0, err)
    check(hvtest.is_frozen("/mnt/ext4"), "it was thawed")
    status, _, err = hvtest.run(m.daemon_argv("--thaw-all", "--force"))
    check(status == 0, err)
    check(not hvtest.is_frozen("/mnt/ext4"), "--force did not thaw it")


@case
def small_with_four_file_systems():
    if frzlib.sanitized():
        hvtest.skip("built with a sanitizer")
    m = machine()
    h = m.host("freeze", "hold=300", "thaw")
    frozen_all(h)
    pss = {who: frzlib.pss_kib(pid_of(m, who))
           for who in ("driver", "daemon", "worker", "guard")}
    print("# PSS KiB: %s, in all %d" % (pss, sum(pss.values())))
    check(sum(pss.values()) < 8192, "%s" % pss)
    h.wait()


if __name__ == "__main__":
    hvtest.main()
