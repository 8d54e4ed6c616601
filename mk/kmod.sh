#!/bin/sh
# On FreeBSD, where the kernel's sources are: the kernel module, built or
# installed.  kmod.sh TARGET... [DESTDIR=DIR]
set -eu
[ "$(uname -s)" = FreeBSD ] || exit 0
src=${SYSDIR:-/usr/src/sys}
if [ ! -f "$src/kern/bus_if.m" ]; then
	echo "kmod: left out: no kernel sources in $src (fetch src, or set SYSDIR)"
	exit 0
fi
cd "$(dirname "$0")/../sys/freebsd"
exec "${MAKE:-make}" "$@"
