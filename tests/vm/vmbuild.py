# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
"""Makes the guest that tests/vm/run boots, of Debian packages alone: Debian's
kernel, a small initramfs that only mounts, and a root file system.  Whatever is
made is kept in build/vm under a name that says what it is made of."""

import hashlib
import inspect
import lzma
import os
import shutil
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
WORK = TOP + "/build/vm"
SUITE = "bookworm"

BOTH = """
    kmod python3 procps util-linux mount iproute2 e2fsprogs xfsprogs
    btrfs-progs f2fs-tools nilfs-tools dosfstools exfatprogs squashfs-tools
    dmsetup lvm2 mdadm cryptsetup-bin libfuse3-3 fuse3
""".split()
PACKAGES = {
    "plain": BOTH + "jfsutils reiserfsprogs nfs-kernel-server".split(),
    "systemd": BOTH + """
        systemd-sysv udev dbus auditd systemd-container podman crun
    """.split()}
MODULES = """
    virtio_pci virtio_blk ext4 cuse fuse xfs btrfs f2fs jfs nilfs2 reiserfs vfat
    nls_cp437 nls_ascii nls_iso8859_1 nls_utf8 exfat overlay squashfs loop zram
    brd dm_mod dm_snapshot dm_delay dm_flakey dm_crypt dm_thin_pool raid1
    nfsd nfsv4 autofs4
    binfmt_misc crc32_generic crc32c_generic xts aes_generic ecb cbc
""".split()
# Installed, and started by who wants them.
DISABLED = """
    auditd.service podman.service podman.socket podman-auto-update.timer
    podman-auto-update.service podman-restart.service
""".split()
FIRST = ("virtio_pci", "virtio_blk", "ext4", "crc32c_generic")

INIT = r"""#!/bin/busybox sh
# Finds the root file system and goes there, or back to what was saved on a disk.
/bin/busybox mkdir -p /proc /dev /sys /root
/bin/busybox mount -t devtmpfs none /dev
/bin/busybox mount -t proc none /proc
for m in MODULES; do
	/bin/busybox insmod /modules/$m.ko
done
until [ -b /dev/vdb ]; do /bin/busybox usleep 20000; done
init=/sbin/init
for word in $(/bin/busybox cat /proc/cmdline); do
	case $word in
	vm.init=*) init=${word#vm.init=} ;;
	resume=*)
		/bin/busybox mount -t sysfs none /sys
		/bin/busybox cat /sys/class/block/${word#resume=/dev/}/dev \
			>/sys/power/resume
		/bin/busybox umount /sys ;;
	esac
done
/bin/busybox mount -t ext4 -o rw /dev/vda /root || /bin/busybox poweroff -f
/bin/busybox mount -t ext4 -o ro /dev/vdb /root/hv
/bin/busybox umount /proc
/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root "$init"
"""

# Both kinds of guest end up in /hv/tests/vm/vminside.
UNIT = """[Unit]
Description=The scenario
DefaultDependencies=no
After=multi-user.target
ConditionKernelCommandLine=vm.scenario
IgnoreOnIsolate=yes

[Service]
Type=oneshot
ExecStart=/hv/tests/vm/vminside
StandardOutput=append:/dev/ttyS1
StandardError=append:/dev/ttyS1
OOMScoreAdjust=-1000
TimeoutStartSec=infinity

[Install]
WantedBy=multi-user.target
"""
# What the kernel starts in a guest without a service manager.
PLAIN = """#!/bin/sh
exec /hv/tests/vm/vminside
"""
FSTAB = "/dev/vda / ext4 rw 0 0\n"


class Missing(Exception):
    """What cannot be had; the scenarios are skipped with it."""


def run(argv, **more):
    p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       check=False, **more)
    if p.returncode != 0:
        raise Missing("%s: %s" % (" ".join(argv[:3]),
                                  p.stdout.decode(errors="replace")[-600:]))
    return p.stdout.decode(errors="replace")


def key_of(*parts):
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def source_of(*functions):
    return [inspect.getsource(f) for f in functions]


def made(name, key, make):
    """A file or directory of that name, made if there is none of that key."""
    path = "%s/%s-%s" % (WORK, name, key)
    if not os.path.exists(path):
        os.makedirs(WORK, exist_ok=True)
        for old in os.listdir(WORK):
            if old.startswith(name + "-"):
                remove(WORK + "/" + old)
        make(path + ".new")
        os.rename(path + ".new", path)
    return path


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def fetch(package, where):
    """A package's file, unpacked."""
    run(["sh", "-c", "cd %s && apt-get download -q %s" % (where, package)])
    deb = [f for f in os.listdir(where)
           if f.startswith(package + "_") and f.endswith(".deb")][0]
    run(["dpkg-deb", "-x", where + "/" + deb, where])
    return where + "/" + deb


