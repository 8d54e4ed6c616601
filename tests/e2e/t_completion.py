#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
"""What bash proposes for hv_vssctl."""

import os
import shutil
import subprocess

import hvtest
from hvtest import BIN, case, check, skip

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
SCRIPT = TOP + "/packaging/completion/hv_vssctl"


def proposed(*words):
    """The proposals for the last word."""
    if not shutil.which("bash"):
        skip("no bash")
    text = ('. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1));'
            " _hv_vssctl; printf '%s\\n' \"${COMPREPLY[@]}\"")
    out = subprocess.run(
        ["bash", "-c", text, "bash", SCRIPT, "hv_vssctl", *words],
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20,
        check=True)
    check(out.stderr == "", out.stderr)
    return out.stdout.split()


@case
def commands_are_proposed_each_once():
    got = proposed("")
    for command in ("check", "history", "run", "status", "test", "thaw",
                    "timeline"):
        check(got.count(command) == 1, f"{command}: {got}")
    check(len(got) == 9, f"and nothing else: {got}")
    check(proposed("ti") == ["timeline"], proposed("ti"))
    check("--version" in proposed("--"), proposed("--"))


@case
def options_are_those_of_the_command():
    got = proposed("history", "-")
    check({"--failed", "--json", "--set", "-v", "-n", "-c"} <= set(got), got)
    check("--svg" not in got and "--hold" not in got, got)
    check(proposed("test", "--ho") == ["--hold"], proposed("test", "--ho"))
    check("--help" in proposed("test", "--"), "each has its own help")
    check("--coprocess" in proposed("run", "--"), "the second form's as well")


@case
def an_unknown_command_has_no_options():
    check(proposed("bogus", "-") == [], proposed("bogus", "-"))


hvtest.main()
