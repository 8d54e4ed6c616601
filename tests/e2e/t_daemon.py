#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
#
# isoroot: --fs ext4:256M,xfs:360M,btrfs:256M,in=ext4:64M@xfs --bound 280 --sys
# timeout: 290
# alone
# needs: hv_vss_driver hv_vss_host hv_vss_daemon

"""hv_vss_daemon with its freezer, under the driver and the host's orders."""

import json
import os
import re
import resource
import select
import signal
import socket
import subprocess
import threading
import time

import frzlib
import guest
import hvtest
from hvtest import case, check, until

MOUNTS = ["/mnt/ext4", "/mnt/xfs", "/mnt/btrfs", "/mnt/in"]
HELD = "/mnt/btrfs"


def machine(**sets):
    hvtest.after(guest.freezers_end)  # called after the others
    m = hvtest.Machine(**sets)
    m.start_driver()
    m.start_daemon(["-d"])
    return m


def pid_of(m, who):
    if who in ("worker", "guard"):
        return guest.freezer_pid(who)
    return getattr(m, who).pid


def writers(mounts=tuple(MOUNTS)):
    return {mount: hvtest.Writer(mount) for mount in mounts}


def writable_within(writing, seconds, what):
    end = time.monotonic() + seconds
    for mount, w in writing.items():
        try:
            w.progresses(max(0.01, end - time.monotonic()))
        except hvtest.Failed:
            raise hvtest.Failed("%s: not writable %.1f s after %s"
                                % (mount, seconds, what)) from None


def frozen_all(host, mounts=tuple(MOUNTS)):
    r = host.reply("freeze")
    check(r["reply"] == "ok", "freeze: %s" % r)
    for mount in mounts:
        check(hvtest.is_frozen(mount), "%s is not frozen" % mount)


def nothing_frozen():
    for mount in MOUNTS:
        check(not hvtest.is_frozen(mount), "%s is frozen" % mount)


def record_path(m):
    return m.dir + "/run/frozen"


def record(m):
    with open(record_path(m), encoding="utf-8") as f:
        return f.read()


def works_again(m, seconds=15):
    """A checkpoint succeeds, as soon as what died was replaced."""
    end = time.monotonic() + seconds
    while True:
        status, replies = m.host("check", "freeze", "thaw").wait()
        if status == 0:
            break
        check(time.monotonic() < end, "no checkpoint works: %s" % replies)
        time.sleep(0.1)
    nothing_frozen()
    check(record(m) == "", "the record is not empty")
    # Other tests of this machine may raise it for a moment.
    until(lambda: guest.rcu_expedited() == "0", "rcu_expedited is put back", 5)


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


def held_freeze(m):
    """A FREEZE whose call for one file system waits for a writer."""
    w = writers()
    holder = frzlib.Holder(HELD)
    h = m.host("freeze", "hold=100", "thaw")
    until(lambda: w["/mnt/ext4"].stands_still(0.15), "ext4 is frozen")
    return h, holder.let_go


@case
def grace_periods_are_expedited_while_a_freeze_waits_and_then_not():
    until(lambda: guest.rcu_expedited() == "0", "nobody else has raised it", 20)
    m = machine()
    h, go_on = held_freeze(m)
    value = guest.rcu_expedited()
    go_on()
    status, replies = h.wait(40)
    check(status == 0, "host: %s" % replies)
    check(value == "1", "rcu_expedited was %s" % value)
    works_again(m)


@case
def grace_periods_are_left_alone_when_the_settings_say_so():
    until(lambda: guest.rcu_expedited() == "0", "nobody else has raised it", 20)
    m = machine(rcu_expedited="never")
    h, go_on = held_freeze(m)
    value = guest.rcu_expedited()
    go_on()
    h.wait(40)
    check(value == "0", "rcu_expedited was %s" % value)


@case
def a_killed_worker_does_not_leave_grace_periods_expedited():
    m = machine()
    h, go_on = held_freeze(m)
    os.kill(pid_of(m, "worker"), signal.SIGKILL)
    go_on()
    h.wait(40)
    works_again(m)


@case
def the_next_start_puts_back_what_everybody_left_expedited():
    m = machine(fs="2", hold="2", freeze="12")
    h, go_on = held_freeze(m)
    for who in ("daemon", "guard", "worker"):
        os.kill(pid_of(m, who), signal.SIGKILL)
    go_on()
    h.wait(40)
    check("\nrcu_expedited 0\n" in record(m), "record: %s" % record(m))
    m.daemon.wait()
    m.start_daemon(["-d"])
    works_again(m)


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


# A guard that is a service of its own.

