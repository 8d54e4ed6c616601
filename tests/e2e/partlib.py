# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
"""What tests of participants share: a stand-in for the freeze daemon, and
`hv_vssctl run` with commands, hooks or a co-process that note what they do."""

import os
import shlex
import signal
import tempfile

import hvtest
from hvtest import BIN, Device, Machine, Process, check, until


class FsStandIn:
    """Answers every request on the file-system device with success."""

    def __init__(self, machine):
        ready, tell = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                dev = Device(machine.fs_dev)
                os.write(tell, b"1")
                while True:
                    dev.answer(seconds=3600)
            finally:
                os._exit(0)
        hvtest.after(self.end)
        os.close(tell)
        check(os.read(ready, 1) == b"1", "the stand-in has the device")
        os.close(ready)

    def end(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0


def replies(host):
    """Exit status, and what each operation was answered."""
    status, got = host.wait()
    return status, {r["op"]: r["reply"] for r in got}


class Guest:
    """Driver, stand-in and hv_vssctl run; what is run notes itself in a log."""

    def __init__(self, options=None, log=None, says="takes part through",
                 **sets):
        self.machine = Machine(**sets)
        self.machine.start_driver()
        self.stand_in = FsStandIn(self.machine)
        self.log = log or tempfile.mktemp(prefix="ctl.", dir="/run")
        self.ctl = self.start(options or self.commands(), says)

    def note(self, words):
        """A shell command that notes words."""
        return f"echo {words} >>{shlex.quote(self.log)}"

    def commands(self, **other):
        argv = []
        for op in ("check", "prepare", "freeze", "thaw"):
            argv += [f"--{op}", other.get(op, self.note(op))]
        return argv

    def start(self, options, says="takes part through"):
        ctl = Process([f"{BIN}/hv_vssctl", "run", "--name", "shop", "--device",
                       self.machine.app_dev, *options])
        ctl.says(says)
        return ctl

    def restart(self, options):
        self.ctl.end()
        self.ctl = self.start(options)

    def restart_driver(self):
        """A successor of one that was killed, which the participant finds."""
        self.stand_in.end()
        found = self.ctl.output().count("takes part")
        self.machine.start_driver()
        self.stand_in = FsStandIn(self.machine)
        until(lambda: self.ctl.output().count("takes part") > found,
              "it takes part again")

    def did(self):
        """The lines of the log."""
        try:
            with open(self.log, encoding="ascii") as f:
                return f.read().splitlines()
        except FileNotFoundError:
            return []

    def until_did(self, line, times=1, seconds=15):
        until(lambda: self.did().count(line) >= times,
              f"{line} {times} times, not {self.did()}", seconds)

    def hold(self, ms=60000):
        """A host that has frozen and holds."""
        host = self.machine.host("freeze", f"hold={ms}", "thaw")
        reply = host.reply("freeze")
        check(reply["reply"] == "ok", f"FREEZE: {reply}")
        return host

    def ask(self, *actions):
        """A host's requests, and what became of them."""
        return replies(self.machine.host(*actions))
