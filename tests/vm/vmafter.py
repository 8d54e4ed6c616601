# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
"""What must be true after every scenario, whatever it did: nothing is frozen,
nobody waits beyond SIGKILL, the kernel has nothing to complain about."""

import errno
import fcntl
import os
import re
import sys
import time

FIFREEZE, FITHAW = 0xC0045877, 0xC0045878
BAD = re.compile(r"blocked for more than|hung_task|\bBUG\b|Oops|"
                 r"WARNING: (CPU|possible|suspicious|inconsistent)|"
                 r"general protection|EXT4-fs error|"
                 r"XFS.*[Cc]orruption|BTRFS.*(error|critical)")


def frozen():
    """Mounts that a freeze finds frozen.  Each is thawed again at once."""
    found, seen = [], set()
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        lines = f.read().splitlines()
    for line in lines:
        fields = line.split()
        kind, source = fields[fields.index("-") + 1:][:2]
        if not source.startswith("/dev/") or fields[2] in seen or \
                kind.startswith("fuse"):
            continue
        seen.add(fields[2])
        fd = os.open(fields[4], os.O_RDONLY)
        try:
            fcntl.ioctl(fd, FIFREEZE, 0)
            fcntl.ioctl(fd, FITHAW, 0)
        except OSError as e:
            if e.errno == errno.EBUSY:
                found.append(fields[4])
        os.close(fd)
    return found


def blocked():
    """Processes in state D for as long as we look."""
    left = None
    for _ in range(30):
        now = set()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/stat" % pid, encoding="utf-8",
                          errors="replace") as f:
                    comm, _, rest = f.read().rpartition(")")
                if rest.split()[0] == "D":
                    now.add((pid, comm.partition("(")[2]))
            except OSError:
                pass
        left = now if left is None else left & now
        if not left:
            return []
        time.sleep(0.1)
    return sorted(left)


def complaints():
    """The kernel's, from its log."""
    found, expected = [], []
    if os.path.exists("/run/vm-expected"):
        with open("/run/vm-expected", encoding="ascii") as f:
            expected = f.read().splitlines()
    fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    while True:
        try:
            line = os.read(fd, 8192).decode(errors="replace")
        except BlockingIOError:
            break
        except BrokenPipeError:
            found.append("lines were overwritten before they were read")
            continue
        if BAD.search(line) and not any(re.search(e, line) for e in expected):
            found.append(line.partition(";")[2].strip())
    os.close(fd)
    return found


def main():
    status = 0
    for what, found in (("nothing is frozen", frozen()),
                        ("nobody waits beyond SIGKILL", blocked()),
                        ("the kernel does not complain", complaints())):
        print("%s after - %s%s" % ("not ok" if found else "ok", what,
                                   ": %s" % found if found else ""))
        status |= bool(found)
    sys.exit(status)


if __name__ == "__main__":
    main()