class GuardService:
    """The guard as a service manager starts it: on a socket."""

    def __init__(self):
        self.path = "/run/guard.sock"
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.bind(self.path)
        self.sock.listen(5)
        self.start()
        hvtest.after(self.end)

    def start(self):
        fd = self.sock.fileno()
        self.popen = subprocess.Popen(
            ["/bin/sh", "-c", "exec %s guard 3<&%d" % (frzlib.PROGRAM, fd)],
            env={"HV_VSS_TEST_DEVICES": frzlib.scratch_devices()},
            pass_fds=[fd])

    def end(self):
        self.popen.kill()
        self.popen.wait(10)
        self.sock.close()


def guarded():
    """A guard that is a service, a machine, and writers."""
    hvtest.after(guest.freezers_end)
    g = GuardService()
    m = hvtest.Machine(guard=g.path)
    m.start_driver()
    m.start_daemon(["-d"])
    return g, m, writers()


@case
def a_guard_that_is_a_service_outlives_daemon_and_worker():
    g, m, w = guarded()
    works_again(m)
    h = m.host("freeze", "hold=700", "thaw")
    frozen_all(h)
    worker = frzlib.children(m.daemon.pid, "hv_vss_freezer")
    check(len(worker) == 1, "children: %s" % worker)
    for pid in (m.daemon.pid, worker[0]):
        os.kill(pid, signal.SIGKILL)
    writable_within(w, 1, "the strike")
    h.wait()
    check(g.popen.poll() is None, "the guard has ended")
    m.start_daemon()
    works_again(m)


@case
def a_guard_that_is_a_service_is_replaced_when_it_dies():
    g, m, w = guarded()
    h = m.host("freeze", "hold=500", "thaw")
    frozen_all(h)
    g.popen.kill()
    writable_within(w, 1, "the strike")
    _, replies = h.wait()
    check(replies[1]["reply"] == "fail", "host: %s" % replies)
    g.popen.wait(5)
    g.start()
    works_again(m)


@case
def a_guard_without_descriptors_accepted_again_and_again():
    g = GuardService()
    pid = g.popen.pid

    def rested():
        with open("/proc/%d/status" % pid, encoding="ascii") as f:
            return int(re.search(r"\nvoluntary_ctxt_switches:\s*(\d+)",
                                 f.read())[1])
    until(lambda: os.path.basename(os.readlink("/proc/%d/cwd" % pid)) == "proc"
          and guest.state_of(pid) == "S", "it listens")
    old = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, old[1]))
    before = rested()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
        peer.connect(g.path)
        until(lambda: rested() > before + 5, "it rests in between")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, old)
        check(select.select([peer], [], [], 10)[0], "it greets")


@case
def a_guard_that_is_a_service_is_told_to_end_in_a_hold():
    g, m, w = guarded()
    h = m.host("freeze", "hold=700", "thaw")
    frozen_all(h)
    g.popen.send_signal(signal.SIGTERM)
    status, replies = h.wait()
    check(status == 0, "the hold is broken: %s" % replies)
    writable_within(w, 1, "the thaw")
    check(g.popen.wait(5) == 0, "it has not ended")
    g.start()
    works_again(m)


@case
def a_guard_that_is_a_service_is_told_to_end_with_a_thaw_owed():
    """Nobody else is left when the freeze returns."""
    g, m, w = guarded()
    h, go_on = held_freeze(m)
    (worker,) = frzlib.children(m.daemon.pid, "hv_vss_freezer")
    for pid in (m.daemon.pid, worker):
        os.kill(pid, signal.SIGKILL)
    g.popen.send_signal(signal.SIGTERM)
    held = w.pop(HELD)
    writable_within(w, 1, "the strike")
    check(held.stands_still(0.3), "the freeze waits")
    check(g.popen.poll() is None, "the guard has ended")
    go_on()
    writable_within({HELD: held}, 1, "the freeze has returned")
    check(g.popen.wait(5) == 0, "the guard has not ended")
    h.wait()
    g.start()
    m.start_daemon()
    works_again(m)


@case
def a_guard_that_still_owes_a_thaw_and_the_next_one():
    """No backup begins before the first has thawed."""
    g, m, w = guarded()
    h, go_on = held_freeze(m)
    m.daemon.kill()
    g.popen.send_signal(signal.SIGTERM)
    h.wait()
    first = g.popen
    g.start()
    m.start_daemon(["-d"])
    status, replies = m.host("freeze", "thaw").wait()
    check(status == 3, "host: %s" % replies)
    check(first.poll() is None, "the guard has ended")
    go_on()
    writable_within(w, 1, "the freeze has returned")
    first.wait(5)
    works_again(m)


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