def kernel_package():
    for line in run(["apt-cache", "depends", "linux-image-amd64"]).split("\n"):
        if "Depends:" in line and "linux-image-" in line:
            return line.split()[-1]
    raise Missing("linux-image-amd64 depends on no kernel")


def version_of(package):
    for line in run(["apt-cache", "policy", package]).split("\n"):
        if "Candidate:" in line:
            return line.split()[-1]
    raise Missing("no package " + package)


def vmlinux(vmlinuz):
    """The kernel unpacked: under emulation that is slow to do."""
    with open(vmlinuz, "rb") as f:
        data = f.read()
    at = data.find(b"\xfd7zXZ\x00")
    while at != -1:
        try:
            out = lzma.LZMADecompressor().decompress(data[at:])
            if out.startswith(b"\x7fELF"):
                return out
        except lzma.LZMAError:
            pass
        at = data.find(b"\xfd7zXZ\x00", at + 1)
    raise Missing("%s: no kernel in it" % vmlinuz)


def modules_of(tree, version):
    """Files of the modules that are wanted and what they depend on."""
    run(["depmod", "-b", tree, version])
    files = {}
    for module in MODULES:
        text = run(["modprobe", "-d", tree, "-S", version, "--show-depends",
                    module])
        files[module] = [line.split()[1] for line in text.split("\n")
                         if line.startswith("insmod")]
    return files


def make_boot(path):
    """kernel, also as it comes, initramfs, and a lib/modules for the root."""
    package = kernel_package()
    version = package[len("linux-image-"):]
    os.makedirs(path + "/tree")
    fetch(package, path + "/tree")
    fetch("busybox-static", path + "/tree")
    fetch("hyperv-daemons", path + "/tree")
    packed = path + "/kernel.packed"
    shutil.move("%s/tree/boot/vmlinuz-%s" % (path, version), packed)
    with open(path + "/kernel", "wb") as f:
        f.write(vmlinux(packed))
    files = modules_of(path + "/tree", version)
    for module in sum(files.values(), []):
        to = path + "/root" + module[len(path + "/tree"):]
        os.makedirs(os.path.dirname(to), exist_ok=True)
        shutil.copy(module, to)
    for name in ("modules.builtin", "modules.order", "modules.builtin.modinfo"):
        shutil.copy("%s/tree/lib/modules/%s/%s" % (path, version, name),
                    "%s/root/lib/modules/%s" % (path, version))
    run(["depmod", "-b", path + "/root", version])
    make_initramfs(path, files)
    for deb in os.listdir(path + "/tree"):
        if deb.startswith("hyperv-daemons_"):
            shutil.copy(path + "/tree/" + deb, path + "/hyperv-daemons.deb")
    shutil.rmtree(path + "/tree")


def make_initramfs(path, files):
    top = path + "/initramfs"
    os.makedirs(top + "/bin")
    os.makedirs(top + "/modules")
    shutil.copy(path + "/tree/bin/busybox", top + "/bin/busybox")
    names = []
    for module in FIRST:
        for file in files[module]:
            name = os.path.basename(file)[:-len(".ko")]
            if name not in names:
                names.append(name)
                shutil.copy(file, top + "/modules")
    with open(top + "/init", "w", encoding="ascii") as f:
        f.write(INIT.replace("MODULES", " ".join(names)))
    os.chmod(top + "/init", 0o755)
    run(["sh", "-c", "cd %s && find . | %s/bin/busybox cpio -o -H newc "
         ">../initramfs.img" % (top, top)])
    shutil.rmtree(top)


def make_root(path, boot, guest):
    tree = path + ".tree"
    # Nobody reads manuals in it, and what is made can be made again.
    run(["mmdebstrap", "--variant=minbase", "--mode=root", "--format=directory",
         "--quiet", "--include=" + ",".join(PACKAGES[guest]),
         "--dpkgopt=force-unsafe-io", "--dpkgopt=path-exclude=/usr/share/man/*",
         "--dpkgopt=path-exclude=/usr/share/locale/*",
         "--dpkgopt=path-exclude=/usr/share/doc/*", SUITE, tree])
    # What is installed in the guest later is installed as a whole.
    os.unlink(tree + "/etc/dpkg/dpkg.cfg.d/99mmdebstrap")
    run(["cp", "-a", boot + "/root/lib/modules", tree + "/usr/lib/"])
    for name, text in (("etc/fstab", FSTAB), ("etc/hostname", "guest\n"),
                       ("etc/vm-init", PLAIN),
                       ("etc/systemd/system/vm-scenario.service", UNIT),
                       ("etc/machine-id", "c0ffee00c0ffee00c0ffee00c0ffee00\n"),
                       ("etc/systemd/journald.conf",
                        "[Journal]\nStorage=volatile\n"
                        "ForwardToConsole=no\n")):
        with open(tree + "/" + name, "w", encoding="ascii") as f:
            f.write(text)
    os.chmod(tree + "/etc/vm-init", 0o755)
    os.makedirs(tree + "/hv", exist_ok=True)
    if guest == "systemd":
        choose_units(tree)
    size = int(run(["du", "-sm", tree]).split()[0]) + 300
    run(["mke2fs", "-q", "-t", "ext4", "-d", tree, path, "%dM" % size])
    shutil.rmtree(tree)


