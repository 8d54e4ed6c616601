# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
"""What scenarios share: cases and TAP are those of tests/e2e/hvtest.py; here
are the packages, services and file systems of a whole guest, which may freeze
with its root.  Python, its libraries and what a case runs while the root is
frozen are read before."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import threading
import time

import hvtest
from hvtest import check, until

DEBS = "/hv/debs/"
SOCKET = "/run/emu.sock"
DRIVER, DAEMON, GUARD = ("hv_vss_driver.service", "hv_vss_daemon.service",
                         "hv_vss_guard.service")
KERNEL_TOOLS = "hv-vss-daemon.service"
UNITS = (DRIVER, DAEMON, GUARD)


def sh(command, ok=True):
    """What a command prints; it must succeed."""
    p = subprocess.run(command, shell=isinstance(command, str),
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       text=True, check=False)
    if ok:
        check(p.returncode == 0, "%s: status %d: %s" % (
            command, p.returncode, p.stdout))
    return p.stdout


def expect(pattern):
    """What the kernel may say in this scenario, as a regular expression."""
    with open("/run/vm-expected", "a", encoding="ascii") as f:
        f.write(pattern + "\n")


def for_the_matrix(kind):
    """Before tests/e2e/matrix.py is read: the root and the disk, with a file
    system of this kind, are its file systems, devices are real ones, and limits
    are longer, for an emulated processor."""
    disk = "/mnt/" + kind
    sh("modprobe -a cuse %s && mkfs.%s -q /dev/vdc && mkdir -p %s && "
       "mount -t %s /dev/vdc %s" % (kind, kind, disk, kind, disk))
    os.environ["HV_VSS_DEV_DIR"] = "/dev"
    os.environ["VM_PATIENCE"] = str(2 * int(os.environ["VM_PATIENCE"]))
    with open("/iso/table", "w", encoding="ascii") as f:
        for mount in ("/", disk):
            kind, device = sh(["findmnt", "-n", "-o", "FSTYPE,SOURCE",
                               mount]).split()
            f.write("%s %s %s %s -\n" % (mount.strip("/") or "root", kind,
                                         mount, device))


def status_of(command):
    return subprocess.run(command, shell=True, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False).returncode


def deb(name):
    """The file of a package."""
    for file in sorted(os.listdir(DEBS)):
        if file.startswith((name + "_", name + ".")):
            return DEBS + file
    raise hvtest.Failed("no package " + name)


def install(*names):
    return sh(["dpkg", "-i", *map(deb, names)])


def show(unit, key):
    return sh(["systemctl", "show", "-P", key, unit]).strip()


def active(unit):
    return show(unit, "ActiveState")


def pid_of(unit):
    return int(show(unit, "MainPID"))


def worker():
    """The daemon's."""
    with open("/proc/%d/task/%d/children" % ((pid_of(DAEMON),) * 2),
              encoding="ascii") as f:
        for pid in f.read().split():
            with open("/proc/%s/comm" % pid, encoding="ascii") as g:
                if g.read().strip() == "hv_vss_freezer":
                    return int(pid)
    raise hvtest.Failed("the daemon has no worker")


def with_emulator():
    """The driver's service asks the emulator, not the kernel: that its device
    is not there does not matter then."""
    with open("/etc/default/hv_vss", "w", encoding="ascii") as f:
        f.write("HV_VSS_DRIVER_OPTIONS=--transport emu:%s\n" % SOCKET)
    drop_in(DRIVER, "[Unit]\nConditionPathExists=\n"
            "ConditionVirtualization=microsoft\n", "emu")


def frozen(mount="/"):
    """Whether a freeze finds it frozen; one that is not is thawed again."""
    fd = os.open(mount, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, hvtest.FIFREEZE, 0)
        fcntl.ioctl(fd, hvtest.FITHAW, 0)
        return False
    except OSError as e:
        if e.errno != errno.EBUSY:
            raise
        return True
    finally:
        os.close(fd)


