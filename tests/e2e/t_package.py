#!/usr/bin/python3
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
"""What is installed, and how a service manager is told to run it.  Nothing is
started, installed into this machine or frozen."""

import os
import re
import shutil
import subprocess
import tempfile

import hvtest
from hvtest import case, check, skip

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
UNITS = ("hv_vss_driver.service", "hv_vss_daemon.service",
         "hv_vss_guard.service", "hv_vss_guard.socket",
         "hv_vss_hooks.service")

# What a service of ours may say.  None of these gives it mounts, or a /sys, of
# its own, or has the service manager write to a disk, which may be frozen, before
# it runs a command; an option that is not here was not looked at for that.
OPTIONS = set("""
    Type Environment EnvironmentFile ExecStartPre ExecStart ExecReload ExecStopPost Restart
    RestartSec WatchdogSec WatchdogSignal TimeoutStopSec KillMode SendSIGKILL
    OOMScoreAdjust OOMPolicy LimitCORE LimitMEMLOCK TasksMax RuntimeDirectory
    RuntimeDirectoryPreserve NoNewPrivileges
    CapabilityBoundingSet SystemCallArchitectures SystemCallFilter
    SystemCallErrorNumber RestrictAddressFamilies RestrictNamespaces
    RestrictRealtime RestrictSUIDSGID LockPersonality MemoryDenyWriteExecute
    KeyringMode UMask IPAddressDeny DevicePolicy DeviceAllow
""".split())


def installed(prefix="/usr/local", **where):
    """A directory with what `make install' puts there."""
    root = tempfile.mkdtemp(prefix="hv_vss_install.")
    hvtest.after(shutil.rmtree, root)
    variant = os.path.basename(hvtest.BUILD)
    p = subprocess.run(
        ["sh", TOP + "/mk/install.sh", root, prefix,
         "rel" if variant == "build" else variant],
        env=dict(os.environ, **where), stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False)
    check(p.returncode == 0, p.stdout)
    return root


def options(path, section):
    """The (key, value) pairs of a section of a unit."""
    found, here = [], None
    with open(path, encoding="utf-8") as f:
        for line in f:
            line = line.strip()
            if line.startswith("["):
                here = line.strip("[]")
            elif "=" in line and not line.startswith("#") and here == section:
                key, _, value = line.partition("=")
                found.append((key, value))
    return found


@case
def install_puts_every_part_into_its_place():
    root = installed()
    for path in ("sbin/hv_vss_driver", "sbin/hv_vss_daemon", "sbin/hv_vssctl",
                 "sbin/hv_vss_host", "libexec/hv_vss_freezer",
                 "lib/libhv_vss.a", "lib/libhv_vss.so", "lib/libhv_vss.so.1",
                 "lib/pkgconfig/libhv_vss.pc", "include/hv_vss.h",
                 "include/dev/hyperv/hv_snapshot.h",
                 "share/examples/hv_vss/hv_vss.conf",
                 "share/examples/hv_vss/hyperv-report.sh",
                 "share/man/man8/hv_vss_freezer.8",
                 "lib/udev/rules.d/90-hv_vss.rules",
                 "lib/sysusers.d/hv_vss.conf", "lib/tmpfiles.d/hv_vss.conf",
                 "lib/systemd/system-sleep/hv_vss.sleep",
                 "lib/systemd/system/hv-vss-daemon.service.d/hv_vss.conf",
                 *("lib/systemd/system/" + u for u in UNITS)):
        check(os.path.exists("%s/usr/local/%s" % (root, path)), path)
    for name in os.listdir(TOP + "/man"):
        check(os.path.exists("%s/usr/local/share/man/man%s/%s" % (
            root, name[-1], name)), name)


@case
def no_text_that_is_installed_has_a_place_left_open():
    root = installed()
    for path in subprocess.run(
            ["grep", "-rlI", "@[A-Z]*@", root], stdout=subprocess.PIPE,
            text=True, check=False).stdout.splitlines():
        check(False, path)


@case
def places_can_be_chosen():
    root = installed("/usr", DAEMONDIR="/usr/libexec/hv_vss",
                     LIBDIR="/usr/lib/here", UNITDIR="/lib/systemd/system")
    for path in ("usr/libexec/hv_vss/hv_vss_daemon", "usr/sbin/hv_vssctl",
                 "usr/lib/here/libhv_vss.so.1"):
        check(os.path.exists(root + "/" + path), path)
    check(not os.path.exists(root + "/usr/sbin/hv_vss_daemon"), "one daemon")
    unit = root + "/lib/systemd/system/hv_vss_daemon.service"
    commands = [v for k, v in options(unit, "Service") if k.startswith("Exec")]
    check("/usr/libexec/hv_vss/hv_vss_daemon --thaw-all" in commands, commands)
    with open(root + "/usr/lib/here/pkgconfig/libhv_vss.pc",
              encoding="ascii") as f:
        check("libdir=/usr/lib/here\n" in f.read(), "the library's place")


@case
def the_debian_package_gives_applications_a_group_of_their_own():
    with open(TOP + "/debian/rules", encoding="ascii") as f:
        edit = re.search(r"sed '([^']+)' examples/hv_vss.conf", f.read())
    with open(TOP + "/examples/hv_vss.conf", encoding="ascii") as f:
        conf = subprocess.run(["sed", edit.group(1)], stdin=f, text=True,
                              stdout=subprocess.PIPE, check=True).stdout
    groups = re.findall(r"(?m)^\w+_group = .*", conf)
    check("app_group = hv_vss" in groups, groups)


@case
def no_unit_has_an_option_that_could_change_what_it_sees_of_the_machine():
    tried = 0
    for name in sorted(os.listdir(TOP + "/packaging/linux")):
        if not name.endswith(".service"):
            continue
        for key, value in options("%s/packaging/linux/%s" % (TOP, name),
                                  "Service"):
            check(key in OPTIONS, "%s: %s=%s" % (name, key, value))
            tried += 1
    check(tried > 50, "options looked at: %d" % tried)


@case
def nothing_that_a_unit_starts_is_left_without_a_page():
    for name in UNITS:
        doc = dict(options(TOP + "/packaging/linux/" + name, "Unit"))
        for page in re.findall(r"man:(\S+)\((\d)\)", doc["Documentation"]):
            check(os.path.exists("%s/man/%s.%s" % (TOP, *page)), page)


def analyze(*args):
    if not shutil.which("systemd-analyze"):
        skip("no systemd-analyze (package systemd)")
    p = subprocess.run(["systemd-analyze", *args], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, check=False)
    return p.returncode, p.stdout


@case
def the_service_manager_understands_every_line():
    root = installed("/usr", UNITDIR="/lib/systemd/system")
    os.makedirs(root + "/bin")
    for name in ("kill", "systemctl"):
        shutil.copy(shutil.which(name), root + "/bin/" + name)
    for name in UNITS:
        _, text = analyze("verify", "--man=no", "--root=" + root,
                               "%s/lib/systemd/system/%s" % (root, name))
        # What is not there is the rest of a system.
        lines = [line for line in text.splitlines()
                 if "hv_vss" in line and "not found" not in line]
        check(not lines, "%s: %s" % (name, lines))


@case
def the_services_are_less_exposed_than_the_service_manager_calls_medium():
    root = installed("/usr")
    for name in UNITS:
        # The hooks are the administrator's.
        if name.endswith(".service") and name != "hv_vss_hooks.service":
            status, text = analyze(
                "security", "--offline=yes", "--no-pager", "--threshold=50",
                "%s/usr/lib/systemd/system/%s" % (root, name))
            check(status == 0, text)


hvtest.main()
