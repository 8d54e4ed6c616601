#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
"""An adapter whose client hangs in the middle of a step, asked as `hv_vssctl run'
asks it: the reason is told, and the same adapter answers what follows.  The client
is a script, and there is no server: only its socket."""

import os
import shutil
import socket
import subprocess
import tempfile

import hvtest
from hvtest import case, check

ADAPTER = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                       "../../hooks/hv_vss_adapter")
# Answers what marks the end of an answer, and hangs at one statement as long as
# there is a file.
CLIENT = """#!/bin/sh
while read -r line; do
	case $line in
	"SELECT '##"*) line=${line#*\\'}; echo "${line%%\\'*}" ;;
	*"%s"*) [ ! -e %s/hang ] || exec sleep 60 ;;
	esac
done
"""


class Adapter:
    def __init__(self, hangs_at):
        self.dir = tempfile.mkdtemp(prefix="hv_vss_adapter.")
        hvtest.after(shutil.rmtree, self.dir)
        self.write("client", CLIENT % (hangs_at, self.dir), 0o755)
        self.write("mariadb.conf", "client = %s/client\nsocket = %s/sock\n"
                   "prepare_limit = 1\nquiesce_limit = 1\n"
                   % (self.dir, self.dir))
        self.listener = socket.socket(socket.AF_UNIX)
        hvtest.after(self.listener.close)
        self.listener.bind(self.dir + "/sock")
        self.listener.listen(64)
        self.process = subprocess.Popen(
            [ADAPTER, "--coprocess", "-c", self.dir + "/mariadb.conf",
             "mariadb"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, bufsize=1)
        hvtest.after(self.process.wait, 10)
        hvtest.after(self.process.stdin.close)

    def write(self, name, text, mode=0o644):
        with open(self.dir + "/" + name, "w", encoding="ascii") as f:
            f.write(text)
        os.chmod(self.dir + "/" + name, mode)

    def hang(self, yes):
        if yes:
            self.write("hang", "")
        else:
            os.unlink(self.dir + "/hang")

    def ask(self, op):
        """What it answers, "" where it has ended."""
        self.process.stdin.write(op + "\n")
        for line in self.process.stdout:
            if line == "left\n":
                self.process.stdin.write("left 7000 60000\n")
            elif not line.startswith("#"):
                return line.strip()
        return ""

    def answers(self, op, want):
        got = self.ask(op)
        check(got == want, "%s: '%s', not '%s'" % (op, got, want))


LATE = "fail the server did not answer in time"


@case
def a_client_that_hangs_in_freeze_is_the_reason_and_thaw_is_answered():
    adapter = Adapter("BLOCK_COMMIT")
    adapter.hang(True)
    adapter.answers("check", "ok")
    adapter.answers("prepare", "ok")
    adapter.answers("freeze", LATE)
    adapter.answers("thaw", "ok")
    adapter.hang(False)
    adapter.answers("freeze", "ok")
    adapter.answers("thaw", "ok")


@case
def after_a_client_that_hung_in_prepare_the_next_backup_works():
    adapter = Adapter("STAGE FLUSH")
    adapter.hang(True)
    adapter.answers("prepare", LATE)
    adapter.hang(False)
    adapter.answers("check", "ok")
    adapter.answers("prepare", "ok")
    adapter.answers("freeze", "ok")
    adapter.answers("thaw", "ok")


hvtest.main()