def choose_units(tree):
    system = tree + "/etc/systemd/system/"
    os.makedirs(system + "multi-user.target.wants", exist_ok=True)
    os.symlink("../vm-scenario.service",
               system + "multi-user.target.wants/vm-scenario.service")
    for unit in ("getty@.service", "serial-getty@.service", "apt-daily.timer",
                 "apt-daily-upgrade.timer", "dpkg-db-backup.timer",
                 "e2scrub_all.timer", "fstrim.timer", "systemd-timesyncd.service",
                 "lvm2-monitor.service", "mdmonitor.service"):
        if not os.path.lexists(system + unit):
            os.symlink("/dev/null", system + unit)
    run(["systemctl", "-q", "--root", tree, "disable", *DISABLED])


def other_versions(deb, where):
    """The same package as an older and a newer one, in directories."""
    for name, suffix in (("older", "~older"), ("newer", "+newer")):
        tree = "%s/%s" % (where, name)
        os.makedirs(tree)
        run(["dpkg-deb", "-R", deb, tree + "/tree"])
        control = tree + "/tree/DEBIAN/control"
        run(["sed", "-i", "s/^Version: .*/&%s/" % suffix, control])
        run(["dpkg-deb", "-b", "--root-owner-group", "-Zgzip", tree + "/tree",
             tree])
        shutil.rmtree(tree + "/tree")


def make_payload(path, boot, debs, scenarios):
    """What is tested, and how: /hv of the guest."""
    tree = path + ".tree"
    os.makedirs(tree)
    for name in ("bin", "lib", "libexec"):
        run(["cp", "-a", TOP + "/build/" + name, tree])
    run(["cp", "-a", TOP + "/build/tests", tree])
    for name in ("e2e", "vm"):
        run(["cp", "-a", TOP + "/tests/" + name, tree + "/tests"])
    for scenario in scenarios:
        shutil.copytree(scenario, "%s/tests/vm/scenarios/%s" % (
            tree, os.path.basename(os.path.normpath(scenario))),
            dirs_exist_ok=True)
    os.makedirs(tree + "/debs")
    for deb in debs:
        shutil.copy(deb, tree + "/debs")
        if os.path.basename(deb).startswith("hv-vss_"):
            other_versions(deb, tree + "/debs")
    shutil.copy(boot + "/hyperv-daemons.deb", tree + "/debs")
    size = int(run(["du", "-sm", tree]).split()[0]) + 20
    run(["mke2fs", "-q", "-t", "ext4", "-d", tree, path, "%dM" % size])
    shutil.rmtree(tree)


def make_all(debs, guests, scenarios, log):
    """Everything that a boot of these guests needs, as a dict of paths."""
    for tool in ("qemu-system-x86_64", "apt-cache", "mmdebstrap", "mke2fs",
                 "depmod"):
        if not shutil.which(tool, path="/usr/sbin:/usr/bin:/sbin:/bin"):
            raise Missing("no " + tool)
    package = kernel_package()
    log("kernel %s" % version_of(package))
    boot = made("boot", key_of(MODULES, FIRST, INIT, source_of(
        make_boot, make_initramfs, modules_of), version_of(package)),
                make_boot)
    roots = {guest: made("root-" + guest, key_of(
        PACKAGES[guest], DISABLED, SUITE, UNIT, PLAIN, FSTAB, MODULES,
        source_of(make_root, choose_units), version_of(package)),
        lambda path, guest=guest: make_root(path, boot, guest))
        for guest in guests}
    payload = WORK + "/payload"
    for old in (payload, payload + ".tree"):
        if os.path.exists(old):
            remove(old)
    make_payload(payload, boot, debs, scenarios)
    return {"kernel": boot + "/kernel", "packed": boot + "/kernel.packed",
            "initrd": boot + "/initramfs.img", "payload": payload, **roots}