class Beat(threading.Thread):
    """Writes to the root file system without pause; its progress."""

    def __init__(self, path="/var/tmp/beat"):
        super().__init__(daemon=True)
        self.count = 0
        self._end = False
        self._path = path
        self.start()
        hvtest.after(self.end)
        self.moves(20)

    def run(self):
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
        while not self._end:
            os.pwrite(fd, b"%d\n" % self.count, 0)
            os.fsync(fd)
            self.count += 1
            time.sleep(0.01)
        os.close(fd)

    def moves(self, seconds):
        """It writes again, within so many seconds."""
        was = self.count
        until(lambda: self.count > was + 1, "a writer gets on", seconds)

    def stands(self):
        was = self.count
        time.sleep(0.3)
        return self.count <= was + 1

    def end(self):
        self._end = True
        self.join(10)


class Host:
    """The emulator, in the background."""

    def __init__(self, *actions, options=()):
        self.popen = subprocess.Popen(
            ["/hv/bin/hv_vss_host", "--listen", SOCKET, "--json", *options,
             *actions], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.seen = []
        hvtest.after(self.end)

    def alive(self):
        return self.popen.poll() is None

    def line(self):
        """The next reply."""
        text = self.popen.stdout.readline()
        check(text, "the host says nothing more: %s" %
              self.popen.stderr.read() if not text else "")
        self.seen.append(json.loads(text))
        return self.seen[-1]

    def until(self, op):
        while True:
            reply = self.line()
            if reply["op"] == op:
                return reply

    def rest(self, seconds=60):
        """All replies, when it has ended."""
        out, _ = self.popen.communicate(timeout=seconds)
        self.seen += [json.loads(x) for x in out.splitlines()]
        return self.seen

    def wait(self, seconds=60):
        """Its exit status and replies."""
        replies = self.rest(seconds)
        return self.popen.returncode, replies

    def end(self):
        if self.alive():
            self.popen.kill()
        self.popen.wait()


def holding(milliseconds=20000, gate=None):
    """A host in the hold of a checkpoint, with the root file system frozen: so
    long, or until the gate opens."""
    action = gate.action if gate else "hold=%d" % milliseconds
    host = Host("check", "freeze", action, "thaw", options=("--wait", "30"))
    reply = host.until("freeze")
    check(reply["reply"] == "ok", "freeze: %s" % reply)
    check(frozen("/"), "the root file system is frozen")
    return host


def checkpoint():
    """One that works."""
    host = Host("check", "freeze", "hold=200", "thaw",
                options=("--wait", "30"))
    status, replies = host.wait()
    check(status == 0, "%s" % replies)
    return replies


def started(**keys):
    """Package and services, with the emulator as the host, and such limits."""
    install("libhv-vss1", "hv-vss")
    limits(**keys)
    with_emulator()
    start()


def start():
    sh(["systemctl", "start", DRIVER])
    until(lambda: active(DAEMON) == "active", "the daemon's service", 60)
    check(active(DRIVER) == "active", sh(["systemctl", "status", DRIVER], 0))


def works():
    """All runs, and the next checkpoint is one."""
    for unit in (DRIVER, DAEMON):
        until(lambda u=unit: active(u) == "active", unit, 90)
    checkpoint()


def goes_on(beat, host, seconds):
    """The root file system is thawed within so many seconds, the services
    are there, and the next checkpoint works."""
    beat.moves(seconds)
    check(not frozen("/"), "thawed")
    host.end()
    works()


def limits(**keys):
    """Settings of driver and daemon, before they start."""
    with open("/etc/hv_vss.conf", "r+", encoding="utf-8") as f:
        kept = [x for x in f if x.split(" = ")[0] not in keys]
        f.seek(0)
        f.truncate()
        f.writelines(kept + ["%s = %s\n" % item for item in keys.items()])


def drop_in(unit, text, name="scenario"):
    """More options for a unit."""
    where = "/etc/systemd/system/%s.d" % unit
    os.makedirs(where, exist_ok=True)
    with open("%s/%s.conf" % (where, name), "w", encoding="ascii") as f:
        f.write(text)
    sh("systemctl daemon-reload")


def record():
    with open("/run/hv_vss/frozen", encoding="ascii") as f:
        return f.read()


def kill(sig, *pids):
    for pid in pids:
        os.kill(pid, sig)


KILL, STOP, CONT = signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT
