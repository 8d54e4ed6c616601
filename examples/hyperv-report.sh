#!/bin/sh
# Copyright (c) 2026 The hv_vss developers
# SPDX-License-Identifier: BSD-2-Clause
#
# Says what a real Hyper-V host does with this guest, to be sent to the
# developers of hv_vss, who had none: run it as root on a Linux guest in which
# hv_vss_driver runs with --set trace=FILE, or on a FreeBSD guest with the
# kernel's module, after a production checkpoint or two taken from the host:
#
#	sh hyperv-report.sh [TRACE-FILE] >report.txt
#
# It reads, and changes nothing.  The report has names of disks, mount points and
# programs in it, and UUIDs of this machine's devices; read it before it goes out.

trace=${1:-}
bus=/sys/bus/vmbus/devices
vss=35fa2e29-ea23-4236-96ae-3a6ebacba440

part() {
	printf '\n== %s\n' "$*"
}
# A program's output, or that it cannot be had.
try() {
	"$@" 2>&1 || echo "($* failed)"
}

part machine
uname -a
grep -h '^PRETTY_NAME=' /etc/os-release 2>/dev/null
cat /sys/class/dmi/id/sys_vendor /sys/class/dmi/id/product_version 2>/dev/null
if [ -d /sys/firmware/efi ]; then
	echo "firmware: EFI (Generation 2)"
else
	echo "firmware: BIOS (Generation 1)"
fi
dmesg 2>/dev/null | grep -iE 'hyper-v|vmbus|hv_utils|hv_vss'

part "devices offered by the host (class, driver, channel, state)"
for dev in "$bus"/*; do
	[ -d "$dev" ] || continue
	driver=$(readlink "$dev/driver")
	printf '%s %s %s id=%s state=%s monitor=%s\n' "${dev##*/}" \
	    "$(cat "$dev/class_id" 2>/dev/null)" "${driver##*/}" \
	    "$(cat "$dev/id" 2>/dev/null)" "$(cat "$dev/state" 2>/dev/null)" \
	    "$(cat "$dev/monitor_id" 2>/dev/null)"
done

part "the VSS channel's rings"
for dev in "$bus"/*; do
	grep -qi "$vss" "$dev/class_id" 2>/dev/null || continue
	ls -ld "$dev"/channels/*/ring "$dev"/uio/* 2>/dev/null
	for file in "$dev"/uio/*/maps/*/*; do
		[ -f "$file" ] && echo "$file: $(cat "$file")"
	done
	for file in out_intr_mask out_read_index out_write_index \
	    in_intr_mask in_read_index in_write_index; do
		[ -f "$dev/$file" ] && echo "$file: $(cat "$dev/$file")"
	done
done

part "disks behind the host's controllers (controller, address, disk)"
for block in "$bus"/*/host*/target*/*:*:*:*/block/*; do
	[ -d "$block" ] || continue
	path=${block#"$bus"/}
	address=${path%/block/*}
	echo "${path%%/*} ${address##*/} ${block##*/}"
done

if [ "$(uname -s)" = FreeBSD ]; then
	part "FreeBSD: devices of the bus, buses of CAM, disks"
	try sysctl kern.vm_guest dev.vmbus dev.storvsc
	try camcontrol devlist -v
	try sysctl -n kern.geom.conftxt
	part "FreeBSD: the module, and its last events"
	try sysctl dev.hvvssg
	try sysctl -n dev.hvvssg.0.trace
fi

part "hv_vss: versions, negotiated versions, clients, limits"
try hv_vss_daemon --version
try hv_vssctl status --json

part "checkpoints: order, times, outcome, disks the host named"
try hv_vssctl history -n 10 --json

part "the host's requests with their lengths, and the replies"
if [ -n "$trace" ]; then
	grep -hE '"event":"(request|reply|dropped|channel|lost)"' "$trace" |
		tail -n 200
else
	echo "(no trace file was given)"
fi
